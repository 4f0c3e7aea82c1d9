/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of a record other than RAM: more than the state of 512 vCPUs with the longest vectors. */
#define RECORD_MAX (64u << 20)

typedef struct Header {
    uint32_t type, len;
} Header;
G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);

bool stream_fail(const Stream *stream, const char *what, GError **error)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", stream->name, what);
    return false;
}

/* A socket has a time limit, after which it gives EAGAIN. */
static bool fail_errno(const Stream *stream, int code, GError **error)
{
    return stream_fail(stream, code == EAGAIN ? "timed out" : g_strerror(code), error);
}

/* --- Sending --- */

static void skip(struct iovec *parts, int n_parts, gsize n)
{
    for (int i = 0; i < n_parts && n; i++) {
        gsize part = MIN(n, parts[i].iov_len);

        parts[i].iov_base = (uint8_t *)parts[i].iov_base + part;
        parts[i].iov_len -= part;
        n -= part;
    }
}

bool stream_send_two(Stream *stream, uint32_t type, const void *first, gsize first_len,
                     const void *second, gsize second_len, GError **error)
{
    Header header = {type, first_len + second_len};
    struct iovec parts[] = {
        {&header, sizeof(header)}, {(void *)first, first_len}, {(void *)second, second_len}};
    gsize left = sizeof(header) + header.len;

    while (left) {
        ssize_t n = writev(stream->fd, parts, G_N_ELEMENTS(parts));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(stream, errno, error);
        skip(parts, G_N_ELEMENTS(parts), n);
        stream->n_bytes += n;
        left -= n;
    }
    return true;
}

bool stream_send(Stream *stream, uint32_t type, const void *data, gsize len, GError **error)
{
    return stream_send_two(stream, type, data, len, NULL, 0, error);
}

/* --- Receiving --- */

bool stream_read(Stream *stream, void *data, gsize len, GError **error)
{
    uint8_t *to = data;

    while (len) {
        ssize_t n = read(stream->fd, to, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(stream, errno, error);
        if (n == 0) {
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                        "%s: ended after %" G_GUINT64_FORMAT " bytes, where more were expected",
                        stream->name, stream->n_bytes);
            return false;
        }
        stream->n_bytes += n;
        to += n;
        len -= n;
    }
    return true;
}

bool stream_receive(Stream *stream, uint32_t *ret_type, uint32_t *ret_len, GError **error)
{
    Header header;

    if (!stream_read(stream, &header, sizeof(header), error))
        return false;
    *ret_type = header.type;
    *ret_len = header.len;
    return true;
}

GBytes *stream_read_all(Stream *stream, uint32_t len, GError **error)
{
    g_autofree void *data = NULL;

    if (len > RECORD_MAX) {
        stream_fail(stream, "damaged: a record is too long", error);
        return NULL;
    }
    data = g_malloc(len);
    if (!stream_read(stream, data, len, error))
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&data), len);
}

GBytes *stream_expect(Stream *stream, uint32_t type, GError **error)
{
    uint32_t actual, len;

    if (!stream_receive(stream, &actual, &len, error))
        return NULL;
    if (actual == type)
        return stream_read_all(stream, len, error);
    stream_fail(stream,
                type == RECORD_MACHINE ? "not a saved machine" : "damaged: a record is missing",
                error);
    return NULL;
}
