/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hands: Linux KVM on arm64. Creates every possible vCPU and the vGIC in the one order that
 * KVM takes, has PSCI calls forwarded to user space, and serves exits.
 *
 * A vCPU's thread, from the vcpu_start callback on:
 *
 *     struct kvm_run *run = vcpuhp_kvm_enter(hp, vcpu);
 *     while (run) {
 *         int error = ioctl(vcpuhp_kvm_vcpu_fd(hp, vcpu), KVM_RUN, 0) < 0 ? errno : 0;
 *         switch (vcpuhp_kvm_exit(hp, vcpu, error)) {
 *         case VCPUHP_EXIT_RESUME: break;
 *         case VCPUHP_EXIT_PARK:   run = NULL; break;
 *         case VCPUHP_EXIT_OTHER:  … the VMM's own devices …
 *         …
 */
#ifndef VCPUHP_KVM_H
#define VCPUHP_KVM_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

struct kvm_run;

#define VCPUHP_KVM_CONFIG_VERSION 1

/* Which SMCCC calls KVM hands to user space. Both leave no way past the policy. */
typedef enum {
    /* CPU_ON, CPU_OFF and AFFINITY_INFO, 32- and 64-bit. KVM keeps the rest: CPU_SUSPEND stays an
     * in-kernel WFI, SYSTEM_OFF and SYSTEM_RESET are KVM_EXIT_SYSTEM_EVENT. */
    VCPUHP_KVM_PSCI_SPARSE,
    /* Both PSCI ranges, all of which psci.h serves. */
    VCPUHP_KVM_PSCI_WHOLE,
} VcpuhpKvmPsci;

/* Features that every vCPU has, or none. The PMU follows from config.pmu_irq. */
typedef enum {
    VCPUHP_KVM_SVE = 1 << 0,   /* with every vector length that the host has */
    VCPUHP_KVM_PAUTH = 1 << 1, /* pointer authentication, address and generic */
} VcpuhpKvmFeatures;

typedef struct VcpuhpKvmConfig {
    uint32_t version; /* VCPUHP_KVM_CONFIG_VERSION */
    int vm_fd;        /* of KVM_CREATE_VM; stays the VMM's, must outlive the context */
    /* The vGIC, if the VMM created it itself (KVM_CREATE_DEVICE, addresses, KVM_DEV_ARM_VGIC_GRP_-
     * NR_IRQS, but not yet KVM_DEV_ARM_VGIC_CTRL_INIT); stays the VMM's, and so does the ITS then:
     * the VMM creates it, and resets it before vcpuhp_reset(). -1: the library does. */
    int vgic_fd;
    VcpuhpKvmPsci psci;
    uint32_t features; /* VcpuhpKvmFeatures */
} VcpuhpKvmConfig;

/*
 * Create and initialise every possible vCPU, disabled ones included, then the vGIC, then the
 * vCPUs' PMU, then the SMCCC filter. To be called once, after vcpuhp_new() and before the VM has
 * a vCPU or runs.
 *
 * Errors: CONFIG; ORDER; NOT_SUPPORTED when the host's KVM lacks what is needed, which is looked
 * for first and leaves the VM untouched; KVM when an ioctl fails on the way: what the library
 * opened is closed, but KVM can't take vCPUs back, so the VM is to be thrown away.
 */
VCPUHP_API bool vcpuhp_kvm_setup(Vcpuhp *hp, const VcpuhpKvmConfig *config, GError **error);

/* A vCPU's fd, for the VMM's own use while the vCPU is parked, or in its thread. Belongs to the
 * context. -1 before vcpuhp_kvm_setup() or for no vCPU. */
VCPUHP_API int vcpuhp_kvm_vcpu_fd(const Vcpuhp *hp, uint32_t vcpu);

/* The fds of the vGIC and its ITS, as vcpuhp_kvm_vcpu_fd(); -1: none. */
VCPUHP_API int vcpuhp_kvm_vgic_fd(const Vcpuhp *hp);
VCPUHP_API int vcpuhp_kvm_its_fd(const Vcpuhp *hp);

/*
 * The vCPU's thread is about to run it, after vcpu_start: its kvm_run structure (nothing of what
 * KVM maps behind it), which is valid until vcpuhp_kvm_exit() says that the vCPU has parked. NULL:
 * it was called off in the meantime, and counts as parked.
 */
VCPUHP_API struct kvm_run *vcpuhp_kvm_enter(Vcpuhp *hp, uint32_t vcpu);

/* What the vCPU's thread does after KVM_RUN. */
typedef enum {
    VCPUHP_EXIT_RESUME,     /* served, or nothing to serve: KVM_RUN again */
    VCPUHP_EXIT_OTHER,      /* the VMM's: run->exit_reason is neither the library's nor stale */
    VCPUHP_EXIT_PARK,       /* the vCPU is off: leave the loop, don't touch its fd and kvm_run. The
                               thread may end or wait for the next vcpu_start */
    VCPUHP_EXIT_SYSTEM_OFF, /* the guest turned the machine off: vcpuhp_stop(); then carry on, */
    VCPUHP_EXIT_SYSTEM_RESET, /* … reset it:       this vCPU's next vcpuhp_kvm_exit() says PARK */
    VCPUHP_EXIT_INTERRUPTED,  /* EINTR: the VMM's own signal; KVM_RUN again when it is dealt with */
    VCPUHP_EXIT_ERROR,        /* KVM_RUN failed otherwise, or an ioctl that serves the exit: event
                                 HOST_ERROR has told. The vCPU can't run on: vcpuhp_stop(), carry on */
} VcpuhpExit;

/*
 * Serve an exit: register block, forwarded calls, kicks. In the vCPU's thread, after each KVM_RUN.
 * error: 0, or the errno of a KVM_RUN that failed; then kvm_run's immediate_exit, which the VMM may
 * have set, is cleared. Blocks for nothing.
 */
VCPUHP_API VcpuhpExit vcpuhp_kvm_exit(Vcpuhp *hp, uint32_t vcpu, int error);

G_END_DECLS

#endif
