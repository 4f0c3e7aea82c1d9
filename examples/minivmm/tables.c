/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ACPI tables that the VMM builds itself (ACPI 6.5, chapter 5; SPCR: Microsoft's Serial Port
 * Console Redirection Table). The library builds those that describe vCPUs and interrupt
 * controller.
 */
#include "machine.h"

#include <string.h>
#include <vcpuhp/acpi.h>

#define PACKED __attribute__((packed))

typedef struct PACKED Header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} Header;

typedef struct PACKED Address { /* 5.2.3.2 */
    uint8_t space, bit_width, bit_offset, access_size;
    uint64_t address;
} Address;

typedef struct PACKED Rsdp { /* 5.2.5.3 */
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_address, length;
    uint64_t xsdt_address;
    uint8_t extended_checksum, reserved[3];
} Rsdp;

typedef struct PACKED Fadt { /* 5.2.9 */
    Header header;
    uint8_t unused_1[76];
    uint32_t flags;
    uint8_t unused_2[13];
    uint16_t arm_boot_flags;
    uint8_t minor_version;
    uint64_t x_firmware_ctrl, x_dsdt;
    uint8_t unused_3[128];
} Fadt;
G_STATIC_ASSERT(sizeof(Fadt) == 276);

typedef struct PACKED TimerIrq {
    uint32_t gsiv, flags;
} TimerIrq;

typedef struct PACKED Gtdt { /* 5.2.25 */
    Header header;
    uint64_t counter_base;
    uint32_t reserved;
    TimerIrq secure_el1, el1, virtual_el1, el2;
    uint64_t counter_read_base;
    uint32_t n_platform_timers, platform_timers_offset;
} Gtdt;
G_STATIC_ASSERT(sizeof(Gtdt) == 96);

typedef struct PACKED Spcr { /* revision 2 */
    Header header;
    uint8_t interface, reserved_1[3];
    Address address;
    uint8_t irq_type, pc_irq;
    uint32_t gsiv;
    uint8_t baud_rate, parity, stop_bits, flow_control, terminal, language;
    uint16_t pci_device, pci_vendor;
    uint8_t pci_bus, pci_slot, pci_function;
    uint32_t pci_flags;
    uint8_t pci_segment;
    uint32_t reserved_2;
} Spcr;
G_STATIC_ASSERT(sizeof(Spcr) == 80);

typedef struct PACKED SratHeader { /* 5.2.16 */
    Header header;
    uint32_t reserved_1; /* 1 */
    uint64_t reserved_2;
} SratHeader;

typedef struct PACKED SratMemory { /* 5.2.16.2 */
    uint8_t type, length;
    uint32_t domain;
    uint16_t reserved_1;
    uint64_t base, size;
    uint32_t reserved_2, flags;
    uint64_t reserved_3;
} SratMemory;
G_STATIC_ASSERT(sizeof(SratMemory) == 40);

static uint8_t checksum(const void *data, gsize len)
{
    uint8_t sum = 0;

    for (gsize i = 0; i < len; i++)
        sum += ((const uint8_t *)data)[i];
    return -sum;
}

#define HEADER(SIGNATURE, REVISION)                                                                \
    {                                                                                              \
        .signature = SIGNATURE, .revision = (REVISION), .oem_id = "VCPUHP",                        \
        .oem_table_id = "MINIVMM ", .creator_id = "VCHP"                                           \
    }

/* table begins with a Header, whose length and checksum this function sets. */
static uint64_t put_table(Arena *arena, void *table, gsize len)
{
    Header *header = table;

    header->length = len;
    header->checksum = checksum(table, len);
    return arena_put(arena, table, len);
}

#define LE32(x) (x) & 0xff, (x) >> 8 & 0xff, (x) >> 16 & 0xff, (x) >> 24 & 0xff

/*
 *  Device (\_SB.COM0) {
 *      Name (_HID, "ARMH0011")
 *      Name (_CRS, ResourceTemplate () {
 *          Memory32Fixed (ReadWrite, UART_BASE, UART_SIZE)
 *          Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { UART_IRQ }
 *      })
 *  }
 */
/* clang-format off */
static const uint8_t uart_aml[] = {
    0x5b, 0x82, 58, '\\', 0x2e, '_', 'S', 'B', '_', 'C', 'O', 'M', '0',           /* Device */
    0x08, '_', 'H', 'I', 'D', 0x0d, 'A', 'R', 'M', 'H', '0', '0', '1', '1', 0,    /* _HID */
    0x08, '_', 'C', 'R', 'S', 0x11, 26, 0x0a, 23,                                 /* _CRS */
    0x86, 9, 0, 1, LE32(UART_BASE), LE32(UART_SIZE),                              /* Memory32Fixed */
    0x89, 6, 0, 0x01, 1, LE32(UART_IRQ),                                          /* Interrupt */
    0x79, 0,                                                                      /* end */
};
/* clang-format on */

static uint64_t put_dsdt(Arena *arena)
{
    struct PACKED {
        Header header;
        uint8_t aml[sizeof(uart_aml)];
    } dsdt = {.header = HEADER("DSDT", 2)};

    memcpy(dsdt.aml, uart_aml, sizeof(uart_aml));
    return put_table(arena, &dsdt, sizeof(dsdt));
}

static uint64_t put_fadt(Arena *arena, uint64_t dsdt)
{
    Fadt fadt = {
        .header = HEADER("FACP", 6),
        .flags = 1 << 20, /* HW_REDUCED_ACPI: no fixed hardware */
        /* PSCI_COMPLIANT and PSCI_USE_HVC: vCPUs are turned on and off by PSCI calls. */
        .arm_boot_flags = 3,
        .minor_version = 5,
        .x_dsdt = dsdt,
    };

    return put_table(arena, &fadt, sizeof(fadt));
}

static uint64_t put_gtdt(Arena *arena)
{
    enum {
        ALWAYS_ON = 1 << 2 /* runs in low-power states; level-triggered, active high */
    };
    Gtdt gtdt = {
        .header = HEADER("GTDT", 2),
        .counter_base = UINT64_MAX, /* no memory-mapped counter */
        .counter_read_base = UINT64_MAX,
        /* KVM's PPIs. Linux warns if one is missing. */
        .secure_el1 = {29, ALWAYS_ON},
        .el1 = {30, ALWAYS_ON},
        .virtual_el1 = {27, ALWAYS_ON},
        .el2 = {26, ALWAYS_ON},
    };

    return put_table(arena, &gtdt, sizeof(gtdt));
}

static uint64_t put_spcr(Arena *arena)
{
    Spcr spcr = {
        .header = HEADER("SPCR", 2),
        .interface = 3, /* PL011 */
        .address = {.space = 0, .bit_width = 32, .access_size = 3, .address = UART_BASE},
        .irq_type = 1 << 3, /* GIC */
        .gsiv = UART_IRQ,
        .baud_rate = 0, /* as configured */
        .stop_bits = 1,
        .terminal = 3, /* ANSI */
        .pci_device = 0xffff,
        .pci_vendor = 0xffff,
    };

    return put_table(arena, &spcr, sizeof(spcr));
}

/* The library's SRAT entries in a table of the VMM's own, because the library does not know the
 * memory of a node. */
static uint64_t put_srat(const Machine *m, Arena *arena)
{
    g_autoptr(GBytes) vcpus = vcpuhp_acpi_build(m->hp, VCPUHP_ACPI_SRAT_ENTRIES);
    g_autoptr(GByteArray) table = g_byte_array_new();
    SratHeader header = {.header = HEADER("SRAT", 3), .reserved_1 = 1};

    g_byte_array_append(table, (uint8_t *)&header, sizeof(header));
    g_byte_array_append(table, g_bytes_get_data(vcpus, NULL), g_bytes_get_size(vcpus));
    for (uint32_t i = 0; i < machine_n_nodes(m); i++) {
        uint64_t base, size;
        SratMemory memory = {
            .type = 1, .length = sizeof(memory), .domain = i, .flags = 1, /* enabled */
        };

        machine_node_ram(m, i, &base, &size);
        memory.base = base;
        memory.size = size;
        g_byte_array_append(table, (uint8_t *)&memory, sizeof(memory));
    }
    return put_table(arena, table->data, table->len);
}

static uint64_t put_library(const Machine *m, Arena *arena, VcpuhpAcpiPart part)
{
    g_autoptr(GBytes) table = vcpuhp_acpi_build(m->hp, part);

    return arena_put(arena, g_bytes_get_data(table, NULL), g_bytes_get_size(table));
}

uint64_t tables_build(const Machine *m, Arena *arena)
{
    struct PACKED {
        Header header;
        uint64_t tables[7];
    } xsdt = {.header = HEADER("XSDT", 1)};
    Rsdp rsdp = {
        .signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
        .oem_id = "VCPUHP",
        .revision = 2,
        .length = sizeof(rsdp),
    };
    gsize n = 0;

    xsdt.tables[n++] = put_fadt(arena, put_dsdt(arena));
    xsdt.tables[n++] = put_gtdt(arena);
    xsdt.tables[n++] = put_spcr(arena);
    xsdt.tables[n++] = put_library(m, arena, VCPUHP_ACPI_MADT);
    xsdt.tables[n++] = put_library(m, arena, VCPUHP_ACPI_PPTT);
    xsdt.tables[n++] = put_library(m, arena, VCPUHP_ACPI_SSDT);
    if (m->config.nodes)
        xsdt.tables[n++] = put_srat(m, arena);
    rsdp.xsdt_address = put_table(arena, &xsdt, sizeof(Header) + n * sizeof(uint64_t));
    rsdp.checksum = checksum(&rsdp, 20); /* the part that ACPI 1.0 defined */
    rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
    return arena_put(arena, &rsdp, sizeof(rsdp));
}
