/*
 * ioapic.c - the 82093AA I/O APIC. Datasheet: Intel 290566-001.
 *
 * An edge at a masked input is lost (3.2.4, interrupt mask). A level-triggered input sets "remote IRR" when its interrupt was accepted and
 * waits for the EOI; then it is looked at again.
 */
#include "devices/emulated/ioapic.h"

enum { SELECT = 0x00, WINDOW = 0x10 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_ENTRY = 0x10 };
#define VERSION      (0x11u | (IOAPIC_PINS - 1) << 16)
#define REMOTE_IRR   0x4000u
#define LEVEL        0x8000u
#define MASKED       0x10000u
#define LOGICAL      0x800u
#define LOW_WRITABLE 0x1afffu	/* all but delivery status and remote IRR */
enum { FIXED = 0, LOWEST = 1 };

static const struct field ioapic_fields[] = {
	FIELD(struct ioapic, select, FIELD_U32),
	FIELD(struct ioapic, id, FIELD_U32),
	FIELD(struct ioapic, level, FIELD_U32),
	FIELD_ARRAY(struct ioapic, entry, FIELD_U64),
	FIELD_END
};

static u8 mode_of(u64 entry) { return entry >> 8 & 7; }

int ioapic_vector(const struct ioapic *a, int pin)
{
	u64 e = a->entry[pin];
	return (e & MASKED) || mode_of(e) > LOWEST ? -1 : (int)(e & 0xff);
}

static bool deliver(struct ioapic *a, int pin)
{
	u64 e = a->entry[pin];
	struct ioapic_message m = { .dest = (u8)(e >> 56), .vector = (u8)e, .mode = mode_of(e), .logical = e & LOGICAL, .level = e & LEVEL };
	return a->deliver && a->deliver(a->deliver_arg, &m);
}

static void update_level(struct ioapic *a, int pin)
{
	u64 e = a->entry[pin];
	if (!(e & LEVEL) || (e & (MASKED | REMOTE_IRR)) || !(a->level >> pin & 1))
		return;
	a->entry[pin] |= REMOTE_IRR;
	if (!deliver(a, pin) || mode_of(e) > LOWEST)
		a->entry[pin] &= ~(u64)REMOTE_IRR;
}

void ioapic_set_irq(struct ioapic *a, int pin, bool level)
{
	bool rose = level && !(a->level >> pin & 1);
	a->level = level ? a->level | 1u << pin : a->level & ~(1u << pin);
	if (a->entry[pin] & LEVEL)
		update_level(a, pin);
	else if (rose && !(a->entry[pin] & MASKED))
		deliver(a, pin);
}

void ioapic_eoi(struct ioapic *a, u8 vector)
{
	for (int pin = 0; pin < IOAPIC_PINS; pin++)
		if ((a->entry[pin] & REMOTE_IRR) && (u8)a->entry[pin] == vector) {
			a->entry[pin] &= ~(u64)REMOTE_IRR;
			update_level(a, pin);
		}
}

/* --- registers --- */

static u32 read_register(const struct ioapic *a)
{
	u32 n = a->select - REG_ENTRY;
	switch (a->select) {
	case REG_ID: case REG_ARBITRATION: return a->id;
	case REG_VERSION: return VERSION;
	}
	return n < 2 * IOAPIC_PINS ? (u32)(a->entry[n / 2] >> (n & 1 ? 32 : 0)) : 0;
}

static void write_entry(struct ioapic *a, u32 n, u32 value)
{
	int pin = (int)(n / 2);
	u64 e = a->entry[pin];
	if (n & 1) {
		a->entry[pin] = (u32)e | (u64)(value & 0xff000000) << 32;
		return;
	}
	e = (e & ~(u64)LOW_WRITABLE) | (value & LOW_WRITABLE);
	if (!(e & LEVEL))	/* remote IRR has a meaning for levels only */
		e &= ~(u64)REMOTE_IRR;
	a->entry[pin] = e;
	update_level(a, pin);
}

static void write_register(struct ioapic *a, u32 value)
{
	u32 n = a->select - REG_ENTRY;
	if (a->select == REG_ID)
		a->id = value & 0x0f000000;
	else if (n < 2 * IOAPIC_PINS)
		write_entry(a, n, value);
}

u32 ioapic_read(struct ioapic *a, u32 offset, int size)
{
	return offset == SELECT ? a->select : offset == WINDOW ? read_register(a) : 0;
}

void ioapic_write(struct ioapic *a, u32 offset, u32 value, int size)
{
	if (offset == SELECT)
		a->select = value & 0xff;
	else if (offset == WINDOW)
		write_register(a, value);
}

/* The levels of the inputs are the others' business. */
static void ioapic_reset(void *dev)
{
	struct ioapic *a = dev;
	a->select = a->id = 0;
	for (int pin = 0; pin < IOAPIC_PINS; pin++)
		a->entry[pin] = MASKED;
}

static const struct device_class ioapic_class = {
	.name = "ioapic", .what = "82093AA I/O APIC", .version = 1, .fields = ioapic_fields, .reset = ioapic_reset,
};

void ioapic_init(struct ioapic *a, struct vm *vm, const char *id)
{
	*a = (struct ioapic){ .dev = { .cls = &ioapic_class, .vm = vm, .id = id } };
	ioapic_reset(a);
}
