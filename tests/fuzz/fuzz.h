/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fuzz targets share: an input that is read byte by byte, and a count of operations. */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vcpuhp/vcpuhp.h>

typedef struct Input {
    const uint8_t *data;
    size_t left;
} Input;

static inline uint8_t next8(Input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->data++;
}

static inline uint64_t next64(Input *in)
{
    uint64_t value = 0;
    size_t n = MIN(in->left, sizeof(value));

    memcpy(&value, in->data, n);
    in->data += n;
    in->left -= n;
    return value;
}

extern uint64_t fuzz_operations;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Time in µs, as the library sees it: it goes on when the input says so. */
extern int64_t fuzz_now;

#endif
