/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands and events as lines of text, on the terminal and on a Unix socket. The answer to a
 * command is any number of lines; the last one is "ok" or begins with "error: ". A line that begins
 * with "event: " may come between two answers.
 */
#ifndef MINIVMM_MONITOR_H
#define MINIVMM_MONITOR_H

#include "machine.h"

/* path is that of the Unix socket to listen on, or NULL. log is the file to append events to as lines
 * of JSON, or NULL. on_terminal: read commands from standard input. Events go to standard output in
 * any case. */
Monitor *monitor_new(Machine *m, const char *path, const char *log, bool on_terminal,
                     GError **error);
void monitor_free(Monitor *monitor);

/* Send an event to all clients. Any thread; does not block. */
void monitor_event(Monitor *monitor, const VcpuhpEvent *event);
/* The same for a text of minivmm's own. */
void monitor_note(Monitor *monitor, const char *about, const char *text);

/* Execute a command. Returns the answer, which the caller frees. */
char *monitor_execute(Monitor *monitor, const char *line);

/* Write to standard output at once. */
void monitor_print(const char *text);

#endif
