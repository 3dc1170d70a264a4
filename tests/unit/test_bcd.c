/*
 * test_bcd.c - DAA DAS AAA AAS AAM AAD for all inputs against the host processor, which still has them in 32-bit code.
 *
 * The host side runs in this process through a far call into a 32-bit code segment (selector 0x23 on Linux).
 */
/* objs: monitor/bcd.o monitor/segment.o monitor/mode.o monitor/msr.o monitor/cpuid.o tests/unit/fake_mmu.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include "fake_mmu.h"
#include "monitor/callouts.h"

/*
 * A page below 4 GiB: at 0 the 32-bit code (load flags from EDX, the instruction, flags to EDX, far return), at STUB 64-bit code that
 * calls it far (the return address must fit 32 bits) through the pointer at FAR. The next page is the stack.
 */
enum { STUB = 64, FAR = 128, STACK_TOP = 8192 };
struct native { u8 *code; };

static bool native_init(struct native *n)
{
	u8 *page = mmap(NULL, STACK_TOP, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	static const u8 lcall[] = { 0xff, 0x1c, 0x25 };		/* lcall *abs32 */
	u32 base = (u32)(uintptr_t)page, pointer = base + FAR;

	if (page == MAP_FAILED)
		return false;
	n->code = page;
	memcpy(page + STUB, lcall, 3);
	memcpy(page + STUB + 3, &pointer, 4);
	page[STUB + 7] = 0xc3;
	memcpy(page + FAR, &base, 4);
	page[FAR + 4] = 0x23;
	return true;
}

static void native_set(struct native *n, u8 op, int imm)
{
	u8 *p = n->code;

	*p++ = 0x52; *p++ = 0x9d;		/* push edx; popfd */
	*p++ = op;
	if (imm >= 0)
		*p++ = (u8)imm;
	*p++ = 0x9c; *p++ = 0x5a; *p++ = 0xcb;	/* pushfd; pop edx; retf */
}

static void native_run(struct native *n, u32 *eax, u32 *flags)
{
	u32 a = *eax, d = *flags | FL_R1;

	__asm__ volatile("mov %%rsp, %%r12\n\tmov %3, %%rsp\n\tcall *%2\n\tmov %%r12, %%rsp"
			 : "+a"(a), "+d"(d) : "b"(n->code + STUB), "S"(n->code + STACK_TOP)
			 : "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	*eax = a;
	*flags = d & FL_ARITH;
}

struct op { const char *name; u8 code; int imm; u32 arg; void (*fn)(struct cpu_state *cs, u32 arg); u32 flags; u32 ax_max; };

/* OF after all six, and CF and AF after AAM and AAD, are undefined; the rest must agree. */
#define ADJUST (FL_CF | FL_AF | FL_ZF | FL_SF | FL_PF)
#define ASCII  (FL_CF | FL_AF)
#define DIVIDE (FL_ZF | FL_SF | FL_PF)

static void compare(struct fake *f, struct native *n, const struct op *op)
{
	struct cpu_state *cs = &f->vcpu.cs;

	native_set(n, op->code, op->imm);
	for (u32 ax = 0; ax <= op->ax_max; ax++)
		for (u32 in = 0; in < 4; in++) {
			u32 flags = (in & 1 ? FL_CF : 0) | (in & 2 ? FL_AF : 0), eax = 0xabcd0000 | ax, want = eax, want_flags = flags;

			native_run(n, &want, &want_flags);
			cs->gpr[R_EAX] = eax;
			cs->cc = flags;
			op->fn(cs, op->arg);
			if (cs->gpr[R_EAX] != want || ((cs->cc ^ want_flags) & op->flags))
				fail_msg("%s of %08x flags %03x: %08x %03x, processor %08x %03x", op->name, eax, flags, (u32)cs->gpr[R_EAX],
					 cs->cc, want, want_flags);
		}
}

static void test_against_processor(void **state)
{
	static const struct op ops[] = {
		{ "daa", 0x27, -1, 0, callout_DAA, ADJUST, 0xff }, { "das", 0x2f, -1, 0, callout_DAS, ADJUST, 0xff },
		{ "aaa", 0x37, -1, 0, callout_AAA, ASCII, 0xffff }, { "aas", 0x3f, -1, 0, callout_AAS, ASCII, 0xffff },
	};
	struct fake *f = fake_init("486");
	struct native n = { NULL };

	if (!native_init(&n))
		skip();
	for (u32 i = 0; i < sizeof ops / sizeof ops[0]; i++)
		compare(f, &n, &ops[i]);
	for (u32 base = 1; base < 256; base++) {
		struct op aam = { "aam", 0xd4, (int)base, base, callout_AAM, DIVIDE, 0xff };

		compare(f, &n, &aam);
	}
	for (u32 base = 0; base < 256; base += base < 16 ? 1 : 49) {
		struct op aad = { "aad", 0xd5, (int)base, base, callout_AAD, DIVIDE, 0xffff };

		compare(f, &n, &aad);
	}
	munmap(n.code, 8192);
	fake_fini(f);
}

static void test_aam_zero(void **state)
{
	struct fake *f = fake_init("486");

	f->vcpu.cs.gpr[R_EAX] = 0x1234;
	FAKE_TRY(f, callout_AAM(&f->vcpu.cs, 0));
	assert_int_equal(f->vector, VEC_DE);
	assert_int_equal(f->vcpu.cs.gpr[R_EAX], 0x1234);
	fake_fini(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_processor), cmocka_unit_test(test_aam_zero) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
