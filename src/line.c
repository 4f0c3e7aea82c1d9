/* SPDX-License-Identifier: BSD-3-Clause */
#include "line.h"

void line_set_locked(Line *line, const Slots *slots, VcpuhpCounters *counters,
                     const Backend *backend, void *data, GError **error)
{
    bool level = slots->n_raised > 0, has_failed = line->failed;

    line->failed = false;
    if (!g_atomic_int_compare_and_exchange(&line->unknown, 1, 0) && level == line->level)
        return;
    if (!backend->irq_set_locked(data, level, has_failed ? NULL : error)) {
        line->failed = true;
        return;
    }
    counters->irq_raised += level;
    line->level = level;
}

/*
 * Two threads that each delivered the level they saw could do so in the wrong order. So the first
 * thread in delivers for every thread that arrives meanwhile; the others return at once.
 */
void line_deliver(Line *line, Slots *slots, VcpuhpCounters *counters, const Backend *backend,
                  void *data)
{
    int seen;

    if (g_atomic_int_add(&line->changes, 1) > 0)
        return;
    do {
        bool level, known = !g_atomic_int_compare_and_exchange(&line->unknown, 1, 0);

        seen = g_atomic_int_get(&line->changes);
        g_mutex_lock(&slots->lock);
        level = slots->n_raised > 0;
        counters->irq_raised += level && !line->delivered;
        g_mutex_unlock(&slots->lock);
        if (!known || level != line->delivered)
            backend->irq_set(data, level);
        line->delivered = level;
    } while (g_atomic_int_add(&line->changes, -seen) != seen);
}
