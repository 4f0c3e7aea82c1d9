/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * docs/troubleshooting.md: each symptom is provoked here, and what the document says to do is done.
 *
 *     symptoms guests [TEST]
 *     symptoms old           with the guest's kernel GUEST_KERNEL_OLD, before Linux 6.11
 *     symptoms host TEXT     minivmm must fail on this host, with a message that contains TEXT
 *
 * Environment variables besides those of guest.h: BARE_IMAGE, the program bare.img; MINIVMM_OPTIONS,
 * further options of the minivmm that must fail.
 */
#include "check.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CPUS "/sys/devices/system/cpu/"

static gint64 counter(Guest *guest, const char *name)
{
    g_autofree char *key = g_strdup_printf("counter %s", name);

    return guest_info(guest, key);
}

/* --- A CPU that stays offline --- */

static int boot_without_agent(void **state)
{
    *state = guest_boot("symptoms", "--vcpus 4 --enabled 1 --append quiet");
    return 0;
}

static void without_a_rule_in_user_space_a_plugged_cpu_stays_offline(void **state)
{
    Guest *guest = *state;
    g_autofree char *before = guest_run(guest, NULL, "grep ACPI:Ged /proc/interrupts");
    g_autofree char *after = NULL;

    assert_outcome(guest, request(guest, "plug 1"), "done");
    after = guest_run(guest, NULL, "grep ACPI:Ged /proc/interrupts");
    assert_string_not_equal(before, after);
    assert_masks(guest, "0-3", "0-1", "0");
    assert_info(guest, 1, "enabled off", "0x1, 0x0", NULL);
    assert_int_equal(counter(guest, "cpu_on_granted"), 0);
    assert_output(guest, "0", "cat " CPUS "cpu1/online");

    g_free(guest_run(guest, NULL, "echo 1 >" CPUS "cpu1/online"));
    guest_wait_event(guest, "vCPU 1: on");
    assert_masks(guest, "0-3", "0-1", "0-1");
}

static void until_on_does_not_take_success_for_a_cpu_that_stays_offline(void **state)
{
    Guest *guest = *state;

    assert_outcome(guest, request(guest, "plug 2 until-on 2000"), "timed out");
    assert_info(guest, 2, "enabled off", "0x1, 0x0", NULL);
}

static void with_the_rule_the_cpu_goes_online(void **state)
{
    Guest *guest = *state;

    g_free(guest_run(guest, NULL, "agent"));
    guest_wait_event(guest, "vCPU 2: on");
    assert_outcome(guest, request(guest, "plug 3 until-on 60000"), "done");
    assert_masks(guest, "0-3", "0-3", "0-3");
}

static void an_older_kernel_answers_success_and_starts_nothing(void **state)
{
    g_autofree char *options = g_strdup_printf(
        "--kernel %s --vcpus 2 --append \"quiet vcpuhp.agent\"", g_getenv("GUEST_KERNEL_OLD"));
    Guest *guest = guest_boot("symptoms-old", options);

    *state = guest;
    assert_outcome(guest, request(guest, "plug 1"), "done");
    assert_outcome(guest, request(guest, "unplug 1"), "done");
    assert_outcome(guest, request(guest, "plug 1 until-on 2000"), "timed out");
    assert_info(guest, 1, "enabled off", "0x1, 0x0", NULL);
    assert_int_equal(counter(guest, "cpu_on_granted"), 0);
    assert_output(guest, "no such file", "cat " CPUS "enabled 2>/dev/null || echo no such file");
}

static void a_guest_with_a_device_tree_does_not_hear_of_requests(void **state)
{
    Guest *guest = guest_boot("symptoms-fdt", "--fdt --vcpus 2 --append quiet");

    *state = guest;
    assert_outcome(guest, request(guest, "plug 1 1000"), "timed out");
    assert_false(guest_saw_event(guest, "seen by the guest"));
    assert_output(guest, "no such folder",
                  "ls /sys/firmware/acpi 2>/dev/null || echo no such folder");
}

/* --- An unplug that is refused --- */

static void an_unplug_is_refused_as_busy_while_no_other_cpu_is_online(void **state)
{
    Guest *guest = *state;

    unplug(guest, 2);
    unplug(guest, 3);
    g_free(guest_run(guest, NULL, "echo 0 >" CPUS "cpu0/online"));
    assert_outcome(guest, request(guest, "unplug 1"), "refused: the device is busy");
    assert_masks(guest, "0-3", "0-1", "1");
    g_free(guest_run(guest, NULL, "echo 1 >" CPUS "cpu0/online"));
    assert_outcome(guest, request(guest, "unplug 1"), "done");
}

/* --- Many possible vCPUs --- */

#define MANY "--vcpus 256 --enabled 1 --mem 1024 --append \"quiet"

/* Boot the guest. Returns the seconds from its kernel's begin to its first process. */
static double boot_time(const char *name, const char *options, unsigned n_denied)
{
    Guest *guest = guest_boot(name, options);
    g_autofree char *line = guest_run(guest, NULL, "dmesg | grep 'Run /init as init process'");
    double seconds = g_ascii_strtod(strchr(line, '[') + 1, NULL);

    assert_int_equal(counter(guest, "cpu_on_denied"), n_denied);
    guest_free(guest);
    return seconds;
}

/* Times are printed only: they depend on the host. */
static void maxcpus_1_spares_a_guest_the_denied_cpu_ons(void **state)
{
    double without = boot_time("many", MANY "\"", 255);
    double with = boot_time("many-maxcpus", MANY " maxcpus=1\"", 0);

    (void)state;
    print_message("kernel to init, 256 possible vCPUs: %.2f s, with maxcpus=1 %.2f s\n", without,
                  with);
}

static void with_maxcpus_1_hot_added_cpus_wait_for_user_space_after_a_reboot(void **state)
{
    Guest *guest = guest_boot("maxcpus", "--vcpus 4 --enabled 1 --append \"quiet maxcpus=1\"");

    *state = guest;
    assert_outcome(guest, request(guest, "plug 1"), "done");
    g_free(guest_run(guest, NULL, "echo 1 >" CPUS "cpu1/online"));
    guest_wait_event(guest, "vCPU 1: on");
    guest_skip_events(guest);
    guest_send(guest, "reboot -f");
    guest_wait_event(guest, "all vCPUs have parked");
    guest_wait_ready(guest);
    assert_masks(guest, "0-3", "0-1", "0");
    g_free(guest_run(guest, NULL, "agent"));
    assert_masks(guest, "0-3", "0-1", "0-1");
}

/* --- Tables that don't fit the machine --- */

/* ACPI 6.5, 5.2.6 and 5.2.12: header and first structure of a MADT */
enum {
    CHECKSUM = 9,
    OEM_REVISION = 24,
    FIRST_STRUCTURE = 44
};
/* 5.2.12.15, 5.2.12.17: where a structure has its address */
enum {
    GICD = 12,
    GICD_BASE = 8,
    GICR = 14,
    GICR_BASE = 4
};

/* Move a structure's address by 512 MiB, to where the machine has nothing. */
static void move_address(uint8_t *madt, gsize len, uint8_t type, gsize base)
{
    uint8_t sum = 0;
    gsize at = FIRST_STRUCTURE;

    while (madt[at] != type) {
        at += madt[at + 1];
        assert_true(at < len);
    }
    madt[at + base + 3] ^= 0x20;
    madt[OEM_REVISION]++; /* Linux replaces a table by a newer one only */
    madt[CHECKSUM] = 0;
    for (gsize i = 0; i < len; i++)
        sum += madt[i];
    madt[CHECKSUM] = -sum;
}

/* An initramfs that has Linux replace the MADT (Documentation/admin-guide/acpi/
 * initrd_table_override.rst). Returns its path, which the caller frees. */
static char *initrd_with_madt(const uint8_t *madt, gsize len)
{
    g_autofree char *path = NULL;
    g_autofree char *shell = NULL;
    int fd = g_file_open_tmp("initrd-XXXXXX", &path, NULL), status;

    assert_true(fd >= 0);
    close(fd);
    assert_true(g_file_set_contents(path, (const char *)madt, len, NULL));
    shell = g_strdup_printf("sh -ec 'd=$(mktemp -d); cd $d; mkdir -p kernel/firmware/acpi; "
                            "mv \"%s\" kernel/firmware/acpi/madt.aml; "
                            "printf \"kernel\\nkernel/firmware\\nkernel/firmware/acpi\\n"
                            "kernel/firmware/acpi/madt.aml\\n\" | cpio -o -H newc >\"%s\"; "
                            "cat \"%s\" >>\"%s\"; rm -r $d'",
                            path, path, g_getenv("GUEST_INITRD"), path);
    assert_true(g_spawn_command_line_sync(shell, NULL, NULL, &status, NULL));
    assert_int_equal(status, 0);
    return g_steal_pointer(&path);
}

/* Start a guest whose MADT has a wrong address. */
static Guest *start_with_moved(const char *name, uint8_t type, gsize base)
{
    Guest *guest = guest_boot("madt", "--vcpus 2 --append quiet");
    g_autofree char *base64 = guest_run(guest, NULL, "base64 /sys/firmware/acpi/tables/APIC");
    gsize len;
    g_autofree uint8_t *madt = g_base64_decode(base64, &len);
    g_autofree char *initrd = NULL;
    g_autofree char *options = NULL;

    guest_free(guest);
    move_address(madt, len, type, base);
    initrd = initrd_with_madt(madt, len);
    options = g_strdup_printf("--vcpus 2 --append \"earlycon loglevel=5\" --initrd %s", initrd);
    guest = guest_start(name, options);
    unlink(initrd);
    return guest;
}

static void a_redistributor_that_is_elsewhere_panics_the_guest(void **state)
{
    Guest *guest = *state = start_with_moved("moved-gicr", GICR, GICR_BASE);

    guest_wait_console(guest, "CPU0: mpidr 0 has no re-distributor!");
    guest_wait_console(guest, "init_IRQ");
    guest_wait_console(guest, "Kernel panic");
}

static void a_distributor_that_is_elsewhere_panics_the_guest(void **state)
{
    Guest *guest = *state = start_with_moved("moved-gicd", GICD, GICD_BASE);

    guest_wait_console(guest, "GICv3: No distributor detected");
    guest_wait_console(guest, "acpi_register_gsi");
    guest_wait_console(guest, "Kernel panic");
}

/* --- CPU_ON that nobody answers --- */

/* SMCCC 1.3 lets a guest set bit 16 of a function id (DEN0028, 2.5); PSCI has no such id. */
static void cpu_on_with_the_sve_hint_is_not_supported(void **state)
{
    g_autofree char *options =
        g_strdup_printf("--kernel %s --mem 16 --vcpus 2 --enabled 2", g_getenv("BARE_IMAGE"));
    Guest *guest = guest_boot("symptoms-bare", options);

    *state = guest;
    assert_output(guest, "ffffffffffffffff", "hvc 0 0xc4010003 1 entry 0");
    assert_info(guest, 1, "permanent off", NULL);
    assert_output(guest, "0", "hvc 0 0xc4000003 1 entry 0");
    guest_wait_event(guest, "vCPU 1: on");
}

/* --- Hosts that lack something --- */

static const char *missing; /* a part of the message */

static void minivmm_names_what_the_host_lacks(void **state)
{
    const char *options = g_getenv("MINIVMM_OPTIONS");
    g_autofree char *command = g_strdup_printf("%s --kernel %s %s", g_getenv("MINIVMM"),
                                               g_getenv("GUEST_KERNEL"), options ? options : "");
    g_autofree char *errors = NULL;
    int status;

    (void)state;
    assert_true(g_spawn_command_line_sync(command, NULL, &errors, &status, NULL));
    print_message("%s", errors);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    if (!strstr(errors, missing))
        fail_msg("\"%s\" does not contain \"%s\"", errors, missing);
}

static int run_guests(void)
{
    const struct CMUnitTest offline[] = {
        cmocka_unit_test(without_a_rule_in_user_space_a_plugged_cpu_stays_offline),
        cmocka_unit_test(until_on_does_not_take_success_for_a_cpu_that_stays_offline),
        cmocka_unit_test(with_the_rule_the_cpu_goes_online),
        cmocka_unit_test(an_unplug_is_refused_as_busy_while_no_other_cpu_is_online),
    };
    const struct CMUnitTest boots[] = {
        cmocka_unit_test_teardown(a_redistributor_that_is_elsewhere_panics_the_guest, drop_guest),
        cmocka_unit_test_teardown(a_distributor_that_is_elsewhere_panics_the_guest, drop_guest),
        cmocka_unit_test_teardown(a_guest_with_a_device_tree_does_not_hear_of_requests, drop_guest),
        cmocka_unit_test_teardown(cpu_on_with_the_sve_hint_is_not_supported, drop_guest),
        cmocka_unit_test_teardown(with_maxcpus_1_hot_added_cpus_wait_for_user_space_after_a_reboot,
                                  drop_guest),
        cmocka_unit_test(maxcpus_1_spares_a_guest_the_denied_cpu_ons),
    };
    int failed = cmocka_run_group_tests_name("symptoms", offline, boot_without_agent, power_off);

    return failed + cmocka_run_group_tests_name("symptoms of boots", boots, NULL, NULL);
}

static int run_old(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_older_kernel_answers_success_and_starts_nothing, drop_guest),
    };

    return cmocka_run_group_tests_name("symptoms of an older kernel", tests, NULL, NULL);
}

static int run_host(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(minivmm_names_what_the_host_lacks)};

    return cmocka_run_group_tests_name("symptoms of a host", tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "guests")) {
        if (argc > 2)
            cmocka_set_test_filter(argv[2]);
        return run_guests();
    }
    if (argc == 2 && !strcmp(argv[1], "old"))
        return run_old();
    if (argc == 3 && !strcmp(argv[1], "host")) {
        missing = argv[2];
        return run_host();
    }
    fprintf(stderr, "usage: symptoms guests [TEST] | symptoms old | symptoms host TEXT\n");
    return 2;
}
