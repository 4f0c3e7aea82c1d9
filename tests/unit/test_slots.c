/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a slot: policy, requests and their one outcome, events, power. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "slots.h"

#define RETRY_US (30000 * 1000)
#define EJECT_US (30000 * 1000)

/* Four vCPUs: 0 enabled permanently, 1 enabled and removable, 2 and 3 disabled. */
typedef struct Fixture {
    Config config;
    Slots slots;
    Effects fx;
    int64_t now;
    uint32_t id; /* of the last request */
} Fixture;

static int set_up(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    VcpuhpConfig from;

    vcpuhp_config_init(&from, 4, 2);
    from.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    assert_true(config_init(&f->config, &from, NULL));
    slots_init(&f->slots, &f->config);
    effects_init(&f->fx);
    f->now = 1000000;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    slots_clear(&f->slots);
    config_clear(&f->config);
    g_free(f);
    return 0;
}

static void reset(Fixture *f)
{
    effects_init(&f->fx);
    assert_true(slots_reset_begin(&f->slots, NULL));
    slots_reset_end(&f->slots, true, &f->fx);
}

static void plug(Fixture *f, uint32_t vcpu)
{
    effects_init(&f->fx);
    assert_true(slots_plug(&f->slots, vcpu, 0, 0, f->now, &f->id, &f->fx, NULL));
}

static void unplug(Fixture *f, uint32_t vcpu)
{
    effects_init(&f->fx);
    assert_true(slots_unplug(&f->slots, vcpu, 0, 0, f->now, &f->id, &f->fx, NULL));
}

static void assert_plug_fails(Fixture *f, uint32_t vcpu, VcpuhpError code)
{
    g_autoptr(GError) error = NULL;
    Slot before = {0};

    if (vcpu < f->config.n_vcpus)
        before = f->slots.table[vcpu];
    effects_init(&f->fx);
    assert_false(slots_plug(&f->slots, vcpu, 0, 0, f->now, &f->id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, code));
    assert_int_equal(f->fx.n_events, 0);
    if (vcpu < f->config.n_vcpus)
        assert_memory_equal(&before, &f->slots.table[vcpu], sizeof(before));
}

static void assert_unplug_fails(Fixture *f, uint32_t vcpu, VcpuhpError code)
{
    g_autoptr(GError) error = NULL;
    Slot before = {0};

    if (vcpu < f->config.n_vcpus)
        before = f->slots.table[vcpu];
    effects_init(&f->fx);
    assert_false(slots_unplug(&f->slots, vcpu, 0, 0, f->now, &f->id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, code));
    assert_int_equal(f->fx.n_events, 0);
    if (vcpu < f->config.n_vcpus)
        assert_memory_equal(&before, &f->slots.table[vcpu], sizeof(before));
}

static const VcpuhpEvent *find_event(const Fixture *f, VcpuhpEventKind kind)
{
    for (uint32_t i = 0; i < f->fx.n_events; i++)
        if (f->fx.events[i].kind == kind)
            return &f->fx.events[i];
    return NULL;
}

static void assert_ended(const Fixture *f, uint32_t id, VcpuhpOutcome outcome)
{
    const VcpuhpEvent *found = NULL;

    for (uint32_t i = 0; i < f->fx.n_events; i++)
        if (f->fx.events[i].kind == VCPUHP_EVENT_ENDED && f->fx.events[i].request == id)
            found = &f->fx.events[i];
    assert_non_null(found);
    assert_int_equal(found->outcome, outcome);
}

static uint8_t status(const Fixture *f, uint32_t vcpu)
{
    return f->slots.table[vcpu].status;
}

static VcpuhpVcpuInfo query(Fixture *f, uint32_t vcpu)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    assert_true(slots_query(&f->slots, vcpu, &info, NULL));
    return info;
}

static void take(Fixture *f, uint32_t vcpu, uint8_t bits)
{
    uint32_t taken;

    effects_init(&f->fx);
    assert_int_equal(slots_take_next(&f->slots, &taken, f->now, &f->fx), bits);
    assert_int_equal(taken, vcpu);
}

static void ost(Fixture *f, uint32_t vcpu, uint32_t source, uint32_t code)
{
    effects_init(&f->fx);
    slots_ost(&f->slots, vcpu, source, code, &f->fx);
}

static void eject(Fixture *f, uint32_t vcpu)
{
    effects_init(&f->fx);
    slots_eject(&f->slots, vcpu, f->now, &f->fx);
}

static OnResult on(Fixture *f, uint32_t vcpu)
{
    effects_init(&f->fx);
    return slots_on(&f->slots, vcpu, &(Entry){.address = 0x1000}, &f->fx);
}

static void run(Fixture *f, uint32_t vcpu)
{
    assert_int_equal(on(f, vcpu), ON_GRANTED);
    effects_init(&f->fx);
    assert_true(slots_enter(&f->slots, vcpu, &f->fx));
}

static void off(Fixture *f, uint32_t vcpu)
{
    effects_init(&f->fx);
    slots_off(&f->slots, vcpu, &f->fx);
}

static void expire(Fixture *f, int64_t later)
{
    f->now += later;
    effects_init(&f->fx);
    assert_true(slots_expire(&f->slots, f->now, &f->fx));
}

/* --- Plug --- */

static void plug_enables_and_raises_insert(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_INSERT);
    assert_true(f->fx.irq);
    assert_int_equal(f->slots.n_raised, 1);
    assert_int_not_equal(f->id, 0);
    assert_int_equal(query(f, 2).request_state, VCPUHP_REQUEST_RAISED);
}

static void plug_is_done_when_ost_reports_success(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    assert_int_equal(find_event(f, VCPUHP_EVENT_SEEN)->request, f->id);
    ost(f, 2, 1, 0);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
    assert_int_equal(query(f, 2).request_kind, VCPUHP_REQUEST_NONE);
}

static void plug_is_done_when_the_vcpu_runs(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    run(f, 2);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
}

static void plug_is_refused_by_an_insert_ost_with_an_error(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    ost(f, 2, 1, 0x80);
    assert_null(find_event(f, VCPUHP_EVENT_ENDED));
    ost(f, 2, 1, 0x81);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
    assert_int_equal(find_event(f, VCPUHP_EVENT_ENDED)->ost_source, 1);
    assert_int_equal(find_event(f, VCPUHP_EVENT_ENDED)->ost_status, 0x81);
    assert_true(status(f, 2) & SLOT_ENABLED);
}

static void ost_before_the_insert_was_seen_proves_nothing(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    ost(f, 2, 1, 0);
    assert_null(find_event(f, VCPUHP_EVENT_ENDED));
}

static void plug_of_an_unknown_vcpu_fails(void **state)
{
    assert_plug_fails(*state, 4, VCPUHP_ERROR_NO_VCPU);
    assert_plug_fails(*state, UINT32_MAX, VCPUHP_ERROR_NO_VCPU);
}

static void plug_of_an_enabled_vcpu_fails(void **state)
{
    assert_plug_fails(*state, 0, VCPUHP_ERROR_ENABLED);
    assert_plug_fails(*state, 1, VCPUHP_ERROR_ENABLED);
}

static void plug_of_a_pending_vcpu_fails(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    assert_plug_fails(f, 2, VCPUHP_ERROR_PENDING);
    take(f, 2, SLOT_INSERT);
    assert_plug_fails(f, 2, VCPUHP_ERROR_PENDING);
}

static void plug_cancels_an_unplug_that_was_not_seen(void **state)
{
    Fixture *f = *state;
    uint32_t first;

    unplug(f, 1);
    first = f->id;
    plug(f, 1);
    assert_ended(f, first, VCPUHP_OUTCOME_CANCELLED);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
    assert_int_equal(status(f, 1), SLOT_ENABLED);
    assert_int_equal(f->slots.n_raised, 0);
}

static void plug_during_an_unplug_that_was_seen_fails(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    assert_plug_fails(f, 1, VCPUHP_ERROR_PENDING);
}

static void plug_after_ej0_waits_for_the_closing_ost(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    eject(f, 1);
    plug(f, 1);
    assert_int_equal(status(f, 1), 0);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_HELD);
    assert_int_equal(on(f, 1), ON_DENIED);
    ost(f, 1, 3, 0);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT);
    assert_true(f->fx.irq);
}

static void plug_after_ej0_waits_no_longer_than_eject_timeout_ms(void **state)
{
    Fixture *f = *state;

    eject(f, 1);
    plug(f, 1);
    expire(f, EJECT_US - 1);
    assert_int_equal(status(f, 1), 0);
    expire(f, 1);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT);
}

static void plug_after_ej0_waits_for_the_vcpu_to_turn_off(void **state)
{
    Fixture *f = *state;

    run(f, 1);
    eject(f, 1);
    ost(f, 1, 0x103, 0);
    plug(f, 1);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_HELD);
    off(f, 1);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT);
}

/* --- Unplug --- */

static void unplug_raises_remove_and_keeps_the_policy(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_REMOVE);
    assert_true(f->fx.irq);
}

static void unplug_is_done_when_ejected_and_off(void **state)
{
    Fixture *f = *state;

    run(f, 1);
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0x84);
    off(f, 1);
    assert_null(find_event(f, VCPUHP_EVENT_ENDED));
    eject(f, 1);
    assert_non_null(find_event(f, VCPUHP_EVENT_DISABLED));
    assert_non_null(find_event(f, VCPUHP_EVENT_EJECTED));
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
    assert_int_equal(status(f, 1), 0);
}

static void ej0_before_cpu_off_disables_at_once_and_ejects_when_off(void **state)
{
    Fixture *f = *state;

    run(f, 1);
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    eject(f, 1);
    assert_null(find_event(f, VCPUHP_EVENT_EJECTED));
    assert_false(f->fx.kick);
    assert_int_equal(on(f, 1), ON_DENIED);
    off(f, 1);
    assert_non_null(find_event(f, VCPUHP_EVENT_EJECTED));
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
}

static void ej0_without_cpu_off_is_parked_by_force_after_eject_timeout_ms(void **state)
{
    Fixture *f = *state;

    run(f, 1);
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    eject(f, 1);
    expire(f, EJECT_US);
    assert_true(f->fx.kick);
    assert_true(f->fx.kicks[0] & 1 << 1);
    off(f, 1);
    assert_non_null(find_event(f, VCPUHP_EVENT_FORCED));
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
}

static void ost_success_without_ej0_proves_nothing(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0);
    assert_null(find_event(f, VCPUHP_EVENT_ENDED));
    assert_int_equal(status(f, 1), SLOT_ENABLED);
}

static void refusal_keeps_the_vcpu_and_can_be_retried(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0x84);
    assert_null(find_event(f, VCPUHP_EVENT_ENDED));
    ost(f, 1, 3, 0x82);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
    assert_int_equal(status(f, 1), SLOT_ENABLED);
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
}

static void unplug_of_vcpu_0_fails(void **state)
{
    assert_unplug_fails(*state, 0, VCPUHP_ERROR_FIXED);
}

static void unplug_of_a_vcpu_enabled_permanently_fails(void **state)
{
    Fixture *f = *state;

    f->config.n_fixed = 2;
    assert_unplug_fails(f, 1, VCPUHP_ERROR_FIXED);
}

static void unplug_of_a_disabled_vcpu_fails(void **state)
{
    assert_unplug_fails(*state, 2, VCPUHP_ERROR_DISABLED);
}

static void unplug_of_an_unknown_vcpu_fails(void **state)
{
    assert_unplug_fails(*state, 4, VCPUHP_ERROR_NO_VCPU);
}

static void unplug_of_a_pending_vcpu_fails(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    assert_unplug_fails(f, 1, VCPUHP_ERROR_PENDING);
}

static void unplug_undoes_a_plug_that_was_not_seen(void **state)
{
    Fixture *f = *state;
    uint32_t first;

    plug(f, 2);
    first = f->id;
    unplug(f, 2);
    assert_ended(f, first, VCPUHP_OUTCOME_CANCELLED);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
    assert_int_equal(status(f, 2), 0);
    assert_int_equal(f->slots.n_raised, 0);
}

static void unplug_overtakes_a_plug_that_was_seen(void **state)
{
    Fixture *f = *state;
    uint32_t first;

    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    first = f->id;
    unplug(f, 2);
    assert_ended(f, first, VCPUHP_OUTCOME_CANCELLED);
    take(f, 2, SLOT_REMOVE);
    assert_int_equal(find_event(f, VCPUHP_EVENT_SEEN)->request, f->id);
}

static void a_plug_that_status_showed_is_not_undone(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    assert_int_equal(slots_read_status(&f->slots, 2), SLOT_ENABLED | SLOT_INSERT);
    unplug(f, 2);
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE);
}

static void a_plug_that_the_bitmap_showed_is_not_undone(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    assert_int_equal(slots_read_enabled(&f->slots, 0, &f->fx), 0x7);
    unplug(f, 2);
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE);
}

static void insert_and_remove_pending_are_taken_together(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    slots_read_status(&f->slots, 2);
    unplug(f, 2);
    take(f, 2, SLOT_INSERT | SLOT_REMOVE);
    assert_int_equal(f->slots.n_raised, 0);
}

static void inserts_are_taken_before_removes(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    plug(f, 3);
    take(f, 3, SLOT_INSERT);
    take(f, 1, SLOT_REMOVE);
    effects_init(&f->fx);
    assert_int_equal(slots_take_next(&f->slots, &f->id, f->now, &f->fx), 0);
}

/* --- _EJ0 --- */

static void ej0_of_a_fixed_vcpu_is_ignored_and_reported(void **state)
{
    Fixture *f = *state;

    eject(f, 0);
    assert_int_equal(status(f, 0), SLOT_ENABLED);
    assert_non_null(find_event(f, VCPUHP_EVENT_GUEST_ERROR));
}

static void ej0_is_idempotent(void **state)
{
    Fixture *f = *state;

    eject(f, 1);
    eject(f, 1);
    assert_int_equal(f->fx.n_events, 0);
    eject(f, 3);
    assert_int_equal(f->fx.n_events, 0);
}

static void ej0_unasked_for_is_accepted(void **state)
{
    Fixture *f = *state;

    eject(f, 1);
    assert_int_equal(status(f, 1), 0);
    assert_non_null(find_event(f, VCPUHP_EVENT_EJECTED));
}

static void ej0_clears_a_pending_insert_and_refuses_the_plug(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    eject(f, 2);
    assert_int_equal(status(f, 2), 0);
    assert_int_equal(f->slots.n_raised, 0);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
}

static void ej0_clears_a_pending_remove_and_does_the_unplug(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    eject(f, 1);
    assert_int_equal(f->slots.n_raised, 0);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
}

static void firmware_remove_ends_with_the_eject(void **state)
{
    Fixture *f = *state;

    effects_init(&f->fx);
    slots_fw_remove(&f->slots, 1, f->now, &f->fx);
    assert_int_equal(slots_find_event(&f->slots, 0), 1);
    eject(f, 1);
    assert_int_equal(slots_find_event(&f->slots, 0), -1);
}

/* --- The event search --- */

static void find_event_begins_at_from_and_wraps_once(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    plug(f, 3);
    assert_int_equal(slots_find_event(&f->slots, 0), 1);
    assert_int_equal(slots_find_event(&f->slots, 1), 1);
    assert_int_equal(slots_find_event(&f->slots, 2), 3);
    eject(f, 3);
    assert_int_equal(slots_find_event(&f->slots, 2), 1);
}

/* --- Cancel, repeat, time --- */

static void cancel_takes_an_unseen_request_back(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    effects_init(&f->fx);
    assert_true(slots_cancel(&f->slots, f->id, &f->fx, NULL));
    assert_ended(f, f->id, VCPUHP_OUTCOME_CANCELLED);
    assert_int_equal(status(f, 2), 0);
    assert_int_equal(f->slots.n_raised, 0);
}

static void cancel_of_a_seen_request_is_too_late(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    assert_false(slots_cancel(&f->slots, f->id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_TOO_LATE));
}

static void cancel_of_a_held_plug_works(void **state)
{
    Fixture *f = *state;

    eject(f, 1);
    plug(f, 1);
    effects_init(&f->fx);
    assert_true(slots_cancel(&f->slots, f->id, &f->fx, NULL));
    ost(f, 1, 0x103, 0);
    assert_int_equal(status(f, 1), 0);
}

static void unplug_can_be_cancelled_after_enabled_was_read(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    run(f, 2);
    unplug(f, 2);
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE);
    effects_init(&f->fx);
    slots_read_enabled(&f->slots, 0, &f->fx);
    assert_true(slots_cancel(&f->slots, f->id, &f->fx, NULL));
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_INSERT);
}

static void cancel_of_no_request_fails(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    assert_false(slots_cancel(&f->slots, 0, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_NO_REQUEST));
}

static void repeat_raises_a_taken_request_again(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    effects_init(&f->fx);
    assert_true(slots_repeat(&f->slots, f->id, &f->fx, NULL));
    assert_true(f->fx.irq);
    take(f, 1, SLOT_REMOVE);
    assert_null(find_event(f, VCPUHP_EVENT_SEEN));
}

static void a_taken_request_is_raised_again_after_retry_ms(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    expire(f, RETRY_US - 1);
    assert_int_equal(f->slots.n_raised, 0);
    expire(f, 1);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_REMOVE);
    assert_true(f->fx.irq);
}

static void a_request_in_progress_is_not_raised_again(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0x84);
    expire(f, 2 * RETRY_US);
    assert_int_equal(f->slots.n_raised, 0);
}

static void timeout_undoes_an_unseen_request(void **state)
{
    Fixture *f = *state;

    effects_init(&f->fx);
    assert_true(slots_plug(&f->slots, 2, 0, 100, f->now, &f->id, &f->fx, NULL));
    assert_true(f->fx.timer);
    expire(f, 99999);
    assert_int_equal(f->fx.n_events, 0);
    expire(f, 1);
    assert_ended(f, f->id, VCPUHP_OUTCOME_TIMED_OUT);
    assert_int_equal(status(f, 2), 0);
    assert_int_equal(f->slots.wake, 0);
}

static void timeout_of_a_seen_request_leaves_the_policy(void **state)
{
    Fixture *f = *state;

    effects_init(&f->fx);
    assert_true(slots_unplug(&f->slots, 1, 0, 100, f->now, &f->id, &f->fx, NULL));
    take(f, 1, SLOT_REMOVE);
    expire(f, 100000);
    assert_ended(f, f->id, VCPUHP_OUTCOME_TIMED_OUT);
    assert_int_equal(status(f, 1), SLOT_ENABLED);
}

static void many_timeouts_at_once_are_all_reported(void **state)
{
    Fixture *f;
    VcpuhpConfig from;
    uint32_t n_ended = 0;
    bool done;

    (void)state;
    f = g_new0(Fixture, 1);
    vcpuhp_config_init(&from, 512, 1);
    assert_true(config_init(&f->config, &from, NULL));
    slots_init(&f->slots, &f->config);
    for (uint32_t i = 1; i < 512; i++) {
        effects_init(&f->fx);
        assert_true(slots_plug(&f->slots, i, 0, 1, 0, &f->id, &f->fx, NULL));
    }
    do {
        effects_init(&f->fx);
        done = slots_expire(&f->slots, 1000, &f->fx);
        n_ended += f->fx.n_events;
    } while (!done);
    assert_int_equal(n_ended, 511);
    assert_int_equal(f->slots.n_raised, 0);
    slots_clear(&f->slots);
    config_clear(&f->config);
    g_free(f);
}

/* After a load, until the resume: slots_resume() finds out what is due. */
static void nothing_is_due_while_time_stands_still(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    f->slots.loaded_at = f->now;
    expire(f, RETRY_US);
    assert_int_equal(f->fx.n_events, 0);
    assert_int_equal(f->slots.wake, 0);
}

/* --- Events --- */

static void events_are_searched_from_a_slot_on_and_around_the_end(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    VcpuhpConfig from;

    (void)state;
    vcpuhp_config_init(&from, 192, 1);
    assert_true(config_init(&f->config, &from, NULL));
    slots_init(&f->slots, &f->config);
    assert_int_equal(slots_find_event(&f->slots, 0), -1);
    plug(f, 70);
    plug(f, 140);
    assert_int_equal(slots_find_event(&f->slots, 0), 70);
    assert_int_equal(slots_find_event(&f->slots, 70), 70);
    assert_int_equal(slots_find_event(&f->slots, 71), 140);
    assert_int_equal(slots_find_event(&f->slots, 141), 70);
    slots_clear(&f->slots);
    config_clear(&f->config);
    g_free(f);
}

static void count_of_unanswered_events_stays_at_its_maximum(void **state)
{
    Fixture *f = *state;

    f->slots.table[2].inserts_taken = f->slots.table[1].removes_taken = UINT16_MAX;
    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    assert_int_equal(f->slots.table[2].inserts_taken, UINT16_MAX);
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    assert_int_equal(f->slots.table[1].removes_taken, UINT16_MAX);
}

/* --- Force --- */

static void force_parks_and_disables_without_consent(void **state)
{
    Fixture *f = *state;

    run(f, 1);
    unplug(f, 1);
    effects_init(&f->fx);
    assert_true(slots_force(&f->slots, 1, &f->fx, NULL));
    assert_true(f->fx.kick);
    assert_int_equal(status(f, 1), 0);
    assert_int_equal(on(f, 1), ON_DENIED);
    off(f, 1);
    assert_non_null(find_event(f, VCPUHP_EVENT_FORCED));
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
}

static void force_of_an_off_vcpu_is_done_at_once(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    effects_init(&f->fx);
    assert_true(slots_force(&f->slots, 2, &f->fx, NULL));
    assert_ended(f, f->id, VCPUHP_OUTCOME_CANCELLED);
    assert_non_null(find_event(f, VCPUHP_EVENT_FORCED));
    assert_int_equal(f->slots.n_raised, 0);
}

static void force_of_a_fixed_or_disabled_vcpu_fails(void **state)
{
    Fixture *f = *state;

    assert_false(slots_force(&f->slots, 0, &f->fx, NULL));
    assert_false(slots_force(&f->slots, 3, &f->fx, NULL));
    assert_false(slots_force(&f->slots, 4, &f->fx, NULL));
}

/* --- Power --- */

static void cpu_on_asks_policy_before_state(void **state)
{
    Fixture *f = *state;

    assert_int_equal(on(f, 2), ON_DENIED);
    assert_int_equal(on(f, 1), ON_GRANTED);
    assert_int_equal(on(f, 1), ON_PENDING);
    effects_init(&f->fx);
    slots_enter(&f->slots, 1, &f->fx);
    assert_int_equal(on(f, 1), ON_ALREADY);
    eject(f, 1);
    assert_int_equal(on(f, 1), ON_DENIED);
}

static void denials_are_reported_at_powers_of_two(void **state)
{
    Fixture *f = *state;
    int reported = 0;

    for (int i = 0; i < 1000; i++) {
        on(f, 2);
        reported += f->fx.n_events;
    }
    assert_int_equal(reported, 10);
}

static void guest_errors_are_reported_at_powers_of_two(void **state)
{
    Fixture *f = *state;
    int reported = 0;

    for (int i = 0; i < 1000; i++) {
        effects_init(&f->fx);
        slots_guest_error(&f->slots, i, "x", &f->fx);
        reported += f->fx.n_events;
        if (f->fx.n_events)
            assert_string_equal(f->fx.events[0].text, "x");
    }
    assert_int_equal(reported, 10);
}

static void a_vcpu_ejected_before_it_entered_does_not_run(void **state)
{
    Fixture *f = *state;

    assert_int_equal(on(f, 1), ON_GRANTED);
    eject(f, 1);
    effects_init(&f->fx);
    assert_false(slots_enter(&f->slots, 1, &f->fx));
    off(f, 1);
    assert_non_null(find_event(f, VCPUHP_EVENT_EJECTED));
    assert_null(find_event(f, VCPUHP_EVENT_OFF));
}

/* Its state was loaded, and is that of the middle of anything. */
static void a_vcpu_that_goes_on_after_a_load_and_is_stopped_first_was_asked_to_park(void **state)
{
    Fixture *f = *state;

    run(f, 1);
    f->slots.table[1].adopted = true;
    effects_init(&f->fx);
    slots_stop(&f->slots, &f->fx);
    effects_init(&f->fx);
    assert_false(slots_enter(&f->slots, 1, &f->fx));
    assert_int_equal(f->fx.off, 1);
    assert_true(f->fx.off_asked);
}

static void a_vcpu_that_was_called_off_before_a_load_was_asked_to_park(void **state)
{
    Fixture *f = *state;

    run(f, 1);
    f->slots.table[1].to_resume = f->slots.table[1].adopted = f->slots.table[1].park = true;
    effects_init(&f->fx);
    slots_resume_vcpu(&f->slots, 1, &f->fx);
    assert_int_equal(f->fx.off, 1);
    assert_true(f->fx.off_asked);
}

static void stop_kicks_all_that_run_and_reports_when_the_last_has_parked(void **state)
{
    Fixture *f = *state;

    run(f, 0);
    run(f, 1);
    effects_init(&f->fx);
    slots_stop(&f->slots, &f->fx);
    assert_int_equal(f->fx.kicks[0], 0x3);
    off(f, 0);
    assert_null(find_event(f, VCPUHP_EVENT_STOPPED));
    off(f, 1);
    assert_non_null(find_event(f, VCPUHP_EVENT_STOPPED));
    assert_int_equal(on(f, 1), ON_STOPPED);
}

static void stop_of_a_stopped_machine_reports_at_once(void **state)
{
    Fixture *f = *state;

    effects_init(&f->fx);
    slots_stop(&f->slots, &f->fx);
    assert_non_null(find_event(f, VCPUHP_EVENT_STOPPED));
}

static void reset_keeps_policy_and_unseen_requests(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    effects_init(&f->fx);
    reset(f);
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_INSERT);
    assert_int_equal(status(f, 1), SLOT_ENABLED);
    assert_int_equal(query(f, 2).request, f->id);
}

static void reset_raises_again_what_was_seen_but_not_carried_out(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0x84);
    effects_init(&f->fx);
    reset(f);
    assert_true(f->fx.irq);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_REMOVE);
    assert_int_equal(query(f, 1).request, f->id);
}

static void reset_closes_an_eject_and_lets_the_held_plug_go(void **state)
{
    Fixture *f = *state;

    eject(f, 1);
    plug(f, 1);
    effects_init(&f->fx);
    reset(f);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT);
}

static void interrupt_is_high_while_any_bit_is_set(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    assert_true(f->fx.irq);
    plug(f, 3);
    assert_false(f->fx.irq);
    take(f, 2, SLOT_INSERT);
    assert_false(f->fx.irq);
    take(f, 3, SLOT_INSERT);
    assert_true(f->fx.irq);
    assert_int_equal(f->slots.n_raised, 0);
}

static void a_slot_takes_little_memory(void **state)
{
    (void)state;
    assert_true(sizeof(Slot) <= 128);
}

/* --- True outcomes --- */

static void unplug_that_root_overtook_is_not_undone_by_a_plug(void **state)
{
    Fixture *f = *state;
    uint32_t id;
    g_autoptr(GError) error = NULL;

    run(f, 1);
    unplug(f, 1);
    id = f->id;
    eject(f, 1);
    assert_plug_fails(f, 1, VCPUHP_ERROR_PENDING);
    assert_false(slots_cancel(&f->slots, id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_TOO_LATE));
    off(f, 1);
    assert_ended(f, id, VCPUHP_OUTCOME_DONE);
}

static void unplug_that_a_force_overtook_is_not_undone_by_a_plug(void **state)
{
    Fixture *f = *state;
    uint32_t id;

    run(f, 1);
    unplug(f, 1);
    id = f->id;
    effects_init(&f->fx);
    assert_true(slots_force(&f->slots, 1, &f->fx, NULL));
    assert_plug_fails(f, 1, VCPUHP_ERROR_PENDING);
    off(f, 1);
    assert_ended(f, id, VCPUHP_OUTCOME_DONE);
}

static void unplug_that_undoes_a_held_plug_is_done_when_the_vcpu_is_off(void **state)
{
    Fixture *f = *state;
    uint32_t held;

    run(f, 1);
    eject(f, 1);
    plug(f, 1);
    held = f->id;
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_HELD);
    unplug(f, 1);
    assert_ended(f, held, VCPUHP_OUTCOME_CANCELLED);
    assert_int_equal(query(f, 1).request, f->id);
    off(f, 1);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
    assert_int_equal(status(f, 1), 0);
}

static void refused_unplug_is_not_asked_any_more(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    expire(f, RETRY_US);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_REMOVE);
    ost(f, 1, 3, 0x82);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
    assert_int_equal(status(f, 1), SLOT_ENABLED);
    assert_true(f->fx.irq);
}

static void plug_whose_eject_the_firmware_has_is_not_undone(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    plug(f, 2);
    effects_init(&f->fx);
    slots_fw_remove(&f->slots, 2, f->now, &f->fx);
    assert_false(slots_cancel(&f->slots, f->id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_TOO_LATE));
    eject(f, 2);
    assert_int_equal(status(f, 2), 0);
}

static void firmware_remove_takes_the_insert(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    effects_init(&f->fx);
    slots_fw_remove(&f->slots, 2, f->now, &f->fx);
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_FW_REMOVE);
    assert_true(f->fx.irq);
    assert_int_equal(find_event(f, VCPUHP_EVENT_SEEN)->request, f->id);
}

static void insert_is_not_raised_while_the_firmware_has_to_eject(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    effects_init(&f->fx);
    slots_fw_remove(&f->slots, 2, f->now, &f->fx);
    assert_true(slots_repeat(&f->slots, f->id, &f->fx, NULL));
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_FW_REMOVE);
    expire(f, RETRY_US);
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_FW_REMOVE);
    assert_int_equal(f->slots.wake, 0);
    reset(f);
    assert_int_equal(status(f, 2), SLOT_ENABLED | SLOT_FW_REMOVE);
    eject(f, 2);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
}

static void request_in_progress_is_not_raised_again_by_time(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    expire(f, RETRY_US);
    ost(f, 1, 3, 0x84);
    assert_int_equal(status(f, 1), SLOT_ENABLED);
    assert_int_equal(f->slots.table[1].retry_at, 0);
    expire(f, 10 * RETRY_US);
    assert_int_equal(status(f, 1), SLOT_ENABLED);
}

static void new_ospm_is_notified_of_what_the_previous_one_took(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0x84);
    effects_init(&f->fx);
    slots_read_enabled(&f->slots, 0, &f->fx);
    assert_true(f->fx.irq);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_REMOVE);
}

static void eject_of_a_forced_vcpu_holds_the_next_plug_until_it_is_closed(void **state)
{
    Fixture *f = *state;

    effects_init(&f->fx);
    assert_true(slots_force(&f->slots, 1, &f->fx, NULL));
    eject(f, 1);
    assert_null(find_event(f, VCPUHP_EVENT_DISABLED));
    plug(f, 1);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_HELD);
    ost(f, 1, 3, 0);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_RAISED);
}

static void repeated_ejects_do_not_extend_the_hold(void **state)
{
    Fixture *f = *state;

    eject(f, 1);
    plug(f, 1);
    f->now += EJECT_US / 2;
    eject(f, 1);
    expire(f, EJECT_US / 2);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_RAISED);
}

static void ost_of_an_eject_that_the_guest_began_answers_no_request(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 0x103, 0x82);
    assert_int_equal(find_event(f, VCPUHP_EVENT_OST)->request, 0);
    assert_null(find_event(f, VCPUHP_EVENT_ENDED));
    assert_int_equal(query(f, 1).request, f->id);
}

static void ids_skip_open_requests_when_they_wrap(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    assert_int_equal(f->id, 1);
    f->slots.last_request = UINT32_MAX;
    plug(f, 3);
    assert_int_equal(f->id, 2);
}

static void events_are_numbered_in_the_order_of_the_changes(void **state)
{
    Fixture *f = *state;
    uint64_t last;

    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    last = find_event(f, VCPUHP_EVENT_SEEN)->sequence;
    assert_int_equal(last, 1);
    ost(f, 2, 1, 0);
    assert_int_equal(find_event(f, VCPUHP_EVENT_OST)->sequence, last + 1);
    assert_int_equal(find_event(f, VCPUHP_EVENT_ENDED)->sequence, last + 2);
}

/* --- Answers to earlier events --- */

static void unplug_until(Fixture *f, uint32_t vcpu, uint32_t timeout_ms)
{
    effects_init(&f->fx);
    assert_true(slots_unplug(&f->slots, vcpu, 0, timeout_ms, f->now, &f->id, &f->fx, NULL));
}

static void assert_ost_answers_nothing(Fixture *f, uint32_t vcpu, uint32_t source, uint32_t code)
{
    ost(f, vcpu, source, code);
    assert_int_equal(find_event(f, VCPUHP_EVENT_OST)->request, 0);
    assert_null(find_event(f, VCPUHP_EVENT_ENDED));
}

static void answer_to_an_earlier_device_check_does_not_end_a_plug(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    eject(f, 2);
    ost(f, 2, 0x103, 0);
    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    assert_ost_answers_nothing(f, 2, 1, 0x80);
    assert_ost_answers_nothing(f, 2, 1, 0);
    ost(f, 2, 1, 0);
    assert_int_equal(find_event(f, VCPUHP_EVENT_OST)->request, f->id);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
}

static void answer_to_an_earlier_eject_request_does_not_refuse_an_unplug(void **state)
{
    Fixture *f = *state;

    unplug_until(f, 1, 1000);
    take(f, 1, SLOT_REMOVE);
    expire(f, 1000 * 1000);
    assert_ended(f, f->id, VCPUHP_OUTCOME_TIMED_OUT);
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    assert_ost_answers_nothing(f, 1, 3, 0x82);
    ost(f, 1, 3, 0x82);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
}

static void progress_of_an_earlier_eject_request_does_not_stop_the_retry(void **state)
{
    Fixture *f = *state;

    unplug_until(f, 1, 1000);
    take(f, 1, SLOT_REMOVE);
    expire(f, 1000 * 1000);
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    assert_ost_answers_nothing(f, 1, 3, 0x84);
    expire(f, RETRY_US);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_REMOVE);
}

static void retry_makes_up_for_an_answer_that_was_lost(void **state)
{
    Fixture *f = *state;

    unplug_until(f, 1, 1000);
    take(f, 1, SLOT_REMOVE);
    expire(f, 1000 * 1000); /* and it is never answered */
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    assert_ost_answers_nothing(f, 1, 3, 0x82);
    expire(f, RETRY_US);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0x82);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
}

static void answer_without_an_event_does_not_count(void **state)
{
    Fixture *f = *state;

    assert_ost_answers_nothing(f, 2, 1, 0);
    plug(f, 2);
    assert_ost_answers_nothing(f, 2, 1, 0);
    take(f, 2, SLOT_INSERT);
    ost(f, 2, 1, 0);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
    assert_ost_answers_nothing(f, 2, 1, 0);
}

static void machine_reset_forgets_what_was_not_answered(void **state)
{
    Fixture *f = *state;

    unplug_until(f, 1, 1000);
    take(f, 1, SLOT_REMOVE);
    expire(f, 1000 * 1000);
    reset(f);
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0x82);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
}

static void new_ospm_does_not_answer_what_the_last_one_took(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    effects_init(&f->fx);
    slots_read_enabled(&f->slots, 0, &f->fx);
    assert_ost_answers_nothing(f, 1, 3, 0x82);
    take(f, 1, SLOT_REMOVE);
    ost(f, 1, 3, 0x82);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
}

static void new_ospm_need_not_close_the_eject_of_the_last_one(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    eject(f, 1);
    plug(f, 1);
    effects_init(&f->fx);
    assert_int_equal(slots_read_enabled(&f->slots, 0, &f->fx) & 1 << 1, 1 << 1);
    assert_true(f->fx.irq);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_RAISED);
    assert_false(slots_cancel(&f->slots, f->id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_TOO_LATE));
}

static void insert_that_the_firmware_made_void_has_no_answer_to_come(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    effects_init(&f->fx);
    slots_fw_remove(&f->slots, 2, f->now, &f->fx);
    eject(f, 2);
    ost(f, 2, 3, 0);
    plug(f, 2);
    take(f, 2, SLOT_INSERT);
    ost(f, 2, 1, 0);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
}

/* An unplug whose Eject Request the guest took twice, and carried out once. */
static void eject_one_of_two(Fixture *f)
{
    unplug(f, 1);
    take(f, 1, SLOT_REMOVE);
    effects_init(&f->fx);
    assert_true(slots_repeat(&f->slots, f->id, &f->fx, NULL));
    take(f, 1, SLOT_REMOVE);
    eject(f, 1);
    ost(f, 1, 3, 0);
}

static void plug_waits_for_an_eject_request_that_is_still_to_be_answered(void **state)
{
    Fixture *f = *state;

    eject_one_of_two(f);
    plug(f, 1);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_HELD);
    eject(f, 1);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_HELD);
    ost(f, 1, 3, 0);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT);
}

static void plug_waits_no_longer_than_eject_timeout_ms_for_an_answer(void **state)
{
    Fixture *f = *state;

    eject_one_of_two(f);
    plug(f, 1);
    expire(f, EJECT_US);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT);
}

static void eject_closed_in_progress_is_still_open(void **state)
{
    Fixture *f = *state;

    eject(f, 1);
    plug(f, 1);
    ost(f, 1, 3, 0x84);
    assert_true(query(f, 1).ejecting);
    ost(f, 1, 0x103, 0x84);
    assert_true(query(f, 1).ejecting);
    ost(f, 1, 0x103, 0x80);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT);
}

static void every_source_of_an_insertion_answers_a_plug(void **state)
{
    static const uint32_t sources[] = {VCPUHP_OST_SOURCE_BUS_CHECK, VCPUHP_OST_SOURCE_DEVICE_CHECK,
                                       VCPUHP_OST_SOURCE_INSERT};
    Fixture *f = *state;

    for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++) {
        plug(f, 2);
        take(f, 2, SLOT_INSERT);
        ost(f, 2, sources[i], 0);
        assert_int_equal(find_event(f, VCPUHP_EVENT_OST)->request, f->id);
        assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
        eject(f, 2);
        ost(f, 2, VCPUHP_OST_SOURCE_EJECT, 0);
    }
}

static void query_tells_which_vcpus_are_fixed(void **state)
{
    Fixture *f = *state;

    assert_true(query(f, 0).fixed);
    assert_false(query(f, 1).fixed);
}

/* --- Timers of several vCPUs --- */

static void assert_wakes_for(Fixture *f, int64_t when)
{
    assert_int_equal(f->slots.wake, when);
    effects_init(&f->fx);
    assert_true(slots_expire(&f->slots, f->now, &f->fx));
    assert_int_equal(f->slots.wake, when);
    assert_true(f->fx.timer);
}

static void a_timer_that_is_not_due_stays_armed(void **state)
{
    Fixture *f = *state;

    unplug_until(f, 1, 5000);
    assert_wakes_for(f, f->now + 5000 * 1000);
    f->config.retry_ms = 4000;
    take(f, 1, SLOT_REMOVE);
    assert_wakes_for(f, f->now + 4000 * 1000);
    f->config.eject_timeout_ms = 3000;
    eject(f, 2);
    assert_wakes_for(f, f->now + 3000 * 1000);
}

static void the_earliest_of_the_timers_wakes(void **state)
{
    Fixture *f = *state;

    eject(f, 2);
    assert_int_equal(f->slots.wake, f->now + EJECT_US);
    unplug_until(f, 1, 1000);
    assert_true(f->fx.timer);
    assert_int_equal(f->slots.wake, f->now + 1000 * 1000);
    eject(f, 3);
    assert_int_equal(f->slots.wake, f->now + 1000 * 1000);
}

/* --- VCPUHP_UNTIL_ON --- */

static void plug_until_on(Fixture *f, uint32_t vcpu, uint32_t timeout_ms)
{
    effects_init(&f->fx);
    assert_true(
        slots_plug(&f->slots, vcpu, VCPUHP_UNTIL_ON, timeout_ms, f->now, &f->id, &f->fx, NULL));
}

static void plug_until_on_is_done_when_the_vcpu_runs(void **state)
{
    Fixture *f = *state;

    plug_until_on(f, 2, 0);
    take(f, 2, SLOT_INSERT);
    ost(f, 2, 1, 0);
    assert_null(find_event(f, VCPUHP_EVENT_ENDED));
    assert_int_equal(find_event(f, VCPUHP_EVENT_OST)->request, f->id);
    run(f, 2);
    assert_ended(f, f->id, VCPUHP_OUTCOME_DONE);
}

static void plug_until_on_that_succeeded_is_not_raised_again_but_times_out(void **state)
{
    Fixture *f = *state;

    plug_until_on(f, 2, 100 * 1000);
    take(f, 2, SLOT_INSERT);
    ost(f, 2, 1, 0);
    expire(f, RETRY_US);
    assert_int_equal(status(f, 2), SLOT_ENABLED);
    expire(f, 100 * 1000 * (int64_t)1000);
    assert_ended(f, f->id, VCPUHP_OUTCOME_TIMED_OUT);
    assert_int_equal(status(f, 2), SLOT_ENABLED);
}

static void plug_until_on_is_refused_by_ost(void **state)
{
    Fixture *f = *state;

    plug_until_on(f, 2, 0);
    take(f, 2, SLOT_INSERT);
    ost(f, 2, 1, 0x81);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
}

static void plug_until_on_in_place_of_an_unplug_waits_for_the_vcpu_too(void **state)
{
    Fixture *f = *state;
    uint32_t unplugged;

    unplug(f, 1);
    unplugged = f->id;
    plug_until_on(f, 1, 0);
    assert_ended(f, unplugged, VCPUHP_OUTCOME_CANCELLED);
    assert_int_equal(query(f, 1).request, f->id);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT);
    unplug(f, 1); /* which must not undo what was enabled before */
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE);
}

static void plug_until_on_in_place_of_an_unplug_is_not_undone_after_a_reset(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    unplug(f, 1);
    plug_until_on(f, 1, 0);
    reset(f);
    assert_false(slots_cancel(&f->slots, f->id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_TOO_LATE));
    unplug(f, 1);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE);
    assert_int_equal(query(f, 1).request, f->id);
}

static void plug_until_on_raises_no_insert_while_the_firmware_has_to_eject(void **state)
{
    Fixture *f = *state;

    effects_init(&f->fx);
    slots_fw_remove(&f->slots, 1, f->now, &f->fx);
    unplug(f, 1);
    plug_until_on(f, 1, 0);
    assert_int_equal(status(f, 1), SLOT_ENABLED | SLOT_FW_REMOVE);
    assert_int_equal(query(f, 1).request_state, VCPUHP_REQUEST_SEEN);
    eject(f, 1);
    assert_ended(f, f->id, VCPUHP_OUTCOME_REFUSED);
}

static void unknown_flags_are_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    effects_init(&f->fx);
    assert_false(slots_plug(&f->slots, 2, 2, 0, f->now, &f->id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_INVALID));
    g_clear_error(&error);
    assert_false(slots_unplug(&f->slots, 1, VCPUHP_UNTIL_ON, 0, f->now, &f->id, &f->fx, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_INVALID));
    assert_int_equal(f->fx.n_events, 0);
}

/* --- Stops --- */

static void stop(Fixture *f)
{
    effects_init(&f->fx);
    slots_stop(&f->slots, &f->fx);
}

static void stops_before_stopped_share_it(void **state)
{
    Fixture *f = *state;

    run(f, 0);
    stop(f);
    stop(f);
    assert_null(find_event(f, VCPUHP_EVENT_STOPPED));
    off(f, 0);
    assert_non_null(find_event(f, VCPUHP_EVENT_STOPPED));
    reset(f);
    assert_int_equal(on(f, 0), ON_GRANTED);
}

static void stop_after_stopped_outlives_the_reset(void **state)
{
    Fixture *f = *state;

    run(f, 0);
    stop(f);
    off(f, 0);
    stop(f);
    assert_non_null(find_event(f, VCPUHP_EVENT_STOPPED));
    reset(f);
    assert_int_equal(on(f, 0), ON_STOPPED);
    reset(f);
    assert_int_equal(on(f, 0), ON_GRANTED);
}

static void stop_during_a_reset_outlives_it(void **state)
{
    Fixture *f = *state;

    assert_true(slots_reset_begin(&f->slots, NULL));
    assert_int_equal(on(f, 0), ON_STOPPED);
    stop(f);
    slots_reset_end(&f->slots, true, &f->fx);
    assert_int_equal(on(f, 0), ON_STOPPED);
}

static void reset_that_failed_must_be_repeated(void **state)
{
    Fixture *f = *state;

    stop(f);
    assert_true(slots_reset_begin(&f->slots, NULL));
    slots_reset_end(&f->slots, false, &f->fx);
    assert_int_equal(on(f, 0), ON_STOPPED);
    reset(f);
    assert_int_equal(on(f, 0), ON_GRANTED);
}

static void resets_do_not_overlap(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    assert_true(slots_reset_begin(&f->slots, NULL));
    assert_false(slots_reset_begin(&f->slots, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
}

/* --- Mistakes of the VMM --- */

static void enter_of_a_vcpu_that_is_not_pending_has_no_effect(void **state)
{
    Fixture *f = *state;

    run(f, 0);
    effects_init(&f->fx);
    assert_false(slots_enter(&f->slots, 0, &f->fx));
    assert_false(slots_enter(&f->slots, 1, &f->fx));
    assert_int_equal(f->fx.off, -1);
    assert_int_equal(f->fx.n_events, 0);
    assert_int_equal(f->slots.n_running, 1);
    assert_false(slots_reset_begin(&f->slots, NULL));
}

static void end_of_the_context_cancels_every_request(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    plug(f, 3);
    effects_init(&f->fx);
    assert_true(slots_end_requests(&f->slots, &f->fx));
    assert_ended(f, f->id, VCPUHP_OUTCOME_CANCELLED);
    assert_int_equal(f->fx.n_events, 2);
    assert_true(slots_end_requests(&f->slots, &f->fx));
    assert_int_equal(f->fx.n_events, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(unplug_that_root_overtook_is_not_undone_by_a_plug),
        TEST(unplug_that_a_force_overtook_is_not_undone_by_a_plug),
        TEST(unplug_that_undoes_a_held_plug_is_done_when_the_vcpu_is_off),
        TEST(refused_unplug_is_not_asked_any_more),
        TEST(plug_whose_eject_the_firmware_has_is_not_undone),
        TEST(firmware_remove_takes_the_insert),
        TEST(insert_is_not_raised_while_the_firmware_has_to_eject),
        TEST(request_in_progress_is_not_raised_again_by_time),
        TEST(new_ospm_is_notified_of_what_the_previous_one_took),
        TEST(eject_of_a_forced_vcpu_holds_the_next_plug_until_it_is_closed),
        TEST(repeated_ejects_do_not_extend_the_hold),
        TEST(ost_of_an_eject_that_the_guest_began_answers_no_request),
        TEST(ids_skip_open_requests_when_they_wrap),
        TEST(events_are_numbered_in_the_order_of_the_changes),
        TEST(plug_until_on_is_done_when_the_vcpu_runs),
        TEST(plug_until_on_that_succeeded_is_not_raised_again_but_times_out),
        TEST(plug_until_on_is_refused_by_ost),
        TEST(plug_until_on_in_place_of_an_unplug_waits_for_the_vcpu_too),
        TEST(unknown_flags_are_refused),
        TEST(stops_before_stopped_share_it),
        TEST(stop_after_stopped_outlives_the_reset),
        TEST(stop_during_a_reset_outlives_it),
        TEST(reset_that_failed_must_be_repeated),
        TEST(resets_do_not_overlap),
        TEST(enter_of_a_vcpu_that_is_not_pending_has_no_effect),
        TEST(end_of_the_context_cancels_every_request),
        TEST(plug_enables_and_raises_insert),
        TEST(plug_is_done_when_ost_reports_success),
        TEST(plug_is_done_when_the_vcpu_runs),
        TEST(plug_is_refused_by_an_insert_ost_with_an_error),
        TEST(ost_before_the_insert_was_seen_proves_nothing),
        TEST(plug_of_an_unknown_vcpu_fails),
        TEST(plug_of_an_enabled_vcpu_fails),
        TEST(plug_of_a_pending_vcpu_fails),
        TEST(plug_cancels_an_unplug_that_was_not_seen),
        TEST(plug_during_an_unplug_that_was_seen_fails),
        TEST(plug_after_ej0_waits_for_the_closing_ost),
        TEST(plug_after_ej0_waits_no_longer_than_eject_timeout_ms),
        TEST(plug_after_ej0_waits_for_the_vcpu_to_turn_off),
        TEST(unplug_raises_remove_and_keeps_the_policy),
        TEST(unplug_is_done_when_ejected_and_off),
        TEST(ej0_before_cpu_off_disables_at_once_and_ejects_when_off),
        TEST(ej0_without_cpu_off_is_parked_by_force_after_eject_timeout_ms),
        TEST(ost_success_without_ej0_proves_nothing),
        TEST(refusal_keeps_the_vcpu_and_can_be_retried),
        TEST(unplug_of_vcpu_0_fails),
        TEST(unplug_of_a_vcpu_enabled_permanently_fails),
        TEST(unplug_of_a_disabled_vcpu_fails),
        TEST(unplug_of_an_unknown_vcpu_fails),
        TEST(unplug_of_a_pending_vcpu_fails),
        TEST(unplug_undoes_a_plug_that_was_not_seen),
        TEST(unplug_overtakes_a_plug_that_was_seen),
        TEST(a_plug_that_status_showed_is_not_undone),
        TEST(a_plug_that_the_bitmap_showed_is_not_undone),
        TEST(insert_and_remove_pending_are_taken_together),
        TEST(inserts_are_taken_before_removes),
        TEST(ej0_of_a_fixed_vcpu_is_ignored_and_reported),
        TEST(ej0_is_idempotent),
        TEST(ej0_unasked_for_is_accepted),
        TEST(ej0_clears_a_pending_insert_and_refuses_the_plug),
        TEST(ej0_clears_a_pending_remove_and_does_the_unplug),
        TEST(firmware_remove_ends_with_the_eject),
        TEST(find_event_begins_at_from_and_wraps_once),
        TEST(cancel_takes_an_unseen_request_back),
        TEST(cancel_of_a_seen_request_is_too_late),
        TEST(cancel_of_a_held_plug_works),
        TEST(cancel_of_no_request_fails),
        TEST(repeat_raises_a_taken_request_again),
        TEST(a_taken_request_is_raised_again_after_retry_ms),
        TEST(a_request_in_progress_is_not_raised_again),
        TEST(timeout_undoes_an_unseen_request),
        TEST(timeout_of_a_seen_request_leaves_the_policy),
        TEST(many_timeouts_at_once_are_all_reported),
        TEST(nothing_is_due_while_time_stands_still),
        cmocka_unit_test(events_are_searched_from_a_slot_on_and_around_the_end),
        TEST(count_of_unanswered_events_stays_at_its_maximum),
        TEST(force_parks_and_disables_without_consent),
        TEST(force_of_an_off_vcpu_is_done_at_once),
        TEST(force_of_a_fixed_or_disabled_vcpu_fails),
        TEST(cpu_on_asks_policy_before_state),
        TEST(denials_are_reported_at_powers_of_two),
        TEST(guest_errors_are_reported_at_powers_of_two),
        TEST(a_vcpu_ejected_before_it_entered_does_not_run),
        TEST(a_vcpu_that_goes_on_after_a_load_and_is_stopped_first_was_asked_to_park),
        TEST(a_vcpu_that_was_called_off_before_a_load_was_asked_to_park),
        TEST(stop_kicks_all_that_run_and_reports_when_the_last_has_parked),
        TEST(stop_of_a_stopped_machine_reports_at_once),
        TEST(reset_keeps_policy_and_unseen_requests),
        TEST(reset_raises_again_what_was_seen_but_not_carried_out),
        TEST(reset_closes_an_eject_and_lets_the_held_plug_go),
        TEST(interrupt_is_high_while_any_bit_is_set),
        TEST(answer_to_an_earlier_device_check_does_not_end_a_plug),
        TEST(answer_to_an_earlier_eject_request_does_not_refuse_an_unplug),
        TEST(progress_of_an_earlier_eject_request_does_not_stop_the_retry),
        TEST(retry_makes_up_for_an_answer_that_was_lost),
        TEST(answer_without_an_event_does_not_count),
        TEST(machine_reset_forgets_what_was_not_answered),
        TEST(new_ospm_does_not_answer_what_the_last_one_took),
        TEST(new_ospm_need_not_close_the_eject_of_the_last_one),
        TEST(insert_that_the_firmware_made_void_has_no_answer_to_come),
        TEST(plug_waits_for_an_eject_request_that_is_still_to_be_answered),
        TEST(plug_waits_no_longer_than_eject_timeout_ms_for_an_answer),
        TEST(eject_closed_in_progress_is_still_open),
        TEST(plug_until_on_in_place_of_an_unplug_is_not_undone_after_a_reset),
        TEST(unplug_can_be_cancelled_after_enabled_was_read),
        TEST(plug_until_on_raises_no_insert_while_the_firmware_has_to_eject),
        TEST(every_source_of_an_insertion_answers_a_plug),
        TEST(a_timer_that_is_not_due_stays_armed),
        TEST(the_earliest_of_the_timers_wakes),
        TEST(query_tells_which_vcpus_are_fixed),
        TEST(a_slot_takes_little_memory),
    };

    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
