/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine under fire from all sides: a thread for each possible vCPU, which runs a guest that
 * does anything at all, and nine of a VMM's. All of them call the library at random, also from
 * its callbacks, for a while. Then the books must balance.
 *
 * With -Db_sanitize=thread it also shows that there is no data race (pthread_mutex.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/psci.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/kvm.h>
#include <vcpuhp/psci.h>
#include <vcpuhp/regs.h>

#include "acpi/regs.h"
#include "fake_kvm.h"
#include "fake_vmm.h"

#define N_VCPUS   8
#define N_ENABLED 4
#define SEED      20240607
/* Machines one after the other, each of which runs so long, in µs. */
#define N_LIVES  20
#define LIFETIME 50000
/* Enough for a lifetime; the machine ends early at half of either. */
#define MAX_REQUESTS (1u << 16)
#define MAX_EVENTS   (1u << 18)
#define MAX_DEPTH    2

/* What runs the vCPUs. */
typedef enum {
    CALLBACKS,
    KVM_OWN,
    KVM_LENT
} Way;

typedef struct Machine {
    Way way;
    VcpuhpConfig config;
    VcpuhpKvmConfig kvm;
    FakeVmm vmm;
    Vcpuhp *hp;
    gint ready;      /* it can be started */
    gint quit;       /* the VMM's threads end */
    gint restarting; /* threads that may be starting the machine */
    gint n_operations;
    gint kicked[N_VCPUS];
    gint level, n_in_irq_set; /* of the line, without KVM */

    GMutex lock; /* guards the rest */
    GCond wake;
    bool wanted[N_VCPUS]; /* vcpu_start was called */
    bool no_more;         /* vCPUs' threads end */

    /* The books: counts by request id and by sequence number. */
    gint8 *accepted, *ended, *reported;
    uint64_t last_event, last_power, last_stopped; /* sequence numbers */
    int n_on, n_off;
} Machine;

static __thread GRand *dice;
static __thread int depth;

static uint32_t roll(uint32_t n)
{
    return (uint32_t)g_rand_int_range(dice, 0, (gint32)n);
}

static bool one_in(uint32_t n)
{
    return roll(n) == 0;
}

static bool is_quitting(Machine *m)
{
    return g_atomic_int_get(&m->quit);
}

/* --- The VMM's calls --- */

static void book_request(Machine *m, bool ok, uint32_t id)
{
    if (!ok)
        return;
    g_mutex_lock(&m->lock);
    g_assert_cmpuint(id, <, MAX_REQUESTS);
    g_assert_cmpint(m->accepted[id]++, ==, 0);
    if (id > MAX_REQUESTS / 2)
        g_atomic_int_set(&m->quit, 1);
    g_mutex_unlock(&m->lock);
}

static void request(Machine *m)
{
    uint32_t vcpu = roll(N_VCPUS), timeout_ms = roll(4), id = 0;
    bool ok;

    if (one_in(2))
        ok = vcpuhp_plug(m->hp, vcpu, one_in(4) ? VCPUHP_UNTIL_ON : 0, timeout_ms, &id, NULL);
    else
        ok = vcpuhp_unplug(m->hp, vcpu, 0, timeout_ms, &id, NULL);
    book_request(m, ok, id);
    if (ok && one_in(4))
        vcpuhp_cancel(m->hp, id, NULL);
    else if (ok && one_in(2))
        vcpuhp_repeat(m->hp, id, NULL);
}

static void query(Machine *m)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    VcpuhpCounters counters = {.size = sizeof(counters)};

    g_assert_true(vcpuhp_query(m->hp, roll(N_VCPUS), &info, NULL));
    g_assert_true(vcpuhp_counters(m->hp, &counters, NULL));
    g_assert_cmpuint(vcpuhp_n_vcpus(m->hp), ==, N_VCPUS);
}

static void force(Machine *m)
{
    vcpuhp_force(m->hp, roll(N_VCPUS), NULL);
}

static void access_block(Machine *m)
{
    uint64_t offset = roll(VCPUHP_REGS_SIZE), data = roll(N_VCPUS);
    uint32_t len = 1u << roll(4);

    if (one_in(2))
        vcpuhp_regs_read(m->hp, offset, &data, len);
    else
        vcpuhp_regs_write(m->hp, offset, &data, len);
}

static void dispatch(Machine *m)
{
    struct pollfd timer = {.fd = vcpuhp_timer_fd(m->hp), .events = POLLIN};

    poll(&timer, 1, 1);
    vcpuhp_dispatch(m->hp);
}

static void stop(Machine *m)
{
    vcpuhp_stop(m->hp);
}

/* Main sets quit, and then waits until nobody restarts. */
static void restart(Machine *m)
{
    const VcpuhpEntry entry = {.size = sizeof(entry), .address = 0x40080000};
    g_autoptr(GError) error = NULL;

    g_atomic_int_inc(&m->restarting);
    if (g_atomic_int_get(&m->ready) && !is_quitting(m)) {
        if (!vcpuhp_reset(m->hp, &error))
            g_assert_error(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER);
        g_clear_error(&error);
        if (!vcpuhp_start(m->hp, &entry, &error) &&
            !g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_NO_THREAD))
            g_assert_error(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER);
    }
    g_atomic_int_dec_and_test(&m->restarting);
}

static void operate(Machine *m)
{
    restart(m);
    if (one_in(20))
        stop(m);
}

static void build_table(Machine *m)
{
    g_bytes_unref(vcpuhp_acpi_build(m->hp, VCPUHP_ACPI_MADT));
}

/* Numbers that no vCPU has. */
static void call_for_nobody(Machine *m)
{
    uint64_t x[4] = {PSCI_0_2_FN_CPU_OFF};
    uint32_t vcpu = one_in(2) ? N_VCPUS : UINT32_MAX - roll(2);

    g_assert_false(vcpuhp_plug(m->hp, vcpu, 0, 0, NULL, NULL));
    g_assert_false(vcpuhp_force(m->hp, vcpu, NULL));
    g_assert_cmpint(vcpuhp_psci_call(m->hp, vcpu, x, false), ==, VCPUHP_PSCI_PARK);
    g_assert_true(vcpuhp_vcpu_park_if_asked(m->hp, vcpu));
    g_assert_false(vcpuhp_vcpu_enter(m->hp, vcpu));
    g_assert_null(vcpuhp_kvm_enter(m->hp, vcpu));
    g_assert_cmpint(vcpuhp_kvm_handle_exit(m->hp, vcpu, 0), ==, VCPUHP_KVM_EXIT_PARK);
    g_assert_cmpint(vcpuhp_kvm_vcpu_fd(m->hp, vcpu), ==, -1);
}

/* --- Callbacks, which call back --- */

static void call_back(Machine *m)
{
    static void (*const calls[])(Machine *) = {query, query, request, request, access_block, force};

    if (depth == MAX_DEPTH || one_in(2))
        return;
    depth++;
    if (one_in(500))
        stop(m);
    else
        calls[roll(G_N_ELEMENTS(calls))](m);
    depth--;
}

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Machine *m = opaque;

    g_assert_cmpuint(entry->address % 4, ==, 0);
    call_back(m);
    if (one_in(16))
        return false;
    g_mutex_lock(&m->lock);
    /* The thread has taken the last one up: the vCPU was off. */
    g_assert_false(m->wanted[vcpu]);
    m->wanted[vcpu] = true;
    g_cond_broadcast(&m->wake);
    g_mutex_unlock(&m->lock);
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    Machine *m = opaque;

    g_atomic_int_set(&m->kicked[vcpu], 1);
    if (m->way != CALLBACKS)
        fake_signal(vcpu);
    call_back(m);
}

static void on_irq(bool level, void *opaque)
{
    Machine *m = opaque;

    g_assert_cmpint(g_atomic_int_add(&m->n_in_irq_set, 1), ==, 0);
    g_assert_cmpint(g_atomic_int_get(&m->level), !=, level);
    g_atomic_int_set(&m->level, level);
    call_back(m);
    g_atomic_int_add(&m->n_in_irq_set, -1);
}

static void book_event(Machine *m, const VcpuhpEvent *event)
{
    g_mutex_lock(&m->lock);
    g_assert_cmpuint(event->sequence, <, MAX_EVENTS);
    g_assert_cmpint(m->reported[event->sequence]++, ==, 0);
    m->last_event = MAX(m->last_event, event->sequence);
    if (event->kind == VCPUHP_EVENT_ENDED)
        g_assert_cmpint(m->ended[event->request]++, ==, 0);
    m->n_on += event->kind == VCPUHP_EVENT_ON;
    m->n_off += event->kind == VCPUHP_EVENT_OFF;
    if (event->kind == VCPUHP_EVENT_ON || event->kind == VCPUHP_EVENT_OFF)
        m->last_power = MAX(m->last_power, event->sequence);
    if (event->kind == VCPUHP_EVENT_STOPPED)
        m->last_stopped = MAX(m->last_stopped, event->sequence);
    if (m->last_event > MAX_EVENTS / 2)
        g_atomic_int_set(&m->quit, 1);
    g_mutex_unlock(&m->lock);
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Machine *m = opaque;

    book_event(m, event);
    if (one_in(64))
        g_free(vcpuhp_event_describe(event));
    if (event->kind == VCPUHP_EVENT_HOST_ERROR)
        g_assert_true(g_str_has_suffix(event->text, "vcpu_start returned false"));
    if (event->kind == VCPUHP_EVENT_STOPPED && one_in(2))
        restart(m);
    call_back(m);
}

/* --- vCPUs: each function returns false if the vCPU has parked --- */

/* The machine goes down. Its vCPU executes nothing more. */
static bool go_down(Machine *m, uint32_t vcpu)
{
    stop(m);
    g_assert_true(vcpuhp_vcpu_park_if_asked(m->hp, vcpu));
    return false;
}

static bool call_directly(Machine *m, uint32_t vcpu, uint32_t function, uint64_t x1, uint64_t x2)
{
    uint64_t x[4] = {function, x1, x2};

    switch (vcpuhp_psci_call(m->hp, vcpu, x, one_in(2))) {
    case VCPUHP_PSCI_PARK:
        return false;
    case VCPUHP_PSCI_SYSTEM_OFF:
    case VCPUHP_PSCI_SYSTEM_RESET:
        return go_down(m, vcpu);
    default:
        return true;
    }
}

/* Until the guest's next step has been served. */
static bool run_kvm(Machine *m, uint32_t vcpu)
{
    for (;;) {
        int error = ioctl(vcpuhp_kvm_vcpu_fd(m->hp, vcpu), KVM_RUN, 0) < 0 ? errno : 0;

        switch (vcpuhp_kvm_handle_exit(m->hp, vcpu, error)) {
        case VCPUHP_KVM_EXIT_RESUME:
        case VCPUHP_KVM_EXIT_OTHER:
            return true;
        case VCPUHP_KVM_EXIT_PARK:
            return false;
        case VCPUHP_KVM_EXIT_SYSTEM_OFF:
        case VCPUHP_KVM_EXIT_SYSTEM_RESET:
            stop(m);
            break;
        case VCPUHP_KVM_EXIT_INTERRUPTED:
            break;
        case VCPUHP_KVM_EXIT_ERROR:
            g_error("vCPU %u: no ioctl fails here", vcpu);
        }
    }
}

static bool call(Machine *m, uint32_t vcpu, uint32_t function, uint64_t x1, uint64_t x2)
{
    if (m->way == CALLBACKS)
        return call_directly(m, vcpu, function, x1, x2);
    fake_guest_call(vcpu, function, x1, x2, 0);
    return run_kvm(m, vcpu);
}

static bool read_block(Machine *m, uint32_t vcpu, uint64_t offset, uint32_t len, uint64_t *data)
{
    *data = 0;
    if (m->way == CALLBACKS) {
        vcpuhp_regs_read(m->hp, offset, data, len);
        return true;
    }
    fake_guest_mmio(vcpu, m->config.regs_base + offset, len, false, 0);
    if (!run_kvm(m, vcpu))
        return false;
    *data = fake_mmio_data(vcpu);
    return true;
}

static bool write_block(Machine *m, uint32_t vcpu, uint64_t offset, uint32_t len, uint64_t data)
{
    if (m->way == CALLBACKS) {
        vcpuhp_regs_write(m->hp, offset, &data, len);
        return true;
    }
    fake_guest_mmio(vcpu, m->config.regs_base + offset, len, true, data);
    return run_kvm(m, vcpu);
}

static bool write_ost(Machine *m, uint32_t vcpu, uint64_t slot, uint64_t source, uint64_t status)
{
    return write_block(m, vcpu, REG_OST, 8,
                       slot | source << OST_SOURCE_SHIFT | status << OST_STATUS_SHIFT);
}

static uint64_t any_status(void)
{
    return one_in(3) ? VCPUHP_OST_EJECT_NOT_SUPPORTED + roll(5) : VCPUHP_OST_SUCCESS;
}

/* What an OSPM does with a lane of EVENT. */
static bool handle_event(Machine *m, uint32_t vcpu, uint64_t lane)
{
    uint64_t slot = lane & EVENT_SLOT;

    if (lane & EVENT_INSERT &&
        !write_ost(m, vcpu, slot, VCPUHP_OST_SOURCE_DEVICE_CHECK, any_status()))
        return false;
    if (!(lane & EVENT_REMOVE))
        return true;
    return (one_in(3) || write_block(m, vcpu, REG_EJECT, 8, slot)) &&
           write_ost(m, vcpu, slot, VCPUHP_OST_SOURCE_EJECT_REQUEST, any_status());
}

static bool take_events(Machine *m, uint32_t vcpu)
{
    uint64_t event;

    if (!read_block(m, vcpu, REG_EVENT, 8, &event))
        return false;
    for (; event; event >>= EVENT_LANE_BITS)
        if (event & EVENT_VALID && !handle_event(m, vcpu, event))
            return false;
    return true;
}

/* What OSPM's other AML, firmware and the mischievous do. */
static bool access_anything(Machine *m, uint32_t vcpu)
{
    uint64_t data;

    switch (roll(6)) {
    case 0:
        return read_block(m, vcpu, REG_ENABLED, 8, &data);
    case 1:
        return write_block(m, vcpu, REG_SELECTOR, 4, roll(N_VCPUS + 1));
    case 2:
        return read_block(m, vcpu, REG_STATUS, 1, &data);
    case 3:
        return write_block(m, vcpu, REG_CONTROL, 1, roll(0x20));
    case 4:
        return write_block(m, vcpu, REG_EJECT, 8, roll(N_VCPUS + 1));
    default:
        return write_block(m, vcpu, roll(VCPUHP_REGS_SIZE - 8), 1u << roll(4), roll(1 << 30));
    }
}

static bool call_psci(Machine *m, uint32_t vcpu)
{
    switch (roll(512)) {
    case 0:
        return call(m, vcpu, PSCI_0_2_FN_SYSTEM_RESET, 0, 0);
    case 1:
        return call(m, vcpu, PSCI_0_2_FN_SYSTEM_OFF, 0, 0);
    }
    switch (roll(8)) {
    case 0:
        return call(m, vcpu, PSCI_0_2_FN_CPU_OFF, 0, 0);
    case 1:
        return call(m, vcpu, PSCI_0_2_FN64_AFFINITY_INFO, roll(N_VCPUS), 0);
    case 2:
        return call(m, vcpu, PSCI_0_2_FN_PSCI_VERSION + roll(0x20), roll(N_VCPUS), 0);
    default:
        return call(m, vcpu, PSCI_0_2_FN64_CPU_ON, roll(N_VCPUS + 1), roll(16) ? 0x1000 : 1);
    }
}

/* The vCPU's thread looks at the kick before it runs the guest again. With KVM, KVM_RUN does. */
static bool must_park(Machine *m, uint32_t vcpu)
{
    return m->way == CALLBACKS && g_atomic_int_exchange(&m->kicked[vcpu], 0) &&
           vcpuhp_vcpu_park_if_asked(m->hp, vcpu);
}

static bool enter(Machine *m, uint32_t vcpu)
{
    if (m->way == CALLBACKS)
        return vcpuhp_vcpu_enter(m->hp, vcpu);
    return vcpuhp_kvm_enter(m->hp, vcpu) != NULL;
}

static void run_guest(Machine *m, uint32_t vcpu)
{
    static bool (*const steps[])(Machine *, uint32_t) = {take_events, access_anything, call_psci};

    if (!enter(m, vcpu))
        return;
    do
        g_atomic_int_inc(&m->n_operations);
    while (!must_park(m, vcpu) && steps[roll(G_N_ELEMENTS(steps))](m, vcpu));
}

static bool wait_for_start(Machine *m, uint32_t vcpu)
{
    bool wanted;

    g_mutex_lock(&m->lock);
    while (!m->wanted[vcpu] && !m->no_more)
        g_cond_wait(&m->wake, &m->lock);
    wanted = m->wanted[vcpu];
    m->wanted[vcpu] = false;
    g_mutex_unlock(&m->lock);
    return wanted;
}

/* --- Threads --- */

typedef struct Thread {
    Machine *m;
    uint32_t number;
    void (*work)(Machine *m); /* NULL: a vCPU's thread */
    GThread *thread;
} Thread;

static void *work(void *opaque)
{
    const Thread *t = opaque;

    dice = g_rand_new_with_seed(SEED + t->number);
    while (t->work && !is_quitting(t->m)) {
        g_atomic_int_inc(&t->m->n_operations);
        t->work(t->m);
        /* Most of the time is the vCPUs'. */
        g_usleep(roll(1000));
    }
    while (!t->work && wait_for_start(t->m, t->number))
        run_guest(t->m, t->number);
    g_rand_free(dice);
    return NULL;
}

static void start_thread(Thread *t, Machine *m, uint32_t number, void (*function)(Machine *m))
{
    *t = (Thread){.m = m, .number = number, .work = function};
    t->thread = g_thread_new("stress", work, t);
}

/* --- The machine's life --- */

static int count_fds(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    int n = 0;

    while (g_dir_read_name(dir))
        n++;
    g_dir_close(dir);
    return n;
}

static void begin(Machine *m, Way way)
{
    static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                              .vcpu_start = on_start,
                                              .vcpu_kick = on_kick,
                                              .irq_set = on_irq,
                                              .event = on_event};

    *m = (Machine){.way = way,
                   .accepted = g_new0(gint8, MAX_REQUESTS),
                   .ended = g_new0(gint8, MAX_REQUESTS),
                   .reported = g_new0(gint8, MAX_EVENTS)};
    vcpuhp_config_init(&m->config, N_VCPUS, N_ENABLED);
    m->config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    m->config.retry_ms = 2;
    m->config.eject_timeout_ms = 3;
    if (way != CALLBACKS)
        vcpuhp_kvm_config_init(&m->kvm, fake_kvm_begin(&fake_modern_host));
    if (way == KVM_LENT) {
        fake_vmm_create_vcpus(&m->vmm, &m->config, &m->kvm);
        fake_vmm_create_vgic(&m->config, &m->kvm);
        fake_vmm_init_vgic(&m->config, &m->kvm);
    }
    m->hp = vcpuhp_new(&m->config, &callbacks, m, NULL);
    assert_non_null(m->hp);
}

/* Also while requests are made. */
static void setup_kvm(Machine *m)
{
    g_autoptr(GError) error = NULL;

    m->kvm.psci = VCPUHP_KVM_PSCI_WHOLE;
    if (m->way != CALLBACKS && !vcpuhp_kvm_setup(m->hp, &m->kvm, &error))
        fail_msg("vcpuhp_kvm_setup: %s", error->message);
    g_atomic_int_set(&m->ready, 1);
}

static bool all_are_off(Machine *m)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    for (uint32_t i = 0; i < N_VCPUS; i++) {
        g_assert_true(vcpuhp_query(m->hp, i, &info, NULL));
        if (info.power != VCPUHP_POWER_OFF)
            return false;
    }
    return true;
}

static void wait_until_stopped(Machine *m)
{
    int64_t end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

    while (g_atomic_int_get(&m->restarting))
        g_usleep(100);
    stop(m);
    while (!all_are_off(m)) {
        assert_true(g_get_monotonic_time() < end);
        g_usleep(100);
    }
    g_mutex_lock(&m->lock);
    m->no_more = true;
    g_cond_broadcast(&m->wake);
    g_mutex_unlock(&m->lock);
}

static void run(Machine *m)
{
    static void (*const jobs[])(Machine *) = {request,      request, build_table,
                                              dispatch,     query,   force,
                                              access_block, operate, call_for_nobody};
    Thread threads[G_N_ELEMENTS(jobs)], vcpus[N_VCPUS];

    for (uint32_t i = 0; i < N_VCPUS; i++)
        start_thread(&vcpus[i], m, i, NULL);
    for (uint32_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        start_thread(&threads[i], m, N_VCPUS + i, jobs[i]);
    g_usleep(roll(2000));
    setup_kvm(m);
    g_usleep(LIFETIME);
    g_atomic_int_set(&m->quit, 1);
    for (uint32_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        g_thread_join(threads[i].thread);
    wait_until_stopped(m);
    for (uint32_t i = 0; i < N_VCPUS; i++)
        g_thread_join(vcpus[i].thread);
}

static bool is_line_high(const Machine *m)
{
    return m->way == CALLBACKS ? m->level : fake.vgic.spis[m->config.event_irq].line;
}

static bool is_any_bit_set(Machine *m)
{
    bool any = false;

    for (uint32_t i = 0; i < N_VCPUS; i++) {
        uint8_t status = 0;

        vcpuhp_regs_write(m->hp, REG_SELECTOR, &i, 4);
        vcpuhp_regs_read(m->hp, REG_STATUS, &status, 1);
        any |= (status & (SLOT_INSERT | SLOT_REMOVE)) != 0;
    }
    return any;
}

static void check_line(Machine *m)
{
    uint64_t event;

    assert_int_equal(is_line_high(m), is_any_bit_set(m));
    do
        vcpuhp_regs_read(m->hp, REG_EVENT, &event, 8);
    while (event);
    assert_false(is_line_high(m));
}

static void check_power(Machine *m)
{
    assert_int_equal(m->n_on, m->n_off);
    assert_true(m->last_stopped > m->last_power);
    /* No vCPU is counted as running. */
    assert_true(vcpuhp_reset(m->hp, NULL));
}

/* Each request has ended once, and no event is missing. Returns the number of requests. */
static int check_books(const Machine *m)
{
    int n_requests = 0;

    for (uint32_t i = 0; i < MAX_REQUESTS; i++) {
        assert_int_equal(m->ended[i], m->accepted[i]);
        n_requests += m->accepted[i];
    }
    for (uint64_t i = 1; i <= m->last_event; i++)
        assert_int_equal(m->reported[i], 1);
    return n_requests;
}

static void end(Machine *m)
{
    vcpuhp_free(m->hp);
    if (m->way == CALLBACKS)
        return;
    fake_vmm_free(&m->config, &m->kvm);
    assert_int_equal(fake_open_fds(), 0);
    assert_int_equal(fake_mappings(), 0);
    assert_int_equal(fake.n_deadlocks, 0);
    fake_kvm_end();
}

typedef struct Totals {
    int operations, requests, events, power_ons;
} Totals;

static void live(Way way, Totals *totals)
{
    int n_fds = count_fds();
    Machine m;

    begin(&m, way);
    run(&m);
    check_power(&m);
    check_line(&m);
    end(&m);
    totals->requests += check_books(&m);
    totals->operations += m.n_operations;
    totals->events += (int)m.last_event;
    totals->power_ons += m.n_on;
    assert_int_equal(count_fds(), n_fds);
    g_free(m.accepted);
    g_free(m.ended);
    g_free(m.reported);
}

static void the_books_balance_after_any_interleaving(void **state)
{
    Totals totals = {0};

    dice = g_rand_new_with_seed(SEED);
    for (int i = 0; i < N_LIVES; i++)
        live(*(const Way *)*state, &totals);
    g_rand_free(dice);
    assert_true(totals.power_ons > 0);
    print_message("# %d operations, %d requests, %d events, vCPUs turned on %d times\n",
                  totals.operations, totals.requests, totals.events, totals.power_ons);
}

#define TEST(name, way)                                                                            \
    {                                                                                              \
        name, the_books_balance_after_any_interleaving, NULL, NULL, &(Way)                         \
        {                                                                                          \
            way                                                                                    \
        }                                                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("callbacks: the_books_balance_after_any_interleaving", CALLBACKS),
        TEST("own: the_books_balance_after_any_interleaving", KVM_OWN),
        TEST("lent: the_books_balance_after_any_interleaving", KVM_LENT),
    };

    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
