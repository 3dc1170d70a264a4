/*
 * case.h - the second oracle: guest code of any mode and ring, run by the virtual CPU and by Unicorn, from one state and one
 * memory image; what they leave is compared.
 *
 * The machine is 2 MiB of RAM and nothing else. An exception ends a case before it is delivered (Unicorn delivers none), as do an
 * INT and a HLT; everything but tables, case and data is filled with HLT, so wild jumps end.
 *
 *     0x0000  interrupt vectors    0x1000  GDT     0x2000  IDT     0x2800  LDT    0x3000  TSSs    0x4000  handlers: HLT each
 *     0x5000  start-up code        0x10000 CS      0x20000 DS      0x30000 ES     0x40000 FS      0x50000 GS       0x60000 SS
 */
#ifndef RF_TESTS_UNICORN_CASE_H
#define RF_TESTS_UNICORN_CASE_H
#include <Zydis/Zydis.h>
#include "monitor/lib/types.h"
#include "tests/fuzz/insn/prng.h"

#define RAM_BYTES (2u << 20)
enum { AT_GDT = 0x1000, AT_IDT = 0x2000, AT_LDT = 0x2800, AT_TSS = 0x3000, AT_HANDLERS = 0x4000, AT_START = 0x5000,
	AT_CODE = 0x10000, AT_DATA = 0x20000, AT_STACK = 0x60000, CODE_START = 0x100, STACK_TOP = 0x8000 };

/* Selectors. GDT entries from ODD on: every type, at DPL 0 and 3, present and not. */
enum { SEL_FLAT_CODE = 0x08, SEL_FLAT_DATA = 0x10, SEL_CODE16 = 0x18, SEL_CODE32 = 0x20, SEL_DS = 0x28, SEL_ES = 0x30, SEL_FS = 0x38,
	SEL_GS = 0x40, SEL_STACK16 = 0x48, SEL_STACK32 = 0x50, SEL_CODE16_R3 = 0x58, SEL_CODE32_R3 = 0x60, SEL_DS_R3 = 0x68, SEL_STACK16_R3 = 0x70,
	SEL_STACK32_R3 = 0x78, SEL_TSS = 0x80, SEL_LDT = 0x88, SEL_ODD = 0xa0, ODD_COUNT = 128, GDT_BYTES = SEL_ODD + 8 * ODD_COUNT };

enum case_mode { IN_REAL, IN_BIG_REAL, IN_PM16, IN_PM32, IN_PM16_R3, IN_PM32_R3, IN_V86, MODES };

/* How a case ended. */
enum ending { END_HLT, END_EXCEPTION, END_INT, END_SKIP /* Unicorn: left RAM, or too long */ };

struct seg_state { u64 base; u32 limit; u16 sel, attr; };
struct cpu_image {
	u32 gpr[8], eip, eflags, cr0, cr2, cr3, cr4;
	struct seg_state seg[6], ldt, tr;
	struct { u32 base, limit; } gdt, idt;
	enum ending end;
	int vector;
	u32 error;
};

struct uc_case {
	u64 number;
	enum case_mode mode;
	u32 gpr[8], eflags;
	u32 at, len;			/* offset in CS */
	u8 code[64];
	u32 undefined;			/* flags that the SDM leaves undefined */
};

/* image.c */
void image_fill(u8 *ram);
/* Puts start-up code at AT_START (and AT_CODE) that goes from flat 32-bit protected mode to the first HLT of `mode`. */
void image_start(enum case_mode mode, u8 *ram);
bool mode_is32(enum case_mode mode);
int  mode_cpl(enum case_mode mode);

/* gen.c */
struct uc_gen { ZydisDecoder decoder[2]; u64 seed; };
void gen_start(struct uc_gen *g, u64 seed);
void gen_unicorn_case(const struct uc_gen *g, u64 number, struct uc_case *c);

/* oracle.c: NULL with a sentence in *err when Unicorn is not what this was written against. */
struct oracle;
struct oracle *oracle_init(const char **err);
u8  *oracle_ram(struct oracle *o);
void oracle_run(struct oracle *o, const struct uc_case *c, struct cpu_image *out);
void oracle_restore(struct oracle *o, const u8 *golden);	/* RAM as it was */
void oracle_fini(struct oracle *o);

/* ours.c */
struct ours;
struct ours *ours_init(const char **err);
u8  *ours_ram(struct ours *v);
void ours_run(struct ours *v, const struct uc_case *c, struct cpu_image *out);
void ours_restore(struct ours *v, const u8 *golden);
void ours_fini(struct ours *v);

/* The instruction at which the two part: state before it (as the virtual CPU has it) and behind. */
struct parting {
	const struct uc_case *c;	/* ends behind it */
	u32 eip;
	const ZydisDecodedInstruction *insn;
	const ZydisDecodedOperand *op;
	const struct cpu_image *before, *ours, *theirs;
};

/* known.c: why Unicorn may be wrong there; NULL if it may not. */
const char *unicorn_is_wrong(const struct parting *p);
#endif
