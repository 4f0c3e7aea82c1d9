/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vCPU's life: initialised once, then powered on, kicked and powered off, as often as the guest
 * and the VMM want, and initialised again when the machine is reset.
 */
#include "kvm/kvm.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "ioctl.h"

bool kvm_vcpu_set_mp_state(const Kvm *kvm, uint32_t vcpu, uint32_t state, const char *name,
                           GError **error)
{
    struct kvm_mp_state arg = {.mp_state = state};

    return ioctl_call(kvm->vcpus[vcpu].fd, KVM_SET_MP_STATE, &arg, error,
                      "vCPU %u: KVM_SET_MP_STATE (%s)", vcpu, name) >= 0;
}

/* Linux 6.4 to 6.9 reset MPIDR_EL1 each time, later ones keep it. */
static bool init(Kvm *kvm, uint32_t vcpu, bool stopped, GError **error)
{
    KvmVcpu *v = &kvm->vcpus[vcpu];
    struct kvm_vcpu_init arg = kvm->init;

    if (stopped)
        arg.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
    else
        arg.features[0] &= ~(1u << KVM_ARM_VCPU_POWER_OFF);
    v->needs_init = true;
    v->warm = false;
    if (ioctl_call(v->fd, KVM_ARM_VCPU_INIT, &arg, error, "vCPU %u: KVM_ARM_VCPU_INIT", vcpu) < 0)
        return false;
    if (v->mpidr && !ioctl_set_reg(v->fd, vcpu, KVM_REG_MPIDR_EL1, "MPIDR_EL1", v->mpidr, error))
        return false;
    v->needs_init = false;
    return true;
}

/* KVM sees the vCPU stopped until it is powered on: not even a KVM_RUN by mistake runs it. */
bool kvm_vcpu_init(Kvm *kvm, uint32_t vcpu, GError **error)
{
    return init(kvm, vcpu, true, error);
}

/* --- Power on --- */

/*
 * The structure is all that the library needs of what KVM lets be mapped, and its size is known
 * without /dev/kvm (KVM_GET_VCPU_MMAP_SIZE).
 */
static bool map_run(KvmVcpu *v, uint32_t vcpu, GError **error)
{
    struct kvm_run *run;

    if (v->run)
        return true;
    run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (run == MAP_FAILED)
        return refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: mmap of kvm_run: %s", vcpu,
                      g_strerror(errno));
    g_atomic_pointer_set(&v->run, run);
    return true;
}

/* What the last run left: a kick that came too late, and an MMIO exit. KVM would complete the
 * access in the next run, over the new registers; not even KVM_ARM_VCPU_INIT prevents it. */
static void clear_run(struct kvm_run *run)
{
    __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_RELAXED);
    run->exit_reason = KVM_EXIT_UNKNOWN;
}

/* The vCPU is powered on all the same, but every such power-on may slow the whole guest down. */
static void report_fallback(Kvm *kvm, uint32_t vcpu, const GError *why)
{
    g_autoptr(GError) error = NULL;

    if (!g_atomic_int_compare_and_exchange(&kvm->fallback_reported, 0, 1))
        return;
    refuse(&error, VCPUHP_ERROR_KVM,
           "%s; KVM_ARM_VCPU_INIT is used instead, which unmaps the guest's memory (reported once)",
           why->message);
    context_host_error(kvm->hp, vcpu, error);
}

/*
 * Whether the registers are as at power-on without KVM_ARM_VCPU_INIT, which only hosts without
 * FEAT_S2FWB avoid. A vCPU that parked by force needs it on any host: it may have left the
 * interrupt of one of its timers active, which no register clears.
 */
static bool apply_image(Kvm *kvm, uint32_t vcpu)
{
    const KvmVcpu *v = &kvm->vcpus[vcpu];
    g_autoptr(GError) why = NULL;

    if (kvm->fwb || v->needs_init)
        return false;
    if (kvm_image_apply(&kvm->image, v->fd, vcpu, &why))
        return true;
    report_fallback(kvm, vcpu, why);
    return false;
}

/* Registers as at power-on, and runnable. */
static bool make_runnable(Kvm *kvm, uint32_t vcpu, GError **error)
{
    if (kvm->vcpus[vcpu].used && !apply_image(kvm, vcpu))
        return init(kvm, vcpu, false, error);
    return kvm_vcpu_set_mp_state(kvm, vcpu, KVM_MP_STATE_RUNNABLE, "RUNNABLE", error);
}

/* KVM's registers at power-on are those that DEN0022F, 6.4, and the arm64 boot protocol ask for,
 * except for these. */
static bool set_entry(const Kvm *kvm, uint32_t vcpu, const VcpuhpEntry *entry, GError **error)
{
    int fd = kvm->vcpus[vcpu].fd;
    uint64_t sctlr;

    if (!ioctl_set_reg(fd, vcpu, KVM_REG_X(0), "X0", entry->context, error) ||
        !ioctl_set_reg(fd, vcpu, KVM_REG_PC, "PC", entry->address, error))
        return false;
    if (!entry->big_endian)
        return true;
    return ioctl_get_reg(fd, vcpu, KVM_REG_SCTLR_EL1, "SCTLR_EL1", &sctlr, error) &&
           ioctl_set_reg(fd, vcpu, KVM_REG_SCTLR_EL1, "SCTLR_EL1", sctlr | SCTLR_EE, error);
}

/*
 * The first vCPU ever to be powered on is vCPU 0, by vcpuhp_start(), unless vcpuhp_kvm_load() has
 * taken the image already. It is taken from it then rather than in the setup, after which the VMM may still change ID registers, and with them
 * what other registers there are.
 */
bool kvm_vcpu_power_on(Kvm *kvm, uint32_t vcpu, const VcpuhpEntry *entry, GError **error)
{
    KvmVcpu *v = &kvm->vcpus[vcpu];

    g_atomic_int_set(&kvm->powered, true);
    if (!map_run(v, vcpu, error) ||
        (!kvm->fwb && !kvm->image.regs && !kvm_image_take(&kvm->image, v->fd, vcpu, error)))
        return false;
    clear_run(v->run);
    if (!make_runnable(kvm, vcpu, error))
        return false;
    v->used = true;
    return set_entry(kvm, vcpu, entry, error);
}

/* KVM has all of its state. It has its MMU enabled, or not yet, as it was: there is nothing to warm
 * up. */
bool kvm_vcpu_go_on(Kvm *kvm, uint32_t vcpu, GError **error)
{
    KvmVcpu *v = &kvm->vcpus[vcpu];

    g_atomic_int_set(&kvm->powered, true);
    if (!map_run(v, vcpu, error))
        return false;
    clear_run(v->run);
    v->warm = true; /* it is not at its entry: an interrupt could divert it from the warm-up */
    return true;
}

/* --- Power off --- */

/*
 * Nobody runs a vCPU that is off. It is stopped for KVM, too, so that a KVM_RUN by mistake does not
 * run it, and that KVM, debuggers and statistics count it as off. If that fails, it is off for the
 * guest and the VMM all the same.
 */
void kvm_vcpu_power_off(Kvm *kvm, uint32_t vcpu, bool asked)
{
    KvmVcpu *v = &kvm->vcpus[vcpu];
    g_autoptr(GError) error = NULL;

    v->entered = false;
    v->needs_init |= asked;
    if (!kvm_vcpu_set_mp_state(kvm, vcpu, KVM_MP_STATE_STOPPED, "STOPPED", &error))
        context_host_error(kvm->hp, vcpu, error);
}

/* A vCPU without a mapping has never run: its thread is told not to enter. */
void kvm_vcpu_kick(Kvm *kvm, uint32_t vcpu)
{
    struct kvm_run *run = g_atomic_pointer_get(&kvm->vcpus[vcpu].run);

    if (run)
        __atomic_store_n(&run->immediate_exit, 1, __ATOMIC_RELAXED);
}

void kvm_vcpu_clear(Kvm *kvm, uint32_t vcpu)
{
    KvmVcpu *v = &kvm->vcpus[vcpu];

    if (kvm->lent)
        return;
    if (v->run)
        munmap(v->run, sizeof(*v->run));
    if (v->fd >= 0)
        close(v->fd);
}
