/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole distribution as guest: GUEST_INITRD is the current Debian stable (scripts/initramfs.sh) with
 * systemd, udev and dist/80-vcpuhp.rules, GUEST_KERNEL its kernel.
 */
#include "check.h"

#define CPUS "/sys/devices/system/cpu/"
#define OVERRIDE "/etc/udev/rules.d/80-vcpuhp.rules"
#define PINNED "/sys/fs/cgroup/system.slice/pinned.service/cpuset.cpus.effective"

static int boot(void **state)
{
    Guest *guest = guest_boot("distribution", "--vcpus 4 --enabled 1 --mem 1024 --append \"systemd.show_status=1 systemd.log_level=info loglevel=6\"");

    *state = guest;
    return 0;
}

static void assert_nothing_failed(Guest *guest)
{
    g_free(guest_run(guest, NULL, "udevadm settle"));
    assert_output(guest, "", "systemctl --failed --no-legend --plain");
    assert_output(guest, "running", "systemctl is-system-running --wait");
}

/* What a user sees of the CPUs that are online: their list, and how many. */
static void assert_sees(Guest *guest, const char *online, const char *n)
{
    guest_wait_output(guest, "lscpu --json=c --parse=cpu | grep -v '#' | tr '\\n' ' '", online);
    assert_output(guest, n, "nproc");
}

static void systemd_boots_and_nothing_has_failed(void **state)
{
    Guest *guest = *state;
    g_autofree char *name = guest_run(guest, NULL, ". /etc/os-release; echo $PRETTY_NAME");
    g_autofree char *version = guest_run(guest, NULL, "systemctl --version | head -n 1");

    print_message("%s, Linux %s, %s\n", name, guest_release(guest), version);
    assert_output(guest, "systemd", "cat /proc/1/comm");
    assert_output(guest, "active", "systemctl is-active systemd-udevd");
    assert_nothing_failed(guest);
    print_message("%s\n", guest_run(guest, NULL, "systemd-analyze; systemd-analyze blame | head -n 30; free -m; cat /sys/fs/cgroup/cgroup.controllers; lscpu; stty -a"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systemd_boots_and_nothing_has_failed),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("a distribution", tests, boot, power_off);
}
