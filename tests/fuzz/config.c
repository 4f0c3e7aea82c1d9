/* SPDX-License-Identifier: BSD-3-Clause */
/* Any config is refused, or makes tables. */
#include "fuzz.h"

#include <vcpuhp/acpi.h>

static bool start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return true;
}

static void kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void change(Input *in, VcpuhpConfig *config)
{
    /* The fields that are plain numbers; a byte says which. */
    uint32_t *const small[] = {&config->n_enabled,
                               &config->topology.sockets,
                               &config->topology.clusters,
                               &config->topology.cores,
                               &config->topology.threads,
                               &config->gic.version,
                               &config->gic.n_irqs,
                               &config->gic.n_redists,
                               &config->gic.redists[0].count,
                               &config->gic.redists[1].count,
                               &config->gic.v2m_spi_base,
                               &config->gic.v2m_spi_count,
                               &config->event_irq,
                               &config->pmu_irq,
                               &config->retry_ms,
                               &config->eject_timeout_ms,
                               &config->n_vcpus};
    uint64_t *const large[] = {
        &config->gic.dist_base, &config->gic.redists[0].base, &config->gic.redists[1].base,
        &config->gic.its_base,  &config->gic.cpu_base,        &config->gic.v2m_base,
        &config->regs_base};
    uint8_t which = next8(in) % (G_N_ELEMENTS(small) + G_N_ELEMENTS(large));

    if (which < G_N_ELEMENTS(small))
        *small[which] = next8(in) & 1 ? next8(in) : (uint32_t)next64(in);
    else
        *large[which - G_N_ELEMENTS(small)] = next8(in) & 1 ? next64(in) : next8(in) << 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const VcpuhpCallbacks callbacks = {
        .size = sizeof(callbacks), .vcpu_start = start, .vcpu_kick = kick};
    g_autofree uint64_t *mpidrs = NULL;
    g_autofree uint32_t *nodes = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(Vcpuhp) hp = NULL;
    VcpuhpCache caches[4] = {0};
    Input in = {data, size};
    VcpuhpConfig config;
    uint8_t options = next8(&in);

    vcpuhp_config_init(&config, 1 + next8(&in) % 80, 1);
    config.coldplug = options & 1 ? VCPUHP_COLDPLUG_REMOVABLE : VCPUHP_COLDPLUG_FIXED;
    if (options & 2) {
        mpidrs = g_new(uint64_t, MIN(config.n_vcpus, VCPUHP_MAX_VCPUS));
        for (uint32_t i = 0; i < config.n_vcpus; i++)
            mpidrs[i] = i ? mpidrs[i - 1] + next8(&in) : next64(&in);
        config.mpidrs = mpidrs;
    }
    if (options & 4) {
        nodes = g_new(uint32_t, config.n_vcpus);
        for (uint32_t i = 0; i < config.n_vcpus; i++)
            nodes[i] = next8(&in);
        config.nodes = nodes;
    }
    if (options & 8) {
        config.caches = caches;
        config.n_caches = next8(&in) % 5;
        for (uint32_t i = 0; i < config.n_caches; i++)
            caches[i] = (VcpuhpCache){next8(&in) % 9,   next8(&in) % 4,  next8(&in) % 4,
                                      next8(&in) << 10, next8(&in) % 65, next8(&in)};
    }
    config.n_enabled = 1 + next8(&in) % config.n_vcpus;
    if (!mpidrs && !nodes) /* arrays have n_vcpus elements */
        while (in.left)
            change(&in, &config);
    fuzz_operations++;
    hp = vcpuhp_new(&config, &callbacks, NULL, &error);
    g_assert((hp != NULL) == (error == NULL));
    for (int part = 0; hp && part <= VCPUHP_ACPI_AML; part++) {
        GBytes *table = vcpuhp_acpi_build(hp, part);

        if (table)
            g_bytes_unref(table);
    }
    return 0;
}
