/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source of a live migration. A thread of its own asks the target, and copies RAM while the
 * guest runs: first all of it, then in each round what the guest has written in the meantime. When
 * so little is left that it can be sent within the limit, the main thread pauses the guest, and
 * sends the rest and the state. The guest is given up only after the target has said that it has
 * all of it; whatever fails before, it goes on here.
 */
#include "state.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "console.h"
#include "monitor.h"
#include "ram.h"

/* A target that neither reads nor answers for so long is given up. */
#define PATIENCE_S 30

struct Migration {
    Machine *m;
    MigrateLimits limits;
    Stream stream;
    GBytes *host;
    GThread *thread;
    Pages left;         /* to send after the last round */
    gint64 started;     /* µs of the monotonic clock */
    gint64 paused_at;   /* the same, when the down-time began */
    gint64 ram_sent_us; /* how long it took to send what was left */
    GError *error;
};

static void G_GNUC_PRINTF(2, 3) say(const Migration *migration, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    monitor_note(migration->m->monitor, "migration", text);
}

static double in_mib(uint64_t bytes)
{
    return (double)bytes / MIB;
}

/* --- Talking to the target --- */

/* The target's reason as an error. Returns false. */
static bool refuse(Stream *stream, uint32_t len, GError **error)
{
    g_autoptr(GBytes) reason = stream_read_all(stream, len, error);
    g_autofree char *text = NULL;

    if (!reason)
        return false;
    text = g_strndup(g_bytes_get_data(reason, NULL), len);
    return stream_fail(stream, g_strdelimit(text, "\r\n", ' '), error);
}

static bool get_answer(Stream *stream, GError **error)
{
    uint32_t type, len;

    if (!stream_receive(stream, &type, &len, error))
        return false;
    return (type == RECORD_YES && !len) || refuse(stream, len, error);
}

/* Sending has failed, because the target has hung up. It may have said why. */
static void explain(Stream *stream, GError **error)
{
    uint32_t type, len;

    fcntl(stream->fd, F_SETFL, O_NONBLOCK);
    if (stream_receive(stream, &type, &len, NULL) && type == RECORD_NO) {
        g_clear_error(error);
        refuse(stream, len, error);
    }
}

/* --- While the guest runs --- */

/* Send pages, and tell of the progress each second. */
static bool send_round(Migration *migration, uint32_t round, const Pages pages, GError **error)
{
    uint64_t next = 0, n_pages = ram_n_pages(migration->m);
    gint64 told = g_get_monotonic_time();

    while (next < n_pages) {
        if (!ram_send_some(migration->m, &migration->stream, pages, &next, error))
            return false;
        if (g_get_monotonic_time() - told > G_USEC_PER_SEC) {
            told = g_get_monotonic_time();
            say(migration, "round %u: %u%% of memory looked at, %.1f MiB sent", round,
                (unsigned)(next * 100 / n_pages), in_mib(migration->stream.n_bytes));
        }
    }
    return true;
}

/* How long it takes to send this much, at the rate so far. */
static uint32_t estimate_ms(const Migration *migration, uint64_t bytes)
{
    double elapsed = (g_get_monotonic_time() - migration->started) / 1000.0;

    return bytes * elapsed / MAX(migration->stream.n_bytes, 1);
}

/* Send RAM until what is left of it can be sent within the limit. */
static bool send_rounds(Migration *migration, GError **error)
{
    const MigrateLimits *limits = &migration->limits;

    for (uint32_t round = 1;; round++) {
        const Pages pages = round > 1 ? migration->left : NULL;
        uint64_t left;
        uint32_t ms;

        if (!send_round(migration, round, pages, error) ||
            !ram_take_dirty(migration->m, migration->left, error))
            return false;
        left = ram_pages_size(migration->m, migration->left);
        ms = estimate_ms(migration, left);
        say(migration, "round %u: %.1f MiB sent; %.1f MiB written by the guest, %u ms at this rate",
            round, in_mib(migration->stream.n_bytes), in_mib(left), ms);
        if (ms <= limits->down_ms)
            return true;
        if (round == limits->rounds) {
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                        "the guest writes too fast: after %u rounds the rest takes %u ms, more "
                        "than %u",
                        round, ms, limits->down_ms);
            return false;
        }
    }
}

static gboolean on_copied(gpointer data);

static void *migration_thread(void *data)
{
    Migration *migration = data;

    if (state_send_host(migration->m, &migration->stream, migration->host, &migration->error) &&
        get_answer(&migration->stream, &migration->error) &&
        ram_log(migration->m, true, &migration->error))
        send_rounds(migration, &migration->error);
    g_idle_add_full(G_PRIORITY_DEFAULT, on_copied, migration, NULL);
    return NULL;
}

/* --- While the guest is paused --- */

/* Send what is left. KVM writes RAM when it saves its state, so the log is taken after that. */
static bool send_rest(Migration *migration, GError **error)
{
    Machine *m = migration->m;
    g_auto(State) state = {0};
    g_autofree Pages last = ram_pages_new(m);
    gint64 begin;

    if (!state_take(m, &state, error) || !ram_take_dirty(m, last, error))
        return false;
    ram_pages_add(m, migration->left, last);
    begin = g_get_monotonic_time();
    if (!ram_send(m, &migration->stream, migration->left, error))
        return false;
    migration->ram_sent_us = g_get_monotonic_time() - begin;
    return state_send(&migration->stream, &state, error) && get_answer(&migration->stream, error) &&
           stream_send(&migration->stream, RECORD_GO, NULL, 0, error);
}

/* The target runs the guest. What follows here does not: every vCPU parks. */
static void give_up(Migration *migration)
{
    Machine *m = migration->m;

    say(migration, "done: %.1f MiB sent; down-time %.1f ms, %.1f of them for %.1f MiB of memory",
        in_mib(migration->stream.n_bytes), (g_get_monotonic_time() - migration->paused_at) / 1000.0,
        migration->ram_sent_us / 1000.0, in_mib(ram_pages_size(m, migration->left)));
    m->moved = true;
    machine_quit(m);
}

/* The target was allowed to run the guest, but has not confirmed that it does. Two guests with one
 * identity are worse than none, so the operator decides. */
static void stay_paused(Migration *migration, const GError *error)
{
    ram_log(migration->m, false, NULL);
    say(migration, "unknown: %s; the guest stays paused here. If it does not run there, resume it",
        error->message);
}

static void go_on(Migration *migration, bool paused)
{
    ram_log(migration->m, false, NULL);
    if (paused)
        vcpus_resume(migration->m);
    explain(&migration->stream, &migration->error);
    say(migration, "failed: %s", migration->error->message);
}

static gboolean on_copied(gpointer data)
{
    Migration *migration = data;
    Machine *m = migration->m;
    g_autoptr(GError) error = NULL;
    bool paused = false;

    if (!migration->error) {
        migration->paused_at = g_get_monotonic_time();
        paused = vcpus_pause(m);
        send_rest(migration, &migration->error);
    }
    if (migration->error)
        go_on(migration, paused);
    else if (get_answer(&migration->stream, &error))
        give_up(migration);
    else
        stay_paused(migration, error);
    migration_free(g_steal_pointer(&m->migration));
    return G_SOURCE_REMOVE;
}

/* --- Begin and end --- */

static bool set_patience(int fd, GError **error)
{
    const struct timeval limit = {.tv_sec = PATIENCE_S};

    return (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0) ||
           fail_errno("setsockopt", error);
}

/* No ioctl on a vCPU's fd while it runs: KVM would make the caller wait. */
static GBytes *take_host(Machine *m, GError **error)
{
    bool paused = vcpus_pause(m);
    GBytes *host = state_take_host(m, error);

    if (paused)
        vcpus_resume(m);
    return host;
}

bool migration_start(Machine *m, const char *path, const MigrateLimits *limits, GError **error)
{
    Migration *migration;

    if (m->migration) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST, "a migration is under way");
        return false;
    }
    migration = g_new0(Migration, 1);
    *migration = (Migration){.m = m, .limits = *limits, .stream.name = "the target"};
    migration->stream.fd = socket_connect(path, error);
    if (migration->stream.fd < 0 || !set_patience(migration->stream.fd, error) ||
        !(migration->host = take_host(m, error))) {
        migration_free(migration);
        return false;
    }
    migration->left = ram_pages_new(m);
    migration->started = g_get_monotonic_time();
    migration->thread = g_thread_new("migration", migration_thread, migration);
    m->migration = migration;
    return true;
}

void migration_free(Migration *migration)
{
    if (!migration)
        return;
    if (migration->stream.fd >= 0)
        shutdown(migration->stream.fd, SHUT_RDWR); /* wakes the thread */
    if (migration->thread)
        g_thread_join(migration->thread);
    if (migration->stream.fd >= 0)
        close(migration->stream.fd);
    g_clear_pointer(&migration->host, g_bytes_unref);
    g_clear_error(&migration->error);
    g_free(migration->left);
    g_free(migration);
}
