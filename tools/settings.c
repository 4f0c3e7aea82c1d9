/* SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <string.h>

#define GROUP "machine"

typedef struct Definition Definition;

/* Put the text of a setting into the config. The error's message leaves out where it stood. */
typedef bool ApplyFunc(Settings *settings, VcpuhpConfig *config, const Definition *definition,
                       const char *text, GError **error);

struct Definition {
    const char *name;
    const char *field; /* of VcpuhpConfig, as the library's messages name it */
    ApplyFunc *apply;
    size_t offset; /* of the field, if the function serves several */
    const char *argument, *help;
};

static ApplyFunc apply_u32, apply_u64, apply_string, apply_coldplug, apply_topology, apply_caches,
    apply_mpidrs, apply_nodes, apply_redists, apply_v2m, apply_external_ged;

/* A field of VcpuhpConfig that takes the value as it is. */
#define FIELD(field, apply) #field, apply, offsetof(VcpuhpConfig, field)

/* In the order in which they are applied: n_vcpus before what depends on it. */
static const Definition definitions[] = {
    {"vcpus", FIELD(n_vcpus, apply_u32), "N", "Possible vCPUs (1)"},
    {"enabled", FIELD(n_enabled, apply_u32), "N", "Those of them enabled at boot (1)"},
    {"coldplug", "coldplug", apply_coldplug, 0, "HOW",
     "Whether these can be unplugged: fixed (no, the default) or removable"},
    {"topology", "topology", apply_topology, 0, "S,C,C,T",
     "Sockets, clusters, cores, threads, each per the one before (one socket of cores)"},
    {"caches", "caches", apply_caches, 0, "LEVEL:TYPE:SCOPE:SIZE:LINE:WAYS,...",
     "Caches, from level 1 up; TYPE: data, instruction or unified; SCOPE: core, cluster or socket "
     "(none)"},
    {"mpidrs", "mpidrs", apply_mpidrs, 0, "MPIDR,...", "Each vCPU's affinity (KVM's)"},
    {"nodes", "nodes", apply_nodes, 0, "NODE[:COUNT],...",
     "Each vCPU's NUMA node, or the node of the next COUNT vCPUs (no NUMA)"},
    {"gic", FIELD(gic.version, apply_u32), "VERSION", "GIC version, 2 or 3 (3)"},
    {"irqs", FIELD(gic.n_irqs, apply_u32), "N", "INTIDs of the distributor (256)"},
    {"dist-base", FIELD(gic.dist_base, apply_u64), "ADDRESS", "Distributor (0x08000000)"},
    {"redists", "gic.redists", apply_redists, 0, "ADDRESS[:COUNT],...",
     "GICv3: regions of redistributors (0x0a000000)"},
    {"its-base", FIELD(gic.its_base, apply_u64), "ADDRESS", "GICv3: ITS (none)"},
    {"cpu-base", FIELD(gic.cpu_base, apply_u64), "ADDRESS", "GICv2: CPU interface"},
    {"v2m", "gic.v2m", apply_v2m, 0, "ADDRESS:FIRST:COUNT", "GICv2: MSI frame and INTIDs (none)"},
    {"regs-base", FIELD(regs_base, apply_u64), "ADDRESS", "Register block (0x09000000)"},
    {"event-irq", FIELD(event_irq, apply_u32), "INTID", "Event interrupt, an SPI (33)"},
    {"pmu-irq", FIELD(pmu_irq, apply_u32), "INTID", "PMU's interrupt, a PPI (no PMU)"},
    {"oem-id", FIELD(acpi.oem_id, apply_string), "TEXT", "OEM ID (VCPUHP)"},
    {"oem-table-id", FIELD(acpi.oem_table_id, apply_string), "TEXT", "OEM table ID (VCPUHP)"},
    {"oem-revision", FIELD(acpi.oem_revision, apply_u32), "N", "OEM revision (0)"},
    {"container", FIELD(acpi.container_name, apply_string), "NAME",
     "The processor container's ACPI name (CPUS)"},
    {"ged", FIELD(acpi.ged_name, apply_string), "NAME", "The event device's (CGED)"},
    {"external-ged", "acpi.external_ged", apply_external_ged, 0, "no|yes",
     "Whether the VMM has an event device of its own (no)"},
};
#define N_SETTINGS G_N_ELEMENTS(definitions)

struct Settings {
    GOptionEntry entries[N_SETTINGS + 1];
    char *from_options[N_SETTINGS], *from_file[N_SETTINGS]; /* NULL: not given */
    char *path;                                             /* of the file */

    /* What the config points to. */
    VcpuhpCache *caches;
    uint64_t *mpidrs;
    uint32_t *nodes;
};

Settings *settings_new(void)
{
    Settings *settings = g_new0(Settings, 1);

    for (gsize i = 0; i < N_SETTINGS; i++)
        settings->entries[i] = (GOptionEntry){.long_name = definitions[i].name,
                                              .arg = G_OPTION_ARG_STRING,
                                              .arg_data = &settings->from_options[i],
                                              .description = definitions[i].help,
                                              .arg_description = definitions[i].argument};
    return settings;
}

void settings_free(Settings *settings)
{
    for (gsize i = 0; i < N_SETTINGS; i++) {
        g_free(settings->from_options[i]);
        g_free(settings->from_file[i]);
    }
    g_free(settings->path);
    g_free(settings->caches);
    g_free(settings->mpidrs);
    g_free(settings->nodes);
    g_free(settings);
}

const GOptionEntry *settings_options(Settings *settings)
{
    return settings->entries;
}

static const char *given(const Settings *settings, gsize i)
{
    return settings->from_options[i] ? settings->from_options[i] : settings->from_file[i];
}

static void prefix_source(const Settings *settings, gsize i, GError **error)
{
    if (settings->from_options[i])
        g_prefix_error(error, "--%s: ", definitions[i].name);
    else
        g_prefix_error(error, "%s: %s: ", settings->path, definitions[i].name);
}

/* --- Key file --- */

static bool G_GNUC_PRINTF(2, 3) refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error,
                      g_error_new_valist(G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, args));
    va_end(args);
    return false;
}

static bool take_key(Settings *settings, GKeyFile *file, const char *key, GError **error)
{
    for (gsize i = 0; i < N_SETTINGS; i++) {
        if (!g_str_equal(definitions[i].name, key))
            continue;
        g_free(settings->from_file[i]);
        /* As it stands there: no value has an escape sequence. */
        settings->from_file[i] = g_key_file_get_value(file, GROUP, key, error);
        return settings->from_file[i] != NULL;
    }
    return refuse(error, "there is no setting %s", key);
}

static bool take_file(Settings *settings, GKeyFile *file, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    g_auto(GStrv) keys = NULL;

    for (gsize i = 0; groups[i]; i++)
        if (!g_str_equal(groups[i], GROUP))
            return refuse(error, "there is no group [%s], only [" GROUP "]", groups[i]);
    keys = g_key_file_get_keys(file, GROUP, NULL, error);
    for (gsize i = 0; keys && keys[i]; i++)
        if (!take_key(settings, file, keys[i], error))
            return false;
    return keys != NULL;
}

bool settings_read_file(Settings *settings, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    gsize size;

    settings->path = g_strdup(path);
    /* Its error names the file. */
    if (!g_file_get_contents(path, &text, &size, error))
        return false;
    if (g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, error) &&
        take_file(settings, file, error))
        return true;
    g_prefix_error(error, "%s: ", path);
    return false;
}

/* --- Values --- */

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_number, GError **error)
{
    bool hex = g_str_has_prefix(text, "0x");

    return g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, 0, max, ret_number,
                                      NULL) ||
           refuse(error, "\"%s\" is not a number up to %" G_GUINT64_FORMAT, text, max);
}

static bool parse_u32(const char *text, uint32_t *ret_number, GError **error)
{
    uint64_t number;

    if (!parse_number(text, G_MAXUINT32, &number, error))
        return false;
    *ret_number = number;
    return true;
}

/* A number of bytes, with K or M behind it for KiB or MiB. */
static bool parse_size(const char *text, uint32_t *ret_size, GError **error)
{
    gsize len = strlen(text);
    unsigned shift = g_str_has_suffix(text, "K") ? 10 : g_str_has_suffix(text, "M") ? 20 : 0;
    g_autofree char *digits = g_strndup(text, shift ? len - 1 : len);
    uint64_t size;

    if (!parse_number(digits, G_MAXUINT32 >> shift, &size, error))
        return false;
    *ret_size = size << shift;
    return true;
}

/* The index of one of the words, which end with NULL; -1: it is none of them. */
static int parse_word(const char *text, const char *const *words, GError **error)
{
    g_autofree char *choices = NULL;

    for (int i = 0; words[i]; i++)
        if (g_str_equal(text, words[i]))
            return i;
    choices = g_strjoinv(", ", (char **)words);
    refuse(error, "\"%s\" is none of %s", text, choices);
    return -1;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Split at a separator into min … max parts. */
static GStrv split(const char *text, const char *separator, uint32_t min, uint32_t max,
                   GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, separator, -1);
    uint32_t n = g_strv_length(parts);

    if (n >= min && n <= max)
        return g_steal_pointer(&parts);
    if (min == max)
        refuse(error, "\"%s\" has %u parts between \"%s\", not %u", text, n, separator, min);
    else
        refuse(error, "\"%s\" has %u parts between \"%s\", not %u … %u", text, n, separator, min,
               max);
    return NULL;
}

static GStrv split_list(const char *text)
{
    return g_strsplit(text, ",", -1);
}

/* --- Settings --- */

static bool apply_u32(Settings *settings G_GNUC_UNUSED, VcpuhpConfig *config,
                      const Definition *definition, const char *text, GError **error)
{
    return parse_u32(text, G_STRUCT_MEMBER_P(config, definition->offset), error);
}

static bool apply_u64(Settings *settings G_GNUC_UNUSED, VcpuhpConfig *config,
                      const Definition *definition, const char *text, GError **error)
{
    return parse_number(text, G_MAXUINT64, G_STRUCT_MEMBER_P(config, definition->offset), error);
}

static bool apply_string(Settings *settings G_GNUC_UNUSED, VcpuhpConfig *config,
                         const Definition *definition, const char *text,
                         GError **error G_GNUC_UNUSED)
{
    G_STRUCT_MEMBER(const char *, config, definition->offset) = text;
    return true;
}

static bool apply_coldplug(Settings *settings G_GNUC_UNUSED, VcpuhpConfig *config,
                           const Definition *definition G_GNUC_UNUSED, const char *text,
                           GError **error)
{
    int coldplug = parse_word(text, WORDS("fixed", "removable"), error);

    config->coldplug = coldplug;
    return coldplug >= 0;
}

static bool apply_topology(Settings *settings G_GNUC_UNUSED, VcpuhpConfig *config,
                           const Definition *definition G_GNUC_UNUSED, const char *text,
                           GError **error)
{
    VcpuhpTopology *topology = &config->topology;
    g_auto(GStrv) parts = split(text, ",", 4, 4, error);

    return parts && parse_u32(parts[0], &topology->sockets, error) &&
           parse_u32(parts[1], &topology->clusters, error) &&
           parse_u32(parts[2], &topology->cores, error) &&
           parse_u32(parts[3], &topology->threads, error);
}

static bool parse_cache(const char *text, VcpuhpCache *ret_cache, GError **error)
{
    g_auto(GStrv) parts = split(text, ":", 6, 6, error);
    int type = -1, scope = -1;

    if (parts)
        type = parse_word(parts[1], WORDS("data", "instruction", "unified"), error);
    if (type >= 0)
        scope = parse_word(parts[2], WORDS("core", "cluster", "socket"), error);
    if (scope < 0)
        return false;
    ret_cache->type = type;
    ret_cache->scope = scope;
    return parse_u32(parts[0], &ret_cache->level, error) &&
           parse_size(parts[3], &ret_cache->size, error) &&
           parse_u32(parts[4], &ret_cache->line_size, error) &&
           parse_u32(parts[5], &ret_cache->ways, error);
}

static bool apply_caches(Settings *settings, VcpuhpConfig *config,
                         const Definition *definition G_GNUC_UNUSED, const char *text,
                         GError **error)
{
    g_auto(GStrv) caches = split_list(text);

    config->n_caches = g_strv_length(caches);
    config->caches = settings->caches = g_new0(VcpuhpCache, config->n_caches);
    for (uint32_t i = 0; i < config->n_caches; i++)
        if (!parse_cache(caches[i], &settings->caches[i], error))
            return false;
    return true;
}

static bool apply_mpidrs(Settings *settings, VcpuhpConfig *config,
                         const Definition *definition G_GNUC_UNUSED, const char *text,
                         GError **error)
{
    g_auto(GStrv) mpidrs = split_list(text);
    uint32_t n = g_strv_length(mpidrs);

    if (n != config->n_vcpus)
        return refuse(error, "there are %u MPIDRs for %u vCPUs", n, config->n_vcpus);
    config->mpidrs = settings->mpidrs = g_new0(uint64_t, n);
    for (uint32_t i = 0; i < n; i++)
        if (!parse_number(mpidrs[i], G_MAXUINT64, &settings->mpidrs[i], error))
            return false;
    return true;
}

/* A number and how often it is meant. */
static bool parse_counted(const char *text, uint64_t max, uint32_t default_count,
                          uint64_t *ret_number, uint32_t *ret_count, GError **error)
{
    g_auto(GStrv) parts = split(text, ":", 1, 2, error);

    if (!parts || !parse_number(parts[0], max, ret_number, error))
        return false;
    *ret_count = default_count;
    return !parts[1] || parse_u32(parts[1], ret_count, error);
}

static bool apply_nodes(Settings *settings, VcpuhpConfig *config,
                        const Definition *definition G_GNUC_UNUSED, const char *text,
                        GError **error)
{
    g_auto(GStrv) runs = split_list(text);
    uint64_t n = 0, node;
    uint32_t count;

    settings->nodes = g_new0(uint32_t, VCPUHP_MAX_VCPUS);
    for (gsize i = 0; runs[i]; i++) {
        if (!parse_counted(runs[i], G_MAXUINT32, 1, &node, &count, error))
            return false;
        for (uint64_t k = n; k < n + count && k < VCPUHP_MAX_VCPUS; k++)
            settings->nodes[k] = node;
        n += count;
    }
    if (n != config->n_vcpus)
        return refuse(error, "there are nodes of %" G_GUINT64_FORMAT " vCPUs, not %u", n,
                      config->n_vcpus);
    config->nodes = settings->nodes;
    return true;
}

/* The library refuses too many regions, of which only the number is kept. */
static bool apply_redists(Settings *settings G_GNUC_UNUSED, VcpuhpConfig *config,
                          const Definition *definition G_GNUC_UNUSED, const char *text,
                          GError **error)
{
    g_auto(GStrv) regions = split_list(text);
    VcpuhpRedist redist;

    config->gic.n_redists = g_strv_length(regions);
    for (uint32_t i = 0; i < config->gic.n_redists; i++) {
        if (!parse_counted(regions[i], G_MAXUINT64, 0, &redist.base, &redist.count, error))
            return false;
        if (i < VCPUHP_MAX_REDISTS)
            config->gic.redists[i] = redist;
    }
    return true;
}

static bool apply_v2m(Settings *settings G_GNUC_UNUSED, VcpuhpConfig *config,
                      const Definition *definition G_GNUC_UNUSED, const char *text, GError **error)
{
    VcpuhpGic *gic = &config->gic;
    g_auto(GStrv) parts = split(text, ":", 3, 3, error);

    return parts && parse_number(parts[0], G_MAXUINT64, &gic->v2m_base, error) &&
           parse_u32(parts[1], &gic->v2m_spi_base, error) &&
           parse_u32(parts[2], &gic->v2m_spi_count, error);
}

static bool apply_external_ged(Settings *settings G_GNUC_UNUSED, VcpuhpConfig *config,
                               const Definition *definition G_GNUC_UNUSED, const char *text,
                               GError **error)
{
    int yes = parse_word(text, WORDS("no", "yes"), error);

    config->acpi.external_ged = yes > 0;
    return yes >= 0;
}

bool settings_fill_config(Settings *settings, VcpuhpConfig *config, GError **error)
{
    vcpuhp_config_init(config, 1, 1);
    for (gsize i = 0; i < N_SETTINGS; i++) {
        const char *text = given(settings, i);

        if (text && !definitions[i].apply(settings, config, &definitions[i], text, error)) {
            prefix_source(settings, i, error);
            return false;
        }
    }
    return true;
}

/* The library's messages begin with the name of the field. */
void settings_blame(const Settings *settings, GError *error)
{
    for (gsize i = 0; i < N_SETTINGS; i++) {
        if (given(settings, i) && g_str_has_prefix(error->message, definitions[i].field)) {
            prefix_source(settings, i, &error);
            return;
        }
    }
}
