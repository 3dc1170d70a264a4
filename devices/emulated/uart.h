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
	u8 ier, iir_fifo, lcr, mcr, msr_delta, scr, lsr_errors;
	u16 divisor;
	bool thr_interrupt;	/* the THRE interrupt is pending */
	bool timeout;		/* the character time-out indication */
	bool break_loop;	/* a break in loopback has been put into the FIFO */
	u8 trigger;		/* receive FIFO level of an interrupt */
	u8 rx[16], rx_flags[16], rx_head, rx_count;
	u8 tx[16], tx_count;	/* what the back end had no room for */
	struct timer timeout_timer;
	struct line irq;
	struct chardev *chr;	/* NULL: nothing connected */
};

/* Connects to chr (may be NULL). */
void uart_init(struct uart *u, struct vm *vm, const char *id, struct chardev *chr);
u8   uart_read(struct uart *u, u32 offset);
void uart_write(struct uart *u, u32 offset, u8 value);
#endif
