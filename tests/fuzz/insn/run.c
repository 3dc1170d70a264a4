/*
 * run.c - the loop of the oracle: make a case, run it in both worlds, compare; shrink and print what differs.
 */
#include <stdlib.h>
#include <time.h>
#include "tests/fuzz/insn/insn.h"

struct run {
	struct generator *gen;
	struct translated *tr;
	struct insn_case c;
	struct outcome native, translated;
};

static bool agrees(struct run *r, const struct insn_case *c)
{
	native_run(c, &r->native);
	translated_run(r->tr, c, &r->translated);
	return outcome_same(c, &r->native, &r->translated);
}

/* Takes instructions out as long as the difference stays. */
static void shrink(struct run *r)
{
	struct insn_case smaller;
	bool progress = true;

	while (progress) {
		progress = false;
		for (int i = 0; i < r->c.units; i++)
			if (gen_remove(&r->c, i, &smaller) && !agrees(r, &smaller)) {
				r->c = smaller;
				progress = true;
			}
	}
	agrees(r, &r->c);
}

static void report(struct run *r, const struct run_options *opt)
{
	shrink(r);
	case_print(stderr, &r->c);
	outcome_print(stderr, &r->c, &r->native, &r->translated);
	if (opt->verbose)
		translated_dump(r->tr, stderr);
	fprintf(stderr, "  again: --seed %llu --case %llu\n\n", (unsigned long long)opt->seed, (unsigned long long)r->c.number);
}

static double seconds_since(const struct timespec *t0)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)(t.tv_sec - t0->tv_sec) + (double)(t.tv_nsec - t0->tv_nsec) / 1e9;
}

static u64 loop(struct run *r, const struct run_options *opt, u64 *ran)
{
	struct timespec t0;
	u64 differ = 0, n;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (n = 0; n < opt->count; n++) {
		gen_case(r->gen, opt->first + n, &r->c);
		if (!agrees(r, &r->c) && ++differ <= opt->max_reports)
			report(r, opt);
		else if (opt->verbose)
			case_print(stderr, &r->c), outcome_print(stderr, &r->c, &r->native, &r->translated);
		if (opt->progress && n % opt->progress == opt->progress - 1)
			printf("%llu cases, %llu differ, %.0f cases/s\n", (unsigned long long)n + 1, (unsigned long long)differ,
			       (double)(n + 1) / seconds_since(&t0)), fflush(stdout);
		if (opt->seconds && !(n & 1023) && seconds_since(&t0) > opt->seconds)
			break;
	}
	*ran = n;
	return differ;
}

u64 run_cases(const struct run_options *opt, u64 *ran, const char **err)
{
	struct run *r = aligned_alloc(64, (sizeof(*r) + 63) & ~63ul);
	bool have_16 = false;
	u64 differ = 0;

	*err = NULL;
	*ran = 0;
	if (!r || !native_init(&have_16, err))
		return 0;
	if (!have_16)
		fprintf(stderr, "this host has no modify_ldt for 16-bit segments: 32-bit code only\n");
	r->gen = gen_init(opt->seed, have_16);
	r->tr = translated_init(err);
	if (r->gen && r->tr) {
		*err = NULL;
		differ = loop(r, opt, ran);
		translated_fini(r->tr);
	}
	gen_fini(r->gen);
	native_fini();
	free(r);
	return differ;
}
