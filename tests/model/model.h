/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An exhaustive exploration of the protocol: slots.c, regs.c, psci.c and config.c as they are
 * compiled are the transition function. README.md tells what is explored and which rules are checked.
 */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

#include "acpi/regs.h"
#include "psci/psci.h"
#include "slots.h"

#define MAX_VCPUS 3 /* vCPU 0 is fixed, the others are hotpluggable and disabled at first */
#define MAX_QUEUE 5

/* Time stands still, and a timer is armed or not. A request's timeout and the retry come before a
 * timer that was armed in an earlier step, the end of an eject comes after it. */
#define NOW        1000000
#define FUTURE     (NOW + 10000000)
#define TIMEOUT_MS 1000
#define RETRY_MS   2000
#define EJECT_MS   20000

/* A vCPU's thread, as the VMM sees it. */
enum {
    THREAD_NONE,
    THREAD_STARTING, /* vcpu_start was called, it has not entered */
    THREAD_RUNNING,
    THREAD_PARKING, /* it runs the vCPU no more, the slot is not off yet */
};

typedef struct VcpuState {
    /* The slot */
    uint64_t status : 5, power : 2, kind : 2, request_state : 2, until_on : 1, observed : 1;
    uint64_t keeps_enabled : 1;
    uint64_t unclosed : 1, leaving : 1, forced : 1, park : 1;
    uint64_t deadline : 1, retry : 1, eject : 1; /* armed */
    uint64_t inserts_taken : 2, removes_taken : 2, stale : 2;
    /* The VMM's thread */
    uint64_t thread : 2, kicked : 1;
    /* What rules need to know of the past */
    uint64_t shown : 1;       /* the guest may know of the open request */
    uint64_t answered : 1;    /* the guest works on it, or has done what it can */
    uint64_t was_enabled : 1; /* when the open request was made */
    uint64_t overdue : 1;     /* forced, or past its eject timeout, while it runs */
    /* Linux */
    uint64_t registered : 1; /* it has the CPU */
    uint64_t stab : 1;       /* our AML's copy of enabled */
    uint64_t dying : 1;      /* a CPU_OFF is under way for which Linux has ceased to wait */
} VcpuState;

/* What Linux's ordered workqueue has to do. */
typedef struct Work {
    uint8_t vcpu : 2;
    uint8_t kind : 2;
    uint8_t own : 1; /* the event belongs to the request that is open now */
} Work;

enum {
    WORK_DEVICE_CHECK,
    WORK_EJECT_REQUEST,
    WORK_ROOT_EJECT,
};

/* All there is, in a form that is equal exactly when two situations are. */
typedef struct State {
    VcpuState vcpus[MAX_VCPUS];
    /* Slots */
    uint32_t wake : 1, n_open : 2, told : 1, resetting : 1, ends_stop : 1, reset_failed : 1;
    /* The VMM: a stop whose STOPPED is to come, and stops that no reset has ended */
    uint32_t owed : 1, due : 2, ends_due : 1;
    /* Regs */
    uint32_t selector : 2, command : 2, ost_source : 2;
    /* Linux */
    uint32_t booted : 1; /* its interpreter has initialised the namespace */
    uint32_t n_queue : 3, stage : 2;
    /* From then on some rules for Linux do not hold: an eject outlived its timeout; a force */
    uint32_t late : 1, forced : 1;
    Work queue[MAX_QUEUE];
} State;

typedef struct Model Model;

typedef struct Action {
    /* Returns false if it is not possible now; then nothing has changed. */
    bool (*act)(Model *m, uint32_t arg);
    uint32_t arg;
    bool guest;       /* guest, threads and timers: what happens without the VMM's requests */
    const char *name; /* for traces */
} Action;

/* How a guest's AML talks to the registers. */
typedef struct Aml {
    bool copies_status; /* _STA is read from a copy */
    void (*init)(Model *m);
    void (*scan)(Model *m);
    bool (*sta)(Model *m, uint32_t vcpu);
    void (*ej0)(Model *m, uint32_t vcpu);
    void (*ost)(Model *m, uint32_t vcpu, uint32_t source, uint32_t status);
} Aml;

/* What is explored. */
typedef struct Setup {
    const char *name;
    uint32_t n_vcpus;
    uint32_t retry_ms;
    uint32_t max_taken; /* events that OSPM has taken and not answered, of a kind and vCPU */
    uint32_t max_queue;
    uint32_t features;
    const Aml *aml; /* NULL: a hostile guest */
} Setup;

enum {
    TIMEOUTS = 1 << 0, /* requests with a timeout */
    FORCE = 1 << 1,
    STOPS = 1 << 2,
    KEXEC = 1 << 3,
    ROOT = 1 << 4,  /* ejects on the guest's own account */
    RAW = 1 << 5,   /* hostile: every access of the 12 bytes alone, not only as a sequence */
    STUCK = 1 << 6, /* each open request can still end */
};

/* What is being called, for the rules. */
typedef enum {
    CALL_PLUG,
    CALL_UNPLUG,
    CALL_CANCEL,
    CALL_REPEAT,
    CALL_FORCE,
    CALL_EXPIRE,
    CALL_STOP,
    CALL_RESET,
    CALL_ENTER,
    CALL_OFF,
    CALL_ON,
    CALL_EVENT,  /* EVENT is read */
    CALL_STATUS, /* the status of a vCPU is read */
    CALL_ENABLED,
    CALL_EJECT,
    CALL_OST,
    CALL_FW_REMOVE,
    CALL_OTHER,
} CallKind;

typedef struct Call {
    CallKind kind;
    uint32_t vcpu;
    uint32_t flags;
    bool ok;
    uint32_t id;
    OnResult on;
    bool stale_answer; /* Linux answers an event of an earlier request, or none */
    Slots before;
    Slot table[MAX_VCPUS];
} Call;

struct Model {
    const Setup *setup;
    GArray *actions;
    Config config;
    Slots slots;
    Regs regs;
    VcpuhpCounters counters;
    State s;
    Call call;
    Effects fx;
    char broken[160]; /* the first rule that did not hold */
};

void model_init(Model *m, const Setup *setup);
void model_clear(Model *m);
void model_add(Model *m, const Action *action);
/* Slots and registers from m->s, and m->s from them. */
void model_unpack(Model *m);
void model_pack(Model *m);
/* Around each call of the code under test. */
void model_begin(Model *m, CallKind kind, uint32_t vcpu);
void model_end(Model *m);

void rules_check(Model *m);
/* For rules that concern more than a call. */
void rules_fail(Model *m, const char *rule, uint32_t vcpu);
void rules_linux(Model *m);

void vmm_add_actions(Model *m);
void hostile_add_actions(Model *m);
void linux_add_actions(Model *m);
extern const Aml own_aml, block_aml;

/* Save m and load it into `to`. */
void move_check(Model *m, Model *to);

/* Guest accesses, each one call. */
uint64_t guest_read(Model *m, CallKind kind, uint32_t vcpu, uint64_t offset, uint32_t len);
void guest_write(Model *m, CallKind kind, uint32_t vcpu, uint64_t offset, uint64_t value,
                 uint32_t len);
VcpuhpPsciAction guest_psci(Model *m, uint32_t caller, uint64_t x0, uint64_t x1, uint64_t x2);
bool guest_cpu_on(Model *m, uint32_t caller, uint32_t target, uint64_t address);
bool guest_cpu_off(Model *m, uint32_t vcpu);
/* The sequences that clients of the 12 bytes make. */
void block_control(Model *m, CallKind kind, uint32_t vcpu, uint8_t value);
uint8_t block_status(Model *m, uint32_t vcpu);
void block_ost(Model *m, uint32_t vcpu, uint32_t source, uint32_t status);

/* Print the calls of slots.h from now on as C for test_slots.c. */
void trace_on(bool on);

#endif
