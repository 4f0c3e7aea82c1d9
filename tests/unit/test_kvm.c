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
#include "fake_vmm.h"

#define N_VCPUS 4
#define ENTRY   0x40080000
#define SPARE   3 /* disabled at boot */
/* KVM_RUN, and X1, X2, X3 and SCTLR_EL1 of the caller, which a CPU_ON begins with. */
#define N_CALLS_BEFORE_ON 5
/* X0 … X30, PC, V0, SCTLR_EL1, TTBR0_EL1, TCR_EL1, MAIR_EL1, CONTEXTIDR_EL1, CSSELR_EL1 of the fake.
 */
#define N_IMAGE_REGS 39
/* GICD_CTLR, and 47 registers for each 32 of the SPIs. */
#define N_DISTRIBUTOR_CALLS (1 + 224 / 32 * 47)
/* The virtual timer's interrupt */
#define TIMER_PPI 27

typedef struct Fixture {
    bool lend; /* the VMM lends vCPUs and vGIC */
    bool begun;
    FakeVmm vmm;
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

/* Also after a test has failed in the middle. */
static void end(Fixture *f)
{
    f->begun = false;
    g_clear_pointer(&f->hp, vcpuhp_free);
    g_clear_pointer(&f->host_error, g_free);
    fake_vmm_free(&f->config, &f->kvm);
    assert_int_equal(fake_open_fds(), 0);
    assert_int_equal(fake_mappings(), 0);
    assert_int_equal(fake.n_deadlocks, 0);
    fake_kvm_end();
}

/* A new machine, in place of the last: n_vcpus possible, all but the last enabled and removable. */
static void begin(Fixture *f, const FakeHost *host, uint32_t n_vcpus)
{
    if (f->begun)
        end(f);
    *f = (Fixture){.lend = f->lend, .begun = true};
    vcpuhp_kvm_config_init(&f->kvm, fake_kvm_begin(host));
    vcpuhp_config_init(&f->config, n_vcpus, MAX(n_vcpus - 1, 1));
    f->config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
}

static void lend(Fixture *f)
{
    fake_vmm_create_vcpus(&f->vmm, &f->config, &f->kvm);
    fake_vmm_create_vgic(&f->config, &f->kvm);
    fake_vmm_init_vgic(&f->config, &f->kvm);
}

static bool try_setup(Fixture *f, GError **error)
{
    g_autoptr(GError) new_error = NULL;

    if (f->lend && !f->kvm.vcpu_fds)
        lend(f);
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

/* As set_up(), in the middle of a test. */
static void begin_again(Fixture *f)
{
    begin(f, &fake_modern_host, N_VCPUS);
}

static int set_up(void **state)
{
    const bool *lend_too = *state;
    Fixture *f = g_new0(Fixture, 1);

    f->lend = lend_too && *lend_too;
    begin(f, &fake_modern_host, N_VCPUS);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    if (f->begun)
        end(f);
    g_free(f);
    return 0;
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

/* Set up, and vCPU 0 runs. */
static struct kvm_run *run_machine(Fixture *f, VcpuhpKvmPsci psci)
{
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

static void park_by_force(Fixture *f)
{
    assert_true(vcpuhp_force(f->hp, 1, NULL));
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 1, EINTR), VCPUHP_KVM_EXIT_PARK);
    assert_true(vcpuhp_plug(f->hp, 1, 0, 0, NULL, NULL));
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
    int n_changes;

    if (f->lend && !f->kvm.vcpu_fds)
        lend(f);
    n_changes = fake.n_changes;
    assert_false(try_setup(f, &error));
    if (!g_error_matches(error, VCPUHP_ERROR, code) || !strstr(error->message, what))
        fail_msg("\"%s\" has another code, or does not name \"%s\"", error->message, what);
    assert_int_equal(fake.n_changes, n_changes);
    assert_int_equal(vcpuhp_kvm_vcpu_fd(f->hp, 0), -1);
}

/* --- Setup --- */

static void every_possible_vcpu_is_made_before_the_vgic_is_initialised(void **state)
{
    Fixture *f = *state;

    /* The fake refuses vCPUs after that with EBUSY, as KVM does. */
    begin(f, &fake_modern_host, 512);
    setup(f);
    assert_int_equal(fake.n_vcpus, 512);
    assert_true(fake.vgic.initialised);
    for (uint32_t i = 0; i < 512; i++) {
        assert_true(fake.vcpus[i].initialised);
        assert_true(vcpuhp_kvm_vcpu_fd(f->hp, i) >= 0);
    }
}

static void a_vcpu_that_is_off_is_stopped_in_kvm_too(void **state)
{
    Fixture *f = *state;

    setup(f);
    for (uint32_t i = 0; i < N_VCPUS; i++)
        assert_int_equal(fake.vcpus[i].mp_state, KVM_MP_STATE_STOPPED);
}

static void sparse_filter_forwards_every_way_to_turn_a_vcpu_on_or_off(void **state)
{
    Fixture *f = *state;
    static const uint32_t forwarded[] = {0x84000002, 0x84000003, 0x84000004, 0xc4000003,
                                         0xc4000004};
    uint32_t n = 0;

    setup(f);
    for (size_t i = 0; i < G_N_ELEMENTS(forwarded); i++)
        assert_true(fake_forwards(forwarded[i]));
    for (uint32_t i = 0; i < 0x20; i++)
        n += fake_forwards(0x84000000 + i) + fake_forwards(0xc4000000 + i);
    assert_int_equal(n, G_N_ELEMENTS(forwarded));
}

static void whole_filter_forwards_both_psci_ranges_and_no_more(void **state)
{
    Fixture *f = *state;

    f->kvm.psci = VCPUHP_KVM_PSCI_WHOLE;
    setup(f);
    for (uint32_t i = 0; i < 0x20; i++) {
        assert_true(fake_forwards(0x84000000 + i));
        assert_true(fake_forwards(0xc4000000 + i));
    }
    assert_false(fake_forwards(0x80000000));
    assert_false(fake_forwards(0x84000020));
    assert_false(fake_forwards(0xc4000020));
}

static void vcpus_get_the_affinities_of_the_config(void **state)
{
    Fixture *f = *state;
    static const uint64_t mpidrs[] = {0, 0x100, 0x200, 0xffff0f};

    f->config.mpidrs = mpidrs;
    setup(f);
    for (uint32_t i = 0; i < N_VCPUS; i++)
        assert_int_equal(fake.vcpus[i].mpidr, 1ull << 31 | mpidrs[i]);
}

static void kvms_own_affinities_are_those_of_the_config(void **state)
{
    Fixture *f = *state;
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    begin(f, &fake_modern_host, 512);
    setup(f);
    assert_int_equal(fake.vcpus[511].mpidr, 0x80001f0f);
    assert_true(vcpuhp_query(f->hp, 511, &info, NULL));
    assert_int_equal(info.mpidr, 0x1f0f);
}

static void disabled_vcpus_get_pmu_sve_and_pauth_as_the_others(void **state)
{
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    f->kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
    setup(f);
    for (uint32_t i = 0; i < N_VCPUS; i++) {
        assert_int_equal(fake.vcpus[i].features,
                         1 << KVM_ARM_VCPU_PSCI_0_2 | 1 << KVM_ARM_VCPU_PMU_V3 |
                             1 << KVM_ARM_VCPU_SVE | 1 << KVM_ARM_VCPU_PTRAUTH_ADDRESS |
                             1 << KVM_ARM_VCPU_PTRAUTH_GENERIC);
        assert_int_equal(fake.vcpus[i].pmu_irq, 23);
        assert_true(fake.vcpus[i].pmu_initialised);
        assert_true(fake.vcpus[i].finalised);
    }
}

static void features_that_nobody_asked_for_are_off(void **state)
{
    Fixture *f = *state;

    setup(f);
    assert_int_equal(fake.vcpus[SPARE].features, 1 << KVM_ARM_VCPU_PSCI_0_2);
}

static void missing_host_features_are_named_and_nothing_is_changed(void **state)
{
    Fixture *f = *state;
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

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeHost host = fake_modern_host;

        *(bool *)((char *)&host + cases[i].offset) = false;
        begin(f, &host, N_VCPUS);
        f->config.pmu_irq = 23;
        f->config.gic.its_base = 0x08080000;
        f->kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
        assert_refused(f, VCPUHP_ERROR_NOT_SUPPORTED, cases[i].named);
    }
}

static void features_that_are_not_asked_for_need_not_be_there(void **state)
{
    Fixture *f = *state;
    FakeHost host = fake_modern_host;

    host.sve = host.pauth_address = host.pauth_generic = host.pmu = false;
    host.gicv2 = host.its = false;
    begin(f, &host, N_VCPUS);
    setup(f);
}

static void more_vcpus_than_the_host_takes_are_refused_with_its_limit(void **state)
{
    Fixture *f = *state;
    FakeHost host = fake_modern_host;

    host.max_vcpus = 8;
    begin(f, &host, 9);
    assert_refused(f, VCPUHP_ERROR_NOT_SUPPORTED,
                   "n_vcpus is 9, but this host's KVM has at most 8");
}

static void bad_configs_are_refused_by_field_value_and_limit(void **state)
{
    Fixture *f = *state;

    f->kvm.size = 7;
    assert_refused(f, VCPUHP_ERROR_STRUCT, "the size of VcpuhpKvmConfig is 7");
    begin_again(f);
    f->kvm.psci = 2;
    assert_refused(f, VCPUHP_ERROR_INVALID, "psci is 2");
    begin_again(f);
    f->kvm.features = 0x11;
    assert_refused(f, VCPUHP_ERROR_INVALID, "features is 0x11");
    begin_again(f);
    f->kvm.vgic_fd = f->kvm.vm_fd;
    assert_refused(f, VCPUHP_ERROR_INVALID, "vgic_fd is ");
    f->kvm.vgic_fd = -1;
    begin_again(f);
    f->kvm.vm_fd = -1;
    assert_refused(f, VCPUHP_ERROR_NOT_SUPPORTED, "vm_fd is -1");
}

static void affinities_that_kvms_gicv3_cannot_serve_are_refused(void **state)
{
    static const uint64_t aff3[] = {0, 1, 0x100000000, 3}, aff0[] = {0, 1, 0x310, 3};
    Fixture *f = *state;

    f->config.mpidrs = aff3;
    assert_refused(f, VCPUHP_ERROR_INVALID,
                   "mpidrs[2] is 0x100000000, but KVM's GICv3 serves Aff3 = 0 only");
    begin_again(f);
    f->config.mpidrs = aff0;
    assert_refused(f, VCPUHP_ERROR_INVALID,
                   "mpidrs[2] is 0x310, but KVM's GICv3 serves Aff0 = 0 … 15 only");
}

static void a_gicv2_serves_every_affinity(void **state)
{
    static const uint64_t mpidrs[] = {0, 1, 0x100000000, 0x310};
    Fixture *f = *state;

    f->config.gic =
        (VcpuhpGic){.version = 2, .n_irqs = 256, .dist_base = 0x08000000, .cpu_base = 0x08010000};
    f->config.mpidrs = mpidrs;
    setup(f);
    assert_int_equal(fake.vcpus[2].mpidr, 1ull << 31 | 0x100000000);
}

static void second_setup_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;
    int n_changes;

    setup(f);
    n_changes = fake.n_changes;
    assert_false(vcpuhp_kvm_setup(f->hp, &f->kvm, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
    assert_int_equal(fake.n_changes, n_changes);
}

static void a_filter_of_the_vmms_own_on_the_same_calls_is_an_error(void **state)
{
    Fixture *f = *state;
    struct kvm_smccc_filter filter = {
        .base = PSCI_0_2_FN_AFFINITY_INFO, .nr_functions = 1, .action = KVM_SMCCC_FILTER_DENY};
    struct kvm_device_attr attr = {.group = KVM_ARM_VM_SMCCC_CTRL,
                                   .attr = KVM_ARM_VM_SMCCC_FILTER,
                                   .addr = (uintptr_t)&filter};
    g_autoptr(GError) error = NULL;

    assert_int_equal(ioctl(f->kvm.vm_fd, KVM_SET_DEVICE_ATTR, &attr), 0);
    assert_false(try_setup(f, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM));
    assert_non_null(strstr(error->message, "SMCCC filter 0x84000002"));
    assert_non_null(strstr(error->message, g_strerror(EEXIST)));
}

static void a_plug_before_setup_raises_the_line_at_start(void **state)
{
    Fixture *f = *state;
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};

    f->hp = vcpuhp_new(&f->config, &callbacks, f, NULL);
    assert_true(vcpuhp_plug(f->hp, SPARE, 0, 0, NULL, NULL));
    assert_true(vcpuhp_kvm_setup(f->hp, &f->kvm, NULL));
    assert_true(vcpuhp_start(f->hp, &entry, NULL));
    assert_true(fake.vgic.spis[f->config.event_irq].line);
}

static void setup_after_start_is_refused(void **state)
{
    Fixture *f = *state;
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    VcpuhpCallbacks with_irq = callbacks;
    g_autoptr(GError) error = NULL;

    with_irq.irq_set = on_irq;
    f->hp = vcpuhp_new(&f->config, &with_irq, f, NULL);
    assert_true(vcpuhp_start(f->hp, &entry, NULL));
    assert_false(vcpuhp_kvm_setup(f->hp, &f->kvm, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
    assert_int_equal(fake.n_changes, 0);
}

/* --- The hook between the steps of the setup --- */

static GString *steps; /* what the hook saw */

static bool note_step(VcpuhpKvmStep step, uint32_t vcpu, int fd, void *opaque, GError **error)
{
    const FakeVcpu *v = &fake.vcpus[vcpu];

    (void)fd, (void)opaque, (void)error;
    g_string_append_printf(steps, "%u:%s%s%s%s ", vcpu,
                           step == VCPUHP_KVM_STEP_INITIALISED ? "initialised" : "before-pmu",
                           v->finalised ? ",finalised" : "", fake.vgic.initialised ? ",vgic" : "",
                           v->pmu_initialised ? ",pmu" : "");
    return v->initialised;
}

static void assert_steps(Fixture *f, const char *expected)
{
    steps = g_string_new(NULL);
    f->kvm.prepare_vcpu = note_step;
    setup(f);
    assert_string_equal(steps->str, expected);
    g_string_free(steps, TRUE);
}

static void the_hook_sees_each_vcpu_before_it_is_finalised_and_before_its_pmu(void **state)
{
    Fixture *f = *state;

    begin(f, &fake_modern_host, 2);
    f->config.pmu_irq = 23;
    f->kvm.features = VCPUHP_KVM_SVE;
    assert_steps(f, "0:initialised 1:initialised "
                    "0:before-pmu,finalised,vgic 1:before-pmu,finalised,vgic ");
}

static void without_a_pmu_the_hook_has_one_step(void **state)
{
    Fixture *f = *state;

    begin(f, &fake_modern_host, 2);
    assert_steps(f, "0:initialised 1:initialised ");
}

static bool narrow_sve(VcpuhpKvmStep step, uint32_t vcpu, int fd, void *opaque, GError **error)
{
    uint64_t vls[KVM_ARM64_SVE_VLS_WORDS] = {0x3};
    struct kvm_one_reg reg = {.id = KVM_REG_ARM64_SVE_VLS, .addr = (uintptr_t)vls};

    (void)vcpu, (void)error;
    assert_non_null(opaque);
    return step != VCPUHP_KVM_STEP_INITIALISED || ioctl(fd, KVM_SET_ONE_REG, &reg) == 0;
}

static void the_hook_can_narrow_the_vector_lengths(void **state)
{
    Fixture *f = *state;

    f->kvm.features = VCPUHP_KVM_SVE;
    f->kvm.prepare_vcpu = narrow_sve;
    setup(f);
    for (uint32_t i = 0; i < N_VCPUS; i++) {
        assert_int_equal(fake.vcpus[i].vls[0], 0x3);
        assert_true(fake.vcpus[i].finalised);
    }
}

static bool refuse_vcpu_1(VcpuhpKvmStep step, uint32_t vcpu, int fd, void *opaque, GError **error)
{
    (void)step, (void)fd, (void)opaque;
    if (vcpu != 1)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM, "the VMM's own words");
    return false;
}

static void an_error_of_the_hook_is_the_setups(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    f->kvm.prepare_vcpu = refuse_vcpu_1;
    assert_false(try_setup(f, &error));
    assert_true(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_PERM));
    assert_string_equal(error->message, "the VMM's own words");
    assert_int_equal(vcpuhp_kvm_vcpu_fd(f->hp, 0), -1);
}

/* --- Failures of the setup --- */

/* Everything that the setup can do, so that everything can fail. */
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
    Fixture *f = *state;
    int n_failures = 0, n_probes = 0;
    bool done = false;

    for (int i = 1; !done; i++) {
        g_autoptr(GError) error = NULL;

        begin_full(f);
        fake.fail_at = i;
        done = try_setup(f, &error);
        if (!done && g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_NOT_SUPPORTED)) {
            n_probes++;
            assert_int_equal(fake.n_changes, 0);
        } else if (!done) {
            n_failures++;
            assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM));
            assert_true(g_str_has_prefix(error->message, fake.failed));
            assert_non_null(strstr(error->message, g_strerror(EIO)));
            assert_int_equal(vcpuhp_kvm_vcpu_fd(f->hp, 0), -1);
        }
    }
    /* By ioctl: 8 capabilities and KVM_CAP_MAX_VCPUS; 3 KVM_CREATE_VCPU; the vGIC, its address, 2
     * regions, interrupts, init; 3 times KVM_ARM_VCPU_INIT, FINALIZE; MPIDR read once and written 3
     * times; the ITS, its address, init; 3 times 2 for the PMU; 2 filters; ID_AA64MMFR2_EL1. */
    assert_int_equal(n_failures, 8 + 1 + 3 + 6 + 3 * 2 + 1 + 3 + 3 + 3 * 2 + 2 + 1);
    /* KVM_ARM_PREFERRED_TARGET, vGIC, ITS, filter. */
    assert_int_equal(n_probes, 1 + 3);
}

static void without_setup_there_are_no_fds(void **state)
{
    Fixture *f = *state;

    f->hp = vcpuhp_new(&f->config, &callbacks, f, NULL);
    assert_int_equal(vcpuhp_kvm_vcpu_fd(f->hp, 0), -1);
    assert_int_equal(vcpuhp_kvm_vgic_fd(f->hp), -1);
    assert_int_equal(vcpuhp_kvm_its_fd(f->hp), -1);
    vcpuhp_free(f->hp);
    setup(f);
    assert_int_equal(vcpuhp_kvm_vcpu_fd(f->hp, N_VCPUS), -1);
    assert_true(vcpuhp_kvm_vgic_fd(f->hp) >= 0);
    assert_int_equal(vcpuhp_kvm_its_fd(f->hp), -1);
}

static void before_setup_no_vcpu_enters_and_no_exit_is_served(void **state)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    VcpuhpCallbacks with_irq = callbacks;
    Fixture *f = *state;

    with_irq.irq_set = on_irq;
    f->hp = vcpuhp_new(&f->config, &with_irq, f, NULL);
    assert_true(vcpuhp_start(f->hp, &entry, NULL));
    assert_null(vcpuhp_kvm_enter(f->hp, 0));
    assert_int_equal(power_of(f, 0), VCPUHP_POWER_ON_PENDING);
    assert_true(vcpuhp_vcpu_enter(f->hp, 0));
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(power_of(f, 0), VCPUHP_POWER_ON);
}

static void no_exit_is_served_for_a_vcpu_that_is_not_on(void **state)
{
    Fixture *f = *state;
    int n_calls;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    n_calls = fake.n_calls;
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 1, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 1, EINTR), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, N_VCPUS, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, UINT32_MAX, EINTR), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(fake.n_calls, n_calls);
    assert_null(vcpuhp_kvm_enter(f->hp, 1));
    assert_null(vcpuhp_kvm_enter(f->hp, N_VCPUS));
    assert_null(vcpuhp_kvm_enter(f->hp, 0));
    assert_int_equal(power_of(f, 0), VCPUHP_POWER_ON);
}

static void no_exit_is_served_after_a_vcpu_has_parked(void **state)
{
    VcpuhpCounters before = {.size = sizeof(before)}, after = before;
    Fixture *f = *state;
    int n_calls;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(f, 1);
    fake_guest_mmio(1, f->config.regs_base + 4, 1, true, 0);
    assert_int_equal(run_vcpu(f, 1), VCPUHP_KVM_EXIT_RESUME);
    park_by_force(f);
    n_calls = fake.n_calls;
    vcpuhp_counters(f->hp, &before, NULL);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 1, 0), VCPUHP_KVM_EXIT_PARK);
    vcpuhp_counters(f->hp, &after, NULL);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(fake.n_calls, n_calls);
}

/* --- A vCPU's life --- */

static void a_vcpu_is_mapped_at_its_first_power_on_and_stays_mapped(void **state)
{
    Fixture *f = *state;
    struct kvm_run *run;

    setup(f);
    assert_int_equal(fake_mappings(), 0);
    start(f);
    assert_int_equal(fake_mappings(), 1);
    turn_on(f, 1);
    assert_int_equal(fake_mappings(), 2);
    assert_int_equal(call(f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(fake_mappings(), 2);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    run = vcpuhp_kvm_enter(f->hp, 1);
    assert_int_equal(call(f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    assert_ptr_equal(vcpuhp_kvm_enter(f->hp, 1), run);
}

static void cpu_on_sets_the_entry_state(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(fake.vcpus[0].pc, ENTRY);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, 0x41000000, 0x123456789), 0);
    assert_int_equal(f->started, 1 << 0 | 1 << 1);
    assert_int_equal(fake.vcpus[1].pc, 0x41000000);
    assert_int_equal(fake.vcpus[1].x[0], 0x123456789);
    assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_RUNNABLE);
    assert_int_equal(fake.vcpus[1].sctlr & 1 << 25, 0);
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_ON_PENDING);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_ON);
}

static void a_big_endian_caller_hands_its_endianness_on(void **state)
{
    Fixture *f = *state;
    static const uint32_t functions[] = {PSCI_0_2_FN_CPU_ON, PSCI_0_2_FN64_CPU_ON};

    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {

        begin_again(f);
        run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
        fake.vcpus[0].sctlr |= 1 << 25;
        assert_int_equal(call_result(f, functions[i], 1, ENTRY, 0), PSCI_RET_SUCCESS);
        assert_int_equal(fake.vcpus[1].sctlr & 1 << 25, 1 << 25);
        assert_int_equal(fake.vcpus[1].sctlr & 0xff, 0x78);
        assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    }
}

static void a_disabled_vcpu_is_denied_and_stays_stopped(void **state)
{
    Fixture *f = *state;
    static const uint32_t functions[] = {PSCI_0_2_FN_CPU_ON, PSCI_0_2_FN64_CPU_ON};

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
        assert_int_equal(call_result(f, functions[i], SPARE, ENTRY, 0), PSCI_RET_DENIED);
    assert_int_equal(fake.vcpus[SPARE].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(fake.vcpus[SPARE].n_inits, 1);
    assert_int_equal(f->started, 1);
}

static void a_plugged_vcpu_runs_without_new_fds(void **state)
{
    Fixture *f = *state;
    int n_open;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    n_open = fake_open_fds();
    assert_true(vcpuhp_plug(f->hp, SPARE, 0, 0, NULL, NULL));
    turn_on(f, SPARE);
    fake_guest_mmio(SPARE, 0x1000, 4, false, 0);
    assert_int_equal(run_vcpu(f, SPARE), VCPUHP_KVM_EXIT_OTHER);
    assert_int_equal(fake_open_fds(), n_open);
}

/* Contract of KVM: KVM_ARM_VCPU_INIT doesn't forget an MMIO access that waits for its data. */
static void an_unfinished_mmio_access_is_not_completed_over_a_new_entry(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(f, 1);
    fake_guest_mmio(1, 0x1000, 8, false, 0);
    assert_int_equal(run_vcpu(f, 1), VCPUHP_KVM_EXIT_OTHER);
    assert_true(vcpuhp_force(f->hp, 1, NULL));
    assert_true(vcpuhp_vcpu_park_if_asked(f->hp, 1));
    assert_true(vcpuhp_plug(f->hp, 1, 0, 0, NULL, NULL));
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, 0x41000000, 42), 0);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    fake_guest_exit(1, KVM_EXIT_DEBUG);
    assert_int_equal(run_vcpu(f, 1), VCPUHP_KVM_EXIT_OTHER);
    assert_int_equal(fake.vcpus[1].pc, 0x41000000);
    assert_int_equal(fake.vcpus[1].x[0], 42);
}

static void a_kick_that_came_too_late_does_not_reach_the_next_life(void **state)
{
    Fixture *f = *state;
    struct kvm_run *run;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(f, 1);
    assert_true(vcpuhp_force(f->hp, 1, NULL));
    assert_true(vcpuhp_vcpu_park_if_asked(f->hp, 1));
    assert_true(vcpuhp_plug(f->hp, 1, 0, 0, NULL, NULL));
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), 0);
    run = vcpuhp_kvm_enter(f->hp, 1);
    assert_int_equal(run->immediate_exit, 0);
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
    assert_int_equal(v->tcr | v->ttbr0 | v->mair | v->contextidr, 0);
    assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
    assert_int_equal(v->mpidr, 1ull << 31 | vcpu);
}

static void a_vcpu_that_runs_again_leaves_the_machines_memory_mapped(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    for (int i = 0; i < 3; i++) {
        live(f);
        assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, 0x41000000, 42), 0);
        assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
        assert_as_at_power_on(1);
        assert_int_equal(fake.vcpus[1].pc, 0x41000000);
        assert_int_equal(fake.vcpus[1].x[0], 42);
        assert_int_equal(call(f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    }
    assert_int_equal(fake.n_unmaps, 0);
}

static void a_vcpu_that_runs_again_does_not_move_the_guests_time(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    live(f);
    live(f);
    assert_int_equal(fake.n_jumps, 0);
}

static void a_vcpu_whose_registers_kvm_refuses_is_reset_by_kvm(void **state)
{
    Fixture *f = *state;

    for (int i = 0; i < N_IMAGE_REGS; i++) {
        begin_again(f);
        run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
        live(f);
        fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1 + i;
        turn_on(f, 1);
        assert_as_at_power_on(1);
        assert_int_equal(fake.vcpus[1].n_inits, 2);
    }
    begin_again(f);
    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    live(f);
    fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1;
    fake.n_fail = 2;
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_INTERNAL_FAILURE);
    assert_true(g_str_has_prefix(f->host_error, "vCPU 1: KVM_ARM_VCPU_INIT: "));
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
}

static void the_first_such_reset_is_reported(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    live(f);
    fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1;
    live(f);
    assert_true(g_str_has_prefix(f->host_error, "vCPU 1: KVM_SET_ONE_REG (0x"));
    assert_non_null(strstr(f->host_error, g_strerror(EIO)));
    assert_non_null(strstr(f->host_error, "KVM_ARM_VCPU_INIT is used instead"));
    assert_int_equal(f->error_vcpu, 1);
    g_clear_pointer(&f->host_error, g_free);
    fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1;
    live(f);
    assert_null(f->host_error);
    assert_int_equal(fake.vcpus[1].n_inits, 3);
}

/* User space cannot clear the active bit of an interrupt that the hardware also has. */
static void a_vcpu_that_parked_by_force_is_reset_by_kvm(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(f, 1);
    fake.vcpus[1].irqs[TIMER_PPI].active = true;
    park_by_force(f);
    turn_on(f, 1);
    assert_false(fake.vcpus[1].irqs[TIMER_PPI].active);
    assert_as_at_power_on(1);
    assert_null(f->host_error);
    /* Once: the vCPU turns itself off now. */
    assert_int_equal(call(f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    turn_on(f, 1);
    assert_int_equal(fake.vcpus[1].n_inits, 2);
}

static void a_vcpu_that_parked_by_force_is_reset_even_if_that_fails_at_first(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(f, 1);
    fake.vcpus[1].irqs[TIMER_PPI].active = true;
    park_by_force(f);
    fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1;
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_INTERNAL_FAILURE);
    turn_on(f, 1);
    assert_false(fake.vcpus[1].irqs[TIMER_PPI].active);
}

/* --- Hosts with FEAT_S2FWB, where KVM_ARM_VCPU_INIT never unmaps memory --- */

static void begin_with_fwb(Fixture *f, VcpuhpKvmPsci psci)
{
    FakeHost host = fake_modern_host;

    host.fwb = true;
    begin(f, &host, N_VCPUS);
    run_machine(f, psci);
}

static void with_fwb_a_vcpu_that_runs_again_is_reset_by_kvm(void **state)
{
    Fixture *f = *state;

    begin_with_fwb(f, VCPUHP_KVM_PSCI_SPARSE);
    live(f);
    fake.vcpus[1].irqs[TIMER_PPI].active = true;
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, 0x41000000, 42), 0);
    assert_as_at_power_on(1);
    assert_int_equal(fake.vcpus[1].pc, 0x41000000);
    assert_int_equal(fake.vcpus[1].x[0], 42);
    assert_false(fake.vcpus[1].irqs[TIMER_PPI].active);
    assert_int_equal(fake.vcpus[1].n_inits, 2);
    assert_null(f->host_error);
}

static void with_fwb_no_registers_are_read_at_the_start(void **state)
{
    FakeHost host = fake_modern_host;
    Fixture *f = *state;
    int n_calls;

    host.fwb = true;
    begin(f, &host, N_VCPUS);
    setup(f);
    n_calls = fake.n_calls;
    start(f);
    /* RUNNABLE, X0, PC. */
    assert_int_equal(fake.n_calls, n_calls + 3);
}

static void with_fwb_a_reset_that_fails_leaves_the_vcpu_off(void **state)
{
    static const char *const ioctls[] = {"vCPU 1: KVM_ARM_VCPU_INIT",
                                         "vCPU 1: KVM_SET_ONE_REG (X0)",
                                         "vCPU 1: KVM_SET_ONE_REG (PC)"};
    Fixture *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(ioctls); i++) {
        begin_with_fwb(f, VCPUHP_KVM_PSCI_SPARSE);
        live(f);
        fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1 + (int)i;
        assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0),
                         PSCI_RET_INTERNAL_FAILURE);
        assert_true(g_str_has_prefix(f->host_error, ioctls[i]));
        assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
        assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
        turn_on(f, 1);
    }
}

/* How many ioctls serve a CPU_ON: after KVM_RUN, X1 … X3 and SCTLR_EL1 of the caller, what the
 * target needs, and X0 of the caller. */
static int count_cpu_on(Fixture *f)
{
    int n_calls = fake.n_calls;

    turn_on(f, 1);
    return fake.n_calls - n_calls - 1;
}

static void a_first_power_on_takes_8_ioctls(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(count_cpu_on(f), 8);
    begin_with_fwb(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(count_cpu_on(f), 8);
}

static void with_fwb_another_power_on_takes_8_ioctls_too(void **state)
{
    Fixture *f = *state;

    begin_with_fwb(f, VCPUHP_KVM_PSCI_SPARSE);
    live(f);
    assert_int_equal(count_cpu_on(f), 8);
}

/* KVM of Linux 6.12 has 174 of them, 276 with SVE, PMU and pointer authentication. */
static void without_fwb_another_power_on_takes_an_ioctl_more_for_each_register(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    live(f);
    assert_int_equal(count_cpu_on(f), 8 + N_IMAGE_REGS);
}

/* --- Warm-up, on hosts without FEAT_S2FWB --- */

#define WARM_UP_BASE 0x7009020000 /* not in the first GiB */
#define WARM_UP_SLOT 2
/* The seven registers are read, set and restored; between, KVM_RUN. */
#define N_WARM_UP_CALLS (7 * 3 + 1)

/* A machine with vCPU 0 on, and the MMU enabled there. */
static void begin_with_warm_up(Fixture *f, const FakeHost *host)
{
    begin(f, host, N_VCPUS);
    f->kvm.warm_up_base = WARM_UP_BASE;
    f->kvm.warm_up_slot = WARM_UP_SLOT;
    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_enable_mmu(0);
    fake.n_flushes = 0;
}

static void the_first_power_on_of_a_vcpu_cleans_the_machines_memory(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    fake.n_flushes = 0;
    turn_on(f, 1);
    fake_guest_enable_mmu(1);
    assert_int_equal(fake.n_flushes, 1);
}

static void a_warm_vcpu_does_not_clean_the_machines_memory(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    turn_on(f, 1);
    fake_guest_enable_mmu(1);
    assert_true(vcpuhp_plug(f->hp, SPARE, 0, 0, NULL, NULL));
    turn_on(f, SPARE);
    fake_guest_enable_mmu(SPARE);
    assert_int_equal(fake.n_flushes, 0);
    assert_null(f->host_error);
}

static void a_warm_vcpu_begins_at_its_entry(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, 0x41000000, 42), 0);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    assert_as_at_power_on(1);
    assert_int_equal(fake.vcpus[1].pc, 0x41000000);
    assert_int_equal(fake.vcpus[1].x[0], 42);
}

/* The page table would be read as big-endian, too. */
static void a_warm_vcpu_can_be_big_endian(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    fake.vcpus[0].sctlr |= 1 << 25;
    turn_on(f, 1);
    assert_int_equal(fake.vcpus[1].sctlr, 0xc50078 | 1 << 25);
    assert_false(fake.vcpus[1].tvm);
}

/* Its guest begins before anything is mapped, and KVM must clean what the guest wrote until then
 * with its caches off. */
static void vcpu_0_is_not_warmed_up(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    fake.n_flushes = 0;
    vcpuhp_stop(f->hp);
    fake_signal(0);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_PARK);
    assert_true(vcpuhp_reset(f->hp, NULL));
    start(f);
    assert_true(fake.vcpus[0].tvm);
}

static int count_enter(Fixture *f)
{
    int n_calls;

    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    n_calls = fake.n_calls;
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    return fake.n_calls - n_calls;
}

static void a_vcpu_is_warmed_up_once_until_kvm_resets_it(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    assert_int_equal(count_enter(f), N_WARM_UP_CALLS);
    assert_int_equal(call(f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(count_enter(f), 0);
    park_by_force(f);
    assert_int_equal(count_enter(f), N_WARM_UP_CALLS);
    fake_guest_enable_mmu(1);
    assert_int_equal(fake.n_flushes, 0);
}

static void warm_up_memory_is_read_only_and_gone_with_the_context(void **state)
{
    Fixture *f = *state;
    const FakeSlot *slot = &fake.slots[WARM_UP_SLOT];

    begin_with_warm_up(f, &fake_modern_host);
    assert_int_equal(slot->base, WARM_UP_BASE);
    assert_int_equal(slot->size, VCPUHP_KVM_WARM_UP_SIZE);
    assert_int_equal(slot->flags, KVM_MEM_READONLY);
    vcpuhp_stop(f->hp);
    fake_signal(0);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_PARK);
    g_clear_pointer(&f->hp, vcpuhp_free);
    assert_int_equal(slot->size, 0);
}

static void with_fwb_there_is_no_warm_up(void **state)
{
    Fixture *f = *state;
    FakeHost host = fake_modern_host;

    host.fwb = true;
    begin_with_warm_up(f, &host);
    assert_int_equal(fake.slots[WARM_UP_SLOT].size, 0);
    assert_int_equal(count_enter(f), 0);
}

static void impossible_places_of_the_warm_up_are_refused(void **state)
{
    static const struct {
        uint64_t base;
        const char *why;
    } cases[] = {
        {WARM_UP_BASE + 0x1000, "not a multiple of 0x10000"},
        {1ull << 48, "not below 2^48"},
        {0x08000000, "overlaps gic.dist_base"},
        {0x0a020000, "overlaps gic.redists[0].base"},
        {0x09000000, "overlaps regs_base"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        begin_again(f);
        f->kvm.warm_up_base = cases[i].base;
        assert_false(try_setup(f, &error));
        assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_INVALID));
        assert_true(g_str_has_prefix(error->message, "warm_up_base"));
        assert_non_null(strstr(error->message, cases[i].why));
    }
}

static void memory_of_the_vmms_at_the_warm_ups_place_fails_the_setup(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    f->kvm.warm_up_base = WARM_UP_BASE;
    fake.slots[1] = (FakeSlot){.base = WARM_UP_BASE & ~0xfffffull, .size = 0x100000};
    assert_false(try_setup(f, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM));
    assert_string_equal(error->message, "KVM_SET_USER_MEMORY_REGION (warm_up_base 0x7009020000, "
                                        "warm_up_slot 0): File exists");
}

/* At the KVM_RUN of the warm-up. */
static void stop_the_machine(unsigned long request, void *opaque)
{
    Fixture *f = opaque;

    if (request != KVM_RUN)
        return;
    fake.before = NULL;
    vcpuhp_stop(f->hp);
}

static void a_kick_during_the_warm_up_parks_the_vcpu(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    fake.before = stop_the_machine;
    fake.opaque = f;
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    assert_as_at_power_on(1);
    assert_int_equal(run_vcpu(f, 1), VCPUHP_KVM_EXIT_PARK);
}

static void a_signal_during_the_warm_up_interrupts_the_next_run(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    fake_signal(1);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    assert_as_at_power_on(1);
    assert_null(f->host_error);
    assert_int_equal(run_vcpu(f, 1), VCPUHP_KVM_EXIT_INTERRUPTED);
}

static void a_warm_up_that_fails_is_reported_once_and_the_vcpu_runs(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    fake_guest_exit(1, KVM_EXIT_DEBUG);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    assert_as_at_power_on(1);
    assert_string_equal(f->host_error, "vCPU 1: KVM_RUN (warm-up): exit 4; KVM will clean the "
                                       "guest's memory (reported once)");
    assert_int_equal(f->error_vcpu, 1);
    g_clear_pointer(&f->host_error, g_free);
    assert_true(vcpuhp_plug(f->hp, SPARE, 0, 0, NULL, NULL));
    fake_guest_exit(SPARE, KVM_EXIT_DEBUG);
    turn_on(f, SPARE);
    assert_null(f->host_error);
}

static void a_vcpu_whose_registers_cannot_be_restored_is_off(void **state)
{
    Fixture *f = *state;

    begin_with_warm_up(f, &fake_modern_host);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_SUCCESS);
    fake.fail_at = fake.n_calls + N_WARM_UP_CALLS;
    assert_null(vcpuhp_kvm_enter(f->hp, 1));
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
    assert_true(g_str_has_prefix(f->host_error, "vCPU 1: KVM_SET_ONE_REG (CONTEXTIDR_EL1): "));
    turn_on(f, 1);
    assert_as_at_power_on(1);
}

/* --- What else differs between hosts --- */

/* Linux 6.4 to 6.9. */
static void affinities_of_the_vmms_own_outlast_each_reset_of_a_vcpu(void **state)
{
    static const uint64_t mpidrs[] = {0, 0x100, 0x200, 0x300};
    FakeHost host = fake_modern_host;
    Fixture *f = *state;

    host.init_resets_mpidr = true;
    begin(f, &host, N_VCPUS);
    f->config.mpidrs = mpidrs;
    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 0x100, ENTRY, 0), PSCI_RET_SUCCESS);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    park_by_force(f);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 0x100, ENTRY, 0), PSCI_RET_SUCCESS);
    assert_int_equal(fake.vcpus[1].n_inits, 2);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    vcpuhp_stop(f->hp);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, i, EINTR), VCPUHP_KVM_EXIT_PARK);
    assert_true(vcpuhp_reset(f->hp, NULL));
    for (uint32_t i = 0; i < N_VCPUS; i++)
        assert_int_equal(fake.vcpus[i].mpidr, 1ull << 31 | mpidrs[i]);
}

static void a_vcpu_whose_reset_failed_in_the_middle_is_reset_again(void **state)
{
    static const uint64_t mpidrs[] = {0, 0x100, 0x200, 0x300};
    FakeHost host = fake_modern_host;
    Fixture *f = *state;

    host.init_resets_mpidr = true;
    begin(f, &host, N_VCPUS);
    f->config.mpidrs = mpidrs;
    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 0x100, ENTRY, 0), PSCI_RET_SUCCESS);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 1));
    park_by_force(f);
    /* After KVM_ARM_VCPU_INIT, which has reset MPIDR_EL1, too. */
    fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 2;
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 0x100, ENTRY, 0),
                     PSCI_RET_INTERNAL_FAILURE);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 0x100, ENTRY, 0), PSCI_RET_SUCCESS);
    assert_int_equal(fake.vcpus[1].mpidr, 1ull << 31 | 0x100);
}

static void a_vcpu_that_kvm_does_not_stop_parks_and_is_told(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(f, 1);
    assert_true(vcpuhp_force(f->hp, 1, NULL));
    fake.fail_at = fake.n_calls + 1;
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 1, EINTR), VCPUHP_KVM_EXIT_PARK);
    assert_string_equal(f->host_error, "vCPU 1: KVM_SET_MP_STATE (STOPPED): Input/output error");
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
}

/* As the VMM may make it by the ID registers, which it can change until the VM runs. */
static void a_register_that_is_hidden_after_the_setup_is_left_out(void **state)
{
    Fixture *f = *state;

    setup(f);
    fake.hidden_reg = ARM64_SYS_REG(3, 2, 0, 0, 0); /* CSSELR_EL1 */
    start(f);
    live(f);
    live(f);
    assert_null(f->host_error);
    assert_int_equal(fake.n_unmaps, 0);
}

static void registers_that_cannot_be_read_fail_the_start(void **state)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    Fixture *f = *state;

    /* KVM_GET_REG_LIST, and the first and the last register of the image. */
    for (int i = 1; i <= 1 + N_IMAGE_REGS; i += i == 1 ? 1 : N_IMAGE_REGS - 1) {
        g_autoptr(GError) error = NULL;

        begin_again(f);
        setup(f);
        fake.fail_at = fake.n_calls + i;
        assert_false(vcpuhp_start(f->hp, &entry, &error));
        assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM));
        assert_true(g_str_has_prefix(error->message, fake.failed));
        assert_int_equal(power_of(f, 0), VCPUHP_POWER_OFF);
        start(f);
        live(f);
        live(f);
        assert_null(f->host_error);
    }
}

static void cpu_on_that_the_host_fails_is_an_internal_failure_and_the_vcpu_stays_off(void **state)
{
    Fixture *f = *state;
    static const char *const ioctls[] = {
        "vCPU 1: KVM_SET_MP_STATE (RUNNABLE)", "vCPU 1: KVM_SET_ONE_REG (X0)",
        "vCPU 1: KVM_SET_ONE_REG (PC)", "vCPU 1: KVM_GET_ONE_REG (SCTLR_EL1)",
        "vCPU 1: KVM_SET_ONE_REG (SCTLR_EL1)"};

    for (size_t i = 0; i < G_N_ELEMENTS(ioctls); i++) {

        begin_again(f);
        run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
        fake.vcpus[0].sctlr |= 1 << 25;
        fake.fail_at = fake.n_calls + N_CALLS_BEFORE_ON + 1 + (int)i;
        assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0),
                         PSCI_RET_INTERNAL_FAILURE);
        assert_true(g_str_has_prefix(f->host_error, ioctls[i]));
        assert_int_equal(f->error_vcpu, 1);
        assert_int_equal(f->started, 1);
        assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
        assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
        /* And it is no worse for it. */
        turn_on(f, 1);
    }
}

static void cpu_on_without_memory_for_kvm_run_is_an_internal_failure(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    fake_seal_run(1);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_INTERNAL_FAILURE);
    assert_true(g_str_has_prefix(f->host_error, "vCPU 1: mmap of kvm_run: "));
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
}

static void cpu_on_without_a_thread_leaves_the_vcpu_stopped(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    f->no_thread = true;
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), PSCI_RET_INTERNAL_FAILURE);
    assert_string_equal(f->host_error, "vCPU 1: vcpu_start returned false");
    assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
}

/* --- Exits --- */

static void mmio_within_the_register_block_is_served(void **state)
{
    Fixture *f = *state;
    struct kvm_run *run;
    uint32_t expected = 0;

    run = run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    /* docs/register-block.md: select a slot; read its status byte. */
    fake_guest_mmio(0, f->config.regs_base, 4, true, 1);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_RESUME);
    fake_guest_mmio(0, f->config.regs_base + 4, 1, false, 0xff);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_RESUME);
    vcpuhp_regs_read(f->hp, 4, &expected, 1);
    assert_int_equal(expected, 1);
    assert_int_equal(run->mmio.data[0], expected);
}

static void mmio_not_wholly_within_the_register_block_is_the_vmms(void **state)
{
    Fixture *f = *state;
    VcpuhpCounters before = {.size = sizeof(before)}, after = before;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    vcpuhp_counters(f->hp, &before, NULL);
    for (int i = 0; i < 5; i++) {
        const uint64_t base = f->config.regs_base, end = base + VCPUHP_REGS_SIZE;
        const uint64_t addresses[] = {0, base - 4, base - 1, end - 1, end};

        fake_guest_mmio(0, addresses[i], 4, i % 2, 0);
        assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_OTHER);
    }
    vcpuhp_counters(f->hp, &after, NULL);
    assert_memory_equal(&before, &after, sizeof(before));
    fake_guest_mmio(0, f->config.regs_base + VCPUHP_REGS_SIZE - 8, 8, false, 0);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_RESUME);
}

static void a_forwarded_call_is_answered_in_x0(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_AFFINITY_INFO, 0, 0, 0),
                     PSCI_0_2_AFFINITY_LEVEL_ON);
    assert_int_equal(call_result(f, PSCI_0_2_FN_AFFINITY_INFO, SPARE, 0, 0),
                     PSCI_0_2_AFFINITY_LEVEL_OFF);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_AFFINITY_INFO, 77, 0, 0),
                     PSCI_RET_INVALID_PARAMS);
}

static void calls_that_are_none_of_pscis_are_the_vmms(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(call(f, 0, 0xc6000001, 1, 2, 3), VCPUHP_KVM_EXIT_OTHER);
    assert_int_equal(fake.vcpus[0].x[0], 0xc6000001);
}

static void cpu_off_parks_and_leaves_the_vcpu_alone(void **state)
{
    Fixture *f = *state;
    int n_calls;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(f, 1);
    n_calls = fake.n_calls;
    assert_int_equal(call(f, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    /* KVM_RUN, X1 to X3, and STOPPED while it is still on: another thread may turn it on by now. */
    assert_int_equal(fake.n_calls, n_calls + 5);
    assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
}

static void an_exit_reason_is_not_served_twice(void **state)
{
    Fixture *f = *state;
    VcpuhpCounters before = {.size = sizeof(before)}, after = before;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_mmio(0, f->config.regs_base + 4, 1, true, 0);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_RESUME);
    vcpuhp_counters(f->hp, &before, NULL);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, EINTR), VCPUHP_KVM_EXIT_INTERRUPTED);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, EAGAIN), VCPUHP_KVM_EXIT_RESUME);
    vcpuhp_counters(f->hp, &after, NULL);
    assert_memory_equal(&before, &after, sizeof(before));
}

static void the_vmms_own_signal_is_told_from_a_kick(void **state)
{
    Fixture *f = *state;
    struct kvm_run *run;

    run = run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    fake_signal(0);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_INTERRUPTED);
    /* A signal handler of the VMM's may set it; the next KVM_RUN is to get into the guest. */
    run->immediate_exit = 1;
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_INTERRUPTED);
    assert_int_equal(run->immediate_exit, 0);
    vcpuhp_stop(f->hp);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_PARK);
    assert_true(f->stopped);
}

static void kvm_run_that_fails_is_told_with_its_vcpu_and_errno(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, ENOSYS), VCPUHP_KVM_EXIT_ERROR);
    assert_string_equal(f->host_error, "vCPU 0: KVM_RUN: Function not implemented");
}

/* KVM_RUN fails, and yet the exit is one to serve. */
static void a_memory_fault_is_the_vmms(void **state)
{
    static const int errors[] = {EFAULT, EHWPOISON};
    Fixture *f = *state;
    struct kvm_run *run = run_machine(f, VCPUHP_KVM_PSCI_SPARSE);

    run->exit_reason = KVM_EXIT_MEMORY_FAULT;
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++)
        assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, errors[i]), VCPUHP_KVM_EXIT_OTHER);
    assert_null(f->host_error);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, ENOMEM), VCPUHP_KVM_EXIT_ERROR);
    run->exit_reason = KVM_EXIT_MMIO;
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, EFAULT), VCPUHP_KVM_EXIT_ERROR);
    run->exit_reason = KVM_EXIT_MEMORY_FAULT;
    vcpuhp_stop(f->hp);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, EFAULT), VCPUHP_KVM_EXIT_PARK);
}

/* As when the VM is dead, and KVM_RUN doesn't get as far as to see immediate_exit. */
static void a_vcpu_that_cannot_run_can_still_be_parked(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, EIO), VCPUHP_KVM_EXIT_ERROR);
    vcpuhp_stop(f->hp);
    assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, 0, EIO), VCPUHP_KVM_EXIT_PARK);
    assert_true(f->stopped);
}

static void an_ioctl_that_fails_while_serving_a_call_is_told(void **state)
{
    Fixture *f = *state;
    static const char *const ioctls[] = {
        "vCPU 0: KVM_GET_ONE_REG (X1)", "vCPU 0: KVM_GET_ONE_REG (X2)",
        "vCPU 0: KVM_GET_ONE_REG (X3)", "vCPU 0: KVM_GET_ONE_REG (SCTLR_EL1)",
        "vCPU 0: KVM_SET_ONE_REG (X0)"};

    for (size_t i = 0; i < G_N_ELEMENTS(ioctls); i++) {

        begin_again(f);
        run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
        fake.fail_at = fake.n_calls + 2 + (int)i;
        assert_int_equal(call(f, 0, PSCI_0_2_FN64_CPU_ON, SPARE, ENTRY, 0), VCPUHP_KVM_EXIT_ERROR);
        assert_true(g_str_has_prefix(f->host_error, ioctls[i]));
    }
}

static void kvms_system_events_are_the_machines_power(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_event(0, KVM_SYSTEM_EVENT_CRASH);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_OTHER);
    fake_guest_event(0, KVM_SYSTEM_EVENT_WAKEUP);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_OTHER);
    fake_guest_event(0, KVM_SYSTEM_EVENT_SHUTDOWN);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_SYSTEM_OFF);
    begin_again(f);
    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_event(0, KVM_SYSTEM_EVENT_RESET);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_SYSTEM_RESET);
}

static void a_vcpu_that_asks_the_machine_to_go_down_executes_nothing_more(void **state)
{
    Fixture *f = *state;
    static const struct {
        uint32_t function;
        VcpuhpKvmExit exit;
    } cases[] = {{PSCI_0_2_FN_SYSTEM_OFF, VCPUHP_KVM_EXIT_SYSTEM_OFF},
                 {PSCI_0_2_FN_SYSTEM_RESET, VCPUHP_KVM_EXIT_SYSTEM_RESET}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {

        begin_again(f);
        run_machine(f, VCPUHP_KVM_PSCI_WHOLE);
        assert_int_equal(call(f, 0, cases[i].function, 0, 0, 0), cases[i].exit);
        assert_int_equal(fake.vcpus[0].mp_state, KVM_MP_STATE_STOPPED);
        vcpuhp_stop(f->hp);
        assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_PARK);
    }
}

static void a_suspended_vcpu_sleeps_in_kvm_until_it_is_woken(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_WHOLE);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_SUSPEND, 0, 0, 0), PSCI_RET_SUCCESS);
    assert_int_equal(fake.vcpus[0].mp_state, KVM_MP_STATE_SUSPENDED);
    fake_guest_event(0, KVM_SYSTEM_EVENT_WAKEUP);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_RESUME);
    assert_int_equal(fake.vcpus[0].mp_state, KVM_MP_STATE_RUNNABLE);
}

static void other_exits_are_the_vmms(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    fake_guest_exit(0, KVM_EXIT_ARM_NISV);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_OTHER);
}

/* --- Kicks --- */

static void a_kick_before_kvm_run_makes_it_return(void **state)
{
    Fixture *f = *state;
    struct kvm_run *run;

    run = run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    vcpuhp_stop(f->hp);
    assert_int_equal(run->immediate_exit, 1);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_PARK);
}

static void a_vcpu_called_off_before_its_thread_came_is_stopped(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), 0);
    vcpuhp_stop(f->hp);
    assert_null(vcpuhp_kvm_enter(f->hp, 1));
    assert_int_equal(fake.vcpus[1].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
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
    Fixture *f = *state;
    enum {
        ROUNDS = 300
    };

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    f->signal_on_kick = true;
    for (int i = 0; i < ROUNDS; i++) {
        Racer racer = {f, 1};
        GThread *thread;

        assert_int_equal(call_result(f, PSCI_0_2_FN64_CPU_ON, 1, ENTRY, 0), 0);
        if (i % 3 == 0)
            fake_guest_call(1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0);
        else if (i % 3 == 1)
            fake_guest_mmio(1, f->config.regs_base, 4, true, 0);
        thread = g_thread_new("vcpu", vcpu_thread, &racer);
        for (int spin = 0; spin < i * 20; spin++)
            __asm__ volatile("" ::: "memory");
        assert_true(vcpuhp_force(f->hp, 1, NULL));
        g_thread_join(thread);
        assert_int_equal(power_of(f, 1), VCPUHP_POWER_OFF);
        fake.vcpus[1].signalled = false;
        fake.vcpus[1].next_exit = 0;
        assert_true(vcpuhp_plug(f->hp, 1, 0, 0, NULL, NULL));
    }
}

/* --- Races: what others do while a vCPU is being turned on --- */

#define TARGET    2
#define REG_OST   0x20
#define REG_EJECT 0x28

typedef struct Race {
    Fixture *f;
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
    run_machine(race->f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(race->f, 1);
    race->other = other;
    fake.opaque = race;
    fake.before = in_the_midst;
    assert_int_equal(call_result(race->f, PSCI_0_2_FN64_CPU_ON, TARGET, ENTRY, 0),
                     PSCI_RET_SUCCESS);
    assert_null(fake.before);
}

static gpointer call_cpu_on(gpointer data)
{
    Race *race = data;

    assert_int_equal(call(race->f, 1, PSCI_0_2_FN64_CPU_ON, TARGET, ENTRY, 0),
                     VCPUHP_KVM_EXIT_RESUME);
    race->result = (int64_t)fake.vcpus[1].x[0];
    return NULL;
}

static void the_second_of_two_cpu_ons_at_once_is_on_pending(void **state)
{
    Race race = {.f = *state};

    race_with_cpu_on(&race, call_cpu_on);
    assert_int_equal(race.result, PSCI_RET_ON_PENDING);
    assert_non_null(vcpuhp_kvm_enter(race.f->hp, TARGET));
    call_cpu_on(&race);
    assert_int_equal(race.result, PSCI_RET_ALREADY_ON);
}

static void assert_target_never_runs(Race *race)
{
    assert_null(vcpuhp_kvm_enter(race->f->hp, TARGET));
    assert_int_equal(power_of(race->f, TARGET), VCPUHP_POWER_OFF);
    assert_int_equal(fake.vcpus[TARGET].mp_state, KVM_MP_STATE_STOPPED);
}

static gpointer eject_target(gpointer data)
{
    uint64_t slot = TARGET;

    vcpuhp_regs_write(((Race *)data)->f->hp, REG_EJECT, &slot, sizeof(slot));
    return NULL;
}

static void a_vcpu_that_is_ejected_while_it_is_turned_on_never_runs(void **state)
{
    Race race = {.f = *state};

    race_with_cpu_on(&race, eject_target);
    assert_target_never_runs(&race);
    call_cpu_on(&race);
    assert_int_equal(race.result, PSCI_RET_DENIED);
}

static gpointer unplug_target(gpointer data)
{
    assert_true(vcpuhp_unplug(((Race *)data)->f->hp, TARGET, 0, 0, NULL, NULL));
    return NULL;
}

static void a_vcpu_that_is_unplugged_while_it_is_turned_on_runs_until_it_is_ejected(void **state)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    Race race = {.f = *state};

    race_with_cpu_on(&race, unplug_target);
    assert_non_null(vcpuhp_kvm_enter(race.f->hp, TARGET));
    assert_true(vcpuhp_query(race.f->hp, TARGET, &info, NULL));
    assert_true(info.enabled);
    assert_int_equal(info.request_kind, VCPUHP_REQUEST_UNPLUG);
    eject_target(&race);
    assert_int_equal(call(race.f, TARGET, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), VCPUHP_KVM_EXIT_PARK);
    assert_true(vcpuhp_query(race.f->hp, TARGET, &info, NULL));
    assert_int_equal(info.request_kind, VCPUHP_REQUEST_NONE);
    assert_false(info.enabled);
}

static gpointer plug_and_close_eject(gpointer data)
{
    Race *race = data;
    uint64_t ost = TARGET | 3 << 16;
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    eject_target(data);
    assert_true(vcpuhp_plug(race->f->hp, TARGET, 0, 0, NULL, NULL));
    vcpuhp_regs_write(race->f->hp, REG_OST, &ost, sizeof(ost));
    assert_true(vcpuhp_query(race->f->hp, TARGET, &info, NULL));
    assert_int_equal(info.request_state, VCPUHP_REQUEST_HELD);
    assert_false(info.enabled);
    return NULL;
}

static void a_plug_that_races_an_eject_waits_until_the_vcpu_is_off(void **state)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    Race race = {.f = *state};

    race_with_cpu_on(&race, plug_and_close_eject);
    assert_null(vcpuhp_kvm_enter(race.f->hp, TARGET));
    assert_true(vcpuhp_query(race.f->hp, TARGET, &info, NULL));
    assert_int_equal(info.request_state, VCPUHP_REQUEST_RAISED);
    assert_true(info.enabled);
    call_cpu_on(&race);
    assert_int_equal(race.result, PSCI_RET_SUCCESS);
}

static gpointer stop_machine(gpointer data)
{
    Race *race = data;
    g_autoptr(GError) error = NULL;

    vcpuhp_stop(race->f->hp);
    assert_false(vcpuhp_reset(race->f->hp, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_ORDER));
    return NULL;
}

static void a_vcpu_that_is_turned_on_while_the_machine_stops_never_runs(void **state)
{
    Race race = {.f = *state};

    race_with_cpu_on(&race, stop_machine);
    assert_null(vcpuhp_kvm_enter(race.f->hp, TARGET));
    assert_int_equal(run_vcpu(race.f, 1), VCPUHP_KVM_EXIT_PARK);
    assert_false(race.f->stopped);
    assert_int_equal(run_vcpu(race.f, 0), VCPUHP_KVM_EXIT_PARK);
    assert_true(race.f->stopped);
    assert_true(vcpuhp_reset(race.f->hp, NULL));
}

static gpointer force_target(gpointer data)
{
    assert_true(vcpuhp_force(((Race *)data)->f->hp, TARGET, NULL));
    return NULL;
}

static void a_vcpu_that_is_forced_out_while_it_is_turned_on_never_runs(void **state)
{
    Race race = {.f = *state};

    race_with_cpu_on(&race, force_target);
    assert_target_never_runs(&race);
}

static gpointer request_for_ever(gpointer data)
{
    Race *race = data;

    for (int i = 0; i < 20000; i++) {
        vcpuhp_plug(race->f->hp, SPARE, 0, 0, NULL, NULL);
        if (i % 3)
            vcpuhp_unplug(race->f->hp, SPARE, 0, 0, NULL, NULL);
        vcpuhp_unplug(race->f->hp, 1, 0, 0, NULL, NULL);
        if (i % 5 == 0)
            vcpuhp_plug(race->f->hp, 1, 0, 0, NULL, NULL);
    }
    g_atomic_pointer_set(&race->other, NULL);
    return NULL;
}

static void resets_that_race_requests_leave_a_machine_that_starts(void **state)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    Race race = {.f = *state, .other = request_for_ever};
    GThread *thread;

    run_machine(race.f, VCPUHP_KVM_PSCI_SPARSE);
    thread = g_thread_new("requests", request_for_ever, &race);
    while (g_atomic_pointer_get(&race.other)) {
        uint64_t slot = 1, events;

        vcpuhp_regs_read(race.f->hp, 0x18, &events, sizeof(events));
        vcpuhp_regs_write(race.f->hp, REG_EJECT, &slot, sizeof(slot));
        vcpuhp_stop(race.f->hp);
        assert_int_equal(run_vcpu(race.f, 0), VCPUHP_KVM_EXIT_PARK);
        assert_true(vcpuhp_reset(race.f->hp, NULL));
        assert_true(vcpuhp_start(race.f->hp, &entry, NULL));
        assert_non_null(vcpuhp_kvm_enter(race.f->hp, 0));
    }
    g_thread_join(thread);
    assert_int_equal(power_of(race.f, 0), VCPUHP_POWER_ON);
}

/* --- The interrupt and the reset --- */

static void the_event_interrupt_is_an_spi_of_the_vgic(void **state)
{
    Fixture *f = *state;

    f->config.event_irq = 200;
    setup(f);
    assert_true(vcpuhp_plug(f->hp, SPARE, 0, 0, NULL, NULL));
    assert_true(fake.vgic.spis[200].line);
    /* Undone before the guest saw it. */
    assert_true(vcpuhp_unplug(f->hp, SPARE, 0, 0, NULL, NULL));
    assert_false(fake.vgic.spis[200].line);
}

static void an_interrupt_that_cannot_be_raised_is_told(void **state)
{
    Fixture *f = *state;

    setup(f);
    fake.fail_at = fake.n_calls + 1;
    assert_true(vcpuhp_plug(f->hp, SPARE, 0, 0, NULL, NULL));
    assert_string_equal(f->host_error, "KVM_IRQ_LINE (INTID 33, high): Input/output error");
}

static void an_interrupt_that_could_not_be_raised_is_raised_by_the_next_call(void **state)
{
    Fixture *f = *state;
    uint32_t id;

    setup(f);
    fake.fail_at = fake.n_calls + 1;
    fake.n_fail = 2;
    assert_true(vcpuhp_plug(f->hp, SPARE, 0, 0, &id, NULL));
    g_clear_pointer(&f->host_error, g_free);
    assert_true(vcpuhp_repeat(f->hp, id, NULL));
    /* Told once, and still to be raised. */
    assert_null(f->host_error);
    assert_false(fake.vgic.spis[33].line);
    assert_true(vcpuhp_repeat(f->hp, id, NULL));
    assert_true(fake.vgic.spis[33].line);
}

static void an_interrupt_that_fails_again_is_told_again(void **state)
{
    Fixture *f = *state;
    uint32_t id;

    setup(f);
    fake.fail_at = fake.n_calls + 1;
    assert_true(vcpuhp_plug(f->hp, SPARE, 0, 0, &id, NULL));
    assert_true(vcpuhp_repeat(f->hp, id, NULL));
    assert_true(fake.vgic.spis[33].line);
    g_clear_pointer(&f->host_error, g_free);
    fake.fail_at = fake.n_calls + 1;
    assert_true(vcpuhp_cancel(f->hp, id, NULL));
    assert_string_equal(f->host_error, "KVM_IRQ_LINE (INTID 33, low): Input/output error");
}

static void after_a_reset_every_vcpu_can_run_again(void **state)
{
    Fixture *f = *state;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    turn_on(f, 1);
    /* KVM stops all vCPUs, those that never ran included. */
    fake_guest_event(0, KVM_SYSTEM_EVENT_RESET);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_SYSTEM_RESET);
    assert_int_equal(fake.vcpus[2].mp_state, KVM_MP_STATE_STOPPED);
    assert_false(vcpuhp_reset(f->hp, NULL));
    vcpuhp_stop(f->hp);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_PARK);
    assert_int_equal(run_vcpu(f, 1), VCPUHP_KVM_EXIT_PARK);
    assert_true(vcpuhp_reset(f->hp, NULL));
    /* The vCPUs that ran are reset by KVM itself, which also forgets the memory's mappings: once.
     */
    assert_true(vcpuhp_reset(f->hp, NULL));
    assert_int_equal(fake.vcpus[0].n_inits, 2);
    assert_int_equal(fake.vcpus[1].n_inits, 2);
    assert_int_equal(fake.vcpus[2].n_inits, 1);
    assert_true(
        vcpuhp_start(f->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), .address = ENTRY}, NULL));
    assert_non_null(vcpuhp_kvm_enter(f->hp, 0));
    assert_int_equal(fake.vcpus[0].pc, ENTRY);
    for (uint32_t i = 1; i < SPARE; i++) {
        turn_on(f, i);
        assert_as_at_power_on(i);
    }
}

/* The ioctls of a reset after which n_ran of n_vcpus vCPUs are reset. */
static int count_reset(Fixture *f, uint32_t n_vcpus, uint32_t n_ran)
{
    int n_calls;

    begin(f, &fake_modern_host, n_vcpus);
    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    for (uint32_t i = 1; i < n_ran; i++)
        turn_on(f, i);
    vcpuhp_stop(f->hp);
    for (uint32_t i = 0; i < n_ran; i++)
        assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, i, EINTR), VCPUHP_KVM_EXIT_PARK);
    n_calls = fake.n_calls;
    assert_true(vcpuhp_reset(f->hp, NULL));
    return fake.n_calls - n_calls;
}

/* Each ioctl on the vGIC locks all vCPUs, so that its time grows with them. */
static void a_reset_takes_one_ioctl_for_a_vcpu_that_never_ran(void **state)
{
    enum {
        /* KVM_ARM_VCPU_INIT; GICR_CTLR, the LPI tables; the private interrupts; the CPU interface
         */
        RAN = 1 + 5 + 16 + 9,
    };
    Fixture *f = *state;

    assert_int_equal(count_reset(f, 8, 4), N_DISTRIBUTOR_CALLS + 4 * RAN + 4);
    assert_int_equal(count_reset(f, 512, 4), N_DISTRIBUTOR_CALLS + 4 * RAN + 508);
    assert_int_equal(count_reset(f, 512, 5), N_DISTRIBUTOR_CALLS + 5 * RAN + 507);
}

static void a_reset_that_kvm_fails_is_told_and_can_be_repeated(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    run_machine(f, VCPUHP_KVM_PSCI_SPARSE);
    vcpuhp_stop(f->hp);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_PARK);
    fake.fail_at = fake.n_calls + N_DISTRIBUTOR_CALLS + 1;
    assert_false(vcpuhp_reset(f->hp, &error));
    assert_string_equal(error->message, "vCPU 0: KVM_ARM_VCPU_INIT: Input/output error");
    assert_true(vcpuhp_reset(f->hp, NULL));
    assert_true(
        vcpuhp_start(f->hp, &(VcpuhpEntry){.size = sizeof(VcpuhpEntry), .address = ENTRY}, NULL));
    assert_non_null(vcpuhp_kvm_enter(f->hp, 0));
}

/* vCPUs and vGIC are the library's, or in a second run of the test the VMM's. */
#define WITH(way, test, lent)                                                                      \
    {                                                                                              \
        way #test, test, set_up, tear_down, (void *)(lent)                                         \
    }
#define OWN(test)  WITH("own: ", test, &(const bool){false})
#define LENT(test) WITH("lent: ", test, &(const bool){true})
#define BOTH(test) OWN(test), LENT(test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN(every_possible_vcpu_is_made_before_the_vgic_is_initialised),
        BOTH(a_vcpu_that_is_off_is_stopped_in_kvm_too),
        BOTH(sparse_filter_forwards_every_way_to_turn_a_vcpu_on_or_off),
        BOTH(whole_filter_forwards_both_psci_ranges_and_no_more),
        OWN(vcpus_get_the_affinities_of_the_config),
        OWN(kvms_own_affinities_are_those_of_the_config),
        OWN(disabled_vcpus_get_pmu_sve_and_pauth_as_the_others),
        OWN(features_that_nobody_asked_for_are_off),
        OWN(missing_host_features_are_named_and_nothing_is_changed),
        OWN(features_that_are_not_asked_for_need_not_be_there),
        OWN(more_vcpus_than_the_host_takes_are_refused_with_its_limit),
        OWN(bad_configs_are_refused_by_field_value_and_limit),
        BOTH(affinities_that_kvms_gicv3_cannot_serve_are_refused),
        BOTH(a_gicv2_serves_every_affinity),
        BOTH(second_setup_is_refused),
        BOTH(a_filter_of_the_vmms_own_on_the_same_calls_is_an_error),
        BOTH(a_plug_before_setup_raises_the_line_at_start),
        BOTH(setup_after_start_is_refused),
        OWN(the_hook_sees_each_vcpu_before_it_is_finalised_and_before_its_pmu),
        OWN(without_a_pmu_the_hook_has_one_step),
        OWN(the_hook_can_narrow_the_vector_lengths),
        OWN(an_error_of_the_hook_is_the_setups),
        OWN(each_ioctl_that_fails_is_named_and_leaves_nothing_open),
        BOTH(without_setup_there_are_no_fds),
        OWN(before_setup_no_vcpu_enters_and_no_exit_is_served),
        BOTH(no_exit_is_served_for_a_vcpu_that_is_not_on),
        BOTH(no_exit_is_served_after_a_vcpu_has_parked),
        OWN(a_vcpu_is_mapped_at_its_first_power_on_and_stays_mapped),
        BOTH(cpu_on_sets_the_entry_state),
        BOTH(a_big_endian_caller_hands_its_endianness_on),
        BOTH(a_disabled_vcpu_is_denied_and_stays_stopped),
        BOTH(a_plugged_vcpu_runs_without_new_fds),
        BOTH(an_unfinished_mmio_access_is_not_completed_over_a_new_entry),
        BOTH(a_kick_that_came_too_late_does_not_reach_the_next_life),
        BOTH(a_vcpu_that_runs_again_leaves_the_machines_memory_mapped),
        BOTH(a_vcpu_that_runs_again_does_not_move_the_guests_time),
        BOTH(a_vcpu_whose_registers_kvm_refuses_is_reset_by_kvm),
        BOTH(the_first_such_reset_is_reported),
        BOTH(a_vcpu_that_parked_by_force_is_reset_by_kvm),
        BOTH(a_vcpu_that_parked_by_force_is_reset_even_if_that_fails_at_first),
        BOTH(with_fwb_a_vcpu_that_runs_again_is_reset_by_kvm),
        BOTH(with_fwb_no_registers_are_read_at_the_start),
        BOTH(with_fwb_a_reset_that_fails_leaves_the_vcpu_off),
        BOTH(a_first_power_on_takes_8_ioctls),
        BOTH(with_fwb_another_power_on_takes_8_ioctls_too),
        BOTH(without_fwb_another_power_on_takes_an_ioctl_more_for_each_register),
        BOTH(the_first_power_on_of_a_vcpu_cleans_the_machines_memory),
        BOTH(a_warm_vcpu_does_not_clean_the_machines_memory),
        BOTH(a_warm_vcpu_begins_at_its_entry),
        BOTH(a_warm_vcpu_can_be_big_endian),
        BOTH(vcpu_0_is_not_warmed_up),
        BOTH(a_vcpu_is_warmed_up_once_until_kvm_resets_it),
        BOTH(warm_up_memory_is_read_only_and_gone_with_the_context),
        BOTH(with_fwb_there_is_no_warm_up),
        BOTH(impossible_places_of_the_warm_up_are_refused),
        BOTH(memory_of_the_vmms_at_the_warm_ups_place_fails_the_setup),
        BOTH(a_kick_during_the_warm_up_parks_the_vcpu),
        BOTH(a_signal_during_the_warm_up_interrupts_the_next_run),
        BOTH(a_warm_up_that_fails_is_reported_once_and_the_vcpu_runs),
        BOTH(a_vcpu_whose_registers_cannot_be_restored_is_off),
        BOTH(affinities_of_the_vmms_own_outlast_each_reset_of_a_vcpu),
        BOTH(a_vcpu_whose_reset_failed_in_the_middle_is_reset_again),
        BOTH(a_vcpu_that_kvm_does_not_stop_parks_and_is_told),
        BOTH(a_register_that_is_hidden_after_the_setup_is_left_out),
        BOTH(registers_that_cannot_be_read_fail_the_start),
        BOTH(cpu_on_that_the_host_fails_is_an_internal_failure_and_the_vcpu_stays_off),
        OWN(cpu_on_without_memory_for_kvm_run_is_an_internal_failure),
        BOTH(cpu_on_without_a_thread_leaves_the_vcpu_stopped),
        BOTH(mmio_within_the_register_block_is_served),
        BOTH(mmio_not_wholly_within_the_register_block_is_the_vmms),
        BOTH(a_forwarded_call_is_answered_in_x0),
        BOTH(calls_that_are_none_of_pscis_are_the_vmms),
        BOTH(cpu_off_parks_and_leaves_the_vcpu_alone),
        BOTH(an_exit_reason_is_not_served_twice),
        BOTH(the_vmms_own_signal_is_told_from_a_kick),
        BOTH(kvm_run_that_fails_is_told_with_its_vcpu_and_errno),
        BOTH(a_memory_fault_is_the_vmms),
        BOTH(a_vcpu_that_cannot_run_can_still_be_parked),
        BOTH(an_ioctl_that_fails_while_serving_a_call_is_told),
        BOTH(kvms_system_events_are_the_machines_power),
        BOTH(a_vcpu_that_asks_the_machine_to_go_down_executes_nothing_more),
        BOTH(a_suspended_vcpu_sleeps_in_kvm_until_it_is_woken),
        BOTH(other_exits_are_the_vmms),
        BOTH(a_kick_before_kvm_run_makes_it_return),
        BOTH(a_vcpu_called_off_before_its_thread_came_is_stopped),
        BOTH(a_kick_is_never_lost),
        BOTH(the_second_of_two_cpu_ons_at_once_is_on_pending),
        BOTH(a_vcpu_that_is_ejected_while_it_is_turned_on_never_runs),
        BOTH(a_vcpu_that_is_unplugged_while_it_is_turned_on_runs_until_it_is_ejected),
        BOTH(a_plug_that_races_an_eject_waits_until_the_vcpu_is_off),
        BOTH(a_vcpu_that_is_turned_on_while_the_machine_stops_never_runs),
        BOTH(a_vcpu_that_is_forced_out_while_it_is_turned_on_never_runs),
        BOTH(resets_that_race_requests_leave_a_machine_that_starts),
        BOTH(the_event_interrupt_is_an_spi_of_the_vgic),
        BOTH(an_interrupt_that_cannot_be_raised_is_told),
        BOTH(an_interrupt_that_could_not_be_raised_is_raised_by_the_next_call),
        BOTH(an_interrupt_that_fails_again_is_told_again),
        BOTH(after_a_reset_every_vcpu_can_run_again),
        BOTH(a_reset_takes_one_ioctl_for_a_vcpu_that_never_ran),
        BOTH(a_reset_that_kvm_fails_is_told_and_can_be_repeated),
    };

    return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
