/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads a Linux kernel and its initramfs without firmware. What the kernel needs instead is written
 * by examples/handover.h, or with --fdt by this file: a device tree of the whole machine.
 */
#include "machine.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <string.h>
#include <sys/mman.h>
#include <vcpuhp/fdt.h>

#include "ram.h"

typedef struct Range {
    uint64_t start, end;
} Range;

static void *ram_at(const Machine *m, uint64_t address)
{
    return m->ram + (address - RAM_BASE);
}

uint32_t machine_n_nodes(const Machine *m)
{
    uint32_t n = 1;

    for (uint32_t i = 0; m->config.nodes && i < m->config.n_vcpus; i++)
        n = MAX(n, m->config.nodes[i] + 1);
    return n;
}

void machine_node_ram(const Machine *m, uint32_t node, uint64_t *ret_base, uint64_t *ret_size)
{
    uint32_t n = machine_n_nodes(m);
    uint64_t share = m->ram_size / MIB / n * MIB;

    *ret_base = RAM_BASE + node * share;
    *ret_size = node < n - 1 ? share : m->ram_size - node * share;
}

/* --- Device tree --- */

/* Keeps libfdt's first error, after which no further call is made. */
typedef struct Fdt {
    void *data;
    int error;
} Fdt;

static bool fail_fdt(const char *wrong, GError **error)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "the device tree: %s", wrong);
    return false;
}

#define FDT(fdt, call) ((fdt)->error = (fdt)->error ? (fdt)->error : (call))

#define UART_NODE   "uart@9010000"
#define GIC_PHANDLE 1
#define MSI_PHANDLE 2
#define CPU_PHANDLE 3 /* and those that follow it */

static void begin_root(Fdt *fdt)
{
    FDT(fdt, fdt_create(fdt->data, FDT_SIZE));
    FDT(fdt, fdt_finish_reservemap(fdt->data));
    FDT(fdt, fdt_begin_node(fdt->data, ""));
    FDT(fdt, fdt_property_u32(fdt->data, "#address-cells", 2));
    FDT(fdt, fdt_property_u32(fdt->data, "#size-cells", 2));
}

static void add_chosen(const Machine *m, Fdt *fdt, Range initrd)
{
    FDT(fdt, fdt_begin_node(fdt->data, "chosen"));
    FDT(fdt, fdt_property_string(fdt->data, "bootargs", m->cmdline));
    if (initrd.end > initrd.start) {
        FDT(fdt, fdt_property_u64(fdt->data, "linux,initrd-start", initrd.start));
        FDT(fdt, fdt_property_u64(fdt->data, "linux,initrd-end", initrd.end));
    }
    FDT(fdt, fdt_property_string(fdt->data, "stdout-path", "/" UART_NODE));
    FDT(fdt, fdt_end_node(fdt->data));
}

static void add_cells(Fdt *fdt, const char *name, const uint32_t *cells, gsize n)
{
    fdt32_t *value = NULL;

    FDT(fdt, fdt_property_placeholder(fdt->data, name, n * sizeof(*value), (void **)&value));
    for (gsize i = 0; i < n && !fdt->error; i++)
        value[i] = cpu_to_fdt32(cells[i]);
}

#define CELLS(fdt, name, ...)                                                                      \
    add_cells(fdt, name, (const uint32_t[]){__VA_ARGS__},                                          \
              sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define U64_CELLS(x) (uint32_t)((uint64_t)(x) >> 32), (uint32_t)(x)

static void add_memory(const Machine *m, Fdt *fdt)
{
    for (uint32_t i = 0; i < machine_n_nodes(m); i++) {
        uint64_t base, size;
        char name[32];

        machine_node_ram(m, i, &base, &size);
        g_snprintf(name, sizeof(name), "memory@%" PRIx64, base);
        FDT(fdt, fdt_begin_node(fdt->data, name));
        FDT(fdt, fdt_property_string(fdt->data, "device_type", "memory"));
        CELLS(fdt, "reg", U64_CELLS(base), U64_CELLS(size));
        if (m->config.nodes)
            FDT(fdt, fdt_property_u32(fdt->data, "numa-node-id", i));
        FDT(fdt, fdt_end_node(fdt->data));
    }
}

static void add_devices(const Machine *m, Fdt *fdt)
{
    FDT(fdt, fdt_begin_node(fdt->data, "timer"));
    FDT(fdt, fdt_property_string(fdt->data, "compatible", "arm,armv8-timer"));
    /* PPIs 29, 30, 27, 26; level, active high (with GICv2 for all 8 vCPUs) */
    if (m->config.gic.version == 2)
        CELLS(fdt, "interrupts", 1, 13, 0xff04, 1, 14, 0xff04, 1, 11, 0xff04, 1, 10, 0xff04);
    else
        CELLS(fdt, "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
    FDT(fdt, fdt_property(fdt->data, "always-on", NULL, 0));
    FDT(fdt, fdt_end_node(fdt->data));

    FDT(fdt, fdt_begin_node(fdt->data, UART_NODE));
    FDT(fdt, fdt_property_string(fdt->data, "compatible", "arm,sbsa-uart"));
    CELLS(fdt, "reg", U64_CELLS(UART_BASE), U64_CELLS(UART_SIZE));
    CELLS(fdt, "interrupts", 0, UART_IRQ - 32, 4);
    FDT(fdt, fdt_property_u32(fdt->data, "current-speed", 115200));
    FDT(fdt, fdt_end_node(fdt->data));
}

static void add_machine(const Machine *m, Fdt *fdt, Range initrd)
{
    FDT(fdt, fdt_property_string(fdt->data, "compatible", "linux,dummy-virt"));
    FDT(fdt, fdt_property_string(fdt->data, "model", "minivmm"));
    FDT(fdt, fdt_property_u32(fdt->data, "interrupt-parent", GIC_PHANDLE));
    add_chosen(m, fdt, initrd);
    add_memory(m, fdt);
    add_devices(m, fdt);
}

static bool describe_by_fdt(const Machine *m, Range initrd, GError **error)
{
    Fdt fdt = {ram_at(m, FDT_BASE), 0};

    begin_root(&fdt);
    add_machine(m, &fdt, initrd);
    if (!fdt.error && (!vcpuhp_fdt_cpus(m->hp, fdt.data, CPU_PHANDLE, error) ||
                       !vcpuhp_fdt_psci(m->hp, fdt.data, error) ||
                       !vcpuhp_fdt_gic(m->hp, fdt.data, GIC_PHANDLE, MSI_PHANDLE, error) ||
                       !vcpuhp_fdt_pmu(m->hp, fdt.data, error)))
        return false;
    FDT(&fdt, fdt_end_node(fdt.data));
    FDT(&fdt, fdt_finish(fdt.data));
    return !fdt.error || fail_fdt(fdt_strerror(fdt.error), error);
}

static bool describe_by_acpi(const Machine *m, Range initrd, GError **error)
{
    Handover handover;
    const char *wrong;

    if (!tables_write(m, &handover, error))
        return false;
    wrong = handover_fdt(&handover, m->cmdline, initrd.start, initrd.end, ram_at(m, FDT_BASE),
                         FDT_SIZE);
    return !wrong || fail_fdt(wrong, error);
}

/* --- Kernel and initramfs --- */

typedef struct KernelHeader { /* Linux, Documentation/arch/arm64/booting.rst */
    uint32_t code[2];
    uint64_t text_offset, image_size, flags, reserved[3];
    uint8_t magic[4];
    uint32_t pe_header;
} KernelHeader;

/* More than any kernel's size, so that addresses computed from the file's header do not wrap. */
#define KERNEL_MAX UINT64_C(0x100000000)

static bool check_room(const Machine *m, const char *what, uint64_t end, GError **error)
{
    if (end <= RAM_BASE + m->ram_size)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
                "--mem is %" PRIu64 " MiB, but the %s needs %" PRIu64 " or more", m->ram_size / MIB,
                what, (end - RAM_BASE + MIB - 1) / MIB);
    return false;
}

static bool load_kernel(const Machine *m, Range *ret_range, GError **error)
{
    gsize size = g_mapped_file_get_length(m->kernel);
    const void *image = g_mapped_file_get_contents(m->kernel);
    const KernelHeader *header = image;

    if (size < sizeof(*header) || memcmp(header->magic, "ARM\x64", 4) || !header->image_size ||
        header->image_size > KERNEL_MAX || header->text_offset > KERNEL_MAX) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "--kernel: the file is not an arm64 Image of Linux 3.17 or newer (a "
                    "compressed one must be unpacked first)");
        return false;
    }
    ret_range->start = KERNEL_BASE + header->text_offset;
    ret_range->end = ret_range->start + MAX(header->image_size, size);
    if (!check_room(m, "kernel", ret_range->end, error))
        return false;
    memcpy(ram_at(m, ret_range->start), image, size);
    return true;
}

static bool load_initrd(const Machine *m, uint64_t after, Range *ret_range, GError **error)
{
    gsize size = m->initrd ? g_mapped_file_get_length(m->initrd) : 0;

    ret_range->start = (after + 2 * MIB - 1) & ~(2 * MIB - 1);
    ret_range->end = ret_range->start + size;
    if (!check_room(m, "initrd", ret_range->end, error))
        return false;
    if (size)
        memcpy(ram_at(m, ret_range->start), g_mapped_file_get_contents(m->initrd), size);
    return true;
}

bool boot_load(Machine *m, VcpuhpEntry *ret_entry, GError **error)
{
    Range kernel, initrd;

    /* The guest begins with its caches off, and KVM cleans a page to memory only when it maps it.
     * So at a reboot all pages are dropped, to be mapped again. */
    if (madvise(m->ram, m->ram_size, MADV_DONTNEED) < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "RAM: madvise: %s",
                    g_strerror(errno));
        return false;
    }
    if (!load_kernel(m, &kernel, error) || !load_initrd(m, kernel.end, &initrd, error) ||
        !(m->fdt ? describe_by_fdt(m, initrd, error) : describe_by_acpi(m, initrd, error)))
        return false;
    ram_written(m);
    *ret_entry =
        (VcpuhpEntry){.size = sizeof(VcpuhpEntry), .address = kernel.start, .context = FDT_BASE};
    return true;
}
