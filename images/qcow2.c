/*
 * qcow2.c - the qcow2 format as images/format.h sees it: probing, opening, closing, facts. The other qcow2_*.c do the work, and
 * qcow2.h says how.
 *
 * An image that was left dirty (lazy reference counts) is repaired when it is opened for writing. We keep counts exact, so we
 * never leave one so. Opening for writing clears the autoclear bits: we do not keep bitmaps up to date, and that says so.
 */
#include "images/qcow2.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES (16u << 20)		/* of L2 tables; half as much of refcount blocks */
#define PENDING_BYTES (64u << 20)	/* given up by the guest, not yet free */

static int qcow2_probe(const struct image_probe *p)
{
	u32 version = be32(p->head + 4);
	return be32(p->head) == QCOW2_MAGIC && version >= 2 ? 100 : 0;
}

static void release(struct qcow2 *q)
{
	qcow2_cache_fini(&q->l2);
	qcow2_cache_fini(&q->refblocks);
	free(q->l1);
	free(q->reftable);
	free(q->pending);
	free(q->unknown_ext);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static u32 slots(const struct qcow2 *q, u32 bytes)
{
	u32 n = bytes >> q->cluster_bits;
	return n < 8 ? 8 : n > 8192 ? 8192 : n;
}

static bool make_ready(struct qcow2 *q, char *err, size_t errsize)
{
	struct image *im = q->im;
	struct image_check c = { .repair_leaks = true, .repair_all = true };
	int error = 0;
	if (im->readonly || im->opt->for_repair)
		return true;
	if (q->features[0] & QCOW2_DIRTY)
		error = qcow2_check(im, &c);
	if (!error && c.corruptions) {
		snprintf(err, errsize, "%s: was not closed, and is damaged: 'image check' tells more", im->path);
		return false;
	}
	if (!error && q->features[2])
		error = qcow2_update_header(q, q->features[0], 0);
	if (error)
		snprintf(err, errsize, "%s: cannot be made ready for writing: %s", im->path, strerror(error));
	return !error;
}

static bool open_state(struct qcow2 *q, char *err, size_t errsize)
{
	struct image *im = q->im;
	if (!qcow2_read_header(q, err, errsize))
		return false;
	if (!qcow2_cache_init(q, &q->l2, slots(q, CACHE_BYTES)) || !qcow2_cache_init(q, &q->refblocks, slots(q, CACHE_BYTES / 2))) {
		snprintf(err, errsize, "%s: out of memory", im->path);
		return false;
	}
	q->top = qcow2_clusters(q, q->file_end);
	q->free_at = 1;
	q->pending_limit = PENDING_BYTES >> q->cluster_bits;
	q->pending_limit = q->pending_limit < 256 ? 256 : q->pending_limit;
	im->granularity = q->cluster_size;
	im->state = q;
	if (im->opt->snapshot && !qcow2_snapshot_open(q, im->opt->snapshot, err, errsize))
		return false;
	return make_ready(q, err, errsize);
}

static bool qcow2_open(struct image *im, char *err, size_t errsize)
{
	struct qcow2 *q = host_alloc(im->io, 1, sizeof(*q));
	if (!q) {
		snprintf(err, errsize, "%s: out of memory", im->path);
		return false;
	}
	q->im = im;
	pthread_mutex_init(&q->lock, NULL);
	*err = 0;
	if (open_state(q, err, errsize))
		return true;
	release(q);
	im->state = NULL;
	return false;
}

static void qcow2_close(struct image *im)
{
	struct qcow2 *q = im->state;
	if (!im->readonly)
		qcow2_meta_flush(q);	/* what is refused now is lost, but the image is whole */
	release(q);
}

static int qcow2_flush(struct image *im)
{
	struct qcow2 *q = im->state;
	pthread_mutex_lock(&q->lock);
	int error = qcow2_sync(q);
	pthread_mutex_unlock(&q->lock);
	return error;
}

static void qcow2_info(struct image *im, void (*fact)(void *arg, const struct image_fact *f), void *arg)
{
	const struct qcow2 *q = im->state;
	struct image_fact facts[] = {
		{ "compat", FACT_TEXT, q->version == 3 ? "1.1" : "0.10", 0 },
		{ "cluster-size", FACT_NUMBER, NULL, q->cluster_size },
		{ "compression-type", FACT_TEXT, "zlib", 0 },
		{ "lazy-refcounts", FACT_BOOL, NULL, q->features[1] & 1 },
		{ "refcount-bits", FACT_NUMBER, NULL, 1ull << q->refcount_order },
		{ "corrupt", FACT_BOOL, NULL, q->features[0] & QCOW2_CORRUPT ? 1 : 0 },
		{ "dirty-flag", FACT_BOOL, NULL, q->features[0] & QCOW2_DIRTY ? 1 : 0 },
		{ "bitmaps", FACT_NUMBER, NULL, q->bitmaps_n },
	};
	for (u32 i = 0; i < ARRAY_SIZE(facts); i++)
		if (strcmp(facts[i].key, "bitmaps") || q->bitmaps_n)
			fact(arg, &facts[i]);
}

const struct image_format image_qcow2 = {
	.name = "qcow2", .parallel = true, .probe = qcow2_probe, .open = qcow2_open, .close = qcow2_close, .read = qcow2_read,
	.write = qcow2_write, .flush = qcow2_flush, .discard = qcow2_discard, .create = qcow2_create, .write_zeroes = qcow2_write_zeroes,
	.extent = qcow2_extent, .write_compressed = qcow2_write_compressed, .resize = qcow2_resize, .set_backing = qcow2_set_backing,
	.check = qcow2_check, .info = qcow2_info, .snapshots = qcow2_snapshots,
};
