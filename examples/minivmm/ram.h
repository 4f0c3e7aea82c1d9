/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's memory, and what it takes to move it. */
#ifndef MINIVMM_RAM_H
#define MINIVMM_RAM_H

#include "machine.h"
#include "stream.h"

/* Map m->ram_size bytes, and give them to the VM. */
bool ram_create(Machine *m, GError **error);
void ram_free(Machine *m);

/* A set of pages: one bit for each. */
typedef uint64_t *Pages;

Pages ram_pages_new(const Machine *m);
void ram_pages_add(const Machine *m, Pages pages, const Pages more);
/* The bytes in these pages. */
uint64_t ram_pages_size(const Machine *m, const Pages pages);

/* Let KVM log which pages the guest writes, or end that. */
bool ram_log(Machine *m, bool on, GError **error);
/* Set pages to those that were written since the previous call, or since ram_log(). */
bool ram_take_dirty(Machine *m, Pages pages, GError **error);
/* minivmm has written RAM, which KVM does not log: all of it counts as written. */
void ram_written(Machine *m);

/* Send the pages from number *next on, a few MiB at most, and set *next to the page that follows.
 * With pages, these; pages of zeros as such. Without, all that are not zero. */
bool ram_send_some(const Machine *m, Stream *stream, const Pages pages, uint64_t *next,
                   GError **error);
/* Send all of them. */
bool ram_send(const Machine *m, Stream *stream, const Pages pages, GError **error);
uint64_t ram_n_pages(const Machine *m);
/* Receive the rest of a record of len bytes: RECORD_PAGES, RECORD_ZEROS. */
bool ram_receive_pages(Machine *m, Stream *stream, uint32_t len, GError **error);
bool ram_receive_zeros(Machine *m, Stream *stream, uint32_t len, GError **error);

#endif
