/*
 * qcow2_refcount.c - how often each cluster of the file is referred to, and clusters taken and given back by that.
 *
 * A refcount block lies in the first cluster of the stretch that it counts, so that it counts itself. Counts in memory go up at
 * once; they go down in qcow2_pending_apply(), when nothing durable refers to the cluster any more.
 */
#include "images/qcow2.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OFFSET_MAX (1ull << 56)
/* Counted clusters behind the file's end: a cut may leave some, a damaged image any number. */
#define PHANTOM_MAX (1u << 20)

u64 qcow2_refcount_read(const struct qcow2 *q, const u8 *block, u32 i)
{
	switch (q->refcount_order) {
	case 3: return block[i];
	case 4: return be16(block + i * 2);
	case 5: return be32(block + i * 4);
	case 6: return be64(block + i * 8ull);
	}
	u32 bits = 1u << q->refcount_order, per = 8 / bits;
	return (u64)(block[i / per] >> (i % per * bits)) & ((1u << bits) - 1);
}

void qcow2_refcount_write(const struct qcow2 *q, u8 *block, u32 i, u64 count)
{
	switch (q->refcount_order) {
	case 3: block[i] = (u8)count; return;
	case 4: put_be16(block + i * 2, (u16)count); return;
	case 5: put_be32(block + i * 4, (u32)count); return;
	case 6: put_be64(block + i * 8ull, count); return;
	}
	u32 bits = 1u << q->refcount_order, per = 8 / bits, shift = i % per * bits;
	block[i / per] = (u8)((block[i / per] & ~(((1u << bits) - 1) << shift)) | count << shift);
}

/* NULL without an error: nothing there is counted. */
static int block_of(struct qcow2 *q, u64 cluster, struct qcow2_table **t)
{
	u64 i = cluster / q->refblock_entries;
	*t = NULL;
	if (i >= q->reftable_size || !(q->reftable[i] & ~511ull))
		return 0;
	return qcow2_cache_get(q, &q->refblocks, q->reftable[i] & ~511ull, t);
}

static void put_count(struct qcow2 *q, struct qcow2_table *t, u64 cluster, u64 count)
{
	u32 i = (u32)(cluster % q->refblock_entries);
	qcow2_refcount_write(q, t->data, i, count);
	u32 byte = (u32)(((u64)i << q->refcount_order) / 8), width = q->refcount_order > 3 ? 1u << (q->refcount_order - 3) : 1;
	qcow2_cache_dirty(&q->refblocks, t, byte, byte + width);
}

int qcow2_refcount_get(struct qcow2 *q, u64 cluster, u64 *count)
{
	struct qcow2_table *t;
	int error = block_of(q, cluster, &t);
	*count = t && !error ? qcow2_refcount_read(q, t->data, (u32)(cluster % q->refblock_entries)) : 0;
	return error;
}

static int table_grow(struct qcow2 *q, u64 index);

/* A new block counts itself. Its slot comes first: getting one may flush. */
static int block_new(struct qcow2 *q, u64 index)
{
	struct qcow2_table *t;
	u64 cluster = index * q->refblock_entries;
	if (cluster << q->cluster_bits >= OFFSET_MAX)
		return EFBIG;
	int error = index >= q->reftable_size ? table_grow(q, index) : 0;
	if (error || (index < q->reftable_size && q->reftable[index]))
		return error;
	if (q->far)
		cluster = q->top++;
	error = qcow2_cache_new(q, &q->refblocks, cluster << q->cluster_bits, &t);
	if (error)
		return error;
	if (cluster / q->refblock_entries == index)
		put_count(q, t, cluster, 1);
	q->reftable[index] = cluster << q->cluster_bits;
	if (q->reftable_lo == q->reftable_hi) {
		q->reftable_lo = (u32)index;
		q->reftable_hi = (u32)index + 1;
	}
	q->reftable_lo = index < q->reftable_lo ? (u32)index : q->reftable_lo;
	q->reftable_hi = index >= q->reftable_hi ? (u32)index + 1 : q->reftable_hi;
	return cluster / q->refblock_entries == index ? 0 : qcow2_refcount_set(q, cluster, 1);
}

static int block_for_change(struct qcow2 *q, u64 cluster, struct qcow2_table **t)
{
	int error = block_of(q, cluster, t);
	if (!error && !*t) {
		error = block_new(q, cluster / q->refblock_entries);
		if (!error)
			error = block_of(q, cluster, t);
	}
	return error ? error : *t ? 0 : EIO;
}

int qcow2_refcount_set(struct qcow2 *q, u64 cluster, u64 count)
{
	struct qcow2_table *t;
	int error = block_for_change(q, cluster, &t);
	if (error)
		return error;
	put_count(q, t, cluster, count);
	if (count && cluster >= q->top)
		q->top = cluster + 1;
	return 0;
}

/* Clusters side by side behind all others. Blocks that must be made to count them go behind them. */
static int alloc_far(struct qcow2 *q, u64 n, u64 *offset)
{
	u64 start = q->top, i = 0;
	bool far = q->far;
	int error = (start + n) << q->cluster_bits >= OFFSET_MAX ? EFBIG : 0;
	q->top += error ? 0 : n;
	q->far = true;
	while (i < n && !error) {
		error = qcow2_refcount_set(q, start + i, 1);
		i += !error;
	}
	q->far = far;
	if (error)
		qcow2_unalloc(q, start << q->cluster_bits, i);
	*offset = start << q->cluster_bits;
	return error;
}

/* Clusters of a refcount table that reaches `index`, and beyond what it takes itself. */
static u64 table_clusters(const struct qcow2 *q, u64 index)
{
	u64 per = q->cluster_size / 8, n = qcow2_clusters(q, q->reftable_size * 8ull);
	n += (n + 1) / 2;
	for (;; n++) {
		u64 last = (q->top + n + n / q->refblock_entries + 4) / q->refblock_entries + 2;
		if (n * per > (last > index ? last : index))
			return n;
	}
}

static void table_undo(struct qcow2 *q, u64 *old, u32 old_size)
{
	/* Blocks that were made for the longer table are nobody's now; nothing refers to them. */
	for (u32 i = old_size; i < q->reftable_size; i++)
		if (q->reftable[i])
			qcow2_cache_drop(&q->refblocks, q->reftable[i]);
	memcpy(old, q->reftable, old_size * 8ull);
	free(q->reftable);
	q->reftable = old;
	q->reftable_size = old_size;
	q->reftable_hi = q->reftable_hi > old_size ? old_size : q->reftable_hi;
	q->reftable_lo = q->reftable_lo > q->reftable_hi ? q->reftable_hi : q->reftable_lo;
}

/* A larger refcount table. The header is told at the next flush. */
static int table_grow(struct qcow2 *q, u64 index)
{
	u64 n = table_clusters(q, index), clusters = qcow2_clusters(q, q->reftable_size * 8ull);
	if (n << q->cluster_bits > QCOW2_REFTABLE_MAX)
		return EFBIG;
	u64 *table = host_alloc(q->im->io, n * (q->cluster_size / 8), 8), *old = q->reftable;
	if (!table)
		return ENOMEM;
	u32 old_size = q->reftable_size;
	u64 old_offset = q->reftable_offset, offset;
	memcpy(table, old, old_size * 8ull);
	q->reftable = table;
	q->reftable_size = (u32)(n * (q->cluster_size / 8));
	int error = alloc_far(q, n, &offset);
	if (error) {
		table_undo(q, old, old_size);
		return error;
	}
	q->reftable_offset = offset;
	if (q->reftable_moved) {	/* the last one was never written */
		qcow2_unalloc(q, old_offset, clusters);
	} else {
		q->reftable_moved = true;
		q->old_reftable_offset = old_offset;
		q->old_reftable_clusters = (u32)clusters;
	}
	free(old);
	return 0;
}

/* How many clusters from `cluster` on are free, at most n; it stops at the end of the block's stretch. */
static u64 free_run(const struct qcow2 *q, const struct qcow2_table *t, u64 cluster, u64 n)
{
	u32 i = (u32)(cluster % q->refblock_entries), run = 0;
	u64 left = q->refblock_entries - i;
	n = n < left ? n : left;
	while (run < n && !qcow2_refcount_read(q, t->data, i + run))
		run++;
	return run;
}

/* The first cluster from *cluster on that is free, or whose stretch has no block yet. */
static int next_free(struct qcow2 *q, u64 *cluster)
{
	while (*cluster <= q->top + PHANTOM_MAX) {
		struct qcow2_table *t;
		int error = block_of(q, *cluster, &t);
		if (error || !t)
			return error;
		u32 i = (u32)(*cluster % q->refblock_entries), from = i;
		while (i < q->refblock_entries && qcow2_refcount_read(q, t->data, i))
			i++;
		*cluster += i - from;
		if (i < q->refblock_entries)
			return 0;
	}
	return EIO;
}

int qcow2_alloc(struct qcow2 *q, u64 *n, bool all, u64 *offset)
{
	if (q->far || (all && *n > 1))
		return alloc_far(q, *n, offset);
	for (u64 at = q->free_at;; at++) {
		struct qcow2_table *t;
		int error = next_free(q, &at);
		if (!error)
			error = at << q->cluster_bits >= OFFSET_MAX ? EFBIG : block_for_change(q, at, &t);
		u64 run = error ? 0 : free_run(q, t, at, *n);
		if (!error && !run)	/* taken by its own block just now */
			continue;
		if (error)
			return error;
		for (u64 i = 0; i < run; i++)
			put_count(q, t, at + i, 1);
		q->free_at = at + run;
		q->top = q->free_at > q->top ? q->free_at : q->top;
		*n = run;
		*offset = at << q->cluster_bits;
		return 0;
	}
}

void qcow2_unalloc(struct qcow2 *q, u64 offset, u64 n)
{
	u64 first = offset >> q->cluster_bits;
	for (u64 i = 0; i < n; i++)
		qcow2_refcount_set(q, first + i, 0);	/* an error leaks it */
	if (n && first < q->free_at)
		q->free_at = first;
	if (q->packed_at && q->packed_at >= offset && q->packed_at < offset + (n << q->cluster_bits))
		q->packed_at = 0;
}

/* --- giving up --- */

int qcow2_pending_room(struct qcow2 *q, u32 n)
{
	if (q->pending_n + n > q->pending_limit && q->pending_n) {
		int error = qcow2_meta_flush(q);
		if (error)
			return error;
	}
	if (q->pending_n + n <= q->pending_room)
		return 0;
	u32 room = (q->pending_n + n) * 2;
	struct qcow2_free *p = realloc(q->pending, room * sizeof(*p));
	if (!p)
		return ENOMEM;
	q->pending = p;
	q->pending_room = room;
	return 0;
}

int qcow2_free_later(struct qcow2 *q, u64 offset, u64 n)
{
	u64 cluster = offset >> q->cluster_bits;
	for (u64 i = 0; i < n; i++, cluster++) {
		struct qcow2_free *last = q->pending_n ? &q->pending[q->pending_n - 1] : NULL;
		if (last && last->cluster == cluster) {
			last->count++;
			continue;
		}
		if (q->pending_n == q->pending_room) {
			u32 room = q->pending_room * 2 + 16;
			struct qcow2_free *p = realloc(q->pending, room * sizeof(*p));
			if (!p)
				return ENOMEM;
			q->pending = p;
			q->pending_room = room;
		}
		q->pending[q->pending_n++] = (struct qcow2_free){ cluster, 1 };
	}
	return 0;
}

int qcow2_free_entry(struct qcow2 *q, u64 entry)
{
	if (entry & QCOW2_COMPRESSED) {
		u64 at;
		u32 bytes;
		qcow2_packed_place(q, entry, &at, &bytes);
		u64 first = at >> q->cluster_bits, last = (at + bytes - 1) >> q->cluster_bits;
		return qcow2_free_later(q, first << q->cluster_bits, last - first + 1);
	}
	return entry & QCOW2_OFFSET_MASK ? qcow2_free_later(q, entry & QCOW2_OFFSET_MASK, 1) : 0;
}

int qcow2_pending_apply(struct qcow2 *q)
{
	while (q->pending_n) {
		struct qcow2_free f = q->pending[q->pending_n - 1];
		u64 count;
		int error = qcow2_refcount_get(q, f.cluster, &count);
		/* In a damaged image less may be counted than is used: then it stays as it is. */
		if (!error && count)
			error = qcow2_refcount_set(q, f.cluster, count > f.count ? count - f.count : 0);
		if (error)
			return error;
		q->pending_n--;
		if (count > f.count)
			continue;
		if (f.cluster < q->free_at)
			q->free_at = f.cluster;
		if (q->packed_at >> q->cluster_bits == f.cluster)
			q->packed_at = 0;
		/* A table that lay there is gone. */
		qcow2_cache_drop(&q->l2, f.cluster << q->cluster_bits);
	}
	return 0;
}
