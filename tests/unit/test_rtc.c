/*
 * test_rtc.c - the MC146818 and the CMOS memory: date, setting, UIP, the three interrupts, memory sizes.
 */
/* objs: devices/emulated/rtc.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/rtc.h"
#include "tests/unit/fake_vm.h"

#define MS 1000000ull
#define SECOND (1000 * MS)

static struct rtc r;

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	rtc_init(&r, vm, "rtc");
	r.irq = fake_line(vm);
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

static u8 get(u8 reg)
{
	rtc_write(&r, 0, reg);
	return rtc_read(&r, 1);
}

static void set(u8 reg, u8 value)
{
	rtc_write(&r, 0, reg);
	rtc_write(&r, 1, value);
}

static void date_is(u8 century, u8 year, u8 month, u8 day, u8 weekday, u8 hour, u8 minute, u8 second)
{
	assert_int_equal(get(0x32), century);
	assert_int_equal(get(9), year);
	assert_int_equal(get(8), month);
	assert_int_equal(get(7), day);
	assert_int_equal(get(6), weekday);
	assert_int_equal(get(4), hour);
	assert_int_equal(get(2), minute);
	assert_int_equal(get(0), second);
}

static void test_date_runs(void **state)
{
	date_is(0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x50);
	fake_advance(*state, 10 * SECOND);
	date_is(0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00);
	set(0x0b, 0x06);	/* binary, 24 hours */
	fake_advance(*state, 13 * 3600 * SECOND);
	date_is(20, 24, 3, 1, 6, 13, 0, 0);
	set(0x0b, 0x00);	/* BCD, 12 hours */
	assert_int_equal(get(4), 0x81);
	assert_int_equal(get(0x0d), 0x80);
	assert_int_equal(rtc_read(&r, 0), 0xff);
}

static void test_set(void **state)
{
	set(0x0b, 0x82);
	set(0, 0x58); set(2, 0x59); set(4, 0x23); set(7, 0x31); set(8, 0x12); set(9, 0x99); set(0x32, 0x19);
	fake_advance(*state, 5 * SECOND);
	assert_int_equal(get(0), 0x58);		/* stands while SET */
	set(0x0b, 0x02);
	fake_advance(*state, 1400 * MS);	/* the first second is half a second long */
	date_is(0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59);
	fake_advance(*state, 200 * MS);
	date_is(0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00);
	set(9, 0x38);				/* one byte while running */
	assert_int_equal(get(9), 0x38);
	assert_int_equal(get(8), 0x01);
}

static void test_uip(void **state)
{
	struct vm *vm = *state;
	assert_int_equal(get(0x0a), 0x26);
	fake_advance(vm, 997 * MS);
	assert_int_equal(get(0x0a), 0x26);
	fake_advance(vm, 1 * MS);
	assert_int_equal(get(0x0a), 0xa6);
	fake_advance(vm, 2 * MS);
	assert_int_equal(get(0x0a), 0x26);
	set(0x0b, 0x82);
	fake_advance(vm, 998 * MS);
	assert_int_equal(get(0x0a), 0x26);	/* never while SET */
}

static void test_update_and_alarm(void **state)
{
	struct vm *vm = *state;
	get(0x0c);
	set(0x0b, 0x12);
	fake_advance(vm, 999 * MS);
	assert_false(r.irq.level);
	fake_advance(vm, 1 * MS);
	assert_true(r.irq.level);
	assert_int_equal(get(0x0c) & 0xbf, 0x90);
	assert_false(r.irq.level);
	assert_int_equal(get(0x0c), 0);
	set(0x0b, 0x22);
	set(1, 0x05); set(3, 0xff); set(5, 0xc0);	/* second 5 of every minute */
	fake_advance(vm, 13 * SECOND);
	assert_false(r.irq.level);
	fake_advance(vm, 1 * SECOND);
	assert_true(r.irq.level);
	assert_int_equal(get(0x0c) & 0xbf, 0xb0);
	fake_advance(vm, 60 * SECOND);
	assert_true(r.irq.level);
}

static void test_periodic(void **state)
{
	struct vm *vm = *state;
	get(0x0c);
	fake_advance(vm, 2 * MS);
	assert_int_equal(get(0x0c) & 0x40, 0x40);	/* polled, without an interrupt */
	set(0x0b, 0x42);
	int ticks = 0;
	for (int i = 0; i < 100000; i++) {
		fake_advance(vm, 10000);
		if (r.irq.level) {
			ticks++;
			assert_int_equal(get(0x0c) & 0xc0, 0xc0);
		}
	}
	assert_in_range(ticks, 1023, 1025);
	/* A guest that did not look for 50 ms gets what it missed. */
	fake_advance(vm, 50 * MS);
	ticks = 0;
	for (int i = 0; i < 95000; i++) {
		fake_advance(vm, 10000);
		if (r.irq.level) {
			ticks++;
			get(0x0c);
		}
	}
	assert_in_range(ticks, 1022, 1026);
	set(0x0a, 0x20);
	get(0x0c);
	fake_advance(vm, 100 * MS);
	assert_int_equal(get(0x0c) & 0x40, 0);
}

static void test_cmos(void **state)
{
	rtc_set_ram_size(&r, 512ull << 20);
	assert_int_equal(get(0x15) | get(0x16) << 8, 640);
	assert_int_equal(get(0x17) | get(0x18) << 8, 0xffff);
	assert_int_equal(get(0x30) | get(0x31) << 8, 0xffff);
	assert_int_equal(get(0x34) | get(0x35) << 8, 496 * 16);
	rtc_set_ram_size(&r, 8ull << 20);
	assert_int_equal(get(0x17) | get(0x18) << 8, 7 * 1024);
	assert_int_equal(get(0x34) | get(0x35) << 8, 0);
	set(0x0f, 0x0a);
	set(0x7f, 0x55);
	r.dev.cls->reset(&r);
	assert_int_equal(get(0x0f), 0x0a);
	assert_int_equal(get(0xff), 0x55);	/* bit 7 is the NMI mask */
}

/* --rtc: another date to begin with. */
static void test_set_date(void **state)
{
	rtc_set_date(&r, 946684799);		/* 1999-12-31 23:59:59 */
	rtc_write(&r, 0, 9);
	assert_int_equal(rtc_read(&r, 1), 0x99);
	fake_advance(*state, SECOND);
	assert_int_equal(rtc_read(&r, 1), 0x00);
	rtc_write(&r, 0, 0x32);
	assert_int_equal(rtc_read(&r, 1), 0x20);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_set_date, setup, teardown),
		T(test_date_runs), T(test_set), T(test_uip), T(test_update_and_alarm), T(test_periodic), T(test_cmos),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
