/* SPDX-License-Identifier: BSD-3-Clause */
/* docs/register-block.md, a test for each of its rules; then what its known clients do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "acpi/regs.h"

#define N 6

/* Six vCPUs: 0 enabled permanently, 1 enabled and removable, the others disabled. */
typedef struct Fixture {
    Config config;
    Slots slots;
    VcpuhpCounters counters;
    Regs regs;
    Effects fx; /* of the last access */
} Fixture;

/* Aff3 differs from 0, so that both halves of GET_CPU_ID show. */
static uint64_t mpidr(uint32_t vcpu)
{
    return 0x0700020300ULL | vcpu;
}

static int set_up(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    uint64_t mpidrs[N];
    VcpuhpConfig from;

    for (uint32_t i = 0; i < N; i++)
        mpidrs[i] = mpidr(i);
    vcpuhp_config_init(&from, N, 2);
    from.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    from.mpidrs = mpidrs;
    assert_true(config_init(&f->config, &from, NULL));
    slots_init(&f->slots, &f->config);
    regs_init(&f->regs, &f->slots, &f->counters);
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

/* --- Accesses --- */

static uint64_t read_le(Fixture *f, uint64_t offset, uint32_t len)
{
    uint8_t data[8];
    uint64_t value = 0;

    memset(data, 0xa5, sizeof(data));
    effects_init(&f->fx);
    regs_read(&f->regs, offset, data, len, &f->fx);
    for (uint32_t i = 0; i < len; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

static void write_le(Fixture *f, uint64_t offset, uint64_t value, uint32_t len)
{
    uint8_t data[8];

    for (uint32_t i = 0; i < len; i++)
        data[i] = value >> (8 * i);
    effects_init(&f->fx);
    regs_write(&f->regs, offset, data, len, &f->fx);
}

static uint8_t r8(Fixture *f, uint64_t offset)
{
    return read_le(f, offset, 1);
}

static uint32_t r32(Fixture *f, uint64_t offset)
{
    return read_le(f, offset, 4);
}

static uint64_t r64(Fixture *f, uint64_t offset)
{
    return read_le(f, offset, 8);
}

static void w8(Fixture *f, uint64_t offset, uint8_t value)
{
    write_le(f, offset, value, 1);
}

static void w32(Fixture *f, uint64_t offset, uint32_t value)
{
    write_le(f, offset, value, 4);
}

static void w64(Fixture *f, uint64_t offset, uint64_t value)
{
    write_le(f, offset, value, 8);
}

static uint8_t status_of(Fixture *f, uint32_t slot)
{
    w32(f, 0x0, slot);
    return r8(f, 0x4);
}

static void assert_no_guest_error(Fixture *f)
{
    assert_int_equal(f->slots.errors, 0);
}

/* --- The VMM's side --- */

static void plug(Fixture *f, uint32_t vcpu)
{
    effects_init(&f->fx);
    assert_true(slots_plug(&f->slots, vcpu, 0, 0, 0, &(uint32_t){0}, &f->fx, NULL));
}

static void unplug(Fixture *f, uint32_t vcpu)
{
    effects_init(&f->fx);
    assert_true(slots_unplug(&f->slots, vcpu, 0, 0, 0, &(uint32_t){0}, &f->fx, NULL));
}

/* Insert and remove at once: a plug that the guest has looked at, but not taken, is overtaken. */
static void raise_both(Fixture *f, uint32_t vcpu)
{
    plug(f, vcpu);
    slots_read_status(&f->slots, vcpu);
    unplug(f, vcpu);
}

static const VcpuhpEvent *event_of(Fixture *f, VcpuhpEventKind kind)
{
    for (uint32_t i = 0; i < f->fx.n_events; i++)
        if (f->fx.events[i].kind == kind)
            return &f->fx.events[i];
    return NULL;
}

static void assert_ost(Fixture *f, uint32_t vcpu, uint32_t source, uint32_t status)
{
    const VcpuhpEvent *event = event_of(f, VCPUHP_EVENT_OST);

    assert_non_null(event);
    assert_int_equal(event->vcpu, vcpu);
    assert_int_equal(event->ost_source, source);
    assert_int_equal(event->ost_status, status);
}

static void assert_same_slots(Fixture *f, const Slots *before, const Slot *table)
{
    assert_memory_equal(f->slots.table, table, N * sizeof(*table));
    assert_memory_equal(f->slots.insert, before->insert, sizeof(before->insert));
    assert_memory_equal(f->slots.remove, before->remove, sizeof(before->remove));
    assert_memory_equal(f->slots.enabled, before->enabled, sizeof(before->enabled));
}

/* --- Accesses in general --- */

static void r1_registers_are_little_endian(void **state)
{
    Fixture *f = *state;
    const uint8_t selector[] = {3, 0, 0, 0};
    uint8_t data[4];

    effects_init(&f->fx);
    regs_write(&f->regs, 0x0, selector, 4, &f->fx);
    w8(f, 0x5, 3);
    regs_read(&f->regs, 0x8, data, 4, &f->fx);
    assert_int_equal(data[0], 3);
    assert_int_equal(data[1], 3);
    assert_int_equal(data[2], 2);
    assert_int_equal(data[3], 0);
}

static void r2_unnatural_accesses_read_zero_and_do_nothing(void **state)
{
    Fixture *f = *state;
    const struct {
        uint64_t offset;
        uint32_t len;
    } accesses[] = {{0x1, 4},  {0x2, 4},  {0x3, 2},  {0x5, 2},  {0x4, 8},  {0x9, 4},  {0xa, 8},
                    {0x0, 3},  {0x0, 5},  {0x0, 6},  {0x0, 7},  {0x0, 0},  {0x18, 7}, {0x1c, 8},
                    {0x24, 8}, {0x2c, 8}, {0x41, 2}, {0x44, 8}, {0x7c, 8}, {0x17, 8}};
    Slot table[N];
    Slots before;

    w32(f, 0x0, 2);
    plug(f, 2);
    unplug(f, 1);
    memcpy(table, f->slots.table, sizeof(table));
    before = f->slots;
    for (gsize i = 0; i < G_N_ELEMENTS(accesses); i++) {
        write_le(f, accesses[i].offset, 0x0202020202020202ULL, accesses[i].len);
        assert_int_equal(read_le(f, accesses[i].offset, accesses[i].len), 0);
        assert_same_slots(f, &before, table);
    }
    assert_int_equal(f->regs.selector, 2);
    assert_int_equal(f->slots.errors, 2 * G_N_ELEMENTS(accesses));
    assert_int_equal(f->counters.other_accesses, 2 * G_N_ELEMENTS(accesses));
}

static void r2_longer_accesses_read_zero_to_their_end(void **state)
{
    Fixture *f = *state;
    uint8_t data[24], zeros[24] = {0};

    w32(f, 0x0, 3);
    for (uint64_t offset = 0; offset < 0x80; offset += 16) {
        memset(data, 0xa5, sizeof(data));
        effects_init(&f->fx);
        regs_read(&f->regs, offset, data, 16, &f->fx);
        assert_memory_equal(data, zeros, 16);
        assert_int_equal(data[16], 0xa5);
        memset(data, 0x01, sizeof(data));
        effects_init(&f->fx);
        regs_write(&f->regs, offset, data, 16, &f->fx);
        assert_null(event_of(f, VCPUHP_EVENT_OST));
    }
    assert_int_equal(f->regs.selector, 3);
    assert_int_equal(f->counters.other_accesses, 16);
    assert_int_equal(f->slots.errors, 16);
}

static void r3_an_access_acts_on_the_register_at_its_offset_alone(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    w32(f, 0x0, 2);
    /* wide: a dword at the status byte does not reach the command after it */
    w8(f, 0x5, 3);
    assert_int_equal(r32(f, 0x4), 0x03);
    w32(f, 0x4, 0x0100);
    assert_int_equal(r32(f, 0x8), 0x20302);
    write_le(f, 0x4, 0x0100, 2);
    assert_int_equal(r32(f, 0x8), 0x20302);
    /* narrow: zero-extended, and cut off */
    assert_int_equal(read_le(f, 0x8, 2), 0x0302);
    assert_int_equal(r8(f, 0x8), 0x02);
    w32(f, 0x0, 0x0101);
    w8(f, 0x0, 4);
    assert_int_equal(f->regs.selector, 4);
    write_le(f, 0x0, 3, 2);
    assert_int_equal(f->regs.selector, 3);
    w8(f, 0x5, 1);
    w8(f, 0x8, 3);
    w8(f, 0x5, 2);
    write_le(f, 0x8, 0x84, 2);
    assert_ost(f, 3, 3, 0x84);
    /* between registers */
    assert_int_equal(r8(f, 0x1) | r8(f, 0x2) | r8(f, 0x3), 0);
    assert_int_equal(r8(f, 0x5) | r8(f, 0x6) | r8(f, 0x7), 0);
    assert_int_equal(r8(f, 0x9) | r8(f, 0xa) | r8(f, 0xb), 0);
    w8(f, 0x2, 1);
    assert_int_equal(f->regs.selector, 3);
    assert_no_guest_error(f);
}

static void r4_eight_bytes_are_two_times_four_low_first(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    w64(f, 0x0, 2 | (uint64_t)SLOT_INSERT << 32);
    assert_int_equal(f->regs.selector, 2);
    assert_int_equal(status_of(f, 2), SLOT_ENABLED);
    w8(f, 0x5, 3);
    assert_int_equal(r64(f, 0x0), 0x07 | 0x01ULL << 32);
    assert_int_equal(r64(f, 0x8), 0x00020302);
    assert_int_equal(f->counters.block_reads, 3);
}

static void r5_reserved_bytes_read_zero_and_take_no_writes(void **state)
{
    Fixture *f = *state;
    uint64_t n_writes = 0;
    Slot table[N];
    Slots before;

    plug(f, 2);
    memcpy(table, f->slots.table, sizeof(table));
    before = f->slots;
    for (uint64_t offset = 0x6; offset < 0x8; offset++) {
        w8(f, offset, 0xff);
        assert_int_equal(r8(f, offset), 0);
    }
    assert_no_guest_error(f);
    for (uint64_t offset = 0; offset < 0x400; offset += 4) {
        bool reserved = offset == 0xc || (offset >= 0x30 && offset < 0x40) || offset >= 0x80;

        if (!reserved)
            continue;
        w32(f, offset, ~0U);
        n_writes++;
        assert_int_equal(r32(f, offset), 0);
        if (offset % 8 == 0) {
            w64(f, offset, ~0ULL);
            n_writes++;
            assert_int_equal(r64(f, offset), 0);
        }
        assert_same_slots(f, &before, table);
    }
    w64(f, G_MAXUINT64 & ~7ULL, ~0ULL);
    assert_int_equal(r64(f, G_MAXUINT64 & ~7ULL), 0);
    assert_same_slots(f, &before, table);
    assert_int_equal(f->slots.errors, n_writes + 1);
    w64(f, 0x10, ~0ULL);
    w64(f, 0x18, ~0ULL);
    w64(f, 0x40, ~0ULL);
    assert_same_slots(f, &before, table);
    assert_int_equal(f->slots.errors, n_writes + 4);
}

/* --- The 12 bytes --- */

static void r6_selector_command_and_source_begin_as_zero(void **state)
{
    Fixture *f = *state;

    assert_int_equal(r32(f, 0x8), 0); /* command 0: the selector */
    assert_int_equal(r32(f, 0x0), 0);
    assert_int_equal(r8(f, 0x4), SLOT_ENABLED);
    w8(f, 0x5, 2);
    w32(f, 0x8, 0x80);
    assert_ost(f, 0, 0, 0x80);
}

static void r7_selector_takes_any_value_and_is_not_read_at_its_offset(void **state)
{
    Fixture *f = *state;
    const uint32_t values[] = {N - 1, N, 511, 512, 0x80000000, ~0U, 0};

    for (gsize i = 0; i < G_N_ELEMENTS(values); i++) {
        w32(f, 0x0, values[i]);
        assert_int_equal(f->regs.selector, values[i]);
        assert_int_equal(r32(f, 0x0), 0);
    }
    assert_no_guest_error(f);
}

static void r8_beyond_the_last_slot_all_reads_zero_and_only_the_selector_is_written(void **state)
{
    Fixture *f = *state;
    Slot table[N];
    Slots before;

    plug(f, 2);
    w8(f, 0x5, 3);
    w32(f, 0x0, N);
    memcpy(table, f->slots.table, sizeof(table));
    before = f->slots;
    for (uint64_t offset = 0; offset < 0xc; offset += 4)
        assert_int_equal(r32(f, offset), 0);
    w8(f, 0x4, 0x1e);
    w8(f, 0x5, 0);
    w32(f, 0x8, 1);
    assert_same_slots(f, &before, table);
    assert_int_equal(f->regs.selector, N);
    assert_int_equal(f->regs.command, 3);
    w32(f, 0x0, 2);
    assert_int_equal(r32(f, 0x8), 0x20302);
    assert_no_guest_error(f);
}

static void r9_status_shows_enabled_insert_remove_and_firmware_remove(void **state)
{
    Fixture *f = *state;

    assert_int_equal(status_of(f, 0), 0x01);
    assert_int_equal(status_of(f, 2), 0x00);
    plug(f, 2);
    assert_int_equal(status_of(f, 2), 0x03);
    unplug(f, 1);
    assert_int_equal(status_of(f, 1), 0x05);
    w8(f, 0x4, 0x10);
    assert_int_equal(status_of(f, 1), 0x15);
    w8(f, 0x4, 0x10);
    assert_int_equal(status_of(f, 1), 0x15);
}

static void r10_reading_clears_nothing(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    unplug(f, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(status_of(f, 2), 0x03);
        assert_int_equal(status_of(f, 1), 0x05);
    }
}

static void r11_insert_is_never_without_enabled(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    assert_int_equal(status_of(f, 2), 0x03);
    w8(f, 0x4, 0x08);
    assert_int_equal(status_of(f, 2), 0x00);
}

static void r12_control_bits_clear_insert_clear_remove_eject_firmware_remove(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    unplug(f, 1);
    w32(f, 0x0, 2);
    w8(f, 0x4, 0x02);
    assert_int_equal(status_of(f, 2), 0x01);
    w32(f, 0x0, 1);
    w8(f, 0x4, 0x04);
    assert_int_equal(status_of(f, 1), 0x01);
    w8(f, 0x4, 0x10);
    assert_int_equal(status_of(f, 1), 0x11);
    w8(f, 0x4, 0x08);
    assert_int_equal(status_of(f, 1), 0x00);
    assert_no_guest_error(f);
}

static void r13_of_several_control_bits_the_lowest_acts_alone(void **state)
{
    Fixture *f = *state;

    raise_both(f, 2);
    w32(f, 0x0, 2);
    w8(f, 0x4, 0x1e);
    assert_int_equal(status_of(f, 2), 0x05);
    w8(f, 0x4, 0x1c);
    assert_int_equal(status_of(f, 2), 0x01);
    w8(f, 0x4, 0x18);
    assert_int_equal(status_of(f, 2), 0x00);
    w8(f, 0x4, 0xe1);
    assert_int_equal(status_of(f, 2), 0x00);
    w32(f, 0x0, 1);
    w8(f, 0x4, 0xe1);
    assert_int_equal(status_of(f, 1), 0x01);
}

static void r14_eject_needs_no_request_and_may_come_twice(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 1);
    w8(f, 0x4, 0x08);
    assert_non_null(event_of(f, VCPUHP_EVENT_DISABLED));
    assert_int_equal(status_of(f, 1), 0x00);
    w8(f, 0x4, 0x08);
    assert_int_equal(f->fx.n_events, 0);
    w32(f, 0x0, 4);
    w8(f, 0x4, 0x08);
    assert_int_equal(f->fx.n_events, 0);
    assert_no_guest_error(f);
}

static void r15_eject_clears_all_of_the_slots_bits(void **state)
{
    Fixture *f = *state;

    raise_both(f, 2);
    w32(f, 0x0, 2);
    w8(f, 0x4, 0x10);
    assert_int_equal(status_of(f, 2), 0x15);
    w8(f, 0x4, 0x08);
    assert_int_equal(status_of(f, 2), 0x00);
    assert_int_equal(f->slots.n_raised, 0);
}

static void r16_vcpus_enabled_permanently_ignore_eject_and_firmware_remove(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 0);
    w8(f, 0x4, 0x08);
    assert_int_equal(status_of(f, 0), 0x01);
    w8(f, 0x4, 0x10);
    assert_int_equal(status_of(f, 0), 0x01);
    w64(f, 0x28, 0);
    assert_int_equal(status_of(f, 0), 0x01);
    assert_int_equal(f->slots.errors, 3);
}

static void r17_firmware_remove_of_a_disabled_vcpu_is_ignored(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 3);
    w8(f, 0x4, 0x10);
    assert_int_equal(status_of(f, 3), 0x00);
}

static void r18_unknown_commands_leave_the_old_one(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 3);
    w8(f, 0x5, 3);
    for (int value = 4; value < 256; value++) {
        w8(f, 0x5, value);
        assert_int_equal(r32(f, 0x8), 0x20303);
    }
}

static void r19_the_command_outlives_the_selector(void **state)
{
    Fixture *f = *state;

    w8(f, 0x5, 3);
    for (uint32_t i = 0; i < N; i++) {
        w32(f, 0x0, i);
        assert_int_equal(r32(f, 0x8), (uint32_t)mpidr(i));
    }
}

static void r20_command_0_finds_the_next_event_from_the_selector_on_and_around(void **state)
{
    Fixture *f = *state;

    plug(f, 3);
    unplug(f, 1);
    w32(f, 0x0, 1);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x8), 1); /* the selector itself counts */
    w32(f, 0x0, 2);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x8), 3);
    w32(f, 0x0, 4);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x8), 1); /* around */
    w8(f, 0x4, 0x04);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x8), 3);
    w8(f, 0x4, 0x02);
    w32(f, 0x0, 2);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x8), 2); /* none: no change */
}

static void r20_command_0_finds_firmware_removes(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 1);
    w8(f, 0x4, 0x10);
    w32(f, 0x0, 3);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x8), 1);
}

static void r21_command_0_has_the_selector_of_now_as_its_data(void **state)
{
    Fixture *f = *state;

    w8(f, 0x5, 0);
    for (uint32_t i = 0; i < N; i++) {
        w32(f, 0x0, i);
        assert_int_equal(r32(f, 0x8), i);
        assert_int_equal(r32(f, 0x0), 0);
    }
}

static void r22_commands_1_and_2_carry_an_ost(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 3);
    w8(f, 0x5, 1);
    w32(f, 0x8, 0x103);
    assert_null(event_of(f, VCPUHP_EVENT_OST));
    assert_int_equal(r32(f, 0x8), 0);
    assert_int_equal(r32(f, 0x0), 0);
    w8(f, 0x5, 2);
    assert_int_equal(r32(f, 0x8), 0);
    assert_int_equal(r32(f, 0x0), 0);
    w32(f, 0x8, 0x80000082);
    assert_ost(f, 3, 0x103, 0x80000082);
}

static void r23_the_source_stays_until_another_is_written(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 3);
    w8(f, 0x5, 1);
    w32(f, 0x8, 3);
    w8(f, 0x5, 2);
    w32(f, 0x8, 0x84);
    assert_ost(f, 3, 3, 0x84);
    w32(f, 0x8, 0);
    assert_ost(f, 3, 3, 0);
    w32(f, 0x0, 4);
    w32(f, 0x8, 1);
    assert_ost(f, 4, 3, 1);
}

static void r24_command_3_answers_the_mpidr(void **state)
{
    Fixture *f = *state;

    for (uint32_t i = 0; i < N; i++) {
        w32(f, 0x0, i);
        w8(f, 0x5, 3);
        assert_int_equal(r32(f, 0x8), mpidr(i) & 0xffffffff);
        assert_int_equal(r32(f, 0x0), mpidr(i) >> 32);
    }
}

static void r25_commands_0_and_3_take_no_data(void **state)
{
    Fixture *f = *state;

    for (int command = 0; command <= 3; command += 3) {
        w8(f, 0x5, command);
        w32(f, 0x8, 5);
        assert_int_equal(f->fx.n_events, 0);
        assert_int_equal(f->regs.selector, 0);
        assert_int_equal(f->regs.ost_source, 0);
    }
}

/* --- Interrupt --- */

static void r26_the_line_is_high_while_an_insert_or_remove_bit_is_set(void **state)
{
    Fixture *f = *state;

    assert_int_equal(f->slots.n_raised, 0);
    plug(f, 2);
    assert_true(f->fx.irq);
    unplug(f, 1);
    assert_int_equal(f->slots.n_raised, 2);
    w32(f, 0x0, 2);
    w8(f, 0x4, 0x02);
    assert_int_equal(f->slots.n_raised, 1);
    r64(f, 0x18);
    assert_true(f->fx.irq);
    assert_int_equal(f->slots.n_raised, 0);
    w32(f, 0x0, 1);
    w8(f, 0x4, 0x10);
    assert_int_equal(f->slots.n_raised, 0);
}

/* --- The extension --- */

static void r27_ident_has_version_slots_and_signature(void **state)
{
    Fixture *f = *state;

    assert_int_equal(r64(f, 0x10), 0x5048435600000001ULL | N << 16);
    assert_int_equal(r32(f, 0x10), 1 | N << 16);
    assert_int_equal(r32(f, 0x14), 0x50484356);
    assert_int_equal(read_le(f, 0x12, 2), N);
    assert_int_equal(r8(f, 0x14), 'V');
    assert_int_equal(r8(f, 0x17), 'P');
    w64(f, 0x10, 0);
    assert_int_equal(read_le(f, 0x10, 2), 1);
}

static void an_event_that_was_taken_is_raised_again_after_retry_ms(void **state)
{
    Fixture *f = *state;
    int64_t before = g_get_monotonic_time(), retry = f->slots.config->retry_ms * INT64_C(1000);

    plug(f, 2);
    assert_int_equal(r64(f, 0x18), 0xc002);
    assert_in_range(f->slots.table[2].retry_at, before + retry, g_get_monotonic_time() + retry);
}

static void r28_event_takes_up_to_four_events(void **state)
{
    Fixture *f = *state;

    for (uint32_t i = 2; i < N; i++)
        plug(f, i);
    unplug(f, 1);
    assert_int_equal(r64(f, 0x18), 0xc005c004c003c002ULL);
    assert_int_equal(f->slots.n_raised, 1);
    assert_int_equal(r64(f, 0x18), 0xa001);
    assert_int_equal(f->slots.n_raised, 0);
    assert_int_equal(r64(f, 0x18), 0);
    assert_int_equal(status_of(f, 2), 0x01);
    assert_int_equal(status_of(f, 1), 0x01);
}

static void r29_event_takes_inserts_before_removes(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    plug(f, 5);
    plug(f, 3);
    assert_int_equal(r64(f, 0x18), 0xa001c005c003ULL);
}

static void r30_insert_and_remove_of_one_slot_share_a_lane(void **state)
{
    Fixture *f = *state;

    raise_both(f, 4);
    assert_int_equal(r64(f, 0x18), 0xe004);
    assert_int_equal(f->slots.n_raised, 0);
}

static void r31_event_ignores_firmware_removes(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 1);
    w8(f, 0x4, 0x10);
    assert_int_equal(r64(f, 0x18), 0);
    assert_int_equal(status_of(f, 1), 0x11);
}

static void r32_narrower_reads_of_event_take_nothing(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    for (uint32_t len = 1; len <= 4; len *= 2)
        for (uint64_t offset = 0x18; offset < 0x20; offset += len)
            assert_int_equal(read_le(f, offset, len), 0);
    w64(f, 0x18, ~0ULL);
    assert_int_equal(status_of(f, 2), 0x03);
    assert_int_equal(f->counters.event_reads, 0);
}

static void r33_one_write_is_an_ost(void **state)
{
    Fixture *f = *state;

    w64(f, 0x20, 4 | 0x103 << 16 | 0x80000084ULL << 32);
    assert_ost(f, 4, 0x103, 0x80000084);
    w64(f, 0x20, 0);
    assert_ost(f, 0, 0, 0);
    assert_int_equal(r64(f, 0x20), 0);
    assert_int_equal(f->counters.ost_writes, 2);
    assert_no_guest_error(f);
}

static void r34_one_write_is_an_eject(void **state)
{
    Fixture *f = *state;

    w64(f, 0x28, 1);
    assert_int_equal(status_of(f, 1), 0x00);
    assert_int_equal(r64(f, 0x28), 0);
    plug(f, 1); /* is held back until _OST closes the eject */
    w64(f, 0x20, 1 | 3 << 16);
    assert_int_equal(status_of(f, 1), 0x03);
    w64(f, 0x28, 1);
    assert_int_equal(status_of(f, 1), 0x00);
    assert_int_equal(f->counters.eject_writes, 2);
    assert_no_guest_error(f);
}

static void r35_narrower_writes_of_ost_and_eject_do_nothing(void **state)
{
    Fixture *f = *state;

    for (uint32_t len = 1; len <= 4; len *= 2) {
        for (uint64_t offset = 0x20; offset < 0x30; offset += len) {
            write_le(f, offset, 1, len);
            assert_null(event_of(f, VCPUHP_EVENT_OST));
            assert_null(event_of(f, VCPUHP_EVENT_DISABLED));
        }
    }
    assert_int_equal(status_of(f, 1), 0x01);
    assert_int_equal(f->counters.ost_writes + f->counters.eject_writes, 0);
}

static void r36_slots_that_do_not_exist_are_a_guest_error(void **state)
{
    Fixture *f = *state;

    w64(f, 0x20, N | 3 << 16);
    assert_null(event_of(f, VCPUHP_EVENT_OST));
    w64(f, 0x20, 0xffff);
    w64(f, 0x28, N);
    w64(f, 0x28, 1ULL << 32 | 1); /* all 64 bits are the slot's number */
    w64(f, 0x28, ~0ULL);
    assert_int_equal(status_of(f, 1), 0x01);
    assert_int_equal(f->slots.errors, 5);
}

static void r37_bitmaps_show_which_vcpus_are_enabled(void **state)
{
    Fixture *f = *state;

    assert_int_equal(r64(f, 0x40), 0x03);
    plug(f, 5);
    assert_int_equal(r64(f, 0x40), 0x23);
    assert_int_equal(r32(f, 0x40), 0x23);
    assert_int_equal(r8(f, 0x40), 0x23);
    assert_int_equal(r32(f, 0x44), 0);
    w64(f, 0x28, 1);
    assert_int_equal(r64(f, 0x40), 0x21);
    w64(f, 0x40, 0);
    assert_int_equal(r64(f, 0x40), 0x21);
    for (uint64_t offset = 0x48; offset < 0x80; offset += 8)
        assert_int_equal(r64(f, offset), 0);
}

static void r37_bitmaps_reach_slot_511(void **state)
{
    VcpuhpConfig from;
    Fixture *f = g_new0(Fixture, 1);

    (void)state;
    vcpuhp_config_init(&from, 512, 130);
    assert_true(config_init(&f->config, &from, NULL));
    slots_init(&f->slots, &f->config);
    regs_init(&f->regs, &f->slots, &f->counters);
    plug(f, 511);
    assert_int_equal(r64(f, 0x40), ~0ULL);
    assert_int_equal(r64(f, 0x48), ~0ULL);
    assert_int_equal(r64(f, 0x50), 3);
    assert_int_equal(r64(f, 0x78), 1ULL << 63);
    assert_int_equal(r32(f, 0x7c), 1U << 31);
    assert_int_equal(r8(f, 0x7f), 0x80);
    assert_int_equal(r64(f, 0x18), 0xc1ff);
    assert_int_equal(f->counters.bitmap_reads, 6);
    tear_down((void **)&f);
}

static void r38_the_extension_knows_no_selector_and_no_command(void **state)
{
    Fixture *f = *state;

    w8(f, 0x5, 3);
    w32(f, 0x0, 0xffffffff);
    plug(f, 2);
    assert_int_equal(r64(f, 0x40), 0x07);
    assert_int_equal(r64(f, 0x18), 0xc002);
    w64(f, 0x20, 2 | 1 << 16);
    assert_ost(f, 2, 1, 0);
    w64(f, 0x28, 2);
    assert_int_equal(r64(f, 0x40), 0x03);
    assert_int_equal(f->regs.selector, 0xffffffff);
    assert_int_equal(f->regs.command, 3);
    assert_int_equal(f->regs.ost_source, 0);
}

static void r39_both_sides_act_on_the_same_slots(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    plug(f, 3);
    w32(f, 0x0, 2);
    w8(f, 0x4, 0x02);
    assert_int_equal(r64(f, 0x18), 0xc003);
    assert_int_equal(status_of(f, 3), 0x01);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x8), 3); /* nothing pending: no change */
    w32(f, 0x0, 2);
    w8(f, 0x4, 0x08);
    assert_int_equal(r64(f, 0x40), 0x0b);
    w64(f, 0x28, 3);
    assert_int_equal(status_of(f, 3), 0x00);
}

/* --- Reset and state --- */

static void r40_reset_keeps_selector_command_source_and_bits(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 1);
    w8(f, 0x4, 0x10);
    w8(f, 0x5, 1);
    w32(f, 0x8, 3);
    w8(f, 0x5, 3);
    plug(f, 2);
    unplug(f, 1);
    effects_init(&f->fx);
    assert_true(slots_reset_begin(&f->slots, NULL));
    slots_reset_end(&f->slots, true, &f->fx);
    assert_int_equal(r32(f, 0x8), 0x20301); /* selector 1, command 3 */
    assert_int_equal(f->regs.ost_source, 3);
    assert_int_equal(r8(f, 0x4), 0x15);
    assert_int_equal(status_of(f, 2), 0x03);
    assert_int_equal(r64(f, 0x40), 0x07);
}

static void r41_selector_command_and_source_are_all_the_blocks_own_state(void **state)
{
    Fixture *f = *state;
    Regs loaded;

    w32(f, 0x0, 3);
    w8(f, 0x5, 1);
    w32(f, 0x8, 0x103);
    w8(f, 0x5, 2);
    regs_init(&loaded, &f->slots, &f->counters);
    loaded.selector = f->regs.selector;
    loaded.command = f->regs.command;
    loaded.ost_source = f->regs.ost_source;
    f->regs = loaded;
    w32(f, 0x8, 0);
    assert_ost(f, 3, 0x103, 0);
}

/* --- Counters --- */

static void each_access_is_counted_once_in_its_class(void **state)
{
    Fixture *f = *state;
    VcpuhpCounters *c = &f->counters;

    r32(f, 0x0);
    r64(f, 0x0);
    r64(f, 0x8);
    w8(f, 0x5, 0);
    w64(f, 0x0, 0);
    r64(f, 0x10);
    r32(f, 0xc);
    r64(f, 0x18);
    r32(f, 0x18);
    r64(f, 0x40);
    r8(f, 0x7f);
    w64(f, 0x20, 0);
    w32(f, 0x20, 0);
    w64(f, 0x28, 1);
    assert_int_equal(c->block_reads, 3);
    assert_int_equal(c->block_writes, 2);
    assert_int_equal(c->event_reads, 1);
    assert_int_equal(c->bitmap_reads, 2);
    assert_int_equal(c->ost_writes, 1);
    assert_int_equal(c->eject_writes, 1);
    assert_int_equal(c->other_accesses, 4);
}

/* --- Clients of the 12 bytes: EDK2's OVMF --- */

static void ovmf_a_counts_possible_and_enabled_cpus(void **state)
{
    Fixture *f = *state;
    uint32_t possible = 0, enabled = 0, data;

    plug(f, 4);
    w8(f, 0x5, 3); /* whatever ran before */
    w32(f, 0x0, 7);
    w32(f, 0x0, 0); /* the switch to modern mode, which is the only mode here */
    w32(f, 0x0, 0);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x0), 0);
    w32(f, 0x0, 0);
    do {
        enabled += r8(f, 0x4) & 1;
        w32(f, 0x0, ++possible);
        data = r32(f, 0x8);
        assert_true(data == possible || data == 0);
    } while (data > 0 && possible < 2 * N);
    assert_int_equal(possible, N);
    assert_int_equal(enabled, 3);
    assert_no_guest_error(f);
}

static void ovmf_b_finds_the_block(void **state)
{
    Fixture *f = *state;

    w8(f, 0x5, 3);
    w32(f, 0x0, 0);
    w32(f, 0x0, 0);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x0), 0);
    assert_no_guest_error(f);
}

/* Returns how many it found; it never clears an event. */
static uint32_t ovmf_collect(Fixture *f, uint64_t ids[N])
{
    uint32_t current = 0, n = 0;

    while (current < N) {
        uint32_t pending;
        uint8_t status;

        w32(f, 0x0, current);
        w8(f, 0x5, 0);
        pending = r32(f, 0x8);
        if (pending < current)
            break;
        status = r8(f, 0x4);
        if (status & 0x02) {
            assert_int_equal(status & 0x11, 0x01); /* OVMF stops the machine otherwise */
        } else if (status & 0x10) {
            assert_int_equal(status & 0x01, 0x01);
        } else if (!(status & 0x04)) {
            break;
        }
        if (status & 0x12) {
            w8(f, 0x5, 3);
            ids[n++] = r32(f, 0x8);
        }
        current = pending + 1;
    }
    return n;
}

static void ovmf_c_collects_pending_cpus(void **state)
{
    Fixture *f = *state;
    uint64_t ids[N];

    assert_int_equal(ovmf_collect(f, ids), 0);
    plug(f, 3);
    plug(f, 5);
    w32(f, 0x0, 1);
    w8(f, 0x4, 0x10);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ovmf_collect(f, ids), 3);
        assert_int_equal(ids[0], (uint32_t)mpidr(1));
        assert_int_equal(ids[1], (uint32_t)mpidr(3));
        assert_int_equal(ids[2], (uint32_t)mpidr(5));
    }
    /* an unplug request alone does not concern the firmware */
    w32(f, 0x0, 1);
    w8(f, 0x4, 0x08);
    w32(f, 0x0, 3);
    w8(f, 0x4, 0x02);
    unplug(f, 3);
    assert_int_equal(ovmf_collect(f, ids), 1);
    assert_int_equal(ids[0], (uint32_t)mpidr(5));
    assert_no_guest_error(f);
}

static void ovmf_d_ejects_what_ospm_left_to_it(void **state)
{
    Fixture *f = *state;

    w32(f, 0x0, 1);
    w8(f, 0x4, 0x10);
    w32(f, 0x0, 1);
    w8(f, 0x4, 0x08);
    assert_int_equal(r8(f, 0x4), 0x00);
    assert_no_guest_error(f);
}

/* --- Clients of the 12 bytes: QEMU's AML --- */

static uint8_t csta(Fixture *f, uint32_t slot)
{
    w32(f, 0x0, slot);
    return r8(f, 0x4) & 1 ? 0xf : 0xd;
}

static void cost(Fixture *f, uint32_t slot, uint32_t source, uint32_t status)
{
    w32(f, 0x0, slot);
    w8(f, 0x5, 1);
    w32(f, 0x8, source);
    w8(f, 0x5, 2);
    w32(f, 0x8, status);
}

typedef struct Notified {
    uint32_t slot;
    int value;
} Notified;

/* The scan method as it is generated there: returns what it notifies. */
static uint32_t cscn(Fixture *f, Notified notified[2 * N])
{
    bool has_event = true;
    uint32_t n = 0, uid = 0;

    while (has_event && uid < N) {
        uint32_t found;

        has_event = false;
        w32(f, 0x0, uid);
        w8(f, 0x5, 0);
        found = r32(f, 0x8);
        if (found < uid)
            break;
        uid = r32(f, 0x8);
        if (r8(f, 0x4) & 0x02) {
            notified[n++] = (Notified){uid, 1};
            has_event = true;
            w32(f, 0x0, uid);
            w8(f, 0x4, 0x02);
        } else if (r8(f, 0x4) & 0x04) {
            notified[n++] = (Notified){uid, 3};
            w8(f, 0x4, 0x04);
            has_event = true;
        }
        uid++;
    }
    return n;
}

static void qemu_aml_status_eject_and_ost(void **state)
{
    Fixture *f = *state;

    assert_int_equal(csta(f, 0), 0xf);
    assert_int_equal(csta(f, 3), 0xd);
    plug(f, 3);
    assert_int_equal(csta(f, 3), 0xf);
    cost(f, 3, 1, 0);
    assert_ost(f, 3, 1, 0);
    w32(f, 0x0, 3);
    w8(f, 0x4, 0x08);
    assert_int_equal(csta(f, 3), 0xd);
    cost(f, 3, 3, 0);
    assert_ost(f, 3, 3, 0);
    assert_no_guest_error(f);
}

static void qemu_aml_scan_notifies_each_event_once(void **state)
{
    Fixture *f = *state;
    Notified notified[2 * N];

    assert_int_equal(cscn(f, notified), 0);
    plug(f, 2);
    plug(f, 5);
    unplug(f, 1);
    assert_int_equal(cscn(f, notified), 3);
    assert_int_equal(notified[0].slot, 1);
    assert_int_equal(notified[0].value, 3);
    assert_int_equal(notified[1].slot, 2);
    assert_int_equal(notified[1].value, 1);
    assert_int_equal(notified[2].slot, 5);
    assert_int_equal(notified[2].value, 1);
    assert_int_equal(cscn(f, notified), 0);
    assert_int_equal(f->slots.n_raised, 0);
    assert_no_guest_error(f);
}

/* --- Clients of the 12 bytes: the use cases of its published specification --- */

static void spec_finds_a_cpu_with_pending_events(void **state)
{
    Fixture *f = *state;

    plug(f, 4);
    w32(f, 0x0, 0);
    w8(f, 0x5, 0);
    assert_int_equal(r32(f, 0x8), 4);
    assert_int_equal(r8(f, 0x4) & 0x06, 0x02);
    w8(f, 0x4, 0x02);
    w32(f, 0x0, 0);
    w8(f, 0x5, 0);
    assert_int_equal(r8(f, 0x4) & 0x06, 0x00);
}

static void spec_enumerates_possible_cpus(void **state)
{
    Fixture *f = *state;
    uint32_t n = 0;

    w32(f, 0x0, 0);
    w8(f, 0x5, 0);
    do
        w32(f, 0x0, ++n);
    while (r32(f, 0x8) != 0);
    assert_int_equal(n, N);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static uint32_t open_request(Fixture *f, uint32_t vcpu)
{
    VcpuhpVcpuInfo info;

    assert_true(slots_query(&f->slots, vcpu, &info, NULL));
    return info.request;
}

static void repeat(Fixture *f, uint32_t vcpu)
{
    effects_init(&f->fx);
    assert_true(slots_repeat(&f->slots, open_request(f, vcpu), &f->fx, NULL));
}

static void r42_insert_and_firmware_remove_are_never_set_together(void **state)
{
    Fixture *f = *state;
    uint32_t id;

    plug(f, 2);
    w32(f, 0x0, 2);
    w8(f, 0x4, 0x10);
    assert_int_equal(status_of(f, 2), 0x11);
    repeat(f, 2);
    assert_int_equal(status_of(f, 2), 0x11);
    r64(f, 0x40);
    assert_int_equal(status_of(f, 2), 0x11);

    /* A plug that takes the place of an unplug notifies the guest of an enabled vCPU. */
    unplug(f, 1);
    w32(f, 0x0, 1);
    w8(f, 0x4, 0x10);
    effects_init(&f->fx);
    assert_true(slots_plug(&f->slots, 1, VCPUHP_UNTIL_ON, 0, 0, &id, &f->fx, NULL));
    assert_int_equal(status_of(f, 1), 0x11);
}

static void r43_reading_enabled_raises_again_what_the_last_ospm_took(void **state)
{
    static const struct {
        uint32_t offset, len;
    } reads[] = {{0x40, 8}, {0x44, 4}, {0x42, 2}, {0x47, 1}};
    Fixture *f = *state;

    unplug(f, 1);
    for (gsize i = 0; i < G_N_ELEMENTS(reads); i++) {
        r64(f, 0x18);
        assert_int_equal(status_of(f, 1), 0x01);
        read_le(f, reads[i].offset, reads[i].len);
        assert_true(f->fx.irq);
        assert_int_equal(status_of(f, 1), 0x05);
    }
    r64(f, 0x18);
    r64(f, 0x48); /* other slots */
    assert_int_equal(status_of(f, 1), 0x01);
}

static void r43_reading_enabled_ends_the_wait_for_an_ejects_ost(void **state)
{
    Fixture *f = *state;

    w64(f, 0x28, 1);
    plug(f, 1);
    assert_int_equal(status_of(f, 1), 0x00);
    assert_int_equal(r64(f, 0x40) >> 1 & 1, 1);
    assert_int_equal(status_of(f, 1), 0x03);
}

static void r44_a_slot_that_the_vmm_disables_has_no_bits(void **state)
{
    Fixture *f = *state;

    plug(f, 2);
    effects_init(&f->fx);
    assert_true(slots_cancel(&f->slots, open_request(f, 2), &f->fx, NULL));
    assert_int_equal(status_of(f, 2), 0x00);

    unplug(f, 1);
    w32(f, 0x0, 1);
    w8(f, 0x4, 0x10);
    assert_int_equal(status_of(f, 1), 0x15);
    effects_init(&f->fx);
    assert_true(slots_force(&f->slots, 1, &f->fx, NULL));
    assert_int_equal(status_of(f, 1), 0x00);
    assert_int_equal(f->slots.n_raised, 0);
}

static void r45_an_ost_that_answers_withdraws_the_event(void **state)
{
    Fixture *f = *state;

    unplug(f, 1);
    r64(f, 0x18);
    repeat(f, 1);
    w64(f, 0x20, 1 | 0x3 << 16); /* success proves nothing */
    assert_int_equal(status_of(f, 1), 0x05);
    r64(f, 0x18);
    repeat(f, 1);
    w64(f, 0x20, 1 | 0x3 << 16 | 0x84ULL << 32);
    assert_int_equal(status_of(f, 1), 0x01);

    plug(f, 2);
    r64(f, 0x18);
    repeat(f, 2);
    assert_int_equal(status_of(f, 2), 0x03);
    w64(f, 0x20, 2 | 0x1 << 16 | 0x80ULL << 32);
    assert_int_equal(status_of(f, 2), 0x01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(r1_registers_are_little_endian),
        RULE(r2_unnatural_accesses_read_zero_and_do_nothing),
        RULE(r2_longer_accesses_read_zero_to_their_end),
        RULE(r3_an_access_acts_on_the_register_at_its_offset_alone),
        RULE(r4_eight_bytes_are_two_times_four_low_first),
        RULE(r5_reserved_bytes_read_zero_and_take_no_writes),
        RULE(r6_selector_command_and_source_begin_as_zero),
        RULE(r7_selector_takes_any_value_and_is_not_read_at_its_offset),
        RULE(r8_beyond_the_last_slot_all_reads_zero_and_only_the_selector_is_written),
        RULE(r9_status_shows_enabled_insert_remove_and_firmware_remove),
        RULE(r10_reading_clears_nothing),
        RULE(r11_insert_is_never_without_enabled),
        RULE(r12_control_bits_clear_insert_clear_remove_eject_firmware_remove),
        RULE(r13_of_several_control_bits_the_lowest_acts_alone),
        RULE(r14_eject_needs_no_request_and_may_come_twice),
        RULE(r15_eject_clears_all_of_the_slots_bits),
        RULE(r16_vcpus_enabled_permanently_ignore_eject_and_firmware_remove),
        RULE(r17_firmware_remove_of_a_disabled_vcpu_is_ignored),
        RULE(r18_unknown_commands_leave_the_old_one),
        RULE(r19_the_command_outlives_the_selector),
        RULE(r20_command_0_finds_the_next_event_from_the_selector_on_and_around),
        RULE(r20_command_0_finds_firmware_removes),
        RULE(r21_command_0_has_the_selector_of_now_as_its_data),
        RULE(r22_commands_1_and_2_carry_an_ost),
        RULE(r23_the_source_stays_until_another_is_written),
        RULE(r24_command_3_answers_the_mpidr),
        RULE(r25_commands_0_and_3_take_no_data),
        RULE(r26_the_line_is_high_while_an_insert_or_remove_bit_is_set),
        RULE(r27_ident_has_version_slots_and_signature),
        RULE(an_event_that_was_taken_is_raised_again_after_retry_ms),
        RULE(r28_event_takes_up_to_four_events),
        RULE(r29_event_takes_inserts_before_removes),
        RULE(r30_insert_and_remove_of_one_slot_share_a_lane),
        RULE(r31_event_ignores_firmware_removes),
        RULE(r32_narrower_reads_of_event_take_nothing),
        RULE(r33_one_write_is_an_ost),
        RULE(r34_one_write_is_an_eject),
        RULE(r35_narrower_writes_of_ost_and_eject_do_nothing),
        RULE(r36_slots_that_do_not_exist_are_a_guest_error),
        RULE(r37_bitmaps_show_which_vcpus_are_enabled),
        cmocka_unit_test(r37_bitmaps_reach_slot_511),
        RULE(r38_the_extension_knows_no_selector_and_no_command),
        RULE(r39_both_sides_act_on_the_same_slots),
        RULE(r40_reset_keeps_selector_command_source_and_bits),
        RULE(r41_selector_command_and_source_are_all_the_blocks_own_state),
        RULE(r42_insert_and_firmware_remove_are_never_set_together),
        RULE(r43_reading_enabled_raises_again_what_the_last_ospm_took),
        RULE(r43_reading_enabled_ends_the_wait_for_an_ejects_ost),
        RULE(r44_a_slot_that_the_vmm_disables_has_no_bits),
        RULE(r45_an_ost_that_answers_withdraws_the_event),
        RULE(each_access_is_counted_once_in_its_class),
        RULE(ovmf_a_counts_possible_and_enabled_cpus),
        RULE(ovmf_b_finds_the_block),
        RULE(ovmf_c_collects_pending_cpus),
        RULE(ovmf_d_ejects_what_ospm_left_to_it),
        RULE(qemu_aml_status_eject_and_ost),
        RULE(qemu_aml_scan_notifies_each_event_once),
        RULE(spec_finds_a_cpu_with_pending_events),
        RULE(spec_enumerates_possible_cpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
