/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM's ioctls, with errors that name the ioctl, its vCPU or device, and errno. The vGIC (src/gic/)
 * and the vCPUs (src/kvm/) use them.
 */
#ifndef VCPUHP_SRC_IOCTL_H
#define VCPUHP_SRC_IOCTL_H

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* The argument of an ioctl that takes a number. */
#define IOCTL_NUMBER(n) ((void *)(uintptr_t)(n))

/*
 * Returns the ioctl's result, or -1 with error set: VCPUHP_ERROR_KVM, "WHAT: errno's text". what is
 * a printf() format, which is expanded on failure only.
 */
int ioctl_call(int fd, unsigned long request, void *arg, GError **error, const char *what, ...)
    G_GNUC_PRINTF(5, 6);

/* KVM_SET_DEVICE_ATTR. value: what addr points to, or NULL. */
bool ioctl_set_attr(int fd, uint32_t group, uint64_t attr, const void *value, GError **error,
                    const char *what, ...) G_GNUC_PRINTF(6, 7);
/* KVM_HAS_DEVICE_ATTR. */
bool ioctl_has_attr(int fd, uint32_t group, uint64_t attr);

/* 64-bit registers of a vCPU; name is for the error. */
#define KVM_CORE_REG(name)                                                                         \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define KVM_REG_X(n)             (KVM_CORE_REG(regs.regs[0]) + 2 * (n))
#define KVM_REG_PC               KVM_CORE_REG(regs.pc)
#define KVM_REG_MPIDR_EL1        ARM64_SYS_REG(3, 0, 0, 0, 5)
#define KVM_REG_CLIDR_EL1        ARM64_SYS_REG(3, 1, 0, 0, 1)
#define KVM_REG_ID_AA64MMFR2_EL1 ARM64_SYS_REG(3, 0, 0, 7, 2)
#define KVM_REG_SCTLR_EL1        ARM64_SYS_REG(3, 0, 1, 0, 0)
#define KVM_REG_TTBR0_EL1        ARM64_SYS_REG(3, 0, 2, 0, 0)
#define KVM_REG_TCR_EL1          ARM64_SYS_REG(3, 0, 2, 0, 2)
#define KVM_REG_APIAKEYLO_EL1    ARM64_SYS_REG(3, 0, 2, 1, 0)
#define KVM_REG_MAIR_EL1         ARM64_SYS_REG(3, 0, 10, 2, 0)
#define KVM_REG_CONTEXTIDR_EL1   ARM64_SYS_REG(3, 0, 13, 0, 1)
#define KVM_REG_PMCR_EL0         ARM64_SYS_REG(3, 3, 9, 12, 0)
/* PMCR_EL0: the number of event counters. */
#define PMCR_N (0x1fULL << 11)
/* ID_AA64MMFR2_EL1: FEAT_S2FWB, if not 0. */
#define ID_AA64MMFR2_FWB (0xfULL << 40)
/* SCTLR_EL1: MMU, data cache, instruction cache; data accesses at EL1 are big-endian. */
#define SCTLR_M  (1ULL << 0)
#define SCTLR_C  (1ULL << 2)
#define SCTLR_I  (1ULL << 12)
#define SCTLR_EE (1ULL << 25)

bool ioctl_get_reg(int fd, uint32_t vcpu, uint64_t id, const char *name, uint64_t *ret_value,
                   GError **error);
bool ioctl_set_reg(int fd, uint32_t vcpu, uint64_t id, const char *name, uint64_t value,
                   GError **error);

/* KVM_GET_REG_LIST, to be freed by g_free(). Returns NULL and sets errno on failure. */
struct kvm_reg_list *ioctl_get_reg_list(int fd);

#endif
