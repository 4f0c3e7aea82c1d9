/* SPDX-License-Identifier: BSD-3-Clause */
/* The vGIC: created as the config says, and reset to what it was at boot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/psci.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vcpuhp/kvm.h>
#include <vcpuhp/psci.h>
#include "fake_kvm.h"
#include "fake_vmm.h"

#define N_VCPUS 4

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static const VcpuhpCallbacks callbacks = {
    .size = sizeof(VcpuhpCallbacks), .vcpu_start = on_start, .vcpu_kick = on_kick};

static VcpuhpConfig config;
static VcpuhpKvmConfig kvm;

static void begin(uint32_t version)
{
    vcpuhp_kvm_config_init(&kvm, fake_kvm_begin(&fake_modern_host));
    vcpuhp_config_init(&config, N_VCPUS, N_VCPUS);
    if (version == 2) {
        config.gic.version = 2;
        config.gic.cpu_base = 0x08010000;
    }
}

static Vcpuhp *setup(void)
{
    g_autoptr(GError) error = NULL;
    Vcpuhp *hp = vcpuhp_new(&config, &callbacks, NULL, &error);

    if (!hp || !vcpuhp_kvm_setup(hp, &kvm, &error))
        fail_msg("%s", error->message);
    return hp;
}

static void end(Vcpuhp *hp)
{
    vcpuhp_free(hp);
    assert_int_equal(fake_open_fds(), 0);
    assert_int_equal(fake_mappings(), 0);
    fake_kvm_end();
}

/* --- Creating it --- */

static void redistributors_come_in_the_regions_of_the_config(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(3);
    config.gic.redists[0] = (VcpuhpRedist){0x0a000000, 1};
    config.gic.redists[1] = (VcpuhpRedist){0x4000000000, 5};
    config.gic.n_redists = 2;
    hp = setup();
    assert_int_equal(fake.vgic.n_regions, 2);
    assert_int_equal(fake.vgic.regions[0], 1ull << 52 | 0x0a000000 | 0);
    assert_int_equal(fake.vgic.regions[1], 5ull << 52 | 0x4000000000 | 1);
    end(hp);
}

static void the_distributor_is_where_and_as_large_as_the_config_says(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(3);
    config.gic.dist_base = 0x30000000;
    config.gic.n_irqs = 992;
    hp = setup();
    assert_int_equal(fake.vgic.dist_base, 0x30000000);
    assert_int_equal(fake.vgic.n_irqs, 992);
    assert_int_equal(fake.vgic.type, KVM_DEV_TYPE_ARM_VGIC_V3);
    end(hp);
}

static void an_its_is_made_if_the_config_has_one(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(3);
    config.gic.its_base = 0x08080000;
    hp = setup();
    assert_int_equal(fake.vgic.its_base, 0x08080000);
    assert_true(fake.vgic.its_initialised);
    assert_true(vcpuhp_kvm_its_fd(hp) >= 0);
    end(hp);
}

static void a_gicv2_has_a_cpu_interface_and_no_redistributors(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(2);
    hp = setup();
    assert_int_equal(fake.vgic.type, KVM_DEV_TYPE_ARM_VGIC_V2);
    assert_int_equal(fake.vgic.dist_base, 0x08000000);
    assert_int_equal(fake.vgic.cpu_base, 0x08010000);
    assert_int_equal(fake.vgic.n_regions, 0);
    end(hp);
}

/* --- Lending it --- */

/* Close what was lent, which the library must have left open. */
static void end_lent(Vcpuhp *hp)
{
    vcpuhp_free(hp);
    fake_vmm_free(&config, &kvm);
    end(NULL);
}

static void assert_lent_is_refused(const char *what)
{
    g_autoptr(GError) error = NULL;
    int n_changes = fake.n_changes;
    Vcpuhp *hp = vcpuhp_new(&config, &callbacks, NULL, NULL);

    assert_false(vcpuhp_kvm_setup(hp, &kvm, &error));
    if (!g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_INVALID) ||
        !strstr(error->message, what))
        fail_msg("\"%s\" is not INVALID or does not say \"%s\"", error->message, what);
    assert_int_equal(fake.n_changes, n_changes);
    end_lent(hp);
}

static void a_lent_vgic_is_initialised_after_the_vcpus_and_left_open(void **state)
{
    static const uint32_t versions[] = {2, 3};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        Vcpuhp *hp;

        begin(versions[i]);
        fake_vmm_create_vgic(&config, &kvm);
        hp = setup();
        assert_true(fake.vgic.initialised);
        assert_int_equal(vcpuhp_kvm_vgic_fd(hp), kvm.vgic_fd);
        end_lent(hp);
    }
}

static void a_lent_vgic_of_the_other_version_is_refused(void **state)
{
    (void)state;
    begin(3);
    fake_vmm_create_vgic(&config, &kvm);
    config.gic.version = 2;
    config.gic.cpu_base = 0x08010000;
    assert_lent_is_refused("not a KVM GICv2 device, but gic.version is 2");
}

static void a_lent_vgic_with_another_distributor_is_refused(void **state)
{
    static const uint32_t versions[] = {2, 3};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        begin(versions[i]);
        fake_vmm_create_vgic(&config, &kvm);
        config.gic.dist_base = 0x30000000;
        assert_lent_is_refused("the distributor is at 0x8000000, but gic.dist_base is 0x30000000");
    }
}

static void a_lent_vgic_without_addresses_is_refused(void **state)
{
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

    (void)state;
    begin(3);
    assert_int_equal(ioctl(kvm.vm_fd, KVM_CREATE_DEVICE, &device), 0);
    kvm.vgic_fd = (int)device.fd;
    assert_lent_is_refused("the distributor has no address, but gic.dist_base is 0x8000000");
}

static void a_lent_gicv2_with_another_cpu_interface_is_refused(void **state)
{
    (void)state;
    begin(2);
    fake_vmm_create_vgic(&config, &kvm);
    config.gic.cpu_base = 0x08020000;
    assert_lent_is_refused("the CPU interface is at 0x8010000, but gic.cpu_base is 0x8020000");
}

static void use_two_regions(void)
{
    config.gic.redists[0] = (VcpuhpRedist){0x0a000000, 1};
    config.gic.redists[1] = (VcpuhpRedist){0x4000000000, 5};
    config.gic.n_redists = 2;
}

static void a_lent_vgic_with_other_redistributor_regions_is_refused(void **state)
{
    (void)state;
    begin(3);
    use_two_regions();
    fake_vmm_create_vgic(&config, &kvm);
    config.gic.redists[1].base = 0x5000000000;
    assert_lent_is_refused("redistributor region 1 is at 0x4000000000, but gic.redists[1].base is "
                           "0x5000000000");
    begin(3);
    use_two_regions();
    fake_vmm_create_vgic(&config, &kvm);
    config.gic.redists[1].count = 4;
    assert_lent_is_refused(
        "redistributor region 1 has a count of 5, but gic.redists[1].count is 4");
}

static void a_lent_vgic_with_more_or_fewer_redistributor_regions_is_refused(void **state)
{
    (void)state;
    begin(3);
    use_two_regions();
    fake_vmm_create_vgic(&config, &kvm);
    config.gic.redists[2] = (VcpuhpRedist){0x5000000000, 1};
    config.gic.n_redists = 3;
    assert_lent_is_refused("a vGIC with 2 redistributor regions, but gic.n_redists is 3");
    begin(3);
    use_two_regions();
    config.gic.redists[0].count = 4;
    fake_vmm_create_vgic(&config, &kvm);
    config.gic.n_redists = 1;
    assert_lent_is_refused("a vGIC with at least 2 redistributor regions, but gic.n_redists is 1");
}

/* KVM_VGIC_V3_ADDR_TYPE_REDIST, which KVM had before it had regions. */
static void lend_vgic_with_legacy_redistributors(uint64_t base)
{
    config.gic.n_redists = 0;
    fake_vmm_create_vgic(&config, &kvm);
    fake_vmm_set_attr(kvm.vgic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, base);
    config.gic.n_redists = 1;
}

static void a_lent_vgic_may_have_the_one_region_without_a_count(void **state)
{
    (void)state;
    begin(3);
    lend_vgic_with_legacy_redistributors(config.gic.redists[0].base);
    end_lent(setup());
    begin(3);
    lend_vgic_with_legacy_redistributors(0x10000000);
    assert_lent_is_refused(
        "redistributor region 0 is at 0x10000000, but gic.redists[0].base is 0xa000000");
}

static void a_lent_vgic_with_another_number_of_interrupts_is_refused(void **state)
{
    (void)state;
    begin(3);
    fake_vmm_create_vgic(&config, &kvm);
    config.gic.n_irqs = 288;
    assert_lent_is_refused("a vGIC of 256 interrupts, but gic.n_irqs is 288");
}

static void a_lent_its_at_another_address_is_refused(void **state)
{
    (void)state;
    begin(3);
    config.gic.its_base = 0x08080000;
    fake_vmm_create_vgic(&config, &kvm);
    config.gic.its_base = 0x080c0000;
    assert_lent_is_refused("the ITS is at 0x8080000, but gic.its_base is 0x80c0000");
}

static void an_its_fd_that_is_none_is_refused(void **state)
{
    (void)state;
    begin(3);
    config.gic.its_base = 0x08080000;
    fake_vmm_create_vgic(&config, &kvm);
    assert_int_equal(close(kvm.its_fd), 0);
    kvm.its_fd = dup(kvm.vm_fd);
    assert_lent_is_refused("not a KVM device with the ITS");
}

static void a_lent_its_is_reset_and_left_open(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(3);
    config.gic.its_base = 0x08080000;
    fake_vmm_create_vgic(&config, &kvm);
    hp = setup();
    assert_int_equal(vcpuhp_kvm_its_fd(hp), kvm.its_fd);
    assert_true(vcpuhp_reset(hp, NULL));
    assert_int_equal(fake.vgic.n_its_resets, 1);
    end_lent(hp);
}

/* KVM then creates no vCPU. */
static void a_lent_vgic_that_is_initialised_is_refused_without_vcpus(void **state)
{
    (void)state;
    begin(3);
    fake_vmm_create_vgic(&config, &kvm);
    fake_vmm_init_vgic(&config, &kvm);
    assert_lent_is_refused("a vGIC that is initialised, after which KVM creates no vCPU");
}

static void a_lent_vgic_that_is_not_initialised_is_refused_with_vcpus(void **state)
{
    FakeVmm vmm;

    (void)state;
    begin(3);
    fake_vmm_create_vcpus(&vmm, &config, &kvm);
    fake_vmm_create_vgic(&config, &kvm);
    assert_lent_is_refused("a vGIC that is not initialised, but vcpu_fds is set");
}

/* It does so when it first needs to. */
static void kvm_initialises_a_lent_gicv2_itself(void **state)
{
    FakeVmm vmm;
    Vcpuhp *hp;

    (void)state;
    begin(2);
    fake_vmm_create_vcpus(&vmm, &config, &kvm);
    fake_vmm_create_vgic(&config, &kvm);
    hp = setup();
    assert_false(fake.vgic.initialised);
    assert_true(vcpuhp_reset(hp, NULL));
    assert_true(fake.vgic.initialised);
    end_lent(hp);
}

/* --- Resetting it --- */

typedef struct GicState {
    FakeIrq spis[1024], private[N_VCPUS][FAKE_N_PRIVATE];
    FakeCpuInterface cpu[N_VCPUS];
    uint32_t ctlr, gicr_ctlr[N_VCPUS];
    uint64_t propbaser[N_VCPUS], pendbaser[N_VCPUS];
} GicState;

static GicState *gic_state(void)
{
    GicState *s = g_new0(GicState, 1);

    memcpy(s->spis, fake.vgic.spis, sizeof(s->spis));
    s->ctlr = fake.vgic.ctlr;
    for (uint32_t i = 0; i < N_VCPUS; i++) {
        memcpy(s->private[i], fake.vcpus[i].irqs, sizeof(s->private[i]));
        s->cpu[i] = fake.vcpus[i].cpu;
        s->gicr_ctlr[i] = fake.vcpus[i].gicr_ctlr;
        /* Of no meaning without LPIs. */
        s->propbaser[i] = config.gic.its_base ? fake.vcpus[i].propbaser : 0;
        s->pendbaser[i] = fake.vcpus[i].pendbaser;
    }
    return s;
}

static void dirty_irq(FakeIrq *irq, uint32_t intid)
{
    /* The redistributors' and the banked interrupts' trigger is fixed. */
    *irq = (FakeIrq){.enabled = intid >= 16,
                     .active = true,
                     .pending = true,
                     .group1 = !irq->group1,
                     .edge = intid < 32 ? irq->edge : false,
                     .priority = 0xa0};
    if (intid >= 32 && config.gic.version == 2)
        irq->targets = 2;
    else if (intid >= 32)
        irq->router = 3;
}

static void dirty_cpu_interface(FakeCpuInterface *cpu)
{
    bool v3 = config.gic.version == 3;
    uint32_t n_active = !v3 ? 1 : fake.vgic.pri_bits == 7 ? 4 : fake.vgic.pri_bits == 6 ? 2 : 1;

    cpu->ctlr |= 3;
    cpu->pmr = 0xf0;
    cpu->bpr0 = cpu->bpr1 = 5;
    for (uint32_t i = 0; i < n_active; i++)
        cpu->ap1r[i] = 1 << i;
    if (!v3)
        return;
    cpu->igrpen0 = cpu->igrpen1 = 1;
    for (uint32_t i = 0; i < n_active; i++)
        cpu->ap0r[i] = 1 << i;
}

static void dirty_vcpu(FakeVcpu *v)
{
    for (uint32_t i = 0; i < FAKE_N_PRIVATE; i++)
        dirty_irq(&v->irqs[i], i);
    dirty_cpu_interface(&v->cpu);
    if (config.gic.version == 2)
        return;
    v->gicr_ctlr = 1;
    v->propbaser = 0x1234567800000780;
    v->pendbaser = 0x40000000a0000780;
}

/* What a guest leaves behind in the distributor and in its vCPUs; the others have got SGIs. */
static void dirty(uint32_t n_ran)
{
    fake.vgic.ctlr = 1;
    for (uint32_t i = 32; i < config.gic.n_irqs; i++)
        dirty_irq(&fake.vgic.spis[i], i);
    for (uint32_t i = 0; i < n_ran; i++)
        dirty_vcpu(&fake.vcpus[i]);
    for (uint32_t i = n_ran; i < N_VCPUS; i++)
        for (uint32_t j = 0; j < 16; j++)
            fake.vcpus[i].irqs[j].pending = true;
}

/* vCPUs 0 … n-1 have been on, and the machine is stopped. */
static void run_and_stop(Vcpuhp *hp, uint32_t n)
{
    const VcpuhpEntry entry = {.size = sizeof(entry), .address = 0x40000000};
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    assert_true(vcpuhp_start(hp, &entry, NULL));
    assert_non_null(vcpuhp_kvm_enter(hp, 0));
    for (uint32_t i = 1; i < n; i++) {
        uint64_t x[4] = {PSCI_0_2_FN64_CPU_ON, 0, entry.address};

        assert_true(vcpuhp_query(hp, i, &info, NULL));
        x[1] = info.mpidr;
        vcpuhp_psci_call(hp, 0, x, false);
        assert_int_equal(x[0], PSCI_RET_SUCCESS);
        assert_non_null(vcpuhp_kvm_enter(hp, i));
    }
    vcpuhp_stop(hp);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(vcpuhp_kvm_handle_exit(hp, i, EINTR), VCPUHP_KVM_EXIT_PARK);
}

static void assert_reset_after(Vcpuhp *hp, uint32_t n_ran)
{
    g_autofree GicState *boot = gic_state(), *after = NULL;
    g_autoptr(GError) error = NULL;

    run_and_stop(hp, n_ran);
    dirty(n_ran);
    if (!vcpuhp_reset(hp, &error))
        fail_msg("%s", error->message);
    after = gic_state();
    for (uint32_t i = 0; i < 1024; i++)
        assert_memory_equal(&boot->spis[i], &after->spis[i], sizeof(FakeIrq));
    assert_memory_equal(boot, after, sizeof(*boot));
}

static void assert_reset(Vcpuhp *hp)
{
    assert_reset_after(hp, N_VCPUS);
}

static void a_gicv3_is_as_at_boot_after_a_reset(void **state)
{
    (void)state;
    for (uint32_t pri_bits = 5; pri_bits <= 7; pri_bits++) {
        Vcpuhp *hp;

        begin(3);
        hp = setup();
        fake.vgic.pri_bits = pri_bits;
        for (uint32_t i = 0; i < N_VCPUS; i++)
            fake.vcpus[i].cpu.ctlr = (pri_bits - 1) << 8;
        assert_reset(hp);
        end(hp);
    }
}

static void a_gicv2_is_as_at_boot_after_a_reset(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(2);
    hp = setup();
    assert_reset(hp);
    end(hp);
}

static void affinities_of_the_configs_own_are_reset_too(void **state)
{
    static const uint64_t mpidrs[] = {0x010203, 0xffff0f, 0, 0x100};
    Vcpuhp *hp;

    (void)state;
    begin(3);
    config.mpidrs = mpidrs;
    hp = setup();
    assert_reset(hp);
    end(hp);
}

static void an_its_is_reset_before_the_redistributors(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(3);
    config.gic.its_base = 0x08080000;
    hp = setup();
    assert_reset(hp);
    assert_int_equal(fake.vgic.n_its_resets, 1);
    end(hp);
}

static void a_vcpu_that_never_ran_loses_the_sgis_that_it_got(void **state)
{
    static const uint32_t versions[] = {2, 3};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        Vcpuhp *hp;

        begin(versions[i]);
        hp = setup();
        assert_reset_after(hp, 1);
        assert_reset_after(hp, N_VCPUS);
        assert_reset_after(hp, 1);
        end(hp);
    }
}

/* A vCPU that is in an ioctl of the VMM's own makes KVM refuse with EBUSY. */
static void a_vgic_that_is_busy_for_a_moment_is_reset_all_the_same(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(3);
    config.gic.its_base = 0x08080000;
    hp = setup();
    for (int i = 1; i < 10; i++) {
        fake.fail_at = fake.n_calls + i;
        fake.n_fail = 3;
        fake.fail_errno = EBUSY;
        assert_true(vcpuhp_reset(hp, NULL));
    }
    end(hp);
}

static void a_vgic_that_stays_busy_fails_the_reset(void **state)
{
    g_autoptr(GError) error = NULL;
    Vcpuhp *hp;

    (void)state;
    begin(3);
    hp = setup();
    fake.fail_at = fake.n_calls + 1;
    fake.n_fail = 1000;
    fake.fail_errno = EBUSY;
    assert_false(vcpuhp_reset(hp, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM));
    assert_non_null(strstr(error->message, g_strerror(EBUSY)));
    fake.fail_at = 0;
    assert_true(vcpuhp_reset(hp, NULL));
    end(hp);
}

static void input_lines_are_left_to_their_drivers(void **state)
{
    Vcpuhp *hp;

    (void)state;
    begin(3);
    config.n_enabled = 1;
    hp = setup();
    assert_true(vcpuhp_plug(hp, 1, 0, 0, NULL, NULL));
    assert_true(fake.vgic.spis[config.event_irq].line);
    assert_true(vcpuhp_reset(hp, NULL));
    assert_true(fake.vgic.spis[config.event_irq].line);
    end(hp);
}

static void each_register_that_fails_is_named(void **state)
{
    static const uint32_t versions[] = {2, 3};

    (void)state;
    for (size_t v = 0; v < G_N_ELEMENTS(versions); v++) {
        int first, last;
        Vcpuhp *hp;

        begin(versions[v]);
        config.gic.n_irqs = 64;
        if (versions[v] == 3)
            config.gic.its_base = 0x08080000;
        hp = setup();
        run_and_stop(hp, N_VCPUS);
        first = fake.n_calls;
        assert_true(vcpuhp_reset(hp, NULL));
        last = fake.n_calls;
        for (int i = 1; i <= last - first; i++) {
            g_autoptr(GError) error = NULL;

            run_and_stop(hp, N_VCPUS);
            fake.fail_at = fake.n_calls + i;
            assert_false(vcpuhp_reset(hp, &error));
            assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM));
            assert_true(g_str_has_prefix(error->message, fake.failed));
            assert_non_null(strstr(error->message, g_strerror(EIO)));
            fake.fail_at = 0;
            assert_true(vcpuhp_reset(hp, NULL));
        }
        end(hp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redistributors_come_in_the_regions_of_the_config),
        cmocka_unit_test(the_distributor_is_where_and_as_large_as_the_config_says),
        cmocka_unit_test(an_its_is_made_if_the_config_has_one),
        cmocka_unit_test(a_gicv2_has_a_cpu_interface_and_no_redistributors),
        cmocka_unit_test(a_lent_vgic_is_initialised_after_the_vcpus_and_left_open),
        cmocka_unit_test(a_lent_vgic_of_the_other_version_is_refused),
        cmocka_unit_test(a_lent_vgic_with_another_distributor_is_refused),
        cmocka_unit_test(a_lent_vgic_without_addresses_is_refused),
        cmocka_unit_test(a_lent_gicv2_with_another_cpu_interface_is_refused),
        cmocka_unit_test(a_lent_vgic_with_other_redistributor_regions_is_refused),
        cmocka_unit_test(a_lent_vgic_with_more_or_fewer_redistributor_regions_is_refused),
        cmocka_unit_test(a_lent_vgic_may_have_the_one_region_without_a_count),
        cmocka_unit_test(a_lent_vgic_with_another_number_of_interrupts_is_refused),
        cmocka_unit_test(a_lent_its_at_another_address_is_refused),
        cmocka_unit_test(an_its_fd_that_is_none_is_refused),
        cmocka_unit_test(a_lent_its_is_reset_and_left_open),
        cmocka_unit_test(a_lent_vgic_that_is_initialised_is_refused_without_vcpus),
        cmocka_unit_test(a_lent_vgic_that_is_not_initialised_is_refused_with_vcpus),
        cmocka_unit_test(kvm_initialises_a_lent_gicv2_itself),
        cmocka_unit_test(a_gicv3_is_as_at_boot_after_a_reset),
        cmocka_unit_test(a_gicv2_is_as_at_boot_after_a_reset),
        cmocka_unit_test(affinities_of_the_configs_own_are_reset_too),
        cmocka_unit_test(an_its_is_reset_before_the_redistributors),
        cmocka_unit_test(a_vcpu_that_never_ran_loses_the_sgis_that_it_got),
        cmocka_unit_test(a_vgic_that_is_busy_for_a_moment_is_reset_all_the_same),
        cmocka_unit_test(a_vgic_that_stays_busy_fails_the_reset),
        cmocka_unit_test(input_lines_are_left_to_their_drivers),
        cmocka_unit_test(each_register_that_fails_is_named),
    };

    return cmocka_run_group_tests_name("gic", tests, NULL, NULL);
}
