/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registers of a vCPU as KVM_ARM_VCPU_INIT sets them, for setting them again without it on
 * hosts without FEAT_S2FWB: there KVM_ARM_VCPU_INIT of a vCPU that has run unmaps the memory of the
 * whole machine, and every vCPU must fault it in again (docs/kvm.md).
 */
#ifndef VCPUHP_SRC_KVM_IMAGE_H
#define VCPUHP_SRC_KVM_IMAGE_H

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* The same for all vCPUs of a machine: what differs between them, such as MPIDR_EL1, is left out.
 */
typedef struct KvmImage {
    struct kvm_one_reg *regs; /* addr points into values; NULL: not taken yet */
    uint32_t n_regs;
    uint8_t *values;
} KvmImage;

/* Take it from a vCPU that was initialised and has not run. */
bool kvm_image_take(KvmImage *image, int fd, uint32_t vcpu, GError **error);
/* Returns false if KVM refuses a register. KVM_ARM_VCPU_INIT then corrects what was done. */
bool kvm_image_apply(const KvmImage *image, int fd, uint32_t vcpu, GError **error);
void kvm_image_clear(KvmImage *image);

#endif
