/* cflags: -mgeneral-regs-only */
/*
 * dispatch.c - running translated code: enter a block, and answer the exits that only need another block.
 *
 * Compiled without vector registers, because the guest's FPU state may be in the host's while the quick exits are handled;
 * whatever might touch them (fetching, translating) runs after tr_fpu_save().
 */
#include "translator/tr.h"

void tr_fpu_save(struct cpu_state *cs)
{
	static const u32 mxcsr_default = 0x1f80;

	if (!cs->fpu_live)
		return;
	if (cs->fpu_mask)
		__asm__ volatile("xsave %0" : "+m"(cs->fpu) : "a"(cs->fpu_mask), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave %0" : "=m"(cs->fpu) :: "memory");
	__asm__ volatile("fninit; ldmxcsr %0" :: "m"(mxcsr_default));	/* C code must not run with the guest's control words */
	cs->fpu_live = 0;
}

static u8 **ibt_slot(struct cpu_state *cs) { return (u8 **)(cs->half + VTLB_IBT) + ibt_index(cs->rip); }

static u32 cs_id(const struct cpu_state *cs) { return cs->mode & MK_CS_ODD ? cs->cs_id : 0; }

static void set_mode_id(struct translator *tr)
{
	struct cpu_state *cs = tr->cs;
	struct mode_id *m = &tr->recent_ids[cs->mode * 0x9e3779b1u >> 27];

	if (unlikely(m->mode != cs->mode || m->cs_id != cs_id(cs) || !m->id))
		*m = (struct mode_id){ cs->mode, cs_id(cs), tr_mode_id(tr, cs->mode, cs_id(cs)) };
	cs->mode_id = m->id;
}

/* The block at cs->rip, made if need be. May raise a guest fault. */
static struct blk *find_or_make(struct translator *tr)
{
	struct cpu_state *cs = tr->cs;
	const u8 *bytes;
	gpa_t gpa;
	struct blk *b;

	tr_fpu_save(cs);
	if (unlikely(tr->thrashed))
		codepage_turn(tr);
	tr->stats.lookups++;
	bytes = tr->ops->fetch(cs, code_linear(cs, cs->rip), &gpa, false);
	if (!bytes) {
		tr->ops->host_fault(cs, 13, 0);
		__builtin_unreachable();
	}
	b = blk_find(tr, gpa, cs->rip, cs->mode, cs_id(cs));
	return b && (!b->len2 || blk_still_crosses(tr, b)) ? b : blk_translate(tr, cs->rip, gpa, bytes);
}

static const u8 *after_link(struct translator *tr)
{
	struct cpu_state *cs = tr->cs;
	struct link *l = (struct link *)(uintptr_t)cs->exit_arg;
	u64 evictions = tr->stats.evictions, smc = tr->stats.smc_blocks;
	struct blk *b;

	b = find_or_make(tr);
	if (tr->stats.evictions != evictions || tr->stats.smc_blocks != smc || l->from->dead)
		return b->body;
	if (!b->len2) {
		link_set(tr, l, b);
	} else {
		link_by_ibt(l);
		ibt_set(tr, cs->half, b);
	}
	return b->body;
}

/* The block at cs->rip in place of one that found its bytes changed. */
static struct blk *after_stale(struct translator *tr, struct blk *old)
{
	bool in_ibt = old->in_ibt;
	struct blk *b;

	tr_fpu_save(tr->cs);
	tr->stats.stale_blocks++;
	if (!old->dead)
		blk_remove(tr, old);
	b = find_or_make(tr);
	if (in_ibt)
		ibt_set(tr, tr->cs->half, b);
	return b;
}

static enum tr_exit run(struct translator *tr)
{
	struct cpu_state *cs = tr->cs;
	bool step = cs->mode & MK_STEP;
	const u8 *target;

	set_mode_id(tr);
	if (step)
		target = find_or_make(tr)->body;
	else
		target = *ibt_slot(cs);
	for (;;) {
		tr->stats.dispatches++;
		tr->stub.enter(cs, target);
		if (step && cs->exit_info != EX_MISS && cs->exit_info != EX_STALE)
			return TR_EXIT_STEP;
		switch (cs->exit_info) {
		case EX_LINK:
			cs->rip = ((struct link *)(uintptr_t)cs->exit_arg)->eip;
			if (!cs->go)
				return TR_EXIT_PEND;
			target = after_link(tr);
			break;
		case EX_MISS: {
			struct blk *b;

			if (!cs->go)
				return TR_EXIT_PEND;
			tr->stats.ibt_misses++;
			b = find_or_make(tr);
			ibt_set(tr, cs->half, b);
			target = b->body;
			break;
		}
		case EX_STALE:
			cs->rip = ((struct blk *)(uintptr_t)cs->exit_arg)->eip;
			if (!cs->go && !step)	/* a step must be made: behind MOV SS no interrupt may come */
				return TR_EXIT_PEND;
			target = after_stale(tr, (struct blk *)(uintptr_t)cs->exit_arg)->body;
			break;
		case EX_AGAIN:
			if (unlikely(tr->thrashed)) {
				tr_fpu_save(cs);
				codepage_turn(tr);
			}
			if (!cs->go || cs->inhibit || cs->halted || (cs->mode & MK_STEP))
				return TR_EXIT_AGAIN;
			set_mode_id(tr);
			target = *ibt_slot(cs);
			break;
		case EX_GROUP:		/* the instruction runs alone, as in an interrupt shadow */
			group_failed(tr, (struct blk *)(uintptr_t)cs->exit_arg);
			return TR_EXIT_SHADOW;
		case EX_SHADOW:
			return TR_EXIT_SHADOW;
		default:
			return TR_EXIT_PEND;
		}
	}
}

enum tr_exit tr_run(struct translator *tr)
{
	enum tr_exit why = run(tr);

	tr_fpu_save(tr->cs);	/* the caller's C code may use any register */
	return why;
}
