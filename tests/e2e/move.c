/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests that are paused, saved to a file and restored, and migrated while they run; and moves that
 * fail, after which the guest goes on where it was. The arguments are the groups of tests to run.
 * Environment variables besides those of guest.h: GUEST_INSIDE and BARE_IMAGE, the programs inside
 * and bare.img.
 */
#include "check.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define CPUS "/sys/devices/system/cpu/"

/* What a group of tests works on. */
typedef struct Mover {
    Guest *guest;
    char *options; /* of its minivmm */
    char *initrd;  /* its own, or NULL */
    char *folder;  /* for files and sockets */
    unsigned n_moves;
} Mover;

static Mover *mover_new(Guest *guest, const char *options)
{
    Mover *mover = g_new0(Mover, 1);

    mover->guest = guest;
    mover->options = g_strdup(options);
    mover->folder = g_dir_make_tmp("move-XXXXXX", NULL);
    return mover;
}

static void mover_free(Mover *mover)
{
    if (mover->initrd)
        g_unlink(mover->initrd);
    g_free(mover->initrd);
    g_free(mover->options);
    g_rmdir(mover->folder);
    g_free(mover->folder);
    g_free(mover);
}

static int drop_mover(void **state)
{
    Mover *mover = *state;

    if (!mover) /* The set-up has failed. */
        return 0;
    guest_free(mover->guest);
    mover_free(mover);
    return 0;
}

/* --- Ways to move --- */

static char *path_in(const Mover *mover, const char *name)
{
    return g_build_filename(mover->folder, name, NULL);
}

/* Start another minivmm for the guest, with a further option. */
static Guest *start_target(Mover *mover, const char *option, const char *path)
{
    g_autofree char *name =
        g_strdup_printf("%s-%u", strrchr(mover->folder, '/') + 1, ++mover->n_moves);
    g_autofree char *options = g_strdup_printf("%s %s %s", mover->options, option, path);

    return guest_start_moved(mover->guest, name, options);
}

static void replace_guest(Mover *mover, Guest *target)
{
    guest_free(mover->guest);
    mover->guest = target;
}

static void save(Mover *mover, const char *path)
{
    g_free(guest_command(mover->guest, "pause"));
    g_free(guest_command(mover->guest, "save %s", path));
    g_free(guest_command(mover->guest, "quit"));
    assert_int_equal(guest_wait_exit(mover->guest), 0);
}

/* The guest stays in its file for a while. */
static void move_by_file_and_rest(Mover *mover, unsigned seconds)
{
    g_autofree char *path = path_in(mover, "machine");

    save(mover, path);
    g_usleep(seconds * G_USEC_PER_SEC);
    replace_guest(mover, start_target(mover, "--restore", path));
    guest_wait_event(mover->guest, "migration: the guest runs here");
    g_unlink(path);
}

G_GNUC_UNUSED static void move_by_file(Mover *mover)
{
    move_by_file_and_rest(mover, 0);
}

G_GNUC_UNUSED static void move_live(Mover *mover)
{
    g_autofree char *path = path_in(mover, "socket");
    Guest *target = start_target(mover, "--incoming", path);

    guest_wait_event(target, "migration: waiting");
    g_free(guest_command(mover->guest, "migrate %s 500", path));
    guest_wait_event(mover->guest, "migration: done");
    assert_int_equal(guest_wait_exit(mover->guest), 0);
    replace_guest(mover, target);
}

/* --- The guest's own evidence --- */

/* A process that counts, pinned to a vCPU. */
static void start_counter(Guest *guest, unsigned vcpu)
{
    g_free(guest_run(guest, NULL, "taskset %x /inside count /tmp/count & echo $! >/tmp/counter",
                     1u << vcpu));
    g_free(guest_run(guest, NULL, "wait_for 20 test -s /tmp/count"));
}

static void stop_counter(Guest *guest)
{
    g_free(guest_run(guest, NULL, "kill $(cat /tmp/counter)"));
}

typedef struct Seen {
    guint64 n_steps;    /* of the counter, which has computed right so far */
    guint64 longest_ms; /* between two steps, on the guest's clock */
    double uptime;      /* s */
    gint64 now;         /* µs, the host's */
} Seen;

static Seen look(Guest *guest)
{
    g_autofree char *count = guest_run(guest, NULL, "/inside counted /tmp/count");
    g_autofree char *uptime = guest_run(guest, NULL, "cut -d ' ' -f 1 /proc/uptime");
    char state[8] = "";
    Seen seen = {.now = g_get_monotonic_time()};

    assert_int_equal(sscanf(count, "%" G_GUINT64_FORMAT " %7s %" G_GUINT64_FORMAT, &seen.n_steps,
                            state, &seen.longest_ms),
                     3);
    assert_string_equal(state, "right");
    seen.uptime = g_ascii_strtod(uptime, NULL);
    return seen;
}

/* Time that the guest did not live through, beyond what the host took for it. */
static double lost_seconds(const Seen *before, const Seen *after)
{
    return (after->now - before->now) / 1e6 - (after->uptime - before->uptime);
}

static void assert_quiet(Guest *guest)
{
    assert_quiet_dmesg(guest);
    assert_output(guest, "",
                  "dmesg | grep -iE 'stall|lockup|hung|clocksource.*(unstable|skew|jump)|"
                  "time.*(jump|backwards)|rcu.*(detected|starved)' || true");
}

/* No step of the counter is lost, and the kernel has nothing to say. */
static void assert_went_on(Guest *guest, const Seen *before)
{
    Seen after = look(guest);

    assert_true(after.n_steps > before->n_steps);
    assert_true(after.uptime > before->uptime);
    assert_quiet(guest);
}

/* Its clock has not jumped either: the counter began after every pause that may be long. */
static void assert_noticed_nothing(Guest *guest, const Seen *before)
{
    Seen after = look(guest);

    print_message("longest step %u ms\n", (unsigned)after.longest_ms);
    assert_true(after.longest_ms < 3000);
    assert_went_on(guest, before);
}

/* --- Linux in a file --- */

static Mover *boot_linux(const char *name, const char *options, bool kexec)
{
    char *initrd = initrd_with_inside(kexec);
    g_autofree char *all = g_strdup_printf(
        "--vcpus 4 --enabled 1 --append \"quiet vcpuhp.agent\" --initrd %s %s", initrd, options);
    Mover *mover = mover_new(guest_boot(name, all), all);

    mover->initrd = initrd;
    return mover;
}

static int boot_for_files(void **state)
{
    Mover *mover = *state = boot_linux("file", "--its --mem 384", true);

    plug(mover->guest, 2);
    guest_wait_output(mover->guest, "cat " CPUS "online", "0,2");
    start_counter(mover->guest, 2);
    return 0;
}

static void a_paused_guest_stands_still(void **state)
{
    Guest *guest = ((Mover *)*state)->guest;
    Seen before = look(guest), after;

    g_free(guest_command(guest, "pause"));
    g_free(guest_command(guest, "pause"));
    g_usleep(3 * G_USEC_PER_SEC);
    assert_int_equal(guest_info(guest, "paused"), 1);
    g_free(guest_command(guest, "resume"));
    after = look(guest);
    assert_true(before.longest_ms < 3000);
    assert_true(after.longest_ms >= 3000);
    assert_quiet(guest);
}

static void a_saved_guest_runs_on(void **state)
{
    Mover *mover = *state;
    g_autofree char *path = path_in(mover, "machine");
    Seen before = look(mover->guest);

    g_free(guest_command(mover->guest, "save %s", path));
    assert_went_on(mover->guest, &before);
    assert_int_equal(g_unlink(path), 0);
}

static void a_restored_guest_goes_on_where_it_was(void **state)
{
    Mover *mover = *state;
    Seen before, after;

    stop_counter(mover->guest);
    start_counter(mover->guest, 2);
    before = look(mover->guest);
    move_by_file_and_rest(mover, 6);
    assert_masks(mover->guest, "0-3", "0,2", "0,2");
    after = look(mover->guest);
    assert_noticed_nothing(mover->guest, &before);
    assert_true(lost_seconds(&before, &after) > 5.9);
    assert_works(mover->guest, 2);
}

static void a_restored_guest_plugs_and_unplugs(void **state)
{
    Guest *guest = ((Mover *)*state)->guest;
    Seen before = look(guest);

    plug(guest, 3);
    assert_masks(guest, "0-3", "0,2-3", "0,2-3");
    assert_works(guest, 3);
    unplug(guest, 2);
    assert_masks(guest, "0-3", "0,3", "0,3");
    assert_went_on(guest, &before);
}

static void a_restored_guest_reboots(void **state)
{
    Mover *mover = *state;

    guest_send(mover->guest, "reboot -f");
    guest_wait_ready(mover->guest);
    assert_masks(mover->guest, "0-3", "0,3", "0,3");
    assert_fresh_lpis(mover->guest, 2);
    assert_works(mover->guest, 3);
    assert_quiet(mover->guest);
}

static void a_restored_guest_starts_another_kernel(void **state)
{
    Mover *mover = *state;
    Guest *guest;

    move_by_file(mover);
    guest = mover->guest;
    guest_send(guest, "/inside kexec /Image /initrd");
    guest_wait_event(guest, "vCPU 3: off");
    guest_wait_event(guest, "vCPU 3: on");
    guest_wait_ready(guest);
    assert_masks(guest, "0-3", "0,3", "0,3");
    assert_output(guest, "2", "dmesg | grep -c 'using reserved LPI pending table'");
    plug(guest, 2);
    assert_works(guest, 2);
    assert_quiet(guest);
}

static int run_file(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_paused_guest_stands_still),
        cmocka_unit_test(a_saved_guest_runs_on),
        cmocka_unit_test(a_restored_guest_goes_on_where_it_was),
        cmocka_unit_test(a_restored_guest_plugs_and_unplugs),
        cmocka_unit_test(a_restored_guest_reboots),
        cmocka_unit_test(a_restored_guest_starts_another_kernel),
    };

    return cmocka_run_group_tests_name("move file", tests, boot_for_files, drop_mover);
}

/* --- Linux, live: six moves in a row, each in another situation --- */

static int boot_for_live(void **state)
{
    Mover *mover = *state = boot_linux("live", "--its --mem 256", false);

    start_counter(mover->guest, 0);
    return 0;
}

static void a_guest_moves_while_it_runs(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);

    move_live(mover);
    assert_masks(mover->guest, "0-3", "0", "0");
    assert_noticed_nothing(mover->guest, &before);
    plug(mover->guest, 2);
    assert_masks(mover->guest, "0-3", "0,2", "0,2");
    assert_works(mover->guest, 2);
    stop_counter(mover->guest);
    start_counter(mover->guest, 2);
}

static void every_possible_vcpu_moves(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);

    plug(mover->guest, 1);
    plug(mover->guest, 3);
    assert_masks(mover->guest, "0-3", "0-3", "0-3");
    move_live(mover);
    assert_masks(mover->guest, "0-3", "0-3", "0-3");
    assert_noticed_nothing(mover->guest, &before);
    for (unsigned i = 0; i < 4; i++)
        assert_works(mover->guest, i);
    unplug(mover->guest, 1);
    assert_masks(mover->guest, "0-3", "0,2-3", "0,2-3");
}

/* vCPU 3 has run, vCPU 1 has run before its unplug and never since. */
static void hot_added_vcpus_that_are_offline_move(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);

    g_free(guest_run(mover->guest, NULL, "agent_stop; echo 0 >" CPUS "cpu3/online"));
    g_free(guest_command(mover->guest, "plug 1"));
    assert_masks(mover->guest, "0-3", "0-3", "0,2");
    move_live(mover);
    assert_masks(mover->guest, "0-3", "0-3", "0,2");
    assert_noticed_nothing(mover->guest, &before);
    g_free(guest_run(mover->guest, NULL, "agent"));
    assert_masks(mover->guest, "0-3", "0-3", "0-3");
    assert_works(mover->guest, 1);
    assert_works(mover->guest, 3);
}

static void a_guest_moves_after_an_unplug(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);

    unplug(mover->guest, 1);
    unplug(mover->guest, 3);
    move_live(mover);
    assert_masks(mover->guest, "0-3", "0,2", "0,2");
    assert_noticed_nothing(mover->guest, &before);
    plug(mover->guest, 3);
    assert_works(mover->guest, 3);
}

/* To see no event, the guest unbinds its driver from the event device. */
#define GED "/sys/bus/platform/drivers/acpi-ged/"

static void requests_that_linux_has_not_seen_move(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);
    unsigned plug, unplug;

    g_free(guest_run(mover->guest, NULL, "echo ACPI0013:00 >" GED "unbind"));
    plug = request(mover->guest, "plug 1");
    unplug = request(mover->guest, "unplug 3");
    move_live(mover);
    assert_info(mover->guest, 1, "enabled off", ": plug, ", "not seen yet", NULL);
    assert_info(mover->guest, 3, "enabled on", ": unplug, ", "not seen yet", NULL);
    g_free(guest_run(mover->guest, NULL, "echo ACPI0013:00 >" GED "bind"));
    assert_outcome(mover->guest, plug, "done");
    assert_outcome(mover->guest, unplug, "done");
    assert_masks(mover->guest, "0-3", "0-2", "0-2");
    assert_noticed_nothing(mover->guest, &before);
}

static void a_guest_moves_when_it_has_its_boot_vcpus_only(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);

    unplug(mover->guest, 1);
    unplug(mover->guest, 2); /* Linux moves the counter to another CPU. */
    move_live(mover);
    assert_masks(mover->guest, "0-3", "0", "0");
    assert_noticed_nothing(mover->guest, &before);
    assert_int_equal(mover->n_moves, 6);
}

/* From vCPUs and a vGIC of the library's to those that minivmm lends, and back; with --own-vcpus for
 * all guests, between two that lend. */
static void a_guest_moves_to_a_vmm_that_lends_its_vcpus(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);
    char *options = mover->options;

    plug(mover->guest, 1);
    mover->options = g_strconcat(options, " --own-vcpus", NULL);
    move_live(mover);
    g_free(mover->options);
    mover->options = options;
    assert_works(mover->guest, 1);
    plug(mover->guest, 2);
    move_live(mover);
    assert_masks(mover->guest, "0-3", "0-2", "0-2");
    assert_noticed_nothing(mover->guest, &before);
    assert_works(mover->guest, 2);
}

/* Neither minivmm's own writes to RAM nor those of the new kernel get lost. */
static void a_guest_that_reboots_meanwhile_moves(void **state)
{
    Mover *mover = *state;
    g_autofree char *path = path_in(mover, "socket");
    Guest *target = start_target(mover, "--incoming", path);
    g_autofree char *enabled = guest_run(mover->guest, NULL, "cat " CPUS "enabled");
    g_autofree char *console = NULL;
    const char *rebooted;

    guest_wait_event(target, "migration: waiting");
    guest_skip_events(mover->guest);
    guest_send(mover->guest, "reboot -f");
    g_free(guest_command(mover->guest, "migrate %s 500", path));
    guest_wait_event(mover->guest, "all vCPUs have parked");
    guest_wait_event(mover->guest, "migration: done");
    assert_int_equal(guest_wait_exit(mover->guest), 0);
    console = guest_console_tail(mover->guest, G_MAXUINT);
    rebooted = strstr(console, "Restarting system");
    assert_non_null(rebooted);
    replace_guest(mover, target);
    if (!strstr(rebooted, "[[vcpuhp ready")) /* It was still booting when it moved. */
        guest_wait_ready(mover->guest);
    assert_masks(mover->guest, "0-3", enabled, enabled);
    assert_works(mover->guest, 0);
    assert_quiet(mover->guest);
}

static int run_live(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_moves_while_it_runs),
        cmocka_unit_test(every_possible_vcpu_moves),
        cmocka_unit_test(hot_added_vcpus_that_are_offline_move),
        cmocka_unit_test(a_guest_moves_after_an_unplug),
        cmocka_unit_test(requests_that_linux_has_not_seen_move),
        cmocka_unit_test(a_guest_moves_when_it_has_its_boot_vcpus_only),
        cmocka_unit_test(a_guest_moves_to_a_vmm_that_lends_its_vcpus),
        cmocka_unit_test(a_guest_that_reboots_meanwhile_moves),
    };

    return cmocka_run_group_tests_name("move live", tests, boot_for_live, drop_mover);
}

/* --- A guest that does what Linux does not show: bare/bare.c --- */

static void (*bare_move)(Mover *mover);

static int boot_bare(void **state)
{
    g_autofree char *options = g_strdup_printf(
        "--kernel %s --mem 16 --vcpus 4 --enabled 2 --coldplug removable", g_getenv("BARE_IMAGE"));

    *state = mover_new(guest_boot("bare", options), options);
    return 0;
}

/* docs/register-block.md */
#define TAKE_EVENTS        "read 8 0x09000018"
#define EJECT(vcpu)        "write 8 0x09000028 " vcpu
#define IN_PROGRESS(vcpu)  "write 8 0x09000020 0x840003000" vcpu
#define EJECT_CLOSED(vcpu) "write 8 0x09000020 0x3000" vcpu
#define SELECT(vcpu)       "write 4 0x09000000 " vcpu
#define CONTROL(bits)      "write 1 0x09000004 " bits
#define STATUS             "read 1 0x09000004"
#define IRQ_PENDS          "pends 33"

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

static void a_request_that_is_raised_moves(void **state)
{
    Mover *mover = *state;
    unsigned id = request(mover->guest, "plug 2");

    assert_output(mover->guest, "1", IRQ_PENDS);
    bare_move(mover);
    assert_info(mover->guest, 2, "enabled off", ": plug, ", "not seen yet", NULL);
    assert_output(mover->guest, "1", IRQ_PENDS);
    assert_output(mover->guest, "c002", TAKE_EVENTS);
    assert_output(mover->guest, "0", IRQ_PENDS);
    turn_on(mover->guest, 2);
    assert_outcome(mover->guest, id, "done");
}

static void a_request_that_was_seen_moves(void **state)
{
    Mover *mover = *state;
    unsigned id = request(mover->guest, "unplug 2");

    assert_output(mover->guest, "a002", TAKE_EVENTS);
    bare_move(mover);
    assert_info(mover->guest, 2, "enabled on", ": unplug, ", "seen", NULL);
    assert_output(mover->guest, "0", IRQ_PENDS);
    assert_output(mover->guest, "0", TAKE_EVENTS);
    turn_off(mover->guest, 2);
    g_free(guest_run(mover->guest, NULL, EJECT("2")));
    assert_outcome(mover->guest, id, "done");
    g_free(guest_run(mover->guest, NULL, EJECT_CLOSED("2")));
}

static void a_request_in_progress_moves(void **state)
{
    Mover *mover = *state;

    turn_on(mover->guest, 1);
    request(mover->guest, "unplug 1");
    assert_output(mover->guest, "a001", TAKE_EVENTS);
    g_free(guest_run(mover->guest, NULL, IN_PROGRESS("1")));
    bare_move(mover);
    assert_info(mover->guest, 1, ": unplug, ", "seen", "in progress", NULL);
    /* It still runs where it was: it takes a call. */
    assert_output(mover->guest, "0", "hvc 1 0xc4000004 1 0");
    g_free(guest_run(mover->guest, NULL, EJECT("1")));
    assert_info(mover->guest, 1, "disabled, being ejected on", NULL);
}

static void a_vcpu_between_ej0_and_cpu_off_moves(void **state)
{
    Mover *mover = *state;
    Guest *guest;

    bare_move(mover);
    guest = mover->guest;
    assert_info(guest, 1, "disabled, being ejected on", ": unplug, ", NULL);
    assert_output(guest, "0", "hvc 0 0xc4000004 1 0");
    assert_output(guest, "fffffffffffffffd", "hvc 0 0xc4000003 1 entry 0");
    turn_off(guest, 1);
    guest_wait_event(guest, "vCPU 1: ejected");
    guest_wait_event(guest, "done");
    assert_info(guest, 1, "disabled, being ejected off", NULL);
}

static void a_plug_that_is_held_back_moves(void **state)
{
    Mover *mover = *state;
    unsigned id = request(mover->guest, "plug 1");

    bare_move(mover);
    assert_info(mover->guest, 1, "disabled, being ejected off", ": plug, ", "held back", NULL);
    assert_output(mover->guest, "0", TAKE_EVENTS);
    g_free(guest_run(mover->guest, NULL, EJECT_CLOSED("1")));
    assert_output(mover->guest, "c001", TAKE_EVENTS);
    turn_on(mover->guest, 1);
    assert_outcome(mover->guest, id, "done");
    turn_off(mover->guest, 1);
}

static void a_timeout_goes_on_after_the_move(void **state)
{
    Mover *mover = *state;
    unsigned id = request(mover->guest, "plug 3 4000");

    bare_move(mover);
    assert_info(mover->guest, 3, ": plug, ", "not seen yet", NULL);
    assert_outcome(mover->guest, id, "timed out");
    assert_info(mover->guest, 3, "disabled off", NULL);
}

static void a_firmware_eject_that_is_asked_for_moves(void **state)
{
    Mover *mover = *state;

    g_free(guest_run(mover->guest, NULL, SELECT("1")));
    g_free(guest_run(mover->guest, NULL, CONTROL("16")));
    assert_output(mover->guest, "11", STATUS);
    bare_move(mover);
    /* The selector has moved, too. */
    assert_output(mover->guest, "11", STATUS);
    g_free(guest_run(mover->guest, NULL, CONTROL("8")));
    guest_wait_event(mover->guest, "vCPU 1: ejected");
    g_free(guest_run(mover->guest, NULL, EJECT_CLOSED("1")));
    g_free(guest_command(mover->guest, "plug 1"));
    assert_output(mover->guest, "c001", TAKE_EVENTS);
}

/* Pause until the vCPU is found between CPU_ON and its thread's entry. */
static void pause_while_it_starts(Guest *guest, unsigned vcpu)
{
    for (unsigned i = 0; i < 2000; i++) {
        g_autofree char *row = NULL;

        g_free(guest_command(guest, "pause"));
        row = info_row(guest, vcpu);
        if (strstr(row, "enabled starting")) {
            print_message("found at pause %u\n", i);
            return;
        }
        g_free(guest_command(guest, "resume"));
    }
    fail_msg("the vCPU was never found while it started");
}

/* While it moves, the guest turns the vCPU on and off. */
static void a_vcpu_that_is_on_pending_moves(void **state)
{
    Mover *mover = *state;

    guest_send(mover->guest, "cycle 1");
    pause_while_it_starts(mover->guest, 1);
    bare_move(mover);
    /* The guest has found the vCPU running, and then off: otherwise it takes no command. */
    assert_output(mover->guest, "1", "hvc 0 0xc4000004 1 0");
    turn_on(mover->guest, 1);
    assert_output(mover->guest, "0", "hvc 1 0xc4000004 1 0");
}

static int run_bare(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_is_raised_moves),
        cmocka_unit_test(a_request_that_was_seen_moves),
        cmocka_unit_test(a_request_in_progress_moves),
        cmocka_unit_test(a_vcpu_between_ej0_and_cpu_off_moves),
        cmocka_unit_test(a_plug_that_is_held_back_moves),
        cmocka_unit_test(a_timeout_goes_on_after_the_move),
        cmocka_unit_test(a_firmware_eject_that_is_asked_for_moves),
        cmocka_unit_test(a_vcpu_that_is_on_pending_moves),
    };
    int failed;

    bare_move = move_by_file;
    failed = cmocka_run_group_tests_name("move bare, by file", tests, boot_bare, drop_mover);
    bare_move = move_live;
    return failed + cmocka_run_group_tests_name("move bare, live", tests, boot_bare, drop_mover);
}

/* --- Other machines --- */

static void another_machine_moves(void **state, const char *name, const char *options)
{
    Mover *mover = *state = boot_linux(name, options, false);
    Seen before;

    plug(mover->guest, 2);
    guest_wait_output(mover->guest, "cat " CPUS "online", "0,2");
    start_counter(mover->guest, 2);
    before = look(mover->guest);
    move_by_file(mover);
    assert_went_on(mover->guest, &before);
    assert_works(mover->guest, 2);
    plug(mover->guest, 3);
    assert_masks(mover->guest, "0-3", "0,2-3", "0,2-3");
    before = look(mover->guest);
    move_live(mover);
    assert_went_on(mover->guest, &before);
    assert_works(mover->guest, 3);
    unplug(mover->guest, 3);
    assert_masks(mover->guest, "0-3", "0,2", "0,2");
}

static void a_machine_with_a_gicv2_moves(void **state)
{
    another_machine_moves(state, "gicv2", "--gic 2 --psci whole --mem 256");
}

static int run_gicv2(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_machine_with_a_gicv2_moves, drop_mover),
    };

    return cmocka_run_group_tests_name("move gicv2", tests, NULL, NULL);
}

static void start_vectors(Guest *guest)
{
    g_free(
        guest_run(guest, NULL, "rm -f /tmp/vectors; taskset 4 /inside vectors 8 >/tmp/vectors &"));
}

static void assert_features(Guest *guest)
{
    guest_wait_output(guest, "cat /tmp/vectors", "kept");
    assert_output(guest, "signed", "taskset 4 /inside pauth");
    g_free(guest_run(guest, NULL, "taskset 4 /inside cycles"));
}

static void registers_of_every_feature_move(void **state)
{
    g_autofree char *host = NULL;
    Mover *mover;

    assert_true(g_file_get_contents("/proc/cpuinfo", &host, NULL, NULL));
    if (!strstr(host, " sve ") || !strstr(host, " paca "))
        skip();
    another_machine_moves(state, "features", "--pmu --sve --pauth --mem 256");
    mover = *state;
    stop_counter(mover->guest);
    start_vectors(mover->guest);
    move_by_file(mover);
    assert_features(mover->guest);
    start_vectors(mover->guest);
    move_live(mover);
    assert_features(mover->guest);
    assert_quiet(mover->guest);
}

static int run_features(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(registers_of_every_feature_move, drop_mover),
    };

    return cmocka_run_group_tests_name("move features", tests, NULL, NULL);
}

/* --- Moves that fail: the guest goes on where it was, and the error names the cause --- */

static int boot_for_failures(void **state)
{
    Mover *mover = *state = boot_linux("failures", "--mem 256", false);

    plug(mover->guest, 2);
    guest_wait_output(mover->guest, "cat " CPUS "online", "0,2");
    start_counter(mover->guest, 2);
    return 0;
}

static void a_full_disk_fails_a_save(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);

    assert_refused(mover->guest, "save /dev/full", "/dev/full: No space left", NULL);
    assert_went_on(mover->guest, &before);
}

static void a_save_that_fails_leaves_no_file(void **state)
{
    Mover *mover = *state;
    g_autofree char *path = path_in(mover, "folder");
    g_autofree char *command = g_strdup_printf("save %s/machine", path);
    Seen before = look(mover->guest);
    g_autoptr(GDir) dir = NULL;

    assert_refused(mover->guest, command, "No such file or directory", NULL);
    assert_int_equal(g_mkdir(path, 0700), 0);
    g_free(command);
    /* What has the name is a folder, which no file replaces. */
    command = g_strdup_printf("save %s", path);
    assert_refused(mover->guest, command, path, NULL);
    assert_int_equal(g_rmdir(path), 0);
    dir = g_dir_open(mover->folder, 0, NULL);
    assert_null(g_dir_read_name(dir));
    assert_went_on(mover->guest, &before);
}

/* minivmm without a client, so that it ends by itself. */
static char *command_line(const Mover *mover, const char *more)
{
    const char *own = g_getenv("GUEST_OPTIONS");

    return g_strdup_printf("%s --kernel %s %s %s %s", g_getenv("MINIVMM"), g_getenv("GUEST_KERNEL"),
                           mover->options, more, own ? own : "");
}

static void assert_has_words(const char *text, va_list words)
{
    const char *word;

    while ((word = va_arg(words, const char *)))
        if (!strstr(text, word))
            fail_msg("\"%s\" does not contain \"%s\"", text, word);
}

static void G_GNUC_NULL_TERMINATED assert_not_restored(const Mover *mover, const char *options,
                                                       const char *path, ...)
{
    g_autofree char *more = g_strdup_printf("%s --restore %s", options, path);
    g_autofree char *command = command_line(mover, more);
    g_autofree char *errors = NULL;
    va_list words;
    int status;

    assert_true(g_spawn_command_line_sync(command, NULL, &errors, &status, NULL));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    va_start(words, path);
    assert_has_words(errors, words);
    va_end(words);
}

static void a_file_is_not_restored_into_another_machine(void **state)
{
    Mover *mover = *state;
    g_autofree char *path = path_in(mover, "machine");

    g_free(guest_command(mover->guest, "save %s", path));
    assert_not_restored(mover, "--mem 512", path, "--restore: ", "\"mem 512\"", "\"mem 256\"",
                        NULL);
    assert_not_restored(mover, "--vcpus 5", path, "\"vcpus 5\"", "\"vcpus 4\"", NULL);
    assert_not_restored(mover, "--its", path, "\"its yes\"", "\"its no\"", NULL);
    assert_int_equal(g_unlink(path), 0);
}

static void a_file_that_is_cut_off_is_not_restored(void **state)
{
    Mover *mover = *state;
    g_autofree char *path = path_in(mover, "machine");
    GStatBuf info;
    off_t sizes[6];

    g_free(guest_command(mover->guest, "save %s", path));
    assert_int_equal(g_stat(path, &info), 0);
    sizes[0] = info.st_size - 1; /* in the last record */
    sizes[1] = info.st_size - 100;
    sizes[2] = info.st_size / 2; /* in RAM */
    sizes[3] = 1000;             /* in the host's description */
    sizes[4] = 20;
    sizes[5] = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        assert_int_equal(truncate(path, sizes[i]), 0);
        assert_not_restored(mover, "", path, "--restore: ", path, "ended after", NULL);
    }
    assert_int_equal(g_unlink(path), 0);
    assert_not_restored(mover, "", g_getenv("GUEST_KERNEL"), "not a saved machine", NULL);
    assert_not_restored(mover, "", path, "No such file", NULL);
}

/* A minivmm that waits for a machine which never runs there. */
typedef struct Target {
    GPid pid;
    int out, err;
} Target;

static void target_start(Target *target, const Mover *mover, const char *options, const char *path)
{
    g_autofree char *more = g_strdup_printf("%s --incoming %s", options, path);
    g_autofree char *command = command_line(mover, more);
    g_auto(GStrv) argv = NULL;
    char waiting[64];

    assert_true(g_shell_parse_argv(command, NULL, &argv, NULL));
    assert_true(g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                         &target->pid, NULL, &target->out, &target->err, NULL));
    /* Its first line says that it listens. */
    assert_true(read(target->out, waiting, sizeof(waiting)) > 0);
}

static void G_GNUC_NULL_TERMINATED assert_target_fails(Target *target, ...)
{
    char errors[1000] = "";
    gsize len = 0;
    ssize_t n;
    int status;
    va_list words;

    while (len < sizeof(errors) - 1 &&
           (n = read(target->err, errors + len, sizeof(errors) - 1 - len)) > 0)
        len += n;
    assert_int_equal(waitpid(target->pid, &status, 0), target->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    close(target->out);
    close(target->err);
    va_start(words, target);
    assert_has_words(errors, words);
    va_end(words);
}

static void a_target_that_does_not_listen_fails_a_migration(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);

    assert_refused(mover->guest, "migrate /nowhere/at/all", "/nowhere/at/all", "No such file",
                   NULL);
    assert_went_on(mover->guest, &before);
}

static void a_target_that_is_another_machine_refuses(void **state)
{
    Mover *mover = *state;
    g_autofree char *path = path_in(mover, "socket");
    Seen before = look(mover->guest);
    Target target;

    target_start(&target, mover, "--mem 512", path);
    g_free(guest_command(mover->guest, "migrate %s", path));
    guest_wait_event(mover->guest, "migration: failed: the target: this machine has \"mem 512\", "
                                   "the saved one \"mem 256\"");
    assert_target_fails(&target, "--incoming: ", "\"mem 512\"", NULL);
    assert_went_on(mover->guest, &before);
}

static void a_guest_that_writes_too_fast_stays(void **state)
{
    Mover *mover = *state;
    g_autofree char *path = path_in(mover, "socket");
    Seen before = look(mover->guest);
    Target target;

    g_free(guest_run(mover->guest, NULL, "/inside write 32 & echo $! >/tmp/writer"));
    target_start(&target, mover, "", path);
    g_free(guest_command(mover->guest, "migrate %s 1 3", path));
    guest_wait_event(mover->guest, "migration: failed: the guest writes too fast: after 3 rounds");
    assert_target_fails(&target, "--incoming: ", "the source: ended after", NULL);
    assert_went_on(mover->guest, &before);
    g_free(guest_run(mover->guest, NULL, "kill $(cat /tmp/writer)"));
}

/* --- A connection that dies. Between source and target, a relay passes records on. --- */

typedef enum {
    FROM_SOURCE,
    FROM_TARGET
} Side;

typedef struct Relay {
    int listener, fds[2]; /* by Side */
    char *path, *target_path;
    /* Where it hangs up: before it passes this record on. */
    Side side;
    char type[5];
    unsigned nth;
    GThread *thread;
} Relay;

typedef struct Record {
    char type[4];
    guint32 len;
} Record;

static bool read_all(int fd, void *data, gsize len)
{
    for (gsize done = 0; done < len;) {
        ssize_t n = read(fd, (char *)data + done, len - done);

        if (n <= 0)
            return false;
        done += n;
    }
    return true;
}

static bool write_all(int fd, const void *data, gsize len)
{
    for (gsize done = 0; done < len;) {
        ssize_t n = send(fd, (const char *)data + done, len - done, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        done += n;
    }
    return true;
}

/* Returns false if the connection is to end. */
static bool pass_on(Relay *relay, Side side)
{
    int from = relay->fds[side], to = relay->fds[!side];
    g_autofree char *data = NULL;
    Record record;

    if (!read_all(from, &record, sizeof(record)) ||
        (side == relay->side && !memcmp(record.type, relay->type, 4) && --relay->nth == 0))
        return false;
    data = g_malloc(record.len);
    return read_all(from, data, record.len) && write_all(to, &record, sizeof(record)) &&
           write_all(to, data, record.len);
}

static void *relay_thread(void *data)
{
    Relay *relay = data;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    bool ok;

    relay->fds[FROM_SOURCE] = accept(relay->listener, NULL, NULL);
    relay->fds[FROM_TARGET] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, relay->target_path, sizeof(address.sun_path));
    ok = connect(relay->fds[FROM_TARGET], (struct sockaddr *)&address, sizeof(address)) == 0;
    while (ok) {
        struct pollfd fds[] = {{relay->fds[FROM_SOURCE], POLLIN, 0},
                               {relay->fds[FROM_TARGET], POLLIN, 0}};

        poll(fds, 2, -1);
        for (Side side = FROM_SOURCE; side <= FROM_TARGET && ok; side++)
            ok = !fds[side].revents || pass_on(relay, side);
    }
    close(relay->fds[FROM_SOURCE]);
    close(relay->fds[FROM_TARGET]);
    return NULL;
}

static void relay_start(Relay *relay, const Mover *mover, Side side, const char *type, unsigned nth)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *relay = (Relay){.path = path_in(mover, "relay"),
                     .target_path = path_in(mover, "socket"),
                     .side = side,
                     .nth = nth};
    g_strlcpy(relay->type, type, sizeof(relay->type));
    g_strlcpy(address.sun_path, relay->path, sizeof(address.sun_path));
    relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(relay->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(relay->listener, 1), 0);
    relay->thread = g_thread_new("relay", relay_thread, relay);
}

static void relay_end(Relay *relay)
{
    g_thread_join(relay->thread);
    close(relay->listener);
    g_unlink(relay->path);
    g_free(relay->path);
    g_free(relay->target_path);
}

/* The connection dies before this record arrives at the other side. */
static void migrate_and_cut(Mover *mover, Side side, const char *type, unsigned nth,
                            const char *event, const char *why)
{
    Seen before = look(mover->guest);
    Target target;
    Relay relay;

    relay_start(&relay, mover, side, type, nth);
    target_start(&target, mover, "", relay.target_path);
    g_free(guest_command(mover->guest, "migrate %s", relay.path));
    guest_wait_event(mover->guest, event);
    relay_end(&relay);
    assert_target_fails(&target, "--incoming: ", why, NULL);
    if (guest_info(mover->guest, "paused"))
        g_free(guest_command(mover->guest, "resume"));
    assert_went_on(mover->guest, &before);
}

#define FAILED "migration: failed: the target: "

static void a_connection_that_dies_before_the_target_is_asked_changes_nothing(void **state)
{
    migrate_and_cut(*state, FROM_SOURCE, "HOST", 1, FAILED, "the source: ended after");
}

static void a_connection_that_dies_before_the_target_answers_changes_nothing(void **state)
{
    migrate_and_cut(*state, FROM_TARGET, "YES ", 1, FAILED, "the source: ended after");
}

static void a_connection_that_dies_while_ram_is_copied_changes_nothing(void **state)
{
    migrate_and_cut(*state, FROM_SOURCE, "PAGE", 20, FAILED, "the source: ended after");
}

static void a_connection_that_dies_before_the_state_is_sent_changes_nothing(void **state)
{
    migrate_and_cut(*state, FROM_SOURCE, "KVMS", 1, FAILED, "the source: ended after");
}

static void a_connection_that_dies_before_the_state_is_complete_changes_nothing(void **state)
{
    migrate_and_cut(*state, FROM_SOURCE, "ENDS", 1, FAILED, "the source: ended after");
}

static void a_connection_that_dies_when_the_target_has_all_changes_nothing(void **state)
{
    migrate_and_cut(*state, FROM_TARGET, "YES ", 2, FAILED,
                    "the source has not given the guest up");
}

/* Neither side can know what the other one knows, so an operator decides. */
static void a_connection_that_dies_at_the_hand_over_leaves_the_guest_paused(void **state)
{
    migrate_and_cut(*state, FROM_SOURCE, "GO  ", 1,
                    "migration: unknown: the target: ", "the source has not given the guest up");
}

static void a_target_that_cannot_tell_that_it_runs_the_guest_goes_on(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);
    Guest *target;
    Relay relay;

    relay_start(&relay, mover, FROM_TARGET, "YES ", 3);
    target = start_target(mover, "--incoming", relay.target_path);
    guest_wait_event(target, "migration: waiting");
    g_free(guest_command(mover->guest, "migrate %s", relay.path));
    guest_wait_event(mover->guest, "migration: unknown: the target: ");
    relay_end(&relay);
    g_free(guest_command(mover->guest, "quit"));
    assert_int_equal(guest_wait_exit(mover->guest), 0);
    replace_guest(mover, target);
    assert_went_on(mover->guest, &before);
}

static void after_all_these_failures_the_guest_moves(void **state)
{
    Mover *mover = *state;
    Seen before = look(mover->guest);

    move_live(mover);
    assert_masks(mover->guest, "0-3", "0,2", "0,2");
    assert_went_on(mover->guest, &before);
    plug(mover->guest, 3);
    assert_works(mover->guest, 3);
    unplug(mover->guest, 3);
}

static int run_failures(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_fails_a_save),
        cmocka_unit_test(a_save_that_fails_leaves_no_file),
        cmocka_unit_test(a_file_is_not_restored_into_another_machine),
        cmocka_unit_test(a_file_that_is_cut_off_is_not_restored),
        cmocka_unit_test(a_target_that_does_not_listen_fails_a_migration),
        cmocka_unit_test(a_target_that_is_another_machine_refuses),
        cmocka_unit_test(a_guest_that_writes_too_fast_stays),
        cmocka_unit_test(a_connection_that_dies_before_the_target_is_asked_changes_nothing),
        cmocka_unit_test(a_connection_that_dies_before_the_target_answers_changes_nothing),
        cmocka_unit_test(a_connection_that_dies_while_ram_is_copied_changes_nothing),
        cmocka_unit_test(a_connection_that_dies_before_the_state_is_sent_changes_nothing),
        cmocka_unit_test(a_connection_that_dies_before_the_state_is_complete_changes_nothing),
        cmocka_unit_test(a_connection_that_dies_when_the_target_has_all_changes_nothing),
        cmocka_unit_test(a_connection_that_dies_at_the_hand_over_leaves_the_guest_paused),
        cmocka_unit_test(a_target_that_cannot_tell_that_it_runs_the_guest_goes_on),
        cmocka_unit_test(after_all_these_failures_the_guest_moves),
    };

    return cmocka_run_group_tests_name("move failures", tests, boot_for_failures, drop_mover);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } groups[] = {
        {"file", run_file},   {"live", run_live},         {"bare", run_bare},
        {"gicv2", run_gicv2}, {"features", run_features}, {"failures", run_failures},
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
