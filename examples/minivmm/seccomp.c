/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --seccomp: after the set-up, a thread that makes a system call which is not listed here ends
 * minivmm. docs/security.md says what needs each call.
 *
 * A thread begins with its creator's filters, and adds to them. So the filter of all threads allows
 * what any of them needs, and those of vCPUs narrow it down.
 */
#include "machine.h"

#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

/* What a vCPU's thread needs; each ioctl is listed below. */
static const uint32_t vcpu_calls[] = {
    /* locks, and the timer fd */
    __NR_futex,
    __NR_timerfd_settime,
    /* memory: malloc(), and kvm_run when a vCPU is first turned on */
    __NR_brk,
    __NR_madvise,
    __NR_mmap,
    __NR_mprotect,
    __NR_munmap,
    __NR_sched_getaffinity, /* the arenas of many threads */
    /* waking the main loop */
    __NR_write,
    /* kicking a vCPU, and being kicked */
    __NR_getpid,
    __NR_gettid, /* for a thread that kicks its own vCPU */
    __NR_rt_sigprocmask,
    __NR_rt_sigreturn,
    __NR_tgkill,
    /* creating a thread when a vCPU is first turned on, and its end */
    __NR_clone,
    __NR_clone3,
    __NR_exit,
    __NR_prctl,
    __NR_rseq,
    __NR_set_robust_list,
    /* The vDSO reads the clock, but not on every host. */
    __NR_clock_gettime,
    /* after SIGSTOP and SIGCONT */
    __NR_restart_syscall,
};

static const uint32_t vcpu_ioctls[] = {
    KVM_RUN, KVM_IRQ_LINE, KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_SET_MP_STATE, KVM_ARM_VCPU_INIT,
};

/* What the main thread and GLib's worker, which receives signals, need beyond these. */
static const uint32_t main_calls[] = {
    /* the main loop, console and monitor */
    __NR_accept4,
    __NR_close,
    __NR_newfstatat,
    __NR_ppoll,
    __NR_read,
    __NR_sendto,
    /* creating GLib's worker; the handlers of SIGINT and SIGTERM */
    __NR_eventfd2,
    __NR_rt_sigaction,
    /* vcpuhp_reset(), which waits when the vGIC is busy */
    __NR_clock_nanosleep,
    /* the end */
    __NR_exit_group,
    __NR_unlinkat,
};

static const uint32_t main_ioctls[] = {
    /* vcpuhp_start(), the first time */
    KVM_GET_REG_LIST,
    /* vcpuhp_reset() */
    KVM_GET_DEVICE_ATTR,
    KVM_SET_DEVICE_ATTR,
    /* vcpuhp_free(), with --warm-up */
    KVM_SET_USER_MEMORY_REGION,
    /* the terminal */
    TCGETS,
    TCSETS,
};

/* --- The filter's program: see Linux, Documentation/userspace-api/seccomp_filter.rst --- */

static void add(GArray *program, struct sock_filter instruction)
{
    g_array_append_val(program, instruction);
}

static void load(GArray *program, uint32_t offset)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void answer(GArray *program, uint32_t value)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

/* The next instruction is executed if the loaded value is this one, or is not. */
static void if_equal(GArray *program, uint32_t value)
{
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
}

static void if_not_equal(GArray *program, uint32_t value)
{
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
}

static void allow(GArray *program, const uint32_t *values, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        if_equal(program, values[i]);
        answer(program, SECCOMP_RET_ALLOW);
    }
}

static GArray *program_begin(void)
{
    GArray *program = g_array_new(FALSE, FALSE, sizeof(struct sock_filter));

    load(program, offsetof(struct seccomp_data, arch));
    if_not_equal(program, AUDIT_ARCH_AARCH64);
    answer(program, SECCOMP_RET_KILL_PROCESS);
    load(program, offsetof(struct seccomp_data, nr));
    return program;
}

/* From here on, the loaded value is the ioctl's request. */
static void program_ioctls(GArray *program)
{
    if_not_equal(program, __NR_ioctl);
    answer(program, SECCOMP_RET_KILL_PROCESS);
    load(program, offsetof(struct seccomp_data, args[1]));
}

static bool program_install(GArray *program, GError **error)
{
    struct sock_fprog filter;
    bool ok;

    answer(program, SECCOMP_RET_KILL_PROCESS);
    filter = (struct sock_fprog){.len = program->len, .filter = (void *)program->data};
    /* Without privileges, a filter is allowed only to a thread that cannot gain any. */
    ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
    if (!ok)
        fail_errno("--seccomp", error);
    g_array_unref(program);
    return ok;
}

bool seccomp_enter_main(GError **error)
{
    GArray *program = program_begin();

    allow(program, vcpu_calls, G_N_ELEMENTS(vcpu_calls));
    allow(program, main_calls, G_N_ELEMENTS(main_calls));
    program_ioctls(program);
    allow(program, vcpu_ioctls, G_N_ELEMENTS(vcpu_ioctls));
    allow(program, main_ioctls, G_N_ELEMENTS(main_ioctls));
    return program_install(program, error);
}

bool seccomp_enter_vcpu(GError **error)
{
    GArray *program = program_begin();

    allow(program, vcpu_calls, G_N_ELEMENTS(vcpu_calls));
    program_ioctls(program);
    allow(program, vcpu_ioctls, G_N_ELEMENTS(vcpu_ioctls));
    return program_install(program, error);
}
