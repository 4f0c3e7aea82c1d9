/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file kvm.h
 * Linux KVM on arm64: vCPUs and vGIC in the one order that KVM accepts, PSCI calls forwarded to
 * user space, and exits served. docs/kvm.md has the orders and their reasons, docs/integration.md
 * the ways into an existing VMM.
 *
 * The library creates the vCPUs and the vGIC, or the VMM creates and lends them.
 *
 * A vCPU's thread, from the vcpu_start callback on:
 * @code
 *     struct kvm_run *run = vcpuhp_kvm_enter(hp, vcpu);
 *     while (run) {
 *         int error = ioctl(vcpuhp_kvm_vcpu_fd(hp, vcpu), KVM_RUN, 0) < 0 ? errno : 0;
 *         switch (vcpuhp_kvm_handle_exit(hp, vcpu, error)) {
 *         case VCPUHP_KVM_EXIT_RESUME: break;
 *         case VCPUHP_KVM_EXIT_PARK:   run = NULL; break;
 *         case VCPUHP_KVM_EXIT_OTHER:  … the VMM's own devices …
 *         …
 * @endcode
 */
#ifndef VCPUHP_KVM_H
#define VCPUHP_KVM_H

#include <string.h>

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

struct kvm_run;
struct kvm_vcpu_init;

/** The size of what warm_up_base names: a page of any host. */
#define VCPUHP_KVM_WARM_UP_SIZE 0x10000

/** Which SMCCC calls KVM forwards to user space. Neither choice leaves a way around the policy. */
typedef enum {
    /** CPU_ON, CPU_OFF and AFFINITY_INFO, 32- and 64-bit. KVM keeps the others: CPU_SUSPEND waits
     * in the kernel; SYSTEM_OFF and SYSTEM_RESET exit with KVM_EXIT_SYSTEM_EVENT. */
    VCPUHP_KVM_PSCI_SPARSE,
    /** Both PSCI ranges. psci.h serves all of them. */
    VCPUHP_KVM_PSCI_WHOLE,
} VcpuhpKvmPsci;

/** Features of vCPUs that the library creates. All vCPUs have them, or none. They have a PMU if
 * config.pmu_irq is set. */
typedef enum {
    VCPUHP_KVM_SVE = 1 << 0,   /**< SVE, with every vector length of the host unless narrowed */
    VCPUHP_KVM_PAUTH = 1 << 1, /**< pointer authentication, address and generic */
} VcpuhpKvmFeatures;

/** Where vcpuhp_kvm_setup() has got to with a vCPU when it calls prepare_vcpu. */
typedef enum {
    /** KVM_ARM_VCPU_INIT is done, KVM_ARM_VCPU_FINALIZE is not: KVM_REG_ARM64_SVE_VLS can be set.
     * Called for every vCPU, whether it has SVE or not. */
    VCPUHP_KVM_STEP_INITIALISED,
    /** The vGIC is initialised, the PMU is not: KVM_ARM_VCPU_PMU_V3_SET_PMU and
     * KVM_ARM_VCPU_PMU_V3_FILTER can be set. Called for every vCPU if config.pmu_irq is set. */
    VCPUHP_KVM_STEP_BEFORE_PMU,
} VcpuhpKvmStep;

/** What vcpuhp_kvm_setup() works with. Fill it with vcpuhp_kvm_config_init(), then change fields.
 * vcpuhp_kvm_setup() copies it; the fds and mappings that it lends stay the VMM's and must outlive
 * the context. */
typedef struct VcpuhpKvmConfig {
    /** sizeof(VcpuhpKvmConfig), set by vcpuhp_kvm_config_init(). */
    size_t size;
    /** The VM's fd (KVM_CREATE_VM). Stays the VMM's. */
    int vm_fd;
    /** Which calls are forwarded. */
    VcpuhpKvmPsci psci;
    /** VcpuhpKvmFeatures of vCPUs that the library creates; 0 with vcpu_fds. */
    uint32_t features;
    /** The VMM's own vGIC, with its addresses and number of interrupts set; -1: the library creates
     * one. Without vcpu_fds it must not be initialised yet: the library does that after it has
     * created the vCPUs. With vcpu_fds it must be initialised. */
    int vgic_fd;
    /** The VMM's own ITS, with its address set, if config.gic.its_base is set and the vGIC is the
     * VMM's; otherwise -1. vcpuhp_reset() resets it with the vGIC. */
    int its_fd;
    /** n_vcpus fds of the VMM's own vCPUs, by vCPU number; NULL: the library creates them. They are
     * complete: initialised with KVM_ARM_VCPU_PSCI_0_2 and *vcpu_init, finalised, with their
     * MPIDR_EL1 and PMU set, and none has run. Requires vgic_fd. */
    const int *vcpu_fds;
    /** With vcpu_fds: the VMM's mappings of each vCPU's kvm_run. The library reads and writes
     * struct kvm_run only, never what KVM maps behind it, and never unmaps it. */
    struct kvm_run *const *vcpu_runs;
    /** With vcpu_fds: what KVM_ARM_VCPU_INIT was called with; KVM_ARM_VCPU_POWER_OFF may differ. */
    const struct kvm_vcpu_init *vcpu_init;
    /** Without vcpu_fds: change a vCPU between two steps of the setup, by ioctls on fd. opaque is
     * that of vcpuhp_new(). Returns false and sets error to make the setup fail with that error.
     * NULL: nothing is changed. */
    bool (*prepare_vcpu)(VcpuhpKvmStep step, uint32_t vcpu, int fd, void *opaque, GError **error);
    /** Warm-up, which spares a big guest a long pause on hosts without FEAT_S2FWB; elsewhere it has
     * no effect. The guest-physical address of VCPUHP_KVM_WARM_UP_SIZE bytes, a multiple of that
     * and below 2^48, where nothing else is: the library puts read-only memory there, from which
     * vcpuhp_kvm_enter() runs a vCPU that is powered on for the first time. docs/kvm.md has the
     * reasons. 0: none. */
    uint64_t warm_up_base;
    /** With warm_up_base: a slot of KVM_SET_USER_MEMORY_REGION that the VMM does not use. */
    uint32_t warm_up_slot;
} VcpuhpKvmConfig;

/** A config with no features and nothing lent. */
static inline void vcpuhp_kvm_config_init(VcpuhpKvmConfig *config, int vm_fd)
{
    memset(config, 0, sizeof(*config));
    config->size = sizeof(*config);
    config->vm_fd = vm_fd;
    config->vgic_fd = config->its_fd = -1;
}

/** Create and initialise every possible vCPU, including disabled ones, the vGIC, the PMUs and the
 * SMCCC filter; or check what the VMM lends against the config of vcpuhp_new(), and set the filter.
 * Call it once, after vcpuhp_new() and before the VM has run.
 *
 * With a GICv3 it refuses affinities in config.mpidrs that KVM's own cannot serve: those with
 * Aff3, which KVM's GICR_TYPER lacks, so that the CPU finds no redistributor; and those with an
 * Aff0 above 15, which no SGI of KVM's reaches (no range selector). vcpuhp_new() takes both: a VMM
 * without KVM may have an interrupt controller that serves them.
 *
 * Errors: STRUCT; ORDER, also if the VM of lent vCPUs has run; INVALID, also if something lent
 * contradicts the config: the message names the field; NOT_SUPPORTED if the host's KVM lacks
 * something. After these the VM is unchanged. KVM, or prepare_vcpu's own, if a later step fails:
 * the library closes what it opened, but KVM cannot take back vCPUs that the library created, nor
 * the SMCCC filter, so the VM is lost. */
VCPUHP_API bool vcpuhp_kvm_setup(Vcpuhp *hp, const VcpuhpKvmConfig *config, GError **error);

/** A vCPU's fd, for ioctls of the VMM's own while the vCPU is off, or in its thread.
 * @return the fd, which belongs to the context or is the VMM's own; -1 before vcpuhp_kvm_setup() or
 * if there is no such vCPU. */
VCPUHP_API int vcpuhp_kvm_vcpu_fd(const Vcpuhp *hp, uint32_t vcpu);

/** @return the vGIC's fd, as vcpuhp_kvm_vcpu_fd() does; -1: none. */
VCPUHP_API int vcpuhp_kvm_vgic_fd(const Vcpuhp *hp);
/** @return the ITS's fd, as vcpuhp_kvm_vcpu_fd() does; -1: none. */
VCPUHP_API int vcpuhp_kvm_its_fd(const Vcpuhp *hp);

/** A vCPU's thread is about to run it, after vcpu_start. With config.warm_up_base this may call
 * KVM_RUN, for a few instructions of the library's own.
 * @return the vCPU's kvm_run: the VMM's own mapping if it lent one, otherwise a mapping of the
 * structure alone, valid until vcpuhp_free(). NULL if the vCPU must not run, as for
 * vcpuhp_vcpu_enter(), or before vcpuhp_kvm_setup(). */
VCPUHP_API struct kvm_run *vcpuhp_kvm_enter(Vcpuhp *hp, uint32_t vcpu);

/** What a vCPU's thread does after an exit. */
typedef enum {
    /** The exit is served, or there was nothing to serve: call KVM_RUN again. */
    VCPUHP_KVM_EXIT_RESUME,
    /** The exit is the VMM's: serve it according to run->exit_reason, then call KVM_RUN again. This
     * includes KVM_EXIT_MEMORY_FAULT, for which KVM_RUN fails. */
    VCPUHP_KVM_EXIT_OTHER,
    /** The vCPU is off: leave the loop and do not use its fd and kvm_run. The thread ends or waits
     * for the next vcpu_start. */
    VCPUHP_KVM_EXIT_PARK,
    /** The guest powers the machine off: vcpuhp_stop(), then call KVM_RUN again, after which
     * vcpuhp_kvm_handle_exit() returns PARK. */
    VCPUHP_KVM_EXIT_SYSTEM_OFF,
    /** The guest resets the machine: as SYSTEM_OFF; vcpuhp_reset() and vcpuhp_start() follow. */
    VCPUHP_KVM_EXIT_SYSTEM_RESET,
    /** KVM_RUN failed with EINTR: a signal of the VMM's own. Call KVM_RUN again afterwards. */
    VCPUHP_KVM_EXIT_INTERRUPTED,
    /** KVM_RUN or an ioctl that serves the exit failed, as the event HOST_ERROR has reported. The
     * vCPU cannot run on: as SYSTEM_OFF. */
    VCPUHP_KVM_EXIT_ERROR,
} VcpuhpKvmExit;

/** Serve an exit: register block, forwarded calls, kicks. In the vCPU's thread, after each KVM_RUN.
 * Never blocks.
 * @param hp the context
 * @param vcpu the vCPU's number
 * @param error 0, or the errno of a KVM_RUN that failed; kvm_run's immediate_exit, which the VMM
 * may have set, is then cleared
 * @return what to do; PARK, without any effect, before vcpuhp_kvm_setup(), if there is no such vCPU
 * or it is not on */
VCPUHP_API VcpuhpKvmExit vcpuhp_kvm_handle_exit(Vcpuhp *hp, uint32_t vcpu, int error);

/** @name State
 *
 * state.h has the order of these calls, docs/migration.md the reasons for it.
 * @{ */

/** What a host must offer to run this guest: features and vector lengths of the vCPUs, PSCI version
 * and other firmware registers, ID registers, counters of the PMU, revisions of the vGIC and the
 * ITS. It does not change while the machine exists, so that a target can refuse before memory is
 * copied. Errors: ORDER before vcpuhp_kvm_setup(), KVM.
 * @return the description, which the caller frees by g_bytes_unref(). */
VCPUHP_API GBytes *vcpuhp_kvm_save_host(Vcpuhp *hp, GError **error);

/** Give every vCPU and the vGIC what vcpuhp_kvm_save_host() described. After vcpuhp_kvm_setup(),
 * before the VM has run.
 * Errors: ORDER; STATE if the description is damaged, of a newer format, or of a machine with another
 * psci, another version of the GIC, or an ITS more or less; NOT_SUPPORTED if this host cannot offer
 * it: the message names the register or the feature and both values; KVM. After the latter two the
 * vCPUs may have part of it. */
VCPUHP_API bool vcpuhp_kvm_load_host(Vcpuhp *hp, GBytes *host, GError **error);

/** Save KVM's state: registers and events of each vCPU that is on, vGIC, ITS, and the VM's counters.
 * Writes the vGIC's pending tables and the ITS's tables into the guest's memory first. While it
 * runs, no thread may be in KVM_RUN. Errors: ORDER before vcpuhp_kvm_setup(), KVM.
 * @return the state, which the caller frees by g_bytes_unref(). */
VCPUHP_API GBytes *vcpuhp_kvm_save(Vcpuhp *hp, GError **error);

/** Load what vcpuhp_kvm_save() returned. After vcpuhp_kvm_load_host(), vcpuhp_load() and the guest's
 * memory, before the VM has run.
 * Errors: ORDER; STATE if it is damaged, of a newer format, of other vCPUs than vcpuhp_load() has
 * turned on, or has registers that these vCPUs lack: then nothing has changed; KVM, after which the
 * VM is lost. */
VCPUHP_API bool vcpuhp_kvm_load(Vcpuhp *hp, GBytes *state, GError **error);

/** @} */

G_END_DECLS

#endif
