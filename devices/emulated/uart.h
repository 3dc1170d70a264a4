/*
 * uart.h - the 16550A UART.
 */
#ifndef RF_UART_H
#define RF_UART_H
#include "devices/device.h"
#include "monitor/clock.h"

struct chardev;
struct uart {
	struct device dev;
	u8 ier, lcr, mcr, msr, scr;
	u8 fcr;			/* bit 0 FIFOs on, bits 7-6 trigger level */
	u8 overrun;		/* LSR bit 1 */
	u16 divisor;
	bool thre_pending;	/* the THRE interrupt: set when THR empties, cleared by reading IIR */
	bool timeout;		/* the character time-out indication */
	u8 rx[16], rx_error[16], rx_head, rx_count;	/* rx_error: LSR bits that came with the character */
	u8 tx[16], tx_count;	/* what the back end has no room for */
	struct timer timeout_timer;
	struct line irq;
	struct chardev *chr;	/* NULL: nothing connected */
};

/* Connects to chr (may be NULL). */
void uart_init(struct uart *u, struct vm *vm, const char *id, struct chardev *chr);
u8   uart_read(struct uart *u, u32 offset);
void uart_write(struct uart *u, u32 offset, u8 value);
#endif
