/*
 * test_vga.c - the VGA's registers, its window to memory and the VBE registers, from IBM's description and Bochs' interface.
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
#include "monitor/bus.h"
#include "monitor/event.h"
#include "tests/unit/fake_vm.h"
#include <stdlib.h>
#include <string.h>

/* The guest's view of the window, if it has one as memory; what was posted runs when the test says so. */
static struct { u32 offset, len, cleaned, maps; u8 *host, *log; void (*fn)(void *arg); void *arg; } direct;

bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg)
{
	direct.fn = fn;
	direct.arg = arg;
	return true;
}

static void map(void *arg, u32 offset, u32 len, u8 *host, u8 *dirty_log)
{
	direct.offset = offset;
	direct.len = len;
	direct.host = host;
	direct.log = dirty_log;
	direct.maps++;
}

static void map_clean(void *arg, u32 first, u32 count) { direct.cleaned += count; }

static struct vga *v;

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	v = calloc(1, sizeof(*v));
	vga_init(v, vm, "vga", calloc(1, VGA_VRAM_BYTES), VGA_VRAM_BYTES);
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	free(v->vram);
	free(v);
	fake_vm_free(*state);
	return 0;
}

static void out(u32 port, u8 value) { vga_write(v, port - VGA_PORTS_BASE, value); }
static u8 in(u32 port) { return vga_read(v, port - VGA_PORTS_BASE); }
static void seq(u8 n, u8 value) { out(0x3c4, n); out(0x3c5, value); }
static void gc(u8 n, u8 value) { out(0x3ce, n); out(0x3cf, value); }
static void crtc(u8 n, u8 value) { out(0x3d4, n); out(0x3d5, value); }
static u8 crtc_get(u8 n) { out(0x3d4, n); return in(0x3d5); }
static void ac(u8 n, u8 value) { in(0x3da); out(0x3c0, n); out(0x3c0, value); }
static void vbe(u16 n, u16 value) { vbe_port_write(v, 0, n); vbe_port_write(v, 1, value); }
static u16 vbe_get(u16 n) { vbe_port_write(v, 0, n); return vbe_port_read(v, 1); }
static void poke(u32 at, u8 value) { vga_window_write(v, at, value, 1); }
static u8 peek(u32 at) { return (u8)vga_window_read(v, at, 1); }
static u32 word(u32 offset) { return ((u32 *)(void *)v->vram)[offset]; }

/* Colour, memory on; planar: A0000h, 64 KiB, all planes, no odd/even. */
static void planar(void)
{
	out(0x3c2, 0x63);
	seq(2, 0x0f);
	seq(4, 0x06);
	gc(6, 0x05);
	gc(8, 0xff);
}

static void test_places(void **state)
{
	out(0x3c2, 0x67);
	assert_int_equal(in(0x3cc), 0x67);
	assert_int_equal(in(0x3b4), 0xff);	/* nobody: the CRTC is at 3D4h */
	crtc(0x0e, 0x12);
	assert_int_equal(in(0x3d5), 0x12);
	out(0x3c2, 0x66);
	assert_int_equal(in(0x3d4), 0xff);
	assert_int_equal(in(0x3b5), 0x12);
	assert_int_equal(in(0x3b4), 0x0e);
	out(0x3b5, 0x34);
	assert_int_equal(in(0x3b5), 0x34);
	out(0x3ba, 0x0b);			/* feature control */
	assert_int_equal(in(0x3ca), 0x0b);
	assert_int_equal(in(0x3c3), 1);
}

/* Which bits of each register there are. */
static void test_bits(void **state)
{
	static const u8 seq_bits[5] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
	static const u8 gc_bits[9] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
	static const u8 ac_bits[5] = { 0xef, 0xff, 0x3f, 0x0f, 0x0f };
	for (u8 i = 0; i < 5; i++) {
		seq(i, 0xff);
		assert_int_equal(in(0x3c4), i);
		assert_int_equal(in(0x3c5), seq_bits[i]);
	}
	for (u8 i = 0; i < 9; i++) {
		gc(i, 0xff);
		assert_int_equal(in(0x3cf), gc_bits[i]);
	}
	out(0x3c2, 0x01);
	for (u8 i = 0; i < 21; i++) {
		ac(i, 0xff);
		assert_int_equal(in(0x3c1), i < 16 ? 0x3f : ac_bits[i - 16]);
	}
	for (u8 i = 0; i < 25; i++) {
		crtc(i, 0x55);
		assert_int_equal(in(0x3d5), 0x55);
	}
	seq(7, 0xff);
	assert_int_equal(in(0x3c5), 0);
	gc(9, 0xff);
	assert_int_equal(in(0x3cf), 0);
	crtc(0x3f, 0xff);
	assert_int_equal(in(0x3d5), 0);
	ac(0x1f, 0xff);
	assert_int_equal(in(0x3c1), 0);
}

static void test_crtc_protection(void **state)
{
	out(0x3c2, 0x67);
	for (u8 i = 0; i < 8; i++)
		crtc(i, 0x00);
	crtc(0x11, 0x80);
	for (u8 i = 0; i < 8; i++)
		crtc(i, 0xff);
	for (u8 i = 0; i < 7; i++)
		assert_int_equal(crtc_get(i), 0);
	assert_int_equal(crtc_get(7), 0x10);	/* bit 8 of line compare can be written */
	crtc(8, 0x1f);
	assert_int_equal(crtc_get(8), 0x1f);
	crtc(0x11, 0x00);
	crtc(0, 0x5f);
	assert_int_equal(crtc_get(0), 0x5f);
}

static void test_attribute_flip_flop(void **state)
{
	out(0x3c2, 0x67);
	in(0x3da);
	out(0x3c0, 0x01);
	out(0x3c0, 0x2a);
	out(0x3c0, 0x02);
	out(0x3c0, 0x15);
	out(0x3c0, 0x01);		/* an index */
	assert_int_equal(in(0x3c0), 0x01);
	assert_int_equal(in(0x3c1), 0x2a);
	in(0x3da);			/* back to index, so 02h is none of data */
	out(0x3c0, 0x22);
	assert_int_equal(in(0x3c0), 0x22);
	assert_int_equal(in(0x3c1), 0x15);
	in(0x3ba);			/* not there in colour: the flip-flop stays */
	out(0x3c0, 0x3f);
	assert_int_equal(in(0x3c1), 0x3f);
}

static void test_dac(void **state)
{
	out(0x3c8, 0x10);
	for (u8 i = 0; i < 6; i++)
		out(0x3c9, (u8)(0xc1 + i));	/* 6 bits */
	assert_int_equal(in(0x3c8), 0x12);
	assert_int_equal(in(0x3c7), 0);
	out(0x3c7, 0x10);
	assert_int_equal(in(0x3c7), 3);
	for (u8 i = 0; i < 6; i++)
		assert_int_equal(in(0x3c9), 1 + i);
	out(0x3c8, 0x10);		/* a colour changes when blue is written */
	out(0x3c9, 0x3f);
	out(0x3c9, 0x3f);
	out(0x3c7, 0x10);
	assert_int_equal(in(0x3c9), 1);
	assert_int_equal(in(0x3c9), 2);
	out(0x3c7, 0xff);		/* 255 is followed by 0 */
	for (u8 i = 0; i < 4; i++)
		in(0x3c9);
	assert_int_equal(in(0x3c6), 0xff);
	out(0x3c6, 0x0f);
	assert_int_equal(in(0x3c6), 0x0f);
	vbe(4, 0x20);			/* 8 bits, by VBE */
	out(0x3c8, 1);
	out(0x3c9, 0xfe); out(0x3c9, 0xdc); out(0x3c9, 0xba);
	out(0x3c7, 1);
	assert_int_equal(in(0x3c9), 0xfe);
	vbe(4, 0);
	assert_int_equal(in(0x3c9), 0xdc & 0x3f);
}

static void test_windows(void **state)
{
	planar();
	gc(6, 0x01);			/* A0000h, 128 KiB */
	poke(0x1ffff, 0x11);
	assert_int_equal(word(0xffff), 0x11111111);
	gc(6, 0x05);
	poke(0x10000, 0x22);
	assert_int_equal(word(0), 0);
	assert_int_equal(peek(0x10000), 0xff);
	poke(0xffff, 0x33);
	assert_int_equal(word(0xffff), 0x33333333);
	gc(6, 0x09);			/* B0000h, 32 KiB */
	poke(0x10005, 0x44);
	poke(0x18006, 0x44);
	assert_int_equal(word(5), 0x44444444);
	assert_int_equal(word(6), 0);
	gc(6, 0x0d);			/* B8000h, 32 KiB */
	poke(0x18007, 0x55);
	assert_int_equal(word(7), 0x55555555);
	assert_int_equal(peek(0x7), 0xff);
	out(0x3c2, 0x61);		/* memory off */
	poke(0x18007, 0x66);
	assert_int_equal(word(7), 0x55555555);
	assert_int_equal(peek(0x18007), 0xff);
}

static void test_write_mode_0(void **state)
{
	planar();
	seq(2, 0x05);
	poke(0, 0x96);
	assert_int_equal(word(0), 0x00960096);
	seq(2, 0x0f);
	gc(3, 0x03);			/* rotated right by 3 */
	poke(1, 0x05);
	assert_int_equal(word(1), 0xa0a0a0a0);
	gc(3, 0);
	gc(0, 0x06);			/* set/reset 0110 in planes 0 to 2 */
	gc(1, 0x07);
	poke(2, 0x81);
	assert_int_equal(word(2), 0x81ffff00);
	gc(1, 0);
	assert_int_equal(peek(0), 0x96);	/* the latches: 00960096 */
	gc(8, 0x0f);
	poke(3, 0xff);
	assert_int_equal(word(3), 0x0f9f0f9f);
	gc(8, 0xff);
	gc(3, 0x08);
	poke(4, 0xf0);
	assert_int_equal(word(4), 0x00900090);
	gc(3, 0x10);
	poke(4, 0xf0);
	assert_int_equal(word(4), 0xf0f6f0f6);
	gc(3, 0x18);
	poke(4, 0xf0);
	assert_int_equal(word(4), 0xf066f066);
	gc(3, 0x1c);			/* rotated by 4, then xor */
	poke(4, 0xf0);
	assert_int_equal(word(4), 0x0f990f99);
}

static void test_write_mode_1(void **state)
{
	planar();
	((u32 *)(void *)v->vram)[9] = 0x12345678;
	peek(9);
	gc(5, 1);
	gc(8, 0x00);			/* the bit mask has no part in it */
	seq(2, 0x0d);
	poke(10, 0xff);
	assert_int_equal(word(10), 0x12340078);
}

static void test_write_mode_2(void **state)
{
	planar();
	gc(5, 2);
	poke(0, 0xf9);			/* colour 9 */
	assert_int_equal(word(0), 0xff0000ff);
	peek(0);
	gc(8, 0x3c);
	poke(1, 0x06);
	assert_int_equal(word(1), 0xc33c3cc3);
	gc(3, 0x18);			/* xor with the latches where the mask is 1 */
	poke(1, 0x0f);
	assert_int_equal(word(1), 0xc33c3cc3);
	poke(1, 0x01);
	assert_int_equal(word(1), 0xff0000c3);
}

static void test_write_mode_3(void **state)
{
	planar();
	((u32 *)(void *)v->vram)[0] = 0x0f0f0f0f;
	peek(0);
	gc(5, 3);
	gc(0, 0x05);
	gc(1, 0x00);			/* set/reset counts without being enabled */
	gc(8, 0xfc);
	gc(3, 0x04);
	poke(1, 0x1e);			/* rotated: e1; mask e0 */
	assert_int_equal(word(1), 0x0fef0fef);
	gc(8, 0xff);
	gc(3, 0);
	poke(1, 0xff);
	assert_int_equal(word(1), 0x00ff00ff);
}

static void test_read_modes(void **state)
{
	planar();
	((u32 *)(void *)v->vram)[3] = 0x88cc0faa;
	for (u8 i = 0; i < 4; i++) {
		gc(4, i);
		assert_int_equal(peek(3), word(3) >> 8 * i & 0xff);
	}
	gc(5, 8);
	gc(2, 0x0c);			/* planes 3 and 2 set, 1 and 0 clear */
	gc(7, 0x0f);
	assert_int_equal(peek(3), 0x88 & 0xcc & (u8)~0x0f & (u8)~0xaa);
	gc(7, 0x0c);			/* planes 1 and 0 do not matter */
	assert_int_equal(peek(3), 0x88);
	gc(7, 0);
	assert_int_equal(peek(3), 0xff);
	assert_int_equal(v->latch, word(3));
}

/* Text: characters in plane 0, attributes in plane 1, each at even offsets. */
static void test_odd_even(void **state)
{
	out(0x3c2, 0x67);
	seq(2, 0x03);
	seq(4, 0x02);
	gc(5, 0x10);
	gc(6, 0x0e);
	gc(8, 0xff);
	vga_window_write(v, 0x18000, 0x1f411e40, 4);
	assert_int_equal(word(0), 0x1e40);
	assert_int_equal(word(1), 0);
	assert_int_equal(word(2), 0x1f41);
	assert_int_equal(vga_window_read(v, 0x18000, 4), 0x1f411e40);
	gc(4, 2);			/* planes 2 and 3 */
	assert_int_equal(peek(0x18000), 0);
	gc(4, 0);
	out(0x3c2, 0x47);		/* the page bit */
	assert_int_equal(vga_window_read(v, 0x18000, 2), 0);
	poke(0x18000, 0x55);
	assert_int_equal(word(1), 0x55);
	gc(6, 0x02);			/* 128 KiB: A16 takes the page bit's place */
	assert_int_equal(peek(0), 0x40);
	assert_int_equal(peek(0x10000), 0x55);
	gc(6, 0x0c);			/* no chaining of the address: every offset is there */
	poke(0x18003, 0x77);
	assert_int_equal(word(3), 0x7700);
}

static void test_chain4(void **state)
{
	planar();
	seq(4, 0x0e);
	vga_window_write(v, 0, 0x04030201, 4);
	vga_window_write(v, 4, 0x0605, 2);
	assert_int_equal(word(0), 0x04030201);
	assert_int_equal(word(1), 0);
	assert_int_equal(word(4), 0x0605);
	assert_int_equal(vga_window_read(v, 0, 4), 0x04030201);
	seq(2, 0x05);			/* the map mask still counts */
	vga_window_write(v, 0, 0xffffffff, 4);
	assert_int_equal(word(0), 0x04ff02ff);
	seq(2, 0x0f);
	seq(4, 0x06);			/* unchained: the same memory by planes */
	gc(4, 1);
	assert_int_equal(peek(0), 0x02);
	seq(4, 0x0e);
	peek(0);
	gc(5, 1);			/* latched copy, as programs do in mode X */
	seq(4, 0x06);
	poke(100, 0);
	assert_int_equal(word(100), 0x04ff02ff);
}

static void store(u32 at, u8 value)
{
	assert_true(at - direct.offset < direct.len);
	direct.host[at - direct.offset] = value;
	direct.log[(at - direct.offset) >> PAGE_SHIFT] = 1;
	vga_vram_written(v);
}

/* Enough accesses through the bus, then a block boundary. */
static bool becomes_memory(u32 at)
{
	direct.fn = NULL;
	for (u32 i = 0; i < 1000; i++)
		peek(at);
	if (direct.fn)
		direct.fn(direct.arg);
	return direct.len;
}

static void test_window_as_memory(void **state)
{
	static u8 shadow[VGA_SHADOW_BYTES];
	memset(&direct, 0, sizeof(direct));
	v->map = map;
	v->map_clean = map_clean;
	v->shadow = shadow;
	out(0x3c2, 0x67);			/* text */
	seq(2, 0x03);
	seq(4, 0x02);
	gc(5, 0x10);
	gc(6, 0x0e);
	gc(8, 0xff);
	vga_window_write(v, 0x18000, 0x1e41, 2);
	assert_true(becomes_memory(0x18000));
	assert_int_equal(direct.offset, 0x18000);
	assert_int_equal(direct.len, 0x8000);
	assert_int_equal(direct.host[0] | direct.host[1] << 8, 0x1e41);
	store(0x18000 + 5, 0x77);
	vga_flush(v);
	assert_int_equal(word(4), 0x7700);
	assert_int_equal(direct.cleaned, 1);
	assert_int_equal(direct.log[0], 0);
	store(0x18000, 0x42);
	seq(2, 0x04);				/* a font is coming */
	assert_int_equal(direct.len, 0);
	assert_int_equal(word(0), 0x1e42);
	assert_false(becomes_memory(0x18000));
	seq(2, 0x03);
	assert_true(becomes_memory(0x18000));
	assert_int_equal(direct.host[0], 0x42);
	store(0x18000, 0x43);
	vbe(1, 1024);				/* memory is cleared after what was written before */
	vbe(2, 768);
	vbe(3, 8);
	vbe(4, 1);
	assert_int_equal(word(0), 0);
	assert_int_equal(direct.len, 0);
	gc(6, 0x05);
	assert_true(becomes_memory(0));
	assert_ptr_equal(direct.host, v->vram);
	vbe(5, 9);
	assert_ptr_equal(direct.host, v->vram + 0x90000);
	assert_ptr_equal(direct.log, v->dirty + 0x90);
	vbe(4, 0);
	assert_int_equal(direct.len, 0);
	seq(2, 0x0f);				/* 256 colours */
	seq(4, 0x0e);
	gc(5, 0x40);
	poke(0x1005, 0x12);
	assert_true(becomes_memory(0));
	assert_int_equal(direct.len, 0x10000);
	assert_int_equal(direct.host[0x1005], 0x12);
	store(0xffff, 0x34);
	seq(4, 0x06);				/* unchained */
	assert_int_equal(direct.len, 0);
	assert_int_equal(word(0xfffc), 0x34000000);
	assert_false(becomes_memory(0));
	seq(4, 0x0e);
	assert_true(becomes_memory(0));
	store(0x0000, 0x99);
	v->dev.cls->loaded(v);			/* memory was loaded too: the shadow is old */
	assert_int_equal(direct.len, 0);
	assert_int_equal(word(0), 0);
	assert_true(becomes_memory(0));
	u32 maps = direct.maps;
	gc(8, 0x0f);				/* masks and functions need the chip */
	assert_int_equal(direct.maps, maps + 1);
	assert_false(becomes_memory(0));
	v->dev.cls->reset(v);
	assert_int_equal(direct.len, 0);
}

static u32 count_rises(struct vm *vm, u8 bit, u64 ns)
{
	u32 rises = 0;
	u8 was = in(0x3da) & bit;
	for (u64 t = 0; t < ns; t += 2000) {
		fake_advance(vm, 2000);
		u8 is = in(0x3da) & bit;
		rises += is && !was;
		was = is;
	}
	return rises;
}

static void test_retrace(void **state)
{
	/* 320x200x256: 70 Hz, 31469 lines a second */
	static const u8 mode13[25] = { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x0e, 0x8f, 0x28, 0x40,
		0x96, 0xb9, 0xa3, 0xff };
	struct vm *vm = *state;
	out(0x3c2, 0x63);
	seq(1, 0x01);
	for (u8 i = 0; i < 25; i++)
		crtc(i, mode13[i]);
	assert_in_range(count_rises(vm, 8, 1000000000), 69, 71);
	assert_in_range(count_rises(vm, 1, 1000000000) / 70, 398, 402);
	u32 on = 0;
	for (u32 i = 0; i < 100000; i++) {	/* two lines of 449 */
		fake_advance(vm, 1777);
		on += (in(0x3da) & 8) != 0;
	}
	assert_in_range(on, 350, 560);
	crtc(0x11, 0x0c);
	for (u8 i = 0; i < 25; i++)		/* whatever it says, frames end */
		crtc(i, 0);
	assert_true(count_rises(vm, 8, 20000000) > 2);
	for (u8 i = 0; i < 25; i++)
		crtc(i, i == 0x11 ? 0x7f : 0xff);
	seq(1, 0x08);
	assert_true(count_rises(vm, 8, 2000000000) > 2);
}

static void test_vbe(void **state)
{
	assert_int_equal(vbe_get(0), 0xb0c5);
	vbe(0, 0xb0c2);
	assert_int_equal(vbe_get(0), 0xb0c2);
	vbe(0, 0x1234);
	assert_int_equal(vbe_get(0), 0xb0c2);
	assert_int_equal(vbe_get(10), 256);	/* 16 MiB */
	assert_int_equal(vbe_get(11), 0);
	assert_int_equal(vbe_get(0xffff), 0);
	vbe(4, 2);				/* capabilities */
	assert_int_equal(vbe_get(1), 2560);
	assert_int_equal(vbe_get(2), 1600);
	assert_int_equal(vbe_get(3), 32);
	vbe(4, 0);
	vbe(1, 1024);
	vbe(2, 768);
	vbe(3, 32);
	v->vram[5] = 0x77;
	vbe(4, 0x41);
	assert_int_equal(v->vram[5], 0);	/* cleared */
	assert_int_equal(vbe_get(6), 1024);
	assert_int_equal(vbe_get(7), 4096);
	vbe(6, 2048);
	assert_int_equal(vbe_get(7), 2048);
	vbe(8, 5000);
	vbe(9, 1500);
	assert_int_equal(vbe_get(8), 1024);
	assert_int_equal(vbe_get(9), 1280);
	vbe(4, 0);
	vbe(3, 17);
	assert_int_equal(vbe_get(3), 8);
	vbe(1, 65535);
	vbe(2, 65535);
	assert_int_equal(vbe_get(1), 2560);
	assert_int_equal(vbe_get(2), 1600);
	v->vram[5] = 0x77;
	vbe(4, 0xc1);				/* memory is kept */
	assert_int_equal(v->vram[5], 0x77);
}

static void test_vbe_banks(void **state)
{
	planar();
	vbe(1, 1024);
	vbe(2, 768);
	vbe(3, 8);
	vbe(4, 1);
	vbe(5, 3);
	vga_window_write(v, 0x10, 0x44332211, 4);
	assert_memory_equal(v->vram + 0x30010, "\x11\x22\x33\x44", 4);
	assert_int_equal(vga_window_read(v, 0x11, 2), 0x3322);
	vbe(5, 0xffff);
	assert_int_equal(vbe_get(5), 255);
	poke(0xffff, 0x99);
	assert_int_equal(v->vram[VGA_VRAM_BYTES - 1], 0x99);
	vbe(4, 0);
	vbe(3, 4);				/* planes, banks of 64 KiB in each */
	vbe(4, 1);
	vbe(5, 2);
	seq(2, 0x0f);
	poke(1, 0x5a);
	assert_int_equal(word(0x20001), 0x5a5a5a5a);
	vbe(5, 0xff);
	assert_int_equal(vbe_get(5), 63);
	poke(0xffff, 0x5a);
	assert_int_equal(word(VGA_VRAM_BYTES / 4 - 1), 0x5a5a5a5a);
}

static void test_mmio(void **state)
{
	const struct bus_ops *ops = v->func.bar_ops[VGA_BAR_MMIO];
	void *dev = v->func.bar_dev[VGA_BAR_MMIO];
	ops->write(dev, 0x400 + 0x04, 0x0b02, 2);	/* sequencer, register 2 */
	assert_int_equal(v->seq[2], 0x0b);
	assert_int_equal(ops->read(dev, 0x404, 2), 0x0b02);
	ops->write(dev, 0x502, 640, 2);
	assert_int_equal(ops->read(dev, 0x502, 2), 640);
	assert_int_equal(vbe_get(1), 640);
	assert_int_equal(ops->read(dev, 0x500, 2), 0xb0c5);
	assert_int_equal(ops->read(dev, 0x300, 2) & 0xffff, 0xffff);
	assert_int_equal(v->func.config[0x0a] | v->func.config[0x0b] << 8, 0x0300);
}

/* E-EDID: header, letters of the maker, first timing, name, sum. */
static void test_edid(void **state)
{
	const struct bus_ops *ops = v->func.bar_ops[VGA_BAR_MMIO];
	void *dev = v->func.bar_dev[VGA_BAR_MMIO];
	static const u8 header[] = { 0, 255, 255, 255, 255, 255, 255, 0 };
	u8 e[256], sum = 0;
	for (u32 i = 0; i < sizeof(e); i++)
		e[i] = (u8)ops->read(dev, i, 1);
	for (u32 i = 0; i < 128; i++)
		sum = (u8)(sum + e[i]);
	assert_int_equal(sum, 0);
	assert_memory_equal(e, header, sizeof(header));
	u32 maker = (u32)e[8] << 8 | e[9];
	assert_int_equal((maker >> 10 & 31) + '@', 'R');
	assert_int_equal((maker >> 5 & 31) + '@', 'F');
	assert_int_equal((maker & 31) + '@', 'C');
	assert_int_equal(ops->read(dev, 18, 2), 0x0301);
	assert_int_equal((e[54] | e[55] << 8) * 10, 65000);	/* kHz */
	assert_int_equal(e[56] | (e[58] & 0xf0) << 4, 1024);
	assert_int_equal(e[57] | (e[58] & 0x0f) << 8, 320);
	assert_int_equal(e[59] | (e[61] & 0xf0) << 4, 768);
	assert_int_equal((e[52] + 31) * 8, 1920);
	assert_memory_equal(e + 95, "Ringfence\n", 10);
	assert_int_equal(e[126] | e[128] | e[255], 0);
	ops->write(dev, 0, 0x1234, 2);
	assert_int_equal(ops->read(dev, 0, 2), 0xff00);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_places), T(test_bits), T(test_crtc_protection), T(test_attribute_flip_flop), T(test_dac), T(test_windows),
		T(test_write_mode_0), T(test_write_mode_1), T(test_write_mode_2), T(test_write_mode_3), T(test_read_modes), T(test_odd_even),
		T(test_chain4), T(test_retrace), T(test_window_as_memory), T(test_vbe), T(test_vbe_banks), T(test_mmio),
		T(test_edid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
