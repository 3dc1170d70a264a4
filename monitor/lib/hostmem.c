/*
 * hostmem.c - the one place that asks the host for memory files and large mappings.
 *
 * Invariant: a mapping of `size` bytes at p owns [p - HOSTMEM_GUARD, p + round_up(size) + HOSTMEM_GUARD) of the address space.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "monitor/lib/hostmem.h"

static u64 round_up(u64 size)
{
	return (size + PAGE_MASK) & ~(u64)PAGE_MASK;
}

int hostmem_file(const char *name, u64 size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

static u8 *map_guarded(int fd, u64 size, int flags)
{
	u64 body = round_up(size), whole = body + 2 * HOSTMEM_GUARD;
	u8 *base = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u8 *p;

	if (base == MAP_FAILED)
		return NULL;
	p = mmap(base + HOSTMEM_GUARD, body, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED) {
		int e = errno;

		munmap(base, whole);
		errno = e;
		return NULL;
	}
	return p;
}

u8 *hostmem_map_file(int fd, u64 size)
{
	return map_guarded(fd, size, MAP_SHARED);
}

u8 *hostmem_reserve(u64 size)
{
	return map_guarded(-1, size, MAP_PRIVATE | MAP_ANONYMOUS);
}

void hostmem_unmap(u8 *p, u64 size)
{
	if (p)
		munmap(p - HOSTMEM_GUARD, round_up(size) + 2 * HOSTMEM_GUARD);
}

void hostmem_discard(u8 *p, u64 size)
{
	bug_on(madvise(p, size, MADV_DONTNEED), "madvise of %llu bytes failed", (unsigned long long)size);
}

bool hostmem_file_clear(int fd, u64 size)
{
	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
}
