/*
 * rule_flow.c - jumps, calls, returns, loops, interrupts.
 */
#include "translator/rules.h"

/* The near target of an indirect jump or call, zero-extended. */
static void load_target(struct tctx *t, const struct insn *i, int dst)
{
	const struct operand *o = &i->op[0];

	if (o->kind == OPK_GPR) {
		if (i->opsize == 2)
			em_movzx16(&t->e, dst, gpr_borrow(t, o->reg, dst));
		else
			em_mov_rr(&t->e, i->opsize == 8, dst, gpr_borrow(t, o->reg, dst));
	} else {
		operand_load(t, dst, i, i->opsize);
	}
}

/* Operands of a far jump or call: selector to op[0], offset to op[1]. */
static void far_operands(struct tctx *t, const struct insn *i)
{
	if (i->op[0].kind == OPK_FAR) {
		store_op_imm(t, 0, i->far_sel);
		store_op_imm(t, 1, i->imm);
		return;
	}
	mem_offset(t, i);
	mem_segment(t, i->seg, i->opsize + 2, MEM_READ);
	mem_load(t, R10, i->opsize);
	store_op(t, 1, R10);
	em_lea(&t->e, 0, R8, HM(R8, i->opsize));
	mem_load(t, R10, 2);
	store_op(t, 0, R10);
}

static bool is_far(const struct insn *i)
{
	return i->op[0].kind == OPK_FAR || (i->opcode == 0xff && ((i->modrm >> 3 & 7) == 3 || (i->modrm >> 3 & 7) == 5));
}

static u64 rel_target(const struct tctx *t, const struct insn *i) { return wrap_eip(t, i, t->next + i->imm); }

/* A direct jump beyond the CS limit faults itself, before it changes anything; an indirect one is found out at its target. */
static bool beyond_limit(const struct tctx *t, u64 target)
{
	return t->mk & MK_CS_ODD && target > t->tr->cs->seg[S_CS].limit;
}

static void jump_or_fault(struct tctx *t, u64 target)
{
	if (beyond_limit(t, target))
		raise_fault(t, 13, 0);
	else
		exit_direct(t, target);
}

void rule_jmp(struct tctx *t, const struct insn *i)
{
	if (is_far(i)) {
		far_operands(t, i);
		callout(t, CO_FAR_JMP, i->opsize);
	} else if (i->op[0].kind == OPK_IMM) {
		jump_or_fault(t, rel_target(t, i));
	} else {
		load_target(t, i, R8);
		exit_indirect(t);
	}
}

void rule_call(struct tctx *t, const struct insn *i)
{
	if (is_far(i)) {
		far_operands(t, i);
		callout(t, CO_FAR_CALL, i->opsize);
	} else if (i->op[0].kind == OPK_IMM && beyond_limit(t, rel_target(t, i))) {
		raise_fault(t, 13, 0);
	} else if (i->op[0].kind == OPK_IMM) {
		push_imm(t, t->next, i->opsize);
		exit_direct(t, rel_target(t, i));
	} else {
		load_target(t, i, R10);
		push_imm(t, t->next, i->opsize);
		em_mov_rr(&t->e, 1, R8, R10);
		exit_indirect(t);
	}
}

void rule_ret(struct tctx *t, const struct insn *i)
{
	u32 release = i->opcode == 0xc2 || i->opcode == 0xca ? (u16)i->imm : 0;

	if (i->opcode == 0xca || i->opcode == 0xcb) {
		store_op_imm(t, 0, release);
		callout(t, CO_FAR_RET, i->opsize);
		return;
	}
	if (t->mk & (MK_SS32 | MK_LONG)) {
		top_load(t, R8, i->opsize);
		stack_adjust(t, i->opsize + release);
	} else {	/* stack_adjust() uses r8 */
		top_load(t, R10, i->opsize);
		stack_adjust(t, i->opsize + release);
		em_mov_rr(&t->e, 1, R8, R10);
	}
	exit_indirect(t);
}

/* Does the block go on behind a conditional jump that is not taken? It keeps a jump for its end. */
static bool room_for_exits(const struct tctx *t)
{
	return t->b->nlinks + 3 <= MAX_LINKS && !(t->mk & MK_STEP);
}

/*
 *     jcc   target            chained, forward
 * or
 *     j!cc  over
 *     target exit             with a look at cs->go when it goes backward
 * over:
 */
void rule_jcc(struct tctx *t, const struct insn *i)
{
	u64 target = rel_target(t, i);
	u8 *over;

	cold_room(t, 80);
	if (target > i->eip && !beyond_limit(t, target) && exit_conditional(t, i->opcode & 15, target)) {
		if (!room_for_exits(t))
			exit_direct(t, wrap_eip(t, i, t->next));
		return;
	}
	over = em_jcc8(&t->e, (i->opcode & 15) ^ 1);
	jump_or_fault(t, target);
	em_here8(&t->e, over);
	if (room_for_exits(t))
		t->ended = false;
	else
		exit_direct(t, wrap_eip(t, i, t->next));
}

void rule_loop(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	int ecx = gpr_host(t, R_ECX), w = i->adsize == 8;
	bool loop = i->opcode != 0xe3;
	u8 *zero, *flag = NULL;

	cold_room(t, 110);
	if (loop && i->adsize == 2) {
		em_lea(e, 0, R8, HM(ecx, -1));
		em8(e, 0x66);
		em_rr(e, 0, 0x8b, ecx, R8);
	} else if (loop) {
		em_lea(e, w, ecx, HM(ecx, -1));
	}
	if (i->adsize == 2)
		em_movzx16(e, RCX, ecx);
	else
		em_mov_rr(e, w, RCX, ecx);
	zero = w ? em_jrcxz(e) : em_jecxz(e);
	if (!loop) {
		exit_direct(t, wrap_eip(t, i, t->next));
		em_here8(e, zero);
		exit_direct(t, rel_target(t, i));
		return;
	}
	if (i->opcode != 0xe2)
		flag = em_jcc8(e, i->opcode == 0xe1 ? CC_NE : CC_E);	/* LOOPE goes on while ZF is set, LOOPNE while it is clear */
	exit_direct(t, rel_target(t, i));
	em_here8(e, zero);
	if (flag)
		em_here8(e, flag);
	exit_direct(t, wrap_eip(t, i, t->next));
}

void rule_int(struct tctx *t, const struct insn *i)
{
	if (insn_is(i, MN_INT3))
		callout(t, CO_INT, 3 | 1 << 8);
	else if (insn_is(i, MN_INT1))
		callout(t, CO_INT, 1 | 3 << 8);
	else
		callout(t, CO_INT, (u8)i->imm);
}

void rule_into(struct tctx *t, const struct insn *i)
{
	u8 *over;

	cold_room(t, 80);
	over = em_jcc8(&t->e, CC_NO);
	callout(t, CO_INT, 4 | 2 << 8);
	em_here8(&t->e, over);
	t->ended = false;
}

void rule_iret(struct tctx *t, const struct insn *i)
{
	callout(t, CO_IRET, i->opsize);
}
