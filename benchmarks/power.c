/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many ioctls the power of vCPUs costs a VMM, on real KVM: a first power-on, another one of the
 * same vCPU, and a reset of the machine. The guest is a few instructions. KVM_RUN is not counted.
 * The keys say whether the host has FEAT_S2FWB.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/psci.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vcpuhp/kvm.h>

#define RAM      0x40000000ull
#define RAM_SIZE 0x10000
#define WARM_UP  0x09020000ull

#define X(n)  (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | (2ull * (n)))
#define MMFR2 ARM64_SYS_REG(3, 0, 0, 7, 2)

/* vCPU 0 makes the calls that its registers ask for. All others turn themselves off. */
static const uint32_t code[] = {
    0xd4000002, /* hvc #0 */
    0x17ffffff, /* b .-4 */
    0x52b08000, /* mov w0, #0x84000000 */
    0x72800040, /* movk w0, #2: CPU_OFF */
    0xd4000002, /* hvc #0 */
};
#define OTHERS (RAM + 2 * sizeof(code[0]))

static guint n_ioctls;

/* In place of the C library's, for the library, too. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    n_ioctls += request != KVM_RUN;
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "power: %s: %s\n", what, strerror(errno));
    exit(1);
}

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
    (void)opaque;
    if (event->kind != VCPUHP_EVENT_HOST_ERROR)
        return;
    fprintf(stderr, "power: %s\n", event->text);
    exit(1);
}

typedef struct Vm {
    int fd;
    uint8_t *ram;
    Vcpuhp *hp;
} Vm;

static void start(Vm *vm)
{
    const VcpuhpEntry entry = {.size = sizeof(entry), .address = RAM};

    check(vcpuhp_start(vm->hp, &entry, NULL) && vcpuhp_kvm_enter(vm->hp, 0), "vcpuhp_start");
}

/* All vCPUs are enabled, and vCPU 0 is on. */
static Vm create(uint32_t n_vcpus, bool warm_up)
{
    static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                              .vcpu_start = on_start,
                                              .vcpu_kick = on_kick,
                                              .event = on_event};
    struct kvm_userspace_memory_region region = {.guest_phys_addr = RAM, .memory_size = RAM_SIZE};
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    VcpuhpKvmConfig kvm_config;
    VcpuhpConfig config;
    Vm vm;

    check(kvm >= 0, "/dev/kvm");
    vm.fd = ioctl(kvm, KVM_CREATE_VM, 0ul);
    check(vm.fd >= 0, "KVM_CREATE_VM");
    close(kvm);
    vm.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(vm.ram != MAP_FAILED, "mmap");
    memcpy(vm.ram, code, sizeof(code));
    region.userspace_addr = (uintptr_t)vm.ram;
    check(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");

    vcpuhp_config_init(&config, n_vcpus, n_vcpus);
    vcpuhp_kvm_config_init(&kvm_config, vm.fd);
    if (warm_up) {
        kvm_config.warm_up_base = WARM_UP;
        kvm_config.warm_up_slot = 1;
    }
    vm.hp = vcpuhp_new(&config, &callbacks, NULL, &error);
    if (!vm.hp || !vcpuhp_kvm_setup(vm.hp, &kvm_config, &error)) {
        fprintf(stderr, "power: %s\n", error->message);
        exit(1);
    }
    start(&vm);
    return vm;
}

static void stop(Vm *vm)
{
    vcpuhp_stop(vm->hp);
    check(ioctl(vcpuhp_kvm_vcpu_fd(vm->hp, 0), KVM_RUN, 0) < 0 && errno == EINTR, "KVM_RUN");
    check(vcpuhp_kvm_handle_exit(vm->hp, 0, EINTR) == VCPUHP_KVM_EXIT_PARK, "vCPU 0 runs on");
}

static void destroy(Vm *vm)
{
    stop(vm);
    vcpuhp_free(vm->hp);
    munmap(vm->ram, RAM_SIZE);
    close(vm->fd);
}

static uint64_t get_reg(const Vm *vm, uint64_t id)
{
    uint64_t value;
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

    check(ioctl(vcpuhp_kvm_vcpu_fd(vm->hp, 0), KVM_GET_ONE_REG, &reg) == 0, "KVM_GET_ONE_REG");
    return value;
}

static void set_reg(const Vm *vm, uint64_t id, uint64_t value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

    check(ioctl(vcpuhp_kvm_vcpu_fd(vm->hp, 0), KVM_SET_ONE_REG, &reg) == 0, "KVM_SET_ONE_REG");
}

static void run(const Vm *vm, uint32_t vcpu, VcpuhpKvmExit expected)
{
    check(ioctl(vcpuhp_kvm_vcpu_fd(vm->hp, vcpu), KVM_RUN, 0) == 0, "KVM_RUN");
    check(vcpuhp_kvm_handle_exit(vm->hp, vcpu, 0) == expected, "vcpuhp_kvm_handle_exit");
}

/* vCPU 0 turns another one on, which turns itself off. Returns the ioctls of the former. */
static guint cycle(const Vm *vm, uint32_t vcpu)
{
    guint before;

    set_reg(vm, X(0), PSCI_0_2_FN64_CPU_ON);
    set_reg(vm, X(1), (vcpu & 15) | (uint64_t)(vcpu >> 4) << 8);
    set_reg(vm, X(2), OTHERS);
    before = n_ioctls;
    run(vm, 0, VCPUHP_KVM_EXIT_RESUME);
    check(vcpuhp_kvm_enter(vm->hp, vcpu), "vcpuhp_kvm_enter");
    before = n_ioctls - before;
    check(get_reg(vm, X(0)) == PSCI_RET_SUCCESS, "CPU_ON");
    run(vm, vcpu, VCPUHP_KVM_EXIT_PARK);
    return before;
}

/* Of which vCPUs 0 … n_on-1 have been on. */
static guint count_reset(uint32_t n_vcpus, uint32_t n_on)
{
    Vm vm = create(n_vcpus, false);
    guint before;

    for (uint32_t i = 1; i < n_on; i++)
        cycle(&vm, i);
    stop(&vm);
    before = n_ioctls;
    check(vcpuhp_reset(vm.hp, NULL), "vcpuhp_reset");
    before = n_ioctls - before;
    start(&vm);
    destroy(&vm);
    return before;
}

int main(void)
{
    Vm vm = create(4, false);
    bool fwb = get_reg(&vm, MMFR2) >> 40 & 15;
    guint few;

    printf("power_on.ioctls.%s %u\n", fwb ? "fwb" : "no_fwb", cycle(&vm, 1));
    printf("replug.ioctls.%s %u\n", fwb ? "fwb" : "no_fwb", cycle(&vm, 1));
    destroy(&vm);
    if (!fwb) {
        vm = create(4, true);
        printf("power_on.ioctls.warm_up %u\n", cycle(&vm, 1));
        destroy(&vm);
        return 0;
    }
    few = count_reset(512, 4);
    printf("reset.ioctls.n512 %u\n", few);
    printf("reset.ioctls.on %.1f\n", (count_reset(512, 8) - few) / 4.0);
    printf("reset.ioctls.off %.1f\n", (few - count_reset(256, 4)) / 256.0);
    return 0;
}
