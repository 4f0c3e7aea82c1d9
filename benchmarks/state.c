/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of a saved state, and the CPU time to save and load one of 512 vCPUs, all but one of
 * which have an open request. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <vcpuhp/state.h>

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

static void on_irq(bool level, void *opaque)
{
    (void)level, (void)opaque;
}

static Vcpuhp *new_machine(uint32_t n_vcpus)
{
    static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                              .vcpu_start = on_start,
                                              .vcpu_kick = on_kick,
                                              .irq_set = on_irq};
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, 1);
    return vcpuhp_new(&config, &callbacks, NULL, NULL);
}

static gsize state_size(uint32_t n_vcpus)
{
    g_autoptr(Vcpuhp) hp = new_machine(n_vcpus);
    g_autoptr(GBytes) state = vcpuhp_save(hp, NULL);

    return g_bytes_get_size(state);
}

static double cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static double time_save(Vcpuhp *hp)
{
    double begin = cpu_us(), time;
    GBytes *state = vcpuhp_save(hp, NULL);

    time = cpu_us() - begin;
    g_bytes_unref(state);
    return time;
}

static double time_load(GBytes *state)
{
    g_autoptr(Vcpuhp) hp = new_machine(512);
    double begin = cpu_us(), time;

    if (!vcpuhp_load(hp, state, NULL))
        abort();
    time = cpu_us() - begin;
    return time;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print(const char *key, double runs[N_RUNS])
{
    qsort(runs, N_RUNS, sizeof(runs[0]), compare);
    printf("%s %.1f %.1f %.1f\n", key, runs[N_RUNS / 2], runs[0], runs[N_RUNS - 1]);
}

int main(void)
{
    g_autoptr(Vcpuhp) hp = new_machine(512);
    g_autoptr(GBytes) state = NULL;
    double per_vcpu = (state_size(512) - state_size(64)) / 448.0;
    double saves[N_RUNS], loads[N_RUNS];

    for (uint32_t i = 1; i < 512; i++)
        vcpuhp_plug(hp, i, 0, 30000, NULL, NULL);
    state = vcpuhp_save(hp, NULL);
    for (int i = 0; i < N_RUNS; i++) {
        saves[i] = time_save(hp);
        loads[i] = time_load(state);
    }
    printf("state.bytes_per_cpu %.1f\n", per_vcpu);
    printf("state.bytes.rest %.0f\n", state_size(4) - 4 * per_vcpu);
    for (uint32_t n = 4; n <= 512; n = n == 4 ? 64 : n * 8)
        printf("state.bytes.n%u %zu\n", n, state_size(n));
    print("state.save_us.n512", saves);
    print("state.load_us.n512", loads);
    return 0;
}
