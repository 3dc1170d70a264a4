/*
 * board_power.c - the PIIX4's function 3 at PCI 01.3 with ports B2h and B3h, and the machine's description.
 *
 * A kernel that is started directly looks for the ACPI tables where a BIOS would have left a pointer to them, so they lie in ROM at F0000h.
 */
#include "devices/board_power.h"
#include "devices/board_smbios.h"
#include "monitor/bus.h"
#include "monitor/cpuid.h"
#include "monitor/mem.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define TABLES_AT 0xf0000u

static u32 apm_read(void *dev, u32 offset, int size) { return piix4_apm_read(dev, offset); }
static void apm_write(void *dev, u32 offset, u32 value, int size) { piix4_apm_write(dev, offset, (u8)value); }
static const struct bus_ops apm_ops = { apm_read, apm_write, 1 };

static void power_off(void *arg)
{
	vm_request_stop(arg, VM_POWEROFF);
}

bool board_power_init(struct board_power *p, struct vm *vm, struct pci *pci, struct line sci, bool no_firmware)
{
	piix4_pm_init(&p->pm, vm, "piix4_pm");
	p->pm.sci = sci;
	p->pm.power_off = power_off;
	p->pm.power_off_arg = vm;
	p->no_firmware = no_firmware;
	pci_add(pci, 1, 3, &p->pm.func);
	return bus_add_io(vm, "apm", 0xb2, 2, &apm_ops, &p->pm);
}

void board_power_tables(struct board_power *p, struct fw_cfg *f, const struct acpi_options *opt)
{
	struct vm *vm = p->pm.dev.vm;
	u8 rom[ACPI_ROM_BYTES];
	u32 r[4];
	cpu_model_cpuid(vm->vcpu->model, NULL, 1, 0, r);
	acpi_publish(f, opt);
	smbios_publish(f, vm->name, r[0], vm->mem->ram_size);
	if (p->no_firmware) {
		acpi_place(rom, TABLES_AT, opt);
		mem_map_rom(vm, TABLES_AT, rom, sizeof(rom));
	}
}

void board_power_reset(struct board_power *p)
{
	if (p->no_firmware)
		piix4_pm_as_firmware(&p->pm);
}
