/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The context wires ground and faces together. Every function here is a door: take the lock,
 * let the slots or a face work, drop the lock, carry out the effects.
 */
#include "context.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <vcpuhp/acpi.h>
#include "psci/psci.h"

static void enter(Vcpuhp *hp, Effects *fx)
{
    effects_init(fx);
    g_mutex_lock(&hp->slots.lock);
}

/* --- Effects --- */

static void tell(Vcpuhp *hp, const VcpuhpEvent *event)
{
    if (hp->callbacks.event)
        hp->callbacks.event(event, hp->opaque);
}

void context_host_error(Vcpuhp *hp, uint32_t vcpu, const GError *error)
{
    tell(hp, &(VcpuhpEvent){.kind = VCPUHP_EVENT_HOST_ERROR, .vcpu = vcpu, .text = error->message});
}

/*
 * Bring the VMM's line to what the slots say now. Two threads that deliver what each saw last could
 * do it in the wrong order, and holding a lock for it would hold it in a callback: so whoever finds
 * nobody at it delivers for all who come in the meantime.
 */
static void irq_sync(Vcpuhp *hp)
{
    int served;

    if (g_atomic_int_add(&hp->irq_waiters, 1) > 0)
        return;
    do {
        bool level;

        served = g_atomic_int_get(&hp->irq_waiters);
        g_mutex_lock(&hp->slots.lock);
        level = hp->slots.n_raised > 0;
        hp->counters.irq_raised += level && !hp->irq_level;
        g_mutex_unlock(&hp->slots.lock);
        if (level != hp->irq_level)
            hp->callbacks.irq_set(level, hp->opaque);
        hp->irq_level = level;
    } while (g_atomic_int_add(&hp->irq_waiters, -served) != served);
}

/*
 * Drop the lock when the interrupt's level may have changed. KVM's line is set with the lock held,
 * which keeps the order: a guest that took the last event goes on with the line low, whoever raised
 * it and is not yet back from that.
 */
static G_GNUC_NO_INLINE void unlock_irq(Vcpuhp *hp)
{
    g_autoptr(GError) error = NULL;
    bool level = hp->slots.n_raised > 0;

    if (hp->hands && level != hp->irq_level && hp->hands->irq_set(hp->hands_data, level, &error)) {
        hp->counters.irq_raised += level;
        hp->irq_level = level;
    }
    g_mutex_unlock(&hp->slots.lock);
    if (error)
        context_host_error(hp, hp->config.n_vcpus, error);
    /* Without either, vcpuhp_kvm_setup() is still to come, and vcpuhp_start() does it. */
    if (!hp->hands && hp->callbacks.irq_set)
        irq_sync(hp);
}

/* With the lock held, so that the last one to set it is the one who saw the last change. */
static G_GNUC_NO_INLINE void timer_sync(Vcpuhp *hp)
{
    int64_t wake = hp->slots.wake;
    struct itimerspec spec = {
        .it_value = {.tv_sec = wake / G_USEC_PER_SEC, .tv_nsec = wake % G_USEC_PER_SEC * 1000}};

    timerfd_settime(hp->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void kick(Vcpuhp *hp, uint32_t vcpu)
{
    const Slot *slot = &hp->slots.table[vcpu];
    bool wanted;

    g_mutex_lock(&hp->slots.lock);
    wanted = slot->park && slot->power != VCPUHP_POWER_OFF;
    if (wanted && hp->hands)
        hp->hands->vcpu_kick(hp->hands_data, vcpu);
    g_mutex_unlock(&hp->slots.lock);
    if (wanted)
        hp->callbacks.vcpu_kick(vcpu, hp->opaque);
}

static G_GNUC_NO_INLINE void kick_all(Vcpuhp *hp, const uint64_t *kicks)
{
    for (uint32_t i = 0; i < hp->config.n_vcpus; i++)
        if (kicks[i / 64] >> (i % 64) & 1)
            kick(hp, i);
}

static inline void leave(Vcpuhp *hp, const Effects *fx)
{
    hp->counters.events += fx->n_events;
    if (fx->timer)
        timer_sync(hp);
    if (fx->irq)
        unlock_irq(hp);
    else
        g_mutex_unlock(&hp->slots.lock);
    if (fx->kick)
        kick_all(hp, fx->kicks);
    for (uint32_t i = 0; i < fx->n_events; i++)
        tell(hp, &fx->events[i]);
}

/* --- Life --- */

static bool check_callbacks(const VcpuhpCallbacks *callbacks, GError **error)
{
    const char *missing = !callbacks->vcpu_start  ? "vcpu_start"
                          : !callbacks->vcpu_kick ? "vcpu_kick"
                                                  : NULL;

    if (!missing)
        return true;
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_CONFIG, "callback %s is NULL", missing);
    return false;
}

Vcpuhp *vcpuhp_new(const VcpuhpConfig *config, const VcpuhpCallbacks *callbacks, void *opaque,
                   GError **error)
{
    Vcpuhp *hp = g_new0(Vcpuhp, 1);

    if (!check_callbacks(callbacks, error) || !config_init(&hp->config, config, error)) {
        g_free(hp);
        return NULL;
    }
    hp->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (hp->timer_fd < 0) {
        g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_NOT_SUPPORTED, "timerfd_create: %s",
                    g_strerror(errno));
        config_clear(&hp->config);
        g_free(hp);
        return NULL;
    }
    slots_init(&hp->slots, &hp->config);
    regs_init(&hp->regs, &hp->slots, &hp->counters);
    hp->callbacks = *callbacks;
    hp->opaque = opaque;
    return hp;
}

void vcpuhp_free(Vcpuhp *hp)
{
    if (!hp)
        return;
    if (hp->hands)
        hp->hands->free(hp->hands_data);
    close(hp->timer_fd);
    slots_clear(&hp->slots);
    config_clear(&hp->config);
    g_free(hp);
}

uint32_t vcpuhp_n_vcpus(const Vcpuhp *hp)
{
    return hp->config.n_vcpus;
}

int vcpuhp_timer_fd(const Vcpuhp *hp)
{
    return hp->timer_fd;
}

void vcpuhp_dispatch(Vcpuhp *hp)
{
    int64_t now = g_get_monotonic_time();
    uint64_t expirations;
    bool done;

    /* Only to make it unreadable; what is due is found in the slots. */
    if (read(hp->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
        return;
    do {
        Effects fx;

        enter(hp, &fx);
        done = !hp->slots.wake || hp->slots.wake > now || slots_expire(&hp->slots, now, &fx);
        leave(hp, &fx);
    } while (!done);
}

/* --- Requests --- */

typedef bool RequestFunc(Slots *slots, uint32_t vcpu, uint32_t timeout_ms, int64_t now,
                         uint32_t *ret_id, Effects *fx, GError **error);

static bool request(Vcpuhp *hp, RequestFunc *func, uint32_t vcpu, uint32_t timeout_ms,
                    uint32_t *ret_request, GError **error)
{
    Effects fx;
    uint32_t id;
    bool ok;

    enter(hp, &fx);
    ok = func(&hp->slots, vcpu, timeout_ms, g_get_monotonic_time(), &id, &fx, error);
    /* Before the events that carry it. */
    if (ok && ret_request)
        *ret_request = id;
    leave(hp, &fx);
    return ok;
}

bool vcpuhp_plug(Vcpuhp *hp, uint32_t vcpu, uint32_t timeout_ms, uint32_t *ret_request,
                 GError **error)
{
    return request(hp, slots_plug, vcpu, timeout_ms, ret_request, error);
}

bool vcpuhp_unplug(Vcpuhp *hp, uint32_t vcpu, uint32_t timeout_ms, uint32_t *ret_request,
                   GError **error)
{
    return request(hp, slots_unplug, vcpu, timeout_ms, ret_request, error);
}

/* number: a request's id or a vCPU. */
typedef bool ChangeFunc(Slots *slots, uint32_t number, Effects *fx, GError **error);

static bool change(Vcpuhp *hp, ChangeFunc *func, uint32_t number, GError **error)
{
    Effects fx;
    bool ok;

    enter(hp, &fx);
    ok = func(&hp->slots, number, &fx, error);
    leave(hp, &fx);
    return ok;
}

bool vcpuhp_cancel(Vcpuhp *hp, uint32_t request, GError **error)
{
    return change(hp, slots_cancel, request, error);
}

bool vcpuhp_repeat(Vcpuhp *hp, uint32_t request, GError **error)
{
    return change(hp, slots_repeat, request, error);
}

bool vcpuhp_force(Vcpuhp *hp, uint32_t vcpu, GError **error)
{
    return change(hp, slots_force, vcpu, error);
}

bool vcpuhp_query(Vcpuhp *hp, uint32_t vcpu, VcpuhpVcpuInfo *ret_info, GError **error)
{
    bool ok;

    g_mutex_lock(&hp->slots.lock);
    ok = slots_query(&hp->slots, vcpu, ret_info, error);
    g_mutex_unlock(&hp->slots.lock);
    return ok;
}

void vcpuhp_counters(Vcpuhp *hp, VcpuhpCounters *ret_counters)
{
    g_mutex_lock(&hp->slots.lock);
    *ret_counters = hp->counters;
    g_mutex_unlock(&hp->slots.lock);
}

/* --- Register block --- */

void vcpuhp_regs_read(Vcpuhp *hp, uint64_t offset, void *data, uint32_t len)
{
    Effects fx;

    enter(hp, &fx);
    regs_read(&hp->regs, offset, data, len, &fx);
    leave(hp, &fx);
}

void vcpuhp_regs_write(Vcpuhp *hp, uint64_t offset, const void *data, uint32_t len)
{
    Effects fx;

    enter(hp, &fx);
    regs_write(&hp->regs, offset, data, len, &fx);
    leave(hp, &fx);
}

/* --- Power --- */

/* The hands let go before the slot is off: from then on another vCPU may turn it on again. */
static void turn_off(Vcpuhp *hp, uint32_t vcpu)
{
    Effects fx;

    if (hp->hands)
        hp->hands->vcpu_off(hp->hands_data, vcpu);
    enter(hp, &fx);
    slots_off(&hp->slots, vcpu, &fx);
    leave(hp, &fx);
}

/* Carry out a granted CPU_ON. Nobody else touches the vCPU while it is ON_PENDING. */
static bool turn_on(Vcpuhp *hp, uint32_t vcpu, GError **error)
{
    VcpuhpEntry entry = hp->slots.table[vcpu].entry;

    if (hp->hands && !hp->hands->vcpu_on(hp->hands_data, vcpu, &entry, error)) {
        turn_off(hp, vcpu);
        return false;
    }
    if (hp->callbacks.vcpu_start(vcpu, &entry, hp->opaque))
        return true;
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM, "vCPU %u: vcpu_start has no thread for it",
                vcpu);
    turn_off(hp, vcpu);
    return false;
}

VcpuhpPsciAction vcpuhp_psci_call(Vcpuhp *hp, uint32_t vcpu, VcpuhpPsciCall *call)
{
    g_autoptr(GError) error = NULL;
    VcpuhpPsciAction action;
    Effects fx;
    int start;

    enter(hp, &fx);
    action = psci_call(&hp->slots, &hp->counters, vcpu, call, &start, &fx);
    leave(hp, &fx);
    if (action == VCPUHP_PSCI_PARK)
        turn_off(hp, vcpu);
    if (start >= 0 && !turn_on(hp, start, &error)) {
        context_host_error(hp, start, error);
        psci_set_result(call, PSCI_INTERNAL_FAILURE);
    }
    return action;
}

bool vcpuhp_vcpu_enter(Vcpuhp *hp, uint32_t vcpu)
{
    Effects fx;
    bool entered;

    enter(hp, &fx);
    entered = slots_enter(&hp->slots, vcpu, &fx);
    leave(hp, &fx);
    if (!entered)
        turn_off(hp, vcpu);
    return entered;
}

bool vcpuhp_vcpu_park(Vcpuhp *hp, uint32_t vcpu)
{
    bool park;

    g_mutex_lock(&hp->slots.lock);
    park = hp->slots.table[vcpu].park;
    g_mutex_unlock(&hp->slots.lock);
    if (park)
        turn_off(hp, vcpu);
    return park;
}

static bool refuse_order(const char *call, const char *why, GError **error)
{
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER, "%s: %s", call, why);
    return false;
}

bool vcpuhp_start(Vcpuhp *hp, const VcpuhpEntry *entry, GError **error)
{
    OnResult result;
    Effects fx;

    if (!hp->hands && !hp->callbacks.irq_set)
        return refuse_order("vcpuhp_start", "neither vcpuhp_kvm_setup() nor irq_set was given",
                            error);
    enter(hp, &fx);
    result = slots_on(&hp->slots, 0, entry, &fx);
    fx.irq = true; /* what was asked for before there was a line */
    leave(hp, &fx);
    if (result == ON_STOPPING)
        return refuse_order("vcpuhp_start", "the machine was stopped, and not reset", error);
    if (result != ON_GRANTED)
        return refuse_order("vcpuhp_start", "vCPU 0 runs already", error);
    return turn_on(hp, 0, error);
}

void vcpuhp_stop(Vcpuhp *hp)
{
    Effects fx;

    enter(hp, &fx);
    slots_stop(&hp->slots, &fx);
    leave(hp, &fx);
}

bool vcpuhp_reset(Vcpuhp *hp, GError **error)
{
    uint32_t n_running;
    Effects fx;

    /* Stops first, and stays stopped over the reset, so that nobody is turned on meanwhile. */
    g_mutex_lock(&hp->slots.lock);
    n_running = hp->slots.n_running;
    if (!n_running)
        hp->slots.stopping = true;
    g_mutex_unlock(&hp->slots.lock);
    if (n_running)
        return refuse_order("vcpuhp_reset", "a vCPU runs: vcpuhp_stop(), and wait for STOPPED",
                            error);
    if (hp->hands && !hp->hands->reset(hp->hands_data, error))
        return false;
    enter(hp, &fx);
    slots_reset(&hp->slots, &fx);
    leave(hp, &fx);
    return true;
}
