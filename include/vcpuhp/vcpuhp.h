/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vcpuhp.h
 * Virtual CPU hotplug on arm64 for any VMM: the context, its configuration, plug and unplug,
 * events, and the power of the machine.
 *
 * The other headers add one interface each. A function's prefix names its header:
 * - acpi.h (`vcpuhp_acpi_`): ACPI tables and AML;
 * - regs.h (`vcpuhp_regs_`): the register block that AML and firmware access;
 * - psci.h (`vcpuhp_psci_`): firmware calls of the guest;
 * - kvm.h (`vcpuhp_kvm_`): vCPUs, vGIC and exits on Linux KVM;
 * - fdt.h (`vcpuhp_fdt_`): device-tree nodes;
 * - state.h (`vcpuhp_save`, `_load`, `_resume`): snapshot and migration.
 *
 * ## Order of calls
 * 1. vcpuhp_config_init(), change the fields, vcpuhp_new().
 * 2. vcpuhp_kvm_setup() with the VM's fd, if the VMM uses KVM through this library.
 * 3. vcpuhp_acpi_build(): put the tables into guest memory.
 * 4. vcpuhp_start(), which asks for vCPU 0's thread through the vcpu_start callback.
 * 5. Pass exits on; call vcpuhp_plug() and vcpuhp_unplug(); call vcpuhp_dispatch() when the timer
 *    fd is readable.
 *
 * docs/integration.md explains the order for each kind of VMM.
 *
 * ## Threads
 * A context has one lock, which is internal. Unless a declaration says otherwise, every function
 * may be called from any thread at any time between vcpuhp_new() and vcpuhp_free(), and none waits
 * for a vCPU. A callback runs in the thread whose call caused it. The library holds no lock
 * meanwhile, and the callback may call every function except vcpuhp_free().
 *
 * ## Errors
 * A function that can fail takes a GError of the domain VCPUHP_ERROR. On failure it returns false
 * or NULL and has changed nothing, unless its documentation says otherwise. Out-parameters are
 * written on success only. A vCPU number that does not exist is never undefined behaviour: each
 * function documents its answer.
 *
 * ## Structs
 * Every struct that the VMM and the library exchange begins with its size, and only these structs
 * grow; structs inside them never change. Whoever allocates the struct sets `size` to its sizeof.
 * A later release adds fields at the end only. Therefore any two releases of the same soname work
 * together:
 * - A caller with a shorter (older) struct gets the defaults for the fields that it lacks.
 * - A caller with a longer (newer) struct must leave the fields that the library does not know 0.
 *   Otherwise the call fails with VCPUHP_ERROR_STRUCT.
 * - The library never writes past the caller's size. It sets the fields of a longer struct that it
 *   does not know to 0.
 * - A callback that reads a field that was added after the first release compares `size` first.
 */
#ifndef VCPUHP_VCPUHP_H
#define VCPUHP_VCPUHP_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vcpuhp/version.h>

G_BEGIN_DECLS

/** The most possible vCPUs of a machine, which is the limit of KVM's vGICv3. */
#define VCPUHP_MAX_VCPUS 512
/** The most possible vCPUs of a machine with a GICv2. */
#define VCPUHP_MAX_VCPUS_GICV2 8
/** The most GICv3 redistributor regions in a config. */
#define VCPUHP_MAX_REDISTS 16
/** The highest cache level in a config. */
#define VCPUHP_MAX_CACHE_LEVEL 7
/** The most caches in a config: two for each level. */
#define VCPUHP_MAX_CACHES (2 * VCPUHP_MAX_CACHE_LEVEL)
/** Bytes of one GICv3 redistributor: its RD and SGI frames (IHI 0069, 12.10). */
#define VCPUHP_REDIST_SIZE 0x20000
/** The vCPU number of an event that concerns no vCPU. */
#define VCPUHP_NO_VCPU UINT32_MAX

/** A context: the possible vCPUs of one virtual machine. */
typedef struct Vcpuhp Vcpuhp;

/** Error codes of the domain VCPUHP_ERROR. */
typedef enum {
    /** A config or an argument is impossible. The message names the field, its value and limit. */
    VCPUHP_ERROR_INVALID,
    /** The library cannot work with this size of a struct. The message names the struct, its size
     * and the library's. */
    VCPUHP_ERROR_STRUCT,
    /** There is no vCPU with this number. */
    VCPUHP_ERROR_NO_VCPU,
    /** Plug: the vCPU is already enabled. */
    VCPUHP_ERROR_ENABLED,
    /** Unplug, force: the vCPU is not enabled. */
    VCPUHP_ERROR_DISABLED,
    /** Unplug, force: the vCPU is enabled permanently. */
    VCPUHP_ERROR_FIXED,
    /** Another request for this vCPU is open. */
    VCPUHP_ERROR_PENDING,
    /** No open request has this id. */
    VCPUHP_ERROR_NO_REQUEST,
    /** The guest has seen the request, which can no longer be cancelled. */
    VCPUHP_ERROR_TOO_LATE,
    /** The call came too early, too late or twice. The message says which. */
    VCPUHP_ERROR_ORDER,
    /** The host's kernel or this build of the library lacks something. The message names it. */
    VCPUHP_ERROR_NOT_SUPPORTED,
    /** An ioctl or mmap failed. The message names it, its vCPU and errno. */
    VCPUHP_ERROR_KVM,
    /** The vcpu_start callback returned false. */
    VCPUHP_ERROR_NO_THREAD,
    /** libfdt failed. The message has the node and libfdt's own text. */
    VCPUHP_ERROR_FDT,
    /** A saved state is damaged, of a newer format, or of another machine. The message names the
     * field. */
    VCPUHP_ERROR_STATE,
} VcpuhpError;

/** The error domain. */
#define VCPUHP_ERROR (vcpuhp_error_quark())
/** @return the quark of VCPUHP_ERROR. */
VCPUHP_API GQuark vcpuhp_error_quark(void);

/** @name Configuration
 * @{ */

/** Whether vCPUs 1 … n_enabled-1, which are enabled when the machine boots, can be unplugged. */
typedef enum {
    /** They are enabled permanently: Enabled in the MADT and without `_EJ0`. A guest that cannot
     * hotplug uses them, too. */
    VCPUHP_COLDPLUG_FIXED,
    /** They are Online Capable in the MADT, as a disabled vCPU is, and enabled by `_STA`. They can
     * be unplugged. Linux before 6.11 ignores them. */
    VCPUHP_COLDPLUG_REMOVABLE,
} VcpuhpColdplug;

/** How many of each the next one holds. The product must be n_vcpus. vCPUs are numbered threads
 * first, then cores, clusters, sockets. All zero means one socket of n_vcpus cores. */
typedef struct VcpuhpTopology {
    uint32_t sockets;  /**< in the machine */
    uint32_t clusters; /**< per socket */
    uint32_t cores;    /**< per cluster */
    uint32_t threads;  /**< per core */
} VcpuhpTopology;

/** What a cache holds. */
typedef enum {
    VCPUHP_CACHE_DATA,        /**< data only */
    VCPUHP_CACHE_INSTRUCTION, /**< instructions only */
    VCPUHP_CACHE_UNIFIED,     /**< both */
} VcpuhpCacheType;

/** Whose threads share a cache. */
typedef enum {
    VCPUHP_CACHE_OF_CORE,    /**< those of a core */
    VCPUHP_CACHE_OF_CLUSTER, /**< those of a cluster; if a socket has one cluster, of the socket */
    VCPUHP_CACHE_OF_SOCKET,  /**< those of a socket */
} VcpuhpCacheScope;

/** A cache that every core, cluster or socket has. */
typedef struct VcpuhpCache {
    uint32_t level;         /**< 1 … VCPUHP_MAX_CACHE_LEVEL */
    VcpuhpCacheType type;   /**< what it holds */
    VcpuhpCacheScope scope; /**< who shares it */
    uint32_t size;          /**< bytes, a multiple of line_size * ways */
    uint32_t line_size;     /**< bytes, a power of two, 4 … 2048 */
    uint32_t ways;          /**< associativity, 1 … 255 */
} VcpuhpCache;

/** A contiguous region of GICv3 redistributors. */
typedef struct VcpuhpRedist {
    uint64_t base;  /**< guest-physical address, a multiple of 64 KiB */
    uint32_t count; /**< redistributors of VCPUHP_REDIST_SIZE bytes each */
} VcpuhpRedist;

/** The interrupt controller, as the tables, the device tree and KVM's vGIC describe it. */
typedef struct VcpuhpGic {
    /** 3 or 2. */
    uint32_t version;
    /** INTIDs of the distributor: 64 … 992, a multiple of 32. */
    uint32_t n_irqs;
    /** GICD: 64 KiB at a multiple of 64 KiB; GICv2: 4 KiB at a multiple of 4 KiB. */
    uint64_t dist_base;
    /** GICv3: the redistributors, in vCPU order. With one region, a count of 0 means n_vcpus;
     * otherwise the counts must add up to n_vcpus at least. */
    VcpuhpRedist redists[VCPUHP_MAX_REDISTS];
    /** GICv3: the number of regions, 1 … VCPUHP_MAX_REDISTS. */
    uint32_t n_redists;
    /** GICv3: the ITS, 128 KiB at a multiple of 64 KiB; 0: no ITS. */
    uint64_t its_base;
    /** GICv2: GICC, 8 KiB at a multiple of 4 KiB. */
    uint64_t cpu_base;
    /** GICv2: an MSI frame that the VMM emulates, 4 KiB; 0: none. */
    uint64_t v2m_base;
    /** GICv2: the first INTID of the MSI frame. */
    uint32_t v2m_spi_base;
    /** GICv2: the INTIDs of the MSI frame. */
    uint32_t v2m_spi_count;
} VcpuhpGic;

/** What the headers of the ACPI tables and the namespace contain. */
typedef struct VcpuhpAcpi {
    /** At most 6 printable ASCII characters; NULL: "VCPUHP". */
    const char *oem_id;
    /** At most 8 printable ASCII characters; NULL: "VCPUHP". */
    const char *oem_table_id;
    /** The VMM's own revision of the tables. */
    uint32_t oem_revision;
    /** Name of the processor container below `\_SB`: an ACPI name segment of 1 to 4 characters;
     * NULL: "CPUS". */
    const char *container_name;
    /** Name of the generic event device next to it; NULL: "CGED". */
    const char *ged_name;
    /** The VMM has an event device of its own, which evaluates vcpuhp_acpi_scan_method() when the
     * event interrupt arrives. The library then generates none. */
    bool external_ged;
} VcpuhpAcpi;

/** The fixed properties of a machine. Fill it with vcpuhp_config_init(), then change fields.
 * vcpuhp_new() copies arrays and strings. */
typedef struct VcpuhpConfig {
    /** sizeof(VcpuhpConfig), set by vcpuhp_config_init(). */
    size_t size;
    /** Possible vCPUs, 1 … VCPUHP_MAX_VCPUS, with GICv2 1 … VCPUHP_MAX_VCPUS_GICV2. A vCPU's
     * number, its ACPI UID and its KVM id are equal, 0 … n_vcpus-1. */
    uint32_t n_vcpus;
    /** vCPUs 0 … n_enabled-1 are enabled when the machine boots, 1 … n_vcpus. vCPU 0 is enabled
     * permanently. */
    uint32_t n_enabled;
    /** Whether the others of them can be unplugged. */
    VcpuhpColdplug coldplug;
    /** Sockets, clusters, cores and threads. */
    VcpuhpTopology topology;
    /** The caches for the PPTT, in ascending order of levels, none with a smaller scope than one
     * before it. A level has one unified cache, or one for data and one for instructions. NULL:
     * none; the guest then relies on CLIDR_EL1 and CCSIDR_EL1, which do not tell who shares a
     * cache. */
    const VcpuhpCache *caches;
    /** Elements of caches, at most VCPUHP_MAX_CACHES. */
    uint32_t n_caches;
    /** n_vcpus affinities, that is MPIDR_EL1 masked by 0xff00ffffff, each unique; NULL: those that
     * KVM assigns, 16 vCPUs to each Aff1. vcpuhp_kvm_setup() takes fewer with a GICv3. */
    const uint64_t *mpidrs;
    /** n_vcpus NUMA proximity domains; NULL: no NUMA, no SRAT. */
    const uint32_t *nodes;
    /** The interrupt controller. */
    VcpuhpGic gic;
    /** The register block: VCPUHP_REGS_SIZE bytes at a multiple of VCPUHP_REGS_SIZE. */
    uint64_t regs_base;
    /** The event interrupt: the INTID of a level-triggered SPI, 32 … gic.n_irqs-1. */
    uint32_t event_irq;
    /** The PMU's interrupt: the INTID of a PPI, 16 … 24 or 31 (BSA recommends 23); 0: no PMU. The
     * others are the GIC's maintenance interrupt and the timers' (BSA). */
    uint32_t pmu_irq;
    /** Names in the ACPI tables. */
    VcpuhpAcpi acpi;
    /** Milliseconds after which a request is raised again that the guest has taken, but neither
     * answered nor carried out. 0: never. */
    uint32_t retry_ms;
    /** Milliseconds after `_EJ0` in which the guest must turn the vCPU off and close the eject by
     * `_OST`, at least 1. Then the vCPU is parked by force, and a held plug waits no longer. */
    uint32_t eject_timeout_ms;
} VcpuhpConfig;

/** Fill a config with defaults according to config->size; see vcpuhp_config_init(). */
VCPUHP_API void vcpuhp_config_set_defaults(VcpuhpConfig *config, uint32_t n_vcpus,
                                           uint32_t n_enabled);

/** A config of n_vcpus possible vCPUs, n_enabled of them enabled at boot, and a memory map with
 * room for 512: GICv3 distributor at 0x08000000, redistributors from 0x0a000000, register block at
 * 0x09000000, event interrupt 33, 256 INTIDs, no ITS, no PMU, no NUMA, retry after 30 s, 30 s for
 * an eject. Never fails: vcpuhp_new() checks the numbers. */
static inline void vcpuhp_config_init(VcpuhpConfig *config, uint32_t n_vcpus, uint32_t n_enabled)
{
    config->size = sizeof(*config);
    vcpuhp_config_set_defaults(config, n_vcpus, n_enabled);
}

/** @}
 * @name Events
 * @{ */

/** Source events of `_OST` (ACPI 6.5, 6.3.5). */
typedef enum {
    VCPUHP_OST_SOURCE_BUS_CHECK = 0x000,     /**< answers a Bus Check */
    VCPUHP_OST_SOURCE_DEVICE_CHECK = 0x001,  /**< answers a Device Check */
    VCPUHP_OST_SOURCE_EJECT_REQUEST = 0x003, /**< answers an Eject Request */
    VCPUHP_OST_SOURCE_EJECT = 0x103,         /**< an eject that the guest began by itself */
    VCPUHP_OST_SOURCE_INSERT = 0x200,        /**< an insertion that the guest began by itself */
} VcpuhpOstSource;

/** Status codes of `_OST` (ACPI 6.5, 6.3.5). Codes from 0x80 on depend on the source. */
typedef enum {
    VCPUHP_OST_SUCCESS = 0x00,              /**< the operation succeeded */
    VCPUHP_OST_FAILURE = 0x01,              /**< it failed for no specific reason */
    VCPUHP_OST_UNRECOGNIZED = 0x02,         /**< the notification is unknown */
    VCPUHP_OST_EJECT_NOT_SUPPORTED = 0x80,  /**< eject: the OS does not support it */
    VCPUHP_OST_EJECT_IN_USE = 0x81,         /**< eject: an application uses the device */
    VCPUHP_OST_EJECT_BUSY = 0x82,           /**< eject: the device is busy */
    VCPUHP_OST_EJECT_DEPENDENCY = 0x83,     /**< eject: a dependent device is busy */
    VCPUHP_OST_EJECT_IN_PROGRESS = 0x84,    /**< eject: the OS is working on it */
    VCPUHP_OST_INSERT_IN_PROGRESS = 0x80,   /**< insertion: the OS is working on it */
    VCPUHP_OST_INSERT_DRIVER_FAILED = 0x81, /**< insertion: the driver failed to load */
    VCPUHP_OST_INSERT_NOT_SUPPORTED = 0x82, /**< insertion: the OS does not support it */
} VcpuhpOstStatus;

/** How a request ended. Each request ends exactly once, in one of these. */
typedef enum {
    /** Plug: the guest's OSPM reports that it has added the vCPU; with VCPUHP_UNTIL_ON, the vCPU
     * runs. Unplug: the vCPU is disabled, off and parked. */
    VCPUHP_OUTCOME_DONE,
    /** The guest refused. ost_status has its reason; VCPUHP_OST_SUCCESS means that the guest
     * ejected the vCPU while the plug was open. */
    VCPUHP_OUTCOME_REFUSED,
    /** No answer arrived in time. If the guest had not seen the request, it is undone. Otherwise
     * the vCPU is still enabled, and the guest may still act on the request. */
    VCPUHP_OUTCOME_TIMED_OUT,
    /** The request was cancelled before the guest saw it, overtaken by the opposite request or by
     * vcpuhp_force(), or ended by vcpuhp_free(). */
    VCPUHP_OUTCOME_CANCELLED,
} VcpuhpOutcome;

/** What an event reports. */
typedef enum {
    /** The guest's OSPM has taken notice of the request. */
    VCPUHP_EVENT_SEEN,
    /** The request has ended; see outcome. */
    VCPUHP_EVENT_ENDED,
    /** The guest evaluated `_OST`; see ost_source, ost_status and request. */
    VCPUHP_EVENT_OST,
    /** The vCPU runs. */
    VCPUHP_EVENT_ON,
    /** The vCPU has parked. */
    VCPUHP_EVENT_OFF,
    /** CPU_ON of a disabled vCPU was denied. Reported the 1st, 2nd, 4th, 8th … time; see count. */
    VCPUHP_EVENT_DENIED,
    /** `_EJ0` disabled the vCPU. The guest may still have to turn it off. */
    VCPUHP_EVENT_DISABLED,
    /** The vCPU is disabled and off. The VMM may release what it keeps for it. */
    VCPUHP_EVENT_EJECTED,
    /** As EJECTED, but without the guest's consent: vcpuhp_force() was called, or the guest did
     * not turn the vCPU off within eject_timeout_ms after `_EJ0`. */
    VCPUHP_EVENT_FORCED,
    /** The guest did something that no correct OS does; text says what. Reported the 1st, 2nd,
     * 4th, 8th … time, as DENIED is. */
    VCPUHP_EVENT_GUEST_ERROR,
    /** The host failed where no caller can be told; text names the ioctl and errno. If a guest's
     * call failed because of it, the call was answered INTERNAL_FAILURE. */
    VCPUHP_EVENT_HOST_ERROR,
    /** All vCPUs have parked after vcpuhp_stop(). */
    VCPUHP_EVENT_STOPPED,
} VcpuhpEventKind;

/** An event, valid during the callback. Only the fields that the kind names have a meaning. */
typedef struct VcpuhpEvent {
    /** sizeof(VcpuhpEvent), as the library knows it. */
    size_t size;
    /** What happened. */
    VcpuhpEventKind kind;
    /** The vCPU's number, or VCPUHP_NO_VCPU. */
    uint32_t vcpu;
    /** 1, 2, 3 … in the order in which the changes were made. Two threads that cause events at the
     * same time may deliver them in another order: of two events, the higher number is the later
     * one. */
    uint64_t sequence;
    /** SEEN, ENDED, OST: the request's id; 0: none. */
    uint32_t request;
    /** ENDED: how. */
    VcpuhpOutcome outcome;
    /** OST, and ENDED by it: VcpuhpOstSource, or another value that the guest chose. */
    uint32_t ost_source;
    /** OST, and ENDED by it: VcpuhpOstStatus, or another value that the guest chose. */
    uint32_t ost_status;
    /** DENIED, GUEST_ERROR: how often it has happened. */
    uint64_t count;
    /** GUEST_ERROR, HOST_ERROR: English text. */
    const char *text;
} VcpuhpEvent;

/** Describe an event in one line of English, including the meaning of `_OST` codes. Never fails:
 * what a shorter event lacks is left out.
 * @return a string that the caller frees by g_free(). */
VCPUHP_API char *vcpuhp_event_describe(const VcpuhpEvent *event);

/** The meaning of an `_OST` (ACPI 6.5, 6.3.5).
 * @return a static string, never NULL. */
VCPUHP_API const char *vcpuhp_ost_describe(uint32_t source, uint32_t status);

/** Where and how a vCPU begins to run (DEN0022F, 5.1.4 and 6.4). */
typedef struct VcpuhpEntry {
    /** sizeof(VcpuhpEntry). */
    size_t size;
    /** PC, a guest-physical address, a multiple of 4. */
    uint64_t address;
    /** X0. */
    uint64_t context;
    /** SCTLR_EL1.EE: data accesses are big-endian. */
    bool big_endian;
} VcpuhpEntry;

/** What the library asks of the VMM. Copied by vcpuhp_new(). */
typedef struct VcpuhpCallbacks {
    /** sizeof(VcpuhpCallbacks). */
    size_t size;
    /** The vCPU must run. With vcpuhp_kvm_setup() its registers are set, and it needs a thread
     * that runs the loop of kvm.h: a new one, or the one that the vCPU had before. Without KVM
     * the VMM sets the registers as entry says. entry is NULL if vcpuhp_resume() calls this for a
     * vCPU that goes on where it was (state.h). Must not wait for the vCPU. Returns false if no
     * thread can be had: the vCPU stays off and the guest's CPU_ON is answered INTERNAL_FAILURE.
     * Runs in the thread of the vCPU that called CPU_ON, or in that of vcpuhp_start() or
     * vcpuhp_resume(). Required. */
    bool (*vcpu_start)(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque);
    /** The vCPU's thread must leave KVM_RUN, where it is asked to park. A signal to the thread
     * serves; with vcpuhp_kvm_setup(), immediate_exit is already set. The vCPU may have parked by
     * itself in the meantime. Runs in any thread, including the vCPU's own. Required. */
    void (*vcpu_kick)(uint32_t vcpu, void *opaque);
    /** Set the level of the event interrupt's line. Calls are serialised. Required without
     * vcpuhp_kvm_setup(), ignored with it. */
    void (*irq_set)(bool level, void *opaque);
    /** Something happened. Must not block: the guest's access waits for it. The guest decides how
     * often OST, ON and OFF occur: a VMM that logs them limits the rate. Optional. */
    void (*event)(const VcpuhpEvent *event, void *opaque);
} VcpuhpCallbacks;

/** @}
 * @name Context
 * @{ */

/** Create a context. config and callbacks are copied. opaque is passed to every callback.
 * @return NULL on error: INVALID, STRUCT, or NOT_SUPPORTED if the host cannot create a timerfd. */
VCPUHP_API Vcpuhp *vcpuhp_new(const VcpuhpConfig *config, const VcpuhpCallbacks *callbacks,
                              void *opaque, GError **error);

/** End open requests as CANCELLED, close what vcpuhp_kvm_setup() opened, and free the context. No
 * thread may be inside the library or in KVM_RUN. NULL is allowed. */
VCPUHP_API void vcpuhp_free(Vcpuhp *hp);
/** g_autoptr(Vcpuhp) */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vcpuhp, vcpuhp_free)

/** The timer of all deadlines: requests, ejects, retries.
 * @return a timerfd, which is readable when vcpuhp_dispatch() is due. It belongs to the context and
 * never changes. */
VCPUHP_API int vcpuhp_timer_fd(const Vcpuhp *hp);

/** Act on every deadline that has passed. Cheap if none has. */
VCPUHP_API void vcpuhp_dispatch(Vcpuhp *hp);

/** @}
 * @name Plug and unplug
 *
 * docs/requests.md has the rules.
 * @{ */

/** What a request asks for besides its timeout. */
typedef enum {
    /** Plug: DONE only when the vCPU runs, not when `_OST` reports success. A guest that cannot
     * hotplug may report success (Linux 6.1 does), and whether a vCPU is brought online is up to
     * the guest's user space. */
    VCPUHP_UNTIL_ON = 1 << 0,
} VcpuhpRequestFlags;

/** Enable a vCPU and notify the guest. Returns at once; events with the request's id (SEEN, ENDED)
 * report the progress.
 *
 * If an unplug of this vCPU is open that the guest has not seen, it is cancelled and the plug is
 * DONE on return. After an eject, the plug is held until the guest has closed the eject by `_OST`
 * or config.eject_timeout_ms have passed.
 *
 * Errors: INVALID, NO_VCPU, ENABLED, PENDING; ORDER in a callback of vcpuhp_free().
 * @param hp the context
 * @param vcpu the vCPU's number
 * @param flags VcpuhpRequestFlags
 * @param timeout_ms milliseconds until the request ends as TIMED_OUT; 0: never
 * @param ret_request the request's id, never 0; may be NULL. Written before the first event.
 * @param error location of the error, or NULL */
VCPUHP_API bool vcpuhp_plug(Vcpuhp *hp, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms,
                            uint32_t *ret_request, GError **error);

/** Ask the guest to give a vCPU back. Returns at once, as vcpuhp_plug() does, with the same
 * parameters.
 *
 * If a plug of this vCPU is open that the guest has not seen, it is undone, and the unplug is DONE
 * as soon as the vCPU is off. A plug that the guest has seen is overtaken (CANCELLED).
 *
 * Errors: INVALID (flags must be 0), NO_VCPU, FIXED, DISABLED, PENDING; ORDER in a callback of
 * vcpuhp_free(). */
VCPUHP_API bool vcpuhp_unplug(Vcpuhp *hp, uint32_t vcpu, uint32_t flags, uint32_t timeout_ms,
                              uint32_t *ret_request, GError **error);

/** Withdraw a request that the guest has not seen. It ends CANCELLED, as if it had never been made.
 * Errors: NO_REQUEST, TOO_LATE. */
VCPUHP_API bool vcpuhp_cancel(Vcpuhp *hp, uint32_t request, GError **error);

/** Raise a request again that the guest has taken and seems to have forgotten. Has no effect on a
 * request that the guest has not taken. Errors: NO_REQUEST. */
VCPUHP_API bool vcpuhp_repeat(Vcpuhp *hp, uint32_t request, GError **error);

/** Disable a vCPU at once and park it, whatever the guest runs there. The guest is likely to crash
 * or hang. An open plug ends CANCELLED, an open unplug DONE. The event FORCED reports that the vCPU
 * has parked. Errors: NO_VCPU, FIXED, DISABLED. */
VCPUHP_API bool vcpuhp_force(Vcpuhp *hp, uint32_t vcpu, GError **error);

/** A vCPU's power state (DEN0022F, 6.6). */
typedef enum {
    VCPUHP_POWER_OFF,        /**< no thread runs it */
    VCPUHP_POWER_ON_PENDING, /**< CPU_ON was granted, its thread has not entered yet */
    VCPUHP_POWER_ON,         /**< its thread runs it */
} VcpuhpPower;

/** What an open request asks for. */
typedef enum {
    VCPUHP_REQUEST_NONE,   /**< no request is open */
    VCPUHP_REQUEST_PLUG,   /**< enable the vCPU */
    VCPUHP_REQUEST_UNPLUG, /**< disable it */
} VcpuhpRequestKind;

/** How far an open request has got. */
typedef enum {
    VCPUHP_REQUEST_HELD,   /**< a plug that waits for the end of an eject */
    VCPUHP_REQUEST_RAISED, /**< the guest is notified, and has not taken the event */
    VCPUHP_REQUEST_SEEN,   /**< the guest has taken the event; ost_status may say more */
} VcpuhpRequestState;

/** What is known of a vCPU. */
typedef struct VcpuhpVcpuInfo {
    /** sizeof(VcpuhpVcpuInfo), set by the caller. */
    size_t size;
    /** Affinity fields of MPIDR_EL1. */
    uint64_t mpidr;
    /** NUMA proximity domain, 0 without NUMA. */
    uint32_t node;
    /** The power state. */
    VcpuhpPower power;
    /** PSCI lets the guest turn it on. */
    bool enabled;
    /** It is enabled permanently. */
    bool fixed;
    /** The guest has begun an eject by `_EJ0`, and has not closed it by `_OST`. */
    bool ejecting;
    /** The open request, its state and id; the latter two are 0 without one. */
    VcpuhpRequestKind request_kind;
    VcpuhpRequestState request_state; /**< of the open request */
    uint32_t request;                 /**< id of the open request */
    uint32_t ost_source;              /**< of the last `_OST`, 0 before the first */
    uint32_t ost_status;              /**< of the last `_OST`, 0 before the first */
} VcpuhpVcpuInfo;

/** @return the number of possible vCPUs. */
VCPUHP_API uint32_t vcpuhp_n_vcpus(const Vcpuhp *hp);

/** Query a vCPU. Set ret_info->size before. Errors: STRUCT, NO_VCPU. */
VCPUHP_API bool vcpuhp_query(Vcpuhp *hp, uint32_t vcpu, VcpuhpVcpuInfo *ret_info, GError **error);

/** @}
 * @name Power of the machine
 * @{ */

/** Power the machine on: vCPU 0 begins at entry.
 * Errors: STRUCT; INVALID (a misaligned entry address); ORDER if vCPU 0 runs, the machine was
 * stopped and not reset since, or neither vcpuhp_kvm_setup() nor irq_set is there; KVM; NO_THREAD.
 */
VCPUHP_API bool vcpuhp_start(Vcpuhp *hp, const VcpuhpEntry *entry, GError **error);

/** Power the machine off. Every vCPU that runs is kicked and parks; CPU_ON is answered
 * INTERNAL_FAILURE from now on. Returns at once. The event STOPPED reports that the last vCPU has
 * parked, before the return if none runs.
 *
 * Calls that come before STOPPED share one STOPPED. A call after it is another stop: STOPPED is
 * reported again, and vcpuhp_start() fails until vcpuhp_reset() has succeeded once for each STOPPED
 * (at most twice). So no stop is lost in the middle of a reboot. */
VCPUHP_API void vcpuhp_stop(Vcpuhp *hp);

/** Reset the machine while no vCPU runs: power states and, with KVM, vCPUs and vGIC get the values
 * that they had at boot. In the redistributor of a vCPU that never ran, only pending interrupts are
 * reset, because no OS writes more there (docs/kvm.md). Policy stays: hot-added vCPUs are still enabled. Requests stay open, and
 * those that the guest had seen, but not carried out, are raised again. vcpuhp_start() follows.
 * Errors: ORDER if a vCPU runs or another reset is under way; KVM, after which the reset must be
 * repeated before vcpuhp_start(). */
VCPUHP_API bool vcpuhp_reset(Vcpuhp *hp, GError **error);

/** @}
 * @name vCPU threads without KVM
 *
 * A VMM that uses vcpuhp_kvm_setup() calls vcpuhp_kvm_enter() and vcpuhp_kvm_handle_exit() instead.
 * @{ */

/** A vCPU's thread is about to run it, after vcpu_start.
 * @return false if the vCPU must not run: there is no such vCPU, CPU_ON was not granted, or it was
 * called off in the meantime by a stop, a force or `_EJ0`. The vCPU then counts as parked. */
VCPUHP_API bool vcpuhp_vcpu_enter(Vcpuhp *hp, uint32_t vcpu);

/** Park a vCPU if it was asked to; in its thread, after a kick.
 * @return true if the thread must not run the vCPU again before the next vcpu_start: it has parked
 * by this call, was off already, or does not exist. */
VCPUHP_API bool vcpuhp_vcpu_park_if_asked(Vcpuhp *hp, uint32_t vcpu);

/** @}
 * @name Counters
 * @{ */

/** What the guest has caused since vcpuhp_new(). A reset does not clear it. */
typedef struct VcpuhpCounters {
    /** sizeof(VcpuhpCounters), set by the caller. */
    size_t size;
    uint64_t block_reads;    /**< reads of the 12-byte block */
    uint64_t block_writes;   /**< writes to it */
    uint64_t event_reads;    /**< reads of EVENT (docs/register-block.md) */
    uint64_t bitmap_reads;   /**< reads of ENABLED */
    uint64_t ost_writes;     /**< writes to OST */
    uint64_t eject_writes;   /**< writes to EJECT */
    uint64_t other_accesses; /**< IDENT, reserved offsets, unsupported widths */
    uint64_t cpu_on_granted; /**< CPU_ON that succeeded */
    uint64_t cpu_on_denied;  /**< CPU_ON of a disabled vCPU */
    uint64_t cpu_on_already; /**< CPU_ON of a vCPU that is on or ON_PENDING */
    uint64_t cpu_on_failed;  /**< CPU_ON with bad arguments, or while the machine stops */
    uint64_t cpu_off;        /**< CPU_OFF */
    uint64_t affinity_info;  /**< AFFINITY_INFO */
    uint64_t psci_other;     /**< all other PSCI calls */
    uint64_t irq_raised;     /**< rising edges of the event interrupt's line */
} VcpuhpCounters;

/** Read the counters. Set ret_counters->size before. Errors: STRUCT. */
VCPUHP_API bool vcpuhp_counters(Vcpuhp *hp, VcpuhpCounters *ret_counters, GError **error);

/** @} */

G_END_DECLS

#endif
