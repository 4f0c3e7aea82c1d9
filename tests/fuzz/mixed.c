/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything that a VMM and a guest do to a context of four vCPUs, beside the reference. */
#include "fuzz.h"
#include "reference.h"

#include <vcpuhp/psci.h>
#include <vcpuhp/regs.h>

#include "context.h"

typedef struct Machine {
    Vcpuhp *hp;
    Ref ref;
    bool starting[N_VCPUS], running[N_VCPUS];
    bool no_thread; /* the next vcpu_start fails */
    bool line;
    uint64_t sequence;
    RefEnded ended[64];
    unsigned n_ended;
} Machine;

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Machine *m = opaque;

    (void)entry;
    if (m->no_thread)
        return false;
    g_assert(!m->starting[vcpu] && !m->running[vcpu]);
    m->starting[vcpu] = true;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void on_irq(bool level, void *opaque)
{
    ((Machine *)opaque)->line = level;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Machine *m = opaque;

    g_assert(event->sequence == ++m->sequence);
    if (event->kind == VCPUHP_EVENT_ENDED)
        m->ended[m->n_ended++] = (RefEnded){event->request, event->outcome};
}

/* --- Operations, each on both sides --- */

static void write64(Machine *m, uint64_t offset, uint64_t value)
{
    vcpuhp_regs_write(m->hp, offset, &value, 8);
}

static void request(Machine *m, uint8_t op, uint32_t vcpu, uint8_t arg)
{
    uint32_t timeout_ms = arg & 2 ? arg >> 5 : 0;
    uint32_t id = m->ref.last_id - (arg & 3), ret_id;

    switch (op) {
    case 0:
        g_assert(vcpuhp_plug(m->hp, vcpu, arg & 1, timeout_ms, &ret_id, NULL) ==
                 ref_plug(&m->ref, vcpu, arg & 1, timeout_ms));
        break;
    case 1:
        g_assert(vcpuhp_unplug(m->hp, vcpu, 0, timeout_ms, &ret_id, NULL) ==
                 ref_unplug(&m->ref, vcpu, timeout_ms));
        break;
    case 2:
        g_assert(vcpuhp_cancel(m->hp, id, NULL) == ref_cancel(&m->ref, id));
        break;
    case 3:
        g_assert(vcpuhp_repeat(m->hp, id, NULL) == ref_repeat(&m->ref, id));
        break;
    case 4:
        if (!(arg & 3))
            g_assert(vcpuhp_force(m->hp, vcpu, NULL) == ref_force(&m->ref, vcpu));
        break;
    default:
        m->ref.now = fuzz_now += 500 * (1 + (arg & 7));
        vcpuhp_dispatch(m->hp);
        ref_time(&m->ref);
    }
}

static void block_select(Machine *m, uint32_t vcpu)
{
    vcpuhp_regs_write(m->hp, REG_SELECTOR, &vcpu, 4);
}

static void ost(Machine *m, uint32_t vcpu, uint8_t arg)
{
    static const uint16_t sources[] = {1, 3, 0x103, 3, 0, 0x200, 1, 7};
    static const uint8_t codes[] = {0, 0x84, 0x80, 0x82};
    uint32_t source = sources[arg & 7], status = codes[arg >> 3 & 3];

    if (arg & 64) {
        block_select(m, vcpu);
        vcpuhp_regs_write(m->hp, REG_COMMAND, &(uint8_t){1}, 1);
        vcpuhp_regs_write(m->hp, REG_COMMAND_DATA, &source, 4);
        vcpuhp_regs_write(m->hp, REG_COMMAND, &(uint8_t){2}, 1);
        vcpuhp_regs_write(m->hp, REG_COMMAND_DATA, &status, 4);
    } else {
        write64(m, REG_OST,
                vcpu | source << OST_SOURCE_SHIFT | (uint64_t)status << OST_STATUS_SHIFT);
    }
    ref_ost(&m->ref, vcpu, source, status);
}

static void guest(Machine *m, uint8_t op, uint32_t vcpu, uint8_t arg)
{
    uint64_t value;

    switch (op) {
    case 0:
        vcpuhp_regs_read(m->hp, REG_EVENT, &value, 8);
        ref_take_four(&m->ref);
        break;
    case 1:
        ost(m, vcpu, arg);
        break;
    case 2:
        write64(m, REG_EJECT, vcpu);
        ref_eject(&m->ref, vcpu);
        break;
    case 3:
        block_select(m, vcpu);
        vcpuhp_regs_write(m->hp, REG_CONTROL, &(uint8_t){arg & 1 ? 2 : 4}, 1);
        ref_take(&m->ref, vcpu, arg & 1, !(arg & 1));
        break;
    case 4:
        block_select(m, vcpu);
        vcpuhp_regs_read(m->hp, REG_STATUS, &value, 1);
        ref_read_status(&m->ref, vcpu);
        break;
    case 5:
        if (arg & 3) {
            vcpuhp_regs_write(m->hp, REG_COMMAND, &arg, 1);
            vcpuhp_regs_read(m->hp, REG_COMMAND_DATA, &value, 4);
            break;
        }
        block_select(m, vcpu);
        vcpuhp_regs_write(m->hp, REG_CONTROL, &(uint8_t){0x10}, 1);
        ref_fw_remove(&m->ref, vcpu);
        break;
    default:
        if (arg & 3)
            break;
        vcpuhp_regs_read(m->hp, REG_ENABLED, &value, 8);
        ref_read_enabled(&m->ref);
    }
}

static void start_or_fail(Machine *m, uint32_t vcpu)
{
    if (ref_on(&m->ref, vcpu) && m->no_thread)
        ref_off(&m->ref, vcpu);
}

static void call(Machine *m, uint32_t vcpu, uint64_t function, uint64_t x1)
{
    uint64_t x[4] = {function, x1, 0x1000};

    for (unsigned i = 0; i < N_VCPUS; i++)
        if (m->running[i] && (function != 0x84000002 || i == vcpu)) {
            if (vcpuhp_psci_call(m->hp, i, x, false) == VCPUHP_PSCI_PARK)
                m->running[i] = false;
            if (function == 0x84000002)
                ref_off(&m->ref, vcpu);
            else
                start_or_fail(m, vcpu);
            return;
        }
}

static void power(Machine *m, uint8_t op, uint32_t vcpu, uint8_t arg)
{
    m->no_thread = arg == 0xff;
    switch (op) {
    case 0:
        call(m, vcpu, arg & 1 ? 0x84000003 : 0xc4000003, m->hp->config.mpidrs[vcpu]);
        break;
    case 1:
        call(m, vcpu, 0x84000002, 0);
        break;
    case 2:
        m->running[vcpu] |= vcpuhp_vcpu_enter(m->hp, vcpu);
        m->starting[vcpu] = false;
        g_assert(m->running[vcpu] == (ref_enter(&m->ref, vcpu) || m->running[vcpu]));
        break;
    case 3:
        if (m->running[vcpu] && vcpuhp_vcpu_park_if_asked(m->hp, vcpu)) {
            g_assert(m->ref.vcpus[vcpu].called_off);
            m->running[vcpu] = false;
            ref_off(&m->ref, vcpu);
        }
        break;
    case 4:
        vcpuhp_start(m->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry)}, NULL);
        start_or_fail(m, 0);
        break;
    case 5:
        if (arg < 32) {
            vcpuhp_stop(m->hp);
            ref_stop(&m->ref);
        }
        break;
    default:
        g_assert(vcpuhp_reset(m->hp, NULL) == ref_reset(&m->ref));
    }
}

/* --- Both sides agree --- */

static int compare_ended(const void *a, const void *b)
{
    return (int)((const RefEnded *)a)->id - (int)((const RefEnded *)b)->id;
}

static void check(Machine *m)
{
    bool raised = false;

    for (unsigned i = 0; i < N_VCPUS; i++) {
        const RefVcpu *v = &m->ref.vcpus[i];
        const uint8_t bits = v->enabled | v->insert << 1 | v->remove << 2 | v->fw_remove << 4;
        VcpuhpVcpuInfo info = {.size = sizeof(info)};

        g_assert(vcpuhp_query(m->hp, i, &info, NULL));
        g_assert(info.enabled == v->enabled && info.power == v->power);
        g_assert(info.request_kind == v->kind && info.ejecting == v->unclosed);
        g_assert(!v->kind || (info.request_state == v->state && info.request == v->id));
        g_assert(m->hp->slots.table[i].status == bits);
        raised |= v->insert || v->remove;
    }
    g_assert(m->line == raised || !m->hp->line.changes);
    g_assert(m->line == raised);
    g_assert(m->n_ended == m->ref.n_ended);
    qsort(m->ended, m->n_ended, sizeof(RefEnded), compare_ended);
    qsort(m->ref.ended, m->n_ended, sizeof(RefEnded), compare_ended);
    for (unsigned i = 0; i < m->n_ended; i++)
        g_assert(m->ended[i].id == m->ref.ended[i].id &&
                 m->ended[i].outcome == m->ref.ended[i].outcome);
    m->n_ended = m->ref.n_ended = 0;
}

static void step(Machine *m, Input *in)
{
    uint8_t op = next8(in), arg = next8(in);
    uint32_t vcpu = op >> 6;

    op &= 63;
    if (op < 20)
        request(m, op % 6, vcpu, arg);
    else if (op < 42)
        guest(m, op % 7, vcpu, arg);
    else
        power(m, op % 7, vcpu, arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const VcpuhpCallbacks callbacks = {sizeof(callbacks), on_start, on_kick, on_irq,
                                              on_event};
    Machine m = {0};
    Input in = {data, size};
    VcpuhpConfig config;

    fuzz_now = 1;
    vcpuhp_config_init(&config, N_VCPUS, 2);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    config.retry_ms = RETRY_US / 1000;
    config.eject_timeout_ms = EJECT_US / 1000;
    ref_init(&m.ref);
    m.hp = vcpuhp_new(&config, &callbacks, &m, NULL);
    while (in.left) {
        fuzz_operations++;
        step(&m, &in);
        check(&m);
    }
    vcpuhp_free(m.hp);
    return 0;
}
