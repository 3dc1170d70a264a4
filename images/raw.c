/*
 * raw.c - the image is the disk, byte for byte: a file or a block device.
 *
 * A file whose length is no multiple of 512 counts as if zeroes filled its last sector; writing there makes the file that long.
 * A file that becomes shorter while it is in use gives EIO behind its end.
 */
#define _GNU_SOURCE
#include "images/format.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512ull

static bool raw_open(struct image *im, char *err, size_t errsize)
{
	u64 bytes = image_file_size(im->fd);
	if (!bytes) {
		snprintf(err, errsize, "%s: is empty", im->path);
		return false;
	}
	im->size = (bytes + SECTOR - 1) & ~(SECTOR - 1);
	return true;
}

static int raw_read(struct image *im, u64 offset, void *buf, u64 len)
{
	u8 *to = buf;
	while (len) {
		ssize_t n = pread(im->fd, to, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n) {
			if (im->size - offset >= SECTOR)	/* more than the filling is missing */
				return EIO;
			memset(to, 0, len);
			return 0;
		}
		to += n, offset += (u64)n, len -= (u64)n;
	}
	return 0;
}

static int raw_write(struct image *im, u64 offset, const void *buf, u64 len)
{
	const u8 *from = buf;
	while (len) {
		ssize_t n = pwrite(im->fd, from, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n)
			return ENOSPC;
		from += n, offset += (u64)n, len -= (u64)n;
	}
	return 0;
}

static int raw_flush(struct image *im)
{
	return fdatasync(im->fd) ? errno : 0;
}

/* A hint: where the host cannot make holes, the data stays. */
static int raw_discard(struct image *im, u64 offset, u64 len)
{
	if (!len || !fallocate(im->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len))
		return 0;
	return errno == EIO ? EIO : 0;
}

const struct image_format image_raw = {
	.name = "raw", .open = raw_open, .read = raw_read, .write = raw_write, .flush = raw_flush, .discard = raw_discard,
};
