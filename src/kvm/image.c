/* SPDX-License-Identifier: BSD-3-Clause */
#include "image.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/ioctl.h>

#include "error.h"
#include "ioctl.h"

#define COPROC(id) ((id)&KVM_REG_ARM_COPROC_MASK)
#define OP1_CRN    (KVM_REG_ARM64_SYSREG_OP1_MASK | KVM_REG_ARM64_SYSREG_CRN_MASK)
#define OP0        KVM_REG_ARM64_SYSREG_OP0_MASK

/*
 * Whether the guest can change the register, and on this vCPU alone. Excluded: identification
 * registers (op0 3, CRn 0; CSSELR_EL1, with op1 2, is not one); KVM's own registers about firmware
 * and vector lengths; and the counters, which all vCPUs share: writing one would move the guest's
 * time.
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

/* Appends a register whose value is read to the image's value number *used on. A register that the
 * VMM has hidden from the guest by the ID registers may be listed without being there (ENOENT). */
static bool take_register(KvmImage *image, int fd, uint32_t vcpu, uint64_t id, gsize *used,
                          GError **error)
{
    struct kvm_one_reg *reg = &image->regs[image->n_regs];

    *reg = (struct kvm_one_reg){.id = id, .addr = (uintptr_t)&image->values[*used]};
    if (ioctl(fd, KVM_GET_ONE_REG, reg) < 0)
        return errno == ENOENT ||
               refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: KVM_GET_ONE_REG (0x%" PRIx64 "): %s", vcpu,
                      id, g_strerror(errno));
    image->n_regs++;
    *used += KVM_REG_SIZE(id);
    return true;
}

bool kvm_image_take(KvmImage *image, int fd, uint32_t vcpu, GError **error)
{
    g_autofree struct kvm_reg_list *list = ioctl_get_reg_list(fd);
    gsize size = 0, used = 0;

    if (!list)
        return refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: KVM_GET_REG_LIST: %s", vcpu,
                      g_strerror(errno));
    for (uint64_t i = 0; i < list->n; i++)
        size += KVM_REG_SIZE(list->reg[i]);
    *image = (KvmImage){.regs = g_new(struct kvm_one_reg, list->n), .values = g_malloc(size)};
    for (uint64_t i = 0; i < list->n; i++)
        if (is_wanted(list->reg[i]) &&
            !take_register(image, fd, vcpu, list->reg[i], &used, error)) {
            kvm_image_clear(image);
            return false;
        }
    return true;
}

bool kvm_image_apply(const KvmImage *image, int fd, uint32_t vcpu, GError **error)
{
    for (uint32_t i = 0; i < image->n_regs; i++)
        if (ioctl_call(fd, KVM_SET_ONE_REG, &image->regs[i], error,
                       "vCPU %u: KVM_SET_ONE_REG (0x%" PRIx64 ")", vcpu,
                       (uint64_t)image->regs[i].id) < 0)
            return false;
    return true;
}

void kvm_image_clear(KvmImage *image)
{
    g_free(image->regs);
    g_free(image->values);
    *image = (KvmImage){0};
}
