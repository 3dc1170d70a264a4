/*
 * insn.h - the processor as the oracle: one case is a short sequence of ring-3 guest code with a start state, run once
 * natively (native.c, the host's compatibility mode) and once translated (translated.c); compare.c says what differs.
 *
 * Guest linear memory of a case, the same in both worlds (16-bit segments have these addresses as their bases):
 *
 *     GUEST_CODE   CODE_PAGES pages, readable, writable and executable; then nothing
 *     GUEST_DATA   DATA_RW_PAGES writable pages, one read-only page; then nothing up to 64 KiB
 *     GUEST_STACK  STACK_PAGES writable pages; nothing before and behind; one page at COUNTER
 *
 * Every sequence ends with a far jump to END_SELECTOR: natively that is the way back to 64-bit code, translated it is the
 * FAR_JMP callout, so both run the same bytes at the same addresses.
 */
#ifndef RF_TESTS_INSN_H
#define RF_TESTS_INSN_H
#include <stdio.h>
#include "monitor/lib/types.h"

#define GUEST_CODE     0x10000000u
#define CODE_PAGES     2u
#define CODE_FILL      0xcc		/* INT3 where no code is: wild jumps end at once */
#define GUEST_DATA     0x20000000u
#define DATA_RW_PAGES  4u
#define DATA_PAGES     5u
#define GUEST_STACK    0x30000000u
#define STACK_PAGES    2u
#define GS_BASE        (GUEST_DATA + 0x800u)	/* a small segment with a limit, in both code sizes */
#define GS_LIMIT       0x27ffu
#define COUNTER        (GUEST_STACK + 0x8000u)	/* a page of its own: loop counters of the generator */

#define END_SELECTOR   0x33		/* the host's 64-bit code segment */
#define NATIVE_AREA    0x6b8d4000	/* two pages that native.c needs at absolute addresses; the second is where the final jump goes */
#define END_TARGET     (NATIVE_AREA + 0x1000)
#define FLAT_CODE      0x23
#define FLAT_DATA      0x2b
#define LDT_SELECTOR(n) ((n) << 3 | 7)
enum { LDT_CODE16, LDT_DATA16, LDT_STACK16, LDT_GS, LDT_COUNT };

#define FPU_BYTES      832		/* XSAVE standard form: legacy area, header, upper halves of YMM */
#define MAX_CODE       256

enum { OUT_TIMEOUT = 0x100, OUT_WEIRD = 0x101 };	/* outcome.vector beside the real ones; -1: reached the end */

/* The FPU image as XSAVE writes it. */
struct fpu_image {
	u16 fcw, fsw; u8 ftw, r0; u16 fop; u64 fip, fdp; u32 mxcsr, mxcsr_mask;
	struct { u8 b[16]; } st[8];
	u64 xmm[16][2];
	u8 r1[96];
	u64 xstate_bv, xcomp_bv, r2[6];
	u64 ymmh[16][2];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct fpu_image) == FPU_BYTES, "XSAVE layout");

struct regs {
	u32 gpr[8], eip, eflags;
};

/* One generated instruction: where it is in the code, for dumps and for shrinking. */
struct unit {
	u16 at, len;		/* bytes of code[] */
	u32 fpu_env;		/* linear address of an FPU image that it stores; env_bytes from env_skip on name instructions and data */
	u16 env_skip, env_bytes;
};
#define MAX_UNITS 16

struct insn_case {
	u64 number;
	bool code16;
	u32 at;				/* offset of code[] in the code pages */
	u32 len;			/* without the final far jump */
	u8 code[MAX_CODE];
	struct unit unit[MAX_UNITS];
	int units;
	u32 undefined;			/* flags that are undefined at the end */
	struct regs in;
	struct fpu_image fpu;
	int memory;			/* which of the memory images */
};

struct outcome {
	struct regs r;
	struct fpu_image fpu;
	int vector;			/* -1: ran to the end */
	u32 error, address;		/* address for #PF only */
	u8 at_eip[15];			/* the bytes there: code may have changed itself */
	u8 data[DATA_PAGES * 4096], stack[STACK_PAGES * 4096];
};

/* Most bytes that case_end() writes. */
#define END_LEN 8
void case_end(const struct insn_case *c, u8 *out);
/* Fills out->at_eip from the code pages. */
void outcome_code(const struct insn_case *c, struct outcome *out, const u8 *code_pages);
/* The memory image that a case starts with. */
#define MEMORY_IMAGES 8
void memory_image(int n, u8 *data, u8 *stack);

/* native.c. False with a sentence in *err: the host cannot run 32-bit code (have_16: nor 16-bit code). One user in a process. */
bool native_init(bool *have_16, const char **err);
void native_run(const struct insn_case *c, struct outcome *out);
void native_fini(void);

/* translated.c */
struct translated;
struct translated *translated_init(const char **err);
void translated_run(struct translated *t, const struct insn_case *c, struct outcome *out);
void translated_dump(struct translated *t, FILE *f);
void translated_fini(struct translated *t);
/* The signal handler of native.c hands on what is not native code's: true when it is dealt with. */
bool translated_signal(int sig, void *info, void *ucontext);

/* gen.c: everything about a case follows from (seed, number). The constructor finds the legal forms with Zydis. */
struct generator;
struct generator *gen_init(u64 seed, bool have_16);
void gen_case(struct generator *g, u64 number, struct insn_case *c);
/* Takes instruction `unit` out of a case, for shrinking. False if that cannot be done. */
bool gen_remove(const struct insn_case *c, int unit, struct insn_case *smaller);
void gen_fini(struct generator *g);
u32  gen_form_count(const struct generator *g);

/* compare.c */
bool outcome_same(const struct insn_case *c, const struct outcome *native, const struct outcome *translated);
void case_print(FILE *f, const struct insn_case *c);
void outcome_print(FILE *f, const struct insn_case *c, const struct outcome *native, const struct outcome *translated);

/* run.c: runs cases first .. first+count-1, at most `seconds` (0: no limit), prints the first `max_reports` differences; returns
 * how many. */
struct run_options {
	u64 seed, first, count;
	unsigned seconds, max_reports, progress;
	bool verbose;
};
u64 run_cases(const struct run_options *opt, u64 *ran, const char **err);
#endif
