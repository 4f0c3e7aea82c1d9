/* SPDX-License-Identifier: BSD-3-Clause */
/* Save, load and resume of the library's own state: docs/state-format.md, docs/migration.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include <vcpuhp/psci.h>
#include <vcpuhp/regs.h>
#include <vcpuhp/state.h>

#include "blob.h"

#define N_VCPUS 4

#define CPU_ON64      0xc4000003
#define CPU_OFF       0x84000002
#define AFFINITY_INFO 0xc4000004
/* docs/register-block.md */
#define REG_SELECTOR     0x00
#define REG_STATUS       0x04
#define REG_COMMAND      0x05
#define REG_COMMAND_DATA 0x08
#define REG_EVENT        0x18
#define REG_OST          0x20
#define REG_EJECT        0x28
#define FW_REMOVE        (1 << 4)
#define EVENT_INSERT     (1 << 14 | 1 << 15)
#define EVENT_REMOVE     (1 << 13 | 1 << 15)

/* docs/state-format.md: a slot's record, and where its fields are. */
#define SLOT_SIZE 56
enum {
    STATUS = 0,
    POWER = 1,
    REQUEST_KIND = 2,
    REQUEST_STATE = 3,
    FLAGS = 4,
    RESERVED = 5,
    INSERTS_TAKEN = 6,
    REMOVES_TAKEN = 8,
    STALE = 10,
    REQUEST = 12,
    DEADLINE = 16,
    RETRY_AT = 20,
    EJECT_UNTIL = 24,
    ADDRESS = 40,
    CONTEXT = 48,
};
enum {
    UNTIL_ON = 1 << 0,
    WAS_ENABLED = 1 << 1,
    OBSERVED = 1 << 2,
    UNCLOSED = 1 << 3,
    FORCED = 1 << 4,
    BIG_ENDIAN_ENTRY = 1 << 5,
};

/* --- A VMM that moves a machine from one context to the other --- */

typedef struct Start {
    uint32_t vcpu;
    bool adopted;
    VcpuhpEntry entry;
} Start;

typedef struct Side {
    Vcpuhp *hp;
    bool no_thread; /* what vcpu_start says */
    GArray *starts, *events;
    uint64_t kicked; /* bits */
    int n_irqs;
    bool irq;
} Side;

typedef struct Fixture {
    VcpuhpConfig config;
    Side from, to;
    GBytes *state;
    uint32_t id; /* of the last request */
} Fixture;

/* The library's clock. */
static int64_t now;

gint64 __wrap_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void)
{
    return now;
}

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Side *side = opaque;
    Start start = {.vcpu = vcpu, .adopted = !entry};

    if (entry)
        start.entry = *entry;
    g_array_append_val(side->starts, start);
    return !side->no_thread;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    ((Side *)opaque)->kicked |= 1ULL << vcpu;
}

static void on_irq(bool level, void *opaque)
{
    Side *side = opaque;

    side->n_irqs++;
    side->irq = level;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    g_array_append_vals(((Side *)opaque)->events, event, 1);
}

static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                          .vcpu_start = on_start,
                                          .vcpu_kick = on_kick,
                                          .irq_set = on_irq,
                                          .event = on_event};

static void side_init(Side *side, const VcpuhpConfig *config)
{
    *side = (Side){.starts = g_array_new(FALSE, FALSE, sizeof(Start)),
                   .events = g_array_new(FALSE, FALSE, sizeof(VcpuhpEvent))};
    side->hp = vcpuhp_new(config, &callbacks, side, NULL);
    assert_non_null(side->hp);
}

static void side_clear(Side *side)
{
    vcpuhp_free(side->hp);
    g_array_unref(side->starts);
    g_array_unref(side->events);
}

static int set_up(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    now = 1000000000;
    vcpuhp_config_init(&f->config, N_VCPUS, 2);
    f->config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    side_init(&f->from, &f->config);
    side_init(&f->to, &f->config);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    side_clear(&f->from);
    side_clear(&f->to);
    g_clear_pointer(&f->state, g_bytes_unref);
    g_free(f);
    return 0;
}

/* Another config, from here on. */
static void change(Side *side, const VcpuhpConfig *config)
{
    side_clear(side);
    side_init(side, config);
}

static bool has_started(const Side *side, uint32_t vcpu, Start *ret_start)
{
    *ret_start = (Start){0};
    for (guint i = 0; i < side->starts->len; i++) {
        *ret_start = g_array_index(side->starts, Start, i);
        if (ret_start->vcpu == vcpu)
            return true;
    }
    return false;
}

static const VcpuhpEvent *find_event(const Side *side, VcpuhpEventKind kind)
{
    for (guint i = 0; i < side->events->len; i++) {
        const VcpuhpEvent *event = &g_array_index(side->events, VcpuhpEvent, i);

        if (event->kind == kind)
            return event;
    }
    return NULL;
}

static VcpuhpVcpuInfo query(const Side *side, uint32_t vcpu)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    assert_true(vcpuhp_query(side->hp, vcpu, &info, NULL));
    return info;
}

static uint64_t read_reg(const Side *side, uint64_t offset, uint32_t len)
{
    uint64_t value = 0;

    vcpuhp_regs_read(side->hp, offset, &value, len);
    return value;
}

static void write_reg(const Side *side, uint64_t offset, uint64_t value, uint32_t len)
{
    vcpuhp_regs_write(side->hp, offset, &value, len);
}

static void ost(const Side *side, uint32_t vcpu, uint32_t source, uint32_t status)
{
    write_reg(side, REG_OST, vcpu | source << 16 | (uint64_t)status << 32, 8);
}

static uint64_t call(const Side *side, uint32_t caller, uint64_t id, uint64_t x1)
{
    uint64_t x[4] = {id, x1, id == CPU_ON64 ? 0x4000 : 0, 5};

    vcpuhp_psci_call(side->hp, caller, x, false);
    return x[0];
}

static void start(const Side *side)
{
    const VcpuhpEntry entry = {.size = sizeof(entry), .address = 0x40200000};

    assert_true(vcpuhp_start(side->hp, &entry, NULL));
    assert_true(vcpuhp_vcpu_enter(side->hp, 0));
}

/* By vCPU 0, and the thread enters. */
static void turn_on(const Side *side, uint32_t vcpu)
{
    assert_int_equal(call(side, 0, CPU_ON64, vcpu), 0);
    assert_true(vcpuhp_vcpu_enter(side->hp, vcpu));
}

static void plug(Fixture *f, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms)
{
    assert_true(vcpuhp_plug(f->from.hp, vcpu, flags, timeout_ms, &f->id, NULL));
}

static void unplug(Fixture *f, uint32_t vcpu, uint32_t timeout_ms)
{
    assert_true(vcpuhp_unplug(f->from.hp, vcpu, 0, timeout_ms, &f->id, NULL));
}

/* Linux finishes a plug of a vCPU and turns it on. */
static void plug_and_turn_on(Fixture *f, uint32_t vcpu)
{
    plug(f, vcpu, 0, 0);
    read_reg(&f->from, REG_EVENT, 8);
    ost(&f->from, vcpu, VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_SUCCESS);
    turn_on(&f->from, vcpu);
}

static void save(Fixture *f)
{
    g_clear_pointer(&f->state, g_bytes_unref);
    f->state = vcpuhp_save(f->from.hp, NULL);
    assert_non_null(f->state);
}

static void load(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    if (!vcpuhp_load(f->to.hp, f->state, &error))
        fail_msg("%s", error->message);
}

static void enter_all(const Side *side)
{
    for (uint32_t i = 0; i < side->starts->len; i++)
        assert_true(vcpuhp_vcpu_enter(side->hp, g_array_index(side->starts, Start, i).vcpu));
}

/* Save, load, resume, and let the threads enter. What was loaded is all that was saved. */
static void move(Fixture *f)
{
    g_autoptr(GBytes) again = NULL;
    g_autoptr(GError) error = NULL;

    save(f);
    load(f);
    again = vcpuhp_save(f->to.hp, NULL);
    assert_true(g_bytes_equal(f->state, again));
    if (!vcpuhp_resume(f->to.hp, &error))
        fail_msg("%s", error->message);
    enter_all(&f->to);
}

/* --- Changed states --- */

static uint8_t *copy_state(const Fixture *f, size_t *ret_size)
{
    return g_memdup2(g_bytes_get_data(f->state, ret_size), g_bytes_get_size(f->state));
}

static uint32_t u32_at(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return GUINT32_FROM_LE(value);
}

/* Where a section's content begins. */
static uint8_t *find_section(uint8_t *state, const char *tag)
{
    uint8_t *at = state + BLOB_HEADER_SIZE;

    while (memcmp(at, tag, BLOB_TAG_SIZE) != 0)
        at += BLOB_SECTION_SIZE + u32_at(at + 8);
    return at + BLOB_SECTION_SIZE;
}

/* Takes the bytes, with a checksum that is right. */
static void set_state(Fixture *f, uint8_t *bytes, size_t size)
{
    uint32_t checksum = GUINT32_TO_LE(blob_checksum(bytes, size - BLOB_CHECKSUM_SIZE));

    memcpy(bytes + size - BLOB_CHECKSUM_SIZE, &checksum, sizeof(checksum));
    g_bytes_unref(f->state);
    f->state = g_bytes_new_take(bytes, size);
}

static void poke(Fixture *f, const char *tag, size_t offset, uint64_t value, size_t len)
{
    size_t size;
    uint8_t *bytes = copy_state(f, &size);

    value = GUINT64_TO_LE(value);
    memcpy(find_section(bytes, tag) + offset, &value, len);
    set_state(f, bytes, size);
}

static void poke_slot(Fixture *f, uint32_t vcpu, size_t field, uint64_t value, size_t len)
{
    poke(f, "VCPU", SLOT_SIZE * vcpu + field, value, len);
}

/* The target refuses the state, says why, and is as it was. */
static void assert_refused(Fixture *f, const char *because)
{
    g_autoptr(GBytes) before = vcpuhp_save(f->to.hp, NULL), after = NULL;
    g_autoptr(GError) error = NULL;

    assert_false(vcpuhp_load(f->to.hp, f->state, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STATE));
    if (!strstr(error->message, because))
        fail_msg("\"%s\" does not say \"%s\"", error->message, because);
    after = vcpuhp_save(f->to.hp, NULL);
    assert_true(g_bytes_equal(before, after));
}

/* --- What goes on --- */

static void a_machine_that_never_ran_is_moved(void **state)
{
    Fixture *f = *state;

    move(f);
    assert_int_equal(f->to.starts->len, 0);
    assert_int_equal(f->to.events->len, 0);
    start(&f->to);
}

static void policy_is_the_loaded_one(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug_and_turn_on(f, 3);
    assert_true(vcpuhp_force(f->from.hp, 1, NULL));
    move(f);
    assert_false(query(&f->to, 1).enabled);
    assert_false(query(&f->to, 2).enabled);
    assert_true(query(&f->to, 3).enabled);
    assert_int_equal(read_reg(&f->to, 0x40, 8), 1 << 0 | 1 << 3);
    assert_int_equal(call(&f->to, 0, CPU_ON64, 1), (uint64_t)-3);
}

static void a_vcpu_that_was_on_is_adopted(void **state)
{
    Fixture *f = *state;
    Start of;

    start(&f->from);
    turn_on(&f->from, 1);
    move(f);
    assert_int_equal(f->to.starts->len, 2);
    assert_true(has_started(&f->to, 0, &of) && of.adopted);
    assert_true(has_started(&f->to, 1, &of) && of.adopted);
    assert_int_equal(query(&f->to, 1).power, VCPUHP_POWER_ON);
}

static void an_adopted_vcpu_causes_no_event(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    move(f);
    assert_int_equal(f->to.events->len, 0);
}

static void an_adopted_vcpu_is_on_before_its_thread_enters(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    turn_on(&f->from, 1);
    save(f);
    load(f);
    assert_int_equal(query(&f->to, 1).power, VCPUHP_POWER_ON);
    assert_true(vcpuhp_resume(f->to.hp, NULL));
    assert_true(vcpuhp_vcpu_enter(f->to.hp, 0));
    assert_int_equal(call(&f->to, 0, AFFINITY_INFO, 1), 0);
    assert_int_equal(call(&f->to, 0, CPU_ON64, 1), (uint64_t)-4);
}

static void no_vcpu_enters_before_the_resume(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    assert_int_equal(call(&f->from, 0, CPU_ON64, 1), 0);
    save(f);
    load(f);
    assert_false(vcpuhp_vcpu_enter(f->to.hp, 0));
    assert_false(vcpuhp_vcpu_enter(f->to.hp, 1));
    assert_true(vcpuhp_resume(f->to.hp, NULL));
    enter_all(&f->to);
}

static void an_adopted_vcpu_enters_once(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    move(f);
    assert_false(vcpuhp_vcpu_enter(f->to.hp, 0));
}

static void an_adopted_vcpu_turns_off_and_on_again(void **state)
{
    Fixture *f = *state;
    Start of;

    start(&f->from);
    turn_on(&f->from, 1);
    move(f);
    call(&f->to, 1, CPU_OFF, 0);
    assert_int_equal(query(&f->to, 1).power, VCPUHP_POWER_OFF);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_OFF)->vcpu, 1);
    g_array_set_size(f->to.starts, 0);
    turn_on(&f->to, 1);
    assert_true(has_started(&f->to, 1, &of) && !of.adopted);
}

static void an_adopted_vcpu_that_is_stopped_before_it_enters_does_not_enter(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    save(f);
    load(f);
    assert_true(vcpuhp_resume(f->to.hp, NULL));
    vcpuhp_stop(f->to.hp);
    assert_null(find_event(&f->to, VCPUHP_EVENT_STOPPED));
    assert_false(vcpuhp_vcpu_enter(f->to.hp, 0));
    assert_non_null(find_event(&f->to, VCPUHP_EVENT_STOPPED));
}

static void a_vcpu_that_was_on_pending_starts_at_its_entry(void **state)
{
    Fixture *f = *state;
    Start of;

    start(&f->from);
    assert_int_equal(call(&f->from, 0, CPU_ON64, 1), 0);
    save(f);
    load(f);
    assert_int_equal(query(&f->to, 1).power, VCPUHP_POWER_ON_PENDING);
    assert_true(vcpuhp_resume(f->to.hp, NULL));
    assert_true(has_started(&f->to, 1, &of));
    assert_false(of.adopted);
    assert_int_equal(of.entry.address, 0x4000);
    assert_int_equal(of.entry.context, 5);
    assert_false(of.entry.big_endian);
    assert_true(vcpuhp_vcpu_enter(f->to.hp, 1));
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ON)->vcpu, 1);
}

static void a_big_endian_entry_stays_so(void **state)
{
    Fixture *f = *state;
    uint64_t x[4] = {CPU_ON64, 1, 0x4000, 5};
    Start of;

    start(&f->from);
    vcpuhp_psci_call(f->from.hp, 0, x, true);
    move(f);
    assert_true(has_started(&f->to, 1, &of));
    assert_true(of.entry.big_endian);
}

/* The guest cannot tell it from one that it has not ejected yet. */
static void a_vcpu_between_ej0_and_cpu_off_runs_on_and_is_ejected_by_cpu_off(void **state)
{
    Fixture *f = *state;
    Start of;

    start(&f->from);
    turn_on(&f->from, 1);
    unplug(f, 1, 0);
    read_reg(&f->from, REG_EVENT, 8);
    write_reg(&f->from, REG_EJECT, 1, 8);
    move(f);
    assert_true(has_started(&f->to, 1, &of) && of.adopted);
    assert_int_equal(f->to.events->len, 0);
    assert_false(query(&f->to, 1).enabled);
    call(&f->to, 1, CPU_OFF, 0);
    assert_non_null(find_event(&f->to, VCPUHP_EVENT_EJECTED));
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->request, f->id);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_DONE);
}

static void a_vcpu_that_was_asked_to_park_is_parked_by_the_resume(void **state)
{
    Fixture *f = *state;
    Start of;

    start(&f->from);
    turn_on(&f->from, 1);
    assert_true(vcpuhp_force(f->from.hp, 1, NULL));
    assert_null(find_event(&f->from, VCPUHP_EVENT_FORCED));
    move(f);
    assert_false(has_started(&f->to, 1, &of));
    assert_int_equal(query(&f->to, 1).power, VCPUHP_POWER_OFF);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_OFF)->vcpu, 1);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_FORCED)->vcpu, 1);
}

static void a_vcpu_ejected_while_on_pending_is_turned_off_by_the_resume(void **state)
{
    Fixture *f = *state;
    Start of;

    start(&f->from);
    assert_int_equal(call(&f->from, 0, CPU_ON64, 1), 0);
    write_reg(&f->from, REG_EJECT, 1, 8);
    move(f);
    assert_false(has_started(&f->to, 1, &of));
    assert_null(find_event(&f->to, VCPUHP_EVENT_OFF));
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_EJECTED)->vcpu, 1);
}

static void what_the_resume_parks_lets_a_held_plug_go_on(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    turn_on(&f->from, 1);
    assert_true(vcpuhp_force(f->from.hp, 1, NULL));
    plug(f, 1, 0, 0);
    assert_int_equal(query(&f->from, 1).request_state, VCPUHP_REQUEST_HELD);
    move(f);
    assert_int_equal(query(&f->to, 1).request_state, VCPUHP_REQUEST_RAISED);
    assert_true(f->to.irq);
    assert_int_equal(read_reg(&f->to, REG_EVENT, 8), EVENT_INSERT | 1);
}

static void a_request_that_was_raised_is_taken_after_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, 0);
    unplug(f, 1, 0);
    move(f);
    assert_true(f->to.irq);
    assert_int_equal(read_reg(&f->to, REG_EVENT, 8),
                     EVENT_INSERT | 2 | (uint64_t)(EVENT_REMOVE | 1) << 16);
    assert_false(f->to.irq);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_SEEN)->request, f->id - 1);
}

static void a_request_that_was_raised_can_be_cancelled_after_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, 0);
    move(f);
    assert_true(vcpuhp_cancel(f->to.hp, f->id, NULL));
    assert_false(query(&f->to, 2).enabled);
}

static void what_the_guest_may_know_of_cannot_be_cancelled_after_the_move(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    start(&f->from);
    plug(f, 2, 0, 0);
    read_reg(&f->from, 0x40, 8);
    move(f);
    assert_false(vcpuhp_cancel(f->to.hp, f->id, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_TOO_LATE));
}

static void a_request_that_was_seen_ends_by_ost_after_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, 0);
    read_reg(&f->from, REG_EVENT, 8);
    move(f);
    assert_int_equal(query(&f->to, 2).request_state, VCPUHP_REQUEST_SEEN);
    ost(&f->to, 2, VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_SUCCESS);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->request, f->id);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_DONE);
}

static void a_plug_until_on_ends_when_the_vcpu_runs_after_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, VCPUHP_UNTIL_ON, 0);
    read_reg(&f->from, REG_EVENT, 8);
    move(f);
    ost(&f->to, 2, VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_SUCCESS);
    assert_null(find_event(&f->to, VCPUHP_EVENT_ENDED));
    turn_on(&f->to, 2);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_DONE);
}

/* A plug UNTIL_ON that overtook an unplug enabled nothing that it could undo. */
static void a_plug_of_an_enabled_vcpu_keeps_it_enabled_after_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    unplug(f, 1, 0);
    plug(f, 1, VCPUHP_UNTIL_ON, 1000);
    move(f);
    now += 1000000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_TIMED_OUT);
    assert_true(query(&f->to, 1).enabled);
}

static void ost_in_progress_and_its_source_are_still_known(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    unplug(f, 1, 0);
    read_reg(&f->from, REG_EVENT, 8);
    ost(&f->from, 1, VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_EJECT_IN_PROGRESS);
    move(f);
    assert_int_equal(query(&f->to, 1).ost_source, VCPUHP_OST_SOURCE_EJECT_REQUEST);
    assert_int_equal(query(&f->to, 1).ost_status, VCPUHP_OST_EJECT_IN_PROGRESS);
    ost(&f->to, 1, VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_EJECT_BUSY);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_REFUSED);
}

/* Two Eject Requests were taken, one before the request was made that is open now. */
static void the_answer_to_an_earlier_event_does_not_end_a_request_after_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    unplug(f, 1, 1000);
    read_reg(&f->from, REG_EVENT, 8);
    now += 1000000;
    vcpuhp_dispatch(f->from.hp);
    unplug(f, 1, 0);
    read_reg(&f->from, REG_EVENT, 8);
    move(f);
    ost(&f->to, 1, VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_EJECT_BUSY);
    assert_null(find_event(&f->to, VCPUHP_EVENT_ENDED));
    ost(&f->to, 1, VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_EJECT_BUSY);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->request, f->id);
}

/* The answer that is still to come for the first insert does not end the second plug. */
static void inserts_that_were_taken_are_still_to_be_answered(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, 1000);
    read_reg(&f->from, REG_EVENT, 8);
    now += 1000000;
    vcpuhp_dispatch(f->from.hp);
    assert_true(vcpuhp_force(f->from.hp, 2, NULL));
    move(f);
    assert_true(vcpuhp_plug(f->to.hp, 2, 0, 0, &f->id, NULL));
    read_reg(&f->to, REG_EVENT, 8);
    ost(&f->to, 2, VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_FAILURE);
    assert_null(find_event(&f->to, VCPUHP_EVENT_ENDED));
    ost(&f->to, 2, VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_SUCCESS);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_DONE);
}

static void a_held_plug_waits_for_the_end_of_the_eject_after_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    write_reg(&f->from, REG_EJECT, 1, 8);
    plug(f, 1, 0, 0);
    move(f);
    assert_true(query(&f->to, 1).ejecting);
    assert_int_equal(query(&f->to, 1).request_state, VCPUHP_REQUEST_HELD);
    assert_int_equal(read_reg(&f->to, REG_EVENT, 8), 0);
    ost(&f->to, 1, VCPUHP_OST_SOURCE_EJECT, VCPUHP_OST_SUCCESS);
    assert_int_equal(query(&f->to, 1).request_state, VCPUHP_REQUEST_RAISED);
    assert_int_equal(read_reg(&f->to, REG_EVENT, 8), EVENT_INSERT | 1);
}

static void a_new_ospm_raises_again_what_its_predecessor_took_before_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    unplug(f, 1, 0);
    read_reg(&f->from, REG_EVENT, 8);
    move(f);
    read_reg(&f->to, 0x40, 8);
    assert_int_equal(read_reg(&f->to, REG_EVENT, 8), EVENT_REMOVE | 1);
}

static void firmware_remove_is_still_set(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    unplug(f, 1, 0);
    write_reg(&f->from, REG_SELECTOR, 1, 4);
    write_reg(&f->from, REG_STATUS, FW_REMOVE, 1);
    read_reg(&f->from, REG_EVENT, 8);
    move(f);
    assert_int_equal(read_reg(&f->to, REG_STATUS, 1), 1 | FW_REMOVE);
    /* … and found. */
    write_reg(&f->to, REG_SELECTOR, 0, 4);
    write_reg(&f->to, REG_COMMAND, 0, 1);
    assert_int_equal(read_reg(&f->to, REG_COMMAND_DATA, 4), 1);
}

static void the_block_goes_on_between_any_two_accesses(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    write_reg(&f->from, REG_SELECTOR, 1, 4);
    write_reg(&f->from, REG_COMMAND, 1, 1);
    write_reg(&f->from, REG_COMMAND_DATA, VCPUHP_OST_SOURCE_EJECT, 4);
    write_reg(&f->from, REG_COMMAND, 2, 1);
    move(f);
    write_reg(&f->to, REG_COMMAND_DATA, VCPUHP_OST_EJECT_BUSY, 4);
    assert_int_equal(query(&f->to, 1).ost_source, VCPUHP_OST_SOURCE_EJECT);
    assert_int_equal(query(&f->to, 1).ost_status, VCPUHP_OST_EJECT_BUSY);
}

static void sequence_numbers_go_on(void **state)
{
    Fixture *f = *state;
    uint64_t last;

    start(&f->from);
    plug_and_turn_on(f, 2);
    last = g_array_index(f->from.events, VcpuhpEvent, f->from.events->len - 1).sequence;
    move(f);
    call(&f->to, 2, CPU_OFF, 0);
    assert_int_equal(g_array_index(f->to.events, VcpuhpEvent, 0).sequence, last + 1);
}

static void request_ids_go_on(void **state)
{
    Fixture *f = *state;
    uint32_t id;

    start(&f->from);
    plug(f, 2, 0, 0);
    move(f);
    assert_true(vcpuhp_plug(f->to.hp, 3, 0, 0, &id, NULL));
    assert_int_equal(id, f->id + 1);
}

/* Otherwise a guest could have as many of them reported as it likes. */
static void what_is_reported_ever_more_seldom_goes_on_so(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    for (int i = 0; i < 5; i++) {
        call(&f->from, 0, CPU_ON64, 3);
        write_reg(&f->from, REG_EJECT, 99, 8);
    }
    move(f);
    call(&f->to, 0, CPU_ON64, 3);
    write_reg(&f->to, REG_EJECT, 99, 8);
    assert_int_equal(f->to.events->len, 0);
    for (int i = 0; i < 2; i++) {
        call(&f->to, 0, CPU_ON64, 3);
        write_reg(&f->to, REG_EJECT, 99, 8);
    }
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_DENIED)->count, 8);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_GUEST_ERROR)->count, 8);
}

static void the_resume_sets_the_line_whatever_it_is(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    move(f);
    assert_int_equal(f->to.n_irqs, 1);
    assert_false(f->to.irq);
}

static void a_machine_is_moved_again_and_again(void **state)
{
    Fixture *f = *state;
    Side sides[6];
    const Side *last = &f->from;

    start(&f->from);
    plug_and_turn_on(f, 2);
    plug(f, 3, 0, 0);
    for (int i = 0; i < 6; i++) {
        g_autoptr(GBytes) moved = vcpuhp_save(last->hp, NULL);

        side_init(&sides[i], &f->config);
        assert_true(vcpuhp_load(sides[i].hp, moved, NULL));
        assert_true(vcpuhp_resume(sides[i].hp, NULL));
        enter_all(&sides[i]);
        last = &sides[i];
    }
    assert_int_equal(query(last, 2).power, VCPUHP_POWER_ON);
    assert_int_equal(query(last, 3).request, f->id);
    assert_int_equal(read_reg(last, REG_EVENT, 8), EVENT_INSERT | 3);
    for (int i = 0; i < 6; i++)
        side_clear(&sides[i]);
}

/* --- Time --- */

static void time_stands_still_from_save_to_resume(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, 1000);
    now += 400000;
    save(f);
    now += 5000000;
    load(f);
    now += 5000000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(query(&f->to, 2).request, f->id);
    assert_true(vcpuhp_resume(f->to.hp, NULL));
    now += 599000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(query(&f->to, 2).request, f->id);
    now += 1000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_TIMED_OUT);
}

/* Longer than every timer. */
static void resume_later(Fixture *f)
{
    save(f);
    load(f);
    now += 100000000;
    assert_true(vcpuhp_resume(f->to.hp, NULL));
    vcpuhp_dispatch(f->to.hp);
}

static void a_retry_does_not_come_earlier_by_the_time_of_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, 0);
    read_reg(&f->from, REG_EVENT, 8);
    resume_later(f);
    assert_int_equal(read_reg(&f->to, REG_EVENT, 8), 0);
    now += f->config.retry_ms * 1000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(read_reg(&f->to, REG_EVENT, 8), EVENT_INSERT | 2);
}

static void an_ejects_limit_does_not_come_earlier_by_the_time_of_the_move(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    write_reg(&f->from, REG_EJECT, 1, 8);
    plug(f, 1, 0, 0);
    resume_later(f);
    assert_int_equal(query(&f->to, 1).request_state, VCPUHP_REQUEST_HELD);
    now += f->config.eject_timeout_ms * 1000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(query(&f->to, 1).request_state, VCPUHP_REQUEST_RAISED);
}

static void a_state_that_is_saved_again_before_the_resume_is_the_same(void **state)
{
    Fixture *f = *state;
    g_autoptr(GBytes) again = NULL;

    start(&f->from);
    plug(f, 2, 0, 1000);
    save(f);
    load(f);
    now += 5000000;
    again = vcpuhp_save(f->to.hp, NULL);
    assert_true(g_bytes_equal(f->state, again));
}

static void a_deadline_that_has_passed_is_due_after_the_resume(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, 1000);
    now += 2000000;
    move(f);
    assert_null(find_event(&f->to, VCPUHP_EVENT_ENDED));
    now += 1000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_TIMED_OUT);
}

static void a_request_is_raised_again_when_it_is_due(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    unplug(f, 1, 0);
    read_reg(&f->from, REG_EVENT, 8);
    now += 29000000;
    move(f);
    assert_false(f->to.irq);
    now += 1000000;
    vcpuhp_dispatch(f->to.hp);
    assert_true(f->to.irq);
}

static void an_eject_that_is_late_is_ended_by_force_when_it_is_due(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    turn_on(&f->from, 1);
    write_reg(&f->from, REG_EJECT, 1, 8);
    now += 29000000;
    move(f);
    assert_int_equal(f->to.kicked, 0);
    now += 1000000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(f->to.kicked, 1 << 1);
    assert_true(vcpuhp_vcpu_park_if_asked(f->to.hp, 1));
    assert_non_null(find_event(&f->to, VCPUHP_EVENT_FORCED));
}

static void the_longest_timeout_is_kept(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, UINT32_MAX);
    move(f);
    now += UINT32_MAX * (int64_t)1000 - 1;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(query(&f->to, 2).request, f->id);
    now += 1;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(query(&f->to, 2).request, 0);
}

/* --- The order of calls --- */

static void assert_order_error(bool done, GError *error, const char *function)
{
    assert_false(done);
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
    assert_non_null(strstr(error->message, function));
    g_error_free(error);
}

#define OUT_OF_ORDER(function, ...)                                                                \
    do {                                                                                           \
        GError *error_ = NULL;                                                                     \
        bool done_ = function(__VA_ARGS__, &error_);                                               \
                                                                                                   \
        assert_order_error(done_, error_, #function);                                              \
    } while (0)

static void saving_changes_nothing(void **state)
{
    Fixture *f = *state;
    g_autoptr(GBytes) again = NULL;

    start(&f->from);
    plug(f, 2, 0, 1000);
    save(f);
    again = vcpuhp_save(f->from.hp, NULL);
    assert_true(g_bytes_equal(f->state, again));
    assert_int_equal(read_reg(&f->from, REG_EVENT, 8), EVENT_INSERT | 2);
}

static void a_stopped_machine_is_not_saved(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    vcpuhp_stop(f->from.hp);
    OUT_OF_ORDER(vcpuhp_save, f->from.hp);
    assert_true(vcpuhp_vcpu_park_if_asked(f->from.hp, 0));
    OUT_OF_ORDER(vcpuhp_save, f->from.hp);
    assert_true(vcpuhp_reset(f->from.hp, NULL));
    save(f);
}

static void a_context_that_runs_loads_nothing(void **state)
{
    Fixture *f = *state;

    save(f);
    start(&f->to);
    OUT_OF_ORDER(vcpuhp_load, f->to.hp, f->state);
}

static void a_context_with_a_request_loads_nothing(void **state)
{
    Fixture *f = *state;

    save(f);
    assert_true(vcpuhp_plug(f->to.hp, 2, 0, 0, NULL, NULL));
    OUT_OF_ORDER(vcpuhp_load, f->to.hp, f->state);
}

static void a_context_loads_once(void **state)
{
    Fixture *f = *state;

    save(f);
    load(f);
    OUT_OF_ORDER(vcpuhp_load, f->to.hp, f->state);
}

static void a_context_that_refused_a_state_loads_another(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    save(f);
    poke_slot(f, 1, POWER, 3, 1);
    assert_refused(f, "power");
    move(f);
}

static void load_calls_no_callback(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    plug(f, 2, 0, 0);
    save(f);
    load(f);
    assert_int_equal(f->to.starts->len + f->to.events->len + f->to.n_irqs, 0);
}

static void resume_without_load_is_out_of_order(void **state)
{
    Fixture *f = *state;

    OUT_OF_ORDER(vcpuhp_resume, f->to.hp);
}

static void resume_twice_is_out_of_order(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    move(f);
    OUT_OF_ORDER(vcpuhp_resume, f->to.hp);
}

static void start_between_load_and_resume_is_out_of_order(void **state)
{
    Fixture *f = *state;

    save(f);
    load(f);
    OUT_OF_ORDER(vcpuhp_start, f->to.hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry)});
    assert_true(vcpuhp_resume(f->to.hp, NULL));
    start(&f->to);
}

static void a_vcpu_without_a_thread_stops_the_machine(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    start(&f->from);
    turn_on(&f->from, 1);
    save(f);
    load(f);
    f->to.no_thread = true;
    assert_false(vcpuhp_resume(f->to.hp, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_NO_THREAD));
    assert_non_null(strstr(error->message, "vCPU 0"));
    assert_int_equal(f->to.starts->len, 1);
    assert_non_null(find_event(&f->to, VCPUHP_EVENT_STOPPED));
    assert_true(vcpuhp_reset(f->to.hp, NULL));
}

static void a_stop_between_load_and_resume_stops_every_vcpu(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    turn_on(&f->from, 1);
    save(f);
    load(f);
    vcpuhp_stop(f->to.hp);
    assert_null(find_event(&f->to, VCPUHP_EVENT_STOPPED));
    assert_true(vcpuhp_resume(f->to.hp, NULL));
    assert_int_equal(f->to.starts->len, 0);
    assert_non_null(find_event(&f->to, VCPUHP_EVENT_STOPPED));
}

static void a_moved_machine_is_stopped_reset_and_started(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    turn_on(&f->from, 1);
    plug_and_turn_on(f, 2);
    move(f);
    vcpuhp_stop(f->to.hp);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(vcpuhp_vcpu_park_if_asked(f->to.hp, i));
    assert_true(vcpuhp_reset(f->to.hp, NULL));
    start(&f->to);
    assert_true(query(&f->to, 2).enabled);
    assert_int_equal(query(&f->to, 1).power, VCPUHP_POWER_OFF);
}

/* --- Another machine --- */

static const uint64_t mpidrs[N_VCPUS] = {0, 1, 2, 0x300000003};
static const uint32_t nodes[N_VCPUS] = {0, 0, 1, 1};
static const VcpuhpCache caches[] = {
    {1, VCPUHP_CACHE_DATA, VCPUHP_CACHE_OF_CORE, 32768, 64, 4},
    {1, VCPUHP_CACHE_INSTRUCTION, VCPUHP_CACHE_OF_CORE, 32768, 64, 4},
    {2, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_SOCKET, 1048576, 64, 16},
};

/* Everything that a config with a GICv3 can have. */
static VcpuhpConfig rich_config(void)
{
    VcpuhpConfig config;

    vcpuhp_config_init(&config, N_VCPUS, 2);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    config.topology = (VcpuhpTopology){2, 1, 2, 1};
    config.caches = caches;
    config.n_caches = G_N_ELEMENTS(caches);
    config.mpidrs = mpidrs;
    config.nodes = nodes;
    config.gic.redists[0].count = N_VCPUS;
    config.gic.redists[1] = (VcpuhpRedist){0x0c000000, 2};
    config.gic.n_redists = 2;
    config.gic.its_base = 0x08080000;
    config.pmu_irq = 23;
    return config;
}

static VcpuhpConfig gicv2_config(void)
{
    VcpuhpConfig config;

    vcpuhp_config_init(&config, N_VCPUS, 2);
    config.gic = (VcpuhpGic){.version = 2,
                             .n_irqs = 128,
                             .dist_base = 0x08000000,
                             .cpu_base = 0x08010000,
                             .v2m_base = 0x08020000,
                             .v2m_spi_base = 64,
                             .v2m_spi_count = 32};
    return config;
}

static void save_config(Fixture *f, const VcpuhpConfig *config)
{
    f->config = *config;
    change(&f->from, config);
    save(f);
}

static void assert_config_refused(Fixture *f, const VcpuhpConfig *config, const char *field)
{
    change(&f->to, config);
    assert_refused(f, field);
}

#define DIFFERS(field, value, name)                                                                \
    do {                                                                                           \
        VcpuhpConfig other_ = f->config;                                                           \
        other_.field = value;                                                                      \
        assert_config_refused(f, &other_, name);                                                   \
    } while (0)

static void the_same_rich_machine_is_loaded(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig rich = rich_config(), v2 = gicv2_config();

    save_config(f, &rich);
    change(&f->to, &rich);
    load(f);
    save_config(f, &v2);
    change(&f->to, &v2);
    load(f);
}

static void another_number_of_vcpus_is_refused(void **state)
{
    Fixture *f = *state;

    save(f);
    DIFFERS(n_vcpus, 5, "n_vcpus is 4 (0x4) in the state, but 5");
    DIFFERS(coldplug, VCPUHP_COLDPLUG_FIXED, "n_enabled, coldplug) is 1 (0x1) in the state, but 2");
}

/* Which vCPUs that can be unplugged are enabled is part of the state. */
static void the_number_of_removable_vcpus_at_boot_may_differ(void **state)
{
    Fixture *f = *state;
    VcpuhpConfig other = f->config;

    save(f);
    other.n_enabled = 4;
    change(&f->to, &other);
    load(f);
    assert_false(query(&f->to, 3).enabled);
}

static void another_topology_is_refused(void **state)
{
    Fixture *f = *state;

    save(f);
    DIFFERS(topology, ((VcpuhpTopology){4, 1, 1, 1}), "topology.sockets");
    DIFFERS(topology, ((VcpuhpTopology){1, 4, 1, 1}), "topology.clusters");
    DIFFERS(topology, ((VcpuhpTopology){1, 1, 2, 2}), "topology.cores");
}

static void other_caches_are_refused(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig rich = rich_config();
    VcpuhpCache other[] = {caches[0], caches[1], caches[2]};

    save_config(f, &rich);
    DIFFERS(n_caches, 2, "n_caches");
    f->config.caches = other;
    other[2].level = 3;
    assert_config_refused(f, &f->config, "caches[2].level");
    other[2] = caches[2];
    other[0].type = VCPUHP_CACHE_INSTRUCTION;
    other[1].type = VCPUHP_CACHE_DATA;
    assert_config_refused(f, &f->config, "caches[0].type");
    other[0] = caches[0];
    other[1] = caches[1];
    other[2].scope = VCPUHP_CACHE_OF_CORE;
    assert_config_refused(f, &f->config, "caches[2].scope");
    other[2] = caches[2];
    other[1].size *= 2;
    assert_config_refused(f, &f->config, "caches[1].size");
    other[1].size = caches[1].size;
    other[1].line_size = 32;
    assert_config_refused(f, &f->config, "caches[1].line_size");
    other[1].line_size = 64;
    other[1].ways = 8;
    assert_config_refused(f, &f->config, "caches[1].ways");
}

static void other_mpidrs_are_refused(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig rich = rich_config();
    const uint64_t other[N_VCPUS] = {0, 1, 2, 3};

    save_config(f, &rich);
    DIFFERS(mpidrs, other, "mpidrs[3] is 12884901891 (0x300000003) in the state, but 3 (0x3)");
}

static void other_nodes_are_refused(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig rich = rich_config();
    const uint32_t other[N_VCPUS] = {0, 1, 1, 1};

    save_config(f, &rich);
    DIFFERS(nodes, other, "nodes[1]");
    DIFFERS(nodes, NULL, "nodes (1: not NULL) is 1");
}

static void another_gicv3_is_refused(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig rich = rich_config();

    save_config(f, &rich);
    DIFFERS(gic, gicv2_config().gic, "gic.version");
    DIFFERS(gic.n_irqs, 128, "gic.n_irqs");
    DIFFERS(gic.dist_base, 0x08010000, "gic.dist_base");
    DIFFERS(gic.its_base, 0, "gic.its_base");
    DIFFERS(gic.n_redists, 1, "gic.n_redists");
    DIFFERS(gic.redists[1].base, 0x0d000000, "gic.redists[1].base");
    DIFFERS(gic.redists[1].count, 3, "gic.redists[1].count");
}

static void another_gicv2_is_refused(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig v2 = gicv2_config();

    save_config(f, &v2);
    DIFFERS(gic.cpu_base, 0x08012000, "gic.cpu_base");
    DIFFERS(gic.v2m_base, 0, "gic.v2m_base");
    DIFFERS(gic.v2m_spi_base, 65, "gic.v2m_spi_base");
    DIFFERS(gic.v2m_spi_count, 16, "gic.v2m_spi_count");
}

static void other_registers_and_interrupts_are_refused(void **state)
{
    Fixture *f = *state;

    save(f);
    DIFFERS(regs_base, 0x09000080, "regs_base is 150994944 (0x9000000) in the state");
    DIFFERS(event_irq, 34, "event_irq");
    DIFFERS(pmu_irq, 23, "pmu_irq");
}

/* Tables that the guest has do not change, and a later boot may get others. */
static void names_and_the_vmms_timeouts_may_differ(void **state)
{
    Fixture *f = *state;
    VcpuhpConfig other = f->config;

    save(f);
    other.acpi = (VcpuhpAcpi){"OTHER", "NAMES", 7, "ACPU", "AGED", true};
    other.retry_ms = 0;
    other.eject_timeout_ms = 1;
    change(&f->to, &other);
    load(f);
}

/* --- Damage --- */

/* Something of everything. */
static void make_busy(Fixture *f)
{
    const VcpuhpConfig rich = rich_config();

    f->config = rich;
    change(&f->from, &rich);
    change(&f->to, &rich);
    start(&f->from);
    assert_int_equal(call(&f->from, 0, CPU_ON64, 1), 0);
    plug(f, 2, VCPUHP_UNTIL_ON, 5000);
    read_reg(&f->from, REG_EVENT, 8);
    ost(&f->from, 2, VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_INSERT_IN_PROGRESS);
    plug(f, 3, 0, 0);
    save(f);
}

static void every_flipped_bit_is_refused(void **state)
{
    Fixture *f = *state;
    g_autofree uint8_t *bytes = NULL;
    size_t size;

    make_busy(f);
    bytes = copy_state(f, &size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        g_autoptr(GBytes) damaged = NULL;
        g_autoptr(GError) error = NULL;

        bytes[bit / 8] ^= 1 << (bit % 8);
        damaged = g_bytes_new(bytes, size);
        assert_false(vcpuhp_load(f->to.hp, damaged, &error));
        assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STATE));
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    load(f);
}

static void every_truncation_is_refused(void **state)
{
    Fixture *f = *state;
    size_t size;

    make_busy(f);
    size = g_bytes_get_size(f->state);
    for (size_t i = 0; i < size; i++) {
        g_autoptr(GBytes) shorter = g_bytes_new(g_bytes_get_data(f->state, NULL), i);
        g_autoptr(GError) error = NULL;

        assert_false(vcpuhp_load(f->to.hp, shorter, &error));
        assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STATE));
    }
}

static void trailing_bytes_are_refused(void **state)
{
    Fixture *f = *state;
    size_t size;
    uint8_t *bytes;

    save(f);
    bytes = copy_state(f, &size);
    bytes = g_realloc(bytes, size + 8);
    memset(bytes + size, 0, 8);
    g_bytes_unref(f->state);
    f->state = g_bytes_new_take(bytes, size + 8);
    assert_refused(f, "its length is");
}

static void a_newer_version_is_refused(void **state)
{
    Fixture *f = *state;
    uint8_t *bytes;
    size_t size;

    save(f);
    bytes = copy_state(f, &size);
    bytes[8]++;
    set_state(f, bytes, size);
    assert_refused(f, "version is 2");
}

/* Puts an empty section behind the last one. */
static void add_section(Fixture *f, const char *tag, uint8_t flags)
{
    size_t size;
    uint8_t *bytes = copy_state(f, &size), *section;
    uint32_t length = GUINT32_TO_LE(size + BLOB_SECTION_SIZE);

    bytes = g_realloc(bytes, size + BLOB_SECTION_SIZE);
    section = bytes + size - BLOB_CHECKSUM_SIZE;
    memset(section, 0, BLOB_SECTION_SIZE);
    memcpy(section, tag, BLOB_TAG_SIZE);
    section[4] = flags;
    memcpy(bytes + 12, &length, sizeof(length));
    set_state(f, bytes, size + BLOB_SECTION_SIZE);
}

static void a_section_of_a_later_release_is_skipped_if_it_may_be(void **state)
{
    Fixture *f = *state;

    save(f);
    add_section(f, "LATE", BLOB_SKIPPABLE);
    load(f);
}

static void a_section_of_a_later_release_is_refused_by_name(void **state)
{
    Fixture *f = *state;

    save(f);
    add_section(f, "LATE", 0);
    assert_refused(f, "LATE");
}

static void sections_of_another_size_are_refused_by_name(void **state)
{
    static const char *const tags[] = {"CONF", "REGS", "MACH", "VCPU"};
    Fixture *f = *state;

    for (gsize i = 0; i < G_N_ELEMENTS(tags); i++) {
        g_autofree char *wrong = g_strdup_printf("section %s is too short", tags[i]);
        size_t size;
        uint8_t *bytes, *section;

        save(f);
        bytes = copy_state(f, &size);
        section = find_section(bytes, tags[i]);
        /* Without its last byte. */
        memmove(section + u32_at(section - 4) - 1, section + u32_at(section - 4),
                bytes + size - (section + u32_at(section - 4)));
        section[-4]--;
        bytes[12]--;
        if (bytes[12] == 0xff)
            bytes[13]--;
        set_state(f, bytes, size - 1);
        assert_refused(f, wrong);
    }
}

static void another_kind_of_file_is_refused(void **state)
{
    Fixture *f = *state;

    save(f);
    g_bytes_unref(f->state);
    f->state = g_bytes_new_static("#!/bin/sh\necho this is no state\n", 31);
    assert_refused(f, "the magic is not VCPUHPST");
}

/* --- What no machine can be in, with a checksum that is right --- */

/* Change one field of vCPU 1's record in the state that was saved. */
static void assert_slot_refused(Fixture *f, size_t field, uint64_t value, size_t len,
                                const char *because)
{
    g_autoptr(GBytes) saved = g_bytes_ref(f->state);

    poke_slot(f, 1, field, value, len);
    assert_refused(f, because);
    g_bytes_unref(f->state);
    f->state = g_steal_pointer(&saved);
}

static void values_that_no_field_has_are_refused(void **state)
{
    Fixture *f = *state;

    save(f);
    assert_slot_refused(f, STATUS, 1 | 1 << 3, 1, "vCPU 1: status");
    assert_slot_refused(f, STATUS, 1 | 1 << 5, 1, "status");
    assert_slot_refused(f, POWER, 3, 1, "power");
    assert_slot_refused(f, REQUEST_KIND, 3, 1, "request_kind");
    assert_slot_refused(f, REQUEST_STATE, 3, 1, "request_state");
    assert_slot_refused(f, FLAGS, 1 << 6, 1, "flags");
    assert_slot_refused(f, RESERVED, 1, 1, "reserved");
    poke(f, "REGS", 8, 4, 1);
    assert_refused(f, "command is 4");
}

static void fields_of_a_request_without_a_request_are_refused(void **state)
{
    static const struct {
        size_t field;
        uint64_t value;
        size_t len;
    } fields[] = {{REQUEST, 1, 4},      {REQUEST_STATE, 1, 1},  {STALE, 1, 2},
                  {DEADLINE, 1, 4},     {RETRY_AT, 1, 4},       {FLAGS, UNTIL_ON, 1},
                  {FLAGS, OBSERVED, 1}, {FLAGS, WAS_ENABLED, 1}};
    Fixture *f = *state;

    save(f);
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
        assert_slot_refused(f, fields[i].field, fields[i].value, fields[i].len,
                            "request_kind is NONE");
}

static void impossible_status_bits_are_refused(void **state)
{
    Fixture *f = *state;

    save(f);
    assert_slot_refused(f, STATUS, 1 << 1, 1, "without ENABLED");
    assert_slot_refused(f, STATUS, 1 << 4, 1, "without ENABLED");
    assert_slot_refused(f, STATUS, 1 | 1 << 1 | 1 << 4, 1, "INSERT and FW_REMOVE");
    assert_slot_refused(f, STATUS, 1 | 1 << 2, 1, "REMOVE");
}

static void a_permanently_enabled_vcpu_that_is_asked_for_is_refused(void **state)
{
    Fixture *f = *state;

    save(f);
    poke_slot(f, 0, STATUS, 0, 1);
    assert_refused(f, "vCPU 0: status");
    save(f);
    poke_slot(f, 0, EJECT_UNTIL, 1, 4);
    assert_refused(f, "vCPU 0: eject_until, inserts_taken or removes_taken");
    save(f);
    poke_slot(f, 0, INSERTS_TAKEN, 1, 2);
    assert_refused(f, "vCPU 0: eject_until, inserts_taken or removes_taken");
    save(f);
    poke_slot(f, 0, REMOVES_TAKEN, 1, 2);
    assert_refused(f, "vCPU 0: eject_until, inserts_taken or removes_taken");
    unplug(f, 1, 0);
    read_reg(&f->from, REG_EVENT, 8);
    save(f);
    poke_slot(f, 0, REQUEST_KIND, VCPUHP_REQUEST_UNPLUG, 1);
    poke_slot(f, 0, REQUEST_STATE, VCPUHP_REQUEST_SEEN, 1);
    poke_slot(f, 0, REQUEST, 77, 4);
    assert_refused(f, "vCPU 0: request_kind");
}

static void an_entry_of_a_vcpu_that_is_not_on_pending_is_refused(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    save(f);
    assert_slot_refused(f, ADDRESS, 4, 8, "entry");
    assert_slot_refused(f, CONTEXT, 1, 8, "entry");
    assert_slot_refused(f, FLAGS, BIG_ENDIAN_ENTRY, 1, "entry");
    assert_int_equal(call(&f->from, 0, CPU_ON64, 1), 0);
    save(f);
    assert_slot_refused(f, ADDRESS, 0x4002, 8, "multiple of 4");
}

static void an_impossible_eject_is_refused(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    save(f);
    assert_slot_refused(f, FLAGS, FORCED, 1, "FORCED");
    assert_slot_refused(f, FLAGS, UNCLOSED, 1, "UNCLOSED");
    assert_slot_refused(f, EJECT_UNTIL, 1, 4, "eject_until");
}

static void an_impossible_plug_is_refused(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    assert_true(vcpuhp_force(f->from.hp, 1, NULL));
    plug(f, 1, 0, 0);
    save(f);
    assert_slot_refused(f, REQUEST, 0, 4, "request is 0");
    assert_slot_refused(f, STATUS, 0, 1, "not HELD");
    assert_slot_refused(f, STATUS, 1, 1, "lacks INSERT");
    assert_slot_refused(f, STALE, 1, 2, "stale");
    assert_slot_refused(f, REQUEST_STATE, VCPUHP_REQUEST_HELD, 1, "not HELD");
    assert_slot_refused(f, RETRY_AT, 1, 4, "retry_at");
    assert_slot_refused(f, FLAGS, WAS_ENABLED, 1, "WAS_ENABLED");
    assert_slot_refused(f, POWER, VCPUHP_POWER_ON, 1, "power is ON");
    poke_slot(f, 1, REQUEST_STATE, VCPUHP_REQUEST_HELD, 1);
    poke_slot(f, 1, STATUS, 0, 1);
    assert_refused(f, "no eject is under way");
}

static void an_impossible_unplug_is_refused(void **state)
{
    Fixture *f = *state;

    start(&f->from);
    unplug(f, 1, 1000);
    save(f);
    assert_slot_refused(f, REQUEST_STATE, VCPUHP_REQUEST_HELD, 1, "HELD");
    assert_slot_refused(f, STALE, 1, 2, "stale");
    assert_slot_refused(f, STATUS, 1, 1, "lacks REMOVE");
    assert_slot_refused(f, STATUS, 0, 1, "disabled and off");
    assert_slot_refused(f, FLAGS, UNTIL_ON, 1, "UNTIL_ON");
    assert_slot_refused(f, FLAGS, WAS_ENABLED, 1, "WAS_ENABLED");
    poke_slot(f, 1, STATUS, 0, 1);
    poke_slot(f, 1, POWER, VCPUHP_POWER_ON, 1);
    assert_refused(f, "deadline");
}

static void a_request_id_of_two_requests_is_refused(void **state)
{
    Fixture *f = *state;

    plug(f, 2, 0, 0);
    plug(f, 3, 0, 0);
    save(f);
    poke_slot(f, 2, REQUEST, f->id, 4);
    assert_refused(f, "two vCPUs have the open request 2");
    /* Also if they are no neighbours. */
    unplug(f, 1, 0);
    save(f);
    poke_slot(f, 3, REQUEST, f->id, 4);
    assert_refused(f, "two vCPUs have the open request 3");
}

/* --- Size --- */

static void a_vcpu_takes_64_bytes_and_the_rest_less_than_a_kibibyte(void **state)
{
    static const uint32_t counts[] = {4, 64, 512};
    Fixture *f = *state;

    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        VcpuhpConfig config;

        vcpuhp_config_init(&config, counts[i], 1);
        save_config(f, &config);
        assert_true(g_bytes_get_size(f->state) <= 64 * counts[i] + 1024);
    }
}

/* --- Golden states, which every later release must load: tests/unit/golden/ --- */

static GBytes *read_golden(const char *name)
{
    g_autofree char *path = g_build_filename(GOLDEN, name, NULL);
    g_auto(GStrv) lines = NULL;
    g_autofree char *text = NULL;
    GByteArray *bytes = g_byte_array_new();

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        for (const char *at = *line; *at && *at != '#'; at++) {
            int high = g_ascii_xdigit_value(*at), low;

            if (high < 0)
                continue;
            low = g_ascii_xdigit_value(*++at);
            assert_true(low >= 0);
            g_byte_array_append(bytes, &(guint8){high << 4 | low}, 1);
        }
    return g_byte_array_free_to_bytes(bytes);
}

/* Load it, and save it again: this release writes the same bytes. */
static void load_golden(Fixture *f, const char *name, const VcpuhpConfig *config)
{
    g_autoptr(GBytes) again = NULL;

    f->config = *config;
    change(&f->to, config);
    f->state = read_golden(name);
    load(f);
    again = vcpuhp_save(f->to.hp, NULL);
    assert_true(g_bytes_equal(f->state, again));
    assert_true(vcpuhp_resume(f->to.hp, NULL));
}

static void the_golden_state_of_a_machine_that_never_ran(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig config = f->config;

    load_golden(f, "1-new.hex", &config);
    assert_int_equal(f->to.starts->len, 0);
    assert_true(query(&f->to, 1).enabled);
    assert_false(query(&f->to, 2).enabled);
    start(&f->to);
}

/* make_busy() */
static void the_golden_state_of_a_busy_machine(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig config = rich_config();
    Start of;

    load_golden(f, "1-busy.hex", &config);
    assert_true(has_started(&f->to, 0, &of) && of.adopted);
    assert_true(has_started(&f->to, 1, &of) && !of.adopted);
    assert_int_equal(of.entry.address, 0x4000);
    assert_int_equal(of.entry.context, 5);
    assert_int_equal(query(&f->to, 2).request_state, VCPUHP_REQUEST_SEEN);
    assert_int_equal(query(&f->to, 2).request, 1);
    assert_int_equal(query(&f->to, 2).ost_status, VCPUHP_OST_INSERT_IN_PROGRESS);
    assert_int_equal(query(&f->to, 3).request_state, VCPUHP_REQUEST_RAISED);
    assert_int_equal(query(&f->to, 3).request, 2);
    assert_int_equal(read_reg(&f->to, REG_EVENT, 8), EVENT_INSERT | 3);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_SEEN)->sequence, 4);
    now += 5000000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->request, 1);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_ENDED)->outcome, VCPUHP_OUTCOME_TIMED_OUT);
}

static VcpuhpConfig removable_gicv2_config(void)
{
    VcpuhpConfig config = gicv2_config();

    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    config.n_enabled = 4;
    return config;
}

/* vCPU 1: between _EJ0 and CPU_OFF, with a plug that waits. vCPU 2: firmware-remove, and the block
 * half way through an _OST. vCPU 3: forced, not parked yet. */
static void make_ejecting(Fixture *f)
{
    f->config = removable_gicv2_config();
    change(&f->from, &f->config);
    start(&f->from);
    for (uint32_t i = 1; i < 4; i++)
        turn_on(&f->from, i);
    unplug(f, 1, 0);
    read_reg(&f->from, REG_EVENT, 8);
    write_reg(&f->from, REG_EJECT, 1, 8);
    write_reg(&f->from, REG_SELECTOR, 2, 4);
    write_reg(&f->from, REG_STATUS, FW_REMOVE, 1);
    write_reg(&f->from, REG_COMMAND, 1, 1);
    write_reg(&f->from, REG_COMMAND_DATA, VCPUHP_OST_SOURCE_EJECT, 4);
    assert_true(vcpuhp_force(f->from.hp, 3, NULL));
    plug(f, 3, 0, 0);
    now += 10000000;
    save(f);
}

static void the_golden_state_of_ejects(void **state)
{
    Fixture *f = *state;
    const VcpuhpConfig config = removable_gicv2_config();

    load_golden(f, "1-ejecting.hex", &config);
    assert_int_equal(find_event(&f->to, VCPUHP_EVENT_FORCED)->vcpu, 3);
    assert_int_equal(query(&f->to, 3).request_state, VCPUHP_REQUEST_RAISED);
    assert_int_equal(read_reg(&f->to, REG_STATUS, 1), 1 | FW_REMOVE);
    write_reg(&f->to, REG_COMMAND, 2, 1);
    write_reg(&f->to, REG_COMMAND_DATA, VCPUHP_OST_EJECT_IN_USE, 4);
    assert_int_equal(query(&f->to, 2).ost_source, VCPUHP_OST_SOURCE_EJECT);
    assert_true(query(&f->to, 1).ejecting);
    now += 20000000;
    vcpuhp_dispatch(f->to.hp);
    assert_int_equal(f->to.kicked, 1 << 1);
}

static void this_release_writes_the_golden_states(void **state)
{
    Fixture *f = *state;
    g_autoptr(GBytes) new = read_golden("1-new.hex"), busy = read_golden("1-busy.hex"),
                      ejecting = read_golden("1-ejecting.hex");

    save(f);
    assert_true(g_bytes_equal(f->state, new));
    make_busy(f);
    assert_true(g_bytes_equal(f->state, busy));
    make_ejecting(f);
    assert_true(g_bytes_equal(f->state, ejecting));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_machine_that_never_ran_is_moved),
        TEST(policy_is_the_loaded_one),
        TEST(a_vcpu_that_was_on_is_adopted),
        TEST(an_adopted_vcpu_causes_no_event),
        TEST(an_adopted_vcpu_is_on_before_its_thread_enters),
        TEST(no_vcpu_enters_before_the_resume),
        TEST(an_adopted_vcpu_enters_once),
        TEST(an_adopted_vcpu_turns_off_and_on_again),
        TEST(an_adopted_vcpu_that_is_stopped_before_it_enters_does_not_enter),
        TEST(a_vcpu_that_was_on_pending_starts_at_its_entry),
        TEST(a_big_endian_entry_stays_so),
        TEST(a_vcpu_between_ej0_and_cpu_off_runs_on_and_is_ejected_by_cpu_off),
        TEST(a_vcpu_that_was_asked_to_park_is_parked_by_the_resume),
        TEST(a_vcpu_ejected_while_on_pending_is_turned_off_by_the_resume),
        TEST(what_the_resume_parks_lets_a_held_plug_go_on),
        TEST(a_request_that_was_raised_is_taken_after_the_move),
        TEST(a_request_that_was_raised_can_be_cancelled_after_the_move),
        TEST(what_the_guest_may_know_of_cannot_be_cancelled_after_the_move),
        TEST(a_request_that_was_seen_ends_by_ost_after_the_move),
        TEST(a_plug_until_on_ends_when_the_vcpu_runs_after_the_move),
        TEST(a_plug_of_an_enabled_vcpu_keeps_it_enabled_after_the_move),
        TEST(ost_in_progress_and_its_source_are_still_known),
        TEST(the_answer_to_an_earlier_event_does_not_end_a_request_after_the_move),
        TEST(inserts_that_were_taken_are_still_to_be_answered),
        TEST(a_held_plug_waits_for_the_end_of_the_eject_after_the_move),
        TEST(a_new_ospm_raises_again_what_its_predecessor_took_before_the_move),
        TEST(firmware_remove_is_still_set),
        TEST(the_block_goes_on_between_any_two_accesses),
        TEST(sequence_numbers_go_on),
        TEST(request_ids_go_on),
        TEST(what_is_reported_ever_more_seldom_goes_on_so),
        TEST(the_resume_sets_the_line_whatever_it_is),
        TEST(a_machine_is_moved_again_and_again),
        TEST(time_stands_still_from_save_to_resume),
        TEST(a_retry_does_not_come_earlier_by_the_time_of_the_move),
        TEST(an_ejects_limit_does_not_come_earlier_by_the_time_of_the_move),
        TEST(a_state_that_is_saved_again_before_the_resume_is_the_same),
        TEST(a_deadline_that_has_passed_is_due_after_the_resume),
        TEST(a_request_is_raised_again_when_it_is_due),
        TEST(an_eject_that_is_late_is_ended_by_force_when_it_is_due),
        TEST(the_longest_timeout_is_kept),
        TEST(saving_changes_nothing),
        TEST(a_stopped_machine_is_not_saved),
        TEST(a_context_that_runs_loads_nothing),
        TEST(a_context_with_a_request_loads_nothing),
        TEST(a_context_loads_once),
        TEST(a_context_that_refused_a_state_loads_another),
        TEST(load_calls_no_callback),
        TEST(resume_without_load_is_out_of_order),
        TEST(resume_twice_is_out_of_order),
        TEST(start_between_load_and_resume_is_out_of_order),
        TEST(a_vcpu_without_a_thread_stops_the_machine),
        TEST(a_stop_between_load_and_resume_stops_every_vcpu),
        TEST(a_moved_machine_is_stopped_reset_and_started),
        TEST(the_same_rich_machine_is_loaded),
        TEST(another_number_of_vcpus_is_refused),
        TEST(the_number_of_removable_vcpus_at_boot_may_differ),
        TEST(another_topology_is_refused),
        TEST(other_caches_are_refused),
        TEST(other_mpidrs_are_refused),
        TEST(other_nodes_are_refused),
        TEST(another_gicv3_is_refused),
        TEST(another_gicv2_is_refused),
        TEST(other_registers_and_interrupts_are_refused),
        TEST(names_and_the_vmms_timeouts_may_differ),
        TEST(every_flipped_bit_is_refused),
        TEST(every_truncation_is_refused),
        TEST(trailing_bytes_are_refused),
        TEST(a_newer_version_is_refused),
        TEST(a_section_of_a_later_release_is_skipped_if_it_may_be),
        TEST(a_section_of_a_later_release_is_refused_by_name),
        TEST(sections_of_another_size_are_refused_by_name),
        TEST(another_kind_of_file_is_refused),
        TEST(values_that_no_field_has_are_refused),
        TEST(fields_of_a_request_without_a_request_are_refused),
        TEST(impossible_status_bits_are_refused),
        TEST(a_permanently_enabled_vcpu_that_is_asked_for_is_refused),
        TEST(an_entry_of_a_vcpu_that_is_not_on_pending_is_refused),
        TEST(an_impossible_eject_is_refused),
        TEST(an_impossible_plug_is_refused),
        TEST(an_impossible_unplug_is_refused),
        TEST(a_request_id_of_two_requests_is_refused),
        TEST(a_vcpu_takes_64_bytes_and_the_rest_less_than_a_kibibyte),
        TEST(the_golden_state_of_a_machine_that_never_ran),
        TEST(the_golden_state_of_a_busy_machine),
        TEST(the_golden_state_of_ejects),
        TEST(this_release_writes_the_golden_states),
    };

    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
