/* SPDX-License-Identifier: BSD-3-Clause */
/* What the context asks of KVM: vCPUs, the event interrupt's line, the machine's reset. */
#include "kvm/kvm.h"
#include "kvm/warm_up.h"

#include "error.h"

static bool vcpu_start(void *data, uint32_t vcpu, const VcpuhpEntry *entry, GError **error)
{
    Kvm *kvm = data;

    return (entry ? kvm_vcpu_power_on(kvm, vcpu, entry, error)
                  : kvm_vcpu_go_on(kvm, vcpu, error)) &&
           callbacks_start(kvm->hp, vcpu, entry, error);
}

static void vcpu_off(void *data, uint32_t vcpu, bool asked)
{
    kvm_vcpu_power_off(data, vcpu, asked);
}

static void vcpu_kick(void *data, uint32_t vcpu)
{
    Kvm *kvm = data;

    kvm_vcpu_kick(kvm, vcpu);
    callbacks_kick(kvm->hp, vcpu);
}

static bool irq_set_locked(void *data, bool level, GError **error)
{
    const Kvm *kvm = data;

    return gic_set_line(&kvm->gic, kvm->hp->config.event_irq, level, error);
}

/* A vCPU that never ran since the last reset is as at boot, except for SGIs that others sent it. */
static bool reset_vcpu(Kvm *kvm, uint32_t vcpu, GError **error)
{
    KvmVcpu *v = &kvm->vcpus[vcpu];

    if (!v->used)
        return gic_clear_pending(&kvm->gic, vcpu, error);
    if (!kvm_vcpu_init(kvm, vcpu, error) || !gic_reset_vcpu(&kvm->gic, vcpu, error))
        return false;
    v->used = false;
    return true;
}

/*
 * KVM_ARM_VCPU_INIT unmaps the machine's memory here if the host lacks FEAT_S2FWB, which is right:
 * the next guest begins with its caches off, and KVM cleans memory for it as it is faulted in.
 */
static bool reset(void *data, GError **error)
{
    Kvm *kvm = data;

    if (!gic_reset(&kvm->gic, error))
        return false;
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++)
        if (!reset_vcpu(kvm, i, error))
            return false;
    return true;
}

/* Without vcpuhp_kvm_load() the vCPUs and the vGIC are as at boot. */
static bool resume(void *data, GError **error)
{
    const Kvm *kvm = data;

    return kvm->loaded ||
           refuse(error, VCPUHP_ERROR_ORDER, "vcpuhp_resume: vcpuhp_kvm_load() was not called");
}

void kvm_free(Kvm *kvm)
{
    gic_clear(&kvm->gic);
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++)
        kvm_vcpu_clear(kvm, i);
    kvm_warm_up_clear(&kvm->warm_up, kvm->vm_fd);
    kvm_image_clear(&kvm->image);
    g_free(kvm->vcpus);
    g_free(kvm);
}

static void free_kvm(void *data)
{
    kvm_free(data);
}

const Backend kvm_backend = {
    .vcpu_start = vcpu_start,
    .vcpu_off = vcpu_off,
    .vcpu_kick = vcpu_kick,
    .irq_set_locked = irq_set_locked,
    .reset = reset,
    .resume = resume,
    .free = free_kvm,
};

/* The data was set before the backend: context_set_backend(). */
Kvm *kvm_of(const Vcpuhp *hp)
{
    const Backend *backend = __atomic_load_n(&hp->backend, __ATOMIC_ACQUIRE);

    return backend == &kvm_backend ? hp->backend_data : NULL;
}

int vcpuhp_kvm_vcpu_fd(const Vcpuhp *hp, uint32_t vcpu)
{
    const Kvm *kvm = kvm_of(hp);

    return kvm && vcpu < hp->config.n_vcpus ? kvm->vcpus[vcpu].fd : -1;
}

int vcpuhp_kvm_vgic_fd(const Vcpuhp *hp)
{
    const Kvm *kvm = kvm_of(hp);

    return kvm ? kvm->gic.fd : -1;
}

int vcpuhp_kvm_its_fd(const Vcpuhp *hp)
{
    const Kvm *kvm = kvm_of(hp);

    return kvm ? kvm->gic.its_fd : -1;
}
