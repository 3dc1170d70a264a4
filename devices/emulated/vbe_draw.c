/*
 * vbe_draw.c - pictures of the VBE modes: 4 bits in planes, 8 by the palette, 15, 16, 24 and 32 bits of colour.
 */
/* cflags: -O3 */
#include "devices/emulated/vga_int.h"
#include <string.h>

static void line_8(u32 *restrict to, const u8 *restrict from, u32 count, const u32 *dac)
{
	for (u32 i = 0; i < count; i++)
		to[i] = dac[from[i]];
}

static u32 five(u32 c) { return c << 3 | c >> 2; }
static u32 six(u32 c) { return c << 2 | c >> 4; }

static void line_15(u32 *restrict to, const u8 *restrict from, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		u32 c = from[2 * i] | (u32)from[2 * i + 1] << 8;
		to[i] = five(c >> 10 & 31) << 16 | five(c >> 5 & 31) << 8 | five(c & 31);
	}
}

static void line_16(u32 *restrict to, const u8 *restrict from, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		u32 c = from[2 * i] | (u32)from[2 * i + 1] << 8;
		to[i] = five(c >> 11) << 16 | six(c >> 5 & 63) << 8 | five(c & 31);
	}
}

static void line_24(u32 *restrict to, const u8 *restrict from, u32 count)
{
	for (u32 i = 0; i < count; i++)
		to[i] = from[3 * i] | (u32)from[3 * i + 1] << 8 | (u32)from[3 * i + 2] << 16;
}

static void line_32(u32 *restrict to, const u8 *restrict from, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		u32 c;
		memcpy(&c, from + 4 * i, 4);
		to[i] = c & 0xffffff;
	}
}

static void convert(u32 *to, const u8 *from, u32 count, u32 bpp, const struct vga_colours *c)
{
	switch (bpp) {
	case 15: line_15(to, from, count); break;
	case 16: line_16(to, from, count); break;
	case 24: line_24(to, from, count); break;
	case 32: line_32(to, from, count); break;
	default: line_8(to, from, count, c->dac); break;
	}
}

/* Pixels of a line that lie in memory. */
static u32 there(const struct vga *v, u64 start, u32 width)
{
	u32 bytes = vbe_pitch(v, 1);
	u64 left = start < v->vram_size ? (v->vram_size - start) / bytes : 0;
	return left < width ? (u32)left : width;
}

static void draw_linear(struct vga *v, struct display_frame *f, const struct vga_colours *c, bool all)
{
	u32 line[DISPLAY_MAX_WIDTH], pitch = vbe_pitch(v, v->vbe[VBE_VIRT_WIDTH]);
	u64 start = (u64)v->vbe[VBE_Y_OFFSET] * pitch + vbe_pitch(v, v->vbe[VBE_X_OFFSET]);
	for (u32 y = 0; y < f->height; y++, start += pitch) {
		u32 count = there(v, start, f->width);
		if (!all && (!count || !vga_dirty(v, (u32)start, (u32)start + vbe_pitch(v, count) - 1)))
			continue;
		convert(line, v->vram + (count ? start : 0), count, v->vbe[VBE_BPP], c);
		memset(line + count, 0, (f->width - count) * sizeof(u32));
		vga_put_line(f, y, line);
	}
}

static void planar_line(const struct vga *v, const struct vga_colours *c, u32 offset, u32 first_bit, u32 width, u32 *to)
{
	for (u32 i = 0; i < width; i++) {
		u32 at = first_bit + i;
		u32 w = vga_words(v)[(offset + at / 8) & (vga_offsets(v) - 1)] >> (7 - at % 8) & 0x01010101;
		to[i] = c->ac[(w | w >> 7 | w >> 14 | w >> 21) & 15];
	}
}

static void draw_planar(struct vga *v, struct display_frame *f, const struct vga_colours *c, bool all)
{
	u32 line[DISPLAY_MAX_WIDTH], pitch = vbe_pitch(v, v->vbe[VBE_VIRT_WIDTH]);
	u32 offset = v->vbe[VBE_Y_OFFSET] * pitch + v->vbe[VBE_X_OFFSET] / 8;
	for (u32 y = 0; y < f->height; y++, offset += pitch) {
		u64 first = 4ull * offset, last = first + 4 * (f->width / 8) + 3;
		if (!all && last < v->vram_size && !vga_dirty(v, (u32)first, (u32)last))
			continue;
		planar_line(v, c, offset, v->vbe[VBE_X_OFFSET] & 7, f->width, line);
		vga_put_line(f, y, line);
	}
}

void vbe_draw(struct vga *v, struct display_frame *f, bool all)
{
	struct vga_colours c;
	vga_colours(v, &c);
	all |= display_size(f, v->vbe[VBE_XRES], v->vbe[VBE_YRES]);
	if (v->vbe[VBE_BPP] == 4)
		draw_planar(v, f, &c, all);
	else
		draw_linear(v, f, &c, all);
}
