/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every public function in every phase of a machine, with vCPU numbers that do not exist: each has
 * its documented answer, and sanitizers see no undefined behaviour.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/psci.h>
#include <vcpuhp/regs.h>
#include <vcpuhp/state.h>

#define N_VCPUS 4

typedef enum {
    PHASE_NEW,
    PHASE_LOADED, /* from PHASE_RUNNING, and not resumed */
    PHASE_RUNNING,
    PHASE_STOPPING, /* vCPU 0 has not parked yet */
    PHASE_STOPPED,
    N_PHASES,
} Phase;

typedef struct Fixture {
    Vcpuhp *hp;
    Phase phase;
} Fixture;

static const uint32_t no_vcpus[] = {N_VCPUS, N_VCPUS + 1, UINT32_MAX};

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
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

static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                          .vcpu_start = on_start,
                                          .vcpu_kick = on_kick,
                                          .irq_set = on_irq};
static const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = 0x1000};

static Vcpuhp *new_context(void)
{
    VcpuhpConfig config;
    Vcpuhp *hp;

    vcpuhp_config_init(&config, N_VCPUS, 2);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    hp = vcpuhp_new(&config, &callbacks, NULL, NULL);
    assert_non_null(hp);
    return hp;
}

static void load_what_runs(Fixture *f)
{
    g_autoptr(Vcpuhp) from = new_context();
    g_autoptr(GBytes) state = NULL;

    assert_true(vcpuhp_start(from, &entry, NULL));
    assert_true(vcpuhp_vcpu_enter(from, 0));
    state = vcpuhp_save(from, NULL);
    assert_true(vcpuhp_load(f->hp, state, NULL));
}

static Fixture begin(Phase phase)
{
    Fixture f = {.phase = phase, .hp = new_context()};

    if (phase == PHASE_LOADED)
        load_what_runs(&f);
    if (phase == PHASE_NEW || phase == PHASE_LOADED)
        return f;
    assert_true(vcpuhp_start(f.hp, &entry, NULL));
    assert_true(vcpuhp_vcpu_enter(f.hp, 0));
    if (phase == PHASE_RUNNING)
        return f;
    vcpuhp_stop(f.hp);
    if (phase == PHASE_STOPPING)
        return f;
    assert_true(vcpuhp_vcpu_park_if_asked(f.hp, 0));
    return f;
}

static bool runs(const Fixture *f)
{
    return f->phase == PHASE_LOADED || f->phase == PHASE_RUNNING || f->phase == PHASE_STOPPING;
}

static void assert_error(bool ok, GError *error, VcpuhpError code)
{
    assert_false(ok);
    assert_true(g_error_matches(error, VCPUHP_ERROR, code));
    g_error_free(error);
}

static void call_for_no_vcpu(Fixture *f, uint32_t vcpu)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    uint64_t x[4] = {0x84000002};
    GError *error = NULL;
    bool ok;

    ok = vcpuhp_plug(f->hp, vcpu, 0, 0, NULL, &error);
    assert_error(ok, error, VCPUHP_ERROR_NO_VCPU);
    error = NULL;
    ok = vcpuhp_unplug(f->hp, vcpu, 0, 0, NULL, &error);
    assert_error(ok, error, VCPUHP_ERROR_NO_VCPU);
    error = NULL;
    ok = vcpuhp_force(f->hp, vcpu, &error);
    assert_error(ok, error, VCPUHP_ERROR_NO_VCPU);
    error = NULL;
    ok = vcpuhp_query(f->hp, vcpu, &info, &error);
    assert_error(ok, error, VCPUHP_ERROR_NO_VCPU);
    assert_false(vcpuhp_vcpu_enter(f->hp, vcpu));
    assert_true(vcpuhp_vcpu_park_if_asked(f->hp, vcpu));
    assert_int_equal(vcpuhp_psci_call(f->hp, vcpu, x, false), VCPUHP_PSCI_PARK);
    assert_int_equal(x[0], 0x84000002);
}

/* vCPU 3 is disabled and off. */
static void call_for_a_vcpu_that_is_off(Fixture *f)
{
    uint64_t x[4] = {0x84000002};

    assert_false(vcpuhp_vcpu_enter(f->hp, 3));
    assert_true(vcpuhp_vcpu_park_if_asked(f->hp, 3));
    assert_int_equal(vcpuhp_psci_call(f->hp, 3, x, false), VCPUHP_PSCI_PARK);
}

static void call_for_no_request(Fixture *f)
{
    GError *error = NULL;
    bool ok;

    ok = vcpuhp_cancel(f->hp, 77, &error);
    assert_error(ok, error, VCPUHP_ERROR_NO_REQUEST);
    error = NULL;
    ok = vcpuhp_repeat(f->hp, 77, &error);
    assert_error(ok, error, VCPUHP_ERROR_NO_REQUEST);
}

static void call_what_always_works(Fixture *f)
{
    VcpuhpCounters counters = {.size = sizeof(counters)};
    VcpuhpVcpuInfo info = {.size = sizeof(info)};
    g_autoptr(GBytes) table = vcpuhp_acpi_build(f->hp, VCPUHP_ACPI_SSDT);
    uint64_t data = 0;
    uint8_t wide[300];

    assert_int_equal(g_bytes_get_size(table), vcpuhp_acpi_size(f->hp, VCPUHP_ACPI_SSDT));
    assert_null(vcpuhp_acpi_build(f->hp, (VcpuhpAcpiPart)99));
    assert_int_equal(vcpuhp_acpi_size(f->hp, (VcpuhpAcpiPart)99), 0);
    assert_string_equal(vcpuhp_acpi_scan_method(f->hp), "\\_SB.CPUS.CSCN");
    assert_int_equal(vcpuhp_n_vcpus(f->hp), N_VCPUS);
    assert_true(vcpuhp_timer_fd(f->hp) >= 0);
    vcpuhp_dispatch(f->hp);
    assert_true(vcpuhp_query(f->hp, 1, &info, NULL));
    assert_true(vcpuhp_counters(f->hp, &counters, NULL));
    vcpuhp_regs_write(f->hp, 0, &data, 4);
    vcpuhp_regs_read(f->hp, 0x18, &data, 8);
    vcpuhp_regs_write(f->hp, UINT64_MAX, wide, 0);
    memset(wide, 0xff, sizeof(wide));
    vcpuhp_regs_read(f->hp, UINT64_MAX - 7, wide, sizeof(wide));
    for (gsize i = 0; i < sizeof(wide); i++)
        assert_int_equal(wide[i], 0);
}

/* Calls whose answer depends on the phase. They leave the state as it was. */
static void call_out_of_order(Fixture *f)
{
    uint64_t x[4] = {0x80000000};
    GError *error = NULL;
    bool ok;

    if (f->phase != PHASE_NEW) {
        ok = vcpuhp_start(f->hp, &entry, &error);
        assert_error(ok, error, VCPUHP_ERROR_ORDER);
        error = NULL;
    }
    if (runs(f)) {
        ok = vcpuhp_reset(f->hp, &error);
        assert_error(ok, error, VCPUHP_ERROR_ORDER);
    }
    assert_false(vcpuhp_vcpu_enter(f->hp, 0));
    assert_int_equal(vcpuhp_psci_call(f->hp, 0, x, false),
                     runs(f) ? VCPUHP_PSCI_NOT_PSCI : VCPUHP_PSCI_PARK);
    if (f->phase != PHASE_STOPPING)
        assert_int_equal(vcpuhp_vcpu_park_if_asked(f->hp, 0), !runs(f));
}

/* Loading nonsense is refused in every phase; the state of another context only too late. */
static void call_for_a_state(Fixture *f)
{
    g_autoptr(GBytes) nonsense = g_bytes_new_static("nonsense", 8), state = NULL;
    g_autoptr(Vcpuhp) other = new_context();
    g_autoptr(GBytes) others = vcpuhp_save(other, NULL);
    GError *error = NULL;
    bool ok;

    ok = vcpuhp_load(f->hp, nonsense, &error);
    assert_error(ok, error, VCPUHP_ERROR_STATE);
    error = NULL;
    if (f->phase != PHASE_NEW) {
        ok = vcpuhp_load(f->hp, others, &error);
        assert_error(ok, error, VCPUHP_ERROR_ORDER);
        error = NULL;
    }
    if (f->phase != PHASE_LOADED) {
        ok = vcpuhp_resume(f->hp, &error);
        assert_error(ok, error, VCPUHP_ERROR_ORDER);
        error = NULL;
    }
    state = vcpuhp_save(f->hp, &error);
    if (f->phase == PHASE_STOPPING || f->phase == PHASE_STOPPED)
        assert_error(state != NULL, error, VCPUHP_ERROR_ORDER);
    else
        assert_non_null(state);
}

static void call_all(Fixture *f)
{
    for (gsize i = 0; i < G_N_ELEMENTS(no_vcpus); i++)
        call_for_no_vcpu(f, no_vcpus[i]);
    call_for_a_vcpu_that_is_off(f);
    call_for_no_request(f);
    call_for_a_state(f);
    call_what_always_works(f);
    call_out_of_order(f);
}

static void every_function_answers_in_every_phase(void **state)
{
    (void)state;
    for (Phase phase = PHASE_NEW; phase < N_PHASES; phase++) {
        Fixture f = begin(phase);

        call_all(&f);
        vcpuhp_free(f.hp);
    }
}

static void structs_without_a_size_are_refused_by_name(void **state)
{
    Fixture f = begin(PHASE_RUNNING);
    const VcpuhpCallbacks no_callbacks = {.vcpu_start = on_start};
    VcpuhpVcpuInfo info = {0};
    VcpuhpCounters counters = {0};
    VcpuhpConfig config;
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_false(vcpuhp_query(f.hp, 1, &info, &error));
    assert_non_null(strstr(error->message, "VcpuhpVcpuInfo"));
    g_clear_error(&error);
    assert_false(vcpuhp_counters(f.hp, &counters, &error));
    assert_non_null(strstr(error->message, "VcpuhpCounters"));
    g_clear_error(&error);
    assert_false(vcpuhp_start(f.hp, &(VcpuhpEntry){0}, &error));
    assert_non_null(strstr(error->message, "VcpuhpEntry"));
    g_clear_error(&error);
    vcpuhp_config_init(&config, 1, 1);
    assert_null(vcpuhp_new(&config, &no_callbacks, NULL, &error));
    assert_non_null(strstr(error->message, "VcpuhpCallbacks"));
    g_clear_error(&error);
    config.size = 0;
    vcpuhp_config_set_defaults(&config, 1, 1);
    assert_null(vcpuhp_new(&config, &callbacks, NULL, &error));
    assert_non_null(strstr(error->message, "VcpuhpConfig"));
    vcpuhp_free(f.hp);
    vcpuhp_free(NULL);
}

static void an_event_of_an_older_release_is_described(void **state)
{
    const VcpuhpEvent event = {
        .size = offsetof(VcpuhpEvent, count), .kind = VCPUHP_EVENT_SEEN, .vcpu = 3, .request = 4};
    g_autofree char *text = vcpuhp_event_describe(&event);

    (void)state;
    assert_string_equal(text, "vCPU 3: request 4 seen by the guest");
}

/* A VMM may be newer than the library, and a guest writes what it likes into _OST. */
static void what_is_not_known_is_described_as_such(void **state)
{
    const VcpuhpEvent kind = {.size = sizeof(kind), .kind = (VcpuhpEventKind)99, .vcpu = 3};
    const VcpuhpEvent outcome = {.size = sizeof(outcome),
                                 .kind = VCPUHP_EVENT_ENDED,
                                 .vcpu = 3,
                                 .request = 4,
                                 .outcome = (VcpuhpOutcome)99};
    g_autofree char *of_kind = vcpuhp_event_describe(&kind);
    g_autofree char *of_outcome = vcpuhp_event_describe(&outcome);

    (void)state;
    assert_string_equal(of_kind, "vCPU 3: event 99");
    assert_string_equal(of_outcome, "vCPU 3: request 4 ended");
}

/* ACPI 6.6, 6.3.5 */
static void ost_codes_are_described_as_acpi_defines_them(void **state)
{
    static const struct {
        uint32_t source, status;
        const char *text;
    } codes[] = {
        {VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_SUCCESS, "success"},
        {VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_EJECT_NOT_SUPPORTED, "not support eject"},
        {VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_EJECT_IN_USE, "uses the device"},
        {VCPUHP_OST_SOURCE_EJECT, VCPUHP_OST_EJECT_BUSY, "the device is busy"},
        {VCPUHP_OST_SOURCE_EJECT, VCPUHP_OST_EJECT_DEPENDENCY, "dependent device"},
        {VCPUHP_OST_SOURCE_EJECT, VCPUHP_OST_EJECT_IN_PROGRESS, "eject is in progress"},
        {VCPUHP_OST_SOURCE_EJECT, 0x99, "does not define"},
        {VCPUHP_OST_SOURCE_BUS_CHECK, VCPUHP_OST_FAILURE, "no specific reason"},
        {VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_UNRECOGNIZED, "unknown"},
        {VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_INSERT_IN_PROGRESS, "insertion is in progress"},
        {VCPUHP_OST_SOURCE_INSERT, VCPUHP_OST_INSERT_DRIVER_FAILED, "driver failed"},
        {VCPUHP_OST_SOURCE_INSERT, VCPUHP_OST_INSERT_NOT_SUPPORTED, "not support insertion"},
        {VCPUHP_OST_SOURCE_INSERT, VCPUHP_OST_EJECT_IN_PROGRESS + 1, "does not define"},
        {0x999, VCPUHP_OST_EJECT_BUSY, "does not define"},
    };

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++)
        if (!g_regex_match_simple(codes[i].text,
                                  vcpuhp_ost_describe(codes[i].source, codes[i].status), 0, 0))
            fail_msg("_OST 0x%x, 0x%x: %s", codes[i].source, codes[i].status,
                     vcpuhp_ost_describe(codes[i].source, codes[i].status));
}

static void an_ost_event_names_its_source(void **state)
{
    static const struct {
        uint32_t source;
        const char *text;
    } sources[] = {
        {VCPUHP_OST_SOURCE_BUS_CHECK, "bus check"},
        {VCPUHP_OST_SOURCE_DEVICE_CHECK, "device check"},
        {VCPUHP_OST_SOURCE_EJECT_REQUEST, "eject request"},
        {VCPUHP_OST_SOURCE_EJECT, "eject begun by the guest"},
        {VCPUHP_OST_SOURCE_INSERT, "insertion begun by the guest"},
        {0x999, "a source that ACPI does not define"},
    };

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(sources); i++) {
        const VcpuhpEvent event = {
            .size = sizeof(event), .kind = VCPUHP_EVENT_OST, .ost_source = sources[i].source};
        g_autofree char *text = vcpuhp_event_describe(&event);

        assert_non_null(strstr(text, sources[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_answers_in_every_phase),
        cmocka_unit_test(structs_without_a_size_are_refused_by_name),
        cmocka_unit_test(an_event_of_an_older_release_is_described),
        cmocka_unit_test(what_is_not_known_is_described_as_such),
        cmocka_unit_test(ost_codes_are_described_as_acpi_defines_them),
        cmocka_unit_test(an_ost_event_names_its_source),
    };

    return cmocka_run_group_tests_name("phases", tests, NULL, NULL);
}
