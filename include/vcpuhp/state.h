/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file state.h
 * Save and load the state of the library: snapshot, restore and migration. docs/state-format.md
 * specifies the bytes, docs/migration.md the order of the whole with RAM and KVM's own state.
 *
 * ## Saving
 * 1. Every vCPU's thread has left KVM_RUN, and what it left for has been served. Until the end no
 *    thread enters KVM_RUN or calls the library otherwise.
 * 2. vcpuhp_kvm_save(), which writes tables of the vGIC and the ITS into the guest's memory.
 * 3. vcpuhp_save().
 * 4. Copy the guest's memory, or what the last pass has left of it.
 *
 * Saving changes nothing. If the move fails, the VMM lets the threads go on.
 *
 * ## Loading
 * 1. vcpuhp_new() with the same config, and vcpuhp_kvm_setup().
 * 2. vcpuhp_kvm_load_host(), which says whether this host can run the guest.
 * 3. vcpuhp_load().
 * 4. Load the guest's memory, then vcpuhp_kvm_load().
 * 5. vcpuhp_resume(), in place of vcpuhp_start().
 */
#ifndef VCPUHP_STATE_H
#define VCPUHP_STATE_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

/** Save policy, power, requests, events and registers of the block. Times are saved as what remains
 * of them until vcpuhp_resume(). The state fits a context whose config describes the same hardware to
 * the guest (docs/state-format.md).
 * Errors: ORDER if the machine is stopped or being reset.
 * @return the state, which the caller frees by g_bytes_unref(). */
VCPUHP_API GBytes *vcpuhp_save(Vcpuhp *hp, GError **error);

/** Load what vcpuhp_save() returned, of this release or an older one, into a context in which
 * nothing has run. Calls no callback. Does not trust the state: whatever its bytes are, it is loaded
 * completely, or refused and nothing has changed.
 * Until vcpuhp_resume(), no time passes and vcpuhp_start() fails.
 * Errors: STATE if it is damaged, of a newer format, or of another machine: the message names the
 * field; ORDER if a vCPU has run, a request was made or a state was loaded before. */
VCPUHP_API bool vcpuhp_load(Vcpuhp *hp, GBytes *state, GError **error);

/** Let a machine go on that was loaded: set the event interrupt's line, arm the timer, and ask for a
 * thread, by vcpu_start, for each vCPU that is not off. A vCPU that is ON goes on where it was: entry
 * is NULL, and vcpuhp_vcpu_enter() or vcpuhp_kvm_enter() follows without the event ON. One that is
 * ON_PENDING begins at its entry. One that was asked to park needs no thread: it is turned off, and
 * the events of that are reported.
 * Errors: ORDER without a successful vcpuhp_load(), with KVM without vcpuhp_kvm_load(), if it was
 * called before, or if neither vcpuhp_kvm_setup() nor irq_set is there; NO_THREAD or KVM if a vCPU
 * cannot be started, after which the machine is stopped as by vcpuhp_stop(). */
VCPUHP_API bool vcpuhp_resume(Vcpuhp *hp, GError **error);

G_END_DECLS

#endif
