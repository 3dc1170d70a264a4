/*
 * vectors.h - one single-step vector of a MOO file, and the rules by which an 8086 differs from its successors.
 *
 * An 8086 knows neither exceptions but divide and overflow nor a segment's end, and does something for every opcode. A rule
 * is asked only about a vector that came out otherwise than the chip: it looks at the instruction, its registers and the exception.
 */
#ifndef RF_TESTS_VECTORS_H
#define RF_TESTS_VECTORS_H
#include "monitor/lib/types.h"

enum { V_AX, V_BX, V_CX, V_DX, V_CS, V_SS, V_DS, V_ES, V_SP, V_BP, V_SI, V_DI, V_IP, V_FLAGS, V_COUNT };
enum { HLT = 0xf4, NOP = 0x90 };

struct state { u16 reg[V_COUNT]; u16 has; const u8 *ram; u32 bytes; };	/* ram: `bytes` times a 32-bit address and a byte */
struct moo_case {
	const char *name;
	const u8 *code;		/* with its prefixes */
	int name_len, code_len;
	struct state init, fina;
	bool excepted;		/* the file says that it ends in an exception (80286) */
	u32 end, next;		/* 8086: where it ends and a HLT is put; one more behind it, if it should not jump; else 0 */
};

enum rule {
	RULE_UNDEFINED, RULE_WRAP, RULE_PUSH_SP, RULE_COUNT, RULE_IDIV, RULE_AAM, RULE_BCD, RULE_SETMO, RULE_FPU, RULES, RULE_NONE = -1
};

u16 final_reg(const struct moo_case *v, int reg);
bool find_end_8086(struct moo_case *v);			/* false: a HLT would be in the way */
bool reused_8086(const struct moo_case *v);		/* another instruction since the 80186: not run */
/* Bits of the byte at `at` that are not compared: the HLTs, of pushed flags, and a divide's return address if it is ours, `b`. */
u8 open_8086(const struct moo_case *v, u32 at, u8 b, u32 undefined);
/* got: registers as they came out; vector: exception that ended the instruction, or -1. */
enum rule known_8086(const struct moo_case *v, const u16 got[V_COUNT], int vector);
const char *rule_name(enum rule rule);
#endif
