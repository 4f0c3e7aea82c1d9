/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/psci.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_NAME "fake-kvm"
/* KVM_ARM_TARGET_GENERIC_V8's SCTLR_EL1 after a reset */
#define SCTLR_RESET 0xc50078
#define SCTLR_MMU   (1 << 0 | 1 << 2) /* M and C */
#define INSN        4
/* What GICR_PROPBASER and GICR_PENDBASER are at first, the former with an ITS only. */
#define LPI_TABLES 0x580
#define NO_ADDRESS UINT64_MAX
/* The interrupts of the virtual and the physical timer */
#define TIMER_PPI  27
#define PTIMER_PPI 30

const FakeHost fake_modern_host = {
    .max_vcpus = 512,
    .kvm = true,
    .one_reg = true,
    .psci = true,
    .immediate_exit = true,
    .device_ctrl = true,
    .sve = true,
    .pauth_address = true,
    .pauth_generic = true,
    .pmu = true,
    .filter = true,
    .gicv2 = true,
    .gicv3 = true,
    .its = true,
    .midr = 0x410fd0c0,
    .isar0 = 0x1011,
    .psci_version = PSCI_VERSION(1, 1),
    .n_counters = 6,
    .pri_bits = 5,
    .revision = 3,
    .its_revision = 1,
};

FakeKvm fake;
static GMutex lock;
static GCond signals;
static ino_t vm_ino, vgic_ino, its_ino;

/* --- Fds --- */

/* The inodes of the fake's own fds, by fd, so that not every ioctl needs an fstat(). 0: unknown. */
static ino_t inodes[4096];

int __wrap_close(int fd);
int __real_close(int fd);

int __wrap_close(int fd)
{
    if (fd >= 0 && fd < (int)G_N_ELEMENTS(inodes))
        inodes[fd] = 0;
    return __real_close(fd);
}

/* 0: not open. */
static ino_t inode_of(int fd)
{
    struct stat st;

    if (fd >= 0 && fd < (int)G_N_ELEMENTS(inodes) && inodes[fd])
        return inodes[fd];
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static int new_fd(ino_t *ret_ino)
{
    int fd = memfd_create(FD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct stat st;

    g_assert(fd >= 0 && ftruncate(fd, 4096) == 0 && fstat(fd, &st) == 0);
    *ret_ino = st.st_ino;
    if (fd < (int)G_N_ELEMENTS(inodes))
        inodes[fd] = st.st_ino;
    return fd;
}

/* An fd of the vCPU's, for the fake's own accesses to kvm_run; KVM has no need of one. */
static int run_fds[FAKE_MAX_VCPUS];

static int count_links(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;
    int n = 0;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);

        n += target && strstr(target, FD_NAME) != NULL;
    }
    g_dir_close(dir);
    return n;
}

/* What a test that failed left behind isn't the next one's. */
static int old_fds, old_mappings;

int fake_open_fds(void)
{
    return count_links("/proc/self/fd") - old_fds - (int)fake.n_vcpus;
}

static int count_mappings(void)
{
    g_autofree char *maps = NULL;
    int n = 0;

    g_assert(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    for (const char *at = maps; (at = strstr(at, "memfd:" FD_NAME)); at++)
        n++;
    return n;
}

int fake_mappings(void)
{
    return count_mappings() - old_mappings;
}

int fake_kvm_begin(const FakeHost *host)
{
    memset(&fake, 0, sizeof(fake));
    fake.host = *host;
    fake.n_fail = 1;
    fake.fail_errno = EIO;
    fake.psci_version = host->psci_version;
    fake.isar0 = host->isar0;
    fake.pmcr_n = host->n_counters;
    fake.vgic.revision = host->revision;
    fake.vgic.its_revision = host->its_revision;
    fake.fw_bitmap = 1;
    fake.vgic.dist_base = fake.vgic.cpu_base = fake.vgic.its_base = NO_ADDRESS;
    fake.vm_fd = new_fd(&vm_ino);
    vgic_ino = its_ino = 0;
    old_fds = count_links("/proc/self/fd");
    old_mappings = count_mappings();
    return fake.vm_fd;
}

void fake_kvm_end(void)
{
    close(fake.vm_fd);
    for (uint32_t i = 0; i < fake.n_vcpus; i++)
        close(run_fds[i]);
    fake.n_vcpus = 0;
}

/* --- kvm_run --- */

static struct kvm_run get_run(uint32_t vcpu)
{
    struct kvm_run run;

    g_assert(pread(run_fds[vcpu], &run, sizeof(run), 0) == sizeof(run));
    return run;
}

/* All but what user space writes. */
static void put_run(uint32_t vcpu, const struct kvm_run *run)
{
    size_t from = offsetof(struct kvm_run, exit_reason);

    g_assert(pwrite(run_fds[vcpu], (const char *)run + from, sizeof(*run) - from, from) ==
             (ssize_t)(sizeof(*run) - from));
}

void fake_guest_mmio(uint32_t vcpu, uint64_t address, uint32_t len, bool is_write, uint64_t data)
{
    struct kvm_run *next = &fake.vcpus[vcpu].next;

    fake.vcpus[vcpu].next_exit = KVM_EXIT_MMIO;
    next->mmio.phys_addr = address;
    next->mmio.len = len;
    next->mmio.is_write = is_write;
    memcpy(next->mmio.data, &data, sizeof(data));
}

uint64_t fake_mmio_data(uint32_t vcpu)
{
    struct kvm_run run = get_run(vcpu);
    uint64_t data;

    memcpy(&data, run.mmio.data, sizeof(data));
    return data;
}

/* As KVM has it: the arguments stay in the registers. */
void fake_guest_call(uint32_t vcpu, uint32_t function, uint64_t x1, uint64_t x2, uint64_t x3)
{
    FakeVcpu *v = &fake.vcpus[vcpu];

    v->next_exit = KVM_EXIT_HYPERCALL;
    memset(&v->next.hypercall, 0, sizeof(v->next.hypercall));
    v->next.hypercall.nr = function;
    v->x[0] = function;
    v->x[1] = x1;
    v->x[2] = x2;
    v->x[3] = x3;
}

void fake_guest_event(uint32_t vcpu, uint32_t type)
{
    fake.vcpus[vcpu].next_exit = KVM_EXIT_SYSTEM_EVENT;
    fake.vcpus[vcpu].next.system_event.type = type;
}

void fake_guest_exit(uint32_t vcpu, uint32_t reason)
{
    fake.vcpus[vcpu].next_exit = reason;
}

void fake_signal(uint32_t vcpu)
{
    g_mutex_lock(&lock);
    fake.vcpus[vcpu].signalled = true;
    g_cond_broadcast(&signals);
    g_mutex_unlock(&lock);
}

void fake_seal_run(uint32_t vcpu)
{
    g_assert(fcntl(run_fds[vcpu], F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
}

/* --- The VM --- */

static int check_extension(long cap)
{
    switch (cap) {
    case KVM_CAP_MAX_VCPUS:
        return fake.host.max_vcpus;
    case KVM_CAP_ONE_REG:
        return fake.host.one_reg;
    case KVM_CAP_ARM_PSCI_0_2:
        return fake.host.psci;
    case KVM_CAP_IMMEDIATE_EXIT:
        return fake.host.immediate_exit;
    case KVM_CAP_DEVICE_CTRL:
        return fake.host.device_ctrl;
    case KVM_CAP_ARM_SVE:
        return fake.host.sve;
    case KVM_CAP_ARM_PTRAUTH_ADDRESS:
        return fake.host.pauth_address;
    case KVM_CAP_ARM_PTRAUTH_GENERIC:
        return fake.host.pauth_generic;
    case KVM_CAP_ARM_PMU_V3:
        return fake.host.pmu;
    default:
        return 0;
    }
}

static uint64_t kvms_mpidr(uint32_t id)
{
    return 1ull << 31 | (id & 0xf) | (id >> 4 & 0xff) << 8;
}

static int create_vcpu(long id)
{
    FakeVcpu *v = &fake.vcpus[id];
    int fd;

    if (fake.vgic.initialised)
        return -EBUSY;
    if (id < 0 || id >= fake.host.max_vcpus)
        return -EINVAL;
    if (v->created)
        return -EEXIST;
    /* Other orders are possible, but bind redistributors to other vCPUs. */
    g_assert(id == fake.n_vcpus);
    fd = new_fd(&v->ino);
    run_fds[id] = dup(fd);
    v->created = true;
    v->vls[0] = 0xf; /* every length of the host */
    v->clidr = 0x3;
    v->ccsidr = 0x1fe01a;
    v->mpidr = kvms_mpidr((uint32_t)id);
    fake.n_vcpus++;
    return fd;
}

static bool any_vcpu(bool running)
{
    for (uint32_t i = 0; i < fake.n_vcpus; i++)
        if (running ? fake.vcpus[i].running : fake.vcpus[i].has_run)
            return true;
    return false;
}

static int create_device(struct kvm_create_device *device)
{
    bool its = device->type == KVM_DEV_TYPE_ARM_VGIC_ITS;
    bool v2 = device->type == KVM_DEV_TYPE_ARM_VGIC_V2;

    if (its ? !fake.host.its : v2 ? !fake.host.gicv2 : !fake.host.gicv3)
        return -ENODEV;
    if (device->flags & KVM_CREATE_DEVICE_TEST)
        return 0;
    if (its) {
        fake.vgic.its_created = true;
        for (uint32_t i = 0; i < fake.n_vcpus; i++)
            fake.vcpus[i].propbaser = LPI_TABLES;
        device->fd = (uint32_t)new_fd(&its_ino);
        return 0;
    }
    if (fake.vgic.created)
        return -EEXIST;
    if (any_vcpu(false) || any_vcpu(true))
        return -EBUSY;
    if (fake.n_vcpus > (v2 ? 8 : 512))
        return -E2BIG;
    fake.vgic.created = true;
    fake.vgic.type = device->type;
    device->fd = (uint32_t)new_fd(&vgic_ino);
    return 0;
}

static int set_filter(const struct kvm_smccc_filter *filter)
{
    uint64_t end = (uint64_t)filter->base + filter->nr_functions;

    for (size_t i = 0; i < sizeof(filter->pad); i++)
        if (filter->pad[i])
            return -EINVAL;
    if (!filter->nr_functions || end > 1ull << 32 || filter->action > KVM_SMCCC_FILTER_FWD_TO_USER)
        return -EINVAL;
    if (fake.has_run)
        return -EBUSY;
    for (uint32_t i = 0; i < fake.n_filters; i++)
        if (filter->base < (uint64_t)fake.filters[i].base + fake.filters[i].nr_functions &&
            fake.filters[i].base < end)
            return -EEXIST;
    g_assert(fake.n_filters < FAKE_MAX_FILTERS);
    fake.filters[fake.n_filters++] = *filter;
    return 0;
}

bool fake_forwards(uint32_t function)
{
    for (uint32_t i = 0; i < fake.n_filters; i++)
        if (function - fake.filters[i].base < fake.filters[i].nr_functions)
            return fake.filters[i].action == KVM_SMCCC_FILTER_FWD_TO_USER;
    return false;
}

static void init_if_v2(void);

static int irq_line(const struct kvm_irq_level *level)
{
    uint32_t intid = level->irq & KVM_ARM_IRQ_NUM_MASK;

    if (!fake.vgic.created)
        return -ENXIO;
    init_if_v2();
    if (!fake.vgic.initialised)
        return -EBUSY;
    if (level->irq >> KVM_ARM_IRQ_TYPE_SHIFT != KVM_ARM_IRQ_TYPE_SPI || intid < FAKE_N_PRIVATE ||
        intid >= fake.vgic.n_irqs)
        return -EINVAL;
    fake.vgic.spis[intid].line = level->level;
    return 0;
}

/* --- Guest memory --- */

#define PAGE 4096

static bool overlaps(const FakeSlot *slot, const struct kvm_userspace_memory_region *region)
{
    return slot->size && region->guest_phys_addr < slot->base + slot->size &&
           slot->base < region->guest_phys_addr + region->memory_size;
}

static int set_memory(const struct kvm_userspace_memory_region *region)
{
    FakeSlot *slot = &fake.slots[region->slot % FAKE_MAX_SLOTS];

    if (region->slot >= FAKE_MAX_SLOTS || region->memory_size % PAGE ||
        region->guest_phys_addr % PAGE || region->userspace_addr % PAGE)
        return -EINVAL;
    if (!region->memory_size) {
        if (!slot->size)
            return -EINVAL;
        *slot = (FakeSlot){0};
        return 0;
    }
    if (slot->size)
        return -EINVAL; /* the fake's limit: KVM can move a slot */
    for (int i = 0; i < FAKE_MAX_SLOTS; i++)
        if (overlaps(&fake.slots[i], region))
            return -EEXIST;
    *slot = (FakeSlot){region->flags, region->guest_phys_addr, region->memory_size,
                       (const uint8_t *)(uintptr_t)region->userspace_addr};
    return 0;
}

/* NULL: there is no memory. */
static const void *memory_at(uint64_t address)
{
    for (int i = 0; i < FAKE_MAX_SLOTS; i++) {
        const FakeSlot *slot = &fake.slots[i];

        if (slot->size && address - slot->base < slot->size)
            return slot->memory + (address - slot->base);
    }
    return NULL;
}

static int vm_ioctl(unsigned long request, void *arg)
{
    const struct kvm_device_attr *attr = arg;

    if (!fake.host.kvm)
        return -ENOTTY;
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return check_extension((long)arg);
    case KVM_ARM_PREFERRED_TARGET:
        *(struct kvm_vcpu_init *)arg = (struct kvm_vcpu_init){.target = KVM_ARM_TARGET_GENERIC_V8};
        return 0;
    case KVM_HAS_DEVICE_ATTR:
        return fake.host.filter && attr->group == KVM_ARM_VM_SMCCC_CTRL &&
                       attr->attr == KVM_ARM_VM_SMCCC_FILTER
                   ? 0
                   : -ENXIO;
    case KVM_CREATE_DEVICE:
        return create_device(arg);
    case KVM_CREATE_VCPU:
        return create_vcpu((long)arg);
    case KVM_SET_DEVICE_ATTR:
        if (!fake.host.filter || attr->group != KVM_ARM_VM_SMCCC_CTRL ||
            attr->attr != KVM_ARM_VM_SMCCC_FILTER)
            return -ENXIO;
        return set_filter((const void *)(uintptr_t)attr->addr);
    case KVM_IRQ_LINE:
        return irq_line(arg);
    case KVM_SET_USER_MEMORY_REGION:
        return set_memory(arg);
    default:
        return -ENOTTY;
    }
}

/* --- vCPUs --- */

static int vcpu_init(FakeVcpu *v, const struct kvm_vcpu_init *init)
{
    uint32_t features = init->features[0] & ~(1u << KVM_ARM_VCPU_POWER_OFF);
    uint32_t pauth = 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
    bool off = init->features[0] & 1u << KVM_ARM_VCPU_POWER_OFF;

    if (init->target != KVM_ARM_TARGET_GENERIC_V8)
        return -EINVAL;
    if (features >> (KVM_ARM_VCPU_HAS_EL2 + 1))
        return -ENOENT;
    if ((features & 1u << KVM_ARM_VCPU_SVE && !fake.host.sve) ||
        (features & 1u << KVM_ARM_VCPU_PMU_V3 && !fake.host.pmu) ||
        ((features & pauth) && (features & pauth) != pauth))
        return -EINVAL;
    /* The same in the whole VM, and for ever. */
    for (uint32_t i = 0; i < fake.n_vcpus; i++)
        if (fake.vcpus[i].initialised && fake.vcpus[i].features != features)
            return -EINVAL;
    fake.n_unmaps += v->has_run && !fake.host.fwb;
    v->initialised = true;
    v->features = features;
    v->n_inits++;
    memset(v->x, 0, sizeof(v->x));
    memset(v->v0, 0, sizeof(v->v0));
    v->pc = v->csselr = v->tcr = v->ttbr0 = v->mair = v->contextidr = 0;
    v->sctlr = SCTLR_RESET;
    v->tvm = !fake.host.fwb;
    if (fake.host.init_resets_mpidr)
        v->mpidr = kvms_mpidr((uint32_t)(v - fake.vcpus));
    v->pmcnten = 0x15; /* unknown */
    v->irqs[TIMER_PPI].active = false;
    v->mp_state = off ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE;
    return 0;
}

#define REG_X0         0x6030000000100000
#define REG_PC         0x6030000000100040
#define REG_V0         0x6040000000100054
#define REG_MIDR       0x603000000013c000
#define REG_MPIDR      0x603000000013c005
#define REG_MMFR2      0x603000000013c03a
#define REG_SCTLR      0x603000000013c080
#define REG_TTBR0      0x603000000013c100
#define REG_TCR        0x603000000013c102
#define REG_MAIR       0x603000000013c510
#define REG_CONTEXTIDR 0x603000000013c681
#define REG_CSSELR     0x603000000013d000
#define REG_PTIMER_CNT 0x603000000013df01
#define REG_TIMER_CNT  0x603000000013df1a
#define REG_FW_VERSION 0x6030000000140000 /* KVM_REG_ARM_PSCI_VERSION */
#define REG_FW_BITMAP  0x6030000000160000 /* KVM_REG_ARM_STD_BMAP */
#define REG_APIAKEYLO  0x603000000013c108
#define REG_PMCR       0x603000000013dce0
#define REG_SVE_VLS    0x606000000015ffff
#define REG_ISAR0      0x603000000013c030 /* ID_AA64ISAR0_EL1 */
#define REG_CLIDR      0x603000000013c801
#define REG_CCSIDR     0x6020000000110000
#define REG_PMCNTENSET 0x603000000013dce1
#define REG_PMCNTENCLR 0x603000000013dce2

/* As KVM does, list a feature's registers only if the vCPU has it. */
static int get_reg_list(const FakeVcpu *v, struct kvm_reg_list *list)
{
    static const uint64_t ids[] = {
        REG_PC,        REG_V0,         REG_MIDR,      REG_MPIDR,      REG_MMFR2,  REG_SCTLR,
        REG_TTBR0,     REG_TCR,        REG_MAIR,      REG_CONTEXTIDR, REG_CSSELR, REG_PTIMER_CNT,
        REG_TIMER_CNT, REG_FW_VERSION, REG_FW_BITMAP, REG_ISAR0,      REG_CLIDR,  REG_CCSIDR};
    static const struct {
        uint32_t feature;
        uint64_t id;
    } optional[] = {{KVM_ARM_VCPU_SVE, REG_SVE_VLS},
                    {KVM_ARM_VCPU_PTRAUTH_ADDRESS, REG_APIAKEYLO},
                    {KVM_ARM_VCPU_PMU_V3, REG_PMCR},
                    {KVM_ARM_VCPU_PMU_V3, REG_PMCNTENSET},
                    {KVM_ARM_VCPU_PMU_V3, REG_PMCNTENCLR}};
    uint64_t room = list->n;

    if (!v->initialised)
        return -ENOEXEC;
    if (v->features & 1u << KVM_ARM_VCPU_SVE && !v->finalised)
        return -EPERM;
    list->n = 31 + G_N_ELEMENTS(ids);
    for (size_t i = 0; i < G_N_ELEMENTS(optional); i++)
        list->n += v->features >> optional[i].feature & 1;
    if (room < list->n)
        return -E2BIG;
    for (int i = 0; i < 31; i++)
        list->reg[i] = REG_X0 + 2 * i;
    memcpy(&list->reg[31], ids, sizeof(ids));
    list->n = 31 + G_N_ELEMENTS(ids);
    for (size_t i = 0; i < G_N_ELEMENTS(optional); i++)
        if (v->features >> optional[i].feature & 1)
            list->reg[list->n++] = optional[i].id;
    for (uint64_t i = 0; i < list->n; i++)
        if (list->reg[i] == fake.unlisted_reg)
            list->reg[i--] = list->reg[--list->n];
    return 0;
}

/* NULL: no such register, or none that has a value of its own. */
static void *find_reg(FakeVcpu *v, uint64_t id)
{
    uint64_t index = id - REG_X0;

    switch (id) {
    case REG_PC:
        return &v->pc;
    case REG_V0:
        return v->v0;
    case REG_MPIDR:
        return &v->mpidr;
    case REG_SCTLR:
        return &v->sctlr;
    case REG_TTBR0:
        return &v->ttbr0;
    case REG_TCR:
        return &v->tcr;
    case REG_MAIR:
        return &v->mair;
    case REG_CONTEXTIDR:
        return &v->contextidr;
    case REG_CSSELR:
        return &v->csselr;
    case REG_CLIDR:
        return &v->clidr;
    case REG_CCSIDR:
        return &v->ccsidr;
    case REG_APIAKEYLO:
        return v->features & 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS ? &v->apiakeylo : NULL;
    case REG_SVE_VLS:
        return v->features & 1u << KVM_ARM_VCPU_SVE ? v->vls : NULL;
    default:
        return index < 62 && index % 2 == 0 ? &v->x[index / 2] : NULL;
    }
}

static uint64_t mmfr2(void)
{
    return fake.host.fwb ? 1ull << 40 : 0;
}

static bool has_pmu(const FakeVcpu *v)
{
    return v->features & 1u << KVM_ARM_VCPU_PMU_V3;
}

static uint64_t with_n(uint64_t pmcr)
{
    return (pmcr & ~(0x1full << 11)) | fake.pmcr_n << 11;
}

/* Registers of the whole VM, and what is more than a variable. */
static int get_special(const FakeVcpu *v, uint64_t id, uint64_t *value)
{
    switch (id) {
    case REG_MIDR:
        *value = fake.host.midr;
        return 0;
    case REG_MMFR2:
        *value = mmfr2();
        return 0;
    case REG_ISAR0:
        *value = fake.isar0;
        return 0;
    case REG_FW_VERSION:
        *value = fake.psci_version;
        return 0;
    case REG_FW_BITMAP:
        *value = fake.fw_bitmap;
        return 0;
    case REG_TIMER_CNT:
        *value = fake.cntvct;
        return 0;
    case REG_PTIMER_CNT:
        *value = fake.cntpct;
        return 0;
    case REG_PMCR:
        *value = with_n(v->pmcr);
        return has_pmu(v) ? 0 : -ENOENT;
    case REG_PMCNTENSET:
    case REG_PMCNTENCLR:
        *value = v->pmcnten;
        return has_pmu(v) ? 0 : -ENOENT;
    default:
        return -ENOENT;
    }
}

/* A register that can be written until a vCPU has run. */
static int set_before_run(uint64_t *reg, uint64_t value)
{
    if (value == *reg)
        return 0;
    if (fake.has_run)
        return -EBUSY;
    *reg = value;
    return 0;
}

static int set_pmcr(FakeVcpu *v, uint64_t value)
{
    uint64_t n = value >> 11 & 0x1f;

    if (!has_pmu(v))
        return -ENOENT;
    v->pmcr = value;
    if (!fake.has_run && !fake.host.old_counters && n <= fake.host.n_counters)
        fake.pmcr_n = n;
    return 0;
}

static int set_pmcnten(FakeVcpu *v, bool set, uint64_t value)
{
    uint64_t valid = 1ull << 31 | ((1ull << fake.pmcr_n) - 1);

    if (!has_pmu(v))
        return -ENOENT;
    if (!fake.host.pmu_sets)
        v->pmcnten = value & valid;
    else if (set)
        v->pmcnten |= value & valid;
    else
        v->pmcnten &= ~value;
    return 0;
}

static int set_special(FakeVcpu *v, uint64_t id, const uint64_t *value)
{
    switch (id) {
    case REG_TIMER_CNT:
        fake.n_jumps++;
        fake.jumped_at = fake.n_calls;
        fake.cntvct = *value;
        return 0;
    case REG_PTIMER_CNT:
        fake.n_jumps++;
        fake.jumped_at = fake.n_calls;
        fake.cntpct = *value;
        return 0;
    case REG_MIDR:
        return *value == fake.host.midr ? 0 : -EINVAL;
    case REG_MMFR2:
        return *value == mmfr2() ? 0 : -EINVAL;
    case REG_ISAR0:
        return *value & ~fake.host.isar0 ? -EINVAL : set_before_run(&fake.isar0, *value);
    case REG_FW_VERSION:
        if (*value < PSCI_VERSION(0, 2) || *value > fake.host.psci_version)
            return -EINVAL;
        fake.psci_version = *value;
        return 0;
    case REG_FW_BITMAP:
        return *value & ~1ull ? -EINVAL : set_before_run(&fake.fw_bitmap, *value);
    case REG_PMCR:
        return set_pmcr(v, *value);
    case REG_PMCNTENSET:
    case REG_PMCNTENCLR:
        return set_pmcnten(v, id == REG_PMCNTENSET, *value);
    default:
        return -ENOENT;
    }
}

/* Of 64 bits, at any address. */
static int special_reg(FakeVcpu *v, uint64_t id, void *value, bool set)
{
    uint64_t copy = 0;
    int error;

    if (set) {
        memcpy(&copy, value, sizeof(copy));
        return set_special(v, id, &copy);
    }
    error = get_special(v, id, &copy);
    if (!error)
        memcpy(value, &copy, sizeof(copy));
    return error;
}

static int one_reg(FakeVcpu *v, const struct kvm_one_reg *reg, bool set)
{
    size_t size = 1u << ((reg->id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
    void *value = (void *)(uintptr_t)reg->addr;
    void *own = find_reg(v, reg->id);

    if (!v->initialised)
        return -ENOEXEC;
    if (reg->id == fake.hidden_reg || reg->id == fake.unlisted_reg)
        return -ENOENT;
    if (!own)
        return special_reg(v, reg->id, value, set);
    if (reg->id == REG_SVE_VLS && set && v->finalised)
        return -EPERM;
    memcpy(set ? own : value, set ? value : own, size);
    return 0;
}

static int get_pmu_attr(const FakeVcpu *v, const struct kvm_device_attr *attr)
{
    if (attr->group != KVM_ARM_VCPU_PMU_V3_CTRL || attr->attr != KVM_ARM_VCPU_PMU_V3_IRQ)
        return -ENXIO;
    if (!(v->features & 1u << KVM_ARM_VCPU_PMU_V3))
        return -ENODEV;
    if (!v->pmu_irq)
        return -ENXIO;
    *(int *)(uintptr_t)attr->addr = v->pmu_irq;
    return 0;
}

static int set_pmu_attr(FakeVcpu *v, const struct kvm_device_attr *attr)
{
    if (attr->group != KVM_ARM_VCPU_PMU_V3_CTRL)
        return -ENXIO;
    if (!v->initialised || !(v->features & 1u << KVM_ARM_VCPU_PMU_V3) || v->pmu_initialised)
        return v->pmu_initialised ? -EBUSY : -ENODEV;
    if (attr->attr == KVM_ARM_VCPU_PMU_V3_IRQ) {
        int irq = *(const int *)(uintptr_t)attr->addr;

        if (irq < 16 || irq >= 32)
            return -EINVAL;
        for (uint32_t i = 0; i < fake.n_vcpus; i++)
            if (fake.vcpus[i].pmu_irq && fake.vcpus[i].pmu_irq != irq)
                return -EINVAL;
        if (v->pmu_irq)
            return -EBUSY;
        v->pmu_irq = irq;
        return 0;
    }
    if (attr->attr != KVM_ARM_VCPU_PMU_V3_INIT)
        return -ENXIO;
    if (!fake.vgic.initialised)
        return -ENODEV;
    if (!v->pmu_irq)
        return -ENXIO;
    v->pmu_initialised = true;
    return 0;
}

static int first_run(const FakeVcpu *v)
{
    uint32_t slots = 0;

    if (!v->initialised)
        return -ENOEXEC;
    if (v->features & 1u << KVM_ARM_VCPU_SVE && !v->finalised)
        return -EPERM;
    if (!fake.vgic.created)
        return 0;
    init_if_v2();
    if (!fake.vgic.initialised)
        return -EBUSY;
    for (uint32_t i = 0; i < fake.vgic.n_regions; i++)
        slots += fake.vgic.regions[i] >> 52 ? fake.vgic.regions[i] >> 52 : FAKE_MAX_VCPUS;
    if (fake.vgic.dist_base == NO_ADDRESS ||
        (fake.vgic.type == KVM_DEV_TYPE_ARM_VGIC_V2 ? fake.vgic.cpu_base == NO_ADDRESS
                                                    : slots < fake.n_vcpus))
        return -ENXIO;
    /* The timers, too, want their interrupts for themselves. */
    if (v->features & 1u << KVM_ARM_VCPU_PMU_V3 &&
        (!v->pmu_initialised || v->pmu_irq == TIMER_PPI || v->pmu_irq == PTIMER_PPI))
        return -EINVAL;
    return 0;
}

/* KVM's own SYSTEM_OFF and SYSTEM_RESET. */
static void stop_all(FakeVcpu *caller)
{
    for (uint32_t i = 0; i < fake.n_vcpus; i++)
        fake.vcpus[i].mp_state = KVM_MP_STATE_STOPPED;
    caller->x[0] = (uint64_t)PSCI_RET_INTERNAL_FAILURE;
}

/* The only stage-1 translation that the fake has: 31 bits of addresses, in blocks of 1 GiB. */
static const void *translate(const FakeVcpu *v, uint64_t address)
{
    const uint64_t gib = 1ull << 30, accessed_block = 1ull << 10 | 1;
    const uint64_t *table = memory_at(v->ttbr0);

    if (!(v->sctlr & 1))
        return memory_at(address);
    if ((v->tcr & 0x3f) != 33 || v->ttbr0 % 16 || !table || address >= 2 * gib ||
        (table[address / gib] & 0x403) != accessed_block)
        return NULL;
    return memory_at((table[address / gib] & 0xffffc0000000) + address % gib);
}

/* KVM cleans all memory when MMU and caches are enabled by what it traps. */
static void write_mmu_register(FakeVcpu *v, uint64_t sctlr)
{
    bool was = (v->sctlr & SCTLR_MMU) == SCTLR_MMU, is = (sctlr & SCTLR_MMU) == SCTLR_MMU;

    v->sctlr = sctlr;
    if (!v->tvm)
        return;
    fake.n_flushes += was != is;
    v->tvm = !is;
}

/* Run what is in the guest's memory, if it is there, until it calls. */
static void run_code(FakeVcpu *v)
{
    const uint32_t *insn;

    for (; (insn = translate(v, v->pc)); v->pc += INSN) {
        switch (*insn) {
        case 0xd518d03f: /* msr contextidr_el1, xzr */
            v->contextidr = 0;
            write_mmu_register(v, v->sctlr);
            break;
        case 0xd4000002: /* hvc #0 */
            g_assert(fake_forwards((uint32_t)v->x[0]));
            v->pc += INSN;
            v->next = (struct kvm_run){.hypercall.nr = v->x[0]};
            v->next_exit = KVM_EXIT_HYPERCALL;
            return;
        default:
            g_assert_not_reached();
        }
    }
}

void fake_guest_enable_mmu(uint32_t vcpu)
{
    g_mutex_lock(&lock);
    write_mmu_register(&fake.vcpus[vcpu], fake.vcpus[vcpu].sctlr | SCTLR_MMU);
    g_mutex_unlock(&lock);
}

static int run_vcpu(FakeVcpu *v, uint32_t id)
{
    struct kvm_run run = get_run(id);
    int error = v->has_run ? 0 : first_run(v);

    if (error)
        return error;
    v->has_run = fake.has_run = true;
    if (run.exit_reason == KVM_EXIT_MMIO && v->mmio_pending) {
        if (!run.mmio.is_write)
            memcpy(&v->x[0], run.mmio.data, sizeof(v->x[0]));
        v->pc += INSN;
        v->mmio_pending = false;
    }
    if (run.immediate_exit)
        return -EINTR;
    if (!v->signalled && !v->next_exit && v->mp_state != KVM_MP_STATE_STOPPED)
        run_code(v);
    v->running = true;
    while (!v->signalled && (!v->next_exit || v->mp_state == KVM_MP_STATE_STOPPED))
        g_cond_wait(&signals, &lock);
    v->running = false;
    run = get_run(id);
    if (v->signalled) {
        v->signalled = false;
        run.exit_reason = KVM_EXIT_INTR;
        put_run(id, &run);
        return -EINTR;
    }
    v->next.exit_reason = v->next_exit;
    v->next_exit = 0;
    v->mmio_pending = v->next.exit_reason == KVM_EXIT_MMIO;
    if (v->next.exit_reason == KVM_EXIT_SYSTEM_EVENT &&
        (v->next.system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ||
         v->next.system_event.type == KVM_SYSTEM_EVENT_RESET))
        stop_all(v);
    put_run(id, &v->next);
    return 0;
}

static int finalize(FakeVcpu *v, int feature)
{
    if (!v->initialised)
        return -ENOEXEC;
    if (feature != KVM_ARM_VCPU_SVE || !(v->features & 1u << KVM_ARM_VCPU_SVE))
        return -EINVAL;
    if (v->finalised)
        return -EPERM;
    v->finalised = true;
    return 0;
}

static int vcpu_ioctl(uint32_t id, unsigned long request, void *arg)
{
    FakeVcpu *v = &fake.vcpus[id];

    if (v->running)
        fake.n_deadlocks++;
    switch (request) {
    case KVM_GET_REG_LIST:
        return get_reg_list(v, arg);
    case KVM_GET_ONE_REG:
        return one_reg(v, arg, false);
    case KVM_GET_DEVICE_ATTR:
        return get_pmu_attr(v, arg);
    case KVM_RUN:
        return run_vcpu(v, id);
    case KVM_ARM_VCPU_INIT:
        return vcpu_init(v, arg);
    case KVM_ARM_VCPU_FINALIZE:
        return finalize(v, *(int *)arg);
    case KVM_SET_ONE_REG:
        return one_reg(v, arg, true);
    case KVM_GET_MP_STATE:
        ((struct kvm_mp_state *)arg)->mp_state = v->mp_state;
        return 0;
    case KVM_SET_MP_STATE:
        v->mp_state = ((struct kvm_mp_state *)arg)->mp_state;
        return 0;
    case KVM_GET_VCPU_EVENTS:
        *(struct kvm_vcpu_events *)arg = v->events;
        return 0;
    case KVM_SET_VCPU_EVENTS:
        v->events = *(const struct kvm_vcpu_events *)arg;
        return 0;
    case KVM_SET_DEVICE_ATTR:
        return set_pmu_attr(v, arg);
    default:
        return -ENOTTY;
    }
}

/* --- The vGIC's registers. Its state is what a guest can change there. --- */

static bool is_v2(void)
{
    return fake.vgic.type == KVM_DEV_TYPE_ARM_VGIC_V2;
}

/* A register of fields, one for each interrupt: 0: not one; else the bits of a field. */
static uint32_t field_bits(uint32_t reg)
{
    switch (reg) {
    case 0x080:
    case 0x100:
    case 0x180:
    case 0x200:
    case 0x280:
    case 0x300:
    case 0x380:
        return 1;
    case 0xc00:
        return 2;
    case 0x400:
    case 0x800:
        return 8;
    default:
        return 0;
    }
}

static void write_field(FakeIrq *irq, uint32_t reg, uint32_t value, bool private)
{
    switch (reg) {
    case 0x080:
        if (!is_v2() || fake.vgic.iidr_confirmed)
            irq->group1 = value;
        break;
    case 0x100:
        irq->enabled |= value;
        break;
    case 0x180:
        irq->enabled &= !value;
        break;
    case 0x200:
        irq->pending = is_v2() ? irq->pending | value : value;
        break;
    case 0x280:
        irq->pending &= !(is_v2() && value);
        break;
    case 0x300:
        irq->active |= value;
        break;
    case 0x380:
        irq->active &= !value;
        break;
    case 0x400:
        irq->priority = value;
        break;
    case 0x800:
        if (is_v2() && !private)
            irq->targets = value;
        break;
    case 0xc00:
        if (!private)
            irq->edge = value >> 1;
        break;
    }
}

/* Writes a word of fields at offset. KVM ignores what is no register. */
static void write_fields(FakeIrq *irqs, uint32_t n, uint32_t offset, uint32_t value, bool private)
{
    static const uint32_t starts[] = {0xc00, 0x800, 0x400, 0x380, 0x300,
                                      0x280, 0x200, 0x180, 0x100, 0x080};

    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
        uint32_t bits, first;

        if (offset < starts[i])
            continue;
        bits = field_bits(starts[i]);
        first = (offset - starts[i]) * 8 / bits;
        for (uint32_t j = 0; j < 32 / bits && first + j < n; j++)
            write_field(&irqs[first + j], starts[i], value >> (j * bits) & ((1u << bits) - 1),
                        private);
        return;
    }
}

static uint32_t read_field(const FakeIrq *irq, uint32_t reg)
{
    switch (reg) {
    case 0x080:
        return irq->group1;
    case 0x100:
    case 0x180:
        return irq->enabled;
    case 0x200:
        return irq->pending || (is_v2() && !irq->edge && irq->line);
    case 0x300:
    case 0x380:
        return irq->active;
    case 0x400:
        return irq->priority;
    case 0x800:
        return irq->targets;
    case 0xc00:
        return (uint32_t)irq->edge << 1;
    default:
        return 0;
    }
}

/* KVM reads as 0 what is no register. */
static uint32_t read_fields(const FakeIrq *irqs, uint32_t n, uint32_t offset)
{
    static const uint32_t starts[] = {0x1000, 0xc00, 0x800, 0x400, 0x380, 0x300,
                                      0x280,  0x200, 0x180, 0x100, 0x080};
    uint32_t value = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
        uint32_t bits = field_bits(starts[i]), first;

        if (offset < starts[i])
            continue;
        if (!bits)
            break;
        first = (offset - starts[i]) * 8 / bits;
        for (uint32_t j = 0; j < 32 / bits && first + j < n; j++)
            value |= read_field(&irqs[first + j], starts[i]) << (j * bits);
        break;
    }
    return value;
}

/* GICD_CPENDSGIR, GICD_SPENDSGIR */
static bool is_sgi_source(uint32_t offset)
{
    return is_v2() && offset >= 0xf10 && offset < 0xf30;
}

static uint32_t read_sources(const FakeIrq *sgis, uint32_t offset)
{
    uint32_t value = 0;

    for (uint32_t i = 0; i < 4; i++)
        value |= (uint32_t)sgis[offset % 16 + i].sources << (8 * i);
    return value;
}

static void write_sources(FakeIrq *sgis, uint32_t offset, uint32_t value)
{
    for (uint32_t i = 0; i < 4; i++) {
        FakeIrq *sgi = &sgis[offset % 16 + i];
        uint8_t bits = (uint8_t)(value >> (8 * i));

        sgi->sources = offset >= 0xf20 ? sgi->sources | bits : sgi->sources & ~bits;
        sgi->pending = sgi->sources;
    }
}

#define IIDR (0x4b00043bu | fake.vgic.revision << 12)

/* Of a GICv3, user space may choose an older revision. */
static int write_iidr(uint32_t value)
{
    uint32_t revision = value >> 12 & 0xf;

    if ((value ^ IIDR) & ~0xf000u)
        return -EINVAL;
    if (is_v2() ? value != IIDR : revision < 2 || revision > fake.host.revision)
        return -EINVAL;
    fake.vgic.revision = revision;
    fake.vgic.iidr_confirmed = true;
    return 0;
}

static int write_distributor(uint64_t attr, uint32_t value)
{
    uint32_t offset = (uint32_t)attr, bank = attr >> 32 & 0xff;
    FakeIrq irqs[1024];

    if (offset == 0x000) {
        fake.vgic.ctlr = value & 1;
        return 0;
    }
    if (offset == 0x008)
        return write_iidr(value);
    if (!is_v2() && offset >= 0x6100 && offset < 0x6000 + 8 * fake.vgic.n_irqs) {
        if (offset % 8 == 0)
            fake.vgic.spis[offset % 0x6000 / 8].router = value & 0xffffff;
        return 0;
    }
    if (is_v2() && bank >= fake.n_vcpus)
        return -EINVAL;
    if (is_sgi_source(offset)) {
        write_sources(fake.vcpus[bank].irqs, offset, value);
        return 0;
    }
    /* The GICv2's banked part, which in a GICv3 ignores writes. */
    memcpy(irqs, fake.vgic.spis, sizeof(irqs));
    memcpy(irqs, fake.vcpus[bank].irqs, sizeof(fake.vcpus[bank].irqs));
    write_fields(irqs, fake.vgic.n_irqs, offset, value, false);
    memcpy(&fake.vgic.spis[FAKE_N_PRIVATE], &irqs[FAKE_N_PRIVATE],
           sizeof(irqs) - FAKE_N_PRIVATE * sizeof(*irqs));
    if (is_v2())
        write_fields(fake.vcpus[bank].irqs, FAKE_N_PRIVATE, offset, value, true);
    return 0;
}

static int read_distributor(uint64_t attr, uint32_t *value)
{
    uint32_t offset = (uint32_t)attr, bank = attr >> 32 & 0xff;
    FakeIrq irqs[1024];

    if (is_v2() && bank >= fake.n_vcpus)
        return -EINVAL;
    if (offset == 0x000) {
        *value = fake.vgic.ctlr;
    } else if (offset == 0x008) {
        *value = IIDR;
    } else if (!is_v2() && offset >= 0x6100 && offset < 0x6000 + 8 * fake.vgic.n_irqs) {
        *value = offset % 8 ? 0 : fake.vgic.spis[offset % 0x6000 / 8].router;
    } else if (is_sgi_source(offset)) {
        *value = read_sources(fake.vcpus[bank].irqs, offset);
    } else {
        memcpy(irqs, fake.vgic.spis, sizeof(irqs));
        memset(irqs, 0, FAKE_N_PRIVATE * sizeof(*irqs));
        if (is_v2())
            memcpy(irqs, fake.vcpus[bank].irqs, sizeof(fake.vcpus[bank].irqs));
        *value = read_fields(irqs, fake.vgic.n_irqs, offset);
    }
    return 0;
}

/* The levels of 32 lines. */
static int line_levels(FakeVcpu *v, uint32_t attr, uint32_t *value, bool set)
{
    uint32_t first = attr & 0x3ff;
    FakeIrq *irqs = first ? &fake.vgic.spis[first] : v->irqs;

    if (attr >> 10 || first % 32 || first >= fake.vgic.n_irqs)
        return -EINVAL;
    if (!set)
        *value = 0;
    for (uint32_t i = 0; i < 32; i++) {
        if (set)
            irqs[i].line = *value >> i & 1;
        else
            *value |= (uint32_t)irqs[i].line << i;
    }
    return 0;
}

static FakeVcpu *by_affinity(uint64_t attr)
{
    uint64_t aff = attr >> 32;

    for (uint32_t i = 0; i < fake.n_vcpus; i++)
        if ((fake.vcpus[i].mpidr & 0xff00ffffff) == ((aff & 0xffffff) | aff >> 24 << 32))
            return &fake.vcpus[i];
    return NULL;
}

static int write_redistributor(FakeVcpu *v, uint32_t offset, uint32_t value)
{
    uint64_t *base = offset < 0x78 ? &v->propbaser : &v->pendbaser;

    switch (offset) {
    case 0x0000:
        v->gicr_ctlr = value & 1;
        return 0;
    case 0x0070:
    case 0x0074:
    case 0x0078:
    case 0x007c:
        if (!v->gicr_ctlr) {
            uint32_t shift = offset % 8 * 8;

            *base = (*base & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
            /* There are no uncached tables. */
            if ((*base >> 7 & 7) < 2)
                *base = (*base & ~0x380ull) | 0x180;
        }
        return 0;
    default:
        if (offset >= 0x10000 && (offset & 0xfff) != 0x800)
            write_fields(v->irqs, FAKE_N_PRIVATE, offset - 0x10000, value, true);
        return 0;
    }
}

static uint32_t read_redistributor(const FakeVcpu *v, uint32_t offset)
{
    uint64_t base = offset < 0x78 ? v->propbaser : v->pendbaser;

    switch (offset) {
    case 0x0000:
        return v->gicr_ctlr | 6; /* IR, CES */
    case 0x0070:
    case 0x0074:
    case 0x0078:
    case 0x007c:
        return (uint32_t)(base >> (offset % 8 * 8));
    default:
        return offset >= 0x10000 ? read_fields(v->irqs, FAKE_N_PRIVATE, offset - 0x10000) : 0;
    }
}

#define CTLR_FIXED ((fake.vgic.pri_bits - 1) << 8)

static int cpu_sysreg(FakeCpuInterface *cpu, uint32_t instr, uint64_t *value, bool set)
{
    /* Preemption levels in 32s: KVM has registers for them only. */
    uint32_t n_apr = cpu->ctlr >> 8 == 6 ? 4 : cpu->ctlr >> 8 == 5 ? 2 : 1;
    uint32_t *reg;

    if (instr >= 0xc644 && instr <= 0xc647) {
        reg = &cpu->ap0r[instr - 0xc644];
    } else if (instr >= 0xc648 && instr <= 0xc64b) {
        reg = &cpu->ap1r[instr - 0xc648];
    } else {
        switch (instr) {
        case 0xc230:
            reg = &cpu->pmr;
            break;
        case 0xc643:
            reg = &cpu->bpr0;
            break;
        case 0xc663:
            /* While CBPR is set, BPR1 is BPR0's. */
            if (set && cpu->ctlr & 1)
                return 0;
            reg = &cpu->bpr1;
            break;
        case 0xc664:
            /* A guest may have fewer priority bits than the host. */
            if (set && ((*value & ~0x703ull) || (*value >> 8 & 7) > fake.vgic.pri_bits - 1))
                return -EINVAL;
            reg = &cpu->ctlr;
            break;
        case 0xc666:
            reg = &cpu->igrpen0;
            break;
        case 0xc667:
            reg = &cpu->igrpen1;
            break;
        default:
            return -ENOENT;
        }
    }
    if (instr >= 0xc644 && instr <= 0xc64b && (instr & 3) >= n_apr)
        return -EINVAL;
    if (set)
        *reg = (uint32_t)*value;
    else
        *value = *reg;
    return 0;
}

/* GICv2: GICC_CTLR, PMR, BPR, ABPR, APR0 … 3, of which the last three are not there. */
static int cpu_v2(uint64_t attr, uint32_t *value, bool set)
{
    uint32_t bank = attr >> 32 & 0xff, none = 0, *reg = &none;
    FakeCpuInterface *cpu = &fake.vcpus[bank].cpu;

    if (bank >= fake.n_vcpus)
        return -EINVAL;
    switch ((uint32_t)attr) {
    case 0x00:
        reg = &cpu->ctlr;
        break;
    case 0x04:
        reg = &cpu->pmr;
        break;
    case 0x08:
        reg = &cpu->bpr0;
        break;
    case 0x1c:
        reg = &cpu->bpr1;
        break;
    case 0xd0:
        reg = &cpu->ap1r[0];
        break;
    case 0xd4:
    case 0xd8:
    case 0xdc:
        break;
    default:
        return -ENXIO;
    }
    if (set)
        *reg = *value;
    else
        *value = *reg;
    return 0;
}

static int vgic_register(const struct kvm_device_attr *attr, bool set)
{
    void *value = (void *)(uintptr_t)attr->addr;
    FakeVcpu *v = by_affinity(attr->attr);

    if (attr->group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS && !is_v2() && !fake.n_vcpus)
        return -EINVAL;
    if (any_vcpu(true))
        return -EBUSY;
    init_if_v2();
    if (!fake.vgic.initialised)
        return -EBUSY;
    switch (attr->group) {
    case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
        return set ? write_distributor(attr->attr, *(uint32_t *)value)
                   : read_distributor(attr->attr, value);
    case KVM_DEV_ARM_VGIC_GRP_CPU_REGS:
        return is_v2() ? cpu_v2(attr->attr, value, set) : -ENXIO;
    case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
        if (is_v2())
            return -ENXIO;
        return v ? line_levels(v, (uint32_t)attr->attr, value, set) : -EINVAL;
    case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
        if (is_v2())
            return -ENXIO;
        if (!v)
            return -EINVAL;
        if (set)
            return write_redistributor(v, (uint32_t)attr->attr, *(uint32_t *)value);
        *(uint32_t *)value = read_redistributor(v, (uint32_t)attr->attr);
        return 0;
    case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
        if (is_v2())
            return -ENXIO;
        return v ? cpu_sysreg(&v->cpu, attr->attr & 0xffff, value, set) : -EINVAL;
    default:
        return -ENXIO;
    }
}

/* --- The vGIC's creation --- */

static int set_once(uint64_t *base, uint64_t value, uint64_t align)
{
    if (*base != NO_ADDRESS)
        return -EEXIST;
    if (value % align)
        return -EINVAL;
    *base = value;
    return 0;
}

/* By KVM_VGIC_V3_ADDR_TYPE_REDIST or by …_REDIST_REGION, but not by both. The former's count is 0:
 * it has no limit. */
static int set_region(uint64_t value, bool legacy)
{
    FakeVgic *vgic = &fake.vgic;

    if (legacy) {
        if (vgic->n_regions)
            return vgic->regions[0] >> 52 ? -EINVAL : -EEXIST;
        vgic->regions[vgic->n_regions++] = value;
        return 0;
    }
    if (vgic->n_regions && !(vgic->regions[0] >> 52))
        return -EINVAL;
    if (!(value >> 52) || value & 0xf000 || (value & 0xfff) != vgic->n_regions)
        return -EINVAL;
    vgic->regions[vgic->n_regions++] = value;
    return 0;
}

static int get_region(uint64_t *value)
{
    uint64_t index = *value & 0xfff;

    if (index >= fake.vgic.n_regions)
        return -ENOENT;
    *value = fake.vgic.regions[index];
    return 0;
}

/* NULL: not an address of this version's, or one of redistributors. */
static uint64_t *find_address(uint64_t type)
{
    switch (type) {
    case KVM_VGIC_V2_ADDR_TYPE_DIST:
        return is_v2() ? &fake.vgic.dist_base : NULL;
    case KVM_VGIC_V2_ADDR_TYPE_CPU:
        return is_v2() ? &fake.vgic.cpu_base : NULL;
    case KVM_VGIC_V3_ADDR_TYPE_DIST:
        return is_v2() ? NULL : &fake.vgic.dist_base;
    default:
        return NULL;
    }
}

static bool is_redist_type(uint64_t type)
{
    return !is_v2() &&
           (type == KVM_VGIC_V3_ADDR_TYPE_REDIST || type == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION);
}

static int set_vgic_address(uint64_t type, uint64_t value)
{
    uint64_t *base = find_address(type);

    if (base)
        return set_once(base, value, is_v2() ? 0x1000 : 0x10000);
    return is_redist_type(type) ? set_region(value, type == KVM_VGIC_V3_ADDR_TYPE_REDIST) : -ENXIO;
}

static int get_vgic_address(uint64_t type, uint64_t *value)
{
    const uint64_t *base = find_address(type);

    if (base) {
        *value = *base;
        return 0;
    }
    if (!is_redist_type(type))
        return -ENXIO;
    if (type == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION)
        return get_region(value);
    *value = fake.vgic.n_regions ? fake.vgic.regions[0] & 0xffffffff0000ull : NO_ADDRESS;
    return 0;
}

/* SPIs are edge-triggered at first, PPIs level. */
static void boot_irq(FakeIrq *irq, uint32_t intid)
{
    *irq = (FakeIrq){.group1 = !is_v2(), .enabled = intid < 16, .edge = intid < 16 || intid >= 32};
}

static int init_vgic(void)
{
    if (fake.vgic.initialised)
        return 0;
    fake.vgic.initialised = true;
    fake.vgic.pri_bits = fake.host.pri_bits;
    if (!fake.vgic.n_irqs)
        fake.vgic.n_irqs = 256;
    for (uint32_t i = FAKE_N_PRIVATE; i < fake.vgic.n_irqs; i++)
        boot_irq(&fake.vgic.spis[i], i);
    for (uint32_t i = 0; i < fake.n_vcpus; i++) {
        if (!fake.vcpus[i].initialised)
            g_error("vGIC initialised before vCPU %u: its private interrupts may be lost", i);
        for (uint32_t j = 0; j < FAKE_N_PRIVATE; j++)
            boot_irq(&fake.vcpus[i].irqs[j], j);
        if (!is_v2()) {
            fake.vcpus[i].cpu.ctlr = CTLR_FIXED;
            fake.vcpus[i].pendbaser = LPI_TABLES;
        }
    }
    return 0;
}

/* KVM initialises a GICv2 when that is first needed. */
static void init_if_v2(void)
{
    if (is_v2())
        init_vgic();
}

static int vgic_set(const struct kvm_device_attr *attr)
{
    const void *value = (const void *)(uintptr_t)attr->addr;

    switch (attr->group) {
    case KVM_DEV_ARM_VGIC_GRP_ADDR:
        return set_vgic_address(attr->attr, *(const uint64_t *)value);
    case KVM_DEV_ARM_VGIC_GRP_NR_IRQS: {
        uint32_t n = *(const uint32_t *)value;

        if (n < 64 || n > 1023 || n % 32)
            return -EINVAL;
        if (fake.vgic.n_irqs || fake.vgic.initialised)
            return -EBUSY;
        fake.vgic.n_irqs = n;
        return 0;
    }
    case KVM_DEV_ARM_VGIC_GRP_CTRL:
        if (attr->attr == KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES && !is_v2()) {
            fake.vgic.n_pending_saves++;
            return any_vcpu(true) ? -EBUSY : 0;
        }
        return attr->attr == KVM_DEV_ARM_VGIC_CTRL_INIT ? init_vgic() : -ENXIO;
    default:
        return vgic_register(attr, true);
    }
}

static int vgic_get(const struct kvm_device_attr *attr)
{
    void *value = (void *)(uintptr_t)attr->addr;

    switch (attr->group) {
    case KVM_DEV_ARM_VGIC_GRP_ADDR:
        return get_vgic_address(attr->attr, value);
    case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
        *(uint32_t *)value = MAX(fake.vgic.n_irqs, FAKE_N_PRIVATE);
        return 0;
    default:
        return vgic_register(attr, false);
    }
}

static int vgic_ioctl(unsigned long request, void *arg)
{
    const struct kvm_device_attr *attr = arg;

    switch (request) {
    case KVM_SET_DEVICE_ATTR:
        return vgic_set(attr);
    case KVM_GET_DEVICE_ATTR:
        return vgic_get(attr);
    case KVM_HAS_DEVICE_ATTR:
        return attr->group == KVM_DEV_ARM_VGIC_GRP_ADDR &&
                       (find_address(attr->attr) || is_redist_type(attr->attr))
                   ? 0
                   : -ENXIO;
    default:
        return -ENOTTY;
    }
}

/* The registers of the ITS that are left alone once it is enabled. */
static uint64_t *find_its_register(uint64_t offset)
{
    if (offset >= 0x100 && offset < 0x140)
        return &fake.vgic.basers[(offset - 0x100) / 8];
    return offset == 0x80 ? &fake.vgic.cbaser : offset == 0x88 ? &fake.vgic.cwriter : NULL;
}

static int its_write(uint64_t offset, uint64_t value)
{
    FakeVgic *vgic = &fake.vgic;
    uint64_t *reg = find_its_register(offset);

    switch (offset) {
    case 0x00:
        vgic->its_enabled = value & 1;
        return 0;
    case 0x04:
        if ((value >> 12 & 0xf) > fake.host.its_revision)
            return -EINVAL;
        vgic->its_revision = value >> 12 & 0xf;
        return 0;
    case 0x90:
        if (vgic->its_enabled)
            return -EBUSY;
        vgic->creadr = value;
        return 0;
    default:
        if (!reg)
            return -ENXIO;
        if (vgic->its_enabled)
            return 0;
        if (offset == 0x80)
            vgic->creadr = vgic->cwriter = 0;
        *reg = value;
        return 0;
    }
}

static int its_read(uint64_t offset, uint64_t *value)
{
    const uint64_t *reg = find_its_register(offset);

    switch (offset) {
    case 0x00:
        *value = fake.vgic.its_enabled | 1u << 31; /* Quiescent */
        return 0;
    case 0x04:
        *value = 0x4b00043b | fake.vgic.its_revision << 12;
        return 0;
    case 0x90:
        *value = fake.vgic.creadr;
        return 0;
    default:
        if (!reg)
            return -ENXIO;
        *value = *reg;
        return 0;
    }
}

/* KVM finds the tables by the registers. */
static int restore_tables(void)
{
    fake.vgic.n_restores++;
    return fake.vgic.its_enabled ? -EINVAL : 0;
}

static int its_set(const struct kvm_device_attr *attr)
{
    if (attr->group == KVM_DEV_ARM_VGIC_GRP_ADDR && attr->attr == KVM_VGIC_ITS_ADDR_TYPE)
        return set_once(&fake.vgic.its_base, *(const uint64_t *)(uintptr_t)attr->addr, 0x10000);
    if (attr->group == KVM_DEV_ARM_VGIC_GRP_ITS_REGS)
        return any_vcpu(true) ? -EBUSY
                              : its_write(attr->attr, *(const uint64_t *)(uintptr_t)attr->addr);
    if (attr->group != KVM_DEV_ARM_VGIC_GRP_CTRL)
        return -ENXIO;
    switch (attr->attr) {
    case KVM_DEV_ARM_ITS_SAVE_TABLES:
        fake.vgic.n_saves++;
        return any_vcpu(true) ? -EBUSY : 0;
    case KVM_DEV_ARM_ITS_RESTORE_TABLES:
        return any_vcpu(true) ? -EBUSY : restore_tables();
    case KVM_DEV_ARM_VGIC_CTRL_INIT:
        fake.vgic.its_initialised = true;
        return 0;
    case KVM_DEV_ARM_ITS_CTRL_RESET:
        fake.vgic.n_its_resets++;
        return any_vcpu(true) ? -EBUSY : 0;
    default:
        return -ENXIO;
    }
}

static int its_ioctl(unsigned long request, void *arg)
{
    const struct kvm_device_attr *attr = arg;

    switch (request) {
    case KVM_SET_DEVICE_ATTR:
        return its_set(attr);
    case KVM_GET_DEVICE_ATTR:
        if (attr->group == KVM_DEV_ARM_VGIC_GRP_ITS_REGS)
            return any_vcpu(true) ? -EBUSY
                                  : its_read(attr->attr, (uint64_t *)(uintptr_t)attr->addr);
        if (attr->group != KVM_DEV_ARM_VGIC_GRP_ADDR || attr->attr != KVM_VGIC_ITS_ADDR_TYPE)
            return -ENXIO;
        *(uint64_t *)(uintptr_t)attr->addr = fake.vgic.its_base;
        return 0;
    default:
        return -ENOTTY;
    }
}

/* --- The entry point --- */

static const char *request_name(unsigned long request)
{
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return "KVM_CHECK_EXTENSION";
    case KVM_ARM_PREFERRED_TARGET:
        return "KVM_ARM_PREFERRED_TARGET";
    case KVM_HAS_DEVICE_ATTR:
        return "KVM_HAS_DEVICE_ATTR";
    case KVM_SET_DEVICE_ATTR:
        return "KVM_SET_DEVICE_ATTR";
    case KVM_GET_DEVICE_ATTR:
        return "KVM_GET_DEVICE_ATTR";
    case KVM_CREATE_DEVICE:
        return "KVM_CREATE_DEVICE";
    case KVM_CREATE_VCPU:
        return "KVM_CREATE_VCPU";
    case KVM_IRQ_LINE:
        return "KVM_IRQ_LINE";
    case KVM_ARM_VCPU_INIT:
        return "KVM_ARM_VCPU_INIT";
    case KVM_ARM_VCPU_FINALIZE:
        return "KVM_ARM_VCPU_FINALIZE";
    case KVM_GET_REG_LIST:
        return "KVM_GET_REG_LIST";
    case KVM_GET_ONE_REG:
        return "KVM_GET_ONE_REG";
    case KVM_SET_ONE_REG:
        return "KVM_SET_ONE_REG";
    case KVM_GET_MP_STATE:
        return "KVM_GET_MP_STATE";
    case KVM_SET_MP_STATE:
        return "KVM_SET_MP_STATE";
    case KVM_GET_VCPU_EVENTS:
        return "KVM_GET_VCPU_EVENTS";
    case KVM_SET_VCPU_EVENTS:
        return "KVM_SET_VCPU_EVENTS";
    case KVM_RUN:
        return "KVM_RUN";
    case KVM_SET_USER_MEMORY_REGION:
        return "KVM_SET_USER_MEMORY_REGION";
    default:
        return "?";
    }
}

/* -1: not one of the fake's vCPUs. */
static int find_vcpu(ino_t ino)
{
    for (uint32_t i = 0; i < fake.n_vcpus; i++)
        if (fake.vcpus[i].ino == ino)
            return (int)i;
    return -1;
}

/* Whether the ioctl changes the VM if it succeeds. */
static bool is_change(unsigned long request, const void *arg)
{
    switch (request) {
    case KVM_CREATE_DEVICE:
        return !(((const struct kvm_create_device *)arg)->flags & KVM_CREATE_DEVICE_TEST);
    case KVM_CREATE_VCPU:
    case KVM_ARM_VCPU_INIT:
    case KVM_ARM_VCPU_FINALIZE:
    case KVM_SET_ONE_REG:
    case KVM_SET_MP_STATE:
    case KVM_SET_VCPU_EVENTS:
    case KVM_SET_DEVICE_ATTR:
    case KVM_SET_USER_MEMORY_REGION:
        return true;
    default:
        return false;
    }
}

static int call_fd(ino_t ino, unsigned long request, void *arg)
{
    int vcpu = find_vcpu(ino);

    if (vcpu >= 0)
        return vcpu_ioctl((uint32_t)vcpu, request, arg);
    if (ino == vm_ino)
        return vm_ioctl(request, arg);
    if (ino == vgic_ino)
        return vgic_ioctl(request, arg);
    if (ino == its_ino)
        return its_ioctl(request, arg);
    return -ENOTTY;
}

static int dispatch(ino_t ino, unsigned long request, void *arg)
{
    int vcpu = find_vcpu(ino), result;

    fake.n_calls++;
    if (fake.fail_at && fake.n_calls >= fake.fail_at && fake.n_calls < fake.fail_at + fake.n_fail) {
        if (fake.n_calls > fake.fail_at)
            return -fake.fail_errno;
        if (request == KVM_CREATE_VCPU)
            vcpu = (int)(long)arg;
        if (vcpu >= 0)
            snprintf(fake.failed, sizeof(fake.failed), "vCPU %d: %s", vcpu, request_name(request));
        else
            snprintf(fake.failed, sizeof(fake.failed), "%s", request_name(request));
        return -fake.fail_errno;
    }
    result = call_fd(ino, request, arg);
    fake.n_changes += result >= 0 && is_change(request, arg);
    return result;
}

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    ino_t ino = inode_of(fd);
    va_list args;
    int result;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (!ino)
        return -1;
    if (fake.before)
        fake.before(request, fake.opaque);
    g_mutex_lock(&lock);
    result = dispatch(ino, request, arg);
    g_mutex_unlock(&lock);
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}
