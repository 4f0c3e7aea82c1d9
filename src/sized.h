/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structs that the VMM and the library exchange. Each begins with a size_t, its size as its owner
 * was compiled; vcpuhp.h ("Structs") has the rules that follow from it.
 */
#ifndef VCPUHP_SRC_SIZED_H
#define VCPUHP_SRC_SIZED_H

#include <vcpuhp/vcpuhp.h>

/* The bytes of a struct in its first release, in which last was its last field. */
#define SIZED_FIRST(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

/*
 * Copy a caller's struct to one of the library's, which holds the defaults for what a shorter one
 * lacks, and whose size is known. name: the type's, for the error. Errors: STRUCT.
 */
bool sized_copy_in(void *to, gsize known, const void *from, gsize first, const char *name,
                   GError **error);

/* Copy a struct of the library's to a caller's, whose size field is set. Errors: STRUCT. */
bool sized_copy_out(void *to, const void *from, gsize known, gsize first, const char *name,
                    GError **error);

#endif
