/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What acts on the world for a context: the VMM's callbacks (callbacks.c), or KVM together with
 * them (src/kvm/). Functions are called without the lock, unless they say otherwise.
 */
#ifndef VCPUHP_SRC_BACKEND_H
#define VCPUHP_SRC_BACKEND_H

#include <vcpuhp/vcpuhp.h>

typedef struct Backend {
    /* Make a vCPU that is off ready to run from entry, and get a thread for it. If it fails,
     * vcpu_off follows. entry NULL: vcpuhp_load() has made it ON, and it goes on from the state
     * that it was loaded with. */
    bool (*vcpu_start)(void *data, uint32_t vcpu, const VcpuhpEntry *entry, GError **error);
    /* The vCPU's thread will not run it any more. asked: it was asked to park, whatever the guest
     * was doing; otherwise the guest turned it off, or it never entered. */
    void (*vcpu_off)(void *data, uint32_t vcpu, bool asked);
    /* Make the vCPU's thread leave the guest. The vCPU may have parked in the meantime. */
    void (*vcpu_kick)(void *data, uint32_t vcpu);
    /* Set the level of the event interrupt's line. With the lock held: it must not block. */
    bool (*irq_set_locked)(void *data, bool level, GError **error);
    /* The same, without the lock. One of the two is NULL (line.c). */
    void (*irq_set)(void *data, bool level);
    /* All vCPUs are off: give vCPUs and interrupt controller the state that they had at boot. */
    bool (*reset)(void *data, GError **error);
    /* vcpuhp_resume() is about to start vCPUs. Errors: ORDER if the backend has a state of its own,
     * and it was not loaded. */
    bool (*resume)(void *data, GError **error);
    void (*free)(void *data);
} Backend;

#endif
