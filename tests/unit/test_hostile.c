/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest and a VMM that both do anything at all, at random from fixed seeds. The invariants hold
 * after every step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/regs.h>
#include <vcpuhp/psci.h>
#include "context.h"

#define N_VCPUS   70 /* more than one word of the bitmaps */
#define N_ENABLED 3
#define N_STEPS   200000

typedef struct Machine {
    Vcpuhp *hp;
    GRand *rand;
    GHashTable *open; /* ids of requests without outcome */
    bool starting[N_VCPUS], running[N_VCPUS];
    bool irq;
    unsigned n_ended;
} Machine;

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Machine *m = opaque;

    (void)entry;
    assert_false(m->starting[vcpu] || m->running[vcpu]);
    if (g_rand_int_range(m->rand, 0, 8) == 0)
        return false;
    m->starting[vcpu] = true;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    Machine *m = opaque;

    assert_true(m->starting[vcpu] || m->running[vcpu]);
}

static void on_irq(bool level, void *opaque)
{
    Machine *m = opaque;

    assert_int_not_equal(level, m->irq);
    m->irq = level;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Machine *m = opaque;
    char *text = vcpuhp_event_describe(event);

    assert_non_null(text);
    g_free(text);
    if (event->kind != VCPUHP_EVENT_ENDED)
        return;
    /* One outcome each. A request that is done at once ends before the VMM has its id. */
    m->n_ended++;
    if (!g_hash_table_remove(m->open, GUINT_TO_POINTER(event->request)))
        g_hash_table_add(m->open, GUINT_TO_POINTER(event->request));
}

static void add_request(Machine *m, uint32_t id)
{
    if (!g_hash_table_remove(m->open, GUINT_TO_POINTER(id)))
        g_hash_table_add(m->open, GUINT_TO_POINTER(id));
}

static void vmm_step(Machine *m)
{
    uint32_t vcpu = g_rand_int_range(m->rand, 0, N_VCPUS + 2), id;
    uint32_t timeout = g_rand_int_range(m->rand, 0, 3);

    switch (g_rand_int_range(m->rand, 0, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (vcpuhp_plug(m->hp, vcpu, 0, timeout, &id, NULL))
            add_request(m, id);
        break;
    case 4:
    case 5:
    case 6:
        if (vcpuhp_unplug(m->hp, vcpu, 0, timeout, &id, NULL))
            add_request(m, id);
        break;
    case 7:
        vcpuhp_cancel(m->hp, m->hp->slots.last_request - vcpu, NULL);
        break;
    case 8:
        vcpuhp_repeat(m->hp, m->hp->slots.last_request - vcpu, NULL);
        break;
    case 9:
        vcpuhp_force(m->hp, vcpu, NULL);
        break;
    default:
        vcpuhp_dispatch(m->hp);
    }
}

static void machine_step(Machine *m)
{
    switch (g_rand_int_range(m->rand, 0, 400)) {
    case 0:
        vcpuhp_stop(m->hp);
        break;
    case 1:
        vcpuhp_reset(m->hp, NULL);
        break;
    default:
        vcpuhp_start(m->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), 0}, NULL);
    }
}

static void thread_step(Machine *m)
{
    uint32_t vcpu = g_rand_int_range(m->rand, 0, N_VCPUS);

    if (m->starting[vcpu]) {
        m->starting[vcpu] = false;
        m->running[vcpu] = vcpuhp_vcpu_enter(m->hp, vcpu);
    } else if (m->running[vcpu]) {
        m->running[vcpu] = !vcpuhp_vcpu_park_if_asked(m->hp, vcpu);
    }
}

static void register_step(Machine *m)
{
    static const uint32_t lengths[] = {1, 2, 4, 8, 1, 4, 8, 3, 16};
    uint32_t len = lengths[g_rand_int_range(m->rand, 0, G_N_ELEMENTS(lengths))];
    uint64_t offset = g_rand_int_range(m->rand, 0, 32)
                          ? (uint32_t)g_rand_int_range(m->rand, 0, 0x30)
                          : g_rand_int(m->rand) * 0x100000001ULL;
    uint8_t data[16];

    for (gsize i = 0; i < sizeof(data); i++)
        data[i] = g_rand_int_range(m->rand, 0, g_rand_int_range(m->rand, 0, 3) ? 10 : 256);
    if (g_rand_boolean(m->rand))
        vcpuhp_regs_read(m->hp, offset, data, len);
    else
        vcpuhp_regs_write(m->hp, offset, data, len);
}

/* Accesses of our AML, most of them sensible. */
static void aml_step(Machine *m)
{
    uint64_t vcpu = g_rand_int_range(m->rand, 0, N_VCPUS + 1);
    static const uint64_t osts[] = {0x84ULL << 32 | 3 << 16, 3 << 16,
                                    0x82ULL << 32 | 3 << 16, 1 << 16,
                                    0x81ULL << 32 | 1 << 16, 0x103 << 16};
    uint64_t value;

    switch (g_rand_int_range(m->rand, 0, 3)) {
    case 0:
        vcpuhp_regs_read(m->hp, 0x18, &value, 8);
        break;
    case 1:
        value = vcpu | osts[g_rand_int_range(m->rand, 0, G_N_ELEMENTS(osts))];
        vcpuhp_regs_write(m->hp, 0x20, &value, 8);
        break;
    default:
        vcpuhp_regs_write(m->hp, 0x28, &vcpu, 8);
    }
}

static void call_step(Machine *m)
{
    uint32_t vcpu = g_rand_boolean(m->rand) ? g_rand_int_range(m->rand, 0, N_VCPUS) : 0;
    uint64_t x[4] = {g_rand_boolean(m->rand) ? 0x84000000 : 0xc4000000};

    if (!m->running[vcpu])
        return;
    x[0] |= g_rand_int_range(m->rand, 0, 8) ? g_rand_int_range(m->rand, 3, 5)
                                            : g_rand_int_range(m->rand, 0, 0x24);
    x[1] = g_rand_int_range(m->rand, 0, 8)
               ? m->hp->config.mpidrs[g_rand_int_range(m->rand, 0, N_VCPUS)]
               : g_rand_int(m->rand);
    x[2] = g_rand_int(m->rand) & ~3U;
    if (vcpuhp_psci_call(m->hp, vcpu, x, false) == VCPUHP_PSCI_PARK)
        m->running[vcpu] = false;
}

static void assert_invariants(Machine *m)
{
    const Slots *slots = &m->hp->slots;
    unsigned n_open = 0, n_running = 0, n_raised = 0;

    for (uint32_t i = 0; i < N_VCPUS; i++) {
        const Slot *slot = &slots->table[i];
        uint64_t bit = 1ULL << (i % 64);

        /* The status byte and the bitmaps agree. */
        assert_int_equal(!(slot->status & SLOT_ENABLED), !(slots->enabled[i / 64] & bit));
        assert_int_equal(!(slot->status & SLOT_INSERT), !(slots->insert[i / 64] & bit));
        assert_int_equal(!(slot->status & SLOT_REMOVE), !(slots->remove[i / 64] & bit));
        assert_int_equal(!(slot->status & SLOT_FW_REMOVE), !(slots->fw_remove[i / 64] & bit));
        /* Neither insert nor remove is visible without enabled. */
        assert_true(slot->status & SLOT_ENABLED || slot->status == 0);
        /* A vCPU that is enabled permanently stays so, and gets no Eject Request. */
        if (i < N_ENABLED)
            assert_int_equal(slot->status, SLOT_ENABLED);
        /* A vCPU that is off has no thread. One that runs was enabled when it was turned on. */
        assert_int_equal(slot->power == VCPUHP_POWER_ON, m->running[i]);
        assert_int_equal(slot->power == VCPUHP_POWER_ON_PENDING, m->starting[i]);
        /* Disabled, but not off: it is being removed. */
        assert_int_equal(slot->leaving,
                         !(slot->status & SLOT_ENABLED) && slot->power != VCPUHP_POWER_OFF);
        n_running += slot->power != VCPUHP_POWER_OFF;
        n_raised += !!(slot->status & SLOT_INSERT) + !!(slot->status & SLOT_REMOVE);
        n_open += slot->request_kind != VCPUHP_REQUEST_NONE;
        if (slot->request_kind != VCPUHP_REQUEST_NONE)
            assert_true(g_hash_table_contains(m->open, GUINT_TO_POINTER(slot->request)));
    }
    assert_int_equal(n_running, slots->n_running);
    assert_int_equal(n_raised, slots->n_raised);
    assert_int_equal(m->irq, n_raised > 0);
    /* No request is lost, none ends twice. */
    assert_int_equal(n_open, g_hash_table_size(m->open));
}

static void run_seed(uint32_t seed)
{
    static const VcpuhpCallbacks callbacks = {
        .size = sizeof(VcpuhpCallbacks), on_start, on_kick, on_irq, on_event};
    Machine m = {.rand = g_rand_new_with_seed(seed), .open = g_hash_table_new(NULL, NULL)};
    VcpuhpConfig config;

    vcpuhp_config_init(&config, N_VCPUS, N_ENABLED);
    config.retry_ms = 1;
    config.eject_timeout_ms = 1;
    m.hp = vcpuhp_new(&config, &callbacks, &m, NULL);
    for (unsigned i = 0; i < N_STEPS; i++) {
        switch (g_rand_int_range(m.rand, 0, 6)) {
        case 0:
            vmm_step(&m);
            break;
        case 1:
            thread_step(&m);
            break;
        case 2:
            register_step(&m);
            break;
        case 3:
            aml_step(&m);
            break;
        case 4:
            call_step(&m);
            break;
        default:
            machine_step(&m);
        }
        if (i % 16 == 0)
            assert_invariants(&m);
    }
    /* The steps above do cause requests to end. */
    assert_true(m.n_ended > 100);
    vcpuhp_free(m.hp);
    g_hash_table_unref(m.open);
    g_rand_free(m.rand);
}

static void nothing_a_guest_or_a_vmm_does_breaks_the_invariants(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 5; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_a_guest_or_a_vmm_does_breaks_the_invariants),
    };

    return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
