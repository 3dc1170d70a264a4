/*
 * fakemmu.h - a monitor of one address space: guest linear address = guest-physical address, host address = that + window.
 *
 * It stands in for monitor/mmu.c and for the part of monitor/vcpu.c that callouts use, so that the real callouts of ring-3 instructions
 * can be linked with it. What cpu_raise() gets ends the case.
 */
#ifndef RF_TESTS_FAKEMMU_H
#define RF_TESTS_FAKEMMU_H
#include "monitor/mmu.h"
#include "monitor/vcpu.h"

struct mmu {
	u8 *half;
	u8 *window;		/* host address of linear address 0 */
	u8 code[2];		/* pages of GUEST_CODE that hold translated code */
	/* how the case ended */
	int vector;
	u32 error, address;
	u64 serial, seen;	/* case counter, and its value at the last tick */
	bool timeout;
	bool ended;		/* else: left for another round of the run loop */
	void *jmp[5];
};
_Noreturn void fake_end(struct cpu_state *cs, int vector, int error);
#endif
