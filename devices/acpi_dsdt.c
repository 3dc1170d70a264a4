/*
 * acpi_dsdt.c - PCI bus 0 with its windows and interrupt routing, the chips at fixed ports, and how to switch off.
 *
 * Interrupt routing: the four PIRQs of the PIIX3 are link devices LNKA to LNKD, which set its registers 60h to 63h. The power management
 * function's interrupt is not routed: LNKS is always 9.
 */
#include "devices/acpi_dsdt.h"
#include "devices/board_acpi.h"
#include "devices/aml.h"

/* Opcodes without a package length, of those that the methods below need */
enum { ZERO = 0x00, ARG0 = 0x68, LOCAL0 = 0x60, STORE = 0x70, AND = 0x7b, OR = 0x7d, CREATE_DWORD_FIELD = 0x8a, LLESS = 0x95,
	RETURN = 0xa4, EXT = 0x5b, OP_REGION = 0x80, PCI_CONFIG = 2, BYTE_ACCESS = 1 };
enum { INTERRUPT_NUMBER = 5 };	/* its offset in a resource template that begins with an interrupt descriptor */
#define PIRQS 4
#define SCI_IRQ 9

/* --- interrupt links --- */

static const char *const link_name[PIRQS] = { "LNKA", "LNKB", "LNKC", "LNKD" };
static const char *const route_name[PIRQS] = { "\\_SB.PCI0.ISA.PRQ0", "\\_SB.PCI0.ISA.PRQ1", "\\_SB.PCI0.ISA.PRQ2", "\\_SB.PCI0.ISA.PRQ3" };

static void interrupt_template(struct aml *a, const u32 *irq, u8 count)
{
	struct aml_resources r = aml_resources(a);
	aml_interrupts(a, irq, count);
	aml_resources_end(a, r);
}

/* OperationRegion (P40C, PCI_Config, 0x60, 4) and its four bytes. */
static void routing_registers(struct aml *a)
{
	aml_byte(a, EXT);
	aml_byte(a, OP_REGION);
	aml_name(a, "P40C");
	aml_byte(a, PCI_CONFIG);
	aml_int(a, 0x60);
	aml_int(a, PIRQS);
	u32 at = aml_open(a, AML_FIELD);
	aml_name(a, "P40C");
	aml_byte(a, BYTE_ACCESS);
	for (int i = 0; i < PIRQS; i++) {
		const char field[] = { 'P', 'R', 'Q', (char)('0' + i), 0 };
		aml_name(a, field);
		aml_byte(a, 8);
	}
	aml_close(a, at);
}

/* CreateDWordField (..., 5, PRRI): the interrupt number inside a template. */
static void number_field(struct aml *a, const char *buffer)
{
	aml_byte(a, CREATE_DWORD_FIELD);
	if (buffer)
		aml_name(a, buffer);
	else
		aml_byte(a, ARG0);
	aml_int(a, INTERRUPT_NUMBER);
	aml_name(a, "PRRI");
}

/* Method (IQCR, 1): the template for a routing register's value. */
static void current_method(struct aml *a)
{
	const u32 none = 0;
	u32 at = aml_method(a, "IQCR", 1, true);
	aml_named(a, "PRR0");
	interrupt_template(a, &none, 1);
	number_field(a, "PRR0");
	u32 routed = aml_open(a, AML_IF);
	aml_byte(a, LLESS);
	aml_byte(a, ARG0);
	aml_int(a, 0x80);
	aml_byte(a, STORE);
	aml_byte(a, ARG0);
	aml_name(a, "PRRI");
	aml_close(a, routed);
	aml_byte(a, RETURN);
	aml_name(a, "PRR0");
	aml_close(a, at);
}

static void link_status(struct aml *a, const char *route)
{
	u32 at = aml_method(a, "_STA", 0, false);
	u32 off = aml_open(a, AML_IF);
	aml_byte(a, AND);
	aml_name(a, route);
	aml_int(a, 0x80);
	aml_byte(a, ZERO);
	aml_byte(a, RETURN);
	aml_int(a, 0x09);
	aml_close(a, off);
	aml_byte(a, RETURN);
	aml_int(a, 0x0b);
	aml_close(a, at);
}

static void link_device(struct aml *a, int n)
{
	static const u32 possible[] = { 5, 10, 11 };
	u32 dev = aml_device(a, link_name[n], "PNP0C0F"), at;
	aml_named_int(a, "_UID", (u32)n);
	aml_named(a, "_PRS");
	interrupt_template(a, possible, ARRAY_SIZE(possible));
	link_status(a, route_name[n]);
	at = aml_method(a, "_DIS", 0, false);
	aml_byte(a, OR);
	aml_name(a, route_name[n]);
	aml_int(a, 0x80);
	aml_name(a, route_name[n]);
	aml_close(a, at);
	at = aml_method(a, "_CRS", 0, false);
	aml_byte(a, RETURN);
	aml_name(a, "IQCR");
	aml_name(a, route_name[n]);
	aml_close(a, at);
	at = aml_method(a, "_SRS", 1, false);
	number_field(a, NULL);
	aml_byte(a, STORE);
	aml_name(a, "PRRI");
	aml_name(a, route_name[n]);
	aml_close(a, at);
	aml_close(a, dev);
}

static void sci_link(struct aml *a)
{
	static const u32 sci = SCI_IRQ;
	u32 dev = aml_device(a, "LNKS", "PNP0C0F");
	aml_named_int(a, "_UID", PIRQS);
	aml_named(a, "_PRS");
	interrupt_template(a, &sci, 1);
	aml_named(a, "_CRS");
	interrupt_template(a, &sci, 1);
	u32 at = aml_method(a, "_DIS", 0, false);
	aml_close(a, at);
	at = aml_method(a, "_SRS", 1, false);
	aml_close(a, at);
	aml_named_int(a, "_STA", 0x0b);
	aml_close(a, dev);
}

/* INTA# of slot n is input (n + 3) mod 4 of the router (pci.c). */
static void routing_table(struct aml *a)
{
	enum { SLOTS = 32, PM_SLOT = 1 };
	aml_named(a, "_PRT");
	u32 all = aml_open(a, AML_PACKAGE);
	aml_byte(a, (SLOTS - 1) * PIRQS);
	for (u32 slot = 1; slot < SLOTS; slot++)
		for (u32 pin = 0; pin < PIRQS; pin++) {
			u32 at = aml_open(a, AML_PACKAGE);
			aml_byte(a, 4);
			aml_int(a, slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_name(a, slot == PM_SLOT && pin == 0 ? "LNKS" : link_name[(slot + pin + 3) % PIRQS]);
			aml_int(a, 0);
			aml_close(a, at);
		}
	aml_close(a, all);
}

/* --- chips at fixed places --- */

struct isa_chip {
	const char *name, *id;
	struct { u16 first; u8 count; } io[3];
	int irq, dma;		/* 0: none */
};

static void isa_chip(struct aml *a, const struct isa_chip *c, u32 uid)
{
	u32 at = aml_device(a, c->name, c->id);
	aml_named_int(a, "_UID", uid);
	aml_named_int(a, "_STA", 0x0f);
	aml_named(a, "_CRS");
	struct aml_resources r = aml_resources(a);
	for (u32 i = 0; i < ARRAY_SIZE(c->io) && c->io[i].count; i++)
		aml_io(a, c->io[i].first, c->io[i].count);
	if (c->irq)
		aml_irq(a, c->irq);
	if (c->dma)
		aml_dma(a, c->dma);
	aml_resources_end(a, r);
	aml_close(a, at);
}

static void isa_chips(struct aml *a, const struct acpi_options *opt)
{
	static const struct isa_chip always[] = {
		{ "RTC", "PNP0B00", { { 0x70, 2 } }, 8, 0 },
		{ "KBD", "PNP0303", { { 0x60, 1 }, { 0x64, 1 } }, 1, 0 },
		{ "MOU", "PNP0F13", { { 0, 0 } }, 12, 0 },
		{ "SPKR", "PNP0800", { { 0x61, 1 } }, 0, 0 },
		{ "FPU", "PNP0C04", { { 0xf0, 16 } }, 13, 0 },
	};
	static const struct isa_chip com[] = {
		{ "COM1", "PNP0501", { { 0x3f8, 8 } }, 4, 0 }, { "COM2", "PNP0501", { { 0x2f8, 8 } }, 3, 0 },
		{ "COM3", "PNP0501", { { 0x3e8, 8 } }, 4, 0 }, { "COM4", "PNP0501", { { 0x2e8, 8 } }, 3, 0 },
	};
	static const struct isa_chip lpt = { "LPT1", "PNP0400", { { 0x378, 8 } }, 7, 0 };
	static const struct isa_chip fdc = { "FDC0", "PNP0700", { { 0x3f2, 4 }, { 0x3f7, 1 } }, 6, 2 };
	for (u32 i = 0; i < ARRAY_SIZE(always); i++)
		isa_chip(a, &always[i], 0);
	for (u32 i = 0; i < ARRAY_SIZE(com); i++)
		if (opt->uarts >> i & 1)
			isa_chip(a, &com[i], i + 1);
	if (opt->parallel)
		isa_chip(a, &lpt, 1);
	if (opt->floppy)
		isa_chip(a, &fdc, 0);
}

static void isa_bridge(struct aml *a, const struct acpi_options *opt)
{
	u32 at = aml_open(a, AML_DEVICE);
	aml_name(a, "ISA");
	aml_named_int(a, "_ADR", 0x00010000);
	routing_registers(a);
	isa_chips(a, opt);
	aml_close(a, at);
}

/* --- PCI bus 0 --- */

/* Where firmware puts what is above RAM (SeaBIOS for this chip set): behind the GiB in which RAM ends. */
static u32 hole_start(u64 ram_size)
{
	return ram_size <= 0x80000000u ? 0x80000000u : ram_size <= 0xc0000000u ? 0xc0000000u : 0xe0000000u;
}

static void pci_windows(struct aml *a, const struct acpi_options *opt)
{
	aml_named(a, "_CRS");
	struct aml_resources r = aml_resources(a);
	aml_bus_window(a, 0, 0xff);
	aml_io(a, 0xcf8, 8);
	aml_io_window(a, 0x0000, 0x0cf7);
	aml_io_window(a, 0x0d00, 0xffff);
	aml_memory_window(a, 0xa0000, 0xbffff, true);
	aml_memory_window(a, hole_start(opt->ram_size), 0xfebfffff, false);
	aml_resources_end(a, r);
}

static void hpet(struct aml *a)
{
	u32 at = aml_device(a, "HPET", "PNP0103");
	aml_named_int(a, "_UID", 0);
	aml_named(a, "_CRS");
	struct aml_resources r = aml_resources(a);
	aml_memory(a, ACPI_HPET_BASE, 0x400, false);
	aml_resources_end(a, r);
	aml_close(a, at);
}

static void system_bus(struct aml *a, const struct acpi_options *opt)
{
	u32 scope = aml_open(a, AML_SCOPE), pci;
	aml_name(a, "\\_SB");
	pci = aml_device(a, "PCI0", "PNP0A03");
	aml_named_int(a, "_UID", 0);
	pci_windows(a, opt);
	isa_bridge(a, opt);
	routing_table(a);
	aml_close(a, pci);
	if (opt->hpet)
		hpet(a);
	current_method(a);
	for (int n = 0; n < PIRQS; n++)
		link_device(a, n);
	sci_link(a);
	aml_close(a, scope);
}

static void processor(struct aml *a)
{
	u32 scope = aml_open(a, AML_SCOPE), at;
	aml_name(a, "\\_PR");
	at = aml_open(a, AML_PROCESSOR);
	aml_name(a, "CPU0");
	const u8 number_and_block[6] = { 0 };	/* no P_BLK */
	aml_bytes(a, number_and_block, sizeof(number_and_block));
	aml_close(a, at);
	aml_close(a, scope);
}

/* Name (\_S5, Package () { 0, 0, 0, 0 }): SLP_TYP 0 is soft off. */
static void soft_off(struct aml *a)
{
	aml_named(a, "\\_S5");
	u32 at = aml_open(a, AML_PACKAGE);
	aml_byte(a, 4);
	for (int i = 0; i < 4; i++)
		aml_int(a, 0);
	aml_close(a, at);
}

void acpi_dsdt(struct aml *a, const struct acpi_options *opt)
{
	processor(a);
	system_bus(a, opt);
	soft_off(a);
}
