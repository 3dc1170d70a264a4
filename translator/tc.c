/*
 * tc.c - the translation cache: one piece of code memory, cut into a ring of units.
 *
 * Blocks are put one behind the other into the current unit. When it is full the next unit of the ring becomes current and its
 * old blocks, the oldest of all, are dropped: eviction takes one unit's worth of work, never the whole cache.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "translator/tr.h"

#define STUB_BYTES (64u * 1024)
#define END_SLACK  32

bool tc_init(struct translator *tr, const char **err)
{
	size_t size = tr->opt.cache_size, unit = (size - STUB_BYTES) / TR_UNITS & ~(size_t)63;

	tr->cache = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (tr->cache == MAP_FAILED) {
		tr->cache = NULL;
		*err = "this host allows no memory that is writable and executable, which the translation cache needs";
		return false;
	}
	tr->cache_size = size;
	for (int k = 0; k < TR_UNITS; k++) {
		tr->unit[k].start = tr->unit[k].p = tr->cache + STUB_BYTES + k * unit;
		tr->unit[k].end = tr->unit[k].start + unit;
	}
	return true;
}

static void unit_evict(struct translator *tr, struct unit *u)
{
	for (u32 k = 0; k < u->n; k++) {
		struct blk *b = u->blks[k];

		if (!b->dead)
			blk_remove(tr, b);
		free(b->map);
		free(b);
	}
	u->n = 0;
	u->p = u->start;
	tr->stats.evictions++;
}

void tc_fini(struct translator *tr)
{
	for (int k = 0; k < TR_UNITS; k++) {
		struct unit *u = &tr->unit[k];

		for (u32 n = 0; n < u->n; n++) {
			free(u->blks[n]->map);
			free(u->blks[n]);
		}
		free(u->blks);
	}
	if (tr->cache)
		munmap(tr->cache, tr->cache_size);
}

u8 *tc_room(struct translator *tr, size_t want, u8 **end)
{
	struct unit *u = &tr->unit[tr->cur_unit];

	if ((size_t)(u->end - u->p) < want + END_SLACK) {
		tr->cur_unit = (tr->cur_unit + 1) % TR_UNITS;
		u = &tr->unit[tr->cur_unit];
		if (u->n)
			unit_evict(tr, u);
	}
	*end = u->end - END_SLACK;
	return u->p;
}

void tc_commit(struct translator *tr, struct blk *b, u8 *end)
{
	struct unit *u = &tr->unit[tr->cur_unit];

	if (u->n == u->cap) {
		u32 cap = u->cap ? u->cap * 2 : 256;
		struct blk **p = realloc(u->blks, cap * sizeof *p);

		bug_on(!p, "out of memory for %u blocks", cap);
		u->blks = p;
		u->cap = cap;
	}
	b->unit = tr->cur_unit;
	b->host_len = end - b->host;
	u->blks[u->n++] = b;
	u->p = (u8 *)(((uintptr_t)end + 15) & ~(uintptr_t)15);
}

/* Blocks of a unit are in address order. */
struct blk *tc_find(struct translator *tr, const u8 *host_pc)
{
	for (int k = 0; k < TR_UNITS; k++) {
		struct unit *u = &tr->unit[k];
		u32 lo = 0, hi = u->n;

		if (host_pc < u->start || host_pc >= u->p)
			continue;
		while (lo < hi) {
			u32 mid = (lo + hi) / 2;

			if (host_pc < u->blks[mid]->host)
				hi = mid;
			else if (host_pc >= u->blks[mid]->host + u->blks[mid]->host_len)
				lo = mid + 1;
			else
				return u->blks[mid];
		}
	}
	return NULL;
}

void tr_flush(struct translator *tr)
{
	for (int k = 0; k < TR_UNITS; k++)
		if (tr->unit[k].n)
			unit_evict(tr, &tr->unit[k]);
	tr->cur_unit = 0;
	tr->cs->resync = 1;
}
