/*
 * test_pic.c - the 8259A pair against its datasheet (Intel 231468-003).
 */
/* objs: devices/emulated/pic.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/pic.h"
#include "tests/unit/fake_vm.h"

static struct pic p;

static void init_pair(u8 icw4)
{
	for (int i = 0; i < 2; i++) {
		pic_write(&p, i, 0, 0x11);
		pic_write(&p, i, 1, i ? 0x28 : 0x20);
		pic_write(&p, i, 1, i ? 2 : 4);
		pic_write(&p, i, 1, icw4);
		pic_write(&p, i, 1, 0);
	}
}

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	*state = vm;
	pic_init(&p, vm, "pic");
	p.intr = fake_line(vm);
	init_pair(0x01);
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(*state);
	return 0;
}

static u8 read_reg(int chip, bool isr)
{
	pic_write(&p, chip, 0, isr ? 0x0b : 0x0a);
	return pic_read(&p, chip, 0);
}

static void eoi(int chip)
{
	pic_write(&p, chip, 0, 0x20);
}

static void pulse(int irq)
{
	pic_set_irq(&p, irq, false);
	pic_set_irq(&p, irq, true);
}

static void test_reset_masks_all(void **state)
{
	p.dev.cls->reset(&p);
	pulse(0);
	pulse(9);
	assert_false(p.intr.level);
	assert_int_equal(pic_irq_state(&p, 0), PIC_MASKED);
	assert_int_equal(pic_irq_state(&p, 1), PIC_IDLE);
}

static void test_edge_and_eoi(void **state)
{
	pulse(3);
	assert_true(p.intr.level);
	assert_int_equal(read_reg(0, false), 0x08);
	assert_int_equal(pic_irq_state(&p, 3), PIC_PENDING);
	assert_int_equal(pic_ack(&p), 0x23);
	assert_int_equal(read_reg(0, false), 0x00);
	assert_int_equal(read_reg(0, true), 0x08);
	assert_false(p.intr.level);
	eoi(0);
	assert_int_equal(read_reg(0, true), 0);
	assert_false(p.intr.level);	/* the pin is still high, but there was no edge */
	pulse(3);
	assert_true(p.intr.level);
}

static void test_priorities_nest(void **state)
{
	pulse(5);
	assert_int_equal(pic_ack(&p), 0x25);
	pulse(6);
	assert_false(p.intr.level);
	pulse(1);
	assert_true(p.intr.level);
	assert_int_equal(pic_ack(&p), 0x21);
	eoi(0);				/* non-specific: the highest, 1 */
	assert_int_equal(read_reg(0, true), 0x20);
	pic_write(&p, 0, 0, 0x65);	/* specific EOI of 5 */
	assert_int_equal(read_reg(0, true), 0);
	assert_int_equal(pic_ack(&p), 0x26);
}

static void test_cascade(void **state)
{
	pulse(12);
	assert_true(p.intr.level);
	assert_int_equal(pic_ack(&p), 0x2c);
	assert_int_equal(read_reg(0, true), 0x04);
	assert_int_equal(read_reg(1, true), 0x10);
	pulse(8);			/* higher on the slave, but the cascade input is in service */
	assert_false(p.intr.level);
	eoi(1);
	assert_false(p.intr.level);
	eoi(0);
	assert_true(p.intr.level);
	assert_int_equal(pic_ack(&p), 0x28);
}

static void test_special_fully_nested(void **state)
{
	init_pair(0x11);
	pulse(12);
	assert_int_equal(pic_ack(&p), 0x2c);
	pulse(3);
	assert_false(p.intr.level);
	pulse(8);
	assert_true(p.intr.level);
	assert_int_equal(pic_ack(&p), 0x28);
}

static void test_spurious(void **state)
{
	pulse(4);
	pic_set_irq(&p, 4, false);	/* gone before INTA */
	assert_int_equal(pic_ack(&p), 0x27);
	assert_int_equal(read_reg(0, true), 0);
	pulse(14);
	p.chip[1].irr = 0;		/* gone between the cascade and the second chip */
	assert_int_equal(pic_ack(&p), 0x2f);
	assert_int_equal(read_reg(0, true), 0x04);
	assert_int_equal(read_reg(1, true), 0);
}

static void test_mask(void **state)
{
	pic_write(&p, 0, 1, 0x10);
	assert_int_equal(pic_read(&p, 0, 1), 0x10);
	pulse(4);
	assert_false(p.intr.level);
	assert_int_equal(pic_irq_state(&p, 4), PIC_MASKED);
	pic_write(&p, 0, 1, 0);
	assert_true(p.intr.level);
	pulse(10);
	pic_write(&p, 0, 1, 0x04);
	assert_int_equal(pic_irq_state(&p, 10), PIC_MASKED);
}

static void test_special_mask(void **state)
{
	pulse(2 + 1);
	assert_int_equal(pic_ack(&p), 0x23);
	pulse(6);
	assert_false(p.intr.level);
	pic_write(&p, 0, 1, 0x08);	/* mask the one in service, */
	pic_write(&p, 0, 0, 0x68);	/* special mask mode: lower ones may come */
	assert_true(p.intr.level);
	assert_int_equal(pic_ack(&p), 0x26);
	pic_write(&p, 0, 0, 0x48);	/* off again */
	eoi(0);
	assert_int_equal(read_reg(0, true), 0x40);	/* 3 was the higher one */
}

static void test_rotation(void **state)
{
	pic_write(&p, 0, 0, 0xc3);	/* set priority: 3 is lowest, 4 highest */
	pulse(0);
	pulse(4);
	assert_int_equal(pic_ack(&p), 0x24);
	pic_write(&p, 0, 0, 0xa0);	/* rotate on non-specific EOI: 4 becomes lowest */
	pulse(5);
	assert_int_equal(pic_ack(&p), 0x25);
	pic_write(&p, 0, 0, 0xe5);	/* rotate on specific EOI */
	assert_int_equal(p.chip[0].lowest, 5);
	assert_int_equal(pic_ack(&p), 0x20);
}

static void test_auto_eoi(void **state)
{
	init_pair(0x03);
	pulse(1);
	assert_int_equal(pic_ack(&p), 0x21);
	assert_int_equal(read_reg(0, true), 0);
	pic_write(&p, 0, 0, 0x80);	/* rotate in automatic EOI mode */
	pulse(1);
	assert_int_equal(pic_ack(&p), 0x21);
	assert_int_equal(p.chip[0].lowest, 1);
	pic_write(&p, 0, 0, 0x00);
	pulse(3);
	assert_int_equal(pic_ack(&p), 0x23);
	assert_int_equal(p.chip[0].lowest, 1);
}

static void test_poll(void **state)
{
	pic_write(&p, 0, 0, 0x0c);
	assert_int_equal(pic_read(&p, 0, 0), 0);
	pulse(6);
	pic_write(&p, 0, 0, 0x0c);
	assert_int_equal(pic_read(&p, 0, 0), 0x86);
	assert_int_equal(read_reg(0, true), 0x40);
	assert_false(p.intr.level);
}

static void test_level_triggered(void **state)
{
	pic_write_elcr(&p, 0, 0xff);
	assert_int_equal(pic_read_elcr(&p, 0), 0xf8);
	pic_write_elcr(&p, 1, 0xff);
	assert_int_equal(pic_read_elcr(&p, 1), 0xde);
	pic_set_irq(&p, 5, true);
	assert_int_equal(pic_ack(&p), 0x25);
	eoi(0);
	assert_true(p.intr.level);	/* still asserted: again */
	pic_set_irq(&p, 5, false);
	assert_false(p.intr.level);
}

static void test_icw1_forgets_edges(void **state)
{
	pulse(3);
	init_pair(0x01);
	assert_false(p.intr.level);
	assert_int_equal(read_reg(0, false), 0);
	pulse(3);
	assert_int_equal(pic_ack(&p), 0x23);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_reset_masks_all), T(test_edge_and_eoi), T(test_priorities_nest), T(test_cascade), T(test_special_fully_nested),
		T(test_spurious), T(test_mask), T(test_special_mask), T(test_rotation), T(test_auto_eoi), T(test_poll),
		T(test_level_triggered), T(test_icw1_forgets_edges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
