/*
 * fakevm.c - the parts of the monitor that the linked callouts name but ring-3 code without ports and gates never reaches.
 */
#include "monitor/bus.h"
#include "monitor/io.h"
#include "monitor/task.h"
#include "monitor/vcpu.h"
#include "monitor/watch.h"
#include "tests/fuzz/insn/fakemmu.h"
#include "tests/fuzz/insn/insn.h"

u32  bus_io_read(struct vm *vm, u16 port, int size) { bug("port %x read in ring 3", port); }
void bus_io_write(struct vm *vm, u16 port, u32 value, int size) { bug("port %x written in ring 3", port); }
u32  bus_stream_read(struct vm *vm, u16 port, void *buf, int size, u32 n) { bug("port %x read in ring 3", port); }
u32  bus_stream_write(struct vm *vm, u16 port, const void *buf, int size, u32 n) { bug("port %x written in ring 3", port); }
void io_check(struct cpu_state *cs, u32 port, u32 size) { cpu_gp(cs, 0); }
void tss_stack(struct cpu_state *cs, u32 cpl, u16 *ss, u32 *esp) { bug("an inner stack is wanted"); }
void task_gate_switch(struct cpu_state *cs, u32 tss_sel, enum task_reason why, u32 return_ip, s64 error) { bug("a task switch"); }
bool tss_int_redirected(struct cpu_state *cs, u32 vector) { return false; }
u32  watch_io(const struct cpu_state *cs, u32 port, u32 size) { return 0; }
void watch_hit(struct cpu_state *cs, u32 hits) { bug("a breakpoint of the debug registers"); }
