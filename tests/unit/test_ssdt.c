/* SPDX-License-Identifier: BSD-3-Clause */
/* AML encoding, and what the SSDT declares. What it does is tried in tests/acpi/. */
#include "acpi/aml.h"
#include "table.h"

static void assert_term(AmlTerm term, const char *bytes, gsize size)
{
    assert_int_equal(term.size, size);
    assert_memory_equal(term.bytes, bytes, size);
}

#define ASSERT_TERM(term, bytes) assert_term(term, bytes, sizeof(bytes) - 1)

static void integers_take_the_least_bytes_they_need(void **state)
{
    (void)state;
    ASSERT_TERM(aml_integer(0), "\x00");
    ASSERT_TERM(aml_integer(1), "\x01");
    ASSERT_TERM(aml_integer(2), "\x0a\x02");
    ASSERT_TERM(aml_integer(0xff), "\x0a\xff");
    ASSERT_TERM(aml_integer(0x100), "\x0b\x00\x01");
    ASSERT_TERM(aml_integer(0xffff), "\x0b\xff\xff");
    ASSERT_TERM(aml_integer(0x10000), "\x0c\x00\x00\x01\x00");
    ASSERT_TERM(aml_integer(0xffffffff), "\x0c\xff\xff\xff\xff");
    ASSERT_TERM(aml_integer(0x100000000), "\x0e\x00\x00\x00\x00\x01\x00\x00\x00");
}

static void paths_have_prefixes_and_padded_segments(void **state)
{
    (void)state;
    ASSERT_TERM(aml_path("ABCD"), "ABCD");
    ASSERT_TERM(aml_path("A"), "A___");
    ASSERT_TERM(aml_path("\\_SB"), "\\_SB_");
    ASSERT_TERM(aml_path("^^AB"), "^^AB__");
    ASSERT_TERM(aml_path("\\_SB.ABC"), "\\\x2e_SB_ABC_");
    ASSERT_TERM(aml_path("\\_SB.A.CSCN"), "\\\x2f\x03_SB_A___CSCN");
}

/* The bytes of a block with a body of this size, before the body. */
static void assert_block_begins(gsize size, const char *bytes, gsize n_bytes)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();
    g_autofree uint8_t *body = g_malloc0(size);
    AmlBlock block = aml_begin(aml, 0x10, (AmlTerm){0});

    g_byte_array_append(aml, body, size);
    aml_end(&block);
    assert_int_equal(aml->len, n_bytes + size);
    assert_memory_equal(aml->data, bytes, n_bytes);
}

static void package_lengths_take_the_least_bytes_they_need(void **state)
{
    (void)state;
    assert_block_begins(0, "\x10\x01", 2);
    assert_block_begins(0x3e, "\x10\x3f", 2);
    assert_block_begins(0x3f, "\x10\x41\x04", 3);
    assert_block_begins(0xffd, "\x10\x4f\xff", 3);
    assert_block_begins(0xffe, "\x10\x81\x00\x01", 4);
    assert_block_begins(0xffffc, "\x10\x8f\xff\xff", 4);
    assert_block_begins(0xffffd, "\x10\xc1\x00\x00\x01", 5);
}

static void field_units_count_bits(void **state)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();

    (void)state;
    aml_field_unit(aml, "A", 8);
    aml_field_unit(aml, NULL, 64);
    aml_field_unit(aml, "BC", 512);
    assert_int_equal(aml->len, 5 + 3 + 6);
    assert_memory_equal(aml->data,
                        "A___\x08\x00\x40\x04"
                        "BC__\x40\x20",
                        14);
}

/* --- The SSDT --- */

static VcpuhpConfig default_config(uint32_t n_vcpus, uint32_t n_enabled)
{
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, n_enabled);
    return config;
}

static guint count_bytes(GBytes *aml, const void *bytes, gsize size)
{
    gsize length;
    const char *data = g_bytes_get_data(aml, &length);
    guint n = 0;

    for (gsize i = 0; i + size <= length; i++)
        n += memcmp(data + i, bytes, size) == 0;
    return n;
}

static guint count(GBytes *aml, const char *name)
{
    return count_bytes(aml, name, strlen(name));
}

static guint count_in(const VcpuhpConfig *config, const char *name)
{
    g_autoptr(GBytes) aml = build(config, VCPUHP_ACPI_AML);

    return count(aml, name);
}

/* A Device's opcode, its length, which is below 64 KiB and has two bytes, and its name. */
static guint count_devices(GBytes *aml, const char *name)
{
    gsize length;
    const char *data = g_bytes_get_data(aml, &length);
    guint n = 0;

    for (gsize i = 0; i + 8 <= length; i++) {
        gsize skip = 3 + ((uint8_t)data[i + 2] >> 6);

        n += data[i] == 0x5b && (uint8_t)data[i + 1] == 0x82 && i + skip + 4 <= length &&
             memcmp(data + i + skip, name, 4) == 0;
    }
    return n;
}

static void every_possible_vcpu_is_one_device_with_a_name_of_its_own(void **state)
{
    const uint32_t counts[] = {1, 2, 16, 17, 64, 512};

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        VcpuhpConfig config = default_config(counts[i], 1);
        g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);

        for (uint32_t vcpu = 0; vcpu < counts[i]; vcpu++) {
            char name[5];

            g_snprintf(name, sizeof(name), "C%03X", vcpu);
            assert_int_equal(count_devices(aml, name), 1);
        }
        assert_int_equal(count(aml, "ACPI0007"), counts[i]);
        assert_int_equal(count(aml, "ACPI0010"), 1);
        assert_int_equal(count(aml, "_UID"), counts[i] + (counts[i] > 1)); /* and the GED's */
    }
}

static void vcpus_enabled_for_good_have_no_methods(void **state)
{
    VcpuhpConfig config = default_config(8, 3);

    (void)state;
    assert_int_equal(count_in(&config, "_EJ0"), 5);
    assert_int_equal(count_in(&config, "_STA"), 5);
    assert_int_equal(count_in(&config, "_OST"), 5);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    assert_int_equal(count_in(&config, "_EJ0"), 7);
    assert_int_equal(count_in(&config, "_STA"), 7);
    assert_int_equal(count_in(&config, "_OST"), 7);
}

static void status_begins_as_the_config_has_it(void **state)
{
    VcpuhpConfig config = default_config(4, 2);
    g_autoptr(GBytes) fixed = build(&config, VCPUHP_ACPI_AML);

    (void)state;
    assert_int_equal(count_bytes(fixed, "STAB\x11\x07\x0a\x04\x0f\x0f\x0d\x0d", 12), 1);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    g_autoptr(GBytes) removable = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count_bytes(removable, "STAB\x11\x07\x0a\x04\x0f\x0f\x0d\x0d", 12), 1);
}

static void proximity_domains_are_there_with_numa(void **state)
{
    const uint32_t nodes[] = {0, 3, 0x12345678};
    VcpuhpConfig config = default_config(3, 1);

    (void)state;
    assert_int_equal(count_in(&config, "_PXM"), 0);
    config.nodes = nodes;
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count(aml, "_PXM"), 3);
    assert_int_equal(count_bytes(aml, "_PXM\x00", 5), 1);
    assert_int_equal(count_bytes(aml, "_PXM\x0a\x03", 6), 1);
    assert_int_equal(count_bytes(aml, "_PXM\x0c\x78\x56\x34\x12", 9), 1);
}

static void the_ged_has_the_configs_interrupt(void **state)
{
    VcpuhpConfig config = default_config(2, 1);

    (void)state;
    config.gic.n_irqs = 512;
    config.event_irq = 300;
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count(aml, "ACPI0013"), 1);
    assert_int_equal(count_bytes(aml, "\x89\x06\x00\x01\x01\x2c\x01\x00\x00\x79\x00", 11), 1);
}

static void there_is_no_ged_with_an_external_one_or_nothing_to_plug(void **state)
{
    VcpuhpConfig external = default_config(2, 1), fixed = default_config(2, 2);

    (void)state;
    external.acpi.external_ged = true;
    assert_int_equal(count_in(&external, "ACPI0013"), 0);
    assert_int_equal(count_in(&external, "CSCN"), 1);
    assert_int_equal(count_in(&fixed, "ACPI0013"), 0);
    assert_int_equal(count_in(&fixed, "CSCN"), 1);
}

static void names_are_those_of_the_config(void **state)
{
    const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                       .vcpu_start = test_vcpu_start,
                                       .vcpu_kick = test_vcpu_kick,
                                       .irq_set = test_irq_set};
    VcpuhpConfig config = default_config(2, 1);

    (void)state;
    config.acpi.container_name = "VC0";
    config.acpi.ged_name = "EVTS";
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    g_autoptr(Vcpuhp) hp = vcpuhp_new(&config, &callbacks, NULL, NULL);
    assert_int_equal(count_devices(aml, "VC0_"), 1);
    assert_int_equal(count_devices(aml, "EVTS"), 1);
    assert_int_equal(count(aml, "\\\x2f\x03_SB_VC0_CSCN"), 1);
    assert_string_equal(vcpuhp_acpi_scan_method(hp), "\\_SB.VC0_.CSCN");
}

static void registers_are_where_the_config_has_them(void **state)
{
    VcpuhpConfig config = default_config(2, 1);

    (void)state;
    config.regs_base = 0x123456780;
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count_bytes(aml, "REGS\x00\x0e\x80\x67\x45\x23\x01\x00\x00\x00\x0a\x80", 16),
                     1);
}

/* Between 64 and 512 vCPUs, each costs this much at most, notification dispatch included. */
static void a_vcpu_costs_88_bytes(void **state)
{
    VcpuhpConfig few = default_config(64, 1), many = default_config(512, 1);
    g_autoptr(GBytes) few_aml = build(&few, VCPUHP_ACPI_AML);
    g_autoptr(GBytes) many_aml = build(&many, VCPUHP_ACPI_AML);

    (void)state;
    assert_true(g_bytes_get_size(many_aml) - g_bytes_get_size(few_aml) <= 88 * (512 - 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_take_the_least_bytes_they_need),
        cmocka_unit_test(paths_have_prefixes_and_padded_segments),
        cmocka_unit_test(package_lengths_take_the_least_bytes_they_need),
        cmocka_unit_test(field_units_count_bits),
        cmocka_unit_test(every_possible_vcpu_is_one_device_with_a_name_of_its_own),
        cmocka_unit_test(vcpus_enabled_for_good_have_no_methods),
        cmocka_unit_test(status_begins_as_the_config_has_it),
        cmocka_unit_test(proximity_domains_are_there_with_numa),
        cmocka_unit_test(the_ged_has_the_configs_interrupt),
        cmocka_unit_test(there_is_no_ged_with_an_external_one_or_nothing_to_plug),
        cmocka_unit_test(names_are_those_of_the_config),
        cmocka_unit_test(registers_are_where_the_config_has_them),
        cmocka_unit_test(a_vcpu_costs_88_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
