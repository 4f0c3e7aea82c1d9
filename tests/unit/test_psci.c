/* SPDX-License-Identifier: BSD-3-Clause */
/* PSCI: the cells of docs/psci.md's tables, one test each, in their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "psci/psci.h"

#define SMC32 0x84000000u
#define SMC64 0xc4000000u
/* Bits that a callee must ignore (SMCCC): above the function id, above the arguments of 32-bit
 * calls and above those of type uint32. */
#define JUNK 0xa5a5a5a500000000u

#define VERSION             0x00
#define CPU_SUSPEND         0x01
#define CPU_OFF             0x02
#define CPU_ON              0x03
#define AFFINITY_INFO       0x04
#define MIGRATE             0x05
#define MIGRATE_INFO_TYPE   0x06
#define MIGRATE_INFO_UP_CPU 0x07
#define SYSTEM_OFF          0x08
#define SYSTEM_RESET        0x09
#define FEATURES            0x0a
#define SYSTEM_SUSPEND      0x0e
#define SYSTEM_RESET2       0x12
#define SYSTEM_OFF2         0x15

#define ENTRY   0x40080000u
#define CONTEXT 0x12345678u

/* A vCPU in each state. Its number is its MPIDR. */
enum {
    VCPU_CALLER,
    VCPU_OFF,
    VCPU_PENDING,
    VCPU_ON,
    VCPU_LEAVING, /* ejected while on */
    VCPU_DISABLED,
    N_VCPUS,
    MPIDR_UNKNOWN = 0x0f,
};

typedef struct Fixture {
    Config config;
    Slots slots;
    VcpuhpCounters counters;
    Effects fx;
    uint64_t x[4];
    VcpuhpPsciAction action;
} Fixture;

static Fixture *fixture_new(const VcpuhpConfig *from)
{
    Fixture *f = g_new0(Fixture, 1);

    assert_true(config_init(&f->config, from, NULL));
    slots_init(&f->slots, &f->config);
    effects_init(&f->fx);
    return f;
}

static void fixture_free(Fixture *f)
{
    slots_clear(&f->slots);
    config_clear(&f->config);
    g_free(f);
}

static void turn_on(Fixture *f, uint32_t vcpu)
{
    const Entry entry = {.address = ENTRY};

    effects_init(&f->fx);
    assert_int_equal(slots_on(&f->slots, vcpu, &entry, &f->fx), ON_GRANTED);
    assert_true(slots_enter(&f->slots, vcpu, &f->fx));
}

static int set_up(void **state)
{
    const Entry entry = {.address = ENTRY};
    VcpuhpConfig from;
    Fixture *f;

    vcpuhp_config_init(&from, N_VCPUS, VCPU_DISABLED);
    from.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    f = fixture_new(&from);
    turn_on(f, VCPU_CALLER);
    turn_on(f, VCPU_ON);
    turn_on(f, VCPU_LEAVING);
    slots_eject(&f->slots, VCPU_LEAVING, 1, &f->fx);
    assert_int_equal(slots_on(&f->slots, VCPU_PENDING, &entry, &f->fx), ON_GRANTED);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static int64_t call(Fixture *f, uint32_t id, uint64_t x1, uint64_t x2, uint64_t x3)
{
    memcpy(f->x, (const uint64_t[]){JUNK | id, x1, x2, x3}, sizeof(f->x));
    effects_init(&f->fx);
    f->action = psci_call(&f->slots, &f->counters, VCPU_CALLER, f->x, false, &f->fx);
    return (int64_t)f->x[0];
}

static int64_t call32(Fixture *f, uint32_t function, uint32_t x1, uint32_t x2, uint32_t x3)
{
    return call(f, SMC32 | function, JUNK | x1, JUNK | x2, JUNK | x3);
}

static int64_t call64(Fixture *f, uint32_t function, uint64_t x1, uint64_t x2, uint64_t x3)
{
    return call(f, SMC64 | function, x1, x2, x3);
}

static void assert_answers(Fixture *f, int64_t answer, int64_t expected)
{
    assert_int_equal(answer, expected);
    assert_int_equal(f->action, VCPUHP_PSCI_RETURN);
    assert_int_equal(f->fx.start, -1);
}

static void assert_both_answer(Fixture *f, uint32_t function, uint32_t x1, uint32_t x2,
                               int64_t expected)
{
    assert_answers(f, call32(f, function, x1, x2, CONTEXT), expected);
    assert_answers(f, call64(f, function, x1, x2, CONTEXT), expected);
}

static void assert_unsupported(Fixture *f, uint32_t function)
{
    assert_both_answer(f, function, 0, 0, PSCI_NOT_SUPPORTED);
}

/* --- CPU_ON --- */

static void assert_refused(Fixture *f, uint32_t mpidr, uint32_t address, int64_t expected)
{
    Slot before[N_VCPUS];
    uint32_t n_running = f->slots.n_running;

    for (uint32_t i = 0; i < N_VCPUS; i++)
        before[i] = f->slots.table[i];
    assert_both_answer(f, CPU_ON, mpidr, address, expected);
    assert_int_equal(f->slots.n_running, n_running);
    for (uint32_t i = 0; i < N_VCPUS; i++)
        assert_int_equal(f->slots.table[i].power, before[i].power);
}

static void cpu_on_of_an_off_vcpu_succeeds(void **state)
{
    Fixture *f = *state;

    assert_int_equal(call64(f, CPU_ON, VCPU_OFF, ENTRY, CONTEXT), PSCI_SUCCESS);
    assert_int_equal(f->action, VCPUHP_PSCI_RETURN);
    assert_int_equal(f->fx.start, VCPU_OFF);
    assert_int_equal(f->slots.table[VCPU_OFF].power, VCPUHP_POWER_ON_PENDING);
    slots_off(&f->slots, VCPU_OFF, &f->fx);
    assert_int_equal(call32(f, CPU_ON, VCPU_OFF, ENTRY, CONTEXT), PSCI_SUCCESS);
    assert_int_equal(f->fx.start, VCPU_OFF);
}

static void cpu_on_of_a_pending_vcpu_is_on_pending(void **state)
{
    assert_refused(*state, VCPU_PENDING, ENTRY, PSCI_ON_PENDING);
}

static void cpu_on_of_an_on_vcpu_is_already_on(void **state)
{
    assert_refused(*state, VCPU_ON, ENTRY, PSCI_ALREADY_ON);
}

static void cpu_on_of_the_caller_is_already_on(void **state)
{
    assert_refused(*state, VCPU_CALLER, ENTRY, PSCI_ALREADY_ON);
}

static void cpu_on_of_a_disabled_vcpu_is_denied(void **state)
{
    assert_refused(*state, VCPU_DISABLED, ENTRY, PSCI_DENIED);
}

static void cpu_on_of_an_ejected_vcpu_that_still_runs_is_denied(void **state)
{
    assert_refused(*state, VCPU_LEAVING, ENTRY, PSCI_DENIED);
}

static void cpu_on_of_an_unknown_mpidr_is_invalid_parameters(void **state)
{
    Fixture *f = *state;

    assert_refused(f, MPIDR_UNKNOWN, ENTRY, PSCI_INVALID_PARAMETERS);
    /* MPIDR_EL1 as the vCPU reads it has bit 31 set, which is not an affinity field. */
    assert_refused(f, 1u << 31 | VCPU_OFF, ENTRY, PSCI_INVALID_PARAMETERS);
    /* The upper half of a 64-bit call's affinity counts. */
    assert_answers(f, call64(f, CPU_ON, 1ULL << 32 | VCPU_OFF, ENTRY, CONTEXT),
                   PSCI_INVALID_PARAMETERS);
}

static void cpu_on_of_an_off_vcpu_at_a_misaligned_address_is_invalid_address(void **state)
{
    for (uint32_t i = 1; i < 4; i++)
        assert_refused(*state, VCPU_OFF, ENTRY + i, PSCI_INVALID_ADDRESS);
}

static void cpu_on_of_a_pending_vcpu_at_a_misaligned_address_is_on_pending(void **state)
{
    assert_refused(*state, VCPU_PENDING, ENTRY + 1, PSCI_ON_PENDING);
}

static void cpu_on_of_an_on_vcpu_at_a_misaligned_address_is_already_on(void **state)
{
    assert_refused(*state, VCPU_ON, ENTRY + 1, PSCI_ALREADY_ON);
}

static void cpu_on_of_a_disabled_vcpu_at_a_misaligned_address_is_denied(void **state)
{
    assert_refused(*state, VCPU_DISABLED, ENTRY + 1, PSCI_DENIED);
    assert_refused(*state, VCPU_LEAVING, ENTRY + 1, PSCI_DENIED);
}

static void cpu_on_of_an_unknown_mpidr_at_a_misaligned_address_is_invalid_parameters(void **state)
{
    assert_refused(*state, MPIDR_UNKNOWN, ENTRY + 1, PSCI_INVALID_PARAMETERS);
}

static void cpu_on_of_an_off_vcpu_while_stopping_is_internal_failure(void **state)
{
    Fixture *f = *state;

    slots_stop(&f->slots, &f->fx);
    assert_refused(f, VCPU_OFF, ENTRY, PSCI_INTERNAL_FAILURE);
    assert_refused(f, VCPU_OFF, ENTRY + 1, PSCI_INTERNAL_FAILURE);
}

static void cpu_on_of_a_pending_vcpu_while_stopping_is_on_pending(void **state)
{
    Fixture *f = *state;

    slots_stop(&f->slots, &f->fx);
    assert_refused(f, VCPU_PENDING, ENTRY, PSCI_ON_PENDING);
}

static void cpu_on_of_an_on_vcpu_while_stopping_is_already_on(void **state)
{
    Fixture *f = *state;

    slots_stop(&f->slots, &f->fx);
    assert_refused(f, VCPU_ON, ENTRY, PSCI_ALREADY_ON);
}

static void cpu_on_of_a_disabled_vcpu_while_stopping_is_denied(void **state)
{
    Fixture *f = *state;

    slots_stop(&f->slots, &f->fx);
    assert_refused(f, VCPU_DISABLED, ENTRY, PSCI_DENIED);
    assert_refused(f, VCPU_LEAVING, ENTRY, PSCI_DENIED);
}

static void cpu_on_of_an_unknown_mpidr_while_stopping_is_invalid_parameters(void **state)
{
    Fixture *f = *state;

    slots_stop(&f->slots, &f->fx);
    assert_refused(f, MPIDR_UNKNOWN, ENTRY, PSCI_INVALID_PARAMETERS);
}

static void cpu_on_passes_address_context_and_endianness(void **state)
{
    Fixture *f = *state;
    const Entry *entry = &f->slots.table[VCPU_OFF].entry;

    call64(f, CPU_ON, VCPU_OFF, 0x1234567890abcdf0, 0xfedcba9876543210);
    assert_true(entry->address == 0x1234567890abcdf0);
    assert_true(entry->context == 0xfedcba9876543210);
    assert_false(entry->big_endian);
    slots_off(&f->slots, VCPU_OFF, &f->fx);

    memcpy(f->x, (const uint64_t[]){SMC32 | CPU_ON, VCPU_OFF, JUNK | ENTRY, JUNK | CONTEXT},
           sizeof(f->x));
    psci_call(&f->slots, &f->counters, VCPU_CALLER, f->x, true, &f->fx);
    assert_true(entry->address == ENTRY);
    assert_true(entry->context == CONTEXT);
    assert_true(entry->big_endian);
}

static void cpu_on_that_no_correct_guest_makes_is_reported_with_its_caller(void **state)
{
    Fixture *f = *state;

    call64(f, CPU_ON, MPIDR_UNKNOWN, ENTRY, 0);
    assert_int_equal(f->fx.n_events, 1);
    assert_int_equal(f->fx.events[0].kind, VCPUHP_EVENT_GUEST_ERROR);
    assert_int_equal(f->fx.events[0].vcpu, VCPU_CALLER);
    call64(f, CPU_ON, VCPU_OFF, ENTRY + 1, 0);
    assert_int_equal(f->fx.n_events, 1);
    assert_int_equal(f->fx.events[0].kind, VCPUHP_EVENT_GUEST_ERROR);
    assert_int_equal(f->fx.events[0].vcpu, VCPU_CALLER);
}

/* --- CPU_OFF --- */

static void cpu_off_parks(void **state)
{
    Fixture *f = *state;

    call32(f, CPU_OFF, 0x10000, 0, 0);
    assert_int_equal(f->action, VCPUHP_PSCI_PARK);
    assert_int_equal(f->fx.start, -1);
}

static void cpu_off_has_no_64_bit_call(void **state)
{
    Fixture *f = *state;

    assert_answers(f, call64(f, CPU_OFF, 0, 0, 0), PSCI_NOT_SUPPORTED);
}

/* --- AFFINITY_INFO --- */

static void affinity_info_of_an_off_vcpu_is_off(void **state)
{
    assert_both_answer(*state, AFFINITY_INFO, VCPU_OFF, 0, 1);
}

static void affinity_info_of_a_pending_vcpu_is_on_pending(void **state)
{
    assert_both_answer(*state, AFFINITY_INFO, VCPU_PENDING, 0, 2);
}

static void affinity_info_of_an_on_vcpu_is_on(void **state)
{
    assert_both_answer(*state, AFFINITY_INFO, VCPU_ON, 0, 0);
}

static void affinity_info_of_the_caller_is_on(void **state)
{
    assert_both_answer(*state, AFFINITY_INFO, VCPU_CALLER, 0, 0);
}

static void affinity_info_of_a_disabled_vcpu_is_off(void **state)
{
    assert_both_answer(*state, AFFINITY_INFO, VCPU_DISABLED, 0, 1);
}

static void affinity_info_of_an_ejected_vcpu_that_still_runs_is_on(void **state)
{
    Fixture *f = *state;

    assert_both_answer(f, AFFINITY_INFO, VCPU_LEAVING, 0, 0);
    slots_off(&f->slots, VCPU_LEAVING, &f->fx);
    assert_both_answer(f, AFFINITY_INFO, VCPU_LEAVING, 0, 1);
}

static void affinity_info_of_an_unknown_mpidr_is_invalid_parameters(void **state)
{
    Fixture *f = *state;

    assert_both_answer(f, AFFINITY_INFO, MPIDR_UNKNOWN, 0, PSCI_INVALID_PARAMETERS);
    assert_both_answer(f, AFFINITY_INFO, 1u << 31 | VCPU_ON, 0, PSCI_INVALID_PARAMETERS);
    assert_answers(f, call64(f, AFFINITY_INFO, 1ULL << 32 | VCPU_ON, 0, 0),
                   PSCI_INVALID_PARAMETERS);
}

static void affinity_info_while_stopping_is_the_state(void **state)
{
    Fixture *f = *state;

    slots_stop(&f->slots, &f->fx);
    assert_both_answer(f, AFFINITY_INFO, VCPU_OFF, 0, 1);
    assert_both_answer(f, AFFINITY_INFO, VCPU_PENDING, 0, 2);
    assert_both_answer(f, AFFINITY_INFO, VCPU_ON, 0, 0);
    assert_both_answer(f, AFFINITY_INFO, VCPU_DISABLED, 0, 1);
}

static void affinity_info_of_a_level_above_3_is_invalid_parameters(void **state)
{
    assert_both_answer(*state, AFFINITY_INFO, VCPU_ON, 4, PSCI_INVALID_PARAMETERS);
    assert_both_answer(*state, AFFINITY_INFO, VCPU_ON, UINT32_MAX, PSCI_INVALID_PARAMETERS);
}

static void affinity_info_ignores_the_upper_half_of_the_level(void **state)
{
    Fixture *f = *state;

    assert_answers(f, call64(f, AFFINITY_INFO, VCPU_OFF, JUNK, 0), 1);
}

/* vCPU 0: 0.0.0.0, 1: 0.0.0.1, 2: 0.0.1.0, 3: 0.1.0.0, 4: 1.0.0.0 */
static Fixture *groups_new(void)
{
    static const uint64_t mpidrs[] = {0, 1, 0x100, 0x10000, 1ULL << 32};
    VcpuhpConfig from;

    vcpuhp_config_init(&from, G_N_ELEMENTS(mpidrs), G_N_ELEMENTS(mpidrs) - 1);
    from.mpidrs = mpidrs;
    return fixture_new(&from);
}

static void affinity_info_of_a_group_ignores_the_lower_fields(void **state)
{
    Fixture *f = groups_new();

    (void)state;
    turn_on(f, 3);
    assert_both_answer(f, AFFINITY_INFO, 0x100ff, 1, 0);
    assert_both_answer(f, AFFINITY_INFO, 0x1ffff, 2, 0);
    assert_both_answer(f, AFFINITY_INFO, 0xffffff, 3, 0);
    /* Fields from the level up count. */
    assert_both_answer(f, AFFINITY_INFO, 0x100ff, 0, PSCI_INVALID_PARAMETERS);
    assert_both_answer(f, AFFINITY_INFO, 0x1ff00, 1, PSCI_INVALID_PARAMETERS);
    fixture_free(f);
}

static void affinity_info_of_a_group_with_an_on_vcpu_is_on(void **state)
{
    const Entry entry = {.address = ENTRY};
    Fixture *f = groups_new();

    (void)state;
    assert_int_equal(slots_on(&f->slots, 0, &entry, &f->fx), ON_GRANTED);
    turn_on(f, 1);
    for (uint32_t level = 1; level <= 3; level++)
        assert_both_answer(f, AFFINITY_INFO, 0, level, 0);
    fixture_free(f);
}

static void affinity_info_of_a_group_with_a_pending_vcpu_is_on_pending(void **state)
{
    const Entry entry = {.address = ENTRY};
    Fixture *f = groups_new();

    (void)state;
    assert_int_equal(slots_on(&f->slots, 0, &entry, &f->fx), ON_GRANTED);
    for (uint32_t level = 1; level <= 3; level++)
        assert_both_answer(f, AFFINITY_INFO, 0, level, 2);
    fixture_free(f);
}

static void affinity_info_of_a_group_that_is_off_is_off(void **state)
{
    Fixture *f = groups_new();

    (void)state;
    turn_on(f, 2);
    assert_both_answer(f, AFFINITY_INFO, 0, 1, 1);
    assert_both_answer(f, AFFINITY_INFO, 0, 2, 0);
    turn_on(f, 3);
    assert_both_answer(f, AFFINITY_INFO, 0x20000, 3, 0);
    /* vCPU 4, the only one there, is disabled. */
    assert_answers(f, call64(f, AFFINITY_INFO, 1ULL << 32, 3, 0), 1);
    fixture_free(f);
}

static void affinity_info_of_a_group_without_vcpu_is_invalid_parameters(void **state)
{
    Fixture *f = groups_new();

    (void)state;
    assert_both_answer(f, AFFINITY_INFO, 0x200, 1, PSCI_INVALID_PARAMETERS);
    assert_both_answer(f, AFFINITY_INFO, 0x20000, 2, PSCI_INVALID_PARAMETERS);
    assert_answers(f, call64(f, AFFINITY_INFO, 2ULL << 32, 3, 0), PSCI_INVALID_PARAMETERS);
    fixture_free(f);
}

static void affinity_info_of_bits_that_are_no_affinity_is_invalid_parameters(void **state)
{
    Fixture *f = groups_new();

    (void)state;
    for (uint32_t level = 0; level <= 3; level++)
        assert_both_answer(f, AFFINITY_INFO, 1u << 31, level, PSCI_INVALID_PARAMETERS);
    fixture_free(f);
}

/* --- The rest: independent of any vCPU's state --- */

static void version_is_1_3(void **state)
{
    Fixture *f = *state;

    assert_answers(f, call32(f, VERSION, 0, 0, 0), 0x10003);
    assert_answers(f, call64(f, VERSION, 0, 0, 0), PSCI_NOT_SUPPORTED);
}

static void assert_suspends(Fixture *f, int64_t answer)
{
    assert_int_equal(answer, PSCI_SUCCESS);
    assert_int_equal(f->action, VCPUHP_PSCI_SUSPEND);
    assert_int_equal(f->fx.start, -1);
}

static void cpu_suspend_suspends_until_an_interrupt(void **state)
{
    Fixture *f = *state;

    assert_suspends(f, call32(f, CPU_SUSPEND, 0, 0, 0));
    assert_suspends(f, call64(f, CPU_SUSPEND, 0, 0, 0));
}

static void cpu_suspend_to_power_down_is_standby(void **state)
{
    Fixture *f = *state;

    assert_suspends(f, call32(f, CPU_SUSPEND, 0x03010001, ENTRY, CONTEXT));
    assert_suspends(f, call64(f, CPU_SUSPEND, JUNK | 0x00010000, ENTRY + 1, CONTEXT));
}

static void cpu_suspend_with_reserved_bits_is_invalid_parameters(void **state)
{
    assert_both_answer(*state, CPU_SUSPEND, 0x80000000, ENTRY, PSCI_INVALID_PARAMETERS);
    assert_both_answer(*state, CPU_SUSPEND, 0x00020000, ENTRY, PSCI_INVALID_PARAMETERS);
}

static void migrate_is_not_supported(void **state)
{
    assert_unsupported(*state, MIGRATE);
}

static void migrate_info_type_is_2(void **state)
{
    Fixture *f = *state;

    assert_answers(f, call32(f, MIGRATE_INFO_TYPE, 0, 0, 0), 2);
    assert_answers(f, call64(f, MIGRATE_INFO_TYPE, 0, 0, 0), PSCI_NOT_SUPPORTED);
}

static void migrate_info_up_cpu_is_not_supported(void **state)
{
    assert_unsupported(*state, MIGRATE_INFO_UP_CPU);
}

/* What the vCPU would read if it were resumed nevertheless. */
static void assert_never_returns(Fixture *f, int64_t answer, VcpuhpPsciAction action)
{
    assert_int_equal(f->action, action);
    assert_int_equal(answer, PSCI_INTERNAL_FAILURE);
    assert_int_equal(f->fx.start, -1);
}

static void system_off_turns_the_machine_off(void **state)
{
    Fixture *f = *state;

    assert_never_returns(f, call32(f, SYSTEM_OFF, 0, 0, 0), VCPUHP_PSCI_SYSTEM_OFF);
    assert_answers(f, call64(f, SYSTEM_OFF, 0, 0, 0), PSCI_NOT_SUPPORTED);
}

static void system_reset_resets_the_machine(void **state)
{
    Fixture *f = *state;

    assert_never_returns(f, call32(f, SYSTEM_RESET, 0, 0, 0), VCPUHP_PSCI_SYSTEM_RESET);
    assert_answers(f, call64(f, SYSTEM_RESET, 0, 0, 0), PSCI_NOT_SUPPORTED);
}

static void system_reset2_warm_resets_the_machine(void **state)
{
    Fixture *f = *state;

    assert_never_returns(f, call32(f, SYSTEM_RESET2, 0, 1, 0), VCPUHP_PSCI_SYSTEM_RESET);
    assert_never_returns(f, call64(f, SYSTEM_RESET2, JUNK, 1, 0), VCPUHP_PSCI_SYSTEM_RESET);
}

static void system_reset2_vendor_resets_the_machine(void **state)
{
    Fixture *f = *state;

    assert_never_returns(f, call32(f, SYSTEM_RESET2, 0x80000000, 0, 0), VCPUHP_PSCI_SYSTEM_RESET);
    assert_never_returns(f, call64(f, SYSTEM_RESET2, 0xffffffff, 0, 0), VCPUHP_PSCI_SYSTEM_RESET);
}

static void system_reset2_of_an_unknown_type_is_invalid_parameters(void **state)
{
    assert_both_answer(*state, SYSTEM_RESET2, 1, 0, PSCI_INVALID_PARAMETERS);
    assert_both_answer(*state, SYSTEM_RESET2, 0x7fffffff, 0, PSCI_INVALID_PARAMETERS);
}

static void system_off2_hibernate_turns_the_machine_off(void **state)
{
    Fixture *f = *state;

    for (uint32_t type = 0; type <= 1; type++) {
        assert_never_returns(f, call32(f, SYSTEM_OFF2, type, 0, 0), VCPUHP_PSCI_SYSTEM_OFF);
        assert_never_returns(f, call64(f, SYSTEM_OFF2, JUNK | type, 0, 0), VCPUHP_PSCI_SYSTEM_OFF);
    }
}

static void system_off2_of_an_unknown_type_is_invalid_parameters(void **state)
{
    assert_both_answer(*state, SYSTEM_OFF2, 2, 0, PSCI_INVALID_PARAMETERS);
    assert_both_answer(*state, SYSTEM_OFF2, 0x80000000, 0, PSCI_INVALID_PARAMETERS);
}

static void system_off2_with_a_cookie_is_invalid_parameters(void **state)
{
    Fixture *f = *state;

    assert_both_answer(f, SYSTEM_OFF2, 1, 1, PSCI_INVALID_PARAMETERS);
    assert_answers(f, call64(f, SYSTEM_OFF2, 1, JUNK, 0), PSCI_INVALID_PARAMETERS);
}

static void system_suspend_is_not_supported(void **state)
{
    assert_unsupported(*state, SYSTEM_SUSPEND);
}

static void unknown_functions_of_psci_are_not_supported(void **state)
{
    static const uint8_t unknown[] = {0x0b, 0x0c, 0x0d, 0x0f, 0x10, 0x11, 0x13, 0x14, 0x16,
                                      0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};

    for (gsize i = 0; i < sizeof(unknown); i++)
        assert_unsupported(*state, unknown[i]);
}

static void calls_that_are_not_psci_are_left_alone(void **state)
{
    /* Next to PSCI's range; SMCCC_VERSION; TRNG_VERSION; a yielding call; another owner's; PSCI
     * 0.1's CPU_ON as KVM numbers it; with a hint, which the caller has to strip. */
    static const uint32_t ids[] = {0x83ffffff, 0x84000020, 0xc3ffffff, 0xc4000020,
                                   0x80000000, 0x84000050, 0x04000003, 0xc5000003,
                                   0x95c1ba60, 0xc4010003, 0};
    Fixture *f = *state;

    for (gsize i = 0; i < G_N_ELEMENTS(ids); i++) {
        call(f, ids[i], VCPU_OFF, ENTRY, CONTEXT);
        assert_int_equal(f->action, VCPUHP_PSCI_NOT_PSCI);
        assert_int_equal(f->fx.start, -1);
        assert_true(f->x[0] == (JUNK | ids[i]));
        assert_int_equal(f->x[1], VCPU_OFF);
    }
}

/* --- PSCI_FEATURES --- */

static int64_t features_of(Fixture *f, uint32_t id)
{
    int64_t answer = call32(f, FEATURES, id, 0, 0);

    assert_int_equal(f->action, VCPUHP_PSCI_RETURN);
    return answer;
}

static void features_of_smccc_version_is_0(void **state)
{
    assert_int_equal(features_of(*state, 0x80000000), 0);
}

static void features_of_an_implemented_function_is_0(void **state)
{
    static const uint32_t ids[] = {
        SMC32 | VERSION,       SMC32 | CPU_OFF,           SMC32 | CPU_ON,
        SMC64 | CPU_ON,        SMC32 | AFFINITY_INFO,     SMC64 | AFFINITY_INFO,
        SMC32 | SYSTEM_OFF,    SMC32 | MIGRATE_INFO_TYPE, SMC32 | SYSTEM_RESET,
        SMC32 | SYSTEM_RESET2, SMC64 | SYSTEM_RESET2,     SMC32 | FEATURES};

    for (gsize i = 0; i < G_N_ELEMENTS(ids); i++)
        assert_int_equal(features_of(*state, ids[i]), 0);
}

static void features_of_cpu_suspend_is_original_format_and_no_os_initiated_mode(void **state)
{
    assert_int_equal(features_of(*state, SMC32 | CPU_SUSPEND), 0);
    assert_int_equal(features_of(*state, SMC64 | CPU_SUSPEND), 0);
}

static void features_of_system_off2_is_hibernate_off(void **state)
{
    assert_int_equal(features_of(*state, SMC32 | SYSTEM_OFF2), 1);
    assert_int_equal(features_of(*state, SMC64 | SYSTEM_OFF2), 1);
}

static void features_of_anything_else_is_not_supported(void **state)
{
    static const uint32_t ids[] = {SMC32 | MIGRATE,
                                   SMC64 | MIGRATE,
                                   SMC32 | MIGRATE_INFO_UP_CPU,
                                   SMC32 | SYSTEM_SUSPEND,
                                   SMC64 | CPU_OFF,
                                   SMC64 | SYSTEM_SUSPEND,
                                   SMC64 | SYSTEM_OFF,
                                   SMC64 | FEATURES,
                                   SMC64 | VERSION,
                                   SMC32 | 0x1f,
                                   SMC32 | 0x20,
                                   SMC32 | 0x50,
                                   0x80000001,
                                   0x04000000 | CPU_ON,
                                   0};

    for (gsize i = 0; i < G_N_ELEMENTS(ids); i++)
        assert_int_equal(features_of(*state, ids[i]), PSCI_NOT_SUPPORTED);
}

/* For every id of PSCI's ranges. */
static void features_agrees_with_what_calls_answer(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * 0x20; i++) {
        uint32_t id = (i < 0x20 ? SMC32 : SMC64) | i % 0x20;
        Fixture *f;
        bool has;

        set_up((void **)&f);
        has = features_of(f, id) != PSCI_NOT_SUPPORTED;
        /* With this argument no implemented function, FEATURES included, is NOT_SUPPORTED. */
        assert_int_equal(call(f, id, 0x80000000, 0, 0) != PSCI_NOT_SUPPORTED, has);
        fixture_free(f);
    }
}

static void features_has_no_64_bit_call(void **state)
{
    Fixture *f = *state;

    assert_answers(f, call64(f, FEATURES, SMC32 | CPU_ON, 0, 0), PSCI_NOT_SUPPORTED);
}

/* --- Across functions --- */

static void calls_are_counted_by_function_and_result(void **state)
{
    Fixture *f = *state;

    call64(f, CPU_ON, VCPU_OFF, ENTRY + 2, 0);
    call64(f, CPU_ON, VCPU_OFF, ENTRY, 0);
    call64(f, CPU_ON, VCPU_DISABLED, ENTRY, 0);
    call32(f, CPU_ON, VCPU_LEAVING, ENTRY, 0);
    call64(f, CPU_ON, VCPU_ON, ENTRY, 0);
    call64(f, CPU_ON, VCPU_PENDING, ENTRY, 0);
    call64(f, CPU_ON, MPIDR_UNKNOWN, ENTRY, 0);
    call32(f, CPU_OFF, 0, 0, 0);
    call64(f, AFFINITY_INFO, VCPU_ON, 0, 0);
    call64(f, AFFINITY_INFO, VCPU_ON, 1, 0);
    call32(f, VERSION, 0, 0, 0);
    call64(f, CPU_OFF, 0, 0, 0);
    call(f, 0x84000050, 0, 0, 0);
    slots_off(&f->slots, VCPU_OFF, &f->fx);
    slots_stop(&f->slots, &f->fx);
    call64(f, CPU_ON, VCPU_OFF, ENTRY, 0);
    assert_int_equal(f->counters.cpu_on_granted, 1);
    assert_int_equal(f->counters.cpu_on_denied, 2);
    assert_int_equal(f->counters.cpu_on_already, 2);
    assert_int_equal(f->counters.cpu_on_failed, 3);
    assert_int_equal(f->counters.cpu_off, 1);
    assert_int_equal(f->counters.affinity_info, 2);
    assert_int_equal(f->counters.psci_other, 2);
}

/* Registers as a hostile guest fills them: random, and often just what is valid. */
static uint64_t hostile_register(GRand *rand)
{
    uint64_t low = g_rand_int(rand);

    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
        return (uint64_t)g_rand_int(rand) << 32 | low;
    case 1:
        return low;
    case 2:
        return ENTRY;
    case 3:
        return (uint64_t)g_rand_int(rand) << 32 | low % N_VCPUS;
    case 4:
        return 1u << 31 | low % N_VCPUS;
    default:
        return low % N_VCPUS;
    }
}

static void no_id_powers_on_a_disabled_vcpu(void **state)
{
    Fixture *f = *state;
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint32_t granted = 0;

    slots_off(&f->slots, VCPU_LEAVING, &f->fx);
    for (uint32_t i = 0; i < 2 * 0x10000; i++) {
        uint32_t id = (i < 0x10000 ? SMC32 : SMC64) | i % 0x10000;
        /* Outside PSCI's own ids one attempt is enough. */
        uint32_t tries = i % 0x10000 < 0x20 ? 2000 : 1;

        while (tries--) {
            uint64_t x1 = hostile_register(rand);
            uint64_t x2 = hostile_register(rand);

            call(f, id, x1, x2, hostile_register(rand));
            assert_int_equal(f->slots.table[VCPU_DISABLED].power, VCPUHP_POWER_OFF);
            assert_int_equal(f->slots.table[VCPU_LEAVING].power, VCPUHP_POWER_OFF);
            if (f->fx.start < 0)
                continue;
            assert_int_equal(id & ~0x40000000u, SMC32 | CPU_ON);
            assert_int_equal(f->fx.start, VCPU_OFF);
            slots_off(&f->slots, VCPU_OFF, &f->fx);
            granted++;
        }
    }
    assert_true(granted > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cpu_on_of_an_off_vcpu_succeeds),
        TEST(cpu_on_of_a_pending_vcpu_is_on_pending),
        TEST(cpu_on_of_an_on_vcpu_is_already_on),
        TEST(cpu_on_of_the_caller_is_already_on),
        TEST(cpu_on_of_a_disabled_vcpu_is_denied),
        TEST(cpu_on_of_an_ejected_vcpu_that_still_runs_is_denied),
        TEST(cpu_on_of_an_unknown_mpidr_is_invalid_parameters),
        TEST(cpu_on_of_an_off_vcpu_at_a_misaligned_address_is_invalid_address),
        TEST(cpu_on_of_a_pending_vcpu_at_a_misaligned_address_is_on_pending),
        TEST(cpu_on_of_an_on_vcpu_at_a_misaligned_address_is_already_on),
        TEST(cpu_on_of_a_disabled_vcpu_at_a_misaligned_address_is_denied),
        TEST(cpu_on_of_an_unknown_mpidr_at_a_misaligned_address_is_invalid_parameters),
        TEST(cpu_on_of_an_off_vcpu_while_stopping_is_internal_failure),
        TEST(cpu_on_of_a_pending_vcpu_while_stopping_is_on_pending),
        TEST(cpu_on_of_an_on_vcpu_while_stopping_is_already_on),
        TEST(cpu_on_of_a_disabled_vcpu_while_stopping_is_denied),
        TEST(cpu_on_of_an_unknown_mpidr_while_stopping_is_invalid_parameters),
        TEST(cpu_on_passes_address_context_and_endianness),
        TEST(cpu_on_that_no_correct_guest_makes_is_reported_with_its_caller),
        TEST(cpu_off_parks),
        TEST(cpu_off_has_no_64_bit_call),
        TEST(affinity_info_of_an_off_vcpu_is_off),
        TEST(affinity_info_of_a_pending_vcpu_is_on_pending),
        TEST(affinity_info_of_an_on_vcpu_is_on),
        TEST(affinity_info_of_the_caller_is_on),
        TEST(affinity_info_of_a_disabled_vcpu_is_off),
        TEST(affinity_info_of_an_ejected_vcpu_that_still_runs_is_on),
        TEST(affinity_info_of_an_unknown_mpidr_is_invalid_parameters),
        TEST(affinity_info_while_stopping_is_the_state),
        TEST(affinity_info_of_a_level_above_3_is_invalid_parameters),
        TEST(affinity_info_ignores_the_upper_half_of_the_level),
        TEST(affinity_info_of_a_group_ignores_the_lower_fields),
        TEST(affinity_info_of_a_group_with_an_on_vcpu_is_on),
        TEST(affinity_info_of_a_group_with_a_pending_vcpu_is_on_pending),
        TEST(affinity_info_of_a_group_that_is_off_is_off),
        TEST(affinity_info_of_a_group_without_vcpu_is_invalid_parameters),
        TEST(affinity_info_of_bits_that_are_no_affinity_is_invalid_parameters),
        TEST(version_is_1_3),
        TEST(cpu_suspend_suspends_until_an_interrupt),
        TEST(cpu_suspend_to_power_down_is_standby),
        TEST(cpu_suspend_with_reserved_bits_is_invalid_parameters),
        TEST(migrate_is_not_supported),
        TEST(migrate_info_type_is_2),
        TEST(migrate_info_up_cpu_is_not_supported),
        TEST(system_off_turns_the_machine_off),
        TEST(system_reset_resets_the_machine),
        TEST(system_reset2_warm_resets_the_machine),
        TEST(system_reset2_vendor_resets_the_machine),
        TEST(system_reset2_of_an_unknown_type_is_invalid_parameters),
        TEST(system_off2_hibernate_turns_the_machine_off),
        TEST(system_off2_of_an_unknown_type_is_invalid_parameters),
        TEST(system_off2_with_a_cookie_is_invalid_parameters),
        TEST(system_suspend_is_not_supported),
        TEST(unknown_functions_of_psci_are_not_supported),
        TEST(calls_that_are_not_psci_are_left_alone),
        TEST(features_of_smccc_version_is_0),
        TEST(features_of_an_implemented_function_is_0),
        TEST(features_of_cpu_suspend_is_original_format_and_no_os_initiated_mode),
        TEST(features_of_system_off2_is_hibernate_off),
        TEST(features_of_anything_else_is_not_supported),
        TEST(features_agrees_with_what_calls_answer),
        TEST(features_has_no_64_bit_call),
        TEST(calls_are_counted_by_function_and_result),
        TEST(no_id_powers_on_a_disabled_vcpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
