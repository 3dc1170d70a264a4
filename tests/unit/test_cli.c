/* test_cli.c - the command line: what is accepted, what it means, what is said of the rest; and the Ctrl-A keys. */
/* objs: ui/cli.o ui/cli_drive.o ui/cli_files.o ui/rundir.o ui/tty.o images/all monitor/lib/all monitor/trace.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui/cli.h"
#include "ui/front.h"
#include "ui/tty.h"

#define WORDS_MAX 16
/* The terminal that the test runs in is nobody's business. */
bool text_possible(void) { return false; }

static enum cli_result parse(struct cli_run *run, char err[200], const char *line)
{
	static char words[400];
	char *argv[WORDS_MAX], *save = NULL;
	int argc = 0;
	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok_r(words, " ", &save); w && argc < WORDS_MAX; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	err[0] = 0;
	return cli_parse_run(argc, argv, run, err, 200);
}

static void test_defaults(void **state)
{
	struct cli_run run;
	char err[200];
	assert_int_equal(parse(&run, err, "--kernel k"), CLI_OK);
	assert_string_equal(run.kernel, "k");
	assert_null(run.initrd);
	assert_string_equal(run.append, "");
	assert_string_equal(run.cpu, "host");
	assert_int_equal(run.ram_size, 512 << 20);
	assert_int_equal(run.serials, 1);
	assert_string_equal(run.serial[0], "stdio");
	assert_int_equal(run.debug_exit, -1);
	assert_false(run.no_reboot);
}

static void test_all_options(void **state)
{
	struct cli_run run;
	char err[200];
	assert_int_equal(parse(&run, err, "--kernel=k --initrd i --append a=b -m2G --cpu 486 --serial none --serial file:x --no-reboot"), CLI_OK);
	assert_string_equal(run.kernel, "k");
	assert_string_equal(run.append, "a=b");
	assert_int_equal(run.ram_size, 2048ull << 20);
	assert_int_equal(run.serials, 2);
	assert_string_equal(run.serial[1], "file:x");
	assert_true(run.no_reboot);
	assert_int_equal(parse(&run, err, "--kernel k --debug-exit 0xf4 --debugcon stdio --dump=tc:c0100000-c01fffff "
			       "--check=recover,links"), CLI_OK);
	assert_int_equal(run.debug_exit, 0xf4);
	assert_int_equal(run.serials, 0);
	assert_true(run.dump && run.check_recover && run.check_links);
	assert_int_equal(run.dump_lo, 0xc0100000);
	assert_int_equal(run.dump_hi, 0xc01fffff);
	assert_int_equal(parse(&run, err, "--kernel k --engine translate --trace exit,irq --name n --display none"), CLI_OK);
	assert_int_not_equal(run.trace, 0);
	assert_int_equal(parse(&run, err, "--firmware f"), CLI_OK);
	assert_string_equal(run.firmware, "f");
	assert_int_equal(parse(&run, err, "--nonsense --help"), CLI_ERROR);
	assert_int_equal(parse(&run, err, "--kernel k --help"), CLI_HELP);
	assert_int_equal(parse(&run, err, "-V"), CLI_VERSION);
}

static void test_errors(void **state)
{
	static const struct { const char *line, *says; } bad[] = {
		{ "--append x", "--kernel, which is missing" },
		{ "1 2 3 4 5 6 7 8", "'8' is one file too many" }, { "--disk", "needs a value" }, { "--disk ,x", "no file name" },
		{ "--disk a,formt=raw", "did you mean 'format'" }, { "--disk a,format=qcow9", "one of the formats" },
		{ "--disk a,bus=scsi", "bus is ide" }, { "--disk a,snapshot=", "snapshot needs a value" },
		{ "--disk a,allow-backing=1", "on or off" }, { "--floppy a,snapshot=x", "unknown key" },
		{ "--disk a,unit=4", "unit is 0 to 3" }, { "--disk a,unit=", "unit needs a value" }, { "--disk a,readonly=x", "on or off" },
		{ "--floppy a,bus=ide", "unknown key 'bus'" }, { "--floppy a,unit=2", "unit is 0 to 1" }, { "--disk a,", "unknown key ''" },
		{ "--name a/b", "is no name" }, { "--name .a", "is no name" },
		{ "--boot order=ax", "order is" }, { "--boot order=aa", "order is" }, { "--boot ordr=a", "did you mean 'order'" },
		{ "--boot menu=no", "on or off" }, { "--disk a --disk a --disk a --disk a --floppy a --floppy a --floppy a", "at most 4 IDE and 2" },
		{ "--rtc base=2023-02-30", "--rtc: there is no such day" }, { "--rtc localtime", "--rtc: it is base=utc" },
		{ "--parallel foo", "--parallel: 'foo'" }, { "--kernel", "--kernel needs a value" },
		{ "--kernal k", "did you mean --kernel?" }, { "--no-rebot", "did you mean --no-reboot?" }, { "--xyzzyfoo", "unknown option" },
		{ "-q", "unknown option -q" }, { "--kernel k --kernel l", "given twice" }, { "--kernel k --no-reboot=1", "takes no value" },
		{ "--kernel k -m 0", "out of range" }, { "--kernel k -m 4G", "out of range" }, { "--kernel k -m 99999999999999999999", "out of range" },
		{ "--kernel k -m x", "is no size" }, { "--kernel k -m -5", "is no size" }, { "--kernel k -m 5X", "is no size" },
		{ "--kernel k -m 5MM", "is no size" }, { "--kernel k --serial foo", "--serial: 'foo'" },
		{ "--kernel k --serial file:", "--serial: 'file:'" },
		{ "--kernel k --serial none --serial none --serial none --serial none --serial none", "at most 4" },
		{ "--kernel k --serial stdio --debugcon stdio", "more than one" }, { "--kernel k --display vga", "--display: 'vga'" },
		{ "--kernel k --display text --serial stdio", "has the terminal" },
		{ "--kernel k --engine direct", "--engine: 'direct'" }, { "--kernel k --check lockstep", "'lockstep'" },
		{ "--kernel k --check recover,", "''" },
		{ "--kernel k --trace foo", "foo" }, { "--kernel k --dump x", "--dump: 'x'" }, { "--kernel k --dump tc:2-1", "--dump" },
		{ "--kernel k --debug-exit 65536", "no I/O port" }, { "--kernel k --debug-exit f4", "no I/O port" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct cli_run run;
		char err[200];
		assert_int_equal(parse(&run, err, bad[i].line), CLI_ERROR);
		if (!strstr(err, bad[i].says))
			fail_msg("'%s' gave '%s', not '%s'", bad[i].line, err, bad[i].says);
	}
}

static void test_drives(void **state)
{
	struct cli_run run;
	char err[200];
	assert_int_equal(parse(&run, err, "--floppy b.img --disk x,,y=1,readonly,format=raw,unit=1 --cdrom c.iso --disk z --cdrom none "
			       "--floppy none --boot menu=on"), CLI_OK);
	assert_true(cli_place_drives(&run, err, sizeof(err)));
	assert_string_equal(run.ide[0].path, "z");
	assert_false(run.ide[0].readonly);
	assert_string_equal(run.ide[1].path, "x,y=1");
	assert_true(run.ide[1].readonly);
	assert_string_equal(run.ide[1].format, "raw");
	assert_int_equal(run.ide[2].kind, BOARD_CDROM);
	assert_string_equal(run.ide[2].path, "c.iso");
	assert_int_equal(run.ide[3].kind, BOARD_CDROM);
	assert_null(run.ide[3].path);
	assert_string_equal(run.floppy[0].path, "b.img");
	assert_int_equal(run.floppy[1].kind, BOARD_FLOPPY);
	assert_null(run.floppy[1].path);
	assert_string_equal(run.boot_order, "acd");
	assert_true(run.boot_menu);

	assert_int_equal(parse(&run, err, "--cdrom c --disk d --boot order=n,menu=off"), CLI_OK);
	assert_true(cli_place_drives(&run, err, sizeof(err)));
	assert_string_equal(run.boot_order, "n");
	assert_int_equal(run.ide[1].kind, BOARD_NO_DRIVE);
	assert_int_equal(parse(&run, err, "--disk a,unit=0 --disk b,unit=0"), CLI_OK);
	assert_false(cli_place_drives(&run, err, sizeof(err)));
	assert_string_equal(err, "b: unit 0 is taken already");
	assert_int_equal(parse(&run, err, "--floppy a --floppy b --floppy c"), CLI_OK);
	assert_false(cli_place_drives(&run, err, sizeof(err)));
	assert_string_equal(err, "c: a PC has only 2 floppy drives");
}

static const char *make_file(const char *name, size_t size, size_t at, const void *data, size_t len)
{
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), (off_t)size), 0);
	assert_int_equal(pwrite(fileno(f), data, len, (off_t)at), len);
	fclose(f);
	return name;
}

static void test_files(void **state)
{
	static const u32 multiboot[3] = { 0x1badb002, 0, 0u - 0x1badb002 };
	struct cli_run run;
	char err[200], dir[] = "/tmp/ringfence-cli.XXXXXX";
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	make_file("fd", 1440 << 10, 510, "\x55\xaa", 2);
	make_file("hd", 8 << 20, 0, "", 0);
	make_file("kernel", 4096, 16, multiboot, sizeof(multiboot));
	make_file("noise", 5000, 0, "hello", 5);

	assert_int_equal(parse(&run, err, "hd --floppy none --disk none fd -m 16 "), CLI_OK);
	assert_true(cli_look_at_files(&run, err, sizeof(err)));
	assert_true(cli_place_drives(&run, err, sizeof(err)));
	assert_string_equal(run.ide[0].path, "hd");
	assert_string_equal(run.floppy[0].path, "fd");
	assert_string_equal(run.ide[1].path, "none");		/* a disk is never empty: that is a name */
	assert_int_equal(run.floppy[1].kind, BOARD_FLOPPY);
	assert_string_equal(run.boot_order, "ca");
	assert_null(run.kernel);

	assert_int_equal(parse(&run, err, "kernel hd --append x"), CLI_OK);
	assert_true(cli_look_at_files(&run, err, sizeof(err)));
	assert_string_equal(run.kernel, "kernel");
	static const struct { const char *line, *says; } bad[] = {
		{ "noise", "noise: this is no kernel" }, { "missing", "missing" }, { "kernel kernel", "one kernel is there already: kernel" },
		{ "--kernel k kernel", "one kernel is there already: k" },
		{ "hd --append x", "no FILE is one" }, { "hd hd hd hd hd hd hd", "at most 4 IDE" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(&run, err, bad[i].line), CLI_OK);
		assert_false(cli_look_at_files(&run, err, sizeof(err)));
		if (!strstr(err, bad[i].says))
			fail_msg("'%s' gave '%s', not '%s'", bad[i].line, err, bad[i].says);
	}
	static const char *const names[] = { "fd", "hd", "kernel", "noise" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(names[i]);
	assert_int_equal(chdir("/"), 0);
	rmdir(dir);
}

static void test_sizes(void **state)
{
	static const struct { const char *text; u64 bytes; } good[] = {
		{ "1", 1 << 20 }, { "64M", 64 << 20 }, { "64MiB", 64 << 20 }, { "1024k", 1 << 20 }, { "1G", 1 << 30 }, { "1T", 1ull << 40 },
		{ "99999999T", ~0ull },
	};
	u64 n;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(cli_parse_size(good[i].text, &n));
		assert_int_equal(n, good[i].bytes);
	}
	assert_false(cli_parse_size("", &n));
	assert_false(cli_parse_size("M", &n));
	assert_false(cli_parse_size("1 M", &n));
	assert_false(cli_parse_size("1Mi", &n));
}

struct heard {
	int left;
	char said[400];
};
static void on_leave(void *arg) { ((struct heard *)arg)->left++; }
static void on_say(void *arg, const char *text) { strcat(((struct heard *)arg)->said, text); }

static bool on_prompt(void *arg, const u8 *keys, size_t n)
{
	struct heard *h = arg;
	for (size_t i = 0; i < n; i++)
		snprintf(h->said + strlen(h->said), 8, "<%c>", keys[i]);
	return keys[0] != 'q';
}

static void test_keys(void **state)
{
	struct heard h = { 0 };
	struct tty_keys k = { .leave = on_leave, .say = on_say, .arg = &h };
	u8 buf[16];
	memcpy(buf, "ab\1\1c\1", 6);
	assert_int_equal(tty_keys(&k, buf, 6), 4);
	assert_memory_equal(buf, "ab\1c", 4);
	assert_int_equal(h.left, 0);
	memcpy(buf, "xx", 2);				/* the prefix was in the buffer before */
	assert_int_equal(tty_keys(&k, buf, 2), 1);
	assert_int_equal(h.left, 1);
	memcpy(buf, "\1h\1qz", 5);
	assert_int_equal(tty_keys(&k, buf, 5), 1);
	assert_int_equal(buf[0], 'z');
	assert_non_null(strstr(h.said, "Ctrl-A X"));
	memcpy(buf, "\1c", 2);				/* there is no prompt */
	assert_int_equal(tty_keys(&k, buf, 2), 0);
	assert_non_null(strstr(h.said, "no prompt"));
	k.prompt_open = on_leave;
	k.prompt_typed = on_prompt;
	memcpy(buf, "\1cab\1\1\1c!", 9);		/* in, three keys, out, one for the guest */
	assert_int_equal(tty_keys(&k, buf, 9), 1);
	assert_int_equal(buf[0], '!');
	assert_non_null(strstr(h.said, "<a><b><\1>"));
	memcpy(buf, "\1cq!", 4);				/* q leaves the prompt */
	assert_int_equal(tty_keys(&k, buf, 4), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_all_options), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_drives), cmocka_unit_test(test_files),
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
