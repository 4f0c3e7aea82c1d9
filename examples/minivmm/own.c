/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --own-vcpus: vCPUs, vGIC and ITS that minivmm creates itself, as a VMM does that had them before
 * it used the library, and lends to vcpuhp_kvm_setup(). Disabled vCPUs are created and initialised
 * like all others, because KVM creates none once the vGIC is initialised.
 */
#include "machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct Own {
    uint32_t n_vcpus;
    int *vcpu_fds;
    struct kvm_run **vcpu_runs;
    gsize run_size;
    struct kvm_vcpu_init init;
    int vgic_fd, its_fd;
};

static bool set_attr(int fd, uint32_t group, uint64_t attr, const void *value, const char *what,
                     GError **error)
{
    struct kvm_device_attr request = {
        .group = group, .attr = attr, .addr = (uint64_t)(uintptr_t)value};

    return ioctl(fd, KVM_SET_DEVICE_ATTR, &request) == 0 || fail_errno(what, error);
}

static bool create_device(const Machine *m, uint32_t type, int *ret_fd, GError **error)
{
    struct kvm_create_device device = {.type = type};

    if (ioctl(m->vm_fd, KVM_CREATE_DEVICE, &device) < 0)
        return fail_errno("KVM_CREATE_DEVICE", error);
    *ret_fd = device.fd;
    return true;
}

/* Map all of kvm_run: KVM places the coalesced MMIO ring and the dirty ring behind the struct. */
static bool create_vcpus(const Machine *m, Own *own, GError **error)
{
    int size = ioctl(m->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

    if (size < 0)
        return fail_errno("KVM_GET_VCPU_MMAP_SIZE", error);
    own->run_size = size;
    for (uint32_t i = 0; i < own->n_vcpus; i++) {
        void *run;

        own->vcpu_fds[i] = ioctl(m->vm_fd, KVM_CREATE_VCPU, (unsigned long)i);
        if (own->vcpu_fds[i] < 0)
            return fail_errno("KVM_CREATE_VCPU", error);
        run = mmap(NULL, own->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, own->vcpu_fds[i], 0);
        if (run == MAP_FAILED)
            return fail_errno("mmap of kvm_run", error);
        own->vcpu_runs[i] = run;
    }
    return true;
}

/* All vCPUs have the same features. MPIDR_EL1 stays as KVM sets it, which is also what
 * config.mpidrs == NULL stands for. */
static bool init_vcpus(const Machine *m, Own *own, uint32_t features, GError **error)
{
    int sve = KVM_ARM_VCPU_SVE;

    if (ioctl(m->vm_fd, KVM_ARM_PREFERRED_TARGET, &own->init) < 0)
        return fail_errno("KVM_ARM_PREFERRED_TARGET", error);
    own->init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
    if (features & VCPUHP_KVM_SVE)
        own->init.features[0] |= 1u << KVM_ARM_VCPU_SVE;
    if (features & VCPUHP_KVM_PAUTH)
        own->init.features[0] |=
            1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
    if (m->config.pmu_irq)
        own->init.features[0] |= 1u << KVM_ARM_VCPU_PMU_V3;

    for (uint32_t i = 0; i < own->n_vcpus; i++) {
        struct kvm_vcpu_init init = own->init;

        /* All but vCPU 0 wait for CPU_ON. */
        init.features[0] |= i ? 1u << KVM_ARM_VCPU_POWER_OFF : 0;
        if (ioctl(own->vcpu_fds[i], KVM_ARM_VCPU_INIT, &init) < 0)
            return fail_errno("KVM_ARM_VCPU_INIT", error);
        if (features & VCPUHP_KVM_SVE && ioctl(own->vcpu_fds[i], KVM_ARM_VCPU_FINALIZE, &sve) < 0)
            return fail_errno("KVM_ARM_VCPU_FINALIZE (SVE)", error);
    }
    return true;
}

static bool set_vgic_address(const Own *own, uint64_t type, uint64_t address, GError **error)
{
    return set_attr(own->vgic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &address, "vGIC address", error);
}

static bool create_vgic_v3(const Machine *m, Own *own, GError **error)
{
    const VcpuhpGic *gic = &m->config.gic;

    if (!create_device(m, KVM_DEV_TYPE_ARM_VGIC_V3, &own->vgic_fd, error) ||
        !set_vgic_address(own, KVM_VGIC_V3_ADDR_TYPE_DIST, gic->dist_base, error))
        return false;
    for (uint64_t i = 0; i < gic->n_redists; i++) {
        uint64_t count = gic->redists[i].count ? gic->redists[i].count : own->n_vcpus;

        /* Linux, Documentation/virt/kvm/devices/arm-vgic-v3.rst: count, base, index */
        if (!set_vgic_address(own, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
                              count << 52 | gic->redists[i].base | i, error))
            return false;
    }
    return true;
}

static bool create_vgic(const Machine *m, Own *own, GError **error)
{
    const VcpuhpGic *gic = &m->config.gic;
    bool ok;

    if (gic->version == 3)
        ok = create_vgic_v3(m, own, error);
    else
        ok = create_device(m, KVM_DEV_TYPE_ARM_VGIC_V2, &own->vgic_fd, error) &&
             set_vgic_address(own, KVM_VGIC_V2_ADDR_TYPE_DIST, gic->dist_base, error) &&
             set_vgic_address(own, KVM_VGIC_V2_ADDR_TYPE_CPU, gic->cpu_base, error);
    return ok && set_attr(own->vgic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &gic->n_irqs,
                          "vGIC number of interrupts", error);
}

static bool init_vgic(const Own *own, GError **error)
{
    return set_attr(own->vgic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL,
                    "vGIC init", error);
}

static bool create_its(const Machine *m, Own *own, GError **error)
{
    const VcpuhpGic *gic = &m->config.gic;

    return !gic->its_base ||
           (create_device(m, KVM_DEV_TYPE_ARM_VGIC_ITS, &own->its_fd, error) &&
            set_attr(own->its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &gic->its_base,
                     "ITS address", error) &&
            set_attr(own->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL,
                     "ITS init", error));
}

/* KVM accepts this only after the vGIC is initialised. */
static bool init_pmus(const Machine *m, const Own *own, GError **error)
{
    int irq = m->config.pmu_irq;

    for (uint32_t i = 0; irq && i < own->n_vcpus; i++)
        if (!set_attr(own->vcpu_fds[i], KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, &irq,
                      "PMU interrupt", error) ||
            !set_attr(own->vcpu_fds[i], KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, NULL,
                      "PMU init", error))
            return false;
    return true;
}

static Own *own_new(uint32_t n_vcpus)
{
    Own *own = g_new0(Own, 1);

    own->n_vcpus = n_vcpus;
    own->vgic_fd = own->its_fd = -1;
    own->vcpu_runs = g_new0(struct kvm_run *, n_vcpus);
    own->vcpu_fds = g_new(int, n_vcpus);
    for (uint32_t i = 0; i < n_vcpus; i++)
        own->vcpu_fds[i] = -1;
    return own;
}

bool own_create(Machine *m, VcpuhpKvmConfig *kvm, GError **error)
{
    Own *own = m->own = own_new(m->config.n_vcpus);

    if (!create_vcpus(m, own, error) || !create_vgic(m, own, error) ||
        !init_vcpus(m, own, kvm->features, error) || !init_vgic(own, error) ||
        !create_its(m, own, error) || !init_pmus(m, own, error))
        return false;
    kvm->features = 0; /* They are in vcpu_init. */
    kvm->vcpu_fds = own->vcpu_fds;
    kvm->vcpu_runs = own->vcpu_runs;
    kvm->vcpu_init = &own->init;
    kvm->vgic_fd = own->vgic_fd;
    kvm->its_fd = own->its_fd;
    return true;
}

void own_free(Own *own)
{
    if (!own)
        return;
    for (uint32_t i = 0; i < own->n_vcpus; i++) {
        if (own->vcpu_runs[i])
            munmap(own->vcpu_runs[i], own->run_size);
        if (own->vcpu_fds[i] >= 0)
            close(own->vcpu_fds[i]);
    }
    if (own->its_fd >= 0)
        close(own->its_fd);
    if (own->vgic_fd >= 0)
        close(own->vgic_fd);
    g_free(own->vcpu_runs);
    g_free(own->vcpu_fds);
    g_free(own);
}
