/*
 * idle.c - finds out that a guest only waits: DOS and its programs ask for a key (INT 16h, AH = 01h or 11h) in a loop.
 *
 * What makes it honest is that waiting is proved, not guessed. Twice at the same INT the CPU's registers are equal; in between no port, no
 * device and no interrupt was touched; and every page that was written between the two times (write_log) has the contents that it had.
 * Then the guest will go round the same way for ever, until something from outside happens: so the vCPU sleeps until an
 * interrupt, a timer or the user comes. As the time stamp counter is read without our noticing, no sleep is longer than SLEEP_MAX.
 * A loop that computes while it polls never repeats its state, and is never held up.
 */
#include "monitor/idle.h"
#include <stdlib.h>
#include <string.h>
#include "monitor/clock.h"
#include "monitor/mmu.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"

#define BIOS_KEYBOARD 0x16
#define SLEEP_MAX     5000000ull	/* ns */
#define PATIENCE      16u		/* equal polls before writes are logged, which costs as much as filling some tables */
#define PATIENCE_MAX  65536u		/* after many tries in vain */

#define FPU_BYTES     288		/* of an FXSAVE image: x87 and the XMM registers of 32-bit code */

/* All of the CPU that a loop could count with. */
struct snapshot {
	u64 gpr[16], rip, base[6], cr3;
	u16 sel[6];
	u32 mode, flags;
	s32 df;
	u8 fpu[FPU_BYTES];
};

struct idle {
	struct snapshot at;
	u64 activity;		/* vm->activity then */
	u32 same, patience;
	bool logging;
};

struct idle *idle_init(void)
{
	struct idle *idle = calloc(1, sizeof(*idle));

	if (idle)
		idle->patience = PATIENCE;
	return idle;
}

void idle_fini(struct idle *idle)
{
	free(idle);
}

static struct snapshot take(const struct cpu_state *cs)
{
	struct snapshot s;

	memset(&s, 0, sizeof(s));	/* padding is compared too */
	memcpy(s.gpr, cs->gpr, sizeof(s.gpr));
	s.rip = cs->rip;
	s.cr3 = cs->cr3;
	s.mode = cs->mode;
	s.flags = cpu_eflags(cs);
	s.df = cs->df;
	memcpy(s.fpu, cs->fpu, sizeof(s.fpu));
	for (int i = 0; i < 6; i++) {
		s.sel[i] = cs->seg[i].sel;
		s.base[i] = cs->seg[i].base;
	}
	return s;
}

static void stop_logging(struct cpu_state *cs, struct idle *idle)
{
	if (idle->logging)
		mmu_log_writes(cs, false);
	idle->logging = false;
	idle->same = 0;
}

static void sleep(struct vcpu *v)
{
	u64 next = clock_next_deadline(v->vm), most = clock_now(v->vm) + SLEEP_MAX;

	vcpu_sleep(v, next < most ? next : most);
}

static void poll(struct vcpu *v, struct idle *idle)
{
	struct cpu_state *cs = &v->cs;
	struct snapshot now = take(cs);

	if (memcmp(&now, &idle->at, sizeof(now)) || idle->activity != v->vm->activity) {
		stop_logging(cs, idle);
		idle->at = now;
		idle->activity = v->vm->activity;
	} else if (!idle->logging) {
		idle->logging = ++idle->same >= idle->patience;
		if (idle->logging)
			mmu_log_writes(cs, true);
	} else if (mmu_log_unchanged(cs)) {
		idle->patience = PATIENCE;
		sleep(v);
	} else {
		stop_logging(cs, idle);
		idle->patience = idle->patience < PATIENCE_MAX ? idle->patience * 2 : PATIENCE_MAX;
	}
}

void idle_int(struct cpu_state *cs, int vector)
{
	struct vcpu *v = vcpu_of(cs);
	u8 function = (u8)(cs->gpr[R_EAX] >> 8);

	if (vector == BIOS_KEYBOARD && (function == 0x01 || function == 0x11) && v->idle)
		poll(v, v->idle);
}
