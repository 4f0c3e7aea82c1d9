/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a context is made of. A guest access or a VMM's call enters through one door (context.c),
 * changes the slots under their lock, and leaves with effects that run after the lock is dropped.
 */
#ifndef VCPUHP_CONTEXT_H
#define VCPUHP_CONTEXT_H

#include "acpi/regs.h"
#include "config.h"
#include "slots.h"

/* What acts for the slots: src/kvm/, if the VMM uses it. Called without the lock unless said. */
typedef struct Hands {
    /* Make the vCPU, which is off and has no thread in KVM, ready to run from entry. */
    bool (*vcpu_on)(void *hands, uint32_t vcpu, const VcpuhpEntry *entry, GError **error);
    /* Its thread is through with it, or it was called off. Undoes vcpu_on. */
    void (*vcpu_off)(void *hands, uint32_t vcpu);
    /* Make its next, or running, KVM_RUN return. With the lock held: does no more than a store. */
    void (*vcpu_kick)(void *hands, uint32_t vcpu);
    /* Drive the event interrupt's line. With the lock held: waits for nobody. */
    bool (*irq_set)(void *hands, bool level, GError **error);
    /* All vCPUs are off: vCPUs and interrupt controller as they were at boot. */
    bool (*reset)(void *hands, GError **error);
    void (*free)(void *hands);
} Hands;

struct Vcpuhp {
    Config config;
    Slots slots; /* its lock guards regs and counters too */
    Regs regs;
    VcpuhpCounters counters;
    VcpuhpCallbacks callbacks;
    void *opaque;
    int timer_fd;
    /* The interrupt line without hands: the thread that finds nobody at it delivers for all
     * (irq_sync()). */
    gint irq_waiters;
    bool irq_level;     /* as last delivered; the deliverer's own, guarded by the lock with hands */
    const Hands *hands; /* set once, before anything runs; NULL: the callbacks do it */
    void *hands_data;
};

/* Tell the VMM that the host failed at something that has no caller to tell. */
void context_host_error(Vcpuhp *hp, uint32_t vcpu, const GError *error);

#endif
