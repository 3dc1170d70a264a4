/*
 * vcpu.h - a virtual CPU: the run loop, and how the monitor's C code reads and changes guest CPU state.
 *
 * Everything here runs on the vCPU thread, except vcpu_kick() and vcpu_request().
 */
#ifndef RF_VCPU_H
#define RF_VCPU_H
#include "translator/cpustate.h"
#include "translator/modekey.h"
#include "translator/translator.h"

struct vm;
struct mmu;
struct cpu_model;

enum vector {
	VEC_DE, VEC_DB, VEC_NMI, VEC_BP, VEC_OF, VEC_BR, VEC_UD, VEC_NM, VEC_DF, VEC_MP, VEC_TS, VEC_NP, VEC_SS, VEC_GP, VEC_PF,
	VEC_MF = 16, VEC_AC, VEC_MC, VEC_XM
};

struct vcpu {
	struct cpu_state cs;		/* first: cs and vcpu have one address */
	struct vm *vm;
	struct mmu *mmu;		/* monitor/mmu.c */
	u8 *half[2];			/* of the virtual TLB in the current address space: supervisor, user; the MMU sets them */
	struct translator *tr;
	const struct cpu_model *model;	/* monitor/cpuid.c */
	struct msr_state *msr;		/* monitor/msr.c */
	struct idle *idle;		/* monitor/idle.c */
	void (*soft_int)(struct cpu_state *cs, int vector);	/* told of each INT n before it is executed; may be NULL */
	struct vcpu_run *run;		/* monitor/vcpu.c: recovery point, wake-up */
	int in_delivery;		/* an exception is being delivered: its vector, else -1 (double faults) */
	bool delivery_external;		/* what is being delivered is an interrupt: sets EXT in error codes */
	bool int_delivered;		/* the instruction was an INT: it cleared TF, so no single-step trap follows */
	u64 tsc_stopped;		/* the host's TSC when guest time was stopped; 0: it runs */
	u32 traps;			/* DR6 bits of debug traps that wait for the end of the instruction */
	bool nmi_pending, nmi_blocked;
	void *run_jmp[5];		/* __builtin_setjmp buffer of the run loop */
};

static inline struct vcpu *vcpu_of(struct cpu_state *cs) { return (struct vcpu *)cs; }

/* --- vcpu.c --- */
struct vcpu *vcpu_init(struct vm *vm, const struct cpu_model *model, const struct tr_options *opt, const char **err);
void vcpu_fini(struct vcpu *vcpu);
/* Runs the guest until vm_stop()'s reason appears in the vm. The vCPU thread's body. */
void vcpu_run(struct vcpu *vcpu);
/* Power-on or RESET state (SDM vol. 3, 9.1.1). */
void vcpu_reset(struct vcpu *vcpu);
/* Any thread: make the vCPU come out of translated code or HLT soon and look at its events. */
void vcpu_kick(struct vcpu *vcpu);
/* The vCPU thread: sleeps until somebody asks for attention or guest time is `deadline`; the next block boundary looks at what it was. */
void vcpu_sleep(struct vcpu *vcpu, u64 deadline);
/* The vCPU thread (chips): the level of the interrupt line that goes into the CPU (PIC's INTR), and NMI's edge. */
void vcpu_set_intr(struct vcpu *vcpu, bool level);
void vcpu_nmi(struct vcpu *vcpu);

/* Raises a guest exception at cs->rip: abandons what the vCPU is doing and never returns. `error` is TR_NO_ERR for none.
 * For faults cs->rip is the faulting instruction; traps set cs->rip behind it first. #PF's address is in cs->cr2 already. */
_Noreturn void cpu_raise(struct cpu_state *cs, int vector, int error);
static inline _Noreturn void cpu_gp(struct cpu_state *cs, u32 error) { cpu_raise(cs, VEC_GP, (int)error); }
/* Leaves to the run loop without an exception; execution goes on at cs->rip. */
_Noreturn void cpu_leave(struct cpu_state *cs);

/* The guest's TSC, also while guest time stands still. */
u64  vcpu_tsc(const struct vcpu *vcpu);
void vcpu_set_tsc(struct vcpu *vcpu, u64 tsc);
/* Guest clock and TSC stand still between these two. */
void vcpu_time_stop(struct vcpu *vcpu);
void vcpu_time_cont(struct vcpu *vcpu);

/* --- mode.c --- */
u32  cpu_eflags(const struct cpu_state *cs);
/* Replaces all of EFLAGS (reserved bits forced), stores 0 to `go` when IF becomes 1 while irq_line is up, and refreshes the mode
 * key. Checks nothing. */
void cpu_set_eflags(struct cpu_state *cs, u32 eflags);
/* Recomputes cs->mode and cs->half from CR0, CR4, XCR0, EFLAGS, CPL and the segments. Cheap. */
void cpu_update_mode(struct cpu_state *cs);
/* Recomputes rlim1 and wlim1 of a segment from base, limit, attr. */
void seg_update(struct cpu_state *cs, int seg);
/* Sets CPL and the mode. */
void cpu_set_cpl(struct cpu_state *cs, int cpl);
/* Loads a segment register the real-mode and V86 way: base = selector * 16. */
void seg_load_real(struct cpu_state *cs, int seg, u16 sel);

static inline bool cpu_protected(const struct cpu_state *cs) { return (cs->cr0 & 1) && !(cs->eflags_sys & FL_VM); }
static inline bool cpu_v86(const struct cpu_state *cs) { return cs->eflags_sys & FL_VM; }

/* --- except.c --- */
/* Delivers an exception or interrupt through the IVT or IDT. May raise nested faults (handled by the run loop as double faults).
 * kind: 0 exception or external interrupt, 1 INT n / INT3 / INTO (DPL checks; return address is cs->next_rip). */
enum deliver_kind { DELIVER_EXCEPTION, DELIVER_EXTERNAL, DELIVER_SOFT, DELIVER_ICEBP };
void cpu_deliver(struct cpu_state *cs, int vector, int error, enum deliver_kind kind);
#endif
