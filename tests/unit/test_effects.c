/* SPDX-License-Identifier: BSD-3-Clause */
/* How a change acts on the world: the order of effects, and a backend that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <vcpuhp/psci.h>

#include "context.h"

#define N_VCPUS     64
#define CPU_OFF     0x84000002
#define FIRST_ENTRY (&(VcpuhpEntry){.size = sizeof(VcpuhpEntry)})

typedef struct Fixture {
    Vcpuhp *hp;
    uint32_t id;
    bool id_was_written; /* when the first event came */
    unsigned n_ended;
    VcpuhpPower power_at_off; /* when the backend let go … */
    bool asked;               /* … of a vCPU that was asked to park */
    bool start_fails;
    bool line;
    bool line_fails;
    unsigned n_line_set, n_host_errors;
} Fixture;

static bool start(void *data, uint32_t vcpu, const VcpuhpEntry *entry, GError **error)
{
    Fixture *f = data;

    (void)vcpu, (void)entry;
    if (f->start_fails)
        g_set_error_literal(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM, "KVM_ARM_VCPU_INIT failed");
    return !f->start_fails;
}

static void off(void *data, uint32_t vcpu, bool asked)
{
    Fixture *f = data;

    f->asked = asked;
    f->power_at_off = f->hp->slots.table[vcpu].power;
}

static void kick(void *data, uint32_t vcpu)
{
    (void)data, (void)vcpu;
}

static bool set_line_locked(void *data, bool level, GError **error)
{
    Fixture *f = data;

    assert_false(g_mutex_trylock(&f->hp->slots.lock));
    f->n_line_set++;
    if (f->line_fails) {
        g_set_error_literal(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM, "KVM_IRQ_LINE failed");
        return false;
    }
    f->line = level;
    return true;
}

static bool reset(void *data, GError **error)
{
    (void)data, (void)error;
    return true;
}

static void free_nothing(void *data)
{
    (void)data;
}

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Fixture *f = opaque;

    f->id_was_written |= f->id != 0 && event->request == f->id;
    f->n_ended += event->kind == VCPUHP_EVENT_ENDED;
    f->n_host_errors += event->kind == VCPUHP_EVENT_HOST_ERROR;
}

static int set_up(void **state)
{
    static const Backend backend = {.vcpu_start = start,
                                    .vcpu_off = off,
                                    .vcpu_kick = kick,
                                    .irq_set_locked = set_line_locked,
                                    .reset = reset,
                                    .free = free_nothing};
    const VcpuhpCallbacks callbacks = {
        .size = sizeof(callbacks), .vcpu_start = on_start, .vcpu_kick = on_kick, .event = on_event};
    Fixture *f = g_new0(Fixture, 1);
    VcpuhpConfig config;

    vcpuhp_config_init(&config, N_VCPUS, 2);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    f->hp = vcpuhp_new(&config, &callbacks, f, NULL);
    assert_non_null(f->hp);
    assert_true(context_set_backend(f->hp, &backend, f, "test", NULL));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    vcpuhp_free(f->hp);
    g_free(f);
    return 0;
}

static void dispatch_acts_on_more_deadlines_than_one_pass_has_room_for(void **state)
{
    Fixture *f = *state;

    for (uint32_t i = 2; i < N_VCPUS; i++)
        assert_true(vcpuhp_plug(f->hp, i, 0, 1, NULL, NULL));
    g_usleep(2000);
    vcpuhp_dispatch(f->hp);
    assert_int_equal(f->n_ended, N_VCPUS - 2);
}

static void free_ends_more_requests_than_one_pass_has_room_for(void **state)
{
    Fixture *f = *state;

    for (uint32_t i = 2; i < N_VCPUS; i++)
        assert_true(vcpuhp_plug(f->hp, i, 0, 0, NULL, NULL));
    vcpuhp_free(f->hp);
    f->hp = NULL;
    assert_int_equal(f->n_ended, N_VCPUS - 2);
}

static void id_of_a_request_is_written_before_its_first_event(void **state)
{
    Fixture *f = *state;

    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    assert_true(vcpuhp_unplug(f->hp, 2, 0, 0, &f->id, NULL));
    assert_true(f->id_was_written);
    f->id = 0;
    f->id_was_written = false;
    assert_true(vcpuhp_unplug(f->hp, 1, 0, 0, NULL, NULL));
    assert_true(vcpuhp_plug(f->hp, 1, 0, 0, &f->id, NULL));
    assert_true(f->id_was_written);
}

static void backend_lets_go_of_a_vcpu_before_it_counts_as_off(void **state)
{
    Fixture *f = *state;
    uint64_t x[4] = {CPU_OFF};

    assert_true(vcpuhp_start(f->hp, FIRST_ENTRY, NULL));
    assert_true(vcpuhp_vcpu_enter(f->hp, 0));
    assert_int_equal(vcpuhp_psci_call(f->hp, 0, x, false), VCPUHP_PSCI_PARK);
    assert_int_equal(f->power_at_off, VCPUHP_POWER_ON);
    assert_int_equal(f->hp->slots.table[0].power, VCPUHP_POWER_OFF);
}

/* One that is asked to park may be in the middle of anything, and needs a reset. */
static void backend_hears_whether_a_vcpu_was_asked_to_park(void **state)
{
    Fixture *f = *state;

    f->asked = true;
    f->start_fails = true;
    assert_false(vcpuhp_start(f->hp, FIRST_ENTRY, NULL));
    assert_false(f->asked);
    f->start_fails = false;
    assert_true(vcpuhp_start(f->hp, FIRST_ENTRY, NULL));
    assert_true(vcpuhp_vcpu_enter(f->hp, 0));
    vcpuhp_stop(f->hp);
    assert_true(vcpuhp_vcpu_park_if_asked(f->hp, 0));
    assert_true(f->asked);
}

static void line_follows_the_requests_under_the_lock(void **state)
{
    Fixture *f = *state;

    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, &f->id, NULL));
    assert_true(f->line);
    assert_true(vcpuhp_cancel(f->hp, f->id, NULL));
    assert_false(f->line);
}

static void line_that_could_not_be_set_is_reported_and_set_again(void **state)
{
    Fixture *f = *state;

    f->line_fails = true;
    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, &f->id, NULL));
    assert_int_equal(f->n_host_errors, 1);
    assert_false(f->hp->line.level);
    assert_int_equal(f->hp->counters.irq_raised, 0);
    f->line_fails = false;
    assert_true(vcpuhp_start(f->hp, FIRST_ENTRY, NULL));
    assert_true(f->line);
    assert_int_equal(f->hp->counters.irq_raised, 1);
}

static void line_that_has_its_level_is_not_set_again(void **state)
{
    Fixture *f = *state;

    assert_true(vcpuhp_plug(f->hp, 2, 0, 0, NULL, NULL));
    assert_true(vcpuhp_start(f->hp, FIRST_ENTRY, NULL));
    assert_int_equal(f->n_line_set, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dispatch_acts_on_more_deadlines_than_one_pass_has_room_for),
        TEST(free_ends_more_requests_than_one_pass_has_room_for),
        TEST(id_of_a_request_is_written_before_its_first_event),
        TEST(backend_lets_go_of_a_vcpu_before_it_counts_as_off),
        TEST(backend_hears_whether_a_vcpu_was_asked_to_park),
        TEST(line_follows_the_requests_under_the_lock),
        TEST(line_that_could_not_be_set_is_reported_and_set_again),
        TEST(line_that_has_its_level_is_not_set_again),
    };

    return cmocka_run_group_tests_name("effects", tests, NULL, NULL);
}
