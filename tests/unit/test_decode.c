/*
 * test_decode.c - what the decoder must add to its library's answer.
 */
/* objs: translator/all monitor/lib/bug.o */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "translator/decode.h"
#include "translator/modekey.h"

static int segment_of(const u8 *bytes, unsigned n)
{
	struct decoder *d = decoder_init();
	struct insn i;

	assert_non_null(d);
	assert_int_equal(insn_decode(d, &i, bytes, n, 0x100, 0), DECODE_OK);
	assert_int_equal(i.len, n);
	decoder_fini(d);
	return i.seg;
}

/* 3E is NOTRACK before an indirect branch, and the DS override as ever (80286 vectors FF.2 and FF.4). */
static void notrack_is_ds_too(void **state)
{
	assert_int_equal(segment_of((const u8[]){ 0xff, 0x22 }, 2), S_SS);		/* jmp [bp+si] */
	assert_int_equal(segment_of((const u8[]){ 0x3e, 0xff, 0x22 }, 3), S_DS);
	assert_int_equal(segment_of((const u8[]){ 0x3e, 0xff, 0x12 }, 3), S_DS);	/* call */
	assert_int_equal(segment_of((const u8[]){ 0x3e, 0x2e, 0xff, 0x22 }, 4), S_CS);	/* the last one counts */
	assert_int_equal(segment_of((const u8[]){ 0x2e, 0x3e, 0xff, 0x22 }, 4), S_DS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(notrack_is_ds_too) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
