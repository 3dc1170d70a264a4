/*
 * test_pause.c - a machine that only counts is paused and goes on: guest, guest clock and TSC stand still, posted calls run, a reset
 * and a request to leave are heard.
 */
/* objs: all */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "monitor/bus.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/event.h"
#include "monitor/mem.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define RAM_BYTES (1u << 20)
enum { CODE_AT = 0x1000, COUNT_AT = 0x2000, TSC_AT = 0x2008 };

struct machine {
	struct vm vm;
	const struct cpu_model *model;
	pthread_t thread;
	sem_t done;		/* a posted call has run */
	struct timer timer;
	int paused, continued, resets, ticks;
};

/* again: add dword [COUNT_AT], 1; rdtsc; mov [TSC_AT], eax; mov [TSC_AT + 4], edx; jmp again */
static const u8 counter[] = {
	0x66, 0x83, 0x06, 0x00, 0x20, 0x01, 0x0f, 0x31, 0x66, 0xa3, 0x08, 0x20, 0x66, 0x89, 0x16, 0x0c, 0x20, 0xeb, 0xed,
};

static void count_up(void *arg)
{
	++*(int *)arg;
}

static void ticked(void *arg, u64 now)
{
	struct machine *m = arg;
	m->ticks++;
}

static void put_program(struct vm *vm, void *arg)
{
	u32 zero = 0;
	mem_write(vm, CODE_AT, counter, sizeof(counter));
	mem_write(vm, COUNT_AT, &zero, sizeof(zero));
	seg_load_real(&vm->vcpu->cs, S_CS, 0);
	vm->vcpu->cs.rip = CODE_AT;
	cpu_update_mode(&vm->vcpu->cs);
}

static void *machine_main(void *arg)
{
	struct machine *m = arg;
	vcpu_reset(m->vm.vcpu);
	put_program(&m->vm, NULL);
	timer_init(&m->vm, &m->timer, ticked, m);
	vcpu_run(m->vm.vcpu);
	return NULL;
}

static int setup(void **state)
{
	struct machine *m = *state = calloc(1, sizeof(*m));
	struct tr_options tr = { 0 };
	const char *why = "";
	char err[300];

	sem_init(&m->done, 0, 0);
	m->model = cpu_model_find("pentium3");
	m->vm.reset_hook = put_program;
	vm_on(&m->vm, VM_PAUSED, count_up, &m->paused);
	vm_on_continue(&m->vm, count_up, &m->continued);
	vm_on(&m->vm, VM_RESET, count_up, &m->resets);
	bool ok = m->model && mem_init(&m->vm, RAM_BYTES, err, sizeof(err)) && bus_init(&m->vm) && clock_init(&m->vm) &&
		  event_init(&m->vm, err, sizeof(err)) && (m->vm.vcpu = vcpu_init(&m->vm, m->model, &tr, &why)) &&
		  !pthread_create(&m->thread, NULL, machine_main, m);
	return ok ? 0 : -1;
}

static int teardown(void **state)
{
	struct machine *m = *state;
	vm_request_stop(&m->vm, VM_QUIT);
	pthread_join(m->thread, NULL);
	event_fini(&m->vm);
	vcpu_fini(m->vm.vcpu);
	clock_fini(&m->vm);
	bus_fini(&m->vm);
	mem_fini(&m->vm);
	cpu_model_free(m->model);
	sem_destroy(&m->done);
	free(m);
	return 0;
}

static void sleep_ms(long ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000 };
	nanosleep(&ts, NULL);
}

static void say_done(void *arg)
{
	struct machine *m = arg;
	sem_post(&m->done);
}

/* Returns when the vCPU thread has run a posted call: what was asked of it before has been done. */
static void meet(struct machine *m)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 20;
	assert_true(event_post(&m->vm, say_done, m));
	assert_int_equal(sem_timedwait(&m->done, &ts), 0);
}

static u32 count(struct machine *m)
{
	return *(volatile u32 *)(m->vm.mem->ram + COUNT_AT);
}

static u64 guest_tsc(struct machine *m)
{
	return *(volatile u64 *)(m->vm.mem->ram + TSC_AT);
}

static void wait_count(struct machine *m, u32 more_than)
{
	for (int i = 0; i < 5000 && count(m) <= more_than; i++)
		sleep_ms(1);
	assert_true(count(m) > more_than);
}

static void pause_it(struct machine *m)
{
	vm_pause(&m->vm, VM_PAUSE_USER, "the test says so");
	meet(m);	/* may be done on the way into the pause */
	meet(m);
}

static void test_stands_still(void **state)
{
	struct machine *m = *state;
	wait_count(m, 1000);
	pause_it(m);
	u32 counted = count(m);
	u64 tsc = guest_tsc(m), now = clock_now(&m->vm);
	assert_true(vm_paused(&m->vm));
	assert_string_equal(m->vm.pause_why, "the test says so");
	vm_pause(&m->vm, VM_PAUSE_USER, "another reason");
	sleep_ms(100);
	meet(m);
	assert_string_equal(m->vm.pause_why, "the test says so");
	assert_int_equal(count(m), counted);
	assert_int_equal(clock_now(&m->vm), now);
	assert_int_equal(m->paused, 1);
	assert_int_equal(m->continued, 0);

	vm_continue(&m->vm);
	assert_false(vm_paused(&m->vm));
	wait_count(m, counted + 2);
	u64 tsc_after = guest_tsc(m), passed = clock_now(&m->vm) - now;
	assert_int_equal(m->continued, 1);
	assert_true(passed > 0);
	/* The TSC went on from where it stood: it never shows the 100 ms, give or take what the host took from us. */
	u64 allowed = (passed + 5000000) / 1000 * (clock_tsc_hz(&m->vm) / 1000) / 1000;
	assert_true(tsc_after > tsc && tsc_after - tsc < allowed);
}

static void test_many_times(void **state)
{
	struct machine *m = *state;
	for (int i = 0; i < 200; i++) {
		pause_it(m);
		u32 counted = count(m);
		vm_continue(&m->vm);
		wait_count(m, counted);
	}
	meet(m);
	assert_int_equal(m->paused, 200);
	assert_int_equal(m->continued, 200);
}

static void arm(void *arg)
{
	struct machine *m = arg;
	timer_arm(&m->timer, clock_now(&m->vm) + 1000);
}

static void test_timers_wait(void **state)
{
	struct machine *m = *state;
	pause_it(m);
	assert_true(event_post(&m->vm, arm, m));
	sleep_ms(30);
	meet(m);
	assert_int_equal(m->ticks, 0);
	vm_continue(&m->vm);
	for (int i = 0; i < 5000 && !__atomic_load_n(&m->ticks, __ATOMIC_SEQ_CST); i++)
		sleep_ms(1);
	assert_int_equal(m->ticks, 1);
}

static void reset_it(void *arg)
{
	vm_request_reset(arg);
}

static void test_reset_while_paused(void **state)
{
	struct machine *m = *state;
	wait_count(m, 1000);
	pause_it(m);
	assert_true(event_post(&m->vm, reset_it, &m->vm));
	meet(m);
	meet(m);
	assert_int_equal(m->resets, 1);
	assert_int_equal(count(m), 0);
	assert_true(vm_paused(&m->vm));
	vm_continue(&m->vm);
	wait_count(m, 0);
}

static void test_leaves_while_paused(void **state)
{
	struct machine *m = *state;
	pause_it(m);	/* teardown asks it to stop, and joins the thread */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stands_still, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_while_paused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaves_while_paused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
