/*
 * test_piix4_pm.c - power management by the datasheet of the 82371AB, chapter 7, and ACPI 1.0b, 4.7.
 */
/* objs: devices/emulated/piix4_pm.o devices/pci.o devices/device.o tests/unit/fake_vm.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/emulated/piix4_pm.h"
#include "tests/unit/fake_vm.h"

#define HALF_NS 2343484438ull		/* 2^23 periods of 3.579545 MHz, rounded up */

static struct vm *vm;
static struct piix4_pm pm;
static struct pci pci;
static struct pci_func bridge;

static void off(void *arg)
{
	vm_request_stop(arg, VM_POWEROFF);
}

static int setup(void **state)
{
	vm = fake_vm_new();
	pci_init(&pci, vm, "pci");
	bridge = (struct pci_func){ .slot = 0 };
	pci_add(&pci, 1, 0, &bridge);
	piix4_pm_init(&pm, vm, "pm");
	pci_add(&pci, 1, 3, &pm.func);
	pm.sci = fake_line(vm);
	pm.power_off = off;
	pm.power_off_arg = vm;
	return 0;
}

static int teardown(void **state)
{
	fake_vm_free(vm);
	return 0;
}

static void test_identity(void **state)
{
	pci_write(&pci, 0, 0x80000b00, 4);
	assert_int_equal(pci_read(&pci, 4, 4), 0x71138086);
	pci_write(&pci, 0, 0x80000b08, 4);
	assert_int_equal(pci_read(&pci, 4, 4) >> 8, 0x068000);
	pci_write(&pci, 0, 0x80000b5b, 4);		/* DEVACTB: APMC_EN says that system management mode was set up */
	assert_int_equal(pci_read(&pci, 7, 1), 0x02);
}

/* PMBASE and SMBBASE answer once PMREGMISC and SMBHSTCFG say so. */
static void test_bases(void **state)
{
	pci_write(&pci, 0, 0x80000b40, 4);
	pci_write(&pci, 4, 0xffffffff, 4);
	assert_int_equal(pci_read(&pci, 4, 4), 0x0000ffc1);
	pci_write(&pci, 4, 0x601, 4);
	assert_int_equal(pm.pm_at, 0);
	pci_write(&pci, 0, 0x80000b80, 4);
	pci_write(&pci, 4, 1, 1);
	assert_int_equal(pm.pm_at, 0x600);
	pci_write(&pci, 0, 0x80000b90, 4);
	pci_write(&pci, 4, 0x701, 4);
	pci_write(&pci, 0, 0x80000bd0, 4);
	pci_write(&pci, 6, 9, 1);
	assert_int_equal(pm.smb_at, 0x700);
	pci_write(&pci, 6, 0, 1);
	assert_int_equal(pm.smb_at, 0);
	pm.dev.cls->reset(&pm);
	assert_int_equal(pm.pm_at, 0);
	piix4_pm_as_firmware(&pm);
	assert_int_equal(pm.pm_at, PIIX4_PM_BASE);
	assert_int_equal(pm.smb_at, PIIX4_SMB_BASE);
}

static void test_timer(void **state)
{
	assert_int_equal(piix4_pm_read(&pm, 8, 4), 0);
	fake_advance(vm, 1000000000);
	assert_int_equal(piix4_pm_read(&pm, 8, 4), 3579545);
	assert_int_equal(piix4_pm_read(&pm, 9, 1) & 0xff, 3579545 >> 8 & 0xff);
	assert_int_equal(piix4_pm_read(&pm, 0, 2), 0);
	fake_advance(vm, 1400000000);
	assert_int_equal(piix4_pm_read(&pm, 8, 4), 3579545 * 24 / 10);
	assert_int_equal(piix4_pm_read(&pm, 0, 2), 1);
	piix4_pm_write(&pm, 0, 1, 2);			/* a written 1 clears */
	assert_int_equal(piix4_pm_read(&pm, 0, 2), 0);
	fake_advance(vm, 3 * HALF_NS);
	assert_int_equal(piix4_pm_read(&pm, 8, 4), ((2400000000ull + 3 * HALF_NS) * 3579545 / 1000000000) & 0xffffff);
}

/* An interrupt when bit 23 changes: while it is enabled, in ACPI mode only. */
static void test_timer_interrupt(void **state)
{
	piix4_pm_write(&pm, 2, 1, 2);
	fake_advance(vm, HALF_NS);
	assert_false(fake(vm)->level);
	assert_int_equal(piix4_pm_read(&pm, 0, 2), 1);
	piix4_apm_write(&pm, 0, PIIX4_ACPI_ENABLE);
	assert_int_equal(piix4_pm_read(&pm, 4, 2), 1);
	assert_true(fake(vm)->level);
	piix4_pm_write(&pm, 0, 1, 2);
	assert_false(fake(vm)->level);
	fake_advance(vm, HALF_NS - 1000);
	assert_false(fake(vm)->level);
	fake_advance(vm, 1000);
	assert_true(fake(vm)->level);
	piix4_apm_write(&pm, 0, PIIX4_ACPI_DISABLE);
	assert_false(fake(vm)->level);
	assert_int_equal(piix4_apm_read(&pm, 0), PIIX4_ACPI_DISABLE);
	piix4_apm_write(&pm, 1, 0x55);
	assert_int_equal(piix4_apm_read(&pm, 1), 0x55);
}

static void test_button(void **state)
{
	piix4_apm_write(&pm, 0, PIIX4_ACPI_ENABLE);
	piix4_pm_button(&pm);
	assert_int_equal(piix4_pm_read(&pm, 0, 2), 0x100);
	assert_false(fake(vm)->level);
	piix4_pm_write(&pm, 2, 0x0100, 2);
	assert_true(fake(vm)->level);
	piix4_pm_write(&pm, 1, 0x01, 1);
	assert_false(fake(vm)->level);
}

static void test_off(void **state)
{
	piix4_pm_write(&pm, 4, 0x2401, 2);		/* SLP_TYP 1: no such state */
	assert_int_equal(vm->stop, VM_RUNNING);
	piix4_pm_write(&pm, 4, 0x0001, 2);		/* without SLP_EN */
	assert_int_equal(vm->stop, VM_RUNNING);
	piix4_pm_write(&pm, 4, 0x2001, 2);
	assert_int_equal(vm->stop, VM_POWEROFF);
	assert_int_equal(piix4_pm_read(&pm, 4, 2), 1);	/* SLP_EN reads as 0 */
}

static void test_general_purpose(void **state)
{
	piix4_apm_write(&pm, 0, PIIX4_ACPI_ENABLE);
	piix4_pm_write(&pm, 0xe, 0x1234, 2);
	assert_int_equal(piix4_pm_read(&pm, 0xc, 4), 0x12340000);
	pm.gpe_status = 0x0004;
	piix4_pm_write(&pm, 0xe, 0x0004, 2);
	assert_true(fake(vm)->level);
	piix4_pm_write(&pm, 0xc, 0x0004, 2);
	assert_false(fake(vm)->level);
	piix4_pm_write(&pm, 0x34, 0xa5, 1);		/* GPOREG is stored */
	assert_int_equal(piix4_pm_read(&pm, 0x34, 1), 0xa5);
}

/* Nobody answers on the bus. */
static void test_smbus(void **state)
{
	piix4_smb_write(&pm, 4, 0xa1);
	assert_int_equal(piix4_smb_read(&pm, 4), 0xa1);
	piix4_smb_write(&pm, 2, 0x48);
	assert_int_equal(piix4_smb_read(&pm, 2), 0x08);
	assert_int_equal(piix4_smb_read(&pm, 0), 0x04);
	piix4_smb_write(&pm, 0, 0x1e);
	assert_int_equal(piix4_smb_read(&pm, 0), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_identity), T(test_bases), T(test_timer), T(test_timer_interrupt), T(test_button), T(test_off), T(test_general_purpose),
		T(test_smbus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
