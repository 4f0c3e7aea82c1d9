/* SPDX-License-Identifier: BSD-3-Clause */
/* A VMM with functions whose names the library uses for its own. The library must not call them. */
#include <stdlib.h>

#include <vcpuhp/acpi.h>
#include <vcpuhp/vcpuhp.h>

void aml_append(void);
void config_init(void);
void kvm_call(void);
void slots_init(void);

void aml_append(void)
{
    abort();
}

void config_init(void)
{
    abort();
}

void kvm_call(void)
{
    abort();
}

void slots_init(void)
{
    abort();
}

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu;
    (void)entry;
    (void)opaque;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu;
    (void)opaque;
}

int main(void)
{
    const VcpuhpCallbacks callbacks = {
        .size = sizeof(callbacks), .vcpu_start = on_start, .vcpu_kick = on_kick};
    g_autoptr(GError) error = NULL;
    VcpuhpConfig config;

    vcpuhp_config_init(&config, 4, 1);
    g_autoptr(Vcpuhp) hp = vcpuhp_new(&config, &callbacks, NULL, &error);
    if (!hp)
        g_error("%s", error->message);
    g_autoptr(GBytes) ssdt = vcpuhp_acpi_build(hp, VCPUHP_ACPI_SSDT);
    return g_bytes_get_size(ssdt) ? EXIT_SUCCESS : EXIT_FAILURE;
}
