/* SPDX-License-Identifier: BSD-3-Clause */
#include "monitor.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "console.h"
#include "event-log.h"
#include "line-edit.h"

#define LINE_MAX_LEN 255

/* The guest decides how often it turns vCPUs on and off, so the log's rate is limited. */
#define EVENTS_PER_SECOND 4096

struct Monitor {
    Machine *m;
    const char *path; /* NULL: no socket */
    int listener;
    guint listen_source;
    GList *clients;
    FILE *log; /* NULL: no --events */

    GMutex lock;   /* protects what follows: any thread adds, the main thread takes */
    GQueue events; /* Line */
    gint64 second;
    uint32_t n_this_second;
    uint64_t n_dropped;
};

/* An event. */
typedef struct Line {
    char *text, *json; /* json NULL: not for the log */
} Line;

typedef struct Client {
    Monitor *monitor;
    int fd;
    guint source;
    GString *line; /* received so far */
    bool ended;    /* on the terminal: the end of input was typed */
} Client;

void monitor_print(const char *text)
{
    line_edit_print(text);
}

char *monitor_execute(Monitor *monitor, const char *line)
{
    return command_execute(monitor->m, line);
}

/* --- Clients --- */

static void client_free(Client *client)
{
    client->monitor->clients = g_list_remove(client->monitor->clients, client);
    g_clear_handle_id(&client->source, g_source_remove);
    if (client->fd == STDIN_FILENO)
        line_edit_end();
    else
        close(client->fd);
    g_string_free(client->line, TRUE);
    g_free(client);
}

/* Returns false if the client has disconnected or does not read. */
static bool client_send(Client *client, const char *text)
{
    gsize len = strlen(text);

    if (client->fd == STDIN_FILENO) {
        monitor_print(text);
        return true;
    }
    return send(client->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Returns false if the client must be dropped. */
static bool client_receive(Client *client, const char *data, gsize len)
{
    for (gsize i = 0; i < len; i++) {
        g_autofree char *answer = NULL;

        if (data[i] != '\n') {
            if (client->line->len == LINE_MAX_LEN)
                return false;
            g_string_append_c(client->line, data[i]);
            continue;
        }
        answer = monitor_execute(client->monitor, client->line->str);
        g_string_truncate(client->line, 0);
        if (!client_send(client, answer))
            return false;
    }
    return true;
}

/* A line that was edited on the terminal. */
static void on_edited_line(const char *line, void *opaque)
{
    Client *client = opaque;
    g_autofree char *answer = NULL;

    if (!line) {
        client->ended = true;
        return;
    }
    answer = monitor_execute(client->monitor, line);
    /* The next line's prompt follows. */
    fputs(answer, stdout);
    fflush(stdout);
}

static gboolean on_edited_client(int fd G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED,
                                 gpointer data)
{
    Client *client = data;

    line_edit_read();
    if (!client->ended)
        return G_SOURCE_CONTINUE;
    client->source = 0;
    client_free(client);
    return G_SOURCE_REMOVE;
}

static gboolean on_client(int fd, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
    Client *client = data;
    char buf[256];
    ssize_t n = read(fd, buf, sizeof(buf));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n > 0 && client_receive(client, buf, n))
        return G_SOURCE_CONTINUE;
    client->source = 0;
    client_free(client);
    return G_SOURCE_REMOVE;
}

static void client_new(Monitor *monitor, int fd)
{
    Client *client = g_new0(Client, 1);
    bool edits = fd == STDIN_FILENO && line_edit_begin(on_edited_line, client);

    *client = (Client){.monitor = monitor, .fd = fd, .line = g_string_new(NULL)};
    client->source =
        g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, edits ? on_edited_client : on_client, client);
    monitor->clients = g_list_append(monitor->clients, client);
}

static gboolean on_connect(int fd, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
    int client = socket_accept(fd);

    if (client >= 0)
        client_new(data, client);
    return G_SOURCE_CONTINUE;
}

/* --- Events --- */

static void send_to_all(Monitor *monitor, const char *line)
{
    GList *next;

    monitor_print(line);
    for (GList *i = monitor->clients; i; i = next) {
        Client *client = i->data;

        next = i->next;
        if (client->fd != STDIN_FILENO && !client_send(client, line))
            client_free(client);
    }
}

static void write_log(Monitor *monitor, const char *json)
{
    if (!monitor->log || !json)
        return;
    fprintf(monitor->log, "%s\n", json);
    fflush(monitor->log);
}

static void line_free(Line *line)
{
    g_free(line->text);
    g_free(line->json);
    g_free(line);
}

/* Returns NULL if there is none; then ret_n_dropped is how many were not kept since. */
static Line *next_line(Monitor *monitor, uint64_t *ret_n_dropped)
{
    Line *line;

    g_mutex_lock(&monitor->lock);
    line = g_queue_pop_head(&monitor->events);
    *ret_n_dropped = line ? 0 : monitor->n_dropped;
    monitor->n_dropped -= *ret_n_dropped;
    g_mutex_unlock(&monitor->lock);
    return line;
}

static gboolean on_events(gpointer data)
{
    Monitor *monitor = data;
    uint64_t n_dropped;
    Line *line;

    while ((line = next_line(monitor, &n_dropped))) {
        send_to_all(monitor, line->text);
        write_log(monitor, line->json);
        line_free(line);
    }
    if (n_dropped) {
        g_autofree char *note = g_strdup_printf("event: %" PRIu64 " more, not shown\n", n_dropped);
        g_autofree char *json = g_strdup_printf("{\"dropped\":%" PRIu64 "}", n_dropped);

        send_to_all(monitor, note);
        write_log(monitor, json);
    }
    return G_SOURCE_REMOVE;
}

/* The lock is held. */
static bool is_too_much(Monitor *monitor)
{
    gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;

    if (second != monitor->second) {
        monitor->second = second;
        monitor->n_this_second = 0;
    }
    return ++monitor->n_this_second > EVENTS_PER_SECOND ||
           monitor->events.length > EVENTS_PER_SECOND;
}

/* Takes the strings. */
static void queue_line(Monitor *monitor, char *text, char *json)
{
    Line *line = g_new(Line, 1);
    bool first, dropped;

    *line = (Line){text, json};
    g_mutex_lock(&monitor->lock);
    first = !monitor->events.length && !monitor->n_dropped;
    dropped = is_too_much(monitor);
    if (dropped)
        monitor->n_dropped++;
    else
        g_queue_push_tail(&monitor->events, line);
    g_mutex_unlock(&monitor->lock);
    if (dropped)
        line_free(line);
    if (first)
        g_idle_add_full(G_PRIORITY_DEFAULT, on_events, monitor, NULL);
}

void monitor_event(Monitor *monitor, const VcpuhpEvent *event)
{
    g_autofree char *text = vcpuhp_event_describe(event);

    queue_line(monitor, g_strdup_printf("event: %s\n", text),
               monitor->log ? event_to_json(event) : NULL);
}

void monitor_note(Monitor *monitor, const char *about, const char *text)
{
    queue_line(monitor, g_strdup_printf("event: %s: %s\n", about, text), NULL);
}

/* --- Creation --- */

static bool open_log(Monitor *monitor, const char *path, GError **error)
{
    monitor->log = fopen(path, "ae");
    return monitor->log || fail_errno("--events", error);
}

Monitor *monitor_new(Machine *m, const char *path, const char *log, bool on_terminal,
                     GError **error)
{
    Monitor *monitor = g_new0(Monitor, 1);

    *monitor = (Monitor){.m = m, .path = path, .listener = -1};
    g_mutex_init(&monitor->lock);
    g_queue_init(&monitor->events);
    if (log && !open_log(monitor, log, error)) {
        monitor->path = NULL;
        monitor_free(monitor);
        return NULL;
    }
    if (path) {
        monitor->listener = socket_listen("--monitor", path, error);
        if (monitor->listener < 0) {
            monitor->path = NULL;
            monitor_free(monitor);
            return NULL;
        }
        monitor->listen_source = g_unix_fd_add(monitor->listener, G_IO_IN, on_connect, monitor);
    }
    if (on_terminal)
        client_new(monitor, STDIN_FILENO);
    return monitor;
}

void monitor_free(Monitor *monitor)
{
    if (!monitor)
        return;
    on_events(monitor);
    while (monitor->clients)
        client_free(monitor->clients->data);
    g_clear_handle_id(&monitor->listen_source, g_source_remove);
    if (monitor->listener >= 0)
        close(monitor->listener);
    if (monitor->path)
        unlink(monitor->path);
    if (monitor->log)
        fclose(monitor->log);
    g_mutex_clear(&monitor->lock);
    g_free(monitor);
}
