/* SPDX-License-Identifier: BSD-3-Clause */
/* vCPUs that the VMM created: compared with the config before anything is changed. */
#ifndef VCPUHP_SRC_KVM_LENT_H
#define VCPUHP_SRC_KVM_LENT_H

#include "kvm/kvm.h"

/* Which fields of the config go together. Errors: INVALID. */
bool kvm_lent_check_fields(const VcpuhpKvmConfig *config, const VcpuhpGic *gic, GError **error);
/* Whether the vCPUs are those of the context's config. Reads their MPIDR_EL1, too. Errors: INVALID,
 * KVM. */
bool kvm_lent_check(Kvm *kvm, GError **error);

#endif
