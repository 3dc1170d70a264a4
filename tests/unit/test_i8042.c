/*
 * test_i8042.c - the keyboard controller as operating systems probe it.
 */
/* objs: devices/emulated/i8042.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/i8042.h"
#include "tests/unit/fake_vm.h"

static struct i8042 k;

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	i8042_init(&k, vm, "i8042");
	k.kbd_irq = fake_line(vm);
	k.cpu_reset = fake_reset;
	k.cpu_reset_arg = vm;
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

static u8 ask(u8 command)
{
	i8042_write_command(&k, command);
	assert_int_equal(i8042_read_status(&k) & 0x21, 0x01);
	return i8042_read_data(&k);
}

static void test_controller(void **state)
{
	assert_int_equal(ask(0xaa), 0x55);
	assert_int_equal(ask(0xab), 0x00);
	assert_int_equal(ask(0xa9), 0x00);
	assert_int_equal(i8042_read_status(&k) & 0x01, 0);
	i8042_write_command(&k, 0x60);
	assert_int_equal(i8042_read_status(&k) & 0x08, 0x08);
	i8042_write_data(&k, 0x61);
	assert_int_equal(ask(0x20), 0x61);
	i8042_write_command(&k, 0xa7);
	assert_int_equal(ask(0x20) & 0x20, 0x20);
	i8042_write_command(&k, 0xa8);
	assert_int_equal(ask(0x20) & 0x20, 0);
	i8042_write_command(&k, 0xd3);		/* auxiliary loopback */
	i8042_write_data(&k, 0x5a);
	assert_int_equal(i8042_read_status(&k) & 0x21, 0x21);
	assert_int_equal(i8042_read_data(&k), 0x5a);
	i8042_write_command(&k, 0xd4);		/* no mouse: an error at once */
	i8042_write_data(&k, 0xf2);
	assert_int_equal(i8042_read_status(&k) & 0x61, 0x61);
	assert_int_equal(i8042_read_data(&k), 0xfe);
}

static void test_keyboard(void **state)
{
	static const u8 dialog[][4] = {		/* byte sent, answers, 0 ends */
		{ 0xff, 0xfa, 0xaa }, { 0xf2, 0xfa, 0xab, 0x83 }, { 0xf5, 0xfa }, { 0xf4, 0xfa }, { 0xed, 0xfa }, { 0x02, 0xfa },
		{ 0xf0, 0xfa }, { 0x02, 0xfa }, { 0xee, 0xee }, { 0xe7, 0xfe },
	};
	for (u32 i = 0; i < ARRAY_SIZE(dialog); i++) {
		i8042_write_data(&k, dialog[i][0]);
		for (int n = 1; n < 4 && dialog[i][n]; n++) {
			assert_true(k.kbd_irq.level);
			assert_int_equal(i8042_read_data(&k), dialog[i][n]);
		}
		assert_false(k.kbd_irq.level);
	}
	assert_int_equal(k.kbd_leds, 2);
}

static void test_a20_and_reset(void **state)
{
	struct vm *vm = *state;
	assert_true(k.a20.level);
	i8042_write_command(&k, 0xd1);
	i8042_write_data(&k, 0xdd);
	assert_false(k.a20.level);
	assert_int_equal(ask(0xd0) & 0x02, 0);
	i8042_write_command(&k, 0xdf);
	assert_true(k.a20.level);
	i8042_write_command(&k, 0xff);		/* pulses nothing */
	assert_int_equal(fake(vm)->resets, 0);
	i8042_write_command(&k, 0xfe);
	assert_int_equal(fake(vm)->resets, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_controller), T(test_keyboard), T(test_a20_and_reset) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
