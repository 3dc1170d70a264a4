/*
 * board_isa.c - wires the DMA controllers (00h-0Fh, 80h-8Fh, C0h-DFh), the floppy controller (3F0h-3F5h, 3F7h, interrupt 6, DMA 2) and the
 * printer port (378h, interrupt 7).
 */
#include "devices/board_isa.h"
#include "devices/blockdev.h"
#include "devices/chardev.h"
#include "images/image.h"
#include "monitor/bus.h"
#include "monitor/vm.h"
#include <stdio.h>

#define FLOPPY_DMA 2
static const char *const floppy_ids[BOARD_FLOPPIES] = { "floppy0", "floppy1" };

static u32 dma0_read(void *dev, u32 offset, int size) { return dma_read(dev, 0, offset); }
static void dma0_write(void *dev, u32 offset, u32 value, int size) { dma_write(dev, 0, offset, (u8)value); }
static u32 dma1_read(void *dev, u32 offset, int size) { return dma_read(dev, 1, offset >> 1); }
static void dma1_write(void *dev, u32 offset, u32 value, int size) { dma_write(dev, 1, offset >> 1, (u8)value); }
static u32 page_read(void *dev, u32 offset, int size) { return dma_read_page(dev, offset); }
static void page_write(void *dev, u32 offset, u32 value, int size) { dma_write_page(dev, offset, (u8)value); }
static u32 fdc_read(void *dev, u32 offset, int size) { return floppy_read(dev, offset); }
static void fdc_write(void *dev, u32 offset, u32 value, int size) { floppy_write(dev, offset, (u8)value); }
static u32 dir_read(void *dev, u32 offset, int size) { return floppy_read(dev, 7); }
static void ccr_write(void *dev, u32 offset, u32 value, int size) { floppy_write(dev, 7, (u8)value); }
static u32 printer_read(void *dev, u32 offset, int size) { return lpt_read(dev, offset); }
static void printer_write(void *dev, u32 offset, u32 value, int size) { lpt_write(dev, offset, (u8)value); }

static const struct bus_ops dma0_ops = { dma0_read, dma0_write, 1 };
static const struct bus_ops dma1_ops = { dma1_read, dma1_write, 1 };
static const struct bus_ops page_ops = { page_read, page_write, 1 };
static const struct bus_ops fdc_ops = { fdc_read, fdc_write, 1 };
static const struct bus_ops dir_ops = { dir_read, ccr_write, 1 };
static const struct bus_ops printer_ops = { printer_read, printer_write, 1 };

static bool attach(struct board_isa *b, struct vm *vm, int n, const struct board_drive *drive, char *err, size_t errsize)
{
	struct image_options how = { .readonly = drive->readonly, .format = drive->format };
	struct image *im = NULL;
	if (drive->path) {
		im = (drive->throwaway && !how.readonly ? image_open_throwaway : image_open)(drive->path, &how, err, errsize);
		if (!im)
			return false;
	}
	b->blk[n] = blockdev_init(vm, floppy_ids[n], im);
	if (!b->blk[n]) {
		snprintf(err, errsize, "cannot start a thread for %s", drive->path ? drive->path : floppy_ids[n]);
		return false;
	}
	floppy_attach(&b->floppy, n, b->blk[n]);
	return true;
}

static bool make_printer(struct board_isa *b, struct vm *vm, const char *spec, const struct line *irq, const struct chardev_stdio *in,
			 char *err, size_t errsize)
{
	if (!spec)
		return true;
	b->printer = chardev_open(vm, spec, in, err, errsize);
	if (!b->printer && err[0])
		return false;
	lpt_init(&b->lpt, vm, "lpt0", b->printer);
	b->lpt.irq = *irq;
	return bus_add_io(vm, "lpt0", 0x378, 3, &printer_ops, &b->lpt);
}

bool board_isa_init(struct board_isa *b, struct vm *vm, const struct board_options *opt, const struct line *irq,
		    const struct chardev_stdio *in, char *err, size_t errsize)
{
	dma_init(&b->dma, vm, "dma");
	floppy_init(&b->floppy, vm, "floppy");
	b->floppy.irq = irq[0];
	struct isadma channel = { .dma = &b->dma, .transfer = dma_transfer, .on_ready = dma_on_ready };
	floppy_set_dma(&b->floppy, &channel, FLOPPY_DMA);
	if (!bus_add_io(vm, "dma", 0x00, 16, &dma0_ops, &b->dma) || !bus_add_io(vm, "dma", 0xc0, 32, &dma1_ops, &b->dma) ||
	    !bus_add_io(vm, "dma", 0x80, 16, &page_ops, &b->dma) || !bus_add_io(vm, "floppy", 0x3f0, 6, &fdc_ops, &b->floppy) ||
	    !bus_add_io(vm, "floppy", 0x3f7, 1, &dir_ops, &b->floppy))
		return false;
	for (int n = 0; n < BOARD_FLOPPIES; n++)
		if (opt->floppy[n].kind != BOARD_NO_DRIVE && !attach(b, vm, n, &opt->floppy[n], err, errsize))
			return false;
	return make_printer(b, vm, opt->parallel, &irq[1], in, err, errsize);
}

u8 board_isa_floppy_types(const struct board_isa *b)
{
	return (u8)(floppy_cmos_type(&b->floppy, 0) << 4 | floppy_cmos_type(&b->floppy, 1));
}

/* Bit 0: there are floppy drives; bits 7-6: how many, less one. */
u8 board_isa_equipment(const struct board_isa *b)
{
	int drives = (b->blk[0] != NULL) + (b->blk[1] != NULL);
	return (u8)(drives ? 1 | (drives - 1) << 6 : 0);
}

void board_isa_stop(struct board_isa *b)
{
	for (int n = 0; n < BOARD_FLOPPIES; n++)
		blockdev_stop(b->blk[n]);
}

void board_isa_fini(struct board_isa *b)
{
	for (int n = 0; n < BOARD_FLOPPIES; n++)
		blockdev_fini(b->blk[n]);
	chardev_close(b->printer);
}
