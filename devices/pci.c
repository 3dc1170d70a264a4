/*
 * pci.c - configuration mechanism #1 and type 0 configuration space. Source: PCI Local Bus Specification 2.1, 3.7.4.1 and 6;
 * reset control register: 82371FB (PIIX), 2.5.8.
 *
 * A function is a table of 256 bytes and two masks; all behaviour beyond that hangs on `written` and `bar_moved`. Only a doubleword
 * access reaches CONFADD; byte accesses in its place are ordinary ports, of which CF9h is the reset control register.
 */
#include "devices/pci.h"
#include "monitor/bus.h"
#include <string.h>

#define ENABLE 0x80000000u
#define NOWHERE (~0ull)
#define SUBSYSTEM 0x11001af4u	/* that of QEMU's machines, by which SeaBIOS knows that it runs in one and looks for fw_cfg */
#define RC_HARD 0x02
#define RC_RESET 0x04

static const struct field pci_fields[] = {
	FIELD(struct pci, address, FIELD_U32),
	FIELD(struct pci, reset_control, FIELD_U8),
	FIELD_ARRAY(struct pci, intx_slots, FIELD_U32),
	FIELD_END
};

static u32 get(const u8 *bytes, int size)
{
	u32 value = 0;
	memcpy(&value, bytes, (size_t)size);
	return value;
}

static void put(u8 *bytes, u32 value, int size)
{
	memcpy(bytes, &value, (size_t)size);
}

/* --- functions --- */

void pci_func_init(struct pci_func *f, u16 vendor, u16 device, u8 revision, u32 class_code)
{
	put(&f->config[PCI_VENDOR], vendor, 2);
	put(&f->config[PCI_DEVICE], device, 2);
	put(&f->config[PCI_REVISION], class_code << 8 | revision, 4);
	put(&f->config[PCI_SUBSYSTEM], SUBSYSTEM, 4);
	f->writable[PCI_INT_LINE] = 0xff;
	for (int i = 0; i < PCI_BARS; i++)
		f->bar_at[i] = NOWHERE;
	f->rom_at = NOWHERE;
}

void pci_func_bar(struct pci_func *f, int n, u32 size, u8 type)
{
	f->bar_size[n] = size;
	put(&f->config[PCI_BAR + 4 * n], type, 4);
	put(&f->writable[PCI_BAR + 4 * n], ~(size - 1), 4);
	f->writable[PCI_COMMAND] |= type & 1 ? PCI_COMMAND_IO : PCI_COMMAND_MEM;
}

void pci_func_bar_ops(struct pci_func *f, int n, const struct bus_ops *ops, void *dev)
{
	f->bar_ops[n] = ops;
	f->bar_dev[n] = dev;
}

void pci_func_rom(struct pci_func *f, const u8 *rom, u32 size)
{
	f->rom = rom;
	f->rom_size = size;
	put(&f->writable[PCI_ROM], ~(size - 1) | PCI_ROM_ENABLE, 4);
	f->writable[PCI_COMMAND] |= PCI_COMMAND_MEM;
}

/* --- where the registers answer --- */

static u32 rom_read(void *dev, u32 offset, int size)
{
	const struct pci_func *f = dev;
	return offset + (u32)size <= f->rom_size ? get(f->rom + offset, size) : ~0u;
}

static const struct bus_ops rom_ops = { rom_read, NULL, 4 };

/* A place that is taken already stays with whom has it; the function does not answer there. */
static void move_bar(struct pci_func *f, int n, u64 at)
{
	struct vm *vm = f->bus ? f->bus->dev.vm : NULL;
	f->bar_at[n] = at;
	if (f->bar_ops[n] && vm) {
		if (at == NOWHERE)
			bus_remove(vm, f->bar_dev[n]);
		else if (f->config[PCI_BAR + 4 * n] & 1)
			bus_add_io(vm, f->name, (u16)at, f->bar_size[n], f->bar_ops[n], f->bar_dev[n]);
		else
			bus_add_mmio(vm, f->name, at, f->bar_size[n], f->bar_ops[n], f->bar_dev[n]);
	}
	if (f->bar_moved)
		f->bar_moved(f, n, at);
}

static void move_rom(struct pci_func *f, u64 at)
{
	struct vm *vm = f->bus ? f->bus->dev.vm : NULL;
	f->rom_at = at;
	if (!vm)
		return;
	if (at == NOWHERE)
		bus_remove(vm, f);
	else
		bus_add_mmio(vm, f->name, at, f->rom_size, &rom_ops, f);
}

static u64 rom_address(const struct pci_func *f)
{
	u32 reg = get(&f->config[PCI_ROM], 4), at = reg & ~(f->rom_size - 1);
	bool on = f->rom && (reg & PCI_ROM_ENABLE) && (f->config[PCI_COMMAND] & PCI_COMMAND_MEM);
	return on && at && at != ~(f->rom_size - 1) ? at : NOWHERE;
}

static u64 bar_address(const struct pci_func *f, int n)
{
	u32 bar = get(&f->config[PCI_BAR + 4 * n], 4);
	u32 command = get(&f->config[PCI_COMMAND], 2);
	if (!f->bar_size[n] || !(command & (bar & 1 ? PCI_COMMAND_IO : PCI_COMMAND_MEM)))
		return NOWHERE;
	u32 at = bar & ~(f->bar_size[n] - 1);
	/* Address 0 is "not assigned"; all ones is the sizing pattern; I/O space ends at 64 KiB. */
	if (!at || at == ~(f->bar_size[n] - 1) || ((bar & 1) && (u64)at + f->bar_size[n] > 0x10000))
		return NOWHERE;
	return at;
}

/* The new places are announced after the old ones were left, so that two BARs may swap. */
static void update_bars(struct pci_func *f)
{
	for (int pass = 0; pass < 2; pass++) {
		for (int n = 0; n < PCI_BARS; n++) {
			u64 at = bar_address(f, n);
			if (at == f->bar_at[n])
				continue;
			if (pass || f->bar_at[n] != NOWHERE)
				move_bar(f, n, pass ? at : NOWHERE);
		}
		u64 rom = rom_address(f);
		if (rom != f->rom_at && (pass || f->rom_at != NOWHERE))
			move_rom(f, pass ? rom : NOWHERE);
	}
}

/* --- interrupts --- */

/* The wires of a mainboard: INTA# of slot n is input (n + 3) mod 4 of the router, as on other PCs with this chip set. */
static void update_intx(struct pci_func *f)
{
	struct pci *p = f->bus;
	if (f->intx)
		f->config[PCI_STATUS] |= PCI_STATUS_INTX;
	else
		f->config[PCI_STATUS] &= (u8)~PCI_STATUS_INTX;
	if (!p || !f->config[PCI_INT_PIN])
		return;
	int input = (f->slot + f->config[PCI_INT_PIN] - 2) & 3;
	bool level = false;
	for (int i = 0; i < 8; i++) {
		const struct pci_func *o = p->func[f->slot][i];
		if (o && o->config[PCI_INT_PIN] == f->config[PCI_INT_PIN])
			level |= o->intx && !(get(&o->config[PCI_COMMAND], 2) & PCI_COMMAND_NO_INTX);
	}
	p->intx_slots[input] = level ? p->intx_slots[input] | 1u << f->slot : p->intx_slots[input] & ~(1u << f->slot);
	line_set(&p->intx[input], p->intx_slots[input] != 0);
}

void pci_func_intx(struct pci_func *f, bool level)
{
	if (f->intx == level)
		return;
	f->intx = level;
	update_intx(f);
}

void pci_func_reset(struct pci_func *f)
{
	f->config[PCI_INT_LINE] = 0;
	for (int i = 0; i < 2; i++)
		f->config[PCI_COMMAND + i] &= (u8)~f->writable[PCI_COMMAND + i];
	for (int i = PCI_BAR; i < PCI_BAR + 4 * PCI_BARS; i++)
		f->config[i] &= (u8)~f->writable[i];
	for (int i = PCI_ROM; i < PCI_ROM + 4; i++)
		f->config[i] &= (u8)~f->writable[i];
	f->intx = false;
	update_bars(f);
	update_intx(f);
}

void pci_func_loaded(struct pci_func *f)
{
	update_bars(f);
	update_intx(f);
}

static void write_config(struct pci_func *f, u32 reg, u32 value, int size)
{
	for (int i = 0; i < size; i++) {
		u8 byte = (u8)(value >> 8 * i), *at = &f->config[reg + (u32)i];
		u8 writable = f->writable[reg + (u32)i], clears = f->clears[reg + (u32)i];
		*at = (u8)(((*at & ~writable) | (byte & writable)) & ~(byte & clears));
	}
	update_bars(f);
	if (reg < PCI_COMMAND + 2 && reg + (u32)size > PCI_COMMAND)
		update_intx(f);
	if (f->written)
		f->written(f, reg, size);
}

/* --- the ports --- */

void pci_add(struct pci *p, int slot, int function, struct pci_func *f)
{
	bug_on(p->func[slot][function], "two functions at PCI %02x.%d", slot, function);
	p->func[slot][function] = f;
	f->bus = p;
	f->slot = (u8)slot;
	f->function = (u8)function;
	if (!f->name)
		f->name = "pci";
	if (function)	/* a multi-function device says so in its function 0 */
		p->func[slot][0]->config[PCI_HEADER] |= 0x80;
}

static struct pci_func *addressed(const struct pci *p)
{
	if (!(p->address & ENABLE) || (p->address & 0x00ff0000))	/* there is only bus 0 */
		return NULL;
	return p->func[p->address >> 11 & 31][p->address >> 8 & 7];
}

static u32 mask_of(int size)
{
	return size == 4 ? ~0u : (1u << 8 * size) - 1;
}

u32 pci_read(struct pci *p, u32 offset, int size)
{
	if (offset >= 4) {
		struct pci_func *f = addressed(p);
		u32 reg = (p->address & 0xfc) + (offset & 3);
		return f && (offset & 3) + (u32)size <= 4 ? get(&f->config[reg], size) : mask_of(size);
	}
	if (offset == 0 && size == 4)
		return p->address;
	if (offset == 1 && size == 1)
		return p->reset_control;
	return mask_of(size);
}

/* A 0 to 1 change of bit 2 resets; bit 1 chooses between CPU and system, which are one here. */
static void write_reset_control(struct pci *p, u8 value)
{
	bool reset = value & ~p->reset_control & RC_RESET;
	p->reset_control = value & (RC_HARD | RC_RESET);
	if (reset && p->cpu_reset)
		p->cpu_reset(p->cpu_reset_arg);
}

void pci_write(struct pci *p, u32 offset, u32 value, int size)
{
	if (offset >= 4) {
		struct pci_func *f = addressed(p);
		if (f && (offset & 3) + (u32)size <= 4)
			write_config(f, (p->address & 0xfc) + (offset & 3), value, size);
	} else if (offset == 0 && size == 4) {
		p->address = value & 0x80fffffc;
	} else if (offset == 1 && size == 1) {
		write_reset_control(p, (u8)value);
	}
}

static void pci_reset(void *dev)
{
	struct pci *p = dev;
	p->address = 0;
	p->reset_control = 0;
}

static void pci_loaded(void *dev)
{
	struct pci *p = dev;
	for (int i = 0; i < 4; i++)
		line_set(&p->intx[i], p->intx_slots[i] != 0);
}

static const struct device_class pci_class = {
	.name = "pci", .what = "PCI configuration ports", .version = 1, .fields = pci_fields, .reset = pci_reset,
	.loaded = pci_loaded,
};

void pci_init(struct pci *p, struct vm *vm, const char *id)
{
	*p = (struct pci){ .dev = { .cls = &pci_class, .vm = vm, .id = id } };
}
