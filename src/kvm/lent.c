/* SPDX-License-Identifier: BSD-3-Clause */
#include "kvm/lent.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "error.h"
#include "ioctl.h"

static bool check_its_field(const VcpuhpKvmConfig *config, const VcpuhpGic *gic, GError **error)
{
    if (config->its_fd >= 0 && config->vgic_fd < 0)
        return refuse(error, VCPUHP_ERROR_INVALID, "its_fd is %d, but vgic_fd is %d",
                      config->its_fd, config->vgic_fd);
    if (config->its_fd >= 0 && !gic->its_base)
        return refuse(error, VCPUHP_ERROR_INVALID, "its_fd is %d, but gic.its_base is 0",
                      config->its_fd);
    if (config->vgic_fd >= 0 && gic->its_base && config->its_fd < 0)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "its_fd is %d, but vgic_fd is set and gic.its_base is 0x%" PRIx64,
                      config->its_fd, gic->its_base);
    return true;
}

bool kvm_lent_check_fields(const VcpuhpKvmConfig *config, const VcpuhpGic *gic, GError **error)
{
    if (!config->vcpu_fds && (config->vcpu_runs || config->vcpu_init))
        return refuse(error, VCPUHP_ERROR_INVALID, "%s is set, but vcpu_fds is NULL",
                      config->vcpu_runs ? "vcpu_runs" : "vcpu_init");
    if (config->vcpu_fds && (!config->vcpu_runs || !config->vcpu_init))
        return refuse(error, VCPUHP_ERROR_INVALID, "%s is NULL, but vcpu_fds is set",
                      config->vcpu_runs ? "vcpu_init" : "vcpu_runs");
    if (config->vcpu_fds && config->vgic_fd < 0)
        return refuse(error, VCPUHP_ERROR_INVALID, "vgic_fd is %d, but vcpu_fds is set",
                      config->vgic_fd);
    if (config->vcpu_fds && config->features)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "features is 0x%x, but must be 0 with vcpu_fds, which have their own",
                      config->features);
    if (config->vcpu_fds && config->prepare_vcpu)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "prepare_vcpu is set, but must be NULL with vcpu_fds, which are complete");
    return check_its_field(config, gic, error);
}

/* --- Features: KVM lists the registers that a vCPU has --- */

static bool has_reg(const struct kvm_reg_list *list, uint64_t id)
{
    for (uint64_t i = 0; i < list->n; i++)
        if (list->reg[i] == id)
            return true;
    return false;
}

/* KVM_ARM_VCPU_INIT fails ever after if its features differ from the first time. */
static bool check_init(const Kvm *kvm, const struct kvm_reg_list *list, GError **error)
{
    static const struct {
        uint32_t bits;
        uint64_t reg; /* only vCPUs with the feature have it */
        const char *name;
    } features[] = {
        {1u << KVM_ARM_VCPU_SVE, KVM_REG_ARM64_SVE_VLS, "KVM_ARM_VCPU_SVE"},
        {1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS, KVM_REG_APIAKEYLO_EL1, "KVM_ARM_VCPU_PTRAUTH_ADDRESS"},
        {1u << KVM_ARM_VCPU_PTRAUTH_GENERIC, KVM_REG_APIAKEYLO_EL1, "KVM_ARM_VCPU_PTRAUTH_GENERIC"},
        {1u << KVM_ARM_VCPU_PMU_V3, KVM_REG_PMCR_EL0, "KVM_ARM_VCPU_PMU_V3"},
    };
    uint32_t bits = kvm->init.features[0];

    if (!(bits & 1u << KVM_ARM_VCPU_PSCI_0_2))
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "vcpu_init->features[0] is 0x%x, without KVM_ARM_VCPU_PSCI_0_2", bits);
    for (gsize i = 0; i < G_N_ELEMENTS(features); i++) {
        bool has = has_reg(list, features[i].reg), asked = bits & features[i].bits;

        if (has != asked)
            return refuse(error, VCPUHP_ERROR_INVALID,
                          "vcpu_init->features[0] is 0x%x, %s %s, but the vCPUs of vcpu_fds %s it",
                          bits, asked ? "with" : "without", features[i].name,
                          has ? "have" : "lack");
    }
    return true;
}

static bool check_pmu(const Kvm *kvm, const struct kvm_reg_list *list, GError **error)
{
    uint32_t irq = kvm->hp->config.pmu_irq;
    bool has = has_reg(list, KVM_REG_PMCR_EL0);

    return has == (irq != 0) ||
           refuse(error, VCPUHP_ERROR_INVALID, "pmu_irq is %u, but the vCPUs of vcpu_fds have %s",
                  irq, has ? "a PMU" : "no PMU");
}

/* --- Each vCPU --- */

static struct kvm_reg_list *get_list(const Kvm *kvm, uint32_t vcpu, GError **error)
{
    int fd = kvm->vcpus[vcpu].fd;
    struct kvm_reg_list *list = ioctl_get_reg_list(fd);

    if (!list)
        refuse(error, VCPUHP_ERROR_INVALID,
               "vcpu_fds[%u] is %d, not a vCPU that is initialised and finalised: "
               "KVM_GET_REG_LIST: %s",
               vcpu, fd, g_strerror(errno));
    return list;
}

static bool check_run(const Kvm *kvm, uint32_t vcpu, GError **error)
{
    return kvm->vcpus[vcpu].run ||
           refuse(error, VCPUHP_ERROR_INVALID, "vcpu_runs[%u] is NULL", vcpu);
}

/* What the VMM wrote there must be written again where KVM resets it: kvm_vcpu_init(). */
static bool check_mpidr(Kvm *kvm, uint32_t vcpu, GError **error)
{
    const Config *config = &kvm->hp->config;
    KvmVcpu *v = &kvm->vcpus[vcpu];
    uint64_t mpidr;

    if (!ioctl_get_reg(v->fd, vcpu, KVM_REG_MPIDR_EL1, "MPIDR_EL1", &mpidr, error))
        return false;
    if ((mpidr & MPIDR_AFFINITY) != config->mpidrs[vcpu])
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "vcpu_fds[%u] is %d, a vCPU with the affinity 0x%" PRIx64
                      ", but that of the config is 0x%" PRIx64,
                      vcpu, v->fd, (uint64_t)(mpidr & MPIDR_AFFINITY), config->mpidrs[vcpu]);
    if (config->custom_mpidrs)
        v->mpidr = mpidr;
    return true;
}

/* A guest of Linux stops a CPU that differs from the boot CPU. */
static bool check_same_registers(const Kvm *kvm, uint32_t vcpu, const struct kvm_reg_list *first,
                                 GError **error)
{
    g_autofree struct kvm_reg_list *list = get_list(kvm, vcpu, error);

    if (!list)
        return false;
    if (list->n == first->n && !memcmp(list->reg, first->reg, list->n * sizeof(list->reg[0])))
        return true;
    return refuse(error, VCPUHP_ERROR_INVALID,
                  "vcpu_fds[%u] is %d, a vCPU with other features than vCPU 0: it has %" PRIu64
                  " registers, vCPU 0 has %" PRIu64 " (KVM_GET_REG_LIST)",
                  vcpu, kvm->vcpus[vcpu].fd, (uint64_t)list->n, (uint64_t)first->n);
}

static bool get_vls(const Kvm *kvm, uint32_t vcpu, uint64_t *vls, GError **error)
{
    struct kvm_one_reg reg = {.id = KVM_REG_ARM64_SVE_VLS, .addr = (uintptr_t)vls};

    return ioctl_call(kvm->vcpus[vcpu].fd, KVM_GET_ONE_REG, &reg, error,
                      "vCPU %u: KVM_GET_ONE_REG (SVE_VLS)", vcpu) >= 0;
}

static bool check_same_vector_lengths(const Kvm *kvm, uint32_t vcpu, GError **error)
{
    uint64_t first[KVM_ARM64_SVE_VLS_WORDS] = {0}, own[KVM_ARM64_SVE_VLS_WORDS] = {0};

    if (!(kvm->init.features[0] & 1u << KVM_ARM_VCPU_SVE))
        return true;
    if (!get_vls(kvm, 0, first, error) || !get_vls(kvm, vcpu, own, error))
        return false;
    return !memcmp(first, own, sizeof(first)) ||
           refuse(error, VCPUHP_ERROR_INVALID,
                  "vcpu_fds[%u] is %d, a vCPU with other SVE vector lengths than vCPU 0", vcpu,
                  kvm->vcpus[vcpu].fd);
}

/* KVM tells the interrupt (and ENXIO: none was set), but not whether the PMU is initialised. */
static bool check_pmu_irq(const Kvm *kvm, uint32_t vcpu, GError **error)
{
    int irq = 0, fd = kvm->vcpus[vcpu].fd, expected = kvm->hp->config.pmu_irq;
    struct kvm_device_attr attr = {.group = KVM_ARM_VCPU_PMU_V3_CTRL,
                                   .attr = KVM_ARM_VCPU_PMU_V3_IRQ,
                                   .addr = (uintptr_t)&irq};

    if (!expected)
        return true;
    if (ioctl(fd, KVM_GET_DEVICE_ATTR, &attr) < 0)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "vcpu_fds[%u] is %d, a vCPU whose PMU has no interrupt, but pmu_irq is %d: "
                      "KVM_GET_DEVICE_ATTR: %s",
                      vcpu, fd, expected, g_strerror(errno));
    return irq == expected ||
           refuse(error, VCPUHP_ERROR_INVALID,
                  "vcpu_fds[%u] is %d, a vCPU whose PMU has the interrupt %d, but pmu_irq is %d",
                  vcpu, fd, irq, expected);
}

bool kvm_lent_check(Kvm *kvm, GError **error)
{
    g_autofree struct kvm_reg_list *first = get_list(kvm, 0, error);

    if (!first || !check_init(kvm, first, error) || !check_pmu(kvm, first, error))
        return false;
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++)
        if (!check_run(kvm, i, error) || !check_same_registers(kvm, i, first, error) ||
            !check_mpidr(kvm, i, error) || !check_same_vector_lengths(kvm, i, error) ||
            !check_pmu_irq(kvm, i, error))
            return false;
    return true;
}
