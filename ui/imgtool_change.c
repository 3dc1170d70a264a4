/*
 * imgtool_change.c - 'ringfence image create', 'resize', 'commit' and 'rebase'.
 */
#include "ui/imgtool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "images/format.h"

static void say(const struct imgtool_args *a, const char *sentence)
{
	if (!a->value[IMGTOOL_OPT_QUIET])
		printf("%s\n", sentence);
}

int imgtool_create(struct imgtool_args *a)
{
	const char *format = a->value[IMGTOOL_OPT_FORMAT];
	char size[32];
	struct image_create how = {
		.format = format ? format : "raw", .backing = a->value[IMGTOOL_OPT_BACKING], .backing_format = a->value[IMGTOOL_OPT_BACKING_FORMAT],
		.options = a->value[IMGTOOL_OPT_OPTIONS], .replace = a->value[IMGTOOL_OPT_FORCE], .unchecked = a->value[IMGTOOL_OPT_UNSAFE],
	};
	if (a->files > 1 && (!image_parse_size(a->file[1], &how.size) || !how.size))
		return imgtool_says(a, "'%.60s' is no size; examples: 512M, 2G, 65536", a->file[1]);
	if (a->files < 2 && !how.backing)
		return imgtool_says(a, "how large is %.200s to be? For example: ringfence image create %.200s 10G", a->file[0], a->file[0]);
	if (how.size > 1ull << 57)
		return imgtool_says(a, "'%.60s' is larger than a disk can be (128 PiB)", a->file[1]);
	how.size = (how.size + 511) & ~511ull;
	if (!image_create(a->file[0], &how, a->err, sizeof(a->err)))
		return imgtool_fails(a);
	if (!a->value[IMGTOOL_OPT_QUIET] && how.size)
		printf("%s: made, %s, %s\n", a->file[0], how.format, imgtool_human(how.size, size));
	else if (!a->value[IMGTOOL_OPT_QUIET])
		printf("%s: made, %s, as large as %s\n", a->file[0], how.format, how.backing);
	return IMGTOOL_OK;
}

/* "10G", "+1G" or "-512M". */
static bool new_size(struct imgtool_args *a, u64 old, u64 *size)
{
	const char *text = a->file[1];
	u64 n;
	if (!image_parse_size(text + (*text == '+' || *text == '-'), &n)) {
		imgtool_says(a, "'%.60s' is no size; examples: 10G, +512M, -1G", text);
		return false;
	}
	*size = *text == '+' ? old + n : *text == '-' ? old - n : n;
	*size = (*size + 511) & ~511ull;
	if (*size && *size <= 1ull << 57 && !(*text == '-' && n >= old))
		return true;
	imgtool_says(a, "'%.60s' does not make a disk of 512 bytes to 128 PiB", text);
	return false;
}

static int resize(struct imgtool_args *a, struct image *im)
{
	u64 size;
	if (!new_size(a, image_size(im), &size))
		return IMGTOOL_FAILED;
	if (size < image_size(im) && !a->value[IMGTOOL_OPT_SHRINK])
		return imgtool_says(a, "%.200s: what lies behind the new end would be lost; --shrink says that this is meant", a->file[0]);
	if (size != image_size(im) && !image_resize(im, size, a->err, sizeof(a->err)))
		return imgtool_fails(a);
	int error = image_flush(im);
	if (error)
		return imgtool_says(a, "%s: %s", a->file[0], strerror(error));
	say(a, "Image resized.");
	return IMGTOOL_OK;
}

int imgtool_resize(struct imgtool_args *a)
{
	struct image_options opt = imgtool_options_of(a, false);
	struct image *im = image_open(a->file[0], &opt, a->err, sizeof(a->err));
	if (!im)
		return imgtool_fails(a);
	int status = resize(a, im);
	image_close(im);
	return status;
}

/* --- commit ------------------------------------------------------------------------------------------------------------- */

/* Its depth in the chain that is -b's, or the first backing image. NULL: there is none. */
static struct image *find_base(const struct imgtool_args *a, struct image *top, u32 *depth)
{
	const char *name = a->value[IMGTOOL_OPT_BACKING];
	struct image *base = image_backing(top);
	for (*depth = 1; base && name; base = image_backing(base), ++*depth) {
		const char *file = strrchr(image_path(base), '/');
		if (!strcmp(image_path(base), name) || (file && !strcmp(file + 1, name)))
			break;
	}
	return base;
}

struct count { u32 n; };

static void count_snapshot(void *arg, const struct image_snapshot *s)
{
	((struct count *)arg)->n++;
}

/* An image with nothing in it takes the place of `old`, which is open and locked, in one step. */
static bool replace_by_empty(struct imgtool_args *a, struct image *old)
{
	char options[64] = "", name[4200];
	struct count snapshots = { 0 };
	image_snapshots(old, count_snapshot, &snapshots);
	if (snapshots.n) {
		snprintf(a->err, sizeof(a->err), "%s: is committed, but not emptied, because it has internal snapshots", image_path(old));
		return false;
	}
	if (image_granularity(old))
		snprintf(options, sizeof(options), "cluster_size=%u", image_granularity(old));
	if (snprintf(name, sizeof(name), "%s.empty", image_path(old)) >= (int)sizeof(name)) {
		snprintf(a->err, sizeof(a->err), "%s: the name is too long", image_path(old));
		return false;
	}
	struct image_create how = { .format = image_format_of(old), .size = image_size(old), .backing = image_backing_name(old),
		.backing_format = image_backing_format(old), .options = options, .unchecked = true };
	if (!image_create(name, &how, a->err, sizeof(a->err)))
		return false;
	if (!rename(name, image_path(old)))
		return true;
	snprintf(a->err, sizeof(a->err), "%s: cannot be replaced: %s", image_path(old), strerror(errno));
	unlink(name);
	return false;
}

static int commit_into(struct imgtool_args *a, struct image *top, struct image *old)
{
	u32 depth;
	struct image *shown = find_base(a, top, &depth);
	if (!shown)
		return imgtool_says(a, a->value[IMGTOOL_OPT_BACKING] ? "%s: is not over '%.200s'" : "%s: has no backing file to commit to", a->file[0],
			a->value[IMGTOOL_OPT_BACKING]);
	if (!old->format->set_backing && !a->value[IMGTOOL_OPT_KEEP])
		return imgtool_says(a, "%s: an overlay in %s format cannot be emptied after a commit; --keep leaves it, and it is then of no more use",
			a->file[0], image_format_of(old));
	struct image_options opt = { .format = image_format_of(shown), .allow_backing = a->value[IMGTOOL_OPT_ALLOW] };
	struct image *base = image_open(image_path(shown), &opt, a->err, sizeof(a->err));
	if (!base)
		return imgtool_fails(a);
	struct image_progress progress = imgtool_progress_of(a);
	bool ok = image_commit(top, base, depth, &progress, a->err, sizeof(a->err));
	image_close(base);
	if (ok && depth == 1 && !a->value[IMGTOOL_OPT_KEEP])
		ok = replace_by_empty(a, old);
	if (!ok)
		return imgtool_fails(a);
	imgtool_progress_end(a);
	say(a, "Image committed.");
	return IMGTOOL_OK;
}

/* The image is open twice: locked, so that nobody else uses it, and with its chain, which is not locked, since a part
 * of it is written. */
int imgtool_commit(struct imgtool_args *a)
{
	struct image_options lock = imgtool_options_of(a, false), chain = imgtool_options_of(a, true);
	lock.no_backing = true;
	chain.no_lock = true;
	struct image *old = image_open(a->file[0], &lock, a->err, sizeof(a->err));
	struct image *top = old ? image_open(a->file[0], &chain, a->err, sizeof(a->err)) : NULL;
	int status = top ? commit_into(a, top, old) : imgtool_fails(a);
	image_close(top);
	image_close(old);
	return status;
}

/* --- rebase ------------------------------------------------------------------------------------------------------------- */

static int rebase(struct imgtool_args *a, struct image *im, const char *backing, const char *format)
{
	struct image *below = NULL;
	if (backing && !a->value[IMGTOOL_OPT_UNSAFE]) {
		char *path = image_beside(im, backing, true, a->err, sizeof(a->err));
		struct image_options opt = { .readonly = true, .format = format, .allow_backing = a->value[IMGTOOL_OPT_ALLOW] };
		below = path ? image_open(path, &opt, a->err, sizeof(a->err)) : NULL;
		free(path);
		if (!below)
			return imgtool_fails(a);
	}
	struct image_progress progress = imgtool_progress_of(a);
	bool ok = a->value[IMGTOOL_OPT_UNSAFE] || image_rebase(im, below, &progress, a->err, sizeof(a->err));
	image_close(below);
	if (!ok || !image_set_backing(im, backing, backing ? format : NULL, a->err, sizeof(a->err)))
		return imgtool_fails(a);
	int error = image_flush(im);
	if (error)
		return imgtool_says(a, "%s: %s", a->file[0], strerror(error));
	imgtool_progress_end(a);
	return IMGTOOL_OK;
}

int imgtool_rebase(struct imgtool_args *a)
{
	const char *backing = a->value[IMGTOOL_OPT_BACKING], *format = a->value[IMGTOOL_OPT_BACKING_FORMAT];
	struct image_options opt = imgtool_options_of(a, false);
	if (!backing)
		return imgtool_says(a, "which file is to be the backing file? -b FILE, or -b \"\" for none");
	if (*backing && !format)
		return imgtool_says(a, "which format has '%.200s'? -F FORMAT; a guess could be what a guest wrote there", backing);
	opt.no_backing = a->value[IMGTOOL_OPT_UNSAFE];
	struct image *im = image_open(a->file[0], &opt, a->err, sizeof(a->err));
	if (!im)
		return imgtool_fails(a);
	int status = rebase(a, im, *backing ? backing : NULL, format);
	image_close(im);
	return status;
}
