/*
 * floppy.h - the 82077AA floppy disk controller with two drives.
 */
#ifndef RF_FLOPPY_H
#define RF_FLOPPY_H
#include "devices/blockdev.h"
#include "devices/device.h"
#include "devices/isadma.h"
#include "monitor/clock.h"

#define FLOPPY_DRIVES 2
#define FLOPPY_SECTOR_MAX 1024

struct floppy_geometry {
	u8 cylinders, heads, sectors;	/* 0 cylinders: unknown */
	u8 size_code;			/* 2: 512 bytes a sector, 3: 1024 */
	u8 rates;			/* bit n: data rate code n reads it (0: 500, 1: 300, 2: 250 kbit/s, 3: 1 Mbit/s) */
	u8 cmos;			/* the type of drive for it, as in CMOS register 10h */
};
struct floppy_drive {
	struct floppy *ctl;
	struct blockdev *blk;		/* NULL: no drive */
	struct floppy_geometry geo;
	struct blk_req probe;		/* reads the boot sector of a medium of unusual size */
	u8 boot[512];
	bool probing;
	u8 cylinder;			/* where the head is */
	bool changed;			/* the DSKCHG line */
	u8 target;			/* of the seek under way */
	bool seeking, no_track0;	/* no_track0: it will end without the track 0 signal */
	struct timer timer;
};
enum floppy_phase { FLOPPY_COMMAND, FLOPPY_EXECUTION, FLOPPY_RESULT };
enum floppy_exec {
	FLOPPY_POSITION,		/* waits for the sector to come by */
	FLOPPY_MEDIUM,			/* host I/O is under way */
	FLOPPY_TRANSFER,		/* data goes from or to the guest */
};

struct floppy {
	struct device dev;
	u8 dor, tdr, dsr, rate;
	u8 phase;			/* enum floppy_phase */
	u8 cmd[9], cmd_len, cmd_need;
	u8 result[10], result_len, result_pos;
	u8 pcn[4];			/* where the controller believes the heads are */
	u8 sense[4];			/* ST0 that SENSE INTERRUPT STATUS will give */
	u8 sense_seek, sense_reset;	/* which of them wait: after a seek, after a reset */
	u8 specify[2], config[2], perpendicular, last_sectors;
	bool lock;
	/* a command with data */
	u8 exec;			/* enum floppy_exec */
	u8 st1, st2, c, h, r, left;	/* left: sectors to go (READ TRACK, FORMAT, VERIFY) */
	bool tc;
	u8 buf[FLOPPY_SECTOR_MAX], guest[FLOPPY_SECTOR_MAX];	/* the sector; what SCAN compares it with */
	u16 pos, len;
	struct timer timer;
	struct line irq;

	struct floppy_drive drive[FLOPPY_DRIVES];
	struct blk_req req;
	bool busy, stale;		/* req is under way; its result is not wanted any more */
	struct isadma dma;		/* the board's; dma.transfer NULL: none */
	int dma_channel;
};

void floppy_init(struct floppy *f, struct vm *vm, const char *id);
/* Before the machine runs. blk with or without a medium. */
void floppy_attach(struct floppy *f, int n, struct blockdev *blk);
void floppy_set_dma(struct floppy *f, const struct isadma *dma, int channel);
/* offset: 0 to 5 and 7 from 3F0h on; 6 is not the controller's. */
u8   floppy_read(struct floppy *f, u32 offset);
void floppy_write(struct floppy *f, u32 offset, u8 value);
/* The CMOS type for drive n: of the medium that is in it, 4 (1.44 MB) without one, 0 if there is no such drive. */
u8   floppy_cmos_type(const struct floppy *f, int n);
#endif
