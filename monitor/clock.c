/*
 * clock.c - guest time and the timers on it; the one file that reads the host's clocks.
 *
 * Guest time is CLOCK_MONOTONIC less `offset`, or `frozen` while the machine stands still. Both are atomics because the event
 * thread reads the time too; only the vCPU thread stops and continues the clock.
 *
 * Timers are a binary heap ordered by deadline, so arming is O(log n) and no host system call at all: the run loop gives the
 * earliest deadline to the event thread once a round (event_set_deadline); a chip that arms an earlier one asks for a round by
 * vcpu_kick(), which on the vCPU thread is a store. Invariant: t->heap_index is t's place in the heap,
 * or -1, and then t->deadline is ~0.
 */
#include "monitor/clock.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include <cpuid.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#define NS_PER_S	1000000000ull
#define RUNNING		(~0ull)
#define NOT_ARMED	(~0ull)
#define MEASURE_NS	20000000ull
/* One round of clock_run_timers() runs at most this many callbacks: one that is always due again cannot hang the machine. */
#define ROUND_MAX	64

struct clock {
	_Atomic u64 offset;	/* host ns at guest time 0, while running */
	_Atomic u64 frozen;	/* guest ns at which the clock stands, or RUNNING */
	s64 epoch;
	u64 tsc_hz;
	struct timer **heap;
	int armed, capacity;
	u64 announced;		/* the deadline that the run loop knows of: clock_run_timers() returned it */
};

static u64 host_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (u64)ts.tv_sec * NS_PER_S + (u64)ts.tv_nsec;
}

/* --- the TSC's rate --- */

/* CPUID 15h with a crystal frequency is exact (SDM vol. 3, 19.7.3); 16h gives only the nominal base rate and the crystal may be
 * absent under a hypervisor, so without a crystal we measure. */
static u64 tsc_hz_from_cpuid(void)
{
	u32 denominator, numerator, crystal, edx;
	if (__get_cpuid_max(0, NULL) < 0x15)
		return 0;
	__cpuid_count(0x15, 0, denominator, numerator, crystal, edx);
	if (!denominator || !numerator || crystal < 1000000)
		return 0;
	return (u64)crystal * numerator / denominator;
}

/* One pair of readings taken close together: of several tries the one with the narrowest TSC window. */
static void sample(u64 *tsc, u64 *ns)
{
	u64 best = ~0ull;
	for (int i = 0; i < 5; i++) {
		u64 before = __rdtsc();
		u64 t = host_ns(CLOCK_MONOTONIC_RAW);
		u64 after = __rdtsc();
		if (after - before < best) {
			best = after - before;
			*tsc = before + (after - before) / 2;
			*ns = t;
		}
	}
}

static u64 measure_tsc_hz(void)
{
	struct timespec pause = { .tv_nsec = MEASURE_NS };
	u64 tsc0 = 0, ns0 = 0, tsc1 = 0, ns1 = 0;
	sample(&tsc0, &ns0);
	nanosleep(&pause, NULL);
	sample(&tsc1, &ns1);
	if (ns1 <= ns0)
		return NS_PER_S;
	return (u64)((unsigned __int128)(tsc1 - tsc0) * NS_PER_S / (ns1 - ns0));
}

/* Measured only when somebody asks: a guest model without TSC never pays the 20 ms. */
u64 clock_tsc_hz(struct vm *vm)
{
	struct clock *c = vm->clock;
	if (!c->tsc_hz)
		c->tsc_hz = tsc_hz_from_cpuid();
	if (!c->tsc_hz)
		c->tsc_hz = measure_tsc_hz();
	return c->tsc_hz;
}

u64 clock_tsc(struct vm *vm)
{
	return __rdtsc() + vm->vcpu->cs.tsc_offset;
}

/* --- guest time --- */

bool clock_init(struct vm *vm)
{
	struct clock *c = calloc(1, sizeof(*c));
	if (!c)
		return false;
	c->offset = host_ns(CLOCK_MONOTONIC);
	c->frozen = RUNNING;
	c->announced = NOT_ARMED;
	/* To the nearest second: the RTC's error is half a second either way. */
	c->epoch = (s64)((host_ns(CLOCK_REALTIME) + NS_PER_S / 2) / NS_PER_S);
	vm->clock = c;
	return true;
}

void clock_fini(struct vm *vm)
{
	if (!vm->clock)
		return;
	free(vm->clock->heap);
	free(vm->clock);
	vm->clock = NULL;
}

u64 clock_now(struct vm *vm)
{
	struct clock *c = vm->clock;
	u64 frozen = c->frozen;
	return frozen != RUNNING ? frozen : host_ns(CLOCK_MONOTONIC) - c->offset;
}

void clock_stop(struct vm *vm)
{
	vm->clock->frozen = clock_now(vm);
}

void clock_cont(struct vm *vm)
{
	struct clock *c = vm->clock;
	if (c->frozen == RUNNING)
		return;
	c->offset = host_ns(CLOCK_MONOTONIC) - c->frozen;
	c->frozen = RUNNING;
}

void clock_set(struct vm *vm, u64 now)
{
	struct clock *c = vm->clock;
	if (c->frozen == RUNNING)
		c->offset = host_ns(CLOCK_MONOTONIC) - now;
	else
		c->frozen = now;
	c->announced = 0;
}

s64 clock_epoch(struct vm *vm)
{
	return vm->clock->epoch;
}

/* --- timers --- */

static void heap_place(struct clock *c, int i, struct timer *t)
{
	c->heap[i] = t;
	t->heap_index = i;
}

static void heap_up(struct clock *c, int i, struct timer *t)
{
	for (; i > 0 && c->heap[(i - 1) / 2]->deadline > t->deadline; i = (i - 1) / 2)
		heap_place(c, i, c->heap[(i - 1) / 2]);
	heap_place(c, i, t);
}

static void heap_down(struct clock *c, int i, struct timer *t)
{
	for (;;) {
		int child = 2 * i + 1;
		if (child + 1 < c->armed && c->heap[child + 1]->deadline < c->heap[child]->deadline)
			child++;
		if (child >= c->armed || c->heap[child]->deadline >= t->deadline)
			break;
		heap_place(c, i, c->heap[child]);
		i = child;
	}
	heap_place(c, i, t);
}

/* Puts t, whose deadline has just changed, where it belongs, starting from the free place i. */
static void heap_settle(struct clock *c, int i, struct timer *t)
{
	if (i > 0 && c->heap[(i - 1) / 2]->deadline > t->deadline)
		heap_up(c, i, t);
	else
		heap_down(c, i, t);
}

void timer_init(struct vm *vm, struct timer *t, void (*fn)(void *arg, u64 now), void *arg)
{
	*t = (struct timer){ .deadline = NOT_ARMED, .fn = fn, .arg = arg, .vm = vm, .heap_index = -1 };
}

void timer_arm(struct timer *t, u64 deadline)
{
	struct clock *c = t->vm->clock;
	if (deadline == NOT_ARMED) {
		timer_cancel(t);
		return;
	}
	if (t->heap_index < 0) {
		if (c->armed == c->capacity) {
			c->capacity = c->capacity ? 2 * c->capacity : 16;
			c->heap = realloc(c->heap, (size_t)c->capacity * sizeof(*c->heap));
			bug_on(!c->heap, "out of memory for %d timers", c->capacity);
		}
		t->heap_index = c->armed++;
		c->heap[t->heap_index] = t;
	}
	t->deadline = deadline;
	heap_settle(c, t->heap_index, t);
	if (deadline < c->announced) {
		c->announced = deadline;
		if (t->vm->vcpu)
			vcpu_kick(t->vm->vcpu);
	}
}

void timer_cancel(struct timer *t)
{
	struct clock *c = t->vm->clock;
	int i = t->heap_index;
	t->deadline = NOT_ARMED;
	if (i < 0)
		return;
	t->heap_index = -1;
	struct timer *last = c->heap[--c->armed];
	if (last != t)
		heap_settle(c, i, last);
}

u64 clock_next_deadline(struct vm *vm)
{
	struct clock *c = vm->clock;
	return c->armed ? c->heap[0]->deadline : NOT_ARMED;
}

u64 clock_run_timers(struct vm *vm)
{
	struct clock *c = vm->clock;
	c->announced = 0;	/* callbacks need not ask for another round */
	u64 now = c->armed ? clock_now(vm) : 0;
	for (int i = 0; i < ROUND_MAX && c->armed && c->heap[0]->deadline <= now; i++) {
		struct timer *t = c->heap[0];
		timer_cancel(t);
		t->fn(t->arg, now);
	}
	return c->announced = clock_next_deadline(vm);
}
