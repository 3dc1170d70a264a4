/*
 * board_video.c - wires the graphics card: VGA ports 3B0h to 3DFh, VBE ports 1CEh to 1D0h, the window at A0000h, video memory as
 * the guest's RAM behind BAR 0, and the BIOS in the expansion ROM (SeaBIOS's vgabios-stdvga.bin).
 *
 * Where configure found no firmware there is no ROM: a kernel that is started directly needs none.
 */
#include "config.h"
#include "devices/board_video.h"
#include "devices/emulated/vga.h"
#include "monitor/bus.h"
#include "monitor/lib/hostmem.h"
#include "monitor/mem.h"
#include "monitor/vm.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT      2
#define ROM_FILE  RF_FIRMWARE_DIR "/vgabios-stdvga.bin"
#define ROM_MAX   (256u << 10)
#define WINDOW_AT 0xa0000
#define MEMORY_BYTES (VGA_VRAM_BYTES + VGA_SHADOW_BYTES)

struct video {
	struct vga vga;
	u8 *vram, *rom;
	struct mem_device_ram frame_buffer;	/* behind BAR 0 */
	struct mem_device_ram window;		/* at A0000h to BFFFFh, where the chip lets the guest have it as memory */
};

/* --- ports, windows --- */

static u32 mono_read(void *dev, u32 offset, int size) { return vga_read(dev, offset + 4); }
static u32 mono_status_read(void *dev, u32 offset, int size) { return vga_read(dev, offset + 0xa); }
static u32 ports_read(void *dev, u32 offset, int size) { return vga_read(dev, offset + 0x10); }
static u32 vbe_read(void *dev, u32 offset, int size) { return vbe_port_read(dev, offset); }
static u32 window_read(void *dev, u32 offset, int size) { return vga_window_read(dev, offset, size); }

static void mono_write(void *dev, u32 offset, u32 value, int size) { vga_write(dev, offset + 4, (u8)value); }
static void mono_status_write(void *dev, u32 offset, u32 value, int size) { vga_write(dev, offset + 0xa, (u8)value); }
static void ports_write(void *dev, u32 offset, u32 value, int size) { vga_write(dev, offset + 0x10, (u8)value); }
static void vbe_write(void *dev, u32 offset, u32 value, int size) { vbe_port_write(dev, offset, (u16)value); }
static void window_write(void *dev, u32 offset, u32 value, int size) { vga_window_write(dev, offset, value, size); }

static const struct bus_ops mono_ops = { mono_read, mono_write, 1 };
static const struct bus_ops mono_status_ops = { mono_status_read, mono_status_write, 1 };
static const struct bus_ops ports_ops = { ports_read, ports_write, 1 };
static const struct bus_ops vbe_ops = { vbe_read, vbe_write, 2 };
static const struct bus_ops window_ops = { window_read, window_write, 4 };

static bool wire(struct vm *vm, struct vga *vga)
{
	return bus_add_io(vm, "vga", 0x3b4, 2, &mono_ops, vga) &&
	       bus_add_io(vm, "vga", 0x3ba, 1, &mono_status_ops, vga) &&
	       bus_add_io(vm, "vga", 0x3c0, 0x20, &ports_ops, vga) &&
	       bus_add_io(vm, "vbe", 0x1ce, 3, &vbe_ops, vga) &&
	       bus_add_mmio(vm, "vga", WINDOW_AT, VGA_WINDOW_BYTES, &window_ops, vga);
}

static void frame_buffer_moved(struct pci_func *f, int n, u64 at)
{
	struct video *v = container_of(f, struct video, vga.func);
	if (n != VGA_BAR_VRAM)
		return;
	mem_unmap_device_ram(v->vga.dev.vm, &v->frame_buffer);
	if (at != ~0ull)
		mem_map_device_ram(v->vga.dev.vm, &v->frame_buffer, at);
}

static void frame_buffer_written(void *arg)
{
	vga_vram_written(arg);
}

static void frame_buffer_clean(void *arg, u32 first, u32 count)
{
	struct video *v = arg;
	mem_device_ram_clean(v->vga.dev.vm, &v->frame_buffer, first, count);
	if (!v->window.mapped || v->window.dirty < v->vga.dirty || v->window.dirty >= v->vga.dirty + VGA_VRAM_PAGES)
		return;
	/* a bank, which shares memory and log */
	u32 at = (u32)(v->window.dirty - v->vga.dirty), end = at + (u32)(v->window.len >> PAGE_SHIFT);
	u32 from = first > at ? first : at, to = first + count < end ? first + count : end;
	if (from < to)
		mem_device_ram_clean(v->vga.dev.vm, &v->window, from - at, to - from);
}

static void window_map(void *arg, u32 offset, u32 len, u8 *host, u8 *dirty)
{
	struct video *v = arg;
	mem_unmap_device_ram(v->vga.dev.vm, &v->window);
	if (!len)
		return;
	v->window = (struct mem_device_ram){ .host = host, .len = len, .dirty = dirty, .written = frame_buffer_written, .arg = &v->vga };
	mem_map_device_ram(v->vga.dev.vm, &v->window, WINDOW_AT + offset);
}

static void window_clean(void *arg, u32 first, u32 count)
{
	struct video *v = arg;
	mem_device_ram_clean(v->vga.dev.vm, &v->window, first, count);
}

/* --- the BIOS --- */

/* Padded to a power of two. NULL with a sentence in err. */
static u8 *read_rom(u32 *size, char *err, size_t errsize)
{
	FILE *file = fopen(ROM_FILE, "rbe");
	u8 *rom = calloc(1, ROM_MAX);
	size_t len = 0;
	if (file && rom)
		len = fread(rom, 1, ROM_MAX, file);
	if (len >= 3 && len < ROM_MAX && rom[0] == 0x55 && rom[1] == 0xaa) {
		for (*size = 2048; *size < len; *size *= 2)
			;
		fclose(file);
		return rom;
	}
	if (!file || ferror(file))
		snprintf(err, errsize, "cannot read the VGA BIOS %s: %s", ROM_FILE, strerror(errno));
	else
		snprintf(err, errsize, "the VGA BIOS %s is no expansion ROM", ROM_FILE);
	if (file)
		fclose(file);
	free(rom);
	return NULL;
}

/* --- life --- */

static bool add_rom(struct video *v, char *err, size_t errsize)
{
	u32 size;
	if (!RF_FIRMWARE_DIR[0])
		return true;
	v->rom = read_rom(&size, err, errsize);
	if (v->rom)
		pci_func_rom(&v->vga.func, v->rom, size);
	return v->rom;
}

struct video *video_init(struct vm *vm, struct pci *pci, char *err, size_t errsize)
{
	struct video *v = calloc(1, sizeof(*v));
	if (v)
		v->vram = hostmem_reserve(MEMORY_BYTES);
	if (!v || !v->vram) {
		snprintf(err, errsize, "out of memory for the graphics card");
		free(v);
		return NULL;
	}
	vga_init(&v->vga, vm, "vga", v->vram, VGA_VRAM_BYTES);
	v->frame_buffer = (struct mem_device_ram){ .host = v->vram, .len = VGA_VRAM_BYTES, .dirty = v->vga.dirty,
						   .written = frame_buffer_written, .arg = &v->vga };
	v->vga.clean = frame_buffer_clean;
	v->vga.board_arg = v;
	v->vga.map = window_map;
	v->vga.map_clean = window_clean;
	v->vga.shadow = v->vram + VGA_VRAM_BYTES;
	v->vga.func.bar_moved = frame_buffer_moved;
	pci_add(pci, SLOT, 0, &v->vga.func);
	if (!add_rom(v, err, errsize) || !wire(vm, &v->vga)) {
		video_fini(v);
		return NULL;
	}
	if (vm->display)
		vga_display(&v->vga, vm->display);
	return v;
}

void video_fini(struct video *v)
{
	if (!v)
		return;
	if (v->frame_buffer.mapped)
		mem_unmap_device_ram(v->vga.dev.vm, &v->frame_buffer);
	if (v->window.mapped)
		mem_unmap_device_ram(v->vga.dev.vm, &v->window);
	hostmem_unmap(v->vram, MEMORY_BYTES);
	free(v->rom);
	free(v);
}

struct device *video_device(struct video *v)
{
	return &v->vga.dev;
}

u8 *video_memory(struct video *v, u64 *bytes)
{
	vga_flush(&v->vga);
	*bytes = VGA_VRAM_BYTES;
	return v->vram;
}
