/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * minivmm: a small VMM for arm64 Linux guests on KVM, as an example for VMM authors. It uses
 * libvcpuhp's public headers only.
 *
 *     main.c     options, the order of the set-up, power of the machine
 *     vcpu.c     vCPU threads, and the exits that the library does not serve
 *     own.c      --own-vcpus: vCPUs and vGIC that the VMM creates and lends to the library
 *     boot.c     loads kernel and initramfs, and writes the device tree
 *     tables.c   the machine as ../handover.h describes it to the kernel
 *     uart.c     the guest's serial port
 *     seccomp.c  --seccomp: the system calls that threads may make
 *     console.c  the host's end of the serial port
 *     monitor.c  clients and events; line-edit.c and event-log.c: on a terminal, in a file
 *     commands.c the monitor's commands; info.c and resize.c: two of them
 *
 * Save, restore and live migration (state.h, docs/migration.md):
 *
 *     description.c  what source and target must agree on
 *     stream.c       records in a file or on a socket
 *     ram.c          RAM, and the log of pages that the guest writes
 *     state.c        the state besides RAM, in its order
 *     file.c         save and --restore
 *     migrate.c      the source of a live migration
 *     incoming.c     --incoming, its target
 */
#ifndef MINIVMM_MACHINE_H
#define MINIVMM_MACHINE_H

#include <pthread.h>
#include <vcpuhp/kvm.h>
#include <vcpuhp/vcpuhp.h>

#include "../handover.h"

/* The memory map. vcpuhp_config_init() chooses the addresses of the GIC (0x08000000, redistributors
 * from 0x0a000000) and of the register block (0x09000000). These are the VMM's own: */
#define GICC_BASE UINT64_C(0x08010000) /* GICv2 only */
#define ITS_BASE  UINT64_C(0x08080000)
#define UART_BASE UINT64_C(0x09010000)
#define UART_SIZE 0x1000
#define RAM_BASE  UINT64_C(0x40000000)
/* Memory that only the library uses (--warm-up). RAM is slot 0. */
#define WARM_UP_BASE UINT64_C(0x09020000)
#define WARM_UP_SLOT 1
/* There is no firmware. Its tables are at the start of RAM, where the guest keeps them; the device
 * tree follows. */
#define FIRMWARE_BASE RAM_BASE
#define FIRMWARE_SIZE 0x100000
#define FDT_BASE      (FIRMWARE_BASE + FIRMWARE_SIZE)
#define FDT_SIZE      0x100000
#define KERNEL_BASE   (FDT_BASE + FDT_SIZE)

#define UART_IRQ 34 /* INTID; the library's event interrupt is 33 */
#define PMU_IRQ  23 /* the PPI that Arm's BSA recommends */

#define MIB UINT64_C(0x100000)

/* Why the machine stops, and so what follows. */
enum {
    AFTER_STOP_RESET = 1 << 0,
    AFTER_STOP_EXIT = 1 << 1,
    AFTER_STOP_FAIL = 1 << 2,
};

typedef struct Uart Uart;
typedef struct Console Console;
typedef struct Migration Migration;
typedef struct Monitor Monitor;
typedef struct Own Own;
typedef struct Resize Resize;
typedef struct VcpuThread VcpuThread;

typedef struct Machine {
    GMainLoop *loop;
    int exit_status;

    VcpuhpConfig config;
    const char *cmdline;
    bool fdt;          /* boot by device tree, without ACPI */
    char *description; /* what source and target of a move must agree on */
    GMappedFile *kernel, *initrd;

    int kvm_fd, vm_fd;
    uint8_t *ram;
    uint64_t ram_size;
    gint ram_written; /* a flag; atomic: minivmm itself has written RAM */
    bool seccomp;
    Own *own; /* NULL: the library creates vCPUs and vGIC */
    Vcpuhp *hp;
    guint after_stop; /* AFTER_STOP_…; atomic */

    GMutex threads_lock; /* protects what follows */
    VcpuThread *threads; /* config.n_vcpus */
    uint32_t n_active;   /* threads that do not wait */
    GCond none_active;   /* n_active is 0 */
    gint paused;         /* a flag; atomic: read without the lock */

    Uart *uart;
    Console *console;
    Monitor *monitor;
    Resize *resize;       /* the latest; NULL: none yet */
    Migration *migration; /* from here, under way; or NULL */
    bool moved;           /* the guest runs elsewhere */
} Machine;

/* --- main.c --- */

/* Stop the machine, then do what one of AFTER_STOP_… says. Any thread. */
void machine_stop(Machine *m, guint after_stop);

/* End minivmm, also if the machine is paused. In the main thread. */
void machine_quit(Machine *m);

/* Parse a decimal or 0x… number in min … max. name is what an error message calls it. */
bool parse_number(const char *name, const char *text, uint32_t min, uint32_t max,
                  uint32_t *ret_number, GError **error);

/* Set an error from errno. Returns false. */
bool fail_errno(const char *what, GError **error);

/* Whether files and sockets may be opened: not with --seccomp. */
bool machine_may_open(const Machine *m, GError **error);
/* Load this kernel at the machine's next start. */
bool machine_set_kernel(Machine *m, const char *path, GError **error);

/* --- vcpu.c --- */

void vcpu_threads_init(Machine *m);
/* The library's callbacks. */
bool vcpu_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque);
void vcpu_kick(uint32_t vcpu, void *opaque);
/* How many vCPUs have a thread. */
uint32_t vcpu_threads_count(Machine *m);
bool vcpu_thread_exists(Machine *m, uint32_t vcpu);
/* Wait until no vCPU is in KVM_RUN and no vCPU's thread uses the library; until vcpus_resume(), none
 * does. Meanwhile a vCPU may be started, kicked or asked to park: its thread acts on that when it
 * resumes. Returns false if the machine was paused already. In the main thread. */
bool vcpus_pause(Machine *m);
void vcpus_resume(Machine *m);
/* End and join all vCPU threads. The machine must have stopped. */
void vcpu_threads_end(Machine *m);

/* --- description.c --- */

/* The caller frees it. */
char *description_new(const Machine *m, const VcpuhpKvmConfig *kvm);
/* Compare another one with this machine's. The error names the first difference. */
bool description_check(const Machine *m, const char *other, GError **error);

/* --- own.c --- */

/* Create vCPUs, vGIC and ITS according to m->config and the features in kvm, and lend them by kvm.
 * After an error, own_free() frees what was created. */
bool own_create(Machine *m, VcpuhpKvmConfig *kvm, GError **error);
void own_free(Own *own);

/* --- seccomp.c --- */

/* Filter the system calls of the calling thread and of those that it creates. */
bool seccomp_enter_main(GError **error);
/* The same for a vCPU's thread, which main's filter applies to already. */
bool seccomp_enter_vcpu(GError **error);

/* --- boot.c --- */

/* Load kernel, initramfs, device tree and tables into RAM, and return where vCPU 0 begins. */
bool boot_load(Machine *m, VcpuhpEntry *ret_entry, GError **error);

/* The number of NUMA nodes, and each node's RAM. All nodes have the same share. */
uint32_t machine_n_nodes(const Machine *m);
void machine_node_ram(const Machine *m, uint32_t node, uint64_t *ret_base, uint64_t *ret_size);

/* --- tables.c --- */

/* Write all ACPI tables, including the library's, and what a firmware would add. */
bool tables_write(const Machine *m, Handover *ret_handover, GError **error);

#endif
