/* SPDX-License-Identifier: BSD-3-Clause */
/* Events and errors in words. */
#include <vcpuhp/vcpuhp.h>

GQuark vcpuhp_error_quark(void)
{
    return g_quark_from_static_string("vcpuhp-error-quark");
}

const char *vcpuhp_ost_describe(uint32_t source, uint32_t status)
{
    if (status == 0x00)
        return "success";
    if (status == 0x01)
        return "failed, for no specific reason";
    if (status == 0x02)
        return "the notification was not recognised";
    switch (source) {
    case 0x003:
    case 0x103:
        switch (status) {
        case 0x80:
            return "eject is not supported by the OS";
        case 0x81:
            return "the device is in use by an application";
        case 0x82:
            return "the device is busy";
        case 0x83:
            return "a device that depends on it is busy";
        case 0x84:
            return "eject is in progress";
        }
        break;
    case 0x000:
    case 0x001:
    case 0x200:
        switch (status) {
        case 0x80:
            return "insertion is in progress";
        case 0x81:
            return "the driver failed to load";
        case 0x82:
            return "insertion is not supported by the OS";
        }
        break;
    }
    return "a code that ACPI doesn't define for it";
}

static const char *describe_ost_source(uint32_t source)
{
    switch (source) {
    case 0x000:
        return "bus check";
    case 0x001:
        return "device check";
    case 0x003:
        return "eject request";
    case 0x103:
        return "eject begun by the guest";
    case 0x200:
        return "insertion";
    default:
        return "source that ACPI doesn't define";
    }
}

static char *describe_ended(const VcpuhpEvent *event)
{
    switch (event->outcome) {
    case VCPUHP_OUTCOME_DONE:
        return g_strdup_printf("vCPU %u: request %u done", event->vcpu, event->request);
    case VCPUHP_OUTCOME_REFUSED:
        if (!event->ost_status)
            return g_strdup_printf("vCPU %u: request %u refused: the guest ejected it", event->vcpu,
                                   event->request);
        return g_strdup_printf("vCPU %u: request %u refused: %s", event->vcpu, event->request,
                               vcpuhp_ost_describe(event->ost_source, event->ost_status));
    case VCPUHP_OUTCOME_TIMED_OUT:
        return g_strdup_printf("vCPU %u: request %u timed out", event->vcpu, event->request);
    case VCPUHP_OUTCOME_CANCELLED:
        return g_strdup_printf("vCPU %u: request %u cancelled", event->vcpu, event->request);
    }
    return g_strdup_printf("vCPU %u: request %u ended", event->vcpu, event->request);
}

char *vcpuhp_event_describe(const VcpuhpEvent *event)
{
    switch (event->kind) {
    case VCPUHP_EVENT_SEEN:
        return g_strdup_printf("vCPU %u: request %u seen by the guest", event->vcpu,
                               event->request);
    case VCPUHP_EVENT_ENDED:
        return describe_ended(event);
    case VCPUHP_EVENT_OST:
        return g_strdup_printf("vCPU %u: _OST 0x%x, 0x%x: %s: %s", event->vcpu, event->ost_source,
                               event->ost_status, describe_ost_source(event->ost_source),
                               vcpuhp_ost_describe(event->ost_source, event->ost_status));
    case VCPUHP_EVENT_ON:
        return g_strdup_printf("vCPU %u: on", event->vcpu);
    case VCPUHP_EVENT_OFF:
        return g_strdup_printf("vCPU %u: off", event->vcpu);
    case VCPUHP_EVENT_DENIED:
        return g_strdup_printf("vCPU %u: CPU_ON denied: it is disabled (%" G_GUINT64_FORMAT "x)",
                               event->vcpu, event->count);
    case VCPUHP_EVENT_DISABLED:
        return g_strdup_printf("vCPU %u: disabled by _EJ0", event->vcpu);
    case VCPUHP_EVENT_EJECTED:
        return g_strdup_printf("vCPU %u: ejected", event->vcpu);
    case VCPUHP_EVENT_FORCED:
        return g_strdup_printf("vCPU %u: removed by force", event->vcpu);
    case VCPUHP_EVENT_GUEST_ERROR:
        return g_strdup_printf("vCPU %u: guest error: %s (%" G_GUINT64_FORMAT "x)", event->vcpu,
                               event->text, event->count);
    case VCPUHP_EVENT_HOST_ERROR:
        return g_strdup_printf("vCPU %u: host error: %s", event->vcpu, event->text);
    case VCPUHP_EVENT_STOPPED:
        return g_strdup("all vCPUs have parked");
    }
    return g_strdup_printf("vCPU %u: event %d", event->vcpu, (int)event->kind);
}
