/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PSCI 1.3 over SMCCC, decided on the slots. Knows no KVM: the context carries out what a call
 * asks for.
 */
#ifndef VCPUHP_PSCI_PSCI_H
#define VCPUHP_PSCI_PSCI_H

#include <vcpuhp/psci.h>
#include "slots.h"

/* DEN0022F, 5.2.2 */
enum {
    PSCI_SUCCESS = 0,
    PSCI_NOT_SUPPORTED = -1,
    PSCI_INVALID_PARAMETERS = -2,
    PSCI_DENIED = -3,
    PSCI_ALREADY_ON = -4,
    PSCI_ON_PENDING = -5,
    PSCI_INTERNAL_FAILURE = -6,
    PSCI_NOT_PRESENT = -7,
    PSCI_DISABLED = -8,
    PSCI_INVALID_ADDRESS = -9,
};

/*
 * Serve a call, with the slots' lock held. *ret_start: the vCPU that a successful CPU_ON made
 * ON_PENDING and the caller is to start, or -1; if that fails the caller answers by
 * psci_set_result(call, PSCI_INTERNAL_FAILURE). PARK leaves slots_off() to the caller, for when
 * nobody uses the vCPU any more.
 */
VcpuhpPsciAction psci_call(Slots *slots, VcpuhpCounters *counters, uint32_t vcpu,
                           VcpuhpPsciCall *call, int *ret_start, Effects *fx);

/* Results are signed: 64 bits of X0, whose lower half a 32-bit caller reads (DEN0028, 2.8). */
void psci_set_result(VcpuhpPsciCall *call, int result);

#endif
