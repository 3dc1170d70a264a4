/*
 * vbe.c - Bochs' VBE display interface: resolutions and colour depths beyond the VGA's. Version B0C5h.
 *
 * A resolution that does not fit into video memory shows black where memory ends. Registers can be written while the mode is on.
 */
#include "devices/emulated/vga_int.h"
#include <string.h>

#define ID_FIRST 0xb0c0
#define ID_LAST  0xb0c5

static u16 at_most(u32 value, u32 limit)
{
	return (u16)(value > limit ? limit : value);
}

u32 vbe_pitch(const struct vga *v, u32 pixels)
{
	return v->vbe[VBE_BPP] == 4 ? pixels / 8 : pixels * ((v->vbe[VBE_BPP] + 7u) / 8);
}

static u16 legal_bpp(u16 bpp)
{
	return bpp == 4 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32 ? bpp : 8;
}

static u32 memory_per_plane(const struct vga *v)
{
	return v->vbe[VBE_BPP] == 4 ? v->vram_size / 4 : v->vram_size;
}

/* The virtual screen is at least as wide as the real one and as high as memory allows; the offsets lie within. */
static void settle(struct vga *v)
{
	u16 *r = v->vbe;
	u32 widest = memory_per_plane(v) / vbe_pitch(v, 8) * 8;
	if (r[VBE_VIRT_WIDTH] < r[VBE_XRES])
		r[VBE_VIRT_WIDTH] = r[VBE_XRES];
	if (r[VBE_VIRT_WIDTH] < 8)
		r[VBE_VIRT_WIDTH] = 8;
	r[VBE_VIRT_WIDTH] = at_most(r[VBE_VIRT_WIDTH] & 0xfff8u, widest);
	r[VBE_VIRT_HEIGHT] = at_most(memory_per_plane(v) / vbe_pitch(v, r[VBE_VIRT_WIDTH]), 0xffff);
	if (r[VBE_X_OFFSET] > r[VBE_VIRT_WIDTH] - r[VBE_XRES])
		r[VBE_X_OFFSET] = r[VBE_VIRT_WIDTH] - r[VBE_XRES];
	if (r[VBE_Y_OFFSET] + r[VBE_YRES] > r[VBE_VIRT_HEIGHT])
		r[VBE_Y_OFFSET] = r[VBE_VIRT_HEIGHT] > r[VBE_YRES] ? r[VBE_VIRT_HEIGHT] - r[VBE_YRES] : 0;
}

static void enable(struct vga *v, u16 value)
{
	u16 *r = v->vbe;
	bool was = vbe_on(v);
	if (!was)
		vga_direct_end(v);	/* before memory is cleared */
	r[VBE_ENABLE] = value & (VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB | VBE_NOCLEAR);
	if (!(value & VBE_ENABLED)) {
		r[VBE_BANK] = 0;
		return;
	}
	if (was)
		return;
	r[VBE_VIRT_WIDTH] = r[VBE_XRES];
	r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = r[VBE_BANK] = 0;
	settle(v);
	if (!(value & VBE_NOCLEAR)) {
		u64 bytes = (u64)vbe_pitch(v, r[VBE_VIRT_WIDTH]) * r[VBE_YRES] * (r[VBE_BPP] == 4 ? 4 : 1);
		memset(v->vram, 0, bytes < v->vram_size ? bytes : v->vram_size);
	}
}

void vbe_register_write(struct vga *v, u32 index, u16 value)
{
	u16 *r = v->vbe;
	switch (index) {
	case VBE_ID:
		if (value >= ID_FIRST && value <= ID_LAST)
			r[VBE_ID] = value;
		return;
	case VBE_BANK:
		r[VBE_BANK] = value & (u16)((memory_per_plane(v) >> 16) - 1);
		vga_direct_registers(v);
		return;
	case VBE_XRES:
		r[VBE_XRES] = at_most(value & 0xfff8u, DISPLAY_MAX_WIDTH);
		break;
	case VBE_YRES:
		r[VBE_YRES] = at_most(value, DISPLAY_MAX_HEIGHT);
		break;
	case VBE_BPP:
		r[VBE_BPP] = legal_bpp(value);
		break;
	case VBE_ENABLE:
		enable(v, value);
		break;
	case VBE_VIRT_WIDTH: case VBE_X_OFFSET: case VBE_Y_OFFSET:
		r[index] = value;
		break;
	default:
		return;
	}
	if (vbe_on(v))
		settle(v);
	vga_direct_registers(v);
	vga_redraw(v);
}

u16 vbe_register_read(const struct vga *v, u32 index)
{
	if (v->vbe[VBE_ENABLE] & VBE_GETCAPS)
		switch (index) {
		case VBE_XRES: return DISPLAY_MAX_WIDTH;
		case VBE_YRES: return DISPLAY_MAX_HEIGHT;
		case VBE_BPP: return 32;
		}
	return index == VBE_MEMORY ? (u16)(v->vram_size >> 16) : index < VBE_REGS ? v->vbe[index] : 0;
}

void vbe_port_write(struct vga *v, u32 offset, u16 value)
{
	if (offset)
		vbe_register_write(v, v->vbe_index, value);
	else
		v->vbe_index = value;
}

u16 vbe_port_read(struct vga *v, u32 offset)
{
	return offset ? vbe_register_read(v, v->vbe_index) : v->vbe_index;
}

void vbe_mask_registers(struct vga *v)
{
	u16 *r = v->vbe;
	r[VBE_XRES] = at_most(r[VBE_XRES] & 0xfff8u, DISPLAY_MAX_WIDTH);
	r[VBE_YRES] = at_most(r[VBE_YRES], DISPLAY_MAX_HEIGHT);
	r[VBE_BPP] = legal_bpp(r[VBE_BPP]);
	r[VBE_BANK] &= (u16)((memory_per_plane(v) >> 16) - 1);
	if (vbe_on(v))
		settle(v);
}

void vbe_reset(struct vga *v)
{
	memset(v->vbe, 0, sizeof(v->vbe));
	v->vbe[VBE_ID] = ID_LAST;
	v->vbe[VBE_BPP] = 8;
	v->vbe[VBE_VIRT_WIDTH] = 8;
	v->vbe_index = 0;
}
