/*
 * convert.c - copies disks with several threads: each takes the next piece that has data, reads, looks for zeroes, compresses, writes.
 *
 * The lock of struct copy guards where the next piece begins, the progress and the first error. Errors end all threads.
 */
#define _GNU_SOURCE
#include "images/convert.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512u
#define PIECE (2ull << 20)
#define ZEROES (256ull << 20)	/* written at once, so that progress is seen */
#define THREADS_MAX 16u
#define GRAIN_MIN 4096u
#define GRAIN_MAX 65536u

struct copy {
	const struct image_copy *c;
	pthread_mutex_t lock;
	u64 next, done, total;
	u64 piece;		/* bytes: whole granules of the target */
	u32 align;		/* pieces begin and end at multiples of this */
	u32 grain;		/* zeroes are looked for in pieces of this size */
	int error;
	u64 error_at;
	bool error_reading;
};
struct piece { u64 at, len; bool zero; };

bool image_all_zero(const void *p, size_t n)
{
	const u8 *b = p;
	return !n || (!*b && !memcmp(b, b + 1, n - 1));
}

static u64 min64(u64 a, u64 b) { return a < b ? a : b; }

static void fails(struct copy *s, int error, u64 at, bool reading)
{
	pthread_mutex_lock(&s->lock);
	if (!s->error) {
		s->error = error;
		s->error_at = at;
		s->error_reading = reading;
	}
	pthread_mutex_unlock(&s->lock);
}

/* With the lock held. */
static void progress(struct copy *s, u64 bytes)
{
	s->done += bytes;
	if (s->c->progress.tell)
		s->c->progress.tell(s->c->progress.arg, s->done, s->total);
}

static bool skipped(const struct copy *s, const struct image_extent *e)
{
	return (s->c->above && e->depth >= s->c->above) || (s->c->to_is_zero && e->kind != IMAGE_DATA);
}

/* From `end` on further, as long as there is data, at most to `limit`. */
static int reach(struct copy *s, u64 *end, u64 limit)
{
	struct image_extent e;
	while (*end < limit) {
		int error = image_map(s->c->from, *end, limit - *end, &e);
		if (error)
			return error;
		if (e.kind != IMAGE_DATA || skipped(s, &e))
			break;
		*end += e.len;
	}
	*end = min64(limit, (*end + s->align - 1) / s->align * s->align);
	return 0;
}

/* What to do next: *p, with p->len 0 at the end. Skips what needs nothing done. Compressed granules are taken whole. */
static int take(struct copy *s, struct piece *p)
{
	struct image_extent e;
	while (s->next < s->total) {
		int error = image_map(s->c->from, s->next, s->total - s->next, &e);
		if (error)
			return error;
		u64 end = s->next + e.len;
		if (skipped(s, &e)) {
			u64 whole = end < s->total ? end - end % s->align : end;
			if (whole > s->next) {
				progress(s, whole - s->next);
				s->next = whole;
				continue;
			}
		}
		u64 limit = min64(s->total, s->next - s->next % s->piece + s->piece);
		p->at = s->next;
		p->zero = e.kind != IMAGE_DATA && s->align == SECTOR;
		s->next = p->zero ? min64(end, s->next + ZEROES) : min64(end, limit);
		error = p->zero ? 0 : reach(s, &s->next, limit);
		p->len = s->next - p->at;
		return error;
	}
	p->len = 0;
	return 0;
}

/* From `at` on: how many bytes of the buffer are alike, zero or not, looked at in grains. */
static u64 alike(const struct copy *s, const u8 *buf, u64 len, bool *zero)
{
	u64 n = 0;
	if (!s->grain) {
		*zero = false;
		return len;
	}
	do {
		u64 part = min64(s->grain, len - n);
		bool z = image_all_zero(buf + n, part);
		if (!n)
			*zero = z;
		else if (z != *zero)
			break;
		n += part;
	} while (n < len);
	return n;
}

static int write_data(const struct copy *s, u64 at, const u8 *buf, u64 len)
{
	const struct image_copy *c = s->c;
	int error = 0;
	while (len && !error) {
		bool zero;
		u64 n = alike(s, buf, len, &zero);
		if (!zero)
			error = image_write(c->to, at, buf, n);
		else if (!c->to_is_zero)
			error = image_write_zeroes(c->to, at, n);
		at += n, buf += n, len -= n;
	}
	return error;
}

static int write_compressed(const struct copy *s, u64 at, const u8 *buf, u64 len)
{
	u32 granule = image_granularity(s->c->to);
	int error = 0;
	while (len && !error) {
		u64 n = min64(granule - at % granule, len);
		if (!image_all_zero(buf, n))
			error = image_write_compressed(s->c->to, at, buf, n);
		else if (!s->c->to_is_zero)
			error = image_write_zeroes(s->c->to, at, n);
		at += n, buf += n, len -= n;
	}
	return error;
}

static void copy_piece(struct copy *s, const struct piece *p, u8 *buf)
{
	int error = 0;
	if (p->zero) {
		error = image_write_zeroes(s->c->to, p->at, p->len);
	} else {
		error = image_read(s->c->from, p->at, buf, p->len);
		if (error) {
			fails(s, error, p->at, true);
			return;
		}
		error = s->c->compressed ? write_compressed(s, p->at, buf, p->len) : write_data(s, p->at, buf, p->len);
	}
	if (error)
		fails(s, error, p->at, false);
}

static void *work(void *arg)
{
	struct copy *s = arg;
	struct piece p;
	u8 *buf = malloc(s->piece);
	if (!buf)
		fails(s, ENOMEM, s->next, true);
	while (buf) {
		pthread_mutex_lock(&s->lock);
		int error = s->error ? 0 : take(s, &p);
		bool stop = s->error || error || !p.len;
		pthread_mutex_unlock(&s->lock);
		if (error)
			fails(s, error, s->next, true);
		if (stop)
			break;
		copy_piece(s, &p, buf);
		pthread_mutex_lock(&s->lock);
		progress(s, p.len);
		pthread_mutex_unlock(&s->lock);
	}
	free(buf);
	return NULL;
}

static u32 threads_for(const struct image_copy *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	u32 n = c->threads ? c->threads : cpus < 1 ? 1 : (u32)cpus + (cpus < 4);
	return n < THREADS_MAX ? n : THREADS_MAX;
}

bool image_copy(const struct image_copy *c, char *err, size_t errsize)
{
	struct copy s = { .c = c, .lock = PTHREAD_MUTEX_INITIALIZER, .total = image_size(c->from), .piece = PIECE };
	u32 granule = image_granularity(c->to), threads = threads_for(c), started = 0;
	pthread_t thread[THREADS_MAX];
	if (granule > s.piece)
		s.piece = granule;
	s.align = c->compressed ? granule : SECTOR;
	if (c->sparse) {
		s.grain = granule < GRAIN_MIN ? GRAIN_MIN : granule > GRAIN_MAX ? GRAIN_MAX : granule;
		s.grain = s.grain < c->sparse ? c->sparse : s.grain;
	}
	while (started + 1 < threads && !pthread_create(&thread[started], NULL, work, &s))
		started++;
	work(&s);
	while (started)
		pthread_join(thread[--started], NULL);
	pthread_mutex_destroy(&s.lock);
	bug_on(!s.error && s.next < s.total, "a copy ended before its end");
	if (!s.error)
		return true;
	snprintf(err, errsize, "%s: cannot be %s at %llu: %s", image_path(s.error_reading ? c->from : c->to),
		s.error_reading ? "read" : "written", (unsigned long long)s.error_at, strerror(s.error));
	return false;
}
