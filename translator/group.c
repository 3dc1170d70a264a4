/*
 * group.c - look-ups shared inside a block: several accesses off one base register at small, known distances.
 *
 *     push ebx                              lea  r8d, [r15 - 8]           lowest byte of the group: one look-up
 *     push esi              becomes         ... same page to r15 - 1? in the table?  else cold
 *     ...                                   lea  r12, [r12 + r8]          host address of the lowest byte
 *     mov  eax, [esp + 4]                   mov  [r12 + 4], ebx; lea r15d, [r15 - 4]; mov [r12], esi ...
 *
 * A group lasts while its base register changes by known amounts only and nothing is called that could change the virtual
 * TLB. All its bytes must lie in one page. When they do not (or the page cannot be in the table) nothing has happened yet: the
 * instruction runs alone, and a block to which that happens often is translated again without groups ("guilty").
 */
#include "translator/rules.h"

#define SPAN_MAX    2048	/* bytes from a group's first to its last byte */
#define OPERAND_MAX 64
#define GUILTY_COSTS 64		/* a block's group costs more than it gains: eight crossings, or many pages that were not there */
#define CROSSING_COSTS 8

struct use { int base; s64 off; u32 size; bool wr; };

static bool flat_data(const struct tctx *t, int seg) { return mk_seg(t->mk, seg) == SEG_FLAT; }

static bool stack_flat(const struct tctx *t) { return (t->mk & MK_SS32) && flat_data(t, S_SS); }

static bool plain_operand(const struct tctx *t, const struct insn *i)
{
	return i->has_mem && !i->mem_agen && !i->mem_vsib && i->base >= 0 && i->index < 0 && i->adsize == 4 && flat_data(t, i->seg) &&
	       !(i->seg == S_CS && i->mem_wr) && i->mem_size && i->mem_size <= OPERAND_MAX;
}

static bool copied(const struct insn *i) { return i->rule == RULE_IDENT || i->rule == RULE_MOV || i->rule == RULE_VECTOR; }

/* The accesses of an instruction that a group can serve; offsets are from the base register's value before it. */
static int uses_of(const struct tctx *t, const struct insn *i, struct use u[2])
{
	int n = 0;

	if ((copied(i) || i->rule == RULE_PUSH || i->rule == RULE_JMP || i->rule == RULE_CALL) && plain_operand(t, i) && i->op[0].kind != OPK_SEG)
		if (copied(i) || i->op[0].kind == OPK_MEM)
			u[n++] = (struct use){ i->base, i->disp, i->mem_size, i->mem_wr && copied(i) };
	if (!stack_flat(t))
		return n;
	if (i->rule == RULE_PUSH || (i->rule == RULE_CALL && i->op[0].kind != OPK_FAR))
		u[n++] = (struct use){ R_ESP, -(s32)i->opsize, i->opsize, true };
	else if (i->rule == RULE_POP || (i->rule == RULE_RET && (i->opcode == 0xc3 || i->opcode == 0xc2)))
		u[n++] = (struct use){ R_ESP, 0, i->opsize, false };
	return n;
}

/* What the instruction adds to a register; false: unknown, or the group cannot outlive it. */
static bool change_of(const struct insn *i, int base, s32 *by)
{
	const struct operand *d = &i->op[0];

	*by = 0;
	if (i->rule == RULE_POP && d->kind != OPK_MEM && (d->kind != OPK_GPR || d->reg == base))
		return false;
	if (i->rule == RULE_PUSH || i->rule == RULE_POP) {
		if (base == R_ESP)
			*by = i->rule == RULE_PUSH ? -(s32)i->opsize : i->opsize;
		return true;
	}
	if (i->rule == RULE_NOP || i->rule == RULE_JCC)
		return true;
	if (i->rule == RULE_LEA && d->reg == base) {
		*by = i->disp;
		return i->opsize == 4 && i->adsize == 4 && i->base == base && i->index < 0;
	}
	if (i->rule == RULE_IDENT && d->kind == OPK_GPR && d->reg == base && d->size == 4 && i->map == 0 &&
	    (i->opcode == 0x83 || i->opcode == 0x81)) {
		int op = i->modrm >> 3 & 7;

		*by = op == 0 ? (s32)i->imm : op == 5 ? -(s32)i->imm : 0;
		return op == 0 || op == 5 || op == 7;	/* ADD SUB CMP */
	}
	if (!copied(i) && i->rule != RULE_LEA)
		return false;
	if (i->nops == ARRAY_SIZE(i->op))
		return false;
	for (int k = 0; k < i->nops; k++) {
		if (i->op[k].kind == OPK_GPR && i->op[k].wr && i->op[k].reg == base)
			return false;
		if (i->op[k].kind == OPK_SEG || i->op[k].kind == OPK_CR || i->op[k].kind == OPK_DR)
			return i->op[k].enc == ENC_IMPLICIT;	/* segment and control register moves are callouts */
	}
	return true;
}

/* Looks ahead from the current instruction: the group of `base` that begins here. */
static bool measure(const struct tctx *t, int base, struct group *g)
{
	s64 bias = 0, lo = 0, hi = 0;
	s32 by;
	int uses = 0;

	*g = (struct group){ .base = base };
	for (int k = t->cur; k < t->n; k++) {
		const struct insn *i = &t->insns[k];
		struct use u[2];
		int n = uses_of(t, i, u);

		for (int j = 0; j < n; j++) {
			s64 from = bias + u[j].off, to = from + u[j].size;
			s64 new_lo = uses && lo < from ? lo : from, new_hi = uses && hi > to ? hi : to;

			if (u[j].base != base)
				continue;
			if (new_hi - new_lo > SPAN_MAX)
				return uses > 1;
			lo = new_lo;
			hi = new_hi;
			uses++;
			g->write |= u[j].wr;
			g->last = k;
			g->lo = lo;
			g->hi = hi;
		}
		if (!change_of(i, base, &by))
			break;
		bias += by;
	}
	return uses > 1;
}

static bool guilty(const struct tctx *t) { return t->tr->guilty[t->b->gpa % ARRAY_SIZE(t->tr->guilty)] == t->b->gpa; }

void group_failed(struct translator *tr, struct blk *b)
{
	u64 lin = tr->cs->scratch[0];				/* as stub mem_try left them: address and info of the look-up */
	u32 size = tr->cs->scratch[2] & MEM_SIZE;

	b->group_fails += (lin & PAGE_MASK) + size > PAGE_SIZE ? CROSSING_COSTS : 1;
	if (b->group_fails < GUILTY_COSTS || b->dead)
		return;
	tr->guilty[b->gpa % ARRAY_SIZE(tr->guilty)] = b->gpa;
	blk_remove(tr, b);
}

void group_begin(struct tctx *t)
{
	struct emit *e = &t->e;
	struct use u[2];
	const struct insn *i = &t->insns[t->cur];
	struct group g;
	bool sure;
	int c, n;

	if (t->group.active || t->mk & (MK_STEP | MK_ALIGN | MK_LONG) || guilty(t))
		return;
	n = uses_of(t, i, u);
	if (!n || (!measure(t, u[n - 1].base, &g) && (n == 1 || !measure(t, u[0].base, &g))))
		return;
	/* A group's write may be jumped over, or a fault may come first: the dirty bit waits, unless this instruction's one access writes */
	sure = n == 1 && u[0].wr && (copied(i) || !i->has_mem);
	cold_room(t, 100);
	c = cold_new(t, COLD_GROUP, (u32)(g.hi - g.lo) | (!g.write ? MEM_READ : sure ? MEM_WRITE : MEM_WRITE | MEM_LATER));
	t->cold[c].rip = t->insns[t->cur].eip;
	em_lea(e, 0, R8, HM(gpr_host(t, g.base), (s32)g.lo));
	mem_index(e, (u32)(g.hi - g.lo));
	em_load(e, 1, RCX, HMX(HOST_TABLE, R9, 8, g.write ? VTLB_WRITE : VTLB_READ));
	short_jump(t, em_jrcxz(e), c);
	t->cold[c].back = e->p;
	em_lea(e, 1, R12, HMX(RCX, R8, 1, 0));
	g.active = true;
	t->group = g;
}

/* Behind the current instruction: the group goes on with a new bias, or ends. */
void group_advance(struct tctx *t)
{
	struct group *g = &t->group;
	s32 by;

	if (!g->active)
		return;
	if (t->cur >= g->last || t->insns[t->cur].rule == RULE_INTO || !change_of(&t->insns[t->cur], g->base, &by))
		g->active = false;
	else
		g->bias += by;
}

bool group_operand(struct tctx *t, int base, s64 disp, u32 size, bool wr)
{
	struct group *g = &t->group;
	s64 from = g->bias + disp;

	if (!g->active || base != g->base || from < g->lo || from + size > g->hi || (wr && !g->write))
		return false;
	t->mem_op = HM(R12, (s32)(from - g->lo));
	return true;
}
