/* SPDX-License-Identifier: BSD-3-Clause */
#include "call.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include <vcpuhp/vcpuhp.h>

static int call(int fd, unsigned long request, void *arg, GError **error, const char *what,
                va_list args)
{
    int result = ioctl(fd, request, arg);

    if (result < 0) {
        int saved = errno;
        g_autofree char *name = g_strdup_vprintf(what, args);

        g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM, "%s: %s", name, g_strerror(saved));
        return -1;
    }
    return result;
}

int kvm_call(int fd, unsigned long request, void *arg, GError **error, const char *what, ...)
{
    va_list args;
    int result;

    va_start(args, what);
    result = call(fd, request, arg, error, what, args);
    va_end(args);
    return result;
}

bool kvm_set_attr(int fd, uint32_t group, uint64_t attr, const void *value, GError **error,
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

bool kvm_get_attr(int fd, uint32_t group, uint64_t attr, void *ret_value, GError **error,
                  const char *what, ...)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr, .addr = (uintptr_t)ret_value};
    va_list args;
    int result;

    va_start(args, what);
    result = call(fd, KVM_GET_DEVICE_ATTR, &arg, error, what, args);
    va_end(args);
    return result >= 0;
}

bool kvm_has_attr(int fd, uint32_t group, uint64_t attr)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr};

    return ioctl(fd, KVM_HAS_DEVICE_ATTR, &arg) >= 0;
}

bool kvm_get_reg(int fd, uint32_t vcpu, uint64_t id, const char *name, uint64_t *ret_value,
                 GError **error)
{
    uint64_t value = 0;
    struct kvm_one_reg arg = {.id = id, .addr = (uintptr_t)&value};

    if (kvm_call(fd, KVM_GET_ONE_REG, &arg, error, "vCPU %u: KVM_GET_ONE_REG (%s)", vcpu, name) < 0)
        return false;
    *ret_value = value;
    return true;
}

bool kvm_set_reg(int fd, uint32_t vcpu, uint64_t id, const char *name, uint64_t value,
                 GError **error)
{
    struct kvm_one_reg arg = {.id = id, .addr = (uintptr_t)&value};

    return kvm_call(fd, KVM_SET_ONE_REG, &arg, error, "vCPU %u: KVM_SET_ONE_REG (%s)", vcpu,
                    name) >= 0;
}
