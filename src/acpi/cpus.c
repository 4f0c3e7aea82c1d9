/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CPU container and its GED. docs/acpi.md tells what was chosen and why; tests/asl/ has the
 * result in ASL, for a machine of four.
 *
 * No method takes a mutex: each touches the registers by single accesses that are complete in
 * themselves, and a vCPU's byte in STAB changes only in an order that both sides keep, see CEJ0.
 */
#include "acpi/asl.h"
#include "acpi/regs.h"
#include "acpi/tables.h"

/* What _STA says (6.3.7). A vCPU is always present: only Enabled changes. */
enum {
    STA_DISABLED = 0x0d,
    STA_ENABLED_BIT = 1,
    STA_ENABLED = 0x0f,
};

/* Notify values (5.6.6) */
enum {
    DEVICE_CHECK = 1,
    EJECT_REQUEST = 3,
};

/* A number of slots of which the scan method finds one by comparing each, after it found the group
 * in the same way. */
#define GROUP_SHIFT 4
#define GROUP       (1 << GROUP_SHIFT)

/* Fixed vCPUs, which come first, are neither plugged nor ejected: nothing is kept about them. */
static uint32_t first_in(const Config *config, uint32_t from)
{
    return MAX(from, config->n_fixed);
}

static uint32_t end_of(const Config *config, uint32_t from, uint32_t size)
{
    return MIN(from + size, config->n_vcpus);
}

/* EN00 …: the enabled bits of 64 slots each. */
static const char *bitmap_name(uint32_t word, char name[5])
{
    g_snprintf(name, 5, "EN%02u", word);
    return name;
}

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

/* STAB: each vCPU's _STA is a byte of it, so that OSPM, which evaluates _STA of all of them again
 * and again, needs no register and runs no method for it. _INI brings it up to date before OSPM
 * looks at the vCPUs. */
static void status_table(const Config *config, GByteArray *aml)
{
    uint8_t status[VCPUHP_MAX_VCPUS];
    char name[5];

    for (uint32_t i = 0; i < config->n_vcpus; i++)
        status[i] = i < config->n_enabled ? STA_ENABLED : STA_DISABLED;
    NameBuffer("STAB", status, config->n_vcpus);

    Method ("_INI", 0, NotSerialized) {
        for (uint32_t word = config->n_fixed / 64; word * 64 < config->n_vcpus; word++) {
            uint32_t first = first_in(config, word * 64);
            uint32_t end = end_of(config, word * 64, 64);

            if (first < end)
                Do(Call("SYNC", ShiftRight(bitmap_name(word, name), first % 64), first, end));
        }
    }

    /* SYNC (enabled bits, first slot, slot after the last) */
    Method ("SYNC", 3, NotSerialized) {
        Store(Arg0, Local0);
        Store(Arg1, Local1);
        While (LLess(Local1, Arg2)) {
            Do(Or(STA_DISABLED, ShiftLeft(And(Local0, 1), STA_ENABLED_BIT), Index("STAB", Local1)));
            Do(ShiftRight(Local0, 1, Local0));
            Increment(Local1);
        }
    }
}

static const char *cpu_name(uint32_t vcpu, char name[5])
{
    g_snprintf(name, 5, "C%03X", vcpu);
    return name;
}

/* CTFY (slot, notification): the device must be named literally, as ACPICA doesn't notify what a
 * reference refers to. */
static void dispatch(const Config *config, GByteArray *aml)
{
    char name[5];

    Method ("CTFY", 2, NotSerialized) {
        Do(ShiftRight(Arg0, GROUP_SHIFT, Local0));
        Do(And(Arg0, GROUP - 1, Local1));
        for (uint32_t group = config->n_fixed / GROUP; group * GROUP < config->n_vcpus; group++) {
            uint32_t end = end_of(config, group * GROUP, GROUP);

            If (LEqual(Local0, group)) {
                for (uint32_t i = first_in(config, group * GROUP); i < end; i++) {
                    If (LEqual(Local1, i % GROUP)) {
                        Notify(cpu_name(i, name), Arg1);
                    }
                }
            }
        }
    }
}

/* CSCN: tell OSPM of all events. Serialized, so that the order in which they were taken, inserts
 * before removes, is the order in which OSPM hears of them. */
static void scan(GByteArray *aml)
{
    Method ("CSCN", 0, Serialized) {
        While (1) {
            Store("EVNT", Local0);
            Do(ShiftRight(Local0, EVENT_LANE_BITS * (EVENT_LANES - 1), Local1));
            While (Local0) {
                Do(And(Local0, EVENT_SLOT, Local2));
                If (And(Local0, EVENT_INSERT)) {
                    Store(STA_ENABLED, Index("STAB", Local2));
                    Do(Call("CTFY", Local2, DEVICE_CHECK));
                }
                If (And(Local0, EVENT_REMOVE)) {
                    Do(Call("CTFY", Local2, EJECT_REQUEST));
                }
                Do(ShiftRight(Local0, EVENT_LANE_BITS, Local0));
            }
            /* The last lane was empty: there is nothing more. */
            If (LNot(Local1)) {
                Break();
            }
        }
    }
}

static void answers(GByteArray *aml)
{
    /* CEJ0 (slot). In this order: the write lets the VMM plug the vCPU again, and the scan that
     * follows from it must not be overwritten. */
    Method ("CEJ0", 1, NotSerialized) {
        Store(STA_DISABLED, Index("STAB", Arg0));
        Store(Arg0, "EJCT");
    }

    /* COST (slot, source event, status code) */
    Method ("COST", 3, NotSerialized) {
        Do(Or(Or(Arg0, ShiftLeft(Arg1, OST_SOURCE_SHIFT)), ShiftLeft(Arg2, OST_STATUS_SHIFT),
              "OSTR"));
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
            CreateByteField("STAB", vcpu, "_STA");
            Method ("_EJ0", 1, NotSerialized) {
                Do(Call("CEJ0", vcpu));
            }
            Method ("_OST", 3, NotSerialized) {
                Do(Call("COST", vcpu, Arg0, Arg1));
            }
        }
    }
}

/* A generic event device (5.6.9) whose only interrupt means: evaluate CSCN. */
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
        /* The VMM may have another GED: these of ours can't clash. */
        Name("_UID", String(config->ged_name));
        NameBuffer("_CRS", &interrupt, sizeof(interrupt));
        Method ("_EVT", 1, NotSerialized) {
            Do(Call(config->scan_method));
        }
    }
}

void cpus_aml(const Config *config, GByteArray *aml)
{
    bool hotplug = config->n_fixed < config->n_vcpus;

    Scope ("\\_SB") {
        Device (config->container_name) {
            Name("_HID", String("ACPI0010"));
            if (hotplug) {
                registers(config, aml);
                status_table(config, aml);
                dispatch(config, aml);
                scan(aml);
                answers(aml);
            } else {
                /* The VMM's own event device may name it. */
                Method ("CSCN", 0, NotSerialized) {}
            }
            for (uint32_t i = 0; i < config->n_vcpus; i++)
                cpu(config, i, aml);
        }
        if (hotplug && !config->external_ged)
            ged(config, aml);
    }
}
