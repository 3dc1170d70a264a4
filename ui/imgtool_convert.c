/*
 * imgtool_convert.c - 'ringfence image convert': copies a disk into a new image of any format.
 */
#include "ui/imgtool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "images/format.h"

struct convert {
	struct image_copy copy;
	struct hostio lazy;		/* of --cache=unsafe: nothing is made durable */
	const struct hostio *io;	/* of the new image */
	const char *format;
	bool made;			/* the new file is ours */
};

static int no_sync(const struct hostio *io, int fd) { return 0; }
static int no_sync_folder(const struct hostio *io, const char *path) { return 0; }

static bool take_cache(struct imgtool_args *a, struct convert *c)
{
	const char *mode = a->value[IMGTOOL_OPT_CACHE];
	c->io = &host_posix;
	if (!mode || !strcmp(mode, "writeback") || !strcmp(mode, "none") || !strcmp(mode, "writethrough") || !strcmp(mode, "directsync"))
		return true;
	if (strcmp(mode, "unsafe")) {
		imgtool_says(a, "--cache: '%.40s' is neither writeback nor unsafe", mode);
		return false;
	}
	c->lazy = host_posix;
	c->lazy.fdatasync = no_sync;
	c->lazy.sync_folder = no_sync_folder;
	c->io = &c->lazy;
	return true;
}

static bool take_options(struct imgtool_args *a, struct convert *c)
{
	u64 sparse, threads;
	const char *target = a->value[IMGTOOL_OPT_TARGET];
	if (!take_cache(a, c) || !imgtool_take_size(a, IMGTOOL_OPT_SPARSE, 4096, &sparse) ||
	    !imgtool_take_size(a, IMGTOOL_OPT_THREADS, 0, &threads))
		return false;
	if (sparse > 1u << 30 || sparse & 511) {
		imgtool_says(a, "--sparse: a multiple of 512 is needed, up to 1G");
		return false;
	}
	if (threads > 16 || (a->value[IMGTOOL_OPT_THREADS] && !threads)) {
		imgtool_says(a, "--coroutines: 1 to 16");
		return false;
	}
	c->copy.sparse = (u32)sparse;
	c->copy.threads = (u32)threads;
	c->copy.compressed = a->value[IMGTOOL_OPT_COMPRESS];
	c->format = target ? target : "raw";
	return true;
}

static const char *snapshot_name(const char *text)
{
	if (text && !strncmp(text, "snapshot.name=", 14))
		return text + 14;
	return text && !strncmp(text, "snapshot.id=", 12) ? text + 12 : text;
}

static bool open_target(struct imgtool_args *a, struct convert *c)
{
	struct image_create how = {
		.format = c->format, .size = image_size(c->copy.from), .options = a->value[IMGTOOL_OPT_OPTIONS],
		.backing = a->value[IMGTOOL_OPT_BACKING], .backing_format = a->value[IMGTOOL_OPT_BACKING_FORMAT],
		.replace = a->value[IMGTOOL_OPT_FORCE], .io = c->io,
	};
	struct image_options opt = { .format = c->format, .allow_backing = true, .io = c->io };
	bool existing = a->value[IMGTOOL_OPT_EXISTING] != NULL;
	if (!existing && !image_create(a->file[1], &how, a->err, sizeof(a->err)))
		return false;
	c->made = !existing;
	c->copy.to = image_open(a->file[1], &opt, a->err, sizeof(a->err));
	if (!c->copy.to)
		return false;
	c->copy.to_is_zero = !existing && !how.backing;
	if (image_size(c->copy.to) < image_size(c->copy.from))
		snprintf(a->err, sizeof(a->err), "%s: is smaller than what is to be copied into it", a->file[1]);
	else if (c->copy.compressed && !image_can_compress(c->copy.to))
		snprintf(a->err, sizeof(a->err), "%s: the format %s has no compression", a->file[1], c->format);
	else
		return true;
	return false;
}

static bool copy(struct imgtool_args *a, struct convert *c)
{
	c->copy.progress = imgtool_progress_of(a);
	if (!open_target(a, c) || !image_copy(&c->copy, a->err, sizeof(a->err)))
		return false;
	int error = image_flush(c->copy.to);
	if (!error)
		return true;
	snprintf(a->err, sizeof(a->err), "%s: %s", a->file[1], strerror(error));
	return false;
}

int imgtool_convert(struct imgtool_args *a)
{
	struct convert c = { 0 };
	struct image_options opt = imgtool_options_of(a, true);
	if (!take_options(a, &c))
		return IMGTOOL_FAILED;
	opt.snapshot = snapshot_name(a->value[IMGTOOL_OPT_SNAPSHOT]);
	c.copy.from = image_open(a->file[0], &opt, a->err, sizeof(a->err));
	bool ok = c.copy.from && copy(a, &c);
	image_close(c.copy.to);
	image_close(c.copy.from);
	if (ok)
		imgtool_progress_end(a);
	else if (c.made)
		unlink(a->file[1]);	/* a part of a disk must not be taken for the whole */
	return ok ? IMGTOOL_OK : imgtool_fails(a);
}
