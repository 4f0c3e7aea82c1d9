/* SPDX-License-Identifier: BSD-3-Clause */
#include "image.h"

#include <sys/ioctl.h>

#include "call.h"

/* KVM has some 250, and 50 more with SVE. */
#define MAX_REGS   4096
#define COPROC(id) ((id)&KVM_REG_ARM_COPROC_MASK)
#define OP1_CRN    (KVM_REG_ARM64_SYSREG_OP1_MASK | KVM_REG_ARM64_SYSREG_CRN_MASK)
#define OP0        KVM_REG_ARM64_SYSREG_OP0_MASK

/*
 * Whether the guest can change it, on this vCPU alone. Not so the identification registers (op0 3,
 * CRn 0), of which CSSELR_EL1 (op1 2) is none; KVM's own about firmware and vector lengths;
 * and least the counters, which are one for all vCPUs: to set one is to move the guest's time.
 */
static bool is_wanted(uint64_t id)
{
    switch (COPROC(id)) {
    case KVM_REG_ARM_CORE:
        return true;
    case KVM_REG_ARM64_SVE:
        return id != KVM_REG_ARM64_SVE_VLS;
    case KVM_REG_ARM64_SYSREG:
        if (id == KVM_REG_ARM_TIMER_CNT || id == KVM_REG_ARM_PTIMER_CNT)
            return false;
        return (id & OP0) != 3 << KVM_REG_ARM64_SYSREG_OP0_SHIFT ||
               id & KVM_REG_ARM64_SYSREG_CRN_MASK ||
               (id & OP1_CRN) == 2 << KVM_REG_ARM64_SYSREG_OP1_SHIFT;
    default:
        return false;
    }
}

bool kvm_image_take(KvmImage *image, int fd, uint32_t vcpu, GError **error)
{
    g_autofree struct kvm_reg_list *list = g_malloc0(sizeof(*list) + MAX_REGS * sizeof(uint64_t));
    gsize size = 0;

    list->n = MAX_REGS;
    if (kvm_call(fd, KVM_GET_REG_LIST, list, error, "vCPU %u: KVM_GET_REG_LIST", vcpu) < 0)
        return false;
    for (uint64_t i = 0; i < list->n; i++)
        size += KVM_REG_SIZE(list->reg[i]);
    *image = (KvmImage){.regs = g_new(struct kvm_one_reg, list->n), .values = g_malloc(size)};
    size = 0;
    for (uint64_t i = 0; i < list->n; i++) {
        uint64_t id = list->reg[i];
        struct kvm_one_reg *reg = &image->regs[image->n_regs];

        if (!is_wanted(id))
            continue;
        *reg = (struct kvm_one_reg){.id = id, .addr = (uintptr_t)&image->values[size]};
        if (kvm_call(fd, KVM_GET_ONE_REG, reg, error,
                     "vCPU %u: KVM_GET_ONE_REG (0x%" G_GINT64_MODIFIER "x)", vcpu, id) < 0) {
            kvm_image_clear(image);
            return false;
        }
        image->n_regs++;
        size += KVM_REG_SIZE(id);
    }
    return true;
}

bool kvm_image_apply(const KvmImage *image, int fd)
{
    for (uint32_t i = 0; i < image->n_regs; i++)
        if (ioctl(fd, KVM_SET_ONE_REG, &image->regs[i]) < 0)
            return false;
    return true;
}

void kvm_image_clear(KvmImage *image)
{
    g_free(image->regs);
    g_free(image->values);
    *image = (KvmImage){0};
}
