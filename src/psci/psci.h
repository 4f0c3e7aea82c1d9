/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PSCI 1.3 over SMCCC, decided by the slots. It does not know KVM: the context carries out the
 * effects of a call.
 */
#ifndef VCPUHP_SRC_PSCI_PSCI_H
#define VCPUHP_SRC_PSCI_PSCI_H

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
 * Serve a call of a vCPU that is on, with the lock held. If fx->start cannot be started, the caller
 * replaces the result by PSCI_INTERNAL_FAILURE.
 */
VcpuhpPsciAction psci_call(Slots *slots, VcpuhpCounters *counters, uint32_t vcpu, uint64_t x[4],
                           bool big_endian, Effects *fx);

/* A result in X0: signed, sign-extended to 64 bits. A 32-bit caller reads the lower half (DEN0028,
 * 2.8). */
uint64_t psci_result(int result);

#endif
