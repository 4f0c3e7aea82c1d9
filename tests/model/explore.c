/* SPDX-License-Identifier: BSD-3-Clause */
/* Breadth first, so that the trace to a broken rule is one of the shortest. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

typedef struct Node {
    State state;
    uint32_t parent;
    uint16_t action;
} Node;

typedef struct Space {
    Model m;
    Model target;   /* of moves */
    GArray *nodes;  /* Node; those from next on are to be expanded */
    GArray *edges;  /* with STUCK: pairs of nodes, by what happens without the VMM */
    uint32_t *hash; /* node + 1 */
    size_t mask;
    uint64_t calls; /* transitions */
} Space;

static uint64_t hash_of(const State *state)
{
    const uint64_t *words = (const uint64_t *)state;
    uint64_t hash = 0;

    G_STATIC_ASSERT(sizeof(State) % 8 == 0);
    for (size_t i = 0; i < sizeof(State) / 8; i++) {
        hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return hash;
}

static Node *node_at(const Space *space, uint32_t i)
{
    return &g_array_index(space->nodes, Node, i);
}

static void grow(Space *space)
{
    size_t size = (space->mask + 1) * 2;

    g_free(space->hash);
    space->hash = g_new0(uint32_t, size);
    space->mask = size - 1;
    for (uint32_t i = 0; i < space->nodes->len; i++) {
        size_t at = hash_of(&node_at(space, i)->state) & space->mask;

        while (space->hash[at])
            at = (at + 1) & space->mask;
        space->hash[at] = i + 1;
    }
}

/* The node of this state, a new one if there is none. */
static uint32_t insert(Space *space, const State *state, uint32_t parent, uint32_t action)
{
    size_t at = hash_of(state) & space->mask;
    Node node = {.parent = parent, .action = action};

    for (; space->hash[at]; at = (at + 1) & space->mask)
        if (memcmp(&node_at(space, space->hash[at] - 1)->state, state, sizeof(*state)) == 0)
            return space->hash[at] - 1;
    memcpy(&node.state, state, sizeof(*state));
    g_array_append_val(space->nodes, node);
    space->hash[at] = space->nodes->len;
    if (space->nodes->len * 2 > space->mask)
        grow(space);
    return space->nodes->len - 1;
}

static const Action *action_at(const Space *space, uint32_t i)
{
    return &g_array_index(space->m.actions, Action, i);
}

/* --- Traces --- */

static void replay(Space *space, uint32_t node)
{
    const Action *action;

    if (node_at(space, node)->parent == NOWHERE)
        return;
    replay(space, node_at(space, node)->parent);
    action = action_at(space, node_at(space, node)->action);
    printf("    /* %s */\n", action->name);
    space->m.s = node_at(space, node_at(space, node)->parent)->state;
    model_unpack(&space->m);
    action->act(&space->m, action->arg);
}

/* As a test function, up to the node and, unless it is NOWHERE, through the action. */
static void print_trace(Space *space, const char *why, uint32_t node, uint32_t action)
{
    printf("# %s: %s\n\nstatic void trace(void **state)\n{\n    Fixture *f = *state;\n\n",
           space->m.setup->name, why);
    trace_on(true);
    replay(space, node);
    if (action != NOWHERE) {
        printf("    /* %s */\n", action_at(space, action)->name);
        space->m.s = node_at(space, node)->state;
        model_unpack(&space->m);
        action_at(space, action)->act(&space->m, action_at(space, action)->arg);
    }
    trace_on(false);
    printf("}\n");
}

/* --- Expansion --- */

static bool in_bounds(const Model *m)
{
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        if (m->slots.table[i].inserts_taken > m->setup->max_taken ||
            m->slots.table[i].removes_taken > m->setup->max_taken)
            return false;
    return true;
}

static bool expand(Space *space, uint32_t node)
{
    Model *m = &space->m;
    State from = node_at(space, node)->state;
    bool dirty = true;

    m->s = from;
    model_unpack(m);
    move_check(m, &space->target);
    if (m->broken[0]) {
        print_trace(space, m->broken, node, NOWHERE);
        return false;
    }
    for (uint32_t i = 0; i < m->actions->len; i++) {
        const Action *action = action_at(space, i);
        uint32_t to;

        if (dirty) {
            m->s = from;
            model_unpack(m);
        }
        dirty = action->act(m, action->arg);
        if (!dirty)
            continue;
        space->calls++;
        if (m->broken[0]) {
            g_autofree char *why = g_strdup(m->broken);

            print_trace(space, why, node, i);
            return false;
        }
        if (!in_bounds(m))
            continue;
        model_pack(m);
        to = insert(space, &m->s, node, i);
        if (space->edges && action->guest && to != node) {
            g_array_append_val(space->edges, node);
            g_array_append_val(space->edges, to);
        }
    }
    return true;
}

/* --- Requests that nothing can end --- */

/* Edges by their ends: first[n] … first[n + 1] in sources. */
static void sort_edges(const Space *space, uint32_t *first, uint32_t *sources)
{
    const uint32_t *edges = (const uint32_t *)space->edges->data;

    for (uint32_t i = 0; i < space->edges->len; i += 2)
        first[edges[i + 1] + 2]++;
    for (uint32_t i = 2; i < space->nodes->len + 2; i++)
        first[i] += first[i - 1];
    for (uint32_t i = 0; i < space->edges->len; i += 2)
        sources[first[edges[i + 1] + 1]++] = edges[i];
}

/* Backwards from all nodes in which the vCPU has no request. */
static uint32_t find_stuck(Space *space, const uint32_t *first, const uint32_t *sources,
                           uint32_t vcpu)
{
    uint32_t n = space->nodes->len, head = 0, tail = 0;
    g_autofree uint32_t *queue = g_new(uint32_t, n);
    g_autofree bool *ends = g_new0(bool, n);

    for (uint32_t i = 0; i < n; i++)
        if (!node_at(space, i)->state.vcpus[vcpu].kind) {
            ends[i] = true;
            queue[tail++] = i;
        }
    while (head < tail) {
        uint32_t to = queue[head++];

        for (uint32_t i = first[to]; i < first[to + 1]; i++)
            if (!ends[sources[i]]) {
                ends[sources[i]] = true;
                queue[tail++] = sources[i];
            }
    }
    for (uint32_t i = 0; i < n; i++)
        if (!ends[i])
            return i;
    return NOWHERE;
}

static bool nothing_is_stuck(Space *space)
{
    g_autofree uint32_t *first = g_new0(uint32_t, space->nodes->len + 2);
    g_autofree uint32_t *sources = g_new(uint32_t, space->edges->len / 2 + 1);

    sort_edges(space, first, sources);
    for (uint32_t i = 1; i < space->m.config.n_vcpus; i++) {
        uint32_t stuck = find_stuck(space, first, sources, i);

        if (stuck == NOWHERE)
            continue;
        print_trace(space, "M33: a request is open that the guest and time cannot end", stuck,
                    NOWHERE);
        return false;
    }
    return true;
}

/* --- Explorations --- */

static bool explore(const Setup *setup, unsigned number, uint32_t limit, uint64_t *states,
                    uint64_t *calls)
{
    Space space = {.nodes = g_array_new(FALSE, FALSE, sizeof(Node))};
    int64_t began = g_get_real_time();
    bool ok = true, closed;
    uint32_t next = 0;

    model_init(&space.m, setup);
    model_init(&space.target, setup);
    if (setup->features & STUCK)
        space.edges = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    grow(&space);
    insert(&space, &space.m.s, NOWHERE, 0);
    while (ok && next < space.nodes->len && (!limit || space.nodes->len < limit))
        ok = expand(&space, next++);
    closed = next == space.nodes->len;
    if (ok && closed && space.edges)
        ok = nothing_is_stuck(&space);
    printf("%s %u - %s: %u states, %" G_GUINT64_FORMAT " calls, %.1f s%s\n", ok ? "ok" : "not ok",
           number, setup->name, space.nodes->len, space.calls, (g_get_real_time() - began) / 1e6,
           closed || !ok ? "" : ", not closed");
    fflush(stdout);
    *states += space.nodes->len;
    *calls += space.calls;
    model_clear(&space.m);
    model_clear(&space.target);
    g_array_unref(space.nodes);
    if (space.edges)
        g_array_unref(space.edges);
    g_free(space.hash);
    return ok;
}

#define RISKY (FORCE | KEXEC)

/* A small exploration of each kind, and large ones. */
static const Setup quick[] = {
    {"hostile-1", 2, RETRY_MS, 1, 0, FORCE | STOPS, NULL},
    {"linux-1", 2, RETRY_MS, 2, 2, TIMEOUTS | ROOT | RISKY, &own_aml},
    {"linux-1-no-retry", 2, 0, 2, 2, ROOT | STOPS | STUCK, &own_aml},
    {"linux-1-block", 2, RETRY_MS, 2, 2, TIMEOUTS | ROOT | FORCE, &block_aml},
    {"linux-1-block-no-retry", 2, 0, 2, 2, ROOT | STOPS | STUCK, &block_aml},
};

static const Setup large[] = {
    {"hostile-1", 2, RETRY_MS, 2, 0, TIMEOUTS | FORCE | STOPS, NULL},
    {"hostile-1-block", 2, RETRY_MS, 1, 0, RAW | FORCE, NULL},
    {"linux-1", 2, RETRY_MS, 3, 3, TIMEOUTS | ROOT | STOPS | RISKY, &own_aml},
    {"linux-1-no-retry", 2, 0, 3, 3, ROOT | STOPS | STUCK, &own_aml},
    {"linux-1-block", 2, RETRY_MS, 2, 3, TIMEOUTS | ROOT | STOPS | RISKY, &block_aml},
    {"linux-1-block-no-retry", 2, 0, 3, 3, ROOT | STOPS | STUCK, &block_aml},
    {"hostile-2", 3, RETRY_MS, 1, 0, 0, NULL},
    {"linux-2", 3, RETRY_MS, 1, 4, ROOT, &own_aml},
    {"linux-2-no-retry", 3, 0, 1, 4, STUCK, &own_aml},
    {"linux-2-block", 3, RETRY_MS, 1, 4, ROOT, &block_aml},
};

/* model [quick|all|NAME [MOST_STATES]]: the quick ones, the large ones, or one of these; in TAP */
int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "quick";
    bool is_quick = strcmp(which, "quick") == 0;
    const Setup *setups = is_quick ? quick : large;
    unsigned n = is_quick ? G_N_ELEMENTS(quick) : G_N_ELEMENTS(large);
    bool all = is_quick || strcmp(which, "all") == 0;
    uint32_t limit = argc > 2 ? atoi(argv[2]) : 0;
    uint64_t states = 0, calls = 0;
    unsigned n_run = 0;
    bool ok = true;

    for (unsigned i = 0; i < n; i++)
        if (all || strcmp(which, setups[i].name) == 0) {
            ok &= explore(&setups[i], ++n_run, limit, &states, &calls);
        }
    printf("1..%u\n# %" G_GUINT64_FORMAT " states, %" G_GUINT64_FORMAT " calls\n", n_run, states,
           calls);
    return ok ? 0 : 1;
}
