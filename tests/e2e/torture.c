/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random plugs and unplugs of a Linux guest that is busy on every CPU, with refusals, ejects that
 * the guest begins, bursts, opposite requests, resets, reboots, kexec, and moves to another process
 * by a file. After each round every request has ended, and the guest's CPUs are those that the
 * outcomes say. Environment variables besides those of guest.h:
 *
 *     GUEST_INSIDE    the program inside
 *     ROUNDS          how many (100)
 *     SEED            of the random choices; printed
 */
#include "check.h"

#include <unistd.h>

#include "stall.h"

#define CPUS "/sys/devices/system/cpu/"
/* vCPU 0 is enabled at boot, and stays. A burst of the others needs more than one EVENT. */
#define N_VCPUS  6
#define POSSIBLE "0-5"

/* Guests with many vCPUs on few emulated CPUs can livelock in RCU's tree, whatever the VMM: a smaller
 * fan-out of the tree avoids that. */
#define CMDLINE "quiet vcpuhp.agent rcutree.rcu_fanout_leaf=4 rcupdate.rcu_cpu_stall_timeout=250"

typedef struct Torture {
    Guest *guest;
    GRand *random;
    char *initrd, *options;
    unsigned n_moves;
    bool enabled[N_VCPUS]; /* as the outcomes say */
    unsigned last_request; /* the highest id */
    unsigned last_checked; /* requests up to here have ended once */
    unsigned n_done, n_refused, n_other;
    unsigned n_fds, n_threads, n_maps; /* of minivmm, when each vCPU has been on once */
} Torture;

static unsigned number(const char *name, unsigned otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 10) : otherwise;
}

/* 0 … n - 1 */
static unsigned pick(Torture *t, unsigned n)
{
    return g_rand_int_range(t->random, 0, n);
}

/* A vCPU that is enabled, or not; 0 if there is none, or vCPU 0 alone. */
static unsigned pick_vcpu(Torture *t, bool enabled)
{
    unsigned first = pick(t, N_VCPUS);

    for (unsigned i = 0; i < N_VCPUS; i++) {
        unsigned vcpu = (first + i) % N_VCPUS;

        if (vcpu && t->enabled[vcpu] == enabled)
            return vcpu;
    }
    return 0;
}

/* As in sysfs: "0,2-4". */
static char *format_mask(const bool *enabled)
{
    GString *mask = g_string_new("0");

    for (unsigned first = 0, last; first < N_VCPUS; first = last + 1) {
        for (last = first; last + 1 < N_VCPUS && enabled[last] && enabled[last + 1];)
            last++;
        if (!enabled[first])
            continue;
        if (first)
            g_string_append_printf(mask, ",%u", first);
        if (last > first)
            g_string_append_printf(mask, "-%u", last);
    }
    return g_string_free(mask, FALSE);
}

/* Programs that come and go on every CPU. */
static void start_load(Guest *guest)
{
    g_free(guest_run(guest, NULL,
                     "for n in 0 1 2 3 4 5; do (while :; do i=0; "
                     "while [ $i -lt 400 ]; do i=$((i + 1)); done; sleep 0.3; done) "
                     "</dev/null >/dev/null 2>&1 & done"));
}

/* --- Requests --- */

static unsigned ask(Torture *t, const char *what, unsigned vcpu)
{
    return t->last_request = request(t->guest, "%s %u", what, vcpu);
}

static bool has_outcome(Guest *guest, unsigned id, const char *outcome)
{
    g_autofree char *text = g_strdup_printf(": request %u %s", id, outcome);

    return guest_saw_event(guest, text);
}

/* Wait for the request's end. If it was refused, the vCPU stays as it was. */
static void settle(Torture *t, unsigned id, unsigned vcpu, bool enables)
{
    assert_outcome(t->guest, id, NULL);
    if (has_outcome(t->guest, id, "done")) {
        t->enabled[vcpu] = enables;
        t->n_done++;
    } else if (has_outcome(t->guest, id, "refused")) {
        t->n_refused++;
    } else {
        t->n_other++;
    }
}

static void check_requests(Torture *t)
{
    while (t->last_checked < t->last_request)
        assert_outcome(t->guest, ++t->last_checked, NULL);
}

static void assert_cpus(Torture *t)
{
    g_autofree char *mask = format_mask(t->enabled);

    assert_masks(t->guest, POSSIBLE, mask, mask);
    for (unsigned vcpu = 1; vcpu < N_VCPUS; vcpu++)
        if (t->enabled[vcpu])
            assert_info(t->guest, vcpu, " enabled on ", NULL);
        else
            assert_unplugged(t->guest, vcpu);
}

/* --- What a round does --- */

static void plug_or_unplug(Torture *t, bool enables, unsigned n)
{
    unsigned ids[N_VCPUS] = {0};

    for (unsigned first = pick(t, N_VCPUS), i = 0; i < N_VCPUS && n; i++) {
        unsigned vcpu = (first + i) % N_VCPUS;

        if (vcpu && t->enabled[vcpu] != enables) {
            ids[vcpu] = ask(t, enables ? "plug" : "unplug", vcpu);
            n--;
        }
    }
    for (unsigned vcpu = 1; vcpu < N_VCPUS; vcpu++)
        if (ids[vcpu]) {
            settle(t, ids[vcpu], vcpu, enables);
            assert_int_equal(t->enabled[vcpu], enables);
        }
}

static void plug_one(Torture *t)
{
    plug_or_unplug(t, true, 1);
}

static void unplug_one(Torture *t)
{
    plug_or_unplug(t, false, 1);
}

static void plug_burst(Torture *t)
{
    plug_or_unplug(t, true, N_VCPUS);
}

static void unplug_burst(Torture *t)
{
    plug_or_unplug(t, false, N_VCPUS);
}

/* The second request does not wait for the first, which it may undo. */
static void opposite(Torture *t)
{
    unsigned vcpu = 1 + pick(t, N_VCPUS - 1), first;
    bool enables = !t->enabled[vcpu];
    g_autofree char *answer = NULL;

    first = ask(t, enables ? "plug" : "unplug", vcpu);
    g_usleep(pick(t, 30000));
    answer = guest_monitor(t->guest, "%s %u", enables ? "unplug" : "plug", vcpu);
    settle(t, first, vcpu, enables);
    /* The VMM's call is refused if the guest works on an unplug. */
    if (g_str_has_prefix(answer, "request ")) {
        t->last_request = g_ascii_strtoull(answer + strlen("request "), NULL, 10);
        settle(t, t->last_request, vcpu, !enables);
    }
}

/* A plug is done before the guest's user space turns the vCPU on. */
static void all_on_and_off(Torture *t)
{
    plug_burst(t);
    assert_cpus(t);
    unplug_burst(t);
    assert_cpus(t);
}

/* What minivmm uses of the host when each vCPU has been on. */
static void measure(Torture *t)
{
    all_on_and_off(t);
    t->n_fds = host_number(t->guest, "ls fd | wc -l");
    t->n_threads = host_number(t->guest, "ls task | wc -l");
    t->n_maps = host_number(t->guest, "wc -l <maps");
}

static void refusal(Torture *t)
{
    unsigned vcpu = pick_vcpu(t, true), id;

    if (!vcpu)
        return;
    g_free(guest_run(t->guest, NULL, "echo 0 >/sys/firmware/acpi/hotplug/processor/enabled"));
    id = ask(t, "unplug", vcpu);
    settle(t, id, vcpu, false);
    assert_true(t->enabled[vcpu]);
    g_free(guest_run(t->guest, NULL, "echo 1 >/sys/firmware/acpi/hotplug/processor/enabled"));
}

static void eject_by_root(Torture *t)
{
    unsigned vcpu = pick_vcpu(t, true);
    g_autofree char *ejected = g_strdup_printf("vCPU %u: ejected", vcpu);
    g_autofree char *ost = g_strdup_printf("vCPU %u: _OST 0x103, 0x0", vcpu);

    if (!vcpu)
        return;
    guest_skip_events(t->guest);
    g_free(guest_run(t->guest, NULL,
                     "echo 1 >$(dirname $(grep -lx %u /sys/bus/acpi/devices/ACPI0007:*/uid))/eject",
                     vcpu));
    guest_wait_event(t->guest, ejected);
    guest_wait_event(t->guest, ost);
    t->enabled[vcpu] = false;
}

static void offline_and_online(Torture *t)
{
    unsigned vcpu = pick_vcpu(t, true);

    if (!vcpu)
        return;
    g_free(guest_run(t->guest, NULL, "echo 0 >" CPUS "cpu%u/online", vcpu));
    if (g_rand_boolean(t->random))
        settle(t, ask(t, "unplug", vcpu), vcpu, false);
    else
        g_free(guest_run(t->guest, NULL, "echo 1 >" CPUS "cpu%u/online", vcpu));
}

static void check_dmesg(Torture *t)
{
    assert_quiet_dmesg(t->guest);
}

static void up_again(Torture *t)
{
    guest_wait_ready(t->guest);
    start_load(t->guest);
}

/* A kernel that has begun to restart refuses to take CPUs offline. Requests that it does not answer
 * are for the next one. */
static void request_and_restart(Torture *t, void (*restart)(Torture *))
{
    unsigned vcpu = 1 + pick(t, N_VCPUS - 1), id;
    bool enables = !t->enabled[vcpu], before = g_rand_boolean(t->random);

    check_dmesg(t);
    if (before)
        id = ask(t, enables ? "plug" : "unplug", vcpu);
    guest_skip_events(t->guest);
    restart(t);
    if (!before) {
        g_usleep(pick(t, 500000));
        id = ask(t, enables ? "plug" : "unplug", vcpu);
    }
    up_again(t);
    settle(t, id, vcpu, enables);
}

static void reboot(Torture *t)
{
    guest_send(t->guest, "reboot -f");
    guest_wait_event(t->guest, "all vCPUs have parked");
}

static void reset(Torture *t)
{
    g_free(guest_command(t->guest, "reset"));
    guest_wait_event(t->guest, "all vCPUs have parked");
}

static void kexec(Torture *t)
{
    guest_send(t->guest, "/inside kexec /Image /initrd");
}

static void reboot_with_request(Torture *t)
{
    request_and_restart(t, reboot);
}

static void reset_with_request(Torture *t)
{
    request_and_restart(t, reset);
}

/* Without a request: what a new kernel that nobody has announced does to open ones is for the tests
 * of `life`. The new kernel's initrd has no program to start another, that of a reset has. */
static void kexec_alone(Torture *t)
{
    g_autofree char *there = guest_run(t->guest, NULL, "[ -e /inside ] && echo yes || true");

    if (!*there) {
        reset(t);
        up_again(t);
    }
    check_dmesg(t);
    kexec(t);
    up_again(t);
}

/* In a new process, whose events begin anew. */
static void move_by_file(Torture *t)
{
    g_autofree char *name = g_strdup_printf("torture-%u", ++t->n_moves);
    g_autofree char *path = g_strconcat(t->initrd, ".machine", NULL);
    g_autofree char *options = g_strdup_printf("%s --restore %s", t->options, path);
    Guest *from = t->guest;

    check_requests(t);
    g_free(guest_command(from, "pause"));
    g_free(guest_command(from, "save %s", path));
    g_free(guest_command(from, "quit"));
    assert_int_equal(guest_wait_exit(from), 0);
    t->guest = guest_start_moved(from, name, options);
    guest_free(from);
    assert_cpus(t);
    unlink(path);
    measure(t);
}

#define N_DECK 100

static const struct {
    const char *name;
    unsigned n; /* in a deck */
    void (*run)(Torture *);
} rounds[] = {
    {"plug", 21, plug_one},
    {"unplug", 15, unplug_one},
    {"burst of plugs", 9, plug_burst},
    {"burst of unplugs", 8, unplug_burst},
    {"opposite requests", 16, opposite},
    {"refusal", 8, refusal},
    {"eject by root", 8, eject_by_root},
    {"offline", 10, offline_and_online},
    {"reboot", 1, reboot_with_request},
    {"reset", 1, reset_with_request},
    {"kexec", 1, kexec_alone},
    {"move by a file", 2, move_by_file},
};

/* All kinds of rounds in random order, so that a hundred rounds leave none out. */
static void shuffle(Torture *t, unsigned *deck)
{
    unsigned n = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(rounds); i++)
        for (unsigned k = 0; k < rounds[i].n; k++) {
            unsigned at = pick(t, n + 1);

            deck[n++] = deck[at];
            deck[at] = i;
        }
    assert_int_equal(n, N_DECK);
}

/* --- The tests --- */

static int boot(void **state)
{
    unsigned seed = number("SEED", 1 + g_get_real_time() % 1000000);
    Torture *t = g_new0(Torture, 1);

    print_message("seed %u\n", seed);
    t->random = g_rand_new_with_seed(seed);
    t->initrd = initrd_with_inside(true);
    t->options = g_strdup_printf("--mem 384 --vcpus %u --enabled 1 --append \"%s\" --initrd %s",
                                 N_VCPUS, CMDLINE, t->initrd);
    t->guest = guest_boot("torture", t->options);
    t->enabled[0] = true;
    *state = t;
    measure(t);
    start_load(t->guest);
    return 0;
}

static int end(void **state)
{
    Torture *t = *state;
    void *guest = t->guest;
    int status = power_off(&guest);

    unlink(t->initrd);
    g_free(t->initrd);
    g_free(t->options);
    g_rand_free(t->random);
    g_free(t);
    return status;
}

static void every_outcome_is_the_guests_truth(void **state)
{
    Torture *t = *state;
    unsigned n = number("ROUNDS", 100), counts[G_N_ELEMENTS(rounds)] = {0}, deck[N_DECK] = {0};

    for (unsigned i = 1; i <= n; i++) {
        gint64 begin = g_get_monotonic_time();
        unsigned round;

        if ((i - 1) % N_DECK == 0)
            shuffle(t, deck);
        round = deck[(i - 1) % N_DECK];
        counts[round]++;
        print_message("round %u: %s", i, rounds[round].name);
        rounds[round].run(t);
        assert_cpus(t);
        print_message(", %.1f s\n", (g_get_monotonic_time() - begin) / 1e6);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rounds); i++)
        print_message("%s: %u\n", rounds[i].name, counts[i]);
    print_message("%u rounds, %u requests: %u done, %u refused, %u otherwise\n", n, t->last_request,
                  t->n_done, t->n_refused, t->n_other);
}

/* The vCPUs that have been on have a thread and a mapping; nothing else stays. */
static void nothing_is_left_behind(void **state)
{
    Torture *t = *state;

    all_on_and_off(t);
    assert_int_equal(host_number(t->guest, "ls fd | wc -l"), t->n_fds);
    assert_int_equal(host_number(t->guest, "ls task | wc -l"), t->n_threads);
    assert_int_equal(host_number(t->guest, "wc -l <maps"), t->n_maps);
}

static void each_request_has_ended_exactly_once(void **state)
{
    check_requests(*state);
}

static void the_guest_works_and_logs_no_error(void **state)
{
    Torture *t = *state;

    plug_burst(t);
    assert_cpus(t);
    for (unsigned vcpu = 1; vcpu < N_VCPUS; vcpu++)
        assert_works(t->guest, vcpu);
    check_dmesg(t);
}

static void what_its_vcpus_do_can_be_seen(void **state)
{
    Torture *t = *state;
    g_autofree char *text = NULL;

    if (access("/sys/kernel/debug/kvm", R_OK))
        skip();
    text = stall_describe(t->guest);
    if (!strstr(text, "PC: 0x") || !strstr(text, "nr_spis"))
        fail_msg("no program counters, or no vGIC: %s", text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_is_the_guests_truth),
        cmocka_unit_test(nothing_is_left_behind),
        cmocka_unit_test(each_request_has_ended_exactly_once),
        cmocka_unit_test(the_guest_works_and_logs_no_error),
        cmocka_unit_test(what_its_vcpus_do_can_be_seen),
    };

    return cmocka_run_group_tests_name("torture", tests, boot, end);
}
