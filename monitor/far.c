/*
 * far.c - far jumps, calls and returns, call gates, and IRET in all its forms (SDM vol. 2: JMP, CALL, RET, IRET).
 *
 * Everything is read and checked, and stacks are probed, before the first register changes.
 */
#include "monitor/callouts.h"
#include "monitor/segment.h"
#include "monitor/task.h"

enum { CR4_VME = 1 };

static u32 mask_ip(u32 ip, u32 os) { return os == 2 ? ip & 0xffff : ip; }

static void check_ip(struct cpu_state *cs, u32 ip, u32 limit)
{
	if (ip > limit)
		cpu_gp(cs, 0);
}

/* Loads CS with a checked descriptor and goes on at `ip`. */
static void set_cs(struct cpu_state *cs, u16 sel, u32 cpl, struct desc *d, u32 ip)
{
	seg_set(cs, S_CS, (u16)((sel & ~3u) | cpl), d);
	cs->cpl = (u8)cpl;
	cs->rip = ip;
}

/* Real and V86 mode: no descriptors. In V86 mode the limit becomes 64 KiB, in real mode it stays. */
static void check_ip_real(struct cpu_state *cs, u32 ip)
{
	check_ip(cs, ip, cpu_v86(cs) ? 0xffff : cs->seg[S_CS].limit);
}

static void jump_real(struct cpu_state *cs, u16 sel, u32 ip)
{
	seg_load_real(cs, S_CS, sel);
	cs->rip = ip;
	cpu_update_mode(cs);
}

/* --- JMP and CALL --- */
static void check_direct(struct cpu_state *cs, u16 sel, const struct desc *d)
{
	bool ok = desc_conforming_code(d) ? desc_dpl(d) <= cs->cpl : (sel & 3) <= cs->cpl && desc_dpl(d) == cs->cpl;

	if (!ok)
		raise_sel(cs, VEC_GP, sel);
	if (!desc_present(d))
		raise_sel(cs, VEC_NP, sel);
}

static void check_gate(struct cpu_state *cs, u16 sel, const struct desc *gate)
{
	if (desc_dpl(gate) < cs->cpl || desc_dpl(gate) < (sel & 3u))
		raise_sel(cs, VEC_GP, sel);
	if (!desc_present(gate))
		raise_sel(cs, VEC_NP, sel);
}

/* The code segment behind a call gate. */
static u16 gate_target(struct cpu_state *cs, const struct desc *gate, struct desc *code)
{
	u16 sel = (u16)gate_selector(gate);

	desc_need(cs, sel, code, VEC_GP);
	if (!desc_code(code) || desc_dpl(code) > cs->cpl)
		raise_sel(cs, VEC_GP, sel);
	if (!desc_present(code))
		raise_sel(cs, VEC_NP, sel);
	return sel;
}

static void jump_call_gate(struct cpu_state *cs, const struct desc *gate)
{
	struct desc code;
	u16 sel = gate_target(cs, gate, &code);

	if (!desc_conforming_code(&code) && desc_dpl(&code) != cs->cpl)
		raise_sel(cs, VEC_GP, sel);
	check_ip(cs, gate_offset(gate), desc_limit(&code));
	desc_set_accessed(cs, &code);
	set_cs(cs, sel, cs->cpl, &code, gate_offset(gate));
	cpu_update_mode(cs);
}

/* Pushes CS:IP on the current stack and goes to a code segment of the same privilege. */
static void call_same(struct cpu_state *cs, u16 sel, struct desc *code, u32 ip, u32 size)
{
	struct stack st = stack_current(cs);

	if (!stack_prepare(cs, &st, 2, size))
		cpu_raise(cs, VEC_SS, 0);
	check_ip(cs, ip, desc_limit(code));
	desc_set_accessed(cs, code);
	stack_push(cs, &st, cs->seg[S_CS].sel, size);
	stack_push(cs, &st, (u32)cs->next_rip, size);
	cs->gpr[R_ESP] = st.sp;
	set_cs(cs, sel, cs->cpl, code, ip);
	cpu_update_mode(cs);
}

/* A call gate to a more privileged ring: new stack from the TSS, parameters copied from the old one. */
static void call_inner(struct cpu_state *cs, const struct desc *gate, u16 sel, struct desc *code)
{
	u32 size = desc_type(gate) & DT_GATE32 ? 4 : 2, count = gate->hi & 31, cpl = desc_dpl(code), esp, param[31];
	struct stack old = stack_current(cs), st;
	struct cpu_seg ss;
	struct desc ssd;
	u16 ss_sel;

	tss_stack(cs, cpl, &ss_sel, &esp);
	seg_check_stack(cs, ss_sel, cpl, &ssd, VEC_TS);
	desc_to_seg(&ss, ss_sel, &ssd);
	st = stack_at(&ss, esp, 0);
	for (u32 i = 0; i < count; i++)
		param[i] = stack_peek(cs, &old, i, size, 0);
	if (!stack_prepare(cs, &st, 4 + count, size))
		raise_sel(cs, VEC_SS, ss_sel);
	check_ip(cs, gate_offset(gate), desc_limit(code));
	desc_set_accessed(cs, code);
	desc_set_accessed(cs, &ssd);
	stack_push(cs, &st, cs->seg[S_SS].sel, size);
	stack_push(cs, &st, old.sp, size);
	for (u32 i = count; i-- > 0;)
		stack_push(cs, &st, param[i], size);
	stack_push(cs, &st, cs->seg[S_CS].sel, size);
	stack_push(cs, &st, (u32)cs->next_rip, size);
	seg_set(cs, S_SS, ss_sel, &ssd);
	cs->gpr[R_ESP] = st.sp;
	set_cs(cs, sel, cpl, code, gate_offset(gate));
	cpu_update_mode(cs);
}

static void call_call_gate(struct cpu_state *cs, const struct desc *gate)
{
	struct desc code;
	u16 sel = gate_target(cs, gate, &code);

	if (!desc_conforming_code(&code) && desc_dpl(&code) < cs->cpl)
		call_inner(cs, gate, sel, &code);
	else
		call_same(cs, sel, &code, gate_offset(gate), desc_type(gate) & DT_GATE32 ? 4 : 2);
}

/* JMP and CALL to a selector that names a gate or a TSS. */
static void far_system(struct cpu_state *cs, u16 sel, struct desc *d, bool call)
{
	enum task_reason why = call ? TASK_CALL : TASK_JMP;

	switch (desc_type(d)) {
	case DT_CALL16: case DT_CALL32:
		check_gate(cs, sel, d);
		if (call)
			call_call_gate(cs, d);
		else
			jump_call_gate(cs, d);
		break;
	case DT_TASK_GATE:
		check_gate(cs, sel, d);
		task_gate_switch(cs, gate_selector(d), why, (u32)cs->next_rip, -1);
		break;
	case DT_TSS16: case DT_TSS32:
		check_gate(cs, sel, d);
		if (sel & 4)
			raise_sel(cs, VEC_GP, sel);
		task_switch(cs, sel, d, why, (u32)cs->next_rip, -1);
		break;
	default:
		raise_sel(cs, VEC_GP, sel);
	}
}

void callout_FAR_JMP(struct cpu_state *cs, u32 arg)
{
	u32 ip = mask_ip((u32)cs->op[1], arg & 15);
	u16 sel = (u16)cs->op[0];
	struct desc d;

	if (!cpu_protected(cs)) {
		check_ip_real(cs, ip);
		jump_real(cs, sel, ip);
		return;
	}
	desc_need(cs, sel, &d, VEC_GP);
	if (!desc_code(&d)) {
		far_system(cs, sel, &d, false);
		return;
	}
	check_direct(cs, sel, &d);
	check_ip(cs, ip, desc_limit(&d));
	desc_set_accessed(cs, &d);
	set_cs(cs, sel, cs->cpl, &d, ip);
	cpu_update_mode(cs);
}

static void call_real(struct cpu_state *cs, u16 sel, u32 ip, u32 size)
{
	struct stack st = stack_current(cs);

	if (!stack_prepare(cs, &st, 2, size))
		cpu_raise(cs, VEC_SS, 0);
	check_ip_real(cs, ip);
	stack_push(cs, &st, cs->seg[S_CS].sel, size);
	stack_push(cs, &st, (u32)cs->next_rip, size);
	cs->gpr[R_ESP] = st.sp;
	jump_real(cs, sel, ip);
}

void callout_FAR_CALL(struct cpu_state *cs, u32 arg)
{
	u32 size = arg & 15, ip = mask_ip((u32)cs->op[1], size);
	u16 sel = (u16)cs->op[0];
	struct desc d;

	if (!cpu_protected(cs)) {
		call_real(cs, sel, ip, size);
		return;
	}
	desc_need(cs, sel, &d, VEC_GP);
	if (!desc_code(&d)) {
		far_system(cs, sel, &d, true);
		return;
	}
	check_direct(cs, sel, &d);
	call_same(cs, sel, &d, ip, size);
}

/* --- RET and IRET --- */
/* The code segment that a return names: RPL is the privilege to return to, never an inner one. */
static void check_return_code(struct cpu_state *cs, u16 sel, struct desc *d)
{
	u32 rpl = sel & 3;

	desc_need(cs, sel, d, VEC_GP);
	if (!desc_code(d) || rpl < cs->cpl || (desc_conforming_code(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl))
		raise_sel(cs, VEC_GP, sel);
	if (!desc_present(d))
		raise_sel(cs, VEC_NP, sel);
}

/* A segment register that the outer ring may not have is emptied (SDM vol. 2, RET: RETURN-TO-OUTER-PRIVILEGE-LEVEL). */
static void drop_inner_segments(struct cpu_state *cs, u32 cpl)
{
	static const u8 data[] = { S_ES, S_DS, S_FS, S_GS };

	for (int i = 0; i < 4; i++) {
		u16 attr = cs->seg[data[i]].attr;
		bool conforming = (attr & (SA_CODE | SA_CE)) == (SA_CODE | SA_CE);

		if (attr && !conforming && (u32)(attr >> 5 & 3) < cpl)
			seg_set_null(cs, data[i], 0);
	}
}

/* Return to an outer ring: SS:ESP lies at element `index` above the stack pointer plus `release`. */
static void return_outer(struct cpu_state *cs, const struct stack *st, u32 index, u32 size, u32 release, u16 sel, struct desc *code, u32 ip)
{
	u32 cpl = sel & 3, esp = stack_peek(cs, st, index, size, release);
	u16 ss_sel = (u16)stack_peek(cs, st, index + 1, size, release);
	struct desc ssd;

	seg_check_stack(cs, ss_sel, cpl, &ssd, VEC_GP);
	check_ip(cs, ip, desc_limit(code));
	desc_set_accessed(cs, code);
	desc_set_accessed(cs, &ssd);
	seg_set(cs, S_SS, ss_sel, &ssd);
	esp += release;
	if (cs->seg[S_SS].attr & SA_DB)
		cs->gpr[R_ESP] = esp;
	else		/* only SP is loaded: the old "espfix" leak, which guests work around */
		gpr_put(cs, R_ESP, esp, 2);
	drop_inner_segments(cs, cpl);
	set_cs(cs, sel, cpl, code, ip);
}

void callout_FAR_RET(struct cpu_state *cs, u32 arg)
{
	u32 size = arg & 15, release = (u32)cs->op[0] & 0xffff;
	struct stack st = stack_current(cs);
	u32 ip = stack_peek(cs, &st, 0, size, 0);
	u16 sel = (u16)stack_peek(cs, &st, 1, size, 0);
	struct desc d;

	if (!cpu_protected(cs)) {
		check_ip_real(cs, ip);
		stack_move(&st, 2 * size + release);
		cs->gpr[R_ESP] = st.sp;
		jump_real(cs, sel, ip);
		return;
	}
	check_return_code(cs, sel, &d);
	if ((sel & 3) > cs->cpl) {
		return_outer(cs, &st, 2, size, release, sel, &d, ip);
	} else {
		check_ip(cs, ip, desc_limit(&d));
		desc_set_accessed(cs, &d);
		stack_move(&st, 2 * size + release);
		cs->gpr[R_ESP] = st.sp;
		set_cs(cs, sel, cs->cpl, &d, ip);
	}
	cpu_update_mode(cs);
}

/* EFLAGS after IRET at privilege `cpl`; in V86 mode IOPL and the virtual interrupt flags stay. */
static u32 iret_flags(const struct cpu_state *cs, u32 image, u32 size, u32 cpl)
{
	u32 old = cpu_eflags(cs), mask = FL_ARITH | FL_TF | FL_DF | FL_NT;

	if (size == 4)
		mask |= FL_RF | FL_AC | FL_ID;
	if (cpl <= (old >> 12 & 3))
		mask |= FL_IF;
	if (cpl == 0)
		mask |= FL_IOPL | (size == 4 ? FL_VIF | FL_VIP : 0);
	return (old & ~mask) | (image & mask);
}

/* V86 mode with IOPL below 3 and VME: a 16-bit IRET works on VIF (SDM vol. 3, 20.3.2). */
static u32 iret_flags_vme(struct cpu_state *cs, u32 image, u32 size)
{
	u32 flags;

	if (!(cs->cr4 & CR4_VME) || size != 2)
		cpu_gp(cs, 0);
	flags = cpu_eflags(cs);
	if ((image & FL_TF) || ((image & FL_IF) && (flags & FL_VIP)))
		cpu_gp(cs, 0);
	flags = (flags & ~(u32)(FL_ARITH | FL_DF | FL_NT | FL_TF | FL_VIF)) | (image & (FL_ARITH | FL_DF | FL_NT));
	return flags | (image & FL_IF ? FL_VIF : 0);
}

static void iret_real(struct cpu_state *cs, struct stack *st, u32 size)
{
	u32 ip = stack_peek(cs, st, 0, size, 0), image = stack_peek(cs, st, 2, size, 0), flags;
	u16 sel = (u16)stack_peek(cs, st, 1, size, 0);

	check_ip_real(cs, ip);
	if (cpu_v86(cs) && (cs->eflags_sys & FL_IOPL) != FL_IOPL)
		flags = iret_flags_vme(cs, image, size);
	else
		flags = iret_flags(cs, image, size, cs->cpl);
	if (!cpu_v86(cs))	/* "EFLAGS AND 1A0000H" keeps VIP and VIF */
		flags = (flags & ~(u32)(FL_VIF | FL_VIP)) | (cpu_eflags(cs) & (FL_VIF | FL_VIP));
	stack_move(st, 3 * size);
	cs->gpr[R_ESP] = st->sp;
	seg_load_real(cs, S_CS, sel);
	cs->rip = ip;
	cpu_set_eflags(cs, flags);
}

/* EIP CS EFLAGS ESP SS ES DS FS GS */
static void iret_to_v86(struct cpu_state *cs, const struct stack *st, u32 ip, u16 sel, u32 flags)
{
	static const u8 order[] = { S_SS, S_ES, S_DS, S_FS, S_GS };
	u32 esp = stack_peek(cs, st, 3, 4, 0);
	u16 sels[5];

	for (u32 i = 0; i < 5; i++)
		sels[i] = (u16)stack_peek(cs, st, 4 + i, 4, 0);
	check_ip(cs, ip, 0xffff);
	cs->cpl = 3;
	cs->eflags_sys |= FL_VM;
	seg_load_real(cs, S_CS, sel);
	for (int i = 0; i < 5; i++)
		seg_load_real(cs, order[i], sels[i]);
	cs->gpr[R_ESP] = esp;
	cs->rip = ip;
	cpu_set_eflags(cs, flags);
}

static void iret_protected(struct cpu_state *cs, struct stack *st, u32 size)
{
	u32 ip = stack_peek(cs, st, 0, size, 0), flags = stack_peek(cs, st, 2, size, 0);
	u16 sel = (u16)stack_peek(cs, st, 1, size, 0);
	struct desc d;

	if (size == 4 && (flags & FL_VM) && cs->cpl == 0) {
		iret_to_v86(cs, st, ip, sel, flags);
		return;
	}
	flags = iret_flags(cs, flags, size, cs->cpl);
	check_return_code(cs, sel, &d);
	if ((sel & 3) > cs->cpl) {
		return_outer(cs, st, 3, size, 0, sel, &d, ip);
	} else {
		check_ip(cs, ip, desc_limit(&d));
		desc_set_accessed(cs, &d);
		stack_move(st, 3 * size);
		cs->gpr[R_ESP] = st->sp;
		set_cs(cs, sel, cs->cpl, &d, ip);
	}
	cpu_set_eflags(cs, flags);
}

void callout_IRET(struct cpu_state *cs, u32 arg)
{
	struct vcpu *vcpu = vcpu_of(cs);
	struct stack st = stack_current(cs);

	if (!cpu_protected(cs))
		iret_real(cs, &st, arg & 15);
	else if (cs->eflags_sys & FL_NT)
		task_return(cs, (u32)cs->next_rip);
	else
		iret_protected(cs, &st, arg & 15);
	vcpu->nmi_blocked = false;
	if (unlikely(vcpu->nmi_pending))
		__atomic_store_n(&cs->go, 0, __ATOMIC_RELAXED);
}
