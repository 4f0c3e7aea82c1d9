/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM's ioctls, with errors that say which one failed, for whom and why.
 */
#ifndef VCPUHP_KVM_CALL_H
#define VCPUHP_KVM_CALL_H

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* The argument of an ioctl that takes a number. */
#define KVM_NUMBER(n) ((void *)(uintptr_t)(n))

/*
 * Returns the ioctl's result, or -1 with error set: VCPUHP_ERROR_KVM, "WHAT: errno's text". what,
 * as printf() has it, names the ioctl and its vCPU or device; it is formatted on failure only.
 */
int kvm_call(int fd, unsigned long request, void *arg, GError **error, const char *what, ...)
    G_GNUC_PRINTF(5, 6);

/* KVM_SET_DEVICE_ATTR. value: what addr points to, or NULL. */
bool kvm_set_attr(int fd, uint32_t group, uint64_t attr, const void *value, GError **error,
                  const char *what, ...) G_GNUC_PRINTF(6, 7);
/* KVM_GET_DEVICE_ATTR. */
bool kvm_get_attr(int fd, uint32_t group, uint64_t attr, void *ret_value, GError **error,
                  const char *what, ...) G_GNUC_PRINTF(6, 7);
/* KVM_HAS_DEVICE_ATTR. */
bool kvm_has_attr(int fd, uint32_t group, uint64_t attr);

/* 64-bit registers of a vCPU; name is for the error. */
#define KVM_CORE_REG(name)                                                                         \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define KVM_REG_X(n)      (KVM_CORE_REG(regs.regs[0]) + 2 * (n))
#define KVM_REG_PC        KVM_CORE_REG(regs.pc)
#define KVM_REG_MPIDR_EL1 ARM64_SYS_REG(3, 0, 0, 0, 5)
#define KVM_REG_SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
/* SCTLR_EL1: data accesses at EL1 are big-endian. */
#define SCTLR_EE (1ULL << 25)

bool kvm_get_reg(int fd, uint32_t vcpu, uint64_t id, const char *name, uint64_t *ret_value,
                 GError **error);
bool kvm_set_reg(int fd, uint32_t vcpu, uint64_t id, const char *name, uint64_t value,
                 GError **error);

#endif
