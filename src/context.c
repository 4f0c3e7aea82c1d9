/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public entry points of the context. Each takes the lock, lets the slots or an interface above
 * them do the work, drops the lock, and carries out the effects.
 */
#include "context.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <vcpuhp/psci.h>
#include <vcpuhp/state.h>

#include "error.h"
#include "psci/psci.h"
#include "sized.h"

static void enter(Vcpuhp *hp, Effects *fx)
{
    effects_init(fx);
    g_mutex_lock(&hp->slots.lock);
}

/* --- Effects --- */

static void report(Vcpuhp *hp, const VcpuhpEvent *event)
{
    if (hp->callbacks.event)
        hp->callbacks.event(event, hp->opaque);
}

void context_host_error(Vcpuhp *hp, uint32_t vcpu, const GError *error)
{
    VcpuhpEvent event;

    g_mutex_lock(&hp->slots.lock);
    event = slots_new_event(&hp->slots, VCPUHP_EVENT_HOST_ERROR, vcpu);
    g_mutex_unlock(&hp->slots.lock);
    event.text = error->message;
    report(hp, &event);
}

/* With the lock held: the last thread to set the timer is the one that saw the last change. */
static G_GNUC_NO_INLINE void set_timer(Vcpuhp *hp)
{
    int64_t wake = hp->slots.wake;
    struct itimerspec spec = {
        .it_value = {.tv_sec = wake / G_USEC_PER_SEC, .tv_nsec = wake % G_USEC_PER_SEC * 1000}};

    timerfd_settime(hp->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* Drops the lock. */
static G_GNUC_NO_INLINE void set_line(Vcpuhp *hp)
{
    const Backend *backend = hp->backend;
    void *data = hp->backend_data;
    g_autoptr(GError) error = NULL;

    if (backend->irq_set_locked)
        line_set_locked(&hp->line, &hp->slots, &hp->counters, backend, data, &error);
    g_mutex_unlock(&hp->slots.lock);
    if (error)
        context_host_error(hp, VCPUHP_NO_VCPU, error);
    if (backend->irq_set)
        line_deliver(&hp->line, &hp->slots, &hp->counters, backend, data);
}

static G_GNUC_NO_INLINE void kick(const Vcpuhp *hp, const Backend *backend, void *data,
                                  const uint64_t *kicks)
{
    for (uint32_t i = 0; i < hp->config.n_vcpus; i++)
        if (kicks[i / 64] >> (i % 64) & 1)
            backend->vcpu_kick(data, i);
}

static void leave(Vcpuhp *hp, const Effects *fx);

/* The backend comes first: as soon as the slot is off, another vCPU may turn the vCPU on. */
static void turn_off(Vcpuhp *hp, uint32_t vcpu, bool asked)
{
    Effects fx;

    hp->backend->vcpu_off(hp->backend_data, vcpu, asked);
    enter(hp, &fx);
    slots_off(&hp->slots, vcpu, &fx);
    leave(hp, &fx);
}

/* from NULL: the vCPU is adopted as on. */
static bool start(Vcpuhp *hp, uint32_t vcpu, const Entry *from, GError **error)
{
    VcpuhpEntry entry = {.size = sizeof(entry)};

    if (from) {
        entry.address = from->address;
        entry.context = from->context;
        entry.big_endian = from->big_endian;
    }
    if (hp->backend->vcpu_start(hp->backend_data, vcpu, from ? &entry : NULL, error))
        return true;
    turn_off(hp, vcpu, false);
    return false;
}

/* The one place where a change acts on the world. The backend can be replaced while no vCPU is
 * counted as running: one to be kicked may have parked meanwhile, one to be turned on or off is
 * still counted. */
static G_GNUC_NO_INLINE bool carry_out(Vcpuhp *hp, const Effects *fx, GError **error)
{
    const Backend *backend = hp->backend;
    void *data = hp->backend_data;
    bool adopted = false;
    Entry entry = {0};

    if (fx->start >= 0) {
        entry = hp->slots.table[fx->start].entry;
        adopted = hp->slots.table[fx->start].adopted;
    }
    if (fx->timer)
        set_timer(hp);
    if (fx->irq || hp->line.failed)
        set_line(hp);
    else
        g_mutex_unlock(&hp->slots.lock);
    if (fx->kick)
        kick(hp, backend, data, fx->kicks);
    for (uint32_t i = 0; i < fx->n_events; i++)
        report(hp, &fx->events[i]);
    if (fx->off >= 0)
        turn_off(hp, fx->off, fx->off_asked);
    return fx->start < 0 || start(hp, fx->start, adopted ? NULL : &entry, error);
}

/* Drop the lock and carry out the effects. Returns false, with error set, if a vCPU could not be
 * started. Most of a guest's accesses have no effect. */
static bool leave_or_fail(Vcpuhp *hp, const Effects *fx, GError **error)
{
    if (!effects_empty(fx) || hp->line.failed)
        return carry_out(hp, fx, error);
    g_mutex_unlock(&hp->slots.lock);
    return true;
}

/* For a change that starts no vCPU. */
static void leave(Vcpuhp *hp, const Effects *fx)
{
    leave_or_fail(hp, fx, NULL);
}

/* --- Life --- */

static bool set_callbacks(Vcpuhp *hp, const VcpuhpCallbacks *callbacks, GError **error)
{
    const char *missing;

    if (!sized_copy_in(&hp->callbacks, sizeof(hp->callbacks), callbacks,
                       SIZED_FIRST(VcpuhpCallbacks, event), "VcpuhpCallbacks", error))
        return false;
    missing = !hp->callbacks.vcpu_start  ? "vcpu_start"
              : !hp->callbacks.vcpu_kick ? "vcpu_kick"
                                         : NULL;
    if (missing)
        return refuse(error, VCPUHP_ERROR_INVALID, "callback %s is NULL", missing);
    hp->backend = callbacks_backend(&hp->callbacks);
    hp->backend_data = hp;
    return true;
}

Vcpuhp *vcpuhp_new(const VcpuhpConfig *config, const VcpuhpCallbacks *callbacks, void *opaque,
                   GError **error)
{
    Vcpuhp *hp = g_new0(Vcpuhp, 1);

    hp->opaque = opaque;
    if (!set_callbacks(hp, callbacks, error) || !config_init(&hp->config, config, error)) {
        g_free(hp);
        return NULL;
    }
    hp->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (hp->timer_fd < 0) {
        refuse(error, VCPUHP_ERROR_NOT_SUPPORTED, "timerfd_create: %s", g_strerror(errno));
        config_clear(&hp->config);
        g_free(hp);
        return NULL;
    }
    slots_init(&hp->slots, &hp->config);
    regs_init(&hp->regs, &hp->slots, &hp->counters);
    return hp;
}

void vcpuhp_free(Vcpuhp *hp)
{
    bool done;

    if (!hp)
        return;
    do {
        Effects fx;

        enter(hp, &fx);
        done = slots_end_requests(&hp->slots, &fx);
        leave(hp, &fx);
    } while (!done);
    hp->backend->free(hp->backend_data);
    close(hp->timer_fd);
    slots_clear(&hp->slots);
    config_clear(&hp->config);
    g_free(hp);
}

bool context_set_backend(Vcpuhp *hp, const Backend *backend, void *data, const char *what,
                         GError **error)
{
    const char *why = NULL;

    g_mutex_lock(&hp->slots.lock);
    if (hp->backend == backend)
        why = "was called before";
    else if (hp->slots.n_running)
        why = "a vCPU runs already";
    if (!why && data) {
        hp->backend_data = data;
        g_atomic_pointer_set(&hp->backend, backend);
    }
    g_mutex_unlock(&hp->slots.lock);
    return !why || refuse(error, VCPUHP_ERROR_ORDER, "%s: %s", what, why);
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
    uint64_t expirations;
    int64_t now;
    bool done;

    /* This only makes the fd unreadable. The slots know what is due. The clock is read afterwards:
     * otherwise a deadline between the two would be consumed here, and not be found due. */
    if (read(hp->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
        return;
    now = g_get_monotonic_time();
    do {
        Effects fx;

        enter(hp, &fx);
        done = !hp->slots.wake || hp->slots.wake > now || slots_expire(&hp->slots, now, &fx);
        leave(hp, &fx);
    } while (!done);
}

/* --- Requests --- */

/* The id is written before the events that carry it are reported. */
static void return_id(bool ok, uint32_t id, uint32_t *ret_request)
{
    if (ok && ret_request)
        *ret_request = id;
}

bool vcpuhp_plug(Vcpuhp *hp, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms,
                 uint32_t *ret_request, GError **error)
{
    uint32_t id = 0;
    Effects fx;
    bool ok;

    enter(hp, &fx);
    ok = slots_plug(&hp->slots, vcpu, flags, timeout_ms, g_get_monotonic_time(), &id, &fx, error);
    return_id(ok, id, ret_request);
    leave(hp, &fx);
    return ok;
}

bool vcpuhp_unplug(Vcpuhp *hp, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms,
                   uint32_t *ret_request, GError **error)
{
    uint32_t id = 0;
    Effects fx;
    bool ok;

    enter(hp, &fx);
    ok = slots_unplug(&hp->slots, vcpu, flags, timeout_ms, g_get_monotonic_time(), &id, &fx, error);
    return_id(ok, id, ret_request);
    leave(hp, &fx);
    return ok;
}

bool vcpuhp_cancel(Vcpuhp *hp, uint32_t request, GError **error)
{
    Effects fx;
    bool ok;

    enter(hp, &fx);
    ok = slots_cancel(&hp->slots, request, &fx, error);
    leave(hp, &fx);
    return ok;
}

bool vcpuhp_repeat(Vcpuhp *hp, uint32_t request, GError **error)
{
    Effects fx;
    bool ok;

    enter(hp, &fx);
    ok = slots_repeat(&hp->slots, request, &fx, error);
    leave(hp, &fx);
    return ok;
}

bool vcpuhp_force(Vcpuhp *hp, uint32_t vcpu, GError **error)
{
    Effects fx;
    bool ok;

    enter(hp, &fx);
    ok = slots_force(&hp->slots, vcpu, &fx, error);
    leave(hp, &fx);
    return ok;
}

/* --- Queries --- */

bool vcpuhp_query(Vcpuhp *hp, uint32_t vcpu, VcpuhpVcpuInfo *ret_info, GError **error)
{
    VcpuhpVcpuInfo info;
    bool ok;

    g_mutex_lock(&hp->slots.lock);
    ok = slots_query(&hp->slots, vcpu, &info, error);
    g_mutex_unlock(&hp->slots.lock);
    return ok && sized_copy_out(ret_info, &info, sizeof(info),
                                SIZED_FIRST(VcpuhpVcpuInfo, ost_status), "VcpuhpVcpuInfo", error);
}

bool vcpuhp_counters(Vcpuhp *hp, VcpuhpCounters *ret_counters, GError **error)
{
    VcpuhpCounters counters;

    g_mutex_lock(&hp->slots.lock);
    counters = hp->counters;
    g_mutex_unlock(&hp->slots.lock);
    return sized_copy_out(ret_counters, &counters, sizeof(counters),
                          SIZED_FIRST(VcpuhpCounters, irq_raised), "VcpuhpCounters", error);
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

/* --- Power of vCPUs --- */

/* With the lock held. */
static bool is_on(const Vcpuhp *hp, uint32_t vcpu)
{
    return vcpu < hp->config.n_vcpus && hp->slots.table[vcpu].power == VCPUHP_POWER_ON;
}

VcpuhpPsciAction vcpuhp_psci_call(Vcpuhp *hp, uint32_t vcpu, uint64_t x[4], bool big_endian)
{
    VcpuhpPsciAction action = VCPUHP_PSCI_PARK;
    g_autoptr(GError) error = NULL;
    Effects fx;

    enter(hp, &fx);
    if (is_on(hp, vcpu))
        action = psci_call(&hp->slots, &hp->counters, vcpu, x, big_endian, &fx);
    if (!leave_or_fail(hp, &fx, &error)) {
        x[0] = psci_result(PSCI_INTERNAL_FAILURE);
        context_host_error(hp, fx.start, error);
    }
    return action;
}

bool vcpuhp_vcpu_enter(Vcpuhp *hp, uint32_t vcpu)
{
    bool entered;
    Effects fx;

    enter(hp, &fx);
    entered = vcpu < hp->config.n_vcpus && slots_enter(&hp->slots, vcpu, &fx);
    leave(hp, &fx);
    return entered;
}

bool vcpuhp_vcpu_park_if_asked(Vcpuhp *hp, uint32_t vcpu)
{
    bool park;
    Effects fx;

    enter(hp, &fx);
    park = !is_on(hp, vcpu);
    if (!park && hp->slots.table[vcpu].park) {
        park = fx.off_asked = true;
        fx.off = (int)vcpu;
    }
    leave(hp, &fx);
    return park;
}

/* --- Power of the machine --- */

static bool power_on(Vcpuhp *hp, const VcpuhpEntry *from, GError **error)
{
    const Entry entry = {from->address, from->context, from->big_endian};
    OnResult result;
    Effects fx;

    enter(hp, &fx);
    result = slots_on(&hp->slots, 0, &entry, &fx);
    fx.irq = true; /* a request may have been raised before there was a line */
    if (!leave_or_fail(hp, &fx, error))
        return false;
    switch (result) {
    case ON_GRANTED:
        return true;
    case ON_BAD_ADDRESS:
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "vcpuhp_start: the entry address is 0x%" PRIx64 ", not a multiple of 4",
                      from->address);
    case ON_STOPPED:
        return refuse(error, VCPUHP_ERROR_ORDER,
                      "vcpuhp_start: the machine was stopped and not reset since, or loaded and "
                      "not resumed");
    default:
        return refuse(error, VCPUHP_ERROR_ORDER, "vcpuhp_start: vCPU 0 already runs");
    }
}

static bool has_line(const Backend *backend, const char *what, GError **error)
{
    if (backend->irq_set || backend->irq_set_locked)
        return true;
    return refuse(error, VCPUHP_ERROR_ORDER,
                  "%s: vcpuhp_kvm_setup() was not called, and irq_set is NULL", what);
}

bool vcpuhp_start(Vcpuhp *hp, const VcpuhpEntry *caller, GError **error)
{
    VcpuhpEntry entry = {0};

    if (!sized_copy_in(&entry, sizeof(entry), caller, SIZED_FIRST(VcpuhpEntry, big_endian),
                       "VcpuhpEntry", error))
        return false;
    return has_line(g_atomic_pointer_get(&hp->backend), "vcpuhp_start", error) &&
           power_on(hp, &entry, error);
}

/* What the loaded machine was doing goes on: time, the line, and what was asked to park. */
static bool resume_machine(Vcpuhp *hp, GError **error)
{
    bool resumed;
    Effects fx;

    enter(hp, &fx);
    resumed = slots_resume(&hp->slots, g_get_monotonic_time(), &fx, error);
    if (resumed)
        g_atomic_int_set(&hp->line.unknown, 1);
    leave(hp, &fx);
    return resumed;
}

static bool resume_vcpu(Vcpuhp *hp, uint32_t vcpu, GError **error)
{
    Effects fx;

    enter(hp, &fx);
    slots_resume_vcpu(&hp->slots, vcpu, &fx);
    return leave_or_fail(hp, &fx, error);
}

bool vcpuhp_resume(Vcpuhp *hp, GError **error)
{
    const Backend *backend = g_atomic_pointer_get(&hp->backend);
    bool done = true;

    if (!has_line(backend, "vcpuhp_resume", error) || !backend->resume(hp->backend_data, error) ||
        !resume_machine(hp, error))
        return false;
    for (uint32_t i = 0; i < hp->config.n_vcpus; i++) {
        if (resume_vcpu(hp, i, done ? error : NULL))
            continue;
        /* The others are turned off, here or by their threads. */
        if (done)
            vcpuhp_stop(hp);
        done = false;
    }
    return done;
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
    const Backend *backend;
    void *data;
    bool done;
    Effects fx;

    g_mutex_lock(&hp->slots.lock);
    done = slots_reset_begin(&hp->slots, error);
    backend = hp->backend;
    data = hp->backend_data;
    g_mutex_unlock(&hp->slots.lock);
    if (!done)
        return false;
    done = backend->reset(data, error);
    enter(hp, &fx);
    slots_reset_end(&hp->slots, done, &fx);
    leave(hp, &fx);
    return done;
}
