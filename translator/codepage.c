/*
 * codepage.c - which blocks were made from which guest-physical page, so that a write to code drops exactly the blocks that
 * contain the written bytes.
 */
#include <stdlib.h>
#include "translator/tr.h"

/* Two levels over guest-physical page numbers below 4 GiB: 1024 x 1024 list heads. Code runs from RAM and ROM only. */
#define PT_BITS 10
struct page_table { struct blk **leaf[1u << PT_BITS]; };

bool codepage_init(struct translator *tr)
{
	tr->page_table = calloc(1, sizeof *tr->page_table);
	return tr->page_table;
}

void codepage_fini(struct translator *tr)
{
	if (!tr->page_table)
		return;
	for (u32 k = 0; k < 1u << PT_BITS; k++)
		free(tr->page_table->leaf[k]);
	free(tr->page_table);
}

static struct blk **head(struct translator *tr, gpa_t gpa, bool make)
{
	u32 pfn = gpa >> PAGE_SHIFT & 0xfffff;
	struct blk ***leaf = &tr->page_table->leaf[pfn >> PT_BITS];

	if (!*leaf) {
		if (!make)
			return NULL;
		*leaf = calloc(1u << PT_BITS, sizeof **leaf);
		bug_on(!*leaf, "out of memory for code page lists");
	}
	return &(*leaf)[pfn & ((1u << PT_BITS) - 1)];
}

/* Which of b's two lists belongs to this page. */
static int side(const struct blk *b, gpa_t page) { return b->gpa >> PAGE_SHIFT == page >> PAGE_SHIFT ? 0 : 1; }

static void add(struct translator *tr, struct blk *b, gpa_t page)
{
	struct blk **h = head(tr, page, true), *next = *h;
	int s = side(b, page);

	b->page_next[s] = next;
	b->page_prev[s] = h;
	if (next)
		next->page_prev[side(next, page)] = &b->page_next[s];
	*h = b;
	if (!next)
		tr->ops->code_page(tr->cs, page & ~(gpa_t)PAGE_MASK, true);
}

static void del(struct translator *tr, struct blk *b, gpa_t page)
{
	struct blk *next = b->page_next[side(b, page)], **prev = b->page_prev[side(b, page)];

	*prev = next;
	if (next)
		next->page_prev[side(next, page)] = prev;
	if (!*head(tr, page, false))
		tr->ops->code_page(tr->cs, page & ~(gpa_t)PAGE_MASK, false);
}

void codepage_add(struct translator *tr, struct blk *b)
{
	add(tr, b, b->gpa);
	if (b->len2 && b->gpa2 >> PAGE_SHIFT != b->gpa >> PAGE_SHIFT)
		add(tr, b, b->gpa2);
}

void codepage_del(struct translator *tr, struct blk *b)
{
	del(tr, b, b->gpa);
	if (b->len2 && b->gpa2 >> PAGE_SHIFT != b->gpa >> PAGE_SHIFT)
		del(tr, b, b->gpa2);
}

static bool overlaps(const struct blk *b, gpa_t lo, gpa_t hi)
{
	return (b->gpa < hi && b->gpa + b->len > lo) || (b->len2 && b->gpa2 < hi && b->gpa2 + b->len2 > lo);
}

bool tr_overlaps_code(struct translator *tr, gpa_t gpa, u32 len)
{
	struct blk **h = gpa >> 32 ? NULL : head(tr, gpa, false);

	for (struct blk *b = h ? *h : NULL; b; b = b->page_next[side(b, gpa)])
		if (overlaps(b, gpa, gpa + len))
			return true;
	return false;
}

void tr_write_notify(struct translator *tr, gpa_t gpa, u32 len)
{
	gpa_t end = gpa + len;

	for (gpa_t page = gpa & ~(gpa_t)PAGE_MASK; page < end; page += PAGE_SIZE) {
		struct blk **h = page >> 32 ? NULL : head(tr, page, false);
		struct blk *b = h ? *h : NULL;

		while (b) {
			struct blk *next = b->page_next[side(b, page)];

			if (overlaps(b, gpa, end)) {
				blk_remove(tr, b);
				tr->stats.smc_blocks++;
				tr->cs->resync = 1;
			}
			b = next;
		}
	}
}
