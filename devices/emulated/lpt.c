/*
 * lpt.c - the parallel port in SPP mode. Source: IBM PC/AT Technical Reference, "Printer adapter"; IEEE 1284, compatibility mode.
 *
 * The printer takes a byte at the leading edge of STROBE, is busy until the back end has taken it, and then gives an acknowledge pulse of
 * a few microseconds, whose end raises the interrupt. Without a back end nothing is connected: BUSY and "out of paper", not selected.
 */
#include "devices/emulated/lpt.h"
#include "devices/chardev.h"

#define STATUS_NOT_BUSY  0x80	/* all as the guest reads them: BUSY and ACK are inverted by the adapter or the cable */
#define STATUS_NOT_ACK   0x40
#define STATUS_PAPER_END 0x20
#define STATUS_SELECTED  0x10
#define STATUS_NOT_ERROR 0x08
#define STATUS_FIXED     0x07

#define CONTROL_STROBE   0x01
#define CONTROL_NOT_INIT 0x04
#define CONTROL_IRQ      0x10
#define CONTROL_WRITABLE 0x1f
#define CONTROL_FIXED    0xe0

#define ACK_NS 4000u

static const struct field lpt_fields[] = {
	FIELD(struct lpt, data, FIELD_U8), FIELD(struct lpt, control, FIELD_U8), FIELD(struct lpt, busy, FIELD_BOOL),
	FIELD(struct lpt, full, FIELD_BOOL), FIELD(struct lpt, byte, FIELD_U8), FIELD(struct lpt, ack, FIELD_TIMER),
	FIELD(struct lpt, irq.level, FIELD_BOOL),
	FIELD_END
};

static void send(struct lpt *l)
{
	if (!l->full || !chardev_write(l->chr, &l->byte, 1))
		return;
	l->full = false;
	timer_arm(&l->ack, clock_now(l->dev.vm) + ACK_NS);
}

static void room(void *arg)
{
	send(arg);
}

/* ACK goes back up: the edge that interrupts. The line stays up until the next byte. */
static void acknowledged(void *arg, u64 now)
{
	struct lpt *l = arg;
	l->busy = false;
	line_set(&l->irq, l->control & CONTROL_IRQ);
}

u8 lpt_read(struct lpt *l, u32 offset)
{
	u8 status = STATUS_NOT_ERROR | STATUS_SELECTED | STATUS_FIXED;
	switch (offset) {
	case 0:
		return l->data;
	case 1:
		if (!l->chr)
			return STATUS_NOT_ACK | STATUS_PAPER_END | STATUS_FIXED;
		if (!l->busy)
			status |= STATUS_NOT_BUSY;
		if (!l->busy || l->full)
			status |= STATUS_NOT_ACK;
		return status;
	case 2:
		return l->control | CONTROL_FIXED;
	}
	return 0xff;
}

static void write_control(struct lpt *l, u8 value)
{
	bool strobe = value & ~l->control & CONTROL_STROBE;
	l->control = value & CONTROL_WRITABLE;
	if (strobe || !(value & CONTROL_IRQ))
		line_set(&l->irq, false);
	if (strobe && l->chr && !l->busy && (value & CONTROL_NOT_INIT)) {
		l->byte = l->data;
		l->busy = l->full = true;
		send(l);
	}
}

void lpt_write(struct lpt *l, u32 offset, u8 value)
{
	if (offset == 0)
		l->data = value;
	else if (offset == 2)
		write_control(l, value);
}

static void lpt_reset(void *dev)
{
	struct lpt *l = dev;
	l->data = 0;
	l->control = CONTROL_NOT_INIT | 0x08;
	line_set(&l->irq, false);
}

static const struct device_class lpt_class = {
	.name = "lpt", .what = "parallel port", .version = 1, .fields = lpt_fields, .reset = lpt_reset,
};

void lpt_init(struct lpt *l, struct vm *vm, const char *id, struct chardev *chr)
{
	*l = (struct lpt){ .dev = { .cls = &lpt_class, .vm = vm, .id = id }, .chr = chr };
	timer_init(vm, &l->ack, acknowledged, l);
	if (chr)
		chardev_attach(chr, room, l);
	lpt_reset(l);
}
