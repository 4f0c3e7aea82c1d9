/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include <vcpuhp/regs.h>

#include "error.h"
#include "sized.h"

/* The INTIDs of KVM's distributor: more than the 32 private ones, in steps of 32, without the
 * special ones from 1020 on. */
#define IRQS_MIN  64
#define IRQS_MAX  992
#define IRQS_STEP 32
#define FIRST_SPI 32
#define FIRST_PPI 16
/* BSA (DEN0094) assigns these PPIs to the GIC's maintenance interrupt and the timers. */
#define RESERVED_PPI_MIN 25
#define RESERVED_PPI_MAX 30
/* A region in KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION has 12 bits for the count and 52 for the
 * address. */
#define REDIST_COUNT_MAX 4095
#define ADDRESS_MAX      (1ULL << 52)

G_STATIC_ASSERT(VCPUHP_MAX_VCPUS <= REDIST_COUNT_MAX);

static VcpuhpConfig default_config(uint32_t n_vcpus, uint32_t n_enabled)
{
    return (VcpuhpConfig){
        .size = sizeof(VcpuhpConfig),
        .n_vcpus = n_vcpus,
        .n_enabled = n_enabled,
        .gic = {.version = 3,
                .n_irqs = 256,
                .dist_base = 0x08000000,
                .redists = {{.base = 0x0a000000}},
                .n_redists = 1},
        .regs_base = 0x09000000,
        .event_irq = 33,
        .retry_ms = 30000,
        .eject_timeout_ms = 30000,
    };
}

void vcpuhp_config_set_defaults(VcpuhpConfig *config, uint32_t n_vcpus, uint32_t n_enabled)
{
    const VcpuhpConfig defaults = default_config(n_vcpus, n_enabled);

    /* With an impossible size nothing is written, and vcpuhp_new() refuses it. */
    sized_copy_out(config, &defaults, sizeof(defaults), SIZED_FIRST(VcpuhpConfig, eject_timeout_ms),
                   "VcpuhpConfig", NULL);
}

#define REFUSE(...) refuse(error, VCPUHP_ERROR_INVALID, __VA_ARGS__)

/* --- Slots, MPIDRs, topology --- */

static bool check_counts(const VcpuhpConfig *from, GError **error)
{
    uint32_t limit = from->gic.version == 2 ? VCPUHP_MAX_VCPUS_GICV2 : VCPUHP_MAX_VCPUS;

    if (from->gic.version != 2 && from->gic.version != 3)
        return REFUSE("gic.version is %u, not 2 or 3", from->gic.version);
    if (from->n_vcpus < 1 || from->n_vcpus > limit)
        return REFUSE("n_vcpus is %u, not 1 … %u with GICv%u", from->n_vcpus, limit,
                      from->gic.version);
    if (from->n_enabled < 1 || from->n_enabled > from->n_vcpus)
        return REFUSE("n_enabled is %u, not 1 … %u (n_vcpus)", from->n_enabled, from->n_vcpus);
    if (from->coldplug != VCPUHP_COLDPLUG_FIXED && from->coldplug != VCPUHP_COLDPLUG_REMOVABLE)
        return REFUSE("coldplug is %d, which is not a VcpuhpColdplug", (int)from->coldplug);
    if (from->eject_timeout_ms < 1)
        return REFUSE("eject_timeout_ms is 0, not 1 or more");
    return true;
}

static bool set_topology(Config *config, const VcpuhpTopology *from, GError **error)
{
    uint64_t product = 1;
    const uint32_t counts[] = {from->sockets, from->clusters, from->cores, from->threads};

    if (!from->sockets && !from->clusters && !from->cores && !from->threads) {
        config->topology = (VcpuhpTopology){1, 1, config->n_vcpus, 1};
        return true;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++)
        product = counts[i] <= VCPUHP_MAX_VCPUS ? product * counts[i] : 0;
    if (product != config->n_vcpus)
        return REFUSE("topology is %u sockets of %u clusters of %u cores of %u threads, which is "
                      "not %u (n_vcpus)",
                      from->sockets, from->clusters, from->cores, from->threads, config->n_vcpus);
    config->topology = *from;
    return true;
}

static bool check_cache(const VcpuhpCache *caches, uint32_t i, GError **error)
{
    const VcpuhpCache *cache = &caches[i];

    if (cache->level < 1 || cache->level > VCPUHP_MAX_CACHE_LEVEL)
        return REFUSE("caches[%u].level is %u, not 1 … %u", i, cache->level,
                      VCPUHP_MAX_CACHE_LEVEL);
    if ((uint32_t)cache->type > VCPUHP_CACHE_UNIFIED)
        return REFUSE("caches[%u].type is %d, which is not a VcpuhpCacheType", i, (int)cache->type);
    if ((uint32_t)cache->scope > VCPUHP_CACHE_OF_SOCKET)
        return REFUSE("caches[%u].scope is %d, which is not a VcpuhpCacheScope", i,
                      (int)cache->scope);
    if (cache->line_size < 4 || cache->line_size > 2048 ||
        cache->line_size & (cache->line_size - 1))
        return REFUSE("caches[%u].line_size is %u, not a power of two in 4 … 2048", i,
                      cache->line_size);
    if (cache->ways < 1 || cache->ways > 255)
        return REFUSE("caches[%u].ways is %u, not 1 … 255", i, cache->ways);
    if (!cache->size || cache->size % (cache->line_size * cache->ways))
        return REFUSE("caches[%u].size is %u, not a multiple of %u (line_size * ways)", i,
                      cache->size, cache->line_size * cache->ways);
    for (uint32_t k = 0; k < i; k++) {
        bool same_level = caches[k].level == cache->level;

        if (caches[k].level > cache->level || caches[k].scope > cache->scope)
            return REFUSE("caches[%u] is of level %u and scope %d, behind caches[%u] of level %u "
                          "and scope %d",
                          i, cache->level, (int)cache->scope, k, caches[k].level,
                          (int)caches[k].scope);
        if (same_level &&
            (caches[k].type == cache->type || caches[k].type == VCPUHP_CACHE_UNIFIED ||
             cache->type == VCPUHP_CACHE_UNIFIED))
            return REFUSE("caches[%u] holds what caches[%u] holds, on the same level %u", i, k,
                          cache->level);
        if (same_level && caches[k].scope != cache->scope)
            return REFUSE("caches[%u].scope is %d, but that of caches[%u] on the same level is %d",
                          i, (int)cache->scope, k, (int)caches[k].scope);
    }
    return true;
}

static bool set_caches(Config *config, const VcpuhpConfig *from, GError **error)
{
    if (!from->caches)
        return true;
    if (from->n_caches > VCPUHP_MAX_CACHES)
        return REFUSE("n_caches is %u, more than %u", from->n_caches, VCPUHP_MAX_CACHES);
    for (uint32_t i = 0; i < from->n_caches; i++) {
        if (!check_cache(from->caches, i, error))
            return false;
        config->caches[i] = from->caches[i];
        /* The PPTT has a node for each socket, but none for a socket's only cluster. */
        if (config->topology.clusters == 1 && config->caches[i].scope == VCPUHP_CACHE_OF_CLUSTER)
            config->caches[i].scope = VCPUHP_CACHE_OF_SOCKET;
    }
    config->n_caches = from->n_caches;
    return true;
}

/* What KVM assigns to the vCPU with this id: 16 vCPUs to each Aff1, as many as an SGI addresses. */
static uint64_t kvm_mpidr(uint32_t vcpu)
{
    return (vcpu & 0xf) | (uint64_t)((vcpu >> 4) & 0xff) << 8 | (uint64_t)(vcpu >> 12) << 16;
}

/* The reverse of kvm_mpidr(). */
static uint64_t kvm_vcpu(uint64_t mpidr)
{
    return (mpidr & 0xf) | (mpidr >> 8 & 0xff) << 4 | mpidr >> 16 << 12;
}

static bool set_mpidrs(Config *config, const uint64_t *from, GError **error)
{
    config->custom_mpidrs = from != NULL;
    config->mpidrs = g_new(uint64_t, config->n_vcpus);
    memset(config->mpidrs, 0xff, sizeof(*config->mpidrs) * config->n_vcpus); /* of no vCPU */
    config->by_mpidr = g_hash_table_new(g_int64_hash, g_int64_equal);
    for (uint32_t i = 0; i < config->n_vcpus; i++) {
        uint64_t mpidr = from ? from[i] : kvm_mpidr(i);
        int other;

        if (mpidr & ~MPIDR_AFFINITY)
            return REFUSE("mpidrs[%u] is 0x%" PRIx64
                          ", which has bits outside the affinity fields 0x%" PRIx64 "",
                          i, mpidr, (uint64_t)MPIDR_AFFINITY);
        other = config_vcpu_by_mpidr(config, mpidr);
        if (other >= 0)
            return REFUSE("mpidrs[%u] is 0x%" PRIx64 ", as mpidrs[%d] is", i, mpidr, other);
        config->mpidrs[i] = mpidr;
        g_hash_table_insert(config->by_mpidr, &config->mpidrs[i], GUINT_TO_POINTER(i));
    }
    return true;
}

int config_vcpu_by_mpidr(const Config *config, uint64_t affinity)
{
    uint64_t guess = kvm_vcpu(affinity);
    gpointer vcpu;

    if (guess < config->n_vcpus && config->mpidrs[guess] == affinity)
        return (int)guess;
    if (!g_hash_table_lookup_extended(config->by_mpidr, &affinity, NULL, &vcpu))
        return -1;
    return (int)GPOINTER_TO_UINT(vcpu);
}

/* --- Addresses and interrupts --- */

typedef struct Region {
    char field[24];
    uint64_t base, size;
} Region;

/* What occupies the guest-physical address space. */
typedef struct Map {
    Region regions[4 + VCPUHP_MAX_REDISTS];
    gsize n;
} Map;

static bool add_region(Map *map, uint64_t base, uint64_t size, uint64_t align, GError **error,
                       const char *field, ...) G_GNUC_PRINTF(6, 7);

static bool add_region(Map *map, uint64_t base, uint64_t size, uint64_t align, GError **error,
                       const char *field, ...)
{
    Region *region = &map->regions[map->n];
    va_list args;

    *region = (Region){.base = base, .size = size};
    va_start(args, field);
    g_vsnprintf(region->field, sizeof(region->field), field, args);
    va_end(args);
    if (base % align)
        return REFUSE("%s is 0x%" PRIx64 ", not a multiple of 0x%" PRIx64, region->field, base,
                      align);
    if (base >= ADDRESS_MAX || size > ADDRESS_MAX - base)
        return REFUSE("%s is 0x%" PRIx64 ", and its 0x%" PRIx64
                      " bytes reach beyond 52-bit addresses",
                      region->field, base, size);
    for (const Region *other = map->regions; other < region; other++)
        if (base < other->base + other->size && other->base < base + size)
            return REFUSE("%s (0x%" PRIx64 ", 0x%" PRIx64 " bytes) overlaps %s (0x%" PRIx64
                          ", 0x%" PRIx64 " bytes)",
                          region->field, base, size, other->field, other->base, other->size);
    map->n++;
    return true;
}

static bool add_redists(const Config *config, Map *map, GError **error)
{
    const VcpuhpGic *gic = &config->gic;
    uint64_t sum = 0;

    if (gic->n_redists < 1 || gic->n_redists > VCPUHP_MAX_REDISTS)
        return REFUSE("gic.n_redists is %u, not 1 … %u", gic->n_redists, VCPUHP_MAX_REDISTS);
    for (uint32_t i = 0; i < gic->n_redists; i++) {
        const VcpuhpRedist *redist = &gic->redists[i];

        if (redist->count < 1 || redist->count > REDIST_COUNT_MAX)
            return REFUSE("gic.redists[%u].count is %u, not 1 … %u", i, redist->count,
                          REDIST_COUNT_MAX);
        sum += redist->count;
        if (!add_region(map, redist->base, (uint64_t)redist->count * VCPUHP_REDIST_SIZE, 64 * KIB,
                        error, "gic.redists[%u].base", i))
            return false;
    }
    if (sum < config->n_vcpus)
        return REFUSE("gic.redists hold %" PRIu64 " redistributors, fewer than %u (n_vcpus)", sum,
                      config->n_vcpus);
    return true;
}

static bool add_gicv3(const Config *config, Map *map, GError **error)
{
    const VcpuhpGic *gic = &config->gic;

    return add_region(map, gic->dist_base, GICD_V3_SIZE, 64 * KIB, error, "gic.dist_base") &&
           (!gic->its_base ||
            add_region(map, gic->its_base, ITS_SIZE, 64 * KIB, error, "gic.its_base")) &&
           add_redists(config, map, error);
}

static bool add_gicv2(const VcpuhpGic *gic, Map *map, GError **error)
{
    /* In the MADT, a GICC address of 0 means that there is none. */
    if (!gic->cpu_base)
        return REFUSE("gic.cpu_base is 0, which a GICv2 cannot have");
    if (gic->its_base)
        return REFUSE("gic.its_base is 0x%" PRIx64 ", but a GICv2 has no ITS", gic->its_base);
    if (!add_region(map, gic->dist_base, GICD_V2_SIZE, 4 * KIB, error, "gic.dist_base") ||
        !add_region(map, gic->cpu_base, GICC_V2_SIZE, 4 * KIB, error, "gic.cpu_base") ||
        (gic->v2m_base &&
         !add_region(map, gic->v2m_base, V2M_SIZE, 4 * KIB, error, "gic.v2m_base")))
        return false;
    if (gic->v2m_base && (gic->v2m_spi_count < 1 || gic->v2m_spi_base < FIRST_SPI ||
                          (uint64_t)gic->v2m_spi_base + gic->v2m_spi_count > gic->n_irqs))
        return REFUSE("gic.v2m_spi_base is %u and gic.v2m_spi_count %u, not within %u … %u",
                      gic->v2m_spi_base, gic->v2m_spi_count, FIRST_SPI, gic->n_irqs - 1);
    return true;
}

/* KVM takes a PMU's interrupt that is also a timer's, and then fails the vCPU's first KVM_RUN. */
static bool check_irqs(const VcpuhpConfig *from, GError **error)
{
    const VcpuhpGic *gic = &from->gic;

    if (gic->n_irqs < IRQS_MIN || gic->n_irqs > IRQS_MAX || gic->n_irqs % IRQS_STEP)
        return REFUSE("gic.n_irqs is %u, not a multiple of %u in %u … %u", gic->n_irqs, IRQS_STEP,
                      IRQS_MIN, IRQS_MAX);
    if (from->event_irq < FIRST_SPI || from->event_irq >= gic->n_irqs)
        return REFUSE("event_irq is %u, not an SPI's INTID, %u … %u", from->event_irq, FIRST_SPI,
                      gic->n_irqs - 1);
    if (from->pmu_irq && (from->pmu_irq < FIRST_PPI || from->pmu_irq >= FIRST_SPI))
        return REFUSE("pmu_irq is %u, neither 0 nor a PPI's INTID, %u … %u", from->pmu_irq,
                      FIRST_PPI, FIRST_SPI - 1);
    if (from->pmu_irq >= RESERVED_PPI_MIN && from->pmu_irq <= RESERVED_PPI_MAX)
        return REFUSE("pmu_irq is %u, but %u … %u are the PPIs of the GIC's maintenance interrupt "
                      "and the timers",
                      from->pmu_irq, RESERVED_PPI_MIN, RESERVED_PPI_MAX);
    return true;
}

/* All that the config places in the guest-physical address space. */
static bool add_machine(const Config *config, Map *map, GError **error)
{
    if (!add_region(map, config->regs_base, VCPUHP_REGS_SIZE, VCPUHP_REGS_SIZE, error, "regs_base"))
        return false;
    return config->gic.version == 3 ? add_gicv3(config, map, error)
                                    : add_gicv2(&config->gic, map, error);
}

bool config_check_region(const Config *config, uint64_t base, uint64_t size, const char *field,
                         GError **error)
{
    Map map = {.n = 0};

    return add_machine(config, &map, error) &&
           add_region(&map, base, size, size, error, "%s", field);
}

static bool set_machine(Config *config, const VcpuhpConfig *from, GError **error)
{
    Map map = {.n = 0};

    config->gic = from->gic;
    if (config->gic.n_redists == 1 && !config->gic.redists[0].count)
        config->gic.redists[0].count = config->n_vcpus;
    config->regs_base = from->regs_base;
    config->event_irq = from->event_irq;
    config->pmu_irq = from->pmu_irq;
    return check_irqs(from, error) && add_machine(config, &map, error);
}

/* --- ACPI names --- */

/* ACPI 6.5, 5.2.6: fixed fields of printable characters, padded by spaces. */
static bool set_oem(char *to, gsize size, const char *from, const char *field, GError **error)
{
    gsize len;

    if (!from)
        from = "VCPUHP";
    len = strlen(from);
    if (len > size)
        return REFUSE("%s is \"%s\", longer than %" G_GSIZE_FORMAT " characters", field, from,
                      size);
    for (gsize i = 0; i < len; i++)
        if (!g_ascii_isprint(from[i]))
            return REFUSE("%s has the byte 0x%02x, which is not printable ASCII", field,
                          (unsigned char)from[i]);
    memset(to, ' ', size);
    memcpy(to, from, len);
    return true;
}

/* ACPI 6.5, 20.2.2: [A-Z_][A-Z0-9_]{0,3}, padded by underscores. Names that begin with an
 * underscore are reserved for the specification. */
static bool set_name(char *to, const char *from, const char *fallback, const char *field,
                     GError **error)
{
    gsize len;

    if (!from)
        from = fallback;
    len = strlen(from);
    if (len < 1 || len > 4)
        return REFUSE("%s is \"%s\", not 1 to 4 characters", field, from);
    for (gsize i = 0; i < len; i++)
        if (!g_ascii_isupper(from[i]) && !(i && (from[i] == '_' || g_ascii_isdigit(from[i]))))
            return REFUSE("%s is \"%s\", which is not an ACPI name: A-Z, then A-Z, 0-9 and _",
                          field, from);
    strcpy(to, "____");
    memcpy(to, from, len);
    return true;
}

static bool set_acpi(Config *config, const VcpuhpAcpi *from, GError **error)
{
    if (!set_oem(config->oem_id, sizeof(config->oem_id), from->oem_id, "acpi.oem_id", error) ||
        !set_oem(config->oem_table_id, sizeof(config->oem_table_id), from->oem_table_id,
                 "acpi.oem_table_id", error) ||
        !set_name(config->container_name, from->container_name, "CPUS", "acpi.container_name",
                  error) ||
        !set_name(config->ged_name, from->ged_name, "CGED", "acpi.ged_name", error))
        return false;
    if (!from->external_ged && !strcmp(config->container_name, config->ged_name))
        return REFUSE("acpi.ged_name is \"%s\", as acpi.container_name is", config->ged_name);
    config->oem_revision = from->oem_revision;
    config->external_ged = from->external_ged;
    config->scan_method = g_strdup_printf("\\_SB.%s.CSCN", config->container_name);
    return true;
}

static bool set_config(Config *config, const VcpuhpConfig *from, GError **error)
{
    if (!check_counts(from, error))
        return false;
    config->n_vcpus = from->n_vcpus;
    config->n_enabled = from->n_enabled;
    config->n_fixed = from->coldplug == VCPUHP_COLDPLUG_FIXED ? from->n_enabled : 1;
    config->retry_ms = from->retry_ms;
    config->eject_timeout_ms = from->eject_timeout_ms;
    if (from->nodes)
        config->nodes = g_memdup2(from->nodes, sizeof(*from->nodes) * from->n_vcpus);
    return set_topology(config, &from->topology, error) && set_caches(config, from, error) &&
           set_mpidrs(config, from->mpidrs, error) && set_machine(config, from, error) &&
           set_acpi(config, &from->acpi, error);
}

bool config_init(Config *config, const VcpuhpConfig *caller, GError **error)
{
    VcpuhpConfig from = default_config(1, 1);

    *config = (Config){0};
    if (sized_copy_in(&from, sizeof(from), caller, SIZED_FIRST(VcpuhpConfig, eject_timeout_ms),
                      "VcpuhpConfig", error) &&
        set_config(config, &from, error))
        return true;
    config_clear(config);
    return false;
}

void config_clear(Config *config)
{
    g_free(config->mpidrs);
    g_free(config->nodes);
    g_free(config->scan_method);
    g_clear_pointer(&config->by_mpidr, g_hash_table_unref);
    *config = (Config){0};
}
