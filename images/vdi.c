/*
 * vdi.c - VirtualBox disk images, version 1.1: dynamic and static. Source: the header as VirtualBox's own tools show and write it.
 *
 * A header of 512 bytes, a map with a 32-bit block number for each block of the disk, the blocks. A static image is a dynamic one that
 * has all blocks. The header counts the allocated blocks: a kill may leave that count old, so opening for writing puts it right.
 * Differencing images (type 4) and undo images (3) name their parent by UUID only, which no file name follows from: refused.
 */
#include "images/blocks.h"
#include "images/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define HEADER_BYTES 512u
#define SIGNATURE 0xbeda107fu
#define VERSION_1_1 0x00010001u
#define BLOCK_BYTES (1u << 20)
#define BLOCK_BYTES_MAX (256u << 20)
#define STORE_TOGETHER (4u << 20)	/* header and map go out in one write if they are no longer than this */

enum { VDI_DYNAMIC = 1, VDI_STATIC, VDI_UNDO, VDI_DIFFERENCING };
enum {	/* offsets in the header */
	H_SIGNATURE = 0x40, H_VERSION = 0x44, H_HEADER_SIZE = 0x48, H_TYPE = 0x4c, H_FLAGS = 0x50, H_COMMENT = 0x54, H_MAP = 0x154,
	H_DATA = 0x158, H_SECTOR_SIZE = 0x168, H_DISK_SIZE = 0x170, H_BLOCK_SIZE = 0x178, H_BLOCK_EXTRA = 0x17c, H_BLOCKS = 0x180,
	H_ALLOCATED = 0x184, H_UUID = 0x188, H_UUID_MODIFY = 0x198, H_UUID_PARENT = 0x1a8, H_UUID_PARENT_MODIFY = 0x1b8,
	H_GEOMETRY = 0x1c8,	/* the BIOS's: cylinders, heads, sectors, sector size; header_size 0x190 has it */
};

struct vdi {
	struct block_map map;
	u8 header[HEADER_BYTES];
	u32 map_at, map_room;	/* bytes */
};

static int vdi_probe(const struct image_probe *p)
{
	return le32(p->head + H_SIGNATURE) == SIGNATURE ? 100 : 0;
}

static bool all_zero(const u8 *p, u32 n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

static bool refuse(const struct image *im, char *err, size_t errsize, const char *why, u64 number)
{
	snprintf(err, errsize, "%s: VDI image %s (%llu)", im->path, why, (unsigned long long)number);
	return false;
}

static bool check_kind(const struct image *im, const u8 *h, char *err, size_t errsize)
{
	u32 type = le32(h + H_TYPE);
	if (le32(h + H_SIGNATURE) != SIGNATURE)
		snprintf(err, errsize, "%s: is no VDI image", im->path);
	else if (le32(h + H_VERSION) != VERSION_1_1)
		snprintf(err, errsize, "%s: VDI version %u.%u is not supported; 1.1 is", im->path, le16(h + H_VERSION + 2), le16(h + H_VERSION));
	else if (type == VDI_DIFFERENCING || type == VDI_UNDO)
		snprintf(err, errsize, "%s: is a differencing VDI image, which is not supported: clone it to a whole one in VirtualBox first",
			im->path);
	else if (type != VDI_DYNAMIC && type != VDI_STATIC)
		snprintf(err, errsize, "%s: VDI image of unknown type %u", im->path, type);
	else if (!all_zero(h + H_UUID_PARENT, 32))
		snprintf(err, errsize, "%s: VDI image with a parent, which is not supported", im->path);
	else
		return true;
	return false;
}

static bool check_header(const struct image *im, const u8 *h, u64 file_size, char *err, size_t errsize)
{
	u32 block = le32(h + H_BLOCK_SIZE), extra = le32(h + H_BLOCK_EXTRA), blocks = le32(h + H_BLOCKS);
	u64 size = le64(h + H_DISK_SIZE), map_at = le32(h + H_MAP), data_at = le32(h + H_DATA), map_bytes = blocks * 4ull;
	if (!check_kind(im, h, err, errsize))
		return false;
	if (le32(h + H_SECTOR_SIZE) != 512)
		return refuse(im, err, errsize, "with sectors of other than 512 bytes", le32(h + H_SECTOR_SIZE));
	if (block < 4096 || block > BLOCK_BYTES_MAX || block & (block - 1))
		return refuse(im, err, errsize, "with an impossible block size", block);
	if (extra % 512 || extra > BLOCK_BYTES)
		return refuse(im, err, errsize, "with an impossible size of what is before each block", extra);
	if (!blocks || blocks > BLOCK_TABLE_MAX)
		return refuse(im, err, errsize, "with an impossible number of blocks", blocks);
	if (!size || size > (u64)blocks * block)
		return refuse(im, err, errsize, "whose blocks do not hold a disk of its size", size);
	if (map_at < HEADER_BYTES || map_at % 512 || map_at + map_bytes > file_size)
		return refuse(im, err, errsize, "whose block map is not in the file", map_at);
	if (data_at % 512 || data_at < map_at + map_bytes)
		return refuse(im, err, errsize, "whose blocks lie on its block map", data_at);
	return true;
}

/* The count in the header and the map, in one write if they are short: what a kill leaves is then one state or the other. */
static int vdi_store(struct block_map *m, u32 from, u32 n)
{
	struct vdi *v = m->owner;
	u32 start = v->map_at + from * 4, behind = start + n * 4;
	bool together = behind <= STORE_TOGETHER;
	u32 first = together ? 0 : start;
	u8 *buf = host_alloc(m->im->io, 1, behind - first);
	if (!buf)
		return ENOMEM;
	u8 header[HEADER_BYTES];
	memcpy(header, v->header, sizeof(header));
	put_le32(header + H_ALLOCATED, m->allocated);
	int error = 0;
	if (together) {
		memcpy(buf, header, sizeof(header));
		error = host_read(m->im->io, m->fd, HEADER_BYTES, buf + HEADER_BYTES, start - HEADER_BYTES, NULL);
	}
	for (u32 i = 0; i < n; i++)
		put_le32(buf + (start - first) + i * 4, m->entry[from + i]);
	if (!error)
		error = host_write(m->im->io, m->fd, first, buf, behind - first);
	if (!error && !together)
		error = host_write(m->im->io, m->fd, 0, header, sizeof(header));
	if (!error)
		memcpy(v->header, header, sizeof(header));
	free(buf);
	return error;
}

static int load_map(struct image *im, struct vdi *v)
{
	struct block_map *m = &v->map;
	int error = blocks_table(m);
	if (!error)
		error = host_read_all(im->io, im->fd, v->map_at, m->entry, m->count * 4ull);
	for (u32 i = 0; i < m->count && !error; i++)
		m->entry[i] = le32(&m->entry[i]);
	return error;
}

static int put_count_right(struct image *im, struct vdi *v)
{
	if (im->readonly || im->opt->for_repair || le32(v->header + H_ALLOCATED) == v->map.allocated)
		return 0;
	put_le32(v->header + H_ALLOCATED, v->map.allocated);
	return host_write(im->io, im->fd, 0, v->header, HEADER_BYTES);
}

static void vdi_free(struct image *im)
{
	struct vdi *v = im->state;
	blocks_free(&v->map);
	free(v);
}

static bool vdi_open(struct image *im, char *err, size_t errsize)
{
	u64 file_size;
	struct vdi *v = host_alloc(im->io, 1, sizeof(*v));
	int error = v ? host_size(im->io, im->fd, &file_size) : ENOMEM;
	im->state = v;
	if (!error)
		error = host_read_all(im->io, im->fd, 0, v->header, HEADER_BYTES);
	if (!error && !check_header(im, v->header, file_size, err, errsize))
		goto fail;
	if (!error) {
		const u8 *h = v->header;
		v->map_at = le32(h + H_MAP);
		v->map_room = le32(h + H_DATA) - v->map_at;
		v->map = (struct block_map){
			.im = im, .fd = im->fd, .path = im->path, .size = le64(h + H_DISK_SIZE), .count = le32(h + H_BLOCKS),
			.block_bytes = le32(h + H_BLOCK_SIZE), .lead = le32(h + H_BLOCK_EXTRA), .base = le32(h + H_DATA), .first = le32(h + H_DATA),
			.unit = le32(h + H_BLOCK_SIZE) + le32(h + H_BLOCK_EXTRA), .can_zero = true, .store_once = true,
			.store = vdi_store, .owner = v,
		};
		im->size = (v->map.size + 511) & ~511ull;
		im->granularity = v->map.block_bytes;
		error = load_map(im, v);
	}
	if (!error)
		error = blocks_scan(&v->map, file_size);
	if (!error && !blocks_acceptable(&v->map, err, errsize))
		goto fail;
	if (!error)
		error = put_count_right(im, v);
	if (!error)
		return true;
	snprintf(err, errsize, "%s: %s", im->path, strerror(error));
fail:
	if (v)
		vdi_free(im);
	return false;
}

static struct block_map *map_of(struct image *im) { return &((struct vdi *)im->state)->map; }
static int vdi_read(struct image *im, u64 offset, void *buf, u64 len) { return blocks_read(map_of(im), offset, buf, len); }
static int vdi_write(struct image *im, u64 offset, const void *buf, u64 len) { return blocks_write(map_of(im), offset, buf, len); }
static int vdi_write_zeroes(struct image *im, u64 offset, u64 len) { return blocks_write_zeroes(map_of(im), offset, len); }
static int vdi_discard(struct image *im, u64 offset, u64 len) { return blocks_discard(map_of(im), offset, len); }
static int vdi_flush(struct image *im) { return blocks_flush(map_of(im)); }

static int vdi_extent(struct image *im, u64 offset, u64 len, struct image_extent *e)
{
	return blocks_extent(map_of(im), offset, len, e);
}

static int vdi_check(struct image *im, struct image_check *c)
{
	struct vdi *v = im->state;
	int error = blocks_check(&v->map, c);
	if (error || le32(v->header + H_ALLOCATED) == v->map.allocated)
		return error;
	if (c->say)
		c->say(c->arg, c->repair_all ? "the header's count of allocated blocks was wrong: put right" :
			"the header's count of allocated blocks is wrong");
	if (!c->repair_all) {
		c->corruptions++;
		return 0;
	}
	c->corruptions_fixed++;
	put_le32(v->header + H_ALLOCATED, v->map.allocated);
	error = host_write(im->io, im->fd, 0, v->header, HEADER_BYTES);
	return error ? error : host_sync(im->io, im->fd);
}

static void vdi_info(struct image *im, void (*fact)(void *arg, const struct image_fact *f), void *arg)
{
	const struct vdi *v = im->state;
	bool fixed = le32(v->header + H_TYPE) == VDI_STATIC;
	fact(arg, &(struct image_fact){ .key = "static", .kind = FACT_BOOL, .number = fixed });
}

/* Grows into the room behind the map, which images of ours have; shrinking drops blocks, whose places stay unused. */
static bool vdi_resize(struct image *im, u64 size, char *err, size_t errsize)
{
	struct vdi *v = im->state;
	struct block_map *m = &v->map, grown = *m;
	u64 count = (size + m->block_bytes - 1) / m->block_bytes;
	if (le32(v->header + H_TYPE) == VDI_STATIC || count * 4 > v->map_room || count > BLOCK_TABLE_MAX) {
		snprintf(err, errsize, "%s: there is no room for more blocks in this VDI image; convert it to a larger one", im->path);
		return false;
	}
	if (size < m->size) {
		snprintf(err, errsize, "%s: a VDI image cannot be made smaller; convert it to a smaller one", im->path);
		return false;
	}
	grown.count = (u32)count;
	int error = blocks_flush(m);
	if (!error)
		error = blocks_table(&grown);
	if (error) {
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
		return false;
	}
	memcpy(grown.entry, m->entry, m->count * sizeof(*m->entry));
	u32 old = m->count;
	blocks_free(m);
	*m = grown;
	m->size = size;
	for (u32 i = old; i < m->count; i++)
		blocks_touch(m, i);
	put_le32(v->header + H_BLOCKS, m->count);
	put_le64(v->header + H_DISK_SIZE, size);
	im->size = size;
	if (m->count == old)
		blocks_touch(m, 0);
	error = blocks_flush(m);
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	return !error;
}

static bool parse_options(const struct image *im, const char *options, bool *fixed, char *err, size_t errsize)
{
	char name[32], value[256];
	*fixed = false;
	for (const char *at = options; image_option_next(&at, name, value);) {
		bool known = true;
		if (!strcmp(name, "static"))
			known = image_parse_bool(value, fixed);
		else if (!strcmp(name, "preallocation") && (!strcmp(value, "metadata") || !strcmp(value, "off")))
			*fixed = !strcmp(value, "metadata");
		else
			known = false;
		if (!known) {
			snprintf(err, errsize, "%s: VDI has no option '%.40s=%.40s'; there are static=on|off and preallocation=off|metadata",
				im->path, name, value);
			return false;
		}
	}
	return true;
}

/* UUIDs of version 4, RFC 4122 section 4.4. */
static bool make_uuid(u8 *uuid)
{
	if (getrandom(uuid, 16, 0) != 16)
		return false;
	uuid[7] = (uuid[7] & 0x0f) | 0x40;	/* the first three fields are little-endian here */
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
	return true;
}

static void fill_header(u8 *h, u64 size, u32 blocks, u32 data_at, bool fixed)
{
	u64 cylinders = size / 512 / (255 * 63);
	strcpy((char *)h, "<<< Oracle VM VirtualBox Disk Image >>>\n");
	put_le32(h + H_SIGNATURE, SIGNATURE);
	put_le32(h + H_VERSION, VERSION_1_1);
	put_le32(h + H_HEADER_SIZE, 0x190);
	put_le32(h + H_TYPE, fixed ? VDI_STATIC : VDI_DYNAMIC);
	put_le32(h + H_MAP, HEADER_BYTES);
	put_le32(h + H_DATA, data_at);
	put_le32(h + H_SECTOR_SIZE, 512);
	put_le64(h + H_DISK_SIZE, size);
	put_le32(h + H_BLOCK_SIZE, BLOCK_BYTES);
	put_le32(h + H_BLOCKS, blocks);
	put_le32(h + H_ALLOCATED, fixed ? blocks : 0);
	put_le32(h + H_GEOMETRY, cylinders > 1024 ? 1024 : cylinders ? (u32)cylinders : 1);
	put_le32(h + H_GEOMETRY + 4, 255);
	put_le32(h + H_GEOMETRY + 8, 63);
	put_le32(h + H_GEOMETRY + 12, 512);
}

static bool vdi_create(struct image *im, const struct image_create *how, char *err, size_t errsize)
{
	bool fixed;
	u64 blocks = (how->size + BLOCK_BYTES - 1) / BLOCK_BYTES;
	u64 data_at = (HEADER_BYTES + blocks * 4 + BLOCK_BYTES - 1) & ~(u64)(BLOCK_BYTES - 1);
	if (!parse_options(im, how->options, &fixed, err, errsize))
		return false;
	if (how->backing) {
		snprintf(err, errsize, "%s: VDI images with a backing file are not supported; qcow2 has them", im->path);
		return false;
	}
	if (!how->size || blocks > BLOCK_TABLE_MAX) {
		snprintf(err, errsize, "%s: a VDI image holds 1 byte to %u TiB", im->path, BLOCK_TABLE_MAX >> 20);
		return false;
	}
	u64 map_bytes = HEADER_BYTES + blocks * 4;
	u8 *front = host_alloc(im->io, 1, map_bytes);
	int error = front ? 0 : ENOMEM;
	if (!error) {
		fill_header(front, how->size, (u32)blocks, (u32)data_at, fixed);
		if (!make_uuid(front + H_UUID) || !make_uuid(front + H_UUID_MODIFY))
			error = errno;
		for (u32 i = 0; i < blocks; i++)
			put_le32(front + HEADER_BYTES + i * 4, fixed ? i : BLOCK_HOLE);
	}
	if (!error)
		error = host_write(im->io, im->fd, 0, front, map_bytes);
	if (!error)
		error = host_resize(im->io, im->fd, data_at + (fixed ? blocks * BLOCK_BYTES : 0));
	free(front);
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	return !error;
}

/* What cannot be written is lost: image_flush() before tells. */
static void vdi_close(struct image *im)
{
	if (!im->readonly)
		vdi_flush(im);
	vdi_free(im);
}

const struct image_format image_vdi = {
	.name = "vdi", .probe = vdi_probe, .open = vdi_open, .close = vdi_close, .read = vdi_read, .write = vdi_write, .flush = vdi_flush,
	.discard = vdi_discard, .create = vdi_create, .write_zeroes = vdi_write_zeroes, .extent = vdi_extent, .resize = vdi_resize,
	.check = vdi_check, .info = vdi_info,
};
