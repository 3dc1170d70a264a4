/*
 * raw.c - the image is the disk, byte for byte: a file or a block device.
 *
 * A file whose length is no multiple of 512 counts as if zeroes filled its last sector; writing there makes the file that long.
 * A file that becomes shorter while it is in use gives EIO behind its end.
 */
#define _GNU_SOURCE
#include "images/format.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECTOR 512ull

static int raw_probe(const struct image_probe *p) { return 1; }

static bool raw_open(struct image *im, char *err, size_t errsize)
{
	u64 bytes;
	int error = host_size(im->io, im->fd, &bytes);
	if (error || !bytes) {
		snprintf(err, errsize, "%s: %s", im->path, error ? strerror(error) : "is empty");
		return false;
	}
	im->size = (bytes + SECTOR - 1) & ~(SECTOR - 1);
	return true;
}

static int raw_read(struct image *im, u64 offset, void *buf, u64 len)
{
	u64 missing;
	int error = host_read(im->io, im->fd, offset, buf, len, &missing);
	/* No more than the filling of the last sector may be missing. */
	return error ? error : missing && im->size - (offset + len) + missing >= SECTOR ? EIO : 0;
}

static int raw_write(struct image *im, u64 offset, const void *buf, u64 len)
{
	return host_write(im->io, im->fd, offset, buf, len);
}

static int raw_write_zeroes(struct image *im, u64 offset, u64 len)
{
	return host_zero(im->io, im->fd, offset, len);
}

static int raw_flush(struct image *im) { return host_sync(im->io, im->fd); }

/* A hint: where the host cannot make holes, the data stays. */
static int raw_discard(struct image *im, u64 offset, u64 len)
{
	return host_punch(im->io, im->fd, offset, len) == EIO ? EIO : 0;
}

static int raw_extent(struct image *im, u64 offset, u64 len, struct image_extent *e)
{
	e->kind = host_has_data(im->io, im->fd, offset, &e->len) ? IMAGE_DATA : IMAGE_ZERO;
	e->file_offset = offset;
	return 0;
}

static bool raw_create(struct image *im, const struct image_create *how, char *err, size_t errsize)
{
	const char *at = how->options;
	char name[32], value[256], how_much[256] = "off";
	while (image_option_next(&at, name, value)) {
		if (strcmp(name, "preallocation")) {
			snprintf(err, errsize, "%s: a raw image has no option '%s'; there is: preallocation", im->path, name);
			return false;
		}
		strcpy(how_much, value);
	}
	bool falloc = !strcmp(how_much, "falloc"), full = !strcmp(how_much, "full");
	if (!falloc && !full && strcmp(how_much, "off")) {
		snprintf(err, errsize, "%s: preallocation of a raw image is off, falloc or full, not '%.40s'", im->path, how_much);
		return false;
	}
	int error = host_resize(im->io, im->fd, how->size);
	if (!error && (falloc || full))
		error = host_reserve(im->io, im->fd, 0, how->size);
	if (!error)
		return true;
	snprintf(err, errsize, "%s: cannot be made so large: %s", im->path, strerror(error));
	return false;
}

static bool raw_resize(struct image *im, u64 size, char *err, size_t errsize)
{
	int error = host_resize(im->io, im->fd, size);
	if (error) {
		snprintf(err, errsize, "%s: cannot change its size: %s", im->path, strerror(error));
		return false;
	}
	im->size = size;
	return true;
}

const struct image_format image_raw = {
	.name = "raw", .parallel = true, .probe = raw_probe, .open = raw_open, .read = raw_read, .write = raw_write, .flush = raw_flush,
	.discard = raw_discard, .write_zeroes = raw_write_zeroes, .extent = raw_extent, .create = raw_create, .resize = raw_resize,
};
