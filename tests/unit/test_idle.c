/*
 * test_idle.c - when does a guest that asks for a key make the vCPU sleep: only when nothing has changed, for no longer than is safe.
 */
/* objs: monitor/idle.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include "monitor/idle.h"
#include "monitor/mmu.h"
#include "monitor/vcpu.h"
#include "tests/unit/fake_vm.h"

static struct vcpu *cpu;
static struct vm *vm;
static int sleeps;
static bool unchanged, logging;
static u64 until, timer;

void mmu_log_writes(struct cpu_state *cs, bool on) { logging = on; }
bool mmu_log_unchanged(struct cpu_state *cs) { return unchanged; }
u64 clock_next_deadline(struct vm *v) { return timer; }
void vcpu_sleep(struct vcpu *v, u64 deadline) { sleeps++; until = deadline; }
u32 cpu_eflags(const struct cpu_state *cs) { return cs->cc | cs->eflags_sys; }

static int setup(void **state)
{
	vm = fake_vm_new();
	cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~63ul);
	*cpu = (struct vcpu){ .vm = vm, .idle = idle_init() };
	cpu->cs.gpr[R_EAX] = 0x100;
	sleeps = 0;
	unchanged = true;
	logging = false;
	timer = ~0ull;
	return 0;
}

static int teardown(void **state)
{
	idle_fini(cpu->idle);
	free(cpu);
	fake_vm_free(vm);
	return 0;
}

/* Polls n times; returns how often that slept. */
static int polls(int n)
{
	int before = sleeps;
	while (n--)
		idle_int(&cpu->cs, 0x16);
	return sleeps - before;
}

static void waiting(void **state)
{
	assert_int_equal(polls(17), 0);		/* patience */
	assert_true(logging);
	assert_int_equal(polls(10), 10);
	assert_int_equal(until, clock_now(vm) + 5000000);
	timer = clock_now(vm) + 1000;
	polls(1);
	assert_int_equal(until, timer);
	vm->activity++;				/* an interrupt, a port */
	assert_int_equal(polls(1), 0);
	assert_false(logging);
	assert_int_equal(polls(16), 0);
	assert_int_equal(polls(2), 2);
	cpu->cs.gpr[R_EAX] = 0x1100;		/* the extended keyboard's function */
	assert_int_equal(polls(20), 3);
}

static void working(void **state)
{
	for (int i = 0; i < 1000; i++) {
		cpu->cs.gpr[R_ECX]++;
		assert_int_equal(polls(1), 0);
	}
	for (int i = 0; i < 1000; i++) {
		cpu->cs.fpu[40]++;
		assert_int_equal(polls(1), 0);
	}
	unchanged = false;			/* it counts in memory */
	assert_int_equal(polls(1000), 0);
	for (int i = 0; i < 1000; i++) {
		cpu->cs.gpr[R_EAX] = 0;		/* waits for a key in the BIOS: that halts by itself */
		idle_int(&cpu->cs, 0x16);
		cpu->cs.gpr[R_EAX] = 0x100;
		idle_int(&cpu->cs, 0x21);
	}
	assert_int_equal(sleeps, 0);
	unchanged = true;
	assert_true(polls(100000) > 0);		/* looked at again after a while */
}

#define CHIP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = { CHIP(waiting), CHIP(working) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
