/* SPDX-License-Identifier: BSD-3-Clause */
/* Any PSCI call: no disabled vCPU is turned on, and an answer is one of PSCI's. */
#include "fuzz.h"

#include "psci/psci.h"

#define N_VCPUS 6

static uint64_t argument(Input *in, const Config *config)
{
    uint8_t how = next8(in);

    return how & 1 ? config->mpidrs[how / 2 % N_VCPUS] : how & 2 ? how >> 2 : next64(in);
}

static void call(Input *in, Slots *slots, VcpuhpCounters *counters, Effects *fx)
{
    uint32_t caller = next8(in) % N_VCPUS;
    uint8_t id = next8(in);
    uint64_t x[4] = {(id & 128 ? 0xc4000000 : 0x84000000) + (id & 63)};
    VcpuhpPsciAction action;

    for (int i = 1; i < 4; i++)
        x[i] = argument(in, slots->config);
    if (slots->table[caller].power != VCPUHP_POWER_ON)
        return;
    action = psci_call(slots, counters, caller, x, false, fx);
    g_assert((action == VCPUHP_PSCI_PARK) == (fx->off == (int)caller));
    if (action == VCPUHP_PSCI_RETURN)
        g_assert((int64_t)x[0] >= PSCI_INVALID_ADDRESS && (int64_t)x[0] <= 0x10003);
    if (fx->start >= 0)
        g_assert(slots->table[fx->start].status & SLOT_ENABLED);
}

static void request(Input *in, Slots *slots, Effects *fx)
{
    uint32_t vcpu = next8(in) % N_VCPUS, id;

    switch (next8(in) % 5) {
    case 0:
        slots_plug(slots, vcpu, 0, 0, fuzz_now, &id, fx, NULL);
        break;
    case 1:
        slots_eject(slots, vcpu, fuzz_now, fx);
        break;
    case 2:
        slots_enter(slots, vcpu, fx);
        break;
    case 3:
        slots_stop(slots, fx);
        break;
    default:
        if (slots_reset_begin(slots, NULL))
            slots_reset_end(slots, true, fx);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VcpuhpCounters counters = {0};
    Input in = {data, size};
    VcpuhpConfig from;
    Config config;
    Slots slots;
    Effects fx;

    vcpuhp_config_init(&from, N_VCPUS, 2);
    g_assert(config_init(&config, &from, NULL));
    slots_init(&slots, &config);
    effects_init(&fx);
    slots_on(&slots, 0, &(Entry){0}, &fx);
    slots_enter(&slots, 0, &fx);
    while (in.left) {
        effects_init(&fx);
        fuzz_operations++;
        if (next8(&in) % 3)
            call(&in, &slots, &counters, &fx);
        else
            request(&in, &slots, &fx);
        if (fx.off >= 0) {
            uint32_t vcpu = fx.off;

            effects_init(&fx);
            slots_off(&slots, vcpu, &fx);
        }
        for (uint32_t i = 0; i < N_VCPUS; i++)
            g_assert(slots.table[i].status & SLOT_ENABLED || slots.table[i].leaving ||
                     slots.table[i].power == VCPUHP_POWER_OFF);
    }
    slots_clear(&slots);
    config_clear(&config);
    return 0;
}
