/*
 * mode.c - EFLAGS as one value, the mode key, and what is derived from segment registers.
 *
 * The key's segment bits and cs_id are kept by seg_update() whenever a segment register or CR0.PE changes;
 * cpu_update_mode() recomputes only the rest, because it runs at every kernel entry and exit.
 */
#include "monitor/access.h"

#define SEG_BITS   0xfffu
#define FOUR_GIB   (1ull << 32)
#define EFLAGS_SYS (FL_TF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_VIF | FL_VIP | FL_ID)

enum { CR0_PE = 1, CR0_EM = 4, CR0_TS = 8, CR0_AM = 1 << 18, CR4_TSD = 4, CR4_OSFXSR = 1 << 9, CR4_OSXSAVE = 1 << 18, XCR0_AVX = 4 };

u32 cpu_eflags(const struct cpu_state *cs)
{
	return cs->eflags_sys | (cs->cc & FL_ARITH) | (u32)cs->iflag << 9 | (cs->df < 0 ? FL_DF : 0);
}

void cpu_set_eflags(struct cpu_state *cs, u32 eflags)
{
	cs->cc = eflags & FL_ARITH;
	cs->iflag = eflags >> 9 & 1;
	cs->df = eflags & FL_DF ? -1 : 1;
	cs->eflags_sys = (eflags & EFLAGS_SYS) | FL_R1;
	cpu_if_changed(cs);
	cpu_update_mode(cs);
}

/* Does DR7 enable a breakpoint on execution (R/Wn = 0, SDM vol. 3, 17.2.4)? */
static bool code_breakpoints(u32 dr7)
{
	for (int i = 0; i < 4; i++)
		if ((dr7 >> 2 * i & 3) && !(dr7 >> (16 + 4 * i) & 3))
			return true;
	return false;
}

static u32 mode_cpl(const struct cpu_state *cs)
{
	u32 iopl = cs->eflags_sys >> 12 & 3, mk = cs->cpl == 3 ? MK_CPL3 : cs->cpl == 0 ? MK_CPL0 : 0;

	if (cs->cpl <= iopl)	/* in V86 mode CPL is 3, so this is IOPL 3 */
		mk |= MK_IOPL_OK;
	if ((cs->cr4 & CR4_TSD) && cs->cpl)
		mk |= MK_TSC_TRAP;
	if (unlikely((cs->cr0 & CR0_AM) && (cs->eflags_sys & FL_AC) && cs->cpl == 3))
		mk |= MK_ALIGN;
	return mk;
}

static u32 mode_fpu(const struct cpu_state *cs)
{
	u32 mk = 0;

	if (cs->cr0 & (CR0_EM | CR0_TS))
		mk |= MK_NO_FPU | (cs->cr0 & CR0_EM ? MK_NO_MMX : 0);
	if (!(cs->cr4 & CR4_OSFXSR))
		mk |= MK_NO_SSE;
	if (!(cs->cr4 & CR4_OSXSAVE) || !(cs->xcr0 & XCR0_AVX) || !cpu_protected(cs))	/* no VEX in real and V86 mode */
		mk |= MK_NO_AVX;
	return mk;
}

/*
 * A kernel that leaves the user's GS in its register (Linux) runs with as many kinds of it as there are programs, and each kind in the key
 * means a copy of all its blocks. So in ring 0 GS always counts as checked, which is right for every segment.
 */
static enum seg_kind key_kind(const struct cpu_state *cs, int seg)
{
	const struct cpu_seg *s = &cs->seg[seg];

	if (seg == S_GS && cs->cpl == 0 && (cs->cr0 & CR0_PE))
		return SEG_CHECKED;
	if (s->rlim1 != FOUR_GIB || (s->wlim1 != FOUR_GIB && seg != S_CS))
		return SEG_CHECKED;
	return s->base ? SEG_BASED : SEG_FLAT;
}

static u32 set_kind(u32 mk, int seg, enum seg_kind kind)
{
	return (mk & ~(3u << (MK_SEG_SHIFT + 2 * seg))) | (u32)kind << (MK_SEG_SHIFT + 2 * seg);
}

void cpu_update_mode(struct cpu_state *cs)
{
	u32 mk = set_kind(cs->mode & SEG_BITS, S_GS, key_kind(cs, S_GS)) | mode_cpl(cs) | mode_fpu(cs);

	if (cs->cr0 & CR0_PE)
		mk |= MK_PE;
	if (cs->eflags_sys & FL_VM)
		mk |= MK_V86;
	if (cs->seg[S_CS].attr & SA_DB)
		mk |= MK_CS32;
	if (cs->seg[S_SS].attr & SA_DB)
		mk |= MK_SS32;
	if (cs->cs_id)
		mk |= MK_CS_ODD;
	if (unlikely((cs->eflags_sys & FL_TF) || ((cs->dr[7] & 0xff) && code_breakpoints((u32)cs->dr[7]))))
		mk |= MK_STEP;
	cs->mode = mk;
	cs->half = vcpu_of(cs)->half[cs->cpl == 3];
}

/* Which accesses a segment's type allows: bit 0 read, bit 1 write; expand-down segments always ask. */
static u32 seg_rights(const struct cpu_state *cs, u16 attr)
{
	if (!(attr & SA_P) || (attr & (SA_CODE | SA_CE)) == SA_CE)
		return 0;
	if (!(cs->cr0 & CR0_PE))	/* real mode: what protected mode left in the type does not matter */
		return 3;
	if (attr & SA_CODE)
		return attr & SA_RW ? 1 : 0;
	return attr & SA_RW ? 3 : 1;
}

void seg_update(struct cpu_state *cs, int seg)
{
	struct cpu_seg *s = &cs->seg[seg];
	u32 rights = seg_rights(cs, s->attr);
	u64 lim1 = (u64)s->limit + 1;

	s->rlim1 = rights & 1 ? lim1 : 0;
	s->wlim1 = rights & 2 ? lim1 : 0;
	cs->mode = set_kind(cs->mode, seg, key_kind(cs, seg));
	if (seg == S_CS)
		cs->cs_id = s->base || lim1 != FOUR_GIB ? tr_cs_id(vcpu_of(cs)->tr, s->base, s->limit) : 0;
}

void cpu_set_cpl(struct cpu_state *cs, int cpl)
{
	cs->cpl = (u8)cpl;
	cpu_update_mode(cs);
}

void seg_load_real(struct cpu_state *cs, int seg, u16 sel)
{
	struct cpu_seg *s = &cs->seg[seg];

	s->sel = sel;
	s->base = (u32)sel << 4;
	if (cs->eflags_sys & FL_VM) {
		s->limit = 0xffff;
		s->attr = SA_P | SA_DPL | SA_S | SA_RW | SA_ACCESSED;
	} else {		/* limit and D/B stay: "big real mode" lives on that */
		s->attr = (s->attr & (SA_DB | SA_G)) | SA_P | SA_S | SA_RW | SA_ACCESSED;
	}
	seg_update(cs, seg);
}
