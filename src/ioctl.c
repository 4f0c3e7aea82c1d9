/* SPDX-License-Identifier: BSD-3-Clause */
#include "ioctl.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "error.h"

/* KVM lists some 250 registers, and 50 more with SVE. */
#define MAX_REGS 4096

static int call(int fd, unsigned long request, void *arg, GError **error, const char *what,
                va_list args)
{
    int result = ioctl(fd, request, arg);

    if (result < 0) {
        int saved = errno;
        g_autofree char *name = g_strdup_vprintf(what, args);

        refuse(error, VCPUHP_ERROR_KVM, "%s: %s", name, g_strerror(saved));
        return -1;
    }
    return result;
}

int ioctl_call(int fd, unsigned long request, void *arg, GError **error, const char *what, ...)
{
    va_list args;
    int result;

    va_start(args, what);
    result = call(fd, request, arg, error, what, args);
    va_end(args);
    return result;
}

bool ioctl_set_attr(int fd, uint32_t group, uint64_t attr, const void *value, GError **error,
                    const char *what, ...)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr, .addr = (uintptr_t)value};
    va_list args;
    int result;

    va_start(args, what);
    result = call(fd, KVM_SET_DEVICE_ATTR, &arg, error, what, args);
    va_end(args);
    return result >= 0;
}

bool ioctl_has_attr(int fd, uint32_t group, uint64_t attr)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr};

    return ioctl(fd, KVM_HAS_DEVICE_ATTR, &arg) >= 0;
}

bool ioctl_get_reg(int fd, uint32_t vcpu, uint64_t id, const char *name, uint64_t *ret_value,
                   GError **error)
{
    uint64_t value = 0;
    struct kvm_one_reg arg = {.id = id, .addr = (uintptr_t)&value};

    if (ioctl_call(fd, KVM_GET_ONE_REG, &arg, error, "vCPU %u: KVM_GET_ONE_REG (%s)", vcpu, name) <
        0)
        return false;
    *ret_value = value;
    return true;
}

bool ioctl_set_reg(int fd, uint32_t vcpu, uint64_t id, const char *name, uint64_t value,
                   GError **error)
{
    struct kvm_one_reg arg = {.id = id, .addr = (uintptr_t)&value};

    return ioctl_call(fd, KVM_SET_ONE_REG, &arg, error, "vCPU %u: KVM_SET_ONE_REG (%s)", vcpu,
                      name) >= 0;
}

struct kvm_reg_list *ioctl_get_reg_list(int fd)
{
    struct kvm_reg_list *list = g_malloc0(sizeof(*list) + MAX_REGS * sizeof(uint64_t));

    list->n = MAX_REGS;
    if (ioctl(fd, KVM_GET_REG_LIST, list) >= 0)
        return list;
    g_free(list);
    return NULL;
}
