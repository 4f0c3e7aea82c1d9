/* SPDX-License-Identifier: BSD-3-Clause */
#include "blob.h"

#include <string.h>

#include "error.h"

#define REFUSE(...) refuse(error, VCPUHP_ERROR_STATE, __VA_ARGS__)

/* The polynomial 0x1edc6f41, its bits reversed. */
#define CRC32C_POLYNOMIAL 0x82f63b78

/* The table is computed each time, in less time than a small state takes to save. */
uint32_t blob_checksum(const uint8_t *bytes, size_t len)
{
    uint32_t table[256], crc = ~0u;

    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? CRC32C_POLYNOMIAL : 0);
    }
    for (size_t i = 0; i < len; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}

/* --- Writing --- */

void blob_put(BlobWriter *writer, const void *bytes, size_t len)
{
    g_byte_array_append(writer->bytes, bytes, len);
}

void blob_put_u8(BlobWriter *writer, uint8_t value)
{
    blob_put(writer, &value, sizeof(value));
}

void blob_put_u16(BlobWriter *writer, uint16_t value)
{
    value = GUINT16_TO_LE(value);
    blob_put(writer, &value, sizeof(value));
}

void blob_put_u32(BlobWriter *writer, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    blob_put(writer, &value, sizeof(value));
}

void blob_put_u64(BlobWriter *writer, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    blob_put(writer, &value, sizeof(value));
}

/* A length that is known only after what it counts was written. */
static void set_u32(BlobWriter *writer, size_t at, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    memcpy(writer->bytes->data + at, &value, sizeof(value));
}

void blob_begin(BlobWriter *writer, const BlobFormat *format, size_t size)
{
    *writer = (BlobWriter){.bytes = g_byte_array_sized_new(size)};
    blob_put(writer, format->magic, BLOB_MAGIC_SIZE);
    blob_put_u32(writer, format->version);
    blob_put_u32(writer, 0);
}

static void end_section(BlobWriter *writer)
{
    uint32_t begin = writer->section;

    if (begin)
        set_u32(writer, begin + 8, writer->bytes->len - begin - BLOB_SECTION_SIZE);
}

void blob_section(BlobWriter *writer, const char *tag, uint32_t flags)
{
    end_section(writer);
    writer->section = writer->bytes->len;
    blob_put(writer, tag, BLOB_TAG_SIZE);
    blob_put_u32(writer, flags);
    blob_put_u32(writer, 0);
}

GBytes *blob_end(BlobWriter *writer)
{
    end_section(writer);
    set_u32(writer, 12, writer->bytes->len + BLOB_CHECKSUM_SIZE);
    blob_put_u32(writer, blob_checksum(writer->bytes->data, writer->bytes->len));
    return g_byte_array_free_to_bytes(writer->bytes);
}

void blob_abandon(BlobWriter *writer)
{
    g_byte_array_unref(writer->bytes);
}

/* --- Reading --- */

size_t blob_left(const BlobReader *reader)
{
    return reader->end - reader->at;
}

const uint8_t *blob_get(BlobReader *reader, size_t len)
{
    const uint8_t *at = reader->at;

    if (reader->failed || len > blob_left(reader)) {
        reader->failed = true;
        return NULL;
    }
    reader->at += len;
    return at;
}

/* An integer of len bytes. */
static uint64_t get(BlobReader *reader, size_t len)
{
    const uint8_t *at = blob_get(reader, len);
    uint64_t value = 0;

    for (size_t i = 0; at && i < len; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint8_t blob_get_u8(BlobReader *reader)
{
    return get(reader, sizeof(uint8_t));
}

uint16_t blob_get_u16(BlobReader *reader)
{
    return get(reader, sizeof(uint16_t));
}

uint32_t blob_get_u32(BlobReader *reader)
{
    return get(reader, sizeof(uint32_t));
}

uint64_t blob_get_u64(BlobReader *reader)
{
    return get(reader, sizeof(uint64_t));
}

/* Returns the version; 0: error is set. The version comes before the length and the checksum, which
 * a later format may have elsewhere. */
static uint32_t open_frame(const BlobFormat *format, BlobReader *reader, GError **error)
{
    size_t size = blob_left(reader);
    const uint8_t *bytes = reader->at, *magic = blob_get(reader, BLOB_MAGIC_SIZE);
    uint32_t version = blob_get_u32(reader), length = blob_get_u32(reader);

    if (magic && memcmp(magic, format->magic, BLOB_MAGIC_SIZE) != 0)
        return REFUSE("%s: the magic is not %s", format->name, format->magic);
    if (reader->failed || blob_left(reader) < BLOB_CHECKSUM_SIZE)
        return REFUSE("%s: it has %zu bytes, too few", format->name, size);
    if (version < 1 || version > format->version)
        return REFUSE("%s: its version is %u, and this release knows 1 … %u", format->name, version,
                      format->version);
    if (length != size)
        return REFUSE("%s: its length is %u, but it has %zu bytes", format->name, length, size);
    reader->end -= BLOB_CHECKSUM_SIZE;
    if (get(&(BlobReader){reader->end, reader->end + BLOB_CHECKSUM_SIZE, false},
            BLOB_CHECKSUM_SIZE) != blob_checksum(bytes, size - BLOB_CHECKSUM_SIZE))
        return REFUSE("%s: the checksum is wrong", format->name);
    return version;
}

static BlobSection *find_section(BlobSection *sections, gsize n, const uint8_t *tag)
{
    for (gsize i = 0; i < n; i++)
        if (memcmp(sections[i].tag, tag, BLOB_TAG_SIZE) == 0)
            return &sections[i];
    return NULL;
}

/* A section that a later release writes. */
static bool skip(const BlobFormat *format, const uint8_t *tag, uint32_t flags, GError **error)
{
    char text[BLOB_TAG_SIZE + 1] = "";

    if (flags & BLOB_SKIPPABLE)
        return true;
    for (int i = 0; i < BLOB_TAG_SIZE; i++)
        text[i] = g_ascii_isprint(tag[i]) ? (char)tag[i] : '?';
    return REFUSE("%s: it has a section %s, which this release does not know", format->name, text);
}

static bool open_section(const BlobFormat *format, BlobReader *reader, BlobSection *sections,
                         gsize n, GError **error)
{
    const uint8_t *tag = blob_get(reader, BLOB_TAG_SIZE);
    uint32_t flags = blob_get_u32(reader), length = blob_get_u32(reader);
    const uint8_t *content = blob_get(reader, length);
    BlobSection *section;

    if (!tag || !content)
        return REFUSE("%s: a section reaches beyond the end", format->name);
    if (flags & ~BLOB_SKIPPABLE)
        return REFUSE("%s: a section's flags are 0x%x, and this release knows 0x%x", format->name,
                      flags, BLOB_SKIPPABLE);
    section = find_section(sections, n, tag);
    if (!section)
        return skip(format, tag, flags, error);
    if (section->present)
        return REFUSE("%s: it has two sections %s", format->name, section->tag);
    section->present = true;
    section->reader = (BlobReader){content, content + length, false};
    return true;
}

uint32_t blob_open(const BlobFormat *format, GBytes *bytes, BlobSection *sections, gsize n,
                   GError **error)
{
    size_t size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    BlobReader reader = {data, data + size, false};
    uint32_t version = open_frame(format, &reader, error);

    if (!version)
        return 0;
    for (gsize i = 0; i < n; i++) {
        sections[i].format = format;
        sections[i].present = false;
        sections[i].reader = (BlobReader){0};
    }
    while (blob_left(&reader))
        if (!open_section(format, &reader, sections, n, error))
            return 0;
    for (gsize i = 0; i < n; i++)
        if (!sections[i].present && !sections[i].optional)
            return REFUSE("%s: section %s is missing", format->name, sections[i].tag);
    return version;
}

bool blob_close(const BlobSection *section, GError **error)
{
    if (section->reader.failed)
        return REFUSE("%s: section %s is too short", section->format->name, section->tag);
    if (blob_left(&section->reader))
        return REFUSE("%s: section %s is %zu bytes too long", section->format->name, section->tag,
                      blob_left(&section->reader));
    return true;
}
