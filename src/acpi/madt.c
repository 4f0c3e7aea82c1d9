/* SPDX-License-Identifier: BSD-3-Clause */
#include "acpi/bytes.h"
#include "acpi/tables.h"

enum {
    TYPE_GICC = 0x0b,
    TYPE_GICD = 0x0c,
    TYPE_GIC_MSI_FRAME = 0x0d,
    TYPE_GICR = 0x0e,
    TYPE_GIC_ITS = 0x0f,
};

enum {
    GICC_ENABLED = 1 << 0,
    GICC_ONLINE_CAPABLE = 1 << 3,
};

enum {
    MSI_FRAME_SPI_SELECT = 1 << 0, /* SPI count and base are here, not in MSI_TYPER */
};

static void gicd(const Config *config, GByteArray *to)
{
    put(to, 1, TYPE_GICD);
    put(to, 1, 24); /* Length */
    put(to, 2, 0);
    put(to, 4, 0); /* GIC ID */
    put(to, 8, config->gic.dist_base);
    put(to, 4, 0); /* System Vector Base */
    put(to, 1, config->gic.version);
    put(to, 3, 0);
}

/* GICR Base Address stays 0, as redistributors have structures of their own: with the address in
 * GICCs, Linux could never bring up a vCPU that isn't enabled at boot. */
static void gicc(const Config *config, uint32_t vcpu, GByteArray *to)
{
    put(to, 1, TYPE_GICC);
    put(to, 1, 82); /* Length */
    put(to, 2, 0);
    put(to, 4, vcpu); /* CPU Interface Number */
    put(to, 4, vcpu); /* ACPI Processor UID */
    put(to, 4, vcpu < config->n_fixed ? GICC_ENABLED : GICC_ONLINE_CAPABLE);
    put(to, 4, 0); /* Parking Protocol Version */
    put(to, 4, config->pmu_irq);
    put(to, 8, 0); /* Parked Address */
    put(to, 8, config->gic.version == 2 ? config->gic.cpu_base : 0);
    put(to, 8, 0); /* GICV */
    put(to, 8, 0); /* GICH */
    put(to, 4, 0); /* VGIC Maintenance Interrupt */
    put(to, 8, 0); /* GICR Base Address */
    put(to, 8, config->mpidrs[vcpu]);
    put(to, 1, 0); /* Processor Power Efficiency Class */
    put(to, 1, 0);
    put(to, 2, 0); /* SPE Overflow Interrupt */
    put(to, 2, 0); /* TRBE Interrupt */
}

static void gicr(const VcpuhpRedist *redist, GByteArray *to)
{
    put(to, 1, TYPE_GICR);
    put(to, 1, 16); /* Length */
    put(to, 2, 0);
    put(to, 8, redist->base);
    put(to, 4, redist->count * VCPUHP_REDIST_SIZE); /* Discovery Range Length */
}

static void gic_its(const Config *config, GByteArray *to)
{
    put(to, 1, TYPE_GIC_ITS);
    put(to, 1, 20); /* Length */
    put(to, 2, 0);
    put(to, 4, 0); /* GIC ITS ID */
    put(to, 8, config->gic.its_base);
    put(to, 4, 0);
}

static void gic_msi_frame(const Config *config, GByteArray *to)
{
    put(to, 1, TYPE_GIC_MSI_FRAME);
    put(to, 1, 24); /* Length */
    put(to, 2, 0);
    put(to, 4, 0); /* GIC MSI Frame ID */
    put(to, 8, config->gic.v2m_base);
    put(to, 4, MSI_FRAME_SPI_SELECT);
    put(to, 2, config->gic.v2m_spi_count);
    put(to, 2, config->gic.v2m_spi_base);
}

void madt_entries(const Config *config, GByteArray *to)
{
    gicd(config, to);
    for (uint32_t i = 0; i < config->n_vcpus; i++)
        gicc(config, i, to);
    if (config->gic.version == 2) {
        if (config->gic.v2m_base)
            gic_msi_frame(config, to);
        return;
    }
    for (uint32_t i = 0; i < config->gic.n_redists; i++)
        gicr(&config->gic.redists[i], to);
    if (config->gic.its_base)
        gic_its(config, to);
}
