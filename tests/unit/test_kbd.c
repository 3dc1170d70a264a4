/*
 * test_kbd.c - the keyboard by its manual: commands, three scan code sets, repetition.
 */
/* objs: devices/emulated/kbd.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/kbd.h"
#include "tests/unit/fake_vm.h"

static struct kbd k;
static int leds;

static void leds_changed(void *arg, u8 value)
{
	leds = value;
}

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	kbd_init(&k, vm, "kbd");
	k.leds_changed = leds_changed;
	leds = -1;
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

static void expect(const u8 *bytes, int n)
{
	for (int i = 0; i < n; i++) {
		assert_true(k.port.ready.level);
		assert_int_equal(k.port.read(&k), bytes[i]);
	}
	assert_false(k.port.ready.level);
	assert_true(kbd_idle(&k));
}
#define EXPECT(...) expect((const u8[]){ __VA_ARGS__ }, (int)sizeof((const u8[]){ __VA_ARGS__ }))
static void send(u8 value) { k.port.write(&k, value); }
static void send2(u8 value, u8 argument)
{
	send(value);
	EXPECT(0xfa);
	send(argument);
	EXPECT(0xfa);
}
static void press(u8 usage) { kbd_key(&k, usage, true); }
static void lift(u8 usage) { kbd_key(&k, usage, false); }

static void test_commands(void **state)
{
	send(0xff); EXPECT(0xfa, 0xaa);
	send(0xf2); EXPECT(0xfa, 0xab, 0x83);
	send(0xee); EXPECT(0xee);
	send(0xfe); EXPECT(0xee);
	send(0xe7); EXPECT(0xfe);
	send(0xfe); EXPECT(0xee);
	send2(0xed, 0x05);
	assert_int_equal(leds, 5);
	send(0xed); EXPECT(0xfa);
	send(0xee); EXPECT(0xee);		/* a command in place of the argument */
	assert_int_equal(leds, 5);
	send(0xf0); EXPECT(0xfa);
	send(0x00); EXPECT(0xfa, 0x02);
	send(0xf0); EXPECT(0xfa);
	send(0x04); EXPECT(0xfe);
	send(0xff);
	assert_int_equal(leds, 0);
}

static void test_scanning(void **state)
{
	send(0xf5); EXPECT(0xfa);
	press(0x04); lift(0x04);
	assert_true(kbd_idle(&k));
	send(0xf4); EXPECT(0xfa);
	press(0x05);
	send(0xee);
	EXPECT(0xee, 0x32);			/* answers go before codes */
	lift(0x05);
	send(0xf6);
	EXPECT(0xfa);				/* the code is thrown away */
}

static void test_set1(void **state)
{
	send2(0xf0, 1);
	press(0x04); lift(0x04); EXPECT(0x1e, 0x9e);
	press(0x52); lift(0x52); EXPECT(0xe0, 0x48, 0xe0, 0xc8);
	press(0x46); lift(0x46); EXPECT(0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
	press(0x48); lift(0x48); EXPECT(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
	press(0xe0); EXPECT(0x1d);
	press(0x48); lift(0x48); EXPECT(0xe0, 0x46, 0xe0, 0xc6);
	press(0x46); lift(0x46); EXPECT(0xe0, 0x37, 0xe0, 0xb7);
	lift(0xe0); EXPECT(0x9d);
	press(0xe2); press(0x46); lift(0x46); lift(0xe2); EXPECT(0x38, 0x54, 0xd4, 0xb8);
}

static void test_set2(void **state)
{
	press(0x04); press(0x04); lift(0x04); lift(0x04); EXPECT(0x1c, 0xf0, 0x1c);
	press(0x4c); lift(0x4c); EXPECT(0xe0, 0x71, 0xe0, 0xf0, 0x71);
	press(0x46); lift(0x46); EXPECT(0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12);
	press(0x48); lift(0x48); EXPECT(0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
	press(0xe2); press(0x46); lift(0x46); lift(0xe2); EXPECT(0x11, 0x84, 0xf0, 0x84, 0xf0, 0x11);
	press(0x01);				/* no such key */
	assert_true(kbd_idle(&k));
}

static void test_set3(void **state)
{
	send2(0xf0, 3);
	press(0x04); lift(0x04); EXPECT(0x1c);		/* typematic only */
	press(0xe1); lift(0xe1); EXPECT(0x12, 0xf0, 0x12);
	press(0x48); lift(0x48); EXPECT(0x62);
	send(0xf8); EXPECT(0xfa);
	press(0x04); lift(0x04); EXPECT(0x1c, 0xf0, 0x1c);
	send(0xfd); EXPECT(0xfa);			/* these keys: make only */
	send(0x1c); EXPECT(0xfa);
	send(0x32); EXPECT(0xfa);
	send(0xf4); EXPECT(0xfa);			/* ends the list */
	press(0x04); lift(0x04); EXPECT(0x1c);
	fake_advance(*state, 2000000000);
	assert_true(kbd_idle(&k));
	send(0xfa); EXPECT(0xfa);
	press(0x04); lift(0x04); EXPECT(0x1c, 0xf0, 0x1c);
}

static int count_repeats(struct vm *vm, u64 ns)
{
	int n = 0;
	for (u64 t = 0; t < ns; t += 1000000) {
		fake_advance(vm, 1000000);
		for (; !kbd_idle(&k); n++)
			assert_int_equal(k.port.read(&k), 0x1c);
	}
	return n;
}

static void test_typematic(void **state)
{
	press(0x04); EXPECT(0x1c);
	assert_int_equal(count_repeats(*state, 490000000), 0);
	assert_in_range(count_repeats(*state, 1000000000), 10, 12);
	press(0x05); EXPECT(0x32);
	lift(0x04); EXPECT(0xf0, 0x1c);		/* the other goes on */
	fake_advance(*state, 2000000000);
	EXPECT(0x32);				/* no backlog */
	lift(0x05); EXPECT(0xf0, 0x32);
	fake_advance(*state, 2000000000);
	assert_true(kbd_idle(&k));
	send2(0xf3, 0x00);			/* 250 ms, 30 a second */
	press(0x04); EXPECT(0x1c);
	assert_int_equal(count_repeats(*state, 240000000), 0);
	assert_in_range(count_repeats(*state, 1000000000), 28, 31);
	send2(0xf3, 0x7f);			/* 1 s, 2 a second */
	lift(0x04); EXPECT(0xf0, 0x1c);
	press(0x04); EXPECT(0x1c);
	assert_int_equal(count_repeats(*state, 990000000), 0);
	assert_in_range(count_repeats(*state, 2000000000), 3, 5);
}

static void test_overflow(void **state)
{
	int n = 0;
	u8 last = 0xee;
	for (u8 usage = 4; usage < 60; usage++) {
		press(usage);
		lift(usage);
	}
	for (; !kbd_idle(&k); n++)
		last = k.port.read(&k);
	assert_in_range(n, 16, PS2_QUEUE);
	assert_int_equal(last, 0);		/* overrun */
	press(0x04); EXPECT(0x1c);
}

/* A key has its prefix in both sets or in none. */
static void test_sets_agree(void **state)
{
	for (u32 usage = 4; usage < 256; usage++) {
		u8 codes[3][16] = { { 0 } };
		for (u8 set = 1; set <= 3; set++) {
			send2(0xf0, set);
			press((u8)usage);
			for (int i = 0; !kbd_idle(&k); i++)
				codes[set - 1][i] = k.port.read(&k);
			lift((u8)usage);
			while (!kbd_idle(&k))
				k.port.read(&k);
		}
		assert_int_equal(codes[0][0] != 0, codes[1][0] != 0);
		assert_int_equal(codes[0][0] == 0xe0, codes[1][0] == 0xe0);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_commands), T(test_scanning), T(test_set1), T(test_set2), T(test_set3), T(test_typematic), T(test_overflow),
		T(test_sets_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
