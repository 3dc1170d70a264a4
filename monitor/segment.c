/*
 * segment.c - descriptors and segment registers: loads with all checks, LAR LSL VERR VERW ARPL, LDTR and TR, descriptor tables.
 *
 * Order everywhere: check, set the descriptor's accessed or busy bit (which may page-fault), then change the register.
 */
#include "monitor/callouts.h"
#include "monitor/segment.h"

_Noreturn void raise_sel(struct cpu_state *cs, int vector, u16 sel)
{
	cpu_raise(cs, vector, (sel & 0xfffc) | vcpu_of(cs)->delivery_external);
}

bool desc_fetch(struct cpu_state *cs, u16 sel, struct desc *d)
{
	u32 off = sel & 0xfff8;
	u64 raw;

	if (sel & 4) {
		if (!(cs->ldt.attr & SA_P) || off + 7 > cs->ldt.limit)
			return false;
		d->addr = (u32)(cs->ldt.base + off);
	} else {
		if (off + 7 > cs->gdt.limit)
			return false;
		d->addr = (u32)(cs->gdt.base + off);
	}
	raw = sys_read(cs, d->addr, 8);
	d->lo = (u32)raw;
	d->hi = (u32)(raw >> 32);
	return true;
}

void desc_need(struct cpu_state *cs, u16 sel, struct desc *d, int vector)
{
	if (sel_null(sel))
		raise_sel(cs, vector, 0);
	if (!desc_fetch(cs, sel, d))
		raise_sel(cs, vector, sel);
}

void desc_set_accessed(struct cpu_state *cs, struct desc *d)
{
	if (likely(d->hi & SA_ACCESSED << 8))
		return;
	d->hi |= SA_ACCESSED << 8;
	sys_write(cs, d->addr + 5, d->hi >> 8 & 0xff, 1);
}

void seg_set(struct cpu_state *cs, int seg, u16 sel, const struct desc *d)
{
	desc_to_seg(&cs->seg[seg], sel, d);
	seg_update(cs, seg);
}

void seg_set_null(struct cpu_state *cs, int seg, u16 sel)
{
	struct cpu_seg *s = &cs->seg[seg];

	s->base = 0;
	s->limit = 0;
	s->attr = 0;
	s->sel = sel;
	seg_update(cs, seg);
}

void seg_set_flat(struct cpu_state *cs, int seg, u16 sel, u16 attr)
{
	struct cpu_seg *s = &cs->seg[seg];

	s->base = 0;
	s->limit = 0xffffffff;
	s->attr = attr;
	s->sel = sel;
	seg_update(cs, seg);
}

void seg_check_stack(struct cpu_state *cs, u16 sel, u32 cpl, struct desc *d, int vector)
{
	desc_need(cs, sel, d, vector);
	if ((sel & 3) != cpl || !desc_writable_data(d) || desc_dpl(d) != cpl)
		raise_sel(cs, vector, sel);
	if (!desc_present(d))
		raise_sel(cs, VEC_SS, sel);
}

/* Data or readable code, for ES DS FS GS. */
static void check_data(struct cpu_state *cs, u16 sel, struct desc *d, int vector)
{
	u32 type;

	if (!desc_fetch(cs, sel, d))
		raise_sel(cs, vector, sel);
	type = desc_type(d);
	if (!(type & SA_S) || (type & (SA_CODE | SA_RW)) == SA_CODE)
		raise_sel(cs, vector, sel);
	if (!desc_conforming_code(d) && (desc_dpl(d) < (sel & 3u) || desc_dpl(d) < cs->cpl))
		raise_sel(cs, vector, sel);
	if (!desc_present(d))
		raise_sel(cs, VEC_NP, sel);
}

void seg_load(struct cpu_state *cs, int seg, u16 sel, int vector)
{
	struct desc d;

	if (!cpu_protected(cs)) {
		seg_load_real(cs, seg, sel);
		return;
	}
	if (seg == S_SS) {
		seg_check_stack(cs, sel, cs->cpl, &d, vector);
	} else if (sel_null(sel)) {
		seg_set_null(cs, seg, sel);
		return;
	} else {
		check_data(cs, sel, &d, vector);
	}
	desc_set_accessed(cs, &d);
	seg_set(cs, seg, sel, &d);
}

void seg_check(struct cpu_state *cs, int seg, u32 off, u32 size, bool write)
{
	const struct cpu_seg *s = &cs->seg[seg];
	u64 end = (u64)off + size;
	bool ok;

	if (likely(end <= (write ? s->wlim1 : s->rlim1)))
		return;
	ok = (s->attr & SA_P) && seg_in_limit(s, off, size);
	if (ok && (cs->cr0 & 1))
		ok = s->attr & SA_CODE ? !write && (s->attr & SA_RW) : !write || (s->attr & SA_RW);
	if (!ok)
		cpu_raise(cs, seg == S_SS ? VEC_SS : VEC_GP, 0);
}

bool stack_prepare(struct cpu_state *cs, struct stack *s, u32 count, u32 size)
{
	u32 top = s->sp & s->mask, bytes = count * size;

	acc_check_aligned(cs, s->ss->base + top, size, s->acc);
	if (likely(top >= bytes)) {
		gla_t lin = s->ss->base + (top - bytes);

		if (!seg_in_limit(s->ss, top - bytes, bytes))
			return false;
		s->low = top - bytes;
		s->host = acc_in_page(lin, bytes) ? acc_table_write(cs, lin, s->acc) : NULL;
		if (!s->host)
			mmu_probe(cs, (u32)lin, bytes, s->acc | ACC_WRITE);
		return true;
	}
	for (u32 i = 1; i <= count; i++) {	/* wraps around: element by element */
		u32 off = (top - i * size) & s->mask;

		if (!seg_in_limit(s->ss, off, size))
			return false;
		acc_probe_write(cs, s->ss->base + off, size, s->acc);
	}
	return true;
}

u32 stack_peek(struct cpu_state *cs, const struct stack *s, u32 index, u32 size, u32 skip)
{
	u32 off = (s->sp + index * size + skip) & s->mask;

	if (!seg_in_limit(s->ss, off, size))
		cpu_raise(cs, VEC_SS, 0);
	acc_check_aligned(cs, s->ss->base + off, size, s->acc);
	return (u32)acc_read(cs, s->ss->base + off, (int)size, s->acc);
}

/* --- callouts --- */
enum { LOAD_POP = 1 << 8, LOAD_FAR_POINTER = 1 << 9, CR4_UMIP = 1 << 11 };

void callout_SEG_FAULT(struct cpu_state *cs, u32 arg)
{
	seg_check(cs, arg >> 16 & 7, (u32)cs->op[0], arg & 0xffff, arg >> 20 & 1);
}

void callout_LOAD_SEG(struct cpu_state *cs, u32 arg)
{
	int seg = arg & 7;

	seg_load(cs, seg, (u16)cs->op[0], VEC_GP);
	if (arg & LOAD_POP)
		cs->gpr[R_ESP] = (u32)cs->op[1];
	if (arg & LOAD_FAR_POINTER)
		gpr_put(cs, arg >> 12 & 15, (u32)cs->op[2], arg >> 16 & 15);
	if (seg == S_SS) {
		if (!(arg & LOAD_FAR_POINTER)) {
			cs->inhibit = SHADOW_SS;	/* MOV SS and POP SS, not LSS (SDM vol. 3, 6.8.3) */
			cs->resync = 1;			/* the run loop executes the next instruction */
		}
		cpu_update_mode(cs);
	}
}

static void need_protected(struct cpu_state *cs)
{
	if (!cpu_protected(cs))
		cpu_raise(cs, VEC_UD, TR_NO_ERR);
}

static void need_cpl0(struct cpu_state *cs)
{
	if (cs->cpl)
		cpu_gp(cs, 0);
}

static void umip_check(struct cpu_state *cs)
{
	if ((cs->cr4 & CR4_UMIP) && cs->cpl)
		cpu_gp(cs, 0);
}

static void set_zf(struct cpu_state *cs, bool zf) { cs->cc = (cs->cc & ~FL_ZF) | (zf ? FL_ZF : 0); }

/* Is the descriptor visible at the privilege of CPL and the selector's RPL? */
static bool desc_visible(const struct cpu_state *cs, u16 sel, const struct desc *d)
{
	return desc_conforming_code(d) || (desc_dpl(d) >= cs->cpl && desc_dpl(d) >= (sel & 3u));
}

/* `system_types` has a bit for each system descriptor type that the instruction accepts. */
static bool inspect(struct cpu_state *cs, u16 sel, u32 system_types, struct desc *d)
{
	need_protected(cs);
	if (sel_null(sel) || !desc_fetch(cs, sel, d))
		return false;
	if (!(desc_type(d) & SA_S) && !(system_types >> desc_type(d) & 1))
		return false;
	return desc_visible(cs, sel, d);
}

#define TYPES_LSL (1u << DT_TSS16 | 1u << DT_LDT | 1u << DT_TSS16_BUSY | 1u << DT_TSS32 | 1u << DT_TSS32_BUSY)
#define TYPES_LAR (TYPES_LSL | 1u << DT_CALL16 | 1u << DT_TASK_GATE | 1u << DT_CALL32)

void callout_LAR(struct cpu_state *cs, u32 arg)
{
	struct desc d;
	bool ok = inspect(cs, (u16)cs->op[0], TYPES_LAR, &d);

	if (ok)
		gpr_put(cs, arg >> 8 & 15, d.hi & 0xffff00, arg & 15);
	set_zf(cs, ok);
}

void callout_LSL(struct cpu_state *cs, u32 arg)
{
	struct desc d;
	bool ok = inspect(cs, (u16)cs->op[0], TYPES_LSL, &d);

	if (ok)
		gpr_put(cs, arg >> 8 & 15, desc_limit(&d), arg & 15);
	set_zf(cs, ok);
}

void callout_VERR(struct cpu_state *cs, u32 arg)
{
	struct desc d;

	set_zf(cs, inspect(cs, (u16)cs->op[0], 0, &d) && (desc_type(&d) & (SA_CODE | SA_RW)) != SA_CODE);
}

void callout_VERW(struct cpu_state *cs, u32 arg)
{
	struct desc d;

	set_zf(cs, inspect(cs, (u16)cs->op[0], 0, &d) && desc_writable_data(&d));
}

void callout_ARPL(struct cpu_state *cs, u32 arg)
{
	u32 rpl = cs->op[1] & 3;

	need_protected(cs);
	set_zf(cs, (cs->op[0] & 3) < rpl);
	if (cs->cc & FL_ZF)
		cs->op[0] = (cs->op[0] & ~3ull) | rpl;
}

void callout_LLDT(struct cpu_state *cs, u32 arg)
{
	u16 sel = (u16)cs->op[0];
	struct desc d;

	need_protected(cs);
	need_cpl0(cs);
	if (sel_null(sel)) {
		cs->ldt = (struct cpu_seg){ .sel = sel };
		return;
	}
	if ((sel & 4) || !desc_fetch(cs, sel, &d) || desc_type(&d) != DT_LDT)
		raise_sel(cs, VEC_GP, sel);
	if (!desc_present(&d))
		raise_sel(cs, VEC_NP, sel);
	desc_to_seg(&cs->ldt, sel, &d);
}

void callout_LTR(struct cpu_state *cs, u32 arg)
{
	u16 sel = (u16)cs->op[0];
	struct desc d;

	need_protected(cs);
	need_cpl0(cs);
	if (sel_null(sel))
		cpu_gp(cs, 0);
	if ((sel & 4) || !desc_fetch(cs, sel, &d) || !desc_free_tss(&d))
		raise_sel(cs, VEC_GP, sel);
	if (!desc_present(&d))
		raise_sel(cs, VEC_NP, sel);
	d.hi |= DT_BUSY << 8;
	sys_write(cs, d.addr + 5, d.hi >> 8 & 0xff, 1);
	desc_to_seg(&cs->tr, sel, &d);
}

void callout_SLDT(struct cpu_state *cs, u32 arg)
{
	need_protected(cs);
	umip_check(cs);
	cs->op[0] = cs->ldt.sel;
}

void callout_STR(struct cpu_state *cs, u32 arg)
{
	need_protected(cs);
	umip_check(cs);
	cs->op[0] = cs->tr.sel;
}

static void load_table(struct cpu_state *cs, struct cpu_dtr *t, u32 os)
{
	need_cpl0(cs);
	t->limit = (u16)cs->op[0];
	t->base = (u32)cs->op[1] & (os == 2 ? 0xffffffu : 0xffffffffu);
}

static void store_table(struct cpu_state *cs, const struct cpu_dtr *t)
{
	umip_check(cs);
	cs->op[0] = t->limit;
	cs->op[1] = t->base;
}

void callout_LGDT(struct cpu_state *cs, u32 arg) { load_table(cs, &cs->gdt, arg & 15); }
void callout_LIDT(struct cpu_state *cs, u32 arg) { load_table(cs, &cs->idt, arg & 15); }
void callout_SGDT(struct cpu_state *cs, u32 arg) { store_table(cs, &cs->gdt); }
void callout_SIDT(struct cpu_state *cs, u32 arg) { store_table(cs, &cs->idt); }
