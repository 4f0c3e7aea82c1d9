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

typedef struct Pptt {
    const Config *config;
    GByteArray *table;
    uint32_t n_caches;
} Pptt;

/* --- Caches --- */

/* Size, sets, associativity, allocation type, cache type, write policy, line size, cache ID. */
#define CACHE_ALL_VALID 0xff

/* Attributes. All caches are write-back, which is 0; only an instruction cache isn't written to. */
enum {
    ALLOCATE_ON_READ = 0 << 0,
    ALLOCATE_ON_READ_AND_WRITE = 2 << 0,
    CACHE_DATA = 0 << 2,
    CACHE_INSTRUCTION = 1 << 2,
    CACHE_UNIFIED = 2 << 2,
};

/* Offsets of the innermost caches for data and for instructions. A unified cache is both; 0 is
 * none. */
typedef struct Caches {
    uint32_t data, instruction;
} Caches;

static uint32_t put_cache(Pptt *pptt, const VcpuhpCache *cache, uint32_t next)
{
    static const uint8_t attributes[] = {
        [VCPUHP_CACHE_DATA] = CACHE_DATA | ALLOCATE_ON_READ_AND_WRITE,
        [VCPUHP_CACHE_INSTRUCTION] = CACHE_INSTRUCTION | ALLOCATE_ON_READ,
        [VCPUHP_CACHE_UNIFIED] = CACHE_UNIFIED | ALLOCATE_ON_READ_AND_WRITE,
    };
    GByteArray *table = pptt->table;
    uint32_t offset = table->len;

    put(table, 1, TYPE_CACHE);
    put(table, 1, 28); /* Length */
    put(table, 2, 0);
    put(table, 4, CACHE_ALL_VALID);
    put(table, 4, next);
    put(table, 4, cache->size);
    put(table, 4, cache->size / cache->line_size / cache->ways); /* Number of Sets */
    put(table, 1, cache->ways);
    put(table, 1, attributes[cache->type]);
    put(table, 2, cache->line_size);
    put(table, 4, ++pptt->n_caches); /* Cache ID, which is never 0 */
    return offset;
}

/* The caches of one core, cluster or socket, from the outermost in. None names one of a wider scope
 * as its next level, because Linux would count that one again at the node it belongs to. */
static Caches put_caches(Pptt *pptt, VcpuhpCacheScope scope)
{
    Caches level = {0}, outer = {0};
    uint32_t last = 0;

    for (uint32_t i = pptt->config->n_caches; i-- > 0;) {
        const VcpuhpCache *cache = &pptt->config->caches[i];

        if (cache->scope != scope)
            continue;
        if (cache->level != last)
            outer = level;
        last = cache->level;
        switch (cache->type) {
        case VCPUHP_CACHE_DATA:
            level.data = put_cache(pptt, cache, outer.data);
            break;
        case VCPUHP_CACHE_INSTRUCTION:
            level.instruction = put_cache(pptt, cache, outer.instruction);
            break;
        case VCPUHP_CACHE_UNIFIED:
            level.data = level.instruction = put_cache(pptt, cache, outer.data);
            break;
        }
    }
    return level;
}

/* --- Nodes --- */

/* Returns the offset, which children name as their parent. */
static uint32_t node(Pptt *pptt, uint32_t flags, uint32_t parent, uint32_t id, Caches caches)
{
    bool is_split = caches.instruction && caches.instruction != caches.data;
    uint32_t n_resources = (caches.data != 0) + is_split;
    GByteArray *table = pptt->table;
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

/* A socket or cluster; id is the _UID of its processor container. All vCPUs of a machine are of one
 * implementation, which only nodes above the leaves say. */
static uint32_t container(Pptt *pptt, uint32_t flags, uint32_t parent, uint32_t id, Caches caches)
{
    return node(pptt, flags | NODE_ID_VALID | NODE_IDENTICAL, parent, id, caches);
}

static uint32_t leaf(Pptt *pptt, uint32_t flags, uint32_t parent, uint32_t vcpu, Caches caches)
{
    return node(pptt, flags | NODE_ID_VALID | NODE_LEAF, parent, vcpu, caches);
}

/* A core and its threads; a core of one thread is the leaf itself. Otherwise it has no ID, because
 * the namespace has no container for it (docs/acpi.md). */
static void core(Pptt *pptt, uint32_t parent, uint32_t first)
{
    uint32_t threads = pptt->config->topology.threads, offset;
    Caches caches = put_caches(pptt, VCPUHP_CACHE_OF_CORE);

    if (threads == 1) {
        leaf(pptt, 0, parent, first, caches);
        return;
    }
    offset = node(pptt, NODE_IDENTICAL, parent, 0, caches);
    for (uint32_t t = 0; t < threads; t++)
        leaf(pptt, NODE_THREAD, offset, first + t, (Caches){0});
}

void pptt_nodes(const Config *config, GByteArray *table)
{
    const VcpuhpTopology *topology = &config->topology;
    Pptt pptt = {.config = config, .table = table};
    uint32_t vcpu = 0;

    for (uint32_t s = 0; s < topology->sockets; s++) {
        Caches caches = put_caches(&pptt, VCPUHP_CACHE_OF_SOCKET);
        uint32_t socket = container(&pptt, NODE_PACKAGE, 0, socket_uid(s), caches);

        for (uint32_t c = 0; c < topology->clusters; c++) {
            uint32_t cluster = socket;

            if (topology->clusters > 1) {
                uint32_t uid = cluster_uid(config, s * topology->clusters + c);

                caches = put_caches(&pptt, VCPUHP_CACHE_OF_CLUSTER);
                cluster = container(&pptt, 0, socket, uid, caches);
            }
            for (uint32_t k = 0; k < topology->cores; k++) {
                core(&pptt, cluster, vcpu);
                vcpu += topology->threads;
            }
        }
    }
}
