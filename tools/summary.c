/* SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <inttypes.h>
#include <stdio.h>
#include <vcpuhp/acpi.h>
#include <vcpuhp/regs.h>

#define FIRST_PPI 16
#define FIRST_SPI 32
/* One read of ENABLED returns this many (docs/register-block.md, R37). */
#define VCPUS_IN_READ 64

/* The start of a line, whose label is at most 14 columns wide. */
static void label(const char *text)
{
    printf("%-15s ", text);
}

static uint32_t count_fixed(Vcpuhp *hp)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    uint32_t n = 0;

    while (vcpuhp_query(hp, n, &info, NULL) && info.fixed)
        n++;
    return n;
}

static const char *plural(uint32_t n)
{
    return n == 1 ? "" : "s";
}

/* What the config leaves 0 is one socket of cores. */
static VcpuhpTopology topology_of(const VcpuhpConfig *config)
{
    if (config->topology.sockets)
        return config->topology;
    return (VcpuhpTopology){1, 1, config->n_vcpus, 1};
}

static void print_vcpus(const VcpuhpConfig *config, uint32_t n_fixed)
{
    VcpuhpTopology t = topology_of(config);

    label("vCPUs");
    printf("%u possible, %u enabled at boot, %u of these permanently\n", config->n_vcpus,
           config->n_enabled, n_fixed);
    label("Topology");
    printf("%u socket%s of %u cluster%s of %u core%s of %u thread%s\n", t.sockets,
           plural(t.sockets), t.clusters, plural(t.clusters), t.cores, plural(t.cores), t.threads,
           plural(t.threads));
}

static void print_caches(const VcpuhpConfig *config)
{
    static const char *const types[] = {"data", "instruction", "unified"};
    static const char *const scopes[] = {"core", "cluster", "socket"};

    for (uint32_t i = 0; i < config->n_caches; i++) {
        const VcpuhpCache *cache = &config->caches[i];
        g_autofree char *size = g_format_size_full(cache->size, G_FORMAT_SIZE_IEC_UNITS);

        label(i ? "" : "Caches");
        printf("L%u %s of each %s: %s, %u ways, lines of %u bytes\n", cache->level,
               types[cache->type], scopes[cache->scope], size, cache->ways, cache->line_size);
    }
}

static void print_range(const char *name, uint64_t base, uint64_t size)
{
    label(name);
    printf("0x%08" PRIx64 " - 0x%08" PRIx64, base, base + size - 1);
}

static void print_gicv3(const VcpuhpConfig *config)
{
    const VcpuhpGic *gic = &config->gic;

    for (uint32_t i = 0; i < gic->n_redists; i++) {
        uint32_t count = gic->redists[i].count ? gic->redists[i].count : config->n_vcpus;

        print_range("Redistributors", gic->redists[i].base, (uint64_t)count * VCPUHP_REDIST_SIZE);
        printf(", %u\n", count);
    }
    if (gic->its_base) {
        print_range("ITS", gic->its_base, 0x20000);
        printf("\n");
    }
}

static void print_gicv2(const VcpuhpGic *gic)
{
    print_range("CPU interface", gic->cpu_base, 0x2000);
    printf("\n");
    if (gic->v2m_base) {
        print_range("MSI frame", gic->v2m_base, 0x1000);
        printf(", INTIDs %u - %u\n", gic->v2m_spi_base, gic->v2m_spi_base + gic->v2m_spi_count - 1);
    }
}

static void print_gic(const VcpuhpConfig *config)
{
    const VcpuhpGic *gic = &config->gic;

    print_range("Distributor", gic->dist_base, gic->version == 3 ? 0x10000 : 0x1000);
    printf(", GICv%u, INTIDs 0 - %u\n", gic->version, gic->n_irqs - 1);
    if (gic->version == 3)
        print_gicv3(config);
    else
        print_gicv2(gic);
}

static void print_events(const Vcpuhp *hp, const VcpuhpConfig *config, uint32_t n_fixed)
{
    const char *ged = config->acpi.ged_name ? config->acpi.ged_name : "CGED";

    print_range("Registers", config->regs_base, VCPUHP_REGS_SIZE);
    printf("\n");
    label("Event");
    printf("INTID %u (SPI %u), level, active high\n", config->event_irq,
           config->event_irq - FIRST_SPI);
    label("Event device");
    if (config->acpi.external_ged)
        printf("the VMM's, which evaluates %s\n", vcpuhp_acpi_scan_method(hp));
    else if (n_fixed < config->n_vcpus)
        printf("\\_SB.%s, which evaluates %s\n", ged, vcpuhp_acpi_scan_method(hp));
    else
        printf("none, because every vCPU is enabled permanently\n");
}

static void print_pmu(const VcpuhpConfig *config)
{
    if (config->pmu_irq) {
        label("PMU");
        printf("INTID %u (PPI %u)\n", config->pmu_irq, config->pmu_irq - FIRST_PPI);
    }
}

static void print_tables(const Vcpuhp *hp)
{
    gsize srat = vcpuhp_acpi_size(hp, VCPUHP_ACPI_SRAT);

    label("Tables");
    printf("MADT %" G_GSIZE_FORMAT ", PPTT %" G_GSIZE_FORMAT ", SSDT %" G_GSIZE_FORMAT,
           vcpuhp_acpi_size(hp, VCPUHP_ACPI_MADT), vcpuhp_acpi_size(hp, VCPUHP_ACPI_PPTT),
           vcpuhp_acpi_size(hp, VCPUHP_ACPI_SSDT));
    if (srat)
        printf(", SRAT %" G_GSIZE_FORMAT " bytes\n", srat);
    else
        printf(" bytes; no SRAT, because there is no NUMA\n");
}

/* docs/performance.md has measured them. */
static void print_accesses(const VcpuhpConfig *config, uint32_t n_fixed)
{
    uint32_t reads = (config->n_vcpus + VCPUS_IN_READ - 1) / VCPUS_IN_READ;

    printf("\nExits that Linux causes:\n");
    printf("  boot    %u CPU_ON, %u of them denied (Linux up to 7.1; then only those of enabled "
           "vCPUs)\n",
           config->n_vcpus - 1, config->n_vcpus - config->n_enabled);
    if (n_fixed == config->n_vcpus)
        return;
    printf("  boot    %u read%s of ENABLED\n", reads, plural(reads));
    printf("  plug    2: read EVENT, write OST\n");
    printf("  unplug  4: read EVENT, write OST, EJECT, OST\n");
}

static void print_slot(Vcpuhp *hp, const VcpuhpConfig *config, uint32_t vcpu)
{
    VcpuhpTopology t = topology_of(config);
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    uint32_t core = vcpu / t.threads, cluster = core / t.cores;

    vcpuhp_query(hp, vcpu, &info, NULL);
    printf("%4u  C%03X    0x%010" PRIx64 "  %-14s  %-4s  %6u  %7u  %4u  %6u", vcpu, vcpu,
           info.mpidr, info.fixed ? "Enabled" : "Online Capable",
           info.fixed     ? "-"
           : info.enabled ? "0x0F"
                          : "0x0D",
           cluster / t.clusters, cluster % t.clusters, core % t.cores, vcpu % t.threads);
    if (config->nodes)
        printf("  %4u", info.node);
    printf("\n");
}

static void print_slots(Vcpuhp *hp, const VcpuhpConfig *config)
{
    printf("\nvCPU  device  MPIDR         MADT            _STA  socket  cluster  core  thread%s\n",
           config->nodes ? "  node" : "");
    for (uint32_t i = 0; i < config->n_vcpus; i++)
        print_slot(hp, config, i);
    printf(
        "\nA vCPU's number is its ACPI UID and its KVM id. _STA is that of the boot; - is none.\n");
}

void summary_print(Vcpuhp *hp, const VcpuhpConfig *config)
{
    uint32_t n_fixed = count_fixed(hp);

    print_vcpus(config, n_fixed);
    print_caches(config);
    print_gic(config);
    print_events(hp, config, n_fixed);
    print_pmu(config);
    print_tables(hp);
    print_accesses(config, n_fixed);
    print_slots(hp, config);
}
