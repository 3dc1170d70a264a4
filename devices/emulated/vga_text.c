/*
 * vga_text.c - text modes: cells, fonts in plane 2, underline, cursor. IBM Video Subsystem, "Alphanumeric Modes", "Character Map Select".
 *
 * A row of text is drawn when one of its cells differs from what the frame says was drawn, or when the cursor came or went. Blinking
 * characters are shown, the cursor stands still: an idle screen costs nothing.
 */
#include "devices/emulated/vga_int.h"
#include <string.h>

#define CELLS_MAX (DISPLAY_MAX_WIDTH / 8 + 1)	/* one more than is shown */

struct text {
	const struct vga *v;
	struct vga_geometry g;
	struct vga_colours c;
	u32 font[2];		/* plane 2 offsets for attribute bit 3 clear and set */
	u32 background;		/* attribute bits of the background colour */
	u32 cursor;		/* address counter at the cursor, ~0: hidden */
	u32 cursor_first, cursor_last;
	u32 underline;
	u32 cells[CELLS_MAX];	/* of the row being drawn: words of video memory, plane 2 and 3 left out */
};

static u32 font_offset(u32 map)
{
	return (map & 3) << 14 | (map & 4) << 11;
}

static void text_begin(struct text *t, const struct vga *v)
{
	const u8 *c = v->crtc;
	u32 s = v->seq[SEQ_FONT];
	t->v = v;
	vga_geometry(v, &t->g);
	vga_colours(v, &t->c);
	t->font[1] = font_offset((s >> 2 & 3) | (s >> 3 & 4));
	t->font[0] = font_offset((s & 3) | (s >> 2 & 4));
	t->background = v->ac[AC_MODE] & AC_BLINK ? 7 : 15;
	t->cursor_first = c[CRTC_CURSOR_START] & 0x1f;
	t->cursor_last = c[CRTC_CURSOR_END] & 0x1f;
	t->cursor = (u32)(c[CRTC_CURSOR_HIGH] << 8 | c[CRTC_CURSOR_LOW]) + (c[CRTC_CURSOR_END] >> 5 & 3);
	if ((c[CRTC_CURSOR_START] & 0x20) || t->cursor_first > t->cursor_last)
		t->cursor = ~0u;
	t->underline = c[CRTC_UNDERLINE] & 0x1f;
}

/* The row's cells from memory; true if one differs from the frame's cells. Columns that the frame has no room for count as different. */
static bool fetch_row(struct text *t, struct display_frame *f, u32 counter, u32 r)
{
	bool differs = t->g.chars > DISPLAY_MAX_COLS || r >= DISPLAY_MAX_ROWS;
	for (u32 i = 0; i <= t->g.chars; i++) {
		u32 w = vga_words(t->v)[vga_address(t->v, counter + i, 0)] & 0xffff;
		t->cells[i] = w;
		if (i < f->cols && r < f->rows) {
			struct display_cell *cell = &f->cells[r * f->cols + i], now = { (u8)w, (u8)(w >> 8) };
			differs |= cell->ch != now.ch || cell->attr != now.attr;
			*cell = now;
		}
	}
	return differs;
}

static u32 *put_cell(const struct text *t, u32 *to, u32 cell, u32 row, bool cursor)
{
	u32 ch = cell & 0xff, attr = cell >> 8;
	u32 glyph = vga_words(t->v)[(t->font[attr >> 3 & 1] + ch * 32 + row) & 0xffff] >> 16 & 0xff;
	u32 fore = t->c.ac[attr & 15], back = t->c.ac[attr >> 4 & t->background];
	u32 dots = glyph << 1;
	if ((t->v->ac[AC_MODE] & AC_LINE_GRAPHICS) && ch >= 0xc0 && ch < 0xe0)
		dots |= glyph & 1;
	if (row == t->underline && (attr & 7) == 1)
		dots = 0x1ff;
	if (cursor && row >= t->cursor_first && row <= t->cursor_last)
		dots = 0x1ff;
	for (u32 i = 0; i < t->g.dots; i++) {
		u32 colour = dots & 0x100 >> i ? fore : back;
		*to++ = colour;
		if (t->g.scale == 2)
			*to++ = colour;
	}
	return to;
}

static void text_line(const struct text *t, struct display_frame *f, const struct vga_line *l)
{
	u32 line[DISPLAY_MAX_WIDTH + 64], *to = line;
	u32 pan = l->after_split && (t->v->ac[AC_MODE] & AC_PAN_COMPAT) ? 0 : t->g.pan;
	u32 chars = pan ? t->g.chars + 1 : t->g.chars;
	for (u32 i = 0; i < chars; i++)
		to = put_cell(t, to, t->cells[i], l->row, ((l->counter + i) & 0xffff) == t->cursor);
	vga_put_line(f, l->y, line + pan);
}

/* Cells of the frame: as many as it has room for. A change of the columns makes them all unknown. */
static bool size_cells(const struct text *t, struct display_frame *f)
{
	u32 cols = t->g.chars < DISPLAY_MAX_COLS ? t->g.chars : DISPLAY_MAX_COLS;
	u32 row_lines = (t->g.max_scan + 1) << t->g.double_scan;
	u32 rows = (t->g.height + row_lines - 1) / row_lines;
	if (rows > DISPLAY_MAX_ROWS)
		rows = DISPLAY_MAX_ROWS;
	bool changed = !f->text || f->cols != cols || f->rows != rows;
	f->text = true;
	f->cols = cols;
	f->rows = rows;
	return changed;
}

/* Row r: from the cursor's address, its cell, if it lies there. */
static s32 cursor_in_row(const struct text *t, const struct display_frame *f, u32 counter, u32 r)
{
	u32 col = (t->cursor - counter) & 0xffff;
	return t->cursor != ~0u && r < f->rows && col < f->cols ? (s32)(r * f->cols + col) : -1;
}

void vga_draw_text(struct vga *v, struct display_frame *f, bool all)
{
	struct text t;
	text_begin(&t, v);
	all |= display_size(f, t.g.width, t.g.height);
	all |= size_cells(&t, f);
	memcpy(f->palette, t.c.ac, sizeof(f->palette));
	s32 cursor_was = f->cursor;
	bool draw = all;
	u32 r = ~0u;
	struct vga_line l = { .counter = t.g.start, .row = t.g.preset };
	f->cursor = -1;
	for (u32 counter = 0; l.y < f->height; vga_next_line(&t.g, &l)) {
		if (r == ~0u || (l.row == 0 && !l.again) || l.counter != counter) {	/* a row of text begins */
			r++;
			counter = l.counter;
			draw = fetch_row(&t, f, counter, r) || all;
			s32 cursor = cursor_in_row(&t, f, counter, r);
			bool was = f->cols && cursor_was >= 0 && (u32)cursor_was / f->cols == r;
			if (cursor >= 0)
				f->cursor = cursor;
			draw |= cursor >= 0 ? cursor != cursor_was : was;
		}
		if (draw)
			text_line(&t, f, &l);
	}
}
