/*
 * test_mmu.c - the virtual TLB as translated code and the monitor see it: fills, faults, page crossings, devices, code pages, INVLPG, and
 * CR3 switches with page tables that changed meanwhile.
 */
/* objs: monitor/mem.o monitor/mem_device.o monitor/bus.o monitor/trace.o monitor/walk.o monitor/mmu.o monitor/mmu_as.o
 * monitor/mmu_fill.o monitor/mmu_log.o monitor/mmu_clean.o monitor/watch.o monitor/lib/bug.o monitor/lib/hostmem.o */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "mmu_fixture.h"
#include "monitor/walk.h"

#define PD_A 0x100000u
#define PD_B 0x101000u
#define PT   0x102000u		/* shared by both directories: linear 0 to 4 MiB */
#define PT_A 0x103000u		/* linear 4 to 8 MiB, one for each */
#define PT_B 0x104000u
#define PD_C 0x105000u
#define PD_D 0x106000u
#define PRW  7u			/* present, writable, user */
#define USER_PAGE 0x400000u

static struct cpu_state *cs;

/* Two address spaces: the first 4 MiB identity-mapped, shared; USER_PAGE on is private; 0xc0000000 is a 4 MiB page at 0. */
static void two_spaces(void)
{
	cs = fixture_up(64 << 20);
	for (u32 i = 0; i < 1024; i++) {
		put32(PT + 4 * i, i << 12 | PRW);
		put32(PT_A + 4 * i, (0x800000 + (i << 12)) | PRW);
		put32(PT_B + 4 * i, (0xc00000 + (i << 12)) | PRW);
	}
	for (int b = 0; b < 2; b++) {
		put32((b ? PD_B : PD_A), PT | PRW);
		put32((b ? PD_B : PD_A) + 4, (b ? PT_B : PT_A) | PRW);
		put32((b ? PD_B : PD_A) + 4 * 0x300, 0x83);
	}
	set_paging(cs, PD_A, CR4_PSE, 0, true);
}

static int teardown(void **state)
{
	fixture_down();
	return 0;
}

static int setup(void **state)
{
	two_spaces();
	return 0;
}

static u64 rd(u32 lin) { return mmu_read(cs, lin, 4, 0); }
static void wr(u32 lin, u32 v) { mmu_write(cs, lin, v, 4, 0); }

static bool read_faults(u32 lin) { return RAISES(rd(lin)); }

static void switch_to(u32 cr3)
{
	cs->cr3 = cr3;
	mmu_cr3_written(cs);
}

static bool filled(u32 lin, bool write)
{
	return write ? *vtlb_write_entry(cs->half, lin) : *vtlb_read_entry(cs->half, lin);
}

static void fills_and_bits(void **state)
{
	u64 delta = mmu_fill(cs, 0x5008, 4 | MEM_READ);

	assert_ptr_equal((u8 *)(delta + 0x5008), ram_at(0x5008));
	assert_int_equal(get32(PT + 4 * 5), 0x5000 | PRW | PTE_A);
	assert_true(filled(0x5000, false) && !filled(0x5000, true));
	assert_true(mmu_fill(cs, 0x5ffe, 4 | MEM_WRITE) == 0);	/* crosses */
	assert_int_equal(get32(PT + 4 * 5), 0x5000 | PRW | PTE_A);
	assert_int_equal(mmu_fill(cs, 0x5ffc, 4 | MEM_WRITE), delta);
	assert_int_equal(get32(PT + 4 * 5), 0x5000 | PRW | PTE_A | PTE_D);
	assert_true(filled(0x5000, true));
	put32(PT + 4 * 6, 0);
	assert_true(mmu_fill(cs, 0x6000, 4 | MEM_READ) == 0);
	assert_true(RAISES(mmu_slow(cs, 0x6123, 4 | MEM_READ | MEM_WRITE)));
	assert_int_equal(fx.vector, VEC_PF);
	assert_int_equal(fx.error, PF_W);
	assert_int_equal(cs->cr2, 0x6123);
	/* The linear address space wraps. */
	put32(PD_A + 4 * 1023, PT | PRW);
	put32(PT + 4 * 1023, 0x9000 | PRW);
	memset(ram_at(0x9ffe), 0x11, 2);
	memset(ram_at(0), 0x22, 2);
	assert_int_equal(rd(0xfffffffe), 0x22221111);
}

static void large_pages(void **state)
{
	u64 delta = mmu_fill(cs, 0xc0011004, 4 | MEM_WRITE);

	assert_ptr_equal((u8 *)(delta + 0xc0011004), ram_at(0x11004));
	for (u32 i = 0x10; i < 0x20; i++)
		assert_true(filled(0xc0000000 + (i << 12), true) && filled(0xc0000000 + (i << 12), false));
	assert_false(filled(0xc0020000, false) || filled(0xc000f000, false));
	mmu_fill(cs, 0xc0300000, 4 | MEM_READ);		/* the other half of the 4 MiB page */
	mmu_invlpg(cs, 0xc0012000);
	assert_false(filled(0xc0011000, true) || filled(0xc0300000, false));
}

static void crossing(void **state)
{
	put32(PT + 4 * 7, 0x9000 | PRW);	/* linear 7 is physical 9, 8 is 8 */
	memset(ram_at(0x9ffc), 0xaa, 4);
	memset(ram_at(0x8000), 0xbb, 4);
	assert_int_equal(rd(0x7ffe), 0xbbbbaaaa);
	wr(0x7ffe, 0x44332211);
	assert_int_equal(get32(0x9ffc), 0x2211aaaa);
	assert_int_equal(get32(0x8000), 0xbbbb4433);
	u64 delta = mmu_slow(cs, 0x7fff, 8 | MEM_READ | MEM_WRITE);

	assert_ptr_equal((u8 *)(delta + 0x7fff), cs->bounce + 63);
	assert_int_equal(cs->commit_len, 8);
	assert_memory_equal((u8 *)(delta + 0x7fff), "\x22\x33\x44\xbb", 4);
	memset((u8 *)(delta + 0x7fff), 0x5a, 8);
	mmu_commit(cs);
	assert_int_equal(cs->commit_len, 0);
	assert_int_equal(get32(0x9ffc), 0x5a11aaaa);
	assert_int_equal(get64(0x8000) & 0xffffffffffffff, 0x5a5a5a5a5a5a5a);
	/* Nothing is written, and no dirty bit set on the second page, when the second page faults. */
	put32(PT + 4 * 8, 0x8000 | 5);
	mmu_invlpg(cs, 0x8000);
	assert_true(RAISES(wr(0x7ffe, 0)));
	assert_int_equal(cs->cr2, 0x8000);
	assert_int_equal(fx.error, PF_P | PF_W);
	assert_int_equal(get32(0x9ffc), 0x5a11aaaa);
	assert_int_equal(get32(PT + 4 * 8), 0x8000 | 5);
	assert_true(RAISES(mmu_slow(cs, 0x7ffe, 4 | MEM_WRITE)));
	assert_true(RAISES(mmu_probe(cs, 0x6000, 0x2001, ACC_WRITE)));
	assert_int_equal(cs->cr2, 0x8000);
	assert_false(RAISES(mmu_probe(cs, 0x6000, 0x2000, ACC_WRITE)));
}

static void rights(void **state)
{
	put32(PT + 4 * 5, 0x5000 | 3);		/* supervisor */
	put32(PT + 4 * 6, 0x6000 | 5);		/* user, read-only */
	assert_true(RAISES(mmu_read(cs, 0x5000, 4, ACC_USER)));
	assert_int_equal(fx.error, PF_P | PF_U);
	wr(0x5000, 7);
	assert_true(RAISES(mmu_read(cs, 0x5000, 4, ACC_USER)));	/* the supervisor's entry is not the user's */
	assert_true(RAISES(wr(0x6000, 7)));
	cs->cr0 &= ~(u64)CR0_WP;
	mmu_mode_changed(cs);
	assert_false(RAISES(wr(0x6000, 7)));
	assert_true(RAISES(mmu_write(cs, 0x6000, 7, 4, ACC_USER)));
	cs->cr0 |= CR0_WP;
	mmu_mode_changed(cs);
	assert_true(RAISES(wr(0x6000, 7)));
	cs->cpl = 3;
	mmu_mode_changed(cs);
	assert_true(RAISES(mmu_slow(cs, 0x5000, 4 | MEM_READ)));
	assert_false(RAISES(mmu_slow(cs, 0x5000, 4 | MEM_READ | MEM_SUPER)));
	cs->mode |= MK_ALIGN;
	assert_true(mmu_fill(cs, 0x7000, 4 | MEM_READ) == 0);
	assert_true(RAISES(mmu_slow(cs, 0x7002, 4 | MEM_READ)));
	assert_int_equal(fx.vector, VEC_AC);
	assert_false(RAISES(mmu_slow(cs, 0x7002, 2 | MEM_READ)));
}

static void switches(void **state)
{
	memset(ram_at(0x800000), 0xa1, 4);
	memset(ram_at(0xc00000), 0xb1, 4);
	assert_int_equal(rd(USER_PAGE), 0xa1a1a1a1);
	switch_to(PD_B);
	assert_int_equal(rd(USER_PAGE), 0xb1b1b1b1);
	switch_to(PD_A);
	assert_true(filled(USER_PAGE, false));		/* kept */
	assert_int_equal(rd(USER_PAGE), 0xa1a1a1a1);
	for (int i = 0; i < 40; i++) {
		switch_to(i & 1 ? PD_A : PD_B);
		assert_int_equal(rd(USER_PAGE), i & 1 ? 0xa1a1a1a1 : 0xb1b1b1b1);
	}
	switch_to(PD_B);
	put32(PT_A, 0xc00000 | PRW);			/* leaf changed meanwhile */
	switch_to(PD_A);
	assert_int_equal(rd(USER_PAGE), 0xb1b1b1b1);
	switch_to(PD_B);
	put32(PD_A + 4, 0);				/* upper entry changed */
	switch_to(PD_A);
	assert_true(RAISES(rd(USER_PAGE)));
	put32(PD_A + 4, PT_A | PRW);
	wr(USER_PAGE + 0x1000, 1);
	put32(PT_A + 4, 0x801000 | PRW | PTE_A);	/* the guest cleans the page: the next write must set D again */
	switch_to(PD_A);
	assert_false(filled(USER_PAGE + 0x1000, true));
	wr(USER_PAGE + 0x1000, 1);
	assert_int_equal(get32(PT_A + 4), 0x801000 | PRW | PTE_A | PTE_D);
	/* Stale until flushed is allowed, gone after INVLPG required. */
	put32(PT_A + 4, 0);
	mmu_invlpg(cs, USER_PAGE + 0x1abc);
	assert_true(RAISES(rd(USER_PAGE + 0x1000)));
}

/* More spaces than are kept: an old one is taken over and shows nothing of its past. */
static void many_spaces(void **state)
{
	for (u32 round = 0; round < 3; round++)
		for (u32 i = 0; i < 40; i++) {
			u32 pd = 0x200000 + i * 0x1000, pt = 0x300000 + i * 0x1000;

			put32(pd, PT | PRW);
			put32(pd + 4, pt | PRW);
			put32(pt, (0x1000000 + i * 0x1000) | PRW);
			switch_to(pd);
			wr(USER_PAGE, i + round);
			assert_int_equal(get32(0x1000000 + i * 0x1000), i + round);
			assert_true(read_faults(USER_PAGE + 0x1000));
		}
}

/* A page table that stayed the same is trusted, until it is written by whatever way. */
static void tracked_tables(void **state)
{
	for (int way = 0; way < 4; way++) {
		for (u32 i = 0; i < 32; i++) {
			put32(PT_A + 4 * i, (0x800000 + (i << 12)) | PRW);
			put32(0x800000 + (i << 12), i);
		}
		for (int n = 0; n < 80; n++) {
			switch_to(PD_B);
			wr(PT_A, get32(PT_A));		/* through a linear address: an entry that must be purged */
			if (n >= 40)
				wr(0xc0000000 + PT_B, get32(PT_B));
			switch_to(PD_A);
			for (u32 i = 0; i < 32 && n < 40; i++)
				assert_int_equal(rd(USER_PAGE + (i << 12)), i);
		}
		for (int n = 0; n < 60; n++) {
			switch_to(PD_B);
			switch_to(PD_A);
			for (u32 i = 0; i < 32; i++)
				assert_int_equal(rd(USER_PAGE + (i << 12)), i);
		}
		assert_false(filled(PT_A, true));	/* write-protected by now */
		u64 delta;

		switch (way) {
		case 0: wr(PT_A + 4, 0x800000 | PRW); break;
		case 1: put32(PT_A + 4, 0x800000 | PRW); break;
		case 2:
			delta = mmu_fill(cs, PT_A + 4, 4 | MEM_WRITE);
			assert_true(delta == 0);
			delta = mmu_slow(cs, PT_A + 4, 4 | MEM_WRITE);
			*(u32 *)(delta + PT_A + 4) = 0x800000 | PRW;
			break;
		default:
			*(u32 *)mmu_host(cs, 0xc0000000 + PT_A + 4, ACC_WRITE) = 0x800000 | PRW;
		}
		switch_to(PD_A);
		assert_int_equal(rd(USER_PAGE + 0x1000), 0);
	}
}

/* A shared page table that was written and is trusted again by one space is not trusted by the other. */
static void retracked_table(void **state)
{
	for (int n = 0; n < 100; n++) {
		switch_to(n < 50 && n & 1 ? PD_B : PD_A);
		for (u32 i = 32; i < 64; i++)
			assert_int_equal(rd(i << 12), get32(i << 12));
	}
	switch_to(PD_B);
	put32(PT + 4 * 40, 0x29000 | PRW);
	put32(0x29000, 41);
	for (int n = 0; n < 100; n++) {
		switch_to(PD_B);
		for (u32 i = 32; i < 64; i++)
			assert_int_equal(rd(i << 12), i == 40 || i == 41 ? 41 : 0);
	}
	switch_to(PD_A);
	assert_int_equal(rd(40 << 12), 41);
}

static void code_pages(void **state)
{
	gpa_t gpa;
	const u8 *host = mmu_fetch(cs, 0x5010, &gpa, false);
	u64 delta;

	assert_ptr_equal(host, ram_at(0x5010));
	assert_int_equal(gpa, 0x5010);
	wr(0x5000, 1);
	wr(0xc0005000, 2);
	put32(PT + 4 * 20, 0x5000 | PRW);
	put32(PT + 4 * 21, 0x5000 | PRW);
	wr(20 << 12, 3);
	assert_true(filled(0x5000, true) && filled(0xc0005000, true) && filled(20 << 12, true));
	for (int many = 0; many < 2; many++) {
		mmu_code_page(cs, 0x5000, true);
		assert_false(filled(0x5000, true) || filled(0xc0005000, true) || filled(20 << 12, true));
		assert_true(filled(0x5000, false) && filled(0xc0006000, true));
		assert_true(mmu_fill(cs, 0x5000, 4 | MEM_WRITE) == 0);
		mmu_fill(cs, 0xc0004000, 4 | MEM_WRITE);
		assert_false(filled(0xc0005000, true));
		assert_null(mmu_host(cs, 0x5000, ACC_WRITE));
		delta = mmu_slow(cs, 0x5004, 4 | MEM_WRITE);
		*(u32 *)(delta + 0x5004) = 77;
		assert_int_equal(get32(0x5004), many ? 77 : 0);
		fx.notifies = 0;
		mmu_commit(cs);
		assert_int_equal(get32(0x5004), 77);
		assert_int_equal(fx.notifies, 1);
		assert_int_equal(fx.notified, 0x5004);
		fx.overlaps_code = true;	/* an instruction with more to do than this write is left to be run alone */
		assert_true(RAISES(mmu_slow(cs, 0x5004, 4 | MEM_WRITE | MEM_MORE)));
		assert_int_equal(fx.vector, FIXTURE_LEFT);
		assert_int_equal(cs->inhibit, 1);
		fx.overlaps_code = false;
		cs->inhibit = 0;
		wr(0x5008, 5);
		assert_int_equal(fx.notifies, 2);
		mmu_code_page(cs, 0x5000, false);
		wr(0x5000, 1);
		wr(0xc0005000, 2);
		wr(20 << 12, 3);
		assert_int_equal(fx.notifies, 2);
	}
	/* What was fetched through a mapping is flushed when the mapping goes. */
	fx.page_flushes = 0;
	mmu_invlpg(cs, 0x5000);
	assert_int_equal(fx.page_flushes, 1);
	assert_int_equal(fx.flushed, 0x5000);
	mmu_fetch(cs, USER_PAGE, &gpa, false);
	switch_to(PD_B);
	put32(PT_A, 0xd00000 | PRW);
	switch_to(PD_A);
	assert_int_equal(fx.page_flushes, 2);
	mmu_fetch(cs, USER_PAGE, &gpa, false);
	assert_int_equal(gpa, 0xd00000);
	put32(PT + 4 * 6, 0);
	assert_null(mmu_fetch(cs, 0x6000, &gpa, true));
	assert_true(RAISES(mmu_fetch(cs, 0x6004, &gpa, false)));
	assert_int_equal(cs->cr2, 0x6004);
}

static char io_log[256];
static u32 dev_read(void *dev, u32 offset, int size)
{
	snprintf(io_log + strlen(io_log), 40, "r%x/%d ", offset, size);
	return 0x03020100u + offset * 0x01010101u;
}
static void dev_write(void *dev, u32 offset, u32 value, int size)
{
	snprintf(io_log + strlen(io_log), 40, "w%x/%d=%x ", offset, size, value);
}
static const char *logged(void)
{
	static char last[256];

	strcpy(last, io_log);
	io_log[0] = 0;
	return last;
}

static void devices(void **state)
{
	static const struct bus_ops ops = { dev_read, dev_write, 4 }, bytes = { dev_read, dev_write, 1 };
	u64 delta;

	io_log[0] = 0;
	assert_true(bus_add_mmio(&fx.vm, "one", 0xa0000, 0x10000, &ops, &io_log));
	assert_true(bus_add_mmio(&fx.vm, "two", 0xb0000, 0x8000, &bytes, &cs));
	assert_false(bus_add_mmio(&fx.vm, "three", 0xaf000, 0x2000, &ops, &cs));
	assert_string_equal(fx.vm.error, "addresses af000 to b0fff of three overlap a0000 to affff of one");
	assert_int_equal(rd(0xa0010), 0x13121110);
	assert_string_equal(logged(), "r10/4 ");
	mmu_read(cs, 0xa0010, 8, 0);
	assert_string_equal(logged(), "r10/4 r14/4 ");
	mmu_write(cs, 0xa0002, 0x1234, 2, 0);
	assert_string_equal(logged(), "w2/2=1234 ");
	assert_int_equal(rd(0xb0000), 0x03020100);
	assert_string_equal(logged(), "r0/1 r1/1 r2/1 r3/1 ");
	assert_int_equal(rd(0xafffe) & 0xffff, 0xfefe);
	assert_string_equal(logged(), "rfffe/2 r0/1 r1/1 ");
	assert_true(mmu_fill(cs, 0xa0000, 4 | MEM_READ) == 0);
	delta = mmu_slow(cs, 0xa0004, 4 | MEM_WRITE);		/* a write does not read the device */
	assert_string_equal(logged(), "");
	*(u32 *)(delta + 0xa0004) = 0xdead;
	mmu_commit(cs);
	assert_string_equal(logged(), "w4/4=dead ");
	delta = mmu_slow(cs, 0xa0004, 4 | MEM_READ | MEM_WRITE);
	assert_string_equal(logged(), "r4/4 ");
	bus_remove(&fx.vm, &io_log);
	assert_int_equal(rd(0xa0010), 0xffffffff);
	assert_string_equal(logged(), "");
	/* Ports */
	assert_true(bus_add_io(&fx.vm, "p", 0x60, 2, &bytes, &cs));
	assert_true(bus_add_io(&fx.vm, "q", 0x62, 4, &ops, &cs));
	assert_false(bus_add_io(&fx.vm, "r", 0x5f, 2, &ops, &cs));
	assert_int_equal(bus_io_read(&fx.vm, 0x5f, 4), 0x000100ff);
	assert_string_equal(logged(), "r0/1 r1/1 r0/1 ");
	bus_io_write(&fx.vm, 0x62, 0x11223344, 4);
	assert_string_equal(logged(), "w0/4=11223344 ");
	assert_int_equal(bus_io_read(&fx.vm, 0xffff, 4), 0xffffffff);
	/* ROM is read, and not written. */
	static u8 rom[4096] = { 1, 2, 3, 4 };

	mem_map_rom(&fx.vm, 0xf0000, rom, 4096);
	assert_int_equal(rd(0xf0000), 0x04030201);
	wr(0xf0000, 9);
	assert_true(filled(0xf0000, false) && !filled(0xf0000, true));
	delta = mmu_slow(cs, 0xf0000, 4 | MEM_WRITE);
	*(u32 *)(delta + 0xf0000) = 9;
	mmu_commit(cs);
	assert_int_equal(rd(0xf0000), 0x04030201);
	mem_set_kind(&fx.vm, 0xf0000, 4096, MEM_RAM);		/* shadowing */
	assert_int_equal(rd(0xf0000), 0);
}

/* The four ways that the host bridge can route reads and writes of a page with ROM on the bus. */
static void shadowing(void **state)
{
	static u8 rom[8192] = { 1, 2, 3, 4 };
	gpa_t gpa;

	mem_map_rom(&fx.vm, 0xf0000, rom, 8192);
	assert_int_equal(rd(0xf0000), 0x04030201);
	mem_shadow(&fx.vm, 0xf0000, 4096, MEM_SHADOW_WRITE);
	assert_int_equal(rd(0xf0000), 0x04030201);
	wr(0xf0000, 0x55);
	wr(0xf0ffe, 0x11227788);		/* the second half is ROM */
	assert_int_equal(rd(0xf0000), 0x04030201);
	assert_true(filled(0xf0000, false) && !filled(0xf0000, true));
	assert_int_equal(get32(0xf0000), 0x55);
	assert_int_equal(get32(0xf0ffc), 0x77880000);
	mem_shadow(&fx.vm, 0xf0000, 4096, MEM_SHADOW_READ);
	assert_false(filled(0xf0000, false));
	assert_int_equal(rd(0xf0000), 0x55);
	wr(0xf0000, 0x66);
	assert_int_equal(rd(0xf0000), 0x55);
	mem_shadow(&fx.vm, 0xf0000, 4096, MEM_SHADOW_READ | MEM_SHADOW_WRITE);
	wr(0xf0000, 0x77);
	assert_true(filled(0xf0000, true));
	assert_int_equal(rd(0xf0000), 0x77);
	assert_ptr_equal(mmu_fetch(cs, 0xf0000, &gpa, false), ram_at(0xf0000));
	fx.vcpu->tr = (struct translator *)1;
	mem_shadow(&fx.vm, 0xf0000, 4096, MEM_SHADOW_NONE);
	assert_int_equal(fx.notified, 0xf0000);
	assert_int_equal(fx.notifies, 1);
	fx.vcpu->tr = NULL;
	assert_int_equal(rd(0xf0000), 0x04030201);
	/* With nothing on the bus: the same, all ones */
	mem_shadow(&fx.vm, 0xc8000, 4096, MEM_SHADOW_WRITE);
	wr(0xc8000, 1);
	assert_int_equal(rd(0xc8000), 0xffffffff);
	assert_null(mmu_fetch(cs, 0xc8000, &gpa, false));
	mem_shadow(&fx.vm, 0xc8000, 4096, MEM_SHADOW_READ);
	assert_int_equal(rd(0xc8000), 1);
	mem_map_rom(&fx.vm, 0xc8000, rom, 4096);		/* behind the shadow */
	assert_int_equal(rd(0xc8000), 1);
	mem_shadow(&fx.vm, 0xc8000, 4096, MEM_SHADOW_NONE);
	assert_int_equal(rd(0xc8000), 0x04030201);
}

static int writes_seen;
static void count_write(void *arg) { writes_seen++; }

static void device_ram(void **state)
{
	static u8 host[8 * 4096] __attribute__((aligned(4096)));
	static u8 dirty[8], none[8];
	struct mem_device_ram r = { .host = host, .len = sizeof(host), .dirty = dirty, .written = count_write }, twin = r;
	u8 *at;
	gpa_t gpa;

	writes_seen = 0;
	cs->cr0 = 1;		/* no paging */
	mmu_mode_changed(cs);
	host[0] = 7;
	mem_map_device_ram(&fx.vm, &r, 0xe0000000);
	assert_int_equal(rd(0xe0000000), 7);
	assert_true(filled(0xe0000000, false) && !filled(0xe0000000, true));
	assert_true(mmu_fill(cs, 0xe0000004, 4 | MEM_WRITE) == 0);	/* the log needs C code */
	u64 delta = mmu_slow(cs, 0xe0000004, 4 | MEM_WRITE);
	assert_ptr_equal(delta + 0xe0000000, host);
	assert_int_equal(dirty[0], 1);
	assert_int_equal(writes_seen, 1);
	assert_true(filled(0xe0000000, true));
	wr(0xe0000ffe, 0xaabbccdd);		/* crosses into the next page */
	assert_memory_equal(host + 0xffe, "\xdd\xcc\xbb\xaa", 4);
	assert_int_equal(dirty[1], 1);
	assert_int_equal(writes_seen, 2);
	at = mmu_host(cs, 0xe0003000, ACC_WRITE);
	assert_ptr_equal(at, host + 0x3000);
	assert_int_equal(dirty[3], 1);
	/* Clean: the write entry is gone, the read entry is not. */
	mem_device_ram_clean(&fx.vm, &r, 0, 100);
	assert_memory_equal(dirty, none, 8);
	assert_true(filled(0xe0000000, false) && !filled(0xe0000000, true) && !filled(0xe0003000, true));
	wr(0xe0003000, 1);
	assert_int_equal(dirty[3], 1);
	assert_int_equal(writes_seen, 4);
	mem_write(&fx.vm, 0xe0004000, "x", 1);		/* by a device */
	assert_int_equal(dirty[4], 1);
	assert_int_equal(host[0x4000], 'x');
	/* A second window on the same memory, which is then moved */
	mem_map_device_ram(&fx.vm, &twin, 0xa0000);
	wr(0xa3000, 2);
	assert_int_equal(rd(0xe0003000), 2);
	mem_unmap_device_ram(&fx.vm, &twin);
	assert_false(filled(0xa3000, false) || filled(0xa3000, true));
	assert_true(filled(0xe0003000, true));
	assert_int_equal(rd(0xa3000), 0xffffffff);
	twin.host = host + 4096;
	twin.len = 4096;
	mem_map_device_ram(&fx.vm, &twin, 0xa0000);
	assert_int_equal(rd(0xa0000), 0xaabb);
	mem_shadow(&fx.vm, 0xa0000, 0x20000, 3);		/* SMRAM in front of it */
	wr(0xa0000, 3);
	mem_unmap_device_ram(&fx.vm, &twin);
	mem_shadow(&fx.vm, 0xa0000, 0x20000, 0);
	assert_int_equal(rd(0xa0000), 0xffffffff);
	/* Code */
	assert_ptr_equal(mmu_fetch(cs, 0xe0005000, &gpa, false), host + 0x5000);
	wr(0xe0005000, 1);
	mmu_code_page(cs, 0xe0005000, true);
	assert_false(filled(0xe0005000, true));
	fx.notifies = 0;
	wr(0xe0005000, 1);
	assert_int_equal(fx.notifies, 1);
	mem_unmap_device_ram(&fx.vm, &r);
	assert_null(mmu_fetch(cs, 0xe0005000, &gpa, false));
	assert_int_equal(rd(0xe0000000), 0xffffffff);
	/* In front of RAM, and beyond the end of it all */
	mem_map_device_ram(&fx.vm, &r, 0x300000);
	wr(0x300000, 5);
	assert_int_equal(get32(0x300000), 5);
	mem_unmap_device_ram(&fx.vm, &r);
	mem_map_device_ram(&fx.vm, &r, 0xfffff000);
	wr(0xfffff000, 6);
	assert_int_equal(host[0], 6);
	mem_unmap_device_ram(&fx.vm, &r);
	assert_int_equal(rd(0x300000), 5);
	/* Many linear pages of one */
	mem_map_device_ram(&fx.vm, &r, 0xe0000000);
	set_paging(cs, PD_A, CR4_PSE, 0, true);
	for (u32 k = 0; k < 8; k++) {
		put32(PT + 4 * (0x200 + k), 0xe0000000 | PRW);
		wr(0x200000 + (k << 12), k);
		assert_true(filled(0x200000 + (k << 12), true));
	}
	mem_device_ram_clean(&fx.vm, &r, 0, 1);
	for (u32 k = 0; k < 8; k++)
		assert_true(filled(0x200000 + (k << 12), false) && !filled(0x200000 + (k << 12), true));
	mem_unmap_device_ram(&fx.vm, &r);
	for (u32 k = 0; k < 8; k++)
		assert_false(filled(0x200000 + (k << 12), false));
}

/* Are written pages in the end what they were? */
static void write_log(void **state)
{
	static u8 host[4096] __attribute__((aligned(4096)));
	static u8 dirty[1];
	struct mem_device_ram r = { .host = host, .len = sizeof(host), .dirty = dirty };

	mem_map_device_ram(&fx.vm, &r, 0xe0000000);
	put32(PT + 4 * 0x200, 0xe0000000 | PRW);
	for (int pass = 0; pass < 2; pass++) {		/* with paging, and without, where large pages are filled at once */
		wr(0x30000, 5);
		wr(0x31000, 6);
		mmu_log_writes(cs, true);
		assert_false(filled(0x30000, true));
		assert_true(mmu_log_unchanged(cs));
		assert_int_equal(rd(0x31000), 6);
		assert_false(filled(0x31000, true));
		wr(0x30000, 5);				/* the same again */
		assert_true(filled(0x30000, true) && !filled(0x31000, true));
		assert_true(mmu_log_unchanged(cs));
		wr(0x30ffc, 7);
		assert_false(mmu_log_unchanged(cs));
		wr(0x30ffc, 0);
		assert_true(mmu_log_unchanged(cs));
		mem_write(&fx.vm, 0x32000, "x", 1);	/* a device */
		assert_false(mmu_log_unchanged(cs));
		mmu_log_writes(cs, true);
		assert_true(mmu_log_unchanged(cs));
		wr(pass ? 0xe0000000 : 0x200000, 1);	/* into a frame buffer */
		assert_false(mmu_log_unchanged(cs));
		mmu_log_writes(cs, true);
		for (u32 k = 0; k < 17; k++) {		/* more pages than it notes */
			assert_true(mmu_log_unchanged(cs));
			wr(0x40000 + (k << 12), 0);
		}
		assert_false(mmu_log_unchanged(cs));
		mmu_log_writes(cs, true);
		mmu_log_writes(cs, false);
		assert_false(mmu_log_unchanged(cs));
		wr(0x32000, 0);
		wr(0x30000, 0);
		mmu_log_writes(cs, true);
		if (!pass) {
			switch_to(PD_B);
			assert_false(mmu_log_unchanged(cs));
			cs->cr0 = 1;
			mmu_mode_changed(cs);
		}
	}
	mem_unmap_device_ram(&fx.vm, &r);
}

static void a20_and_no_paging(void **state)
{
	cs->cr0 = 1;
	mmu_mode_changed(cs);
	put32(0x100010, 0x1111);
	put32(0x10, 0x2222);
	assert_int_equal(rd(0x100010), 0x1111);
	assert_true(filled(0x100000, true) && filled(0x10f000, true));
	mem_set_a20(&fx.vm, false);
	assert_int_equal(rd(0x100010), 0x2222);
	assert_int_equal(rd(0x200010), 0);
	mem_set_a20(&fx.vm, true);
	assert_int_equal(rd(0x100010), 0x1111);
	assert_int_equal(rd(0x3fffffc), 0);
	assert_int_equal(rd(0x4000000), 0xffffffff);
}

/* Filling everything there is, again and again, stays within the records and stays right. */
static void exhaustion(void **state)
{
	u32 seed = 1;

	for (int n = 0; n < 400000; n++) {
		u32 lin, gpa;

		seed = seed * 1103515245 + 12345;
		lin = seed >> 4 & 0x7fffff & ~3u;
		if ((lin >= PD_A && lin < PT_B + 0x1000) || (lin >= 0xa0000 && lin < 0x100000))
			continue;
		gpa = lin < USER_PAGE ? lin : lin + 0x400000;
		wr(lin, seed);
		assert_int_equal(get32(gpa), seed);
		if (n % 3 == 0)
			mmu_invlpg(cs, lin);
		if (n % 1000 == 0)
			switch_to(PD_A);
	}
}

static void bad_sizes(void **state)
{
	struct vm vm = { 0 };
	char err[200] = "";

	assert_false(mem_init(&vm, 0, err, sizeof(err)));
	assert_false(mem_init(&vm, 1ull << 40, err, sizeof(err)));
	assert_string_equal(err, "guest memory of 1073741824 KiB is not possible: it must be 1 MiB to 3584 MiB, in steps of 4 KiB");
	assert_false(mem_init(&vm, (16 << 20) + 1, err, sizeof(err)));
	assert_null(vm.mem);
	u64 bits;

	assert_true(vm_trace_parse("exit,irq", &bits, err, sizeof(err)));
	assert_int_equal(bits, TRACE_EXIT | TRACE_IRQ);
	assert_false(vm_trace_parse("exit,", &bits, err, sizeof(err)));
	assert_false(vm_trace_parse("foo", &bits, err, sizeof(err)));
	assert_string_equal(err, "--trace knows no \"foo\": exit, tc, irq, exc, msr, io, mem, dev or all");
}

/* A new space that maps the supervisor code of the last one as that did starts with it; one that does not starts empty. */
static void new_space_inherits_code(void **state)
{
	gpa_t gpa;

	mmu_fetch(cs, 0x5000, &gpa, false);
	mmu_fetch(cs, 0xc0005000, &gpa, false);
	put32(PD_B, PT | PRW | PTE_A);		/* as in A now: code that was never run through these entries is not inherited */
	put32(PD_B + 4 * 0x300, 0x83 | PTE_A);
	switch_to(PD_B);
	assert_int_equal(fx.half_copies, 1);
	mmu_invlpg(cs, 0x5000);		/* what was inherited is as easily lost as what was found */
	assert_int_equal(fx.page_flushes, 1);
	assert_int_equal(fx.flushed, 0x5000);
	mmu_fetch(cs, USER_PAGE, &gpa, false);
	assert_int_equal(gpa, 0xc00000);
	for (u32 i = 0; i < 1024; i++)
		put32(PD_C + 4 * i, get32(PD_B + 4 * i));
	put32(PD_C + 4, PT_A | PRW);
	switch_to(PD_C);		/* USER_PAGE is another page than in B, but A, before it, has none of its code */
	assert_int_equal(fx.half_copies, 2);
	mmu_fetch(cs, USER_PAGE, &gpa, false);
	assert_int_equal(gpa, 0x800000);
	put32(PD_D, PT | PRW | PTE_A);
	switch_to(PD_D);		/* without the kernel's large page */
	assert_int_equal(fx.half_copies, 2);
	assert_true(RAISES(mmu_fetch(cs, 0xc0005000, &gpa, false)));
	mmu_fetch(cs, 0x5000, &gpa, false);
	assert_int_equal(gpa, 0x5000);
}

#define WITH_SPACES(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SPACES(fills_and_bits), WITH_SPACES(large_pages), WITH_SPACES(crossing), WITH_SPACES(rights), WITH_SPACES(switches),
		WITH_SPACES(many_spaces), WITH_SPACES(tracked_tables), WITH_SPACES(retracked_table), WITH_SPACES(code_pages), WITH_SPACES(devices),
		WITH_SPACES(shadowing), WITH_SPACES(device_ram), WITH_SPACES(write_log),
		WITH_SPACES(a20_and_no_paging), WITH_SPACES(new_space_inherits_code), WITH_SPACES(exhaustion), cmocka_unit_test(bad_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
