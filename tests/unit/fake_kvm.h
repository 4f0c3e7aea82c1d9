/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An arm64 KVM for unit tests on any machine: it answers the ioctls of the code under test
 * (-Wl,--wrap=ioctl,--wrap=close) by Linux 6.12's rules about order, repetition and state, and can
 * let any one of them fail. Switches are named after what other kernels do. Its fds are real ones
 * (memfds), so that what is left open or mapped can be counted.
 */
#ifndef FAKE_KVM_H
#define FAKE_KVM_H

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_MAX_VCPUS   512
#define FAKE_MAX_FILTERS 8
#define FAKE_MAX_SLOTS   4
#define FAKE_N_PRIVATE   32

/* What the host has. */
typedef struct FakeHost {
    int max_vcpus;
    bool kvm; /* else vm_fd is no VM */
    bool one_reg, psci, immediate_exit, device_ctrl, sve, pauth_address, pauth_generic, pmu;
    bool filter, gicv2, gicv3, its;
    bool init_resets_mpidr; /* each time, as Linux 6.4 to 6.9 do */
    bool fwb;               /* FEAT_S2FWB */
    bool pmu_sets;          /* PMCNTENSET_EL0 sets bits only, as in Linux 6.3 to 6.14 */
    bool old_counters;      /* writes to PMCR_EL0.N are ignored, as before Linux 6.8 */
    uint64_t midr, isar0;   /* the latter can be narrowed: bits can be cleared */
    uint32_t psci_version;  /* the newest that KVM knows */
    uint32_t n_counters;    /* PMCR_EL0.N */
    uint32_t pri_bits;      /* of the GICv3 */
    uint32_t revision;      /* of the vGIC: GICD_IIDR; of a GICv3, those from 2 on can be chosen */
    uint32_t its_revision;  /* … and of the ITS, those from 0 on */
} FakeHost;

extern const FakeHost fake_modern_host;

/* An interrupt as KVM keeps it. */
typedef struct FakeIrq {
    bool enabled, active, pending, group1, edge, line;
    uint8_t priority;
    uint8_t targets; /* GICv2 */
    uint8_t sources; /* GICv2, SGIs: the CPUs for which it is pending */
    uint32_t router; /* GICv3 */
} FakeIrq;

typedef struct FakeCpuInterface {
    uint32_t ctlr, pmr, bpr0, bpr1, igrpen0, igrpen1, ap0r[4], ap1r[4];
} FakeCpuInterface;

typedef struct FakeVcpu {
    bool created, initialised, finalised, has_run, running, pmu_initialised;
    uint32_t features; /* of the last KVM_ARM_VCPU_INIT */
    int n_inits;
    int pmu_irq;
    uint32_t mp_state;
    uint64_t x[31], pc, sctlr, tcr, ttbr0, mair, contextidr, mpidr, csselr, v0[2], apiakeylo, pmcr,
        vls[8], clidr;
    uint64_t pmcnten; /* the counters that are enabled */
    uint32_t ccsidr;  /* of CSSELR_EL1 0 */
    struct kvm_vcpu_events events;
    bool tvm;          /* KVM traps writes to the MMU's registers */
    bool mmio_pending; /* KVM will complete it in the next run, whatever became of the vCPU */
    /* What the guest does next: the exit that KVM_RUN comes back with. 0: it just runs. */
    uint32_t next_exit;
    struct kvm_run next;
    bool signalled; /* the vCPU's thread got a signal */
    FakeIrq irqs[FAKE_N_PRIVATE];
    uint32_t gicr_ctlr;
    uint64_t propbaser, pendbaser;
    FakeCpuInterface cpu;
    ino_t ino;
} FakeVcpu;

typedef struct FakeVgic {
    bool created, initialised, its_created, its_initialised;
    int n_its_resets;
    uint32_t type, n_irqs, ctlr;
    bool iidr_confirmed;
    uint32_t revision, its_revision;
    bool its_enabled;
    uint64_t cbaser, creadr, cwriter, basers[8];
    int n_pending_saves, n_saves, n_restores; /* of tables in the guest's memory */
    uint64_t dist_base, cpu_base, its_base, regions[16];
    uint32_t n_regions;
    uint32_t pri_bits;
    FakeIrq spis[1024];
} FakeVgic;

/* Guest memory. */
typedef struct FakeSlot {
    uint32_t flags;
    uint64_t base, size; /* size 0: none */
    const uint8_t *memory;
} FakeSlot;

typedef struct FakeKvm {
    FakeHost host;
    int vm_fd;
    uint32_t n_vcpus;
    FakeVcpu vcpus[FAKE_MAX_VCPUS];
    FakeVgic vgic;
    struct kvm_smccc_filter filters[FAKE_MAX_FILTERS];
    uint32_t n_filters;
    FakeSlot slots[FAKE_MAX_SLOTS];
    bool has_run;
    uint64_t psci_version, fw_bitmap; /* firmware registers, of the whole VM */
    uint64_t isar0, pmcr_n;           /* the same: ID_AA64ISAR0_EL1, PMCR_EL0.N */
    uint64_t cntvct, cntpct;          /* the same: what was written last */
    uint64_t hidden_reg;              /* a register that is listed, but answers ENOENT; 0: none */
    uint64_t unlisted_reg;            /* a register that this KVM does not know yet; 0: none */
    /* Called before each ioctl, without the fake's lock: what happens then happens in the midst of
     * what the code under test is doing. NULL: nothing does. */
    void (*before)(unsigned long request, void *opaque);
    void *opaque;
    int n_calls;     /* ioctls so far … */
    int fail_at;     /* … of which this one fails, 0: none, */
    int n_fail;      /* and as many from it on */
    int fail_errno;  /* by this */
    char failed[64]; /* the first that did: its name, before it "vCPU N: " if one of a vCPU's */
    int n_changes;   /* ioctls so far that changed the VM */
    int n_unmaps;    /* times the machine's stage-2 mappings were thrown away */
    int n_flushes;   /* times all of the guest's memory was cleaned */
    int n_jumps;     /* times one of the guest's counters was set … */
    int jumped_at;   /* … and the last ioctl that did */
    int n_deadlocks; /* ioctls on a vCPU that another thread has in KVM_RUN: they would block */
} FakeKvm;

extern FakeKvm fake;

/* A new VM, in place of the last. Returns its fd, which fake_kvm_end() closes. */
int fake_kvm_begin(const FakeHost *host);
void fake_kvm_end(void);

/* What the process has of the fake's fds, and of mappings of them. */
int fake_open_fds(void);
int fake_mappings(void);

/* Whether KVM hands this call to user space. */
bool fake_forwards(uint32_t function);

/* The guest's next step on a vCPU, which KVM_RUN then comes back with. */
void fake_guest_mmio(uint32_t vcpu, uint64_t address, uint32_t len, bool is_write, uint64_t data);
void fake_guest_call(uint32_t vcpu, uint32_t function, uint64_t x1, uint64_t x2, uint64_t x3);
void fake_guest_event(uint32_t vcpu, uint32_t type);
void fake_guest_exit(uint32_t vcpu, uint32_t reason);

/* The guest enables MMU and caches on a vCPU. */
void fake_guest_enable_mmu(uint32_t vcpu);

/* What the exit that was served last left in kvm_run as the data of a read. */
uint64_t fake_mmio_data(uint32_t vcpu);

/* A signal for the thread that runs the vCPU: KVM_RUN, the one under way or else the next, fails
 * with EINTR. */
void fake_signal(uint32_t vcpu);

/* Let no mapping of the vCPU's kvm_run succeed any more. */
void fake_seal_run(uint32_t vcpu);

#endif
