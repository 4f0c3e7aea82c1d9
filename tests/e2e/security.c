/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * docs/security.md in real guests. The arguments are the groups of tests to run:
 *
 *     seccomp    minivmm with a filter of system calls for each thread
 *     hostile    a guest that attacks from all its vCPUs at once, and a good one after it
 *
 * BARE_IMAGE is the program bare.img; the other environment variables are those of guest.h.
 */
#include "check.h"

#include <unistd.h>

/* --- A filter of system calls --- */

static int boot_filtered(void **state)
{
    *state = guest_boot("seccomp", "--seccomp --its --warm-up --vcpus 4 --enabled 1 "
                                   "--append \"quiet vcpuhp.agent\"");
    return 0;
}

static void assert_all_threads_are_filtered(Guest *guest)
{
    unsigned n = host_number(guest, "ls task | wc -l");

    assert_true(n > 1);
    assert_int_equal(host_number(guest, "cat task/*/status | grep -c ^Seccomp:.2"), n);
    assert_int_equal(host_number(guest, "cat task/*/status | grep -c ^NoNewPrivs:.1"), n);
}

static void vcpus_are_plugged_and_unplugged_under_the_filter(void **state)
{
    Guest *guest = *state;

    for (unsigned i = 0; i < 2; i++) {
        for (unsigned vcpu = 1; vcpu < 4; vcpu++)
            plug(guest, vcpu);
        assert_masks(guest, "0-3", "0-3", "0-3");
        assert_all_threads_are_filtered(guest);
        for (unsigned vcpu = 1; vcpu < 4; vcpu++)
            unplug(guest, vcpu);
        assert_masks(guest, "0-3", "0", "0");
    }
}

static void requests_time_out_and_are_cancelled_under_the_filter(void **state)
{
    Guest *guest = *state;
    unsigned id;

    g_free(guest_run(guest, NULL, "echo ACPI0013:00 >/sys/bus/platform/drivers/acpi-ged/unbind"));
    assert_outcome(guest, request(guest, "plug 1 200"), "timed out");
    id = request(guest, "plug 1");
    g_free(guest_command(guest, "cancel %u", id));
    assert_outcome(guest, id, "cancelled");
    g_free(guest_run(guest, NULL, "echo ACPI0013:00 >/sys/bus/platform/drivers/acpi-ged/bind"));
}

static void the_machine_is_reset_under_the_filter(void **state)
{
    Guest *guest = *state;

    plug(guest, 2);
    guest_skip_events(guest);
    guest_send(guest, "reboot -f");
    guest_wait_event(guest, "all vCPUs have parked");
    guest_wait_ready(guest);
    assert_masks(guest, "0-3", "0,2", "0,2");
    guest_skip_events(guest);
    g_free(guest_command(guest, "reset"));
    guest_wait_event(guest, "all vCPUs have parked");
    guest_wait_ready(guest);
    assert_masks(guest, "0-3", "0,2", "0,2");
    assert_works(guest, 2);
    assert_quiet_dmesg(guest);
    assert_all_threads_are_filtered(guest);
}

static void a_vcpu_is_forced_out_under_the_filter(void **state)
{
    Guest *guest = *state;

    guest_skip_events(guest);
    g_free(guest_command(guest, "force 2"));
    guest_wait_event(guest, "vCPU 2: off");
    guest_wait_event(guest, "vCPU 2: removed by force");
}

static void a_filtered_minivmm_opens_no_file(void **state)
{
    assert_refused(*state, "kernel /dev/null", "--seccomp", NULL);
    assert_refused(*state, "save /dev/null", "--seccomp", NULL);
    assert_refused(*state, "migrate /dev/null", "--seccomp", NULL);
}

static void a_filtered_minivmm_ends(void **state)
{
    Guest *guest = *state;

    g_free(guest_command(guest, "quit"));
    assert_int_equal(guest_wait_exit(guest), 0);
}

static int run_seccomp(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vcpus_are_plugged_and_unplugged_under_the_filter),
        cmocka_unit_test(requests_time_out_and_are_cancelled_under_the_filter),
        cmocka_unit_test(the_machine_is_reset_under_the_filter),
        cmocka_unit_test(a_vcpu_is_forced_out_under_the_filter),
        cmocka_unit_test(a_filtered_minivmm_opens_no_file),
        cmocka_unit_test(a_filtered_minivmm_ends),
    };

    return cmocka_run_group_tests_name("security seccomp", tests, boot_filtered, drop_guest);
}

/* --- A hostile guest: the command storm of bare/bare.c --- */

#define STORM_SECONDS 8

/* What minivmm uses of the host. */
typedef struct Usage {
    unsigned rss_kib, fds, threads, maps;
} Usage;

static Usage get_usage(Guest *guest)
{
    return (Usage){
        .rss_kib = host_number(guest, "sed -n \"s/^VmRSS:[^0-9]*//p\" status"),
        .fds = host_number(guest, "ls fd | wc -l"),
        .threads = host_number(guest, "ls task | wc -l"),
        .maps = host_number(guest, "wc -l <maps"),
    };
}

static int boot_hostile(void **state)
{
    g_autofree char *options = g_strdup_printf(
        "--kernel %s --mem 256 --its --vcpus 4 --enabled 1 --append \"quiet vcpuhp.agent\"",
        g_getenv("BARE_IMAGE"));

    *state = guest_boot("hostile", options);
    return 0;
}

static void raise_storm(Guest *guest, unsigned milliseconds, unsigned seed)
{
    g_autofree char *command = g_strdup_printf("storm %u %u", milliseconds, seed);

    guest_send(guest, command);
}

/* Any monitor command; the storm decides whether it is refused. */
static void try_command(Guest *guest, const char *what, unsigned n)
{
    g_free(guest_monitor(guest, "%s %u", what, n));
}

static void plug_unplug_and_force(Guest *guest, GRand *random)
{
    static const char *const whats[] = {"plug",  "plug",  "plug",   "plug",   "unplug", "unplug",
                                        "force", "force", "cancel", "repeat", "info"};
    const char *what = whats[g_rand_int_range(random, 0, G_N_ELEMENTS(whats))];

    if (!strcmp(what, "info"))
        guest_info(guest, "running");
    else if (!strcmp(what, "cancel") || !strcmp(what, "repeat"))
        try_command(guest, what, g_rand_int_range(random, 1, 300));
    else
        try_command(guest, what, g_rand_int_range(random, 0, 5));
}

static bool is_disabled_and_off(Guest *guest, unsigned vcpu)
{
    g_autofree char *row = info_row(guest, vcpu);

    return strstr(row, "disabled off") != NULL;
}

static void force_all(Guest *guest)
{
    for (unsigned vcpu = 1; vcpu < 4; vcpu++)
        try_command(guest, "force", vcpu);
    for (unsigned vcpu = 1; vcpu < 4; vcpu++)
        while (!is_disabled_and_off(guest, vcpu))
            g_usleep(1000);
}

/* How long a vCPU's thread has run, in ticks of 10 ms, by the host's account. */
static unsigned thread_ticks(Guest *guest, unsigned vcpu)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/task", guest_pid(guest));
    g_autofree char *name = g_strdup_printf("(vcpu %u) ", vcpu);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *thread;

    assert_non_null(dir);
    while ((thread = g_dir_read_name(dir))) {
        g_autofree char *path = g_strdup_printf("%s/%s/stat", folder, thread);
        g_autofree char *stat = NULL;
        g_auto(GStrv) fields = NULL;

        if (!g_file_get_contents(path, &stat, NULL, NULL) || !strstr(stat, name))
            continue;
        /* The fields after the name begin with number 3. */
        fields = g_strsplit(strstr(stat, name) + strlen(name), " ", -1);
        return g_ascii_strtoull(fields[14 - 3], NULL, 10) +
               g_ascii_strtoull(fields[15 - 3], NULL, 10);
    }
    fail_msg("vCPU %u has no thread", vcpu);
    return 0;
}

/* minivmm drops a monitor that does not read, so no wait here is a plain sleep. */
static void wait_milliseconds(Guest *guest, unsigned milliseconds)
{
    gint64 until = g_get_monotonic_time() + milliseconds * 1000;

    while (g_get_monotonic_time() < until)
        guest_info(guest, "running");
}

/* Only the VMM enables, so a vCPU that it has forced stays off, whatever the others call. */
static void assert_disabled_vcpus_stay_off(Guest *guest)
{
    unsigned before[4], after;
    gint64 denied;

    force_all(guest);
    denied = guest_info(guest, "counter cpu_on_denied");
    for (unsigned vcpu = 1; vcpu < 4; vcpu++)
        before[vcpu] = thread_ticks(guest, vcpu);
    wait_milliseconds(guest, 500);
    while (guest_info(guest, "counter cpu_on_denied") < denied + 3)
        ;
    for (unsigned vcpu = 1; vcpu < 4; vcpu++) {
        after = thread_ticks(guest, vcpu);
        if (after > before[vcpu] + 1) /* the signal of a late kick may take one */
            fail_msg("vCPU %u is disabled and ran for %u ms", vcpu, 10 * (after - before[vcpu]));
        assert_true(is_disabled_and_off(guest, vcpu));
    }
}

static void wait_storm_over(Guest *guest)
{
    guest_wait_console(guest, "storm over: ");
    guest_wait_console(guest, " end 0]]");
}

static void reset_machine(Guest *guest)
{
    guest_skip_events(guest);
    g_free(guest_command(guest, "reset"));
    guest_wait_event(guest, "all vCPUs have parked");
    guest_wait_ready(guest);
}

static void enable_all(Guest *guest)
{
    for (unsigned vcpu = 1; vcpu < 4; vcpu++)
        try_command(guest, "plug", vcpu);
}

static void save(Guest *guest)
{
    g_autofree char *file = g_strdup_printf("%s/storm-%d", g_get_tmp_dir(), getpid());

    g_free(guest_command(guest, "save %s", file));
    unlink(file);
}

/* Afterwards every thread, mapping and buffer exists. */
static void warm_up(Guest *guest)
{
    raise_storm(guest, 600000, 1);
    while (guest_info(guest, "threads") < 4)
        enable_all(guest);
    save(guest);
    force_all(guest);
    reset_machine(guest);
}

static void a_storm_during_requests_saves_and_resets_costs_the_host_nothing(void **state)
{
    const char *chosen = g_getenv("SEED");
    unsigned seed = chosen ? g_ascii_strtoull(chosen, NULL, 10) : 1 + g_get_real_time() % 1000000;
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    Guest *guest = *state;
    Usage before, after;
    gint64 begin, end, accesses;
    guint n_events;

    warm_up(guest);
    before = get_usage(guest);
    n_events = guest_count_events(guest, "");
    begin = g_get_monotonic_time();
    for (unsigned i = 0; i < 2; i++) {
        gint64 until = g_get_monotonic_time() + STORM_SECONDS * G_USEC_PER_SEC / 2;

        /* The machine is reset in the middle of the first storm. */
        raise_storm(guest, i ? STORM_SECONDS * 1000 : 600000, seed + i);
        enable_all(guest);
        while (g_get_monotonic_time() < until)
            plug_unplug_and_force(guest, random);
        assert_disabled_vcpus_stay_off(guest);
        enable_all(guest);
        save(guest);
        if (i == 0)
            reset_machine(guest);
        else
            wait_storm_over(guest);
    }
    end = g_get_monotonic_time();
    force_all(guest);
    after = get_usage(guest);
    n_events = guest_count_events(guest, "") - n_events;
    accesses =
        guest_info(guest, "counter block_reads") + guest_info(guest, "counter block_writes") +
        guest_info(guest, "counter event_reads") + guest_info(guest, "counter bitmap_reads") +
        guest_info(guest, "counter ost_writes") + guest_info(guest, "counter eject_writes") +
        guest_info(guest, "counter other_accesses");
    print_message(
        "seed %u: %" G_GINT64_FORMAT " accesses, %" G_GINT64_FORMAT
        " CPU_ON granted, %" G_GINT64_FORMAT " denied, %u events in %.1f s; before and "
        "after: RSS %u and %u KiB, fds %u and %u, threads %u and %u, mappings %u and %u\n",
        seed, accesses, guest_info(guest, "counter cpu_on_granted"),
        guest_info(guest, "counter cpu_on_denied"), n_events, (end - begin) / 1e6, before.rss_kib,
        after.rss_kib, before.fds, after.fds, before.threads, after.threads, before.maps,
        after.maps);
    assert_true(accesses > 500);
    assert_true(after.rss_kib < before.rss_kib + 2048);
    assert_int_equal(after.fds, before.fds);
    assert_int_equal(after.threads, before.threads);
    assert_true(after.maps <= before.maps + 8);                           /* malloc()'s arenas */
    assert_true(n_events <= 4097 * (2 + (end - begin) / G_USEC_PER_SEC)); /* minivmm's limit */
}

static void a_good_guest_boots_afterwards_in_the_same_process(void **state)
{
    Guest *guest = *state;

    g_free(guest_command(guest, "kernel %s", g_getenv("GUEST_KERNEL")));
    reset_machine(guest);
    assert_masks(guest, "0-3", "0", "0");
    for (unsigned vcpu = 1; vcpu < 4; vcpu++)
        plug(guest, vcpu);
    assert_masks(guest, "0-3", "0-3", "0-3");
    for (unsigned vcpu = 1; vcpu < 4; vcpu++)
        assert_works(guest, vcpu);
    unplug(guest, 2);
    assert_masks(guest, "0-3", "0-1,3", "0-1,3");
    assert_quiet_dmesg(guest);
}

static int run_hostile(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_during_requests_saves_and_resets_costs_the_host_nothing),
        cmocka_unit_test(a_good_guest_boots_afterwards_in_the_same_process),
    };

    return cmocka_run_group_tests_name("security hostile", tests, boot_hostile, power_off);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } groups[] = {
        {"seccomp", run_seccomp},
        {"hostile", run_hostile},
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
