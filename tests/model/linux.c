/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linux, as far as CPU hotplug goes: an ordered workqueue, user space that turns CPUs on and off,
 * root's own ejects, and boots. One interpreter, whose methods are not interrupted.
 */
#include "model.h"

#include <string.h>

static const Aml *aml(const Model *m)
{
    return m->setup->aml;
}

static bool is_alive(const Model *m)
{
    return m->s.vcpus[0].thread == THREAD_RUNNING;
}

/* --- Work --- */

static bool has_room(const Model *m, uint32_t n)
{
    return m->s.n_queue + n <= m->setup->max_queue;
}

static void enqueue(Model *m, uint32_t vcpu, uint32_t kind)
{
    const Slot *slot = &m->slots.table[vcpu];
    VcpuhpRequestKind request =
        kind == WORK_DEVICE_CHECK ? VCPUHP_REQUEST_PLUG : VCPUHP_REQUEST_UNPLUG;

    m->s.queue[m->s.n_queue++] =
        (Work){vcpu, kind, kind != WORK_ROOT_EJECT && slot->request_kind == request};
}

static void dequeue(Model *m)
{
    m->s.n_queue--;
    memmove(m->s.queue, m->s.queue + 1, sizeof(Work) * (MAX_QUEUE - 1));
    m->s.queue[MAX_QUEUE - 1] = (Work){0};
    m->s.stage = 0;
}

static bool is_own(const Model *m, uint32_t source)
{
    return m->s.queue[0].own && source != VCPUHP_OST_SOURCE_EJECT;
}

static void evaluate_ost(Model *m, uint32_t source, uint32_t status)
{
    m->call.stale_answer = !is_own(m, source);
    /* Linux says of root's ejects, too, that it works on an Eject Request. */
    if (m->s.queue[0].kind == WORK_ROOT_EJECT && status == VCPUHP_OST_EJECT_IN_PROGRESS)
        m->call.stale_answer = false;
    aml(m)->ost(m, m->s.queue[0].vcpu, source, status);
    m->call.stale_answer = false;
}

static void finish(Model *m, uint32_t source, uint32_t status)
{
    evaluate_ost(m, source, status);
    dequeue(m);
}

static void device_check(Model *m)
{
    uint32_t vcpu = m->s.queue[0].vcpu;

    if (m->s.stage == 0) {
        m->s.vcpus[vcpu].registered |= aml(m)->sta(m, vcpu);
        m->s.stage = 1;
    } else {
        finish(m, VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_SUCCESS);
    }
}

enum {
    GO,        /* take the next step */
    REFUSE,    /* the CPU can't be taken offline, or hotplug is disabled */
    DON_T_WAIT /* CPU_OFF has not come within 100 ms */
};

static bool eject(Model *m, uint32_t how)
{
    uint32_t vcpu = m->s.queue[0].vcpu;
    VcpuState *s = &m->s.vcpus[vcpu];
    uint32_t source = m->s.queue[0].kind == WORK_ROOT_EJECT ? VCPUHP_OST_SOURCE_EJECT
                                                            : VCPUHP_OST_SOURCE_EJECT_REQUEST;
    bool online = s->thread == THREAD_RUNNING && !s->dying;

    if (how == REFUSE && m->s.stage > 1)
        return false;
    if (how == DON_T_WAIT && (m->s.stage != 1 || !online))
        return false;
    switch (m->s.stage) {
    case 0:
        if (how == REFUSE) {
            finish(m, source, VCPUHP_OST_EJECT_NOT_SUPPORTED);
            return true;
        }
        evaluate_ost(m, VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_EJECT_IN_PROGRESS);
        break;
    case 1:
        if (how == REFUSE) {
            finish(m, source, VCPUHP_OST_EJECT_BUSY);
            return true;
        }
        if (how == DON_T_WAIT)
            s->dying = 1;
        else if (online)
            guest_cpu_off(m, vcpu);
        break;
    case 2:
        s->registered = 0;
        aml(m)->ej0(m, vcpu);
        break;
    default:
        finish(m, source, VCPUHP_OST_SUCCESS);
        return true;
    }
    m->s.stage++;
    return true;
}

static bool act_work(Model *m, uint32_t how)
{
    if (!is_alive(m) || !m->s.n_queue)
        return false;
    if (m->s.queue[0].kind != WORK_DEVICE_CHECK)
        return eject(m, how);
    if (how != GO)
        return false;
    device_check(m);
    return true;
}

/* The event interrupt. */
static bool act_scan(Model *m, uint32_t arg)
{
    (void)arg;
    if (!is_alive(m) || !m->s.booted || !m->slots.n_raised || !has_room(m, m->slots.n_raised))
        return false;
    aml(m)->scan(m);
    return true;
}

/* --- User space. It and the work exclude each other. --- */

static bool act_online(Model *m, uint32_t vcpu)
{
    if (!is_alive(m) || m->s.stage || !m->s.vcpus[vcpu].registered)
        return false;
    return guest_cpu_on(m, 0, vcpu, 0x1000);
}

static bool act_offline(Model *m, uint32_t vcpu)
{
    if (!is_alive(m) || m->s.stage || !m->s.vcpus[vcpu].registered)
        return false;
    return guest_cpu_off(m, vcpu);
}

static bool act_dies(Model *m, uint32_t vcpu)
{
    return m->s.vcpus[vcpu].dying && guest_cpu_off(m, vcpu);
}

static bool act_root_eject(Model *m, uint32_t vcpu)
{
    if (!is_alive(m) || !m->s.vcpus[vcpu].registered || !has_room(m, 1))
        return false;
    enqueue(m, vcpu, WORK_ROOT_EJECT);
    return true;
}

/* --- Boots --- */

static bool act_boot_cpu_on(Model *m, uint32_t vcpu)
{
    return is_alive(m) && !m->s.booted && guest_cpu_on(m, 0, vcpu, 0x1000);
}

static bool act_boot(Model *m, uint32_t arg)
{
    (void)arg;
    if (!is_alive(m) || m->s.booted)
        return false;
    aml(m)->init(m);
    for (uint32_t i = 1; i < m->config.n_vcpus; i++)
        m->s.vcpus[i].registered = aml(m)->sta(m, i);
    m->s.booted = 1;
    return true;
}

/* The other CPUs are off by then. */
static bool act_kexec(Model *m, uint32_t arg)
{
    (void)arg;
    if (!is_alive(m) || !m->s.booted)
        return false;
    for (uint32_t i = 1; i < m->config.n_vcpus; i++)
        if (m->s.vcpus[i].thread != THREAD_NONE)
            return false;
    for (uint32_t i = 1; i < m->config.n_vcpus; i++)
        m->s.vcpus[i].registered = m->s.vcpus[i].stab = 0;
    m->s.booted = m->s.stage = m->s.n_queue = 0;
    memset(m->s.queue, 0, sizeof(m->s.queue));
    return true;
}

void linux_add_actions(Model *m)
{
    for (uint32_t i = 1; i < m->config.n_vcpus; i++) {
        model_add(m, &(Action){act_online, i, true, "user space turns it on"});
        model_add(m, &(Action){act_offline, i, true, "user space turns it off"});
        model_add(m, &(Action){act_dies, i, true, "CPU_OFF after Linux has ceased to wait"});
        model_add(m, &(Action){act_boot_cpu_on, i, true, "CPU_ON at boot"});
        if (m->setup->features & ROOT)
            model_add(m, &(Action){act_root_eject, i, true, "root ejects"});
    }
    model_add(m, &(Action){act_work, GO, true, "work"});
    model_add(m, &(Action){act_work, REFUSE, true, "work is refused"});
    model_add(m, &(Action){act_work, DON_T_WAIT, true, "work goes on before CPU_OFF"});
    model_add(m, &(Action){act_scan, 0, true, "scan"});
    model_add(m, &(Action){act_boot, 0, true, "boot"});
    if (m->setup->features & KEXEC)
        model_add(m, &(Action){act_kexec, 0, false, "kexec"});
}

/* --- Our AML --- */

static void own_init(Model *m)
{
    uint64_t enabled = guest_read(m, CALL_ENABLED, 0, REG_ENABLED, 8);

    for (uint32_t i = 1; i < m->config.n_vcpus; i++)
        m->s.vcpus[i].stab = enabled >> i & 1;
}

static void own_scan(Model *m)
{
    uint64_t lanes = guest_read(m, CALL_EVENT, 0, REG_EVENT, 8);

    for (; lanes; lanes >>= EVENT_LANE_BITS) {
        uint32_t vcpu = lanes & EVENT_SLOT;

        if (lanes & EVENT_INSERT) {
            m->s.vcpus[vcpu].stab = 1;
            enqueue(m, vcpu, WORK_DEVICE_CHECK);
        }
        if (lanes & EVENT_REMOVE)
            enqueue(m, vcpu, WORK_EJECT_REQUEST);
    }
}

static bool own_sta(Model *m, uint32_t vcpu)
{
    return m->s.vcpus[vcpu].stab;
}

static void own_ej0(Model *m, uint32_t vcpu)
{
    m->s.vcpus[vcpu].stab = 0;
    guest_write(m, CALL_EJECT, vcpu, REG_EJECT, vcpu, 8);
}

static void own_ost(Model *m, uint32_t vcpu, uint32_t source, uint32_t status)
{
    guest_write(m, CALL_OST, vcpu, REG_OST,
                vcpu | source << OST_SOURCE_SHIFT | (uint64_t)status << OST_STATUS_SHIFT, 8);
}

const Aml own_aml = {true, own_init, own_scan, own_sta, own_ej0, own_ost};

/* --- AML on the 12 bytes, as QEMU's does --- */

static void block_init(Model *m)
{
    (void)m;
}

/* Removes are notified and cleared as they are found, inserts together at the end; a vCPU that has
 * both is seen to have an insert. */
static void block_scan(Model *m)
{
    bool inserts[MAX_VCPUS] = {false};

    for (uint32_t vcpu = 0; vcpu < m->config.n_vcpus;) {
        uint8_t status;
        uint32_t found;

        guest_write(m, CALL_OTHER, 0, REG_SELECTOR, vcpu, 4);
        guest_write(m, CALL_OTHER, 0, REG_COMMAND, 0, 1);
        found = guest_read(m, CALL_OTHER, 0, REG_COMMAND_DATA, 4);
        if (found < vcpu)
            break;
        vcpu = found;
        status = guest_read(m, CALL_STATUS, vcpu, REG_STATUS, 1);
        if (status & SLOT_INSERT) {
            inserts[vcpu] = true;
        } else if (status & SLOT_REMOVE) {
            guest_write(m, CALL_OTHER, vcpu, REG_CONTROL, 4, 1);
            enqueue(m, vcpu, WORK_EJECT_REQUEST);
        } else {
            break;
        }
        vcpu++;
    }
    for (uint32_t i = 0; i < m->config.n_vcpus; i++)
        if (inserts[i]) {
            block_control(m, CALL_OTHER, i, 2);
            enqueue(m, i, WORK_DEVICE_CHECK);
        }
}

static bool block_sta(Model *m, uint32_t vcpu)
{
    return block_status(m, vcpu) & SLOT_ENABLED;
}

static void block_ej0(Model *m, uint32_t vcpu)
{
    block_control(m, CALL_EJECT, vcpu, 8);
}

const Aml block_aml = {false, block_init, block_scan, block_sta, block_ej0, block_ost};
