/* SPDX-License-Identifier: BSD-3-Clause */
#include "kvm/reg.h"

#include <inttypes.h>

#include "ioctl.h"

#define COPROC(id) ((id)&KVM_REG_ARM_COPROC_MASK)
#define OP1_CRN    (KVM_REG_ARM64_SYSREG_OP1_MASK | KVM_REG_ARM64_SYSREG_CRN_MASK)
#define OP0        KVM_REG_ARM64_SYSREG_OP0_MASK
#define FIELD(id, name)                                                                            \
    ((unsigned)(((id)&KVM_REG_ARM64_SYSREG_##name##_MASK) >> KVM_REG_ARM64_SYSREG_##name##_SHIFT))

/* Op0 3, CRn 0: identification registers. CSSELR_EL1, with op1 2, is not one. */
static KvmRegKind system_register_kind(uint64_t id)
{
    if (id == KVM_REG_MPIDR_EL1 || id == KVM_REG_ARM_TIMER_CNT || id == KVM_REG_ARM_PTIMER_CNT)
        return KVM_REG_KIND_OTHER;
    return (id & OP0) == 3 << KVM_REG_ARM64_SYSREG_OP0_SHIFT &&
                   !(id & KVM_REG_ARM64_SYSREG_CRN_MASK) &&
                   (id & OP1_CRN) != 2 << KVM_REG_ARM64_SYSREG_OP1_SHIFT
               ? KVM_REG_KIND_HOST
               : KVM_REG_KIND_GUEST;
}

KvmRegKind kvm_reg_kind(uint64_t id)
{
    switch (COPROC(id)) {
    case KVM_REG_ARM_CORE:
        return KVM_REG_KIND_GUEST;
    case KVM_REG_ARM64_SVE:
        return id == KVM_REG_ARM64_SVE_VLS ? KVM_REG_KIND_HOST : KVM_REG_KIND_GUEST;
    case KVM_REG_ARM64_SYSREG:
        return system_register_kind(id);
    default:
        return KVM_REG_KIND_HOST;
    }
}

bool kvm_reg_is_per_vcpu(uint64_t id)
{
    return id == KVM_REG_CLIDR_EL1 || COPROC(id) == KVM_REG_ARM_DEMUX;
}

bool kvm_reg_clears(uint64_t id)
{
    return id == ARM64_SYS_REG(3, 0, 9, 14, 2) || /* PMINTENCLR_EL1 */
           id == ARM64_SYS_REG(3, 3, 9, 12, 2) || /* PMCNTENCLR_EL0 */
           id == ARM64_SYS_REG(3, 3, 9, 12, 3);   /* PMOVSCLR_EL0 */
}

/* Those in which hosts differ. */
static const char *known_name(uint64_t id)
{
    static const struct {
        uint64_t id;
        const char *name;
    } names[] = {
        {ARM64_SYS_REG(3, 0, 0, 0, 0), "MIDR_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 0, 6), "REVIDR_EL1"},
        {ARM64_SYS_REG(3, 1, 0, 0, 7), "AIDR_EL1"},
        {ARM64_SYS_REG(3, 3, 0, 0, 1), "CTR_EL0"},
        {KVM_REG_CLIDR_EL1, "CLIDR_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 4, 0), "ID_AA64PFR0_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 4, 1), "ID_AA64PFR1_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 4, 2), "ID_AA64PFR2_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 4, 4), "ID_AA64ZFR0_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 4, 5), "ID_AA64SMFR0_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 4, 7), "ID_AA64FPFR0_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 5, 0), "ID_AA64DFR0_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 5, 1), "ID_AA64DFR1_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 6, 0), "ID_AA64ISAR0_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 6, 1), "ID_AA64ISAR1_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 6, 2), "ID_AA64ISAR2_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 6, 3), "ID_AA64ISAR3_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 7, 0), "ID_AA64MMFR0_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 7, 1), "ID_AA64MMFR1_EL1"},
        {KVM_REG_ID_AA64MMFR2_EL1, "ID_AA64MMFR2_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 7, 3), "ID_AA64MMFR3_EL1"},
        {ARM64_SYS_REG(3, 0, 0, 7, 4), "ID_AA64MMFR4_EL1"},
        {KVM_REG_PMCR_EL0, "PMCR_EL0.N"},
        {KVM_REG_ARM64_SVE_VLS, "SVE_VLS"},
        {KVM_REG_ARM_PSCI_VERSION, "PSCI_VERSION"},
        {KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1, "SMCCC_ARCH_WORKAROUND_1"},
        {KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2, "SMCCC_ARCH_WORKAROUND_2"},
        {KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3, "SMCCC_ARCH_WORKAROUND_3"},
        {KVM_REG_ARM_STD_BMAP, "STD_BMAP"},
        {KVM_REG_ARM_STD_HYP_BMAP, "STD_HYP_BMAP"},
        {KVM_REG_ARM_VENDOR_HYP_BMAP, "VENDOR_HYP_BMAP"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (names[i].id == id)
            return names[i].name;
    return NULL;
}

/* Others have the name that the Arm ARM, C5.1.2, gives to every system register. */
char *kvm_reg_name(uint64_t id)
{
    const char *name = known_name(id);

    if (name)
        return g_strdup(name);
    if (COPROC(id) == KVM_REG_ARM_DEMUX)
        return g_strdup_printf("CCSIDR_EL1 of CSSELR_EL1 %u",
                               (unsigned)(id & KVM_REG_ARM_DEMUX_VAL_MASK));
    if (COPROC(id) == KVM_REG_ARM64_SYSREG)
        return g_strdup_printf("S%u_%u_C%u_C%u_%u", FIELD(id, OP0), FIELD(id, OP1), FIELD(id, CRN),
                               FIELD(id, CRM), FIELD(id, OP2));
    return g_strdup_printf("register 0x%" PRIx64, id);
}
