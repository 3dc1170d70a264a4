/*
 * test_forms.c - the instruction oracle's list of forms holds every instruction that it can hold: each mnemonic that
 * translator/rules.def names is either among the forms of 16- and 32-bit code or on the list below, which says why it cannot be and
 * who tests it instead. A new row of rules.def that neither the oracle nor the list knows fails here.
 */
/* objs: tests/fuzz/insn/forms.o */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "monitor/lib/types.h"
#include "tests/fuzz/insn/forms.h"

static const char *const names[] = {
#define M(m) #m
#define RULE(name, function, flow, what, ...) __VA_ARGS__,
#include "translator/rules.def"
#undef RULE
#undef M
};

/* Tested elsewhere, because the outcome is the host's own or the instruction is not for ring 3. */
static const char *const elsewhere[] = {
	/* Control transfers: the generator writes them itself (gen.c), far ones are in tests/asm/rings.asm. */
	"JMP", "CALL", "RET", "JO", "JNO", "JB", "JNB", "JZ", "JNZ", "JBE", "JNBE", "JS", "JNS", "JP", "JNP", "JL", "JNL", "JLE", "JNLE",
	"LOOP", "LOOPE", "LOOPNE", "JCXZ", "JECXZ", "INT", "INT1", "IRET", "IRETD",
	/* Segments, descriptor tables, privilege, ports, time: test_cpu.c, test_string.c and tests/asm. */
	"LDS", "LES", "LSS", "LFS", "LGS", "IN", "OUT", "INSB", "INSW", "INSD", "OUTSB", "OUTSW", "OUTSD", "LAR", "LSL", "VERR", "VERW",
	"ARPL", "LGDT", "LIDT", "SGDT", "SIDT", "LLDT", "LTR", "SLDT", "STR", "LMSW", "SMSW", "HLT", "CLTS", "INVD", "WBINVD", "INVLPG",
	"INVPCID", "RDMSR", "WRMSR", "RDPMC", "CPUID", "XGETBV", "XSETBV", "SYSENTER", "SYSEXIT", "SYSCALL", "SYSRET", "RSM", "MONITOR",
	"MWAIT", "CLI", "STI", "RDTSC", "RDTSCP", "UD0", "UD1", "UD2", "XSAVE", "XSAVEOPT", "XSAVEC", "XRSTOR",
	/* 64-bit code only: test_long.c. */
	"MOVSXD", "CDQE", "CQO", "CMPXCHG16B", "JRCXZ",
	/* Random, or a hint of the host's. */
	"RDRAND", "RDSEED", "CLFLUSH", "CLFLUSHOPT", "CLWB", "CLDEMOTE", "PREFETCH", "PREFETCHW", "ENDBR32", "ENDBR64",
};

static bool is_elsewhere(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++)
		if (!strcmp(elsewhere[i], name))
			return true;
	return false;
}

static void mark(const struct forms *f, bool seen[ZYDIS_MNEMONIC_MAX_VALUE + 1])
{
	for (u32 i = 0; i < f->count; i++) {
		const struct form *form = &f->form[i];
		ZydisDecodedInstruction insn;
		u8 bytes[15] = { 0 };
		int n = form_opcode(form, bytes, 0);

		bytes[n] = (u8)((form->memory ? 0 : 3) << 6 | (form->reg & 7) << 3 | (form->rm & 7));
		if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&f->decoder, NULL, bytes, sizeof(bytes), &insn)))
			seen[insn.mnemonic] = true;
	}
}

static bool seen_by_name(const bool *seen, const char *name)
{
	char upper[32];

	for (int m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
		size_t n = 0;

		for (const char *p = ZydisMnemonicGetString((ZydisMnemonic)m); p && *p && n < sizeof(upper) - 1; p++)
			upper[n++] = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
		upper[n] = 0;
		if (!strcmp(upper, name))
			return seen[m];
	}
	return false;
}

static void every_rule_is_covered(void **state)
{
	static bool seen[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	struct forms f;
	int missing = 0;

	for (int code16 = 0; code16 < 2; code16++) {
		forms_init(&f, code16);
		assert_true(f.count > 1000);
		mark(&f, seen);
		forms_fini(&f);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (seen_by_name(seen, names[i]) || is_elsewhere(names[i]))
			continue;
		print_message("%s is neither a form nor said to be tested elsewhere\n", names[i]);
		missing++;
	}
	assert_int_equal(missing, 0);
}

/* Rules that are easy to lose, because no compiler writes them. */
static void rare_ones_are_forms(void **state)
{
	static const ZydisMnemonic rare[] = {
		ZYDIS_MNEMONIC_SALC, ZYDIS_MNEMONIC_XLAT, ZYDIS_MNEMONIC_FWAIT, ZYDIS_MNEMONIC_LFENCE, ZYDIS_MNEMONIC_MFENCE,
		ZYDIS_MNEMONIC_FENI8087_NOP, ZYDIS_MNEMONIC_BOUND, ZYDIS_MNEMONIC_ENTER, ZYDIS_MNEMONIC_AAM, ZYDIS_MNEMONIC_INTO,
		ZYDIS_MNEMONIC_CMPXCHG8B, ZYDIS_MNEMONIC_MASKMOVQ, ZYDIS_MNEMONIC_PUSHF, ZYDIS_MNEMONIC_LAHF,
	};
	static bool seen[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	struct forms f;

	forms_init(&f, false);
	mark(&f, seen);
	forms_fini(&f);
	for (size_t i = 0; i < ARRAY_SIZE(rare); i++)
		if (!seen[rare[i]])
			fail_msg("%s is no form", ZydisMnemonicGetString(rare[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_rule_is_covered), cmocka_unit_test(rare_ones_are_forms) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
