/* SPDX-License-Identifier: BSD-3-Clause */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/psci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM     0x40000000ull
#define WARM_UP 0x09020000ull
#define MIB     0x100000ull

#define CORE  (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE)
#define X(n)  (CORE | 2ull * (n))
#define PC    (CORE | KVM_REG_ARM_CORE_REG(regs.pc))
#define MMFR2 ARM64_SYS_REG(3, 0, 0, 7, 2)

/*
 * The guest, at the start of RAM. vCPU 0 makes the calls that its registers ask for, or first
 * touches the pages from X4 to X5. The others enable their MMUs, with a table of level 1 in which
 * RAM is a block of normal memory, and turn themselves off.
 */
__asm__(".pushsection .rodata\n"
        ".balign 64\n"
        "guest:\n"
        "1:  hvc     #0\n"
        "    b       1b\n"
        "guest_touch:\n"
        "    str     xzr, [x4]\n"
        "    add     x4, x4, #4096\n"
        "    cmp     x4, x5\n"
        "    b.lo    guest_touch\n"
        "    b       1b\n"
        "guest_others:\n"
        "    adr     x1, guest_table\n"
        "    msr     ttbr0_el1, x1\n"
        "    mov     x1, #0xff\n"
        "    msr     mair_el1, x1\n"
        "    mov     x1, #33\n"          /* T0SZ */
        "    orr     x1, x1, #1 << 23\n" /* EPD1 */
        "    orr     x1, x1, #2 << 32\n" /* IPS: 40 bits */
        "    msr     tcr_el1, x1\n"
        "    isb\n"
        "    mrs     x1, sctlr_el1\n"
        "    orr     x1, x1, #1\n"      /* M */
        "    orr     x1, x1, #1 << 2\n" /* C */
        "    msr     sctlr_el1, x1\n"
        "    isb\n"
        "    movz    w0, #0x8400, lsl #16\n"
        "    movk    w0, #2\n" /* CPU_OFF */
        "    hvc     #0\n"
        ".balign 64\n"
        "guest_table:\n"
        "    .quad   0, 0x40000701\n"
        "guest_end:\n"
        ".popsection\n");
/* Hidden, so that the linker needs no GOT for them, where it would mix up symbols that are local. */
#pragma GCC visibility push(hidden)
extern const uint8_t guest[], guest_touch[], guest_others[], guest_end[];
#pragma GCC visibility pop

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void check_glib(bool ok, const GError *error)
{
    if (ok)
        return;
    fprintf(stderr, "%s\n", error->message);
    exit(1);
}

/* --- Callbacks --- */

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
    check(event->kind != VCPUHP_EVENT_HOST_ERROR, event->text);
}

/* --- The machine --- */

void vm_start(Vm *vm)
{
    const VcpuhpEntry entry = {.size = sizeof(entry), .address = RAM};
    g_autoptr(GError) error = NULL;

    check_glib(vcpuhp_start(vm->hp, &entry, &error), error);
    check(vcpuhp_kvm_enter(vm->hp, 0), "vcpuhp_kvm_enter");
}

static void set_up(Vm *vm, uint32_t n_vcpus, bool warm_up)
{
    static const VcpuhpCallbacks callbacks = {.size = sizeof(VcpuhpCallbacks),
                                              .vcpu_start = on_start,
                                              .vcpu_kick = on_kick,
                                              .event = on_event};
    g_autoptr(GError) error = NULL;
    VcpuhpKvmConfig kvm_config;
    VcpuhpConfig config;

    vcpuhp_config_init(&config, n_vcpus, n_vcpus);
    vcpuhp_kvm_config_init(&kvm_config, vm->fd);
    if (warm_up) {
        kvm_config.warm_up_base = WARM_UP;
        kvm_config.warm_up_slot = 1;
    }
    vm->hp = vcpuhp_new(&config, &callbacks, NULL, &error);
    check_glib(vm->hp && vcpuhp_kvm_setup(vm->hp, &kvm_config, &error), error);
}

Vm vm_create(uint32_t n_vcpus, uint32_t ram_mib, bool warm_up)
{
    struct kvm_userspace_memory_region region = {.guest_phys_addr = RAM,
                                                 .memory_size = ram_mib * MIB};
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    Vm vm = {.ram_size = ram_mib * MIB};

    check(kvm >= 0, "/dev/kvm");
    vm.fd = ioctl(kvm, KVM_CREATE_VM, 0ul);
    check(vm.fd >= 0, "KVM_CREATE_VM");
    close(kvm);
    vm.ram = mmap(NULL, vm.ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(vm.ram != MAP_FAILED, "mmap");
    madvise(vm.ram, vm.ram_size, MADV_HUGEPAGE); /* fewer faults, if the host can */
    memcpy(vm.ram, guest, guest_end - guest);
    region.userspace_addr = (uintptr_t)vm.ram;
    check(ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
    set_up(&vm, n_vcpus, warm_up);
    vm_start(&vm);
    return vm;
}

/* No other vCPU is on. */
void vm_stop(Vm *vm)
{
    vcpuhp_stop(vm->hp);
    check(ioctl(vcpuhp_kvm_vcpu_fd(vm->hp, 0), KVM_RUN, 0) < 0 && errno == EINTR, "KVM_RUN");
    check(vcpuhp_kvm_handle_exit(vm->hp, 0, EINTR) == VCPUHP_KVM_EXIT_PARK, "vCPU 0 runs on");
}

void vm_destroy(Vm *vm)
{
    vm_stop(vm);
    vcpuhp_free(vm->hp);
    munmap(vm->ram, vm->ram_size);
    close(vm->fd);
}

/* --- vCPU 0 --- */

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

bool vm_has_fwb(const Vm *vm)
{
    return get_reg(vm, MMFR2) >> 40 & 15;
}

/* The call that follows is one without effect. */
void vm_touch(const Vm *vm, uint32_t mib)
{
    set_reg(vm, X(0), PSCI_0_2_FN64_AFFINITY_INFO);
    set_reg(vm, X(1), 0);
    set_reg(vm, X(2), 0);
    set_reg(vm, X(4), RAM + 4096);
    set_reg(vm, X(5), RAM + mib * MIB);
    set_reg(vm, PC, RAM + (guest_touch - guest));
    run(vm, 0, VCPUHP_KVM_EXIT_RESUME);
}

void vm_prepare_cpu_on(const Vm *vm, uint32_t vcpu)
{
    set_reg(vm, PC, RAM);
    set_reg(vm, X(0), PSCI_0_2_FN64_CPU_ON);
    set_reg(vm, X(1), (vcpu & 15) | (uint64_t)(vcpu >> 4) << 8);
    set_reg(vm, X(2), RAM + (guest_others - guest));
}

void vm_cpu_on(const Vm *vm, uint32_t vcpu)
{
    run(vm, 0, VCPUHP_KVM_EXIT_RESUME);
    check(vcpuhp_kvm_enter(vm->hp, vcpu), "CPU_ON");
}

/* --- The others --- */

void vm_live(const Vm *vm, uint32_t vcpu)
{
    run(vm, vcpu, VCPUHP_KVM_EXIT_PARK);
}
