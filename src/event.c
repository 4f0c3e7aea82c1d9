/* SPDX-License-Identifier: BSD-3-Clause */
/* Events as English text. */
#include <inttypes.h>
#include <string.h>

#include <vcpuhp/vcpuhp.h>

static const char *describe_eject_status(uint32_t status)
{
    switch (status) {
    case VCPUHP_OST_EJECT_NOT_SUPPORTED:
        return "the OS does not support eject";
    case VCPUHP_OST_EJECT_IN_USE:
        return "an application uses the device";
    case VCPUHP_OST_EJECT_BUSY:
        return "the device is busy";
    case VCPUHP_OST_EJECT_DEPENDENCY:
        return "a dependent device is busy";
    case VCPUHP_OST_EJECT_IN_PROGRESS:
        return "eject is in progress";
    default:
        return NULL;
    }
}

static const char *describe_insert_status(uint32_t status)
{
    switch (status) {
    case VCPUHP_OST_INSERT_IN_PROGRESS:
        return "insertion is in progress";
    case VCPUHP_OST_INSERT_DRIVER_FAILED:
        return "the driver failed to load";
    case VCPUHP_OST_INSERT_NOT_SUPPORTED:
        return "the OS does not support insertion";
    default:
        return NULL;
    }
}

const char *vcpuhp_ost_describe(uint32_t source, uint32_t status)
{
    const char *text = NULL;

    switch (status) {
    case VCPUHP_OST_SUCCESS:
        return "success";
    case VCPUHP_OST_FAILURE:
        return "failed for no specific reason";
    case VCPUHP_OST_UNRECOGNIZED:
        return "the notification is unknown";
    }
    switch (source) {
    case VCPUHP_OST_SOURCE_EJECT_REQUEST:
    case VCPUHP_OST_SOURCE_EJECT:
        text = describe_eject_status(status);
        break;
    case VCPUHP_OST_SOURCE_BUS_CHECK:
    case VCPUHP_OST_SOURCE_DEVICE_CHECK:
    case VCPUHP_OST_SOURCE_INSERT:
        text = describe_insert_status(status);
        break;
    }
    return text ? text : "a code that ACPI does not define for this source";
}

static const char *describe_ost_source(uint32_t source)
{
    switch (source) {
    case VCPUHP_OST_SOURCE_BUS_CHECK:
        return "bus check";
    case VCPUHP_OST_SOURCE_DEVICE_CHECK:
        return "device check";
    case VCPUHP_OST_SOURCE_EJECT_REQUEST:
        return "eject request";
    case VCPUHP_OST_SOURCE_EJECT:
        return "eject begun by the guest";
    case VCPUHP_OST_SOURCE_INSERT:
        return "insertion begun by the guest";
    default:
        return "a source that ACPI does not define";
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

static char *describe(const VcpuhpEvent *event)
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
        return g_strdup_printf("vCPU %u: CPU_ON denied: it is disabled (%" PRIu64 "x)", event->vcpu,
                               event->count);
    case VCPUHP_EVENT_DISABLED:
        return g_strdup_printf("vCPU %u: disabled by _EJ0", event->vcpu);
    case VCPUHP_EVENT_EJECTED:
        return g_strdup_printf("vCPU %u: ejected", event->vcpu);
    case VCPUHP_EVENT_FORCED:
        return g_strdup_printf("vCPU %u: removed by force", event->vcpu);
    case VCPUHP_EVENT_GUEST_ERROR:
        if (event->vcpu == VCPUHP_NO_VCPU)
            return g_strdup_printf("guest error: %s (%" PRIu64 "x)", event->text, event->count);
        return g_strdup_printf("vCPU %u: guest error: %s (%" PRIu64 "x)", event->vcpu, event->text,
                               event->count);
    case VCPUHP_EVENT_HOST_ERROR:
        return g_strdup_printf("host error: %s", event->text);
    case VCPUHP_EVENT_STOPPED:
        return g_strdup("all vCPUs have parked");
    }
    return g_strdup_printf("vCPU %u: event %d", event->vcpu, (int)event->kind);
}

char *vcpuhp_event_describe(const VcpuhpEvent *event)
{
    VcpuhpEvent known = {.text = "unknown"};

    memcpy(&known, event, MIN(event->size, sizeof(known)));
    return describe(&known);
}
