/*
 * cut_io.c - see cut_io.h. Files have at most a few MiB, so each is kept whole.
 */
#define _GNU_SOURCE
#include "tests/unit/cut_io.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u

static void *need(void *p) { if (!p) abort(); return p; }

static u64 rnd(struct cut_io *c, u64 below)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return c->rng % below;
}

static struct cut_file *file_of(struct cut_io *c, int fd)
{
	for (u32 i = 0; i < CUT_FDS; i++)
		if (c->open[i].file && c->open[i].fd == fd)
			return c->open[i].file;
	abort();
}

/* One more operation that changes something. True: it must not be done, and errno says why; a write may be done in part. */
static bool stopped(struct cut_io *c)
{
	if (!c->dead && c->mode != CUT_NEVER && ++c->count == c->at) {
		c->failed = true;
		c->dead = c->mode != CUT_FAIL;
		errno = c->mode == CUT_FAIL ? c->error : EIO;
		return true;
	}
	if (c->mode == CUT_NEVER)
		c->count++;
	errno = EIO;
	return c->dead;
}

static void note(struct cut_file *f, int kind, u64 at, u64 len, const struct iovec *v)
{
	struct cut_op *op = need(calloc(1, sizeof(*op)));
	*op = (struct cut_op){ .at = at, .len = len, .kind = kind };
	if (kind == CUT_WRITE) {
		u8 *to = op->data = need(malloc(len + 1));
		for (u64 left = len; left; v++) {
			u64 n = v->iov_len < left ? v->iov_len : left;
			memcpy(to, v->iov_base, n);
			to += n, left -= n;
		}
	}
	*f->last = op;
	f->last = &op->next;
}

static void forget(struct cut_file *f)
{
	while (f->first) {
		struct cut_op *op = f->first;
		f->first = op->next;
		free(op->data);
		free(op);
	}
	f->last = &f->first;
}

static void load(struct cut_file *f, int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		abort();
	f->durable_size = (u64)st.st_size;
	f->durable = need(realloc(f->durable, f->durable_size + 1));
	if (pread(fd, f->durable, f->durable_size, 0) != (ssize_t)f->durable_size)
		abort();
	f->exists_durably = true;
}

/* --- the hooks ---------------------------------------------------------------------------------------------------------- */

static struct cut_io *self(const struct hostio *io) { return (struct cut_io *)io; }

static int cut_open(const struct hostio *io, const char *path, int flags, mode_t mode)
{
	struct cut_io *c = self(io);
	struct cut_file *f = NULL;
	bool there = !access(path, F_OK);
	if ((flags & O_CREAT) && !there && stopped(c))
		return -1;
	int fd = open(path, flags, mode);
	if (fd < 0)
		return -1;
	for (u32 i = 0; i < c->files && !f; i++)
		if (!strcmp(c->file[i].path, path))
			f = &c->file[i];
	if (!f) {
		if (c->files == CUT_FILES)
			abort();
		f = &c->file[c->files++];
		snprintf(f->path, sizeof(f->path), "%s", path);
		f->last = &f->first;
		if (there)
			load(f, fd);
	}
	for (u32 i = 0; i < CUT_FDS; i++)
		if (!c->open[i].file) {
			c->open[i].fd = fd;
			c->open[i].file = f;
			return fd;
		}
	abort();
}

static int cut_close(const struct hostio *io, int fd)
{
	struct cut_io *c = self(io);
	for (u32 i = 0; i < CUT_FDS; i++)
		if (c->open[i].fd == fd)
			c->open[i].file = NULL;
	return close(fd);
}

static ssize_t cut_preadv(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset)
{
	return preadv(fd, v, n, (off_t)offset);
}

/* How much of a write is done that is cut off: a kill takes effect between pages, anything else between sectors. */
static u64 part_of(struct cut_io *c, u64 offset, u64 len)
{
	u64 unit = c->mode == CUT_KILL ? PAGE_SIZE : SECTOR;
	u64 end = (offset + rnd(c, len / unit + 1) * unit) / unit * unit;
	return end > offset ? (end - offset < len ? end - offset : len) : 0;
}

static ssize_t cut_pwritev(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset)
{
	struct cut_io *c = self(io);
	bool was_dead = c->dead, stop = stopped(c);
	u64 len = 0;
	int error = errno;
	if (was_dead)
		return -1;
	for (int i = 0; i < n; i++)
		len += v[i].iov_len;
	if (stop) {
		u64 part = part_of(c, offset, len), done = 0;
		for (int i = 0; i < n && done < part; i++) {
			u64 take = v[i].iov_len < part - done ? v[i].iov_len : part - done;
			if (pwrite(fd, v[i].iov_base, take, (off_t)(offset + done)) != (ssize_t)take)
				abort();
			done += take;
		}
		note(file_of(c, fd), CUT_WRITE, offset, done, v);
		errno = error;
		return -1;
	}
	ssize_t done = pwritev(fd, v, n, (off_t)offset);
	if (done > 0)
		note(file_of(c, fd), CUT_WRITE, offset, (u64)done, v);
	return done;
}

static off_t cut_lseek(const struct hostio *io, int fd, off_t offset, int whence) { return lseek(fd, offset, whence); }

static int cut_fdatasync(const struct hostio *io, int fd)
{
	struct cut_io *c = self(io);
	if (stopped(c))
		return -1;
	struct cut_file *f = file_of(c, fd);
	if (c->mode == CUT_POWER)
		load(f, fd);
	forget(f);
	return 0;
}

static int cut_ftruncate(const struct hostio *io, int fd, u64 size)
{
	struct cut_io *c = self(io);
	if (stopped(c))
		return -1;
	note(file_of(c, fd), CUT_SIZE, size, 0, NULL);
	return ftruncate(fd, (off_t)size);
}

static int cut_fallocate(const struct hostio *io, int fd, int mode, u64 offset, u64 len)
{
	struct cut_io *c = self(io);
	if (stopped(c))
		return -1;
	if (fallocate(fd, mode, (off_t)offset, (off_t)len))
		return -1;
	if (mode & FALLOC_FL_PUNCH_HOLE)
		note(file_of(c, fd), CUT_ZERO, offset, len, NULL);
	else
		note(file_of(c, fd), CUT_SIZE, (u64)lseek(fd, 0, SEEK_END), 0, NULL);
	return 0;
}

static int cut_rename(const struct hostio *io, const char *from, const char *to)
{
	return stopped(self(io)) ? -1 : rename(from, to);
}

static int cut_unlink(const struct hostio *io, const char *path) { return stopped(self(io)) ? -1 : unlink(path); }
static int cut_sync_folder(const struct hostio *io, const char *path) { return stopped(self(io)) ? -1 : 0; }

static void *cut_alloc(const struct hostio *io, size_t bytes)
{
	struct cut_io *c = self(io);
	if (c->mode == CUT_FAIL && stopped(c))
		return NULL;
	return calloc(1, bytes);
}

void cut_io_init(struct cut_io *c, enum cut_mode mode, u64 at, u64 seed)
{
	*c = (struct cut_io){
		.io = { .open = cut_open, .close = cut_close, .preadv = cut_preadv, .pwritev = cut_pwritev, .lseek = cut_lseek,
			.fdatasync = cut_fdatasync, .ftruncate = cut_ftruncate, .fallocate = cut_fallocate, .rename = cut_rename,
			.unlink = cut_unlink, .sync_folder = cut_sync_folder, .alloc = cut_alloc },
		.mode = mode, .at = at, .error = ENOSPC, .rng = seed * 0x9e3779b97f4a7c15 + 1,
	};
}

/* --- a loss of power ---------------------------------------------------------------------------------------------------- */

struct disk { u8 *data; u64 size, room; };

static void grow(struct disk *d, u64 size)
{
	if (size > d->room) {
		d->room = size * 2;
		d->data = need(realloc(d->data, d->room));
	}
	if (size > d->size) {
		memset(d->data + d->size, 0, size - d->size);
		d->size = size;
	}
}

static void apply(struct cut_io *c, struct disk *d, const struct cut_op *op, u32 odds)
{
	u64 n;
	if (op->kind == CUT_SIZE) {
		if (!rnd(c, odds))
			return;
		if (op->at < d->size)
			d->size = op->at;
		else
			grow(d, op->at);
		return;
	}
	for (u64 done = 0; done < op->len; done += n) {
		u64 at = op->at + done;
		n = SECTOR - at % SECTOR < op->len - done ? SECTOR - at % SECTOR : op->len - done;
		if (!rnd(c, odds))
			continue;
		if (op->kind == CUT_WRITE) {
			grow(d, at + n);
			memcpy(d->data + at, op->data + done, n);
		} else if (at < d->size) {
			memset(d->data + at, 0, n < d->size - at ? n : d->size - at);
		}
	}
}

void cut_io_settle(struct cut_io *c)
{
	for (u32 i = 0; i < c->files && c->mode == CUT_POWER; i++) {
		struct cut_file *f = &c->file[i];
		struct disk d = { 0 };
		u32 odds = 2 + (u32)rnd(c, 3);
		grow(&d, f->durable_size);
		if (f->durable_size)
			memcpy(d.data, f->durable, f->durable_size);
		for (const struct cut_op *op = f->first; op; op = op->next)
			apply(c, &d, op, odds);
		int fd = open(f->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || write(fd, d.data, d.size) != (ssize_t)d.size)
			abort();
		close(fd);
		free(d.data);
	}
}

void cut_io_free(struct cut_io *c)
{
	for (u32 i = 0; i < c->files; i++) {
		forget(&c->file[i]);
		free(c->file[i].durable);
	}
}
