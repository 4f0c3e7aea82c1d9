/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VCPUHP_SRC_ERROR_H
#define VCPUHP_SRC_ERROR_H

#include <vcpuhp/vcpuhp.h>

/* Sets error, of the domain VCPUHP_ERROR. Returns false, for functions to return. */
bool refuse(GError **error, VcpuhpError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif
