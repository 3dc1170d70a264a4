/*
 * emit.c - the emitter's operand forms. See emit.h.
 */
#include "translator/emit.h"
#include "monitor/lib/types.h"

const struct regmap regmap32 = { .n = 8, .home = { RAX, R11, RDX, RBX, R15, RBP, RSI, RDI, -1, -1, -1, -1, -1, -1, -1, -1 } };
const struct regmap regmap64 = { .n = 16, .home = { RAX, R11, RDX, RBX, R15, RBP, RSI, RDI,
	HOME_MEM, HOME_MEM, HOME_MEM, HOME_MEM, HOME_MEM, HOME_MEM, HOME_MEM, HOME_MEM } };

void em_opcode(struct emit *e, u32 opcode)
{
	if (opcode > 0xffff)
		em8(e, opcode >> 16);
	if (opcode > 0xff)
		em8(e, opcode >> 8);
	em8(e, opcode);
}

static void em_rex(struct emit *e, int w, int reg, int index, int base, bool force)
{
	u8 rex = 0x40 | (w & 1) << 3 | (reg & 8) >> 1 | (index > 0 ? (index & 8) >> 2 : 0) | (base & 8) >> 3;

	if (rex != 0x40 || force)
		em8(e, rex);
}

void em_modrm_mem(struct emit *e, int reg, struct hmem m)
{
	bool sib = m.index >= 0 || (m.base & 7) == 4;
	u8 rm = sib ? 4 : m.base & 7;
	u8 mod = m.disp == 0 && (m.base & 7) != 5 ? 0 : m.disp >= -128 && m.disp <= 127 ? 1 : 2;

	em8(e, mod << 6 | (reg & 7) << 3 | rm);
	if (sib) {
		u8 scale = m.scale == 8 ? 3 : m.scale == 4 ? 2 : m.scale == 2 ? 1 : 0;

		em8(e, scale << 6 | (m.index >= 0 ? m.index & 7 : 4) << 3 | (m.base & 7));
	}
	if (mod == 1)
		em8(e, m.disp);
	else if (mod == 2)
		em32(e, m.disp);
}

void em_rr(struct emit *e, int w, u32 opcode, int reg, int rm)
{
	em_rex(e, w, reg, 0, rm, false);
	em_opcode(e, opcode);
	em8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void em_rr8(struct emit *e, u32 opcode, int reg, int rm)
{
	em_rex(e, 0, reg, 0, rm, rm >= 4 || reg >= 4);
	em_opcode(e, opcode);
	em8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void em_rm(struct emit *e, int w, u32 opcode, int reg, struct hmem m)
{
	em_rex(e, w, reg, m.index, m.base, false);
	em_opcode(e, opcode);
	em_modrm_mem(e, reg, m);
}

void em_lea_index(struct emit *e, int dst, int index, u8 scale, s32 disp)
{
	em_rex(e, 0, dst, index, 0, false);
	em8(e, 0x8d);
	em8(e, (dst & 7) << 3 | 4);
	em8(e, (scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0) << 6 | (index & 7) << 3 | 5);	/* mod 0, base 5: no base */
	em32(e, disp);
}

void em_mov_ri(struct emit *e, int dst, u64 imm)
{
	if (imm >> 32 == 0) {
		em_rex(e, 0, 0, 0, dst, false);
		em8(e, 0xb8 | (dst & 7));
		em32(e, imm);
	} else if ((s64)imm == (s32)imm) {
		em_rr(e, 1, 0xc7, 0, dst);
		em32(e, imm);
	} else {
		em_rex(e, 1, 0, 0, dst, false);
		em8(e, 0xb8 | (dst & 7));
		em64(e, imm);
	}
}

void em_store_i32(struct emit *e, int w, struct hmem m, u32 imm)
{
	em_rm(e, w, 0xc7, 0, m);
	em32(e, imm);
}

void em_store_i16(struct emit *e, struct hmem m, u16 imm)
{
	em8(e, 0x66);
	em_rm(e, 0, 0xc7, 0, m);
	em16(e, imm);
}

void em_store_i8(struct emit *e, struct hmem m, u8 imm)
{
	em_rm(e, 0, 0xc6, 0, m);
	em8(e, imm);
}

void em_store16(struct emit *e, struct hmem m, int src)
{
	em8(e, 0x66);
	em_rm(e, 0, 0x89, src, m);
}

void em_store8(struct emit *e, struct hmem m, int src)
{
	em_rex(e, 0, src, m.index, m.base, src >= 4);
	em8(e, 0x88);
	em_modrm_mem(e, src, m);
}

void em_movzx8(struct emit *e, int dst, int src)
{
	em_rex(e, 0, dst, 0, src, src >= 4);
	em_opcode(e, 0x0fb6);
	em8(e, 0xc0 | (dst & 7) << 3 | (src & 7));
}

void em_movzx16(struct emit *e, int dst, int src) { em_rr(e, 0, 0x0fb7, dst, src); }
void em_movsx16(struct emit *e, int dst, int src) { em_rr(e, 0, 0x0fbf, dst, src); }

void em_alu_ri(struct emit *e, int w, int op, int dst, s32 imm)
{
	bool small = imm >= -128 && imm <= 127;

	em_rr(e, w, small ? 0x83 : 0x81, op, dst);
	if (small)
		em8(e, imm);
	else
		em32(e, imm);
}

void em_alu_mi8(struct emit *e, int op, struct hmem m, u8 imm)
{
	em_rm(e, 0, 0x80, op, m);
	em8(e, imm);
}

void em_shift_ri(struct emit *e, int w, int ext, int dst, u8 n)
{
	em_rr(e, w, 0xc1, ext, dst);
	em8(e, n);
}

/* A VEX-coded instruction with register operands: map 2 = 0F38, 3 = 0F3A; pp 1 = 66, 2 = F3, 3 = F2. */
static void em_vex(struct emit *e, int map, int pp, int w, u8 opcode, int reg, int vvvv, int rm)
{
	em8(e, 0xc4);
	em8(e, (~reg & 8) << 4 | 0x40 | (~rm & 8) << 2 | map);
	em8(e, w << 7 | (~vvvv & 15) << 3 | pp);
	em8(e, opcode);
	em8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void em_shrx(struct emit *e, int w, int dst, int src, int count) { em_vex(e, 2, 3, w, 0xf7, dst, count, src); }
void em_sarx(struct emit *e, int w, int dst, int src, int count) { em_vex(e, 2, 2, w, 0xf7, dst, count, src); }
void em_shlx(struct emit *e, int w, int dst, int src, int count) { em_vex(e, 2, 1, w, 0xf7, dst, count, src); }
void em_pext(struct emit *e, int w, int dst, int src, int mask)  { em_vex(e, 2, 2, w, 0xf5, dst, src, mask); }
void em_pdep(struct emit *e, int w, int dst, int src, int mask)  { em_vex(e, 2, 3, w, 0xf5, dst, src, mask); }

void em_pext_mem(struct emit *e, int dst, int src, struct hmem mask)
{
	em8(e, 0xc4);
	em8(e, (~dst & 8) << 4 | 0x40 | (~mask.base & 8) << 2 | 2);
	em8(e, (~src & 15) << 3 | 2);
	em8(e, 0xf5);
	em_modrm_mem(e, dst, mask);
}

void em_rorx(struct emit *e, int w, int dst, int src, u8 n)
{
	em_vex(e, 3, 3, w, 0xf0, dst, 0, src);
	em8(e, n);
}

void em_push(struct emit *e, int r)
{
	em_rex(e, 0, 0, 0, r, false);
	em8(e, 0x50 | (r & 7));
}

void em_pop(struct emit *e, int r)
{
	em_rex(e, 0, 0, 0, r, false);
	em8(e, 0x58 | (r & 7));
}

static u8 *em_rel32(struct emit *e, const void *to)
{
	u8 *at = e->p;

	em32(e, 0);
	if (to && !e->full)
		em_patch(at, to);
	return at;
}

u8 *em_jmp(struct emit *e, const void *to)  { em8(e, 0xe9); return em_rel32(e, to); }
u8 *em_call(struct emit *e, const void *to) { em8(e, 0xe8); return em_rel32(e, to); }

u8 *em_jcc(struct emit *e, int cc, const void *to)
{
	em8(e, 0x0f);
	em8(e, 0x80 | cc);
	return em_rel32(e, to);
}

void em_jmp_mem(struct emit *e, struct hmem m)  { em_rm(e, 0, 0xff, 4, m); }
void em_call_mem(struct emit *e, struct hmem m) { em_rm(e, 0, 0xff, 2, m); }
void em_jmp_reg(struct emit *e, int r)          { em_rr(e, 0, 0xff, 4, r); }

static u8 *em_rel8(struct emit *e)
{
	em8(e, 0);
	return e->p - 1;
}

u8 *em_jcc8(struct emit *e, int cc) { em8(e, 0x70 | cc); return em_rel8(e); }
u8 *em_jmp8(struct emit *e)         { em8(e, 0xeb); return em_rel8(e); }
u8 *em_jrcxz(struct emit *e)        { em8(e, 0xe3); return em_rel8(e); }
u8 *em_jecxz(struct emit *e)        { em8(e, 0x67); em8(e, 0xe3); return em_rel8(e); }

void em_here8(struct emit *e, u8 *disp)
{
	s64 d = e->p - (disp + 1);

	if (e->full)
		return;
	bug_on(d < -128 || d > 127, "short jump of %lld bytes", (long long)d);
	*disp = d;
}
