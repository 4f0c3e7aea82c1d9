/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's serial port: Arm's SBSA generic UART, which is the part of a PL011 (DDI0183) that
 * has neither clock nor baud rate. It does no I/O: characters wait in it until the main thread
 * fetches and brings them, so that no vCPU thread ever blocks for a slow terminal.
 */
#ifndef MINIVMM_UART_H
#define MINIVMM_UART_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Uart Uart;

typedef struct UartCallbacks {
    /* Drive the interrupt line. Called with the UART's lock held. */
    void (*irq_set)(bool level, void *opaque);
    /* There is output to fetch, or room for input again. In the vCPU's thread. */
    void (*wake)(void *opaque);
} UartCallbacks;

Uart *uart_new(const UartCallbacks *callbacks, void *opaque);
void uart_free(Uart *uart);
void uart_reset(Uart *uart);

/* A guest's access. */
uint32_t uart_read(Uart *uart, uint64_t offset);
void uart_write(Uart *uart, uint64_t offset, uint32_t value);

/* How much more input it takes. */
gsize uart_room(Uart *uart);
void uart_receive(Uart *uart, const uint8_t *data, gsize len);
/* Move waiting output to data; returns how much. */
gsize uart_transmit(Uart *uart, uint8_t *data, gsize size);

#endif
