/* SPDX-License-Identifier: BSD-3-Clause */
#include "bare.h"

    /* The header of a kernel image: Linux, Documentation/arch/arm64/booting.rst. */
    .section .head, "ax"
    b       start
    .word   0
    .quad   0                       /* text_offset */
    .quad   image_size
    .quad   0, 0, 0, 0
    .ascii  "ARM\x64"
    .word   0

    .text
start:
    adr     x0, vectors
    msr     vbar_el1, x0
    ldr     x0, =stacks + STACK_SIZE
    mov     sp, x0
    b       main

    /*
     * The entry address of CPU_ON. Saves the vCPU's registers before anything else changes them:
     * X0, X1 and SCTLR_EL1 in thread ID registers, because X0 and X1 are needed as scratch and EE
     * must be clear for data to be stored in little endian.
     */
    .global secondary
secondary:
    msr     tpidr_el0, x0
    msr     tpidr_el1, x1
    mrs     x0, sctlr_el1
    msr     tpidrro_el0, x0
    and     x0, x0, #~SCTLR_EE
    msr     sctlr_el1, x0
    isb
    mrs     x0, mpidr_el1
    and     x0, x0, #0xff
    ldr     x1, =cpus
    add     x1, x1, x0, lsl #CPU_SHIFT
    stp     x2, x3, [x1, #8 * 2]
    stp     x4, x5, [x1, #8 * 4]
    stp     x6, x7, [x1, #8 * 6]
    stp     x8, x9, [x1, #8 * 8]
    stp     x10, x11, [x1, #8 * 10]
    stp     x12, x13, [x1, #8 * 12]
    stp     x14, x15, [x1, #8 * 14]
    stp     x16, x17, [x1, #8 * 16]
    stp     x18, x19, [x1, #8 * 18]
    stp     x20, x21, [x1, #8 * 20]
    stp     x22, x23, [x1, #8 * 22]
    stp     x24, x25, [x1, #8 * 24]
    stp     x26, x27, [x1, #8 * 26]
    stp     x28, x29, [x1, #8 * 28]
    mrs     x2, tpidrro_el0
    stp     x30, x2, [x1, #8 * 30]
    mrs     x2, tpidr_el0
    mrs     x3, tpidr_el1
    stp     x2, x3, [x1]
    mrs     x2, daif
    mrs     x3, currentel
    stp     x2, x3, [x1, #8 * 32]
    mrs     x2, spsel
    str     x2, [x1, #8 * 34]

    adr     x2, vectors
    msr     vbar_el1, x2
    ldr     x2, =stacks + STACK_SIZE
    mov     x3, #STACK_SIZE
    madd    x2, x0, x3, x2
    msr     spsel, #1
    mov     sp, x2
    mov     x0, x1
    b       secondary_main

    /* uint64_t smccc(uint64_t conduit, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) */
    .global smccc
smccc:
    mov     x9, x0
    mov     x0, x1
    mov     x1, x2
    mov     x2, x3
    mov     x3, x4
    cmp     x9, #CONDUIT_SMC
    b.eq    1f
    b.hi    2f
    hvc     #0
    ret
1:  smc     #0
    ret
2:  mrs     x10, sctlr_el1          /* EE applies to page tables as well, so the MMU is off */
    orr     x11, x10, #SCTLR_EE
    and     x11, x11, #~SCTLR_M
    msr     sctlr_el1, x11
    isb
    hvc     #0
    msr     sctlr_el1, x10
    isb
    ret

    .align  11
vectors:
    .rept   16
    .align  7
    b       exception
    .endr
