/* SPDX-License-Identifier: BSD-3-Clause */
#include "state.h"

#include <vcpuhp/state.h>

#include "ram.h"
#include "uart.h"

/* --- What the target must offer --- */

GBytes *state_take_host(Machine *m, GError **error)
{
    return vcpuhp_kvm_save_host(m->hp, error);
}

static bool send_bytes(Stream *stream, uint32_t type, GBytes *bytes, GError **error)
{
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);

    return stream_send(stream, type, data, len, error);
}

bool state_send_host(Machine *m, Stream *stream, GBytes *host, GError **error)
{
    return stream_send(stream, RECORD_MACHINE, m->description, strlen(m->description), error) &&
           send_bytes(stream, RECORD_HOST, host, error);
}

bool state_receive_host(Machine *m, Stream *stream, GError **error)
{
    g_autoptr(GBytes) description = stream_expect(stream, RECORD_MACHINE, error);
    g_autoptr(GBytes) host = NULL;
    g_autofree char *text = NULL;

    if (!description)
        return false;
    text = g_strndup(g_bytes_get_data(description, NULL), g_bytes_get_size(description));
    if (!description_check(m, text, error))
        return false;
    host = stream_expect(stream, RECORD_HOST, error);
    return host && vcpuhp_kvm_load_host(m->hp, host, error);
}

/* --- The rest --- */

void state_clear(State *state)
{
    g_clear_pointer(&state->library, g_bytes_unref);
    g_clear_pointer(&state->kvm, g_bytes_unref);
    g_clear_pointer(&state->uart, g_bytes_unref);
}

bool state_take(Machine *m, State *ret_state, GError **error)
{
    g_auto(State) state = {0};

    state.kvm = vcpuhp_kvm_save(m->hp, error);
    if (!state.kvm)
        return false;
    state.library = vcpuhp_save(m->hp, error);
    if (!state.library)
        return false;
    state.uart = uart_save(m->uart);
    *ret_state = state;
    state = (State){0};
    return true;
}

bool state_send(Stream *stream, const State *state, GError **error)
{
    return send_bytes(stream, RECORD_LIBRARY, state->library, error) &&
           send_bytes(stream, RECORD_KVM, state->kvm, error) &&
           send_bytes(stream, RECORD_UART, state->uart, error) &&
           stream_send(stream, RECORD_END, NULL, 0, error);
}

static bool receive_bytes(Stream *stream, uint32_t len, GBytes **bytes, GError **error)
{
    if (*bytes)
        return stream_fail(stream, "damaged: a record comes twice", error);
    *bytes = stream_read_all(stream, len, error);
    return *bytes != NULL;
}

static bool receive_record(Machine *m, Stream *stream, uint32_t type, uint32_t len, State *state,
                           GError **error)
{
    switch (type) {
    case RECORD_PAGES:
        return ram_receive_pages(m, stream, len, error);
    case RECORD_ZEROS:
        return ram_receive_zeros(m, stream, len, error);
    case RECORD_LIBRARY:
        return receive_bytes(stream, len, &state->library, error);
    case RECORD_KVM:
        return receive_bytes(stream, len, &state->kvm, error);
    case RECORD_UART:
        return receive_bytes(stream, len, &state->uart, error);
    default:
        return stream_fail(stream, "damaged: an unknown record", error);
    }
}

/* The UART drives its interrupt, so it follows the interrupt controller. */
static bool load(Machine *m, Stream *stream, const State *state, GError **error)
{
    if (!state->library || !state->kvm || !state->uart)
        return stream_fail(stream, "damaged: a record is missing", error);
    if (!vcpuhp_load(m->hp, state->library, error) || !vcpuhp_kvm_load(m->hp, state->kvm, error))
        return false;
    return uart_load(m->uart, state->uart) ||
           stream_fail(stream, "damaged: the state of the serial port", error);
}

bool state_receive(Machine *m, Stream *stream, GError **error)
{
    g_auto(State) state = {0};
    uint32_t type, len;

    for (;;) {
        if (!stream_receive(stream, &type, &len, error))
            return false;
        if (type == RECORD_END)
            return load(m, stream, &state, error);
        if (!receive_record(m, stream, type, len, &state, error))
            return false;
    }
}
