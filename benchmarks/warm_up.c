/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the first power-on of a vCPU costs in a machine whose memory has been touched, much of it or
 * little, without and with warm-up (src/kvm/warm_up.h). On a host without FEAT_S2FWB KVM cleans this
 * memory when the vCPU enables its MMU. Its tracepoint tells how often, if tracefs is there and may
 * be used.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "samples.h"
#include "vm.h"

#define N_ROUNDS 5
#define LITTLE   16 /* MiB */
#define MUCH     256

#define TRACING "/sys/kernel/tracing/"

/* --- The host's kernel --- */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    ssize_t size = (ssize_t)strlen(text);
    bool done = fd >= 0 && write(fd, text, size) == size;

    if (fd >= 0)
        close(fd);
    return done;
}

/* How often it has cleaned all memory since the last call. */
static guint count_flushes(void)
{
    g_autofree char *trace = NULL;
    guint n = 0;

    if (!g_file_get_contents(TRACING "trace", &trace, NULL, NULL))
        return 0;
    for (const char *at = trace; (at = strstr(at, "(cache was off, now on)")); at++)
        n++;
    write_file(TRACING "trace", "");
    return n;
}

/* --- Machines --- */

/* The first power-on of a vCPU, until it has enabled its MMU and turned itself off, in µs. */
static double power_on(const Vm *vm, uint32_t vcpu)
{
    gint64 begin;

    vm_prepare_cpu_on(vm, vcpu);
    begin = g_get_monotonic_time();
    vm_cpu_on(vm, vcpu);
    vm_live(vm, vcpu);
    return g_get_monotonic_time() - begin;
}

typedef struct Keys {
    const char *little, *much, *ratio, *flushes;
} Keys;

static void measure(bool warm_up, bool traced, const Keys *keys)
{
    Vm little = vm_create(N_ROUNDS + 1, MUCH, warm_up);
    Vm much = vm_create(N_ROUNDS + 1, MUCH, warm_up);
    Samples in_little = {.key = keys->little}, in_much = {.key = keys->much};
    Samples ratio = {.key = keys->ratio}, flushes = {.key = keys->flushes};

    vm_touch(&little, LITTLE);
    vm_touch(&much, MUCH);
    for (uint32_t vcpu = 1; vcpu <= N_ROUNDS; vcpu++) {
        double a = power_on(&little, vcpu), b;

        count_flushes();
        b = power_on(&much, vcpu);
        samples_add(&flushes, count_flushes());
        samples_add(&in_little, a);
        samples_add(&in_much, b);
        samples_add(&ratio, b / a);
    }
    samples_print(&in_little);
    samples_print(&in_much);
    samples_print(&ratio);
    if (traced)
        samples_print(&flushes);
    vm_destroy(&little);
    vm_destroy(&much);
}

int main(void)
{
    static const Keys cold = {"cold.us.16", "cold.us.256", "cold.ratio", "cold.flushes"};
    static const Keys warm = {"warm.us.16", "warm.us.256", "warm.ratio", "warm.flushes"};
    bool traced = write_file(TRACING "set_event", "kvm:kvm_toggle_cache");

    measure(false, traced, &cold);
    measure(true, traced, &warm);
    return 0;
}
