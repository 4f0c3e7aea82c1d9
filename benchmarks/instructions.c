/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * instructions OPERATION N_VCPUS COUNT: does one thing COUNT times. Two runs under an instruction
 * counter, with different COUNTs, give what one time costs, free of start-up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/psci.h>

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

static void read_status(Vcpuhp *hp, uint32_t n)
{
    uint8_t value;

    (void)n;
    vcpuhp_regs_read(hp, REG_STATUS, &value, sizeof(value));
}

static void read_bitmap(Vcpuhp *hp, uint32_t n)
{
    uint64_t value;

    (void)n;
    vcpuhp_regs_read(hp, REG_ENABLED, &value, sizeof(value));
}

static void read_event(Vcpuhp *hp, uint32_t n)
{
    uint64_t value;

    (void)n;
    vcpuhp_regs_read(hp, REG_EVENT, &value, sizeof(value));
}

static void write_ost(Vcpuhp *hp, uint32_t n)
{
    uint64_t value = (n - 1) | 1 << 16;

    vcpuhp_regs_write(hp, REG_OST, &value, sizeof(value));
}

static void write_eject(Vcpuhp *hp, uint32_t n)
{
    uint64_t value = n - 1;

    vcpuhp_regs_write(hp, REG_EJECT, &value, sizeof(value));
}

static void take_insert(Vcpuhp *hp, uint32_t n)
{
    vcpuhp_plug(hp, n - 1, 0, NULL, NULL);
    read_event(hp, n);
    write_ost(hp, n);
    vcpuhp_force(hp, n-1, NULL);
}

static uint64_t mpidr(uint32_t vcpu)
{
    return (vcpu & 0xf) | (uint64_t)(vcpu >> 4) << 8;
}

static void cpu_on_denied(Vcpuhp *hp, uint32_t n)
{
    VcpuhpPsciCall call = {.x = {0xc4000003, mpidr(n - 1), 0x1000, 0}};

    vcpuhp_psci_call(hp, 0, &call);
}

static void affinity_info(Vcpuhp *hp, uint32_t n)
{
    VcpuhpPsciCall call = {.x = {0xc4000004, mpidr(n - 1), 0, 0}};

    vcpuhp_psci_call(hp, 0, &call);
}

static const struct {
    const char *name;
    void (*run)(Vcpuhp *hp, uint32_t n_vcpus);
} operations[] = {
    {"read_status", read_status},     {"read_bitmap", read_bitmap}, {"read_event", read_event},
    {"write_ost", write_ost},         {"write_eject", write_eject}, {"cpu_on_denied", cpu_on_denied},
    {"affinity_info", affinity_info},{"take_insert",take_insert},
};

int main(int argc, char **argv)
{
    static const VcpuhpCallbacks callbacks = {on_start, on_kick, on_irq, on_event};
    VcpuhpConfig config;
    uint32_t n;
    Vcpuhp *hp;

    if (argc != 4)
        return 2;
    n = atoi(argv[2]);
    vcpuhp_config_init(&config, n, 1);
    hp = vcpuhp_new(&config, &callbacks, NULL, NULL);
    if (!hp)
        return 2;
    for (gsize i = 0; i < G_N_ELEMENTS(operations); i++) {
        if (strcmp(operations[i].name, argv[1]))
            continue;
        for (int k = atoi(argv[3]); k; k--)
            operations[i].run(hp, n);
        vcpuhp_free(hp);
        return 0;
    }
    return 2;
}
