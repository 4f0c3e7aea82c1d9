/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Write what is handed over to a guest to DIR/{dsdt,fadt,gtdt,spcr,srat,xsdt}.aml and DIR/chosen.dtb,
 * for tools that read them.
 *
 *     dump-handover DIR pl011|16550
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

static uint8_t memory[TABLES_SIZE];

static void save(const char *directory, const char *name, const void *data, size_t size)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static void check(const char *wrong)
{
    if (!wrong)
        return;
    fprintf(stderr, "%s\n", wrong);
    exit(1);
}

/* All tables begin at a multiple of 16. */
static void save_table(const char *directory, const char *signature, const char *name)
{
    for (size_t at = 0; at < sizeof(memory); at += 16) {
        uint32_t size;

        if (memcmp(memory + at, signature, 4) != 0)
            continue;
        memcpy(&size, memory + at + 4, sizeof(size));
        save(directory, name, memory + at, size);
        return;
    }
    check("a table is not there");
}

int main(int argc, char **argv)
{
    HandoverConfig config = HANDOVER_CONFIG(memory);
    Handover handover;
    uint8_t fdt[1024];

    if (argc != 3)
        return 2;
    if (!strcmp(argv[2], "16550"))
        config.uart = uart_16550;
    check(handover_write(&config, &handover));
    save_table(argv[1], "DSDT", "dsdt.aml");
    save_table(argv[1], "FACP", "fadt.aml");
    save_table(argv[1], "GTDT", "gtdt.aml");
    save_table(argv[1], "SPCR", "spcr.aml");
    save_table(argv[1], "SRAT", "srat.aml");
    save_table(argv[1], "XSDT", "xsdt.aml");
    check(handover_fdt(&handover, "console=ttyAMA0", 0x48000000, 0x48123456, fdt, sizeof(fdt)));
    save(argv[1], "chosen.dtb", fdt, sizeof(fdt));
    return 0;
}
