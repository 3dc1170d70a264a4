/*
 * hostio.c - the host's files as image formats see them: whole transfers, errno as the result. See open(2), pwritev(2), fallocate(2).
 */
#define _GNU_SOURCE
#include "images/hostio.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZERO_PIECE (1u << 20)
/* The kernel moves less than 2 GiB at once, and a page less than that. */
#define MOVE_MAX (1u << 30)

static int posix_open(const struct hostio *io, const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static int posix_close(const struct hostio *io, int fd) { return close(fd); }

static ssize_t posix_preadv(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset)
{
	return preadv(fd, v, n, (off_t)offset);
}

static ssize_t posix_pwritev(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset)
{
	return pwritev(fd, v, n, (off_t)offset);
}

static off_t posix_lseek(const struct hostio *io, int fd, off_t offset, int whence) { return lseek(fd, offset, whence); }
static int posix_fdatasync(const struct hostio *io, int fd) { return fdatasync(fd); }
static int posix_ftruncate(const struct hostio *io, int fd, u64 size) { return ftruncate(fd, (off_t)size); }

static int posix_fallocate_hook(const struct hostio *io, int fd, int mode, u64 offset, u64 len)
{
	return fallocate(fd, mode, (off_t)offset, (off_t)len);
}

static int posix_rename(const struct hostio *io, const char *from, const char *to) { return rename(from, to); }
static int posix_unlink(const struct hostio *io, const char *path) { return unlink(path); }

static int posix_sync_folder(const struct hostio *io, const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	if (n >= sizeof(folder)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(folder, path, n);
	folder[n] = 0;
	int fd = open(!slash ? "." : n ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int result = fsync(fd), error = errno;
	close(fd);
	errno = error;
	return result;
}

static void *posix_alloc(const struct hostio *io, size_t bytes) { return calloc(1, bytes); }

const struct hostio host_posix = {
	.open = posix_open, .close = posix_close, .preadv = posix_preadv, .pwritev = posix_pwritev, .lseek = posix_lseek,
	.fdatasync = posix_fdatasync, .ftruncate = posix_ftruncate, .fallocate = posix_fallocate_hook, .rename = posix_rename,
	.unlink = posix_unlink, .sync_folder = posix_sync_folder, .alloc = posix_alloc,
};

/* Behind half of the host's memory the file is full: the guest is paused with a sentence, and the host lives. */
static ssize_t memory_pwritev(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset)
{
	if (offset / (u64)sysconf(_SC_PAGESIZE) > (u64)sysconf(_SC_PHYS_PAGES) / 2) {
		errno = ENOSPC;
		return -1;
	}
	return posix_pwritev(io, fd, v, n, offset);
}

const struct hostio host_memory = {
	.open = posix_open, .close = posix_close, .preadv = posix_preadv, .pwritev = memory_pwritev, .lseek = posix_lseek,
	.fdatasync = posix_fdatasync, .ftruncate = posix_ftruncate, .fallocate = posix_fallocate_hook, .rename = posix_rename,
	.unlink = posix_unlink, .sync_folder = posix_sync_folder, .alloc = posix_alloc,
};

int host_read(const struct hostio *io, int fd, u64 offset, void *buf, u64 len, u64 *missing)
{
	u8 *to = buf;
	while (len) {
		struct iovec v = { to, len < MOVE_MAX ? len : MOVE_MAX };
		ssize_t n = io->preadv(io, fd, &v, 1, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n)
			break;
		to += n, offset += (u64)n, len -= (u64)n;
	}
	memset(to, 0, len);
	if (missing)
		*missing = len;
	return 0;
}

int host_read_all(const struct hostio *io, int fd, u64 offset, void *buf, u64 len)
{
	u64 missing;
	int error = host_read(io, fd, offset, buf, len, &missing);
	return error ? error : missing ? EIO : 0;
}

/* Takes n bytes from the front of the list. */
static void advance(struct iovec **v, int *count, size_t n)
{
	while (*count && n >= (*v)->iov_len) {
		n -= (*v)->iov_len;
		++*v, --*count;
	}
	if (n) {
		(*v)->iov_base = (u8 *)(*v)->iov_base + n;
		(*v)->iov_len -= n;
	}
}

int host_writev(const struct hostio *io, int fd, u64 offset, struct iovec *v, int n)
{
	advance(&v, &n, 0);
	while (n) {
		ssize_t done = io->pwritev(io, fd, v, n < IOV_MAX ? n : IOV_MAX, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno;
		if (!done)
			return ENOSPC;
		offset += (u64)done;
		advance(&v, &n, (size_t)done);
	}
	return 0;
}

int host_write(const struct hostio *io, int fd, u64 offset, const void *buf, u64 len)
{
	struct iovec v = { (void *)buf, len };
	return host_writev(io, fd, offset, &v, 1);
}

int host_sync(const struct hostio *io, int fd) { return io->fdatasync(io, fd) ? errno : 0; }
int host_resize(const struct hostio *io, int fd, u64 size) { return io->ftruncate(io, fd, size) ? errno : 0; }
int host_rename(const struct hostio *io, const char *from, const char *to) { return io->rename(io, from, to) ? errno : 0; }
int host_unlink(const struct hostio *io, const char *path) { return io->unlink(io, path) ? errno : 0; }
int host_sync_folder(const struct hostio *io, const char *path) { return io->sync_folder(io, path) ? errno : 0; }

int host_size(const struct hostio *io, int fd, u64 *size)
{
	off_t end = io->lseek(io, fd, 0, SEEK_END);
	if (end < 0)
		return errno;
	*size = (u64)end;
	return 0;
}

static int allocate(const struct hostio *io, int fd, int mode, u64 offset, u64 len)
{
	if (!len)
		return 0;
	while (io->fallocate(io, fd, mode, offset, len)) {
		if (errno != EINTR)
			return errno == ENOSYS ? EOPNOTSUPP : errno;
	}
	return 0;
}

int host_punch(const struct hostio *io, int fd, u64 offset, u64 len)
{
	return allocate(io, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}

int host_reserve(const struct hostio *io, int fd, u64 offset, u64 len) { return allocate(io, fd, 0, offset, len); }

static int write_zeroes(const struct hostio *io, int fd, u64 offset, u64 len)
{
	size_t piece = len < ZERO_PIECE ? len : ZERO_PIECE;
	void *zero = host_alloc(io, 1, piece);
	int error = zero ? 0 : ENOMEM;
	for (u64 n; len && !error; offset += n, len -= n) {
		n = len < piece ? len : piece;
		error = host_write(io, fd, offset, zero, n);
	}
	free(zero);
	return error;
}

int host_zero(const struct hostio *io, int fd, u64 offset, u64 len)
{
	u64 size = 0;
	int error = len ? host_size(io, fd, &size) : 0;
	if (!len || error)
		return error;
	u64 inside = offset >= size ? 0 : len < size - offset ? len : size - offset;
	error = host_punch(io, fd, offset, inside);
	if (error && error != EIO && error != ENOSPC)
		error = write_zeroes(io, fd, offset, inside);
	if (!error && offset + len > size)
		error = host_resize(io, fd, offset + len);
	return error;
}

bool host_has_data(const struct hostio *io, int fd, u64 offset, u64 *len)
{
	off_t data = io->lseek(io, fd, (off_t)offset, SEEK_DATA);
	if (data < 0 && errno == ENXIO)		/* nothing but a hole to the end */
		return false;
	if (data < 0)
		return true;
	if ((u64)data > offset) {
		if ((u64)data - offset < *len)
			*len = (u64)data - offset;
		return false;
	}
	off_t hole = io->lseek(io, fd, (off_t)offset, SEEK_HOLE);
	if (hole > (off_t)offset && (u64)hole - offset < *len)
		*len = (u64)hole - offset;
	return true;
}

void *host_alloc(const struct hostio *io, size_t n, size_t bytes)
{
	if (bytes && n > SIZE_MAX / bytes)
		return NULL;
	return io->alloc(io, n && bytes ? n * bytes : 1);
}
