/*
 * inspect.h - the guest's CPU and memory as text, for the prompt and the control socket. vCPU thread, between blocks; changes nothing.
 */
#ifndef RF_INSPECT_H
#define RF_INSPECT_H
#include <stdio.h>
#include "monitor/lib/types.h"

struct vcpu;

void inspect_regs(struct vcpu *v, FILE *out);
/* The page walk of a linear address: each entry, and where it ends. */
void inspect_walk(struct vcpu *v, gla_t lin, FILE *out);
/* Bytes at linear addresses, 16 a line. */
void inspect_mem(struct vcpu *v, gla_t lin, u32 count, FILE *out);
/* Instructions at a linear address, in the code segment's size. */
void inspect_disas(struct vcpu *v, gla_t lin, u32 count, FILE *out);
#endif
