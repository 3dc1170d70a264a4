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

/* --- elements under a mask: vector.c does what is not one present page --- */

enum { SEG_LINEAR = 7 };	/* in the callouts' arguments: o0 is a linear address */

static u32 vec_reg(const struct tctx *t, u32 reg) { return t->mk & MK_LONG ? reg : reg & 7; }

/* VSIB gathers. r8 = base + displacement; the callout adds the indexes. Addresses of 16 bits have no VSIB. */
static void gather(struct tctx *t, const struct insn *i)
{
	static const u8 log2[] = { [1] = 0, [2] = 1, [4] = 2, [8] = 3 };
	bool long_index = i->opcode & 1;	/* 90, 92: DD, DQ, DPS, DPD; 91, 93: QD, QQ, QPS, QPD */
	u32 arg = vec_reg(t, i->modrm >> 3 & 7) | vec_reg(t, i->vvvv) << 4 | vec_reg(t, i->index) << 8 | log2[i->scale] << 12 | i->seg << 16;

	if (t->mk & MK_LONG || i->adsize != 4) {
		raise_fault(t, 6, TR_NO_ERR);
		return;
	}
	if (i->base >= 0)
		em_lea(&t->e, 0, R8, HM(gpr_host(t, i->base), (s32)i->disp));
	else
		em_mov_ri(&t->e, R8, (u32)i->disp);
	store_op(t, 0, R8);
	callout(t, CO_GATHER, arg | long_index << 20 | i->vex_w << 21 | i->vex_l << 22);
}

/* The callout's argument for a masked move, without the segment; 0: it is none. */
static u32 masked_arg(const struct tctx *t, const struct insn *i)
{
	u32 reg = vec_reg(t, i->modrm >> 3 & 7), bytes = i->vex_l ? 32 : 16, esize;
	bool store = i->opcode == 0x2e || i->opcode == 0x2f || i->opcode == 0x8e;

	if (insn_is(i, MN_MASKMOVQ) || insn_is(i, MN_MASKMOVDQU) || insn_is(i, MN_VMASKMOVDQU))
		return reg | vec_reg(t, i->modrm & 7) << 4 | 1 << 8 | (insn_is(i, MN_MASKMOVQ) ? 8 : 16) << 12 | 1 << 24 |
		       (u32)insn_is(i, MN_MASKMOVQ) << 25;
	if (!i->vex || i->map != 2)
		return 0;
	switch (i->opcode) {
	case 0x2c: case 0x2e: esize = 4; break;		/* VMASKMOVPS */
	case 0x2d: case 0x2f: esize = 8; break;		/* VMASKMOVPD */
	case 0x8c: case 0x8e: esize = i->vex_w ? 8 : 4; break;	/* VPMASKMOVD, VPMASKMOVQ */
	default: return 0;
	}
	return reg | vec_reg(t, i->vvvv) << 4 | esize << 8 | bytes << 12 | (u32)store << 24;
}

static bool is_maskmov(const struct insn *i) { return !i->has_modrm || i->modrm >> 6 == 3; }

/* The copied instruction. Of MASKMOVQ and MASKMOVDQU the destination is DS:EDI, hidden in the opcode. */
static void masked_body(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	int edi = gpr_host(t, R_EDI);

	if (!is_maskmov(i)) {
		ident_emit(t, i, true, MEM_OP, -1);
		return;
	}
	em_mov_rr(e, 1, R10, edi);
	em_lea(e, 1, RDI, MEM_OP);
	ident_emit(t, i, false, MEM_OP, -1);
	em_mov_rr(e, 1, edi, R10);
}

static bool segment_may_refuse(const struct tctx *t, const struct insn *i, bool write)
{
	return mk_seg(t->mk, i->seg) == SEG_CHECKED || (i->seg == S_CS && write && !(t->mk & MK_LONG));
}

/*
 * Masked moves: when all of the operand is in one present page the instruction itself, which faults on no element then; else a callout.
 * MASKMOVQ may raise #MF, so a harmless MMX instruction before it does that, and brings the x87 state to what MMX makes of it (TOP 0).
 */
static void masked_move(struct tctx *t, const struct insn *i, u32 arg)
{
	struct emit *e = &t->e;
	u32 size = arg >> 12 & 63, access = arg & 1 << 24 ? MEM_READ | MEM_WRITE : MEM_READ;
	int h;

	if (insn_is(i, MN_MASKMOVQ))
		em_rr(e, 0, 0x0f7e, 0, R9);		/* movd r9d, mm0 */
	if (!is_maskmov(i))
		mem_offset(t, i);
	else if (i->adsize == 2)
		em_movzx16(e, R8, gpr_host(t, R_EDI));
	else
		em_mov_rr(e, i->adsize == 8, R8, gpr_host(t, R_EDI));
	if (!is_maskmov(i) && segment_may_refuse(t, i, arg & 1 << 24)) {	/* which is each element's matter, too */
		store_op(t, 0, R8);
		callout(t, CO_MASKED_MOVE, arg | i->seg << 20);
		return;
	}
	mem_segment(t, i->seg, size, access);
	h = mem_begin(t, size, access);
	masked_body(t, i);
	if (t->mk & MK_LONG)	/* the callout knows 32-bit addresses only */
		mem_end(t, h);
	else
		mem_end_callout(t, h, CO_MASKED_MOVE, arg | SEG_LINEAR << 20);
}

/* --- images of the x87 state --- */

/*
 * Translated x87 code runs at host addresses: images show zeroes as the last instruction's and operand's. And outside 64-bit mode an
 * image's place for XMM8 to XMM15 is left alone (SDM vol. 2, FXSAVE): the registers, which the guest does not have, take it over first.
 */
static void image_keep_high(struct tctx *t, struct hmem image)
{
	image.disp += 160 + 16 * 8;
	for (int k = 8; k < 16; k++, image.disp += 16)
		em_rm(&t->e, 0, 0x0f10, k, image);	/* movups */
}

static void image_zero(struct tctx *t, struct hmem image, s32 from, s32 bytes)
{
	image.disp += from;
	for (int n; bytes; image.disp += n, bytes -= n) {
		n = bytes >= 8 ? 8 : bytes >= 4 ? 4 : 2;
		if (n == 2)
			em_store_i16(&t->e, image, 0);
		else
			em_store_i32(&t->e, n == 8, image, 0);
	}
}

enum { FXSAVE_POINTERS = 6, FXSAVE_POINTER_BYTES = 18 };	/* FOP FIP FCS FDP FDS */

static bool stores_image(const struct insn *i) { return insn_is(i, MN_FXSAVE) || insn_is(i, MN_FNSTENV) || insn_is(i, MN_FNSAVE); }

static void store_image(struct tctx *t, const struct insn *i)
{
	bool fxsave = insn_is(i, MN_FXSAVE);
	int h = mem_operand(t, i, i->mem_size, fxsave ? MEM_READ | MEM_WRITE : MEM_WRITE);

	mem_long_body(t, h);
	if (fxsave && !(t->mk & MK_LONG))
		image_keep_high(t, MEM_OP);
	ident_emit(t, i, true, MEM_OP, -1);
	if (fxsave)
		image_zero(t, MEM_OP, FXSAVE_POINTERS, FXSAVE_POINTER_BYTES);
	else if (i->opsize == 2)
		image_zero(t, MEM_OP, 6, 8);		/* FIP FCS and FOP FDP FDS */
	else
		image_zero(t, MEM_OP, 12, 14);
	mem_end(t, h);
}

void rule_vector(struct tctx *t, const struct insn *i)
{
	u32 masked = masked_arg(t, i);

	if (trapped(t, i))
		return;
	if (i->mem_vsib) {
		gather(t, i);
		return;
	}
	fpu_check(t);
	if (masked)
		masked_move(t, i, masked);
	else if (stores_image(i))
		store_image(t, i);
	else
		rule_ident(t, i);
}

void rule_fwait(struct tctx *t, const struct insn *i)
{
	if (t->mk & MK_NO_FPU) {
		callout(t, CO_FPU_TRAP, 1);
		return;
	}
	fpu_check(t);
	em8(&t->e, 0x9b);
}

void rule_fpu_nop(struct tctx *t, const struct insn *i)
{
	if (t->mk & MK_NO_FPU)
		callout(t, CO_FPU_TRAP, 0);
}

/* Raises the fault unless rcx is 0. */
static void raise_unless_zero(struct tctx *t, int vector, int error)
{
	bool checked = t->fpu_checked;
	u8 *ok;

	cold_room(t, 100);
	ok = em_jrcxz(&t->e);
	raise_fault(t, vector, error);
	em_here8(&t->e, ok);
	t->ended = false;
	t->fpu_checked = checked;
}

/* Without AVX in the mode key XSAVE may still be enabled: CR4.OSXSAVE says so. */
static void check_osxsave(struct tctx *t)
{
	struct emit *e = &t->e;

	if (!(t->mk & MK_NO_AVX))
		return;
	em_load(e, 1, RCX, ST_OFF(CS_OFF(cr4)));
	em_mov_ri(e, R9, 1 << 18);
	em_pext(e, 1, RCX, RCX, R9);
	em_lea(e, 1, RCX, HM(RCX, -1));
	raise_unless_zero(t, 6, TR_NO_ERR);
}

/* XSTATE_BV of the image at r8 may have no bit that is not in the guest's XCR0 (SDM vol. 1, 13.8): the host's has more. */
static void check_xstate_bv(struct tctx *t)
{
	struct emit *e = &t->e;

	em_load(e, 1, R9, ST_OFF(CS_OFF(xcr0)));
	em_not(e, 1, R9);
	em_load(e, 1, RCX, HM(R8, 512));
	em_pext(e, 1, RCX, RCX, R9);
	raise_unless_zero(t, 13, 0);
}

/* The image's x87 part, when it was written: bit 0 of eax. */
static void xsave_zero_pointers(struct tctx *t)
{
	struct emit *e = &t->e;
	u8 *none;

	em_mov_ri(e, RCX, 1);
	em_pext(e, 0, RCX, RAX, RCX);
	none = em_jecxz(e);
	image_zero(t, HM(R8, 0), FXSAVE_POINTERS, FXSAVE_POINTER_BYTES);
	em_here8(e, none);
}

/*
 * xsave, xrstor and relatives: EDX:EAX is cut down to what the guest's XCR0 enables, since the host's enables more.
 *     r8 = address; r9 = rax; r10 = rdx; eax = pext/pdep by xcr0; edx = 0; instruction; eax, edx back
 * When the instruction faults EAX and EDX are still in r9 and r10: recover.c knows.
 */
void rule_xsave(struct tctx *t, const struct insn *i)
{
	struct emit *e = &t->e;
	u32 size = t->mk & MK_NO_AVX ? 576 : 832;	/* legacy area, header, AVX: all that XCR0 can have */
	bool load = insn_is(i, MN_XRSTOR);
	int h;

	check_osxsave(t);
	if (t->mk & MK_NO_FPU) {
		callout(t, CO_FPU_TRAP, 0);
		return;
	}
	fpu_check(t);
	h = mem_operand(t, i, size, load ? MEM_READ : MEM_READ | MEM_WRITE);
	mem_long_body(t, h);
	em_lea(e, 1, R8, MEM_OP);
	if (load)
		check_xstate_bv(t);
	else
		image_keep_high(t, HM(R8, 0));
	em_mov_rr(e, 1, R9, RAX);
	em_mov_rr(e, 1, R10, RDX);
	em_load(e, 0, RCX, ST_OFF(CS_OFF(xcr0)));
	em_pext(e, 0, RAX, RAX, RCX);
	em_pdep(e, 0, RAX, RAX, RCX);
	em_mov_ri(e, RDX, 0);
	ident_emit(t, i, true, HM(R8, 0), -1);
	if (!load)
		xsave_zero_pointers(t);
	em_mov_rr(e, 1, RAX, R9);
	em_mov_rr(e, 1, RDX, R10);
	mem_end(t, h);
}
