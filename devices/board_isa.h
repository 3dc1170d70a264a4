/*
 * board_isa.h - the part of the PC that is as old as the ISA bus: DMA controllers, floppy drives, printer port.
 */
#ifndef RF_BOARD_ISA_H
#define RF_BOARD_ISA_H
#include "devices/board_pc.h"
#include "devices/emulated/dma.h"
#include "devices/emulated/floppy.h"
#include "devices/emulated/lpt.h"

struct chardev;
struct chardev_stdio;
struct board_isa {
	struct dma dma;
	struct floppy floppy;
	struct lpt lpt;
	struct blockdev *blk[BOARD_FLOPPIES];
	struct chardev *printer;
};

/* Opens the images and the printer's file, wires the ports; irq: the lines of floppy and printer. False with a sentence in err, or with the
 * bus's in vm->error. */
bool board_isa_init(struct board_isa *b, struct vm *vm, const struct board_options *opt, const struct line *irq,
		    const struct chardev_stdio *in, char *err, size_t errsize);
/* What a setup program would have left in CMOS registers 10h (drive types) and 14h (equipment). */
u8   board_isa_floppy_types(const struct board_isa *b);
u8   board_isa_equipment(const struct board_isa *b);
void board_isa_stop(struct board_isa *b);	/* host I/O ends, before event_fini() */
void board_isa_fini(struct board_isa *b);
#endif
