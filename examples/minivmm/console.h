/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's end of the serial port: the terminal that minivmm runs on, or a Unix socket. All
 * functions run in the main thread, except console_wake().
 */
#ifndef MINIVMM_CONSOLE_H
#define MINIVMM_CONSOLE_H

#include "machine.h"

/*
 * path is that of the Unix socket to listen on. With NULL, the console is standard input and
 * output, where Ctrl-A begins a monitor command. With a socket this function waits for the first
 * client, so that this client gets all output. Output without a client is dropped.
 */
Console *console_new(Machine *m, const char *path, GError **error);
void console_free(Console *console);

/* The serial port has output, or has room for input again. Any thread. */
void console_wake(Console *console);

/* Listen on a Unix socket. option is what an error message names. Returns the socket or -1. */
int socket_listen(const char *option, const char *path, GError **error);
/* Connect to one. Returns the socket, whose functions wait, or -1. */
int socket_connect(const char *path, GError **error);
/* Returns the next client or -1. */
int socket_accept(int listener);

#endif
