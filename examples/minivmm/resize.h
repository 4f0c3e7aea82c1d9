/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command "resize": plugs or unplugs as many vCPUs as a number of them needs, and reports one
 * outcome when the last request has ended.
 */
#ifndef MINIVMM_RESIZE_H
#define MINIVMM_RESIZE_H

#include "machine.h"

/*
 * Make requests until n vCPUs are enabled, and append what is under way to out. Cores come before
 * further threads of a core, and NUMA nodes stay even. Errors: a resize is under way, or vCPU 0 and
 * others that are enabled permanently are more than n, or a request is refused. In the main thread.
 */
bool resize_start(Machine *m, uint32_t n, uint32_t timeout_ms, GString *out, GError **error);

/* The library has reported an event. Any thread. */
void resize_event(Machine *m, const VcpuhpEvent *event);

void resize_free(Resize *resize);

#endif
