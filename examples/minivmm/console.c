/* SPDX-License-Identifier: BSD-3-Clause */
#include "console.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "monitor.h"
#include "uart.h"

#define CTRL_A 1

struct Console {
    Machine *m;
    const char *path; /* NULL: standard input and output */
    int listener;
    int in, out;                 /* -1: not connected */
    guint in_source, out_source; /* 0: not watched */
    guint listen_source;
    gint awake; /* atomic: on_wake() is queued */
    uint8_t output[4096];
    gsize n_output;
    GString *command;        /* being typed after Ctrl-A; NULL: input goes to the guest */
    struct termios terminal; /* the settings to restore */
    bool is_terminal;
};

/* --- Sockets --- */

static bool fill_address(const char *what, const char *path, struct sockaddr_un *address,
                         GError **error)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) < sizeof(address->sun_path)) {
        strcpy(address->sun_path, path);
        return true;
    }
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                "%s: \"%s\" has %" G_GSIZE_FORMAT
                " bytes, a socket's path at most %" G_GSIZE_FORMAT,
                what, path, strlen(path), sizeof(address->sun_path) - 1);
    return false;
}

/* Returns -1. */
static int socket_fail(int fd, const char *what, const char *path, GError **error)
{
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s: %s", what, path,
                g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int socket_listen(const char *option, const char *path, GError **error)
{
    struct sockaddr_un address;
    int fd;

    if (!fill_address(option, path, &address, error))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, 8) == 0)
        return fd;
    return socket_fail(fd, option, path, error);
}

int socket_connect(const char *path, GError **error)
{
    struct sockaddr_un address;
    int fd;

    if (!fill_address("connect", path, &address, error))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    return socket_fail(fd, "connect", path, error);
}

int socket_accept(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* --- Terminal --- */

static void terminal_raw(Console *console)
{
    struct termios raw = console->terminal;

    if (!console->is_terminal)
        return;
    /* The guest's terminal driver echoes and edits. Output is still processed: "\n" gets its
     * "\r". */
    raw.c_iflag &= ~(ICRNL | IXON);
    raw.c_lflag &= ~(ECHO | ICANON | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void terminal_restore(Console *console)
{
    if (console->is_terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &console->terminal);
}

static void command_begin(Console *console)
{
    console->command = g_string_new(NULL);
    terminal_restore(console);
    monitor_print("\nminivmm> ");
}

static void command_type(Console *console, char c)
{
    if (c != '\n') {
        g_string_append_c(console->command, c);
        return;
    }
    if (console->command->len) {
        g_autofree char *answer = monitor_execute(console->m->monitor, console->command->str);

        monitor_print(answer);
    }
    g_string_free(g_steal_pointer(&console->command), TRUE);
    terminal_raw(console);
}

/* --- Input and output --- */

static void console_update(Console *console);

static void hang_up(Console *console)
{
    g_clear_handle_id(&console->in_source, g_source_remove);
    g_clear_handle_id(&console->out_source, g_source_remove);
    if (console->path)
        close(console->in);
    else
        terminal_restore(console);
    console->in = console->out = -1;
    console->n_output = 0;
}

static gboolean on_input(int fd, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
    Console *console = data;
    uint8_t input[256], bytes[256];
    gsize room = uart_room(console->m->uart), len = 0;
    ssize_t n;

    if (!room) { /* The serial port calls console_wake() when the guest has read some. */
        console->in_source = 0;
        return G_SOURCE_REMOVE;
    }
    n = read(fd, input, MIN(room, sizeof(input)));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0) {
        console->in_source = 0;
        if (console->path)
            hang_up(console);
        else
            console->in = -1; /* standard output is still open */
        return G_SOURCE_REMOVE;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (console->command)
            command_type(console, input[i]);
        else if (input[i] == CTRL_A && !console->path)
            command_begin(console);
        else
            bytes[len++] = input[i];
    }
    uart_receive(console->m->uart, bytes, len);
    return G_SOURCE_CONTINUE;
}

/* Returns false if nothing is left to write, or the other end has hung up. */
static bool write_output(Console *console)
{
    ssize_t n;

    if (!console->n_output)
        console->n_output =
            uart_transmit(console->m->uart, console->output, sizeof(console->output));
    if (!console->n_output)
        return false;
    n = write(console->out, console->output, console->n_output);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    console->n_output -= n;
    memmove(console->output, console->output + n, console->n_output);
    return true;
}

static gboolean on_output(int fd G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
    Console *console = data;

    if (write_output(console))
        return G_SOURCE_CONTINUE;
    console->out_source = 0;
    if (console->n_output) {
        hang_up(console);
        console_update(console);
    }
    return G_SOURCE_REMOVE;
}

static void console_update(Console *console)
{
    if (console->in >= 0 && !console->in_source)
        console->in_source = g_unix_fd_add(console->in, G_IO_IN | G_IO_HUP, on_input, console);
    if (console->out >= 0 && !console->out_source)
        console->out_source = g_unix_fd_add(console->out, G_IO_OUT, on_output, console);
    if (console->out < 0)
        while (uart_transmit(console->m->uart, console->output, sizeof(console->output)))
            ;
}

static gboolean on_wake(gpointer data)
{
    Console *console = data;

    g_atomic_int_set(&console->awake, 0);
    console_update(console);
    return G_SOURCE_REMOVE;
}

void console_wake(Console *console)
{
    if (g_atomic_int_compare_and_exchange(&console->awake, 0, 1))
        g_idle_add_full(G_PRIORITY_DEFAULT, on_wake, console, NULL);
}

static gboolean on_connect(int fd, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
    Console *console = data;
    int client = socket_accept(fd);

    if (client < 0)
        return G_SOURCE_CONTINUE;
    if (console->in >= 0) { /* one client at a time */
        close(client);
        return G_SOURCE_CONTINUE;
    }
    console->in = console->out = client;
    console_update(console);
    return G_SOURCE_CONTINUE;
}

Console *console_new(Machine *m, const char *path, GError **error)
{
    Console *console = g_new0(Console, 1);

    console->m = m;
    console->path = path;
    console->listener = -1;
    console->in = path ? -1 : STDIN_FILENO;
    console->out = path ? -1 : STDOUT_FILENO;
    if (!path) {
        console->is_terminal = tcgetattr(STDIN_FILENO, &console->terminal) == 0;
        terminal_raw(console);
        console_update(console);
        return console;
    }
    console->listener = socket_listen("--console", path, error);
    if (console->listener < 0) {
        g_free(console);
        return NULL;
    }
    console->listen_source = g_unix_fd_add(console->listener, G_IO_IN, on_connect, console);
    while (console->in < 0)
        g_main_context_iteration(NULL, TRUE);
    return console;
}

void console_free(Console *console)
{
    if (!console)
        return;
    /* Write the guest's last output, for at most a second. */
    while (console->out >= 0 && poll(&(struct pollfd){console->out, POLLOUT, 0}, 1, 1000) > 0 &&
           write_output(console))
        ;
    if (console->in >= 0 || console->out >= 0)
        hang_up(console);
    g_clear_handle_id(&console->listen_source, g_source_remove);
    if (console->listener >= 0)
        close(console->listener);
    if (console->path)
        unlink(console->path);
    if (console->command)
        g_string_free(console->command, TRUE);
    g_free(console);
}
