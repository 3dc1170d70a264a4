/*
 * fuzz_dev.c - 'make fuzz T=dev:NAME': a chip against a guest that does anything. Random accesses to its registers and memory
 * of all sizes, random time, resets, state from outside; no crash, no hang, no unbounded memory. Run it with M=asan and M=ubsan.
 *
 *     fuzz_dev NAME [-n ACCESSES] [-t SECONDS] [-s SEED]       'fuzz_dev list' tells the names
 *
 * To add a chip: a `struct target` with its spaces (registers or memory, by offset), its objects in the list below, its line in
 * targets[]. Chips that read and write the guest's memory find GUEST_BYTES of it, full of random bytes.
 */
/* objs: devices/emulated/vga.o devices/emulated/vga_regs.o devices/emulated/vga_mem.o devices/emulated/vga_time.o
 * devices/emulated/vga_draw.o devices/emulated/vga_text.o devices/emulated/vbe.o devices/emulated/vbe_draw.o
 * devices/emulated/vga_direct.o devices/display.o devices/emulated/ide.o devices/emulated/ide_ata.o
 * devices/emulated/ide_atapi.o devices/emulated/ide_mmc.o devices/emulated/ide_identify.o devices/emulated/ide_dma.o
 * devices/emulated/kbd.o devices/emulated/mouse.o devices/emulated/i8042.o devices/emulated/dma.o devices/emulated/floppy.o
 * devices/emulated/floppy_data.o devices/emulated/floppy_media.o
 * devices/emulated/fw_cfg.o devices/emulated/i440fx.o devices/emulated/piix3.o
 * devices/pci.o devices/device.o tests/unit/fake_vm.o tests/unit/fake_disk.o monitor/trace.o monitor/lib/bug.o */
#include "devices/display.h"
#include "devices/emulated/dma.h"
#include "devices/emulated/floppy.h"
#include "devices/emulated/fw_cfg.h"
#include "devices/emulated/i440fx.h"
#include "devices/emulated/ide.h"
#include "devices/emulated/i8042.h"
#include "devices/emulated/kbd.h"
#include "devices/emulated/mouse.h"
#include "devices/emulated/piix3.h"
#include "devices/emulated/vga.h"
#include "monitor/bus.h"
#include "monitor/event.h"
#include "monitor/mem.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_vm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SPACES      6
#define GUEST_BYTES (1u << 20)
#define HANG_SECONDS 20		/* no batch of accesses may take as long */
#define BATCH       20000
#define GROWTH_MAX_KIB (192l << 10)

struct space {
	u32 size;		/* offsets 0 to size - 1 */
	int max;		/* the widest access: 1, 2 or 4 */
	u32 weight;		/* how often in comparison with the others */
	u32 (*read)(void *dev, u32 offset, int size);
	void (*write)(void *dev, u32 offset, u32 value, int size);
};
struct target {
	const char *name;
	struct device *(*new)(struct vm *vm);
	void (*free)(struct device *dev);
	void (*now_and_then)(struct device *dev, u32 random);	/* what else happens to the chip; may be NULL */
	struct space space[SPACES];
};

/* --- what chips need of the machine --- */

static u8 guest[GUEST_BYTES];
static struct { void (*fn)(void *arg); void *arg; } posted[64];
static u32 posts;

bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg)
{
	if (posts == ARRAY_SIZE(posted))
		return false;
	posted[posts].fn = fn;
	posted[posts++].arg = arg;
	return true;
}

void mem_read(struct vm *vm, gpa_t gpa, void *buf, u64 len)
{
	for (u64 i = 0; i < len; i++)
		((u8 *)buf)[i] = gpa + i < GUEST_BYTES ? guest[gpa + i] : 0xff;
}

void mem_write(struct vm *vm, gpa_t gpa, const void *buf, u64 len)
{
	for (u64 i = 0; i < len; i++)
		if (gpa + i < GUEST_BYTES)
			guest[gpa + i] = ((const u8 *)buf)[i];
}

static void run_posted(void)
{
	for (u32 i = 0; i < posts; i++)
		posted[i].fn(posted[i].arg);
	posts = 0;
}

/* --- vga --- */

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

/* --- ide: a channel with a disk and a CD, and the bus master --- */

struct ide_rig {
	struct ide_channel c, other;
	struct piix_ide pci;
	struct blockdev *disk, *cd;
};

static struct device *ide_new(struct vm *vm)
{
	struct ide_rig *r = calloc(1, sizeof(*r));
	bug_on(!r, "out of memory");
	r->disk = fake_disk_new(2000);
	r->cd = fake_disk_new(2000);
	ide_channel_init(&r->c, vm, "ide0");
	ide_channel_init(&r->other, vm, "ide1");
	piix_ide_init(&r->pci, vm, "piix_ide", &r->c, &r->other);
	r->pci.func.config[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MASTER;
	ide_attach(&r->c, 0, IDE_DISK, r->disk);
	ide_attach(&r->c, 1, IDE_CD, r->cd);
	return &r->c.dev;
}

static void ide_free(struct device *dev)
{
	struct ide_rig *r = container_of(dev, struct ide_rig, c.dev);
	fake_disk_free(r->disk);
	fake_disk_free(r->cd);
	free(r);
}

static void ide_command_now(struct ide_channel *c, u32 random)
{
	static const u8 commands[] = { 0x20, 0x24, 0x25, 0x30, 0x34, 0x35, 0xc4, 0xc5, 0xc8, 0xca, 0xec, 0x06, 0xe7, 0xc6, 0xef };
	ide_write_control(c, 0);
	ide_write(c, 6, 0xe0, 1);
	for (u32 i = 0; i < 2; i++) {
		ide_write(c, 1, random & 1, 1);
		ide_write(c, 2, random >> 8 & (i ? 0xff : 3), 1);
		ide_write(c, 3, random >> 4 & (i ? 0xff : 0), 1);
		ide_write(c, 4, random >> 12 & (i ? 7 : 0), 1);
		ide_write(c, 5, 0, 1);
	}
	ide_write(c, 7, commands[random % sizeof(commands)], 1);
}

static void ide_packet_now(struct ide_channel *c, u32 random)
{
	static const u8 ops[] = { 0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x42, 0x43, 0x44, 0x46, 0x4a, 0x51, 0x52, 0x5a,
		0xa8, 0xad, 0xb9, 0xbd, 0xbe };
	ide_write_control(c, 0);
	ide_write(c, 6, 0xb0, 1);
	ide_write(c, 1, random >> 5 & 1, 1);
	ide_write(c, 7, 0xa0, 1);
	ide_write(c, 0, ops[random % sizeof(ops)] | (random >> 8 & 0xff00), 2);
	for (u32 i = 1; i < 6; i++)
		ide_write(c, 0, i == 5 ? random : random >> 7 & 0xff00, 2);
}

static void ide_now_and_then(struct device *dev, u32 random)
{
	struct ide_rig *r = container_of(dev, struct ide_rig, c.dev);
	switch (random >> 20 & 7) {
	case 0: case 1: ide_command_now(&r->c, random); break;
	case 2: case 3: ide_packet_now(&r->c, random); break;
	case 4:
		for (u32 i = random & 0xfff; i; i--)
			random & 0x1000 ? ide_write(&r->c, 0, random, 4) : (void)ide_read(&r->c, 0, 2);
		break;
	case 5:
		fake_disk_release(r->disk);
		fake_disk_release(r->cd);
		if (random & 1)
			fake_disk_hold(random & 2 ? r->cd : r->disk);
		break;
	case 6:
		fake_disk_release(r->cd);
		fake_disk_change(r->cd, random & 3 ? 2000 : 0);
		break;
	case 7:
		fake_disk_fail(random & 1 ? r->cd : r->disk, random & 0x70 ? 0 : 5);
		fake_disk_readonly(r->disk, random & 2);
		break;
	}
}

static u32 ide_bm_read(void *dev, u32 offset, int size) { return piix_ide_read(&((struct ide_rig *)dev)->pci, offset, size); }
static void ide_bm_write(void *dev, u32 offset, u32 value, int size)
{
	piix_ide_write(&((struct ide_rig *)dev)->pci, offset, offset == 4 ? value & 0xfffff : value, size);
}
static u32 ide_ports_read(void *dev, u32 offset, int size) { return ide_read(dev, offset, size); }
static void ide_ports_write(void *dev, u32 offset, u32 value, int size) { ide_write(dev, offset, value, size); }
static u32 ide_control_read(void *dev, u32 offset, int size) { return ide_read_alt_status(dev); }
static void ide_control_write(void *dev, u32 offset, u32 value, int size) { ide_write_control(dev, (u8)value); }

/* --- keyboard controller with keyboard and mouse; space 1: keys and movements --- */

struct ps2_set { struct i8042 controller; struct kbd kbd; struct mouse mouse; };

static void ps2_ready(void *to, int n, bool level)
{
	i8042_port_changed(to);
}

static struct device *ps2_new(struct vm *vm)
{
	struct ps2_set *p = calloc(1, sizeof(*p));
	bug_on(!p, "out of memory");
	i8042_init(&p->controller, vm, "i8042");
	kbd_init(&p->kbd, vm, "kbd");
	mouse_init(&p->mouse, vm, "mouse");
	p->kbd.port.ready = p->mouse.port.ready = (struct line){ .set = ps2_ready, .to = &p->controller };
	p->controller.port[0] = &p->kbd.port;
	p->controller.port[1] = &p->mouse.port;
	return &p->controller.dev;
}

static void ps2_free(struct device *dev)
{
	free(container_of(dev, struct ps2_set, controller.dev));
}

static u32 ps2_read(void *dev, u32 offset, int size) { return offset ? i8042_read_status(dev) : i8042_read_data(dev); }
static void ps2_write(void *dev, u32 offset, u32 value, int size)
{
	if (offset)
		i8042_write_command(dev, (u8)(value & 0x100 ? 0xd4 : value));
	else
		i8042_write_data(dev, (u8)value);
}
static u32 ps2_nothing(void *dev, u32 offset, int size) { return 0; }
static void ps2_user(void *dev, u32 offset, u32 value, int size)
{
	struct ps2_set *p = container_of(dev, struct ps2_set, controller.dev);
	if (offset)
		kbd_key(&p->kbd, (u8)value, value >> 8 & 1);
	else
		mouse_move(&p->mouse, (int)value, (int)(value << 7), (s8)value, (u8)(value >> 9));
}

/* The chips behind the plug: any state, too. */
static void ps2_now_and_then(struct device *dev, u32 random)
{
	struct ps2_set *p = container_of(dev, struct ps2_set, controller.dev);
	struct device *other = random & 1 ? &p->kbd.dev : &p->mouse.dev;
	if (random % 64 < 2)
		other->cls->reset(other);
	if (random % 64 >= 4)
		return;
	for (const struct field *f = other->cls->fields; f->name; f++)
		if (f->kind != FIELD_TIMER)
			field_put(other, f, 0, random);
	other->cls->loaded(other);
}

/* --- fw_cfg, with requests that lie in the guest's memory --- */

static struct device *fw_cfg_new(struct vm *vm)
{
	struct fw_cfg *f = calloc(1, sizeof(*f));
	bug_on(!f, "out of memory");
	fw_cfg_init(f, vm, "fw_cfg");
	for (u32 i = 0; i < FW_CFG_FILES; i++) {
		char name[FW_CFG_NAME_MAX];
		snprintf(name, sizeof(name), "file/%u", i);
		fw_cfg_add_file(f, name, guest, i * 1000);
	}
	return &f->dev;
}

static void fw_cfg_free(struct device *dev)
{
	struct fw_cfg *f = container_of(dev, struct fw_cfg, dev);
	fw_cfg_fini(f);
	free(f);
}

static u32 cfg_read(void *dev, u32 offset, int size) { return fw_cfg_read(dev, offset, size); }
static void cfg_write(void *dev, u32 offset, u32 value, int size) { fw_cfg_write(dev, offset, value & 0xc07f, size); }
static u32 cfg_dma_read(void *dev, u32 offset, int size) { return fw_cfg_dma_read(dev, offset, size); }
static void cfg_dma_write(void *dev, u32 offset, u32 value, int size)
{
	u32 at = value & (GUEST_BYTES - 1);
	if (offset == 4 && at + 8 < GUEST_BYTES)	/* large ones only take time */
		guest[at + 4] = guest[at + 5] = 0;
	fw_cfg_dma_write(dev, offset, offset == 4 ? __builtin_bswap32(at) : value & 1, size);
}

/* --- the two bridges, through the configuration ports --- */

struct bridges { struct pci pci; struct i440fx host; struct piix3 isa; };

static struct device *bridges_new(struct vm *vm)
{
	struct bridges *b = calloc(1, sizeof(*b));
	bug_on(!b, "out of memory");
	pci_init(&b->pci, vm, "pci");
	i440fx_init(&b->host, vm, "i440fx");
	piix3_init(&b->isa, vm, "piix3");
	pci_add(&b->pci, 0, 0, &b->host.func);
	pci_add(&b->pci, 1, 0, &b->isa.func);
	return &b->pci.dev;
}

static void bridges_free(struct device *dev)
{
	free(container_of(dev, struct bridges, pci.dev));
}

static void bridges_now_and_then(struct device *dev, u32 random)
{
	struct bridges *b = container_of(dev, struct bridges, pci.dev);
	piix3_set_pirq(&b->isa, (int)random, random >> 8 & 1);
	if (random % 256 == 0)
		b->host.dev.cls->reset(&b->host);
	if (random % 256 == 1)
		b->isa.dev.cls->reset(&b->isa);
}

static u32 bridges_read(void *dev, u32 offset, int size) { return pci_read(dev, offset, size); }
static void bridges_write(void *dev, u32 offset, u32 value, int size)
{
	pci_write(dev, offset, offset == 0 && size == 4 ? 0x80000000 | (value & 0x8fc) : value, size);
}

/* --- floppy: the controller, two drives, the DMA controllers --- */

struct floppy_rig {
	struct floppy f;
	struct dma dma;
	struct blockdev *disk[2];
};

static struct device *fdc_new(struct vm *vm)
{
	struct floppy_rig *r = calloc(1, sizeof(*r));
	bug_on(!r, "out of memory");
	dma_init(&r->dma, vm, "dma");
	floppy_init(&r->f, vm, "floppy");
	struct isadma channel = { .dma = &r->dma, .transfer = dma_transfer, .on_ready = dma_on_ready };
	floppy_set_dma(&r->f, &channel, 2);
	for (int i = 0; i < 2; i++) {
		r->disk[i] = fake_disk_new(i ? 720 : 2880);
		floppy_attach(&r->f, i, r->disk[i]);
	}
	return &r->f.dev;
}

static void fdc_free(struct device *dev)
{
	struct floppy_rig *r = container_of(dev, struct floppy_rig, f.dev);
	fake_disk_free(r->disk[0]);
	fake_disk_free(r->disk[1]);
	free(r);
}

static void fdc_command_now(struct floppy_rig *r, u32 random)
{
	static const u8 ops[] = { 0x46, 0x45, 0x4d, 0x4a, 0x51, 0x59, 0x5d, 0x56, 0x42, 0x4c, 0xc6, 0x6c, 0xc5, 0x0f, 0x07, 0x08 };
	if (random & 0x100000) {
		floppy_write(&r->f, 2, 0);
		floppy_write(&r->f, 2, 0x3c);
	}
	floppy_write(&r->f, 5, 3);
	floppy_write(&r->f, 5, 0xdf);
	floppy_write(&r->f, 5, random >> 16 & 1);
	floppy_write(&r->f, 7, random & 0x600000 ? 0 : 2);
	const u8 rest[] = { ops[random & 15], random >> 4 & 5, r->f.pcn[0], random >> 6 & 1, random >> 8 & 15, 2, 9, 0x1b, random >> 12 & 7 };
	for (u32 i = 0; i < sizeof(rest); i++)
		floppy_write(&r->f, 5, rest[i]);
}

static void fdc_now_and_then(struct device *dev, u32 random)
{
	struct floppy_rig *r = container_of(dev, struct floppy_rig, f.dev);
	struct blockdev *disk = r->disk[random >> 3 & 1];
	switch (random & 7) {
	case 0: case 1: case 2:
		fdc_command_now(r, random >> 4);
		break;
	case 3:
		dma_write(&r->dma, 0, 11, (random >> 8 & 0xfc) | 2);
		dma_write(&r->dma, 0, 10, 2);
		break;
	case 4:
		fake_disk_release(disk);
		if (random & 16)
			fake_disk_hold(disk);
		break;
	case 5:
		fake_disk_release(disk);
		fake_disk_change(disk, random & 0x30 ? 2880 : random >> 8 & 0xfff);
		break;
	case 6:
		fake_disk_fail(disk, random & 0x70 ? 0 : 5);
		fake_disk_readonly(disk, random & 0x80);
		break;
	case 7:
		for (u32 i = random >> 8 & 0x3ff; i; i--)
			random & 16 ? floppy_write(&r->f, 5, (u8)i) : (void)floppy_read(&r->f, 5);
		break;
	}
}

static u32 fdc_ports_read(void *dev, u32 offset, int size) { return floppy_read(dev, offset); }
static void fdc_ports_write(void *dev, u32 offset, u32 value, int size) { floppy_write(dev, offset, (u8)value); }
static u32 fdc_dma_read(void *dev, u32 offset, int size) { return dma_read(&((struct floppy_rig *)dev)->dma, 0, offset); }
static void fdc_dma_write(void *dev, u32 offset, u32 value, int size)
{
	struct dma *d = &((struct floppy_rig *)dev)->dma;
	offset < 16 ? dma_write(d, 0, offset, (u8)value) : dma_write_page(d, offset, (u8)value);
}

static const struct target targets[] = {
	{ "floppy", fdc_new, fdc_free, fdc_now_and_then, {
		{ 8, 1, 8, fdc_ports_read, fdc_ports_write }, { 32, 1, 2, fdc_dma_read, fdc_dma_write } } },
	{ "fw_cfg", fw_cfg_new, fw_cfg_free, NULL, { { 2, 2, 3, cfg_read, cfg_write }, { 8, 4, 1, cfg_dma_read, cfg_dma_write } } },
	{ "bridges", bridges_new, bridges_free, bridges_now_and_then, { { 8, 4, 1, bridges_read, bridges_write } } },
	{ "ps2", ps2_new, ps2_free, ps2_now_and_then, { { 2, 1, 8, ps2_read, ps2_write }, { 2, 4, 2, ps2_nothing, ps2_user } } },
	{ "ide", ide_new, ide_free, ide_now_and_then, {
		{ 8, 4, 12, ide_ports_read, ide_ports_write }, { 1, 1, 1, ide_control_read, ide_control_write },
		{ 16, 4, 6, ide_bm_read, ide_bm_write } } },
	{ "vga", vga_new, vga_free, vga_now_and_then, {
		{ 0x30, 1, 8, vga_ports_read, vga_ports_write }, { 3, 2, 4, vga_vbe_read, vga_vbe_write },
		{ VGA_WINDOW_BYTES, 4, 8, vga_mem_read, vga_mem_write }, { VGA_MMIO_BYTES, 2, 1, vga_mmio_read, vga_mmio_write } } },
};

/* --- driver --- */

struct fuzz {
	const struct target *t;
	struct vm *vm;
	struct device *dev;
	u64 rng, accesses;
	u32 weights;
};

static u32 rnd(struct fuzz *f, u32 below)
{
	f->rng ^= f->rng << 13;
	f->rng ^= f->rng >> 7;
	f->rng ^= f->rng << 17;
	return below ? (u32)(f->rng >> 20) % below : (u32)(f->rng >> 20);
}

static const struct space *pick_space(struct fuzz *f)
{
	u32 n = rnd(f, f->weights), i = 0;
	while (n >= f->t->space[i].weight)
		n -= f->t->space[i++].weight;
	return &f->t->space[i];
}

static u32 pick_value(struct fuzz *f)
{
	static const u32 edges[] = { 0, 1, 0xff, 0x80, 0x7f, 0xffff, 0x8000, 0xffffffff, 0x80000000 };
	return rnd(f, 4) ? rnd(f, 0) >> rnd(f, 25) : edges[rnd(f, ARRAY_SIZE(edges))];
}

/* Accesses within one space, aligned or not; they do not go over its end (the bus splits them). */
static void access_once(struct fuzz *f)
{
	const struct space *s = pick_space(f);
	int size = 1 << rnd(f, 3);
	if (size > s->max)
		size = s->max;
	u32 offset = rnd(f, s->size);
	if (offset + (u32)size > s->size)
		size = 1;
	if (rnd(f, 3))
		s->write(f->dev, offset, pick_value(f), size);
	else
		s->read(f->dev, offset, size);
	f->accesses++;
}

/* A snapshot file may say anything. */
static void state_from_outside(struct fuzz *f)
{
	for (const struct field *field = f->dev->cls->fields; field->name; field++)
		if (field->kind != FIELD_TIMER && !rnd(f, 4))
			field_put(f->dev, field, rnd(f, field->count), rnd(f, 0));
	if (f->dev->cls->loaded)
		f->dev->cls->loaded(f->dev);
}

static void batch(struct fuzz *f)
{
	alarm(HANG_SECONDS);
	for (int i = 0; i < BATCH; i++) {
		access_once(f);
		u32 event = rnd(f, 4096);
		if (event < 64)
			fake_advance(f->vm, rnd(f, 4) ? rnd(f, 100000) : rnd(f, 40000000));
		if (event >= 64 && event < 128)
			run_posted();
		if (event >= 128 && event < 256 && f->t->now_and_then)
			f->t->now_and_then(f->dev, rnd(f, 0));
		if (event == 4094)
			state_from_outside(f);
		if (event == 4095 && f->dev->cls->reset)
			f->dev->cls->reset(f->dev);
	}
	alarm(0);
}

static long memory_kib(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static int run(const struct target *t, u64 limit, double time_limit, u64 seed)
{
	struct fuzz f = { .t = t, .rng = seed * 0x9e3779b97f4a7c15ull | 1, .vm = fake_vm_new() };
	double start = seconds();
	for (u32 i = 0; i < SPACES; i++)
		f.weights += t->space[i].weight;
	for (u32 i = 0; i < GUEST_BYTES; i++)
		guest[i] = (u8)rnd(&f, 256);
	f.dev = t->new(f.vm);
	batch(&f);
	long before = memory_kib();
	while (f.accesses < limit && seconds() - start < time_limit)
		batch(&f);
	long grown = memory_kib() - before;
	t->free(f.dev);
	fake_vm_free(f.vm);
	printf("%s: %llu accesses, seed %llu, %.1f s, %ld KiB more memory\n", t->name, (unsigned long long)f.accesses,
	       (unsigned long long)seed, seconds() - start, grown);
	if (grown > GROWTH_MAX_KIB) {
		printf("%s: memory grew by more than %ld KiB\n", t->name, GROWTH_MAX_KIB);
		return 1;
	}
	return 0;
}

static int list(FILE *to)
{
	for (u32 i = 0; i < ARRAY_SIZE(targets); i++)
		fprintf(to, "%s%s", targets[i].name, i + 1 < ARRAY_SIZE(targets) ? " " : "\n");
	return to == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
	u64 limit = ~0ull, seed = 1;
	double time_limit = 10;
	int c;
	if (argc > 1 && !strcmp(argv[1], "list"))
		return list(stdout);
	while ((c = getopt(argc, argv, "n:t:s:")) != -1) {
		if (c == 'n') {
			limit = strtoull(optarg, NULL, 0);
			time_limit = 1e9;
		} else if (c == 't') {
			time_limit = strtod(optarg, NULL);
		} else if (c == 's') {
			seed = strtoull(optarg, NULL, 0);
		} else {
			return 2;
		}
	}
	for (u32 i = 0; optind < argc && i < ARRAY_SIZE(targets); i++)
		if (!strcmp(argv[optind], targets[i].name))
			return run(&targets[i], limit, time_limit, seed);
	fprintf(stderr, "usage: fuzz_dev NAME [-n ACCESSES] [-t SECONDS] [-s SEED]; names: ");
	return list(stderr);
}
