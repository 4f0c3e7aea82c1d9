/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file psci.h
 * PSCI 1.3 (DEN0022F) as SMCCC (DEN0028) carries it, decided by the policy of which vCPUs are
 * enabled. docs/psci.md has the answer to every function in every state. A VMM that uses
 * vcpuhp_kvm_handle_exit() needs none of this.
 */
#ifndef VCPUHP_PSCI_H
#define VCPUHP_PSCI_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

/** What the VMM does with the calling vCPU after a call. */
typedef enum {
    /** Resume it; x[0] is the result. */
    VCPUHP_PSCI_RETURN,
    /** Park it: CPU_OFF. It is already off, and must not run before the next vcpu_start. */
    VCPUHP_PSCI_PARK,
    /** Resume it when it has a pending interrupt: CPU_SUSPEND. x[0] is the result. */
    VCPUHP_PSCI_SUSPEND,
    /** Never resume it, and power the machine off by vcpuhp_stop(). */
    VCPUHP_PSCI_SYSTEM_OFF,
    /** Never resume it, and reboot: vcpuhp_stop(), then vcpuhp_reset() and vcpuhp_start(). */
    VCPUHP_PSCI_SYSTEM_RESET,
    /** Handle the call: it is not PSCI's, and x[] is unchanged. */
    VCPUHP_PSCI_NOT_PSCI,
} VcpuhpPsciAction;

/** Serve an SMCCC call of a vCPU, in its thread. CPU_ON calls the vcpu_start callback. An unknown
 * function id in PSCI's ranges is answered NOT_SUPPORTED.
 * @param hp the context
 * @param vcpu the calling vCPU
 * @param x in: X0 (the function id) … X3; out: x[0]
 * @param big_endian the caller's SCTLR_EL1.EE, which a vCPU that it turns on inherits
 * @return what to do; PARK, without any effect, if there is no such vCPU or it is not on */
VCPUHP_API VcpuhpPsciAction vcpuhp_psci_call(Vcpuhp *hp, uint32_t vcpu, uint64_t x[4],
                                             bool big_endian);

G_END_DECLS

#endif
