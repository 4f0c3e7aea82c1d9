/* SPDX-License-Identifier: BSD-3-Clause */
/* The monitor's commands. In the main thread. */
#ifndef MINIVMM_COMMANDS_H
#define MINIVMM_COMMANDS_H

#include "machine.h"

/* Execute a line. Returns the answer, whose last line is "ok" or begins with "error: ". The caller
 * frees it. */
char *command_execute(Machine *m, const char *line);

/* The n-th command, from 0 on, that begins with prefix; NULL: there are no more. */
const char *command_complete(const char *prefix, uint32_t n);

#endif
