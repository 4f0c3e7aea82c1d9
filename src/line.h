/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event interrupt's line, and how its level reaches the interrupt controller in the right order
 * while several threads change it.
 */
#ifndef VCPUHP_SRC_LINE_H
#define VCPUHP_SRC_LINE_H

#include <vcpuhp/vcpuhp.h>

#include "backend.h"
#include "slots.h"

typedef struct Line {
    bool level;     /* as line_set_locked() last set it; guarded by the lock */
    bool failed;    /* line_set_locked() could not set it; guarded by the lock */
    bool delivered; /* as line_deliver() last set it; its own */
    gint changes;   /* changes that line_deliver() has not delivered yet */
    gint unknown;   /* the interrupt controller's level may be another one: set it in any case */
} Line;

/*
 * The level may have changed. With the lock held, and for a backend that can set the line then.
 * The lock keeps the order, and a guest that takes the last event resumes with a low line.
 * If the backend fails, every later change of the context calls this again, because an interrupt
 * that is lost, or never ends, stops the guest's work on all events. Of failures in a row, only the
 * first sets error: the guest decides how often they occur.
 */
void line_set_locked(Line *line, const Slots *slots, VcpuhpCounters *counters,
                     const Backend *backend, void *data, GError **error);

/*
 * The same, without the lock, for a backend whose irq_set may take locks of the VMM's: a VMM that
 * holds such a lock may be waiting for ours.
 */
void line_deliver(Line *line, Slots *slots, VcpuhpCounters *counters, const Backend *backend,
                  void *data);

#endif
