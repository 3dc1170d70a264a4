/*
 * video.c - fuzzing VGA and VBE: ports, window, frame buffer, registers in memory.
 */
#include "devices/display.h"
#include "devices/emulated/vga.h"
#include "monitor/bus.h"
#include "monitor/vm.h"
#include "tests/fuzz/dev/target.h"
#include <stdlib.h>
#include <string.h>

static void viewer_woken(void *arg) { }
static struct display_viewer viewer = { .changed = viewer_woken };

/* The window, while the guest has it as memory. */
static struct { u8 *host, *log; u32 len; } window;

static void window_map(void *arg, u32 offset, u32 len, u8 *host, u8 *dirty_log)
{
	window.host = host;
	window.log = dirty_log;
	window.len = len;
}

static void window_clean(void *arg, u32 first, u32 count) { memset(window.log + first, 0, count); }

static struct device *vga_new(struct vm *vm)
{
	struct vga *v = calloc(1, sizeof(*v));
	u8 *vram = calloc(1, VGA_VRAM_BYTES + VGA_SHADOW_BYTES);
	bug_on(!v || !vram, "out of memory");
	vm->display = display_init(vm);
	vga_init(v, vm, "vga", vram, VGA_VRAM_BYTES);
	v->map = window_map;
	v->map_clean = window_clean;
	v->shadow = vram + VGA_VRAM_BYTES;
	vga_display(v, vm->display);
	display_attach(vm->display, &viewer);
	return &v->dev;
}

static void vga_free(struct device *dev)
{
	struct vga *v = container_of(dev, struct vga, dev);
	display_fini(dev->vm->display);
	free(v->vram);
	free(v);
}

static void vga_text_mode(struct vga *v)
{
	static const u8 regs[][2] = { { 0x14, 2 }, { 0x15, 3 }, { 0x14, 4 }, { 0x15, 2 }, { 0x1e, 1 }, { 0x1f, 0 }, { 0x1e, 3 }, { 0x1f, 0 },
		{ 0x1e, 5 }, { 0x1f, 0x10 }, { 0x1e, 6 }, { 0x1f, 0x0e }, { 0x1e, 8 }, { 0x1f, 0xff }, { 0x12, 0x67 } };
	for (u32 i = 0; i < ARRAY_SIZE(regs); i++)
		vga_write(v, regs[i][0], regs[i][1]);
	for (u32 i = 0; i < 600; i++)
		vga_window_write(v, 0x18000 + i, i, 1);
}

/* Mostly in colour, with memory and picture on, or little would be reached; pictures of thousands of lines are drawn rarely. */
static void vga_now_and_then(struct device *dev, u32 random)
{
	struct vga *v = container_of(dev, struct vga, dev);
	vga_write(v, 0x12, (u8)(random | 3));
	vga_read(v, 0x2a);
	vga_write(v, 0x10, 0x20);
	if (window.len) {
		window.host[random % window.len] = (u8)(random >> 8);
		window.log[random % window.len >> PAGE_SHIFT] = 1;
		vga_vram_written(v);
	}
	if (random % 16 == 0)		/* text, and the window used for a while */
		vga_text_mode(v);
	if (random % 64 == 0)
		display_update(dev->vm->display);
}

static u32 vga_ports_read(void *dev, u32 offset, int size) { return vga_read(dev, offset); }
static void vga_ports_write(void *dev, u32 offset, u32 value, int size) { vga_write(dev, offset, (u8)value); }
static u32 vga_vbe_read(void *dev, u32 offset, int size) { return vbe_port_read(dev, offset); }
static void vga_vbe_write(void *dev, u32 offset, u32 value, int size) { vbe_port_write(dev, offset, (u16)(offset ? value : value % 12)); }
static u32 vga_mem_read(void *dev, u32 offset, int size) { return vga_window_read(dev, offset, size); }
static void vga_mem_write(void *dev, u32 offset, u32 value, int size) { vga_window_write(dev, offset, value, size); }
static u32 vga_mmio_read(void *dev, u32 offset, int size)
{
	struct vga *v = dev;
	return v->func.bar_ops[VGA_BAR_MMIO]->read(v->func.bar_dev[VGA_BAR_MMIO], offset, size);
}
static void vga_mmio_write(void *dev, u32 offset, u32 value, int size)
{
	struct vga *v = dev;
	v->func.bar_ops[VGA_BAR_MMIO]->write(v->func.bar_dev[VGA_BAR_MMIO], offset, value, size);
}

const struct target video_targets[] = {
	{ "vga", vga_new, vga_free, vga_now_and_then, {
		{ 0x30, 1, 8, vga_ports_read, vga_ports_write }, { 3, 2, 4, vga_vbe_read, vga_vbe_write },
		{ VGA_WINDOW_BYTES, 4, 8, vga_mem_read, vga_mem_write }, { VGA_MMIO_BYTES, 2, 1, vga_mmio_read, vga_mmio_write } } },
	{ 0 },
};
