/*
 * access.h - guest memory from C callouts: the virtual TLB's table first, the MMU's slow path when that has no entry.
 *
 * All addresses are linear and wrap at 4 GiB. `acc` is ACC_USER for user rights, 0 for supervisor rights; page faults
 * do not return. Stacks: check (and probe for writing) first, then push; pushes that were checked cannot fault.
 */
#ifndef RF_ACCESS_H
#define RF_ACCESS_H
#include <string.h>
#include "monitor/mmu.h"
#include "monitor/vcpu.h"
#include "translator/vtlb.h"

static inline u64 host_load(const u8 *p, int size)
{
	u64 v = 0;

	switch (size) {
	case 1: return *p;
	case 2: memcpy(&v, p, 2); return v;
	case 4: memcpy(&v, p, 4); return v;
	default: memcpy(&v, p, 8); return v;
	}
}

static inline void host_store(u8 *p, u64 v, int size)
{
	switch (size) {
	case 1: *p = (u8)v; break;
	case 2: memcpy(p, &v, 2); break;
	case 4: memcpy(p, &v, 4); break;
	default: memcpy(p, &v, 8); break;
	}
}

static inline u8 *acc_half(struct cpu_state *cs, int acc) { return vcpu_of(cs)->half[acc & ACC_USER ? 1 : 0]; }

/* Host address of `lin` if the virtual TLB has it, else NULL; good to the end of the page. */
static inline u8 *acc_table_read(struct cpu_state *cs, gla_t lin, int acc)
{
	u64 delta = *vtlb_read_entry(acc_half(cs, acc), (u32)lin);

	return delta ? (u8 *)((u32)lin + delta) : NULL;
}

static inline u8 *acc_table_write(struct cpu_state *cs, gla_t lin, int acc)
{
	u64 delta = *vtlb_write_entry(acc_half(cs, acc), (u32)lin);

	return delta ? (u8 *)((u32)lin + delta) : NULL;
}

static inline bool acc_in_page(gla_t lin, u32 size) { return (lin & PAGE_MASK) + size <= PAGE_SIZE; }

static inline u64 acc_read(struct cpu_state *cs, gla_t lin, int size, int acc)
{
	const u8 *p = acc_in_page(lin, (u32)size) ? acc_table_read(cs, lin, acc) : NULL;

	return likely(p) ? host_load(p, size) : mmu_read(cs, (u32)lin, size, acc);
}

static inline void acc_write(struct cpu_state *cs, gla_t lin, u64 value, int size, int acc)
{
	u8 *p = acc_in_page(lin, (u32)size) ? acc_table_write(cs, lin, acc) : NULL;

	if (likely(p))
		host_store(p, value, size);
	else
		mmu_write(cs, (u32)lin, value, size, acc);
}

/* Raises #PF unless [lin, lin + len) can be written. */
static inline void acc_probe_write(struct cpu_state *cs, gla_t lin, u32 len, int acc)
{
	if (unlikely(!acc_in_page(lin, len) || !acc_table_write(cs, lin, acc)))
		mmu_probe(cs, (u32)lin, len, acc | ACC_WRITE);
}

/* #AC(0) for a user access that is not aligned, while alignment is checked (SDM vol. 3, 6.15). */
static inline void acc_check_aligned(struct cpu_state *cs, gla_t lin, u32 size, int acc)
{
	if (unlikely(cs->mode & MK_ALIGN) && (acc & ACC_USER) && (lin & (size - 1)))
		cpu_raise(cs, VEC_AC, 0);
}

/* Descriptor tables and task state segments are read and written with supervisor rights, whatever the CPL is. */
static inline u64  sys_read(struct cpu_state *cs, gla_t lin, int size) { return acc_read(cs, lin, size, 0); }
static inline void sys_write(struct cpu_state *cs, gla_t lin, u64 v, int size) { acc_write(cs, lin, v, size, 0); }

static inline u32  gpr32(const struct cpu_state *cs, int reg) { return (u32)cs->gpr[reg]; }
static inline void gpr_put(struct cpu_state *cs, int reg, u32 value, u32 size)
{
	cs->gpr[reg] = size == 2 ? (cs->gpr[reg] & 0xffff0000u) | (value & 0xffff) : value;
}

/* To be called after IF may have been set: chained code must come out when an interrupt is waiting. */
static inline void cpu_if_changed(struct cpu_state *cs)
{
	if (unlikely(cs->iflag & cs->irq_line))
		__atomic_store_n(&cs->go, 0, __ATOMIC_RELAXED);
}

/* --- segments --- */
/* Do the `size` bytes at `off` lie inside the segment's limit (SDM vol. 3, 5.3)? */
static inline bool seg_in_limit(const struct cpu_seg *s, u32 off, u32 size)
{
	u64 last = (u64)off + size - 1;

	if (likely((s->attr & (SA_CODE | SA_CE)) != SA_CE))
		return last <= s->limit;
	return off > s->limit && last <= (s->attr & SA_DB ? 0xffffffffu : 0xffffu);
}

/* --- stacks --- */
struct stack {
	const struct cpu_seg *ss;
	u32 sp;			/* all of ESP; with a 16-bit stack segment only the low half moves */
	u32 mask;
	int acc;
	u8 *host;		/* after stack_prepare(), when all of it lies in one page of RAM: host address of offset `low` */
	u32 low;
};

static inline struct stack stack_at(const struct cpu_seg *ss, u32 sp, int acc)
{
	return (struct stack){ .ss = ss, .sp = sp, .mask = ss->attr & SA_DB ? 0xffffffffu : 0xffffu, .acc = acc };
}

static inline struct stack stack_current(const struct cpu_state *cs)
{
	return stack_at(&cs->seg[S_SS], gpr32(cs, R_ESP), acc_cpl(cs));
}

static inline void stack_move(struct stack *s, u32 by) { s->sp = (s->sp & ~s->mask) | ((s->sp + by) & s->mask); }

/* False if the limit forbids `count` pushes of `size` bytes; raises #PF if a page does. */
bool stack_prepare(struct cpu_state *cs, struct stack *s, u32 count, u32 size);
/* The index-th element of `size` bytes above the stack pointer, `skip` bytes further; #SS(0) outside the limit. */
u32 stack_peek(struct cpu_state *cs, const struct stack *s, u32 index, u32 size, u32 skip);

static inline void stack_push(struct cpu_state *cs, struct stack *s, u32 value, u32 size)
{
	stack_move(s, -size);
	if (likely(s->host))
		host_store(s->host + ((s->sp & s->mask) - s->low), value, (int)size);
	else
		acc_write(cs, s->ss->base + (s->sp & s->mask), value, (int)size, s->acc);
}
#endif
