/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules for every table and part. */
#include "table.h"

#define N_PARTS (VCPUHP_ACPI_AML + 1)

static const uint32_t counts[] = {1, 2, 3, 15, 16, 17, 63, 64, 65, 255, 256, 257, 511, 512};

static VcpuhpConfig with_nodes(uint32_t n_vcpus)
{
    static uint32_t nodes[VCPUHP_MAX_VCPUS];
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, 1);
    for (uint32_t i = 0; i < n_vcpus; i++)
        nodes[i] = i / 2;
    config.nodes = nodes;
    return config;
}

static void assert_header(GBytes *table, const char *signature, uint8_t revision)
{
    uint8_t sum = 0;

    assert_memory_equal(text(table, 0), signature, 4);
    assert_int_equal(le(table, 4, 4), g_bytes_get_size(table));
    assert_int_equal(le(table, 8, 1), revision);
    for (gsize i = 0; i < g_bytes_get_size(table); i++)
        sum += le(table, i, 1);
    assert_int_equal(sum, 0);
}

static void tables_have_signature_revision_length_and_checksum(void **state)
{
    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        VcpuhpConfig config = with_nodes(counts[i]);
        g_autoptr(GBytes) madt = build(&config, VCPUHP_ACPI_MADT);
        g_autoptr(GBytes) pptt = build(&config, VCPUHP_ACPI_PPTT);
        g_autoptr(GBytes) srat = build(&config, VCPUHP_ACPI_SRAT);
        g_autoptr(GBytes) ssdt = build(&config, VCPUHP_ACPI_SSDT);

        assert_header(madt, "APIC", 6);
        assert_header(pptt, "PPTT", 3);
        assert_header(srat, "SRAT", 3);
        assert_header(ssdt, "SSDT", 2);
    }
}

static void tables_carry_the_oem_fields_of_the_config(void **state)
{
    VcpuhpConfig config = with_nodes(2);

    (void)state;
    config.acpi.oem_id = "ABC";
    config.acpi.oem_table_id = "DEFGHIJK";
    config.acpi.oem_revision = 0x12345678;
    for (int part = VCPUHP_ACPI_MADT; part <= VCPUHP_ACPI_SSDT; part++) {
        g_autoptr(GBytes) table = build(&config, part);

        assert_memory_equal(text(table, 10), "ABC   ", 6);
        assert_memory_equal(text(table, 16), "DEFGHIJK", 8);
        assert_int_equal(le(table, 24, 4), 0x12345678);
    }
}

static void sizes_are_known_before_building(void **state)
{
    const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                       .vcpu_start = test_vcpu_start,
                                       .vcpu_kick = test_vcpu_kick,
                                       .irq_set = test_irq_set};

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        VcpuhpConfig config = with_nodes(counts[i]);
        g_autoptr(Vcpuhp) hp = vcpuhp_new(&config, &callbacks, NULL, NULL);

        for (int part = 0; part < N_PARTS; part++) {
            g_autoptr(GBytes) built = vcpuhp_acpi_build(hp, part);

            assert_int_equal(vcpuhp_acpi_size(hp, part), g_bytes_get_size(built));
        }
    }
}

static void same_config_gives_same_bytes(void **state)
{
    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        VcpuhpConfig config = with_nodes(counts[i]);

        for (int part = 0; part < N_PARTS; part++) {
            g_autoptr(GBytes) one = build(&config, part);
            g_autoptr(GBytes) other = build(&config, part);

            assert_true(g_bytes_equal(one, other));
        }
    }
}

static void what_happens_to_vcpus_changes_no_byte(void **state)
{
    const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                       .vcpu_start = test_vcpu_start,
                                       .vcpu_kick = test_vcpu_kick,
                                       .irq_set = test_irq_set};
    VcpuhpConfig config = with_nodes(4);
    g_autoptr(Vcpuhp) hp = vcpuhp_new(&config, &callbacks, NULL, NULL);
    g_autoptr(GPtrArray) before = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

    (void)state;
    for (int part = 0; part < N_PARTS; part++)
        g_ptr_array_add(before, vcpuhp_acpi_build(hp, part));
    assert_true(vcpuhp_plug(hp, 2, 0, 0, NULL, NULL));
    for (int part = 0; part < N_PARTS; part++) {
        g_autoptr(GBytes) after = vcpuhp_acpi_build(hp, part);

        assert_true(g_bytes_equal(before->pdata[part], after));
    }
}

static void pieces_are_what_the_tables_hold(void **state)
{
    const struct {
        VcpuhpAcpiPart table, piece;
        gsize offset;
    } pairs[] = {{VCPUHP_ACPI_MADT, VCPUHP_ACPI_MADT_ENTRIES, 44},
                 {VCPUHP_ACPI_SRAT, VCPUHP_ACPI_SRAT_ENTRIES, 48},
                 {VCPUHP_ACPI_SSDT, VCPUHP_ACPI_AML, 36}};
    VcpuhpConfig config = with_nodes(17);

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autoptr(GBytes) table = build(&config, pairs[i].table);
        g_autoptr(GBytes) piece = build(&config, pairs[i].piece);
        gsize size = g_bytes_get_size(piece);

        assert_int_equal(g_bytes_get_size(table), pairs[i].offset + size);
        assert_memory_equal(text(table, pairs[i].offset), text(piece, 0), size);
    }
}

/* Every level of the topology, groups of the namespace, and caches. */
static VcpuhpConfig with_all_levels(void)
{
    static const VcpuhpCache caches[] = {
        {1, VCPUHP_CACHE_DATA, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4},
        {1, VCPUHP_CACHE_INSTRUCTION, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4},
        {2, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_CLUSTER, 1 << 20, 64, 8},
        {3, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_SOCKET, 32 << 20, 64, 16},
    };
    VcpuhpConfig config = with_nodes(2 * 2 * 20 * 2);

    config.topology = (VcpuhpTopology){2, 2, 20, 2};
    config.caches = caches;
    config.n_caches = G_N_ELEMENTS(caches);
    return config;
}

/* A guest may migrate to a host with another release, or reboot there: its tables stay the same. */
static void bytes_are_those_of_the_first_release(void **state)
{
    const struct {
        VcpuhpConfig config;
        const char *sums[4];
    } machines[] = {
        {with_nodes(4),
         {"7b298cf0189ff3aa788f3cba7718de837ce200e473ea46db007276bd3c479725",
          "6bd14e827698128a839f8835175d12676d1f0efd4486b1d0ed57913f61692df3",
          "5cff44109a48dd9caea11370a8c87077fdc3f41742fb213dafe2542ba0406bd7",
          "67c94c4b0dad0a4fd2f80f9214a0d9c6e518a8c237e4a5d0f4bba2cf37642092"}},
        {with_nodes(512),
         {"e1ecad9cad9b32a1316c40623889484d9f9c12fb7a5a7928d994e42d513954b1",
          "37c267c695c8c719b18aa8ae35bffbb1cc3d8a044f826ad58ad12543298cc7a1",
          "f7ea62fad098252245274128a3d76725fe61ace3b9a6cba6b0ea5de954adb8aa",
          "82a8726b26d3d42387475df49206349631cd9956b6fb8a80c452b5523775b2e3"}},
        {with_all_levels(),
         {"f9b9d26b624b90795a1d052191165e5bdb87cb448974677ca10d64bb860407b0",
          "724b433518e6195365f2be5d992cd050363b8fec6d6470061086ff87b2c0cb09",
          "82a9e04789544e2356580d13f88d0285431a6d79adde7269b29c5d85763cb592",
          "8efd90689d46f1e1d1f16d37c604fa3688e3c3cd1ab8302ce48d3ce6dd3d6706"}},
    };

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(machines); i++)
        for (int part = VCPUHP_ACPI_MADT; part <= VCPUHP_ACPI_SSDT; part++) {
            g_autoptr(GBytes) table = build(&machines[i].config, part);
            g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, table);

            assert_string_equal(sum, machines[i].sums[part]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_have_signature_revision_length_and_checksum),
        cmocka_unit_test(tables_carry_the_oem_fields_of_the_config),
        cmocka_unit_test(sizes_are_known_before_building),
        cmocka_unit_test(same_config_gives_same_bytes),
        cmocka_unit_test(what_happens_to_vcpus_changes_no_byte),
        cmocka_unit_test(bytes_are_those_of_the_first_release),
        cmocka_unit_test(pieces_are_what_the_tables_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
