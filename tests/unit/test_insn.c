/*
 * test_insn.c - the first 20,000 cases of the instruction oracle (tests/fuzz/insn): every instruction form of ring 3, alone and in
 * sequences, must do translated what it does on the processor.
 */
/* objs: tests/fuzz/insn/native.o tests/fuzz/insn/translated.o tests/fuzz/insn/fakemmu.o tests/fuzz/insn/fakevm.o
 * tests/fuzz/insn/image.o tests/fuzz/insn/forms.o tests/fuzz/insn/gen.o tests/fuzz/insn/compare.o tests/fuzz/insn/run.o
 * translator/all monitor/segment.o monitor/bcd.o
 * monitor/string.o monitor/vector.o monitor/intr.o monitor/except.o monitor/mode.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tests/fuzz/insn/insn.h"

static void same_as_the_processor(void **state)
{
	struct run_options opt = { .seed = 1, .count = 20000, .max_reports = 3 };
	const char *err;
	u64 ran, differ;

#ifdef __SANITIZE_ADDRESS__
	print_message("the sanitizer's shadow lies where native cases expect no memory\n");
	skip();
#endif
	differ = run_cases(&opt, &ran, &err);
	if (err)
		fail_msg("%s", err);
	assert_int_equal(ran, opt.count);
	assert_int_equal(differ, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(same_as_the_processor) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
