/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of every situation is saved and loaded elsewhere, where the same situation results. */
#include "model.h"

#include <string.h>

/* The sections as blob_open() finds them, without the checksum, which takes longer than the rest. */
static void find_sections(const BlobWriter *writer, BlobSection sections[], gsize n)
{
    const uint8_t *bytes = writer->bytes->data, *end = bytes + writer->bytes->len;

    bytes += BLOB_HEADER_SIZE;
    for (gsize i = 0; i < n; i++) {
        const uint8_t *content = bytes + BLOB_SECTION_SIZE;
        uint32_t length;

        memcpy(&length, bytes + 8, sizeof(length));
        bytes = i + 1 < n ? content + GUINT32_FROM_LE(length) : end;
        sections[i].reader = (BlobReader){content, bytes, false};
    }
}

/* regs first: the last section's length is not written before blob_end(). */
static bool save(const Model *m, BlobWriter *writer)
{
    static const BlobFormat format = {"model", "MODELMOD", 1};

    blob_begin(writer, &format, 512);
    regs_save(&m->regs, writer);
    return slots_save(&m->slots, writer, NOW, NULL);
}

static bool load(Model *to, const BlobWriter *writer, GError **error)
{
    BlobSection sections[3] = {{0}};

    find_sections(writer, sections, G_N_ELEMENTS(sections));
    return regs_load(&to->regs, &sections[0], error) &&
           slots_load(&to->slots, &sections[1], &sections[2], NOW, error);
}

/* What the abstract state leaves out. */
static bool same_sums(const Slots *a, const Slots *b)
{
    return a->enabled[0] == b->enabled[0] && a->insert[0] == b->insert[0] &&
           a->remove[0] == b->remove[0] && a->fw_remove[0] == b->fw_remove[0] &&
           a->in_use[0] == b->in_use[0] && a->n_raised == b->n_raised &&
           a->n_running == b->n_running && a->last_event == b->last_event &&
           a->last_request == b->last_request && a->errors == b->errors;
}

static void compare(Model *m, Model *to)
{
    State before = m->s;

    to->s = m->s;
    model_pack(to);
    to->s.wake = before.wake; /* by the resume */
    /* of a stop that is over */
    to->s.told = before.told;
    to->s.ends_stop = before.ends_stop;
    if (memcmp(&to->s, &before, sizeof(before)) != 0 || !same_sums(&to->slots, &m->slots))
        rules_fail(m, "M34: what was loaded is not what was saved", 0);
}

void move_check(Model *m, Model *to)
{
    g_autoptr(GError) error = NULL;
    BlobWriter writer;

    if (save(m, &writer) != slots_can_start(&m->slots))
        rules_fail(m, "M35: saved, although stopped, or not saved, although not stopped", 0);
    else if (slots_can_start(&m->slots)) {
        if (load(to, &writer, &error))
            compare(m, to);
        else
            g_snprintf(m->broken, sizeof(m->broken), "M34: refused: %s", error->message);
    }
    blob_abandon(&writer);
}
