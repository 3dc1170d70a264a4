/*
 * ident.c - copying an instruction: the same opcode with registers renamed and the memory operand redirected.
 *
 * Two things need care. A byte register AH CH DH BH cannot be named in an instruction that has a REX prefix, so ECX, ESP and
 * the redirected address then move to registers with low numbers for this one instruction. And an implicit ECX (shift
 * counts, CMPXCHG8B, PCMPESTRI) must really be in the host's ecx.
 */
#include "translator/rules.h"

struct ident {
	int reg, rm, vvvv, opc;		/* host numbers of the GPR fields, or -1 */
	bool uses_high, uses_ch;	/* some operand is AH CH DH BH; CH */
	bool uses_ecx, writes_ecx;	/* ECX must be in rcx; must be copied back */
	bool mem;
	struct loans loans;		/* operands whose guest registers are homed in memory */
};

static bool is_mem(const struct insn *i) { return i->has_modrm && i->modrm >> 6 != 3 && i->has_mem; }

static bool any_gpr(const struct insn *i)
{
	for (int k = 0; k < i->nops; k++)
		if (i->op[k].kind == OPK_GPR)
			return true;
	return false;
}

/* VEX.W chooses the size of a general register or its memory form: outside 64-bit mode it does not count (SDM vol. 2, 2.3.5.6). */
static bool w_sizes_gpr(const struct insn *i)
{
	if (any_gpr(i))
		return true;
	return i->map == 1 ? i->opcode == 0x2a || i->opcode == 0x6e || i->opcode == 0x7e : i->map == 3 && (i->opcode == 0x16 || i->opcode == 0x22);
}

static void emit_vex(struct tctx *t, const struct insn *i, int reg, int rm, int vvvv, bool mem, struct hmem m)
{
	struct emit *e = &t->e;
	int b = mem ? m.base : rm, x = mem && m.index >= 0 ? m.index : 0;
	bool w = w_sizes_gpr(i) && !(t->mk & MK_LONG) ? 0 : i->vex_w;

	em8(e, 0xc4);
	em8(e, (~reg & 8) << 4 | (~x & 8) << 3 | (~b & 8) << 2 | (i->map ? i->map : 1));
	em8(e, w << 7 | (~vvvv & 15) << 3 | i->vex_l << 2 | i->vex_pp);
	em8(e, i->opcode);
	if (!i->has_modrm)
		return;
	if (mem)
		em_modrm_mem(e, reg, m);
	else
		em8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static void emit_legacy(struct tctx *t, const struct insn *i, int reg, int rm, int opc, bool mem, struct hmem m, bool no_rex)
{
	struct emit *e = &t->e;
	u8 opcode = i->opcode, rex = 0x40;
	bool modrm = i->has_modrm;

	if (i->mand_66 || (i->opsize == 2 && !i->no_66))
		em8(e, 0x66);
	if (i->mand_rep)
		em8(e, i->mand_rep);
	if (i->map == 0 && opcode == 0x82)
		opcode = 0x80;
	if (i->map == 0 && opcode >= 0x40 && opcode <= 0x4f && !(t->mk & MK_LONG)) {	/* INC and DEC: REX prefixes on the host */
		reg = opcode >> 3 & 1;
		rm = opc;
		opc = -1;
		opcode = 0xff;
		modrm = true;
	}
	if (i->rex_w)
		rex |= 8;
	if (modrm)
		rex |= (reg & 8) >> 1 | (mem ? (m.index >= 0 ? (m.index & 8) >> 2 : 0) | (m.base & 8) >> 3 : (rm & 8) >> 3);
	if (opc >= 0) {
		rex |= (opc & 8) >> 3;
		opcode = (opcode & 0xf8) | (opc & 7);
	}
	bug_on(no_rex && rex != 0x40, "REX with a high byte register in %s", insn_name(i));
	if (rex != 0x40 || (i->force_rex && !no_rex))
		em8(e, rex);
	em_opcode(e, i->map == 0 ? opcode : i->map == 1 ? 0x0f00u | opcode : (i->map == 2 ? 0x0f3800u : 0x0f3a00u) | opcode);
	if (!modrm)
		return;
	if (mem)
		em_modrm_mem(e, reg, m);
	else
		em8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static void emit_tail(struct tctx *t, const struct insn *i)
{
	/* VBLENDVPS, VBLENDVPD, VPBLENDVB: bit 7 of the register number in the immediate does not count outside 64-bit mode */
	bool is4 = i->vex && i->map == 3 && i->opcode >= 0x4a && i->opcode <= 0x4c && !(t->mk & MK_LONG);

	for (int k = i->tail_off; k < i->len; k++)
		em8(&t->e, is4 ? i->bytes[k] & 0x7f : i->bytes[k]);
}

/* Host number of a GPR operand; `low`: only registers below 8 may be named. ESP goes through ecx, or through eax where CH needs that
 * (MOVZX, MOVSX, CRC32 with ESP and CH: they have no other operands). */
static int pick(const struct tctx *t, const struct operand *o, struct ident *d)
{
	bool low = d->uses_high;

	if (o->high)
		return o->reg + 4;
	if (low && o->reg == R_ESP)
		return d->uses_ch ? RAX : RCX;
	return low && o->reg == R_ECX ? RCX : loan_add(t, &d->loans, o->reg, o->wr);
}

/* reg_subst: see ident_emit() */
static void scan(const struct tctx *t, const struct insn *i, struct ident *d, int reg_subst)
{
	memset(d, 0, sizeof *d);
	d->mem = is_mem(i);
	d->reg = reg_subst >= 0 ? reg_subst : i->modrm >> 3 & 7;
	d->rm = i->modrm & 7;
	d->vvvv = i->vex ? i->vvvv : 0;
	d->opc = -1;
	for (int k = 0; k < i->nops; k++)
		if (i->op[k].kind == OPK_GPR && i->op[k].high && i->op[k].enc != ENC_IMPLICIT)
			d->uses_high = true, d->uses_ch |= i->op[k].reg == R_ECX;
	for (int k = 0; k < i->nops; k++) {
		const struct operand *o = &i->op[k];

		if (o->kind == OPK_VEC && is_long(t)) {	/* sixteen of them */
			if (o->enc == ENC_REG)
				d->reg = o->reg;
			else if (o->enc == ENC_RM)
				d->rm = o->reg;
			continue;
		}
		if (o->kind != OPK_GPR || (reg_subst >= 0 && o->enc == ENC_REG))
			continue;
		if (o->reg == R_ECX && (d->uses_high || o->enc == ENC_IMPLICIT)) {
			d->uses_ecx = true;
			d->writes_ecx |= o->wr;
		}
		switch (o->enc) {
		case ENC_REG:    d->reg = pick(t, o, d); break;
		case ENC_RM:     d->rm = pick(t, o, d); break;
		case ENC_VVVV:   d->vvvv = pick(t, o, d); break;
		case ENC_OPCODE: d->opc = pick(t, o, d); break;
		}
	}
}

/* ESP beside a high byte register (MOVZX ESP, AH and the like): see pick(). */
static const struct operand *esp_operand(const struct insn *i)
{
	for (int k = 0; k < i->nops; k++)
		if (i->op[k].kind == OPK_GPR && i->op[k].reg == R_ESP && !i->op[k].high && i->op[k].enc != ENC_IMPLICIT)
			return &i->op[k];
	return NULL;
}

static void ident_body(struct tctx *t, const struct insn *i, const struct ident *d, struct hmem m)
{
	struct emit *e = &t->e;
	const struct operand *esp = d->uses_high ? esp_operand(i) : NULL;
	int esp_in = d->uses_ch ? RAX : RCX;

	if (d->mem && d->uses_high) {		/* the address needs a low register that the instruction does not use */
		em_mov_rr(e, 1, R10, RSI);
		em_lea(e, 1, RSI, m);
		m = HM(RSI, 0);
	} else if (d->mem && d->uses_ecx) {
		em_lea(e, 1, R8, m);
		m = HM(R8, 0);
	}
	if (d->uses_ecx)
		em_mov_rr(e, is_long(t), RCX, gpr_host(t, R_ECX));
	if (esp && d->uses_ch)
		em_mov_rr(e, 1, R12, RAX);
	if (esp)
		em_mov_rr(e, is_long(t), esp_in, gpr_host(t, R_ESP));
	loans_load(t, &d->loans);
	if (i->vex)
		emit_vex(t, i, d->reg, d->rm, d->vvvv, d->mem, m);
	else
		emit_legacy(t, i, d->reg, d->rm, d->opc, d->mem, m, d->uses_high);
	emit_tail(t, i);
	if (d->writes_ecx)
		em_mov_rr(e, is_long(t), gpr_host(t, R_ECX), RCX);
	if (esp && esp->wr) {
		if (esp->size == 2)
			em8(e, 0x66);
		em_mov_rr(e, 0, gpr_host(t, R_ESP), esp_in);
	}
	if (esp && d->uses_ch)
		em_mov_rr(e, 1, RAX, R12);
	if (d->mem && d->uses_high)
		em_mov_rr(e, 1, RSI, R10);
	loans_store(t, &d->loans);
}

void ident_emit(struct tctx *t, const struct insn *i, bool mem, struct hmem m, int reg_subst)
{
	struct ident d;

	scan(t, i, &d, reg_subst);
	d.mem = mem;
	ident_body(t, i, &d, m);
}

const u8 *live_immediate(const struct tctx *t, const struct insn *i)
{
	bool alu = i->rule == RULE_IDENT && (i->opcode == 0x81 || (i->opcode & 0xc7) == 5);

	if (!t->b->checked || t->b->len2 || is_long(t) || i->map || i->vex || i->opsize != 4 || i->op[0].kind != OPK_GPR || i->len < 5)
		return NULL;
	if (!alu && (i->rule != RULE_MOV || (i->opcode & 0xf8) != 0xb8))
		return NULL;
	return t->code + (i->eip - t->insns[0].eip) + i->len - 4;
}

/* mov r10, bytes; mov or ADD to CMP reg, [r10] */
static void rule_live(struct tctx *t, const struct insn *i, const u8 *imm)
{
	u32 op = i->rule == RULE_MOV ? 0x8b : i->opcode == 0x81 ? (i->modrm & 0x38) | 3u : (i->opcode & 0x38) | 3u;

	em_mov_ri(&t->e, R10, (u64)(uintptr_t)imm);
	em_rm(&t->e, 0, op, gpr_host(t, i->op[0].reg), HM(R10, 0));
}

void rule_ident(struct tctx *t, const struct insn *i)
{
	const u8 *live = live_immediate(t, i);
	struct ident d;
	int h = 0;

	if (live) {
		rule_live(t, i, live);
		return;
	}

	scan(t, i, &d, -1);
	if (d.mem)
		h = mem_operand(t, i, i->mem_size, (i->mem_rd ? MEM_READ : 0) | (i->mem_wr ? MEM_WRITE : 0));
	ident_body(t, i, &d, MEM_OP);
	if (d.mem)
		mem_end(t, h);
}
