/* SPDX-License-Identifier: BSD-3-Clause */
#include "steps.h"

#include <stdio.h>
#include <stdlib.h>

void guest_fail(Guest *guest, const char *message)
{
    g_autofree char *tail = guest ? guest_console_tail(guest, 15) : NULL;

    fprintf(stderr, "%s\nguest: %s\n", tail ? tail : "", message);
    guest_free(guest);
    exit(EXIT_FAILURE);
}

gint64 step_wait_vcpu(Guest *guest, guint vcpu, const char *event)
{
    g_autofree char *text = g_strdup_printf("vCPU %u: %s", vcpu, event);

    return guest_wait_event(guest, text);
}

void step_wait_online(Guest *guest, guint vcpu)
{
    g_autofree char *command = g_strdup_printf("cat /sys/devices/system/cpu/cpu%u/online", vcpu);

    guest_wait_output(guest, command, "1");
}

/* Make a request, by a monitor command, after a pause. Returns the time when it began. */
static gint64 request(Guest *guest, const char *command, guint vcpu)
{
    gint64 begin;

    g_usleep(STEP_PAUSE * G_USEC_PER_SEC);
    guest_skip_events(guest);
    begin = g_get_monotonic_time();
    g_free(guest_command(guest, "%s %u", command, vcpu));
    return begin;
}

gint64 step_plug(Guest *guest, guint vcpu)
{
    gint64 begin = request(guest, "plug", vcpu), end = step_wait_vcpu(guest, vcpu, "on");

    step_wait_online(guest, vcpu);
    return end - begin;
}

gint64 step_unplug(Guest *guest, guint vcpu)
{
    gint64 begin = request(guest, "unplug", vcpu), end = step_wait_vcpu(guest, vcpu, "ejected");

    step_wait_vcpu(guest, vcpu, STEP_OST_EJECTED);
    return end - begin;
}
