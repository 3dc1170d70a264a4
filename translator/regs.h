/*
 * regs.h - which host register holds what while translated code runs: the register map, a table per guest mode.
 *
 * With 32-bit guests the eight guest registers live in host registers and everything else is ours:
 *
 *     EAX EDX EBX EBP ESI EDI   rax rdx rbx rbp rsi rdi   (the same numbers: most code needs no new encoding)
 *     ECX  r11      so that rcx is free: JRCXZ and JECXZ are the only tests that leave the flags alone
 *     ESP  r15      the host's rsp stays the host's stack
 *     HOST_STATE r14, HOST_TABLE r13      CPU state (biased), current half of the virtual TLB
 *     scratch: rcx r8 r9 (memory look-ups), r10 r12 (rules)
 *
 * HOST_STATE points STATE_BIAS bytes into struct cpu_state. The bias makes one-byte displacements reach the hot fields and
 * makes the pointer's low six bits 12, so that it serves as the count of SHRX: linear address to page number in one
 * instruction that leaves the flags alone.
 *
 * With 64-bit guests the first eight have the same homes, so the stubs are the same, and R8 to R15 live in cpu_state.gpr ("homed
 * in memory"): a rule borrows a scratch register for them (borrow.c). Groups are not made there, so r12 is free. Rules never name host
 * registers of the guest: they ask gpr_borrow(), or gpr_host() for one of the first eight.
 */
#ifndef RF_REGS_H
#define RF_REGS_H
#include "cpustate.h"

enum host_reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
#define HOST_STATE R14
#define HOST_TABLE R13
#define STATE_BIAS 140
_Static_assert(STATE_BIAS % 64 == 12, "HOST_STATE must count 12 in SHRX");

#define HOME_MEM (-1)
struct regmap {
	s8 home[16];		/* guest register -> host register, or HOME_MEM */
	u8 n;			/* guest registers in this mode */
};
extern const struct regmap regmap32, regmap64;
#endif
