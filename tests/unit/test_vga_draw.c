/*
 * test_vga_draw.c - the VGA's pictures, dot by dot: text, the graphics modes, VBE; what is drawn after which change.
 */
/* objs: devices/emulated/vga.o devices/emulated/vga_edid.o devices/emulated/vga_regs.o devices/emulated/vga_mem.o
 * devices/emulated/vga_time.o devices/emulated/vga_draw.o devices/emulated/vga_text.o devices/emulated/vbe.o devices/emulated/vbe_draw.o
 * devices/emulated/vga_direct.o devices/display.o devices/pci.o devices/device.o tests/unit/fake_vm.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/display.h"
#include "devices/emulated/vga.h"
#include "monitor/event.h"
#include "tests/unit/fake_vm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg) { return true; }

static struct vga *v;
static struct display *d;
static const struct display_frame *f;
static u32 *words;

/* Registers of the BIOS's modes: miscellaneous, sequencer 1 to 4, CRTC, graphics controller (IBM BIOS parameter tables). */
struct mode { u8 misc, seq[4], crtc[25], gc[9], ac_mode; };
static const struct mode mode_3 = { 0x67, { 0x00, 0x03, 0x00, 0x02 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff }, 0x0c };
static const struct mode mode_1 = { 0x67, { 0x08, 0x03, 0x00, 0x02 },
	{ 0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff }, 0x08 };
static const struct mode mode_4 = { 0x63, { 0x09, 0x03, 0x00, 0x02 },
	{ 0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff },
	{ 0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff }, 0x01 };
static const struct mode mode_6 = { 0x63, { 0x01, 0x01, 0x00, 0x06 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x00, 0x96, 0xb9, 0xc2, 0xff },
	{ 0, 0, 0, 0, 0, 0x00, 0x0d, 0, 0xff }, 0x01 };
static const struct mode mode_12 = { 0xe3, { 0x01, 0x0f, 0x00, 0x06 },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff },
	{ 0, 0, 0, 0, 0, 0x00, 0x05, 0x0f, 0xff }, 0x01 };
static const struct mode mode_13 = { 0x63, { 0x01, 0x0f, 0x00, 0x0e },
	{ 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff },
	{ 0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff }, 0x41 };

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	v = calloc(1, sizeof(*v));
	d = vm->display = display_init(vm);
	vga_init(v, vm, "vga", calloc(1, VGA_VRAM_BYTES), VGA_VRAM_BYTES);
	vga_display(v, d);
	words = (u32 *)(void *)v->vram;
	f = display_lock(d);
	display_unlock(d);
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	display_fini(d);
	free(v->vram);
	free(v);
	fake_vm_free(*state);
	return 0;
}

static void out(u32 port, u8 value) { vga_write(v, port - VGA_PORTS_BASE, value); }
static void seq(u8 n, u8 value) { out(0x3c4, n); out(0x3c5, value); }
static void gc(u8 n, u8 value) { out(0x3ce, n); out(0x3cf, value); }
static void crtc(u8 n, u8 value) { out(0x3d4, n); out(0x3d5, value); }
static void ac(u8 n, u8 value) { vga_read(v, 0x2a); out(0x3c0, n | 0x20); out(0x3c0, value); }
static void vbe(u16 n, u16 value) { vbe_port_write(v, 0, n); vbe_port_write(v, 1, value); }
static void write(u32 at, u32 value, int size) { vga_window_write(v, at, value, size); }
static void update(void) { display_update(d); }

/* Attribute n is palette entry n, and DAC entry i is (i, 2i, 3i) of 6 bits. */
static u32 colour(u32 i)
{
	u32 c[3];
	for (u32 k = 0; k < 3; k++)
		c[k] = (k + 1) * i & 63, c[k] = c[k] << 2 | c[k] >> 4;
	return c[0] << 16 | c[1] << 8 | c[2];
}

static void set_mode(const struct mode *m)
{
	out(0x3c2, m->misc);
	seq(0, 3);
	for (u8 i = 0; i < 4; i++)
		seq(i + 1, m->seq[i]);
	crtc(0x11, 0);
	for (u8 i = 0; i < 25; i++)
		crtc(i, m->crtc[i]);
	for (u8 i = 0; i < 9; i++)
		gc(i, m->gc[i]);
	for (u8 i = 0; i < 16; i++)
		ac(i, i);
	ac(0x10, m->ac_mode);
	ac(0x11, 0);
	ac(0x12, 0x0f);
	ac(0x13, m->seq[0] & 1 ? 0 : 8);		/* no panning, for 8 and 9 dots */
	ac(0x14, 0);
	out(0x3c6, 0xff);
	out(0x3c8, 0);
	for (u32 i = 0; i < 256; i++) {
		out(0x3c9, (u8)i);
		out(0x3c9, (u8)(2 * i));
		out(0x3c9, (u8)(3 * i));
	}
}

static u32 dot(u32 x, u32 y) { return f->pixels[y * f->width + x]; }

/* The dots of a line from x on, as characters: '#' for `on`, '.' for `off`, '?' for others. */
static const char *dots(u32 x, u32 y, u32 count, u32 on, u32 off)
{
	static char text[100];
	for (u32 i = 0; i < count; i++)
		text[i] = dot(x + i, y) == colour(on) ? '#' : dot(x + i, y) == colour(off) ? '.' : '?';
	text[count] = 0;
	return text;
}

static void font(u32 map, u8 ch, u32 row, u8 bits)
{
	u8 *at = (u8 *)&words[(map & 3) * 0x4000 + (map >> 2) * 0x2000 + ch * 32 + row];
	at[2] = bits;
	v->redraw = true;	/* not through the window */
}

static void cell(u32 n, u8 ch, u8 attr) { write(0x18000 + 2 * n, ch | (u32)attr << 8, 2); }

static void test_text(void **state)
{
	set_mode(&mode_3);
	crtc(0x0a, 0x20);
	font(0, 'A', 3, 0x81);
	font(0, 0xc4, 3, 0xff);
	font(0, 0xb0, 3, 0xff);
	cell(0, 'A', 0x1e);
	cell(1, 0xc4, 0x1e);
	cell(2, 0xb0, 0x1e);
	cell(80 * 24 + 79, 'A', 0x07);
	update();
	assert_int_equal(f->width, 720);
	assert_int_equal(f->height, 400);
	assert_true(f->text);
	assert_false(f->blank);
	assert_int_equal(f->cols, 80);
	assert_int_equal(f->rows, 25);
	assert_int_equal(f->cursor, -1);
	assert_int_equal(f->cells[0].ch, 'A');
	assert_int_equal(f->cells[0].attr, 0x1e);
	assert_int_equal(f->cells[1999].ch, 'A');
	assert_int_equal(f->palette[3], colour(3));
	assert_string_equal(dots(0, 3, 27, 14, 1), "#......#.#################.");
	assert_string_equal(dots(0, 2, 9, 14, 1), ".........");
	assert_string_equal(dots(711, 24 * 16 + 3, 9, 7, 0), "#......#.");
	ac(0x10, 0x08);				/* no line graphics */
	update();
	assert_string_equal(dots(9, 3, 18, 14, 1), "########.########.");
	seq(1, 0x01);				/* 8 dots */
	update();
	assert_int_equal(f->width, 640);
	assert_string_equal(dots(0, 3, 24, 14, 1), "#......#################");
}

static void test_text_attributes(void **state)
{
	set_mode(&mode_3);
	crtc(0x0a, 0x20);
	cell(0, 'x', 0x9f);			/* blinking: background 1 */
	update();
	assert_int_equal(dot(0, 0), colour(1));
	ac(0x10, 0x04);				/* bright background */
	update();
	assert_int_equal(dot(0, 0), colour(9));
	crtc(0x14, 0x05);			/* underline in line 5 for foreground 1 */
	cell(1, 'x', 0x01);
	cell(2, 'x', 0x02);
	update();
	assert_string_equal(dots(9, 5, 18, 1, 0), "#########.........");
	assert_string_equal(dots(9, 6, 18, 1, 0), "..................");
	seq(3, 0x04);				/* font A (bit 3 set): map 1, font B: map 0 */
	font(1, 'y', 0, 0xf0);
	font(0, 'y', 0, 0x0f);
	cell(3, 'y', 0x0f);
	cell(4, 'y', 0x07);
	update();
	assert_string_equal(dots(27, 0, 9, 15, 0), "####.....");
	assert_string_equal(dots(36, 0, 9, 7, 0), "....####.");
	seq(3, 0x30);				/* maps 4: 8 KiB further */
	font(4, 'y', 0, 0x18);
	update();
	assert_string_equal(dots(27, 0, 9, 15, 0), "...##....");
	ac(0x0f, 0x05);				/* attribute colour 15 shows 5 */
	update();
	assert_string_equal(dots(27, 0, 9, 5, 0), "...##....");
	ac(0x12, 0x03);				/* planes 0 and 1: attribute 15 is 3 */
	update();
	assert_string_equal(dots(27, 0, 9, 3, 0), "...##....");
	ac(0x12, 0x0f);
	ac(0x14, 0x06);				/* bits 6 and 7 of the DAC's index, and with mode bit 7 also 4 and 5 */
	update();
	assert_int_equal(dot(30, 0), colour(0x45));
	ac(0x10, 0x84);
	update();
	assert_int_equal(dot(30, 0), colour(0x65));
	out(0x3c6, 0x0f);
	update();
	assert_int_equal(dot(30, 0), colour(0x05));
}

static void test_cursor(void **state)
{
	set_mode(&mode_3);
	for (u32 i = 0; i < 2000; i++)
		cell(i, ' ', 0x07);
	crtc(0x0f, 81);
	update();
	assert_int_equal(f->cursor, 81);
	assert_string_equal(dots(0, 16 + 12, 27, 7, 0), "...........................");
	assert_string_equal(dots(0, 16 + 13, 27, 7, 0), ".........#########.........");
	assert_string_equal(dots(0, 16 + 14, 27, 7, 0), ".........#########.........");
	assert_string_equal(dots(0, 16 + 15, 27, 7, 0), "...........................");
	u64 seen = f->seq;
	crtc(0x0f, 2);				/* two rows are drawn, four lines differ */
	update();
	assert_int_equal(f->cursor, 2);
	assert_int_equal(f->seq, seen + 1);
	u32 changed = 0;
	for (u32 y = 0; y < 400; y++)
		changed += f->line_seq[y] > seen;
	assert_int_equal(changed, 4);
	crtc(0x0a, 0x0f);			/* start behind end */
	update();
	assert_int_equal(f->cursor, -1);
	crtc(0x0a, 0x20);
	crtc(0x0b, 0x0f);
	update();
	assert_int_equal(f->cursor, -1);
	crtc(0x0a, 0x00);
	crtc(0x0e, 0x10);			/* not on the screen */
	update();
	assert_int_equal(f->cursor, -1);
}

static void test_only_changes(void **state)
{
	set_mode(&mode_3);
	crtc(0x0a, 0x20);
	font(0, '#', 0, 0xff);
	update();
	u64 seen = f->seq;
	update();
	assert_false(v->touched);
	cell(0, 0, 0);				/* what it was */
	update();
	assert_int_equal(f->seq, seen);
	cell(5 * 80, '#', 7);
	update();
	assert_int_equal(f->seq, seen + 1);
	assert_int_equal(f->line_seq[80], seen + 1);
	assert_true(f->line_seq[81] <= seen);
	seq(2, 4);				/* the font, through the window */
	seq(4, 6);
	gc(5, 0);
	gc(6, 4);
	write('#' * 32 + 1, 0x18, 1);
	seq(2, 3);
	seq(4, 2);
	gc(5, 0x10);
	gc(6, 0x0e);
	update();
	assert_string_equal(dots(0, 81, 9, 7, 0), "...##....");
	crtc(0x0d, 80);				/* a row up */
	update();
	assert_string_equal(dots(0, 65, 9, 7, 0), "...##....");
	assert_string_equal(dots(0, 81, 9, 7, 0), ".........");
	assert_int_equal(f->cells[4 * 80].ch, '#');
}

static void test_smooth_text(void **state)
{
	set_mode(&mode_3);
	crtc(0x0a, 0x20);
	font(0, 'A', 2, 0x81);
	cell(0, 'A', 7);
	cell(1, 'A', 7);
	cell(81, 'A', 7);
	update();
	crtc(8, 0x02);				/* preset row scan */
	update();
	assert_string_equal(dots(0, 0, 9, 7, 0), "#......#.");
	assert_string_equal(dots(9, 16, 9, 7, 0), "#......#.");
	crtc(8, 0);
	ac(0x13, 2);				/* three dots in 9-dot modes */
	update();
	assert_string_equal(dots(0, 2, 18, 7, 0), "....#.#......#....");
	crtc(0x18, 39);				/* split after line 39; row 2 ends there, row 0 follows */
	crtc(7, 0x0f);
	crtc(9, 0x0f);
	update();
	assert_string_equal(dots(0, 40 + 2, 9, 7, 0), "....#.#..");
	ac(0x10, 0x2c);				/* panning ends at the split */
	update();
	assert_string_equal(dots(0, 40 + 2, 9, 7, 0), "#......#.");
	assert_string_equal(dots(0, 2, 9, 7, 0), "....#.#..");
	assert_int_equal(f->cells[3 * 80].ch, 'A');
	assert_int_equal(f->rows, 25);
}

static void test_forty_columns(void **state)
{
	set_mode(&mode_1);
	crtc(0x0a, 0x20);
	font(0, 'A', 0, 0x81);
	cell(0, 'A', 7);
	cell(39, 'A', 7);
	update();
	assert_int_equal(f->width, 720);
	assert_int_equal(f->cols, 40);
	assert_string_equal(dots(0, 0, 18, 7, 0), "##............##..");
	assert_string_equal(dots(702, 0, 18, 7, 0), "##............##..");
}

static void test_planar(void **state)
{
	set_mode(&mode_12);
	write(0, 0xff, 1);			/* all planes */
	seq(2, 0x09);
	write(80, 0x81, 1);
	update();
	assert_int_equal(f->width, 640);
	assert_int_equal(f->height, 480);
	assert_false(f->text);
	assert_string_equal(dots(0, 0, 9, 15, 0), "########.");
	assert_string_equal(dots(0, 1, 9, 9, 0), "#......#.");
	u64 seen = f->seq;
	write(479 * 80 + 79, 0x01, 1);
	update();
	assert_int_equal(dot(639, 479), colour(9));
	assert_int_equal(f->line_seq[479], seen + 1);
	assert_true(f->line_seq[0] <= seen);
	ac(0x13, 3);
	update();
	assert_string_equal(dots(0, 1, 6, 9, 0), "....#.");
	ac(0x13, 0);
	crtc(0x0d, 80);
	update();
	assert_string_equal(dots(0, 0, 9, 9, 0), "#......#.");
	crtc(0x18, 99);				/* split: lines from 100 on show address 0 */
	crtc(7, 0x2e);
	crtc(9, 0x00);
	update();
	assert_string_equal(dots(0, 100, 9, 15, 0), "########.");
	assert_string_equal(dots(0, 101, 9, 9, 0), "#......#.");
	assert_string_equal(dots(0, 99, 9, 9, 0), ".........");
}

static void test_256(void **state)
{
	set_mode(&mode_13);
	for (u32 x = 0; x < 320; x++)
		write(x, x, 1);
	write(199 * 320 + 319, 0xfe, 1);
	update();
	assert_int_equal(f->width, 640);
	assert_int_equal(f->height, 400);
	for (u32 x = 0; x < 640; x++) {
		assert_int_equal(dot(x, 0), colour(x / 2 & 0xff));
		assert_int_equal(dot(x, 1), colour(x / 2 & 0xff));
		assert_int_equal(dot(x, 2), colour(0));
	}
	assert_int_equal(dot(639, 399), colour(0xfe));
	assert_int_equal(dot(638, 398), colour(0xfe));
	assert_int_equal(dot(637, 398), colour(0));
	ac(0x13, 4);				/* two pixels */
	update();
	assert_int_equal(dot(0, 0), colour(2));
}

/* Unchained: 320x240 with four pixels at an address, and panned by the start address. */
static void test_mode_x(void **state)
{
	set_mode(&mode_13);
	seq(4, 0x06);
	out(0x3c2, 0xe3);
	static const u8 regs[][2] = { { 0x06, 0x0d }, { 0x07, 0x3e }, { 0x09, 0x41 }, { 0x10, 0xea }, { 0x11, 0xac }, { 0x12, 0xdf },
		{ 0x14, 0x00 }, { 0x15, 0xe7 }, { 0x16, 0x06 }, { 0x17, 0xe3 } };
	crtc(0x11, 0);
	for (u32 i = 0; i < ARRAY_SIZE(regs); i++)
		crtc(regs[i][0], regs[i][1]);
	for (u8 p = 0; p < 4; p++) {
		seq(2, (u8)(1 << p));
		write(80, 10 + p, 1);
		write(239 * 80 + 79, 20 + p, 1);
	}
	update();
	assert_int_equal(f->height, 480);
	for (u32 x = 0; x < 8; x++) {
		assert_int_equal(dot(x, 2), colour(10 + x / 2));
		assert_int_equal(dot(632 + x, 479), colour(20 + x / 2));
	}
	crtc(0x0c, 0);
	crtc(0x0d, 80);
	update();
	assert_int_equal(dot(0, 0), colour(10));
}

static void test_cga(void **state)
{
	set_mode(&mode_4);
	gc(6, 0x0f);
	write(0x18000, 0xe41b, 2);		/* 00 01 10 11, 11 10 01 00 */
	write(0x1a000, 0xff, 1);		/* the second line is 2000h further */
	write(0x18000 + 80, 0x40, 1);
	update();
	assert_int_equal(f->width, 640);
	assert_int_equal(f->height, 400);
	static const u8 line[8] = { 0, 1, 2, 3, 3, 2, 1, 0 };
	for (u32 x = 0; x < 16; x++) {
		assert_int_equal(dot(x, 0), colour(line[x / 2]));
		assert_int_equal(dot(x, 1), colour(line[x / 2]));
		assert_int_equal(dot(x, 2), colour(x < 8 ? 3 : 0));
		assert_int_equal(dot(x, 4), colour(x < 2 ? 1 : 0));
	}
	set_mode(&mode_6);
	memset(v->vram, 0, 0x40000);
	write(0x18000, 0x81, 1);
	write(0x1a001, 0x01, 1);
	update();
	assert_string_equal(dots(0, 0, 16, 1, 0), "#......#........");
	assert_string_equal(dots(0, 3, 16, 1, 0), "...............#");
}

static void test_blank(void **state)
{
	set_mode(&mode_12);
	write(0, 0xff, 1);
	update();
	assert_int_equal(dot(0, 0), colour(15));
	seq(1, 0x21);
	update();
	assert_true(f->blank);
	assert_int_equal(dot(0, 0), 0);
	seq(1, 0x01);
	update();
	assert_int_equal(dot(0, 0), colour(15));
	vga_read(v, 0x2a);
	out(0x3c0, 0x00);			/* the CPU has the palette */
	update();
	assert_true(f->blank);
	assert_int_equal(dot(0, 0), 0);
}

static void vbe_mode(u16 width, u16 height, u16 bpp)
{
	vbe(4, 0);
	vbe(1, width);
	vbe(2, height);
	vbe(3, bpp);
	vbe(4, 0x41);
}

static void test_vbe(void **state)
{
	set_mode(&mode_13);
	vbe_mode(800, 600, 32);
	memcpy(v->vram + 4 * (800 * 599 + 799), "\x11\x22\x33\xff", 4);
	update();
	assert_int_equal(f->width, 800);
	assert_int_equal(f->height, 600);
	assert_int_equal(dot(799, 599), 0x332211);
	u64 seen = f->seq;
	v->vram[4 * 800 * 10] = 0xee;		/* as the guest does behind BAR 0 */
	v->dirty[4 * 800 * 10 >> 12] = 1;
	vga_vram_written(v);
	update();
	assert_int_equal(dot(0, 10), 0xee);
	assert_int_equal(f->line_seq[10], seen + 1);
	assert_true(f->line_seq[11] <= seen);
	assert_int_equal(v->dirty[4 * 800 * 10 >> 12], 0);
	vbe_mode(640, 480, 24);
	memcpy(v->vram + 3 * 640, "\x11\x22\x33", 3);
	update();
	assert_int_equal(dot(0, 1), 0x332211);
	vbe_mode(640, 480, 16);
	memcpy(v->vram + 2, "\x1f\x84", 2);	/* 10000 100000 11111 */
	update();
	assert_int_equal(dot(1, 0), 0x8482ff);
	vbe_mode(640, 480, 15);
	memcpy(v->vram + 2, "\x1f\xc2", 2);	/* 10000 10000 11111 */
	update();
	assert_int_equal(dot(1, 0), 0x8484ff);
	vbe_mode(640, 480, 8);
	v->vram[641] = 0x83;
	update();
	assert_int_equal(dot(1, 1), colour(0x83));
	vbe(6, 1000);				/* a wider line; the screen shows a part */
	vbe(8, 8);
	vbe(9, 2);
	v->vram[2 * 1000 + 8] = 0x21;
	update();
	assert_int_equal(dot(0, 0), colour(0x21));
	vbe(4, 0x61);				/* 8 bits a colour */
	out(0x3c8, 0x21);
	out(0x3c9, 0xab); out(0x3c9, 0xcd); out(0x3c9, 0xef);
	update();
	assert_int_equal(dot(0, 0), 0xabcdef);
	vbe_mode(800, 600, 4);
	gc(5, 0);
	seq(2, 0x0a);
	seq(4, 0x06);
	write(100, 0x40, 1);
	update();
	assert_string_equal(dots(0, 1, 4, 10, 0), ".#..");
	vbe(6, 816);
	vbe(8, 1);
	write(102, 0x40, 1);
	update();
	assert_string_equal(dots(0, 1, 4, 10, 0), "#...");
	vbe_mode(2560, 1600, 32);		/* 15.6 MiB */
	memset(v->vram + 4 * (2560 * 1600 - 1), 0x5a, 4);
	update();
	assert_int_equal(f->width, 2560);
	assert_int_equal(dot(2559, 1599), 0x5a5a5a);
	vbe(4, 0);				/* back to the VGA's own */
	update();
	assert_int_equal(f->width, 640);
	assert_int_equal(f->height, 400);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_text), T(test_text_attributes), T(test_cursor), T(test_only_changes), T(test_smooth_text), T(test_forty_columns),
		T(test_planar), T(test_256), T(test_mode_x), T(test_cga), T(test_blank), T(test_vbe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
