/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small VMM, compiled with the headers of this release and with those of a later one (grow.py),
 * and linked with the library of this release and with that of a later one. It uses every struct
 * that crosses the border.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/psci.h>
#include <vcpuhp/regs.h>
#include <vcpuhp/vcpuhp.h>
#ifdef HAVE_KVM
#include <vcpuhp/kvm.h>
#endif
#ifdef HEADERS_GROWN
#include "grown.h"
#endif

#define CANARY 0x5a5aa5a5c3c33c3cULL

/* A struct of the caller's, and what lies behind it. */
#define GUARDED(type)                                                                              \
    struct {                                                                                       \
        type value;                                                                                \
        uint64_t canary;                                                                           \
    }

typedef struct Fixture {
    Vcpuhp *hp;
    uint64_t entry_address;
    uint32_t n_ended;
    VcpuhpOutcome outcome;
} Fixture;

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Fixture *f = opaque;

    (void)vcpu;
    f->entry_address = entry->address;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void on_irq(bool level, void *opaque)
{
    (void)level, (void)opaque;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Fixture *f = opaque;
    g_autofree char *text = vcpuhp_event_describe(event);

    assert_non_null(text);
    if (event->kind != VCPUHP_EVENT_ENDED)
        return;
    f->n_ended++;
    f->outcome = event->outcome;
}

static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                          .vcpu_start = on_start,
                                          .vcpu_kick = on_kick,
                                          .irq_set = on_irq,
                                          .event = on_event};

static void begin(Fixture *f)
{
    GUARDED(VcpuhpConfig) config = {.canary = CANARY};
    g_autoptr(GError) error = NULL;

    *f = (Fixture){0};
    vcpuhp_config_init(&config.value, 4, 1);
    assert_int_equal(config.value.size, sizeof(config.value));
    assert_int_equal(config.canary, CANARY);
    assert_int_equal(config.value.eject_timeout_ms, 30000);
    f->hp = vcpuhp_new(&config.value, &callbacks, f, &error);
    if (!f->hp)
        fail_msg("%s", error->message);
}

static void a_machine_gains_and_loses_a_vcpu(void **state)
{
    const VcpuhpEntry entry = {.size = sizeof(entry), .address = 0x40200000};
    GUARDED(VcpuhpVcpuInfo) info = {.value.size = sizeof(info.value), .canary = CANARY};
    GUARDED(VcpuhpCounters) counters = {.value.size = sizeof(counters.value), .canary = CANARY};
    uint64_t cpu_on[4] = {0xc4000003, 2, 0x40200000}, value, eject = 2;
    Fixture f;

    (void)state;
    begin(&f);
    assert_true(vcpuhp_start(f.hp, &entry, NULL));
    assert_int_equal(f.entry_address, 0x40200000);
    assert_true(vcpuhp_vcpu_enter(f.hp, 0));
    assert_true(vcpuhp_plug(f.hp, 2, 0, 0, NULL, NULL));
    vcpuhp_regs_read(f.hp, 0x18, &value, 8);
    assert_int_equal(vcpuhp_psci_call(f.hp, 0, cpu_on, false), VCPUHP_PSCI_RETURN);
    assert_int_equal(cpu_on[0], 0);
    assert_true(vcpuhp_vcpu_enter(f.hp, 2));
    assert_int_equal(f.n_ended, 1);
    assert_int_equal(f.outcome, VCPUHP_OUTCOME_DONE);
    assert_true(vcpuhp_query(f.hp, 2, &info.value, NULL));
    assert_true(info.value.enabled);
    assert_int_equal(info.value.power, VCPUHP_POWER_ON);
    assert_int_equal(info.value.size, sizeof(info.value));
    assert_int_equal(info.canary, CANARY);
    assert_true(vcpuhp_force(f.hp, 2, NULL));
    assert_true(vcpuhp_vcpu_park_if_asked(f.hp, 2));
    vcpuhp_regs_write(f.hp, 0x28, &eject, 8);
    assert_true(vcpuhp_counters(f.hp, &counters.value, NULL));
    assert_int_equal(counters.value.eject_writes, 1);
    assert_int_equal(counters.value.size, sizeof(counters.value));
    assert_int_equal(counters.canary, CANARY);
#ifdef HEADERS_GROWN
    assert_int_equal(info.value.grown, 0);
    assert_int_equal(counters.value.grown, 0);
#endif
    vcpuhp_free(f.hp);
}

#ifdef HAVE_KVM
/* Far enough to be told that there is no such VM. */
static void kvm_config_is_taken(void **state)
{
    VcpuhpKvmConfig kvm;
    g_autoptr(GError) error = NULL;
    Fixture f;

    (void)state;
    begin(&f);
    vcpuhp_kvm_config_init(&kvm, -1);
    assert_false(vcpuhp_kvm_setup(f.hp, &kvm, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_NOT_SUPPORTED));
    vcpuhp_free(f.hp);
}
#endif

#if defined(HEADERS_GROWN) && !defined(LIBRARY_GROWN)
static void assert_named(GError *error, const char *name, gsize size)
{
    g_autofree char *sizes = g_strdup_printf("the size of %s is %zu, but this library knows %zu",
                                             name, size, size - sizeof(uint64_t));

    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STRUCT));
    if (!strstr(error->message, sizes))
        fail_msg("\"%s\" does not say \"%s\"", error->message, sizes);
    g_error_free(error);
}

static void what_only_a_later_library_can_do_is_refused_by_name(void **state)
{
    VcpuhpCallbacks more_callbacks = callbacks;
    VcpuhpEntry entry = {.size = sizeof(entry), .grown = 1};
    VcpuhpConfig config;
    GError *error = NULL;
    Fixture f;

    (void)state;
    vcpuhp_config_init(&config, 4, 1);
    config.grown = 1;
    assert_null(vcpuhp_new(&config, &callbacks, NULL, &error));
    assert_named(error, "VcpuhpConfig", sizeof(config));
    config.grown = 0;
    more_callbacks.grown = 1;
    error = NULL;
    assert_null(vcpuhp_new(&config, &more_callbacks, NULL, &error));
    assert_named(error, "VcpuhpCallbacks", sizeof(more_callbacks));
    begin(&f);
    error = NULL;
    assert_false(vcpuhp_start(f.hp, &entry, &error));
    assert_named(error, "VcpuhpEntry", sizeof(entry));
#ifdef HAVE_KVM
    {
        VcpuhpKvmConfig kvm;

        vcpuhp_kvm_config_init(&kvm, -1);
        kvm.grown = 1;
        error = NULL;
        assert_false(vcpuhp_kvm_setup(f.hp, &kvm, &error));
        assert_named(error, "VcpuhpKvmConfig", sizeof(kvm));
    }
#endif
    vcpuhp_free(f.hp);
}
#endif

#if defined(HEADERS_GROWN) && defined(LIBRARY_GROWN)
static void what_the_library_knows_is_taken(void **state)
{
    VcpuhpConfig config;
    Vcpuhp *hp;

    (void)state;
    vcpuhp_config_init(&config, 4, 1);
    config.grown = 1;
    hp = vcpuhp_new(&config, &callbacks, NULL, NULL);
    assert_non_null(hp);
    vcpuhp_free(hp);
}
#endif

#ifdef HEADERS_GROWN
/* A struct that is new among them must be tried above. */
static void every_struct_that_grows_is_tried(void **state)
{
    (void)state;
    assert_string_equal(GROWN_STRUCTS,
                        "VcpuhpCallbacks VcpuhpConfig VcpuhpCounters VcpuhpEntry VcpuhpEvent "
#ifdef HAVE_KVM
                        "VcpuhpKvmConfig "
#endif
                        "VcpuhpVcpuInfo");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_gains_and_loses_a_vcpu),
#ifdef HAVE_KVM
        cmocka_unit_test(kvm_config_is_taken),
#endif
#ifdef HEADERS_GROWN
        cmocka_unit_test(every_struct_that_grows_is_tried),
#ifdef LIBRARY_GROWN
        cmocka_unit_test(what_the_library_knows_is_taken),
#else
        cmocka_unit_test(what_only_a_later_library_can_do_is_refused_by_name),
#endif
#endif
    };

    return cmocka_run_group_tests_name("abi", tests, NULL, NULL);
}
