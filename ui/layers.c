/*
 * layers.c - overlays of a machine's disks: made, used, removed and joined.
 *
 * Order keeps them whole after a kill at any moment: a new overlay is durable before machine.conf names it, machine.conf is replaced
 * before what it named is removed, and an overlay has a copy of what is below before it is put on what is further below.
 */
#define _GNU_SOURCE
#include "ui/layers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/convert.h"
#include "images/image.h"
#include "ui/files.h"
#include "ui/snaptree.h"

#define CHAIN_MAX 256u

void layers_id(char id[9])
{
	u32 n;
	while (getrandom(&n, sizeof(n), 0) != sizeof(n))
		;
	snprintf(id, 9, "%08x", n);
}

/* --- new ones --- */

static bool option_is(const char *options, const char *word)
{
	const char *at = strstr(options, word);
	char end = at ? at[strlen(word)] : 0;
	return at && (!end || end == ',');
}

static bool writable(const struct conf_line *l, const char *options)
{
	return strncmp(l->key, "cdrom", 5) && !option_is(options, ",readonly") && !option_is(options, ",readonly=on");
}

static bool make_one(struct layer *n, const struct conf_line *l, const char *dir, const char *options, char *err, size_t errsize)
{
	char id[9];
	const char *format = strstr(options, ",format="), *slash = strrchr(n->below, '/');
	struct image_options look = { .readonly = true, .no_lock = true, .no_backing = true };
	if (slash == n->below || strncmp(n->below, dir, (size_t)(slash - n->below)) || dir[slash - n->below]) {
		snprintf(err, errsize, "%s: %.300s is not in the machine's folder, which snapshots need", l->key, n->below);
		return false;
	}
	if (format)
		snprintf(n->format, sizeof(n->format), "%.*s", (int)strcspn(format + 8, ","), format + 8);
	look.format = format ? n->format : NULL;
	struct image *im = image_open(n->below, &look, err, errsize);
	if (!im)
		return false;
	struct image_create how = { .format = "qcow2", .size = image_size(im),
		.backing = slash + 1, .backing_format = n->format, .unchecked = true };
	snprintf(n->format, sizeof(n->format), "%s", image_format_of(im));
	image_close(im);
	layers_id(id);
	snprintf(n->key, sizeof(n->key), "%s", l->key);
	snprintf(n->path, sizeof(n->path), "%.3500s/%.*s%c-%s.layer", dir, (int)strcspn(l->key, "."), l->key, l->key[strlen(l->key) - 1], id);
	return image_create(n->path, &how, err, errsize);
}

bool layers_make(struct layers *l, const struct conf *conf, const char *dir, char *err, size_t errsize)
{
	*l = (struct layers){ 0 };
	for (u32 i = 0; i < conf->lines; i++) {
		struct layer *n = &l->layer[l->count];
		const char *options;
		if (l->count == LAYERS_MAX || !conf_drive_file(&conf->line[i], dir, n->below, sizeof(n->below), &options) ||
		    !writable(&conf->line[i], options))
			continue;
		if (!make_one(n, &conf->line[i], dir, options, err, errsize)) {
			layers_unmake(l);
			return false;
		}
		l->count++;
	}
	return true;
}

void layers_unmake(struct layers *l)
{
	while (l->count)
		unlink(l->layer[--l->count].path);
}

bool layers_use(const struct layers *l, struct conf *conf, char *err, size_t errsize)
{
	for (u32 i = 0; i < l->count; i++) {
		char value[PATH_MAX];
		const char *slash = strrchr(l->layer[i].path, '/');
		if (!conf_drive_value(slash + 1, ",format=qcow2", value, sizeof(value)) ||
		    !conf_set(conf, l->layer[i].key, value, err, errsize))
			return false;
	}
	return true;
}

/* --- which are there, and who stands on whom --- */

struct file {
	char name[256];
	char below[256];	/* "": none */
	bool named;		/* in machine.conf or in a snapshot's */
	bool needed;
	u32 above;		/* how many stand on it */
};
struct files {
	struct file *file;
	u32 count;
};

static int is_layer(const struct dirent *e)
{
	size_t len = strlen(e->d_name);
	return len > 6 && !strcmp(e->d_name + len - 6, ".layer");
}

static struct file *find(struct files *f, const char *name)
{
	for (u32 i = 0; i < f->count; i++)
		if (!strcmp(f->file[i].name, name))
			return &f->file[i];
	return NULL;
}

static bool add_file(struct files *f, const char *dir, const char *name, char *err, size_t errsize)
{
	char path[PATH_MAX];
	struct image_options look = { .readonly = true, .no_lock = true, .no_backing = true, .format = "qcow2" };
	struct file *more = realloc(f->file, (f->count + 1) * sizeof(*more));
	if (!more) {
		snprintf(err, errsize, "out of memory");
		return false;
	}
	f->file = more;
	more[f->count] = (struct file){ 0 };
	snprintf(more[f->count].name, sizeof(more->name), "%s", name);
	snprintf(path, sizeof(path), "%.3500s/%s", dir, name);
	struct image *im = image_open(path, &look, err, errsize);
	if (im && image_backing_name(im))
		snprintf(more[f->count].below, sizeof(more->below), "%.255s", image_backing_name(im));
	image_close(im);
	f->count++;
	return true;	/* one that was cut off while it was made stands on nothing, and nobody names it */
}

static void name_files(struct files *f, const struct conf *c, const char *dir)
{
	char path[PATH_MAX];
	const char *options;
	for (u32 i = 0; i < c->lines; i++) {
		if (!conf_drive_file(&c->line[i], dir, path, sizeof(path), &options))
			continue;
		struct file *at = find(f, strrchr(path, '/') + 1);
		if (!at)
			continue;
		at->named = true;
		for (u32 n = 0; at && n < CHAIN_MAX; n++, at = find(f, at->below))
			at->needed = true;
	}
}

/* False: something could not be read, and nothing may be removed. */
static bool look(struct files *f, const struct conf *conf, const char *dir, char *err, size_t errsize)
{
	struct dirent **found = NULL;
	struct snaptree t;
	int n = scandir(dir, &found, is_layer, alphasort);
	bool ok = n >= 0;
	for (int i = 0; i < n; i++) {
		ok = ok && add_file(f, dir, found[i]->d_name, err, errsize);
		free(found[i]);
	}
	free(found);
	if (!ok || !snaptree_load(&t, dir, err, errsize))
		return false;
	name_files(f, conf, dir);
	for (u32 i = 0; i < t.count && ok; i++) {
		struct conf c;
		ok = snaptree_conf(dir, t.snap[i].name, &c, err, errsize);
		if (ok)
			name_files(f, &c, dir);
		conf_free(&c);
	}
	snaptree_free(&t);
	return ok;
}

static void remove_unneeded(struct files *f, const char *dir)
{
	char path[PATH_MAX];
	u32 kept = 0;
	for (u32 i = 0; i < f->count; i++) {
		if (f->file[i].needed) {
			f->file[kept++] = f->file[i];
			continue;
		}
		snprintf(path, sizeof(path), "%.3500s/%s", dir, f->file[i].name);
		unlink(path);
	}
	f->count = kept;
}

bool layers_sweep(const struct conf *conf, const char *dir, char *err, size_t errsize)
{
	struct files f = { 0 };
	bool ok = look(&f, conf, dir, err, errsize);
	if (ok)
		remove_unneeded(&f, dir);
	free(f.file);
	return ok;
}

/* --- joining --- */

/* Two machines may have one file: a linked clone's. */
static bool shared(const char *path)
{
	struct stat st;
	return stat(path, &st) || st.st_nlink > 1;
}

/* `top` gets what `middle` has, and stands on what `middle` stood on. */
static bool join(const char *dir, const struct file *top, const struct file *middle, char *err, size_t errsize)
{
	char path[PATH_MAX], gone[PATH_MAX];
	struct image_options how = { .format = "qcow2" };
	struct image_progress quiet = { 0 };
	snprintf(path, sizeof(path), "%.3500s/%s", dir, top->name);
	snprintf(gone, sizeof(gone), "%.3500s/%s", dir, middle->name);
	if (shared(path))
		return true;
	struct image *im = image_open(path, &how, err, errsize), *below = im ? image_backing(im) : NULL;
	struct image *further = below ? image_backing(below) : NULL;
	char *format = below && image_backing_format(below) ? strdup(image_backing_format(below)) : NULL;
	bool ok = below && (format || !middle->below[0]) && image_rebase(im, further, &quiet, err, errsize) &&
		  image_set_backing(im, middle->below[0] ? middle->below : NULL, format, err, errsize);
	if (ok && image_flush(im)) {
		snprintf(err, errsize, "%.400s: cannot be made durable", path);
		ok = false;
	}
	image_close(im);
	free(format);
	if (ok)
		unlink(gone);
	return ok;
}

static struct file *joinable(struct files *f, struct file **top)
{
	for (u32 i = 0; i < f->count; i++)
		f->file[i].above = 0;
	for (u32 i = 0; i < f->count; i++) {
		struct file *below = find(f, f->file[i].below);
		if (below)
			below->above++;
	}
	for (u32 i = 0; i < f->count; i++) {
		struct file *below = find(f, f->file[i].below);
		*top = &f->file[i];
		if (below && !below->named && below->above == 1)
			return below;
	}
	return NULL;
}

bool layers_tidy(const struct conf *conf, const char *dir, char *err, size_t errsize)
{
	for (u32 n = 0; n < CHAIN_MAX; n++) {
		struct files f = { 0 };
		struct file *top, *middle;
		bool ok = look(&f, conf, dir, err, errsize);
		if (ok)
			remove_unneeded(&f, dir);
		middle = ok ? joinable(&f, &top) : NULL;
		ok = ok && (!middle || join(dir, top, middle, err, errsize));
		char path[PATH_MAX];
		if (ok && middle)
			snprintf(path, sizeof(path), "%.3500s/%s", dir, middle->name);
		bool more = ok && middle && access(path, F_OK);
		free(f.file);
		if (!more)
			return ok;
	}
	return true;
}
