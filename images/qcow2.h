/*
 * qcow2.h - the parts of the qcow2 format to each other. Source: QEMU's docs/interop/qcow2.txt, versions 2 and 3.
 *
 * Order is what keeps an image whole. Nothing on disk refers to a cluster before the cluster's content and its reference count are
 * durable; no count goes down before nothing durable refers to the cluster; a cluster that was given up is not used again before that.
 * So all metadata that was changed stays in memory until qcow2_meta_flush(), which writes it in steps with a barrier after each:
 *
 *     1. new refcount blocks, a new refcount table            (rare; then the header that names the table)
 *     2. entries of the refcount table, counts that went up, new L2 tables; data was written before
 *     3. L2 tables that were there before, L1 entries
 *     4. counts that went down: no barrier, a cut leaves clusters that are counted though unused ("leaked")
 *
 * Step 2's barrier makes the data durable as well, so a flush that has allocated costs two, any other one. Tables are bounded in
 * memory: a cache full of changed ones is flushed the same way.
 */
#ifndef RF_QCOW2_H
#define RF_QCOW2_H
#include "images/bytes.h"
#include "images/format.h"

#define QCOW2_MAGIC       0x514649fbu
#define QCOW2_OFFSET_MASK 0x00fffffffffffe00ull
#define QCOW2_COPIED      (1ull << 63)
#define QCOW2_COMPRESSED  (1ull << 62)
#define QCOW2_ZERO        1ull
#define QCOW2_L1_MAX      (32u << 20)	/* bytes; QEMU's bound as well */
#define QCOW2_REFTABLE_MAX (8u << 20)

enum { QCOW2_DIRTY = 1, QCOW2_CORRUPT = 2, QCOW2_EXTERNAL = 4, QCOW2_COMPRESSION = 8, QCOW2_EXTENDED_L2 = 16 };	/* incompatible features */

/* One cluster of metadata in memory, as it is on disk. */
struct qcow2_table {
	u64 offset;		/* in the file; 0: this slot is free */
	u8 *data;		/* of a cluster, once it was used */
	u32 lo, hi;		/* bytes changed: [lo, hi) */
	bool fresh;		/* nothing on disk refers to it yet */
	bool used;		/* lately: second chance */
	s32 next;		/* in its hash chain; -1: last */
};
struct qcow2_cache {
	struct qcow2_table *slot;
	s32 *hash;
	u32 slots, hand;
	u32 dirty;		/* slots with changes */
};
struct qcow2_free { u64 cluster; u32 count; };	/* `count` references to give up */

struct qcow2 {
	struct image *im;
	pthread_mutex_t lock;	/* everything below */
	u32 version, cluster_bits, cluster_size, l2_entries;
	u32 refcount_order, refblock_entries;
	u64 refcount_max;
	u64 features[3];	/* incompatible, compatible, autoclear: of the header on disk */
	u32 header_length;
	u8 crypt_method;
	bool snapshot_open;	/* read from a snapshot's L1 table */
	u64 *l1;		/* host order */
	u32 l1_size, l1_room;
	u64 l1_offset;
	u32 l1_lo, l1_hi;	/* entries changed */
	bool l1_moved;		/* the header on disk still names the old one */
	u64 old_l1_offset;
	u32 old_l1_clusters;
	u64 *reftable;
	u32 reftable_size;	/* entries */
	u64 reftable_offset;
	u32 reftable_lo, reftable_hi;
	bool reftable_moved;	/* the header on disk still names the old one */
	u64 old_reftable_offset;
	u32 old_reftable_clusters;
	struct qcow2_cache l2, refblocks;
	u64 file_end;		/* bytes; nothing was ever written behind */
	u64 free_at;		/* no free cluster before this one */
	u64 top;		/* no cluster from this one on was ever taken */
	bool far;		/* take clusters from `top` on only: in repair, counts are not to be trusted */
	struct qcow2_free *pending;
	u32 pending_n, pending_room, pending_limit;
	u64 packed_at;		/* where the next compressed cluster goes; 0: a new host cluster */
	bool wrote;		/* something is not durable */
	u64 snapshots_offset;
	u32 snapshots_n;
	u64 bitmaps_offset, bitmaps_bytes;
	u32 bitmaps_n;
	u8 *unknown_ext;	/* header extensions that are kept as they are */
	u32 unknown_ext_bytes;
};

static inline u64 qcow2_clusters(const struct qcow2 *q, u64 bytes) { return (bytes + q->cluster_size - 1) >> q->cluster_bits; }
static inline u64 qcow2_in_cluster(const struct qcow2 *q, u64 offset) { return offset & (q->cluster_size - 1); }

/* qcow2_header.c */
bool qcow2_read_header(struct qcow2 *q, char *err, size_t errsize);
/* Durable when 0: features, tables and size, in the header's first sector. */
int  qcow2_update_header(struct qcow2 *q, u64 incompatible, u64 autoclear);
bool qcow2_set_backing(struct image *im, const char *backing, const char *backing_format, char *err, size_t errsize);
/* Header, extensions and backing name into `out` of a cluster; false if that does not fit. */
bool qcow2_make_header(const struct qcow2 *q, u64 size, const char *backing, const char *backing_format, u32 name_at, u8 *out, u32 *used);

/* qcow2_cache.c */
bool qcow2_cache_init(struct qcow2 *q, struct qcow2_cache *c, u32 slots);
void qcow2_cache_fini(struct qcow2_cache *c);
/* The table at that offset, read if need be. May flush. */
int  qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *c, u64 offset, struct qcow2_table **t);
/* A free slot for a table that is new: zeroed, fresh, all of it changed. */
int  qcow2_cache_new(struct qcow2 *q, struct qcow2_cache *c, u64 offset, struct qcow2_table **t);
/* The slot now holds the same content for another place. */
void qcow2_cache_move(struct qcow2_cache *c, struct qcow2_table *t, u64 offset);
void qcow2_cache_dirty(struct qcow2_cache *c, struct qcow2_table *t, u32 lo, u32 hi);
/* Forgets a table, changed or not. */
void qcow2_cache_drop(struct qcow2_cache *c, u64 offset);

/* qcow2_flush.c */
int  qcow2_meta_flush(struct qcow2 *q);
/* Everything durable. */
int  qcow2_sync(struct qcow2 *q);

/* qcow2_refcount.c */
int  qcow2_refcount_get(struct qcow2 *q, u64 cluster, u64 *count);
int  qcow2_refcount_set(struct qcow2 *q, u64 cluster, u64 count);
u64  qcow2_refcount_read(const struct qcow2 *q, const u8 *block, u32 i);
void qcow2_refcount_write(const struct qcow2 *q, u8 *block, u32 i, u64 count);
/* At least one cluster, at most *n, side by side; all: exactly *n. Their counts are 1 then. */
int  qcow2_alloc(struct qcow2 *q, u64 *n, bool all, u64 *offset);
/* Gives up clusters that nothing ever referred to, as after an error. */
void qcow2_unalloc(struct qcow2 *q, u64 offset, u64 n);
/* Gives up references, once the change that drops them is durable. */
int  qcow2_free_later(struct qcow2 *q, u64 offset, u64 n);
/* What the L2 entry refers to. */
int  qcow2_free_entry(struct qcow2 *q, u64 entry);
/* Makes room so that the next qcow2_free_later() calls of an operation cannot fail: flushes when much is pending. */
int  qcow2_pending_room(struct qcow2 *q, u32 n);
int  qcow2_pending_apply(struct qcow2 *q);

/* qcow2_map.c */
/* Compressed data of an L2 entry: where, and how long at most. */
void qcow2_packed_place(const struct qcow2 *q, u64 entry, u64 *offset, u32 *bytes);
int  qcow2_l2_entry(struct qcow2 *q, u64 offset, u64 *entry);
/* The L2 table that maps `offset`, ours to change. */
int  qcow2_l2_writable(struct qcow2 *q, u64 offset, struct qcow2_table **t);
void qcow2_l2_set(struct qcow2 *q, struct qcow2_table *t, u32 i, u64 entry);
int  qcow2_unpack(struct qcow2 *q, u64 entry, u8 *out);
int  qcow2_extent(struct image *im, u64 offset, u64 len, struct image_extent *e);
int  qcow2_read(struct image *im, u64 offset, void *buf, u64 len);

/* qcow2_write.c; the lock is held where it takes a struct qcow2 */
int  qcow2_write(struct image *im, u64 offset, const void *buf, u64 len);
int  qcow2_write_zeroes(struct image *im, u64 offset, u64 len);
int  qcow2_zero(struct qcow2 *q, u64 offset, u64 len, bool discard);
int  qcow2_discard(struct image *im, u64 offset, u64 len);
int  qcow2_write_compressed(struct image *im, u64 offset, const void *buf, u64 len);

/* qcow2_create.c */
bool qcow2_create(struct image *im, const struct image_create *how, char *err, size_t errsize);
bool qcow2_resize(struct image *im, u64 size, char *err, size_t errsize);

/* qcow2_check.c, qcow2_repair.c */
int  qcow2_check(struct image *im, struct image_check *c);

/* qcow2_snapshot.c */
struct qcow2_snapshot { u64 l1_offset; u32 l1_size; struct image_snapshot info; char id[64], name[256]; };
int  qcow2_snapshot_each(struct qcow2 *q, int (*each)(void *arg, const struct qcow2_snapshot *s), void *arg, u64 *table_bytes);
int  qcow2_snapshots(struct image *im, void (*each)(void *arg, const struct image_snapshot *s), void *arg);
bool qcow2_snapshot_open(struct qcow2 *q, const char *name, char *err, size_t errsize);
/* L1-like tables: host order, of malloc. */
int  qcow2_read_table(struct qcow2 *q, u64 offset, u32 entries, u64 **table);
#endif
