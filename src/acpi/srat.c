/* SPDX-License-Identifier: BSD-3-Clause */
#include "acpi/bytes.h"
#include "acpi/tables.h"

enum {
    TYPE_GICC_AFFINITY = 3,
    GICC_AFFINITY_ENABLED = 1 << 0,
};

/* For disabled vCPUs, too: Linux learns the node of a hot-added vCPU from nowhere else. */
void srat_entries(const Config *config, GByteArray *to)
{
    if (!config->nodes)
        return;
    for (uint32_t i = 0; i < config->n_vcpus; i++) {
        put(to, 1, TYPE_GICC_AFFINITY);
        put(to, 1, 18); /* Length */
        put(to, 4, config->nodes[i]);
        put(to, 4, i); /* ACPI Processor UID */
        put(to, 4, GICC_AFFINITY_ENABLED);
        put(to, 4, 0); /* Clock Domain */
    }
}
