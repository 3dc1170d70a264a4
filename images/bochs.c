/*
 * bochs.c - Bochs' growing images ("Redolog", "Growing"), versions 1 and 2. Source: Bochs' documentation, "Disk image modes", and the
 * files that bximage makes.
 *
 * A header of 512 bytes, a catalog with a 32-bit number for each extent of the disk, the extents: a bitmap of an extent's sectors, then
 * the sectors. Undoable and volatile redologs are overlays that belong to another image: refused.
 */
#include "images/blocks.h"
#include "images/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER_BYTES 512u
#define SECTOR 512u
#define VERSION_1 0x00010000u
#define VERSION_2 0x00020000u
#define EXTENT_BYTES (2u << 20)
#define EXTENT_BYTES_MAX (256u << 20)

enum {	/* offsets in the header; little-endian */
	H_MAGIC = 0, H_TYPE = 32, H_SUBTYPE = 48, H_VERSION = 64, H_HEADER_SIZE = 68, H_CATALOG = 72, H_BITMAP = 76, H_EXTENT = 80,
	H_TIME = 84, H_DISK_V2 = 88, H_DISK_V1 = 84,
};
static const char magic[32] = "Bochs Virtual HD Image";

static int bochs_probe(const struct image_probe *p)
{
	return !memcmp(p->head, magic, sizeof(magic)) ? 100 : 0;
}

static bool check_header(struct image *im, const u8 *h, u64 file_size, char *err, size_t errsize)
{
	u32 version = le32(h + H_VERSION), catalog = le32(h + H_CATALOG), bitmap = le32(h + H_BITMAP), extent = le32(h + H_EXTENT);
	u32 header = le32(h + H_HEADER_SIZE);
	u64 size = version == VERSION_1 ? le64(h + H_DISK_V1) : le64(h + H_DISK_V2);
	if (memcmp(h, magic, sizeof(magic)))
		snprintf(err, errsize, "%s: is no Bochs image", im->path);
	else if (memcmp(h + H_TYPE, "Redolog\0", 8) || memcmp(h + H_SUBTYPE, "Growing\0", 8))
		snprintf(err, errsize, "%s: Bochs image of type '%.15s/%.15s'; only Redolog/Growing is supported", im->path,
			(const char *)h + H_TYPE, (const char *)h + H_SUBTYPE);
	else if (version != VERSION_1 && version != VERSION_2)
		snprintf(err, errsize, "%s: Bochs image of unknown version 0x%x", im->path, version);
	else if (extent < 4096 || extent > EXTENT_BYTES_MAX || extent & (extent - 1) || bitmap < extent / SECTOR / 8 || bitmap > EXTENT_BYTES)
		snprintf(err, errsize, "%s: Bochs image with impossible extents of %u bytes and bitmaps of %u", im->path, extent, bitmap);
	else if (!catalog || catalog > BLOCK_TABLE_MAX || header < HEADER_BYTES || header % 4 || header > 1u << 20 ||
		header + catalog * 4ull > file_size)
		snprintf(err, errsize, "%s: Bochs image whose catalog of %u extents is not in the file", im->path, catalog);
	else if (!size || size % SECTOR || size > (u64)catalog * extent)
		snprintf(err, errsize, "%s: Bochs image whose extents do not hold a disk of its size of %llu bytes", im->path,
			(unsigned long long)size);
	else
		return true;
	return false;
}

static int store_catalog(struct block_map *m, u32 from, u32 n)
{
	u8 *raw = host_alloc(m->im->io, n, 4);
	if (!raw)
		return ENOMEM;
	for (u32 i = 0; i < n; i++)
		put_le32(raw + i * 4, m->entry[from + i]);
	int error = host_write(m->im->io, m->fd, m->base - (m->count - from) * 4ull, raw, n * 4ull);
	free(raw);
	return error;
}

static int load_catalog(struct block_map *m)
{
	int error = blocks_table(m);
	if (!error)
		error = host_read_all(m->im->io, m->fd, m->base - m->count * 4ull, m->entry, m->count * 4ull);
	for (u32 i = 0; i < m->count && !error; i++) {
		u32 entry = le32(&m->entry[i]);
		m->entry[i] = entry == BLOCK_HOLE || entry <= BLOCK_LAST ? entry : BLOCK_BAD;
	}
	return error;
}

static void describe_map(struct image *im, struct block_map *m, const u8 *h)
{
	u32 lead = (le32(h + H_BITMAP) + SECTOR - 1) & ~(SECTOR - 1), extent = le32(h + H_EXTENT);
	im->size = le32(h + H_VERSION) == VERSION_1 ? le64(h + H_DISK_V1) : le64(h + H_DISK_V2);
	im->granularity = extent;
	*m = (struct block_map){
		.im = im, .fd = im->fd, .path = im->path, .size = im->size, .count = le32(h + H_CATALOG), .block_bytes = extent, .lead = lead,
		.unit = lead + extent, .bitmap = true, .store = store_catalog,
	};
	m->base = m->first = le32(h + H_HEADER_SIZE) + m->count * 4ull;
}

static void bochs_free(struct image *im)
{
	blocks_free(im->state);
	free(im->state);
}

static bool bochs_open(struct image *im, char *err, size_t errsize)
{
	u8 h[HEADER_BYTES];
	u64 file_size;
	struct block_map *m = host_alloc(im->io, 1, sizeof(*m));
	int error = m ? host_size(im->io, im->fd, &file_size) : ENOMEM;
	im->state = m;
	if (!error)
		error = host_read(im->io, im->fd, 0, h, sizeof(h), NULL);
	if (!error && !check_header(im, h, file_size, err, errsize))
		goto fail;
	if (!error) {
		describe_map(im, m, h);
		error = load_catalog(m);
	}
	if (!error)
		error = blocks_scan(m, file_size);
	if (!error && blocks_acceptable(m, err, errsize))
		return true;
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
fail:
	if (m)
		bochs_free(im);
	return false;
}

static int bochs_read(struct image *im, u64 offset, void *buf, u64 len) { return blocks_read(im->state, offset, buf, len); }
static int bochs_write(struct image *im, u64 offset, const void *buf, u64 len) { return blocks_write(im->state, offset, buf, len); }
static int bochs_write_zeroes(struct image *im, u64 offset, u64 len) { return blocks_write_zeroes(im->state, offset, len); }
static int bochs_discard(struct image *im, u64 offset, u64 len) { return blocks_discard(im->state, offset, len); }
static int bochs_flush(struct image *im) { return blocks_flush(im->state); }
static int bochs_check(struct image *im, struct image_check *c) { return blocks_check(im->state, c); }

static int bochs_extent(struct image *im, u64 offset, u64 len, struct image_extent *e)
{
	return blocks_extent(im->state, offset, len, e);
}

static bool bochs_create(struct image *im, const struct image_create *how, char *err, size_t errsize)
{
	char name[32], value[256];
	const char *options = how->options;
	/* Whole sectors of them, so that the sectors of the disk are sectors of the file, which the host writes whole or not at all. */
	u64 extents = ((how->size + EXTENT_BYTES - 1) / EXTENT_BYTES + SECTOR / 4 - 1) & ~(u64)(SECTOR / 4 - 1);
	if (image_option_next(&options, name, value)) {
		snprintf(err, errsize, "%s: Bochs images have no option '%.40s'", im->path, name);
		return false;
	}
	if (!how->size || extents > BLOCK_TABLE_MAX) {
		snprintf(err, errsize, "%s: a Bochs image holds 512 bytes to %u TiB", im->path, BLOCK_TABLE_MAX >> 19);
		return false;
	}
	u64 bytes = HEADER_BYTES + extents * 4;
	u8 *h = host_alloc(im->io, 1, bytes);
	if (h) {
		memcpy(h, magic, sizeof(magic));
		strcpy((char *)h + H_TYPE, "Redolog");
		strcpy((char *)h + H_SUBTYPE, "Growing");
		put_le32(h + H_VERSION, VERSION_2);
		put_le32(h + H_HEADER_SIZE, HEADER_BYTES);
		put_le32(h + H_CATALOG, (u32)extents);
		put_le32(h + H_BITMAP, EXTENT_BYTES / SECTOR / 8);
		put_le32(h + H_EXTENT, EXTENT_BYTES);
		put_le64(h + H_DISK_V2, how->size);
		memset(h + HEADER_BYTES, 0xff, extents * 4);
	}
	int error = h ? host_write(im->io, im->fd, 0, h, bytes) : ENOMEM;
	free(h);
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	return !error;
}

/* What cannot be written is lost: image_flush() before tells. */
static void bochs_close(struct image *im)
{
	if (!im->readonly)
		bochs_flush(im);
	bochs_free(im);
}

const struct image_format image_bochs = {
	.name = "bochs", .probe = bochs_probe, .open = bochs_open, .close = bochs_close, .read = bochs_read, .write = bochs_write,
	.flush = bochs_flush, .discard = bochs_discard, .create = bochs_create, .write_zeroes = bochs_write_zeroes, .extent = bochs_extent,
	.check = bochs_check,
};
