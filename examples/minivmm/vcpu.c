/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPU threads. A vCPU that is off has none: the library asks for one when the guest, or
 * vcpuhp_start(), turns the vCPU on, and the thread ends when the vCPU parks.
 */
#include "machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "uart.h"

#define KICK_SIGNAL SIGUSR1

typedef struct ThreadArgs {
    Machine *m;
    uint32_t vcpu;
} ThreadArgs;

/* The library has served the register block. Where nobody is, reads give 0 and writes go nowhere:
 * the guest must not be able to end its VMM. */
static void serve_mmio(Machine *m, struct kvm_run *run)
{
    uint64_t offset = run->mmio.phys_addr - UART_BASE;
    uint32_t value = 0;

    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, MIN(run->mmio.len, sizeof(value)));
        if (offset < UART_SIZE)
            uart_write(m->uart, offset, value);
        return;
    }
    if (offset < UART_SIZE)
        value = uart_read(m->uart, offset);
    memset(run->mmio.data, 0, sizeof(run->mmio.data));
    memcpy(run->mmio.data, &value, sizeof(value));
}

static void run_vcpu(Machine *m, uint32_t vcpu)
{
    int fd = vcpuhp_kvm_vcpu_fd(m->hp, vcpu);
    struct kvm_run *run = vcpuhp_kvm_enter(m->hp, vcpu);

    while (run) {
        int error = ioctl(fd, KVM_RUN, 0) < 0 ? errno : 0;

        switch (vcpuhp_kvm_handle_exit(m->hp, vcpu, error)) {
        case VCPUHP_KVM_EXIT_RESUME:
        case VCPUHP_KVM_EXIT_INTERRUPTED:
            break;
        case VCPUHP_KVM_EXIT_OTHER:
            if (run->exit_reason == KVM_EXIT_MMIO) {
                serve_mmio(m, run);
                break;
            }
            fprintf(stderr, "minivmm: vCPU %u: KVM exit %u, which nobody serves\n", vcpu,
                    run->exit_reason);
            machine_stop(m, AFTER_STOP_FAIL);
            break;
        /* In all these cases the vCPU goes on, to be told to park in its next round. */
        case VCPUHP_KVM_EXIT_SYSTEM_OFF:
            machine_stop(m, AFTER_STOP_EXIT);
            break;
        case VCPUHP_KVM_EXIT_SYSTEM_RESET:
            machine_stop(m, AFTER_STOP_RESET);
            break;
        case VCPUHP_KVM_EXIT_ERROR: /* event HOST_ERROR has said what it was */
            machine_stop(m, AFTER_STOP_FAIL);
            break;
        case VCPUHP_KVM_EXIT_PARK:
            run = NULL;
            break;
        }
    }
}

static void *vcpu_thread(void *data)
{
    ThreadArgs args = *(ThreadArgs *)data;
    Machine *m = args.m;
    VcpuThread *self = &m->threads[args.vcpu];
    char name[16];

    g_free(data);
    snprintf(name, sizeof(name), "vcpu %u", args.vcpu);
    pthread_setname_np(pthread_self(), name);

    run_vcpu(m, args.vcpu);

    g_mutex_lock(&m->threads_lock);
    /* Once it has parked, another vCPU may have turned it on again: then the entry is no longer
     * this thread's. */
    if (pthread_equal(self->thread, pthread_self()))
        self->running = false;
    m->n_threads--;
    g_cond_signal(&m->threads_gone);
    g_mutex_unlock(&m->threads_lock);
    return NULL;
}

bool vcpu_start(uint32_t vcpu, const VcpuhpEntry *entry G_GNUC_UNUSED, void *opaque)
{
    Machine *m = opaque;
    VcpuThread *thread = &m->threads[vcpu];
    ThreadArgs *args = g_new(ThreadArgs, 1);
    pthread_attr_t attr;
    bool ok;

    *args = (ThreadArgs){m, vcpu};
    pthread_attr_init(&attr);
    /* Nobody joins it: that would have a vCPU wait for another. */
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    /* Held until thread->thread is written, which the new thread looks at when it ends. */
    g_mutex_lock(&m->threads_lock);
    ok = pthread_create(&thread->thread, &attr, vcpu_thread, args) == 0;
    thread->running = ok;
    m->n_threads += ok;
    g_mutex_unlock(&m->threads_lock);
    pthread_attr_destroy(&attr);
    if (!ok)
        g_free(args);
    return ok;
}

/* The library has set immediate_exit, so a signal that comes before KVM_RUN isn't lost. */
void vcpu_kick(uint32_t vcpu, void *opaque)
{
    Machine *m = opaque;

    g_mutex_lock(&m->threads_lock);
    if (m->threads[vcpu].running)
        pthread_kill(m->threads[vcpu].thread, KICK_SIGNAL);
    g_mutex_unlock(&m->threads_lock);
}

static void on_kick(int signal G_GNUC_UNUSED)
{
}

void vcpu_threads_init(Machine *m)
{
    /* A handler, for an ignored signal doesn't interrupt KVM_RUN; and no SA_RESTART. */
    struct sigaction action = {.sa_handler = on_kick};

    sigaction(KICK_SIGNAL, &action, NULL);
    g_mutex_init(&m->threads_lock);
    g_cond_init(&m->threads_gone);
    m->threads = g_new0(VcpuThread, m->config.n_vcpus);
}

uint32_t vcpu_threads(Machine *m)
{
    uint32_t n;

    g_mutex_lock(&m->threads_lock);
    n = m->n_threads;
    g_mutex_unlock(&m->threads_lock);
    return n;
}

void vcpu_threads_wait(Machine *m)
{
    g_mutex_lock(&m->threads_lock);
    while (m->n_threads)
        g_cond_wait(&m->threads_gone, &m->threads_lock);
    g_mutex_unlock(&m->threads_lock);
}
