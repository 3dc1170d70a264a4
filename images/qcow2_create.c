/*
 * qcow2_create.c - new images, with the tables that they need and no more, and changes of size.
 */
#include "images/qcow2.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum preallocation { PRE_OFF, PRE_METADATA, PRE_FALLOC, PRE_FULL };
struct wanted { bool lazy; enum preallocation pre; };

static bool fails(const struct image *im, const char *why, char *err, size_t errsize)
{
	snprintf(err, errsize, "%s: %s", im->path, why);
	return false;
}

static bool set_option(struct qcow2 *q, struct wanted *w, const char *name, const char *value)
{
	static const char *const pre[] = { "off", "metadata", "falloc", "full" };
	u64 n;
	if (!strcmp(name, "compat")) {
		q->version = !strcmp(value, "1.1") || !strcmp(value, "v3") ? 3 : !strcmp(value, "0.10") || !strcmp(value, "v2") ? 2 : 0;
		return q->version;
	}
	if (!strcmp(name, "cluster_size")) {
		if (!image_parse_size(value, &n) || n < 512 || n > 2u << 20 || n & (n - 1))
			return false;
		q->cluster_bits = (u32)__builtin_ctzll(n);
		return true;
	}
	if (!strcmp(name, "refcount_bits")) {
		if (!image_parse_size(value, &n) || !n || n > 64 || n & (n - 1))
			return false;
		q->refcount_order = (u32)__builtin_ctzll(n);
		return true;
	}
	if (!strcmp(name, "lazy_refcounts"))
		return image_parse_bool(value, &w->lazy);
	for (u32 i = 0; !strcmp(name, "preallocation") && i < ARRAY_SIZE(pre); i++)
		if (!strcmp(value, pre[i])) {
			w->pre = (enum preallocation)i;
			return true;
		}
	return !strcmp(name, "compression_type") && !strcmp(value, "zlib");
}

static bool parse(struct qcow2 *q, struct wanted *w, const char *options, char *err, size_t errsize)
{
	char name[32], value[256];
	while (image_option_next(&options, name, value))
		if (!set_option(q, w, name, value)) {
			snprintf(err, errsize, "%s: '%s=%.60s' is no option of a qcow2 image; there are: compat=0.10|1.1, cluster_size=512..2M, "
				 "refcount_bits=1..64, lazy_refcounts=on|off, preallocation=off|metadata|falloc|full, compression_type=zlib",
				 q->im->path, name, value);
			return false;
		}
	if (q->version == 2 && (q->refcount_order != 4 || w->lazy))
		return fails(q->im, "refcount_bits and lazy_refcounts need compat=1.1", err, errsize);
	q->cluster_size = 1u << q->cluster_bits;
	q->l2_entries = q->cluster_size / 8;
	q->refblock_entries = q->cluster_size * 8 >> q->refcount_order;
	q->refcount_max = q->refcount_order == 6 ? INT64_MAX : (1ull << (1u << q->refcount_order)) - 1;
	q->features[1] = w->lazy;
	return true;
}

/* Header, refcount table, refcount blocks, L1 table, in this order; the blocks count all of it. */
static int put_tables(struct qcow2 *q, u8 *head)
{
	struct image *im = q->im;
	u64 l1 = qcow2_clusters(q, q->l1_size * 8ull), table = 1, blocks = 1, all;
	for (;;) {
		all = 1 + table + blocks + l1;
		u64 need = (all + q->refblock_entries - 1) / q->refblock_entries, room = qcow2_clusters(q, need * 8);
		if (need <= blocks && room <= table)
			break;
		blocks = need > blocks ? need : blocks;
		table = room > table ? room : table;
	}
	u8 *buf = host_alloc(im->io, table + blocks, q->cluster_size);
	if (!buf)
		return ENOMEM;
	q->reftable_offset = q->cluster_size;
	q->reftable_size = (u32)(table << q->cluster_bits) / 8;
	q->l1_offset = (1 + table + blocks) << q->cluster_bits;
	for (u64 i = 0; i < blocks; i++)
		put_be64(buf + i * 8, (1 + table + i) << q->cluster_bits);
	for (u64 i = 0; i < all; i++)
		qcow2_refcount_write(q, buf + ((table + i / q->refblock_entries) << q->cluster_bits), (u32)(i % q->refblock_entries), 1);
	int error = host_write(im->io, im->fd, q->cluster_size, buf, (table + blocks) << q->cluster_bits);
	free(buf);
	if (!error)
		error = host_resize(im->io, im->fd, all << q->cluster_bits);
	if (error)
		return error;
	/* The header last: until then it is no image. */
	put_be32(head + 36, q->l1_size);
	put_be64(head + 40, q->l1_offset);
	put_be64(head + 48, q->reftable_offset);
	put_be32(head + 56, (u32)table);
	error = host_sync(im->io, im->fd);
	return error ? error : host_write(im->io, im->fd, 0, head, q->cluster_size);
}

/* Every cluster gets its place, in order. */
static bool preallocate(struct image *im, enum preallocation pre, char *err, size_t errsize)
{
	struct image_options opt = { .format = "qcow2", .no_backing = true, .no_lock = true, .io = im->io };
	struct image whole = { .format = im->format, .io = im->io, .path = im->path, .fd = im->fd, .opt = &opt,
			       .lock = PTHREAD_MUTEX_INITIALIZER };
	if (!im->format->open(&whole, err, errsize))
		return false;
	struct qcow2 *q = whole.state;
	int error = 0;
	for (u64 at = 0; at < whole.size && !error;) {
		struct qcow2_table *t;
		u32 i = (u32)(at >> q->cluster_bits & (q->l2_entries - 1));
		u64 n = q->l2_entries - i, left = qcow2_clusters(q, whole.size - at), place;
		n = n < left ? n : left;
		error = qcow2_l2_writable(q, at, &t);
		if (!error)
			error = qcow2_alloc(q, &n, false, &place);
		for (u64 k = 0; k < n && !error; k++)
			qcow2_l2_set(q, t, i + (u32)k, (place + (k << q->cluster_bits)) | QCOW2_COPIED);
		at += n << q->cluster_bits;
	}
	u64 end = q->top << q->cluster_bits;
	if (!error && pre == PRE_METADATA)
		error = host_resize(im->io, im->fd, end);
	else if (!error)
		error = host_reserve(im->io, im->fd, 0, end);
	q->file_end = end;
	if (!error)
		error = qcow2_sync(q);
	im->format->close(&whole);
	free(whole.backing_name);
	free(whole.backing_format);
	return !error || fails(im, strerror(error), err, errsize);
}

bool qcow2_create(struct image *im, const struct image_create *how, char *err, size_t errsize)
{
	struct qcow2 q = { .im = im, .version = 3, .cluster_bits = 16, .refcount_order = 4 };
	struct wanted w = { 0 };
	u32 used;
	if (!parse(&q, &w, how->options, err, errsize))
		return false;
	u64 per_l1 = (u64)q.l2_entries << q.cluster_bits, l1 = (how->size + per_l1 - 1) / per_l1;
	if (l1 > QCOW2_L1_MAX / 8)
		return fails(im, "a disk this large needs larger clusters (cluster_size=...)", err, errsize);
	if (how->backing && w.pre)
		return fails(im, "preallocation would hide the backing file", err, errsize);
	q.l1_size = (u32)l1;
	u8 *head = host_alloc(im->io, 1, q.cluster_size);
	int error = head ? 0 : ENOMEM;
	if (!error && !qcow2_make_header(&q, how->size, how->backing, how->backing ? how->backing_format : NULL, 0, head, &used)) {
		free(head);
		return fails(im, "the backing file's name does not fit into the header", err, errsize);
	}
	if (!error)
		error = put_tables(&q, head);
	free(head);
	if (error)
		return fails(im, strerror(error), err, errsize);
	return !w.pre || preallocate(im, w.pre, err, errsize);
}

/* --- size --- */

/* A longer L1 table elsewhere. The next flush writes it, tells the header, and gives the old one up. */
static int grow_l1(struct qcow2 *q, u32 entries)
{
	u64 n = qcow2_clusters(q, entries * 8ull), at;
	u64 *l1 = host_alloc(q->im->io, n << q->cluster_bits, 1);
	int error = l1 ? qcow2_alloc(q, &n, true, &at) : ENOMEM;
	if (error) {
		free(l1);
		return error;
	}
	memcpy(l1, q->l1, q->l1_size * 8ull);
	q->old_l1_offset = q->l1_offset;
	q->old_l1_clusters = (u32)qcow2_clusters(q, q->l1_size * 8ull);
	free(q->l1);
	q->l1 = l1;
	q->l1_size = entries;
	q->l1_offset = at;
	q->l1_lo = 0;
	q->l1_hi = entries;
	q->l1_moved = true;
	return 0;
}

static int shrink_or_grow(struct qcow2 *q, u64 size)
{
	struct image *im = q->im;
	u64 per_l1 = (u64)q->l2_entries << q->cluster_bits, l1 = (size + per_l1 - 1) / per_l1, old_size = im->size;
	if (l1 > QCOW2_L1_MAX / 8)
		return EFBIG;
	int error = qcow2_sync(q);
	if (!error && size < old_size) {	/* what is cut off must not come back */
		u64 from = qcow2_clusters(q, size) << q->cluster_bits;
		error = from < old_size ? qcow2_zero(q, from, old_size - from, false) : 0;
	}
	if (!error && l1 > q->l1_size)
		error = grow_l1(q, (u32)l1);
	if (!error)
		error = qcow2_sync(q);
	if (error)
		return error;
	im->size = size;
	if (size > old_size) {		/* nor what the backing image, or the rest of the last cluster, has there */
		u64 end = im->backing && im->backing->size > old_size ? im->backing->size : old_size;
		end = qcow2_clusters(q, end) << q->cluster_bits;
		end = end < size ? end : size;
		error = qcow2_zero(q, old_size, end - old_size, false);
	}
	if (!error)
		error = qcow2_sync(q);
	if (!error)
		error = qcow2_update_header(q, q->features[0], q->features[2]);
	if (error)
		im->size = old_size;
	return error;
}

bool qcow2_resize(struct image *im, u64 size, char *err, size_t errsize)
{
	struct qcow2 *q = im->state;
	if (q->snapshots_n && (size < im->size || q->version == 2))
		return fails(im, "has internal snapshots, so it cannot change its size so", err, errsize);
	pthread_mutex_lock(&q->lock);
	int error = shrink_or_grow(q, size);
	pthread_mutex_unlock(&q->lock);
	return !error || fails(im, strerror(error), err, errsize);
}
