/* SPDX-License-Identifier: BSD-3-Clause */
#include "event-log.h"

#include <inttypes.h>

static const char *const kind_names[] = {
    [VCPUHP_EVENT_SEEN] = "seen",
    [VCPUHP_EVENT_ENDED] = "ended",
    [VCPUHP_EVENT_OST] = "ost",
    [VCPUHP_EVENT_ON] = "on",
    [VCPUHP_EVENT_OFF] = "off",
    [VCPUHP_EVENT_DENIED] = "denied",
    [VCPUHP_EVENT_DISABLED] = "disabled",
    [VCPUHP_EVENT_EJECTED] = "ejected",
    [VCPUHP_EVENT_FORCED] = "forced",
    [VCPUHP_EVENT_GUEST_ERROR] = "guest-error",
    [VCPUHP_EVENT_HOST_ERROR] = "host-error",
    [VCPUHP_EVENT_STOPPED] = "stopped",
};
static const char *const outcome_names[] = {
    [VCPUHP_OUTCOME_DONE] = "done",
    [VCPUHP_OUTCOME_REFUSED] = "refused",
    [VCPUHP_OUTCOME_TIMED_OUT] = "timed-out",
    [VCPUHP_OUTCOME_CANCELLED] = "cancelled",
};

static void append_string(GString *json, const char *key, const char *text)
{
    g_string_append_printf(json, ",\"%s\":\"", key);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            g_string_append_printf(json, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            g_string_append_printf(json, "\\u%04x", *c);
        else
            g_string_append_c(json, *c);
    }
    g_string_append_c(json, '"');
}

static void append_number(GString *json, const char *key, uint64_t number)
{
    g_string_append_printf(json, ",\"%s\":%" PRIu64, key, number);
}

char *event_to_json(const VcpuhpEvent *event)
{
    gint64 now = g_get_real_time();
    GString *json = g_string_new(NULL);
    bool ended = event->kind == VCPUHP_EVENT_ENDED;

    g_string_append_printf(json, "{\"time\":%" PRId64 ".%06d", now / G_USEC_PER_SEC,
                           (int)(now % G_USEC_PER_SEC));
    append_number(json, "sequence", event->sequence);
    append_string(json, "event", kind_names[event->kind]);
    if (event->vcpu != VCPUHP_NO_VCPU)
        append_number(json, "vcpu", event->vcpu);
    if (event->request)
        append_number(json, "request", event->request);
    if (ended)
        append_string(json, "outcome", outcome_names[event->outcome]);
    if (event->kind == VCPUHP_EVENT_OST || (ended && event->ost_source)) {
        append_number(json, "ost_source", event->ost_source);
        append_number(json, "ost_status", event->ost_status);
    }
    if (event->count)
        append_number(json, "count", event->count);
    if (event->text)
        append_string(json, "text", event->text);
    g_string_append_c(json, '}');
    return g_string_free(json, FALSE);
}
