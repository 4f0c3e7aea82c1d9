/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's serial port: Arm's SBSA generic UART, a PL011 (DDI0183) without clock and baud rate.
 * It does no I/O. The main thread moves characters in and out, so that no vCPU thread waits for a
 * slow terminal.
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
    /* There is output, or room for input again. Called in the vCPU's thread. */
    void (*wake)(void *opaque);
} UartCallbacks;

Uart *uart_new(const UartCallbacks *callbacks, void *opaque);
void uart_free(Uart *uart);
void uart_reset(Uart *uart);

/* The state that the guest can see, and bytes that are still on their way. */
GBytes *uart_save(Uart *uart);
/* Load it, and drive the interrupt line. False: it is damaged, and nothing has changed. */
bool uart_load(Uart *uart, GBytes *state);

/* Serve a guest's access. */
uint32_t uart_read(Uart *uart, uint64_t offset);
void uart_write(Uart *uart, uint64_t offset, uint32_t value);

/* The number of bytes that uart_receive() has room for. */
gsize uart_room(Uart *uart);
void uart_receive(Uart *uart, const uint8_t *data, gsize len);
/* Move output to data. Returns the number of bytes. */
gsize uart_transmit(Uart *uart, uint8_t *data, gsize size);

#endif
