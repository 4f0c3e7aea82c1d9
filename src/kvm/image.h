/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registers of a vCPU as KVM_ARM_VCPU_INIT sets them, to be set again without it: on hosts
 * without FEAT_S2FWB, KVM_ARM_VCPU_INIT of a vCPU that has run throws away the stage-2 mappings of
 * the whole machine, and every vCPU has to fault its memory in again (docs/kvm.md).
 */
#ifndef VCPUHP_KVM_IMAGE_H
#define VCPUHP_KVM_IMAGE_H

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* The same for all vCPUs of a machine: their own, such as MPIDR_EL1, are left out. */
typedef struct KvmImage {
    struct kvm_one_reg *regs; /* addr points into values */
    uint32_t n_regs;
    uint8_t *values;
} KvmImage;

/* Take it from a vCPU that was initialised and has not run. */
bool kvm_image_take(KvmImage *image, int fd, uint32_t vcpu, GError **error);
/* Returns false if KVM refuses a register; KVM_ARM_VCPU_INIT mends what was done by then. */
bool kvm_image_apply(const KvmImage *image, int fd);
void kvm_image_clear(KvmImage *image);

#endif
