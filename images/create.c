/*
 * create.c - makes new images: an empty file, locked, that a format fills; durable in the end, or gone.
 */
#define _GNU_SOURCE
#include "images/format.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool fails(const char *path, const char *what, int error, char *err, size_t errsize)
{
	snprintf(err, errsize, "%s: %s%s%s", path, what, error ? ": " : "", error ? strerror(error) : "");
	return false;
}

/* The size of the backing file, which must be there and be what it is said to be. */
static bool look_at_backing(const struct image *im, struct image_create *how, char *err, size_t errsize)
{
	if (!how->backing)
		return true;
	if (!how->backing_format)
		return fails(im->path, "the format of the backing file must be given", 0, err, errsize);
	if (how->unchecked)
		return true;
	char *path = image_beside(im, how->backing, true, err, errsize);
	/* In use by a machine it may be: this only looks. */
	struct image_options opt = { .readonly = true, .no_lock = true, .format = how->backing_format, .allow_backing = true, .io = how->io };
	struct image *backing = path ? image_open(path, &opt, err, errsize) : NULL;
	free(path);
	if (!backing)
		return false;
	if (!how->size)
		how->size = image_size(backing);
	image_close(backing);
	return true;
}

static bool fill(struct image *im, const struct image_create *wanted, char *err, size_t errsize)
{
	struct image_create how = *wanted;
	im->format = image_format_find(how.format, im->path, err, errsize);
	if (!im->format)
		return false;
	if (!im->format->create)
		return fails(im->path, "images of this format cannot be made", 0, err, errsize);
	if (how.backing && !im->format->set_backing)
		return fails(im->path, "an image of this format has no backing file", 0, err, errsize);
	if (!look_at_backing(im, &how, err, errsize))
		return false;
	if (!how.size || how.size & 511 || how.size > 1ull << 57)
		return fails(im->path, "the size of a disk is a multiple of 512 bytes, and more than none", 0, err, errsize);
	return im->format->create(im, &how, err, errsize);
}

static bool open_new(struct image *im, bool replace, bool *ours, char *err, size_t errsize)
{
	im->fd = im->io->open(im->io, im->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	*ours = im->fd >= 0;
	if (im->fd < 0 && errno == EEXIST && !replace)
		return fails(im->path, "is there already", 0, err, errsize);
	if (im->fd < 0 && errno == EEXIST)
		im->fd = im->io->open(im->io, im->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	if (im->fd < 0)
		return fails(im->path, "cannot be made", errno, err, errsize);
	if (!image_lock(im, true, err, errsize))
		return false;
	int error = *ours ? 0 : host_resize(im->io, im->fd, 0);
	return !error || fails(im->path, "cannot be overwritten", error, err, errsize);
}

bool image_create(const char *path, const struct image_create *how, char *err, size_t errsize)
{
	const struct hostio *io = how->io ? how->io : &host_posix;
	struct image im = { .path = (char *)path, .fd = -1, .io = io };
	bool ours;
	bool ok = open_new(&im, how->replace, &ours, err, errsize) && fill(&im, how, err, errsize);
	int error = ok ? host_sync(io, im.fd) : 0;
	if (ok && !error)
		error = host_sync_folder(io, path);
	if (error)
		ok = fails(path, "cannot be made durable", error, err, errsize);
	if (!ok && ours)
		host_unlink(io, path);
	if (im.fd >= 0)
		io->close(io, im.fd);
	return ok;
}

bool image_create_fd(int fd, const char *name, const struct image_create *how, char *err, size_t errsize)
{
	struct image im = { .path = (char *)name, .fd = fd, .nameless = true, .io = how->io ? how->io : &host_posix };
	return fill(&im, how, err, errsize);
}
