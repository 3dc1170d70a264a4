/*
 * task.h - task state segments: inner stacks and hardware task switches (SDM vol. 3, chapter 7).
 */
#ifndef RF_TASK_H
#define RF_TASK_H
#include "monitor/segment.h"

enum task_reason { TASK_JMP, TASK_CALL, TASK_INT, TASK_IRET };

/* The stack for privilege `cpl` from the current TSS; #TS when that is too short. */
void tss_stack(struct cpu_state *cs, u32 cpl, u16 *ss, u32 *esp);
/* Switches to the task whose TSS descriptor `d` (checked for type and presence) was named by `sel`. The old task goes on at
 * `return_ip`; `error` is pushed on the new stack unless it is -1. Faults in the new task's context are raised there. */
void task_switch(struct cpu_state *cs, u16 sel, struct desc *d, enum task_reason why, u32 return_ip, s64 error);
/* The same through a task gate's TSS selector, with the checks. */
void task_gate_switch(struct cpu_state *cs, u32 tss_sel, enum task_reason why, u32 return_ip, s64 error);
/* IRET with NT set: back to the task that the current TSS links to. */
void task_return(struct cpu_state *cs, u32 return_ip);
/* May `size` ports from `port` be used according to the TSS's I/O permission bitmap (SDM vol. 1, 19.5.2)? */
bool tss_io_allowed(struct cpu_state *cs, u32 port, u32 size);
/* VME: is software interrupt `vector` to go through the 8086 program's own vector table (SDM vol. 3, 20.3.3)? */
bool tss_int_redirected(struct cpu_state *cs, u32 vector);
#endif
