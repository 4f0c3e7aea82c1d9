/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine in a file. The file has another name until it is complete and on the disk, so what has
 * the name is never a part of a machine. A device or a pipe is written as it is.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <vcpuhp/state.h>

#include "ram.h"

static bool fail_path(const char *path, GError **error)
{
    return fail_errno(path, error);
}

/* --- Save --- */

static bool write_machine(Machine *m, Stream *stream, GError **error)
{
    g_autoptr(GBytes) host = state_take_host(m, error);
    g_auto(State) state = {0};

    return host && state_take(m, &state, error) && state_send_host(m, stream, host, error) &&
           ram_send(m, stream, NULL, error) && state_send(stream, &state, error);
}

static bool write_fd(Machine *m, const char *path, int fd, GError **error)
{
    Stream stream = {.fd = fd, .name = path};
    bool paused = vcpus_pause(m), ok = write_machine(m, &stream, error);

    if (paused)
        vcpus_resume(m);
    return ok;
}

static bool write_in_place(Machine *m, const char *path, GError **error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok;

    if (fd < 0)
        return fail_path(path, error);
    ok = write_fd(m, path, fd, error);
    close(fd);
    return ok;
}

static bool write_new(Machine *m, const char *path, GError **error)
{
    g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
    int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0600);
    bool ok;

    if (fd < 0)
        return fail_path(path, error);
    ok = write_fd(m, path, fd, error) &&
         ((fsync(fd) == 0 && rename(temporary, path) == 0) || fail_path(path, error));
    close(fd);
    if (!ok)
        unlink(temporary);
    return ok;
}

bool file_save(Machine *m, const char *path, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return write_in_place(m, path, error);
    return write_new(m, path, error);
}

/* --- Restore --- */

bool file_restore(Machine *m, const char *path, GError **error)
{
    Stream stream = {.fd = open(path, O_RDONLY | O_CLOEXEC), .name = path};
    bool ok;

    if (stream.fd < 0)
        return fail_path(path, error);
    ok = state_receive_host(m, &stream, error) && state_receive(m, &stream, error);
    close(stream.fd);
    if (!ok) {
        g_prefix_error(error, "--restore: ");
        return false;
    }
    return vcpuhp_resume(m->hp, error);
}
