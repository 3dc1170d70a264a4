/*
 * files.c - what is done with files and folders of machines. Knows of no machine.
 */
#define _GNU_SOURCE
#include "ui/files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE (8u << 20)
#define QUIET_MS 500		/* shorter copies say nothing */

static bool fails(const char *path, char *err, size_t errsize)
{
	snprintf(err, errsize, "%.400s: %s", path, strerror(errno));
	return false;
}

char *file_read(const char *path, size_t most, size_t *len, char *err, size_t errsize)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;
	*len = 0;
	if (fd < 0 || fstat(fd, &st)) {
		fails(path, err, errsize);
	} else if (!S_ISREG(st.st_mode) || (u64)st.st_size > most) {
		snprintf(err, errsize, "%.400s: is no regular file of at most %zu bytes", path, most);
	} else if (!(text = malloc((size_t)st.st_size + 1))) {
		snprintf(err, errsize, "out of memory");
	} else {
		ssize_t n = 0;
		while (*len < (size_t)st.st_size && (n = read(fd, text + *len, (size_t)st.st_size - *len)) > 0)
			*len += (size_t)n;
		text[*len] = 0;
		if (n < 0) {
			fails(path, err, errsize);
			free(text);
			text = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
	return text;
}

static bool write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static void parent(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		snprintf(dir, size, ".");
	else
		snprintf(dir, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

bool folder_sync(const char *path, char *err, size_t errsize)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && !fsync(fd);
	if (!ok)
		fails(path, err, errsize);
	if (fd >= 0)
		close(fd);
	return ok;
}

bool file_replace(const char *path, const void *data, size_t len, char *err, size_t errsize)
{
	char beside[PATH_MAX], dir[PATH_MAX];
	parent(path, dir, sizeof(dir));
	snprintf(beside, sizeof(beside), "%.*s.new", PATH_MAX - 8, path);
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write_all(fd, data, len) && !fsync(fd);
	if (fd >= 0 && close(fd))
		ok = false;
	ok = ok && !rename(beside, path);
	if (ok)
		return folder_sync(dir, err, errsize);
	fails(path, err, errsize);
	if (fd >= 0)
		unlink(beside);
	return false;
}

/* --- copies --- */

static u64 now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

struct copy {
	int in, out;
	const char *name;
	u64 size, start, said;
	char *buf;		/* where the kernel does not copy by itself */
};

static void say_progress(struct copy *c, u64 at)
{
	u64 now = now_ms();
	if (now - c->start < QUIET_MS || now - c->said < 200 || !isatty(STDERR_FILENO))
		return;
	c->said = now;
	fprintf(stderr, "\r%s: %llu %%\033[K", c->name, (unsigned long long)(c->size ? at * 100 / c->size : 100));
}

static bool copy_bytes(struct copy *c, off_t at, off_t end)
{
	while (at < end) {
		size_t want = end - at < (off_t)PIECE ? (size_t)(end - at) : PIECE;
		loff_t from = at, to = at;
		ssize_t n = c->buf ? -1 : copy_file_range(c->in, &from, c->out, &to, want, 0);
		if (n <= 0 && !c->buf) {
			c->buf = malloc(PIECE);
			if (!c->buf)
				return false;
		}
		if (n <= 0) {
			n = pread(c->in, c->buf, want, at);
			if (n > 0 && pwrite(c->out, c->buf, (size_t)n, at) != n)
				n = -1;
			if (n < 0)
				return false;
			if (!n)
				break;
		}
		at += n;
		say_progress(c, (u64)at);
	}
	return true;
}

static bool copy_data(struct copy *c)
{
	if (!ioctl(c->out, FICLONE, c->in))
		return true;
	for (off_t at = 0, end; at < (off_t)c->size; at = end) {
		off_t data = lseek(c->in, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			data = at;	/* a file system that knows no holes */
		end = lseek(c->in, data, SEEK_HOLE);
		if (end <= data || end > (off_t)c->size)
			end = (off_t)c->size;
		if (!copy_bytes(c, data, end))
			return false;
	}
	return !ftruncate(c->out, (off_t)c->size);
}

bool file_copy(const char *from, const char *to, char *err, size_t errsize)
{
	const char *slash = strrchr(from, '/');
	struct copy c = { .out = -1, .name = slash ? slash + 1 : from, .start = now_ms() };
	struct stat st;
	c.in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool ok = c.in >= 0 && !fstat(c.in, &st);
	if (ok && !S_ISREG(st.st_mode)) {
		close(c.in);
		snprintf(err, errsize, "%.400s: only a regular file can be copied", from);
		return false;
	}
	if (!ok) {
		fails(from, err, errsize);
	} else {
		c.size = (u64)st.st_size;
		c.out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		ok = c.out >= 0 && copy_data(&c) && !fsync(c.out);
		if (!ok) {
			fails(to, err, errsize);
			if (c.out >= 0)
				unlink(to);
		}
	}
	if (c.said)
		fprintf(stderr, "\r\033[K");
	free(c.buf);
	if (c.in >= 0)
		close(c.in);
	if (c.out >= 0)
		close(c.out);
	return ok;
}

/* --- folders --- */

bool folder_make(const char *path, char *err, size_t errsize)
{
	char part[PATH_MAX];
	for (const char *p = path + 1;; p++) {
		if (*p && *p != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, 0700) && errno != EEXIST)
			return fails(part, err, errsize);
		if (!*p)
			return true;
	}
}

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	return remove(path) && errno != ENOENT ? -1 : 0;
}

bool folder_remove(const char *path, char *err, size_t errsize)
{
	return !nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) || errno == ENOENT || fails(path, err, errsize);
}

u64 folder_usage(const char *path)
{
	char *paths[] = { (char *)path, NULL };
	u64 sum = 0;
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	for (const FTSENT *e; tree && (e = fts_read(tree));)
		if (e->fts_info == FTS_F)
			sum += (u64)e->fts_statp->st_blocks * 512;
	if (tree)
		fts_close(tree);
	return sum;
}
