/* SPDX-License-Identifier: BSD-3-Clause */
/* What the end-to-end tests have in common: a guest as cmocka's state, and assertions on it. */
#ifndef E2E_CHECK_H
#define E2E_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "guest.h"

/* A shell command's output in the guest is this. */
void assert_output(Guest *guest, const char *output, const char *command);
/* At first Linux had all possible vCPUs present from the start, and tried to bring each up.
 * From 7.2 on, or what has taken the change over, they become present when they are enabled.
 * Doesn't tell while all are enabled. */
bool has_all_present(Guest *guest, const char *possible);
/* The CPU masks in the guest; enabled and online are waited for. */
void assert_masks(Guest *guest, const char *possible, const char *enabled, const char *online);
/* A monitor command is refused, and says so with all of these words, up to NULL. */
void assert_refused(Guest *guest, const char *command, ...) G_GNUC_NULL_TERMINATED;
/* The guest's kernel has said nothing that worries. */
void assert_quiet_dmesg(Guest *guest);
/* The vCPU runs a task that is pinned to it, and its timer interrupts count. */
void assert_works(Guest *guest, unsigned vcpu);
/* Bring a vCPU in, and online; out. By monitor and agent. */
void plug(Guest *guest, unsigned vcpu);
void unplug(Guest *guest, unsigned vcpu);
/* Make a request by a monitor command; returns its id. */
unsigned request(Guest *guest, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Wait until the request has ended: once, and as an event's text has it ("done", "refused: …"), or,
 * with NULL, in any way. */
void assert_outcome(Guest *guest, unsigned id, const char *outcome);
/* What `info` says of the vCPU has all of these words in it, up to NULL. */
void assert_info(Guest *guest, unsigned vcpu, ...) G_GNUC_NULL_TERMINATED;
/* minivmm with these options ends with status 2, and says all of these words. */
void assert_bad_options(const char *options, ...) G_GNUC_NULL_TERMINATED;

/* Kill the guest, if there is one. For a test's tear-down. */
int drop_guest(void **state);
/* Power the guest off: minivmm ends with status 0. For a group's tear-down. */
int power_off(void **state);

#endif
