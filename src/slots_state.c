/* SPDX-License-Identifier: BSD-3-Clause */
/* The slots' sections of a saved state: docs/state-format.md. */
#include <stdlib.h>

#include "error.h"
#include "slots.h"

#define REFUSE(...) refuse(error, VCPUHP_ERROR_STATE, __VA_ARGS__)

/* The flags of a slot's record. What follows from other fields has none. */
enum {
    FLAG_UNTIL_ON = 1 << 0,
    FLAG_WAS_ENABLED = 1 << 1,
    FLAG_OBSERVED = 1 << 2,
    FLAG_UNCLOSED = 1 << 3,
    FLAG_FORCED = 1 << 4,
    FLAG_BIG_ENDIAN = 1 << 5,
    FLAGS = (1 << 6) - 1,
};

#define STATUS_BITS (SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE | SLOT_FW_REMOVE)

/* --- Save --- */

/* Time stands still between save and resume. So a time is saved as what remains until then, rounded
 * up; one that has passed is due at once. */
static void put_time(BlobWriter *writer, int64_t when, int64_t now)
{
    blob_put_u32(writer, when ? CLAMP((when - now + 999) / 1000, 1, UINT32_MAX) : 0);
}

static uint8_t flags_of(const Slot *slot)
{
    bool open = slot->request_kind != VCPUHP_REQUEST_NONE;
    bool pending = slot->power == VCPUHP_POWER_ON_PENDING;
    uint8_t flags = 0;

    if (open && slot->until_on)
        flags |= FLAG_UNTIL_ON;
    if (open && slot->was_enabled)
        flags |= FLAG_WAS_ENABLED;
    if (open && slot->observed)
        flags |= FLAG_OBSERVED;
    if (slot->unclosed)
        flags |= FLAG_UNCLOSED;
    if (slot->forced)
        flags |= FLAG_FORCED;
    if (pending && slot->entry.big_endian)
        flags |= FLAG_BIG_ENDIAN;
    return flags;
}

/* Fields that have no meaning now are saved as 0. */
static void save_slot(const Slot *slot, BlobWriter *writer, int64_t now)
{
    bool open = slot->request_kind != VCPUHP_REQUEST_NONE;
    bool pending = slot->power == VCPUHP_POWER_ON_PENDING;

    blob_put_u8(writer, slot->status);
    blob_put_u8(writer, slot->power);
    blob_put_u8(writer, slot->request_kind);
    blob_put_u8(writer, open ? slot->request_state : 0);
    blob_put_u8(writer, flags_of(slot));
    blob_put_u8(writer, 0);
    blob_put_u16(writer, slot->inserts_taken);
    blob_put_u16(writer, slot->removes_taken);
    blob_put_u16(writer, open ? slot->stale : 0);
    blob_put_u32(writer, open ? slot->request : 0);
    put_time(writer, slot->deadline, now);
    put_time(writer, slot->retry_at, now);
    put_time(writer, slot->eject_until, now);
    blob_put_u32(writer, slot->ost_source);
    blob_put_u32(writer, slot->ost_status);
    blob_put_u32(writer, slot->denied);
    blob_put_u64(writer, pending ? slot->entry.address : 0);
    blob_put_u64(writer, pending ? slot->entry.context : 0);
}

bool slots_save(const Slots *slots, BlobWriter *writer, int64_t now, GError **error)
{
    if (!slots_can_start(slots))
        return refuse(error, VCPUHP_ERROR_ORDER,
                      "vcpuhp_save: the machine is stopped or being reset");
    if (slots->loaded_at)
        now = slots->loaded_at;
    blob_section(writer, SLOTS_SECTION_MACHINE, 0);
    blob_put_u64(writer, slots->last_event);
    blob_put_u64(writer, slots->errors);
    blob_put_u32(writer, slots->last_request);
    blob_section(writer, SLOTS_SECTION_VCPUS, 0);
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++)
        save_slot(&slots->table[i], writer, now);
    return true;
}

/* --- What a slot can be --- */

static const char *wrong_range(const Slot *slot)
{
    if (slot->status & ~STATUS_BITS)
        return "status has an unknown bit";
    if (slot->power > VCPUHP_POWER_ON)
        return "power is unknown";
    if (slot->request_kind > VCPUHP_REQUEST_UNPLUG)
        return "request_kind is unknown";
    if (slot->request_state > VCPUHP_REQUEST_SEEN)
        return "request_state is unknown";
    return NULL;
}

static const char *wrong_status(const Slot *slot, bool fixed)
{
    if (fixed && slot->status != SLOT_ENABLED)
        return "status is not ENABLED alone, but it is enabled permanently";
    if (slot->status && !(slot->status & SLOT_ENABLED))
        return "status has an event without ENABLED";
    if (slot->status & SLOT_FW_REMOVE && slot->status & SLOT_INSERT)
        return "status has INSERT and FW_REMOVE";
    if (slot->status & SLOT_REMOVE && slot->request_kind != VCPUHP_REQUEST_UNPLUG)
        return "status has REMOVE, but request_kind is not UNPLUG";
    return NULL;
}

static const char *wrong_power(const Slot *slot)
{
    if (slot->power != VCPUHP_POWER_ON_PENDING &&
        (slot->entry.address || slot->entry.context || slot->entry.big_endian))
        return "entry is set, but power is not ON_PENDING";
    if (slot->entry.address % 4)
        return "entry.address is not a multiple of 4";
    if (slot->forced && !slot->leaving)
        return "FORCED is set, but it is enabled or off";
    return NULL;
}

static const char *wrong_without_request(const Slot *slot)
{
    if (slot->request || slot->request_state || slot->stale || slot->deadline || slot->retry_at ||
        slot->until_on || slot->was_enabled || slot->observed)
        return "request_kind is NONE, but a field of a request is set";
    return NULL;
}

static const char *wrong_plug(const Slot *slot)
{
    bool held = slot->request_state == VCPUHP_REQUEST_HELD;

    if (slot->stale > slot->inserts_taken)
        return "stale is more than inserts_taken";
    if (held == !!(slot->status & SLOT_ENABLED))
        return "request_state of a plug is not HELD, as long as it is disabled";
    if (held && slots_eject_is_over(slot))
        return "request_state is HELD, but no eject is under way";
    if (!held && slot->power == VCPUHP_POWER_ON)
        return "request_kind is PLUG, but power is ON";
    if (slot->request_state == VCPUHP_REQUEST_RAISED && !(slot->status & SLOT_INSERT))
        return "request_state of a plug is RAISED, but status lacks INSERT";
    if (slot->was_enabled && (!slot->until_on || held))
        return "WAS_ENABLED is set, but the plug did not enable it";
    return NULL;
}

static const char *wrong_unplug(const Slot *slot, bool fixed)
{
    bool enabled = slot->status & SLOT_ENABLED;

    if (fixed)
        return "request_kind is UNPLUG, but it is enabled permanently";
    if (slot->stale > slot->removes_taken)
        return "stale is more than removes_taken";
    if (slot->request_state == VCPUHP_REQUEST_HELD)
        return "request_state of an unplug is HELD";
    if (!enabled && !slot->leaving)
        return "request_kind is UNPLUG, but it is disabled and off";
    if (!enabled && slot->deadline)
        return "deadline of an unplug is set, but it is disabled";
    if (enabled && slot->request_state == VCPUHP_REQUEST_RAISED && !(slot->status & SLOT_REMOVE))
        return "request_state of an unplug is RAISED, but status lacks REMOVE";
    if (slot->until_on || slot->was_enabled)
        return "UNTIL_ON or WAS_ENABLED is set, but request_kind is UNPLUG";
    return NULL;
}

static const char *wrong_request(const Slot *slot, bool fixed)
{
    if (slot->request_kind == VCPUHP_REQUEST_NONE)
        return wrong_without_request(slot);
    if (!slot->request)
        return "request is 0";
    if (slot->retry_at &&
        (slot->request_state != VCPUHP_REQUEST_SEEN || !(slot->status & SLOT_ENABLED)))
        return "retry_at is set, but no request is SEEN that it can repeat";
    return slot->request_kind == VCPUHP_REQUEST_PLUG ? wrong_plug(slot) : wrong_unplug(slot, fixed);
}

static const char *wrong_eject(const Slot *slot, bool fixed)
{
    if (fixed && (slot->eject_until || slot->inserts_taken || slot->removes_taken))
        return "eject_until, inserts_taken or removes_taken is set, but it is enabled permanently";
    if (slot->unclosed && !slot->eject_until)
        return "UNCLOSED is set, but eject_until is not";
    if (slot->eject_until && slots_eject_is_over(slot))
        return "eject_until is set, but no eject is under way";
    return NULL;
}

/* What slots.c never produces, as the name of a field and why; NULL: it is right. */
static const char *what_is_wrong(const Slot *slot, bool fixed)
{
    const char *why = wrong_range(slot);

    if (!why)
        why = wrong_status(slot, fixed);
    if (!why)
        why = wrong_power(slot);
    if (!why)
        why = wrong_eject(slot, fixed);
    return why ? why : wrong_request(slot, fixed);
}

/* --- Load --- */

static int64_t get_time(BlobReader *reader, int64_t now)
{
    uint32_t remaining = blob_get_u32(reader);

    return remaining ? now + remaining * (int64_t)1000 : 0;
}

/* Returns false if a bit is set that this release does not know. */
static bool set_flags(Slot *slot, uint8_t flags)
{
    slot->until_on = flags & FLAG_UNTIL_ON;
    slot->was_enabled = flags & FLAG_WAS_ENABLED;
    slot->observed = flags & FLAG_OBSERVED;
    slot->unclosed = flags & FLAG_UNCLOSED;
    slot->forced = flags & FLAG_FORCED;
    slot->entry.big_endian = flags & FLAG_BIG_ENDIAN;
    return !(flags & ~FLAGS);
}

/* Only a force asks a vCPU to park while the machine is neither stopped nor being reset. */
static void derive(Slot *slot)
{
    slot->leaving = slot->power != VCPUHP_POWER_OFF && !(slot->status & SLOT_ENABLED);
    slot->park = slot->forced;
    slot->to_resume = slot->power != VCPUHP_POWER_OFF;
    slot->adopted = slot->power == VCPUHP_POWER_ON;
}

/* Returns false if a reserved bit is set. */
static bool load_slot(Slot *slot, BlobReader *reader, int64_t now)
{
    bool known;

    slot->status = blob_get_u8(reader);
    slot->power = blob_get_u8(reader);
    slot->request_kind = blob_get_u8(reader);
    slot->request_state = blob_get_u8(reader);
    known = set_flags(slot, blob_get_u8(reader));
    known &= !blob_get_u8(reader);
    slot->inserts_taken = blob_get_u16(reader);
    slot->removes_taken = blob_get_u16(reader);
    slot->stale = blob_get_u16(reader);
    slot->request = blob_get_u32(reader);
    slot->deadline = get_time(reader, now);
    slot->retry_at = get_time(reader, now);
    slot->eject_until = get_time(reader, now);
    slot->ost_source = blob_get_u32(reader);
    slot->ost_status = blob_get_u32(reader);
    slot->denied = blob_get_u32(reader);
    slot->entry.address = blob_get_u64(reader);
    slot->entry.context = blob_get_u64(reader);
    derive(slot);
    return known;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool check_ids(const Slot *table, uint32_t n_vcpus, GError **error)
{
    uint32_t ids[VCPUHP_MAX_VCPUS], n = 0;

    for (uint32_t i = 0; i < n_vcpus; i++)
        if (table[i].request_kind != VCPUHP_REQUEST_NONE)
            ids[n++] = table[i].request;
    qsort(ids, n, sizeof(ids[0]), compare_ids);
    for (uint32_t i = 1; i < n; i++)
        if (ids[i] == ids[i - 1])
            return REFUSE("vcpuhp_load: two vCPUs have the open request %u", ids[i]);
    return true;
}

static bool load_table(Slot *table, const Config *config, BlobSection *section, int64_t now,
                       GError **error)
{
    for (uint32_t i = 0; i < config->n_vcpus; i++) {
        bool known = load_slot(&table[i], &section->reader, now);
        const char *why = what_is_wrong(&table[i], i < config->n_fixed);

        if (!known)
            why = "flags has an unknown bit, or the reserved byte is not 0";
        if (section->reader.failed)
            break;
        if (why)
            return REFUSE("vcpuhp_load: vCPU %u: %s", i, why);
    }
    return blob_close(section, error) && check_ids(table, config->n_vcpus, error);
}

static void count(Slots *slots, uint32_t vcpu)
{
    const Slot *slot = &slots->table[vcpu];
    uint64_t bit = 1ULL << (vcpu % 64);

    if (slot->status & SLOT_ENABLED)
        slots->enabled[vcpu / 64] |= bit;
    if (slot->status & SLOT_INSERT)
        slots->insert[vcpu / 64] |= bit;
    if (slot->status & SLOT_REMOVE)
        slots->remove[vcpu / 64] |= bit;
    if (slot->status & SLOT_FW_REMOVE)
        slots->fw_remove[vcpu / 64] |= bit;
    if (slot_in_use(slot))
        slots->in_use[vcpu / 64] |= bit;
    slots->n_raised += !!(slot->status & SLOT_INSERT) + !!(slot->status & SLOT_REMOVE);
    slots->n_running += slot->power != VCPUHP_POWER_OFF;
}

bool slots_is_fresh(const Slots *slots)
{
    return slots_can_start(slots) && !slots->loaded_at && !slots->last_event &&
           !slots->last_request && !slots->n_running;
}

typedef struct Machine {
    uint64_t last_event, errors;
    uint32_t last_request;
} Machine;

static bool load_machine(Machine *machine, BlobSection *section, GError **error)
{
    machine->last_event = blob_get_u64(&section->reader);
    machine->errors = blob_get_u64(&section->reader);
    machine->last_request = blob_get_u32(&section->reader);
    return blob_close(section, error);
}

static void replace(Slots *slots, const Machine *machine, const Slot *table)
{
    slots->last_event = machine->last_event;
    slots->errors = machine->errors;
    slots->last_request = machine->last_request;
    slots->n_raised = slots->n_running = 0;
    for (int i = 0; i < SLOT_WORDS; i++)
        slots->enabled[i] = slots->in_use[i] = slots->insert[i] = slots->remove[i] =
            slots->fw_remove[i] = 0;
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        slots->table[i] = table[i];
        count(slots, i);
    }
}

bool slots_load(Slots *slots, BlobSection *machine, BlobSection *vcpus, int64_t now, GError **error)
{
    Slot *table = g_new0(Slot, slots->config->n_vcpus);
    Machine loaded;
    bool done = load_machine(&loaded, machine, error) &&
                load_table(table, slots->config, vcpus, now, error);

    if (done) {
        replace(slots, &loaded, table);
        slots->loaded_at = now;
    }
    g_free(table);
    return done;
}

/* --- Resume --- */

static void add(int64_t *when, int64_t passed)
{
    if (*when)
        *when += passed;
}

bool slots_resume(Slots *slots, int64_t now, Effects *fx, GError **error)
{
    int64_t passed = now - slots->loaded_at;

    if (!slots->loaded_at)
        return refuse(error, VCPUHP_ERROR_ORDER,
                      "vcpuhp_resume: no state was loaded, or it was called before");
    slots->loaded_at = 0;
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        Slot *slot = &slots->table[i];

        add(&slot->deadline, passed);
        add(&slot->retry_at, passed);
        add(&slot->eject_until, passed);
    }
    /* slots_expire() finds out when there is something to do. */
    slots->wake = now;
    fx->timer = fx->irq = true;
    return true;
}

void slots_resume_vcpu(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (!slot->to_resume)
        return;
    slot->to_resume = false;
    if (slots_must_run(slot)) {
        fx->start = (int)vcpu;
        return;
    }
    fx->off = (int)vcpu;
    fx->off_asked = slot->adopted;
}
