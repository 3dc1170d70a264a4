/*
 * priv.c - control registers, TLB and cache control, time-stamp counter, XCR0 (SDM vol. 3, 2.5 and 2.6).
 */
#include <x86intrin.h>
#include "monitor/callouts.h"
#include "monitor/cpuid.h"
#include "monitor/msr.h"
#include "monitor/segment.h"

enum { CR0_PE = 1, CR0_MP = 2, CR0_EM = 4, CR0_TS = 8, CR0_ET = 1 << 4, CR0_WP = 1 << 16, CR0_NW = 1 << 29, CR0_CD = 1 << 30 };
#define CR0_PG       0x80000000u
#define CR0_WRITABLE 0xe005002fu
enum { CR4_TSD = 4, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, CR4_PGE = 1 << 7, CR4_PCE = 1 << 8, CR4_UMIP = 1 << 11, CR4_OSXSAVE = 1 << 18 };
enum { XCR0_X87 = 1, XCR0_SSE = 2, XCR0_AVX = 4 };

static void need_cpl0(struct cpu_state *cs)
{
	if (cs->cpl)
		cpu_gp(cs, 0);
}

static void refresh_half(struct cpu_state *cs) { cs->half = vcpu_of(cs)->half[cs->cpl == 3]; }

/* CR0.PE changed: segments keep their hidden parts, but are judged by other rules; real mode runs at CPL 0. */
static void pe_changed(struct cpu_state *cs)
{
	if (!(cs->cr0 & CR0_PE))
		cs->cpl = 0;
	for (int i = 0; i < 6; i++)
		seg_update(cs, i);
}

static void write_cr0(struct cpu_state *cs, u32 value)
{
	u32 changed;

	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		cpu_gp(cs, 0);
	value = (value & CR0_WRITABLE) | CR0_ET;
	changed = value ^ (u32)cs->cr0;
	if ((changed & value & CR0_PG) && (cs->cr4 & CR4_PAE) && !mmu_pdptes_valid(cs, cs->cr3))
		cpu_gp(cs, 0);
	cs->cr0 = value;
	if (changed & CR0_PE)
		pe_changed(cs);
	if (changed & (CR0_PG | CR0_WP)) {
		mmu_mode_changed(cs);
		if (changed & value & CR0_PG)
			mmu_cr3_written(cs);	/* loads the PDPTEs with PAE */
	}
	cpu_update_mode(cs);
}

static void write_cr3(struct cpu_state *cs, u32 value)
{
	if ((cs->cr0 & CR0_PG) && (cs->cr4 & CR4_PAE) && !mmu_pdptes_valid(cs, value))
		cpu_gp(cs, 0);
	cs->cr3 = value;
	mmu_cr3_written(cs);
	refresh_half(cs);
}

static void write_cr4(struct cpu_state *cs, u32 value)
{
	u32 changed = value ^ (u32)cs->cr4;

	if (value & ~cpu_model_cr4_mask(vcpu_of(cs)->model))
		cpu_gp(cs, 0);
	if ((changed & value & CR4_PAE) && (cs->cr0 & CR0_PG)) {
		cs->cr4 = value;
		if (!mmu_pdptes_valid(cs, cs->cr3)) {
			cs->cr4 = value ^ changed;
			cpu_gp(cs, 0);
		}
	}
	cs->cr4 = value;
	if (changed & (CR4_PSE | CR4_PAE | CR4_PGE)) {
		mmu_mode_changed(cs);
		if (changed & value & CR4_PAE)
			mmu_cr3_written(cs);
	}
	cpu_update_mode(cs);
}

void callout_MOV_TO_CR(struct cpu_state *cs, u32 arg)
{
	u32 value = gpr32(cs, arg >> 8 & 15);

	need_cpl0(cs);
	switch (arg & 15) {
	case 0: write_cr0(cs, value); break;
	case 2: cs->cr2 = value; break;
	case 3: write_cr3(cs, value); break;
	case 4: write_cr4(cs, value); break;
	default: cpu_raise(cs, VEC_UD, TR_NO_ERR);
	}
	cs->rip = cs->next_rip;
}

void callout_MOV_FROM_CR(struct cpu_state *cs, u32 arg)
{
	u64 value;

	need_cpl0(cs);
	switch (arg & 15) {
	case 0: value = cs->cr0; break;
	case 2: value = cs->cr2; break;
	case 3: value = cs->cr3; break;
	case 4: value = cs->cr4; break;
	default: cpu_raise(cs, VEC_UD, TR_NO_ERR);
	}
	cs->gpr[arg >> 8 & 15] = (u32)value;
}

void callout_LMSW(struct cpu_state *cs, u32 arg)
{
	enum { LOW = CR0_MP | CR0_EM | CR0_TS };

	need_cpl0(cs);
	write_cr0(cs, ((u32)cs->cr0 & ~(u32)LOW) | ((u32)cs->op[0] & (CR0_PE | LOW)));	/* can set PE, not clear it */
	cs->rip = cs->next_rip;
}

void callout_SMSW(struct cpu_state *cs, u32 arg)
{
	if (cs->cr4 & CR4_UMIP)
		need_cpl0(cs);
	cs->op[0] = (u32)cs->cr0;
}

void callout_CLTS(struct cpu_state *cs, u32 arg)
{
	need_cpl0(cs);
	cs->cr0 &= ~(u64)CR0_TS;
	cs->rip = cs->next_rip;
	cpu_update_mode(cs);
}

void callout_INVLPG(struct cpu_state *cs, u32 arg)
{
	need_cpl0(cs);
	mmu_invlpg(cs, (u32)cs->op[0]);
}

void callout_INVPCID(struct cpu_state *cs, u32 arg)
{
	enum { ONE_ADDRESS, ONE_CONTEXT, ALL, ALL_BUT_GLOBAL };
	u32 type = gpr32(cs, arg & 15);
	u64 pcid, lin;

	need_cpl0(cs);
	pcid = acc_read(cs, cs->op[0], 8, 0);
	lin = acc_read(cs, cs->op[0] + 8, 8, 0);
	if (type > ALL_BUT_GLOBAL || (type <= ONE_CONTEXT && pcid))	/* CR4.PCIDE is never set: PCID must be 0 */
		cpu_gp(cs, 0);
	if (type == ONE_ADDRESS)
		mmu_invlpg(cs, (u32)lin);
	else if (type == ALL)
		mmu_mode_changed(cs);
	else
		mmu_cr3_written(cs);
	refresh_half(cs);
}

void callout_CACHE_CTL(struct cpu_state *cs, u32 arg) { need_cpl0(cs); }

static void read_tsc(struct cpu_state *cs)
{
	u64 tsc;

	if ((cs->cr4 & CR4_TSD) && cs->cpl)
		cpu_gp(cs, 0);
	tsc = __rdtsc() + cs->tsc_offset;
	cs->gpr[R_EAX] = (u32)tsc;
	cs->gpr[R_EDX] = tsc >> 32;
}

void callout_RDTSC(struct cpu_state *cs, u32 arg) { read_tsc(cs); }

void callout_RDTSCP(struct cpu_state *cs, u32 arg)
{
	read_tsc(cs);
	cs->gpr[R_ECX] = cs->tsc_aux;
}

/* There are no performance counters, so every number is a wrong one. */
void callout_RDPMC(struct cpu_state *cs, u32 arg) { cpu_gp(cs, 0); }

void callout_XGETBV(struct cpu_state *cs, u32 arg)
{
	if (!(cs->cr4 & CR4_OSXSAVE))
		cpu_raise(cs, VEC_UD, TR_NO_ERR);
	if ((u32)cs->gpr[R_ECX])
		cpu_gp(cs, 0);
	cs->gpr[R_EAX] = (u32)cs->xcr0;
	cs->gpr[R_EDX] = cs->xcr0 >> 32;
}

void callout_XSETBV(struct cpu_state *cs, u32 arg)
{
	u64 value = (u32)cs->gpr[R_EAX] | cs->gpr[R_EDX] << 32;

	if (!(cs->cr4 & CR4_OSXSAVE))
		cpu_raise(cs, VEC_UD, TR_NO_ERR);
	need_cpl0(cs);
	if ((u32)cs->gpr[R_ECX] || !(value & XCR0_X87) || (value & ~cpu_model_xcr0_mask(vcpu_of(cs)->model)) ||
	    ((value & XCR0_AVX) && !(value & XCR0_SSE)))
		cpu_gp(cs, 0);
	cs->xcr0 = value;
	cs->rip = cs->next_rip;
	cpu_update_mode(cs);
}

/* Not offered: MONITOR/MWAIT by no model, RSM outside system-management mode by no processor. */
void callout_MWAIT(struct cpu_state *cs, u32 arg) { cpu_raise(cs, VEC_UD, TR_NO_ERR); }
void callout_RSM(struct cpu_state *cs, u32 arg) { cpu_raise(cs, VEC_UD, TR_NO_ERR); }
