/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the serial port is connected to: the terminal that minivmm runs on, or a Unix socket. Runs
 * in the main thread, except console_wake().
 */
#ifndef MINIVMM_CONSOLE_H
#define MINIVMM_CONSOLE_H

#include "machine.h"

/*
 * path: of the Unix socket to listen on, or NULL: standard input and output, where Ctrl-A leads
 * to the monitor for one command. With a socket this waits for the first client, which so
 * misses nothing; while there is none, output is thrown away.
 */
Console *console_new(Machine *m, const char *path, GError **error);
void console_free(Console *console);

/* The serial port has output, or room for input again. Any thread. */
void console_wake(Console *console);

/* A listening Unix socket, on behalf of an option. -1: error. */
int socket_listen(const char *option, const char *path, GError **error);
/* The next client, or -1. */
int socket_accept(int listener);

#endif
