/*
 * port92.c - system control port A. Source: IBM PS/2 Hardware Interface Technical Reference; 82371FB (PIIX), 2.5.5.
 *
 * Bit 0: a rising edge resets the CPU. Bit 1: A20. The other bits read as written.
 */
#include "devices/emulated/port92.h"

#define P92_RESET 0x01
#define P92_A20   0x02

static const struct field port92_fields[] = {
	FIELD(struct port92, value, FIELD_U8),
	FIELD_END
};

u8 port92_read(struct port92 *p)
{
	return p->value;
}

void port92_write(struct port92 *p, u8 value)
{
	bool reset = value & ~p->value & P92_RESET;
	p->value = value;
	line_set(&p->a20, value & P92_A20);
	if (reset && p->cpu_reset)
		p->cpu_reset(p->cpu_reset_arg);
}

void port92_set_a20(struct port92 *p, bool on)
{
	p->value = (u8)(on ? p->value | P92_A20 : p->value & ~P92_A20);
	p->a20.level = on;
}

/* The processor starts at FFFFFFF0h, so A20 is open. */
static void port92_reset(void *dev)
{
	struct port92 *p = dev;
	p->value = P92_A20;
	line_set(&p->a20, true);
}

static void port92_loaded(void *dev)
{
	struct port92 *p = dev;
	line_set(&p->a20, p->value & P92_A20);
}

static const struct device_class port92_class = {
	.name = "port92", .what = "system control port A", .version = 1,
	.fields = port92_fields, .reset = port92_reset, .loaded = port92_loaded,
};

void port92_init(struct port92 *p, struct vm *vm, const char *id)
{
	*p = (struct port92){ .dev = { .cls = &port92_class, .vm = vm, .id = id } };
	port92_reset(p);
}
