/*
 * debug.h - debug registers (SDM vol. 3, chapter 17).
 */
#ifndef RF_DEBUG_H
#define RF_DEBUG_H
#include "translator/cpustate.h"

enum dr6 { DR6_HITS = 15 /* B0 to B3 */, DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15, DR6_FIXED = 0xffff0ff0 };

/* Before each instruction while MK_STEP is set: true when an execution breakpoint lies on cs->rip; DR6 says which, and the caller
 * raises #DB there. RF holds it off for one instruction and is used up. Data and I/O breakpoints do not fire. */
bool debug_code_breakpoint(struct cpu_state *cs);
#endif
