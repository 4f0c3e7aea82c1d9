/* SPDX-License-Identifier: BSD-3-Clause */
/* The VMM's callbacks as the backend of a context that does not use KVM through the library. */
#include "context.h"
#include "error.h"

bool callbacks_start(Vcpuhp *hp, uint32_t vcpu, const VcpuhpEntry *entry, GError **error)
{
    if (hp->callbacks.vcpu_start(vcpu, entry, hp->opaque))
        return true;
    return refuse(error, VCPUHP_ERROR_NO_THREAD, "vCPU %u: vcpu_start returned false", vcpu);
}

static bool vcpu_start(void *data, uint32_t vcpu, const VcpuhpEntry *entry, GError **error)
{
    return callbacks_start(data, vcpu, entry, error);
}

static void vcpu_off(void *data, uint32_t vcpu, bool asked)
{
    (void)data, (void)vcpu, (void)asked;
}

void callbacks_kick(Vcpuhp *hp, uint32_t vcpu)
{
    hp->callbacks.vcpu_kick(vcpu, hp->opaque);
}

static void vcpu_kick(void *data, uint32_t vcpu)
{
    callbacks_kick(data, vcpu);
}

static void irq_set(void *data, bool level)
{
    Vcpuhp *hp = data;

    hp->callbacks.irq_set(level, hp->opaque);
}

static bool reset(void *data, GError **error)
{
    (void)data, (void)error;
    return true;
}

/* What the VMM's vCPUs were loaded with is the VMM's business. */
static bool resume(void *data, GError **error)
{
    (void)data, (void)error;
    return true;
}

static void free_nothing(void *data)
{
    (void)data;
}

#define WITHOUT_LINE                                                                               \
    .vcpu_start = vcpu_start, .vcpu_off = vcpu_off, .vcpu_kick = vcpu_kick, .reset = reset,        \
    .resume = resume, .free = free_nothing

const Backend *callbacks_backend(const VcpuhpCallbacks *callbacks)
{
    static const Backend with_line = {WITHOUT_LINE, .irq_set = irq_set};
    /* Until vcpuhp_kvm_setup(); vcpuhp_start() refuses to start without a line. */
    static const Backend without_line = {WITHOUT_LINE};

    return callbacks->irq_set ? &with_line : &without_line;
}
