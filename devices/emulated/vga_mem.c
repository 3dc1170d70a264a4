/*
 * vga_mem.c - the CPU's window to video memory at A0000h: planes, latches, write and read modes, odd/even, chain 4, VBE banks.
 * IBM Video Subsystem, "Graphics Controller" and "Memory Mode Register".
 *
 * Video memory is an array of words, the four planes' bytes of one offset, so the four planes are worked on at once. Chain 4 puts address
 * a into plane a & 3 at offset a & ~3, and odd/even into plane a & 1 at offset a & ~1, as the real chip does: programs that switch
 * between these modes see the same memory.
 */
#include "devices/emulated/vga_int.h"

/* Bit p of an index: all ones in byte p. */
static const u32 planes[16] = {
	0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff,
	0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff,
};
#define EACH_PLANE 0x01010101u

/* Where the window is within A0000h to BFFFFh: graphics controller, miscellaneous register, memory map. */
static bool window(const struct vga *v, u32 *offset)
{
	static const struct { u32 first, len; } maps[4] = { { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 } };
	u32 map = v->gc[GC_MISC] >> 2 & 3;
	*offset -= maps[map].first;
	return *offset < maps[map].len && (v->misc & MISC_RAM);
}

static u32 bank(const struct vga *v)
{
	return vbe_on(v) ? (u32)v->vbe[VBE_BANK] << 16 : 0;
}

static u32 odd_even_offset(const struct vga *v, u32 at)
{
	if (!(v->gc[GC_MISC] & GC_MISC_CHAIN))
		return at & 0xffff;
	u32 low = v->gc[GC_MISC] & 0x0c ? !(v->misc & MISC_PAGE) : at >> 16 & 1;
	return (at & 0xfffe) | low;
}

static u32 chain4_offset(u32 at)
{
	return (at & 0xfffc) | (at >> 16 & 3);
}

static u8 rotate(const struct vga *v, u8 value)
{
	u32 n = v->gc[GC_ROTATE] & 7;
	return (u8)(value >> n | value << (8 - n));
}

/* What the data manipulator makes of a byte for the four planes. */
static u32 manipulate(const struct vga *v, u8 value)
{
	u32 set = planes[v->gc[GC_SET_RESET]], mask = v->gc[GC_BIT_MASK] * EACH_PLANE, data;
	switch (v->gc[GC_MODE] & MODE_WRITE) {
	case 0: {
		u32 enable = planes[v->gc[GC_ENABLE_SET_RESET]];
		data = (rotate(v, value) * EACH_PLANE & ~enable) | (set & enable);
		break;
	}
	case 1:
		return v->latch;
	case 2:
		data = planes[value & 15];
		break;
	default:
		data = set;
		mask &= rotate(v, value) * EACH_PLANE;
		break;
	}
	switch (v->gc[GC_ROTATE] >> 3) {
	case 1: data &= v->latch; break;
	case 2: data |= v->latch; break;
	case 3: data ^= v->latch; break;
	}
	return (data & mask) | (v->latch & ~mask);
}

static void write_planar(struct vga *v, u32 at, u8 value)
{
	u32 map = v->seq[SEQ_MAP_MASK], offset = at & 0xffff;
	if (v->seq[SEQ_MEMORY] & MEMORY_CHAIN4) {
		offset = chain4_offset(at);
		map &= 1u << (at & 3);
	} else if (!(v->seq[SEQ_MEMORY] & MEMORY_NO_ODD_EVEN)) {
		offset = odd_even_offset(v, at);
		map &= at & 1 ? 0xa : 0x5;
	}
	offset = (offset + bank(v)) & (vga_offsets(v) - 1);
	u32 *word = &vga_words(v)[offset], mask = planes[map];
	u32 data = v->plain_write ? value * EACH_PLANE : manipulate(v, value);
	*word = (*word & ~mask) | (data & mask);
	v->dirty[offset >> (PAGE_SHIFT - 2)] = 1;
	if (unlikely(map & 4) && !(v->gc[GC_MISC] & GC_MISC_GRAPHICS))	/* a font */
		v->redraw = true;
}

static u8 read_planar(struct vga *v, u32 at)
{
	u32 plane = v->gc[GC_READ_MAP], offset = at & 0xffff;
	if (v->seq[SEQ_MEMORY] & MEMORY_CHAIN4) {
		offset = chain4_offset(at);
		plane = at & 3;
	} else if (v->gc[GC_MODE] & MODE_ODD_EVEN) {
		offset = odd_even_offset(v, at);
		plane = (plane & 2) | (at & 1);
	}
	v->latch = vga_words(v)[(offset + bank(v)) & (vga_offsets(v) - 1)];
	if (!(v->gc[GC_MODE] & MODE_READ))
		return (u8)(v->latch >> 8 * plane);
	u32 differs = (v->latch ^ planes[v->gc[GC_COMPARE]]) & planes[v->gc[GC_DONT_CARE]];
	differs |= differs >> 16;
	return (u8)~(differs | differs >> 8);
}

void vga_window_write(struct vga *v, u32 offset, u32 value, int size)
{
	for (int i = 0; i < size; i++) {
		u32 at = offset + (u32)i;
		if (!window(v, &at))
			continue;
		if (vbe_linear(v)) {
			at = (at + bank(v)) & (v->vram_size - 1);
			v->vram[at] = (u8)(value >> 8 * i);
			v->dirty[at >> PAGE_SHIFT] = 1;
		} else {
			write_planar(v, at, (u8)(value >> 8 * i));
		}
	}
	vga_touch(v);
	vga_direct_count(v);
}

u32 vga_window_read(struct vga *v, u32 offset, int size)
{
	u32 value = 0;
	for (int i = 0; i < size; i++) {
		u32 at = offset + (u32)i;
		u8 byte = 0xff;
		if (window(v, &at))
			byte = vbe_linear(v) ? v->vram[(at + bank(v)) & (v->vram_size - 1)] : read_planar(v, at);
		value |= (u32)byte << 8 * i;
	}
	vga_direct_count(v);
	return value;
}
