/* SPDX-License-Identifier: BSD-3-Clause */
#include "image.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "error.h"
#include "ioctl.h"
#include "kvm/reg.h"

/* Appends a register. One that the VMM has hidden from the guest by the ID registers may be listed
 * without being there (ENOENT). */
static bool take_register(KvmImage *image, int fd, uint32_t vcpu, uint64_t id, GError **error)
{
    struct kvm_one_reg *reg = &image->regs[image->n_regs];
    uint8_t *value = &image->values[image->size];

    *reg = (struct kvm_one_reg){.id = id, .addr = (uintptr_t)value};
    if (ioctl(fd, KVM_GET_ONE_REG, reg) < 0)
        return errno == ENOENT ||
               refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: KVM_GET_ONE_REG (0x%" PRIx64 "): %s", vcpu,
                      id, g_strerror(errno));
    if (kvm_reg_clears(id))
        memset(value, 0xff, KVM_REG_SIZE(id));
    image->n_regs++;
    image->size += KVM_REG_SIZE(id);
    return true;
}

/* Appends the registers that clear others, or those that do not. */
static bool take_registers(KvmImage *image, int fd, uint32_t vcpu, const struct kvm_reg_list *list,
                           bool clears, GError **error)
{
    for (uint64_t i = 0; i < list->n; i++)
        if (kvm_reg_kind(list->reg[i]) == KVM_REG_KIND_GUEST &&
            kvm_reg_clears(list->reg[i]) == clears &&
            !take_register(image, fd, vcpu, list->reg[i], error))
            return false;
    return true;
}

bool kvm_image_take(KvmImage *image, int fd, uint32_t vcpu, GError **error)
{
    g_autofree struct kvm_reg_list *list = ioctl_get_reg_list(fd);
    gsize size = 0;

    if (!list)
        return refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: KVM_GET_REG_LIST: %s", vcpu,
                      g_strerror(errno));
    for (uint64_t i = 0; i < list->n; i++)
        size += KVM_REG_SIZE(list->reg[i]);
    *image = (KvmImage){.regs = g_new(struct kvm_one_reg, list->n), .values = g_malloc(size)};
    if (take_registers(image, fd, vcpu, list, true, error) &&
        take_registers(image, fd, vcpu, list, false, error))
        return true;
    kvm_image_clear(image);
    return false;
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
