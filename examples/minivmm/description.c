/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest can see of the machine, as text: a line for each option of minivmm that decides
 * it. A saved machine can only be loaded into one with the same description. The kernel, its
 * command line and the initramfs are not compared: they are in the guest's RAM, and the target's
 * own are loaded at the next reboot.
 */
#include "machine.h"

#include <inttypes.h>
#include <string.h>

static void add_flag(GString *text, const char *name, bool value)
{
    g_string_append_printf(text, "%s %s\n", name, value ? "yes" : "no");
}

static void add_number(GString *text, const char *name, uint64_t value)
{
    g_string_append_printf(text, "%s %" PRIu64 "\n", name, value);
}

static void add_lists(GString *text, const VcpuhpConfig *config)
{
    const VcpuhpTopology *t = &config->topology;

    g_string_append_printf(text, "topology %u,%u,%u,%u\n", t->sockets, t->clusters, t->cores,
                           t->threads);
    g_string_append(text, "nodes");
    for (uint32_t i = 0; config->nodes && i < config->n_vcpus; i++)
        g_string_append_printf(text, "%c%u", i ? ',' : ' ', config->nodes[i]);
    g_string_append(text, "\nredist-split");
    for (uint32_t i = 0; i < config->gic.n_redists; i++)
        g_string_append_printf(text, "%c%u", i ? ',' : ' ', config->gic.redists[i].count);
    g_string_append_c(text, '\n');
}

char *description_new(const Machine *m, const VcpuhpKvmConfig *kvm)
{
    const VcpuhpConfig *config = &m->config;
    GString *text = g_string_new("minivmm 1\n"); /* the version of the stream */

    add_number(text, "mem", m->ram_size / MIB);
    add_number(text, "vcpus", config->n_vcpus);
    add_number(text, "enabled", config->n_enabled);
    add_flag(text, "coldplug-removable", config->coldplug == VCPUHP_COLDPLUG_REMOVABLE);
    add_number(text, "gic", config->gic.version);
    add_flag(text, "its", config->gic.its_base);
    add_flag(text, "pmu", config->pmu_irq);
    add_flag(text, "sve", kvm->features & VCPUHP_KVM_SVE);
    add_flag(text, "pauth", kvm->features & VCPUHP_KVM_PAUTH);
    add_flag(text, "psci-whole", kvm->psci == VCPUHP_KVM_PSCI_WHOLE);
    add_flag(text, "fdt", m->fdt);
    add_flag(text, "caches", config->n_caches);
    add_lists(text, config);
    return g_string_free(text, FALSE);
}

bool description_check(const Machine *m, const char *other, GError **error)
{
    g_auto(GStrv) ours = g_strsplit(m->description, "\n", -1);
    g_auto(GStrv) theirs = g_strsplit(other, "\n", -1);
    gsize i = 0;

    while (ours[i] && theirs[i] && !strcmp(ours[i], theirs[i]))
        i++;
    if (!ours[i] && !theirs[i])
        return true;
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                "this machine has \"%s\", the saved one \"%.64s\"", ours[i] ? ours[i] : "",
                theirs[i] ? theirs[i] : "");
    return false;
}
