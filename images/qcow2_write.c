/*
 * qcow2_write.c - writing, zeroing, discarding, compressed clusters. Data is written at once, to clusters that are this image's alone
 * or new; the tables that name them follow at the next flush (qcow2.h).
 *
 * Only what the guest writes takes room: the rest of a new cluster is left as a hole where it is zero and the file ends there.
 */
#include "images/qcow2.h"
#include "monitor/lib/zio.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PACK_LEVEL 6	/* as other tools do: half the time of 9, nearly as small */

static u32 l2_index(const struct qcow2 *q, u64 offset) { return (u32)(offset >> q->cluster_bits & (q->l2_entries - 1)); }
static u64 entry_at(const struct qcow2_table *t, u32 i) { return be64(t->data + i * 8); }

static bool reads_zero(const struct qcow2 *q, u64 entry)
{
	return q->version >= 3 && entry & QCOW2_ZERO && !(entry & QCOW2_COMPRESSED);
}

/* Data may be written over where it is. */
static bool in_place(const struct qcow2 *q, u64 entry)
{
	return entry & QCOW2_COPIED && !(entry & QCOW2_COMPRESSED) && entry & QCOW2_OFFSET_MASK && !reads_zero(q, entry);
}

/* A damaged table must not make us write over the header and the tables that are in memory. */
static bool may_hold_data(const struct qcow2 *q, u64 at)
{
	u64 l1_end = q->l1_offset + q->l1_size * 8ull, ref_end = q->reftable_offset + q->reftable_size * 8ull;
	return at >= q->cluster_size && at < q->file_end && !qcow2_in_cluster(q, at) && !(at + q->cluster_size > q->l1_offset && at < l1_end) &&
	       !(at + q->cluster_size > q->reftable_offset && at < ref_end);
}

static int put(struct qcow2 *q, u64 at, struct iovec *v, int n)
{
	u64 end = at;
	for (int i = 0; i < n; i++)
		end += v[i].iov_len;
	int error = host_writev(q->im->io, q->im->fd, at, v, n);
	q->wrote = true;
	/* Also when it failed: some of it may be there. */
	if (end > q->file_end)
		q->file_end = end;
	return error;
}

static int write_in_place(struct qcow2 *q, struct qcow2_table *t, u64 offset, const u8 *buf, u64 most, u64 *done)
{
	u32 i = l2_index(q, offset);
	u64 at = entry_at(t, i) & QCOW2_OFFSET_MASK, in = qcow2_in_cluster(q, offset), run = q->cluster_size - in;
	if (!may_hold_data(q, at))
		return EIO;
	for (u64 next = at + q->cluster_size; run < most; next += q->cluster_size, run += q->cluster_size) {
		u64 e = ++i < q->l2_entries ? entry_at(t, i) : 0;
		if (!in_place(q, e) || (e & QCOW2_OFFSET_MASK) != next || !may_hold_data(q, next))
			break;
	}
	*done = run < most ? run : most;
	struct iovec v = { (void *)buf, *done };
	return put(q, at + in, &v, 1);
}

/* --- new clusters --- */

/* What the guest sees in [from, to) of the cluster at `base`, whose entry is `entry`. */
static int old_content(struct qcow2 *q, u64 entry, u64 base, u64 from, u64 to, u8 *out)
{
	u64 at = entry & QCOW2_OFFSET_MASK;
	if (from == to)
		return 0;
	if (entry & QCOW2_COMPRESSED) {
		u8 *whole = host_alloc(q->im->io, 1, q->cluster_size);
		int error = whole ? qcow2_unpack(q, entry, whole) : ENOMEM;
		if (!error)
			memcpy(out, whole + from, to - from);
		free(whole);
		return error;
	}
	if (reads_zero(q, entry))
		memset(out, 0, to - from);
	else if (at)
		return at >= q->file_end ? EIO : host_read(q->im->io, q->im->fd, at + from, out, to - from, NULL);
	else
		return image_read_backing(q->im, base + from, out, to - from);
	return 0;
}

static bool known_zero(struct qcow2 *q, u64 entry, u64 base)
{
	u64 len = q->cluster_size;
	return reads_zero(q, entry) || (!(entry & (QCOW2_COMPRESSED | QCOW2_OFFSET_MASK)) && image_backing_is_zero(q->im, base, &len));
}

/* Data and what stands around it in its first and last cluster, to `at`: a place for whole clusters. */
static int put_with_rest(struct qcow2 *q, u64 at, u64 offset, const u8 *buf, u64 len, u64 first_entry, u64 last_entry)
{
	u64 head = qcow2_in_cluster(q, offset), tail = (q->cluster_size - qcow2_in_cluster(q, offset + len)) & (q->cluster_size - 1);
	u64 first = offset - head, last = offset + len + tail - q->cluster_size;
	bool virgin = at >= q->file_end;
	u64 skip = virgin && head && known_zero(q, first_entry, first) ? head : 0;
	if (virgin && tail && known_zero(q, last_entry, last))
		tail = 0;
	head -= skip;
	u8 *rest = head + tail ? host_alloc(q->im->io, 1, head + tail) : NULL;
	int error = head + tail && !rest ? ENOMEM : 0;
	if (!error)
		error = old_content(q, first_entry, first, 0, head, rest);
	if (!error)
		error = old_content(q, last_entry, last, q->cluster_size - tail, q->cluster_size, rest + head);
	struct iovec v[3] = { { rest, head }, { (void *)buf, len }, { rest ? rest + head : NULL, tail } };
	if (!error)
		error = put(q, at + skip, v, 3);
	free(rest);
	return error;
}

/* A cluster that was set aside and reads as zeroes: its place is kept. */
static int write_set_aside(struct qcow2 *q, struct qcow2_table *t, u64 offset, const u8 *buf, u64 most, u64 *done)
{
	u32 i = l2_index(q, offset);
	u64 e = entry_at(t, i), at = e & QCOW2_OFFSET_MASK, room = q->cluster_size - qcow2_in_cluster(q, offset);
	if (!may_hold_data(q, at))
		return EIO;
	*done = room < most ? room : most;
	int error = put_with_rest(q, at, offset, buf, *done, e, e);
	if (!error)
		qcow2_l2_set(q, t, i, at | QCOW2_COPIED);
	return error;
}

static int write_new(struct qcow2 *q, struct qcow2_table *t, u64 offset, const u8 *buf, u64 most, u64 *done)
{
	u32 i = l2_index(q, offset);
	u64 in = qcow2_in_cluster(q, offset), want = 1, old = entry_at(t, i) != 0, at;
	while (want * q->cluster_size - in < most && i + want < q->l2_entries && old < 64) {
		u64 e = entry_at(t, i + (u32)want);
		if (in_place(q, e))
			break;
		old += e != 0;
		want++;
	}
	int error = qcow2_pending_room(q, (u32)old * 3);
	u64 n = want;
	if (!error)
		error = qcow2_alloc(q, &n, false, &at);
	if (error)
		return error;
	u64 room = n * q->cluster_size - in;
	*done = room < most ? room : most;
	error = put_with_rest(q, at, offset, buf, *done, entry_at(t, i), entry_at(t, i + (u32)n - 1));
	if (error) {
		qcow2_unalloc(q, at, n);
		return error;
	}
	for (u32 k = 0; k < n; k++) {
		qcow2_free_entry(q, entry_at(t, i + k));
		qcow2_l2_set(q, t, i + k, (at + ((u64)k << q->cluster_bits)) | QCOW2_COPIED);
	}
	return 0;
}

static int write_locked(struct qcow2 *q, u64 offset, const u8 *buf, u64 len)
{
	while (len) {
		struct qcow2_table *t;
		u64 done = 0;
		int error = qcow2_l2_writable(q, offset, &t);
		if (error)
			return error;
		u64 e = entry_at(t, l2_index(q, offset));
		if (in_place(q, e))
			error = write_in_place(q, t, offset, buf, len, &done);
		else if (e & QCOW2_COPIED && !(e & QCOW2_COMPRESSED) && e & QCOW2_OFFSET_MASK)
			error = write_set_aside(q, t, offset, buf, len, &done);
		else
			error = write_new(q, t, offset, buf, len, &done);
		if (error)
			return error;
		offset += done, buf += done, len -= done;
	}
	return 0;
}

int qcow2_write(struct image *im, u64 offset, const void *buf, u64 len)
{
	struct qcow2 *q = im->state;
	pthread_mutex_lock(&q->lock);
	int error = write_locked(q, offset, buf, len);
	pthread_mutex_unlock(&q->lock);
	return error;
}

/* --- zeroes --- */

static int zero_by_data(struct qcow2 *q, u64 offset, u64 len)
{
	u8 *zero = host_alloc(q->im->io, 1, len);
	int error = zero ? write_locked(q, offset, zero, len) : ENOMEM;
	free(zero);
	return error;
}

/* [offset, offset + len) lies in one cluster. */
static int zero_in_cluster(struct qcow2 *q, u64 offset, u64 len, bool discard)
{
	struct qcow2_table *t;
	u64 e, in = qcow2_in_cluster(q, offset), base = offset - in, backing_len = q->cluster_size;
	bool whole = !in && (len == q->cluster_size || offset + len == q->im->size);
	int error = qcow2_l2_entry(q, offset, &e);
	if (error || known_zero(q, e, base) || (discard && (!whole || !e)))
		return error;
	bool hole = image_backing_is_zero(q->im, base, &backing_len);
	if (!whole || (q->version < 3 && !hole))
		return discard ? 0 : zero_by_data(q, offset, len);
	error = qcow2_pending_room(q, 3);
	if (!error)
		error = qcow2_l2_writable(q, offset, &t);
	if (error)
		return error;
	error = qcow2_free_entry(q, e);
	if (!error)
		qcow2_l2_set(q, t, l2_index(q, offset), hole ? 0 : QCOW2_ZERO);
	return error;
}

int qcow2_zero(struct qcow2 *q, u64 offset, u64 len, bool discard)
{
	while (len) {
		u64 n = q->cluster_size - qcow2_in_cluster(q, offset), l1 = (u64)q->l2_entries << q->cluster_bits, skip = len;
		int error = 0;
		n = n < len ? n : len;
		/* A stretch without an L2 table at once, if there is nothing below it. */
		if (!(q->l1[offset / l1] & QCOW2_OFFSET_MASK) && (discard || image_backing_is_zero(q->im, offset, &skip)))
			n = l1 - offset % l1 < len ? l1 - offset % l1 : len;
		else
			error = zero_in_cluster(q, offset, n, discard);
		if (error)
			return error;
		offset += n, len -= n;
	}
	return 0;
}

int qcow2_write_zeroes(struct image *im, u64 offset, u64 len)
{
	struct qcow2 *q = im->state;
	pthread_mutex_lock(&q->lock);
	int error = qcow2_zero(q, offset, len, false);
	pthread_mutex_unlock(&q->lock);
	return error;
}

int qcow2_discard(struct image *im, u64 offset, u64 len)
{
	struct qcow2 *q = im->state;
	pthread_mutex_lock(&q->lock);
	int error = qcow2_zero(q, offset, len, true);
	pthread_mutex_unlock(&q->lock);
	return error;
}

/* --- compressed clusters: packed one behind the other, in clusters that are counted once for each --- */

static int packed_alloc(struct qcow2 *q, u32 bytes, u64 *at)
{
	u64 left = q->packed_at ? q->cluster_size - qcow2_in_cluster(q, q->packed_at) : 0, count = 0, n = 1, next = 0;
	int error = q->packed_at ? qcow2_refcount_get(q, q->packed_at >> q->cluster_bits, &count) : 0;
	if (error)
		return error;
	if (!count || count >= q->refcount_max)
		left = 0;
	if (left < bytes) {
		error = qcow2_alloc(q, &n, true, &next);
		if (error)
			return error;
		if (!left || next != q->packed_at + left)
			q->packed_at = next;
	}
	*at = q->packed_at;
	/* The cluster that was begun before counts this one too; a new one has its count of 1. */
	if (left && q->packed_at != next)
		error = qcow2_refcount_set(q, q->packed_at >> q->cluster_bits, count + 1);
	if (error) {
		if (left < bytes)
			qcow2_unalloc(q, next, 1);
		return error;
	}
	q->packed_at += bytes;
	if (!qcow2_in_cluster(q, q->packed_at))
		q->packed_at = 0;
	return 0;
}

static int put_packed(struct qcow2 *q, u64 offset, u8 *buf, u32 bytes)
{
	struct qcow2_table *t;
	u32 shift = 62 - (q->cluster_bits - 8);
	u64 at;
	int error = qcow2_pending_room(q, 6);
	if (!error)
		error = qcow2_l2_writable(q, offset, &t);
	if (!error)
		error = packed_alloc(q, bytes, &at);
	if (error)
		return error;
	u64 entry = at | ((at + bytes - 1) / 512 - at / 512) << shift | QCOW2_COMPRESSED;
	struct iovec v = { buf, bytes };
	error = at >> shift ? EFBIG : put(q, at, &v, 1);
	if (error) {
		qcow2_free_entry(q, entry);
		return error;
	}
	qcow2_free_entry(q, entry_at(t, l2_index(q, offset)));
	qcow2_l2_set(q, t, l2_index(q, offset), entry);
	return 0;
}

int qcow2_write_compressed(struct image *im, u64 offset, const void *buf, u64 len)
{
	struct qcow2 *q = im->state;
	u8 *whole = NULL;
	if (qcow2_in_cluster(q, offset) || len > q->cluster_size || (len < q->cluster_size && offset + len != im->size))
		return EINVAL;
	u8 *packed = host_alloc(im->io, 1, q->cluster_size);
	if (packed && len < q->cluster_size && (whole = host_alloc(im->io, 1, q->cluster_size)))
		memcpy(whole, buf, len);
	int error = !packed || (len < q->cluster_size && !whole) ? ENOMEM : 0;
	size_t n = error ? 0 : zio_pack(ZIO_RAW, PACK_LEVEL, whole ? whole : buf, q->cluster_size, packed, q->cluster_size - 1);
	pthread_mutex_lock(&q->lock);
	if (!error)
		error = n == ZIO_BAD ? write_locked(q, offset, buf, len) : put_packed(q, offset, packed, (u32)n);
	pthread_mutex_unlock(&q->lock);
	free(packed);
	free(whole);
	return error;
}
