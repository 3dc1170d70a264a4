/*
 * rule_stack.c - PUSH, POP and their relatives.
 *
 * ESP moves last, so a fault on the stack leaves it where it was.
 */
#include "translator/rules.h"

static bool ss16(const struct tctx *t) { return !(t->mk & (MK_SS32 | MK_LONG)); }
static int esp(const struct tctx *t) { return gpr_host(t, R_ESP); }

void stack_address(struct tctx *t, s32 disp)
{
	if (disp)
		em_lea(&t->e, is_long(t), R8, HM(esp(t), disp));
	else
		em_mov_rr(&t->e, is_long(t), R8, esp(t));
	if (ss16(t))
		em_movzx16(&t->e, R8, R8);
}

/* dst = low half (or all, in a 32-bit stack) of src; the rest of dst stays. */
static void set_stack_reg(struct tctx *t, int dst, int src)
{
	if (ss16(t))
		em8(&t->e, 0x66);
	em_mov_rr(&t->e, is_long(t), dst, src);
}

void stack_adjust(struct tctx *t, s32 by)
{
	if (ss16(t)) {
		em_lea(&t->e, 0, R8, HM(esp(t), by));
		set_stack_reg(t, esp(t), R8);
	} else {
		em_lea(&t->e, is_long(t), esp(t), HM(esp(t), by));
	}
}

/* Is the stack slot at ESP + disp served by a group? */
static bool grouped_slot(struct tctx *t, s32 disp, int size, bool wr)
{
	return (t->mk & MK_SS32) && mk_seg(t->mk, S_SS) == SEG_FLAT && group_operand(t, R_ESP, disp, size, wr);
}

void push_reg(struct tctx *t, int src, int size)
{
	if (grouped_slot(t, -size, size, true)) {
		if (size == 2)
			em_store16(&t->e, MEM_OP, src);
		else
			em_store(&t->e, 0, MEM_OP, src);
		stack_adjust(t, -size);
		return;
	}
	stack_address(t, -size);
	mem_segment(t, S_SS, size, MEM_WRITE);
	mem_store(t, src, size);
	stack_adjust(t, -size);
}

void push_imm(struct tctx *t, u64 imm, int size)
{
	if (size == 8 && (s64)imm != (s32)imm) {	/* a return address: rules may hold something in r10 */
		em_mov_ri(&t->e, R12, imm);
		push_reg(t, R12, size);
		return;
	}
	if (grouped_slot(t, -size, size, true)) {
		if (size == 2)
			em_store_i16(&t->e, MEM_OP, imm);
		else
			em_store_i32(&t->e, 0, MEM_OP, imm);
		stack_adjust(t, -size);
		return;
	}
	stack_address(t, -size);
	mem_segment(t, S_SS, size, MEM_WRITE);
	mem_store_imm(t, imm, size);
	stack_adjust(t, -size);
}

/* The stack's top into dst (zero-extended); ESP does not move. */
void top_load(struct tctx *t, int dst, int size)
{
	if (grouped_slot(t, 0, size, false)) {
		em_rm(&t->e, 0, size == 2 ? 0x0fb7 : 0x8b, dst, MEM_OP);
		return;
	}
	stack_address(t, 0);
	mem_segment(t, S_SS, size, MEM_READ);
	mem_load(t, dst, size);
}

/* Writes a zero-extended value into a guest register with the operand's size. */
void gpr_write(struct tctx *t, int guest, int src, int size)
{
	if (t->rm->home[guest] == HOME_MEM) {
		gpr_put(t, guest, src, size);
		return;
	}
	if (size == 2)
		em8(&t->e, 0x66);
	em_mov_rr(&t->e, size == 8, gpr_host(t, guest), src);
}

void rule_push(struct tctx *t, const struct insn *i)
{
	const struct operand *o = &i->op[0];

	switch (o->kind) {
	case OPK_GPR:
		push_reg(t, gpr_borrow(t, o->reg, R10), i->opsize);
		break;
	case OPK_IMM:
		push_imm(t, i->imm, i->opsize);
		break;
	case OPK_SEG:
		em_rm(&t->e, 0, 0x0fb7, R10, ST_OFF(CS_OFF(seg) + o->reg * sizeof(struct cpu_seg) + offsetof(struct cpu_seg, sel)));
		push_reg(t, R10, i->opsize);
		break;
	default:
		operand_load(t, R10, i, i->opsize);
		push_reg(t, R10, i->opsize);
	}
}

void rule_pop(struct tctx *t, const struct insn *i)
{
	const struct operand *o = &i->op[0];
	struct insn moved;

	top_load(t, R10, i->opsize);
	switch (o->kind) {
	case OPK_GPR:
		stack_adjust(t, i->opsize);
		gpr_write(t, o->reg, R10, i->opsize);
		break;
	case OPK_SEG:
		store_op(t, 0, R10);
		em_mov_rr(&t->e, is_long(t), R10, esp(t));
		em_lea(&t->e, is_long(t), R8, HM(R10, i->opsize));
		set_stack_reg(t, R10, R8);
		store_op(t, 1, R10);
		callout(t, CO_LOAD_SEG, o->reg | 1 << 8);
		break;
	default:
		moved = *i;	/* an address based on ESP uses the value behind the pop */
		if (i->base == R_ESP)
			moved.disp += i->opsize;
		mem_offset(t, &moved);
		mem_segment(t, i->seg, i->opsize, MEM_WRITE);
		mem_store(t, R10, i->opsize);
		stack_adjust(t, i->opsize);
	}
}

void rule_pusha(struct tctx *t, const struct insn *i)
{
	int size = i->opsize;

	for (int r = 0; r < 8; r++) {
		stack_address(t, -size * (r + 1));
		mem_segment(t, S_SS, size, MEM_WRITE);
		mem_store(t, gpr_host(t, r), size);
	}
	stack_adjust(t, -size * 8);
}

void rule_popa(struct tctx *t, const struct insn *i)
{
	int size = i->opsize;

	/* the last slot first: when it and the first are there, none between can fault and registers may change one by one */
	stack_address(t, size * 7);
	mem_segment(t, S_SS, size, MEM_READ);
	mem_load(t, R10, size);
	for (int k = 0; k < 8; k++) {
		if (7 - k == R_ESP)
			continue;
		stack_address(t, size * k);
		mem_segment(t, S_SS, size, MEM_READ);
		mem_load(t, R10, size);
		gpr_write(t, 7 - k, R10, size);
	}
	stack_adjust(t, size * 8);
}

void rule_pushf(struct tctx *t, const struct insn *i)
{
	if (t->mk & MK_IOPL_OK) {
		em_call(&t->e, t->tr->stub.get_eflags);		/* r10d */
	} else {
		callout(t, CO_PUSHF, i->opsize);
		em_load(&t->e, 0, R10, ST(op[0]));
	}
	push_reg(t, R10, i->opsize);
}

/*
 * popf inline, when IOPL lets IF change and nothing but the arithmetic flags, IF and DF differs:
 *     ecx = (r10d ^ eflags_sys) & the bits that would need the monitor; if any: callout
 *     iflag, df and the host's flags from r10d
 */
void rule_popf(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	u32 special = FL_TF | FL_NT | (t->mk & MK_CPL0 ? FL_IOPL : 0) | (i->opsize == 4 ? FL_AC | FL_ID : 0);
	u8 *fast, *no_irq, *no_if;
	int c;

	top_load(t, R10, i->opsize);
	cold_room(t, 120);
	if (t->mk & MK_IOPL_OK && !(t->mk & (MK_STEP | MK_V86))) {
		em_mov_rr(e, 0, RCX, R10);
		em_rm(e, 0, 0x33, RCX, ST(eflags_sys));
		em_rr(e, 0, 0xf7, 0, RCX);			/* test ecx, special */
		em32(e, special);
		fast = em_jcc(e, CC_E, NULL);
	} else {
		fast = NULL;
	}
	store_op(t, 0, R10);
	em_mov_rr(e, 0, R10, esp(t));
	em_lea(e, 0, R8, HM(R10, i->opsize));
	set_stack_reg(t, R10, R8);
	store_op(t, 1, R10);
	callout(t, CO_POPF, i->opsize);
	if (!fast)
		return;
	t->ended = false;
	if (!e->full)
		em_patch(fast, e->p);
	stack_adjust(t, i->opsize);
	em_rr(e, 0, 0x0fba, 4, R10);			/* bt r10d, 9; setc [iflag] */
	em8(e, 9);
	em_rm(e, 0, 0x0f92, 0, ST(iflag));
	em_mov_ri(e, RCX, 1);
	em_mov_ri(e, R9, (u32)-1);
	em_rr(e, 0, 0x0fba, 4, R10);			/* bt r10d, 10; cmovc ecx, r9d */
	em8(e, 10);
	em_rr(e, 0, 0x0f42, RCX, R9);
	em_store(e, 0, ST(df), RCX);
	em_mov_rr(e, 1, R9, RAX);
	em_mov_rr(e, 0, RAX, R10);
	em_mov_rr(e, 0, RCX, R10);
	em_shift_ri(e, 0, 5, RAX, 11);
	em_alu_ri(e, 0, 4, RAX, 1);
	em8(e, 0x88);					/* mov ah, cl */
	em8(e, 0xcc);
	em8(e, 0x04);					/* add al, 0x7f: OF */
	em8(e, 0x7f);
	em_sahf(e);
	em_mov_rr(e, 1, RAX, R9);
	cold_room(t, 50);
	em_rm(e, 0, 0x0fb6, RCX, ST(irq_line));
	no_irq = em_jecxz(e);
	em_rm(e, 0, 0x0fb6, RCX, ST(iflag));
	no_if = em_jecxz(e);
	c = cold_exit(t, t->tr->stub.exit_pend, t->next);
	t->cold[c].jumps[t->cold[c].njumps++] = em_jmp(e, NULL);
	em_here8(e, no_irq);
	em_here8(e, no_if);
}

void rule_enter(struct tctx *t, const struct insn *i)
{
	int level = i->imm2 & 31, size = i->opsize;

	if (level) {
		store_op_imm(t, 0, (u16)i->imm);
		callout(t, CO_ENTER, size | level << 8);
		return;
	}
	if (i->imm) {	/* the new top of the stack must be writable, though nothing is written (SDM vol. 2, ENTER) */
		stack_address(t, -size - (s32)(u16)i->imm);
		mem_segment(t, S_SS, size, MEM_READ | MEM_WRITE);
		mem_end(t, mem_begin(t, size, MEM_READ | MEM_WRITE));
	}
	push_reg(t, gpr_host(t, R_EBP), size);
	gpr_write(t, R_EBP, esp(t), size);
	stack_adjust(t, -(s32)(u16)i->imm);
}

void rule_leave(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	int ebp = gpr_host(t, R_EBP), size = i->opsize;

	em_mov_rr(e, is_long(t), R8, ebp);
	if (ss16(t))
		em_movzx16(e, R8, R8);
	mem_segment(t, S_SS, size, MEM_READ);
	mem_load(t, R10, size);
	em_lea(e, is_long(t), R8, HM(ebp, size));
	set_stack_reg(t, esp(t), R8);
	gpr_write(t, R_EBP, R10, size);
}
