/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz.h"

uint64_t fuzz_operations;
int64_t fuzz_now;

gint64 __wrap_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void)
{
    return fuzz_now;
}

static void print_operations(void)
{
    printf("%" G_GUINT64_FORMAT " operations\n", fuzz_operations);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    atexit(print_operations);
    return 0;
}
