/*
 * rules.h - what the rules (rule_*.c) share: the translation context, guest registers, memory operands, exits.
 *
 * A rule translates one instruction. It must leave guest state untouched until nothing in it can fault any more, and must
 * not disturb the flags except as the instruction does: everything here leaves them alone unless it says so.
 */
#ifndef RF_RULES_H
#define RF_RULES_H
#include "tr.h"

enum mnemonic {
#define MNEMONIC(x) MN_##x,
#include "mnemonics.def"
#undef MNEMONIC
};
bool insn_is(const struct insn *i, enum mnemonic m);

#define MAX_COLD 512
#define MAX_FIX  64
#define EARLY_SLOTS 5
#define JMP_BYTES   5
enum cold_kind { COLD_MEM, COLD_SEG, COLD_FPU, COLD_EXIT, COLD_GROUP, COLD_CALLOUT };
struct cold {
	u8 kind;
	u16 insn;		/* index, for the instruction map */
	u32 info;
	u64 rip;
	u8 *back;		/* where it goes on */
	u8 *op, *op_end;	/* a write's instruction(s), repeated on the bounce buffer; NULL for reads */
	u8 *jumps[3]; u8 njumps;	/* rel32 jumps into this stub */
	u8 *target;		/* COLD_EXIT: the exit stub; COLD_CALLOUT: behind the instruction */
	u32 arg; u16 callout;	/* COLD_CALLOUT */
	bool fpu;		/* the FPU state is in the host's registers */
};
struct fix { u8 *disp; u16 cold; };

/* Accesses that share a look-up (group.c): bytes [lo, hi) from the base register's value at the group's start; r12 points at lo. */
struct group { bool active, write; int base, last; s64 lo, hi, bias; };

struct tctx {
	struct translator *tr;
	struct emit e;
	struct blk *b;
	const struct regmap *rm;
	const u8 *code;			/* the block's bytes in guest memory */
	u32 mk;
	int cur, n;			/* index of the current instruction, number */
	const struct insn *insns;
	u64 next;			/* EIP behind the current instruction */
	bool fpu_checked;		/* the FPU state is surely in the host's registers here */
	bool ended;			/* control does not reach the end of what was emitted */
	struct hmem mem_op;		/* the memory operand that was looked up last */
	struct group group;
	bool failed;			/* too many cold stubs: translate fewer instructions */
	struct cold cold[MAX_COLD]; int ncold;
	struct fix fix[MAX_FIX]; int nfix;
	int early[EARLY_SLOTS], nearly;	/* cold stubs that have a slot before the body */
	struct insn_map map[1024]; int nmap;
};

/* Host register of one of the first eight guest registers. */
static inline int gpr_host(const struct tctx *t, int guest) { return t->rm->home[guest]; }
static inline bool is_long(const struct tctx *t) { return t->mk & MK_LONG; }

/* --- ident.c --- */
/* A self-checking block's instruction reads its 32-bit immediate from its own bytes when it runs: their address; NULL: it does not. */
const u8 *live_immediate(const struct tctx *t, const struct insn *i);

/* --- borrow.c: guest registers homed in memory --- */
enum { MAX_LOANS = 3 };
struct loans { int n; struct loan { u8 guest, host; bool wr; } loan[MAX_LOANS]; };
int  loan_add(const struct tctx *t, struct loans *l, int guest, bool wr);	/* the guest register's home or a scratch register to be */
void loans_load(struct tctx *t, const struct loans *l);		/* before the instruction */
void loans_store(struct tctx *t, const struct loans *l);		/* behind it: those that it writes */
int  gpr_fetch(struct tctx *t, int guest, int scratch);
void gpr_put(struct tctx *t, int guest, int src, int size);		/* its low 2, 4 (zero-extended) or 8 bytes */
/* A guest register to read: its home, or `scratch`, loaded. */
static inline int gpr_borrow(struct tctx *t, int guest, int scratch)
{
	int home = t->rm->home[guest];

	return home == HOME_MEM ? gpr_fetch(t, guest, scratch) : home;
}
bool rule_has_long(const struct insn *i);	/* does the instruction's rule know 64-bit code? */

/* --- memop.c --- */
/* About to emit up to `bytes` of code without another call: keeps short jumps in reach. */
void cold_room(struct tctx *t, int bytes);
/* Effective address of the memory operand into r8 (offset, wrapped to the address size), without the segment. */
void mem_offset(struct tctx *t, const struct insn *i);
/* Adds `seg`'s base and checks its limit for `size` bytes at offset r8: r8 becomes the linear address. access: MEM_READ, MEM_WRITE. */
void mem_segment(struct tctx *t, int seg, u32 size, u32 access);
/* Virtual TLB look-up of linear address r8: until mem_end() the operand is MEM_OP, [r8 + rcx]. Clobbers r9. For a write the code between
 * mem_begin() and mem_end() must be the access alone: it may be repeated on the bounce buffer. */
void mem_index(struct emit *e, u32 size);
int  mem_begin(struct tctx *t, u32 size, u32 access);
void mem_end(struct tctx *t, int handle);
#define MEM_OP (t->mem_op)
#define NO_LOOKUP (-1)			/* handle of an operand that a group serves */
/* Behind mem_begin() when what follows up to mem_end() takes more than 60 bytes. */
void mem_long_body(struct tctx *t, int handle);
/* Instead of mem_end(): what mem_begin() could not look up is done by a callout, which finds the linear address in o0. */
void mem_end_callout(struct tctx *t, int handle, enum callout_id id, u32 arg);
/* All three for the instruction's memory operand. */
int  mem_operand(struct tctx *t, const struct insn *i, u32 size, u32 access);
void operand_load(struct tctx *t, int dst, const struct insn *i, u32 size);	/* the operand, zero-extended */
/* Plain moves between a host register and [r8] (linear): zero-extended loads. */
void mem_load(struct tctx *t, int dst, u32 size);
void mem_store(struct tctx *t, int src, u32 size);	/* byte stores: src any host register's low byte. More of the instruction may follow */
void mem_store_imm(struct tctx *t, u32 imm, u32 size);

void cold_emit(struct tctx *t);
int  cold_new(struct tctx *t, int kind, u32 info);

/* --- group.c --- */
void group_begin(struct tctx *t);		/* before an instruction: a group may begin here */
void group_advance(struct tctx *t);		/* behind it */
/* Does the group serve this access? Then MEM_OP is the operand, without a look-up. */
bool group_operand(struct tctx *t, int base, s64 disp, u32 size, bool wr);


/* --- rule_stack.c: pushes and pops of `size` bytes; they do not move ESP --- */
void stack_address(struct tctx *t, s32 disp);		/* r8 = offset ESP/SP + disp, wrapped to the stack size */
void stack_adjust(struct tctx *t, s32 by);		/* ESP/SP += by */
void push_reg(struct tctx *t, int src, int size);	/* these two move ESP */
void push_imm(struct tctx *t, u64 imm, int size);
void top_load(struct tctx *t, int dst, int size);	/* the stack's top, zero-extended */
void gpr_write(struct tctx *t, int guest, int src, int size);	/* a guest register's low 2, 4 or 8 bytes from a host register */

/* --- exit.c --- */
void exit_direct(struct tctx *t, u64 eip);		/* to a known EIP: chained in the page, else through the IBT */
/* A chained conditional jump, forward only; false if it cannot be chained, then nothing is emitted. */
bool exit_conditional(struct tctx *t, int cc, u64 eip);
void exit_indirect(struct tctx *t);			/* to the EIP in r8 (zero-extended) */
void exit_stubs(struct tctx *t);
u64  wrap_eip(const struct tctx *t, const struct insn *i, u64 eip);	/* to the operand size */

/* --- callouts --- */
void store_rip(struct tctx *t, u64 eip);
void store_next(struct tctx *t, u64 eip);
void callout(struct tctx *t, enum callout_id id, u32 arg);	/* operands are in cs->op already; END ones end the block */
void store_op(struct tctx *t, int n, int host_reg);		/* cs->op[n] = register */
void store_op_imm(struct tctx *t, int n, u32 imm);
void raise_fault(struct tctx *t, int vector, int error);		/* ends the block */
int  cold_exit(struct tctx *t, u8 *stub, u64 rip);		/* a cold stub that stores rip and leaves; for short_jump() */
void short_jump(struct tctx *t, u8 *disp, int cold);		/* the short jump at disp goes to that cold stub */
void fpu_check(struct tctx *t);	/* makes sure that FPU state is in the host's registers */

/* --- ident.c --- */
/* Emits the instruction with registers renamed; a memory operand becomes `m` (if mem). gpr_subst, when >= 0, is the GPR of ModRM.reg. */
void ident_emit(struct tctx *t, const struct insn *i, bool mem, struct hmem m, int reg_subst);

#define RULE(name, fn, flow, what, ...) rule_fn fn;
#include "rules.def"
#undef RULE
#endif
