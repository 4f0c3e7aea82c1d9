/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of possible vCPUs: who is enabled, what the guest was told and answered, who runs.
 * A pure state machine: no I/O, no callbacks, no clock of its own; it knows neither registers nor
 * hypercalls. What is to happen outside as the result of a change is put into Effects, which the
 * context carries out when it has dropped the lock.
 *
 * Every function but slots_init() and slots_clear() is called with the lock held.
 */
#ifndef VCPUHP_SLOTS_H
#define VCPUHP_SLOTS_H

#include "config.h"

#define SLOT_WORDS (VCPUHP_MAX_VCPUS / 64)
/* A guest access causes at most 4 events a slot, on at most 4 slots. */
#define EFFECTS_MAX_EVENTS 16

/* What is to be done when the lock is dropped, in this order. */
typedef struct Effects {
    bool irq;                   /* the event interrupt's level may have changed */
    bool timer;                 /* slots->wake has changed */
    bool kick;                  /* some bit of kicks is set */
    uint64_t kicks[SLOT_WORDS]; /* vCPUs to get out of the guest; undefined unless kick */
    uint32_t n_events;
    VcpuhpEvent events[EFFECTS_MAX_EVENTS];
} Effects;

static inline void effects_init(Effects *fx)
{
    fx->irq = fx->timer = fx->kick = false;
    fx->n_events = 0;
}

/* The bits of a slot that OSPM and firmware see in the register block's status byte. */
enum {
    SLOT_ENABLED = 1 << 0,
    SLOT_INSERT = 1 << 1,
    SLOT_REMOVE = 1 << 2,
    SLOT_FW_REMOVE = 1 << 4,
};

typedef struct Slot {
    int64_t deadline;    /* the request's, in µs of the monotonic clock; 0: none */
    int64_t retry_at;    /* when a request that was seen is raised again; 0: never */
    int64_t eject_until; /* when an eject that isn't over is ended by force; 0: none */
    VcpuhpEntry entry;   /* of the last CPU_ON */
    uint32_t request;    /* id */
    uint32_t ost_source, ost_status;
    uint32_t denied; /* CPU_ONs answered DENIED */
    uint8_t status;  /* SLOT_ENABLED … */
    uint8_t power;   /* VcpuhpPower */
    uint8_t request_kind, request_state;
    bool observed;    /* the guest may know of the raised request: it can't be taken back */
    bool in_progress; /* the guest said that it works on the request */
    bool unclosed;    /* _EJ0 came, the _OST that closes the eject did not: no insert till then */
    bool leaving;     /* disabled, but not yet off */
    bool forced;      /* leaving without the guest's consent */
    bool park;        /* its thread is asked to park */
} Slot;

typedef struct Slots {
    GMutex lock;
    const Config *config;
    int64_t wake; /* when slots_expire() has something to do; 0: never */
    uint32_t last_request;
    uint32_t n_raised;  /* insert and remove bits set: the interrupt is high while not 0 */
    uint32_t n_running; /* slots that aren't POWER_OFF */
    bool stopping;      /* the machine is going down: nobody is turned on */
    /* By slot number, one bit each; the same as in Slot.status. */
    uint64_t enabled[SLOT_WORDS], insert[SLOT_WORDS], remove[SLOT_WORDS], fw_remove[SLOT_WORDS];
    uint64_t errors; /* guest errors so far */
    Slot *table;     /* n_vcpus */
} Slots;

void slots_init(Slots *slots, const Config *config);
void slots_clear(Slots *slots);

/* --- The VMM's requests: vcpuhp.h --- */
bool slots_plug(Slots *slots, uint32_t vcpu, uint32_t timeout_ms, int64_t now, uint32_t *ret_id,
                Effects *fx, GError **error);
bool slots_unplug(Slots *slots, uint32_t vcpu, uint32_t timeout_ms, int64_t now, uint32_t *ret_id,
                  Effects *fx, GError **error);
bool slots_cancel(Slots *slots, uint32_t request, Effects *fx, GError **error);
bool slots_repeat(Slots *slots, uint32_t request, Effects *fx, GError **error);
bool slots_force(Slots *slots, uint32_t vcpu, Effects *fx, GError **error);
bool slots_query(Slots *slots, uint32_t vcpu, VcpuhpVcpuInfo *ret_info, GError **error);
/* Act on what is due. Returns false when fx is full before it was through: call again. */
bool slots_expire(Slots *slots, int64_t now, Effects *fx);

/* --- OSPM and firmware. vcpu < n_vcpus, which the caller has checked. --- */

/* The status bits, as a guest reads them: from here on it may know of a raised request. */
uint8_t slots_read_status(Slots *slots, uint32_t vcpu);
/* The same for the enabled bits of slots 64 * word … 64 * word + 63; word < SLOT_WORDS. */
uint64_t slots_read_enabled(Slots *slots, uint32_t word);
/* The first slot at or after from, and around, with an insert, remove or firmware-remove bit;
 * -1: none. from < n_vcpus. */
int slots_find_event(const Slots *slots, uint32_t from);
/* The guest has taken notice: clear the insert or the remove bit. */
void slots_take_insert(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx);
void slots_take_remove(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx);
/* The next slot whose insert or remove bit is to be handed out, inserts first; both bits are then
 * taken. Returns SLOT_INSERT, SLOT_REMOVE or both, 0: none. */
uint8_t slots_take_next(Slots *slots, uint32_t *ret_vcpu, int64_t now, Effects *fx);
/* OSPM hands the eject to the firmware. */
void slots_fw_remove(Slots *slots, uint32_t vcpu, Effects *fx);
/* _EJ0. */
void slots_eject(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx);
/* _OST, ACPI 6.5, 6.3.5. */
void slots_ost(Slots *slots, uint32_t vcpu, uint32_t source, uint32_t status, Effects *fx);
/* The guest did something that no sound one does; text is static. vcpu may be out of range. */
void slots_guest_error(Slots *slots, uint32_t vcpu, const char *text, Effects *fx);

/* --- Power --- */

typedef enum {
    ON_GRANTED,
    ON_DENIED,
    ON_ALREADY,
    ON_PENDING,
    ON_STOPPING
} OnResult;

/* CPU_ON, decided: policy before state. When granted the vCPU is ON_PENDING, and the caller
 * starts it; if that fails, slots_off() takes it back. */
OnResult slots_on(Slots *slots, uint32_t vcpu, const VcpuhpEntry *entry, Effects *fx);
/* Its thread is about to run it. False: it was called off; slots_off() is to follow. */
bool slots_enter(Slots *slots, uint32_t vcpu, Effects *fx);
/* It turned itself off, parked as asked, or was called off: nobody runs it any more. */
void slots_off(Slots *slots, uint32_t vcpu, Effects *fx);

void slots_stop(Slots *slots, Effects *fx);
/* After all are off: what the guest had seen but not carried out is raised again. */
void slots_reset(Slots *slots, Effects *fx);

#endif
