/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Machines of many shapes: vCPUs are plugged and unplugged, and the guest sees each of them where
 * the config has put it.
 *
 *     machines gicv3|gicv2|kernels [MACHINE]
 *
 * Environment variables of kernels besides those of guest.h: GUEST_KERNEL_NEWEST, and
 * GUEST_KERNEL_OLD, a kernel before Linux 6.11. A machine is skipped if its kernel is not given, or
 * if the host's KVM lacks its GIC. Lines that begin with "combination: " are a table of the machines
 * that were run, in Markdown.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MAX_VCPUS 512

typedef struct Machine {
    const char *name;
    CMUnitTestFunction test;
    const char *kernel; /* the environment variable with its path */
    unsigned n_vcpus, n_enabled;
    struct {
        unsigned sockets, clusters, cores, threads;
    } topology; /* all zero: the library's default, a socket of cores */
    unsigned n_nodes;
    unsigned gic;
    bool its;
    const char *redists; /* NULL: one region */
    const char *psci;
    bool removable; /* cold-plugged vCPUs */
    unsigned mem;   /* MiB; 0: minivmm's default */
} Machine;

/* A machine's test, and its row in the table. */
typedef struct Run {
    const Machine *machine;
    Guest *guest;
    char *release;
    GString *exercise;
    const char *result; /* NULL: it was not run */
    bool online[MAX_VCPUS];
} Run;

/* --- Where a vCPU is, according to the config --- */

typedef unsigned PlaceFunc(const Machine *m, unsigned vcpu);

static unsigned core_of(const Machine *m, unsigned vcpu)
{
    return vcpu / MAX(m->topology.threads, 1);
}

static unsigned socket_of(const Machine *m, unsigned vcpu)
{
    return vcpu / (m->n_vcpus / MAX(m->topology.sockets, 1));
}

/* Linux takes a socket that is not divided into clusters for one cluster. */
static unsigned cluster_of(const Machine *m, unsigned vcpu)
{
    return core_of(m, vcpu) / (m->topology.cores ? m->topology.cores : m->n_vcpus);
}

/* The _UIDs of the containers that the PPTT names: sockets, then clusters (docs/acpi.md). */
static unsigned cluster_id_of(const Machine *m, unsigned vcpu)
{
    return m->topology.clusters > 1 ? m->topology.sockets + cluster_of(m, vcpu)
                                    : socket_of(m, vcpu);
}

/* Linux numbers nodes itself, as the SRAT brings them: in rising order the numbers are the
 * config's. */
static unsigned node_of(const Machine *m, unsigned vcpu)
{
    return vcpu / (m->n_vcpus / m->n_nodes);
}

static unsigned machine_itself(const Machine *m, unsigned vcpu)
{
    (void)m, (void)vcpu;
    return 0;
}

/* The online vCPUs in this place, as the kernel writes a list of CPUs. */
static char *online_at(const Run *run, PlaceFunc *place_of, unsigned place)
{
    const Machine *m = run->machine;
    GString *list = g_string_new(NULL);
    unsigned end;

    for (unsigned first = 0; first < m->n_vcpus; first = end + 1) {
        for (end = first; end < m->n_vcpus && run->online[end] && place_of(m, end) == place; end++)
            ;
        if (end == first)
            continue;
        g_string_append_printf(list, "%s%u", list->len ? "," : "", first);
        if (end - first > 1)
            g_string_append_printf(list, "-%u", end - 1);
    }
    return g_string_free(list, FALSE);
}

/* --- What the guest sees --- */

static char *all_of(const Machine *m)
{
    return m->n_vcpus == 1 ? g_strdup("0") : g_strdup_printf("0-%u", m->n_vcpus - 1);
}

static void assert_online(const Run *run)
{
    g_autofree char *online = online_at(run, machine_itself, 0);
    g_autofree char *all = all_of(run->machine);

    assert_masks(run->guest, all, online, online);
}

static const struct {
    const char *list, *id; /* files in cpuN/topology */
    PlaceFunc *place_of;
    PlaceFunc *expected_id; /* NULL: up to Linux, but the same where the place is */
} levels[] = {
    {"package_cpus_list", "physical_package_id", socket_of, socket_of},
    {"cluster_cpus_list", "cluster_id", cluster_of, cluster_id_of},
    {"core_cpus_list", "core_id", core_of, NULL},
};

static void assert_topology(const Run *run, unsigned vcpu, const char *file, const char *text)
{
    g_autofree char *command =
        g_strdup_printf("cat /sys/devices/system/cpu/cpu%u/topology/%s", vcpu, file);

    assert_output(run->guest, text, command);
}

/* Each online vCPU's siblings are those that are online in the same place. */
static void assert_siblings(const Run *run)
{
    for (unsigned vcpu = 0; vcpu < run->machine->n_vcpus; vcpu++)
        for (gsize i = 0; run->online[vcpu] && i < G_N_ELEMENTS(levels); i++) {
            unsigned place = levels[i].place_of(run->machine, vcpu);
            g_autofree char *list = online_at(run, levels[i].place_of, place);

            assert_topology(run, vcpu, levels[i].list, list);
        }
}

static void assert_ids(const Run *run)
{
    for (unsigned vcpu = 0; vcpu < run->machine->n_vcpus; vcpu++)
        for (gsize i = 0; run->online[vcpu] && i < G_N_ELEMENTS(levels); i++)
            if (levels[i].expected_id) {
                g_autofree char *id =
                    g_strdup_printf("%u", levels[i].expected_id(run->machine, vcpu));

                assert_topology(run, vcpu, levels[i].id, id);
            }
}

static gint64 id_of(const Run *run, unsigned vcpu, const char *file)
{
    g_autofree char *id =
        guest_run(run->guest, NULL, "cat /sys/devices/system/cpu/cpu%u/topology/%s", vcpu, file);

    return g_ascii_strtoll(id, NULL, 10);
}

static void assert_same_ids_in_same_places(const Run *run, unsigned a, unsigned b)
{
    for (gsize i = 0; i < G_N_ELEMENTS(levels); i++) {
        PlaceFunc *place_of = levels[i].place_of;
        bool same = place_of(run->machine, a) == place_of(run->machine, b);

        if ((id_of(run, a, levels[i].id) == id_of(run, b, levels[i].id)) != same)
            fail_msg("vCPUs %u and %u: %s %s", a, b, levels[i].id,
                     same ? "differs" : "is the same");
    }
}

static void assert_nodes(const Run *run)
{
    const Machine *m = run->machine;

    for (unsigned node = 0; node < m->n_nodes; node++) {
        g_autofree char *list = online_at(run, node_of, node);
        g_autofree char *command =
            g_strdup_printf("cat /sys/devices/system/node/node%u/cpulist", node);

        assert_output(run->guest, list, command);
    }
    for (unsigned vcpu = 0; m->n_nodes && vcpu < m->n_vcpus; vcpu++)
        if (run->online[vcpu]) {
            g_autofree char *node = g_strdup_printf("node%u", node_of(m, vcpu));
            g_autofree char *command =
                g_strdup_printf("cd /sys/devices/system/cpu/cpu%u && ls -d node*", vcpu);

            assert_output(run->guest, node, command);
        }
}

/* --- Steps of the tests --- */

static char *options_of(const Machine *m)
{
    GString *options = g_string_new(NULL);

    /* minivmm uses the last --kernel, so this one overrides GUEST_KERNEL. */
    g_string_append_printf(
        options, "--kernel %s --append 'vcpuhp.agent quiet' --vcpus %u --enabled %u --gic %u%s",
        g_getenv(m->kernel), m->n_vcpus, m->n_enabled, m->gic, m->its ? " --its" : "");
    if (m->redists)
        g_string_append_printf(options, " --redist-split %s", m->redists);
    if (m->mem)
        g_string_append_printf(options, " --mem %u", m->mem);
    if (m->removable)
        g_string_append(options, " --coldplug removable");
    if (m->psci)
        g_string_append_printf(options, " --psci %s", m->psci);
    if (m->topology.sockets)
        g_string_append_printf(options, " --topology %u,%u,%u,%u", m->topology.sockets,
                               m->topology.clusters, m->topology.cores, m->topology.threads);
    for (unsigned i = 0; m->n_nodes && i < m->n_vcpus; i++)
        g_string_append_printf(options, "%s%u", i ? "," : " --nodes ", node_of(m, i));
    return g_string_free(options, FALSE);
}

static bool host_has_gic(unsigned version)
{
    struct kvm_create_device gic = {
        .type = version == 2 ? KVM_DEV_TYPE_ARM_VGIC_V2 : KVM_DEV_TYPE_ARM_VGIC_V3,
        .flags = KVM_CREATE_DEVICE_TEST,
    };
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
    bool has = ioctl(vm, KVM_CREATE_DEVICE, &gic) == 0;

    close(vm);
    close(kvm);
    return has;
}

static void skip_if(Run *run, bool condition, const char *reason)
{
    if (!condition)
        return;
    run->result = reason;
    print_message("%s: %s\n", run->machine->name, reason);
    skip();
}

static void begin(Run *run)
{
    const Machine *m = run->machine;
    g_autofree char *options = NULL;

    run->result = "failed";
    skip_if(run, !g_getenv(m->kernel), "skipped: there is no such kernel");
    skip_if(run, !host_has_gic(m->gic), "skipped: the host has no such GIC");
    options = options_of(m);
    run->guest = guest_boot(m->name, options);
    run->release = g_strdup(guest_release(run->guest));
    for (unsigned i = 0; i < m->n_enabled; i++)
        run->online[i] = true;
}

/* The kernel has logged nothing of level warning or above, except: */
static void assert_no_warnings(const Run *run)
{
    static const char *const expected[] = {
        "hrtimer: interrupt took",            /* the host is slow */
        "KASLR disabled due to lack of seed", /* minivmm gives none */
        "No ACPI PMU IRQ for CPU",            /* there is no PMU */
        "Early cacheinfo failed",             /* Linux 6.1: the PPTT has no caches */
        "Processor Platform Limit event",     /* see assert_quiet_dmesg() */
    };
    g_autofree char *said = guest_run(run->guest, NULL, "dmesg -r | grep '^<[0-4]>' || true");
    g_auto(GStrv) lines = g_strsplit(said, "\n", -1);

    for (char **line = lines; *line; line++) {
        bool known = !**line;

        for (gsize i = 0; i < G_N_ELEMENTS(expected); i++)
            known |= strstr(*line, expected[i]) != NULL;
        if (!known)
            fail_msg("dmesg: %s", *line);
    }
}

static void end(Run *run)
{
    assert_quiet_dmesg(run->guest);
    assert_no_warnings(run);
    assert_int_equal(power_off((void **)&run->guest), 0);
    run->result = "passed";
}

static int drop_run(void **state)
{
    Run *run = *state;

    guest_free(run->guest);
    run->guest = NULL;
    return 0;
}

static void come(Run *run, unsigned vcpu)
{
    plug(run->guest, vcpu);
    run->online[vcpu] = true;
    assert_online(run);
    assert_works(run->guest, vcpu);
    g_string_append_printf(run->exercise, " +%u", vcpu);
}

static void go(Run *run, unsigned vcpu)
{
    unplug(run->guest, vcpu);
    run->online[vcpu] = false;
    assert_online(run);
    g_string_append_printf(run->exercise, " -%u", vcpu);
}

/* The last vCPU, one in the middle, and the last one's neighbour. */
static void vcpus_come_to_their_places_and_go(void **state)
{
    Run *run = *state;
    unsigned n = run->machine->n_vcpus, added[] = {n - 1, (n - 1) / 2, n - 2}, n_added;

    n_added = n > 3 ? 3 : n - 1;
    begin(run);
    assert_online(run);
    for (unsigned i = 0; i < n_added; i++) {
        come(run, added[i]);
        for (unsigned j = 0; j < i; j++)
            assert_same_ids_in_same_places(run, added[i], added[j]);
        assert_same_ids_in_same_places(run, added[i], 0);
    }
    assert_siblings(run);
    assert_ids(run);
    assert_nodes(run);
    for (unsigned i = 0; i < n_added; i++)
        go(run, added[i]);
    assert_siblings(run);
    assert_nodes(run);
    end(run);
}

/* In each of the containers that divide a cluster of more than 16 vCPUs, the last one. */
static bool ends_group(const Machine *m, unsigned vcpu)
{
    unsigned place = vcpu % (m->topology.cores * m->topology.threads);

    return place % 16 == 15 || place == m->topology.cores * m->topology.threads - 1;
}

static void vcpus_come_and_go_in_every_group(void **state)
{
    Run *run = *state;
    unsigned n = run->machine->n_vcpus;

    begin(run);
    for (unsigned vcpu = 0; vcpu < n; vcpu++)
        if (ends_group(run->machine, vcpu))
            come(run, vcpu);
    assert_siblings(run);
    assert_ids(run);
    for (unsigned vcpu = 0; vcpu < n; vcpu++)
        if (ends_group(run->machine, vcpu))
            go(run, vcpu);
    end(run);
}

static void a_machine_of_one_vcpu_has_nothing_to_plug(void **state)
{
    Run *run = *state;

    begin(run);
    assert_online(run);
    assert_refused(run->guest, "plug 1", "no vCPU 1", NULL);
    assert_refused(run->guest, "unplug 0", "vCPU 0", "permanently", NULL);
    assert_siblings(run);
    end(run);
}

static void cold_plugged_vcpus_go_and_come_back(void **state)
{
    Run *run = *state;

    begin(run);
    assert_online(run);
    go(run, 1);
    come(run, 1);
    end(run);
}

static void assert_kept(const Run *run)
{
    g_autofree char *online = online_at(run, machine_itself, 0);

    assert_output(run->guest, online, "cat /sys/devices/system/cpu/possible");
    assert_output(run->guest, online, "cat /sys/devices/system/cpu/present");
    assert_output(run->guest, online, "cat /sys/devices/system/cpu/online");
}

/* Such a guest reports success for both events (ACPI 6.5, 6.3.5: _OST), but never turns the vCPU
 * on. Only VCPUHP_UNTIL_ON shows the difference. */
static void a_guest_that_cannot_hotplug_keeps_what_it_booted_with(void **state)
{
    Run *run = *state;
    unsigned last = run->machine->n_vcpus - 1;

    begin(run);
    assert_kept(run);
    for (unsigned i = 0; i < run->machine->n_enabled; i++)
        assert_works(run->guest, i);
    assert_outcome(run->guest, request(run->guest, "plug %u", last), "done");
    assert_info(run->guest, last, "enabled off", NULL);
    assert_kept(run);
    assert_outcome(run->guest, request(run->guest, "unplug %u", last), "done");
    assert_unplugged(run->guest, last);
    assert_outcome(run->guest, request(run->guest, "plug %u until-on 2000", last), "timed out");
    assert_info(run->guest, last, "enabled off", "0x1, 0x0", NULL);
    assert_outcome(run->guest, request(run->guest, "unplug %u", last), "done");
    assert_kept(run);
    assert_int_equal(guest_info(run->guest, "running"), run->machine->n_enabled);
    assert_int_equal(guest_info(run->guest, "counter cpu_on_granted"), run->machine->n_enabled - 1);
    g_string_append_printf(run->exercise, " +%u -%u, without effect", last, last);
    end(run);
}

/* --- The table --- */

static void print_row(const Run *run)
{
    const Machine *m = run->machine;
    g_autofree char *topology =
        g_strdup_printf("%u,%u,%u,%u", m->topology.sockets, m->topology.clusters, m->topology.cores,
                        m->topology.threads);
    g_autofree char *redists =
        m->redists ? g_strdup_printf(", redistributors %s", m->redists) : NULL;
    struct utsname host;

    uname(&host);
    print_message("combination: | %s | %s | %u%s | %u%s | v%u%s%s | %s | %s | %u |%s | %s |\n",
                  host.release, run->release ? run->release : m->kernel, m->n_vcpus,
                  has_own_vcpus() ? ", lent" : "", m->n_enabled, m->removable ? ", removable" : "",
                  m->gic, m->its ? ", ITS" : "", redists ? redists : "",
                  m->psci ? m->psci : "sparse", m->topology.sockets ? topology : "-",
                  MAX(m->n_nodes, 1), run->exercise->str, run->result);
}

static int run_machines(const char *name, const Machine *machines, gsize n)
{
    g_autofree struct CMUnitTest *tests = g_new0(struct CMUnitTest, n);
    g_autofree Run *runs = g_new0(Run, n);
    int failed;

    for (gsize i = 0; i < n; i++) {
        runs[i] = (Run){.machine = &machines[i], .exercise = g_string_new(NULL)};
        tests[i] = (struct CMUnitTest){
            .name = machines[i].name,
            .test_func = machines[i].test,
            .teardown_func = drop_run,
            .initial_state = &runs[i],
        };
    }
    failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
    print_message("combination: | host kernel | guest kernel | possible vCPUs | enabled at boot | "
                  "GIC | PSCI calls "
                  "in user space | sockets, clusters, cores, threads | nodes | plugged (+), "
                  "unplugged (-) | result |\n"
                  "combination: |---|---|---|---|---|---|---|---|---|---|\n");
    for (gsize i = 0; i < n; i++) {
        if (runs[i].result)
            print_row(&runs[i]);
        g_free(runs[i].release);
        g_string_free(runs[i].exercise, TRUE);
    }
    return failed;
}

#define DEFAULT "GUEST_KERNEL"
#define NEWEST  "GUEST_KERNEL_NEWEST"
#define OLD     "GUEST_KERNEL_OLD"

static const Machine gicv3[] = {
    {"one_vcpu", a_machine_of_one_vcpu_has_nothing_to_plug, DEFAULT, 1, 1, .gic = 3},
    {"four_vcpus_psci_whole", vcpus_come_to_their_places_and_go, DEFAULT, 4, 1, .gic = 3,
     .topology = {1, 1, 2, 2}, .psci = "whole"},
    {"64_vcpus", vcpus_come_to_their_places_and_go, DEFAULT, 64, 1, .gic = 3, .its = true,
     .topology = {2, 2, 8, 2}, .n_nodes = 2},
    {"uneven_groups", vcpus_come_and_go_in_every_group, DEFAULT, 80, 1, .gic = 3,
     .topology = {2, 2, 20, 1}},
    {"512_vcpus", vcpus_come_to_their_places_and_go, DEFAULT, 512, 1, .gic = 3, .its = true,
     .topology = {4, 4, 16, 2}, .n_nodes = 4, .redists = "200,300,12", .mem = 1024},
};

static const Machine gicv2[] = {
    {"eight_vcpus", vcpus_come_to_their_places_and_go, DEFAULT, 8, 1, .gic = 2,
     .topology = {2, 1, 2, 2}, .n_nodes = 2},
};

static const Machine kernels[] = {
    {"newest_kernel", vcpus_come_to_their_places_and_go, NEWEST, 16, 1, .gic = 3, .its = true,
     .topology = {2, 2, 2, 2}, .n_nodes = 2, .redists = "10,6"},
    {"newest_kernel_removable", cold_plugged_vcpus_go_and_come_back, NEWEST, 4, 2, .gic = 3,
     .removable = true},
    {"old_kernel", a_guest_that_cannot_hotplug_keeps_what_it_booted_with, OLD, 4, 2, .gic = 3,
     .its = true},
};

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        const Machine *machines;
        gsize n;
    } groups[] = {
        {"gicv3", gicv3, G_N_ELEMENTS(gicv3)},
        {"gicv2", gicv2, G_N_ELEMENTS(gicv2)},
        {"kernels", kernels, G_N_ELEMENTS(kernels)},
    };

    if (argc == 3)
        cmocka_set_test_filter(argv[2]);
    for (gsize i = 0; argc > 1 && i < G_N_ELEMENTS(groups); i++)
        if (!strcmp(argv[1], groups[i].name))
            return run_machines(argv[1], groups[i].machines, groups[i].n);
    fprintf(stderr, "usage: machines gicv3|gicv2|kernels [MACHINE]\n");
    return 2;
}
