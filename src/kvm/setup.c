/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Setting up: look whether the host can do it, then make everything that a vCPU will ever need,
 * for all of them, in the one order that KVM takes (docs/kvm.md).
 */
#include "kvm.h"

#include <errno.h>
#include <linux/psci.h>
#include <sys/ioctl.h>

#include "call.h"

static bool refuse(int code, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool refuse(int code, GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(VCPUHP_ERROR, code, format, args));
    va_end(args);
    return false;
}

static bool check_config(Vcpuhp *hp, const VcpuhpKvmConfig *config, GError **error)
{
    const uint32_t features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
    bool running;

    if (config->version != VCPUHP_KVM_CONFIG_VERSION)
        return refuse(VCPUHP_ERROR_CONFIG, error, "version is %u, this library knows %u",
                      config->version, VCPUHP_KVM_CONFIG_VERSION);
    if (config->psci != VCPUHP_KVM_PSCI_SPARSE && config->psci != VCPUHP_KVM_PSCI_WHOLE)
        return refuse(VCPUHP_ERROR_CONFIG, error, "psci is %d, which is no VcpuhpKvmPsci",
                      (int)config->psci);
    if (config->features & ~features)
        return refuse(VCPUHP_ERROR_CONFIG, error,
                      "features is 0x%x, which has bits beside those of VcpuhpKvmFeatures, 0x%x",
                      config->features, features);
    g_mutex_lock(&hp->slots.lock);
    running = hp->slots.n_running > 0;
    g_mutex_unlock(&hp->slots.lock);
    if (hp->hands || running)
        return refuse(VCPUHP_ERROR_ORDER, error, "vcpuhp_kvm_setup: %s",
                      hp->hands ? "was called before" : "a vCPU runs already");
    return true;
}

/* --- What the host can do --- */

/* The features of KVM_ARM_VCPU_INIT. */
static uint32_t vcpu_features(const Config *config, uint32_t features)
{
    /* Stopped until it is turned on: not even a KVM_RUN by mistake runs a vCPU that is off. */
    uint32_t bits = 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_POWER_OFF;

    if (features & VCPUHP_KVM_SVE)
        bits |= 1u << KVM_ARM_VCPU_SVE;
    if (features & VCPUHP_KVM_PAUTH)
        bits |= 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
    if (config->pmu_irq)
        bits |= 1u << KVM_ARM_VCPU_PMU_V3;
    return bits;
}

/* Is an arm64 KVM's VM, and has what its vCPUs need. */
static bool probe_vcpus(Kvm *kvm, uint32_t features, GError **error)
{
    static const struct {
        int cap;
        uint32_t features; /* needed for these, 0: always */
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
    int max;

    if (ioctl(kvm->vm_fd, KVM_ARM_PREFERRED_TARGET, &kvm->init) < 0)
        return refuse(VCPUHP_ERROR_NOT_SUPPORTED, error,
                      "vm_fd is %d, not a virtual machine of an arm64 KVM: "
                      "KVM_ARM_PREFERRED_TARGET: %s",
                      kvm->vm_fd, g_strerror(errno));
    kvm->init.features[0] = features;
    for (gsize i = 0; i < G_N_ELEMENTS(needs); i++)
        if ((!needs[i].features || features & needs[i].features) &&
            ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_NUMBER(needs[i].cap)) <= 0)
            return refuse(VCPUHP_ERROR_NOT_SUPPORTED, error, "this host's KVM lacks %s",
                          needs[i].what);
    max = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_NUMBER(KVM_CAP_MAX_VCPUS));
    if (max < 0 || kvm->hp->config.n_vcpus > (uint32_t)max)
        return refuse(VCPUHP_ERROR_NOT_SUPPORTED, error,
                      "n_vcpus is %u, but this host's KVM has at most %d vCPUs in a machine",
                      kvm->hp->config.n_vcpus, MAX(max, 0));
    return true;
}

/* Without the filter KVM would answer CPU_ON by itself, and turn on what is disabled. */
static bool probe_filter(const Kvm *kvm, GError **error)
{
    if (kvm_has_attr(kvm->vm_fd, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER))
        return true;
    return refuse(VCPUHP_ERROR_NOT_SUPPORTED, error,
                  "this host's KVM lacks the SMCCC filter (KVM_ARM_VM_SMCCC_FILTER), which Linux "
                  "has since 6.4");
}

/* --- Making it --- */

static bool create_vcpus(Kvm *kvm, GError **error)
{
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++) {
        kvm->vcpus[i].fd = kvm_call(kvm->vm_fd, KVM_CREATE_VCPU, KVM_NUMBER(i), error,
                                    "vCPU %u: KVM_CREATE_VCPU", i);
        if (kvm->vcpus[i].fd < 0)
            return false;
    }
    return true;
}

/*
 * The tables and PSCI know a vCPU by the config's affinity. KVM keeps what is written here over
 * later resets. It has one rule for all vCPUs, so only the last one is asked what it has by itself:
 * to ask them all would be a good part of the whole set-up's time.
 */
static bool set_mpidrs(const Kvm *kvm, GError **error)
{
    const Config *config = &kvm->hp->config;
    uint32_t last = config->n_vcpus - 1;
    uint64_t mpidr;

    if (!kvm_get_reg(kvm->vcpus[last].fd, last, KVM_REG_MPIDR_EL1, "MPIDR_EL1", &mpidr, error))
        return false;
    if (!config->custom_mpidrs && (mpidr & MPIDR_AFFINITY) == config->mpidrs[last])
        return true;
    for (uint32_t i = 0; i < config->n_vcpus; i++)
        if (!kvm_set_reg(kvm->vcpus[i].fd, i, KVM_REG_MPIDR_EL1, "MPIDR_EL1",
                         (mpidr & ~MPIDR_AFFINITY) | config->mpidrs[i], error))
            return false;
    return true;
}

static bool init_vcpus(Kvm *kvm, GError **error)
{
    int sve = KVM_ARM_VCPU_SVE;

    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++) {
        if (!kvm_vcpu_init(kvm, i, error))
            return false;
        if (kvm->init.features[0] & 1u << KVM_ARM_VCPU_SVE &&
            kvm_call(kvm->vcpus[i].fd, KVM_ARM_VCPU_FINALIZE, &sve, error,
                     "vCPU %u: KVM_ARM_VCPU_FINALIZE (SVE)", i) < 0)
            return false;
    }
    return set_mpidrs(kvm, error);
}

/* A vCPU without it fails its first KVM_RUN, be it years later. */
static bool init_pmus(const Kvm *kvm, GError **error)
{
    const Config *config = &kvm->hp->config;
    int irq = config->pmu_irq;

    for (uint32_t i = 0; irq && i < config->n_vcpus; i++) {
        int fd = kvm->vcpus[i].fd;

        if (!kvm_set_attr(fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, &irq, error,
                          "vCPU %u: KVM_SET_DEVICE_ATTR (PMU interrupt %d)", i, irq) ||
            !kvm_set_attr(fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, NULL, error,
                          "vCPU %u: KVM_SET_DEVICE_ATTR (PMU init)", i))
            return false;
    }
    return true;
}

/* DEN0022F, 5.1: the functions and both their calling conventions. A CPU_ON that is left to KVM, in
 * either of its widths, would be a way past the policy; CPU_OFF left to KVM would put the thread to
 * sleep in it; AFFINITY_INFO would tell of power states that KVM doesn't know. */
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
    for (int i = 0; i < 2; i++) {
        struct kvm_smccc_filter filter = ranges[kvm->psci][i];

        filter.action = KVM_SMCCC_FILTER_FWD_TO_USER;
        if (!kvm_set_attr(kvm->vm_fd, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER, &filter,
                          error, "KVM_SET_DEVICE_ATTR (SMCCC filter 0x%x … 0x%x)", filter.base,
                          filter.base + filter.nr_functions - 1))
            return false;
    }
    return true;
}

/* All vCPUs come before gic_init(): KVM creates none after. The filter comes last but for running:
 * it can't be changed then. */
static bool make(Kvm *kvm, GError **error)
{
    return create_vcpus(kvm, error) && gic_create(&kvm->gic, error) && init_vcpus(kvm, error) &&
           gic_init(&kvm->gic, error) && init_pmus(kvm, error) &&
           kvm_image_take(&kvm->image, kvm->vcpus[0].fd, 0, error) && set_filter(kvm, error);
}

bool vcpuhp_kvm_setup(Vcpuhp *hp, const VcpuhpKvmConfig *config, GError **error)
{
    Kvm *kvm;

    if (!check_config(hp, config, error))
        return false;
    kvm = g_new(Kvm, 1);
    *kvm = (Kvm){.hp = hp, .vm_fd = config->vm_fd, .psci = config->psci};
    kvm->vcpus = g_new(KvmVcpu, hp->config.n_vcpus);
    for (uint32_t i = 0; i < hp->config.n_vcpus; i++)
        kvm->vcpus[i] = (KvmVcpu){.fd = -1};
    gic_setup(&kvm->gic, &hp->config, config->vm_fd, config->vgic_fd);
    if (!probe_vcpus(kvm, vcpu_features(&hp->config, config->features), error) ||
        !gic_probe(&kvm->gic, error) || !probe_filter(kvm, error) || !make(kvm, error)) {
        kvm_free(kvm);
        return false;
    }
    hp->hands_data = kvm;
    hp->hands = &kvm_hands;
    return true;
}

/* --- What it made --- */

static const Kvm *kvm_of(const Vcpuhp *hp)
{
    return hp->hands == &kvm_hands ? hp->hands_data : NULL;
}

int vcpuhp_kvm_vcpu_fd(const Vcpuhp *hp, uint32_t vcpu)
{
    const Kvm *kvm = kvm_of(hp);

    return kvm && vcpu < hp->config.n_vcpus ? kvm->vcpus[vcpu].fd : -1;
}

int vcpuhp_kvm_vgic_fd(const Vcpuhp *hp)
{
    const Kvm *kvm = kvm_of(hp);

    return kvm ? kvm->gic.fd : -1;
}

int vcpuhp_kvm_its_fd(const Vcpuhp *hp)
{
    const Kvm *kvm = kvm_of(hp);

    return kvm ? kvm->gic.its_fd : -1;
}
