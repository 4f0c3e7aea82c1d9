/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests with every outcome, races, many rounds, reboots, kexec, and a guest that does what no
 * operating system does. The arguments are the groups of tests to run. Environment variables besides
 * those of guest.h: GUEST_INSIDE and BARE_IMAGE, the programs inside and bare.img.
 */
#include "check.h"

#include <unistd.h>

#define CPUS "/sys/devices/system/cpu/"

static unsigned last_request; /* the highest id of the current guest's requests */

/* --- Requests that do not simply succeed --- */

static int boot(void **state)
{
    *state = guest_boot("life", "--vcpus 4 --enabled 1 --append \"quiet vcpuhp.agent\"");
    return 0;
}

static unsigned ask(Guest *guest, const char *what, unsigned vcpu)
{
    guest_skip_events(guest);
    last_request = request(guest, "%s %u", what, vcpu);
    return last_request;
}

static void unplug_while_hotplug_is_switched_off_is_refused(void **state)
{
    Guest *guest = *state;
    unsigned id;

    plug(guest, 1);
    g_free(guest_run(guest, NULL, "echo 0 >/sys/firmware/acpi/hotplug/processor/enabled"));
    id = ask(guest, "unplug", 1);
    assert_outcome(guest, id, "refused: the OS does not support eject");
    assert_info(guest, 1, "enabled on", "0x3, 0x80", NULL);
    g_free(guest_run(guest, NULL, "echo 1 >/sys/firmware/acpi/hotplug/processor/enabled"));
    assert_masks(guest, "0-3", "0-1", "0-1");
}

static void unplug_of_the_last_online_cpu_is_refused(void **state)
{
    Guest *guest = *state;
    unsigned id;

    g_free(guest_run(guest, NULL, "echo 0 >" CPUS "cpu0/online"));
    guest_wait_event(guest, "vCPU 0: off");
    assert_info(guest, 0, "permanent off", NULL);
    id = ask(guest, "unplug", 1);
    assert_outcome(guest, id, "refused: the device is busy");
    assert_info(guest, 1, "enabled on", "0x3, 0x82", NULL);
    g_free(guest_run(guest, NULL, "echo 1 >" CPUS "cpu0/online"));
    assert_masks(guest, "0-3", "0-1", "0-1");
    assert_works(guest, 0);
}

static void what_was_refused_can_be_asked_for_again(void **state)
{
    unplug(*state, 1);
    assert_masks(*state, "0-3", "0", "0");
}

/* The path of a vCPU's device in sysfs, by its _UID. */
#define DEVICE(uid) "$(dirname $(grep -lx " uid " /sys/bus/acpi/devices/ACPI0007:*/uid))"

static void an_eject_that_the_guest_begins_is_reported_as_such(void **state)
{
    Guest *guest = *state;

    plug(guest, 1);
    guest_skip_events(guest);
    g_free(guest_run(guest, NULL, "echo 1 >" DEVICE("1") "/eject"));
    guest_wait_event(guest, "vCPU 1: off");
    guest_wait_event(guest, "vCPU 1: disabled by _EJ0");
    guest_wait_event(guest, "vCPU 1: ejected");
    guest_wait_event(guest, "vCPU 1: _OST 0x103, 0x0: eject begun by the guest: success");
    assert_info(guest, 1, "disabled off", "0x103, 0x0", NULL);
    assert_masks(guest, "0-3", "0", "0");
    plug(guest, 1);
    assert_masks(guest, "0-3", "0-1", "0-1");
}

/* To ignore requests, the guest unbinds its driver from the event device. */
#define GED "/sys/bus/platform/drivers/acpi-ged/"

static void a_guest_that_ignores_requests_lets_them_time_out(void **state)
{
    Guest *guest = *state;
    unsigned id;

    g_free(guest_run(guest, NULL, "echo ACPI0013:00 >" GED "unbind"));
    id = ask(guest, "plug", 2);
    assert_info(guest, 2, "enabled off", ": plug, ", "not seen yet", NULL);
    g_free(guest_command(guest, "cancel %u", id));
    assert_outcome(guest, id, "cancelled");
    assert_info(guest, 2, "disabled off", NULL);
    assert_refused(guest, "cancel 999", "no request 999", NULL);

    last_request = id = request(guest, "plug 2 300");
    assert_outcome(guest, id, "timed out");
    assert_info(guest, 2, "disabled off", NULL);
    last_request = id = request(guest, "unplug 1 300");
    assert_outcome(guest, id, "timed out");
    assert_info(guest, 1, "enabled on", NULL);
}

static void opposite_requests_that_the_guest_has_not_seen_undo_each_other(void **state)
{
    Guest *guest = *state;
    unsigned first = ask(guest, "plug", 2), second = ask(guest, "unplug", 2);

    assert_outcome(guest, first, "cancelled");
    assert_outcome(guest, second, "done");
    assert_info(guest, 2, "disabled off", NULL);
    first = ask(guest, "unplug", 1);
    second = ask(guest, "plug", 1);
    assert_outcome(guest, first, "cancelled");
    assert_outcome(guest, second, "done");
    assert_info(guest, 1, "enabled on", NULL);
}

static void a_request_waits_for_a_guest_that_listens_later(void **state)
{
    Guest *guest = *state;
    unsigned id = ask(guest, "plug", 2);

    g_free(guest_run(guest, NULL, "echo ACPI0013:00 >" GED "bind"));
    assert_outcome(guest, id, "done");
    assert_masks(guest, "0-3", "0-2", "0-2");
}

static void a_request_that_was_seen_cannot_be_cancelled(void **state)
{
    Guest *guest = *state;
    unsigned id = ask(guest, "unplug", 2);
    g_autofree char *cancel = g_strdup_printf("cancel %u", id);

    guest_wait_event(guest, "seen by the guest");
    assert_refused(guest, cancel, NULL);
    assert_outcome(guest, id, "done");
    assert_masks(guest, "0-3", "0-1", "0-1");
}

/* The vCPU is offline in the guest, so the guest survives. */
static void force_disables_an_offline_vcpu_without_the_guest(void **state)
{
    Guest *guest = *state;
    g_autofree char *why = NULL;
    int status;

    g_free(guest_run(guest, NULL, "echo 0 >" CPUS "cpu1/online"));
    guest_wait_event(guest, "vCPU 1: off");
    g_free(guest_command(guest, "force 1"));
    guest_wait_event(guest, "vCPU 1: removed by force");
    assert_info(guest, 1, "disabled off", NULL);
    why = guest_run(guest, &status, "echo 1 >" CPUS "cpu1/online");
    assert_int_not_equal(status, 0);
    guest_wait_event(guest, "vCPU 1: CPU_ON denied");
    assert_refused(guest, "force 1", "vCPU 1", "not enabled", NULL);
    assert_refused(guest, "force 0", "vCPU 0", "permanently", NULL);
}

/* --- Races with what the guest does --- */

/* Linux answers an insert that arrives before the end of the eject with "success", and forgets it.
 */
static void a_plug_right_after_ej0_is_not_lost(void **state)
{
    Guest *guest = *state;
    unsigned n_held = 0;

    plug(guest, 2);
    for (unsigned i = 0; i < 8; i++) {
        g_autofree char *info = NULL;
        unsigned id = ask(guest, "unplug", 2);

        guest_wait_event(guest, "vCPU 2: disabled by _EJ0");
        last_request = request(guest, "plug 2");
        info = guest_command(guest, "info");
        n_held += strstr(info, "held back") != NULL;
        assert_outcome(guest, id, "done");
        guest_wait_event(guest, "vCPU 2: on");
        assert_outcome(guest, last_request, "done");
    }
    print_message("held back: %u of 8\n", n_held);
    assert_works(guest, 2);
    unplug(guest, 2);
}

static void an_unplug_overtakes_a_plug_that_was_seen(void **state)
{
    Guest *guest = *state;
    unsigned first = ask(guest, "plug", 3), second;

    guest_wait_event(guest, "seen by the guest");
    second = last_request = request(guest, "unplug 3");
    assert_outcome(guest, first, NULL);
    assert_outcome(guest, second, "done");
    assert_unplugged(guest, 3);
    guest_wait_output(guest, "cat " CPUS "enabled", "0-1");
}

static void bursts_are_carried_out_one_by_one(void **state)
{
    Guest *guest = *state;

    for (unsigned i = 0; i < 3; i++) {
        unsigned first;

        first = request(guest, "plug 2-3");
        last_request = request(guest, "unplug 2-3") + 1;
        for (unsigned id = first; id <= last_request; id++)
            assert_outcome(guest, id, NULL);
        assert_unplugged(guest, 2);
        assert_unplugged(guest, 3);
        guest_wait_output(guest, "cat " CPUS "enabled", "0-1");

        first = request(guest, "plug 2-3");
        last_request = first + 1;
        for (unsigned id = first; id <= last_request; id++)
            assert_outcome(guest, id, "done");
        assert_masks(guest, "0-3", "0-3", "0-3");
        first = request(guest, "unplug 2-3");
        last_request = first + 1;
        for (unsigned id = first; id <= last_request; id++)
            assert_outcome(guest, id, "done");
        assert_masks(guest, "0-3", "0-1", "0-1");
    }
}

static void many_rounds_leave_nothing_behind(void **state)
{
    Guest *guest = *state;
    unsigned before[3], after[3];

    for (unsigned i = 0; i <= 30; i++) {
        unsigned *now = i == 0 ? before : after;

        plug(guest, 2);
        plug(guest, 3);
        unplug(guest, 2);
        unplug(guest, 3);
        now[0] = host_number(guest, "ls fd | wc -l");
        now[1] = host_number(guest, "ls task | wc -l");
        now[2] = host_number(guest, "wc -l <maps");
    }
    last_request += 31 * 4;
    assert_int_equal(after[0], before[0]);
    assert_int_equal(after[1], before[1]);
    assert_int_equal(after[2], before[2]);
    /* Each vCPU keeps its thread. */
    assert_int_equal(guest_info(guest, "threads"), 4);
}

static void the_guest_logs_no_error(void **state)
{
    assert_quiet_dmesg(*state);
}

static void each_request_has_ended_exactly_once(void **state)
{
    for (unsigned id = 1; id <= last_request; id++)
        assert_outcome(*state, id, NULL);
}

/* --- Reset and reboot, in the same process --- */

static int boot_again(void **state)
{
    last_request = 0;
    *state = guest_boot("reboot", "--its --vcpus 4 --enabled 1 --append \"quiet vcpuhp.agent\"");
    return 0;
}

/* A reset disables LPIs, so each boot gives each redistributor a new table of pending LPIs. */
static void hot_added_vcpus_stay_over_reboots(void **state)
{
    Guest *guest = *state;

    plug(guest, 2);
    plug(guest, 3);
    last_request = 2;
    assert_fresh_lpis(guest, 3);
    for (unsigned i = 0; i < 4; i++) {
        guest_skip_events(guest);
        guest_send(guest, "reboot -f");
        guest_wait_event(guest, "all vCPUs have parked");
        guest_wait_ready(guest);
        assert_masks(guest, "0-3", "0,2-3", "0,2-3");
        assert_int_equal(guest_info(guest, "threads"), 3);
        assert_fresh_lpis(guest, 3);
        assert_quiet_dmesg(guest);
    }
    assert_works(guest, 3);
}

typedef enum {
    BEFORE,
    DURING,
    AFTER
} When;

/* Requests for two vCPUs around a reboot end as done. */
static void request_around_reboot(Guest *guest, When when, const char *what, const char *masks)
{
    unsigned ids[2];

    guest_skip_events(guest);
    if (when != BEFORE)
        guest_send(guest, "reboot -f");
    if (when == DURING)
        guest_wait_event(guest, "all vCPUs have parked");
    if (when == AFTER)
        guest_wait_event(guest, "vCPU 0: on");
    ids[0] = request(guest, "%s 2", what);
    ids[1] = last_request = request(guest, "%s 3", what);
    if (when == BEFORE) {
        guest_send(guest, "reboot -f");
        guest_wait_event(guest, "all vCPUs have parked");
    }
    guest_wait_ready(guest);
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *refused =
            g_strdup_printf("request %u refused: the device is busy", ids[i]);

        assert_outcome(guest, ids[i], NULL);
        /* A kernel that has begun its reboot refuses to take a CPU offline. The next one does not.
         */
        if (guest_saw_event(guest, refused))
            ids[i] = last_request = request(guest, "%s %u", what, 2 + i);
        assert_outcome(guest, ids[i], "done");
    }
    assert_masks(guest, "0-3", masks, masks);
    assert_quiet_dmesg(guest);
}

static void an_unplug_just_before_a_reboot_is_not_lost(void **state)
{
    request_around_reboot(*state, BEFORE, "unplug", "0");
}

static void a_plug_just_before_a_reboot_is_not_lost(void **state)
{
    request_around_reboot(*state, BEFORE, "plug", "0,2-3");
}

static void an_unplug_during_a_reboot_is_not_lost(void **state)
{
    request_around_reboot(*state, DURING, "unplug", "0");
}

static void a_plug_during_a_reboot_is_not_lost(void **state)
{
    request_around_reboot(*state, DURING, "plug", "0,2-3");
}

static void an_unplug_just_after_a_reboot_is_not_lost(void **state)
{
    request_around_reboot(*state, AFTER, "unplug", "0");
}

static void a_plug_just_after_a_reboot_is_not_lost(void **state)
{
    request_around_reboot(*state, AFTER, "plug", "0,2-3");
}

static void a_quit_during_a_reboot_ends_minivmm(void **state)
{
    Guest *guest = *state;

    guest_skip_events(guest);
    guest_send(guest, "reboot -f");
    guest_wait_event(guest, "all vCPUs have parked");
    g_free(guest_command(guest, "quit"));
    assert_int_equal(guest_wait_exit(guest), 0);
}

/* --- kexec: the guest restarts itself, without a reset of the machine --- */

static Guest *boot_with_inside(const char *name, const char *options)
{
    g_autofree char *initrd = initrd_with_inside(true);
    g_autofree char *all = g_strdup_printf(
        "--vcpus 4 --enabled 1 --append \"quiet vcpuhp.agent\" --initrd %s %s", initrd, options);
    Guest *guest = guest_boot(name, all);

    unlink(initrd);
    return guest;
}

static void a_kernel_started_by_kexec_finds_hot_added_vcpus(void **state)
{
    Guest *guest = boot_with_inside("kexec", "--its");

    *state = guest;
    plug(guest, 2);
    assert_masks(guest, "0-3", "0,2", "0,2");
    guest_skip_events(guest);
    guest_send(guest, "/inside kexec /Image /initrd");
    guest_wait_event(guest, "vCPU 2: off");
    guest_wait_event(guest, "vCPU 2: on");
    guest_wait_ready(guest);
    assert_false(guest_saw_event(guest, "all vCPUs have parked"));
    assert_masks(guest, "0-3", "0,2", "0,2");
    /* LPIs cannot be disabled, so the new kernel keeps the tables that the old one has reserved. */
    assert_output(guest, "2", "dmesg | grep -c 'using reserved LPI pending table'");
    plug(guest, 3);
    assert_works(guest, 3);
    unplug(guest, 2);
    assert_masks(guest, "0-3", "0,3", "0,3");
    assert_quiet_dmesg(guest);
}

/* --- Features of vCPUs --- */

static void assert_counts_cycles(Guest *guest, unsigned vcpu)
{
    g_autofree char *cycles = guest_run(guest, NULL, "taskset %x /inside cycles", 1u << vcpu);

    assert_true(g_ascii_strtoull(cycles, NULL, 10) > 100000);
}

static void the_pmu_of_a_hot_added_vcpu_counts(void **state)
{
    Guest *guest = boot_with_inside("pmu", "--pmu");

    *state = guest;
    plug(guest, 2);
    guest_wait_output(guest, "cat " CPUS "online", "0,2");
    assert_counts_cycles(guest, 0);
    assert_counts_cycles(guest, 2);
    unplug(guest, 2);
    plug(guest, 2);
    guest_wait_output(guest, "cat " CPUS "online", "0,2");
    assert_counts_cycles(guest, 2);
    assert_quiet_dmesg(guest);
}

static void a_hot_added_vcpu_has_every_feature(void **state)
{
    g_autofree char *host = NULL;
    g_autofree char *bytes = NULL;
    Guest *guest;

    assert_true(g_file_get_contents("/proc/cpuinfo", &host, NULL, NULL));
    if (!strstr(host, " sve ") || !strstr(host, " paca "))
        skip();
    *state = guest = boot_with_inside("features", "--pmu --sve --pauth");
    plug(guest, 2);
    guest_wait_output(guest, "cat " CPUS "online", "0,2");
    assert_output(guest, "sve paca pacg",
                  "grep -A9 '^processor.*: 2$' /proc/cpuinfo | tr ' ' '\\n' | "
                  "grep -xE 'sve|paca|pacg' | xargs");
    bytes = guest_run(guest, NULL, "taskset 1 /inside sve");
    assert_output(guest, bytes, "taskset 4 /inside sve");
    assert_output(guest, "signed", "taskset 4 /inside pauth");
    assert_counts_cycles(guest, 2);
    unplug(guest, 2);
    plug(guest, 2);
    guest_wait_output(guest, "cat " CPUS "online", "0,2");
    assert_output(guest, bytes, "taskset 4 /inside sve");
    assert_output(guest, "signed", "taskset 4 /inside pauth");
    assert_counts_cycles(guest, 2);
    assert_quiet_dmesg(guest);
}

static void a_guest_with_a_device_tree_has_the_enabled_vcpus(void **state)
{
    Guest *guest = guest_boot("fdt", "--fdt --pmu --vcpus 4 --enabled 2 --append quiet");

    *state = guest;
    assert_masks(guest, "0-1", "0-1", "0-1");
    assert_output(guest, "2", "ls -d /proc/device-tree/cpus/cpu@* | wc -l");
    assert_works(guest, 1);
    assert_quiet_dmesg(guest);
}

/* --- A guest that does what no operating system does: bare/bare.c --- */

#define DENIED  "fffffffffffffffd"
#define ALREADY "fffffffffffffffc"
#define PENDING "fffffffffffffffb"

static Guest *boot_bare(const char *name, const char *options)
{
    g_autofree char *all =
        g_strdup_printf("--kernel %s --mem 16 --vcpus 4 --enabled 2 --coldplug removable %s",
                        g_getenv("BARE_IMAGE"), options);

    last_request = 0;
    return guest_boot(name, all);
}

static int boot_bare_sparse(void **state)
{
    *state = boot_bare("bare-sparse", "--psci sparse");
    return 0;
}

static int boot_bare_whole(void **state)
{
    *state = boot_bare("bare-whole", "--psci whole");
    return 0;
}

static void turn_on(Guest *guest, unsigned vcpu)
{
    g_autofree char *answer = NULL;

    guest_skip_events(guest);
    answer = guest_run(guest, NULL, "hvc 0 0xc4000003 %u entry 0", vcpu);
    assert_string_equal(answer, "0");
    guest_wait_event(guest, ": on");
}

static void turn_off(Guest *guest, unsigned vcpu)
{
    guest_skip_events(guest);
    g_free(guest_run(guest, NULL, "off %u", vcpu));
    guest_wait_event(guest, ": off");
}

static void no_call_turns_a_disabled_vcpu_on(void **state)
{
    static const char *const affinities[] = {"2", "0x80000002", "0xffffffff00000002"};
    Guest *guest = *state;

    for (gsize i = 0; i < G_N_ELEMENTS(affinities); i++) {
        g_autofree char *answers = guest_run(guest, NULL, "all %s entry 0", affinities[i]);

        if (i == 0) {
            assert_non_null(strstr(answers, "hvc c4000003 " DENIED));
            assert_non_null(strstr(answers, "smc c4000003 " DENIED));
        }
        if (i != 1) {
            assert_non_null(strstr(answers, "hvc 84000003 " DENIED));
            assert_non_null(strstr(answers, "smc 84000003 " DENIED));
        }
    }
    assert_info(guest, 2, "disabled off", NULL);
    assert_int_equal(guest_info(guest, "threads"), 1);
    assert_false(guest_saw_event(guest, "vCPU 2: on"));
}

static void a_vcpu_begins_as_cpu_on_says(void **state)
{
    Guest *guest = *state;

    assert_output(guest, "0", "hvc 0 0xc4000003 1 entry 0x1122334455667788");
    guest_wait_event(guest, "vCPU 1: on");
    guest_wait_output(guest, "entry 1",
                      "x0 1122334455667788 others 0 sctlr 0 daif 3c0 el 1 spsel 1");
    assert_output(guest, ALREADY, "hvc 0 0xc4000003 1 entry 0");
    turn_off(guest, 1);
    assert_output(guest, "1", "hvc 0 0xc4000004 1 0");
}

static void a_32_bit_cpu_on_takes_lower_halves(void **state)
{
    Guest *guest = *state;

    guest_skip_events(guest);
    assert_output(guest, "0", "smc 0 0x84000003 0x5555555500000001 entry 0x5555555566666666");
    guest_wait_event(guest, "vCPU 1: on");
    guest_wait_output(guest, "entry 1", "x0 66666666 others 0 sctlr 0 daif 3c0 el 1 spsel 1");
    turn_off(guest, 1);
}

static void a_vcpu_begins_in_its_callers_endianness(void **state)
{
    Guest *guest = *state;

    guest_skip_events(guest);
    assert_output(guest, "0", "be 0 0xc4000003 1 entry 5");
    guest_wait_event(guest, "vCPU 1: on");
    guest_wait_output(guest, "entry 1", "x0 5 others 0 sctlr 2000000 daif 3c0 el 1 spsel 1");
    turn_off(guest, 1);
    turn_on(guest, 1);
    guest_wait_output(guest, "entry 1", "x0 0 others 0 sctlr 0 daif 3c0 el 1 spsel 1");
}

/* docs/register-block.md. In an event, bit 15 marks it as valid; 14 and 13 are insert and remove. */
#define TAKE_EVENTS        "read 8 0x09000018"
#define EJECT(vcpu)        "write 8 0x09000028 " vcpu
#define EJECT_CLOSED(vcpu) "write 8 0x09000020 0x3000" vcpu
#define ENABLED            "read 8 0x09000040"
#define IRQ_PENDS          "pends 33"

static void ej0_before_cpu_off_ends_when_the_vcpu_is_off(void **state)
{
    Guest *guest = *state;
    unsigned id = ask(guest, "unplug", 1);

    assert_output(guest, "a001", TAKE_EVENTS);
    g_free(guest_run(guest, NULL, EJECT("1")));
    guest_wait_event(guest, "vCPU 1: disabled by _EJ0");
    assert_info(guest, 1, "disabled, being ejected on", ": unplug, ", NULL);
    assert_output(guest, "0", "hvc 0 0xc4000004 1 0");
    assert_output(guest, DENIED, "hvc 0 0xc4000003 1 entry 0");
    /* It still runs until it turns itself off. */
    assert_output(guest, "0", "hvc 1 0xc4000004 1 0");
    turn_off(guest, 1);
    guest_wait_event(guest, "vCPU 1: ejected");
    assert_outcome(guest, id, "done");
    assert_info(guest, 1, "disabled, being ejected off", NULL);
    assert_output(guest, "1", "hvc 0 0xc4000004 1 0");
}

static void a_plug_is_held_back_until_the_eject_is_closed(void **state)
{
    Guest *guest = *state;
    unsigned id = ask(guest, "plug", 1);

    assert_info(guest, 1, "disabled, being ejected off", ": plug, ", "held back", NULL);
    assert_output(guest, "0", TAKE_EVENTS);
    assert_output(guest, DENIED, "hvc 0 0xc4000003 1 entry 0");
    g_free(guest_run(guest, NULL, EJECT_CLOSED("1")));
    assert_info(guest, 1, "enabled off", ": plug, ", "not seen yet", NULL);
    assert_output(guest, "c001", TAKE_EVENTS);
    guest_wait_event(guest, "seen by the guest");
    turn_on(guest, 1);
    assert_outcome(guest, id, "done");
}

static void a_request_that_the_guest_forgot_can_be_repeated(void **state)
{
    Guest *guest = *state;
    unsigned id = ask(guest, "plug", 2);
    g_autofree char *cancel = g_strdup_printf("cancel %u", id);

    assert_output(guest, "1", IRQ_PENDS);
    assert_output(guest, "c002", TAKE_EVENTS);
    assert_output(guest, "0", IRQ_PENDS);
    assert_output(guest, "0", TAKE_EVENTS);
    assert_refused(guest, cancel, "has seen", NULL);
    g_free(guest_command(guest, "repeat %u", id));
    assert_output(guest, "1", IRQ_PENDS);
    assert_output(guest, "c002", TAKE_EVENTS);
    turn_on(guest, 2);
    assert_outcome(guest, id, "done");
}

static void a_request_that_was_seen_times_out_and_leaves_the_vcpu_as_it_is(void **state)
{
    Guest *guest = *state;
    unsigned id;

    last_request = id = request(guest, "plug 3 1000");
    assert_output(guest, "c003", TAKE_EVENTS);
    assert_outcome(guest, id, "timed out");
    assert_info(guest, 3, "enabled off", NULL);
    last_request = id = request(guest, "unplug 3 1000");
    assert_output(guest, "a003", TAKE_EVENTS);
    assert_outcome(guest, id, "timed out");
    assert_info(guest, 3, "enabled off", NULL);
}

static void insert_and_remove_of_one_vcpu_come_together(void **state)
{
    Guest *guest = *state;
    unsigned plug, unplug;

    g_free(guest_run(guest, NULL, EJECT("3")));
    g_free(guest_run(guest, NULL, EJECT_CLOSED("3")));
    plug = ask(guest, "plug", 3);
    /* The guest reads which vCPUs are enabled, and so knows of this one before it takes the event. */
    assert_output(guest, "f", ENABLED);
    unplug = ask(guest, "unplug", 3);
    assert_outcome(guest, plug, "cancelled");
    assert_output(guest, "e003", TAKE_EVENTS);
    g_free(guest_run(guest, NULL, EJECT("3")));
    assert_outcome(guest, unplug, "done");
    g_free(guest_run(guest, NULL, EJECT_CLOSED("3")));
    assert_output(guest, "7", ENABLED);
}

static void accesses_that_no_register_has_read_0_and_change_nothing(void **state)
{
    static const char *const reads[] = {
        "read 4 0x09000018", "read 1 0x0900001f", "read 2 0x0900001e", "read 8 0x09000014",
        "read 8 0x0900001c", "read 4 0x09000019", "read 8 0x0900007c", "read 8 0x09000020",
    };
    static const char *const writes[] = {
        "write 4 0x09000028 2", "write 1 0x09000028 2",          "write 8 0x09000024 2",
        "write 8 0x0900002c 2", "write 8 0x09000028 0x10000002", "write 8 0x09000079 2",
    };
    Guest *guest = *state;
    unsigned id = ask(guest, "plug", 3);

    for (gsize i = 0; i < G_N_ELEMENTS(reads); i++)
        assert_output(guest, "0", reads[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(writes); i++)
        assert_output(guest, "", writes[i]);
    assert_true(guest_saw_event(guest, "guest error"));
    assert_info(guest, 2, "enabled on", NULL);
    assert_info(guest, 3, "enabled off", "not seen yet", NULL);
    assert_output(guest, "c003", TAKE_EVENTS);
    turn_on(guest, 3);
    assert_outcome(guest, id, "done");
    turn_off(guest, 3);
}

static void one_of_two_cpu_ons_at_once_succeeds(void **state)
{
    Guest *guest = *state;

    for (int i = 0; i < 20; i++) {
        g_autofree char *answers = NULL;

        guest_skip_events(guest);
        answers = guest_run(guest, NULL, "both 1 2 0xc4000003 3 entry 0");
        if (strcmp(answers, "0 " ALREADY) && strcmp(answers, "0 " PENDING) &&
            strcmp(answers, ALREADY " 0") && strcmp(answers, PENDING " 0"))
            fail_msg("both got: %s", answers);
        guest_wait_event(guest, "vCPU 3: on");
        turn_off(guest, 3);
    }
}

static void force_parks_what_runs(void **state)
{
    Guest *guest = *state;

    for (unsigned i = 1; i < 3; i++) {
        g_autofree char *off = g_strdup_printf("vCPU %u: off", i);
        g_autofree char *forced = g_strdup_printf("vCPU %u: removed by force", i);

        guest_skip_events(guest);
        g_free(guest_command(guest, "force %u", i));
        guest_wait_event(guest, off);
        guest_wait_event(guest, forced);
        assert_info(guest, i, "disabled off", NULL);
    }
    assert_output(guest, DENIED, "hvc 0 0xc4000003 1 entry 0");
    assert_int_equal(guest_info(guest, "running"), 1);
}

static void minivmm_has_rebooted_ten_times(void **state)
{
    assert_int_equal(guest_count_events(*state, "all vCPUs have parked"), 10);
}

static int run_requests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unplug_while_hotplug_is_switched_off_is_refused),
        cmocka_unit_test(unplug_of_the_last_online_cpu_is_refused),
        cmocka_unit_test(what_was_refused_can_be_asked_for_again),
        cmocka_unit_test(an_eject_that_the_guest_begins_is_reported_as_such),
        cmocka_unit_test(a_guest_that_ignores_requests_lets_them_time_out),
        cmocka_unit_test(opposite_requests_that_the_guest_has_not_seen_undo_each_other),
        cmocka_unit_test(a_request_waits_for_a_guest_that_listens_later),
        cmocka_unit_test(a_request_that_was_seen_cannot_be_cancelled),
        cmocka_unit_test(a_plug_right_after_ej0_is_not_lost),
        cmocka_unit_test(an_unplug_overtakes_a_plug_that_was_seen),
        cmocka_unit_test(bursts_are_carried_out_one_by_one),
        cmocka_unit_test(many_rounds_leave_nothing_behind),
        cmocka_unit_test(force_disables_an_offline_vcpu_without_the_guest),
        cmocka_unit_test(the_guest_logs_no_error),
        cmocka_unit_test(each_request_has_ended_exactly_once),
    };

    return cmocka_run_group_tests_name("life requests", tests, boot, power_off);
}

static int run_reboots(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_added_vcpus_stay_over_reboots),
        cmocka_unit_test(an_unplug_just_before_a_reboot_is_not_lost),
        cmocka_unit_test(a_plug_just_before_a_reboot_is_not_lost),
        cmocka_unit_test(an_unplug_during_a_reboot_is_not_lost),
        cmocka_unit_test(a_plug_during_a_reboot_is_not_lost),
        cmocka_unit_test(an_unplug_just_after_a_reboot_is_not_lost),
        cmocka_unit_test(a_plug_just_after_a_reboot_is_not_lost),
        cmocka_unit_test(minivmm_has_rebooted_ten_times),
        cmocka_unit_test(each_request_has_ended_exactly_once),
        cmocka_unit_test(a_quit_during_a_reboot_ends_minivmm),
    };

    return cmocka_run_group_tests_name("life reboots", tests, boot_again, drop_guest);
}

static int run_bare(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_turns_a_disabled_vcpu_on),
        cmocka_unit_test(a_vcpu_begins_as_cpu_on_says),
        cmocka_unit_test(a_32_bit_cpu_on_takes_lower_halves),
        cmocka_unit_test(a_vcpu_begins_in_its_callers_endianness),
        cmocka_unit_test(ej0_before_cpu_off_ends_when_the_vcpu_is_off),
        cmocka_unit_test(a_plug_is_held_back_until_the_eject_is_closed),
        cmocka_unit_test(a_request_that_the_guest_forgot_can_be_repeated),
        cmocka_unit_test(a_request_that_was_seen_times_out_and_leaves_the_vcpu_as_it_is),
        cmocka_unit_test(insert_and_remove_of_one_vcpu_come_together),
        cmocka_unit_test(accesses_that_no_register_has_read_0_and_change_nothing),
        cmocka_unit_test(one_of_two_cpu_ons_at_once_succeeds),
        cmocka_unit_test(force_parks_what_runs),
        cmocka_unit_test(each_request_has_ended_exactly_once),
    };
    int failed =
        cmocka_run_group_tests_name("life bare, sparse", tests, boot_bare_sparse, power_off);

    return failed +
           cmocka_run_group_tests_name("life bare, whole", tests, boot_bare_whole, power_off);
}

static int run_starts(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_kernel_started_by_kexec_finds_hot_added_vcpus, drop_guest),
        cmocka_unit_test_teardown(the_pmu_of_a_hot_added_vcpu_counts, drop_guest),
        cmocka_unit_test_teardown(a_guest_with_a_device_tree_has_the_enabled_vcpus, drop_guest),
    };

    return cmocka_run_group_tests_name("life starts", tests, NULL, NULL);
}

static int run_features(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_hot_added_vcpu_has_every_feature, drop_guest),
    };

    return cmocka_run_group_tests_name("life features", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } groups[] = {
        {"requests", run_requests}, {"reboots", run_reboots},   {"bare", run_bare},
        {"starts", run_starts},     {"features", run_features},
    };
    int failed = argc < 2;

    for (int i = 1; i < argc; i++) {
        gsize j = 0;

        while (j < G_N_ELEMENTS(groups) && strcmp(argv[i], groups[j].name))
            j++;
        failed += j < G_N_ELEMENTS(groups) ? groups[j].run() : 1;
    }
    return failed;
}
