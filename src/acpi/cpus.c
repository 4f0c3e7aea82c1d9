/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processor containers with their vCPUs, and the GED. docs/acpi.md says what was chosen and
 * why; tests/asl/ has the result in ASL for some small machines.
 */
#include "acpi/asl.h"
#include "acpi/regs.h"
#include "acpi/tables.h"

#include <string.h>

/* What _STA says (6.3.7). A vCPU is always present; only Enabled changes. */
enum {
    STA_ENABLED = 1 << 1,
    STA_ALWAYS = 0x0d, /* Present, Shown in UI, Functional */
};

/* Notify values (5.6.6) */
enum {
    DEVICE_CHECK = 1,
    EJECT_REQUEST = 3,
};

/* The most vCPUs in an innermost container: Linux evaluates _STA of all of them at a plug. */
#define GROUP 16

/* --- The tree of processor containers --- */

/* The containers of a level hold size vCPUs each; the last group of a cluster may hold fewer. */
typedef struct Level {
    uint32_t size;
    uint32_t first_uid; /* the level's containers have consecutive _UIDs */
} Level;

typedef struct Tree {
    const Config *config;
    Level levels[4]; /* the outermost first, which is one container */
    guint n_levels;
} Tree;

typedef struct Container {
    guint level;
    uint32_t number;     /* among those of its level */
    uint32_t first, end; /* its vCPUs; end is not one of them */
} Container;

static void add_level(Tree *tree, uint32_t size, uint32_t first_uid)
{
    tree->levels[tree->n_levels++] = (Level){size, first_uid};
}

/* A level that wouldn't divide the one above has no containers. */
static Tree new_tree(const Config *config)
{
    const VcpuhpTopology *t = &config->topology;
    uint32_t cluster_size = t->cores * t->threads;
    uint32_t group_size = MAX(GROUP / t->threads, 1) * t->threads; /* of whole cores */
    uint32_t next_uid = cluster_uid(config, t->clusters > 1 ? t->sockets * t->clusters : 0);
    Tree tree = {.config = config};

    if (t->sockets > 1)
        add_level(&tree, config->n_vcpus, next_uid++);
    add_level(&tree, t->clusters * cluster_size, socket_uid(0));
    if (t->clusters > 1)
        add_level(&tree, cluster_size, cluster_uid(config, 0));
    if (group_size < cluster_size)
        add_level(&tree, group_size, next_uid);
    return tree;
}

static Container outermost(const Tree *tree)
{
    return (Container){.end = tree->config->n_vcpus};
}

static bool is_innermost(const Tree *tree, Container c)
{
    return c.level == tree->n_levels - 1;
}

static uint32_t n_children(const Tree *tree, Container c)
{
    const Level *level = &tree->levels[c.level];

    return (level[0].size + level[1].size - 1) / level[1].size;
}

static Container child(const Tree *tree, Container parent, uint32_t i)
{
    uint32_t size = tree->levels[parent.level + 1].size, first = parent.first + i * size;

    return (Container){.level = parent.level + 1,
                       .number = parent.number * n_children(tree, parent) + i,
                       .first = first,
                       .end = MIN(first + size, parent.end)};
}

static uint32_t container_uid(const Tree *tree, Container c)
{
    return tree->levels[c.level].first_uid + c.number;
}

/* Fixed vCPUs come first. They are neither plugged nor ejected. */
static bool has_hotpluggable(const Tree *tree, Container c)
{
    return c.end > tree->config->n_fixed;
}

/* --- Names --- */

static const char *cpu_name(uint32_t vcpu, char name[5])
{
    g_snprintf(name, 5, "C%03X", vcpu);
    return name;
}

/* Of any container but the outermost, whose name the config has. */
static const char *container_name(const Tree *tree, Container c, char name[5])
{
    g_snprintf(name, 5, "P%03X", container_uid(tree, c));
    return name;
}

/* EN00 …: the enabled bits of 64 slots each. */
static const char *bitmap_name(uint32_t word, char name[5])
{
    g_snprintf(name, 5, "EN%02u", word);
    return name;
}

/* --- Registers and methods in the outermost container --- */

static void registers(const Config *config, GByteArray *aml)
{
    char name[5];

    OperationRegion("REGS", SystemMemory, config->regs_base, VCPUHP_REGS_SIZE);
    /* A write must not read first: reads of EVNT take events. */
    Field ("REGS", QWordAcc, NoLock, WriteAsZeros) {
        FieldGap(REG_EVENT * 8);
        FieldUnit("EVNT", 64);
        FieldUnit("OSTR", 64);
        FieldUnit("EJCT", 64);
        FieldGap((REG_ENABLED - REG_EJECT) * 8 - 64);
        for (uint32_t word = 0; word * 64 < config->n_vcpus; word++)
            FieldUnit(bitmap_name(word, name), 64);
    }
}

/* STAB has a byte for each vCPU: the Enabled bit of its _STA. OSPM evaluates _STA of many vCPUs
 * again and again, and none of this reads a register. _INI brings STAB up to date before OSPM looks
 * at the vCPUs. */
static void status_table(const Config *config, GByteArray *aml)
{
    uint8_t enabled[VCPUHP_MAX_VCPUS];
    char name[5];

    /* The rest is zero. */
    memset(enabled, STA_ENABLED, config->n_enabled);
    NameBuffer("STAB", config->n_vcpus, enabled, config->n_enabled);

    /* CSTA (vCPU) */
    Method ("CSTA", 1, NotSerialized) {
        Return(Or(DerefOf(Index("STAB", Arg0)), STA_ALWAYS));
    }

    Method ("_INI", 0, NotSerialized) {
        for (uint32_t word = config->n_fixed / 64; word * 64 < config->n_vcpus; word++) {
            uint32_t first = MAX(word * 64, config->n_fixed);
            uint32_t end = MIN(word * 64 + 64, config->n_vcpus);

            Do(Call("SYNC", ShiftRight(bitmap_name(word, name), first % 64), first, end));
        }
    }

    /* SYNC (enabled bits, first vCPU, vCPU after the last) */
    Method ("SYNC", 3, NotSerialized) {
        Store(Arg0, Local0);
        Store(Arg1, Local1);
        While (LLess(Local1, Arg2)) {
            Do(And(ShiftLeft(Local0, 1), STA_ENABLED, Index("STAB", Local1)));
            Do(ShiftRight(Local0, 1, Local0));
            Increment(Local1);
        }
    }
}

/* CTAK takes up to four events and records the inserts among them in STAB. CLCK makes this one step
 * with regard to CEJ0: an insert that was taken before an eject must not be recorded after it. */
static void take_events(GByteArray *aml)
{
    Mutex("CLCK", 0);
    Method ("CTAK", 0, NotSerialized) {
        Acquire("CLCK");
        Store("EVNT", Local0);
        Store(Local0, Local1);
        While (Local1) {
            If (And(Local1, EVENT_INSERT)) {
                Store(STA_ENABLED, Index("STAB", And(Local1, EVENT_SLOT)));
            }
            Do(ShiftRight(Local1, EVENT_LANE_BITS, Local1));
        }
        Release("CLCK");
        Return(Local0);
    }
}

/* CSCN notifies OSPM of all events. It is Serialized because OSPM must hear of events in the order
 * in which they were taken: inserts before removes. */
static void scan(GByteArray *aml)
{
    Method ("CSCN", 0, Serialized) {
        While (1) {
            Store(Call("CTAK"), Local0);
            Do(ShiftRight(Local0, EVENT_LANE_BITS * (EVENT_LANES - 1), Local1));
            While (Local0) {
                Do(And(Local0, EVENT_SLOT, Local2));
                If (And(Local0, EVENT_INSERT)) {
                    Do(Call("CTFY", Local2, DEVICE_CHECK));
                }
                If (And(Local0, EVENT_REMOVE)) {
                    Do(Call("CTFY", Local2, EJECT_REQUEST));
                }
                Do(ShiftRight(Local0, EVENT_LANE_BITS, Local0));
            }
            /* The last lane was empty: there are no more events. */
            If (LNot(Local1)) {
                Break();
            }
        }
    }
}

static void answers(GByteArray *aml)
{
    /* CEJ0 (vCPU). The write lets the VMM plug the vCPU again, so STAB changes before it. */
    Method ("CEJ0", 1, NotSerialized) {
        Acquire("CLCK");
        Store(0, Index("STAB", Arg0));
        Store(Arg0, "EJCT");
        Release("CLCK");
    }

    /* COST (vCPU, source event, status code) */
    Method ("COST", 3, NotSerialized) {
        Do(Or(Or(Arg0, ShiftLeft(Arg1, OST_SOURCE_SHIFT)), ShiftLeft(Arg2, OST_STATUS_SHIFT),
              "OSTR"));
    }
}

static void shared(const Config *config, GByteArray *aml)
{
    if (config->n_fixed == config->n_vcpus) {
        /* An event device of the VMM may call it. */
        Method ("CSCN", 0, NotSerialized) {}
        return;
    }
    registers(config, aml);
    status_table(config, aml);
    take_events(aml);
    scan(aml);
    answers(aml);
}

/* --- Containers and vCPUs --- */

/* CTFY (vCPU, notification) of a container; it counts vCPUs from the container's first. Notify must
 * name the device literally, because ACPICA accepts no reference there. */
static void dispatch_to_cpus(const Tree *tree, Container c, GByteArray *aml)
{
    char name[5];

    Method ("CTFY", 2, NotSerialized) {
        for (uint32_t i = MAX(c.first, tree->config->n_fixed); i < c.end; i++) {
            If (LEqual(Arg0, i - c.first)) {
                Notify(cpu_name(i, name), Arg1);
            }
        }
    }
}

static void dispatch_to_children(const Tree *tree, Container c, GByteArray *aml)
{
    char name[5], path[11];

    Method ("CTFY", 2, NotSerialized) {
        Divide(Arg0, tree->levels[c.level + 1].size, Local0, Local1);
        for (uint32_t i = 0; i < n_children(tree, c); i++) {
            Container inner = child(tree, c, i);

            if (!has_hotpluggable(tree, inner))
                continue;
            g_snprintf(path, sizeof(path), "^%s.CTFY", container_name(tree, inner, name));
            If (LEqual(Local1, i)) {
                Do(Call(path, Local0, Arg1));
            }
        }
    }
}

static void cpu(const Config *config, uint32_t vcpu, GByteArray *aml)
{
    char name[5];

    Device (cpu_name(vcpu, name)) {
        Name("_HID", String("ACPI0007"));
        Name("_UID", vcpu);
        if (config->nodes)
            Name("_PXM", config->nodes[vcpu]);
        if (vcpu >= config->n_fixed) {
            Method ("_STA", 0, NotSerialized) {
                Return(Call("CSTA", vcpu));
            }
            Method ("_EJ0", 1, NotSerialized) {
                Do(Call("CEJ0", vcpu));
            }
            Method ("_OST", 3, NotSerialized) {
                Do(Call("COST", vcpu, Arg0, Arg1));
            }
        }
    }
}

static void container(const Tree *tree, Container c, const char *name, GByteArray *aml)
{
    char inner[5];

    Device (name) {
        Name("_HID", String("ACPI0010"));
        Name("_UID", container_uid(tree, c));
        if (c.level == 0)
            shared(tree->config, aml);
        if (is_innermost(tree, c)) {
            if (has_hotpluggable(tree, c))
                dispatch_to_cpus(tree, c, aml);
            for (uint32_t i = c.first; i < c.end; i++)
                cpu(tree->config, i, aml);
        } else {
            if (has_hotpluggable(tree, c))
                dispatch_to_children(tree, c, aml);
            for (uint32_t i = 0; i < n_children(tree, c); i++)
                container(tree, child(tree, c, i), container_name(tree, child(tree, c, i), inner),
                          aml);
        }
    }
}

/* --- The event device --- */

/* A generic event device (5.6.9) with one interrupt, at which OSPM evaluates CSCN. */
static void ged(const Config *config, GByteArray *aml)
{
    const struct {
        uint8_t tag;
        uint16_t length;
        uint8_t flags;
        uint8_t count;
        uint32_t number;
        uint8_t end_tag;
        uint8_t checksum;
    } __attribute__((packed)) interrupt = {
        .tag = 0x89, /* extended interrupt descriptor, 6.4.3.6 */
        .length = GUINT16_TO_LE(6),
        .flags = 0x01, /* consumer, level, active high, exclusive */
        .count = 1,
        .number = GUINT32_TO_LE(config->event_irq),
        .end_tag = 0x79, /* 6.4.2.9; a checksum of 0 is none */
    };

    Device (config->ged_name) {
        Name("_HID", String("ACPI0013"));
        /* A string differs from every number that another GED may have. */
        Name("_UID", String(config->ged_name));
        NameBuffer("_CRS", sizeof(interrupt), &interrupt, sizeof(interrupt));
        Method ("_EVT", 1, NotSerialized) {
            Do(Call(config->scan_method));
        }
    }
}

void cpus_aml(const Config *config, GByteArray *aml)
{
    Tree tree = new_tree(config);

    Scope ("\\_SB") {
        container(&tree, outermost(&tree), config->container_name, aml);
        if (has_hotpluggable(&tree, outermost(&tree)) && !config->external_ged)
            ged(config, aml);
    }
}
