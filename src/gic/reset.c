/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM has no ioctl that resets its GIC. The state that the guest left is overwritten by KVM's
 * initial state, register by register (Documentation/virt/kvm/devices/arm-vgic*.rst).
 */
#include "gic/gic.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "error.h"

/* How often and how long to wait for a vCPU's ioctl to end, in µs. */
#define BUSY_TRIES 20
#define BUSY_WAIT  500

#define N_PRIVATE 32 /* SGIs and PPIs */
#define SGIS      0xffffu

/* Arm IHI 0069H, 12.9 and 12.11: distributor and redistributor */
enum {
    GICD_CTLR = 0x0000,
    GICD_IIDR = 0x0008,
    GICD_ITARGETSR = 0x0800,
    GICD_IROUTER = 0x6000,
    GICR_CTLR = 0x0000,
    GICR_PROPBASER = 0x0070,
    GICR_PENDBASER = 0x0078,
    /* The frame with the private interrupts' fields, which lie as the distributor's do. */
    GICR_SGI_BASE = 0x10000,
    ISENABLER = 0x0100,
    ISPENDR = 0x0200,
    ICPENDR = 0x0280,
};

/* What KVM's LPI tables are at first: at 0, inner shareable, read-allocate write-back. */
#define TABLE_ATTRIBUTES 0x580u

/* The registers with a field for each interrupt. */
static const struct {
    uint32_t offset;
    uint32_t bits;   /* in a field */
    uint32_t v2, v3; /* a word of fields: the value it gets */
} fields[] = {
    {0x0180, 1, ~0u, ~0u},               /* ICENABLER */
    {0x0380, 1, ~0u, ~0u},               /* ICACTIVER */
    {ICPENDR, 1, ~0u, ~0u},              /* clears with GICv2, is ignored with GICv3 … */
    {ISPENDR, 1, 0, 0},                  /* … whose KVM takes this for the whole state */
    {0x0080, 1, 0, ~0u},                 /* IGROUPR */
    {0x0400, 8, 0, 0},                   /* IPRIORITYR */
    {0x0c00, 2, 0xaaaaaaaa, 0xaaaaaaaa}, /* ICFGR: edge; fixed for the private ones */
};

/* Arm IHI 0069H, 12.2, as KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS has them. */
#define ICC(op1, crn, crm, op2) (3u << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
#define ICC_CTLR                ICC(0u, 12u, 12u, 4u)
#define ICC_AP0R(n)             ICC(0u, 12u, 8u, 4u + (n))
#define ICC_AP1R(n)             ICC(0u, 12u, 9u, (n))
/* ICC_CTLR: CBPR and EOImode, all of it that can be written. Bits 10-8: priority bits - 1. */
#define ICC_CTLR_WRITABLE 3u

/*
 * KVM answers EBUSY while any vCPU is in an ioctl. No vCPU runs, but the VMM may just look into one
 * of them, for its statistics, say.
 */
static bool access_attr(int fd, unsigned long request, const char *name, uint32_t group,
                        uint64_t attr, const void *value, GError **error)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr, .addr = (uintptr_t)value};

    for (int i = 1; ioctl(fd, request, &arg) < 0; i++) {
        if (errno != EBUSY || i == BUSY_TRIES)
            return refuse(error, VCPUHP_ERROR_KVM, "%s (vGIC reset, group %u, 0x%" PRIx64 "): %s",
                          name, group, attr, g_strerror(errno));
        g_usleep(BUSY_WAIT);
    }
    return true;
}

static bool set_register(const Gic *gic, uint32_t group, uint64_t attr, const void *value,
                         GError **error)
{
    return access_attr(gic->fd, KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", group, attr, value,
                       error);
}

static bool get_register(const Gic *gic, uint32_t group, uint64_t attr, void *ret_value,
                         GError **error)
{
    return access_attr(gic->fd, KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", group, attr, ret_value,
                       error);
}

static bool set_words(const Gic *gic, uint32_t group, uint64_t attr, uint32_t n, uint32_t stride,
                      uint32_t value, GError **error)
{
    for (uint32_t i = 0; i < n; i++)
        if (!set_register(gic, group, attr + i * stride, &value, error))
            return false;
    return true;
}

/* The fields of n interrupts from first on, both multiples of 32, in the frame at attr. */
static bool reset_fields(const Gic *gic, uint32_t group, uint64_t attr, uint32_t first, uint32_t n,
                         GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
        if (!set_words(gic, group, attr + fields[i].offset + first * fields[i].bits / 8,
                       n * fields[i].bits / 32, 4,
                       gic->config->gic.version == 3 ? fields[i].v3 : fields[i].v2, error))
            return false;
    return true;
}

/* KVM enables SGIs from the start. */
static bool reset_private(const Gic *gic, uint32_t group, uint64_t attr, GError **error)
{
    return reset_fields(gic, group, attr, 0, N_PRIVATE, error) &&
           set_words(gic, group, attr + ISENABLER, 1, 4, SGIS, error);
}

/* --- GICv3 --- */

/* No SPI's upper word of IROUTER: KVM has no Aff3 there. */
static bool reset_v3_distributor(const Gic *gic, GError **error)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    uint32_t n_spis = gic->config->gic.n_irqs - N_PRIVATE;

    return set_words(gic, group, GICD_CTLR, 1, 4, 0, error) &&
           reset_fields(gic, group, 0, N_PRIVATE, n_spis, error) &&
           set_words(gic, group, GICD_IROUTER + N_PRIVATE * 8, n_spis, 8, 0, error);
}

/* How KVM addresses a vCPU's registers. There is no Aff3: vcpuhp_kvm_setup() refuses it. */
static uint64_t v3_frame(const Gic *gic, uint32_t vcpu)
{
    return gic->config->mpidrs[vcpu] << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
}

/* LPIs go first: the tables' addresses can't be changed while they are enabled. */
static bool reset_redistributor(const Gic *gic, uint64_t frame, GError **error)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

    return set_words(gic, group, frame + GICR_CTLR, 1, 4, 0, error) &&
           set_words(gic, group, frame + GICR_PROPBASER, 1, 4, TABLE_ATTRIBUTES, error) &&
           set_words(gic, group, frame + GICR_PROPBASER + 4, 1, 4, 0, error) &&
           set_words(gic, group, frame + GICR_PENDBASER, 1, 4, TABLE_ATTRIBUTES, error) &&
           set_words(gic, group, frame + GICR_PENDBASER + 4, 1, 4, 0, error) &&
           reset_private(gic, group, frame + GICR_SGI_BASE, error);
}

static bool reset_v3_cpu_interface(const Gic *gic, uint32_t vcpu, GError **error)
{
    static const uint32_t zeros[] = {
        ICC(0u, 12u, 12u, 6u), /* IGRPEN0 */
        ICC(0u, 12u, 12u, 7u), /* IGRPEN1 */
        ICC(0u, 4u, 6u, 0u),   /* PMR */
        ICC(0u, 12u, 8u, 3u),  /* BPR0 */
        ICC(0u, 12u, 12u, 3u), /* BPR1, which is a copy of BPR0 while CBPR is set */
    };
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
    const uint64_t frame = v3_frame(gic, vcpu), zero = 0;
    uint32_t n_active;
    uint64_t ctlr = 0;

    if (!get_register(gic, group, frame | ICC_CTLR, &ctlr, error))
        return false;
    /* As many active priorities registers as 32 preemption levels each need. */
    n_active = 1u << (MAX(ctlr >> 8 & 7, 4) - 4);
    ctlr &= ~(uint64_t)ICC_CTLR_WRITABLE;
    if (!set_register(gic, group, frame | ICC_CTLR, &ctlr, error))
        return false;
    for (gsize i = 0; i < G_N_ELEMENTS(zeros); i++)
        if (!set_register(gic, group, frame | zeros[i], &zero, error))
            return false;
    for (uint32_t i = 0; i < n_active; i++)
        if (!set_register(gic, group, frame | ICC_AP0R(i), &zero, error) ||
            !set_register(gic, group, frame | ICC_AP1R(i), &zero, error))
            return false;
    return true;
}

static bool reset_its(const Gic *gic, GError **error)
{
    return gic->its_fd < 0 ||
           access_attr(gic->its_fd, KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR",
                       KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET, NULL, error);
}

/* --- GICv2 --- */

static uint64_t v2_bank(uint32_t vcpu)
{
    return (uint64_t)vcpu << KVM_DEV_ARM_VGIC_CPUID_SHIFT;
}

/* KVM ignores IGROUPR writes until user space has written GICD_IIDR back. */
static bool confirm_iidr(const Gic *gic, GError **error)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    uint32_t iidr;

    return get_register(gic, group, GICD_IIDR, &iidr, error) &&
           set_register(gic, group, GICD_IIDR, &iidr, error);
}

static bool reset_v2_distributor(const Gic *gic, GError **error)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    uint32_t n_spis = gic->config->gic.n_irqs - N_PRIVATE;

    return set_words(gic, group, GICD_CTLR, 1, 4, 0, error) && confirm_iidr(gic, error) &&
           reset_fields(gic, group, 0, N_PRIVATE, n_spis, error) &&
           set_words(gic, group, GICD_ITARGETSR + N_PRIVATE, n_spis / 4, 4, 0, error);
}

static bool reset_v2_cpu_interface(const Gic *gic, uint32_t vcpu, GError **error)
{
    static const uint32_t zeros[] = {0x00, 0x04, 0x08, 0x1c, 0xd0}; /* CTLR PMR BPR ABPR APR0 */

    for (gsize i = 0; i < G_N_ELEMENTS(zeros); i++)
        if (!set_words(gic, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, v2_bank(vcpu) + zeros[i], 1, 4, 0,
                       error))
            return false;
    return true;
}

/* --- Either --- */

static bool is_v3(const Gic *gic)
{
    return gic->config->gic.version == 3;
}

bool gic_reset(const Gic *gic, GError **error)
{
    return is_v3(gic) ? reset_its(gic, error) && reset_v3_distributor(gic, error)
                      : reset_v2_distributor(gic, error);
}

bool gic_reset_vcpu(const Gic *gic, uint32_t vcpu, GError **error)
{
    if (is_v3(gic))
        return reset_redistributor(gic, v3_frame(gic, vcpu), error) &&
               reset_v3_cpu_interface(gic, vcpu, error);
    return reset_private(gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, v2_bank(vcpu), error) &&
           reset_v2_cpu_interface(gic, vcpu, error);
}

bool gic_clear_pending(const Gic *gic, uint32_t vcpu, GError **error)
{
    if (is_v3(gic))
        return set_words(gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
                         v3_frame(gic, vcpu) + GICR_SGI_BASE + ISPENDR, 1, 4, 0, error);
    return set_words(gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, v2_bank(vcpu) + ICPENDR, 1, 4, ~0u,
                     error);
}
