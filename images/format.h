/*
 * format.h - what a disk image format provides, for image.c and the formats only; tests put formats of their own behind an image.
 *
 * A format sees a file that is open and locked. Bounds were checked: offset + len lies inside `size`, writes come only when the
 * image is writable. Functions that return int give 0 or an errno.
 */
#ifndef RF_IMAGE_FORMAT_H
#define RF_IMAGE_FORMAT_H
#include "images/image.h"

struct image_format {
	const char *name;
	/* Sets size (a multiple of 512) and state. False with a sentence in err. */
	bool (*open)(struct image *im, char *err, size_t errsize);
	void (*close)(struct image *im);	/* frees state; the file is image.c's. May be NULL. */
	int (*read)(struct image *im, u64 offset, void *buf, u64 len);
	int (*write)(struct image *im, u64 offset, const void *buf, u64 len);
	int (*flush)(struct image *im);
	int (*discard)(struct image *im, u64 offset, u64 len);
};
struct image {
	const struct image_format *format;
	char *path;		/* of malloc */
	int fd;			/* -1: none, in tests */
	bool readonly;
	u64 size;
	void *state;		/* the format's */
};

extern const struct image_format image_raw;

/* Bytes of an open regular file or block device; 0 with errno if that cannot be found out, or if there are none. */
u64 image_file_size(int fd);
#endif
