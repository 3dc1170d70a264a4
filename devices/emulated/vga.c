/*
 * vga.c - the chip as a device: state, reset, its PCI function and the registers behind BAR 2 (EDID at 0, VGA ports at
 * 400h, VBE registers at 500h).
 *
 * The contents of video memory are not in the field table: they are saved as memory, not as registers.
 */
#include "devices/emulated/vga_int.h"
#include "monitor/bus.h"
#include <string.h>

#define MMIO_EDID       0x100u	/* up to here; one block, zeros behind it */
#define MMIO_PORTS      0x400u	/* 3C0h to 3DFh */
#define MMIO_VBE        0x500u
#define MMIO_EXTENSION  0x600u	/* as QEMU's stdvga, revision 2 */
#define LITTLE_ENDIAN_MARK 0x1e1e1e1eu

static const struct field vga_fields[] = {
	FIELD(struct vga, misc, FIELD_U8),
	FIELD(struct vga, feature, FIELD_U8),
	FIELD(struct vga, seq_index, FIELD_U8),
	FIELD_ARRAY(struct vga, seq, FIELD_U8),
	FIELD(struct vga, crtc_index, FIELD_U8),
	FIELD_ARRAY(struct vga, crtc, FIELD_U8),
	FIELD(struct vga, gc_index, FIELD_U8),
	FIELD_ARRAY(struct vga, gc, FIELD_U8),
	FIELD(struct vga, ac_index, FIELD_U8),
	FIELD_ARRAY(struct vga, ac, FIELD_U8),
	FIELD(struct vga, ac_data, FIELD_BOOL),
	FIELD(struct vga, dac_mask, FIELD_U8),
	FIELD(struct vga, dac_read, FIELD_U8),
	FIELD(struct vga, dac_write, FIELD_U8),
	FIELD(struct vga, dac_step, FIELD_U8),
	FIELD(struct vga, dac_state, FIELD_U8),
	FIELD_ARRAY(struct vga, dac_held, FIELD_U8),
	FIELD_ARRAY(struct vga, dac, FIELD_U8),
	FIELD(struct vga, latch, FIELD_U32),
	FIELD(struct vga, vbe_index, FIELD_U16),
	FIELD_ARRAY(struct vga, vbe, FIELD_U16),
	FIELD_ARRAY(struct vga, func.config, FIELD_U8),
	FIELD_END
};

/* --- registers behind BAR 2 --- */

static u32 mmio_read(void *dev, u32 offset, int size)
{
	struct vga *v = container_of(dev, struct vga, mmio_tag);
	if (offset < MMIO_EDID)
		return size == 2 ? vga_edid(offset) | (u32)vga_edid(offset + 1) << 8 : vga_edid(offset);
	if (offset - MMIO_PORTS < 0x20) {
		u32 value = vga_read(v, offset - MMIO_PORTS + 0x10);
		return size == 2 ? value | (u32)vga_read(v, offset - MMIO_PORTS + 0x11) << 8 : value;
	}
	if (offset - MMIO_VBE < 2 * VBE_REGS)
		return vbe_register_read(v, (offset - MMIO_VBE) >> 1);
	if (offset - MMIO_EXTENSION < 4)	/* size of this block */
		return offset == MMIO_EXTENSION ? 8 : 0;
	if (offset - MMIO_EXTENSION < 8)
		return LITTLE_ENDIAN_MARK;
	return ~0u;
}

static void mmio_write(void *dev, u32 offset, u32 value, int size)
{
	struct vga *v = container_of(dev, struct vga, mmio_tag);
	if (offset - MMIO_PORTS < 0x20) {
		vga_write(v, offset - MMIO_PORTS + 0x10, (u8)value);
		if (size == 2)
			vga_write(v, offset - MMIO_PORTS + 0x11, (u8)(value >> 8));
	} else if (offset - MMIO_VBE < 2 * VBE_REGS && !(offset & 1)) {
		vbe_register_write(v, (offset - MMIO_VBE) >> 1, (u16)value);
	}
}

static const struct bus_ops mmio_ops = { mmio_read, mmio_write, 2 };

/* --- life --- */

/* What the picture is made of may all be different now. */
static void vga_loaded(void *dev)
{
	struct vga *v = dev;
	vga_direct_forget(v);
	vga_mask_registers(v);
	vbe_mask_registers(v);
	vga_recompute(v);
	memset(v->dirty, 1, sizeof(v->dirty));
	vga_redraw(v);
	pci_func_loaded(&v->func);
}

/* The registers are undefined at power-on but for these (the BIOS sets them all); zero is a screen that is off. */
static void vga_reset(void *dev)
{
	struct vga *v = dev;
	vga_direct_end(v);
	v->misc = v->feature = v->seq_index = v->crtc_index = v->gc_index = v->ac_index = 0;
	memset(v->seq, 0, sizeof(v->seq));
	memset(v->crtc, 0, sizeof(v->crtc));
	memset(v->gc, 0, sizeof(v->gc));
	memset(v->ac, 0, sizeof(v->ac));
	memset(v->dac, 0, sizeof(v->dac));
	v->ac_data = false;
	v->dac_mask = 0xff;
	v->dac_read = v->dac_write = v->dac_step = v->dac_state = 0;
	memset(v->dac_held, 0, sizeof(v->dac_held));
	v->latch = 0;
	vbe_reset(v);
	pci_func_reset(&v->func);
	vga_loaded(v);
}

static const struct device_class vga_class = {
	.name = "vga", .what = "VGA with Bochs VBE", .version = 1, .fields = vga_fields, .reset = vga_reset, .loaded = vga_loaded,
};

void vga_vram_written(struct vga *v)
{
	vga_touch(v);
}

void vga_init(struct vga *v, struct vm *vm, const char *id, u8 *vram, u32 vram_size)
{
	*v = (struct vga){ .dev = { .cls = &vga_class, .vm = vm, .id = id }, .vram = vram, .vram_size = vram_size };
	pci_func_init(&v->func, 0x1234, 0x1111, 0x02, 0x030000);
	v->func.name = "vga";
	v->func.config[PCI_SUBSYSTEM] = 0xf4;		/* 1AF4:1100, by which SeaBIOS knows such machines */
	v->func.config[PCI_SUBSYSTEM + 1] = 0x1a;
	v->func.config[PCI_SUBSYSTEM + 3] = 0x11;
	pci_func_bar(&v->func, VGA_BAR_VRAM, vram_size, 8);
	pci_func_bar(&v->func, VGA_BAR_MMIO, VGA_MMIO_BYTES, 0);
	pci_func_bar_ops(&v->func, VGA_BAR_MMIO, &mmio_ops, &v->mmio_tag);
	v->func.writable[PCI_COMMAND] |= PCI_COMMAND_IO;	/* the VGA's fixed ports */
	vga_reset(v);
}

void vga_display(struct vga *v, struct display *d)
{
	display_source(d, &(struct display_source){ vga_draw, v });
}
