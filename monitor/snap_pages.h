/*
 * snap_pages.h - pages of memory in snapshot files: chunks of 16 pages, packed, found through an index; a chain of files that build on
 * each other.
 *
 * A region is a piece of memory with a name: the guest's RAM, video memory. Each page of a chunk is in the file, or all zero, or (when the
 * file has a parent) as the parent has it.
 */
#ifndef RF_SNAP_PAGES_H
#define RF_SNAP_PAGES_H
#include "monitor/snap_file.h"

#define SNAP_CHUNK_PAGES 16u
#define SNAP_CHUNK_BYTES (SNAP_CHUNK_PAGES * PAGE_SIZE)
#define SNAP_REGIONS     4u
#define SNAP_CHAIN_MAX   256u

struct snap_chunk {
	u64 at;			/* in the file */
	u32 len, crc;		/* as it is stored; len is that of the pages when they would not shrink */
	u16 data, zero;		/* which of the 16 pages are stored; are zero */
};
struct snap_region {
	char name[16];
	u64 bytes;
	u32 chunks;
	struct snap_chunk *chunk;
};
struct snap_index { u32 regions; struct snap_region region[SNAP_REGIONS]; };

bool snap_index_add(struct snap_index *x, const char *name, u64 bytes);	/* all pages are the parent's; false: out of memory */
void snap_index_free(struct snap_index *x);
bool snap_index_save(const struct snap_index *x, struct snap_writer *w);
bool snap_index_load(struct snap_index *x, struct snap_file *f, char *err, size_t errsize);

/* What a thread needs to pack or unpack chunks. */
struct snap_work { u8 raw[SNAP_CHUNK_BYTES], packed[SNAP_CHUNK_BYTES + 1024]; };
/* Stores the pages of work->raw that `data` names, one after the other. */
bool snap_chunk_save(struct snap_writer *w, struct snap_work *work, struct snap_chunk *c);
/* Makes work->raw of them again. */
bool snap_chunk_load(const struct snap_file *f, const struct snap_chunk *c, struct snap_work *work, char *err, size_t errsize);
/* Where in work->raw page n of the chunk is. */
static inline u32 snap_chunk_place(const struct snap_chunk *c, u32 n)
{
	return (u32)__builtin_popcount(c->data & ((1u << n) - 1)) * PAGE_SIZE;
}

/* A snapshot and its ancestors, the snapshot first. */
struct snap_link { struct snap_file *file; struct snap_index index; };
struct snap_chain { u32 depth; struct snap_link *link; };
/* False with a sentence in err. */
bool snap_chain_open(struct snap_chain *c, const char *path, char *err, size_t errsize);
void snap_chain_close(struct snap_chain *c);
/* Which link has page n of this chunk; depth: none, which a damaged index can say. */
u32  snap_chain_find(const struct snap_chain *c, u32 region, u32 chunk, u32 n);
#endif
