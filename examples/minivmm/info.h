/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MINIVMM_INFO_H
#define MINIVMM_INFO_H

#include "machine.h"

/* The command "info": the machine as lines "KEY NUMBER", its vCPUs as a table, and the library's
 * counters. */
bool info_show(Machine *m, char **args, GString *out, GError **error);

#endif
