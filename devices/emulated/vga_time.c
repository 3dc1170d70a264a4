/*
 * vga_time.c - input status 1: where the beam is, from guest time and the CRTC's and the clock's registers. IBM Video Subsystem, "Input
 * Status Register 1" and the CRTC's horizontal and vertical registers.
 *
 * Programs poll for the vertical retrace, so whatever the registers say there is one in each frame, and between two of them there is none.
 */
#include "devices/emulated/vga_int.h"
#include "monitor/clock.h"

#define STATUS_NO_DISPLAY 0x01
#define STATUS_RETRACE    0x08

static u32 overflow(const struct vga *v, int bit8, int bit9)
{
	u8 o = v->crtc[CRTC_OVERFLOW];
	return (u32)(o >> bit8 & 1) << 8 | (u32)(o >> bit9 & 1) << 9;
}

static void timing(struct vga *v)
{
	static const u32 clock_khz[4] = { 25175, 28322, 25175, 25175 };
	const u8 *c = v->crtc;
	u32 dots = v->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9;
	u64 dot_fs = 1000000000000ull / clock_khz[v->misc >> 2 & 3] << !!(v->seq[SEQ_CLOCKING] & CLOCKING_HALF);
	u32 lines_each = c[CRTC_MODE] & 4 ? 2 : 1;
	v->line_ps = (u32)((c[CRTC_TOTAL] + 5u) * dots * dot_fs / 1000);
	v->blank_ps = (u32)((c[CRTC_DISPLAY_END] + 1u) * dots * dot_fs / 1000);
	v->lines = (c[CRTC_V_TOTAL] + overflow(v, 0, 5) + 2) * lines_each;
	v->blank_line = (c[CRTC_V_DISPLAY_END] + overflow(v, 1, 6) + 1) * lines_each;
	u32 start = c[CRTC_V_RETRACE] + overflow(v, 2, 7);
	u32 len = ((u32)c[CRTC_V_RETRACE_END] - start) & 15;
	v->retrace_line = start * lines_each;
	v->retrace_lines = (len ? len : 16) * lines_each;
	if (v->retrace_line >= v->lines)
		v->retrace_line = v->lines - 1;
	if (!v->retrace_line)
		v->retrace_line = 1;
	v->frame_ns = (u32)((u64)v->line_ps * v->lines / 1000) + 1;
	v->timing_known = true;
}

u8 vga_status(struct vga *v)
{
	if (!v->timing_known)
		timing(v);
	u64 ps = clock_now(v->dev.vm) % v->frame_ns * 1000;
	u32 line = (u32)(ps / v->line_ps), in_line = (u32)(ps % v->line_ps);
	if (line >= v->retrace_line && line < v->retrace_line + v->retrace_lines)
		return STATUS_NO_DISPLAY | STATUS_RETRACE;
	return line >= v->blank_line || in_line >= v->blank_ps ? STATUS_NO_DISPLAY : 0;
}
