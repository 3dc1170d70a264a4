/*
 * say.c - the last words of commands.
 */
#include "ui/say.h"
#include "ui/machine.h"
#include <stdio.h>

int say_failed(const char *sentence)
{
	fprintf(stderr, "ringfence: %s\n", sentence);
	return STATUS_ERROR;
}

int say_usage(const char *sentence, const char *command)
{
	fprintf(stderr, "ringfence: %s\nTry '%s --help'.\n", sentence, command);
	return STATUS_USAGE;
}
