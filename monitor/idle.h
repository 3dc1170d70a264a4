/*
 * idle.h - guests that wait by asking the BIOS for a key again and again: the host's processor sleeps instead.
 */
#ifndef RF_IDLE_H
#define RF_IDLE_H
#include "translator/cpustate.h"

struct idle;
struct idle *idle_init(void);
void idle_fini(struct idle *idle);
/* An INT is about to be executed (cs->rip is its address): sleeps if it is proved that the guest waits. Any mode. */
void idle_int(struct cpu_state *cs, int vector);
#endif
