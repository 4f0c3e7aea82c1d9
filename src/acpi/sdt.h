/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System description tables: the header that all of them share (ACPI 6.5, 5.2.6).
 */
#ifndef VCPUHP_ACPI_SDT_H
#define VCPUHP_ACPI_SDT_H

#include "config.h"

/* A new table that consists of its header. */
GByteArray *sdt_begin(const Config *config, const char signature[4], uint8_t revision);

/* Fill in length and checksum. */
void sdt_end(GByteArray *table);

#endif
