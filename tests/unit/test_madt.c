/* SPDX-License-Identifier: BSD-3-Clause */
/* The MADT (ACPI 6.5, 5.2.12), as Linux on arm64 needs it. */
#include "table.h"

#define HEADER 44
#define GICD   24
#define GICC   82

enum {
    TYPE_GICC = 0x0b,
    TYPE_GICD = 0x0c,
    TYPE_MSI_FRAME = 0x0d,
    TYPE_GICR = 0x0e,
    TYPE_ITS = 0x0f,
};

static GBytes *madt_of(const VcpuhpConfig *config)
{
    return build(config, VCPUHP_ACPI_MADT);
}

static VcpuhpConfig default_config(uint32_t n_vcpus, uint32_t n_enabled)
{
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, n_enabled);
    return config;
}

static VcpuhpConfig gicv2_config(uint32_t n_vcpus)
{
    VcpuhpConfig config = default_config(n_vcpus, 1);

    config.gic =
        (VcpuhpGic){.version = 2, .n_irqs = 256, .dist_base = 0x08000000, .cpu_base = 0x08010000};
    return config;
}

/* The number-th structure of a type, or 0. Walks as an OS does, by the structures' own lengths. */
static gsize find(GBytes *madt, uint8_t type, uint32_t number)
{
    gsize offset = HEADER;

    while (offset < g_bytes_get_size(madt)) {
        if (le(madt, offset, 1) == type && number-- == 0)
            return offset;
        assert_int_not_equal(le(madt, offset + 1, 1), 0);
        offset += le(madt, offset + 1, 1);
    }
    assert_int_equal(offset, g_bytes_get_size(madt));
    return 0;
}

static uint32_t gicc_flags(GBytes *madt, uint32_t vcpu)
{
    return le(madt, find(madt, TYPE_GICC, vcpu) + 12, 4);
}

static void assert_no_more(GBytes *madt, uint8_t type, uint32_t n)
{
    assert_int_equal(find(madt, type, n), 0);
}

static void the_fixed_part_is_zero(void **state)
{
    VcpuhpConfig config = default_config(4, 1);
    g_autoptr(GBytes) madt = madt_of(&config);

    (void)state;
    assert_int_equal(le(madt, 36, 8), 0);
}

static void every_possible_vcpu_has_a_gicc_of_82_bytes_in_slot_order(void **state)
{
    const uint32_t counts[] = {1, 2, 17, 512};

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        VcpuhpConfig config = default_config(counts[i], 1);
        g_autoptr(GBytes) madt = madt_of(&config);

        for (uint32_t vcpu = 0; vcpu < counts[i]; vcpu++) {
            gsize gicc = HEADER + GICD + vcpu * GICC;

            assert_int_equal(le(madt, gicc, 1), TYPE_GICC);
            assert_int_equal(le(madt, gicc + 1, 1), GICC);
            assert_int_equal(le(madt, gicc + 4, 4), vcpu);
            assert_int_equal(le(madt, gicc + 8, 4), vcpu);
        }
        assert_no_more(madt, TYPE_GICC, counts[i]);
    }
}

static void vcpus_enabled_permanently_are_enabled_the_others_online_capable(void **state)
{
    VcpuhpConfig config = default_config(6, 3);
    g_autoptr(GBytes) fixed = madt_of(&config);

    (void)state;
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(gicc_flags(fixed, i), i < 3 ? 1 << 0 : 1 << 3);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    g_autoptr(GBytes) removable = madt_of(&config);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(gicc_flags(removable, i), i < 1 ? 1 << 0 : 1 << 3);
}

static void mpidrs_are_the_affinity_fields_alone(void **state)
{
    const uint64_t mpidrs[] = {0x0, 0xff00ffffff, 0x0100000000};
    VcpuhpConfig config = default_config(512, 1);
    g_autoptr(GBytes) madt = madt_of(&config);

    (void)state;
    assert_int_equal(le(madt, find(madt, TYPE_GICC, 17) + 68, 8), 0x101);
    assert_int_equal(le(madt, find(madt, TYPE_GICC, 511) + 68, 8), 0x1f0f);
    config = default_config(3, 1);
    config.mpidrs = mpidrs;
    g_autoptr(GBytes) given = madt_of(&config);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(le(given, find(given, TYPE_GICC, i) + 68, 8), mpidrs[i]);
}

static void the_pmu_interrupt_is_that_of_the_config_in_every_gicc(void **state)
{
    VcpuhpConfig config = default_config(3, 1);
    g_autoptr(GBytes) none = madt_of(&config);

    (void)state;
    config.pmu_irq = 23;
    g_autoptr(GBytes) some = madt_of(&config);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(le(none, find(none, TYPE_GICC, i) + 20, 4), 0);
        assert_int_equal(le(some, find(some, TYPE_GICC, i) + 20, 4), 23);
    }
}

static void giccs_of_gicv3_name_no_address(void **state)
{
    VcpuhpConfig config = default_config(4, 1);
    g_autoptr(GBytes) madt = madt_of(&config);

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        gsize gicc = find(madt, TYPE_GICC, i);

        assert_int_equal(le(madt, gicc + 16, 4), 0); /* parking protocol */
        for (gsize offset = 24; offset < 68; offset += 4)
            assert_int_equal(le(madt, gicc + offset, 4), 0);
        assert_int_equal(le(madt, gicc + 76, 6), 0);
    }
}

static void giccs_of_gicv2_all_name_the_cpu_interface(void **state)
{
    VcpuhpConfig config = gicv2_config(8);
    g_autoptr(GBytes) madt = madt_of(&config);

    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        gsize gicc = find(madt, TYPE_GICC, i);

        assert_int_equal(le(madt, gicc + 4, 4), i);
        assert_int_equal(le(madt, gicc + 32, 8), 0x08010000);
    }
    assert_no_more(madt, TYPE_GICR, 0);
    assert_no_more(madt, TYPE_ITS, 0);
    assert_no_more(madt, TYPE_MSI_FRAME, 0);
}

static void there_is_one_distributor_of_the_configs_version(void **state)
{
    VcpuhpConfig v3 = default_config(2, 1), v2 = gicv2_config(2);
    g_autoptr(GBytes) madt_v3 = madt_of(&v3);
    g_autoptr(GBytes) madt_v2 = madt_of(&v2);

    (void)state;
    assert_int_equal(find(madt_v3, TYPE_GICD, 0), HEADER);
    assert_int_equal(le(madt_v3, HEADER + 1, 1), GICD);
    assert_int_equal(le(madt_v3, HEADER + 8, 8), 0x08000000);
    assert_int_equal(le(madt_v3, HEADER + 20, 1), 3);
    assert_int_equal(le(madt_v2, HEADER + 20, 1), 2);
    assert_no_more(madt_v3, TYPE_GICD, 1);
}

static void redistributor_regions_are_as_long_as_their_counts(void **state)
{
    VcpuhpConfig config = default_config(512, 1);
    g_autoptr(GBytes) one = madt_of(&config);
    gsize gicr = find(one, TYPE_GICR, 0);

    (void)state;
    assert_int_equal(le(one, gicr + 1, 1), 16);
    assert_int_equal(le(one, gicr + 4, 8), 0x0a000000);
    assert_int_equal(le(one, gicr + 12, 4), 512 * 0x20000);
    assert_no_more(one, TYPE_GICR, 1);

    config = default_config(16, 1);
    config.gic.redists[0] = (VcpuhpRedist){0x0a000000, 5};
    config.gic.redists[1] = (VcpuhpRedist){0x4000000000, 3};
    config.gic.redists[2] = (VcpuhpRedist){0x0c000000, 20};
    config.gic.n_redists = 3;
    g_autoptr(GBytes) three = madt_of(&config);
    for (uint32_t i = 0; i < 3; i++) {
        gicr = find(three, TYPE_GICR, i);
        assert_int_equal(le(three, gicr + 4, 8), config.gic.redists[i].base);
        assert_int_equal(le(three, gicr + 12, 4), config.gic.redists[i].count * 0x20000);
    }
    assert_no_more(three, TYPE_GICR, 3);
}

static void the_its_is_there_if_configured(void **state)
{
    VcpuhpConfig config = default_config(2, 1);
    g_autoptr(GBytes) without = madt_of(&config);

    (void)state;
    assert_no_more(without, TYPE_ITS, 0);
    config.gic.its_base = 0x08080000;
    g_autoptr(GBytes) with = madt_of(&config);
    gsize its = find(with, TYPE_ITS, 0);
    assert_int_equal(le(with, its + 1, 1), 20);
    assert_int_equal(le(with, its + 4, 4), 0);
    assert_int_equal(le(with, its + 8, 8), 0x08080000);
    assert_no_more(with, TYPE_ITS, 1);
}

static void the_v2m_frame_is_there_if_configured(void **state)
{
    VcpuhpConfig config = gicv2_config(2);

    (void)state;
    config.gic.v2m_base = 0x08020000;
    config.gic.v2m_spi_base = 80;
    config.gic.v2m_spi_count = 64;
    g_autoptr(GBytes) madt = madt_of(&config);
    gsize frame = find(madt, TYPE_MSI_FRAME, 0);
    assert_int_equal(le(madt, frame + 1, 1), 24);
    assert_int_equal(le(madt, frame + 8, 8), 0x08020000);
    assert_int_equal(le(madt, frame + 16, 4), 1);
    assert_int_equal(le(madt, frame + 20, 2), 64);
    assert_int_equal(le(madt, frame + 22, 2), 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fixed_part_is_zero),
        cmocka_unit_test(every_possible_vcpu_has_a_gicc_of_82_bytes_in_slot_order),
        cmocka_unit_test(vcpus_enabled_permanently_are_enabled_the_others_online_capable),
        cmocka_unit_test(mpidrs_are_the_affinity_fields_alone),
        cmocka_unit_test(the_pmu_interrupt_is_that_of_the_config_in_every_gicc),
        cmocka_unit_test(giccs_of_gicv3_name_no_address),
        cmocka_unit_test(giccs_of_gicv2_all_name_the_cpu_interface),
        cmocka_unit_test(there_is_one_distributor_of_the_configs_version),
        cmocka_unit_test(redistributor_regions_are_as_long_as_their_counts),
        cmocka_unit_test(the_its_is_there_if_configured),
        cmocka_unit_test(the_v2m_frame_is_there_if_configured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
