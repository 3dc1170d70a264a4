/*
 * image.h - disk images: a flat space of bytes behind whatever format the file has.
 *
 * Calls block and may come from any one thread at a time (devices/blockdev.c has a thread for them). Offsets and lengths are bytes.
 */
#ifndef RF_IMAGE_H
#define RF_IMAGE_H
#include "monitor/lib/types.h"

struct image;
struct image_options {
	bool readonly;		/* refuse writes; an unwritable file is refused unless this is set */
	const char *format;	/* "raw"; NULL: found by content */
};
/* Takes the lock against double use (OFD locks: exclusive for writing, shared for reading). NULL, with a sentence in err. */
struct image *image_open(const char *path, const struct image_options *opt, char *err, size_t errsize);
void image_close(struct image *im);
u64  image_size(const struct image *im);
bool image_readonly(const struct image *im);
const char *image_path(const struct image *im);
/* 0, or an errno. */
int  image_read(struct image *im, u64 offset, void *buf, u64 len);
int  image_write(struct image *im, u64 offset, const void *buf, u64 len);
int  image_flush(struct image *im);	/* durable when it returns 0 */
int  image_discard(struct image *im, u64 offset, u64 len);
#endif
