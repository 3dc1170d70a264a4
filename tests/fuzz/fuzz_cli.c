/*
 * fuzz_cli.c - 'make fuzz T=cli': command lines of 'ringfence run' with anything in them. The words of a case are its lines.
 *
 * Whatever they are: they are taken and every value is in its range, or there is a sentence. Files that are named are looked at, as in a
 * real run; nothing is written.
 */
/* objs: tests/fuzz/lib/bytes.o ui/cli.o ui/cli_drive.o ui/cli_files.o ui/rundir.o images/all monitor/lib/all monitor/trace.o */
#include "tests/fuzz/lib/bytes.h"
#include "ui/cli.h"
#include "ui/front.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 64

/* The terminal is none. */
bool text_possible(void) { return false; }

static const char *const words[] = {
#define OPTION(id, letter, name, arg, help) "\n--" name "\n", "\n--" name "=",
#include "ui/options.def"
#undef OPTION
	"\n", "=", ",", ",,", ":", "readonly", "format=", "unit=", "bus=ide", "order=", "menu=on", "raw", "none", "stdio", "file:", "unix:", "pty",
	"base=", "localtime", "2000-01-01T00:00:00", "99999999999999999999", "-1", "0x", "%s%n", "disk", "floppy", "cd", "kernel", "\n-m", "\n-h",
	"tc:0-ffffffff", "recover,links", "\n--\n", "G", "KiB", "\xc3\xa4", NULL
};

static void seeds(struct fuzz *f)
{
	static u8 image[1474560] = { [510] = 0x55, [511] = 0xaa };
	fuzz_file(f, "floppy", image, sizeof(image));
	memcpy(image + 446, "\x80\1\1\0\x83\xfe\xff\xff\x3f\0\0\0\0\x10\0\0", 16);
	fuzz_file(f, "disk", image, 65536);
	if (chdir(f->dir))
		fuzz_fail(f, "cannot go to %s", f->dir);
	fuzz_seed_text(f, "floppy");
	fuzz_seed_text(f, "disk\n--floppy\nfloppy,readonly\n--cdrom\nnone\n--boot\norder=dca,menu=on\n-m\n64");
	fuzz_seed_text(f, "--kernel\nk\n--initrd=i a,j b\n--append\nconsole=ttyS0\n--serial\nstdio\n--serial=none\n--cpu=486");
	fuzz_seed_text(f, "--disk=disk,format=raw,bus=ide,unit=3\n--rtc\nbase=2024-02-29T12:00:00\n--display\nnone\n--name\nx");
	fuzz_seed_text(f, "--trace=exit,tc\n--dump=tc:c0100000-c01fffff\n--check=recover,links\n--debug-exit\n0xf4\n--debugcon\nstdio\n-m2G");
	fuzz_seed_text(f, "--firmware\nseabios\n--parallel\nfile:out\n--serial=unix:s\n--no-reboot\n--stats\n--memory=3584M\nfloppy");
}

static void check(struct fuzz *f, const struct cli_run *run)
{
	if (run->files > CLI_FILES || run->drives > CLI_DRIVES || run->serials > CLI_SERIALS)
		fuzz_fail(f, "there are more than there is room for");
	if (run->text_len > CLI_TEXT)
		fuzz_fail(f, "the text is longer than its room");
	if (run->ram_size < 1 << 20 || run->ram_size > 3584ull << 20)
		fuzz_fail(f, "memory of %llu bytes", (unsigned long long)run->ram_size);
	if (run->debug_exit > 0xffff || run->debug_exit < -1)
		fuzz_fail(f, "port %d", run->debug_exit);
}

static void one(struct fuzz *f, u8 *data, u64 len)
{
	static struct cli_run run;
	char *argv[WORDS_MAX], err[200] = "", *text = malloc(len + 1), *save = NULL;
	int argc = 0;
	if (!text)
		fuzz_fail(f, "out of memory");
	memcpy(text, data, len);
	text[len] = 0;
	for (char *w = strtok_r(text, "\n", &save); w && argc < WORDS_MAX - 1; w = strtok_r(NULL, "\n", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	enum cli_result result = cli_parse_run(argc, argv, &run, err, sizeof(err));
	if (result == CLI_OK)
		check(f, &run);
	if (result == CLI_OK && cli_look_at_files(&run, err, sizeof(err)) && cli_place_drives(&run, err, sizeof(err))) {
		check(f, &run);
		f->accepted++;
	} else if (result == CLI_OK || result == CLI_ERROR) {
		if (!err[0])
			fuzz_fail(f, "an error without a sentence");
		f->refused++;
	}
	free(text);
}

static void end(struct fuzz *f)
{
	if (chdir("/"))
		exit(1);
}

int main(int argc, char **argv)
{
	static const struct fuzz_bytes target = { .name = "cli", .seeds = seeds, .one = one, .end = end, .words = words, .max_len = 40000 };
	return fuzz_bytes_main(argc, argv, &target);
}
