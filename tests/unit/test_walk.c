/*
 * test_walk.c - page walks against a second model, written from the tables of SDM vol. 3, chapter 4, over every combination of the entry
 * bits that matter and of access kinds, in 32-bit, PSE and PAE paging, with and without WP and NX; error codes, A and D included.
 */
/* objs: monitor/mem.o monitor/mem_device.o monitor/bus.o monitor/trace.o monitor/walk.o monitor/mmu.o monitor/mmu_as.o
 * monitor/mmu_fill.o monitor/mmu_log.o monitor/mmu_clean.o monitor/watch.o monitor/lib/bug.o monitor/lib/hostmem.o */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "mmu_fixture.h"
#include "monitor/walk.h"

#define TOP   0x2000u	/* page directory (PDPT at 0x1000 for PAE) */
#define TABLE 0x3000u
#define LIN   0x00c05123u
#define MODEL_PHYS_BITS 36

struct expect { bool fault; u32 error; gpa_t gpa; u64 upper, leaf; };

/* The model: two levels, entries e[0], e[1] (e[0] may map a large page). */
static struct expect model(bool pae, bool pse, bool nxe, bool wp, int acc, u64 upper, u64 leaf)
{
	struct expect x = { .upper = upper, .leaf = leaf };
	bool write = acc & ACC_WRITE, user = acc & ACC_USER, exec = acc & ACC_EXEC;
	bool large = (upper & 0x80) && (pae || pse);
	u32 who = (write ? 2 : 0) | (user ? 4 : 0) | (exec && nxe && pae ? 16 : 0);
	u64 rsvd = pae ? 0x7ffffff000000000ull | (nxe ? 0 : 1ull << 63) : 0;
	u64 rsvd_large = pae ? 0x1fe000 : 0x3e0000;	/* PAE: 20:13; PSE-36 with MAXPHYADDR 36: 21:17 */
	u64 both;

	x.fault = true;
	if (!(upper & 1))
		return x.error = who, x;
	if (upper & (rsvd | (large ? rsvd_large : 0)))
		return x.error = who | 9, x;
	if (!large) {
		if (!(leaf & 1))
			return x.error = who, x;
		if (leaf & rsvd)
			return x.error = who | 9, x;
	}
	both = large ? upper : upper & leaf;
	x.error = who | 1;
	if (user && !(both & 4))
		return x;
	if (write && !(both & 2) && (user || wp))
		return x;
	if (exec && nxe && pae && ((upper | (large ? 0 : leaf)) >> 63))
		return x;
	x.fault = false;
	x.upper |= 0x20;
	if (large) {
		x.upper |= write ? 0x40 : 0;
		x.gpa = pae ? (upper & 0x000fffffffe00000ull) | (LIN & 0x1fffff)
			    : ((upper & 0xffc00000u) | (upper >> 13 & 0xf) << 32 | (LIN & 0x3fffff));
	} else {
		x.leaf |= 0x20 | (write ? 0x40 : 0);
		x.gpa = (leaf & (pae ? 0x000ffffffffff000ull : 0xfffff000ull)) | (LIN & 0xfff);
	}
	return x;
}

static int check(struct cpu_state *cs, bool pae, bool pse, bool nxe, bool wp, int acc, u64 upper, u64 leaf)
{
	gpa_t up_at = pae ? TOP + 8 * (LIN >> 21 & 511) : TOP + 4 * (LIN >> 22);
	gpa_t leaf_at = pae ? TABLE + 8 * (LIN >> 12 & 511) : TABLE + 4 * (LIN >> 12 & 1023);
	struct expect x = model(pae, pse, nxe, wp, acc, upper, leaf);
	struct walk_env env = { .mem = fx.vm.mem, .phys_bits = MODEL_PHYS_BITS };
	static const u8 no_traps[1 << 20];
	enum walk_result r;
	struct walk w;

	env.trap = no_traps;
	memcpy(ram_at(up_at), &upper, pae ? 8 : 4);
	memcpy(ram_at(leaf_at), &leaf, pae ? 8 : 4);
	cs->cr0 = (u32)CR0_PG_PE | (wp ? CR0_WP : 0);
	cs->cr4 = (pse ? CR4_PSE : 0) | (pae ? CR4_PAE : 0);
	cs->efer = nxe ? EFER_NXE : 0;
	cs->cr3 = pae ? 0x1000 : TOP;
	walk_setup(&env, cs);
	if (pae)
		assert_true(walk_load_pdptes(&env, cs->cr3, false));
	r = walk_page(&env, LIN, acc, acc & ACC_EXEC ? 0 : WALK_QUICK, &w);
	if (r != (x.fault ? WALK_FAULT : WALK_OK) || (x.fault && w.error != x.error) || (!x.fault && w.gpa != x.gpa) ||
	    (pae ? get64(up_at) : get32(up_at)) != x.upper || (pae ? get64(leaf_at) : get32(leaf_at)) != x.leaf) {
		print_error("pae %d pse %d nxe %d wp %d acc %d upper %llx leaf %llx: result %d error %x gpa %llx, expected %d %x %llx\n", pae, pse,
			    nxe, wp, acc, (unsigned long long)upper, (unsigned long long)leaf, r, w.error,
			    (unsigned long long)w.gpa, x.fault, x.error, (unsigned long long)x.gpa);
		return 1;
	}
	return 0;
}

/* Bits of an entry that are tried in all combinations; the last ones are address or reserved bits. */
static const u64 bits32[] = { 1, 2, 4, 0x20, 0x40, 0x80, 0x2000, 0x20000, 0x200000 };
static const u64 bits_pae[] = { 1, 2, 4, 0x20, 0x40, 0x80, 0x2000, 1ull << 36, 1ull << 63 };

static u64 pick(const u64 *bit, unsigned set)
{
	u64 v = 0;

	for (int i = 0; i < 9; i++)
		v |= set >> i & 1 ? bit[i] : 0;
	return v;
}

static const int accesses[] = { ACC_READ, ACC_WRITE, ACC_EXEC, ACC_READ | ACC_USER, ACC_WRITE | ACC_USER, ACC_EXEC | ACC_USER };

static int sweep(struct cpu_state *cs, bool pae)
{
	const u64 *bit = pae ? bits_pae : bits32;
	int bad = 0;

	for (unsigned how = 0; how < 8 && bad < 5; how++)
		for (unsigned up = 0; up < 512; up++)
			for (unsigned lf = 0; lf < 512; lf += up & 1 ? 1 : 37)
				for (unsigned a = 0; a < ARRAY_SIZE(accesses) && bad < 5; a++) {
					u64 upper = pick(bit, up), leaf = pick(bit, lf) | 0x7000;

					bool large = (upper & 0x80) && (pae || (how & 1));

					upper |= large ? 0x400000 : TABLE;
					if (!large && (upper & 0x220000))
						continue;	/* would be another table */
					bad += check(cs, pae, how & 1, how & 2, how & 4, accesses[a], upper, leaf);
				}
	return bad;
}

static void walk_32bit(void **state)
{
	struct cpu_state *cs = fixture_up(16 << 20);

	assert_int_equal(sweep(cs, false), 0);
	fixture_down();
}

static void walk_pae(void **state)
{
	struct cpu_state *cs = fixture_up(16 << 20);

	put64(0x1000, TOP | 1);
	assert_int_equal(sweep(cs, true), 0);
	fixture_down();
}

static void pdptes(void **state)
{
	struct cpu_state *cs = fixture_up(16 << 20);

	put64(0x1000, TOP | 1);
	assert_true(mmu_pdptes_valid(cs, 0x1000));
	put64(0x1018, 0x1e6);			/* not present: nothing is reserved */
	assert_true(mmu_pdptes_valid(cs, 0x1000));
	for (int b = 0; b < 64; b++) {
		bool reserved = (b >= 1 && b <= 2) || (b >= 5 && b <= 8) || b >= MODEL_PHYS_BITS;

		put64(0x1018, 1 | 1ull << b);
		assert_int_equal(mmu_pdptes_valid(cs, 0x1000), !reserved);
	}
	/* The registers keep their values until CR3 is written. */
	put64(0x1018, 0);
	put64(TOP, 0x83);
	set_paging(cs, 0x1000, CR4_PAE, 0, true);
	put64(0x1000, 0);
	mmu_flush_all(fx.vcpu->mmu);
	assert_false(RAISES(mmu_read(cs, 0x5000, 4, 0)));
	mmu_cr3_written(cs);
	assert_true(RAISES(mmu_read(cs, 0x5000, 4, 0)));
	assert_int_equal(fx.vector, VEC_PF);
	assert_int_equal(fx.error, 0);
	fixture_down();
}

/* Four levels, with a page of each size. */
static void walk_long(void **state)
{
	struct cpu_state *cs = fixture_up(16 << 20);
	struct walk_env env = { .mem = fx.vm.mem, .phys_bits = 40 };
	static const u8 no_traps[1 << 20];
	struct walk w;

	env.trap = no_traps;
	cs->cr0 = (u32)CR0_PG_PE;
	cs->cr4 = CR4_PAE;
	cs->efer = EFER_NXE | 1 << 10;
	cs->cr3 = 0x1000;
	walk_setup(&env, cs);
	put64(0x1000 + 8 * 0x1ff, 0x2007);
	put64(0x2000 + 8 * 0x1fe, 0x3007);
	put64(0x2000 + 8 * 0x1ff, 0x40000087);
	put64(0x3000 + 8 * 1, 0x4007);
	put64(0x3000 + 8 * 2, 0x600087);
	put64(0x4000 + 8 * 3, 0x7007 | PTE_NX);
	assert_int_equal(walk_page(&env, 0xffffffff80203abcull, ACC_WRITE | ACC_USER, 0, &w), WALK_OK);
	assert_int_equal(w.gpa, 0x7abc);
	assert_int_equal(get64(0x4018), 0x7067 | PTE_NX);
	assert_int_equal(get64(0x1ff8), 0x2027);
	assert_int_equal(walk_page(&env, 0xffffffff80203abcull, ACC_EXEC, 0, &w), WALK_FAULT);
	assert_int_equal(w.error, PF_P | PF_I);
	assert_int_equal(walk_page(&env, 0xffffffff80412345ull, ACC_READ, 0, &w), WALK_OK);
	assert_int_equal(w.gpa, 0x612345);
	assert_int_equal(walk_page(&env, 0xffffffffc1234567ull, ACC_READ, 0, &w), WALK_OK);
	assert_int_equal(w.gpa, 0x41234567);
	put64(0x1ff8, 0x2087);	/* PS in a PML4E is reserved */
	assert_int_equal(walk_page(&env, 0xffffffffc1234567ull, ACC_READ, 0, &w), WALK_FAULT);
	assert_int_equal(w.error, PF_P | PF_RSVD);
	fixture_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walk_32bit), cmocka_unit_test(walk_pae), cmocka_unit_test(pdptes), cmocka_unit_test(walk_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
