/*
 * image.h - disk images: a flat space of bytes behind whatever format the file has, and behind that the images that it is an overlay of.
 *
 * Calls block. Any thread may call at any time: a lock in each image keeps calls apart where its format asks for that. Opening,
 * closing, freezing and resizing are for one thread, while no other call is under way. Offsets and lengths are bytes.
 * Functions that return int give 0 or an errno.
 */
#ifndef RF_IMAGE_H
#define RF_IMAGE_H
#include "monitor/lib/types.h"

struct image;
struct hostio;

struct image_options {
	bool readonly;		/* refuse writes; an unwritable file is refused unless this is set */
	const char *format;	/* a name of image_format_name(); NULL: found by content */
	const char *snapshot;	/* an internal snapshot's name or id, instead of what is there now; needs readonly */
	/* The backing files that headers name may lie anywhere. Without this only in the image's folder or below it: an image from
	 * elsewhere could name any file of the user's. */
	bool allow_backing;
	bool no_backing;	/* what is not allocated here reads as zeroes: to look at one file by itself */
	bool no_lock;		/* only with readonly: to look at an image that is in use */
	bool for_repair;	/* opens although it is marked corrupt or dirty, for image_check() */
	/* Instead of what the header says (an absolute path may stand here): */
	const char *backing, *backing_format;
	struct image *backing_image;	/* an open image, frozen or read-only; belongs to the new image when image_open() succeeds */
	const struct hostio *io;	/* NULL: the host's files */
};
/* Takes the lock against double use (OFD locks: exclusive for writing, shared for reading). NULL, with a sentence in err. */
struct image *image_open(const char *path, const struct image_options *opt, char *err, size_t errsize);
/* A file without a name, as of memfd_create(). `fd` belongs to the image from here on, also on failure. `name` is for messages; a
 * relative backing file is then relative to the current folder. Not locked. */
struct image *image_open_fd(int fd, const char *name, const struct image_options *opt, char *err, size_t errsize);
/* The file is whole then, but not durable; what the host refuses is lost. image_flush() before tells of both. */
void image_close(struct image *im);

/* Opened for reading; what is written goes to memory, and is forgotten at the end. The file must not be changed meanwhile. */
struct image *image_open_throwaway(const char *path, const struct image_options *opt, char *err, size_t errsize);

struct image_create {
	const char *format;	/* needed */
	u64 size;		/* 0 with a backing file: as large as that */
	const char *backing;	/* as the header will have it: relative to the new image's folder, or absolute */
	const char *backing_format;	/* needed with backing: a guest that writes a raw disk must not choose it */
	const char *options;	/* the format's own, "name=value,name=value", as after qemu-img's -o; NULL: none */
	bool replace;		/* a file of that name is overwritten; else it is refused */
	bool unchecked;		/* the backing file need not be there (then size must be given) */
	const struct hostio *io;
};
/* Durable when it returns true, its folder's entry too; on failure a file that was not there before is gone again. */
bool image_create(const char *path, const struct image_create *how, char *err, size_t errsize);
/* In an empty file without a name. The caller keeps fd. */
bool image_create_fd(int fd, const char *name, const struct image_create *how, char *err, size_t errsize);
/* The format names, in the order of the list; NULL behind the last. */
const char *image_format_name(u32 i);
bool image_format_creates(u32 i);

u64  image_size(const struct image *im);
bool image_readonly(const struct image *im);
const char *image_path(const struct image *im);
const char *image_format_of(const struct image *im);
struct image *image_backing(const struct image *im);	/* NULL: none */
/* What the header says, whether or not it was opened; NULL: none. */
const char *image_backing_name(const struct image *im);
const char *image_backing_format(const struct image *im);
u32  image_granularity(const struct image *im);		/* cluster, block, grain; 0: bytes */
/* Bytes that the host holds for this file alone (st_blocks), and the length of the file. */
bool image_disk_usage(const struct image *im, u64 *held, u64 *length);

int  image_read(struct image *im, u64 offset, void *buf, u64 len);
int  image_write(struct image *im, u64 offset, const void *buf, u64 len);
int  image_write_zeroes(struct image *im, u64 offset, u64 len);	/* takes no room where the format can say "zero" */
/* True if what was written is not in the file's tables before image_flush(), so that the end of the process loses it. */
bool image_write_back(const struct image *im);
int  image_flush(struct image *im);	/* durable when it returns 0 */
int  image_discard(struct image *im, u64 offset, u64 len);	/* a hint; whole granules of it read as zeroes then, or as before */
/* One granule (or the end of the disk), compressed: ENOTSUP where the format cannot. Several threads compress at once. */
int  image_write_compressed(struct image *im, u64 offset, const void *buf, u64 len);
bool image_can_compress(const struct image *im);

enum image_extent_kind {
	IMAGE_HOLE,		/* not in this image: what its backing image has, or zeroes */
	IMAGE_ZERO,		/* zeroes, whatever the backing image has */
	IMAGE_DATA,
};
struct image_extent {
	u64 len;		/* at least 1, at most what was asked for */
	enum image_extent_kind kind;
	bool compressed;
	u64 file_offset;	/* ~0: no single place in the image's own file */
	u32 depth;		/* image_map(): 0 is the image itself, 1 its backing image... */
};
/* What this file by itself has at `offset`. */
int  image_extent(struct image *im, u64 offset, u64 len, struct image_extent *e);
/* Through the chain: IMAGE_HOLE means that no image has it; depth is then that of the last. */
int  image_map(struct image *im, u64 offset, u64 len, struct image_extent *e);

/* Flushes, refuses writes from here on, lets others read the file: ready to be a backing image. thaw() undoes it. */
bool image_freeze(struct image *im, char *err, size_t errsize);
bool image_thaw(struct image *im, char *err, size_t errsize);

bool image_resize(struct image *im, u64 size, char *err, size_t errsize);
/* Writes another backing file into the header; `backing` NULL: none. No data moves. The open chain stays as it is. */
bool image_set_backing(struct image *im, const char *backing, const char *backing_format, char *err, size_t errsize);

struct image_check {
	/* Set by the caller: */
	bool repair_leaks, repair_all;
	void (*say)(void *arg, const char *sentence);	/* each finding; may be NULL */
	void *arg;
	/* Results. After repair: what is still wrong; the fixed ones are what was repaired. */
	u64 corruptions, leaks, errors;		/* errors: of the host, so that the check is not complete */
	u64 corruptions_fixed, leaks_fixed;
	u64 total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters, end_offset;
};
/* ENOTSUP: the format has nothing to check. EROFS: repair of a read-only image. Other errors are in `errors` as well. */
int image_check(struct image *im, struct image_check *c);

struct image_fact {
	const char *key;	/* named as in qemu-img's JSON: "compat", "lazy-refcounts", "refcount-bits" */
	enum { FACT_TEXT, FACT_NUMBER, FACT_BOOL } kind;
	const char *text;
	u64 number;		/* FACT_BOOL: 0 or 1 */
};
/* What the format knows about itself. */
void image_info(struct image *im, void (*fact)(void *arg, const struct image_fact *f), void *arg);

struct image_snapshot {
	const char *id, *name;
	u64 size;		/* of the disk then */
	u64 vm_bytes;		/* of saved machine state */
	u32 date_sec, date_nsec;
	u64 vm_clock_nsec;
};
int image_snapshots(struct image *im, void (*each)(void *arg, const struct image_snapshot *s), void *arg);
#endif
