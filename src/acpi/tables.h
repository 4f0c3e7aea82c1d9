/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contents of the tables, without headers and fields of the whole table. Each function appends
 * to an array, which is a table of the library's or a part for one of the VMM's.
 */
#ifndef VCPUHP_ACPI_TABLES_H
#define VCPUHP_ACPI_TABLES_H

#include "config.h"

/* Interrupt controller structures, ACPI 6.5, 5.2.12.14 … 18. */
void madt_entries(const Config *config, GByteArray *to);

/* Processor hierarchy nodes and caches, ACPI 6.5, 5.2.30. They refer to each other by their offsets
 * in the table, so the table must consist of its header before. */
void pptt_nodes(const Config *config, GByteArray *table);

/* GICC affinity structures, ACPI 6.5, 5.2.16.4; nothing without NUMA. */
void srat_entries(const Config *config, GByteArray *to);

/* The _UIDs of the processor containers for sockets and clusters. The PPTT's nodes name them, and
 * Linux shows them as package and cluster numbers. */
static inline uint32_t socket_uid(uint32_t socket)
{
    return socket;
}

static inline uint32_t cluster_uid(const Config *config, uint32_t cluster)
{
    return config->topology.sockets + cluster;
}

/* The definition block: processor containers, vCPUs, methods, GED. docs/acpi.md. */
void cpus_aml(const Config *config, GByteArray *aml);

#endif
