/*
 * emit.h - the emitter: one short function per operand form, writing 64-bit host code.
 *
 * `w` chooses the operand size: 0 for 32 bits, 1 for 64. Opcodes are written as in the manual: 0x8b, 0x0fb6. A buffer that
 * overflows sets `full` and stays valid; the block builder then starts again with more room.
 */
#ifndef RF_EMIT_H
#define RF_EMIT_H
#include <string.h>
#include "regs.h"

struct emit {
	u8 *p, *end;	/* next byte, end of the buffer */
	bool full;
};

/* A memory operand of the host: [base + index * scale + disp]; index -1 for none. */
struct hmem { s8 base, index; u8 scale; s32 disp; };
#define HM(base_, disp_)                   ((struct hmem){ (base_), -1, 1, (disp_) })
#define HMX(base_, index_, scale_, disp_)  ((struct hmem){ (base_), (index_), (scale_), (disp_) })
#define ST(field)     HM(HOST_STATE, CS_OFF(field) - STATE_BIAS)
#define ST_OFF(off)   HM(HOST_STATE, (int)(off) - STATE_BIAS)

static inline void em8(struct emit *e, u8 b)
{
	if (likely(e->p < e->end))
		*e->p++ = b;
	else
		e->full = true;
}
static inline void em16(struct emit *e, u16 v) { em8(e, v); em8(e, v >> 8); }
static inline void em32(struct emit *e, u32 v) { em16(e, v); em16(e, v >> 16); }
static inline void em64(struct emit *e, u64 v) { em32(e, v); em32(e, v >> 32); }

void em_opcode(struct emit *e, u32 opcode);			/* 1 to 3 bytes, high byte first */
void em_modrm_mem(struct emit *e, int reg, struct hmem m);	/* ModRM, SIB, displacement */
void em_rr(struct emit *e, int w, u32 opcode, int reg, int rm);	/* op reg, rm (registers) */
void em_rm(struct emit *e, int w, u32 opcode, int reg, struct hmem m);
void em_rr8(struct emit *e, u32 opcode, int reg, int rm);	/* rm is a byte register (MOVZX, SETcc, byte MOV) */

static inline void em_mov_rr(struct emit *e, int w, int dst, int src) { em_rr(e, w, 0x8b, dst, src); }
static inline void em_load(struct emit *e, int w, int dst, struct hmem m)  { em_rm(e, w, 0x8b, dst, m); }
static inline void em_store(struct emit *e, int w, struct hmem m, int src) { em_rm(e, w, 0x89, src, m); }
static inline void em_lea(struct emit *e, int w, int dst, struct hmem m)   { em_rm(e, w, 0x8d, dst, m); }
void em_lea_index(struct emit *e, int dst, int index, u8 scale, s32 disp);	/* lea dst32, [index * scale + disp] */
void em_mov_ri(struct emit *e, int dst, u64 imm);			/* shortest form; full 64 bits; no flags */
void em_store_i32(struct emit *e, int w, struct hmem m, u32 imm);	/* mov dword/qword [m], imm (sign-extended) */
void em_store_i16(struct emit *e, struct hmem m, u16 imm);
void em_store_i8(struct emit *e, struct hmem m, u8 imm);
void em_store16(struct emit *e, struct hmem m, int src);
void em_store8(struct emit *e, struct hmem m, int src);
void em_movzx8(struct emit *e, int dst, int src);
void em_movzx16(struct emit *e, int dst, int src);
void em_movsx16(struct emit *e, int dst, int src);
/* op rm, imm32/imm8 with the ALU group number (0 ADD 1 OR 2 ADC 3 SBB 4 AND 5 SUB 6 XOR 7 CMP). Changes flags. */
void em_alu_ri(struct emit *e, int w, int op, int dst, s32 imm);
void em_alu_mi8(struct emit *e, int op, struct hmem m, u8 imm);	/* byte operand */
void em_shift_ri(struct emit *e, int w, int ext, int dst, u8 n);	/* ext 4 SHL 5 SHR 7 SAR */
/* BMI2; no flags */
void em_shrx(struct emit *e, int w, int dst, int src, int count);
void em_sarx(struct emit *e, int w, int dst, int src, int count);
void em_shlx(struct emit *e, int w, int dst, int src, int count);
void em_rorx(struct emit *e, int w, int dst, int src, u8 n);
void em_pext(struct emit *e, int w, int dst, int src, int mask);
void em_pext_mem(struct emit *e, int dst, int src, struct hmem mask);	/* 32 bits */
void em_pdep(struct emit *e, int w, int dst, int src, int mask);
static inline void em_not(struct emit *e, int w, int dst) { em_rr(e, w, 0xf7, 2, dst); }

void em_push(struct emit *e, int r);
void em_pop(struct emit *e, int r);
static inline void em_pushfq(struct emit *e) { em8(e, 0x9c); }
static inline void em_popfq(struct emit *e)  { em8(e, 0x9d); }
static inline void em_ret(struct emit *e)    { em8(e, 0xc3); }
static inline void em_lahf(struct emit *e)   { em8(e, 0x9f); }
static inline void em_sahf(struct emit *e)   { em8(e, 0x9e); }

/* Jumps. The rel32 ones return the address of the displacement, for em_patch(). */
u8 *em_jmp(struct emit *e, const void *to);	/* to may be NULL: patched later */
u8 *em_jcc(struct emit *e, int cc, const void *to);
u8 *em_call(struct emit *e, const void *to);
void em_jmp_mem(struct emit *e, struct hmem m);
void em_call_mem(struct emit *e, struct hmem m);
void em_jmp_reg(struct emit *e, int r);
u8 *em_jcc8(struct emit *e, int cc);		/* short forms: return the displacement byte, for em_here8() */
u8 *em_jmp8(struct emit *e);
u8 *em_jrcxz(struct emit *e);
u8 *em_jecxz(struct emit *e);
void em_here8(struct emit *e, u8 *disp);	/* that jump lands here */
static inline void em_patch(u8 *disp, const u8 *to) { s32 d = (s32)(to - (disp + 4)); memcpy(disp, &d, 4); }

enum cc { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };
#endif
