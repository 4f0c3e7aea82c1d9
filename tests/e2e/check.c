/* SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

#include "stall.h"

void guest_fail(Guest *guest, const char *message)
{
    if (guest) {
        g_autofree char *tail = guest_console_tail(guest, 30);
        g_autofree char *stall = guest_runs(guest) ? stall_describe(guest) : g_strdup("");

        /* A report that shows only the end of this has the console. */
        print_error("%s\nthe console's last lines:\n%s\n", stall, tail);
    }
    fail_msg("%s", message);
    g_assert_not_reached();
}

bool has_own_vcpus(void)
{
    const char *options = g_getenv("GUEST_OPTIONS");

    return options && strstr(options, "--own-vcpus");
}

void assert_output(Guest *guest, const char *output, const char *command)
{
    g_autofree char *actual = guest_run(guest, NULL, "%s", command);

    assert_string_equal(actual, output);
}

bool has_all_present(Guest *guest, const char *possible)
{
    g_autofree char *present = guest_run(guest, NULL, "cat /sys/devices/system/cpu/present");

    return !strcmp(present, possible);
}

void assert_masks(Guest *guest, const char *possible, const char *enabled, const char *online)
{
    assert_output(guest, possible, "cat /sys/devices/system/cpu/possible");
    guest_wait_output(guest, "cat /sys/devices/system/cpu/enabled", enabled);
    guest_wait_output(guest, "cat /sys/devices/system/cpu/online", online);
    if (!has_all_present(guest, possible))
        assert_output(guest, enabled, "cat /sys/devices/system/cpu/present");
}

void assert_refused(Guest *guest, const char *command, ...)
{
    g_autofree char *answer = guest_monitor(guest, "%s", command);
    const char *word;
    va_list words;

    if (!g_str_has_prefix(answer, "error: "))
        fail_msg("%s: expected an error, got: %s", command, answer);
    va_start(words, command);
    while ((word = va_arg(words, const char *)))
        if (!strstr(answer, word))
            fail_msg("%s: \"%s\" does not contain \"%s\"", command, answer, word);
    va_end(words);
}

void assert_quiet_dmesg(Guest *guest)
{
    /* Without CPU frequency scaling, Linux warns of a "Processor Platform Limit event" each time a
     * CPU comes back online. systemd writes to the kernel's log as well. */
    g_autofree char *found =
        guest_run(guest, NULL,
                  "dmesg | grep -iE 'warning|BUG|firmware bug|failed to boot|failed to come online|"
                  "call trace|oops|ACPI (Error|Exception)|stuck|will not boot|nobody cared|"
                  "companion already set|Changing CPU present|memory probably corrupted' | "
                  "grep -vE 'Processor Platform Limit event|stall warnings timeout set|"
                  "systemd\\[1]: ' || true");

    assert_string_equal(found, "");
}

void assert_fresh_lpis(Guest *guest, unsigned n)
{
    g_autofree char *fresh = g_strdup_printf("%u", n);

    assert_output(guest, fresh, "dmesg | grep -c 'using allocated LPI pending table'");
    assert_output(guest, "",
                  "dmesg | grep LPI | "
                  "grep -vE 'features: |using (allocated LPI pending|LPI property) table' || true");
}

static gint64 timer_interrupts(Guest *guest, unsigned vcpu)
{
    /* The first line names the columns, which are the online CPUs. */
    g_autofree char *count =
        guest_run(guest, NULL,
                  "awk 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == \"CPU%u\") c = i + 1 } "
                  "/arch_timer/ { print $c; exit }' /proc/interrupts",
                  vcpu);

    return g_ascii_strtoll(count, NULL, 10);
}

void assert_works(Guest *guest, unsigned vcpu)
{
    gint64 before = timer_interrupts(guest, vcpu);
    g_autofree char *zeros = g_strnfill(vcpu / 4, '0');
    /* Field 39 of stat is the CPU that the task last ran on. */
    g_autofree char *cpu =
        guest_run(guest, NULL,
                  "taskset %x%s sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; "
                  "cut -d \" \" -f 39 /proc/self/stat'",
                  1u << vcpu % 4, zeros);

    assert_int_equal(g_ascii_strtoll(cpu, NULL, 10), vcpu);
    assert_true(timer_interrupts(guest, vcpu) > before);
}

static void wait_vcpu_event(Guest *guest, unsigned vcpu, const char *what)
{
    g_autofree char *text = g_strdup_printf("vCPU %u: %s", vcpu, what);

    guest_wait_event(guest, text);
}

void plug(Guest *guest, unsigned vcpu)
{
    guest_skip_events(guest);
    g_free(guest_command(guest, "plug %u", vcpu));
    wait_vcpu_event(guest, vcpu, "on");
}

void unplug(Guest *guest, unsigned vcpu)
{
    guest_skip_events(guest);
    g_free(guest_command(guest, "unplug %u", vcpu));
    wait_vcpu_event(guest, vcpu, "ejected");
}

unsigned request(Guest *guest, const char *format, ...)
{
    g_autofree char *command = NULL;
    g_autofree char *answer = NULL;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    answer = guest_command(guest, "%s", command);
    assert_true(g_str_has_prefix(answer, "request "));
    return g_ascii_strtoull(answer + strlen("request "), NULL, 10);
}

static unsigned count_outcomes(Guest *guest, unsigned id, const char *outcome)
{
    g_autofree char *text = g_strdup_printf(": request %u %s", id, outcome);

    return guest_count_events(guest, text);
}

void assert_outcome(Guest *guest, unsigned id, const char *outcome)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    g_autofree char *message = NULL;
    unsigned n;

    for (;;) {
        n = count_outcomes(guest, id, "done") + count_outcomes(guest, id, "refused") +
            count_outcomes(guest, id, "timed out") + count_outcomes(guest, id, "cancelled");
        if (n || g_get_monotonic_time() > deadline)
            break;
        g_usleep(20000);
        guest_info(guest, "threads"); /* reads pending events as well */
    }
    if (n == 1 && (!outcome || count_outcomes(guest, id, outcome)))
        return;
    message = g_strdup_printf("request %u has ended %u times, or not as expected: %s", id, n,
                              outcome ? outcome : "in any way");
    guest_fail(guest, message);
}

char *info_row(Guest *guest, unsigned vcpu)
{
    g_autofree char *answer = guest_command(guest, "info");
    g_autofree char *pattern = g_strdup_printf("(?m)^ *%u +0x.*$", vcpu);
    g_autoptr(GRegex) row = g_regex_new(pattern, 0, 0, NULL),
                      spaces = g_regex_new(" +", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *line = NULL;

    assert_true(g_regex_match(row, answer, 0, &match));
    line = g_match_info_fetch(match, 0);
    return g_regex_replace_literal(spaces, line, -1, 0, " ", 0, NULL);
}

void assert_info(Guest *guest, unsigned vcpu, ...)
{
    g_autofree char *line = info_row(guest, vcpu);
    const char *word;
    va_list words;

    va_start(words, vcpu);
    while ((word = va_arg(words, const char *)))
        if (!strstr(line, word))
            fail_msg("\"%s\" does not contain \"%s\"", line, word);
    va_end(words);
}

void assert_unplugged(Guest *guest, unsigned vcpu)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    for (;;) {
        g_autofree char *row = info_row(guest, vcpu);

        if (strstr(row, "disabled off"))
            return;
        if (!strstr(row, "disabled, being ejected off") || g_get_monotonic_time() > deadline)
            guest_fail(guest, row);
        g_usleep(20000);
    }
}

void assert_bad_options(const char *options, ...)
{
    g_autofree char *command = g_strdup_printf("%s --kernel %s %s", g_getenv("MINIVMM"),
                                               g_getenv("GUEST_KERNEL"), options);
    g_autofree char *errors = NULL;
    const char *word;
    va_list words;
    int status;

    assert_true(g_spawn_command_line_sync(command, NULL, &errors, &status, NULL));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 2)
        fail_msg("minivmm %s: wait status 0x%x, \"%s\"", options, status, errors);
    va_start(words, options);
    while ((word = va_arg(words, const char *)))
        if (!strstr(errors, word))
            fail_msg("minivmm %s: \"%s\" does not contain \"%s\"", options, errors, word);
    va_end(words);
}

unsigned host_number(Guest *guest, const char *command)
{
    g_autofree char *shell =
        g_strdup_printf("sh -c 'cd /proc/%d && %s'", guest_pid(guest), command);
    g_autofree char *output = NULL;

    assert_true(g_spawn_command_line_sync(shell, &output, NULL, NULL, NULL));
    return g_ascii_strtoull(output, NULL, 10);
}

char *initrd_with_inside(bool kexec)
{
    g_autofree char *path = NULL;
    g_autofree char *shell = NULL;
    int fd = g_file_open_tmp("initrd-XXXXXX", &path, NULL), status;

    assert_true(fd >= 0);
    close(fd);
    shell = g_strdup_printf("sh -ec 'd=$(mktemp -d); cp \"%s\" $d/Image; cp \"%s\" $d/initrd; "
                            "cp \"%s\" $d/inside; cat $d/initrd >\"%s\"; cd $d; "
                            "printf \"%s\" | cpio -o -H newc >>\"%s\"; rm -r $d'",
                            g_getenv("GUEST_KERNEL"), g_getenv("GUEST_INITRD"),
                            g_getenv("GUEST_INSIDE"), path,
                            kexec ? "inside\\nImage\\ninitrd\\n" : "inside\\n", path);
    assert_true(g_spawn_command_line_sync(shell, NULL, NULL, &status, NULL));
    assert_int_equal(status, 0);
    return g_steal_pointer(&path);
}

int drop_guest(void **state)
{
    guest_free(*state);
    *state = NULL;
    return 0;
}

int power_off(void **state)
{
    Guest *guest = *state;
    int status;

    if (!guest) /* The set-up has failed. */
        return 0;
    guest_send(guest, "poweroff -f");
    status = guest_wait_exit(guest);
    guest_free(guest);
    *state = NULL;
    return status;
}
