/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long an unplug takes, until the vCPU is ejected, against taking the same CPU of the same guest
 * offline, until it is off; and where the time passes: in the guest, in the exits for its register
 * accesses, or before and after that in the VMM.
 */
#include <stdio.h>
#include <stdlib.h>

#include "samples.h"
#include "steps.h"

#define N_ROUNDS 15

#define TRACING "/sys/kernel/tracing"

/* Linux, kernel/cpu.c: takedown_cpu() returns when the CPU has called CPU_OFF. */
static void trace(Guest *guest)
{
    int status;

    g_free(guest_run(guest, &status,
                     "cd " TRACING " && echo p:unplug/rcu synchronize_rcu >kprobe_events && "
                     "echo p:unplug/access acpi_ex_system_memory_space_handler >>kprobe_events && "
                     "echo r:unplug/done acpi_ex_system_memory_space_handler >>kprobe_events && "
                     "echo irq:irq_handler_entry cpuhp:cpuhp_enter cpuhp:cpuhp_exit unplug "
                     ">set_event && "
                     "echo 'name ~ \"ACPI:Ged\"' >events/irq/irq_handler_entry/filter && "
                     "echo >trace"));
    if (status)
        guest_fail(guest, "its kernel lacks an event that is to be traced");
}

/* By the guest's clock, in µs: from the event interrupt, or the marker of go_offline(), on. */
typedef struct GuestPart {
    double until_off;   /* until takedown_cpu() has returned */
    double until_eject; /* until the access of _EJ0, the third, begins */
    double access;      /* of the latter, accesses before */
    double rcu_waits;   /* of the longer one, grace periods that its kernel waited for */
} GuestPart;

/* Of what happened since this was asked last. */
static GuestPart traced(Guest *guest)
{
    g_autofree char *output =
        guest_run(guest, NULL,
                  "cd " TRACING "; awk '/ACPI:Ged|tracing_mark/ && !begin { begin = $4 } "
                  "!begin || eject { next } / rcu: / { rcu++ } "
                  "/takedown_cpu/ { down = 1 } / cpuhp_exit: / && down && !off { off = $4 } "
                  "/ access: / { access = $4; if (++n == 3) eject = $4 } "
                  "/ done: / { accesses += $4 - access } "
                  "END { printf \"%%.6f %%.6f %%.6f %%d\", off - begin, eject - begin, accesses, "
                  "rcu }' trace; "
                  "echo >trace");
    GuestPart part;

    if (sscanf(output, "%lf %lf %lf %lf", &part.until_off, &part.until_eject, &part.access,
               &part.rcu_waits) != 4)
        guest_fail(guest, output);
    part.until_off *= G_USEC_PER_SEC;
    part.until_eject *= G_USEC_PER_SEC;
    part.access *= G_USEC_PER_SEC;
    return part;
}

/* The CPU goes offline; returns how long that took. It is a job in the background, so that the
 * shell and its console are idle by then. */
static gint64 go_offline(Guest *guest, guint vcpu)
{
    gint64 begin;

    g_free(guest_run(guest, NULL,
                     "(sleep %g; echo '[[now]]'; echo >" TRACING "/trace_marker; "
                     "echo 0 >/sys/devices/system/cpu/cpu%u/online) &",
                     STEP_PAUSE, vcpu));
    guest_skip_events(guest);
    begin = guest_wait_console(guest, "[[now]]");
    return step_wait_vcpu(guest, vcpu, "off") - begin;
}

static void come_back(Guest *guest, guint vcpu)
{
    g_free(guest_run(guest, NULL, "echo 1 >/sys/devices/system/cpu/cpu%u/online", vcpu));
    step_wait_online(guest, vcpu);
}

int main(void)
{
    Samples ratio = {.key = "unplug.ratio"}, guest_ratio = {.key = "unplug.ratio.guest"};
    Samples ms = {.key = "unplug.ms"}, in_guest = {.key = "unplug.guest_share"};
    Samples in_exits = {.key = "unplug.exit_share"}, in_vmm = {.key = "unplug.vmm_share"};
    Samples rcu = {.key = "unplug.rcu_waits"}, offline_rcu = {.key = "offline.rcu_waits"};
    Samples *all[] = {&ratio, &guest_ratio, &ms, &in_guest, &in_exits, &in_vmm, &rcu, &offline_rcu};
    Guest *guest = guest_boot("unplug", "--vcpus 4 --enabled 1 --append vcpuhp.agent");

    trace(guest);
    for (guint i = 0; i < N_ROUNDS; i++) {
        guint vcpu = 1 + i % 3;
        GuestPart alone_part, part;
        double alone, unplug;

        step_plug(guest, vcpu);
        traced(guest);
        alone = go_offline(guest, vcpu);
        /* The command of traced() comes after the job, which the shell has ended by then. */
        alone_part = traced(guest);
        come_back(guest, vcpu);
        traced(guest);
        unplug = step_unplug(guest, vcpu);
        part = traced(guest);
        samples_add(&ratio, unplug / alone);
        samples_add(&guest_ratio, (part.until_eject - part.access) / alone_part.until_off);
        samples_add(&ms, unplug / 1000);
        samples_add(&in_guest, (part.until_eject - part.access) / unplug);
        samples_add(&in_exits, part.access / unplug);
        samples_add(&in_vmm, (unplug - part.until_eject) / unplug);
        samples_add(&rcu, part.rcu_waits);
        samples_add(&offline_rcu, alone_part.rcu_waits);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
        samples_print(all[i]);
    guest_free(guest);
    return EXIT_SUCCESS;
}
