/*
 * debug.c - debug registers and execution breakpoints (data and I/O: watch.c).
 *
 * An enabled execution breakpoint puts MK_STEP into the mode key, so the run loop sees every instruction.
 */
#include "monitor/access.h"
#include "monitor/callouts.h"
#include "monitor/debug.h"
#include "monitor/watch.h"

enum { CR4_DE = 8 };
#define DR7_WRITABLE 0xffff23ffu
#define DR7_FIXED    0x00000400u
#define DR7_GD       0x00002000u

bool debug_code_breakpoint(struct cpu_state *cs)
{
	u32 dr7 = (u32)cs->dr[7], lin = (u32)(cs->seg[S_CS].base + cs->rip), hits = 0;

	if (cs->eflags_sys & FL_RF) {
		cs->eflags_sys &= ~(u32)FL_RF;
		return false;
	}
	for (int i = 0; i < 4; i++)
		if ((dr7 >> 2 * i & 3) && !(dr7 >> (16 + 4 * i) & 15) && (u32)cs->dr[i] == lin)
			hits |= 1u << i;
	if (!hits)
		return false;
	cs->dr[6] = (cs->dr[6] & ~15ull) | hits;
	return true;
}

/* Checks common to both directions; returns the register with DR4 and DR5 resolved. */
static u32 debug_access(struct cpu_state *cs, u32 dr)
{
	if (dr == 4 || dr == 5) {
		if (cs->cr4 & CR4_DE)
			cpu_raise(cs, VEC_UD, TR_NO_ERR);
		dr += 2;
	}
	if (cs->cpl)
		cpu_gp(cs, 0);
	if (cs->dr[7] & DR7_GD) {
		cs->dr[6] |= DR6_BD;
		cpu_raise(cs, VEC_DB, TR_NO_ERR);
	}
	return dr;
}

void callout_MOV_FROM_DR(struct cpu_state *cs, u32 arg)
{
	u32 dr = debug_access(cs, arg & 7);

	cs->gpr[arg >> 8 & 15] = (u32)cs->dr[dr];
}

void callout_MOV_TO_DR(struct cpu_state *cs, u32 arg)
{
	u32 dr = debug_access(cs, arg & 7), value = gpr32(cs, arg >> 8 & 15);

	if (dr == 6)
		value = (value & 0xe00f) | DR6_FIXED;
	else if (dr == 7)
		value = (value & DR7_WRITABLE) | DR7_FIXED;
	cs->dr[dr] = value;
	cs->eflags_sys &= ~(u32)FL_RF;	/* it does not outlive an instruction; nobody looked at it while there was no breakpoint */
	cs->rip = cs->next_rip;
	if (dr == 6)
		return;
	watch_update(cs);
	cpu_update_mode(cs);
}
