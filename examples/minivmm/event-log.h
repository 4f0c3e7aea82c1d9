/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MINIVMM_EVENT_LOG_H
#define MINIVMM_EVENT_LOG_H

#include "machine.h"

/* An event as one line of JSON (RFC 8259) without the newline: "time" is seconds since 1970, and
 * fields that the event's kind does not have are left out. The caller frees it. */
char *event_to_json(const VcpuhpEvent *event);

#endif
