/*
 * ide.h - an IDE channel with up to two drives (hard disk, CD), and the PIIX3's IDE function with its bus master.
 *
 * The channel is two groups of ports: the command block (1F0h-1F7h) and the device control register (3F6h), and one line. Source:
 * ATA/ATAPI-6 (T13/1410D); bus master: Intel 290550-002 (PIIX3), 2.7, SFF-8038i 1.0.
 */
#ifndef RF_IDE_H
#define RF_IDE_H
#include "devices/blockdev.h"
#include "devices/device.h"
#include "devices/pci.h"

#define IDE_BUFFER     (128u << 10)	/* bytes between host and guest at once, by DMA */
#define IDE_PIO_BUFFER (32u << 10)	/* by PIO */
#define IDE_PACKET     12u

enum ide_kind { IDE_NONE, IDE_DISK, IDE_CD };
/* What the channel does for its active drive. */
enum ide_phase {
	IDE_IDLE,
	IDE_IO,			/* a request is at the blockdev */
	IDE_PIO_IN, IDE_PIO_OUT,
	IDE_DMA_IN, IDE_DMA_OUT,	/* waits for the bus master */
	IDE_PACKET_OUT,		/* the 12 bytes of a command packet come */
};

struct ide_drive {
	enum ide_kind kind;
	struct blockdev *blk;
	char serial[20], firmware[8], model[40];	/* blank-padded, as IDENTIFY gives them */

	/* the task file; "hob" is what was there before */
	u8 feature, count, lba[3], device, status, error;
	u8 hob_feature, hob_count, hob_lba[3];
	u16 cylinders, heads, sectors;	/* current translation */
	u8 multiple;			/* sectors of a READ MULTIPLE block; 0: not set */
	u8 dma_mode;			/* as in SET FEATURES 03h: 20h-22h multiword, 40h-45h Ultra; 0: PIO */
	bool write_cache, look_ahead, smart, standby;
	/* CD */
	u8 sense_key, asc, ascq;
	bool attention;			/* medium changed and nobody was told */
	bool locked;			/* PREVENT MEDIUM REMOVAL */
	u8 media_event;			/* for GET EVENT STATUS NOTIFICATION: 0 none, 1 eject request, 2 new, 3 removed */
};

struct ide_channel {
	struct device dev;
	struct ide_drive drive[2];
	u8 selected;			/* device register, bit 4 */
	u8 control;			/* device control: nIEN, SRST, HOB */
	u8 active;			/* the drive that runs the command */
	u8 command;
	bool irq_pending;
	struct line irq;

	/* the transfer */
	u8 phase;			/* enum ide_phase */
	bool write, dma, extended;
	u32 unit;			/* bytes of a sector: 512, 2048, 2352; 0: what is in the buffer is all */
	u32 block;			/* bytes of a DRQ block */
	u32 pos, end;			/* DRQ block: next byte and the end of it, in the buffer */
	u32 filled;			/* bytes of the buffer that belong to the transfer */
	u64 next_lba;			/* sectors behind those in the buffer */
	u32 left;			/* how many of them */
	u8 packet[IDE_PACKET];

	/* bus master */
	struct pci_func *func;		/* NULL: no bus master */
	u8 bm_command, bm_status;
	u32 bm_table;			/* address of the PRD table */
	u32 prd_next, prd_at, prd_left;	/* next entry; what is left of this one */
	bool prd_last;

	/* a request that a reset left behind holds back the next command that needs one */
	struct blk_req req;
	bool busy, stale, deferred;

	union { u8 data[IDE_BUFFER]; u64 state[IDE_BUFFER / 8]; };
};

/* The drives are set by ide_attach() before the machine runs. */
void ide_channel_init(struct ide_channel *c, struct vm *vm, const char *id);
void ide_attach(struct ide_channel *c, int unit, enum ide_kind kind, struct blockdev *blk);
/* Command block, offset 0 (data, 2 or 4 bytes) to 7; device control block: its one register. */
u32  ide_read(struct ide_channel *c, u32 offset, int size);
void ide_write(struct ide_channel *c, u32 offset, u32 value, int size);
/* n words or doublewords (size 2, 4) from or to the data port at once; returns how many: at most to the end of the DRQ block. */
u32  ide_read_data(struct ide_channel *c, void *buf, int size, u32 n);
u32  ide_write_data(struct ide_channel *c, const void *buf, int size, u32 n);
u32  ide_read_alt_status(struct ide_channel *c);
void ide_write_control(struct ide_channel *c, u8 value);

/* The PCI function: configuration space and 16 ports behind BAR 4, 8 for each channel. */
struct piix_ide {
	struct device dev;
	struct pci_func func;
	struct ide_channel *channel[2];
};
void piix_ide_init(struct piix_ide *p, struct vm *vm, const char *id, struct ide_channel *primary, struct ide_channel *secondary);
u32  piix_ide_read(struct piix_ide *p, u32 offset, int size);
void piix_ide_write(struct piix_ide *p, u32 offset, u32 value, int size);
#endif
