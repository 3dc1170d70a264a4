/*
 * ibt.c - the indirect branch tables: ibt_index(EIP) to a block's indirect entry, one table in each half of the virtual TLB.
 *
 * An entry's block checks EIP (and CS) itself, so a slot may be shared by many targets and only the address space must be right:
 * the MMU tells here when a half or a page of it is no longer what it was. Empty slots hold the stub `ibt_miss`. The map behind the
 * table has a bit for each host cache line of it: a clear bit says that all of the line's slots are empty, so emptying a table
 * costs what was filled and not its size.
 */
#include "translator/tr.h"

/* Bytes behind which a block of the previous page may reach into a page: the longest instruction less one. */
#define MAX_CROSS 14
#define LINE      8u			/* slots a bit of the map */
#define LINES     (IBT_ENTRIES / LINE)
#define MAP_WORDS (LINES / 64)

static u8 **table(u8 *half) { return (u8 **)(half + VTLB_IBT); }
static u64 *map(u8 *half) { return (u64 *)(half + VTLB_IBT_MAP); }

static void clear_line(struct translator *tr, u8 *half, u32 line)
{
	u8 **p = table(half) + line * LINE;

	for (u32 k = 0; k < LINE; k++)
		p[k] = tr->stub.ibt_miss;
}

/* Clears the filled ones of the 64 lines of a word of the map that `mask` names. */
static void clear_word(struct translator *tr, u8 *half, u32 word, u64 mask)
{
	u64 *m = map(half) + word;

	for (u64 todo = *m & mask; todo; todo &= todo - 1)
		clear_line(tr, half, word * 64 + (u32)__builtin_ctzll(todo));
	*m &= ~mask;
}

void tr_half_add(struct translator *tr, u8 *half)
{
	bug_on(tr->nhalves == TR_MAX_HALVES, "more than %d halves", TR_MAX_HALVES);
	tr->half[tr->nhalves++] = half;
	for (u32 line = 0; line < LINES; line++)
		clear_line(tr, half, line);
	memset(map(half), 0, MAP_WORDS * sizeof(u64));
}

void tr_half_flush(struct translator *tr, u8 *half)
{
	for (u32 word = 0; word < MAP_WORDS; word++)
		clear_word(tr, half, word, ~0ull);
}

void tr_half_page_flush(struct translator *tr, u8 *half, gla_t lin)
{
	/* The page's slots are neighbours; those of the previous page's end lie before them, one further off for the other page number. */
	u32 first = ibt_index((u32)lin & ~PAGE_MASK) - MAX_CROSS - 1, left = PAGE_SIZE + MAX_CROSS + 1, line = (first & (IBT_ENTRIES - 1)) / LINE;
	u32 lines = (first % LINE + left + LINE - 1) / LINE;

	if (tr->cs->mode & MK_CS_ODD) {		/* EIP is not the linear address: any slot may be meant */
		tr_half_flush(tr, half);
		return;
	}
	while (lines) {
		u32 bit = line % 64, n = 64 - bit < lines ? 64 - bit : lines;

		clear_word(tr, half, line / 64, (n == 64 ? ~0ull : (1ull << n) - 1) << bit);
		line = (line + n) & (LINES - 1);
		lines -= n;
	}
}

void tr_half_copy(struct translator *tr, u8 *half, u8 *from)
{
	for (u32 word = 0; word < MAP_WORDS; word++) {
		clear_word(tr, half, word, ~map(from)[word]);
		for (u64 todo = map(from)[word]; todo; todo &= todo - 1) {
			u32 slot = (word * 64 + (u32)__builtin_ctzll(todo)) * LINE;

			memcpy(table(half) + slot, table(from) + slot, LINE * sizeof(u8 *));
		}
		map(half)[word] = map(from)[word];
	}
}

void ibt_set(struct translator *tr, u8 *half, struct blk *b)
{
	u32 slot = ibt_index(b->eip);

	table(half)[slot] = b->host;
	map(half)[slot / LINE / 64] |= 1ull << slot / LINE % 64;
	b->in_ibt = true;
}

void ibt_drop(struct translator *tr, struct blk *b)
{
	if (!b->in_ibt)
		return;
	for (u32 k = 0; k < tr->nhalves; k++) {
		u8 **slot = &table(tr->half[k])[ibt_index(b->eip)];

		if (*slot == b->host)
			*slot = tr->stub.ibt_miss;
	}
}
