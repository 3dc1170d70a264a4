/*
 * except.c - delivery of exceptions and interrupts through the IVT or the IDT (SDM vol. 3, chapter 6; vol. 2, INT n).
 *
 * Delivery reads and checks everything first, probes the whole stack frame, and only then changes state: a fault on the way
 * leaves the interrupted state as it was and is combined with the first event by the run loop (except_combine()).
 * vcpu->delivery_external is true exactly while an event other than an INT instruction is being delivered.
 */
#include "monitor/callouts.h"
#include "monitor/except.h"
#include "monitor/segment.h"
#include "monitor/task.h"

enum { DR7_GD = 1 << 13, IDT_ERROR = 2, CR0_MP = 2, CR0_EM = 4, CR0_TS = 8 };

static bool contributory(int vector)
{
	return vector == VEC_DE || (vector >= VEC_TS && vector <= VEC_GP);
}

int except_combine(int first, int second)
{
	bool serious = contributory(second) || second == VEC_PF;

	if (first == VEC_DF && serious)
		return -1;
	if (first == VEC_PF && serious)
		return VEC_DF;
	if (first >= 0 && contributory(first) && contributory(second))
		return VEC_DF;
	return second;
}

/* RF in the pushed image: set for faults other than #DB, so that a code breakpoint does not fire again on return (SDM vol. 3, 17.3.1.1). */
static u32 pushed_flags(const struct cpu_state *cs, int vector, enum deliver_kind kind)
{
	u32 flags = cpu_eflags(cs);

	if (kind != DELIVER_EXCEPTION)
		return flags & ~(u32)FL_RF;
	return vector == VEC_DB ? flags : flags | FL_RF;
}

void except_deliver_ivt(struct cpu_state *cs, int vector, u32 table, u32 flags, u32 return_ip)
{
	struct stack st = stack_current(cs);
	u32 target = (u32)acc_read(cs, table + 4u * (u32)vector, 4, acc_cpl(cs));

	if (!stack_prepare(cs, &st, 3, 2))
		cpu_raise(cs, VEC_SS, 0);
	stack_push(cs, &st, flags & 0xffff, 2);
	stack_push(cs, &st, cs->seg[S_CS].sel, 2);
	stack_push(cs, &st, return_ip, 2);
	cs->gpr[R_ESP] = st.sp;
	seg_load_real(cs, S_CS, target >> 16);
	cs->rip = target & 0xffff;
}

static void deliver_real(struct cpu_state *cs, int vector, enum deliver_kind kind, u32 return_ip)
{
	if ((u32)vector * 4 + 3 > cs->idt.limit)
		cpu_gp(cs, (u32)vector * 8 + IDT_ERROR + (kind != DELIVER_SOFT));
	except_deliver_ivt(cs, vector, (u32)cs->idt.base, pushed_flags(cs, vector, kind), return_ip);
	cs->iflag = 0;
	cs->eflags_sys &= ~(u32)(FL_TF | FL_RF | FL_AC);
	cpu_update_mode(cs);
}

/* What an interrupt or trap gate leads to, checked. */
struct entry {
	struct desc gate, code;
	u16 sel;
	u32 offset, size;	/* size of what is pushed: 2 or 4 */
	u32 flags, return_ip;
	bool has_error;
	u32 error;
};

static void push_frame(struct cpu_state *cs, struct stack *st, const struct entry *e)
{
	stack_push(cs, st, e->flags, e->size);
	stack_push(cs, st, cs->seg[S_CS].sel, e->size);
	stack_push(cs, st, e->return_ip, e->size);
	if (e->has_error)
		stack_push(cs, st, e->error, e->size);
}

static void enter_handler(struct cpu_state *cs, struct entry *e, u32 cpl)
{
	cs->cpl = (u8)cpl;
	cs->eflags_sys &= ~(u32)(FL_TF | FL_NT | FL_RF | FL_VM);
	if (!(desc_type(&e->gate) & 1))		/* an interrupt gate, not a trap gate */
		cs->iflag = 0;
	seg_set(cs, S_CS, (u16)((e->sel & ~3u) | cpl), &e->code);
	cs->rip = e->offset;
	cpu_update_mode(cs);
}

static void check_offset(struct cpu_state *cs, const struct entry *e)
{
	if (e->offset > desc_limit(&e->code))
		raise_sel(cs, VEC_GP, 0);
}

static void deliver_same(struct cpu_state *cs, struct entry *e)
{
	struct stack st = stack_current(cs);

	if (!stack_prepare(cs, &st, 3 + e->has_error, e->size))
		raise_sel(cs, VEC_SS, 0);
	check_offset(cs, e);
	desc_set_accessed(cs, &e->code);
	push_frame(cs, &st, e);
	cs->gpr[R_ESP] = st.sp;
	enter_handler(cs, e, cs->cpl);
}

static void push_v86_segments(struct cpu_state *cs, struct stack *st, u32 size)
{
	static const u8 order[] = { S_GS, S_FS, S_DS, S_ES };

	for (int i = 0; i < 4; i++)
		stack_push(cs, st, cs->seg[order[i]].sel, size);
}

static void deliver_inner(struct cpu_state *cs, struct entry *e, u32 cpl)
{
	bool v86 = cpu_v86(cs);
	struct cpu_seg ss;
	struct desc ssd;
	struct stack st;
	u16 ss_sel;
	u32 esp;

	tss_stack(cs, cpl, &ss_sel, &esp);
	seg_check_stack(cs, ss_sel, cpl, &ssd, VEC_TS);
	desc_to_seg(&ss, ss_sel, &ssd);
	st = stack_at(&ss, esp, 0);
	if (!stack_prepare(cs, &st, (v86 ? 9 : 5) + e->has_error, e->size))
		raise_sel(cs, VEC_SS, ss_sel);
	check_offset(cs, e);
	desc_set_accessed(cs, &e->code);
	desc_set_accessed(cs, &ssd);
	if (v86)
		push_v86_segments(cs, &st, e->size);
	stack_push(cs, &st, cs->seg[S_SS].sel, e->size);
	stack_push(cs, &st, gpr32(cs, R_ESP), e->size);
	push_frame(cs, &st, e);
	if (v86) {
		seg_set_null(cs, S_ES, 0);
		seg_set_null(cs, S_DS, 0);
		seg_set_null(cs, S_FS, 0);
		seg_set_null(cs, S_GS, 0);
	}
	seg_set(cs, S_SS, ss_sel, &ssd);
	cs->gpr[R_ESP] = st.sp;
	enter_handler(cs, e, cpl);
}

static void deliver_task(struct cpu_state *cs, const struct entry *e)
{
	task_gate_switch(cs, gate_selector(&e->gate), TASK_INT, e->return_ip, e->has_error ? (s64)e->error : -1);
}

static void check_code(struct cpu_state *cs, struct entry *e)
{
	e->sel = (u16)gate_selector(&e->gate);
	desc_need(cs, e->sel, &e->code, VEC_GP);
	if (!desc_code(&e->code) || desc_dpl(&e->code) > cs->cpl)
		raise_sel(cs, VEC_GP, e->sel);
	if (!desc_present(&e->code))
		raise_sel(cs, VEC_NP, e->sel);
}

static void deliver_protected(struct cpu_state *cs, int vector, int error, enum deliver_kind kind, u32 return_ip)
{
	struct entry e = { .return_ip = return_ip, .has_error = error != TR_NO_ERR, .error = (u32)error };
	u32 idt_error = (u32)vector * 8 + IDT_ERROR + (kind != DELIVER_SOFT), type;
	u64 raw;

	if ((u32)vector * 8 + 7 > cs->idt.limit)
		cpu_gp(cs, idt_error);
	raw = sys_read(cs, cs->idt.base + (u32)vector * 8, 8);
	e.gate.lo = (u32)raw;
	e.gate.hi = (u32)(raw >> 32);
	type = desc_type(&e.gate);
	if (type != DT_INT32 && type != DT_TRAP32 && type != DT_INT16 && type != DT_TRAP16 && type != DT_TASK_GATE)
		cpu_gp(cs, idt_error);
	if (kind == DELIVER_SOFT && desc_dpl(&e.gate) < cs->cpl)
		cpu_gp(cs, idt_error);
	if (!desc_present(&e.gate))
		cpu_raise(cs, VEC_NP, (int)idt_error);
	if (type == DT_TASK_GATE) {
		deliver_task(cs, &e);
		return;
	}
	e.size = type & DT_GATE32 ? 4 : 2;
	e.offset = gate_offset(&e.gate);
	e.flags = pushed_flags(cs, vector, kind);
	check_code(cs, &e);
	if (cpu_v86(cs) && (desc_conforming_code(&e.code) || desc_dpl(&e.code)))
		raise_sel(cs, VEC_GP, e.sel);
	if (!desc_conforming_code(&e.code) && desc_dpl(&e.code) < cs->cpl)
		deliver_inner(cs, &e, desc_dpl(&e.code));
	else
		deliver_same(cs, &e);
}

void cpu_deliver(struct cpu_state *cs, int vector, int error, enum deliver_kind kind)
{
	struct vcpu *vcpu = vcpu_of(cs);
	u32 return_ip = (u32)(kind == DELIVER_SOFT || kind == DELIVER_ICEBP ? cs->next_rip : cs->rip);

	vcpu->delivery_external = kind != DELIVER_SOFT;
	if (cs->cr0 & 1)
		deliver_protected(cs, vector, error, kind, return_ip);
	else
		deliver_real(cs, vector, kind, return_ip);
	if (vector == VEC_DB && kind != DELIVER_SOFT)
		cs->dr[7] &= ~(u64)DR7_GD;
	vcpu->int_delivered |= kind == DELIVER_SOFT || kind == DELIVER_ICEBP;
	vcpu->delivery_external = false;
}

/* --- callouts --- */
void callout_RAISE(struct cpu_state *cs, u32 arg)
{
	cpu_raise(cs, arg & 0xff, arg & 0x100 ? (int)cs->op[0] : TR_NO_ERR);
}

void callout_FPU_TRAP(struct cpu_state *cs, u32 arg)
{
	enum { TRAP_X87, TRAP_WAIT, TRAP_VECTOR };

	if (arg == TRAP_VECTOR && (cs->cr0 & CR0_EM))
		cpu_raise(cs, VEC_UD, TR_NO_ERR);
	if (arg == TRAP_WAIT && (cs->cr0 & (CR0_MP | CR0_TS)) != (CR0_MP | CR0_TS)) {
		cs->rip = cs->next_rip;
		return;
	}
	cpu_raise(cs, VEC_NM, TR_NO_ERR);
}

void callout_BOUND(struct cpu_state *cs, u32 arg)
{
	s32 index = (s32)cs->op[0], lower = (s32)cs->op[1], upper = (s32)cs->op[2];

	if ((arg & 15) == 2) {
		index = (s16)index;
		lower = (s16)lower;
		upper = (s16)upper;
	}
	if (index < lower || index > upper)
		cpu_raise(cs, VEC_BR, TR_NO_ERR);
}
