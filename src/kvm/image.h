/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registers of a vCPU that the guest can change: those that KVM_ARM_VCPU_INIT sets, for setting
 * them again without it (docs/kvm.md), or those with which a saved vCPU goes on.
 */
#ifndef VCPUHP_SRC_KVM_IMAGE_H
#define VCPUHP_SRC_KVM_IMAGE_H

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * In the order in which they are written: first the registers whose ones clear bits of others (of
 * the PMU), all ones. Linux 6.3 to 6.14 take a write to their counterparts, which follow, as one
 * that sets bits, others as the whole value.
 */
typedef struct KvmImage {
    struct kvm_one_reg *regs; /* addr points into values; NULL: not taken yet */
    uint32_t n_regs;
    uint8_t *values;
    gsize size; /* of all values */
} KvmImage;

/* Take it from a vCPU that is not in KVM_RUN. */
bool kvm_image_take(KvmImage *image, int fd, uint32_t vcpu, GError **error);
/* Write the registers. */
bool kvm_image_apply(const KvmImage *image, int fd, uint32_t vcpu, GError **error);
void kvm_image_clear(KvmImage *image);

#endif
