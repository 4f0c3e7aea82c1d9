/* SPDX-License-Identifier: BSD-3-Clause */
#include "monitor.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "console.h"
#include "state.h"

#define LINE_MAX_LEN 255

/* The guest decides how often it turns vCPUs on and off, so the log's rate is limited. */
#define EVENTS_PER_SECOND 4096

struct Monitor {
    Machine *m;
    const char *path; /* NULL: no socket */
    int listener;
    guint listen_source;
    GList *clients;

    GMutex lock;   /* protects what follows: any thread adds, the main thread takes */
    GQueue events; /* lines */
    gint64 second;
    uint32_t n_this_second;
    uint64_t n_dropped;
};

typedef struct Client {
    Monitor *monitor;
    int fd;
    guint source;
    GString *line; /* received so far */
} Client;

void monitor_print(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
}

/* --- Commands --- */

/* args[0] is the command's name. Returns false and sets error, or appends to out. */
typedef bool CommandFunc(Machine *m, char **args, GString *out, GError **error);

static const char *const power_names[] = {
    [VCPUHP_POWER_OFF] = "off", [VCPUHP_POWER_ON_PENDING] = "starting", [VCPUHP_POWER_ON] = "on"};
static const char *const request_names[] = {
    [VCPUHP_REQUEST_PLUG] = "plug", [VCPUHP_REQUEST_UNPLUG] = "unplug"};
static const char *const request_state_names[] = {[VCPUHP_REQUEST_HELD] = "held back",
                                                  [VCPUHP_REQUEST_RAISED] = "not seen yet",
                                                  [VCPUHP_REQUEST_SEEN] = "seen"};

static void info_vcpu(uint32_t vcpu, const VcpuhpVcpuInfo *info, GString *out)
{
    g_string_append_printf(out, "vcpu %u: %s, %s, MPIDR 0x%" PRIx64 ", node %u", vcpu,
                           !info->enabled ? "disabled"
                           : info->fixed  ? "enabled permanently"
                                          : "enabled",
                           power_names[info->power], info->mpidr, info->node);
    if (info->ejecting)
        g_string_append(out, ", being ejected");
    if (info->request_kind != VCPUHP_REQUEST_NONE)
        g_string_append_printf(out, ", %s request %u %s", request_names[info->request_kind],
                               info->request, request_state_names[info->request_state]);
    if (info->ost_source || info->ost_status)
        g_string_append_printf(out, ", last _OST 0x%x, 0x%x (%s)", info->ost_source,
                               info->ost_status,
                               vcpuhp_ost_describe(info->ost_source, info->ost_status));
    g_string_append_c(out, '\n');
}

static void info_counters(Machine *m, GString *out)
{
    static const struct {
        const char *name;
        gsize offset;
    } counters[] = {
        {"block_reads", offsetof(VcpuhpCounters, block_reads)},
        {"block_writes", offsetof(VcpuhpCounters, block_writes)},
        {"event_reads", offsetof(VcpuhpCounters, event_reads)},
        {"bitmap_reads", offsetof(VcpuhpCounters, bitmap_reads)},
        {"ost_writes", offsetof(VcpuhpCounters, ost_writes)},
        {"eject_writes", offsetof(VcpuhpCounters, eject_writes)},
        {"other_accesses", offsetof(VcpuhpCounters, other_accesses)},
        {"cpu_on_granted", offsetof(VcpuhpCounters, cpu_on_granted)},
        {"cpu_on_denied", offsetof(VcpuhpCounters, cpu_on_denied)},
        {"cpu_on_already", offsetof(VcpuhpCounters, cpu_on_already)},
        {"cpu_on_failed", offsetof(VcpuhpCounters, cpu_on_failed)},
        {"cpu_off", offsetof(VcpuhpCounters, cpu_off)},
        {"affinity_info", offsetof(VcpuhpCounters, affinity_info)},
        {"psci_other", offsetof(VcpuhpCounters, psci_other)},
        {"irq_raised", offsetof(VcpuhpCounters, irq_raised)},
    };
    VcpuhpCounters values = {.size = sizeof(values)};

    vcpuhp_counters(m->hp, &values, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(counters); i++)
        g_string_append_printf(out, "counter %s %" PRIu64 "\n", counters[i].name,
                               G_STRUCT_MEMBER(uint64_t, &values, counters[i].offset));
}

static bool do_info(Machine *m, char **args G_GNUC_UNUSED, GString *out,
                    GError **error G_GNUC_UNUSED)
{
    uint32_t n_enabled = 0, n_running = 0;
    g_autoptr(GString) vcpus = g_string_new(NULL);

    for (uint32_t i = 0; i < vcpuhp_n_vcpus(m->hp); i++) {
        VcpuhpVcpuInfo info = {.size = sizeof(info)};

        vcpuhp_query(m->hp, i, &info, NULL);
        n_enabled += info.enabled;
        n_running += info.power == VCPUHP_POWER_ON;
        info_vcpu(i, &info, vcpus);
    }
    g_string_append_printf(out, "paused %d\npossible %u\nenabled %u\nrunning %u\nthreads %u\n",
                           g_atomic_int_get(&m->paused), vcpuhp_n_vcpus(m->hp), n_enabled,
                           n_running, vcpu_threads_count(m));
    g_string_append(out, vcpus->str);
    info_counters(m, out);
    return true;
}

/* The arguments of plug and unplug. */
typedef struct RequestArgs {
    uint32_t first, last; /* vCPUs */
    uint32_t flags;       /* VcpuhpRequestFlags */
    uint32_t timeout_ms;
} RequestArgs;

/* FIRST or FIRST-LAST */
static bool parse_vcpus(const char *text, uint32_t *ret_first, uint32_t *ret_last, GError **error)
{
    g_auto(GStrv) ends = g_strsplit(text, "-", 2);
    uint32_t first, last;

    if (!parse_number("vCPU", ends[0] ? ends[0] : "", 0, G_MAXUINT32, &first, error))
        return false;
    last = first;
    if (ends[1] && !parse_number("last vCPU", ends[1], first, G_MAXUINT32, &last, error))
        return false;
    *ret_first = first;
    *ret_last = last;
    return true;
}

/* VCPUS [until-on] [MS] */
static bool parse_request(char **args, RequestArgs *ret_args, GError **error)
{
    RequestArgs parsed = {0};
    char **arg = &args[2];

    if (!parse_vcpus(args[1], &parsed.first, &parsed.last, error))
        return false;
    if (*arg && !strcmp(*arg, "until-on")) {
        parsed.flags = VCPUHP_UNTIL_ON;
        arg++;
    }
    if (*arg && !parse_number("timeout", *arg++, 0, G_MAXUINT32, &parsed.timeout_ms, error))
        return false;
    if (*arg) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "\"%s\" is one argument too many", *arg);
        return false;
    }
    *ret_args = parsed;
    return true;
}

/* Plug and unplug stop at the first vCPU of the range that is refused. */
static bool do_plug(Machine *m, char **args, GString *out, GError **error)
{
    RequestArgs parsed;
    uint32_t id;

    if (!parse_request(args, &parsed, error))
        return false;
    for (uint32_t vcpu = parsed.first; vcpu <= parsed.last; vcpu++) {
        if (!vcpuhp_plug(m->hp, vcpu, parsed.flags, parsed.timeout_ms, &id, error))
            return false;
        g_string_append_printf(out, "request %u\n", id);
    }
    return true;
}

static bool do_unplug(Machine *m, char **args, GString *out, GError **error)
{
    RequestArgs parsed;
    uint32_t id;

    if (!parse_request(args, &parsed, error))
        return false;
    for (uint32_t vcpu = parsed.first; vcpu <= parsed.last; vcpu++) {
        if (!vcpuhp_unplug(m->hp, vcpu, parsed.flags, parsed.timeout_ms, &id, error))
            return false;
        g_string_append_printf(out, "request %u\n", id);
    }
    return true;
}

static bool do_cancel(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    uint32_t id;

    return parse_number("request", args[1], 0, G_MAXUINT32, &id, error) &&
           vcpuhp_cancel(m->hp, id, error);
}

static bool do_repeat(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    uint32_t id;

    return parse_number("request", args[1], 0, G_MAXUINT32, &id, error) &&
           vcpuhp_repeat(m->hp, id, error);
}

static bool do_force(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    uint32_t vcpu;

    return parse_number("vCPU", args[1], 0, G_MAXUINT32, &vcpu, error) &&
           vcpuhp_force(m->hp, vcpu, error);
}

static bool do_reset(Machine *m, char **args G_GNUC_UNUSED, GString *out G_GNUC_UNUSED,
                     GError **error G_GNUC_UNUSED)
{
    machine_stop(m, AFTER_STOP_RESET);
    return true;
}

static bool do_kernel(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    return machine_set_kernel(m, args[1], error);
}

static bool do_pause(Machine *m, char **args G_GNUC_UNUSED, GString *out G_GNUC_UNUSED,
                     GError **error G_GNUC_UNUSED)
{
    vcpus_pause(m);
    return true;
}

static bool do_resume(Machine *m, char **args G_GNUC_UNUSED, GString *out G_GNUC_UNUSED,
                      GError **error G_GNUC_UNUSED)
{
    vcpus_resume(m);
    return true;
}

static bool do_save(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    return machine_may_open(m, error) && file_save(m, args[1], error);
}

static bool do_migrate(Machine *m, char **args, GString *out G_GNUC_UNUSED, GError **error)
{
    MigrateLimits limits = {.down_ms = 300, .rounds = 30};
    char **arg = &args[2];

    return machine_may_open(m, error) &&
           (!*arg || parse_number("down-time", *arg++, 1, G_MAXUINT32, &limits.down_ms, error)) &&
           (!*arg || parse_number("rounds", *arg, 1, G_MAXUINT32, &limits.rounds, error)) &&
           migration_start(m, args[1], &limits, error);
}

static bool do_quit(Machine *m, char **args G_GNUC_UNUSED, GString *out G_GNUC_UNUSED,
                    GError **error G_GNUC_UNUSED)
{
    machine_quit(m);
    return true;
}

static CommandFunc do_help;

static const struct Command {
    const char *name, *args, *help;
    uint32_t min_args, max_args;
    CommandFunc *func;
} commands[] = {
    {"info", "", "show the machine, its vCPUs and counters", 0, 0, do_info},
    {"plug", " VCPU [until-on] [MS]",
     "enable a vCPU, or FIRST-LAST, and notify the guest; time out after MS milliseconds", 1, 3,
     do_plug},
    {"unplug", " VCPU [MS]", "ask the guest to give a vCPU, or FIRST-LAST, back", 1, 2, do_unplug},
    {"cancel", " REQUEST", "withdraw a request that the guest has not seen", 1, 1, do_cancel},
    {"repeat", " REQUEST", "raise a request again", 1, 1, do_repeat},
    {"force", " VCPU", "disable a vCPU without asking the guest", 1, 1, do_force},
    {"reset", "", "reset the machine", 0, 0, do_reset},
    {"kernel", " FILE", "load another kernel at the next reset", 1, 1, do_kernel},
    {"pause", "", "let no vCPU run", 0, 0, do_pause},
    {"resume", "", "end the pause", 0, 0, do_resume},
    {"save", " FILE", "save the machine; see --restore", 1, 1, do_save},
    {"migrate", " SOCKET [MS] [ROUNDS]",
     "move the machine to another minivmm, see --incoming, with a down-time of about MS "
     "milliseconds (300), to be reached in ROUNDS (30)",
     1, 3, do_migrate},
    {"quit", "", "end minivmm", 0, 0, do_quit},
    {"help", "", "list the commands", 0, 0, do_help},
};

static bool do_help(Machine *m G_GNUC_UNUSED, char **args G_GNUC_UNUSED, GString *out,
                    GError **error G_GNUC_UNUSED)
{
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *usage = g_strconcat(commands[i].name, commands[i].args, NULL);

        g_string_append_printf(out, "%-25s %s\n", usage, commands[i].help);
    }
    return true;
}

static bool execute(Machine *m, char **args, GString *out, GError **error)
{
    uint32_t n_args = args[0] ? g_strv_length(args) - 1 : 0;

    for (gsize i = 0; args[0] && i < G_N_ELEMENTS(commands); i++) {
        const struct Command *command = &commands[i];

        if (strcmp(args[0], command->name))
            continue;
        if (n_args >= command->min_args && n_args <= command->max_args)
            return command->func(m, args, out, error);
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "usage: %s%s", command->name,
                    command->args);
        return false;
    }
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
                "there is no command \"%s\"; see help", args[0] ? args[0] : "");
    return false;
}

char *monitor_execute(Monitor *monitor, const char *line)
{
    g_autofree char *text = g_strdelimit(g_strdup(line), "\t\r", ' ');
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    g_autofree char **args = g_new0(char *, g_strv_length(words) + 1);
    g_autoptr(GError) error = NULL;
    GString *out = g_string_new(NULL);
    gsize n = 0;

    for (char **word = words; *word; word++)
        if (**word)
            args[n++] = *word;
    if (execute(monitor->m, args, out, &error))
        g_string_append(out, "ok\n");
    else
        g_string_append_printf(out, "error: %s\n", error->message);
    return g_string_free(out, FALSE);
}

/* --- Clients --- */

static void client_free(Client *client)
{
    client->monitor->clients = g_list_remove(client->monitor->clients, client);
    g_clear_handle_id(&client->source, g_source_remove);
    if (client->fd != STDIN_FILENO)
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

    *client = (Client){.monitor = monitor, .fd = fd, .line = g_string_new(NULL)};
    client->source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_client, client);
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

static gboolean on_events(gpointer data)
{
    Monitor *monitor = data;
    uint64_t n_dropped;
    char *line;

    do {
        g_mutex_lock(&monitor->lock);
        line = g_queue_pop_head(&monitor->events);
        n_dropped = line ? 0 : monitor->n_dropped;
        monitor->n_dropped -= n_dropped;
        g_mutex_unlock(&monitor->lock);
        if (line)
            send_to_all(monitor, line);
        g_free(line);
    } while (line);
    if (n_dropped) {
        g_autofree char *note = g_strdup_printf("event: %" PRIu64 " more, not shown\n", n_dropped);

        send_to_all(monitor, note);
    }
    return G_SOURCE_REMOVE;
}

/* Takes the line. */
static void queue_line(Monitor *monitor, char *line)
{
    gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;
    bool first;

    g_mutex_lock(&monitor->lock);
    if (second != monitor->second) {
        monitor->second = second;
        monitor->n_this_second = 0;
    }
    first = !monitor->events.length && !monitor->n_dropped;
    if (++monitor->n_this_second > EVENTS_PER_SECOND ||
        monitor->events.length > EVENTS_PER_SECOND) {
        monitor->n_dropped++;
        g_free(line);
    } else {
        g_queue_push_tail(&monitor->events, line);
    }
    g_mutex_unlock(&monitor->lock);
    if (first)
        g_idle_add_full(G_PRIORITY_DEFAULT, on_events, monitor, NULL);
}

void monitor_event(Monitor *monitor, const VcpuhpEvent *event)
{
    g_autofree char *text = vcpuhp_event_describe(event);

    queue_line(monitor, g_strdup_printf("event: %s\n", text));
}

void monitor_migration(Monitor *monitor, const char *text)
{
    queue_line(monitor, g_strdup_printf("event: migration: %s\n", text));
}

/* --- Creation --- */

Monitor *monitor_new(Machine *m, const char *path, bool on_terminal, GError **error)
{
    Monitor *monitor = g_new0(Monitor, 1);

    *monitor = (Monitor){.m = m, .path = path, .listener = -1};
    g_mutex_init(&monitor->lock);
    g_queue_init(&monitor->events);
    if (path) {
        monitor->listener = socket_listen("--monitor", path, error);
        if (monitor->listener < 0) {
            g_mutex_clear(&monitor->lock);
            g_free(monitor);
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
    g_mutex_clear(&monitor->lock);
    g_free(monitor);
}
