/*
 * walk.c - the page walk for all paging modes, driven by a table of levels.
 *
 * Entries are checked top down as the SDM orders it (vol. 3, 4.7): not present, then reserved bits, at each level; rights, which
 * combine all levels, at the end. Accessed and dirty bits are set when the translation has succeeded, by locked ORs
 * as the processor does it: A in every entry used, D in the last one for writes only. A walk that faults changes nothing.
 * Page tables outside RAM and ROM read as all ones, as everything there does; so do those in a device's RAM, which may be moved.
 */
/* cflags: -mgeneral-regs-only */
#include "monitor/mem.h"
#include "monitor/walk.h"

#define CR0_WP    (1u << 16)
#define CR0_PG    (1u << 31)
#define CR4_PSE   (1u << 4)
#define CR4_PAE   (1u << 5)
#define CR4_SMEP  (1u << 20)
#define EFER_LMA  (1u << 10)
#define EFER_NXE  (1u << 11)

#define ADDR8     0x000ffffffffff000ull		/* address bits of 8-byte entries */
#define PDPTE_RSVD_LOW 0x1e6ull			/* bits 8:5 and 2:1 of PAE PDPTEs (SDM table 4-8) */

enum large { LARGE_NEVER, LARGE_PSE, LARGE_ALWAYS, LARGE_RESERVED };

static const struct paging_format {
	u8 levels, entry_bytes;
	struct { u8 shift; u8 index_bits; u8 large; } level[WALK_LEVELS];
} format[PAGING_MODES] = {
	[PAGING_32]   = { 2, 4, { { 22, 10, LARGE_PSE }, { 12, 10, LARGE_NEVER } } },
	[PAGING_PAE]  = { 2, 8, { { 21, 9, LARGE_ALWAYS }, { 12, 9, LARGE_NEVER } } },
	[PAGING_LONG] = { 4, 8, { { 39, 9, LARGE_RESERVED }, { 30, 9, LARGE_ALWAYS }, { 21, 9, LARGE_ALWAYS }, { 12, 9, LARGE_NEVER } } },
};

static const u64 nowhere[4] = { ~0ull, ~0ull, ~0ull, ~0ull };	/* room for the PDPTEs */

static u64 bits(int hi, int lo)
{
	return hi < lo ? 0 : (~0ull >> (63 - hi)) & (~0ull << lo);
}

void walk_setup(struct walk_env *env, const struct cpu_state *cs)
{
	int m40 = env->phys_bits > 40 ? 40 : env->phys_bits;

	if (!(cs->cr0 & CR0_PG))
		env->paging = PAGING_NONE;
	else if (!(cs->cr4 & CR4_PAE))
		env->paging = PAGING_32;
	else
		env->paging = cs->efer & EFER_LMA ? PAGING_LONG : PAGING_PAE;
	env->pse = cs->cr4 & CR4_PSE;
	env->wp = cs->cr0 & CR0_WP;
	env->nx = env->paging >= PAGING_PAE && (cs->efer & EFER_NXE);
	env->smep = cs->cr4 & CR4_SMEP;
	env->root = env->paging == PAGING_PAE ? cs->cr3 & 0xffffffe0u : cs->cr3 & ADDR8;
	env->rsvd = bits(env->paging == PAGING_PAE ? 62 : 51, env->phys_bits) | (env->nx ? 0 : PTE_NX);
	env->rsvd_pse = bits(21, m40 - 19);
	env->none = 0;
}

static inline __attribute__((always_inline)) const void *entry_host(const struct walk_env *env, gpa_t gpa)
{
	const u8 *host;

	switch (mem_kind(env->mem, gpa)) {
	case MEM_RAM:
		return env->mem->ram + gpa;
	case MEM_ROM:
	case MEM_SHADOW:
		host = env->mem->host[gpa >> PAGE_SHIFT];
		return host ? host + (gpa & PAGE_MASK) : (const u8 *)nowhere;
	default:
		return nowhere;
	}
}

bool walk_load_pdptes(struct walk_env *env, u64 cr3, bool check_only)
{
	const u64 *v = (const u64 *)entry_host(env, cr3 & 0xffffffe0u & env->mem->a20_mask);	/* 32 aligned bytes */
	u64 reserved = bits(63, env->phys_bits) | PDPTE_RSVD_LOW;

	for (u32 i = 0; i < 4; i++)
		if ((v[i] & PTE_P) && (v[i] & reserved))
			return false;
	for (u32 i = 0; i < 4 && !check_only; i++)
		env->pdpte[i] = v[i];
	return true;
}

/* The reserved bits of an entry at this level that are set. */
static inline __attribute__((always_inline))
u64 reserved_bits(const struct walk_env *env, enum paging paging, u64 v, u8 shift, bool leaf, u8 large)
{
	if (paging == PAGING_32)
		return leaf && shift > PAGE_SHIFT ? v & env->rsvd_pse : 0;
	if (large == LARGE_RESERVED)
		return v & (env->rsvd | PTE_PS);
	return v & (env->rsvd | (leaf && shift > PAGE_SHIFT ? bits(shift - 1, 13) : 0));
}

static inline gpa_t leaf_address(enum paging paging, u64 v, u8 shift)
{
	if (paging != PAGING_32 || shift == PAGE_SHIFT)
		return v & ADDR8 & (~0ull << shift);
	return (v & 0xffc00000u) | (v >> 13 & 0xff) << 32;	/* PSE-36: SDM table 4-4 */
}

static enum walk_result fault(const struct walk_env *env, struct walk *w, int acc, u32 error)
{
	w->error = error | (acc & ACC_WRITE ? PF_W : 0) | (acc & ACC_USER ? PF_U : 0) |
		   ((acc & ACC_EXEC) && (env->nx || env->smep) ? PF_I : 0);
	return WALK_FAULT;
}

static enum walk_result set_accessed_dirty(const struct walk_env *env, struct walk *w, int acc, int opt, int first)
{
	u8 todo = 0;

	for (int i = first; i < w->levels; i++) {
		u64 need = PTE_A | (i == w->levels - 1 && (acc & ACC_WRITE) ? PTE_D : 0);

		if ((w->value[i] & need) == need || mem_kind(env->mem, w->entry_gpa[i]) != MEM_RAM)
			continue;
		if ((opt & WALK_QUICK) && (env->trap[w->entry_gpa[i] >> PAGE_SHIFT] & (TRAP_CODE | TRAP_CLEAN)))
			return WALK_SLOW;
		todo |= (u8)(1 << i);
	}
	for (int i = first; todo >> i; i++) {
		u32 need = PTE_A | (i == w->levels - 1 && (acc & ACC_WRITE) ? PTE_D : 0);

		if (!(todo >> i & 1))
			continue;
		if (unlikely(env->trap[w->entry_gpa[i] >> PAGE_SHIFT] & TRAP_CLEAN))
			env->first_write(env->first_write_arg, (u32)(w->entry_gpa[i] >> PAGE_SHIFT));
		__atomic_fetch_or((u8 *)w->entry[i], (u8)need, __ATOMIC_SEQ_CST);	/* both bits are in the first byte */
		w->value[i] |= need;
	}
	w->ad_set = todo;
	return WALK_OK;
}

static enum walk_result walk_none(const struct walk_env *env, gla_t lin, struct walk *w)
{
	w->gpa = (u32)lin & env->mem->a20_mask;
	w->shift = 32;
	w->levels = 0;
	w->write_ok = true;
	return WALK_OK;
}

/* Inlined once per mode, so that the format is made of constants. */
static inline __attribute__((always_inline))
enum walk_result walk_tables(const struct walk_env *env, enum paging paging, gla_t lin, int acc, int opt, struct walk *w)
{
	const struct paging_format *f = &format[paging];
	u64 all = ~0ull, nx = 0, table = env->root;
	bool user = acc & ACC_USER, leaf = false, set;
	int n = 0, first;

	if (paging == PAGING_PAE) {
		w->entry[0] = &env->pdpte[lin >> 30 & 3];
		w->value[0] = table = env->pdpte[lin >> 30 & 3];
		w->entry_gpa[0] = ~0ull;
		n = 1;
		if (!(table & PTE_P))
			return fault(env, w, acc, 0);
	}
	first = n;
	for (int l = 0; !leaf; l++, n++) {
		u8 shift = f->level[l].shift, large = f->level[l].large;
		u64 index = lin >> shift & ((1u << f->level[l].index_bits) - 1);
		gpa_t at = ((table & ADDR8) + index * f->entry_bytes) & env->mem->a20_mask;
		u64 v;

		w->entry[n] = entry_host(env, at);
		w->entry_gpa[n] = at;
		w->value[n] = v = walk_entry(paging, w->entry[n]);
		if (!(v & PTE_P))
			return fault(env, w, acc, 0);
		leaf = l == f->levels - 1 || ((v & PTE_PS) && (large == LARGE_ALWAYS || (large == LARGE_PSE && env->pse)));
		if (reserved_bits(env, paging, v, shift, leaf, large))
			return fault(env, w, acc, PF_P | PF_RSVD);
		all &= v;
		nx |= v & PTE_NX;
		table = v;
		w->shift = shift;
	}
	w->levels = (u8)n;
	if ((user && !(all & PTE_U)) || ((acc & ACC_WRITE) && !(all & PTE_W) && (user || env->wp)) ||
	    ((acc & ACC_EXEC) && ((env->nx && nx) || (env->smep && !user && (all & PTE_U)))))
		return fault(env, w, acc, PF_P);
	set = (all & PTE_A) && (!(acc & ACC_WRITE) || (table & PTE_D));
	if (unlikely(!set) && !(opt & WALK_PEEK) && set_accessed_dirty(env, w, acc, opt, first) == WALK_SLOW)
		return WALK_SLOW;
	w->gpa = (leaf_address(paging, table, w->shift) | (lin & ((1ull << w->shift) - 1))) & env->mem->a20_mask;
	w->write_ok = ((all & PTE_W) || (!user && !env->wp)) && (w->value[n - 1] & PTE_D);
	return WALK_OK;
}

enum walk_result walk_page(const struct walk_env *env, gla_t lin, int acc, int opt, struct walk *w)
{
	w->ad_set = 0;
	w->error = 0;
	switch (env->paging) {
	case PAGING_32:
		return walk_tables(env, PAGING_32, lin, acc, opt, w);
	case PAGING_PAE:
		return walk_tables(env, PAGING_PAE, lin, acc, opt, w);
	case PAGING_LONG:
		return walk_tables(env, PAGING_LONG, lin, acc, opt, w);
	default:
		return walk_none(env, lin, w);
	}
}
