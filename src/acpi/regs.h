/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The register block: 12 bytes that firmware and other VMMs' AML know, and the extension that our
 * AML uses. docs/register-block.md numbers the rules. Both act on the same slots.
 */
#ifndef VCPUHP_SRC_ACPI_REGS_H
#define VCPUHP_SRC_ACPI_REGS_H

#include <vcpuhp/regs.h>

#include "slots.h"

/* Offsets, as read and as written where the two differ. */
enum {
    REG_COMMAND_DATA2 = 0x00,
    REG_SELECTOR = 0x00,
    REG_STATUS = 0x04,
    REG_CONTROL = 0x04,
    REG_COMMAND = 0x05,
    REG_COMMAND_DATA = 0x08,
    REG_IDENT = 0x10, /* the extension begins */
    REG_EVENT = 0x18,
    REG_OST = 0x20,
    REG_EJECT = 0x28,
    REG_ENABLED = 0x40, /* 64 slots in each 8 bytes */
};

/* IDENT: version, number of slots << 16, signature << 32 */
#define IDENT_VERSION   1
#define IDENT_SIGNATURE 0x50484356 /* "VCHP" */

/* EVENT: lanes, filled from the lowest one. */
enum {
    EVENT_LANES = 4,
    EVENT_LANE_BITS = 16,
    EVENT_SLOT = 0x0fff,
    EVENT_REMOVE = 1 << 13,
    EVENT_INSERT = 1 << 14,
    EVENT_VALID = 1 << 15,
};

/* OST: slot in 16 bits, then source event in 16, then status code in 32. */
enum {
    OST_SOURCE_SHIFT = 16,
    OST_STATUS_SHIFT = 32,
};

typedef struct Regs {
    Slots *slots;
    VcpuhpCounters *counters;
    uint32_t selector;
    uint32_t ost_source; /* written with command 1; command 2 completes the _OST */
    uint8_t command;
} Regs;

#define REGS_SECTION "REGS"

void regs_init(Regs *regs, Slots *slots, VcpuhpCounters *counters);

/* With the lock held. The clock is read only where a slot needs it. len bytes at data, little
 * endian. Any offset, any length. */
void regs_read(Regs *regs, uint64_t offset, void *data, uint32_t len, Effects *fx);
void regs_write(Regs *regs, uint64_t offset, const void *data, uint32_t len, Effects *fx);

/* With the lock held (R41). */
void regs_save(const Regs *regs, BlobWriter *writer);
/* Errors: STATE; then regs is undefined. */
bool regs_load(Regs *regs, BlobSection *section, GError **error);

#endif
