/* SPDX-License-Identifier: BSD-3-Clause */
/* What a guest does that has stalled, as the host's KVM sees it. */
#ifndef E2E_STALL_H
#define E2E_STALL_H

#include "guest.h"

/*
 * Each vCPU's program counter at its exits during half a second, and the interrupts that the vGIC
 * has pending or active. Needs the host's debugfs and tracefs, and says so if they are missing. The
 * caller frees the text.
 */
char *stall_describe(const Guest *guest);

#endif
