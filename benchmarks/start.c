/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What possible vCPUs cost a VMM at its start, on real KVM: the time of the library's setup
 * relative to that of the same ioctls in a loop, measured by turns; and the memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kvm.h>

#include <vcpuhp/kvm.h>

#define N_VCPUS 256
#define N_RUNS  41

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "start: %s: %s\n", what, strerror(errno));
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

static Vcpuhp *set_up(int vm, uint32_t n_vcpus)
{
    static const VcpuhpCallbacks callbacks = {
        .size = sizeof(VcpuhpCallbacks), .vcpu_start = on_start, .vcpu_kick = on_kick};
    g_autoptr(GError) error = NULL;
    VcpuhpKvmConfig kvm_config;
    VcpuhpConfig config;
    Vcpuhp *hp;

    vcpuhp_config_init(&config, n_vcpus, 1);
    vcpuhp_kvm_config_init(&kvm_config, vm);
    hp = vcpuhp_new(&config, &callbacks, NULL, &error);
    if (hp && vcpuhp_kvm_setup(hp, &kvm_config, &error))
        return hp;
    fprintf(stderr, "start: %s\n", error->message);
    exit(1);
}

static gint64 time_library(int kvm)
{
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    gint64 begin, time;
    Vcpuhp *hp;

    check(vm >= 0, "KVM_CREATE_VM");
    begin = g_get_monotonic_time();
    hp = set_up(vm, N_VCPUS);
    time = g_get_monotonic_time() - begin;
    vcpuhp_free(hp);
    close(vm);
    return time;
}

static gsize allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static gsize memory(int kvm, uint32_t n_vcpus)
{
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    gsize before = allocated(), used;
    Vcpuhp *hp;

    check(vm >= 0, "KVM_CREATE_VM");
    hp = set_up(vm, n_vcpus);
    used = allocated() - before;
    vcpuhp_free(hp);
    close(vm);
    return used;
}

static void set_vgic(int vgic, uint32_t group, uint64_t attr, const void *value)
{
    struct kvm_device_attr request = {
        .group = group, .attr = attr, .addr = (uint64_t)(uintptr_t)value};

    check(ioctl(vgic, KVM_SET_DEVICE_ATTR, &request) == 0, "KVM_SET_DEVICE_ATTR");
}

static gint64 time_ioctls(int kvm)
{
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
    uint64_t dist = 0x08000000, redists = (uint64_t)N_VCPUS << 52 | 0x0a000000;
    struct kvm_vcpu_init init;
    uint32_t n_irqs = 256;
    int fds[N_VCPUS];
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    gint64 begin, time;

    check(vm >= 0, "KVM_CREATE_VM");
    begin = g_get_monotonic_time();
    check(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) == 0, "KVM_ARM_PREFERRED_TARGET");
    init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
    for (int i = 0; i < N_VCPUS; i++)
        check((fds[i] = ioctl(vm, KVM_CREATE_VCPU, i)) >= 0, "KVM_CREATE_VCPU");
    check(ioctl(vm, KVM_CREATE_DEVICE, &device) == 0, "KVM_CREATE_DEVICE");
    set_vgic(device.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist);
    set_vgic(device.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &redists);
    set_vgic(device.fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &n_irqs);
    for (int i = 0; i < N_VCPUS; i++)
        check(ioctl(fds[i], KVM_ARM_VCPU_INIT, &init) == 0, "KVM_ARM_VCPU_INIT");
    set_vgic(device.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
    time = g_get_monotonic_time() - begin;
    for (int i = 0; i < N_VCPUS; i++)
        close(fds[i]);
    close(device.fd);
    close(vm);
    return time;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    double ratios[N_RUNS];

    check(kvm >= 0, "/dev/kvm");
    time_library(kvm); /* not counted: the first run is slower */
    for (int i = 0; i < N_RUNS; i++) {
        double bare = time_ioctls(kvm);

        ratios[i] = time_library(kvm) / bare;
    }
    qsort(ratios, N_RUNS, sizeof(ratios[0]), compare);
    printf("start.ratio.n%d %.3f %.3f %.3f\n", N_VCPUS, ratios[N_RUNS / 2], ratios[0],
           ratios[N_RUNS - 1]);
    printf("slot.bytes %.1f\n",
           ((double)memory(kvm, N_VCPUS) - memory(kvm, N_VCPUS / 4)) / (N_VCPUS * 3 / 4));
    return 0;
}
