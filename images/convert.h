/*
 * convert.h - moves the content of disks from image to image: copies, commits and rebases. Blocks until all is done.
 */
#ifndef RF_IMAGE_CONVERT_H
#define RF_IMAGE_CONVERT_H
#include "images/image.h"

struct image_progress {
	void (*tell)(void *arg, u64 done, u64 total);	/* bytes; from one thread at a time; may be NULL */
	void *arg;
};

struct image_copy {
	struct image *from, *to;	/* `to` is at least as large */
	bool compressed;
	bool to_is_zero;		/* what is not written reads as zeroes there, so zeroes are not */
	u32 above;			/* only what images of the chain before this depth have; 0: all */
	u32 sparse;			/* runs of so many zero bytes count as zeroes, a multiple of 512; 0: data stays data */
	u32 threads;			/* 0: a number that suits the host */
	struct image_progress progress;
};
bool image_copy(const struct image_copy *c, char *err, size_t errsize);

/* Writes what the images of `top`'s chain before `depth` have into `base`, which is the image at that depth, open for writing. */
bool image_commit(struct image *top, struct image *base, u32 depth, const struct image_progress *progress, char *err, size_t errsize);
/* Writes into `top`, whose chain is open, what it would lose if `below` (NULL: nothing) were its backing image instead. */
bool image_rebase(struct image *top, struct image *below, const struct image_progress *progress, char *err, size_t errsize);
/* True if all of the n bytes are zero. */
bool image_all_zero(const void *p, size_t n);
#endif
