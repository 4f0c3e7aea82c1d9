/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of possible vCPUs: which are enabled, what the guest was notified of and answered, and
 * which run. A pure state machine: no I/O, no callbacks, no clock; it knows neither registers nor
 * hypercalls. What must happen outside as the consequence of a change is put into Effects, which
 * the context carries out after it has dropped the lock.
 *
 * Every function except slots_init() and slots_clear() is called with the lock held.
 */
#ifndef VCPUHP_SRC_SLOTS_H
#define VCPUHP_SRC_SLOTS_H

#include "config.h"

#define SLOT_WORDS (VCPUHP_MAX_VCPUS / 64)
/* A guest's access causes at most 4 events for a slot, on at most 4 slots. */
#define EFFECTS_MAX_EVENTS 16

/* The consequences of a change, in the order in which they are carried out. */
typedef struct Effects {
    bool timer;                 /* slots->wake has changed */
    bool irq;                   /* the event interrupt's level may have changed */
    bool kick;                  /* some bit of kicks is set */
    uint64_t kicks[SLOT_WORDS]; /* vCPUs that must leave the guest; undefined unless kick */
    uint32_t n_events;
    VcpuhpEvent events[EFFECTS_MAX_EVENTS];
    /* A vCPU whose thread no longer runs it. The backend's vcpu_off, then slots_off(), follow;
     * -1: none. off_asked: because it was asked to park. */
    int off;
    bool off_asked;
    /* A vCPU that is ON_PENDING and must be started; -1: none. */
    int start;
} Effects;

static inline void effects_init(Effects *fx)
{
    fx->timer = fx->irq = fx->kick = fx->off_asked = false;
    fx->n_events = 0;
    fx->off = fx->start = -1;
}

static inline bool effects_empty(const Effects *fx)
{
    return !(fx->timer | fx->irq | fx->kick | fx->n_events) && (fx->off & fx->start) == -1;
}

/* The bits of a slot that OSPM and firmware see in the register block's status byte. */
enum {
    SLOT_ENABLED = 1 << 0,
    SLOT_INSERT = 1 << 1,
    SLOT_REMOVE = 1 << 2,
    SLOT_FW_REMOVE = 1 << 4,
};

/* Where and how a vCPU begins to run. */
typedef struct Entry {
    uint64_t address, context;
    bool big_endian;
} Entry;

typedef struct Slot {
    int64_t deadline;    /* the request's, in µs of the monotonic clock; 0: none */
    int64_t retry_at;    /* when a request that was seen is raised again; 0: never */
    int64_t eject_until; /* when an eject that is not over is ended by force; 0: none */
    Entry entry;         /* of the last CPU_ON */
    uint32_t request;    /* id */
    /* Events that OSPM has taken and not answered by _OST yet, and how many of them, of the open
     * request's kind, were taken before the request was made: these are answered first. */
    uint16_t inserts_taken, removes_taken, stale;
    uint32_t ost_source, ost_status;
    uint32_t denied; /* CPU_ONs answered DENIED */
    uint8_t status;  /* SLOT_ENABLED … */
    uint8_t power;   /* VcpuhpPower */
    uint8_t request_kind, request_state;
    bool until_on;    /* a plug that only the running vCPU completes */
    bool was_enabled; /* a plug of a vCPU that was enabled before: there is nothing to undo */
    bool observed;  /* the guest may know of the raised request, which cannot be undone any more */
    bool unclosed;  /* _EJ0 came, the _OST that closes the eject did not: no insert until then */
    bool leaving;   /* disabled, but not yet off */
    bool forced;    /* leaving without the guest's consent */
    bool park;      /* its thread is asked to park */
    bool to_resume; /* loaded as ON or ON_PENDING; slots_resume_vcpu() is to come */
    bool adopted;   /* loaded as ON; its thread has not entered */
} Slot;

/* Stops, resets and the start between them (slots_stop()). */
typedef struct Stops {
    uint8_t n_open;    /* stops that no reset has ended, at most 2 */
    bool told;         /* the latest stop's STOPPED was reported */
    bool resetting;    /* between slots_reset_begin() and slots_reset_end() … */
    bool ends_stop;    /* … which ends a stop */
    bool reset_failed; /* the latest reset failed */
} Stops;

typedef struct Slots {
    GMutex lock;
    const Config *config;
    int64_t wake;        /* when slots_expire() has something to do; 0: never */
    uint64_t last_event; /* sequence number */
    uint32_t last_request;
    uint32_t n_raised;  /* insert and remove bits set: the interrupt is high unless 0 */
    uint32_t n_running; /* slots that are not POWER_OFF */
    Stops stops;
    int64_t loaded_at; /* time stands still since a load, until slots_resume(); 0: it runs */
    bool ending;       /* slots_end_requests() was called: no more requests */
    /* By slot number, one bit each; the same as in Slot.status. */
    uint64_t enabled[SLOT_WORDS], insert[SLOT_WORDS], remove[SLOT_WORDS], fw_remove[SLOT_WORDS];
    /* Includes every slot that is in use, and others. */
    uint64_t in_use[SLOT_WORDS];
    uint64_t errors; /* guest errors so far */
    Slot *table;     /* n_vcpus */
} Slots;

/* An open request, an unclosed eject, or an event that OSPM has taken and not answered: with the
 * others a new OSPM has nothing to do. */
static inline bool slot_in_use(const Slot *slot)
{
    return slot->request_kind != VCPUHP_REQUEST_NONE || slot->unclosed || slot->inserts_taken ||
           slot->removes_taken;
}

void slots_init(Slots *slots, const Config *config);
void slots_clear(Slots *slots);

/* --- The VMM's requests: vcpuhp.h --- */

bool slots_plug(Slots *slots, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms, int64_t now,
                uint32_t *ret_id, Effects *fx, GError **error);
bool slots_unplug(Slots *slots, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms, int64_t now,
                  uint32_t *ret_id, Effects *fx, GError **error);
bool slots_cancel(Slots *slots, uint32_t request, Effects *fx, GError **error);
bool slots_repeat(Slots *slots, uint32_t request, Effects *fx, GError **error);
bool slots_force(Slots *slots, uint32_t vcpu, Effects *fx, GError **error);
bool slots_query(Slots *slots, uint32_t vcpu, VcpuhpVcpuInfo *ret_info, GError **error);
/* Act on every deadline that has passed. Returns false if fx is full: call again. */
bool slots_expire(Slots *slots, int64_t now, Effects *fx);
/* End every request as CANCELLED, and refuse all that come later. Returns false if fx is full: call again. */
bool slots_end_requests(Slots *slots, Effects *fx);
/* An event that the caller reports itself, with the next sequence number. */
VcpuhpEvent slots_new_event(Slots *slots, VcpuhpEventKind kind, uint32_t vcpu);

/* --- OSPM and firmware. vcpu < n_vcpus, which the caller has checked. --- */

/* The status bits, as a guest reads them. From here on it may know of a raised request. */
uint8_t slots_read_status(Slots *slots, uint32_t vcpu);
/* The enabled bits of slots 64 * word … 64 * word + 63, as an OSPM reads them that initialises
 * itself; word < SLOT_WORDS. The previous OSPM answers no more of what it took, and what it did not
 * carry out is raised again. */
uint64_t slots_read_enabled(Slots *slots, uint32_t word, Effects *fx);
/* The first slot with an insert, remove or firmware-remove bit, from `from` on, wrapping around;
 * -1: none. from < n_vcpus. */
int slots_find_event(const Slots *slots, uint32_t from);
/* The guest has taken notice: clear the insert or the remove bit. */
void slots_take_insert(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx);
void slots_take_remove(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx);
/* Take the insert and remove bits of the next slot that has one, inserts first. Returns
 * SLOT_INSERT, SLOT_REMOVE or both; 0: none. */
uint8_t slots_take_next(Slots *slots, uint32_t *ret_vcpu, int64_t now, Effects *fx);
/* OSPM leaves the eject to the firmware. */
void slots_fw_remove(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx);
/* _EJ0. */
void slots_eject(Slots *slots, uint32_t vcpu, int64_t now, Effects *fx);
/* _OST (ACPI 6.5, 6.3.5). */
void slots_ost(Slots *slots, uint32_t vcpu, uint32_t source, uint32_t status, Effects *fx);
/* The guest did something that no correct OS does; text is static. vcpu: any number. */
void slots_guest_error(Slots *slots, uint32_t vcpu, const char *text, Effects *fx);

/* --- Power --- */

typedef enum {
    ON_GRANTED, /* ON_PENDING; fx->start is set. slots_off() if it cannot be started */
    ON_DENIED,
    ON_ALREADY,
    ON_PENDING,
    ON_BAD_ADDRESS,
    ON_STOPPED, /* the machine is stopped or being reset, or was loaded and not resumed */
} OnResult;

/* CPU_ON: policy is checked before state, and state before the entry address (DEN0022F, 5.6). */
OnResult slots_on(Slots *slots, uint32_t vcpu, const Entry *entry, Effects *fx);
/* Its thread is about to run it. Returns false if it must not. */
bool slots_enter(Slots *slots, uint32_t vcpu, Effects *fx);
/* Its thread no longer runs it, and the backend's vcpu_off was called. It is ON_PENDING or ON. */
void slots_off(Slots *slots, uint32_t vcpu, Effects *fx);

/* Whether the machine may be started: no stop is left that a reset has not ended. */
bool slots_can_start(const Slots *slots);
/*
 * Each stop is reported by STOPPED once, and ended by one reset that began after STOPPED. A stop
 * that comes after STOPPED is another one. So one that comes in the middle of a reboot outlives the
 * reset, and keeps the machine from being started.
 */
void slots_stop(Slots *slots, Effects *fx);
bool slots_reset_begin(Slots *slots, GError **error);
/* done: the backend has succeeded, and what the guest had seen but not carried out is raised again.
 */
void slots_reset_end(Slots *slots, bool done, Effects *fx);

/* Whether nothing of an eject is to come that an insert has to wait for. */
bool slots_eject_is_over(const Slot *slot);
/* Whether a vCPU that is not off was not called off. */
bool slots_must_run(const Slot *slot);

/* --- State: slots_state.c --- */

#define SLOTS_SECTION_MACHINE "MACH"
#define SLOTS_SECTION_VCPUS   "VCPU"

/* Errors: ORDER if the machine is stopped or being reset. */
bool slots_save(const Slots *slots, BlobWriter *writer, int64_t now, GError **error);
/* Whether nothing has run, and nothing was asked for or loaded. */
bool slots_is_fresh(const Slots *slots);
/* Replace everything, if all of it is right, of slots that are fresh. Errors: STATE. */
bool slots_load(Slots *slots, BlobSection *machine, BlobSection *vcpus, int64_t now,
                GError **error);
/* Let time run. slots_resume_vcpu() for every vCPU follows. Errors: ORDER. */
bool slots_resume(Slots *slots, int64_t now, Effects *fx, GError **error);
/* Start a vCPU that was loaded as ON or ON_PENDING, or turn it off if it was called off. */
void slots_resume_vcpu(Slots *slots, uint32_t vcpu, Effects *fx);

#endif
