/*
 * board_acpi.c - makes the ACPI tables, and publishes or places them.
 *
 * The tables are one piece of bytes in which each pointer is an offset, and two lists: where the pointers are, and which ranges have a
 * checksum. Firmware gets them as commands (QEMU's "table loader", which SeaBIOS knows: allocate a file, add its address to a pointer,
 * sum up a range); without firmware the same is done here. What is in the DSDT is in acpi_dsdt.c.
 */
#include "devices/board_acpi.h"
#include "devices/acpi_dsdt.h"
#include "devices/aml.h"
#include "devices/emulated/fw_cfg.h"
#include "devices/emulated/piix4_pm.h"
#include <stdlib.h>
#include <string.h>

enum { POINTERS_MAX = 16, SUMS_MAX = 16, HEADER = 36, RSDP_BYTES = 20, RSDP_SUM = 8, RSDP_RSDT = 16, TABLE_SUM = 9 };
#define TABLES_MAX (ACPI_ROM_BYTES - 64)
#define RSDP_FILE   "etc/acpi/rsdp"
#define TABLES_FILE "etc/acpi/tables"
#define LAPIC_BASE  0xfee00000u
#define IOAPIC_BASE 0xfec00000u
#define SCI_IRQ 9

struct tables {
	u8 bytes[TABLES_MAX];
	u32 len;
	u32 pointer[POINTERS_MAX], pointers;	/* offsets of doublewords that hold offsets */
	struct { u32 first, len; } sum[SUMS_MAX];	/* the checksum is TABLE_SUM bytes behind first */
	u32 sums, rsdt;
};

static u8 *at(struct tables *t, u32 offset) { return t->bytes + offset; }
static void put32(u8 *p, u32 v) { memcpy(p, &v, 4); }
static void put16(u8 *p, u16 v) { memcpy(p, &v, 2); }

static u32 reserve(struct tables *t, u32 len, u32 align)
{
	u32 first = (t->len + align - 1) & -align;
	bug_on(first + len > TABLES_MAX, "no room for the ACPI tables");
	t->len = first + len;
	return first;
}

/* A table of `len` bytes with its header filled in (5.2.3); its contents come later, its checksum last. */
static u32 table(struct tables *t, const char *signature, u8 revision, u32 len)
{
	u32 first = reserve(t, len, 16);
	u8 *h = at(t, first);
	memcpy(h, signature, 4);
	put32(h + 4, len);
	h[8] = revision;
	memcpy(h + 10, "RNGFNC", 6);
	memcpy(h + 16, "RNGF", 4);
	memcpy(h + 20, signature, 4);
	put32(h + 24, 1);
	memcpy(h + 28, "RNGF", 4);
	put32(h + 32, 1);
	t->sum[t->sums].first = first;
	t->sum[t->sums++].len = len;
	return first;
}

static void pointer(struct tables *t, u32 offset, u32 to)
{
	put32(at(t, offset), to);
	t->pointer[t->pointers++] = offset;
}

/* --- the tables --- */

static u32 make_dsdt(struct tables *t, const struct acpi_options *opt)
{
	struct aml *a = calloc(1, sizeof(*a));
	bug_on(!a, "out of memory for the DSDT");
	acpi_dsdt(a, opt);
	u32 first = table(t, "DSDT", 1, HEADER + a->len);
	memcpy(at(t, first + HEADER), a->bytes, a->len);
	free(a);
	return first;
}

/* ACPI 1.0b, 5.2.6; it has no checksum. */
static u32 make_facs(struct tables *t)
{
	u32 first = reserve(t, 64, 64);
	memcpy(at(t, first), "FACS", 4);
	put32(at(t, first + 4), 64);
	return first;
}

static void generic_address(u8 *p, u8 space, u8 bits, u32 address)
{
	p[0] = space;
	p[1] = bits;
	put32(p + 4, address);
}

/* ACPI 2.0, 5.2.8 (revision 3 without its 64-bit pointers, which may be 0). */
static u32 make_fadt(struct tables *t, u32 facs, u32 dsdt)
{
	enum { WBINVD = 1, PROC_C1 = 4, SLP_BUTTON = 0x20, RTC_NOT_FIXED = 0x40, RESET_REG_SUP = 0x400 };
	enum { IO = 1, LEGACY_DEVICES = 1, KBD_8042 = 2, DWORD_BITS = 32 };
	u32 first = table(t, "FACP", 3, 244);
	u8 *f = at(t, first);
	pointer(t, first + 36, facs);
	pointer(t, first + 40, dsdt);
	put16(f + 46, SCI_IRQ);
	put32(f + 48, 0xb2);				/* SMI_CMD */
	f[52] = PIIX4_ACPI_ENABLE;
	f[53] = PIIX4_ACPI_DISABLE;
	put32(f + 56, PIIX4_PM_BASE + PIIX4_PM1_EVENT);
	put32(f + 64, PIIX4_PM_BASE + PIIX4_PM1_CONTROL);
	put32(f + 76, PIIX4_PM_BASE + PIIX4_PM_TIMER);
	put32(f + 80, PIIX4_PM_BASE + PIIX4_GPE0);
	f[88] = 4;					/* lengths of the four */
	f[89] = 2;
	f[91] = 4;
	f[92] = 4;
	put16(f + 96, 0xfff);				/* no C2, no C3 */
	put16(f + 98, 0xfff);
	f[108] = 0x32;					/* the RTC's century */
	put16(f + 109, LEGACY_DEVICES | KBD_8042);
	put32(f + 112, WBINVD | PROC_C1 | SLP_BUTTON | RTC_NOT_FIXED | RESET_REG_SUP);
	generic_address(f + 116, IO, 8, 0xcf9);
	f[128] = 0x06;					/* hard reset */
	generic_address(f + 148, IO, DWORD_BITS, PIIX4_PM_BASE + PIIX4_PM1_EVENT);
	generic_address(f + 172, IO, 16, PIIX4_PM_BASE + PIIX4_PM1_CONTROL);
	generic_address(f + 208, IO, DWORD_BITS, PIIX4_PM_BASE + PIIX4_PM_TIMER);
	generic_address(f + 220, IO, DWORD_BITS, PIIX4_PM_BASE + PIIX4_GPE0);
	return first;
}

static void interrupt_override(u8 *p, u8 irq, u8 gsi, u16 flags)
{
	const u8 entry[10] = { 2, 10, 0, irq, gsi, 0, 0, 0, (u8)flags, (u8)(flags >> 8) };
	memcpy(p, entry, sizeof(entry));
}

/* ACPI 1.0b, 5.2.8: the PIT arrives at input 2; PCI interrupts and the SCI are level-triggered and active high, as the ISA inputs are. */
static u32 make_madt(struct tables *t)
{
	enum { LEVEL_HIGH = 0x0d, OVERRIDES = 5, BYTES = HEADER + 8 + 8 + 12 + 10 * OVERRIDES + 6 };
	static const u8 level[] = { 5, 9, 10, 11 };
	u32 first = table(t, "APIC", 1, BYTES);
	u8 *m = at(t, first), *p = m + HEADER + 8;
	put32(m + HEADER, LAPIC_BASE);
	put32(m + HEADER + 4, 1);			/* PCAT_COMPAT: there are 8259s too */
	const u8 lapic[8] = { 0, 8, 0, 0, 1 };		/* processor 0, APIC 0, enabled */
	memcpy(p, lapic, sizeof(lapic));
	p += sizeof(lapic);
	p[0] = 1;					/* I/O APIC 1, inputs from 0 on; processor 0 has number 0 */
	p[1] = 12;
	p[2] = 1;
	put32(p + 4, IOAPIC_BASE);
	p += 12;
	interrupt_override(p, 0, 2, 0);
	for (u32 i = 0; i < ARRAY_SIZE(level); i++)
		interrupt_override(p + 10 * (i + 1), level[i], level[i], LEVEL_HIGH);
	p += 10 * OVERRIDES;
	const u8 nmi[6] = { 4, 6, 0xff, 0, 0, 1 };	/* all processors: NMI at LINT1 */
	memcpy(p, nmi, sizeof(nmi));
	return first;
}

static u32 make_hpet(struct tables *t)
{
	u32 first = table(t, "HPET", 1, 56);
	u8 *h = at(t, first);
	put32(h + 36, 0x8086a201);
	generic_address(h + 40, 0, 64, ACPI_HPET_BASE);
	return first;
}

static void make_tables(struct tables *t, const struct acpi_options *opt)
{
	u32 list[8], n = 0;
	u32 facs = make_facs(t), dsdt = make_dsdt(t, opt);
	list[n++] = make_fadt(t, facs, dsdt);
	if (opt->apic)
		list[n++] = make_madt(t);
	if (opt->hpet)
		list[n++] = make_hpet(t);
	t->rsdt = table(t, "RSDT", 1, HEADER + 4 * n);
	for (u32 i = 0; i < n; i++)
		pointer(t, t->rsdt + HEADER + 4 * i, list[i]);
}

static void make_rsdp(u8 rsdp[RSDP_BYTES], u32 rsdt)
{
	memset(rsdp, 0, RSDP_BYTES);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "RNGFNC", 6);
	put32(rsdp + RSDP_RSDT, rsdt);
}

static void sum_up(u8 *bytes, u32 len, u8 *sum)
{
	u8 total = 0;
	*sum = 0;
	for (u32 i = 0; i < len; i++)
		total += bytes[i];
	*sum = (u8)-total;
}

/* --- without firmware --- */

void acpi_place(u8 rom[ACPI_ROM_BYTES], u32 base, const struct acpi_options *opt)
{
	struct tables *t = calloc(1, sizeof(*t));
	u32 tables_at = base + ACPI_ROM_BYTES - TABLES_MAX, value;
	bug_on(!t, "out of memory for the ACPI tables");
	make_tables(t, opt);
	for (u32 i = 0; i < t->pointers; i++) {
		memcpy(&value, at(t, t->pointer[i]), 4);
		put32(at(t, t->pointer[i]), value + tables_at);
	}
	for (u32 i = 0; i < t->sums; i++)
		sum_up(at(t, t->sum[i].first), t->sum[i].len, at(t, t->sum[i].first + TABLE_SUM));
	memset(rom, 0, ACPI_ROM_BYTES);
	make_rsdp(rom, t->rsdt + tables_at);
	sum_up(rom, RSDP_BYTES, rom + RSDP_SUM);
	memcpy(rom + ACPI_ROM_BYTES - TABLES_MAX, t->bytes, TABLES_MAX);
	free(t);
}

/* --- with firmware --- */

struct loader_command { u8 bytes[128]; };
enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3, ZONE_HIGH = 1, ZONE_FSEG = 2 };
struct script {
	struct loader_command command[4 + POINTERS_MAX + SUMS_MAX];
	u32 n;
};

static u8 *command(struct script *s, u32 number, const char *file)
{
	u8 *c = s->command[s->n++].bytes;
	put32(c, number);
	memcpy(c + 4, file, strlen(file));
	return c + 4 + FW_CFG_NAME_MAX;
}

static void allocate(struct script *s, const char *file, u32 align, u8 zone)
{
	u8 *c = command(s, ALLOCATE, file);
	put32(c, align);
	c[4] = zone;
}

static void add_pointer(struct script *s, const char *file, u32 offset)
{
	u8 *c = command(s, ADD_POINTER, file);
	memcpy(c, TABLES_FILE, sizeof(TABLES_FILE));
	put32(c + FW_CFG_NAME_MAX, offset);
	c[FW_CFG_NAME_MAX + 4] = 4;
}

static void add_sum(struct script *s, const char *file, u32 sum, u32 first, u32 len)
{
	u8 *c = command(s, ADD_CHECKSUM, file);
	put32(c, sum);
	put32(c + 4, first);
	put32(c + 8, len);
}

void acpi_publish(struct fw_cfg *f, const struct acpi_options *opt)
{
	struct tables *t = calloc(1, sizeof(*t));
	struct script *s = calloc(1, sizeof(*s));
	u8 rsdp[RSDP_BYTES];
	bug_on(!t || !s, "out of memory for the ACPI tables");
	make_tables(t, opt);
	make_rsdp(rsdp, t->rsdt);
	allocate(s, RSDP_FILE, 16, ZONE_FSEG);
	allocate(s, TABLES_FILE, 64, ZONE_HIGH);
	for (u32 i = 0; i < t->pointers; i++)
		add_pointer(s, TABLES_FILE, t->pointer[i]);
	for (u32 i = 0; i < t->sums; i++)
		add_sum(s, TABLES_FILE, t->sum[i].first + TABLE_SUM, t->sum[i].first, t->sum[i].len);
	add_pointer(s, RSDP_FILE, RSDP_RSDT);
	add_sum(s, RSDP_FILE, RSDP_SUM, 0, RSDP_BYTES);
	fw_cfg_add_file(f, RSDP_FILE, rsdp, sizeof(rsdp));
	fw_cfg_add_file(f, TABLES_FILE, t->bytes, t->len);
	fw_cfg_add_file(f, "etc/table-loader", s->command, s->n * (u32)sizeof(s->command[0]));
	free(s);
	free(t);
}
