/*
 * bench_mmu.c - what the virtual TLB's operations cost, in nanoseconds: fills, CR3 switches, new address spaces.
 *
 *     cc -O2 -I. -Itests/unit tests/bench/bench_mmu.c OBJECTS -o bench_mmu      (OBJECTS: the objs line of tests/unit/test_mmu.c)
 */
#include <time.h>
#include "mmu_fixture.h"

#define PAGES  400u		/* filled in each address space */
#define SPACES 12u
#define ROUNDS 2000

static struct cpu_state *cs;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Each space: linear 4 MiB to 8 MiB by its own page table, 0xc0000000 by a shared large page. */
static u32 directory(u32 i) { return 0x100000 + i * 0x2000; }

static void spaces_up(u32 count)
{
	cs = fixture_up(256 << 20);
	for (u32 s = 0; s < count; s++) {
		u32 pd = directory(s), pt = pd + 0x1000;

		put32(pd + 4, pt | 7);
		put32(pd + 4 * 0x300, 0x83);
		for (u32 i = 0; i < 1024; i++)
			put32(pt + 4 * i, (0x800000 + (i << 12)) | 0x67);
	}
	set_paging(cs, directory(0), CR4_PSE, 0, true);
}

static void switch_to(u32 i)
{
	cs->cr3 = directory(i);
	mmu_cr3_written(cs);
}

static void fill_pages(u32 count, u32 info)
{
	for (u32 i = 0; i < count; i++)
		if (!mmu_fill(cs, 0x400000 + (i << 12), info))
			mmu_slow(cs, 0x400000 + (i << 12), info);
}

static void bench_fill(void)
{
	double t, sum = 0;

	spaces_up(1);
	for (int r = 0; r < ROUNDS; r++) {
		mmu_flush_all(fx.vcpu->mmu);
		t = now();
		fill_pages(PAGES, 4 | MEM_WRITE);
		sum += now() - t;
	}
	printf("fill of a 4 KiB page                         %8.1f ns\n", sum / ROUNDS / PAGES);
	sum = 0;
	for (int r = 0; r < ROUNDS; r++) {
		mmu_flush_all(fx.vcpu->mmu);
		t = now();
		for (u32 i = 0; i < 48; i++)
			mmu_fill(cs, 0xc0000000 + (i << 16), 4 | MEM_WRITE);
		sum += now() - t;
	}
	printf("fill of 16 pages of a 4 MiB page             %8.1f ns\n", sum / ROUNDS / 48);
	t = now();
	for (int r = 0; r < ROUNDS * 100; r++) {
		mmu_invlpg(cs, 0x410000);
		mmu_fill(cs, 0x410000, 4 | MEM_WRITE);
	}
	printf("INVLPG and fill                              %8.1f ns\n", (now() - t) / ROUNDS / 100);
	fixture_down();
}

/* Switches between two spaces of `pages` filled pages each; with `dirty`, a page table entry of both changes before every switch. */
static void bench_switch(u32 pages, bool dirty)
{
	double t, sum = 0;

	spaces_up(2);
	for (u32 s = 0; s < 2; s++) {
		switch_to(s);
		fill_pages(pages, 4 | MEM_WRITE);
	}
	for (int r = 0; r < ROUNDS * 5; r++) {
		if (dirty)
			put32(directory(!(r & 1)) + 0x1000 + 4 * 1023, (u32)r & ~1u);
		t = now();
		switch_to(r & 1);
		sum += now() - t;
	}
	printf("CR3 switch, %4u pages, page tables %s   %8.1f ns (with the clock's own cost)\n", pages, dirty ? "written" : "at rest",
	       sum / ROUNDS / 5);
	fixture_down();
}

static void bench_new_spaces(void)
{
	double t;

	spaces_up(40);
	for (u32 s = 0; s < 80; s++) {
		switch_to(s % 40);
		fill_pages(PAGES, 4 | MEM_WRITE);
	}
	t = now();
	for (u32 r = 0; r < ROUNDS; r++)
		switch_to(r % 40);
	printf("switch to a new CR3 (empty space taken over) %8.1f ns\n", (now() - t) / ROUNDS);
	t = now();
	for (u32 r = 0; r < ROUNDS; r++) {
		switch_to(r % 40);
		fill_pages(PAGES, 4 | MEM_WRITE);
	}
	printf("the same and %u fills                       %8.1f ns\n", PAGES, (now() - t) / ROUNDS);
	fixture_down();
}

int main(void)
{
	double t = now();

	for (int i = 0; i < 10000; i++)
		now();
	printf("the clock                                    %8.1f ns\n", (now() - t) / 10000);
	bench_fill();
	for (int dirty = 0; dirty < 2; dirty++) {
		bench_switch(100, dirty);
		bench_switch(400, dirty);
		bench_switch(1000, dirty);
	}
	bench_new_spaces();
	return 0;
}
