/*
 * mmu_fill.c - filling the virtual TLB: the part of the MMU that translated code calls with the guest's FPU state live.
 *
 * Nothing here may use vector registers or call the C library; what needs more (flushing code, raising a fault) returns 0 or false
 * to the caller when `quick`, and mmu_slow() does it. Invariant: each nonzero table entry is covered by a record.
 */
/* cflags: -mgeneral-regs-only */
#include "monitor/mmu_int.h"

static bool same_uppers(const struct vt_group *g, const struct walk *w)
{
	if (g->levels + 1 != w->levels && (g->levels || w->levels))
		return false;
	for (int i = 0; i < g->levels; i++)
		if (g->up[i] != w->entry[i] || g->up_value[i] != w->value[i])
			return false;
	return true;
}

static u32 table_page(const struct mmu *mmu, gpa_t entry)
{
	return entry == ~0ull ? 0 : mem_kind(mmu->mem, entry) == MEM_RAM ? (u32)(entry >> PAGE_SHIFT) : VT_NOT_RAM;
}

void vt_loosen(struct vt_half *h, u32 region)
{
	if (h->group[region].loose)
		return;
	h->group[region].loose = true;
	h->loose[h->loose_count++] = (u16)region;
}

static void group_open(struct mmu *mmu, struct vt_half *h, u32 region, const struct walk *w)
{
	struct vt_group *g = &h->group[region];
	gpa_t leaf = w->levels ? w->entry_gpa[w->levels - 1] : ~0ull;

	g->levels = w->levels ? (u8)(w->levels - 1) : 0;
	for (int i = 0; i < g->levels; i++) {
		g->up[i] = w->entry[i];
		g->up_value[i] = w->value[i];
		g->up_page[i] = table_page(mmu, w->entry_gpa[i]);
	}
	g->large = w->shift > PAGE_SHIFT;
	g->tracked = false;
	g->stable = 0;
	g->head = g->count = 0;
	g->pt_page = w->levels && mem_kind(mmu->mem, leaf) == MEM_RAM ? (u32)(leaf >> PAGE_SHIFT) : 0;
	g->active_at = h->active_count;
	h->active[h->active_count++] = (u16)region;
	vt_loosen(h, region);
}

static u32 record_alloc(struct vt_half *h)
{
	u32 i = h->rec_free;

	if (i) {
		h->rec_free = h->rec[i].next;
		return i;
	}
	return h->rec_top < VT_RECS ? h->rec_top++ : 0;
}

bool vt_record(struct mmu *mmu, struct vt_half *h, u32 page, int run, u8 flags, const struct walk *w, bool quick)
{
	u32 region = page >> (REGION_SHIFT - PAGE_SHIFT), i;
	struct vt_group *g = &h->group[region];
	struct vt_rec *r;

	if (g->count && (g->count >= VT_GROUP_RECS || !same_uppers(g, w))) {
		if (quick)
			return false;
		vt_drop_group(mmu, h, region);
	}
	i = record_alloc(h);
	if (!i)
		return false;
	if (!g->count)
		group_open(mmu, h, region, w);
	r = &h->rec[i];
	r->pte = w->levels ? w->entry[w->levels - 1] : &mmu->env.none;
	r->value = w->levels ? w->value[w->levels - 1] : 0;
	r->page = page;
	r->run = (u8)run;
	r->flags = flags;
	r->next = g->head;
	g->head = i;
	g->count++;
	return true;
}

static void touch(struct vt_half *h, int table, u32 region)
{
	u64 bit = 1ull << (region % 64), *word = &h->touched[table][region / 64];

	h->touched_count += !(*word & bit);
	*word |= bit;
}

/* Remembers that a write entry for this guest-physical page stands at this linear page: two are known, more are "many". */
static void rmap_add(struct mmu *mmu, u32 gpage, u32 page)
{
	u64 e = mmu->rmap[gpage], id = page + 1u;

	if ((e & RMAP_SLOT_MASK) == id || (e >> RMAP_SLOT_BITS & RMAP_SLOT_MASK) == id)
		return;
	if (!(e & RMAP_SLOT_MASK))
		e |= id;
	else if (!(e >> RMAP_SLOT_BITS & RMAP_SLOT_MASK))
		e |= id << RMAP_SLOT_BITS;
	else
		e |= RMAP_MANY;
	mmu->rmap[gpage] = e;
}

/* Is the aligned run of pages around gpage all RAM? */
static bool run_is_ram(const struct mem *m, u64 gpage)
{
	const u64 *kind = (const u64 *)(m->kind + (gpage & ~(u64)(VT_RUN - 1)));
	const u64 ram = MEM_RAM * 0x0101010101010101ull;

	return kind[0] == ram && kind[1] == ram;
}

/* While writes are logged (mmu_log.c) only pages that the log has get write entries. */
static bool may_write_logged(struct mmu *mmu, u64 gpage, int acc)
{
	if (acc & ACC_WRITE)
		vt_log_write(mmu, gpage);
	return (acc & ACC_WRITE) || vt_log_has(mmu, gpage);
}

static u64 fill_ram(struct mmu *mmu, struct vt_half *h, u32 page, u64 gpage, int acc, const struct walk *w, bool quick)
{
	bool many = w->shift > PAGE_SHIFT && !mmu->log && run_is_ram(mmu->mem, gpage) && !vt_watched(mmu, page & ~(u32)(VT_RUN - 1), VT_RUN);
	int run = many ? VT_RUN : 1;
	u32 first = page & ~(u32)(run - 1), region = page >> (REGION_SHIFT - PAGE_SHIFT);
	u64 gfirst = gpage & ~(u64)(run - 1);
	u64 delta = (u64)mmu->mem->ram + (gpage << PAGE_SHIFT) - ((u64)page << PAGE_SHIFT);

	if ((acc & ACC_WRITE) && mmu->trap[gpage])
		return 0;
	if (!vt_record(mmu, h, first, run, VT_READ | (w->write_ok ? VT_WRITE : 0), w, quick))
		return 0;
	touch(h, 0, region);
	for (int i = 0; i < run; i++)
		*vtlb_read_entry(h->table, (first + (u32)i) << PAGE_SHIFT) = delta;
	if (!w->write_ok || (unlikely(mmu->log) && !may_write_logged(mmu, gpage, acc)))
		return delta;
	touch(h, 1, region);
	for (int i = 0; i < run; i++)
		if (!mmu->trap[gfirst + (u64)i]) {
			*vtlb_write_entry(h->table, (first + (u32)i) << PAGE_SHIFT) = delta;
			rmap_add(mmu, (u32)gfirst + (u32)i, first + (u32)i);
		}
	return delta;
}

/* RAM of a device. Its read entries are remembered too, so that a window can be moved without emptying everything. */
static u64 fill_device(struct mmu *mmu, struct vt_half *h, u32 page, u64 gpage, int acc, const struct walk *w, bool quick)
{
	u64 delta = (u64)mmu->mem->host[gpage] - ((u64)page << PAGE_SHIFT);
	u32 region = page >> (REGION_SHIFT - PAGE_SHIFT);
	bool write = w->write_ok && !mmu->trap[gpage] && *mem_device_dirty(mmu->mem, gpage << PAGE_SHIFT);

	if ((acc & ACC_WRITE) && !write)
		return 0;
	if (!vt_record(mmu, h, page, 1, VT_READ | (w->write_ok ? VT_WRITE : 0), w, quick))
		return 0;
	rmap_add(mmu, (u32)gpage, page);
	touch(h, 0, region);
	*vtlb_read_entry(h->table, page << PAGE_SHIFT) = delta;
	if (write) {
		mmu->log = NULL;
		touch(h, 1, region);
		*vtlb_write_entry(h->table, page << PAGE_SHIFT) = delta;
	}
	return delta;
}

/* A page that is read from its host page, and not written through the tables. */
static u64 fill_read_only(struct mmu *mmu, struct vt_half *h, u32 page, u64 gpage, int acc, const struct walk *w, bool quick)
{
	u64 host = (u64)mmu->mem->host[gpage], delta = host - ((u64)page << PAGE_SHIFT);

	if (!host || (acc & ACC_WRITE) || !vt_record(mmu, h, page, 1, VT_READ, w, quick))
		return 0;
	touch(h, 0, page >> (REGION_SHIFT - PAGE_SHIFT));
	*vtlb_read_entry(h->table, page << PAGE_SHIFT) = delta;
	return delta;
}

u64 vt_fill(struct mmu *mmu, gla_t lin, int acc, const struct walk *w, bool quick)
{
	struct vt_half *h = vt_half(mmu, acc);
	u32 page = (u32)(lin >> PAGE_SHIFT);
	u64 gpage = w->gpa >> PAGE_SHIFT;

	if (vt_watched(mmu, page, 1))
		return 0;
	switch (mem_kind(mmu->mem, w->gpa)) {
	case MEM_RAM:
		return fill_ram(mmu, h, page, gpage, acc, w, quick);
	case MEM_DEVICE:
		return fill_device(mmu, h, page, gpage, acc, w, quick);
	case MEM_ROM:
	case MEM_SHADOW:
		return fill_read_only(mmu, h, page, gpage, acc, w, quick);
	default:
		return 0;
	}
}

u64 mmu_fill(struct cpu_state *cs, gla_t lin, u32 info)
{
	struct mmu *mmu = mmu_of(cs);
	int acc = (info & MEM_WRITE ? ACC_WRITE : ACC_READ) | (!(info & MEM_SUPER) && cs->cpl == 3 ? ACC_USER : 0);
	struct walk w;

	lin = (u32)lin;
	if ((cs->mode & MK_ALIGN) || (lin & PAGE_MASK) + (info & MEM_SIZE) > PAGE_SIZE)
		return 0;
	if (info & MEM_LATER) {
		if (walk_page(&mmu->env, lin, (acc & ~ACC_WRITE) | ACC_READ, WALK_QUICK, &w) != WALK_OK || !w.write_ok)
			return 0;
	} else if (walk_page(&mmu->env, lin, acc, WALK_QUICK, &w) != WALK_OK) {
		return 0;
	}
	return vt_fill(mmu, lin, acc, &w, true);
}
