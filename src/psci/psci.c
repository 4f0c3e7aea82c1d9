/* SPDX-License-Identifier: BSD-3-Clause */
#include "psci/psci.h"

/* DEN0022F, 5.1: ids that follow each other from these. */
#define SMC32_IDS   0x84000000u
#define SMC64_IDS   0xc4000000u
#define SMC64_BIT   (SMC32_IDS ^ SMC64_IDS)
#define N_FUNCTIONS 0x20

enum {
    FN_VERSION = 0x00,
    FN_CPU_SUSPEND = 0x01,
    FN_CPU_OFF = 0x02,
    FN_CPU_ON = 0x03,
    FN_AFFINITY_INFO = 0x04,
    FN_MIGRATE_INFO_TYPE = 0x06,
    FN_SYSTEM_OFF = 0x08,
    FN_SYSTEM_RESET = 0x09,
    FN_FEATURES = 0x0a,
    FN_SYSTEM_RESET2 = 0x12,
    FN_SYSTEM_OFF2 = 0x15,
};

/* CPU_ON may be DENIED by policy since 1.2. SYSTEM_OFF2 is new in 1.3. */
#define VERSION_1_3 0x10003

/* A call of the Arm architecture (DEN0028) rather than of PSCI, but a guest asks PSCI_FEATURES
 * whether it may be called. */
#define SMCCC_VERSION 0x80000000u

/* The bits of CPU_SUSPEND's power_state in its original format. */
#define POWER_STATE_BITS 0x0301ffffu

/* There is no Trusted OS that would have to be migrated. */
#define TOS_NOT_PRESENT 2

/* SYSTEM_RESET2's types: 0 is the warm reset, the upper half the vendor's. */
#define RESET_WARM   0u
#define RESET_VENDOR 0x80000000u

/* SYSTEM_OFF2's types are the bits that PSCI_FEATURES returns. 0 means HIBERNATE_OFF, too, as in
 * drafts of the specification. */
#define OFF_HIBERNATE 1u

/* AFFINITY_INFO */
enum {
    AFFINITY_ON = 0,
    AFFINITY_OFF = 1,
    AFFINITY_ON_PENDING = 2
};

typedef struct Caller {
    Slots *slots;
    VcpuhpCounters *counters;
    uint32_t vcpu;
    bool smc64;
    bool big_endian;
    uint64_t *x;
    Effects *fx;
} Caller;

uint64_t psci_result(int result)
{
    return (uint64_t)(int64_t)result;
}

static VcpuhpPsciAction answer(const Caller *caller, int result)
{
    caller->x[0] = psci_result(result);
    return VCPUHP_PSCI_RETURN;
}

/* The call does not return. If the VMM resumes the vCPU nevertheless, the guest reads a failure. */
static VcpuhpPsciAction machine(const Caller *caller, VcpuhpPsciAction action)
{
    caller->x[0] = psci_result(PSCI_INTERNAL_FAILURE);
    return action;
}

/* PSCI passes a uint32 parameter in a W register in both calling conventions, and one that is as
 * wide as the call in an X register of a 64-bit call. Upper bits are ignored (DEN0028, 3.1). */
static uint32_t arg32(const Caller *caller, int n)
{
    return (uint32_t)caller->x[n];
}

static uint64_t arg(const Caller *caller, int n)
{
    return caller->smc64 ? caller->x[n] : arg32(caller, n);
}

/* --- vCPUs --- */

/* There is one power level, so power-down is standby: an interrupt wakes the vCPU, which then
 * returns from the call, as every caller must expect. The entry address is not used. */
static VcpuhpPsciAction cpu_suspend(const Caller *caller)
{
    if (arg32(caller, 1) & ~POWER_STATE_BITS)
        return answer(caller, PSCI_INVALID_PARAMETERS);
    caller->x[0] = psci_result(PSCI_SUCCESS);
    return VCPUHP_PSCI_SUSPEND;
}

static VcpuhpPsciAction cpu_off(const Caller *caller)
{
    caller->counters->cpu_off++;
    caller->fx->off = (int)caller->vcpu;
    return VCPUHP_PSCI_PARK;
}

static VcpuhpPsciAction cpu_on(const Caller *caller)
{
    Slots *slots = caller->slots;
    VcpuhpCounters *counters = caller->counters;
    const Entry entry = {arg(caller, 2), arg(caller, 3), caller->big_endian};
    /* No vCPU's affinity has bits outside the affinity fields. */
    int target = config_vcpu_by_mpidr(slots->config, arg(caller, 1));

    if (target < 0) {
        counters->cpu_on_failed++;
        slots_guest_error(slots, caller->vcpu, "CPU_ON of an MPIDR that no vCPU has", caller->fx);
        return answer(caller, PSCI_INVALID_PARAMETERS);
    }
    switch (slots_on(slots, target, &entry, caller->fx)) {
    case ON_GRANTED:
        counters->cpu_on_granted++;
        return answer(caller, PSCI_SUCCESS);
    case ON_DENIED:
        counters->cpu_on_denied++;
        return answer(caller, PSCI_DENIED);
    case ON_ALREADY:
        counters->cpu_on_already++;
        return answer(caller, PSCI_ALREADY_ON);
    case ON_PENDING:
        counters->cpu_on_already++;
        return answer(caller, PSCI_ON_PENDING);
    case ON_BAD_ADDRESS:
        counters->cpu_on_failed++;
        slots_guest_error(slots, caller->vcpu, "CPU_ON with a misaligned entry address",
                          caller->fx);
        return answer(caller, PSCI_INVALID_ADDRESS);
    case ON_STOPPED:
        break;
    }
    counters->cpu_on_failed++;
    return answer(caller, PSCI_INTERNAL_FAILURE);
}

static int vcpu_info(const Slots *slots, uint32_t vcpu)
{
    switch ((VcpuhpPower)slots->table[vcpu].power) {
    case VCPUHP_POWER_ON:
        return AFFINITY_ON;
    case VCPUHP_POWER_ON_PENDING:
        return AFFINITY_ON_PENDING;
    case VCPUHP_POWER_OFF:
        break;
    }
    return AFFINITY_OFF;
}

/* Of the vCPUs that share the fields from level up: ON if any is, else ON_PENDING if any is. */
static int group_info(const Slots *slots, uint64_t affinity, uint32_t level)
{
    static const uint64_t fields[] = {MPIDR_AFFINITY, 0xff00ffff00, 0xff00ff0000, 0xff00000000};
    int result = PSCI_INVALID_PARAMETERS;

    if (level >= G_N_ELEMENTS(fields) || affinity & ~MPIDR_AFFINITY)
        return PSCI_INVALID_PARAMETERS;
    for (uint32_t i = 0; i < slots->config->n_vcpus; i++) {
        int info;

        if ((slots->config->mpidrs[i] ^ affinity) & fields[level])
            continue;
        info = vcpu_info(slots, i);
        if (info == AFFINITY_ON)
            return AFFINITY_ON;
        if (result != AFFINITY_ON_PENDING)
            result = info;
    }
    return result;
}

static VcpuhpPsciAction affinity_info(const Caller *caller)
{
    uint64_t affinity = arg(caller, 1);
    uint32_t level = arg32(caller, 2);
    int vcpu;

    caller->counters->affinity_info++;
    if (level)
        return answer(caller, group_info(caller->slots, affinity, level));
    vcpu = config_vcpu_by_mpidr(caller->slots->config, affinity);
    return answer(caller, vcpu < 0 ? PSCI_INVALID_PARAMETERS : vcpu_info(caller->slots, vcpu));
}

/* --- The machine --- */

static VcpuhpPsciAction version(const Caller *caller)
{
    return answer(caller, VERSION_1_3);
}

static VcpuhpPsciAction migrate_info_type(const Caller *caller)
{
    return answer(caller, TOS_NOT_PRESENT);
}

static VcpuhpPsciAction system_off(const Caller *caller)
{
    return machine(caller, VCPUHP_PSCI_SYSTEM_OFF);
}

static VcpuhpPsciAction system_reset(const Caller *caller)
{
    return machine(caller, VCPUHP_PSCI_SYSTEM_RESET);
}

static VcpuhpPsciAction system_reset2(const Caller *caller)
{
    uint32_t type = arg32(caller, 1);

    if (type != RESET_WARM && type < RESET_VENDOR)
        return answer(caller, PSCI_INVALID_PARAMETERS);
    return machine(caller, VCPUHP_PSCI_SYSTEM_RESET);
}

static VcpuhpPsciAction system_off2(const Caller *caller)
{
    uint32_t type = arg32(caller, 1);

    /* The cookie is reserved. */
    if ((type && type != OFF_HIBERNATE) || arg(caller, 2))
        return answer(caller, PSCI_INVALID_PARAMETERS);
    return machine(caller, VCPUHP_PSCI_SYSTEM_OFF);
}

/* --- Dispatch. Every other function is NOT_SUPPORTED, also according to PSCI_FEATURES. --- */

typedef VcpuhpPsciAction Serve(const Caller *caller);
static Serve features;

static const struct {
    Serve *serve;
    bool smc64; /* there is a 64-bit call, too */
    /* What PSCI_FEATURES answers. CPU_SUSPEND: original power_state format, platform-coordinated
     * mode only. */
    int features;
} functions[N_FUNCTIONS] = {
    [FN_VERSION] = {version, false, 0},
    [FN_CPU_SUSPEND] = {cpu_suspend, true, 0},
    [FN_CPU_OFF] = {cpu_off, false, 0},
    [FN_CPU_ON] = {cpu_on, true, 0},
    [FN_AFFINITY_INFO] = {affinity_info, true, 0},
    [FN_MIGRATE_INFO_TYPE] = {migrate_info_type, false, 0},
    [FN_SYSTEM_OFF] = {system_off, false, 0},
    [FN_SYSTEM_RESET] = {system_reset, false, 0},
    [FN_FEATURES] = {features, false, 0},
    [FN_SYSTEM_RESET2] = {system_reset2, true, 0},
    [FN_SYSTEM_OFF2] = {system_off2, true, OFF_HIBERNATE},
};

static bool is_psci(uint32_t id)
{
    return (id & ~SMC64_BIT) - SMC32_IDS < N_FUNCTIONS;
}

/* The index in functions[] of a PSCI id, or -1: not implemented. */
static int find(uint32_t id)
{
    int number = id % N_FUNCTIONS;

    if (!functions[number].serve || (id & SMC64_BIT && !functions[number].smc64))
        return -1;
    return number;
}

static VcpuhpPsciAction features(const Caller *caller)
{
    uint32_t id = arg32(caller, 1);
    int number;

    if (id == SMCCC_VERSION)
        return answer(caller, PSCI_SUCCESS);
    number = is_psci(id) ? find(id) : -1;
    return answer(caller, number < 0 ? PSCI_NOT_SUPPORTED : functions[number].features);
}

VcpuhpPsciAction psci_call(Slots *slots, VcpuhpCounters *counters, uint32_t vcpu, uint64_t x[4],
                           bool big_endian, Effects *fx)
{
    uint32_t id = (uint32_t)x[0];
    Caller caller = {slots, counters, vcpu, (id & SMC64_BIT) != 0, big_endian, x, fx};
    int number;

    if (!is_psci(id))
        return VCPUHP_PSCI_NOT_PSCI;
    number = find(id);
    /* These three count themselves. */
    if (number != FN_CPU_OFF && number != FN_CPU_ON && number != FN_AFFINITY_INFO)
        counters->psci_other++;
    if (number < 0)
        return answer(&caller, PSCI_NOT_SUPPORTED);
    return functions[number].serve(&caller);
}
