/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_vmm.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

void fake_vmm_set_attr(int fd, uint32_t group, uint64_t attr, uint64_t value)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr, .addr = (uintptr_t)&value};

    g_assert_cmpint(ioctl(fd, KVM_SET_DEVICE_ATTR, &arg), ==, 0);
}

/* --- vGIC --- */

static int create_device(int vm_fd, uint32_t type)
{
    struct kvm_create_device device = {.type = type};

    g_assert_cmpint(ioctl(vm_fd, KVM_CREATE_DEVICE, &device), ==, 0);
    return (int)device.fd;
}

static void set_address(int fd, uint64_t type, uint64_t address)
{
    fake_vmm_set_attr(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, address);
}

static void set_redists(int fd, const VcpuhpConfig *config)
{
    for (uint32_t i = 0; i < config->gic.n_redists; i++) {
        const VcpuhpRedist *redist = &config->gic.redists[i];
        uint64_t count = redist->count ? redist->count : config->n_vcpus;

        set_address(fd, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, count << 52 | redist->base | i);
    }
}

static int create_its(const VcpuhpConfig *config, int vm_fd)
{
    int fd = create_device(vm_fd, KVM_DEV_TYPE_ARM_VGIC_ITS);

    set_address(fd, KVM_VGIC_ITS_ADDR_TYPE, config->gic.its_base);
    fake_vmm_set_attr(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
    return fd;
}

void fake_vmm_create_vgic(const VcpuhpConfig *config, VcpuhpKvmConfig *kvm)
{
    bool v2 = config->gic.version == 2;

    kvm->vgic_fd =
        create_device(kvm->vm_fd, v2 ? KVM_DEV_TYPE_ARM_VGIC_V2 : KVM_DEV_TYPE_ARM_VGIC_V3);
    fake_vmm_set_attr(kvm->vgic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, config->gic.n_irqs);
    if (v2) {
        set_address(kvm->vgic_fd, KVM_VGIC_V2_ADDR_TYPE_DIST, config->gic.dist_base);
        set_address(kvm->vgic_fd, KVM_VGIC_V2_ADDR_TYPE_CPU, config->gic.cpu_base);
        return;
    }
    set_address(kvm->vgic_fd, KVM_VGIC_V3_ADDR_TYPE_DIST, config->gic.dist_base);
    set_redists(kvm->vgic_fd, config);
    if (config->gic.its_base)
        kvm->its_fd = create_its(config, kvm->vm_fd);
}

void fake_vmm_init_vgic(const VcpuhpConfig *config, const VcpuhpKvmConfig *kvm)
{
    fake_vmm_set_attr(kvm->vgic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
    for (uint32_t i = 0; config->pmu_irq && i < config->n_vcpus; i++) {
        fake_vmm_set_attr(kvm->vcpu_fds[i], KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ,
                          config->pmu_irq);
        fake_vmm_set_attr(kvm->vcpu_fds[i], KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, 0);
    }
}

/* --- vCPUs --- */

static struct kvm_vcpu_init choose_init(const VcpuhpConfig *config, const VcpuhpKvmConfig *kvm)
{
    struct kvm_vcpu_init init;

    g_assert_cmpint(ioctl(kvm->vm_fd, KVM_ARM_PREFERRED_TARGET, &init), ==, 0);
    init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
    if (kvm->features & VCPUHP_KVM_SVE)
        init.features[0] |= 1u << KVM_ARM_VCPU_SVE;
    if (kvm->features & VCPUHP_KVM_PAUTH)
        init.features[0] |= 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
    if (config->pmu_irq)
        init.features[0] |= 1u << KVM_ARM_VCPU_PMU_V3;
    return init;
}

static void init_vcpu(int fd, const struct kvm_vcpu_init *init, uint64_t mpidr)
{
    struct kvm_one_reg reg = {.id = ARM64_SYS_REG(3, 0, 0, 0, 5), .addr = (uintptr_t)&mpidr};
    struct kvm_vcpu_init arg = *init;
    int sve = KVM_ARM_VCPU_SVE;

    g_assert_cmpint(ioctl(fd, KVM_ARM_VCPU_INIT, &arg), ==, 0);
    if (init->features[0] & 1u << KVM_ARM_VCPU_SVE)
        g_assert_cmpint(ioctl(fd, KVM_ARM_VCPU_FINALIZE, &sve), ==, 0);
    if (mpidr)
        g_assert_cmpint(ioctl(fd, KVM_SET_ONE_REG, &reg), ==, 0);
}

void fake_vmm_create_vcpus(FakeVmm *vmm, const VcpuhpConfig *config, VcpuhpKvmConfig *kvm)
{
    vmm->vcpu_init = choose_init(config, kvm);
    for (uint32_t i = 0; i < config->n_vcpus; i++) {
        int fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (void *)(uintptr_t)i);

        g_assert_cmpint(fd, >=, 0);
        init_vcpu(fd, &vmm->vcpu_init, config->mpidrs ? 1ull << 31 | config->mpidrs[i] : 0);
        vmm->vcpu_fds[i] = fd;
        vmm->vcpu_runs[i] =
            mmap(NULL, sizeof(struct kvm_run), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert(vmm->vcpu_runs[i] != MAP_FAILED);
    }
    kvm->features = 0;
    kvm->vcpu_fds = vmm->vcpu_fds;
    kvm->vcpu_runs = vmm->vcpu_runs;
    kvm->vcpu_init = &vmm->vcpu_init;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        g_assert_cmpint(close(*fd), ==, 0);
    *fd = -1;
}

void fake_vmm_free(const VcpuhpConfig *config, VcpuhpKvmConfig *kvm)
{
    for (uint32_t i = 0; kvm->vcpu_fds && i < config->n_vcpus; i++) {
        if (kvm->vcpu_runs && kvm->vcpu_runs[i])
            munmap(kvm->vcpu_runs[i], sizeof(struct kvm_run));
        if (kvm->vcpu_fds[i] >= 0)
            g_assert_cmpint(close(kvm->vcpu_fds[i]), ==, 0);
    }
    close_fd(&kvm->vgic_fd);
    close_fd(&kvm->its_fd);
}
