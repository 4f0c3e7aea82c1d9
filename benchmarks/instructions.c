/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * instructions OPERATION N_VCPUS COUNT: carries out an operation COUNT times below an instruction
 * counter. The difference between two runs with different COUNTs is the cost of the operation
 * without that of the program's start. ../bench runs it.
 *
 * The callbacks do nothing, and there is no KVM: only the library's part is counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/psci.h>
#include <vcpuhp/regs.h>

/* docs/register-block.md */
#define REG_STATUS  0x04
#define REG_EVENT   0x18
#define REG_OST     0x20
#define REG_EJECT   0x28
#define REG_ENABLED 0x40

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void on_irq(bool level, void *opaque)
{
    (void)level, (void)opaque;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    (void)event, (void)opaque;
}

/* --- Operations, on the last vCPU: a search from the first one would show --- */

static void read_status(Vcpuhp *hp, uint32_t vcpu)
{
    uint8_t value;

    (void)vcpu;
    vcpuhp_regs_read(hp, REG_STATUS, &value, sizeof(value));
}

static void write_selector(Vcpuhp *hp, uint32_t vcpu)
{
    vcpuhp_regs_write(hp, 0, &vcpu, sizeof(vcpu));
}

static void read_enabled(Vcpuhp *hp, uint32_t vcpu)
{
    uint64_t value;

    vcpuhp_regs_read(hp, REG_ENABLED + vcpu / 64 * 8, &value, sizeof(value));
}

static void read_event(Vcpuhp *hp, uint32_t vcpu)
{
    uint64_t value;

    (void)vcpu;
    vcpuhp_regs_read(hp, REG_EVENT, &value, sizeof(value));
}

static void write_register(Vcpuhp *hp, uint64_t offset, uint64_t value)
{
    vcpuhp_regs_write(hp, offset, &value, sizeof(value));
}

static void write_ost(Vcpuhp *hp, uint32_t vcpu, uint64_t source, uint64_t status)
{
    write_register(hp, REG_OST, status << 32 | source << 16 | vcpu);
}

/* A plug and an unplug, and what a guest does for them. */
static void cycle(Vcpuhp *hp, uint32_t vcpu)
{
    vcpuhp_plug(hp, vcpu, 0, 0, NULL, NULL);
    read_event(hp, vcpu);
    write_ost(hp, vcpu, VCPUHP_OST_SOURCE_DEVICE_CHECK, VCPUHP_OST_SUCCESS);
    vcpuhp_unplug(hp, vcpu, 0, 0, NULL, NULL);
    read_event(hp, vcpu);
    write_ost(hp, vcpu, VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_EJECT_IN_PROGRESS);
    write_register(hp, REG_EJECT, vcpu);
    write_ost(hp, vcpu, VCPUHP_OST_SOURCE_EJECT_REQUEST, VCPUHP_OST_SUCCESS);
}

static uint64_t mpidr(uint32_t vcpu)
{
    return (vcpu & 0xf) | (uint64_t)(vcpu >> 4) << 8;
}

static void cpu_on_denied(Vcpuhp *hp, uint32_t vcpu)
{
    uint64_t x[4] = {0xc4000003, mpidr(vcpu), 0x1000, 0};

    vcpuhp_psci_call(hp, 0, x, false);
}

static void affinity_info(Vcpuhp *hp, uint32_t vcpu)
{
    uint64_t x[4] = {0xc4000004, mpidr(vcpu), 0, 0};

    vcpuhp_psci_call(hp, 0, x, false);
}

static const struct {
    const char *name;
    void (*run)(Vcpuhp *hp, uint32_t vcpu);
} operations[] = {
    {"read_status", read_status},
    {"write_selector", write_selector},
    {"read_enabled", read_enabled},
    {"read_event", read_event},
    {"cycle", cycle},
    {"cpu_on_denied", cpu_on_denied},
    {"affinity_info", affinity_info},
};

/* A machine whose vCPU 0 runs, as calls of PSCI require. */
static Vcpuhp *start_machine(uint32_t n_vcpus)
{
    static const VcpuhpCallbacks callbacks = {sizeof(VcpuhpCallbacks), on_start, on_kick, on_irq,
                                              on_event};
    const VcpuhpEntry entry = {.size = sizeof(entry), .address = 0x1000};
    g_autoptr(Vcpuhp) hp = NULL;
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, 1);
    hp = vcpuhp_new(&config, &callbacks, NULL, NULL);
    if (hp && vcpuhp_start(hp, &entry, NULL) && vcpuhp_vcpu_enter(hp, 0))
        return g_steal_pointer(&hp);
    return NULL;
}

int main(int argc, char **argv)
{
    uint32_t n_vcpus;
    Vcpuhp *hp;

    if (argc != 4)
        return 2;
    n_vcpus = atoi(argv[2]);
    hp = start_machine(n_vcpus);
    if (!hp)
        return 2;
    for (gsize i = 0; i < G_N_ELEMENTS(operations); i++) {
        if (strcmp(operations[i].name, argv[1]))
            continue;
        for (int k = atoi(argv[3]); k; k--)
            operations[i].run(hp, n_vcpus - 1);
        vcpuhp_free(hp);
        return 0;
    }
    return 2;
}
