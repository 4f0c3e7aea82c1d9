/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A real guest in minivmm, driven from outside: its shell through the serial console (the protocol
 * is told in guest-init), its machine through the monitor. The environment names what to use:
 * MINIVMM, GUEST_KERNEL, GUEST_INITRD, and GUEST_LOGS, a folder for console logs, if wanted.
 *
 * Whatever doesn't come in time, or ends when it shouldn't, goes to guest_fail().
 */
#ifndef E2E_GUEST_H
#define E2E_GUEST_H

#include <glib.h>
#include <stdbool.h>

typedef struct Guest Guest;

/* Says what failed, never returns. To be defined by the program: a test fails, the demo exits. */
G_NORETURN void guest_fail(Guest *guest, const char *message);

/* Start minivmm with these options besides kernel, initramfs, console and monitor. The log is
 * called after name. */
Guest *guest_start(const char *name, const char *options);
/* Wait until its user space is there. Again after a reboot. */
void guest_wait_ready(Guest *guest);
/* Both. */
Guest *guest_boot(const char *name, const char *options);
/* Kill it, if it still runs. NULL is allowed. */
void guest_free(Guest *guest);

/* The kernel's release, once ready. */
const char *guest_release(const Guest *guest);
/* The console's last lines, for a message. The caller frees them. */
char *guest_console_tail(const Guest *guest, guint n_lines);
const char *guest_log_path(const Guest *guest);
GPid guest_pid(const Guest *guest);

/* Run a shell command in the guest; its output without trailing white space, which the caller
 * frees. ret_status NULL: it must succeed. */
char *guest_run(Guest *guest, int *ret_status, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Wait for a text on the console, from a command in the background. Returns when it came, in µs of
 * the monotonic clock. */
gint64 guest_wait_console(Guest *guest, const char *text);
/* Send a command that doesn't come back, like "reboot -f". */
void guest_send(Guest *guest, const char *command);
/* Run it again and again until its output is this. */
void guest_wait_output(Guest *guest, const char *command, const char *output);

/* A monitor command's answer, its last line, "ok" or "error: …", included. The caller frees it. */
char *guest_monitor(Guest *guest, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The same, which must be ok. */
char *guest_command(Guest *guest, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The number behind key in an answer of `info`; -1: no such line. */
gint64 guest_info(Guest *guest, const char *key);

/* Wait for an event whose text contains this, behind the one that was waited for last. Returns
 * when minivmm told of it, in µs of the monotonic clock. */
gint64 guest_wait_event(Guest *guest, const char *text);
/* Whether one has come, ever. */
bool guest_saw_event(Guest *guest, const char *text);
/* How many have come, ever. */
guint guest_count_events(Guest *guest, const char *text);
/* Go on behind all that have come. */
void guest_skip_events(Guest *guest);

/* Wait until minivmm ends, and return its exit status; -1: by a signal. */
int guest_wait_exit(Guest *guest);

#endif
