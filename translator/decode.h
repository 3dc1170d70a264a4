/*
 * decode.h - a guest instruction, decoded: what the rules need to know of it, free of the decoder library's types.
 */
#ifndef RF_DECODE_H
#define RF_DECODE_H
#include "cpustate.h"

struct tctx;
struct insn;

enum operand_kind { OPK_NONE, OPK_GPR, OPK_MEM, OPK_IMM, OPK_SEG, OPK_CR, OPK_DR, OPK_VEC /* MMX, XMM, YMM, ST */, OPK_FAR, OPK_OTHER };
enum operand_enc { ENC_IMPLICIT, ENC_REG, ENC_RM, ENC_OPCODE, ENC_VVVV, ENC_IMM };

struct operand {
	u8 kind, enc;
	u8 size;		/* bytes; 0 when larger than 255 or none */
	u8 reg;			/* register number 0 to 15 */
	bool high;		/* AH CH DH BH: reg is 0 to 3 */
	bool rd, wr;
};

struct insn {
	u64 eip;		/* of its first byte */
	u64 imm, imm2;		/* sign-extended as the instruction does; branch: relative distance */
	s64 disp;
	u16 mnemonic;		/* decoder library's number; compare with MN_* of rules.h through insn_is() only */
	u16 mem_size;		/* bytes; 0 if no memory operand */
	u8 len;
	u8 rule;		/* enum rule_id */
	u8 feature;		/* enum tr_feature */
	u8 opsize, adsize;	/* bytes: 2, 4 or 8 */
	/* encoding */
	u8 map;			/* 0 one byte, 1 0F, 2 0F38, 3 0F3A */
	bool vex, vex_l, vex_w;
	u8 vex_pp;
	u8 vvvv;
	u8 opcode, modrm;
	bool has_modrm, has_mem;
	bool p66, p67, pf2, pf3, plock, seg_override;
	u8 rex_w;
	bool mand_66, no_66;	/* 66 is part of the opcode; the operand size is not chosen by 66 */
	bool force_rex;		/* 64-bit guests: SPL BPL SIL DIL need a REX prefix */
	u8 mand_rep;		/* F2 or F3 when part of the opcode */
	u8 tail_off;		/* where the immediates begin inside `bytes` */
	u8 bytes[15];
	/* memory operand */
	s8 base, index;		/* guest register numbers, -1 none */
	u8 scale, seg;
	u8 src_seg;		/* string instructions: segment of the source */
	bool rip_rel, mem_rd, mem_wr, mem_agen, mem_vsib;
	u8 nops;
	struct operand op[6];	/* explicit ones first */
	u16 far_sel;
};

enum decode_status { DECODE_OK, DECODE_UD, DECODE_TOO_LONG, DECODE_MORE };
/* Decodes the instruction at bytes[0..avail). `mk` chooses the mode. DECODE_MORE: it goes on behind avail. */
struct decoder;
struct decoder *decoder_init(void);	/* NULL: out of memory */
void decoder_fini(struct decoder *d);
enum decode_status insn_decode(const struct decoder *d, struct insn *i, const u8 *bytes, unsigned avail, u64 eip, u32 mk);
const char *insn_name(const struct insn *i);

/* Rules: a row of rules.def each. */
enum rule_id {
#define RULE(name, fn, flow, what, ...) RULE_##name,
#include "rules.def"
#undef RULE
	RULE_MAX
};
enum rule_flow { FLOW_NEXT, FLOW_END };
typedef void rule_fn(struct tctx *t, const struct insn *i);
struct rule { rule_fn *fn; enum rule_flow flow; const char *name; };
extern const struct rule rules[RULE_MAX];
#endif
