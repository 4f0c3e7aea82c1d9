/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VMM that creates vCPUs and vGIC of a fake KVM itself, as a config describes them, and lends
 * them to the library.
 */
#ifndef FAKE_VMM_H
#define FAKE_VMM_H

#include <vcpuhp/kvm.h>

#include "fake_kvm.h"

typedef struct FakeVmm {
    int vcpu_fds[FAKE_MAX_VCPUS];
    struct kvm_run *vcpu_runs[FAKE_MAX_VCPUS];
    struct kvm_vcpu_init vcpu_init;
} FakeVmm;

/* In this order, and as kvm.h demands: everything lent is entered into kvm. features are those of
 * kvm, which are then 0. */
void fake_vmm_create_vcpus(FakeVmm *vmm, const VcpuhpConfig *config, VcpuhpKvmConfig *kvm);
void fake_vmm_create_vgic(const VcpuhpConfig *config, VcpuhpKvmConfig *kvm);
void fake_vmm_init_vgic(const VcpuhpConfig *config, const VcpuhpKvmConfig *kvm);

/* Close and unmap what was lent, after the library has let go of it. */
void fake_vmm_free(const VcpuhpConfig *config, VcpuhpKvmConfig *kvm);

/* An attribute of the value's low bytes, of which KVM reads as many as it needs. */
void fake_vmm_set_attr(int fd, uint32_t group, uint64_t attr, uint64_t value);

#endif
