/*
 * test_i8042.c - the keyboard controller as operating systems probe it.
 */
/* objs: devices/emulated/i8042.o devices/emulated/kbd.o devices/emulated/mouse.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/i8042.h"
#include "devices/emulated/kbd.h"
#include "devices/emulated/mouse.h"
#include "tests/unit/fake_vm.h"

static struct i8042 k;
static struct kbd kbd;
static struct mouse mouse;

static void ready(void *to, int n, bool level)
{
	i8042_port_changed(to);
}

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	i8042_init(&k, vm, "i8042");
	k.kbd_irq = fake_line(vm);
	k.cpu_reset = fake_reset;
	k.cpu_reset_arg = vm;
	kbd_init(&kbd, vm, "kbd");
	mouse_init(&mouse, vm, "mouse");
	kbd.port.ready = mouse.port.ready = (struct line){ .set = ready, .to = &k };
	k.port[0] = &kbd.port;
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

/* What a device sends comes one by one, each with its own edge. */
static void expect(struct vm *vm, struct line *irq, const u8 *bytes, int n)
{
	for (int i = 0; i < n; i++) {
		assert_false(irq->level);
		assert_int_equal(i8042_read_status(&k) & 0x01, 0);
		fake_advance(vm, 1000000);
		assert_true(irq->level);
		assert_int_equal(i8042_read_status(&k) & 0x21, irq == &k.aux_irq ? 0x21 : 0x01);
		assert_int_equal(i8042_read_data(&k), bytes[i]);
		assert_int_equal(i8042_read_data(&k), bytes[i]);	/* the buffer keeps it */
	}
	fake_advance(vm, 1000000);
	assert_false(irq->level);
}
#define EXPECT(irq, ...) expect(*state, irq, (const u8[]){ __VA_ARGS__ }, (int)sizeof((const u8[]){ __VA_ARGS__ }))

static void test_keyboard(void **state)
{
	i8042_write_data(&k, 0xff);
	EXPECT(&k.kbd_irq, 0xfa, 0xaa);
	i8042_write_data(&k, 0xf2);
	EXPECT(&k.kbd_irq, 0xfa, 0xab, 0x41);		/* translated, too */
	kbd_key(&kbd, 0x04, true);
	EXPECT(&k.kbd_irq, 0x1e);
	kbd_key(&kbd, 0x04, false);
	EXPECT(&k.kbd_irq, 0x9e);
	kbd_key(&kbd, 0x52, true);
	kbd_key(&kbd, 0x52, false);
	EXPECT(&k.kbd_irq, 0xe0, 0x48, 0xe0, 0xc8);
	i8042_write_command(&k, 0x60);
	i8042_write_data(&k, 0x05);			/* no translation */
	kbd_key(&kbd, 0x04, true);
	kbd_key(&kbd, 0x04, false);
	EXPECT(&k.kbd_irq, 0x1c, 0xf0, 0x1c);
}

/* Translated codes of set 2 are those of set 1, for every key. */
static void test_translation(void **state)
{
	static const struct { u8 usage; u32 set1; } keys[] = {
#define KEY(name, usage, set1, set2, set3, plain, shifted) { usage, set1 },
#include "devices/keys.def"
#undef KEY
	};
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++) {
		u8 code = (u8)keys[i].set1, got = 0;
		if (keys[i].usage == 0x46 || keys[i].usage == 0x48)
			continue;
		for (int down = 1; down >= 0; down--) {
			kbd_key(&kbd, keys[i].usage, down);
			for (int n = 0; n < 2 + !!(keys[i].set1 >> 8) * 2; n++) {
				fake_advance(*state, 1000000);
				got = i8042_read_data(&k);
			}
			assert_int_equal(got, down ? code : code | 0x80);
		}
	}
}

static void test_disabled_port(void **state)
{
	i8042_write_command(&k, 0xad);
	kbd_key(&kbd, 0x04, true);
	fake_advance(*state, 10000000);
	assert_int_equal(i8042_read_status(&k) & 0x01, 0);
	assert_int_equal(ask(0x20) & 0x10, 0x10);
	i8042_write_command(&k, 0xae);
	EXPECT(&k.kbd_irq, 0x1e);
	i8042_write_command(&k, 0xad);
	i8042_write_data(&k, 0xee);			/* opens the port */
	EXPECT(&k.kbd_irq, 0xee);
	assert_int_equal(ask(0x20) & 0x10, 0);
}

/* A controller's byte waits for the buffer and goes before the keyboard's next. */
static void test_order(void **state)
{
	kbd_key(&kbd, 0x04, true);
	kbd_key(&kbd, 0x05, true);
	fake_advance(*state, 1000000);
	i8042_write_command(&k, 0xc0);
	assert_int_equal(i8042_read_data(&k), 0x1e);
	assert_int_equal(i8042_read_status(&k) & 0x21, 0x01);
	assert_int_equal(i8042_read_data(&k), 0x80);
	EXPECT(&k.kbd_irq, 0x30);
}

static void test_mouse(void **state)
{
	k.port[1] = &mouse.port;
	i8042_write_command(&k, 0x60);
	i8042_write_data(&k, 0x47);
	i8042_write_command(&k, 0xd4);
	i8042_write_data(&k, 0xff);
	EXPECT(&k.aux_irq, 0xfa, 0xaa, 0x00);
	i8042_write_command(&k, 0xd4);
	i8042_write_data(&k, 0xf4);
	EXPECT(&k.aux_irq, 0xfa);
	mouse_move(&mouse, 3, 4, 0, 1);
	EXPECT(&k.aux_irq, 0x29, 0x03, 0xfc);
	i8042_write_command(&k, 0xa7);
	mouse_move(&mouse, 1, 0, 0, 0);
	fake_advance(*state, 100000000);
	assert_int_equal(i8042_read_status(&k) & 0x01, 0);
	i8042_write_command(&k, 0xa8);
	EXPECT(&k.aux_irq, 0x08, 0x01, 0x00);
}

static void test_odd_commands(void **state)
{
	assert_int_equal(ask(0xa4), 0xf1);
	i8042_write_command(&k, 0xa5);		/* the bytes of a password are none for the keyboard */
	i8042_write_data(&k, 0x1e);
	i8042_write_data(&k, 0xff);
	i8042_write_data(&k, 0);
	fake_advance(*state, 10000000);
	assert_int_equal(i8042_read_status(&k) & 0x01, 0);
	i8042_write_command(&k, 0x45);		/* RAM */
	i8042_write_data(&k, 0x77);
	assert_int_equal(ask(0x25), 0x77);
	assert_int_equal(ask(0xe0), 0);
	i8042_write_command(&k, 0xd2);
	i8042_write_data(&k, 0x1c);		/* as if the keyboard had sent it, untranslated */
	assert_true(k.kbd_irq.level);
	assert_int_equal(i8042_read_data(&k), 0x1c);
	kbd_key(&kbd, 0x04, true);
	k.dev.cls->reset(&k);
	kbd.dev.cls->reset(&kbd);
	fake_advance(*state, 10000000);
	assert_int_equal(i8042_read_status(&k), 0x14);
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
	const struct CMUnitTest tests[] = { T(test_controller), T(test_keyboard), T(test_translation), T(test_disabled_port), T(test_order),
					    T(test_mouse),
					    T(test_odd_commands), T(test_a20_and_reset) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
