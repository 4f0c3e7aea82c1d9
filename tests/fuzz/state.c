/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saved states that an attacker wrote: with a frame and a checksum that are right, so that the
 * fields behind them are reached. What is refused changes nothing. What is loaded is a machine that
 * goes on, whatever guest and VMM then do.
 */
#include "fuzz.h"

#include <vcpuhp/psci.h>
#include <vcpuhp/regs.h>
#include <vcpuhp/state.h>

#include "blob.h"
#include "slots.h"

#define N_VCPUS 4
#define MAX_OPS 256

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry;
    return !*(bool *)opaque;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void on_irq(bool level, void *opaque)
{
    (void)level, (void)opaque;
}

static Vcpuhp *new_context(bool *no_thread)
{
    static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                              .vcpu_start = on_start,
                                              .vcpu_kick = on_kick,
                                              .irq_set = on_irq};
    VcpuhpConfig config;
    Vcpuhp *hp;

    vcpuhp_config_init(&config, N_VCPUS, 2);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    hp = vcpuhp_new(&config, &callbacks, no_thread, NULL);
    g_assert(hp);
    return hp;
}

/* --- The state --- */

static void put_u32(uint8_t *at, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    memcpy(at, &value, sizeof(value));
}

/* Takes the bytes. */
static GBytes *with_frame(GByteArray *bytes)
{
    put_u32(bytes->data + 12, bytes->len);
    put_u32(bytes->data + bytes->len - BLOB_CHECKSUM_SIZE,
            blob_checksum(bytes->data, bytes->len - BLOB_CHECKSUM_SIZE));
    return g_byte_array_free_to_bytes(bytes);
}

/* The contents of REGS, MACH and VCPU; CONF is right. */
static GBytes *of_contents(GBytes *initial, Input *in)
{
    GByteArray *bytes = g_byte_array_new();
    uint32_t at = BLOB_HEADER_SIZE;

    g_byte_array_append(bytes, g_bytes_get_data(initial, NULL), g_bytes_get_size(initial));
    while (at < bytes->len - BLOB_CHECKSUM_SIZE) {
        bool config = memcmp(bytes->data + at, CONFIG_SECTION, BLOB_TAG_SIZE) == 0;
        uint32_t length;

        memcpy(&length, bytes->data + at + 8, sizeof(length));
        at += BLOB_SECTION_SIZE;
        for (length = GUINT32_FROM_LE(length); length; length--, at++)
            if (!config)
                bytes->data[at] = next8(in);
    }
    return with_frame(bytes);
}

/* All of the sections. */
static GBytes *of_sections(GBytes *initial, Input *in)
{
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_append(bytes, g_bytes_get_data(initial, NULL), BLOB_HEADER_SIZE);
    g_byte_array_append(bytes, in->data, in->left);
    g_byte_array_append(bytes, (const uint8_t[BLOB_CHECKSUM_SIZE]){0}, BLOB_CHECKSUM_SIZE);
    in->left = 0;
    return with_frame(bytes);
}

/* --- What happens afterwards --- */

static void psci(Vcpuhp *hp, Input *in, uint32_t vcpu)
{
    static const uint32_t ids[] = {0xc4000003, 0x84000002, 0xc4000004};
    uint64_t x[4] = {ids[next8(in) % G_N_ELEMENTS(ids)], next8(in) % N_VCPUS, 0};

    vcpuhp_psci_call(hp, vcpu, x, false);
}

static void access_regs(Vcpuhp *hp, Input *in)
{
    uint64_t value = next64(in);
    uint32_t len = 1 << next8(in) % 4;

    vcpuhp_regs_write(hp, next8(in) % VCPUHP_REGS_SIZE, &value, len);
    vcpuhp_regs_read(hp, next8(in) % VCPUHP_REGS_SIZE, &value, len);
}

static void operate(Vcpuhp *hp, Input *in)
{
    uint8_t op = next8(in);
    uint32_t vcpu = op % N_VCPUS;

    fuzz_operations++;
    switch (op / N_VCPUS % 8) {
    case 0:
        vcpuhp_plug(hp, vcpu, op >> 7, next8(in), NULL, NULL);
        break;
    case 1:
        vcpuhp_unplug(hp, vcpu, 0, next8(in), NULL, NULL);
        break;
    case 2:
        vcpuhp_force(hp, vcpu, NULL);
        break;
    case 3:
        vcpuhp_vcpu_enter(hp, vcpu);
        break;
    case 4:
        vcpuhp_vcpu_park_if_asked(hp, vcpu);
        break;
    case 5:
        fuzz_now += (int64_t)next8(in) * 1000 * 1000;
        vcpuhp_dispatch(hp);
        break;
    case 6:
        psci(hp, in, vcpu);
        break;
    default:
        access_regs(hp, in);
    }
}

/* What runs can be saved, and that state is as good as the first one. */
static void check_again(Vcpuhp *hp)
{
    g_autoptr(GBytes) state = vcpuhp_save(hp, NULL), again = NULL;
    g_autoptr(Vcpuhp) other = NULL;
    bool no_thread = false;

    if (!state)
        return;
    other = new_context(&no_thread);
    g_assert(vcpuhp_load(other, state, NULL));
    again = vcpuhp_save(other, NULL);
    g_assert(g_bytes_equal(state, again));
}

static void go_on(Vcpuhp *hp, Input *in, bool *no_thread)
{
    *no_thread = next8(in) & 1;
    g_assert(vcpuhp_resume(hp, NULL) || *no_thread);
    *no_thread = false;
    for (int i = 0; in->left && i < MAX_OPS; i++)
        operate(hp, in);
    check_again(hp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) initial = NULL, state = NULL, after = NULL;
    bool no_thread = false;
    g_autoptr(Vcpuhp) hp = new_context(&no_thread);
    Input in = {data, size};

    fuzz_now = 1000 * 1000;
    initial = vcpuhp_save(hp, NULL);
    state = next8(&in) & 1 ? of_sections(initial, &in) : of_contents(initial, &in);
    fuzz_operations++;
    if (vcpuhp_load(hp, state, NULL)) {
        check_again(hp);
        go_on(hp, &in, &no_thread);
        return 0;
    }
    after = vcpuhp_save(hp, NULL);
    g_assert(g_bytes_equal(initial, after));
    return 0;
}
