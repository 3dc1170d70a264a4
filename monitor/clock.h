/*
 * clock.h - guest time, and timers on it.
 *
 * Guest time is the host's CLOCK_MONOTONIC less an offset, in nanoseconds since power-on; it stands still while the machine is
 * stopped. The guest's TSC is the host's plus an offset, at a constant rate. Timers run their callback on the vCPU thread, at
 * block boundaries; the event thread only wakes it. All but clock_now() belong to the vCPU thread.
 */
#ifndef RF_CLOCK_H
#define RF_CLOCK_H
#include "monitor/lib/types.h"

struct vm;
struct timer {
	u64 deadline;			/* guest ns; ~0 = not armed */
	void (*fn)(void *arg, u64 now);	/* may arm the timer again; `now` >= deadline */
	void *arg;
	struct vm *vm;
	int heap_index;			/* clock.c's */
};
bool clock_init(struct vm *vm);
void clock_fini(struct vm *vm);
u64  clock_now(struct vm *vm);				/* any thread */
void clock_stop(struct vm *vm);
void clock_cont(struct vm *vm);
void clock_set(struct vm *vm, u64 now);			/* guest time is this from now on; timers stay as they are */
void timer_init(struct vm *vm, struct timer *t, void (*fn)(void *arg, u64 now), void *arg);
void timer_arm(struct timer *t, u64 deadline);		/* replaces an earlier deadline */
void timer_cancel(struct timer *t);
/* vCPU thread: run what is due; returns the next deadline (~0: none). */
u64  clock_run_timers(struct vm *vm);
u64  clock_next_deadline(struct vm *vm);
u64  clock_tsc_hz(struct vm *vm);			/* the host's TSC rate, measured once or from CPUID */
u64  clock_tsc(struct vm *vm);				/* the guest's TSC now; vCPU thread */
/* Real date for the RTC: seconds since 1970 at guest time 0. */
s64  clock_epoch(struct vm *vm);
#endif
