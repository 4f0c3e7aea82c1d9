/* SPDX-License-Identifier: BSD-3-Clause */
#include "kvm/warm_up.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/psci.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "error.h"
#include "ioctl.h"

/* --- The memory --- */

#define GIB (1ull << 30)

/* What a vCPU runs: an instruction that KVM traps, and a call that the filter forwards. */
static const uint32_t code[] = {
    0xd518d03f, /* msr contextidr_el1, xzr */
    0xd4000002, /* hvc #0 */
};

/* Arm ARM, D8.3: a table of level 1 for 31 bits of addresses, in two blocks of 1 GiB. */
typedef struct Memory {
    uint64_t table[2];
    uint32_t code[G_N_ELEMENTS(code)];
} Memory;

/* Arm ARM, D8.3.1: block descriptor. Accessed, inner shareable, memory type 0 of MAIR_EL1. */
#define BLOCK (1ull << 0 | 3ull << 8 | 1ull << 10)

/* TCR_EL1: T0SZ for 31 bits; 4 KiB pages; table walks are cacheable and inner shareable; nothing at
 * TTBR1_EL1; 48 bits of output addresses, or as many as there are. */
#define TCR (33ull | 1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 23 | 5ull << 32)
/* MAIR_EL1, type 0: normal memory, write-back. */
#define MAIR 0xffull

bool kvm_warm_up_init(KvmWarmUp *warm_up, int vm_fd, const VcpuhpKvmConfig *config, GError **error)
{
    struct kvm_userspace_memory_region region = {.slot = config->warm_up_slot,
                                                 .flags = KVM_MEM_READONLY,
                                                 .guest_phys_addr = config->warm_up_base,
                                                 .memory_size = VCPUHP_KVM_WARM_UP_SIZE};
    Memory *memory = mmap(NULL, VCPUHP_KVM_WARM_UP_SIZE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return refuse(error, VCPUHP_ERROR_KVM, "mmap of memory for the warm-up: %s",
                      g_strerror(errno));
    /* The first GiB of addresses is the one that the memory is in. */
    memory->table[0] = (config->warm_up_base & ~(GIB - 1)) | BLOCK;
    memcpy(memory->code, code, sizeof(code));
    region.userspace_addr = (uintptr_t)memory;
    if (ioctl_call(vm_fd, KVM_SET_USER_MEMORY_REGION, &region, error,
                   "KVM_SET_USER_MEMORY_REGION (warm_up_base 0x%" PRIx64 ", warm_up_slot %u)",
                   config->warm_up_base, config->warm_up_slot) < 0) {
        munmap(memory, VCPUHP_KVM_WARM_UP_SIZE);
        return false;
    }
    *warm_up =
        (KvmWarmUp){.memory = memory, .base = config->warm_up_base, .slot = config->warm_up_slot};
    return true;
}

void kvm_warm_up_clear(KvmWarmUp *warm_up, int vm_fd)
{
    struct kvm_userspace_memory_region none = {.slot = warm_up->slot};

    if (!warm_up->memory)
        return;
    ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &none);
    munmap(warm_up->memory, VCPUHP_KVM_WARM_UP_SIZE);
    *warm_up = (KvmWarmUp){0};
}

/* --- Registers --- */

/* Those that the warm-up changes. */
enum {
    REG_X0,
    REG_PC,
    REG_SCTLR,
    REG_TCR,
    REG_TTBR0,
    REG_MAIR,
    REG_CONTEXTIDR,
    N_REGS,
};

static const struct {
    uint64_t id;
    const char *name;
} regs[N_REGS] = {
    [REG_X0] = {KVM_REG_X(0), "X0"},
    [REG_PC] = {KVM_REG_PC, "PC"},
    [REG_SCTLR] = {KVM_REG_SCTLR_EL1, "SCTLR_EL1"},
    [REG_TCR] = {KVM_REG_TCR_EL1, "TCR_EL1"},
    [REG_TTBR0] = {KVM_REG_TTBR0_EL1, "TTBR0_EL1"},
    [REG_MAIR] = {KVM_REG_MAIR_EL1, "MAIR_EL1"},
    [REG_CONTEXTIDR] = {KVM_REG_CONTEXTIDR_EL1, "CONTEXTIDR_EL1"},
};

static bool get_regs(int fd, uint32_t vcpu, uint64_t values[N_REGS], GError **error)
{
    for (int i = 0; i < N_REGS; i++)
        if (!ioctl_get_reg(fd, vcpu, regs[i].id, regs[i].name, &values[i], error))
            return false;
    return true;
}

static bool set_regs(int fd, uint32_t vcpu, const uint64_t values[N_REGS], GError **error)
{
    for (int i = 0; i < N_REGS; i++)
        if (!ioctl_set_reg(fd, vcpu, regs[i].id, regs[i].name, values[i], error))
            return false;
    return true;
}

/* Without EE: code and table are little-endian. */
static uint64_t enable_mmu(uint64_t sctlr)
{
    return (sctlr & ~SCTLR_EE) | SCTLR_M | SCTLR_C | SCTLR_I;
}

static bool set_warm_up_regs(const KvmWarmUp *warm_up, int fd, uint32_t vcpu,
                             const uint64_t before[N_REGS], GError **error)
{
    const uint64_t values[N_REGS] = {
        [REG_X0] = PSCI_0_2_FN_CPU_OFF,
        [REG_PC] = warm_up->base % GIB + offsetof(Memory, code),
        [REG_SCTLR] = enable_mmu(before[REG_SCTLR]),
        [REG_TCR] = TCR,
        [REG_TTBR0] = warm_up->base + offsetof(Memory, table),
        [REG_MAIR] = MAIR,
    };

    return set_regs(fd, vcpu, values, error);
}

/* --- The run --- */

/*
 * A signal ends the run, and with it the warm-up, which is not worth another try: a VMM may keep its
 * signals pending. immediate_exit then makes the next KVM_RUN fail as well, because the VMM's loop
 * waits for that, whether the signal was a kick or the VMM's own.
 */
static bool run(const KvmVcpu *v, uint32_t vcpu, GError **error)
{
    if (ioctl(v->fd, KVM_RUN, 0) < 0) {
        if (errno != EINTR && errno != EAGAIN)
            return refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: KVM_RUN (warm-up): %s", vcpu,
                          g_strerror(errno));
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_RELAXED);
        return true;
    }
    if (v->run->exit_reason == KVM_EXIT_HYPERCALL && v->run->hypercall.nr == PSCI_0_2_FN_CPU_OFF)
        return true;
    return refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: KVM_RUN (warm-up): exit %u", vcpu,
                  v->run->exit_reason);
}

/* The vCPU's power-on succeeds all the same, but may halt the whole guest for a while. */
static void report(Kvm *kvm, uint32_t vcpu, const GError *why)
{
    g_autoptr(GError) error = NULL;

    if (!g_atomic_int_compare_and_exchange(&kvm->warm_up.reported, 0, 1))
        return;
    refuse(&error, VCPUHP_ERROR_KVM, "%s; KVM will clean the guest's memory (reported once)",
           why->message);
    context_host_error(kvm->hp, vcpu, error);
}

/* vCPU 0, which starts before anything is mapped, has nothing to gain. */
bool kvm_warm_up(Kvm *kvm, uint32_t vcpu, GError **error)
{
    KvmVcpu *v = &kvm->vcpus[vcpu];
    g_autoptr(GError) problem = NULL;
    uint64_t before[N_REGS];

    if (!kvm->warm_up.memory || v->warm || vcpu == 0)
        return true;
    v->warm = true;
    if (!get_regs(v->fd, vcpu, before, &problem)) {
        report(kvm, vcpu, problem);
        return true;
    }
    if (!set_warm_up_regs(&kvm->warm_up, v->fd, vcpu, before, &problem) || !run(v, vcpu, &problem))
        report(kvm, vcpu, problem);
    return set_regs(v->fd, vcpu, before, error);
}
