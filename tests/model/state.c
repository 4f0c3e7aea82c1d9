/* SPDX-License-Identifier: BSD-3-Clause */
/* The code under test is put into a state, called, and its state taken again. */
#include "model.h"

#include <string.h>

static const uint32_t ost_sources[] = {0, 1, 3, 0x103};

void model_init(Model *m, const Setup *setup)
{
    VcpuhpConfig config;

    *m = (Model){.setup = setup, .actions = g_array_new(FALSE, FALSE, sizeof(Action))};
    vcpuhp_config_init(&config, setup->n_vcpus, 1);
    config.retry_ms = setup->retry_ms;
    config.eject_timeout_ms = EJECT_MS;
    g_assert_true(config_init(&m->config, &config, NULL));
    slots_init(&m->slots, &m->config);
    regs_init(&m->regs, &m->slots, &m->counters);
    model_pack(m);
    vmm_add_actions(m);
    if (setup->aml)
        linux_add_actions(m);
    else
        hostile_add_actions(m);
}

void model_clear(Model *m)
{
    slots_clear(&m->slots);
    config_clear(&m->config);
    g_array_unref(m->actions);
}

void model_add(Model *m, const Action *action)
{
    g_array_append_val(m->actions, *action);
}

/* What has no meaning without a request gets values that a new request must not keep. */
static void poison(Slot *slot)
{
    slot->until_on = slot->was_enabled = slot->observed = true;
    slot->stale = 3;
    slot->request = 0xdead;
    slot->request_state = VCPUHP_REQUEST_SEEN;
}

static void unpack_slot(Model *m, uint32_t vcpu)
{
    const VcpuState *from = &m->s.vcpus[vcpu];
    Slot *slot = &m->slots.table[vcpu];

    *slot = (Slot){
        .deadline = from->deadline ? FUTURE : 0,
        .retry_at = from->retry ? FUTURE : 0,
        .eject_until = from->eject ? FUTURE : 0,
        .request = vcpu + 1,
        .inserts_taken = from->inserts_taken,
        .removes_taken = from->removes_taken,
        .stale = from->stale,
        .status = from->status,
        .power = from->power,
        .request_kind = from->kind,
        .request_state = from->request_state,
        .until_on = from->until_on,
        .was_enabled = from->keeps_enabled,
        .observed = from->observed,
        .unclosed = from->unclosed,
        .leaving = from->leaving,
        .forced = from->forced,
        .park = from->park,
    };
    if (slot->request_kind == VCPUHP_REQUEST_NONE)
        poison(slot);
}

static void unpack_bits(Slots *slots, uint32_t vcpu)
{
    uint8_t status = slots->table[vcpu].status;
    uint64_t bit = 1ULL << vcpu;

    slots->enabled[0] |= status & SLOT_ENABLED ? bit : 0;
    slots->insert[0] |= status & SLOT_INSERT ? bit : 0;
    slots->remove[0] |= status & SLOT_REMOVE ? bit : 0;
    slots->fw_remove[0] |= status & SLOT_FW_REMOVE ? bit : 0;
    slots->in_use[0] |= slot_in_use(&slots->table[vcpu]) ? bit : 0;
    slots->n_raised += !!(status & SLOT_INSERT) + !!(status & SLOT_REMOVE);
    slots->n_running += slots->table[vcpu].power != VCPUHP_POWER_OFF;
}

void model_unpack(Model *m)
{
    Slots *slots = &m->slots;

    slots->enabled[0] = slots->insert[0] = slots->remove[0] = slots->fw_remove[0] = 0;
    slots->in_use[0] = 0;
    slots->n_raised = slots->n_running = 0;
    slots->wake = m->s.wake ? FUTURE : 0;
    slots->last_event = slots->errors = 0;
    slots->last_request = 100;
    slots->stops =
        (Stops){m->s.n_open, m->s.told, m->s.resetting, m->s.ends_stop, m->s.reset_failed};
    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        unpack_slot(m, i);
        unpack_bits(slots, i);
    }
    m->regs.selector = m->s.selector;
    m->regs.command = m->s.command;
    m->regs.ost_source = ost_sources[m->s.ost_source];
}

static void pack_slot(Model *m, uint32_t vcpu)
{
    const Slot *slot = &m->slots.table[vcpu];
    VcpuState *to = &m->s.vcpus[vcpu];
    bool open = slot->request_kind != VCPUHP_REQUEST_NONE;

    to->status = slot->status;
    to->power = slot->power;
    to->kind = slot->request_kind;
    to->request_state = open ? slot->request_state : 0;
    to->until_on = open && slot->until_on;
    to->keeps_enabled = open && slot->was_enabled;
    to->observed = open && slot->observed;
    to->answered &= open;
    to->shown &= open;
    to->was_enabled &= open;
    to->unclosed = slot->unclosed;
    to->leaving = slot->leaving;
    to->forced = slot->forced;
    to->park = slot->park;
    to->deadline = slot->deadline != 0;
    to->retry = slot->retry_at != 0;
    to->eject = slot->eject_until != 0;
    to->inserts_taken = slot->inserts_taken;
    to->removes_taken = slot->removes_taken;
    to->stale = open ? slot->stale : 0;
}

void model_pack(Model *m)
{
    const Stops *stops = &m->slots.stops;

    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        pack_slot(m, i);
    m->s.wake = m->slots.wake != 0;
    m->s.n_open = stops->n_open;
    m->s.told = stops->told;
    m->s.resetting = stops->resetting;
    m->s.ends_stop = stops->ends_stop;
    m->s.reset_failed = stops->reset_failed;
    m->s.selector = MIN(m->regs.selector, m->config.n_vcpus);
    m->s.command = m->regs.command;
    for (uint32_t i = 0; i < G_N_ELEMENTS(ost_sources); i++)
        if (ost_sources[i] == m->regs.ost_source)
            m->s.ost_source = i;
}

/* The clock that regs.c reads. */
gint64 __wrap_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void)
{
    return NOW;
}

void model_begin(Model *m, CallKind kind, uint32_t vcpu)
{
    bool stale_answer = m->call.stale_answer;

    m->call = (Call){.kind = kind, .vcpu = vcpu, .stale_answer = stale_answer, .ok = true};
    m->call.before = m->slots;
    memcpy(m->call.table, m->slots.table, m->config.n_vcpus * sizeof(Slot));
    effects_init(&m->fx);
}

static void carry_out(Model *m)
{
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        if (m->fx.kick && m->fx.kicks[0] >> i & 1)
            m->s.vcpus[i].kicked = 1;
    if (m->fx.off >= 0)
        m->s.vcpus[m->fx.off].thread = THREAD_PARKING;
    if (m->fx.start >= 0)
        m->s.vcpus[m->fx.start].thread = THREAD_STARTING;
}

void model_end(Model *m)
{
    carry_out(m);
    rules_check(m);
}
