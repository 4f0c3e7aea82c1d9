/* SPDX-License-Identifier: BSD-3-Clause */
/* docs/register-block.md has the rules, R1 … */
#include "acpi/regs.h"

#include <string.h>

#include "error.h"

#define BLOCK_SIZE 12

/* Values of REG_COMMAND. The last one decides what the data registers mean. */
enum {
    COMMAND_FIND_EVENT = 0,
    COMMAND_OST_SOURCE = 1,
    COMMAND_OST_STATUS = 2,
    COMMAND_GET_CPU_ID = 3,
    N_COMMANDS,
};

enum {
    CONTROL_CLEAR_INSERT = 1 << 1,
    CONTROL_CLEAR_REMOVE = 1 << 2,
    CONTROL_EJECT = 1 << 3,
    CONTROL_FW_REMOVE = 1 << 4,
};

void regs_init(Regs *regs, Slots *slots, VcpuhpCounters *counters)
{
    *regs = (Regs){.slots = slots, .counters = counters};
}

static uint32_t n_slots(const Regs *regs)
{
    return regs->slots->config->n_vcpus;
}

static int64_t now(void)
{
    return g_get_monotonic_time();
}

/* No correct client makes such an access. */
static void wrong_access(Regs *regs, Effects *fx)
{
    regs->counters->other_accesses++;
    slots_guest_error(regs->slots, VCPUHP_NO_VCPU,
                      "accessed a register with an unsupported width or alignment", fx);
}

/* 1, 2, 4 or 8 bytes at a multiple of that. */
static bool is_natural(uint64_t offset, uint32_t len)
{
    return len && len <= 8 && !(len & (len - 1)) && !(offset & (len - 1));
}

/* --- The 12 bytes --- */

static uint32_t block_read(Regs *regs, uint64_t offset)
{
    if (regs->selector >= n_slots(regs))
        return 0;
    switch (offset) {
    case REG_COMMAND_DATA2:
        return regs->command == COMMAND_GET_CPU_ID
                   ? regs->slots->config->mpidrs[regs->selector] >> 32
                   : 0;
    case REG_STATUS:
        return slots_read_status(regs->slots, regs->selector);
    case REG_COMMAND_DATA:
        switch (regs->command) {
        case COMMAND_FIND_EVENT:
            return regs->selector;
        case COMMAND_GET_CPU_ID:
            return regs->slots->config->mpidrs[regs->selector];
        }
        return 0;
    }
    return 0;
}

/* Only the lowest bit acts: known clients write one at a time. */
static void control(Regs *regs, uint32_t value, Effects *fx)
{
    if (value & CONTROL_CLEAR_INSERT)
        slots_take_insert(regs->slots, regs->selector, now(), fx);
    else if (value & CONTROL_CLEAR_REMOVE)
        slots_take_remove(regs->slots, regs->selector, now(), fx);
    else if (value & CONTROL_EJECT)
        slots_eject(regs->slots, regs->selector, now(), fx);
    else if (value & CONTROL_FW_REMOVE)
        slots_fw_remove(regs->slots, regs->selector, now(), fx);
}

static void command(Regs *regs, uint32_t value)
{
    if (value >= N_COMMANDS)
        return;
    regs->command = value;
    if (value == COMMAND_FIND_EVENT) {
        int found = slots_find_event(regs->slots, regs->selector);

        if (found >= 0)
            regs->selector = found;
    }
}

static void command_data(Regs *regs, uint32_t value, Effects *fx)
{
    if (regs->command == COMMAND_OST_SOURCE)
        regs->ost_source = value;
    else if (regs->command == COMMAND_OST_STATUS)
        slots_ost(regs->slots, regs->selector, regs->ost_source, value, fx);
}

static void block_write(Regs *regs, uint64_t offset, uint32_t value, Effects *fx)
{
    if (offset == REG_SELECTOR) {
        regs->selector = value;
        return;
    }
    if (regs->selector >= n_slots(regs))
        return;
    switch (offset) {
    case REG_CONTROL:
        control(regs, value, fx);
        break;
    case REG_COMMAND:
        command(regs, value);
        break;
    case REG_COMMAND_DATA:
        command_data(regs, value, fx);
        break;
    }
}

/* --- The extension --- */

static uint64_t ident(const Regs *regs)
{
    return IDENT_VERSION | (uint64_t)n_slots(regs) << 16 | (uint64_t)IDENT_SIGNATURE << 32;
}

static G_GNUC_NO_INLINE uint64_t take_events(Regs *regs, Effects *fx)
{
    uint64_t lanes = 0;
    int64_t at;

    if (!regs->slots->n_raised)
        return 0;
    at = now();
    for (uint32_t i = 0; i < EVENT_LANES; i++) {
        uint32_t slot;
        uint8_t bits = slots_take_next(regs->slots, &slot, at, fx);
        uint64_t lane;

        if (!bits)
            break;
        lane = EVENT_VALID | slot;
        if (bits & SLOT_INSERT)
            lane |= EVENT_INSERT;
        if (bits & SLOT_REMOVE)
            lane |= EVENT_REMOVE;
        lanes |= lane << (EVENT_LANE_BITS * i);
    }
    return lanes;
}

static bool slot_exists(Regs *regs, uint64_t slot, Effects *fx)
{
    if (slot < n_slots(regs))
        return true;
    slots_guest_error(regs->slots, VCPUHP_NO_VCPU, "named a vCPU that does not exist", fx);
    return false;
}

static void ost(Regs *regs, uint64_t value, Effects *fx)
{
    uint32_t slot = value & 0xffff;

    if (slot_exists(regs, slot, fx))
        slots_ost(regs->slots, slot, value >> OST_SOURCE_SHIFT & 0xffff, value >> OST_STATUS_SHIFT,
                  fx);
}

static void eject(Regs *regs, uint64_t slot, Effects *fx)
{
    if (slot_exists(regs, slot, fx))
        slots_eject(regs->slots, slot, now(), fx);
}

/* --- Accesses --- */

/* A register of the extension takes accesses of 8 bytes only. */
static bool is_register(uint64_t offset, uint32_t len, uint64_t reg)
{
    return offset == reg && len == 8;
}

static uint64_t read_value(Regs *regs, uint64_t offset, uint32_t len, Effects *fx)
{
    VcpuhpCounters *counters = regs->counters;

    if (is_register(offset, len, REG_EVENT)) {
        counters->event_reads++;
        return take_events(regs, fx);
    }
    if (!is_natural(offset, len)) {
        wrong_access(regs, fx);
        return 0;
    }
    if (offset < BLOCK_SIZE) {
        counters->block_reads++;
        return len == 8 ? block_read(regs, offset) | (uint64_t)block_read(regs, offset + 4) << 32
                        : block_read(regs, offset);
    }
    if (offset >= REG_ENABLED && offset < VCPUHP_REGS_SIZE) {
        counters->bitmap_reads++;
        return slots_read_enabled(regs->slots, (offset - REG_ENABLED) / 8, fx) >> (offset % 8 * 8);
    }
    counters->other_accesses++;
    return offset / 8 == REG_IDENT / 8 ? ident(regs) >> (offset % 8 * 8) : 0;
}

static void write_value(Regs *regs, uint64_t offset, uint64_t value, uint32_t len, Effects *fx)
{
    VcpuhpCounters *counters = regs->counters;

    if (is_register(offset, len, REG_OST)) {
        counters->ost_writes++;
        ost(regs, value, fx);
    } else if (is_register(offset, len, REG_EJECT)) {
        counters->eject_writes++;
        eject(regs, value, fx);
    } else if (is_natural(offset, len) && offset < BLOCK_SIZE) {
        counters->block_writes++;
        block_write(regs, offset, value, fx);
        if (len == 8)
            block_write(regs, offset + 4, value >> 32, fx);
    } else {
        wrong_access(regs, fx);
    }
}

/* memcpy() of a constant length is a load and a store; of any other length it costs as much as the
 * rest of the access. Returns false, with nothing copied, if no register has this width. */
static bool copy(void *to, const void *from, uint32_t len)
{
    switch (len) {
    case 8:
        memcpy(to, from, 8);
        return true;
    case 4:
        memcpy(to, from, 4);
        return true;
    case 2:
        memcpy(to, from, 2);
        return true;
    case 1:
        memcpy(to, from, 1);
        return true;
    }
    return false;
}

void regs_read(Regs *regs, uint64_t offset, void *data, uint32_t len, Effects *fx)
{
    uint64_t value = GUINT64_TO_LE(read_value(regs, offset, len, fx));

    if (!copy(data, &value, len))
        memset(data, 0, len);
}

void regs_write(Regs *regs, uint64_t offset, const void *data, uint32_t len, Effects *fx)
{
    uint64_t value = 0;

    copy(&value, data, len);
    write_value(regs, offset, GUINT64_FROM_LE(value), len, fx);
}

/* --- State --- */

void regs_save(const Regs *regs, BlobWriter *writer)
{
    blob_section(writer, REGS_SECTION, 0);
    blob_put_u32(writer, regs->selector);
    blob_put_u32(writer, regs->ost_source);
    blob_put_u8(writer, regs->command);
}

bool regs_load(Regs *regs, BlobSection *section, GError **error)
{
    regs->selector = blob_get_u32(&section->reader);
    regs->ost_source = blob_get_u32(&section->reader);
    regs->command = blob_get_u8(&section->reader);
    if (regs->command >= N_COMMANDS)
        return refuse(error, VCPUHP_ERROR_STATE, "vcpuhp_load: command is %u, not 0 … %d",
                      regs->command, N_COMMANDS - 1);
    return blob_close(section, error);
}
