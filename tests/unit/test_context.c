/* SPDX-License-Identifier: BSD-3-Clause */
/* Public functions and callbacks, as a VMM that does not use KVM sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/regs.h>
#include <vcpuhp/psci.h>

#define CPU_ON64              0xc4000003
#define CPU_OFF               0x84000002
#define PSCI_DENIED           ((uint64_t)-3)
#define PSCI_INTERNAL_FAILURE ((uint64_t)-6)
/* docs/register-block.md */
#define REG_EVENT 0x18

typedef struct Fixture {
    Vcpuhp *hp;
    bool no_thread; /* what vcpu_start says */
    int32_t started, kicked;
    VcpuhpEntry entry;
    int n_irqs;
    bool irq;
    GArray *events;
    char *host_error;
    uint32_t plug_on;   /* plug this vCPU from within the event callback, … */
    GError *plug_error; /* … which failed */
} Fixture;

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Fixture *f = opaque;

    f->started = vcpu;
    f->entry = *entry;
    return !f->no_thread;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    ((Fixture *)opaque)->kicked = vcpu;
}

static void on_irq(bool level, void *opaque)
{
    Fixture *f = opaque;

    f->n_irqs++;
    f->irq = level;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Fixture *f = opaque;
    uint32_t vcpu = f->plug_on;

    g_array_append_val(f->events, event->kind);
    if (event->kind == VCPUHP_EVENT_HOST_ERROR)
        f->host_error = g_strdup(event->text);
    f->plug_on = 0;
    if (vcpu)
        vcpuhp_plug(f->hp, vcpu, 0, 0, NULL, &f->plug_error);
}

static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                          .vcpu_start = on_start,
                                          .vcpu_kick = on_kick,
                                          .irq_set = on_irq,
                                          .event = on_event};

static int set_up(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    VcpuhpConfig config;

    vcpuhp_config_init(&config, 4, 2);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    f->events = g_array_new(FALSE, FALSE, sizeof(VcpuhpEventKind));
    f->started = f->kicked = -1;
    f->hp = vcpuhp_new(&config, &callbacks, f, NULL);
    assert_non_null(f->hp);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    vcpuhp_free(f->hp);
    g_array_unref(f->events);
    g_clear_error(&f->plug_error);
    g_free(f->host_error);
    g_free(f);
    return 0;
}

static bool reported(const Fixture *f, VcpuhpEventKind kind)
{
    for (guint i = 0; i < f->events->len; i++)
        if (g_array_index(f->events, VcpuhpEventKind, i) == kind)
            return true;
    return false;
}

static uint64_t read_event(Fixture *f)
{
    uint64_t value;

    vcpuhp_regs_read(f->hp, REG_EVENT, &value, sizeof(value));
    return value;
}

static void start(Fixture *f)
{
    assert_true(vcpuhp_start(
        f->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), .address = 0x40200000, .context = 7},
        NULL));
    assert_true(vcpuhp_vcpu_enter(f->hp, 0));
}

static VcpuhpPsciAction call(Fixture *f, uint32_t vcpu, uint64_t id, uint64_t x1, uint64_t *ret)
{
    uint64_t x[4] = {id, x1, 0x1000, 0};
    VcpuhpPsciAction action = vcpuhp_psci_call(f->hp, vcpu, x, false);

    *ret = x[0];
    return action;
}

static void start_passes_the_entry_to_vcpu_0(void **state)
{
    Fixture *f = *state;

    start(f);
    assert_int_equal(f->started, 0);
    assert_int_equal(f->entry.address, 0x40200000);
    assert_int_equal(f->entry.context, 7);
    assert_true(reported(f, VCPUHP_EVENT_ON));
}

static void start_twice_is_out_of_order(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    start(f);
    assert_false(vcpuhp_start(f->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), 0}, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
}

static void interrupt_follows_plug_and_event_read(void **state)
{
    Fixture *f = *state;

    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    assert_true(f->irq);
    assert_true(vcpuhp_plug(f->hp, 3, 0, 0, NULL, NULL));
    assert_int_equal(f->n_irqs, 1);
    read_event(f);
    assert_false(f->irq);
    assert_int_equal(f->n_irqs, 2);
}

static void cpu_on_without_a_thread_is_internal_failure(void **state)
{
    Fixture *f = *state;
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    uint64_t x0;

    start(f);
    f->no_thread = true;
    assert_int_equal(call(f, 0, CPU_ON64, 1, &x0), VCPUHP_PSCI_RETURN);
    assert_int_equal(x0, PSCI_INTERNAL_FAILURE);
    assert_non_null(f->host_error);
    assert_true(vcpuhp_query(f->hp, 1, &info, NULL));
    assert_int_equal(info.power, VCPUHP_POWER_OFF);
    f->no_thread = false;
    assert_int_equal(call(f, 0, CPU_ON64, 1, &x0), VCPUHP_PSCI_RETURN);
    assert_int_equal(x0, 0);
}

static void cpu_on_of_a_disabled_vcpu_starts_nothing(void **state)
{
    Fixture *f = *state;
    uint64_t x0;

    start(f);
    f->started = -1;
    call(f, 0, CPU_ON64, 2, &x0);
    assert_int_equal(x0, PSCI_DENIED);
    assert_int_equal(f->started, -1);
    assert_true(reported(f, VCPUHP_EVENT_DENIED));
}

static void cpu_off_parks_the_caller(void **state)
{
    Fixture *f = *state;
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    uint64_t x0;

    start(f);
    call(f, 0, CPU_ON64, 1, &x0);
    assert_true(vcpuhp_vcpu_enter(f->hp, 1));
    assert_int_equal(call(f, 1, CPU_OFF, 0, &x0), VCPUHP_PSCI_PARK);
    assert_true(vcpuhp_query(f->hp, 1, &info, NULL));
    assert_int_equal(info.power, VCPUHP_POWER_OFF);
    assert_true(reported(f, VCPUHP_EVENT_OFF));
}

static void a_kicked_vcpu_parks(void **state)
{
    Fixture *f = *state;
    uint64_t x0;

    start(f);
    call(f, 0, CPU_ON64, 1, &x0);
    assert_true(vcpuhp_vcpu_enter(f->hp, 1));
    assert_false(vcpuhp_vcpu_park_if_asked(f->hp, 1));
    assert_true(vcpuhp_force(f->hp, 1, NULL));
    assert_int_equal(f->kicked, 1);
    assert_false(reported(f, VCPUHP_EVENT_FORCED));
    assert_true(vcpuhp_vcpu_park_if_asked(f->hp, 1));
    assert_true(reported(f, VCPUHP_EVENT_FORCED));
    g_array_set_size(f->events, 0);
    assert_true(vcpuhp_vcpu_park_if_asked(f->hp, 1));
    assert_int_equal(f->events->len, 0);
}

static void a_vcpu_called_off_before_its_thread_came_does_not_enter(void **state)
{
    Fixture *f = *state;

    assert_true(vcpuhp_start(f->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), 0}, NULL));
    vcpuhp_stop(f->hp);
    assert_false(reported(f, VCPUHP_EVENT_STOPPED));
    assert_false(vcpuhp_vcpu_enter(f->hp, 0));
    assert_true(reported(f, VCPUHP_EVENT_STOPPED));
}

static void reset_needs_a_stopped_machine(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    start(f);
    assert_false(vcpuhp_reset(f->hp, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
}

static void stop_reset_start_runs_again(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    start(f);
    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    vcpuhp_stop(f->hp);
    assert_true(vcpuhp_vcpu_park_if_asked(f->hp, 0));
    assert_false(vcpuhp_start(f->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), 0}, &error));
    assert_true(vcpuhp_reset(f->hp, NULL));
    assert_true(f->irq);
    start(f);
}

static void callbacks_may_call_back(void **state)
{
    Fixture *f = *state;

    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    f->plug_on = 3;
    read_event(f); /* SEEN: plugs vCPU 3 */
    assert_true(f->irq);
    assert_int_equal(read_event(f) & 0xfff, 3);
}

static void timer_fd_is_readable_when_dispatch_is_due(void **state)
{
    Fixture *f = *state;
    struct pollfd pfd = {.fd = vcpuhp_timer_fd(f->hp), .events = POLLIN};
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    assert_int_equal(poll(&pfd, 1, 0), 0);
    assert_true(vcpuhp_plug(f->hp, 2, 0, 1, NULL, NULL));
    assert_int_equal(poll(&pfd, 1, 10000), 1);
    vcpuhp_dispatch(f->hp);
    assert_true(reported(f, VCPUHP_EVENT_ENDED));
    assert_true(vcpuhp_query(f->hp, 2, &info, NULL));
    assert_false(info.enabled);
    assert_int_equal(poll(&pfd, 1, 0), 0);
}

/* Called instead of read() in context.c (-Wl,--wrap=read): the deadline passes just before it. */
static int64_t wait_in_read;

ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd, void *buf, size_t size);

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
    while (wait_in_read && g_get_monotonic_time() <= wait_in_read)
        g_usleep(100);
    return __real_read(fd, buf, size);
}

static void deadline_that_passes_during_dispatch_is_not_lost(void **state)
{
    Fixture *f = *state;

    wait_in_read = g_get_monotonic_time() + 5000;
    assert_true(vcpuhp_plug(f->hp, 2, 0, 2, NULL, NULL));
    vcpuhp_dispatch(f->hp);
    wait_in_read = 0;
    assert_true(reported(f, VCPUHP_EVENT_ENDED));
}

static void free_ends_open_requests(void **state)
{
    Fixture *f = *state;
    g_autoptr(GArray) events = g_array_ref(f->events);

    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    assert_true(vcpuhp_unplug(f->hp, 1, 0, 0, NULL, NULL));
    vcpuhp_free(g_steal_pointer(&f->hp));
    assert_int_equal(events->len, 2);
    assert_true(reported(f, VCPUHP_EVENT_ENDED));
}

static void free_closes_the_timer(void **state)
{
    Fixture *f = *state;
    int fd = vcpuhp_timer_fd(f->hp);

    vcpuhp_free(f->hp);
    f->hp = NULL;
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void no_request_can_be_made_while_the_context_is_freed(void **state)
{
    Fixture *f = *state;

    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    f->plug_on = 3;
    vcpuhp_free(f->hp);
    f->hp = NULL;
    assert_true(g_error_matches(f->plug_error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
}

static void misaligned_entry_of_vcpu_0_is_refused(void **state)
{
    Fixture *f = *state;
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = 0x1002};
    g_autoptr(GError) error = NULL;

    assert_false(vcpuhp_start(f->hp, &entry, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_INVALID));
    assert_non_null(strstr(error->message, "0x1002"));
}

static void start_without_a_thread_is_an_error_of_its_own(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    f->no_thread = true;
    assert_false(vcpuhp_start(f->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry)}, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_NO_THREAD));
    f->no_thread = false;
    assert_true(vcpuhp_start(f->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry)}, NULL));
}

static void line_of_events_before_start_is_set_by_start(void **state)
{
    Fixture *f = *state;

    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    start(f);
    assert_true(f->irq);
    assert_int_equal(f->n_irqs, 1);
}

static void missing_callbacks_are_refused(void **state)
{
    const VcpuhpCallbacks no_start = {.size = sizeof(VcpuhpCallbacks), .vcpu_kick = on_kick};
    const VcpuhpCallbacks no_irq = {
        .size = sizeof(VcpuhpCallbacks), .vcpu_start = on_start, .vcpu_kick = on_kick};
    g_autoptr(GError) error = NULL;
    VcpuhpConfig config;
    Vcpuhp *hp;

    (void)state;
    vcpuhp_config_init(&config, 1, 1);
    assert_null(vcpuhp_new(&config, &no_start, NULL, &error));
    assert_non_null(strstr(error->message, "vcpu_start"));
    g_clear_error(&error);
    hp = vcpuhp_new(&config, &no_irq, NULL, NULL);
    assert_false(vcpuhp_start(hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), 0}, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
    vcpuhp_free(hp);
}

static void counters_count(void **state)
{
    Fixture *f = *state;
    VcpuhpCounters counters = {.size = sizeof(counters)};
    uint64_t x0;

    start(f);
    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    read_event(f);
    call(f, 0, CPU_ON64, 3, &x0);
    vcpuhp_counters(f->hp, &counters, NULL);
    assert_int_equal(counters.event_reads, 1);
    assert_int_equal(counters.irq_raised, 1);
    assert_int_equal(counters.cpu_on_denied, 1);
}

static gpointer hammer(gpointer opaque)
{
    Fixture *f = opaque;

    for (int i = 0; i < 20000; i++) {
        vcpuhp_plug(f->hp, 2 + i % 2, 0, 0, NULL, NULL);
        vcpuhp_unplug(f->hp, 2 + (i + 1) % 2, 0, 0, NULL, NULL);
    }
    return NULL;
}

/* The line ends at the level that the slots have, whichever thread was the last. */
static void interrupt_is_right_after_a_race(void **state)
{
    Fixture *f = *state;
    GThread *threads[3];

    g_array_set_size(f->events, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("hammer", hammer, f);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL);
    assert_true(f->irq);
    while (read_event(f))
        ;
    assert_false(f->irq);
}

static int set_up_silent(void **state)
{
    VcpuhpCallbacks silent = callbacks;
    Fixture *f;
    VcpuhpConfig config;

    /* The event callback above is not thread-safe. */
    silent.event = NULL;
    set_up(state);
    f = *state;
    vcpuhp_free(f->hp);
    vcpuhp_config_init(&config, 4, 1);
    f->hp = vcpuhp_new(&config, &silent, f, NULL);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(start_passes_the_entry_to_vcpu_0),
        TEST(start_twice_is_out_of_order),
        TEST(interrupt_follows_plug_and_event_read),
        TEST(cpu_on_without_a_thread_is_internal_failure),
        TEST(cpu_on_of_a_disabled_vcpu_starts_nothing),
        TEST(cpu_off_parks_the_caller),
        TEST(a_kicked_vcpu_parks),
        TEST(a_vcpu_called_off_before_its_thread_came_does_not_enter),
        TEST(reset_needs_a_stopped_machine),
        TEST(stop_reset_start_runs_again),
        TEST(callbacks_may_call_back),
        TEST(timer_fd_is_readable_when_dispatch_is_due),
        TEST(deadline_that_passes_during_dispatch_is_not_lost),
        TEST(free_ends_open_requests),
        TEST(free_closes_the_timer),
        TEST(no_request_can_be_made_while_the_context_is_freed),
        TEST(misaligned_entry_of_vcpu_0_is_refused),
        TEST(start_without_a_thread_is_an_error_of_its_own),
        TEST(line_of_events_before_start_is_set_by_start),
        TEST(missing_callbacks_are_refused),
        TEST(counters_count),
        cmocka_unit_test_setup_teardown(interrupt_is_right_after_a_race, set_up_silent, tear_down),
    };

    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
