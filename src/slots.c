/* SPDX-License-Identifier: BSD-3-Clause */
#include "slots.h"

/* _OST source events and status codes, ACPI 6.5, 6.3.5 */
enum {
    OST_SOURCE_BUS_CHECK = 0x000,
    OST_SOURCE_DEVICE_CHECK = 0x001,
    OST_SOURCE_EJECT_REQUEST = 0x003,
    OST_SOURCE_EJECT = 0x103,  /* begun by OSPM itself */
    OST_SOURCE_INSERT = 0x200, /* same */
    OST_SUCCESS = 0x00,
    OST_INSERT_IN_PROGRESS = 0x80,
    OST_EJECT_IN_PROGRESS = 0x84,
};

/* Events that one call may cause; slots_expire() stops early to leave room for them. */
#define EVENTS_PER_CALL 4

void slots_init(Slots *slots, const Config *config)
{
    *slots = (Slots){.config = config, .table = g_new0(Slot, config->n_vcpus)};
    g_mutex_init(&slots->lock);
    for (uint32_t i = 0; i < config->n_enabled; i++) {
        slots->table[i].status = SLOT_ENABLED;
        slots->enabled[i / 64] |= 1ULL << (i % 64);
    }
}

void slots_clear(Slots *slots)
{
    g_free(slots->table);
    g_mutex_clear(&slots->lock);
}

static bool is_power_of_two(uint64_t n)
{
    return (n & (n - 1)) == 0;
}

static VcpuhpEvent *add_event(Effects *fx, VcpuhpEventKind kind, uint32_t vcpu)
{
    VcpuhpEvent *event;

    /* One call is one guest access, or less: EFFECTS_MAX_EVENTS has the room by construction. */
    g_assert(fx->n_events < EFFECTS_MAX_EVENTS);
    event = &fx->events[fx->n_events++];
    *event = (VcpuhpEvent){.kind = kind, .vcpu = vcpu};
    return event;
}

static void add_kick(Slots *slots, uint32_t vcpu, Effects *fx)
{
    slots->table[vcpu].park = true;
    if (!fx->kick)
        for (int i = 0; i < SLOT_WORDS; i++)
            fx->kicks[i] = 0;
    fx->kick = true;
    fx->kicks[vcpu / 64] |= 1ULL << (vcpu % 64);
}

static void arm(Slots *slots, int64_t when, Effects *fx)
{
    if (slots->wake && slots->wake <= when)
        return;
    slots->wake = when;
    fx->timer = true;
}

/* --- Status bits: the slot's byte, the bitmaps and the interrupt change together --- */

static void set_status(Slots *slots, uint32_t vcpu, uint8_t bits, Effects *fx)
{
    uint8_t added = bits & ~slots->table[vcpu].status;
    uint64_t mask = 1ULL << (vcpu % 64);
    bool was_raised = slots->n_raised > 0;

    slots->table[vcpu].status |= added;
    if (added & SLOT_ENABLED)
        slots->enabled[vcpu / 64] |= mask;
    if (added & SLOT_FW_REMOVE)
        slots->fw_remove[vcpu / 64] |= mask;
    if (added & SLOT_INSERT) {
        slots->insert[vcpu / 64] |= mask;
        slots->n_raised++;
    }
    if (added & SLOT_REMOVE) {
        slots->remove[vcpu / 64] |= mask;
        slots->n_raised++;
    }
    fx->irq |= !was_raised && slots->n_raised;
}

static void clear_status(Slots *slots, uint32_t vcpu, uint8_t bits, Effects *fx)
{
    uint8_t old = bits & slots->table[vcpu].status;
    uint64_t mask = ~(1ULL << (vcpu % 64));
    bool was_raised = slots->n_raised > 0;

    slots->table[vcpu].status &= ~old;
    if (old & SLOT_ENABLED)
        slots->enabled[vcpu / 64] &= mask;
    if (old & SLOT_FW_REMOVE)
        slots->fw_remove[vcpu / 64] &= mask;
    if (old & SLOT_INSERT) {
        slots->insert[vcpu / 64] &= mask;
        slots->n_raised--;
    }
    if (old & SLOT_REMOVE) {
        slots->remove[vcpu / 64] &= mask;
        slots->n_raised--;
    }
    fx->irq |= was_raised && !slots->n_raised;
}

/* --- Requests --- */

static uint32_t new_id(Slots *slots)
{
    if (++slots->last_request == 0)
        slots->last_request = 1;
    return slots->last_request;
}

static void begin_request(Slots *slots, uint32_t vcpu, VcpuhpRequestKind kind, uint32_t timeout_ms,
                          int64_t now, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    slot->request = new_id(slots);
    slot->request_kind = kind;
    slot->request_state = VCPUHP_REQUEST_HELD;
    slot->observed = slot->in_progress = false;
    slot->retry_at = 0;
    slot->deadline = timeout_ms ? now + timeout_ms * (int64_t)1000 : 0;
    if (slot->deadline)
        arm(slots, slot->deadline, fx);
}

static VcpuhpEvent *add_ended(Effects *fx, uint32_t vcpu, uint32_t request, VcpuhpOutcome outcome)
{
    VcpuhpEvent *event = add_event(fx, VCPUHP_EVENT_ENDED, vcpu);

    event->request = request;
    event->outcome = outcome;
    return event;
}

static VcpuhpEvent *end_request(Slot *slot, uint32_t vcpu, VcpuhpOutcome outcome, Effects *fx)
{
    slot->request_kind = VCPUHP_REQUEST_NONE;
    slot->deadline = slot->retry_at = 0;
    return add_ended(fx, vcpu, slot->request, outcome);
}

/* Show the guest what is wanted of it. Policy comes first: once the bit can be seen, _STA and
 * CPU_ON agree with it. */
static void raise_request(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    slot->request_state = VCPUHP_REQUEST_RAISED;
    slot->observed = slot->in_progress = false;
    slot->retry_at = 0;
    set_status(slots, vcpu,
               slot->request_kind == VCPUHP_REQUEST_PLUG ? SLOT_ENABLED | SLOT_INSERT : SLOT_REMOVE,
               fx);
}

/* As if it had never been made. Only for a request that can_undo(). */
static void undo_request(Slots *slots, uint32_t vcpu, VcpuhpOutcome outcome, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (slot->request_state == VCPUHP_REQUEST_RAISED)
        clear_status(slots, vcpu,
                     slot->request_kind == VCPUHP_REQUEST_PLUG ? SLOT_ENABLED | SLOT_INSERT
                                                               : SLOT_REMOVE,
                     fx);
    end_request(slot, vcpu, outcome, fx);
}

static bool can_undo(const Slot *slot)
{
    return slot->request_state == VCPUHP_REQUEST_HELD ||
           (slot->request_state == VCPUHP_REQUEST_RAISED && !slot->observed);
}

/* An insert must not reach the guest before it is through with the eject of the same vCPU: Linux
 * would answer "success" and lose it. */
static bool eject_is_over(const Slot *slot)
{
    return !slot->unclosed && !slot->leaving;
}

static void release_held(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (!eject_is_over(slot))
        return;
    slot->eject_until = 0;
    if (slot->request_kind == VCPUHP_REQUEST_PLUG && slot->request_state == VCPUHP_REQUEST_HELD)
        raise_request(slots, vcpu, fx);
}

/* Disabled and off: the eject's end as far as the VMM is concerned. */
static void gone(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    add_event(fx, slot->forced ? VCPUHP_EVENT_FORCED : VCPUHP_EVENT_EJECTED, vcpu);
    slot->leaving = slot->forced = false;
    if (slot->request_kind == VCPUHP_REQUEST_UNPLUG)
        end_request(slot, vcpu, VCPUHP_OUTCOME_DONE, fx);
    release_held(slots, vcpu, fx);
}

static Slot *find_slot(Slots *slots, uint32_t vcpu, GError **error)
{
    if (vcpu < slots->config->n_vcpus)
        return &slots->table[vcpu];
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_NO_VCPU,
                "there is no vCPU %u: the last one is %u", vcpu, slots->config->n_vcpus - 1);
    return NULL;
}

static Slot *find_removable(Slots *slots, uint32_t vcpu, GError **error)
{
    Slot *slot = find_slot(slots, vcpu, error);

    if (!slot || vcpu >= slots->config->n_fixed)
        return slot;
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_FIXED,
                "vCPU %u is enabled for good, as all below %u are", vcpu, slots->config->n_fixed);
    return NULL;
}

static bool refuse_pending(const Slot *slot, uint32_t vcpu, GError **error)
{
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_PENDING,
                "vCPU %u has an open request: %u, to %s it", vcpu, slot->request,
                slot->request_kind == VCPUHP_REQUEST_PLUG ? "plug" : "unplug");
    return false;
}

static bool refuse_disabled(uint32_t vcpu, GError **error)
{
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_DISABLED, "vCPU %u is not enabled", vcpu);
    return false;
}

bool slots_plug(Slots *slots, uint32_t vcpu, uint32_t timeout_ms, int64_t now, uint32_t *ret_id,
                Effects *fx, GError **error)
{
    Slot *slot = find_slot(slots, vcpu, error);

    if (!slot)
        return false;
    if (slot->request_kind == VCPUHP_REQUEST_UNPLUG && can_undo(slot)) {
        undo_request(slots, vcpu, VCPUHP_OUTCOME_CANCELLED, fx);
        *ret_id = new_id(slots);
        add_ended(fx, vcpu, *ret_id, VCPUHP_OUTCOME_DONE);
        return true;
    }
    if (slot->request_kind != VCPUHP_REQUEST_NONE)
        return refuse_pending(slot, vcpu, error);
    if (slot->status & SLOT_ENABLED) {
        g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_ENABLED, "vCPU %u is enabled already", vcpu);
        return false;
    }
    begin_request(slots, vcpu, VCPUHP_REQUEST_PLUG, timeout_ms, now, fx);
    *ret_id = slot->request;
    release_held(slots, vcpu, fx);
    return true;
}

bool slots_unplug(Slots *slots, uint32_t vcpu, uint32_t timeout_ms, int64_t now, uint32_t *ret_id,
                  Effects *fx, GError **error)
{
    Slot *slot = find_removable(slots, vcpu, error);

    if (!slot)
        return false;
    if (slot->request_kind == VCPUHP_REQUEST_UNPLUG)
        return refuse_pending(slot, vcpu, error);
    if (slot->request_kind == VCPUHP_REQUEST_PLUG) {
        if (can_undo(slot)) {
            undo_request(slots, vcpu, VCPUHP_OUTCOME_CANCELLED, fx);
            *ret_id = new_id(slots);
            add_ended(fx, vcpu, *ret_id, VCPUHP_OUTCOME_DONE);
            return true;
        }
        end_request(slot, vcpu, VCPUHP_OUTCOME_CANCELLED, fx);
    }
    if (!(slot->status & SLOT_ENABLED))
        return refuse_disabled(vcpu, error);
    begin_request(slots, vcpu, VCPUHP_REQUEST_UNPLUG, timeout_ms, now, fx);
    *ret_id = slot->request;
    raise_request(slots, vcpu, fx);
    return true;
}

static Slot *find_request(Slots *slots, uint32_t request, GError **error)
{
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        Slot *slot = &slots->table[i];

        if (slot->request == request && slot->request_kind != VCPUHP_REQUEST_NONE)
            return slot;
    }
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_NO_REQUEST, "no request %u is open", request);
    return NULL;
}

bool slots_cancel(Slots *slots, uint32_t request, Effects *fx, GError **error)
{
    Slot *slot = find_request(slots, request, error);

    if (!slot)
        return false;
    if (!can_undo(slot)) {
        g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_TOO_LATE,
                    "the guest has seen request %u: it can't be taken back", request);
        return false;
    }
    undo_request(slots, slot - slots->table, VCPUHP_OUTCOME_CANCELLED, fx);
    return true;
}

/* The guest took the request; show it once more, unless it has got as far as the eject. */
static void raise_again(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    slot->retry_at = 0;
    slot->in_progress = false;
    if (slot->request_state == VCPUHP_REQUEST_SEEN && slot->status & SLOT_ENABLED)
        set_status(slots, vcpu,
                   slot->request_kind == VCPUHP_REQUEST_PLUG ? SLOT_INSERT : SLOT_REMOVE, fx);
}

bool slots_repeat(Slots *slots, uint32_t request, Effects *fx, GError **error)
{
    Slot *slot = find_request(slots, request, error);

    if (!slot)
        return false;
    raise_again(slots, slot - slots->table, fx);
    return true;
}

bool slots_force(Slots *slots, uint32_t vcpu, Effects *fx, GError **error)
{
    Slot *slot = find_removable(slots, vcpu, error);

    if (!slot)
        return false;
    if (!(slot->status & SLOT_ENABLED) && !slot->leaving)
        return refuse_disabled(vcpu, error);
    clear_status(slots, vcpu, SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE | SLOT_FW_REMOVE, fx);
    if (slot->request_kind == VCPUHP_REQUEST_PLUG)
        end_request(slot, vcpu, VCPUHP_OUTCOME_CANCELLED, fx);
    slot->deadline = slot->retry_at = 0;
    slot->forced = true;
    if (slot->power == VCPUHP_POWER_OFF) {
        gone(slots, vcpu, fx);
        return true;
    }
    slot->leaving = true;
    add_kick(slots, vcpu, fx);
    return true;
}

bool slots_query(Slots *slots, uint32_t vcpu, VcpuhpVcpuInfo *ret_info, GError **error)
{
    const Config *config = slots->config;
    const Slot *slot = find_slot(slots, vcpu, error);

    if (!slot)
        return false;
    *ret_info = (VcpuhpVcpuInfo){
        .mpidr = config->mpidrs[vcpu],
        .node = config->nodes ? config->nodes[vcpu] : 0,
        .enabled = slot->status & SLOT_ENABLED,
        .fixed = vcpu < config->n_fixed,
        .ejecting = slot->unclosed,
        .power = slot->power,
        .request_kind = slot->request_kind,
        .request_state = slot->request_state,
        .request = slot->request_kind != VCPUHP_REQUEST_NONE ? slot->request : 0,
        .ost_source = slot->ost_source,
        .ost_status = slot->ost_status,
    };
    return true;
}

/* --- Time --- */

static void expire_request(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (can_undo(slot)) {
        undo_request(slots, vcpu, VCPUHP_OUTCOME_TIMED_OUT, fx);
        return;
    }
    /* What the guest was asked to give back it may still give, but is no longer asked. An insert
     * stays: the vCPU is enabled, and the guest should learn of it. */
    clear_status(slots, vcpu, SLOT_REMOVE, fx);
    end_request(slot, vcpu, VCPUHP_OUTCOME_TIMED_OUT, fx);
}

static void expire_eject(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    slot->eject_until = 0;
    slot->unclosed = false;
    if (slot->leaving) {
        slot->forced = true;
        add_kick(slots, vcpu, fx);
    }
    release_held(slots, vcpu, fx);
}

static bool is_due(int64_t when, int64_t now)
{
    return when && when <= now;
}

bool slots_expire(Slots *slots, int64_t now, Effects *fx)
{
    slots->wake = 0;
    fx->timer = true;
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        Slot *slot = &slots->table[i];

        if (fx->n_events > EFFECTS_MAX_EVENTS - EVENTS_PER_CALL) {
            slots->wake = now;
            return false;
        }
        if (is_due(slot->eject_until, now))
            expire_eject(slots, i, fx);
        if (is_due(slot->deadline, now))
            expire_request(slots, i, fx);
        if (is_due(slot->retry_at, now))
            raise_again(slots, i, fx);
        if (slot->eject_until)
            arm(slots, slot->eject_until, fx);
        if (slot->deadline)
            arm(slots, slot->deadline, fx);
        if (slot->retry_at)
            arm(slots, slot->retry_at, fx);
    }
    return true;
}

/* --- OSPM and firmware --- */

uint8_t slots_read_status(Slots *slots, uint32_t vcpu)
{
    Slot *slot = &slots->table[vcpu];

    slot->observed = true;
    return slot->status;
}

uint64_t slots_read_enabled(Slots *slots, uint32_t word)
{
    uint64_t fresh = slots->enabled[word] & slots->insert[word];

    for (; fresh; fresh &= fresh - 1)
        slots->table[word * 64 + __builtin_ctzll(fresh)].observed = true;
    return slots->enabled[word];
}

int slots_find_event(const Slots *slots, uint32_t from)
{
    uint32_t words = (slots->config->n_vcpus + 63) / 64;

    /* The word of from is looked at twice: from its bit on, and at the end, up to it. */
    for (uint32_t i = 0; i <= words; i++) {
        uint32_t word = (from / 64 + i) % words;
        uint64_t found = slots->insert[word] | slots->remove[word] | slots->fw_remove[word];

        if (i == 0)
            found &= ~0ULL << (from % 64);
        if (found)
            return word * 64 + __builtin_ctzll(found);
    }
    return -1;
}

static void take(Slots *slots, uint32_t vcpu, uint8_t bit, VcpuhpRequestKind kind, int64_t now,
                 Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (!(slot->status & bit))
        return;
    clear_status(slots, vcpu, bit, fx);
    if (slot->request_kind != kind)
        return;
    if (slot->request_state == VCPUHP_REQUEST_RAISED) {
        slot->request_state = VCPUHP_REQUEST_SEEN;
        add_event(fx, VCPUHP_EVENT_SEEN, vcpu)->request = slot->request;
    }
    if (slots->config->retry_ms) {
        slot->retry_at = now + slots->config->retry_ms * (int64_t)1000;
        arm(slots, slot->retry_at, fx);
    }
}

void slots_take_insert(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx)
{
    take(slots, vcpu, SLOT_INSERT, VCPUHP_REQUEST_PLUG, now, fx);
}

void slots_take_remove(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx)
{
    take(slots, vcpu, SLOT_REMOVE, VCPUHP_REQUEST_UNPLUG, now, fx);
}

static int first_bit(const uint64_t *bitmap)
{
    for (int i = 0; i < SLOT_WORDS; i++)
        if (bitmap[i])
            return i * 64 + __builtin_ctzll(bitmap[i]);
    return -1;
}

uint8_t slots_take_next(Slots *slots, uint32_t *ret_vcpu, int64_t now, Effects *fx)
{
    int vcpu;
    uint8_t bits;

    if (!slots->n_raised)
        return 0;
    vcpu = first_bit(slots->insert);
    if (vcpu < 0)
        vcpu = first_bit(slots->remove);
    bits = slots->table[vcpu].status & (SLOT_INSERT | SLOT_REMOVE);
    slots_take_insert(slots, vcpu, now, fx);
    slots_take_remove(slots, vcpu, now, fx);
    *ret_vcpu = vcpu;
    return bits;
}

void slots_fw_remove(Slots *slots, uint32_t vcpu, Effects *fx)
{
    if (vcpu < slots->config->n_fixed)
        slots_guest_error(slots, vcpu, "asked the firmware to eject a vCPU enabled for good", fx);
    else if (slots->table[vcpu].status & SLOT_ENABLED)
        set_status(slots, vcpu, SLOT_FW_REMOVE, fx);
}

void slots_eject(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (vcpu < slots->config->n_fixed) {
        slots_guest_error(slots, vcpu, "ejected a vCPU that is enabled for good", fx);
        return;
    }
    /* Linux ejects a vCPU that it was asked for once too often: nothing to do, nothing wrong. */
    if (!(slot->status & SLOT_ENABLED))
        return;
    clear_status(slots, vcpu, SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE | SLOT_FW_REMOVE, fx);
    add_event(fx, VCPUHP_EVENT_DISABLED, vcpu);
    if (slot->request_kind == VCPUHP_REQUEST_PLUG)
        end_request(slot, vcpu, VCPUHP_OUTCOME_REFUSED, fx);
    /* From here on the eject's own deadline bounds the request. */
    slot->deadline = slot->retry_at = 0;
    slot->unclosed = true;
    slot->eject_until = now + slots->config->eject_ms * (int64_t)1000;
    arm(slots, slot->eject_until, fx);
    if (slot->power == VCPUHP_POWER_OFF)
        gone(slots, vcpu, fx);
    else
        slot->leaving = true;
}

static void insert_ost(Slot *slot, uint32_t vcpu, uint32_t source, uint32_t status, Effects *fx)
{
    VcpuhpEvent *ended;

    if (slot->request_kind != VCPUHP_REQUEST_PLUG || slot->request_state != VCPUHP_REQUEST_SEEN)
        return;
    if (status == OST_INSERT_IN_PROGRESS) {
        slot->in_progress = true;
        slot->retry_at = 0;
        return;
    }
    ended = end_request(slot, vcpu,
                        status == OST_SUCCESS ? VCPUHP_OUTCOME_DONE : VCPUHP_OUTCOME_REFUSED, fx);
    ended->ost_source = source;
    ended->ost_status = status;
}

static void eject_ost(Slots *slots, uint32_t vcpu, uint32_t source, uint32_t status, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];
    bool is_open = slot->request_kind == VCPUHP_REQUEST_UNPLUG &&
                   slot->request_state == VCPUHP_REQUEST_SEEN && slot->status & SLOT_ENABLED;

    if (status == OST_EJECT_IN_PROGRESS) {
        if (is_open) {
            slot->in_progress = true;
            slot->retry_at = 0;
        }
        return;
    }
    if (slot->unclosed) {
        slot->unclosed = false;
        release_held(slots, vcpu, fx);
        return;
    }
    /* "Success" without _EJ0 proves nothing: the request stays open. */
    if (is_open && status != OST_SUCCESS) {
        VcpuhpEvent *ended = end_request(slot, vcpu, VCPUHP_OUTCOME_REFUSED, fx);

        ended->ost_source = source;
        ended->ost_status = status;
    }
}

void slots_ost(Slots *slots, uint32_t vcpu, uint32_t source, uint32_t status, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];
    VcpuhpEvent *event = add_event(fx, VCPUHP_EVENT_OST, vcpu);
    bool ejects = source == OST_SOURCE_EJECT_REQUEST || source == OST_SOURCE_EJECT;

    slot->ost_source = event->ost_source = source;
    slot->ost_status = event->ost_status = status;
    if (slot->request_kind == (ejects ? VCPUHP_REQUEST_UNPLUG : VCPUHP_REQUEST_PLUG))
        event->request = slot->request;
    if (ejects)
        eject_ost(slots, vcpu, source, status, fx);
    else if (source == OST_SOURCE_DEVICE_CHECK || source == OST_SOURCE_BUS_CHECK ||
             source == OST_SOURCE_INSERT)
        insert_ost(slot, vcpu, source, status, fx);
}

void slots_guest_error(Slots *slots, uint32_t vcpu, const char *text, Effects *fx)
{
    VcpuhpEvent *event;

    /* The guest can do this for ever, and the VMM may log each: it is told ever more rarely. */
    if (!is_power_of_two(++slots->errors))
        return;
    event = add_event(fx, VCPUHP_EVENT_GUEST_ERROR, vcpu);
    event->count = slots->errors;
    event->text = text;
}

/* --- Power --- */

OnResult slots_on(Slots *slots, uint32_t vcpu, const VcpuhpEntry *entry, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (!(slot->status & SLOT_ENABLED)) {
        if (is_power_of_two(++slot->denied))
            add_event(fx, VCPUHP_EVENT_DENIED, vcpu)->count = slot->denied;
        return ON_DENIED;
    }
    if (slot->power == VCPUHP_POWER_ON)
        return ON_ALREADY;
    if (slot->power == VCPUHP_POWER_ON_PENDING)
        return ON_PENDING;
    if (slots->stopping)
        return ON_STOPPING;
    slot->power = VCPUHP_POWER_ON_PENDING;
    slot->entry = *entry;
    slot->observed = true;
    slot->park = false;
    slots->n_running++;
    return ON_GRANTED;
}

bool slots_enter(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (slot->park || !(slot->status & SLOT_ENABLED))
        return false;
    slot->power = VCPUHP_POWER_ON;
    add_event(fx, VCPUHP_EVENT_ON, vcpu);
    /* What runs was taken in, whatever _OST says or doesn't. */
    if (slot->request_kind == VCPUHP_REQUEST_PLUG)
        end_request(slot, vcpu, VCPUHP_OUTCOME_DONE, fx);
    return true;
}

void slots_off(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (slot->power == VCPUHP_POWER_ON)
        add_event(fx, VCPUHP_EVENT_OFF, vcpu);
    slot->power = VCPUHP_POWER_OFF;
    slot->park = false;
    slots->n_running--;
    if (slot->leaving)
        gone(slots, vcpu, fx);
    if (slots->stopping && !slots->n_running)
        add_event(fx, VCPUHP_EVENT_STOPPED, slots->config->n_vcpus);
}

void slots_stop(Slots *slots, Effects *fx)
{
    slots->stopping = true;
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++)
        if (slots->table[i].power != VCPUHP_POWER_OFF)
            add_kick(slots, i, fx);
    if (!slots->n_running)
        add_event(fx, VCPUHP_EVENT_STOPPED, slots->config->n_vcpus);
}

void slots_reset(Slots *slots, Effects *fx)
{
    slots->stopping = false;
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        Slot *slot = &slots->table[i];

        /* The OSPM that was to close the eject is no more. */
        slot->unclosed = false;
        release_held(slots, i, fx);
        /* And the one that had seen the request has taken its knowledge along. */
        if (slot->request_kind != VCPUHP_REQUEST_NONE && slot->request_state != VCPUHP_REQUEST_HELD)
            raise_request(slots, i, fx);
    }
}
