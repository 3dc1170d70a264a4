/*
 * modekey.h - the mode key: everything about the CPU's mode that is compiled into a block.
 *
 * Blocks are found by (guest-physical address, EIP, CS identity, mode key). Code that is running relies on the key, so
 * whoever changes a CPU field which the key depends on must call cpu_update_mode() (monitor/mode.c) before translated
 * code runs again, and the callout through which it happened must be marked MODE or END in callouts.def.
 */
#ifndef RF_MODEKEY_H
#define RF_MODEKEY_H
#include "monitor/lib/types.h"

/* How translated code reaches memory through a segment: two bits for each of ES, CS, SS, DS, FS, GS. */
enum seg_kind {
	SEG_FLAT    = 0,	/* base 0, limit 4 GiB, present; readable; and writable, or it is CS: no code at all */
	SEG_BASED   = 1,	/* as SEG_FLAT, but the base must be added */
	SEG_CHECKED = 2,	/* base added, offset compared with rlim1/wlim1, see struct cpu_seg */
};

enum mode_key {
	MK_SEG_SHIFT = 0,		/* 6 x 2 bits, index = segment number (ES 0 .. GS 5) */
	MK_CPL3      = 1u << 12,	/* CPL is 3 (V86 included): user half of the virtual TLB */
	MK_CPL0      = 1u << 13,	/* CPL is 0; neither bit: ring 1 or 2 */
	MK_CS32      = 1u << 14,	/* CS.D: default operand and address size 32 */
	MK_SS32      = 1u << 15,	/* SS.B: ESP rather than SP */
	MK_PE        = 1u << 16,	/* CR0.PE */
	MK_V86       = 1u << 17,	/* EFLAGS.VM */
	MK_IOPL_OK   = 1u << 18,	/* CPL <= IOPL and not V86, or V86 with IOPL 3: CLI STI PUSHF POPF need no callout. IN and OUT always call out. */
	MK_NO_FPU    = 1u << 19,	/* CR0.EM or CR0.TS: x87, MMX and SSE instructions raise #NM or #UD (callout FPU_TRAP decides) */
	MK_NO_SSE    = 1u << 20,	/* CR4.OSFXSR clear: SSE raises #UD */
	MK_NO_AVX    = 1u << 21,	/* CR4.OSXSAVE clear or XCR0 without AVX: VEX-coded vector instructions raise #UD */
	MK_STEP      = 1u << 22,	/* one instruction a block, exit TR_EXIT_STEP behind it (EFLAGS.TF, code breakpoints, interrupt shadow) */
	MK_TSC_TRAP  = 1u << 23,	/* RDTSC calls out (CR4.TSD and CPL != 0, or the host's TSC is unusable) */
	MK_ALIGN     = 1u << 24,	/* CR0.AM, EFLAGS.AC and CPL 3: every access goes through the slow path, which raises #AC */
	MK_LONG      = 1u << 25,	/* 64-bit code */
	MK_CS_ODD    = 1u << 26,	/* CS is not flat: blocks depend on cs_id (base and limit) */
	MK_NO_MMX    = 1u << 27,	/* CR0.EM: (V)MMX raises #UD where x87 raises #NM; set together with MK_NO_FPU */
};

static inline enum seg_kind mk_seg(u32 mk, int seg) { return (enum seg_kind)(mk >> (MK_SEG_SHIFT + 2 * seg) & 3); }
#endif
