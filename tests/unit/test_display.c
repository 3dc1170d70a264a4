/*
 * test_display.c - when the frame is drawn and who is told; PNG files; the text screen as UTF-8.
 */
/* objs: devices/display.o devices/screenshot.o devices/screen_text.o tests/unit/fake_vm.o devices/device.o monitor/lib/bug.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "devices/display.h"
#include "devices/screenshot.h"
#include "monitor/event.h"
#include "tests/unit/fake_vm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Posted calls run at once. */
bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg)
{
	fn(arg);
	return true;
}

static struct {
	struct display *d;
	int drawn, all, told;
	u32 width, height, line;
	bool nothing;
} t;

static void draw(void *chip, struct display *d, struct display_frame *f, bool all)
{
	t.drawn++;
	t.all += display_size(f, t.width, t.height) || all;
	if (!t.nothing)
		display_line_changed(f, t.line);
}

static void told(void *arg) { t.told++; }

static int setup(void **state)
{
	struct vm *vm = fake_vm_new();
	memset(&t, 0, sizeof(t));
	t.d = display_init(vm);
	t.width = 320;
	t.height = 200;
	*state = vm;
	fake_advance(vm, 1000000000);
	display_source(t.d, &(struct display_source){ draw, &t });
	return 0;
}

static int teardown(void **state)
{
	display_fini(t.d);
	fake_vm_free(*state);
	return 0;
}

static void test_nobody_watches(void **state)
{
	fake_advance(*state, 1000000000);
	assert_int_equal(t.drawn, 0);
	display_update(t.d);
	assert_int_equal(t.drawn, 1);
	assert_int_equal(t.all, 1);
	display_update(t.d);			/* nothing has changed since */
	assert_int_equal(t.drawn, 1);
	display_changed(t.d);
	display_update(t.d);
	assert_int_equal(t.drawn, 2);
	assert_int_equal(t.all, 1);
}

static void test_rate(void **state)
{
	struct display_viewer v = { .changed = told };
	display_attach(t.d, &v);
	fake_advance(*state, 1);		/* what had changed before is drawn at once */
	assert_int_equal(t.drawn, 1);
	assert_int_equal(t.told, 1);
	fake_advance(*state, 1000000000);
	assert_int_equal(t.drawn, 1);
	for (int i = 0; i < 1000; i++) {	/* a busy guest for 100 ms */
		display_changed(t.d);
		fake_advance(*state, 100000);
	}
	assert_in_range(t.drawn, 6, 8);
	assert_int_equal(t.told, t.drawn);
	fake_advance(*state, 1000000000);
	int before = t.drawn;
	t.nothing = true;			/* a change that does not show: nobody is told */
	display_changed(t.d);
	fake_advance(*state, 1);
	assert_int_equal(t.drawn, before + 1);
	assert_int_equal(t.told, before);
	display_detach(t.d, &v);
	display_changed(t.d);
	fake_advance(*state, 1000000000);
	assert_int_equal(t.drawn, before + 1);
}

static void test_sequence(void **state)
{
	display_update(t.d);
	const struct display_frame *f = display_lock(t.d);
	assert_int_equal(f->seq, 1);
	assert_int_equal(f->line_seq[0], 1);
	assert_int_equal(f->line_seq[199], 1);
	display_unlock(t.d);
	t.line = 7;
	display_changed(t.d);
	display_update(t.d);
	assert_int_equal(f->seq, 2);
	assert_int_equal(f->line_seq[7], 2);
	assert_int_equal(f->line_seq[8], 1);
	t.nothing = true;
	display_changed(t.d);
	display_update(t.d);
	assert_int_equal(f->seq, 2);
	t.width = 100000;
	t.height = 100000;
	display_changed(t.d);
	display_update(t.d);
	assert_int_equal(f->width, DISPLAY_MAX_WIDTH);
	assert_int_equal(f->height, DISPLAY_MAX_HEIGHT);
	assert_int_equal(f->line_seq[1599], 3);
}

static void test_png(void **state)
{
	char path[] = "/tmp/test_display_XXXXXX", err[200];
	u8 head[33] = { 0 };
	const struct display_frame *f = display_lock(t.d);
	assert_false(screenshot_write(f, "/tmp/x.png", err, sizeof(err)));
	assert_string_equal(err, "no screenshot in /tmp/x.png: the machine has shown no picture yet");
	display_unlock(t.d);
	display_update(t.d);
	close(mkstemp(path));
#ifdef HAVE_PNG
	assert_true(screenshot_write(f, path, err, sizeof(err)));
	FILE *file = fopen(path, "rb");
	assert_int_equal(fread(head, 1, sizeof(head), file), sizeof(head));
	fclose(file);
	assert_memory_equal(head, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x40\0\0\0\xc8\x08\x02\0\0\0", 29);
	assert_false(screenshot_write(f, "/nowhere/x.png", err, sizeof(err)));
	assert_string_equal(err, "cannot write the screenshot /nowhere/x.png: No such file or directory");
	assert_false(screenshot_write(f, "/dev/full", err, sizeof(err)));
	assert_non_null(strstr(err, "/dev/full"));
#else
	assert_false(screenshot_write(f, path, err, sizeof(err)));
	(void)head;
#endif
	unlink(path);
}

static void test_screen_text(void **state)
{
	struct display_frame *f = calloc(1, sizeof(*f));
	char text[SCREEN_TEXT_MAX];
	assert_int_equal(screen_text(f, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	f->text = true;
	f->cols = 8;
	f->rows = 4;
	memcpy((u8 *)f->cells, "C\7:\7\\\7\0\7 \7 \7 \7 \7", 16);
	f->cells[16].ch = 0xc9;
	f->cells[17].ch = 0x82;
	f->cells[18].ch = 0x01;
	f->cells[20].ch = 0x7f;
	f->cells[22].ch = 0xff;
	screen_text(f, text, sizeof(text));
	assert_string_equal(text, "C:\\\n\n\u2554\u00e9\u263a \u2302\n");
	assert_int_equal(screen_text(f, text, 7), 5);	/* whole characters only */
	assert_string_equal(text, "C:\\\n\n");
	assert_int_equal(screen_text(f, text, 1), 0);
	assert_int_equal(screen_text(f, text, 0), 0);
	f->blank = true;
	assert_int_equal(screen_text(f, text, sizeof(text)), 0);
	f->blank = false;
	f->cols = DISPLAY_MAX_COLS;
	f->rows = DISPLAY_MAX_ROWS;
	memset(f->cells, 0xb0, sizeof(f->cells));
	assert_int_equal(screen_text(f, text, sizeof(text)), SCREEN_TEXT_MAX - 1);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nobody_watches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sequence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_png, setup, teardown),
		cmocka_unit_test(test_screen_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
