/*
 * qcow2_flush.c - writes what was changed in memory, in the order that qcow2.h draws. A step that the host refuses leaves everything
 * marked as changed: the next flush begins again.
 */
#include "images/qcow2.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GRAIN 512u	/* what the disk writes whole */

static int put(struct qcow2 *q, u64 offset, const void *buf, u64 len)
{
	int error = host_write(q->im->io, q->im->fd, offset, buf, len);
	q->wrote = true;
	if (!error && offset + len > q->file_end)
		q->file_end = offset + len;
	return error;
}

static int barrier(struct qcow2 *q)
{
	int error = host_sync(q->im->io, q->im->fd);
	if (!error)
		q->wrote = false;
	return error;
}

static int put_table(struct qcow2 *q, const struct qcow2_table *t)
{
	u32 lo = t->lo & ~(GRAIN - 1), hi = (t->hi + GRAIN - 1) & ~(GRAIN - 1);
	return put(q, t->offset + lo, t->data + lo, hi - lo);
}

static int put_tables(struct qcow2 *q, struct qcow2_cache *c, bool fresh)
{
	int error = 0;
	for (u32 i = 0; i < c->slots && c->dirty && !error; i++)
		if (c->slot[i].hi > c->slot[i].lo && c->slot[i].fresh == fresh)
			error = put_table(q, &c->slot[i]);
	return error;
}

static void mark_clean(struct qcow2_cache *c, bool fresh)
{
	for (u32 i = 0; i < c->slots && c->dirty; i++) {
		struct qcow2_table *t = &c->slot[i];
		if (t->hi <= t->lo || t->fresh != fresh)
			continue;
		t->lo = t->hi = 0;
		c->dirty--;
	}
}

/* What was written is referred to on disk now. */
static void mark_known(struct qcow2_cache *c)
{
	for (u32 i = 0; i < c->slots; i++)
		c->slot[i].fresh = false;
}

static bool any_fresh(const struct qcow2_cache *c)
{
	for (u32 i = 0; i < c->slots && c->dirty; i++)
		if (c->slot[i].fresh && c->slot[i].hi > c->slot[i].lo)
			return true;
	return false;
}

/* Entries lo..hi of a table of 64-bit numbers, to whole sectors. */
static int put_numbers(struct qcow2 *q, u64 at, const u64 *v, u32 size, u32 lo, u32 hi)
{
	u32 per = GRAIN / 8;
	lo = lo / per * per;
	hi = (hi + per - 1) / per * per;
	u8 *buf = host_alloc(q->im->io, hi - lo, 8);
	if (!buf)
		return ENOMEM;
	/* Behind a table's end, in its last sector, there is nothing else. */
	for (u32 i = lo; i < hi; i++)
		put_be64(buf + (i - lo) * 8, i < size ? v[i] : 0);
	int error = put(q, at + lo * 8ull, buf, (hi - lo) * 8ull);
	free(buf);
	return error;
}

/* Step 1. */
static int flush_new_refblocks(struct qcow2 *q)
{
	if (!q->reftable_moved && !any_fresh(&q->refblocks))
		return 0;
	int error = put_tables(q, &q->refblocks, true);
	if (!error && q->reftable_moved)
		error = put_numbers(q, q->reftable_offset, q->reftable, q->reftable_size, 0, q->reftable_size);
	if (!error)
		error = barrier(q);
	if (error)
		return error;
	mark_clean(&q->refblocks, true);
	mark_known(&q->refblocks);
	if (!q->reftable_moved)
		return 0;
	error = qcow2_update_header(q, q->features[0], q->features[2]);
	if (error)
		return error;
	q->reftable_moved = false;
	q->reftable_lo = q->reftable_hi = 0;
	qcow2_free_later(q, q->old_reftable_offset, q->old_reftable_clusters);	/* out of memory: leaked */
	return 0;
}

/* Step 2. */
static int flush_counts(struct qcow2 *q)
{
	bool l2 = any_fresh(&q->l2);
	if (!q->refblocks.dirty && !l2 && q->reftable_lo == q->reftable_hi)
		return 0;
	int error = 0;
	if (q->reftable_lo < q->reftable_hi)
		error = put_numbers(q, q->reftable_offset, q->reftable, q->reftable_size, q->reftable_lo, q->reftable_hi);
	if (!error)
		error = put_tables(q, &q->refblocks, false);
	if (!error && l2)
		error = put_tables(q, &q->l2, true);
	return error;
}

static bool pointers_changed(const struct qcow2 *q)
{
	return q->l2.dirty || q->l1_lo < q->l1_hi;
}

/* Step 3. */
static int flush_pointers(struct qcow2 *q)
{
	int error = put_tables(q, &q->l2, false);
	if (!error && q->l1_lo < q->l1_hi)
		error = put_numbers(q, q->l1_offset, q->l1, q->l1_size, q->l1_lo, q->l1_hi);
	if (!error)
		error = barrier(q);
	if (error)
		return error;
	mark_clean(&q->l2, false);
	mark_clean(&q->l2, true);
	mark_known(&q->l2);
	q->l1_lo = q->l1_hi = 0;
	return 0;
}

/* A longer L1 table is in its place, durable. */
static int name_new_l1(struct qcow2 *q)
{
	int error = qcow2_update_header(q, q->features[0], q->features[2]);
	if (error)
		return error;
	q->l1_moved = false;
	qcow2_free_later(q, q->old_l1_offset, q->old_l1_clusters);	/* out of memory: leaked */
	return 0;
}

/* Data behind the file's end that was only half written: a reader counts whole clusters. */
static int whole_file(struct qcow2 *q)
{
	u64 end = (q->file_end + GRAIN - 1) & ~(u64)(GRAIN - 1);
	int error = end == q->file_end ? 0 : host_resize(q->im->io, q->im->fd, end);
	if (!error)
		q->file_end = end;
	return error;
}

/* Step 4. Losing it leaks, so nothing waits for it to be durable. */
static int flush_freed(struct qcow2 *q)
{
	if (!q->pending_n)
		return 0;
	bool wrote = q->wrote;
	int error = qcow2_pending_apply(q);
	if (!error)
		error = put_tables(q, &q->refblocks, false);
	if (error)
		return error;
	mark_clean(&q->refblocks, false);
	q->wrote = wrote;
	return 0;
}

int qcow2_meta_flush(struct qcow2 *q)
{
	int error = whole_file(q);
	if (!error)
		error = flush_new_refblocks(q);
	if (error)
		return error;
	if (!q->refblocks.dirty && q->reftable_lo == q->reftable_hi && !pointers_changed(q) && !q->l1_moved && !q->pending_n)
		return 0;
	error = flush_counts(q);
	if (!error && q->wrote)
		error = barrier(q);
	if (error)
		return error;
	mark_clean(&q->refblocks, false);
	q->reftable_lo = q->reftable_hi = 0;
	if (pointers_changed(q))
		error = flush_pointers(q);
	if (!error && q->l1_moved)
		error = name_new_l1(q);
	return error ? error : flush_freed(q);
}

int qcow2_sync(struct qcow2 *q)
{
	int error = qcow2_meta_flush(q);
	return !error && q->wrote ? barrier(q) : error;
}
