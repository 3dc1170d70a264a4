/*
 * lapic.c - the local APIC: which interrupt the processor gets next. Source: SDM vol. 3, chapter 11. The timer is in lapic_timer.c.
 *
 * There is one processor, so an interrupt command reaches this APIC or nobody. The 8259's interrupt passes through LINT0 in
 * "virtual wire" mode (an unmasked entry of mode ExtINT), and, so that a machine without firmware starts as one with it does, also as
 * long as nobody has enabled the APIC by software. One update() computes the output from the registers, at the end of each entry.
 */
#include "devices/emulated/lapic.h"
#include <string.h>

enum { ID = 0x02, VERSION = 0x03, TPR = 0x08, APR = 0x09, PPR = 0x0a, EOI = 0x0b, RRD = 0x0c, LDR = 0x0d, DFR = 0x0e, SVR = 0x0f,
	ISR = 0x10, TMR = 0x18, IRR = 0x20, ESR = 0x28, ICR_LOW = 0x30, ICR_HIGH = 0x31, LVT_FIRST = 0x32, INITIAL = 0x38,
	CURRENT = 0x39, DIVIDE = 0x3e };
enum { SVR_ENABLE = 0x100, SVR_BITS = 0x1ff, DFR_FLAT = 0xf, LVT_REMOTE_IRR = 0x4000, LVT_LEVEL = 0x8000 };
enum { ICR_BITS = 0xccfff & ~0x1000, ICR_LOGICAL = 0x800, ICR_ASSERT = 0x4000, ICR_LEVEL = 0x8000 };
enum { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };
enum { SEND_ILLEGAL = 0x20, RECEIVE_ILLEGAL = 0x40, ILLEGAL_REGISTER = 0x80 };
enum { FIRST_LEGAL_VECTOR = 16 };

static const struct field lapic_fields[] = {
	FIELD(struct lapic, on, FIELD_BOOL),
	FIELD(struct lapic, lint, FIELD_U8),
	FIELD(struct lapic, id, FIELD_U32),
	FIELD(struct lapic, tpr, FIELD_U32),
	FIELD(struct lapic, ldr, FIELD_U32),
	FIELD(struct lapic, dfr, FIELD_U32),
	FIELD(struct lapic, svr, FIELD_U32),
	FIELD_ARRAY(struct lapic, icr, FIELD_U32),
	FIELD(struct lapic, esr, FIELD_U32),
	FIELD(struct lapic, errors, FIELD_U32),
	FIELD_ARRAY(struct lapic, lvt, FIELD_U32),
	FIELD_ARRAY(struct lapic, isr, FIELD_U32),
	FIELD_ARRAY(struct lapic, tmr, FIELD_U32),
	FIELD_ARRAY(struct lapic, irr, FIELD_U32),
	FIELD(struct lapic, initial, FIELD_U32),
	FIELD(struct lapic, divide, FIELD_U32),
	FIELD(struct lapic, start, FIELD_U64),
	FIELD(struct lapic, due, FIELD_U64),
	FIELD(struct lapic, deadline, FIELD_U64),
	FIELD(struct lapic, timer, FIELD_TIMER),
	FIELD_END
};

/* --- vectors --- */

static bool get_bit(const u32 *set, u8 v) { return set[v / 32] >> v % 32 & 1; }
static void set_bit(u32 *set, u8 v) { set[v / 32] |= 1u << v % 32; }
static void clear_bit(u32 *set, u8 v) { set[v / 32] &= ~(1u << v % 32); }

/* The highest vector in the set, or -1. */
static int highest(const u32 *set)
{
	for (int i = 7; i >= 0; i--)
		if (set[i])
			return 32 * i + 31 - __builtin_clz(set[i]);
	return -1;
}

static u32 processor_priority(const struct lapic *l)
{
	int serviced = highest(l->isr);
	u32 class = serviced < 0 ? 0 : (u32)serviced & 0xf0;
	return (l->tpr & 0xf0) >= class ? l->tpr : class;
}

/* The vector that the processor is to take now, or -1. */
static int next_vector(const struct lapic *l)
{
	int v = highest(l->irr);
	return v >= 0 && ((u32)v & 0xf0) > (processor_priority(l) & 0xf0) ? v : -1;
}

static bool enabled(const struct lapic *l) { return l->on && (l->svr & SVR_ENABLE); }
static enum apic_mode lvt_mode(const struct lapic *l, enum lapic_lvt n) { return (enum apic_mode)(l->lvt[n] >> 8 & 7); }

static bool from_8259(const struct lapic *l)
{
	if (!(l->lint & 1))
		return false;
	return !enabled(l) || (!(l->lvt[LVT_LINT0] & LVT_MASKED) && lvt_mode(l, LVT_LINT0) == APIC_EXTINT);
}

static void update(struct lapic *l)
{
	line_set(&l->intr, (enabled(l) && next_vector(l) >= 0) || from_8259(l));
}

bool lapic_pending(const struct lapic *l, u8 vector)
{
	return get_bit(l->irr, vector);
}

int lapic_ack(struct lapic *l)
{
	int v = enabled(l) ? next_vector(l) : -1;
	if (v < 0)
		return from_8259(l) || !enabled(l) ? -1 : (int)(l->svr & 0xff);
	clear_bit(l->irr, (u8)v);
	set_bit(l->isr, (u8)v);
	update(l);
	if ((u8)v == (u8)l->lvt[LVT_TIMER])
		lapic_timer_taken(l);
	if (l->taken)
		l->taken(l->arg, (u8)v);
	return v;
}

/* --- accepting --- */

static void error(struct lapic *l, u32 bit);

static void accept(struct lapic *l, enum apic_mode mode, u8 vector, bool level)
{
	switch (mode) {
	case APIC_NMI:
		if (l->nmi)
			l->nmi(l->arg);
		return;
	case APIC_INIT:
		if (l->init)
			l->init(l->arg);
		return;
	case APIC_FIXED: case APIC_LOWEST:
		break;
	default:	/* SMI: no system management mode; STARTUP: this processor runs; EXTINT: not from here */
		return;
	}
	if (!enabled(l))
		return;
	if (vector < FIRST_LEGAL_VECTOR) {
		error(l, RECEIVE_ILLEGAL);
		return;
	}
	set_bit(l->irr, vector);
	if (level)
		set_bit(l->tmr, vector);
	else
		clear_bit(l->tmr, vector);
}

/* Local errors raise the error entry's interrupt; one whose own vector is illegal does not do so again. */
static void error(struct lapic *l, u32 bit)
{
	bool is_new = !(l->errors & bit);
	l->errors |= bit;
	u8 vector = (u8)l->lvt[LVT_ERROR];
	if (is_new && !(l->lvt[LVT_ERROR] & LVT_MASKED) && vector >= FIRST_LEGAL_VECTOR)
		accept(l, APIC_FIXED, vector, false);
}

void lapic_local(struct lapic *l, enum lapic_lvt n)
{
	u32 entry = l->lvt[n];
	bool fixed = n == LVT_TIMER || n == LVT_ERROR;	/* they have no mode */
	if (!l->on || (entry & LVT_MASKED))
		return;
	accept(l, fixed ? APIC_FIXED : lvt_mode(l, n), (u8)entry, n == LVT_LINT0 && (entry & LVT_LEVEL));
	update(l);
}

/* Inputs of mode fixed are seen as edges: nobody on this board holds them. */
void lapic_set_lint(struct lapic *l, int n, bool level)
{
	bool rose = level && !(l->lint >> n & 1);
	l->lint = (u8)(level ? l->lint | 1 << n : l->lint & ~(1 << n));
	if (rose)
		lapic_local(l, n ? LVT_LINT1 : LVT_LINT0);
	update(l);
}

/* Physical: the ID or all. Logical: a bit in common, in the flat model of all eight, in the cluster model of four and the same cluster. */
static bool is_for(const struct lapic *l, u8 dest, bool logical)
{
	u8 own = (u8)(l->ldr >> 24);
	if (!logical)
		return dest == 0xff || dest == l->id >> 24;
	if (l->dfr >> 28 == DFR_FLAT)
		return dest & own;
	return (dest >> 4 == 0xf || dest >> 4 == own >> 4) && (dest & own & 0xf);
}

bool lapic_deliver(struct lapic *l, const struct apic_message *m)
{
	if (!l->on || !is_for(l, m->dest, m->logical))
		return false;
	accept(l, m->mode, m->vector, m->level);
	update(l);
	return true;
}

/* --- registers --- */

static void send(struct lapic *l)
{
	u32 low = l->icr[0];
	enum apic_mode mode = (enum apic_mode)(low >> 8 & 7);
	bool self, has_vector = mode == APIC_FIXED || mode == APIC_LOWEST;
	if (mode == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))	/* synchronises arbitration IDs: nothing to do */
		return;
	if (has_vector && (u8)low < FIRST_LEGAL_VECTOR) {
		error(l, SEND_ILLEGAL);
		return;
	}
	switch (low >> 18 & 3) {
	case TO_SELF: self = has_vector; break;		/* others are not valid (table 11-3) */
	case TO_ALL: self = true; break;
	case TO_OTHERS: self = false; break;
	default: self = is_for(l, (u8)(l->icr[1] >> 24), low & ICR_LOGICAL);
	}
	if (self)
		accept(l, mode, (u8)low, false);
}

static void end_of_interrupt(struct lapic *l)
{
	int v = highest(l->isr);
	if (v < 0)
		return;
	clear_bit(l->isr, (u8)v);
	if (get_bit(l->tmr, (u8)v) && l->eoi)
		l->eoi(l->arg, (u8)v);
}

/* While the APIC is disabled by software all entries are masked. */
static void write_lvt(struct lapic *l, enum lapic_lvt n, u32 value)
{
	static const u32 bits[LVTS] = { [LVT_TIMER] = 0x300ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff, [LVT_LINT0] = 0x1a7ff,
		[LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff };
	value &= bits[n] | (n == LVT_TIMER && l->has_deadline ? 0x40000 : 0);
	if (n == LVT_TIMER && (value >> 17 & 3) == 3)		/* reserved */
		value &= ~0x60000u;
	if (!(l->svr & SVR_ENABLE))
		value |= LVT_MASKED;
	if (n == LVT_TIMER)
		lapic_timer_set_lvt(l, value);
	else
		l->lvt[n] = value;
}

static void write_svr(struct lapic *l, u32 value)
{
	l->svr = value & SVR_BITS;
	if (!(value & SVR_ENABLE))
		for (int n = 0; n < LVTS; n++)
			l->lvt[n] |= LVT_MASKED;
}

static u32 read_register(struct lapic *l, u32 reg)
{
	switch (reg) {
	case ID: return l->id;
	case VERSION: return l->version;
	case TPR: return l->tpr;
	case APR: case PPR: return processor_priority(l);
	case EOI: case RRD: return 0;
	case LDR: return l->ldr;
	case DFR: return l->dfr;
	case SVR: return l->svr;
	case ESR: return l->esr;
	case ICR_LOW: case ICR_HIGH: return l->icr[reg - ICR_LOW];
	case INITIAL: return l->initial;
	case CURRENT: return lapic_timer_count(l);
	case DIVIDE: return l->divide;
	}
	if (reg >= ISR && reg < ESR)
		return (reg < TMR ? l->isr : reg < IRR ? l->tmr : l->irr)[reg & 7];
	if (reg >= LVT_FIRST && reg < LVT_FIRST + LVTS)
		return l->lvt[reg - LVT_FIRST];
	error(l, ILLEGAL_REGISTER);
	update(l);
	return 0;
}

static void write_register(struct lapic *l, u32 reg, u32 value)
{
	switch (reg) {
	case ID: l->id = value & 0xff000000; return;
	case TPR: l->tpr = value & 0xff; return;
	case EOI: end_of_interrupt(l); return;
	case LDR: l->ldr = value & 0xff000000; return;
	case DFR: l->dfr = value | 0x0fffffff; return;
	case SVR: write_svr(l, value); return;
	case ESR:	/* makes what has come up since the last write visible */
		l->esr = l->errors;
		l->errors = 0;
		return;
	case ICR_HIGH: l->icr[1] = value & 0xff000000; return;
	case ICR_LOW:
		l->icr[0] = value & ICR_BITS;
		send(l);
		return;
	case INITIAL: lapic_timer_set_initial(l, value); return;
	case DIVIDE: lapic_timer_set_divide(l, value); return;
	case VERSION: case APR: case PPR: case RRD: case CURRENT: return;
	}
	if (reg >= LVT_FIRST && reg < LVT_FIRST + LVTS)
		write_lvt(l, (enum lapic_lvt)(reg - LVT_FIRST), value);
	else if (reg < ISR || reg >= ESR)
		error(l, ILLEGAL_REGISTER);
}

/* Registers are doublewords at multiples of 16; other accesses are not defined. */
u32 lapic_read(struct lapic *l, u32 offset, int size)
{
	if (offset & 12)
		return 0;
	return read_register(l, offset >> 4 & 0x3f) >> 8 * (offset & 3);
}

void lapic_write(struct lapic *l, u32 offset, u32 value, int size)
{
	if ((offset & 15) || size != 4)
		return;
	write_register(l, offset >> 4 & 0x3f, value);
	update(l);
}

/* --- reset --- */

/* 11.4.7: the ID stays. */
static void reset_registers(struct lapic *l)
{
	l->tpr = l->ldr = l->icr[0] = l->icr[1] = l->esr = l->errors = 0;
	l->dfr = ~0u;
	l->svr = 0xff;
	for (int n = 0; n < LVTS; n++)
		l->lvt[n] = LVT_MASKED;
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	memset(l->irr, 0, sizeof(l->irr));
	lapic_timer_reset(l);
	update(l);
}

void lapic_enable(struct lapic *l, bool on)
{
	if (l->on && !on)
		reset_registers(l);
	l->on = on;
	update(l);
}

static void lapic_reset(void *dev)
{
	struct lapic *l = dev;
	l->id = 0;
	l->on = true;
	reset_registers(l);
}

static void lapic_loaded(void *dev)
{
	update(dev);
}

static const struct device_class lapic_class = {
	.name = "lapic", .what = "local APIC", .version = 1, .fields = lapic_fields, .reset = lapic_reset, .loaded = lapic_loaded,
};

void lapic_init(struct lapic *l, struct vm *vm, const char *id, u64 hz, bool has_deadline, u32 version)
{
	*l = (struct lapic){ .dev = { .cls = &lapic_class, .vm = vm, .id = id }, .hz = hz, .has_deadline = has_deadline, .version = version };
	lapic_timer_init(l);
	lapic_reset(l);
}
