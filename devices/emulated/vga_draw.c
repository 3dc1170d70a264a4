/*
 * vga_draw.c - from the registers to a picture: its geometry, its colours, which part of memory each line shows, and graphics modes.
 * IBM Video Subsystem, "CRT Controller", "Attribute Controller", "Video Memory Organization".
 *
 * The frame is what the beam shows: dots of the undivided clock, all scan lines; so 320x200 is a frame of 640x400, with a monitor's
 * proportions. Registers are looked at once a frame. Drawn is what has changed in memory; after a change of registers everything is
 * drawn, and only lines that differ are marked.
 */
/* cflags: -O3 */
#include "devices/emulated/vga_int.h"
#include <string.h>

#define LINE_MAX (DISPLAY_MAX_WIDTH + 64)	/* one more character than is shown, of nine double dots */

/* --- geometry --- */

static u32 bits(u32 value, int bit, int to)
{
	return (value >> bit & 1) << to;
}

static u32 pan_dots(const struct vga *v, const struct vga_geometry *g)
{
	u32 pan = v->ac[AC_PAN];
	if (g->dots == 9)
		return pan >= 8 ? 0 : pan + 1;
	return pan & 7;
}

void vga_geometry(const struct vga *v, struct vga_geometry *g)
{
	const u8 *c = v->crtc;
	u32 o = c[CRTC_OVERFLOW];
	bool text = !(v->gc[GC_MISC] & GC_MISC_GRAPHICS);
	u32 lines = (c[CRTC_V_DISPLAY_END] | bits(o, 1, 8) | bits(o, 6, 9)) + 1;
	g->dots = text && !(v->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS) ? 9 : 8;
	g->scale = v->seq[SEQ_CLOCKING] & CLOCKING_HALF ? 2 : 1;
	g->chars = c[CRTC_DISPLAY_END] + 1;
	if (g->chars * g->dots * g->scale > DISPLAY_MAX_WIDTH)
		g->chars = DISPLAY_MAX_WIDTH / (g->dots * g->scale);
	g->width = g->chars * g->dots * g->scale;
	g->height = c[CRTC_MODE] & 4 ? 2 * lines : lines;
	if (g->height > DISPLAY_MAX_HEIGHT)
		g->height = DISPLAY_MAX_HEIGHT;
	g->start = (u32)(c[CRTC_START_HIGH] << 8 | c[CRTC_START_LOW]) + (c[CRTC_PRESET] >> 5 & 3);
	g->row_add = 2 * c[CRTC_OFFSET];
	g->max_scan = c[CRTC_MAX_SCAN] & 0x1f;
	g->preset = c[CRTC_PRESET] & 0x1f;
	g->double_scan = c[CRTC_MAX_SCAN] & 0x80;
	g->split = c[CRTC_LINE_COMPARE] | bits(o, 4, 8) | bits(c[CRTC_MAX_SCAN], 6, 9);
	g->pan = pan_dots(v, g) * g->scale;
}

void vga_next_line(const struct vga_geometry *g, struct vga_line *l)
{
	if (l->y++ == g->split) {
		l->counter = l->row = 0;
		l->again = false;
		l->after_split = true;
		return;
	}
	l->again = g->double_scan && !l->again;
	if (l->again)
		return;
	if (l->row == g->max_scan) {
		l->row = 0;
		l->counter += g->row_add;
	} else {
		l->row = (l->row + 1) & 0x1f;
	}
}

/* Byte, word and doubleword mode, and the two bits that CGA and Hercules take from the row. */
u32 vga_address(const struct vga *v, u32 counter, u32 row)
{
	u32 mode = v->crtc[CRTC_MODE], at = counter & 0xffff;
	if (v->crtc[CRTC_UNDERLINE] & 0x40)
		at = at << 2 | at >> 14;
	else if (!(mode & 0x40))
		at = at << 1 | (mode & 0x20 ? at >> 15 : at >> 13 & 1);
	if (!(mode & 1))
		at = (at & ~0x2000u) | bits(row, 0, 13);
	if (!(mode & 2))
		at = (at & ~0x4000u) | bits(row, 1, 14);
	return at & 0xffff;
}

/* --- colours --- */

static u32 wide(const struct vga *v, u32 c)
{
	return v->vbe[VBE_ENABLE] & VBE_8BIT_DAC ? c : (c & 0x3f) << 2 | (c >> 4 & 3);
}

void vga_colours(const struct vga *v, struct vga_colours *c)
{
	for (u32 i = 0; i < 256; i++) {
		const u8 *d = &v->dac[3 * (i & v->dac_mask)];
		c->dac[i] = wide(v, d[0]) << 16 | wide(v, d[1]) << 8 | wide(v, d[2]);
	}
	for (u32 i = 0; i < 16; i++) {
		u32 index = v->ac[i & v->ac[AC_PLANES]], select = v->ac[AC_COLOUR_SELECT];
		if (v->ac[AC_MODE] & AC_PALETTE_SIZE)
			index = (index & 0x0f) | (select & 3) << 4;
		c->ac[i] = c->dac[(index & 0x3f) | (select >> 2 & 3) << 6];
	}
}

/* --- lines --- */

void vga_put_line(struct display_frame *f, u32 y, const u32 *line)
{
	u32 *to = f->pixels + (size_t)y * f->width;
	if (!memcmp(to, line, f->width * sizeof(u32)))
		return;
	memcpy(to, line, f->width * sizeof(u32));
	display_line_changed(f, y);
}

static u32 *put_dots(u32 *to, u32 colour, u32 count)
{
	while (count--)
		*to++ = colour;
	return to;
}

/* Eight dots of the word's planes. */
static u32 *put_planar(u32 *to, u32 w, const u32 *ac, u32 scale)
{
	for (int bit = 7; bit >= 0; bit--) {
		u32 t = w >> bit & 0x01010101;
		to = put_dots(to, ac[(t | t >> 7 | t >> 14 | t >> 21) & 15], scale);
	}
	return to;
}

/* Two bits a dot: four from planes 0 and 2, four from planes 1 and 3. */
static u32 *put_interleaved(u32 *to, u32 w, const u32 *ac, u32 scale)
{
	for (int plane = 0; plane < 16; plane += 8)
		for (int bit = 6; bit >= 0; bit -= 2)
			to = put_dots(to, ac[(w >> plane >> bit & 3) | (w >> 16 >> plane >> bit & 3) << 2], scale);
	return to;
}

/* A byte a pixel, two dots each. */
static u32 *put_256(u32 *to, u32 w, const u32 *dac, u32 scale)
{
	for (int plane = 0; plane < 32; plane += 8)
		to = put_dots(to, dac[w >> plane & 0xff], 2 * scale);
	return to;
}

static void graphics_line(const struct vga *v, const struct vga_geometry *g, const struct vga_colours *c, u32 counter, u32 row, u32 *to)
{
	const u32 *words = vga_words(v);
	int shift = v->crtc[CRTC_UNDERLINE] & 0x20 ? 2 : v->crtc[CRTC_MODE] & 8 ? 1 : 0;	/* clocks of a count: 4, 2, 1 */
	u32 mode = v->gc[GC_MODE];
	for (u32 i = 0; i <= g->chars; i++) {
		u32 w = words[vga_address(v, counter + (i >> shift), row)];
		if (mode & MODE_256)
			to = put_256(to, w, c->dac, g->scale);
		else if (mode & MODE_INTERLEAVE)
			to = put_interleaved(to, w, c->ac, g->scale);
		else
			to = put_planar(to, w, c->ac, g->scale);
	}
}

/* Has the memory of a line changed? A line that wraps around is taken to have. */
static bool line_dirty(const struct vga *v, const struct vga_geometry *g, u32 counter, u32 row)
{
	u32 first = vga_address(v, counter, row), last = vga_address(v, counter + g->chars, row);
	return first > last || last - first > 4 * g->chars + 4 || vga_dirty(v, 4 * first, 4 * last + 3);
}

void vga_draw_graphics(struct vga *v, struct display_frame *f, bool all)
{
	struct vga_geometry g;
	struct vga_colours c;
	u32 line[LINE_MAX];
	vga_geometry(v, &g);
	vga_colours(v, &c);
	all |= display_size(f, g.width, g.height);
	struct vga_line l = { .counter = g.start, .row = g.preset };
	for (; l.y < f->height; vga_next_line(&g, &l)) {
		u32 pan = l.after_split && (v->ac[AC_MODE] & AC_PAN_COMPAT) ? 0 : g.pan;
		if (!all && !line_dirty(v, &g, l.counter, l.row))
			continue;
		graphics_line(v, &g, &c, l.counter, l.row, line);
		vga_put_line(f, l.y, line + pan);
	}
}

/* --- all modes --- */

static void draw_blank(struct display_frame *f, bool all)
{
	static const u32 black[DISPLAY_MAX_WIDTH];
	if (!f->width)
		all |= display_size(f, 720, 400);
	for (u32 y = 0; all && y < f->height; y++)
		vga_put_line(f, y, black);
}

/* Pages that were shown (or may have been: planes share pages) are clean now. Others stay dirty: no more is to be heard of them. */
static void clean_pages(struct vga *v, u32 first, u32 count)
{
	u32 pages = v->vram_size >> PAGE_SHIFT;
	for (u32 p = first; p < first + count && p < pages; p++) {
		u32 run = p;
		while (run < first + count && run < pages && v->dirty[run])
			v->dirty[run++] = 0;
		if (run > p && v->clean)
			v->clean(v->board_arg, p, run - p);
		if (run > p)
			p = run - 1;
	}
}

static void clean_shown(struct vga *v)
{
	u32 first = 0, bytes = 0x40000;
	if (vbe_on(v)) {
		u32 pitch = vbe_pitch(v, v->vbe[VBE_VIRT_WIDTH]), planes = v->vbe[VBE_BPP] == 4 ? 4 : 1;
		first = v->vbe[VBE_Y_OFFSET] * pitch * planes;
		bytes = (v->vbe[VBE_YRES] + 1u) * pitch * planes;
	}
	clean_pages(v, first >> PAGE_SHIFT, (first % PAGE_SIZE + bytes + PAGE_MASK) >> PAGE_SHIFT);
}

void vga_draw(void *chip, struct display *d, struct display_frame *f, bool all)
{
	struct vga *v = chip;
	vga_flush(v);
	bool blank = !(v->ac_index & AC_INDEX_PAS) || (v->seq[SEQ_CLOCKING] & CLOCKING_OFF);
	bool graphics = vbe_on(v) || (v->gc[GC_MISC] & GC_MISC_GRAPHICS);
	all |= v->redraw || (v->moved && graphics) || blank != f->blank;
	v->redraw = v->moved = v->touched = false;
	f->blank = blank;
	if (blank || graphics) {
		f->text = false;
		f->cursor = -1;
	}
	if (blank)
		draw_blank(f, all);
	else if (vbe_on(v))
		vbe_draw(v, f, all);
	else if (graphics)
		vga_draw_graphics(v, f, all);
	else
		vga_draw_text(v, f, all);
	if (!blank)
		clean_shown(v);
}
