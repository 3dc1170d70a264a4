/*
 * rule_data.c - moves, addresses, bit tests, tables and other unprivileged instructions that cannot simply be copied.
 */
#include "translator/rules.h"

static struct hmem selector_field(int seg)
{
	return ST_OFF(CS_OFF(seg) + seg * sizeof(struct cpu_seg) + offsetof(struct cpu_seg, sel));
}

/* A 16-bit r/m source operand into r10, zero-extended. */
static void load_rm16(struct tctx *t, const struct insn *i, const struct operand *o)
{
	if (o->kind == OPK_GPR) {
		em_movzx16(&t->e, R10, gpr_borrow(t, o->reg, R10));
	} else {
		mem_offset(t, i);
		mem_segment(t, i->seg, 2, MEM_READ);
		mem_load(t, R10, 2);
	}
}

/* MOV r/m, Sreg: a register gets the operand size, zero-extended; memory always 16 bits. */
static void mov_from_seg(struct tctx *t, const struct insn *i)
{
	em_rm(&t->e, 0, 0x0fb7, R10, selector_field(i->op[1].reg));
	if (i->op[0].kind == OPK_GPR) {
		gpr_write(t, i->op[0].reg, R10, i->opsize);
		return;
	}
	mem_offset(t, i);
	mem_segment(t, i->seg, 2, MEM_WRITE);
	mem_store(t, R10, 2);
}

static void mov_to_seg(struct tctx *t, const struct insn *i)
{
	if (i->op[0].reg == S_CS) {
		raise_fault(t, 6, TR_NO_ERR);
		return;
	}
	load_rm16(t, i, &i->op[1]);
	store_op(t, 0, R10);
	callout(t, CO_LOAD_SEG, i->op[0].reg);
}

/* A0 to A3: AL, AX or EAX and an absolute offset. */
static void mov_moffs(struct tctx *t, const struct insn *i)
{
	int size = i->opcode & 1 ? i->opsize : 1;
	int h;

	mem_offset(t, i);
	mem_segment(t, i->seg, size, i->opcode & 2 ? MEM_WRITE : MEM_READ);
	h = mem_begin(t, size, i->opcode & 2 ? MEM_WRITE : MEM_READ);
	if (size == 2)
		em8(&t->e, 0x66);
	em_rm(&t->e, size == 8, (i->opcode & 2 ? 0x88 : 0x8a) | (i->opcode & 1), RAX, MEM_OP);
	mem_end(t, h);
}

void rule_mov(struct tctx *t, const struct insn *i)
{
	const struct operand *d = &i->op[0], *s = &i->op[1];

	if (d->kind == OPK_CR)
		callout(t, CO_MOV_TO_CR, d->reg | s->reg << 8);
	else if (s->kind == OPK_CR)
		callout(t, CO_MOV_FROM_CR, s->reg | d->reg << 8);
	else if (d->kind == OPK_DR)
		callout(t, CO_MOV_TO_DR, d->reg | s->reg << 8);
	else if (s->kind == OPK_DR)
		callout(t, CO_MOV_FROM_DR, s->reg | d->reg << 8);
	else if (d->kind == OPK_SEG)
		mov_to_seg(t, i);
	else if (s->kind == OPK_SEG)
		mov_from_seg(t, i);
	else if (i->map == 0 && i->opcode >= 0xa0 && i->opcode <= 0xa3)
		mov_moffs(t, i);
	else
		rule_ident(t, i);
}

void rule_lea(struct tctx *t, const struct insn *i)
{
	if (i->opsize == 4 && i->adsize == 4 && i->base >= 0 && !is_long(t)) {
		em_lea(&t->e, 0, gpr_host(t, i->op[0].reg),
		       HMX(gpr_host(t, i->base), i->index >= 0 ? gpr_host(t, i->index) : -1, i->scale, (s32)i->disp));
		return;
	}
	mem_offset(t, i);
	gpr_write(t, i->op[0].reg, R8, i->opsize);
}

void rule_nop(struct tctx *t, const struct insn *i)
{
}

void rule_fence(struct tctx *t, const struct insn *i)
{
	for (int k = 0; k < i->len; k++)
		em8(&t->e, i->bytes[k]);
}

/*
 * bt/bts/btr/btc [mem], reg: the bit offset is signed and reaches beyond the operand.
 *     r8d += (offset >> 5) * 4, or (offset >> 4) * 2 for 16 bits; r10d = the register's low bits
 */
static void bt_mem_reg(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	int reg = gpr_borrow(t, i->op[1].reg, R12), size = i->opsize, w = is_long(t), h;
	u32 access = MEM_READ | (i->mem_wr ? MEM_WRITE : 0);

	mem_offset(t, i);
	em_mov_ri(e, R9, size == 2 ? 4 : size == 4 ? 5 : 6);
	if (size == 2)
		em_rr(e, w, 0x0fbf, R10, reg);			/* movsx */
	else if (size == 4 && w)
		em_rr(e, 1, 0x63, R10, reg);			/* movsxd */
	else
		em_mov_rr(e, w, R10, reg);
	em_sarx(e, w, R10, R10, R9);
	em_lea(e, i->adsize == 8, R8, HMX(R8, R10, size, 0));
	em_mov_ri(e, R9, 8 * size - 1);
	em_pext(e, 0, R10, reg, R9);
	if (i->adsize == 2)
		em_movzx16(e, R8, R8);
	mem_segment(t, i->seg, size, access);
	h = mem_begin(t, size, access);
	ident_emit(t, i, true, MEM_OP, R10);
	mem_end(t, h);
}

void rule_bt(struct tctx *t, const struct insn *i)
{
	if (i->op[0].kind == OPK_MEM && i->op[1].kind == OPK_GPR)
		bt_mem_reg(t, i);
	else
		rule_ident(t, i);
}

void rule_cld(struct tctx *t, const struct insn *i)
{
	em_store_i32(&t->e, 0, ST(df), insn_is(i, MN_STD) ? (u32)-1 : 1);
}

void rule_bcd(struct tctx *t, const struct insn *i)
{
	static const struct { enum mnemonic m; enum callout_id id; } map[] = {
		{ MN_DAA, CO_DAA }, { MN_DAS, CO_DAS }, { MN_AAA, CO_AAA }, { MN_AAS, CO_AAS }, { MN_AAM, CO_AAM }, { MN_AAD, CO_AAD },
	};

	for (unsigned k = 0; k < ARRAY_SIZE(map); k++)
		if (insn_is(i, map[k].m))
			callout(t, map[k].id, (u8)i->imm);
}

/* mov ecx, 0; mov r9d, 255; cmovc ecx, r9d; mov al, cl */
void rule_salc(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;

	em_mov_ri(e, RCX, 0);
	em_mov_ri(e, R9, 0xff);
	em_rr(e, 0, 0x0f42, RCX, R9);
	em_rr8(e, 0x8a, RAX, RCX);
}

void rule_xlat(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;

	em_movzx8(e, R8, RAX);
	em_lea(e, 0, R8, HMX(R8, gpr_host(t, R_EBX), 1, 0));
	if (i->adsize == 2)
		em_movzx16(e, R8, R8);
	mem_segment(t, i->seg, 1, MEM_READ);
	mem_load(t, R10, 1);
	em_rr8(e, 0x8a, RAX, R10);
}

void rule_bound(struct tctx *t, const struct insn *i)
{
	int size = i->opsize;

	mem_offset(t, i);
	mem_segment(t, i->seg, size * 2, MEM_READ);
	mem_load(t, R10, size);
	store_op(t, 1, R10);
	em_lea(&t->e, 0, R8, HM(R8, size));
	mem_load(t, R10, size);
	store_op(t, 2, R10);
	store_op(t, 0, gpr_host(t, i->op[0].reg));
	callout(t, CO_BOUND, size);
}

void rule_lxs(struct tctx *t, const struct insn *i)
{
	int seg = insn_is(i, MN_LDS) ? S_DS : insn_is(i, MN_LES) ? S_ES : insn_is(i, MN_LSS) ? S_SS : insn_is(i, MN_LFS) ? S_FS : S_GS;
	int size = i->opsize;

	mem_offset(t, i);
	mem_segment(t, i->seg, size + 2, MEM_READ);
	mem_load(t, R10, size);
	store_op(t, 2, R10);
	em_lea(&t->e, 0, R8, HM(R8, size));
	mem_load(t, R10, 2);
	store_op(t, 0, R10);
	callout(t, CO_LOAD_SEG, seg | 1 << 9 | i->op[0].reg << 12 | size << 16);
}
