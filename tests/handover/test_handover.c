/* SPDX-License-Identifier: BSD-3-Clause */
/* What examples/handover.h writes, read back as the kernel reads it: from the system table on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define LENGTH(a)  (sizeof(a) / sizeof(*(a)))
#define MIB_PAGES  (MIB / 4096)
#define CANARY     0xa5
#define N_CANARIES 64

enum {
    CONVENTIONAL = 7,
    ACPI_RECLAIM = 9,
};

/* Canaries follow the tables' memory. */
static uint8_t memory[TABLES_SIZE + N_CANARIES];
static Handover handover;

static void assert_canaries(const uint8_t *data)
{
    for (size_t i = 0; i < N_CANARIES; i++)
        assert_int_equal(data[i], CANARY);
}

static int set_up(void **state)
{
    (void)state;
    memset(memory, CANARY, sizeof(memory));
    memset(&handover, CANARY, sizeof(handover));
    return 0;
}

static HandoverConfig default_config(void)
{
    return (HandoverConfig)HANDOVER_CONFIG(memory);
}

static void write_tables(const HandoverConfig *config)
{
    const char *wrong = handover_write(config, &handover);

    if (wrong)
        fail_msg("%s", wrong);
    assert_canaries(memory + TABLES_SIZE);
}

/* --- Reading back --- */

/* size bytes of the guest, which are within the tables' memory. */
static const uint8_t *at(uint64_t address, size_t size)
{
    assert_true(address >= TABLES_BASE && address - TABLES_BASE <= TABLES_SIZE - size);
    return memory + (address - TABLES_BASE);
}

static uint64_t le(uint64_t address, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, at(address, size), size);
    return value;
}

static void assert_sum(uint64_t address, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += at(address, size)[i];
    assert_int_equal(sum, 0);
}

static uint64_t config_table(const uint8_t guid[16])
{
    uint64_t n = le(handover.system_table + 104, 8), tables = le(handover.system_table + 112, 8);

    for (uint64_t i = 0; i < n; i++)
        if (!memcmp(at(tables + 24 * i, 24), guid, 16))
            return le(tables + 24 * i + 16, 8);
    fail_msg("no such config table");
    return 0;
}

static const uint8_t guid_acpi_20[16] = {0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11,
                                         0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81};
static const uint8_t guid_rt_properties[16] = {0x8a, 0x91, 0x66, 0xeb, 0xef, 0x7e, 0x2a, 0x40,
                                               0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9};
static const uint8_t guid_memreserve[16] = {0xc6, 0xb0, 0x8e, 0x88, 0xde, 0x8e, 0xf5, 0x4f,
                                            0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2};

static uint64_t xsdt(void)
{
    return le(config_table(guid_acpi_20) + 24, 8);
}

static uint32_t n_tables(void)
{
    return (le(xsdt() + 4, 4) - 36) / 8;
}

static uint64_t table_number(uint32_t i)
{
    return le(xsdt() + 36 + 8 * i, 8);
}

/* 0: there is none. */
static uint64_t table(const char *signature)
{
    for (uint32_t i = 0; i < n_tables(); i++)
        if (!memcmp(at(table_number(i), 36), signature, 4))
            return table_number(i);
    return 0;
}

static uint64_t dsdt(void)
{
    return le(table("FACP") + 140, 8);
}

/* --- ACPI --- */

static void the_rsdp_has_both_checksums(void **state)
{
    const HandoverConfig config = default_config();
    uint64_t rsdp;

    (void)state;
    write_tables(&config);
    rsdp = config_table(guid_acpi_20);
    assert_memory_equal(at(rsdp, 36), "RSD PTR ", 8);
    assert_memory_equal(at(rsdp + 9, 6), "ACME  ", 6);
    assert_int_equal(le(rsdp + 15, 1), 2);
    assert_int_equal(le(rsdp + 20, 4), 36);
    assert_sum(rsdp, 20);
    assert_sum(rsdp, 36);
}

static void assert_table(uint64_t address)
{
    assert_int_equal(address % 16, 0);
    assert_sum(address, le(address + 4, 4));
    assert_memory_equal(at(address + 10, 6), "ACME  ", 6);
    assert_memory_equal(at(address + 16, 8), "ROADRUNR", 8);
}

static void every_table_has_its_length_checksum_and_names(void **state)
{
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_table(xsdt());
    assert_table(dsdt());
    for (uint32_t i = 0; i < n_tables(); i++)
        assert_table(table_number(i));
}

static void the_xsdt_lists_the_vmms_tables_as_they_are(void **state)
{
    static const char first[] = "MADT of 17 bytes.", second[] = "PPTT";
    const HandoverData tables[] = {{first, 17}, {second, 4}};
    HandoverConfig config = default_config();

    (void)state;
    config.tables = tables;
    config.n_tables = LENGTH(tables);
    write_tables(&config);
    assert_int_equal(n_tables(), 6); /* FADT, GTDT, SPCR, SRAT */
    assert_memory_equal(at(table_number(4), 17), first, 17);
    assert_memory_equal(at(table_number(5), 4), second, 4);
    assert_int_equal(table_number(5) % 16, 0);
    assert_sum(xsdt(), le(xsdt() + 4, 4));
}

static void the_fadt_says_reduced_hardware_and_psci_by_hvc(void **state)
{
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_int_equal(le(table("FACP") + 4, 4), 276);
    assert_int_equal(le(table("FACP") + 8, 1), 6);
    assert_int_equal(le(table("FACP") + 131, 1), 5);
    assert_int_equal(le(table("FACP") + 112, 4), 1 << 20);
    assert_int_equal(le(table("FACP") + 129, 2), 3);
}

static void the_dsdt_has_64_bit_integers(void **state)
{
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_memory_equal(at(dsdt(), 36), "DSDT", 4);
    assert_int_equal(le(dsdt() + 8, 1), 2);
}

static void the_dsdt_ends_with_the_vmms_aml(void **state)
{
    const HandoverConfig config = default_config();
    uint64_t end;

    (void)state;
    write_tables(&config);
    end = dsdt() + le(dsdt() + 4, 4);
    assert_memory_equal(at(end - sizeof(more_aml), sizeof(more_aml)), more_aml, sizeof(more_aml));
}

static void the_gtdt_names_kvms_timers(void **state)
{
    static const uint32_t irqs[] = {29, 30, 27, 26};
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_int_equal(le(table("GTDT") + 36, 8), UINT64_MAX);
    for (uint32_t i = 0; i < LENGTH(irqs); i++) {
        assert_int_equal(le(table("GTDT") + 48 + 8 * i, 4), irqs[i]);
        assert_int_equal(le(table("GTDT") + 52 + 8 * i, 4), 1 << 2); /* level, high, always on */
    }
}

static void assert_spcr(uint8_t interface, uint8_t width, uint8_t access_size, uint64_t base,
                        uint32_t irq)
{
    uint64_t spcr = table("SPCR");

    assert_int_equal(le(spcr + 4, 4), 80);
    assert_int_equal(le(spcr + 36, 1), interface);
    assert_int_equal(le(spcr + 40, 1), 0); /* memory */
    assert_int_equal(le(spcr + 41, 1), width);
    assert_int_equal(le(spcr + 43, 1), access_size);
    assert_int_equal(le(spcr + 44, 8), base);
    assert_int_equal(le(spcr + 52, 1), 1 << 3);
    assert_int_equal(le(spcr + 54, 4), irq);
}

static void the_spcr_names_a_pl011(void **state)
{
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_spcr(3, 32, 3, 0x09010000, 34);
}

static void the_spcr_names_a_16550(void **state)
{
    HandoverConfig config = default_config();

    (void)state;
    config.uart = uart_16550;
    write_tables(&config);
    assert_spcr(0x12, 8, 1, 0x01000000, 35);
}

static void without_a_uart_there_is_no_spcr_and_no_device(void **state)
{
    HandoverConfig config = default_config();

    (void)state;
    config.uart.hid = NULL;
    config.aml.size = 0;
    write_tables(&config);
    assert_int_equal(table("SPCR"), 0);
    assert_int_equal(le(dsdt() + 4, 4), 36);
    assert_int_equal(n_tables(), 3);
}

static void the_srat_has_the_librarys_entries_and_each_range_of_ram(void **state)
{
    const HandoverConfig config = default_config();
    uint64_t memory_entry;

    (void)state;
    write_tables(&config);
    assert_int_equal(le(table("SRAT") + 4, 4), 48 + sizeof(srat_entries) + 2 * 40);
    assert_int_equal(le(table("SRAT") + 36, 4), 1);
    assert_memory_equal(at(table("SRAT") + 48, sizeof(srat_entries)), srat_entries,
                        sizeof(srat_entries));
    memory_entry = table("SRAT") + 48 + sizeof(srat_entries) + 40;
    assert_int_equal(le(memory_entry, 2), 1 | 40 << 8);
    assert_int_equal(le(memory_entry + 2, 4), 7);
    assert_int_equal(le(memory_entry + 8, 8), UINT64_C(0x8000000000));
    assert_int_equal(le(memory_entry + 16, 8), 32 * MIB);
    assert_int_equal(le(memory_entry + 28, 4), 1);
}

static void without_entries_there_is_no_srat(void **state)
{
    HandoverConfig config = default_config();

    (void)state;
    config.srat_entries.size = 0;
    write_tables(&config);
    assert_int_equal(table("SRAT"), 0);
    assert_int_equal(n_tables(), 3);
}

/* --- EFI --- */

static void the_system_table_has_no_services(void **state)
{
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_memory_equal(at(handover.system_table, 120), "IBI SYST", 8);
    assert_int_equal(le(handover.system_table + 12, 4), 120);
    assert_int_equal(le(handover.system_table + 88, 8), 0);
    assert_int_equal(le(handover.system_table + 96, 8), 0);
}

static void the_vendors_name_is_the_oem_id_in_memory_that_linux_may_map(void **state)
{
    static const uint16_t acme[] = {'A', 'C', 'M', 'E', 0};
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_memory_equal(at(le(handover.system_table + 24, 8), 200), acme, sizeof(acme));
}

static void the_runtime_properties_say_that_no_service_is_there(void **state)
{
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_int_equal(le(config_table(guid_rt_properties), 2), 1);
    assert_int_equal(le(config_table(guid_rt_properties) + 2, 2), 8);
    assert_int_equal(le(config_table(guid_rt_properties) + 4, 4), 0);
}

static void the_list_of_reserved_memory_is_empty(void **state)
{
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_int_equal(le(config_table(guid_memreserve), 8), 0);
    assert_int_equal(le(config_table(guid_memreserve) + 8, 8), 0);
}

typedef struct Descriptor {
    uint32_t type;
    uint64_t base, n_pages;
} Descriptor;

static void assert_map(const Descriptor *expected, size_t n)
{
    assert_int_equal(handover.mmap_desc_size, 40);
    assert_int_equal(handover.mmap_desc_ver, 1);
    assert_int_equal(handover.mmap_start % 8, 0);
    assert_int_equal(handover.mmap_size, n * 40);
    for (size_t i = 0; i < n; i++) {
        uint64_t descriptor = handover.mmap_start + 40 * i;

        assert_int_equal(le(descriptor, 4), expected[i].type);
        assert_int_equal(le(descriptor + 8, 8), expected[i].base);
        assert_int_equal(le(descriptor + 16, 8), 0);
        assert_int_equal(le(descriptor + 24, 8), expected[i].n_pages);
        assert_int_equal(le(descriptor + 32, 8), 8); /* write-back */
    }
}

static void the_memory_map_reserves_the_tables_and_nothing_else(void **state)
{
    static const Descriptor expected[] = {
        {CONVENTIONAL, RAM_BASE, 16 * MIB_PAGES},
        {ACPI_RECLAIM, TABLES_BASE, TABLES_SIZE / 4096},
        {CONVENTIONAL, TABLES_BASE + TABLES_SIZE, 48 * MIB_PAGES - TABLES_SIZE / 4096},
        {CONVENTIONAL, UINT64_C(0x8000000000), 32 * MIB_PAGES},
    };
    const HandoverConfig config = default_config();

    (void)state;
    write_tables(&config);
    assert_map(expected, LENGTH(expected));
}

static void the_tables_may_be_all_of_a_range(void **state)
{
    static const HandoverRam ram[] = {{TABLES_BASE, TABLES_SIZE, 0}};
    static const Descriptor expected[] = {{ACPI_RECLAIM, TABLES_BASE, TABLES_SIZE / 4096}};
    HandoverConfig config = default_config();

    (void)state;
    config.ram = ram;
    config.n_ram = 1;
    write_tables(&config);
    assert_map(expected, LENGTH(expected));
}

/* --- Limits --- */

static void assert_refused(const HandoverConfig *config, const char *expected)
{
    Handover before = handover;

    assert_string_equal(handover_write(config, &handover), expected);
    assert_memory_equal(&handover, &before, sizeof(handover));
    assert_canaries(memory + TABLES_SIZE);
}

static void memory_of_the_tables_that_is_no_multiple_of_64_kib_is_refused(void **state)
{
    static const char wrong[] = "the tables' memory is empty or no multiple of 64 KiB";
    HandoverConfig config = default_config();

    (void)state;
    config.base += 0x8000;
    assert_refused(&config, wrong);
    config = default_config();
    config.size -= 0x8000;
    assert_refused(&config, wrong);
    config.size = 0;
    assert_refused(&config, wrong);
}

static void memory_of_the_tables_outside_ram_is_refused(void **state)
{
    static const uint64_t bases[] = {RAM_BASE - HANDOVER_ALIGN,
                                     RAM_BASE + 64 * MIB - HANDOVER_ALIGN, RAM_BASE + 64 * MIB,
                                     UINT64_MAX - HANDOVER_ALIGN + 1};
    HandoverConfig config = default_config();

    (void)state;
    for (size_t i = 0; i < LENGTH(bases); i++) {
        config.base = bases[i];
        assert_refused(&config, "the tables' memory is in no range of RAM");
    }
    config.n_ram = 0;
    assert_refused(&config, "the tables' memory is in no range of RAM");
}

static void ranges_of_ram_that_are_empty_wrap_or_are_not_whole_pages_are_refused(void **state)
{
    static const HandoverRam bad[] = {
        {RAM_BASE, 0, 0},
        {RAM_BASE + 512, 64 * MIB, 0},
        {RAM_BASE, 64 * MIB - 512, 0},
        {UINT64_MAX - 4095, 4096, 0},
        {RAM_BASE, UINT64_MAX - 4095, 0},
    };
    HandoverConfig config = default_config();

    (void)state;
    config.n_ram = 1;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        config.ram = &bad[i];
        assert_refused(&config, "a range of RAM is empty, wraps or is no multiple of 4 KiB");
    }
}

static void ranges_of_ram_that_overlap_or_descend_are_refused(void **state)
{
    static const HandoverRam bad[][2] = {
        {{RAM_BASE, 64 * MIB, 0}, {RAM_BASE + 63 * MIB, 2 * MIB, 0}},
        {{RAM_BASE, 64 * MIB, 0}, {0, 2 * MIB, 0}},
    };
    HandoverConfig config = default_config();

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        config.ram = bad[i];
        assert_refused(&config, "the ranges of RAM overlap or are not in ascending order");
    }
}

static void a_hid_of_more_than_8_characters_is_refused(void **state)
{
    HandoverConfig config = default_config();

    (void)state;
    config.uart.hid = "ARMH00111";
    assert_refused(&config, "the UART's HID is longer than 8 characters");
}

/* A table of each size around the room that the memory has. */
static void tables_that_do_not_fit_are_refused_and_nothing_is_written_beyond(void **state)
{
    static const uint8_t large[TABLES_SIZE];
    HandoverData own = {large, 0};
    HandoverConfig config = default_config();
    size_t last_fit;

    (void)state;
    config.tables = &own;
    config.n_tables = 1;
    write_tables(&config);
    last_fit = TABLES_SIZE - (handover.mmap_start + handover.mmap_size - TABLES_BASE);
    for (own.size = last_fit - 32; own.size <= last_fit; own.size += 16)
        write_tables(&config);
    memset(&handover, CANARY, sizeof(handover));
    for (; own.size < sizeof(large); own.size += 16)
        assert_refused(&config, "the tables' memory is too small");
}

static void device_trees_that_do_not_fit_are_refused_and_nothing_is_written_beyond(void **state)
{
    const HandoverConfig config = default_config();
    uint8_t fdt[1024 + N_CANARIES];
    size_t size = 0;

    (void)state;
    write_tables(&config);
    for (;; size++) {
        const char *wrong;

        memset(fdt, CANARY, sizeof(fdt));
        wrong = handover_fdt(&handover, "quiet", 1, 2, fdt, size);
        assert_canaries(fdt + size);
        if (!wrong)
            break;
        assert_string_equal(wrong, "the device tree's memory is too small");
        assert_true(size < 1024);
    }
    assert_int_equal(size, fdt[6] << 8 | fdt[7]); /* all of it is used */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_rsdp_has_both_checksums, set_up),
        cmocka_unit_test_setup(every_table_has_its_length_checksum_and_names, set_up),
        cmocka_unit_test_setup(the_xsdt_lists_the_vmms_tables_as_they_are, set_up),
        cmocka_unit_test_setup(the_fadt_says_reduced_hardware_and_psci_by_hvc, set_up),
        cmocka_unit_test_setup(the_dsdt_has_64_bit_integers, set_up),
        cmocka_unit_test_setup(the_dsdt_ends_with_the_vmms_aml, set_up),
        cmocka_unit_test_setup(the_gtdt_names_kvms_timers, set_up),
        cmocka_unit_test_setup(the_spcr_names_a_pl011, set_up),
        cmocka_unit_test_setup(the_spcr_names_a_16550, set_up),
        cmocka_unit_test_setup(without_a_uart_there_is_no_spcr_and_no_device, set_up),
        cmocka_unit_test_setup(the_srat_has_the_librarys_entries_and_each_range_of_ram, set_up),
        cmocka_unit_test_setup(without_entries_there_is_no_srat, set_up),
        cmocka_unit_test_setup(the_system_table_has_no_services, set_up),
        cmocka_unit_test_setup(the_vendors_name_is_the_oem_id_in_memory_that_linux_may_map, set_up),
        cmocka_unit_test_setup(the_runtime_properties_say_that_no_service_is_there, set_up),
        cmocka_unit_test_setup(the_list_of_reserved_memory_is_empty, set_up),
        cmocka_unit_test_setup(the_memory_map_reserves_the_tables_and_nothing_else, set_up),
        cmocka_unit_test_setup(the_tables_may_be_all_of_a_range, set_up),
        cmocka_unit_test_setup(memory_of_the_tables_that_is_no_multiple_of_64_kib_is_refused,
                               set_up),
        cmocka_unit_test_setup(memory_of_the_tables_outside_ram_is_refused, set_up),
        cmocka_unit_test_setup(ranges_of_ram_that_are_empty_wrap_or_are_not_whole_pages_are_refused,
                               set_up),
        cmocka_unit_test_setup(ranges_of_ram_that_overlap_or_descend_are_refused, set_up),
        cmocka_unit_test_setup(a_hid_of_more_than_8_characters_is_refused, set_up),
        cmocka_unit_test_setup(tables_that_do_not_fit_are_refused_and_nothing_is_written_beyond,
                               set_up),
        cmocka_unit_test_setup(
            device_trees_that_do_not_fit_are_refused_and_nothing_is_written_beyond, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
