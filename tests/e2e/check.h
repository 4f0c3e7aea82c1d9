/* SPDX-License-Identifier: BSD-3-Clause */
/* Common to the end-to-end tests: a guest as cmocka's state, and assertions about it. */
#ifndef E2E_CHECK_H
#define E2E_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "guest.h"

/* Whether the guests run on vCPUs of minivmm's own (GUEST_OPTIONS). */
bool has_own_vcpus(void);
/* A shell command in the guest has this output. */
void assert_output(Guest *guest, const char *output, const char *command);
/* Whether all possible vCPUs are present in the guest from its start, as in Linux before 7.2, which
 * tries to bring each of them up. In later kernels a vCPU becomes present when it is enabled. The
 * answer means nothing while all vCPUs are enabled. */
bool has_all_present(Guest *guest, const char *possible);
/* The guest has these CPU masks; waits for enabled and online. */
void assert_masks(Guest *guest, const char *possible, const char *enabled, const char *online);
/* A monitor command is refused with a message that contains all of these words, up to NULL. */
void assert_refused(Guest *guest, const char *command, ...) G_GNUC_NULL_TERMINATED;
/* The guest's kernel has logged no warning and no error. */
void assert_quiet_dmesg(Guest *guest);
/* Since this boot, the guest has found n redistributors with LPIs disabled, given each a table of
 * pending LPIs, and had nothing else to say about LPIs. */
void assert_fresh_lpis(Guest *guest, unsigned n);
/* The vCPU runs a task that is pinned to it, and its timer interrupts count. */
void assert_works(Guest *guest, unsigned vcpu);
/* Plug a vCPU, which the agent brings online, and wait until it runs. */
void plug(Guest *guest, unsigned vcpu);
/* Unplug a vCPU and wait until it is ejected. */
void unplug(Guest *guest, unsigned vcpu);
/* Make a request by a monitor command. Returns its id. */
unsigned request(Guest *guest, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Wait until the request has ended. It has ended once, and as the event's text says ("done",
 * "refused: …"); with NULL, in any way. */
void assert_outcome(Guest *guest, unsigned id, const char *outcome);
/* A vCPU's row in the table that `info` prints, with single spaces. The caller frees it. */
char *info_row(Guest *guest, unsigned vcpu);
/* The vCPU's line in the answer of `info` contains all of these words, up to NULL. */
void assert_info(Guest *guest, unsigned vcpu, ...) G_GNUC_NULL_TERMINATED;
/* The vCPU is disabled and off, and no eject of it is open. Waits for the guest's `_OST`, which comes
 * after the unplug's outcome. */
void assert_unplugged(Guest *guest, unsigned vcpu);
/* minivmm with these options ends with status 2 and a message that contains all of these words. */
void assert_bad_options(const char *options, ...) G_GNUC_NULL_TERMINATED;

/* A number that a shell command without single quotes prints in minivmm's directory of the host's
 * /proc. */
unsigned host_number(Guest *guest, const char *command);
/* A copy of the guest's initramfs with /inside and, for a kexec, /Image and /initrd besides. The
 * caller unlinks it once minivmm has it, and frees the path. */
char *initrd_with_inside(bool kexec);

/* A tear-down: kill the guest, if it still runs. */
int drop_guest(void **state);
/* A group's tear-down: power the guest off. minivmm ends with status 0. */
int power_off(void **state);

#endif
