/*
 * vga_int.h - what the files of the VGA share: register bits, and who recomputes what when.
 */
#ifndef RF_VGA_INT_H
#define RF_VGA_INT_H
#include "devices/display.h"
#include "devices/emulated/vga.h"
#include "monitor/vm.h"

#define MISC_COLOUR 0x01	/* CRTC at 3D4h */
#define MISC_RAM    0x02	/* the CPU reaches video memory */
#define MISC_PAGE   0x20	/* odd/even: the lower of two neighbouring bytes */
enum { SEQ_RESET, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_FONT, SEQ_MEMORY };
#define CLOCKING_8_DOTS 0x01
#define CLOCKING_HALF   0x08
#define CLOCKING_OFF    0x20
#define MEMORY_NO_ODD_EVEN 0x04
#define MEMORY_CHAIN4   0x08
enum { GC_SET_RESET, GC_ENABLE_SET_RESET, GC_COMPARE, GC_ROTATE, GC_READ_MAP, GC_MODE, GC_MISC, GC_DONT_CARE, GC_BIT_MASK };
#define MODE_WRITE      0x03
#define MODE_READ       0x08
#define MODE_ODD_EVEN   0x10
#define MODE_INTERLEAVE 0x20
#define MODE_256        0x40
#define GC_MISC_GRAPHICS 0x01
#define GC_MISC_CHAIN   0x02
enum { AC_MODE = 16, AC_OVERSCAN, AC_PLANES, AC_PAN, AC_COLOUR_SELECT };
#define AC_INDEX_PAS    0x20
#define AC_LINE_GRAPHICS 0x04
#define AC_BLINK        0x08
#define AC_PAN_COMPAT   0x20
#define AC_PALETTE_SIZE 0x80
enum { CRTC_TOTAL = 0x00, CRTC_DISPLAY_END = 0x01, CRTC_V_TOTAL = 0x06, CRTC_OVERFLOW = 0x07, CRTC_PRESET = 0x08, CRTC_MAX_SCAN = 0x09,
	CRTC_CURSOR_START = 0x0a, CRTC_CURSOR_END = 0x0b, CRTC_START_HIGH = 0x0c, CRTC_START_LOW = 0x0d, CRTC_CURSOR_HIGH = 0x0e,
	CRTC_CURSOR_LOW = 0x0f, CRTC_V_RETRACE = 0x10, CRTC_V_RETRACE_END = 0x11, CRTC_V_DISPLAY_END = 0x12, CRTC_OFFSET = 0x13,
	CRTC_UNDERLINE = 0x14, CRTC_MODE = 0x17, CRTC_LINE_COMPARE = 0x18 };
#define CRTC_PROTECT    0x80	/* in CRTC_V_RETRACE_END */
enum { VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET, VBE_Y_OFFSET, VBE_MEMORY };
#define VBE_ENABLED     0x01
#define VBE_GETCAPS     0x02
#define VBE_8BIT_DAC    0x20
#define VBE_LFB         0x40
#define VBE_NOCLEAR     0x80

static inline bool vbe_on(const struct vga *v) { return v->vbe[VBE_ENABLE] & VBE_ENABLED; }
/* Pixels lie one after the other, not in planes. */
static inline bool vbe_linear(const struct vga *v) { return vbe_on(v) && v->vbe[VBE_BPP] > 4; }
static inline u32 vga_offsets(const struct vga *v) { return v->vram_size / 4; }
static inline u32 *vga_words(const struct vga *v) { return (u32 *)(void *)v->vram; }

static inline void vga_touch(struct vga *v)
{
	if (!v->touched) {
		v->touched = true;
		if (v->dev.vm->display)
			display_changed(v->dev.vm->display);
	}
}
static inline void vga_redraw(struct vga *v)
{
	v->redraw = true;
	vga_touch(v);
}

void vbe_reset(struct vga *v);
void vbe_mask_registers(struct vga *v);			/* makes values from outside such that a guest could have written them */
void vga_mask_registers(struct vga *v);
u16  vbe_register_read(const struct vga *v, u32 index);
void vbe_register_write(struct vga *v, u32 index, u16 value);
u32  vbe_pitch(const struct vga *v, u32 pixels);	/* bytes of that many pixels; of each plane for 4 bits */
void vga_recompute(struct vga *v);			/* after a register changed: plain_write, timing */
u8   vga_status(struct vga *v);				/* input status 1, from guest time */
void vga_draw(void *chip, struct display *d, struct display_frame *f, bool all);

/* vga_direct.c */
enum vga_direct { DIRECT_NONE, DIRECT_ODD_EVEN, DIRECT_CHAIN4, DIRECT_BANK };
void vga_direct_registers(struct vga *v);		/* a register changed that says what the window shows */
void vga_direct_end(struct vga *v);			/* video memory is complete, and the window's accesses come here again */
void vga_direct_forget(struct vga *v);			/* the same, but video memory is right already: it was loaded */
void vga_direct_count(struct vga *v);			/* an access to the window came here */

/* The picture as the CRTC makes it. Dots are of the undivided clock; lines are scan lines. */
struct vga_geometry {
	u32 chars, dots;	/* character clocks of a line, dots of one: 8 or 9 */
	u32 scale;		/* 2: the dot clock is halved */
	u32 width, height;	/* dots, lines; within DISPLAY_MAX_* */
	u32 start, row_add;	/* address counter: first, and from row to row */
	u32 max_scan, preset;	/* rows are max_scan + 1 lines; the first starts at this */
	u32 pan;		/* dots the first line is shifted to the left by */
	u32 split;		/* after this line the address is 0 */
	bool double_scan;
};
/* Which part of memory the next line shows. */
struct vga_line { u32 y, counter, row; bool again, after_split; };
void vga_geometry(const struct vga *v, struct vga_geometry *g);
void vga_next_line(const struct vga_geometry *g, struct vga_line *l);
u32  vga_address(const struct vga *v, u32 counter, u32 row);	/* offset in the planes */
#define VGA_EDID_BYTES 128u
u8   vga_edid(u32 offset);
struct vga_colours { u32 dac[256], ac[16]; };	/* 00RRGGBBh; attribute colours through palette and DAC */
void vga_colours(const struct vga *v, struct vga_colours *c);
/* Copies the line into the frame and marks it if it differs. */
void vga_put_line(struct display_frame *f, u32 y, const u32 *line);
void vga_draw_text(struct vga *v, struct display_frame *f, bool all);
void vga_draw_graphics(struct vga *v, struct display_frame *f, bool all);
void vbe_draw(struct vga *v, struct display_frame *f, bool all);
/* Has anything between two offsets (bytes of video memory) changed since it was drawn? */
static inline bool vga_dirty(const struct vga *v, u32 first, u32 last)
{
	for (u32 p = first >> PAGE_SHIFT; p <= last >> PAGE_SHIFT; p++)
		if (v->dirty[p])
			return true;
	return false;
}
#endif
