/*
 * except.h - exceptions and interrupts: what else but cpu_deliver() (vcpu.h) the monitor needs.
 */
#ifndef RF_EXCEPT_H
#define RF_EXCEPT_H
#include "monitor/vcpu.h"

/* Exception `second` came up while `first` was being delivered: the vector to deliver now, or -1 for shutdown (triple fault).
 * SDM vol. 3, table 6-5. `first` is -1 (benign) for external interrupts and INT instructions, whatever their vector. */
int except_combine(int first, int second);
/* Delivers through the real-mode interrupt vector table: real mode, and V86 mode with VME redirection. `flags` is the image to push. */
void except_deliver_ivt(struct cpu_state *cs, int vector, u32 table, u32 flags, u32 return_ip);
#endif
