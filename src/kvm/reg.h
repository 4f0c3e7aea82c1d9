/* SPDX-License-Identifier: BSD-3-Clause */
/* The registers that KVM_GET_REG_LIST lists: whose they are, and what they are called. */
#ifndef VCPUHP_SRC_KVM_REG_H
#define VCPUHP_SRC_KVM_REG_H

#include <linux/kvm.h>

#include <vcpuhp/vcpuhp.h>

typedef enum {
    /* The guest can change it, on this vCPU alone. */
    KVM_REG_KIND_GUEST,
    /* What the host offers: identification registers, vector lengths, KVM's firmware registers. All
     * vCPUs of a machine have the same. */
    KVM_REG_KIND_HOST,
    /* MPIDR_EL1, which follows from the config, and the counters, which all vCPUs share: writing one
     * moves the guest's time. */
    KVM_REG_KIND_OTHER,
} KvmRegKind;

KvmRegKind kvm_reg_kind(uint64_t id);

/* Of the host's registers: each vCPU has one of its own in KVM. */
bool kvm_reg_is_per_vcpu(uint64_t id);

/* Of the guest's registers: its ones clear bits of another one. */
bool kvm_reg_clears(uint64_t id);

/* Its size in bytes. */
static inline uint32_t kvm_reg_size(uint64_t id)
{
    return 1u << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

/* To be freed by g_free(). */
char *kvm_reg_name(uint64_t id);

#endif
