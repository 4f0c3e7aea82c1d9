/* SPDX-License-Identifier: BSD-3-Clause */
/* What the VMM does: requests, threads of vCPUs, timers, stop and reset. */
#include "model.h"

#include <string.h>

static bool plug(Model *m, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms)
{
    model_begin(m, CALL_PLUG, vcpu);
    m->call.flags = flags;
    m->call.ok = slots_plug(&m->slots, vcpu, flags, timeout_ms, NOW, &m->call.id, &m->fx, NULL);
    model_end(m);
    return true;
}

static bool act_plug(Model *m, uint32_t vcpu)
{
    return plug(m, vcpu, 0, 0);
}

static bool act_plug_timeout(Model *m, uint32_t vcpu)
{
    return plug(m, vcpu, 0, TIMEOUT_MS);
}

static bool act_plug_until_on(Model *m, uint32_t vcpu)
{
    return plug(m, vcpu, VCPUHP_UNTIL_ON, 0);
}

static bool unplug(Model *m, uint32_t vcpu, uint32_t timeout_ms)
{
    model_begin(m, CALL_UNPLUG, vcpu);
    m->call.ok = slots_unplug(&m->slots, vcpu, 0, timeout_ms, NOW, &m->call.id, &m->fx, NULL);
    model_end(m);
    return true;
}

static bool act_unplug(Model *m, uint32_t vcpu)
{
    return unplug(m, vcpu, 0);
}

static bool act_unplug_timeout(Model *m, uint32_t vcpu)
{
    return unplug(m, vcpu, TIMEOUT_MS);
}

static bool act_cancel(Model *m, uint32_t vcpu)
{
    if (m->slots.table[vcpu].request_kind == VCPUHP_REQUEST_NONE)
        return false;
    model_begin(m, CALL_CANCEL, vcpu);
    m->call.ok = slots_cancel(&m->slots, m->slots.table[vcpu].request, &m->fx, NULL);
    model_end(m);
    return true;
}

static bool act_repeat(Model *m, uint32_t vcpu)
{
    if (m->slots.table[vcpu].request_kind == VCPUHP_REQUEST_NONE)
        return false;
    model_begin(m, CALL_REPEAT, vcpu);
    m->call.ok = slots_repeat(&m->slots, m->slots.table[vcpu].request, &m->fx, NULL);
    model_end(m);
    return true;
}

static bool act_force(Model *m, uint32_t vcpu)
{
    model_begin(m, CALL_FORCE, vcpu);
    m->call.ok = slots_force(&m->slots, vcpu, &m->fx, NULL);
    m->s.forced |= m->call.ok;
    model_end(m);
    return true;
}

/* --- Timers --- */

enum {
    DEADLINE = 1 << 2,
    RETRY = 1 << 3,
    EJECT = 1 << 4,
    ALL = DEADLINE | RETRY | EJECT,
};

/* Bits 0 and 1: vCPU. Timers that are not armed do not fire. */
static bool act_expire(Model *m, uint32_t arg)
{
    Slot *slot = &m->slots.table[arg & 3];

    if (!m->slots.wake || (arg & DEADLINE && !slot->deadline) || (arg & RETRY && !slot->retry_at) ||
        (arg & EJECT && !slot->eject_until))
        return false;
    slot->deadline = arg & DEADLINE ? NOW : slot->deadline;
    slot->retry_at = arg & RETRY ? NOW : slot->retry_at;
    slot->eject_until = arg & EJECT ? NOW : slot->eject_until;
    m->s.late |= !!(arg & EJECT);
    model_begin(m, CALL_EXPIRE, arg & 3);
    slots_expire(&m->slots, NOW, &m->fx);
    model_end(m);
    return true;
}

/* Every timer of every vCPU at once. */
static bool act_expire_all(Model *m, uint32_t arg)
{
    (void)arg;
    if (!m->slots.wake)
        return false;
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        m->s.late |= m->slots.table[i].eject_until != 0;
    model_begin(m, CALL_EXPIRE, 0);
    slots_expire(&m->slots, FUTURE, &m->fx);
    model_end(m);
    return true;
}

/* --- Threads --- */

static bool act_enter(Model *m, uint32_t vcpu)
{
    VcpuState *vcpu_state = &m->s.vcpus[vcpu];

    if (vcpu_state->thread != THREAD_STARTING)
        return false;
    model_begin(m, CALL_ENTER, vcpu);
    m->call.ok = slots_enter(&m->slots, vcpu, &m->fx);
    if (m->call.ok)
        vcpu_state->thread = THREAD_RUNNING;
    model_end(m);
    return true;
}

static bool act_start_fails(Model *m, uint32_t vcpu)
{
    if (m->s.vcpus[vcpu].thread != THREAD_STARTING)
        return false;
    m->s.vcpus[vcpu].thread = THREAD_PARKING;
    return true;
}

/* A kick has arrived: context.c asks the slot whether to park. */
static bool act_kicked(Model *m, uint32_t vcpu)
{
    VcpuState *vcpu_state = &m->s.vcpus[vcpu];

    if (vcpu_state->thread != THREAD_RUNNING || !vcpu_state->kicked)
        return false;
    vcpu_state->kicked = 0;
    if (m->slots.table[vcpu].park)
        vcpu_state->thread = THREAD_PARKING;
    return true;
}

static bool act_off(Model *m, uint32_t vcpu)
{
    VcpuState *vcpu_state = &m->s.vcpus[vcpu];

    if (vcpu_state->thread != THREAD_PARKING)
        return false;
    model_begin(m, CALL_OFF, vcpu);
    slots_off(&m->slots, vcpu, &m->fx);
    vcpu_state->thread = THREAD_NONE;
    vcpu_state->kicked = vcpu_state->dying = 0;
    model_end(m);
    return true;
}

/* --- The machine --- */

/* A guest that begins anew: nothing of the last one is left. */
static void forget_guest(Model *m)
{
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        m->s.vcpus[i].registered = m->s.vcpus[i].stab = m->s.vcpus[i].dying = 0;
    m->s.booted = m->s.n_queue = m->s.stage = 0;
    memset(m->s.queue, 0, sizeof(m->s.queue));
}

static bool act_start(Model *m, uint32_t arg)
{
    (void)arg;
    model_begin(m, CALL_ON, 0);
    m->call.on = slots_on(&m->slots, 0, &(Entry){.address = 0x1000}, &m->fx);
    if (m->call.on == ON_GRANTED)
        forget_guest(m);
    model_end(m);
    return true;
}

static bool act_stop(Model *m, uint32_t arg)
{
    (void)arg;
    model_begin(m, CALL_STOP, 0);
    if (!m->s.owed && m->s.due < 2)
        m->s.due++;
    m->s.owed = 1;
    slots_stop(&m->slots, &m->fx);
    model_end(m);
    return true;
}

static bool act_reset_begin(Model *m, uint32_t arg)
{
    (void)arg;
    model_begin(m, CALL_RESET, 0);
    m->call.ok = slots_reset_begin(&m->slots, NULL);
    if (m->call.ok)
        m->s.ends_due = m->s.due > 0;
    model_end(m);
    return true;
}

static bool act_reset_end(Model *m, uint32_t done)
{
    if (!m->slots.stops.resetting)
        return false;
    model_begin(m, CALL_RESET, 0);
    slots_reset_end(&m->slots, done, &m->fx);
    if (done && m->s.ends_due)
        m->s.due--;
    m->s.ends_due = 0;
    if (done)
        forget_guest(m);
    model_end(m);
    return true;
}

static void add_timers(Model *m, uint32_t vcpu)
{
    model_add(m, &(Action){act_expire, vcpu, true, "nothing is due"});
    model_add(m, &(Action){act_expire, vcpu | DEADLINE, true, "timeout"});
    model_add(m, &(Action){act_expire, vcpu | RETRY, true, "retry"});
    model_add(m, &(Action){act_expire, vcpu | EJECT, true, "end of eject"});
    model_add(m, &(Action){act_expire, vcpu | DEADLINE | RETRY, true, "timeout and retry"});
    model_add(m, &(Action){act_expire, vcpu | EJECT | DEADLINE, true, "end of eject, timeout"});
}

void vmm_add_actions(Model *m)
{
    uint32_t features = m->setup->features;

    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        model_add(m, &(Action){act_enter, i, true, "enter"});
        model_add(m, &(Action){act_start_fails, i, true, "vcpu_start fails"});
        model_add(m, &(Action){act_kicked, i, true, "kick arrives"});
        model_add(m, &(Action){act_off, i, true, "parked"});
        model_add(m, &(Action){act_plug, i, false, "plug"});
        model_add(m, &(Action){act_plug_until_on, i, false, "plug, until on"});
        model_add(m, &(Action){act_unplug, i, false, "unplug"});
        model_add(m, &(Action){act_cancel, i, false, "cancel"});
        model_add(m, &(Action){act_repeat, i, false, "repeat"});
        if (features & TIMEOUTS) {
            model_add(m, &(Action){act_plug_timeout, i, false, "plug, timeout"});
            model_add(m, &(Action){act_unplug_timeout, i, false, "unplug, timeout"});
        }
        if (features & FORCE)
            model_add(m, &(Action){act_force, i, false, "force"});
        add_timers(m, i);
    }
    model_add(m, &(Action){act_expire_all, 0, true, "all timers"});
    model_add(m, &(Action){act_start, 0, true, "start"});
    if (features & STOPS) {
        model_add(m, &(Action){act_stop, 0, false, "stop"});
        model_add(m, &(Action){act_reset_begin, 0, true, "reset begins"});
        model_add(m, &(Action){act_reset_end, true, true, "reset ends"});
        model_add(m, &(Action){act_reset_end, false, false, "reset fails"});
    }
}
