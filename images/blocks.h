/*
 * blocks.h - a disk in blocks that lie anywhere in a file, found through a table of 32-bit entries: what VDI, dynamic VHD, sparse VMDK
 * extents and Bochs' growing images have in common.
 *
 * A block in the file is `lead` bytes (a bitmap of its sectors, or nothing) and then block_bytes of data. A present entry n puts it at
 * base + n * unit. The whole table is in memory; its format reads and stores it.
 *
 * Order of writes: what a table entry points at is durable before the entry is stored, and new blocks lie behind all others. So a kill or
 * a power cut at any point leaves a table that points at whole blocks only; what it does not point at yet was not flushed.
 */
#ifndef RF_IMAGE_BLOCKS_H
#define RF_IMAGE_BLOCKS_H
#include "images/format.h"

#define BLOCK_HOLE 0xffffffffu	/* not here: the backing image has it, or zeroes */
#define BLOCK_ZERO 0xfffffffeu	/* zeroes */
#define BLOCK_BAD  0xfffffffdu	/* outside the file or on something else: EIO */
#define BLOCK_LAST 0xfffffffcu	/* the largest entry of a present block */
#define BLOCK_TABLE_MAX (1u << 25)	/* entries: 128 MiB of memory */

/* Bytes of the file, [at, at + len), that no block may be on. */
struct block_span { u64 at, len; };

struct block_map {
	/* The format sets these, and `entry`, before blocks_scan(). */
	struct image *im;		/* whose backing image fills holes; for messages */
	int fd;
	const char *path;		/* of the file that fd is */
	u64 disk_offset;		/* where on im's disk block 0 is */
	u64 size;			/* bytes of the disk in here */
	u32 count;			/* entries: at least size / block_bytes, rounded up */
	u32 block_bytes;		/* a power of two, at least 512 */
	u32 lead;			/* bytes, a multiple of 512 */
	u64 base;
	u32 unit;			/* a multiple of 512 */
	u64 first;			/* no block lies below this; the place of the first one */
	bool bitmap;			/* lead holds a bit a sector, set: the data is valid; else the sector is as in a hole */
	bool bitmap_msb;		/* the first sector is bit 7 */
	bool can_zero;			/* BLOCK_ZERO can be stored */
	bool store_once;		/* one store() a flush, from the first changed piece to the last */
	u32 align;			/* where the data of new blocks begins: a power of two; 0 if the place follows from `unit` */
	const struct block_span *reserved;	/* sorted, apart; valid in blocks_scan() and blocks_check() only */
	u32 reserved_count;
	/* Stores the entries [from, from + n) in the file. 0 or an errno. */
	int (*store)(struct block_map *m, u32 from, u32 n);
	void *owner;			/* for store */

	u32 *entry;			/* of blocks_table(): all BLOCK_HOLE */
	/* blocks.c's own: */
	u8 *dirty;			/* a bit for each piece of the table */
	u8 *whole;			/* a bit an entry: the bitmap is known to be all ones */
	bool any_dirty;
	u64 end;			/* behind the last block: where the next one goes */
	u64 file_end;			/* stale bytes may lie below this */
	u32 allocated;			/* present entries */
	u64 bad;			/* BLOCK_BAD entries */
};

/* Allocates `entry` for m->count entries. 0 or ENOMEM; blocks_free() frees. */
int  blocks_table(struct block_map *m);
void blocks_free(struct block_map *m);
/* Looks at all entries: those outside the file, unaligned, or on other blocks or reserved spans become BLOCK_BAD; counts them;
 * finds the end. 0 or ENOMEM. */
int  blocks_scan(struct block_map *m, u64 file_size);
/* After blocks_scan() in open(): false with a sentence if there are bad entries and the image is to be written without repair. */
bool blocks_acceptable(const struct block_map *m, char *err, size_t errsize);

/* As in struct image_format; offsets are those of this map. */
int  blocks_read(struct block_map *m, u64 offset, void *buf, u64 len);
int  blocks_write(struct block_map *m, u64 offset, const void *buf, u64 len);
int  blocks_write_zeroes(struct block_map *m, u64 offset, u64 len);
int  blocks_discard(struct block_map *m, u64 offset, u64 len);
int  blocks_extent(struct block_map *m, u64 offset, u64 len, struct image_extent *e);
int  blocks_flush(struct block_map *m);
/* Adds to the counts of image_check(), and names bad entries; with repair_all they become holes. */
int  blocks_check(struct block_map *m, struct image_check *c);

/* Entry i has changed: the next flush stores it. */
void blocks_touch(struct block_map *m, u32 i);

/* Where the data of a present entry is. */
static inline u64 blocks_place(const struct block_map *m, u32 entry) { return m->base + (u64)entry * m->unit + m->lead; }
#endif
