/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The setup: check whether the host and what the VMM lends fit the config, then create everything
 * that a vCPU will ever need, for all of them, in the one order that KVM accepts (docs/kvm.md).
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/psci.h>
#include <sys/ioctl.h>

#include "error.h"
#include "ioctl.h"
#include "kvm/kvm.h"
#include "kvm/lent.h"
#include "kvm/warm_up.h"
#include "sized.h"

/* The highest that an SGI without range selector addresses. */
#define MAX_AFF0 15

/* KVM's GICR_TYPER has no Aff3, and its ICC_SGI1R_EL1 ignores RS, the range selector (IHI 0069H). */
static bool check_mpidrs(const Config *config, GError **error)
{
    for (uint32_t i = 0; config->gic.version == 3 && i < config->n_vcpus; i++) {
        uint64_t mpidr = config->mpidrs[i];

        if (mpidr >> 32)
            return refuse(error, VCPUHP_ERROR_INVALID,
                          "mpidrs[%u] is 0x%" PRIx64 ", but KVM's GICv3 serves Aff3 = 0 only", i,
                          mpidr);
        if ((mpidr & 0xff) > MAX_AFF0)
            return refuse(error, VCPUHP_ERROR_INVALID,
                          "mpidrs[%u] is 0x%" PRIx64 ", but KVM's GICv3 serves Aff0 = 0 … %u only",
                          i, mpidr, MAX_AFF0);
    }
    return true;
}

/* The page table of the warm-up has 48-bit addresses. */
static bool check_warm_up_base(const Config *config, uint64_t base, GError **error)
{
    if (base >= 1ull << 48)
        return refuse(error, VCPUHP_ERROR_INVALID, "warm_up_base is 0x%" PRIx64 ", not below 2^48",
                      base);
    return config_check_region(config, base, VCPUHP_KVM_WARM_UP_SIZE, "warm_up_base", error);
}

static bool check_fields(const Vcpuhp *hp, const VcpuhpKvmConfig *config, GError **error)
{
    const uint32_t features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;

    if (config->psci != VCPUHP_KVM_PSCI_SPARSE && config->psci != VCPUHP_KVM_PSCI_WHOLE)
        return refuse(error, VCPUHP_ERROR_INVALID, "psci is %d, not a VcpuhpKvmPsci",
                      (int)config->psci);
    if (config->features & ~features)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "features is 0x%x, with bits other than those of VcpuhpKvmFeatures, 0x%x",
                      config->features, features);
    if (config->warm_up_base && !check_warm_up_base(&hp->config, config->warm_up_base, error))
        return false;
    return check_mpidrs(&hp->config, error) &&
           kvm_lent_check_fields(config, &hp->config.gic, error);
}

/* Changes nothing in the VM. */
static bool check(Kvm *kvm, GError **error)
{
    if (!kvm_probe(kvm, error))
        return false;
    if (!kvm->gic.lent)
        return gic_probe(&kvm->gic, error);
    if (!gic_check_lent(&kvm->gic, error))
        return false;
    return !kvm->lent || (kvm_lent_check(kvm, error) && gic_check_initialised(&kvm->gic, error));
}

/* --- vCPUs of the library's own --- */

/* KVM creates no vCPU once the vGIC is initialised. A lent one that is fails the first of them. */
static bool create_vcpu(Kvm *kvm, uint32_t vcpu, GError **error)
{
    KvmVcpu *v = &kvm->vcpus[vcpu];

    v->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, IOCTL_NUMBER(vcpu));
    if (v->fd >= 0)
        return true;
    if (errno == EBUSY && kvm->gic.lent && vcpu == 0)
        return refuse(error, VCPUHP_ERROR_INVALID,
                      "vgic_fd is %d, a vGIC that is initialised, after which KVM creates no vCPU, "
                      "but vcpu_fds is NULL",
                      kvm->gic.fd);
    return refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: KVM_CREATE_VCPU: %s", vcpu, g_strerror(errno));
}

static bool create_vcpus(Kvm *kvm, GError **error)
{
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++)
        if (!create_vcpu(kvm, i, error))
            return false;
    return true;
}

static bool prepare(const Kvm *kvm, const VcpuhpKvmConfig *config, VcpuhpKvmStep step,
                    uint32_t vcpu, GError **error)
{
    return !config->prepare_vcpu ||
           config->prepare_vcpu(step, vcpu, kvm->vcpus[vcpu].fd, kvm->hp->opaque, error);
}

/*
 * The tables and PSCI know a vCPU by the config's affinity. KVM has one rule for all vCPUs, so only
 * the last one is asked what it has by itself: asking each would be a good part of the setup's
 * time.
 */
static bool set_mpidrs(Kvm *kvm, GError **error)
{
    const Config *config = &kvm->hp->config;
    uint32_t last = config->n_vcpus - 1;
    uint64_t mpidr;

    if (!ioctl_get_reg(kvm->vcpus[last].fd, last, KVM_REG_MPIDR_EL1, "MPIDR_EL1", &mpidr, error))
        return false;
    if (!config->custom_mpidrs && (mpidr & MPIDR_AFFINITY) == config->mpidrs[last])
        return true;
    for (uint32_t i = 0; i < config->n_vcpus; i++) {
        KvmVcpu *v = &kvm->vcpus[i];

        v->mpidr = (mpidr & ~MPIDR_AFFINITY) | config->mpidrs[i];
        if (!ioctl_set_reg(v->fd, i, KVM_REG_MPIDR_EL1, "MPIDR_EL1", v->mpidr, error))
            return false;
    }
    return true;
}

static bool init_vcpus(Kvm *kvm, const VcpuhpKvmConfig *config, GError **error)
{
    int sve = KVM_ARM_VCPU_SVE;

    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++) {
        if (!kvm_vcpu_init(kvm, i, error) ||
            !prepare(kvm, config, VCPUHP_KVM_STEP_INITIALISED, i, error))
            return false;
        if (kvm->init.features[0] & 1u << KVM_ARM_VCPU_SVE &&
            ioctl_call(kvm->vcpus[i].fd, KVM_ARM_VCPU_FINALIZE, &sve, error,
                       "vCPU %u: KVM_ARM_VCPU_FINALIZE (SVE)", i) < 0)
            return false;
    }
    return set_mpidrs(kvm, error);
}

static bool init_pmu(const Kvm *kvm, uint32_t vcpu, GError **error)
{
    int irq = kvm->hp->config.pmu_irq, fd = kvm->vcpus[vcpu].fd;

    return ioctl_set_attr(fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, &irq, error,
                          "vCPU %u: KVM_SET_DEVICE_ATTR (PMU interrupt %d)", vcpu, irq) &&
           ioctl_set_attr(fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, NULL, error,
                          "vCPU %u: KVM_SET_DEVICE_ATTR (PMU init)", vcpu);
}

/* A vCPU without it fails its first KVM_RUN, however late that is. */
static bool init_pmus(const Kvm *kvm, const VcpuhpKvmConfig *config, GError **error)
{
    for (uint32_t i = 0; kvm->hp->config.pmu_irq && i < kvm->hp->config.n_vcpus; i++)
        if (!prepare(kvm, config, VCPUHP_KVM_STEP_BEFORE_PMU, i, error) || !init_pmu(kvm, i, error))
            return false;
    return true;
}

/* --- The filter --- */

static bool set_range(const Kvm *kvm, struct kvm_smccc_filter filter, GError **error)
{
    struct kvm_device_attr attr = {.group = KVM_ARM_VM_SMCCC_CTRL,
                                   .attr = KVM_ARM_VM_SMCCC_FILTER,
                                   .addr = (uintptr_t)&filter};

    filter.action = KVM_SMCCC_FILTER_FWD_TO_USER;
    if (ioctl(kvm->vm_fd, KVM_SET_DEVICE_ATTR, &attr) >= 0)
        return true;
    if (errno == EBUSY)
        return refuse(error, VCPUHP_ERROR_ORDER,
                      "vcpuhp_kvm_setup: the VM of vm_fd, %d, has run already", kvm->vm_fd);
    return refuse(error, VCPUHP_ERROR_KVM, "KVM_SET_DEVICE_ATTR (SMCCC filter 0x%x … 0x%x): %s",
                  filter.base, filter.base + filter.nr_functions - 1, g_strerror(errno));
}

/*
 * DEN0022F, 5.1: the functions and both their calling conventions. A CPU_ON that is left to KVM, in
 * either of its widths, would be a way past the policy; CPU_OFF left to KVM would put the thread to
 * sleep in it; AFFINITY_INFO left to KVM would report KVM's power states.
 */
static bool set_filter(const Kvm *kvm, GError **error)
{
    static const struct kvm_smccc_filter ranges[][2] = {
        [VCPUHP_KVM_PSCI_SPARSE] = {{.base = PSCI_0_2_FN_CPU_OFF, .nr_functions = 3},
                                    {.base = PSCI_0_2_FN64_CPU_ON, .nr_functions = 2}},
        [VCPUHP_KVM_PSCI_WHOLE] = {{.base = PSCI_0_2_FN_BASE, .nr_functions = 0x20},
                                   {.base = PSCI_0_2_FN64_BASE, .nr_functions = 0x20}},
    };

    G_STATIC_ASSERT(PSCI_0_2_FN_AFFINITY_INFO == PSCI_0_2_FN_CPU_OFF + 2);
    G_STATIC_ASSERT(PSCI_0_2_FN64_AFFINITY_INFO == PSCI_0_2_FN64_CPU_ON + 1);
    return set_range(kvm, ranges[kvm->psci][0], error) &&
           set_range(kvm, ranges[kvm->psci][1], error);
}

/* --- The host's CPU --- */

/* The registers are the host's in this field (docs/kvm.md). */
static bool read_fwb(Kvm *kvm, GError **error)
{
    uint64_t mmfr2;

    if (!ioctl_get_reg(kvm->vcpus[0].fd, 0, KVM_REG_ID_AA64MMFR2_EL1, "ID_AA64MMFR2_EL1", &mmfr2,
                       error))
        return false;
    kvm->fwb = mmfr2 & ID_AA64MMFR2_FWB;
    return true;
}

static bool add_warm_up(Kvm *kvm, const VcpuhpKvmConfig *config, GError **error)
{
    return kvm->fwb || !config->warm_up_base ||
           kvm_warm_up_init(&kvm->warm_up, kvm->vm_fd, config, error);
}

/* --- All of it --- */

/* All vCPUs exist before gic_init(). The filter comes last: it cannot be changed. */
static bool create(Kvm *kvm, const VcpuhpKvmConfig *config, GError **error)
{
    return create_vcpus(kvm, error) && gic_create(&kvm->gic, error) &&
           init_vcpus(kvm, config, error) && gic_init(&kvm->gic, error) &&
           init_pmus(kvm, config, error) && set_filter(kvm, error);
}

/* The filter comes first: it tells whether the VM has run. Own vCPUs are stopped from the start. */
static bool adopt(const Kvm *kvm, GError **error)
{
    if (!set_filter(kvm, error))
        return false;
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++)
        if (!kvm_vcpu_set_mp_state(kvm, i, KVM_MP_STATE_STOPPED, "STOPPED", error))
            return false;
    return true;
}

/* The features of KVM_ARM_VCPU_INIT. */
static uint32_t vcpu_features(const Config *config, uint32_t features)
{
    uint32_t bits = 1u << KVM_ARM_VCPU_PSCI_0_2;

    if (features & VCPUHP_KVM_SVE)
        bits |= 1u << KVM_ARM_VCPU_SVE;
    if (features & VCPUHP_KVM_PAUTH)
        bits |= 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
    if (config->pmu_irq)
        bits |= 1u << KVM_ARM_VCPU_PMU_V3;
    return bits;
}

static Kvm *new_kvm(Vcpuhp *hp, const VcpuhpKvmConfig *config)
{
    Kvm *kvm = g_new(Kvm, 1);

    *kvm = (Kvm){
        .hp = hp, .vm_fd = config->vm_fd, .psci = config->psci, .lent = config->vcpu_fds != NULL};
    if (kvm->lent)
        kvm->init = *config->vcpu_init;
    else
        kvm->init.features[0] = vcpu_features(&hp->config, config->features);
    kvm->vcpus = g_new0(KvmVcpu, hp->config.n_vcpus);
    for (uint32_t i = 0; i < hp->config.n_vcpus; i++) {
        kvm->vcpus[i].fd = kvm->lent ? config->vcpu_fds[i] : -1;
        kvm->vcpus[i].run = kvm->lent ? config->vcpu_runs[i] : NULL;
    }
    gic_setup(&kvm->gic, &hp->config, config->vm_fd, config->vgic_fd, config->its_fd);
    return kvm;
}

bool vcpuhp_kvm_setup(Vcpuhp *hp, const VcpuhpKvmConfig *caller, GError **error)
{
    static const char what[] = "vcpuhp_kvm_setup";
    VcpuhpKvmConfig config;
    Kvm *kvm;

    vcpuhp_kvm_config_init(&config, -1);
    if (!sized_copy_in(&config, sizeof(config), caller, SIZED_FIRST(VcpuhpKvmConfig, warm_up_slot),
                       "VcpuhpKvmConfig", error) ||
        !context_set_backend(hp, &kvm_backend, NULL, what, error) ||
        !check_fields(hp, &config, error))
        return false;
    kvm = new_kvm(hp, &config);
    if (check(kvm, error) && (kvm->lent ? adopt(kvm, error) : create(kvm, &config, error)) &&
        read_fwb(kvm, error) && add_warm_up(kvm, &config, error) &&
        context_set_backend(hp, &kvm_backend, kvm, what, error))
        return true;
    kvm_free(kvm);
    return false;
}
