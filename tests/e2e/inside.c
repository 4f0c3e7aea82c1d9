/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs in the guest, for what its shell cannot do:
 *
 *     inside kexec IMAGE INITRD   continue in this kernel
 *     inside cycles               print the cycles that this CPU's PMU counts for some work
 *     inside sve                  print the bytes in a vector on this CPU
 *     inside pauth                print "signed" if this CPU can sign and authenticate pointers
 *
 * An instruction that the CPU lacks ends the program by a signal.
 */
#include <fcntl.h>
#include <libfdt.h>
#include <linux/kexec.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* --- kexec. Debian's arm64 kernels have kexec_load(2) only, which leaves all the work to us --- */

/* After everything that minivmm loads, and within the RAM of every guest that uses kexec. */
#define KEXEC_BASE 0x50000000
#define ALIGNMENT  0x200000

/* Load a file, in whole pages, for the memory at address. Returns the address for the next one. */
static uint64_t load(const char *path, uint64_t address, uint64_t min_size,
                     struct kexec_segment *segment)
{
    enum {
        MAX_SIZE = 0x4000000
    };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *data = malloc(MAX_SIZE);
    size_t size = 0;
    ssize_t n;

    while (data && (n = read(fd, data + size, MAX_SIZE - size)) > 0)
        size += n;
    *segment = (struct kexec_segment){.buf = data, .bufsz = size, .mem = (void *)address};
    segment->memsz = ((size > min_size ? size : min_size) + 0xffff) & ~0xffffUL;
    return (address + segment->memsz + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

/* The device tree is this kernel's own, which names the EFI tables. */
static bool set_initrd(void *fdt, const struct kexec_segment *initrd)
{
    uint64_t start = (uintptr_t)initrd->mem;
    int chosen = fdt_path_offset(fdt, "/chosen");

    return fdt_setprop_inplace_u64(fdt, chosen, "linux,initrd-start", start) == 0 &&
           fdt_setprop_inplace_u64(fdt, chosen, "linux,initrd-end", start + initrd->bufsz) == 0;
}

static int do_kexec(const char *image_path, const char *initrd_path)
{
    /* The kernel jumps here with X0 = 0. */
    struct {
        uint32_t code[6];
        uint64_t fdt, image;
    } jump = {.code = {
                  0x580000c0, /* ldr x0, fdt */
                  0x580000e4, /* ldr x4, image */
                  0xaa1f03e1, /* mov x1, xzr */
                  0xaa1f03e2, /* mov x2, xzr */
                  0xaa1f03e3, /* mov x3, xzr */
                  0xd61f0080, /* br x4 */
              }};
    struct kexec_segment segments[4], *image = &segments[0], *initrd = &segments[1],
                                      *fdt = &segments[2], *start = &segments[3];
    uint64_t next = load(image_path, KEXEC_BASE, 0, image);

    if (image->bufsz < 64)
        return fail(image_path);
    /* Its header says how much memory it needs: Linux, Documentation/arch/arm64/booting.rst. */
    next = load(image_path, KEXEC_BASE, ((const uint64_t *)image->buf)[2], image);
    next = load(initrd_path, next, 0, initrd);
    next = load("/sys/firmware/fdt", next, 0, fdt);
    if (!set_initrd((void *)fdt->buf, initrd))
        return fail("/sys/firmware/fdt");
    jump.fdt = (uintptr_t)fdt->mem;
    jump.image = (uintptr_t)image->mem;
    *start = (struct kexec_segment){&jump, sizeof(jump), (void *)next, 0x1000};
    if (syscall(SYS_kexec_load, next, 4UL, segments, KEXEC_ARCH_AARCH64) < 0)
        return fail("kexec_load");
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
    return fail("reboot");
}

/* --- Features --- */

static int do_cycles(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof(attr),
        .config = PERF_COUNT_HW_CPU_CYCLES,
        .exclude_hv = 1,
    };
    int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0UL);
    uint64_t count;

    if (fd < 0)
        return fail("perf_event_open");
    for (volatile int i = 0; i < 1000000; i++)
        ;
    if (read(fd, &count, sizeof(count)) != sizeof(count))
        return fail("read");
    printf("%llu\n", (unsigned long long)count);
    return 0;
}

static int do_sve(void)
{
    uint64_t bytes;

    __asm__ volatile(".arch_extension sve\n\trdvl %0, #1" : "=r"(bytes));
    printf("%llu\n", (unsigned long long)bytes);
    return 0;
}

/* Signing puts a code into a pointer's upper bits, and authentication removes it. With 52-bit
 * addresses the code is so short that it changes nothing in one of eight pointers. */
static int do_pauth(void)
{
    bool is_signed = false, is_checked = true;

    for (uint64_t pointer = 0x10000; pointer < 0x10040; pointer++) {
        uint64_t value = pointer;

        __asm__ volatile(".arch_extension pauth\n\tpaciza %0" : "+r"(value));
        is_signed |= value != pointer;
        __asm__ volatile(".arch_extension pauth\n\tautiza %0" : "+r"(value));
        is_checked &= value == pointer;
    }
    puts(is_signed && is_checked ? "signed" : "not signed");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "kexec"))
        return do_kexec(argv[2], argv[3]);
    if (argc == 2 && !strcmp(argv[1], "cycles"))
        return do_cycles();
    if (argc == 2 && !strcmp(argv[1], "sve"))
        return do_sve();
    if (argc == 2 && !strcmp(argv[1], "pauth"))
        return do_pauth();
    return 2;
}
