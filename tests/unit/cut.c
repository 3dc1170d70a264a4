/*
 * cut.c - records host operations, builds the files of a cut, judges them; see cut.h.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "images/hostio.h"
#include "images/image.h"
#include "tests/unit/cut.h"
#include "tests/unit/disk_model.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u
#define FILES  8

enum op_kind { OP_WRITE, OP_RESIZE, OP_PUNCH, OP_RESERVE, OP_SYNC };
struct op { enum op_kind kind; u32 file; u64 offset, len; u8 *data; };
struct content { u8 *bytes; u64 size, room; };
struct file { char *path; int fd; bool used; struct content durable; u32 applied; };

struct recorder {
	struct hostio io;	/* first: the table's functions get a pointer to it */
	struct file files[FILES];
	struct op *ops;
	u32 n, room;
	u32 every, countdown;	/* cut_refuse(): about every `every`th operation fails */
	u64 refused, rng;
	bool writing;		/* recording */
};

static u64 rnd(u64 *s, u64 below)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return below ? *s % below : 0;
}

/* --- recording --- */

static struct recorder *self(const struct hostio *io) { return (struct recorder *)io; }

static bool refuse(struct recorder *r, int error)
{
	if (!r->every || --r->countdown)
		return false;
	r->countdown = 1 + (u32)rnd(&r->rng, 2 * r->every);
	r->refused++;
	errno = error;
	return true;
}

static void fit(struct content *c, u64 size)
{
	if (size > c->room) {
		c->bytes = realloc(c->bytes, size * 2);
		c->room = size * 2;
	}
	if (size > c->size)
		memset(c->bytes + c->size, 0, size - c->size);
	if (size > c->size)
		c->size = size;
}

static u32 file_of(struct recorder *r, int fd)
{
	for (u32 i = 0; i < FILES; i++)
		if (r->files[i].used && r->files[i].fd == fd)
			return i;
	return FILES;
}

static void record(struct recorder *r, enum op_kind kind, int fd, u64 offset, u64 len, u8 *data)
{
	u32 f = file_of(r, fd);
	if (!r->writing || f == FILES) {
		free(data);
		return;
	}
	if (r->n == r->room) {
		r->room = r->room * 2 + 64;
		r->ops = realloc(r->ops, r->room * sizeof(*r->ops));
	}
	r->ops[r->n++] = (struct op){ kind, f, offset, len, data };
}

static int rec_open(const struct hostio *io, const char *path, int flags, mode_t mode)
{
	struct recorder *r = self(io);
	int fd = host_posix.open(&host_posix, path, flags, mode);
	if (fd < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return fd;
	u32 i = 0;
	while (i < FILES && r->files[i].used && strcmp(r->files[i].path, path))
		i++;
	if (i == FILES)
		fail_msg("too many files");
	struct file *f = &r->files[i];
	if (!f->used) {
		off_t size = lseek(fd, 0, SEEK_END);
		f->path = strdup(path);
		f->used = true;
		fit(&f->durable, (u64)size);
		assert_int_equal(pread(fd, f->durable.bytes, (size_t)size, 0), size);
	}
	f->fd = fd;
	return fd;
}

static int rec_close(const struct hostio *io, int fd)
{
	u32 f = file_of(self(io), fd);
	if (f < FILES)
		self(io)->files[f].fd = -1;
	return host_posix.close(&host_posix, fd);
}

static ssize_t rec_preadv(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset)
{
	return refuse(self(io), EIO) ? -1 : host_posix.preadv(&host_posix, fd, v, n, offset);
}

static ssize_t rec_pwritev(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset)
{
	u64 len = 0;
	for (int i = 0; i < n; i++)
		len += v[i].iov_len;
	if (refuse(self(io), offset & 512 ? ENOSPC : EIO)) {
		/* Some of it may have gone out. */
		if (v[0].iov_len > SECTOR && offset & 1024)
			pwrite(fd, v[0].iov_base, SECTOR, (off_t)offset);
		return -1;
	}
	u8 *data = malloc(len), *to = data;
	for (int i = 0; i < n; to += v[i].iov_len, i++)
		if (v[i].iov_len)
			memcpy(to, v[i].iov_base, v[i].iov_len);
	ssize_t done = host_posix.pwritev(&host_posix, fd, v, n, offset);
	assert_true(done == (ssize_t)len);
	record(self(io), OP_WRITE, fd, offset, len, data);
	return done;
}

static off_t rec_lseek(const struct hostio *io, int fd, off_t offset, int whence)
{
	return host_posix.lseek(&host_posix, fd, offset, whence);
}

static int rec_fdatasync(const struct hostio *io, int fd)
{
	if (refuse(self(io), EIO))
		return -1;
	record(self(io), OP_SYNC, fd, 0, 0, NULL);
	return 0;	/* the recording is what is durable */
}

static int rec_ftruncate(const struct hostio *io, int fd, u64 size)
{
	if (refuse(self(io), ENOSPC))
		return -1;
	record(self(io), OP_RESIZE, fd, size, 0, NULL);
	return host_posix.ftruncate(&host_posix, fd, size);
}

static int rec_fallocate(const struct hostio *io, int fd, int mode, u64 offset, u64 len)
{
	if (refuse(self(io), ENOSPC))
		return -1;
	int result = host_posix.fallocate(&host_posix, fd, mode, offset, len);
	if (!result)
		record(self(io), mode & FALLOC_FL_PUNCH_HOLE ? OP_PUNCH : OP_RESERVE, fd, offset, len, NULL);
	return result;
}

static int rec_rename(const struct hostio *io, const char *from, const char *to) { return host_posix.rename(&host_posix, from, to); }
static int rec_unlink(const struct hostio *io, const char *path) { return host_posix.unlink(&host_posix, path); }
static int rec_sync_folder(const struct hostio *io, const char *path) { return 0; }

static void *rec_alloc(const struct hostio *io, size_t bytes)
{
	return refuse(self(io), ENOMEM) ? NULL : calloc(1, bytes);
}

static void recorder_init(struct recorder *r)
{
	*r = (struct recorder){ .io = { rec_open, rec_close, rec_preadv, rec_pwritev, rec_lseek, rec_fdatasync, rec_ftruncate, rec_fallocate,
					rec_rename, rec_unlink, rec_sync_folder, rec_alloc } };
}

static void recorder_fini(struct recorder *r)
{
	for (u32 i = 0; i < r->n; i++)
		free(r->ops[i].data);
	free(r->ops);
	for (u32 i = 0; i < FILES; i++) {
		free(r->files[i].path);
		free(r->files[i].durable.bytes);
	}
}

/* --- the workload: every sector that is written has a generation in it --- */

enum { GEN_ZERO = 0 };
struct event { u64 first, n; u32 gen; bool discard; u32 issued; bool flush; u32 done; };
struct history { struct event *e; u32 n; u8 *initial; u64 size; };

static void stamp(u8 *to, u64 sector, u32 gen)
{
	for (u32 i = 0; i < SECTOR; i += 8) {
		u32 v[2] = { gen, (u32)sector + i };
		memcpy(to + i, v, 8);
	}
}

static bool has(const u8 *is, u64 sector, u32 gen)
{
	u8 want[SECTOR] = { 0 };
	if (gen != GEN_ZERO)
		stamp(want, sector, gen);
	return !memcmp(is, want, SECTOR);
}

static int perform(struct image *im, const struct event *e)
{
	if (e->flush)
		return image_flush(im);
	if (e->discard)
		return image_discard(im, e->first * SECTOR, e->n * SECTOR);
	if (e->gen == GEN_ZERO)
		return image_write_zeroes(im, e->first * SECTOR, e->n * SECTOR);
	u8 *buf = malloc(e->n * SECTOR);
	for (u64 i = 0; i < e->n; i++)
		stamp(buf + i * SECTOR, e->first + i, e->gen);
	int error = image_write(im, e->first * SECTOR, buf, e->n * SECTOR);
	free(buf);
	return error;
}

static struct event choose(u64 *rng, u64 sectors, u32 gen)
{
	struct event e = { .first = rnd(rng, sectors), .gen = gen };
	e.n = rnd(rng, 3) ? 1 + rnd(rng, 8) : 1 + rnd(rng, rnd(rng, 4) ? 64 : 400);
	if (rnd(rng, 4) == 0)
		e.first &= ~127ull;
	if (e.n > sectors - e.first)
		e.n = sectors - e.first;
	u64 what = rnd(rng, 16);
	e.flush = what < 3;
	e.discard = what == 3;
	if (what == 4 || what == 3)
		e.gen = GEN_ZERO;
	return e;
}

static struct image *open_on(struct recorder *r, const struct cut_case *c, const char *path)
{
	char err[300];
	struct image_options opt = { .format = c->format, .io = r ? &r->io : NULL };
	struct image *im = image_open(path, &opt, err, sizeof(err));
	if (!im)
		fail_msg("seed %llu: %s", (unsigned long long)c->seed, err);
	return im;
}

static void prepare(const struct cut_case *c, const char *path)
{
	char err[300];
	struct image_create how = { .format = c->format, .size = c->size, .options = c->options, .backing = c->backing,
				    .backing_format = c->backing ? "raw" : NULL, .replace = true };
	if (c->make)
		c->make(path);
	else if (!image_create(path, &how, err, sizeof(err)))
		fail_msg("%s", err);
}

static void work(struct recorder *r, const struct cut_case *c, const char *path, struct history *h)
{
	u64 rng = c->seed * 0x9e3779b97f4a7c15ull + 1;
	struct image *im = open_on(r, c, path);
	h->size = image_size(im);
	h->e = calloc(c->ops, sizeof(*h->e));
	h->initial = malloc(h->size);
	assert_int_equal(image_read(im, 0, h->initial, h->size), 0);
	/* Opening may have written; a cut there counts as well. */
	for (u32 i = 0; i < c->ops; i++) {
		struct event e = choose(&rng, h->size / SECTOR, i + 1);
		e.issued = r->n;
		assert_int_equal(perform(im, &e), 0);
		e.done = r->n;
		h->e[h->n++] = e;
	}
	image_close(im);
}

/* --- the files after a cut --- */

static void apply(struct content *c, const struct op *o, u64 *rng, bool torn)
{
	u64 end = o->offset + o->len;
	switch (o->kind) {
	case OP_SYNC:
		break;
	case OP_RESIZE:
		fit(c, o->offset);
		c->size = o->offset;
		break;
	case OP_RESERVE:
		fit(c, end);
		break;
	case OP_PUNCH:
		if (o->offset < c->size)
			memset(c->bytes + o->offset, 0, (end < c->size ? end : c->size) - o->offset);
		break;
	case OP_WRITE:
		for (u64 at = o->offset, n; at < end; at += n) {
			n = SECTOR - at % SECTOR < end - at ? SECTOR - at % SECTOR : end - at;
			if (torn && rnd(rng, 2))
				continue;
			fit(c, at + n);
			memcpy(c->bytes + at, o->data + (at - o->offset), n);
		}
	}
}

/* What is durable once operation k-1 is done goes into the files' durable content. */
static void settle(struct recorder *r, u32 k)
{
	for (u32 f = 0; f < FILES; f++) {
		struct file *file = &r->files[f];
		u32 last = file->applied;
		for (u32 i = file->applied; i < k; i++)
			if (r->ops[i].file == f && r->ops[i].kind == OP_SYNC)
				last = i + 1;
		for (u32 i = file->applied; i < last; i++)
			if (r->ops[i].file == f)
				apply(&file->durable, &r->ops[i], NULL, false);
		file->applied = last;
	}
}

static void build(struct recorder *r, u32 k, u64 *rng, const char *dir)
{
	u32 mode = (u32)rnd(rng, 4);	/* 0: killed, nothing is lost; 1: all is; else some */
	for (u32 f = 0; f < FILES; f++) {
		struct file *file = &r->files[f];
		struct content c = { 0 };
		char path[300];
		if (!file->used)
			continue;
		fit(&c, file->durable.size);
		memcpy(c.bytes, file->durable.bytes, c.size);
		for (u32 i = file->applied; i <= k && i < r->n; i++) {
			if (r->ops[i].file != f || mode == 1)
				continue;
			if (i == k)
				apply(&c, &r->ops[i], rng, true);
			else if (!mode || rnd(rng, 2))
				apply(&c, &r->ops[i], rng, mode && rnd(rng, 3) == 0);
		}
		snprintf(path, sizeof(path), "%s/%s", dir, strrchr(file->path, '/') + 1);
		FILE *out = fopen(path, "w");
		assert_non_null(out);
		assert_int_equal(fwrite(c.bytes, 1, c.size, out), c.size);
		fclose(out);
		free(c.bytes);
	}
}

/* --- the judge --- */

static bool allowed(const struct history *h, u32 floor, u32 k, u64 sector, const u8 *is)
{
	for (u32 i = h->n; i--;) {
		const struct event *e = &h->e[i];
		if (e->flush || e->issued > k || sector < e->first || sector - e->first >= e->n)
			continue;
		if (has(is, sector, e->gen))
			return true;
		if (i < floor && !e->discard)
			return false;
	}
	return !memcmp(is, h->initial + sector * SECTOR, SECTOR);
}

static void judge_sectors(const struct cut_case *c, const struct history *h, struct image *im, u32 k)
{
	u32 floor = 0;
	for (u32 i = 0; i < h->n; i++)
		if (h->e[i].flush && h->e[i].done <= k)
			floor = i;
	u8 *is = malloc(h->size);
	assert_int_equal(image_read(im, 0, is, h->size), 0);
	for (u64 s = 0; s < h->size / SECTOR; s++)
		if (!allowed(h, floor, k, s, is + s * SECTOR))
			fail_msg("%s, seed %llu, cut at %u: sector %llu has neither what was flushed nor what was written later: %02x%02x%02x%02x",
				 c->format, (unsigned long long)c->seed, k, (unsigned long long)s, is[s * SECTOR], is[s * SECTOR + 1],
				 is[s * SECTOR + 2], is[s * SECTOR + 3]);
	free(is);
}

static void said(void *arg, const char *sentence)
{
	char *all = arg;
	size_t n = strlen(all);
	snprintf(all + n, 1000 - n, "%s; ", sentence);
}

static void judge_check(const struct cut_case *c, struct image *im, u32 k, const char *when)
{
	char what[1000] = "";
	struct image_check check = { .say = said, .arg = what };
	int error = image_check(im, &check);
	if (error != ENOTSUP && (error || check.corruptions || check.errors))
		fail_msg("%s, seed %llu, cut at %u, %s: %llu damages, %llu errors: %s", c->format, (unsigned long long)c->seed, k, when,
			 (unsigned long long)check.corruptions, (unsigned long long)check.errors, what);
}

static void judge_qemu(const struct cut_case *c, const char *path, u32 k, const char *when)
{
	char out[2000];
	const char *format = !strcmp(c->format, "vhd") ? "vpc" : c->format;
	int status = c->no_qemu ? 0 : disk_model_command(out, sizeof(out), "qemu-img check -f %s %s", format, path);
	if (status && status != 3 && status != 63)
		fail_msg("%s, seed %llu, cut at %u, %s: qemu-img check: status %d: %s", c->format, (unsigned long long)c->seed, k, when, status,
			 out);
}

/* The image goes on in use. */
static void judge_life(const struct cut_case *c, const struct history *h, const char *path, u64 *rng, u32 k)
{
	struct image *im = open_on(NULL, c, path);
	judge_check(c, im, k, "opened");
	judge_sectors(c, h, im, k);
	for (u32 i = 0; i < 12; i++) {
		struct event e = choose(rng, h->size / SECTOR, 0x40000000 + i);
		e.flush = false;
		assert_int_equal(perform(im, &e), 0);
		for (u64 s = 0; s < e.n && !e.discard; s++) {
			u8 is[SECTOR];
			assert_int_equal(image_read(im, (e.first + s) * SECTOR, is, SECTOR), 0);
			assert_true(has(is, e.first + s, e.gen));
		}
	}
	image_close(im);
	im = open_on(NULL, c, path);
	judge_check(c, im, k, "written on");
	image_close(im);
	if (k % 8 == 0)
		judge_qemu(c, path, k, "written on");
}

static void link_backing(const struct cut_case *c, const char *dir)
{
	char from[400], to[400];
	if (!c->backing)
		return;
	snprintf(from, sizeof(from), "%s/%s", c->dir, c->backing);
	snprintf(to, sizeof(to), "%s/%s", dir, c->backing);
	assert_int_equal(link(from, to), 0);
}

static void clear_dir(const char *dir)
{
	char out[100];
	disk_model_command(out, sizeof(out), "rm -rf %s", dir);
}

void cut_run(const struct cut_case *c)
{
	struct recorder r;
	struct history h = { 0 };
	char path[200], dir[200], after[300];
	u64 rng = c->seed + 77;
	snprintf(path, sizeof(path), "%s/%s", c->dir, c->name);
	snprintf(dir, sizeof(dir), "%s/after-cut", c->dir);
	snprintf(after, sizeof(after), "%s/%s", dir, c->name);
	clear_dir(dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	link_backing(c, dir);
	prepare(c, path);
	recorder_init(&r);
	r.writing = true;
	work(&r, c, path, &h);
	for (u32 i = 0; i < c->cuts; i++) {
		u32 k = (u32)((u64)i * r.n / c->cuts);
		settle(&r, k);
		build(&r, k, &rng, dir);
		if (c->cuts < 200 || i % 4 == 0)	/* a process each; our own check sees every cut */
			judge_qemu(c, after, k, "cut");
		judge_life(c, &h, after, &rng, k);
	}
	print_message("%s %s: %u cuts in %u host operations\n", c->format, c->options ? c->options : "", c->cuts, r.n);
	free(h.e);
	free(h.initial);
	recorder_fini(&r);
	clear_dir(dir);
}

/* --- refusals --- */

/* After some tries the host has room again, as a call of many operations would never come through. */
static void do_until_done(struct recorder *r, struct image *im, const struct event *e)
{
	u32 every = r->every;
	for (u32 tries = 0; perform(im, e); tries++) {
		assert_true(tries < 10);
		if (tries == 4)
			r->every = 0;
	}
	r->every = every;
}

static bool try_open(struct recorder *r, const struct cut_case *c, const char *path, struct image **im)
{
	char err[300] = "";
	struct image_options opt = { .format = c->format, .io = &r->io };
	*im = image_open(path, &opt, err, sizeof(err));
	if (!*im)
		assert_true(*err);	/* a sentence */
	return *im != NULL;
}

void cut_refuse(const struct cut_case *c, u32 every)
{
	struct recorder r;
	struct image *im;
	char path[200];
	u64 rng = c->seed * 31 + every;
	snprintf(path, sizeof(path), "%s/%s", c->dir, c->name);
	prepare(c, path);
	recorder_init(&r);
	r.every = r.countdown = every;
	r.rng = rng;
	for (u32 tries = 0; !try_open(&r, c, path, &im); tries++)
		r.every = tries < 5 ? every : 0;
	r.every = every;
	u64 sectors = image_size(im) / SECTOR;
	u32 *gen = calloc(sectors, sizeof(*gen));
	bool *known = calloc(sectors, sizeof(*known));
	for (u32 i = 0; i < c->ops; i++) {
		struct event e = choose(&rng, sectors, i + 1);
		do_until_done(&r, im, &e);
		for (u64 s = e.first; s < e.first + e.n && !e.flush; s++) {
			gen[s] = e.gen;
			known[s] = !e.discard;
		}
	}
	do_until_done(&r, im, &(struct event){ .flush = true });
	r.every = 0;
	judge_check(c, im, every, "refusals");
	image_close(im);
	im = open_on(NULL, c, path);
	judge_check(c, im, every, "refusals, closed");
	for (u64 s = 0; s < sectors; s++) {
		u8 is[SECTOR];
		assert_int_equal(image_read(im, s * SECTOR, is, SECTOR), 0);
		if (known[s] && !has(is, s, gen[s]))
			fail_msg("%s, seed %llu, each %u refused: sector %llu is wrong", c->format, (unsigned long long)c->seed, every,
				 (unsigned long long)s);
	}
	image_close(im);
	judge_qemu(c, path, every, "refusals");
	assert_true(r.refused > 0);
	free(gen);
	free(known);
	recorder_fini(&r);
}

u32 cut_count(u32 few, u32 many)
{
	return getenv("RINGFENCE_LONG") ? many : few;
}
