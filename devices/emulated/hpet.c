/*
 * hpet.c - the high precision event timer. Source: IA-PC HPET specification 1.0a, chapter 2.
 *
 * Nothing counts: the main counter is computed from guest time, a comparator knows the count of its next match. Periodic ticks that
 * come late are delivered one by one, each after the one before was taken and at most CATCH_UP times as fast as the period
 * (docs/time.md).
 */
#include "devices/emulated/hpet.h"

#define TICK_NS    10u
#define NONE       (~0ull)
#define CATCH_UP   4
#define MIN_TICKS  5000u		/* 50 us: faster periodic interrupts are thinned out */
#define MAX_LAG    3000000000ull	/* 30 s */
/* Capabilities: revision 1, three timers, 64 bits, legacy replacement, vendor; period in femtoseconds. */
#define CAPABILITIES (0x8086a201ull | (u64)TICK_NS * 1000000 << 32)

enum { REG_CAPABILITIES = 0x00, REG_CONFIG = 0x10, REG_STATUS = 0x20, REG_COUNTER = 0xf0, REG_TIMER = 0x100 };
enum { ENABLE = 1, LEGACY = 2 };
enum { T_LEVEL = 0x02, T_INT = 0x04, T_PERIODIC = 0x08, T_VALUE_SET = 0x40, T_32 = 0x100, T_ROUTE = 0x3e00, T_WRITABLE = 0x3f4e };
#define T_CAPABILITIES 0x00f0000400000030ull	/* inputs 2 and 20 to 23; periodic, 64 bits */
#define T_PINS (T_CAPABILITIES >> 32)

#define TIMER(n) \
	FIELD(struct hpet, t[n].config, FIELD_U64), FIELD(struct hpet, t[n].comparator, FIELD_U64), \
	FIELD(struct hpet, t[n].period, FIELD_U64), FIELD(struct hpet, t[n].due, FIELD_U64), FIELD(struct hpet, t[n].timer, FIELD_TIMER)
static const struct field hpet_fields[] = {
	FIELD(struct hpet, config, FIELD_U64),
	FIELD(struct hpet, status, FIELD_U64),
	FIELD(struct hpet, offset, FIELD_U64),
	TIMER(0),
	TIMER(1),
	TIMER(2),
	FIELD_END
};

/* --- time --- */

static u64 base(const struct hpet *h) { return clock_now(h->dev.vm) / TICK_NS; }
static u64 counter(const struct hpet *h) { return (h->config & ENABLE ? base(h) : 0) + h->offset; }
static int number(const struct hpet_timer *t) { return (int)(t - t->hpet->t); }
static bool periodic(const struct hpet_timer *t) { return (t->config & T_PERIODIC) && t->period; }

/* The count, after `now`, at which the comparator matches. */
static u64 next_match(const struct hpet_timer *t, u64 now)
{
	u64 left = t->comparator - now;
	if (t->config & T_32) {
		left = (u32)left;
		if (!left)
			left = 1ull << 32;
	}
	return now + left;
}

static void arm_at(struct hpet_timer *t, u64 count)
{
	u64 tick = count - t->hpet->offset;
	timer_arm(&t->timer, tick > ~0ull / TICK_NS - 1 ? ~0ull : tick * TICK_NS);
}

static void arm(struct hpet_timer *t, u64 now)
{
	u64 at = t->due;
	if (at == NONE) {
		timer_cancel(&t->timer);
		return;
	}
	if (periodic(t)) {
		if ((s64)(at - now) <= 0)
			at = now + t->period / CATCH_UP;
		if ((s64)(at - now) < (s64)MIN_TICKS)
			at = now + MIN_TICKS;
	}
	arm_at(t, at);
}

static void program(struct hpet_timer *t)
{
	struct hpet *h = t->hpet;
	u64 now = counter(h);
	t->due = h->config & ENABLE ? next_match(t, now) : NONE;
	arm(t, now);
}

/* --- interrupts --- */

/* In legacy mode the first two timers have the PIT's and the RTC's interrupt, whatever their routing says (2.3.5). */
static int pin_of(const struct hpet_timer *t)
{
	int n = number(t), pin = (int)((t->config & T_ROUTE) >> 9);
	if ((t->hpet->config & LEGACY) && n < 2)
		return n ? 8 : 0;
	return pin < HPET_PINS && (T_PINS >> pin & 1) ? pin : -1;
}

/* The level-triggered timers hold their pins. */
static void update(struct hpet *h)
{
	u32 high = 0;
	for (int n = 0; n < HPET_TIMERS; n++) {
		int pin = pin_of(&h->t[n]);
		if (pin >= 0 && (h->t[n].config & T_INT) && (h->t[n].config & T_LEVEL) && (h->status >> n & 1))
			high |= 1u << pin;
	}
	for (int pin = 0; pin < HPET_PINS; pin++)
		line_set(&h->irq[pin], high >> pin & 1);
	line_set(&h->legacy, h->config & LEGACY);
}

static void raise(struct hpet_timer *t)
{
	struct hpet *h = t->hpet;
	int pin = pin_of(t);
	if (t->config & T_LEVEL) {
		h->status |= 1u << number(t);
		update(h);
	} else if ((t->config & T_INT) && pin >= 0) {
		line_set(&h->irq[pin], true);
		line_set(&h->irq[pin], false);
	}
}

static void timer_due(void *arg, u64 time)
{
	struct hpet_timer *t = arg;
	struct hpet *h = t->hpet;
	u64 now = time / TICK_NS + h->offset;
	int pin = pin_of(t);
	if (!periodic(t)) {
		raise(t);
		t->due = t->config & T_32 ? next_match(t, now) : NONE;
	} else if ((t->config & T_INT) && pin >= 0 && h->waiting && h->waiting(h->waiting_arg, pin)) {
		arm_at(t, now + (t->period / CATCH_UP > MIN_TICKS ? t->period / CATCH_UP : MIN_TICKS));
		return;
	} else {
		t->comparator += t->period;
		t->due += t->period;
		if (now - t->due < 1ull << 63 && now - t->due > MAX_LAG) {
			u64 lost = (now - t->due) / t->period * t->period;
			t->comparator += lost;
			t->due += lost;
		}
		raise(t);
	}
	arm(t, now);
}

/* --- registers --- */

static u64 with_half(u64 old, u32 high, u32 value)
{
	return high ? (u32)old | (u64)value << 32 : (old & ~0xffffffffull) | value;
}

static u64 read_timer(const struct hpet_timer *t, u32 reg)
{
	switch (reg) {
	case 0x00: return t->config | T_CAPABILITIES;
	case 0x08: return t->config & T_32 ? (u32)t->comparator : t->comparator;
	}
	return 0;
}

u32 hpet_read(struct hpet *h, u32 offset, int size)
{
	u32 reg = offset & ~7u, timer = (reg - REG_TIMER) / 0x20;
	u64 value = 0;
	switch (reg) {
	case REG_CAPABILITIES: value = CAPABILITIES; break;
	case REG_CONFIG: value = h->config; break;
	case REG_STATUS: value = h->status; break;
	case REG_COUNTER: value = counter(h); break;
	default:
		if (reg >= REG_TIMER && timer < HPET_TIMERS)
			value = read_timer(&h->t[timer], reg & 0x1f);
	}
	return (u32)(value >> 8 * (offset & 7));
}

static void write_config(struct hpet *h, u32 value)
{
	u64 count = counter(h);
	h->config = value & (ENABLE | LEGACY);
	h->offset = count - (h->config & ENABLE ? base(h) : 0);
	for (int n = 0; n < HPET_TIMERS; n++)
		program(&h->t[n]);
}

/* The counter may be written only while it stands still. */
static void write_counter(struct hpet *h, u32 high, u32 value)
{
	if (!(h->config & ENABLE))
		h->offset = with_half(h->offset, high, value);
}

/* A periodic timer's comparator register takes the period; with VAL_SET before it, which clears itself, the comparator too (2.3.9.2.2). */
static void write_comparator(struct hpet_timer *t, u32 high, u32 value)
{
	if ((t->config & T_32) && high)
		return;
	if (!(t->config & T_PERIODIC) || (t->config & T_VALUE_SET))
		t->comparator = with_half(t->comparator, high, value);
	if (t->config & T_PERIODIC)
		t->period = with_half(t->period, high, value);
	if (high || (t->config & T_32))
		t->config &= ~(u64)T_VALUE_SET;
}

static void write_timer(struct hpet_timer *t, u32 reg, u32 high, u32 value)
{
	switch (reg) {
	case 0x00:
		if (high)
			return;
		t->config = value & T_WRITABLE;
		if (t->config & T_32) {
			t->comparator = (u32)t->comparator;
			t->period = (u32)t->period;
		}
		break;
	case 0x08:
		write_comparator(t, high, value);
		break;
	default:
		return;
	}
	program(t);
}

/* Registers take doublewords; a narrower access has undefined effects, here none. */
void hpet_write(struct hpet *h, u32 offset, u32 value, int size)
{
	u32 reg = offset & ~7u, high = offset >> 2 & 1, timer = (reg - REG_TIMER) / 0x20;
	if (size != 4 || (offset & 3))
		return;
	switch (reg) {
	case REG_CONFIG:
		if (!high)
			write_config(h, value);
		break;
	case REG_STATUS:
		if (!high)
			h->status &= ~(u64)value;
		break;
	case REG_COUNTER:
		write_counter(h, high, value);
		break;
	default:
		if (reg >= REG_TIMER && timer < HPET_TIMERS)
			write_timer(&h->t[timer], reg & 0x1f, high, value);
	}
	update(h);
}

/* --- reset --- */

static void hpet_reset(void *dev)
{
	struct hpet *h = dev;
	h->config = h->status = h->offset = 0;
	for (int n = 0; n < HPET_TIMERS; n++) {
		h->t[n].config = h->t[n].period = 0;
		h->t[n].comparator = h->t[n].due = NONE;
		timer_cancel(&h->t[n].timer);
	}
	update(h);
}

static void hpet_loaded(void *dev)
{
	update(dev);
}

static const struct device_class hpet_class = {
	.name = "hpet", .what = "high precision event timer", .version = 1, .fields = hpet_fields, .reset = hpet_reset, .loaded = hpet_loaded,
};

void hpet_init(struct hpet *h, struct vm *vm, const char *id)
{
	*h = (struct hpet){ .dev = { .cls = &hpet_class, .vm = vm, .id = id } };
	for (int n = 0; n < HPET_TIMERS; n++) {
		h->t[n].hpet = h;
		timer_init(vm, &h->t[n].timer, timer_due, &h->t[n]);
	}
	hpet_reset(h);
}
