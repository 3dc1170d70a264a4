/*
 * board_drives.h - the IDE part of the PC: two channels at their old ports and interrupts, and the PCI function that masters the bus.
 */
#ifndef RF_BOARD_DRIVES_H
#define RF_BOARD_DRIVES_H
#include "devices/board_pc.h"
#include "devices/emulated/ide.h"

struct blockdev;
struct board_drives {
	struct ide_channel channel[2];
	struct piix_ide pci;
	struct blockdev *blk[BOARD_IDE_DRIVES];
};

/* Opens the images and wires the ports; irq: the lines of channel 0 and 1. False with a sentence in err, or with the bus's in vm->error. */
bool board_drives_init(struct board_drives *d, struct vm *vm, const struct board_drive *drives, const struct line *irq,
		       char *err, size_t errsize);
void board_drives_stop(struct board_drives *d);	/* host I/O ends, before event_fini() */
void board_drives_fini(struct board_drives *d);
#endif
