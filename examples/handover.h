/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Boots Linux with ACPI, but without firmware: writes into guest memory what UEFI would leave there.
 * docs/boot.md explains each part and what happens without it.
 *
 * These two files are made to be copied into a VMM. They need a C11 compiler with GNU attributes on
 * a little-endian machine, and the C library's string functions. They allocate nothing.
 *
 *  1. handover_write() writes the ACPI tables, the EFI system table and the EFI memory map.
 *  2. handover_fdt() writes the device tree that names them.
 *  3. The guest begins at the kernel Image's base + text_offset, with the device tree's address in
 *     X0.
 *
 * Both functions return NULL, or an English text that says what is wrong; memory that they were
 * given may then hold a part of the result. For a reboot, call them again: the guest owns what was
 * written, and may have changed it. No vCPU may run meanwhile.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stddef.h>
#include <stdint.h>

/* The tables' memory begins at a multiple of this and is a multiple of it long, because a kernel
 * with pages of 64 KiB cannot keep less. */
#define HANDOVER_ALIGN 0x10000

typedef struct HandoverData {
    const void *data;
    size_t size;
} HandoverData;

/* A range of guest RAM, in multiples of 4 KiB. */
typedef struct HandoverRam {
    uint64_t base, size;
    uint32_t node; /* NUMA node; unused without srat_entries */
} HandoverRam;

/* The serial port for the kernel's console, below 4 GiB. */
typedef struct HandoverUart {
    const char *hid;   /* "ARMH0011": PL011; "PNP0501": 16550; NULL: there is none */
    uint8_t interface; /* the same for the SPCR: 3: PL011; 0x12: 16550 */
    uint8_t access;    /* bytes of a register access: 4: PL011; 1 or 4: 16550 */
    uint32_t base, size;
    uint32_t irq; /* INTID, level-triggered */
} HandoverUart;

typedef struct HandoverConfig {
    /* Where the tables go: size bytes at the guest address base, at memory in the VMM. They lie in
     * one of the ranges of RAM, and the guest uses them for nothing else. */
    void *memory;
    uint64_t base;
    size_t size;

    /* All RAM, in ascending order. */
    const HandoverRam *ram;
    size_t n_ram;

    /* Complete ACPI tables: the library's MADT, PPTT and SSDT, and others that the VMM has. */
    const HandoverData *tables;
    size_t n_tables;
    /* The library's SRAT entries, to which those of the RAM are added; size 0: no NUMA. */
    HandoverData srat_entries;
    /* AML of further devices, for the root of the DSDT; size 0: none. */
    HandoverData aml;
    HandoverUart uart;

    const char *oem_id;       /* ASCII, of at most 6 characters */
    const char *oem_table_id; /* ASCII, of at most 8 characters */
} HandoverConfig;

/* What the device tree must name, for a VMM that writes the tree by itself. */
typedef struct Handover {
    uint64_t system_table;     /* linux,uefi-system-table */
    uint64_t mmap_start;       /* linux,uefi-mmap-start */
    uint32_t mmap_size;        /* linux,uefi-mmap-size */
    uint32_t mmap_desc_size;   /* linux,uefi-mmap-desc-size */
    uint32_t mmap_desc_ver;    /* linux,uefi-mmap-desc-ver */
    uint32_t uefi_secure_boot; /* linux,uefi-secure-boot */
} Handover;

/* Write tables, EFI system table and memory map. ret_handover is written on success only. */
const char *handover_write(const HandoverConfig *config, Handover *ret_handover);

/* Write a device tree of size bytes at most, whose guest address is a multiple of 8 and which does
 * not cross a multiple of 2 MiB. The initramfs has the guest addresses initrd_start … initrd_end-1;
 * without one they are equal. */
const char *handover_fdt(const Handover *handover, const char *command_line, uint64_t initrd_start,
                         uint64_t initrd_end, void *fdt, size_t size);

#endif
