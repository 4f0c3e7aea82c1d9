/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The OSPM's face: ACPI tables, AML, and the register block that the AML works on
 * (docs/register-block.md). Tables follow ACPI 6.5.
 */
#ifndef VCPUHP_ACPI_H
#define VCPUHP_ACPI_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

typedef enum {
    /* Whole tables, header and checksum included. */
    VCPUHP_ACPI_MADT, /* ACPI 6.5, 5.2.12: every possible vCPU, and the interrupt controller */
    VCPUHP_ACPI_PPTT, /* 5.2.30: every possible vCPU's place, and caches */
    VCPUHP_ACPI_SRAT, /* 5.2.16: the node of every possible vCPU; empty without config.nodes */
    VCPUHP_ACPI_SSDT, /* CPU container, methods and, unless external_ged, the GED */
    /* Pieces for tables of the VMM's own. */
    VCPUHP_ACPI_MADT_ENTRIES, /* what follows the MADT's fixed 44 bytes */
    VCPUHP_ACPI_SRAT_ENTRIES, /* GICC affinity structures; empty without config.nodes */
    VCPUHP_ACPI_AML,          /* what follows the SSDT's header: goes into a DSDT of revision 2 or
                                 more (64-bit integers) at its root */
} VcpuhpAcpiPart;

/*
 * Build a part. The same config gives the same bytes, in this and every later release of the same
 * major version. Never fails: the config was checked. Doesn't read or change the vCPUs' state.
 */
VCPUHP_API GBytes *vcpuhp_acpi_build(const Vcpuhp *hp, VcpuhpAcpiPart part);

/* The bytes that vcpuhp_acpi_build() will give, for a VMM that lays out memory first. */
VCPUHP_API gsize vcpuhp_acpi_size(const Vcpuhp *hp, VcpuhpAcpiPart part);

/* The full name of the method that an event device of the VMM's own evaluates, without arguments,
 * when the event interrupt comes: "\_SB.CPUS.CSCN". Belongs to the context. */
VCPUHP_API const char *vcpuhp_acpi_scan_method(const Vcpuhp *hp);

/*
 * A guest's access to the register block: offset bytes from config.regs_base, len bytes in guest
 * order at data. Whatever the guest does, it gets the specified answer: reads fill data, with
 * zeros where the specification has nothing. With vcpuhp_kvm_exit() these are called already.
 */
VCPUHP_API void vcpuhp_regs_read(Vcpuhp *hp, uint64_t offset, void *data, uint32_t len);
VCPUHP_API void vcpuhp_regs_write(Vcpuhp *hp, uint64_t offset, const void *data, uint32_t len);

G_END_DECLS

#endif
