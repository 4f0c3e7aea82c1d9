/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of a context. A guest's access or a VMM's call enters once (context.c), changes the
 * slots under their lock, and leaves with effects, which are carried out after the lock is dropped.
 */
#ifndef VCPUHP_SRC_CONTEXT_H
#define VCPUHP_SRC_CONTEXT_H

#include "acpi/regs.h"
#include "backend.h"
#include "config.h"
#include "line.h"
#include "slots.h"

struct Vcpuhp {
    Config config;
    Slots slots; /* its lock guards regs, counters and backend, too */
    Regs regs;
    VcpuhpCounters counters;
    VcpuhpCallbacks callbacks;
    void *opaque;
    int timer_fd;
    Line line;
    const Backend *backend;
    void *backend_data;
};

/* The VMM's callbacks as the backend, whose data is the Vcpuhp. */
const Backend *callbacks_backend(const VcpuhpCallbacks *callbacks);

/* Call vcpu_start. Errors: NO_THREAD. */
bool callbacks_start(Vcpuhp *hp, uint32_t vcpu, const VcpuhpEntry *entry, GError **error);
/* Call vcpu_kick. */
void callbacks_kick(Vcpuhp *hp, uint32_t vcpu);

/* Report an error of the host that no function can return. Without the lock. */
void context_host_error(Vcpuhp *hp, uint32_t vcpu, const GError *error);

/* Replace the backend, before anything runs; with data NULL, only check whether that is possible.
 * Errors: ORDER if a vCPU runs or this backend is already there; what names the call. Without the
 * lock. */
bool context_set_backend(Vcpuhp *hp, const Backend *backend, void *data, const char *what,
                         GError **error);

#endif
