/*
 * test_uart.c - the 16550A against its datasheet (PC16550D), with a back end that the test fills and blocks.
 */
/* objs: devices/emulated/uart.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/chardev.h"
#include "devices/emulated/uart.h"
#include "tests/unit/fake_vm.h"
#include <string.h>

struct chardev {
	u8 sent[256], input[64];
	size_t sent_count, room, input_count;
	void (*event)(void *arg);
	void *arg;
};

static struct chardev chr;
static struct uart u;

size_t chardev_write(struct chardev *c, const void *buf, size_t n)
{
	n = n < c->room ? n : c->room;
	memcpy(c->sent + c->sent_count, buf, n);
	c->sent_count += n;
	c->room -= n;
	return n;
}

size_t chardev_read(struct chardev *c, void *buf, size_t n)
{
	n = n < c->input_count ? n : c->input_count;
	memcpy(buf, c->input, n);
	memmove(c->input, c->input + n, c->input_count -= n);
	return n;
}

void chardev_attach(struct chardev *c, void (*event)(void *arg), void *arg)
{
	c->event = event;
	c->arg = arg;
}

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	chr = (struct chardev){ .room = 200 };
	uart_init(&u, vm, "uart0", &chr);
	u.irq = fake_line(vm);
	uart_write(&u, 4, 0x08);	/* OUT2 */
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

static void type(const char *s)
{
	memcpy(chr.input + chr.input_count, s, strlen(s));
	chr.input_count += strlen(s);
	chr.event(chr.arg);
}

static void test_registers(void **state)
{
	assert_int_equal(uart_read(&u, 1), 0);
	assert_int_equal(uart_read(&u, 2), 0x01);
	assert_int_equal(uart_read(&u, 5), 0x60);
	uart_write(&u, 1, 0xff);
	assert_int_equal(uart_read(&u, 1), 0x0f);
	uart_write(&u, 3, 0x83);
	uart_write(&u, 0, 0x34);
	uart_write(&u, 1, 0x12);
	assert_int_equal(uart_read(&u, 0) | uart_read(&u, 1) << 8, 0x1234);
	uart_write(&u, 3, 0x03);
	assert_int_equal(uart_read(&u, 3), 0x03);
	assert_int_equal(uart_read(&u, 1), 0x0f);
	uart_write(&u, 7, 0x5a);
	assert_int_equal(uart_read(&u, 7), 0x5a);
	uart_write(&u, 2, 0x01);
	assert_int_equal(uart_read(&u, 2) & 0xc0, 0xc0);
	assert_int_equal(uart_read(&u, 6) & 0xf0, 0xb0);
}

static void test_thre_interrupt(void **state)
{
	uart_write(&u, 1, 0x02);		/* enabling it while THR is empty raises it */
	assert_true(u.irq.level);
	assert_int_equal(uart_read(&u, 2), 0x02);
	assert_false(u.irq.level);		/* reading IIR clears it */
	assert_int_equal(uart_read(&u, 2), 0x01);
	uart_write(&u, 0, 'x');
	assert_true(u.irq.level);		/* sent, and empty again */
	assert_int_equal(chr.sent[0], 'x');
	uart_write(&u, 4, 0x00);
	assert_false(u.irq.level);		/* without OUT2 nothing leaves the card */
}

static void test_slow_reader_blocks_thr(void **state)
{
	uart_write(&u, 2, 0x01);
	uart_write(&u, 1, 0x02);
	uart_read(&u, 2);
	chr.room = 4;
	for (int i = 0; i < 10; i++)
		uart_write(&u, 0, (u8)('a' + i));
	assert_int_equal(chr.sent_count, 4);
	assert_int_equal(uart_read(&u, 5) & 0x60, 0);
	assert_false(u.irq.level);
	chr.room = 100;
	chr.event(chr.arg);
	assert_memory_equal(chr.sent, "abcdefghij", 10);
	assert_int_equal(uart_read(&u, 5) & 0x60, 0x60);
	assert_true(u.irq.level);
}

static void test_receive_without_fifo(void **state)
{
	uart_write(&u, 1, 0x01);
	type("ab");
	assert_true(u.irq.level);
	assert_int_equal(uart_read(&u, 2), 0x04);
	assert_int_equal(uart_read(&u, 5), 0x61);
	assert_int_equal(uart_read(&u, 0), 'a');
	assert_int_equal(uart_read(&u, 0), 'b');	/* nothing was overrun */
	assert_int_equal(uart_read(&u, 5), 0x60);
	assert_false(u.irq.level);
}

static void test_trigger_and_timeout(void **state)
{
	uart_write(&u, 3, 0x83);
	uart_write(&u, 0, 1);
	uart_write(&u, 1, 0);
	uart_write(&u, 3, 0x03);
	uart_write(&u, 2, 0x41);			/* trigger at 4 */
	uart_write(&u, 1, 0x01);
	type("abc");
	assert_false(u.irq.level);
	fake_advance(*state, 340000);
	assert_false(u.irq.level);
	fake_advance(*state, 10000);			/* four characters at 115200 */
	assert_true(u.irq.level);
	assert_int_equal(uart_read(&u, 2), 0xcc);
	assert_int_equal(uart_read(&u, 0), 'a');
	assert_false(u.irq.level);
	type("de");
	assert_int_equal(uart_read(&u, 2), 0xc4);
	uart_write(&u, 2, 0x43);			/* clear the FIFO */
	assert_int_equal(uart_read(&u, 2), 0xc1);
	assert_int_equal(uart_read(&u, 5), 0x60);
}

static void test_loopback(void **state)
{
	uart_read(&u, 6);
	uart_write(&u, 4, 0x1a);			/* loop, OUT2, RTS */
	assert_int_equal(uart_read(&u, 6), 0x90 | 0x02);	/* CTS and DCD; DSR went away */
	assert_int_equal(uart_read(&u, 6), 0x90);
	uart_write(&u, 4, 0x1e);
	assert_int_equal(uart_read(&u, 6), 0xd0);	/* RI's leading edge does not count, */
	uart_write(&u, 4, 0x1a);
	assert_int_equal(uart_read(&u, 6), 0x94);	/* its trailing edge does */
	uart_write(&u, 1, 0x05);
	uart_write(&u, 0, 'q');
	assert_int_equal(chr.sent_count, 0);
	uart_write(&u, 0, 'r');				/* overrun */
	assert_int_equal(uart_read(&u, 2), 0x06);
	assert_int_equal(uart_read(&u, 5) & 0x0f, 0x03);
	assert_int_equal(uart_read(&u, 2), 0x04);	/* reading LSR cleared the error */
	assert_int_equal(uart_read(&u, 0), 'r');
	uart_write(&u, 3, 0x43);			/* break */
	assert_int_equal(uart_read(&u, 5) & 0x11, 0x11);
	assert_int_equal(uart_read(&u, 0), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_registers), T(test_thre_interrupt), T(test_slow_reader_blocks_thr), T(test_receive_without_fifo),
		T(test_trigger_and_timeout), T(test_loopback),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
