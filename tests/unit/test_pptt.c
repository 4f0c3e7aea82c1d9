/* SPDX-License-Identifier: BSD-3-Clause */
/* The PPTT's processor hierarchy (ACPI 6.5, 5.2.30.1). */
#include "table.h"

#define HEADER 36
#define NODE   20

enum {
    PACKAGE = 1 << 0,
    ID_VALID = 1 << 1,
    THREAD = 1 << 2,
    LEAF = 1 << 3,
    IDENTICAL = 1 << 4,
};

typedef struct Node {
    uint32_t offset, flags, parent, id;
} Node;

static GBytes *pptt_of(uint32_t n_vcpus, VcpuhpTopology topology)
{
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, 1);
    config.topology = topology;
    return build(&config, VCPUHP_ACPI_PPTT);
}

static Node node_at(GBytes *pptt, gsize offset)
{
    assert_true(offset >= HEADER && (offset - HEADER) % NODE == 0);
    assert_int_equal(le(pptt, offset, 1), 0);
    assert_int_equal(le(pptt, offset + 1, 1), NODE);
    assert_int_equal(le(pptt, offset + 2, 2), 0);
    assert_int_equal(le(pptt, offset + 16, 4), 0);
    return (Node){.offset = offset,
                  .flags = le(pptt, offset + 4, 4),
                  .parent = le(pptt, offset + 8, 4),
                  .id = le(pptt, offset + 12, 4)};
}

static gsize n_nodes(GBytes *pptt)
{
    return (g_bytes_get_size(pptt) - HEADER) / NODE;
}

/* The only leaf of a vCPU. */
static Node leaf_of(GBytes *pptt, uint32_t vcpu)
{
    Node found = {0};

    for (gsize i = 0; i < n_nodes(pptt); i++) {
        Node node = node_at(pptt, HEADER + i * NODE);

        if (node.flags & LEAF && node.id == vcpu) {
            assert_int_equal(found.offset, 0);
            found = node;
        }
    }
    assert_int_not_equal(found.offset, 0);
    return found;
}

static Node parent_of(GBytes *pptt, Node node)
{
    Node parent = node_at(pptt, node.parent);

    assert_true(parent.offset < node.offset);
    assert_false(parent.flags & LEAF);
    return parent;
}

static void assert_group(Node node, uint32_t flags)
{
    assert_int_equal(node.flags, flags | IDENTICAL);
    assert_int_equal(node.id, 0);
}

static void by_default_all_vcpus_are_cores_of_one_socket(void **state)
{
    const uint32_t counts[] = {1, 2, 512};

    (void)state;
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autoptr(GBytes) pptt = pptt_of(counts[i], (VcpuhpTopology){0});

        assert_int_equal(n_nodes(pptt), 1 + counts[i]);
        for (uint32_t vcpu = 0; vcpu < counts[i]; vcpu++) {
            Node leaf = leaf_of(pptt, vcpu);
            Node socket = parent_of(pptt, leaf);

            assert_int_equal(leaf.flags, ID_VALID | LEAF);
            assert_int_equal(socket.offset, HEADER);
            assert_group(socket, PACKAGE);
            assert_int_equal(socket.parent, 0);
        }
    }
}

static void every_level_is_there_and_vcpus_are_numbered_through_it(void **state)
{
    g_autoptr(GBytes) pptt = pptt_of(2 * 3 * 4 * 2, (VcpuhpTopology){2, 3, 4, 2});
    uint32_t cores[24], clusters[6], sockets[2];

    (void)state;
    assert_int_equal(n_nodes(pptt), 2 + 6 + 24 + 48);
    for (uint32_t vcpu = 0; vcpu < 48; vcpu++) {
        Node leaf = leaf_of(pptt, vcpu);
        Node core = parent_of(pptt, leaf);
        Node cluster = parent_of(pptt, core);
        Node socket = parent_of(pptt, cluster);

        assert_int_equal(leaf.flags, ID_VALID | LEAF | THREAD);
        assert_group(core, 0);
        assert_group(cluster, 0);
        assert_group(socket, PACKAGE);
        assert_int_equal(socket.parent, 0);
        if (vcpu % 2 == 0)
            cores[vcpu / 2] = core.offset;
        if (vcpu % 8 == 0)
            clusters[vcpu / 8] = cluster.offset;
        if (vcpu % 24 == 0)
            sockets[vcpu / 24] = socket.offset;
        assert_int_equal(core.offset, cores[vcpu / 2]);
        assert_int_equal(cluster.offset, clusters[vcpu / 8]);
        assert_int_equal(socket.offset, sockets[vcpu / 24]);
    }
    for (int i = 1; i < 24; i++)
        assert_true(cores[i] > cores[i - 1]);
    for (int i = 1; i < 6; i++)
        assert_true(clusters[i] > clusters[i - 1]);
    assert_true(sockets[1] > sockets[0]);
}

static void a_single_cluster_is_not_described(void **state)
{
    g_autoptr(GBytes) pptt = pptt_of(8, (VcpuhpTopology){2, 1, 2, 2});

    (void)state;
    assert_int_equal(n_nodes(pptt), 2 + 4 + 8);
    assert_group(parent_of(pptt, parent_of(pptt, leaf_of(pptt, 7))), PACKAGE);
}

static void cores_without_threads_are_leaves(void **state)
{
    g_autoptr(GBytes) pptt = pptt_of(8, (VcpuhpTopology){1, 2, 4, 1});

    (void)state;
    assert_int_equal(n_nodes(pptt), 1 + 2 + 8);
    assert_int_equal(leaf_of(pptt, 5).flags, ID_VALID | LEAF);
    assert_group(parent_of(pptt, parent_of(pptt, leaf_of(pptt, 5))), PACKAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_all_vcpus_are_cores_of_one_socket),
        cmocka_unit_test(every_level_is_there_and_vcpus_are_numbered_through_it),
        cmocka_unit_test(a_single_cluster_is_not_described),
        cmocka_unit_test(cores_without_threads_are_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
