/*
 * format.h - what a disk image format provides, for image.c and the formats only; tests put formats of their own behind an image.
 *
 * A format sees a file that is open and locked. Bounds were checked: offset + len lies inside `size`, len is not 0, writes come only
 * when the image is writable. Functions that return int give 0 or an errno. Where `parallel` is false, image.c holds im->lock, so
 * one call at a time comes. All host I/O goes through im->io (hostio.h), so that tests can cut and fail it.
 *
 * Errors leave the image whole: the same call again, once the host has room, does the rest.
 */
#ifndef RF_IMAGE_FORMAT_H
#define RF_IMAGE_FORMAT_H
#include "images/hostio.h"
#include "images/image.h"
#include <pthread.h>

#define IMAGE_HEAD_BYTES 4096u
#define IMAGE_TAIL_BYTES 512u
/* What a format is found by. Behind the end of a short file there are zeroes. */
struct image_probe {
	u64 size;			/* of the file; 0: not known (then there is no tail) */
	u8 head[IMAGE_HEAD_BYTES];
	u8 tail[IMAGE_TAIL_BYTES];	/* the last bytes of the file */
};

struct image_format {
	const char *name;
	const char *also;	/* another name that it is known by; NULL: none */
	bool parallel;
	/* How sure: 0 is no, 100 a magic number. raw says 1. NULL: never found by content. */
	int (*probe)(const struct image_probe *p);
	/* Sets size (a multiple of 512), state, granularity, and the backing_name and backing_format that the header has (of malloc).
	 * Reads im->opt. Must not write unless the image is writable. False with a sentence in err; close() is then not called. */
	bool (*open)(struct image *im, char *err, size_t errsize);
	void (*close)(struct image *im);	/* writes out what is cached, frees state; the file and backing are image.c's. May be NULL. */
	int (*read)(struct image *im, u64 offset, void *buf, u64 len);	/* image_read_backing() for what is not here */
	int (*write)(struct image *im, u64 offset, const void *buf, u64 len);
	int (*flush)(struct image *im);
	int (*discard)(struct image *im, u64 offset, u64 len);

	/* The rest may be NULL: the format cannot, or has nothing to say. */
	/* Makes an image of how->size in an empty file (im->io, im->fd, im->path); image.c makes it durable and closes it. */
	bool (*create)(struct image *im, const struct image_create *how, char *err, size_t errsize);
	int (*write_zeroes)(struct image *im, u64 offset, u64 len);		/* NULL: zeroes are written */
	int (*extent)(struct image *im, u64 offset, u64 len, struct image_extent *e);	/* NULL: all is data. Not `depth`. */
	int (*write_compressed)(struct image *im, u64 offset, const void *buf, u64 len);
	bool (*resize)(struct image *im, u64 size, char *err, size_t errsize);	/* sets im->size */
	/* Sets backing_name and backing_format of `im` as well. */
	bool (*set_backing)(struct image *im, const char *backing, const char *backing_format, char *err, size_t errsize);
	int (*check)(struct image *im, struct image_check *c);
	void (*info)(struct image *im, void (*fact)(void *arg, const struct image_fact *f), void *arg);
	int (*snapshots)(struct image *im, void (*each)(void *arg, const struct image_snapshot *s), void *arg);
};
struct image {
	const struct image_format *format;
	const struct hostio *io;
	const struct image_options *opt;	/* valid in format->open() only */
	char *path;		/* of malloc */
	int fd;			/* -1: none, in tests */
	bool readonly;
	bool nameless;		/* of image_open_fd() */
	bool guessed;		/* found by content, not told */
	bool locked;
	u64 size;
	u32 granularity;
	void *state;		/* the format's */
	struct image *backing;	/* NULL: none */
	const struct image *above;	/* while a chain is opened: the image that names this one */
	char *backing_name, *backing_format;	/* of malloc; NULL: none */
	pthread_mutex_t lock;
};

extern const struct image_format image_raw, image_qcow2, image_vdi, image_vhd, image_vmdk, image_bochs;

/* What the backing image has there; zeroes behind its end or without one. */
int image_read_backing(struct image *im, u64 offset, void *buf, u64 len);
/* True if that is certainly all zeroes without reading data: no backing image, or behind its end. `len` comes back as how far. */
bool image_backing_is_zero(struct image *im, u64 offset, u64 *len);

/* Walks "name=value,name=value": the next pair into name[32] and value[256], cut if longer; *at moves on. False at the end. A pair
 * without '=' has the value "on". */
bool image_option_next(const char **at, char name[32], char value[256]);
/* "64k", "2M", "65536", "1.5G" is refused: bytes, with the suffixes k M G T P of 1024. */
bool image_parse_size(const char *text, u64 *bytes);
bool image_parse_bool(const char *text, bool *yes);	/* on off true false yes no */
/* The path of a file that an image's header names, or NULL with a sentence: it must lie in the image's folder or below it unless
 * `anywhere`. Also for extents. Of malloc. */
char *image_beside(const struct image *im, const char *name, bool anywhere, char *err, size_t errsize);
/* Opens and locks a further file of an image, as image.c does for the first: an extent. -1 with a sentence. */
int image_open_extent(const struct image *im, const char *path, char *err, size_t errsize);
/* The best format for such a file, NULL if none claims it (raw always does). */
const struct image_format *image_probe(const struct image_probe *p);
/* Fills `p` from a file. 0 or an errno. */
int image_probe_read(const struct hostio *io, int fd, struct image_probe *p);
const struct image_format *image_format_find(const char *name, const char *path, char *err, size_t errsize);
/* Takes or changes the lock of im->fd. */
bool image_lock(struct image *im, bool exclusive, char *err, size_t errsize);
/* Bytes of an open regular file or block device; 0 with errno if that cannot be found out, or if there are none. */
u64 image_file_size(int fd);
#endif
