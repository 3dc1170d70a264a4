/*
 * mmu_clean.c - the dirty log of RAM for snapshots: a byte a page (TRAP_CLEAN), cleared by the first write.
 *
 * A clean page is in no write table, so its first write takes the slow path; C code that writes comes through mmu_phys_writing(), and page
 * walks that set A and D bits through walk_env.first_write. From then on the page costs nothing. What lies under the PC's hole is RAM only
 * now and then, so those few pages are never clean.
 */
#include "monitor/mmu_int.h"

#define HOLE_FIRST 0xa0u	/* pages */
#define HOLE_END   0x100u

void vt_first_write(void *arg, u32 gpage)
{
	struct mmu *mmu = arg;

	mmu->trap[gpage] &= (u8)~TRAP_CLEAN;
	if (mmu->written)
		mmu->written(mmu->written_arg, gpage);
}

static void clear_writes(struct vt_half *h)
{
	for (u32 i = 1; i < h->rec_top; i++) {
		const struct vt_rec *r = &h->rec[i];

		for (u32 p = r->page; r->run && (r->flags & VT_WRITE) && p < r->page + r->run; p++)
			if (vt_touched(h, 1, p >> (REGION_SHIFT - PAGE_SHIFT)))
				*vtlb_write_entry(h->table, p << PAGE_SHIFT) = 0;
	}
}

void mmu_clean_all(struct cpu_state *cs, void (*written)(void *arg, u32 gpage), void *arg)
{
	struct mmu *mmu = mmu_of(cs);

	mmu->written = written;
	mmu->written_arg = arg;
	for (u64 p = 0; p < mmu->mem->ram_size >> PAGE_SHIFT; p++)
		if (p < HOLE_FIRST || p >= HOLE_END)
			mmu->trap[p] |= TRAP_CLEAN;
	for (int i = 0; i < VT_SPACES && mmu->space[i]; i++)
		for (int u = 0; u < 2; u++)
			clear_writes(&mmu->space[i]->half[u]);
}

bool mmu_page_clean(const struct cpu_state *cs, u32 gpage)
{
	return ((const struct vcpu *)cs)->mmu->trap[gpage] & TRAP_CLEAN;
}

void mmu_page_unclean(struct cpu_state *cs, u32 gpage)
{
	mmu_of(cs)->trap[gpage] &= (u8)~TRAP_CLEAN;
}
