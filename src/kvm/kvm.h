/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hands on Linux KVM: what acts for the slots (Hands in context.h) when the VMM uses it.
 */
#ifndef VCPUHP_KVM_KVM_H
#define VCPUHP_KVM_KVM_H

#include <linux/kvm.h>

#include <vcpuhp/kvm.h>
#include "context.h"
#include "gic/gic.h"
#include "image.h"

typedef struct KvmVcpu {
    int fd;
    bool used; /* it has been on, and not been initialised since */
    /* Mapped from vcpu_on to vcpu_off. Changed with the slots' lock held: vcpu_kick comes from any
     * thread. */
    struct kvm_run *run;
} KvmVcpu;

typedef struct Kvm {
    Vcpuhp *hp;
    int vm_fd;
    VcpuhpKvmPsci psci;
    struct kvm_vcpu_init init; /* the same for every vCPU and every time, as KVM demands */
    KvmImage image;            /* what it makes of a vCPU */
    Gic gic;
    KvmVcpu *vcpus; /* n_vcpus */
} Kvm;

/* What the context calls; its data is a Kvm. */
extern const Hands kvm_hands;

/* KVM_ARM_VCPU_INIT: registers, timers and PMU as at power-on, and stopped. */
bool kvm_vcpu_init(Kvm *kvm, uint32_t vcpu, GError **error);

/* Close what is open, also after half a setup, and free it. */
void kvm_free(Kvm *kvm);

#endif
