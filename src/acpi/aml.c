/* SPDX-License-Identifier: BSD-3-Clause */
#include "acpi/aml.h"

#include <string.h>

enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_BUFFER = 0x11,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXT = 0x5b,
    OP_EXT_REGION = 0x80,
};

static void term_add(AmlTerm *term, const void *bytes, gsize size)
{
    g_assert(term->size + size <= sizeof(term->bytes));
    memcpy(term->bytes + term->size, bytes, size);
    term->size += size;
}

static void term_add_byte(AmlTerm *term, uint8_t byte)
{
    term_add(term, &byte, 1);
}

AmlTerm aml_term(AmlTerm term)
{
    return term;
}

AmlTerm aml_integer(uint64_t value)
{
    uint64_t le = GUINT64_TO_LE(value);
    AmlTerm term = {0};

    if (value <= 1) {
        term_add_byte(&term, value ? OP_ONE : OP_ZERO);
    } else if (value <= UINT8_MAX) {
        term_add_byte(&term, OP_BYTE);
        term_add(&term, &le, 1);
    } else if (value <= UINT16_MAX) {
        term_add_byte(&term, OP_WORD);
        term_add(&term, &le, 2);
    } else if (value <= UINT32_MAX) {
        term_add_byte(&term, OP_DWORD);
        term_add(&term, &le, 4);
    } else {
        term_add_byte(&term, OP_QWORD);
        term_add(&term, &le, 8);
    }
    return term;
}

AmlTerm aml_string(const char *text)
{
    AmlTerm term = {0};

    term_add_byte(&term, OP_STRING);
    term_add(&term, text, strlen(text) + 1);
    return term;
}

AmlTerm aml_path(const char *path)
{
    AmlTerm term = {0};
    guint n_segments = 1;

    while (*path == '\\' || *path == '^')
        term_add_byte(&term, *path++);
    for (const char *c = path; *c; c++)
        n_segments += *c == '.';
    if (n_segments == 2) {
        term_add_byte(&term, OP_DUAL_NAME);
    } else if (n_segments > 2) {
        term_add_byte(&term, OP_MULTI_NAME);
        term_add_byte(&term, n_segments);
    }
    for (guint i = 0; i < n_segments; i++) {
        gsize length = strcspn(path, ".");

        g_assert(length >= 1 && length <= 4);
        term_add(&term, path, length);
        term_add(&term, "___", 4 - length);
        path += length + 1;
    }
    return term;
}

AmlTerm aml_op0(uint8_t opcode)
{
    AmlTerm term = {0};

    term_add_byte(&term, opcode);
    return term;
}

AmlTerm aml_op1(uint8_t opcode, AmlTerm x)
{
    AmlTerm term = aml_op0(opcode);

    term_add(&term, x.bytes, x.size);
    return term;
}

AmlTerm aml_op2(uint8_t opcode, AmlTerm x, AmlTerm y)
{
    AmlTerm term = aml_op1(opcode, x);

    term_add(&term, y.bytes, y.size);
    return term;
}

AmlTerm aml_op3(uint8_t opcode, AmlTerm x, AmlTerm y, AmlTerm z)
{
    AmlTerm term = aml_op2(opcode, x, y);

    term_add(&term, z.bytes, z.size);
    return term;
}

AmlTerm aml_op4(uint8_t opcode, AmlTerm w, AmlTerm x, AmlTerm y, AmlTerm z)
{
    AmlTerm term = aml_op3(opcode, w, x, y);

    term_add(&term, z.bytes, z.size);
    return term;
}

AmlTerm aml_call(const char *method, guint n_args, const AmlTerm args[])
{
    AmlTerm term = aml_path(method);

    for (guint i = 0; i < n_args; i++)
        term_add(&term, args[i].bytes, args[i].size);
    return term;
}

/* 20.2.4: the first byte has the number of bytes that follow, and 6 bits or, if any follow, 4. */
static AmlTerm package_length(guint value, bool includes_itself)
{
    static const guint limits[] = {0x3f, 0xfff, 0xfffff, 0xfffffff};
    AmlTerm term = {0};
    guint n_more = 0;

    while (value + (includes_itself ? 1 + n_more : 0) > limits[n_more])
        n_more++;
    value += includes_itself ? 1 + n_more : 0;
    term_add_byte(&term, n_more ? n_more << 6 | (value & 0xf) : value);
    for (guint i = 0; i < n_more; i++)
        term_add_byte(&term, value >> (4 + 8 * i));
    return term;
}

void aml_append(GByteArray *aml, AmlTerm term)
{
    g_byte_array_append(aml, term.bytes, term.size);
}

static void append_opcode(GByteArray *aml, uint8_t opcode)
{
    g_byte_array_append(aml, &opcode, 1);
}

void aml_name(GByteArray *aml, const char *name, AmlTerm value)
{
    append_opcode(aml, OP_NAME);
    aml_append(aml, aml_path(name));
    aml_append(aml, value);
}

void aml_name_buffer(GByteArray *aml, const char *name, gsize size, const void *data, gsize n)
{
    append_opcode(aml, OP_NAME);
    aml_append(aml, aml_path(name));
    AmlBlock buffer = aml_begin(aml, OP_BUFFER, aml_integer(size));
    g_byte_array_append(aml, data, n);
    aml_end(&buffer);
}

void aml_operation_region(GByteArray *aml, const char *name, uint8_t space, uint64_t base,
                          uint64_t size)
{
    append_opcode(aml, OP_EXT);
    append_opcode(aml, OP_EXT_REGION);
    aml_append(aml, aml_path(name));
    append_opcode(aml, space);
    aml_append(aml, aml_integer(base));
    aml_append(aml, aml_integer(size));
}

void aml_field_unit(GByteArray *aml, const char *name, guint bits)
{
    if (name) {
        aml_append(aml, aml_path(name));
    } else {
        append_opcode(aml, OP_ZERO); /* ReservedField */
    }
    aml_append(aml, package_length(bits, false));
}

AmlBlock aml_begin(GByteArray *aml, uint16_t opcode, AmlTerm head)
{
    if (opcode > UINT8_MAX)
        append_opcode(aml, opcode >> 8);
    append_opcode(aml, opcode);
    AmlBlock block = {.aml = aml, .start = aml->len};
    aml_append(aml, head);
    return block;
}

AmlBlock aml_begin_flags(GByteArray *aml, uint16_t opcode, const char *name, uint8_t flags)
{
    AmlTerm head = aml_path(name);

    term_add_byte(&head, flags);
    return aml_begin(aml, opcode, head);
}

void aml_end(AmlBlock *block)
{
    GByteArray *aml = block->aml;
    guint size = aml->len - block->start;
    AmlTerm length = package_length(size, true);

    g_byte_array_set_size(aml, aml->len + length.size);
    memmove(aml->data + block->start + length.size, aml->data + block->start, size);
    memcpy(aml->data + block->start, length.bytes, length.size);
    block->aml = NULL;
}
