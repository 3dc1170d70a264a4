/*
 * ide_ata.c - the commands of an ATA hard disk. Source: ATA/ATAPI-6 (T13/1410D), chapter 8; the obsolete ones
 * from ATA-1; DATA SET MANAGEMENT from ATA8-ACS2.
 *
 * An address outside the disk ends in IDNF before anything is moved; a write to a read-only image in ABRT. A write is done when the
 * host has it in its page cache, as in a drive with a write cache; with the cache switched off each is made durable first.
 */
#include "devices/emulated/ide_int.h"
#include <string.h>

enum {
	CMD_DSM = 0x06, CMD_RECALIBRATE = 0x10, CMD_READ = 0x20, CMD_READ_EXT = 0x24, CMD_READ_DMA_EXT = 0x25,
	CMD_NATIVE_MAX_EXT = 0x27, CMD_READ_MULTIPLE_EXT = 0x29, CMD_WRITE = 0x30, CMD_WRITE_EXT = 0x34, CMD_WRITE_DMA_EXT = 0x35,
	CMD_WRITE_MULTIPLE_EXT = 0x39, CMD_VERIFY = 0x40, CMD_VERIFY_EXT = 0x42, CMD_SEEK = 0x70, CMD_INIT_PARAMS = 0x91,
	CMD_STANDBY_NOW_OLD = 0x94, CMD_IDLE_NOW_OLD = 0x95, CMD_STANDBY_OLD = 0x96, CMD_IDLE_OLD = 0x97, CMD_CHECK_POWER_OLD = 0x98,
	CMD_SLEEP_OLD = 0x99, CMD_SMART = 0xb0, CMD_READ_MULTIPLE = 0xc4, CMD_WRITE_MULTIPLE = 0xc5, CMD_SET_MULTIPLE = 0xc6,
	CMD_READ_DMA = 0xc8, CMD_WRITE_DMA = 0xca, CMD_STANDBY_NOW = 0xe0, CMD_IDLE_NOW = 0xe1, CMD_STANDBY = 0xe2, CMD_IDLE = 0xe3,
	CMD_READ_BUFFER = 0xe4, CMD_CHECK_POWER = 0xe5, CMD_SLEEP = 0xe6, CMD_FLUSH = 0xe7, CMD_WRITE_BUFFER = 0xe8, CMD_FLUSH_EXT = 0xea,
	CMD_IDENTIFY = 0xec, CMD_SET_FEATURES = 0xef, CMD_NATIVE_MAX = 0xf8,
};
enum { SMART_READ = 0xd0, SMART_THRESHOLDS = 0xd1, SMART_ENABLE = 0xd8, SMART_DISABLE = 0xd9, SMART_STATUS = 0xda, SMART_AUTOSAVE = 0xd2 };

#define SECTOR        512u
#define MAX_MULTIPLE  16u
#define LBA28_MAX     0x0fffffffull

u64 ata_sectors(const struct ide_drive *d)
{
	return blockdev_size(d->blk) / SECTOR;
}

/* 16 heads of 63 sectors, as all drives above 504 MiB have, so that a BIOS translates them alike; fewer for very small ones. */
void ata_default_geometry(struct ide_drive *d)
{
	u64 n = ata_sectors(d);
	d->sectors = n < 63 ? (u16)(n ? n : 1) : 63;
	d->heads = n < 16 * 63 ? (u16)(n / d->sectors ? n / d->sectors : 1) : 16;
	u64 cylinders = n / ((u64)d->heads * d->sectors);
	d->cylinders = (u16)(cylinders > 16383 ? 16383 : cylinders ? cylinders : 1);
}

/* --- addresses --- */

static u64 lba_ext(const struct ide_drive *d)
{
	return d->lba[0] | (u64)d->lba[1] << 8 | (u64)d->lba[2] << 16 | (u64)d->hob_lba[0] << 24 | (u64)d->hob_lba[1] << 32 |
	       (u64)d->hob_lba[2] << 40;
}

/* The first sector and how many; false: no such sectors. */
static bool get_range(struct ide_channel *c, u64 *first, u32 *count)
{
	const struct ide_drive *d = ide_active(c);
	if (c->extended) {
		*count = d->count | (u32)d->hob_count << 8;
		*count = *count ? *count : 65536;
		*first = lba_ext(d);
	} else {
		*count = d->count ? d->count : 256;
		if (d->device & DEV_LBA) {
			*first = d->lba[0] | (u32)d->lba[1] << 8 | (u32)d->lba[2] << 16 | (u64)(d->device & 15) << 24;
		} else {
			u32 cylinder = d->lba[1] | (u32)d->lba[2] << 8, head = d->device & 15;
			if (!d->lba[0] || d->lba[0] > d->sectors || head >= d->heads || cylinder >= d->cylinders)
				return false;
			*first = ((u64)cylinder * d->heads + head) * d->sectors + d->lba[0] - 1;
		}
	}
	u64 size = ata_sectors(d);
	return *first < size && *count <= size - *first;
}

static void set_lba_ext(struct ide_drive *d, u64 lba)
{
	for (int i = 0; i < 3; i++) {
		d->lba[i] = (u8)(lba >> 8 * i);
		d->hob_lba[i] = (u8)(lba >> (24 + 8 * i));
	}
}

static void set_lba28(struct ide_drive *d, u64 lba)
{
	for (int i = 0; i < 3; i++)
		d->lba[i] = (u8)(lba >> 8 * i);
	d->device = (u8)((d->device & 0xf0) | (lba >> 24 & 15));
}

void ata_set_address(struct ide_channel *c, u64 lba)
{
	struct ide_drive *d = ide_active(c);
	if (c->extended) {
		set_lba_ext(d, lba);
	} else if (d->device & DEV_LBA) {
		set_lba28(d, lba);
	} else {
		u64 track = lba / d->sectors, cylinder = track / d->heads;
		d->lba[0] = (u8)(lba % d->sectors + 1);
		d->lba[1] = (u8)cylinder;
		d->lba[2] = (u8)(cylinder >> 8);
		d->device = (u8)((d->device & 0xf0) | (track % d->heads));
	}
}

/* --- sectors --- */

enum { PIO, MULTIPLE, DMA };

static bool start_sectors(struct ide_channel *c, int how)
{
	struct ide_drive *d = ide_active(c);
	u64 first;
	u32 count;
	if (how == MULTIPLE && !d->multiple)
		return false;
	if (!get_range(c, &first, &count)) {
		ide_fail(c, ER_IDNF);
		return true;
	}
	d->standby = false;
	c->unit = SECTOR;
	c->next_lba = first;
	c->left = count;
	c->dma = how == DMA;
	c->block = how == MULTIPLE ? SECTOR * d->multiple : SECTOR;
	return true;
}

static bool read_sectors(struct ide_channel *c, int how)
{
	if (!start_sectors(c, how))
		return false;
	if (c->unit)
		ide_start_in(c, 0);
	return true;
}

static bool write_sectors(struct ide_channel *c, int how)
{
	if (blockdev_readonly(ide_active(c)->blk) || !start_sectors(c, how))
		return false;
	if (c->unit)
		ide_start_out(c, 0);
	return true;
}

/* Nothing goes to the guest, but each sector is read: a bad one is UNC. */
static bool verify(struct ide_channel *c)
{
	return read_sectors(c, PIO);
}

bool ata_verifies(const struct ide_channel *c)
{
	return c->drive[c->active].kind == IDE_DISK && (c->command == CMD_VERIFY || c->command == CMD_VERIFY + 1 || c->command == CMD_VERIFY_EXT);
}

static bool seek(struct ide_channel *c)
{
	u64 first;
	u32 count;
	ide_active(c)->count = 1;
	if (get_range(c, &first, &count))
		ide_done(c, 0);
	else
		ide_fail(c, ER_IDNF);
	return true;
}

static bool flush(struct ide_channel *c)
{
	ide_submit(c, BLK_FLUSH, 0, 0);
	return true;
}

static void trim_next(struct ide_channel *c);

void ata_finished(struct ide_channel *c)
{
	if (c->req.op == BLK_DISCARD)
		trim_next(c);
	else if (c->write && c->req.op == BLK_WRITE && !ide_active(c)->write_cache)
		flush(c);
	else
		ide_done(c, 0);
}

/* --- TRIM --- */

/* Ranges of 48 bits of address and 16 of length, 64 in a sector (ACS-2, 7.10.3.2): one after the other, by c->pos. */
static void trim_next(struct ide_channel *c)
{
	u64 size = ata_sectors(ide_active(c));
	while (c->pos + 8 <= c->filled) {
		u64 entry;
		memcpy(&entry, c->data + c->pos, 8);
		c->pos += 8;
		u64 first = entry & 0xffffffffffffull, n = entry >> 48;
		if (!n)
			continue;
		if (first >= size || n > size - first) {
			ide_fail(c, ER_IDNF);
			return;
		}
		ide_submit(c, BLK_DISCARD, first * SECTOR, (u32)n * SECTOR);
		return;
	}
	ide_done(c, 0);
}

static bool data_set_management(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	u32 sectors = d->count | (u32)d->hob_count << 8;
	if (d->feature != 1 || !sectors || sectors * SECTOR > IDE_PIO_BUFFER || blockdev_readonly(d->blk))
		return false;
	c->dma = true;
	ide_start_out(c, sectors * SECTOR);
	return true;
}

/* --- what only tells or sets something --- */

static bool identify(struct ide_channel *c)
{
	ata_identify(ide_active(c), c->data);
	c->block = SECTOR;
	ide_start_in(c, SECTOR);
	return true;
}

static bool done(struct ide_channel *c)
{
	ide_done(c, 0);
	return true;
}

static bool set_multiple(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	u8 n = d->count;
	if (n > MAX_MULTIPLE || (n & (n - 1)))
		return false;
	d->multiple = n;
	return done(c);
}

static bool init_params(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	u32 heads = (d->device & 15u) + 1, sectors = d->count;
	if (!sectors)
		return false;
	u64 cylinders = ata_sectors(d) / (heads * sectors);
	d->heads = (u16)heads;
	d->sectors = (u16)sectors;
	d->cylinders = (u16)(cylinders > 65535 ? 65535 : cylinders);
	return done(c);
}

/* Mode 03h: the upper five bits are the kind, the lower three the number (ATA-6, table 36). */
static bool set_transfer_mode(struct ide_drive *d, u8 mode)
{
	u8 n = mode & 7;
	if (mode == 0x00 || mode == 0x01 || (mode >= 0x08 && mode <= 0x0c)) {
		d->dma_mode = 0;
		return true;
	}
	if (((mode & 0xf8) == 0x20 && n <= 2) || ((mode & 0xf8) == 0x40 && n <= 5)) {
		d->dma_mode = mode;
		return true;
	}
	return false;
}

bool ata_set_features(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	switch (d->feature) {
	case 0x02: d->write_cache = true; break;
	case 0x82:
		d->write_cache = false;
		if (d->kind == IDE_DISK)
			return flush(c);
		break;
	case 0x03:
		if (!set_transfer_mode(d, d->count))
			return false;
		break;
	case 0x55: d->look_ahead = false; break;
	case 0xaa: d->look_ahead = true; break;
	case 0x66: case 0xcc: break;	/* (do not) go back to the defaults at a software reset */
	default: return false;
	}
	return done(c);
}

static bool native_max(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	u64 last = ata_sectors(d) - 1;
	if (c->extended) {
		set_lba_ext(d, last);
		d->hob_count = 0;
	} else {
		if (!(d->device & DEV_LBA))
			return false;
		set_lba28(d, last > LBA28_MAX ? LBA28_MAX : last);
	}
	return done(c);
}

static bool power(struct ide_channel *c, bool standby)
{
	ide_active(c)->standby = standby;
	return standby ? flush(c) : done(c);
}

static bool check_power(struct ide_channel *c)
{
	ide_active(c)->count = ide_active(c)->standby ? 0x00 : 0xff;
	return done(c);
}

/* Attribute table of a disk without a flaw: power-on state only, checksum at the end (SFF-8035i). */
static bool smart_table(struct ide_channel *c, bool thresholds)
{
	u8 sum = 0, *p = c->data;
	memset(p, 0, SECTOR);
	ide_put16(p, 0x0010);
	p[2] = 5;				/* reallocated sectors */
	if (thresholds) {
		p[3] = 36;
	} else {
		ide_put16(p + 3, 0x0033);
		p[5] = p[6] = 100;
		p[362] = 0x82;			/* off-line collection: done, by itself */
	}
	for (u32 i = 0; i < SECTOR - 1; i++)
		sum = (u8)(sum + p[i]);
	p[SECTOR - 1] = (u8)-sum;
	c->block = SECTOR;
	ide_start_in(c, SECTOR);
	return true;
}

static bool smart(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	if (d->lba[1] != 0x4f || d->lba[2] != 0xc2 || (!d->smart && d->feature != SMART_ENABLE))
		return false;
	switch (d->feature) {
	case SMART_READ: return smart_table(c, false);
	case SMART_THRESHOLDS: return smart_table(c, true);
	case SMART_AUTOSAVE: return done(c);
	case SMART_ENABLE: d->smart = true; return done(c);
	case SMART_DISABLE: d->smart = false; return done(c);
	case SMART_STATUS: return done(c);	/* 4Fh C2h stay: no threshold exceeded */
	}
	return false;
}

static bool read_buffer(struct ide_channel *c)
{
	c->block = SECTOR;
	ide_start_in(c, SECTOR);
	return true;
}

static bool write_buffer(struct ide_channel *c)
{
	c->block = SECTOR;
	ide_start_out(c, SECTOR);
	return true;
}

void ata_received(struct ide_channel *c)
{
	c->pos = 0;
	if (c->command == CMD_DSM)
		trim_next(c);
	else
		ide_done(c, 0);
}

static bool execute(struct ide_channel *c)
{
	u8 cmd = c->command;
	if (cmd >= CMD_RECALIBRATE && cmd <= CMD_RECALIBRATE + 15)
		return done(c);
	if (cmd >= CMD_SEEK && cmd <= CMD_SEEK + 15)
		return seek(c);
	switch (cmd) {
	case CMD_READ_EXT: case CMD_READ_DMA_EXT: case CMD_NATIVE_MAX_EXT: case CMD_READ_MULTIPLE_EXT: case CMD_WRITE_EXT:
	case CMD_WRITE_DMA_EXT: case CMD_WRITE_MULTIPLE_EXT: case CMD_VERIFY_EXT:
		c->extended = true;
	}
	switch (cmd) {
	case CMD_READ: case CMD_READ + 1: case CMD_READ_EXT: return read_sectors(c, PIO);
	case CMD_READ_MULTIPLE: case CMD_READ_MULTIPLE_EXT: return read_sectors(c, MULTIPLE);
	case CMD_READ_DMA: case CMD_READ_DMA + 1: case CMD_READ_DMA_EXT: return read_sectors(c, DMA);
	case CMD_WRITE: case CMD_WRITE + 1: case CMD_WRITE_EXT: return write_sectors(c, PIO);
	case CMD_WRITE_MULTIPLE: case CMD_WRITE_MULTIPLE_EXT: return write_sectors(c, MULTIPLE);
	case CMD_WRITE_DMA: case CMD_WRITE_DMA + 1: case CMD_WRITE_DMA_EXT: return write_sectors(c, DMA);
	case CMD_VERIFY: case CMD_VERIFY + 1: case CMD_VERIFY_EXT: return verify(c);
	case CMD_DSM: return data_set_management(c);
	case CMD_IDENTIFY: return identify(c);
	case CMD_SET_FEATURES: return ata_set_features(c);
	case CMD_SET_MULTIPLE: return set_multiple(c);
	case CMD_INIT_PARAMS: return init_params(c);
	case CMD_NATIVE_MAX: case CMD_NATIVE_MAX_EXT: return native_max(c);
	case CMD_FLUSH: case CMD_FLUSH_EXT: return flush(c);
	case CMD_STANDBY_NOW: case CMD_STANDBY_NOW_OLD: case CMD_STANDBY: case CMD_STANDBY_OLD: case CMD_SLEEP: case CMD_SLEEP_OLD:
		return power(c, true);
	case CMD_IDLE_NOW: case CMD_IDLE_NOW_OLD: case CMD_IDLE: case CMD_IDLE_OLD: return power(c, false);
	case CMD_CHECK_POWER: case CMD_CHECK_POWER_OLD: return check_power(c);
	case CMD_SMART: return smart(c);
	case CMD_READ_BUFFER: return read_buffer(c);
	case CMD_WRITE_BUFFER: return write_buffer(c);
	}
	return false;	/* NOP among them: it always ends in ABRT (ATA-6, 8.25) */
}

void ata_command(struct ide_channel *c)
{
	if (!execute(c))
		ide_fail(c, ER_ABRT);
}
