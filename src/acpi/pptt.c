/* SPDX-License-Identifier: BSD-3-Clause */
#include "acpi/bytes.h"
#include "acpi/tables.h"

enum {
    NODE_PACKAGE = 1 << 0,
    NODE_ID_VALID = 1 << 1,
    NODE_THREAD = 1 << 2,
    NODE_LEAF = 1 << 3,
    NODE_IDENTICAL = 1 << 4,
};

enum {
    TYPE_NODE = 0,
    TYPE_CACHE = 1,
};

/* --- Caches --- */

/* Size, sets, associativity, cache type, line size. Allocation and write policy are not. */
#define CACHE_VALID 0x57

/* Where the innermost caches for each kind of access are, in one structure if it is unified;
 * 0: none. */
typedef struct Caches {
    uint32_t data, instruction;
} Caches;

static uint32_t put_cache(const VcpuhpCache *cache, uint32_t next, GByteArray *table)
{
    static const uint8_t types[] = {
        [VCPUHP_CACHE_DATA] = 0, [VCPUHP_CACHE_INSTRUCTION] = 1, [VCPUHP_CACHE_UNIFIED] = 2};
    uint32_t offset = table->len;

    put(table, 1, TYPE_CACHE);
    put(table, 1, 24); /* Length */
    put(table, 2, 0);
    put(table, 4, CACHE_VALID);
    put(table, 4, next);
    put(table, 4, cache->size);
    put(table, 4, cache->size / cache->line_size / cache->ways); /* Number of Sets */
    put(table, 1, cache->ways);
    put(table, 1, types[cache->type] << 2); /* Attributes */
    put(table, 2, cache->line_size);
    return offset;
}

/* The caches of one core, cluster or socket, from the outermost in. None names one of a wider scope
 * as its next level: Linux counts those once more when it comes to the node that they belong to. */
static Caches put_caches(const Config *config, VcpuhpCacheScope scope, GByteArray *table)
{
    Caches level = {0}, outer = {0};
    uint32_t last = 0;

    for (uint32_t i = config->n_caches; i-- > 0;) {
        const VcpuhpCache *cache = &config->caches[i];

        if (cache->scope != scope)
            continue;
        if (cache->level != last)
            outer = level;
        last = cache->level;
        switch (cache->type) {
        case VCPUHP_CACHE_DATA:
            level.data = put_cache(cache, outer.data, table);
            break;
        case VCPUHP_CACHE_INSTRUCTION:
            level.instruction = put_cache(cache, outer.instruction, table);
            break;
        case VCPUHP_CACHE_UNIFIED:
            level.data = level.instruction = put_cache(cache, outer.data, table);
            break;
        }
    }
    return level;
}

/* --- Nodes --- */

/* Returns what children have to name as their parent. */
static uint32_t node(GByteArray *table, uint32_t flags, uint32_t parent, uint32_t id, Caches caches)
{
    bool is_split = caches.instruction && caches.instruction != caches.data;
    uint32_t n_resources = (caches.data != 0) + is_split;
    uint32_t offset = table->len;

    put(table, 1, TYPE_NODE);
    put(table, 1, 20 + 4 * n_resources); /* Length */
    put(table, 2, 0);
    put(table, 4, flags);
    put(table, 4, parent);
    put(table, 4, id); /* ACPI Processor ID */
    put(table, 4, n_resources);
    if (caches.data)
        put(table, 4, caches.data);
    if (is_split)
        put(table, 4, caches.instruction);
    return offset;
}

/* Groups have no ID: it would have to be the _UID of a container in the namespace, and there is
 * only one for all (docs/acpi.md). All their vCPUs are of one kind, which leaves don't say. */
static uint32_t group(GByteArray *table, uint32_t flags, uint32_t parent, Caches caches)
{
    return node(table, flags | NODE_IDENTICAL, parent, 0, caches);
}

static uint32_t leaf(GByteArray *table, uint32_t flags, uint32_t parent, uint32_t vcpu,
                     Caches caches)
{
    return node(table, flags | NODE_ID_VALID | NODE_LEAF, parent, vcpu, caches);
}

/* A core and its threads. Of one thread, it is the leaf itself. */
static void core(const Config *config, uint32_t parent, uint32_t first, GByteArray *table)
{
    Caches caches = put_caches(config, VCPUHP_CACHE_OF_CORE, table);
    uint32_t offset;

    if (config->topology.threads == 1) {
        leaf(table, 0, parent, first, caches);
        return;
    }
    offset = group(table, 0, parent, caches);
    for (uint32_t t = 0; t < config->topology.threads; t++)
        leaf(table, NODE_THREAD, offset, first + t, (Caches){0});
}

void pptt_nodes(const Config *config, GByteArray *table)
{
    const VcpuhpTopology *topology = &config->topology;
    uint32_t vcpu = 0;

    for (uint32_t s = 0; s < topology->sockets; s++) {
        Caches caches = put_caches(config, VCPUHP_CACHE_OF_SOCKET, table);
        uint32_t socket = group(table, NODE_PACKAGE, 0, caches);

        for (uint32_t c = 0; c < topology->clusters; c++) {
            uint32_t cluster = socket;

            if (topology->clusters > 1) {
                caches = put_caches(config, VCPUHP_CACHE_OF_CLUSTER, table);
                cluster = group(table, 0, socket, caches);
            }
            for (uint32_t k = 0; k < topology->cores; k++) {
                core(config, cluster, vcpu, table);
                vcpu += topology->threads;
            }
        }
    }
}
