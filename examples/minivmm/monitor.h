/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands and events, as lines of text: on the terminal and on a Unix socket. A command is
 * answered by any number of lines of which the last is "ok" or begins with "error: "; a line that
 * begins with "event: " may come at any time between answers.
 */
#ifndef MINIVMM_MONITOR_H
#define MINIVMM_MONITOR_H

#include "machine.h"

/* path: of the Unix socket to listen on, NULL: none. on_terminal: read commands from standard
 * input. Events go to standard output in any case. */
Monitor *monitor_new(Machine *m, const char *path, bool on_terminal, GError **error);
void monitor_free(Monitor *monitor);

/* Tell everybody of an event. Any thread; doesn't block. */
void monitor_event(Monitor *monitor, const VcpuhpEvent *event);

/* Execute a command; returns the answer, which g_free() frees. */
char *monitor_execute(Monitor *monitor, const char *line);

void monitor_print(const char *text);

#endif
