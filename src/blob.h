/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The framing of saved states: a header, sections and a checksum. docs/state-format.md specifies it.
 * All integers are little endian. A reader trusts no byte: it allocates nothing, and no length in
 * the bytes takes it beyond their end.
 */
#ifndef VCPUHP_SRC_BLOB_H
#define VCPUHP_SRC_BLOB_H

#include <vcpuhp/vcpuhp.h>

/* A kind of state, and the newest version of it that this release knows and writes. */
typedef struct BlobFormat {
    const char *name;  /* for messages: the function that reads it */
    const char *magic; /* 8 characters */
    uint32_t version;  /* 1 … */
} BlobFormat;

enum {
    BLOB_MAGIC_SIZE = 8,
    BLOB_TAG_SIZE = 4,
    BLOB_HEADER_SIZE = 16,
    BLOB_SECTION_SIZE = 12, /* what precedes a section's bytes */
    BLOB_CHECKSUM_SIZE = 4,
};

/* A section that a release may skip which does not know it. */
#define BLOB_SKIPPABLE (1u << 0)

/* CRC-32C (Castagnoli), as in RFC 3720, 12.1. */
uint32_t blob_checksum(const uint8_t *bytes, size_t len);

/* --- Writing --- */

typedef struct BlobWriter {
    GByteArray *bytes;
    uint32_t section; /* where the open section begins; 0: none is open */
} BlobWriter;

/* size: how much is likely to be written. */
void blob_begin(BlobWriter *writer, const BlobFormat *format, size_t size);
/* End the open section, and begin one. tag: 4 characters. */
void blob_section(BlobWriter *writer, const char *tag, uint32_t flags);
void blob_put(BlobWriter *writer, const void *bytes, size_t len);
void blob_put_u8(BlobWriter *writer, uint8_t value);
void blob_put_u16(BlobWriter *writer, uint16_t value);
void blob_put_u32(BlobWriter *writer, uint32_t value);
void blob_put_u64(BlobWriter *writer, uint64_t value);
/* Returns the whole, which the caller frees by g_bytes_unref(). */
GBytes *blob_end(BlobWriter *writer);
/* In place of blob_end(). */
void blob_abandon(BlobWriter *writer);

/* --- Reading --- */

typedef struct BlobReader {
    const uint8_t *at, *end;
    bool failed; /* more was asked for than there is */
} BlobReader;

/* A section that the caller knows. */
typedef struct BlobSection {
    const char *tag; /* 4 characters */
    bool optional;   /* a state may lack it */
    /* Set by blob_open(): */
    const BlobFormat *format;
    bool present;
    BlobReader reader; /* empty if the section is not there */
} BlobSection;

/* Check the framing, and find the sections. They point into bytes. Returns the state's version.
 * 0: error is set, which is STATE. */
uint32_t blob_open(const BlobFormat *format, GBytes *bytes, BlobSection *sections, gsize n,
                   GError **error);
/* The next bytes; 0 or NULL if there are not as many, after which the reader has failed. */
const uint8_t *blob_get(BlobReader *reader, size_t len);
uint8_t blob_get_u8(BlobReader *reader);
uint16_t blob_get_u16(BlobReader *reader);
uint32_t blob_get_u32(BlobReader *reader);
uint64_t blob_get_u64(BlobReader *reader);
/* How many bytes are left. */
size_t blob_left(const BlobReader *reader);
/* Whether exactly all of a section was read. Errors: STATE. */
bool blob_close(const BlobSection *section, GError **error);

#endif
