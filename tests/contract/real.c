/* SPDX-License-Identifier: BSD-3-Clause */
#include "contract.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

int contract_open_vm(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);

    close(kvm);
    return vm;
}

void contract_close_vm(int vm_fd)
{
    close(vm_fd);
}
