/*
 * test_lapic.c - local APIC, timer included, and I/O APIC, register by register: SDM vol. 3, chapter 11; 82093AA datasheet.
 */
/* objs: devices/emulated/lapic.o devices/emulated/lapic_timer.o devices/emulated/ioapic.o devices/device.o tests/unit/fake_vm.o
 * monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/ioapic.h"
#include "devices/emulated/lapic.h"
#include "tests/unit/fake_vm.h"

enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180,
	IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR2 = 0x310, TIMER = 0x320,
	LINT0 = 0x350, LINT1 = 0x360, ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390,
	DIVIDE = 0x3e0, MASKED = 0x10000 };

static struct vm *vm;
static struct lapic l;
static struct ioapic io;
static int nmis, inits, eois;

static void got_nmi(void *arg) { nmis++; }
static void got_init(void *arg) { inits++; }
static void got_eoi(void *arg, u8 vector)
{
	eois++;
	ioapic_eoi(&io, vector);
}

static bool to_lapic(void *arg, const struct ioapic_message *m)
{
	struct apic_message a = { .dest = m->dest, .vector = m->vector, .mode = (enum apic_mode)m->mode, .logical = m->logical,
		.level = m->level };
	return lapic_deliver(&l, &a);
}

static void w(u32 reg, u32 value) { lapic_write(&l, reg, value, 4); }
static u32 r(u32 reg) { return lapic_read(&l, reg, 4); }
static void io_w(u32 reg, u32 value)
{
	ioapic_write(&io, 0, reg, 4);
	ioapic_write(&io, 0x10, value, 4);
}
static u32 io_r(u32 reg)
{
	ioapic_write(&io, 0, reg, 4);
	return ioapic_read(&io, 0x10, 4);
}

static int setup(void **state)
{
	vm = fake_vm_new();
	lapic_init(&l, vm, "lapic", 1000000000, true, 0x50014);
	l.intr = fake_line(vm);
	l.nmi = got_nmi;
	l.init = got_init;
	l.eoi = got_eoi;
	ioapic_init(&io, vm, "ioapic");
	io.deliver = to_lapic;
	nmis = inits = eois = 0;
	w(SVR, 0x1ff);
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(vm);
	return 0;
}

/* 11.4.7.1 */
static void test_reset(void **state)
{
	l.dev.cls->reset(&l);
	assert_int_equal(r(ID), 0);
	assert_int_equal(r(VERSION), 0x50014);
	assert_int_equal(r(SVR), 0xff);
	assert_int_equal(r(DFR), 0xffffffff);
	for (u32 reg = TIMER; reg <= ERROR; reg += 0x10) {
		assert_int_equal(r(reg), MASKED);
		w(reg, 0x40);				/* disabled by software: stays masked */
		assert_int_equal(r(reg), MASKED | 0x40);
	}
	assert_int_equal(r(CURRENT), 0);
	w(ID, 0x12345678);
	assert_int_equal(r(ID), 0x12000000);
	w(VERSION, 0);
	assert_int_equal(r(VERSION), 0x50014);
	assert_int_equal(lapic_read(&l, VERSION + 2, 1), 5);
	lapic_write(&l, TPR, 0xff, 1);			/* not defined: nothing */
	assert_int_equal(r(TPR), 0);
}

static void self(u32 vector) { w(ICR, 0x40000 | vector); }

/* 11.8.3: classes of sixteen vectors */
static void test_priorities(void **state)
{
	self(0x31);
	assert_true(fake(vm)->level);
	assert_int_equal(r(IRR + 0x10), 1 << 0x11);
	self(0x45);
	assert_int_equal(lapic_ack(&l), 0x45);
	assert_int_equal(r(ISR + 0x20), 1 << 5);
	assert_int_equal(r(PPR), 0x40);
	assert_false(fake(vm)->level);
	self(0x4f);					/* of the same class: waits */
	assert_false(fake(vm)->level);
	self(0x50);
	assert_true(fake(vm)->level);
	assert_int_equal(lapic_ack(&l), 0x50);
	w(EOI, 0);
	assert_int_equal(r(PPR), 0x40);
	w(EOI, 0);
	assert_int_equal(lapic_ack(&l), 0x4f);
	w(EOI, 0);
	w(TPR, 0x3f);
	assert_int_equal(r(PPR), 0x3f);
	assert_false(fake(vm)->level);
	w(TPR, 0x2f);
	assert_int_equal(lapic_ack(&l), 0x31);
	w(EOI, 0);
	w(EOI, 0);					/* nothing in service */
	assert_int_equal(eois, 0);
}

/* 11.6.1 and 11.6.2 */
static void test_commands(void **state)
{
	w(ICR2, 0);
	w(ICR, 0x4400);
	assert_int_equal(nmis, 1);
	w(ICR2, 0xff000000);
	w(ICR, 0x4400);
	assert_int_equal(nmis, 2);
	w(ICR2, 0x01000000);				/* somebody else */
	w(ICR, 0x4400);
	w(ICR, 0xc4400);				/* all but self */
	w(ICR, 0x44400);				/* self: not with NMI */
	assert_int_equal(nmis, 2);
	w(ICR, 0x84400);				/* all */
	assert_int_equal(nmis, 3);
	w(ICR2, 0);
	w(ICR, 0x8500);					/* INIT level de-assert */
	w(ICR, 0x4600);					/* SIPI: the processor runs */
	assert_int_equal(inits, 0);
	w(ICR, 0xc500);
	assert_int_equal(inits, 1);
	assert_int_equal(r(ICR), 0xc500);
	assert_int_equal(r(ICR2), 0);
	w(LDR, 0x02000000);
	w(ICR2, 0x03000000);
	w(ICR, 0x4860);					/* logical, flat */
	assert_int_equal(lapic_ack(&l), 0x60);
	w(DFR, 0x0fffffff);				/* clusters */
	w(LDR, 0x12000000);
	w(ICR2, 0x13000000);
	w(ICR, 0x4871);
	assert_int_equal(lapic_ack(&l), 0x71);
	w(ICR2, 0x23000000);
	w(ICR, 0x4881);
	assert_false(lapic_pending(&l, 0x81));
}

/* 11.5.3: visible after a write */
static void test_errors(void **state)
{
	w(ERROR, 0xe0);
	self(3);
	assert_int_equal(r(ESR), 0);
	w(ESR, 0);
	assert_int_equal(r(ESR), 0x20);
	assert_int_equal(lapic_ack(&l), 0xe0);
	w(EOI, 0);
	r(0x40);
	w(ESR, 0);
	assert_int_equal(r(ESR), 0x80);
	w(ESR, 0);
	assert_int_equal(r(ESR), 0);
}

/* The 8259's interrupt, before anybody has enabled the APIC and in virtual wire mode. */
static void test_virtual_wire(void **state)
{
	lapic_set_lint(&l, 0, true);
	assert_false(fake(vm)->level);
	w(LINT0, 0x700);
	assert_true(fake(vm)->level);
	assert_int_equal(lapic_ack(&l), -1);
	self(0x40);
	assert_int_equal(lapic_ack(&l), 0x40);
	w(LINT0, MASKED | 0x700);
	assert_false(fake(vm)->level);
	lapic_enable(&l, false);
	assert_true(fake(vm)->level);
	assert_int_equal(lapic_ack(&l), -1);
	lapic_set_lint(&l, 0, false);
	assert_false(fake(vm)->level);
	lapic_enable(&l, true);
	assert_int_equal(r(SVR), 0xff);
	w(SVR, 0x1ff);
	w(LINT1, 0x400);
	lapic_set_lint(&l, 1, true);
	lapic_set_lint(&l, 1, true);
	assert_int_equal(nmis, 1);
	w(LINT0, 0x90);					/* a fixed vector */
	lapic_set_lint(&l, 0, true);
	assert_int_equal(lapic_ack(&l), 0x90);
}

/* 11.5.4 */
static void test_timer(void **state)
{
	static const u8 code[] = { 0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa };
	for (u32 n = 0; n < ARRAY_SIZE(code); n++) {
		w(DIVIDE, code[n]);
		assert_int_equal(r(DIVIDE), code[n]);
		w(INITIAL, 1000);
		fake_advance(vm, 100u << n);
		assert_int_equal(r(CURRENT), 900);
	}
	w(DIVIDE, 0xb);
	w(TIMER, 0x50);
	w(INITIAL, 1000);
	assert_int_equal(r(CURRENT), 1000);
	fake_advance(vm, 999);
	assert_int_equal(r(CURRENT), 1);
	assert_false(fake(vm)->level);
	fake_advance(vm, 1);
	assert_int_equal(r(CURRENT), 0);
	assert_int_equal(lapic_ack(&l), 0x50);
	w(EOI, 0);
	fake_advance(vm, 1000000);
	assert_false(fake(vm)->level);
	w(INITIAL, 1000);
	fake_advance(vm, 500);
	w(DIVIDE, 0);					/* the count goes on, at half the rate */
	assert_int_equal(r(CURRENT), 500);
	fake_advance(vm, 500);
	assert_int_equal(r(CURRENT), 250);
	w(INITIAL, 0);
	fake_advance(vm, 1000000);
	assert_false(fake(vm)->level);
}

static int take_all(void)
{
	int n = 0;
	while (fake(vm)->level) {
		lapic_ack(&l);
		w(EOI, 0);
		n++;
		fake_advance(vm, 250000);
	}
	return n;
}

static void test_periodic(void **state)
{
	w(DIVIDE, 0xb);
	w(TIMER, 0x20050);
	w(INITIAL, 1000000);
	fake_advance(vm, 1500000);
	assert_int_equal(r(CURRENT), 500000);
	assert_int_equal(lapic_ack(&l), 0x50);
	w(EOI, 0);
	fake_advance(vm, 500000);
	assert_int_equal(lapic_ack(&l), 0x50);
	w(EOI, 0);
	fake_jump(vm, 10000000);			/* ten ticks late: all are caught up */
	assert_in_range(take_all(), 10, 14);
	w(TIMER, 0x30050);				/* masked: lost */
	fake_advance(vm, 10000000);
	w(TIMER, 0x20050);
	assert_false(fake(vm)->level);
	w(INITIAL, 1);					/* too fast: thinned out */
	fake_advance(vm, 1000000);
	assert_int_equal(lapic_ack(&l), 0x50);
}

/* The mode changes under a count, as kvm-unit-tests' apic does it. */
static void test_mode_change(void **state)
{
	w(DIVIDE, 0xb);
	w(TIMER, 0x30050);
	w(INITIAL, 1000000);
	fake_advance(vm, 2700000);
	w(TIMER, 0x10050);				/* periodic, then once: the count goes on to 0 */
	assert_int_equal(r(CURRENT), 300000);
	fake_advance(vm, 300000);
	assert_int_equal(r(CURRENT), 0);
	w(TIMER, 0x30050);				/* nothing restarts it */
	fake_advance(vm, 100);
	assert_int_equal(r(CURRENT), 0);
	w(DIVIDE, 0);
	assert_int_equal(r(CURRENT), 0);
	w(INITIAL, 1000);
	assert_int_equal(r(CURRENT), 1000);
}

/* 11.5.4.1; the TSC here has 2 GHz */
static void test_deadline(void **state)
{
	lapic_set_deadline(&l, 1000);			/* not in this mode */
	assert_int_equal(lapic_deadline(&l), 0);
	w(TIMER, 0x40050);
	w(INITIAL, 1000);				/* ignored */
	assert_int_equal(r(INITIAL), 0);
	lapic_set_deadline(&l, 2000000);
	assert_int_equal(lapic_deadline(&l), 2000000);
	fake_advance(vm, 999000);
	assert_false(fake(vm)->level);
	fake_advance(vm, 1001);
	assert_int_equal(lapic_ack(&l), 0x50);
	assert_int_equal(lapic_deadline(&l), 0);
	w(EOI, 0);
	lapic_set_deadline(&l, 1);			/* past: at once */
	fake_advance(vm, 0);
	assert_int_equal(lapic_ack(&l), 0x50);
	lapic_set_deadline(&l, 100000000);
	lapic_set_deadline(&l, 0);			/* disarmed */
	fake_advance(vm, 1000000000);
	assert_false(fake(vm)->level);
	w(TIMER, 0x60050);				/* reserved: one-shot */
	assert_int_equal(r(TIMER), 0x50);
}

/* 82093AA, 3.2 */
static void test_io_registers(void **state)
{
	assert_int_equal(io_r(1), 0x170011);
	io_w(0, 0xffffffff);
	assert_int_equal(io_r(0), 0x0f000000);
	assert_int_equal(io_r(2), 0x0f000000);
	for (u32 n = 0; n < IOAPIC_PINS; n++) {
		assert_int_equal(io_r(0x10 + 2 * n), MASKED);
		io_w(0x10 + 2 * n, 0xfffff0ff);
		io_w(0x11 + 2 * n, 0x5a123456);
		assert_int_equal(io_r(0x10 + 2 * n), 0x1a0ff);
		assert_int_equal(io_r(0x11 + 2 * n), 0x5a000000);
	}
	assert_int_equal(io_r(0x40), 0);
	io_w(0x40, 1);
	assert_int_equal(ioapic_read(&io, 0, 4), 0x40);
	assert_int_equal(ioapic_read(&io, 4, 4), 0);
}

static void test_io_edge(void **state)
{
	io_w(0x10 + 8, 0x61);
	ioapic_set_irq(&io, 4, true);
	assert_int_equal(lapic_ack(&l), 0x61);
	w(EOI, 0);
	assert_int_equal(eois, 0);
	ioapic_set_irq(&io, 4, true);			/* no edge */
	assert_false(fake(vm)->level);
	ioapic_set_irq(&io, 4, false);
	io_w(0x10 + 8, MASKED | 0x61);
	ioapic_set_irq(&io, 4, true);			/* lost */
	io_w(0x10 + 8, 0x61);
	assert_false(fake(vm)->level);
	assert_int_equal(ioapic_vector(&io, 4), 0x61);
	assert_int_equal(ioapic_vector(&io, 5), -1);
	io_w(0x10 + 10, 0x400);				/* NMI */
	ioapic_set_irq(&io, 5, true);
	assert_int_equal(nmis, 1);
}

static void test_io_level(void **state)
{
	io_w(0x10 + 20, 0x8062);
	ioapic_set_irq(&io, 10, true);
	assert_int_equal(io_r(0x10 + 20), 0xc062);	/* remote IRR */
	assert_int_equal(lapic_ack(&l), 0x62);
	assert_int_equal(r(TMR + 0x30), 1 << 2);
	w(EOI, 0);					/* still high: again */
	assert_int_equal(eois, 1);
	assert_int_equal(lapic_ack(&l), 0x62);
	ioapic_set_irq(&io, 10, false);
	w(EOI, 0);
	assert_false(fake(vm)->level);
	assert_int_equal(io_r(0x10 + 20), 0x8062);
	io_w(0x10 + 20, 0x18062);			/* masked: held back, not lost */
	ioapic_set_irq(&io, 10, true);
	assert_false(fake(vm)->level);
	io_w(0x10 + 20, 0x8062);
	assert_int_equal(lapic_ack(&l), 0x62);
	io_w(0x10 + 21, 0x07000000);			/* nobody has this ID */
	io_w(0x10 + 22, 0x8063);
	io_w(0x10 + 23, 0x07000000);
	ioapic_set_irq(&io, 11, true);
	assert_int_equal(io_r(0x10 + 22), 0x8063);	/* so nobody accepts it */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_reset), T(test_priorities), T(test_commands), T(test_errors), T(test_virtual_wire), T(test_timer), T(test_periodic),
		T(test_mode_change), T(test_deadline), T(test_io_registers), T(test_io_edge), T(test_io_level),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
