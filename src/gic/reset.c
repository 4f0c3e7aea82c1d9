/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM has no ioctl that resets its GIC. The state that the guest left is overwritten by KVM's
 * initial state, register by register (Documentation/virt/kvm/devices/arm-vgic*.rst).
 */
#include "gic/regs.h"

/* What KVM's LPI tables are at first: at 0, inner shareable, read-allocate write-back. */
#define TABLE_ATTRIBUTES 0x580u

/* The registers with a field for each interrupt. */
static const struct {
    uint32_t offset;
    uint32_t bits;   /* in a field */
    uint32_t v2, v3; /* a word of fields: the value it gets */
} fields[] = {
    {ICENABLER, 1, ~0u, ~0u},
    {ICACTIVER, 1, ~0u, ~0u},
    {ICPENDR, 1, ~0u, ~0u}, /* clears with GICv2, is ignored with GICv3 … */
    {ISPENDR, 1, 0, 0},     /* … whose KVM takes this for the whole state */
    {IGROUPR, 1, 0, ~0u},
    {IPRIORITYR, 8, 0, 0},
    {ICFGR, 2, 0xaaaaaaaa, 0xaaaaaaaa}, /* edge; fixed for the private ones */
};

/* The fields of n interrupts from first on, both multiples of 32, in the frame at attr. */
static bool reset_fields(const Gic *gic, uint32_t group, uint64_t attr, uint32_t first, uint32_t n,
                         GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
        if (!gic_set_words(gic, group, attr + fields[i].offset + first * fields[i].bits / 8,
                           n * fields[i].bits / 32, 4,
                           gic->config->gic.version == 3 ? fields[i].v3 : fields[i].v2, error))
            return false;
    return true;
}

/* KVM enables SGIs from the start. */
static bool reset_private(const Gic *gic, uint32_t group, uint64_t attr, GError **error)
{
    return reset_fields(gic, group, attr, 0, N_PRIVATE, error) &&
           gic_set_words(gic, group, attr + ISENABLER, 1, 4, SGIS, error);
}

/* --- GICv3 --- */

/* No SPI's upper word of IROUTER: KVM has no Aff3 there. */
static bool reset_v3_distributor(const Gic *gic, GError **error)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    uint32_t n_spis = gic->config->gic.n_irqs - N_PRIVATE;

    return gic_set_words(gic, group, GICD_CTLR, 1, 4, 0, error) &&
           reset_fields(gic, group, 0, N_PRIVATE, n_spis, error) &&
           gic_set_words(gic, group, GICD_IROUTER + N_PRIVATE * 8, n_spis, 8, 0, error);
}

/* LPIs go first: the tables' addresses can't be changed while they are enabled. */
static bool reset_redistributor(const Gic *gic, uint64_t frame, GError **error)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

    return gic_set_words(gic, group, frame + GICR_CTLR, 1, 4, 0, error) &&
           gic_set_words(gic, group, frame + GICR_PROPBASER, 1, 4, TABLE_ATTRIBUTES, error) &&
           gic_set_words(gic, group, frame + GICR_PROPBASER + 4, 1, 4, 0, error) &&
           gic_set_words(gic, group, frame + GICR_PENDBASER, 1, 4, TABLE_ATTRIBUTES, error) &&
           gic_set_words(gic, group, frame + GICR_PENDBASER + 4, 1, 4, 0, error) &&
           reset_private(gic, group, frame + GICR_SGI_BASE, error);
}

static bool reset_v3_cpu_interface(const Gic *gic, uint32_t vcpu, GError **error)
{
    static const uint32_t zeros[] = {
        ICC_IGRPEN0, ICC_IGRPEN1, ICC_PMR,
        ICC_BPR0,    ICC_BPR1, /* a copy of BPR0 while CBPR is set */
    };
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
    const uint64_t frame = gic_v3_frame(gic, vcpu), zero = 0;
    uint32_t n_active;
    uint64_t ctlr = 0;

    if (!gic_get(gic, group, frame | ICC_CTLR, &ctlr, error))
        return false;
    n_active = gic_n_aprs(ctlr);
    ctlr &= ~(uint64_t)ICC_CTLR_WRITABLE;
    if (!gic_set(gic, group, frame | ICC_CTLR, &ctlr, error))
        return false;
    for (gsize i = 0; i < G_N_ELEMENTS(zeros); i++)
        if (!gic_set(gic, group, frame | zeros[i], &zero, error))
            return false;
    for (uint32_t i = 0; i < n_active; i++)
        if (!gic_set(gic, group, frame | ICC_AP0R(i), &zero, error) ||
            !gic_set(gic, group, frame | ICC_AP1R(i), &zero, error))
            return false;
    return true;
}

static bool reset_its(const Gic *gic, GError **error)
{
    return gic->its_fd < 0 || gic_control(gic->its_fd, KVM_DEV_ARM_ITS_CTRL_RESET, error);
}

/* --- GICv2 --- */

static bool reset_v2_distributor(const Gic *gic, GError **error)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    uint32_t n_spis = gic->config->gic.n_irqs - N_PRIVATE;

    return gic_set_words(gic, group, GICD_CTLR, 1, 4, 0, error) && gic_confirm_iidr(gic, error) &&
           reset_fields(gic, group, 0, N_PRIVATE, n_spis, error) &&
           gic_set_words(gic, group, ITARGETSR + N_PRIVATE, n_spis / 4, 4, 0, error);
}

static bool reset_v2_cpu_interface(const Gic *gic, uint32_t vcpu, GError **error)
{
    static const uint32_t zeros[] = {GICC_CTLR, GICC_PMR, GICC_BPR, GICC_ABPR, GICC_APR};

    for (gsize i = 0; i < G_N_ELEMENTS(zeros); i++)
        if (!gic_set_words(gic, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, gic_v2_bank(vcpu) + zeros[i], 1, 4,
                           0, error))
            return false;
    return true;
}

/* --- Either --- */

bool gic_reset(const Gic *gic, GError **error)
{
    return gic_is_v3(gic) ? reset_its(gic, error) && reset_v3_distributor(gic, error)
                          : reset_v2_distributor(gic, error);
}

bool gic_reset_vcpu(const Gic *gic, uint32_t vcpu, GError **error)
{
    if (gic_is_v3(gic))
        return reset_redistributor(gic, gic_v3_frame(gic, vcpu), error) &&
               reset_v3_cpu_interface(gic, vcpu, error);
    return reset_private(gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, gic_v2_bank(vcpu), error) &&
           reset_v2_cpu_interface(gic, vcpu, error);
}

bool gic_clear_pending(const Gic *gic, uint32_t vcpu, GError **error)
{
    return gic_is_v3(gic)
               ? gic_set_words(gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
                               gic_v3_frame(gic, vcpu) + GICR_SGI_BASE + ISPENDR, 1, 4, 0, error)
               : gic_set_words(gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, gic_v2_bank(vcpu) + ICPENDR, 1,
                               4, ~0u, error);
}
