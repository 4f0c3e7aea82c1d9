/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ASL's words in C (ACPI 6.5, 19.6), as many as are needed. All of them write to the GByteArray
 * that is called aml where they are used.
 *
 *     Method ("CEJ0", 1, NotSerialized) {              Method (CEJ0, 1, NotSerialized) {
 *         Store(Arg0, "EJCT");                             Store (Arg0, EJCT)
 *     }                                                }
 *
 * Blocks are followed by braces. A term may be an integer, a string, which is an object's name or
 * path, or what another of these words gives.
 */
#ifndef VCPUHP_ACPI_ASL_H
#define VCPUHP_ACPI_ASL_H

#include "acpi/aml.h"

/* clang-format off */

#define ASL_TERM(x)                                                                                \
    _Generic((x), AmlTerm: aml_term, char *: aml_path, const char *: aml_path,                     \
             default: aml_integer)(x)
#define ASL_OP1(opcode, x)       aml_op1(opcode, ASL_TERM(x))
#define ASL_OP2(opcode, x, y)    aml_op2(opcode, ASL_TERM(x), ASL_TERM(y))
#define ASL_OP3(opcode, x, y, z) aml_op3(opcode, ASL_TERM(x), ASL_TERM(y), ASL_TERM(z))

/* An operator of two operands and, if it is given, a target that the result is stored in. */
#define ASL_TARGET(opcode, ...) \
    ASL_PICK_3(__VA_ARGS__, ASL_OP3, ASL_NO_TARGET, )(opcode, __VA_ARGS__)
#define ASL_NO_TARGET(opcode, x, y)     aml_op3(opcode, ASL_TERM(x), ASL_TERM(y), aml_op0(0))
#define ASL_PICK_3(a, b, c, pick, ...)    pick
#define ASL_PICK_6(a, b, c, d, e, f, pick, ...) pick

/* A block is a loop that runs once, and whose end writes the block's length. */
#define ASL_VARIABLE_(line) asl_block_##line
#define ASL_VARIABLE(line)  ASL_VARIABLE_(line)
#define ASL_BLOCK(begin) \
    for (AmlBlock ASL_VARIABLE(__LINE__) = begin; ASL_VARIABLE(__LINE__).aml; \
         aml_end(&ASL_VARIABLE(__LINE__)))

/* --- Blocks --- */

#define Scope(path)      ASL_BLOCK(aml_begin(aml, 0x10, aml_path(path)))
#define Device(name)     ASL_BLOCK(aml_begin(aml, 0x5b82, aml_path(name)))
#define If(predicate)    ASL_BLOCK(aml_begin(aml, 0xa0, ASL_TERM(predicate)))
#define Else             ASL_BLOCK(aml_begin(aml, 0xa1, (AmlTerm){0}))
#define While(predicate) ASL_BLOCK(aml_begin(aml, 0xa2, ASL_TERM(predicate)))
#define Method(name, n_args, serialize) \
    ASL_BLOCK(aml_begin_flags(aml, 0x14, name, (n_args) | (serialize)))
#define Field(region, access, lock, update) \
    ASL_BLOCK(aml_begin_flags(aml, 0x5b81, region, (access) | (lock) | (update)))

enum { NotSerialized = 0, Serialized = 1 << 3 };
enum { QWordAcc = 4, NoLock = 0, WriteAsZeros = 2 << 5 };

/* --- Objects --- */

#define Name(name, value)               aml_name(aml, name, ASL_TERM(value))
#define NameBuffer(name, size, data, n) aml_name_buffer(aml, name, size, data, n)
#define FieldUnit(name, bits)           aml_field_unit(aml, name, bits)
#define FieldGap(bits)                  aml_field_unit(aml, NULL, bits)
#define Mutex(name, level) \
    aml_append(aml, aml_op1(0x5b, aml_op2(0x01, aml_path(name), aml_op0(level))))
#define OperationRegion(name, space, offset, size) \
    aml_operation_region(aml, name, space, offset, size)

enum { SystemMemory = 0 };

/* --- Statements --- */

#define Store(value, target)  aml_append(aml, ASL_OP2(0x70, value, target))
#define Increment(target)     aml_append(aml, ASL_OP1(0x75, target))
#define Divide(x, y, remainder, quotient)                                                          \
    aml_append(aml, aml_op4(0x78, ASL_TERM(x), ASL_TERM(y), ASL_TERM(remainder),                   \
                            ASL_TERM(quotient)))
/* Acquire(mutex) waits without a timeout. */
#define Acquire(mutex) \
    aml_append(aml, aml_op1(0x5b, aml_op3(0x23, ASL_TERM(mutex), aml_op0(0xff), aml_op0(0xff))))
#define Release(mutex)        aml_append(aml, aml_op1(0x5b, ASL_OP1(0x27, mutex)))
#define Notify(device, value) aml_append(aml, ASL_OP2(0x86, device, value))
#define Return(value)         aml_append(aml, ASL_OP1(0xa4, value))
#define Break()               aml_append(aml, aml_op0(0xa5))
/* A term that is there for what it does: a call, or an operator with a target. */
#define Do(term)              aml_append(aml, term)

/* --- Terms --- */

#define Local0 aml_op0(0x60)
#define Local1 aml_op0(0x61)
#define Local2 aml_op0(0x62)
#define Local3 aml_op0(0x63)
#define Local4 aml_op0(0x64)
#define Local5 aml_op0(0x65)
#define Arg0   aml_op0(0x68)
#define Arg1   aml_op0(0x69)
#define Arg2   aml_op0(0x6a)
#define Arg3   aml_op0(0x6b)
#define Arg4   aml_op0(0x6c)

#define String(text)     aml_string(text)
#define ShiftLeft(...)   ASL_TARGET(0x79, __VA_ARGS__)
#define ShiftRight(...)  ASL_TARGET(0x7a, __VA_ARGS__)
#define And(...)         ASL_TARGET(0x7b, __VA_ARGS__)
#define Or(...)          ASL_TARGET(0x7d, __VA_ARGS__)
#define Index(object, n) ASL_TARGET(0x88, object, n)
#define DerefOf(x)       ASL_OP1(0x83, x)
#define LNot(x)          ASL_OP1(0x92, x)
#define LLess(x, y)      ASL_OP2(0x95, x, y)

/* Call(method, …): up to five arguments. */
#define Call(...)                                                                                  \
    ASL_PICK_6(__VA_ARGS__, ASL_CALL5, ASL_CALL4, ASL_CALL3, ASL_CALL2, ASL_CALL1, ASL_CALL0, )    \
    (__VA_ARGS__)
#define ASL_CALL0(method)          aml_path(method)
#define ASL_CALL1(method, a)       ASL_CALL(method, ASL_TERM(a))
#define ASL_CALL2(method, a, b)    ASL_CALL(method, ASL_TERM(a), ASL_TERM(b))
#define ASL_CALL3(method, a, b, c) ASL_CALL(method, ASL_TERM(a), ASL_TERM(b), ASL_TERM(c))
#define ASL_CALL4(method, a, b, c, d) \
    ASL_CALL(method, ASL_TERM(a), ASL_TERM(b), ASL_TERM(c), ASL_TERM(d))
#define ASL_CALL5(method, a, b, c, d, e) \
    ASL_CALL(method, ASL_TERM(a), ASL_TERM(b), ASL_TERM(c), ASL_TERM(d), ASL_TERM(e))
#define ASL_CALL(method, ...) \
    aml_call(method, sizeof((AmlTerm[]){__VA_ARGS__}) / sizeof(AmlTerm), (AmlTerm[]){__VA_ARGS__})

/* clang-format on */

#endif
