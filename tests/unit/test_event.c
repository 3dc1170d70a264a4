/*
 * test_event.c - the event thread: deadlines become kicks, posts keep their order, watches start, pause and stop.
 */
/* objs: monitor/clock.o monitor/event.o monitor/lib/bug.o monitor/lib/thread.o */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "monitor/clock.h"
#include "monitor/event.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct machine {
	struct vm vm;
	struct vcpu vcpu;
	sem_t kicks;
	sem_t ready;
	int pipe[2];
	_Atomic int bytes;
};

void vcpu_kick(struct vcpu *vcpu)
{
	sem_post(&container_of(vcpu, struct machine, vcpu)->kicks);
}

static bool wait_ms(sem_t *s, long ms)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += ms * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return sem_timedwait(s, &ts) == 0;
}

static int setup(void **state)
{
	char err[200];
	struct machine *m = aligned_alloc(64, (sizeof(*m) + 63) & ~63ul);
	*state = m;
	*m = (struct machine){ .bytes = 0 };
	m->vm.vcpu = &m->vcpu;
	sem_init(&m->kicks, 0, 0);
	sem_init(&m->ready, 0, 0);
	return pipe2(m->pipe, O_NONBLOCK) == 0 && clock_init(&m->vm) && event_init(&m->vm, err, sizeof(err)) ? 0 : -1;
}

static int teardown(void **state)
{
	struct machine *m = *state;
	event_fini(&m->vm);
	clock_fini(&m->vm);
	close(m->pipe[0]);
	close(m->pipe[1]);
	free(m);
	return 0;
}

static void test_deadline_kicks_once(void **state)
{
	struct machine *m = *state;
	u64 start = clock_now(&m->vm);
	event_set_deadline(&m->vm, start + 500000000);
	event_set_deadline(&m->vm, start + 20000000);	/* earlier: the thread must be woken */
	assert_true(wait_ms(&m->kicks, 300));
	u64 took = clock_now(&m->vm) - start;
	assert_true(took >= 20000000 && took < 200000000);
	assert_false(wait_ms(&m->kicks, 30));
	event_set_deadline(&m->vm, clock_now(&m->vm));	/* already due */
	assert_true(wait_ms(&m->kicks, 300));
	event_set_deadline(&m->vm, clock_now(&m->vm) + 10000000);
	event_set_deadline(&m->vm, ~0ull);		/* taken back */
	assert_false(wait_ms(&m->kicks, 40));
}

static void test_stopped_clock(void **state)
{
	struct machine *m = *state;
	clock_stop(&m->vm);
	event_set_deadline(&m->vm, clock_now(&m->vm) + 5000000);
	assert_false(wait_ms(&m->kicks, 40));
	clock_cont(&m->vm);
	assert_true(wait_ms(&m->kicks, 300));
}

struct seen {
	int order[1000], n;
};
struct item {
	struct seen *seen;
	int i;
};

static void note(void *arg)
{
	struct item *it = arg;
	it->seen->order[it->seen->n++] = it->i;
}

static void test_posts_keep_order(void **state)
{
	struct machine *m = *state;
	static struct seen seen;
	static struct item items[1000];
	event_run_posted(&m->vm);
	for (int i = 0; i < 1000; i++) {
		items[i] = (struct item){ &seen, i };
		assert_true(event_post(&m->vm, note, &items[i]));
		assert_true(wait_ms(&m->kicks, 1000));
		if (i % 100 == 50)
			event_run_posted(&m->vm);
	}
	event_run_posted(&m->vm);
	assert_int_equal(seen.n, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(seen.order[i], i);
	event_post(&m->vm, note, &items[0]);	/* left over: freed by event_fini */
}

static void ready(void *arg, short revents)
{
	struct machine *m = arg;
	char c;
	if (read(m->pipe[0], &c, 1) == 1)
		m->bytes++;
	sem_post(&m->ready);
}

static void test_watch(void **state)
{
	struct machine *m = *state;
	struct watch *w = event_watch(&m->vm, m->pipe[0], POLLIN, ready, m);
	assert_int_equal(write(m->pipe[1], "a", 1), 1);
	assert_true(wait_ms(&m->ready, 500));
	event_set_mask(&m->vm, w, 0);
	assert_int_equal(write(m->pipe[1], "b", 1), 1);
	assert_false(wait_ms(&m->ready, 30));
	event_set_mask(&m->vm, w, POLLIN);
	assert_true(wait_ms(&m->ready, 500));
	event_unwatch(&m->vm, w);
	assert_int_equal(write(m->pipe[1], "c", 1), 1);
	assert_false(wait_ms(&m->ready, 30));
	assert_int_equal(m->bytes, 2);
}

static void test_many_watches(void **state)
{
	struct machine *m = *state;
	struct watch *w[100];
	for (int i = 0; i < 100; i++)
		w[i] = event_watch(&m->vm, m->pipe[0], POLLIN, ready, m);
	assert_int_equal(write(m->pipe[1], "x", 1), 1);
	assert_true(wait_ms(&m->ready, 500));
	for (int i = 0; i < 100; i++)
		event_unwatch(&m->vm, w[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deadline_kicks_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_posts_keep_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_watches, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
