/*
 * cli_saved.c - a machine's options as text, one word a line, for who makes the machine again from a snapshot.
 *
 * Files are named by their full path. What does not belong to the machine (display, name, traces) is left out.
 */
#include "ui/cli.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void line(FILE *out, const char *option, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void line(FILE *out, const char *option, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(out, "--%s=", option);
	vfprintf(out, fmt, ap);
	fputc('\n', out);
	va_end(ap);
}

static void file(FILE *out, const char *option, const char *path)
{
	char full[PATH_MAX];
	if (path)
		line(out, option, "%s", realpath(path, full) ? full : path);
}

static void text(FILE *out, const char *option, const char *value)
{
	if (value)
		line(out, option, "%s", value);
}

static void drive(FILE *out, const struct board_drive *d, int unit)
{
	static const char *const names[] = { [BOARD_DISK] = "disk", [BOARD_CDROM] = "cdrom", [BOARD_FLOPPY] = "floppy" };
	char full[PATH_MAX];
	if (d->kind == BOARD_NO_DRIVE)
		return;
	const char *path = !d->path ? "none" : realpath(d->path, full) ? full : d->path;
	fprintf(out, "--%s=", names[d->kind]);
	for (; *path; path++)
		fprintf(out, *path == ',' ? ",," : "%c", *path);
	fprintf(out, ",unit=%d%s%s%s\n", unit, d->format ? ",format=" : "", d->format ? d->format : "",
		d->readonly && d->kind != BOARD_CDROM ? ",readonly" : "");
}

char *cli_saved(const struct cli_run *run)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&buf, &size);
	if (!out)
		return NULL;
	line(out, "memory", "%lluK", (unsigned long long)run->ram_size >> 10);
	text(out, "cpu", run->cpu);
	if (run->firmware && strcmp(run->firmware, "seabios"))
		file(out, "firmware", run->firmware);
	else
		text(out, "firmware", run->firmware);
	file(out, "kernel", run->kernel);
	file(out, "initrd", run->initrd);
	if (run->append[0])
		text(out, "append", run->append);
	for (u32 i = 0; i < run->serials; i++)
		text(out, "serial", run->serial[i]);
	text(out, "parallel", run->parallel);
	text(out, "debugcon", run->debugcon);
	if (run->debug_exit >= 0)
		line(out, "debug-exit", "%#x", (u32)run->debug_exit);
	for (int i = 0; i < BOARD_IDE_DRIVES; i++)
		drive(out, &run->ide[i], i);
	for (int i = 0; i < BOARD_FLOPPIES; i++)
		drive(out, &run->floppy[i], i);
	if (run->boot_order[0])
		line(out, "boot", "order=%s", run->boot_order);
	if (run->no_reboot)
		fprintf(out, "--no-reboot\n");
	if (!fclose(out))
		return buf;
	free(buf);
	return NULL;
}

u32 cli_saved_words(char *saved, char **words, u32 most)
{
	u32 n = 0;
	char *save = NULL;
	for (char *w = strtok_r(saved, "\n", &save); w && n < most; w = strtok_r(NULL, "\n", &save))
		words[n++] = w;
	return n;
}
