/*
 * open.c - opens a disk image: the file, its lock, its format, and the images that it is an overlay of.
 *
 * Locks are open file description locks (fcntl(2)): they belong to this opening of the file, so they also refuse the same file given
 * twice to one machine, and no close() elsewhere in the process drops them. Of several names of one file each finds the lock.
 *
 * A backing image is opened for reading, with a shared lock, in the format that the header or the user names: it is never guessed,
 * since a guest can write any header to a raw disk, and that header could name any file.
 */
#define _GNU_SOURCE
#include "images/format.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SIZE  (1ull << 57)	/* 2^48 sectors, what LBA48 can reach */
#define CHAIN_MAX 200		/* images in a chain; each holds a file open */

static const struct image_format *const formats[] = { &image_raw, &image_qcow2, &image_vdi, &image_vhd, &image_vmdk, &image_bochs };

/* Formats that are known by their first bytes, and that nothing here reads. */
static const struct { const char *magic; u32 len; const char *name; } foreign[] = {
	{ "QFI\xfb", 4, "qcow" }, { "vhdxfile", 8, "vhdx" }, { "COWD", 4, "ESX's COWD" },
	{ "\x1f\x8b\x08", 3, "gzip" }, { "\xfd" "7zXZ", 5, "xz" },
};

u64 image_file_size(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);
	return end < 0 ? 0 : (u64)end;
}

const char *image_format_name(u32 i) { return i < ARRAY_SIZE(formats) ? formats[i]->name : NULL; }
bool image_format_creates(u32 i) { return i < ARRAY_SIZE(formats) && formats[i]->create; }

/* --- the file --- */

static int open_path(const struct image *im, const char *path, char *err, size_t errsize)
{
	struct stat st;
	/* O_NONBLOCK: the name of a FIFO must not make us wait. */
	int fd = im->io->open(im->io, path, (im->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0 && errno == EISDIR)
		snprintf(err, errsize, "%s: is a directory, not a disk image", path);
	else if (fd < 0 && !im->readonly && (errno == EACCES || errno == EROFS || errno == EPERM) && !access(path, R_OK))
		snprintf(err, errsize, "%s: cannot be written (%s); with 'readonly' it can be used as it is", path, strerror(errno));
	else if (fd < 0)
		snprintf(err, errsize, "%s: cannot be opened: %s", path, strerror(errno));
	else if (fstat(fd, &st))
		snprintf(err, errsize, "%s: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		snprintf(err, errsize, "%s: is a directory, not a disk image", path);
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		snprintf(err, errsize, "%s: is neither a file nor a block device", path);
	else
		return fd;
	if (fd >= 0)
		im->io->close(im->io, fd);
	return -1;
}

static bool lock_fd(int fd, const char *path, bool exclusive, char *err, size_t errsize)
{
	struct flock lock = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return true;
	if (errno == EAGAIN || errno == EACCES)
		snprintf(err, errsize, "%s: in use by another machine", path);
	else
		snprintf(err, errsize, "%s: cannot be locked against use by another machine: %s", path, strerror(errno));
	return false;
}

bool image_lock(struct image *im, bool exclusive, char *err, size_t errsize)
{
	return lock_fd(im->fd, im->path, exclusive, err, errsize);
}

int image_open_extent(const struct image *im, const char *path, char *err, size_t errsize)
{
	int fd = open_path(im, path, err, errsize);
	if (fd < 0 || !im->locked || lock_fd(fd, path, !im->readonly, err, errsize))
		return fd;
	im->io->close(im->io, fd);
	return -1;
}

static bool same_file(const struct image *a, const struct image *b)
{
	struct stat sa, sb;
	return !fstat(a->fd, &sa) && !fstat(b->fd, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Of what is above in a chain that is being opened: else the lock would say that "another machine" has it. */
static bool not_above(const struct image *im, char *err, size_t errsize)
{
	u32 depth = 1;
	for (const struct image *a = im->above; a; a = a->above, depth++)
		if (same_file(im, a)) {
			snprintf(err, errsize, "%s: is its own backing file, by way of %s", a->path, im->above->path);
			return false;
		}
	if (depth <= CHAIN_MAX)
		return true;
	snprintf(err, errsize, "%s: the chain of backing files is longer than %d", im->path, CHAIN_MAX);
	return false;
}

/* --- the format --- */

const struct image_format *image_format_find(const char *name, const char *path, char *err, size_t errsize)
{
	char known[200] = "";
	for (u32 i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!strcmp(formats[i]->name, name) || (formats[i]->also && !strcmp(formats[i]->also, name)))
			return formats[i];
		size_t n = strlen(known);
		snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", formats[i]->name);
	}
	snprintf(err, errsize, "%s: there is no image format '%.40s'; there is: %s", path, name, known);
	return NULL;
}

const struct image_format *image_probe(const struct image_probe *p)
{
	const struct image_format *best = NULL;
	int sure = 0;
	for (u32 i = 0; i < ARRAY_SIZE(foreign); i++)
		if (!memcmp(p->head, foreign[i].magic, foreign[i].len))
			sure = 1;
	for (u32 i = 0; i < ARRAY_SIZE(formats); i++) {
		int n = formats[i]->probe ? formats[i]->probe(p) : 0;
		if (n > sure)
			best = formats[i], sure = n;
	}
	return best;
}

int image_probe_read(const struct hostio *io, int fd, struct image_probe *p)
{
	int error = host_size(io, fd, &p->size);
	if (!error)
		error = host_read(io, fd, 0, p->head, sizeof(p->head), NULL);
	memset(p->tail, 0, sizeof(p->tail));
	if (!error && p->size >= sizeof(p->tail))
		error = host_read(io, fd, p->size - sizeof(p->tail), p->tail, sizeof(p->tail), NULL);
	return error;
}

static const struct image_format *format_by_content(const struct image *im, char *err, size_t errsize)
{
	struct image_probe p;
	int error = image_probe_read(im->io, im->fd, &p);
	if (error) {
		snprintf(err, errsize, "%s: cannot be read: %s", im->path, strerror(error));
		return NULL;
	}
	const struct image_format *f = image_probe(&p);
	if (f)
		return f;
	const char *name = "an unknown";
	for (u32 i = 0; i < ARRAY_SIZE(foreign); i++)
		if (!memcmp(p.head, foreign[i].magic, foreign[i].len))
			name = foreign[i].name;
	snprintf(err, errsize, "%s: is in %s format, which is not supported; 'format=raw' takes it byte for byte", im->path, name);
	return NULL;
}

static bool open_format(struct image *im, char *err, size_t errsize)
{
	const struct image_options *opt = im->opt;
	const struct image_format *f = opt->format ? image_format_find(opt->format, im->path, err, errsize) : format_by_content(im, err, errsize);
	im->guessed = !opt->format;
	if (f && opt->snapshot && !f->snapshots) {
		snprintf(err, errsize, "%s: has no internal snapshots, so none can be named", im->path);
		return false;
	}
	if (!f || !f->open(im, err, errsize))
		return false;
	im->format = f;
	if (im->size <= MAX_SIZE)
		return true;
	snprintf(err, errsize, "%s: is larger than a disk can be (128 PiB)", im->path);
	return false;
}

/* --- the chain --- */

static struct image *open_one(const char *path, int fd, const struct image_options *opt, const struct image *above, char *err,
			      size_t errsize);

static bool open_backing(struct image *im, char *err, size_t errsize)
{
	const struct image_options *opt = im->opt;
	if (opt->backing_image || opt->no_backing || (!opt->backing && !im->backing_name)) {
		im->backing = opt->backing_image;
		return true;
	}
	const char *name = opt->backing ? opt->backing : im->backing_name;
	const char *format = opt->backing_format ? opt->backing_format : im->backing_format;
	if (!format) {
		snprintf(err, errsize, "%s: does not say which format its backing file '%.200s' has, and a guess could be what a guest wrote there",
			 im->path, name);
		return false;
	}
	char *path = opt->backing ? strdup(name) : image_beside(im, name, opt->allow_backing, err, errsize);
	if (!path)
		return false;
	struct image_options below = { .readonly = true, .format = format, .allow_backing = opt->allow_backing, .no_lock = opt->no_lock,
				       .io = opt->io };
	im->backing = open_one(path, -1, &below, im, err, errsize);
	free(path);
	return im->backing != NULL;
}

static bool open_image(struct image *im, char *err, size_t errsize)
{
	if (im->fd < 0) {
		im->fd = open_path(im, im->path, err, errsize);
		if (im->fd < 0 || !not_above(im, err, errsize))
			return false;
		im->locked = !im->opt->no_lock || !im->readonly;
	}
	return (!im->locked || image_lock(im, !im->readonly, err, errsize)) && open_format(im, err, errsize) && open_backing(im, err, errsize);
}

static struct image *open_one(const char *path, int fd, const struct image_options *opt, const struct image *above, char *err,
			      size_t errsize)
{
	const struct hostio *io = opt->io ? opt->io : &host_posix;
	struct image *im = host_alloc(io, 1, sizeof(*im));
	char *name = strdup(path);
	if (!im || !name) {
		snprintf(err, errsize, "%s: out of memory", path);
		if (fd >= 0)
			io->close(io, fd);
		free(im);
		free(name);
		return NULL;
	}
	*im = (struct image){ .path = name, .fd = fd, .nameless = fd >= 0, .readonly = opt->readonly || opt->snapshot, .io = io, .opt = opt,
			      .above = above, .lock = PTHREAD_MUTEX_INITIALIZER };
	bool ok = open_image(im, err, errsize);
	im->opt = NULL;
	im->above = NULL;
	if (ok)
		return im;
	if (im->backing == opt->backing_image)
		im->backing = NULL;
	image_close(im);
	return NULL;
}

struct image *image_open(const char *path, const struct image_options *opt, char *err, size_t errsize)
{
	return open_one(path, -1, opt, NULL, err, errsize);
}

struct image *image_open_fd(int fd, const char *name, const struct image_options *opt, char *err, size_t errsize)
{
	return open_one(name, fd, opt, NULL, err, errsize);
}

/* A loop, not recursion: chains are long. */
void image_close(struct image *im)
{
	while (im) {
		struct image *backing = im->backing;
		if (im->format && im->format->close)
			im->format->close(im);
		if (im->fd >= 0)
			im->io->close(im->io, im->fd);
		free(im->path);
		free(im->backing_name);
		free(im->backing_format);
		pthread_mutex_destroy(&im->lock);
		free(im);
		im = backing;
	}
}
