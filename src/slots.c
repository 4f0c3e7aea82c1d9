/* SPDX-License-Identifier: BSD-3-Clause */
#include "slots.h"

#include "error.h"

/* The most events that one vCPU causes in slots_expire(), which stops if there is less room. */
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

VcpuhpEvent slots_new_event(Slots *slots, VcpuhpEventKind kind, uint32_t vcpu)
{
    return (VcpuhpEvent){
        .size = sizeof(VcpuhpEvent), .kind = kind, .vcpu = vcpu, .sequence = ++slots->last_event};
}

static VcpuhpEvent *add_event(Slots *slots, Effects *fx, VcpuhpEventKind kind, uint32_t vcpu)
{
    VcpuhpEvent *event;

    /* No call causes more events than a guest's access, for which there is room. */
    g_assert(fx->n_events < EFFECTS_MAX_EVENTS);
    event = &fx->events[fx->n_events++];
    *event = slots_new_event(slots, kind, vcpu);
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

static Slot *find_open(Slots *slots, uint32_t request)
{
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        Slot *slot = &slots->table[i];

        if (slot->request == request && slot->request_kind != VCPUHP_REQUEST_NONE)
            return slot;
    }
    return NULL;
}

static uint32_t new_id(Slots *slots)
{
    do
        slots->last_request++;
    while (slots->last_request == 0 || find_open(slots, slots->last_request));
    return slots->last_request;
}

/* How many events of this kind OSPM has taken and not answered. */
static uint16_t *taken(Slot *slot, VcpuhpRequestKind kind)
{
    return kind == VCPUHP_REQUEST_PLUG ? &slot->inserts_taken : &slot->removes_taken;
}

static void set_in_use(Slots *slots, uint32_t vcpu)
{
    slots->in_use[vcpu / 64] |= 1ULL << (vcpu % 64);
}

static void begin_request(Slots *slots, uint32_t vcpu, VcpuhpRequestKind kind, uint32_t timeout_ms,
                          int64_t now, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    set_in_use(slots, vcpu);
    slot->request = new_id(slots);
    slot->request_kind = kind;
    slot->stale = *taken(slot, kind);
    slot->until_on = false;
    slot->was_enabled = kind == VCPUHP_REQUEST_PLUG && slot->status & SLOT_ENABLED;
    slot->deadline = timeout_ms ? now + timeout_ms * (int64_t)1000 : 0;
    if (slot->deadline)
        arm(slots, slot->deadline, fx);
}

static VcpuhpEvent *add_ended(Slots *slots, uint32_t vcpu, uint32_t request, VcpuhpOutcome outcome,
                              Effects *fx)
{
    VcpuhpEvent *event = add_event(slots, fx, VCPUHP_EVENT_ENDED, vcpu);

    event->request = request;
    event->outcome = outcome;
    return event;
}

static VcpuhpEvent *end_request(Slots *slots, uint32_t vcpu, VcpuhpOutcome outcome, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    slot->request_kind = VCPUHP_REQUEST_NONE;
    slot->deadline = slot->retry_at = 0;
    return add_ended(slots, vcpu, slot->request, outcome, fx);
}

/* A request that ends on return. */
static uint32_t done_at_once(Slots *slots, uint32_t vcpu, Effects *fx)
{
    uint32_t id = new_id(slots);

    add_ended(slots, vcpu, id, VCPUHP_OUTCOME_DONE, fx);
    return id;
}

static uint8_t event_bit(const Slot *slot)
{
    return slot->request_kind == VCPUHP_REQUEST_PLUG ? SLOT_INSERT : SLOT_REMOVE;
}

/* No insert while firmware-remove is set: EDK2 stops the machine when it sees both. */
static bool is_barred(const Slot *slot)
{
    return slot->request_kind == VCPUHP_REQUEST_PLUG && slot->status & SLOT_FW_REMOVE;
}

/* Notify the guest. The vCPU is enabled first: as soon as the bit can be seen, _STA and CPU_ON
 * agree with it. */
static void raise_request(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (is_barred(slot)) {
        slot->request_state = VCPUHP_REQUEST_SEEN;
        return;
    }
    slot->request_state = VCPUHP_REQUEST_RAISED;
    slot->observed = false;
    slot->retry_at = 0;
    if (slot->request_kind == VCPUHP_REQUEST_PLUG)
        set_status(slots, vcpu, SLOT_ENABLED, fx);
    set_status(slots, vcpu, event_bit(slot), fx);
}

/* An unplug that was raised cannot be undone once _EJ0 or a force has disabled the vCPU. */
static bool can_undo(const Slot *slot)
{
    if (slot->request_state == VCPUHP_REQUEST_HELD)
        return true;
    return slot->request_state == VCPUHP_REQUEST_RAISED && !slot->observed && !slot->was_enabled &&
           slot->status & SLOT_ENABLED;
}

/* Make it as if the request had never been made. can_undo() must hold. */
static void undo_request(Slots *slots, uint32_t vcpu, VcpuhpOutcome outcome, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (slot->request_state == VCPUHP_REQUEST_RAISED) {
        clear_status(slots, vcpu, event_bit(slot), fx);
        if (slot->request_kind == VCPUHP_REQUEST_PLUG)
            clear_status(slots, vcpu, SLOT_ENABLED, fx);
    }
    end_request(slots, vcpu, outcome, fx);
}

/* The guest must not see an insert before it has finished the eject of the same vCPU: Linux would
 * answer it with success and lose it. Another Eject Request that it has taken is an eject to come. */
bool slots_eject_is_over(const Slot *slot)
{
    bool to_come = slot->eject_until && slot->removes_taken;

    return !slot->unclosed && !slot->leaving && !to_come;
}

static void release_held(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (!slots_eject_is_over(slot))
        return;
    slot->eject_until = 0;
    if (slot->request_kind == VCPUHP_REQUEST_PLUG && slot->request_state == VCPUHP_REQUEST_HELD)
        raise_request(slots, vcpu, fx);
}

/* The vCPU is disabled and off: the eject is over as far as the VMM is concerned. */
static void gone(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    add_event(slots, fx, slot->forced ? VCPUHP_EVENT_FORCED : VCPUHP_EVENT_EJECTED, vcpu);
    slot->leaving = slot->forced = false;
    if (slot->request_kind == VCPUHP_REQUEST_UNPLUG)
        end_request(slots, vcpu, VCPUHP_OUTCOME_DONE, fx);
    release_held(slots, vcpu, fx);
}

static Slot *find_slot(Slots *slots, uint32_t vcpu, GError **error)
{
    if (vcpu < slots->config->n_vcpus)
        return &slots->table[vcpu];
    refuse(error, VCPUHP_ERROR_NO_VCPU, "there is no vCPU %u: the last one is %u", vcpu,
           slots->config->n_vcpus - 1);
    return NULL;
}

static Slot *find_removable(Slots *slots, uint32_t vcpu, GError **error)
{
    Slot *slot = find_slot(slots, vcpu, error);

    if (!slot || vcpu >= slots->config->n_fixed)
        return slot;
    refuse(error, VCPUHP_ERROR_FIXED, "vCPU %u is enabled permanently, as all below %u are", vcpu,
           slots->config->n_fixed);
    return NULL;
}

static bool refuse_pending(const Slot *slot, uint32_t vcpu, GError **error)
{
    return refuse(error, VCPUHP_ERROR_PENDING, "vCPU %u has an open request: %u, to %s it", vcpu,
                  slot->request, slot->request_kind == VCPUHP_REQUEST_PLUG ? "plug" : "unplug");
}

/* A callback of vcpuhp_free() may ask for more, which nobody would end. */
static bool refuse_ending(GError **error)
{
    return refuse(error, VCPUHP_ERROR_ORDER, "the context is being freed");
}

static bool refuse_disabled(uint32_t vcpu, GError **error)
{
    return refuse(error, VCPUHP_ERROR_DISABLED, "vCPU %u is not enabled", vcpu);
}

bool slots_plug(Slots *slots, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms, int64_t now,
                uint32_t *ret_id, Effects *fx, GError **error)
{
    Slot *slot = find_slot(slots, vcpu, error);

    if (!slot)
        return false;
    if (slots->ending)
        return refuse_ending(error);
    if (flags & ~VCPUHP_UNTIL_ON)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "flags is 0x%x, which has bits other than VCPUHP_UNTIL_ON", flags);
    if (slot->request_kind == VCPUHP_REQUEST_UNPLUG && can_undo(slot)) {
        undo_request(slots, vcpu, VCPUHP_OUTCOME_CANCELLED, fx);
        if (!(flags & VCPUHP_UNTIL_ON) || slot->power == VCPUHP_POWER_ON) {
            *ret_id = done_at_once(slots, vcpu, fx);
            return true;
        }
        begin_request(slots, vcpu, VCPUHP_REQUEST_PLUG, timeout_ms, now, fx);
        slot->until_on = true;
        raise_request(slots, vcpu, fx);
        *ret_id = slot->request;
        return true;
    }
    if (slot->request_kind != VCPUHP_REQUEST_NONE)
        return refuse_pending(slot, vcpu, error);
    if (slot->status & SLOT_ENABLED)
        return refuse(error, VCPUHP_ERROR_ENABLED, "vCPU %u is already enabled", vcpu);
    begin_request(slots, vcpu, VCPUHP_REQUEST_PLUG, timeout_ms, now, fx);
    slot->until_on = flags & VCPUHP_UNTIL_ON;
    slot->request_state = VCPUHP_REQUEST_HELD;
    *ret_id = slot->request;
    release_held(slots, vcpu, fx);
    return true;
}

bool slots_unplug(Slots *slots, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms, int64_t now,
                  uint32_t *ret_id, Effects *fx, GError **error)
{
    Slot *slot = find_removable(slots, vcpu, error);

    if (!slot)
        return false;
    if (slots->ending)
        return refuse_ending(error);
    if (flags)
        return refuse(error, VCPUHP_ERROR_INVALID, "flags is 0x%x, but an unplug has none", flags);
    if (slot->request_kind == VCPUHP_REQUEST_UNPLUG)
        return refuse_pending(slot, vcpu, error);
    if (slot->request_kind == VCPUHP_REQUEST_PLUG) {
        if (!can_undo(slot)) {
            end_request(slots, vcpu, VCPUHP_OUTCOME_CANCELLED, fx);
        } else {
            undo_request(slots, vcpu, VCPUHP_OUTCOME_CANCELLED, fx);
            if (!slot->leaving) {
                *ret_id = done_at_once(slots, vcpu, fx);
                return true;
            }
            /* The eject that the plug waited for carries out this request. */
            begin_request(slots, vcpu, VCPUHP_REQUEST_UNPLUG, 0, now, fx);
            slot->request_state = VCPUHP_REQUEST_SEEN;
            *ret_id = slot->request;
            return true;
        }
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
    Slot *slot = find_open(slots, request);

    if (!slot)
        refuse(error, VCPUHP_ERROR_NO_REQUEST, "no request %u is open", request);
    return slot;
}

bool slots_cancel(Slots *slots, uint32_t request, Effects *fx, GError **error)
{
    Slot *slot = find_request(slots, request, error);

    if (!slot)
        return false;
    if (!can_undo(slot))
        return refuse(error, VCPUHP_ERROR_TOO_LATE,
                      "request %u can no longer be cancelled: the guest has seen it", request);
    undo_request(slots, slot - slots->table, VCPUHP_OUTCOME_CANCELLED, fx);
    return true;
}

/* Notify the guest again of a request that it has taken, unless it has already ejected the vCPU. */
static void raise_again(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    slot->retry_at = 0;
    if (slot->request_kind == VCPUHP_REQUEST_NONE || slot->request_state != VCPUHP_REQUEST_SEEN ||
        !(slot->status & SLOT_ENABLED))
        return;
    if (is_barred(slot))
        return;
    set_status(slots, vcpu, event_bit(slot), fx);
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
        end_request(slots, vcpu, VCPUHP_OUTCOME_CANCELLED, fx);
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

bool slots_end_requests(Slots *slots, Effects *fx)
{
    slots->ending = true;
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        if (slots->table[i].request_kind == VCPUHP_REQUEST_NONE)
            continue;
        if (fx->n_events == EFFECTS_MAX_EVENTS)
            return false;
        end_request(slots, i, VCPUHP_OUTCOME_CANCELLED, fx);
    }
    return true;
}

bool slots_query(Slots *slots, uint32_t vcpu, VcpuhpVcpuInfo *ret_info, GError **error)
{
    const Config *config = slots->config;
    const Slot *slot = find_slot(slots, vcpu, error);
    bool is_open;

    if (!slot)
        return false;
    is_open = slot->request_kind != VCPUHP_REQUEST_NONE;
    *ret_info = (VcpuhpVcpuInfo){
        .size = sizeof(*ret_info),
        .mpidr = config->mpidrs[vcpu],
        .node = config->nodes ? config->nodes[vcpu] : 0,
        .power = slot->power,
        .enabled = slot->status & SLOT_ENABLED,
        .fixed = vcpu < config->n_fixed,
        .ejecting = slot->unclosed,
        .request_kind = slot->request_kind,
        .request_state = is_open ? slot->request_state : 0,
        .request = is_open ? slot->request : 0,
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
    /* The guest is no longer asked to give the vCPU back, but may still do so. An insert stays: the
     * vCPU is enabled, and the guest should learn of it. */
    clear_status(slots, vcpu, SLOT_REMOVE, fx);
    end_request(slots, vcpu, VCPUHP_OUTCOME_TIMED_OUT, fx);
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
    if (slots->loaded_at)
        return true;
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

/* The OSPM that took events, and had to close an eject, is gone. */
static void forget_ospm(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    slot->inserts_taken = slot->removes_taken = slot->stale = 0;
    slot->unclosed = false;
    release_held(slots, vcpu, fx);
}

/* A new OSPM initialises itself. What its predecessor took and did not carry out is raised again. */
static void meet_ospm(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    forget_ospm(slots, vcpu, fx);
    raise_again(slots, vcpu, fx);
    /* Of an unplug it is told nothing yet. */
    if (slot->request_kind == VCPUHP_REQUEST_PLUG && slot->status & SLOT_ENABLED)
        slot->observed = true;
    if (slot->request_kind == VCPUHP_REQUEST_NONE)
        slots->in_use[vcpu / 64] &= ~(1ULL << (vcpu % 64));
}

static G_GNUC_NO_INLINE void meet_ospm_in_word(Slots *slots, uint32_t word, Effects *fx)
{
    for (uint64_t rest = slots->in_use[word]; rest; rest &= rest - 1)
        meet_ospm(slots, word * 64 + __builtin_ctzll(rest), fx);
}

uint64_t slots_read_enabled(Slots *slots, uint32_t word, Effects *fx)
{
    if (slots->in_use[word])
        meet_ospm_in_word(slots, word, fx);
    return slots->enabled[word];
}

int slots_find_event(const Slots *slots, uint32_t from)
{
    uint32_t words = (slots->config->n_vcpus + 63) / 64;

    /* The word that holds `from` is searched twice: from that bit on, and at the end as a whole. */
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
    set_in_use(slots, vcpu);
    clear_status(slots, vcpu, bit, fx);
    if (slot->request_kind != kind)
        return;
    if (slot->request_state == VCPUHP_REQUEST_RAISED) {
        slot->request_state = VCPUHP_REQUEST_SEEN;
        add_event(slots, fx, VCPUHP_EVENT_SEEN, vcpu)->request = slot->request;
    }
    if (slots->config->retry_ms) {
        slot->retry_at = now + slots->config->retry_ms * (int64_t)1000;
        arm(slots, slot->retry_at, fx);
    }
}

/* OSPM owes an answer for each event that it takes. No OSPM leaves as many unanswered as a count
 * holds. */
static void count_taken(uint16_t *count)
{
    *count += *count < UINT16_MAX;
}

void slots_take_insert(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (slot->status & SLOT_INSERT)
        count_taken(&slot->inserts_taken);
    take(slots, vcpu, SLOT_INSERT, VCPUHP_REQUEST_PLUG, now, fx);
}

void slots_take_remove(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (slot->status & SLOT_REMOVE)
        count_taken(&slot->removes_taken);
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

void slots_fw_remove(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx)
{
    if (vcpu < slots->config->n_fixed) {
        slots_guest_error(slots, vcpu,
                          "asked the firmware to eject a vCPU that is enabled permanently", fx);
        return;
    }
    if (!(slots->table[vcpu].status & SLOT_ENABLED))
        return;
    /* The firmware must not see both, and the eject that follows makes the insert void. OSPM has not
     * taken it. */
    take(slots, vcpu, SLOT_INSERT, VCPUHP_REQUEST_PLUG, now, fx);
    set_status(slots, vcpu, SLOT_FW_REMOVE, fx);
}

/* The guest has eject_timeout_ms from its first _EJ0 on. Another _EJ0 does not extend them. */
static void open_eject(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    set_in_use(slots, vcpu);
    slot->unclosed = true;
    if (!slot->eject_until)
        slot->eject_until = now + slots->config->eject_timeout_ms * (int64_t)1000;
    arm(slots, slot->eject_until, fx);
}

void slots_eject(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (vcpu < slots->config->n_fixed) {
        slots_guest_error(slots, vcpu, "ejected a vCPU that is enabled permanently", fx);
        return;
    }
    open_eject(slots, vcpu, now, fx);
    /* Linux ejects a vCPU again if it got two requests, or if the vCPU was removed by force. */
    if (!(slot->status & SLOT_ENABLED))
        return;
    clear_status(slots, vcpu, SLOT_ENABLED | SLOT_INSERT | SLOT_REMOVE | SLOT_FW_REMOVE, fx);
    add_event(slots, fx, VCPUHP_EVENT_DISABLED, vcpu);
    if (slot->request_kind == VCPUHP_REQUEST_PLUG)
        end_request(slots, vcpu, VCPUHP_OUTCOME_REFUSED, fx);
    /* From here on the eject's own deadline bounds the request. */
    slot->deadline = slot->retry_at = 0;
    if (slot->power == VCPUHP_POWER_OFF)
        gone(slots, vcpu, fx);
    else
        slot->leaving = true;
}

/* The guest has answered. Only the VMM or a new OSPM causes another notification. */
static void stop_raising(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    slot->retry_at = 0;
    clear_status(slots, vcpu, event_bit(slot), fx);
}

static void end_by_ost(Slots *slots, uint32_t vcpu, VcpuhpOutcome outcome, Effects *fx)
{
    VcpuhpEvent *ended = end_request(slots, vcpu, outcome, fx);

    ended->ost_source = slots->table[vcpu].ost_source;
    ended->ost_status = slots->table[vcpu].ost_status;
}

/* OSPM has worked on the insert. */
static void insert_ost(Slots *slots, uint32_t vcpu, uint32_t status, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    stop_raising(slots, vcpu, fx);
    if (status == VCPUHP_OST_INSERT_IN_PROGRESS)
        return;
    if (status != VCPUHP_OST_SUCCESS)
        end_by_ost(slots, vcpu, VCPUHP_OUTCOME_REFUSED, fx);
    else if (!slot->until_on)
        end_by_ost(slots, vcpu, VCPUHP_OUTCOME_DONE, fx);
}

/* OSPM has worked on the Eject Request. */
static void remove_ost(Slots *slots, uint32_t vcpu, uint32_t status, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    /* After _EJ0 nothing can be refused, and success without _EJ0 proves nothing. */
    if (!(slot->status & SLOT_ENABLED) || status == VCPUHP_OST_SUCCESS)
        return;
    stop_raising(slots, vcpu, fx);
    if (status != VCPUHP_OST_EJECT_IN_PROGRESS)
        end_by_ost(slots, vcpu, VCPUHP_OUTCOME_REFUSED, fx);
}

/* What an _OST is about. An eject that the guest began by itself is never the answer to an event. */
static VcpuhpRequestKind kind_of(uint32_t source)
{
    switch (source) {
    case VCPUHP_OST_SOURCE_EJECT_REQUEST:
        return VCPUHP_REQUEST_UNPLUG;
    case VCPUHP_OST_SOURCE_BUS_CHECK:
    case VCPUHP_OST_SOURCE_DEVICE_CHECK:
    case VCPUHP_OST_SOURCE_INSERT:
        return VCPUHP_REQUEST_PLUG;
    }
    return VCPUHP_REQUEST_NONE;
}

static bool is_in_progress(uint32_t source, uint32_t status)
{
    switch (kind_of(source)) {
    case VCPUHP_REQUEST_PLUG:
        return status == VCPUHP_OST_INSERT_IN_PROGRESS;
    case VCPUHP_REQUEST_UNPLUG:
        return status == VCPUHP_OST_EJECT_IN_PROGRESS;
    case VCPUHP_REQUEST_NONE:
        break;
    }
    return source == VCPUHP_OST_SOURCE_EJECT && status == VCPUHP_OST_EJECT_IN_PROGRESS;
}

/*
 * OSPM answers events of a kind in the order in which it took them. So this is the open request's
 * answer if OSPM has taken its event, and has answered all that it took before the request was made.
 */
static bool is_answer(Slot *slot, VcpuhpRequestKind kind)
{
    return kind != VCPUHP_REQUEST_NONE && slot->request_kind == kind && !slot->stale &&
           *taken(slot, kind);
}

static void count_answer(Slot *slot, VcpuhpRequestKind kind)
{
    if (kind == VCPUHP_REQUEST_NONE || !*taken(slot, kind))
        return;
    --*taken(slot, kind);
    if (slot->request_kind == kind && slot->stale)
        slot->stale--;
}

/* An _OST of either source that is the last of an eject closes it. */
static void close_eject(Slots *slots, uint32_t vcpu, Effects *fx)
{
    slots->table[vcpu].unclosed = false;
    release_held(slots, vcpu, fx);
}

void slots_ost(Slots *slots, uint32_t vcpu, uint32_t source, uint32_t status, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];
    VcpuhpEvent *event = add_event(slots, fx, VCPUHP_EVENT_OST, vcpu);
    VcpuhpRequestKind kind = kind_of(source);
    bool answers = is_answer(slot, kind);

    slot->ost_source = event->ost_source = source;
    slot->ost_status = event->ost_status = status;
    if (answers)
        event->request = slot->request;
    if (!is_in_progress(source, status)) {
        count_answer(slot, kind);
        if (kind == VCPUHP_REQUEST_UNPLUG || source == VCPUHP_OST_SOURCE_EJECT)
            close_eject(slots, vcpu, fx);
    }
    if (answers && kind == VCPUHP_REQUEST_PLUG)
        insert_ost(slots, vcpu, status, fx);
    else if (answers)
        remove_ost(slots, vcpu, status, fx);
}

void slots_guest_error(Slots *slots, uint32_t vcpu, const char *text, Effects *fx)
{
    VcpuhpEvent *event;

    /* The guest can repeat this without limit, and the VMM may log every event. */
    if (!is_power_of_two(++slots->errors))
        return;
    event = add_event(slots, fx, VCPUHP_EVENT_GUEST_ERROR, vcpu);
    event->count = slots->errors;
    event->text = text;
}

/* --- Power --- */

OnResult slots_on(Slots *slots, uint32_t vcpu, const Entry *entry, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (!(slot->status & SLOT_ENABLED)) {
        if (is_power_of_two(++slot->denied))
            add_event(slots, fx, VCPUHP_EVENT_DENIED, vcpu)->count = slot->denied;
        return ON_DENIED;
    }
    if (slot->power == VCPUHP_POWER_ON)
        return ON_ALREADY;
    if (slot->power == VCPUHP_POWER_ON_PENDING)
        return ON_PENDING;
    if (!slots_can_start(slots) || slots->loaded_at)
        return ON_STOPPED;
    if (entry->address % 4)
        return ON_BAD_ADDRESS;
    slot->power = VCPUHP_POWER_ON_PENDING;
    slot->entry = *entry;
    slot->observed = true;
    slots->n_running++;
    fx->start = (int)vcpu;
    return ON_GRANTED;
}

/* Between _EJ0 and CPU_OFF, a vCPU that is on still runs. One that has not begun yet does not. */
bool slots_must_run(const Slot *slot)
{
    if (slot->park)
        return false;
    return slot->power == VCPUHP_POWER_ON || slot->status & SLOT_ENABLED;
}

bool slots_enter(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];
    bool adopted = slot->adopted;

    if (slot->to_resume || (slot->power != VCPUHP_POWER_ON_PENDING && !adopted))
        return false;
    slot->adopted = false;
    if (!slots_must_run(slot)) {
        fx->off = (int)vcpu;
        fx->off_asked = adopted;
        return false;
    }
    if (adopted)
        return true;
    slot->power = VCPUHP_POWER_ON;
    add_event(slots, fx, VCPUHP_EVENT_ON, vcpu);
    /* A vCPU that runs was added, whatever _OST says. */
    if (slot->request_kind == VCPUHP_REQUEST_PLUG)
        end_request(slots, vcpu, VCPUHP_OUTCOME_DONE, fx);
    return true;
}

static void tell_stopped(Slots *slots, Effects *fx)
{
    Stops *stops = &slots->stops;

    if (!stops->n_open || stops->told || slots->n_running)
        return;
    stops->told = true;
    add_event(slots, fx, VCPUHP_EVENT_STOPPED, VCPUHP_NO_VCPU);
}

void slots_off(Slots *slots, uint32_t vcpu, Effects *fx)
{
    Slot *slot = &slots->table[vcpu];

    if (slot->power == VCPUHP_POWER_ON)
        add_event(slots, fx, VCPUHP_EVENT_OFF, vcpu);
    slot->power = VCPUHP_POWER_OFF;
    slot->park = slot->to_resume = slot->adopted = false;
    slots->n_running--;
    if (slot->leaving)
        gone(slots, vcpu, fx);
    tell_stopped(slots, fx);
}

bool slots_can_start(const Slots *slots)
{
    const Stops *stops = &slots->stops;

    return !stops->n_open && !stops->resetting && !stops->reset_failed;
}

void slots_stop(Slots *slots, Effects *fx)
{
    Stops *stops = &slots->stops;

    if (!stops->n_open || stops->told) {
        stops->n_open = MIN(stops->n_open + 1, 2);
        stops->told = false;
    }
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++)
        if (slots->table[i].power != VCPUHP_POWER_OFF)
            add_kick(slots, i, fx);
    tell_stopped(slots, fx);
}

bool slots_reset_begin(Slots *slots, GError **error)
{
    Stops *stops = &slots->stops;

    if (slots->n_running)
        return refuse(error, VCPUHP_ERROR_ORDER,
                      "vcpuhp_reset: a vCPU runs: call vcpuhp_stop() and wait for STOPPED");
    if (stops->resetting)
        return refuse(error, VCPUHP_ERROR_ORDER, "vcpuhp_reset: another reset is under way");
    stops->resetting = true;
    stops->ends_stop = stops->n_open > 0;
    return true;
}

void slots_reset_end(Slots *slots, bool done, Effects *fx)
{
    Stops *stops = &slots->stops;

    stops->resetting = false;
    stops->reset_failed = !done;
    if (!done)
        return;
    if (stops->ends_stop)
        stops->n_open--;
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        Slot *slot = &slots->table[i];

        forget_ospm(slots, i, fx);
        if (slot->request_kind != VCPUHP_REQUEST_NONE && slot->request_state != VCPUHP_REQUEST_HELD)
            raise_request(slots, i, fx);
    }
}
