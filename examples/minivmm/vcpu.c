/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPU threads. A vCPU gets its thread when it is first turned on, and keeps it: while the vCPU is
 * off, the thread waits on a condition variable for the next vcpu_start. A vCPU that was never on
 * has no thread.
 *
 * A VMM may also end the thread when the vCPU parks, and create another one later. That is slower
 * on hosts up to Linux 6.12: when KVM_RUN finds that the calling task is not the vCPU's previous
 * one, it waits for an RCU grace period of the host, 5 to 50 ms, before the vCPU runs.
 *
 * While the machine is paused, a thread waits before it enters its vCPU, or between two calls of
 * KVM_RUN. The library does not know of the pause: a vCPU that is on stays on.
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

struct VcpuThread {
    Machine *m;
    uint32_t vcpu;
    pthread_t thread;

    /* Protected by m->threads_lock. */
    bool exists;
    bool filtered;       /* it was created by another vCPU's thread, and has inherited its filter */
    bool start;          /* vcpu_start was called; the thread has not acted on it yet */
    bool end;            /* the thread ends as soon as it waits */
    struct kvm_run *run; /* while the thread runs the vCPU; otherwise NULL */
    GCond wake;          /* start, end or m->paused has changed */
};

/* The library has served the register block. At an address without a device, reads give 0 and
 * writes have no effect, so that the guest cannot end its VMM. */
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

/* --- A thread's loop --- */

/* The lock is held. A thread is active unless it waits. */
static void set_active(Machine *m, bool active)
{
    if (active)
        m->n_active++;
    else if (--m->n_active == 0)
        g_cond_signal(&m->none_active);
}

/* Whether the calling thread is a vCPU's. */
static __thread bool is_vcpu_thread;

/* Without its filter, the thread must not run the guest: the stop keeps it from that. */
static void filter_system_calls(const VcpuThread *self)
{
    g_autoptr(GError) error = NULL;

    if (!self->m->seccomp || self->filtered || seccomp_enter_vcpu(&error))
        return;
    fprintf(stderr, "minivmm: vCPU %u: %s\n", self->vcpu, error->message);
    machine_stop(self->m, AFTER_STOP_FAIL);
}

/* Returns false if the thread must end. */
static bool wait_for_start(VcpuThread *self)
{
    Machine *m = self->m;
    bool start;

    g_mutex_lock(&m->threads_lock);
    while ((!self->start || m->paused) && !self->end)
        g_cond_wait(&self->wake, &m->threads_lock);
    start = self->start;
    self->start = false;
    if (start)
        set_active(m, true);
    g_mutex_unlock(&m->threads_lock);
    return start;
}

static void wait_while_paused(VcpuThread *self)
{
    Machine *m = self->m;

    g_mutex_lock(&m->threads_lock);
    set_active(m, false);
    while (m->paused)
        g_cond_wait(&self->wake, &m->threads_lock);
    set_active(m, true);
    g_mutex_unlock(&m->threads_lock);
}

/* Serve an exit. Returns false if the vCPU has parked. */
static bool serve_exit(VcpuThread *self, struct kvm_run *run, int error)
{
    Machine *m = self->m;

    switch (vcpuhp_kvm_handle_exit(m->hp, self->vcpu, error)) {
    case VCPUHP_KVM_EXIT_RESUME:
        break;
    case VCPUHP_KVM_EXIT_INTERRUPTED:
        /* KVM has completed the previous exit's MMIO access: the vCPU's state is whole. */
        wait_while_paused(self);
        break;
    case VCPUHP_KVM_EXIT_OTHER:
        if (run->exit_reason == KVM_EXIT_MMIO) {
            serve_mmio(m, run);
            break;
        }
        fprintf(stderr, "minivmm: vCPU %u: KVM exit %u, which minivmm does not serve\n", self->vcpu,
                run->exit_reason);
        machine_stop(m, AFTER_STOP_FAIL);
        break;
    /* After machine_stop() the loop continues: the next round returns PARK. */
    case VCPUHP_KVM_EXIT_SYSTEM_OFF:
        machine_stop(m, AFTER_STOP_EXIT);
        break;
    case VCPUHP_KVM_EXIT_SYSTEM_RESET:
        machine_stop(m, AFTER_STOP_RESET);
        break;
    case VCPUHP_KVM_EXIT_ERROR: /* The event HOST_ERROR has reported the cause. */
        machine_stop(m, AFTER_STOP_FAIL);
        break;
    case VCPUHP_KVM_EXIT_PARK:
        return false;
    }
    return true;
}

/* Returns NULL if the vCPU must not run, for example because the machine has stopped since
 * vcpu_start. */
static struct kvm_run *enter_vcpu(VcpuThread *self)
{
    struct kvm_run *run = vcpuhp_kvm_enter(self->m->hp, self->vcpu);

    g_mutex_lock(&self->m->threads_lock);
    self->run = run;
    g_mutex_unlock(&self->m->threads_lock);
    return run;
}

static void leave_vcpu(VcpuThread *self)
{
    g_mutex_lock(&self->m->threads_lock);
    self->run = NULL;
    set_active(self->m, false);
    g_mutex_unlock(&self->m->threads_lock);
}

/* Run the vCPU until it parks. */
static void run_vcpu(VcpuThread *self)
{
    int fd = vcpuhp_kvm_vcpu_fd(self->m->hp, self->vcpu), error;
    struct kvm_run *run = enter_vcpu(self);

    if (run)
        do {
            /* KVM_RUN then completes an MMIO access and returns EINTR. */
            if (g_atomic_int_get(&self->m->paused))
                __atomic_store_n(&run->immediate_exit, 1, __ATOMIC_RELAXED);
            error = ioctl(fd, KVM_RUN, 0) < 0 ? errno : 0;
        } while (serve_exit(self, run, error));
    leave_vcpu(self);
}

static void *vcpu_thread(void *data)
{
    VcpuThread *self = data;
    char name[16];

    snprintf(name, sizeof(name), "vcpu %u", self->vcpu);
    pthread_setname_np(pthread_self(), name);
    is_vcpu_thread = true;
    filter_system_calls(self);
    while (wait_for_start(self))
        run_vcpu(self);
    return NULL;
}

/* --- The library's callbacks --- */

/* Does not wait for the thread: the caller may be another vCPU's thread. The thread may still be on
 * its way from PARK to wait_for_start(), where it then finds `start` set. */
bool vcpu_start(uint32_t vcpu, const VcpuhpEntry *entry G_GNUC_UNUSED, void *opaque)
{
    Machine *m = opaque;
    VcpuThread *thread = &m->threads[vcpu];
    bool exists;

    g_mutex_lock(&m->threads_lock);
    if (!thread->exists) {
        thread->filtered = is_vcpu_thread;
        thread->exists = pthread_create(&thread->thread, NULL, vcpu_thread, thread) == 0;
    }
    exists = thread->start = thread->exists;
    g_cond_signal(&thread->wake);
    g_mutex_unlock(&m->threads_lock);
    return exists;
}

/* The library has set immediate_exit, so a signal that arrives before KVM_RUN is not lost. A thread
 * that waits for a start ignores the signal. */
void vcpu_kick(uint32_t vcpu, void *opaque)
{
    Machine *m = opaque;

    g_mutex_lock(&m->threads_lock);
    if (m->threads[vcpu].exists)
        pthread_kill(m->threads[vcpu].thread, KICK_SIGNAL);
    g_mutex_unlock(&m->threads_lock);
}

static void on_kick(int signal G_GNUC_UNUSED)
{
}

void vcpu_threads_init(Machine *m)
{
    /* The signal needs a handler, because an ignored signal does not interrupt KVM_RUN. SA_RESTART
     * must not be set. */
    struct sigaction action = {.sa_handler = on_kick};

    sigaction(KICK_SIGNAL, &action, NULL);
    g_mutex_init(&m->threads_lock);
    g_cond_init(&m->none_active);
    m->threads = g_new0(VcpuThread, m->config.n_vcpus);
    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        m->threads[i].m = m;
        m->threads[i].vcpu = i;
        g_cond_init(&m->threads[i].wake);
    }
}

bool vcpus_pause(Machine *m)
{
    bool was_paused;

    g_mutex_lock(&m->threads_lock);
    was_paused = m->paused;
    g_atomic_int_set(&m->paused, true);
    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        VcpuThread *thread = &m->threads[i];

        /* One that has not entered yet sees m->paused first. */
        if (thread->run) {
            __atomic_store_n(&thread->run->immediate_exit, 1, __ATOMIC_RELAXED);
            pthread_kill(thread->thread, KICK_SIGNAL);
        }
    }
    while (m->n_active)
        g_cond_wait(&m->none_active, &m->threads_lock);
    g_mutex_unlock(&m->threads_lock);
    return !was_paused;
}

void vcpus_resume(Machine *m)
{
    g_mutex_lock(&m->threads_lock);
    g_atomic_int_set(&m->paused, false);
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        g_cond_signal(&m->threads[i].wake);
    g_mutex_unlock(&m->threads_lock);
}

uint32_t vcpu_threads_count(Machine *m)
{
    uint32_t n = 0;

    g_mutex_lock(&m->threads_lock);
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        n += m->threads[i].exists;
    g_mutex_unlock(&m->threads_lock);
    return n;
}

bool vcpu_thread_exists(Machine *m, uint32_t vcpu)
{
    bool exists;

    g_mutex_lock(&m->threads_lock);
    exists = m->threads[vcpu].exists;
    g_mutex_unlock(&m->threads_lock);
    return exists;
}

void vcpu_threads_end(Machine *m)
{
    if (!m->threads)
        return;
    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        VcpuThread *thread = &m->threads[i];

        g_mutex_lock(&m->threads_lock);
        thread->end = true;
        g_cond_signal(&thread->wake);
        g_mutex_unlock(&m->threads_lock);
        if (thread->exists)
            pthread_join(thread->thread, NULL);
        g_cond_clear(&thread->wake);
    }
    g_cond_clear(&m->none_active);
    g_mutex_clear(&m->threads_lock);
    g_free(m->threads);
}
