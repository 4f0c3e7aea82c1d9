/* SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <libfdt.h>
#include <vcpuhp/fdt.h>

enum {
    GIC_PHANDLE = 1,
    MSI_PHANDLE = 2,
    CPU_PHANDLE = 3, /* and those that follow it */
};

#define ROOT_SIZE 1024

static int begin_root(void *fdt, int size)
{
    int status = fdt_create(fdt, size);

    status = status ? status : fdt_finish_reservemap(fdt);
    status = status ? status : fdt_begin_node(fdt, "");
    status = status ? status : fdt_property_u32(fdt, "#address-cells", 2);
    status = status ? status : fdt_property_u32(fdt, "#size-cells", 2);
    return status ? status : fdt_property_u32(fdt, "interrupt-parent", GIC_PHANDLE);
}

static int end_root(void *fdt)
{
    int status = fdt_end_node(fdt);

    return status ? status : fdt_finish(fdt);
}

static bool check(int status, GError **error)
{
    if (!status)
        return true;
    g_set_error(error, VCPUHP_ERROR, VCPUHP_ERROR_FDT, "device tree: %s", fdt_strerror(status));
    return false;
}

bool device_tree_write(const Vcpuhp *hp, const char *directory, GError **error)
{
    gsize size = ROOT_SIZE + VCPUHP_FDT_SIZE(vcpuhp_n_vcpus(hp));
    g_autofree void *fdt = g_malloc(size);

    return check(begin_root(fdt, (int)size), error) &&
           vcpuhp_fdt_cpus(hp, fdt, CPU_PHANDLE, error) && vcpuhp_fdt_psci(hp, fdt, error) &&
           vcpuhp_fdt_gic(hp, fdt, GIC_PHANDLE, MSI_PHANDLE, error) &&
           vcpuhp_fdt_pmu(hp, fdt, error) && check(end_root(fdt), error) &&
           file_write(directory, "vcpus.dtb", fdt, fdt_totalsize(fdt), error);
}
