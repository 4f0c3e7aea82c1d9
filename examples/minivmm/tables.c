/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine as examples/handover.h describes it to the kernel. */
#include "machine.h"

#include <vcpuhp/acpi.h>

static HandoverData data_of(GBytes *bytes)
{
    HandoverData data;

    data.data = g_bytes_get_data(bytes, &data.size);
    return data;
}

/* Each node's RAM, or all of it. */
static HandoverRam *ram_of(const Machine *m, uint32_t n_nodes)
{
    HandoverRam *ram = g_new(HandoverRam, n_nodes);

    for (uint32_t i = 0; i < n_nodes; i++) {
        ram[i].node = i;
        machine_node_ram(m, i, &ram[i].base, &ram[i].size);
    }
    return ram;
}

bool tables_write(const Machine *m, Handover *ret_handover, GError **error)
{
    g_autoptr(GBytes) madt = vcpuhp_acpi_build(m->hp, VCPUHP_ACPI_MADT);
    g_autoptr(GBytes) pptt = vcpuhp_acpi_build(m->hp, VCPUHP_ACPI_PPTT);
    g_autoptr(GBytes) ssdt = vcpuhp_acpi_build(m->hp, VCPUHP_ACPI_SSDT);
    g_autoptr(GBytes) srat = vcpuhp_acpi_build(m->hp, VCPUHP_ACPI_SRAT_ENTRIES);
    const HandoverData tables[] = {data_of(madt), data_of(pptt), data_of(ssdt)};
    g_autofree HandoverRam *ram = ram_of(m, machine_n_nodes(m));
    const HandoverConfig config = {
        .memory = m->ram + (FIRMWARE_BASE - RAM_BASE),
        .base = FIRMWARE_BASE,
        .size = FIRMWARE_SIZE,
        .ram = ram,
        .n_ram = machine_n_nodes(m),
        .tables = tables,
        .n_tables = G_N_ELEMENTS(tables),
        .srat_entries = data_of(srat),
        .uart = {.hid = "ARMH0011",
                 .interface = 3,
                 .access = 4,
                 .base = UART_BASE,
                 .size = UART_SIZE,
                 .irq = UART_IRQ},
        .oem_id = "VCPUHP",
        .oem_table_id = "MINIVMM",
    };
    const char *wrong = handover_write(&config, ret_handover);

    if (!wrong)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "the firmware's tables: %s", wrong);
    return false;
}
