/*
 * forms.h - the instruction forms that cases are made of.
 *
 * A form is an opcode with everything that selects another instruction: mandatory prefix, opcode map, ModRM's reg where it
 * extends the opcode, register or memory operand, VEX fields. The list is not written by hand: all combinations are put to Zydis, and
 * what it decodes and a ring-3 program may execute with the same outcome anywhere stays.
 */
#ifndef RF_TESTS_FORMS_H
#define RF_TESTS_FORMS_H
#include <Zydis/Zydis.h>
#include "monitor/lib/types.h"

enum form_map { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_VEX1, MAP_VEX2, MAP_VEX3 };
enum form_prefix { PFX_NONE, PFX_66, PFX_F3, PFX_F2, PFX_66F3, PFX_66F2, PFX_COUNT };	/* for VEX maps: pp */
#define ANY_REG 8

struct form {
	u8 map, opcode, prefix;
	u8 reg;		/* ModRM.reg, or ANY_REG */
	u8 rm;		/* ModRM.rm where mod is 3 and it selects the instruction, or ANY_REG */
	bool modrm, memory, vex_w, vex_l;
	bool vsib;	/* a gather: ModRM.rm is 4, and the SIB byte's index a vector register */
};

struct forms {
	ZydisDecoder decoder;
	struct form *form;
	u32 count;
};

/* Forms for 16- or 32-bit code on this host. */
void forms_init(struct forms *f, bool code16);
void forms_fini(struct forms *f);
/* Opcode bytes and VEX (vvvv: register number) up to, not with, ModRM. */
int  form_opcode(const struct form *f, u8 *out, int vvvv);
/* May this instruction be part of a case? */
bool form_allowed(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op);
/* Stores FIP and FDP, which name host addresses when translated: *skip and *bytes say where in the operand. */
bool form_stores_fpu_env(const ZydisDecodedInstruction *insn, u16 *skip, u16 *bytes);
#endif
