/*
 * chain.c - moves content along a chain of images: down into a backing image (commit), or up before it gets another one (rebase).
 */
#include "images/convert.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (2ull << 20)

static u64 min64(u64 a, u64 b) { return a < b ? a : b; }

static bool fails(const struct image *im, int error, char *err, size_t errsize)
{
	snprintf(err, errsize, "%s: %s", image_path(im), strerror(error));
	return false;
}

static void tell(const struct image_progress *p, u64 done, u64 total)
{
	if (p->tell)
		p->tell(p->arg, done, total);
}

bool image_commit(struct image *top, struct image *base, u32 depth, const struct image_progress *progress, char *err, size_t errsize)
{
	if (image_size(base) < image_size(top) && !image_resize(base, image_size(top), err, errsize))
		return false;
	struct image_copy c = { .from = top, .to = base, .above = depth, .threads = 1, .progress = *progress };
	if (!image_copy(&c, err, errsize))
		return false;
	int error = image_flush(base);
	return !error || fails(base, error, err, errsize);
}

/* Zeroes behind the end. */
static int read_below(struct image *im, u64 at, u8 *buf, u64 len)
{
	u64 size = im ? image_size(im) : 0, there = at >= size ? 0 : min64(len, size - at);
	memset(buf + there, 0, len - there);
	return there ? image_read(im, at, buf, there) : 0;
}

/* A stretch that `top` does not have itself. */
static int keep(struct image *top, struct image *below, u64 at, u8 *is, u8 *becomes, u64 len)
{
	int error = image_read(top, at, is, len);
	if (!error)
		error = read_below(below, at, becomes, len);
	if (error || !memcmp(is, becomes, len))
		return error;
	return image_all_zero(is, len) ? image_write_zeroes(top, at, len) : image_write(top, at, is, len);
}

bool image_rebase(struct image *top, struct image *below, const struct image_progress *progress, char *err, size_t errsize)
{
	u64 size = image_size(top), granule = image_granularity(top) ? image_granularity(top) : 65536;
	u64 piece = granule > PIECE ? granule : granule < 65536 ? 65536 : granule;
	u8 *buf = malloc(2 * piece);
	struct image_extent e;
	int error = buf ? 0 : ENOMEM;
	for (u64 at = 0; at < size && !error;) {
		error = image_extent(top, at, min64(size - at, piece - at % piece), &e);
		if (!error && e.kind == IMAGE_HOLE)
			error = keep(top, below, at, buf, buf + piece, e.len);
		at += e.len;
		tell(progress, at, size);
	}
	free(buf);
	if (!error)
		error = image_flush(top);
	return !error || fails(top, error, err, errsize);
}
