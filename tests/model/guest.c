/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest's accesses and calls, and a guest that makes any of them. */
#include "model.h"

#define FN_CPU_OFF 0x84000002u
#define FN_CPU_ON  0xc4000003u

uint64_t guest_read(Model *m, CallKind kind, uint32_t vcpu, uint64_t offset, uint32_t len)
{
    uint64_t value = 0;

    model_begin(m, kind, vcpu);
    regs_read(&m->regs, offset, &value, len, &m->fx);
    model_end(m);
    return value;
}

void guest_write(Model *m, CallKind kind, uint32_t vcpu, uint64_t offset, uint64_t value,
                 uint32_t len)
{
    model_begin(m, kind, vcpu);
    regs_write(&m->regs, offset, &value, len, &m->fx);
    model_end(m);
}

VcpuhpPsciAction guest_psci(Model *m, uint32_t caller, uint64_t x0, uint64_t x1, uint64_t x2)
{
    uint64_t x[4] = {x0, x1, x2, 0};
    VcpuhpPsciAction action;

    model_begin(m, CALL_OTHER, caller);
    action = psci_call(&m->slots, &m->counters, caller, x, false, &m->fx);
    model_end(m);
    return action;
}

static OnResult on_result(uint64_t x0)
{
    switch ((int64_t)x0) {
    case PSCI_SUCCESS:
        return ON_GRANTED;
    case PSCI_DENIED:
        return ON_DENIED;
    case PSCI_ALREADY_ON:
        return ON_ALREADY;
    case PSCI_ON_PENDING:
        return ON_PENDING;
    case PSCI_INVALID_ADDRESS:
        return ON_BAD_ADDRESS;
    }
    return ON_STOPPED;
}

bool guest_cpu_on(Model *m, uint32_t caller, uint32_t target, uint64_t address)
{
    uint64_t x[4] = {FN_CPU_ON, m->config.mpidrs[target], address, 0};

    if (m->s.vcpus[caller].thread != THREAD_RUNNING)
        return false;
    model_begin(m, CALL_ON, target);
    psci_call(&m->slots, &m->counters, caller, x, false, &m->fx);
    m->call.on = on_result(x[0]);
    model_end(m);
    return true;
}

bool guest_cpu_off(Model *m, uint32_t vcpu)
{
    if (m->s.vcpus[vcpu].thread != THREAD_RUNNING)
        return false;
    guest_psci(m, vcpu, FN_CPU_OFF, 0, 0);
    return true;
}

void block_control(Model *m, CallKind kind, uint32_t vcpu, uint8_t value)
{
    guest_write(m, CALL_OTHER, 0, REG_SELECTOR, vcpu, 4);
    guest_write(m, kind, vcpu, REG_CONTROL, value, 1);
}

uint8_t block_status(Model *m, uint32_t vcpu)
{
    guest_write(m, CALL_OTHER, 0, REG_SELECTOR, vcpu, 4);
    return guest_read(m, CALL_STATUS, vcpu, REG_STATUS, 1);
}

void block_ost(Model *m, uint32_t vcpu, uint32_t source, uint32_t status)
{
    guest_write(m, CALL_OTHER, 0, REG_SELECTOR, vcpu, 4);
    guest_write(m, CALL_OTHER, 0, REG_COMMAND, 1, 1);
    guest_write(m, CALL_OTHER, 0, REG_COMMAND_DATA, source, 4);
    guest_write(m, CALL_OTHER, 0, REG_COMMAND, 2, 1);
    guest_write(m, CALL_OST, vcpu, REG_COMMAND_DATA, status, 4);
}

/* --- The hostile guest --- */

static bool anything_runs(const Model *m)
{
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        if (m->s.vcpus[i].thread == THREAD_RUNNING)
            return true;
    return false;
}

/* So that sequences on the 12 bytes leave nothing behind. */
static void deselect(Model *m)
{
    guest_write(m, CALL_OTHER, 0, REG_SELECTOR, 0, 4);
    guest_write(m, CALL_OTHER, 0, REG_COMMAND, 1, 1);
    guest_write(m, CALL_OTHER, 0, REG_COMMAND_DATA, 0, 4);
    guest_write(m, CALL_OTHER, 0, REG_COMMAND, 3, 1);
}

static bool act_cpu_on(Model *m, uint32_t target)
{
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        if (guest_cpu_on(m, i, target, 0x1000))
            return true;
    return false;
}

static bool act_cpu_on_misaligned(Model *m, uint32_t target)
{
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        if (guest_cpu_on(m, i, target, 0x1001))
            return true;
    return false;
}

static bool act_cpu_off(Model *m, uint32_t vcpu)
{
    return guest_cpu_off(m, vcpu);
}

static bool act_event(Model *m, uint32_t arg)
{
    (void)arg;
    if (!anything_runs(m))
        return false;
    guest_read(m, CALL_EVENT, 0, REG_EVENT, 8);
    return true;
}

static bool act_enabled(Model *m, uint32_t arg)
{
    (void)arg;
    if (!anything_runs(m))
        return false;
    guest_read(m, CALL_ENABLED, 0, REG_ENABLED, 8);
    return true;
}

static bool act_eject(Model *m, uint32_t vcpu)
{
    if (!anything_runs(m))
        return false;
    guest_write(m, CALL_EJECT, vcpu, REG_EJECT, vcpu, 8);
    return true;
}

static bool act_status(Model *m, uint32_t vcpu)
{
    if (!anything_runs(m))
        return false;
    block_status(m, vcpu);
    deselect(m);
    return true;
}

/* Bits 0 and 1: vCPU; the rest: control. */
static bool act_control(Model *m, uint32_t arg)
{
    uint8_t value = arg >> 2;

    if (!anything_runs(m))
        return false;
    block_control(m, value == 0x10 ? CALL_FW_REMOVE : CALL_OTHER, arg & 3, value);
    deselect(m);
    return true;
}

/* Bits 0 and 1: vCPU; 2 … 17: source; 18 …: status. */
static bool act_ost(Model *m, uint32_t arg)
{
    uint64_t source = arg >> 2 & 0xffff, status = arg >> 18;

    if (!anything_runs(m))
        return false;
    guest_write(m, CALL_OST, arg & 3, REG_OST,
                (arg & 3) | source << OST_SOURCE_SHIFT | status << OST_STATUS_SHIFT, 8);
    return true;
}

/* --- Any access of the 12 bytes --- */

/* Bits 0 … 3: offset; 4 … 7: length; 8 …: value. */
static bool act_write(Model *m, uint32_t arg)
{
    uint32_t offset = arg & 15, value = arg >> 8, vcpu = m->regs.selector;
    CallKind kind = CALL_OTHER;

    if (!anything_runs(m))
        return false;
    if (offset == REG_CONTROL && value & 8)
        kind = CALL_EJECT;
    else if (offset == REG_CONTROL && value & 0x10)
        kind = CALL_FW_REMOVE;
    else if (offset == REG_COMMAND_DATA && m->regs.command == 2 && vcpu < m->config.n_vcpus)
        kind = CALL_OST;
    guest_write(m, kind, vcpu, offset, value, arg >> 4 & 15);
    return true;
}

static bool act_read(Model *m, uint32_t arg)
{
    uint32_t offset = arg & 15, vcpu = m->regs.selector;
    bool status = offset == REG_STATUS && vcpu < m->config.n_vcpus;

    if (!anything_runs(m))
        return false;
    guest_read(m, status ? CALL_STATUS : CALL_OTHER, vcpu, offset, arg >> 4 & 15);
    return true;
}

static void add_raw(Model *m)
{
    static const uint16_t data[] = {0, 1, 3, 0x103, 0x80, 0x84, 0x82};
    static const uint8_t controls[] = {0, 2, 4, 6, 8, 0x10, 0x18, 0xe0};

    for (uint32_t i = 0; i <= m->config.n_vcpus; i++)
        model_add(m, &(Action){act_write, REG_SELECTOR | 4 << 4 | i << 8, true, "selector"});
    for (uint32_t i = 0; i < G_N_ELEMENTS(controls); i++)
        model_add(m,
                  &(Action){act_write, REG_CONTROL | 1 << 4 | controls[i] << 8, true, "control"});
    for (uint32_t i = 0; i < 5; i++)
        model_add(m, &(Action){act_write, REG_COMMAND | 1 << 4 | i << 8, true, "command"});
    for (uint32_t i = 0; i < G_N_ELEMENTS(data); i++)
        model_add(m, &(Action){act_write, REG_COMMAND_DATA | 4 << 4 | data[i] << 8, true, "data"});
    model_add(m, &(Action){act_read, REG_STATUS | 1 << 4, true, "status"});
    model_add(m, &(Action){act_read, REG_COMMAND_DATA | 4 << 4, true, "read data"});
    model_add(m, &(Action){act_read, 0 | 4 << 4, true, "read data 2"});
}

static void add_osts(Model *m, uint32_t vcpu)
{
    static const struct {
        uint32_t source, status;
    } osts[] = {{1, 0},    {1, 0x80},  {1, 0x81},     {3, 0}, {3, 0x84},
                {3, 0x82}, {0x103, 0}, {0x103, 0x84}, {7, 0}};

    for (uint32_t i = 0; i < G_N_ELEMENTS(osts); i++)
        model_add(
            m, &(Action){act_ost, vcpu | osts[i].source << 2 | osts[i].status << 18, true, "_OST"});
}

void hostile_add_actions(Model *m)
{
    m->s.command = 3;
    for (uint32_t i = 0; i < m->config.n_vcpus; i++) {
        model_add(m, &(Action){act_cpu_on, i, true, "CPU_ON"});
        model_add(m, &(Action){act_cpu_on_misaligned, i, true, "CPU_ON, misaligned"});
        model_add(m, &(Action){act_cpu_off, i, true, "CPU_OFF"});
        model_add(m, &(Action){act_eject, i, true, "EJECT"});
        model_add(m, &(Action){act_status, i, true, "status"});
        model_add(m, &(Action){act_control, i | 2 << 2, true, "clear insert"});
        model_add(m, &(Action){act_control, i | 4 << 2, true, "clear remove"});
        model_add(m, &(Action){act_control, i | 0x10 << 2, true, "firmware remove"});
        add_osts(m, i);
    }
    model_add(m, &(Action){act_event, 0, true, "EVENT"});
    model_add(m, &(Action){act_enabled, 0, true, "ENABLED"});
    if (m->setup->features & RAW)
        add_raw(m);
}
