/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linux KVM as the backend of a context: its vCPUs, which the library created or the VMM lent, and
 * the vGIC.
 */
#ifndef VCPUHP_SRC_KVM_KVM_H
#define VCPUHP_SRC_KVM_KVM_H

#include <linux/kvm.h>

#include <vcpuhp/kvm.h>

#include "context.h"
#include "gic/gic.h"
#include "kvm/image.h"

typedef struct KvmVcpu {
    int fd;
    /* Own vCPUs: mapped at the first power-on and never unmapped before kvm_free(), so that a kick
     * may come from any thread at any time. Read and written atomically. */
    struct kvm_run *run;
    uint64_t mpidr; /* written after each KVM_ARM_VCPU_INIT; 0: KVM's own stays */
    bool entered;   /* its thread may call vcpuhp_kvm_handle_exit(); that thread's own */
    bool used;      /* it has been on since it was last reset */
    /* Registers alone do not make it as at power-on, but kvm_vcpu_init() does: it parked because it
     * was asked to, or was last initialised only in part. */
    bool needs_init;
    bool warm; /* needs no warm-up before the next KVM_ARM_VCPU_INIT */
} KvmVcpu;

/* The memory that vCPUs are warmed up in: warm_up.h. */
typedef struct KvmWarmUp {
    void *memory; /* NULL: they aren't */
    uint64_t base;
    uint32_t slot;
    int reported; /* atomic */
} KvmWarmUp;

typedef struct Kvm {
    Vcpuhp *hp;
    int vm_fd;
    VcpuhpKvmPsci psci;
    bool lent;                 /* the vCPUs are the VMM's */
    struct kvm_vcpu_init init; /* KVM demands the same for every vCPU and every time */
    bool fwb;                  /* the host has FEAT_S2FWB: that never unmaps memory */
    KvmImage image;            /* otherwise: a vCPU's registers after that */
    int fallback_reported;     /* atomic */
    KvmWarmUp warm_up;
    int powered;             /* a vCPU was powered on or goes on; atomic */
    bool host_loaded;        /* by vcpuhp_kvm_load_host() */
    bool load_begun, loaded; /* by vcpuhp_kvm_load(), which may fail in between */
    Gic gic;
    KvmVcpu *vcpus; /* n_vcpus */
} Kvm;

/* Its data is a Kvm. */
extern const Backend kvm_backend;

/* The Kvm of a context; NULL before vcpuhp_kvm_setup(). */
Kvm *kvm_of(const Vcpuhp *hp);

/* Whether the host's KVM has what kvm->init asks for. Changes nothing in the VM. Errors:
 * NOT_SUPPORTED. */
bool kvm_probe(Kvm *kvm, GError **error);

/* KVM_ARM_VCPU_INIT: registers, timers and PMU as at power-on, and stopped. */
bool kvm_vcpu_init(Kvm *kvm, uint32_t vcpu, GError **error);
/* Prepare a vCPU that is off to run from entry. */
bool kvm_vcpu_power_on(Kvm *kvm, uint32_t vcpu, const VcpuhpEntry *entry, GError **error);
/* Prepare a vCPU that vcpuhp_kvm_load() has loaded to go on. */
bool kvm_vcpu_go_on(Kvm *kvm, uint32_t vcpu, GError **error);
/* The vCPU will not run before the next kvm_vcpu_power_on(). asked: it was asked to park. */
void kvm_vcpu_power_off(Kvm *kvm, uint32_t vcpu, bool asked);
/* Make KVM_RUN return, the one under way with the help of a signal. In any thread. */
void kvm_vcpu_kick(Kvm *kvm, uint32_t vcpu);
/* Unmap and close what is the library's. */
void kvm_vcpu_clear(Kvm *kvm, uint32_t vcpu);

/* KVM_SET_MP_STATE; name is the state's, for the error. */
bool kvm_vcpu_set_mp_state(const Kvm *kvm, uint32_t vcpu, uint32_t state, const char *name,
                           GError **error);

/* Also after half a setup. */
void kvm_free(Kvm *kvm);

#endif
