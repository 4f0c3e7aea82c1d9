/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "console.h"
#include "monitor.h"
#include "ram.h"
#include "resize.h"
#include "state.h"
#include "uart.h"

#define EXIT_BAD_OPTIONS 2

/* RAM that fits into 40-bit guest-physical addresses, in MiB. */
#define MEM_MAX ((1 << 20) - RAM_BASE / MIB)
/* What Linux is built for on arm64, in Debian. */
#define NODES_MAX 16

/* --- Options --- */

typedef struct Options {
    char *kernel, *initrd, *append, *console, *monitor, *events, *restore, *incoming;
    char *mem, *vcpus, *enabled, *coldplug, *topology, *nodes, *gic, *redists, *psci;
    gboolean fdt, its, pmu, sve, pauth, caches, own, warm_up, seccomp;
} Options;

static void options_clear(Options *o)
{
    char *strings[] = {o->kernel,   o->initrd,   o->append, o->console, o->monitor, o->events,
                       o->restore,  o->incoming, o->mem,    o->vcpus,   o->enabled, o->coldplug,
                       o->topology, o->nodes,    o->gic,    o->redists, o->psci};

    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++)
        g_free(strings[i]);
}

bool parse_number(const char *name, const char *text, uint32_t min, uint32_t max,
                  uint32_t *ret_number, GError **error)
{
    bool hex = g_str_has_prefix(text, "0x");
    guint64 value;

    if (g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, min, max, &value, NULL)) {
        *ret_number = value;
        return true;
    }
    if (min == 0 && max == G_MAXUINT32)
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s is \"%s\", not a number",
                    name, text);
    else
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "%s is \"%s\", not a number of %u … %u", name, text, min, max);
    return false;
}

/* A comma-separated list of min_n … max_n numbers; numbers has room for max_n. */
static bool parse_list(const char *name, const char *text, uint32_t min_n, uint32_t max_n,
                       uint32_t max, uint32_t *numbers, uint32_t *ret_n, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    uint32_t n = g_strv_length(words);

    if (n < min_n || n > max_n) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "%s is \"%s\", which is %u numbers, not %u … %u", name, text, n, min_n, max_n);
        return false;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!parse_number(name, words[i], 0, max, &numbers[i], error))
            return false;
    *ret_n = n;
    return true;
}

/* One of two words. */
static bool parse_choice(const char *name, const char *text, const char *no, const char *yes,
                         bool *ret_yes, GError **error)
{
    *ret_yes = text && !strcmp(text, yes);
    if (!text || *ret_yes || !strcmp(text, no))
        return true;
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s is \"%s\", not %s or %s", name,
                text, no, yes);
    return false;
}

static bool parse_redists(const char *text, VcpuhpGic *gic, GError **error)
{
    uint32_t counts[VCPUHP_MAX_REDISTS];
    uint64_t base = gic->redists[0].base;

    if (!parse_list("--redist-split", text, 1, VCPUHP_MAX_REDISTS, VCPUHP_MAX_VCPUS, counts,
                    &gic->n_redists, error))
        return false;
    for (uint32_t i = 0; i < gic->n_redists; i++) {
        gic->redists[i] = (VcpuhpRedist){.base = base, .count = counts[i]};
        base += (counts[i] + 1) * VCPUHP_REDIST_SIZE; /* a gap: regions need not be adjacent */
    }
    return true;
}

static bool parse_topology(const char *text, VcpuhpTopology *topology, GError **error)
{
    uint32_t counts[4], n;

    if (!parse_list("--topology", text, 4, 4, VCPUHP_MAX_VCPUS, counts, &n, error))
        return false;
    *topology = (VcpuhpTopology){counts[0], counts[1], counts[2], counts[3]};
    return true;
}

static bool parse_nodes(const char *text, VcpuhpConfig *config, GError **error)
{
    g_autofree uint32_t *nodes = NULL;
    uint32_t n;

    /* vcpuhp_new() refuses this number with a better message than parse_list() can give. */
    if (config->n_vcpus < 1 || config->n_vcpus > VCPUHP_MAX_VCPUS)
        return true;
    nodes = g_new(uint32_t, config->n_vcpus);
    if (!parse_list("--nodes", text, config->n_vcpus, config->n_vcpus, NODES_MAX - 1, nodes, &n,
                    error))
        return false;
    config->nodes = g_steal_pointer(&nodes);
    return true;
}

/* An example: a VMM that pins vCPUs describes the host's caches here. */
static const VcpuhpCache caches[] = {
    {1, VCPUHP_CACHE_DATA, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4},
    {1, VCPUHP_CACHE_INSTRUCTION, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4},
    {2, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_SOCKET, 8 << 20, 64, 16},
};

/* The library checks the numbers. */
static bool parse_config(const Options *o, VcpuhpConfig *config, VcpuhpKvmConfig *kvm,
                         GError **error)
{
    uint32_t n_vcpus = 1, n_enabled = 1, gic_version = 3;
    bool removable, whole;

    if ((o->vcpus && !parse_number("--vcpus", o->vcpus, 0, G_MAXUINT32, &n_vcpus, error)) ||
        (o->enabled && !parse_number("--enabled", o->enabled, 0, G_MAXUINT32, &n_enabled, error)) ||
        (o->gic && !parse_number("--gic", o->gic, 0, G_MAXUINT32, &gic_version, error)) ||
        !parse_choice("--coldplug", o->coldplug, "fixed", "removable", &removable, error) ||
        !parse_choice("--psci", o->psci, "sparse", "whole", &whole, error))
        return false;

    vcpuhp_config_init(config, n_vcpus, n_enabled);
    config->coldplug = removable ? VCPUHP_COLDPLUG_REMOVABLE : VCPUHP_COLDPLUG_FIXED;
    config->gic.version = gic_version;
    if (gic_version == 2)
        config->gic.cpu_base = GICC_BASE;
    if (o->its)
        config->gic.its_base = ITS_BASE;
    if (o->pmu)
        config->pmu_irq = PMU_IRQ;
    if (o->caches) {
        config->caches = caches;
        config->n_caches = G_N_ELEMENTS(caches);
    }

    vcpuhp_kvm_config_init(kvm, -1); /* create_vm() follows */
    kvm->psci = whole ? VCPUHP_KVM_PSCI_WHOLE : VCPUHP_KVM_PSCI_SPARSE;
    kvm->features = (o->sve ? VCPUHP_KVM_SVE : 0) | (o->pauth ? VCPUHP_KVM_PAUTH : 0);
    if (o->warm_up) {
        kvm->warm_up_base = WARM_UP_BASE;
        kvm->warm_up_slot = WARM_UP_SLOT;
    }
    return (!o->topology || parse_topology(o->topology, &config->topology, error)) &&
           (!o->nodes || parse_nodes(o->nodes, config, error)) &&
           (!o->redists || parse_redists(o->redists, &config->gic, error));
}

static GMappedFile *map_file(const char *option, const char *path, GError **error)
{
    GMappedFile *file = g_mapped_file_new(path, FALSE, error);

    if (!file)
        g_prefix_error(error, "%s: ", option);
    return file;
}

static bool parse_options(int argc, char **argv, Machine *m, Options *o, VcpuhpKvmConfig *kvm,
                          GError **error)
{
    g_autoptr(GOptionContext) context =
        g_option_context_new("- run a Linux guest with hotpluggable vCPUs");
    const GOptionEntry entries[] = {
        {"kernel", 0, 0, G_OPTION_ARG_FILENAME, &o->kernel, "arm64 Image", "FILE"},
        {"initrd", 0, 0, G_OPTION_ARG_FILENAME, &o->initrd, "Initramfs", "FILE"},
        {"append", 0, 0, G_OPTION_ARG_STRING, &o->append, "Kernel command line", "TEXT"},
        {"fdt", 0, 0, G_OPTION_ARG_NONE, &o->fdt, "Boot by device tree: no hotplug", NULL},
        {"mem", 0, 0, G_OPTION_ARG_STRING, &o->mem,
         "RAM (512; Linux takes 1 to 2 MiB for each possible vCPU)", "MIB"},
        {"vcpus", 0, 0, G_OPTION_ARG_STRING, &o->vcpus, "Possible vCPUs (1)", "N"},
        {"enabled", 0, 0, G_OPTION_ARG_STRING, &o->enabled, "Those of them enabled at boot (1)",
         "N"},
        {"coldplug", 0, 0, G_OPTION_ARG_STRING, &o->coldplug,
         "Whether these can be unplugged: fixed (no, the default) or removable", "HOW"},
        {"topology", 0, 0, G_OPTION_ARG_STRING, &o->topology,
         "Sockets, clusters, cores, threads, each per the one before", "S,C,C,T"},
        {"nodes", 0, 0, G_OPTION_ARG_STRING, &o->nodes, "Each vCPU's NUMA node", "N,..."},
        {"caches", 0, 0, G_OPTION_ARG_NONE, &o->caches,
         "Describe caches to the guest: one level in each core, one in each socket", NULL},
        {"gic", 0, 0, G_OPTION_ARG_STRING, &o->gic, "GIC version, 2 or 3 (3)", "N"},
        {"its", 0, 0, G_OPTION_ARG_NONE, &o->its, "GICv3 with an ITS", NULL},
        {"redist-split", 0, 0, G_OPTION_ARG_STRING, &o->redists,
         "GICv3 redistributors in each region (all in one)", "N,..."},
        {"pmu", 0, 0, G_OPTION_ARG_NONE, &o->pmu, "vCPUs with a PMU", NULL},
        {"sve", 0, 0, G_OPTION_ARG_NONE, &o->sve, "vCPUs with SVE", NULL},
        {"pauth", 0, 0, G_OPTION_ARG_NONE, &o->pauth, "vCPUs with pointer authentication", NULL},
        {"psci", 0, 0, G_OPTION_ARG_STRING, &o->psci,
         "PSCI calls that KVM forwards: sparse (those that hotplug needs, the default) or whole",
         "WHICH"},
        {"own-vcpus", 0, 0, G_OPTION_ARG_NONE, &o->own,
         "minivmm, not the library, creates vCPUs and GIC", NULL},
        {"warm-up", 0, 0, G_OPTION_ARG_NONE, &o->warm_up,
         "On hosts without FEAT_S2FWB: keep new vCPUs from making KVM clean all memory", NULL},
        {"seccomp", 0, 0, G_OPTION_ARG_NONE, &o->seccomp,
         "Allow each thread only the system calls that it needs", NULL},
        {"console", 0, 0, G_OPTION_ARG_FILENAME, &o->console,
         "Serial port on a Unix socket instead of the terminal", "SOCKET"},
        {"monitor", 0, 0, G_OPTION_ARG_FILENAME, &o->monitor, "Monitor on a Unix socket as well",
         "SOCKET"},
        {"events", 0, 0, G_OPTION_ARG_FILENAME, &o->events,
         "Append events to a file, as lines of JSON", "FILE"},
        {"restore", 0, 0, G_OPTION_ARG_FILENAME, &o->restore,
         "Go on with a machine that the monitor's save has written", "FILE"},
        {"incoming", 0, 0, G_OPTION_ARG_FILENAME, &o->incoming,
         "Wait for a machine that another minivmm migrates", "SOCKET"},
        {0},
    };
    uint32_t mem = 512;

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(
        context, "The serial port is on the terminal. Ctrl-A there begins a line that is a monitor "
                 "command.\nWith --console, the terminal is the monitor's alone.");
    if (!g_option_context_parse(context, &argc, &argv, error))
        return false;
    if (argc > 1 || !o->kernel) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    argc > 1 ? "\"%s\" is not an option" : "--kernel is missing", argv[1]);
        return false;
    }
    if ((o->mem && !parse_number("--mem", o->mem, 3, MEM_MAX, &mem, error)) ||
        !parse_config(o, &m->config, kvm, error))
        return false;
    if (!!o->restore + !!o->incoming + o->seccomp > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--restore, --incoming and --seccomp exclude each other");
        return false;
    }
    m->ram_size = mem * MIB;
    m->cmdline = o->append ? o->append : "";
    m->fdt = o->fdt;
    m->seccomp = o->seccomp;
    m->description = description_new(m, kvm);
    m->kernel = map_file("--kernel", o->kernel, error);
    if (m->kernel && o->initrd)
        m->initrd = map_file("--initrd", o->initrd, error);
    return m->kernel && (!o->initrd || m->initrd);
}

/* The library's messages begin with a field of its config. Put the option before it. */
static void name_option(GError *error)
{
    static const struct {
        const char *field, *option;
    } names[] = {
        {"n_vcpus", "--vcpus"},   {"n_enabled", "--enabled"}, {"topology", "--topology"},
        {"gic.version", "--gic"}, {"gic.its_base", "--its"},  {"gic.redists", "--redist-split"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_str_has_prefix(error->message, names[i].field)) {
            g_autofree char *text = g_steal_pointer(&error->message);

            error->message = g_strdup_printf("%s: %s", names[i].option, text);
            return;
        }
    }
}

/* --- Power --- */

bool machine_may_open(const Machine *m, GError **error)
{
    if (m->seccomp)
        g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                            "--seccomp: minivmm may open no file and no connection");
    return !m->seccomp;
}

bool machine_set_kernel(Machine *m, const char *path, GError **error)
{
    GMappedFile *kernel = machine_may_open(m, error) ? map_file("kernel", path, error) : NULL;

    if (!kernel)
        return false;
    g_mapped_file_unref(m->kernel);
    m->kernel = kernel;
    return true;
}

void machine_stop(Machine *m, guint after_stop)
{
    g_atomic_int_or(&m->after_stop, after_stop);
    vcpuhp_stop(m->hp);
}

/* A paused vCPU does not enter the guest again: the stop has kicked it. */
void machine_quit(Machine *m)
{
    machine_stop(m, AFTER_STOP_EXIT);
    vcpus_resume(m);
}

static bool power_on(Machine *m, GError **error)
{
    VcpuhpEntry entry;

    return boot_load(m, &entry, error) && vcpuhp_start(m->hp, &entry, error);
}

static void fail(Machine *m, const GError *error)
{
    fprintf(stderr, "minivmm: %s\n", error->message);
    m->exit_status = EXIT_FAILURE;
    g_main_loop_quit(m->loop);
}

static gboolean on_stopped(gpointer data)
{
    Machine *m = data;
    g_autoptr(GError) error = NULL;
    guint what = g_atomic_int_and(&m->after_stop, 0);

    if (what & AFTER_STOP_FAIL)
        m->exit_status = EXIT_FAILURE;
    if (what & (AFTER_STOP_FAIL | AFTER_STOP_EXIT)) {
        g_main_loop_quit(m->loop);
    } else if (what & AFTER_STOP_RESET) {
        /* Hot-added vCPUs stay enabled and open requests stay open: the guest finds both when it
         * has booted again. */
        if (!vcpuhp_reset(m->hp, &error)) {
            fail(m, error);
            return G_SOURCE_REMOVE;
        }
        uart_reset(m->uart);
        if (!power_on(m, &error))
            fail(m, error);
    }
    return G_SOURCE_REMOVE;
}

/* --- Callbacks --- */

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Machine *m = opaque;

    if (!m->moved) /* Otherwise the library ends requests here that go on elsewhere. */
        monitor_event(m->monitor, event);
    resize_event(m, event);
    if (event->kind == VCPUHP_EVENT_STOPPED)
        g_idle_add_full(G_PRIORITY_DEFAULT, on_stopped, m, NULL);
}

static gboolean on_timer(int fd G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
    vcpuhp_dispatch(((Machine *)data)->hp);
    return G_SOURCE_CONTINUE;
}

static gboolean on_signal(gpointer data)
{
    machine_quit(data);
    return G_SOURCE_CONTINUE;
}

static void uart_irq(bool level, void *opaque)
{
    Machine *m = opaque;
    struct kvm_irq_level irq = {
        .irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | UART_IRQ,
        .level = level,
    };

    ioctl(m->vm_fd, KVM_IRQ_LINE, &irq);
}

static void uart_wake(void *opaque)
{
    console_wake(((Machine *)opaque)->console);
}

bool fail_errno(const char *what, GError **error)
{
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", what,
                g_strerror(errno));
    return false;
}

static bool create_vm(Machine *m, GError **error)
{
    int ipa_bits;

    m->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (m->kvm_fd < 0)
        return fail_errno("/dev/kvm", error);
    /* As many bits of guest-physical addresses as the host has. 0 is KVM's default of 40. */
    ipa_bits = ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
    m->vm_fd = ioctl(m->kvm_fd, KVM_CREATE_VM, (unsigned long)MAX(ipa_bits, 0));
    if (m->vm_fd < 0)
        return fail_errno("KVM_CREATE_VM", error);
    return ram_create(m, error);
}

/* Let vCPUs run: as after power-on, or where they were. */
static bool begin(Machine *m, const Options *o, GError **error)
{
    if (!o->restore && !o->incoming)
        return power_on(m, error);
    if (!(o->restore ? file_restore(m, o->restore, error) : incoming_run(m, o->incoming, error)))
        return false;
    monitor_print("event: migration: the guest runs here\n");
    return true;
}

static bool run(Machine *m, const Options *o, VcpuhpKvmConfig *kvm, GError **error)
{
    static const UartCallbacks uart_callbacks = {.irq_set = uart_irq, .wake = uart_wake};

    /* vCPUs, GIC and forwarded calls are fixed here, before anything runs: KVM cannot add or change
     * any of them later. */
    if (!create_vm(m, error))
        return false;
    kvm->vm_fd = m->vm_fd;
    if ((o->own && !own_create(m, kvm, error)) || !vcpuhp_kvm_setup(m->hp, kvm, error))
        return false;

    vcpu_threads_init(m);
    m->uart = uart_new(&uart_callbacks, m);
    m->monitor = monitor_new(m, o->monitor, o->events, o->console != NULL, error);
    if (!m->monitor)
        return false;
    m->console = console_new(m, o->console, error);
    if (!m->console)
        return false;

    /* Before it creates threads, which inherit the filter. */
    if (m->seccomp && !seccomp_enter_main(error))
        return false;
    /* Last, because this starts threads. Until then a signal ends the process at once. */
    if (!begin(m, o, error))
        return false;
    g_unix_fd_add(vcpuhp_timer_fd(m->hp), G_IO_IN, on_timer, m);
    g_unix_signal_add(SIGINT, on_signal, m);
    g_unix_signal_add(SIGTERM, on_signal, m);
    g_main_loop_run(m->loop);
    return true;
}

/* All vCPUs have parked, or none has ever run. */
static void clean_up(Machine *m)
{
    migration_free(m->migration);
    vcpu_threads_end(m);
    vcpuhp_free(m->hp); /* reports open requests to the monitor */
    own_free(m->own);
    console_free(m->console);
    monitor_free(m->monitor);
    resize_free(m->resize);
    uart_free(m->uart);
    ram_free(m);
    if (m->vm_fd >= 0)
        close(m->vm_fd);
    if (m->kvm_fd >= 0)
        close(m->kvm_fd);
    g_clear_pointer(&m->kernel, g_mapped_file_unref);
    g_clear_pointer(&m->initrd, g_mapped_file_unref);
    g_free((uint32_t *)m->config.nodes);
    g_free(m->description);
    g_main_loop_unref(m->loop);
}

int main(int argc, char **argv)
{
    static const VcpuhpCallbacks callbacks = {
        .size = sizeof(VcpuhpCallbacks),
        .vcpu_start = vcpu_start,
        .vcpu_kick = vcpu_kick,
        .event = on_event,
    };
    Machine m = {.kvm_fd = -1, .vm_fd = -1, .loop = g_main_loop_new(NULL, FALSE)};
    Options options = {0};
    VcpuhpKvmConfig kvm;
    g_autoptr(GError) error = NULL;

    signal(SIGPIPE, SIG_IGN);
    if (parse_options(argc, argv, &m, &options, &kvm, &error))
        m.hp = vcpuhp_new(&m.config, &callbacks, &m, &error);
    if (!m.hp) {
        if (error->domain == VCPUHP_ERROR)
            name_option(error);
        m.exit_status = EXIT_BAD_OPTIONS;
    } else if (!run(&m, &options, &kvm, &error)) {
        m.exit_status = EXIT_FAILURE;
    }
    if (error)
        fprintf(stderr, "minivmm: %s\n", error->message);
    clean_up(&m);
    options_clear(&options);
    return m.exit_status;
}
