/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules. Each has a number and a line in README.md, and is checked after every call. */
#include "model.h"

#include <string.h>

void rules_fail(Model *m, const char *rule, uint32_t vcpu)
{
    if (!m->broken[0])
        g_snprintf(m->broken, sizeof(m->broken), "%s (vCPU %u)", rule, vcpu);
}

/* A rule that must hold. */
#define RULE(what, vcpu, text)                                                                     \
    do {                                                                                           \
        if (!(what))                                                                               \
            rules_fail(m, text, vcpu);                                                             \
    } while (0)

static bool is_open(const Slot *slot)
{
    return slot->request_kind != VCPUHP_REQUEST_NONE;
}

static bool is_enabled(const Slot *slot)
{
    return slot->status & SLOT_ENABLED;
}

static unsigned count_events(const Model *m, VcpuhpEventKind kind, uint32_t vcpu)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < m->fx.n_events; i++)
        n += m->fx.events[i].kind == kind && m->fx.events[i].vcpu == vcpu;
    return n;
}

/* --- Status and policy --- */

static void check_status(Model *m, uint32_t v)
{
    const Slot *slot = &m->slots.table[v];
    uint8_t status = slot->status;
    bool plug = slot->request_kind == VCPUHP_REQUEST_PLUG;

    RULE(status & SLOT_ENABLED || status == 0, v, "M1: a bit is set without enabled");
    RULE(!(status & SLOT_INSERT && status & SLOT_FW_REMOVE), v, "M2: insert with firmware remove");
    RULE(!(status & SLOT_REMOVE) || slot->request_kind == VCPUHP_REQUEST_UNPLUG, v,
         "M3: remove is raised without an unplug");
    RULE(!plug || slot->request_state != VCPUHP_REQUEST_HELD || !is_enabled(slot), v,
         "M4: a held plug has enabled the vCPU");
    RULE(!slot->unclosed || !is_enabled(slot), v, "M4: enabled before the eject is over");
    if (v == 0)
        RULE(status == SLOT_ENABLED && !is_open(slot), v, "M5: a fixed vCPU was touched");
}

/* Who may have changed the policy. */
static void check_policy(Model *m, uint32_t v)
{
    const Slot *before = &m->call.table[v], *after = &m->slots.table[v];
    const VcpuState *s = &m->s.vcpus[v];
    bool mine = m->call.vcpu == v;

    if (!is_enabled(before) && is_enabled(after))
        RULE(after->request_kind == VCPUHP_REQUEST_PLUG, v, "M6: enabled without a plug");
    if (!is_enabled(before) || is_enabled(after))
        return;
    switch (m->call.kind) {
    case CALL_EJECT:
    case CALL_FORCE:
        RULE(mine, v, "M7: another vCPU was disabled");
        break;
    case CALL_CANCEL:
    case CALL_UNPLUG:
    case CALL_EXPIRE:
        RULE(before->request_kind == VCPUHP_REQUEST_PLUG && !s->shown && !s->was_enabled, v,
             "M7: disabled by undoing what the guest may know of, or what did not enable it");
        break;
    default:
        rules_fail(m, "M7: disabled by neither _EJ0 nor force nor undo", v);
    }
}

/* --- Requests --- */

static unsigned count_ended(const Model *m, uint32_t request)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < m->fx.n_events; i++)
        n += m->fx.events[i].kind == VCPUHP_EVENT_ENDED && m->fx.events[i].request == request;
    return n;
}

static bool stays_open(const Model *m, uint32_t v)
{
    return is_open(&m->slots.table[v]) && m->slots.table[v].request == m->call.table[v].request;
}

static void check_ids(Model *m, uint32_t v)
{
    const Slot *before = &m->call.table[v], *after = &m->slots.table[v];
    bool asked = m->call.kind == CALL_PLUG || m->call.kind == CALL_UNPLUG;
    bool is_new = is_open(after) && !(is_open(before) && after->request == before->request);

    if (is_open(before))
        RULE(count_ended(m, before->request) == !stays_open(m, v), v,
             "M8: a request was lost, or ended while it is open, or ended twice");
    if (is_new)
        RULE(asked && m->call.ok && m->call.vcpu == v && m->call.id == after->request, v,
             "M8: a request that nobody made");
}

static void check_new_request(Model *m)
{
    const Slot *after = &m->slots.table[m->call.vcpu];
    bool open = is_open(after) && after->request == m->call.id;

    if ((m->call.kind != CALL_PLUG && m->call.kind != CALL_UNPLUG) || !m->call.ok)
        return;
    RULE(m->call.id != 0, m->call.vcpu, "M8: an id is 0");
    RULE(count_ended(m, m->call.id) == !open, m->call.vcpu,
         "M8: a new request neither is open nor has ended once");
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        RULE(!is_open(&m->call.table[i]) || m->call.table[i].request != m->call.id, i,
             "M8: an id was used twice");
}

static bool is_undone(const Model *m, uint32_t v)
{
    const Slot *after = &m->slots.table[v];

    return m->s.vcpus[v].was_enabled ? is_enabled(after) : after->status == 0;
}

static void check_plug_outcome(Model *m, uint32_t v, const VcpuhpEvent *event, bool until_on)
{
    const Slot *after = &m->slots.table[v];
    const VcpuState *s = &m->s.vcpus[v];

    switch (event->outcome) {
    case VCPUHP_OUTCOME_DONE:
        RULE(is_enabled(after), v, "M9: a plug is DONE, but the vCPU is disabled");
        RULE(!until_on || after->power == VCPUHP_POWER_ON, v, "M9: UNTIL_ON is DONE, but not on");
        break;
    case VCPUHP_OUTCOME_REFUSED:
        RULE(m->call.kind == CALL_EJECT ? !is_enabled(after)
                                        : is_enabled(after) && m->call.kind == CALL_OST,
             v, "M9: a plug is REFUSED by neither _EJ0 nor _OST");
        break;
    case VCPUHP_OUTCOME_TIMED_OUT:
        RULE(s->shown ? is_enabled(after) : is_undone(m, v), v,
             "M10: a plug timed out, and is neither undone nor kept");
        break;
    case VCPUHP_OUTCOME_CANCELLED:
        RULE(m->call.kind != CALL_CANCEL || is_undone(m, v), v,
             "M11: a cancelled plug has left something");
        break;
    }
}

static void check_unplug_outcome(Model *m, uint32_t v, const VcpuhpEvent *event)
{
    const Slot *after = &m->slots.table[v];

    if (event->outcome == VCPUHP_OUTCOME_DONE) {
        RULE(!is_enabled(after) && after->power == VCPUHP_POWER_OFF, v,
             "M12: an unplug is DONE, but the vCPU is enabled or runs");
        return;
    }
    RULE(is_enabled(after), v, "M13: an unplug failed, but the vCPU is disabled");
    RULE(!(after->status & SLOT_REMOVE), v, "M13: an unplug has ended, and is still asked for");
    if (event->outcome == VCPUHP_OUTCOME_REFUSED)
        RULE(m->call.kind == CALL_OST, v, "M13: an unplug is REFUSED without _OST");
}

/* Whose request it was, and whether its outcome is true now. */
static void check_outcome(Model *m, const VcpuhpEvent *event)
{
    uint32_t v = event->vcpu;
    const Slot *slot = &m->call.table[v];
    bool old = is_open(slot) && slot->request == event->request;
    VcpuhpRequestKind kind =
        m->call.kind == CALL_PLUG ? VCPUHP_REQUEST_PLUG : VCPUHP_REQUEST_UNPLUG;

    if (old)
        kind = slot->request_kind;
    else
        RULE(event->request == m->call.id && m->call.ok, v, "M8: ENDED of an unknown request");
    if (kind == VCPUHP_REQUEST_PLUG)
        check_plug_outcome(m, v, event,
                           old ? slot->until_on : (m->call.flags & VCPUHP_UNTIL_ON) != 0);
    else
        check_unplug_outcome(m, v, event);
    if (m->call.kind == CALL_OST && m->call.stale_answer)
        rules_fail(m, "M14: the answer to an earlier event has ended a request", v);
    if (m->call.kind == CALL_OST && kind == VCPUHP_REQUEST_PLUG && m->setup->aml &&
        event->outcome == VCPUHP_OUTCOME_DONE && !m->s.late && !m->s.forced)
        RULE(m->s.vcpus[v].registered, v, "M15: a plug is DONE, but Linux lacks the CPU");
}

static void check_cancel(Model *m)
{
    const Slot *slot = &m->call.table[m->call.vcpu];
    const VcpuState *s = &m->s.vcpus[m->call.vcpu];
    bool held = slot->request_state == VCPUHP_REQUEST_HELD;

    if (m->call.kind == CALL_CANCEL)
        RULE(m->call.ok == (held || (!s->shown && !s->was_enabled)), m->call.vcpu,
             "M11: a request can be cancelled exactly until the guest may know of it");
}

/* A request is shown by what the guest reads or does. */
static void update_shown(Model *m, uint32_t v)
{
    const Slot *before = &m->call.table[v], *after = &m->slots.table[v];
    VcpuState *s = &m->s.vcpus[v];
    uint8_t bit = after->request_kind == VCPUHP_REQUEST_PLUG ? SLOT_INSERT : SLOT_REMOVE;
    bool mine = m->call.vcpu == v, was_raised = before->status & bit;
    const Stops *stops = &m->slots.stops;
    bool is_reset = m->call.before.stops.resetting && !stops->resetting && !stops->reset_failed;

    if (!is_open(after))
        return;
    if (!stays_open(m, v) || !is_open(before)) {
        /* What an unplug in the middle of an eject asks for is under way. */
        s->shown = bit == SLOT_REMOVE && !is_enabled(after);
        s->was_enabled = bit == SLOT_INSERT && is_enabled(before);
        return;
    }
    if (after->request_state == VCPUHP_REQUEST_HELD)
        return;
    switch (m->call.kind) {
    case CALL_RESET:
        s->shown &= !is_reset || after->request_state != VCPUHP_REQUEST_RAISED;
        break;
    case CALL_STATUS:
    case CALL_EJECT:
    case CALL_FORCE:
        s->shown |= mine && m->call.ok;
        break;
    case CALL_FW_REMOVE:
        s->shown |= mine && bit == SLOT_INSERT;
        break;
    case CALL_ON:
        s->shown |= mine && m->call.on == ON_GRANTED;
        break;
    case CALL_ENABLED:
        s->shown |= bit == SLOT_INSERT && is_enabled(after);
        break;
    default:
        s->shown |= was_raised && !(after->status & bit);
    }
}

/* The request's own answer, which leaves it open; until it is raised again. */
static void update_answered(Model *m, uint32_t v)
{
    const Slot *slot = &m->slots.table[v];
    VcpuState *s = &m->s.vcpus[v];
    bool plug = slot->request_kind == VCPUHP_REQUEST_PLUG;
    bool own = m->call.kind == CALL_OST && m->fx.n_events && m->fx.events[0].request &&
               m->fx.events[0].vcpu == v;
    uint32_t status = own ? m->fx.events[0].ost_status : 0;
    bool success = status == VCPUHP_OST_SUCCESS;

    if (own && stays_open(m, v) && is_enabled(slot))
        s->answered |= plug || !success;
    if (!is_open(slot) || !stays_open(m, v) || slot->status & (plug ? SLOT_INSERT : SLOT_REMOVE))
        s->answered = 0;
}

static void check_seen(Model *m, uint32_t v)
{
    const Slot *before = &m->call.table[v];
    bool seen_before_ended = true;

    for (uint32_t i = 0; i < m->fx.n_events; i++) {
        const VcpuhpEvent *event = &m->fx.events[i];

        if (event->vcpu != v)
            continue;
        if (event->kind == VCPUHP_EVENT_ENDED)
            seen_before_ended = false;
        if (event->kind != VCPUHP_EVENT_SEEN)
            continue;
        RULE(seen_before_ended, v, "M16: SEEN after ENDED");
        RULE(is_open(before) && before->request == event->request &&
                 before->request_state == VCPUHP_REQUEST_RAISED,
             v, "M16: SEEN of a request that is not raised");
    }
    RULE(count_events(m, VCPUHP_EVENT_SEEN, v) <= 1, v, "M16: SEEN twice");
}

/* --- Timers --- */

static void check_timers(Model *m, uint32_t v)
{
    const Slot *slot = &m->slots.table[v];
    const int64_t timers[] = {slot->deadline, slot->retry_at, slot->eject_until};
    bool unplug = slot->request_kind == VCPUHP_REQUEST_UNPLUG;
    bool seen = is_open(slot) && slot->request_state == VCPUHP_REQUEST_SEEN;
    bool raised = slot->status & (unplug ? SLOT_REMOVE : SLOT_INSERT);
    bool answered = m->s.vcpus[v].answered;
    bool void_plug = !unplug && slot->status & SLOT_FW_REMOVE;

    for (unsigned i = 0; i < G_N_ELEMENTS(timers); i++)
        RULE(!timers[i] || (m->slots.wake && m->slots.wake <= timers[i]), v,
             "M17: the wake-up is later than a timer");
    RULE(!slot->deadline || is_open(slot), v, "M18: a timeout without a request");
    RULE(!slot->deadline || !unplug || is_enabled(slot), v,
         "M18: an unplug can time out after _EJ0");
    RULE(!slot->retry_at || (seen && is_enabled(slot)), v, "M18: a retry without a taken request");
    RULE(!slot->retry_at || !answered, v, "M18: a retry of what is in progress");
    if (m->setup->retry_ms && seen && is_enabled(slot) && !answered && !raised && !void_plug)
        RULE(slot->retry_at, v, "M19: a taken request is not raised again");
    if (is_open(slot) && slot->request_state == VCPUHP_REQUEST_HELD)
        RULE(slot->eject_until || slot->leaving, v, "M20: nothing ends the hold of a plug");
    if (slot->unclosed || (slot->leaving && !slot->park))
        RULE(slot->eject_until, v, "M20: nothing limits an eject");
}

/* --- Power --- */

static void check_power(Model *m, uint32_t v)
{
    const Slot *before = &m->call.table[v], *after = &m->slots.table[v];
    VcpuState *s = &m->s.vcpus[v];
    unsigned gone =
        count_events(m, VCPUHP_EVENT_EJECTED, v) + count_events(m, VCPUHP_EVENT_FORCED, v);
    bool removed = is_enabled(before) && !is_enabled(after) &&
                   (m->call.kind == CALL_EJECT || m->call.kind == CALL_FORCE);
    bool has_left = (before->leaving || removed) && after->power == VCPUHP_POWER_OFF;

    RULE((after->power == VCPUHP_POWER_OFF) == (s->thread == THREAD_NONE), v,
         "M21: the power state and the thread differ");
    if (before->power != VCPUHP_POWER_ON && after->power == VCPUHP_POWER_ON)
        RULE(is_enabled(before), v, "M22: a disabled vCPU was entered");
    if (before->power == VCPUHP_POWER_OFF && after->power != VCPUHP_POWER_OFF)
        RULE(is_enabled(before), v, "M22: CPU_ON of a disabled vCPU was granted");
    RULE(after->leaving == (!is_enabled(after) && after->power != VCPUHP_POWER_OFF), v,
         "M23: disabled and running, but not leaving");
    RULE(gone == has_left, v, "M23: EJECTED or FORCED is missing or too much");
    s->overdue |= m->call.kind == CALL_FORCE && m->call.ok && m->call.vcpu == v;
    s->overdue |= m->call.kind == CALL_EXPIRE && before->leaving && !after->eject_until;
    if (gone)
        RULE(count_events(m, VCPUHP_EVENT_FORCED, v) == s->overdue, v, "M23: FORCED is not true");
    s->overdue &= after->leaving;
    RULE(!s->overdue || after->park, v, "M24: a vCPU that must leave was not asked to park");
    RULE(!after->park || s->thread != THREAD_RUNNING || s->kicked, v, "M24: asked without a kick");
    RULE((count_events(m, VCPUHP_EVENT_DISABLED, v) == 1) ==
             (m->call.kind == CALL_EJECT && is_enabled(before) && !is_enabled(after)),
         v, "M23: DISABLED is not true");
    RULE((count_events(m, VCPUHP_EVENT_ON, v) == 1) ==
             (before->power == VCPUHP_POWER_ON_PENDING && after->power == VCPUHP_POWER_ON),
         v, "M21: ON is not true");
    RULE((count_events(m, VCPUHP_EVENT_OFF, v) == 1) ==
             (before->power == VCPUHP_POWER_ON && after->power == VCPUHP_POWER_OFF),
         v, "M21: OFF is not true");
}

/* --- Stops --- */

static void check_stops(Model *m)
{
    unsigned stopped = count_events(m, VCPUHP_EVENT_STOPPED, VCPUHP_NO_VCPU);
    const Stops *stops = &m->slots.stops;
    bool ready = !m->s.due && !stops->resetting && !stops->reset_failed;

    RULE(stopped <= m->s.owed, 0, "M25: STOPPED without a stop");
    if (stopped) {
        RULE(!m->slots.n_running, 0, "M25: STOPPED while a vCPU runs");
        m->s.owed = 0;
    }
    RULE(!m->s.owed || m->slots.n_running, 0, "M25: STOPPED is missing");
    if (m->s.owed)
        for (uint32_t i = 0; i < m->config.n_vcpus; i++)
            RULE(m->slots.table[i].power == VCPUHP_POWER_OFF || m->slots.table[i].park, i,
                 "M25: a vCPU of a stopped machine was not asked to park");
    RULE(slots_can_start(&m->slots) == ready, 0, "M26: whether the machine may start");
    if (m->call.kind == CALL_ON && m->call.on == ON_GRANTED)
        RULE(ready, m->call.vcpu, "M26: a vCPU was started while a stop is open");
}

/* --- Effects --- */

static void check_sums(Model *m)
{
    const Slots *slots = &m->slots;
    uint64_t enabled = 0, insert = 0, remove = 0, fw_remove = 0;
    uint32_t n_running = 0;

    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        uint8_t status = slots->table[i].status;

        enabled |= (uint64_t) !!(status & SLOT_ENABLED) << i;
        insert |= (uint64_t) !!(status & SLOT_INSERT) << i;
        remove |= (uint64_t) !!(status & SLOT_REMOVE) << i;
        fw_remove |= (uint64_t) !!(status & SLOT_FW_REMOVE) << i;
        n_running += slots->table[i].power != VCPUHP_POWER_OFF;
        RULE(!slot_in_use(&slots->table[i]) || slots->in_use[0] >> i & 1, i,
             "M27: a slot is in use and has no bit");
    }
    RULE(slots->enabled[0] == enabled && slots->insert[0] == insert && slots->remove[0] == remove &&
             slots->fw_remove[0] == fw_remove,
         0, "M27: the bitmaps and the status bytes differ");
    RULE(slots->n_raised ==
             (uint32_t)__builtin_popcountll(insert) + (uint32_t)__builtin_popcountll(remove),
         0, "M27: the number of raised bits");
    RULE(slots->n_running == n_running, 0, "M27: the number of running vCPUs");
}

static void check_effects(Model *m)
{
    const Slots *before = &m->call.before;
    bool level_changed = (before->n_raised > 0) != (m->slots.n_raised > 0);
    uint32_t most =
        4 * (m->call.kind == CALL_EVENT || m->call.kind == CALL_EXPIRE ? m->config.n_vcpus : 1);

    RULE(!level_changed || m->fx.irq, 0, "M28: the line's level has changed unnoticed");
    RULE(before->wake == m->slots.wake || m->fx.timer, 0, "M17: the timer was not set");
    RULE(m->fx.n_events <= most, 0, "M29: too many events");
    RULE(m->slots.last_event == before->last_event + m->fx.n_events, 0,
         "M29: a sequence number without an event");
    for (uint32_t i = 0; i < m->fx.n_events; i++)
        RULE(m->fx.events[i].sequence == before->last_event + i + 1, 0, "M29: the order of events");
    RULE(m->fx.off < 0 || m->slots.table[m->fx.off].power != VCPUHP_POWER_OFF, 0,
         "M21: a vCPU that is off is turned off");
}

static void check_failure(Model *m)
{
    const Slots *before = &m->call.before, *after = &m->slots;
    bool same = before->wake == after->wake && before->last_request == after->last_request &&
                memcmp(&before->stops, &after->stops, sizeof(Stops)) == 0 &&
                memcmp(m->call.table, after->table, m->config.n_vcpus * sizeof(Slot)) == 0;

    if (m->call.ok || m->call.kind == CALL_ENTER)
        return;
    RULE(same && !m->fx.n_events && !m->fx.kick && !m->fx.irq && !m->fx.timer, m->call.vcpu,
         "M30: a call that failed has changed something");
}

/* --- _OST --- */

static void check_ost(Model *m)
{
    const VcpuhpEvent *event = m->fx.events;
    const Slot *slot = &m->call.table[m->call.vcpu];

    if (m->call.kind != CALL_OST)
        return;
    RULE(m->fx.n_events && event->kind == VCPUHP_EVENT_OST, m->call.vcpu, "M31: _OST is not told");
    RULE(!event->request || (is_open(slot) && event->request == slot->request), m->call.vcpu,
         "M31: _OST of an unknown request");
    if (m->call.stale_answer)
        RULE(!event->request, m->call.vcpu, "M14: an earlier event's answer bears the new id");
}

void rules_check(Model *m)
{
    check_new_request(m);
    check_cancel(m);
    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        update_answered(m, i);
        check_status(m, i);
        check_policy(m, i);
        check_ids(m, i);
        check_seen(m, i);
        check_timers(m, i);
        check_power(m, i);
    }
    for (uint32_t i = 0; i < m->fx.n_events; i++)
        if (m->fx.events[i].kind == VCPUHP_EVENT_ENDED)
            check_outcome(m, &m->fx.events[i]);
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        update_shown(m, i);
    check_stops(m);
    check_sums(m);
    check_effects(m);
    check_failure(m);
    check_ost(m);
    if (m->setup->aml)
        rules_linux(m);
}

/* An event is its request's own until the request ends. */
static void disown(Model *m)
{
    for (uint32_t i = 0; i < m->s.n_queue; i++) {
        Work *work = &m->s.queue[i];
        VcpuhpRequestKind kind =
            work->kind == WORK_DEVICE_CHECK ? VCPUHP_REQUEST_PLUG : VCPUHP_REQUEST_UNPLUG;

        work->own &= stays_open(m, work->vcpu) && is_open(&m->call.table[work->vcpu]) &&
                     m->slots.table[work->vcpu].request_kind == kind;
    }
}

void rules_linux(Model *m)
{
    disown(m);
    if (!m->s.booted || !m->setup->aml->copies_status || m->s.forced)
        return;
    for (uint32_t i = 1; i < m->config.n_vcpus; i++)
        if (!(m->slots.table[i].status & SLOT_INSERT))
            RULE(m->s.vcpus[i].stab == is_enabled(&m->slots.table[i]) ||
                     m->call.kind == CALL_EVENT || m->call.kind == CALL_EJECT,
                 i, "M32: _STA and the policy differ");
}
