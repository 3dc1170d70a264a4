/*
 * aml.c - the encodings of ACPI 1.0b: names and integers (16.2), package lengths (16.2.4), resource descriptors (6.4).
 *
 * A package length stands before what it counts, and its size depends on its value: aml_close() makes room for it afterwards.
 */
#include "devices/aml.h"
#include <string.h>

enum { EXT = 0x5b, DUAL_NAME = 0x2e, MULTI_NAME = 0x2f, ZERO = 0x00, ONE = 0x01, BYTE = 0x0a, WORD = 0x0b, DWORD = 0x0c, STRING = 0x0d,
	NAME = 0x08, END_TAG = 0x79 };

void aml_bytes(struct aml *a, const void *bytes, u32 len)
{
	bug_on(len > AML_MAX - a->len, "no room for the AML");
	memcpy(a->bytes + a->len, bytes, len);
	a->len += len;
}

void aml_byte(struct aml *a, u8 byte) { aml_bytes(a, &byte, 1); }
static void word(struct aml *a, u16 v) { aml_bytes(a, &v, 2); }
static void dword(struct aml *a, u32 v) { aml_bytes(a, &v, 4); }

/* --- terms --- */

u32 aml_open(struct aml *a, enum aml_op op)
{
	if (op >> 8)
		aml_byte(a, (u8)(op >> 8));
	aml_byte(a, (u8)op);
	return a->len;
}

/* One byte up to 63, else four bits in the lead byte and bytes above; the length counts itself. */
void aml_close(struct aml *a, u32 at)
{
	u32 body = a->len - at, more = body + 1 < 0x40 ? 0 : body + 2 < 0x1000 ? 1 : 2, len = body + 1 + more;
	u8 room[3] = { 0 };
	aml_bytes(a, room, 1 + more);
	memmove(a->bytes + at + 1 + more, a->bytes + at, body);
	a->bytes[at] = (u8)(more ? more << 6 | (len & 0x0f) : len);
	for (u32 i = 1; i <= more; i++)
		a->bytes[at + i] = (u8)(len >> (4 + 8 * (i - 1)));
}

static u32 segments_of(const char *path)
{
	u32 n = 1;
	for (; *path; path++)
		n += *path == '.';
	return n;
}

void aml_name(struct aml *a, const char *path)
{
	for (; *path == '\\' || *path == '^'; path++)
		aml_byte(a, (u8)*path);
	u32 segments = segments_of(path);
	if (segments == 2)
		aml_byte(a, DUAL_NAME);
	if (segments > 2) {
		aml_byte(a, MULTI_NAME);
		aml_byte(a, (u8)segments);
	}
	for (u32 i = 0; i < segments; i++) {
		for (int c = 0; c < 4; c++)
			aml_byte(a, *path && *path != '.' ? (u8)*path++ : '_');
		path += *path == '.';
	}
}

void aml_int(struct aml *a, u32 value)
{
	if (value <= ONE) {
		aml_byte(a, (u8)value);
	} else if (value <= 0xff) {
		aml_byte(a, BYTE);
		aml_byte(a, (u8)value);
	} else if (value <= 0xffff) {
		aml_byte(a, WORD);
		word(a, (u16)value);
	} else {
		aml_byte(a, DWORD);
		dword(a, value);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, STRING);
	aml_bytes(a, s, (u32)strlen(s) + 1);
}

void aml_named(struct aml *a, const char *name)
{
	aml_byte(a, NAME);
	aml_name(a, name);
}

void aml_named_int(struct aml *a, const char *name, u32 value)
{
	aml_named(a, name);
	aml_int(a, value);
}

static u32 hex(char c) { return (u32)(c <= '9' ? c - '0' : c - 'A' + 10); }

/* Three letters of five bits and four hexadecimal digits, big-endian (Plug and Play ISA 1.0a). */
void aml_hid(struct aml *a, const char *id)
{
	u32 letters = (u32)(id[0] - 0x40) << 10 | (u32)(id[1] - 0x40) << 5 | (u32)(id[2] - 0x40);
	u32 value = letters << 16 | hex(id[3]) << 12 | hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);
	aml_named(a, "_HID");
	aml_byte(a, DWORD);
	dword(a, __builtin_bswap32(value));
}

u32 aml_device(struct aml *a, const char *name, const char *id)
{
	u32 at = aml_open(a, AML_DEVICE);
	aml_name(a, name);
	aml_hid(a, id);
	return at;
}

u32 aml_method(struct aml *a, const char *name, u8 args, bool serialized)
{
	u32 at = aml_open(a, AML_METHOD);
	aml_name(a, name);
	aml_byte(a, (u8)(args | serialized << 3));
	return at;
}

/* --- resources --- */

struct aml_resources aml_resources(struct aml *a)
{
	struct aml_resources r = { .buffer = aml_open(a, AML_BUFFER) };
	aml_byte(a, WORD);
	r.length_at = a->len;
	word(a, 0);
	r.first = a->len;
	return r;
}

void aml_resources_end(struct aml *a, struct aml_resources r)
{
	aml_byte(a, END_TAG);
	aml_byte(a, 0);		/* no checksum */
	u16 len = (u16)(a->len - r.first);
	memcpy(a->bytes + r.length_at, &len, sizeof(len));
	aml_close(a, r.buffer);
}

void aml_io(struct aml *a, u16 first, u8 count)
{
	aml_byte(a, 0x47);
	aml_byte(a, 1);
	word(a, first);
	word(a, first);
	aml_byte(a, 1);
	aml_byte(a, count);
}

void aml_irq(struct aml *a, int irq)
{
	aml_byte(a, 0x22);
	word(a, (u16)(1 << irq));
}

void aml_dma(struct aml *a, int channel)
{
	aml_byte(a, 0x2a);
	aml_byte(a, (u8)(1 << channel));
	aml_byte(a, 0);
}

void aml_interrupts(struct aml *a, const u32 *irq, u8 count)
{
	aml_byte(a, 0x89);
	word(a, (u16)(2 + 4 * count));
	aml_byte(a, 0x09);	/* consumer, level, active high, shared */
	aml_byte(a, count);
	for (u8 i = 0; i < count; i++)
		dword(a, irq[i]);
}

void aml_memory(struct aml *a, u32 base, u32 len, bool writable)
{
	aml_byte(a, 0x86);
	word(a, 9);
	aml_byte(a, writable);
	dword(a, base);
	dword(a, len);
}

/* Word address space descriptor: type 1 ports, 2 bus numbers; a producer whose first and last are fixed. */
static void word_window(struct aml *a, u8 type, u8 type_flags, u16 first, u16 last)
{
	aml_byte(a, 0x88);
	word(a, 13);
	aml_byte(a, type);
	aml_byte(a, 0x0c);
	aml_byte(a, type_flags);
	word(a, 0);
	word(a, first);
	word(a, last);
	word(a, 0);
	word(a, (u16)(last - first + 1));
}

void aml_bus_window(struct aml *a, u16 first, u16 last) { word_window(a, 2, 0, first, last); }
void aml_io_window(struct aml *a, u16 first, u16 last) { word_window(a, 1, 3, first, last); }

void aml_memory_window(struct aml *a, u32 first, u32 last, bool cacheable)
{
	aml_byte(a, 0x87);
	word(a, 23);
	aml_byte(a, 0);
	aml_byte(a, 0x0c);
	aml_byte(a, (u8)(1 | cacheable << 1));
	dword(a, 0);
	dword(a, first);
	dword(a, last);
	dword(a, 0);
	dword(a, last - first + 1);
}
