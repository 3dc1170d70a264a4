/*
 * floppy_media.c - what is in the drives: which tracks, heads and sectors an image has.
 *
 * The size tells for all that PCs wrote; otherwise the BIOS parameter block of a FAT boot sector; otherwise the smallest common medium that
 * the image fits on, whose last sectors then read as zeros.
 */
#include "devices/emulated/floppy_int.h"

#define RATES_525_DD 0x06	/* 250 kbit/s in a 360 KB drive, 300 in the faster turning 1.2 MB one */
#define RATES_35_DD  0x04
#define RATES_HD     0x01
#define RATES_ED     0x08
enum { CMOS_360K = 1, CMOS_1200K, CMOS_720K, CMOS_1440K, CMOS_2880K };

/* Sorted by size. Formats of more than 18 sectors want a drive whose BIOS parameters let them through. */
static const struct floppy_geometry media[] = {
	{ 40, 1, 8, 2, RATES_525_DD, CMOS_360K }, { 40, 1, 9, 2, RATES_525_DD, CMOS_360K },
	{ 40, 2, 8, 2, RATES_525_DD, CMOS_360K }, { 40, 2, 9, 2, RATES_525_DD, CMOS_360K }, { 41, 2, 9, 2, RATES_525_DD, CMOS_360K },
	{ 40, 2, 10, 2, RATES_525_DD, CMOS_360K },
	{ 80, 2, 8, 2, RATES_35_DD, CMOS_1440K }, { 80, 2, 9, 2, RATES_35_DD, CMOS_1440K }, { 80, 2, 10, 2, RATES_35_DD, CMOS_1440K },
	{ 82, 2, 10, 2, RATES_35_DD, CMOS_1440K }, { 83, 2, 10, 2, RATES_35_DD, CMOS_1440K },
	{ 80, 2, 15, 2, RATES_HD, CMOS_1200K }, { 77, 2, 8, 3, RATES_HD, CMOS_1200K },
	{ 80, 2, 18, 2, RATES_HD, CMOS_1440K }, { 82, 2, 18, 2, RATES_HD, CMOS_1440K }, { 83, 2, 18, 2, RATES_HD, CMOS_1440K },
	{ 80, 2, 20, 2, RATES_HD, CMOS_2880K }, { 82, 2, 20, 2, RATES_HD, CMOS_2880K },
	{ 80, 2, 21, 2, RATES_HD, CMOS_2880K }, { 82, 2, 21, 2, RATES_HD, CMOS_2880K }, { 83, 2, 21, 2, RATES_HD, CMOS_2880K },
	{ 80, 2, 22, 2, RATES_HD, CMOS_2880K }, { 83, 2, 22, 2, RATES_HD, CMOS_2880K },
	{ 80, 2, 36, 2, RATES_ED, CMOS_2880K }, { 82, 2, 36, 2, RATES_ED, CMOS_2880K },
};

static u64 bytes_of(const struct floppy_geometry *g)
{
	return (u64)g->cylinders * g->heads * g->sectors << (7 + g->size_code);
}

void floppy_guess_geometry(u64 bytes, struct floppy_geometry *geo)
{
	*geo = (struct floppy_geometry){ 0 };
	for (u32 i = 0; i < ARRAY_SIZE(media); i++)
		if (bytes_of(&media[i]) == bytes)
			*geo = media[i];
}

static u32 get16(const u8 *p)
{
	return (u32)(p[0] | p[1] << 8);
}

/* Is there a FAT parameter block of 512-byte sectors? (Microsoft FAT specification, section 3) */
static bool parameters(const u8 *boot, struct floppy_geometry *g)
{
	u32 sectors = get16(boot + 24), heads = get16(boot + 26), total = get16(boot + 19);
	if (get16(boot + 11) != 512 || !sectors || sectors > 63 || !heads || heads > 2 || !total)
		return false;
	u32 track = sectors * heads, cylinders = (total + track - 1) / track;
	if (cylinders > 86)
		return false;
	u8 rates = sectors > 22 ? RATES_ED : sectors > 10 ? RATES_HD : cylinders < 50 ? RATES_525_DD : RATES_35_DD;
	u8 cmos = sectors > 18 ? CMOS_2880K : cylinders < 50 ? CMOS_360K : CMOS_1440K;
	*g = (struct floppy_geometry){ (u8)cylinders, (u8)heads, (u8)sectors, 2, rates, cmos };
	return true;
}

bool floppy_boot_geometry(const u8 *boot, u64 bytes, struct floppy_geometry *geo)
{
	if (parameters(boot, geo))
		return true;
	static const u8 common[] = { CMOS_360K, CMOS_720K, CMOS_1200K, CMOS_1440K, CMOS_2880K };
	static const struct floppy_geometry of[ARRAY_SIZE(common)] = {
		{ 40, 2, 9, 2, RATES_525_DD, CMOS_360K }, { 80, 2, 9, 2, RATES_35_DD, CMOS_1440K }, { 80, 2, 15, 2, RATES_HD, CMOS_1200K },
		{ 80, 2, 18, 2, RATES_HD, CMOS_1440K }, { 80, 2, 36, 2, RATES_ED, CMOS_2880K },
	};
	u32 i = 0;
	while (i < ARRAY_SIZE(of) - 1 && bytes_of(&of[i]) < bytes)
		i++;
	*geo = of[i];
	return bytes_of(geo) >= bytes;
}

static void probed(struct blk_req *req, int error)
{
	struct floppy_drive *d = req->arg;
	d->probing = false;
	if (blockdev_present(d->blk) && !d->geo.cylinders)
		floppy_boot_geometry(error ? (const u8[512]){ 0 } : d->boot, blockdev_size(d->blk), &d->geo);
}

void floppy_media_changed(void *drive)
{
	struct floppy_drive *d = drive;
	d->changed = true;
	d->geo = (struct floppy_geometry){ 0 };
	if (!blockdev_present(d->blk))
		return;
	floppy_guess_geometry(blockdev_size(d->blk), &d->geo);
	if (d->geo.cylinders || d->probing)
		return;
	u64 size = blockdev_size(d->blk);
	if (size < sizeof(d->boot)) {
		floppy_boot_geometry((const u8[512]){ 0 }, size, &d->geo);
		return;
	}
	d->probing = true;
	d->probe = (struct blk_req){ .op = BLK_READ, .len = sizeof(d->boot), .buf = d->boot, .done = probed, .arg = d };
	blockdev_submit(d->blk, &d->probe);
}
