/*
 * test_mouse.c - the PS/2 mouse by its commands, and the two ways to ask for more of it.
 */
/* objs: devices/emulated/mouse.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/mouse.h"
#include "tests/unit/fake_vm.h"

static struct mouse m;

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	mouse_init(&m, vm, "mouse");
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
		assert_true(m.port.ready.level);
		assert_int_equal(m.port.read(&m), bytes[i]);
	}
	assert_false(m.port.ready.level);
}
#define EXPECT(...) expect((const u8[]){ __VA_ARGS__ }, (int)sizeof((const u8[]){ __VA_ARGS__ }))
static void send(u8 value) { m.port.write(&m, value); }
static void set(u8 command, u8 value)
{
	send(command);
	EXPECT(0xfa);
	send(value);
	EXPECT(0xfa);
}

static void test_commands(void **state)
{
	send(0xff); EXPECT(0xfa, 0xaa, 0x00);
	send(0xf2); EXPECT(0xfa, 0x00);
	send(0xe9); EXPECT(0xfa, 0x00, 0x02, 100);
	set(0xe8, 3);
	set(0xf3, 40);
	send(0xe7); EXPECT(0xfa);
	send(0xf4); EXPECT(0xfa);
	send(0xe9); EXPECT(0xfa, 0x30, 3, 40);
	send(0xf0); EXPECT(0xfa);
	send(0xe9); EXPECT(0xfa, 0x70, 3, 40);
	send(0xf6); EXPECT(0xfa);
	send(0xe9); EXPECT(0xfa, 0x00, 0x02, 100);
	send(0xe1); EXPECT(0xfe);
	send(0xe1); EXPECT(0xfc);			/* the second refusal in a row */
	send(0xe8); EXPECT(0xfa);
	send(4); EXPECT(0xfe);
	send(1); EXPECT(0xfa);
	send(0xfe); EXPECT(0xfa);
}

static void test_wrap(void **state)
{
	send(0xee); EXPECT(0xfa);
	send(0xf2); EXPECT(0xf2);
	send(0x12); EXPECT(0x12);
	send(0xec); EXPECT(0xfa);
	send(0xf2); EXPECT(0xfa, 0x00);
}

static void test_stream(void **state)
{
	struct vm *vm = *state;
	mouse_move(&m, 5, 5, 0, 0);			/* not enabled */
	assert_false(m.port.ready.level);
	send(0xf4); EXPECT(0xfa);
	mouse_move(&m, 10, 20, 0, 0); EXPECT(0x28, 10, 0xec);
	mouse_move(&m, -1, -1, 0, 2);
	assert_false(m.port.ready.level);		/* 100 a second */
	fake_advance(vm, 10000000); EXPECT(0x1a, 0xff, 1);
	fake_advance(vm, 10000000);
	assert_false(m.port.ready.level);
	mouse_move(&m, 300, 0, 0, 2); EXPECT(0x0a, 255, 0);
	fake_advance(vm, 10000000); EXPECT(0x0a, 45, 0);
	fake_advance(vm, 10000000);
	mouse_move(&m, 0, 0, 0, 0); EXPECT(0x08, 0, 0);
	mouse_move(&m, 0, 0, 0, 1);			/* a click within one sample */
	mouse_move(&m, 0, 0, 0, 0);
	fake_advance(vm, 10000000); EXPECT(0x09, 0, 0, 0x08, 0, 0);
	fake_advance(vm, 10000000);
	send(0xe7); EXPECT(0xfa);			/* scaling 2:1 */
	mouse_move(&m, 3, 0, 0, 0); EXPECT(0x08, 3, 0);
	fake_advance(vm, 10000000);
	mouse_move(&m, 10, -4, 0, 0); EXPECT(0x08, 20, 6);
	for (int i = 0; i < 100000; i++)		/* nobody reads */
		mouse_move(&m, 1000, 1000, 9, (u8)i & 7);
	assert_in_range(m.out.count, 1, PS2_QUEUE);
}

static void test_remote(void **state)
{
	send(0xf4); EXPECT(0xfa);
	send(0xf0); EXPECT(0xfa);
	mouse_move(&m, 7, 0, 0, 4);
	assert_false(m.port.ready.level);
	send(0xeb); EXPECT(0xfa, 0x0c, 7, 0);
	send(0xeb); EXPECT(0xfa, 0x0c, 0, 0);
	send(0xea); EXPECT(0xfa);
	mouse_move(&m, 1, 0, 0, 4); EXPECT(0x0c, 1, 0);
}

static void test_wheel(void **state)
{
	set(0xf3, 200); set(0xf3, 100); set(0xf3, 80);
	send(0xf2); EXPECT(0xfa, 3);
	send(0xf4); EXPECT(0xfa);
	mouse_move(&m, 0, 0, -1, 0); EXPECT(0x08, 0, 0, 0xff);
	set(0xf3, 200); set(0xf3, 200); set(0xf3, 80);
	send(0xf2); EXPECT(0xfa, 4);
	fake_advance(*state, 100000000);
	mouse_move(&m, 0, 0, 2, 0x09); EXPECT(0x09, 0, 0, 0x12);
	send(0xff); EXPECT(0xfa, 0xaa, 0x00);
	send(0xf2); EXPECT(0xfa, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_commands), T(test_wrap), T(test_stream), T(test_remote), T(test_wheel) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
