/*
 * rule_vector.c - x87, MMX, SSE and AVX: executed as they are, with the guest's state in the host's registers.
 *
 * The state moves in lazily: the first such instruction of a block looks at cs->fpu_live. What C code runs in between saves it
 * (stubs.c), so no FPU instruction of the guest is ever emulated.
 */
#include "translator/rules.h"

static bool is_x87(const struct insn *i) { return !i->vex && i->map == 0 && i->opcode >= 0xd8 && i->opcode <= 0xdf; }

/* The mode forbids it: true, and the block has ended with the trap. */
static bool trapped(struct tctx *t, const struct insn *i)
{
	bool xmm = i->feature != TF_FPU && i->feature != TF_MMX && i->feature != TF_FXSR && i->feature != TF_CMOV && !is_x87(i);

	if (i->vex && t->mk & MK_NO_AVX) {
		raise_fault(t, 6, TR_NO_ERR);
		return true;
	}
	if (!i->vex && xmm && t->mk & MK_NO_SSE) {
		raise_fault(t, 6, TR_NO_ERR);
		return true;
	}
	if (t->mk & MK_NO_FPU) {
		callout(t, CO_FPU_TRAP, is_x87(i) || i->feature == TF_FXSR ? 0 : 2);
		return true;
	}
	return false;
}

/* maskmovq, maskmovdqu: the destination is DS:EDI, hidden in the opcode. */
static void maskmov(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	u32 size = insn_is(i, MN_MASKMOVQ) ? 8 : 16;
	int edi = gpr_host(t, R_EDI), h;

	if (i->adsize == 2)
		em_movzx16(e, R8, edi);
	else
		em_mov_rr(e, 0, R8, edi);
	mem_segment(t, i->seg, size, MEM_READ | MEM_WRITE);
	h = mem_begin(t, size, MEM_READ | MEM_WRITE);
	em_mov_rr(e, 1, R10, edi);
	em_lea(e, 1, RDI, MEM_OP);
	ident_emit(t, i, false, MEM_OP, -1);
	em_mov_rr(e, 1, edi, R10);
	mem_end(t, h);
}

void rule_vector(struct tctx *t, const struct insn *i)
{
	if (trapped(t, i))
		return;
	if (i->mem_vsib) {	/* gathers: see docs/translator.md */
		raise_fault(t, 6, TR_NO_ERR);
		return;
	}
	fpu_check(t, i, 0);
	if (insn_is(i, MN_MASKMOVQ) || insn_is(i, MN_MASKMOVDQU) || insn_is(i, MN_VMASKMOVDQU))
		maskmov(t, i);
	else
		rule_ident(t, i);
}

void rule_fwait(struct tctx *t, const struct insn *i)
{
	if (t->mk & MK_NO_FPU) {
		callout(t, CO_FPU_TRAP, 1);
		return;
	}
	fpu_check(t, i, 0);
	em8(&t->e, 0x9b);
}

void rule_fpu_nop(struct tctx *t, const struct insn *i)
{
	if (t->mk & MK_NO_FPU)
		callout(t, CO_FPU_TRAP, 0);
}

/*
 * xsave, xrstor and relatives: EDX:EAX is cut down to what the guest's XCR0 enables, since the host's enables more.
 *     r8 = address; r9 = rax; r10 = rdx; eax = pext/pdep by xcr0; edx = 0; instruction; eax, edx back
 */
void rule_xsave(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	u32 size = t->mk & MK_NO_AVX ? 576 : 832;
	u32 access = insn_is(i, MN_XRSTOR) ? MEM_READ : MEM_READ | MEM_WRITE;
	int h;

	if (t->mk & MK_NO_FPU) {
		callout(t, CO_FPU_TRAP, 0);
		return;
	}
	if (t->mk & MK_NO_SSE) {
		raise_fault(t, 6, TR_NO_ERR);
		return;
	}
	fpu_check(t, i, 0);
	h = mem_operand(t, i, size, access);
	em_lea(e, 1, R8, MEM_OP);
	em_mov_rr(e, 1, R9, RAX);
	em_mov_rr(e, 1, R10, RDX);
	em_load(e, 0, RCX, ST_OFF(CS_OFF(xcr0)));
	em_pext(e, 0, RAX, RAX, RCX);
	em_pdep(e, 0, RAX, RAX, RCX);
	em_mov_ri(e, RDX, 0);
	ident_emit(t, i, true, HM(R8, 0), -1);
	em_mov_rr(e, 1, RAX, R9);
	em_mov_rr(e, 1, RDX, R10);
	mem_end(t, h);
}
