/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What real guests pay: register accesses and hypercalls, which are VM exits, and time. Prints
 * KEY MEDIAN LEAST MOST, a line each. A guest's user space, which brings a new CPU online, is that
 * of the end-to-end tests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/e2e/guest.h"
#include "samples.h"
#include "steps.h"

#define N_COUNTS 5           /* rounds of what is counted: they should all be alike */
#define N_TIMES  30          /* of what is timed */
#define N_SCALES SAMPLES_MAX /* of guests that are compared, which differ by less than noise */

#define TRACING "/sys/kernel/tracing"

/* --- Counts --- */

/* The sum of the counters that begin with one of these words. */
static gint64 count(Guest *guest, const char *const *names)
{
    g_autofree char *info = guest_command(guest, "info");
    g_auto(GStrv) lines = g_strsplit(info, "\n", -1);
    gint64 sum = 0;

    for (guint i = 0; lines[i]; i++) {
        const char *name = lines[i] + strlen("counter ");

        if (!g_str_has_prefix(lines[i], "counter "))
            continue;
        for (guint k = 0; names[k]; k++)
            if (g_str_has_prefix(name, names[k]))
                sum += g_ascii_strtoll(strchr(name, ' '), NULL, 10);
    }
    return sum;
}

static gint64 count_accesses(Guest *guest)
{
    return count(guest, (const char *const[]){"block_", "event_", "bitmap_", "ost_", "eject_",
                                              "other_", NULL});
}

static gint64 count_hypercalls(Guest *guest)
{
    return count(guest, (const char *const[]){"cpu_", "affinity_", "psci_", NULL});
}

/* Lines in a file of minivmm's in the host's /proc that contain text. */
static gint64 count_in_proc(Guest *guest, const char *file, const char *text)
{
    g_autofree char *command =
        g_strdup_printf("sh -c 'cat /proc/%d/%s | grep -c \"%s\"'", guest_pid(guest), file, text);
    g_autofree char *output = NULL;

    if (!g_spawn_command_line_sync(command, &output, NULL, NULL, NULL))
        guest_fail(guest, command);
    return g_ascii_strtoll(output, NULL, 10);
}

/* --- Steps --- */

/* What brings a CPU that is enabled and offline online. */
static const char by_shell[] = "echo 1 >/sys/devices/system/cpu/cpu%u/online";
/* The agent does it, as after a plug: it hears the same event. */
static const char by_agent[] = "echo add >/sys/devices/system/cpu/cpu%u/uevent";

/* The CPU, which is online, goes offline and comes back; returns how long the latter took. It is a
 * job in the background, so that the shell and its console are idle by then. */
static gint64 set_online(Guest *guest, guint vcpu, const char *how)
{
    g_autofree char *command = g_strdup_printf(how, vcpu);
    gint64 begin, end;

    g_free(guest_run(guest, NULL,
                     "echo 0 >/sys/devices/system/cpu/cpu%u/online; "
                     "(sleep %g; echo '[[now]]'; echo >" TRACING "/trace_marker; %s) &",
                     vcpu, STEP_PAUSE, command));
    guest_skip_events(guest);
    begin = guest_wait_console(guest, "[[now]]");
    end = step_wait_vcpu(guest, vcpu, "on");
    step_wait_online(guest, vcpu);
    return end - begin;
}

/* --- What is counted --- */

static void count_single(Guest *guest, const char *add_key, const char *remove_key)
{
    Samples adds = {.key = add_key}, removes = {.key = remove_key};

    for (guint i = 0; i < N_COUNTS; i++) {
        guint vcpu = 1 + i % 3;
        gint64 before = count_accesses(guest);

        guest_skip_events(guest);
        g_free(guest_command(guest, "plug %u", vcpu));
        step_wait_vcpu(guest, vcpu, "_OST");
        samples_add(&adds, count_accesses(guest) - before);
        step_wait_online(guest, vcpu);

        before = count_accesses(guest);
        step_unplug(guest, vcpu);
        samples_add(&removes, count_accesses(guest) - before);
    }
    samples_print(&adds);
    samples_print(&removes);
}

/* Nobody brings the CPUs online: that has no part in what is counted, and 64 vCPUs are too much for
 * the few CPUs of an emulated host. */
static void count_burst(Guest *guest)
{
    Samples adds = {.key = "exits.add_burst.n64"}, removes = {.key = "exits.remove_burst.n64"};

    g_free(guest_run(guest, NULL, "agent_stop"));
    for (guint i = 0; i < N_COUNTS; i++) {
        gint64 before = count_accesses(guest);

        guest_skip_events(guest);
        g_free(guest_command(guest, "plug 1-63"));
        for (guint k = 0; k < 63; k++)
            guest_wait_event(guest, "check: success");
        samples_add(&adds, (count_accesses(guest) - before) / 63.0);

        before = count_accesses(guest);
        guest_skip_events(guest);
        g_free(guest_command(guest, "unplug 1-63"));
        for (guint k = 0; k < 63; k++)
            guest_wait_event(guest, STEP_OST_EJECTED);
        samples_add(&removes, (count_accesses(guest) - before) / 63.0);
    }
    samples_print(&adds);
    samples_print(&removes);
}

static void count_boot(Guest *guest)
{
    samples_print_one("exits.boot.n512", count_accesses(guest));
    samples_print_one("hypercalls.boot.n512", count_hypercalls(guest));
    samples_print_one("disabled.threads", count_in_proc(guest, "task/*/comm", "^vcpu ") - 1);
    samples_print_one("disabled.mappings", count_in_proc(guest, "maps", "kvm-vcpu") - 1);
}

/* --- What is timed --- */

/* What a guest command prints, as a number. */
static double run_number(Guest *guest, const char *command)
{
    g_autofree char *output = guest_run(guest, NULL, "%s", command);

    return g_ascii_strtod(output, NULL);
}

/* Of the time that the guest's kernel spends on each CPU that it can't bring up at boot, how much
 * is the call of CPU_ON, there, back, and refused. Tracing from boot on takes time of its own, so
 * the whole is another guest's. */
static void time_refusals(Guest *guest, guint n_refused)
{
    Guest *traced = guest_boot(
        "n64-traced",
        "--vcpus 64 --enabled 1 --append trace_event=cpuhp:cpuhp_enter,cpuhp:cpuhp_exit");
    double call = run_number(
        traced, "awk 'begin { print $4 - begin; begin = 0 } /bringup_cpu/ { begin = $4 }' " TRACING
                "/trace | sort -n | awk '{ calls[NR] = $1 } END { print calls[int(NR / 2)] }'");
    double all = run_number(guest, "dmesg | awk -F '[][]' '/Bringing up secondary/ { begin = $2 } "
                                   "/Brought up/ { print $2 - begin }'");

    samples_print_one("hypercalls.boot.share", call * n_refused / all);
    guest_free(traced);
}

/*
 * The guest's own part of it, from its kernel's first notice, the event interrupt or the marker of
 * set_online(), to its call of CPU_ON.
 */
typedef struct GuestPart {
    double us;           /* by the guest's clock */
    double access_us;    /* of it, accesses to the registers */
    double rcu_waits;    /* RCU grace periods that its kernel waited for */
    double lock_retries; /* times that the agent slept because the hotplug lock was taken */
} GuestPart;

static void trace(Guest *guest)
{
    int status;

    g_free(guest_run(guest, &status,
                     "cd " TRACING " && echo p:plug/rcu synchronize_rcu >kprobe_events && "
                     "echo p:plug/retry msleep >>kprobe_events && "
                     "echo p:plug/access acpi_ex_system_memory_space_handler >>kprobe_events && "
                     "echo r:plug/accessed acpi_ex_system_memory_space_handler >>kprobe_events && "
                     "echo irq:irq_handler_entry cpuhp:cpuhp_enter plug >set_event && "
                     "echo 'name ~ \"ACPI:Ged\"' >events/irq/irq_handler_entry/filter && "
                     "echo >trace"));
    if (status)
        guest_fail(guest, "its kernel lacks an event that is to be traced");
}

/* Of what happened since this was asked last. */
static GuestPart traced(Guest *guest)
{
    g_autofree char *output = guest_run(
        guest, NULL,
        "cd " TRACING "; awk '/ACPI:Ged|tracing_mark/ && !begin { begin = $4 } "
        "!begin || end { next } / rcu: / { rcu++ } / retry: / { retries++ } "
        "/ access: / { access = $4 } / accessed: / { accesses += $4 - access } "
        "/bringup_cpu/ { end = $4 } "
        "END { printf \"%%.6f %%.6f %%d %%d\", end - begin, accesses, rcu, retries }' trace; "
        "echo >trace");
    GuestPart part;

    if (sscanf(output, "%lf %lf %lf %lf", &part.us, &part.access_us, &part.rcu_waits,
               &part.lock_retries) != 4)
        guest_fail(guest, output);
    part.us *= G_USEC_PER_SEC;
    part.access_us *= G_USEC_PER_SEC;
    return part;
}

/* All of a round's are for the same CPU in the same guest, one after the other. */
static void time_plug(Guest *guest)
{
    Samples ratio = {.key = "plug.ratio"}, shell_ratio = {.key = "plug.ratio.shell"};
    Samples floor = {.key = "plug.ratio.guest"}, share = {.key = "plug.guest_share"};
    Samples rcu_waits = {.key = "plug.rcu_waits"}, retries = {.key = "plug.lock_retries"};
    Samples agent_rcu_waits = {.key = "online.rcu_waits"};
    Samples agent_retries = {.key = "online.lock_retries"};

    trace(guest);
    for (guint i = 0; i < N_TIMES; i++) {
        guint vcpu = 1 + i % 3;
        double plugged, agent, shell;
        GuestPart plugged_part, agent_part;

        plugged = step_plug(guest, vcpu);
        plugged_part = traced(guest);
        agent = set_online(guest, vcpu, by_agent);
        agent_part = traced(guest);
        shell = set_online(guest, vcpu, by_shell);
        step_unplug(guest, vcpu);
        traced(guest);
        samples_add(&ratio, plugged / agent);
        samples_add(&shell_ratio, plugged / shell);
        samples_add(&floor, (plugged_part.us - plugged_part.access_us) / agent_part.us);
        samples_add(&share, plugged_part.us / plugged);
        samples_add(&rcu_waits, plugged_part.rcu_waits);
        samples_add(&retries, plugged_part.lock_retries);
        samples_add(&agent_rcu_waits, agent_part.rcu_waits);
        samples_add(&agent_retries, agent_part.lock_retries);
    }
    g_free(guest_run(guest, NULL, "echo >" TRACING "/set_event"));
    samples_print(&ratio);
    samples_print(&shell_ratio);
    samples_print(&floor);
    samples_print(&share);
    samples_print(&rcu_waits);
    samples_print(&agent_rcu_waits);
    samples_print(&retries);
    samples_print(&agent_retries);
}

/* The guests take turns in coming first, because the second finds the host's caches warm. */
static void time_scaling(const char *key, Guest *small, Guest *large)
{
    Samples ratio = {.key = key};

    for (guint i = 0; i < N_SCALES; i++) {
        guint vcpu = 1 + i % 3;
        Guest *first = i % 2 ? large : small, *second = i % 2 ? small : large;
        double in_first = step_plug(first, vcpu), in_second = step_plug(second, vcpu);

        step_unplug(first, vcpu);
        step_unplug(second, vcpu);
        samples_add(&ratio, i % 2 ? in_first / in_second : in_second / in_first);
    }
    samples_print(&ratio);
}

static void time_replug(Guest *guest)
{
    Samples ratio = {.key = "replug.ratio"};

    for (guint vcpu = 4; vcpu < 64; vcpu++) {
        double first = step_plug(guest, vcpu), second;

        step_unplug(guest, vcpu);
        second = step_plug(guest, vcpu);
        step_unplug(guest, vcpu);
        samples_add(&ratio, second / first);
    }
    samples_print(&ratio);
}

int main(void)
{
    Guest *huge = guest_boot("n512", "--vcpus 512 --enabled 1 --mem 1024 --append vcpuhp.agent");
    Guest *small, *large;

    count_boot(huge);
    count_single(huge, "exits.add.n512", "exits.remove.n512");
    small = guest_boot("n4", "--vcpus 4 --enabled 1 --append vcpuhp.agent");
    time_scaling("plug.scaling.n512", small, huge);
    guest_free(huge);

    count_single(small, "exits.add.n4", "exits.remove.n4");
    time_plug(small);

    large = guest_boot("n64", "--vcpus 64 --enabled 1 --append vcpuhp.agent");
    time_refusals(large, 63);
    /* Before vCPUs 4 … of it have ever been plugged. */
    time_replug(large);
    count_single(large, "exits.add.n64", "exits.remove.n64");
    time_scaling("plug.scaling", small, large);
    guest_free(small);
    count_burst(large);
    guest_free(large);
    return EXIT_SUCCESS;
}
