/* SPDX-License-Identifier: BSD-3-Clause */
#include "sized.h"

#include <string.h>

#include "error.h"

/* No struct will ever be so large: a size field that was not set is likely to hold more. */
#define MAX_SIZE 4096

static size_t size_of(const void *caller)
{
    size_t size;

    memcpy(&size, caller, sizeof(size));
    return size;
}

static bool check_size(size_t size, gsize first, const char *name, GError **error)
{
    if (size >= first && size <= MAX_SIZE)
        return true;
    return refuse(error, VCPUHP_ERROR_STRUCT,
                  "the size of %s is %zu, but this library takes %zu … %d", name, size, first,
                  MAX_SIZE);
}

bool sized_copy_in(void *to, gsize known, const void *from, gsize first, const char *name,
                   GError **error)
{
    const uint8_t *bytes = from;
    size_t size = size_of(from);

    if (!check_size(size, first, name, error))
        return false;
    for (gsize i = known; i < size; i++)
        if (bytes[i])
            return refuse(error, VCPUHP_ERROR_STRUCT,
                          "the size of %s is %zu, but this library knows %zu, and a field that it "
                          "does not know is set",
                          name, size, known);
    memcpy(to, from, MIN(size, known));
    memcpy(to, &(size_t){known}, sizeof(size_t));
    return true;
}

bool sized_copy_out(void *to, const void *from, gsize known, gsize first, const char *name,
                    GError **error)
{
    size_t size = size_of(to);

    if (!check_size(size, first, name, error))
        return false;
    memcpy(to, from, MIN(size, known));
    memcpy(to, &size, sizeof(size));
    if (size > known)
        memset((uint8_t *)to + known, 0, size - known);
    return true;
}
