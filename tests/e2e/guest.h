/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A real guest in minivmm, driven from outside: its shell through the serial console (guest-shell
 * describes the protocol), its machine through the monitor. Environment variables:
 *
 *     MINIVMM, GUEST_KERNEL, GUEST_INITRD    the files to use
 *     GUEST_OPTIONS    further options of minivmm for every guest, such as --own-vcpus (optional)
 *     GUEST_LOGS       a folder for console logs (optional)
 *
 * A timeout or an unexpected end of minivmm calls guest_fail().
 */
#ifndef E2E_GUEST_H
#define E2E_GUEST_H

#include <glib.h>
#include <stdbool.h>

typedef struct Guest Guest;

/* Report a failure; never returns. Each program defines it: a test fails, the demo exits. */
G_NORETURN void guest_fail(Guest *guest, const char *message);

/* Start minivmm with these options besides kernel, initramfs, console and monitor. name is that of
 * the log. */
Guest *guest_start(const char *name, const char *options);
/* Wait until the guest's user space is ready; once for each boot. */
void guest_wait_ready(Guest *guest);
/* guest_start() and guest_wait_ready(). */
Guest *guest_boot(const char *name, const char *options);
/* Start minivmm with these options for a guest that comes from another one's minivmm: by --restore at
 * once, by --incoming later. Its shell takes further commands here. */
Guest *guest_start_moved(const Guest *from, const char *name, const char *options);
/* Kill minivmm if it still runs. NULL is allowed. */
void guest_free(Guest *guest);

/* The kernel's release, after guest_wait_ready(). */
const char *guest_release(const Guest *guest);
/* The console's last lines. The caller frees them. */
char *guest_console_tail(const Guest *guest, guint n_lines);
const char *guest_log_path(const Guest *guest);
GPid guest_pid(const Guest *guest);
/* Whether minivmm has not been seen to end. */
bool guest_runs(const Guest *guest);

/* Run a shell command in the guest. Returns its output without trailing white space, which the
 * caller frees. With ret_status NULL, it must succeed. */
char *guest_run(Guest *guest, int *ret_status, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Wait for a text on the console, from a command in the background. Returns the time of its
 * arrival, in µs of the monotonic clock. */
gint64 guest_wait_console(Guest *guest, const char *text);
/* Send a command that does not return, like "reboot -f". */
void guest_send(Guest *guest, const char *command);
/* Repeat a command until its output is this. */
void guest_wait_output(Guest *guest, const char *command, const char *output);

/* Execute a monitor command. Returns its answer including the last line, "ok" or "error: …". The
 * caller frees it. */
char *guest_monitor(Guest *guest, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The same for a command that must succeed. */
char *guest_command(Guest *guest, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The number after key in the answer of `info`; -1: no such line. */
gint64 guest_info(Guest *guest, const char *key);

/* Wait for an event whose text contains this, and which is later than the event of the previous
 * wait. Returns the time of its arrival, in µs of the monotonic clock. */
gint64 guest_wait_event(Guest *guest, const char *text);
/* The text of the event that the last wait has found. */
const char *guest_event_text(const Guest *guest);
/* Whether minivmm has reported such an event since its start. */
bool guest_saw_event(Guest *guest, const char *text);
/* How many such events minivmm has reported since its start. */
guint guest_count_events(Guest *guest, const char *text);
/* Make the next wait ignore all events up to now. */
void guest_skip_events(Guest *guest);

/* Wait until minivmm ends. Returns its exit status, or -1 if a signal ended it. */
int guest_wait_exit(Guest *guest);

#endif
