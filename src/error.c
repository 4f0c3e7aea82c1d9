/* SPDX-License-Identifier: BSD-3-Clause */
#include "error.h"

GQuark vcpuhp_error_quark(void)
{
    return g_quark_from_static_string("vcpuhp-error-quark");
}

bool refuse(GError **error, VcpuhpError code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(VCPUHP_ERROR, code, format, args));
    va_end(args);
    return false;
}
