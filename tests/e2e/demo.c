/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library on one screen: a real guest boots with 1 of 4 possible vCPUs enabled, gains vCPU 2,
 * works there, and gives it back. ../../demo builds and runs it.
 */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define VCPU 2

void guest_fail(Guest *guest, const char *message)
{
    g_autofree char *tail = guest ? guest_console_tail(guest, 15) : NULL;

    if (tail)
        printf("\nthe guest's console, at its end:\n%s\n", tail);
    printf("\ndemo: failed: %s\n", message);
    if (guest && guest_log_path(guest))
        printf("demo: the whole console is in %s\n", guest_log_path(guest));
    fflush(stdout);
    guest_free(guest);
    exit(EXIT_FAILURE);
}

static void G_GNUC_PRINTF(1, 2) say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

/* Wait until the guest has these masks, and show them. */
static void show_masks(Guest *guest, const char *enabled_and_online)
{
    static const char command[] =
        "cd /sys/devices/system/cpu; for mask in possible enabled online; do "
        "echo -n \"$mask $(cat $mask)   \"; done";
    g_autofree char *expected = g_strdup_printf("possible 0-3   enabled %s   online %s",
                                                enabled_and_online, enabled_and_online);

    guest_wait_output(guest, command, expected);
    say("    masks          %s", expected);
}

static void show_event(Guest *guest, const char *text)
{
    guest_wait_event(guest, text);
    say("      event        %s", text);
}

static void command(Guest *guest, const char *text)
{
    say("\n  monitor> %s", text);
    guest_skip_events(guest);
    g_free(guest_command(guest, "%s", text));
}

/* Linux tries to start every CPU that is present at boot, before it reads which of them are enabled.
 * Before 7.2 all possible CPUs are present. */
static void show_denied(Guest *guest)
{
    g_autofree char *present = guest_run(guest, NULL, "cat /sys/devices/system/cpu/present");
    gint64 n_denied = guest_info(guest, "counter cpu_on_denied");
    gint64 n_granted = guest_info(guest, "counter cpu_on_granted");

    if (n_denied != (strcmp(present, "0") ? 3 : 0) || n_granted != 0)
        guest_fail(guest, "CPU_ON of each disabled vCPU was not denied exactly once");
    for (int vcpu = 1; vcpu <= n_denied; vcpu++) {
        g_autofree char *event =
            g_strdup_printf("vCPU %d: CPU_ON denied: it is disabled (1x)", vcpu);

        if (!guest_saw_event(guest, event))
            guest_fail(guest, "CPU_ON of a disabled vCPU was not denied");
        say("      event        %s", event);
    }
}

static gint64 timer_interrupts(Guest *guest)
{
    g_autofree char *count =
        guest_run(guest, NULL,
                  "awk 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == \"CPU%d\") column = i + 1 } "
                  "/arch_timer/ { print $column; exit }' /proc/interrupts",
                  VCPU);

    return g_ascii_strtoll(count, NULL, 10);
}

static void show_work(Guest *guest)
{
    gint64 before = timer_interrupts(guest), after;
    /* Field 39 of a task's stat is the CPU that it last ran on. */
    g_autofree char *cpu =
        guest_run(guest, NULL,
                  "taskset %x sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; "
                  "cut -d \" \" -f 39 /proc/self/stat'",
                  1 << VCPU);

    after = timer_interrupts(guest);
    if (g_ascii_strtoll(cpu, NULL, 10) != VCPU)
        guest_fail(guest, "the pinned task ran elsewhere");
    if (after <= before)
        guest_fail(guest, "no timer interrupt came to the new CPU");
    say("    work           a task pinned to CPU %d counted to 20000 on CPU %s; timer interrupts "
        "there: %" G_GINT64_FORMAT ", then %" G_GINT64_FORMAT,
        VCPU, cpu, before, after);
}

static void show_threads(Guest *guest, gint64 expected)
{
    gint64 n = guest_info(guest, "threads");

    if (n != expected)
        guest_fail(guest, "the number of vCPU threads is not that of the vCPUs that have been on");
    say("    vCPU threads   %" G_GINT64_FORMAT, n);
}

int main(void)
{
    struct utsname host;
    Guest *guest;
    int status;

    uname(&host);
    say("\n  host kernel      %s, with KVM on %s", host.release, host.machine);
    say("  a guest of 4 possible vCPUs, 1 enabled, is booting ...");
    guest = guest_boot("demo", "--vcpus 4 --enabled 1 --append vcpuhp.agent");
    say("  guest kernel     %s", guest_release(guest));
    show_denied(guest);
    show_masks(guest, "0");
    show_threads(guest, 1);

    command(guest, "plug 2");
    show_event(guest, "vCPU 2: request 1 seen by the guest");
    show_event(guest, "vCPU 2: _OST 0x1, 0x0: device check: success");
    show_event(guest, "vCPU 2: request 1 done");
    show_event(guest, "vCPU 2: on");
    show_masks(guest, "0,2");
    show_work(guest);
    show_threads(guest, 2);

    command(guest, "unplug 2");
    show_event(guest, "vCPU 2: request 2 seen by the guest");
    show_event(guest, "vCPU 2: _OST 0x3, 0x84: eject request: eject is in progress");
    show_event(guest, "vCPU 2: off");
    show_event(guest, "vCPU 2: disabled by _EJ0");
    show_event(guest, "vCPU 2: ejected");
    show_event(guest, "vCPU 2: request 2 done");
    show_event(guest, "vCPU 2: _OST 0x3, 0x0: eject request: success");
    show_masks(guest, "0");
    show_threads(guest, 2); /* vCPU 2's waits for its next start */

    guest_send(guest, "poweroff -f");
    status = guest_wait_exit(guest);
    if (status)
        guest_fail(guest, "minivmm's exit status is not 0");
    say("\n  the guest has powered off; minivmm's exit status is 0\n");
    guest_free(guest);
    say("demo: ok");
    return EXIT_SUCCESS;
}
