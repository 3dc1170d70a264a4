/* test_conf.c - machine.conf: what is read, what is refused with which line, what a change keeps, and the words for 'run'. */
/* objs: all */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ui/conf.h"

static bool parse(struct conf *c, const char *text, char err[600])
{
	err[0] = 0;
	return conf_parse(c, "f", text, strlen(text), err, 600);
}

static void test_good(void **state)
{
	struct conf c;
	char err[600];
	assert_true(parse(&c, "# head\n\n  memory=64M  \r\n\tdisk.0 = a,,b.img,readonly\n"
		"append = root=/dev/sda1 # no comment\nno-reboot = on", err));
	assert_int_equal(c.lines, 6);
	assert_string_equal(conf_get(&c, "memory"), "64M");
	assert_string_equal(conf_get(&c, "disk.0"), "a,,b.img,readonly");
	assert_string_equal(conf_get(&c, "append"), "root=/dev/sda1 # no comment");
	assert_null(conf_get(&c, "cpu"));
	conf_free(&c);
	assert_true(parse(&c, "", err));
	conf_free(&c);
}

static void test_bad(void **state)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "memory", "f:1: 'memory' is not of the form" },
		{ "\n\nmemroy = 1", "f:3: unknown key 'memroy'; did you mean 'memory'?" },
		{ "disc.0 = x", "did you mean 'disk.0'?" },
		{ "zzzzzzzz = 1", "'ringfence set --help' lists them" },
		{ "disk = x", "f:1: 'disk': there are disk.0 to disk.3" },
		{ "disk.4 = x", "there are disk.0 to disk.3" },
		{ "disk.00 = x", "there are disk.0 to disk.3" },
		{ "floppy.2 = x", "there are floppy.0 to floppy.1" },
		{ "memory.0 = 1", "there is one memory" },
		{ "memory = 1M\nmemory = 2M", "f:2: memory is said twice" },
		{ "memory =", "f:1: memory: '' is no value" },
		{ "memory = lots", "f:1: memory: 'lots' is no size" },
		{ "memory = 9999G", "is out of range" },
		{ "cpu = 80186", "f:1: cpu: '80186' is no model" },
		{ "disk.0 = x,unit=2", "says a unit" },
		{ "disk.0 = x,readonyl", "did you mean 'readonly'?" },
		{ "disk.0 = ,readonly", "no file name" },
		{ "cdrom.1 = x,format=foo", "cdrom.1: " },
		{ "boot = order=q", "boot: " },
		{ "serial.0 = tty", "'tty' is not one of stdio" },
		{ "display = vga", "'vga' is not one of sdl" },
		{ "no-reboot = yes", "'yes' is not one of on, off" },
		{ "rtc = base=2026-02-30", "no such day" },
		{ "description = a\033b", "control character" },
		{ "snapshot = a/b", "is no name of a snapshot" },
		{ "name = x", "unknown key 'name'" },
		{ "= x", "unknown key ''" },
	};
	struct conf c;
	char err[600];
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_false(parse(&c, rows[i].text, err));
		if (!strstr(err, rows[i].says))
			fail_msg("%s: '%s' does not say '%s'", rows[i].text, err, rows[i].says);
		assert_null(c.line);
	}
	assert_false(conf_parse(&c, "f", "memory = 1M\n\0", 13, err, sizeof(err)));
	assert_non_null(strstr(err, "f:2: there is a NUL"));
	char *big = calloc(1, CONF_MAX_BYTES + 1);
	memset(big, '#', CONF_MAX_BYTES + 1);
	assert_false(conf_parse(&c, "f", big, CONF_MAX_BYTES + 1, err, sizeof(err)));
	memset(big, ' ', 9000);
	memcpy(big, "append = x", 10);
	memset(big + 10, 'x', 5000);
	big[5010] = '\n';
	assert_false(conf_parse(&c, "f", big, 5011, err, sizeof(err)));
	assert_non_null(strstr(err, "too long a value"));
	free(big);
}

static void expect_text(struct conf *c, const char *wanted)
{
	size_t len;
	char *text = conf_text(c, &len);
	assert_string_equal(text, wanted);
	assert_int_equal(len, strlen(wanted));
	free(text);
}

static void test_set(void **state)
{
	struct conf c;
	char err[600], key[24];
	assert_true(parse(&c, "# one\nmemory=64M\n\n# two\ncpu = 486\n", err));
	assert_true(conf_set(&c, "memory", "32M", err, sizeof(err)));
	assert_true(conf_set(&c, "disk.0", "a.img", err, sizeof(err)));
	assert_true(conf_set(&c, "cpu", NULL, err, sizeof(err)));
	assert_true(conf_set(&c, "cpu", NULL, err, sizeof(err)));
	expect_text(&c, "# one\nmemory = 32M\n\n# two\ndisk.0 = a.img\n");
	assert_string_equal(conf_get(&c, "memory"), "32M");
	assert_false(conf_set(&c, "memory", "x", err, sizeof(err)));
	assert_false(conf_set(&c, "memory", "1M\ncpu = 486", err, sizeof(err)));
	assert_false(conf_set(&c, "cpuu", "486", err, sizeof(err)));
	expect_text(&c, "# one\nmemory = 32M\n\n# two\ndisk.0 = a.img\n");
	assert_true(conf_free_key(&c, "cdrom", key));
	assert_string_equal(key, "cdrom.1");	/* one IDE unit is in use */
	assert_true(conf_free_key(&c, "floppy", key));
	assert_string_equal(key, "floppy.0");
	assert_false(conf_free_key(&c, "memory", key));
	conf_free(&c);
}

static void expect_words(const char *text, int argc, char **argv, const char *wanted)
{
	struct conf c;
	char err[600], all[2000] = "";
	int count = 0;
	assert_true(parse(&c, text, err));
	char **words = conf_words(&c, "/m,d", argc, argv, &count);
	assert_non_null(words);
	for (int i = 0; i < count; i++) {
		strcat(all, words[i]);
		strcat(all, "|");
	}
	assert_string_equal(all, wanted);
	conf_words_free(words, count);
	conf_free(&c);
}

static void test_words(void **state)
{
	char *user[] = { "-m64", "--boot=menu=on" };
	expect_words("memory = 1M\ndisk.2 = a,,b,readonly\ncdrom.3 = /x/y\nfloppy.1 = none\n", 0, NULL,
		"--memory=1M|--disk=/m,,d/a,,b,readonly,unit=2|--cdrom=/x/y,unit=3|--floppy=none,unit=1|");
	expect_words("serial.2 = file:log\nserial.0 = stdio\n", 0, NULL, "--serial=stdio|--serial=none|--serial=file:/m,d/log|");
	expect_words("kernel = k\ninitrd = a b,/c d\nfirmware = seabios\nno-reboot = on\ndescription = d\n", 0, NULL,
		"--kernel=/m,d/k|--initrd=/m,d/a b,/c d|--firmware=seabios|--no-reboot|");
	expect_words("no-reboot = off\nfirmware = f\nparallel = unix:/s\n", 0, NULL, "--firmware=/m,d/f|--parallel=unix:/s|");
	expect_words("memory = 1M\nboot = order=c\ncpu = 486\n", 2, user, "--cpu=486|");
}

static void test_check(void **state)
{
	struct conf c;
	char err[600];
	assert_true(parse(&c, "disk.0 = a\ncdrom.0 = b\n", err));
	assert_false(conf_check(&c, "/d", err, sizeof(err)));
	assert_non_null(strstr(err, "/d/machine.conf: "));
	conf_free(&c);
	assert_true(parse(&c, "disk.0 = a\ncdrom.1 = b\n", err));
	assert_true(conf_check(&c, "/d", err, sizeof(err)));
	conf_free(&c);
}

static void test_file(void **state)
{
	char dir[] = "/tmp/rf.conf.XXXXXX", path[60], err[600];
	struct conf c, back;
	struct stat st;
	assert_non_null(mkdtemp(dir));
	assert_false(conf_load(&back, dir, err, sizeof(err)));
	assert_true(parse(&c, "# x\nmemory = 2M\n", err));
	assert_true(conf_save(&c, dir, err, sizeof(err)));
	assert_true(conf_load(&back, dir, err, sizeof(err)));
	assert_string_equal(conf_get(&back, "memory"), "2M");
	conf_free(&back);
	snprintf(path, sizeof(path), "%s/machine.conf.new", dir);
	assert_int_equal(stat(path, &st), -1);
	snprintf(path, sizeof(path), "%s/machine.conf", dir);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(conf_load(&back, dir, err, sizeof(err)));	/* and does not wait for somebody to write */
	unlink(path);
	rmdir(dir);
	assert_false(conf_save(&c, dir, err, sizeof(err)));
	conf_free(&c);
}

static void test_drive_file(void **state)
{
	struct conf_line l = { .value = "a,,b.img,readonly", .key = "disk.0" };
	char path[100], value[100];
	const char *options;
	assert_true(conf_drive_file(&l, "/d", path, sizeof(path), &options));
	assert_string_equal(path, "/d/a,b.img");
	assert_string_equal(options, ",readonly");
	assert_true(conf_drive_value("x,y", options, value, sizeof(value)));
	assert_string_equal(value, "x,,y,readonly");
	assert_false(conf_drive_value("x,y", options, value, 8));
	l.value = "none";
	assert_false(conf_drive_file(&l, "/d", path, sizeof(path), &options));
	l.value = "/abs";
	assert_true(conf_drive_file(&l, "/d", path, sizeof(path), &options));
	assert_string_equal(path, "/abs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_set), cmocka_unit_test(test_words),
		cmocka_unit_test(test_check), cmocka_unit_test(test_file), cmocka_unit_test(test_drive_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
