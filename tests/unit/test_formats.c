/*
 * test_formats.c - VDI, VHD, VMDK and Bochs images: made and written by us and by qemu-img, in both directions.
 *
 * Random requests go to an image and to an array; then we read it all back, and qemu-img, which knows nothing of us, compares and checks.
 */
/* objs: all */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "images/bytes.h"
#include "images/image.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1ull << 20)

struct box { char dir[40], image[80], raw[80], err[400]; u64 rng; bool qemu; };

static const struct variant {
	const char *format, *qemu, *options;
	bool qemu_makes, qemu_checks;
	u64 size;
} variants[] = {
	{ "vdi", "vdi", NULL, true, true, 5 * MIB + 512 * 3 },
	{ "vdi", "vdi", "static=on", true, true, 3 * MIB },
	{ "vhd", "vpc", "subformat=dynamic", true, false, 9 * MIB + 512 },
	{ "vhd", "vpc", "subformat=fixed", true, false, 3 * MIB + 1024 },
	{ "vmdk", "vmdk", "subformat=monolithicSparse", true, true, 70 * MIB + 512 * 5 },
	{ "vmdk", "vmdk", "subformat=monolithicSparse,zeroed_grain=on", true, true, 3 * MIB },
	{ "vmdk", "vmdk", "subformat=monolithicFlat", true, false, 2 * MIB + 512 },
	{ "vmdk", "vmdk", "subformat=twoGbMaxExtentSparse", true, true, 2 * MIB },
	{ "vmdk", "vmdk", "subformat=twoGbMaxExtentFlat", true, false, 2 * MIB },
	{ "bochs", "bochs", NULL, false, false, 7 * MIB + 512 },
};

static u64 rnd(struct box *b, u64 below)
{
	b->rng ^= b->rng << 13;
	b->rng ^= b->rng >> 7;
	b->rng ^= b->rng << 17;
	return b->rng % below;
}

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	strcpy(b->dir, "/tmp/test_formatsXXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	snprintf(b->image, sizeof(b->image), "%s/disk.img", b->dir);
	snprintf(b->raw, sizeof(b->raw), "%s/raw", b->dir);
	b->rng = 0x9e3779b97f4a7c15;
	b->qemu = !system("qemu-img --version >/dev/null 2>&1");
	*state = b;
	return 0;
}

static void empty(struct box *b)
{
	DIR *d = opendir(b->dir);
	for (struct dirent *e; (e = readdir(d));) {
		char path[400];
		snprintf(path, sizeof(path), "%s/%s", b->dir, e->d_name);
		if (e->d_name[0] != '.')
			unlink(path);
	}
	closedir(d);
}

static int teardown(void **state)
{
	struct box *b = *state;
	empty(b);
	rmdir(b->dir);
	free(b);
	return 0;
}

/* Runs a command; its output is shown if it fails. */
static void sh(struct box *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void sh(struct box *b, const char *fmt, ...)
{
	char command[1000], whole[1200];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "(%s) >%s/out 2>&1 || { cat %s/out >&2; false; }", command, b->dir, b->dir);
	if (system(whole))
		fail_msg("fails: %s", command);
}

static struct image *open_it(struct box *b, const char *path, const struct image_options *opt)
{
	struct image *im = image_open(path, opt, b->err, sizeof(b->err));
	if (!im)
		fail_msg("%s", b->err);
	return im;
}

static void create(struct box *b, const struct variant *v)
{
	struct image_create how = { .format = v->format, .size = v->size, .options = v->options };
	if (!image_create(b->image, &how, b->err, sizeof(b->err)))
		fail_msg("%s", b->err);
}

/* One request to both. */
static void request(struct box *b, struct image *im, u8 *model, u64 size, u8 *buf)
{
	u64 len = rnd(b, 8) ? 1 + rnd(b, 40) : 1 + rnd(b, 3000), at;
	len *= 512;
	len = len < size ? len : size;
	at = rnd(b, (size - len) / 512 + 1) * 512;
	switch (rnd(b, 10)) {
	case 0: case 1: case 2: case 3: case 4:
		for (u64 i = 0; i < len; i += 8)
			put_le64(buf + i, b->rng * (i + 1));
		assert_int_equal(image_write(im, at, buf, len), 0);
		memcpy(model + at, buf, len);
		break;
	case 5: case 6: case 7:
		assert_int_equal(image_read(im, at, buf, len), 0);
		assert_memory_equal(buf, model + at, len);
		break;
	case 8:
		assert_int_equal(image_write_zeroes(im, at, len), 0);
		memset(model + at, 0, len);
		break;
	case 9:
		if (rnd(b, 2))
			assert_int_equal(image_flush(im), 0);
		else
			assert_int_equal(image_discard(im, at, len), 0);
		assert_int_equal(image_read(im, at, model + at, len), 0);
		break;
	}
}

static void all_equal(struct box *b, const u8 *model, u64 size, const struct image_options *opt)
{
	u8 *buf = malloc(size);
	struct image *im = open_it(b, b->image, opt);
	assert_true(image_size(im) >= size);
	assert_int_equal(image_read(im, 0, buf, size), 0);
	assert_memory_equal(buf, model, size);
	image_close(im);
	free(buf);
}

static void save(const struct box *b, const u8 *model, u64 size)
{
	int fd = open(b->raw, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, model, size), (ssize_t)size);
	close(fd);
}

/* Opened anew several times; `found`: the format is not told. */
static void work_on(struct box *b, const struct variant *v, bool found)
{
	struct image_options opt = { .format = found ? NULL : v->format };
	struct image *im = open_it(b, b->image, &opt);
	u64 size = image_size(im);
	assert_string_equal(image_format_of(im), v->format);
	u8 *model = calloc(1, size), *buf = malloc(size);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 60; i++)
			request(b, im, model, size, buf);
		image_close(im);
		all_equal(b, model, size, &opt);
		save(b, model, size);
		if (b->qemu)
			sh(b, "qemu-img compare -f raw -F %s %s %s", v->qemu, b->raw, b->image);
		if (b->qemu && v->qemu_checks)
			sh(b, "qemu-img check -f %s %s", v->qemu, b->image);
		im = open_it(b, b->image, &opt);
		struct image_check c = { 0 };
		int error = image_check(im, &c);
		assert_true(!error || error == ENOTSUP);
		assert_true(!c.corruptions && !c.errors && !c.leaks);
	}
	image_close(im);
	free(model);
	free(buf);
	empty(b);
}

static void test_ours(void **state)
{
	struct box *b = *state;
	for (u32 i = 0; i < ARRAY_SIZE(variants); i++) {
		create(b, &variants[i]);
		work_on(b, &variants[i], i % 2);
	}
}

static void test_qemus(void **state)
{
	struct box *b = *state;
	if (!b->qemu) {
		print_message("qemu-img is missing\n");
		skip();
	}
	for (u32 i = 0; i < ARRAY_SIZE(variants); i++) {
		const struct variant *v = &variants[i];
		if (!v->qemu_makes)
			continue;
		sh(b, "qemu-img create -f %s %s%s %s %llu", v->qemu, v->options ? "-o " : "", v->options ? v->options : "", b->image,
			(unsigned long long)v->size);
		work_on(b, v, i % 2 == 0);
	}
}

/* Images that qemu-img filled. */
static void test_convert(void **state)
{
	struct box *b = *state;
	u64 size = 5 * MIB + 512;
	if (!b->qemu) {
		print_message("qemu-img is missing\n");
		skip();
	}
	u8 *model = calloc(1, size);
	for (u64 i = 0; i < size; i += 8)
		if (i >> 16 & 3)
			put_le64(model + i, (i >> 4 & 0xff) * 0x0101);
	save(b, model, size);
	static const struct variant stream = { "vmdk", "vmdk", "subformat=streamOptimized", true, false, 0 };
	for (u32 i = 0; i <= ARRAY_SIZE(variants); i++) {
		const struct variant *v = i < ARRAY_SIZE(variants) ? &variants[i] : &stream;
		if (!v->qemu_makes)
			continue;
		sh(b, "rm -f %s/disk*; qemu-img convert -f raw -O %s %s%s %s %s", b->dir, v->qemu, v->options ? "-o " : "",
			v->options ? v->options : "", b->raw, b->image);
		all_equal(b, model, size, &(struct image_options){ .readonly = true });
	}
	struct image_check c = { 0 };
	struct image *im = open_it(b, b->image, &(struct image_options){ .readonly = true });
	assert_int_equal(image_check(im, &c), 0);
	assert_true(c.compressed_clusters > 30 && !c.corruptions);
	image_close(im);
	assert_null(image_open(b->image, &(struct image_options){ 0 }, b->err, sizeof(b->err)));
	assert_non_null(strstr(b->err, "stream-optimized"));
	free(model);
}

static void poke(const struct box *b, u64 at, const void *bytes, size_t n)
{
	int fd = open(b->image, O_RDWR);
	assert_int_equal(pwrite(fd, bytes, n, (off_t)at), (ssize_t)n);
	close(fd);
}

/* One byte pattern wrong in a good image: refused for writing with these words; for reading EIO, or refused too. */
static const struct damage { u32 variant; u64 at; const char *bytes; u32 n; const char *says; } damages[] = {
	{ 0, 0x44, "\0\0\2", 3, "version 2.0" },
	{ 0, 0x4c, "\4", 1, "differencing" },
	{ 0, 0x178, "\1\2\3", 3, "block size" },
	{ 0, 0x180, "\xff\xff\xff\xff", 4, "number of blocks" },
	{ 0, 0x170, "\0\0\0\0\1", 5, "hold a disk" },
	{ 0, 512, "\0\0\0\0\0\0\0\0", 8, "damaged" },		/* two blocks at one place */
	{ 0, 512, "\xf0\0\0\0", 4, "damaged" },
	{ 4, 4, "\4", 1, "version 4" },
	{ 4, 8, "\x0b", 1, "unknown features 0x8" },
	{ 4, 20, "\3", 1, "grain size" },
	{ 4, 512 + 30, "9", 1, "version" },
	{ 4, 21 * 512, "\xff\xff\xff\x7f", 4, "not in the file" },
	{ 4, 22 * 512, "\x15\0\0\0", 4, NULL },		/* the redundant copy does not count */
	{ 4, 35 * 512, "\x22\0\0\0", 4, "damaged" },		/* a grain on the grain directory */
	{ 4, 35 * 512, "\x16\0\0\0", 4, "damaged" },		/* a grain on a grain table */
	{ 4, 35 * 512, "\0\0\0\x70", 4, "damaged" },
	{ 9, 64, "\7", 1, "unknown version" },
	{ 9, 48, "Undoable", 8, "Undoable" },
	{ 9, 80, "\1", 1, "impossible extents" },
	{ 9, 512, "\0\0\0\0\0\0\0\0", 8, "damaged" },
};

static void test_damage(void **state)
{
	struct box *b = *state;
	static u8 sector[512];
	for (u32 i = 0; i < ARRAY_SIZE(damages); i++) {
		const struct damage *d = &damages[i];
		create(b, &variants[d->variant]);
		struct image *im = open_it(b, b->image, &(struct image_options){ 0 });
		assert_int_equal(image_write(im, 0, sector, sizeof(sector)), 0);
		image_close(im);
		poke(b, d->at, d->bytes, d->n);
		im = image_open(b->image, &(struct image_options){ 0 }, b->err, sizeof(b->err));
		if (!d->says ? !im : im || !strstr(b->err, d->says))
			fail_msg("damage %u: %s", i, im ? "accepted" : b->err);
		image_close(im);
		im = image_open(b->image, &(struct image_options){ .readonly = true }, b->err, sizeof(b->err));
		if (im && d->says)
			assert_true(image_read(im, 0, sector, sizeof(sector)) == EIO || image_read(im, MIB, sector, sizeof(sector)) == EIO ||
				image_read(im, 2 * MIB, sector, sizeof(sector)) == EIO);
		image_close(im);
		empty(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ours, setup, teardown), cmocka_unit_test_setup_teardown(test_qemus, setup, teardown),
		cmocka_unit_test_setup_teardown(test_convert, setup, teardown), cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
