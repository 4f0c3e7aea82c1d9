/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file acpi.h
 * ACPI tables and AML (ACPI 6.5). docs/acpi.md says what they contain and why.
 */
#ifndef VCPUHP_ACPI_H
#define VCPUHP_ACPI_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

/** What vcpuhp_acpi_build() can build: whole tables, or parts for tables of the VMM's own. */
typedef enum {
    /** ACPI 6.5, 5.2.12: every possible vCPU, and the interrupt controller. */
    VCPUHP_ACPI_MADT,
    /** 5.2.30: the place of every possible vCPU in the topology, and the caches. */
    VCPUHP_ACPI_PPTT,
    /** 5.2.16: the node of every possible vCPU. Empty without config.nodes. */
    VCPUHP_ACPI_SRAT,
    /** Processor containers, methods and, unless external_ged is set, the event device. */
    VCPUHP_ACPI_SSDT,
    /** The MADT without its first 44 bytes. */
    VCPUHP_ACPI_MADT_ENTRIES,
    /** The SRAT's GICC affinity structures. Empty without config.nodes. */
    VCPUHP_ACPI_SRAT_ENTRIES,
    /** The SSDT without its header, for the root of a DSDT of revision 2 or later, whose integers
     * have 64 bits. */
    VCPUHP_ACPI_AML,
} VcpuhpAcpiPart;

/** Build a part. The same config gives the same bytes, in this and every later release with the
 * same soname. Neither reads nor changes the state of the vCPUs.
 * @return the bytes, which the caller frees by g_bytes_unref(); NULL if part is not a
 * VcpuhpAcpiPart. */
VCPUHP_API GBytes *vcpuhp_acpi_build(const Vcpuhp *hp, VcpuhpAcpiPart part);

/** @return the size in bytes of what vcpuhp_acpi_build() returns, for a VMM that lays out memory
 * first; 0 if part is not a VcpuhpAcpiPart. */
VCPUHP_API gsize vcpuhp_acpi_size(const Vcpuhp *hp, VcpuhpAcpiPart part);

/** The method that an event device of the VMM's own evaluates, without arguments, when the event
 * interrupt arrives.
 * @return its full name, by default `\_SB.CPUS.CSCN`. It belongs to the context. */
VCPUHP_API const char *vcpuhp_acpi_scan_method(const Vcpuhp *hp);

G_END_DECLS

#endif
