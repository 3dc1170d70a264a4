/*
 * watch.h - data and I/O breakpoints of the debug registers (SDM vol. 3, 17.2.4 and 17.2.5).
 */
#ifndef RF_WATCH_H
#define RF_WATCH_H
#include "translator/cpustate.h"

/* To be called after DR0 to DR3 or DR7 changed. */
void watch_update(struct cpu_state *cs);
/* The DR6 bits of the data breakpoints that an access to [lin, lin + len) hits, or of the I/O breakpoints for ports [port, port + size). */
u32 watch_data(const struct cpu_state *cs, u32 lin, u32 len, bool write);
u32 watch_io(const struct cpu_state *cs, u32 port, u32 size);
/* These were hit: #DB comes behind the current instruction, which must be one that the run loop sees the end of (MK_STEP), or a callout. */
void watch_hit(struct cpu_state *cs, u32 hits);
#endif
