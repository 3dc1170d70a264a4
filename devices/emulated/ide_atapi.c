/*
 * ide_atapi.c - a CD-ROM drive: packet commands, their protocol, sense data, and the reads. Source: ATA/ATAPI-6 (T13/1410D), 9.10 and
 * 9.11; MMC-3 (T10/1363D), chapter 6; SPC-2 for sense.
 *
 * The medium is one session with one data track of 2048-byte sectors. READ CD gives raw sectors too, with the address
 * but with zeroes for EDC and ECC.
 */
#include "devices/emulated/ide_int.h"
#include "monitor/vm.h"
#include <errno.h>
#include <string.h>

enum { CMD_PACKET = 0xa0, CMD_IDENTIFY_PACKET = 0xa1, CMD_IDENTIFY = 0xec, CMD_READ = 0x20, CMD_SET_FEATURES = 0xef, CMD_STANDBY_NOW = 0xe0,
	CMD_IDLE_NOW = 0xe1, CMD_STANDBY = 0xe2, CMD_IDLE = 0xe3, CMD_CHECK_POWER = 0xe5, CMD_SLEEP = 0xe6, CMD_FLUSH = 0xe7 };
enum { P_TEST_UNIT_READY = 0x00, P_REQUEST_SENSE = 0x03, P_INQUIRY = 0x12, P_START_STOP = 0x1b, P_PREVENT = 0x1e, P_READ_10 = 0x28,
	P_SEEK = 0x2b, P_EVENT_STATUS = 0x4a, P_GET_CONFIGURATION = 0x46, P_READ_12 = 0xa8, P_SET_SPEED = 0xbb, P_MECHANISM = 0xbd,
	P_READ_CD_MSF = 0xb9, P_READ_CD = 0xbe, P_MODE_SENSE_6 = 0x1a, P_MODE_SENSE_10 = 0x5a, P_SYNC_CACHE = 0x35, P_VERIFY = 0x2f,
	P_STOP_PLAY = 0x4e };

#define BLOCK 2048u
#define RAW   2352u

u32 atapi_blocks(const struct ide_drive *d)
{
	u64 n = blockdev_size(d->blk) / BLOCK;
	if (!blockdev_present(d->blk))
		return 0;
	return n > 0xfffffffe ? 0xfffffffe : (u32)n;
}

/* --- protocol --- */

void atapi_drq(struct ide_channel *c, u32 bytes)
{
	struct ide_drive *d = ide_active(c);
	if (c->command != CMD_PACKET)
		return;
	d->count = IR_IO;
	d->lba[1] = (u8)bytes;
	d->lba[2] = (u8)(bytes >> 8);
}

void atapi_done(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	if (c->command == CMD_PACKET)
		d->count = IR_IO | IR_COD;
	ide_done(c, 0);
}

void atapi_fail(struct ide_channel *c, u8 key, u8 asc, u8 ascq)
{
	struct ide_drive *d = ide_active(c);
	vm_trace(c->dev.vm, TRACE_DEV, "dev: %s packet %02x fails with sense %x/%02x/%02x\n", c->dev.id, c->packet[0], key, asc, ascq);
	d->sense_key = key;
	d->asc = asc;
	d->ascq = ascq;
	d->count = IR_IO | IR_COD;
	ide_fail(c, (u8)(key << 4 | ER_ABRT));
}

void atapi_read_error(struct ide_channel *c, int error)
{
	if (error == ENOMEDIUM || error == EINVAL)	/* taken out, or changed for a shorter one, meanwhile */
		atapi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM, 0);
	else
		atapi_fail(c, SENSE_MEDIUM, ASC_READ, 0);
}

static void set_locked(struct ide_drive *d, bool locked)
{
	d->locked = locked;
	blockdev_set_locked(d->blk, locked);
}

void atapi_changed(struct ide_drive *d)
{
	d->attention = blockdev_present(d->blk);
	d->media_event = d->attention ? 2 : 3;
	set_locked(d, d->locked && d->attention);
}

/* The limit of a DRQ block: an odd one is no multiple of the port's width, none means the most there can be (ATA-6, 8.23.5). */
static u32 byte_limit(const struct ide_drive *d)
{
	u32 limit = d->lba[1] | (u32)d->lba[2] << 8;
	if (!limit || limit == 0xffff)
		limit = 0xfffe;
	return limit > 1 ? limit & ~1u : 2;
}

void atapi_reply(struct ide_channel *c, u32 bytes, u32 allocated)
{
	bytes = bytes < allocated ? bytes : allocated;
	if (bytes)
		ide_start_in(c, bytes);
	else
		atapi_done(c);
}

static void identify(struct ide_channel *c)
{
	atapi_identify(ide_active(c), c->data);
	c->block = 512;
	ide_start_in(c, 512);
}

void atapi_command(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	switch (c->command) {
	case CMD_PACKET:
		c->dma = d->feature & 1;
		c->block = byte_limit(d);
		c->phase = IDE_PACKET_OUT;
		c->end = IDE_PACKET;
		d->count = IR_COD;
		d->status = ST_DRDY | ST_DSC | ST_DRQ;
		return;
	case CMD_IDENTIFY_PACKET:
		identify(c);
		return;
	case CMD_IDENTIFY: case CMD_READ:	/* says what it is (ATA-6, 8.15.5.2, 8.34.5.2) */
		ide_signature(d);
		break;
	case CMD_SET_FEATURES:
		if (ata_set_features(c))
			return;
		break;
	case CMD_CHECK_POWER:
		d->count = 0xff;
		ide_done(c, 0);
		return;
	case CMD_STANDBY_NOW: case CMD_IDLE_NOW: case CMD_STANDBY: case CMD_IDLE: case CMD_SLEEP: case CMD_FLUSH:
		ide_done(c, 0);
		return;
	}
	ide_fail(c, ER_ABRT);
}

/* --- reads --- */

static void read_blocks(struct ide_channel *c, u32 lba, u32 count, u32 unit)
{
	u32 blocks = atapi_blocks(ide_active(c));
	if (!count) {
		atapi_done(c);
	} else if (lba >= blocks || count > blocks - lba) {
		atapi_fail(c, SENSE_ILLEGAL, ASC_RANGE, 0);
	} else {
		c->unit = unit;
		c->next_lba = lba;
		c->left = count;
		ide_start_in(c, 0);
	}
}

static u8 bcd(u32 v) { return (u8)(v / 10 << 4 | v % 10); }

/* Mode 1: 12 bytes of synchronisation, address, mode, data, EDC and ECC (ECMA-130, 14). From the last one on, in place. */
void atapi_filled(struct ide_channel *c, u32 sectors, u64 first)
{
	while (sectors--) {
		u8 *raw = c->data + sectors * RAW;
		u32 frame = (u32)(first + sectors) + 150;
		memmove(raw + 16, c->data + sectors * BLOCK, BLOCK);
		memset(raw, 0xff, 12);
		raw[0] = raw[11] = 0;
		raw[12] = bcd(frame / (60 * 75) % 100);
		raw[13] = bcd(frame / 75 % 60);
		raw[14] = bcd(frame % 75);
		raw[15] = 1;
		memset(raw + 16 + BLOCK, 0, RAW - 16 - BLOCK);
	}
}

static void read_cd(struct ide_channel *c, u32 lba, u32 count)
{
	u8 type = c->packet[1] >> 2 & 7, what = c->packet[9];
	if ((type != 0 && type != 2) || (what & 6) || (c->packet[10] & 7))
		atapi_fail(c, SENSE_ILLEGAL, type != 0 && type != 2 ? ASC_TRACK_MODE : ASC_FIELD, 0);
	else if (!(what & 0xf8))
		atapi_done(c);
	else if ((what & 0xf8) == 0x10)
		read_blocks(c, lba, count, BLOCK);
	else if ((what & 0xf8) == 0xf8)
		read_blocks(c, lba, count, RAW);
	else
		atapi_fail(c, SENSE_ILLEGAL, ASC_FIELD, 0);
}

static void read_cd_msf(struct ide_channel *c)
{
	const u8 *p = c->packet;
	u32 first = (p[3] * 60u + p[4]) * 75 + p[5], end = (p[6] * 60u + p[7]) * 75 + p[8];
	if (first < 150 || end < first)
		atapi_fail(c, SENSE_ILLEGAL, ASC_FIELD, 0);
	else
		read_cd(c, first - 150, end - first);
}

/* --- commands --- */

static void request_sense(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	u8 *p = c->data;
	memset(p, 0, 18);
	if (!d->sense_key && d->attention) {
		d->sense_key = SENSE_ATTENTION;
		d->asc = ASC_CHANGED;
		d->attention = false;
	}
	p[0] = 0x70;
	p[2] = d->sense_key;
	p[7] = 10;
	p[12] = d->asc;
	p[13] = d->ascq;
	d->sense_key = d->asc = d->ascq = 0;
	atapi_reply(c, 18, c->packet[4]);
}

static void inquiry(struct ide_channel *c)
{
	const struct ide_drive *d = ide_active(c);
	u8 *p = c->data;
	if (c->packet[1] & 3) {		/* no vital product data */
		atapi_fail(c, SENSE_ILLEGAL, ASC_FIELD, 0);
		return;
	}
	memset(p, 0, 36);
	p[0] = 0x05;			/* CD */
	p[1] = 0x80;			/* removable */
	p[3] = 0x21;			/* ATAPI, this format */
	p[4] = 31;
	memcpy(p + 8, "RINGFENC", 8);
	memcpy(p + 16, "CD-ROM          ", 16);
	memcpy(p + 32, d->firmware, 4);
	atapi_reply(c, 36, ide_get16be(c->packet + 3));
}

static void start_stop(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	bool eject = (c->packet[4] & 3) == 2;
	if (eject && d->locked && blockdev_present(d->blk)) {
		atapi_fail(c, SENSE_ILLEGAL, ASC_REMOVAL, 2);
		return;
	}
	if (eject && blockdev_present(d->blk))
		blockdev_change(d->blk, NULL);
	atapi_done(c);
}

static void event_status(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	u8 *p = c->data;
	if (!(c->packet[1] & 1)) {	/* polled only */
		atapi_fail(c, SENSE_ILLEGAL, ASC_FIELD, 0);
		return;
	}
	memset(p, 0, 8);
	p[3] = 1 << 4;			/* there are media events */
	if (!(c->packet[4] & 1 << 4)) {
		ide_put16be(p, 2);
		p[2] = 0x80;
		atapi_reply(c, 4, ide_get16be(c->packet + 7));
		return;
	}
	ide_put16be(p, 6);
	p[2] = 4;
	p[4] = d->media_event;
	p[5] = blockdev_present(d->blk) ? 2 : 0;
	d->media_event = 0;
	atapi_reply(c, 8, ide_get16be(c->packet + 7));
}

/* What does not ask for a medium, and is answered though a change was not yet reported (MMC-3, 4.1.6.1). */
static bool without_medium(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	switch (c->packet[0]) {
	case P_REQUEST_SENSE: request_sense(c); return true;
	case P_INQUIRY: inquiry(c); return true;
	case P_EVENT_STATUS: event_status(c); return true;
	case P_START_STOP: start_stop(c); return true;
	case P_PREVENT:
		set_locked(d, c->packet[4] & 1);
		atapi_done(c);
		return true;
	case P_SET_SPEED: atapi_done(c); return true;
	case P_GET_CONFIGURATION: case P_MECHANISM: case P_MODE_SENSE_6: case P_MODE_SENSE_10: return mmc_inform(c, c->packet);
	}
	return false;
}

static bool with_medium(struct ide_channel *c)
{
	const u8 *p = c->packet;
	u32 lba = ide_get32be(p + 2);
	switch (p[0]) {
	case P_TEST_UNIT_READY: case P_SYNC_CACHE: case P_STOP_PLAY: atapi_done(c); return true;
	case P_READ_10: read_blocks(c, lba, ide_get16be(p + 7), BLOCK); return true;
	case P_READ_12: read_blocks(c, lba, ide_get32be(p + 6), BLOCK); return true;
	case P_READ_CD: read_cd(c, lba, ide_get32be(p + 5) & 0xffffff); return true;
	case P_READ_CD_MSF: read_cd_msf(c); return true;
	case P_SEEK: case P_VERIFY:
		if (lba < atapi_blocks(ide_active(c)))
			atapi_done(c);
		else
			atapi_fail(c, SENSE_ILLEGAL, ASC_RANGE, 0);
		return true;
	}
	return mmc_inform(c, p);
}

static bool needs_medium(u8 op)
{
	static const u8 ops[] = { P_TEST_UNIT_READY, P_READ_10, P_READ_12, P_READ_CD, P_READ_CD_MSF, P_SEEK, P_VERIFY, P_SYNC_CACHE, P_STOP_PLAY,
		0x25, 0x42, 0x43, 0x44, 0x51, 0x52, 0xad };	/* and those of ide_mmc.c */
	return memchr(ops, op, sizeof(ops));
}

void atapi_packet(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);
	u8 op = c->packet[0];
	vm_trace(c->dev.vm, TRACE_DEV, "dev: %s packet %02x %02x %02x%02x%02x%02x %02x%02x%02x%02x %02x %02x\n", c->dev.id, op, c->packet[1],
		 c->packet[2], c->packet[3], c->packet[4], c->packet[5], c->packet[6], c->packet[7], c->packet[8], c->packet[9], c->packet[10],
		 c->packet[11]);
	c->pos = c->end = c->filled = 0;
	c->req.op = BLK_READ;
	if (op != P_REQUEST_SENSE)
		d->sense_key = d->asc = d->ascq = 0;
	if (without_medium(c))
		return;
	if (!needs_medium(op)) {
		atapi_fail(c, SENSE_ILLEGAL, ASC_COMMAND, 0);
	} else if (d->attention) {
		d->attention = false;
		atapi_fail(c, SENSE_ATTENTION, ASC_CHANGED, 0);
	} else if (!blockdev_present(d->blk)) {
		atapi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM, 0);
	} else if (!with_medium(c)) {
		atapi_fail(c, SENSE_ILLEGAL, ASC_COMMAND, 0);
	}
}
