/* SPDX-License-Identifier: BSD-3-Clause */
/* Any register access by a guest whose VMM plugs and unplugs. */
#include "fuzz.h"

#include "acpi/regs.h"

#define N_VCPUS 70 /* more than one word of the bitmaps */

static void request(Input *in, Slots *slots, Effects *fx)
{
    uint32_t vcpu = next8(in) % N_VCPUS, id;

    switch (next8(in) % 4) {
    case 0:
        slots_plug(slots, vcpu, next8(in) & 1, 0, fuzz_now, &id, fx, NULL);
        break;
    case 1:
        slots_unplug(slots, vcpu, 0, 0, fuzz_now, &id, fx, NULL);
        break;
    case 2:
        slots_cancel(slots, slots->last_request - vcpu, fx, NULL);
        break;
    default:
        fuzz_now += 1000 * 1000;
        while (!slots_expire(slots, fuzz_now, fx))
            effects_init(fx);
    }
}

static void check(const Slots *slots)
{
    uint32_t n_raised = 0;

    for (uint32_t i = 0; i < N_VCPUS; i++) {
        uint8_t status = slots->table[i].status;

        g_assert(status & SLOT_ENABLED || !status);
        g_assert(!(status & SLOT_INSERT && status & SLOT_FW_REMOVE));
        n_raised += !!(status & SLOT_INSERT) + !!(status & SLOT_REMOVE);
        g_assert(!!(slots->enabled[i / 64] >> (i % 64) & 1) == !!(status & SLOT_ENABLED));
    }
    g_assert(n_raised == slots->n_raised);
    g_assert(slots->table[0].status == SLOT_ENABLED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VcpuhpCounters counters = {0};
    Input in = {data, size};
    VcpuhpConfig from;
    Config config;
    Slots slots;
    Regs regs;

    vcpuhp_config_init(&from, N_VCPUS, 3);
    from.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    g_assert(config_init(&config, &from, NULL));
    slots_init(&slots, &config);
    regs_init(&regs, &slots, &counters);
    fuzz_now = 1;
    while (in.left) {
        uint8_t op = next8(&in), len = op >> 2 & 31;
        uint8_t bytes[32] = {0};
        uint64_t offset = op & 128 ? next64(&in) : next8(&in), value;
        Effects fx;

        effects_init(&fx);
        fuzz_operations++;
        switch (op & 3) {
        case 0:
            request(&in, &slots, &fx);
            break;
        case 1:
            regs_read(&regs, offset, bytes, len, &fx);
            break;
        default:
            value = next8(&in) & 1 ? next64(&in) : next8(&in);
            memcpy(bytes, &value, sizeof(value));
            regs_write(&regs, offset, bytes, len, &fx);
        }
        g_assert(fx.n_events <= EFFECTS_MAX_EVENTS && fx.start < 0 && fx.off < 0);
    }
    check(&slots);
    slots_clear(&slots);
    config_clear(&config);
    return 0;
}
