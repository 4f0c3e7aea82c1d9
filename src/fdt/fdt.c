/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes according to the bindings in the Linux kernel's documentation, whose names head the
 * sections. */
#include <vcpuhp/fdt.h>

#include <inttypes.h>
#include <libfdt.h>
#include <string.h>

#include "context.h"
#include "error.h"

/* arm,gic, arm,gic-v3: an interrupt is <type number flags>. */
#define INTERRUPT_PPI        1
#define INTERRUPT_LEVEL_HIGH 4
#define FIRST_PPI            16

/* A tree under construction. Nothing more is written after the first error. */
typedef struct Tree {
    void *fdt;
    int status;     /* of libfdt */
    char where[32]; /* the node that was begun last */
} Tree;

static Tree tree_of(void *fdt)
{
    return (Tree){.fdt = fdt};
}

static bool tree_end(const Tree *tree, GError **error)
{
    if (!tree->status)
        return true;
    return refuse(error, VCPUHP_ERROR_FDT, "device-tree node %s: %s", tree->where,
                  fdt_strerror(tree->status));
}

static void G_GNUC_PRINTF(2, 3) begin(Tree *tree, const char *name, ...)
{
    va_list args;

    if (tree->status)
        return;
    va_start(args, name);
    g_vsnprintf(tree->where, sizeof(tree->where), name, args);
    va_end(args);
    tree->status = fdt_begin_node(tree->fdt, tree->where);
}

static void end(Tree *tree)
{
    if (!tree->status)
        tree->status = fdt_end_node(tree->fdt);
}

static void bytes(Tree *tree, const char *name, const void *value, gsize size)
{
    if (!tree->status)
        tree->status = fdt_property(tree->fdt, name, value, size);
}

static void flag(Tree *tree, const char *name)
{
    bytes(tree, name, NULL, 0);
}

static void string(Tree *tree, const char *name, const char *value)
{
    bytes(tree, name, value, strlen(value) + 1);
}

static void u32(Tree *tree, const char *name, uint32_t value)
{
    fdt32_t cell = cpu_to_fdt32(value);

    bytes(tree, name, &cell, sizeof(cell));
}

/* Pairs of an address and a size, of two cells each. */
typedef struct Region {
    fdt64_t base, size;
} Region;

static Region region(uint64_t base, uint64_t size)
{
    return (Region){cpu_to_fdt64(base), cpu_to_fdt64(size)};
}

/* For the addresses of child nodes. */
static void cells(Tree *tree, uint32_t address_cells, uint32_t size_cells)
{
    u32(tree, "#address-cells", address_cells);
    u32(tree, "#size-cells", size_cells);
}

/* --- arm/cpus.yaml, cpu/cpu-topology.txt, numa.txt --- */

static void cpu(Tree *tree, const Config *config, uint32_t vcpu, uint32_t phandle)
{
    uint64_t mpidr = config->mpidrs[vcpu];
    /* Two cells: Aff3, then Aff2 … Aff0, each as in MPIDR_EL1. */
    fdt64_t reg = cpu_to_fdt64(mpidr);

    begin(tree, "cpu@%" PRIx64, mpidr);
    string(tree, "device_type", "cpu");
    string(tree, "compatible", "arm,armv8");
    bytes(tree, "reg", &reg, sizeof(reg));
    string(tree, "enable-method", "psci");
    if (config->nodes)
        u32(tree, "numa-node-id", config->nodes[vcpu]);
    u32(tree, "phandle", phandle);
    end(tree);
}

typedef struct Map {
    Tree *tree;
    uint32_t phandle; /* of the next vCPU in numbering order */
    uint32_t left;    /* vCPUs not yet in the map */
} Map;

static void map_cpu(Map *map)
{
    u32(map->tree, "cpu", map->phandle++);
    map->left--;
}

static void map_core(Map *map, const VcpuhpTopology *topology, uint32_t core)
{
    begin(map->tree, "core%u", core);
    if (topology->threads == 1)
        map_cpu(map);
    for (uint32_t i = 0; topology->threads > 1 && i < topology->threads && map->left; i++) {
        begin(map->tree, "thread%u", i);
        map_cpu(map);
        end(map->tree);
    }
    end(map->tree);
}

/* Only vCPUs that are enabled at boot have nodes. They are numbered threads first, so they fill the
 * map from its beginning. The map ends with them, because Linux warns of empty clusters. */
static void cpu_map(Tree *tree, const Config *config, uint32_t first_phandle)
{
    const VcpuhpTopology *topology = &config->topology;
    Map map = {tree, first_phandle, config->n_enabled};

    begin(tree, "cpu-map");
    for (uint32_t socket = 0; socket < topology->sockets && map.left; socket++) {
        begin(tree, "socket%u", socket);
        for (uint32_t cluster = 0; cluster < topology->clusters && map.left; cluster++) {
            begin(tree, "cluster%u", cluster);
            for (uint32_t core = 0; core < topology->cores && map.left; core++)
                map_core(&map, topology, core);
            end(tree);
        }
        end(tree);
    }
    end(tree);
}

bool vcpuhp_fdt_cpus(const Vcpuhp *hp, void *fdt, uint32_t first_phandle, GError **error)
{
    const Config *config = &hp->config;
    const VcpuhpTopology *topology = &config->topology;
    Tree tree = tree_of(fdt);

    begin(&tree, "cpus");
    cells(&tree, 2, 0);
    for (uint32_t i = 0; i < config->n_enabled; i++)
        cpu(&tree, config, i, first_phandle + i);
    if (topology->sockets > 1 || topology->clusters > 1 || topology->threads > 1)
        cpu_map(&tree, config, first_phandle);
    end(&tree);
    return tree_end(&tree, error);
}

/* --- arm/psci.yaml --- */

bool vcpuhp_fdt_psci(const Vcpuhp *hp, void *fdt, GError **error)
{
    static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";
    Tree tree = tree_of(fdt);

    /* It does not depend on the config: KVM always forwards HVC from EL1. */
    (void)hp;
    begin(&tree, "psci");
    bytes(&tree, "compatible", compatible, sizeof(compatible));
    string(&tree, "method", "hvc");
    end(&tree);
    return tree_end(&tree, error);
}

/* --- interrupt-controller/arm,gic-v3.yaml, arm,gic.yaml --- */

static void its(Tree *tree, const VcpuhpGic *gic, uint32_t phandle)
{
    Region reg = region(gic->its_base, ITS_SIZE);

    begin(tree, "msi-controller@%" PRIx64, gic->its_base);
    string(tree, "compatible", "arm,gic-v3-its");
    flag(tree, "msi-controller");
    u32(tree, "#msi-cells", 1);
    bytes(tree, "reg", &reg, sizeof(reg));
    u32(tree, "phandle", phandle);
    end(tree);
}

static void v2m(Tree *tree, const VcpuhpGic *gic, uint32_t phandle)
{
    Region reg = region(gic->v2m_base, V2M_SIZE);

    begin(tree, "v2m@%" PRIx64, gic->v2m_base);
    string(tree, "compatible", "arm,gic-v2m-frame");
    flag(tree, "msi-controller");
    bytes(tree, "reg", &reg, sizeof(reg));
    /* These are INTIDs, despite their names. */
    u32(tree, "arm,msi-base-spi", gic->v2m_spi_base);
    u32(tree, "arm,msi-num-spis", gic->v2m_spi_count);
    u32(tree, "phandle", phandle);
    end(tree);
}

static void gicv3(Tree *tree, const VcpuhpGic *gic)
{
    Region reg[1 + VCPUHP_MAX_REDISTS] = {region(gic->dist_base, GICD_V3_SIZE)};

    for (uint32_t i = 0; i < gic->n_redists; i++)
        reg[1 + i] =
            region(gic->redists[i].base, (uint64_t)gic->redists[i].count * VCPUHP_REDIST_SIZE);
    string(tree, "compatible", "arm,gic-v3");
    bytes(tree, "reg", reg, (1 + gic->n_redists) * sizeof(*reg));
    if (gic->n_redists > 1)
        u32(tree, "#redistributor-regions", gic->n_redists);
}

static void gicv2(Tree *tree, const VcpuhpGic *gic)
{
    Region reg[] = {region(gic->dist_base, GICD_V2_SIZE), region(gic->cpu_base, GICC_V2_SIZE)};

    string(tree, "compatible", "arm,gic-400");
    bytes(tree, "reg", reg, sizeof(reg));
}

bool vcpuhp_fdt_gic(const Vcpuhp *hp, void *fdt, uint32_t gic_phandle, uint32_t msi_phandle,
                    GError **error)
{
    const VcpuhpGic *gic = &hp->config.gic;
    Tree tree = tree_of(fdt);

    begin(&tree, "interrupt-controller@%" PRIx64, gic->dist_base);
    if (gic->version == 3)
        gicv3(&tree, gic);
    else
        gicv2(&tree, gic);
    flag(&tree, "interrupt-controller");
    u32(&tree, "#interrupt-cells", 3);
    /* Needed without a child, too: a PCI host bridge's interrupt-map depends on them. */
    cells(&tree, 2, 2);
    flag(&tree, "ranges");
    u32(&tree, "phandle", gic_phandle);
    if (gic->version == 3 && gic->its_base)
        its(&tree, gic, msi_phandle);
    if (gic->version == 2 && gic->v2m_base)
        v2m(&tree, gic, msi_phandle);
    end(&tree);
    return tree_end(&tree, error);
}

/* --- arm/pmu.yaml --- */

bool vcpuhp_fdt_pmu(const Vcpuhp *hp, void *fdt, GError **error)
{
    const Config *config = &hp->config;
    uint32_t flags = INTERRUPT_LEVEL_HIGH;
    Tree tree = tree_of(fdt);

    if (!config->pmu_irq)
        return true;
    /* With GICv2, a PPI's flags hold a mask of its CPUs. */
    if (config->gic.version == 2)
        flags |= ((1u << config->n_enabled) - 1) << 8;
    begin(&tree, "pmu");
    string(&tree, "compatible", "arm,armv8-pmuv3");
    bytes(&tree, "interrupts",
          (fdt32_t[]){cpu_to_fdt32(INTERRUPT_PPI), cpu_to_fdt32(config->pmu_irq - FIRST_PPI),
                      cpu_to_fdt32(flags)},
          3 * sizeof(fdt32_t));
    end(&tree);
    return tree_end(&tree, error);
}
