/*
 * watch.c - data and I/O breakpoints.
 *
 * A linear page with a watched byte is kept out of the virtual TLB (mmu_watch()), so whoever touches it comes to the MMU's slow
 * path, and that asks here; nothing else gets slower. A data breakpoint is a trap: it waits in vcpu->traps for the end of the
 * instruction, where the run loop raises #DB.
 */
#include "monitor/mmu.h"
#include "monitor/vcpu.h"
#include "monitor/watch.h"

enum { CR4_DE = 8, RW_WRITE = 1, RW_IO = 2, RW_ACCESS = 3 };

static bool enabled(const struct cpu_state *cs, int i) { return cs->dr[7] >> 2 * i & 3; }

static u32 kind(const struct cpu_state *cs, int i) { return cs->dr[7] >> (16 + 4 * i) & 3; }

static u32 length(const struct cpu_state *cs, int i)
{
	static const u8 bytes[] = { 1, 2, 8, 4 };

	return bytes[cs->dr[7] >> (18 + 4 * i) & 3];
}

/* Does breakpoint i, whose address is taken as aligned to its length, touch [at, at + len)? */
static bool touches(const struct cpu_state *cs, int i, u32 at, u32 len)
{
	u32 watched = length(cs, i), first = (u32)cs->dr[i] & ~(watched - 1);

	return at - first < watched || first - at < len;
}

void watch_update(struct cpu_state *cs)
{
	u32 page[4];
	int n = 0;

	for (int i = 0; i < 4; i++)
		if (enabled(cs, i) && (kind(cs, i) & RW_WRITE))
			page[n++] = (u32)cs->dr[i] >> PAGE_SHIFT;
	mmu_watch(cs, page, n);
}

u32 watch_data(const struct cpu_state *cs, u32 lin, u32 len, bool write)
{
	u32 hits = 0;

	for (int i = 0; i < 4; i++)
		if (enabled(cs, i) && (kind(cs, i) == RW_ACCESS || (write && kind(cs, i) == RW_WRITE)) && touches(cs, i, lin, len))
			hits |= 1u << i;
	return hits;
}

u32 watch_io(const struct cpu_state *cs, u32 port, u32 size)
{
	u32 hits = 0;

	if (likely(!(cs->dr[7] & 0xff)) || !(cs->cr4 & CR4_DE))
		return 0;
	for (int i = 0; i < 4; i++)
		if (enabled(cs, i) && kind(cs, i) == RW_IO && touches(cs, i, port, size))
			hits |= 1u << i;
	return hits;
}

void watch_hit(struct cpu_state *cs, u32 hits)
{
	if (!hits)
		return;
	vcpu_of(cs)->traps |= hits;
	cs->resync = 1;		/* out of the block behind this instruction ... */
	__atomic_store_n(&cs->go, 0, __ATOMIC_RELAXED);	/* ... and to the run loop */
}
