/*
 * test_hpet.c - the high precision event timer, register by register: IA-PC HPET specification 1.0a, chapter 2.
 */
/* objs: devices/emulated/hpet.o devices/device.o tests/unit/fake_vm.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/hpet.h"
#include "tests/unit/fake_vm.h"

enum { CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0, T0 = 0x100, T2 = 0x140 };
static struct vm *vm;
static struct hpet h;
static bool busy;

static bool waiting(void *arg, int pin) { return busy; }
static void w(u32 reg, u32 value) { hpet_write(&h, reg, value, 4); }
static u32 r(u32 reg) { return hpet_read(&h, reg, 4); }

static int setup(void **state)
{
	vm = fake_vm_new();
	hpet_init(&h, vm, "hpet");
	h.irq[2] = h.irq[20] = h.irq[0] = fake_line(vm);
	h.waiting = waiting;
	busy = false;
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(vm);
	return 0;
}

static void test_registers(void **state)
{
	assert_int_equal(r(0), 0x8086a201);
	assert_int_equal(r(4), 10000000);
	assert_int_equal(r(T0), 0x30);
	assert_int_equal(r(T0 + 4), 0x00f00004);
	assert_int_equal(r(T0 + 8), 0xffffffff);
	w(CONFIG, 0xffffffff);
	assert_int_equal(r(CONFIG), 3);
	w(T0, 0xffffffff);
	assert_int_equal(r(T0) & ~0x30u, 0x3f4e);
	assert_int_equal(r(T2 + 0x20), 0);
	hpet_write(&h, CONFIG, 0, 1);
	assert_int_equal(r(CONFIG), 3);
}

static void test_counter(void **state)
{
	w(COUNTER, 0xfffffff0);
	w(COUNTER + 4, 1);
	fake_advance(vm, 1000);
	assert_int_equal(r(COUNTER), 0xfffffff0);
	w(CONFIG, 1);
	w(COUNTER, 0);					/* not while it runs */
	fake_advance(vm, 200);
	assert_int_equal(r(COUNTER), 4);
	assert_int_equal(r(COUNTER + 4), 2);
	w(CONFIG, 0);
	fake_advance(vm, 200);
	assert_int_equal(r(COUNTER), 4);
}

static void test_one_shot(void **state)
{
	w(CONFIG, 1);
	w(T0, 0x4 | 2 << 9);
	w(T0 + 8, 100);
	w(T0 + 12, 0);
	fake_advance(vm, 999);
	assert_int_equal(fake(vm)->rises, 0);
	fake_advance(vm, 1);
	assert_int_equal(fake(vm)->rises, 1);
	assert_int_equal(r(STATUS), 0);			/* edge */
	fake_advance(vm, 1000000000);
	assert_int_equal(fake(vm)->rises, 1);
	w(T0, 0x6 | 20 << 9);				/* level, held until the status is cleared */
	w(T0 + 8, r(COUNTER) + 100);
	fake_advance(vm, 1000);
	assert_int_equal(r(STATUS), 1);
	assert_true(fake(vm)->level);
	w(STATUS, 1);
	assert_false(fake(vm)->level);
}

static void test_periodic(void **state)
{
	w(CONFIG, 3);
	w(T0, 0x4c);					/* legacy interrupt 0 */
	w(T0 + 8, 200000);
	w(T0 + 12, 0);
	w(T0 + 8, 100000);
	assert_int_equal(r(T0 + 8), 200000);
	fake_advance(vm, 2000000);
	assert_int_equal(fake(vm)->rises, 1);
	assert_int_equal(r(T0 + 8), 300000);
	fake_advance(vm, 10000000);
	assert_int_equal(fake(vm)->rises, 11);
	busy = true;					/* the guest does not take them: they are owed */
	fake_advance(vm, 5000000);
	assert_int_equal(fake(vm)->rises, 11);
	busy = false;
	fake_advance(vm, 5000000);
	assert_in_range(fake(vm)->rises, 20, 21);
	assert_true(h.legacy.level);
	h.dev.cls->reset(&h);
	assert_false(h.legacy.level);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_registers), T(test_counter), T(test_one_shot), T(test_periodic) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
