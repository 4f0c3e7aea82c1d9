/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPUs of the VMM's own: what contradicts the config is refused by name before anything changes.
 * What a lent vCPU does afterwards is in test_kvm.c, its vGIC in test_gic.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vcpuhp/kvm.h>
#include "fake_kvm.h"
#include "fake_vmm.h"

#define N_VCPUS 4

typedef struct Fixture {
    FakeVmm vmm;
    VcpuhpConfig config;
    VcpuhpKvmConfig kvm;
    Vcpuhp *hp;
} Fixture;

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

static int set_up(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    vcpuhp_kvm_config_init(&f->kvm, fake_kvm_begin(&fake_modern_host));
    vcpuhp_config_init(&f->config, N_VCPUS, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    vcpuhp_free(f->hp);
    fake_vmm_free(&f->config, &f->kvm);
    assert_int_equal(fake_open_fds(), 0);
    assert_int_equal(fake_mappings(), 0);
    fake_kvm_end();
    g_free(f);
    return 0;
}

/* What kvm.h demands. */
static void lend(Fixture *f)
{
    fake_vmm_create_vcpus(&f->vmm, &f->config, &f->kvm);
    fake_vmm_create_vgic(&f->config, &f->kvm);
    fake_vmm_init_vgic(&f->config, &f->kvm);
}

static void assert_refused_as(Fixture *f, int code, const char *what)
{
    g_autoptr(GError) error = NULL;
    int n_changes = fake.n_changes;

    g_clear_pointer(&f->hp, vcpuhp_free);
    f->hp = vcpuhp_new(&f->config, &callbacks, NULL, NULL);
    assert_non_null(f->hp);
    assert_false(vcpuhp_kvm_setup(f->hp, &f->kvm, &error));
    if (!g_error_matches(error, VCPUHP_ERROR, code) || !strstr(error->message, what))
        fail_msg("\"%s\" has another code, or does not say \"%s\"", error->message, what);
    assert_int_equal(fake.n_changes, n_changes);
}

static void assert_refused(Fixture *f, const char *what)
{
    assert_refused_as(f, VCPUHP_ERROR_INVALID, what);
}

static void assert_taken(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    f->hp = vcpuhp_new(&f->config, &callbacks, NULL, NULL);
    if (!vcpuhp_kvm_setup(f->hp, &f->kvm, &error))
        fail_msg("%s", error->message);
}

/* --- Fields --- */

static void vcpus_without_mappings_are_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    f->kvm.vcpu_runs = NULL;
    assert_refused(f, "vcpu_runs is NULL, but vcpu_fds is set");
    f->kvm.vcpu_runs = f->vmm.vcpu_runs;
}

static void vcpus_without_their_init_are_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    f->kvm.vcpu_init = NULL;
    assert_refused(f, "vcpu_init is NULL, but vcpu_fds is set");
}

static void vcpus_without_a_vgic_are_refused(void **state)
{
    Fixture *f = *state;

    fake_vmm_create_vcpus(&f->vmm, &f->config, &f->kvm);
    assert_refused(f, "vgic_fd is -1, but vcpu_fds is set");
}

static void mappings_or_init_without_vcpus_are_refused(void **state)
{
    Fixture *f = *state;

    f->kvm.vcpu_runs = f->vmm.vcpu_runs;
    assert_refused(f, "vcpu_runs is set, but vcpu_fds is NULL");
    f->kvm.vcpu_runs = NULL;
    f->kvm.vcpu_init = &f->vmm.vcpu_init;
    assert_refused(f, "vcpu_init is set, but vcpu_fds is NULL");
}

static void features_for_vcpus_that_have_their_own_are_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    f->kvm.features = VCPUHP_KVM_SVE;
    assert_refused(f, "features is 0x1, but must be 0 with vcpu_fds");
}

static bool prepare(VcpuhpKvmStep step, uint32_t vcpu, int fd, void *opaque, GError **error)
{
    (void)step, (void)vcpu, (void)fd, (void)opaque, (void)error;
    return true;
}

static void a_hook_that_would_never_be_called_is_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    f->kvm.prepare_vcpu = prepare;
    assert_refused(f, "prepare_vcpu is set, but must be NULL with vcpu_fds");
}

static void an_its_goes_with_its_address_and_a_lent_vgic(void **state)
{
    Fixture *f = *state;
    int its_fd;

    f->config.gic.its_base = 0x08080000;
    lend(f);
    its_fd = f->kvm.its_fd;
    f->kvm.its_fd = -1;
    assert_refused(f, "its_fd is -1, but vgic_fd is set and gic.its_base is 0x8080000");
    f->kvm.its_fd = its_fd;
    f->config.gic.its_base = 0;
    assert_refused(f, "but gic.its_base is 0");
    f->kvm.vcpu_fds = NULL;
    f->kvm.vcpu_runs = NULL;
    f->kvm.vcpu_init = NULL;
    its_fd = f->kvm.vgic_fd;
    f->kvm.vgic_fd = -1;
    assert_refused(f, "but vgic_fd is -1");
    f->kvm.vgic_fd = its_fd;
    f->kvm.vcpu_fds = f->vmm.vcpu_fds;
    f->kvm.vcpu_runs = f->vmm.vcpu_runs;
}

/* --- vCPUs --- */

static void vcpus_that_fit_are_taken(void **state)
{
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    f->kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
    lend(f);
    assert_taken(f);
    for (uint32_t i = 0; i < N_VCPUS; i++) {
        assert_int_equal(vcpuhp_kvm_vcpu_fd(f->hp, i), f->vmm.vcpu_fds[i]);
        assert_int_equal(fake.vcpus[i].n_inits, 1);
    }
    assert_int_equal(vcpuhp_kvm_vgic_fd(f->hp), f->kvm.vgic_fd);
}

static void what_was_lent_stays_open_and_mapped(void **state)
{
    Fixture *f = *state;

    lend(f);
    assert_taken(f);
    g_clear_pointer(&f->hp, vcpuhp_free);
    assert_int_equal(fake_open_fds(), N_VCPUS + 1);
    assert_int_equal(fake_mappings(), N_VCPUS);
}

static void a_vcpu_without_a_mapping_is_refused(void **state)
{
    Fixture *f = *state;
    struct kvm_run *run;

    lend(f);
    run = f->vmm.vcpu_runs[2];
    f->vmm.vcpu_runs[2] = NULL;
    assert_refused(f, "vcpu_runs[2] is NULL");
    f->vmm.vcpu_runs[2] = run;
}

static void a_vcpu_with_another_affinity_is_refused(void **state)
{
    static const uint64_t mpidrs[] = {0, 1, 0x100, 0x101};
    Fixture *f = *state;

    lend(f);
    f->config.mpidrs = mpidrs;
    assert_refused(f, "a vCPU with the affinity 0x2, but that of the config is 0x100");
}

static void vcpus_in_another_order_are_refused(void **state)
{
    Fixture *f = *state;
    int fd;

    lend(f);
    fd = f->vmm.vcpu_fds[1];
    f->vmm.vcpu_fds[1] = f->vmm.vcpu_fds[2];
    f->vmm.vcpu_fds[2] = fd;
    assert_refused(f, "vcpu_fds[1] is ");
}

static void an_fd_that_is_no_vcpu_is_refused(void **state)
{
    Fixture *f = *state;
    int fd;

    lend(f);
    fd = f->vmm.vcpu_fds[3];
    f->vmm.vcpu_fds[3] = f->kvm.vm_fd;
    assert_refused(f, "vcpu_fds[3] is ");
    f->vmm.vcpu_fds[3] = fd;
}

static void a_vcpu_that_is_not_initialised_is_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    fake.vcpus[3].initialised = false;
    assert_refused(f, "not a vCPU that is initialised and finalised: KVM_GET_REG_LIST: Exec");
}

static void a_vcpu_that_is_not_finalised_is_refused(void **state)
{
    Fixture *f = *state;

    f->kvm.features = VCPUHP_KVM_SVE;
    lend(f);
    fake.vcpus[3].finalised = false;
    assert_refused(f, "not a vCPU that is initialised and finalised: KVM_GET_REG_LIST: Operation");
}

static void a_vcpu_with_other_features_than_vcpu_0_is_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    fake.vcpus[2].features |= 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS;
    assert_refused(f, "a vCPU with other features than vCPU 0: it has ");
}

static void a_vcpu_with_other_vector_lengths_than_vcpu_0_is_refused(void **state)
{
    Fixture *f = *state;

    f->kvm.features = VCPUHP_KVM_SVE;
    lend(f);
    fake.vcpus[1].vls[0] = 0x3;
    assert_refused(f, "a vCPU with other SVE vector lengths than vCPU 0");
}

static void an_init_without_psci_is_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    f->vmm.vcpu_init.features[0] = 0;
    assert_refused(f, "vcpu_init->features[0] is 0x0, without KVM_ARM_VCPU_PSCI_0_2");
}

static void an_init_with_other_features_than_the_vcpus_is_refused(void **state)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } cases[] = {{KVM_ARM_VCPU_SVE, "KVM_ARM_VCPU_SVE"},
                 {KVM_ARM_VCPU_PTRAUTH_ADDRESS, "KVM_ARM_VCPU_PTRAUTH_ADDRESS"},
                 {KVM_ARM_VCPU_PTRAUTH_GENERIC, "KVM_ARM_VCPU_PTRAUTH_GENERIC"},
                 {KVM_ARM_VCPU_PMU_V3, "KVM_ARM_VCPU_PMU_V3"}};
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    f->kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
    lend(f);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *what = g_strdup_printf("without %s, but the vCPUs", cases[i].name);

        f->vmm.vcpu_init.features[0] ^= 1u << cases[i].bit;
        assert_refused(f, what);
        f->vmm.vcpu_init.features[0] ^= 1u << cases[i].bit;
    }
}

static void an_init_with_a_feature_that_the_vcpus_lack_is_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    f->vmm.vcpu_init.features[0] |= 1u << KVM_ARM_VCPU_SVE;
    assert_refused(f, "with KVM_ARM_VCPU_SVE, but the vCPUs of vcpu_fds lack it");
}

static void an_init_with_a_feature_that_the_host_lacks_is_refused_alike(void **state)
{
    Fixture *f = *state;

    fake.host.sve = false;
    lend(f);
    f->vmm.vcpu_init.features[0] |= 1u << KVM_ARM_VCPU_SVE;
    assert_refused(f, "with KVM_ARM_VCPU_SVE, but the vCPUs of vcpu_fds lack it");
}

static void vcpus_without_the_pmu_of_the_config_are_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    f->config.pmu_irq = 23;
    assert_refused(f, "pmu_irq is 23, but the vCPUs of vcpu_fds have no PMU");
}

static void vcpus_with_a_pmu_that_the_config_lacks_are_refused(void **state)
{
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    lend(f);
    f->config.pmu_irq = 0;
    assert_refused(f, "pmu_irq is 0, but the vCPUs of vcpu_fds have a PMU");
}

static void a_pmu_with_another_interrupt_is_refused(void **state)
{
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    lend(f);
    f->config.pmu_irq = 22;
    assert_refused(f, "a vCPU whose PMU has the interrupt 23, but pmu_irq is 22");
}

static void a_pmu_without_an_interrupt_is_refused(void **state)
{
    Fixture *f = *state;

    f->config.pmu_irq = 23;
    lend(f);
    fake.vcpus[3].pmu_irq = 0;
    assert_refused(f, "a vCPU whose PMU has no interrupt, but pmu_irq is 23");
}

static void a_vm_that_has_run_is_refused(void **state)
{
    Fixture *f = *state;

    lend(f);
    fake.has_run = true;
    assert_refused_as(f, VCPUHP_ERROR_ORDER, "has run already");
}

static void each_ioctl_that_fails_is_named_or_changes_nothing(void **state)
{
    Fixture *f = *state;
    bool done = false;
    int n_changes;

    f->config.pmu_irq = 23;
    f->kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
    lend(f);
    for (int i = 1; !done; i++) {
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&f->hp, vcpuhp_free);
        fake.n_filters = 0;
        n_changes = fake.n_changes;
        f->hp = vcpuhp_new(&f->config, &callbacks, NULL, NULL);
        fake.fail_at = fake.n_calls + i;
        done = vcpuhp_kvm_setup(f->hp, &f->kvm, &error);
        if (done)
            continue;
        assert_int_equal(vcpuhp_kvm_vcpu_fd(f->hp, 0), -1);
        if (g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_KVM))
            assert_non_null(strstr(error->message, g_strerror(EIO)));
        else
            assert_int_equal(fake.n_changes, n_changes);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vcpus_without_mappings_are_refused),
        TEST(vcpus_without_their_init_are_refused),
        TEST(vcpus_without_a_vgic_are_refused),
        TEST(mappings_or_init_without_vcpus_are_refused),
        TEST(features_for_vcpus_that_have_their_own_are_refused),
        TEST(a_hook_that_would_never_be_called_is_refused),
        TEST(an_its_goes_with_its_address_and_a_lent_vgic),
        TEST(vcpus_that_fit_are_taken),
        TEST(what_was_lent_stays_open_and_mapped),
        TEST(a_vcpu_without_a_mapping_is_refused),
        TEST(a_vcpu_with_another_affinity_is_refused),
        TEST(vcpus_in_another_order_are_refused),
        TEST(an_fd_that_is_no_vcpu_is_refused),
        TEST(a_vcpu_that_is_not_initialised_is_refused),
        TEST(a_vcpu_that_is_not_finalised_is_refused),
        TEST(a_vcpu_with_other_features_than_vcpu_0_is_refused),
        TEST(a_vcpu_with_other_vector_lengths_than_vcpu_0_is_refused),
        TEST(an_init_without_psci_is_refused),
        TEST(an_init_with_other_features_than_the_vcpus_is_refused),
        TEST(an_init_with_a_feature_that_the_vcpus_lack_is_refused),
        TEST(an_init_with_a_feature_that_the_host_lacks_is_refused_alike),
        TEST(vcpus_without_the_pmu_of_the_config_are_refused),
        TEST(vcpus_with_a_pmu_that_the_config_lacks_are_refused),
        TEST(a_pmu_with_another_interrupt_is_refused),
        TEST(a_pmu_without_an_interrupt_is_refused),
        TEST(a_vm_that_has_run_is_refused),
        TEST(each_ioctl_that_fails_is_named_or_changes_nothing),
    };

    return cmocka_run_group_tests_name("lent", tests, NULL, NULL);
}
