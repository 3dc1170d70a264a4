/*
 * throwaway.c - an image whose writes go to memory and are forgotten: a qcow2 overlay in a file without a name, on the image itself, which
 * is opened for reading.
 */
#define _GNU_SOURCE	/* memfd_create() */
#include "images/hostio.h"
#include "images/image.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct image *image_open_throwaway(const char *path, const struct image_options *opt, char *err, size_t errsize)
{
	struct image_options below = *opt, above = { .format = "qcow2", .io = &host_memory };
	below.readonly = true;
	struct image *base = image_open(path, &below, err, errsize);
	if (!base)
		return NULL;
	struct image_create how = { .format = "qcow2", .size = image_size(base), .backing = path, .backing_format = image_format_of(base),
				    .unchecked = true };
	int fd = memfd_create("disk", MFD_CLOEXEC);
	if (fd < 0)
		snprintf(err, errsize, "%s: no memory for what is written to it: %s", path, strerror(errno));
	if (fd < 0 || !image_create_fd(fd, path, &how, err, errsize)) {
		if (fd >= 0)
			close(fd);
		image_close(base);
		return NULL;
	}
	above.backing_image = base;
	struct image *im = image_open_fd(fd, path, &above, err, errsize);
	if (!im)
		image_close(base);
	return im;
}
