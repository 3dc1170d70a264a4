/*
 * insn.c - make fuzz T=insn: random ring-3 instruction sequences on the processor and translated, compared.
 *
 *     insn [--seed N] [--cases N] [--seconds N] [--first N] [--reports N]      until N cases or seconds (default 1,000,000 cases)
 *     insn [--seed N] --case N          one case, with its disassembly and both outcomes
 *
 * Exit status: 0 no difference, 1 differences, 2 usage. How it works: tests/fuzz/insn/insn.h.
 */
/* objs: tests/fuzz/insn/native.o tests/fuzz/insn/translated.o tests/fuzz/insn/fakemmu.o tests/fuzz/insn/fakevm.o
 * tests/fuzz/insn/image.o tests/fuzz/insn/forms.o tests/fuzz/insn/gen.o tests/fuzz/insn/compare.o tests/fuzz/insn/run.o
 * translator/all monitor/segment.o monitor/bcd.o
 * monitor/string.o monitor/vector.o monitor/intr.o monitor/except.o monitor/mode.o monitor/lib/bug.o */
#include <stdlib.h>
#include <string.h>
#include "tests/fuzz/insn/insn.h"

int main(int argc, char **argv)
{
	struct run_options opt = { .seed = 1, .count = 1000000, .max_reports = 10, .progress = 100000 };
	const char *err;
	u64 ran, differ;

	for (int i = 1; i < argc; i += 2) {
		char *end = NULL;
		u64 v = i + 1 < argc ? strtoull(argv[i + 1], &end, 0) : 0;

		if (!end || end == argv[i + 1] || *end) {
			fprintf(stderr, "insn: %s wants a number\n", argv[i]);
			return 2;
		}
		if (!strcmp(argv[i], "--seed"))
			opt.seed = v;
		else if (!strcmp(argv[i], "--cases"))
			opt.count = v;
		else if (!strcmp(argv[i], "--seconds"))
			opt.seconds = (unsigned)v, opt.count = ~0ull;
		else if (!strcmp(argv[i], "--first"))
			opt.first = v;
		else if (!strcmp(argv[i], "--reports"))
			opt.max_reports = (unsigned)v;
		else if (!strcmp(argv[i], "--case"))
			opt.first = v, opt.count = 1, opt.verbose = true;
		else {
			fprintf(stderr, "insn: unknown option %s; there are --seed --cases --seconds --first --reports --case\n", argv[i]);
			return 2;
		}
	}
	differ = run_cases(&opt, &ran, &err);
	if (err) {
		fprintf(stderr, "insn: %s\n", err);
		return 1;
	}
	printf("%llu cases, %llu differ (seed %llu)\n", (unsigned long long)ran, (unsigned long long)differ, (unsigned long long)opt.seed);
	return differ ? 1 : 0;
}
