/* SPDX-License-Identifier: BSD-3-Clause */
/* The SRAT's GICC affinity structures (ACPI 6.5, 5.2.16.4). */
#include "table.h"

#define HEADER 48
#define ENTRY  18

static void without_numa_there_is_none(void **state)
{
    VcpuhpConfig config;

    (void)state;
    vcpuhp_config_init(&config, 4, 1);
    g_autoptr(GBytes) table = build(&config, VCPUHP_ACPI_SRAT);
    g_autoptr(GBytes) entries = build(&config, VCPUHP_ACPI_SRAT_ENTRIES);
    assert_int_equal(g_bytes_get_size(table), 0);
    assert_int_equal(g_bytes_get_size(entries), 0);
}

static void every_possible_vcpu_has_its_node(void **state)
{
    const uint32_t nodes[] = {7, 0, 0xffffffff, 7, 1};
    VcpuhpConfig config;

    (void)state;
    vcpuhp_config_init(&config, G_N_ELEMENTS(nodes), 2);
    config.nodes = nodes;
    g_autoptr(GBytes) srat = build(&config, VCPUHP_ACPI_SRAT);
    assert_int_equal(le(srat, 36, 4), 1);
    assert_int_equal(le(srat, 40, 8), 0);
    assert_int_equal(g_bytes_get_size(srat), HEADER + ENTRY * G_N_ELEMENTS(nodes));
    for (uint32_t i = 0; i < G_N_ELEMENTS(nodes); i++) {
        gsize entry = HEADER + ENTRY * i;

        assert_int_equal(le(srat, entry, 1), 3);
        assert_int_equal(le(srat, entry + 1, 1), ENTRY);
        assert_int_equal(le(srat, entry + 2, 4), nodes[i]);
        assert_int_equal(le(srat, entry + 6, 4), i);
        assert_int_equal(le(srat, entry + 10, 4), 1);
        assert_int_equal(le(srat, entry + 14, 4), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_numa_there_is_none),
        cmocka_unit_test(every_possible_vcpu_has_its_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
