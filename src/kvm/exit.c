/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vCPU's thread: into the guest, and what brings it back.
 */
#include "kvm.h"

#include <errno.h>
#include <linux/psci.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/psci.h>
#include "call.h"

struct kvm_run *vcpuhp_kvm_enter(Vcpuhp *hp, uint32_t vcpu)
{
    const Kvm *kvm = hp->hands_data;

    return vcpuhp_vcpu_enter(hp, vcpu) ? kvm->vcpus[vcpu].run : NULL;
}

static VcpuhpExit fail(Kvm *kvm, uint32_t vcpu, const GError *error)
{
    context_host_error(kvm->hp, vcpu, error);
    return VCPUHP_EXIT_ERROR;
}

/*
 * KVM_RUN failed: exit_reason is the last exit's, which was served then. The order matters: a
 * kick that comes after immediate_exit is cleared is seen by the park, or by the next KVM_RUN.
 */
static VcpuhpExit not_run(Kvm *kvm, uint32_t vcpu, int error)
{
    g_autoptr(GError) host_error = NULL;

    __atomic_store_n(&kvm->vcpus[vcpu].run->immediate_exit, 0, __ATOMIC_RELAXED);
    if (vcpuhp_vcpu_park(kvm->hp, vcpu))
        return VCPUHP_EXIT_PARK;
    if (error == EINTR)
        return VCPUHP_EXIT_INTERRUPTED;
    if (error == EAGAIN)
        return VCPUHP_EXIT_RESUME;
    host_error = g_error_new(VCPUHP_ERROR, VCPUHP_ERROR_KVM, "vCPU %u: KVM_RUN: %s", vcpu,
                             g_strerror(error));
    return fail(kvm, vcpu, host_error);
}

/* An access that only partly lies in the block isn't the block's: no client makes one, and what
 * it hits besides is the VMM's. */
static VcpuhpExit serve_mmio(Kvm *kvm, struct kvm_run *run)
{
    uint64_t offset = run->mmio.phys_addr - kvm->hp->config.regs_base;

    if (offset >= VCPUHP_REGS_SIZE || run->mmio.len > VCPUHP_REGS_SIZE - offset)
        return VCPUHP_EXIT_OTHER;
    if (run->mmio.is_write)
        vcpuhp_regs_write(kvm->hp, offset, run->mmio.data, run->mmio.len);
    else
        vcpuhp_regs_read(kvm->hp, offset, run->mmio.data, run->mmio.len);
    return VCPUHP_EXIT_RESUME;
}

/* Have KVM see the vCPU so; what the VMM is to do then. */
static VcpuhpExit set_mp_state(Kvm *kvm, uint32_t vcpu, uint32_t state, const char *name,
                               VcpuhpExit then)
{
    struct kvm_mp_state arg = {.mp_state = state};
    g_autoptr(GError) error = NULL;

    if (kvm_call(kvm->vcpus[vcpu].fd, KVM_SET_MP_STATE, &arg, &error,
                 "vCPU %u: KVM_SET_MP_STATE (%s)", vcpu, name) < 0)
        return fail(kvm, vcpu, error);
    return then;
}

/* As after KVM's own SYSTEM_OFF, the vCPU that asked for it executes nothing more, however long the
 * VMM takes to stop the machine. */
static VcpuhpExit go_down(Kvm *kvm, uint32_t vcpu, VcpuhpExit how)
{
    return set_mp_state(kvm, vcpu, KVM_MP_STATE_STOPPED, "STOPPED", how);
}

/* KVM hands over the function id only; the arguments are still in the caller's registers. */
static bool get_call(const Kvm *kvm, uint32_t vcpu, uint64_t id, VcpuhpPsciCall *call,
                     GError **error)
{
    static const char *const names[] = {"X0", "X1", "X2", "X3"};
    int fd = kvm->vcpus[vcpu].fd;
    uint64_t sctlr = 0;

    *call = (VcpuhpPsciCall){.x = {id}};
    for (int i = 1; i < 4; i++)
        if (!kvm_get_reg(fd, vcpu, KVM_REG_X(i), names[i], &call->x[i], error))
            return false;
    if ((id == PSCI_0_2_FN_CPU_ON || id == PSCI_0_2_FN64_CPU_ON) &&
        !kvm_get_reg(fd, vcpu, KVM_REG_SCTLR_EL1, "SCTLR_EL1", &sctlr, error))
        return false;
    call->big_endian = sctlr & SCTLR_EE;
    return true;
}

static VcpuhpExit serve_hypercall(Kvm *kvm, uint32_t vcpu, const struct kvm_run *run)
{
    g_autoptr(GError) error = NULL;
    VcpuhpPsciAction action;
    VcpuhpPsciCall call;

    if (!get_call(kvm, vcpu, run->hypercall.nr, &call, &error))
        return fail(kvm, vcpu, error);
    action = vcpuhp_psci_call(kvm->hp, vcpu, &call);
    if (action == VCPUHP_PSCI_PARK)
        return VCPUHP_EXIT_PARK;
    if (action == VCPUHP_PSCI_NOT_PSCI)
        return VCPUHP_EXIT_OTHER;
    if (!kvm_set_reg(kvm->vcpus[vcpu].fd, vcpu, KVM_REG_X(0), "X0", call.x[0], &error))
        return fail(kvm, vcpu, error);
    switch (action) {
    case VCPUHP_PSCI_SUSPEND:
        /* KVM then waits for an interrupt, and exits with the event WAKEUP. */
        return set_mp_state(kvm, vcpu, KVM_MP_STATE_SUSPENDED, "SUSPENDED", VCPUHP_EXIT_RESUME);
    case VCPUHP_PSCI_SYSTEM_OFF:
        return go_down(kvm, vcpu, VCPUHP_EXIT_SYSTEM_OFF);
    case VCPUHP_PSCI_SYSTEM_RESET:
        return go_down(kvm, vcpu, VCPUHP_EXIT_SYSTEM_RESET);
    default:
        return VCPUHP_EXIT_RESUME;
    }
}

static VcpuhpExit serve_system_event(Kvm *kvm, uint32_t vcpu, const struct kvm_run *run)
{
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        return VCPUHP_EXIT_SYSTEM_OFF;
    case KVM_SYSTEM_EVENT_RESET:
        return VCPUHP_EXIT_SYSTEM_RESET;
    case KVM_SYSTEM_EVENT_WAKEUP:
        /* From a suspend of our making; else of the VMM's. */
        if (kvm->psci != VCPUHP_KVM_PSCI_WHOLE)
            return VCPUHP_EXIT_OTHER;
        return set_mp_state(kvm, vcpu, KVM_MP_STATE_RUNNABLE, "RUNNABLE", VCPUHP_EXIT_RESUME);
    default:
        return VCPUHP_EXIT_OTHER;
    }
}

VcpuhpExit vcpuhp_kvm_exit(Vcpuhp *hp, uint32_t vcpu, int error)
{
    Kvm *kvm = hp->hands_data;
    struct kvm_run *run = kvm->vcpus[vcpu].run;

    if (error)
        return not_run(kvm, vcpu, error);
    switch (run->exit_reason) {
    case KVM_EXIT_MMIO:
        return serve_mmio(kvm, run);
    case KVM_EXIT_HYPERCALL:
        return serve_hypercall(kvm, vcpu, run);
    case KVM_EXIT_SYSTEM_EVENT:
        return serve_system_event(kvm, vcpu, run);
    default:
        return VCPUHP_EXIT_OTHER;
    }
}
