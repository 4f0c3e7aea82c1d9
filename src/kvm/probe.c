/* SPDX-License-Identifier: BSD-3-Clause */
/* What the host's KVM can do: looked for before anything is changed. */
#include <errno.h>
#include <sys/ioctl.h>

#include "error.h"
#include "ioctl.h"
#include "kvm/kvm.h"

/* KVM_ARM_PREFERRED_TARGET exists only there. */
static bool probe_vm(Kvm *kvm, GError **error)
{
    struct kvm_vcpu_init preferred;

    if (ioctl(kvm->vm_fd, KVM_ARM_PREFERRED_TARGET, &preferred) < 0)
        return refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                      "vm_fd is %d, not a virtual machine of an arm64 KVM: "
                      "KVM_ARM_PREFERRED_TARGET: %s",
                      kvm->vm_fd, g_strerror(errno));
    if (!kvm->lent)
        kvm->init.target = preferred.target;
    return true;
}

/* Returns -1, with error set, if the host cannot tell. */
static int check_extension(const Kvm *kvm, int cap, GError **error)
{
    return ioctl_call(kvm->vm_fd, KVM_CHECK_EXTENSION, IOCTL_NUMBER(cap), error,
                      "KVM_CHECK_EXTENSION (capability %d)", cap);
}

static bool probe_capabilities(const Kvm *kvm, GError **error)
{
    static const struct {
        int cap;
        uint32_t features; /* needed for these; 0: always */
        const char *what;
    } needs[] = {
        {KVM_CAP_ONE_REG, 0, "register access (KVM_CAP_ONE_REG)"},
        {KVM_CAP_ARM_PSCI_0_2, 0, "PSCI (KVM_CAP_ARM_PSCI_0_2)"},
        {KVM_CAP_IMMEDIATE_EXIT, 0, "immediate_exit (KVM_CAP_IMMEDIATE_EXIT)"},
        {KVM_CAP_DEVICE_CTRL, 0, "in-kernel devices (KVM_CAP_DEVICE_CTRL)"},
        {KVM_CAP_ARM_SVE, 1u << KVM_ARM_VCPU_SVE, "SVE for guests (KVM_CAP_ARM_SVE)"},
        {KVM_CAP_ARM_PTRAUTH_ADDRESS, 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS,
         "pointer authentication for guests (KVM_CAP_ARM_PTRAUTH_ADDRESS)"},
        {KVM_CAP_ARM_PTRAUTH_GENERIC, 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC,
         "pointer authentication for guests (KVM_CAP_ARM_PTRAUTH_GENERIC)"},
        {KVM_CAP_ARM_PMU_V3, 1u << KVM_ARM_VCPU_PMU_V3,
         "a PMU for guests (KVM_CAP_ARM_PMU_V3), but pmu_irq is not 0"},
    };
    /* Lent vCPUs exist, so the host has what they need. */
    uint32_t features = kvm->lent ? 0 : kvm->init.features[0];

    for (gsize i = 0; i < G_N_ELEMENTS(needs); i++) {
        int has;

        if (needs[i].features && !(features & needs[i].features))
            continue;
        has = check_extension(kvm, needs[i].cap, error);
        if (has < 0)
            return false;
        if (!has)
            return refuse(error, VCPUHP_ERROR_NOT_SUPPORTED, "this host's KVM lacks %s",
                          needs[i].what);
    }
    return true;
}

static bool probe_max_vcpus(const Kvm *kvm, GError **error)
{
    int max = check_extension(kvm, KVM_CAP_MAX_VCPUS, error);

    if (max < 0)
        return false;
    return kvm->hp->config.n_vcpus <= (uint32_t)max ||
           refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                  "n_vcpus is %u, but this host's KVM has at most %d vCPUs in a machine",
                  kvm->hp->config.n_vcpus, max);
}

/* Without the filter KVM would answer CPU_ON by itself, and turn on what is disabled. */
static bool probe_filter(const Kvm *kvm, GError **error)
{
    if (ioctl_has_attr(kvm->vm_fd, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER))
        return true;
    return refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                  "this host's KVM lacks the SMCCC filter (KVM_ARM_VM_SMCCC_FILTER), which Linux "
                  "has since 6.4: KVM_HAS_DEVICE_ATTR: %s",
                  g_strerror(errno));
}

bool kvm_probe(Kvm *kvm, GError **error)
{
    return probe_vm(kvm, error) && probe_capabilities(kvm, error) && probe_max_vcpus(kvm, error) &&
           probe_filter(kvm, error);
}
