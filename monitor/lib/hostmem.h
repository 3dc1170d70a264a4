/*
 * hostmem.h - host memory mappings: sealed memory files for guest RAM, and large sparse areas.
 *
 * All areas read as zero until written, cost nothing until touched, and have an inaccessible guard on both sides. Functions that can
 * fail return NULL or -1 with errno set.
 */
#ifndef RF_HOSTMEM_H
#define RF_HOSTMEM_H
#include "monitor/lib/types.h"

#define HOSTMEM_GUARD (1ull << 20)	/* bytes without access before and behind each mapping */

/* A memory file of exactly `size` bytes that can neither grow nor shrink (so no SIGBUS can come of it). */
int  hostmem_file(const char *name, u64 size);
u8  *hostmem_map_file(int fd, u64 size);
bool hostmem_file_clear(int fd, u64 size);	/* all of it reads as zero again, and costs nothing */
u8  *hostmem_reserve(u64 size);		/* private memory */
void hostmem_unmap(u8 *p, u64 size);	/* from either of the two; NULL is fine */
/* Gives the pages of [p, p+size) back: they read as zero again. Private memory only; page-aligned. */
void hostmem_discard(u8 *p, u64 size);
#endif
