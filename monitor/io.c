/*
 * io.c - IN and OUT: permission, then the bus.
 */
#include "monitor/bus.h"
#include "monitor/callouts.h"
#include "monitor/io.h"
#include "monitor/task.h"
#include "monitor/watch.h"

void io_check(struct cpu_state *cs, u32 port, u32 size)
{
	if (likely(!cpu_v86(cs) && cs->cpl <= (cs->eflags_sys >> 12 & 3)))
		return;
	if (!tss_io_allowed(cs, port, size))
		cpu_gp(cs, 0);
}

void callout_IN(struct cpu_state *cs, u32 arg)
{
	u32 size = arg & 15, port = cs->op[0] & 0xffff, value;

	io_check(cs, port, size);
	value = bus_io_read(vcpu_of(cs)->vm, (u16)port, (int)size);
	watch_hit(cs, watch_io(cs, port, size));
	if (size == 1)
		cs->gpr[R_EAX] = (gpr32(cs, R_EAX) & ~0xffu) | (value & 0xff);
	else
		gpr_put(cs, R_EAX, value, size);
}

void callout_OUT(struct cpu_state *cs, u32 arg)
{
	u32 size = arg & 15, port = cs->op[0] & 0xffff;

	io_check(cs, port, size);
	bus_io_write(vcpu_of(cs)->vm, (u16)port, gpr32(cs, R_EAX) & (size == 4 ? ~0u : (1u << 8 * size) - 1), (int)size);
	watch_hit(cs, watch_io(cs, port, size));
}
