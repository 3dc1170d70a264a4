/*
 * pit.c - the 8254 interval timer and port 61h. Datasheet: Intel 82C54 (231244-006).
 *
 * Nothing counts here: a channel knows the clock tick at which its count was loaded, and every value, output level and edge is
 * computed from the guest clock when somebody looks. Times are kept in whole ticks of 1193182 Hz since power-on, so no rounding
 * error adds up. Only channel 0 needs a timer, for the rising edges of its output.
 *
 * Lost ticks (design.md, section 5): `due` is the next edge to be delivered. It may lie in the past, when the guest is late; then edges
 * follow each other at most CATCH_UP times as fast as the period, each only after the guest took the one before. An edge that finds its
 * predecessor pending and masked is dropped, as on the real machine: that guest does not want to count it.
 */
#include "devices/emulated/pit.h"

#define NONE		(~0ull)
#define CATCH_UP	4
#define MAX_LAG_S	30		/* older ticks are forgotten */
#define MIN_PERIOD	60		/* ticks, 50 us: faster periodic interrupts are thinned out */
#define REFRESH_TICKS	18		/* a DRAM refresh every 15 us toggles bit 4 of port 61h */

#define ACCESS(c)	((c)->control >> 4 & 3)
#define BCD(c)		((c)->control & 1)

#define P61_GATE2	0x01
#define P61_SPEAKER	0x02
#define P61_WRITABLE	0x0f
#define P61_REFRESH	0x10
#define P61_OUT2	0x20

static const struct field pit_fields[] = {
#define CHANNEL(n) \
	FIELD(struct pit, ch[n].control, FIELD_U8), FIELD(struct pit, ch[n].gate, FIELD_BOOL), \
	FIELD(struct pit, ch[n].loaded, FIELD_BOOL), FIELD(struct pit, ch[n].triggered, FIELD_BOOL), \
	FIELD(struct pit, ch[n].reload, FIELD_BOOL), FIELD(struct pit, ch[n].low_written, FIELD_BOOL), \
	FIELD(struct pit, ch[n].high_next, FIELD_BOOL), FIELD(struct pit, ch[n].status_latched, FIELD_BOOL), \
	FIELD(struct pit, ch[n].latched, FIELD_U8), FIELD(struct pit, ch[n].low, FIELD_U8), \
	FIELD(struct pit, ch[n].status, FIELD_U8), FIELD(struct pit, ch[n].latch, FIELD_U16), \
	FIELD(struct pit, ch[n].period, FIELD_U32), FIELD(struct pit, ch[n].next_period, FIELD_U32), \
	FIELD(struct pit, ch[n].reload_at, FIELD_U64), FIELD(struct pit, ch[n].next_start, FIELD_U64), \
	FIELD(struct pit, ch[n].start, FIELD_U64), FIELD(struct pit, ch[n].stopped, FIELD_BOOL)
	CHANNEL(0),
	CHANNEL(1),
	CHANNEL(2),
#undef CHANNEL
	FIELD(struct pit, irq.level, FIELD_BOOL),
	FIELD(struct pit, due, FIELD_U64),
	FIELD(struct pit, timer, FIELD_TIMER),
	FIELD(struct pit, port61, FIELD_U8),
	FIELD_END
};

static u64 ticks_of_ns(u64 ns)
{
	return (u64)((unsigned __int128)ns * PIT_HZ / 1000000000u);
}

/* The first nanosecond that belongs to the tick. */
static u64 ns_of_ticks(u64 ticks)
{
	return (u64)(((unsigned __int128)ticks * 1000000000u + PIT_HZ - 1) / PIT_HZ);
}

/* Mode bits 110 and 111 are 2 and 3 (datasheet, Control Word Format). */
static int mode_of(const struct pit_channel *c)
{
	int mode = c->control >> 1 & 7;
	return mode > 5 ? mode - 4 : mode;
}

static bool periodic(const struct pit_channel *c)
{
	return mode_of(c) == 2 || mode_of(c) == 3;
}

static bool gate_triggered(const struct pit_channel *c)
{
	return mode_of(c) == 1 || mode_of(c) == 5;
}

/* Is there a count running or run out? */
static bool started(const struct pit_channel *c)
{
	return c->loaded && (!gate_triggered(c) || c->triggered) && !(periodic(c) && !c->gate);
}

static u64 elapsed(const struct pit_channel *c, u64 tick)
{
	if (c->stopped)
		return c->start;
	return (s64)(tick - c->start) > 0 ? tick - c->start : 0;
}

static u32 high_part(const struct pit_channel *c, u32 period)
{
	return mode_of(c) == 3 ? (period + 1) / 2 : period - 1;
}

/* --- count and output as functions of time --- */

/* Makes a new count of a periodic mode take over once its time has come. */
static void sync_reload(struct pit_channel *c, u64 tick)
{
	if (c->reload && periodic(c) && tick >= c->reload_at) {
		c->start = c->next_start;
		c->period = c->next_period;
		c->reload = false;
	}
}

static bool output(struct pit_channel *c, u64 tick)
{
	sync_reload(c, tick);
	u64 e = elapsed(c, tick);
	if (!started(c))
		return mode_of(c) != 0;
	switch (mode_of(c)) {
	case 0:
	case 1: return e >= c->period;
	case 2:
	case 3: return e % c->period < high_part(c, c->period);
	default: return e != c->period;		/* 4 and 5: low for one tick */
	}
}

static u16 encode_count(const struct pit_channel *c, u64 n)
{
	if (!BCD(c))
		return (u16)n;
	n %= 10000;
	return (u16)(n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10);
}

/* Modes 0, 1, 4 and 5 count on through zero (from FFFFh, or 9999 in BCD); 3 counts even numbers down by two. */
static u16 current_count(struct pit_channel *c, u64 tick)
{
	sync_reload(c, tick);
	u64 e = elapsed(c, tick);
	if (!started(c))
		return encode_count(c, c->period);
	if (mode_of(c) == 2)
		return encode_count(c, c->period - e % c->period);
	if (mode_of(c) == 3) {
		u64 phase = e % c->period, high = high_part(c, c->period);
		return encode_count(c, (c->period & ~1u) - 2 * (phase < high ? phase : phase - high));
	}
	u64 wrap = BCD(c) ? 10000 : 0x10000;
	return encode_count(c, c->period + wrap - e % wrap);
}

/* The first tick after `tick` at which the output rises, or NONE. */
static u64 next_rise(const struct pit_channel *c, u64 tick)
{
	if (!started(c) || c->stopped)
		return NONE;
	if (!periodic(c)) {
		u64 rise = c->start + c->period + (mode_of(c) >= 4);
		return rise > tick ? rise : NONE;
	}
	u64 start = c->start, period = c->period;
	u64 rise = start + (tick < start ? 1 : (tick - start) / period + 1) * period;
	if (c->reload && rise > c->reload_at)
		rise = c->next_start + (tick < c->next_start ? 1 : (tick - c->next_start) / c->next_period + 1) * c->next_period;
	return rise;
}

/* --- channel 0's interrupt --- */

static u64 tick_now(struct pit *p)
{
	return ticks_of_ns(clock_now(p->dev.vm));
}

static void arm_timer(struct pit *p, u64 tick)
{
	u64 at = p->due;
	if (at <= tick)
		at = tick + p->ch[0].period / CATCH_UP;
	if (periodic(&p->ch[0]) && at < tick + MIN_PERIOD)
		at = tick + MIN_PERIOD;
	timer_arm(&p->timer, p->due == NONE ? NONE : ns_of_ticks(at));
}

/* After channel 0 was written: its output and its next edge anew; ticks owed by the old programming are forgotten. */
static void pit_update(struct pit *p, u64 tick)
{
	struct pit_channel *c = &p->ch[0];
	/* In periodic modes only the rising edges are shown: the line stays high for the 8259A to see it at INTA. */
	line_set(&p->irq, periodic(c) || output(c, tick));
	p->due = next_rise(c, tick);
	arm_timer(p, tick);
}

static void raise_edge(struct pit *p)
{
	line_set(&p->irq, false);
	line_set(&p->irq, true);
}

static void periodic_tick(struct pit *p, u64 tick)
{
	struct pit_channel *c = &p->ch[0];
	switch (p->tick_state ? p->tick_state(p->tick_arg) : PIT_TICK_TAKEN) {
	case PIT_TICK_WAITING:	/* pit_tick_taken() will be called; look again at the next edge all the same */
		timer_arm(&p->timer, ns_of_ticks(next_rise(c, tick + MIN_PERIOD)));
		return;
	case PIT_TICK_MASKED:
		p->due = next_rise(c, tick);
		break;
	case PIT_TICK_TAKEN:
		raise_edge(p);
		p->due = next_rise(c, p->due);
		if (p->due + MAX_LAG_S * PIT_HZ < tick)
			p->due = next_rise(c, tick);
		break;
	}
	sync_reload(c, tick);
	arm_timer(p, tick);
}

static void pit_timer(void *arg, u64 now)
{
	struct pit *p = arg;
	if (periodic(&p->ch[0])) {
		periodic_tick(p, ticks_of_ns(now));
	} else {
		raise_edge(p);
		p->due = NONE;
	}
}

void pit_tick_taken(struct pit *p)
{
	/* The usual case, without reading the clock: the timer waits for the next edge, nothing is owed. */
	if (p->due == NONE || p->timer.deadline <= ns_of_ticks(p->due))
		return;
	u64 tick = tick_now(p);
	if (p->due <= tick)
		arm_timer(p, tick);
}

/* --- channel 2's speaker --- */

static void say_level(struct pit *p, u64 tick, bool high)
{
	p->speaker(p->speaker_arg, &(struct audio_wave){ .from = tick, .before = !high });
}

/* The output behind the AND gate of port 61h, after channel 2 or the port was written. Strobes (modes 4 and 5) are too short to hear. */
static void speaker_update(struct pit *p, u64 tick)
{
	struct pit_channel *c = &p->ch[2];
	if (!p->speaker)
		return;
	bool high = output(c, tick);
	if (!(p->port61 & P61_SPEAKER) || !started(c) || c->stopped || mode_of(c) >= 4) {
		say_level(p, tick, high && p->port61 & P61_SPEAKER);
		return;
	}
	struct audio_wave w = { .from = tick, .start = c->start, .period = c->period, .high = high_part(c, c->period) };
	if (!periodic(c)) {
		w.high = c->period;
		w.period = 0;
	}
	p->speaker(p->speaker_arg, &w);
	if (!c->reload || !periodic(c))
		return;
	w = (struct audio_wave){ .from = c->reload_at, .start = c->next_start, .period = c->next_period,
				 .high = high_part(c, c->next_period) };
	p->speaker(p->speaker_arg, &w);
}

/* --- counts and gates --- */

static u32 decode_count(const struct pit_channel *c, u16 raw)
{
	u32 n = raw;
	if (BCD(c))
		n = (raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15);
	if (n == 0)
		n = BCD(c) ? 10000 : 0x10000;
	return n == 1 && periodic(c) ? 2 : n;	/* a count of 1 is illegal there */
}

/* A new count of a running periodic channel waits: mode 2 for the end of the period, mode 3 for the end of the half-cycle. */
static void schedule_reload(struct pit_channel *c, u64 tick)
{
	u64 phase = elapsed(c, tick) % c->period;
	u64 period_start = (s64)(tick - c->start) > 0 ? tick - phase : c->start;
	u32 high = high_part(c, c->period);
	bool at_fall = mode_of(c) == 3 && phase < high;
	c->reload = true;
	c->reload_at = period_start + (at_fall ? high : c->period);
	c->next_start = at_fall ? c->reload_at - high_part(c, c->next_period) : c->reload_at;
}

/* Counting begins with the clock pulse after the write (82C54, "CR is loaded into CE"). */
static void start_count(struct pit_channel *c, u64 tick)
{
	c->period = c->next_period;
	c->reload = false;
	c->start = tick + 1;
}

static void load_count(struct pit_channel *c, u16 raw, u64 tick)
{
	sync_reload(c, tick);
	c->next_period = decode_count(c, raw);
	if (gate_triggered(c)) {
		c->reload = true;
	} else if (periodic(c) && started(c)) {
		schedule_reload(c, tick);
	} else {
		start_count(c, tick);
		c->stopped = !periodic(c) && !c->gate;
		if (c->stopped)
			c->start = 0;
	}
	c->loaded = true;
}

static void write_count(struct pit_channel *c, u8 value, u64 tick)
{
	switch (ACCESS(c)) {
	case 1:
		load_count(c, value, tick);
		break;
	case 2:
		load_count(c, (u16)(value << 8), tick);
		break;
	case 3:
		c->low_written = !c->low_written;
		if (!c->low_written) {
			load_count(c, (u16)(value << 8 | c->low), tick);
			break;
		}
		c->low = value;
		if (mode_of(c) == 0)	/* the first byte stops the count and lowers OUT */
			c->loaded = false;
		break;
	}
}

static void set_gate(struct pit_channel *c, bool gate, u64 tick)
{
	if (c->gate == gate)
		return;
	sync_reload(c, tick);
	if (mode_of(c) == 0 || mode_of(c) == 4) {
		if (c->loaded && c->stopped == gate) {
			c->start = gate ? tick - c->start : elapsed(c, tick);
			c->stopped = !gate;
		}
	} else if (gate && c->loaded) {
		start_count(c, tick);
		c->triggered = true;
	}
	c->gate = gate;
}

/* --- registers --- */

static void latch_count(struct pit_channel *c, u64 tick)
{
	if (c->latched)		/* the first latch holds until it is read */
		return;
	c->latch = current_count(c, tick);
	c->latched = ACCESS(c) == 3 ? 2 : 1;
}

static void latch_status(struct pit_channel *c, u64 tick)
{
	if (c->status_latched)
		return;
	bool out = output(c, tick);
	bool null_count = !c->loaded || c->reload || (!c->stopped && (s64)(tick - c->start) < 0);
	c->status = (u8)(out << 7 | null_count << 6 | c->control);
	c->status_latched = true;
}

static void read_back(struct pit *p, u8 value, u64 tick)
{
	for (int i = 0; i < 3; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & 0x20))
			latch_count(&p->ch[i], tick);
		if (!(value & 0x10))
			latch_status(&p->ch[i], tick);
	}
}

static void write_control(struct pit *p, u8 value, u64 tick)
{
	int n = value >> 6;
	if (n == 3) {
		read_back(p, value, tick);
	} else if (!(value & 0x30)) {
		latch_count(&p->ch[n], tick);
	} else {
		p->ch[n] = (struct pit_channel){ .control = value & 0x3f, .gate = p->ch[n].gate, .period = 0x10000,
						 .next_period = 0x10000 };
		if (n == 0)
			pit_update(p, tick);
		else if (n == 2)
			speaker_update(p, tick);
	}
}

void pit_write(struct pit *p, u32 offset, u8 value)
{
	u64 tick = tick_now(p);
	if (offset == 3) {
		write_control(p, value, tick);
		return;
	}
	write_count(&p->ch[offset], value, tick);
	if (offset == 0)
		pit_update(p, tick);
	else if (offset == 2)
		speaker_update(p, tick);
}

static u8 byte_of(u16 value, bool high)
{
	return (u8)(high ? value >> 8 : value);
}

u8 pit_read(struct pit *p, u32 offset)
{
	if (offset == 3)	/* the control word cannot be read */
		return 0xff;
	struct pit_channel *c = &p->ch[offset];
	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	bool high = ACCESS(c) == 2;
	if (c->latched) {
		high |= ACCESS(c) == 3 && c->latched == 1;
		c->latched--;
		return byte_of(c->latch, high);
	}
	if (ACCESS(c) == 3) {
		high = c->high_next;
		c->high_next = !high;
	}
	return byte_of(current_count(c, tick_now(p)), high);
}

u8 pit_read_port61(struct pit *p)
{
	u64 tick = tick_now(p);
	u8 value = p->port61;
	if (tick / REFRESH_TICKS & 1)
		value |= P61_REFRESH;
	if (output(&p->ch[2], tick))
		value |= P61_OUT2;
	return value;
}

void pit_write_port61(struct pit *p, u8 value)
{
	u64 tick = tick_now(p);
	p->port61 = value & P61_WRITABLE;
	set_gate(&p->ch[2], value & P61_GATE2, tick);
	speaker_update(p, tick);
}

static void pit_reset(void *dev)
{
	struct pit *p = dev;
	for (int i = 0; i < 3; i++)
		p->ch[i] = (struct pit_channel){ .gate = i != 2, .period = 0x10000, .next_period = 0x10000 };
	p->port61 = 0;
	p->due = NONE;
	timer_cancel(&p->timer);
	line_set(&p->irq, false);
	if (p->speaker)
		say_level(p, tick_now(p), false);
}

static void pit_loaded(void *dev)
{
	struct pit *p = dev;
	speaker_update(p, tick_now(p));
}

static const struct device_class pit_class = {
	.name = "pit", .what = "8254 interval timer", .version = 1, .fields = pit_fields, .reset = pit_reset,
	.loaded = pit_loaded,
};

void pit_init(struct pit *p, struct vm *vm, const char *id)
{
	*p = (struct pit){ .dev = { .cls = &pit_class, .vm = vm, .id = id } };
	timer_init(vm, &p->timer, pit_timer, p);
	pit_reset(p);
}
