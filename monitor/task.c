/*
 * task.c - task state segments: inner stacks, the I/O and interrupt bitmaps, and task switches (SDM vol. 3, chapter 7).
 *
 * A task switch commits in the middle: what fails before (descriptor, TSS limits, pages) is raised in the old task, what
 * fails after (LDT, segments) in the new one, with the selectors already loaded and their hidden parts not present.
 */
#include "monitor/task.h"
#include "monitor/watch.h"

enum { TSS16_LIMIT = 0x2b, TSS32_LIMIT = 0x67, TSS_IOMAP = 0x66, TSS_LINK = 0 };
enum { CR0_TS = 8, CR4_PAE = 0x20, DR6_BT = 1 << 15, DR7_LOCAL = 0x155 };
#define CR0_PG 0x80000000u

/* Offsets in the two kinds of TSS. */
struct tss_layout { u32 min_limit, cr3, eip, eflags, gpr, seg, nseg, ldt, trap, size; };
static const struct tss_layout layouts[2] = {
	{ TSS16_LIMIT, 0, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a, 0, 2 },
	{ TSS32_LIMIT, 0x1c, 0x20, 0x24, 0x28, 0x48, 6, 0x60, 0x64, 4 },
};

/* What a TSS holds. */
struct task_image { u32 cr3, eip, eflags, gpr[8]; u16 seg[6], ldt; bool trap; };

static bool tss32(const struct cpu_seg *tr) { return tr->attr & DT_GATE32; }

void tss_stack(struct cpu_state *cs, u32 cpl, u16 *ss, u32 *esp)
{
	const struct cpu_seg *tr = &cs->tr;
	u32 off = tss32(tr) ? 4 + cpl * 8 : 2 + cpl * 4, last = off + (tss32(tr) ? 5 : 3);

	if (last > tr->limit)
		raise_sel(cs, VEC_TS, tr->sel);
	if (tss32(tr)) {
		u64 both = sys_read(cs, tr->base + off, 8);

		*esp = (u32)both;
		*ss = (u16)(both >> 32);
	} else {
		u32 both = (u32)sys_read(cs, tr->base + off, 4);

		*esp = both & 0xffff;
		*ss = (u16)(both >> 16);
	}
}

bool tss_io_allowed(struct cpu_state *cs, u32 port, u32 size)
{
	const struct cpu_seg *tr = &cs->tr;
	u32 map, byte, bits;

	if (!(tr->attr & SA_P) || !tss32(tr) || tr->limit < TSS32_LIMIT)
		return false;
	map = (u32)sys_read(cs, tr->base + TSS_IOMAP, 2);
	byte = map + (port >> 3);
	if (byte + 1 > tr->limit)	/* two bytes are always read */
		return false;
	bits = (u32)sys_read(cs, tr->base + byte, 2) >> (port & 7);
	return !(bits & ((1u << size) - 1));
}

bool tss_int_redirected(struct cpu_state *cs, u32 vector)
{
	const struct cpu_seg *tr = &cs->tr;
	u32 map, byte;

	if (!tss32(tr) || tr->limit < TSS32_LIMIT)
		return false;
	map = (u32)sys_read(cs, tr->base + TSS_IOMAP, 2);
	byte = map - 32 + (vector >> 3);
	if (map < 32 || byte > tr->limit)
		return false;
	return !(sys_read(cs, tr->base + byte, 1) >> (vector & 7) & 1);
}

static void save_task(struct cpu_state *cs, const struct tss_layout *l, u32 eip, u32 eflags)
{
	u64 b = cs->tr.base;
	int size = (int)l->size;

	sys_write(cs, b + l->eip, eip, size);
	sys_write(cs, b + l->eflags, eflags, size);
	for (u32 i = 0; i < 8; i++)
		sys_write(cs, b + l->gpr + i * l->size, gpr32(cs, (int)i), size);
	for (u32 i = 0; i < l->nseg; i++)
		sys_write(cs, b + l->seg + i * l->size, cs->seg[i].sel, 2);
}

static void read_task(struct cpu_state *cs, const struct tss_layout *l, u32 b, struct task_image *t)
{
	int size = (int)l->size;

	t->cr3 = l->cr3 ? (u32)sys_read(cs, b + l->cr3, 4) : 0;
	t->eip = (u32)sys_read(cs, b + l->eip, size);
	t->eflags = (u32)sys_read(cs, b + l->eflags, size);
	for (u32 i = 0; i < 8; i++)
		t->gpr[i] = (u32)sys_read(cs, b + l->gpr + i * l->size, size) | (size == 2 ? 0xffff0000u : 0);
	for (u32 i = 0; i < 6; i++)
		t->seg[i] = i < l->nseg ? (u16)sys_read(cs, b + l->seg + i * l->size, 2) : 0;
	t->ldt = (u16)sys_read(cs, b + l->ldt, 2);
	t->trap = l->trap && (sys_read(cs, b + l->trap, 2) & 1);
}

/* Everything that may fault in the old task's context. */
static void probe_switch(struct cpu_state *cs, const struct tss_layout *from, const struct desc *d, enum task_reason why)
{
	acc_probe_write(cs, cs->tr.base + from->eip, from->ldt - from->eip, 0);
	acc_probe_write(cs, d->addr, 8, 0);
	if (why == TASK_CALL || why == TASK_INT)
		acc_probe_write(cs, desc_base(d) + TSS_LINK, 2, 0);
	else
		acc_probe_write(cs, cs->gdt.base + (cs->tr.sel & 0xfff8), 8, 0);
}

static void set_busy(struct cpu_state *cs, gla_t desc_addr, bool busy)
{
	u32 b = (u32)sys_read(cs, desc_addr + 5, 1);

	sys_write(cs, desc_addr + 5, busy ? b | DT_BUSY : b & ~(u32)DT_BUSY, 1);
}

static void load_ldt(struct cpu_state *cs, u16 sel)
{
	struct desc d;

	cs->ldt = (struct cpu_seg){ .sel = sel };
	if (sel_null(sel))
		return;
	if ((sel & 4) || !desc_fetch(cs, sel, &d) || desc_type(&d) != DT_LDT || !desc_present(&d))
		raise_sel(cs, VEC_TS, sel);
	desc_to_seg(&cs->ldt, sel, &d);
}

static void load_code(struct cpu_state *cs, u16 sel)
{
	struct desc d;

	desc_need(cs, sel, &d, VEC_TS);
	if (!desc_code(&d) || (desc_conforming_code(&d) ? desc_dpl(&d) > (sel & 3u) : desc_dpl(&d) != (sel & 3u)))
		raise_sel(cs, VEC_TS, sel);
	if (!desc_present(&d))
		raise_sel(cs, VEC_NP, sel);
	desc_set_accessed(cs, &d);
	seg_set(cs, S_CS, sel, &d);
}

static void load_segments(struct cpu_state *cs, const struct task_image *t)
{
	static const u8 data[] = { S_ES, S_DS, S_FS, S_GS };

	if (cpu_v86(cs)) {
		for (int i = 0; i < 6; i++)
			seg_load_real(cs, i, t->seg[i]);
		return;
	}
	load_code(cs, t->seg[S_CS]);
	seg_load(cs, S_SS, t->seg[S_SS], VEC_TS);
	for (int i = 0; i < 4; i++)
		seg_load(cs, data[i], t->seg[data[i]], VEC_TS);
}

/* The registers that cannot fail. */
static void load_registers(struct cpu_state *cs, const struct task_image *t, bool is32)
{
	for (int i = 0; i < 8; i++)
		cs->gpr[i] = t->gpr[i];
	cs->rip = t->eip;
	for (int i = 0; i < 6; i++)
		seg_set_null(cs, i, t->seg[i]);
	cs->cpl = t->eflags & FL_VM ? 3 : t->seg[S_CS] & 3;
	cs->cr0 |= CR0_TS;
	if (cs->dr[7] & DR7_LOCAL) {
		cs->dr[7] &= ~(u64)DR7_LOCAL;
		watch_update(cs);
	}
	if (is32 && (cs->cr0 & CR0_PG) && cs->cr3 != t->cr3) {
		cs->cr3 = t->cr3;
		mmu_cr3_written(cs);
	}
	cpu_set_eflags(cs, t->eflags);
}

static void push_error(struct cpu_state *cs, u32 error, u32 size)
{
	struct stack st = stack_current(cs);

	if (!stack_prepare(cs, &st, 1, size))
		raise_sel(cs, VEC_SS, 0);
	stack_push(cs, &st, error, size);
	cs->gpr[R_ESP] = st.sp;
}

void task_switch(struct cpu_state *cs, u16 sel, struct desc *d, enum task_reason why, u32 return_ip, s64 error)
{
	bool is32 = desc_type(d) & DT_GATE32, nested = why == TASK_CALL || why == TASK_INT;
	const struct tss_layout *from = &layouts[tss32(&cs->tr)], *to = &layouts[is32];
	u32 old_flags = cpu_eflags(cs);
	u16 old_sel = cs->tr.sel;
	struct task_image t;

	if (desc_limit(d) < to->min_limit || cs->tr.limit < from->min_limit)
		raise_sel(cs, VEC_TS, sel);
	probe_switch(cs, from, d, why);
	read_task(cs, to, desc_base(d), &t);
	if (is32 && (cs->cr0 & CR0_PG) && (cs->cr4 & CR4_PAE) && cs->cr3 != t.cr3 && !mmu_pdptes_valid(cs, t.cr3))
		raise_sel(cs, VEC_TS, sel);

	if (!nested)
		set_busy(cs, cs->gdt.base + (old_sel & 0xfff8), false);
	save_task(cs, from, return_ip, why == TASK_IRET ? old_flags & ~(u32)FL_NT : old_flags);
	if (nested) {
		sys_write(cs, desc_base(d) + TSS_LINK, old_sel, 2);
		t.eflags |= FL_NT;
	}
	if (why != TASK_IRET)
		set_busy(cs, d->addr, true);
	d->hi |= DT_BUSY << 8;
	desc_to_seg(&cs->tr, sel, d);
	load_registers(cs, &t, is32);
	load_ldt(cs, t.ldt);
	load_segments(cs, &t);
	cpu_update_mode(cs);
	if (error >= 0)
		push_error(cs, (u32)error, to->size);
	if (cs->rip > cs->seg[S_CS].limit)
		raise_sel(cs, VEC_GP, 0);
	if (t.trap) {
		cs->dr[6] |= DR6_BT;
		cpu_raise(cs, VEC_DB, TR_NO_ERR);
	}
}

void task_gate_switch(struct cpu_state *cs, u32 tss_sel, enum task_reason why, u32 return_ip, s64 error)
{
	u16 sel = (u16)tss_sel;
	struct desc d;

	if ((sel & 4) || sel_null(sel) || !desc_fetch(cs, sel, &d) || !desc_free_tss(&d))
		raise_sel(cs, VEC_GP, sel);
	if (!desc_present(&d))
		raise_sel(cs, VEC_NP, sel);
	task_switch(cs, sel, &d, why, return_ip, error);
}

void task_return(struct cpu_state *cs, u32 return_ip)
{
	u16 sel = (u16)sys_read(cs, cs->tr.base + TSS_LINK, 2);
	struct desc d;

	if ((sel & 4) || sel_null(sel) || !desc_fetch(cs, sel, &d) || !desc_busy_tss(&d))
		raise_sel(cs, VEC_TS, sel);
	if (!desc_present(&d))
		raise_sel(cs, VEC_NP, sel);
	task_switch(cs, sel, &d, TASK_IRET, return_ip, -1);
}
