/*
 * test_image.c - raw images: bounds, odd lengths, locks, refusals; and what sniff.c takes files for.
 */
/* objs: images/all monitor/lib/all */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "images/image.h"
#include "images/sniff.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch { char dir[32], file[64], err[200]; };

static int setup(void **state)
{
	struct scratch *t = calloc(1, sizeof(*t));
	strcpy(t->dir, "/tmp/test_imageXXXXXX");
	if (!mkdtemp(t->dir))
		return -1;
	snprintf(t->file, sizeof(t->file), "%s/disk", t->dir);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct scratch *t = *state;
	unlink(t->file);
	rmdir(t->dir);
	free(t);
	return 0;
}

/* A file of `size` bytes, sparse, with these bytes at `at`. */
static void make(const char *path, u64 size, u64 at, const void *bytes, size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (n)
		assert_int_equal(pwrite(fd, bytes, n, (off_t)at), (ssize_t)n);
	close(fd);
}

static void put(const char *path, u64 at, const void *bytes, size_t n)
{
	int fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, bytes, n, (off_t)at), (ssize_t)n);
	close(fd);
}

static const struct image_options rw = { 0 }, ro = { .readonly = true };

static void test_raw(void **state)
{
	struct scratch *t = *state;
	u8 buf[1024];
	make(t->file, 1000, 990, "0123456789", 10);
	struct image *im = image_open(t->file, &rw, t->err, sizeof(t->err));
	assert_non_null(im);
	assert_true(image_size(im) == 1024);
	assert_string_equal(image_path(im), t->file);
	assert_false(image_readonly(im));
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(image_read(im, 512, buf, 512), 0);
	assert_memory_equal(buf + 478, "0123456789\0\0", 12);
	assert_int_equal(buf[511], 0);
	assert_int_equal(image_read(im, 512, buf, 513), EINVAL);
	assert_int_equal(image_read(im, ~0ull, buf, 1), EINVAL);
	assert_int_equal(image_read(im, 1, buf, ~0ull), EINVAL);
	assert_int_equal(image_write(im, 1024, buf, 1), EINVAL);
	assert_int_equal(image_write(im, 512, "tail", 4), 0);
	assert_int_equal(image_write(im, 1020, "last", 4), 0);
	assert_int_equal(image_flush(im), 0);
	assert_int_equal(image_read(im, 0, buf, 1024), 0);
	assert_memory_equal(buf + 512, "tail", 4);
	assert_memory_equal(buf + 1020, "last", 4);
	assert_int_equal(image_discard(im, 512, 512), 0);
	assert_int_equal(image_discard(im, 512, 1024), EINVAL);
	assert_int_equal(truncate(t->file, 100), 0);
	assert_int_equal(image_read(im, 0, buf, 512), EIO);
	image_close(im);
}

static void test_locks(void **state)
{
	struct scratch *t = *state;
	char want[100];
	make(t->file, 4096, 0, NULL, 0);
	struct image *a = image_open(t->file, &ro, t->err, sizeof(t->err));
	struct image *b = image_open(t->file, &ro, t->err, sizeof(t->err));
	assert_non_null(a);
	assert_non_null(b);
	assert_null(image_open(t->file, &rw, t->err, sizeof(t->err)));
	snprintf(want, sizeof(want), "%s: in use by another machine", t->file);
	assert_string_equal(t->err, want);
	assert_int_equal(image_write(a, 0, "x", 1), EROFS);
	assert_int_equal(image_discard(a, 0, 512), EROFS);
	assert_int_equal(image_flush(a), 0);
	image_close(a);
	image_close(b);
	a = image_open(t->file, &rw, t->err, sizeof(t->err));
	assert_non_null(a);
	assert_null(image_open(t->file, &ro, t->err, sizeof(t->err)));
	image_close(a);
}

static void refused(struct scratch *t, const char *path, const struct image_options *opt, const char *says)
{
	t->err[0] = 0;
	assert_null(image_open(path, opt, t->err, sizeof(t->err)));
	if (strncmp(t->err, path, strlen(path)) || !strstr(t->err, says) || strchr(t->err, '\n'))
		fail_msg("%s: expected '%s', got: %s", path, says, t->err);
}

static void test_refusals(void **state)
{
	struct scratch *t = *state;
	refused(t, t->file, &rw, "cannot be opened");
	refused(t, t->dir, &rw, "is a directory");
	refused(t, t->dir, &ro, "is a directory");
	refused(t, "/dev/null", &rw, "neither a file nor a block device");
	assert_int_equal(mkfifo(t->file, 0600), 0);
	refused(t, t->file, &ro, "neither a file nor a block device");
	assert_int_equal(unlink(t->file), 0);
	make(t->file, 0, 0, NULL, 0);
	refused(t, t->file, &rw, "is empty");
	make(t->file, 4096, 0, "QFI\xfb", 4);
	refused(t, t->file, &rw, "qcow");
	refused(t, t->file, &(struct image_options){ .format = "qcow9" }, "there is no image format 'qcow9'");
	struct image *im = image_open(t->file, &(struct image_options){ .format = "raw" }, t->err, sizeof(t->err));
	assert_non_null(im);
	image_close(im);
	if (geteuid()) {
		assert_int_equal(chmod(t->file, 0400), 0);
		refused(t, t->file, &(struct image_options){ .format = "raw" }, "readonly");
	}
}

static void is(struct scratch *t, enum image_kind kind, bool bootable, bool hybrid)
{
	struct image_look look;
	assert_string_equal(image_kind_name(image_sniff(t->file, &look, t->err, sizeof(t->err))), image_kind_name(kind));
	assert_int_equal(look.bootable, bootable);
	assert_int_equal(look.hybrid, hybrid);
}

static void test_sniff(void **state)
{
	struct scratch *t = *state;
	static const u8 signature[2] = { 0x55, 0xaa };
	static const u8 entry[16] = { 0x80, 1, 1, 0, 0x83, 254, 255, 255, 63, 0, 0, 0, 0, 16, 0, 0 };
	static const u8 multiboot[12] = { 0x02, 0xb0, 0xad, 0x1b, 0, 0, 0, 0, 0xfe, 0x4f, 0x52, 0xe4 };

	make(t->file, 1440 * 1024, 0, NULL, 0);
	is(t, IMAGE_FLOPPY, false, false);
	make(t->file, 160 * 1024, 510, signature, 2);
	is(t, IMAGE_FLOPPY, true, false);
	make(t->file, 1234 * 512, 510, signature, 2);		/* an odd size, with a boot sector */
	is(t, IMAGE_FLOPPY, true, false);
	put(t->file, 4096, multiboot, 12);			/* GRUB's core image has this */
	is(t, IMAGE_FLOPPY, true, false);
	put(t->file, 446, entry, 16);
	is(t, IMAGE_DISK, true, false);
	make(t->file, 8 << 20, 510, signature, 2);
	is(t, IMAGE_DISK, true, false);
	put(t->file, 0x202, "HdrS", 4);
	is(t, IMAGE_LINUX, false, false);
	make(t->file, 8 << 20, 0, NULL, 0);
	is(t, IMAGE_DISK, false, false);
	make(t->file, 100 << 10, 512, "EFI PART", 8);
	is(t, IMAGE_DISK, false, false);
	make(t->file, 100 << 10, 8180, multiboot, 12);
	is(t, IMAGE_MULTIBOOT, false, false);
	make(t->file, 100 << 10, 8184, multiboot, 12);
	is(t, IMAGE_UNKNOWN, false, false);
	make(t->file, 20000, 0, "\x7f" "ELF", 4);
	is(t, IMAGE_UNKNOWN, false, false);
	put(t->file, 64, multiboot, 12);
	is(t, IMAGE_MULTIBOOT, false, false);
	make(t->file, 4096, 0, "#!/bin/sh", 9);
	is(t, IMAGE_UNKNOWN, false, false);

	make(t->file, 1 << 20, 0x8000, "\1CD001\1", 7);
	put(t->file, 0x8800, "\377CD001\1", 7);
	is(t, IMAGE_CDROM, false, false);
	put(t->file, 0x8800, "\0CD001\1EL TORITO SPECIFICATION", 30);
	is(t, IMAGE_CDROM, true, false);
	put(t->file, 510, signature, 2);
	put(t->file, 446, entry, 16);
	is(t, IMAGE_CDROM, true, true);

	make(t->file, 0, 0, NULL, 0);
	assert_int_equal(image_sniff(t->file, NULL, t->err, sizeof(t->err)), IMAGE_ERROR);
	assert_non_null(strstr(t->err, "is empty"));
	assert_int_equal(image_sniff(t->dir, NULL, t->err, sizeof(t->err)), IMAGE_ERROR);
	assert_int_equal(image_sniff("/nowhere", NULL, t->err, sizeof(t->err)), IMAGE_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_raw, setup, teardown), cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown), cmocka_unit_test_setup_teardown(test_sniff, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
