/*
 * trace.c - --trace=: which events are printed, and the printing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "monitor/vm.h"

static const struct { const char *word; u64 bits; } words_known[] = {
	{ "exit", TRACE_EXIT }, { "tc", TRACE_TC }, { "irq", TRACE_IRQ }, { "exc", TRACE_EXC }, { "msr", TRACE_MSR },
	{ "io", TRACE_IO }, { "mem", TRACE_MEM }, { "dev", TRACE_DEV }, { "all", ~0ull },
};

void vm_trace_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

static u64 find_word(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(words_known); i++)
		if (strlen(words_known[i].word) == len && !memcmp(words_known[i].word, word, len))
			return words_known[i].bits;
	return 0;
}

bool vm_trace_parse(const char *words, u64 *bits, char *err, size_t errsize)
{
	u64 sum = 0;

	for (const char *w = words; ; w++) {
		size_t len = strcspn(w, ",");
		u64 b = find_word(w, len);

		if (!b) {
			snprintf(err, errsize, "--trace knows no \"%.*s\": exit, tc, irq, exc, msr, io, mem, dev or all",
				 len > 40 ? 40 : (int)len, w);
			return false;
		}
		sum |= b;
		w += len;
		if (!*w)
			break;
	}
	*bits = sum;
	return true;
}
