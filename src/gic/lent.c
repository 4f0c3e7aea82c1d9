/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vGIC that the VMM created. KVM takes any address and number, and a guest that finds others in
 * its tables crashes, so they are read back and compared with the config.
 */
#include "gic/gic.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "error.h"
#include "ioctl.h"

#define REGION_BASE 0x000fffffffff0000ULL
#define NO_ADDRESS  UINT64_MAX

static int get_attr(int fd, uint32_t group, uint64_t attr, void *ret_value)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr, .addr = (uintptr_t)ret_value};

    return ioctl(fd, KVM_GET_DEVICE_ATTR, &arg);
}

/* part: whose address it is; field: where the config has it. */
static bool check_address(const char *name, int fd, uint64_t type, const char *part,
                          const char *field, uint64_t expected, GError **error)
{
    uint64_t value = NO_ADDRESS;

    if (get_attr(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &value) < 0)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "%s is %d, not a KVM device with %s: KVM_GET_DEVICE_ATTR: %s", name, fd, part,
                      g_strerror(errno));
    if (value == expected)
        return true;
    if (value == NO_ADDRESS)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "%s is %d, where %s has no address, but %s is 0x%" PRIx64, name, fd, part,
                      field, expected);
    return refuse(error, VCPUHP_ERROR_INVALID,
                  "%s is %d, where %s is at 0x%" PRIx64 ", but %s is 0x%" PRIx64, name, fd, part,
                  value, field, expected);
}

static bool check_version(const Gic *gic, GError **error)
{
    uint32_t version = gic->config->gic.version;

    if (ioctl_has_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
                       version == 3 ? KVM_VGIC_V3_ADDR_TYPE_DIST : KVM_VGIC_V2_ADDR_TYPE_DIST))
        return true;
    return refuse(error, VCPUHP_ERROR_INVALID,
                  "vgic_fd is %d, not a KVM GICv%u device, but gic.version is %u: "
                  "KVM_HAS_DEVICE_ATTR: %s",
                  gic->fd, version, version, g_strerror(errno));
}

static bool check_n_irqs(const Gic *gic, GError **error)
{
    uint32_t n_irqs = 0;

    if (get_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &n_irqs) < 0)
        return refuse(error, VCPUHP_ERROR_KVM, "KVM_GET_DEVICE_ATTR (vGIC, interrupts): %s",
                      g_strerror(errno));
    if (n_irqs == gic->config->gic.n_irqs)
        return true;
    return refuse(error, VCPUHP_ERROR_INVALID,
                  "vgic_fd is %d, a vGIC of %u interrupts, but gic.n_irqs is %u", gic->fd, n_irqs,
                  gic->config->gic.n_irqs);
}

/* The index of a region is the argument, and the region the result. */
static int get_region(const Gic *gic, uint64_t index, uint64_t *ret_region)
{
    *ret_region = index;
    return get_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
                    ret_region);
}

/* KVM shows the one region of KVM_VGIC_V3_ADDR_TYPE_REDIST, which has no limit, with a count of 0.
 */
static bool check_region(const Gic *gic, uint32_t index, uint64_t region, GError **error)
{
    const VcpuhpRedist *expected = &gic->config->gic.redists[index];
    uint64_t base = region & REGION_BASE;
    uint32_t count = region >> REGION_COUNT_SHIFT;

    if (base != expected->base)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "vgic_fd is %d, where redistributor region %u is at 0x%" PRIx64
                      ", but gic.redists[%u].base is 0x%" PRIx64,
                      gic->fd, index, base, index, expected->base);
    if (count && count != expected->count)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "vgic_fd is %d, where redistributor region %u has a count of %u, but "
                      "gic.redists[%u].count is %u",
                      gic->fd, index, count, index, expected->count);
    return true;
}

/* Sets *ret_n to the number of regions, or to one more than the config has. */
static bool check_each_region(const Gic *gic, uint32_t *ret_n, GError **error)
{
    uint32_t n_redists = gic->config->gic.n_redists;
    uint64_t region;

    for (*ret_n = 0; *ret_n <= n_redists; (*ret_n)++) {
        if (get_region(gic, *ret_n, &region) < 0)
            return errno == ENOENT ||
                   refuse(error, VCPUHP_ERROR_KVM,
                          "KVM_GET_DEVICE_ATTR (vGIC, redistributor region %u): %s", *ret_n,
                          g_strerror(errno));
        if (*ret_n < n_redists && !check_region(gic, *ret_n, region, error))
            return false;
    }
    return true;
}

static bool check_regions(const Gic *gic, GError **error)
{
    uint32_t n, n_redists = gic->config->gic.n_redists;

    if (!check_each_region(gic, &n, error))
        return false;
    if (n == n_redists)
        return true;
    return refuse(error, VCPUHP_ERROR_INVALID,
                  "vgic_fd is %d, a vGIC with %s%u redistributor regions, but gic.n_redists is %u",
                  gic->fd, n > n_redists ? "at least " : "", n, n_redists);
}

static bool check_addresses(const Gic *gic, GError **error)
{
    const VcpuhpGic *config = &gic->config->gic;

    if (config->version == 3)
        return check_address("vgic_fd", gic->fd, KVM_VGIC_V3_ADDR_TYPE_DIST, "the distributor",
                             "gic.dist_base", config->dist_base, error) &&
               check_regions(gic, error);
    return check_address("vgic_fd", gic->fd, KVM_VGIC_V2_ADDR_TYPE_DIST, "the distributor",
                         "gic.dist_base", config->dist_base, error) &&
           check_address("vgic_fd", gic->fd, KVM_VGIC_V2_ADDR_TYPE_CPU, "the CPU interface",
                         "gic.cpu_base", config->cpu_base, error);
}

bool gic_check_lent(const Gic *gic, GError **error)
{
    return check_version(gic, error) && check_addresses(gic, error) && check_n_irqs(gic, error) &&
           (gic->its_fd < 0 ||
            check_address("its_fd", gic->its_fd, KVM_VGIC_ITS_ADDR_TYPE, "the ITS", "gic.its_base",
                          gic->config->gic.its_base, error));
}

/* KVM has no attribute that says so, but refuses access to GICD_CTLR before. It initialises a GICv2
 * itself when that is needed. */
bool gic_check_initialised(const Gic *gic, GError **error)
{
    uint32_t ctlr;

    if (gic->config->gic.version == 2 ||
        get_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, &ctlr) >= 0)
        return true;
    if (errno == EBUSY)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "vgic_fd is %d, a vGIC that is not initialised, but vcpu_fds is set",
                      gic->fd);
    return refuse(error, VCPUHP_ERROR_KVM, "KVM_GET_DEVICE_ATTR (vGIC, GICD_CTLR): %s",
                  g_strerror(errno));
}
