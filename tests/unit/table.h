/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the ACPI tables share. */
#ifndef TEST_TABLE_H
#define TEST_TABLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include <vcpuhp/acpi.h>

static inline bool test_vcpu_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return true;
}

static inline void test_vcpu_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static inline void test_irq_set(bool level, void *opaque)
{
    (void)level, (void)opaque;
}

static inline GBytes *build(const VcpuhpConfig *config, VcpuhpAcpiPart part)
{
    const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                       .vcpu_start = test_vcpu_start,
                                       .vcpu_kick = test_vcpu_kick,
                                       .irq_set = test_irq_set};
    g_autoptr(GError) error = NULL;
    g_autoptr(Vcpuhp) hp = vcpuhp_new(config, &callbacks, NULL, &error);

    if (!hp)
        fail_msg("%s", error->message);
    return vcpuhp_acpi_build(hp, part);
}

/* size bytes at offset, little endian. */
static inline uint64_t le(GBytes *bytes, gsize offset, gsize size)
{
    gsize length;
    const uint8_t *data = g_bytes_get_data(bytes, &length);
    uint64_t value = 0;

    assert_true(offset + size <= length);
    for (gsize i = 0; i < size; i++)
        value |= (uint64_t)data[offset + i] << (8 * i);
    return value;
}

static inline const char *text(GBytes *bytes, gsize offset)
{
    return (const char *)g_bytes_get_data(bytes, NULL) + offset;
}

#endif
