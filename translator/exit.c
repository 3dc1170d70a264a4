/*
 * exit.c - how control leaves a block: direct and indirect jumps, callouts, exceptions.
 *
 * A jump to a known place in the same guest page is chained: a direct host jump, patched when the target exists. Any other
 * goes through the current half's IBT, because what is mapped at the target may differ between address spaces. Every backward
 * chained jump and every indirect entry looks at cs->go, so a loop cannot keep the monitor waiting.
 */
#include "translator/rules.h"

void store_rip(struct tctx *t, u64 eip)
{
	if (t->mk & MK_LONG) {
		em_mov_ri(&t->e, R9, eip);
		em_store(&t->e, 1, ST(rip), R9);
	} else {
		em_store_i32(&t->e, 0, ST(rip), eip);	/* the upper half is zero already */
	}
}

void store_next(struct tctx *t, u64 eip)
{
	if (t->mk & MK_LONG) {
		em_mov_ri(&t->e, R9, eip);
		em_store(&t->e, 1, ST(next_rip), R9);
	} else {
		em_store_i32(&t->e, 0, ST(next_rip), eip);
	}
}

u64 wrap_eip(const struct tctx *t, const struct insn *i, u64 eip)
{
	return i->opsize == 2 ? (u16)eip : t->mk & MK_LONG ? eip : (u32)eip;
}

/* Direct chains are only for blocks that are found without asking the MMU: the same guest page. */
static bool same_page(const struct tctx *t, u64 eip)
{
	return (eip - t->insns[0].eip + (t->b->gpa & PAGE_MASK)) >> PAGE_SHIFT == 0;
}

static void exit_ibt(struct tctx *t, u64 eip)
{
	em_mov_ri(&t->e, R8, eip);
	em_jmp_mem(&t->e, HM(HOST_TABLE, VTLB_IBT + (s32)ibt_index(eip) * 8));
}

static struct link *link_new(struct tctx *t, u64 eip)
{
	struct link *l = &t->b->links[t->b->nlinks++];

	l->from = t->b;
	l->eip = eip;
	return l;
}

static bool may_chain(const struct tctx *t, u64 eip)
{
	return same_page(t, eip) && !t->tr->opt.check_links && t->b->nlinks < MAX_LINKS;
}

bool exit_conditional(struct tctx *t, int cc, u64 eip)
{
	if (t->mk & MK_STEP || !may_chain(t, eip))
		return false;
	link_new(t, eip)->site = em_jcc(&t->e, cc, NULL);
	return true;
}

void exit_direct(struct tctx *t, u64 eip)
{
	struct emit *e = &t->e;

	t->ended = true;
	if (t->mk & MK_STEP) {
		store_rip(t, eip);
		em_jmp(e, t->tr->stub.exit_step);
		return;
	}
	if (!may_chain(t, eip)) {
		exit_ibt(t, eip);	/* to an indirect entry, which looks at cs->go itself */
		return;
	}
	if (eip <= t->insns[t->cur].eip) {
		em_load(e, 0, RCX, ST(go));
		short_jump(t, em_jecxz(e), cold_exit(t, t->tr->stub.exit_pend, eip));
	}
	link_new(t, eip)->site = em_jmp(e, NULL);
}

void exit_indirect(struct tctx *t)
{
	struct emit *e = &t->e;

	t->ended = true;
	if (t->mk & MK_STEP) {
		em_store(e, 1, ST(rip), R8);
		em_jmp(e, t->tr->stub.exit_step);
		return;
	}
	em_rorx(e, 0, R9, R8, PAGE_SHIFT);		/* ibt_index() */
	em_lea(e, 0, R9, HMX(R9, R8, 1, 0));
	em_movzx16(e, R9, R9);
	em_jmp_mem(e, HMX(HOST_TABLE, R9, 8, VTLB_IBT));
}

#define EXIT_STUB_BYTES 17	/* MOV of 64 bits and an indirect JMP, see link_by_ibt() */

/* The exit stubs of a block's chained jumps, behind its cold part. */
void exit_stubs(struct tctx *t)
{
	struct emit *e = &t->e;

	for (int k = 0; k < t->b->nlinks; k++) {
		struct link *l = &t->b->links[k];

		l->stub = e->p;
		em_mov_ri(e, RCX, (u64)(uintptr_t)l);
		em_jmp(e, t->tr->stub.exit_link);
		while (!e->full && e->p - l->stub < EXIT_STUB_BYTES)
			em8(e, 0xcc);
		if (!e->full)
			em_patch(l->site, l->stub);
	}
}

/* The jump goes through the IBT from now on: its target reaches into another page, which may be mapped anew while this one stays. */
void link_by_ibt(struct link *l)
{
	struct emit e = { .p = l->stub, .end = l->stub + EXIT_STUB_BYTES };

	em_mov_ri(&e, R8, l->eip);
	em_jmp_mem(&e, HM(HOST_TABLE, VTLB_IBT + (s32)ibt_index(l->eip) * 8));
}

void store_op(struct tctx *t, int n, int host_reg)
{
	em_store(&t->e, 1, ST_OFF(CS_OFF(op) + 8 * n), host_reg);
}

void store_op_imm(struct tctx *t, int n, u32 imm)
{
	em_mov_ri(&t->e, RCX, imm);
	store_op(t, n, RCX);
}

static bool callout_ends(enum callout_id id)
{
	enum { NEXT, MODE, END };
	static const u8 flow[] = {
#define CALLOUT(name, flow, what) [CO_##name] = flow,
#include "translator/callouts.def"
#undef CALLOUT
	};

	return flow[id] == END;
}

void callout(struct tctx *t, enum callout_id id, u32 arg)
{
	struct emit *e = &t->e;

	cold_room(t, 40);
	store_rip(t, t->insns[t->cur].eip);
	store_next(t, t->next);
	em_mov_ri(e, RCX, arg);
	em_call(e, t->tr->stub.callout[id]);
	t->fpu_checked = false;
	if (callout_ends(id))
		t->ended = true;
}

void raise_fault(struct tctx *t, int vector, int error)
{
	if (error != TR_NO_ERR)
		store_op_imm(t, 0, error);
	callout(t, CO_RAISE, vector | (error != TR_NO_ERR ? 1 << 8 : 0));
}

void rule_ud(struct tctx *t, const struct insn *i)
{
	raise_fault(t, 6, TR_NO_ERR);
}
