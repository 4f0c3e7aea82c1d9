/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Appending to a table under construction. ACPI is little-endian throughout (ACPI 6.5, 5.2).
 */
#ifndef VCPUHP_ACPI_BYTES_H
#define VCPUHP_ACPI_BYTES_H

#include <glib.h>
#include <stdint.h>

/* The low size bytes of value; size <= 8. */
static inline void put(GByteArray *to, guint size, uint64_t value)
{
    uint64_t le = GUINT64_TO_LE(value);

    g_byte_array_append(to, (const guint8 *)&le, size);
}

#endif
