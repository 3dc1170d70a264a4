/*
 * test_clock.c - guest time stands still and goes on; timers run in order; the TSC's rate is plausible.
 */
/* objs: monitor/clock.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "monitor/clock.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

static int kicks;

void vcpu_kick(struct vcpu *vcpu)
{
	kicks++;
}

static int setup(void **state)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	*state = vm;
	return vm && clock_init(vm) ? 0 : -1;
}

static int teardown(void **state)
{
	clock_fini(*state);
	free(*state);
	return 0;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static void test_stop_cont(void **state)
{
	struct vm *vm = *state;
	u64 a = clock_now(vm);
	assert_true(a < 1000000000);
	clock_stop(vm);
	u64 b = clock_now(vm);
	pause_ms(10);
	assert_int_equal(clock_now(vm), b);
	clock_stop(vm);
	clock_cont(vm);
	clock_cont(vm);
	u64 c = clock_now(vm);
	assert_true(c >= b && c < b + 9000000);
	assert_true(llabs(clock_epoch(vm) - (s64)time(NULL)) <= 2);
}

#define TIMERS 300
struct recorder {
	u64 fired[TIMERS * 2];
	int n;
};
struct probe {
	struct timer t;
	struct recorder *r;
	u64 was;
};

static void record(void *arg, u64 now)
{
	struct probe *p = arg;
	assert_true(now >= p->was);
	assert_int_equal(p->t.deadline, ~0ull);
	p->r->fired[p->r->n++] = p->was;
}

/* Random arming, re-arming and cancelling; what is left must fire once each, in order of deadlines. */
static void test_heap_order(void **state)
{
	struct vm *vm = *state;
	static struct probe p[TIMERS];
	struct recorder r = { .n = 0 };
	pause_ms(1);
	clock_stop(vm);
	u64 now = clock_now(vm);
	srandom(7);
	for (int i = 0; i < TIMERS; i++) {
		p[i] = (struct probe){ .r = &r };
		timer_init(vm, &p[i].t, record, &p[i]);
	}
	int armed = 0, due = 0;
	u64 first = ~0ull;
	for (int round = 0; round < 3000; round++) {
		struct probe *q = &p[random() % TIMERS];
		if (random() % 4 == 0)
			timer_cancel(&q->t);
		else
			timer_arm(&q->t, q->was = now - 40000 + (u64)random() % 80000);
	}
	for (int i = 0; i < TIMERS; i++) {
		if (p[i].t.deadline == ~0ull)
			continue;
		armed++;
		due += p[i].t.deadline <= now;
		if (p[i].t.deadline < first)
			first = p[i].t.deadline;
	}
	assert_true(due > 70 && due < armed);	/* more than one round's bound */
	assert_int_equal(clock_next_deadline(vm), first);
	u64 next = 0;
	for (int round = 0; round < 10; round++)
		next = clock_run_timers(vm);
	assert_int_equal(r.n, due);
	for (int i = 1; i < r.n; i++)
		assert_true(r.fired[i - 1] <= r.fired[i]);
	assert_true(next > now && next != ~0ull);
	for (int i = 0; i < TIMERS; i++)
		timer_cancel(&p[i].t);
	assert_int_equal(clock_next_deadline(vm), ~0ull);
	assert_int_equal(clock_run_timers(vm), ~0ull);
}

static void again(void *arg, u64 now)
{
	struct probe *p = arg;
	p->was++;
	timer_arm(&p->t, now);
}

static void test_always_due_does_not_hang(void **state)
{
	struct vm *vm = *state;
	struct probe p = { .was = 0 };
	timer_init(vm, &p.t, again, &p);
	timer_arm(&p.t, 0);
	u64 next = clock_run_timers(vm);
	assert_true(p.was >= 1 && p.was <= 1000);
	assert_true(next <= clock_now(vm));
}

static void nothing(void *arg, u64 now)
{
}

/* The run loop is told of a deadline that it does not know of, and only then. */
static void test_earlier_deadline_kicks(void **state)
{
	struct vm *vm = *state;
	struct timer t;
	vm->vcpu = (struct vcpu *)vm;	/* only passed on */
	timer_init(vm, &t, nothing, NULL);
	kicks = 0;
	timer_arm(&t, 1000 * 1000000000ull);
	assert_int_equal(kicks, 1);
	clock_run_timers(vm);
	timer_arm(&t, 1001 * 1000000000ull);
	assert_int_equal(kicks, 1);
	timer_arm(&t, 999 * 1000000000ull);
	assert_int_equal(kicks, 2);
	timer_cancel(&t);
	assert_int_equal(clock_run_timers(vm), ~0ull);
	timer_arm(&t, 1000 * 1000000000ull);
	assert_int_equal(kicks, 3);
	timer_cancel(&t);
}

static void test_tsc_rate(void **state)
{
	struct vm *vm = *state;
	u64 hz = clock_tsc_hz(vm);
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	u64 t0 = __rdtsc();
	pause_ms(50);
	clock_gettime(CLOCK_MONOTONIC, &b);
	u64 ticks = __rdtsc() - t0;
	double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
	double ratio = (double)ticks / s / (double)hz;
	assert_true(ratio > 0.98 && ratio < 1.02);
	assert_int_equal(clock_tsc_hz(vm), hz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stop_cont, setup, teardown),
		cmocka_unit_test_setup_teardown(test_heap_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_always_due_does_not_hang, setup, teardown),
		cmocka_unit_test_setup_teardown(test_earlier_deadline_kicks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tsc_rate, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
