/*
 * vcpu.c - the virtual CPU's run loop.
 *
 *     attention:  stop and reset requests, posted calls, due timers, NMI, interrupts
 *     run:        translated code, until cs->go is 0 or something is for the monitor
 *
 * Guest exceptions come as long jumps from any depth of C code (cpu_raise()) to the loop, which delivers them; one that comes
 * up during a delivery is combined with the first. Between jumps everything that matters lives in struct vcpu, never in locals.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>
#include "monitor/callouts.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/debug.h"
#include "monitor/event.h"
#include "monitor/except.h"
#include "monitor/hostfault.h"
#include "monitor/idle.h"
#include "monitor/mmu.h"
#include "monitor/msr.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "monitor/watch.h"

enum { NO_VECTOR = -1, CR0_RESET = 0x60000010, CR0_NE = 1 << 5, CR4_OSXMMEXCPT = 1 << 10 };
#define NEVER (~0ull)	/* no timer is armed */

static const char *const exit_names[] = {
	[TR_EXIT_PEND] = "pending", [TR_EXIT_STEP] = "step", [TR_EXIT_AGAIN] = "again", [TR_EXIT_SHADOW] = "shadow",
};

struct vcpu_run {
	struct tr_ops ops;
	int vector, error;	/* exception to deliver next, or NO_VECTOR */
	u32 sleeping;		/* the thread waits in vcpu_sleep() */
};

/* --- guest exceptions --- */

void cpu_leave(struct cpu_state *cs)
{
	struct vcpu *v = vcpu_of(cs);

	__builtin_longjmp(v->run_jmp, 1);
}

void cpu_raise(struct cpu_state *cs, int vector, int error)
{
	struct vcpu *v = vcpu_of(cs);
	int combined = except_combine(v->in_delivery, vector);

	v->traps = 0;	/* what a faulting instruction hit does not count */
	vm_trace(v->vm, TRACE_EXC, "exception %d error %x at %llx (during %d) cr2 %llx\n", vector, error, (unsigned long long)cs->rip,
		 v->in_delivery, (unsigned long long)cs->cr2);
	if (combined < 0) {	/* triple fault: shutdown, which a PC's chip set answers with a reset */
		vm_trace(v->vm, TRACE_EXC, "triple fault\n");
		v->run->vector = NO_VECTOR;
		vm_request_cpu_reset(v->vm);
	} else {
		v->run->vector = combined;
		v->run->error = combined == vector ? error : 0;
	}
	cpu_leave(cs);
}

/* Exceptions of the host processor inside a guest instruction (tr_ops.host_fault). */
static void host_fault(struct cpu_state *cs, int vector, int error)
{
	struct vcpu *v = vcpu_of(cs);

	if (vector == VEC_MF && !(cs->cr0 & CR0_NE)) {	/* the PC way: FERR# raises IRQ 13, the instruction waits */
		if (v->vm->ferr)
			v->vm->ferr(v->vm, true);
		vcpu_kick(v);
		cpu_leave(cs);
	}
	if (vector == VEC_XM && !(cs->cr4 & CR4_OSXMMEXCPT))
		vector = VEC_UD;
	cpu_raise(cs, vector, error);
}

/* Traps of instructions that are done: data and I/O breakpoints, single step. */
static void raise_traps(struct vcpu *v)
{
	struct cpu_state *cs = &v->cs;

	if (v->traps & DR6_HITS)
		cs->dr[6] &= ~(u64)DR6_HITS;
	cs->dr[6] |= v->traps;
	cpu_raise(cs, VEC_DB, TR_NO_ERR);
}

static void deliver_pending(struct vcpu *v)
{
	int vector = v->run->vector, error = v->run->error;

	v->run->vector = NO_VECTOR;
	v->in_delivery = vector;
	cpu_deliver(&v->cs, vector, error, DELIVER_EXCEPTION);
	v->in_delivery = NO_VECTOR;
}

/* --- sleeping and waking --- */

static void futex(u32 *word, int op, u32 value, const struct timespec *timeout)
{
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

/* Until a kick or a deadline (guest ns), for which this thread wakes itself: were it the event thread's business, each tick of an idle
 * guest would wake two threads. */
void vcpu_sleep(struct vcpu *v, u64 deadline)
{
	u64 now;

	event_nap(v->vm, deadline);
	__atomic_store_n(&v->run->sleeping, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&v->cs.go, __ATOMIC_SEQ_CST) && (now = clock_now(v->vm)) < deadline) {	/* a kick stores 0 */
		u64 ns = deadline - now;
		struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

		futex(&v->cs.go, FUTEX_WAIT, 1, deadline == NEVER ? NULL : &ts);
	}
	__atomic_store_n(&v->run->sleeping, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->cs.go, 0, __ATOMIC_SEQ_CST);
}

void vcpu_kick(struct vcpu *v)
{
	__atomic_store_n(&v->cs.go, 0, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->run->sleeping, __ATOMIC_SEQ_CST))
		futex(&v->cs.go, FUTEX_WAKE, INT_MAX, NULL);
}

void vcpu_set_intr(struct vcpu *v, bool level)
{
	v->cs.irq_line = level;
	if (level && v->cs.iflag)
		__atomic_store_n(&v->cs.go, 0, __ATOMIC_RELAXED);
}

void vcpu_nmi(struct vcpu *v)
{
	v->nmi_pending = true;
	vcpu_kick(v);
}

/* --- attention --- */

/* INIT touches neither the time-stamp counter nor the local APIC's address (SDM vol. 3, table 9-1). */
static void restart_cpu(struct vcpu *v)
{
	u64 offset = v->cs.tsc_offset, apic_base = v->msr->value[MSR_APIC_BASE];

	vcpu_reset(v);
	v->cs.tsc_offset = offset;
	v->msr->value[MSR_APIC_BASE] = apic_base;
}

static void reset_machine(struct vcpu *v)
{
	struct vm *vm = v->vm;

	vm->reset_requested = false;
	if (vm->reset_cpu && vm->cpu_restarts && vm->cpu_restarts(vm)) {
		restart_cpu(v);
		return;
	}
	if (vm->no_reboot) {
		vm_request_stop(vm, VM_REBOOT);
		return;
	}
	vcpu_reset(v);
	if (vm->board_reset)
		vm->board_reset(vm);
	if (vm->reset_hook)
		vm->reset_hook(vm, vm->reset_arg);
	vm_happened(vm, VM_RESET);
}

static void start_kernel(struct vm *vm)
{
	vm->start_requested = false;
	if (vm->start_hook)
		vm->start_hook(vm, vm->reset_arg);
}

static void take_interrupt(struct vcpu *v)
{
	struct cpu_state *cs = &v->cs;
	int vector = v->vm->intr_ack(v->vm);

	v->vm->activity++;
	cs->halted = 0;
	vm_trace(v->vm, TRACE_IRQ, "interrupt %d at %llx\n", vector, (unsigned long long)cs->rip);
	cpu_deliver(cs, vector, TR_NO_ERR, DELIVER_EXTERNAL);
}

u64 vcpu_tsc(const struct vcpu *v)
{
	return (v->tsc_stopped ? v->tsc_stopped : __rdtsc()) + v->cs.tsc_offset;
}

void vcpu_set_tsc(struct vcpu *v, u64 tsc)
{
	v->cs.tsc_offset = tsc - (v->tsc_stopped ? v->tsc_stopped : __rdtsc());
}

void vcpu_time_stop(struct vcpu *v)
{
	clock_stop(v->vm);
	v->tsc_stopped = __rdtsc();
}

/* The TSC is set back by as long as it took. */
void vcpu_time_cont(struct vcpu *v)
{
	clock_cont(v->vm);
	v->cs.tsc_offset -= __rdtsc() - v->tsc_stopped;
	v->tsc_stopped = 0;
}

/* Outside of guest time: what is posted is done, and a reset. */
static void stay_paused(struct vcpu *v)
{
	struct vm *vm = v->vm;

	vcpu_time_stop(v);
	vm_happened(vm, VM_PAUSED);
	while (vm_paused(vm) && vm->stop == VM_RUNNING) {
		vcpu_sleep(v, NEVER);
		__atomic_store_n(&v->cs.go, 1, __ATOMIC_SEQ_CST);
		event_run_posted(vm);
		if (vm->reset_requested) {
			reset_machine(v);
			v->tsc_stopped = __rdtsc();
		}
	}
	vcpu_time_cont(v);
	vm_happened(vm, VM_CONTINUED);
}

static void take_events(struct vcpu *v)
{
	struct cpu_state *cs = &v->cs;

	__atomic_store_n(&cs->go, 1, __ATOMIC_SEQ_CST);	/* before the sources are looked at: who comes later clears it again */
	event_run_posted(v->vm);
	while (vm_paused(v->vm) && v->vm->stop == VM_RUNNING)
		stay_paused(v);
	event_set_deadline(v->vm, clock_run_timers(v->vm));
	if (v->vm->reset_requested)
		reset_machine(v);
	if (v->vm->start_requested)
		start_kernel(v->vm);
	if (v->traps && cs->inhibit != SHADOW_SS)
		raise_traps(v);
	if (cs->inhibit)
		return;
	if (v->nmi_pending && !v->nmi_blocked) {
		v->vm->activity++;
		v->nmi_pending = false;
		v->nmi_blocked = true;
		cs->halted = 0;
		cpu_deliver(cs, VEC_NMI, TR_NO_ERR, DELIVER_EXTERNAL);
	} else if (cs->irq_line && cs->iflag) {
		take_interrupt(v);
	}
}

/* --- running --- */

/*
 * A single instruction in which something is held back (STI, MOV SS), or that a debugger of the guest looks at. Behind MOV SS
 * the single-step trap and (but for AMD's processors) code breakpoints are lost, data breakpoints wait (SDM vol. 3, 6.8.3).
 */
static void step(struct vcpu *v)
{
	struct cpu_state *cs = &v->cs;
	bool trap = cs->eflags_sys & FL_TF;

	if ((cs->inhibit != SHADOW_SS || cpu_model_is_amd(v->model)) && debug_code_breakpoint(cs))
		cpu_raise(cs, VEC_DB, TR_NO_ERR);
	cs->inhibit = 0;
	v->int_delivered = false;
	cs->mode |= MK_STEP;
	tr_run(v->tr);
	cpu_update_mode(cs);
	if (cs->inhibit == SHADOW_SS)
		return;
	if (trap && !v->int_delivered)
		v->traps |= DR6_BS;
	if (v->traps)
		raise_traps(v);
}

static void halted(struct vcpu *v)
{
	if (!v->cs.iflag && !v->nmi_pending && !v->vm->halt_waits) {
		vm_request_stop(v->vm, VM_POWEROFF);
		return;
	}
	vcpu_sleep(v, clock_next_deadline(v->vm));
}

/* Somebody asks for attention, or IF was set while the interrupt line was up. */
static bool attention(const struct cpu_state *cs)
{
	return !__atomic_load_n(&cs->go, __ATOMIC_RELAXED) || (cs->irq_line && cs->iflag && !cs->inhibit);
}

static void run_translated(struct vcpu *v)
{
	enum tr_exit why = tr_run(v->tr);

	vm_trace(v->vm, TRACE_EXIT, "exit %s at %llx\n", exit_names[why], (unsigned long long)v->cs.rip);
	if (why == TR_EXIT_SHADOW)
		v->cs.inhibit = SHADOW_STI;
}

/* Until the machine stops; leaves by a long jump for every guest exception. */
static void loop(struct vcpu *v)
{
	struct cpu_state *cs = &v->cs;

	if (v->run->vector != NO_VECTOR)
		deliver_pending(v);
	while (v->vm->stop == VM_RUNNING) {
		if (attention(cs))
			take_events(v);
		else if (cs->halted)
			halted(v);
		else if (cs->inhibit || cs->mode & MK_STEP)
			step(v);
		else
			run_translated(v);
	}
}

void vcpu_run(struct vcpu *v)
{
	prctl(PR_SET_TIMERSLACK, 1);	/* the default 50 us would make every tick of an idle guest late */
	hostfault_enter(v->tr);
	if (__builtin_setjmp(v->run_jmp)) {
		tr_abandoned(v->tr);
		v->in_delivery = NO_VECTOR;
		cpu_update_mode(&v->cs);
	}
	loop(v);
	hostfault_leave();
}

/* --- making, resetting --- */

static void reset_segment(struct cpu_state *cs, int seg, u16 sel, u64 base, u16 attr)
{
	cs->seg[seg] = (struct cpu_seg){ .sel = sel, .base = base, .limit = 0xffff, .attr = attr };
	seg_update(cs, seg);
}

/* SDM vol. 3, table 9-1: x87 as after power-up, SSE control at its default. */
static void reset_fpu(struct cpu_state *cs)
{
	memset(cs->fpu, 0, sizeof cs->fpu);
	cs->fpu[0] = 0x40;				/* FCW */
	cs->fpu[4] = 0xff;				/* all registers valid, +0.0 */
	cs->fpu[24] = 0x80;				/* MXCSR = 1F80h */
	cs->fpu[25] = 0x1f;
	cs->fpu[512] = cs->fpu_mask & 3;		/* XSTATE_BV: these are not in their initial state */
	cs->fpu_live = 0;
}

void vcpu_reset(struct vcpu *v)
{
	struct cpu_state *cs = &v->cs;

	memset(cs->gpr, 0, sizeof cs->gpr);
	cs->gpr[R_EDX] = cpu_model_reset_edx(v->model);
	cs->cr0 = CR0_RESET;
	cs->cr2 = cs->cr3 = cs->cr4 = cs->cr8 = cs->efer = 0;
	cs->xcr0 = 1;
	memset(cs->dr, 0, sizeof cs->dr);
	cs->dr[6] = DR6_FIXED;
	cs->dr[7] = 0x400;
	cs->gdt = cs->idt = (struct cpu_dtr){ .base = 0, .limit = 0xffff };
	cs->ldt = (struct cpu_seg){ .limit = 0xffff, .attr = 0x82 };
	cs->tr = (struct cpu_seg){ .limit = 0xffff, .attr = 0x8b };
	cs->cpl = 0;
	cs->halted = cs->inhibit = 0;
	cs->commit_len = 0;
	v->nmi_pending = v->nmi_blocked = false;
	v->in_delivery = v->run->vector = NO_VECTOR;
	v->delivery_external = v->int_delivered = false;
	v->traps = 0;
	watch_update(cs);
	cs->mode = 0;
	mmu_mode_changed(cs);
	for (int s = 0; s < 6; s++)
		reset_segment(cs, s, 0, 0, SA_P | SA_S | SA_RW | SA_ACCESSED);
	reset_segment(cs, S_CS, 0xf000, 0xffff0000, SA_P | SA_S | SA_CODE | SA_RW | SA_ACCESSED);
	cs->rip = 0xfff0;
	cs->tsc_offset = 0 - __rdtsc();
	msr_reset(v);
	cs->tsc_aux = 0;
	reset_fpu(cs);
	cpu_set_eflags(cs, FL_R1);
}

static bool has_feature(struct cpu_state *cs, int feature)
{
	return cpu_model_has(vcpu_of(cs)->model, feature);
}

struct vcpu *vcpu_init(struct vm *vm, const struct cpu_model *model, const struct tr_options *opt, const char **err)
{
	struct vcpu *v = aligned_alloc(64, (sizeof *v + 63) & ~63ull);
	struct vcpu_run *run = calloc(1, sizeof *run);

	*err = "out of memory";
	if (!v || !run) {
		free(v);
		free(run);
		return NULL;
	}
	memset(v, 0, sizeof *v);
	v->vm = vm;
	v->model = model;
	v->run = run;
	v->in_delivery = run->vector = NO_VECTOR;
	run->ops = (struct tr_ops){
		.fetch = mmu_fetch, .code_page = mmu_code_page, .mem_fill = mmu_fill, .mem_slow = mmu_slow, .mem_commit = mmu_commit,
		.host_fault = host_fault, .restart = cpu_leave, .has_feature = has_feature,
	};
	callouts_fill(&run->ops);
	v->idle = idle_init();
	v->soft_int = idle_int;
	v->msr = msr_init();
	v->tr = v->msr ? tr_init(&v->cs, &run->ops, opt, err) : NULL;
	v->mmu = v->tr ? mmu_init(v) : NULL;
	if (!v->mmu) {
		vcpu_fini(v);
		return NULL;
	}
	return v;
}

void vcpu_fini(struct vcpu *v)
{
	if (v->mmu)
		mmu_fini(v->mmu);
	tr_fini(v->tr);
	if (v->msr)
		msr_fini(v->msr);
	idle_fini(v->idle);
	free(v->run);
	free(v);
}
