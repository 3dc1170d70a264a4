/*
 * test_cpu.c - segment loads, gates, returns, task switches, exception delivery, V86 mode and control registers over a flat memory.
 */
/* objs: monitor/callouts.o monitor/mode.o monitor/segment.o monitor/except.o monitor/task.o monitor/far.o monitor/intr.o monitor/debug.o
 * monitor/io.o monitor/watch.o monitor/bcd.o monitor/string.o monitor/msr.o monitor/cpuid.o monitor/priv.o monitor/syscall.o
 * monitor/vector.o tests/unit/fake_mmu.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "fake_mmu.h"
#include "monitor/callouts.h"
#include "monitor/cpuid.h"
#include "monitor/debug.h"
#include "monitor/except.h"
#include "monitor/segment.h"
#include "monitor/task.h"

enum { CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, TSS_A = 0x28, TSS_B = 0x30, GATE = 0x38, LDT = 0x40, CODE16 = 0x48,
	CONF = 0x50, ABSENT = 0x58, XONLY = 0x60, RODATA = 0x68, TSS16 = 0x70, STACK16 = 0x7b };
enum { IDT_BASE = 0x3000, TSS_A_BASE = 0x4000, TSS_B_BASE = 0x5000, TSS16_BASE = 0x6000, KSTACK = 0x8000, USTACK = 0x9000, CR0_PE = 1 };
#define FLAT (SA_G | SA_DB)
#define DPL3 0x60u

static u32 get32(struct fake *f, u32 lin) { return fake_get(f, lin, 4); }

static void at_ring(struct fake *f, u32 cpl)
{
	struct cpu_state *cs = &f->vcpu.cs;

	seg_set_flat(cs, S_CS, cpl ? CODE3 : CODE0, (u16)(FLAT | 0x9b | cpl << 5));
	seg_set_flat(cs, S_SS, cpl ? DATA3 : DATA0, (u16)(FLAT | 0x93 | cpl << 5));
	for (int i = 0; i < 6; i++)
		if (i != S_CS && i != S_SS)
			seg_set_flat(cs, i, DATA3, FLAT | 0xf3);
	cs->gpr[R_ESP] = cpl ? USTACK : KSTACK;
	cs->rip = 0x1000;
	cs->next_rip = 0x1002;
	cpu_set_cpl(cs, (int)cpl);
}

static struct fake *protected_cpu(u32 cpl)
{
	struct fake *f = fake_init("pentium3");
	struct cpu_state *cs = &f->vcpu.cs;

	cs->cr0 = CR0_PE | 0x10;
	fake_desc(f, CODE0, 0, ~0u, FLAT | 0x9b);
	fake_desc(f, DATA0, 0, ~0u, FLAT | 0x93);
	fake_desc(f, CODE3, 0, ~0u, FLAT | 0xfb);
	fake_desc(f, DATA3, 0, ~0u, FLAT | 0xf3);
	fake_desc(f, TSS_A, TSS_A_BASE, 0x100, 0x8b);
	fake_desc(f, TSS_B, TSS_B_BASE, 0x67, 0x89);
	fake_desc(f, TSS16, TSS16_BASE, 0x2b, 0x81);
	fake_desc(f, LDT, 0x7000, 0xff, 0x82);
	fake_desc(f, CODE16, 0, 0xffff, 0x9b);
	fake_desc(f, CONF, 0, ~0u, FLAT | 0x9f);
	fake_desc(f, ABSENT, 0, ~0u, FLAT | 0x73);
	fake_desc(f, XONLY, 0, ~0u, FLAT | 0xf9);
	fake_desc(f, RODATA, 0, 0xfff, 0x40f0);
	fake_desc(f, STACK16, 0, 0xffff, 0xf3);
	cs->tr = (struct cpu_seg){ .base = TSS_A_BASE, .limit = 0x100, .sel = TSS_A, .attr = 0x8b };
	cs->idt.base = IDT_BASE;
	cs->idt.limit = 0x7ff;
	fake_put(f, TSS_A_BASE + 4, KSTACK, 4);
	fake_put(f, TSS_A_BASE + 8, DATA0, 4);
	fake_put(f, TSS_A_BASE + 0x66, 0x88, 2);
	at_ring(f, cpl);
	return f;
}

static void idt_gate(struct fake *f, u32 vector, u32 sel, u32 offset, u32 attr)
{
	fake_gate(f, IDT_BASE + 8 * vector, sel, offset, attr, 0);
}

#define expect_raise(f, vec, err) do { assert_int_equal((f)->vector, vec); assert_int_equal((f)->error, err); } while (0)

static void load(struct fake *f, int seg, u32 sel)
{
	f->vcpu.cs.op[0] = sel;
	FAKE_TRY(f, callout_LOAD_SEG(&f->vcpu.cs, (u32)seg));
}

static void test_segment_loads(void **state)
{
	static const struct { u32 cpl; int seg; u32 sel; int vector, error; } cases[] = {
		{ 3, S_DS, DATA3, -1, TR_NO_ERR }, { 3, S_DS, 0, -1, TR_NO_ERR }, { 3, S_DS, 3, -1, TR_NO_ERR },
		{ 3, S_DS, DATA0, VEC_GP, DATA0 }, { 3, S_DS, CODE3, -1, TR_NO_ERR }, { 3, S_DS, XONLY | 3, VEC_GP, XONLY },
		{ 3, S_ES, ABSENT | 3, VEC_NP, ABSENT }, { 3, S_ES, 0x1000, VEC_GP, 0x1000 }, { 3, S_ES, 0x47, VEC_GP, 0x44 },
		{ 3, S_ES, TSS_A, VEC_GP, TSS_A }, { 0, S_DS, DATA3 | 3, -1, TR_NO_ERR }, { 0, S_DS, DATA0 | 3, VEC_GP, DATA0 },
		{ 3, S_FS, CONF | 3, -1, TR_NO_ERR }, { 0, S_SS, 0, VEC_GP, 0 }, { 0, S_SS, DATA3, VEC_GP, DATA3 & ~3 },
		{ 0, S_SS, DATA0, -1, TR_NO_ERR }, { 3, S_SS, RODATA | 3, VEC_GP, RODATA }, { 3, S_SS, ABSENT | 3, VEC_SS, ABSENT },
		{ 3, S_SS, STACK16, -1, TR_NO_ERR },
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake *f = protected_cpu(cases[i].cpl);
		u16 before = f->vcpu.cs.seg[cases[i].seg].sel;

		load(f, cases[i].seg, cases[i].sel);
		expect_raise(f, cases[i].vector, cases[i].error);
		assert_int_equal(f->vcpu.cs.seg[cases[i].seg].sel, cases[i].vector < 0 ? cases[i].sel : before);
		fake_fini(f);
	}
}

static void test_segment_kinds(void **state)
{
	struct fake *f = protected_cpu(3);
	struct cpu_state *cs = &f->vcpu.cs;

	assert_int_equal(mk_seg(cs->mode, S_DS), SEG_FLAT);
	load(f, S_DS, RODATA | 3);
	assert_int_equal(mk_seg(cs->mode, S_DS), SEG_CHECKED);
	assert_int_equal(cs->seg[S_DS].rlim1, 0x1000);
	assert_int_equal(cs->seg[S_DS].wlim1, 0);
	assert_int_equal(fake_get(f, 0x1000 + RODATA + 5, 1), 0xf1);	/* accessed */
	FAKE_TRY(f, seg_check(cs, S_DS, 0xffc, 4, false));
	assert_int_equal(f->vector, -1);
	FAKE_TRY(f, seg_check(cs, S_DS, 0xffd, 4, false));
	expect_raise(f, VEC_GP, 0);
	FAKE_TRY(f, seg_check(cs, S_DS, 0, 1, true));
	expect_raise(f, VEC_GP, 0);
	fake_desc(f, RODATA, 0, 0xfff, 0x40f7);		/* expand-down */
	load(f, S_DS, RODATA | 3);
	assert_int_equal(cs->seg[S_DS].wlim1, 0);
	FAKE_TRY(f, seg_check(cs, S_DS, 0xfff, 1, true));
	expect_raise(f, VEC_GP, 0);
	FAKE_TRY(f, seg_check(cs, S_DS, 0x1000, 4, true));
	assert_int_equal(f->vector, -1);
	FAKE_TRY(f, seg_check(cs, S_DS, 0xfffffffe, 4, true));
	expect_raise(f, VEC_GP, 0);
	load(f, S_SS, STACK16);
	assert_false(cs->mode & MK_SS32);
	assert_int_equal(cs->inhibit, SHADOW_SS);
	fake_fini(f);
}

static void test_big_real_mode(void **state)
{
	struct fake *f = protected_cpu(0);
	struct cpu_state *cs = &f->vcpu.cs;

	load(f, S_ES, DATA0);
	cs->gpr[R_EAX] = 0x10;
	callout_MOV_TO_CR(cs, 0 | R_EAX << 8);
	assert_false(cs->mode & MK_PE);
	load(f, S_ES, 0x1234);
	assert_int_equal(cs->seg[S_ES].base, 0x12340);
	assert_int_equal(cs->seg[S_ES].limit, 0xffffffff);
	assert_int_equal(mk_seg(cs->mode, S_ES), SEG_BASED);
	fake_fini(f);
}

static void test_call_gate_inner_and_back(void **state)
{
	struct fake *f = protected_cpu(3);
	struct cpu_state *cs = &f->vcpu.cs;

	fake_gate(f, 0x1000 + GATE, CODE0, 0x2000, 0xec, 2);
	fake_put(f, USTACK, 0x11111111, 4);
	fake_put(f, USTACK + 4, 0x22222222, 4);
	cs->op[0] = GATE | 3;
	cs->op[1] = 0xdeadbeef;
	FAKE_TRY(f, callout_FAR_CALL(cs, 4));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->cpl, 0);
	assert_int_equal(cs->rip, 0x2000);
	assert_int_equal(cs->seg[S_CS].sel, CODE0);
	assert_int_equal(cs->gpr[R_ESP], KSTACK - 24);
	assert_int_equal(get32(f, KSTACK - 24), 0x1002);
	assert_int_equal(get32(f, KSTACK - 20), CODE3);
	assert_int_equal(get32(f, KSTACK - 16), 0x11111111);
	assert_int_equal(get32(f, KSTACK - 12), 0x22222222);
	assert_int_equal(get32(f, KSTACK - 8), USTACK);
	assert_int_equal(get32(f, KSTACK - 4), DATA3);
	load(f, S_DS, DATA0);
	cs->op[0] = 8;
	FAKE_TRY(f, callout_FAR_RET(cs, 4));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->cpl, 3);
	assert_int_equal(cs->rip, 0x1002);
	assert_int_equal(cs->gpr[R_ESP], USTACK + 8);
	assert_int_equal(cs->seg[S_DS].attr, 0);	/* an inner segment is taken away */
	assert_int_equal(cs->seg[S_ES].sel, DATA3);
	fake_fini(f);
}

static void test_call_gate_faults(void **state)
{
	struct fake *f = protected_cpu(3);
	struct cpu_state *cs = &f->vcpu.cs;

	cs->op[0] = GATE | 3;
	fake_gate(f, 0x1000 + GATE, CODE0, 0x2000, 0x8c, 0);	/* gate's DPL 0 */
	FAKE_TRY(f, callout_FAR_CALL(cs, 4));
	expect_raise(f, VEC_GP, GATE);
	fake_gate(f, 0x1000 + GATE, CODE0, 0x2000, 0x6c, 0);
	FAKE_TRY(f, callout_FAR_CALL(cs, 4));
	expect_raise(f, VEC_NP, GATE);
	fake_gate(f, 0x1000 + GATE, DATA0, 0x2000, 0xec, 0);
	FAKE_TRY(f, callout_FAR_CALL(cs, 4));
	expect_raise(f, VEC_GP, DATA0);
	fake_gate(f, 0x1000 + GATE, CODE0, 0x2000, 0xec, 0);
	FAKE_TRY(f, callout_FAR_JMP(cs, 4));			/* JMP may not change the ring */
	expect_raise(f, VEC_GP, CODE0);
	fake_put(f, TSS_A_BASE + 8, DATA3, 4);
	FAKE_TRY(f, callout_FAR_CALL(cs, 4));
	expect_raise(f, VEC_TS, DATA3 & ~3);
	fake_put(f, TSS_A_BASE + 8, DATA0, 4);
	f->bad_page = (KSTACK - 4) >> PAGE_SHIFT;
	FAKE_TRY(f, callout_FAR_CALL(cs, 4));
	expect_raise(f, VEC_PF, 2);
	assert_int_equal(cs->cpl, 3);
	assert_int_equal(cs->gpr[R_ESP], USTACK);
	assert_int_equal(cs->rip, 0x1000);
	fake_fini(f);
}

static void test_exception_to_ring0_and_iret(void **state)
{
	struct fake *f = protected_cpu(3);
	struct cpu_state *cs = &f->vcpu.cs;

	idt_gate(f, VEC_PF, CODE0, 0x2000, 0x8e);
	cs->iflag = 1;
	cs->cc = FL_CF | FL_ZF;
	FAKE_TRY(f, cpu_deliver(cs, VEC_PF, 6, DELIVER_EXCEPTION));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->gpr[R_ESP], KSTACK - 24);
	assert_int_equal(get32(f, KSTACK - 24), 6);
	assert_int_equal(get32(f, KSTACK - 20), 0x1000);
	assert_int_equal(get32(f, KSTACK - 16), CODE3);
	assert_int_equal(get32(f, KSTACK - 12), FL_RF | FL_IF | FL_R1 | FL_CF | FL_ZF);
	assert_int_equal(get32(f, KSTACK - 8), USTACK);
	assert_int_equal(cs->iflag, 0);
	assert_int_equal(cs->mode & (MK_CPL0 | MK_CPL3), MK_CPL0);
	assert_false(f->vcpu.delivery_external);
	cs->gpr[R_ESP] += 4;
	FAKE_TRY(f, callout_IRET(cs, 4));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->cpl, 3);
	assert_int_equal(cs->gpr[R_ESP], USTACK);
	assert_int_equal(cs->iflag, 1);
	assert_int_equal(cpu_eflags(cs), FL_RF | FL_IF | FL_R1 | FL_CF | FL_ZF);
	fake_fini(f);
}

static void test_delivery_errors(void **state)
{
	struct fake *f = protected_cpu(3);
	struct cpu_state *cs = &f->vcpu.cs;

	idt_gate(f, 0x80, CODE0, 0x2000, 0x8e);
	FAKE_TRY(f, callout_INT(cs, 0x80));				/* the gate's DPL is 0 */
	expect_raise(f, VEC_GP, 0x80 * 8 + 2);
	idt_gate(f, 0x80, CODE0, 0x2000, 0xef);
	FAKE_TRY(f, callout_INT(cs, 0x80));
	assert_int_equal(f->vector, -1);
	assert_int_equal(get32(f, KSTACK - 20), 0x1002);
	at_ring(f, 3);
	idt_gate(f, 0x30, CODE0, 0x2000, 0x0e);
	FAKE_TRY(f, cpu_deliver(cs, 0x30, TR_NO_ERR, DELIVER_EXTERNAL));
	expect_raise(f, VEC_NP, 0x30 * 8 + 3);
	idt_gate(f, 0x30, CODE3, 0x2000, 0x8e);
	at_ring(f, 0);
	FAKE_TRY(f, cpu_deliver(cs, 0x30, TR_NO_ERR, DELIVER_EXTERNAL));	/* an outer handler */
	expect_raise(f, VEC_GP, (CODE3 & ~3) | 1);
	cs->idt.limit = 0x2f * 8 + 7;
	FAKE_TRY(f, cpu_deliver(cs, 0x30, TR_NO_ERR, DELIVER_EXTERNAL));
	expect_raise(f, VEC_GP, 0x30 * 8 + 3);
	fake_fini(f);
}

static void test_double_faults(void **state)
{
	assert_int_equal(except_combine(-1, VEC_GP), VEC_GP);
	assert_int_equal(except_combine(VEC_GP, VEC_NP), VEC_DF);
	assert_int_equal(except_combine(VEC_GP, VEC_PF), VEC_PF);
	assert_int_equal(except_combine(VEC_PF, VEC_PF), VEC_DF);
	assert_int_equal(except_combine(VEC_PF, VEC_GP), VEC_DF);
	assert_int_equal(except_combine(VEC_PF, VEC_UD), VEC_UD);
	assert_int_equal(except_combine(VEC_UD, VEC_GP), VEC_GP);
	assert_int_equal(except_combine(VEC_DF, VEC_GP), -1);
	assert_int_equal(except_combine(VEC_DF, VEC_PF), -1);
}

static void to_v86(struct fake *f, u32 iopl)
{
	struct cpu_state *cs = &f->vcpu.cs;
	u32 frame[] = { 0x100, 0x2000, FL_VM | FL_R1 | FL_IF | iopl << 12, 0xff0, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000 };

	cs->gpr[R_ESP] = KSTACK - sizeof frame;
	memcpy(f->ram + KSTACK - sizeof frame, frame, sizeof frame);
	FAKE_TRY(f, callout_IRET(cs, 4));
	assert_int_equal(f->vector, -1);
	cs->next_rip = 0x102;
}

static void test_v86_entry_and_exit(void **state)
{
	struct fake *f = protected_cpu(0);
	struct cpu_state *cs = &f->vcpu.cs;

	to_v86(f, 0);
	assert_int_equal(cs->mode & (MK_V86 | MK_CPL3 | MK_CS32 | MK_SS32 | MK_IOPL_OK), MK_V86 | MK_CPL3);
	assert_int_equal(cs->seg[S_CS].base, 0x20000);
	assert_int_equal(cs->seg[S_GS].base, 0x70000);
	assert_int_equal(cs->seg[S_DS].limit, 0xffff);
	assert_int_equal(cs->rip, 0x100);
	FAKE_TRY(f, callout_INT(cs, 0x21));
	expect_raise(f, VEC_GP, 0);
	FAKE_TRY(f, callout_CLI(cs, 0));
	expect_raise(f, VEC_GP, 0);
	idt_gate(f, VEC_GP, CODE0, 0x2000, 0x8e);
	FAKE_TRY(f, cpu_deliver(cs, VEC_GP, 0, DELIVER_EXCEPTION));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->gpr[R_ESP], KSTACK - 40);
	assert_int_equal(get32(f, KSTACK - 4), 0x7000);
	assert_int_equal(get32(f, KSTACK - 16), 0x4000);
	assert_int_equal(get32(f, KSTACK - 20), 0x3000);
	assert_int_equal(get32(f, KSTACK - 28) & FL_VM, FL_VM);
	assert_int_equal(get32(f, KSTACK - 36), 0x100);
	assert_int_equal(cs->seg[S_DS].attr, 0);
	assert_false(cs->mode & MK_V86);
	fake_fini(f);
}

static void test_vme(void **state)
{
	struct fake *f = protected_cpu(0);
	struct cpu_state *cs = &f->vcpu.cs;

	cs->cr4 = 1;
	fake_put(f, 0x21 * 4, 0x12340056, 4);		/* the 8086 program's own vector */
	to_v86(f, 0);
	callout_STI(cs, 0);
	assert_true(cs->eflags_sys & FL_VIF);
	cs->rip = 0x100;
	callout_PUSHF(cs, 2);
	assert_int_equal(cs->op[0] & (FL_IF | FL_IOPL), FL_IF | FL_IOPL);
	FAKE_TRY(f, callout_PUSHF(cs, 4));
	expect_raise(f, VEC_GP, 0);
	FAKE_TRY(f, callout_INT(cs, 0x21));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->rip, 0x56);
	assert_int_equal(cs->seg[S_CS].sel, 0x1234);
	assert_true(cs->mode & MK_V86);
	assert_false(cs->eflags_sys & FL_VIF);
	assert_int_equal(fake_get(f, 0x30000 + 0xff0 - 6, 2), 0x102);
	FAKE_TRY(f, callout_IRET(cs, 2));
	assert_int_equal(f->vector, -1);
	assert_true(cs->eflags_sys & FL_VIF);
	assert_int_equal(cs->rip, 0x102);
	fake_put(f, TSS_A_BASE + 0x88 - 32 + 4, 2, 1);	/* vector 0x21 is not redirected */
	FAKE_TRY(f, callout_INT(cs, 0x21));
	expect_raise(f, VEC_GP, 0);
	cs->eflags_sys |= FL_VIP;
	cs->op[0] = FL_IF;
	FAKE_TRY(f, callout_POPF(cs, 2));
	expect_raise(f, VEC_GP, 0);
	fake_fini(f);
}

static void put_task(struct fake *f, u32 base)
{
	fake_put(f, base + 0x20, 0x1234, 4);
	fake_put(f, base + 0x24, FL_R1 | FL_SF, 4);
	for (u32 i = 0; i < 8; i++)
		fake_put(f, base + 0x28 + 4 * i, 0x100 + i, 4);
	fake_put(f, base + 0x38, KSTACK - 0x100, 4);
	for (u32 i = 0; i < 6; i++)
		fake_put(f, base + 0x48 + 4 * i, i == S_CS ? CODE0 : DATA0, 2);
	fake_put(f, base + 0x60, LDT, 2);
}

static void test_task_call_and_return(void **state)
{
	struct fake *f = protected_cpu(0);
	struct cpu_state *cs = &f->vcpu.cs;

	put_task(f, TSS_B_BASE);
	cs->gpr[R_EAX] = 0x5555;
	cs->op[0] = TSS_B;
	FAKE_TRY(f, callout_FAR_CALL(cs, 4));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->rip, 0x1234);
	assert_int_equal(cs->gpr[R_EAX], 0x100);
	assert_int_equal(cs->tr.sel, TSS_B);
	assert_int_equal(cs->ldt.sel, LDT);
	assert_int_equal(cs->ldt.base, 0x7000);
	assert_true(cs->eflags_sys & FL_NT);
	assert_true(cs->cr0 & 8);
	assert_int_equal(fake_get(f, TSS_B_BASE, 2), TSS_A);
	assert_int_equal(get32(f, TSS_A_BASE + 0x28), 0x5555);
	assert_int_equal(get32(f, TSS_A_BASE + 0x20), 0x1002);
	assert_int_equal(fake_get(f, 0x1000 + TSS_A + 5, 1), 0x8b);	/* both are busy */
	assert_int_equal(fake_get(f, 0x1000 + TSS_B + 5, 1), 0x8b);
	cs->next_rip = 0x1235;
	FAKE_TRY(f, callout_IRET(cs, 4));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->rip, 0x1002);
	assert_int_equal(cs->gpr[R_EAX], 0x5555);
	assert_int_equal(cs->tr.sel, TSS_A);
	assert_int_equal(fake_get(f, 0x1000 + TSS_B + 5, 1), 0x89);
	assert_false(get32(f, TSS_B_BASE + 0x24) & FL_NT);
	assert_int_equal(get32(f, TSS_B_BASE + 0x20), 0x1235);
	fake_fini(f);
}

static void test_task_switch_forms(void **state)
{
	struct fake *f = protected_cpu(0);
	struct cpu_state *cs = &f->vcpu.cs;

	put_task(f, TSS_B_BASE);		/* exception through a task gate, with an error code */
	idt_gate(f, VEC_DF, TSS_B, 0, 0x85);
	FAKE_TRY(f, cpu_deliver(cs, VEC_DF, 0, DELIVER_EXCEPTION));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->gpr[R_ESP], KSTACK - 0x104);
	assert_int_equal(get32(f, TSS_A_BASE + 0x20), 0x1000);
	fake_fini(f);

	f = protected_cpu(0);			/* JMP to a 16-bit task */
	cs = &f->vcpu.cs;
	fake_put(f, TSS16_BASE + 0x0e, 0x777, 2);
	fake_put(f, TSS16_BASE + 0x10, FL_R1, 2);
	fake_put(f, TSS16_BASE + 0x12, 0xabcd, 2);
	for (u32 i = 0; i < 4; i++)
		fake_put(f, TSS16_BASE + 0x22 + 2 * i, i == S_CS ? CODE16 : DATA0, 2);
	cs->op[0] = TSS16;
	FAKE_TRY(f, callout_FAR_JMP(cs, 4));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->rip, 0x777);
	assert_int_equal(cs->gpr[R_EAX] & 0xffff, 0xabcd);
	assert_false(cs->mode & MK_CS32);
	assert_int_equal(fake_get(f, 0x1000 + TSS_A + 5, 1), 0x89);
	assert_int_equal(fake_get(f, 0x1000 + TSS16 + 5, 1), 0x83);
	fake_fini(f);

	f = protected_cpu(0);			/* a bad segment is the new task's fault */
	cs = &f->vcpu.cs;
	put_task(f, TSS_B_BASE);
	fake_put(f, TSS_B_BASE + 0x48 + 4 * S_DS, ABSENT, 2);
	cs->op[0] = TSS_B;
	FAKE_TRY(f, callout_FAR_JMP(cs, 4));
	expect_raise(f, VEC_NP, ABSENT);
	assert_int_equal(cs->rip, 0x1234);
	assert_int_equal(cs->tr.sel, TSS_B);
	fake_desc(f, TSS_A, TSS_A_BASE, 0x66, 0x89);	/* too short: the old task's fault */
	cs->op[0] = TSS_A;
	FAKE_TRY(f, callout_FAR_JMP(cs, 4));
	expect_raise(f, VEC_TS, TSS_A);
	assert_int_equal(cs->tr.sel, TSS_B);
	fake_fini(f);
}

static void test_real_mode_interrupts(void **state)
{
	struct fake *f = fake_init("486");
	struct cpu_state *cs = &f->vcpu.cs;

	cs->idt.limit = 0x3ff;
	for (int i = 0; i < 6; i++) {
		cs->seg[i].limit = 0xffff;
		seg_load_real(cs, i, i == S_SS ? 0x900 : 0x100);
	}
	cs->gpr[R_ESP] = 0x100;
	cs->iflag = 1;
	cs->next_rip = 0x12;
	fake_put(f, 0x10 * 4, 0xf0001234, 4);
	FAKE_TRY(f, callout_INT(cs, 0x10));
	assert_int_equal(f->vector, -1);
	assert_int_equal(cs->rip, 0x1234);
	assert_int_equal(cs->seg[S_CS].base, 0xf0000);
	assert_int_equal(cs->iflag, 0);
	assert_int_equal(fake_get(f, 0x90fa, 2), 0x12);
	assert_int_equal(fake_get(f, 0x90fc, 2), 0x100);
	FAKE_TRY(f, callout_IRET(cs, 2));
	assert_int_equal(cs->rip, 0x12);
	assert_int_equal(cs->iflag, 1);
	assert_int_equal(cs->gpr[R_ESP], 0x100);
	cs->idt.limit = 0x3f;
	FAKE_TRY(f, callout_INT(cs, 0x10));
	assert_int_equal(f->vector, VEC_GP);
	fake_fini(f);
}

static void test_io_bitmap(void **state)
{
	struct fake *f = protected_cpu(3);
	struct cpu_state *cs = &f->vcpu.cs;

	memset(f->ram + TSS_A_BASE + 0x88, 0, 0x79);
	fake_put(f, TSS_A_BASE + 0x88 + 0x60 / 8, 0x10, 1);	/* port 0x64 is forbidden */
	cs->op[0] = 0x60;
	FAKE_TRY(f, callout_IN(cs, 1));
	assert_int_equal(f->vector, -1);
	assert_int_equal(f->last_port, 0x60);
	cs->op[0] = 0x64;
	FAKE_TRY(f, callout_IN(cs, 1));
	expect_raise(f, VEC_GP, 0);
	cs->op[0] = 0x61;
	FAKE_TRY(f, callout_OUT(cs, 4));
	expect_raise(f, VEC_GP, 0);
	cs->op[0] = 0x3f8;					/* behind the TSS's limit */
	FAKE_TRY(f, callout_IN(cs, 1));
	expect_raise(f, VEC_GP, 0);
	cs->eflags_sys |= FL_IOPL;
	FAKE_TRY(f, callout_IN(cs, 1));
	assert_int_equal(f->vector, -1);
	fake_fini(f);
}

static void test_tsc_adjust(void **state)
{
	struct fake *f = fake_init("host"), *old = fake_init("core2");
	u64 value, before, after;

	assert_false(msr_read(&old->vcpu, 0x3b, &value));
	assert_true(msr_read(&f->vcpu, 0x3b, &value) && value == 0);
	assert_true(msr_write(&f->vcpu, 0x10, 1ull << 60));	/* the TSC's move shows in TSC_ADJUST ... */
	assert_true(msr_read(&f->vcpu, 0x3b, &value) && value == f->vcpu.cs.tsc_offset);
	assert_true(msr_read(&f->vcpu, 0x10, &before) && before >> 60 == 1);
	assert_true(msr_write(&f->vcpu, 0x3b, value + (2ull << 60)));	/* ... and the other way round */
	assert_true(msr_read(&f->vcpu, 0x10, &after) && after >> 60 == 3);
	fake_fini(f);
	fake_fini(old);
}

static void test_sysenter_sysexit(void **state)
{
	struct fake *f = protected_cpu(3);
	struct cpu_state *cs = &f->vcpu.cs;

	FAKE_TRY(f, callout_SYSENTER(cs, 0));
	expect_raise(f, VEC_GP, 0);
	assert_true(msr_write(&f->vcpu, 0x174, CODE0));
	assert_true(msr_write(&f->vcpu, 0x175, KSTACK));
	assert_true(msr_write(&f->vcpu, 0x176, 0x2000));
	cs->iflag = 1;
	callout_SYSENTER(cs, 0);
	assert_int_equal(cs->cpl, 0);
	assert_int_equal(cs->iflag, 0);
	assert_int_equal(cs->rip, 0x2000);
	assert_int_equal(cs->gpr[R_ESP], KSTACK);
	cs->gpr[R_ECX] = USTACK;
	cs->gpr[R_EDX] = 0x1002;
	callout_SYSEXIT(cs, 4);
	assert_int_equal(cs->cpl, 3);
	assert_int_equal(cs->seg[S_CS].sel, CODE3);
	assert_int_equal(cs->seg[S_SS].sel, DATA3);
	assert_int_equal(cs->rip, 0x1002);
	assert_int_equal(cs->mode & (MK_CPL3 | 0xfff), MK_CPL3);
	fake_fini(f);
}

static void mov_cr(struct fake *f, u32 cr, u32 value)
{
	f->vcpu.cs.gpr[R_EAX] = value;
	FAKE_TRY(f, callout_MOV_TO_CR(&f->vcpu.cs, cr | R_EAX << 8));
}

static void test_control_registers(void **state)
{
	struct fake *f = protected_cpu(0);
	struct cpu_state *cs = &f->vcpu.cs;

	mov_cr(f, 0, 0x80000010);			/* PG without PE */
	expect_raise(f, VEC_GP, 0);
	mov_cr(f, 0, 0x20000011);			/* NW without CD */
	expect_raise(f, VEC_GP, 0);
	mov_cr(f, 4, 1u << 18);				/* OSXSAVE on a Pentium III */
	expect_raise(f, VEC_GP, 0);
	mov_cr(f, 4, 0x20);
	mov_cr(f, 3, 0xbad000);
	mov_cr(f, 0, 0x80000011);			/* invalid PDPTEs */
	expect_raise(f, VEC_GP, 0);
	assert_int_equal(cs->cr0, 0x11);
	mov_cr(f, 3, 0x1000);
	mov_cr(f, 0, 0x8000001b);
	assert_int_equal(f->vector, -1);
	assert_true(cs->mode & MK_NO_FPU);
	callout_CLTS(cs, 0);
	assert_false(cs->mode & MK_NO_FPU);
	mov_cr(f, 8, 0);
	expect_raise(f, VEC_UD, TR_NO_ERR);
	cs->op[0] = 0;
	callout_LMSW(cs, 0);
	assert_true(cs->cr0 & CR0_PE);
	at_ring(f, 3);
	mov_cr(f, 3, 0);
	expect_raise(f, VEC_GP, 0);
	fake_fini(f);
}

static void test_debug_registers(void **state)
{
	struct fake *f = protected_cpu(0);
	struct cpu_state *cs = &f->vcpu.cs;

	cs->gpr[R_EAX] = 0x1000;
	callout_MOV_TO_DR(cs, 0 | R_EAX << 8);
	cs->gpr[R_EAX] = 1;
	callout_MOV_TO_DR(cs, 7 | R_EAX << 8);
	assert_true(cs->mode & MK_STEP);
	cs->rip = 0x1000;
	assert_true(debug_code_breakpoint(cs));
	assert_int_equal(cs->dr[6] & 15, 1);
	cs->eflags_sys |= FL_RF;
	assert_false(debug_code_breakpoint(cs));
	assert_true(debug_code_breakpoint(cs));
	cs->gpr[R_EAX] = 1 << 13;
	callout_MOV_TO_DR(cs, 7 | R_EAX << 8);
	FAKE_TRY(f, callout_MOV_FROM_DR(cs, 0));
	expect_raise(f, VEC_DB, TR_NO_ERR);
	assert_true(cs->dr[6] & DR6_BD);
	fake_fini(f);
}

static void test_msrs(void **state)
{
	struct fake *f = protected_cpu(0);
	u64 v;

	assert_false(msr_read(&f->vcpu, 0x12345678, &v));
	assert_false(msr_write(&f->vcpu, 0x277, 0x0202020202020202ull));
	assert_true(msr_write(&f->vcpu, 0x277, 0x0007010600070106ull));
	assert_true(msr_read(&f->vcpu, 0x277, &v));
	assert_int_equal(v, 0x0007010600070106ull);
	assert_false(msr_write(&f->vcpu, 0xc0000080, 1 << 11));	/* a Pentium III has no NX */
	assert_false(msr_write(&f->vcpu, 0xfe, 0));
	assert_false(msr_write(&f->vcpu, 0xc0010000, 0));	/* nor AMD's performance counters, which have no CPUID bit */
	fake_fini(f);
}

/* Programs that find "AuthenticAMD" clear the four counters of the K7 without asking (APM vol. 2, 13.2). */
static void test_msrs_amd(void **state)
{
	struct fake *f = fake_init("host");
	u64 v = 1;

	for (u32 number = 0xc0010000; number < 0xc0010008; number++) {
		assert_int_equal(msr_write(&f->vcpu, number, 1), cpu_model_is_amd(f->vcpu.model));
		assert_int_equal(msr_read(&f->vcpu, number, &v), cpu_model_is_amd(f->vcpu.model));
		assert_int_equal(v, !cpu_model_is_amd(f->vcpu.model));
	}
	fake_fini(f);
}

static void test_tsc_aux(void **state)
{
	struct fake *f = fake_init("host");
	struct cpu_state *cs = &f->vcpu.cs;

	if (cpu_model_has(f->vcpu.model, TF_RDTSCP)) {
		assert_true(msr_write(&f->vcpu, 0xc0000103, 10));
		assert_false(msr_write(&f->vcpu, 0xc0000103, 1ull << 32));
		callout_RDTSCP(cs, 0);
		assert_int_equal(cs->gpr[R_ECX], 10);
	}
	fake_fini(f);
}

static void test_cpuid(void **state)
{
	const struct cpu_model *host = cpu_model_find("host"), *old = cpu_model_find("486");
	u32 r[4];

	assert_null(cpu_model_find("8086"));
	assert_true(cpu_model_has(host, TF_SSE2));
	assert_false(cpu_model_has(old, TF_TSC));
	assert_false(cpu_model_has(old, TF_CMOV));
	assert_false(cpu_model_has(old, TF_APIC));
	assert_false(cpu_model_has(host, TF_NEVER));
	cpu_model_cpuid(host, NULL, 1, 0, r);
	assert_int_equal(r[2] & (1u << 31 | 1u << 21 | 1u << 27 | 1u << 5), 0);	/* hypervisor, x2APIC, OSXSAVE, VMX */
	assert_int_equal(r[3] & 1u << 9, 1u << 9);				/* APIC, until its MSR switches it off */
	cpu_model_cpuid(host, NULL, 0x80000001, 0, r);
	assert_int_equal(r[3] & (1u << 29 | 1u << 20), 1u << 20);		/* no long mode, but NX */
	cpu_model_cpuid(host, NULL, 0x80000007, 0, r);
	assert_int_equal(r[3], 1u << 8);
	assert_int_equal(cpu_model_reset_edx(old), 0x483);
	cpu_model_free(host);
	cpu_model_free(old);
}

static void test_enter(void **state)
{
	struct fake *f = protected_cpu(0);
	struct cpu_state *cs = &f->vcpu.cs;

	cs->gpr[R_EBP] = 0xa000;
	fake_put(f, 0xa000 - 4, 0x1111, 4);
	fake_put(f, 0xa000 - 8, 0x2222, 4);
	cs->op[0] = 0x20;
	callout_ENTER(cs, 4 | 3 << 8);
	assert_int_equal(get32(f, KSTACK - 4), 0xa000);
	assert_int_equal(get32(f, KSTACK - 8), 0x1111);
	assert_int_equal(get32(f, KSTACK - 12), 0x2222);
	assert_int_equal(get32(f, KSTACK - 16), KSTACK - 4);
	assert_int_equal(cs->gpr[R_EBP], KSTACK - 4);
	assert_int_equal(cs->gpr[R_ESP], KSTACK - 16 - 0x20);
	fake_fini(f);
}

static void test_lar_lsl_verr(void **state)
{
	struct fake *f = protected_cpu(3);
	struct cpu_state *cs = &f->vcpu.cs;

	cs->op[0] = DATA3;
	callout_LAR(cs, 4 | R_EBX << 8);
	assert_int_equal(cs->gpr[R_EBX], 0xcff300);
	assert_true(cs->cc & FL_ZF);
	callout_LSL(cs, 4 | R_EBX << 8);
	assert_int_equal(cs->gpr[R_EBX], 0xffffffff);
	cs->op[0] = DATA0;
	callout_LAR(cs, 4 | R_EBX << 8);
	assert_false(cs->cc & FL_ZF);
	assert_int_equal(cs->gpr[R_EBX], 0xffffffff);
	cs->op[0] = XONLY | 3;
	callout_VERR(cs, 0);
	assert_false(cs->cc & FL_ZF);
	cs->op[0] = 0x10;
	cs->op[1] = 3;
	callout_ARPL(cs, 0);
	assert_int_equal(cs->op[0], 0x13);
	FAKE_TRY(f, callout_LLDT(cs, 0));
	expect_raise(f, VEC_GP, 0);
	fake_fini(f);
}

static void test_table_is_complete(void **state)
{
	struct tr_ops ops = { 0 };

	callouts_fill(&ops);
	for (int i = 0; i < CO_MAX; i++)
		assert_non_null(ops.callout[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segment_loads), cmocka_unit_test(test_segment_kinds), cmocka_unit_test(test_big_real_mode),
		cmocka_unit_test(test_call_gate_inner_and_back), cmocka_unit_test(test_call_gate_faults),
		cmocka_unit_test(test_exception_to_ring0_and_iret), cmocka_unit_test(test_delivery_errors), cmocka_unit_test(test_double_faults),
		cmocka_unit_test(test_v86_entry_and_exit), cmocka_unit_test(test_vme), cmocka_unit_test(test_task_call_and_return),
		cmocka_unit_test(test_task_switch_forms), cmocka_unit_test(test_real_mode_interrupts), cmocka_unit_test(test_io_bitmap),
		cmocka_unit_test(test_tsc_adjust),
		cmocka_unit_test(test_sysenter_sysexit), cmocka_unit_test(test_control_registers), cmocka_unit_test(test_debug_registers),
		cmocka_unit_test(test_msrs), cmocka_unit_test(test_msrs_amd), cmocka_unit_test(test_tsc_aux), cmocka_unit_test(test_cpuid),
		cmocka_unit_test(test_enter), cmocka_unit_test(test_lar_lsl_verr),
		cmocka_unit_test(test_table_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
