/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The target of a migration. Until the source says that it has given the guest up, nothing runs
 * here; whatever fails before, this process ends, and the guest goes on in the source.
 */
#include "state.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vcpuhp/state.h>

#include "console.h"
#include "monitor.h"

/* Tell the source that this process can do what it was asked to, or why not. */
static bool answer(Stream *stream, bool ok, GError **error)
{
    if (ok)
        return stream_send(stream, RECORD_YES, NULL, 0, error);
    if (error && *error)
        stream_send(stream, RECORD_NO, (*error)->message, strlen((*error)->message), NULL);
    return false;
}

static bool wait_for_go(Stream *stream, GError **error)
{
    g_autoptr(GBytes) go = stream_expect(stream, RECORD_GO, error);

    if (!go)
        g_prefix_error(error, "the source has not given the guest up: ");
    return go != NULL;
}

/* The guest is here. Whether the source hears of it does not change that. */
static bool go_on(Machine *m, Stream *stream, GError **error)
{
    if (!vcpuhp_resume(m->hp, error))
        return answer(stream, false, error);
    answer(stream, true, NULL);
    return true;
}

static bool receive(Machine *m, Stream *stream, GError **error)
{
    return answer(stream, state_receive_host(m, stream, error), error) &&
           answer(stream, state_receive(m, stream, error), error) && wait_for_go(stream, error) &&
           go_on(m, stream, error);
}

/* Only the first source that connects is served. */
static int wait_for_source(const char *path, GError **error)
{
    int listener = socket_listen("--incoming", path, error), fd;

    if (listener < 0)
        return -1;
    monitor_print("event: migration: waiting for a machine\n");
    while (poll(&(struct pollfd){listener, POLLIN, 0}, 1, -1) < 0)
        ;
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        fail_errno("--incoming: accept", error);
    close(listener);
    unlink(path);
    return fd;
}

bool incoming_run(Machine *m, const char *path, GError **error)
{
    Stream stream = {.fd = wait_for_source(path, error), .name = "the source"};
    bool ok;

    if (stream.fd < 0)
        return false;
    ok = receive(m, &stream, error);
    close(stream.fd);
    if (!ok)
        g_prefix_error(error, "--incoming: ");
    return ok;
}
