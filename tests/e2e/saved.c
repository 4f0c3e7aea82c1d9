/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM's state on a real KVM: a machine is saved, loaded into another VM of this process, and saved
 * there again. What was loaded must be what is saved, byte by byte, and the guest goes on.
 *
 *     saved [gicv2]    on a host whose GIC is a GICv2, or can be used as one
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/kvm.h>
#include <linux/psci.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vcpuhp/kvm.h>
#include <vcpuhp/psci.h>
#include <vcpuhp/state.h>

#define N_VCPUS  4
#define N_ON     2 /* vCPUs 0 and 1 */
#define WAS_ON   2 /* it was on, and is off */
#define N_IRQS   64
#define RAM      0x40000000ull
#define RAM_SIZE (8 << 20)
#define ITS      0x08080000ull
#define MMIO     0x10000000
#define PMU_IRQ  23

/* The guest's program: store a counter to MMIO for ever, or call PSCI. */
#define LOOP 0x1000
#define OFF  0x2000

static const uint32_t loop[] = {
    0xd2a20001, /* movz x1, #0x1000, lsl #16 */
    0xf9000020, /* str x0, [x1] */
    0x91000400, /* add x0, x0, #1 */
    0x17fffffe, /* b . - 8 */
};

/* CPU_OFF */
static const uint32_t off[] = {
    0xd2b08000, /* movz x0, #0x8400, lsl #16 */
    0xf2800040, /* movk x0, #2 */
    0xd4000002, /* hvc #0 */
};

/* What differs between machines. */
typedef struct Kind {
    uint32_t gic;
    bool its;
    bool pmu;
    uint32_t features;
} Kind;

typedef struct Machine {
    int fd;
    uint8_t *ram;
    VcpuhpConfig config;
    Vcpuhp *hp;
    uint32_t started; /* bits: vcpu_start was called, without and with an entry */
    uint32_t with_entry;
} Machine;

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    Machine *m = opaque;

    m->started |= 1u << vcpu;
    m->with_entry |= entry ? 1u << vcpu : 0;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static const VcpuhpCallbacks callbacks = {
    .size = sizeof(VcpuhpCallbacks), .vcpu_start = on_start, .vcpu_kick = on_kick};

static void check(bool ok, GError *error)
{
    if (!ok)
        fail_msg("%s", error->message);
}

/* --- A machine --- */

static bool host_has(int fd, uint32_t device)
{
    struct kvm_create_device test = {.type = device, .flags = KVM_CREATE_DEVICE_TEST};

    return ioctl(fd, KVM_CREATE_DEVICE, &test) >= 0;
}

static bool host_can(int fd, const Kind *kind)
{
    return host_has(fd, kind->gic == 3 ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2) &&
           (!kind->pmu || ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3) > 0) &&
           (!(kind->features & VCPUHP_KVM_SVE) ||
            ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_SVE) > 0);
}

static void open_vm(Machine *m)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    struct kvm_userspace_memory_region region = {.guest_phys_addr = RAM, .memory_size = RAM_SIZE};

    m->fd = ioctl(kvm, KVM_CREATE_VM, 0);
    close(kvm);
    assert_true(m->fd >= 0);
    m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(m->ram, MAP_FAILED);
    region.userspace_addr = (uintptr_t)m->ram;
    assert_int_equal(ioctl(m->fd, KVM_SET_USER_MEMORY_REGION, &region), 0);
}

/* Skips the test if the host cannot have such a machine. */
static Machine *new_machine(const Kind *kind)
{
    Machine *m = g_new0(Machine, 1);
    g_autoptr(GError) error = NULL;
    VcpuhpKvmConfig kvm;

    open_vm(m);
    if (!host_can(m->fd, kind)) {
        print_message("this host lacks what the machine has\n");
        skip();
    }
    vcpuhp_config_init(&m->config, N_VCPUS, N_VCPUS);
    m->config.gic.version = kind->gic;
    m->config.gic.n_irqs = N_IRQS;
    m->config.gic.cpu_base = kind->gic == 2 ? 0x08010000 : 0;
    m->config.gic.its_base = kind->its ? ITS : 0;
    m->config.pmu_irq = kind->pmu ? PMU_IRQ : 0;
    m->hp = vcpuhp_new(&m->config, &callbacks, m, &error);
    check(m->hp, error);
    vcpuhp_kvm_config_init(&kvm, m->fd);
    kvm.features = kind->features;
    check(vcpuhp_kvm_setup(m->hp, &kvm, &error), error);
    return m;
}

static void free_machine(Machine *m)
{
    vcpuhp_free(m->hp);
    munmap(m->ram, RAM_SIZE);
    close(m->fd);
    g_free(m);
}

static uint64_t x_of(uint32_t n)
{
    return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
           (KVM_REG_ARM_CORE_REG(regs.regs[0]) + 2 * n);
}

static int reg(Machine *m, uint32_t vcpu, unsigned long request, uint64_t id, void *value)
{
    struct kvm_one_reg arg = {.id = id, .addr = (uintptr_t)value};

    return ioctl(vcpuhp_kvm_vcpu_fd(m->hp, vcpu), request, &arg) < 0 ? -errno : 0;
}

static uint64_t get_reg(Machine *m, uint32_t vcpu, uint64_t id)
{
    uint64_t value;

    assert_int_equal(reg(m, vcpu, KVM_GET_ONE_REG, id, &value), 0);
    return value;
}

static void set_reg(Machine *m, uint32_t vcpu, uint64_t id, uint64_t value)
{
    assert_int_equal(reg(m, vcpu, KVM_SET_ONE_REG, id, &value), 0);
}

/* One exit of the vCPU, which the library serves. */
static VcpuhpKvmExit run(Machine *m, uint32_t vcpu)
{
    int error = ioctl(vcpuhp_kvm_vcpu_fd(m->hp, vcpu), KVM_RUN, 0) < 0 ? errno : 0;

    return vcpuhp_kvm_handle_exit(m->hp, vcpu, error);
}

/* As far as the guest's next store, whose value it returns. The store is completed. */
static uint64_t next_store(Machine *m, uint32_t vcpu, struct kvm_run *r)
{
    uint64_t value;

    assert_int_equal(run(m, vcpu), VCPUHP_KVM_EXIT_OTHER);
    assert_int_equal(r->exit_reason, KVM_EXIT_MMIO);
    assert_int_equal(r->mmio.phys_addr, MMIO);
    memcpy(&value, r->mmio.data, sizeof(value));
    r->immediate_exit = 1;
    assert_int_equal(run(m, vcpu), VCPUHP_KVM_EXIT_INTERRUPTED);
    return value;
}

static void power_on(Machine *m, uint32_t vcpu, uint64_t entry, uint64_t context)
{
    uint64_t x[4] = {PSCI_0_2_FN64_CPU_ON, vcpu, RAM + entry, context};

    assert_int_equal(vcpuhp_psci_call(m->hp, 0, x, false), VCPUHP_PSCI_RETURN);
    assert_int_equal(x[0], PSCI_RET_SUCCESS);
}

static void start_at(Machine *m, uint64_t context)
{
    const VcpuhpEntry entry = {
        .size = sizeof(VcpuhpEntry), .address = RAM + LOOP, .context = context};
    g_autoptr(GError) error = NULL;

    check(vcpuhp_start(m->hp, &entry, &error), error);
}

/* vCPUs 0 and 1 have stored a few numbers, from 100 and 200 on; vCPU 2 was on and is off. */
static Machine *start_machine(const Kind *kind, struct kvm_run *runs[N_VCPUS])
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = RAM + LOOP, .context = 100};
    Machine *m = new_machine(kind);
    g_autoptr(GError) error = NULL;

    memcpy(m->ram + LOOP, loop, sizeof(loop));
    memcpy(m->ram + OFF, off, sizeof(off));
    start_at(m, 100);
    runs[0] = vcpuhp_kvm_enter(m->hp, 0);
    assert_non_null(runs[0]);
    assert_int_equal(next_store(m, 0, runs[0]), 100);
    power_on(m, 1, LOOP, 200);
    runs[1] = vcpuhp_kvm_enter(m->hp, 1);
    for (uint64_t i = 200; i < 205; i++)
        assert_int_equal(next_store(m, 1, runs[1]), i);
    power_on(m, WAS_ON, OFF, 0);
    runs[2] = vcpuhp_kvm_enter(m->hp, WAS_ON);
    assert_int_equal(run(m, WAS_ON), VCPUHP_KVM_EXIT_PARK);
    return m;
}

/* --- The vGIC, as a guest would use it --- */

static void set_gic(Machine *m, int fd, uint32_t group, uint64_t attr, uint64_t value)
{
    struct kvm_device_attr arg = {.group = group, .attr = attr, .addr = (uintptr_t)&value};

    (void)m;
    if (ioctl(fd, KVM_SET_DEVICE_ATTR, &arg) < 0)
        fail_msg("group %u, 0x%llx: %s", group, (unsigned long long)attr, g_strerror(errno));
}

static void set_words(Machine *m, uint32_t group, uint64_t attr, uint32_t n, uint32_t value)
{
    for (uint32_t i = 0; i < n; i++)
        set_gic(m, vcpuhp_kvm_vgic_fd(m->hp), group, attr + 4 * i, value + i * 0x01010101);
}

/* 32 interrupts, with something in each of their fields. */
static void use_interrupts(Machine *m, uint32_t group, uint64_t frame, uint32_t first)
{
    set_words(m, group, frame + 0x080 + first / 8, 1, 0xa5a55a5a);
    set_words(m, group, frame + 0xc00 + first / 4, 2, 0x88228822);
    set_words(m, group, frame + 0x400 + first, 8, 0x40506070);
    set_words(m, group, frame + 0x200 + first / 8, 1, 0x30f00010);
    set_words(m, group, frame + 0x300 + first / 8, 1, 0x04030000);
    set_words(m, group, frame + 0x180 + first / 8, 1, ~0u);
    set_words(m, group, frame + 0x100 + first / 8, 1, 0x0f0ff00f);
}

/* KVM's own values of registers with addresses of tables are 0, or none that can be written. */
static void use_tables(Machine *m)
{
    for (uint64_t i = 0; i < 3; i++)
        for (uint32_t offset = 0x70; offset < 0x80; offset += 4)
            set_words(m, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | offset, 1, 0);
    if (vcpuhp_kvm_its_fd(m->hp) < 0)
        return;
    set_gic(m, vcpuhp_kvm_its_fd(m->hp), KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x80, 0);
    set_gic(m, vcpuhp_kvm_its_fd(m->hp), KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x100, 0);
    set_gic(m, vcpuhp_kvm_its_fd(m->hp), KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x108, 0);
}

static void use_gicv3(Machine *m)
{
    const uint32_t icc = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
    int fd = vcpuhp_kvm_vgic_fd(m->hp);

    use_tables(m);

    set_words(m, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 1, 1);
    for (uint32_t i = 32; i < N_IRQS; i++)
        set_words(m, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x6000 + 8 * i, 1, i % N_VCPUS);
    use_interrupts(m, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 32);
    set_words(m, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 32, 1, 0x11000000);
    for (uint64_t i = 0; i < N_VCPUS; i++) {
        if (i < 3)
            use_interrupts(m, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10000, 0);
        set_words(m, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10200, 1, 0x8003);
        if (i >= N_ON)
            continue;
        set_gic(m, fd, icc, i << 32 | 0xc230, 0xf0); /* PMR */
        set_gic(m, fd, icc, i << 32 | 0xc643, 3);    /* BPR0 */
        set_gic(m, fd, icc, i << 32 | 0xc663, 4);    /* BPR1 */
        set_gic(m, fd, icc, i << 32 | 0xc648, 0x10); /* AP1R0 */
        set_gic(m, fd, icc, i << 32 | 0xc667, 1);    /* IGRPEN1 */
    }
}

static void use_gicv2(Machine *m)
{
    const uint32_t dist = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, cpu = KVM_DEV_ARM_VGIC_GRP_CPU_REGS;

    set_words(m, dist, 0, 1, 1);
    set_words(m, dist, 0x800 + 32, 8, 0x01020304);
    use_interrupts(m, dist, 0, 32);
    for (uint64_t i = 0; i < 3; i++) {
        use_interrupts(m, dist, i << 32, 0);
        set_words(m, dist, i << 32 | 0xf20, 4, 0x01000300);
        if (i >= N_ON)
            continue;
        set_words(m, cpu, i << 32 | 0x00, 1, 1);
        set_words(m, cpu, i << 32 | 0x04, 1, 0x1e);
        set_words(m, cpu, i << 32 | 0x08, 1, 3);
        set_words(m, cpu, i << 32 | 0x1c, 1, 4);
        set_words(m, cpu, i << 32 | 0xd0, 1, 0x10);
    }
}

/* --- Moving it --- */

typedef struct Saved {
    GBytes *host, *kvm, *state;
} Saved;

static Saved save(Machine *m)
{
    g_autoptr(GError) error = NULL;
    Saved saved;

    saved.host = vcpuhp_kvm_save_host(m->hp, &error);
    check(saved.host, error);
    saved.kvm = vcpuhp_kvm_save(m->hp, &error);
    check(saved.kvm, error);
    saved.state = vcpuhp_save(m->hp, &error);
    check(saved.state, error);
    return saved;
}

static void free_saved(Saved *saved)
{
    g_bytes_unref(saved->host);
    g_bytes_unref(saved->kvm);
    g_bytes_unref(saved->state);
}

/* Another VM with the machine's state and memory. */
static Machine *load(const Kind *kind, const Machine *from, const Saved *saved)
{
    Machine *m = new_machine(kind);
    g_autoptr(GError) error = NULL;

    check(vcpuhp_kvm_load_host(m->hp, saved->host, &error), error);
    check(vcpuhp_load(m->hp, saved->state, &error), error);
    memcpy(m->ram, from->ram, RAM_SIZE);
    check(vcpuhp_kvm_load(m->hp, saved->kvm, &error), error);
    return m;
}

static void resume(Machine *m, struct kvm_run *runs[N_VCPUS])
{
    g_autoptr(GError) error = NULL;

    check(vcpuhp_resume(m->hp, &error), error);
    assert_int_equal(m->started, (1u << N_ON) - 1);
    assert_int_equal(m->with_entry, 0);
    for (uint32_t i = 0; i < N_ON; i++) {
        runs[i] = vcpuhp_kvm_enter(m->hp, i);
        assert_non_null(runs[i]);
    }
}

/* Where the counters are. */
#define TIME_SIZE 16

static const uint8_t *find_section(GBytes *bytes, const char *tag, uint32_t *ret_size)
{
    size_t size;
    const uint8_t *data = g_bytes_get_data(bytes, &size), *at = data + 16;

    while (at + 12 <= data + size - 4) {
        memcpy(ret_size, at + 8, sizeof(*ret_size));
        if (!memcmp(at, tag, 4))
            return at + 12;
        at += 12 + *ret_size;
    }
    fail_msg("no section %s", tag);
    return NULL;
}

static void assert_same_section(GBytes *a, GBytes *b, const char *tag)
{
    uint32_t a_size, b_size;
    const uint8_t *a_bytes = find_section(a, tag, &a_size);
    const uint8_t *b_bytes = find_section(b, tag, &b_size);

    assert_int_equal(a_size, b_size);
    for (uint32_t i = 0; i < a_size; i++)
        if (a_bytes[i] != b_bytes[i])
            fail_msg("section %s differs at byte %u of %u: 0x%02x, then 0x%02x", tag, i, a_size,
                     a_bytes[i], b_bytes[i]);
}

/* All but the counters, which run. */
static void assert_same(const Saved *a, const Saved *b)
{
    static const char *const tags[] = {"REGS", "DIST", "PRIV", "PEND", "CPUI", "ITSR", "VCPU"};

    for (size_t i = 0; i < G_N_ELEMENTS(tags); i++)
        assert_same_section(a->kvm, b->kvm, tags[i]);
    assert_true(g_bytes_equal(a->host, b->host));
    assert_true(g_bytes_equal(a->state, b->state));
}

/* Registers of the guest on each vCPU that is on, with something else in each. */
static void use_registers(Machine *m)
{
    for (uint32_t i = 0; i < N_ON; i++)
        for (uint32_t x = 2; x < 31; x++)
            set_reg(m, i, x_of(x), 0x1111111111111111 * (i + 1) + x);
}

/* Save it, load it elsewhere, save it there: the same. Then both go on alike. */
static void assert_moves(const Kind *kind, void (*use)(Machine *m))
{
    struct kvm_run *runs[N_VCPUS], *new_runs[N_VCPUS];
    Machine *m = start_machine(kind, runs), *n;
    Saved saved, again;

    use_registers(m);
    use(m);
    saved = save(m);
    n = load(kind, m, &saved);
    again = save(n);
    assert_same(&saved, &again);
    resume(n, new_runs);
    assert_int_equal(next_store(n, 0, new_runs[0]), 101);
    assert_int_equal(next_store(n, 1, new_runs[1]), 205);
    assert_int_equal(next_store(m, 0, runs[0]), 101);
    free_saved(&saved);
    free_saved(&again);
    free_machine(m);
    free_machine(n);
}

static const Kind gicv3 = {.gic = 3, .its = true};

static void a_machine_with_a_gicv3_is_loaded_as_it_was_saved(void **state)
{
    (void)state;
    assert_moves(&gicv3, use_gicv3);
}

static void a_machine_with_a_gicv2_is_loaded_as_it_was_saved(void **state)
{
    static const Kind kind = {.gic = 2};

    (void)state;
    assert_moves(&kind, use_gicv2);
}

static void a_machine_with_all_features_is_loaded_as_it_was_saved(void **state)
{
    static const Kind kind = {.gic = 3, .pmu = true, .features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH};

    (void)state;
    assert_moves(&kind, use_gicv3);
}

/* Linux 6.3 to 6.14 let a write of PMCNTENSET_EL0 add to the value that is unknown at power-on, and
 * a write of PMCNTENCLR_EL0 clear what it names. */
static void use_counters(Machine *m)
{
    for (uint32_t i = 0; i < N_ON; i++) {
        set_reg(m, i, ARM64_SYS_REG(3, 3, 9, 12, 2), ~0ull); /* PMCNTENCLR_EL0 */
        set_reg(m, i, ARM64_SYS_REG(3, 3, 9, 12, 1), i ? 0 : 1u << 31);
    }
}

static void enabled_counters_are_those_that_were(void **state)
{
    static const Kind kind = {.gic = 3, .pmu = true};
    const uint64_t pmcntenset = ARM64_SYS_REG(3, 3, 9, 12, 1);
    struct kvm_run *runs[N_VCPUS];
    Machine *m = start_machine(&kind, runs), *n;
    Saved saved;

    (void)state;
    use_counters(m);
    saved = save(m);
    n = load(&kind, m, &saved);
    assert_int_equal(get_reg(n, 0, pmcntenset), 1u << 31);
    assert_int_equal(get_reg(n, 1, pmcntenset), 0);
    free_saved(&saved);
    free_machine(m);
    free_machine(n);
}

/* --- LPIs --- */

#define COLLECTIONS  0x20000
#define DEVICES      0x30000
#define COMMANDS     0x40000
#define DEVICE_TABLE 0x50000 /* of interrupts */
#define PROPERTIES   0x60000
#define PENDING      0x80000 /* 64 KiB for each vCPU */
#define LPI          8192
#define ITS_VALID    (1ull << 63)
#define TABLE_ATTRS  (7ull << 59 | 1ull << 10) /* cacheable, shareable */

static void its_command(Machine *m, uint32_t n, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t words[4] = {a, b, c, 0};

    memcpy(m->ram + COMMANDS + 32 * n, words, sizeof(words));
}

/* Device 7's event 3 is LPI 8192, on vCPU 1. */
static void use_its(Machine *m)
{
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_ITS_REGS;
    int its = vcpuhp_kvm_its_fd(m->hp);

    use_gicv3(m);
    for (uint64_t i = 0; i < N_ON; i++) {
        uint32_t redist = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

        set_words(m, redist, i << 32 | 0x70, 1, (uint32_t)(RAM + PROPERTIES) | 0x78d);
        set_words(m, redist, i << 32 | 0x78, 1, (uint32_t)(RAM + PENDING + 0x10000 * i) | 0x780);
        set_words(m, redist, i << 32, 1, 1);
    }
    m->ram[PROPERTIES] = 0xa1;                                              /* enabled */
    its_command(m, 0, 7ull << 32 | 8, 3, ITS_VALID | (RAM + DEVICE_TABLE)); /* MAPD */
    its_command(m, 1, 9, 0, ITS_VALID | 1ull << 16 | 2);                    /* MAPC: vCPU 1 */
    its_command(m, 2, 7ull << 32 | 10, (uint64_t)LPI << 32 | 3, 2);         /* MAPTI */
    set_gic(m, its, group, 0x80, ITS_VALID | TABLE_ATTRS | (RAM + COMMANDS));
    set_gic(m, its, group, 0x100, ITS_VALID | TABLE_ATTRS | (RAM + DEVICES));
    set_gic(m, its, group, 0x108, ITS_VALID | TABLE_ATTRS | (RAM + COLLECTIONS));
    set_gic(m, its, group, 0, 1);
    set_gic(m, its, group, 0x88, 3 * 32);
}

static bool signal_msi(Machine *m)
{
    struct kvm_msi msi = {
        .address_lo = ITS + 0x10040, .data = 3, .devid = 7, .flags = KVM_MSI_VALID_DEVID};

    return ioctl(m->fd, KVM_SIGNAL_MSI, &msi) > 0;
}

static bool is_in_table(Machine *m, uint32_t vcpu)
{
    return m->ram[PENDING + 0x10000 * vcpu + LPI / 8] & 1 << LPI % 8;
}

static void a_pending_lpi_and_its_mapping_go_along(void **state)
{
    struct kvm_run *runs[N_VCPUS];
    Machine *m = start_machine(&gicv3, runs), *n;
    Saved saved, again;

    (void)state;
    use_its(m);
    assert_true(signal_msi(m));
    saved = save(m);
    assert_true(is_in_table(m, 1));
    n = load(&gicv3, m, &saved);
    assert_false(is_in_table(n, 1)); /* KVM has it */
    again = save(n);
    assert_true(is_in_table(n, 1));
    assert_same(&saved, &again);
    assert_true(signal_msi(n));
    free_saved(&saved);
    free_saved(&again);
    free_machine(m);
    free_machine(n);
}

/* --- Afterwards --- */

static void park(Machine *m, uint32_t vcpu, struct kvm_run *r)
{
    r->immediate_exit = 1;
    assert_int_equal(run(m, vcpu), VCPUHP_KVM_EXIT_PARK);
}

static void a_machine_that_was_loaded_can_be_reset(void **state)
{
    struct kvm_run *runs[N_VCPUS];
    Machine *m = start_machine(&gicv3, runs), *n;
    g_autoptr(GError) error = NULL;
    Saved saved;

    (void)state;
    use_its(m);
    assert_true(signal_msi(m));
    saved = save(m);
    n = load(&gicv3, m, &saved);
    resume(n, runs);
    vcpuhp_stop(n->hp);
    for (uint32_t i = 0; i < N_ON; i++)
        park(n, i, runs[i]);
    check(vcpuhp_reset(n->hp, &error), error);
    start_at(n, 300);
    runs[0] = vcpuhp_kvm_enter(n->hp, 0);
    assert_int_equal(next_store(n, 0, runs[0]), 300);
    for (uint32_t i = 1; i < N_VCPUS; i++) {
        power_on(n, i, LOOP, 400);
        runs[i] = vcpuhp_kvm_enter(n->hp, i);
        assert_int_equal(next_store(n, i, runs[i]), 400);
    }
    free_saved(&saved);
    free_machine(m);
    free_machine(n);
}

/* Its registers are those of a power-on, not those that were loaded. */
static void a_vcpu_that_went_on_is_turned_off_and_on(void **state)
{
    static const uint32_t vcpus[] = {1, WAS_ON, 3};
    struct kvm_run *runs[N_VCPUS];
    Machine *m = start_machine(&gicv3, runs), *n;
    Saved saved;

    (void)state;
    use_registers(m);
    saved = save(m);
    n = load(&gicv3, m, &saved);
    resume(n, runs);
    set_reg(n, 1,
            KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc),
            RAM + OFF);
    assert_int_equal(run(n, 1), VCPUHP_KVM_EXIT_PARK);
    for (size_t i = 0; i < G_N_ELEMENTS(vcpus); i++) {
        power_on(n, vcpus[i], LOOP, 500);
        runs[i] = vcpuhp_kvm_enter(n->hp, vcpus[i]);
        assert_int_equal(next_store(n, vcpus[i], runs[i]), 500);
        assert_int_equal(get_reg(n, vcpus[i], x_of(7)), 0);
    }
    free_saved(&saved);
    free_machine(m);
    free_machine(n);
}

/* --- Time --- */

static void the_guests_time_goes_on_where_it_stood(void **state)
{
    struct kvm_run *runs[N_VCPUS];
    Machine *m = start_machine(&gicv3, runs), *n;
    uint64_t before, saved_count, after;
    const uint8_t *time;
    uint32_t size;
    Saved saved;

    (void)state;
    before = get_reg(m, 0, KVM_REG_ARM_TIMER_CNT);
    saved = save(m);
    time = find_section(saved.kvm, "TIME", &size);
    memcpy(&saved_count, time, sizeof(saved_count));
    assert_true(saved_count >= before);
    g_usleep(G_USEC_PER_SEC);
    n = load(&gicv3, m, &saved);
    after = get_reg(n, 1, KVM_REG_ARM_TIMER_CNT);
    assert_true(after >= saved_count);
    /* The counter has at least 1 MHz: a second is much more than a load takes at its end. */
    assert_true(after - saved_count < get_reg(m, 0, KVM_REG_ARM_TIMER_CNT) - before);
    free_saved(&saved);
    free_machine(m);
    free_machine(n);
}

/* --- What the host offers --- */

#define ID_AA64ISAR0 ARM64_SYS_REG(3, 0, 0, 6, 0)
#define MIDR         ARM64_SYS_REG(3, 0, 0, 0, 0)

/* Since Linux 6.7. */
static void a_target_is_narrowed_to_what_the_source_had(void **state)
{
    Machine *m = new_machine(&gicv3), *n = new_machine(&gicv3);
    uint64_t isar0 = get_reg(m, 0, ID_AA64ISAR0) & ~(0xfull << 4); /* no AES */
    uint64_t version = PSCI_VERSION(1, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) host = NULL;

    (void)state;
    if (reg(m, 0, KVM_SET_ONE_REG, ID_AA64ISAR0, &isar0)) {
        print_message("this host's ID registers cannot be written\n");
        skip();
    }
    set_reg(m, 0, KVM_REG_ARM_PSCI_VERSION, version);
    host = vcpuhp_kvm_save_host(m->hp, &error);
    check(host, error);
    check(vcpuhp_kvm_load_host(n->hp, host, &error), error);
    assert_int_equal(get_reg(n, N_VCPUS - 1, ID_AA64ISAR0), isar0);
    assert_int_equal(get_reg(n, N_VCPUS - 1, KVM_REG_ARM_PSCI_VERSION), version);
    free_machine(m);
    free_machine(n);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest with_gicv2[] = {
        cmocka_unit_test(a_machine_with_a_gicv2_is_loaded_as_it_was_saved),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_with_a_gicv3_is_loaded_as_it_was_saved),
        cmocka_unit_test(a_machine_with_all_features_is_loaded_as_it_was_saved),
        cmocka_unit_test(enabled_counters_are_those_that_were),
        cmocka_unit_test(a_pending_lpi_and_its_mapping_go_along),
        cmocka_unit_test(a_machine_that_was_loaded_can_be_reset),
        cmocka_unit_test(a_vcpu_that_went_on_is_turned_off_and_on),
        cmocka_unit_test(the_guests_time_goes_on_where_it_stood),
        cmocka_unit_test(a_target_is_narrowed_to_what_the_source_had),
    };

    if (argc == 2 && !strcmp(argv[1], "gicv2"))
        return cmocka_run_group_tests_name("saved, GICv2", with_gicv2, NULL, NULL);
    if (argc > 1) {
        g_printerr("usage: saved [gicv2]\n");
        return 2;
    }
    return cmocka_run_group_tests_name("saved", tests, NULL, NULL);
}
