/* SPDX-License-Identifier: BSD-3-Clause */
/* What benchmarks do to a guest that runs the agent (tests/e2e/guest.h). A failure ends the program. */
#ifndef BENCHMARKS_STEPS_H
#define BENCHMARKS_STEPS_H

#include "../tests/e2e/guest.h"

/* Seconds for what the last step has left to do, before the next one is timed. */
#define STEP_PAUSE 0.15

#define STEP_OST_EJECTED "_OST 0x3, 0x0"

/* Wait for a vCPU's event. Returns the time of its arrival, in µs. */
gint64 step_wait_vcpu(Guest *guest, guint vcpu, const char *event);
/* Wait until the guest has a CPU online. */
void step_wait_online(Guest *guest, guint vcpu);

/* Plug a vCPU and wait until it is online. Returns how long it took until it ran, in µs. */
gint64 step_plug(Guest *guest, guint vcpu);
/* Unplug a vCPU and wait until the guest has done all of it. Returns how long it took until it was
 * ejected, in µs. */
gint64 step_unplug(Guest *guest, guint vcpu);

#endif
