/*
 * cpustate.h - the CPU state that generated code touches: one struct, at offsets that are compiled into every block.
 *
 * While translated code runs, the general registers, the arithmetic flags and (if `fpu_live`) the x87/MMX/SSE/AVX state
 * are in the host's registers and the copies here are stale; every C function that translated code calls finds them
 * written back and may change them. EFLAGS is kept in four parts:
 *
 *     cc          CF PF AF ZF SF OF at their architectural positions; in the host's flags while code runs
 *     iflag       IF, 0 or 1 (a byte, so that CLI and STI are one store)
 *     df          DF as +1 or -1, the stride sign of string instructions
 *     eflags_sys  all other bits (TF IOPL NT RF VM AC VIF VIP ID, and bit 1, always set)
 *
 * cpu_eflags() and cpu_set_eflags() (monitor/vcpu.h) put them together. Owner: the vCPU thread; `go` alone is also
 * written by other threads.
 */
#ifndef RF_CPUSTATE_H
#define RF_CPUSTATE_H
#include "monitor/lib/types.h"

enum gpr { R_EAX, R_ECX, R_EDX, R_EBX, R_ESP, R_EBP, R_ESI, R_EDI };
enum seg_reg { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS };

enum eflags {
	FL_CF = 1u << 0, FL_R1 = 1u << 1, FL_PF = 1u << 2, FL_AF = 1u << 4, FL_ZF = 1u << 6, FL_SF = 1u << 7, FL_TF = 1u << 8,
	FL_IF = 1u << 9, FL_DF = 1u << 10, FL_OF = 1u << 11, FL_IOPL = 3u << 12, FL_NT = 1u << 14, FL_RF = 1u << 16,
	FL_VM = 1u << 17, FL_AC = 1u << 18, FL_VIF = 1u << 19, FL_VIP = 1u << 20, FL_ID = 1u << 21,
	FL_ARITH = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF,
};

/* Access rights in the form of a descriptor's second word, shifted right by 8 (SDM vol. 3, 3.4.5). */
enum seg_attr {
	SA_TYPE = 0xf, SA_S = 0x10, SA_DPL = 0x60, SA_P = 0x80, SA_L = 1 << 13, SA_DB = 1 << 14, SA_G = 1 << 15,
	SA_ACCESSED = 1, SA_RW = 2 /* code: readable; data: writable */, SA_CE = 4 /* code: conforming; data: expand-down */, SA_CODE = 8,
};

/* A segment register with its hidden part. */
struct cpu_seg {
	u64 base;
	u64 rlim1;	/* one past the last offset that may be read without asking; 0: every access asks (SEG_FAULT callout) */
	u64 wlim1;	/* the same for writes */
	u32 limit;	/* last valid offset, in bytes (granularity applied) */
	u16 sel;
	u16 attr;	/* enum seg_attr; 0 (not present) after loading a null selector */
};

struct cpu_dtr { u64 base; u32 limit; u32 pad; };

/* Behind STI interrupts are held back, behind MOV SS and POP SS debug exceptions too. */
enum shadow { SHADOW_STI = 1, SHADOW_SS = 2 };

#define CPU_BOUNCE_SIZE 4096	/* the largest memory operand that can cross a page or reach a device: an XSAVE area */
#define CPU_FPU_SIZE    4096

struct cpu_state {
	/* --- reached with one-byte displacements from HOST_STATE (regs.h), offsets 12 to 267 --- */
	u64 gpr[16];		/*   0: EAX ECX EDX EBX ESP EBP ESI EDI, R8 .. R15 */
	u64 rip;		/* 128: EIP of the current instruction (in callouts) or of the next (outside) */
	u32 go;			/* 136: 1 = run; 0 = leave chained code at the next check (any thread may store 0, only the run loop stores 1) */
	u32 mode;		/* 140: mode key */
	u8  iflag;		/* 144: IF */
	u8  irq_line;		/* 145: 1 = an interrupt is to be taken as soon as IF allows; STI and POPF look at it. Who sets IF from C
				 * stores 0 to `go` then */
	u8  fpu_live;		/* 146: 1 = the FPU state is in the host's registers */
	u8  resync;		/* 147: 1 = blocks were dropped: leave the current block behind the current instruction */
	s32 df;			/* 148 */
	u32 cc;			/* 152 */
	u32 eflags_sys;		/* 156 */
	u32 index_mask[2];	/* 160: PEXT masks that make a virtual TLB index of an address, for accesses of 2 and of 4 bytes */
	u64 host_sp;		/* 168: C stack pointer while translated code runs */
	u32 mode_id;		/* 176: even number of the pair (mode, cs_id), for the indirect entries' check; the dispatcher's */
	u32 cs_id;		/* 180: identity of a CS that is not flat (tr_cs_id()), 0 when flat */
	u64 next_rip;		/* 184: in callouts: EIP behind the current instruction */
	struct cpu_seg seg[6];	/* 192 */
	/* --- the rest --- */
	u64 scratch[8];		/* 384: host scratch registers while C runs */
	u64 op[4];		/* 448: operands of callouts, see callouts.def */
	u8 *half;		/* 480: current half of the virtual TLB */
	u32 commit_len;		/* 488: nonzero: bounce holds bytes that are still to be written to the guest */
	u32 exit_info;		/* 492 */
	gla_t commit_lin;	/* 496 */
	u64 exit_arg;		/* 504 */

	u64 cr0, cr2, cr3, cr4, cr8, xcr0, efer;
	u64 dr[8];
	struct cpu_dtr gdt, idt;
	struct cpu_seg ldt, tr;
	u8  cpl;
	u8  halted;		/* HLT executed, waiting for an interrupt */
	u8  inhibit;		/* enum shadow: what is held back for one instruction */
	u8  pad0[5];
	u64 tsc_offset;		/* guest TSC = host TSC + tsc_offset */
	u32 tsc_aux;		/* MSR TSC_AUX, what RDTSCP puts into ECX */
	struct translator *translator;	/* whose state this is */
	u32 index_mask_long;	/* the same for 64-bit guests: VTLB_LONG_INDEX */
	u32 fpu_mask;		/* state components that the host keeps (XCR0 bits 0 to 2); 0: only FXSAVE is there */

	u8 fpu[CPU_FPU_SIZE] __attribute__((aligned(64)));	/* XSAVE standard form, or FXSAVE where the host has no XSAVE */
	u8 bounce[CPU_BOUNCE_SIZE + 64] __attribute__((aligned(64)));
} __attribute__((aligned(64)));

#define CS_OFF(field) ((int)offsetof(struct cpu_state, field))
_Static_assert(CS_OFF(rip) == 128 && CS_OFF(go) == 136 && CS_OFF(mode) == 140 && CS_OFF(df) == 148, "cpustate layout");
_Static_assert(CS_OFF(seg) == 192 && sizeof(struct cpu_seg) == 32 && CS_OFF(scratch) == 384 && CS_OFF(op) == 448, "cpustate layout");
#endif
