/*
 * image.c - requests to an open image: bounds, rights and the lock before a format sees them, and the way through a backing chain.
 *
 * Locks go down the chain: a format that holds its image's lock may call its backing image, never the one above.
 */
#define _GNU_SOURCE
#include "images/image.h"
#include "images/format.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ZERO_PIECE (64u << 10)

u64 image_size(const struct image *im) { return im->size; }
bool image_readonly(const struct image *im) { return im->readonly; }
const char *image_path(const struct image *im) { return im->path; }
const char *image_format_of(const struct image *im) { return im->format->name; }
struct image *image_backing(const struct image *im) { return im->backing; }
const char *image_backing_name(const struct image *im) { return im->backing_name; }
const char *image_backing_format(const struct image *im) { return im->backing_format; }
u32 image_granularity(const struct image *im) { return im->granularity; }
bool image_write_back(const struct image *im) { return im->granularity != 0; }
bool image_can_compress(const struct image *im) { return im->format->write_compressed != NULL; }

bool image_disk_usage(const struct image *im, u64 *held, u64 *length)
{
	struct stat st;
	if (fstat(im->fd, &st))
		return false;
	*held = (u64)st.st_blocks * 512;
	return !host_size(im->io, im->fd, length);
}

static bool inside(const struct image *im, u64 offset, u64 len)
{
	return offset <= im->size && len <= im->size - offset;
}

static void lock(struct image *im)
{
	if (!im->format->parallel)
		pthread_mutex_lock(&im->lock);
}

static void unlock(struct image *im)
{
	if (!im->format->parallel)
		pthread_mutex_unlock(&im->lock);
}

int image_read(struct image *im, u64 offset, void *buf, u64 len)
{
	if (!inside(im, offset, len))
		return EINVAL;
	if (!len)
		return 0;
	lock(im);
	int error = im->format->read(im, offset, buf, len);
	unlock(im);
	return error;
}

/* A raw image that was only taken for one must not become another format by what a guest writes: next time it would be opened as
 * that, and its header could name files. */
static bool disguises(struct image *im, u64 offset, const u8 *buf, u64 len)
{
	struct image_probe p;
	if (!im->guessed || im->format != &image_raw || offset >= sizeof(p.head) || image_probe_read(im->io, im->fd, &p))
		return false;
	p.size = 0;
	memset(p.tail, 0, sizeof(p.tail));
	u64 room = sizeof(p.head) - offset;
	memcpy(p.head + offset, buf, len < room ? len : room);
	return image_probe(&p) != &image_raw;
}

static int may_write(const struct image *im, u64 offset, u64 len)
{
	return im->readonly ? EROFS : inside(im, offset, len) ? 0 : EINVAL;
}

int image_write(struct image *im, u64 offset, const void *buf, u64 len)
{
	int error = may_write(im, offset, len);
	if (error || !len)
		return error;
	if (offset < IMAGE_HEAD_BYTES && disguises(im, offset, buf, len))
		return EINVAL;
	lock(im);
	error = im->format->write(im, offset, buf, len);
	unlock(im);
	return error;
}

static int write_zeroes(struct image *im, u64 offset, u64 len)
{
	static const u8 zero[ZERO_PIECE];
	int error = 0;
	for (u64 n; len && !error; offset += n, len -= n) {
		n = len < sizeof(zero) ? len : sizeof(zero);
		error = im->format->write(im, offset, zero, n);
	}
	return error;
}

int image_write_zeroes(struct image *im, u64 offset, u64 len)
{
	int error = may_write(im, offset, len);
	if (error || !len)
		return error;
	lock(im);
	error = im->format->write_zeroes ? im->format->write_zeroes(im, offset, len) : write_zeroes(im, offset, len);
	unlock(im);
	return error;
}

int image_flush(struct image *im)
{
	if (im->readonly)
		return 0;
	lock(im);
	int error = im->format->flush(im);
	unlock(im);
	return error;
}

int image_discard(struct image *im, u64 offset, u64 len)
{
	int error = may_write(im, offset, len);
	if (error || !len || !im->format->discard)
		return error;
	lock(im);
	error = im->format->discard(im, offset, len);
	unlock(im);
	return error;
}

int image_write_compressed(struct image *im, u64 offset, const void *buf, u64 len)
{
	int error = may_write(im, offset, len);
	if (error || !len)
		return error;
	if (!im->format->write_compressed)
		return ENOTSUP;
	lock(im);
	error = im->format->write_compressed(im, offset, buf, len);
	unlock(im);
	return error;
}

/* --- through the chain --- */

int image_read_backing(struct image *im, u64 offset, void *buf, u64 len)
{
	u64 size = im->backing ? im->backing->size : 0;
	u64 there = offset >= size ? 0 : len < size - offset ? len : size - offset;
	memset((u8 *)buf + there, 0, len - there);
	return there ? image_read(im->backing, offset, buf, there) : 0;
}

bool image_backing_is_zero(struct image *im, u64 offset, u64 *len)
{
	u64 size = im->backing ? im->backing->size : 0;
	if (offset >= size)
		return true;
	if (*len > size - offset)
		*len = size - offset;
	return false;
}

int image_extent(struct image *im, u64 offset, u64 len, struct image_extent *e)
{
	*e = (struct image_extent){ .len = len, .kind = IMAGE_DATA, .file_offset = ~0ull };
	if (!len || !inside(im, offset, len))
		return EINVAL;
	if (!im->format->extent)
		return 0;
	lock(im);
	int error = im->format->extent(im, offset, len, e);
	unlock(im);
	return error;
}

int image_map(struct image *im, u64 offset, u64 len, struct image_extent *e)
{
	u32 depth = 0;
	for (;; depth++, im = im->backing) {
		int error = image_extent(im, offset, len, e);
		e->depth = depth;
		if (error || e->kind != IMAGE_HOLE)
			return error;
		len = e->len;
		if (image_backing_is_zero(im, offset, &len))
			return 0;
	}
}

/* --- the image as a whole --- */

bool image_freeze(struct image *im, char *err, size_t errsize)
{
	int error = image_flush(im);
	if (error) {
		snprintf(err, errsize, "%s: cannot be made durable: %s", im->path, strerror(error));
		return false;
	}
	if (im->locked && !image_lock(im, false, err, errsize))
		return false;
	im->readonly = true;
	return true;
}

bool image_thaw(struct image *im, char *err, size_t errsize)
{
	if (im->locked && !image_lock(im, true, err, errsize))
		return false;
	im->readonly = false;
	return true;
}

static bool cannot(const struct image *im, const char *what, char *err, size_t errsize)
{
	snprintf(err, errsize, "%s: %s", im->path, what);
	return false;
}

bool image_resize(struct image *im, u64 size, char *err, size_t errsize)
{
	if (im->readonly)
		return cannot(im, "is read-only", err, errsize);
	if (!im->format->resize)
		return cannot(im, "an image of this format cannot change its size", err, errsize);
	if (!size || size & 511)
		return cannot(im, "the size of a disk is a multiple of 512 bytes, and more than none", err, errsize);
	lock(im);
	bool ok = im->format->resize(im, size, err, errsize);
	unlock(im);
	return ok;
}

bool image_set_backing(struct image *im, const char *backing, const char *backing_format, char *err, size_t errsize)
{
	if (im->readonly)
		return cannot(im, "is read-only", err, errsize);
	if (!im->format->set_backing)
		return cannot(im, "an image of this format has no backing file", err, errsize);
	if (backing && !backing_format)
		return cannot(im, "the format of the backing file must be given", err, errsize);
	lock(im);
	bool ok = im->format->set_backing(im, backing, backing_format, err, errsize);
	unlock(im);
	return ok;
}

int image_check(struct image *im, struct image_check *c)
{
	if (!im->format->check)
		return ENOTSUP;
	if (im->readonly && (c->repair_leaks || c->repair_all))
		return EROFS;
	lock(im);
	int error = im->format->check(im, c);
	unlock(im);
	return error;
}

void image_info(struct image *im, void (*fact)(void *arg, const struct image_fact *f), void *arg)
{
	if (!im->format->info)
		return;
	lock(im);
	im->format->info(im, fact, arg);
	unlock(im);
}

int image_snapshots(struct image *im, void (*each)(void *arg, const struct image_snapshot *s), void *arg)
{
	if (!im->format->snapshots)
		return 0;
	lock(im);
	int error = im->format->snapshots(im, each, arg);
	unlock(im);
	return error;
}
