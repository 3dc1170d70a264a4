/*
 * borrow.c - guest registers without a host register of their own: R8 to R15 of 64-bit code (regs.h).
 *
 * They live in cpu_state.gpr. An instruction that names one borrows a scratch register for it, loaded before and stored behind
 * the instruction if that writes it, with moves that leave the flags alone:
 *
 *     xadd [rdi], r9      becomes       look-up; mov r10, [gpr 9]; xadd [r8 + rcx], r10; mov [gpr 9], r10
 *
 * All of it stands between mem_begin() and mem_end(): where a cold stub repeats the access it repeats the loan too, and a host
 * exception finds the copy in memory as it was before the instruction. 32-bit guests have no such register and get no such code.
 */
#include "translator/rules.h"

static struct hmem memory_home(int guest) { return ST_OFF(CS_OFF(gpr) + 8 * guest); }

int gpr_fetch(struct tctx *t, int guest, int scratch)
{
	em_load(&t->e, 1, scratch, memory_home(guest));
	return scratch;
}

/* A value whose upper half is not known to be zero may be in src: a 4-byte write stores zeroes there itself. */
void gpr_put(struct tctx *t, int guest, int src, int size)
{
	struct emit *e = &t->e;
	struct hmem m = memory_home(guest), upper = ST_OFF(CS_OFF(gpr) + 8 * guest + 4);

	if (size == 2) {
		em_store16(e, m, src);
		return;
	}
	em_store(e, size == 8, m, src);
	if (size == 4)
		em_store_i32(e, 0, upper, 0);
}

int loan_add(const struct tctx *t, struct loans *l, int guest, bool wr)
{
	/* r8 and rcx may hold the operand's address; only instructions with three register operands, and so without memory, get to r9 */
	static const u8 pool[MAX_LOANS] = { R10, R12, R9 };
	int home = t->rm->home[guest];

	if (home != HOME_MEM)
		return home;
	for (int k = 0; k < l->n; k++)
		if (l->loan[k].guest == guest) {
			l->loan[k].wr |= wr;
			return l->loan[k].host;
		}
	bug_on(l->n == MAX_LOANS, "an instruction of more than %d register operands", MAX_LOANS);
	l->loan[l->n] = (struct loan){ guest, pool[l->n], wr };
	return l->loan[l->n++].host;
}

void loans_load(struct tctx *t, const struct loans *l)
{
	for (int k = 0; k < l->n; k++)
		gpr_fetch(t, l->loan[k].guest, l->loan[k].host);
}

void loans_store(struct tctx *t, const struct loans *l)
{
	for (int k = 0; k < l->n; k++)
		if (l->loan[k].wr)
			gpr_put(t, l->loan[k].guest, l->loan[k].host, 8);
}

bool rule_has_long(const struct insn *i)
{
	switch (i->rule) {
	case RULE_UNKNOWN: case RULE_IDENT: case RULE_MOV: case RULE_LEA: case RULE_NOP: case RULE_FENCE: case RULE_BT: case RULE_PUSH:
	case RULE_POP: case RULE_LEAVE: case RULE_JMP: case RULE_CALL: case RULE_RET: case RULE_JCC: case RULE_LOOP: case RULE_INT:
	case RULE_CLD: case RULE_VECTOR: case RULE_FWAIT: case RULE_FPU_NOP:
		return true;
	}
	return false;
}
