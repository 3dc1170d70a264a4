/*
 * io.h - may this code use these ports?
 */
#ifndef RF_IO_H
#define RF_IO_H
#include "translator/cpustate.h"
/* #GP(0) unless CPL <= IOPL, or the TSS's bitmap allows the ports; in V86 mode always the bitmap (SDM vol. 1, 19.5). */
void io_check(struct cpu_state *cs, u32 port, u32 size);
#endif
