/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Build the tables of a machine and write them to DIR/{madt,pptt,srat,ssdt}.aml; those that the
 * machine has none of are left out. Options begin with those of vcpuhp_config_init().
 *
 *     dump-tables DIR N ENABLED [removable] [numa] [pmu] [its] [redists] [gicv2] [v2m]
 *                 [external-ged] [names] [caches]
 *                 [topology=SOCKETS,CLUSTERS,CORES,THREADS]
 */
#include <vcpuhp/acpi.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE_SIZE 2

static uint32_t nodes[VCPUHP_MAX_VCPUS];

static void set_gicv2(VcpuhpConfig *config)
{
    config->gic =
        (VcpuhpGic){.version = 2, .n_irqs = 256, .dist_base = 0x08000000, .cpu_base = 0x08010000};
}

static void set_v2m(VcpuhpConfig *config)
{
    config->gic.v2m_base = 0x08020000;
    config->gic.v2m_spi_base = 80;
    config->gic.v2m_spi_count = 64;
}

/* Unequal regions, one of them above 4 GiB, which hold more than is needed. */
static void set_redists(VcpuhpConfig *config)
{
    config->gic.redists[0] = (VcpuhpRedist){0x0a000000, 1 + config->n_vcpus / 4};
    config->gic.redists[1] = (VcpuhpRedist){0x4000000000, config->n_vcpus};
    config->gic.redists[2] = (VcpuhpRedist){0x5000000000, 8};
    config->gic.n_redists = 3;
}

static const VcpuhpCache caches[] = {
    {1, VCPUHP_CACHE_DATA, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4},
    {1, VCPUHP_CACHE_INSTRUCTION, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4},
    {2, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_CLUSTER, 1 << 20, 64, 8},
    {3, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_SOCKET, 32 << 20, 64, 16},
};

static void set_option(VcpuhpConfig *config, const char *option)
{
    VcpuhpTopology *t = &config->topology;

    if (!strcmp(option, "removable")) {
        config->coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    } else if (!strcmp(option, "numa")) {
        for (uint32_t i = 0; i < config->n_vcpus; i++)
            nodes[i] = i / NODE_SIZE;
        config->nodes = nodes;
    } else if (!strcmp(option, "pmu")) {
        config->pmu_irq = 23;
    } else if (!strcmp(option, "its")) {
        config->gic.its_base = 0x08080000;
    } else if (!strcmp(option, "redists")) {
        set_redists(config);
    } else if (!strcmp(option, "gicv2")) {
        set_gicv2(config);
    } else if (!strcmp(option, "v2m")) {
        set_v2m(config);
    } else if (!strcmp(option, "external-ged")) {
        config->acpi.external_ged = true;
    } else if (!strcmp(option, "caches")) {
        config->caches = caches;
        config->n_caches = G_N_ELEMENTS(caches);
    } else if (!strcmp(option, "names")) {
        config->acpi.oem_id = "ACME";
        config->acpi.oem_table_id = "ROADRUNR";
        config->acpi.oem_revision = 7;
        config->acpi.container_name = "VC0";
        config->acpi.ged_name = "EVTS";
    } else if (sscanf(option, "topology=%u,%u,%u,%u", &t->sockets, &t->clusters, &t->cores,
                      &t->threads) != 4) {
        fprintf(stderr, "dump-tables: no option: %s\n", option);
        exit(2);
    }
}

static bool dont_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return false;
}

static void dont_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void dont_interrupt(bool level, void *opaque)
{
    (void)level, (void)opaque;
}

int main(int argc, char *argv[])
{
    const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                       .vcpu_start = dont_start,
                                       .vcpu_kick = dont_kick,
                                       .irq_set = dont_interrupt};
    const char *const files[] = {
        [VCPUHP_ACPI_MADT] = "madt.aml",
        [VCPUHP_ACPI_PPTT] = "pptt.aml",
        [VCPUHP_ACPI_SRAT] = "srat.aml",
        [VCPUHP_ACPI_SSDT] = "ssdt.aml",
    };
    g_autoptr(GError) error = NULL;
    VcpuhpConfig config;

    if (argc < 4) {
        fprintf(stderr, "dump-tables DIR N ENABLED [OPTION…]\n");
        return 2;
    }
    vcpuhp_config_init(&config, atoi(argv[2]), atoi(argv[3]));
    for (int i = 4; i < argc; i++)
        set_option(&config, argv[i]);
    g_autoptr(Vcpuhp) hp = vcpuhp_new(&config, &callbacks, NULL, &error);
    for (gsize i = 0; hp && i < G_N_ELEMENTS(files); i++) {
        g_autoptr(GBytes) table = vcpuhp_acpi_build(hp, i);
        g_autofree char *path = g_build_filename(argv[1], files[i], NULL);
        gsize size;
        const char *data = g_bytes_get_data(table, &size);

        if (size && !g_file_set_contents(path, data, size, &error))
            break;
    }
    if (error) {
        fprintf(stderr, "dump-tables: %s\n", error->message);
        return 1;
    }
    return 0;
}
