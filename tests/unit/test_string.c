/*
 * test_string.c - REP string instructions against a plain element loop: all sizes, directions, overlaps, address sizes; faults in the
 * middle.
 */
/* objs: monitor/string.o monitor/io.o monitor/watch.o monitor/task.o monitor/segment.o monitor/mode.o monitor/msr.o monitor/cpuid.o
 * tests/unit/fake_mmu.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fake_mmu.h"
#include "monitor/callouts.h"
#include "monitor/segment.h"

enum { DATA = 0x10000, SPAN = 0x6000, REP_E = 1, REP_NE = 2 };

static struct fake *flat_cpu(void)
{
	struct fake *f = fake_init("486");

	f->vcpu.cs.cr0 = 1;
	for (int i = 0; i < 6; i++)
		seg_set_flat(&f->vcpu.cs, i, 8, SA_P | SA_S | SA_DB | SA_G | SA_RW | SA_ACCESSED);
	return f;
}

static u32 arg_of(u32 size, u32 asize, u32 rep) { return size | asize << 4 | rep << 8 | S_DS << 12; }

/* Calls until the instruction is finished. */
static void run(struct fake *f, callout_fn *fn, u32 arg)
{
	struct cpu_state *cs = &f->vcpu.cs;

	cs->rip = 0x100;
	cs->next_rip = 0x102;
	while (cs->rip == 0x100)
		fn(cs, arg);
}

static void test_movs(void **state)
{
	struct fake *f = flat_cpu();
	struct cpu_state *cs = &f->vcpu.cs;
	u8 *want = malloc(FAKE_RAM);

	srand(1);
	for (int round = 0; round < 4000; round++) {
		u32 size = 1u << rand() % 3, count = (u32)rand() % (round % 8 ? 40 : 2000), src = DATA + 0x2000 + (u32)rand() % 0x40;
		s32 near = rand() % 64 - 32, step = rand() & 1 ? (s32)size : -(s32)size;
		u32 dst = rand() & 1 ? src + (u32)near : DATA + 0x2000 + (u32)rand() % 0x1000;

		for (u32 i = 0; i < SPAN; i++)
			f->ram[DATA + i] = (u8)rand();
		memcpy(want, f->ram, FAKE_RAM);
		for (u32 i = 0; i < count; i++)
			memmove(want + (u32)(dst + (u32)(step * (s32)i)), want + (u32)(src + (u32)(step * (s32)i)), size);
		cs->df = step < 0 ? -1 : 1;
		cs->gpr[R_ECX] = count;
		cs->gpr[R_ESI] = src;
		cs->gpr[R_EDI] = dst;
		run(f, callout_REP_MOVS, arg_of(size, 4, REP_E));
		assert_memory_equal(f->ram, want, FAKE_RAM);
		assert_int_equal(cs->gpr[R_ECX], 0);
		assert_int_equal(cs->gpr[R_ESI], src + (u32)(step * (s32)count));
		assert_int_equal(cs->gpr[R_EDI], dst + (u32)(step * (s32)count));
	}
	free(want);
	fake_fini(f);
}

static void test_stos_wraps_16_bits(void **state)
{
	struct fake *f = flat_cpu();
	struct cpu_state *cs = &f->vcpu.cs;

	cs->gpr[R_EAX] = 0x11223344;
	cs->gpr[R_ECX] = 0x00070004;
	cs->gpr[R_EDI] = 0xabcdfffc;
	run(f, callout_REP_STOS, arg_of(2, 2, REP_E));
	assert_int_equal(fake_get(f, 0xfffc, 4), 0x33443344);
	assert_int_equal(fake_get(f, 0, 4), 0x33443344);
	assert_int_equal(fake_get(f, 0x10000, 4), 0);
	assert_int_equal(cs->gpr[R_ECX], 0x00070000);
	assert_int_equal(cs->gpr[R_EDI], 0xabcd0004);
	fake_fini(f);
}

static void test_fault_in_the_middle(void **state)
{
	struct fake *f = flat_cpu();
	struct cpu_state *cs = &f->vcpu.cs;

	f->bad_page = 0x20;
	cs->gpr[R_ECX] = 1000;
	cs->gpr[R_ESI] = 0x10001;
	cs->gpr[R_EDI] = 0x20000 - 42;
	FAKE_TRY(f, run(f, callout_REP_MOVS, arg_of(4, 4, REP_E)));
	assert_int_equal(f->vector, VEC_PF);
	assert_int_equal(cs->cr2, 0x20000);
	assert_int_equal(cs->gpr[R_ECX], 990);
	assert_int_equal(cs->gpr[R_EDI], 0x20000 - 2);
	assert_int_equal(cs->gpr[R_ESI], 0x10001 + 40);
	assert_int_equal(cs->rip, 0x100);
	fake_fini(f);
}

static void test_segment_limit(void **state)
{
	struct fake *f = flat_cpu();
	struct cpu_state *cs = &f->vcpu.cs;

	cs->seg[S_ES].limit = 0x2005;
	seg_update(cs, S_ES);
	cs->gpr[R_ECX] = 8;
	cs->gpr[R_EDI] = 0x2000;
	FAKE_TRY(f, run(f, callout_REP_STOS, arg_of(4, 4, REP_E)));
	assert_int_equal(f->vector, VEC_GP);
	assert_int_equal(cs->gpr[R_ECX], 7);
	fake_fini(f);
}

static void test_bounded_and_interruptible(void **state)
{
	struct fake *f = flat_cpu();
	struct cpu_state *cs = &f->vcpu.cs;

	cs->rip = 0x100;
	cs->next_rip = 0x102;
	cs->gpr[R_ECX] = 0x30000;
	cs->gpr[R_EDI] = DATA;
	callout_REP_STOS(cs, arg_of(1, 4, REP_E));
	assert_int_equal(cs->gpr[R_ECX], 0x20000);
	assert_int_equal(cs->rip, 0x100);
	cs->go = 0;
	callout_REP_STOS(cs, arg_of(1, 4, REP_E));
	assert_int_equal(cs->gpr[R_ECX], 0x1f000);
	cs->go = 1;
	cs->eflags_sys |= FL_TF;
	callout_REP_STOS(cs, arg_of(1, 4, REP_E));
	assert_int_equal(cs->gpr[R_ECX], 0x1efff);
	fake_fini(f);
}

static u32 host_cmp_flags(u32 a, u32 b, u32 size)
{
	u64 flags, low;
	u32 shift = 32 - 8 * size;

	/* CMP of the operands moved to the top gives all flags but AF and PF, which come from the low bytes. */
	__asm__("lea -128(%%rsp), %%rsp\n\tcmp %2, %1\n\tpushfq\n\tpop %0\n\tlea 128(%%rsp), %%rsp"
		: "=&r"(flags) : "r"(a << shift), "r"(b << shift) : "cc");
	__asm__("lea -128(%%rsp), %%rsp\n\tcmp %b2, %b1\n\tpushfq\n\tpop %0\n\tlea 128(%%rsp), %%rsp" : "=&r"(low) : "q"(a), "q"(b) : "cc");
	return (u32)((flags & (FL_CF | FL_ZF | FL_SF | FL_OF)) | (low & (FL_AF | FL_PF)));
}

static void test_cmps_scas(void **state)
{
	struct fake *f = flat_cpu();
	struct cpu_state *cs = &f->vcpu.cs;

	srand(2);
	for (int round = 0; round < 20000; round++) {
		u32 size = 1u << rand() % 3, count = 1 + (u32)rand() % 60, rep = 1 + (u32)rand() % 2, i, a = 0, b = 0;
		s32 step = rand() & 1 ? (s32)size : -(s32)size;
		bool scas = rand() & 1;
		u32 src = DATA + 0x1000 - (u32)rand() % 64, dst = DATA + 0x3000 - (u32)rand() % 64;

		for (i = 0; i < 0x800; i++)
			f->ram[DATA + 0xc00 + i] = f->ram[DATA + 0x2c00 + i] = (u8)(rand() % (rep == REP_E ? 100 : 3) ? 7 : rand());
		cs->df = step < 0 ? -1 : 1;
		cs->gpr[R_ECX] = count;
		cs->gpr[R_ESI] = src;
		cs->gpr[R_EDI] = dst;
		cs->gpr[R_EAX] = 0x07070707;
		run(f, scas ? callout_REP_SCAS : callout_REP_CMPS, arg_of(size, 4, rep));
		for (i = 0; i < count;) {
			a = scas ? 0x07070707u >> (32 - 8 * size) : fake_get(f, src + (u32)(step * (s32)i), (int)size);
			b = fake_get(f, dst + (u32)(step * (s32)i), (int)size);
			i++;
			if ((a == b) != (rep == REP_E))
				break;
		}
		assert_int_equal(cs->gpr[R_ECX], count - i);
		assert_int_equal(cs->gpr[R_EDI], dst + (u32)(step * (s32)i));
		assert_int_equal(cs->cc, host_cmp_flags(a, b, size));
	}
	fake_fini(f);
}

static void test_ports(void **state)
{
	struct fake *f = flat_cpu();
	struct cpu_state *cs = &f->vcpu.cs;

	f->port_value = 0x41;
	cs->gpr[R_EDX] = 0x1f0;
	cs->gpr[R_ECX] = 3;
	cs->gpr[R_EDI] = DATA;
	run(f, callout_INS, arg_of(2, 4, REP_E));
	assert_int_equal(fake_get(f, DATA, 4), 0x00420041);
	f->ro_page = DATA >> PAGE_SHIFT;	/* a fault comes before the port is read */
	cs->gpr[R_ECX] = 3;
	cs->gpr[R_EDI] = DATA;
	FAKE_TRY(f, run(f, callout_INS, arg_of(2, 4, REP_E)));
	assert_int_equal(f->vector, VEC_PF);
	assert_int_equal(f->port_value, 0x44);
	cs->gpr[R_ESI] = DATA + 2;
	run(f, callout_OUTS, arg_of(2, 4, 0));
	assert_int_equal(f->last_value, 0x42);
	fake_fini(f);
}

/* Several elements at once, as many as the port takes, inside of pages; never against the direction, in single-step or for one. */
static void test_streams(void **state)
{
	struct fake *f = flat_cpu();
	struct cpu_state *cs = &f->vcpu.cs;

	f->stream = 3;
	cs->gpr[R_EDX] = 0x1f0;
	cs->gpr[R_ECX] = 8;
	cs->gpr[R_EDI] = DATA + PAGE_SIZE - 10;
	run(f, callout_INS, arg_of(2, 4, REP_E));
	assert_int_equal(f->streamed, 8);
	assert_int_equal(cs->gpr[R_ECX], 0);
	assert_int_equal(cs->gpr[R_EDI], DATA + PAGE_SIZE + 6);
	for (u32 i = 0; i < 16; i += 4)
		assert_int_equal(fake_get(f, DATA + PAGE_SIZE - 10 + i, 4), 0x77777777);
	assert_int_equal(fake_get(f, DATA + PAGE_SIZE + 6, 2), 0);
	assert_int_equal(f->port_value, 0);

	fake_put(f, DATA + 4, 0x12345678, 4);
	cs->gpr[R_ECX] = 3;
	cs->gpr[R_ESI] = DATA + 4;
	run(f, callout_OUTS, arg_of(4, 4, REP_E));
	assert_int_equal(f->last_value, 0x12345678);
	assert_int_equal(cs->gpr[R_ESI], DATA + 16);
	assert_int_equal(f->streamed, 11);

	run(f, callout_OUTS, arg_of(4, 4, 0));		/* one */
	assert_int_equal(f->streamed, 11);
	cs->df = -1;
	cs->gpr[R_ECX] = 3;
	cs->gpr[R_EDI] = DATA + 64;
	run(f, callout_INS, arg_of(2, 4, REP_E));
	assert_int_equal(f->streamed, 11);
	assert_int_equal(f->port_value, 3);
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_movs), cmocka_unit_test(test_stos_wraps_16_bits), cmocka_unit_test(test_fault_in_the_middle),
		cmocka_unit_test(test_segment_limit), cmocka_unit_test(test_bounded_and_interruptible), cmocka_unit_test(test_cmps_scas),
		cmocka_unit_test(test_ports), cmocka_unit_test(test_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
