/*
 * storage.c - fuzzing IDE with a disk and a CD, and the floppy controller with the DMA controllers.
 */
#include "devices/emulated/dma.h"
#include "devices/emulated/floppy.h"
#include "devices/emulated/ide.h"
#include "tests/fuzz/dev/target.h"
#include "tests/unit/fake_disk.h"
#include <stdlib.h>

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

const struct target storage_targets[] = {
	{ "floppy", fdc_new, fdc_free, fdc_now_and_then, {
		{ 8, 1, 8, fdc_ports_read, fdc_ports_write }, { 32, 1, 2, fdc_dma_read, fdc_dma_write } } },
	{ "ide", ide_new, ide_free, ide_now_and_then, {
		{ 8, 4, 12, ide_ports_read, ide_ports_write }, { 1, 1, 1, ide_control_read, ide_control_write },
		{ 16, 4, 6, ide_bm_read, ide_bm_write } } },
	{ 0 },
};
