/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* Long enough for a busy emulated host, on which no test must fail just for slowness. */
#define TIMEOUT_US (180 * G_USEC_PER_SEC)

typedef struct Event {
    gint64 time;
    char *text;
} Event;

struct Guest {
    GPid pid;
    bool exited;
    int wait_status; /* once it has exited: of waitpid() */
    char *folder, *console_path, *monitor_path, *log_path;
    int console, monitor, output; /* fds; -1: closed */
    FILE *log;
    GString *console_text;  /* all of it */
    gsize console_position; /* end of the text of the previous wait */
    GString *monitor_line, *monitor_text, *output_line;
    GArray *events;
    guint next_event;
    guint n_commands;
    char *release;
};

static void G_GNUC_PRINTF(2, 3) G_NORETURN fail(Guest *guest, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    guest_fail(guest, message);
}

/* --- Input --- */

static void on_console(Guest *guest, const char *data, gsize len)
{
    g_string_append_len(guest->console_text, data, len);
    if (guest->log) {
        fwrite(data, 1, len, guest->log);
        fflush(guest->log);
    }
}

static void on_output_line(Guest *guest, const char *line)
{
    Event event = {.time = g_get_monotonic_time()};

    if (g_str_has_prefix(line, "event: ")) {
        event.text = g_strdup(line + strlen("event: "));
        g_array_append_val(guest->events, event);
    } else {
        printf("minivmm: %s\n", line);
    }
    if (guest->log)
        fprintf(guest->log, "\n<%s>\n", line);
}

static void on_monitor_line(Guest *guest, const char *line)
{
    /* Standard output has all events, from the first one. */
    if (!g_str_has_prefix(line, "event: "))
        g_string_append_printf(guest->monitor_text, "%s\n", line);
}

static void on_lines(Guest *guest, GString *buffer, const char *data, gsize len,
                     void (*on_line)(Guest *, const char *))
{
    for (gsize i = 0; i < len; i++) {
        if (data[i] != '\n') {
            g_string_append_c(buffer, data[i]);
            continue;
        }
        on_line(guest, buffer->str);
        g_string_truncate(buffer, 0);
    }
}

static bool read_some(int *fd, char *data, gsize size, gsize *ret_len)
{
    ssize_t n = read(*fd, data, size);

    if (n > 0) {
        *ret_len = n;
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    close(*fd);
    *fd = -1;
    return false;
}

/* Read what there is, after waiting up to 100 ms for it. */
static void pump(Guest *guest)
{
    struct pollfd fds[] = {
        {guest->console, POLLIN, 0}, {guest->monitor, POLLIN, 0}, {guest->output, POLLIN, 0}};
    char data[4096];
    gsize len;

    poll(fds, G_N_ELEMENTS(fds), 100);
    if (fds[0].revents && read_some(&guest->console, data, sizeof(data), &len))
        on_console(guest, data, len);
    if (fds[1].revents && read_some(&guest->monitor, data, sizeof(data), &len))
        on_lines(guest, guest->monitor_line, data, len, on_monitor_line);
    if (fds[2].revents && read_some(&guest->output, data, sizeof(data), &len))
        on_lines(guest, guest->output_line, data, len, on_output_line);
    /* Output that came before the end is read first. */
    if (!guest->exited && guest->output < 0)
        guest->exited = waitpid(guest->pid, &guest->wait_status, WNOHANG) > 0;
}

static void fail_ended(Guest *guest, const char *expected, const char *what)
{
    if (WIFSIGNALED(guest->wait_status))
        fail(guest, "minivmm was killed by signal %d (%s); expected %s%s",
             WTERMSIG(guest->wait_status), strsignal(WTERMSIG(guest->wait_status)), expected, what);
    fail(guest, "minivmm ended with status %d; expected %s%s", WEXITSTATUS(guest->wait_status),
         expected, what);
}

/* Wait for a text on the console. Returns where it is; the next wait looks behind it. */
static gsize wait_console(Guest *guest, const char *text)
{
    gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;

    for (;;) {
        const char *found = strstr(guest->console_text->str + guest->console_position, text);

        if (found) {
            gsize at = found - guest->console_text->str;

            guest->console_position = at + strlen(text);
            return at;
        }
        if (guest->exited)
            fail_ended(guest, "on the console: ", text);
        if (strstr(guest->console_text->str + guest->console_position, "Kernel panic"))
            fail(guest, "the guest's kernel panicked; expected on the console: %s", text);
        if (g_get_monotonic_time() > deadline)
            fail(guest, "timed out; expected on the console: %s", text);
        pump(guest);
    }
}

/* --- Start and end --- */

static int connect_to(Guest *guest, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
            fcntl(fd, F_SETFL, O_NONBLOCK);
            return fd;
        }
        close(fd);
        pump(guest);
        if (guest->exited)
            fail_ended(guest, "that it listens on ", path);
        if (g_get_monotonic_time() > deadline)
            fail(guest, "timed out: minivmm does not listen on %s", path);
        g_usleep(10000);
    }
}

static const char *environment(const char *name)
{
    const char *value = g_getenv(name);

    if (!value) {
        g_autofree char *message = g_strdup_printf("%s is not set", name);

        guest_fail(NULL, message);
    }
    return value;
}

static void spawn(Guest *guest, const char *options)
{
    const char *more = g_getenv("GUEST_OPTIONS");
    g_autofree char *command = g_strdup_printf(
        "%s --kernel %s --initrd %s --console %s --monitor %s %s %s", environment("MINIVMM"),
        environment("GUEST_KERNEL"), environment("GUEST_INITRD"), guest->console_path,
        guest->monitor_path, options, more ? more : "");
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = NULL;

    if (!g_shell_parse_argv(command, NULL, &argv, &error) ||
        !g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                  &guest->pid, NULL, &guest->output, NULL, &error))
        fail(guest, "%s", error->message);
    fcntl(guest->output, F_SETFL, O_NONBLOCK);
}

Guest *guest_start(const char *name, const char *options)
{
    Guest *guest = g_new0(Guest, 1);
    const char *logs = g_getenv("GUEST_LOGS");

    guest->console = guest->monitor = guest->output = -1;
    guest->console_text = g_string_new(NULL);
    guest->monitor_line = g_string_new(NULL);
    guest->monitor_text = g_string_new(NULL);
    guest->output_line = g_string_new(NULL);
    guest->events = g_array_new(FALSE, FALSE, sizeof(Event));
    guest->folder = g_dir_make_tmp("guest-XXXXXX", NULL);
    guest->console_path = g_build_filename(guest->folder, "console", NULL);
    guest->monitor_path = g_build_filename(guest->folder, "monitor", NULL);
    if (logs) {
        guest->log_path = g_strdup_printf("%s/%s.log", logs, name);
        guest->log = fopen(guest->log_path, "w");
    }
    spawn(guest, options);
    guest->monitor = connect_to(guest, guest->monitor_path);
    guest->console = connect_to(guest, guest->console_path);
    return guest;
}

void guest_wait_ready(Guest *guest)
{
    const char *end;

    wait_console(guest, "[[vcpuhp ready ");
    wait_console(guest, "]]");
    end = guest->console_text->str + guest->console_position - strlen("]]");
    g_free(guest->release);
    for (const char *begin = end;; begin--)
        if (begin[-1] == ' ') {
            guest->release = g_strndup(begin, end - begin);
            return;
        }
}

Guest *guest_boot(const char *name, const char *options)
{
    Guest *guest = guest_start(name, options);

    guest_wait_ready(guest);
    return guest;
}

Guest *guest_start_moved(const Guest *from, const char *name, const char *options)
{
    Guest *guest = guest_start(name, options);

    guest->n_commands = from->n_commands;
    guest->release = g_strdup(from->release);
    return guest;
}

void guest_free(Guest *guest)
{
    if (!guest)
        return;
    if (!guest->exited) {
        kill(guest->pid, SIGKILL);
        waitpid(guest->pid, NULL, 0);
    }
    for (guint i = 0; i < guest->events->len; i++)
        g_free(g_array_index(guest->events, Event, i).text);
    g_array_unref(guest->events);
    if (guest->console >= 0)
        close(guest->console);
    if (guest->monitor >= 0)
        close(guest->monitor);
    if (guest->output >= 0)
        close(guest->output);
    if (guest->log)
        fclose(guest->log);
    g_unlink(guest->console_path);
    g_unlink(guest->monitor_path);
    g_rmdir(guest->folder);
    g_string_free(guest->console_text, TRUE);
    g_string_free(guest->monitor_line, TRUE);
    g_string_free(guest->monitor_text, TRUE);
    g_string_free(guest->output_line, TRUE);
    g_free(guest->folder);
    g_free(guest->console_path);
    g_free(guest->monitor_path);
    g_free(guest->log_path);
    g_free(guest->release);
    g_free(guest);
}

const char *guest_release(const Guest *guest)
{
    return guest->release;
}

const char *guest_log_path(const Guest *guest)
{
    return guest->log_path;
}

GPid guest_pid(const Guest *guest)
{
    return guest->pid;
}

bool guest_runs(const Guest *guest)
{
    return !guest->exited;
}

char *guest_console_tail(const Guest *guest, guint n_lines)
{
    const char *from = guest->console_text->str + guest->console_text->len;

    while (from > guest->console_text->str && n_lines)
        if (*--from == '\n')
            n_lines--;
    return g_strdup(from);
}

/* --- The guest's shell --- */

static void send_all(Guest *guest, int *fd, const char *text)
{
    gsize len = strlen(text);
    gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;

    while (len) {
        ssize_t n = *fd < 0 ? -1 : send(*fd, text, len, MSG_NOSIGNAL);

        if (n > 0) {
            text += n;
            len -= n;
            continue;
        }
        if (*fd < 0 || errno != EAGAIN || guest->exited)
            fail(guest, "minivmm hung up; couldn't send: %s", text);
        if (g_get_monotonic_time() > deadline)
            fail(guest, "timed out; couldn't send: %s", text);
        pump(guest);
    }
}

static char *run(Guest *guest, int *ret_status, const char *command)
{
    g_autofree char *line = g_strdup_printf("c%u %s\n", ++guest->n_commands, command);
    g_autofree char *begin = g_strdup_printf("[[vcpuhp c%u begin]]\n", guest->n_commands);
    g_autofree char *end = g_strdup_printf("[[vcpuhp c%u end ", guest->n_commands);
    gsize from, to, status;
    char *output;

    send_all(guest, &guest->console, line);
    wait_console(guest, begin);
    from = guest->console_position;
    to = wait_console(guest, end);
    status = guest->console_position;
    wait_console(guest, "]]"); /* the number is complete */
    *ret_status = (int)g_ascii_strtoll(guest->console_text->str + status, NULL, 10);
    output = g_strndup(guest->console_text->str + from, to - from);
    return g_strchomp(output);
}

char *guest_run(Guest *guest, int *ret_status, const char *format, ...)
{
    g_autofree char *command = NULL;
    char *output;
    va_list args;
    int status;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    output = run(guest, &status, command);
    if (ret_status)
        *ret_status = status;
    else if (status)
        fail(guest, "in the guest: %s: exit status %d: %s", command, status, output);
    return output;
}

gint64 guest_wait_console(Guest *guest, const char *text)
{
    wait_console(guest, text);
    return g_get_monotonic_time();
}

void guest_send(Guest *guest, const char *command)
{
    g_autofree char *line = g_strdup_printf("c%u %s\n", ++guest->n_commands, command);

    send_all(guest, &guest->console, line);
}

void guest_wait_output(Guest *guest, const char *command, const char *output)
{
    gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;

    for (;;) {
        int status;
        g_autofree char *now = run(guest, &status, command);

        if (!strcmp(now, output))
            return;
        if (g_get_monotonic_time() > deadline)
            fail(guest, "timed out: in the guest: %s: expected \"%s\", it is still \"%s\"", command,
                 output, now);
        g_usleep(100000);
    }
}

/* --- The monitor --- */

static bool is_answered(const Guest *guest)
{
    const char *text = guest->monitor_text->str;
    const char *last;

    if (!guest->monitor_text->len)
        return false;
    last = g_strrstr_len(text, guest->monitor_text->len - 1, "\n");
    last = last ? last + 1 : text;
    return !strcmp(last, "ok\n") || g_str_has_prefix(last, "error: ");
}

static char *monitor(Guest *guest, const char *command)
{
    g_autofree char *line = g_strdup_printf("%s\n", command);
    gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;

    g_string_truncate(guest->monitor_text, 0);
    send_all(guest, &guest->monitor, line);
    while (!is_answered(guest)) {
        if (guest->monitor < 0 || g_get_monotonic_time() > deadline)
            fail(guest, "the monitor does not answer: %s", command);
        pump(guest);
    }
    return g_strchomp(g_strdup(guest->monitor_text->str));
}

char *guest_monitor(Guest *guest, const char *format, ...)
{
    g_autofree char *command = NULL;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    return monitor(guest, command);
}

char *guest_command(Guest *guest, const char *format, ...)
{
    g_autofree char *command = NULL;
    va_list args;
    char *answer;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    answer = monitor(guest, command);
    if (!g_str_has_suffix(answer, "ok"))
        fail(guest, "monitor: %s: %s", command, answer);
    return answer;
}

gint64 guest_info(Guest *guest, const char *key)
{
    g_autofree char *answer = guest_command(guest, "info");
    g_autofree char *prefix = g_strdup_printf("%s ", key);
    g_auto(GStrv) lines = g_strsplit(answer, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        const char *line = g_strchug(lines[i]);

        if (g_str_has_prefix(line, prefix))
            return g_ascii_strtoll(line + strlen(prefix), NULL, 10);
    }
    return -1;
}

/* --- Events --- */

gint64 guest_wait_event(Guest *guest, const char *text)
{
    gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;

    for (;;) {
        while (guest->next_event < guest->events->len) {
            const Event *event = &g_array_index(guest->events, Event, guest->next_event++);

            if (strstr(event->text, text))
                return event->time;
        }
        if (guest->exited)
            fail_ended(guest, "the event: ", text);
        if (g_get_monotonic_time() > deadline)
            fail(guest, "timed out; expected the event: %s", text);
        pump(guest);
    }
}

const char *guest_event_text(const Guest *guest)
{
    return g_array_index(guest->events, Event, guest->next_event - 1).text;
}

guint guest_count_events(Guest *guest, const char *text)
{
    guint n = 0;

    for (guint i = 0; i < guest->events->len; i++)
        n += strstr(g_array_index(guest->events, Event, i).text, text) != NULL;
    return n;
}

bool guest_saw_event(Guest *guest, const char *text)
{
    return guest_count_events(guest, text) > 0;
}

void guest_skip_events(Guest *guest)
{
    guest->next_event = guest->events->len;
}

int guest_wait_exit(Guest *guest)
{
    gint64 deadline = g_get_monotonic_time() + TIMEOUT_US;

    while (!guest->exited) {
        if (g_get_monotonic_time() > deadline)
            fail(guest, "timed out: minivmm still runs");
        pump(guest);
    }
    return WIFEXITED(guest->wait_status) ? WEXITSTATUS(guest->wait_status) : -1;
}
