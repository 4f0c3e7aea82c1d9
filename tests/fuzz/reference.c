/* SPDX-License-Identifier: BSD-3-Clause */
#include "reference.h"

#define PLUG   VCPUHP_REQUEST_PLUG
#define UNPLUG VCPUHP_REQUEST_UNPLUG

void ref_init(Ref *ref)
{
    *ref = (Ref){.now = 1};
    ref->vcpus[0].enabled = ref->vcpus[1].enabled = true;
}

static void end(Ref *ref, RefVcpu *v, VcpuhpOutcome outcome)
{
    ref->ended[ref->n_ended++] = (RefEnded){v->id, outcome};
    v->kind = VCPUHP_REQUEST_NONE;
    v->timeout = v->retry = 0;
}

static void begin(Ref *ref, RefVcpu *v, VcpuhpRequestKind kind, uint32_t timeout_ms)
{
    v->kind = kind;
    v->id = ++ref->last_id;
    v->was_enabled = kind == PLUG && v->enabled;
    v->until_on = v->known = false;
    v->older = kind == PLUG ? v->inserts : v->removes;
    v->timeout = timeout_ms ? ref->now + 1000 * (int64_t)timeout_ms : 0;
    v->retry = 0;
}

static void notify(RefVcpu *v)
{
    v->state = VCPUHP_REQUEST_SEEN;
    if (v->kind == PLUG && v->fw_remove)
        return;
    v->state = VCPUHP_REQUEST_RAISED;
    v->known = false;
    v->retry = 0;
    if (v->kind == PLUG)
        v->enabled = v->insert = true;
    else
        v->remove = true;
}

static void raise_again(RefVcpu *v)
{
    v->retry = 0;
    if (!v->kind || v->state != VCPUHP_REQUEST_SEEN || !v->enabled)
        return;
    if (v->kind == UNPLUG)
        v->remove = true;
    else if (!v->fw_remove)
        v->insert = true;
}

static bool can_undo(const RefVcpu *v)
{
    bool unseen = v->state == VCPUHP_REQUEST_RAISED && !v->known && v->enabled;

    return v->state == VCPUHP_REQUEST_HELD || (unseen && !v->was_enabled);
}

static void undo(Ref *ref, RefVcpu *v, VcpuhpOutcome outcome)
{
    if (v->state == VCPUHP_REQUEST_RAISED && v->kind == PLUG)
        v->enabled = v->insert = false;
    if (v->state == VCPUHP_REQUEST_RAISED && v->kind == UNPLUG)
        v->remove = false;
    end(ref, v, outcome);
}

/* A plug may be held. */
static void release(RefVcpu *v)
{
    if (v->unclosed || v->leaving || (v->eject_end && v->removes))
        return;
    v->eject_end = 0;
    if (v->kind == PLUG && v->state == VCPUHP_REQUEST_HELD)
        notify(v);
}

static void left(Ref *ref, RefVcpu *v)
{
    v->leaving = false;
    if (v->kind == UNPLUG)
        end(ref, v, VCPUHP_OUTCOME_DONE);
    release(v);
}

static void done_at_once(Ref *ref)
{
    ref->ended[ref->n_ended++] = (RefEnded){++ref->last_id, VCPUHP_OUTCOME_DONE};
}

bool ref_plug(Ref *ref, uint32_t vcpu, bool until_on, uint32_t timeout_ms)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (v->kind == UNPLUG && can_undo(v)) {
        undo(ref, v, VCPUHP_OUTCOME_CANCELLED);
        if (!until_on || v->power == VCPUHP_POWER_ON) {
            done_at_once(ref);
        } else {
            begin(ref, v, PLUG, timeout_ms);
            v->until_on = true;
            notify(v);
        }
        return true;
    }
    if (v->kind || v->enabled)
        return false;
    begin(ref, v, PLUG, timeout_ms);
    v->until_on = until_on;
    v->state = VCPUHP_REQUEST_HELD;
    release(v);
    return true;
}

bool ref_unplug(Ref *ref, uint32_t vcpu, uint32_t timeout_ms)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (!vcpu || v->kind == UNPLUG || (!v->kind && !v->enabled))
        return false;
    if (v->kind == PLUG && can_undo(v)) {
        undo(ref, v, VCPUHP_OUTCOME_CANCELLED);
        if (v->leaving) {
            begin(ref, v, UNPLUG, 0);
            v->state = VCPUHP_REQUEST_SEEN;
        } else {
            done_at_once(ref);
        }
        return true;
    }
    if (v->kind == PLUG)
        end(ref, v, VCPUHP_OUTCOME_CANCELLED);
    begin(ref, v, UNPLUG, timeout_ms);
    notify(v);
    return true;
}

static RefVcpu *find(Ref *ref, uint32_t id)
{
    for (unsigned i = 0; i < N_VCPUS; i++)
        if (ref->vcpus[i].kind && ref->vcpus[i].id == id)
            return &ref->vcpus[i];
    return NULL;
}

bool ref_cancel(Ref *ref, uint32_t id)
{
    RefVcpu *v = find(ref, id);

    if (!v || !can_undo(v))
        return false;
    undo(ref, v, VCPUHP_OUTCOME_CANCELLED);
    return true;
}

bool ref_repeat(Ref *ref, uint32_t id)
{
    RefVcpu *v = find(ref, id);

    if (v)
        raise_again(v);
    return v != NULL;
}

static void disable(Ref *ref, RefVcpu *v, VcpuhpOutcome of_a_plug)
{
    v->enabled = v->insert = v->remove = v->fw_remove = false;
    if (v->kind == PLUG)
        end(ref, v, of_a_plug);
    v->timeout = v->retry = 0;
    v->leaving = true;
    if (v->power == VCPUHP_POWER_OFF)
        left(ref, v);
}

bool ref_force(Ref *ref, uint32_t vcpu)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (!vcpu || (!v->enabled && !v->leaving))
        return false;
    v->called_off = true;
    disable(ref, v, VCPUHP_OUTCOME_CANCELLED);
    return true;
}

void ref_time(Ref *ref)
{
    for (RefVcpu *v = ref->vcpus; v < ref->vcpus + N_VCPUS; v++) {
        if (v->eject_end && v->eject_end <= ref->now) {
            v->eject_end = 0;
            v->unclosed = false;
            v->called_off |= v->leaving;
            release(v);
        }
        if (v->timeout && v->timeout <= ref->now) {
            if (can_undo(v)) {
                undo(ref, v, VCPUHP_OUTCOME_TIMED_OUT);
            } else {
                v->remove = false;
                end(ref, v, VCPUHP_OUTCOME_TIMED_OUT);
            }
        }
        if (v->retry && v->retry <= ref->now)
            raise_again(v);
    }
}

void ref_read_status(Ref *ref, uint32_t vcpu)
{
    ref->vcpus[vcpu].known = true;
}

/* A new OSPM: the one before it answers nothing any more. */
static void new_ospm(RefVcpu *v)
{
    v->inserts = v->removes = v->older = 0;
    v->unclosed = false;
    release(v);
}

void ref_read_enabled(Ref *ref)
{
    for (RefVcpu *v = ref->vcpus; v < ref->vcpus + N_VCPUS; v++) {
        new_ospm(v);
        raise_again(v);
        v->known |= v->kind == PLUG && v->enabled;
    }
}

static void seen(Ref *ref, RefVcpu *v, VcpuhpRequestKind kind)
{
    if (v->kind != kind)
        return;
    v->state = VCPUHP_REQUEST_SEEN;
    v->retry = ref->now + RETRY_US;
}

void ref_take(Ref *ref, uint32_t vcpu, bool insert, bool remove)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (insert && v->insert) {
        v->insert = false;
        v->inserts++;
        seen(ref, v, PLUG);
    }
    if (remove && v->remove) {
        v->remove = false;
        v->removes++;
        seen(ref, v, UNPLUG);
    }
}

/* With four vCPUs, one read takes all. */
void ref_take_four(Ref *ref)
{
    for (unsigned i = 0; i < N_VCPUS; i++)
        ref_take(ref, i, true, true);
}

void ref_fw_remove(Ref *ref, uint32_t vcpu)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (!vcpu || !v->enabled)
        return;
    v->fw_remove = true;
    if (v->insert)
        seen(ref, v, PLUG);
    v->insert = false;
}

void ref_eject(Ref *ref, uint32_t vcpu)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (!vcpu)
        return;
    v->unclosed = true;
    if (!v->eject_end)
        v->eject_end = ref->now + EJECT_US;
    if (v->enabled)
        disable(ref, v, VCPUHP_OUTCOME_REFUSED);
}

/* Whether the answer is the open request's. */
static bool answer(RefVcpu *v, VcpuhpRequestKind kind, unsigned *taken, bool last)
{
    bool own = v->kind == kind && *taken > 0 && v->older == 0;

    if (last && *taken > 0) {
        --*taken;
        if (v->kind == kind && v->older)
            v->older--;
    }
    return own;
}

static void insert_ost(Ref *ref, RefVcpu *v, uint32_t status)
{
    if (!answer(v, PLUG, &v->inserts, status != 0x80))
        return;
    v->retry = 0;
    v->insert = false;
    if (status != 0x80 && (status || !v->until_on))
        end(ref, v, status ? VCPUHP_OUTCOME_REFUSED : VCPUHP_OUTCOME_DONE);
}

static void eject_ost(Ref *ref, RefVcpu *v, uint32_t status)
{
    bool own = answer(v, UNPLUG, &v->removes, status != 0x84) && v->enabled && status;

    if (status != 0x84) {
        v->unclosed = false;
        release(v);
    }
    if (!own)
        return;
    v->retry = 0;
    v->remove = false;
    if (status != 0x84)
        end(ref, v, VCPUHP_OUTCOME_REFUSED);
}

void ref_ost(Ref *ref, uint32_t vcpu, uint32_t source, uint32_t status)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (source == 0 || source == 1 || source == 0x200) {
        insert_ost(ref, v, status);
    } else if (source == 3) {
        eject_ost(ref, v, status);
    } else if (source == 0x103 && status != 0x84) {
        v->unclosed = false;
        release(v);
    }
}

/* --- Power --- */

bool ref_on(Ref *ref, uint32_t vcpu)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (!v->enabled || v->power != VCPUHP_POWER_OFF || ref->stops)
        return false;
    v->power = VCPUHP_POWER_ON_PENDING;
    v->known = true;
    v->called_off = false;
    return true;
}

static bool all_off(const Ref *ref)
{
    for (unsigned i = 0; i < N_VCPUS; i++)
        if (ref->vcpus[i].power != VCPUHP_POWER_OFF)
            return false;
    return true;
}

bool ref_enter(Ref *ref, uint32_t vcpu)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    if (v->power != VCPUHP_POWER_ON_PENDING)
        return false;
    if (v->called_off || !v->enabled) {
        ref_off(ref, vcpu);
        return false;
    }
    v->power = VCPUHP_POWER_ON;
    if (v->kind == PLUG)
        end(ref, v, VCPUHP_OUTCOME_DONE);
    return true;
}

void ref_off(Ref *ref, uint32_t vcpu)
{
    RefVcpu *v = &ref->vcpus[vcpu];

    v->power = VCPUHP_POWER_OFF;
    if (v->leaving)
        left(ref, v);
    ref->told |= all_off(ref);
}

void ref_stop(Ref *ref)
{
    for (unsigned i = 0; i < N_VCPUS; i++)
        ref->vcpus[i].called_off |= ref->vcpus[i].power != VCPUHP_POWER_OFF;
    if (!ref->stops || ref->told)
        ref->stops = MIN(ref->stops + 1, 2);
    ref->told = all_off(ref);
}

bool ref_reset(Ref *ref)
{
    if (!all_off(ref))
        return false;
    ref->stops = MAX(ref->stops - 1, 0);
    for (RefVcpu *v = ref->vcpus; v < ref->vcpus + N_VCPUS; v++) {
        new_ospm(v);
        if (v->kind && v->state != VCPUHP_REQUEST_HELD)
            notify(v);
    }
    return true;
}
