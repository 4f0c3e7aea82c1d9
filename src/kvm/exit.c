/* SPDX-License-Identifier: BSD-3-Clause */
/* A vCPU's thread: its way into the guest, and what brings it back. */
#include "kvm/kvm.h"

#include <errno.h>
#include <linux/psci.h>

#include <vcpuhp/psci.h>
#include <vcpuhp/regs.h>

#include "error.h"
#include "ioctl.h"
#include "kvm/warm_up.h"

/* Linux 6.8 */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

/* The vCPU can't run: it is off, as if it had called CPU_OFF. */
static void give_up(Kvm *kvm, uint32_t vcpu, const GError *error)
{
    uint64_t x[4] = {PSCI_0_2_FN_CPU_OFF};

    context_host_error(kvm->hp, vcpu, error);
    vcpuhp_psci_call(kvm->hp, vcpu, x, false);
}

struct kvm_run *vcpuhp_kvm_enter(Vcpuhp *hp, uint32_t vcpu)
{
    Kvm *kvm = kvm_of(hp);
    g_autoptr(GError) error = NULL;

    if (!kvm || !vcpuhp_vcpu_enter(hp, vcpu))
        return NULL;
    if (!kvm_warm_up(kvm, vcpu, &error)) {
        give_up(kvm, vcpu, error);
        return NULL;
    }
    kvm->vcpus[vcpu].entered = true;
    return kvm->vcpus[vcpu].run;
}

static VcpuhpKvmExit fail(Kvm *kvm, uint32_t vcpu, const GError *error)
{
    context_host_error(kvm->hp, vcpu, error);
    return VCPUHP_KVM_EXIT_ERROR;
}

/* Linux fails KVM_RUN, and yet describes an access to memory that user space must provide. */
static bool is_memory_fault(const struct kvm_run *run, int error)
{
    return (error == EFAULT || error == EHWPOISON) && run->exit_reason == KVM_EXIT_MEMORY_FAULT;
}

/*
 * KVM_RUN failed: exit_reason is the last exit's, which was served then, unless it is a memory
 * fault. The order matters: a kick that comes after immediate_exit is cleared is seen by the park,
 * or by the next KVM_RUN.
 */
static VcpuhpKvmExit not_run(Kvm *kvm, uint32_t vcpu, int error)
{
    struct kvm_run *run = kvm->vcpus[vcpu].run;
    g_autoptr(GError) host_error = NULL;

    __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_RELAXED);
    if (vcpuhp_vcpu_park_if_asked(kvm->hp, vcpu))
        return VCPUHP_KVM_EXIT_PARK;
    if (error == EINTR)
        return VCPUHP_KVM_EXIT_INTERRUPTED;
    if (error == EAGAIN)
        return VCPUHP_KVM_EXIT_RESUME;
    if (is_memory_fault(run, error))
        return VCPUHP_KVM_EXIT_OTHER;
    refuse(&host_error, VCPUHP_ERROR_KVM, "vCPU %u: KVM_RUN: %s", vcpu, g_strerror(error));
    return fail(kvm, vcpu, host_error);
}

/* An access that lies only partly in the block is the VMM's: no client of the block makes one, and
 * the other part hits something of the VMM's. */
static VcpuhpKvmExit serve_mmio(Kvm *kvm, struct kvm_run *run)
{
    uint64_t offset = run->mmio.phys_addr - kvm->hp->config.regs_base;

    if (offset >= VCPUHP_REGS_SIZE || run->mmio.len > VCPUHP_REGS_SIZE - offset)
        return VCPUHP_KVM_EXIT_OTHER;
    if (run->mmio.is_write)
        vcpuhp_regs_write(kvm->hp, offset, run->mmio.data, run->mmio.len);
    else
        vcpuhp_regs_read(kvm->hp, offset, run->mmio.data, run->mmio.len);
    return VCPUHP_KVM_EXIT_RESUME;
}

/* Set the vCPU's KVM_MP_STATE. Returns `then`, or ERROR if the ioctl fails. */
static VcpuhpKvmExit set_mp_state(Kvm *kvm, uint32_t vcpu, uint32_t state, const char *name,
                                  VcpuhpKvmExit then)
{
    g_autoptr(GError) error = NULL;

    if (!kvm_vcpu_set_mp_state(kvm, vcpu, state, name, &error))
        return fail(kvm, vcpu, error);
    return then;
}

/* As after KVM's own SYSTEM_OFF, the vCPU that called executes nothing more, however long the VMM
 * takes to stop the machine. */
static VcpuhpKvmExit go_down(Kvm *kvm, uint32_t vcpu, VcpuhpKvmExit how)
{
    return set_mp_state(kvm, vcpu, KVM_MP_STATE_STOPPED, "STOPPED", how);
}

/* KVM passes on the function id only; the arguments are still in the caller's registers. */
static bool get_call(const Kvm *kvm, uint32_t vcpu, uint64_t id, uint64_t x[4],
                     bool *ret_big_endian, GError **error)
{
    static const char *const names[] = {"X0", "X1", "X2", "X3"};
    int fd = kvm->vcpus[vcpu].fd;
    uint64_t sctlr = 0;

    x[0] = id;
    for (int i = 1; i < 4; i++)
        if (!ioctl_get_reg(fd, vcpu, KVM_REG_X(i), names[i], &x[i], error))
            return false;
    if ((id == PSCI_0_2_FN_CPU_ON || id == PSCI_0_2_FN64_CPU_ON) &&
        !ioctl_get_reg(fd, vcpu, KVM_REG_SCTLR_EL1, "SCTLR_EL1", &sctlr, error))
        return false;
    *ret_big_endian = sctlr & SCTLR_EE;
    return true;
}

static VcpuhpKvmExit serve_hypercall(Kvm *kvm, uint32_t vcpu, const struct kvm_run *run)
{
    g_autoptr(GError) error = NULL;
    VcpuhpPsciAction action;
    bool big_endian;
    uint64_t x[4];

    if (!get_call(kvm, vcpu, run->hypercall.nr, x, &big_endian, &error))
        return fail(kvm, vcpu, error);
    action = vcpuhp_psci_call(kvm->hp, vcpu, x, big_endian);
    if (action == VCPUHP_PSCI_PARK)
        return VCPUHP_KVM_EXIT_PARK;
    if (action == VCPUHP_PSCI_NOT_PSCI)
        return VCPUHP_KVM_EXIT_OTHER;
    if (!ioctl_set_reg(kvm->vcpus[vcpu].fd, vcpu, KVM_REG_X(0), "X0", x[0], &error))
        return fail(kvm, vcpu, error);
    switch (action) {
    case VCPUHP_PSCI_SUSPEND:
        /* KVM then waits for an interrupt, and exits with the event WAKEUP. */
        return set_mp_state(kvm, vcpu, KVM_MP_STATE_SUSPENDED, "SUSPENDED", VCPUHP_KVM_EXIT_RESUME);
    case VCPUHP_PSCI_SYSTEM_OFF:
        return go_down(kvm, vcpu, VCPUHP_KVM_EXIT_SYSTEM_OFF);
    case VCPUHP_PSCI_SYSTEM_RESET:
        return go_down(kvm, vcpu, VCPUHP_KVM_EXIT_SYSTEM_RESET);
    default:
        return VCPUHP_KVM_EXIT_RESUME;
    }
}

static VcpuhpKvmExit serve_system_event(Kvm *kvm, uint32_t vcpu, const struct kvm_run *run)
{
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        return VCPUHP_KVM_EXIT_SYSTEM_OFF;
    case KVM_SYSTEM_EVENT_RESET:
        return VCPUHP_KVM_EXIT_SYSTEM_RESET;
    case KVM_SYSTEM_EVENT_WAKEUP:
        /* It ends CPU_SUSPEND, or else a suspend of the VMM's. */
        if (kvm->psci != VCPUHP_KVM_PSCI_WHOLE)
            return VCPUHP_KVM_EXIT_OTHER;
        return set_mp_state(kvm, vcpu, KVM_MP_STATE_RUNNABLE, "RUNNABLE", VCPUHP_KVM_EXIT_RESUME);
    default:
        return VCPUHP_KVM_EXIT_OTHER;
    }
}

VcpuhpKvmExit vcpuhp_kvm_handle_exit(Vcpuhp *hp, uint32_t vcpu, int error)
{
    Kvm *kvm = kvm_of(hp);
    struct kvm_run *run;

    if (!kvm || vcpu >= hp->config.n_vcpus || !kvm->vcpus[vcpu].entered)
        return VCPUHP_KVM_EXIT_PARK;
    if (error)
        return not_run(kvm, vcpu, error);
    run = kvm->vcpus[vcpu].run;
    switch (run->exit_reason) {
    case KVM_EXIT_MMIO:
        return serve_mmio(kvm, run);
    case KVM_EXIT_HYPERCALL:
        return serve_hypercall(kvm, vcpu, run);
    case KVM_EXIT_SYSTEM_EVENT:
        return serve_system_event(kvm, vcpu, run);
    default:
        return VCPUHP_KVM_EXIT_OTHER;
    }
}
