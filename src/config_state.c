/* SPDX-License-Identifier: BSD-3-Clause */
/* The config's section of a saved state: what is hardware to the guest (docs/state-format.md). */
#include <inttypes.h>

#include "config.h"
#include "error.h"

/* One list of fields serves both directions, so that they cannot differ. Saving sets writer, and
 * comparing sets the others. */
typedef struct Fields {
    BlobWriter *writer;
    BlobReader *reader;
    GError **error;
} Fields;

static bool refuse_field(const Fields *f, const char *name, uint64_t saved, uint64_t own)
{
    return refuse(f->error, VCPUHP_ERROR_STATE,
                  "vcpuhp_load: %s is %" PRIu64 " (0x%" PRIx64 ") in the state, but %" PRIu64
                  " (0x%" PRIx64 ") in this context's config",
                  name, saved, saved, own, own);
}

static bool refuse_element(const Fields *f, const char *array, uint32_t i, const char *member,
                           uint64_t saved, uint64_t own)
{
    g_autofree char *name = g_strdup_printf("%s[%u]%s", array, i, member);

    return refuse_field(f, name, saved, own);
}

/* Write the value and return it, or read what was saved. */
static uint32_t field32(const Fields *f, uint32_t own)
{
    if (!f->writer)
        return blob_get_u32(f->reader);
    blob_put_u32(f->writer, own);
    return own;
}

static uint64_t field64(const Fields *f, uint64_t own)
{
    if (!f->writer)
        return blob_get_u64(f->reader);
    blob_put_u64(f->writer, own);
    return own;
}

static bool u32(const Fields *f, const char *name, uint32_t own)
{
    uint32_t saved = field32(f, own);

    return saved == own || refuse_field(f, name, saved, own);
}

static bool u64(const Fields *f, const char *name, uint64_t own)
{
    uint64_t saved = field64(f, own);

    return saved == own || refuse_field(f, name, saved, own);
}

static bool element32(const Fields *f, const char *array, uint32_t i, const char *member,
                      uint32_t own)
{
    uint32_t saved = field32(f, own);

    return saved == own || refuse_element(f, array, i, member, saved, own);
}

static bool element64(const Fields *f, const char *array, uint32_t i, const char *member,
                      uint64_t own)
{
    uint64_t saved = field64(f, own);

    return saved == own || refuse_element(f, array, i, member, saved, own);
}

/* --- The fields --- */

static bool topology(const Fields *f, const VcpuhpTopology *own)
{
    return u32(f, "topology.sockets", own->sockets) && u32(f, "topology.clusters", own->clusters) &&
           u32(f, "topology.cores", own->cores) && u32(f, "topology.threads", own->threads);
}

static bool caches(const Fields *f, const Config *config)
{
    if (!u32(f, "n_caches", config->n_caches))
        return false;
    for (uint32_t i = 0; i < config->n_caches; i++) {
        const VcpuhpCache *own = &config->caches[i];

        if (!element32(f, "caches", i, ".level", own->level) ||
            !element32(f, "caches", i, ".type", own->type) ||
            !element32(f, "caches", i, ".scope", own->scope) ||
            !element32(f, "caches", i, ".size", own->size) ||
            !element32(f, "caches", i, ".line_size", own->line_size) ||
            !element32(f, "caches", i, ".ways", own->ways))
            return false;
    }
    return true;
}

static bool gicv3(const Fields *f, const VcpuhpGic *own)
{
    if (!u64(f, "gic.its_base", own->its_base) || !u32(f, "gic.n_redists", own->n_redists))
        return false;
    for (uint32_t i = 0; i < own->n_redists; i++)
        if (!element64(f, "gic.redists", i, ".base", own->redists[i].base) ||
            !element32(f, "gic.redists", i, ".count", own->redists[i].count))
            return false;
    return true;
}

static bool gicv2(const Fields *f, const VcpuhpGic *own)
{
    return u64(f, "gic.cpu_base", own->cpu_base) && u64(f, "gic.v2m_base", own->v2m_base) &&
           u32(f, "gic.v2m_spi_base", own->v2m_base ? own->v2m_spi_base : 0) &&
           u32(f, "gic.v2m_spi_count", own->v2m_base ? own->v2m_spi_count : 0);
}

static bool gic(const Fields *f, const VcpuhpGic *own)
{
    return u32(f, "gic.version", own->version) && u32(f, "gic.n_irqs", own->n_irqs) &&
           u64(f, "gic.dist_base", own->dist_base) &&
           (own->version == 3 ? gicv3(f, own) : gicv2(f, own));
}

/* Aff3 is moved next to Aff2. */
static uint32_t pack_affinity(uint64_t mpidr)
{
    return (mpidr >> 8 & 0xff000000) | (mpidr & 0x00ffffff);
}

static uint64_t unpack_affinity(uint32_t affinity)
{
    return (uint64_t)(affinity & 0xff000000) << 8 | (affinity & 0x00ffffff);
}

static bool vcpus(const Fields *f, const Config *config)
{
    if (!u32(f, "nodes (1: not NULL)", config->nodes != NULL))
        return false;
    for (uint32_t i = 0; i < config->n_vcpus; i++) {
        uint64_t mpidr = unpack_affinity(field32(f, pack_affinity(config->mpidrs[i])));

        if (mpidr != config->mpidrs[i])
            return refuse_element(f, "mpidrs", i, "", mpidr, config->mpidrs[i]);
        if (!element32(f, "nodes", i, "", config->nodes ? config->nodes[i] : 0))
            return false;
    }
    return true;
}

/* The counts come before the arrays: the context's own decide how much is read. */
static bool all(const Fields *f, const Config *config)
{
    return u32(f, "n_vcpus", config->n_vcpus) &&
           u32(f, "the number of permanently enabled vCPUs (n_enabled, coldplug)",
               config->n_fixed) &&
           topology(f, &config->topology) && caches(f, config) && gic(f, &config->gic) &&
           u64(f, "regs_base", config->regs_base) && u32(f, "event_irq", config->event_irq) &&
           u32(f, "pmu_irq", config->pmu_irq) && vcpus(f, config);
}

void config_save(const Config *config, BlobWriter *writer)
{
    blob_section(writer, CONFIG_SECTION, 0);
    all(&(Fields){.writer = writer}, config);
}

bool config_check(const Config *config, BlobSection *section, GError **error)
{
    return all(&(Fields){.reader = &section->reader, .error = error}, config) &&
           blob_close(section, error);
}
