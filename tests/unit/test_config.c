/* SPDX-License-Identifier: BSD-3-Clause */
/* Impossible configs are refused by a message that names the field, the value and the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "config.h"

static void assert_refused(const VcpuhpConfig *from, ...)
{
    g_autoptr(GError) error = NULL;
    Config config;
    va_list words;
    const char *word;

    assert_false(config_init(&config, from, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_INVALID));
    va_start(words, from);
    while ((word = va_arg(words, const char *)))
        if (!strstr(error->message, word))
            fail_msg("\"%s\" doesn't say \"%s\"", error->message, word);
    va_end(words);
}

static VcpuhpConfig good(void)
{
    VcpuhpConfig config;

    vcpuhp_config_init(&config, 4, 1);
    return config;
}

static VcpuhpConfig good_gicv2(void)
{
    VcpuhpConfig config = good();

    config.gic =
        (VcpuhpGic){.version = 2, .n_irqs = 256, .dist_base = 0x08000000, .cpu_base = 0x08010000};
    return config;
}

static void assert_accepted(const VcpuhpConfig *from)
{
    g_autoptr(GError) error = NULL;
    Config config;

    if (!config_init(&config, from, &error))
        fail_msg("%s", error->message);
    config_clear(&config);
}

static void default_config_holds_any_count_up_to_512(void **state)
{
    const uint32_t counts[] = {1, 2, 17, 511, 512};

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        VcpuhpConfig config;

        vcpuhp_config_init(&config, counts[i], counts[i]);
        assert_accepted(&config);
    }
}

static void a_struct_that_is_too_short_is_refused_with_both_sizes(void **state)
{
    VcpuhpConfig config = good();
    g_autoptr(GError) error = NULL;
    g_autofree char *expected = g_strdup_printf("the size of VcpuhpConfig is %zu, but this library "
                                                "takes %zu",
                                                sizeof(config) - 8, sizeof(config));
    Config checked;

    (void)state;
    config.size = sizeof(config) - 8;
    assert_false(config_init(&checked, &config, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STRUCT));
    assert_non_null(strstr(error->message, expected));
}

static void n_vcpus_is_1_to_512(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.n_vcpus = 0;
    assert_refused(&config, "n_vcpus", "0", "512", NULL);
    config.n_vcpus = 513;
    assert_refused(&config, "n_vcpus", "513", "512", NULL);
}

static void gicv2_has_at_most_8_vcpus(void **state)
{
    VcpuhpConfig config = good_gicv2();

    (void)state;
    config.n_vcpus = 8;
    assert_accepted(&config);
    config.n_vcpus = 9;
    assert_refused(&config, "n_vcpus", "9", "8", NULL);
}

static void n_enabled_is_1_to_n_vcpus(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.n_enabled = 0;
    assert_refused(&config, "n_enabled", "0", "4", NULL);
    config.n_enabled = 5;
    assert_refused(&config, "n_enabled", "5", "4", NULL);
}

static void coldplug_is_one_of_two(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.coldplug = 7;
    assert_refused(&config, "coldplug", "7", NULL);
}

static void eject_timeout_ms_is_not_0(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.eject_timeout_ms = 0;
    assert_refused(&config, "eject_timeout_ms", "0", NULL);
}

static void topology_multiplies_to_n_vcpus(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.topology = (VcpuhpTopology){2, 1, 2, 1};
    assert_accepted(&config);
    config.topology = (VcpuhpTopology){2, 1, 3, 1};
    assert_refused(&config, "topology", "2 sockets", "3 cores", "4 (n_vcpus)", NULL);
    config.topology = (VcpuhpTopology){4, 1, 1, 0};
    assert_refused(&config, "topology", "0 threads", NULL);
    for (unsigned i = 0; i < 4; i++) {
        config.topology = (VcpuhpTopology){i == 0, i == 1, i == 2, i == 3};
        assert_refused(&config, "topology", "4 (n_vcpus)", NULL);
    }
    /* 2^32 * 2^32 and the like must not wrap around to the right product. */
    config.topology = (VcpuhpTopology){0x80000000, 0x80000000, 4, 1};
    assert_refused(&config, "topology", NULL);
}

static void caches_make_sense(void **state)
{
    const VcpuhpCache l1d = {1, VCPUHP_CACHE_DATA, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4};
    const VcpuhpCache l1i = {1, VCPUHP_CACHE_INSTRUCTION, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4};
    const VcpuhpCache l2 = {2, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_CLUSTER, 1 << 20, 64, 8};
    VcpuhpConfig config = good();
    VcpuhpCache caches[] = {l1d, l1i, l2};

    (void)state;
    config.caches = caches;
    config.n_caches = 3;
    assert_accepted(&config);
    caches[0].level = 8;
    assert_refused(&config, "caches[0].level", "8", "7", NULL);
    caches[0] = l1d;
    caches[1].type = 3;
    assert_refused(&config, "caches[1].type", "3", NULL);
    caches[1] = l1i;
    caches[1].scope = -1;
    assert_refused(&config, "caches[1].scope", "-1", NULL);
    caches[1] = l1i;
    caches[2].line_size = 48;
    assert_refused(&config, "caches[2].line_size", "48", "2048", NULL);
    caches[2] = l2;
    caches[2].line_size = 2;
    assert_refused(&config, "caches[2].line_size", "2", "2048", NULL);
    caches[2].line_size = 4096;
    assert_refused(&config, "caches[2].line_size", "4096", "2048", NULL);
    caches[2] = l2;
    caches[2].ways = 0;
    assert_refused(&config, "caches[2].ways", "0", "255", NULL);
    caches[2].ways = 256;
    assert_refused(&config, "caches[2].ways", "256", "255", NULL);
    caches[2] = l2;
    caches[2].size = 0;
    assert_refused(&config, "caches[2].size", "0", "512", NULL);
    caches[2].size = (1 << 20) + 1;
    assert_refused(&config, "caches[2].size", "1048577", "512", NULL);
    caches[2] = l1d;
    assert_refused(&config, "caches[2]", "caches[0]", "level 1", NULL);
    caches[2] = l2;
    caches[2].scope = VCPUHP_CACHE_OF_CORE;
    caches[0].scope = caches[1].scope = VCPUHP_CACHE_OF_CLUSTER;
    assert_refused(&config, "caches[2]", "behind caches[0]", NULL);
    caches[0] = l2;
    assert_refused(&config, "caches[1]", "behind caches[0] of level 2", NULL);
    caches[0] = l1d;
    caches[1] = l1i;
    caches[1].scope = VCPUHP_CACHE_OF_CLUSTER;
    assert_refused(&config, "caches[1].scope", "1", "caches[0]", NULL);
    caches[1] = l1i;
    caches[1].type = VCPUHP_CACHE_UNIFIED;
    assert_refused(&config, "caches[1]", "caches[0]", "level 1", NULL);
    caches[0].type = VCPUHP_CACHE_UNIFIED;
    caches[1].type = VCPUHP_CACHE_DATA;
    assert_refused(&config, "caches[1]", "caches[0]", "level 1", NULL);
    config.n_caches = 15;
    assert_refused(&config, "n_caches", "15", "14", NULL);
}

static void mpidrs_are_affinities(void **state)
{
    VcpuhpConfig config = good();
    uint64_t mpidrs[] = {0, 1, 0x80000002, 3};

    (void)state;
    config.mpidrs = mpidrs;
    assert_refused(&config, "mpidrs[2]", "0x80000002", "0xff00ffffff", NULL);
}

static void mpidrs_are_unique(void **state)
{
    VcpuhpConfig config = good();
    uint64_t mpidrs[] = {0, 0x100, 0x200, 0x100};

    (void)state;
    config.mpidrs = mpidrs;
    assert_refused(&config, "mpidrs[3]", "0x100", "mpidrs[1]", NULL);
}

static void default_mpidrs_are_kvms(void **state)
{
    VcpuhpConfig from;
    Config config;

    (void)state;
    vcpuhp_config_init(&from, 512, 1);
    assert_true(config_init(&config, &from, NULL));
    assert_int_equal(config.mpidrs[17], 0x101);
    assert_int_equal(config.mpidrs[511], 0x1f0f);
    assert_int_equal(config_vcpu_by_mpidr(&config, 0x1f0f), 511);
    assert_int_equal(config_vcpu_by_mpidr(&config, 0x10), -1);
    config_clear(&config);
}

static void gic_version_is_2_or_3(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.gic.version = 4;
    assert_refused(&config, "gic.version", "4", NULL);
}

static void bases_are_aligned(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.gic.dist_base += 0x1000;
    assert_refused(&config, "gic.dist_base", "0x8001000", "0x10000", NULL);
    config = good();
    config.gic.redists[0].base += 8;
    assert_refused(&config, "gic.redists[0].base", "0xa000008", "0x10000", NULL);
    config = good();
    config.regs_base += 12;
    assert_refused(&config, "regs_base", "0x900000c", "0x80", NULL);
    config = good();
    config.gic.its_base = 0x08080001;
    assert_refused(&config, "gic.its_base", "0x8080001", NULL);
    config = good_gicv2();
    config.gic.cpu_base += 0x800;
    assert_refused(&config, "gic.cpu_base", "0x8010800", "0x1000", NULL);
}

static void regions_do_not_overlap(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.regs_base = 0x0800ff80;
    assert_refused(&config, "gic.dist_base", "overlaps regs_base", NULL);
    config = good();
    config.gic.redists[0].base = 0x07ff0000;
    assert_refused(&config, "gic.redists[0].base", "overlaps gic.dist_base", NULL);
    config = good();
    config.gic.n_redists = 2;
    config.gic.redists[0].count = 2;
    config.gic.redists[1] = (VcpuhpRedist){0x0a020000, 2};
    assert_refused(&config, "gic.redists[1].base", "overlaps gic.redists[0].base", NULL);
    config = good_gicv2();
    config.gic.cpu_base = config.gic.dist_base;
    assert_refused(&config, "gic.cpu_base", "overlaps gic.dist_base", NULL);
}

static void regions_end_within_52_bits(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.gic.redists[0].base = UINT64_MAX & ~0xffffULL;
    assert_refused(&config, "gic.redists[0].base", "52-bit", NULL);
}

static void redistributors_suffice_for_n_vcpus(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.gic.redists[0].count = 3;
    assert_refused(&config, "gic.redists", "3", "4 (n_vcpus)", NULL);
    config.gic.n_redists = 2;
    config.gic.redists[1] = (VcpuhpRedist){0x20000000, 1};
    assert_accepted(&config);
    config.gic.redists[1].count = 0;
    assert_refused(&config, "gic.redists[1].count", "0", NULL);
}

static void n_redists_is_1_to_16(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.gic.n_redists = 0;
    assert_refused(&config, "gic.n_redists", "0", "16", NULL);
    config.gic.n_redists = 17;
    assert_refused(&config, "gic.n_redists", "17", "16", NULL);
}

static void gicv2_needs_a_cpu_interface_and_has_no_its(void **state)
{
    VcpuhpConfig config = good_gicv2();

    (void)state;
    config.gic.cpu_base = 0;
    assert_refused(&config, "gic.cpu_base", "0", NULL);
    config = good_gicv2();
    config.gic.cpu_base += 0x800;
    assert_refused(&config, "gic.cpu_base", "0x1000", NULL);
    config = good_gicv2();
    config.gic.dist_base += 0x800;
    assert_refused(&config, "gic.dist_base", "0x1000", NULL);
    config = good_gicv2();
    config.gic.its_base = 0x08080000;
    assert_refused(&config, "gic.its_base", "0x8080000", NULL);
}

static void v2m_interrupts_are_spis(void **state)
{
    VcpuhpConfig config = good_gicv2();

    (void)state;
    config.gic.v2m_base = 0x08020000;
    config.gic.v2m_spi_base = 64;
    config.gic.v2m_spi_count = 192;
    assert_accepted(&config);
    config.gic.v2m_spi_count = 193;
    assert_refused(&config, "gic.v2m_spi_count", "193", "255", NULL);
    config.gic.v2m_spi_base = UINT32_MAX;
    assert_refused(&config, "gic.v2m_spi_base", NULL);
    config.gic.v2m_spi_base = 31;
    config.gic.v2m_spi_count = 1;
    assert_refused(&config, "gic.v2m_spi_base", "31", "32", NULL);
    config.gic.v2m_spi_base = 32;
    config.gic.v2m_spi_count = 0;
    assert_refused(&config, "gic.v2m_spi_count", "0", NULL);
    config.gic.v2m_base += 0x800;
    assert_refused(&config, "gic.v2m_base", "0x1000", NULL);
}

static void n_irqs_is_what_kvm_takes(void **state)
{
    const uint32_t wrong[] = {0, 32, 63, 100, 1024};

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        VcpuhpConfig config = good();

        config.gic.n_irqs = wrong[i];
        assert_refused(&config, "gic.n_irqs", "64", "992", NULL);
    }
}

static void irq_is_an_spi(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.event_irq = 31;
    assert_refused(&config, "irq", "31", "32", "255", NULL);
    config.event_irq = 256;
    assert_refused(&config, "irq", "256", "255", NULL);
}

static void pmu_irq_is_a_ppi(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.pmu_irq = 23;
    assert_accepted(&config);
    config.pmu_irq = 32;
    assert_refused(&config, "pmu_irq", "32", "16", "31", NULL);
    config.pmu_irq = 15;
    assert_refused(&config, "pmu_irq", "15", NULL);
}

static void pmu_irq_is_none_of_the_timers_and_not_the_gics(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    for (config.pmu_irq = 25; config.pmu_irq <= 30; config.pmu_irq++)
        assert_refused(&config, "pmu_irq", "25", "30", "timers", NULL);
    config.pmu_irq = 24;
    assert_accepted(&config);
    config.pmu_irq = 31;
    assert_accepted(&config);
}

static void oem_ids_fit(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.acpi.oem_id = "SEVENCH";
    assert_refused(&config, "acpi.oem_id", "SEVENCH", "6", NULL);
    config.acpi.oem_id = NULL;
    config.acpi.oem_table_id = "NINECHARS";
    assert_refused(&config, "acpi.oem_table_id", "NINECHARS", "8", NULL);
    config.acpi.oem_table_id = "A\tB";
    assert_refused(&config, "acpi.oem_table_id", "0x09", NULL);
}

static void names_are_acpi_names(void **state)
{
    const char *const wrong[] = {"", "TOOLO", "1ABC", "cpus", "A B", "_SB"};

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        VcpuhpConfig config = good();

        config.acpi.container_name = wrong[i];
        assert_refused(&config, "acpi.container_name", wrong[i], NULL);
        config = good();
        config.acpi.ged_name = wrong[i];
        assert_refused(&config, "acpi.ged_name", wrong[i], NULL);
    }
}

static void container_and_ged_differ(void **state)
{
    VcpuhpConfig config = good();

    (void)state;
    config.acpi.container_name = "X";
    config.acpi.ged_name = "X___";
    assert_refused(&config, "acpi.ged_name", "X___", NULL);
    config.acpi.external_ged = true;
    assert_accepted(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_config_holds_any_count_up_to_512),
        cmocka_unit_test(a_struct_that_is_too_short_is_refused_with_both_sizes),
        cmocka_unit_test(n_vcpus_is_1_to_512),
        cmocka_unit_test(gicv2_has_at_most_8_vcpus),
        cmocka_unit_test(n_enabled_is_1_to_n_vcpus),
        cmocka_unit_test(coldplug_is_one_of_two),
        cmocka_unit_test(eject_timeout_ms_is_not_0),
        cmocka_unit_test(topology_multiplies_to_n_vcpus),
        cmocka_unit_test(caches_make_sense),
        cmocka_unit_test(mpidrs_are_affinities),
        cmocka_unit_test(mpidrs_are_unique),
        cmocka_unit_test(default_mpidrs_are_kvms),
        cmocka_unit_test(gic_version_is_2_or_3),
        cmocka_unit_test(bases_are_aligned),
        cmocka_unit_test(regions_do_not_overlap),
        cmocka_unit_test(regions_end_within_52_bits),
        cmocka_unit_test(redistributors_suffice_for_n_vcpus),
        cmocka_unit_test(n_redists_is_1_to_16),
        cmocka_unit_test(gicv2_needs_a_cpu_interface_and_has_no_its),
        cmocka_unit_test(v2m_interrupts_are_spis),
        cmocka_unit_test(n_irqs_is_what_kvm_takes),
        cmocka_unit_test(irq_is_an_spi),
        cmocka_unit_test(pmu_irq_is_a_ppi),
        cmocka_unit_test(pmu_irq_is_none_of_the_timers_and_not_the_gics),
        cmocka_unit_test(oem_ids_fit),
        cmocka_unit_test(names_are_acpi_names),
        cmocka_unit_test(container_and_ged_differ),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
