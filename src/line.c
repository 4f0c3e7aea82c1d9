/* SPDX-License-Identifier: BSD-3-Clause */
#include "line.h"

bool line_set_locked(Line *line, const Slots *slots, VcpuhpCounters *counters,
                     const Backend *backend, void *data, GError **error)
{
    bool level = slots->n_raised > 0;

    if (level == line->level) {
        line->failed = false;
        return true;
    }
    if (!backend->irq_set_locked(data, level, line->failed ? NULL : error)) {
        line->failed = true;
        return false;
    }
    line->failed = false;
    counters->irq_raised += level;
    line->level = level;
    return true;
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
        bool level;

        seen = g_atomic_int_get(&line->changes);
        g_mutex_lock(&slots->lock);
        level = slots->n_raised > 0;
        counters->irq_raised += level && !line->delivered;
        g_mutex_unlock(&slots->lock);
        if (level != line->delivered)
            backend->irq_set(data, level);
        line->delivered = level;
    } while (g_atomic_int_add(&line->changes, -seen) != seen);
}
