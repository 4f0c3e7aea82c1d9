/* SPDX-License-Identifier: BSD-3-Clause */
/* vcpuhp_save() and vcpuhp_load(): docs/state-format.md. context.c has vcpuhp_resume(). */
#include <vcpuhp/state.h>

#include "blob.h"
#include "context.h"
#include "error.h"

/* About what a vCPU's records take, and the rest. */
#define SIZE_OF_VCPU 64
#define SIZE_OF_REST 1024

static const BlobFormat format = {"vcpuhp_load", "VCPUHPST", 1};

static bool save(const Vcpuhp *hp, BlobWriter *writer, GError **error)
{
    config_save(&hp->config, writer);
    regs_save(&hp->regs, writer);
    return slots_save(&hp->slots, writer, g_get_monotonic_time(), error);
}

GBytes *vcpuhp_save(Vcpuhp *hp, GError **error)
{
    BlobWriter writer;
    bool done;

    blob_begin(&writer, &format, SIZE_OF_REST + (size_t)SIZE_OF_VCPU * hp->config.n_vcpus);
    g_mutex_lock(&hp->slots.lock);
    done = save(hp, &writer, error);
    g_mutex_unlock(&hp->slots.lock);
    if (done)
        return blob_end(&writer);
    blob_abandon(&writer);
    return NULL;
}

enum {
    CONFIG,
    REGS,
    MACHINE,
    VCPUS,
    N_SECTIONS,
};

/* The slots come last: they change only if all of them can be loaded. */
static bool load(Vcpuhp *hp, BlobSection sections[N_SECTIONS], GError **error)
{
    Regs regs = hp->regs;

    if (!slots_is_fresh(&hp->slots))
        return refuse(error, VCPUHP_ERROR_ORDER,
                      "vcpuhp_load: a vCPU has run, a request was made, or a state was loaded");
    if (!config_check(&hp->config, &sections[CONFIG], error) ||
        !regs_load(&regs, &sections[REGS], error) ||
        !slots_load(&hp->slots, &sections[MACHINE], &sections[VCPUS], g_get_monotonic_time(),
                    error))
        return false;
    hp->regs = regs;
    return true;
}

bool vcpuhp_load(Vcpuhp *hp, GBytes *state, GError **error)
{
    BlobSection sections[N_SECTIONS] = {
        [CONFIG] = {.tag = CONFIG_SECTION},
        [REGS] = {.tag = REGS_SECTION},
        [MACHINE] = {.tag = SLOTS_SECTION_MACHINE},
        [VCPUS] = {.tag = SLOTS_SECTION_VCPUS},
    };
    bool done;

    if (!blob_open(&format, state, sections, N_SECTIONS, error))
        return false;
    g_mutex_lock(&hp->slots.lock);
    done = load(hp, sections, error);
    g_mutex_unlock(&hp->slots.lock);
    return done;
}
