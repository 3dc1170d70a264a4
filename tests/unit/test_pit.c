/*
 * test_pit.c - the 8254 against its datasheet (Intel 82C54, 231244-006): modes, counts, latches, gate, and lost ticks.
 */
/* objs: devices/emulated/pit.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/pit.h"
#include "tests/unit/fake_vm.h"

static struct pit p;
static u64 tick;
static enum pit_tick_state tick_is;

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	tick = 0;
	tick_is = PIT_TICK_TAKEN;
	pit_init(&p, vm, "pit");
	p.irq = fake_line(vm);
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

/* To the middle of the n-th next clock tick. */
static void go(u64 n)
{
	tick += n;
	u64 ns = (u64)(((unsigned __int128)tick * 1000000000 + PIT_HZ / 2) / PIT_HZ) + 200;
	fake_advance(p.dev.vm, ns - clock_now(p.dev.vm));
}

static void program(int channel, u8 mode, u16 count)
{
	pit_write(&p, 3, (u8)(channel << 6 | 0x30 | mode << 1));
	pit_write(&p, (u32)channel, (u8)count);
	pit_write(&p, (u32)channel, (u8)(count >> 8));
}

static u16 count_of(int channel)
{
	pit_write(&p, 3, (u8)(channel << 6));
	u8 low = pit_read(&p, (u32)channel);
	return (u16)(low | pit_read(&p, (u32)channel) << 8);
}

static u8 status_of(int channel)
{
	pit_write(&p, 3, (u8)(0xe0 | 2 << channel));
	return pit_read(&p, (u32)channel);
}

static bool out2(void)
{
	return pit_read_port61(&p) & 0x20;
}

static int rises(void)
{
	return fake(p.dev.vm)->rises;
}

static void test_mode0(void **state)
{
	program(0, 0, 100);
	assert_false(p.irq.level);
	assert_int_equal(status_of(0), 0x70);		/* OUT low, null count, LSB/MSB, mode 0 */
	go(1);
	assert_int_equal(status_of(0), 0x30);
	assert_int_equal(count_of(0), 100);
	go(10);
	assert_int_equal(count_of(0), 90);
	go(89);
	assert_int_equal(rises(), 0);
	go(1);						/* N + 1 clocks after the write */
	assert_int_equal(rises(), 1);
	assert_true(p.irq.level);
	go(5);
	assert_int_equal(count_of(0), 0x10000 - 5);	/* counts on */
	go(200000);
	assert_int_equal(rises(), 1);
	pit_write(&p, 0, 50);				/* the first byte lowers OUT */
	assert_false(p.irq.level);
	pit_write(&p, 0, 0);
	go(51);
	assert_int_equal(rises(), 2);
}

static void test_mode4(void **state)
{
	pit_write(&p, 3, 0x38);
	assert_true(p.irq.level);
	int r = rises();
	pit_write(&p, 0, 0x10);
	pit_write(&p, 0, 0x00);
	go(17);
	assert_int_equal(rises(), r);
	go(1);
	assert_int_equal(rises(), r + 1);
	go(100000);
	assert_int_equal(rises(), r + 1);
	pit_write(&p, 0, 0xff);
	pit_write(&p, 0, 0x00);				/* a new count starts anew, as Linux's one-shot timer does */
	go(257);
	assert_int_equal(rises(), r + 2);
}

static void test_mode2_exact_rate(void **state)
{
	program(0, 2, 1193);
	int r = rises();
	go(1);
	assert_int_equal(count_of(0), 1193);
	go(3);
	assert_int_equal(count_of(0), 1190);
	go(1190);
	assert_int_equal(rises(), r + 1);
	go(1193ull * 999999);
	assert_int_equal(rises(), r + 1000000);		/* no drift in a million periods */
}

static void test_mode2_reload(void **state)
{
	program(0, 2, 1000);
	int r = rises();
	go(501);
	pit_write(&p, 0, 200);				/* takes over at the end of the period */
	pit_write(&p, 0, 0);
	assert_true(status_of(0) & 0x40);
	assert_int_equal(count_of(0), 500);
	go(499);
	assert_int_equal(rises(), r);
	go(1);
	assert_int_equal(rises(), r + 1);
	assert_false(status_of(0) & 0x40);
	go(199);
	assert_int_equal(rises(), r + 1);
	go(1);
	assert_int_equal(rises(), r + 2);
}

static void test_mode3(void **state)
{
	pit_write_port61(&p, 1);
	program(2, 3, 10);
	go(1);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(out2(), i % 10 < 5);
		assert_int_equal(count_of(2), 10 - 2 * (i % 5));
		go(1);
	}
	program(2, 3, 5);				/* odd: high three, low two */
	go(1);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(out2(), i % 5 < 3);
		go(1);
	}
	program(2, 3, 10);
	go(3);
	pit_write(&p, 2, 4);				/* takes over at the end of the half-cycle */
	pit_write(&p, 2, 0);
	static const bool expect[] = { 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1 };
	for (u32 i = 0; i < ARRAY_SIZE(expect); i++) {
		assert_int_equal(out2(), expect[i]);
		go(1);
	}
}

static void test_gate(void **state)
{
	program(2, 0, 50);				/* gate low: does not count */
	go(100);
	assert_int_equal(count_of(2), 50);
	pit_write_port61(&p, 1);
	go(20);
	assert_int_equal(count_of(2), 30);
	pit_write_port61(&p, 0);
	go(20);
	assert_int_equal(count_of(2), 30);
	assert_false(out2());
	pit_write_port61(&p, 1);
	go(30);
	assert_true(out2());
	/* Mode 2: the gate restarts the count, and a low gate forces OUT high. */
	program(2, 2, 20);
	go(11);
	pit_write_port61(&p, 0);
	assert_true(out2());
	go(100);
	assert_true(out2());
	pit_write_port61(&p, 1);
	go(1);
	assert_int_equal(count_of(2), 20);
	go(19);
	assert_false(out2());
	go(1);
	assert_true(out2());
}

static void test_one_shot(void **state)
{
	program(2, 1, 8);
	go(20);
	assert_true(out2());
	pit_write_port61(&p, 1);
	go(1);
	assert_false(out2());
	go(4);
	pit_write_port61(&p, 0);
	pit_write_port61(&p, 1);			/* retriggered */
	go(8);
	assert_false(out2());
	go(1);
	assert_true(out2());
	pit_write_port61(&p, 0);
	program(2, 5, 8);				/* the strobe: low for one clock */
	assert_true(out2());
	pit_write_port61(&p, 1);
	go(8);
	assert_true(out2());
	go(1);
	assert_false(out2());
	go(1);
	assert_true(out2());
}

static void test_latch_holds(void **state)
{
	program(0, 2, 60000);
	go(1);
	pit_write(&p, 3, 0x00);
	go(100);
	pit_write(&p, 3, 0x00);				/* ignored: the first is not read yet */
	assert_int_equal(pit_read(&p, 0), 60000 & 0xff);
	assert_int_equal(pit_read(&p, 0), 60000 >> 8);
	pit_write(&p, 3, 0xc2);				/* read-back: status first, then count */
	go(7);
	assert_int_equal(pit_read(&p, 0), 0xb4);
	assert_int_equal(pit_read(&p, 0), (60000 - 100) & 0xff);
	assert_int_equal(pit_read(&p, 0), (60000 - 100) >> 8);
	assert_int_equal(pit_read(&p, 0), (60000 - 107) & 0xff);	/* unlatched */
	assert_int_equal(pit_read(&p, 0), (60000 - 107) >> 8);
	assert_int_equal(pit_read(&p, 3), 0xff);
}

static void test_byte_access_and_bcd(void **state)
{
	pit_write(&p, 3, 0x14);				/* LSB only, mode 2 */
	pit_write(&p, 0, 0x80);
	go(1);
	assert_int_equal(pit_read(&p, 0), 0x80);
	go(1);
	assert_int_equal(pit_read(&p, 0), 0x7f);
	pit_write(&p, 3, 0x24);				/* MSB only */
	pit_write(&p, 0, 0x12);
	go(2);
	assert_int_equal(pit_read(&p, 0), 0x11);
	pit_write(&p, 3, 0x35);				/* BCD, mode 2 */
	pit_write(&p, 0, 0x00);
	pit_write(&p, 0, 0x10);
	go(2);
	assert_int_equal(count_of(0), 0x0999);
	pit_write(&p, 3, 0x31);				/* BCD, mode 0, count 10000 */
	pit_write(&p, 0, 0);
	pit_write(&p, 0, 0);
	go(2);
	assert_int_equal(count_of(0), 0x9999);
}

static enum pit_tick_state state_of_tick(void *arg)
{
	return tick_is;
}

static void test_lost_ticks_are_caught_up(void **state)
{
	struct vm *vm = *state;
	p.tick_state = state_of_tick;
	program(0, 2, 11932);				/* 100 Hz */
	int r = rises();
	fake_jump(vm, 505000000);			/* the vCPU was away for 50 ticks: one now, the others soon */
	assert_int_equal(rises(), r + 1);
	fake_advance(vm, 20000000);
	assert_true(rises() - r > 5 && rises() - r < 15);	/* four times as fast, not at once */
	fake_advance(vm, 480000000);
	assert_in_range(rises() - r, 99, 101);
	/* Untaken: nothing is raised; taken: all come. */
	r = rises();
	tick_is = PIT_TICK_WAITING;
	fake_advance(vm, 300000000);
	assert_int_equal(rises(), r);
	tick_is = PIT_TICK_TAKEN;
	pit_tick_taken(&p);
	fake_advance(vm, 300000000);
	assert_in_range(rises() - r, 59, 61);
	/* Masked ticks are nobody's. */
	r = rises();
	tick_is = PIT_TICK_MASKED;
	fake_advance(vm, 300000000);
	tick_is = PIT_TICK_TAKEN;
	fake_advance(vm, 100000000);
	assert_in_range(rises() - r, 9, 11);
}

static void test_refresh_toggles(void **state)
{
	u8 before = pit_read_port61(&p);
	go(18);
	assert_int_equal((pit_read_port61(&p) ^ before) & 0x10, 0x10);
	pit_write_port61(&p, 0xff);
	assert_int_equal(pit_read_port61(&p) & 0xcf, 0x0f);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_mode0), T(test_mode4), T(test_mode2_exact_rate), T(test_mode2_reload), T(test_mode3), T(test_gate), T(test_one_shot),
		T(test_latch_holds), T(test_byte_access_and_bcd), T(test_lost_ticks_are_caught_up), T(test_refresh_toggles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
