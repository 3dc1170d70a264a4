/*
 * syscall.c - fast system calls: SYSENTER, SYSEXIT and, outside long mode, SYSCALL and SYSRET (SDM vol. 2; AMD APM vol. 3).
 *
 * They load flat segments without looking at descriptors.
 */
#include "monitor/callouts.h"
#include "monitor/msr.h"
#include "monitor/segment.h"

enum {
	ATTR_CODE = SA_G | SA_DB | SA_P | SA_S | SA_CODE | SA_RW | SA_ACCESSED,
	ATTR_DATA = SA_G | SA_DB | SA_P | SA_S | SA_RW | SA_ACCESSED,
	EFER_SCE = 1,
};

static void enter_flat(struct cpu_state *cs, u16 code_sel, u16 stack_sel, u32 cpl, u32 eip)
{
	seg_set_flat(cs, S_CS, (u16)((code_sel & 0xfffc) | cpl), (u16)(ATTR_CODE | cpl << 5));
	seg_set_flat(cs, S_SS, (u16)((stack_sel & 0xfffc) | cpl), (u16)(ATTR_DATA | cpl << 5));
	cs->cpl = (u8)cpl;
	cs->rip = eip;
	cpu_update_mode(cs);
}

void callout_SYSENTER(struct cpu_state *cs, u32 arg)
{
	const u64 *msr = vcpu_of(cs)->msr->value;
	u16 sel = (u16)msr[MSR_SYSENTER_CS];

	if (!(cs->cr0 & 1) || sel_null(sel))
		cpu_gp(cs, 0);
	cs->eflags_sys &= ~(u32)(FL_VM | FL_RF);
	cs->iflag = 0;
	cs->gpr[R_ESP] = (u32)msr[MSR_SYSENTER_ESP];
	enter_flat(cs, sel, (u16)(sel + 8), 0, (u32)msr[MSR_SYSENTER_EIP]);
}

void callout_SYSEXIT(struct cpu_state *cs, u32 arg)
{
	u16 sel = (u16)vcpu_of(cs)->msr->value[MSR_SYSENTER_CS];

	if (!(cs->cr0 & 1) || sel_null(sel) || cs->cpl)
		cpu_gp(cs, 0);
	cs->gpr[R_ESP] = (u32)cs->gpr[R_ECX];
	enter_flat(cs, (u16)(sel + 16), (u16)(sel + 24), 3, (u32)cs->gpr[R_EDX]);
}

static void need_sce(struct cpu_state *cs)
{
	if (!(cs->efer & EFER_SCE))
		cpu_raise(cs, VEC_UD, TR_NO_ERR);
}

void callout_SYSCALL(struct cpu_state *cs, u32 arg)
{
	u64 star = vcpu_of(cs)->msr->value[MSR_STAR];
	u16 sel = (u16)(star >> 32);

	need_sce(cs);
	if (!(cs->cr0 & 1))
		cpu_raise(cs, VEC_UD, TR_NO_ERR);
	cs->gpr[R_ECX] = (u32)cs->next_rip;
	cs->eflags_sys &= ~(u32)(FL_VM | FL_RF);
	cs->iflag = 0;
	enter_flat(cs, sel, (u16)(sel + 8), 0, (u32)star);
}

void callout_SYSRET(struct cpu_state *cs, u32 arg)
{
	u16 sel = (u16)(vcpu_of(cs)->msr->value[MSR_STAR] >> 48);

	need_sce(cs);
	if (!(cs->cr0 & 1) || cs->cpl)
		cpu_gp(cs, 0);
	cs->iflag = 1;
	cpu_if_changed(cs);
	enter_flat(cs, sel, (u16)(sel + 8), 3, (u32)cs->gpr[R_ECX]);
}
