/*
 * ide_identify.c - what the drives say of themselves. Source: ATA/ATAPI-6 (T13/1410D), 8.15 and 8.16; word 169: ACS-2.
 *
 * Only what works is announced: no security, no host protected area, no queues. SMART without logs and self-tests.
 */
#include "devices/emulated/ide_int.h"
#include <string.h>

static void word(u8 *out, int n, u32 value)
{
	ide_put16(out + 2 * n, value);
}

/* Characters go two a word, the first in the upper half. */
static void text(u8 *out, int first, const char *from, u32 len)
{
	for (u32 i = 0; i < len; i++)
		out[2 * (u32)first + (i ^ 1)] = (u8)from[i];
}

static void modes(const struct ide_drive *d, u8 *out)
{
	u8 n = d->dma_mode & 7;
	word(out, 63, 0x07 | ((d->dma_mode & 0xf8) == 0x20 ? 0x100u << n : 0));
	word(out, 64, 0x03);			/* PIO modes 3 and 4 */
	for (int i = 65; i <= 68; i++)
		word(out, i, 120);		/* cycle times, ns */
	word(out, 88, 0x3f | ((d->dma_mode & 0xf8) == 0x40 ? 0x100u << n : 0));
	word(out, 93, 0x6001);			/* 80-conductor cable seen, reset passed */
}

static void checksum(u8 *out)
{
	u8 sum = 0;
	out[510] = 0xa5;
	for (int i = 0; i < 511; i++)
		sum = (u8)(sum + out[i]);
	out[511] = (u8)-sum;
}

void ata_identify(const struct ide_drive *d, u8 *out)
{
	u64 total = ata_sectors(d), lba28 = total > 0x0fffffff ? 0x0fffffff : total;
	struct ide_drive plain = *d;
	u32 now = (u32)d->cylinders * d->heads * d->sectors;
	memset(out, 0, 512);
	ata_default_geometry(&plain);
	word(out, 0, 0x0040);
	word(out, 1, plain.cylinders);
	word(out, 3, plain.heads);
	word(out, 6, plain.sectors);
	text(out, 10, d->serial, sizeof(d->serial));
	text(out, 23, d->firmware, sizeof(d->firmware));
	text(out, 27, d->model, sizeof(d->model));
	word(out, 47, 0x8010);			/* READ MULTIPLE: up to 16 */
	word(out, 48, 1);			/* 32-bit data port */
	word(out, 49, 0x0f00);			/* DMA, LBA, IORDY */
	word(out, 50, 0x4000);
	word(out, 51, 0x0200);
	word(out, 52, 0x0200);
	word(out, 53, 0x0007);
	word(out, 54, d->cylinders);
	word(out, 55, d->heads);
	word(out, 56, d->sectors);
	word(out, 57, now);
	word(out, 58, now >> 16);
	word(out, 59, d->multiple ? 0x0100u | d->multiple : 0);
	word(out, 60, (u32)lba28);
	word(out, 61, (u32)lba28 >> 16);
	word(out, 80, 0x00fe);			/* ATA-1 to ATA/ATAPI-7 */
	word(out, 82, 0x7069);			/* SMART, power management, write cache, look-ahead, WRITE and READ BUFFER, NOP */
	word(out, 83, 0x7400);			/* LBA48, FLUSH CACHE, FLUSH CACHE EXT */
	word(out, 84, 0x4000);
	word(out, 85, 0x7008u | (d->smart ? 0x01 : 0) | (d->write_cache ? 0x20 : 0) | (d->look_ahead ? 0x40 : 0));
	word(out, 86, 0x3400);
	word(out, 87, 0x4000);
	modes(d, out);
	for (int i = 0; i < 4; i++)
		word(out, 100 + i, (u32)(total >> 16 * i & 0xffff));
	word(out, 105, 8);			/* sectors of a DATA SET MANAGEMENT command, at most */
	word(out, 106, 0x4000);
	word(out, 169, 1);			/* TRIM */
	checksum(out);
}

void atapi_identify(const struct ide_drive *d, u8 *out)
{
	memset(out, 0, 512);
	word(out, 0, 0x85c0);			/* CD-ROM, removable, DRQ within 50 us, 12-byte packets */
	text(out, 10, d->serial, sizeof(d->serial));
	text(out, 23, d->firmware, sizeof(d->firmware));
	text(out, 27, d->model, sizeof(d->model));
	word(out, 49, 0x0f00);
	word(out, 53, 0x0006);
	modes(d, out);
	word(out, 80, 0x007e);
	word(out, 82, 0x4210);			/* NOP, DEVICE RESET, PACKET */
	word(out, 83, 0x4000);
	word(out, 84, 0x4000);
	word(out, 85, 0x4210);
	word(out, 87, 0x4000);
	checksum(out);
}
