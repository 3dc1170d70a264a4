/*
 * test_lpt.c - the parallel port: registers, strobe, acknowledge interrupt, a back end without room.
 */
/* objs: devices/emulated/lpt.o devices/device.o tests/unit/fake_vm.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/chardev.h"
#include "devices/emulated/lpt.h"
#include "tests/unit/fake_vm.h"

struct chardev { u8 got[16]; u32 count, room; void (*event)(void *arg); void *arg; };

static struct chardev printer;
static struct lpt l;

size_t chardev_write(struct chardev *c, const void *buf, size_t n)
{
	if (c->count == c->room)
		return 0;
	c->got[c->count++] = *(const u8 *)buf;
	return 1;
}

void chardev_attach(struct chardev *c, void (*event)(void *arg), void *arg)
{
	c->event = event;
	c->arg = arg;
}

static int setup(void **state)
{
	*state = fake_vm_new();
	printer = (struct chardev){ .room = sizeof(printer.got) };
	lpt_init(&l, *state, "lpt0", &printer);
	l.irq = fake_line(*state);
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

static void strobe(u8 byte, u8 control)
{
	lpt_write(&l, 0, byte);
	lpt_write(&l, 2, control | 0x0d);
	lpt_write(&l, 2, control | 0x0c);
}

static void test_registers(void **state)
{
	assert_int_equal(lpt_read(&l, 2), 0xec);
	lpt_write(&l, 0, 0xa5);
	assert_int_equal(lpt_read(&l, 0), 0xa5);
	assert_int_equal(lpt_read(&l, 1), 0xdf);
	lpt_write(&l, 1, 0);
	assert_int_equal(lpt_read(&l, 1), 0xdf);
	lpt_write(&l, 2, 0x1e);
	assert_int_equal(lpt_read(&l, 2), 0xfe);
	assert_int_equal(lpt_read(&l, 3), 0xff);
}

static void test_strobe(void **state)
{
	strobe('A', 0);
	assert_int_equal(printer.count, 1);
	assert_int_equal(lpt_read(&l, 1), 0x1f);		/* busy, ACK low */
	strobe('B', 0);						/* nobody takes it */
	assert_int_equal(printer.count, 1);
	fake_advance(*state, 10000);
	assert_int_equal(lpt_read(&l, 1), 0xdf);
	assert_int_equal(fake(*state)->rises, 0);
	strobe('C', 0x10);
	fake_advance(*state, 10000);
	assert_int_equal(fake(*state)->rises, 1);
	strobe('D', 0x10);
	fake_advance(*state, 10000);
	assert_int_equal(fake(*state)->rises, 2);
	assert_memory_equal(printer.got, "ACD", 3);
	lpt_write(&l, 2, 0x08);					/* INIT */
	strobe('E', 0);
	assert_int_equal(printer.count, 4);
}

static void test_no_room(void **state)
{
	printer.room = 0;
	strobe('A', 0x10);
	fake_advance(*state, 1000000);
	assert_int_equal(lpt_read(&l, 1), 0x5f);		/* busy, no acknowledge */
	printer.room = 1;
	printer.event(printer.arg);
	fake_advance(*state, 10000);
	assert_int_equal(printer.got[0], 'A');
	assert_int_equal(fake(*state)->rises, 1);
	assert_int_equal(lpt_read(&l, 1), 0xdf);
}

static void test_nothing_connected(void **state)
{
	lpt_init(&l, *state, "lpt0", NULL);
	assert_int_equal(lpt_read(&l, 1), 0x67);
	strobe('A', 0x10);
	assert_int_equal(lpt_read(&l, 1), 0x67);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strobe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_connected, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
