/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of examples/handover.h hand over. */
#ifndef TEST_HANDOVER_MACHINE_H
#define TEST_HANDOVER_MACHINE_H

#include "../../examples/handover.h"

#define MIB         UINT64_C(0x100000)
#define RAM_BASE    UINT64_C(0x40000000)
#define TABLES_BASE (RAM_BASE + 16 * MIB)
#define TABLES_SIZE (2 * HANDOVER_ALIGN)

/* The tables are neither at the beginning nor at the end of their RAM. */
static const HandoverRam two_nodes[] = {
    {RAM_BASE, 64 * MIB, 0},
    {UINT64_C(0x8000000000), 32 * MIB, 7},
};

static const HandoverUart pl011 = {"ARMH0011", 3, 4, 0x09010000, 0x1000, 34};
static const HandoverUart uart_16550 = {"PNP0501", 0x12, 1, 0x01000000, 8, 35};

/* Name (ABCD, One) */
static const uint8_t more_aml[] = {0x08, 'A', 'B', 'C', 'D', 0x01};

/* A GICC affinity structure: vCPU 5 is in node 7. */
static const uint8_t srat_entries[18] = {3, 18, 7, 0, 0, 0, 5, 0, 0, 0, 1};

#define HANDOVER_CONFIG(tables_memory)                                                             \
    {                                                                                              \
        .memory = (tables_memory), .base = TABLES_BASE, .size = TABLES_SIZE, .ram = two_nodes,     \
        .n_ram = 2, .srat_entries = {srat_entries, sizeof(srat_entries)},                          \
        .aml = {more_aml, sizeof(more_aml)}, .uart = pl011, .oem_id = "ACME",                      \
        .oem_table_id = "ROADRUNR"                                                                 \
    }

#endif
