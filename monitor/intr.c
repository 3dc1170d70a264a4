/*
 * intr.c - software interrupts, and the interrupt flag where the mode key does not allow inline code: INT, CLI, STI, PUSHF, POPF, HLT.
 *
 * IF is virtual twice: for V86 mode (VME) and for ring 3 (PVI) CR4 can redirect CLI and STI to VIF (SDM vol. 3, 20.3 and 20.4).
 */
#include "monitor/callouts.h"
#include "monitor/except.h"
#include "monitor/segment.h"
#include "monitor/task.h"

enum { CR4_VME = 1, CR4_PVI = 2 };
enum int_kind { INT_N, INT_3, INT_O, INT_1 };

static u32 iopl(const struct cpu_state *cs) { return cs->eflags_sys >> 12 & 3; }

/* Through the 8086 program's own vector table at linear address 0 (SDM vol. 3, table 20-2, methods 5 and 6). */
static void int_redirected(struct cpu_state *cs, int vector)
{
	u32 flags = cpu_eflags(cs);
	bool virtual_if = iopl(cs) < 3;

	if (virtual_if)
		flags = (flags & ~(u32)FL_IF) | FL_IOPL | (flags & FL_VIF ? FL_IF : 0);
	except_deliver_ivt(cs, vector, 0, flags, (u32)cs->next_rip);
	vcpu_of(cs)->int_delivered = true;
	if (virtual_if)
		cs->eflags_sys &= ~(u32)FL_VIF;
	else
		cs->iflag = 0;
	cs->eflags_sys &= ~(u32)(FL_TF | FL_RF);
	cpu_update_mode(cs);
}

void callout_INT(struct cpu_state *cs, u32 arg)
{
	int vector = arg & 0xff;
	enum int_kind kind = (enum int_kind)(arg >> 8 & 3);

	if (kind == INT_O && !(cs->cc & FL_OF)) {
		cs->rip = cs->next_rip;
		return;
	}
	if (kind == INT_N && vcpu_of(cs)->soft_int)
		vcpu_of(cs)->soft_int(cs, vector);
	if (kind == INT_N && cpu_v86(cs)) {
		if ((cs->cr4 & CR4_VME) && tss_int_redirected(cs, (u32)vector)) {
			int_redirected(cs, vector);
			return;
		}
		if (iopl(cs) < 3)
			cpu_gp(cs, 0);
	}
	cpu_deliver(cs, vector, TR_NO_ERR, kind == INT_1 ? DELIVER_ICEBP : DELIVER_SOFT);
}

/* True if IF itself is to be changed, false for VIF; else #GP(0). */
static bool may_change_if(struct cpu_state *cs)
{
	if (cs->cpl <= iopl(cs))
		return true;
	if (!(cs->cpl == 3 && (cs->cr4 & (cpu_v86(cs) ? CR4_VME : CR4_PVI))))
		cpu_gp(cs, 0);
	return false;
}

void callout_CLI(struct cpu_state *cs, u32 arg)
{
	if (may_change_if(cs))
		cs->iflag = 0;
	else
		cs->eflags_sys &= ~(u32)FL_VIF;
	cs->rip = cs->next_rip;
}

void callout_STI(struct cpu_state *cs, u32 arg)
{
	if (may_change_if(cs)) {
		if (!cs->iflag)
			cs->inhibit = SHADOW_STI;
		cs->iflag = 1;
		cpu_if_changed(cs);
	} else {
		if (cs->eflags_sys & FL_VIP)
			cpu_gp(cs, 0);
		cs->eflags_sys |= FL_VIF;
	}
	cs->rip = cs->next_rip;
}

/* V86 mode with IOPL below 3: only the 16-bit forms, and only with VME. */
static bool vme_flags(struct cpu_state *cs, u32 size)
{
	if (!cpu_v86(cs) || iopl(cs) == 3)
		return false;
	if (size != 2 || !(cs->cr4 & CR4_VME))
		cpu_gp(cs, 0);
	return true;
}

void callout_PUSHF(struct cpu_state *cs, u32 arg)
{
	u32 flags = cpu_eflags(cs) & ~(u32)(FL_VM | FL_RF);

	if (vme_flags(cs, arg & 15))
		flags = (flags & ~(u32)FL_IF) | FL_IOPL | (flags & FL_VIF ? FL_IF : 0);
	cs->op[0] = flags;
}

void callout_POPF(struct cpu_state *cs, u32 arg)
{
	u32 size = arg & 15, image = (u32)cs->op[0], flags = cpu_eflags(cs), mask = FL_ARITH | FL_TF | FL_DF | FL_NT;

	if (vme_flags(cs, size)) {
		if ((image & FL_TF) || ((image & FL_IF) && (flags & FL_VIP)))
			cpu_gp(cs, 0);
		flags = (flags & ~(u32)FL_VIF) | (image & FL_IF ? FL_VIF : 0);
	} else {
		if (cs->cpl <= iopl(cs))
			mask |= FL_IF;
		if (cs->cpl == 0)
			mask |= FL_IOPL;
	}
	if (size == 4)
		mask |= FL_AC | FL_ID | FL_RF;
	image &= ~(u32)FL_RF;		/* RF always becomes 0 */
	cs->gpr[R_ESP] = (u32)cs->op[1];
	cs->rip = cs->next_rip;
	cpu_set_eflags(cs, (flags & ~mask) | (image & mask));
}

void callout_HLT(struct cpu_state *cs, u32 arg)
{
	if (cs->cpl)
		cpu_gp(cs, 0);
	cs->halted = 1;
	cs->rip = cs->next_rip;
	cpu_leave(cs);
}
