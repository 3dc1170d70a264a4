/*
 * test_input.c - strokes, movements and text on their way to the sinks.
 */
/* objs: devices/input.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/input.h"
#include "monitor/event.h"
#include "tests/unit/fake_vm.h"
#include <string.h>

static struct input *in;
static struct { void (*fn)(void *arg); void *arg; int posts; } event;
static struct { u8 usage[4096]; bool down[4096]; int n; int dx, dy, dz, moves; u8 buttons; bool busy; } seen;

bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg)
{
	event.fn = fn;
	event.arg = arg;
	event.posts++;
	return true;
}

static void run_posted(void)
{
	for (; event.posts; event.posts--)
		event.fn(event.arg);
}

static void key(void *kbd, u8 usage, bool down)
{
	assert_true(seen.n < 4096);
	seen.usage[seen.n] = usage;
	seen.down[seen.n++] = down;
}

static bool idle(void *kbd)
{
	return !seen.busy;
}

static void mouse(void *dev, int dx, int dy, int dz, u8 buttons)
{
	seen.dx += dx;
	seen.dy += dy;
	seen.dz += dz;
	seen.buttons = buttons;
	seen.moves++;
}

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	memset(&seen, 0, sizeof(seen));
	event.posts = 0;
	in = input_init(vm);
	input_sink(in, &(struct input_sink){ .key = key, .idle = idle, .mouse = mouse });
	return 0;
}

static int teardown(void **state)
{
	input_fini(in);
	fake_vm_free(*state);
	return 0;
}

static void test_names(void **state)
{
	static const struct { const char *name; u8 usage; } some[] = {
		{ "a", 0x04 }, { "z", 0x1d }, { "1", 0x1e }, { "0", 0x27 }, { "ret", 0x28 }, { "enter", 0x28 }, { "f1", 0x3a }, { "f12", 0x45 },
		{ "ctrl", 0xe0 }, { "alt", 0xe2 }, { "delete", 0x4c }, { "up", 0x52 }, { "spc", 0x2c }, { "kp_9", 0x61 }, { "shift_r", 0xe5 },
		{ "", 0 }, { "f13", 0 }, { "A", 0 },
	};
	for (u32 i = 0; i < ARRAY_SIZE(some); i++)
		assert_int_equal(input_key_by_name(some[i].name), some[i].usage);
}

static void test_keys(void **state)
{
	input_key(in, 4, true);
	input_key(in, 4, true);		/* the host's repetition */
	input_key(in, 5, false);	/* is up */
	input_key(in, 6, true);
	assert_int_equal(event.posts, 1);
	assert_int_equal(seen.n, 0);
	run_posted();
	assert_int_equal(seen.n, 2);
	input_release_all(in);
	run_posted();
	assert_int_equal(seen.n, 4);
	assert_true(seen.usage[2] == 4 && !seen.down[2] && seen.usage[3] == 6 && !seen.down[3]);
}

static void test_mouse(void **state)
{
	input_mouse(in, 1, 2, 0, 0);
	input_mouse(in, 10, -20, 1, 0);
	input_mouse(in, 0, 0, 0, INPUT_LEFT);
	input_mouse(in, 1000000, 0, 0, INPUT_LEFT);
	run_posted();
	assert_int_equal(seen.moves, 2);
	assert_int_equal(seen.dx, 11 + 4096);
	assert_int_equal(seen.dy, -18);
	assert_int_equal(seen.dz, 1);
	assert_int_equal(seen.buttons, INPUT_LEFT);
	input_release_all(in);
	run_posted();
	assert_int_equal(seen.buttons, 0);
}

/* A guest that stands still: the queue is bounded, and no key stays down afterwards. */
static void test_overflow(void **state)
{
	for (int i = 0; i < 1000; i++)
		input_key(in, (u8)(4 + i % 26), i < 999);
	run_posted();
	int down = 0;
	for (int i = 0; i < seen.n; i++)
		down += seen.down[i] ? 1 : -1;
	assert_int_equal(down, 0);
}

static void test_type(void **state)
{
	static const struct { u8 usage; bool down; } want[] = {
		{ 4, true }, { 4, false }, { 0xe1, true }, { 5, true }, { 5, false }, { 0xe1, false }, { 0x28, true }, { 0x28, false },
	};
	struct vm *vm = *state;
	const char *bad = "ab\x80";
	assert_ptr_equal(input_type(in, bad), bad + 2);
	assert_int_equal(event.posts, 0);
	assert_null(input_type(in, "aB\n"));
	run_posted();
	seen.busy = true;
	fake_advance(vm, 1000000000);
	assert_int_equal(seen.n, 0);		/* not before the guest has read what there is */
	seen.busy = false;
	fake_advance(vm, 10000000);
	assert_true(seen.n >= 1 && seen.n < 3);	/* at a typist's pace */
	fake_advance(vm, 1000000000);
	assert_int_equal(seen.n, ARRAY_SIZE(want));
	for (u32 i = 0; i < ARRAY_SIZE(want); i++)
		assert_true(seen.usage[i] == want[i].usage && seen.down[i] == want[i].down);
	for (char c = 0x20; c < 0x7f; c++)
		assert_null(input_type(in, (char[]){ c, 0 }));
	static char much[INPUT_TEXT_MAX + 1];
	memset(much, 'x', INPUT_TEXT_MAX);
	assert_ptr_equal(input_type(in, much), much + INPUT_TEXT_MAX - 95);
}

static void test_press(void **state)
{
	static const struct { u8 usage; bool down; } want[] = {
		{ 4, true }, { 4, false }, { 0xe0, true }, { 0xe2, true }, { 0x4c, true }, { 0x4c, false }, { 0xe0, false }, { 0xe2, false },
		{ 0xe1, true }, { 0xe2, true }, { 5, true }, { 5, false }, { 0xe1, false }, { 0xe2, false },
	};
	assert_false(input_press(in, 0, 0));
	assert_false(input_press_char(in, '\x01', 0));
	assert_null(input_type(in, "a"));
	assert_true(input_press(in, input_key_by_name("delete"), INPUT_CTRL | INPUT_ALT));
	assert_true(input_press_char(in, 'B', INPUT_ALT));
	run_posted();
	fake_advance(*state, 1000000000);
	assert_int_equal(seen.n, ARRAY_SIZE(want));
	for (u32 i = 0; i < ARRAY_SIZE(want); i++)
		assert_true(seen.usage[i] == want[i].usage && seen.down[i] == want[i].down);
}

static void test_leds(void **state)
{
	input_leds(in, 5);
	assert_int_equal(input_leds_shown(in), 5);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_names), T(test_keys), T(test_mouse), T(test_overflow), T(test_type), T(test_press),
					    T(test_leds) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
