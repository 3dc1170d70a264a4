/*
 * image.c - opens a disk image: the file, its lock, its format; checks bounds and rights before a format sees a request.
 *
 * Locks are open file description locks (fcntl(2)): they belong to this opening of the file, so they also refuse the same file given
 * twice to one machine, and no close() elsewhere in the process drops them. Of several names of one file each finds the lock.
 */
#define _GNU_SOURCE
#include "images/image.h"
#include "images/format.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SIZE (1ull << 57)	/* 2^48 sectors, what LBA48 can reach */

static const struct image_format *const formats[] = { &image_raw };

/* Formats that are known by their first bytes, and that nothing here reads. */
static const struct { const char *magic; u32 len; const char *name; } foreign[] = {
	{ "QFI\xfb", 4, "qcow2" }, { "KDMV", 4, "vmdk" }, { "# Disk DescriptorFile", 21, "vmdk" }, { "<<< ", 4, "vdi" },
	{ "conectix", 8, "vhd" }, { "vhdxfile", 8, "vhdx" }, { "\x1f\x8b\x08", 3, "gzip" }, { "\xfd" "7zXZ", 5, "xz" },
};

u64 image_file_size(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);
	return end < 0 ? 0 : (u64)end;
}

static bool open_file(struct image *im, char *err, size_t errsize)
{
	struct stat st;
	/* O_NONBLOCK: the name of a FIFO must not make us wait. */
	im->fd = open(im->path, (im->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (im->fd < 0 && errno == EISDIR)
		snprintf(err, errsize, "%s: is a directory, not a disk image", im->path);
	else if (im->fd < 0 && !im->readonly && (errno == EACCES || errno == EROFS || errno == EPERM) && !access(im->path, R_OK))
		snprintf(err, errsize, "%s: cannot be written (%s); with 'readonly' it can be used as it is", im->path, strerror(errno));
	else if (im->fd < 0)
		snprintf(err, errsize, "%s: cannot be opened: %s", im->path, strerror(errno));
	else if (fstat(im->fd, &st))
		snprintf(err, errsize, "%s: %s", im->path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		snprintf(err, errsize, "%s: is a directory, not a disk image", im->path);
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		snprintf(err, errsize, "%s: is neither a file nor a block device", im->path);
	else
		return true;
	return false;
}

static bool lock_file(struct image *im, char *err, size_t errsize)
{
	struct flock lock = { .l_type = im->readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
	if (!fcntl(im->fd, F_OFD_SETLK, &lock))
		return true;
	if (errno == EAGAIN || errno == EACCES)
		snprintf(err, errsize, "%s: in use by another machine", im->path);
	else
		snprintf(err, errsize, "%s: cannot be locked against use by another machine: %s", im->path, strerror(errno));
	return false;
}

static const struct image_format *format_by_name(const struct image *im, const char *name, char *err, size_t errsize)
{
	for (u32 i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	snprintf(err, errsize, "%s: there is no image format '%.40s'; there is: raw", im->path, name);
	return NULL;
}

/* A guest can write any header to a raw disk, so a format that was found is never opened as something that names other files. */
static const struct image_format *format_by_content(const struct image *im, char *err, size_t errsize)
{
	char head[32] = { 0 };
	if (pread(im->fd, head, sizeof(head), 0) < 0) {
		snprintf(err, errsize, "%s: cannot be read: %s", im->path, strerror(errno));
		return NULL;
	}
	for (u32 i = 0; i < ARRAY_SIZE(foreign); i++) {
		if (memcmp(head, foreign[i].magic, foreign[i].len))
			continue;
		snprintf(err, errsize, "%s: is in %s format, which is not supported; 'format=raw' takes it byte for byte", im->path, foreign[i].name);
		return NULL;
	}
	return &image_raw;
}

static bool open_image(struct image *im, const char *format, char *err, size_t errsize)
{
	if (!open_file(im, err, errsize) || !lock_file(im, err, errsize))
		return false;
	const struct image_format *f = format ? format_by_name(im, format, err, errsize) : format_by_content(im, err, errsize);
	if (!f || !f->open(im, err, errsize))
		return false;
	im->format = f;
	if (im->size <= MAX_SIZE)
		return true;
	snprintf(err, errsize, "%s: is larger than a disk can be (128 PiB)", im->path);
	return false;
}

struct image *image_open(const char *path, const struct image_options *opt, char *err, size_t errsize)
{
	struct image *im = calloc(1, sizeof(*im));
	char *name = strdup(path);
	if (!im || !name) {
		snprintf(err, errsize, "%s: out of memory", path);
		free(im);
		free(name);
		return NULL;
	}
	*im = (struct image){ .path = name, .fd = -1, .readonly = opt->readonly };
	if (open_image(im, opt->format, err, errsize))
		return im;
	image_close(im);
	return NULL;
}

void image_close(struct image *im)
{
	if (!im)
		return;
	if (im->format && im->format->close)
		im->format->close(im);
	if (im->fd >= 0)
		close(im->fd);
	free(im->path);
	free(im);
}

u64 image_size(const struct image *im) { return im->size; }
bool image_readonly(const struct image *im) { return im->readonly; }
const char *image_path(const struct image *im) { return im->path; }

static bool inside(const struct image *im, u64 offset, u64 len)
{
	return offset <= im->size && len <= im->size - offset;
}

int image_read(struct image *im, u64 offset, void *buf, u64 len)
{
	return inside(im, offset, len) ? im->format->read(im, offset, buf, len) : EINVAL;
}

int image_write(struct image *im, u64 offset, const void *buf, u64 len)
{
	if (im->readonly)
		return EROFS;
	return inside(im, offset, len) ? im->format->write(im, offset, buf, len) : EINVAL;
}

int image_flush(struct image *im)
{
	return im->readonly ? 0 : im->format->flush(im);
}

int image_discard(struct image *im, u64 offset, u64 len)
{
	if (im->readonly)
		return EROFS;
	return inside(im, offset, len) ? im->format->discard(im, offset, len) : EINVAL;
}
