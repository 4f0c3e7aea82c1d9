/* SPDX-License-Identifier: BSD-3-Clause */
#include "contract.h"

#include "fake_kvm.h"

int contract_open_vm(void)
{
    return fake_kvm_begin(&fake_modern_host);
}

void contract_close_vm(int vm_fd)
{
    (void)vm_fd;
    fake_kvm_end();
}
