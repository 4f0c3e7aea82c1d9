/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of slots.h from outside slots.c, as C for tests/unit/test_slots.c. There vCPU 1 is enabled,
 * so the model's hotpluggable vCPUs are 2 and 3.
 */
#include "model.h"

#include <stdio.h>

static bool tracing;

void trace_on(bool on)
{
    tracing = on;
}

static uint32_t name(uint32_t vcpu)
{
    return vcpu ? vcpu + 1 : 0;
}

static void G_GNUC_PRINTF(1, 2) print(const char *format, ...)
{
    va_list args;

    if (!tracing)
        return;
    va_start(args, format);
    printf("    effects_init(&f->fx);\n    ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

/* WRAP (function, its parameters, its arguments, printf()'s arguments) */
#define WRAP(type, function, parameters, arguments, ...)                                           \
    type __real_##function parameters;                                                             \
    type __wrap_##function parameters;                                                             \
    type __wrap_##function parameters                                                              \
    {                                                                                              \
        print(__VA_ARGS__);                                                                        \
        return __real_##function arguments;                                                        \
    }

WRAP(bool, slots_plug,
     (Slots * s, uint32_t v, uint32_t flags, uint32_t ms, int64_t now, uint32_t *id, Effects *fx,
      GError **error),
     (s, v, flags, ms, now, id, fx, error),
     "slots_plug(&f->slots, %u, %u, %u, f->now, &f->id, &f->fx, NULL);", name(v), flags, ms)
WRAP(bool, slots_unplug,
     (Slots * s, uint32_t v, uint32_t flags, uint32_t ms, int64_t now, uint32_t *id, Effects *fx,
      GError **error),
     (s, v, flags, ms, now, id, fx, error),
     "slots_unplug(&f->slots, %u, %u, %u, f->now, &f->id, &f->fx, NULL);", name(v), flags, ms)
WRAP(bool, slots_cancel, (Slots * s, uint32_t id, Effects *fx, GError **error), (s, id, fx, error),
     "slots_cancel(&f->slots, f->slots.table[%u].request, &f->fx, NULL);", name(id - 1))
WRAP(bool, slots_repeat, (Slots * s, uint32_t id, Effects *fx, GError **error), (s, id, fx, error),
     "slots_repeat(&f->slots, f->slots.table[%u].request, &f->fx, NULL);", name(id - 1))
WRAP(bool, slots_force, (Slots * s, uint32_t v, Effects *fx, GError **error), (s, v, fx, error),
     "slots_force(&f->slots, %u, &f->fx, NULL);", name(v))
WRAP(uint8_t, slots_read_status, (Slots * s, uint32_t v), (s, v),
     "slots_read_status(&f->slots, %u);", name(v))
WRAP(uint64_t, slots_read_enabled, (Slots * s, uint32_t word, Effects *fx), (s, word, fx),
     "slots_read_enabled(&f->slots, %u, &f->fx);", word)
WRAP(void, slots_take_insert, (Slots * s, uint32_t v, int64_t now, Effects *fx), (s, v, now, fx),
     "slots_take_insert(&f->slots, %u, f->now, &f->fx);", name(v))
WRAP(void, slots_take_remove, (Slots * s, uint32_t v, int64_t now, Effects *fx), (s, v, now, fx),
     "slots_take_remove(&f->slots, %u, f->now, &f->fx);", name(v))
WRAP(uint8_t, slots_take_next, (Slots * s, uint32_t *v, int64_t now, Effects *fx), (s, v, now, fx),
     "slots_take_next(&f->slots, &(uint32_t){0}, f->now, &f->fx);")
WRAP(void, slots_fw_remove, (Slots * s, uint32_t v, int64_t now, Effects *fx), (s, v, now, fx),
     "slots_fw_remove(&f->slots, %u, f->now, &f->fx);", name(v))
WRAP(void, slots_eject, (Slots * s, uint32_t v, int64_t now, Effects *fx), (s, v, now, fx),
     "slots_eject(&f->slots, %u, f->now, &f->fx);", name(v))
WRAP(void, slots_ost, (Slots * s, uint32_t v, uint32_t source, uint32_t status, Effects *fx),
     (s, v, source, status, fx), "slots_ost(&f->slots, %u, 0x%x, 0x%x, &f->fx);", name(v), source,
     status)
WRAP(OnResult, slots_on, (Slots * s, uint32_t v, const Entry *entry, Effects *fx),
     (s, v, entry, fx), "slots_on(&f->slots, %u, &(Entry){.address = 0x%x}, &f->fx);", name(v),
     (unsigned)entry->address)
WRAP(bool, slots_enter, (Slots * s, uint32_t v, Effects *fx), (s, v, fx),
     "slots_enter(&f->slots, %u, &f->fx);", name(v))
WRAP(void, slots_off, (Slots * s, uint32_t v, Effects *fx), (s, v, fx),
     "slots_off(&f->slots, %u, &f->fx);", name(v))
WRAP(void, slots_stop, (Slots * s, Effects *fx), (s, fx), "slots_stop(&f->slots, &f->fx);")
WRAP(bool, slots_reset_begin, (Slots * s, GError **error), (s, error),
     "slots_reset_begin(&f->slots, NULL);")
WRAP(void, slots_reset_end, (Slots * s, bool done, Effects *fx), (s, done, fx),
     "slots_reset_end(&f->slots, %s, &f->fx);", done ? "true" : "false")

/* The timers that are due are the ones at now. */
bool __real_slots_expire(Slots *s, int64_t now, Effects *fx);
bool __wrap_slots_expire(Slots *s, int64_t now, Effects *fx);
bool __wrap_slots_expire(Slots *s, int64_t now, Effects *fx)
{
    static const char *const timers[] = {"deadline", "retry_at", "eject_until"};

    for (uint32_t i = 0; tracing && i < s->config->n_vcpus; i++) {
        const int64_t at[] = {s->table[i].deadline, s->table[i].retry_at, s->table[i].eject_until};

        for (unsigned t = 0; t < G_N_ELEMENTS(at); t++)
            if (at[t] && at[t] <= now)
                printf("    f->slots.table[%u].%s = f->now;\n", name(i), timers[t]);
    }
    print("slots_expire(&f->slots, f->now, &f->fx);");
    return __real_slots_expire(s, now, fx);
}
