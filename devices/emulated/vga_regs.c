/*
 * vga_regs.c - the VGA's ports: external registers, sequencer, CRTC, graphics and attribute controller, DAC.
 * IBM Video Subsystem, "Registers"; bits that are not there read as 0.
 *
 * The attribute controller's palette can be written while the screen uses it, as on all chips but IBM's own.
 */
#include "devices/emulated/vga_int.h"

static const u8 seq_bits[VGA_SEQ_REGS] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const u8 gc_bits[VGA_GC_REGS] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
static const u8 ac_bits[VGA_AC_REGS] = { 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
	0xef, 0xff, 0x3f, 0x0f, 0x0f };

void vga_recompute(struct vga *v)
{
	v->plain_write = !(v->gc[GC_MODE] & MODE_WRITE) && !v->gc[GC_ROTATE] && !v->gc[GC_ENABLE_SET_RESET] && v->gc[GC_BIT_MASK] == 0xff;
	v->timing_known = false;
	vga_direct_registers(v);
}

static void changed(struct vga *v)
{
	vga_recompute(v);
	vga_redraw(v);
}

static void mask(u8 *regs, const u8 *bits, u32 count)
{
	for (u32 i = 0; i < count; i++)
		regs[i] &= bits[i];
}

void vga_mask_registers(struct vga *v)
{
	mask(v->seq, seq_bits, VGA_SEQ_REGS);
	mask(v->gc, gc_bits, VGA_GC_REGS);
	mask(v->ac, ac_bits, VGA_AC_REGS);
	v->ac_index &= 0x3f;
	v->dac_step %= 3;
}

/* --- CRTC --- */

static void crtc_write(struct vga *v, u8 value)
{
	u8 n = v->crtc_index;
	if (n >= VGA_CRTC_REGS)
		return;
	if (n <= CRTC_OVERFLOW && (v->crtc[CRTC_V_RETRACE_END] & CRTC_PROTECT)) {
		if (n != CRTC_OVERFLOW)
			return;
		value = (u8)((v->crtc[n] & ~0x10) | (value & 0x10));	/* bit 8 of line compare is not protected */
	}
	if (v->crtc[n] == value)
		return;
	v->crtc[n] = value;
	if (n >= CRTC_START_HIGH && n <= CRTC_CURSOR_LOW) {	/* scrolling text and moving the cursor are frequent */
		v->moved = true;
		vga_touch(v);
	} else {
		changed(v);
	}
}

/* --- attribute controller --- */

static void ac_write(struct vga *v, u8 value)
{
	v->ac_data = !v->ac_data;
	if (v->ac_data) {
		u8 old = v->ac_index;
		v->ac_index = value & 0x3f;
		if ((old ^ value) & AC_INDEX_PAS)
			vga_redraw(v);
		return;
	}
	u8 n = v->ac_index & 0x1f;
	if (n < VGA_AC_REGS && v->ac[n] != (value & ac_bits[n])) {
		v->ac[n] = value & ac_bits[n];
		vga_redraw(v);
	}
}

static u8 ac_read(const struct vga *v)
{
	u8 n = v->ac_index & 0x1f;
	return n < VGA_AC_REGS ? v->ac[n] : 0;
}

/* --- DAC --- */

static u8 dac_bits(const struct vga *v)
{
	return v->vbe[VBE_ENABLE] & VBE_8BIT_DAC ? 0xff : 0x3f;
}

/* Red and green are held until blue comes, then the colour changes. */
static void dac_write(struct vga *v, u8 value)
{
	value &= dac_bits(v);
	if (v->dac_step < 2) {
		v->dac_held[v->dac_step++] = value;
		return;
	}
	u8 *colour = &v->dac[3 * v->dac_write++];
	colour[0] = v->dac_held[0];
	colour[1] = v->dac_held[1];
	colour[2] = value;
	v->dac_step = 0;
	vga_redraw(v);
}

static u8 dac_read(struct vga *v)
{
	u8 value = v->dac[3 * v->dac_read + v->dac_step];
	v->dac_step++;
	if (v->dac_step == 3) {
		v->dac_step = 0;
		v->dac_read++;
	}
	return value & dac_bits(v);
}

static void put(struct vga *v, u8 *reg, u8 value)
{
	if (*reg != value) {
		*reg = value;
		changed(v);
	}
}

static void put_map_mask(struct vga *v, u8 value)
{
	if (v->seq[SEQ_MAP_MASK] != value) {
		v->seq[SEQ_MAP_MASK] = value;
		vga_direct_registers(v);
	}
}

/* --- ports --- */

/* Of the two places of the CRTC, status and feature registers the one that is not selected is empty. */
static bool absent(const struct vga *v, u32 offset)
{
	return offset < 0x10 ? v->misc & MISC_COLOUR : offset >= 0x20 && !(v->misc & MISC_COLOUR);
}

void vga_write(struct vga *v, u32 offset, u8 value)
{
	if (absent(v, offset))
		return;
	switch (offset) {
	case 0x04: case 0x24:
		v->crtc_index = value & 0x3f;
		break;
	case 0x05: case 0x25:
		crtc_write(v, value);
		break;
	case 0x0a: case 0x2a:
		v->feature = value & 0x0b;
		break;
	case 0x10:
		ac_write(v, value);
		break;
	case 0x12:
		put(v, &v->misc, value & 0xef);
		break;
	case 0x14:
		v->seq_index = value & 0x07;
		break;
	case 0x15:
		if (v->seq_index == SEQ_MAP_MASK)	/* programs change it all the time, and it does not show */
			put_map_mask(v, value & 0x0f);
		else if (v->seq_index < VGA_SEQ_REGS)
			put(v, &v->seq[v->seq_index], value & seq_bits[v->seq_index]);
		break;
	case 0x16:
		put(v, &v->dac_mask, value);
		break;
	case 0x17:
		v->dac_read = value;
		v->dac_step = 0;
		v->dac_state = 3;
		break;
	case 0x18:
		v->dac_write = value;
		v->dac_step = 0;
		v->dac_state = 0;
		break;
	case 0x19:
		dac_write(v, value);
		break;
	case 0x1e:
		v->gc_index = value & 0x0f;
		break;
	case 0x1f:
		if (v->gc_index == GC_MODE || v->gc_index == GC_MISC) {
			put(v, &v->gc[v->gc_index], value & gc_bits[v->gc_index]);
		} else if (v->gc_index < VGA_GC_REGS && v->gc[v->gc_index] != (value & gc_bits[v->gc_index])) {
			v->gc[v->gc_index] = value & gc_bits[v->gc_index];	/* how the CPU writes does not show */
			vga_recompute(v);
		}
		break;
	}
}

u8 vga_read(struct vga *v, u32 offset)
{
	if (absent(v, offset))
		return 0xff;
	switch (offset) {
	case 0x04: case 0x24:
		return v->crtc_index;
	case 0x05: case 0x25:
		return v->crtc_index < VGA_CRTC_REGS ? v->crtc[v->crtc_index] : 0;
	case 0x0a: case 0x2a:
		v->ac_data = false;
		return vga_status(v);
	case 0x10:
		return v->ac_index;
	case 0x11:
		return ac_read(v);
	case 0x12:
		return 0x10;	/* switch sense: a monitor is there; no interrupt is pending */
	case 0x13:
		return 0x01;	/* enabled */
	case 0x14:
		return v->seq_index;
	case 0x15:
		return v->seq_index < VGA_SEQ_REGS ? v->seq[v->seq_index] : 0;
	case 0x16:
		return v->dac_mask;
	case 0x17:
		return v->dac_state;
	case 0x18:
		return v->dac_write;
	case 0x19:
		return dac_read(v);
	case 0x1a:
		return v->feature;
	case 0x1c:
		return v->misc;
	case 0x1e:
		return v->gc_index;
	case 0x1f:
		return v->gc_index < VGA_GC_REGS ? v->gc[v->gc_index] : 0;
	default:
		return 0xff;
	}
}
