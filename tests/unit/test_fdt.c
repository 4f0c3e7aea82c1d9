/* SPDX-License-Identifier: BSD-3-Clause */
/* Device-tree nodes: read back by libfdt, and the whole tree by dtc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <glib/gstdio.h>
#include <libfdt.h>
#include <string.h>
#include <unistd.h>

#include <vcpuhp/fdt.h>
#include "context.h"

#define GIC_PHANDLE 1
#define MSI_PHANDLE 2
#define CPU_PHANDLE 16

/* The nodes depend on the config of a context only. */
static void config_of(Vcpuhp *hp, const VcpuhpConfig *from)
{
    assert_true(config_init(&hp->config, from, NULL));
}

static void begin_tree(void *fdt, gsize size)
{
    assert_int_equal(fdt_create(fdt, size), 0);
    assert_int_equal(fdt_finish_reservemap(fdt), 0);
    assert_int_equal(fdt_begin_node(fdt, ""), 0);
    assert_int_equal(fdt_property_string(fdt, "model", "test"), 0);
    assert_int_equal(fdt_property_string(fdt, "compatible", "test"), 0);
    assert_int_equal(fdt_property_u32(fdt, "#address-cells", 2), 0);
    assert_int_equal(fdt_property_u32(fdt, "#size-cells", 2), 0);
    assert_int_equal(fdt_property_u32(fdt, "interrupt-parent", GIC_PHANDLE), 0);
}

static void end_tree(void *fdt)
{
    assert_int_equal(fdt_end_node(fdt), 0);
    assert_int_equal(fdt_finish(fdt), 0);
}

/* A tree of all nodes. The buffer has room for the VMM's root node, too. */
static void *build(const VcpuhpConfig *from)
{
    gsize size = 256 + VCPUHP_FDT_SIZE(from->n_vcpus);
    void *fdt = g_malloc(size);
    Vcpuhp hp = {0};

    config_of(&hp, from);
    begin_tree(fdt, size);
    assert_true(vcpuhp_fdt_cpus(&hp, fdt, CPU_PHANDLE, NULL));
    assert_true(vcpuhp_fdt_psci(&hp, fdt, NULL));
    assert_true(vcpuhp_fdt_gic(&hp, fdt, GIC_PHANDLE, MSI_PHANDLE, NULL));
    assert_true(vcpuhp_fdt_pmu(&hp, fdt, NULL));
    end_tree(fdt);
    config_clear(&hp.config);
    return fdt;
}

static VcpuhpConfig config(uint32_t n_vcpus, uint32_t n_enabled)
{
    VcpuhpConfig from;

    vcpuhp_config_init(&from, n_vcpus, n_enabled);
    return from;
}

static VcpuhpConfig config_v2(uint32_t n_vcpus, uint32_t n_enabled)
{
    VcpuhpConfig from = config(n_vcpus, n_enabled);

    from.gic =
        (VcpuhpGic){.version = 2, .n_irqs = 256, .dist_base = 0x08000000, .cpu_base = 0x08010000};
    return from;
}

static int node_at(const void *fdt, const char *path)
{
    int node = fdt_path_offset(fdt, path);

    if (node < 0)
        fail_msg("no node %s", path);
    return node;
}

static void assert_no_node(const void *fdt, const char *path)
{
    assert_int_equal(fdt_path_offset(fdt, path), -FDT_ERR_NOTFOUND);
}

static void assert_cells(const void *fdt, const char *path, const char *name, const uint32_t *cells,
                         gsize n)
{
    int size;
    const fdt32_t *value = fdt_getprop(fdt, node_at(fdt, path), name, &size);

    assert_non_null(value);
    assert_int_equal(size, n * sizeof(*value));
    for (gsize i = 0; i < n; i++)
        assert_int_equal(fdt32_to_cpu(value[i]), cells[i]);
}

#define ASSERT_CELLS(fdt, path, name, ...)                                                         \
    assert_cells(fdt, path, name, (const uint32_t[]){__VA_ARGS__},                                 \
                 sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void assert_string(const void *fdt, const char *path, const char *name, const char *expected)
{
    const char *value = fdt_stringlist_get(fdt, node_at(fdt, path), name, 0, NULL);

    assert_non_null(value);
    assert_string_equal(value, expected);
}

static void assert_property(const void *fdt, const char *path, const char *name, bool is_there)
{
    assert_int_equal(fdt_getprop(fdt, node_at(fdt, path), name, NULL) != NULL, is_there);
}

static int n_subnodes(const void *fdt, const char *path)
{
    int n = 0, node;

    fdt_for_each_subnode(node, fdt, node_at(fdt, path)) n++;
    return n;
}

/* --- /cpus --- */

static void cpus_are_those_enabled_at_boot(void **state)
{
    VcpuhpConfig from = config(4, 2);
    g_autofree void *fdt = build(&from);

    (void)state;
    assert_int_equal(n_subnodes(fdt, "/cpus"), 2);
    ASSERT_CELLS(fdt, "/cpus", "#address-cells", 2);
    ASSERT_CELLS(fdt, "/cpus", "#size-cells", 0);
    assert_string(fdt, "/cpus/cpu@0", "device_type", "cpu");
    assert_string(fdt, "/cpus/cpu@0", "compatible", "arm,armv8");
    assert_string(fdt, "/cpus/cpu@1", "enable-method", "psci");
    ASSERT_CELLS(fdt, "/cpus/cpu@0", "phandle", CPU_PHANDLE);
    ASSERT_CELLS(fdt, "/cpus/cpu@1", "phandle", CPU_PHANDLE + 1);
}

static void removable_cpus_that_are_enabled_at_boot_are_there_too(void **state)
{
    VcpuhpConfig from = config(4, 3);
    g_autofree void *fdt = NULL;

    (void)state;
    from.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    fdt = build(&from);
    assert_int_equal(n_subnodes(fdt, "/cpus"), 3);
}

static void reg_of_a_cpu_is_its_affinity(void **state)
{
    static const uint64_t mpidrs[] = {0, 0x10203, 0x4500000607};
    VcpuhpConfig from = config(3, 3);
    g_autofree void *fdt = NULL;

    (void)state;
    from.mpidrs = mpidrs;
    fdt = build(&from);
    ASSERT_CELLS(fdt, "/cpus/cpu@0", "reg", 0, 0);
    ASSERT_CELLS(fdt, "/cpus/cpu@10203", "reg", 0, 0x10203);
    ASSERT_CELLS(fdt, "/cpus/cpu@4500000607", "reg", 0x45, 0x607);
}

static void numa_node_of_a_cpu_is_the_config_s(void **state)
{
    static const uint32_t nodes[] = {3, 7};
    VcpuhpConfig from = config(2, 2);
    g_autofree void *fdt = NULL;

    (void)state;
    from.nodes = nodes;
    fdt = build(&from);
    ASSERT_CELLS(fdt, "/cpus/cpu@0", "numa-node-id", 3);
    ASSERT_CELLS(fdt, "/cpus/cpu@1", "numa-node-id", 7);
}

static void without_numa_no_cpu_has_a_node(void **state)
{
    VcpuhpConfig from = config(2, 2);
    g_autofree void *fdt = build(&from);

    (void)state;
    assert_property(fdt, "/cpus/cpu@1", "numa-node-id", false);
}

static void one_socket_of_plain_cores_has_no_cpu_map(void **state)
{
    VcpuhpConfig from = config(4, 4);
    g_autofree void *fdt = NULL;

    (void)state;
    from.topology = (VcpuhpTopology){1, 1, 4, 1};
    fdt = build(&from);
    assert_no_node(fdt, "/cpus/cpu-map");
}

static void cpu_map_has_sockets_clusters_cores_and_threads(void **state)
{
    VcpuhpConfig from = config(24, 24);
    g_autofree void *fdt = NULL;

    (void)state;
    from.topology = (VcpuhpTopology){2, 2, 3, 2};
    fdt = build(&from);
    for (uint32_t i = 0; i < 24; i++) {
        g_autofree char *path = g_strdup_printf("/cpus/cpu-map/socket%u/cluster%u/core%u/thread%u",
                                                i / 12, i / 6 % 2, i / 2 % 3, i % 2);

        ASSERT_CELLS(fdt, path, "cpu", CPU_PHANDLE + i);
    }
    assert_int_equal(n_subnodes(fdt, "/cpus/cpu-map"), 2);
    assert_int_equal(n_subnodes(fdt, "/cpus/cpu-map/socket1"), 2);
    assert_int_equal(n_subnodes(fdt, "/cpus/cpu-map/socket1/cluster1"), 3);
    assert_int_equal(n_subnodes(fdt, "/cpus/cpu-map/socket1/cluster1/core2"), 2);
}

static void cpu_map_of_single_threads_names_the_cpu_in_the_core(void **state)
{
    VcpuhpConfig from = config(4, 4);
    g_autofree void *fdt = NULL;

    (void)state;
    from.topology = (VcpuhpTopology){2, 1, 2, 1};
    fdt = build(&from);
    ASSERT_CELLS(fdt, "/cpus/cpu-map/socket1/cluster0/core1", "cpu", CPU_PHANDLE + 3);
    assert_int_equal(n_subnodes(fdt, "/cpus/cpu-map/socket1/cluster0/core1"), 0);
}

static void cpu_map_ends_with_the_last_enabled_cpu(void **state)
{
    VcpuhpConfig from = config(24, 9);
    g_autofree void *nine = NULL;
    g_autofree void *five = NULL;

    (void)state;
    from.topology = (VcpuhpTopology){2, 2, 3, 2};
    nine = build(&from);
    ASSERT_CELLS(nine, "/cpus/cpu-map/socket0/cluster1/core1/thread0", "cpu", CPU_PHANDLE + 8);
    assert_int_equal(n_subnodes(nine, "/cpus/cpu-map/socket0/cluster1/core1"), 1);
    assert_int_equal(n_subnodes(nine, "/cpus/cpu-map/socket0/cluster1"), 2);
    assert_int_equal(n_subnodes(nine, "/cpus/cpu-map/socket0"), 2);
    assert_int_equal(n_subnodes(nine, "/cpus/cpu-map"), 1);
    from.n_enabled = 5;
    five = build(&from);
    assert_int_equal(n_subnodes(five, "/cpus/cpu-map/socket0"), 1);
    assert_int_equal(n_subnodes(five, "/cpus/cpu-map/socket0/cluster0"), 3);
}

/* --- /psci --- */

static void psci_is_called_by_hvc(void **state)
{
    VcpuhpConfig from = config(1, 1);
    g_autofree void *fdt = build(&from);

    (void)state;
    assert_int_equal(fdt_node_check_compatible(fdt, node_at(fdt, "/psci"), "arm,psci-1.0"), 0);
    assert_int_equal(fdt_node_check_compatible(fdt, node_at(fdt, "/psci"), "arm,psci-0.2"), 0);
    assert_string(fdt, "/psci", "method", "hvc");
}

/* --- GIC --- */

static void gicv3_has_redistributors_for_every_possible_vcpu(void **state)
{
    const char *gic = "/interrupt-controller@8000000";
    VcpuhpConfig from = config(512, 1);
    g_autofree void *fdt = build(&from);

    (void)state;
    assert_string(fdt, gic, "compatible", "arm,gic-v3");
    assert_property(fdt, gic, "interrupt-controller", true);
    ASSERT_CELLS(fdt, gic, "#interrupt-cells", 3);
    ASSERT_CELLS(fdt, gic, "phandle", GIC_PHANDLE);
    ASSERT_CELLS(fdt, gic, "reg", 0, 0x08000000, 0, 0x10000, 0, 0x0a000000, 0, 512 * 0x20000);
    assert_property(fdt, gic, "#redistributor-regions", false);
    assert_int_equal(n_subnodes(fdt, gic), 0);
}

static void gicv3_has_every_redistributor_region(void **state)
{
    const char *gic = "/interrupt-controller@8000000";
    VcpuhpConfig from = config(8, 1);
    g_autofree void *fdt = NULL;

    (void)state;
    from.gic.redists[0] = (VcpuhpRedist){0x0a000000, 3};
    from.gic.redists[1] = (VcpuhpRedist){0x4000000000, 5};
    from.gic.n_redists = 2;
    fdt = build(&from);
    ASSERT_CELLS(fdt, gic, "#redistributor-regions", 2);
    ASSERT_CELLS(fdt, gic, "reg", 0, 0x08000000, 0, 0x10000, 0, 0x0a000000, 0, 3 * 0x20000, 0x40, 0,
                 0, 5 * 0x20000);
}

static void its_is_a_child_of_the_gicv3(void **state)
{
    const char *its = "/interrupt-controller@8000000/msi-controller@8080000";
    VcpuhpConfig from = config(2, 1);
    g_autofree void *fdt = NULL;

    (void)state;
    from.gic.its_base = 0x08080000;
    fdt = build(&from);
    assert_string(fdt, its, "compatible", "arm,gic-v3-its");
    assert_property(fdt, its, "msi-controller", true);
    ASSERT_CELLS(fdt, its, "#msi-cells", 1);
    ASSERT_CELLS(fdt, its, "reg", 0, 0x08080000, 0, 0x20000);
    ASSERT_CELLS(fdt, its, "phandle", MSI_PHANDLE);
    assert_property(fdt, "/interrupt-controller@8000000", "ranges", true);
}

static void gicv2_has_distributor_and_cpu_interface(void **state)
{
    const char *gic = "/interrupt-controller@8000000";
    VcpuhpConfig from = config_v2(8, 1);
    g_autofree void *fdt = build(&from);

    (void)state;
    assert_string(fdt, gic, "compatible", "arm,gic-400");
    ASSERT_CELLS(fdt, gic, "reg", 0, 0x08000000, 0, 0x1000, 0, 0x08010000, 0, 0x2000);
    ASSERT_CELLS(fdt, gic, "#interrupt-cells", 3);
    ASSERT_CELLS(fdt, gic, "phandle", GIC_PHANDLE);
    assert_int_equal(n_subnodes(fdt, gic), 0);
}

static void msi_frame_is_a_child_of_the_gicv2(void **state)
{
    const char *v2m = "/interrupt-controller@8000000/v2m@8020000";
    VcpuhpConfig from = config_v2(2, 1);
    g_autofree void *fdt = NULL;

    (void)state;
    from.gic.v2m_base = 0x08020000;
    from.gic.v2m_spi_base = 96;
    from.gic.v2m_spi_count = 64;
    fdt = build(&from);
    assert_string(fdt, v2m, "compatible", "arm,gic-v2m-frame");
    assert_property(fdt, v2m, "msi-controller", true);
    ASSERT_CELLS(fdt, v2m, "reg", 0, 0x08020000, 0, 0x1000);
    ASSERT_CELLS(fdt, v2m, "arm,msi-base-spi", 96);
    ASSERT_CELLS(fdt, v2m, "arm,msi-num-spis", 64);
    ASSERT_CELLS(fdt, v2m, "phandle", MSI_PHANDLE);
}

/* --- PMU --- */

static void pmu_has_its_ppi(void **state)
{
    VcpuhpConfig from = config(2, 2);
    g_autofree void *fdt = NULL;

    (void)state;
    from.pmu_irq = 23;
    fdt = build(&from);
    assert_string(fdt, "/pmu", "compatible", "arm,armv8-pmuv3");
    ASSERT_CELLS(fdt, "/pmu", "interrupts", 1, 7, 4);
}

static void pmu_of_a_gicv2_has_the_mask_of_its_cpus(void **state)
{
    VcpuhpConfig from = config_v2(8, 3);
    g_autofree void *fdt = NULL;

    (void)state;
    from.pmu_irq = 23;
    fdt = build(&from);
    ASSERT_CELLS(fdt, "/pmu", "interrupts", 1, 7, 0x704);
}

static void without_pmu_there_is_no_pmu_node(void **state)
{
    VcpuhpConfig from = config(2, 2);
    g_autofree void *fdt = build(&from);

    (void)state;
    assert_no_node(fdt, "/pmu");
}

/* --- Errors --- */

static bool cpus(const Vcpuhp *hp, void *fdt, GError **error)
{
    return vcpuhp_fdt_cpus(hp, fdt, CPU_PHANDLE, error);
}

static bool gic(const Vcpuhp *hp, void *fdt, GError **error)
{
    return vcpuhp_fdt_gic(hp, fdt, GIC_PHANDLE, MSI_PHANDLE, error);
}

static bool (*const writers[])(const Vcpuhp *hp, void *fdt,
                               GError **error) = {cpus, vcpuhp_fdt_psci, gic, vcpuhp_fdt_pmu};

static Vcpuhp *everything(void)
{
    Vcpuhp *hp = g_new0(Vcpuhp, 1);
    VcpuhpConfig from = config(4, 4);

    from.topology = (VcpuhpTopology){2, 1, 1, 2};
    from.gic.its_base = 0x08080000;
    from.pmu_irq = 23;
    config_of(hp, &from);
    return hp;
}

/* Wherever the buffer ends, the function says so and writes nothing beyond it. A tree that it
 * reports as complete is the same as in a large buffer. */
static void too_small_a_buffer_is_an_error_with_libfdt_s_text(void **state)
{
    Vcpuhp *hp = everything();

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(writers); i++) {
        uint8_t large[4096];
        bool ok = false;

        begin_tree(large, sizeof(large));
        assert_true(writers[i](hp, large, NULL));
        /* A tree with its root begun takes less than 256 bytes. */
        for (gsize size = 256; !ok; size += 4) {
            g_autofree uint8_t *fdt = g_malloc(size + 4);
            g_autoptr(GError) error = NULL;

            memset(fdt + size, 0x5a, 4);
            begin_tree(fdt, size);
            ok = writers[i](hp, fdt, &error);
            for (int j = 0; j < 4; j++)
                assert_int_equal(fdt[size + j], 0x5a);
            if (ok) {
                assert_null(error);
                assert_int_equal(fdt_size_dt_struct(fdt), fdt_size_dt_struct(large));
                continue;
            }
            assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_FDT));
            assert_non_null(strstr(error->message, "FDT_ERR_NOSPACE"));
        }
    }
    config_clear(&hp->config);
    g_free(hp);
}

static void a_tree_that_is_not_under_construction_is_an_error(void **state)
{
    Vcpuhp *hp = everything();
    uint8_t fdt[512];

    (void)state;
    begin_tree(fdt, sizeof(fdt));
    end_tree(fdt);
    for (gsize i = 0; i < G_N_ELEMENTS(writers); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(writers[i](hp, fdt, &error));
        assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_FDT));
        assert_non_null(strstr(error->message, "FDT_ERR_"));
    }
    config_clear(&hp->config);
    g_free(hp);
}

static VcpuhpConfig largest(const uint32_t *nodes, const uint64_t *mpidrs)
{
    VcpuhpConfig from = config(VCPUHP_MAX_VCPUS, VCPUHP_MAX_VCPUS);

    /* A core, a cluster and a socket for each. */
    from.topology = (VcpuhpTopology){VCPUHP_MAX_VCPUS, 1, 1, 1};
    from.nodes = nodes;
    from.mpidrs = mpidrs;
    from.gic.n_redists = VCPUHP_MAX_REDISTS;
    for (uint32_t i = 0; i < VCPUHP_MAX_REDISTS; i++)
        from.gic.redists[i] = (VcpuhpRedist){0x4000000000 + i * 0x1000000, 32};
    from.gic.its_base = 0x08080000;
    from.pmu_irq = 23;
    return from;
}

static void the_announced_size_suffices_for_the_largest_tree(void **state)
{
    uint32_t nodes[VCPUHP_MAX_VCPUS] = {0};
    uint64_t mpidrs[VCPUHP_MAX_VCPUS] = {0};
    VcpuhpConfig from = largest(nodes, mpidrs);

    (void)state;
    for (uint32_t i = 0; i < VCPUHP_MAX_VCPUS; i++)
        mpidrs[i] = 0xff00ff0000 | i;
    g_free(build(&from));
    /* And for the smallest. */
    from = config(1, 1);
    from.gic = largest(NULL, NULL).gic;
    from.pmu_irq = 23;
    g_free(build(&from));
}

/* --- dtc --- */

static void assert_dtc_is_silent(const VcpuhpConfig *from)
{
    g_autofree void *fdt = build(from);
    g_autofree char *path = NULL;
    g_autofree char *messages = NULL;
    const char *const argv[] = {"dtc", "-I", "dtb", "-O", "dts", "-o", "/dev/null", NULL, NULL};
    const char *args[G_N_ELEMENTS(argv)];
    int fd = g_file_open_tmp("vcpuhp-XXXXXX.dtb", &path, NULL);
    int status;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, fdt, fdt_totalsize(fdt)), fdt_totalsize(fdt));
    close(fd);
    memcpy(args, argv, sizeof(argv));
    args[G_N_ELEMENTS(argv) - 2] = path;
    assert_true(g_spawn_sync(NULL, (char **)args, NULL,
                             G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                             &messages, &status, NULL));
    g_unlink(path);
    assert_string_equal(messages, "");
    assert_int_equal(status, 0);
}

static void dtc_reads_every_tree_without_warnings(void **state)
{
    static const uint64_t mpidrs[] = {0, 0x10203, 0x4500000607, 5};
    static const uint32_t nodes[] = {0, 0, 1, 1};
    VcpuhpConfig from = config(1, 1);

    (void)state;
    assert_dtc_is_silent(&from);
    from = config(512, 512);
    assert_dtc_is_silent(&from);
    from = largest(NULL, NULL);
    assert_dtc_is_silent(&from);
    from = config(4, 3);
    from.topology = (VcpuhpTopology){1, 2, 1, 2};
    from.mpidrs = mpidrs;
    from.nodes = nodes;
    from.gic.its_base = 0x08080000;
    from.pmu_irq = 23;
    assert_dtc_is_silent(&from);
    from = config_v2(8, 8);
    from.pmu_irq = 23;
    assert_dtc_is_silent(&from);
    from.gic.v2m_base = 0x08020000;
    from.gic.v2m_spi_base = 96;
    from.gic.v2m_spi_count = 64;
    assert_dtc_is_silent(&from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpus_are_those_enabled_at_boot),
        cmocka_unit_test(removable_cpus_that_are_enabled_at_boot_are_there_too),
        cmocka_unit_test(reg_of_a_cpu_is_its_affinity),
        cmocka_unit_test(numa_node_of_a_cpu_is_the_config_s),
        cmocka_unit_test(without_numa_no_cpu_has_a_node),
        cmocka_unit_test(one_socket_of_plain_cores_has_no_cpu_map),
        cmocka_unit_test(cpu_map_has_sockets_clusters_cores_and_threads),
        cmocka_unit_test(cpu_map_of_single_threads_names_the_cpu_in_the_core),
        cmocka_unit_test(cpu_map_ends_with_the_last_enabled_cpu),
        cmocka_unit_test(psci_is_called_by_hvc),
        cmocka_unit_test(gicv3_has_redistributors_for_every_possible_vcpu),
        cmocka_unit_test(gicv3_has_every_redistributor_region),
        cmocka_unit_test(its_is_a_child_of_the_gicv3),
        cmocka_unit_test(gicv2_has_distributor_and_cpu_interface),
        cmocka_unit_test(msi_frame_is_a_child_of_the_gicv2),
        cmocka_unit_test(pmu_has_its_ppi),
        cmocka_unit_test(pmu_of_a_gicv2_has_the_mask_of_its_cpus),
        cmocka_unit_test(without_pmu_there_is_no_pmu_node),
        cmocka_unit_test(too_small_a_buffer_is_an_error_with_libfdt_s_text),
        cmocka_unit_test(a_tree_that_is_not_under_construction_is_an_error),
        cmocka_unit_test(the_announced_size_suffices_for_the_largest_tree),
        cmocka_unit_test(dtc_reads_every_tree_without_warnings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
