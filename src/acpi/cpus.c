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
    STA_DISABLED_VCPU = 0x0d, /* Present, Shown in UI, Functional */
    STA_ENABLED_VCPU = STA_DISABLED_VCPU | STA_ENABLED,
};

/* Notify values (5.6.6) */
enum {
    DEVICE_CHECK = 1,
    EJECT_REQUEST = 3,
};

/* The most vCPUs in an innermost container, and the bits of their numbers in it. Linux evaluates _STA
 * of all of them at a plug. */
#define GROUP      16
#define GROUP_BITS 4

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
    /* Of whole cores, unless one alone is larger. */
    uint32_t group_size = t->threads < GROUP ? GROUP / t->threads * t->threads : GROUP;
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

/* STA0 and STA1 have a byte for each of 256 vCPUs: its _STA. OSPM evaluates _STA of many vCPUs again
 * and again, and none of this reads a register. With one table, the index of every vCPU from 256 on
 * would take a byte more. _INI fills the tables before OSPM looks at the vCPUs. */
#define TABLE 256

static const char *table_name(uint32_t vcpu)
{
    return vcpu < TABLE ? "STA0" : "STA1";
}

static void status_tables(const Config *config, GByteArray *aml)
{
    uint8_t enabled[TABLE];

    memset(enabled, STA_ENABLED_VCPU, sizeof(enabled));
    for (uint32_t first = 0; first < config->n_vcpus; first += TABLE) {
        uint32_t size = MIN(config->n_vcpus - first, TABLE);

        /* The rest is zero until _INI. */
        NameBuffer(table_name(first), size, enabled,
                   config->n_enabled > first ? MIN(config->n_enabled - first, size) : 0);
    }

    /* CSET (vCPU, status) */
    Method ("CSET", 2, NotSerialized) {
        if (config->n_vcpus <= TABLE) {
            Store(Arg1, Index(table_name(0), Arg0));
        } else {
            If (LLess(Arg0, TABLE)) {
                Store(Arg1, Index(table_name(0), Arg0));
            }
            Else
            {
                Store(Arg1, Index(table_name(TABLE), And(Arg0, TABLE - 1)));
            }
        }
    }
}

static void initialization(const Config *config, GByteArray *aml)
{
    char name[5];

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
            Do(Call("CSET", Local1, Or(And(ShiftLeft(Local0, 1), STA_ENABLED), STA_DISABLED_VCPU)));
            Do(ShiftRight(Local0, 1, Local0));
            Increment(Local1);
        }
    }
}

/* CTAK takes up to four events and records the inserts among them. CLCK makes this one step with
 * regard to CEJ0: an insert that was taken before an eject must not be recorded after it. */
static void take_events(GByteArray *aml)
{
    Mutex("CLCK", 0);
    Method ("CTAK", 0, NotSerialized) {
        Acquire("CLCK");
        Store("EVNT", Local0);
        Store(Local0, Local1);
        While (Local1) {
            If (And(Local1, EVENT_INSERT)) {
                Do(Call("CSET", And(Local1, EVENT_SLOT), STA_ENABLED_VCPU));
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
    /* CEJ0 (vCPU). The write lets the VMM plug the vCPU again, so its status changes before it. */
    Method ("CEJ0", 1, NotSerialized) {
        Acquire("CLCK");
        Do(Call("CSET", Arg0, STA_DISABLED_VCPU));
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
    status_tables(config, aml);
    initialization(config, aml);
    take_events(aml);
    scan(aml);
    answers(aml);
}

/* --- Containers and vCPUs --- */

/* Dispatch halves the vCPUs at each step: an interpreter takes long for each predicate, and a chain
 * of them would need one for each vCPU. Notify must name the device literally, because ACPICA
 * accepts no reference there. Only hotpluggable vCPUs are ever notified. */

/* Notify one of the 1 << n_bits vCPUs from first on. bits[] has the predicates for the bits of its number
 * in the container, the lowest first. */
static void notify_one(const Tree *tree, Container c, uint32_t first, guint n_bits,
                       const AmlTerm bits[], AmlTerm value, GByteArray *aml)
{
    uint32_t middle = first + (1u << n_bits) / 2;
    char name[5];

    if (!n_bits) {
        Notify(cpu_name(first, name), value);
    } else if (middle >= c.end) {
        notify_one(tree, c, first, n_bits - 1, bits, value, aml);
    } else if (middle <= tree->config->n_fixed) {
        notify_one(tree, c, middle, n_bits - 1, bits, value, aml);
    } else {
        If (bits[n_bits - 1]) {
            notify_one(tree, c, middle, n_bits - 1, bits, value, aml);
        }
        Else
        {
            notify_one(tree, c, first, n_bits - 1, bits, value, aml);
        }
    }
}

/* Pass the notification on to one of the children first … end - 1, which Local1 has the number of.
 * Local0 is the vCPU's number in the child. */
static void notify_child(const Tree *tree, Container c, uint32_t first, uint32_t end,
                         GByteArray *aml)
{
    uint32_t middle = (first + end) / 2;
    char name[5], path[11];

    if (end - first > 1 && !has_hotpluggable(tree, child(tree, c, middle - 1))) {
        notify_child(tree, c, middle, end, aml);
    } else if (end - first > 1) {
        If (LLess(Local1, middle)) {
            notify_child(tree, c, first, middle, aml);
        }
        Else
        {
            notify_child(tree, c, middle, end, aml);
        }
    } else if (is_innermost(tree, child(tree, c, first))) {
        g_snprintf(path, sizeof(path), "^%s.CBIT",
                   container_name(tree, child(tree, c, first), name));
        Do(Call(path, Local2, Local3, Local4, Local5, Arg1));
    } else {
        g_snprintf(path, sizeof(path), "^%s.CTFY",
                   container_name(tree, child(tree, c, first), name));
        Do(Call(path, Local0, Arg1));
    }
}

/* CTFY (vCPU, notification); it counts vCPUs from the container's first. An innermost container that
 * is inside another has CBIT (bit 0, bit 1, bit 2, bit 3, notification) instead: one method computes the
 * bits for all groups. */
static void dispatch(const Tree *tree, Container c, GByteArray *aml)
{
    const AmlTerm computed[GROUP_BITS] = {Arg0, Arg1, Arg2, Arg3};
    const AmlTerm own[GROUP_BITS] = {And(Arg0, 1), And(Arg0, 2), And(Arg0, 4), And(Arg0, 8)};

    if (is_innermost(tree, c) && c.level) {
        Method ("CBIT", GROUP_BITS + 1, NotSerialized) {
            notify_one(tree, c, c.first, GROUP_BITS, computed, Arg4, aml);
        }
        return;
    }
    Method ("CTFY", 2, NotSerialized) {
        if (is_innermost(tree, c)) {
            notify_one(tree, c, c.first, GROUP_BITS, own, Arg1, aml);
        } else {
            Divide(Arg0, tree->levels[c.level + 1].size, Local0, Local1);
            if (c.level + 2 == tree->n_levels) {
                Do(And(Local0, 1, Local2));
                Do(And(Local0, 2, Local3));
                Do(And(Local0, 4, Local4));
                Do(And(Local0, 8, Local5));
            }
            notify_child(tree, c, 0, n_children(tree, c), aml);
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
                Return(DerefOf(Index(table_name(vcpu), vcpu % TABLE)));
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
        if (has_hotpluggable(tree, c))
            dispatch(tree, c, aml);
        if (is_innermost(tree, c)) {
            for (uint32_t i = c.first; i < c.end; i++)
                cpu(tree->config, i, aml);
        } else {
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
