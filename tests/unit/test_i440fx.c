/*
 * test_i440fx.c - the host bridge's PAM and SMRAM registers (82441FX datasheet 3.2.18, 3.2.20), and the ISA bridge's interrupt router
 * (82371SB datasheet 2.2.7).
 */
/* objs: devices/device.o devices/pci.o devices/emulated/i440fx.o devices/emulated/piix3.o tests/unit/fake_vm.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/i440fx.h"
#include "devices/emulated/piix3.h"
#include "tests/unit/fake_vm.h"

static struct vm *vm;
static struct pci pci;
static struct i440fx bridge;
static struct piix3 isa;
static u32 irqs;

static void irq_set(void *to, int n, bool level)
{
	irqs = level ? irqs | 1u << n : irqs & ~(1u << n);
}

static int setup(void **state)
{
	vm = fake_vm_new();
	irqs = 0;
	pci_init(&pci, vm, "pci");
	i440fx_init(&bridge, vm, "i440fx");
	pci_add(&pci, 0, 0, &bridge.func);
	piix3_init(&isa, vm, "piix3");
	pci_add(&pci, 1, 0, &isa.func);
	for (int n = 0; n < 4; n++)
		pci.intx[n] = (struct line){ .set = piix3_set_pirq, .to = &isa, .n = n };
	for (int n = 0; n < 16; n++)
		isa.irq[n] = (struct line){ .set = irq_set, .n = n };
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(vm);
	return 0;
}

static u32 get(u32 slot, u32 reg, int size)
{
	pci_write(&pci, 0, 0x80000000 | slot << 11 | (reg & 0xfc), 4);
	return pci_read(&pci, 4 + (reg & 3), size);
}

static void set(u32 slot, u32 reg, u32 value, int size)
{
	pci_write(&pci, 0, 0x80000000 | slot << 11 | (reg & 0xfc), 4);
	pci_write(&pci, 4 + (reg & 3), value, size);
}

static u32 at(u32 gpa) { return fake(vm)->shadow[gpa >> 12]; }

static void pam(void **state)
{
	assert_int_equal(get(0, 0x00, 4), 0x12378086);
	assert_int_equal(get(0, 0x08, 4), 0x06000002);
	assert_int_equal(get(0, 0x2c, 4), 0x11001af4);
	for (u32 reg = 0x59; reg < 0x60; reg++)
		assert_int_equal(get(0, reg, 1), 0);
	set(0, 0x59, 0xff, 1);		/* PAM0: only F0000h; the other half byte is reserved */
	assert_int_equal(get(0, 0x59, 1), 0x30);
	assert_int_equal(at(0xf0000), 3);
	assert_int_equal(at(0xff000), 3);
	assert_int_equal(at(0xef000), 0);
	for (u32 n = 0; n < 12; n++) {
		u32 reg = 0x5a + n / 2, first = 0xc0000 + n * 0x4000;
		for (u32 ways = 1; ways <= 3; ways++) {
			set(0, reg, ways << n % 2 * 4, 1);
			assert_int_equal(at(first), ways);
			assert_int_equal(at(first + 0x3000), ways);
			assert_int_equal(at(first - 0x1000), 0);
			assert_int_equal(at(first + 0x4000), n == 11 ? 3 : 0);
		}
		set(0, reg, 0xcc, 1);	/* cache and reserved bits do nothing */
		assert_int_equal(at(first), 0);
	}
	set(0, 0x5c, 0x33333333, 4);	/* several at once */
	assert_int_equal(at(0xd0000), 3);
	assert_int_equal(at(0xec000), 3);
	bridge.dev.cls->reset(&bridge);
	assert_int_equal(at(0xd0000), 0);
	assert_int_equal(at(0xf0000), 0);
}

static void smram(void **state)
{
	assert_int_equal(get(0, 0x72, 1), 0x02);
	set(0, 0x72, 0x40, 1);			/* open, but off */
	assert_int_equal(at(0xa0000), 0);
	set(0, 0x72, 0x48, 1);
	assert_int_equal(get(0, 0x72, 1), 0x4a);
	assert_int_equal(at(0xa0000), 3);
	assert_int_equal(at(0xbf000), 3);
	assert_int_equal(at(0xc0000), 0);
	set(0, 0x72, 0x58, 1);			/* the lock closes it, for good */
	assert_int_equal(get(0, 0x72, 1), 0x1a);
	assert_int_equal(at(0xa0000), 0);
	set(0, 0x72, 0x48, 1);
	assert_int_equal(get(0, 0x72, 1), 0x1a);
	bridge.dev.cls->reset(&bridge);
	set(0, 0x72, 0x48, 1);
	assert_int_equal(at(0xa0000), 3);
}

static void isa_bridge(void **state)
{
	assert_int_equal(get(1, 0x00, 4), 0x70008086);
	assert_int_equal(get(1, 0x08, 4), 0x06010000);
	assert_int_equal(get(1, 0x04, 4), 0x02000007);
	assert_int_equal(get(1, 0x60, 4), 0x80808080);
	set(1, 0x60, 0xffffffff, 4);
	assert_int_equal(get(1, 0x60, 4), 0x8f8f8f8f);
	assert_int_equal(get(1, 0x4c, 4), 0x0003004d);
	set(1, 0x4c, 0, 4);
	assert_int_equal(get(1, 0x4c, 4), 0);
	set(1, 0x04, 0, 2);			/* always on */
	assert_int_equal(get(1, 0x04, 2), 0x0007);
	isa.dev.cls->reset(&isa);
	assert_int_equal(get(1, 0x4c, 4), 0x0003004d);
	assert_int_equal(get(1, 0x60, 4), 0x80808080);
}

static void routing(void **state)
{
	struct pci_func card = { 0 }, other = { 0 };
	pci_func_init(&card, 1, 2, 0, 0x020000);
	pci_func_init(&other, 1, 2, 0, 0x020000);
	card.config[PCI_INT_PIN] = other.config[PCI_INT_PIN] = 1;
	pci_add(&pci, 3, 0, &card);		/* INTA# of slot 3 is PIRQC, of slot 4 PIRQD */
	pci_add(&pci, 4, 0, &other);
	pci_func_intx(&card, true);
	assert_int_equal(irqs, 0);		/* routed nowhere */
	set(1, 0x62, 0x0b, 1);
	assert_int_equal(irqs, 1 << 11);
	set(1, 0x62, 0x0a, 1);			/* moves along */
	assert_int_equal(irqs, 1 << 10);
	set(1, 0x63, 0x0a, 1);			/* shared */
	pci_func_intx(&other, true);
	pci_func_intx(&card, false);
	assert_int_equal(irqs, 1 << 10);
	pci_func_intx(&other, false);
	assert_int_equal(irqs, 0);
	pci_func_intx(&other, true);
	set(1, 0x63, 0x8a, 1);
	assert_int_equal(irqs, 0);
	for (u32 irq = 0; irq < 16; irq++) {
		bool reserved = irq < 3 || irq == 8 || irq == 13;
		set(1, 0x63, irq, 1);
		assert_int_equal(irqs, reserved ? 0 : 1u << irq);
	}
	isa.dev.cls->reset(&isa);
	assert_int_equal(irqs, 0);
	set(1, 0x63, 5, 1);
	irqs = 0;
	isa.irq[5].level = false;
	isa.dev.cls->loaded(&isa);
	assert_int_equal(irqs, 1 << 5);
}

#define CHIP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = { CHIP(pam), CHIP(smram), CHIP(isa_bridge), CHIP(routing) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
