/* SPDX-License-Identifier: BSD-3-Clause */
#include "gic/gic.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"
#include "ioctl.h"

void gic_setup(Gic *gic, const Config *config, int vm_fd, int fd, int its_fd)
{
    *gic = (Gic){.config = config, .vm_fd = vm_fd, .fd = fd, .its_fd = its_fd, .lent = fd >= 0};
}

static uint32_t device_type(const Gic *gic)
{
    return gic->config->gic.version == 3 ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2;
}

static bool probe_device(const Gic *gic, uint32_t type, const char *name, GError **error)
{
    struct kvm_create_device device = {.type = type, .flags = KVM_CREATE_DEVICE_TEST};

    if (ioctl(gic->vm_fd, KVM_CREATE_DEVICE, &device) >= 0)
        return true;
    return refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                  "this host's KVM lacks a %s: KVM_CREATE_DEVICE: %s", name, g_strerror(errno));
}

bool gic_probe(const Gic *gic, GError **error)
{
    const VcpuhpGic *config = &gic->config->gic;

    return probe_device(gic, device_type(gic), config->version == 3 ? "GICv3" : "GICv2", error) &&
           (!config->its_base || probe_device(gic, KVM_DEV_TYPE_ARM_VGIC_ITS, "GICv3 ITS", error));
}

static int create_device(const Gic *gic, uint32_t type, const char *name, GError **error)
{
    struct kvm_create_device device = {.type = type};

    if (ioctl_call(gic->vm_fd, KVM_CREATE_DEVICE, &device, error, "KVM_CREATE_DEVICE (%s)", name) <
        0)
        return -1;
    return (int)device.fd;
}

static bool set_address(int fd, uint64_t type, uint64_t address, const char *name, GError **error)
{
    return ioctl_set_attr(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &address, error,
                          "KVM_SET_DEVICE_ATTR (%s at 0x%" PRIx64 ")", name, address);
}

static bool set_redists(const Gic *gic, GError **error)
{
    const VcpuhpGic *config = &gic->config->gic;

    for (uint32_t i = 0; i < config->n_redists; i++) {
        const VcpuhpRedist *redist = &config->redists[i];
        uint64_t region = (uint64_t)redist->count << REGION_COUNT_SHIFT | redist->base | i;

        if (!ioctl_set_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
                            &region, error,
                            "KVM_SET_DEVICE_ATTR (%u redistributors at 0x%" PRIx64 ")",
                            redist->count, redist->base))
            return false;
    }
    return true;
}

bool gic_create(Gic *gic, GError **error)
{
    const VcpuhpGic *config = &gic->config->gic;
    bool ok;

    if (gic->lent)
        return true;
    gic->fd = create_device(gic, device_type(gic), "vGIC", error);
    if (gic->fd < 0)
        return false;
    if (config->version == 3)
        ok = set_address(gic->fd, KVM_VGIC_V3_ADDR_TYPE_DIST, config->dist_base, "vGIC distributor",
                         error) &&
             set_redists(gic, error);
    else
        ok = set_address(gic->fd, KVM_VGIC_V2_ADDR_TYPE_DIST, config->dist_base, "vGIC distributor",
                         error) &&
             set_address(gic->fd, KVM_VGIC_V2_ADDR_TYPE_CPU, config->cpu_base, "vGIC CPU interface",
                         error);
    return ok && ioctl_set_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &config->n_irqs, error,
                                "KVM_SET_DEVICE_ATTR (vGIC, %u interrupts)", config->n_irqs);
}

static bool create_its(Gic *gic, GError **error)
{
    gic->its_fd = create_device(gic, KVM_DEV_TYPE_ARM_VGIC_ITS, "vGIC ITS", error);
    return gic->its_fd >= 0 &&
           set_address(gic->its_fd, KVM_VGIC_ITS_ADDR_TYPE, gic->config->gic.its_base, "vGIC ITS",
                       error) &&
           ioctl_set_attr(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL,
                          error, "KVM_SET_DEVICE_ATTR (vGIC ITS init)");
}

bool gic_init(Gic *gic, GError **error)
{
    if (!ioctl_set_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, error,
                        "KVM_SET_DEVICE_ATTR (vGIC init)"))
        return false;
    return gic->lent || !gic->config->gic.its_base || create_its(gic, error);
}

void gic_clear(Gic *gic)
{
    if (gic->lent)
        return;
    if (gic->its_fd >= 0)
        close(gic->its_fd);
    if (gic->fd >= 0)
        close(gic->fd);
}

bool gic_set_line(const Gic *gic, uint32_t intid, bool level, GError **error)
{
    struct kvm_irq_level line = {
        .irq = (uint32_t)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | intid, .level = level};

    return ioctl_call(gic->vm_fd, KVM_IRQ_LINE, &line, error, "KVM_IRQ_LINE (INTID %u, %s)", intid,
                      level ? "high" : "low") >= 0;
}
