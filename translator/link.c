/*
 * link.c - finding blocks, and the chains between them.
 *
 * Invariant: a chained jump's target is alive, has the same mode key and CS, lies in the same guest page and does not reach
 * into another page. A dead block is in no list; its code stays intact until its unit is evicted, since it may be running.
 */
#include "translator/tr.h"

struct blk *blk_find(struct translator *tr, gpa_t gpa, u64 eip, u32 mode, u32 cs_id)
{
	struct blk *b = tr->hash[blk_hash(gpa, eip, mode, cs_id)];

	while (b && (b->gpa != gpa || b->eip != eip || b->mode != mode || b->cs_id != cs_id))
		b = b->hash_next;
	return b;
}

static void trace(const struct translator *tr, const struct blk *b, const char *what)
{
	if (unlikely(tr->opt.trace != NULL))
		fprintf(tr->opt.trace, "tc: block %llx gpa %llx mode %07x %s, %u to %u bytes\n", (unsigned long long)b->eip,
			(unsigned long long)b->gpa, b->mode, what, b->len + b->len2, b->host_len);
}

void blk_insert(struct translator *tr, struct blk *b)
{
	struct blk **slot = &tr->hash[blk_hash(b->gpa, b->eip, b->mode, b->cs_id)];

	b->hash_next = *slot;
	*slot = b;
	codepage_add(tr, b);
	trace(tr, b, "made");
}

void link_set(struct translator *tr, struct link *l, struct blk *to)
{
	if (l->to) {
		*l->in_prev = l->in_next;
		if (l->in_next)
			l->in_next->in_prev = l->in_prev;
	}
	l->to = to;
	if (!to) {
		em_patch(l->site, l->stub);
		return;
	}
	l->in_next = to->in;
	l->in_prev = &to->in;
	if (to->in)
		to->in->in_prev = &l->in_next;
	to->in = l;
	em_patch(l->site, to->body);
	tr->stats.links++;
}

void blk_remove(struct translator *tr, struct blk *b)
{
	struct blk **slot = &tr->hash[blk_hash(b->gpa, b->eip, b->mode, b->cs_id)];

	while (*slot != b) {
		bug_on(!*slot, "block %llx is not in the hash", (unsigned long long)b->eip);
		slot = &(*slot)->hash_next;
	}
	*slot = b->hash_next;
	while (b->in)
		link_set(tr, b->in, NULL);
	for (int k = 0; k < b->nlinks; k++)
		if (b->links[k].to)
			link_set(tr, &b->links[k], NULL);
	ibt_drop(tr, b);
	codepage_del(tr, b);
	b->dead = true;
	trace(tr, b, "dropped");
}
