/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM as the backend: setup, a vCPU's life, exits and reset, against a KVM that keeps its rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/psci.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/regs.h>
#include <vcpuhp/kvm.h>
#include <vcpuhp/psci.h>
#include "fake_kvm.h"

#define N_VCPUS 4
#define ENTRY   0x40080000
#define SPARE   3 /* disabled at boot */
/* KVM_RUN, and X1, X2, X3 and SCTLR_EL1 of the caller, which a CPU_ON begins with. */
#define N_CALLS_BEFORE_ON 5
/* X0 … X30, PC, V0, SCTLR_EL1, CSSELR_EL1 of the fake. */
#define N_IMAGE_REGS 35

typedef struct Fixture {
    VcpuhpConfig config;
    VcpuhpKvmConfig kvm;
    Vcpuhp *hp;
    uint64_t started;    /* bit mask of vCPUs that vcpu_start was called for */
    bool no_thread;      /* what it says */
    bool signal_on_kick; /* vcpu_kick sends the signal that a VMM would */
    char *host_error;    /* the last one */
    uint32_t error_vcpu;
    bool stopped;
} Fixture;

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Fixture *f = opaque;

    (void)entry;
    f->started |= 1ull << (vcpu % 64);
    return !f->no_thread;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    if (((Fixture *)opaque)->signal_on_kick)
        fake_signal(vcpu);
}

static void on_irq(bool level, void *opaque)
{
    (void)level, (void)opaque;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Fixture *f = opaque;

    if (event->kind == VCPUHP_EVENT_STOPPED)
        f->stopped = true;
    if (event->kind == VCPUHP_EVENT_HOST_ERROR) {
        g_free(f->host_error);
        f->host_error = g_strdup(event->text);
        f->error_vcpu = event->vcpu;
    }
}

static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                          .vcpu_start = on_start,
                                          .vcpu_kick = on_kick,
                                          .event = on_event};

/* n_vcpus possible, all but the last enabled and removable. */
static void begin(Fixture *f, const FakeHost *host, uint32_t n_vcpus)
{
    *f = (Fixture){0};
    vcpuhp_kvm_config_init(&f->kvm, fake_kvm_begin(host));
    vcpuhp_config_init(&f->config, n_vcpus, MAX(n_vcpus - 1, 1));
    f->config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
}

static bool try_setup(Fixture *f, GError **error)
{
    g_autoptr(GError) new_error = NULL;

    f->hp = vcpuhp_new(&f->config, &callbacks, f, &new_error);
    if (!f->hp)
        fail_msg("vcpuhp_new: %s", new_error->message);
    return vcpuhp_kvm_setup(f->hp, &f->kvm, error);
}

static void setup(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    if (!try_setup(f, &error))
        fail_msg("vcpuhp_kvm_setup: %s", error->message);
}

static void end(Fixture *f)
{
    g_clear_pointer(&f->hp, vcpuhp_free);
    assert_int_equal(fake_open_fds(), 0);
    assert_int_equal(fake_mappings(), 0);
    assert_int_equal(fake.n_deadlocks, 0);
    fake_kvm_end();
    g_free(f->host_error);
}

static void begin_default(Fixture *f)
{
    begin(f, &fake_modern_host, N_VCPUS);
    setup(f);
}

static struct kvm_run *start(Fixture *f)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    g_autoptr(GError) error = NULL;
    struct kvm_run *run;

    if (!vcpuhp_start(f->hp, &entry, &error))
        fail_msg("vcpuhp_start: %s", error->message);
    run = vcpuhp_kvm_enter(f->hp, 0);
    assert_non_null(run);
    return run;
}

/* vCPU 0 runs. */
static struct kvm_run *begin_running(Fixture *f, VcpuhpKvmPsci psci)
{
    begin(f, &fake_modern_host, N_VCPUS);
    f->kvm.psci = psci;
    setup(f);
    return start(f);
}

/* What a VMM's vCPU thread does. */
static VcpuhpKvmExit run_vcpu(Fixture *f, uint32_t vcpu)
{
    int error = ioctl(vcpuhp_kvm_vcpu_fd(f->hp, vcpu), KVM_RUN, 0) < 0 ? errno : 0;

    return vcpuhp_kvm_handle_exit(f->hp, vcpu, error);
}

static VcpuhpKvmExit call(Fixture *f, uint32_t vcpu, uint32_t function, uint64_t x1, uint64_t x2,
                          uint64_t x3)
{
    fake_guest_call(vcpu, function, x1, x2, x3);
    return run_vcpu(f, vcpu);
}

static int64_t call_result(Fixture *f, uint32_t function, uint64_t x1, uint64_t x2, uint64_t x3)
{
    assert_int_equal(call(f, 0, function, x1, x2, x3), VCPUHP_KVM_EXIT_RESUME);
    return (int64_t)fake.vcpus[0].x[0];
}

static void turn_on(Fixture *f, uint32_t vcpu)
{
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, vcpu, ENTRY, 0), PSCI_RET_SUCCESS);
    assert_non_null(vcpuhp_kvm_enter(f->hp, vcpu));
}

static VcpuhpPower power_of(Fixture *f, uint32_t vcpu)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    assert_true(vcpuhp_query(f->hp, vcpu, &info, NULL));
    return info.power;
}

static void assert_refused(Fixture *f, int code, const char *what)
{
    g_autoptr(GError) error = NULL;

    assert_false(try_setup(f, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, code));
    if (!strstr(error->message, what))
        fail_msg("\"%s\" does not name \"%s\"", error->message, what);
    assert_int_equal(fake.n_changes, 0);
    end(f);
}

/* --- Setting up --- */

static void every_possible_vcpu_is_made_before_the_vgic_is_initialised(void **state)
{
    Fixture f;

    (void)state;
    /* The fake refuses vCPUs after that with EBUSY, as KVM does. */
    begin(&f, &fake_modern_host, 512);
    setup(&f);
    assert_int_equal(fake.n_vcpus, 512);
    assert_true(fake.vgic.initialised);
    for (uint32_t i = 0; i < 512; i++) {
        assert_true(fake.vcpus[i].initialised);
        assert_true(vcpuhp_kvm_vcpu_fd(f.hp, i) >= 0);
    }
    end(&f);
}

static void a_vcpu_that_is_off_is_stopped_in_kvm_too(void **state)
{
    Fixture f;

    (void)state;
    begin_default(&f);
    for (uint32_t i = 0; i < N_VCPUS; i++)
        assert_int_equal(fake.vcpus[i].mp_state, KVM_MP_STATE_STOPPED);
    end(&f);
}

static void sparse_filter_forwards_every_way_to_turn_a_vcpu_on_or_off(void **state)
{
    static const uint32_t forwarded[] = {0x84000002, 0x84000003, 0x84000004, 0xc4000003,
                                         0xc4000004};
    uint32_t n = 0;
    Fixture f;

    (void)state;
    begin_default(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(forwarded); i++)
        assert_true(fake_forwards(forwarded[i]));
    for (uint32_t i = 0; i < 0x20; i++)
        n += fake_forwards(0x84000000 + i) + fake_forwards(0xc4000000 + i);
    assert_int_equal(n, G_N_ELEMENTS(forwarded));
    end(&f);
}

static void whole_filter_forwards_both_psci_ranges_and_no_more(void **state)
{
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    f.kvm.psci = VCPUHP_KVM_PSCI_WHOLE;
    setup(&f);
    for (uint32_t i = 0; i < 0x20; i++) {
        assert_true(fake_forwards(0x84000000 + i));
        assert_true(fake_forwards(0xc4000000 + i));
    }
    assert_false(fake_forwards(0x80000000));
    assert_false(fake_forwards(0x84000020));
    assert_false(fake_forwards(0xc4000020));
    end(&f);
}

static void vcpus_get_the_affinities_of_the_config(void **state)
{
    static const uint64_t mpidrs[] = {0, 0x100, 0x200, 0x300000000};
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    f.config.mpidrs = mpidrs;
    setup(&f);
    for (uint32_t i = 0; i < N_VCPUS; i++)
        assert_int_equal(fake.vcpus[i].mpidr, 1ull << 31 | mpidrs[i]);
    end(&f);
}

static void kvms_own_affinities_are_those_of_the_config(void **state)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, 512);
    setup(&f);
    assert_int_equal(fake.vcpus[511].mpidr, 0x80001f0f);
    assert_true(vcpuhp_query(f.hp, 511, &info, NULL));
    assert_int_equal(info.mpidr, 0x1f0f);
    end(&f);
}

static void disabled_vcpus_get_pmu_sve_and_pauth_as_the_others(void **state)
{
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    f.config.pmu_irq = 23;
    f.kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
    setup(&f);
    for (uint32_t i = 0; i < N_VCPUS; i++) {
        assert_int_equal(fake.vcpus[i].features,
                         1 << KVM_ARM_VCPU_PSCI_0_2 | 1 << KVM_ARM_VCPU_PMU_V3 |
                             1 << KVM_ARM_VCPU_SVE | 1 << KVM_ARM_VCPU_PTRAUTH_ADDRESS |
                             1 << KVM_ARM_VCPU_PTRAUTH_GENERIC);
        assert_int_equal(fake.vcpus[i].pmu_irq, 23);
        assert_true(fake.vcpus[i].pmu_initialised);
        assert_true(fake.vcpus[i].finalised);
    }
    end(&f);
}

static void features_that_nobody_asked_for_are_off(void **state)
{
    Fixture f;

    (void)state;
    begin_default(&f);
    assert_int_equal(fake.vcpus[SPARE].features, 1 << KVM_ARM_VCPU_PSCI_0_2);
    end(&f);
}

static void missing_host_features_are_named_and_nothing_is_changed(void **state)
{
    static const struct {
        size_t offset;
        const char *named;
    } cases[] = {
        {offsetof(FakeHost, kvm), "vm_fd is "},
        {offsetof(FakeHost, one_reg), "KVM_CAP_ONE_REG"},
        {offsetof(FakeHost, psci), "KVM_CAP_ARM_PSCI_0_2"},
        {offsetof(FakeHost, immediate_exit), "KVM_CAP_IMMEDIATE_EXIT"},
        {offsetof(FakeHost, device_ctrl), "KVM_CAP_DEVICE_CTRL"},
        {offsetof(FakeHost, sve), "KVM_CAP_ARM_SVE"},
        {offsetof(FakeHost, pauth_address), "KVM_CAP_ARM_PTRAUTH_ADDRESS"},
        {offsetof(FakeHost, pauth_generic), "KVM_CAP_ARM_PTRAUTH_GENERIC"},
        {offsetof(FakeHost, pmu), "pmu_irq"},
        {offsetof(FakeHost, filter), "SMCCC filter"},
        {offsetof(FakeHost, gicv3), "GICv3"},
        {offsetof(FakeHost, its), "ITS"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeHost host = fake_modern_host;
        Fixture f;

        *(bool *)((char *)&host + cases[i].offset) = false;
        begin(&f, &host, N_VCPUS);
        f.config.pmu_irq = 23;
        f.config.gic.its_base = 0x08080000;
        f.kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
        assert_refused(&f, VCPUHP_ERROR_NOT_SUPPORTED, cases[i].named);
    }
}

static void features_that_are_not_asked_for_need_not_be_there(void **state)
{
    FakeHost host = fake_modern_host;
    Fixture f;

    (void)state;
    host.sve = host.pauth_address = host.pauth_generic = host.pmu = false;
    host.gicv2 = host.its = false;
    begin(&f, &host, N_VCPUS);
    setup(&f);
    end(&f);
}

static void more_vcpus_than_the_host_takes_are_refused_with_its_limit(void **state)
{
    FakeHost host = fake_modern_host;
    Fixture f;

    (void)state;
    host.max_vcpus = 8;
    begin(&f, &host, 9);
    assert_refused(&f, VCPUHP_ERROR_NOT_SUPPORTED,
                   "n_vcpus is 9, but this host's KVM has at most 8");
}

static void bad_configs_are_refused_by_field_value_and_limit(void **state)
{
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    f.kvm.size = 7;
    assert_refused(&f, VCPUHP_ERROR_STRUCT, "the size of VcpuhpKvmConfig is 7");
    begin(&f, &fake_modern_host, N_VCPUS);
    f.kvm.psci = 2;
    assert_refused(&f, VCPUHP_ERROR_INVALID, "psci is 2");
    begin(&f, &fake_modern_host, N_VCPUS);
    f.kvm.features = 0x11;
    assert_refused(&f, VCPUHP_ERROR_INVALID, "features is 0x11");
    begin(&f, &fake_modern_host, N_VCPUS);
    f.kvm.vgic_fd = f.kvm.vm_fd;
    assert_refused(&f, VCPUHP_ERROR_INVALID, "vgic_fd is ");
    begin(&f, &fake_modern_host, N_VCPUS);
    f.kvm.vm_fd = -1;
    assert_refused(&f, VCPUHP_ERROR_NOT_SUPPORTED, "vm_fd is -1");
}

static void second_setup_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;
    int n_changes;
    Fixture f;

    (void)state;
    begin_default(&f);
    n_changes = fake.n_changes;
    assert_false(vcpuhp_kvm_setup(f.hp, &f.kvm, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
    assert_int_equal(fake.n_changes, n_changes);
    end(&f);
}

static void a_filter_of_the_vmms_own_on_the_same_calls_is_an_error(void **state)
{
    struct kvm_smccc_filter filter = {
        .base = PSCI_0_2_FN_AFFINITY_INFO, .nr_functions = 1, .action = KVM_SMCCC_FILTER_DENY};
    struct kvm_device_attr attr = {.group = KVM_ARM_VM_SMCCC_CTRL,
                                   .attr = KVM_ARM_VM_SMCCC_FILTER,
                                   .addr = (uintptr_t)&filter};
    g_autoptr(GError) error = NULL;
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    assert_int_equal(ioctl(f.kvm.vm_fd, KVM_SET_DEVICE_ATTR, &attr), 0);
    assert_false(try_setup(&f, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM));
    assert_non_null(strstr(error->message, "SMCCC filter 0x84000002"));
    assert_non_null(strstr(error->message, g_strerror(EEXIST)));
    end(&f);
}

static void a_plug_before_setup_raises_the_line_at_start(void **state)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    f.hp = vcpuhp_new(&f.config, &callbacks, &f, NULL);
    assert_true(vcpuhp_plug(f.hp, SPARE, 0, 0, NULL, NULL));
    assert_true(vcpuhp_kvm_setup(f.hp, &f.kvm, NULL));
    assert_true(vcpuhp_start(f.hp, &entry, NULL));
    assert_true(fake.vgic.spis[f.config.event_irq].line);
    end(&f);
}

static void setup_after_start_is_refused(void **state)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    VcpuhpCallbacks with_irq = callbacks;
    g_autoptr(GError) error = NULL;
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    with_irq.irq_set = on_irq;
    f.hp = vcpuhp_new(&f.config, &with_irq, &f, NULL);
    assert_true(vcpuhp_start(f.hp, &entry, NULL));
    assert_false(vcpuhp_kvm_setup(f.hp, &f.kvm, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
    assert_int_equal(fake.n_changes, 0);
    end(&f);
}

/* Everything that setting up can do, so that everything can fail. */
static void begin_full(Fixture *f)
{
    static const uint64_t mpidrs[] = {0x100, 0x101, 0x102};

    begin(f, &fake_modern_host, 3);
    f->config.mpidrs = mpidrs;
    f->config.pmu_irq = 23;
    f->config.gic.its_base = 0x08080000;
    f->config.gic.redists[0].count = 1;
    f->config.gic.redists[1] = (VcpuhpRedist){0x10000000, 2};
    f->config.gic.n_redists = 2;
    f->kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
}

static void each_ioctl_that_fails_is_named_and_leaves_nothing_open(void **state)
{
    int n_failures = 0, n_probes = 0;
    bool done = false;

    (void)state;
    for (int i = 1; !done; i++) {
        g_autoptr(GError) error = NULL;
        Fixture f;

        begin_full(&f);
        fake.fail_at = i;
        done = try_setup(&f, &error);
        if (!done && g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_NOT_SUPPORTED)) {
            n_probes++;
            assert_int_equal(fake.n_changes, 0);
        } else if (!done) {
            n_failures++;
            assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM));
            assert_true(g_str_has_prefix(error->message, fake.failed));
            assert_non_null(strstr(error->message, g_strerror(EIO)));
            assert_int_equal(vcpuhp_kvm_vcpu_fd(f.hp, 0), -1);
        }
        end(&f);
    }
    /* By ioctl: 3 KVM_CREATE_VCPU; the vGIC, its address, 2 regions, interrupts, init; 3 times
     * KVM_ARM_VCPU_INIT, FINALIZE; MPIDR read once and written 3 times; the ITS, its address, init;
     * 3 times 2 for the PMU; 2 filters. */
    assert_int_equal(n_failures, 3 + 6 + 3 * 2 + 1 + 3 + 3 + 3 * 2 + 2);
    /* KVM_ARM_PREFERRED_TARGET, 8 capabilities and KVM_CAP_MAX_VCPUS, vGIC, ITS, filter. */
    assert_int_equal(n_probes, 1 + 8 + 1 + 3);
}

static void without_setup_there_are_no_fds(void **state)
{
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    f.hp = vcpuhp_new(&f.config, &callbacks, &f, NULL);
    assert_int_equal(vcpuhp_kvm_vcpu_fd(f.hp, 0), -1);
    assert_int_equal(vcpuhp_kvm_vgic_fd(f.hp), -1);
    assert_int_equal(vcpuhp_kvm_its_fd(f.hp), -1);
    vcpuhp_free(f.hp);
    setup(&f);
    assert_int_equal(vcpuhp_kvm_vcpu_fd(f.hp, N_VCPUS), -1);
    assert_true(vcpuhp_kvm_vgic_fd(f.hp) >= 0);
    assert_int_equal(vcpuhp_kvm_its_fd(f.hp), -1);
    end(&f);
}

/* --- A vCPU's life --- */

static void a_vcpu_is_mapped_at_its_first_power_on_and_stays_mapped(void **state)
{
    struct kvm_run *run;
    Fixture f;

    (void)state;
    begin_default(&f);
    assert_int_equal(fake_mappings(), 0);
    start(&f);
    assert_int_equal(fake_mappings(), 1);
    turn_on(&f, 1);
    assert_int_equal(fake_mappings(), 2);
    assert_int_equal(call(&f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(fake_mappings(), 2);
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    run = vcpuhp_kvm_enter(f.hp, 1);
    assert_int_equal(call(&f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    assert_ptr_equal(vcpuhp_kvm_enter(f.hp, 1), run);
    end(&f);
}

static void cpu_on_sets_the_entry_state(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(fake.vcpus[0].pc, ENTRY);
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, 0x41000000, 0x123456789), 0);
    assert_int_equal(f.started, 1 << 0 | 1 << 1);
    assert_int_equal(fake.vcpus[1].pc, 0x41000000);
    assert_int_equal(fake.vcpus[1].x[0], 0x123456789);
    assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_RUNNABLE);
    assert_int_equal(fake.vcpus[1].sctlr & 1 << 25, 0);
    assert_int_equal(power_of(&f, 1), VCPUHP_POWER_ON_PENDING);
    assert_non_null(vcpuhp_kvm_enter(f.hp, 1));
    assert_int_equal(power_of(&f, 1), VCPUHP_POWER_ON);
    end(&f);
}

static void a_big_endian_caller_hands_its_endianness_on(void **state)
{
    static const uint32_t functions[] = {PSCI_0_2_FN_CPU_ON, PSCI_0_2_FN64_CPU_ON};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        Fixture f;

        begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
        fake.vcpus[0].sctlr |= 1 << 25;
        assert_int_equal(call_result(&f, functions[i], 1, ENTRY, 0), PSCI_RET_SUCCESS);
        assert_int_equal(fake.vcpus[1].sctlr & 1 << 25, 1 << 25);
        assert_int_equal(fake.vcpus[1].sctlr & 0xff, 0x78);
        assert_non_null(vcpuhp_kvm_enter(f.hp, 1));
        end(&f);
    }
}

static void a_disabled_vcpu_is_denied_and_stays_stopped(void **state)
{
    static const uint32_t functions[] = {PSCI_0_2_FN_CPU_ON, PSCI_0_2_FN64_CPU_ON};
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
        assert_int_equal(call_result(&f, functions[i], SPARE, ENTRY, 0), PSCI_RET_DENIED);
    assert_int_equal(fake.vcpus[SPARE].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(fake.vcpus[SPARE].n_inits, 1);
    assert_int_equal(f.started, 1);
    assert_int_equal(fake_mappings(), 1);
    end(&f);
}

static void a_plugged_vcpu_runs_without_new_fds(void **state)
{
    int n_open;
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    n_open = fake_open_fds();
    assert_true(vcpuhp_plug(f.hp, SPARE, 0, 0, NULL, NULL));
    turn_on(&f, SPARE);
    fake_guest_mmio(SPARE, 0x1000, 4, false, 0);
    assert_int_equal(run_vcpu(&f, SPARE), VCPUHP_KVM_EXIT_OTHER);
    assert_int_equal(fake_open_fds(), n_open);
    end(&f);
}

/* Contract of KVM: KVM_ARM_VCPU_INIT doesn't forget an MMIO access that waits for its data. */
static void an_unfinished_mmio_access_is_not_completed_over_a_new_entry(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(&f, 1);
    fake_guest_mmio(1, 0x1000, 8, false, 0);
    assert_int_equal(run_vcpu(&f, 1), VCPUHP_KVM_EXIT_OTHER);
    assert_true(vcpuhp_force(f.hp, 1, NULL));
    assert_true(vcpuhp_vcpu_park_if_asked(f.hp, 1));
    assert_true(vcpuhp_plug(f.hp, 1, 0, 0, NULL, NULL));
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, 0x41000000, 42), 0);
    assert_non_null(vcpuhp_kvm_enter(f.hp, 1));
    fake_guest_exit(1, KVM_EXIT_DEBUG);
    assert_int_equal(run_vcpu(&f, 1), VCPUHP_KVM_EXIT_OTHER);
    assert_int_equal(fake.vcpus[1].pc, 0x41000000);
    assert_int_equal(fake.vcpus[1].x[0], 42);
    end(&f);
}

static void a_kick_that_came_too_late_does_not_reach_the_next_life(void **state)
{
    struct kvm_run *run;
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(&f, 1);
    assert_true(vcpuhp_force(f.hp, 1, NULL));
    assert_true(vcpuhp_vcpu_park_if_asked(f.hp, 1));
    assert_true(vcpuhp_plug(f.hp, 1, 0, 0, NULL, NULL));
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), 0);
    run = vcpuhp_kvm_enter(f.hp, 1);
    assert_int_equal(run->immediate_exit, 0);
    end(&f);
}

/* Turn vCPU 1 on, have it leave something behind, turn it off. */
static void live(Fixture *f)
{
    turn_on(f, 1);
    fake_guest_exit(1, KVM_EXIT_DEBUG);
    assert_int_equal(run_vcpu(f, 1), VCPUHP_KVM_EXIT_OTHER);
    for (int i = 0; i < 31; i++)
        fake.vcpus[1].x[i] = 0x5a5a;
    fake.vcpus[1].sctlr = fake.vcpus[1].csselr = fake.vcpus[1].v0[0] = fake.vcpus[1].v0[1] = 0x5a5a;
    assert_int_equal(call(f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
}

static void assert_as_at_power_on(uint32_t vcpu)
{
    const FakeVcpu *v = &fake.vcpus[vcpu];

    for (int i = 1; i < 31; i++)
        assert_int_equal(v->x[i], 0);
    assert_int_equal(v->sctlr, 0xc50078);
    assert_int_equal(v->csselr | v->v0[0] | v->v0[1], 0);
    assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
    assert_int_equal(v->mpidr, 1ull << 31 | vcpu);
}

static void a_vcpu_that_runs_again_leaves_the_machines_memory_mapped(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    for (int i = 0; i < 3; i++) {
        live(&f);
        assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, 0x41000000, 42), 0);
        assert_non_null(vcpuhp_kvm_enter(f.hp, 1));
        assert_as_at_power_on(1);
        assert_int_equal(fake.vcpus[1].pc, 0x41000000);
        assert_int_equal(fake.vcpus[1].x[0], 42);
        assert_int_equal(call(&f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    }
    assert_int_equal(fake.n_unmaps, 0);
    end(&f);
}

static void a_vcpu_that_runs_again_does_not_move_the_guests_time(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    live(&f);
    live(&f);
    assert_int_equal(fake.n_jumps, 0);
    end(&f);
}

static void a_vcpu_whose_registers_kvm_refuses_is_reset_by_kvm(void **state)
{
    Fixture f;

    (void)state;
    for (int i = 0; i < N_IMAGE_REGS; i++) {
        begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
        live(&f);
        fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1 + i;
        turn_on(&f, 1);
        assert_as_at_power_on(1);
        assert_int_equal(fake.vcpus[1].n_inits, 2);
        end(&f);
    }
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    live(&f);
    fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1;
    fake.n_fail = 2;
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_INTERNAL_FAILURE);
    assert_true(g_str_has_prefix(f.host_error, "vCPU 1: KVM_ARM_VCPU_INIT: "));
    assert_int_equal(power_of(&f, 1), VCPUHP_POWER_OFF);
    end(&f);
}

static void the_first_such_reset_is_reported(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    live(&f);
    fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1;
    live(&f);
    assert_true(g_str_has_prefix(f.host_error, "vCPU 1: KVM_SET_ONE_REG (0x"));
    assert_non_null(strstr(f.host_error, g_strerror(EIO)));
    assert_non_null(strstr(f.host_error, "KVM_ARM_VCPU_INIT is used instead"));
    assert_int_equal(f.error_vcpu, 1);
    g_clear_pointer(&f.host_error, g_free);
    fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1;
    live(&f);
    assert_null(f.host_error);
    assert_int_equal(fake.vcpus[1].n_inits, 3);
    end(&f);
}

static void cpu_on_that_the_host_fails_is_an_internal_failure_and_the_vcpu_stays_off(void **state)
{
    static const char *const ioctls[] = {
        "vCPU 1: KVM_SET_MP_STATE (RUNNABLE)", "vCPU 1: KVM_SET_ONE_REG (X0)",
        "vCPU 1: KVM_SET_ONE_REG (PC)", "vCPU 1: KVM_GET_ONE_REG (SCTLR_EL1)",
        "vCPU 1: KVM_SET_ONE_REG (SCTLR_EL1)"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(ioctls); i++) {
        Fixture f;

        begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
        fake.vcpus[0].sctlr |= 1 << 25;
        fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1 + (int)i;
        assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0),
                         PSCI_RET_INTERNAL_FAILURE);
        assert_true(g_str_has_prefix(f.host_error, ioctls[i]));
        assert_int_equal(f.error_vcpu, 1);
        assert_int_equal(f.started, 1);
        assert_int_equal(power_of(&f, 1), VCPUHP_POWER_OFF);
        assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
        /* And it is no worse for it. */
        turn_on(&f, 1);
        end(&f);
    }
}

static void cpu_on_without_memory_for_kvm_run_is_an_internal_failure(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    fake_seal_run(1);
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_INTERNAL_FAILURE);
    assert_true(g_str_has_prefix(f.host_error, "vCPU 1: mmap of kvm_run: "));
    assert_int_equal(power_of(&f, 1), VCPUHP_POWER_OFF);
    end(&f);
}

static void cpu_on_without_a_thread_leaves_the_vcpu_stopped(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    f.no_thread = true;
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_INTERNAL_FAILURE);
    assert_string_equal(f.host_error, "vCPU 1: vcpu_start returned false");
    assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(power_of(&f, 1), VCPUHP_POWER_OFF);
    end(&f);
}

/* --- Exits --- */

static void mmio_within_the_register_block_is_served(void **state)
{
    struct kvm_run *run;
    uint32_t expected = 0;
    Fixture f;

    (void)state;
    run = begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    /* docs/register-block.md: select a slot; read its status byte. */
    fake_guest_mmio(0, f.config.regs_base, 4, true, 1);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_RESUME);
    fake_guest_mmio(0, f.config.regs_base + 4, 1, false, 0xff);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_RESUME);
    vcpuhp_regs_read(f.hp, 4, &expected, 1);
    assert_int_equal(expected, 1);
    assert_int_equal(run->mmio.data[0], expected);
    end(&f);
}

static void mmio_not_wholly_within_the_register_block_is_the_vmms(void **state)
{
    VcpuhpCounters before = {.size = sizeof(before)}, after = before;
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    vcpuhp_counters(f.hp, &before, NULL);
    for (int i = 0; i < 5; i++) {
        const uint64_t base = f.config.regs_base, end = base + VCPUHP_REGS_SIZE;
        const uint64_t addresses[] = {0, base - 4, base - 1, end - 1, end};

        fake_guest_mmio(0, addresses[i], 4, i % 2, 0);
        assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_OTHER);
    }
    vcpuhp_counters(f.hp, &after, NULL);
    assert_memory_equal(&before, &after, sizeof(before));
    fake_guest_mmio(0, f.config.regs_base + VCPUHP_REGS_SIZE - 8, 8, false, 0);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_RESUME);
    end(&f);
}

static void a_forwarded_call_is_answered_in_x0(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_AFFINITY_INFO, 0, 0, 0),
                     PSCI_0_2_AFFINITY_LEVEL_ON);
    assert_int_equal(call_result(&f, PSCI_0_2_FN_AFFINITY_INFO, SPARE, 0, 0),
                     PSCI_0_2_AFFINITY_LEVEL_OFF);
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_AFFINITY_INFO, 77, 0, 0),
                     PSCI_RET_INVALID_PARAMS);
    end(&f);
}

static void calls_that_are_none_of_pscis_are_the_vmms(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(call(&f, 0, 0xc6000001, 1, 2, 3), VCPUHP_KVM_EXIT_OTHER);
    assert_int_equal(fake.vcpus[0].x[0], 0xc6000001);
    end(&f);
}

static void cpu_off_parks_and_leaves_the_vcpu_alone(void **state)
{
    int n_calls;
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(&f, 1);
    n_calls = fake.n_calls;
    assert_int_equal(call(&f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    /* KVM_RUN, X1 to X3, and STOPPED while it is still on: another thread may turn it on by now. */
    assert_int_equal(fake.n_calls, n_calls + 5);
    assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(power_of(&f, 1), VCPUHP_POWER_OFF);
    end(&f);
}

static void an_exit_reason_is_not_served_twice(void **state)
{
    VcpuhpCounters before = {.size = sizeof(before)}, after = before;
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_mmio(0, f.config.regs_base + 4, 1, true, 0);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_RESUME);
    vcpuhp_counters(f.hp, &before, NULL);
    assert_int_equal(vcpuhp_kvm_handle_exit(f.hp, 0, EINTR), VCPUHP_KVM_EXIT_INTERRUPTED);
    assert_int_equal(vcpuhp_kvm_handle_exit(f.hp, 0, EAGAIN), VCPUHP_KVM_EXIT_RESUME);
    vcpuhp_counters(f.hp, &after, NULL);
    assert_memory_equal(&before, &after, sizeof(before));
    end(&f);
}

static void the_vmms_own_signal_is_told_from_a_kick(void **state)
{
    struct kvm_run *run;
    Fixture f;

    (void)state;
    run = begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    fake_signal(0);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_INTERRUPTED);
    /* A signal handler of the VMM's may set it; the next KVM_RUN is to get into the guest. */
    run->immediate_exit = 1;
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_INTERRUPTED);
    assert_int_equal(run->immediate_exit, 0);
    vcpuhp_stop(f.hp);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_PARK);
    assert_true(f.stopped);
    end(&f);
}

static void kvm_run_that_fails_is_told_with_its_vcpu_and_errno(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(vcpuhp_kvm_handle_exit(f.hp, 0, ENOSYS), VCPUHP_KVM_EXIT_ERROR);
    assert_string_equal(f.host_error, "vCPU 0: KVM_RUN: Function not implemented");
    end(&f);
}

/* As when the VM is dead, and KVM_RUN doesn't get as far as to see immediate_exit. */
static void a_vcpu_that_cannot_run_can_still_be_parked(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(vcpuhp_kvm_handle_exit(f.hp, 0, EIO), VCPUHP_KVM_EXIT_ERROR);
    vcpuhp_stop(f.hp);
    assert_int_equal(vcpuhp_kvm_handle_exit(f.hp, 0, EIO), VCPUHP_KVM_EXIT_PARK);
    assert_true(f.stopped);
    end(&f);
}

static void an_ioctl_that_fails_while_serving_a_call_is_told(void **state)
{
    static const char *const ioctls[] = {
        "vCPU 0: KVM_GET_ONE_REG (X1)", "vCPU 0: KVM_GET_ONE_REG (X2)",
        "vCPU 0: KVM_GET_ONE_REG (X3)", "vCPU 0: KVM_GET_ONE_REG (SCTLR_EL1)",
        "vCPU 0: KVM_SET_ONE_REG (X0)"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(ioctls); i++) {
        Fixture f;

        begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
        fake.fail_at = fake.n_calls + 2 + (int)i;
        assert_int_equal(call(&f, 0, PSCI_0_2_FN64_CPU_ON, SPARE, ENTRY, 0), VCPUHP_KVM_EXIT_ERROR);
        assert_true(g_str_has_prefix(f.host_error, ioctls[i]));
        end(&f);
    }
}

static void kvms_system_events_are_the_machines_power(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_event(0, KVM_SYSTEM_EVENT_CRASH);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_OTHER);
    fake_guest_event(0, KVM_SYSTEM_EVENT_WAKEUP);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_OTHER);
    fake_guest_event(0, KVM_SYSTEM_EVENT_SHUTDOWN);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_SYSTEM_OFF);
    end(&f);
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_event(0, KVM_SYSTEM_EVENT_RESET);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_SYSTEM_RESET);
    end(&f);
}

static void a_vcpu_that_asks_the_machine_to_go_down_executes_nothing_more(void **state)
{
    static const struct {
        uint32_t function;
        VcpuhpKvmExit exit;
    } cases[] = {{PSCI_0_2_FN_SYSTEM_OFF, VCPUHP_KVM_EXIT_SYSTEM_OFF},
                 {PSCI_0_2_FN_SYSTEM_RESET, VCPUHP_KVM_EXIT_SYSTEM_RESET}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;

        begin_running(&f, VCPUHP_KVM_PSCI_WHOLE);
        assert_int_equal(call(&f, 0, cases[i].function, 0, 0, 0), cases[i].exit);
        assert_int_equal(fake.vcpus[0].mp_state, KVM_MP_STATE_STOPPED);
        vcpuhp_stop(f.hp);
        assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_PARK);
        end(&f);
    }
}

static void a_suspended_vcpu_sleeps_in_kvm_until_it_is_woken(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_WHOLE);
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_SUSPEND, 0, 0, 0), PSCI_RET_SUCCESS);
    assert_int_equal(fake.vcpus[0].mp_state, KVM_MP_STATE_SUSPENDED);
    fake_guest_event(0, KVM_SYSTEM_EVENT_WAKEUP);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_RESUME);
    assert_int_equal(fake.vcpus[0].mp_state, KVM_MP_STATE_RUNNABLE);
    end(&f);
}

static void other_exits_are_the_vmms(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_exit(0, KVM_EXIT_ARM_NISV);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_OTHER);
    end(&f);
}

/* --- Kicks --- */

static void a_kick_before_kvm_run_makes_it_return(void **state)
{
    struct kvm_run *run;
    Fixture f;

    (void)state;
    run = begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    vcpuhp_stop(f.hp);
    assert_int_equal(run->immediate_exit, 1);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_PARK);
    end(&f);
}

static void a_vcpu_called_off_before_its_thread_came_is_stopped(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), 0);
    vcpuhp_stop(f.hp);
    assert_null(vcpuhp_kvm_enter(f.hp, 1));
    assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(power_of(&f, 1), VCPUHP_POWER_OFF);
    end(&f);
}

typedef struct Racer {
    Fixture *f;
    uint32_t vcpu;
} Racer;

static gpointer vcpu_thread(gpointer data)
{
    const Racer *racer = data;

    if (vcpuhp_kvm_enter(racer->f->hp, racer->vcpu))
        while (run_vcpu(racer->f, racer->vcpu) != VCPUHP_KVM_EXIT_PARK)
            ;
    return NULL;
}

/* Whenever the kick comes: before the thread enters, between its exits, in KVM_RUN, or while it
 * turns itself off. A kick that is lost leaves the thread in KVM_RUN, and the test hangs. */
static void a_kick_is_never_lost(void **state)
{
    enum {
        ROUNDS = 300
    };
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    f.signal_on_kick = true;
    for (int i = 0; i < ROUNDS; i++) {
        Racer racer = {&f, 1};
        GThread *thread;

        assert_int_equal(call_result(&f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), 0);
        if (i % 3 == 0)
            fake_guest_call(1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0);
        else if (i % 3 == 1)
            fake_guest_mmio(1, f.config.regs_base, 4, true, 0);
        thread = g_thread_new("vcpu", vcpu_thread, &racer);
        for (int spin = 0; spin < i * 20; spin++)
            __asm__ volatile("" ::: "memory");
        assert_true(vcpuhp_force(f.hp, 1, NULL));
        g_thread_join(thread);
        assert_int_equal(power_of(&f, 1), VCPUHP_POWER_OFF);
        fake.vcpus[1].signalled = false;
        fake.vcpus[1].next_exit = 0;
        assert_true(vcpuhp_plug(f.hp, 1, 0, 0, NULL, NULL));
    }
    end(&f);
}

/* --- Races: what others do while a vCPU is being turned on --- */

#define TARGET    2
#define REG_OST   0x20
#define REG_EJECT 0x28

typedef struct Race {
    Fixture f;
    GThreadFunc other; /* what happens in another thread in the midst of CPU_ON, to its end */
    int64_t result;
} Race;

/* KVM is about to make the target runnable: it is ON_PENDING. A lock that CPU_ON held over its
 * ioctls would make this wait for ever. */
static void in_the_midst(unsigned long request, void *opaque)
{
    Race *race = opaque;

    if (request != KVM_SET_MP_STATE)
        return;
    fake.before = NULL;
    g_thread_join(g_thread_new("other", race->other, race));
}

/* vCPUs 0 and 1 run; 0 turns the target on, and meanwhile the other thing happens. */
static void race_with_cpu_on(Race *race, GThreadFunc other)
{
    begin_running(&race->f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(&race->f, 1);
    race->other = other;
    fake.opaque = race;
    fake.before = in_the_midst;
    assert_int_equal(call_result(&race->f, PSCI_0_2_FN64_CPU_ON, TARGET, ENTRY, 0),
                     PSCI_RET_SUCCESS);
    assert_null(fake.before);
}

static gpointer call_cpu_on(gpointer data)
{
    Race *race = data;

    assert_int_equal(call(&race->f, 1, PSCI_0_2_FN64_CPU_ON, TARGET, ENTRY, 0),
                     VCPUHP_KVM_EXIT_RESUME);
    race->result = (int64_t)fake.vcpus[1].x[0];
    return NULL;
}

static void the_second_of_two_cpu_ons_at_once_is_on_pending(void **state)
{
    Race race = {0};

    (void)state;
    race_with_cpu_on(&race, call_cpu_on);
    assert_int_equal(race.result, PSCI_RET_ON_PENDING);
    assert_non_null(vcpuhp_kvm_enter(race.f.hp, TARGET));
    call_cpu_on(&race);
    assert_int_equal(race.result, PSCI_RET_ALREADY_ON);
    end(&race.f);
}

static void assert_target_never_runs(Race *race)
{
    assert_null(vcpuhp_kvm_enter(race->f.hp, TARGET));
    assert_int_equal(power_of(&race->f, TARGET), VCPUHP_POWER_OFF);
    assert_int_equal(fake.vcpus[TARGET].mp_state, KVM_MP_STATE_STOPPED);
}

static gpointer eject_target(gpointer data)
{
    uint64_t slot = TARGET;

    vcpuhp_regs_write(((Race *)data)->f.hp, REG_EJECT, &slot, sizeof(slot));
    return NULL;
}

static void a_vcpu_that_is_ejected_while_it_is_turned_on_never_runs(void **state)
{
    Race race = {0};

    (void)state;
    race_with_cpu_on(&race, eject_target);
    assert_target_never_runs(&race);
    call_cpu_on(&race);
    assert_int_equal(race.result, PSCI_RET_DENIED);
    end(&race.f);
}

static gpointer unplug_target(gpointer data)
{
    assert_true(vcpuhp_unplug(((Race *)data)->f.hp, TARGET, 0, 0, NULL, NULL));
    return NULL;
}

static void a_vcpu_that_is_unplugged_while_it_is_turned_on_runs_until_it_is_ejected(void **state)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    Race race = {0};

    (void)state;
    race_with_cpu_on(&race, unplug_target);
    assert_non_null(vcpuhp_kvm_enter(race.f.hp, TARGET));
    assert_true(vcpuhp_query(race.f.hp, TARGET, &info, NULL));
    assert_true(info.enabled);
    assert_int_equal(info.request_kind, VCPUHP_REQUEST_UNPLUG);
    eject_target(&race);
    assert_int_equal(call(&race.f, TARGET, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    assert_true(vcpuhp_query(race.f.hp, TARGET, &info, NULL));
    assert_int_equal(info.request_kind, VCPUHP_REQUEST_NONE);
    assert_false(info.enabled);
    end(&race.f);
}

static gpointer plug_and_close_eject(gpointer data)
{
    Race *race = data;
    uint64_t ost = TARGET | 3 << 16;
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    eject_target(data);
    assert_true(vcpuhp_plug(race->f.hp, TARGET, 0, 0, NULL, NULL));
    vcpuhp_regs_write(race->f.hp, REG_OST, &ost, sizeof(ost));
    assert_true(vcpuhp_query(race->f.hp, TARGET, &info, NULL));
    assert_int_equal(info.request_state, VCPUHP_REQUEST_HELD);
    assert_false(info.enabled);
    return NULL;
}

static void a_plug_that_races_an_eject_waits_until_the_vcpu_is_off(void **state)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    Race race = {0};

    (void)state;
    race_with_cpu_on(&race, plug_and_close_eject);
    assert_null(vcpuhp_kvm_enter(race.f.hp, TARGET));
    assert_true(vcpuhp_query(race.f.hp, TARGET, &info, NULL));
    assert_int_equal(info.request_state, VCPUHP_REQUEST_RAISED);
    assert_true(info.enabled);
    call_cpu_on(&race);
    assert_int_equal(race.result, PSCI_RET_SUCCESS);
    end(&race.f);
}

static gpointer stop_machine(gpointer data)
{
    Race *race = data;
    g_autoptr(GError) error = NULL;

    vcpuhp_stop(race->f.hp);
    assert_false(vcpuhp_reset(race->f.hp, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
    return NULL;
}

static void a_vcpu_that_is_turned_on_while_the_machine_stops_never_runs(void **state)
{
    Race race = {0};

    (void)state;
    race_with_cpu_on(&race, stop_machine);
    assert_null(vcpuhp_kvm_enter(race.f.hp, TARGET));
    assert_int_equal(run_vcpu(&race.f, 1), VCPUHP_KVM_EXIT_PARK);
    assert_false(race.f.stopped);
    assert_int_equal(run_vcpu(&race.f, 0), VCPUHP_KVM_EXIT_PARK);
    assert_true(race.f.stopped);
    assert_true(vcpuhp_reset(race.f.hp, NULL));
    end(&race.f);
}

static gpointer force_target(gpointer data)
{
    assert_true(vcpuhp_force(((Race *)data)->f.hp, TARGET, NULL));
    return NULL;
}

static void a_vcpu_that_is_forced_out_while_it_is_turned_on_never_runs(void **state)
{
    Race race = {0};

    (void)state;
    race_with_cpu_on(&race, force_target);
    assert_target_never_runs(&race);
    end(&race.f);
}

static gpointer request_for_ever(gpointer data)
{
    Race *race = data;

    for (int i = 0; i < 20000; i++) {
        vcpuhp_plug(race->f.hp, SPARE, 0, 0, NULL, NULL);
        if (i % 3)
            vcpuhp_unplug(race->f.hp, SPARE, 0, 0, NULL, NULL);
        vcpuhp_unplug(race->f.hp, 1, 0, 0, NULL, NULL);
        if (i % 5 == 0)
            vcpuhp_plug(race->f.hp, 1, 0, 0, NULL, NULL);
    }
    g_atomic_pointer_set(&race->other, NULL);
    return NULL;
}

static void resets_that_race_requests_leave_a_machine_that_starts(void **state)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    Race race = {.other = request_for_ever};
    GThread *thread;

    (void)state;
    begin_running(&race.f, VCPUHP_KVM_PSCI_SPARSE);
    thread = g_thread_new("requests", request_for_ever, &race);
    while (g_atomic_pointer_get(&race.other)) {
        uint64_t slot = 1, events;

        vcpuhp_regs_read(race.f.hp, 0x18, &events, sizeof(events));
        vcpuhp_regs_write(race.f.hp, REG_EJECT, &slot, sizeof(slot));
        vcpuhp_stop(race.f.hp);
        assert_int_equal(run_vcpu(&race.f, 0), VCPUHP_KVM_EXIT_PARK);
        assert_true(vcpuhp_reset(race.f.hp, NULL));
        assert_true(vcpuhp_start(race.f.hp, &entry, NULL));
        assert_non_null(vcpuhp_kvm_enter(race.f.hp, 0));
    }
    g_thread_join(thread);
    assert_int_equal(power_of(&race.f, 0), VCPUHP_POWER_ON);
    end(&race.f);
}

/* --- The interrupt and the reset --- */

static void the_event_interrupt_is_an_spi_of_the_vgic(void **state)
{
    Fixture f;

    (void)state;
    begin(&f, &fake_modern_host, N_VCPUS);
    f.config.event_irq = 200;
    setup(&f);
    assert_true(vcpuhp_plug(f.hp, SPARE, 0, 0, NULL, NULL));
    assert_true(fake.vgic.spis[200].line);
    /* Undone before the guest saw it. */
    assert_true(vcpuhp_unplug(f.hp, SPARE, 0, 0, NULL, NULL));
    assert_false(fake.vgic.spis[200].line);
    end(&f);
}

static void an_interrupt_that_cannot_be_raised_is_told(void **state)
{
    Fixture f;

    (void)state;
    begin_default(&f);
    fake.fail_at = fake.n_calls + 1;
    assert_true(vcpuhp_plug(f.hp, SPARE, 0, 0, NULL, NULL));
    assert_string_equal(f.host_error, "KVM_IRQ_LINE (INTID 33, high): Input/output error");
    end(&f);
}

static void after_a_reset_every_vcpu_can_run_again(void **state)
{
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(&f, 1);
    /* KVM stops all vCPUs, those that never ran included. */
    fake_guest_event(0, KVM_SYSTEM_EVENT_RESET);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_SYSTEM_RESET);
    assert_int_equal(fake.vcpus[2].mp_state, KVM_MP_STATE_STOPPED);
    assert_false(vcpuhp_reset(f.hp, NULL));
    vcpuhp_stop(f.hp);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(run_vcpu(&f, 1), VCPUHP_KVM_EXIT_PARK);
    assert_true(vcpuhp_reset(f.hp, NULL));
    /* The vCPUs that ran are reset by KVM itself, which also forgets the memory's mappings: once.
     */
    assert_true(vcpuhp_reset(f.hp, NULL));
    assert_int_equal(fake.vcpus[0].n_inits, 2);
    assert_int_equal(fake.vcpus[1].n_inits, 2);
    assert_int_equal(fake.vcpus[2].n_inits, 1);
    assert_true(
        vcpuhp_start(f.hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), .address = ENTRY}, NULL));
    assert_non_null(vcpuhp_kvm_enter(f.hp, 0));
    assert_int_equal(fake.vcpus[0].pc, ENTRY);
    for (uint32_t i = 1; i < SPARE; i++) {
        turn_on(&f, i);
        assert_as_at_power_on(i);
    }
    end(&f);
}

static void a_reset_that_kvm_fails_is_told_and_can_be_repeated(void **state)
{
    g_autoptr(GError) error = NULL;
    Fixture f;

    (void)state;
    begin_running(&f, VCPUHP_KVM_PSCI_SPARSE);
    vcpuhp_stop(f.hp);
    assert_int_equal(run_vcpu(&f, 0), VCPUHP_KVM_EXIT_PARK);
    fake.fail_at = fake.n_calls + 1;
    assert_false(vcpuhp_reset(f.hp, &error));
    assert_string_equal(error->message, "vCPU 0: KVM_ARM_VCPU_INIT: Input/output error");
    assert_true(vcpuhp_reset(f.hp, NULL));
    assert_true(
        vcpuhp_start(f.hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), .address = ENTRY}, NULL));
    assert_non_null(vcpuhp_kvm_enter(f.hp, 0));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_possible_vcpu_is_made_before_the_vgic_is_initialised),
        cmocka_unit_test(a_vcpu_that_is_off_is_stopped_in_kvm_too),
        cmocka_unit_test(sparse_filter_forwards_every_way_to_turn_a_vcpu_on_or_off),
        cmocka_unit_test(whole_filter_forwards_both_psci_ranges_and_no_more),
        cmocka_unit_test(vcpus_get_the_affinities_of_the_config),
        cmocka_unit_test(kvms_own_affinities_are_those_of_the_config),
        cmocka_unit_test(disabled_vcpus_get_pmu_sve_and_pauth_as_the_others),
        cmocka_unit_test(features_that_nobody_asked_for_are_off),
        cmocka_unit_test(missing_host_features_are_named_and_nothing_is_changed),
        cmocka_unit_test(features_that_are_not_asked_for_need_not_be_there),
        cmocka_unit_test(more_vcpus_than_the_host_takes_are_refused_with_its_limit),
        cmocka_unit_test(bad_configs_are_refused_by_field_value_and_limit),
        cmocka_unit_test(second_setup_is_refused),
        cmocka_unit_test(a_filter_of_the_vmms_own_on_the_same_calls_is_an_error),
        cmocka_unit_test(a_plug_before_setup_raises_the_line_at_start),
        cmocka_unit_test(setup_after_start_is_refused),
        cmocka_unit_test(each_ioctl_that_fails_is_named_and_leaves_nothing_open),
        cmocka_unit_test(without_setup_there_are_no_fds),
        cmocka_unit_test(a_vcpu_is_mapped_at_its_first_power_on_and_stays_mapped),
        cmocka_unit_test(cpu_on_sets_the_entry_state),
        cmocka_unit_test(a_big_endian_caller_hands_its_endianness_on),
        cmocka_unit_test(a_disabled_vcpu_is_denied_and_stays_stopped),
        cmocka_unit_test(a_plugged_vcpu_runs_without_new_fds),
        cmocka_unit_test(an_unfinished_mmio_access_is_not_completed_over_a_new_entry),
        cmocka_unit_test(a_kick_that_came_too_late_does_not_reach_the_next_life),
        cmocka_unit_test(a_vcpu_that_runs_again_leaves_the_machines_memory_mapped),
        cmocka_unit_test(a_vcpu_that_runs_again_does_not_move_the_guests_time),
        cmocka_unit_test(a_vcpu_whose_registers_kvm_refuses_is_reset_by_kvm),
        cmocka_unit_test(the_first_such_reset_is_reported),
        cmocka_unit_test(cpu_on_that_the_host_fails_is_an_internal_failure_and_the_vcpu_stays_off),
        cmocka_unit_test(cpu_on_without_memory_for_kvm_run_is_an_internal_failure),
        cmocka_unit_test(cpu_on_without_a_thread_leaves_the_vcpu_stopped),
        cmocka_unit_test(mmio_within_the_register_block_is_served),
        cmocka_unit_test(mmio_not_wholly_within_the_register_block_is_the_vmms),
        cmocka_unit_test(a_forwarded_call_is_answered_in_x0),
        cmocka_unit_test(calls_that_are_none_of_pscis_are_the_vmms),
        cmocka_unit_test(cpu_off_parks_and_leaves_the_vcpu_alone),
        cmocka_unit_test(an_exit_reason_is_not_served_twice),
        cmocka_unit_test(the_vmms_own_signal_is_told_from_a_kick),
        cmocka_unit_test(kvm_run_that_fails_is_told_with_its_vcpu_and_errno),
        cmocka_unit_test(a_vcpu_that_cannot_run_can_still_be_parked),
        cmocka_unit_test(an_ioctl_that_fails_while_serving_a_call_is_told),
        cmocka_unit_test(kvms_system_events_are_the_machines_power),
        cmocka_unit_test(a_vcpu_that_asks_the_machine_to_go_down_executes_nothing_more),
        cmocka_unit_test(a_suspended_vcpu_sleeps_in_kvm_until_it_is_woken),
        cmocka_unit_test(other_exits_are_the_vmms),
        cmocka_unit_test(a_kick_before_kvm_run_makes_it_return),
        cmocka_unit_test(a_vcpu_called_off_before_its_thread_came_is_stopped),
        cmocka_unit_test(a_kick_is_never_lost),
        cmocka_unit_test(the_second_of_two_cpu_ons_at_once_is_on_pending),
        cmocka_unit_test(a_vcpu_that_is_ejected_while_it_is_turned_on_never_runs),
        cmocka_unit_test(a_vcpu_that_is_unplugged_while_it_is_turned_on_runs_until_it_is_ejected),
        cmocka_unit_test(a_plug_that_races_an_eject_waits_until_the_vcpu_is_off),
        cmocka_unit_test(a_vcpu_that_is_turned_on_while_the_machine_stops_never_runs),
        cmocka_unit_test(a_vcpu_that_is_forced_out_while_it_is_turned_on_never_runs),
        cmocka_unit_test(resets_that_race_requests_leave_a_machine_that_starts),
        cmocka_unit_test(the_event_interrupt_is_an_spi_of_the_vgic),
        cmocka_unit_test(an_interrupt_that_cannot_be_raised_is_told),
        cmocka_unit_test(after_a_reset_every_vcpu_can_run_again),
        cmocka_unit_test(a_reset_that_kvm_fails_is_told_and_can_be_repeated),
    };

    return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
