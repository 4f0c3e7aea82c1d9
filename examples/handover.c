/* SPDX-License-Identifier: BSD-3-Clause */
#include "handover.h"

#include <stdbool.h>
#include <string.h>

/* Tables are written as C structs. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a little-endian machine");

#define PACKED    __attribute__((packed))
#define PAGE      4096
#define HID_MAX   8
#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

/* --- Guest memory that is filled from its start --- */

typedef struct Arena {
    uint8_t *memory;
    uint64_t base;
    size_t used, size;
    bool full; /* something did not fit; nothing more is written */
    const HandoverConfig *config;
} Arena;

static void append(Arena *arena, const void *data, size_t size)
{
    arena->full |= size > arena->size - arena->used;
    if (arena->full || !size)
        return;
    memcpy(arena->memory + arena->used, data, size);
    arena->used += size;
}

/* Begin something new at a multiple of 16. Returns its guest address. */
static uint64_t align(Arena *arena)
{
    static const uint8_t zeros[15];

    append(arena, zeros, -arena->used & 15);
    return arena->base + arena->used;
}

static uint64_t put(Arena *arena, const void *data, size_t size)
{
    uint64_t address = align(arena);

    append(arena, data, size);
    return address;
}

/* --- ACPI tables (ACPI 6.5, chapter 5) --- */

typedef struct PACKED Header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} Header;
_Static_assert(sizeof(Header) == 36, "5.2.6");

static uint8_t checksum(const void *data, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += ((const uint8_t *)data)[i];
    return -sum;
}

static void pad(char *field, size_t size, const char *text)
{
    size_t length = strlen(text);

    memset(field, ' ', size);
    memcpy(field, text, length < size ? length : size);
}

/* Returns the table's guest address. Its contents are appended, then table_end() is called. */
static uint64_t table_begin(Arena *arena, const char *signature, uint8_t revision)
{
    Header header = {.revision = revision};

    memcpy(header.signature, signature, sizeof(header.signature));
    pad(header.oem_id, sizeof(header.oem_id), arena->config->oem_id);
    pad(header.oem_table_id, sizeof(header.oem_table_id), arena->config->oem_table_id);
    pad(header.creator_id, sizeof(header.creator_id), arena->config->oem_id);
    return put(arena, &header, sizeof(header));
}

static void table_end(Arena *arena, uint64_t table)
{
    uint8_t *data = arena->memory + (table - arena->base);
    size_t size = arena->base + arena->used - table;

    if (arena->full)
        return;
    memcpy(data + offsetof(Header, length), &(uint32_t){size}, sizeof(uint32_t));
    data[offsetof(Header, checksum)] = checksum(data, size);
}

/* A table whose size does not vary. contents are what follows the header. */
static uint64_t table_put(Arena *arena, const char *signature, uint8_t revision,
                          const void *contents, size_t size)
{
    uint64_t table = table_begin(arena, signature, revision);

    append(arena, contents, size);
    table_end(arena, table);
    return table;
}

/*
 *  Device (_SB.COM0) {
 *      Name (_CRS, ResourceTemplate () {
 *          Memory32Fixed (ReadWrite, base, size)
 *          Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { irq }
 *      })
 *      Name (_HID, "ARMH0011")
 *  }
 */
typedef struct PACKED UartAml {
    uint8_t device[2], device_length;
    char device_name[9];
    uint8_t crs[6], crs_length, buffer[2];
    uint8_t memory[4];
    uint32_t base, size;
    uint8_t interrupt[5];
    uint32_t irq;
    uint8_t end[2];
    uint8_t hid[6];
    char hid_text[HID_MAX + 1];
} UartAml;

/* A PkgLength counts itself, but not the opcode before it. */
static void append_uart_aml(Arena *arena, const HandoverUart *uart)
{
    size_t size = sizeof(UartAml) - HID_MAX + strlen(uart->hid);
    UartAml aml = {
        .device = {0x5b, 0x82},
        .device_length = size - offsetof(UartAml, device_length),
        .device_name = {0x2e, '_', 'S', 'B', '_', 'C', 'O', 'M', '0'},
        .crs = {0x08, '_', 'C', 'R', 'S', 0x11},
        .crs_length = offsetof(UartAml, hid) - offsetof(UartAml, crs_length),
        .buffer = {0x0a, offsetof(UartAml, hid) - offsetof(UartAml, memory)},
        .memory = {0x86, 9, 0, 1},
        .base = uart->base,
        .size = uart->size,
        .interrupt = {0x89, 6, 0, 0x01, 1},
        .irq = uart->irq,
        .end = {0x79, 0},
        .hid = {0x08, '_', 'H', 'I', 'D', 0x0d},
    };

    memcpy(aml.hid_text, uart->hid, strlen(uart->hid));
    append(arena, &aml, size);
}

/* Revision 2: integers have 64 bits. */
static uint64_t put_dsdt(Arena *arena)
{
    const HandoverConfig *config = arena->config;
    uint64_t table = table_begin(arena, "DSDT", 2);

    if (config->uart.hid)
        append_uart_aml(arena, &config->uart);
    append(arena, config->aml.data, config->aml.size);
    table_end(arena, table);
    return table;
}

typedef struct PACKED Fadt { /* 5.2.9 */
    uint8_t unused_1[76];
    uint32_t flags;
    uint8_t unused_2[13];
    uint16_t arm_boot_flags;
    uint8_t minor_version;
    uint64_t x_firmware_ctrl, x_dsdt;
    uint8_t unused_3[128];
} Fadt;
_Static_assert(sizeof(Header) + sizeof(Fadt) == 276, "5.2.9");

static uint64_t put_fadt(Arena *arena, uint64_t dsdt)
{
    const Fadt fadt = {
        .flags = 1 << 20,    /* HW_REDUCED_ACPI: no fixed hardware */
        .arm_boot_flags = 3, /* PSCI_COMPLIANT, PSCI_USE_HVC */
        .minor_version = 5,
        .x_dsdt = dsdt,
    };

    return table_put(arena, "FACP", 6, &fadt, sizeof(fadt));
}

typedef struct PACKED TimerIrq {
    uint32_t gsiv, flags;
} TimerIrq;

typedef struct PACKED Gtdt { /* 5.2.25 */
    uint64_t counter_base;
    uint32_t reserved;
    TimerIrq secure_el1, el1, virtual_el1, el2;
    uint64_t counter_read_base;
    uint32_t n_platform_timers, platform_timers_offset;
} Gtdt;
_Static_assert(sizeof(Header) + sizeof(Gtdt) == 96, "5.2.25");

static uint64_t put_gtdt(Arena *arena)
{
    enum {
        ALWAYS_ON = 1 << 2 /* runs in low-power states; level-triggered, active high */
    };
    const Gtdt gtdt = {
        .counter_base = UINT64_MAX, /* no memory-mapped counter */
        .counter_read_base = UINT64_MAX,
        /* KVM's PPIs. Linux warns if one is missing. */
        .secure_el1 = {29, ALWAYS_ON},
        .el1 = {30, ALWAYS_ON},
        .virtual_el1 = {27, ALWAYS_ON},
        .el2 = {26, ALWAYS_ON},
    };

    return table_put(arena, "GTDT", 2, &gtdt, sizeof(gtdt));
}

typedef struct PACKED Address { /* 5.2.3.2 */
    uint8_t space, bit_width, bit_offset, access_size;
    uint64_t address;
} Address;

typedef struct PACKED Spcr { /* Microsoft's Serial Port Console Redirection Table, revision 2 */
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
_Static_assert(sizeof(Header) + sizeof(Spcr) == 80, "revision 2");

static uint64_t put_spcr(Arena *arena, const HandoverUart *uart)
{
    const Spcr spcr = {
        .interface = uart->interface,
        .address = {.bit_width = uart->access * 8,
                    .access_size = uart->access == 4 ? 3 : uart->access,
                    .address = uart->base},
        .irq_type = 1 << 3, /* GIC */
        .gsiv = uart->irq,
        .baud_rate = 0, /* as configured */
        .stop_bits = 1,
        .terminal = 3, /* ANSI */
        .pci_device = 0xffff,
        .pci_vendor = 0xffff,
    };

    return table_put(arena, "SPCR", 2, &spcr, sizeof(spcr));
}

typedef struct PACKED SratMemory { /* 5.2.16.2 */
    uint8_t type, length;
    uint32_t domain;
    uint16_t reserved_1;
    uint64_t base, size;
    uint32_t reserved_2, flags;
    uint64_t reserved_3;
} SratMemory;
_Static_assert(sizeof(SratMemory) == 40, "5.2.16.2");

/* The library knows which node a vCPU belongs to, and the VMM which RAM. */
static uint64_t put_srat(Arena *arena)
{
    const HandoverConfig *config = arena->config;
    uint64_t table = table_begin(arena, "SRAT", 3);

    append(arena, (const uint32_t[3]){1}, 12); /* reserved */
    append(arena, config->srat_entries.data, config->srat_entries.size);
    for (size_t i = 0; i < config->n_ram; i++) {
        const SratMemory memory = {
            .type = 1,
            .length = sizeof(memory),
            .domain = config->ram[i].node,
            .base = config->ram[i].base,
            .size = config->ram[i].size,
            .flags = 1, /* enabled */
        };

        append(arena, &memory, sizeof(memory));
    }
    table_end(arena, table);
    return table;
}

/* The XSDT comes before the tables that it lists. Their addresses are filled in afterwards. */
typedef struct Xsdt {
    Arena *arena;
    uint64_t table;
    size_t next; /* offset in the arena of the next address */
} Xsdt;

static Xsdt xsdt_begin(Arena *arena, size_t n_tables)
{
    Xsdt xsdt = {.arena = arena, .table = table_begin(arena, "XSDT", 1), .next = arena->used};

    for (size_t i = 0; i < n_tables && !arena->full; i++)
        append(arena, &(uint64_t){0}, sizeof(uint64_t));
    table_end(arena, xsdt.table);
    return xsdt;
}

static void xsdt_add(Xsdt *xsdt, uint64_t table)
{
    uint8_t *data = xsdt->arena->memory + (xsdt->table - xsdt->arena->base);

    if (xsdt->arena->full)
        return;
    memcpy(xsdt->arena->memory + xsdt->next, &table, sizeof(table));
    xsdt->next += sizeof(table);
    data[offsetof(Header, checksum)] += checksum(&table, sizeof(table));
}

typedef struct PACKED Rsdp { /* 5.2.5.3 */
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_address, length;
    uint64_t xsdt_address;
    uint8_t extended_checksum, reserved[3];
} Rsdp;
_Static_assert(sizeof(Rsdp) == 36, "5.2.5.3");

static uint64_t put_rsdp(Arena *arena, uint64_t xsdt)
{
    Rsdp rsdp = {
        .signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
        .revision = 2,
        .length = sizeof(rsdp),
        .xsdt_address = xsdt,
    };

    pad(rsdp.oem_id, sizeof(rsdp.oem_id), arena->config->oem_id);
    rsdp.checksum = checksum(&rsdp, 20); /* the part that ACPI 1.0 defined */
    rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
    return put(arena, &rsdp, sizeof(rsdp));
}

static uint64_t put_tables(Arena *arena)
{
    const HandoverConfig *config = arena->config;
    bool has_uart = config->uart.hid, has_srat = config->srat_entries.size;
    Xsdt xsdt = xsdt_begin(arena, 2 + has_uart + has_srat + config->n_tables);

    xsdt_add(&xsdt, put_fadt(arena, put_dsdt(arena)));
    xsdt_add(&xsdt, put_gtdt(arena));
    if (has_uart)
        xsdt_add(&xsdt, put_spcr(arena, &config->uart));
    if (has_srat)
        xsdt_add(&xsdt, put_srat(arena));
    for (size_t i = 0; i < config->n_tables; i++)
        xsdt_add(&xsdt, put(arena, config->tables[i].data, config->tables[i].size));
    return put_rsdp(arena, xsdt.table);
}

/* --- EFI (UEFI 2.10: 4.2, 4.3, 4.6, 7.2.3) --- */

typedef struct EfiGuid {
    uint32_t a;
    uint16_t b, c;
    uint8_t d[8];
} EfiGuid;

typedef struct EfiConfigTable {
    EfiGuid guid;
    uint64_t address;
} EfiConfigTable;

typedef struct EfiSystemTable {
    char signature[8];
    uint32_t revision, size, crc, reserved;
    uint64_t vendor;
    uint64_t vendor_revision;
    uint64_t consoles[6];
    uint64_t runtime_services, boot_services;
    uint64_t n_tables, tables;
} EfiSystemTable;
_Static_assert(sizeof(EfiSystemTable) == 120, "4.3");

typedef struct EfiMemory {
    uint32_t type, pad;
    uint64_t base, virtual_base, n_pages, attributes;
} EfiMemory;
_Static_assert(sizeof(EfiMemory) == 40, "7.2.3");

enum {
    EFI_CONVENTIONAL = 7,
    EFI_ACPI_RECLAIM = 9,
};
#define EFI_MEMORY_WB 8

static const EfiGuid guid_acpi_20 = {
    0x8868e871, 0xe4f1, 0x11d3, {0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81}};
static const EfiGuid guid_rt_properties = {
    0xeb66918a, 0x7eef, 0x402a, {0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9}};
static const EfiGuid guid_linux_memreserve = {
    0x888eb0c6, 0x8ede, 0x4ff5, {0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2}};

/* The OEM ID serves as the vendor's name. */
static uint64_t put_vendor(Arena *arena)
{
    char name[6];
    /* Linux maps 100 characters, whatever the name's length. */
    uint16_t vendor[100] = {0};

    pad(name, sizeof(name), arena->config->oem_id);
    for (size_t i = 0; i < sizeof(name) && name[i] != ' '; i++)
        vendor[i] = name[i];
    return put(arena, vendor, sizeof(vendor));
}

static uint64_t put_system_table(Arena *arena, uint64_t rsdp)
{
    const struct {
        uint16_t version, length;
        uint32_t supported;
    } rt_properties = {1, 8, 0};
    const uint64_t memreserve[2] = {0};
    const EfiConfigTable tables[] = {
        {guid_acpi_20, rsdp},
        /* It says that there are no runtime services. Without it Linux would call them. */
        {guid_rt_properties, put(arena, &rt_properties, sizeof(rt_properties))},
        /* Linux records here what a kexec must preserve: an ITS's tables. */
        {guid_linux_memreserve, put(arena, memreserve, sizeof(memreserve))},
    };
    const EfiSystemTable system_table = {
        .signature = {'I', 'B', 'I', ' ', 'S', 'Y', 'S', 'T'},
        .revision = 2 << 16 | 100, /* 2.10 */
        .size = sizeof(system_table),
        .vendor = put_vendor(arena),
        .n_tables = LENGTH(tables),
        .tables = put(arena, tables, sizeof(tables)),
    };

    return put(arena, &system_table, sizeof(system_table));
}

static uint32_t append_memory(Arena *arena, uint32_t type, uint64_t base, uint64_t end)
{
    const EfiMemory memory = {
        .type = type,
        .base = base,
        .n_pages = (end - base) / PAGE,
        .attributes = EFI_MEMORY_WB,
    };

    if (base == end)
        return 0;
    append(arena, &memory, sizeof(memory));
    return sizeof(memory);
}

/* RAM is free, except what holds the tables: Linux keeps that. MMIO is not listed. */
static uint32_t append_map(Arena *arena)
{
    const HandoverConfig *config = arena->config;
    uint64_t tables_end = config->base + config->size;
    uint32_t size = 0;

    for (size_t i = 0; i < config->n_ram; i++) {
        uint64_t base = config->ram[i].base, end = base + config->ram[i].size;

        if (base <= config->base && tables_end <= end) {
            size += append_memory(arena, EFI_CONVENTIONAL, base, config->base);
            size += append_memory(arena, EFI_ACPI_RECLAIM, config->base, tables_end);
            base = tables_end;
        }
        size += append_memory(arena, EFI_CONVENTIONAL, base, end);
    }
    return size;
}

static const char *check_ram(const HandoverConfig *config)
{
    bool holds_tables = false;
    uint64_t last_end = 0;

    for (size_t i = 0; i < config->n_ram; i++) {
        uint64_t base = config->ram[i].base, size = config->ram[i].size;

        if (!size || base % PAGE || size % PAGE || size > UINT64_MAX - base)
            return "a range of RAM is empty, wraps or is no multiple of 4 KiB";
        if (base < last_end)
            return "the ranges of RAM overlap or are not in ascending order";
        last_end = base + size;
        holds_tables |= base <= config->base && config->size <= size &&
                        config->base - base <= size - config->size;
    }
    return holds_tables ? NULL : "the tables' memory is in no range of RAM";
}

static const char *check(const HandoverConfig *config)
{
    if (!config->size || config->base % HANDOVER_ALIGN || config->size % HANDOVER_ALIGN)
        return "the tables' memory is empty or no multiple of 64 KiB";
    if (config->uart.hid && strlen(config->uart.hid) > HID_MAX)
        return "the UART's HID is longer than 8 characters";
    return check_ram(config);
}

const char *handover_write(const HandoverConfig *config, Handover *ret_handover)
{
    const char *error = check(config);
    Arena arena = {
        .memory = config->memory, .base = config->base, .size = config->size, .config = config};
    Handover handover = {.mmap_desc_size = sizeof(EfiMemory), .mmap_desc_ver = 1};

    if (error)
        return error;
    handover.system_table = put_system_table(&arena, put_tables(&arena));
    handover.mmap_start = align(&arena);
    handover.mmap_size = append_map(&arena);
    handover.uefi_secure_boot = 2; /* disabled */
    if (arena.full)
        return "the tables' memory is too small";
    *ret_handover = handover;
    return NULL;
}

/* --- Device tree (Devicetree Specification 0.4, chapter 5) --- */

enum {
    FDT_BEGIN_NODE = 1,
    FDT_END_NODE = 2,
    FDT_PROP = 3,
    FDT_END = 9,
};

/* The strings block: the names of all properties. */
static const char names[] = "#address-cells\0"
                            "#size-cells\0"
                            "bootargs\0"
                            "linux,initrd-start\0"
                            "linux,initrd-end\0"
                            "linux,uefi-system-table\0"
                            "linux,uefi-mmap-start\0"
                            "linux,uefi-mmap-size\0"
                            "linux,uefi-mmap-desc-size\0"
                            "linux,uefi-mmap-desc-ver\0"
                            "linux,uefi-secure-boot";

static uint32_t name_offset(const char *name)
{
    const char *at = names;

    while (strcmp(at, name) != 0)
        at += strlen(at) + 1;
    return at - names;
}

static void append_u32(Arena *fdt, uint32_t value)
{
    append(fdt, &(uint32_t){__builtin_bswap32(value)}, sizeof(value));
}

static void append_padded(Arena *fdt, const void *data, size_t size)
{
    append(fdt, data, size);
    append(fdt, (const uint8_t[3]){0}, -size & 3);
}

static void property(Arena *fdt, const char *name, const void *value, size_t size)
{
    append_u32(fdt, FDT_PROP);
    append_u32(fdt, size);
    append_u32(fdt, name_offset(name));
    append_padded(fdt, value, size);
}

static void property_u32(Arena *fdt, const char *name, uint32_t value)
{
    property(fdt, name, &(uint32_t){__builtin_bswap32(value)}, sizeof(value));
}

static void property_u64(Arena *fdt, const char *name, uint64_t value)
{
    property(fdt, name, &(uint64_t){__builtin_bswap64(value)}, sizeof(value));
}

static void begin_node(Arena *fdt, const char *name)
{
    append_u32(fdt, FDT_BEGIN_NODE);
    append_padded(fdt, name, strlen(name) + 1);
}

static void append_chosen(Arena *fdt, const Handover *handover, const char *command_line,
                          uint64_t initrd_start, uint64_t initrd_end)
{
    begin_node(fdt, "chosen");
    property(fdt, "bootargs", command_line, strlen(command_line) + 1);
    if (initrd_start < initrd_end) {
        property_u64(fdt, "linux,initrd-start", initrd_start);
        property_u64(fdt, "linux,initrd-end", initrd_end);
    }
    property_u64(fdt, "linux,uefi-system-table", handover->system_table);
    property_u64(fdt, "linux,uefi-mmap-start", handover->mmap_start);
    property_u32(fdt, "linux,uefi-mmap-size", handover->mmap_size);
    property_u32(fdt, "linux,uefi-mmap-desc-size", handover->mmap_desc_size);
    property_u32(fdt, "linux,uefi-mmap-desc-ver", handover->mmap_desc_ver);
    property_u32(fdt, "linux,uefi-secure-boot", handover->uefi_secure_boot);
    append_u32(fdt, FDT_END_NODE);
}

/* Linux uses ACPI if the root has no other node than /chosen. */
static void append_structure(Arena *fdt, const Handover *handover, const char *command_line,
                             uint64_t initrd_start, uint64_t initrd_end)
{
    begin_node(fdt, "");
    property_u32(fdt, "#address-cells", 2);
    property_u32(fdt, "#size-cells", 2);
    append_chosen(fdt, handover, command_line, initrd_start, initrd_end);
    append_u32(fdt, FDT_END_NODE);
    append_u32(fdt, FDT_END);
}

const char *handover_fdt(const Handover *handover, const char *command_line, uint64_t initrd_start,
                         uint64_t initrd_end, void *fdt, size_t size)
{
    enum {
        HEADER_SIZE = 40,
        RESERVATIONS_SIZE = 16,
        STRUCTURE = HEADER_SIZE + RESERVATIONS_SIZE,
    };
    static const uint8_t header_and_reservations[STRUCTURE];
    Arena arena = {.memory = fdt, .size = size}, header = {.memory = fdt, .size = size};
    size_t strings;

    append(&arena, header_and_reservations, STRUCTURE);
    append_structure(&arena, handover, command_line, initrd_start, initrd_end);
    strings = arena.used;
    append(&arena, names, sizeof(names));
    if (arena.full || arena.used > UINT32_MAX)
        return "the device tree's memory is too small";

    append_u32(&header, 0xd00dfeed);
    append_u32(&header, arena.used);
    append_u32(&header, STRUCTURE);
    append_u32(&header, strings);
    append_u32(&header, HEADER_SIZE); /* of reservations, of which there are none */
    append_u32(&header, 17);          /* version */
    append_u32(&header, 16);          /* last compatible version */
    append_u32(&header, 0);           /* boot CPU */
    append_u32(&header, sizeof(names));
    append_u32(&header, strings - STRUCTURE);
    return NULL;
}
