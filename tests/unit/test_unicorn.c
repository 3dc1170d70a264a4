/*
 * test_unicorn.c - the second oracle: what the host processor cannot run (16-bit, privileged, system instructions) is compared with
 * Unicorn. tests/unit/unicorn/case.h says how; known.c lists where Unicorn is wrong.
 *
 *     test_unicorn [count [first]]	more cases than make check runs
 */
/* objs: translator/all monitor/all -monitor/trace.o tests/unit/unicorn/image.o tests/unit/unicorn/gen.o tests/unit/unicorn/known.o
 * tests/unit/unicorn/oracle.o tests/unit/unicorn/ours.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/unicorn/case.h"

#ifdef HAVE_UNICORN
enum { CHECK_CASES = 7000, MAX_REPORTS = 10, FL_COMPARED = 0x3e7fd5 /* all but RF: debug.c drops it late */,
	TSS_BUSY = 2, FL_TRAP = 0x100 };
static const char *const mode_names[] = { "real", "big real", "16-bit ring 0", "32-bit ring 0", "16-bit ring 3", "32-bit ring 3", "V86" };
static const char *const seg_names[] = { "es", "cs", "ss", "ds", "fs", "gs" };
static const char *const gpr_names[] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };

struct range { u64 first, count; };
struct tally { const char *why; u64 count; };

/* Says what differs first; true if nothing does. */
#define SAME(what, a, b) do {											\
	if ((a) != (b)) {											\
		snprintf(diff, size, "%s: ours %x, Unicorn %x", what, (u32)(a), (u32)(b));			\
		return false;											\
	}													\
} while (0)

static bool same_segment(const char *name, const struct seg_state *a, const struct seg_state *b, u16 attr, char *diff, size_t size)
{
	char what[32];

	snprintf(what, sizeof(what), "%s selector", name);
	SAME(what, a->sel, b->sel);
	snprintf(what, sizeof(what), "%s base", name);
	SAME(what, a->base, b->base);
	if (!attr)
		return true;
	snprintf(what, sizeof(what), "%s limit", name);
	SAME(what, a->limit, b->limit);
	snprintf(what, sizeof(what), "%s attributes", name);
	SAME(what, a->attr & attr, b->attr & attr);
	return true;
}

static bool same_state(const struct uc_case *c, const struct cpu_image *a, const struct cpu_image *b, char *diff, size_t size)
{
	u32 flags = FL_COMPARED & ~c->undefined;
	bool is_int = a->end == END_INT && b->end == END_EXCEPTION;	/* Unicorn stops at the INT */
	bool protected = c->mode > IN_BIG_REAL && !(a->eflags & 0x20000);	/* attributes left over from real mode do not matter */

	SAME("end", is_int ? END_EXCEPTION : a->end, b->end);
	SAME("vector", a->vector, b->vector);
	SAME("error code", a->error, b->error);
	SAME("eip", a->eip, b->eip);
	for (int r = 0; r < 8; r++)
		SAME(gpr_names[r], a->gpr[r], b->gpr[r]);
	SAME("flags", a->eflags & flags, b->eflags & flags);
	if (is_int)
		return true;
	SAME("cr0", a->cr0, b->cr0);
	SAME("cr2", a->cr2, b->cr2);
	SAME("cr3", a->cr3, b->cr3);
	SAME("cr4", a->cr4, b->cr4);
	for (int s = 0; s < 6; s++)
		if (!same_segment(seg_names[s], &a->seg[s], &b->seg[s], protected ? 0xffff : 0, diff, size))
			return false;
	SAME("gdt base", a->gdt.base, b->gdt.base);
	SAME("gdt limit", a->gdt.limit, b->gdt.limit);
	SAME("idt base", a->idt.base, b->idt.base);
	SAME("idt limit", a->idt.limit, b->idt.limit);
	return same_segment("ldtr", &a->ldt, &b->ldt, a->ldt.attr & 0x80 ? 0xffff : 0, diff, size) &&
		same_segment("tr", &a->tr, &b->tr, (u16)~TSS_BUSY, diff, size);	/* Unicorn keeps the busy bit in memory only */
}

static bool same_memory(const u8 *a, const u8 *b, char *diff, size_t size)
{
	char what[32];

	if (!memcmp(a, b, RAM_BYTES))
		return true;
	for (u32 at = 0; at < RAM_BYTES; at++) {
		snprintf(what, sizeof(what), "byte at %x", at);
		SAME(what, a[at], b[at]);
	}
	return true;
}

static void print_case(const struct uc_gen *g, const struct uc_case *c, const char *diff)
{
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisFormatter f;
	char text[96];

	printf("case %llu (%s): %s\n", (unsigned long long)c->number, mode_names[c->mode], diff);
	for (int r = 0; r < 8; r++)
		printf("  %s %08x%s", gpr_names[r], c->gpr[r], r % 4 == 3 ? "\n" : "");
	printf("  flags %08x, undefined %x\n", c->eflags, c->undefined);
	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	for (u32 at = 0; at < c->len; at += insn.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&g->decoder[mode_is32(c->mode)], c->code + at, c->len - at, &insn, op)))
			break;
		ZydisFormatterFormatInstruction(&f, &insn, op, insn.operand_count_visible, text, sizeof(text), c->at + at, NULL);
		printf("  %04x  ", c->at + at);
		for (int i = 0; i < 11; i++)
			printf(i < insn.length ? "%02x" : "  ", c->code[at + (u32)i]);
		printf("  %s\n", text);
	}
}

static void print_outcome(const char *who, const struct cpu_image *s)
{
	static const char *const ends[] = { "HLT", "exception", "INT", "skipped" };

	printf("  %-7s %s %d error %x at %x, flags %x, esp %x\n         ", who, ends[s->end], s->vector, s->error, s->eip, s->eflags, s->gpr[4]);
	for (int i = 0; i < 6; i++)
		printf(" %s %x:%x+%x", seg_names[i], s->seg[i].sel, (u32)s->seg[i].base, s->seg[i].limit);
	printf("\n");
}

static void count(struct tally *t, const char *why)
{
	while (t->why && t->why != why)
		t++;
	t->why = why;
	t->count++;
}

struct world {
	struct uc_gen gen;
	struct oracle *theirs;
	struct ours *ours;
	u8 *golden;
};

enum verdict { SAME_OUTCOME, DIFFERENT, NOT_COMPARABLE };

/* Runs a case on both sides; memory is as before then. */
static enum verdict run_both(struct world *w, const struct uc_case *c, struct cpu_image *ours, struct cpu_image *theirs, char *diff,
			     size_t size)
{
	enum verdict verdict = NOT_COMPARABLE;

	oracle_run(w->theirs, c, theirs);
	if (theirs->end != END_SKIP) {
		ours_run(w->ours, c, ours);
		if (!(ours->eflags & FL_TRAP))	/* single-stepping makes Unicorn leave at other places */
			verdict = same_state(c, ours, theirs, diff, size) &&
				(ours->end == END_INT || same_memory(ours_ram(w->ours), oracle_ram(w->theirs), diff, size)) ? SAME_OUTCOME : DIFFERENT;
		ours_restore(w->ours, w->golden);
	}
	oracle_restore(w->theirs, w->golden);
	return verdict;
}

/* The first instructions of a case, up to `len` bytes, then HLT. */
static struct uc_case beginning(const struct uc_case *c, u32 len)
{
	struct uc_case b = *c;

	memset(b.code + len, 0xf4, sizeof(b.code) - len);
	b.len = len + 1;
	return b;
}

/* Finds the instruction that makes the two differ, cuts the case behind it, and asks whether Unicorn is known to be wrong there. */
static const char *explain(struct world *w, struct uc_case *c, char *diff, size_t size)
{
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct cpu_image before, ours, theirs;
	struct uc_case b = beginning(c, 0);

	run_both(w, &b, &before, &theirs, diff, size);
	for (u32 at = 0; at + 1 < c->len; at += insn.length) {
		struct parting p = { .c = &b, .eip = c->at + at, .insn = &insn, .op = op, .before = &before, .ours = &ours, .theirs = &theirs };

		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&w->gen.decoder[mode_is32(c->mode)], c->code + at, c->len - at, &insn, op)))
			return NULL;
		b = beginning(c, at + insn.length);
		b.undefined = insn.cpu_flags ? insn.cpu_flags->undefined : 0;
		if (run_both(w, &b, &ours, &theirs, diff, size) == DIFFERENT) {
			*c = b;
			return unicorn_is_wrong(&p);
		}
		before = ours;
	}
	return NULL;
}

static void report(struct world *w, const struct uc_case *c)
{
	struct cpu_image ours, theirs;
	char diff[128] = "differs only after the first run";

	run_both(w, c, &ours, &theirs, diff, sizeof(diff));
	print_case(&w->gen, c, diff);
	print_outcome("ours", &ours);
	print_outcome("Unicorn", &theirs);
}

static struct world world_init(const char **err)
{
	struct world w = { .golden = malloc(RAM_BYTES), .theirs = oracle_init(err) };

	if (!w.golden || !w.theirs || !(w.ours = ours_init(err)))
		fail_msg("%s", *err);
	image_fill(w.golden);
	gen_start(&w.gen, 1);
	return w;
}

static void same_as_unicorn(void **state)
{
	const struct range *range = *state;
	const char *err = "out of memory", *why;
	struct tally tally[64] = { { NULL, 0 } };
	u64 failed = 0, skipped = 0;
	struct world w = world_init(&err);

	for (u64 n = range->first; n < range->first + range->count; n++) {
		struct cpu_image a, b;
		struct uc_case c;
		char diff[128];
		enum verdict verdict;

		gen_unicorn_case(&w.gen, n, &c);
		verdict = run_both(&w, &c, &a, &b, diff, sizeof(diff));
		skipped += verdict == NOT_COMPARABLE;
		if (verdict != DIFFERENT)
			continue;
		why = explain(&w, &c, diff, sizeof(diff));
		if (why)
			count(tally, why);
		else if (failed++ < MAX_REPORTS)
			report(&w, &c);
	}
	for (struct tally *t = tally; t->why; t++)
		printf("Unicorn is wrong in %llu: %s\n", (unsigned long long)t->count, t->why);
	printf("%llu cases, %llu not comparable, %llu differ\n", (unsigned long long)range->count, (unsigned long long)skipped,
	       (unsigned long long)failed);
	free(w.golden);
	oracle_fini(w.theirs);
	ours_fini(w.ours);
	assert_int_equal(failed, 0);
	assert_true(skipped < range->count / 4);
}

int main(int argc, char **argv)
{
	struct range range = { .first = argc > 2 ? strtoull(argv[2], NULL, 0) : 0, .count = argc > 1 ? strtoull(argv[1], NULL, 0) : CHECK_CASES };
	const struct CMUnitTest tests[] = { cmocka_unit_test_prestate(same_as_unicorn, &range) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void no_unicorn(void **state)
{
	printf("skipped: libunicorn was not there when configure looked\n");
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_unicorn) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
