/*
 * mmu_as.c - address spaces of the virtual TLB: switching, re-validation, emptying.
 *
 * A CR3 write looks for the space of the new value and compares what was filled there with the page tables of now; a value not seen
 * lately takes over the space that was longest unused. Both are what an emptied TLB would be refilled with, so nothing stale
 * survives, global entries included (keeping those is allowed, not required). Control register changes are key changes.
 */
#include <stdlib.h>
#include <string.h>
#include "monitor/lib/hostmem.h"
#include "monitor/mmu_int.h"
#include "monitor/cpuid.h"

#define CR0_PG   (1ull << 31)
#define CR0_WP   (1ull << 16)
#define CR4_PGE  (1u << 7)
#define CR4_KEY  (1u << 4 | 1u << 5 | 1u << 20)		/* PSE PAE SMEP */
#define PAGES_4G (1ull << 20)
#define TOUCHED_MAX 256	/* pieces of table (16 KiB, for 2 MiB) a half may keep when its space is given to another CR3 */
#define INHERIT_TRIES 4		/* spaces looked at for code that a new one can have */
#define CODE_FLUSH_MAX 4	/* code pages flushed one by one; more: the whole half */

/* --- dropping --- */

static void vt_clear_entries(struct vt_half *h, u32 page, u32 flags)
{
	if (flags & VT_READ)
		*vtlb_read_entry(h->table, page << PAGE_SHIFT) = 0;
	if (flags & VT_WRITE)
		*vtlb_write_entry(h->table, page << PAGE_SHIFT) = 0;
}

static void drop_record(struct mmu *mmu, struct vt_half *h, struct vt_rec *r)
{
	for (u32 p = r->page; p < r->page + r->run; p++)
		vt_clear_entries(h, p, r->flags);
	if (r->flags & VT_CODE) {
		struct vt_code *c = &h->code[r->page % VT_EXEC];

		if (c->page1 == r->page + 1)
			c->page1 = 0;
		tr_half_page_flush(mmu->vcpu->tr, h->table, (gla_t)r->page << PAGE_SHIFT);
	}
}

static void record_free(struct vt_half *h, struct vt_group *g, u32 i)
{
	h->rec[i].run = 0;
	h->rec[i].next = h->rec_free;
	h->rec_free = i;
	g->count--;
}

static void group_close(struct vt_half *h, struct vt_group *g)
{
	u16 last = h->active[--h->active_count];

	h->active[g->active_at] = last;
	h->group[last].active_at = g->active_at;
}

/* Drops the records of a group that cover `page`, or all. */
static void group_sweep(struct mmu *mmu, struct vt_half *h, struct vt_group *g, bool all, u32 page)
{
	u32 *link = &g->head;

	while (*link) {
		struct vt_rec *r = &h->rec[*link];
		u32 i = *link;

		if (all || page - r->page < r->run) {
			*link = r->next;
			drop_record(mmu, h, r);
			record_free(h, g, i);
		} else {
			link = &r->next;
		}
	}
	if (!g->count)
		group_close(h, g);
}

void vt_drop_group(struct mmu *mmu, struct vt_half *h, u32 region)
{
	struct vt_group *g = &h->group[region];

	if (g->count)
		group_sweep(mmu, h, g, true, 0);
}

/* Empties the tables through the records; returns the number of code pages. */
static u32 clear_entries(struct mmu *mmu, struct vt_half *h, bool tables)
{
	u32 code = 0;

	for (u32 i = 1; i < h->rec_top; i++) {
		struct vt_rec *r = &h->rec[i];

		code += r->run && (r->flags & VT_CODE);
		if (!tables || !r->run)
			continue;
		for (u32 p = r->page; p < r->page + r->run; p++)
			vt_clear_entries(h, p, r->flags);
	}
	return code;
}

static void clear_code(struct mmu *mmu, struct vt_half *h, u32 count)
{
	memset(h->code, 0, sizeof(h->code));
	if (count > CODE_FLUSH_MAX) {
		tr_half_flush(mmu->vcpu->tr, h->table);
		return;
	}
	for (u32 i = 1; i < h->rec_top; i++)
		if (h->rec[i].run && (h->rec[i].flags & VT_CODE))
			tr_half_page_flush(mmu->vcpu->tr, h->table, (gla_t)h->rec[i].page << PAGE_SHIFT);
}

void vt_clear_half(struct mmu *mmu, struct vt_half *h)
{
	bool discard = h->touched_count > TOUCHED_MAX;
	u32 code = clear_entries(mmu, h, !discard);

	if (discard) {
		hostmem_discard(h->table, VTLB_IBT);
		memset(h->touched, 0, sizeof(h->touched));
		h->touched_count = 0;
	}
	if (code)
		clear_code(mmu, h, code);
	for (u32 i = 0; i < h->active_count; i++)
		h->group[h->active[i]].count = 0;
	h->active_count = 0;
	while (h->loose_count)
		h->group[h->loose[--h->loose_count]].loose = false;
	h->rec_top = 1;
	h->rec_free = 0;
}

void mmu_flush_all(struct mmu *mmu)
{
	for (int i = 0; i < VT_SPACES && mmu->space[i]; i++)
		for (int u = 0; u < 2; u++)
			vt_clear_half(mmu, &mmu->space[i]->half[u]);
}

void mmu_watch(struct cpu_state *cs, const u32 *page, int count)
{
	struct mmu *mmu = mmu_of(cs);

	if (count == mmu->watches && !memcmp(mmu->watched, page, (size_t)count * sizeof *page))
		return;
	memcpy(mmu->watched, page, (size_t)count * sizeof *page);
	mmu->watches = count;
	mmu_flush_all(mmu);
}

/* --- write protection of guest-physical pages --- */

/* A range of host memory whose entries are to go. */
struct purge { u64 lo, len; u8 flags; };

static void purge_entry(u64 *entry, u32 page, const struct purge *what)
{
	if (*entry && *entry + ((u64)page << PAGE_SHIFT) - what->lo < what->len)
		*entry = 0;
}

static void purge_page(struct vt_half *h, u32 page, const struct purge *what)
{
	if ((what->flags & VT_WRITE) && vt_touched(h, 1, page >> (REGION_SHIFT - PAGE_SHIFT)))
		purge_entry(vtlb_write_entry(h->table, page << PAGE_SHIFT), page, what);
	if ((what->flags & VT_READ) && vt_touched(h, 0, page >> (REGION_SHIFT - PAGE_SHIFT)))
		purge_entry(vtlb_read_entry(h->table, page << PAGE_SHIFT), page, what);
}

static void purge_at(struct mmu *mmu, u32 page, const struct purge *what)
{
	for (int i = 0; i < VT_SPACES && mmu->space[i]; i++)
		for (int u = 0; u < 2; u++)
			purge_page(&mmu->space[i]->half[u], page, what);
}

static void purge_half(struct vt_half *h, const struct purge *what)
{
	for (u32 i = 1; i < h->rec_top; i++) {
		const struct vt_rec *r = &h->rec[i];

		for (u32 p = r->page; (r->flags & what->flags) && p < r->page + r->run; p++)
			purge_page(h, p, what);
	}
}

static void purge_everywhere(struct mmu *mmu, const struct purge *what)
{
	for (int i = 0; i < VT_SPACES && mmu->space[i]; i++)
		for (int u = 0; u < 2; u++)
			purge_half(&mmu->space[i]->half[u], what);
}

/* Goes through the linear pages that are known to hold entries of a guest-physical page. False: they are too many to be known. */
static bool purge_known(struct mmu *mmu, u64 gpage, const struct purge *what)
{
	u64 e = mmu->rmap[gpage];

	if (e & RMAP_MANY)
		return false;
	for (; e; e >>= RMAP_SLOT_BITS)
		if (e & RMAP_SLOT_MASK)
			purge_at(mmu, (u32)(e & RMAP_SLOT_MASK) - 1, what);
	return true;
}

/* Of a device's page rmap also knows the read entries, which stay. */
void vt_purge_writes(struct mmu *mmu, u32 gpage)
{
	struct purge what = { (u64)mem_host(mmu->vcpu->vm, (gpa_t)gpage << PAGE_SHIFT), PAGE_SIZE, VT_WRITE };

	if (!purge_known(mmu, gpage, &what))
		purge_everywhere(mmu, &what);
	if (mem_kind(mmu->mem, (gpa_t)gpage << PAGE_SHIFT) == MEM_RAM)
		mmu->rmap[gpage] = 0;
}

void mmu_device_purge(struct mmu *mmu, gpa_t gpa, const u8 *host, u64 len, bool reads)
{
	struct purge what = { (u64)host, len, VT_WRITE | (reads ? VT_READ : 0) };
	bool known = true;

	for (u64 p = gpa >> PAGE_SHIFT; p < (gpa + len) >> PAGE_SHIFT; p++) {
		if (mem_kind(mmu->mem, p << PAGE_SHIFT) != MEM_DEVICE || mmu->mem->host[p] != host + ((p << PAGE_SHIFT) - gpa))
			continue;	/* something else is in front */
		known &= purge_known(mmu, p, &what);
		if (reads)
			mmu->rmap[p] = 0;
	}
	if (!known)
		purge_everywhere(mmu, &what);
}

void mmu_code_page(struct cpu_state *cs, gpa_t page, bool has_code)
{
	struct mmu *mmu = mmu_of(cs);
	u32 gpage = (u32)(page >> PAGE_SHIFT);

	if (mem_kind(mmu->mem, page) != MEM_RAM && mem_kind(mmu->mem, page) != MEM_DEVICE && has_code)
		return;
	if (!has_code) {
		mmu->trap[gpage] &= (u8)~TRAP_CODE;
		return;
	}
	mmu->trap[gpage] |= TRAP_CODE;
	vt_purge_writes(mmu, gpage);
}

void vt_untrack(struct mmu *mmu, u32 gpage)
{
	mmu->trap[gpage] &= (u8)~TRAP_PT;
	mmu->pt_gen[gpage]++;
	mmu->untracks++;
}

void mmu_phys_written(struct cpu_state *cs, gpa_t gpa, u32 len)
{
	struct mmu *mmu = mmu_of(cs);
	u32 gpage = (u32)(gpa >> PAGE_SHIFT);
	u8 trap = mmu->trap[gpage];

	if (trap & TRAP_PT)
		vt_untrack(mmu, gpage);
	if (trap & TRAP_CODE)
		tr_write_notify(mmu->vcpu->tr, gpa, len);
}

/* --- re-validation --- */

static bool uppers_hold(enum paging paging, const struct vt_group *g)
{
	for (int i = 0; i < g->levels; i++)
		if (walk_entry(paging, g->up[i]) != g->up_value[i])
			return false;
	return true;
}

/* A record without write entries does not mind the dirty bit being set meanwhile. */
static bool record_holds(enum paging paging, const struct vt_rec *r)
{
	u64 diff = walk_entry(paging, r->pte) ^ r->value;

	return !(diff & ~(u64)(r->flags & VT_WRITE ? 0 : PTE_D));
}

static void track(struct mmu *mmu, u32 page)
{
	if (mmu->trap[page] & TRAP_PT)
		return;
	mmu->trap[page] |= TRAP_PT;
	vt_purge_writes(mmu, page);
}

/* The group's entries have just been found to be those of the page table: after some such times trust them until it is written. */
static void group_settle(struct mmu *mmu, struct vt_group *g)
{
	u32 pt = g->pt_page;

	if (!pt || ++g->stable < (g->count < VT_STABLE_MIN && !(mmu->trap[pt] & TRAP_PT) ? VT_STABLE_SMALL : VT_STABLE))
		return;
	track(mmu, pt);
	g->tracked = true;
	g->gen = mmu->pt_gen[pt];
}

/* Protects the upper entries of a tracked group, which have just been found to hold. False: they are written too often for that. */
static bool group_seal(struct mmu *mmu, const struct vt_group *g)
{
	for (int i = 0; i < g->levels; i++)
		if (g->up_page[i] == VT_NOT_RAM || (g->up_page[i] && mmu->pt_gen[g->up_page[i]] > VT_UP_BUSY))
			return false;
	for (int i = 0; i < g->levels; i++)
		if (g->up_page[i])
			track(mmu, g->up_page[i]);
	return true;
}

static void group_revalidate(struct mmu *mmu, struct vt_half *h, struct vt_group *g)
{
	enum paging paging = mmu->env.paging;
	struct vt_rec *rec = h->rec;
	u32 *link = &g->head;
	bool changed = false;

	if (!uppers_hold(paging, g)) {
		group_sweep(mmu, h, g, true, 0);
		return;
	}
	if (g->tracked) {
		if ((mmu->trap[g->pt_page] & TRAP_PT) && g->gen == mmu->pt_gen[g->pt_page])
			return;
		g->tracked = false;
		g->stable = VT_WRITTEN;
	}
	for (u32 i = g->head, next; i; i = next) {
		struct vt_rec *r = &rec[i];

		next = r->next;
		if (likely(record_holds(paging, r))) {
			link = &r->next;
			continue;
		}
		*link = next;
		drop_record(mmu, h, r);
		record_free(h, g, i);
		changed = true;
	}
	if (!g->count)
		group_close(h, g);
	else if (!changed)
		group_settle(mmu, g);
}

/* Looks at the loose groups and leaves in the list what stays loose. */
static void half_revalidate(struct mmu *mmu, struct vt_half *h)
{
	for (u32 i = h->loose_count; i-- > 0; ) {
		struct vt_group *g = &h->group[h->loose[i]];

		if (g->count)
			group_revalidate(mmu, h, g);
		if (g->count && !(g->tracked && group_seal(mmu, g)))
			continue;
		g->loose = false;
		h->loose[i] = h->loose[--h->loose_count];
	}
}

static void space_revalidate(struct mmu *mmu, struct vt_space *s)
{
	bool all = s->stamp != mmu->untracks || memcmp(s->pdpte, mmu->env.pdpte, sizeof(s->pdpte));

	for (int u = 0; u < 2; u++) {
		struct vt_half *h = &s->half[u];

		for (u32 i = 0; all && i < h->active_count; i++)
			vt_loosen(h, h->active[i]);
		half_revalidate(mmu, h);
	}
}

/* --- spaces --- */

static bool half_init(struct mmu *mmu, struct vt_half *h)
{
	h->table = hostmem_reserve(VTLB_HALF_SIZE);
	h->rec = (struct vt_rec *)hostmem_reserve(VT_RECS * sizeof(*h->rec));
	h->group = (struct vt_group *)hostmem_reserve(VT_GROUPS * sizeof(*h->group));
	h->rec_top = 1;
	if (!h->table || !h->rec || !h->group)
		return false;
	tr_half_add(mmu->vcpu->tr, h->table);
	return true;
}

static void space_fini(struct vt_space *s)
{
	for (int u = 0; s && u < 2; u++) {
		hostmem_unmap(s->half[u].table, VTLB_HALF_SIZE);
		hostmem_unmap((u8 *)s->half[u].rec, VT_RECS * sizeof(struct vt_rec));
		hostmem_unmap((u8 *)s->half[u].group, VT_GROUPS * sizeof(struct vt_group));
	}
	free(s);
}

static struct vt_space *space_new(struct mmu *mmu)
{
	struct vt_space *s = calloc(1, sizeof(*s));

	if (s && half_init(mmu, &s->half[0]) && half_init(mmu, &s->half[1]))
		return s;
	space_fini(s);
	return NULL;
}

static void space_empty(struct mmu *mmu, struct vt_space *s)
{
	for (int u = 0; u < 2; u++)
		vt_clear_half(mmu, &s->half[u]);
}

/* A space for a CR3 value that has none: a new one while there is room, else the one longest unused, emptied. */
static struct vt_space *space_take(struct mmu *mmu)
{
	struct vt_space *old = NULL;

	for (int i = 0; i < VT_SPACES; i++) {
		if (!mmu->space[i])
			mmu->space[i] = space_new(mmu);
		if (!mmu->space[i])
			break;
		if (!mmu->space[i]->live)
			return mmu->space[i];
		if (!old || mmu->space[i]->used < old->used)
			old = mmu->space[i];
	}
	space_empty(mmu, old);
	return old;
}

/* --- code of a new space --- */

/*
 * Does what the walk found lie in the page table that the group's entries came from? Only the entry that names the table counts: with
 * page-table isolation each process has upper tables of its own with the same contents. (A large page is compared by its own entry.)
 */
static bool same_table(const struct vt_group *g, const struct walk *w)
{
	if (w->levels != g->levels + 1)
		return false;
	return w->shift > PAGE_SHIFT || !g->levels || w->value[g->levels - 1] == g->up_value[g->levels - 1];
}

/* Records in `h`, a half of the current paging structures, the code pages of another half's group. False if one is mapped
 * otherwise here. */
static bool group_inherit(struct mmu *mmu, struct vt_half *h, const struct vt_half *from, const struct vt_group *g)
{
	struct walk w = { .levels = 0 };

	for (u32 i = g->head; i; i = from->rec[i].next) {
		const struct vt_rec *r = &from->rec[i];
		u8 leaf;

		if (!(r->flags & VT_CODE))
			continue;
		if (!w.levels && walk_page(&mmu->env, (gla_t)r->page << PAGE_SHIFT, ACC_EXEC, WALK_PEEK, &w) != WALK_OK)
			return false;
		leaf = w.levels - 1;
		if (w.shift == PAGE_SHIFT) {
			w.entry[leaf] = r->pte;
			w.value[leaf] = walk_entry(mmu->env.paging, r->pte);
		}
		if (!same_table(g, &w) || w.value[leaf] != r->value || !vt_record(mmu, h, r->page, r->run, VT_CODE, &w, false))
			return false;
		if (from->code[r->page % VT_EXEC].page1 == r->page + 1)
			h->code[r->page % VT_EXEC] = from->code[r->page % VT_EXEC];
	}
	return true;
}

static struct vt_space *used_before(struct mmu *mmu, const struct vt_space *s, u64 tick)
{
	struct vt_space *last = NULL;

	for (int i = 0; i < VT_SPACES && mmu->space[i]; i++) {
		struct vt_space *t = mmu->space[i];

		if (t != s && t->live && t->key == s->key && t->used < tick && (!last || t->used > last->used))
			last = t;
	}
	return last;
}

static bool half_inherit(struct mmu *mmu, struct vt_half *h, const struct vt_half *from)
{
	for (u32 i = 0; i < from->active_count; i++)
		if (!group_inherit(mmu, h, from, &from->group[from->active[i]]))
			return false;
	if (!h->active_count)		/* nothing to be had */
		return false;
	tr_half_copy(mmu->vcpu->tr, h->table, from->table);
	return true;
}

/*
 * A new space starts with the supervisor code of the last one that maps all of its own code in the same way (the kernel is the
 * same in all processes), so that a process's first system calls need not look up every indirect jump anew.
 */
static void space_inherit(struct mmu *mmu, struct vt_space *s)
{
	struct vt_space *t = used_before(mmu, s, ~0ull);

	for (int tries = 0; t && tries < INHERIT_TRIES; t = used_before(mmu, s, t->used), tries++) {
		if (half_inherit(mmu, &s->half[0], &t->half[0]))
			return;
		vt_clear_half(mmu, &s->half[0]);
	}
}

static u32 space_key(const struct mmu *mmu, const struct cpu_state *cs)
{
	u32 a20 = mmu->mem->a20_mask == ~0ull;

	if (!(cs->cr0 & CR0_PG))
		return a20;
	return (u32)(cs->cr4 & CR4_KEY) | 1u << 31 | (u32)(cs->cr0 & CR0_WP) | (u32)mmu->env.nx << 1 |
	       (u32)mmu->env.paging << 2 | a20;
}

/* With PAE: is the code that runs now mapped by other tables than when the space was last used? Then its CR3 value has been
 * given to another process. */
static bool space_is_reused(const struct mmu *mmu, const struct vt_space *s, const struct cpu_state *cs)
{
	u32 quarter = (u32)(cs->rip + cs->seg[S_CS].base) >> 30;

	return mmu->env.paging == PAGING_PAE && s->pdpte[quarter] != mmu->env.pdpte[quarter];
}

static void space_switch(struct mmu *mmu, struct cpu_state *cs)
{
	u32 key = space_key(mmu, cs);
	u64 root = cs->cr0 & CR0_PG ? mmu->env.root : 0;
	struct vt_space *s = NULL;

	mmu->log = NULL;
	for (int i = 0; i < VT_SPACES && mmu->space[i] && !s; i++)
		if (mmu->root[i] == root && mmu->space[i]->root == root && mmu->space[i]->key == key)
			s = mmu->space[i];
	if (s && !space_is_reused(mmu, s, cs)) {
		space_revalidate(mmu, s);
	} else {
		if (s)
			space_empty(mmu, s);
		else
			s = space_take(mmu);
		s->root = root;
		for (int i = 0; i < VT_SPACES; i++)
			if (mmu->space[i] == s)
				mmu->root[i] = root;
		s->key = key;
		s->live = true;
		if (mmu->env.paging != PAGING_NONE)
			space_inherit(mmu, s);
	}
	s->used = ++mmu->tick;
	s->stamp = mmu->untracks;
	memcpy(s->pdpte, mmu->env.pdpte, sizeof(s->pdpte));
	mmu->cur = s;
	for (int u = 0; u < 2; u++)
		mmu->vcpu->half[u] = s->half[u].table;
	cs->half = mmu->vcpu->half[cs->cpl == 3];
}

/* The bits whose change by MOV to CR0 or CR4 reloads the PDPTEs (SDM vol. 3, 4.4.1). */
static u32 pdpte_key(const struct cpu_state *cs)
{
	return (u32)(cs->cr4 & (CR4_KEY | CR4_PGE)) | (u32)(cs->cr0 & CR0_PG);
}

void mmu_cr3_written(struct cpu_state *cs)
{
	struct mmu *mmu = mmu_of(cs);

	if (!(cs->cr0 & CR0_PG))
		return;
	walk_setup(&mmu->env, cs);
	if (mmu->env.paging == PAGING_PAE)
		walk_load_pdptes(&mmu->env, cs->cr3, false);
	space_switch(mmu, cs);
}

bool mmu_pdptes_valid(struct cpu_state *cs, u64 cr3)
{
	return walk_load_pdptes(&mmu_of(cs)->env, cr3, true);
}

void mmu_mode_changed(struct cpu_state *cs)
{
	struct mmu *mmu = mmu_of(cs);
	u32 key = pdpte_key(cs);

	walk_setup(&mmu->env, cs);
	if (mmu->env.paging == PAGING_PAE && key != mmu->pdpte_key)
		walk_load_pdptes(&mmu->env, cs->cr3, false);
	mmu->pdpte_key = key;
	space_switch(mmu, cs);
}

void mmu_restore(struct cpu_state *cs, const u64 pdpte[4])
{
	struct mmu *mmu = mmu_of(cs);

	mmu->untracks++;	/* no space keeps what it trusted */
	mmu_flush_all(mmu);
	walk_setup(&mmu->env, cs);
	memcpy(mmu->env.pdpte, pdpte, sizeof(mmu->env.pdpte));
	mmu->pdpte_key = pdpte_key(cs);
	space_switch(mmu, cs);
}

void mmu_pdptes(const struct cpu_state *cs, u64 pdpte[4])
{
	memcpy(pdpte, ((const struct vcpu *)cs)->mmu->env.pdpte, sizeof(((struct walk_env *)0)->pdpte));
}

static void invlpg_half(struct mmu *mmu, struct vt_half *h, u32 page)
{
	u32 region = page >> (REGION_SHIFT - PAGE_SHIFT);
	struct vt_group *g = &h->group[region], *twin = &h->group[region ^ 1];

	if (twin->count && twin->large)		/* the other half of a 4 MiB page */
		vt_drop_group(mmu, h, region ^ 1);
	if (g->count)
		group_sweep(mmu, h, g, g->large, page);
}

/* Other spaces need nothing: they are compared with the page tables before they are used again. */
void mmu_invlpg(struct cpu_state *cs, gla_t lin)
{
	struct mmu *mmu = mmu_of(cs);

	if (!(cs->cr0 & CR0_PG))
		return;
	for (int u = 0; u < 2; u++)
		invlpg_half(mmu, &mmu->cur->half[u], (u32)lin >> PAGE_SHIFT);
}

static u8 model_phys_bits(struct vcpu *vcpu)
{
	u32 r[4] = { 0 };

	if (vcpu->model)
		cpu_model_cpuid(vcpu->model, &vcpu->cs, 0x80000000u, 0, r);
	if (r[0] < 0x80000008u)
		return 36;
	cpu_model_cpuid(vcpu->model, &vcpu->cs, 0x80000008u, 0, r);
	return (r[0] & 0xff) < 32 ? 32 : (r[0] & 0xff) > 52 ? 52 : (u8)(r[0] & 0xff);
}

struct mmu *mmu_init(struct vcpu *vcpu)
{
	struct mmu *mmu = calloc(1, sizeof(*mmu));

	if (!mmu)
		return NULL;
	vcpu->mmu = mmu;
	mmu->vcpu = vcpu;
	mmu->mem = vcpu->vm->mem;
	mmu->trap = hostmem_reserve(PAGES_4G);
	mmu->rmap = (u64 *)hostmem_reserve(PAGES_4G * sizeof(*mmu->rmap));
	mmu->pt_gen = (u32 *)hostmem_reserve(PAGES_4G * sizeof(*mmu->pt_gen));
	mmu->space[0] = space_new(mmu);
	if (!mmu->trap || !mmu->rmap || !mmu->pt_gen || !mmu->space[0]) {
		mmu_fini(mmu);
		return NULL;
	}
	mmu->env.mem = mmu->mem;
	mmu->env.trap = mmu->trap;
	mmu->env.first_write = vt_first_write;
	mmu->env.first_write_arg = mmu;
	mmu->env.phys_bits = model_phys_bits(vcpu);
	mmu_mode_changed(&vcpu->cs);
	return mmu;
}

void mmu_fini(struct mmu *mmu)
{
	if (!mmu)
		return;
	for (int i = 0; i < VT_SPACES; i++)
		space_fini(mmu->space[i]);
	vt_log_fini(mmu);
	hostmem_unmap(mmu->trap, PAGES_4G);
	hostmem_unmap((u8 *)mmu->rmap, PAGES_4G * sizeof(*mmu->rmap));
	hostmem_unmap((u8 *)mmu->pt_gen, PAGES_4G * sizeof(*mmu->pt_gen));
	mmu->vcpu->mmu = NULL;
	free(mmu);
}
