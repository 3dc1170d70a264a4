/*
 * lapic_timer.c - the local APIC's timer (SDM vol. 3, 11.5.4): one-shot, periodic, TSC-deadline.
 *
 * Nothing counts: the count is computed from guest time when somebody looks. Times are whole ticks of the undivided clock since power-on.
 * Periodic ticks that the guest was too slow to take are caught up as the PIT's are (docs/time.md): each after the one before was
 * taken, at most CATCH_UP times as fast as the period. A masked entry loses its ticks.
 */
#include "devices/emulated/lapic.h"

#define NONE       (~0ull)
#define CATCH_UP   4
#define MAX_LAG_S  30
#define MIN_NS     50000u	/* faster periodic interrupts are thinned out */
enum { ONE_SHOT, PERIODIC, DEADLINE };

static int mode(const struct lapic *l) { return l->lvt[LVT_TIMER] >> 17 & 3; }
static u64 ticks_of_ns(const struct lapic *l, u64 ns) { return (u64)((unsigned __int128)ns * l->hz / 1000000000u); }
static u64 ns_of_ticks(const struct lapic *l, u64 t) { return (u64)(((unsigned __int128)t * 1000000000u + l->hz - 1) / l->hz); }
static u64 now_ticks(const struct lapic *l) { return ticks_of_ns(l, clock_now(l->dev.vm)); }

/* Divide configuration: 000b is 2, 110b is 128, 111b is 1; its bit 2 is the register's bit 3. */
static u32 shift(const struct lapic *l)
{
	return ((l->divide & 3) + (l->divide >> 1 & 4) + 1) & 7;
}

static u64 period(const struct lapic *l) { return (u64)l->initial << shift(l); }

static u32 count_at(const struct lapic *l, u64 tick)
{
	u64 elapsed = (tick - l->start) >> shift(l);
	if (!l->initial || mode(l) == DEADLINE)
		return 0;
	if (mode(l) == PERIODIC)
		return l->due == NONE ? 0 : l->initial - (u32)(elapsed % l->initial);
	return elapsed < l->initial ? l->initial - (u32)elapsed : 0;
}

u32 lapic_timer_count(const struct lapic *l)
{
	return count_at(l, now_ticks(l));
}

static u64 next_edge(const struct lapic *l, u64 after)
{
	if (!l->initial || mode(l) == DEADLINE)
		return NONE;
	if (mode(l) == PERIODIC)
		return l->start + ((after - l->start) / period(l) + 1) * period(l);
	u64 end = l->start + period(l);
	return (s64)(end - after) > 0 ? end : NONE;
}

static void arm(struct lapic *l, u64 tick)
{
	u64 at = l->due, least = tick + ticks_of_ns(l, MIN_NS);
	if (at == NONE) {
		timer_cancel(&l->timer);
		return;
	}
	if (mode(l) == PERIODIC) {
		if (at <= tick)
			at = tick + period(l) / CATCH_UP;
		at = at < least ? least : at;
	}
	timer_arm(&l->timer, ns_of_ticks(l, at));
}

/* After the timer was programmed: ticks owed by the old programming are forgotten. */
static void program(struct lapic *l, u64 tick)
{
	l->due = next_edge(l, tick);
	arm(l, tick);
}

static void arm_deadline(struct lapic *l)
{
	struct vm *vm = l->dev.vm;
	s64 left = (s64)(l->deadline - clock_tsc(vm));
	u64 ns = left > 0 ? (u64)(((unsigned __int128)left * 1000000000u) / clock_tsc_hz(vm)) + 1 : 0;
	timer_arm(&l->timer, l->deadline ? clock_now(vm) + ns : NONE);
}

/* --- ticks --- */

static void periodic_tick(struct lapic *l, u64 tick)
{
	if (l->lvt[LVT_TIMER] & LVT_MASKED) {
		l->due = next_edge(l, tick);
	} else if (lapic_pending(l, (u8)l->lvt[LVT_TIMER])) {	/* lapic_timer_taken() will be called; look again all the same */
		timer_arm(&l->timer, ns_of_ticks(l, next_edge(l, tick + ticks_of_ns(l, MIN_NS))));
		return;
	} else {
		l->due += period(l);
		if (l->due + MAX_LAG_S * l->hz < tick)
			l->due = next_edge(l, tick);
		lapic_local(l, LVT_TIMER);
	}
	arm(l, tick);
}

static void timer_due(void *arg, u64 now)
{
	struct lapic *l = arg;
	u64 tick = ticks_of_ns(l, now);
	if (mode(l) == PERIODIC) {
		periodic_tick(l, tick);
	} else if (mode(l) == DEADLINE && clock_tsc(l->dev.vm) < l->deadline) {	/* the TSC was set back */
		arm_deadline(l);
	} else {
		l->due = NONE;
		l->deadline = 0;
		lapic_local(l, LVT_TIMER);
	}
}

void lapic_timer_taken(struct lapic *l)
{
	/* The usual case, without reading the clock: the timer waits for the next edge, nothing is owed. */
	if (mode(l) != PERIODIC || l->due == NONE || l->timer.deadline <= ns_of_ticks(l, l->due))
		return;
	u64 tick = now_ticks(l);
	if (l->due <= tick)
		arm(l, tick);
}

/* --- registers --- */

void lapic_timer_set_initial(struct lapic *l, u32 value)
{
	u64 tick = now_ticks(l);
	if (mode(l) == DEADLINE)	/* writes are ignored */
		return;
	l->initial = value;
	l->start = tick;
	program(l, tick);
}

/* The count goes on from where it is; one that ran out stays 0, in periodic mode too, until an initial count is written. */
static void go_on(struct lapic *l, u64 tick, u32 count)
{
	l->start = tick - ((u64)(l->initial - count) << shift(l));
	l->due = NONE;
	if (count)
		program(l, tick);
	else
		timer_cancel(&l->timer);
}

void lapic_timer_set_divide(struct lapic *l, u32 value)
{
	u64 tick = now_ticks(l);
	u32 count = count_at(l, tick);
	l->divide = value & 0xb;
	if (mode(l) != DEADLINE)
		go_on(l, tick, count);
}

void lapic_timer_set_lvt(struct lapic *l, u32 value)
{
	int old = mode(l);
	u64 tick = now_ticks(l);
	u32 count = count_at(l, tick);
	l->lvt[LVT_TIMER] = value;
	if (old == mode(l))
		return;
	if (old == DEADLINE || mode(l) == DEADLINE) {	/* disarms the timer */
		l->initial = count = 0;
		l->deadline = 0;
	}
	go_on(l, tick, count);
}

u64 lapic_deadline(const struct lapic *l)
{
	return mode(l) == DEADLINE ? l->deadline : 0;
}

void lapic_set_deadline(struct lapic *l, u64 tsc)
{
	if (mode(l) != DEADLINE)
		return;
	l->deadline = tsc;
	arm_deadline(l);
}

void lapic_timer_reset(struct lapic *l)
{
	l->initial = l->divide = 0;
	l->start = l->deadline = 0;
	l->due = NONE;
	timer_cancel(&l->timer);
}

void lapic_timer_init(struct lapic *l)
{
	timer_init(l->dev.vm, &l->timer, timer_due, l);
}
