/* SPDX-License-Identifier: BSD-3-Clause */
/* What a benchmark measures: lines KEY MEDIAN LEAST MOST, and KEY VALUE, for ../bench. */
#ifndef BENCHMARKS_SAMPLES_H
#define BENCHMARKS_SAMPLES_H

#include <glib.h>

#define SAMPLES_MAX 100

typedef struct Samples {
    const char *key;
    guint n;
    double values[SAMPLES_MAX];
} Samples;

void samples_add(Samples *samples, double value);
void samples_print(Samples *samples);
void samples_print_one(const char *key, double value);

#endif
