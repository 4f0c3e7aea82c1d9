/* SPDX-License-Identifier: BSD-3-Clause */
#include "info.h"

#include <inttypes.h>
#include <string.h>

static const char *const power_names[] = {
    [VCPUHP_POWER_OFF] = "off", [VCPUHP_POWER_ON_PENDING] = "starting", [VCPUHP_POWER_ON] = "on"};
static const char *const request_names[] = {
    [VCPUHP_REQUEST_PLUG] = "plug", [VCPUHP_REQUEST_UNPLUG] = "unplug"};
static const char *const request_state_names[] = {[VCPUHP_REQUEST_HELD] = "held back",
                                                  [VCPUHP_REQUEST_RAISED] = "not seen yet",
                                                  [VCPUHP_REQUEST_SEEN] = "seen"};

/* --- The table --- */

enum {
    VCPU,
    MPIDR,
    NODE,
    POLICY,
    POWER,
    THREAD,
    REQUEST,
    OST,
    N_COLUMNS
};

static const struct {
    const char *title;
    bool right; /* aligned: a number */
} columns[N_COLUMNS] = {
    [VCPU] = {"vCPU", true},        [MPIDR] = {"MPIDR", true},    [NODE] = {"node", true},
    [POLICY] = {"policy", false},   [POWER] = {"power", false},   [THREAD] = {"thread", false},
    [REQUEST] = {"request", false}, [OST] = {"last _OST", false},
};

typedef struct Row {
    char *cells[N_COLUMNS];
} Row;

static void row_clear(gpointer data)
{
    Row *row = data;

    for (guint i = 0; i < N_COLUMNS; i++)
        g_free(row->cells[i]);
}

static Row title_row(void)
{
    Row row;

    for (guint i = 0; i < N_COLUMNS; i++)
        row.cells[i] = g_strdup(columns[i].title);
    return row;
}

static char *describe_policy(const VcpuhpVcpuInfo *info)
{
    const char *policy = !info->enabled ? "disabled" : info->fixed ? "permanent" : "enabled";

    return g_strconcat(policy, info->ejecting ? ", being ejected" : NULL, NULL);
}

static char *describe_request(const VcpuhpVcpuInfo *info)
{
    if (info->request_kind == VCPUHP_REQUEST_NONE)
        return g_strdup("-");
    return g_strdup_printf("%u: %s, %s", info->request, request_names[info->request_kind],
                           request_state_names[info->request_state]);
}

static char *describe_ost(const VcpuhpVcpuInfo *info)
{
    if (!info->ost_source && !info->ost_status)
        return g_strdup("-");
    return g_strdup_printf("0x%x, 0x%x (%s)", info->ost_source, info->ost_status,
                           vcpuhp_ost_describe(info->ost_source, info->ost_status));
}

static Row vcpu_row(Machine *m, uint32_t vcpu, const VcpuhpVcpuInfo *info)
{
    return (Row){{
        [VCPU] = g_strdup_printf("%u", vcpu),
        [MPIDR] = g_strdup_printf("0x%" PRIx64, info->mpidr),
        [NODE] = g_strdup_printf("%u", info->node),
        [POLICY] = describe_policy(info),
        [POWER] = g_strdup(power_names[info->power]),
        [THREAD] = g_strdup(vcpu_thread_exists(m, vcpu) ? "yes" : "no"),
        [REQUEST] = describe_request(info),
        [OST] = describe_ost(info),
    }};
}

/* The last column is not filled up with spaces. */
static void print_table(const GArray *rows, GString *out)
{
    gsize widths[N_COLUMNS] = {0};

    for (guint r = 0; r < rows->len; r++)
        for (guint i = 0; i < N_COLUMNS; i++)
            widths[i] = MAX(widths[i], strlen(g_array_index(rows, Row, r).cells[i]));
    for (guint r = 0; r < rows->len; r++) {
        const Row *row = &g_array_index(rows, Row, r);

        for (guint i = 0; i < N_COLUMNS; i++) {
            int width = i == N_COLUMNS - 1 ? 0 : (int)widths[i];

            g_string_append_printf(out, "%s%*s", i ? "  " : "", columns[i].right ? width : -width,
                                   row->cells[i]);
        }
        g_string_append_c(out, '\n');
    }
}

/* --- Counters --- */

static void print_counters(Machine *m, GString *out)
{
    static const struct {
        const char *name;
        gsize offset;
    } counters[] = {
        {"block_reads", offsetof(VcpuhpCounters, block_reads)},
        {"block_writes", offsetof(VcpuhpCounters, block_writes)},
        {"event_reads", offsetof(VcpuhpCounters, event_reads)},
        {"bitmap_reads", offsetof(VcpuhpCounters, bitmap_reads)},
        {"ost_writes", offsetof(VcpuhpCounters, ost_writes)},
        {"eject_writes", offsetof(VcpuhpCounters, eject_writes)},
        {"other_accesses", offsetof(VcpuhpCounters, other_accesses)},
        {"cpu_on_granted", offsetof(VcpuhpCounters, cpu_on_granted)},
        {"cpu_on_denied", offsetof(VcpuhpCounters, cpu_on_denied)},
        {"cpu_on_already", offsetof(VcpuhpCounters, cpu_on_already)},
        {"cpu_on_failed", offsetof(VcpuhpCounters, cpu_on_failed)},
        {"cpu_off", offsetof(VcpuhpCounters, cpu_off)},
        {"affinity_info", offsetof(VcpuhpCounters, affinity_info)},
        {"psci_other", offsetof(VcpuhpCounters, psci_other)},
        {"irq_raised", offsetof(VcpuhpCounters, irq_raised)},
    };
    VcpuhpCounters values = {.size = sizeof(values)};

    vcpuhp_counters(m->hp, &values, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(counters); i++)
        g_string_append_printf(out, "counter %s %" PRIu64 "\n", counters[i].name,
                               G_STRUCT_MEMBER(uint64_t, &values, counters[i].offset));
}

bool info_show(Machine *m, char **args G_GNUC_UNUSED, GString *out, GError **error G_GNUC_UNUSED)
{
    uint32_t n_enabled = 0, n_running = 0;
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(Row));
    Row row = title_row();

    g_array_set_clear_func(rows, row_clear);
    g_array_append_val(rows, row);
    for (uint32_t i = 0; i < vcpuhp_n_vcpus(m->hp); i++) {
        VcpuhpVcpuInfo info = {.size = sizeof(info)};

        vcpuhp_query(m->hp, i, &info, NULL);
        n_enabled += info.enabled;
        n_running += info.power == VCPUHP_POWER_ON;
        row = vcpu_row(m, i, &info);
        g_array_append_val(rows, row);
    }
    g_string_append_printf(out, "paused %d\npossible %u\nenabled %u\nrunning %u\nthreads %u\n",
                           g_atomic_int_get(&m->paused), vcpuhp_n_vcpus(m->hp), n_enabled,
                           n_running, vcpu_threads_count(m));
    print_table(rows, out);
    print_counters(m, out);
    return true;
}
