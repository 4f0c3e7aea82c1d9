/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many ioctls the power of vCPUs costs a VMM, on real KVM: a first power-on, another one of the
 * same vCPU, and a reset of the machine. KVM_RUN is not counted. The keys say whether the host has
 * FEAT_S2FWB.
 */
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm.h"

static guint n_ioctls;

/* In place of the C library's, for the library, too. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    n_ioctls += request != KVM_RUN;
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

static guint count_power_on(const Vm *vm, uint32_t vcpu)
{
    guint before;

    vm_prepare_cpu_on(vm, vcpu);
    before = n_ioctls;
    vm_cpu_on(vm, vcpu);
    before = n_ioctls - before;
    vm_live(vm, vcpu);
    return before;
}

/* Of which vCPUs 0 … n_on-1 have been on. */
static guint count_reset(uint32_t n_vcpus, uint32_t n_on)
{
    Vm vm = vm_create(n_vcpus, 1, false);
    g_autoptr(GError) error = NULL;
    guint before;

    for (uint32_t i = 1; i < n_on; i++)
        count_power_on(&vm, i);
    vm_stop(&vm);
    before = n_ioctls;
    if (!vcpuhp_reset(vm.hp, &error))
        g_error("%s", error->message);
    before = n_ioctls - before;
    vm_start(&vm);
    vm_destroy(&vm);
    return before;
}

static void count_resets(void)
{
    guint few = count_reset(512, 4);

    printf("reset.ioctls.n512 %u\n", few);
    printf("reset.ioctls.on %.1f\n", (count_reset(512, 8) - few) / 4.0);
    printf("reset.ioctls.off %.1f\n", (few - count_reset(256, 4)) / 256.0);
}

int main(void)
{
    Vm vm = vm_create(2, 1, false);
    bool fwb = vm_has_fwb(&vm);
    const char *host = fwb ? "fwb" : "no_fwb";

    printf("power_on.ioctls.%s %u\n", host, count_power_on(&vm, 1));
    printf("replug.ioctls.%s %u\n", host, count_power_on(&vm, 1));
    vm_destroy(&vm);
    if (!fwb) {
        vm = vm_create(2, 1, true);
        printf("power_on.ioctls.warm_up %u\n", count_power_on(&vm, 1));
        vm_destroy(&vm);
    }
    count_resets();
    return 0;
}
