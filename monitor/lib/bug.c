/*
 * bug.c - the end of the road for errors of ours: say what and where, then abort so that a core or debugger shows the rest.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "monitor/lib/types.h"

_Noreturn void bug_at(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "ringfence: bug at %s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}
