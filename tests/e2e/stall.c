/* SPDX-License-Identifier: BSD-3-Clause */
#include "stall.h"

#include <stdio.h>

#define TRACING "/sys/kernel/debug/tracing/"

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    bool ok = file && fputs(text, file) >= 0;

    return (!file || fclose(file) == 0) && ok;
}

static void append_output(GString *out, const char *command)
{
    const char *argv[] = {"sh", "-c", command, NULL};
    g_autofree char *text = NULL;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text, NULL, NULL,
                 NULL);
    g_string_append(out, text && *text ? text : "(nothing)\n");
}

/* The host's timer interrupt ends KVM_RUN for a moment, so a vCPU that executes instructions exits
 * several times. One that waits for an interrupt does not. */
static void append_program_counters(GString *out)
{
    g_string_append(out, "exits, with the vCPU's thread and program counter:\n");
    if (!write_file(TRACING "events/kvm/kvm_exit/enable", "1")) {
        g_string_append(out, "(no tracefs)\n");
        return;
    }
    write_file(TRACING "trace", "");
    g_usleep(500000);
    write_file(TRACING "events/kvm/kvm_exit/enable", "0");
    append_output(out,
                  "grep -v '^#' " TRACING "trace | awk '{ k = $1 $2 } n[k]++ < 8' | tail -n 60");
}

char *stall_describe(const Guest *guest)
{
    GString *out = g_string_new(NULL);
    g_autofree char *vgic = g_strdup_printf(
        "cd /sys/kernel/debug/kvm/%d-* && "
        "awk '$4 !~ /^[01]+$/ || $4 ~ /^(1|.1|..1)/' vgic-state", /* pending, high or active */
        guest_pid(guest));

    append_program_counters(out);
    g_string_append(out, "vgic-state:\n");
    append_output(out, vgic);
    return g_string_free(out, FALSE);
}
