/* SPDX-License-Identifier: BSD-3-Clause */
#include "resize.h"

#include "monitor.h"

struct Resize {
    GMutex lock;     /* protects what follows */
    bool *waiting;   /* by vCPU: its request has not ended */
    bool requesting; /* more requests are to come */
    uint32_t n_requests, n_ended, n;
    char *failure; /* the first request's that was not DONE; NULL: none */
};

/* --- Which vCPU --- */

typedef struct Choice {
    const Machine *m;
    VcpuhpVcpuInfo *vcpus;
} Choice;

static bool is_free(const VcpuhpVcpuInfo *info, bool plug)
{
    return info->request_kind == VCPUHP_REQUEST_NONE && !info->fixed && info->enabled != plug;
}

/* The enabled vCPUs of the same core, and of the same node. */
static void count_neighbours(const Choice *choice, uint32_t vcpu, uint32_t *ret_core,
                             uint32_t *ret_node)
{
    uint32_t threads = MAX(choice->m->config.topology.threads, 1);
    uint32_t in_core = 0, in_node = 0;

    for (uint32_t i = 0; i < choice->m->config.n_vcpus; i++) {
        if (!choice->vcpus[i].enabled)
            continue;
        in_core += i / threads == vcpu / threads;
        in_node += choice->vcpus[i].node == choice->vcpus[vcpu].node;
    }
    *ret_core = in_core;
    *ret_node = in_node;
}

/* The next vCPU to plug is one of the emptiest core, of those in the emptiest node, and the first of
 * them. The next to unplug is the opposite of each. Returns -1 if there is none. */
static int choose(const Choice *choice, bool plug)
{
    uint32_t best_core = 0, best_node = 0;
    int best = -1;

    for (uint32_t i = 0; i < choice->m->config.n_vcpus; i++) {
        uint32_t vcpu = plug ? i : choice->m->config.n_vcpus - 1 - i;
        uint32_t core, node;

        if (!is_free(&choice->vcpus[vcpu], plug))
            continue;
        count_neighbours(choice, vcpu, &core, &node);
        if (best >= 0 && (core == best_core ? plug ? node >= best_node : node <= best_node
                          : plug            ? core > best_core
                                            : core < best_core))
            continue;
        best = (int)vcpu;
        best_core = core;
        best_node = node;
    }
    return best;
}

static VcpuhpVcpuInfo *query_all(Machine *m, uint32_t *ret_n_enabled)
{
    VcpuhpVcpuInfo *vcpus = g_new0(VcpuhpVcpuInfo, m->config.n_vcpus);

    *ret_n_enabled = 0;
    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        vcpus[i].size = sizeof(vcpus[i]);
        vcpuhp_query(m->hp, i, &vcpus[i], NULL);
        *ret_n_enabled += vcpus[i].enabled;
    }
    return vcpus;
}

/* --- Requests --- */

static bool request(Machine *m, uint32_t vcpu, bool plug, uint32_t timeout_ms, GError **error)
{
    Resize *resize = m->resize;
    bool done;

    /* Before the request, because it may end before the call returns. */
    g_mutex_lock(&resize->lock);
    resize->waiting[vcpu] = true;
    resize->n_requests++;
    g_mutex_unlock(&resize->lock);
    done = plug ? vcpuhp_plug(m->hp, vcpu, 0, timeout_ms, NULL, error)
                : vcpuhp_unplug(m->hp, vcpu, 0, timeout_ms, NULL, error);
    if (done)
        return true;
    g_mutex_lock(&resize->lock);
    resize->waiting[vcpu] = false;
    resize->n_requests--;
    g_mutex_unlock(&resize->lock);
    return false;
}

/* The lock is held. */
static bool is_under_way(const Resize *resize)
{
    return resize->requesting || resize->n_ended < resize->n_requests;
}

/* Without the lock: it queries the library. */
static void report_outcome(Machine *m, uint32_t n, const char *failure)
{
    g_autofree VcpuhpVcpuInfo *vcpus = NULL;
    g_autofree char *text = NULL;
    uint32_t n_enabled;

    vcpus = query_all(m, &n_enabled);
    if (failure || n_enabled != n)
        text = g_strdup_printf("failed: enabled vCPUs: %u, not %u%s%s", n_enabled, n,
                               failure ? ": " : "", failure ? failure : "");
    else
        text = g_strdup_printf("done: enabled vCPUs: %u", n_enabled);
    monitor_note(m->monitor, "resize", text);
}

void resize_event(Machine *m, const VcpuhpEvent *event)
{
    Resize *resize = m->resize;
    g_autofree char *progress = NULL, *failure = NULL;
    bool is_last;

    if (!resize || event->kind != VCPUHP_EVENT_ENDED)
        return;
    g_mutex_lock(&resize->lock);
    if (!resize->waiting[event->vcpu]) {
        g_mutex_unlock(&resize->lock);
        return;
    }
    resize->waiting[event->vcpu] = false;
    if (event->outcome != VCPUHP_OUTCOME_DONE && !resize->failure)
        resize->failure = vcpuhp_event_describe(event);
    progress = g_strdup_printf("%u of %u", ++resize->n_ended, resize->n_requests);
    is_last = !is_under_way(resize);
    if (is_last)
        failure = g_steal_pointer(&resize->failure);
    g_mutex_unlock(&resize->lock);
    monitor_note(m->monitor, "resize", progress);
    if (is_last)
        report_outcome(m, resize->n, failure);
}

static Resize *resize_new(uint32_t n_vcpus)
{
    Resize *resize = g_new0(Resize, 1);

    g_mutex_init(&resize->lock);
    resize->waiting = g_new0(bool, n_vcpus);
    return resize;
}

static bool begin(Machine *m, uint32_t n, GError **error)
{
    bool busy;

    if (!m->resize)
        g_atomic_pointer_set(&m->resize, resize_new(m->config.n_vcpus));
    g_mutex_lock(&m->resize->lock);
    busy = is_under_way(m->resize);
    if (!busy) {
        m->resize->requesting = true;
        m->resize->n = n;
        m->resize->n_requests = m->resize->n_ended = 0;
        g_clear_pointer(&m->resize->failure, g_free);
    }
    g_mutex_unlock(&m->resize->lock);
    if (busy)
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "another resize is under way");
    return !busy;
}

/* All requests are made, or one was refused. Those that were made may have ended by now. */
static void end_requests(Machine *m)
{
    Resize *resize = m->resize;
    g_autofree char *failure = NULL;
    bool is_last;

    g_mutex_lock(&resize->lock);
    resize->requesting = false;
    is_last = !is_under_way(resize);
    if (is_last)
        failure = g_steal_pointer(&resize->failure);
    g_mutex_unlock(&resize->lock);
    if (is_last)
        report_outcome(m, resize->n, failure);
}

static bool make_requests(Machine *m, uint32_t n, uint32_t timeout_ms, GString *out, GError **error)
{
    uint32_t n_enabled;
    g_autofree VcpuhpVcpuInfo *vcpus = query_all(m, &n_enabled);
    const Choice choice = {m, vcpus};
    bool plug = n > n_enabled;

    for (; n_enabled != n; n_enabled += plug ? 1 : -1) {
        int vcpu = choose(&choice, plug);

        if (vcpu < 0) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                        "only to %u: the other vCPUs have an open request%s", n_enabled,
                        plug ? "" : " or are enabled permanently");
            return false;
        }
        if (!request(m, vcpu, plug, timeout_ms, error))
            return false;
        vcpus[vcpu].enabled = plug;
        g_string_append_printf(out, "%s vCPU %d\n", plug ? "plug" : "unplug", vcpu);
    }
    return true;
}

bool resize_start(Machine *m, uint32_t n, uint32_t timeout_ms, GString *out, GError **error)
{
    bool done;

    if (!begin(m, n, error))
        return false;
    done = make_requests(m, n, timeout_ms, out, error);
    end_requests(m);
    return done;
}

void resize_free(Resize *resize)
{
    if (!resize)
        return;
    g_mutex_clear(&resize->lock);
    g_free(resize->failure);
    g_free(resize->waiting);
    g_free(resize);
}
