/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file regs.h
 * The register block that AML and firmware access (docs/register-block.md). A VMM that uses
 * vcpuhp_kvm_handle_exit() needs none of this.
 */
#ifndef VCPUHP_REGS_H
#define VCPUHP_REGS_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

/** Bytes of guest-physical address space that the register block occupies. */
#define VCPUHP_REGS_SIZE 0x80

/** Serve a guest's read of the register block. Whatever the guest does, it gets the specified
 * answer: registers that do not exist read as zero.
 * @param hp the context
 * @param offset bytes from config.regs_base
 * @param data len bytes, filled in the guest's (little-endian) order
 * @param len the width of the access */
VCPUHP_API void vcpuhp_regs_read(Vcpuhp *hp, uint64_t offset, void *data, uint32_t len);

/** Serve a guest's write to the register block; parameters as for vcpuhp_regs_read(). A write that
 * the specification does not provide for has no effect, and is reported as GUEST_ERROR. */
VCPUHP_API void vcpuhp_regs_write(Vcpuhp *hp, uint64_t offset, const void *data, uint32_t len);

G_END_DECLS

#endif
