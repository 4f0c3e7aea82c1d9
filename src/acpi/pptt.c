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

/* Returns what children have to name as their parent. */
static uint32_t node(GByteArray *table, uint32_t flags, uint32_t parent, uint32_t id)
{
    uint32_t offset = table->len;

    put(table, 1, 0);  /* Type: processor hierarchy node */
    put(table, 1, 20); /* Length */
    put(table, 2, 0);
    put(table, 4, flags);
    put(table, 4, parent);
    put(table, 4, id); /* ACPI Processor ID */
    put(table, 4, 0);  /* Number of Private Resources */
    return offset;
}

/* Groups have no ID: it would have to be the _UID of a container in the namespace, and there is
 * only one for all (docs/acpi.md). All their vCPUs are of one kind, which leaves don't say. */
static uint32_t group(GByteArray *table, uint32_t flags, uint32_t parent)
{
    return node(table, flags | NODE_IDENTICAL, parent, 0);
}

static uint32_t leaf(GByteArray *table, uint32_t flags, uint32_t parent, uint32_t vcpu)
{
    return node(table, flags | NODE_ID_VALID | NODE_LEAF, parent, vcpu);
}

void pptt_nodes(const Config *config, GByteArray *table)
{
    const VcpuhpTopology *topology = &config->topology;
    uint32_t vcpu = 0;

    for (uint32_t s = 0; s < topology->sockets; s++) {
        uint32_t socket = group(table, NODE_PACKAGE, 0);

        for (uint32_t c = 0; c < topology->clusters; c++) {
            uint32_t cluster = topology->clusters > 1 ? group(table, 0, socket) : socket;

            for (uint32_t k = 0; k < topology->cores; k++) {
                if (topology->threads == 1) {
                    leaf(table, 0, cluster, vcpu++);
                    continue;
                }
                uint32_t core = group(table, 0, cluster);

                for (uint32_t t = 0; t < topology->threads; t++)
                    leaf(table, NODE_THREAD, core, vcpu++);
            }
        }
    }
}
