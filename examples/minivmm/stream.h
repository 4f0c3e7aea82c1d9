/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a machine consists of, as records in a file or on a socket. A record is its type, the number
 * of bytes that follow, and these bytes. docs/migration.md has the order of records.
 */
#ifndef MINIVMM_STREAM_H
#define MINIVMM_STREAM_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define RECORD(a, b, c, d) ((uint32_t)(a) | (b) << 8 | (c) << 16 | (uint32_t)(d) << 24)

/* Four letters each, so that another file is told from a saved machine. */
enum {
    RECORD_MACHINE = RECORD('M', 'A', 'C', 'H'), /* the machine's description; the first record */
    RECORD_HOST = RECORD('H', 'O', 'S', 'T'),    /* vcpuhp_kvm_save_host() */
    RECORD_PAGES = RECORD('P', 'A', 'G', 'E'),   /* an address, and the memory there */
    RECORD_ZEROS = RECORD('Z', 'E', 'R', 'O'),   /* an address, and how many bytes are 0 there */
    RECORD_LIBRARY = RECORD('V', 'C', 'H', 'P'), /* vcpuhp_save() */
    RECORD_KVM = RECORD('K', 'V', 'M', 'S'),     /* vcpuhp_kvm_save() */
    RECORD_UART = RECORD('U', 'A', 'R', 'T'),    /* uart_save() */
    RECORD_END = RECORD('E', 'N', 'D', 'S'),     /* nothing is missing */
    /* On a socket, from the target: */
    RECORD_YES = RECORD('Y', 'E', 'S', ' '),
    RECORD_NO = RECORD('N', 'O', ' ', ' '), /* the reason */
    /* and from the source, which has given the guest up: */
    RECORD_GO = RECORD('G', 'O', ' ', ' '),
};

typedef struct Stream {
    int fd;
    const char *name; /* what an error message calls the other end */
    uint64_t n_bytes; /* sent or received so far */
} Stream;

/* Set an error that names the other end. Returns false. */
bool stream_fail(const Stream *stream, const char *what, GError **error);

/* Send a record. The second part may be empty. */
bool stream_send(Stream *stream, uint32_t type, const void *data, gsize len, GError **error);
bool stream_send_two(Stream *stream, uint32_t type, const void *first, gsize first_len,
                     const void *second, gsize second_len, GError **error);

/* Receive the next record's type and the number of bytes in it. stream_read() follows. */
bool stream_receive(Stream *stream, uint32_t *ret_type, uint32_t *ret_len, GError **error);
/* Receive len bytes of a record, or all of a record that is not RAM. */
bool stream_read(Stream *stream, void *data, gsize len, GError **error);
GBytes *stream_read_all(Stream *stream, uint32_t len, GError **error);
/* The next record must be of this type. NULL: it is not. */
GBytes *stream_expect(Stream *stream, uint32_t type, GError **error);

#endif
