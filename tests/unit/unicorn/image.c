/*
 * image.c - what memory holds at the start of a case, and how a CPU gets from flat protected mode into the case's mode.
 */
#include <string.h>
#include "tests/unit/unicorn/case.h"

static void put32(u8 *p, u32 v) { memcpy(p, &v, 4); }

static void put_desc(u8 *table, u32 sel, u32 base, u32 limit, u32 attr)
{
	put32(table + sel, base << 16 | (limit & 0xffff));
	put32(table + sel + 4, (base & 0xff000000) | (attr & 0xf000) << 8 | (limit & 0xf0000) | (attr & 0xff) << 8 | (base >> 16 & 0xff));
}

static void put_gate(u8 *table, u32 at, u32 sel, u32 off, u32 attr)
{
	put32(table + at, sel << 16 | (off & 0xffff));
	put32(table + at + 4, (off & 0xffff0000) | attr << 8);
}

/* Entry n of the descriptors of every kind: type in bits 0 to 4, DPL 3 in bit 5, not present in bit 6. */
static void put_odd(u8 *table, u32 at, u32 n)
{
	u32 type = n & 31, attr = type | (n & 32 ? 0x60 : 0) | (n & 64 ? 0 : 0x80);
	u32 low = type & 7;

	if (type < 16 && (low == 4 || low == 6 || low == 7))
		put_gate(table, at, type & 8 ? SEL_CODE32 : SEL_CODE16, 0x40, attr);
	else if (type == 5)
		put_gate(table, at, SEL_ODD, 0, attr);
	else if (type < 16)
		put_desc(table, at, type == 2 ? AT_LDT : AT_TSS + 0x200 + 0x80 * low, 0x67, attr);
	else
		put_desc(table, at, n & 8 ? AT_CODE : AT_DATA, 0xffff, attr | (n & 1) << 14);
}

static void fill_tables(u8 *ram)
{
	static const struct { u16 sel; u32 base, limit, attr; } fixed[] = {
		{ SEL_FLAT_CODE, 0, 0xfffff, 0xc09b }, { SEL_FLAT_DATA, 0, 0xfffff, 0xc093 }, { SEL_CODE16, AT_CODE, 0xffff, 0x9b },
		{ SEL_CODE32, AT_CODE, 0xffff, 0x409b }, { SEL_DS, AT_DATA, 0xffff, 0x93 }, { SEL_ES, 0x30000, 0xffff, 0x93 },
		{ SEL_FS, 0x40000, 0xffff, 0x93 }, { SEL_GS, 0x50000, 0xffff, 0x93 }, { SEL_STACK16, AT_STACK, 0xffff, 0x93 },
		{ SEL_STACK32, AT_STACK, 0xffff, 0x4093 }, { SEL_CODE16_R3, AT_CODE, 0xffff, 0xfb }, { SEL_CODE32_R3, AT_CODE, 0xffff, 0x40fb },
		{ SEL_DS_R3, AT_DATA, 0xffff, 0xf3 }, { SEL_STACK16_R3, AT_STACK, 0xffff, 0xf3 }, { SEL_STACK32_R3, AT_STACK, 0xffff, 0x40f3 },
		{ SEL_TSS, AT_TSS, 0x67, 0x8b }, { SEL_LDT, AT_LDT, 0x3ff, 0x82 },
	};

	memset(ram + AT_GDT, 0, GDT_BYTES);
	for (u32 i = 0; i < ARRAY_SIZE(fixed); i++)
		put_desc(ram + AT_GDT, fixed[i].sel, fixed[i].base, fixed[i].limit, fixed[i].attr);
	for (u32 n = 0; n < ODD_COUNT; n++) {
		put_odd(ram + AT_GDT, SEL_ODD + 8 * n, n);
		put_odd(ram + AT_LDT, 8 * n, n);
	}
	for (u32 v = 0; v < 256; v++) {
		put32(ram + 4 * v, (AT_HANDLERS >> 4) << 16 | v);
		put_gate(ram + AT_IDT, 8 * v, SEL_FLAT_CODE, AT_HANDLERS + v, 0xee);
	}
	memset(ram + AT_TSS, 0, 0x1000);
	put32(ram + AT_TSS + 4, 0x9000);	/* stacks of rings 0 to 2 */
	put32(ram + AT_TSS + 8, SEL_STACK32);
	put32(ram + AT_TSS + 0x64, 0x680000);
}

/* Data that makes sense as many things: selectors, far pointers, flags, small offsets. */
static u32 plausible(struct prng *r)
{
	switch (prng_below(r, 6)) {
	case 0: return prng_below(r, GDT_BYTES) | prng_below(r, 0x8000) << 16;
	case 1: return prng_below(r, 0x200) | (prng_below(r, GDT_BYTES) & 0xfffb) << 16;
	case 2: return SEL_DS | (u32)SEL_CODE16 << 16;
	case 3: return prng_below(r, 0x10000) & 0x7ed7;	/* flags without TF */
	case 4: return prng_edge32(r) & ~0x100u;
	default: return (u32)prng_next(r) & ~0x100u;
	}
}

void image_fill(u8 *ram)
{
	struct prng r;

	memset(ram, 0xf4, RAM_BYTES);
	prng_init(&r, 2, 0);
	fill_tables(ram);
	for (u32 at = AT_DATA; at < AT_STACK + 0x10000; at += 4)
		put32(ram + at, plausible(&r));
}

bool mode_is32(enum case_mode mode) { return mode == IN_PM32 || mode == IN_PM32_R3; }
int mode_cpl(enum case_mode mode) { return mode >= IN_PM16_R3 ? 3 : 0; }

/* --- start-up code --- */
enum { TSS_BUSY = 2 };
struct code { u8 *p; int n; };
static void op(struct code *a, const void *bytes, int n) { memcpy(a->p + a->n, bytes, (size_t)n); a->n += n; }
static void op8(struct code *a, u8 b) { op(a, &b, 1); }
static void op16(struct code *a, u32 v) { op(a, &v, 2); }
static void op32(struct code *a, u32 v) { op(a, &v, 4); }

/* mov ax, sel; mov seg, ax */
static void load_seg(struct code *a, bool code32, int seg, u32 sel)
{
	if (code32)
		op8(a, 0x66);
	op8(a, 0xb8), op16(a, sel);
	op8(a, 0x8e), op8(a, (u8)(0xc0 | seg << 3));
}

static void load_segs(struct code *a, bool code32, const u16 sel[6])
{
	for (int s = 0; s < 6; s++)
		if (s != 1)
			load_seg(a, code32, s, sel[s]);
}

static void push32(struct code *a, u32 v) { op8(a, 0x68), op32(a, v); }
static void ljmp32(struct code *a, u32 sel, u32 off) { op8(a, 0xea), op32(a, off), op16(a, sel); }

/* Leaves protected mode by way of a 16-bit code segment, at whose start `code16` is. */
static void to_real(struct code *a, struct code *code16, bool big)
{
	static const u16 small_seg[6] = { SEL_DS, 0, SEL_STACK16, SEL_DS, SEL_DS, SEL_DS };
	static const u16 flat[6] = { SEL_FLAT_DATA, 0, SEL_STACK16, SEL_FLAT_DATA, SEL_FLAT_DATA, SEL_FLAT_DATA };
	static const u16 real[6] = { 0x3000, 0, 0x6000, 0x2000, 0x4000, 0x5000 };

	load_segs(a, true, big ? flat : small_seg);
	ljmp32(a, SEL_CODE16, 0);
	op(code16, "\x0f\x20\xc0\x24\xfe\x0f\x22\xc0", 8);	/* mov eax, cr0; and al, -2; mov cr0, eax */
	op8(code16, 0xea), op16(code16, (u32)code16->n + 4), op16(code16, AT_CODE >> 4);
	load_segs(code16, false, real);
}

static void to_ring3(struct code *a, bool code32)
{
	static const u16 data[6] = { SEL_DS_R3 | 3, 0, 0, SEL_DS_R3 | 3, SEL_DS_R3 | 3, SEL_DS_R3 | 3 };

	for (int s = 0; s < 6; s++)
		if (s != 1 && s != 2)
			load_seg(a, true, s, data[s]);
	load_seg(a, true, 2, SEL_FLAT_DATA);
	op8(a, 0xbc), op32(a, 0x9000);
	push32(a, (code32 ? SEL_STACK32_R3 : SEL_STACK16_R3) | 3);
	push32(a, STACK_TOP);
	push32(a, (code32 ? SEL_CODE32_R3 : SEL_CODE16_R3) | 3);
	push32(a, 0);
	op8(a, 0xcb);
}

static void to_v86(struct code *a)
{
	static const u32 frame[] = { 0x5000, 0x4000, 0x2000, 0x3000, 0x6000, STACK_TOP, 0x23002, AT_CODE >> 4, 0 };

	load_seg(a, true, 2, SEL_FLAT_DATA);
	op8(a, 0xbc), op32(a, 0x9000);
	for (u32 i = 0; i < ARRAY_SIZE(frame); i++)
		push32(a, frame[i]);
	op8(a, 0xcf);
}

void image_start(enum case_mode mode, u8 *ram)
{
	static const u16 data16[6] = { SEL_ES, 0, SEL_STACK16, SEL_DS, SEL_FS, SEL_GS };
	static const u16 data32[6] = { SEL_ES, 0, SEL_STACK32, SEL_DS, SEL_FS, SEL_GS };
	struct code a = { .p = ram + AT_START }, code16 = { .p = ram + AT_CODE };

	ram[AT_GDT + SEL_TSS + 5] &= (u8)~TSS_BUSY;	/* as LTR wants it; cases find it busy */
	op(&a, "\x66\xb8", 2), op16(&a, SEL_TSS), op(&a, "\x0f\x00\xd8", 3);
	op(&a, "\x66\xb8", 2), op16(&a, SEL_LDT), op(&a, "\x0f\x00\xd0", 3);
	switch (mode) {
	case IN_REAL: case IN_BIG_REAL: to_real(&a, &code16, mode == IN_BIG_REAL); break;
	case IN_PM16_R3: case IN_PM32_R3: to_ring3(&a, mode == IN_PM32_R3); break;
	case IN_V86: to_v86(&a); break;
	default:
		load_segs(&a, true, mode == IN_PM32 ? data32 : data16);
		ljmp32(&a, mode == IN_PM32 ? SEL_CODE32 : SEL_CODE16, 0);
	}
}
