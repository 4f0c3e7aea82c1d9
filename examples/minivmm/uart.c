/* SPDX-License-Identifier: BSD-3-Clause */
#include "uart.h"

#include <string.h>

/* Registers and bits: Arm DDI0183G, 3.2 and 3.3; BSA (DEN0094), appendix B. */
enum {
    UARTDR = 0x00,
    UARTFR = 0x18,
    UARTIMSC = 0x38,
    UARTRIS = 0x3c,
    UARTMIS = 0x40,
};
enum {
    FR_RXFE = 1 << 4,
    FR_TXFF = 1 << 5,
    FR_RXFF = 1 << 6,
    FR_TXFE = 1 << 7
};
enum {
    INT_RX = 1 << 4,
    INT_TX = 1 << 5
};

/* Bytes that an OS may send after a transmit interrupt without reading TXFF. */
#define TX_BURST 32

typedef struct Fifo {
    uint8_t data[4096];
    gsize first, len;
} Fifo;

struct Uart {
    GMutex lock;
    UartCallbacks callbacks;
    void *opaque;
    Fifo rx, tx;
    uint32_t mask; /* UARTIMSC */
    bool level;    /* of the interrupt line */
};

static gsize fifo_room(const Fifo *fifo)
{
    return sizeof(fifo->data) - fifo->len;
}

static void fifo_put(Fifo *fifo, uint8_t byte)
{
    fifo->data[(fifo->first + fifo->len++) % sizeof(fifo->data)] = byte;
}

static uint8_t fifo_get(Fifo *fifo)
{
    uint8_t byte = fifo->data[fifo->first];

    fifo->first = (fifo->first + 1) % sizeof(fifo->data);
    fifo->len--;
    return byte;
}

/* Both interrupts follow the levels of the FIFOs, so UARTICR has nothing to clear. */
static uint32_t raw_interrupts(const Uart *uart)
{
    return (uart->rx.len ? INT_RX : 0) | (fifo_room(&uart->tx) >= TX_BURST ? INT_TX : 0);
}

static void update_irq(Uart *uart)
{
    bool level = (raw_interrupts(uart) & uart->mask) != 0;

    if (level == uart->level)
        return;
    uart->level = level;
    uart->callbacks.irq_set(level, uart->opaque);
}

Uart *uart_new(const UartCallbacks *callbacks, void *opaque)
{
    Uart *uart = g_new0(Uart, 1);

    g_mutex_init(&uart->lock);
    uart->callbacks = *callbacks;
    uart->opaque = opaque;
    return uart;
}

void uart_free(Uart *uart)
{
    if (!uart)
        return;
    g_mutex_clear(&uart->lock);
    g_free(uart);
}

void uart_reset(Uart *uart)
{
    g_mutex_lock(&uart->lock);
    uart->mask = 0;
    update_irq(uart);
    g_mutex_unlock(&uart->lock);
}

/* --- State --- */

typedef struct SavedUart { /* bytes of rx and tx follow */
    uint32_t mask, rx_len, tx_len;
} SavedUart;

static void save_fifo(const Fifo *fifo, GByteArray *to)
{
    Fifo copy = *fifo;

    while (copy.len) {
        uint8_t byte = fifo_get(&copy);

        g_byte_array_append(to, &byte, 1);
    }
}

static void load_fifo(Fifo *fifo, const uint8_t *bytes, gsize len)
{
    fifo->first = fifo->len = 0;
    for (gsize i = 0; i < len; i++)
        fifo_put(fifo, bytes[i]);
}

GBytes *uart_save(Uart *uart)
{
    GByteArray *bytes = g_byte_array_new();
    SavedUart saved;

    g_mutex_lock(&uart->lock);
    saved = (SavedUart){uart->mask, uart->rx.len, uart->tx.len};
    g_byte_array_append(bytes, (uint8_t *)&saved, sizeof(saved));
    save_fifo(&uart->rx, bytes);
    save_fifo(&uart->tx, bytes);
    g_mutex_unlock(&uart->lock);
    return g_byte_array_free_to_bytes(bytes);
}

bool uart_load(Uart *uart, GBytes *state)
{
    gsize len;
    const uint8_t *bytes = g_bytes_get_data(state, &len);
    SavedUart saved;

    if (len < sizeof(saved))
        return false;
    memcpy(&saved, bytes, sizeof(saved));
    if (saved.mask & ~(uint32_t)(INT_RX | INT_TX) || saved.rx_len > sizeof(uart->rx.data) ||
        saved.tx_len > sizeof(uart->tx.data) || len != sizeof(saved) + saved.rx_len + saved.tx_len)
        return false;
    bytes += sizeof(saved);
    g_mutex_lock(&uart->lock);
    uart->mask = saved.mask;
    load_fifo(&uart->rx, bytes, saved.rx_len);
    load_fifo(&uart->tx, bytes + saved.rx_len, saved.tx_len);
    uart->level = (raw_interrupts(uart) & uart->mask) != 0;
    uart->callbacks.irq_set(uart->level, uart->opaque);
    g_mutex_unlock(&uart->lock);
    uart->callbacks.wake(uart->opaque);
    return true;
}

/* --- The guest's accesses --- */

uint32_t uart_read(Uart *uart, uint64_t offset)
{
    uint32_t value = 0;
    bool wake = false;

    g_mutex_lock(&uart->lock);
    switch (offset) {
    case UARTDR:
        wake = fifo_room(&uart->rx) == 0;
        if (uart->rx.len)
            value = fifo_get(&uart->rx);
        update_irq(uart);
        break;
    case UARTFR:
        value = (uart->rx.len ? 0 : FR_RXFE) | (fifo_room(&uart->rx) ? 0 : FR_RXFF) |
                (uart->tx.len ? 0 : FR_TXFE) | (fifo_room(&uart->tx) ? 0 : FR_TXFF);
        break;
    case UARTIMSC:
        value = uart->mask;
        break;
    case UARTRIS:
        value = raw_interrupts(uart);
        break;
    case UARTMIS:
        value = raw_interrupts(uart) & uart->mask;
        break;
    }
    g_mutex_unlock(&uart->lock);
    if (wake)
        uart->callbacks.wake(uart->opaque);
    return value;
}

void uart_write(Uart *uart, uint64_t offset, uint32_t value)
{
    bool wake = false;

    g_mutex_lock(&uart->lock);
    switch (offset) {
    case UARTDR:
        wake = uart->tx.len == 0;
        if (fifo_room(&uart->tx))
            fifo_put(&uart->tx, value & 0xff);
        break;
    case UARTIMSC:
        uart->mask = value & (INT_RX | INT_TX);
        break;
    }
    update_irq(uart);
    g_mutex_unlock(&uart->lock);
    if (wake)
        uart->callbacks.wake(uart->opaque);
}

gsize uart_room(Uart *uart)
{
    gsize room;

    g_mutex_lock(&uart->lock);
    room = fifo_room(&uart->rx);
    g_mutex_unlock(&uart->lock);
    return room;
}

void uart_receive(Uart *uart, const uint8_t *data, gsize len)
{
    g_mutex_lock(&uart->lock);
    for (gsize i = 0; i < len && fifo_room(&uart->rx); i++)
        fifo_put(&uart->rx, data[i]);
    update_irq(uart);
    g_mutex_unlock(&uart->lock);
}

gsize uart_transmit(Uart *uart, uint8_t *data, gsize size)
{
    gsize n = 0;

    g_mutex_lock(&uart->lock);
    while (n < size && uart->tx.len)
        data[n++] = fifo_get(&uart->tx);
    update_irq(uart);
    g_mutex_unlock(&uart->lock);
    return n;
}
