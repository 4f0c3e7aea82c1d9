/* SPDX-License-Identifier: BSD-3-Clause */
/* The time to build the tables of 512 possible vCPUs, and the bytes that a vCPU adds to them. */
#include <stdio.h>
#include <stdlib.h>

#include <vcpuhp/acpi.h>

#define N_RUNS 201

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static const uint32_t nodes[VCPUHP_MAX_VCPUS];

static Vcpuhp *new_machine(uint32_t n_vcpus, bool numa)
{
    static const VcpuhpCallbacks callbacks = {
        .size = sizeof(VcpuhpCallbacks), .vcpu_start = on_start, .vcpu_kick = on_kick};
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, 1);
    config.nodes = numa ? nodes : NULL;
    return vcpuhp_new(&config, &callbacks, NULL, NULL);
}

static gsize aml_size(uint32_t n_vcpus)
{
    g_autoptr(Vcpuhp) hp = new_machine(n_vcpus, false);

    return vcpuhp_acpi_size(hp, VCPUHP_ACPI_AML);
}

static gint64 build_all(Vcpuhp *hp)
{
    gint64 begin = g_get_monotonic_time();

    for (int part = VCPUHP_ACPI_MADT; part <= VCPUHP_ACPI_SSDT; part++)
        g_bytes_unref(vcpuhp_acpi_build(hp, part));
    return g_get_monotonic_time() - begin;
}

static int compare(const void *a, const void *b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

    return (x > y) - (x < y);
}

int main(void)
{
    g_autoptr(Vcpuhp) hp = new_machine(512, true);
    gint64 runs[N_RUNS];

    for (int i = 0; i < N_RUNS; i++)
        runs[i] = build_all(hp);
    qsort(runs, N_RUNS, sizeof(runs[0]), compare);
    printf("tables.build_us.n512 %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n",
           runs[N_RUNS / 2], runs[0], runs[N_RUNS - 1]);
    /* Averaged over the slots from 64 on, where numbers and names need more bytes than before. */
    printf("aml.bytes_per_cpu %.1f\n", (aml_size(512) - aml_size(64)) / 448.0);
    return 0;
}
