/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the first plug of a vCPU costs a guest that has touched much memory, against one that has
 * touched little, without and with warm-up (src/kvm/warm_up.h). On a host without FEAT_S2FWB KVM
 * cleans all of this memory. Its kernel is asked how often, and how long it took, because an
 * emulated host has no caches to clean. Needs tracefs, that is, root.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "samples.h"
#include "steps.h"

#define N_ROUNDS 5
#define LITTLE   16 /* MiB */
#define MUCH     256

#define TRACING "/sys/kernel/tracing/"

/* --- The host's kernel --- */

/* Not by stdio, which looks for the end of a file that it appends to: tracefs has none. */
static void write_tracing(const char *file, const char *text)
{
    g_autofree char *path = g_strconcat(TRACING, file, NULL);
    ssize_t size = (ssize_t)strlen(text);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    if (fd < 0 || write(fd, text, size) != size)
        guest_fail(NULL, path);
    close(fd);
}

static void trace_host(void)
{
    write_tracing("kprobe_events", "p:bench/toggle kvm_toggle_cache\n");
    write_tracing("kprobe_events", "r:bench/toggled kvm_toggle_cache\n");
    write_tracing("set_event", "kvm:kvm_toggle_cache\n");
    write_tracing("set_event", "bench:\n");
}

typedef struct Flushes {
    guint n;
    double us; /* of all calls, those without a flush included */
} Flushes;

/* The time stamp of a line is before the event's name. */
static double time_of(const char *event)
{
    const char *begin = event;

    while (begin[-1] != ' ' || begin == event)
        begin--;
    return g_ascii_strtod(begin, NULL) * G_USEC_PER_SEC;
}

/* Since the last call. */
static Flushes get_flushes(void)
{
    g_autofree char *trace = NULL;
    g_auto(GStrv) lines = NULL;
    Flushes flushes = {0};
    double begin = 0;

    if (!g_file_get_contents(TRACING "trace", &trace, NULL, NULL))
        guest_fail(NULL, TRACING "trace");
    lines = g_strsplit(trace, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *in = strstr(*line, ": toggle: "), *out = strstr(*line, ": toggled: ");

        flushes.n += strstr(*line, "(cache was off, now on)") != NULL ||
                     strstr(*line, "(cache was on, now off)") != NULL;
        if (in)
            begin = time_of(in);
        if (out)
            flushes.us += time_of(out) - begin;
    }
    fclose(fopen(TRACING "trace", "w")); /* empties it */
    return flushes;
}

/* --- Guests --- */

static Guest *boot(const char *name, guint mib, bool warm_up)
{
    g_autofree char *options = g_strdup_printf(
        "--vcpus 6 --enabled 1 --mem 768 --append vcpuhp.agent%s", warm_up ? " --warm-up" : "");
    Guest *guest = guest_boot(name, options);

    g_free(guest_run(guest, NULL, "dd if=/dev/zero of=/dev/touched bs=1M count=%u", mib));
    return guest;
}

static double plug(Guest *guest, guint vcpu, Flushes *ret_flushes)
{
    double us;

    get_flushes();
    us = step_plug(guest, vcpu);
    *ret_flushes = get_flushes();
    return us;
}

static void measure(bool warm_up, const char *ratio_key, const char *count_key,
                    const char *little_key, const char *much_key)
{
    Samples ratio = {.key = ratio_key}, count = {.key = count_key};
    Samples little_us = {.key = little_key}, much_us = {.key = much_key};
    Guest *little = boot("little", LITTLE, warm_up), *much = boot("much", MUCH, warm_up);

    for (guint vcpu = 1; vcpu <= N_ROUNDS; vcpu++) {
        Flushes in_little, in_much;
        double a = plug(little, vcpu, &in_little), b = plug(much, vcpu, &in_much);

        samples_add(&ratio, b / a);
        samples_add(&count, in_much.n);
        samples_add(&little_us, in_little.us);
        samples_add(&much_us, in_much.us);
    }
    samples_print(&ratio);
    samples_print(&count);
    samples_print(&little_us);
    samples_print(&much_us);
    guest_free(little);
    guest_free(much);
}

int main(void)
{
    if (access(TRACING "kprobe_events", W_OK) < 0) {
        fprintf(stderr, "warm_up: nothing is measured without tracefs: %s\n", g_strerror(errno));
        return EXIT_SUCCESS;
    }
    trace_host();
    measure(false, "cold_plug.ratio", "cold_plug.flushes", "cold_plug.us.16", "cold_plug.us.256");
    measure(true, "warm_plug.ratio", "warm_plug.flushes", "warm_plug.us.16", "warm_plug.us.256");
    return EXIT_SUCCESS;
}
