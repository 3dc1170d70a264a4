/*
 * ide_mmc.c - the CD drive's commands that tell of drive and medium: table of contents, capacity, mode pages, features. Source: MMC-3
 * (T10/1363D), chapters 5 and 6; READ TOC also SFF-8020i; profiles: MMC-5.
 *
 * A medium of more than 900 MB counts as a DVD-ROM, which has no table of contents of its own but answers like a CD with one track.
 */
#include "devices/emulated/ide_int.h"
#include <string.h>

enum { P_READ_CAPACITY = 0x25, P_READ_SUBCHANNEL = 0x42, P_READ_TOC = 0x43, P_READ_HEADER = 0x44, P_GET_CONFIGURATION = 0x46,
	P_READ_DISC_INFO = 0x51, P_READ_TRACK_INFO = 0x52, P_MODE_SENSE_6 = 0x1a, P_MODE_SENSE_10 = 0x5a, P_READ_DVD = 0xad, P_MECHANISM = 0xbd };
enum { PROFILE_CD = 0x0008, PROFILE_DVD = 0x0010 };

#define BLOCK       2048u
#define LARGEST_CD  (900u * 1000 * 1000 / BLOCK)
#define LEAD_OUT    0xaa
#define DATA_TRACK  0x14	/* ADR 1, control: data */

static bool is_dvd(const struct ide_drive *d)
{
	return atapi_blocks(d) > LARGEST_CD;
}

static void address(u8 *p, u32 lba, bool msf)
{
	u32 frame = lba + 150;
	if (!msf) {
		ide_put32be(p, lba);
		return;
	}
	p[0] = 0;
	p[1] = (u8)(frame / 75 / 60);
	p[2] = (u8)(frame / 75 % 60);
	p[3] = (u8)(frame % 75);
}

static void field_error(struct ide_channel *c)
{
	atapi_fail(c, SENSE_ILLEGAL, ASC_FIELD, 0);
}

/* --- table of contents --- */

static u32 toc_entry(u8 *p, u8 track, u32 lba, bool msf)
{
	memset(p, 0, 8);
	p[1] = DATA_TRACK;
	p[2] = track;
	address(p + 4, lba, msf);
	return 8;
}

/* Format 2: one entry for each point of the lead-in: first track, last track, lead-out, track 1. Always as MSF. */
static u32 full_toc(u8 *p, u32 blocks)
{
	static const u8 points[] = { 0xa0, 0xa1, 0xa2, 0x01 };
	memset(p, 0, 11 * sizeof(points));
	for (u32 i = 0; i < sizeof(points); i++, p += 11) {
		u8 msf[4];
		p[0] = 1;			/* session */
		p[1] = DATA_TRACK;
		p[3] = points[i];
		if (i < 2) {
			p[8] = 1;
			continue;
		}
		address(msf, i == 2 ? blocks : 0, true);
		memcpy(p + 8, msf + 1, 3);
	}
	return 11 * sizeof(points);
}

static void read_toc(struct ide_channel *c, const u8 *packet)
{
	u32 blocks = atapi_blocks(ide_active(c)), n = 4;
	u8 *p = c->data, format = packet[2] & 15, from = packet[6];
	bool msf = packet[1] & 2;
	if (!format)			/* where SFF-8020i had it */
		format = packet[9] >> 6;
	p[2] = p[3] = 1;		/* first and last track, or session */
	switch (format) {
	case 0:
		if (from > 1 && from != LEAD_OUT) {
			field_error(c);
			return;
		}
		if (from <= 1)
			n += toc_entry(p + n, 1, 0, msf);
		n += toc_entry(p + n, LEAD_OUT, blocks, msf);
		break;
	case 1:
		n += toc_entry(p + n, 1, 0, msf);
		break;
	case 2:
		n += full_toc(p + n, blocks);
		break;
	default:
		field_error(c);
		return;
	}
	ide_put16be(p, n - 2);
	atapi_reply(c, n, ide_get16be(packet + 7));
}

static void read_capacity(struct ide_channel *c)
{
	ide_put32be(c->data, atapi_blocks(ide_active(c)) - 1);
	ide_put32be(c->data + 4, BLOCK);
	atapi_reply(c, 8, 8);
}

static void read_header(struct ide_channel *c, const u8 *packet)
{
	u32 lba = ide_get32be(packet + 2);
	if (lba >= atapi_blocks(ide_active(c))) {
		atapi_fail(c, SENSE_ILLEGAL, ASC_RANGE, 0);
		return;
	}
	memset(c->data, 0, 8);
	c->data[0] = 1;			/* mode 1 */
	address(c->data + 4, lba, packet[1] & 2);
	atapi_reply(c, 8, ide_get16be(packet + 7));
}

/* No audio plays; the position is the disc's start. */
static void read_subchannel(struct ide_channel *c, const u8 *packet)
{
	u8 *p = c->data, format = packet[3];
	u32 n = 4;
	memset(p, 0, 24);
	p[1] = 0x15;			/* no audio status */
	if (packet[2] & 0x40) {
		if (format < 1 || format > 3) {
			field_error(c);
			return;
		}
		p[4] = format;
		n = format == 1 ? 16 : 24;
		if (format == 1) {
			p[5] = DATA_TRACK;
			p[6] = p[7] = 1;
			address(p + 8, 0, packet[1] & 2);
			address(p + 12, 0, packet[1] & 2);
		}
	}
	ide_put16be(p + 2, n - 4);
	atapi_reply(c, n, ide_get16be(packet + 7));
}

static void disc_information(struct ide_channel *c, const u8 *packet)
{
	u8 *p = c->data;
	memset(p, 0, 34);
	ide_put16be(p, 32);
	p[2] = 0x0e;			/* last session complete, disc finalised */
	p[3] = p[4] = p[5] = p[6] = 1;	/* first track, sessions, first and last track of the last one */
	p[7] = 0x20;			/* unrestricted use */
	memset(p + 16, 0xff, 8);	/* no lead-in or lead-out to be written */
	atapi_reply(c, 34, ide_get16be(packet + 7));
}

static void track_information(struct ide_channel *c, const u8 *packet)
{
	u32 blocks = atapi_blocks(ide_active(c)), number = ide_get32be(packet + 2);
	u8 *p = c->data, kind = packet[1] & 3;
	if (kind == 3 || (kind == 0 ? number >= blocks : number != 1)) {
		field_error(c);
		return;
	}
	memset(p, 0, 36);
	ide_put16be(p, 34);
	p[2] = p[3] = 1;
	p[5] = 4;			/* data track, uninterrupted */
	p[6] = 1;			/* mode 1 */
	ide_put32be(p + 24, blocks);
	atapi_reply(c, 36, ide_get16be(packet + 7));
}

/* Physical format of a DVD-ROM, one layer. */
static void dvd_structure(struct ide_channel *c, const u8 *packet)
{
	u32 blocks = atapi_blocks(ide_active(c)), n;
	u8 *p = c->data, format = packet[7];
	if (!is_dvd(ide_active(c))) {
		atapi_fail(c, SENSE_ILLEGAL, ASC_FORMAT, 2);
		return;
	}
	if (format > 1 || packet[6]) {
		field_error(c);
		return;
	}
	memset(p, 0, 2052);
	n = format ? 8 : 2052;
	ide_put16be(p, n - 2);
	if (!format) {
		p[4] = 1;		/* DVD-ROM, version 1 */
		p[5] = 0x0f;		/* 120 mm, highest rate */
		p[6] = 0x01;		/* one layer, embossed */
		ide_put32be(p + 8, 0x30000);
		ide_put32be(p + 12, 0x30000 + blocks - 1);
	}
	atapi_reply(c, n, ide_get16be(packet + 8));
}

/* --- the drive --- */

static void mechanism_status(struct ide_channel *c, const u8 *packet)
{
	memset(c->data, 0, 8);
	c->data[5] = 1;			/* one slot, which needs no table */
	atapi_reply(c, 8, ide_get16be(packet + 8));
}

static u32 page_header(u8 *p, u8 code, u8 len)
{
	memset(p, 0, len + 2u);
	p[0] = code;
	p[1] = len;
	return len + 2u;
}

static u32 mode_page(const struct ide_drive *d, u8 code, u8 *p, bool changeable)
{
	u32 n = 0;
	switch (code) {
	case 0x01: n = page_header(p, code, 6); break;		/* error recovery */
	case 0x0e: n = page_header(p, code, 14); break;		/* audio control */
	case 0x1a: n = page_header(p, code, 10); break;		/* power */
	case 0x2a: n = page_header(p, code, 20); break;		/* capabilities */
	}
	if (changeable || !n)
		return n;
	switch (code) {
	case 0x01:
		p[3] = 5;			/* retries */
		break;
	case 0x0e:
		p[2] = 0x04;			/* immediate */
		p[8] = 1, p[9] = p[11] = 0xff, p[10] = 2;
		break;
	case 0x2a:
		p[2] = 0x3b;			/* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
		p[4] = 0x70;			/* mode 2 forms 1 and 2, multi-session */
		p[5] = 0x01;			/* READ CD of CD-DA */
		p[6] = 0x29 | (d->locked ? 2 : 0);	/* tray, can eject and lock */
		ide_put16be(p + 8, 706 * 8);	/* kB/s */
		ide_put16be(p + 12, 512);	/* buffer, KiB */
		ide_put16be(p + 14, 706 * 8);
		break;
	}
	return n;
}

static void mode_sense(struct ide_channel *c, const u8 *packet)
{
	static const u8 pages[] = { 0x01, 0x0e, 0x1a, 0x2a };
	const struct ide_drive *d = ide_active(c);
	bool ten = packet[0] == P_MODE_SENSE_10;
	u32 header = ten ? 8 : 4, n = header;
	u8 code = packet[2] & 0x3f, control = packet[2] >> 6, *p = c->data;
	if (control == 3) {
		atapi_fail(c, SENSE_ILLEGAL, 0x39, 0);		/* nothing is saved */
		return;
	}
	for (u32 i = 0; i < sizeof(pages); i++)
		if (code == 0x3f || code == pages[i])
			n += mode_page(d, pages[i], p + n, control == 1);
	if (n == header) {
		field_error(c);
		return;
	}
	memset(p, 0, header);
	u8 medium = !atapi_blocks(d) ? 0x70 : 0x01;		/* no disc, 120 mm data disc */
	if (ten) {
		ide_put16be(p, n - 2);
		p[2] = medium;
	} else {
		p[0] = (u8)(n - 1);
		p[1] = medium;
	}
	atapi_reply(c, n, ten ? ide_get16be(packet + 7) : packet[4]);
}

/* --- features --- */

static u32 feature(u8 *p, u16 code, u8 flags, u8 len)
{
	memset(p, 0, len + 4u);
	ide_put16be(p, code);
	p[2] = flags;			/* version, persistent, current */
	p[3] = len;
	return len + 4u;
}

static u32 feature_data(const struct ide_drive *d, u16 code, u8 *p)
{
	bool dvd = atapi_blocks(d) && is_dvd(d), cd = atapi_blocks(d) && !dvd;
	u32 n;
	switch (code) {
	case 0x0000:			/* profiles */
		n = feature(p, code, 0x03, 8);
		ide_put16be(p + 4, PROFILE_DVD);
		p[6] = dvd;
		ide_put16be(p + 8, PROFILE_CD);
		p[10] = cd;
		return n;
	case 0x0001:			/* core: ATAPI */
		n = feature(p, code, 0x07, 8);
		p[7] = 2;
		return n;
	case 0x0002: return feature(p, code, 0x07, 4);		/* morphing */
	case 0x0003:			/* removable medium: tray, eject, lock */
		n = feature(p, code, 0x03, 4);
		p[4] = 0x29;
		return n;
	case 0x0010:			/* random readable */
		n = feature(p, code, dvd || cd, 8);
		ide_put32be(p + 4, BLOCK);
		ide_put16be(p + 8, 1);
		return n;
	case 0x001d: return feature(p, code, dvd || cd, 0);	/* multi-read */
	case 0x001e: return feature(p, code, 0x08 | cd, 4);	/* CD read */
	case 0x001f: return feature(p, code, dvd, 0);		/* DVD read */
	}
	return 0;
}

static void get_configuration(struct ide_channel *c, const u8 *packet)
{
	static const u16 features[] = { 0x0000, 0x0001, 0x0002, 0x0003, 0x0010, 0x001d, 0x001e, 0x001f };
	const struct ide_drive *d = ide_active(c);
	u32 from = ide_get16be(packet + 2), n = 8;
	u8 what = packet[1] & 3, *p = c->data;
	if (what == 3) {
		field_error(c);
		return;
	}
	memset(p, 0, 8);
	for (u32 i = 0; i < ARRAY_SIZE(features); i++) {
		if (what == 2 ? features[i] != from : features[i] < from)
			continue;
		u32 len = feature_data(d, features[i], p + n);
		if (what == 1 && !(p[n + 2] & 1))	/* current ones only */
			continue;
		n += len;
	}
	ide_put32be(p, n - 4);
	if (atapi_blocks(d))
		ide_put16be(p + 6, is_dvd(d) ? PROFILE_DVD : PROFILE_CD);
	atapi_reply(c, n, ide_get16be(packet + 7));
}

bool mmc_inform(struct ide_channel *c, const u8 *packet)
{
	switch (packet[0]) {
	case P_READ_CAPACITY: read_capacity(c); return true;
	case P_READ_SUBCHANNEL: read_subchannel(c, packet); return true;
	case P_READ_TOC: read_toc(c, packet); return true;
	case P_READ_HEADER: read_header(c, packet); return true;
	case P_GET_CONFIGURATION: get_configuration(c, packet); return true;
	case P_READ_DISC_INFO: disc_information(c, packet); return true;
	case P_READ_TRACK_INFO: track_information(c, packet); return true;
	case P_MODE_SENSE_6: case P_MODE_SENSE_10: mode_sense(c, packet); return true;
	case P_READ_DVD: dvd_structure(c, packet); return true;
	case P_MECHANISM: mechanism_status(c, packet); return true;
	}
	return false;
}
