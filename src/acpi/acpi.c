/* SPDX-License-Identifier: BSD-3-Clause */
#include <vcpuhp/acpi.h>

#include "acpi/bytes.h"
#include "acpi/sdt.h"
#include "acpi/tables.h"
#include "context.h"

static GByteArray *madt(const Config *config)
{
    GByteArray *table = sdt_begin(config, "APIC", 6);

    put(table, 4, 0); /* Local Interrupt Controller Address */
    put(table, 4, 0); /* Flags */
    madt_entries(config, table);
    sdt_end(table);
    return table;
}

static GByteArray *pptt(const Config *config)
{
    GByteArray *table = sdt_begin(config, "PPTT", 3);

    pptt_nodes(config, table);
    sdt_end(table);
    return table;
}

static GByteArray *srat(const Config *config)
{
    GByteArray *table;

    if (!config->nodes)
        return g_byte_array_new();
    table = sdt_begin(config, "SRAT", 3);
    put(table, 4, 1); /* reserved, must be 1 */
    put(table, 8, 0);
    srat_entries(config, table);
    sdt_end(table);
    return table;
}

static GByteArray *ssdt(const Config *config)
{
    GByteArray *table = sdt_begin(config, "SSDT", 2);

    cpus_aml(config, table);
    sdt_end(table);
    return table;
}

typedef void AppendFunc(const Config *config, GByteArray *to);

static GByteArray *piece(const Config *config, AppendFunc *append)
{
    GByteArray *to = g_byte_array_new();

    append(config, to);
    return to;
}

/* NULL: there is no such part. */
static GByteArray *build(const Config *config, VcpuhpAcpiPart part)
{
    switch (part) {
    case VCPUHP_ACPI_MADT:
        return madt(config);
    case VCPUHP_ACPI_PPTT:
        return pptt(config);
    case VCPUHP_ACPI_SRAT:
        return srat(config);
    case VCPUHP_ACPI_SSDT:
        return ssdt(config);
    case VCPUHP_ACPI_MADT_ENTRIES:
        return piece(config, madt_entries);
    case VCPUHP_ACPI_SRAT_ENTRIES:
        return piece(config, srat_entries);
    case VCPUHP_ACPI_AML:
        return piece(config, cpus_aml);
    }
    return NULL;
}

GBytes *vcpuhp_acpi_build(const Vcpuhp *hp, VcpuhpAcpiPart part)
{
    GByteArray *built = build(&hp->config, part);

    return built ? g_byte_array_free_to_bytes(built) : NULL;
}

gsize vcpuhp_acpi_size(const Vcpuhp *hp, VcpuhpAcpiPart part)
{
    g_autoptr(GByteArray) built = build(&hp->config, part);

    return built ? built->len : 0;
}

const char *vcpuhp_acpi_scan_method(const Vcpuhp *hp)
{
    return hp->config.scan_method;
}
