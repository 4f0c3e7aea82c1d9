/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * minivmm's monitor: the table of `info`, `resize` and --events. The guest is bare/bare.c, which
 * takes no event by itself, so that nothing depends on how fast a guest is.
 *
 * Environment: besides those of guest.h BARE_IMAGE, and OUT, a folder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"

static char *events_path(void)
{
    return g_build_filename(g_getenv("OUT"), "events.json", NULL);
}

/* Two sockets, which are nodes, of two cores with two threads each. */
static int boot(void **state)
{
    g_autofree char *path = events_path();
    g_autofree char *options =
        g_strdup_printf("--kernel %s --mem 16 --vcpus 8 --enabled 1 --topology 2,1,2,2 "
                        "--nodes 0,0,0,0,1,1,1,1 --events %s",
                        g_getenv("BARE_IMAGE"), path);

    *state = guest_boot("monitor", options);
    return 0;
}

static int drop(void **state)
{
    guest_free(*state);
    return 0;
}

static void info_is_a_table(void **state)
{
    g_autofree char *answer = guest_command(*state, "info");
    g_auto(GStrv) lines = g_strsplit(answer, "\n", -1);
    guint title = 0;
    gsize policy, ost;

    while (lines[title] && !strstr(lines[title], "policy"))
        title++;
    assert_non_null(lines[title]);
    policy = strstr(lines[title], "policy") - lines[title];
    ost = strstr(lines[title], "last _OST") - lines[title];
    for (unsigned vcpu = 0; vcpu < 8; vcpu++) {
        const char *row = lines[title + 1 + vcpu];

        assert_int_equal(g_ascii_strtoull(row, NULL, 10), vcpu);
        assert_true(g_str_has_prefix(row + policy, vcpu ? "disabled " : "permanent "));
        assert_string_equal(row + ost, "-");
    }
    assert_info(*state, 0, "0x0 0 permanent on yes - -", NULL);
    assert_info(*state, 7, "0x7 1 disabled off no - -", NULL);
}

static void a_resize_to_what_there_is_is_done_at_once(void **state)
{
    guest_skip_events(*state);
    g_free(guest_command(*state, "resize 1"));
    guest_wait_event(*state, "resize: done: enabled vCPUs: 1");
}

static void resize_takes_cores_before_threads_and_nodes_evenly(void **state)
{
    g_autofree char *cores = guest_command(*state, "resize 4");
    g_autofree char *busy = NULL;

    assert_string_equal(cores, "plug vCPU 4\nplug vCPU 2\nplug vCPU 6\nok");
    busy = guest_monitor(*state, "resize 5");
    assert_string_equal(busy, "error: another resize is under way");
}

static void a_resize_has_one_outcome(void **state)
{
    /* Nothing was seen, so each unplug undoes a plug. */
    guest_skip_events(*state);
    for (unsigned vcpu = 2; vcpu <= 6; vcpu += 2)
        g_free(guest_command(*state, "unplug %u", vcpu));
    guest_wait_event(*state, "resize: 3 of 3");
    guest_wait_event(*state, "resize: failed: enabled vCPUs: 1, not 4: vCPU 2: request ");
    g_free(guest_command(*state, "info"));
    assert_int_equal(guest_count_events(*state, "resize: done"), 1);
}

static void a_resize_that_the_guest_ignores_times_out(void **state)
{
    g_autofree char *threads = guest_command(*state, "resize 8 500");

    assert_string_equal(threads, "plug vCPU 4\nplug vCPU 2\nplug vCPU 6\nplug vCPU 1\n"
                                 "plug vCPU 5\nplug vCPU 3\nplug vCPU 7\nok");
    guest_wait_event(*state, "resize: 7 of 7");
    guest_wait_event(*state, "timed out");
    assert_int_equal(guest_info(*state, "enabled"), 1);
}

static void a_resize_that_nothing_can_reach_is_refused(void **state)
{
    g_autofree char *none = guest_monitor(*state, "resize 0");
    g_autofree char *many = guest_monitor(*state, "resize 9");

    assert_non_null(strstr(none, "error: CPUs is \"0\", not a number of 1 … 8"));
    assert_non_null(strstr(many, "error: CPUs is \"9\", not a number of 1 … 8"));
}

static void events_are_lines_of_json(void **state)
{
    g_autofree char *path = events_path();
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    guint n_ended = 0;

    g_free(guest_command(*state, "info"));
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i + 1]; i++) {
        assert_true(g_str_has_prefix(lines[i], "{\"time\":"));
        assert_true(g_str_has_suffix(lines[i], "}"));
        assert_non_null(strstr(lines[i], ",\"sequence\":"));
        n_ended += strstr(lines[i], "\"event\":\"ended\",\"vcpu\":4,\"request\":") &&
                   strstr(lines[i], ",\"outcome\":\"cancelled\"}");
    }
    assert_non_null(strstr(lines[0], "\"event\":\"on\",\"vcpu\":0}"));
    assert_int_equal(n_ended, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_is_a_table),
        cmocka_unit_test(a_resize_to_what_there_is_is_done_at_once),
        cmocka_unit_test(resize_takes_cores_before_threads_and_nodes_evenly),
        cmocka_unit_test(a_resize_has_one_outcome),
        cmocka_unit_test(a_resize_that_the_guest_ignores_times_out),
        cmocka_unit_test(a_resize_that_nothing_can_reach_is_refused),
        cmocka_unit_test(events_are_lines_of_json),
    };

    return cmocka_run_group_tests_name("monitor", tests, boot, drop);
}
