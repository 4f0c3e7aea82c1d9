/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library and its unit tests take for granted about KVM. The same rules run against the
 * fake KVM of the unit tests (fake.c) and against the kernel's (real.c): if one of the two breaks a
 * rule, the fake is wrong about the kernel, or the kernel is a new one.
 */
#ifndef CONTRACT_H
#define CONTRACT_H

/* A new VM. Returns its fd. */
int contract_open_vm(void);
/* It ends; its other fds are closed. */
void contract_close_vm(int vm_fd);

#endif
