/* SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <vcpuhp/acpi.h>

static bool fail_errno(const char *path, int error_number, GError **error)
{
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(error_number), "%s: %s", path,
                g_strerror(error_number));
    return false;
}

bool file_write(const char *directory, const char *name, const void *data, gsize size,
                GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    if (!g_file_set_contents(path, data, size, error))
        return false;
    printf("%s: %" G_GSIZE_FORMAT " bytes\n", path, size);
    return true;
}

/* What an earlier run wrote would pass for this machine's. */
static bool file_remove(const char *directory, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    return !g_unlink(path) || errno == ENOENT || fail_errno(path, errno, error);
}

static bool table_write(const Vcpuhp *hp, VcpuhpAcpiPart part, const char *directory,
                        const char *name, GError **error)
{
    g_autoptr(GBytes) table = vcpuhp_acpi_build(hp, part);
    gsize size;
    const void *data = g_bytes_get_data(table, &size);

    /* A machine without NUMA has no SRAT. */
    return size ? file_write(directory, name, data, size, error)
                : file_remove(directory, name, error);
}

bool tables_write(const Vcpuhp *hp, const char *directory, GError **error)
{
    if (g_mkdir_with_parents(directory, 0777))
        return fail_errno(directory, errno, error);
    return table_write(hp, VCPUHP_ACPI_MADT, directory, "madt.aml", error) &&
           table_write(hp, VCPUHP_ACPI_PPTT, directory, "pptt.aml", error) &&
           table_write(hp, VCPUHP_ACPI_SRAT, directory, "srat.aml", error) &&
           table_write(hp, VCPUHP_ACPI_SSDT, directory, "ssdt.aml", error)
#ifdef HAVE_FDT
           && device_tree_write(hp, directory, error)
#endif
        ;
}
