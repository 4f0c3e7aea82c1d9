/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BARE_H
#define BARE_H

#define N_CPUS     4
#define STACK_SIZE 0x1000
#define CPU_SHIFT  9 /* log2 of sizeof(Cpu) */

#define CONDUIT_HVC 0
#define CONDUIT_SMC 1
#define CONDUIT_BE  2 /* HVC, with the caller's data accesses big-endian */

#define SCTLR_M  (1 << 0)
#define SCTLR_C  (1 << 2)
#define SCTLR_I  (1 << 12)
#define SCTLR_EE (1 << 25)

#endif
