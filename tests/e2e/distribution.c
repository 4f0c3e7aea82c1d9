/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole distribution as guest: GUEST_INITRD is the current Debian stable (scripts/initramfs.sh) with
 * systemd, udev and dist/80-vcpuhp.rules, GUEST_KERNEL that suite's kernel.
 */
#include "check.h"

/* A link to /dev/null in place of a rule switches it off (udev(7)). */
#define MASK "/etc/udev/rules.d/80-vcpuhp.rules"

/* Each wait has its own time limit, and on a busy emulated host systemd takes longer than one to boot.
 */
static int boot(void **state)
{
    static const char *const steps[] = {"Welcome to",
                                        "paths.target",
                                        "systemd-journald.service",
                                        "systemd-modules-load.service",
                                        "systemd-udev-trigger.service",
                                        "local-fs-pre.target",
                                        "local-fs.target",
                                        "sysinit.target",
                                        "basic.target"};
    Guest *guest = guest_start("distribution", "--vcpus 4 --enabled 1 --mem 768 "
                                               "--append \"quiet systemd.show_status=1\"");

    *state = guest;
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
        guest_wait_console(guest, steps[i]);
    guest_wait_ready(guest);
    return 0;
}

static void assert_nothing_failed(Guest *guest)
{
    g_free(guest_run(guest, NULL, "udevadm settle"));
    assert_output(guest, "", "systemctl --failed --no-legend --plain");
    assert_output(guest, "",
                  "journalctl --unit=systemd-udevd --priority=warning --quiet --no-pager");
    assert_output(guest, "running", "systemctl is-system-running --wait");
}

static void systemd_boots_and_nothing_has_failed(void **state)
{
    Guest *guest = *state;
    g_autofree char *version = guest_run(
        guest, NULL, ". /etc/os-release; echo $PRETTY_NAME, $(systemctl --version | head -n 1)");

    print_message("%s, Linux %s\n", version, guest_release(guest));
    assert_output(guest, "systemd", "cat /proc/1/comm");
    assert_output(guest, "active", "systemctl is-active systemd-udevd");
    assert_nothing_failed(guest);
}

static void without_the_rule_a_hot_added_cpu_stays_offline(void **state)
{
    Guest *guest = *state;

    g_free(guest_run(guest, NULL, "ln -s /dev/null " MASK " && udevadm control --reload"));
    assert_outcome(guest, request(guest, "plug 1"), "done");
    g_free(guest_run(guest, NULL, "udevadm settle"));
    assert_masks(guest, "0-3", "0-1", "0");
    assert_info(guest, 1, "enabled off", NULL);
}

static void with_the_rule_a_hot_added_cpu_goes_online(void **state)
{
    Guest *guest = *state;

    g_free(guest_run(guest, NULL, "rm " MASK " && udevadm control --reload"));
    plug(guest, 2);
    assert_masks(guest, "0-3", "0-2", "0,2");
}

/* As at boot, when systemd-udev-trigger.service does so. */
static void a_cpu_from_before_the_rule_goes_online_when_udev_replays_its_event(void **state)
{
    Guest *guest = *state;

    guest_skip_events(guest);
    g_free(guest_run(guest, NULL, "udevadm trigger --settle --action=add --subsystem-match=cpu"));
    guest_wait_event(guest, "vCPU 1: on");
    assert_masks(guest, "0-3", "0-2", "0-2");
}

static void assert_sees(Guest *guest, const char *cpus, const char *n)
{
    guest_wait_output(guest, "lscpu --parse=cpu | grep -v '#' | paste -s -d ' '", cpus);
    assert_output(guest, n, "nproc");
}

static void lscpu_and_nproc_see_a_cpu_go_and_come(void **state)
{
    Guest *guest = *state;

    assert_sees(guest, "0 1 2", "3");
    unplug(guest, 2);
    assert_sees(guest, "0 1", "2");
    plug(guest, 2);
    assert_sees(guest, "0 1 2", "3");
}

/* Where the service may run, as its control group and its process have it. */
static void assert_runs_on(Guest *guest, const char *cpus)
{
    g_autofree char *both = g_strdup_printf("%s\n%s", cpus, cpus);

    guest_wait_output(guest,
                      "cat /sys/fs/cgroup/system.slice/pinned.service/cpuset.cpus.effective; "
                      "sed -n 's/^Cpus_allowed_list:\t//p' "
                      "/proc/$(cat /sys/fs/cgroup/system.slice/pinned.service/cgroup.procs)/status",
                      both);
}

static void a_service_with_allowed_cpus_runs_on_those_that_are_there(void **state)
{
    Guest *guest = *state;

    g_free(
        guest_run(guest, NULL,
                  "systemd-run --quiet --unit=pinned --property=AllowedCPUs=1-2 sleep infinity"));
    assert_runs_on(guest, "1-2");
    unplug(guest, 1);
    assert_runs_on(guest, "2");
    plug(guest, 1);
    assert_runs_on(guest, "1-2");
}

static void a_service_whose_allowed_cpus_are_all_gone_runs_on_the_others(void **state)
{
    Guest *guest = *state;

    unplug(guest, 1);
    unplug(guest, 2);
    assert_runs_on(guest, "0");
    plug(guest, 2);
    assert_runs_on(guest, "2");
    unplug(guest, 2);
    assert_output(guest, "active", "systemctl is-active pinned");
}

static void after_the_unplugs_nothing_has_failed(void **state)
{
    Guest *guest = *state;

    assert_masks(guest, "0-3", "0", "0");
    assert_nothing_failed(guest);
    assert_quiet_dmesg(guest);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systemd_boots_and_nothing_has_failed),
        cmocka_unit_test(without_the_rule_a_hot_added_cpu_stays_offline),
        cmocka_unit_test(with_the_rule_a_hot_added_cpu_goes_online),
        cmocka_unit_test(a_cpu_from_before_the_rule_goes_online_when_udev_replays_its_event),
        cmocka_unit_test(lscpu_and_nproc_see_a_cpu_go_and_come),
        cmocka_unit_test(a_service_with_allowed_cpus_runs_on_those_that_are_there),
        cmocka_unit_test(a_service_whose_allowed_cpus_are_all_gone_runs_on_the_others),
        cmocka_unit_test(after_the_unplugs_nothing_has_failed),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("a distribution", tests, boot, power_off);
}
