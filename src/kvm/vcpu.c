/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vCPU's life: initialised once, then on, kicked and off, as often as the guest and the VMM want,
 * and initialised again when the machine is reset. While it is off, KVM sees it stopped only if it
 * has not been on: what makes it off is that nobody runs it.
 */
#include "kvm.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "call.h"

/*
 * Map the vCPU's kvm_run. The structure is all that is needed of what KVM lets be mapped, and its
 * size is known without /dev/kvm (KVM_GET_VCPU_MMAP_SIZE).
 */
static bool map_run(Kvm *kvm, uint32_t vcpu, GError **error)
{
    struct kvm_run *run =
        mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED, kvm->vcpus[vcpu].fd, 0);

    if (run == MAP_FAILED) {
        g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM, "vCPU %u: mmap of kvm_run: %s", vcpu,
                    g_strerror(errno));
        return false;
    }
    /* What the last run left: a kick that came too late, and an MMIO exit. KVM would complete the
     * access in the next run, over the new registers; not even KVM_ARM_VCPU_INIT prevents it. */
    run->immediate_exit = 0;
    run->exit_reason = KVM_EXIT_UNKNOWN;
    g_mutex_lock(&kvm->hp->slots.lock);
    kvm->vcpus[vcpu].run = run;
    g_mutex_unlock(&kvm->hp->slots.lock);
    return true;
}

bool kvm_vcpu_init(Kvm *kvm, uint32_t vcpu, GError **error)
{
    if (kvm_call(kvm->vcpus[vcpu].fd, KVM_ARM_VCPU_INIT, &kvm->init, error,
                 "vCPU %u: KVM_ARM_VCPU_INIT", vcpu) < 0)
        return false;
    kvm->vcpus[vcpu].used = false;
    return true;
}

/* What KVM makes of a vCPU at power-on is what DEN0022F, 6.4, and the arm64 boot protocol ask for,
 * but for this. */
static bool set_entry(int fd, uint32_t vcpu, const VcpuhpEntry *entry, GError **error)
{
    struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
    uint64_t sctlr;

    if (kvm_call(fd, KVM_SET_MP_STATE, &runnable, error, "vCPU %u: KVM_SET_MP_STATE (RUNNABLE)",
                 vcpu) < 0 ||
        !kvm_set_reg(fd, vcpu, KVM_REG_X(0), "X0", entry->context, error) ||
        !kvm_set_reg(fd, vcpu, KVM_REG_PC, "PC", entry->address, error))
        return false;
    if (!entry->big_endian)
        return true;
    return kvm_get_reg(fd, vcpu, KVM_REG_SCTLR_EL1, "SCTLR_EL1", &sctlr, error) &&
           kvm_set_reg(fd, vcpu, KVM_REG_SCTLR_EL1, "SCTLR_EL1", sctlr | SCTLR_EE, error);
}

static bool vcpu_on(void *data, uint32_t vcpu, const VcpuhpEntry *entry, GError **error)
{
    Kvm *kvm = data;
    KvmVcpu *v = &kvm->vcpus[vcpu];

    if (!map_run(kvm, vcpu, error) ||
        (v->used && !kvm_image_apply(&kvm->image, v->fd) && !kvm_vcpu_init(kvm, vcpu, error)))
        return false;
    v->used = true;
    return set_entry(v->fd, vcpu, entry, error);
}

static void vcpu_off(void *data, uint32_t vcpu)
{
    Kvm *kvm = data;
    struct kvm_run *run;

    g_mutex_lock(&kvm->hp->slots.lock);
    run = g_steal_pointer(&kvm->vcpus[vcpu].run);
    g_mutex_unlock(&kvm->hp->slots.lock);
    if (run)
        munmap(run, sizeof(*run));
}

static void vcpu_kick(void *data, uint32_t vcpu)
{
    Kvm *kvm = data;

    if (kvm->vcpus[vcpu].run)
        __atomic_store_n(&kvm->vcpus[vcpu].run->immediate_exit, 1, __ATOMIC_RELAXED);
}

static bool irq_set(void *data, bool level, GError **error)
{
    Kvm *kvm = data;

    return gic_set_line(&kvm->gic, kvm->hp->config.irq, level, error);
}

/* Here KVM is to throw the stage-2 mappings away, once for all vCPUs: the next guest begins with
 * its caches off, and KVM cleans memory for it as it is faulted in. */
static bool reset(void *data, GError **error)
{
    Kvm *kvm = data;

    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++)
        if (kvm->vcpus[i].used && !kvm_vcpu_init(kvm, i, error))
            return false;
    return gic_reset(&kvm->gic, error);
}

void kvm_free(Kvm *kvm)
{
    gic_clear(&kvm->gic);
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++) {
        vcpu_off(kvm, i);
        if (kvm->vcpus[i].fd >= 0)
            close(kvm->vcpus[i].fd);
    }
    kvm_image_clear(&kvm->image);
    g_free(kvm->vcpus);
    g_free(kvm);
}

static void free_hands(void *data)
{
    kvm_free(data);
}

const Hands kvm_hands = {
    .vcpu_on = vcpu_on,
    .vcpu_off = vcpu_off,
    .vcpu_kick = vcpu_kick,
    .irq_set = irq_set,
    .reset = reset,
    .free = free_hands,
};
