/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM's rules about order, repetition and state, one test a rule. */
#include "contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <glib.h>
#include <linux/kvm.h>
#include <linux/psci.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_VCPUS 4
#define N_IRQS    64
#define DIST      0x08000000ull
#define REDISTS   0x0a000000ull
#define PMU_IRQ   23
#define TIMER_IRQ 27
#define ONE       (1ull << 52) /* a region of one redistributor */

#define CORE(name)                                                                                 \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define X(n)            (CORE(regs.regs[0]) + 2 * (n))
#define PC              CORE(regs.pc)
#define MPIDR_EL1       ARM64_SYS_REG(3, 0, 0, 0, 5)
#define MMFR2_EL1       ARM64_SYS_REG(3, 0, 0, 7, 2)
#define SCTLR_EL1       ARM64_SYS_REG(3, 0, 1, 0, 0)
#define TTBR0_EL1       ARM64_SYS_REG(3, 0, 2, 0, 0)
#define TCR_EL1         ARM64_SYS_REG(3, 0, 2, 0, 2)
#define MAIR_EL1        ARM64_SYS_REG(3, 0, 10, 2, 0)
#define CSSELR_EL1      ARM64_SYS_REG(3, 2, 0, 0, 0)
#define MIDR_EL1        ARM64_SYS_REG(3, 0, 0, 0, 0)
#define ISAR0_EL1       ARM64_SYS_REG(3, 0, 0, 6, 0)
#define CLIDR_EL1       ARM64_SYS_REG(3, 1, 0, 0, 1)
#define PMCR_EL0        ARM64_SYS_REG(3, 3, 9, 12, 0)
#define PMCNTENSET_EL0  ARM64_SYS_REG(3, 3, 9, 12, 1)
#define PMCNTENCLR_EL0  ARM64_SYS_REG(3, 3, 9, 12, 2)
#define FW_PSCI_VERSION KVM_REG_ARM_PSCI_VERSION

#define NO_REGISTER 0x3000 /* in the vGIC's frames */
#define ICC_CTLR    0xc664
#define ICC_PMR     0xc230

typedef struct Vm {
    int fd, vgic, its;
    uint32_t n_vcpus;
    int vcpus[MAX_VCPUS];
    struct kvm_run *runs[MAX_VCPUS];
} Vm;

/* The ioctl's result, or -errno. */
static int call(int fd, unsigned long request, void *arg)
{
    int result = ioctl(fd, request, arg);

    return result < 0 ? -errno : result;
}

static int call_number(int fd, unsigned long request, unsigned long number)
{
    return call(fd, request, (void *)number);
}

static int attr(int fd, unsigned long request, uint32_t group, uint64_t which, void *value)
{
    struct kvm_device_attr arg = {.group = group, .attr = which, .addr = (uintptr_t)value};

    return call(fd, request, &arg);
}

static int set_attr(int fd, uint32_t group, uint64_t which, uint64_t value)
{
    return attr(fd, KVM_SET_DEVICE_ATTR, group, which, &value);
}

static int get_attr(int fd, uint32_t group, uint64_t which)
{
    uint64_t value = 0;

    return attr(fd, KVM_GET_DEVICE_ATTR, group, which, &value);
}

static int set_up(void **state)
{
    Vm *vm = g_new0(Vm, 1);

    vm->fd = contract_open_vm();
    assert_true(vm->fd >= 0);
    vm->vgic = vm->its = -1;
    *state = vm;
    return 0;
}

static int tear_down(void **state)
{
    Vm *vm = *state;

    for (uint32_t i = 0; i < vm->n_vcpus; i++) {
        munmap(vm->runs[i], sizeof(*vm->runs[i]));
        close(vm->vcpus[i]);
    }
    if (vm->its >= 0)
        close(vm->its);
    if (vm->vgic >= 0)
        close(vm->vgic);
    contract_close_vm(vm->fd);
    g_free(vm);
    return 0;
}

/* --- Steps of a setup --- */

static bool has(Vm *vm, int capability)
{
    return call_number(vm->fd, KVM_CHECK_EXTENSION, (unsigned long)capability) > 0;
}

static int create(Vm *vm)
{
    uint32_t id = vm->n_vcpus;
    int fd = call_number(vm->fd, KVM_CREATE_VCPU, id);

    if (fd < 0)
        return fd;
    vm->vcpus[id] = fd;
    vm->runs[id] = mmap(NULL, sizeof(struct kvm_run), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(vm->runs[id], MAP_FAILED);
    vm->n_vcpus++;
    return fd;
}

static int init_with(Vm *vm, uint32_t vcpu, uint32_t features)
{
    struct kvm_vcpu_init arg;

    assert_int_equal(call(vm->fd, KVM_ARM_PREFERRED_TARGET, &arg), 0);
    arg.features[0] = features | 1u << KVM_ARM_VCPU_PSCI_0_2;
    return call(vm->vcpus[vcpu], KVM_ARM_VCPU_INIT, &arg);
}

#define OFF (1u << KVM_ARM_VCPU_POWER_OFF)

static void create_vcpus(Vm *vm, uint32_t n, uint32_t features)
{
    for (uint32_t i = 0; i < n; i++) {
        assert_true(create(vm) >= 0);
        assert_int_equal(init_with(vm, i, features | OFF), 0);
    }
}

static int create_vgic(Vm *vm)
{
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
    int error = call(vm->fd, KVM_CREATE_DEVICE, &device);

    if (!error)
        vm->vgic = (int)device.fd;
    return error;
}

static int set_address(Vm *vm, uint64_t type, uint64_t address)
{
    return set_attr(vm->vgic, KVM_DEV_ARM_VGIC_GRP_ADDR, type, address);
}

static int set_region(Vm *vm, uint64_t region)
{
    return set_address(vm, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, region);
}

static int set_n_irqs(Vm *vm, uint64_t n)
{
    return set_attr(vm->vgic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, n);
}

static int init_vgic(Vm *vm)
{
    return attr(vm->vgic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL,
                KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
}

/* With all addresses, not initialised. */
static void place_vgic(Vm *vm)
{
    assert_int_equal(create_vgic(vm), 0);
    assert_int_equal(set_address(vm, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST), 0);
    assert_int_equal(set_region(vm, (uint64_t)vm->n_vcpus * ONE | REDISTS), 0);
    assert_int_equal(set_n_irqs(vm, N_IRQS), 0);
}

static void create_machine(Vm *vm, uint32_t n, uint32_t features)
{
    create_vcpus(vm, n, features);
    place_vgic(vm);
    assert_int_equal(init_vgic(vm), 0);
}

/* As far as the guest's first instruction, which is not executed: -EINTR. */
static int run(Vm *vm, uint32_t vcpu)
{
    vm->runs[vcpu]->immediate_exit = 1;
    return call(vm->vcpus[vcpu], KVM_RUN, NULL);
}

static int get_reg(Vm *vm, uint64_t id, void *value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

    return call(vm->vcpus[0], KVM_GET_ONE_REG, &reg);
}

static int set_reg(Vm *vm, uint64_t id, uint64_t value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

    return call(vm->vcpus[0], KVM_SET_ONE_REG, &reg);
}

static uint64_t reg(Vm *vm, uint64_t id)
{
    uint64_t value;

    assert_int_equal(get_reg(vm, id, &value), 0);
    return value;
}

/* --- vCPUs --- */

static void a_vcpu_id_is_taken_once(void **state)
{
    Vm *vm = *state;

    assert_true(create(vm) >= 0);
    assert_int_equal(call_number(vm->fd, KVM_CREATE_VCPU, 0), -EEXIST);
}

static void there_are_ids_below_the_capability_only(void **state)
{
    Vm *vm = *state;
    int max = call_number(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

    assert_int_equal(call_number(vm->fd, KVM_CREATE_VCPU, (unsigned long)max), -EINVAL);
}

static void no_vcpu_is_created_once_the_vgic_is_initialised(void **state)
{
    Vm *vm = *state;

    create_vcpus(vm, 2, 0);
    place_vgic(vm);
    assert_true(create(vm) >= 0);
    assert_int_equal(init_with(vm, 2, OFF), 0);
    assert_int_equal(init_vgic(vm), 0);
    assert_int_equal(create(vm), -EBUSY);
}

static void a_vcpu_is_useless_before_its_init(void **state)
{
    Vm *vm = *state;
    struct kvm_reg_list list = {0};
    int sve = KVM_ARM_VCPU_SVE;
    uint64_t value;

    assert_true(create(vm) >= 0);
    assert_int_equal(get_reg(vm, PC, &value), -ENOEXEC);
    assert_int_equal(set_reg(vm, PC, 0), -ENOEXEC);
    assert_int_equal(call(vm->vcpus[0], KVM_GET_REG_LIST, &list), -ENOEXEC);
    assert_int_equal(call(vm->vcpus[0], KVM_ARM_VCPU_FINALIZE, &sve), -ENOEXEC);
    assert_int_equal(run(vm, 0), -ENOEXEC);
}

static void an_init_asks_for_the_same_features_each_time_and_on_each_vcpu(void **state)
{
    Vm *vm = *state;
    uint32_t other =
        has(vm, KVM_CAP_ARM_PMU_V3) ? 1u << KVM_ARM_VCPU_PMU_V3 : 1u << KVM_ARM_VCPU_EL1_32BIT;

    create_vcpus(vm, 1, 0);
    assert_true(create(vm) >= 0);
    assert_int_equal(init_with(vm, 0, other), -EINVAL);
    assert_int_equal(init_with(vm, 1, other), -EINVAL);
    assert_int_equal(init_with(vm, 0, 0), 0);
    assert_int_equal(init_with(vm, 1, OFF), 0);
}

static void an_init_with_another_target_or_an_unknown_feature_fails(void **state)
{
    Vm *vm = *state;
    struct kvm_vcpu_init arg;

    assert_true(create(vm) >= 0);
    assert_int_equal(init_with(vm, 0, 1u << 30), -ENOENT);
    assert_int_equal(call(vm->fd, KVM_ARM_PREFERRED_TARGET, &arg), 0);
    arg.target += 77;
    assert_int_equal(call(vm->vcpus[0], KVM_ARM_VCPU_INIT, &arg), -EINVAL);
}

static void pauth_is_for_addresses_and_generic_or_not_at_all(void **state)
{
    Vm *vm = *state;

    assert_true(create(vm) >= 0);
    assert_int_equal(init_with(vm, 0, 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS), -EINVAL);
    assert_int_equal(init_with(vm, 0, 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC), -EINVAL);
}

static void sve_is_finalised_once_before_anything_runs(void **state)
{
    Vm *vm = *state;
    int sve = KVM_ARM_VCPU_SVE;
    uint64_t vls[KVM_ARM64_SVE_VLS_WORDS];
    struct kvm_one_reg lengths = {.id = KVM_REG_ARM64_SVE_VLS, .addr = (uintptr_t)vls};
    struct kvm_reg_list list = {0};

    if (!has(vm, KVM_CAP_ARM_SVE))
        skip();
    create_machine(vm, 1, 1u << KVM_ARM_VCPU_SVE);
    assert_int_equal(call(vm->vcpus[0], KVM_GET_REG_LIST, &list), -EPERM);
    assert_int_equal(run(vm, 0), -EPERM);
    assert_int_equal(call(vm->vcpus[0], KVM_GET_ONE_REG, &lengths), 0);
    assert_int_equal(call(vm->vcpus[0], KVM_SET_ONE_REG, &lengths), 0);
    assert_int_equal(call(vm->vcpus[0], KVM_ARM_VCPU_FINALIZE, &sve), 0);
    assert_int_equal(call(vm->vcpus[0], KVM_ARM_VCPU_FINALIZE, &sve), -EPERM);
    assert_int_equal(call(vm->vcpus[0], KVM_SET_ONE_REG, &lengths), -EPERM);
    assert_int_equal(run(vm, 0), -EINTR);
    /* It stays finalised. */
    assert_int_equal(init_with(vm, 0, 1u << KVM_ARM_VCPU_SVE | OFF), 0);
    assert_int_equal(run(vm, 0), -EINTR);
}

static void without_sve_there_is_nothing_to_finalise(void **state)
{
    Vm *vm = *state;
    int sve = KVM_ARM_VCPU_SVE;

    create_vcpus(vm, 1, 0);
    assert_int_equal(call(vm->vcpus[0], KVM_ARM_VCPU_FINALIZE, &sve), -EINVAL);
}

/* --- What KVM_ARM_VCPU_INIT does to a vCPU that has run --- */

static void an_init_restores_the_registers(void **state)
{
    static const uint64_t ids[] = {X(0), X(1), X(30), PC, SCTLR_EL1, CSSELR_EL1};
    uint64_t before[G_N_ELEMENTS(ids)];
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        before[i] = reg(vm, ids[i]);
        assert_int_equal(set_reg(vm, ids[i], 2), 0);
    }
    assert_int_equal(run(vm, 0), -EINTR);
    assert_int_equal(init_with(vm, 0, OFF), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        assert_int_equal(reg(vm, ids[i]), before[i]);
    assert_int_equal(before[0] | before[1] | before[2] | before[3], 0);
}

/* Linux 6.10 */
static void an_init_keeps_mpidr(void **state)
{
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(reg(vm, MPIDR_EL1), 1ull << 31);
    assert_int_equal(set_reg(vm, MPIDR_EL1, 1ull << 31 | 0x10203), 0);
    assert_int_equal(init_with(vm, 0, OFF), 0);
    assert_int_equal(reg(vm, MPIDR_EL1), 1ull << 31 | 0x10203);
}

static uint32_t mp_state(Vm *vm)
{
    struct kvm_mp_state arg;

    assert_int_equal(call(vm->vcpus[0], KVM_GET_MP_STATE, &arg), 0);
    return arg.mp_state;
}

static void an_init_stops_the_vcpu_or_makes_it_runnable(void **state)
{
    struct kvm_mp_state stopped = {KVM_MP_STATE_STOPPED};
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(mp_state(vm), KVM_MP_STATE_STOPPED);
    assert_int_equal(run(vm, 0), -EINTR);
    assert_int_equal(init_with(vm, 0, 0), 0);
    assert_int_equal(mp_state(vm), KVM_MP_STATE_RUNNABLE);
    assert_int_equal(call(vm->vcpus[0], KVM_SET_MP_STATE, &stopped), 0);
    assert_int_equal(mp_state(vm), KVM_MP_STATE_STOPPED);
}

/* --- Registers --- */

static void a_list_that_is_too_short_says_how_long_it_must_be(void **state)
{
    struct kvm_reg_list list = {0};
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    assert_int_equal(call(vm->vcpus[0], KVM_GET_REG_LIST, &list), -E2BIG);
    assert_in_range(list.n, 40, 400);
}

static void an_unknown_register_does_not_exist(void **state)
{
    uint64_t value;
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    assert_int_equal(get_reg(vm, ARM64_SYS_REG(3, 7, 15, 15, 7), &value), -ENOENT);
    assert_int_equal(set_reg(vm, ARM64_SYS_REG(3, 7, 15, 15, 7), 0), -ENOENT);
}

/* So it is the host's. */
static void no_vmm_changes_fwb(void **state)
{
    Vm *vm = *state;
    uint64_t value;

    create_vcpus(vm, 1, 0);
    value = reg(vm, MMFR2_EL1);
    assert_int_equal(set_reg(vm, MMFR2_EL1, value), 0);
    assert_int_equal(set_reg(vm, MMFR2_EL1, value ^ 1ull << 40), -EINVAL);
    assert_int_equal(reg(vm, MMFR2_EL1), value);
}

static void the_psci_version_can_be_set_at_any_time(void **state)
{
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(set_reg(vm, FW_PSCI_VERSION, 0x10000), 0);
    assert_int_equal(run(vm, 0), -EINTR);
    assert_int_equal(set_reg(vm, FW_PSCI_VERSION, 0x10000), 0);
    assert_int_equal(reg(vm, FW_PSCI_VERSION), 0x10000);
}

static void what_firmware_offers_is_fixed_once_a_vcpu_has_run(void **state)
{
    Vm *vm = *state;
    uint64_t all;

    create_machine(vm, 1, 0);
    all = reg(vm, KVM_REG_ARM_STD_BMAP);
    assert_int_equal(set_reg(vm, KVM_REG_ARM_STD_BMAP, 0), 0);
    assert_int_equal(run(vm, 0), -EINTR);
    assert_int_equal(set_reg(vm, KVM_REG_ARM_STD_BMAP, all), -EBUSY);
    assert_int_equal(set_reg(vm, KVM_REG_ARM_STD_BMAP, 0), 0);
}

/* --- What another host must have, too --- */

static void the_cpu_is_the_hosts(void **state)
{
    Vm *vm = *state;
    uint64_t midr;

    create_vcpus(vm, 1, 0);
    midr = reg(vm, MIDR_EL1);
    assert_int_equal(set_reg(vm, MIDR_EL1, midr), 0);
    assert_int_equal(set_reg(vm, MIDR_EL1, midr ^ 1 << 4), -EINVAL);
}

/* Linux 6.7 */
static void an_id_register_can_be_narrowed_until_a_vcpu_has_run(void **state)
{
    Vm *vm = *state;
    uint64_t isar0, narrow;

    create_machine(vm, 1, 0);
    isar0 = reg(vm, ISAR0_EL1);
    narrow = isar0 & ~(0xfull << 4); /* no AES */
    assert_int_equal(set_reg(vm, ISAR0_EL1, isar0 | 0xfull << 4), -EINVAL);
    assert_int_equal(set_reg(vm, ISAR0_EL1, narrow), 0);
    assert_int_equal(reg(vm, ISAR0_EL1), narrow);
    assert_int_equal(run(vm, 0), -EINTR);
    assert_int_equal(set_reg(vm, ISAR0_EL1, narrow), 0);
    assert_int_equal(set_reg(vm, ISAR0_EL1, isar0), -EBUSY);
}

static uint64_t reg_of(Vm *vm, uint32_t vcpu, uint64_t id)
{
    uint64_t value = 0;
    struct kvm_one_reg arg = {.id = id, .addr = (uintptr_t)&value};

    assert_int_equal(call(vm->vcpus[vcpu], KVM_GET_ONE_REG, &arg), 0);
    return value;
}

static void id_registers_are_the_vms_but_caches_the_vcpus(void **state)
{
    Vm *vm = *state;
    uint64_t isar0, clidr;

    create_machine(vm, 2, 0);
    isar0 = reg(vm, ISAR0_EL1) & ~(0xfull << 4);
    clidr = reg(vm, CLIDR_EL1);
    assert_int_equal(set_reg(vm, ISAR0_EL1, isar0), 0);
    assert_int_equal(set_reg(vm, CLIDR_EL1, clidr & 7), 0);
    assert_int_equal(reg_of(vm, 1, ISAR0_EL1), isar0);
    assert_int_equal(reg_of(vm, 1, CLIDR_EL1), clidr);
}

static void a_counter_is_the_vms(void **state)
{
    static const uint64_t ids[] = {KVM_REG_ARM_TIMER_CNT, KVM_REG_ARM_PTIMER_CNT};
    const uint64_t future = 1ull << 55;
    Vm *vm = *state;

    create_machine(vm, 2, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        assert_true(reg_of(vm, 1, ids[i]) < future);
        assert_int_equal(set_reg(vm, ids[i], future), 0);
        assert_true(reg_of(vm, 1, ids[i]) >= future);
    }
}

static void a_pending_serror_can_be_read_and_set(void **state)
{
    struct kvm_vcpu_events events = {0};
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(call(vm->vcpus[0], KVM_GET_VCPU_EVENTS, &events), 0);
    assert_int_equal(events.exception.serror_pending, 0);
    events.exception.serror_pending = 1;
    events.exception.serror_esr = 0;
    assert_int_equal(call(vm->vcpus[0], KVM_SET_VCPU_EVENTS, &events), 0);
    memset(&events, 0, sizeof(events));
    assert_int_equal(call(vm->vcpus[0], KVM_GET_VCPU_EVENTS, &events), 0);
    assert_int_equal(events.exception.serror_pending, 1);
}

/* --- The vGIC --- */

static void there_is_one_vgic(void **state)
{
    Vm *vm = *state;
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

    create_vcpus(vm, 1, 0);
    assert_int_equal(create_vgic(vm), 0);
    assert_int_equal(call(vm->fd, KVM_CREATE_DEVICE, &device), -EEXIST);
}

static void no_vgic_is_created_once_a_vcpu_has_run(void **state)
{
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    assert_int_equal(run(vm, 0), -EINTR);
    assert_int_equal(create_vgic(vm), -EBUSY);
}

static void an_address_is_aligned_and_set_once(void **state)
{
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    assert_int_equal(create_vgic(vm), 0);
    assert_int_equal(set_address(vm, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST + 0x1000), -EINVAL);
    assert_int_equal(set_address(vm, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST), 0);
    assert_int_equal(set_address(vm, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST), -EEXIST);
}

static void regions_have_a_count_and_come_in_order(void **state)
{
    uint64_t missing = 2;
    Vm *vm = *state;

    create_vcpus(vm, 2, 0);
    assert_int_equal(create_vgic(vm), 0);
    assert_int_equal(set_region(vm, REDISTS), -EINVAL);
    assert_int_equal(set_region(vm, ONE | REDISTS | 1), -EINVAL);
    assert_int_equal(set_region(vm, ONE | REDISTS), 0);
    assert_int_equal(set_region(vm, ONE | REDISTS << 1), -EINVAL);
    assert_int_equal(set_region(vm, ONE | REDISTS << 1 | 1), 0);
    assert_int_equal(set_address(vm, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDISTS << 2), -EINVAL);
    assert_int_equal(attr(vm->vgic, KVM_GET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR,
                          KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &missing),
                     -ENOENT);
}

static void the_number_of_interrupts_is_set_once(void **state)
{
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    assert_int_equal(create_vgic(vm), 0);
    assert_int_equal(set_n_irqs(vm, 32), -EINVAL);
    assert_int_equal(set_n_irqs(vm, 65), -EINVAL);
    assert_int_equal(set_n_irqs(vm, 1024), -EINVAL);
    assert_int_equal(set_n_irqs(vm, 64), 0);
    assert_int_equal(set_n_irqs(vm, 64), -EBUSY);
}

static void a_second_init_of_the_vgic_does_nothing(void **state)
{
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(init_vgic(vm), 0);
}

static void a_vcpu_runs_only_with_a_vgic_that_is_initialised(void **state)
{
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    place_vgic(vm);
    assert_int_equal(run(vm, 0), -EBUSY);
}

static void a_vcpu_runs_only_with_a_vgic_that_has_its_addresses(void **state)
{
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    assert_int_equal(create_vgic(vm), 0);
    assert_int_equal(init_vgic(vm), 0);
    assert_int_equal(run(vm, 0), -ENXIO);
}

static void a_vcpu_runs_only_if_each_has_a_redistributor(void **state)
{
    Vm *vm = *state;

    create_vcpus(vm, 2, 0);
    assert_int_equal(create_vgic(vm), 0);
    assert_int_equal(set_address(vm, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST), 0);
    assert_int_equal(set_region(vm, ONE | REDISTS), 0);
    assert_int_equal(init_vgic(vm), 0);
    assert_int_equal(run(vm, 0), -ENXIO);
}

static void an_unknown_attribute_is_no_attribute(void **state)
{
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(set_attr(vm->vgic, 77, 0, 0), -ENXIO);
    assert_int_equal(set_attr(vm->vgic, KVM_DEV_ARM_VGIC_GRP_CTRL, 77, 0), -ENXIO);
    assert_int_equal(set_address(vm, KVM_VGIC_V2_ADDR_TYPE_CPU, DIST), -ENXIO);
}

static void registers_of_the_vgic_need_its_init_and_a_vcpu(void **state)
{
    const uint32_t dist = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    const uint32_t redist = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;
    Vm *vm = *state;

    create_vcpus(vm, 2, 0);
    place_vgic(vm);
    assert_int_equal(get_attr(vm->vgic, dist, 0), -EBUSY);
    assert_int_equal(init_vgic(vm), 0);
    assert_int_equal(get_attr(vm->vgic, dist, 0), 0);
    assert_int_equal(set_attr(vm->vgic, dist, NO_REGISTER, 0), 0);
    assert_int_equal(set_attr(vm->vgic, redist, 1ull << 32, 0), 0);
    assert_int_equal(set_attr(vm->vgic, redist, 1ull << 32 | NO_REGISTER, 0), 0);
    assert_int_equal(set_attr(vm->vgic, redist, 2ull << 32, 0), -EINVAL);
}

static void the_cpu_interface_keeps_what_is_the_hosts(void **state)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
    uint64_t ctlr = 0;
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(attr(vm->vgic, KVM_GET_DEVICE_ATTR, group, ICC_CTLR, &ctlr), 0);
    assert_int_equal(set_attr(vm->vgic, group, ICC_CTLR, ctlr | 3), 0);
    assert_int_equal(set_attr(vm->vgic, group, ICC_CTLR, ctlr ^ 1 << 8), -EINVAL);
    assert_int_equal(set_attr(vm->vgic, group, ICC_PMR, 0xf0), 0);
    assert_int_equal(set_attr(vm->vgic, group, 0xffff, 0), -ENOENT);
}

static uint64_t attr_value(int fd, uint32_t group, uint64_t which)
{
    uint64_t value = 0;

    assert_int_equal(attr(fd, KVM_GET_DEVICE_ATTR, group, which, &value), 0);
    return value;
}

/* Enabled, pending, active, group, priority and trigger of 32 interrupts in the frame at which. */
static void use_fields(Vm *vm, uint32_t group, uint64_t which, uint32_t first)
{
    static const struct {
        uint32_t offset, bits, value;
    } fields[] = {{0x080, 1, 0x5a5a5a5a}, {0xc00, 2, 0x88888888}, {0x400, 8, 0x40506070},
                  {0x200, 1, 0x00f00010}, {0x300, 1, 0x04030000}, {0x100, 1, 0x0f0f5a5a}};

    assert_int_equal(set_attr(vm->vgic, group, which + 0x180 + first / 8, ~0u), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        uint64_t at = which + fields[i].offset + first * fields[i].bits / 8;

        /* The trigger of SGIs is fixed. */
        if (fields[i].bits == 2 && !first)
            continue;
        assert_int_equal(set_attr(vm->vgic, group, at, fields[i].value), 0);
        assert_int_equal(attr_value(vm->vgic, group, at), fields[i].value);
    }
}

static void the_vgic_shows_what_was_written(void **state)
{
    Vm *vm = *state;

    create_machine(vm, 2, 0);
    use_fields(vm, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 32);
    use_fields(vm, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x10000, 0);
}

static void isenabler_sets_bits_and_ispendr_all_of_them(void **state)
{
    const uint32_t dist = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(set_attr(vm->vgic, dist, 0x104, 3), 0);
    assert_int_equal(set_attr(vm->vgic, dist, 0x104, 4), 0);
    assert_int_equal(attr_value(vm->vgic, dist, 0x104), 7);
    assert_int_equal(set_attr(vm->vgic, dist, 0x204, 3), 0);
    assert_int_equal(set_attr(vm->vgic, dist, 0x204, 4), 0);
    assert_int_equal(attr_value(vm->vgic, dist, 0x204), 4);
}

/* SGIs are enabled from the start. */
static void lines_are_no_pending_interrupts(void **state)
{
    const uint32_t dist = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, lines = KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO;
    Vm *vm = *state;

    create_machine(vm, 2, 0);
    assert_int_equal(set_attr(vm->vgic, dist, 0xc08, 0), 0); /* level */
    assert_int_equal(set_attr(vm->vgic, lines, 32, 6), 0);
    assert_int_equal(attr_value(vm->vgic, lines, 32), 6);
    assert_int_equal(attr_value(vm->vgic, dist, 0x204), 0);
    assert_int_equal(set_attr(vm->vgic, lines, 1ull << 32, 1 << 27), 0);
    assert_int_equal(attr_value(vm->vgic, lines, 1ull << 32), 1 << 27);
    assert_int_equal(attr_value(vm->vgic, lines, 0), 0);
    assert_int_equal(set_attr(vm->vgic, lines, 33, 0), -EINVAL);
    assert_int_equal(attr_value(vm->vgic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10100), 0xffff);
}

static void the_vgics_product_is_kvms(void **state)
{
    const uint32_t dist = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
    uint64_t iidr;
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    iidr = attr_value(vm->vgic, dist, 8);
    assert_int_equal(set_attr(vm->vgic, dist, 8, iidr), 0);
    assert_int_equal(attr_value(vm->vgic, dist, 8), iidr);
    assert_int_equal(set_attr(vm->vgic, dist, 8, iidr ^ 1u << 24), -EINVAL);
}

static void a_guest_may_have_fewer_priority_bits_than_the_host(void **state)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
    uint64_t ctlr;
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    ctlr = attr_value(vm->vgic, group, ICC_CTLR);
    assert_int_equal(set_attr(vm->vgic, group, ICC_CTLR, ctlr - (1 << 8)), 0);
    assert_int_equal(attr_value(vm->vgic, group, ICC_CTLR), ctlr - (1 << 8));
}

/* --- The ITS --- */

#define ITS       0x08080000ull
#define VALID     (1ull << 63)
#define PROPBASER 0x70

static void create_its(Vm *vm)
{
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_ITS};

    create_machine(vm, 1, 0);
    assert_int_equal(call(vm->fd, KVM_CREATE_DEVICE, &device), 0);
    vm->its = (int)device.fd;
    assert_int_equal(set_attr(vm->its, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS), 0);
    assert_int_equal(attr(vm->its, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL,
                          KVM_DEV_ARM_VGIC_CTRL_INIT, NULL),
                     0);
}

static int set_its(Vm *vm, uint64_t offset, uint64_t value)
{
    return set_attr(vm->its, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, value);
}

static uint64_t its_value(Vm *vm, uint64_t offset)
{
    return attr_value(vm->its, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset);
}

static void cbaser_zeroes_creadr_and_cwriter(void **state)
{
    Vm *vm = *state;

    create_its(vm);
    assert_int_equal(set_its(vm, 0x90, 0x40), 0);
    assert_int_equal(set_its(vm, 0x88, 0x60), 0);
    assert_int_equal(its_value(vm, 0x90), 0x40);
    assert_int_equal(its_value(vm, 0x88), 0x60);
    assert_int_equal(set_its(vm, 0x80, VALID), 0);
    assert_int_equal(its_value(vm, 0x90), 0);
    assert_int_equal(its_value(vm, 0x88), 0);
}

static void an_its_that_is_enabled_keeps_its_tables(void **state)
{
    uint64_t cbaser, baser;
    Vm *vm = *state;

    create_its(vm);
    assert_int_equal(set_its(vm, 0x80, VALID), 0);
    assert_int_equal(set_its(vm, 0x100, VALID), 0);
    assert_int_equal(set_its(vm, 0x108, VALID), 0);
    assert_int_equal(set_its(vm, 0, 1), 0);
    assert_int_equal(its_value(vm, 0) & 1, 1);
    cbaser = its_value(vm, 0x80);
    baser = its_value(vm, 0x100);
    assert_int_equal(set_its(vm, 0x80, 0), 0);
    assert_int_equal(set_its(vm, 0x100, 0), 0);
    assert_int_equal(its_value(vm, 0x80), cbaser);
    assert_int_equal(its_value(vm, 0x100), baser);
    assert_int_equal(set_its(vm, 0x90, 0x20), -EBUSY);
}

static void lpis_that_are_enabled_keep_their_tables(void **state)
{
    const uint32_t redist = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;
    Vm *vm = *state;

    create_its(vm);
    assert_int_equal(set_attr(vm->vgic, redist, PROPBASER, 0x4000078d), 0);
    assert_int_equal(set_attr(vm->vgic, redist, 0, 1), 0);
    assert_int_equal(set_attr(vm->vgic, redist, PROPBASER, 0x5000078d), 0);
    assert_int_equal(attr_value(vm->vgic, redist, PROPBASER), 0x4000078d);
}

/* Without tables in the guest's memory there is nothing to save or to restore. */
static void tables_are_saved_and_restored_on_demand(void **state)
{
    const uint32_t control = KVM_DEV_ARM_VGIC_GRP_CTRL;
    Vm *vm = *state;

    create_its(vm);
    assert_int_equal(
        attr(vm->vgic, KVM_SET_DEVICE_ATTR, control, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL),
        0);
    assert_int_equal(attr(vm->its, KVM_SET_DEVICE_ATTR, control, KVM_DEV_ARM_ITS_SAVE_TABLES, NULL),
                     0);
    assert_int_equal(
        attr(vm->its, KVM_SET_DEVICE_ATTR, control, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL), 0);
}

static int set_line(Vm *vm, uint32_t intid)
{
    struct kvm_irq_level level = {
        .irq = (uint32_t)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | intid, .level = 1};

    return call(vm->fd, KVM_IRQ_LINE, &level);
}

static void a_line_needs_a_vgic_that_is_initialised_and_an_spi(void **state)
{
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    assert_int_equal(set_line(vm, 33), -ENXIO);
    place_vgic(vm);
    assert_int_equal(set_line(vm, 33), -EBUSY);
    assert_int_equal(init_vgic(vm), 0);
    assert_int_equal(set_line(vm, 33), 0);
    assert_int_equal(set_line(vm, 31), -EINVAL);
    assert_int_equal(set_line(vm, N_IRQS), -EINVAL);
}

/* --- The PMU --- */

#define PMU (1u << KVM_ARM_VCPU_PMU_V3)

static int set_pmu_irq(Vm *vm, uint32_t vcpu, int irq)
{
    return attr(vm->vcpus[vcpu], KVM_SET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_CTRL,
                KVM_ARM_VCPU_PMU_V3_IRQ, &irq);
}

static int init_pmu(Vm *vm, uint32_t vcpu)
{
    return attr(vm->vcpus[vcpu], KVM_SET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_CTRL,
                KVM_ARM_VCPU_PMU_V3_INIT, NULL);
}

static void need_pmu(Vm *vm)
{
    if (!has(vm, KVM_CAP_ARM_PMU_V3))
        skip();
}

static void a_vcpu_without_the_feature_has_no_pmu(void **state)
{
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(set_pmu_irq(vm, 0, PMU_IRQ), -ENODEV);
}

static void a_pmu_has_one_ppi_the_same_on_all_vcpus(void **state)
{
    Vm *vm = *state;

    need_pmu(vm);
    create_machine(vm, 2, PMU);
    assert_int_equal(get_attr(vm->vcpus[0], KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ),
                     -ENXIO);
    assert_int_equal(set_pmu_irq(vm, 0, 15), -EINVAL);
    assert_int_equal(set_pmu_irq(vm, 0, PMU_IRQ), 0);
    assert_int_equal(set_pmu_irq(vm, 0, PMU_IRQ), -EBUSY);
    assert_int_equal(set_pmu_irq(vm, 1, PMU_IRQ + 1), -EINVAL);
    assert_int_equal(set_pmu_irq(vm, 1, PMU_IRQ), 0);
    assert_int_equal(get_attr(vm->vcpus[0], KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ), 0);
}

static void a_pmu_is_initialised_once_after_vgic_and_interrupt(void **state)
{
    Vm *vm = *state;

    need_pmu(vm);
    create_vcpus(vm, 1, PMU);
    place_vgic(vm);
    assert_int_equal(init_pmu(vm, 0), -ENODEV);
    assert_int_equal(init_vgic(vm), 0);
    assert_int_equal(init_pmu(vm, 0), -ENXIO);
    assert_int_equal(set_pmu_irq(vm, 0, PMU_IRQ), 0);
    assert_int_equal(init_pmu(vm, 0), 0);
    assert_int_equal(init_pmu(vm, 0), -EBUSY);
    assert_int_equal(run(vm, 0), -EINTR);
}

static void a_vcpu_whose_pmu_is_not_initialised_does_not_run(void **state)
{
    Vm *vm = *state;

    need_pmu(vm);
    create_machine(vm, 1, PMU);
    assert_int_equal(run(vm, 0), -EINVAL);
}

static void a_pmu_on_a_timers_interrupt_fails_the_first_run(void **state)
{
    Vm *vm = *state;

    need_pmu(vm);
    create_machine(vm, 1, PMU);
    assert_int_equal(set_pmu_irq(vm, 0, TIMER_IRQ), 0);
    assert_int_equal(init_pmu(vm, 0), 0);
    assert_int_equal(run(vm, 0), -EINVAL);
}

/* What is enabled at power-on is unknown, and Linux 6.3 to 6.14 let a write set or clear bits only,
 * others write the whole value. */
static void all_counters_are_cleared_and_then_set(void **state)
{
    Vm *vm = *state;

    need_pmu(vm);
    create_machine(vm, 1, PMU);
    assert_int_equal(set_reg(vm, PMCNTENCLR_EL0, ~0ull), 0);
    assert_int_equal(set_reg(vm, PMCNTENSET_EL0, 1ull << 31), 0);
    assert_int_equal(reg(vm, PMCNTENSET_EL0), 1ull << 31);
    assert_int_equal(reg(vm, PMCNTENCLR_EL0), 1ull << 31);
}

/* Linux 6.8 */
static void a_guest_may_have_fewer_counters_than_the_host(void **state)
{
    uint64_t pmcr;
    Vm *vm = *state;

    need_pmu(vm);
    create_machine(vm, 2, PMU);
    pmcr = reg(vm, PMCR_EL0);
    assert_in_range(pmcr >> 11 & 0x1f, 1, 31);
    assert_int_equal(set_reg(vm, PMCR_EL0, pmcr - (1 << 11)), 0);
    assert_int_equal(reg_of(vm, 1, PMCR_EL0) >> 11 & 0x1f, (pmcr >> 11 & 0x1f) - 1);
}

/* --- The SMCCC filter --- */

static int set_filter(Vm *vm, uint32_t base, uint32_t n, uint8_t action)
{
    struct kvm_smccc_filter filter = {.base = base, .nr_functions = n, .action = action};

    return attr(vm->fd, KVM_SET_DEVICE_ATTR, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER,
                &filter);
}

static void the_filters_ranges_are_sane_and_do_not_overlap(void **state)
{
    struct kvm_smccc_filter padded = {.base = PSCI_0_2_FN_BASE,
                                      .nr_functions = 1,
                                      .action = KVM_SMCCC_FILTER_FWD_TO_USER,
                                      .pad = {1}};
    Vm *vm = *state;

    create_vcpus(vm, 1, 0);
    assert_int_equal(set_filter(vm, PSCI_0_2_FN_BASE, 0, KVM_SMCCC_FILTER_FWD_TO_USER), -EINVAL);
    assert_int_equal(set_filter(vm, PSCI_0_2_FN_BASE, 1, 77), -EINVAL);
    assert_int_equal(
        attr(vm->fd, KVM_SET_DEVICE_ATTR, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER, &padded),
        -EINVAL);
    assert_int_equal(set_filter(vm, PSCI_0_2_FN_BASE, 8, KVM_SMCCC_FILTER_FWD_TO_USER), 0);
    assert_int_equal(set_filter(vm, PSCI_0_2_FN_BASE + 7, 2, KVM_SMCCC_FILTER_DENY), -EEXIST);
    assert_int_equal(set_filter(vm, PSCI_0_2_FN_BASE + 8, 2, KVM_SMCCC_FILTER_DENY), 0);
}

static void the_filter_is_fixed_once_a_vcpu_has_run(void **state)
{
    Vm *vm = *state;

    create_machine(vm, 1, 0);
    assert_int_equal(run(vm, 0), -EINTR);
    assert_int_equal(set_filter(vm, PSCI_0_2_FN_BASE, 1, KVM_SMCCC_FILTER_FWD_TO_USER), -EBUSY);
}

/* --- Memory --- */

#define MEMORY      0x40000000ull
#define MEMORY_SIZE 0x10000ull

static int set_memory(Vm *vm, uint32_t slot, uint64_t address, uint64_t size, void *memory)
{
    struct kvm_userspace_memory_region region = {.slot = slot,
                                                 .flags = KVM_MEM_READONLY,
                                                 .guest_phys_addr = address,
                                                 .memory_size = size,
                                                 .userspace_addr = (uintptr_t)memory};

    return call(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void *map_memory(void)
{
    void *memory =
        mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static void memory_has_a_slot_and_a_place_of_its_own(void **state)
{
    Vm *vm = *state;
    void *memory = map_memory();

    assert_int_equal(set_memory(vm, 1, MEMORY, MEMORY_SIZE, memory), 0);
    assert_int_equal(set_memory(vm, 2, MEMORY, MEMORY_SIZE, memory), -EEXIST);
    assert_int_equal(set_memory(vm, 2, MEMORY + 1, MEMORY_SIZE, memory), -EINVAL);
    assert_int_equal(set_memory(vm, 2, 0, 0, NULL), -EINVAL);
    assert_int_equal(set_memory(vm, 1, 0, 0, NULL), 0);
    assert_int_equal(set_memory(vm, 1, 0, 0, NULL), -EINVAL);
    assert_int_equal(set_memory(vm, 2, MEMORY, MEMORY_SIZE, memory), 0);
    munmap(memory, MEMORY_SIZE);
}

/* 31 bits of addresses, 4 KiB pages, in two blocks of 1 GiB. */
static void a_vcpu_can_begin_with_its_mmu_enabled_in_read_only_memory(void **state)
{
    const uint64_t accessed_block = 1ull << 10 | 3ull << 8 | 1, begin = MEMORY + 16;
    Vm *vm = *state;
    uint64_t *table = map_memory();
    uint32_t *code = (uint32_t *)&table[2];

    code[0] = 0xd518d03f; /* msr contextidr_el1, xzr */
    code[1] = 0xd4000002; /* hvc #0 */
    table[MEMORY >> 30] = MEMORY | accessed_block;
    create_vcpus(vm, 1, 0);
    assert_int_equal(init_with(vm, 0, 0), 0);
    place_vgic(vm);
    assert_int_equal(init_vgic(vm), 0);
    assert_int_equal(set_memory(vm, 0, MEMORY, MEMORY_SIZE, table), 0);
    assert_int_equal(set_filter(vm, PSCI_0_2_FN_CPU_OFF, 1, KVM_SMCCC_FILTER_FWD_TO_USER), 0);
    assert_int_equal(set_reg(vm, X(0), PSCI_0_2_FN_CPU_OFF), 0);
    assert_int_equal(set_reg(vm, PC, begin), 0);
    assert_int_equal(set_reg(vm, SCTLR_EL1, reg(vm, SCTLR_EL1) | 0x1005), 0);
    assert_int_equal(set_reg(vm, TTBR0_EL1, MEMORY), 0);
    assert_int_equal(set_reg(vm, TCR_EL1, 33 | 1 << 23 | 5ull << 32), 0);
    assert_int_equal(set_reg(vm, MAIR_EL1, 0xff), 0);
    assert_int_equal(call(vm->vcpus[0], KVM_RUN, NULL), 0);
    assert_int_equal(vm->runs[0]->exit_reason, KVM_EXIT_HYPERCALL);
    assert_int_equal(vm->runs[0]->hypercall.nr, PSCI_0_2_FN_CPU_OFF);
    assert_int_equal(reg(vm, PC), begin + 8);
    munmap(table, MEMORY_SIZE);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_vcpu_id_is_taken_once),
        RULE(there_are_ids_below_the_capability_only),
        RULE(no_vcpu_is_created_once_the_vgic_is_initialised),
        RULE(a_vcpu_is_useless_before_its_init),
        RULE(an_init_asks_for_the_same_features_each_time_and_on_each_vcpu),
        RULE(an_init_with_another_target_or_an_unknown_feature_fails),
        RULE(pauth_is_for_addresses_and_generic_or_not_at_all),
        RULE(sve_is_finalised_once_before_anything_runs),
        RULE(without_sve_there_is_nothing_to_finalise),
        RULE(an_init_restores_the_registers),
        RULE(an_init_keeps_mpidr),
        RULE(an_init_stops_the_vcpu_or_makes_it_runnable),
        RULE(a_list_that_is_too_short_says_how_long_it_must_be),
        RULE(an_unknown_register_does_not_exist),
        RULE(no_vmm_changes_fwb),
        RULE(the_psci_version_can_be_set_at_any_time),
        RULE(what_firmware_offers_is_fixed_once_a_vcpu_has_run),
        RULE(the_cpu_is_the_hosts),
        RULE(an_id_register_can_be_narrowed_until_a_vcpu_has_run),
        RULE(id_registers_are_the_vms_but_caches_the_vcpus),
        RULE(a_counter_is_the_vms),
        RULE(a_pending_serror_can_be_read_and_set),
        RULE(there_is_one_vgic),
        RULE(no_vgic_is_created_once_a_vcpu_has_run),
        RULE(an_address_is_aligned_and_set_once),
        RULE(regions_have_a_count_and_come_in_order),
        RULE(the_number_of_interrupts_is_set_once),
        RULE(a_second_init_of_the_vgic_does_nothing),
        RULE(a_vcpu_runs_only_with_a_vgic_that_is_initialised),
        RULE(a_vcpu_runs_only_with_a_vgic_that_has_its_addresses),
        RULE(a_vcpu_runs_only_if_each_has_a_redistributor),
        RULE(an_unknown_attribute_is_no_attribute),
        RULE(registers_of_the_vgic_need_its_init_and_a_vcpu),
        RULE(the_cpu_interface_keeps_what_is_the_hosts),
        RULE(the_vgic_shows_what_was_written),
        RULE(isenabler_sets_bits_and_ispendr_all_of_them),
        RULE(lines_are_no_pending_interrupts),
        RULE(the_vgics_product_is_kvms),
        RULE(a_guest_may_have_fewer_priority_bits_than_the_host),
        RULE(cbaser_zeroes_creadr_and_cwriter),
        RULE(an_its_that_is_enabled_keeps_its_tables),
        RULE(lpis_that_are_enabled_keep_their_tables),
        RULE(tables_are_saved_and_restored_on_demand),
        RULE(a_line_needs_a_vgic_that_is_initialised_and_an_spi),
        RULE(a_vcpu_without_the_feature_has_no_pmu),
        RULE(a_pmu_has_one_ppi_the_same_on_all_vcpus),
        RULE(a_pmu_is_initialised_once_after_vgic_and_interrupt),
        RULE(a_vcpu_whose_pmu_is_not_initialised_does_not_run),
        RULE(a_pmu_on_a_timers_interrupt_fails_the_first_run),
        RULE(all_counters_are_cleared_and_then_set),
        RULE(a_guest_may_have_fewer_counters_than_the_host),
        RULE(the_filters_ranges_are_sane_and_do_not_overlap),
        RULE(the_filter_is_fixed_once_a_vcpu_has_run),
        RULE(memory_has_a_slot_and_a_place_of_its_own),
        RULE(a_vcpu_can_begin_with_its_mmu_enabled_in_read_only_memory),
    };

    return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
