/*
 * ide_int.h - what the files of the IDE channel share: ide.c (registers, transfers), ide_ata.c, ide_identify.c, ide_atapi.c,
 * ide_mmc.c, ide_dma.c.
 */
#ifndef RF_IDE_INT_H
#define RF_IDE_INT_H
#include "devices/emulated/ide.h"

/* Status, error, device, control (ATA-6, 7.15, 7.9, 7.10, 7.8) */
enum { ST_BSY = 0x80, ST_DRDY = 0x40, ST_DF = 0x20, ST_DSC = 0x10, ST_DRQ = 0x08, ST_ERR = 0x01 };
enum { ER_UNC = 0x40, ER_IDNF = 0x10, ER_ABRT = 0x04 };
enum { DEV_LBA = 0x40, DEV_SECOND = 0x10, DEV_FIXED = 0xa0 };
enum { CTL_HOB = 0x80, CTL_SRST = 0x04, CTL_NIEN = 0x02 };
/* Interrupt reason: the count register of a packet command */
enum { IR_COD = 0x01, IR_IO = 0x02 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };			/* bus master command */
enum { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INT = 0x04, BM_CAPABLE = 0x60 };	/* bus master status */

static inline struct ide_drive *ide_active(struct ide_channel *c) { return &c->drive[c->active]; }

static inline void ide_put16(u8 *p, u32 v) { p[0] = (u8)v; p[1] = (u8)(v >> 8); }
static inline void ide_put16be(u8 *p, u32 v) { p[0] = (u8)(v >> 8); p[1] = (u8)v; }
static inline void ide_put32be(u8 *p, u32 v) { ide_put16be(p, v >> 16); ide_put16be(p + 2, v); }
static inline u32 ide_get16be(const u8 *p) { return (u32)p[0] << 8 | p[1]; }
static inline u32 ide_get32be(const u8 *p) { return ide_get16be(p) << 16 | ide_get16be(p + 2); }

/* --- ide.c --- */

/* Ends the command: status is what is or-ed to DRDY; with the interrupt. */
void ide_done(struct ide_channel *c, u8 status);
void ide_fail(struct ide_channel *c, u8 error);		/* ide_done() with ERR and this error register */
/* A drive's registers after reset or diagnostic: its signature, which tells disk and CD apart. */
void ide_signature(struct ide_drive *d);
/* Data in: `bytes` of the buffer, then `left` sectors from next_lba on; c->unit, block, dma were set. Bytes may be 0. */
void ide_start_in(struct ide_channel *c, u32 bytes);
/* Data out: with c->unit 0, `bytes` for ide_received(), else c->left sectors from next_lba on. */
void ide_start_out(struct ide_channel *c, u32 bytes);
void ide_submit(struct ide_channel *c, enum blk_op op, u64 offset, u32 len);
/* Of the bus master: it emptied or filled the buffer. */
void ide_buffer_done(struct ide_channel *c);

/* --- ide_ata.c: a disk --- */
void ata_command(struct ide_channel *c);
/* All data of a command without sectors (unit 0) has come. */
void ata_received(struct ide_channel *c);
/* A command's last request is done, or a flush. */
void ata_finished(struct ide_channel *c);
/* Whether the command, READ VERIFY, keeps what it reads. */
bool ata_verifies(const struct ide_channel *c);
/* Registers of a sector that could not be read. */
void ata_set_address(struct ide_channel *c, u64 lba);
void ata_default_geometry(struct ide_drive *d);
u64  ata_sectors(const struct ide_drive *d);
bool ata_set_features(struct ide_channel *c);		/* common to both kinds; false: not supported */

/* --- ide_identify.c: 512 bytes --- */
void ata_identify(const struct ide_drive *d, u8 *out);
void atapi_identify(const struct ide_drive *d, u8 *out);

/* --- ide_atapi.c: a CD --- */
void atapi_command(struct ide_channel *c);
void atapi_packet(struct ide_channel *c);		/* the packet is there */
void atapi_drq(struct ide_channel *c, u32 bytes);	/* registers for the next DRQ block */
void atapi_done(struct ide_channel *c);
void atapi_fail(struct ide_channel *c, u8 key, u8 asc, u8 ascq);
void atapi_read_error(struct ide_channel *c, int error);
void atapi_changed(struct ide_drive *d);
/* Sectors are in the buffer, 2048 bytes each: spreads them to raw ones when READ CD asked for those. */
void atapi_filled(struct ide_channel *c, u32 sectors, u64 first);
void atapi_reply(struct ide_channel *c, u32 bytes, u32 allocated);
u32  atapi_blocks(const struct ide_drive *d);		/* 2048 bytes each; 0: no medium */
enum { SENSE_NONE = 0, SENSE_NOT_READY = 2, SENSE_MEDIUM = 3, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6 };
enum { ASC_COMMAND = 0x20, ASC_RANGE = 0x21, ASC_FIELD = 0x24, ASC_CHANGED = 0x28, ASC_RESET = 0x29, ASC_NO_MEDIUM = 0x3a,
	ASC_READ = 0x11, ASC_REMOVAL = 0x53, ASC_TRACK_MODE = 0x64, ASC_FORMAT = 0x30 };

/* --- ide_mmc.c: commands that only tell something --- */
/* False: no such command. */
bool mmc_inform(struct ide_channel *c, const u8 *packet);

/* --- ide_dma.c --- */
/* Moves what it can between buffer and guest memory. Does nothing while the bus master is not started. */
void ide_dma_run(struct ide_channel *c);
void ide_dma_reset(struct ide_channel *c);
#endif
