/*
 * ibt.c - the indirect branch tables: EIP's low 16 bits to a block's indirect entry, one table in each half of the virtual TLB.
 *
 * An entry's block checks EIP (and CS) itself, so a slot may be shared by many targets and only the address space must be right:
 * the MMU tells here when a half or a page of it is no longer what it was. Empty slots hold the stub `ibt_miss`.
 */
#include "translator/tr.h"

/* Bytes behind which a block of the previous page may reach into a page: the longest instruction less one. */
#define MAX_CROSS 14

static u8 **table(u8 *half) { return (u8 **)(half + VTLB_IBT); }

static void clear(struct translator *tr, u8 *half, u32 first, u32 n)
{
	u8 **p = table(half);

	for (u32 k = 0; k < n; k++)
		p[(first + k) & (IBT_ENTRIES - 1)] = tr->stub.ibt_miss;
}

void tr_half_add(struct translator *tr, u8 *half)
{
	bug_on(tr->nhalves == TR_MAX_HALVES, "more than %d halves", TR_MAX_HALVES);
	tr->half[tr->nhalves++] = half;
	clear(tr, half, 0, IBT_ENTRIES);
}

void tr_half_flush(struct translator *tr, u8 *half)
{
	clear(tr, half, 0, IBT_ENTRIES);
}

void tr_half_page_flush(struct translator *tr, u8 *half, gla_t lin)
{
	u32 first = (u32)lin & ~PAGE_MASK;

	if (tr->cs->mode & MK_CS_ODD)	/* EIP is not the linear address: any slot may be meant */
		clear(tr, half, 0, IBT_ENTRIES);
	else
		clear(tr, half, first - MAX_CROSS, PAGE_SIZE + MAX_CROSS);
}

void ibt_set(struct translator *tr, u8 *half, struct blk *b)
{
	table(half)[b->eip & (IBT_ENTRIES - 1)] = b->host;
}

void ibt_drop(struct translator *tr, struct blk *b)
{
	for (u32 k = 0; k < tr->nhalves; k++) {
		u8 **slot = &table(tr->half[k])[b->eip & (IBT_ENTRIES - 1)];

		if (*slot == b->host)
			*slot = tr->stub.ibt_miss;
	}
}
