/* SPDX-License-Identifier: BSD-3-Clause */
#include "acpi/sdt.h"

#include "acpi/bytes.h"

enum {
    OFFSET_LENGTH = 4,
    OFFSET_CHECKSUM = 9,
};

GByteArray *sdt_begin(const Config *config, const char signature[4], uint8_t revision)
{
    GByteArray *table = g_byte_array_new();

    g_byte_array_append(table, (const guint8 *)signature, 4);
    put(table, 4, 0); /* Length */
    put(table, 1, revision);
    put(table, 1, 0); /* Checksum */
    g_byte_array_append(table, (const guint8 *)config->oem_id, sizeof(config->oem_id));
    g_byte_array_append(table, (const guint8 *)config->oem_table_id, sizeof(config->oem_table_id));
    put(table, 4, config->oem_revision);
    g_byte_array_append(table, (const guint8 *)"VCHP", 4); /* Creator ID */
    put(table, 4, 1);                                      /* Creator Revision */
    return table;
}

void sdt_end(GByteArray *table)
{
    uint32_t length = GUINT32_TO_LE(table->len);
    uint8_t sum = 0;

    memcpy(table->data + OFFSET_LENGTH, &length, sizeof(length));
    for (guint i = 0; i < table->len; i++)
        sum += table->data[i];
    table->data[OFFSET_CHECKSUM] = -sum;
}
