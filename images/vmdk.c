/*
 * vmdk.c - VMware disks: monolithic and split, sparse and flat, and stream-optimized ones for reading. Source: VMware, Virtual Disk
 * Format 1.1.
 *
 * This file opens a disk's extents and sends each request to those that it touches. The first write changes the disk's content ID, by which
 * disks that have it as their parent notice. A descriptor names files: they must lie in its folder or below,
 * unless the user said otherwise.
 */
#define _GNU_SOURCE
#include "images/vmdk.h"
#include "images/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char text_magic[] = "# Disk DescriptorFile";
/* Smaller than any floppy: a guest may write a descriptor, which names files, to the start of a raw disk. */
#define TEXT_MAX (128u << 10)

static int vmdk_probe(const struct image_probe *p)
{
	if (le32(p->head) == VMDK_MAGIC)
		return 100;
	/* A text may begin with comments of other kinds and blank lines; ours and VMware's begin with this one. */
	return p->size <= TEXT_MAX && !strncasecmp((const char *)p->head, text_magic, sizeof(text_magic) - 1) ? 100 : 0;
}

static void free_extents(struct image *im, struct vmdk *v)
{
	for (u32 i = 0; i < v->extents; i++) {
		struct vmdk_extent *e = &v->extent[i];
		vmdk_sparse_free(e);
		if (e->path && e->fd >= 0)
			im->io->close(im->io, e->fd);
		free(e->path);
	}
	free(v->extent);
}

static void vmdk_free(struct image *im)
{
	struct vmdk *v = im->state;
	free_extents(im, v);
	free(v->descriptor.line);
	free(v);
}

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static bool read_text(struct image *im, struct vmdk *v, u64 at, u64 len, char *err, size_t errsize)
{
	char *text = host_alloc(im->io, 1, len + 1);
	int error = text ? host_read(im->io, im->fd, at, text, len, NULL) : ENOMEM;
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	bool ok = !error && vmdk_parse(im, text, &v->descriptor, err, errsize);
	v->text_at = at;
	free(text);
	if (!ok)
		v->descriptor = (struct vmdk_descriptor){ 0 };
	return ok;
}

/* The parent disk, for image.c to open. */
static bool name_parent(struct image *im, const struct vmdk *v, char *err, size_t errsize)
{
	if (v->descriptor.parent_cid == VMDK_NO_PARENT)
		return true;
	im->backing_name = strdup(v->descriptor.parent);
	im->backing_format = strdup("vmdk");
	if (im->backing_name && im->backing_format)
		return true;
	snprintf(err, errsize, "%s: out of memory", im->path);
	return false;
}

static bool acceptable(const struct image *im, const struct vmdk_extent *e, char *err, size_t errsize)
{
	const char *path = e->path ? e->path : im->path;
	if (!im->readonly && e->flags & VMDK_COMPRESSED)
		snprintf(err, errsize, "%s: a stream-optimized VMDK image can be read only; convert it, or use 'readonly'", path);
	else if (!im->readonly && e->access == VMDK_RDONLY)
		snprintf(err, errsize, "%s: the VMDK descriptor says that this extent is read-only; use 'readonly'", path);
	else if (e->access == VMDK_NOACCESS)
		snprintf(err, errsize, "%s: the VMDK descriptor says that this extent must not be used", path);
	else
		return true;
	return false;
}

/* A sparse extent in the image's own file, with or without a descriptor inside. */
static bool open_single(struct image *im, struct vmdk *v, char *err, size_t errsize)
{
	struct vmdk_extent *e = host_alloc(im->io, 1, sizeof(*e));
	v->extent = e;
	if (!e) {
		snprintf(err, errsize, "%s: out of memory", im->path);
		return false;
	}
	v->extents = 1;
	*e = (struct vmdk_extent){ .kind = VMDK_SPARSE, .fd = im->fd, .map.path = im->path };
	v->descriptor.parent_cid = VMDK_NO_PARENT;
	if (!vmdk_sparse_header(im, e, err, errsize))
		return false;
	if (e->descriptor_at && !read_text(im, v, e->descriptor_at, e->descriptor_bytes, err, errsize))
		return false;
	if (v->descriptor.lines > 1) {
		snprintf(err, errsize, "%s: its VMDK descriptor names more extents than the one that it is in", im->path);
		return false;
	}
	e->access = v->descriptor.lines ? v->descriptor.line[0].access : VMDK_RW;
	return acceptable(im, e, err, errsize) && vmdk_sparse_tables(im, e, err, errsize) && name_parent(im, v, err, errsize);
}

static bool open_flat(struct image *im, struct vmdk_extent *e, const struct vmdk_line *line, char *err, size_t errsize)
{
	u64 file_size;
	int error = host_size(im->io, e->fd, &file_size);
	e->file_offset = line->offset * VMDK_SECTOR;
	if (error)
		snprintf(err, errsize, "%s: %s", e->path, strerror(error));
	else if (e->file_offset > file_size || e->size > file_size - e->file_offset)
		snprintf(err, errsize, "%s: is shorter than the VMDK descriptor says", e->path);
	else
		return true;
	return false;
}

static bool open_sparse(struct image *im, struct vmdk_extent *e, u64 size, char *err, size_t errsize)
{
	e->map.path = e->path;
	if (!vmdk_sparse_header(im, e, err, errsize))
		return false;
	if (e->size != size) {
		snprintf(err, errsize, "%s: has another size than the VMDK descriptor says", e->path);
		return false;
	}
	return acceptable(im, e, err, errsize) && vmdk_sparse_tables(im, e, err, errsize);
}

static bool open_extent(struct image *im, struct vmdk_extent *e, const struct vmdk_line *line, char *err, size_t errsize)
{
	e->fd = -1;
	e->kind = line->kind;
	e->access = line->access;
	e->size = line->sectors * VMDK_SECTOR;
	if (e->kind == VMDK_ZERO)
		return true;
	e->path = image_beside(im, line->name, im->opt->allow_backing, err, errsize);
	if (!e->path || !acceptable(im, e, err, errsize))
		return false;
	e->fd = image_open_extent(im, e->path, err, errsize);
	if (e->fd < 0)
		return false;
	return e->kind == VMDK_FLAT ? open_flat(im, e, line, err, errsize) : open_sparse(im, e, e->size, err, errsize);
}

/* A descriptor that is a file of its own. */
static bool open_text(struct image *im, struct vmdk *v, char *err, size_t errsize)
{
	u64 size, at = 0;
	int error = host_size(im->io, im->fd, &size);
	if (!error && size > TEXT_MAX) {
		snprintf(err, errsize, "%s: is no VMDK image", im->path);
		return false;
	}
	if (error) {
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
		return false;
	}
	if (!read_text(im, v, 0, size, err, errsize))
		return false;
	v->extent = host_alloc(im->io, v->descriptor.lines, sizeof(*v->extent));
	if (!v->extent) {
		snprintf(err, errsize, "%s: out of memory", im->path);
		return false;
	}
	for (u32 i = 0; i < v->descriptor.lines; i++) {
		struct vmdk_extent *e = &v->extent[v->extents++];
		e->at = at;
		if (!open_extent(im, e, &v->descriptor.line[i], err, errsize))
			return false;
		at += e->size;
	}
	return name_parent(im, v, err, errsize);
}

static bool vmdk_open(struct image *im, char *err, size_t errsize)
{
	u8 magic[4];
	struct vmdk *v = host_alloc(im->io, 1, sizeof(*v));
	int error = v ? host_read(im->io, im->fd, 0, magic, sizeof(magic), NULL) : ENOMEM;
	if (error)
		snprintf(err, errsize, "%s: %s", im->path, strerror(error));
	im->state = v;
	if (!error && (le32(magic) == VMDK_MAGIC ? open_single(im, v, err, errsize) : open_text(im, v, err, errsize))) {
		const struct vmdk_extent *last = &v->extent[v->extents - 1];
		im->size = last->at + last->size;
		im->granularity = v->extent[0].kind == VMDK_SPARSE ? v->extent[0].map.block_bytes : 0;
		return true;
	}
	if (v)
		vmdk_free(im);
	return false;
}

/* --- requests ---------------------------------------------------------------------------------------------------------- */

static struct vmdk_extent *extent_at(struct vmdk *v, u64 offset)
{
	u32 lo = 0, hi = v->extents - 1;
	while (lo < hi) {
		u32 mid = (lo + hi + 1) / 2;
		if (v->extent[mid].at <= offset)
			lo = mid;
		else
			hi = mid - 1;
	}
	return &v->extent[lo];
}

/* A parent that has changed since would give a mixture of two disks. */
static int check_parent(struct image *im, struct vmdk *v)
{
	if (v->parent_checked)
		return 0;
	v->parent_checked = true;
	if (!im->backing || strcmp(im->backing->format->name, "vmdk"))
		return 0;
	const struct vmdk *parent = im->backing->state;
	v->parent_checked = parent->descriptor.cid == v->descriptor.parent_cid;
	return v->parent_checked ? 0 : EIO;
}

static int change_cid(struct image *im, struct vmdk *v)
{
	char text[9];
	u32 digits = v->descriptor.cid_digits, cid = v->descriptor.cid;
	if (v->cid_changed || !digits || digits > 8)
		return 0;
	while (cid == v->descriptor.cid || cid >= VMDK_NO_PARENT - 1) {
		if (getrandom(&cid, sizeof(cid), 0) != sizeof(cid))
			return errno;
		cid >>= 32 - 4 * digits;
	}
	snprintf(text, sizeof(text), "%0*x", (int)digits, cid);
	int error = host_write(im->io, im->fd, v->text_at + v->descriptor.cid_at, text, digits);
	if (error)
		return error;
	v->descriptor.cid = cid;
	v->cid_changed = v->text_written = true;
	return 0;
}

static int read_extent(struct image *im, struct vmdk_extent *e, u64 offset, void *buf, u64 len)
{
	if (e->kind == VMDK_SPARSE)
		return e->stream ? vmdk_stream_read(e, offset, buf, len) : blocks_read(&e->map, offset, buf, len);
	if (e->kind == VMDK_FLAT)
		return host_read_all(im->io, e->fd, e->file_offset + offset, buf, len);
	memset(buf, 0, len);
	return 0;
}

static int vmdk_read(struct image *im, u64 offset, void *buf, u64 len)
{
	struct vmdk *v = im->state;
	int error = check_parent(im, v);
	for (u8 *to = buf; len && !error;) {
		struct vmdk_extent *e = extent_at(v, offset);
		u64 in = offset - e->at, n = e->size - in < len ? e->size - in : len;
		error = read_extent(im, e, in, to, n);
		to += n, offset += n, len -= n;
	}
	return error;
}

static int write_extent(struct image *im, struct vmdk_extent *e, u64 offset, const void *buf, u64 len)
{
	if (e->kind == VMDK_ZERO)
		return EROFS;
	e->written = true;
	return e->kind == VMDK_SPARSE ? blocks_write(&e->map, offset, buf, len) :
		host_write(im->io, e->fd, e->file_offset + offset, buf, len);
}

static int vmdk_write(struct image *im, u64 offset, const void *buf, u64 len)
{
	struct vmdk *v = im->state;
	int error = check_parent(im, v);
	if (!error)
		error = change_cid(im, v);
	for (const u8 *from = buf; len && !error;) {
		struct vmdk_extent *e = extent_at(v, offset);
		u64 in = offset - e->at, n = e->size - in < len ? e->size - in : len;
		error = write_extent(im, e, in, from, n);
		from += n, offset += n, len -= n;
	}
	return error;
}

static int zero_extent(struct image *im, struct vmdk_extent *e, u64 offset, u64 len)
{
	if (e->kind == VMDK_ZERO)
		return 0;
	e->written = true;
	return e->kind == VMDK_SPARSE ? blocks_write_zeroes(&e->map, offset, len) : host_zero(im->io, e->fd, e->file_offset + offset, len);
}

static int vmdk_write_zeroes(struct image *im, u64 offset, u64 len)
{
	struct vmdk *v = im->state;
	int error = check_parent(im, v);
	if (!error)
		error = change_cid(im, v);
	while (len && !error) {
		struct vmdk_extent *e = extent_at(v, offset);
		u64 in = offset - e->at, n = e->size - in < len ? e->size - in : len;
		error = zero_extent(im, e, in, n);
		offset += n, len -= n;
	}
	return error;
}

static int discard_extent(struct image *im, struct vmdk_extent *e, u64 offset, u64 len)
{
	if (e->kind == VMDK_ZERO)
		return 0;
	e->written = true;
	if (e->kind == VMDK_SPARSE)
		return blocks_discard(&e->map, offset, len);
	int error = host_punch(im->io, e->fd, e->file_offset + offset, len);
	return error == EIO ? EIO : 0;
}

static int vmdk_discard(struct image *im, u64 offset, u64 len)
{
	struct vmdk *v = im->state;
	int error = change_cid(im, v);
	while (len && !error) {
		struct vmdk_extent *e = extent_at(v, offset);
		u64 in = offset - e->at, n = e->size - in < len ? e->size - in : len;
		error = discard_extent(im, e, in, n);
		offset += n, len -= n;
	}
	return error;
}

static int vmdk_flush(struct image *im)
{
	struct vmdk *v = im->state;
	int error = 0;
	if (v->text_written)
		error = host_sync(im->io, im->fd);
	v->text_written &= error != 0;
	for (u32 i = 0; i < v->extents && !error; i++) {
		struct vmdk_extent *e = &v->extent[i];
		if (!e->written && !e->map.any_dirty)
			continue;
		error = e->kind == VMDK_SPARSE ? blocks_flush(&e->map) : e->kind == VMDK_FLAT ? host_sync(im->io, e->fd) : 0;
		e->written = error != 0;
	}
	return error;
}

static int vmdk_extent_at(struct image *im, u64 offset, u64 len, struct image_extent *out)
{
	struct vmdk *v = im->state;
	struct vmdk_extent *e = extent_at(v, offset);
	u64 in = offset - e->at;
	len = e->size - in < len ? e->size - in : len;
	*out = (struct image_extent){ .len = len, .file_offset = ~0ull, .kind = IMAGE_ZERO };
	if (e->kind == VMDK_FLAT) {
		out->kind = host_has_data(im->io, e->fd, e->file_offset + in, &out->len) ? IMAGE_DATA : IMAGE_ZERO;
	} else if (e->stream) {
		u32 entry = e->map.entry[in / e->map.block_bytes];
		u64 n = e->map.block_bytes - in % e->map.block_bytes;
		out->len = n < len ? n : len;
		out->kind = entry == BLOCK_HOLE ? IMAGE_HOLE : entry == BLOCK_ZERO ? IMAGE_ZERO : IMAGE_DATA;
		out->compressed = out->kind == IMAGE_DATA;
	} else if (e->kind == VMDK_SPARSE) {
		int error = blocks_extent(&e->map, in, len, out);
		if (e->path)
			out->file_offset = ~0ull;
		return error;
	}
	return 0;
}

static int vmdk_check(struct image *im, struct image_check *c)
{
	struct vmdk *v = im->state;
	u32 sparse = 0;
	int error = 0;
	for (u32 i = 0; i < v->extents && !error; i++) {
		struct vmdk_extent *e = &v->extent[i];
		if (e->kind != VMDK_SPARSE)
			continue;
		sparse++;
		error = e->stream ? vmdk_stream_check(e, c) : blocks_check(&e->map, c);
	}
	return !error && !sparse ? ENOTSUP : error;
}

static void vmdk_info(struct image *im, void (*fact)(void *arg, const struct image_fact *f), void *arg)
{
	const struct vmdk *v = im->state;
	const struct vmdk_descriptor *d = &v->descriptor;
	fact(arg, &(struct image_fact){ .key = "cid", .kind = FACT_NUMBER, .number = d->cid });
	fact(arg, &(struct image_fact){ .key = "parent-cid", .kind = FACT_NUMBER, .number = d->parent_cid });
	if (d->create_type[0])
		fact(arg, &(struct image_fact){ .key = "create-type", .kind = FACT_TEXT, .text = d->create_type });
	fact(arg, &(struct image_fact){ .key = "extents", .kind = FACT_NUMBER, .number = v->extents });
}

/* What cannot be written is lost: image_flush() before tells. */
static void vmdk_close(struct image *im)
{
	if (!im->readonly)
		vmdk_flush(im);
	vmdk_free(im);
}

const struct image_format image_vmdk = {
	.name = "vmdk", .probe = vmdk_probe, .open = vmdk_open, .close = vmdk_close, .read = vmdk_read, .write = vmdk_write,
	.flush = vmdk_flush, .discard = vmdk_discard, .create = vmdk_create, .write_zeroes = vmdk_write_zeroes, .extent = vmdk_extent_at,
	.check = vmdk_check, .info = vmdk_info,
};
