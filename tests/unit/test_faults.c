/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that fails. A machine lives through its phases once, and every ioctl, mmap() and
 * timerfd_create() that the library calls on the way is noted. Then it lives again for each of
 * them and each errno that Linux has for it, and this one call fails. The failure must be reported
 * with its name, vCPU and errno, leave fds and mappings as they were, and what failed must work
 * when it is repeated. Last, it lives again for each of them with a VM that is dead from there on:
 * all that the VMM can do then is to park the vCPUs and free everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/psci.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#include <vcpuhp/kvm.h>
#include <vcpuhp/psci.h>

#include "acpi/regs.h"
#include "fake_kvm.h"
#include "fake_vmm.h"

#define N_VCPUS   3
#define COLD      1 /* enabled at boot */
#define HOT       2 /* plugged later */
#define ENTRY     0x40080000
#define EVENT_IRQ 33
#define TIMER_PPI 27
#define SCTLR_BE  (1 << 25)
#define JUNK      0x5a5a

/* --- Calls that can fail, besides ioctls --- */

#define CALL_MMAP    1ul
#define CALL_TIMERFD 2ul
#define MAX_CALLS    1024

/* What Linux 6.12 answers, without what only a caller's mistake in the arguments' format causes. */
static const struct {
    unsigned long call;
    const char *name; /* as an error has it */
    int errnos[9];
} table[] = {
    {CALL_MMAP, "mmap", {ENOMEM, EAGAIN, EPERM, EACCES, ENFILE}},
    {CALL_TIMERFD, "timerfd_create", {EMFILE, ENFILE, ENOMEM, ENODEV}},
    {KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", {EIO}},
    {KVM_ARM_PREFERRED_TARGET, "KVM_ARM_PREFERRED_TARGET", {ENODEV, ENOTTY, EIO}},
    {KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", {ENXIO, ENOTTY, EPERM, EIO}},
    {KVM_CREATE_DEVICE,
     "KVM_CREATE_DEVICE",
     {ENODEV, EEXIST, EBUSY, E2BIG, EMFILE, ENFILE, ENOMEM, EIO}},
    {KVM_CREATE_VCPU,
     "KVM_CREATE_VCPU",
     {EINVAL, EEXIST, EBUSY, EMFILE, ENFILE, ENOMEM, EINTR, EIO}},
    {KVM_SET_DEVICE_ATTR,
     "KVM_SET_DEVICE_ATTR",
     {EBUSY, EINVAL, ENXIO, EEXIST, E2BIG, ENODEV, ENOMEM, EIO}},
    {KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", {EBUSY, EINVAL, ENXIO, ENOENT, ENODEV, EIO}},
    {KVM_ARM_VCPU_INIT, "KVM_ARM_VCPU_INIT", {EINVAL, ENOENT, EPERM, EBUSY, ENOMEM, EINTR, EIO}},
    {KVM_ARM_VCPU_FINALIZE, "KVM_ARM_VCPU_FINALIZE", {EINVAL, EPERM, ENOMEM, EINTR, EIO}},
    {KVM_GET_REG_LIST, "KVM_GET_REG_LIST", {E2BIG, ENOEXEC, EPERM, EINTR, EIO}},
    {KVM_GET_ONE_REG, "KVM_GET_ONE_REG", {ENOENT, EINVAL, EPERM, ENOEXEC, EINTR, EIO}},
    {KVM_SET_ONE_REG, "KVM_SET_ONE_REG", {ENOENT, EINVAL, EPERM, EBUSY, ENOEXEC, EINTR, EIO}},
    {KVM_SET_MP_STATE, "KVM_SET_MP_STATE", {EINVAL, EINTR, EIO}},
    {KVM_IRQ_LINE, "KVM_IRQ_LINE", {EINVAL, ENXIO, EBUSY, EIO}},
    {KVM_SET_USER_MEMORY_REGION,
     "KVM_SET_USER_MEMORY_REGION",
     {EINVAL, EEXIST, ENOMEM, EPERM, EIO}},
    {KVM_RUN, "KVM_RUN", {EINTR, EAGAIN, EFAULT, EINVAL, ENOEXEC, EPERM, ENXIO, ENOMEM, EIO}},
};

/* The calls of a phase, and which of them fails. */
static struct {
    bool counting;
    unsigned long calls[MAX_CALLS];
    int n_calls, fail_at; /* the first is 0; -1: none */
    int fail_errno;
    bool dead; /* all that follow fail, too */
    int n_maps;
} host;

/* Returns whether the call fails. */
static bool count_call(unsigned long call)
{
    if (!host.counting)
        return false;
    assert_true(host.n_calls < MAX_CALLS);
    host.calls[host.n_calls] = call;
    return host.n_calls++ == host.fail_at;
}

static void before_ioctl(unsigned long request, void *opaque)
{
    (void)opaque;
    if (!count_call(request))
        return;
    fake.fail_at = fake.n_calls + 1;
    fake.n_fail = host.dead ? G_MAXINT / 2 : 1;
    fake.fail_errno = host.fail_errno;
}

static int fail_call(void)
{
    errno = host.fail_errno;
    return -1;
}

void *__wrap_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset);
void *__real_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_timerfd_create(int clock, int flags);
int __real_timerfd_create(int clock, int flags);

void *__wrap_mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
    if (count_call(CALL_MMAP)) {
        fail_call();
        return MAP_FAILED;
    }
    host.n_maps += host.counting && fd >= 0;
    return __real_mmap(address, size, prot, flags, fd, offset);
}

/* What mmap() is called where off_t has 64 bits. */
void *__wrap_mmap64(void *address, size_t size, int prot, int flags, int fd, off_t offset)
    __attribute__((alias("__wrap_mmap")));

int __wrap_timerfd_create(int clock, int flags)
{
    return count_call(CALL_TIMERFD) ? fail_call() : __real_timerfd_create(clock, flags);
}

/* --- The machine --- */

typedef struct Kind {
    const char *name;
    bool lent;
    uint32_t gic_version;
} Kind;

typedef struct Machine {
    const Kind *kind;
    VcpuhpConfig config;
    VcpuhpKvmConfig kvm;
    FakeVmm vmm;
    Vcpuhp *hp;
    bool is_set_up;
    uint32_t plug;    /* request */
    uint32_t n_open;  /* requests */
    char *host_error; /* the first since the phase began */
    uint32_t n_stopped;
} Machine;

/* What became of a phase. */
typedef enum {
    DONE,
    FAILED, /* as before the phase, which can be repeated */
    BROKEN, /* a vCPU cannot run on until the machine is reset */
} Result;

static bool on_start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return true;
}

static void on_kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static void on_event(const VcpuhpEvent *event, void *opaque)
{
    Machine *m = opaque;

    if (event->kind == VCPUHP_EVENT_HOST_ERROR && !m->host_error)
        m->host_error = g_strdup(event->text);
    m->n_stopped += event->kind == VCPUHP_EVENT_STOPPED;
    m->n_open -= event->kind == VCPUHP_EVENT_ENDED;
}

/* Everything that a setup can have. Linux 6.4 to 6.9 reset MPIDR_EL1 by each KVM_ARM_VCPU_INIT. */
static void begin(Machine *m, const Kind *kind)
{
    static const uint64_t mpidrs[] = {0x100, 0x101, 0x200};
    FakeHost modern = fake_modern_host;

    modern.init_resets_mpidr = true;
    *m = (Machine){.kind = kind};
    vcpuhp_kvm_config_init(&m->kvm, fake_kvm_begin(&modern));
    fake.before = before_ioctl;
    vcpuhp_config_init(&m->config, N_VCPUS, HOT);
    m->config.coldplug = VCPUHP_COLDPLUG_REMOVABLE;
    m->config.mpidrs = mpidrs;
    m->config.pmu_irq = 23;
    m->config.gic.version = kind->gic_version;
    m->config.gic.n_irqs = 64;
    if (kind->gic_version == 2) {
        m->config.gic.cpu_base = 0x08010000;
    } else {
        m->config.gic.its_base = 0x08080000;
        m->config.gic.redists[0].count = 1;
        m->config.gic.redists[1] = (VcpuhpRedist){0x10000000, 2};
        m->config.gic.n_redists = 2;
    }
    m->kvm.psci = VCPUHP_KVM_PSCI_WHOLE;
    m->kvm.features = VCPUHP_KVM_SVE | VCPUHP_KVM_PAUTH;
    m->kvm.warm_up_base = 0x09020000;
    m->kvm.warm_up_slot = 1;
    if (!kind->lent)
        return;
    fake_vmm_create_vcpus(&m->vmm, &m->config, &m->kvm);
    fake_vmm_create_vgic(&m->config, &m->kvm);
    fake_vmm_init_vgic(&m->config, &m->kvm);
}

static VcpuhpPower power_of(Machine *m, uint32_t vcpu)
{
    VcpuhpVcpuInfo info = {.size = sizeof(info)};

    assert_true(vcpuhp_query(m->hp, vcpu, &info, NULL));
    return info.power;
}

/* --- What a VMM's vCPU thread does --- */

static VcpuhpKvmExit run_once(Machine *m, uint32_t vcpu, int *ret_error)
{
    *ret_error = ioctl(vcpuhp_kvm_vcpu_fd(m->hp, vcpu), KVM_RUN, 0) < 0 ? errno : 0;
    return vcpuhp_kvm_handle_exit(m->hp, vcpu, *ret_error);
}

/* Until the guest's next step is served. */
static VcpuhpKvmExit run_vcpu(Machine *m, uint32_t vcpu)
{
    VcpuhpKvmExit result;
    int error;

    do
        result = run_once(m, vcpu, &error);
    while (result == VCPUHP_KVM_EXIT_INTERRUPTED || (error && result == VCPUHP_KVM_EXIT_RESUME));
    return result;
}

static VcpuhpKvmExit call(Machine *m, uint32_t vcpu, uint32_t function, uint64_t x1)
{
    fake_guest_call(vcpu, function, x1, ENTRY, 42);
    return run_vcpu(m, vcpu);
}

/* Stop the machine, in which a vCPU may be waiting for its thread. */
static void stop_and_park(Machine *m)
{
    uint32_t n_stopped = m->n_stopped;

    vcpuhp_stop(m->hp);
    for (uint32_t i = 0; i < N_VCPUS; i++) {
        if (power_of(m, i) == VCPUHP_POWER_ON_PENDING)
            assert_null(vcpuhp_kvm_enter(m->hp, i));
        if (power_of(m, i) == VCPUHP_POWER_ON)
            assert_int_equal(run_vcpu(m, i), VCPUHP_KVM_EXIT_PARK);
    }
    assert_int_equal(m->n_stopped, n_stopped + 1);
}

/* --- Phases --- */

static Result create(Machine *m, GError **error)
{
    static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                              .vcpu_start = on_start,
                                              .vcpu_kick = on_kick,
                                              .event = on_event};

    m->hp = vcpuhp_new(&m->config, &callbacks, m, error);
    return m->hp ? DONE : FAILED;
}

static Result setup(Machine *m, GError **error)
{
    m->is_set_up = vcpuhp_kvm_setup(m->hp, &m->kvm, error);
    return m->is_set_up ? DONE : FAILED;
}

/* FAILED: the warm-up could not restore the registers. */
static Result run_from_entry(Machine *m, uint32_t vcpu, uint64_t x0, bool big_endian)
{
    const FakeVcpu *v = &fake.vcpus[vcpu];

    if (!vcpuhp_kvm_enter(m->hp, vcpu)) {
        assert_int_equal(power_of(m, vcpu), VCPUHP_POWER_OFF);
        return FAILED;
    }
    assert_int_equal(v->x[0], x0);
    for (int i = 1; i < 31; i++)
        assert_int_equal(v->x[i], 0);
    assert_int_equal(v->pc, ENTRY);
    assert_int_equal(v->sctlr, 0xc50078 | (big_endian ? SCTLR_BE : 0));
    assert_int_equal(v->csselr | v->v0[0] | v->v0[1], 0);
    assert_int_equal(v->tcr | v->ttbr0 | v->mair | v->contextidr, 0);
    assert_int_equal(v->mpidr & 0xff00ffffff, m->config.mpidrs[vcpu]);
    assert_int_equal(v->mp_state, KVM_MP_STATE_RUNNABLE);
    assert_false(v->irqs[TIMER_PPI].active);
    return DONE;
}

static Result start(Machine *m, GError **error)
{
    const VcpuhpEntry entry = {.size = sizeof(VcpuhpEntry), .address = ENTRY};

    if (!vcpuhp_start(m->hp, &entry, error))
        return FAILED;
    return run_from_entry(m, 0, 0, false);
}

static Result turn_on(Machine *m, uint32_t vcpu)
{
    fake.vcpus[0].sctlr |= SCTLR_BE;
    if (call(m, 0, PSCI_0_2_FN64_CPU_ON, m->config.mpidrs[vcpu]) != VCPUHP_KVM_EXIT_RESUME)
        return BROKEN;
    if (fake.vcpus[0].x[0] == (uint64_t)PSCI_RET_INTERNAL_FAILURE) {
        assert_int_equal(power_of(m, vcpu), VCPUHP_POWER_OFF);
        return FAILED;
    }
    assert_int_equal(fake.vcpus[0].x[0], PSCI_RET_SUCCESS);
    return run_from_entry(m, vcpu, 42, true);
}

static Result turn_on_cold(Machine *m, GError **error)
{
    (void)error;
    return turn_on(m, COLD);
}

static Result turn_on_hot(Machine *m, GError **error)
{
    (void)error;
    return turn_on(m, HOT);
}

/* The request is there even if the interrupt is not, which every later change sets. */
static Result plug(Machine *m, GError **error)
{
    (void)error;
    if (m->plug) {
        assert_true(vcpuhp_repeat(m->hp, m->plug, NULL));
    } else {
        assert_true(vcpuhp_plug(m->hp, HOT, 0, 0, &m->plug, NULL));
        m->n_open++;
    }
    return m->host_error ? FAILED : DONE;
}

/* _OST follows EVENT, so that a line that stays high is low in the end. */
static Result answer_plug(Machine *m, GError **error)
{
    (void)error;
    assert_true(fake.vgic.spis[EVENT_IRQ].line);
    fake_guest_mmio(0, m->config.regs_base + REG_EVENT, 8, false, 0);
    if (run_vcpu(m, 0) != VCPUHP_KVM_EXIT_RESUME)
        return BROKEN;
    assert_int_equal(fake_mmio_data(0), EVENT_VALID | EVENT_INSERT | HOT);
    fake_guest_mmio(0, m->config.regs_base + REG_OST, 8, true,
                    HOT | VCPUHP_OST_SOURCE_DEVICE_CHECK << OST_SOURCE_SHIFT);
    if (run_vcpu(m, 0) != VCPUHP_KVM_EXIT_RESUME)
        return BROKEN;
    assert_false(fake.vgic.spis[EVENT_IRQ].line);
    assert_int_equal(m->n_open, 0);
    return DONE;
}

static void use_registers(uint32_t vcpu)
{
    FakeVcpu *v = &fake.vcpus[vcpu];

    for (int i = 0; i < 31; i++)
        v->x[i] = JUNK;
    v->sctlr = v->csselr = v->v0[0] = v->v0[1] = JUNK;
}

static Result turn_off(Machine *m, GError **error)
{
    (void)error;
    use_registers(HOT);
    return call(m, HOT, PSCI_0_2_FN_CPU_OFF, 0) == VCPUHP_KVM_EXIT_PARK ? DONE : BROKEN;
}

static Result kick(Machine *m, GError **error)
{
    (void)error;
    use_registers(HOT);
    fake.vcpus[HOT].irqs[TIMER_PPI].active = true;
    assert_true(vcpuhp_force(m->hp, HOT, NULL));
    assert_int_equal(run_vcpu(m, HOT), VCPUHP_KVM_EXIT_PARK);
    m->plug = 0;
    return DONE;
}

static Result suspend(Machine *m, GError **error)
{
    (void)error;
    if (call(m, 0, PSCI_0_2_FN64_CPU_SUSPEND, 0) != VCPUHP_KVM_EXIT_RESUME)
        return BROKEN;
    fake_guest_event(0, KVM_SYSTEM_EVENT_WAKEUP);
    return run_vcpu(m, 0) == VCPUHP_KVM_EXIT_RESUME ? DONE : BROKEN;
}

static Result go_down(Machine *m, GError **error)
{
    (void)error;
    if (call(m, 0, PSCI_0_2_FN_SYSTEM_RESET, 0) != VCPUHP_KVM_EXIT_SYSTEM_RESET)
        return BROKEN;
    stop_and_park(m);
    return DONE;
}

static Result reset(Machine *m, GError **error)
{
    return vcpuhp_reset(m->hp, error) ? DONE : FAILED;
}

static const struct Phase {
    const char *name;
    Result (*run)(Machine *m, GError **error);
} phases[] = {
    {"create", create},
    {"setup", setup},
    {"start", start},
    {"power on", turn_on_cold},
    {"plug", plug},
    {"answer", answer_plug},
    {"power on, hot", turn_on_hot},
    {"power off", turn_off},
    {"power on again", turn_on_hot},
    {"kick and park", kick},
    {"replug", plug},
    {"answer again", answer_plug},
    {"power on after a forced park", turn_on_hot},
    {"suspend", suspend},
    {"go down", go_down},
    {"reset", reset},
    {"start again", start},
};

#define N_PHASES ((int)G_N_ELEMENTS(phases))
#define SETUP    1
#define RESET    (N_PHASES - 2)

/* --- Injections --- */

static const char *name_of(unsigned long call)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (table[i].call == call)
            return table[i].name;
    fail_msg("the table lacks the call 0x%lx", call);
    return NULL;
}

/* What is no failure: KVM_RUN's errnos that ask for another one; a register that the VMM has
 * hidden; the end of the list of redistributor regions; a vGIC that is busy for a moment; and
 * KVM_RUN in a thread that must park in any case. */
static bool is_harmless(int phase, unsigned long call)
{
    switch (call) {
    case KVM_RUN:
        return host.fail_errno == EINTR || host.fail_errno == EAGAIN || phases[phase].run == kick ||
               phases[phase].run == go_down;
    case KVM_GET_ONE_REG:
        return phases[phase].run == start && host.fail_errno == ENOENT;
    case KVM_GET_DEVICE_ATTR:
        return phase == SETUP ? host.fail_errno == ENOENT : host.fail_errno == EBUSY;
    case KVM_SET_DEVICE_ATTR:
        return phase == RESET && host.fail_errno == EBUSY;
    default:
        return false;
    }
}

/* What lent things are refused for is told by the field's name. */
static bool names_a_field(const GError *error)
{
    return error && error->code != VCPUHP_ERROR_KVM && strstr(error->message, "_fd");
}

static void check_report(const Machine *m, int phase, unsigned long call, Result result,
                         const GError *error)
{
    const char *text = error ? error->message : m->host_error;
    const char *colon = strchr(fake.failed, ':');

    assert_false(result == FAILED && !error && !m->host_error);
    if (!text) {
        if (result != DONE || !is_harmless(phase, call))
            fail_msg("%s: %s, %s: no report", phases[phase].name, name_of(call),
                     g_strerror(host.fail_errno));
        return;
    }
    if ((host.fail_errno == EBUSY || host.fail_errno == ENOENT) && names_a_field(error))
        return;
    if (!strstr(text, g_strerror(host.fail_errno)) || !strstr(text, name_of(call)))
        fail_msg("%s: %s, %s: \"%s\"", phases[phase].name, name_of(call),
                 g_strerror(host.fail_errno), text);
    if (colon && call > CALL_TIMERFD) {
        g_autofree char *vcpu = g_strndup(fake.failed, (gsize)(colon - fake.failed));
        g_autofree char *lent = g_strdup_printf("vcpu_fds[%s]", vcpu + strlen("vCPU "));

        if (!strstr(text, vcpu) && !strstr(text, lent))
            fail_msg("%s: \"%s\" does not name %s", phases[phase].name, text, vcpu);
    }
}

/* The library's fds and mappings, apart from those that the VMM lends. */
static void check_fds(const Machine *m)
{
    int n_lent = m->kind->lent ? N_VCPUS + 1 + (m->kvm.its_fd >= 0) : 0;
    int n_own = m->is_set_up && !m->kind->lent ? N_VCPUS + 1 + (vcpuhp_kvm_its_fd(m->hp) >= 0) : 0;

    assert_int_equal(fake_open_fds(), n_lent + n_own);
    assert_int_equal(fake_mappings(), (m->kind->lent ? N_VCPUS : 0) + host.n_maps);
}

static void end(Machine *m)
{
    if (m->hp)
        vcpuhp_free(m->hp);
    assert_int_equal(m->n_open, 0);
    g_free(m->host_error);
    fake_vmm_free(&m->config, &m->kvm);
    assert_int_equal(fake_open_fds(), 0);
    assert_int_equal(fake_mappings(), 0);
    fake_kvm_end();
}

static Result run_phase(Machine *m, int phase, GError **error)
{
    Result result;

    g_clear_pointer(&m->host_error, g_free);
    host.n_calls = 0;
    host.counting = true;
    result = phases[phase].run(m, error);
    host.counting = false;
    return result;
}

static void run_phases(Machine *m, int from, int to)
{
    host.fail_at = -1;
    for (int i = from; i < to; i++) {
        g_autoptr(GError) error = NULL;

        if (run_phase(m, i, &error) != DONE || m->host_error)
            fail_msg("%s: %s", phases[i].name, error ? error->message : m->host_error);
    }
}

/* The machine as it was after the phase, or as good as new after a reset. */
static void go_on(Machine *m)
{
    if (power_of(m, 0) == VCPUHP_POWER_ON)
        stop_and_park(m);
    run_phases(m, RESET, N_PHASES);
    assert_int_equal(turn_on(m, COLD), DONE);
    stop_and_park(m);
}

/* A phase that failed works when it is repeated. But KVM takes no vCPU and no filter back. */
static bool repeat(Machine *m, int phase, int n_changes)
{
    if (phase == SETUP && fake.n_changes > n_changes)
        return false;
    run_phases(m, phase, phase + 1);
    return true;
}

/* One life, in which call number `at` of the phase fails. */
static void live(const Kind *kind, int phase, int at, unsigned long call, int error_number)
{
    g_autoptr(GError) error = NULL;
    int n_changes;
    Result result;
    Machine m;

    host.n_maps = 0;
    begin(&m, kind);
    run_phases(&m, 0, phase);
    n_changes = fake.n_changes;
    host.fail_at = at;
    host.fail_errno = error_number;
    result = run_phase(&m, phase, &error);
    host.fail_at = -1;
    if (!host.dead) {
        check_report(&m, phase, call, result, error);
        check_fds(&m);
        if (result == FAILED && !repeat(&m, phase, n_changes)) {
            end(&m);
            return;
        }
        if (phase > SETUP)
            go_on(&m);
    } else if (m.is_set_up && power_of(&m, 0) != VCPUHP_POWER_OFF) {
        stop_and_park(&m);
    }
    end(&m);
}

/* Returns the number of the phase's calls, and what they were. */
static int list_calls(const Kind *kind, int phase, unsigned long *ret_calls)
{
    int n_calls;
    Machine m;

    host.n_maps = 0;
    begin(&m, kind);
    run_phases(&m, 0, phase + 1);
    n_calls = host.n_calls;
    memcpy(ret_calls, host.calls, n_calls * sizeof(*ret_calls));
    if (phase > SETUP && power_of(&m, 0) == VCPUHP_POWER_ON)
        stop_and_park(&m);
    end(&m);
    return n_calls;
}

/* Returns the number of lives. */
static int inject_each(const Kind *kind, int phase, int at, unsigned long call)
{
    int n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        for (size_t j = 0;
             table[i].call == call && j < G_N_ELEMENTS(table[i].errnos) && table[i].errnos[j];
             j++, n++)
            live(kind, phase, at, call, table[i].errnos[j]);
    assert_true(n > 0);
    return n;
}

static void each_call_that_fails_is_reported_and_can_be_repeated(void **state)
{
    const Kind *kind = *state;
    int n = 0;

    host.dead = false;
    for (int phase = 0; phase < N_PHASES; phase++) {
        unsigned long calls[MAX_CALLS];
        int n_calls = list_calls(kind, phase, calls);

        for (int i = 0; i < n_calls; i++)
            n += inject_each(kind, phase, i, calls[i]);
    }
    print_message("# %s: %d injections\n", kind->name, n);
}

static void a_vm_that_dies_at_any_call_can_be_freed(void **state)
{
    const Kind *kind = *state;
    int n = 0;

    host.dead = true;
    for (int phase = SETUP; phase < N_PHASES; phase++) {
        unsigned long calls[MAX_CALLS];
        int n_calls = list_calls(kind, phase, calls);

        for (int i = 0; i < n_calls; i++, n++)
            live(kind, phase, i, calls[i], EIO);
    }
    print_message("# %s: %d deaths\n", kind->name, n);
}

static const Kind own_v3 = {"own, GICv3", false, 3}, own_v2 = {"own, GICv2", false, 2},
                  lent_v3 = {"lent, GICv3", true, 3}, lent_v2 = {"lent, GICv2", true, 2};

#define TEST(name, kind)                                                                           \
    {                                                                                              \
#kind ": " #name, name, NULL, NULL, (void *)&(kind)                                        \
    }
#define EACH(name) TEST(name, own_v3), TEST(name, own_v2), TEST(name, lent_v3), TEST(name, lent_v2)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(each_call_that_fails_is_reported_and_can_be_repeated),
        EACH(a_vm_that_dies_at_any_call_can_be_freed),
    };

    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
