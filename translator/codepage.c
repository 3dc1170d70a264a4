/*
 * codepage.c - which blocks were made from which guest-physical page, so that a write to code drops exactly the blocks that
 * contain the written bytes.
 *
 * Each such write takes the slow path, and each dropped block is translated again. Where that repeats itself (code generated or
 * patched in place; code and data in one page, as old programs have them) the page's blocks check themselves instead: they compare
 * their bytes at each entry (block.c), and the page may be written at full speed. A page turns so after TURN_ROUNDS times that
 * code was made and written again, at most ROUND_BLOCKS translations apart (a page that is merely used anew now and then does not count),
 * or after TURN_WRITES writes beside the code.
 */
#include <stdlib.h>
#include "translator/tr.h"

/* Two levels over guest-physical page numbers below 4 GiB: 1024 x 1024 list heads. Code runs from RAM and ROM only. */
#define PT_BITS 10
struct code_page {
	struct blk *blks;
	u64 last;		/* stats.blocks at the last round */
	u32 writes;		/* beside the code */
	u8 rounds;
	bool made;		/* a block, since the last round */
	bool checked;
};
struct page_table { struct code_page *leaf[1u << PT_BITS]; };
enum { TURN_ROUNDS = 16, ROUND_BLOCKS = 2000, TURN_WRITES = 4096 };

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

static struct code_page *page_of(struct translator *tr, gpa_t gpa, bool make)
{
	u32 pfn = gpa >> PAGE_SHIFT & 0xfffff;
	struct code_page **leaf = &tr->page_table->leaf[pfn >> PT_BITS];

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
	struct code_page *p = page_of(tr, page, true);
	struct blk **h = &p->blks, *next = *h;
	int s = side(b, page);

	b->page_next[s] = next;
	b->page_prev[s] = h;
	if (next)
		next->page_prev[side(next, page)] = &b->page_next[s];
	*h = b;
	p->made = true;
	if (!next && !p->checked)
		tr->ops->code_page(tr->cs, page & ~(gpa_t)PAGE_MASK, true);
}

static void del(struct translator *tr, struct blk *b, gpa_t page)
{
	struct blk *next = b->page_next[side(b, page)], **prev = b->page_prev[side(b, page)];
	struct code_page *p = page_of(tr, page, false);

	*prev = next;
	if (next)
		next->page_prev[side(next, page)] = prev;
	if (!p->blks && !p->checked)
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
	struct code_page *p = gpa >> 32 ? NULL : page_of(tr, gpa, false);

	for (struct blk *b = p ? p->blks : NULL; b; b = b->page_next[side(b, gpa)])
		if (overlaps(b, gpa, gpa + len))
			return true;
	return false;
}

bool codepage_checked(struct translator *tr, gpa_t gpa)
{
	struct code_page *p = gpa >> 32 ? NULL : page_of(tr, gpa, false);

	return p && p->checked;
}

void codepage_turn(struct translator *tr)
{
	struct code_page *p = page_of(tr, tr->thrashed, true);

	tr->thrashed = 0;
	while (p->blks) {
		blk_remove(tr, p->blks);
		tr->stats.smc_blocks++;
	}
	p->checked = true;
	tr->stats.checked_pages++;
}

/* A write to a page with code. */
static void count_write(struct translator *tr, struct code_page *p, gpa_t page, bool hit)
{
	if (!hit) {
		p->writes++;
	} else if (p->made) {
		p->rounds = tr->stats.blocks - p->last > ROUND_BLOCKS ? 1 : p->rounds + 1;
		p->last = tr->stats.blocks;
		p->made = false;
	}
	if (!p->checked && (p->rounds >= TURN_ROUNDS || p->writes >= TURN_WRITES)) {
		p->rounds = 0;
		p->writes = 0;
		tr->thrashed = page | 1;
		tr->cs->go = 0;		/* soon; not behind this instruction, which may be a CALL that has not jumped yet */
	}
}

void tr_write_notify(struct translator *tr, gpa_t gpa, u32 len)
{
	gpa_t end = gpa + len;

	for (gpa_t page = gpa & ~(gpa_t)PAGE_MASK; page < end; page += PAGE_SIZE) {
		struct code_page *p = page >> 32 ? NULL : page_of(tr, page, false);
		struct blk *b = p ? p->blks : NULL;
		bool any = b, hit = false;

		while (b) {
			struct blk *next = b->page_next[side(b, page)];

			if (overlaps(b, gpa, end)) {
				blk_remove(tr, b);
				tr->stats.smc_blocks++;
				tr->cs->resync = 1;
				hit = true;
			}
			b = next;
		}
		if (any && len < PAGE_SIZE)
			count_write(tr, p, page, hit);
	}
}
