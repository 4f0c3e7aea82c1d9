/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs in the guest, for what its shell cannot do:
 *
 *     inside kexec IMAGE INITRD   continue in this kernel
 *     inside cycles               print the cycles that this CPU's PMU counts for some work
 *     inside sve                  print the bytes in a vector on this CPU
 *     inside pauth                print "signed" if this CPU can sign and authenticate pointers
 *     inside count FILE           count steps until killed, with a state that depends on all of them
 *     inside counted FILE         print the steps so far, "right" or "wrong", and the longest time
 *                                 between two of them, in ms
 *     inside vectors SECONDS      fill all SVE registers, compute for so long without a system call,
 *                                 and print "kept" if they are as before
 *     inside write MIB            write to so much memory, again and again, until killed
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
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
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

/* --- A counter: a step that is lost, repeated or computed wrong shows for ever after --- */

typedef struct Counter {
    uint64_t n_steps, value;
    uint64_t longest_ns; /* between two steps, on the guest's monotonic clock */
    uint64_t backwards;  /* how often that clock went back */
} Counter;

enum {
    STEPS = 1000 /* between two looks at the clock */
};

static Counter *map_counter(const char *path, int flags)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);

    if (fd < 0 || ftruncate(fd, sizeof(Counter)) < 0)
        return MAP_FAILED;
    return mmap(NULL, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/* Knuth's linear congruential generator */
static uint64_t step(uint64_t value)
{
    return value * 6364136223846793005 + 1442695040888963407;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int do_count(const char *path)
{
    volatile Counter *counter = map_counter(path, O_CREAT | O_TRUNC);
    uint64_t last = now_ns();

    if (counter == MAP_FAILED)
        return fail(path);
    for (;;) {
        uint64_t now, value = counter->value;

        for (int i = 0; i < STEPS; i++)
            value = step(value);
        counter->value = value;
        counter->n_steps += STEPS;
        now = now_ns();
        if (now < last)
            counter->backwards++;
        else if (now - last > counter->longest_ns)
            counter->longest_ns = now - last;
        last = now;
    }
}

/* n steps at once: the steps' composition is again x -> a * x + c, and so is its square. */
static uint64_t value_after(uint64_t n)
{
    uint64_t a = step(1) - step(0), c = step(0), value = 0;

    for (; n; n >>= 1) {
        if (n & 1)
            value = a * value + c;
        c = a * c + c;
        a *= a;
    }
    return value;
}

/* The counter runs on: it is between two stores now and then. */
static int do_counted(const char *path)
{
    volatile Counter *counter = map_counter(path, 0);
    bool right = false;
    uint64_t n = 0;

    if (counter == MAP_FAILED)
        return fail(path);
    for (int i = 0; i < 1000 && !right; i++) {
        n = counter->n_steps;
        right = counter->value == value_after(n) && !counter->backwards;
        usleep(1000);
    }
    printf("%llu %s %llu\n", (unsigned long long)n, right ? "right" : "wrong",
           (unsigned long long)counter->longest_ns / 1000000);
    return 0;
}

/* --- SVE registers over a move. A system call would let the kernel drop them. --- */

/* Z registers count from 1000 * n in steps of 7. Even P registers are all true. */
#define EACH_Z(lines)                                                                              \
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,"   \
    "31\n\t" lines ".endr\n\t"
#define EVEN_P(lines) ".irp n,0,2,4,6,8,10,12,14\n\t" lines ".endr\n\t"
#define ODD_P(lines)  ".irp n,1,3,5,7,9,11,13,15\n\t" lines ".endr\n\t"
#define FILL                                                                                       \
    EACH_Z("mov x9, #1000 * \\n\n\tindex z\\n\\().d, x9, #7\n\t")                                  \
    EVEN_P("ptrue p\\n\\().b\n\t") ODD_P("pfalse p\\n\\().b\n\t")
#define KEEP                                                                                       \
    EACH_Z("str z\\n, [%1, #\\n, mul vl]\n\t")                                                     \
    EVEN_P("str p\\n, [%2, #\\n, mul vl]\n\t") ODD_P("str p\\n, [%2, #\\n, mul vl]\n\t")

static bool vectors_are_kept(const uint8_t *z, const uint8_t *p, uint64_t bytes)
{
    for (uint64_t n = 0; n < 32; n++)
        for (uint64_t i = 0; i < bytes / 8; i++) {
            uint64_t value;

            memcpy(&value, z + n * bytes + i * 8, sizeof(value));
            if (value != 1000 * n + 7 * i)
                return false;
        }
    for (uint64_t i = 0; i < 16 * bytes / 8; i++)
        if (p[i] != (i / (bytes / 8) % 2 ? 0 : 0xff))
            return false;
    return true;
}

static int do_vectors(unsigned seconds)
{
    static uint8_t z[32 * 256] __attribute__((aligned(16)));
    static uint8_t p[16 * 32] __attribute__((aligned(16)));
    uint64_t bytes, frequency, end;

    __asm__ volatile("mrs %0, cntfrq_el0\n\tmrs %1, cntvct_el0" : "=r"(frequency), "=r"(end));
    end += frequency * seconds;
    __asm__ volatile(".arch_extension sve\n\t" FILL "1: mrs x9, cntvct_el0\n\t"
                     "cmp x9, %3\n\t"
                     "b.lo 1b\n\t" KEEP "rdvl %0, #1"
                     : "=&r"(bytes)
                     : "r"(z), "r"(p), "r"(end)
                     : "x9", "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8",
                       "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19",
                       "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
                       "v31");
    puts(vectors_are_kept(z, p, bytes) ? "kept" : "lost");
    return 0;
}

/* --- Writes faster than a migration can follow --- */

static int do_write(unsigned mib)
{
    uint64_t size = (uint64_t)mib << 20;
    volatile uint8_t *memory = malloc(size);

    for (uint64_t i = 1; memory; i++)
        for (uint64_t page = 0; page < size; page += 4096)
            memory[page] = i;
    return fail("malloc");
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "kexec"))
        return do_kexec(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "count"))
        return do_count(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "counted"))
        return do_counted(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "vectors"))
        return do_vectors(atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "write"))
        return do_write(atoi(argv[2]));
    if (argc == 2 && !strcmp(argv[1], "cycles"))
        return do_cycles();
    if (argc == 2 && !strcmp(argv[1], "sve"))
        return do_sve();
    if (argc == 2 && !strcmp(argv[1], "pauth"))
        return do_pauth();
    return 2;
}
