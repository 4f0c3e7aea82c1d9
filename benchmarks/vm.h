/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine on real KVM in which vCPUs are turned on and off, by a guest of a few instructions. All
 * its vCPUs are run by turns in one thread. A failure ends the program.
 */
#ifndef BENCHMARKS_VM_H
#define BENCHMARKS_VM_H

#include <vcpuhp/kvm.h>

typedef struct Vm {
    int fd;
    uint8_t *ram;
    gsize ram_size;
    Vcpuhp *hp;
} Vm;

/* All vCPUs are enabled, and vCPU 0 is on. */
Vm vm_create(uint32_t n_vcpus, uint32_t ram_mib, bool warm_up);
void vm_destroy(Vm *vm);

/* Turn vCPU 0 on and off. */
void vm_start(Vm *vm);
void vm_stop(Vm *vm);

bool vm_has_fwb(const Vm *vm);

/* vCPU 0 writes to each page of the first MiB of RAM. */
void vm_touch(const Vm *vm, uint32_t mib);
/* vCPU 0 is about to call CPU_ON for another one. */
void vm_prepare_cpu_on(const Vm *vm, uint32_t vcpu);
/* It does, and the other one enters. */
void vm_cpu_on(const Vm *vm, uint32_t vcpu);
/* The other one enables its MMU and turns itself off. */
void vm_live(const Vm *vm, uint32_t vcpu);

#endif
