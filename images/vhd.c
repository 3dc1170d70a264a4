/*
 * vhd.c - VHD images (Virtual PC, Hyper-V, Azure), fixed and dynamic. Source: Microsoft's specification 1.0; see vhd.h.
 *
 * Fixed: the disk, and a footer behind it. Dynamic: a copy of the footer, a header, a table, blocks with a bitmap of their sectors, the
 * footer. The size of the disk is the footer's "current size"; its geometry, which some programs go by, may come to a little less.
 *
 * A new block overwrites the footer at the end, which the next flush writes anew behind it. Where it is missing the copy counts. A whole
 * footer at the end goes before the copy: the beginning of a fixed image is what a guest writes there.
 * Differencing images name their parent by paths of another machine: refused.
 */
#include "images/vhd.h"
#include "images/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SECTOR 512u
#define BLOCK_BYTES_MAX (256u << 20)

u32 vhd_checksum(const u8 *p, u32 len, u32 at)
{
	u32 sum = 0;
	for (u32 i = 0; i < len; i++)
		sum += i - at < 4 ? 0 : p[i];
	return ~sum;
}

bool vhd_footer_good(const u8 *footer)
{
	return !memcmp(footer, "conectix", 8) && be32(footer + F_CHECKSUM) == vhd_checksum(footer, VHD_FOOTER_BYTES, F_CHECKSUM);
}

static int vhd_probe(const struct image_probe *p)
{
	return !memcmp(p->head, "conectix", 8) || vhd_footer_good(p->tail) ? 100 : 0;
}

/* The footer's place: the last sector, or the last 511 bytes (before Virtual PC 2004), or the copy. */
static bool find_footer(struct image *im, struct vhd *v, u64 file_size, char *err, size_t errsize)
{
	const struct hostio *io = im->io;
	int error = 0;
	v->footer_at = file_size >= 2 * VHD_FOOTER_BYTES ? file_size - VHD_FOOTER_BYTES : ~0ull;
	if (v->footer_at != ~0ull)
		error = host_read(io, im->fd, v->footer_at, v->footer, VHD_FOOTER_BYTES, NULL);
	if (!error && v->footer_at != ~0ull && !vhd_footer_good(v->footer))
		error = host_read(io, im->fd, ++v->footer_at, v->footer, VHD_FOOTER_BYTES, NULL);
	if (!error && !vhd_footer_good(v->footer)) {
		v->footer_at = ~0ull;
		error = host_read(io, im->fd, 0, v->footer, VHD_FOOTER_BYTES, NULL);
	}
	if (error)
		snprintf(err, errsize, "%s: cannot be read: %s", im->path, strerror(error));
	else if (memcmp(v->footer, "conectix", 8))
		snprintf(err, errsize, "%s: is no VHD image", im->path);
	else if (!vhd_footer_good(v->footer))
		snprintf(err, errsize, "%s: is damaged: the checksum of its VHD footer is wrong, and no copy is good", im->path);
	else
		return true;
	return false;
}

static bool check_footer(struct image *im, struct vhd *v, u64 file_size, char *err, size_t errsize)
{
	const u8 *f = v->footer;
	u64 size = be64(f + F_SIZE);
	u32 type = be32(f + F_TYPE), version = be32(f + F_VERSION);
	if (version >> 16 != 1)
		snprintf(err, errsize, "%s: VHD version %u.%u is not supported; 1.x is", im->path, version >> 16, version & 0xffff);
	else if (be32(f + F_FEATURES) & ~3u)
		snprintf(err, errsize, "%s: VHD image with unknown features 0x%x", im->path, be32(f + F_FEATURES) & ~3u);
	else if (type == VHD_DIFFERENCING)
		snprintf(err, errsize, "%s: is a differencing VHD image, which is not supported: merge it with its parent first", im->path);
	else if (type != VHD_FIXED && type != VHD_DYNAMIC)
		snprintf(err, errsize, "%s: VHD image of unknown type %u", im->path, type);
	else if (!size || size & (SECTOR - 1))
		snprintf(err, errsize, "%s: VHD image with an impossible size of %llu bytes", im->path, (unsigned long long)size);
	else if (type == VHD_FIXED && (v->footer_at == ~0ull || size > v->footer_at))
		snprintf(err, errsize, "%s: is damaged: the file is shorter than its disk of %llu bytes", im->path, (unsigned long long)size);
	else
		return true;
	return false;
}

/* --- dynamic ----------------------------------------------------------------------------------------------------------- */

static bool check_header(struct image *im, struct vhd *v, u64 file_size, char *err, size_t errsize)
{
	const u8 *h = v->header;
	u32 block = be32(h + H_BLOCK_SIZE), entries = be32(h + H_ENTRIES), version = be32(h + H_VERSION);
	u64 table_bytes = entries * 4ull;
	v->table_at = be64(h + H_TABLE_AT);
	if (memcmp(h, "cxsparse", 8))
		snprintf(err, errsize, "%s: is damaged: the VHD footer does not lead to a header", im->path);
	else if (be32(h + H_CHECKSUM) != vhd_checksum(h, VHD_HEADER_BYTES, H_CHECKSUM))
		snprintf(err, errsize, "%s: is damaged: the checksum of its VHD header is wrong", im->path);
	else if (version >> 16 != 1)
		snprintf(err, errsize, "%s: VHD header version %u.%u is not supported; 1.x is", im->path, version >> 16, version & 0xffff);
	else if (block < 4096 || block > BLOCK_BYTES_MAX || block & (block - 1))
		snprintf(err, errsize, "%s: VHD image with an impossible block size of %u", im->path, block);
	else if (!entries || entries > BLOCK_TABLE_MAX || be64(v->footer + F_SIZE) > (u64)entries * block)
		snprintf(err, errsize, "%s: VHD image whose %u blocks do not hold a disk of its size", im->path, entries);
	else if (v->table_at & (SECTOR - 1) || v->table_at > file_size || table_bytes > file_size - v->table_at)
		snprintf(err, errsize, "%s: VHD image whose block table is not in the file", im->path);
	else
		return true;
	return false;
}

static int store_table(struct block_map *m, u32 from, u32 n)
{
	struct vhd *v = m->owner;
	u32 *raw = host_alloc(m->im->io, n, sizeof(*raw));
	if (!raw)
		return ENOMEM;
	for (u32 i = 0; i < n; i++)
		put_be32(&raw[i], m->entry[from + i]);
	int error = host_write(m->im->io, m->fd, v->table_at + from * 4ull, raw, n * 4ull);
	free(raw);
	return error;
}

static int load_table(struct image *im, struct vhd *v)
{
	struct block_map *m = &v->map;
	int error = blocks_table(m);
	if (!error)
		error = host_read_all(im->io, im->fd, v->table_at, m->entry, m->count * 4ull);
	for (u32 i = 0; i < m->count && !error; i++) {
		u32 entry = be32(&m->entry[i]);
		m->entry[i] = entry == BLOCK_HOLE || entry <= BLOCK_LAST ? entry : BLOCK_BAD;
	}
	return error;
}

static void describe_map(struct image *im, struct vhd *v)
{
	u32 block = be32(v->header + H_BLOCK_SIZE);
	v->map = (struct block_map){
		.im = im, .fd = im->fd, .path = im->path, .size = im->size, .count = be32(v->header + H_ENTRIES), .block_bytes = block,
		.lead = (block / SECTOR / 8 + SECTOR - 1) & ~(SECTOR - 1), .unit = SECTOR, .first = VHD_FOOTER_BYTES, .align = 4096,
		.bitmap = true, .bitmap_msb = true, .store = store_table, .owner = v,
	};
	im->granularity = block;
}

static bool apart(const struct block_span *a, const struct block_span *b)
{
	return a->at + a->len <= b->at || b->at + b->len <= a->at;
}

static bool open_dynamic(struct image *im, struct vhd *v, u64 file_size, char *err, size_t errsize)
{
	v->header_at = be64(v->footer + F_HEADER_AT);
	int error = v->header_at > file_size ? EIO : host_read_all(im->io, im->fd, v->header_at, v->header, VHD_HEADER_BYTES);
	if (!error && !check_header(im, v, file_size, err, errsize))
		return false;
	struct block_span span[3] = { { 0, VHD_FOOTER_BYTES }, { v->header_at, VHD_HEADER_BYTES } };
	if (!error) {
		describe_map(im, v);
		span[2] = (struct block_span){ v->table_at, (v->map.count * 4ull + SECTOR - 1) & ~(u64)(SECTOR - 1) };
		if (v->header_at & (SECTOR - 1) || !apart(&span[0], &span[1]) || !apart(&span[0], &span[2]) || !apart(&span[1], &span[2])) {
			snprintf(err, errsize, "%s: is damaged: footer, header and block table of the VHD image overlap", im->path);
			return false;
		}
		if (span[1].at > span[2].at) {
			struct block_span header = span[1];
			span[1] = span[2], span[2] = header;
		}
		v->map.reserved = span;
		v->map.reserved_count = ARRAY_SIZE(span);
		error = load_table(im, v);
	}
	if (!error)
		error = blocks_scan(&v->map, v->footer_at == ~0ull ? file_size : v->footer_at);
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	v->map.reserved = NULL;
	v->map.file_end = file_size;
	return !error && blocks_acceptable(&v->map, err, errsize);
}

static void vhd_free(struct image *im)
{
	struct vhd *v = im->state;
	blocks_free(&v->map);
	free(v);
}

static bool vhd_open(struct image *im, char *err, size_t errsize)
{
	u64 file_size;
	struct vhd *v = host_alloc(im->io, 1, sizeof(*v));
	int error = v ? host_size(im->io, im->fd, &file_size) : ENOMEM;
	im->state = v;
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	if (!error && find_footer(im, v, file_size, err, errsize) && check_footer(im, v, file_size, err, errsize)) {
		v->type = be32(v->footer + F_TYPE);
		im->size = be64(v->footer + F_SIZE);
		if (v->type == VHD_FIXED || open_dynamic(im, v, file_size, err, errsize))
			return true;
	}
	if (v)
		vhd_free(im);
	return false;
}

/* --- both -------------------------------------------------------------------------------------------------------------- */

static int vhd_read(struct image *im, u64 offset, void *buf, u64 len)
{
	struct vhd *v = im->state;
	return v->type == VHD_FIXED ? host_read(im->io, im->fd, offset, buf, len, NULL) : blocks_read(&v->map, offset, buf, len);
}

static int vhd_write(struct image *im, u64 offset, const void *buf, u64 len)
{
	struct vhd *v = im->state;
	return v->type == VHD_FIXED ? host_write(im->io, im->fd, offset, buf, len) : blocks_write(&v->map, offset, buf, len);
}

static int vhd_write_zeroes(struct image *im, u64 offset, u64 len)
{
	struct vhd *v = im->state;
	return v->type == VHD_FIXED ? host_zero(im->io, im->fd, offset, len) : blocks_write_zeroes(&v->map, offset, len);
}

static int vhd_discard(struct image *im, u64 offset, u64 len)
{
	struct vhd *v = im->state;
	if (v->type != VHD_FIXED)
		return blocks_discard(&v->map, offset, len);
	int error = host_punch(im->io, im->fd, offset, len);
	return error == EIO ? EIO : 0;
}

/* The footer goes behind the last block, and is the end of the file. */
static int place_footer(struct image *im, struct vhd *v)
{
	struct block_map *m = &v->map;
	if (v->footer_at != ~0ull && v->footer_at >= m->end)
		return 0;
	v->footer_at = ~0ull;
	int error = host_write(im->io, im->fd, m->end, v->footer, VHD_FOOTER_BYTES);
	if (!error)
		error = host_resize(im->io, im->fd, m->end + VHD_FOOTER_BYTES);
	if (error)
		return error;
	v->footer_at = m->end;
	m->file_end = m->end + VHD_FOOTER_BYTES;
	return 0;
}

int vhd_flush(struct image *im)
{
	struct vhd *v = im->state;
	if (v->type == VHD_FIXED)
		return host_sync(im->io, im->fd);
	int error = place_footer(im, v);
	return error ? error : blocks_flush(&v->map);
}

static int vhd_extent(struct image *im, u64 offset, u64 len, struct image_extent *e)
{
	struct vhd *v = im->state;
	if (v->type != VHD_FIXED)
		return blocks_extent(&v->map, offset, len, e);
	*e = (struct image_extent){ .len = len, .file_offset = offset, .kind = IMAGE_DATA };
	if (!host_has_data(im->io, im->fd, offset, &e->len))
		e->kind = IMAGE_ZERO;
	return 0;
}

static int vhd_check(struct image *im, struct image_check *c)
{
	struct vhd *v = im->state;
	if (v->type == VHD_FIXED)
		return ENOTSUP;
	if (v->footer_at == ~0ull && c->say)
		c->say(c->arg, im->readonly ? "the footer at the end is missing; the copy at the beginning is good" :
			"the footer at the end was missing: written from the copy at the beginning");
	return blocks_check(&v->map, c);
}

static void vhd_info(struct image *im, void (*fact)(void *arg, const struct image_fact *f), void *arg)
{
	const struct vhd *v = im->state;
	fact(arg, &(struct image_fact){ .key = "subformat", .kind = FACT_TEXT, .text = v->type == VHD_FIXED ? "fixed" : "dynamic" });
}

/* What cannot be written is lost: image_flush() before tells. */
static void vhd_close(struct image *im)
{
	if (!im->readonly)
		vhd_flush(im);
	vhd_free(im);
}

const struct image_format image_vhd = {
	.name = "vhd", .also = "vpc", .probe = vhd_probe, .open = vhd_open, .close = vhd_close, .read = vhd_read, .write = vhd_write,
	.flush = vhd_flush,
	.discard = vhd_discard, .create = vhd_create, .write_zeroes = vhd_write_zeroes, .extent = vhd_extent, .resize = vhd_resize,
	.check = vhd_check, .info = vhd_info,
};
