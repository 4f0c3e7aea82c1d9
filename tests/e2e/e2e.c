/* SPDX-License-Identifier: BSD-3-Clause */
/* The basic use: a real Linux guest gains and loses a vCPU. */
#include "check.h"

#include <stdio.h>

/* --- 4 possible vCPUs, one enabled; the tests are successive steps with one guest --- */

static int boot(void **state)
{
    *state = guest_boot("hotplug", "--vcpus 4 --enabled 1 --append \"quiet vcpuhp.agent\"");
    return 0;
}

static void guest_kernel_can_hotplug(void **state)
{
    const char *release = guest_release(*state);
    int major = 0, minor = 0;

    assert_int_equal(sscanf(release, "%d.%d", &major, &minor), 2);
    assert_true(major > 6 || (major == 6 && minor >= 11));
}

static void all_are_possible_and_one_is_enabled_at_boot(void **state)
{
    assert_masks(*state, "0-3", "0", "0");
}

/* Linux tries to start every CPU that is present at boot before it evaluates _STA. */
static void what_linux_tries_at_boot_is_denied(void **state)
{
    Guest *guest = *state;
    bool tried = has_all_present(guest, "0-3");

    assert_int_equal(guest_saw_event(guest, "vCPU 1: CPU_ON denied"), tried);
    assert_int_equal(guest_saw_event(guest, "vCPU 2: CPU_ON denied"), tried);
    assert_int_equal(guest_saw_event(guest, "vCPU 3: CPU_ON denied"), tried);
    assert_false(guest_saw_event(guest, "vCPU 2: on"));
    assert_int_equal(guest_info(guest, "counter cpu_on_denied"), tried ? 3 : 0);
    assert_int_equal(guest_info(guest, "counter cpu_on_granted"), 0);
}

/* Lines with this text in a file of minivmm's directory in the host's /proc. */
static unsigned count_in_proc(Guest *guest, const char *file, const char *text)
{
    g_autofree char *command =
        g_strdup_printf("sh -c 'cat /proc/%d/%s | grep -c \"%s\"'", guest_pid(guest), file, text);
    g_autofree char *output = NULL;

    assert_true(g_spawn_command_line_sync(command, &output, NULL, NULL, NULL));
    return g_ascii_strtoull(output, NULL, 10);
}

static void a_vcpu_that_was_never_on_has_no_thread_and_no_mapping(void **state)
{
    Guest *guest = *state;
    unsigned n_mapped = has_own_vcpus() ? 4 : 1; /* minivmm itself maps all at once */

    assert_int_equal(count_in_proc(guest, "task/*/comm", "^vcpu "), 1);
    assert_int_equal(count_in_proc(guest, "maps", "kvm-vcpu"), n_mapped);
    assert_int_equal(guest_info(guest, "threads"), 1);
}

static void a_plugged_vcpu_is_enabled_and_comes_online(void **state)
{
    Guest *guest = *state;

    guest_skip_events(guest);
    g_free(guest_command(guest, "plug 2"));
    guest_wait_event(guest, "vCPU 2: request 1 seen");
    guest_wait_event(guest, "vCPU 2: _OST 0x1, 0x0: device check: success");
    guest_wait_event(guest, "vCPU 2: request 1 done");
    guest_wait_event(guest, "vCPU 2: on");
    assert_masks(guest, "0-3", "0,2", "0,2");
    assert_int_equal(guest_info(guest, "threads"), 2);
}

static void a_plugged_vcpu_works(void **state)
{
    assert_works(*state, 2);
}

static void plug_of_an_unknown_vcpu_is_refused(void **state)
{
    assert_refused(*state, "plug 4", "no vCPU 4", "3", NULL);
}

static void plug_of_an_enabled_vcpu_is_refused(void **state)
{
    assert_refused(*state, "plug 2", "vCPU 2", "already enabled", NULL);
    assert_refused(*state, "plug 0", "vCPU 0", "already enabled", NULL);
}

static void unplug_of_vcpu_0_is_refused(void **state)
{
    assert_refused(*state, "unplug 0", "vCPU 0", "permanently", NULL);
}

static void unplug_of_a_disabled_vcpu_is_refused(void **state)
{
    assert_refused(*state, "unplug 3", "vCPU 3", "not enabled", NULL);
}

static void nonsense_in_the_monitor_is_refused(void **state)
{
    assert_refused(*state, "plug", NULL);
    assert_refused(*state, "plug x", "x", NULL);
    assert_refused(*state, "plug 1x", "1x", NULL);
    assert_refused(*state, "plug -1", "not a number", NULL);
    assert_refused(*state, "plug 3 until-off", "until-off", NULL);
    assert_refused(*state, "plug 3 100 until-on", "until-on", NULL);
    assert_refused(*state, "unplug 2 until-on", "flags", NULL);
    assert_refused(*state, "frobnicate 2", "frobnicate", NULL);
}

static void refused_commands_changed_nothing(void **state)
{
    assert_masks(*state, "0-3", "0,2", "0,2");
    assert_int_equal(guest_info(*state, "counter irq_raised"), 1);
}

static void an_unplugged_vcpu_is_ejected(void **state)
{
    Guest *guest = *state;

    guest_skip_events(guest);
    g_free(guest_command(guest, "unplug 2"));
    guest_wait_event(guest, "vCPU 2: request 2 seen");
    guest_wait_event(guest, "vCPU 2: _OST 0x3, 0x84: eject request: eject is in progress");
    guest_wait_event(guest, "vCPU 2: off");
    guest_wait_event(guest, "vCPU 2: disabled by _EJ0");
    guest_wait_event(guest, "vCPU 2: ejected");
    guest_wait_event(guest, "vCPU 2: request 2 done");
    guest_wait_event(guest, "vCPU 2: _OST 0x3, 0x0: eject request: success");
    assert_masks(guest, "0-3", "0", "0");
}

static void its_thread_is_kept_for_the_next_plug(void **state)
{
    assert_int_equal(count_in_proc(*state, "task/*/comm", "^vcpu 2$"), 1);
    assert_int_equal(guest_info(*state, "threads"), 2);
}

static void it_can_be_plugged_again(void **state)
{
    plug(*state, 2);
    assert_masks(*state, "0-3", "0,2", "0,2");
    assert_works(*state, 2);
    assert_int_equal(guest_info(*state, "threads"), 2);
    unplug(*state, 2);
    assert_masks(*state, "0-3", "0", "0");
}

static void resize_ends_when_the_guest_has_followed(void **state)
{
    guest_skip_events(*state);
    g_free(guest_command(*state, "resize 3"));
    guest_wait_event(*state, "resize: done: enabled vCPUs: 3");
    guest_wait_output(*state, "cat /sys/devices/system/cpu/online", "0-2");
    g_free(guest_command(*state, "resize 1"));
    guest_wait_event(*state, "resize: done: enabled vCPUs: 1");
    assert_masks(*state, "0-3", "0", "0");
}

/* Without the agent the guest adds the vCPU, reports success, and leaves it offline. */
static void a_plug_until_on_is_done_when_the_vcpu_runs(void **state)
{
    Guest *guest = *state;
    g_autofree char *open = NULL;
    g_autofree char *done = NULL;
    unsigned id;

    g_free(guest_run(guest, NULL, "agent_stop"));
    guest_skip_events(guest);
    id = request(guest, "plug 1 until-on");
    open = g_strdup_printf("%u: plug, seen", id);
    done = g_strdup_printf("vCPU 1: request %u done", id);
    guest_wait_event(guest, "vCPU 1: _OST 0x1, 0x0: device check: success");
    assert_info(guest, 1, "enabled off", open, "0x1, 0x0", NULL);
    g_free(guest_run(guest, NULL, "echo 1 >/sys/devices/system/cpu/cpu1/online"));
    guest_wait_event(guest, "vCPU 1: on");
    guest_wait_event(guest, done);
    assert_outcome(guest, id, "done");
    g_free(guest_run(guest, NULL, "agent"));
    unplug(guest, 1);
}

static void the_guest_logs_no_error(void **state)
{
    assert_quiet_dmesg(*state);
}

/* --- Requests to a guest that has not loaded its drivers yet --- */

static void requests_before_the_guest_is_up_are_pending_and_not_lost(void **state)
{
    Guest *guest = guest_start("early", "--vcpus 4 --enabled 1 --append \"quiet vcpuhp.agent\"");

    *state = guest;
    guest_wait_event(guest, "vCPU 0: on");
    g_free(guest_command(guest, "plug 3"));
    assert_refused(guest, "plug 3", "vCPU 3", "open request", "1", NULL);
    guest_wait_ready(guest);
    assert_masks(guest, "0-3", "0,3", "0,3");
    assert_works(guest, 3);
    assert_quiet_dmesg(guest);
}

/* --- vCPUs that are enabled at boot --- */

static void cold_plugged_and_fixed_stays(void **state)
{
    Guest *guest = guest_boot("fixed", "--vcpus 4 --enabled 2 --append \"quiet vcpuhp.agent\"");

    *state = guest;
    assert_masks(guest, "0-3", "0-1", "0-1");
    assert_refused(guest, "unplug 1", "vCPU 1", "permanently", NULL);
    plug(guest, 3);
    assert_masks(guest, "0-3", "0-1,3", "0-1,3");
    assert_quiet_dmesg(guest);
}

static void cold_plugged_and_removable_goes(void **state)
{
    Guest *guest = guest_boot(
        "removable", "--vcpus 4 --enabled 2 --coldplug removable --append \"quiet vcpuhp.agent\"");

    *state = guest;
    assert_masks(guest, "0-3", "0-1", "0-1");
    unplug(guest, 1);
    assert_masks(guest, "0-3", "0", "0");
    assert_quiet_dmesg(guest);
}

/* On hosts with FEAT_S2FWB there is no warm-up, and the test is one of plugs alone. */
static void a_vcpu_that_is_warmed_up_works(void **state)
{
    Guest *guest =
        guest_boot("warm-up", "--vcpus 4 --enabled 1 --warm-up --append \"quiet vcpuhp.agent\"");

    *state = guest;
    plug(guest, 1);
    assert_works(guest, 1);
    plug(guest, 2);
    unplug(guest, 1);
    plug(guest, 1);
    assert_works(guest, 1);
    assert_masks(guest, "0-3", "0-2", "0-2");
    assert_false(guest_saw_event(guest, "host error"));
    assert_quiet_dmesg(guest);
}

static void caches_are_shared_as_the_config_says(void **state)
{
    Guest *guest = guest_boot(
        "caches",
        "--vcpus 4 --enabled 1 --topology 2,1,2,1 --caches --append \"quiet vcpuhp.agent\"");

    *state = guest;
    plug(guest, 1);
    plug(guest, 3);
    assert_masks(guest, "0-3", "0-1,3", "0-1,3");
    /* KVM shows the guest no data cache on level 1, so index1 is level 2. */
    assert_output(guest, "2 8192K 0-1",
                  "cd /sys/devices/system/cpu/cpu1/cache/index1; "
                  "echo $(cat level size shared_cpu_list)");
    assert_output(guest, "2 8192K 3",
                  "cd /sys/devices/system/cpu/cpu3/cache/index1; "
                  "echo $(cat level size shared_cpu_list)");
    assert_quiet_dmesg(guest);
}

/* --- Impossible machines --- */

static void impossible_configs_are_refused(void **state)
{
    (void)state;
    assert_bad_options("--vcpus 0 --enabled 1", "n_vcpus", "0", "512", NULL);
    assert_bad_options("--vcpus 513 --enabled 1", "n_vcpus", "513", "512", NULL);
    assert_bad_options("--vcpus 4 --enabled 0", "n_enabled", "0", "4", NULL);
    assert_bad_options("--vcpus 4 --enabled 5", "n_enabled", "5", "4", NULL);
    assert_bad_options("--vcpus x", "x", NULL);
}

int main(void)
{
    const struct CMUnitTest hotplug[] = {
        cmocka_unit_test(guest_kernel_can_hotplug),
        cmocka_unit_test(all_are_possible_and_one_is_enabled_at_boot),
        cmocka_unit_test(what_linux_tries_at_boot_is_denied),
        cmocka_unit_test(a_vcpu_that_was_never_on_has_no_thread_and_no_mapping),
        cmocka_unit_test(a_plugged_vcpu_is_enabled_and_comes_online),
        cmocka_unit_test(a_plugged_vcpu_works),
        cmocka_unit_test(plug_of_an_unknown_vcpu_is_refused),
        cmocka_unit_test(plug_of_an_enabled_vcpu_is_refused),
        cmocka_unit_test(unplug_of_vcpu_0_is_refused),
        cmocka_unit_test(unplug_of_a_disabled_vcpu_is_refused),
        cmocka_unit_test(nonsense_in_the_monitor_is_refused),
        cmocka_unit_test(refused_commands_changed_nothing),
        cmocka_unit_test(an_unplugged_vcpu_is_ejected),
        cmocka_unit_test(its_thread_is_kept_for_the_next_plug),
        cmocka_unit_test(it_can_be_plugged_again),
        cmocka_unit_test(resize_ends_when_the_guest_has_followed),
        cmocka_unit_test(a_plug_until_on_is_done_when_the_vcpu_runs),
        cmocka_unit_test(the_guest_logs_no_error),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test_teardown(requests_before_the_guest_is_up_are_pending_and_not_lost,
                                  drop_guest),
        cmocka_unit_test_teardown(cold_plugged_and_fixed_stays, drop_guest),
        cmocka_unit_test_teardown(cold_plugged_and_removable_goes, drop_guest),
        cmocka_unit_test_teardown(a_vcpu_that_is_warmed_up_works, drop_guest),
        cmocka_unit_test_teardown(caches_are_shared_as_the_config_says, drop_guest),
        cmocka_unit_test(impossible_configs_are_refused),
    };
    int failed = cmocka_run_group_tests_name("e2e hotplug", hotplug, boot, power_off);

    return failed + cmocka_run_group_tests_name("e2e others", others, NULL, NULL);
}
