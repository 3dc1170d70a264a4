/*
 * fake_mmu.h - a CPU without translator and page tables, for tests of the privileged instructions.
 *
 * Linear addresses are offsets into `ram`; `bad_page` is not mapped, `ro_page` cannot be written. cpu_raise() comes back to
 * FAKE_TRY(), which tells what was raised.
 */
#ifndef RF_FAKE_MMU_H
#define RF_FAKE_MMU_H
#include <setjmp.h>
#include "monitor/msr.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define FAKE_RAM (1u << 20)

struct fake {
	struct vcpu vcpu;	/* first: the state pointer leads to all */
	struct vm vm;
	struct msr_state msr;
	u8 ram[FAKE_RAM];
	u8 *half;		/* an empty virtual TLB */
	u32 bad_page, ro_page;	/* page numbers; ~0: none */
	jmp_buf jmp;
	int vector, error;	/* what cpu_raise() got; vector -1: nothing, -2: cpu_leave() */
	u32 port_value, last_port, last_value, flushes;
	u32 stream;		/* elements that a port takes or gives at once; 0: no streams */
	u32 streamed;		/* elements that went so */
};

struct fake *fake_init(const char *model);
void fake_fini(struct fake *f);
static inline struct fake *fake_of(struct cpu_state *cs) { return (struct fake *)cs; }
/* Little-endian access to the guest's memory. */
u32  fake_get(struct fake *f, u32 lin, int size);
void fake_put(struct fake *f, u32 lin, u32 value, int size);
/* Writes a descriptor into the GDT; `attr` as struct cpu_seg has it. */
void fake_desc(struct fake *f, u32 sel, u32 base, u32 limit, u32 attr);
void fake_gate(struct fake *f, u32 addr, u32 sel, u32 offset, u32 attr, u32 count);

/* Runs a statement; afterwards f->vector and f->error say what it raised. */
#define FAKE_TRY(f, ...) do { \
	(f)->vector = -1; \
	(f)->error = TR_NO_ERR; \
	if (!setjmp((f)->jmp)) { __VA_ARGS__; } \
} while (0)
#endif
