/* SPDX-License-Identifier: BSD-3-Clause */
/* The PPTT's processor hierarchy and caches (ACPI 6.5, 5.2.30). */
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

/* A socket or cluster, which has the _UID of a processor container. */
static void assert_container(Node node, uint32_t flags, uint32_t uid)
{
    assert_int_equal(node.flags, flags | ID_VALID | IDENTICAL);
    assert_int_equal(node.id, uid);
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
            assert_container(socket, PACKAGE, 0);
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
        assert_int_equal(core.flags, IDENTICAL);
        assert_int_equal(core.id, 0);
        assert_container(cluster, 0, 2 + vcpu / 8);
        assert_container(socket, PACKAGE, vcpu / 24);
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
    assert_container(parent_of(pptt, parent_of(pptt, leaf_of(pptt, 7))), PACKAGE, 1);
}

static void cores_without_threads_are_leaves(void **state)
{
    g_autoptr(GBytes) pptt = pptt_of(8, (VcpuhpTopology){1, 2, 4, 1});

    (void)state;
    assert_int_equal(n_nodes(pptt), 1 + 2 + 8);
    assert_int_equal(leaf_of(pptt, 5).flags, ID_VALID | LEAF);
    assert_container(parent_of(pptt, parent_of(pptt, leaf_of(pptt, 5))), PACKAGE, 0);
}

/* Linux would take them for clusters, and schedule by them. */
static void groups_of_the_namespace_are_no_level(void **state)
{
    g_autoptr(GBytes) pptt = pptt_of(2 * 2 * 20, (VcpuhpTopology){2, 2, 20, 1});

    (void)state;
    assert_int_equal(n_nodes(pptt), 2 + 4 + 80);
    assert_container(parent_of(pptt, leaf_of(pptt, 39)), 0, 2 + 1);
}

/* --- Caches. Structures are then not all of a size: they are walked from a leaf. --- */

static const VcpuhpCache caches[] = {
    {1, VCPUHP_CACHE_DATA, VCPUHP_CACHE_OF_CORE, 64 << 10, 64, 4},
    {1, VCPUHP_CACHE_INSTRUCTION, VCPUHP_CACHE_OF_CORE, 32 << 10, 64, 2},
    {2, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_CORE, 1 << 20, 64, 8},
    {3, VCPUHP_CACHE_UNIFIED, VCPUHP_CACHE_OF_SOCKET, 32 << 20, 128, 16},
};

static GBytes *pptt_with_caches(uint32_t n_vcpus, VcpuhpTopology topology)
{
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, 1);
    config.topology = topology;
    config.caches = caches;
    config.n_caches = G_N_ELEMENTS(caches);
    return build(&config, VCPUHP_ACPI_PPTT);
}

/* Where a vCPU's leaf is. */
static gsize find_leaf(GBytes *pptt, uint32_t vcpu)
{
    for (gsize at = HEADER; at < g_bytes_get_size(pptt); at += le(pptt, at + 1, 1))
        if (le(pptt, at, 1) == 0 && le(pptt, at + 4, 4) & LEAF && le(pptt, at + 12, 4) == vcpu)
            return at;
    fail_msg("no leaf for vCPU %u", vcpu);
    return 0;
}

/* Attributes: type, and write-back. What can be written allocates at a write, too. */
enum {
    DATA_CACHE = 0 << 2 | 2,
    INSTRUCTION_CACHE = 1 << 2 | 0,
    UNIFIED_CACHE = 2 << 2 | 2,
};

static void assert_cache(GBytes *pptt, gsize at, const VcpuhpCache *cache, uint8_t attributes)
{
    assert_int_equal(le(pptt, at, 1), 1);
    assert_int_equal(le(pptt, at + 1, 1), 28);
    assert_int_equal(le(pptt, at + 4, 4), 0xff); /* all is valid */
    assert_int_equal(le(pptt, at + 12, 4), cache->size);
    assert_int_equal(le(pptt, at + 16, 4), cache->size / cache->line_size / cache->ways);
    assert_int_equal(le(pptt, at + 20, 1), cache->ways);
    assert_int_equal(le(pptt, at + 21, 1), attributes);
    assert_int_equal(le(pptt, at + 22, 2), cache->line_size);
}

static void caches_of_a_core_are_chained_to_its_last_level(void **state)
{
    g_autoptr(GBytes) pptt = pptt_with_caches(4, (VcpuhpTopology){2, 1, 2, 1});
    gsize leaf = find_leaf(pptt, 3);
    gsize data = le(pptt, leaf + 20, 4), instruction = le(pptt, leaf + 24, 4);
    gsize second = le(pptt, data + 8, 4);

    (void)state;
    assert_int_equal(le(pptt, leaf + 1, 1), 28);
    assert_int_equal(le(pptt, leaf + 16, 4), 2);
    assert_cache(pptt, data, &caches[0], DATA_CACHE);
    assert_cache(pptt, instruction, &caches[1], INSTRUCTION_CACHE);
    assert_cache(pptt, second, &caches[2], UNIFIED_CACHE);
    assert_int_equal(le(pptt, instruction + 8, 4), second);
    /* The third level is the socket's, which names it itself. */
    assert_int_equal(le(pptt, second + 8, 4), 0);
}

static void each_core_and_each_socket_has_caches_of_its_own(void **state)
{
    g_autoptr(GBytes) pptt = pptt_with_caches(4, (VcpuhpTopology){2, 1, 2, 1});
    gsize leaves[4], sockets[4];

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        leaves[i] = find_leaf(pptt, i);
        sockets[i] = le(pptt, leaves[i] + 8, 4);
        assert_int_equal(le(pptt, sockets[i] + 16, 4), 1);
        assert_cache(pptt, le(pptt, sockets[i] + 20, 4), &caches[3], UNIFIED_CACHE);
    }
    assert_int_not_equal(le(pptt, leaves[0] + 20, 4), le(pptt, leaves[1] + 20, 4));
    assert_int_equal(sockets[0], sockets[1]);
    assert_int_not_equal(le(pptt, sockets[0] + 20, 4), le(pptt, sockets[2] + 20, 4));
}

static void threads_share_the_caches_of_their_core(void **state)
{
    g_autoptr(GBytes) pptt = pptt_with_caches(4, (VcpuhpTopology){1, 1, 2, 2});
    gsize leaf = find_leaf(pptt, 0), core = le(pptt, leaf + 8, 4);

    (void)state;
    assert_int_equal(le(pptt, leaf + 16, 4), 0);
    assert_int_equal(le(pptt, core + 16, 4), 2);
    assert_int_equal(le(pptt, find_leaf(pptt, 1) + 8, 4), core);
}

static void every_cache_has_an_id_of_its_own(void **state)
{
    g_autoptr(GBytes) pptt = pptt_with_caches(512, (VcpuhpTopology){2, 4, 64, 1});
    bool seen[3 * 512 + 2 + 1] = {true}; /* 0 is no ID */
    gsize n = 0;

    (void)state;
    for (gsize at = HEADER; at < g_bytes_get_size(pptt); at += le(pptt, at + 1, 1)) {
        if (le(pptt, at, 1) != 1)
            continue;
        uint64_t id = le(pptt, at + 24, 4);

        assert_in_range(id, 1, G_N_ELEMENTS(seen) - 1);
        assert_false(seen[id]);
        seen[id] = true;
        n++;
    }
    assert_int_equal(n, 3 * 512 + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_all_vcpus_are_cores_of_one_socket),
        cmocka_unit_test(every_level_is_there_and_vcpus_are_numbered_through_it),
        cmocka_unit_test(a_single_cluster_is_not_described),
        cmocka_unit_test(cores_without_threads_are_leaves),
        cmocka_unit_test(groups_of_the_namespace_are_no_level),
        cmocka_unit_test(caches_of_a_core_are_chained_to_its_last_level),
        cmocka_unit_test(each_core_and_each_socket_has_caches_of_its_own),
        cmocka_unit_test(threads_share_the_caches_of_their_core),
        cmocka_unit_test(every_cache_has_an_id_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
