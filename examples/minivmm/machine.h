/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * minivmm: a small VMM for arm64 Linux guests on KVM, to copy from. It uses libvcpuhp's public
 * headers only.
 *
 *     main.c     options, the order in which the machine is set up, its power
 *     vcpu.c     vCPU threads, and the exits that are not the library's
 *     boot.c     loads kernel and initramfs; hands over as UEFI would
 *     tables.c   the ACPI tables that are the VMM's own
 *     uart.c     the guest's serial port
 *     console.c  what the serial port is connected to
 *     monitor.c  commands and events
 */
#ifndef MINIVMM_MACHINE_H
#define MINIVMM_MACHINE_H

#include <pthread.h>
#include <vcpuhp/kvm.h>
#include <vcpuhp/vcpuhp.h>

/* The memory map. vcpuhp_config_init() has chosen the places of the GIC (0x08000000, redistributors
 * from 0x0a000000) and of the register block (0x09000000); what is the VMM's own lies around. */
#define GICC_BASE UINT64_C(0x08010000) /* GICv2 only */
#define ITS_BASE  UINT64_C(0x08080000)
#define UART_BASE UINT64_C(0x09010000)
#define UART_SIZE 0x1000
#define RAM_BASE  UINT64_C(0x40000000)
/* The start of RAM stands in for firmware: tables that stay for ever, then the device tree. */
#define FIRMWARE_BASE RAM_BASE
#define FIRMWARE_SIZE 0x100000
#define FDT_BASE      (FIRMWARE_BASE + FIRMWARE_SIZE)
#define FDT_SIZE      0x100000
#define KERNEL_BASE   (FDT_BASE + FDT_SIZE)

#define UART_IRQ 34 /* INTID; the library's event interrupt is 33 */
#define PMU_IRQ  23 /* the PPI that Arm's BSA recommends */

#define MIB UINT64_C(0x100000)

/* Why the vCPUs were told to stop. */
enum {
    AFTER_STOP_RESET = 1 << 0,
    AFTER_STOP_EXIT = 1 << 1,
    AFTER_STOP_FAIL = 1 << 2,
};

typedef struct Uart Uart;
typedef struct Console Console;
typedef struct Monitor Monitor;

/* A vCPU's thread. There is one from vcpu_start until the vCPU parks, and none otherwise. */
typedef struct VcpuThread {
    bool running;
    pthread_t thread;
} VcpuThread;

typedef struct Machine {
    GMainLoop *loop;
    int exit_status;

    VcpuhpConfig config;
    const char *cmdline;
    bool fdt; /* boot by device tree, without ACPI */
    GMappedFile *kernel, *initrd;

    int kvm_fd, vm_fd;
    uint8_t *ram;
    uint64_t ram_size;
    Vcpuhp *hp;
    guint after_stop; /* atomic */

    GMutex threads_lock;
    GCond threads_gone;
    VcpuThread *threads; /* config.n_vcpus */
    uint32_t n_threads;

    Uart *uart;
    Console *console;
    Monitor *monitor;
} Machine;

/* --- main.c --- */

/* Stop the machine, then do what one of AFTER_STOP_… says. Any thread. */
void machine_stop(Machine *m, guint after_stop);

/* Parse a number, decimal or 0x…, that is called name and is to be within min … max. */
bool parse_number(const char *name, const char *text, uint32_t min, uint32_t max,
                  uint32_t *ret_number, GError **error);

/* --- vcpu.c --- */

void vcpu_threads_init(Machine *m);
/* The library's callbacks. */
bool vcpu_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque);
void vcpu_kick(uint32_t vcpu, void *opaque);
uint32_t vcpu_threads(Machine *m);
/* Wait until no vCPU thread is left, after the machine has stopped. */
void vcpu_threads_wait(Machine *m);

/* --- boot.c --- */

/* Put everything into RAM that the guest begins with, and say where that is. */
bool boot_load(Machine *m, VcpuhpEntry *ret_entry, GError **error);

/* NUMA nodes, and each one's RAM, of which all have an even share. */
uint32_t machine_n_nodes(const Machine *m);
void machine_node_ram(const Machine *m, uint32_t node, uint64_t *ret_base, uint64_t *ret_size);

/* --- tables.c --- */

/* A piece of guest memory that is filled from its start. */
typedef struct Arena {
    uint8_t *host;
    uint64_t guest; /* address of host[0] */
    gsize used, size;
} Arena;

/* Copy data in, at the next multiple of 16; returns its guest address. */
uint64_t arena_put(Arena *arena, const void *data, gsize len);

/* All ACPI tables, the library's included; returns the RSDP's guest address. */
uint64_t tables_build(const Machine *m, Arena *arena);

/* Tables are laid out as C structures. */
G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);

#endif
