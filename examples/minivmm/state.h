/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of the whole machine, and the ways that it takes: to a file and back, to another
 * process. docs/migration.md explains the order of the steps.
 */
#ifndef MINIVMM_STATE_H
#define MINIVMM_STATE_H

#include "machine.h"
#include "stream.h"

/* --- state.c --- */

/* What a target must be able to offer. The machine must be paused. NULL: an error. */
GBytes *state_take_host(Machine *m, GError **error);
bool state_send_host(Machine *m, Stream *stream, GBytes *host, GError **error);
/* Receive it, and prepare the VM for it. Before anything has run. */
bool state_receive_host(Machine *m, Stream *stream, GError **error);

/* All but RAM. */
typedef struct State {
    GBytes *library, *kvm, *uart;
} State;

/* The machine must be paused. Writes RAM, so RAM is sent afterwards. */
bool state_take(Machine *m, State *ret_state, GError **error);
void state_clear(State *state);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(State, state_clear)

/* After RAM. */
bool state_send(Stream *stream, const State *state, GError **error);
/* Receive RAM and state, and load both. After state_receive_host(); vcpuhp_resume() follows. */
bool state_receive(Machine *m, Stream *stream, GError **error);

/* --- file.c --- */

/* Save the machine. It is paused meanwhile. In the main thread. */
bool file_save(Machine *m, const char *path, GError **error);
/* Load it, and let it go on. */
bool file_restore(Machine *m, const char *path, GError **error);

/* --- migrate.c, the source --- */

typedef struct MigrateLimits {
    uint32_t down_ms; /* how long the last round may take */
    uint32_t rounds;  /* in which this must be reached */
} MigrateLimits;

/* Begin to move the machine to a minivmm that listens on this socket. Lines to the monitor tell of
 * the progress and of the end. After success this process ends; otherwise the guest goes on here. */
bool migration_start(Machine *m, const char *path, const MigrateLimits *limits, GError **error);
/* Give up a migration that is under way. NULL is allowed. */
void migration_free(Migration *migration);

/* --- incoming.c, the target --- */

/* Wait for a machine on this socket, and let it go on here. */
bool incoming_run(Machine *m, const char *path, GError **error);

#endif
