/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of docs/requests.md once more, told plainly and independently of slots.c. */
#ifndef TEST_REFERENCE_H
#define TEST_REFERENCE_H

#include <vcpuhp/vcpuhp.h>

#define N_VCPUS  4 /* 0 is fixed, 1 is enabled at first */
#define RETRY_US 3000
#define EJECT_US 7000

typedef struct RefVcpu {
    bool enabled, insert, remove, fw_remove;
    VcpuhpPower power;
    VcpuhpRequestKind kind;
    VcpuhpRequestState state;
    uint32_t id;
    bool until_on;
    bool was_enabled;                 /* before the plug: then it cannot be undone */
    bool known;                       /* to the guest */
    bool unclosed;                    /* an eject waits for its _OST */
    bool leaving;                     /* disabled, still running */
    bool called_off;                  /* its start was, by a stop or a force */
    unsigned inserts, removes, older; /* taken and not answered; those of earlier requests */
    int64_t timeout, retry, eject_end;
} RefVcpu;

typedef struct RefEnded {
    uint32_t id;
    VcpuhpOutcome outcome;
} RefEnded;

typedef struct Ref {
    RefVcpu vcpus[N_VCPUS];
    uint32_t last_id;
    int64_t now;
    int stops;
    bool told; /* of the last stop */
    RefEnded ended[64];
    unsigned n_ended;
} Ref;

void ref_init(Ref *ref);
bool ref_plug(Ref *ref, uint32_t vcpu, bool until_on, uint32_t timeout_ms);
bool ref_unplug(Ref *ref, uint32_t vcpu, uint32_t timeout_ms);
bool ref_cancel(Ref *ref, uint32_t id);
bool ref_repeat(Ref *ref, uint32_t id);
bool ref_force(Ref *ref, uint32_t vcpu);
void ref_time(Ref *ref);
void ref_read_status(Ref *ref, uint32_t vcpu);
void ref_read_enabled(Ref *ref);
void ref_take(Ref *ref, uint32_t vcpu, bool insert, bool remove);
void ref_take_four(Ref *ref);
void ref_fw_remove(Ref *ref, uint32_t vcpu);
void ref_eject(Ref *ref, uint32_t vcpu);
void ref_ost(Ref *ref, uint32_t vcpu, uint32_t source, uint32_t status);
bool ref_on(Ref *ref, uint32_t vcpu);
bool ref_enter(Ref *ref, uint32_t vcpu);
void ref_off(Ref *ref, uint32_t vcpu);
void ref_stop(Ref *ref);
bool ref_reset(Ref *ref);

#endif
