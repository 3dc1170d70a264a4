/*
 * uart.c - the 16550A UART. Datasheet: National PC16550D.
 *
 * Sending takes no time: a byte goes to the back end at once, and THR is empty again, unless the back end has no room; then THR stays
 * full, so a guest waits and loses nothing. Receiving: bytes are fetched from the back end as the FIFO has room, so there is no overrun
 * but in loopback. As on every PC, the interrupt leaves the card only while OUT2 is set.
 */
#include "devices/emulated/uart.h"
#include "devices/chardev.h"
#include <string.h>

#define IER_RDA  0x01
#define IER_THRE 0x02
#define IER_RLS  0x04
#define IER_MS   0x08
#define IIR_NONE 0x01
#define IIR_MS   0x00
#define IIR_THRE 0x02
#define IIR_RDA  0x04
#define IIR_RLS  0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS 0xc0
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define FCR_CLEAR_TX 0x04
#define LCR_BREAK 0x40
#define LCR_DLAB 0x80
#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define LSR_DR   0x01
#define LSR_OE   0x02
#define LSR_BI   0x10
#define LSR_ERRORS 0x1e
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define LSR_FIFO_ERROR 0x80
#define MSR_CTS  0x10
#define MSR_DSR  0x20
#define MSR_RI   0x40
#define MSR_DCD  0x80
#define MSR_TERI 0x04

#define BIT_NS_OF_DIVISOR 8681	/* one bit at divisor 1 (115200 baud) */
#define TIMEOUT_BITS 40		/* four characters of ten bits */

static const struct field uart_fields[] = {
	FIELD(struct uart, ier, FIELD_U8),
	FIELD(struct uart, lcr, FIELD_U8),
	FIELD(struct uart, mcr, FIELD_U8),
	FIELD(struct uart, msr, FIELD_U8),
	FIELD(struct uart, scr, FIELD_U8),
	FIELD(struct uart, fcr, FIELD_U8),
	FIELD(struct uart, overrun, FIELD_U8),
	FIELD(struct uart, divisor, FIELD_U16),
	FIELD(struct uart, thre_pending, FIELD_BOOL),
	FIELD(struct uart, timeout, FIELD_BOOL),
	FIELD_ARRAY(struct uart, rx, FIELD_U8),
	FIELD_ARRAY(struct uart, rx_error, FIELD_U8),
	FIELD(struct uart, rx_head, FIELD_U8),
	FIELD(struct uart, rx_count, FIELD_U8),
	FIELD_ARRAY(struct uart, tx, FIELD_U8),
	FIELD(struct uart, tx_count, FIELD_U8),
	FIELD(struct uart, timeout_timer, FIELD_TIMER),
	FIELD_END
};

static bool fifos(const struct uart *u)
{
	return u->fcr & FCR_ENABLE;
}

static u32 capacity(const struct uart *u)
{
	return fifos(u) ? 16 : 1;
}

static u32 trigger_level(const struct uart *u)
{
	static const u8 level[4] = { 1, 4, 8, 14 };
	return fifos(u) ? level[u->fcr >> 6] : 1;
}

/* --- interrupts --- */

static u8 line_errors(const struct uart *u)
{
	return (u8)(u->overrun | (u->rx_count ? u->rx_error[u->rx_head & 15] : 0));
}

/* The interrupt of the highest priority (PC16550D, table IV). */
static u8 interrupt_id(const struct uart *u)
{
	if ((u->ier & IER_RLS) && line_errors(u))
		return IIR_RLS;
	if ((u->ier & IER_RDA) && u->rx_count >= trigger_level(u))
		return IIR_RDA;
	if ((u->ier & IER_RDA) && u->timeout)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MS) && (u->msr & 0x0f))
		return IIR_MS;
	return IIR_NONE;
}

static void uart_update(struct uart *u)
{
	line_set(&u->irq, interrupt_id(u) != IIR_NONE && (u->mcr & MCR_OUT2));
}

static void timed_out(void *arg, u64 now)
{
	struct uart *u = arg;
	u->timeout = u->rx_count > 0 && fifos(u);
	uart_update(u);
}

/* The time-out counts from the last character that came in or was read. */
static void restart_timeout(struct uart *u)
{
	u->timeout = false;
	if (!fifos(u) || !u->rx_count || !(u->ier & IER_RDA)) {
		timer_cancel(&u->timeout_timer);
		return;
	}
	u64 bit = (u64)BIT_NS_OF_DIVISOR * (u->divisor ? u->divisor : 1);
	timer_arm(&u->timeout_timer, clock_now(u->dev.vm) + TIMEOUT_BITS * bit);
}

/* --- receiving --- */

static void receive(struct uart *u, u8 byte, u8 error)
{
	if (u->rx_count == capacity(u)) {
		u->overrun = LSR_OE;
		if (fifos(u))
			return;
		u->rx_count = 0;	/* without FIFOs the new character replaces the old one */
	}
	int i = (u->rx_head + u->rx_count++) & 15;
	u->rx[i] = byte;
	u->rx_error[i] = error;
	restart_timeout(u);
}

static void fetch_input(struct uart *u)
{
	u8 buf[16];
	if (!u->chr || (u->mcr & MCR_LOOP) || u->rx_count == capacity(u))
		return;
	size_t n = chardev_read(u->chr, buf, capacity(u) - u->rx_count);
	for (size_t i = 0; i < n; i++)
		receive(u, buf[i], 0);
}

static u8 read_rbr(struct uart *u)
{
	u8 value = u->rx[u->rx_head & 15];
	if (u->rx_count) {
		u->rx_head = (u->rx_head + 1) & 15;
		u->rx_count--;
	}
	restart_timeout(u);
	fetch_input(u);
	return value;
}

/* --- sending --- */

/* Gives waiting bytes to the back end; THR is empty when all are gone. */
static void send_waiting(struct uart *u)
{
	if (!u->tx_count)
		return;
	size_t n = u->chr ? chardev_write(u->chr, u->tx, u->tx_count) : u->tx_count;
	memmove(u->tx, u->tx + n, u->tx_count - n);
	u->tx_count -= (u8)n;
	if (!u->tx_count)
		u->thre_pending = true;
}

static void write_thr(struct uart *u, u8 value)
{
	u->thre_pending = false;
	if (u->mcr & MCR_LOOP) {
		receive(u, value, 0);
		u->thre_pending = true;
		return;
	}
	if (u->tx_count == capacity(u))
		u->tx_count--;		/* written without waiting for THRE: the last character is overwritten */
	u->tx[u->tx_count++] = value;
	send_waiting(u);
}

static void backend_event(void *arg)
{
	struct uart *u = arg;
	send_waiting(u);
	fetch_input(u);
	uart_update(u);
}

/* --- registers --- */

/* In loopback the outputs feed the inputs crosswise: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD. */
static void update_modem_status(struct uart *u)
{
	u8 now = u->chr ? MSR_CTS | MSR_DSR | MSR_DCD : 0, was = u->msr & 0xf0;
	if (u->mcr & MCR_LOOP)
		now = (u8)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
			   (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
	u8 delta = (u8)((was ^ now) >> 4);
	if (now & MSR_RI)	/* only the trailing edge of RI counts */
		delta &= (u8)~MSR_TERI;
	u->msr = (u8)(now | (u->msr & 0x0f) | delta);
}

static void write_ier(struct uart *u, u8 value)
{
	/* Enabling the THRE interrupt while THR is empty raises it. */
	if ((value & ~u->ier & IER_THRE) && !u->tx_count)
		u->thre_pending = true;
	bool rda = value & ~u->ier & IER_RDA;
	u->ier = value & 0x0f;
	if (rda)
		restart_timeout(u);
}

static void write_fcr(struct uart *u, u8 value)
{
	if ((value ^ u->fcr) & FCR_ENABLE)	/* switching modes clears both */
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	if (value & FCR_CLEAR_RX)
		u->rx_count = 0;
	if ((value & FCR_CLEAR_TX) && u->tx_count) {
		u->tx_count = 0;
		u->thre_pending = true;
	}
	u->fcr = value & FCR_ENABLE ? value & (0xc0 | FCR_ENABLE) : 0;
	restart_timeout(u);
	fetch_input(u);
}

static void write_lcr(struct uart *u, u8 value)
{
	if ((value & ~u->lcr & LCR_BREAK) && (u->mcr & MCR_LOOP))
		receive(u, 0, LSR_BI);
	u->lcr = value;
}

static void write_mcr(struct uart *u, u8 value)
{
	u->mcr = value & 0x1f;
	update_modem_status(u);
	fetch_input(u);
}

static u8 read_iir(struct uart *u)
{
	u8 id = interrupt_id(u);
	if (id == IIR_THRE)
		u->thre_pending = false;
	return id | (fifos(u) ? IIR_FIFOS : 0);
}

static u8 read_lsr(struct uart *u)
{
	u8 value = line_errors(u);
	if (u->rx_count)
		value |= LSR_DR;
	if (!u->tx_count)
		value |= LSR_THRE | LSR_TEMT;
	for (int i = 0; i < u->rx_count; i++)
		if (fifos(u) && u->rx_error[(u->rx_head + i) & 15])
			value |= LSR_FIFO_ERROR;
	u->overrun = 0;
	u->rx_error[u->rx_head & 15] = 0;
	return value;
}

static u8 read_msr(struct uart *u)
{
	u8 value = u->msr;
	u->msr &= 0xf0;
	return value;
}

u8 uart_read(struct uart *u, u32 offset)
{
	u8 value = 0xff;
	bool dlab = u->lcr & LCR_DLAB;
	switch (offset) {
	case 0: value = dlab ? (u8)u->divisor : read_rbr(u); break;
	case 1: value = dlab ? (u8)(u->divisor >> 8) : u->ier; break;
	case 2: value = read_iir(u); break;
	case 3: value = u->lcr; break;
	case 4: value = u->mcr; break;
	case 5: value = read_lsr(u); break;
	case 6: value = read_msr(u); break;
	case 7: value = u->scr; break;
	}
	uart_update(u);
	return value;
}

void uart_write(struct uart *u, u32 offset, u8 value)
{
	bool dlab = u->lcr & LCR_DLAB;
	switch (offset) {
	case 0:
		if (dlab)
			u->divisor = (u16)((u->divisor & 0xff00) | value);
		else
			write_thr(u, value);
		break;
	case 1:
		if (dlab)
			u->divisor = (u16)((u->divisor & 0xff) | value << 8);
		else
			write_ier(u, value);
		break;
	case 2: write_fcr(u, value); break;
	case 3: write_lcr(u, value); break;
	case 4: write_mcr(u, value); break;
	case 7: u->scr = value; break;
	}	/* 5 and 6: LSR and MSR are read-only */
	uart_update(u);
}

static void uart_reset(void *dev)
{
	struct uart *u = dev;
	u->ier = u->lcr = u->mcr = u->fcr = u->overrun = 0;
	u->rx_count = u->rx_head = u->tx_count = 0;
	memset(u->rx_error, 0, sizeof(u->rx_error));
	u->divisor = 12;	/* the datasheet leaves it undefined; 9600 baud as a BIOS does */
	u->timeout = false;
	u->thre_pending = false;
	timer_cancel(&u->timeout_timer);
	update_modem_status(u);
	u->msr &= 0xf0;
	uart_update(u);
}

static void uart_loaded(void *dev)
{
	struct uart *u = dev;
	u->rx_head &= 15;
	if (u->rx_count > capacity(u))
		u->rx_count = (u8)capacity(u);
	if (u->tx_count > capacity(u))
		u->tx_count = (u8)capacity(u);
	uart_update(u);
}

static const struct device_class uart_class = {
	.name = "uart", .what = "16550A UART", .version = 1,
	.fields = uart_fields, .reset = uart_reset, .loaded = uart_loaded,
};

void uart_init(struct uart *u, struct vm *vm, const char *id, struct chardev *chr)
{
	*u = (struct uart){ .dev = { .cls = &uart_class, .vm = vm, .id = id }, .chr = chr };
	timer_init(vm, &u->timeout_timer, timed_out, u);
	if (chr)
		chardev_attach(chr, backend_event, u);
	uart_reset(u);
}
