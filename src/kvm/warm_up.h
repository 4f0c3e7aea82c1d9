/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The warm-up of a vCPU, for hosts without FEAT_S2FWB. There KVM traps a vCPU's writes to the
 * registers of the MMU, from KVM_ARM_VCPU_INIT on until it has seen MMU and caches enabled. A write
 * that enables them makes KVM clean all memory of the guest that is mapped at stage 2, which takes
 * a tenth of a second or more for each GiB. A vCPU that is plugged into a running guest does that
 * when it first enables its MMU.
 *
 * The warm-up ends the trapping without that: the vCPU begins with its MMU enabled, on a page table
 * of the library's own, writes one of those registers, and calls back. KVM finds the MMU enabled
 * before and after the write. As with KVM's own CPU_ON of a vCPU that has run before, it is then up
 * to the guest to keep coherent what a CPU reads before it enables its MMU, as on hardware.
 */
#ifndef VCPUHP_SRC_KVM_WARM_UP_H
#define VCPUHP_SRC_KVM_WARM_UP_H

#include "kvm/kvm.h"

/* Add the memory that vCPUs run from. */
bool kvm_warm_up_init(KvmWarmUp *warm_up, int vm_fd, const VcpuhpKvmConfig *config, GError **error);
void kvm_warm_up_clear(KvmWarmUp *warm_up, int vm_fd);

/*
 * Warm the vCPU up, in its thread, if that is configured and it is its first power-on since
 * KVM_ARM_VCPU_INIT. Its registers are then as before. A warm-up that does not succeed is reported
 * once; the vCPU can run all the same. Fails if the registers could not be restored.
 */
bool kvm_warm_up(Kvm *kvm, uint32_t vcpu, GError **error);

#endif
