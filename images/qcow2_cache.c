/*
 * qcow2_cache.c - L2 tables and refcount blocks in memory: a bounded number of clusters, found by their offset, reused in
 * second-chance order. A changed table stays until qcow2_meta_flush(); if all are changed, that is done here.
 */
#include "images/qcow2.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static s32 *bucket(const struct qcow2_cache *c, u64 offset)
{
	return &c->hash[(u32)((offset >> 9) * 0x9e3779b97f4a7c15ull >> 32) % c->slots];
}

bool qcow2_cache_init(struct qcow2 *q, struct qcow2_cache *c, u32 slots)
{
	*c = (struct qcow2_cache){ .slots = slots };
	c->slot = host_alloc(q->im->io, slots, sizeof(*c->slot));
	c->hash = host_alloc(q->im->io, slots, sizeof(*c->hash));
	if (!c->slot || !c->hash)
		return false;
	memset(c->hash, 0xff, slots * sizeof(*c->hash));
	return true;
}

void qcow2_cache_fini(struct qcow2_cache *c)
{
	for (u32 i = 0; c->slot && i < c->slots; i++)
		free(c->slot[i].data);
	free(c->slot);
	free(c->hash);
}

static struct qcow2_table *find(struct qcow2_cache *c, u64 offset)
{
	for (s32 i = *bucket(c, offset); i >= 0; i = c->slot[i].next)
		if (c->slot[i].offset == offset)
			return &c->slot[i];
	return NULL;
}

static void link_in(struct qcow2_cache *c, struct qcow2_table *t, u64 offset)
{
	s32 *head = bucket(c, offset);
	t->offset = offset;
	t->next = *head;
	*head = (s32)(t - c->slot);
}

static void unlink_from(struct qcow2_cache *c, struct qcow2_table *t)
{
	if (!t->offset)
		return;
	s32 *at = bucket(c, t->offset), self = (s32)(t - c->slot);
	while (*at != self)
		at = &c->slot[*at].next;
	*at = t->next;
	t->offset = 0;
}

static void clean(struct qcow2_cache *c, struct qcow2_table *t)
{
	if (t->hi > t->lo)
		c->dirty--;
	t->lo = t->hi = 0;
	t->fresh = false;
}

/* A slot without changes; NULL if there is none. */
static struct qcow2_table *victim(struct qcow2_cache *c)
{
	for (u32 n = 0; n < 2 * c->slots + 1; n++) {
		struct qcow2_table *t = &c->slot[c->hand];
		c->hand = c->hand + 1 == c->slots ? 0 : c->hand + 1;
		if (t->hi > t->lo)
			continue;
		if (!t->offset || !t->used)
			return t;
		t->used = false;
	}
	return NULL;
}

static int take_slot(struct qcow2 *q, struct qcow2_cache *c, struct qcow2_table **t)
{
	/* A few stay clean, so that finding one is quick. */
	int error = c->dirty > c->slots - c->slots / 8 - 1 ? qcow2_meta_flush(q) : 0;
	*t = error ? NULL : victim(c);
	if (error || !*t)
		return error ? error : EIO;
	if (!(*t)->data && !((*t)->data = host_alloc(q->im->io, 1, q->cluster_size)))
		return ENOMEM;
	unlink_from(c, *t);
	clean(c, *t);
	return 0;
}

int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *c, u64 offset, struct qcow2_table **t)
{
	*t = find(c, offset);
	if (*t) {
		(*t)->used = true;
		return 0;
	}
	if (!offset || qcow2_in_cluster(q, offset) || offset >= q->file_end)
		return EIO;	/* damaged: no table can be there */
	int error = take_slot(q, c, t);
	if (!error)
		error = host_read(q->im->io, q->im->fd, offset, (*t)->data, q->cluster_size, NULL);
	if (error)
		return error;
	link_in(c, *t, offset);
	(*t)->used = true;
	return 0;
}

int qcow2_cache_new(struct qcow2 *q, struct qcow2_cache *c, u64 offset, struct qcow2_table **t)
{
	qcow2_cache_drop(c, offset);
	int error = take_slot(q, c, t);
	if (error)
		return error;
	memset((*t)->data, 0, q->cluster_size);
	link_in(c, *t, offset);
	(*t)->used = (*t)->fresh = true;
	qcow2_cache_dirty(c, *t, 0, q->cluster_size);
	return 0;
}

void qcow2_cache_move(struct qcow2_cache *c, struct qcow2_table *t, u64 offset)
{
	qcow2_cache_drop(c, offset);
	unlink_from(c, t);
	link_in(c, t, offset);
}

void qcow2_cache_dirty(struct qcow2_cache *c, struct qcow2_table *t, u32 lo, u32 hi)
{
	if (t->hi <= t->lo) {
		c->dirty++;
		t->lo = lo;
		t->hi = hi;
		return;
	}
	t->lo = lo < t->lo ? lo : t->lo;
	t->hi = hi > t->hi ? hi : t->hi;
}

void qcow2_cache_drop(struct qcow2_cache *c, u64 offset)
{
	struct qcow2_table *t = find(c, offset);
	if (!t)
		return;
	unlink_from(c, t);
	clean(c, t);
}
