/*
 * qcow2_map.c - from the guest's offsets to clusters of the file, by L1 and L2 tables; reading.
 *
 * Reads look up under the lock and fetch data without it: a cluster that is given up is not used again before the next flush, and a
 * guest that reads what it discards or overwrites meanwhile has no right to either content.
 */
#include "images/qcow2.h"
#include "monitor/lib/zio.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void qcow2_packed_place(const struct qcow2 *q, u64 entry, u64 *offset, u32 *bytes)
{
	u32 shift = 62 - (q->cluster_bits - 8);
	*offset = entry & ((1ull << shift) - 1);
	u32 sectors = (u32)(entry >> shift & ((1u << (q->cluster_bits - 8)) - 1)) + 1;
	*bytes = sectors * 512 - (u32)(*offset & 511);
}

static u32 l1_index(const struct qcow2 *q, u64 offset) { return (u32)(offset >> q->cluster_bits) / q->l2_entries; }
static u32 l2_index(const struct qcow2 *q, u64 offset) { return (u32)(offset >> q->cluster_bits & (q->l2_entries - 1)); }

/* NULL: nothing of that L1 entry is here. */
static int l2_table(struct qcow2 *q, u64 offset, struct qcow2_table **t)
{
	u64 i = offset >> q->cluster_bits >> (q->cluster_bits - 3);
	*t = NULL;
	if (i >= q->l1_size)
		return EIO;
	u64 at = q->l1[i] & QCOW2_OFFSET_MASK;
	return at ? qcow2_cache_get(q, &q->l2, at, t) : 0;
}

int qcow2_l2_entry(struct qcow2 *q, u64 offset, u64 *entry)
{
	struct qcow2_table *t;
	int error = l2_table(q, offset, &t);
	*entry = t && !error ? be64(t->data + l2_index(q, offset) * 8) : 0;
	return error;
}

static void l1_set(struct qcow2 *q, u32 i, u64 entry)
{
	q->l1[i] = entry;
	if (q->l1_lo == q->l1_hi) {
		q->l1_lo = i;
		q->l1_hi = i + 1;
	}
	q->l1_lo = i < q->l1_lo ? i : q->l1_lo;
	q->l1_hi = i >= q->l1_hi ? i + 1 : q->l1_hi;
}

int qcow2_l2_writable(struct qcow2 *q, u64 offset, struct qcow2_table **t)
{
	u32 i = l1_index(q, offset);
	int error = l2_table(q, offset, t);
	if (error || (*t && q->l1[i] & QCOW2_COPIED))
		return error;
	u64 n = 1, at, old = q->l1[i] & QCOW2_OFFSET_MASK;
	error = qcow2_pending_room(q, 1);
	if (!error)
		error = qcow2_alloc(q, &n, true, &at);
	if (error)
		return error;
	error = old ? qcow2_cache_get(q, &q->l2, old, t) : qcow2_cache_new(q, &q->l2, at, t);
	if (error) {
		qcow2_unalloc(q, at, n);
		return error;
	}
	if (old) {		/* a snapshot has this table too: it stays where it is */
		qcow2_cache_move(&q->l2, *t, at);
		(*t)->fresh = true;
		qcow2_cache_dirty(&q->l2, *t, 0, q->cluster_size);
		qcow2_free_later(q, old, 1);
	}
	l1_set(q, i, at | QCOW2_COPIED);
	return 0;
}

void qcow2_l2_set(struct qcow2 *q, struct qcow2_table *t, u32 i, u64 entry)
{
	put_be64(t->data + i * 8, entry);
	qcow2_cache_dirty(&q->l2, t, i * 8, i * 8 + 8);
}

int qcow2_unpack(struct qcow2 *q, u64 entry, u8 *out)
{
	u64 at;
	u32 bytes;
	qcow2_packed_place(q, entry, &at, &bytes);
	if (at >= q->file_end)
		return EIO;
	u8 *in = host_alloc(q->im->io, 1, bytes);
	if (!in)
		return ENOMEM;
	int error = host_read(q->im->io, q->im->fd, at, in, bytes, NULL);
	size_t n = error ? 0 : zio_unpack(ZIO_RAW, in, bytes, out, q->cluster_size);
	free(in);
	return error ? error : n == q->cluster_size ? 0 : EIO;
}

/* What lies at `offset`: its entry, and how far it goes on alike and side by side, at most `len`. */
static int look_up(struct qcow2 *q, u64 offset, u64 *len, u64 *entry)
{
	struct qcow2_table *t;
	u64 most = *len, in = qcow2_in_cluster(q, offset), run = q->cluster_size - in;
	int error = l2_table(q, offset, &t);
	if (error)
		return error;
	u32 i = l2_index(q, offset);
	u64 e = t ? be64(t->data + i * 8) : 0, next = e, step = e & QCOW2_OFFSET_MASK ? q->cluster_size : 0;
	*entry = e;
	if (!(e & QCOW2_COMPRESSED)) {
		for (u32 k = i + 1; run < most && k < q->l2_entries; k++, run += q->cluster_size) {
			next += step;
			u64 got = t ? be64(t->data + k * 8) : 0;
			if ((got ^ next) & ~QCOW2_COPIED)
				break;
		}
		if (e & QCOW2_OFFSET_MASK && (e & QCOW2_OFFSET_MASK & (q->cluster_size - 1)))
			return EIO;
	}
	*len = run < most ? run : most;
	return 0;
}

static bool is_zero(const struct qcow2 *q, u64 entry) { return q->version >= 3 && entry & QCOW2_ZERO && !(entry & QCOW2_COMPRESSED); }

int qcow2_extent(struct image *im, u64 offset, u64 len, struct image_extent *e)
{
	struct qcow2 *q = im->state;
	u64 entry;
	pthread_mutex_lock(&q->lock);
	int error = look_up(q, offset, &len, &entry);
	pthread_mutex_unlock(&q->lock);
	if (error)
		return error;
	u64 at = entry & QCOW2_OFFSET_MASK;
	e->len = len;
	e->compressed = entry & QCOW2_COMPRESSED;
	e->kind = e->compressed ? IMAGE_DATA : is_zero(q, entry) ? IMAGE_ZERO : at ? IMAGE_DATA : IMAGE_HOLE;
	e->file_offset = e->kind == IMAGE_DATA && !e->compressed ? at + qcow2_in_cluster(q, offset) : ~0ull;
	return 0;
}

static int read_packed(struct qcow2 *q, u64 entry, u64 in, u8 *buf, u64 len)
{
	u8 *whole = in || len < q->cluster_size ? host_alloc(q->im->io, 1, q->cluster_size) : buf;
	if (!whole)
		return ENOMEM;
	int error = qcow2_unpack(q, entry, whole);
	if (whole != buf) {
		if (!error)
			memcpy(buf, whole + in, len);
		free(whole);
	}
	return error;
}

int qcow2_read(struct image *im, u64 offset, void *buf, u64 len)
{
	struct qcow2 *q = im->state;
	u8 *to = buf;
	while (len) {
		u64 entry, n = len, in = qcow2_in_cluster(q, offset);
		pthread_mutex_lock(&q->lock);
		int error = look_up(q, offset, &n, &entry);
		u64 end = q->file_end;
		pthread_mutex_unlock(&q->lock);
		u64 at = entry & QCOW2_OFFSET_MASK;
		if (error)
			return error;
		if (entry & QCOW2_COMPRESSED)
			error = read_packed(q, entry, in, to, n);
		else if (is_zero(q, entry))
			memset(to, 0, n);
		else if (at)
			error = at >= end ? EIO : host_read(im->io, im->fd, at + in, to, n, NULL);
		else
			error = image_read_backing(im, offset, to, n);
		if (error)
			return error;
		to += n, offset += n, len -= n;
	}
	return 0;
}
