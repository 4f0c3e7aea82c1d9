/* SPDX-License-Identifier: BSD-3-Clause */
#include "gic/regs.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/ioctl.h>

#include "error.h"

/* How often and how long to wait for a vCPU's ioctl to end, in µs. */
#define BUSY_TRIES 20
#define BUSY_WAIT  500

static bool access_attr(int fd, unsigned long request, uint32_t group, uint64_t attr,
                        const void *value, GError **error)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr, .addr = (uintptr_t)value};

    for (int i = 1; ioctl(fd, request, &arg) < 0; i++) {
        if (errno != EBUSY || i == BUSY_TRIES)
            return refuse(error, VCPUHP_ERROR_KVM, "%s (vGIC, group %u, 0x%" PRIx64 "): %s",
                          request == KVM_GET_DEVICE_ATTR ? "KVM_GET_DEVICE_ATTR"
                                                         : "KVM_SET_DEVICE_ATTR",
                          group, attr, g_strerror(errno));
        g_usleep(BUSY_WAIT);
    }
    return true;
}

static int group_fd(const Gic *gic, uint32_t group)
{
    return group == KVM_DEV_ARM_VGIC_GRP_ITS_REGS ? gic->its_fd : gic->fd;
}

bool gic_get(const Gic *gic, uint32_t group, uint64_t attr, void *ret_value, GError **error)
{
    return access_attr(group_fd(gic, group), KVM_GET_DEVICE_ATTR, group, attr, ret_value, error);
}

bool gic_set(const Gic *gic, uint32_t group, uint64_t attr, const void *value, GError **error)
{
    return access_attr(group_fd(gic, group), KVM_SET_DEVICE_ATTR, group, attr, value, error);
}

bool gic_control(int fd, uint64_t attr, GError **error)
{
    return access_attr(fd, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL, attr, NULL, error);
}

bool gic_set_words(const Gic *gic, uint32_t group, uint64_t attr, uint32_t n, uint32_t stride,
                   uint32_t value, GError **error)
{
    for (uint32_t i = 0; i < n; i++)
        if (!gic_set(gic, group, attr + i * stride, &value, error))
            return false;
    return true;
}

bool gic_confirm_iidr(const Gic *gic, GError **error)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    uint32_t iidr = 0;

    return gic_get(gic, group, GICD_IIDR, &iidr, error) &&
           gic_set(gic, group, GICD_IIDR, &iidr, error);
}
