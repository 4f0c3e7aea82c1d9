/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libvcpuhp: virtual CPU hotplug on arm64, for any VMM.
 *
 * This header has the context: its configuration, plug and unplug, what can be asked of it and
 * what it tells. The faces have headers of their own: acpi.h (tables, AML, register block),
 * psci.h (firmware calls), kvm.h (vCPU fds, vGIC, exits), fdt.h (device-tree nodes).
 *
 * The order of things in a VMM:
 *
 *   1. vcpuhp_config_init(), adjust the fields, vcpuhp_new();
 *   2. vcpuhp_kvm_setup() with the VM's fd;
 *   3. build the tables, put them into guest memory;
 *   4. vcpuhp_start(), which asks for vCPU 0's thread through the vcpu_start callback;
 *   5. pass exits on; vcpuhp_plug(), vcpuhp_unplug(); vcpuhp_dispatch() when the timer fd is
 *      readable.
 *
 * Threads: a context has one lock, inside. Unless a declaration says otherwise, every function
 * may be called from any thread at any time between vcpuhp_new() and vcpuhp_free(), and none
 * waits for a vCPU. Callbacks run in the thread that caused them, with no lock held, and may
 * call back into the library, except vcpuhp_free().
 *
 * Errors: functions that can fail take a GError of the domain VCPUHP_ERROR, return false and have
 * changed nothing, unless they say otherwise. Out-parameters are written on success only.
 */
#ifndef VCPUHP_VCPUHP_H
#define VCPUHP_VCPUHP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#if defined(VCPUHP_BUILDING)
#define VCPUHP_API __attribute__((visibility("default")))
#else
#define VCPUHP_API
#endif

/* As many as KVM's vGICv3 knows. */
#define VCPUHP_MAX_VCPUS 512
/* As many as a GICv2 has. */
#define VCPUHP_MAX_VCPUS_GICV2 8
/* GICv3 redistributor regions that a config can name. */
#define VCPUHP_MAX_REDISTS 16
/* Levels of caches in a config, and as many caches as there can be on them. */
#define VCPUHP_MAX_CACHE_LEVEL 7
#define VCPUHP_MAX_CACHES      (2 * VCPUHP_MAX_CACHE_LEVEL)
/* Bytes of guest-physical address space that the register block takes (docs/register-block.md). */
#define VCPUHP_REGS_SIZE 0x80
/* Bytes of one GICv3 redistributor: its RD and SGI frames. */
#define VCPUHP_REDIST_SIZE 0x20000

/* A context: one virtual machine's possible vCPUs. */
typedef struct Vcpuhp Vcpuhp;

typedef enum {
    VCPUHP_ERROR_CONFIG,        /* the config is impossible; the message names the field */
    VCPUHP_ERROR_NO_VCPU,       /* no such slot */
    VCPUHP_ERROR_ENABLED,       /* plug: the vCPU is enabled already */
    VCPUHP_ERROR_DISABLED,      /* unplug, force: the vCPU is not enabled */
    VCPUHP_ERROR_FIXED,         /* unplug, force: the vCPU is enabled for good */
    VCPUHP_ERROR_PENDING,       /* another request on this vCPU is open */
    VCPUHP_ERROR_NO_REQUEST,    /* no open request has this id */
    VCPUHP_ERROR_TOO_LATE,      /* the guest has seen the request: it can't be taken back */
    VCPUHP_ERROR_ORDER,         /* called too early, too late or twice */
    VCPUHP_ERROR_NOT_SUPPORTED, /* the host's KVM, or this build, can't do it */
    VCPUHP_ERROR_KVM,           /* an ioctl failed; the message names it, its vCPU and errno */
    VCPUHP_ERROR_FDT,           /* libfdt failed; the message has the node and libfdt's text */
} VcpuhpError;

#define VCPUHP_ERROR (vcpuhp_error_quark())
VCPUHP_API GQuark vcpuhp_error_quark(void);

/* --- Configuration ------------------------------------------------------------------------- */

#define VCPUHP_CONFIG_VERSION 1

/* What vCPUs 1 … n_enabled-1, enabled when the machine boots, are. */
typedef enum {
    /* MADT Enabled, no _EJ0: an OS that can't hotplug uses them; never unplugged. */
    VCPUHP_COLDPLUG_FIXED,
    /* MADT Online Capable, as for a disabled vCPU, and _STA says that they are enabled: they can
     * be unplugged. Linux before 6.11 doesn't see them at all. */
    VCPUHP_COLDPLUG_REMOVABLE,
} VcpuhpColdplug;

/* How many of each the next one holds; their product is n_vcpus. vCPUs are numbered threads
 * first, then cores, clusters, sockets. All zero: one socket of n_vcpus cores. */
typedef struct VcpuhpTopology {
    uint32_t sockets;
    uint32_t clusters; /* per socket; 1 describes none in the PPTT */
    uint32_t cores;    /* per cluster */
    uint32_t threads;  /* per core */
} VcpuhpTopology;

typedef enum {
    VCPUHP_CACHE_DATA,
    VCPUHP_CACHE_INSTRUCTION,
    VCPUHP_CACHE_UNIFIED,
} VcpuhpCacheType;

/* Whose threads share it. */
typedef enum {
    VCPUHP_CACHE_OF_CORE,
    VCPUHP_CACHE_OF_CLUSTER, /* with topology.clusters 1 the same as of the socket */
    VCPUHP_CACHE_OF_SOCKET,
} VcpuhpCacheScope;

/* A cache that every core, cluster or socket has. */
typedef struct VcpuhpCache {
    uint32_t level; /* 1 … VCPUHP_MAX_CACHE_LEVEL */
    VcpuhpCacheType type;
    VcpuhpCacheScope scope;
    uint32_t size;      /* bytes: a multiple of line_size * ways */
    uint32_t line_size; /* bytes: a power of two, 4 … 2048 */
    uint32_t ways;      /* associativity, 1 … 255 */
} VcpuhpCache;

/* A row of count GICv3 redistributors, of VCPUHP_REDIST_SIZE bytes each. */
typedef struct VcpuhpRedist {
    uint64_t base; /* guest-physical, a multiple of 64 KiB */
    uint32_t count;
} VcpuhpRedist;

/* The interrupt controller as the tables, the device tree and KVM's vGIC have it. */
typedef struct VcpuhpGic {
    uint32_t version;   /* 3 or 2 */
    uint32_t n_irqs;    /* INTIDs the distributor has: 64 … 992, a multiple of 32 */
    uint64_t dist_base; /* GICD: 64 KiB at a multiple of 64 KiB (v2: 4 KiB of 4 KiB) */
    /* v3: the vCPUs' redistributors, in vCPU order. A count of 0 in the only region stands for
     * n_vcpus; else the counts must sum up to at least n_vcpus. */
    VcpuhpRedist redists[VCPUHP_MAX_REDISTS];
    uint32_t n_redists;
    uint64_t its_base; /* v3: 128 KiB at a multiple of 64 KiB; 0: no ITS */
    uint64_t cpu_base; /* v2: GICC, 8 KiB at a multiple of 4 KiB */
    /* v2: an MSI frame that the VMM itself provides, 4 KiB; 0: none. */
    uint64_t v2m_base;
    uint32_t v2m_spi_base; /* its first INTID */
    uint32_t v2m_spi_count;
} VcpuhpGic;

/* What goes into the ACPI tables' headers and namespace. Copied by vcpuhp_new(). */
typedef struct VcpuhpAcpi {
    const char *oem_id;       /* at most 6 printable characters; NULL: "VCPUHP" */
    const char *oem_table_id; /* at most 8; NULL: "VCPUHP" */
    uint32_t oem_revision;
    /* The CPU container's name below \_SB, an ACPI name segment of 1 to 4 characters; NULL:
     * "CPUS". The GED is its neighbour: */
    const char *container_name;
    /* NULL: "CGED". */
    const char *ged_name;
    /* The VMM has an event device of its own, which evaluates the scan method
     * (vcpuhp_acpi_scan_method()) when the interrupt comes: leave out the GED. */
    bool external_ged;
} VcpuhpAcpi;

/*
 * Fill by vcpuhp_config_init(), then adjust. Arrays are copied by vcpuhp_new().
 */
typedef struct VcpuhpConfig {
    uint32_t version;   /* VCPUHP_CONFIG_VERSION, set by vcpuhp_config_init() */
    uint32_t n_vcpus;   /* possible vCPUs, 1 … VCPUHP_MAX_VCPUS; slot, ACPI UID and KVM id are
                           the same number, 0 … n_vcpus-1 */
    uint32_t n_enabled; /* 1 … n_vcpus: vCPUs 0 … n_enabled-1 are enabled when the machine
                           boots; vCPU 0 always is, for good */
    VcpuhpColdplug coldplug;
    VcpuhpTopology topology;
    /* n_caches caches for the PPTT, by rising level, no scope smaller than one before it; on a
     * level there is one, unified, or one each for data and instructions. NULL: none; the guest
     * then knows what CLIDR_EL1 and CCSIDR_EL1 tell it, which is not who shares what. */
    const VcpuhpCache *caches;
    uint32_t n_caches;
    /* n_vcpus affinities (MPIDR_EL1 masked by 0xff00ffffff), unique; NULL: KVM's own, which is
     * 16 vCPUs to an Aff0 range. */
    const uint64_t *mpidrs;
    /* n_vcpus NUMA proximity domains; NULL: no NUMA, no SRAT. */
    const uint32_t *nodes;
    VcpuhpGic gic;
    /* The register block: VCPUHP_REGS_SIZE bytes at a multiple of VCPUHP_REGS_SIZE. */
    uint64_t regs_base;
    /* The event interrupt, a level SPI: an INTID 32 … gic.n_irqs-1. */
    uint32_t irq;
    /* The PMU's PPI, an INTID 16 … 31 (23 is customary), or 0: the vCPUs have no PMU. */
    uint32_t pmu_irq;
    VcpuhpAcpi acpi;
    /* Milliseconds until a request that the guest took, but neither answered nor carried out, is
     * raised again. 0: never. */
    uint32_t retry_ms;
    /* Milliseconds after _EJ0 in which the guest must turn the vCPU off and close the eject by
     * _OST; then the vCPU is parked by force, and a new plug waits no longer. At least 1. */
    uint32_t eject_ms;
} VcpuhpConfig;

/*
 * A config of n_vcpus possible vCPUs, n_enabled of them enabled at boot, and a machine map that
 * holds 512: GICv3 distributor at 0x08000000, redistributors from 0x0a000000, register block at
 * 0x09000000, event interrupt 33, 256 INTIDs, no ITS, no PMU, no NUMA; retry after 30 s, eject
 * within 30 s.
 */
VCPUHP_API void vcpuhp_config_init(VcpuhpConfig *config, uint32_t n_vcpus, uint32_t n_enabled);

/* --- Events -------------------------------------------------------------------------------- */

/* How a request ended. Each request ends once, in one of these. */
typedef enum {
    /* Plug: the guest says that it took the vCPU in (one that can't hotplug may say so too: only
     * event ON proves it); unplug: it is ejected. */
    VCPUHP_OUTCOME_DONE,
    VCPUHP_OUTCOME_REFUSED,   /* the guest said no; ost_status has its code */
    VCPUHP_OUTCOME_TIMED_OUT, /* no answer in time. If the guest had not seen the request, it is
                                 undone; else the vCPU is enabled, and may still change */
    VCPUHP_OUTCOME_CANCELLED, /* taken back before the guest saw it, or overtaken by the opposite
                                 request or a force */
} VcpuhpOutcome;

typedef enum {
    /* The guest's OSPM has taken notice of the request. */
    VCPUHP_EVENT_SEEN,
    /* The request has ended, see outcome. */
    VCPUHP_EVENT_ENDED,
    /* The guest evaluated _OST: ost_source, ost_status; request: the open one it belongs to. */
    VCPUHP_EVENT_OST,
    /* PSCI turned the vCPU on, off. */
    VCPUHP_EVENT_ON,
    VCPUHP_EVENT_OFF,
    /* CPU_ON of a disabled vCPU was denied. Told at the 1st, 2nd, 4th, 8th … time, see count. */
    VCPUHP_EVENT_DENIED,
    /* _EJ0: the vCPU is disabled. It may still have to turn itself off. */
    VCPUHP_EVENT_DISABLED,
    /* The vCPU is disabled and off: whatever the VMM keeps for it can go. */
    VCPUHP_EVENT_EJECTED,
    /* As EJECTED, without the guest's consent: vcpuhp_force(), or the guest had not turned the
     * vCPU off eject_ms after its _EJ0. */
    VCPUHP_EVENT_FORCED,
    /* The guest did what no sound OSPM does: text says what. Told as DENIED is. */
    VCPUHP_EVENT_GUEST_ERROR,
    /* The host failed in the midst of a guest's call, which was answered INTERNAL_FAILURE, or of
     * an interrupt: text names the ioctl and errno. */
    VCPUHP_EVENT_HOST_ERROR,
    /* After vcpuhp_stop(): the last vCPU has parked. */
    VCPUHP_EVENT_STOPPED,
} VcpuhpEventKind;

typedef struct VcpuhpEvent {
    VcpuhpEventKind kind;
    uint32_t vcpu;         /* the slot; n_vcpus or more if it concerns none */
    uint32_t request;      /* SEEN, ENDED, OST: the request's id, 0: none */
    VcpuhpOutcome outcome; /* ENDED */
    uint32_t ost_source;   /* OST, ENDED by it: ACPI 6.5, 6.3.5 */
    uint32_t ost_status;
    uint64_t count;   /* DENIED, GUEST_ERROR: how often by now */
    const char *text; /* GUEST_ERROR, HOST_ERROR: valid during the callback */
} VcpuhpEvent;

/* A short English sentence about the event, in one line, the meaning of _OST codes included.
 * The caller frees it by g_free(). */
VCPUHP_API char *vcpuhp_event_describe(const VcpuhpEvent *event);
/* The meaning of an _OST (ACPI 6.5, 6.3.5), never NULL. */
VCPUHP_API const char *vcpuhp_ost_describe(uint32_t source, uint32_t status);

/* Where and how a vCPU that was off begins to run (PSCI CPU_ON; DEN0022, 5.1.4 and 6.4). */
typedef struct VcpuhpEntry {
    uint64_t address; /* its PC, guest-physical */
    uint64_t context; /* its X0 */
    bool big_endian;  /* data accesses: its SCTLR_EL1.EE */
} VcpuhpEntry;

typedef struct VcpuhpCallbacks {
    /*
     * The vCPU is to run. With vcpuhp_kvm_setup() its registers are set already, and what is
     * needed is a thread that goes through kvm.h's loop; without, the VMM sets them as entry
     * says. Must not wait for the vCPU to run. Returns false if no thread can be had: the guest
     * is told INTERNAL_FAILURE, the vCPU stays off.
     * Called in the thread of the vCPU that called CPU_ON, or that of vcpuhp_start().
     */
    bool (*vcpu_start)(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque);
    /*
     * Get the vCPU's thread out of KVM_RUN, soon; it is asked to park there. A signal to the
     * thread does it; with vcpuhp_kvm_setup() immediate_exit is set already. The vCPU may have
     * parked by itself in the meantime. Called in any thread, that vCPU's own included.
     */
    void (*vcpu_kick)(uint32_t vcpu, void *opaque);
    /*
     * Drive the event interrupt's line. Needed without vcpuhp_kvm_setup() only, which drives the
     * vGIC itself; else NULL. Never called from two threads at once.
     */
    void (*irq_set)(bool level, void *opaque);
    /*
     * Something happened; see VcpuhpEventKind. Must not block: the guest's access waits for it.
     * The guest decides how often OST, ON and OFF come: a VMM that logs them sets a limit.
     * NULL: not told.
     */
    void (*event)(const VcpuhpEvent *event, void *opaque);
} VcpuhpCallbacks;

/* --- Context ------------------------------------------------------------------------------- */

/*
 * A new context. config and callbacks are copied. opaque is handed to the callbacks.
 * Returns NULL and sets error: CONFIG, or NOT_SUPPORTED when the host has no timerfd left.
 */
VCPUHP_API Vcpuhp *vcpuhp_new(const VcpuhpConfig *config, const VcpuhpCallbacks *callbacks,
                              void *opaque, GError **error);

/*
 * Free it, and close what vcpuhp_kvm_setup() opened. No vCPU thread may be inside the library or
 * KVM_RUN. NULL is allowed.
 */
VCPUHP_API void vcpuhp_free(Vcpuhp *hp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vcpuhp, vcpuhp_free)

/*
 * A timerfd that turns readable when vcpuhp_dispatch() is to be called: deadlines of requests,
 * of ejects, of retries. Belongs to the context; never changes.
 */
VCPUHP_API int vcpuhp_timer_fd(const Vcpuhp *hp);

/* Do what is due by now. Cheap when nothing is. */
VCPUHP_API void vcpuhp_dispatch(Vcpuhp *hp);

/* --- Plug and unplug ----------------------------------------------------------------------- */

/*
 * Enable a vCPU and tell the guest. Returns at once; what becomes of it is told by events that
 * carry the request's id (SEEN, ENDED). DONE says that the guest's OSPM took the vCPU in; whether
 * it brings it online (event ON) is up to the guest's user space.
 *
 * An unplug that the guest has not yet seen is cancelled by it, and the plug is done on return;
 * after an eject, it waits until the guest has closed the eject (_OST) or config.eject_ms are
 * over.
 *
 * timeout_ms: 0: for ever. ret_request: the id, never 0; may be NULL.
 * Errors: NO_VCPU, ENABLED, PENDING.
 */
VCPUHP_API bool vcpuhp_plug(Vcpuhp *hp, uint32_t vcpu, uint32_t timeout_ms, uint32_t *ret_request,
                            GError **error);

/*
 * Ask the guest to give a vCPU back. Returns at once, as vcpuhp_plug(). DONE says that the vCPU is
 * disabled, off and parked. A plug that the guest has not yet seen is undone by it, and the
 * unplug is done on return; one that it has seen is overtaken (CANCELLED).
 * Errors: NO_VCPU, FIXED, DISABLED, PENDING.
 */
VCPUHP_API bool vcpuhp_unplug(Vcpuhp *hp, uint32_t vcpu, uint32_t timeout_ms, uint32_t *ret_request,
                              GError **error);

/*
 * Take a request back; it ends CANCELLED, as if it had never been made.
 * Errors: NO_REQUEST, TOO_LATE.
 */
VCPUHP_API bool vcpuhp_cancel(Vcpuhp *hp, uint32_t request, GError **error);

/*
 * Raise a request again, for a guest that took it and seems to have forgotten it; before that it
 * has no effect. Errors: NO_REQUEST.
 */
VCPUHP_API bool vcpuhp_repeat(Vcpuhp *hp, uint32_t request, GError **error);

/*
 * Disable a vCPU at once and park it, whatever the guest runs there: the guest is likely to
 * crash or hang on it. An open request ends (an unplug DONE, a plug CANCELLED). Ends with event
 * FORCED when the vCPU has parked.
 * Errors: NO_VCPU, FIXED, DISABLED.
 */
VCPUHP_API bool vcpuhp_force(Vcpuhp *hp, uint32_t vcpu, GError **error);

typedef enum {
    VCPUHP_POWER_OFF,
    VCPUHP_POWER_ON_PENDING, /* CPU_ON was granted, its thread is under way */
    VCPUHP_POWER_ON,
} VcpuhpPower;

typedef enum {
    VCPUHP_REQUEST_NONE,
    VCPUHP_REQUEST_PLUG,
    VCPUHP_REQUEST_UNPLUG,
} VcpuhpRequestKind;

typedef enum {
    VCPUHP_REQUEST_HELD,   /* a plug that waits for the end of an eject */
    VCPUHP_REQUEST_RAISED, /* the guest is told, but has not looked */
    VCPUHP_REQUEST_SEEN,   /* the guest has taken notice, see ost_status for how far it is */
} VcpuhpRequestState;

typedef struct VcpuhpVcpuInfo {
    uint64_t mpidr; /* affinity fields only */
    uint32_t node;  /* 0 without NUMA */
    bool enabled;
    bool fixed;    /* enabled for good */
    bool ejecting; /* _EJ0 came; the guest has not closed it by _OST */
    VcpuhpPower power;
    /* The open request. */
    VcpuhpRequestKind request_kind;
    VcpuhpRequestState request_state;
    uint32_t request;
    /* The last _OST, 0 and 0 before the first. */
    uint32_t ost_source, ost_status;
} VcpuhpVcpuInfo;

VCPUHP_API uint32_t vcpuhp_n_vcpus(const Vcpuhp *hp);
/* Errors: NO_VCPU. */
VCPUHP_API bool vcpuhp_query(Vcpuhp *hp, uint32_t vcpu, VcpuhpVcpuInfo *ret_info, GError **error);

/* --- The machine's power ------------------------------------------------------------------- */

/*
 * Power the machine on: vCPU 0 begins at entry. Everything else is set up.
 * Errors: ORDER when a vCPU runs, or the machine was stopped and not reset; KVM, also when
 * vcpu_start has no thread.
 */
VCPUHP_API bool vcpuhp_start(Vcpuhp *hp, const VcpuhpEntry *entry, GError **error);

/*
 * Power it off: every running vCPU is kicked, and parks; CPU_ON is answered INTERNAL_FAILURE from
 * here on. Returns at once; event STOPPED tells when the last one has parked (before it returns,
 * when none runs). Called from a vCPU's own thread, that vCPU's next vcpuhp_kvm_exit() says PARK.
 */
VCPUHP_API void vcpuhp_stop(Vcpuhp *hp);

/*
 * Reset it, when stopped: power states and, with KVM, vCPUs and vGIC go back to what they were at
 * boot. Policy stays: hot-added vCPUs are still enabled. Requests stay, and those that the
 * guest had seen but not carried out are raised again. Then vcpuhp_start().
 * Errors: ORDER when a vCPU runs; KVM.
 */
VCPUHP_API bool vcpuhp_reset(Vcpuhp *hp, GError **error);

/* --- Counters ------------------------------------------------------------------------------ */

/* What the guest cost since vcpuhp_new(); reset doesn't clear them. */
typedef struct VcpuhpCounters {
    uint64_t block_reads, block_writes; /* the 12-byte block: each was a VM exit */
    uint64_t event_reads;               /* the extension (docs/register-block.md), by register */
    uint64_t bitmap_reads;
    uint64_t ost_writes;
    uint64_t eject_writes;
    uint64_t other_accesses; /* IDENT, reserved offsets, wrong widths */
    uint64_t cpu_on[4];      /* PSCI CPU_ON: done, denied, already on or pending, refused else */
    uint64_t cpu_off;
    uint64_t affinity_info;
    uint64_t psci_other;
    uint64_t irq_raised; /* rising edges of the event interrupt */
    uint64_t events;     /* told through the callback */
} VcpuhpCounters;

VCPUHP_API void vcpuhp_counters(Vcpuhp *hp, VcpuhpCounters *ret_counters);

G_END_DECLS

#endif
