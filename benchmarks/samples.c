/* SPDX-License-Identifier: BSD-3-Clause */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>

void samples_add(Samples *samples, double value)
{
    g_assert(samples->n < SAMPLES_MAX);
    samples->values[samples->n++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(Samples *samples)
{
    guint half = samples->n / 2;

    qsort(samples->values, samples->n, sizeof(samples->values[0]), compare);
    return samples->n % 2 ? samples->values[half]
                          : (samples->values[half - 1] + samples->values[half]) / 2;
}

void samples_print(Samples *samples)
{
    double middle = median(samples);

    printf("%s %.3f %.3f %.3f\n", samples->key, middle, samples->values[0],
           samples->values[samples->n - 1]);
    fflush(stdout);
}

void samples_print_one(const char *key, double value)
{
    printf("%s %.3f\n", key, value);
    fflush(stdout);
}
