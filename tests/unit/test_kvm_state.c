/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM's state, saved and loaded into another VM: what goes along, in which order, and what refuses
 * to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/psci.h>
#include <string.h>
#include <sys/ioctl.h>

#include <vcpuhp/kvm.h>
#include <vcpuhp/psci.h>
#include <vcpuhp/state.h>

#include "blob.h"
#include "fake_kvm.h"
#include "fake_vmm.h"

#define N_VCPUS 5
#define ENTRY   0x40080000
/* What the vCPUs of a machine are that runs. 0 is on. */
#define ON        1
#define WAS_ON    2 /* off */
#define NEVER_ON  3
#define DISABLED  4
#define EVENT_IRQ 33
#define TIMER_PPI 27

typedef struct Fixture {
    bool lend; /* the VMM lends vCPUs and vGIC */
    FakeHost host;
    FakeVmm vmm;
    VcpuhpConfig config;
    VcpuhpKvmPsci psci;
    uint32_t features;
    uint64_t warm_up_base;
    VcpuhpKvmConfig kvm;
    Vcpuhp *hp;
    uint64_t started, with_entry; /* bits: vcpu_start was called for these, and with an entry */
    bool no_thread;               /* what it says */
    char *host_error;             /* the last that was reported */
    GBytes *host_state, *state, *kvm_state;
} Fixture;

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Fixture *f = opaque;

    f->started |= 1ull << vcpu;
    f->with_entry |= entry ? 1ull << vcpu : 0;
    return !f->no_thread;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Fixture *f = opaque;

    if (event->kind != VCPUHP_EVENT_HOST_ERROR)
        return;
    g_free(f->host_error);
    f->host_error = g_strdup(event->text);
}

static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                          .vcpu_start = on_start,
                                          .vcpu_kick = on_kick,
                                          .event = on_event};

static int set_up(void **state)
{
    const bool *lend_too = *state;
    Fixture *f = g_new0(Fixture, 1);

    f->lend = lend_too && *lend_too;
    f->host = fake_modern_host;
    vcpuhp_config_init(&f->config, N_VCPUS, N_VCPUS - 1);
    f->config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    f->config.gic.n_irqs = 96;
    f->config.gic.its_base = 0x08080000;
    *state = f;
    return 0;
}

/* --- Machines: the source, and after it the target --- */

static void end_machine(Fixture *f)
{
    if (!f->hp)
        return;
    g_clear_pointer(&f->hp, vcpuhp_free);
    fake_vmm_free(&f->config, &f->kvm);
    assert_int_equal(fake_open_fds(), 0);
    assert_int_equal(fake_mappings(), 0);
    fake_kvm_end();
}

static void drop_saved(Fixture *f)
{
    g_clear_pointer(&f->host_state, g_bytes_unref);
    g_clear_pointer(&f->kvm_state, g_bytes_unref);
    g_clear_pointer(&f->state, g_bytes_unref);
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    end_machine(f);
    drop_saved(f);
    g_free(f->host_error);
    g_free(f);
    return 0;
}

/* A new machine, in place of the last. It has not run. */
static void begin(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    end_machine(f);
    f->started = f->with_entry = 0;
    vcpuhp_kvm_config_init(&f->kvm, fake_kvm_begin(&f->host));
    f->kvm.psci = f->psci;
    f->kvm.features = f->features;
    f->kvm.warm_up_base = f->warm_up_base;
    if (f->lend) {
        fake_vmm_create_vcpus(&f->vmm, &f->config, &f->kvm);
        fake_vmm_create_vgic(&f->config, &f->kvm);
        fake_vmm_init_vgic(&f->config, &f->kvm);
    }
    f->hp = vcpuhp_new(&f->config, &callbacks, f, &error);
    if (!f->hp || !vcpuhp_kvm_setup(f->hp, &f->kvm, &error))
        fail_msg("%s", error->message);
}

static VcpuhpKvmExit run_vcpu(Fixture *f, uint32_t vcpu)
{
    int error = ioctl(vcpuhp_kvm_vcpu_fd(f->hp, vcpu), KVM_RUN, 0) < 0 ? errno : 0;

    return vcpuhp_kvm_handle_exit(f->hp, vcpu, error);
}

static int64_t turn_on(Fixture *f, uint32_t vcpu)
{
    fake_guest_call(0, PSCI_0_2_FN64_CPU_ON, vcpu, ENTRY, 42);
    assert_int_equal(run_vcpu(f, 0), VCPUHP_KVM_EXIT_RESUME);
    return (int64_t)fake.vcpus[0].x[0];
}

static void turn_off(Fixture *f, uint32_t vcpu)
{
    fake_guest_call(vcpu, PSCI_0_2_FN_CPU_OFF, 0, 0, 0);
    assert_int_equal(run_vcpu(f, vcpu), VCPUHP_KVM_EXIT_PARK);
}

/* The source: vCPUs 0 and ON run, WAS_ON did. */
static void begin_running(Fixture *f)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};
    g_autoptr(GError) error = NULL;

    begin(f);
    if (!vcpuhp_start(f->hp, &entry, &error))
        fail_msg("%s", error->message);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 0));
    for (uint32_t i = ON; i <= WAS_ON; i++) {
        assert_int_equal(turn_on(f, i), PSCI_RET_SUCCESS);
        assert_non_null(vcpuhp_kvm_enter(f->hp, i));
    }
    turn_off(f, WAS_ON);
}

static void save_host(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    drop_saved(f);
    f->host_state = vcpuhp_kvm_save_host(f->hp, &error);
    if (!f->host_state)
        fail_msg("%s", error->message);
}

static void save(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    save_host(f);
    f->kvm_state = vcpuhp_kvm_save(f->hp, &error);
    f->state = f->kvm_state ? vcpuhp_save(f->hp, &error) : NULL;
    if (!f->state)
        fail_msg("%s", error->message);
}

static bool load_host(Fixture *f, GError **error)
{
    return vcpuhp_kvm_load_host(f->hp, f->host_state, error);
}

static bool load_kvm(Fixture *f, GError **error)
{
    return vcpuhp_kvm_load(f->hp, f->kvm_state, error);
}

/* Up to KVM's state. */
static void prepare_load(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    if (!load_host(f, &error) || !vcpuhp_load(f->hp, f->state, &error))
        fail_msg("%s", error->message);
}

static void load(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    prepare_load(f);
    if (!load_kvm(f, &error))
        fail_msg("%s", error->message);
}

static void resume(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    if (!vcpuhp_resume(f->hp, &error))
        fail_msg("%s", error->message);
}

/* Save the machine, and load it into a new one. */
static void move(Fixture *f)
{
    save(f);
    begin(f);
    load(f);
}

/* Clears the error. */
static void assert_error(bool ok, GError **error, VcpuhpError code, const char *what)
{
    assert_false(ok);
    if (!g_error_matches(*error, VCPUHP_ERROR, (int)code) || !strstr((*error)->message, what))
        fail_msg("\"%s\" has another code, or does not say \"%s\"", (*error)->message, what);
    g_clear_error(error);
}

/* --- What a guest makes of the vGIC --- */

static void fill_irq(FakeIrq *irq, uint32_t seed)
{
    *irq = (FakeIrq){.enabled = seed % 2,
                     .active = seed % 3 == 0,
                     .pending = seed % 5 == 0,
                     .group1 = seed % 7 != 0,
                     .edge = seed % 11 < 6,
                     .line = seed % 13 == 0,
                     .priority = (uint8_t)(seed * 8),
                     .router = seed % 4};
}

/* What cannot be written of the private ones. */
static void fill_private(FakeIrq *irqs, uint32_t seed)
{
    for (uint32_t i = 0; i < FAKE_N_PRIVATE; i++) {
        bool edge = irqs[i].edge;

        fill_irq(&irqs[i], seed + i);
        irqs[i].router = 0;
        irqs[i].edge = edge;
    }
}

static void use_gicv3(void)
{
    fake.vgic.ctlr = 1;
    for (uint32_t i = 32; i < 96; i++)
        fill_irq(&fake.vgic.spis[i], i);
    for (uint32_t i = 0; i <= WAS_ON; i++) {
        FakeVcpu *v = &fake.vcpus[i];

        fill_private(v->irqs, 100 * i);
        v->propbaser = 0x4000078d;
        v->pendbaser = 0x40010580 + 0x10000 * i;
        v->gicr_ctlr = 1;
        if (i <= ON)
            v->cpu = (FakeCpuInterface){.ctlr = v->cpu.ctlr | 2,
                                        .pmr = 0xf0 + i,
                                        .bpr0 = 2,
                                        .bpr1 = 3,
                                        .igrpen0 = 1,
                                        .igrpen1 = 1,
                                        .ap0r = {4 + i},
                                        .ap1r = {6 + i}};
    }
}

/* --- vCPUs --- */

static void a_vcpu_that_is_on_has_its_registers_again(void **state)
{
    Fixture *f = *state;
    FakeVcpu *v;

    begin_running(f);
    v = &fake.vcpus[ON];
    for (uint64_t i = 0; i < 31; i++)
        v->x[i] = 1000 + i;
    v->pc = 0x40123454;
    v->v0[1] = 7;
    v->csselr = 2;
    v->sctlr = 0x1234;
    v->events.exception =
        (typeof(v->events.exception)){.serror_pending = 1, .serror_has_esr = 1, .serror_esr = 0x55};
    move(f);
    v = &fake.vcpus[ON];
    for (uint64_t i = 0; i < 31; i++)
        assert_int_equal(v->x[i], 1000 + i);
    assert_int_equal(v->pc, 0x40123454);
    assert_int_equal(v->v0[1], 7);
    assert_int_equal(v->csselr, 2);
    assert_int_equal(v->sctlr, 0x1234);
    assert_int_equal(v->events.exception.serror_pending, 1);
    assert_int_equal(v->events.exception.serror_has_esr, 1);
    assert_int_equal(v->events.exception.serror_esr, 0x55);
}

static void a_vcpu_that_is_on_goes_on_without_an_init_or_an_entry(void **state)
{
    Fixture *f = *state;
    int n_inits;

    begin_running(f);
    fake.vcpus[ON].pc = 0x40123454;
    move(f);
    n_inits = fake.vcpus[ON].n_inits;
    resume(f);
    assert_int_equal(f->started, 1 << 0 | 1 << ON);
    assert_int_equal(f->with_entry, 0);
    assert_int_equal(fake.vcpus[ON].n_inits, n_inits);
    assert_int_equal(fake.vcpus[ON].pc, 0x40123454);
    assert_non_null(vcpuhp_kvm_enter(f->hp, ON));
    assert_non_null(vcpuhp_kvm_enter(f->hp, 0));
}

/* SUSPENDED: it waits for an interrupt in CPU_SUSPEND. */
static void a_vcpu_that_waits_goes_on_waiting(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    fake.vcpus[ON].mp_state = KVM_MP_STATE_SUSPENDED;
    move(f);
    resume(f);
    assert_int_equal(fake.vcpus[0].mp_state, KVM_MP_STATE_RUNNABLE);
    assert_int_equal(fake.vcpus[ON].mp_state, KVM_MP_STATE_SUSPENDED);
    assert_int_equal(fake.vcpus[WAS_ON].mp_state, KVM_MP_STATE_STOPPED);
    assert_int_equal(fake.vcpus[NEVER_ON].mp_state, KVM_MP_STATE_STOPPED);
}

/* A target may hand the machine on before it runs it. */
static void a_machine_that_was_loaded_can_be_saved_at_once(void **state)
{
    Fixture *f = *state;
    g_autoptr(GBytes) first = NULL;

    begin_running(f);
    use_gicv3();
    save(f);
    first = g_bytes_ref(f->kvm_state);
    begin(f);
    load(f);
    save(f);
    assert_true(g_bytes_equal(first, f->kvm_state));
}

static void a_vcpu_that_is_off_starts_clean(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    fake.vcpus[WAS_ON].x[7] = fake.vcpus[WAS_ON].sctlr = 77;
    move(f);
    resume(f);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 0));
    assert_int_equal(turn_on(f, WAS_ON), PSCI_RET_SUCCESS);
    assert_int_equal(fake.vcpus[WAS_ON].x[0], 42);
    assert_int_equal(fake.vcpus[WAS_ON].x[7], 0);
    assert_int_equal(fake.vcpus[WAS_ON].sctlr, 0xc50078);
    assert_int_equal(fake.vcpus[WAS_ON].pc, ENTRY);
    assert_int_equal(turn_on(f, NEVER_ON), PSCI_RET_SUCCESS);
    assert_int_equal(turn_on(f, DISABLED), PSCI_RET_DENIED);
}

/* Without FEAT_S2FWB its registers are written from an image, which must not be of loaded ones. */
static void a_vcpu_that_went_on_is_clean_when_it_is_turned_on_again(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    fake.vcpus[0].sctlr = 0x1111;
    fake.vcpus[ON].sctlr = 0x2222;
    move(f);
    resume(f);
    assert_non_null(vcpuhp_kvm_enter(f->hp, 0));
    assert_non_null(vcpuhp_kvm_enter(f->hp, ON));
    turn_off(f, ON);
    assert_int_equal(turn_on(f, ON), PSCI_RET_SUCCESS);
    assert_int_equal(fake.vcpus[ON].sctlr, 0xc50078);
    assert_int_equal(fake.n_unmaps, 0);
}

static void a_vcpu_that_is_on_pending_starts_at_its_entry(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    assert_int_equal(turn_on(f, NEVER_ON), PSCI_RET_SUCCESS);
    move(f);
    resume(f);
    assert_int_equal(f->started, 1 << 0 | 1 << ON | 1 << NEVER_ON);
    assert_int_equal(f->with_entry, 1 << NEVER_ON);
    assert_int_equal(fake.vcpus[NEVER_ON].pc, ENTRY);
    assert_int_equal(fake.vcpus[NEVER_ON].x[0], 42);
    assert_int_equal(fake.vcpus[NEVER_ON].mp_state, KVM_MP_STATE_RUNNABLE);
}

static void what_the_targets_kvm_run_holds_is_not_carried_out(void **state)
{
    Fixture *f = *state;
    struct kvm_run *run;

    begin_running(f);
    save(f);
    begin(f);
    if (f->lend) {
        f->kvm.vcpu_runs[ON]->immediate_exit = 1;
        f->kvm.vcpu_runs[ON]->exit_reason = KVM_EXIT_MMIO;
    }
    load(f);
    resume(f);
    run = vcpuhp_kvm_enter(f->hp, ON);
    assert_int_equal(run->immediate_exit, 0);
    assert_int_equal(run->exit_reason, KVM_EXIT_UNKNOWN);
}

/* It isn't at its entry: an interrupt could divert it from the warm-up's code. */
static void a_vcpu_that_goes_on_is_not_warmed_up(void **state)
{
    Fixture *f = *state;
    int n_calls;

    f->warm_up_base = 0x09020000;
    begin_running(f);
    move(f);
    resume(f);
    n_calls = fake.n_calls;
    assert_non_null(vcpuhp_kvm_enter(f->hp, ON));
    assert_int_equal(fake.n_calls, n_calls);
}

static void a_vcpu_without_a_thread_is_stopped(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    begin_running(f);
    move(f);
    f->no_thread = true;
    assert_error(vcpuhp_resume(f->hp, &error), &error, VCPUHP_ERROR_NO_THREAD, "vCPU 0");
    assert_int_equal(fake.vcpus[0].mp_state, KVM_MP_STATE_STOPPED);
}

/* Linux 6.3 to 6.14 take a write of PMCNTENSET_EL0 as one that adds. */
static void the_pmus_counters_are_enabled_as_they_were(void **state)
{
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    for (int sets = 0; sets < 2; sets++) {
        f->host.pmu_sets = sets;
        begin_running(f);
        fake.vcpus[0].pmcnten = 0x2a;
        fake.vcpus[ON].pmcnten = 0;
        move(f);
        assert_int_equal(fake.vcpus[0].pmcnten, 0x2a);
        assert_int_equal(fake.vcpus[ON].pmcnten, 0);
    }
}

static void the_counters_are_set_once_and_last(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    fake.cntvct = 0x123456789;
    fake.cntpct = 0x987654321;
    save(f);
    begin(f);
    prepare_load(f);
    assert_true(load_kvm(f, NULL));
    assert_int_equal(fake.cntvct, 0x123456789);
    assert_int_equal(fake.cntpct, 0x987654321);
    assert_int_equal(fake.n_jumps, 2);
    assert_int_equal(fake.jumped_at, fake.n_calls);
}

/* --- vGIC --- */

static void a_gicv3_goes_along(void **state)
{
    Fixture *f = *state;
    FakeVgic vgic;
    FakeVcpu vcpus[N_VCPUS];

    begin_running(f);
    use_gicv3();
    vgic = fake.vgic;
    memcpy(vcpus, fake.vcpus, sizeof(vcpus));
    move(f);
    assert_int_equal(fake.vgic.ctlr, 1);
    assert_memory_equal(fake.vgic.spis, vgic.spis, sizeof(vgic.spis));
    for (uint32_t i = 0; i <= ON; i++)
        assert_memory_equal(&fake.vcpus[i].cpu, &vcpus[i].cpu, sizeof(vcpus[i].cpu));
}

static void the_private_interrupts_of_a_vcpu_that_was_on_go_along(void **state)
{
    Fixture *f = *state;
    FakeVcpu vcpus[N_VCPUS];

    begin_running(f);
    use_gicv3();
    memcpy(vcpus, fake.vcpus, sizeof(vcpus));
    move(f);
    for (uint32_t i = 0; i <= WAS_ON; i++) {
        assert_memory_equal(fake.vcpus[i].irqs, vcpus[i].irqs, sizeof(vcpus[i].irqs));
        assert_int_equal(fake.vcpus[i].propbaser, vcpus[i].propbaser);
        assert_int_equal(fake.vcpus[i].pendbaser, vcpus[i].pendbaser);
        assert_int_equal(fake.vcpus[i].gicr_ctlr, vcpus[i].gicr_ctlr);
    }
    /* Its CPU interface, as its registers, begins anew. */
    assert_int_equal(fake.vcpus[WAS_ON].cpu.pmr, 0);
}

static void an_sgi_waits_for_a_vcpu_that_was_never_on(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    fake.vcpus[NEVER_ON].irqs[5].pending = true;
    move(f);
    assert_true(fake.vcpus[NEVER_ON].irqs[5].pending);
    assert_false(fake.vcpus[DISABLED].irqs[5].pending);
}

/* The reset of the machine knows which vCPUs are not as at boot. */
static void a_reset_after_the_move_includes_what_was_loaded(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    begin_running(f);
    use_gicv3();
    move(f);
    resume(f);
    for (uint32_t i = 0; i <= ON; i++)
        assert_non_null(vcpuhp_kvm_enter(f->hp, i));
    vcpuhp_stop(f->hp);
    for (uint32_t i = 0; i <= ON; i++)
        assert_int_equal(vcpuhp_kvm_handle_exit(f->hp, i, EINTR), VCPUHP_KVM_EXIT_PARK);
    if (!vcpuhp_reset(f->hp, &error))
        fail_msg("%s", error->message);
    for (uint32_t i = 0; i <= WAS_ON; i++) {
        assert_int_equal(fake.vcpus[i].gicr_ctlr, 0);
        assert_int_equal(fake.vcpus[i].irqs[TIMER_PPI].priority, 0);
    }
}

static void a_gicv2_goes_along(void **state)
{
    Fixture *f = *state;
    FakeVgic vgic;
    FakeVcpu vcpus[N_VCPUS];

    f->config.gic.version = 2;
    f->config.gic.cpu_base = 0x08010000;
    f->config.gic.its_base = 0;
    begin_running(f);
    fake.vgic.ctlr = 1;
    for (uint32_t i = 32; i < 96; i++) {
        fill_irq(&fake.vgic.spis[i], i);
        fake.vgic.spis[i].line = false;
        fake.vgic.spis[i].router = 0;
        fake.vgic.spis[i].targets = (uint8_t)i;
    }
    for (uint32_t i = 0; i <= WAS_ON; i++) {
        fill_private(fake.vcpus[i].irqs, 100 * i);
        for (uint32_t j = 0; j < FAKE_N_PRIVATE; j++) {
            FakeIrq *irq = &fake.vcpus[i].irqs[j];

            irq->line = false;
            irq->sources = j < 16 && irq->pending ? 1 << ON : 0;
        }
        if (i <= ON)
            fake.vcpus[i].cpu =
                (FakeCpuInterface){.ctlr = 1, .pmr = 0x1e, .bpr0 = 2, .bpr1 = 3, .ap1r = {6 + i}};
    }
    vgic = fake.vgic;
    memcpy(vcpus, fake.vcpus, sizeof(vcpus));
    move(f);
    assert_int_equal(fake.vgic.ctlr, 1);
    assert_memory_equal(fake.vgic.spis, vgic.spis, sizeof(vgic.spis));
    for (uint32_t i = 0; i <= WAS_ON; i++)
        assert_memory_equal(fake.vcpus[i].irqs, vcpus[i].irqs, sizeof(vcpus[i].irqs));
    for (uint32_t i = 0; i <= ON; i++)
        assert_memory_equal(&fake.vcpus[i].cpu, &vcpus[i].cpu, sizeof(vcpus[i].cpu));
}

static void an_its_goes_along(void **state)
{
    Fixture *f = *state;
    FakeVgic vgic;

    begin_running(f);
    fake.vgic.cbaser = 1ull << 63 | 0x40020000;
    fake.vgic.creadr = 0x40;
    fake.vgic.cwriter = 0x60;
    fake.vgic.basers[0] = 0x40030000;
    fake.vgic.basers[7] = 0x40040000;
    fake.vgic.its_enabled = true;
    vgic = fake.vgic;
    move(f);
    assert_int_equal(fake.vgic.cbaser, vgic.cbaser);
    assert_int_equal(fake.vgic.creadr, vgic.creadr);
    assert_int_equal(fake.vgic.cwriter, vgic.cwriter);
    assert_memory_equal(fake.vgic.basers, vgic.basers, sizeof(vgic.basers));
    assert_true(fake.vgic.its_enabled);
}

/* The fake refuses to restore them once the ITS is enabled, as KVM does. */
static void tables_are_written_by_a_save_and_read_by_a_load(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    fake.vgic.its_enabled = true;
    save(f);
    assert_int_equal(fake.vgic.n_pending_saves, 1);
    assert_int_equal(fake.vgic.n_saves, 1);
    begin(f);
    load(f);
    assert_int_equal(fake.vgic.n_restores, 1);
}

static void the_event_line_is_what_the_requests_say(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    assert_true(vcpuhp_plug(f->hp, DISABLED, 0, 0, NULL, NULL));
    assert_true(fake.vgic.spis[EVENT_IRQ].line);
    move(f);
    resume(f);
    assert_true(fake.vgic.spis[EVENT_IRQ].line);
    begin_running(f);
    fake.vgic.spis[EVENT_IRQ].line = true; /* stuck, on the source */
    move(f);
    resume(f);
    assert_false(fake.vgic.spis[EVENT_IRQ].line);
}

/* A statistics thread of the VMM's may be in an ioctl of a vCPU's. */
static void a_vgic_that_is_busy_for_a_moment_is_tried_again(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    begin_running(f);
    fake.fail_at = fake.n_calls + 1; /* the pending tables */
    fake.n_fail = 3;
    fake.fail_errno = EBUSY;
    f->kvm_state = vcpuhp_kvm_save(f->hp, &error);
    if (!f->kvm_state)
        fail_msg("%s", error->message);
}

static void a_vgic_that_stays_busy_is_an_error(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    begin_running(f);
    fake.fail_at = fake.n_calls + 1;
    fake.n_fail = 1000;
    fake.fail_errno = EBUSY;
    assert_error(vcpuhp_kvm_save(f->hp, &error) != NULL, &error, VCPUHP_ERROR_KVM,
                 "KVM_SET_DEVICE_ATTR (vGIC, group 4, 0x3)");
}

/* --- Order --- */

static void state_needs_a_setup(void **state)
{
    Fixture *f = *state;
    g_autoptr(GBytes) bytes = g_bytes_new_static("", 0);
    Vcpuhp *hp = vcpuhp_new(&f->config, &callbacks, f, NULL);
    g_autoptr(GError) error = NULL;

    assert_error(vcpuhp_kvm_save_host(hp, &error) != NULL, &error, VCPUHP_ERROR_ORDER,
                 "vcpuhp_kvm_setup");
    assert_error(vcpuhp_kvm_save(hp, &error) != NULL, &error, VCPUHP_ERROR_ORDER,
                 "vcpuhp_kvm_setup");
    assert_error(vcpuhp_kvm_load_host(hp, bytes, &error), &error, VCPUHP_ERROR_ORDER,
                 "vcpuhp_kvm_setup");
    assert_error(vcpuhp_kvm_load(hp, bytes, &error), &error, VCPUHP_ERROR_ORDER,
                 "vcpuhp_kvm_setup");
    vcpuhp_free(hp);
}

static void a_load_follows_the_hosts_and_the_librarys(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    begin_running(f);
    save(f);
    begin(f);
    assert_error(load_kvm(f, &error), &error, VCPUHP_ERROR_ORDER, "vcpuhp_kvm_load_host()");
    assert_true(load_host(f, NULL));
    assert_error(load_kvm(f, &error), &error, VCPUHP_ERROR_ORDER, "vcpuhp_load()");
    assert_true(vcpuhp_load(f->hp, f->state, NULL));
    assert_error(vcpuhp_resume(f->hp, &error), &error, VCPUHP_ERROR_ORDER, "vcpuhp_kvm_load()");
    assert_true(load_kvm(f, NULL));
    assert_error(load_kvm(f, &error), &error, VCPUHP_ERROR_ORDER, "it was called before");
}

static void a_machine_that_has_run_is_not_loaded(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    begin_running(f);
    save(f);
    assert_error(load_host(f, &error), &error, VCPUHP_ERROR_ORDER, "a vCPU has run");
    assert_error(load_kvm(f, &error), &error, VCPUHP_ERROR_ORDER, "a vCPU has run");
}

/* After an ioctl that failed in the middle, the VM is neither the old nor the new one. */
static void a_load_that_failed_is_not_repeated(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    begin_running(f);
    save(f);
    begin(f);
    prepare_load(f);
    fake.fail_at = fake.n_calls + 100;
    assert_error(load_kvm(f, &error), &error, VCPUHP_ERROR_KVM, fake.failed);
    assert_error(load_kvm(f, &error), &error, VCPUHP_ERROR_ORDER, "it was called before");
    assert_error(vcpuhp_resume(f->hp, &error), &error, VCPUHP_ERROR_ORDER, "vcpuhp_kvm_load()");
}

/* --- What the host offers --- */

static void a_host_that_is_the_same_is_left_as_it_is(void **state)
{
    Fixture *f = *state;
    int n_changes;

    begin(f);
    save_host(f);
    begin(f);
    n_changes = fake.n_changes;
    assert_true(load_host(f, NULL));
    assert_int_equal(fake.n_changes, n_changes);
}

static void a_target_is_narrowed_to_what_the_source_had(void **state)
{
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    f->host.isar0 = 0x1001;
    f->host.n_counters = 4;
    f->host.revision = 2;
    f->host.its_revision = 0;
    f->host.psci_version = PSCI_VERSION(1, 0);
    begin(f);
    fake.vcpus[0].clidr = 0x1;
    fake.vcpus[0].ccsidr = 0x1234;
    fake.fw_bitmap = 0;
    save_host(f);
    f->host = fake_modern_host;
    begin(f);
    assert_true(load_host(f, NULL));
    assert_int_equal(fake.isar0, 0x1001);
    assert_int_equal(fake.pmcr_n, 4);
    assert_int_equal(fake.vgic.revision, 2);
    assert_int_equal(fake.vgic.its_revision, 0);
    assert_int_equal(fake.psci_version, PSCI_VERSION(1, 0));
    assert_int_equal(fake.fw_bitmap, 0);
    for (uint32_t i = 0; i < N_VCPUS; i++) {
        assert_int_equal(fake.vcpus[i].clidr, 0x1);
        assert_int_equal(fake.vcpus[i].ccsidr, 0x1234);
    }
}

static void a_target_with_more_priority_bits_gets_those_of_the_source(void **state)
{
    Fixture *f = *state;

    begin(f);
    save_host(f);
    f->host.pri_bits = 7;
    begin(f);
    assert_true(load_host(f, NULL));
    for (uint32_t i = 0; i < N_VCPUS; i++)
        assert_int_equal(fake.vcpus[i].cpu.ctlr, 4 << 8);
}

/* The source is saved by now; f->host is the target's. */
static void assert_host_is_refused(Fixture *f, const char *what)
{
    g_autoptr(GError) error = NULL;

    begin(f);
    assert_error(load_host(f, &error), &error, VCPUHP_ERROR_NOT_SUPPORTED, what);
    assert_error(load_kvm(f, &error), &error, VCPUHP_ERROR_ORDER, "vcpuhp_kvm_load_host()");
}

static void another_cpu_is_refused_by_register_and_values(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    save(f);
    f->host.midr = 0x410fd490;
    assert_host_is_refused(f, "MIDR_EL1 is 0x410fd0c0 in the saved machine, but 0x410fd490 on this "
                              "host: KVM_SET_ONE_REG: Invalid argument");
}

static void a_feature_that_the_host_lacks_is_refused_by_register_and_values(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    save(f);
    f->host.isar0 = 0x1001;
    assert_host_is_refused(
        f, "ID_AA64ISAR0_EL1 is 0x1011 in the saved machine, but 0x1001 on this host");
}

static void an_older_psci_is_refused_by_both_versions(void **state)
{
    Fixture *f = *state;

    f->host.psci_version = PSCI_VERSION(1, 3);
    begin_running(f);
    save(f);
    f->host.psci_version = PSCI_VERSION(1, 1);
    assert_host_is_refused(
        f, "PSCI_VERSION is 0x10003 in the saved machine, but 0x10001 on this host");
}

static void a_psci_version_that_no_guest_sees_does_not_matter(void **state)
{
    Fixture *f = *state;

    f->psci = VCPUHP_KVM_PSCI_WHOLE;
    f->host.psci_version = PSCI_VERSION(1, 3);
    begin(f);
    save_host(f);
    f->host.psci_version = PSCI_VERSION(1, 1);
    begin(f);
    assert_true(load_host(f, NULL));
}

static void another_filter_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    begin(f);
    save_host(f);
    f->psci = VCPUHP_KVM_PSCI_WHOLE;
    begin(f);
    assert_error(load_host(f, &error), &error, VCPUHP_ERROR_STATE,
                 "psci is SPARSE in the saved machine, but WHOLE here");
}

static void counters_that_cannot_be_chosen_are_refused(void **state)
{
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    begin_running(f);
    save(f);
    f->host.old_counters = true;
    f->host.n_counters = 8;
    assert_host_is_refused(f, "PMCR_EL0.N is 0x3000 in the saved machine, but 0x4000 on this host");
}

static void other_vector_lengths_are_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    f->features = VCPUHP_KVM_SVE;
    begin(f);
    save_host(f);
    begin(f);
    fake.vcpus[0].vls[0] = 0x3;
    assert_error(load_host(f, &error), &error, VCPUHP_ERROR_NOT_SUPPORTED,
                 "SVE_VLS is 0xf in the saved machine, but 0x3 on this host");
}

static void other_features_are_refused_by_name(void **state)
{
    Fixture *f = *state;

    f->features = VCPUHP_KVM_SVE;
    begin_running(f);
    save(f);
    f->features = 0;
    assert_host_is_refused(f, "the vCPUs of the saved machine have SVE, but these lack it");
}

static void an_older_vgic_is_refused(void **state)
{
    Fixture *f = *state;

    begin_running(f);
    save(f);
    f->host.revision = 2;
    assert_host_is_refused(f, "GICD_IIDR is 0x4b00343b in the saved machine, but 0x4b00243b");
    f->host = fake_modern_host;
    f->host.its_revision = 0;
    assert_host_is_refused(f, "GITS_IIDR is 0x4b00143b in the saved machine, but 0x4b00043b");
}

static void fewer_priority_bits_are_refused(void **state)
{
    Fixture *f = *state;

    f->host.pri_bits = 7;
    begin_running(f);
    save(f);
    f->host.pri_bits = 5;
    assert_host_is_refused(f, "ICC_CTLR_EL1 is 0x600 in the saved machine, but 0x400 on this host");
}

static void registers_that_the_target_lacks_are_refused_before_anything_is_written(void **state)
{
    static const struct {
        uint64_t id;
        const char *name;
    } lacking[] = {{KVM_REG_ARM_STD_BMAP, "STD_BMAP"},
                   {ARM64_SYS_REG(3, 0, 1, 0, 0), "S3_0_C1_C0_0"}};
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    f->host.isar0 = 0x1001; /* would be written */
    begin_running(f);
    save(f);
    f->host = fake_modern_host;
    for (size_t i = 0; i < G_N_ELEMENTS(lacking); i++) {
        int n_changes;

        begin(f);
        fake.unlisted_reg = lacking[i].id;
        n_changes = fake.n_changes;
        assert_error(load_host(f, &error), &error, VCPUHP_ERROR_NOT_SUPPORTED, lacking[i].name);
        assert_int_equal(fake.n_changes, n_changes);
    }
}

static void a_register_that_the_vmm_hid_is_not_described(void **state)
{
    Fixture *f = *state;

    begin(f);
    fake.hidden_reg = ARM64_SYS_REG(3, 0, 0, 6, 0);
    save_host(f);
    fake.hidden_reg = 0;
    begin(f);
    assert_true(load_host(f, NULL));
}

/* --- Ioctls that fail --- */

typedef bool Step(Fixture *f, GError **error);

static bool try_save_host(Fixture *f, GError **error)
{
    g_autoptr(GBytes) bytes = vcpuhp_kvm_save_host(f->hp, error);

    return bytes != NULL;
}

static bool try_save(Fixture *f, GError **error)
{
    g_autoptr(GBytes) bytes = vcpuhp_kvm_save(f->hp, error);

    return bytes != NULL;
}

static bool try_resume(Fixture *f, GError **error)
{
    return vcpuhp_resume(f->hp, error);
}

/* What Linux has for one or another of them. */
static const int errnos[] = {EIO,   EBUSY,  EINVAL, ENXIO, ENOENT, ENODEV, EPERM,
                             E2BIG, ENOMEM, EFAULT, EINTR, EAGAIN, ENOTTY};

/* A register that is absent, because the VMM has hidden it, is not a failure of the ioctl, but may make
 * a difference that is refused. A vGIC that is busy for a moment is tried again. */
static bool is_harmless(int error_number)
{
    if (error_number == ENOENT)
        return strstr(fake.failed, "KVM_GET_ONE_REG") != NULL;
    return error_number == EBUSY && strstr(fake.failed, "DEVICE_ATTR");
}

/* How many ioctls a step makes, of which the one with the number `at` fails; 0: none. The failure is
 * returned, or reported by an event. */
static int run_step(Fixture *f, Step *step, int at, int error_number)
{
    int n_calls = fake.n_calls;
    g_autoptr(GError) error = NULL;
    const char *text;
    bool ok;

    g_clear_pointer(&f->host_error, g_free);
    fake.fail_at = at ? n_calls + at : 0;
    fake.fail_errno = error_number;
    ok = step(f, &error);
    assert_int_equal(ok, !error);
    text = error ? error->message : f->host_error;
    if (!at)
        assert_null(text);
    else if (!is_harmless(error_number) &&
             (!text || !strstr(text, fake.failed) || !strstr(text, g_strerror(error_number))))
        fail_msg("%s, %s: the report is %s", fake.failed, g_strerror(error_number), text);
    return fake.n_calls - n_calls;
}

/* Saving changes nothing, so it can be repeated, and the guest goes on. */
static void a_save_that_fails_names_the_ioctl_and_can_be_repeated(void **state)
{
    static Step *const steps[] = {try_save_host, try_save};
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    begin_running(f);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        int n_calls = run_step(f, steps[i], 0, 0);

        for (int at = 1; at <= n_calls; at++)
            for (size_t k = 0; k < G_N_ELEMENTS(errnos); k++)
                run_step(f, steps[i], at, errnos[k]);
        run_step(f, steps[i], 0, 0);
    }
    assert_int_equal(turn_on(f, NEVER_ON), PSCI_RET_SUCCESS);
}

/* A filter of system calls is made from the list in docs/security.md. */
static void check_is_documented(unsigned long request, void *opaque)
{
    static const unsigned long documented[] = {
        KVM_GET_REG_LIST, KVM_GET_ONE_REG,     KVM_GET_VCPU_EVENTS,
        KVM_GET_MP_STATE, KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR,
    };
    unsigned *seen = opaque;

    for (unsigned i = 0; i < G_N_ELEMENTS(documented); i++)
        if (request == documented[i]) {
            *seen |= 1u << i;
            return;
        }
    fail_msg("ioctl 0x%lx is not in docs/security.md", request);
}

static void a_save_makes_the_ioctls_that_a_filter_allows_and_no_other(void **state)
{
    Fixture *f = *state;
    unsigned seen = 0;

    f->config.pmu_irq = 23;
    begin_running(f);
    fake.before = check_is_documented;
    fake.opaque = &seen;
    save(f);
    fake.before = NULL;
    assert_int_equal(seen, 0x3f);
}

/* Up to a step: 0 load_host(), 1 load_kvm(), 2 resume. */
static void begin_load(Fixture *f, size_t step)
{
    begin(f);
    if (step >= 1)
        prepare_load(f);
    if (step >= 2)
        assert_true(load_kvm(f, NULL));
}

/* And no fd or mapping is left: tear_down(). */
static void a_load_that_fails_names_the_ioctl(void **state)
{
    static Step *const steps[] = {load_host, load_kvm, try_resume};
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    begin_running(f);
    save(f);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        int n_calls;

        begin_load(f, i);
        n_calls = run_step(f, steps[i], 0, 0);
        for (int at = 1; at <= n_calls; at++)
            for (size_t k = 0; k < G_N_ELEMENTS(errnos); k++) {
                begin_load(f, i);
                run_step(f, steps[i], at, errnos[k]);
            }
    }
}

/* --- Hostile bytes --- */

/* The state with some bytes changed, and a checksum that fits. */
static GBytes *edit(GBytes *bytes, size_t offset, const void *with, size_t len)
{
    size_t size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    uint8_t *copy = g_memdup2(data, size);
    uint32_t sum;

    assert_true(offset + len <= size);
    memcpy(copy + offset, with, len);
    sum = blob_checksum(copy, size - BLOB_CHECKSUM_SIZE);
    memcpy(copy + size - BLOB_CHECKSUM_SIZE, &sum, sizeof(sum));
    return g_bytes_new_take(copy, size);
}

/* Where a section's bytes begin. */
static size_t find_section(GBytes *bytes, const char *tag)
{
    size_t size, at = BLOB_HEADER_SIZE;
    const uint8_t *data = g_bytes_get_data(bytes, &size);

    while (at < size - BLOB_CHECKSUM_SIZE) {
        uint32_t len;

        if (!memcmp(data + at, tag, BLOB_TAG_SIZE))
            return at + BLOB_SECTION_SIZE;
        memcpy(&len, data + at + 8, sizeof(len));
        at += BLOB_SECTION_SIZE + len;
    }
    fail_msg("no section %s", tag);
    return 0;
}

static GBytes *edit_u32(GBytes *bytes, const char *tag, size_t offset, uint32_t value)
{
    return edit(bytes, find_section(bytes, tag) + offset, &value, sizeof(value));
}

static void assert_is_refused(Fixture *f, GBytes *state, bool is_host, const char *what)
{
    g_autoptr(GError) error = NULL;
    int n_changes = fake.n_changes;
    bool ok = is_host ? vcpuhp_kvm_load_host(f->hp, state, &error)
                      : vcpuhp_kvm_load(f->hp, state, &error);

    assert_error(ok, &error, VCPUHP_ERROR_STATE, what);
    assert_int_equal(fake.n_changes, n_changes);
}

/* A machine to be loaded into, up to KVM's state. */
static void prepare(Fixture *f)
{
    begin_running(f);
    save(f);
    begin(f);
    prepare_load(f);
}

static void any_damage_is_refused_and_changes_nothing(void **state)
{
    Fixture *f = *state;

    prepare(f);
    for (int is_host = 0; is_host < 2; is_host++) {
        GBytes *bytes = is_host ? f->host_state : f->kvm_state;
        size_t size;
        const uint8_t *data = g_bytes_get_data(bytes, &size);

        for (size_t i = 0; i < size; i++) {
            g_autofree uint8_t *copy = g_memdup2(data, size);
            g_autoptr(GBytes) flipped = NULL, cut = g_bytes_new_static(data, i);

            copy[i] ^= 1 << i % 8;
            flipped = g_bytes_new_static(copy, size);
            assert_is_refused(f, flipped, is_host, "");
            assert_is_refused(f, cut, is_host, "");
        }
    }
    assert_true(load_kvm(f, NULL));
}

static void a_vcpu_that_the_library_has_off_is_refused_by_number(void **state)
{
    Fixture *f = *state;
    size_t size, values;
    g_autoptr(GBytes) edited = NULL;

    prepare(f);
    size =
        find_section(f->kvm_state, "DIST") - BLOB_SECTION_SIZE - find_section(f->kvm_state, "VCPU");
    values = size / 2;
    edited = edit_u32(f->kvm_state, "VCPU", values, NEVER_ON);
    assert_is_refused(f, edited, false, "vCPU 1 is off in KVM's state, but on in the library's");
    g_bytes_unref(edited);
    edited = edit_u32(f->kvm_state, "VCPU", 0, UINT32_MAX);
    assert_is_refused(f, edited, false, "vCPU 0 is off in KVM's state, but on in the library's");
}

static void a_state_of_other_vcpus_is_refused_by_number(void **state)
{
    Fixture *f = *state;
    g_autoptr(GBytes) more = NULL;

    begin_running(f);
    assert_int_equal(turn_on(f, NEVER_ON), PSCI_RET_SUCCESS);
    assert_non_null(vcpuhp_kvm_enter(f->hp, NEVER_ON));
    more = vcpuhp_kvm_save(f->hp, NULL);
    turn_off(f, NEVER_ON);
    save(f);
    begin(f);
    prepare_load(f);
    assert_is_refused(f, more, false, "vCPU 3 is on in KVM's state, but off in the library's");
}

static void values_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *tag;
        size_t offset;
        uint32_t value;
        const char *what;
    } edits[] = {
        {"VCPU", 4, 77, "the KVM_MP_STATE of vCPU 0 is 77"},
        {"VCPU", 8, 0xf0, "the events of vCPU 0 are 0xf0"},
        {"REGS", 0, 0x14c005, "which is no register of this machine's vCPUs"},
        {"PRIV", 0, N_VCPUS, "section PRIV has vCPU 5 where 0 … 4 can follow"},
    };
    Fixture *f = *state;

    prepare(f);
    for (size_t i = 0; i < G_N_ELEMENTS(edits); i++) {
        g_autoptr(GBytes) edited =
            edit_u32(f->kvm_state, edits[i].tag, edits[i].offset, edits[i].value);

        assert_is_refused(f, edited, false, edits[i].what);
    }
}

/* With a checksum that fits, each byte in turn. What is loaded is garbage, but a guest's own. */
static void whatever_the_bytes_are_only_the_guests_state_changes(void **state)
{
    Fixture *f = *state;
    size_t size;

    f->config.gic.n_irqs = 64;
    begin_running(f);
    save(f);
    size = g_bytes_get_size(f->kvm_state);
    for (size_t i = BLOB_HEADER_SIZE; i < size - BLOB_CHECKSUM_SIZE; i++) {
        const uint8_t *bytes = g_bytes_get_data(f->kvm_state, NULL);
        uint8_t value = bytes[i] ^ 0xff;
        g_autoptr(GBytes) edited = edit(f->kvm_state, i, &value, 1);
        g_autoptr(GError) error = NULL;

        begin(f);
        prepare_load(f);
        if (!vcpuhp_kvm_load(f->hp, edited, &error) &&
            !g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STATE) &&
            !g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM))
            fail_msg("byte %zu: %s", i, error->message);
        assert_int_equal(fake.isar0, f->host.isar0);
        assert_int_equal(fake.psci_version, f->host.psci_version);
        for (uint32_t j = 0; j < N_VCPUS; j++)
            assert_int_equal(fake.vcpus[j].mpidr, 1ull << 31 | j);
    }
}

/* One that the guest cannot change must not be changed by a state that claims to be of a guest. */
static void only_registers_of_the_guest_are_written(void **state)
{
    static const uint64_t ids[] = {ARM64_SYS_REG(3, 0, 0, 0, 5), ARM64_SYS_REG(3, 0, 0, 6, 0),
                                   KVM_REG_ARM_TIMER_CNT, KVM_REG_ARM_PSCI_VERSION};
    Fixture *f = *state;

    prepare(f);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autoptr(GBytes) edited =
            edit(f->kvm_state, find_section(f->kvm_state, "REGS"), &ids[i], sizeof(ids[i]));

        assert_is_refused(f, edited, false, "which is no register");
    }
}

static void a_description_has_registers_of_the_host_only(void **state)
{
    const uint64_t id = ARM64_SYS_REG(3, 0, 1, 0, 0); /* SCTLR_EL1 */
    Fixture *f = *state;
    g_autoptr(GBytes) edited = NULL;

    begin(f);
    save_host(f);
    edited = edit(f->host_state, find_section(f->host_state, "HOST"), &id, sizeof(id));
    assert_is_refused(f, edited, true, "which is not the host's");
}

static void each_section_has_the_size_that_the_machine_asks_for(void **state)
{
    static const char *const tags[] = {"REGS", "VCPU", "DIST", "PRIV",
                                       "PEND", "CPUI", "ITSR", "TIME"};
    Fixture *f = *state;
    size_t size;
    const uint8_t *data;

    prepare(f);
    data = g_bytes_get_data(f->kvm_state, &size);
    for (size_t i = 0; i < G_N_ELEMENTS(tags); i++) {
        size_t at = find_section(f->kvm_state, tags[i]);
        GByteArray *longer = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        uint32_t len, total = (uint32_t)size + 3, sum;

        memcpy(&len, data + at - 4, sizeof(len));
        len += 3;
        g_byte_array_append(longer, data, (guint)at);
        memcpy(longer->data + at - 4, &len, sizeof(len));
        memcpy(longer->data + 12, &total, sizeof(total));
        g_byte_array_append(longer, (const uint8_t *)"\1\1\1", 3);
        g_byte_array_append(longer, data + at, (guint)(size - at - BLOB_CHECKSUM_SIZE));
        sum = blob_checksum(longer->data, longer->len);
        g_byte_array_append(longer, (const uint8_t *)&sum, sizeof(sum));
        bytes = g_byte_array_free_to_bytes(longer);
        assert_is_refused(f, bytes, false, "");
    }
}

int main(void)
{
    static bool lend_too = true;

#define EITHER(name)                                                                               \
    {#name, name, set_up, tear_down, NULL},                                                        \
    {                                                                                              \
#name "_lent", name, set_up, tear_down, &lend_too                                          \
    }
#define OWN(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EITHER(a_vcpu_that_is_on_has_its_registers_again),
        EITHER(a_vcpu_that_is_on_goes_on_without_an_init_or_an_entry),
        EITHER(a_vcpu_that_waits_goes_on_waiting),
        EITHER(a_machine_that_was_loaded_can_be_saved_at_once),
        EITHER(a_vcpu_that_is_off_starts_clean),
        EITHER(a_vcpu_that_went_on_is_clean_when_it_is_turned_on_again),
        EITHER(a_vcpu_that_is_on_pending_starts_at_its_entry),
        EITHER(what_the_targets_kvm_run_holds_is_not_carried_out),
        EITHER(a_vcpu_that_goes_on_is_not_warmed_up),
        EITHER(a_vcpu_without_a_thread_is_stopped),
        OWN(the_pmus_counters_are_enabled_as_they_were),
        OWN(the_counters_are_set_once_and_last),
        EITHER(a_gicv3_goes_along),
        EITHER(the_private_interrupts_of_a_vcpu_that_was_on_go_along),
        OWN(an_sgi_waits_for_a_vcpu_that_was_never_on),
        OWN(a_reset_after_the_move_includes_what_was_loaded),
        EITHER(a_gicv2_goes_along),
        EITHER(an_its_goes_along),
        OWN(tables_are_written_by_a_save_and_read_by_a_load),
        OWN(the_event_line_is_what_the_requests_say),
        OWN(a_vgic_that_is_busy_for_a_moment_is_tried_again),
        OWN(a_vgic_that_stays_busy_is_an_error),
        OWN(state_needs_a_setup),
        EITHER(a_load_follows_the_hosts_and_the_librarys),
        OWN(a_machine_that_has_run_is_not_loaded),
        OWN(a_load_that_failed_is_not_repeated),
        EITHER(a_host_that_is_the_same_is_left_as_it_is),
        OWN(a_target_is_narrowed_to_what_the_source_had),
        OWN(a_target_with_more_priority_bits_gets_those_of_the_source),
        OWN(another_cpu_is_refused_by_register_and_values),
        OWN(a_feature_that_the_host_lacks_is_refused_by_register_and_values),
        OWN(an_older_psci_is_refused_by_both_versions),
        OWN(a_psci_version_that_no_guest_sees_does_not_matter),
        OWN(another_filter_is_refused),
        OWN(counters_that_cannot_be_chosen_are_refused),
        OWN(other_vector_lengths_are_refused),
        OWN(other_features_are_refused_by_name),
        OWN(an_older_vgic_is_refused),
        OWN(fewer_priority_bits_are_refused),
        OWN(registers_that_the_target_lacks_are_refused_before_anything_is_written),
        OWN(a_register_that_the_vmm_hid_is_not_described),
        EITHER(a_save_that_fails_names_the_ioctl_and_can_be_repeated),
        EITHER(a_save_makes_the_ioctls_that_a_filter_allows_and_no_other),
        EITHER(a_load_that_fails_names_the_ioctl),
        OWN(any_damage_is_refused_and_changes_nothing),
        OWN(a_vcpu_that_the_library_has_off_is_refused_by_number),
        OWN(a_state_of_other_vcpus_is_refused_by_number),
        OWN(values_that_make_no_sense_are_refused),
        OWN(whatever_the_bytes_are_only_the_guests_state_changes),
        OWN(only_registers_of_the_guest_are_written),
        OWN(a_description_has_registers_of_the_host_only),
        OWN(each_section_has_the_size_that_the_machine_asks_for),
    };

    return cmocka_run_group_tests_name("kvm_state", tests, NULL, NULL);
}
