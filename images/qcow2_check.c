/*
 * qcow2_check.c - counts what the tables refer to, compares with the reference counts, and repairs.
 *
 * Repair goes in an order that is safe to cut: counts that are too low are raised first, then the "copied" flags follow, then
 * counts that are too high come down, the dirty and corrupt bits last. Clusters for missing refcount blocks are taken behind the end.
 */
#include "images/qcow2.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTERS_MAX (1ull << 28)	/* 1.5 GiB of memory for it */
#define SAY_MAX      100u

struct walk {
	struct qcow2 *q;
	struct image_check *c;
	u64 clusters;
	u32 *refs;		/* a cluster: how often it is referred to */
	u16 *seen;		/* as an L2 table: number of the L1 table that has it */
	u16 number;
	u64 top;		/* clusters from here on were taken by the repair */
	u64 last_data;		/* for fragmentation */
	u32 said;
	u8 *l2;
	bool active;
	bool damaged;		/* beyond counts: not repaired here */
};

__attribute__((format(printf, 2, 3)))
static void say(struct walk *w, const char *fmt, ...)
{
	char line[200];
	va_list ap;
	if (!w->c->say || w->said++ >= SAY_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	w->c->say(w->c->arg, line);
}

static bool count(struct walk *w, u64 offset, u64 bytes, const char *what)
{
	const struct qcow2 *q = w->q;
	u64 first = offset >> q->cluster_bits, last = (offset + bytes - 1) >> q->cluster_bits;
	if (!bytes)
		return true;
	if (offset + bytes < offset || last >= w->clusters) {
		say(w, "%s at %#llx lies behind the end of the file", what, (unsigned long long)offset);
		w->c->corruptions++;
		w->damaged = true;
		return false;
	}
	for (u64 i = first; i <= last; i++)
		w->refs[i] += w->refs[i] < UINT32_MAX;
	return true;
}

static bool aligned(struct walk *w, u64 offset, const char *what)
{
	if (!qcow2_in_cluster(w->q, offset))
		return true;
	say(w, "%s at %#llx does not begin at a cluster", what, (unsigned long long)offset);
	w->c->corruptions++;
	w->damaged = true;
	return false;
}

static void count_entry(struct walk *w, u64 e)
{
	struct image_check *c = w->c;
	if (e & QCOW2_COMPRESSED) {
		u64 at;
		u32 bytes;
		qcow2_packed_place(w->q, e, &at, &bytes);
		/* Its last sector may be cut off by the end of the file. */
		u64 end = w->clusters << w->q->cluster_bits;
		if (at < end && bytes > end - at && bytes - (end - at) < 512)
			bytes = (u32)(end - at);
		bool ok = count(w, at, bytes, "compressed data");
		if (w->active && ok) {
			c->allocated_clusters++;
			c->compressed_clusters++;
			c->fragmented_clusters++;
		}
		return;
	}
	u64 at = e & QCOW2_OFFSET_MASK;
	if (!at || !aligned(w, at, "data") || !count(w, at, w->q->cluster_size, "data") || !w->active || (e & QCOW2_ZERO && w->q->version >= 3))
		return;
	c->allocated_clusters++;
	if (w->last_data && w->last_data + w->q->cluster_size != at)
		c->fragmented_clusters++;
	w->last_data = at;
}

static int read_l2(struct walk *w, u64 at)
{
	return host_read(w->q->im->io, w->q->im->fd, at, w->l2, w->q->cluster_size, NULL);
}

static void count_l1(struct walk *w, const u64 *l1, u32 size)
{
	const struct qcow2 *q = w->q;
	w->number++;
	for (u32 i = 0; i < size; i++) {
		u64 at = l1[i] & QCOW2_OFFSET_MASK;
		if (!at || !aligned(w, at, "an L2 table") || !count(w, at, q->cluster_size, "an L2 table"))
			continue;
		if (w->seen[at >> q->cluster_bits] == w->number) {
			say(w, "the L2 table at %#llx is there twice in one L1 table", (unsigned long long)at);
			w->c->corruptions++;
			w->damaged = true;
			continue;
		}
		w->seen[at >> q->cluster_bits] = w->number;
		if (read_l2(w, at)) {
			w->c->errors++;
			continue;
		}
		for (u32 k = 0; k < q->l2_entries; k++)
			count_entry(w, be64(w->l2 + k * 8));
	}
}

static int count_snapshot(void *arg, const struct qcow2_snapshot *s)
{
	struct walk *w = arg;
	u64 *l1;
	if (s->l1_size > QCOW2_L1_MAX / 8 || !aligned(w, s->l1_offset, "a snapshot's L1 table") ||
	    !count(w, s->l1_offset, s->l1_size * 8ull, "a snapshot's L1 table"))
		return 0;
	int error = qcow2_read_table(w->q, s->l1_offset, s->l1_size, &l1);
	if (error)
		return error;
	count_l1(w, l1, s->l1_size);
	free(l1);
	return 0;
}

/* A bitmap of the directory: its table, and what that names. */
static u64 count_bitmap(struct walk *w, const u8 *e, u64 left)
{
	u64 at = be64(e), whole = (24 + (u64)be32(e + 20) + be16(e + 18) + 7) & ~7ull, *table;
	u32 entries = be32(e + 8);
	if (whole > left)
		return left;
	if (entries > QCOW2_L1_MAX / 8 || !aligned(w, at, "a bitmap's table") || !count(w, at, entries * 8ull, "a bitmap's table"))
		return whole;
	if (qcow2_read_table(w->q, at, entries, &table)) {
		w->c->errors++;
		return whole;
	}
	for (u32 i = 0; i < entries; i++)
		if (table[i] & QCOW2_OFFSET_MASK)
			count(w, table[i] & QCOW2_OFFSET_MASK, w->q->cluster_size, "a bitmap");
	free(table);
	return whole;
}

static void count_bitmaps(struct walk *w)
{
	struct qcow2 *q = w->q;
	u64 bytes = q->bitmaps_bytes;
	if (!q->bitmaps_n || bytes > 64u << 20 || !count(w, q->bitmaps_offset, bytes, "the directory of bitmaps"))
		return;
	u8 *dir = host_alloc(q->im->io, 1, bytes);
	if (!dir || host_read(q->im->io, q->im->fd, q->bitmaps_offset, dir, bytes, NULL)) {
		w->c->errors++;
		free(dir);
		return;
	}
	u64 at = 0;
	for (u32 i = 0; i < q->bitmaps_n && at + 24 <= bytes; i++)
		at += count_bitmap(w, dir + at, bytes - at);
	free(dir);
}

static void count_reftable(struct walk *w)
{
	struct qcow2 *q = w->q;
	count(w, q->reftable_offset, q->reftable_size * 8ull, "the refcount table");
	for (u32 i = 0; i < q->reftable_size; i++) {
		u64 at = q->reftable[i] & ~511ull;
		if (at && aligned(w, at, "a refcount block"))
			count(w, at, q->cluster_size, "a refcount block");
	}
}

static void count_all(struct walk *w)
{
	struct qcow2 *q = w->q;
	u64 table_bytes = 0;
	count(w, 0, q->cluster_size, "the header");
	w->active = true;
	count(w, q->l1_offset, q->l1_size * 8ull, "the L1 table");
	count_l1(w, q->l1, q->l1_size);
	w->active = false;
	if (qcow2_snapshot_each(q, count_snapshot, w, &table_bytes))
		w->c->errors++;
	count(w, q->snapshots_offset, table_bytes, "the table of snapshots");
	count_bitmaps(w);
	count_reftable(w);
}

/* `fix` 1: counts that are too low; 2: too high. Counts what is wrong, or was fixed. */
static int compare(struct walk *w, int fix)
{
	struct qcow2 *q = w->q;
	u64 counted = (u64)q->reftable_size * q->refblock_entries, phantom = 0;
	for (u64 i = 0; i < w->clusters || (i < counted && phantom < q->refblock_entries); i++) {
		u64 is, refs = i < w->clusters ? w->refs[i] : 0;
		int error = qcow2_refcount_get(q, i, &is);
		if (error) {
			say(w, "the count of cluster %llu cannot be read", (unsigned long long)i);
			w->c->corruptions++;
			w->damaged = true;
			i += q->refblock_entries - 1 - i % q->refblock_entries;
			continue;
		}
		phantom = i < w->clusters || is ? 0 : phantom + 1;
		if (fix == 2 && i >= w->top && i < q->top)
			continue;
		if (refs)
			w->c->end_offset = (i + 1) << q->cluster_bits;
		if (is == refs)
			continue;
		if (!fix)
			say(w, "%s cluster %llu: counted %llu times, used %llu times", is < refs ? "damage:" : "leaked:", (unsigned long long)i,
			    (unsigned long long)is, (unsigned long long)refs);
		if (fix == (is < refs ? 1 : 2)) {
			error = refs > q->refcount_max ? EFBIG : qcow2_refcount_set(q, i, refs);
			if (error)
				return error;
			*(is < refs ? &w->c->corruptions_fixed : &w->c->leaks_fixed) += 1;
		} else if (!fix) {
			*(is < refs ? &w->c->corruptions : &w->c->leaks) += 1;
		}
	}
	return 0;
}

static bool wrong_flag(struct walk *w, u64 entry)
{
	u64 at = entry & QCOW2_OFFSET_MASK, refs = at >> w->q->cluster_bits < w->clusters ? w->refs[at >> w->q->cluster_bits] : 0;
	if (entry & QCOW2_COMPRESSED)
		return entry & QCOW2_COPIED;
	return at && refs && !qcow2_in_cluster(w->q, at) && (refs == 1) != !!(entry & QCOW2_COPIED);
}

/* The flags that say "this image's alone", of the tables that are in use now. */
static int check_flags(struct walk *w, bool fix)
{
	struct qcow2 *q = w->q;
	u64 *found = fix ? &w->c->corruptions_fixed : &w->c->corruptions;
	for (u32 i = 0; i < q->l1_size; i++) {
		u64 at = q->l1[i] & QCOW2_OFFSET_MASK;
		bool changed = false;
		if (!at || qcow2_in_cluster(q, at) || at >> q->cluster_bits >= w->clusters || read_l2(w, at))
			continue;
		if (wrong_flag(w, q->l1[i])) {
			++*found;
			if (fix) {
				q->l1[i] ^= QCOW2_COPIED;
				q->l1_lo = 0;
				q->l1_hi = q->l1_size;
			}
		}
		for (u32 k = 0; k < q->l2_entries; k++) {
			u64 e = be64(w->l2 + k * 8);
			if (!wrong_flag(w, e))
				continue;
			++*found;
			changed = true;
			put_be64(w->l2 + k * 8, e ^ QCOW2_COPIED);
		}
		if (!fix || !changed)
			continue;
		qcow2_cache_drop(&q->l2, at);
		int error = host_write(q->im->io, q->im->fd, at, w->l2, q->cluster_size);
		q->wrote = true;
		if (error)
			return error;
	}
	return 0;
}

static int repair(struct walk *w)
{
	struct qcow2 *q = w->q;
	struct image_check *c = w->c;
	bool far = q->far;
	q->far = true;
	w->top = q->top;
	/* Blocks where none can be are made anew. */
	for (u32 i = 0; i < q->reftable_size && c->repair_all; i++) {
		u64 at = q->reftable[i] & ~511ull;
		if (!at || (!qcow2_in_cluster(q, at) && at >> q->cluster_bits < w->clusters))
			continue;
		q->reftable[i] = 0;
		q->reftable_lo = 0;
		q->reftable_hi = q->reftable_size;
	}
	int error = c->repair_all ? compare(w, 1) : 0;
	if (!error)
		error = qcow2_sync(q);
	if (!error && c->repair_all)
		error = check_flags(w, true);
	if (!error)
		error = qcow2_sync(q);
	if (!error && !w->damaged)
		error = compare(w, 2);
	if (!error)
		error = qcow2_sync(q);
	q->far = far;
	q->free_at = 1;
	return error;
}

static int start(struct walk *w)
{
	struct qcow2 *q = w->q;
	int error = q->im->readonly ? 0 : qcow2_sync(q);
	if (error)
		return error;
	w->clusters = qcow2_clusters(q, q->file_end);
	if (w->clusters > CLUSTERS_MAX)
		return EFBIG;
	w->refs = host_alloc(q->im->io, w->clusters, sizeof(*w->refs));
	w->seen = host_alloc(q->im->io, w->clusters, sizeof(*w->seen));
	w->l2 = host_alloc(q->im->io, 1, q->cluster_size);
	return w->refs && w->seen && w->l2 ? 0 : ENOMEM;
}

static void forget_results(struct image_check *c)
{
	c->corruptions = c->leaks = c->errors = 0;
	c->total_clusters = c->allocated_clusters = c->fragmented_clusters = c->compressed_clusters = c->end_offset = 0;
}

static int check_once(struct qcow2 *q, struct image_check *c, bool fix)
{
	struct walk w = { .q = q, .c = c };
	int error = start(&w);
	forget_results(c);
	if (!error) {
		c->total_clusters = qcow2_clusters(q, q->im->size);
		count_all(&w);
		error = compare(&w, 0);
	}
	if (!error)
		error = check_flags(&w, false);
	if (!error && fix && !c->errors)
		error = repair(&w);
	free(w.refs);
	free(w.seen);
	free(w.l2);
	if (error)
		c->errors++;
	return error;
}

int qcow2_check(struct image *im, struct image_check *c)
{
	struct qcow2 *q = im->state;
	bool fix = c->repair_leaks || c->repair_all;
	pthread_mutex_lock(&q->lock);
	c->corruptions_fixed = c->leaks_fixed = 0;
	int error = check_once(q, c, fix);
	if (!error && fix && (c->corruptions || c->leaks)) {
		void (*said)(void *arg, const char *sentence) = c->say;
		c->say = NULL;
		error = check_once(q, c, false);
		c->say = said;
	}
	u64 bad = QCOW2_DIRTY | QCOW2_CORRUPT;
	if (!error && c->repair_all && !c->corruptions && !c->errors && q->features[0] & bad)
		error = qcow2_update_header(q, q->features[0] & ~bad, q->features[2]);
	pthread_mutex_unlock(&q->lock);
	return error;
}
