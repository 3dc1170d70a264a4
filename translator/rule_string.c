/*
 * rule_string.c - string instructions. One element is a load and a store inline; REP forms, INS and OUTS are callouts,
 * which work on whole page runs.
 */
#include "translator/rules.h"

enum string_kind { STR_MOVS, STR_CMPS, STR_STOS, STR_LODS, STR_SCAS, STR_INS, STR_OUTS };

static enum string_kind kind_of(u8 opcode)
{
	switch (opcode & 0xfe) {
	case 0xa4: return STR_MOVS;
	case 0xa6: return STR_CMPS;
	case 0xaa: return STR_STOS;
	case 0xac: return STR_LODS;
	case 0xae: return STR_SCAS;
	case 0x6c: return STR_INS;
	default:   return STR_OUTS;
	}
}

static void index_offset(struct tctx *t, const struct insn *i, int guest)
{
	if (i->adsize == 2)
		em_movzx16(&t->e, R8, gpr_host(t, guest));
	else
		em_mov_rr(&t->e, 0, R8, gpr_host(t, guest));
}

/* ESI or EDI moves by one element in DF's direction. */
static void advance(struct tctx *t, const struct insn *i, int guest, int size)
{
	struct emit *e = &t->e;

	em_load(e, 0, R9, ST(df));
	em_lea(e, 0, R8, HMX(gpr_host(t, guest), R9, size, 0));
	gpr_write(t, guest, R8, i->adsize);
}

static void source(struct tctx *t, const struct insn *i, int size)
{
	index_offset(t, i, R_ESI);
	mem_segment(t, i->src_seg, size, MEM_READ);
	mem_load(t, R10, size);
}

/* Compares AL/AX/EAX or r10 (CMPS) with the element at ES:EDI: cmp reg, [mem]. */
static void compare(struct tctx *t, const struct insn *i, int reg, int size)
{
	struct emit *e = &t->e;
	int h;

	index_offset(t, i, R_EDI);
	mem_segment(t, S_ES, size, MEM_READ);
	h = mem_begin(t, size, MEM_READ);
	if (size == 2)
		em8(e, 0x66);
	em_rm(e, 0, size == 1 ? 0x3a : 0x3b, reg, MEM_OP);
	mem_end(t, h);
}

static void load_acc(struct tctx *t, int size)
{
	if (size == 1)
		em_rr8(&t->e, 0x8a, RAX, R10);
	else
		gpr_write(t, R_EAX, R10, size);
}

void rule_string(struct tctx *t, const struct insn *i)
{
	static const enum callout_id ids[] = { CO_REP_MOVS, CO_REP_CMPS, CO_REP_STOS, CO_REP_LODS, CO_REP_SCAS, CO_INS, CO_OUTS };
	enum string_kind kind = kind_of(i->opcode);
	int size = i->opcode & 1 ? i->opsize : 1;
	int rep = i->pf3 ? 1 : i->pf2 ? 2 : 0;

	if (rep == 2 && kind != STR_CMPS && kind != STR_SCAS)
		rep = 1;
	if (rep || kind == STR_INS || kind == STR_OUTS) {
		callout(t, ids[kind], size | i->adsize << 4 | rep << 8 | (u32)i->src_seg << 12);
		return;
	}
	switch (kind) {
	case STR_MOVS:
		source(t, i, size);
		index_offset(t, i, R_EDI);
		mem_segment(t, S_ES, size, MEM_WRITE);
		mem_store(t, R10, size);
		advance(t, i, R_ESI, size);
		advance(t, i, R_EDI, size);
		break;
	case STR_STOS:
		index_offset(t, i, R_EDI);
		mem_segment(t, S_ES, size, MEM_WRITE);
		mem_store(t, RAX, size);
		advance(t, i, R_EDI, size);
		break;
	case STR_LODS:
		source(t, i, size);
		load_acc(t, size);
		advance(t, i, R_ESI, size);
		break;
	case STR_CMPS:
		source(t, i, size);
		compare(t, i, R10, size);
		advance(t, i, R_ESI, size);
		advance(t, i, R_EDI, size);
		break;
	default:
		compare(t, i, RAX, size);
		advance(t, i, R_EDI, size);
		break;
	}
}
