/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AML encoding (ACPI 6.5, chapter 20). Terms are values, and nest as ASL's expressions do;
 * statements and blocks append to a byte array. asl.h gives all of it ASL's own words.
 */
#ifndef VCPUHP_ACPI_AML_H
#define VCPUHP_ACPI_AML_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* An expression, encoded. */
typedef struct AmlTerm {
    uint8_t size;
    uint8_t bytes[63];
} AmlTerm;

AmlTerm aml_term(AmlTerm term);
AmlTerm aml_integer(uint64_t value);
AmlTerm aml_string(const char *text);
/* A name or path: "CSCN", "\\_SB.CPUS.CSCN". Segments are padded. */
AmlTerm aml_path(const char *path);
/* An opcode of one byte with its operands. */
AmlTerm aml_op0(uint8_t opcode);
AmlTerm aml_op1(uint8_t opcode, AmlTerm x);
AmlTerm aml_op2(uint8_t opcode, AmlTerm x, AmlTerm y);
AmlTerm aml_op3(uint8_t opcode, AmlTerm x, AmlTerm y, AmlTerm z);
AmlTerm aml_op4(uint8_t opcode, AmlTerm w, AmlTerm x, AmlTerm y, AmlTerm z);
AmlTerm aml_call(const char *method, guint n_args, const AmlTerm args[]);

void aml_append(GByteArray *aml, AmlTerm term);
void aml_name(GByteArray *aml, const char *name, AmlTerm value);
/* A buffer of size bytes that begins with the n bytes at data; the rest is zero. */
void aml_name_buffer(GByteArray *aml, const char *name, gsize size, const void *data, gsize n);
void aml_operation_region(GByteArray *aml, const char *name, uint8_t space, uint64_t base,
                          uint64_t size);
/* name NULL: unused bits */
void aml_field_unit(GByteArray *aml, const char *name, guint bits);

/* An open block, whose length is known, and written in front of it, when it ends. */
typedef struct AmlBlock {
    GByteArray *aml;
    guint start;
} AmlBlock;

/* opcode: one byte, or 0x5b and another as 0x5bxx. head: what comes before the block's body. */
AmlBlock aml_begin(GByteArray *aml, uint16_t opcode, AmlTerm head);
AmlBlock aml_begin_flags(GByteArray *aml, uint16_t opcode, const char *name, uint8_t flags);
void aml_end(AmlBlock *block);

#endif
