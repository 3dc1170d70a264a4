/*
 * hostio.h - what the image layer asks of the host, in one small table: tests put a table of their own there to cut, tear or fail it.
 *
 * The members of struct hostio behave as the system calls of their names (-1 or short counts, errno). Image formats call the
 * functions below instead, which give 0 or an errno, never do half of it silently, and go on after EINTR.
 */
#ifndef RF_IMAGE_HOSTIO_H
#define RF_IMAGE_HOSTIO_H
#include "monitor/lib/types.h"
#include <sys/types.h>
#include <sys/uio.h>

struct hostio {
	int (*open)(const struct hostio *io, const char *path, int flags, mode_t mode);
	int (*close)(const struct hostio *io, int fd);
	ssize_t (*preadv)(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset);
	ssize_t (*pwritev)(const struct hostio *io, int fd, const struct iovec *v, int n, u64 offset);
	off_t (*lseek)(const struct hostio *io, int fd, off_t offset, int whence);
	int (*fdatasync)(const struct hostio *io, int fd);
	int (*ftruncate)(const struct hostio *io, int fd, u64 size);
	int (*fallocate)(const struct hostio *io, int fd, int mode, u64 offset, u64 len);
	int (*rename)(const struct hostio *io, const char *from, const char *to);
	int (*unlink)(const struct hostio *io, const char *path);
	int (*sync_folder)(const struct hostio *io, const char *path);	/* fsync of the folder that the file `path` is in */
	void *(*alloc)(const struct hostio *io, size_t bytes);		/* zeroed; free() releases it */
};
extern const struct hostio host_posix;
extern const struct hostio host_memory;	/* for files in memory: they are full at half of what the host has */

/* Behind the file's end there are zeroes; *missing (may be NULL) is how many bytes of them. */
int host_read(const struct hostio *io, int fd, u64 offset, void *buf, u64 len, u64 *missing);
/* All of it must be there: EIO at the file's end. */
int host_read_all(const struct hostio *io, int fd, u64 offset, void *buf, u64 len);
int host_write(const struct hostio *io, int fd, u64 offset, const void *buf, u64 len);
/* Changes `v`. Any n: goes out in pieces of IOV_MAX. */
int host_writev(const struct hostio *io, int fd, u64 offset, struct iovec *v, int n);
int host_sync(const struct hostio *io, int fd);
int host_resize(const struct hostio *io, int fd, u64 size);
/* Bytes of a file or block device. */
int host_size(const struct hostio *io, int fd, u64 *size);
/* Gives the blocks back; the file keeps its size. A hint: EOPNOTSUPP where the host cannot make holes. */
int host_punch(const struct hostio *io, int fd, u64 offset, u64 len);
/* Zeroes there, the file grows if need be: a hole where the host can make one, else written. */
int host_zero(const struct hostio *io, int fd, u64 offset, u64 len);
/* Room for len bytes is taken on the host; the file grows if need be. EOPNOTSUPP where it cannot. */
int host_reserve(const struct hostio *io, int fd, u64 offset, u64 len);
int host_rename(const struct hostio *io, const char *from, const char *to);
int host_unlink(const struct hostio *io, const char *path);
int host_sync_folder(const struct hostio *io, const char *path);
/* True for data; `len` comes back as how far this goes, at most what it was. What the host does not know counts as data. */
bool host_has_data(const struct hostio *io, int fd, u64 offset, u64 *len);
/* NULL: out of memory. Zeroed. */
void *host_alloc(const struct hostio *io, size_t n, size_t bytes);
#endif
