/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The firmware's face: PSCI 1.3 (DEN0022F) as SMCCC (DEN0028) carries it, decided by the policy
 * of which vCPUs are enabled. A VMM that uses kvm.h needs nothing of this: vcpuhp_kvm_exit()
 * calls it. docs/psci.md has the answer to every function in every state.
 */
#ifndef VCPUHP_PSCI_H
#define VCPUHP_PSCI_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

/* What the VMM does with the calling vCPU after a call. */
typedef enum {
    VCPUHP_PSCI_RETURN,       /* resume it: call->x[0] is the answer */
    VCPUHP_PSCI_PARK,         /* CPU_OFF: it is off already; don't run it before vcpu_start */
    VCPUHP_PSCI_SUSPEND,      /* CPU_SUSPEND: resume it when it has an interrupt; x[0] is set */
    VCPUHP_PSCI_SYSTEM_OFF,   /* the machine: never resume; vcpuhp_stop() … */
    VCPUHP_PSCI_SYSTEM_RESET, /* … and vcpuhp_reset(), vcpuhp_start() */
    VCPUHP_PSCI_NOT_PSCI,     /* not a PSCI function id: not handled, x[] is untouched */
} VcpuhpPsciAction;

typedef struct VcpuhpPsciCall {
    uint64_t x[4];   /* in: X0 (the function id) … X3; out: x[0] */
    bool big_endian; /* the caller's SCTLR_EL1.EE, which a vCPU that it turns on inherits */
} VcpuhpPsciCall;

/*
 * Serve a call of a vCPU, in its thread. CPU_ON calls the vcpu_start callback. Calls that are none
 * of PSCI's return NOT_PSCI; unknown ids in PSCI's ranges are answered NOT_SUPPORTED.
 * vcpu: a running vCPU's slot.
 */
VCPUHP_API VcpuhpPsciAction vcpuhp_psci_call(Vcpuhp *hp, uint32_t vcpu, VcpuhpPsciCall *call);

/*
 * The vCPU's thread is about to run it, after vcpu_start. False: it was called off in the
 * meantime (stop, force, _EJ0), and counts as parked already.
 */
VCPUHP_API bool vcpuhp_vcpu_enter(Vcpuhp *hp, uint32_t vcpu);

/*
 * For a thread that was kicked: whether its vCPU is to park. When true it has parked by this
 * call: the thread must not run it again before vcpu_start.
 */
VCPUHP_API bool vcpuhp_vcpu_park(Vcpuhp *hp, uint32_t vcpu);

G_END_DECLS

#endif
