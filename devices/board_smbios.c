/*
 * board_smbios.c - structures of types 0, 1, 3, 4, 16, 17, 19, 32 and 127, and their anchor. Sections are those of DSP0134 2.8.
 *
 * The structures are written one after the other; firmware fills the table's address and the checksums into the anchor.
 */
#include "devices/board_smbios.h"
#include "devices/emulated/fw_cfg.h"
#include <stdio.h>
#include <string.h>

#define TABLES_MAX 2048u
#define STRINGS_MAX 8
enum { HANDLE_CHASSIS = 0x300, HANDLE_PROCESSOR = 0x400, HANDLE_ARRAY = 0x1000, HANDLE_DEVICE = 0x1100, HANDLE_RANGE = 0x1300 };
enum { NO_HANDLE = 0xffff, UNKNOWN_HANDLE = 0xfffe, OTHER = 1, UNKNOWN = 2, SAFE = 3 };

struct smbios {
	u8 bytes[TABLES_MAX];
	u32 len, structures, largest;
	u32 start;			/* of the structure that is being written */
	const char *string[STRINGS_MAX];
	u8 strings;
};

static void put(struct smbios *s, u64 value, u32 bytes)
{
	bug_on(s->len + bytes > TABLES_MAX, "no room for the SMBIOS tables");
	memcpy(s->bytes + s->len, &value, bytes);
	s->len += bytes;
}

static void byte(struct smbios *s, u8 v) { put(s, v, 1); }
static void word(struct smbios *s, u16 v) { put(s, v, 2); }
static void dword(struct smbios *s, u32 v) { put(s, v, 4); }

/* The number by which a structure names one of its strings. */
static void string(struct smbios *s, const char *text)
{
	bug_on(s->strings == STRINGS_MAX, "too many SMBIOS strings");
	s->string[s->strings++] = text;
	byte(s, s->strings);
}

static void begin(struct smbios *s, u8 type, u16 handle)
{
	s->start = s->len;
	s->strings = 0;
	byte(s, type);
	byte(s, 0);
	word(s, handle);
}

/* The formatted part's length, the strings, two zeroes at the end (6.1.3). */
static void end(struct smbios *s)
{
	s->bytes[s->start + 1] = (u8)(s->len - s->start);
	for (u8 i = 0; i < s->strings; i++)
		for (const char *c = s->string[i];; c++) {
			byte(s, (u8)*c);
			if (!*c)
				break;
		}
	if (!s->strings)
		byte(s, 0);
	byte(s, 0);
	s->structures++;
	if (s->len - s->start > s->largest)
		s->largest = s->len - s->start;
}

/* --- structures --- */

static void bios(struct smbios *s)		/* 7.1 */
{
	begin(s, 0, 0);
	string(s, "Ringfence");
	string(s, "1");
	word(s, 0xe800);			/* segment where it begins */
	string(s, "01/01/2024");
	byte(s, 1);				/* 128 KiB */
	put(s, 0x08, 8);			/* characteristics: not supported */
	byte(s, 0x01);				/* ACPI */
	byte(s, 0x14);				/* a virtual machine, targeted content distribution */
	byte(s, 1);				/* BIOS release 1.0 */
	byte(s, 0);
	byte(s, 0xff);				/* no embedded controller */
	byte(s, 0xff);
	end(s);
}

static void system_info(struct smbios *s, const char *name)	/* 7.2 */
{
	begin(s, 1, 0x100);
	string(s, "Ringfence");
	string(s, "PC (i440FX, PIIX3)");
	string(s, "1");
	byte(s, 0);				/* no serial number */
	put(s, 0, 8);				/* UUID: not set */
	put(s, 0, 8);
	byte(s, 6);				/* woken by the power switch */
	byte(s, 0);
	string(s, name && name[0] ? name : "PC");
	end(s);
}

static void chassis(struct smbios *s)		/* 7.4 */
{
	begin(s, 3, HANDLE_CHASSIS);
	string(s, "Ringfence");
	byte(s, OTHER);
	string(s, "1");
	byte(s, 0);
	byte(s, 0);
	byte(s, SAFE);
	byte(s, SAFE);
	byte(s, SAFE);
	byte(s, UNKNOWN);
	dword(s, 0);
	byte(s, 0);
	byte(s, 0);
	byte(s, 0);				/* no contained elements */
	byte(s, 0);
	byte(s, 0);
	end(s);
}

static void processor(struct smbios *s, u32 signature)	/* 7.5 */
{
	begin(s, 4, HANDLE_PROCESSOR);
	string(s, "CPU 0");
	byte(s, 3);				/* central processor */
	byte(s, OTHER);				/* family */
	string(s, "Ringfence");
	put(s, signature, 8);
	string(s, "1");
	byte(s, 0);				/* voltage */
	word(s, 0);				/* clocks: unknown */
	word(s, 0);
	word(s, 0);
	byte(s, 0x41);				/* socket populated, enabled */
	byte(s, OTHER);
	word(s, NO_HANDLE);			/* caches */
	word(s, NO_HANDLE);
	word(s, NO_HANDLE);
	byte(s, 0);
	byte(s, 0);
	byte(s, 0);
	byte(s, 1);				/* cores, enabled, threads */
	byte(s, 1);
	byte(s, 1);
	word(s, 0x0002);			/* characteristics: unknown */
	word(s, OTHER);
	end(s);
}

static void memory(struct smbios *s, u64 ram_size)
{
	u32 kib = (u32)(ram_size >> 10);
	begin(s, 16, HANDLE_ARRAY);		/* 7.17: system board, system memory */
	byte(s, OTHER);
	byte(s, 3);
	byte(s, 6);				/* multi-bit ECC */
	dword(s, kib);
	word(s, UNKNOWN_HANDLE);
	word(s, 1);
	put(s, 0, 8);
	end(s);
	begin(s, 17, HANDLE_DEVICE);		/* 7.18 */
	word(s, HANDLE_ARRAY);
	word(s, UNKNOWN_HANDLE);
	word(s, 0xffff);			/* widths: unknown */
	word(s, 0xffff);
	word(s, (u16)(kib >> 10 ? kib >> 10 : 0x8000 | kib));
	byte(s, 9);				/* DIMM */
	byte(s, 0);
	string(s, "DIMM 0");
	byte(s, 0);
	byte(s, 7);				/* RAM */
	word(s, 2);
	word(s, 0);
	for (int i = 0; i < 4; i++)		/* manufacturer, numbers: not told */
		byte(s, 0);
	byte(s, 0);
	dword(s, 0);
	word(s, 0);
	word(s, 0);
	word(s, 0);
	word(s, 0);
	end(s);
	begin(s, 19, HANDLE_RANGE);		/* 7.20 */
	dword(s, 0);
	dword(s, kib - 1);
	word(s, HANDLE_ARRAY);
	byte(s, 1);
	put(s, 0, 8);
	put(s, 0, 8);
	end(s);
}

/* The entry point (5.2.1), with what firmware fills in left 0. */
static void anchor(const struct smbios *s, u8 out[31])
{
	memset(out, 0, 31);
	memcpy(out, "_SM_", 4);
	out[5] = 31;
	out[6] = 2;
	out[7] = 8;
	memcpy(out + 8, &s->largest, 2);
	memcpy(out + 16, "_DMI_", 5);
	memcpy(out + 22, &s->len, 2);
	memcpy(out + 28, &s->structures, 2);
	out[30] = 0x28;
}

void smbios_publish(struct fw_cfg *f, const char *name, u32 cpu_signature, u64 ram_size)
{
	struct smbios s = { 0 };
	u8 head[31];
	bios(&s);
	system_info(&s, name);
	chassis(&s);
	processor(&s, cpu_signature);
	memory(&s, ram_size);
	begin(&s, 32, 0x2000);			/* 7.33: no error at boot */
	put(&s, 0, 6);
	byte(&s, 0);
	end(&s);
	begin(&s, 127, 0x7f00);
	end(&s);
	anchor(&s, head);
	fw_cfg_add_file(f, "etc/smbios/smbios-tables", s.bytes, s.len);
	fw_cfg_add_file(f, "etc/smbios/smbios-anchor", head, sizeof(head));
}
