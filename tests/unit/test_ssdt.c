/* SPDX-License-Identifier: BSD-3-Clause */
/* AML encoding, and what the SSDT declares. What it does is tried in tests/acpi/. */
#include "acpi/aml.h"
#include "table.h"

static void assert_term(AmlTerm term, const char *bytes, gsize size)
{
    assert_int_equal(term.size, size);
    assert_memory_equal(term.bytes, bytes, size);
}

#define ASSERT_TERM(term, bytes) assert_term(term, bytes, sizeof(bytes) - 1)

static void integers_take_the_least_bytes_they_need(void **state)
{
    (void)state;
    ASSERT_TERM(aml_integer(0), "\x00");
    ASSERT_TERM(aml_integer(1), "\x01");
    ASSERT_TERM(aml_integer(2), "\x0a\x02");
    ASSERT_TERM(aml_integer(0xff), "\x0a\xff");
    ASSERT_TERM(aml_integer(0x100), "\x0b\x00\x01");
    ASSERT_TERM(aml_integer(0xffff), "\x0b\xff\xff");
    ASSERT_TERM(aml_integer(0x10000), "\x0c\x00\x00\x01\x00");
    ASSERT_TERM(aml_integer(0xffffffff), "\x0c\xff\xff\xff\xff");
    ASSERT_TERM(aml_integer(0x100000000), "\x0e\x00\x00\x00\x00\x01\x00\x00\x00");
}

static void paths_have_prefixes_and_padded_segments(void **state)
{
    (void)state;
    ASSERT_TERM(aml_path("ABCD"), "ABCD");
    ASSERT_TERM(aml_path("A"), "A___");
    ASSERT_TERM(aml_path("\\_SB"), "\\_SB_");
    ASSERT_TERM(aml_path("^^AB"), "^^AB__");
    ASSERT_TERM(aml_path("\\_SB.ABC"), "\\\x2e_SB_ABC_");
    ASSERT_TERM(aml_path("\\_SB.A.CSCN"), "\\\x2f\x03_SB_A___CSCN");
}

/* The bytes of a block with a body of this size, before the body. */
static void assert_block_begins(gsize size, const char *bytes, gsize n_bytes)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();
    g_autofree uint8_t *body = g_malloc0(size);
    AmlBlock block = aml_begin(aml, 0x10, (AmlTerm){0});

    g_byte_array_append(aml, body, size);
    aml_end(&block);
    assert_int_equal(aml->len, n_bytes + size);
    assert_memory_equal(aml->data, bytes, n_bytes);
}

static void package_lengths_take_the_least_bytes_they_need(void **state)
{
    (void)state;
    assert_block_begins(0, "\x10\x01", 2);
    assert_block_begins(0x3e, "\x10\x3f", 2);
    assert_block_begins(0x3f, "\x10\x41\x04", 3);
    assert_block_begins(0xffd, "\x10\x4f\xff", 3);
    assert_block_begins(0xffe, "\x10\x81\x00\x01", 4);
    assert_block_begins(0xffffc, "\x10\x8f\xff\xff", 4);
    assert_block_begins(0xffffd, "\x10\xc1\x00\x00\x01", 5);
}

static void field_units_count_bits(void **state)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();

    (void)state;
    aml_field_unit(aml, "A", 8);
    aml_field_unit(aml, NULL, 64);
    aml_field_unit(aml, "BC", 512);
    assert_int_equal(aml->len, 5 + 3 + 6);
    assert_memory_equal(aml->data,
                        "A___\x08\x00\x40\x04"
                        "BC__\x40\x20",
                        14);
}

/* --- The SSDT --- */

static VcpuhpConfig default_config(uint32_t n_vcpus, uint32_t n_enabled)
{
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, n_enabled);
    return config;
}

static guint count_bytes(GBytes *aml, const void *bytes, gsize size)
{
    gsize length;
    const char *data = g_bytes_get_data(aml, &length);
    guint n = 0;

    for (gsize i = 0; i + size <= length; i++)
        n += memcmp(data + i, bytes, size) == 0;
    return n;
}

static guint count(GBytes *aml, const char *name)
{
    return count_bytes(aml, name, strlen(name));
}

static guint count_in(const VcpuhpConfig *config, const char *name)
{
    g_autoptr(GBytes) aml = build(config, VCPUHP_ACPI_AML);

    return count(aml, name);
}

/* --- The devices, found by their opcode, and what contains them --- */

typedef struct Device {
    gsize at, end;
    char name[5];
    char hid[9];
    uint32_t uid; /* only of processors and containers */
} Device;

/* 20.2.4 */
static gsize package_length(const uint8_t *bytes)
{
    gsize length = bytes[0] & (bytes[0] >> 6 ? 0xf : 0x3f);

    for (int i = 0; i < bytes[0] >> 6; i++)
        length |= (gsize)bytes[1 + i] << (4 + 8 * i);
    return length;
}

static uint32_t integer(const uint8_t *bytes)
{
    switch (bytes[0]) {
    case 0x0a:
        return bytes[1];
    case 0x0b:
        return bytes[1] | bytes[2] << 8;
    default:
        assert_in_range(bytes[0], 0, 1);
        return bytes[0];
    }
}

/* Each begins with its _HID, a string, and its _UID. */
static GArray *devices_of(GBytes *aml)
{
    GArray *devices = g_array_new(FALSE, FALSE, sizeof(Device));
    gsize length;
    const uint8_t *data = g_bytes_get_data(aml, &length);

    for (gsize i = 0; i + 28 <= length; i++) {
        const uint8_t *name = data + i + 3 + (data[i + 2] >> 6);
        Device
            device = {.at = i, .end = i + 2 + package_length(data + i + 2)};

        if (data[i] != 0x5b || data[i + 1] != 0x82 || memcmp(name + 4, "\x08_HID\x0d", 6))
            continue;
        memcpy(device.name, name, 4);
        memcpy(device.hid, name + 10, 8);
        assert_memory_equal(name + 19, "\x08_UID", 5);
        if (strcmp(device.hid, "ACPI0013"))
            device.uid = integer(name + 24);
        g_array_append_val(devices, device);
    }
    return devices;
}

static guint count_devices(GBytes *aml, const char *name)
{
    g_autoptr(GArray) devices = devices_of(aml);
    guint n = 0;

    for (guint i = 0; i < devices->len; i++)
        n += !strcmp(g_array_index(devices, Device, i).name, name);
    return n;
}

static const Device *processor(const GArray *devices, uint32_t vcpu)
{
    for (guint i = 0; i < devices->len; i++) {
        const Device *device = &g_array_index(devices, Device, i);

        if (!strcmp(device->hid, "ACPI0007") && device->uid == vcpu)
            return device;
    }
    fail_msg("no device for vCPU %u", vcpu);
    return NULL;
}

/* The innermost container around a device; NULL: there is none. */
static const Device *container_of(const GArray *devices, const Device *inner)
{
    const Device *found = NULL;

    for (guint i = 0; i < devices->len; i++) {
        const Device *device = &g_array_index(devices, Device, i);

        if (device->at < inner->at && device->end >= inner->end)
            found = device;
    }
    return found;
}

/* Those of a socket, of a cluster and of a group; sizes that 16 divides, and others. */
static const VcpuhpTopology topologies[] = {
    {1, 1, 1, 1},   {1, 1, 3, 1},   {1, 1, 15, 1}, {1, 1, 16, 1},  {1, 1, 17, 1},
    {1, 1, 33, 1},  {1, 1, 100, 1}, {2, 1, 4, 1},  {3, 2, 3, 2},   {1, 2, 16, 1},
    {1, 2, 17, 1},  {2, 2, 20, 2},  {3, 1, 11, 3}, {1, 2, 2, 20},  {4, 4, 16, 2},
    {2, 16, 16, 1}, {64, 1, 1, 1},  {1, 64, 1, 1}, {2, 1, 256, 1}, {1, 1, 512, 1}};

static VcpuhpConfig config_of(VcpuhpTopology t)
{
    VcpuhpConfig config = default_config(t.sockets * t.clusters * t.cores * t.threads, 1);

    config.topology = t;
    return config;
}

static GBytes *aml_of(VcpuhpTopology topology)
{
    VcpuhpConfig config = config_of(topology);

    return build(&config, VCPUHP_ACPI_AML);
}

static void every_possible_vcpu_is_one_device_with_a_name_of_its_own(void **state)
{
    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(topologies); i++) {
        g_autoptr(GBytes) aml = aml_of(topologies[i]);
        uint32_t n = config_of(topologies[i]).n_vcpus;
        g_autoptr(GArray) devices = devices_of(aml);

        assert_int_equal(count(aml, "ACPI0007"), n);
        for (uint32_t vcpu = 0; vcpu < n; vcpu++) {
            char name[5];

            g_snprintf(name, sizeof(name), "C%03X", vcpu);
            assert_string_equal(processor(devices, vcpu)->name, name);
        }
    }
}

static void every_container_has_a_uid_and_a_name_of_its_own(void **state)
{
    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(topologies); i++) {
        g_autoptr(GBytes) aml = aml_of(topologies[i]);
        g_autoptr(GArray) devices = devices_of(aml);
        bool seen[1024] = {false};

        for (guint k = 0; k < devices->len; k++) {
            const Device *device = &g_array_index(devices, Device, k);
            char name[5];

            if (strcmp(device->hid, "ACPI0010"))
                continue;
            assert_true(device->uid < G_N_ELEMENTS(seen) && !seen[device->uid]);
            seen[device->uid] = true;
            g_snprintf(name, sizeof(name), "P%03X", device->uid);
            assert_string_equal(device->name, k ? name : "CPUS");
        }
    }
}

/* A Device Check makes Linux evaluate _STA of all devices in the container. */
static void a_vcpu_has_15_siblings_at_most_or_those_of_its_core(void **state)
{
    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(topologies); i++) {
        g_autoptr(GBytes) aml = aml_of(topologies[i]);
        g_autoptr(GArray) devices = devices_of(aml);

        for (uint32_t vcpu = 0; vcpu < config_of(topologies[i]).n_vcpus; vcpu++) {
            const Device *container = container_of(devices, processor(devices, vcpu));
            uint32_t n = 0;

            for (guint k = 0; k < devices->len; k++) {
                const Device *device = &g_array_index(devices, Device, k);

                n += device->at > container->at && device->end <= container->end;
            }
            assert_in_range(n, 1, 16);
        }
    }
}

/* Unless there are more of them than a container takes. */
static void threads_of_a_core_are_in_one_container(void **state)
{
    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(topologies); i++) {
        if (topologies[i].threads > 16)
            continue;
        g_autoptr(GBytes) aml = aml_of(topologies[i]);
        g_autoptr(GArray) devices = devices_of(aml);
        uint32_t threads = topologies[i].threads;

        for (uint32_t vcpu = 0; vcpu < config_of(topologies[i]).n_vcpus; vcpu++)
            assert_ptr_equal(container_of(devices, processor(devices, vcpu)),
                             container_of(devices, processor(devices, vcpu - vcpu % threads)));
    }
}

/* The container with this _UID that is around a device, near or far. */
static const Device *container_with_uid(const GArray *devices, const Device *inner, uint32_t uid)
{
    const Device *container = container_of(devices, inner);

    while (container && container->uid != uid)
        container = container_of(devices, container);
    return container;
}

static void vcpus_are_in_the_containers_that_the_pptt_names(void **state)
{
    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(topologies); i++) {
        VcpuhpTopology t = topologies[i];
        g_autoptr(GBytes) aml = aml_of(t);
        g_autoptr(GArray) devices = devices_of(aml);

        for (uint32_t vcpu = 0; vcpu < config_of(t).n_vcpus; vcpu++) {
            uint32_t cluster = vcpu / (t.cores * t.threads), socket = cluster / t.clusters;
            const Device *cpu = processor(devices, vcpu);

            assert_non_null(container_with_uid(devices, cpu, socket));
            if (t.clusters > 1) {
                const Device *found = container_with_uid(devices, cpu, t.sockets + cluster);

                assert_non_null(found);
                assert_non_null(container_with_uid(devices, found, socket));
            }
        }
    }
}

static void vcpus_enabled_for_good_have_no_methods(void **state)
{
    VcpuhpConfig config = default_config(8, 3);

    (void)state;
    assert_int_equal(count_in(&config, "_EJ0"), 5);
    assert_int_equal(count_in(&config, "_STA"), 5);
    assert_int_equal(count_in(&config, "_OST"), 5);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    assert_int_equal(count_in(&config, "_EJ0"), 7);
    assert_int_equal(count_in(&config, "_STA"), 7);
    assert_int_equal(count_in(&config, "_OST"), 7);
}

/* 0x0f for the vCPUs that are enabled at boot; the rest of the buffer is zero until _INI. */
static void status_begins_as_the_config_has_it(void **state)
{
    VcpuhpConfig config = default_config(4, 2);
    g_autoptr(GBytes) fixed = build(&config, VCPUHP_ACPI_AML);

    (void)state;
    assert_int_equal(count_bytes(fixed, "STA0\x11\x05\x0a\x04\x0f\x0f", 10), 1);
    config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    g_autoptr(GBytes) removable = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count_bytes(removable, "STA0\x11\x05\x0a\x04\x0f\x0f", 10), 1);
}

/* 256 vCPUs have a table, so that an index takes one byte. */
static void status_tables_have_256_vcpus_each(void **state)
{
    VcpuhpConfig config = default_config(258, 257);

    (void)state;
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count_bytes(aml, "STA0\x11\x45\x10\x0b\x00\x01\x0f\x0f", 12), 1);
    assert_int_equal(count_bytes(aml, "STA1\x11\x04\x0a\x02\x0f", 9), 1);
    /* Return (DerefOf (STA1 [1])) */
    assert_int_equal(count_bytes(aml, "\xa4\x83\x88STA1\x01\x00", 9), 1);
    config = default_config(256, 1);
    g_autoptr(GBytes) one_table = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count(one_table, "STA1"), 0);
}

static void proximity_domains_are_there_with_numa(void **state)
{
    const uint32_t nodes[] = {0, 3, 0x12345678};
    VcpuhpConfig config = default_config(3, 1);

    (void)state;
    assert_int_equal(count_in(&config, "_PXM"), 0);
    config.nodes = nodes;
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count(aml, "_PXM"), 3);
    assert_int_equal(count_bytes(aml, "_PXM\x00", 5), 1);
    assert_int_equal(count_bytes(aml, "_PXM\x0a\x03", 6), 1);
    assert_int_equal(count_bytes(aml, "_PXM\x0c\x78\x56\x34\x12", 9), 1);
}

static void the_ged_has_the_configs_interrupt(void **state)
{
    VcpuhpConfig config = default_config(2, 1);

    (void)state;
    config.gic.n_irqs = 512;
    config.event_irq = 300;
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count(aml, "ACPI0013"), 1);
    assert_int_equal(count_bytes(aml, "\x89\x06\x00\x01\x01\x2c\x01\x00\x00\x79\x00", 11), 1);
}

static void there_is_no_ged_with_an_external_one_or_nothing_to_plug(void **state)
{
    VcpuhpConfig external = default_config(2, 1), fixed = default_config(2, 2);

    (void)state;
    external.acpi.external_ged = true;
    assert_int_equal(count_in(&external, "ACPI0013"), 0);
    assert_int_equal(count_in(&external, "CSCN"), 1);
    assert_int_equal(count_in(&fixed, "ACPI0013"), 0);
    assert_int_equal(count_in(&fixed, "CSCN"), 1);
}

static void names_are_those_of_the_config(void **state)
{
    const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                       .vcpu_start = test_vcpu_start,
                                       .vcpu_kick = test_vcpu_kick,
                                       .irq_set = test_irq_set};
    VcpuhpConfig config = default_config(2, 1);

    (void)state;
    config.acpi.container_name = "VC0";
    config.acpi.ged_name = "EVTS";
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    g_autoptr(Vcpuhp) hp = vcpuhp_new(&config, &callbacks, NULL, NULL);
    assert_int_equal(count_devices(aml, "VC0_"), 1);
    assert_int_equal(count_devices(aml, "EVTS"), 1);
    assert_int_equal(count(aml, "\\\x2f\x03_SB_VC0_CSCN"), 1);
    assert_string_equal(vcpuhp_acpi_scan_method(hp), "\\_SB.VC0_.CSCN");
}

static void registers_are_where_the_config_has_them(void **state)
{
    VcpuhpConfig config = default_config(2, 1);

    (void)state;
    config.regs_base = 0x123456780;
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);
    assert_int_equal(count_bytes(aml, "REGS\x00\x0e\x80\x67\x45\x23\x01\x00\x00\x00\x0a\x80", 16),
                     1);
}

#define ACQUIRE           "\133\043CLCK\377\377"
#define RELEASE           "\133\047CLCK"
#define COUNT(aml, bytes) count_bytes(aml, bytes, sizeof(bytes) - 1)

/* An interpreter may run two methods at once. */
static void status_and_registers_change_together(void **state)
{
    VcpuhpConfig config = default_config(2, 1);
    g_autoptr(GBytes) aml = build(&config, VCPUHP_ACPI_AML);

    (void)state;
    /* CEJ0: CSET (Arg0, 0x0D), EJCT = Arg0 */
    assert_int_equal(COUNT(aml, ACQUIRE "CSET\150\012\015\160\150EJCT" RELEASE), 1);
    /* CTAK: Local0 = EVNT at first, Return (Local0) in the end */
    assert_int_equal(COUNT(aml, "CTAK\0" ACQUIRE "\160EVNT\140"), 1);
    assert_int_equal(COUNT(aml, RELEASE "\244\140"), 1);
}

static double bytes_of_a_vcpu(VcpuhpTopology topology)
{
    VcpuhpConfig few = default_config(64, 1);
    g_autoptr(GBytes) few_aml = build(&few, VCPUHP_ACPI_AML);
    g_autoptr(GBytes) many_aml = aml_of(topology);

    return (g_bytes_get_size(many_aml) - g_bytes_get_size(few_aml)) / (512.0 - 64);
}

/* Beyond the first 64, containers and notification dispatch included. */
static void a_vcpu_costs_92_bytes(void **state)
{
    const VcpuhpTopology of_512[] = {{1, 1, 512, 1}, {1, 1, 256, 2}};

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(of_512); i++)
        assert_true(bytes_of_a_vcpu(of_512[i]) <= 92);
}

static void a_vcpu_in_clusters_costs_up_to_97_bytes(void **state)
{
    (void)state;
    assert_true(bytes_of_a_vcpu((VcpuhpTopology){2, 1, 256, 1}) <= 92.5);
    assert_true(bytes_of_a_vcpu((VcpuhpTopology){2, 4, 64, 1}) <= 93.5);
    assert_true(bytes_of_a_vcpu((VcpuhpTopology){2, 4, 32, 2}) <= 93.5);
    assert_true(bytes_of_a_vcpu((VcpuhpTopology){4, 4, 16, 2}) <= 95);
    assert_true(bytes_of_a_vcpu((VcpuhpTopology){2, 16, 16, 1}) <= 95);
    assert_true(bytes_of_a_vcpu((VcpuhpTopology){8, 8, 8, 1}) <= 97);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_take_the_least_bytes_they_need),
        cmocka_unit_test(paths_have_prefixes_and_padded_segments),
        cmocka_unit_test(package_lengths_take_the_least_bytes_they_need),
        cmocka_unit_test(field_units_count_bits),
        cmocka_unit_test(every_possible_vcpu_is_one_device_with_a_name_of_its_own),
        cmocka_unit_test(every_container_has_a_uid_and_a_name_of_its_own),
        cmocka_unit_test(a_vcpu_has_15_siblings_at_most_or_those_of_its_core),
        cmocka_unit_test(threads_of_a_core_are_in_one_container),
        cmocka_unit_test(vcpus_are_in_the_containers_that_the_pptt_names),
        cmocka_unit_test(vcpus_enabled_for_good_have_no_methods),
        cmocka_unit_test(status_begins_as_the_config_has_it),
        cmocka_unit_test(status_tables_have_256_vcpus_each),
        cmocka_unit_test(proximity_domains_are_there_with_numa),
        cmocka_unit_test(the_ged_has_the_configs_interrupt),
        cmocka_unit_test(there_is_no_ged_with_an_external_one_or_nothing_to_plug),
        cmocka_unit_test(names_are_those_of_the_config),
        cmocka_unit_test(registers_are_where_the_config_has_them),
        cmocka_unit_test(status_and_registers_change_together),
        cmocka_unit_test(a_vcpu_costs_92_bytes),
        cmocka_unit_test(a_vcpu_in_clusters_costs_up_to_97_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
