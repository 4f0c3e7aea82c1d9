/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each register is named once, in the order in which it is loaded: a Transfer saves it, loads it, or
 * counts its bytes (Documentation/virt/kvm/devices/arm-vgic*.rst).
 */
#include "gic/state.h"

#include <inttypes.h>

#include "error.h"
#include "gic/regs.h"

#define N_BASERS 8

/* One of writer, reader and size is set. */
typedef struct Transfer {
    const Gic *gic;
    BlobWriter *writer;
    BlobReader *reader;
    size_t *size;
    GError **error;
} Transfer;

/* The bits in mask of a register of 32 bits. */
static bool move_masked(const Transfer *t, uint32_t group, uint64_t attr, uint32_t mask)
{
    uint32_t value = 0;

    if (t->size) {
        *t->size += sizeof(value);
        return true;
    }
    if (t->writer) {
        if (!gic_get(t->gic, group, attr, &value, t->error))
            return false;
        blob_put_u32(t->writer, value & mask);
        return true;
    }
    value = blob_get_u32(t->reader);
    return gic_set(t->gic, group, attr, &value, t->error);
}

static bool move(const Transfer *t, uint32_t group, uint64_t attr)
{
    return move_masked(t, group, attr, ~0u);
}

static bool move_words(const Transfer *t, uint32_t group, uint64_t attr, uint32_t n,
                       uint32_t stride)
{
    for (uint32_t i = 0; i < n; i++)
        if (!move(t, group, attr + i * stride))
            return false;
    return true;
}

/* A register of 64 bits. exists: KVM has it; otherwise it is saved as 0. */
static bool move_long(const Transfer *t, uint32_t group, uint64_t attr, bool exists)
{
    uint64_t value = 0;

    if (t->size) {
        *t->size += sizeof(value);
        return true;
    }
    if (t->writer) {
        if (exists && !gic_get(t->gic, group, attr, &value, t->error))
            return false;
        blob_put_u64(t->writer, value);
        return true;
    }
    value = blob_get_u64(t->reader);
    return !exists || gic_set(t->gic, group, attr, &value, t->error);
}

/* Before a register is loaded whose ones set bits, and whose zeros change nothing. */
static bool clear(const Transfer *t, uint32_t group, uint64_t attr, uint32_t n)
{
    return !t->reader || gic_set_words(t->gic, group, attr, n, 4, ~0u, t->error);
}

/* --- Fields of interrupts --- */

/* The levels of the lines of 32 interrupts from first on. A GICv2 has no such registers. */
static bool move_lines(const Transfer *t, uint64_t affinity, uint32_t first)
{
    return move(t, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
                affinity |
                    (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT |
                    first);
}

/* Pending interrupts of 32 from first on: the latch. A GICv2 has the SGIs with their sources in
 * registers of their own, and what is in ISPENDR as well would be pending twice. */
static bool move_pending(const Transfer *t, uint32_t group, uint64_t frame, uint32_t first)
{
    bool v2_sgis = !gic_is_v3(t->gic) && first == 0;

    return move_masked(t, group, frame + ISPENDR + first / 8, v2_sgis ? ~SGIS : ~0u) &&
           (!v2_sgis || move_words(t, group, frame + SPENDSGIR, 4, 4));
}

/* 32 interrupts from first on, in the frame at attr. The level counts, and the target, before what
 * is pending and enabled is queued. */
static bool move_interrupts(const Transfer *t, uint32_t group, uint64_t frame, uint64_t affinity,
                            uint32_t first)
{
    return move(t, group, frame + IGROUPR + first / 8) &&
           move_words(t, group, frame + ICFGR + first / 4, 2, 4) &&
           move_words(t, group, frame + IPRIORITYR + first, 8, 4) &&
           (gic_is_v3(t->gic) ? move_lines(t, affinity, first)
                              : move_words(t, group, frame + ITARGETSR + first, 8, 4)) &&
           move_pending(t, group, frame, first) && move(t, group, frame + ISACTIVER + first / 8) &&
           clear(t, group, frame + ICENABLER + first / 8, 1) &&
           move(t, group, frame + ISENABLER + first / 8);
}

/* --- Parts --- */

/* No SPI's upper word of IROUTER: KVM has no Aff3 there. */
static bool move_distributor(const Transfer *t, uint32_t vcpu)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    uint32_t n_irqs = t->gic->config->gic.n_irqs;

    (void)vcpu;
    if (!move(t, group, GICD_CTLR))
        return false;
    if (gic_is_v3(t->gic) &&
        !move_words(t, group, GICD_IROUTER + N_PRIVATE * 8, n_irqs - N_PRIVATE, 8))
        return false;
    for (uint32_t first = N_PRIVATE; first < n_irqs; first += 32)
        if (!move_interrupts(t, group, 0, gic_is_v3(t->gic) ? gic_v3_frame(t->gic, 0) : 0, first))
            return false;
    return true;
}

/* The tables of LPIs come before CTLR, which enables them: after that KVM ignores their addresses.
 */
static bool move_lpis(const Transfer *t, uint64_t frame)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

    return move_words(t, group, frame + GICR_PROPBASER, 2, 4) &&
           move_words(t, group, frame + GICR_PENDBASER, 2, 4) && move(t, group, frame + GICR_CTLR);
}

static bool move_private(const Transfer *t, uint32_t vcpu)
{
    const Gic *gic = t->gic;
    uint64_t affinity = gic_is_v3(gic) ? gic_v3_frame(gic, vcpu) : 0;

    return (!gic_is_v3(gic) || move_lpis(t, affinity)) &&
           move_interrupts(t, gic_private_group(gic), gic_private_frame(gic, vcpu), affinity, 0);
}

static bool move_private_pending(const Transfer *t, uint32_t vcpu)
{
    return move_pending(t, gic_private_group(t->gic), gic_private_frame(t->gic, vcpu), 0);
}

/* BPR1 comes before CTLR, whose CBPR makes KVM ignore it. CTLR's fixed bits, which say how many
 * active priorities registers there are, are those of the source: gic_load_host(). */
static bool move_v3_cpu(const Transfer *t, uint32_t vcpu)
{
    static const uint32_t registers[] = {ICC_PMR,  ICC_BPR0,    ICC_BPR1,
                                         ICC_CTLR, ICC_IGRPEN0, ICC_IGRPEN1};
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
    uint64_t frame = gic_v3_frame(t->gic, vcpu), ctlr = 0;

    if (!t->size && !gic_get(t->gic, group, frame | ICC_CTLR, &ctlr, t->error))
        return false;
    for (uint32_t i = 0; i < MAX_APRS; i++)
        if (!move_long(t, group, frame | ICC_AP0R(i), i < gic_n_aprs(ctlr)) ||
            !move_long(t, group, frame | ICC_AP1R(i), i < gic_n_aprs(ctlr)))
            return false;
    for (gsize i = 0; i < G_N_ELEMENTS(registers); i++)
        if (!move_long(t, group, frame | registers[i], true))
            return false;
    return true;
}

static bool move_v2_cpu(const Transfer *t, uint32_t vcpu)
{
    static const uint32_t registers[] = {GICC_CTLR, GICC_PMR, GICC_BPR, GICC_ABPR};
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_REGS;
    uint64_t bank = gic_v2_bank(vcpu);

    for (gsize i = 0; i < G_N_ELEMENTS(registers); i++)
        if (!move(t, group, bank + registers[i]))
            return false;
    return move_words(t, group, bank + GICC_APR, MAX_APRS, 4);
}

static bool move_cpu(const Transfer *t, uint32_t vcpu)
{
    return gic_is_v3(t->gic) ? move_v3_cpu(t, vcpu) : move_v2_cpu(t, vcpu);
}

/* CBASER zeroes CREADR and CWRITER. CTLR comes last: an ITS that is enabled refuses the others, and
 * KVM reads the tables before it. */
static bool move_its(const Transfer *t, uint32_t vcpu)
{
    static const uint32_t registers[] = {GITS_CBASER, GITS_CREADR, GITS_CWRITER};
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_ITS_REGS;

    (void)vcpu;
    if (t->gic->its_fd < 0)
        return true;
    for (gsize i = 0; i < G_N_ELEMENTS(registers); i++)
        if (!move_long(t, group, registers[i], true))
            return false;
    for (uint32_t i = 0; i < N_BASERS; i++)
        if (!move_long(t, group, GITS_BASER + i * 8, true))
            return false;
    return (!t->reader || gic_control(t->gic->its_fd, KVM_DEV_ARM_ITS_RESTORE_TABLES, t->error)) &&
           move_long(t, group, GITS_CTLR, true);
}

static bool move_part(const Transfer *t, GicPart part, uint32_t vcpu)
{
    static bool (*const parts[])(const Transfer *t, uint32_t vcpu) = {
        [GIC_DISTRIBUTOR] = move_distributor,
        [GIC_PRIVATE] = move_private,
        [GIC_PENDING] = move_private_pending,
        [GIC_CPU] = move_cpu,
        [GIC_ITS] = move_its,
    };

    return parts[part](t, vcpu);
}

bool gic_save(const Gic *gic, GicPart part, uint32_t vcpu, BlobWriter *writer, GError **error)
{
    return move_part(&(Transfer){.gic = gic, .writer = writer, .error = error}, part, vcpu);
}

bool gic_load(const Gic *gic, GicPart part, uint32_t vcpu, BlobReader *reader, GError **error)
{
    return move_part(&(Transfer){.gic = gic, .reader = reader, .error = error}, part, vcpu);
}

size_t gic_state_size(const Gic *gic, GicPart part)
{
    size_t size = 0;

    move_part(&(Transfer){.gic = gic, .size = &size}, part, 0);
    return size;
}

/* The ITS's tables need the vGIC's pending tables neither before nor after. */
bool gic_save_tables(const Gic *gic, GError **error)
{
    return gic->its_fd < 0 || (gic_control(gic->fd, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, error) &&
                               gic_control(gic->its_fd, KVM_DEV_ARM_ITS_SAVE_TABLES, error));
}

/* --- The host's part --- */

/* Where a register that belongs to it is. */
typedef struct HostRegister {
    const char *name;
    uint32_t group, reg;
    uint64_t mask;    /* the bits that are the host's */
    bool per_vcpu;    /* each vCPU has one */
    bool v2, v3, its; /* … with which it exists */
} HostRegister;

static const HostRegister host_registers[] = {
    {"GICD_IIDR", KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, ~0u, false, true, true, false},
    {"GICD_TYPER2", KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_TYPER2, ~0u, false, false, true, false},
    {"ICC_CTLR_EL1", KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, ICC_CTLR, ~(uint64_t)ICC_CTLR_WRITABLE, true,
     false, true, false},
    {"GITS_IIDR", KVM_DEV_ARM_VGIC_GRP_ITS_REGS, GITS_IIDR, ~0u, false, false, false, true},
};

static bool has_register(const Gic *gic, const HostRegister *reg)
{
    return reg->its ? gic->its_fd >= 0 : gic_is_v3(gic) ? reg->v3 : reg->v2;
}

static uint64_t register_attr(const Gic *gic, const HostRegister *reg, uint32_t vcpu)
{
    return reg->per_vcpu ? gic_v3_frame(gic, vcpu) | reg->reg : reg->reg;
}

bool gic_save_host(const Gic *gic, BlobWriter *writer, GError **error)
{
    blob_put_u32(writer, gic->config->gic.version);
    blob_put_u32(writer, gic->its_fd >= 0);
    for (gsize i = 0; i < G_N_ELEMENTS(host_registers); i++) {
        const HostRegister *reg = &host_registers[i];
        uint64_t value = 0;

        if (!has_register(gic, reg))
            continue;
        if (!gic_get(gic, reg->group, register_attr(gic, reg, 0), &value, error))
            return false;
        blob_put_u64(writer, value & reg->mask);
    }
    return true;
}

/* KVM takes some values without effect, so the value is read back. */
static bool load_register(const Gic *gic, const HostRegister *reg, uint32_t vcpu, uint64_t wanted,
                          GError **error)
{
    uint64_t attr = register_attr(gic, reg, vcpu), own = 0, value, now = 0;
    g_autoptr(GError) why = NULL;

    if (!gic_get(gic, reg->group, attr, &own, error))
        return false;
    if ((own & reg->mask) == wanted)
        return true;
    value = (own & ~reg->mask) | wanted;
    if (gic_set(gic, reg->group, attr, &value, &why) &&
        !gic_get(gic, reg->group, attr, &now, error))
        return false;
    return (!why && (now & reg->mask) == wanted) ||
           refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                  "%s is 0x%" PRIx64 " in the saved machine, but 0x%" PRIx64 " on this host%s%s",
                  reg->name, wanted, own & reg->mask, why ? ": " : "", why ? why->message : "");
}

static bool check_layout(const Gic *gic, uint32_t version, bool has_its, GError **error)
{
    if (version != gic->config->gic.version)
        return refuse(error, VCPUHP_ERROR_STATE,
                      "gic.version is %u in the saved machine, but %u here", version,
                      gic->config->gic.version);
    return has_its == (gic->its_fd >= 0) ||
           refuse(error, VCPUHP_ERROR_STATE, "the saved machine has %s ITS, but this one has %s",
                  has_its ? "an" : "no", has_its ? "none" : "one");
}

bool gic_load_host(const Gic *gic, BlobReader *reader, GError **error)
{
    uint32_t version = blob_get_u32(reader), has_its = blob_get_u32(reader);
    uint64_t wanted[G_N_ELEMENTS(host_registers)] = {0};

    if (!check_layout(gic, version, has_its, error))
        return false;
    for (gsize i = 0; i < G_N_ELEMENTS(host_registers); i++)
        if (has_register(gic, &host_registers[i]))
            wanted[i] = blob_get_u64(reader) & host_registers[i].mask;
    if (reader->failed || blob_left(reader))
        return refuse(error, VCPUHP_ERROR_STATE, "the vGIC's registers are not as many as it has");
    for (gsize i = 0; i < G_N_ELEMENTS(host_registers); i++) {
        const HostRegister *reg = &host_registers[i];
        uint32_t n = reg->per_vcpu ? gic->config->n_vcpus : 1;

        for (uint32_t vcpu = 0; has_register(gic, reg) && vcpu < n; vcpu++)
            if (!load_register(gic, reg, vcpu, wanted[i], error))
                return false;
    }
    return gic_is_v3(gic) || gic_confirm_iidr(gic, error);
}
