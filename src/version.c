/* SPDX-License-Identifier: BSD-3-Clause */
#include <vcpuhp/version.h>

const char *vcpuhp_version(void)
{
    return VCPUHP_VERSION;
}
