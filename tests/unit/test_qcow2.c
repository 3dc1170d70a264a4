/*
 * test_qcow2.c - qcow2 images of every geometry, made by us and by qemu-img, under random operations; refusals; chains; snapshots;
 * sizes; repair. Judges: an array in memory, qemu-img check and qemu-img compare.
 */
/* objs: images/all monitor/lib/all tests/unit/disk_model.o */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "images/bytes.h"
#include "images/image.h"
#include "tests/unit/disk_model.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch { char dir[64], disk[100], base[100], err[300], out[8000]; };

static int setup(void **state)
{
	struct scratch *t = calloc(1, sizeof(*t));
	strcpy(t->dir, "/tmp/test_qcow2XXXXXX");
	if (!mkdtemp(t->dir))
		return -1;
	snprintf(t->disk, sizeof(t->disk), "%s/disk.qcow2", t->dir);
	snprintf(t->base, sizeof(t->base), "%s/base", t->dir);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct scratch *t = *state;
	char out[100];
	disk_model_command(out, sizeof(out), "rm -rf %s", t->dir);
	free(t);
	return 0;
}

static struct image *open_disk(struct scratch *t, const struct image_options *opt)
{
	struct image *im = image_open(t->disk, opt, t->err, sizeof(t->err));
	if (!im)
		fail_msg("%s", t->err);
	return im;
}

static void qemu_img(struct scratch *t, const char *args)
{
	if (disk_model_command(t->out, sizeof(t->out), "cd %s && qemu-img %s", t->dir, args))
		fail_msg("qemu-img %s: %s", args, t->out);
}

static void make_base(struct scratch *t, u64 size)
{
	u8 *data = malloc(size);
	for (u64 i = 0; i < size; i++)
		data[i] = (u8)(i * 13 + i / 512);
	FILE *f = fopen(t->base, "w");
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
	free(data);
}

#define NEED_QEMU() do { if (!disk_model_have_qemu()) { print_message("qemu-img is missing\n"); skip(); } } while (0)

static void exercise(struct scratch *t, u32 rounds, u32 ops, u64 seed)
{
	struct disk_model m;
	struct image *im = open_disk(t, &(struct image_options){ 0 });
	disk_model_init(&m, im, seed);
	for (u32 i = 0; i < rounds; i++) {
		disk_model_run(&m, ops);
		image_close(im);
		disk_model_judge(&m, t->disk, "qcow2", false);
		m.im = im = open_disk(t, &(struct image_options){ 0 });
		disk_model_compare(&m);
		struct image_check c = { 0 };
		assert_int_equal(image_check(im, &c), 0);
		assert_int_equal(c.corruptions | c.leaks | c.errors, 0);
	}
	image_close(im);
	disk_model_fini(&m);
}

static void test_geometries(void **state)
{
	struct scratch *t = *state;
	u64 seed = 1;
	NEED_QEMU();
	for (u32 bits = 9; bits <= 21; bits++)
		for (u32 order = 0; order <= 6; order++) {
			bool v2 = order == 4 && bits & 1, backing = (bits + order) % 3 == 0, ours = (bits + order) & 1;
			u64 size = bits > 18 ? 24u << 20 : bits > 14 ? 6u << 20 : 3u << 20;
			char options[200], line[400];
			if (!getenv("RINGFENCE_LONG") && (bits * 7 + order) % 3 && bits != 16)
				continue;
			if (bits > 16 && order % 3)
				continue;
			make_base(t, size - 700 * 512);
			snprintf(options, sizeof(options), "compat=%s,cluster_size=%u%s", v2 ? "0.10" : "1.1", 1u << bits, v2 ? "" : ",refcount_bits=");
			if (!v2)
				sprintf(options + strlen(options), "%u", 1u << order);
			unlink(t->disk);
			if (ours) {
				struct image_create how = { .format = "qcow2", .size = size, .backing = backing ? "base" : NULL,
							    .backing_format = "raw", .options = options };
				if (!image_create(t->disk, &how, t->err, sizeof(t->err)))
					fail_msg("%s", t->err);
			} else {
				snprintf(line, sizeof(line), "create -q -f qcow2 -o %s %s disk.qcow2 %llu", options, backing ? "-b base -F raw" : "",
					 (unsigned long long)size);
				qemu_img(t, line);
			}
			exercise(t, 2, bits > 18 ? 60 : 150, seed++);
		}
}

/* --- what is refused --- */

static void refused(struct scratch *t, const struct image_options *opt, const char *says)
{
	t->err[0] = 0;
	struct image *im = image_open(t->disk, opt, t->err, sizeof(t->err));
	if (im || strncmp(t->err, t->dir, strlen(t->dir)) || !strstr(t->err, says) || strchr(t->err, '\n'))
		fail_msg("expected '%s', got: %s", says, im ? "an open image" : t->err);
}

static void patch(struct scratch *t, u64 at, u32 width, u64 value)
{
	u8 b[8];
	int fd = open(t->disk, O_RDWR);
	put_be64(b, value << (64 - width * 8));
	assert_int_equal(pwrite(fd, b, width, (off_t)at), width);
	close(fd);
}

static void test_refusals(void **state)
{
	struct scratch *t = *state;
	const struct image_options rw = { 0 }, ro = { .readonly = true };
	NEED_QEMU();
	static const struct { u64 at; u32 width; u64 value; const char *says; } bad[] = {
		{ 4, 4, 4, "version 4" }, { 20, 4, 8, "cluster size" }, { 20, 4, 22, "cluster size" }, { 32, 4, 1, "AES" }, { 32, 4, 2, "LUKS" },
		{ 72, 8, 4, "external data file" }, { 72, 8, 16, "extended L2" }, { 72, 8, 1ull << 40, "incompatible bit 40" },
		{ 72, 8, 2, "marked corrupt" }, { 96, 4, 7, "reference counts" }, { 100, 4, 90, "length" }, { 24, 8, 0, "size of nothing" },
		{ 24, 8, 1ull << 60, "128 PiB" }, { 36, 4, 0, "too small" }, { 40, 8, 0x10001, "L1 table" }, { 40, 8, 1ull << 50, "L1 table" },
		{ 48, 8, 1ull << 50, "refcount table" }, { 56, 4, 0, "refcount table" }, { 60, 4, 70000, "snapshots" },
	};
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		qemu_img(t, "create -q -f qcow2 disk.qcow2 20M");
		patch(t, bad[i].at, bad[i].width, bad[i].value);
		refused(t, &(struct image_options){ .format = "qcow2" }, bad[i].says);
	}
	qemu_img(t, "create -q -f qcow2 disk.qcow2 20M");
	patch(t, 72, 8, 2);
	image_close(open_disk(t, &ro));
	qemu_img(t, "create -q -f qcow2 -o compression_type=zstd disk.qcow2 20M");
	refused(t, &rw, "zstd");
	qemu_img(t, "create -q -f qcow2 -o data_file=data disk.qcow2 20M");
	refused(t, &rw, "external data file");
	qemu_img(t, "create -q -f qcow2 -o extended_l2=on disk.qcow2 20M");
	refused(t, &rw, "extended L2");
	qemu_img(t, "create -q -f qcow2 disk.qcow2 20M");
	refused(t, &(struct image_options){ .readonly = true, .snapshot = "none" }, "no snapshot 'none'");
}

/* --- chains --- */

static void test_chains(void **state)
{
	struct scratch *t = *state;
	const struct image_options rw = { 0 };
	char path[200];
	u8 buf[512];
	NEED_QEMU();
	make_base(t, 1 << 20);
	qemu_img(t, "create -q -f qcow2 -b base -F raw one 2M");
	qemu_img(t, "create -q -f qcow2 -b one -F qcow2 disk.qcow2 3M");
	struct image *im = open_disk(t, &rw);
	assert_int_equal(image_read(im, 512, buf, 512), 0);
	assert_int_equal(buf[3], (u8)(515 * 13 + 1));
	struct image_extent e;
	assert_int_equal(image_map(im, 0, 3 << 20, &e), 0);
	assert_int_equal(e.depth, 2);
	assert_int_equal(e.kind, IMAGE_DATA);
	assert_int_equal(image_map(im, 1 << 20, 1 << 20, &e), 0);
	assert_int_equal(e.kind, IMAGE_HOLE);
	/* The layers below cannot be written meanwhile. */
	snprintf(path, sizeof(path), "%s/one", t->dir);
	assert_null(image_open(path, &rw, t->err, sizeof(t->err)));
	image_close(im);
	/* Of elsewhere. */
	qemu_img(t, "rebase -u -b /etc/passwd -F raw disk.qcow2");
	refused(t, &rw, "outside its folder");
	image_close(open_disk(t, &(struct image_options){ .allow_backing = true }));
	image_close(open_disk(t, &(struct image_options){ .no_backing = true }));
	qemu_img(t, "rebase -u -b sub/../../x -F raw disk.qcow2");
	refused(t, &rw, "outside its folder");
	/* The format is never guessed. */
	qemu_img(t, "create -q -f qcow2 disk.qcow2 1M");
	im = open_disk(t, &rw);
	assert_true(image_set_backing(im, "base", "raw", t->err, sizeof(t->err)));
	assert_false(image_set_backing(im, "base", NULL, t->err, sizeof(t->err)));
	image_close(im);
	im = open_disk(t, &rw);
	assert_string_equal(image_backing_name(im), "base");
	assert_string_equal(image_backing_format(im), "raw");
	assert_int_equal(image_read(im, 512, buf, 512), 0);
	assert_int_equal(buf[0], (u8)(512 * 13 + 1));
	/* A long name does not fit in the first sector. */
	char name[600];
	memset(name, 'n', sizeof(name));
	name[599] = 0;
	assert_true(image_set_backing(im, name, "qcow2", t->err, sizeof(t->err)));
	assert_true(image_set_backing(im, name + 1, "qcow2", t->err, sizeof(t->err)));
	image_close(im);
	assert_null(image_open(t->disk, &rw, t->err, sizeof(t->err)));
	im = open_disk(t, &(struct image_options){ .no_backing = true });
	assert_string_equal(image_backing_name(im), name + 1);
	assert_true(image_set_backing(im, NULL, NULL, t->err, sizeof(t->err)));
	image_close(im);
	im = open_disk(t, &rw);
	assert_null(image_backing_name(im));
	image_close(im);
	qemu_img(t, "check disk.qcow2");
	qemu_img(t, "rebase -u -b disk.qcow2 -F qcow2 disk.qcow2");
	refused(t, &rw, "its own backing file");
}

/* An overlay in memory, on an image that the caller has open. */
static void test_memory(void **state)
{
	struct scratch *t = *state;
	u8 out[1000], in[1000];
	struct image_create how = { .format = "qcow2", .size = 8 << 20, .backing = "unused", .backing_format = "qcow2", .unchecked = true };
	assert_true(image_create(t->disk, &(struct image_create){ .format = "qcow2", .size = 8 << 20 }, t->err, sizeof(t->err)));
	assert_false(image_create(t->disk, &(struct image_create){ .format = "qcow2", .size = 8 << 20 }, t->err, sizeof(t->err)));
	struct image *base = open_disk(t, &(struct image_options){ 0 });
	memset(out, 7, sizeof(out));
	assert_int_equal(image_write(base, 100, out, sizeof(out)), 0);
	assert_true(image_freeze(base, t->err, sizeof(t->err)));
	assert_int_not_equal(image_write(base, 0, out, 1), 0);
	int fd = memfd_create("overlay", MFD_CLOEXEC);
	assert_true(image_create_fd(fd, "memory", &how, t->err, sizeof(t->err)));
	struct image *im = image_open_fd(fd, "memory", &(struct image_options){ .backing_image = base }, t->err, sizeof(t->err));
	if (!im)
		fail_msg("%s", t->err);
	assert_int_equal(image_write(im, 600, "overlay", 7), 0);
	assert_int_equal(image_read(im, 100, in, sizeof(in)), 0);
	memcpy(out + 500, "overlay", 7);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(image_flush(im), 0);
	image_close(im);
	struct image *again = open_disk(t, &(struct image_options){ .readonly = true });
	assert_int_equal(image_read(again, 600, in, 7), 0);
	assert_int_equal(in[0], 7);
	image_close(again);
}

/* --- internal snapshots --- */

static void count_one(void *arg, const struct image_snapshot *s) { ++*(int *)arg; }

static void test_snapshots(void **state)
{
	struct scratch *t = *state;
	u8 buf[16];
	int n = 0;
	NEED_QEMU();
	if (disk_model_command(t->out, sizeof(t->out), "cd %s && qemu-img create -q -f qcow2 disk.qcow2 4M && "
			       "qemu-io -c 'write -P 1 0 1M' disk.qcow2 && qemu-img snapshot -c first disk.qcow2 && "
			       "qemu-io -c 'write -P 2 0 300k' disk.qcow2 && qemu-img snapshot -c second disk.qcow2", t->dir))
		fail_msg("%s", t->out);
	exercise(t, 2, 150, 99);
	struct image *im = open_disk(t, &(struct image_options){ .readonly = true });
	assert_int_equal(image_snapshots(im, count_one, &n), 0);
	assert_int_equal(n, 2);
	image_close(im);
	im = open_disk(t, &(struct image_options){ .readonly = true, .snapshot = "first" });
	assert_int_equal(image_read(im, 1000, buf, 16), 0);
	assert_int_equal(buf[0], 1);
	image_close(im);
	im = open_disk(t, &(struct image_options){ .readonly = true, .snapshot = "2" });
	assert_int_equal(image_read(im, 1000, buf, 16), 0);
	assert_int_equal(buf[0], 2);
	assert_int_equal(image_read(im, 1000000, buf, 16), 0);
	assert_int_equal(buf[0], 1);
	image_close(im);
	qemu_img(t, "snapshot -a first disk.qcow2");
	qemu_img(t, "check disk.qcow2");
}

/* --- sizes, growth, repair --- */

static void test_resize(void **state)
{
	struct scratch *t = *state;
	NEED_QEMU();
	make_base(t, 4 << 20);
	static const char *const options[] = { "cluster_size=512", "cluster_size=64k", "cluster_size=512,refcount_bits=64" };
	for (u32 i = 0; i < ARRAY_SIZE(options); i++) {
		struct image_create how = { .format = "qcow2", .size = 1 << 20, .backing = "base", .backing_format = "raw", .options = options[i],
					    .replace = true };
		struct disk_model m;
		assert_true(image_create(t->disk, &how, t->err, sizeof(t->err)));
		struct image *im = open_disk(t, &(struct image_options){ 0 });
		disk_model_init(&m, im, i + 5);
		static const u64 sizes[] = { 3 << 20, (5 << 20) + 512, 2 << 20, 512 * 77, 6 << 20, 40 << 20 };
		for (u32 k = 0; k < ARRAY_SIZE(sizes); k++) {
			disk_model_run(&m, 40);
			if (!image_resize(im, sizes[k], t->err, sizeof(t->err)))
				fail_msg("%s", t->err);
			m.bytes = realloc(m.bytes, sizes[k]);
			if (sizes[k] > m.size)		/* what grows reads as zeroes, not as the backing file */
				memset(m.bytes + m.size, 0, sizes[k] - m.size);
			m.size = sizes[k];
			disk_model_compare(&m);
			if (k == 4)
				continue;
			image_close(im);
			disk_model_judge(&m, t->disk, "qcow2", false);
			m.im = im = open_disk(t, &(struct image_options){ 0 });
			disk_model_compare(&m);
		}
		image_close(im);
		disk_model_fini(&m);
	}
}

/* However a guest writes and discards, the file holds what is there and the tables for it. */
static void test_growth(void **state)
{
	struct scratch *t = *state;
	static u8 buf[65536];
	u64 held, length;
	struct image_create how = { .format = "qcow2", .size = 1ull << 40 };
	assert_true(image_create(t->disk, &how, t->err, sizeof(t->err)));
	struct image *im = open_disk(t, &(struct image_options){ 0 });
	memset(buf, 1, sizeof(buf));
	for (u32 i = 0; i < 400; i++) {
		assert_int_equal(image_write(im, i * 37ull % 16 * 65536 + 512, buf, 4096), 0);
		assert_int_equal(image_discard(im, 0, 16 * 65536), 0);
		if (i % 16 == 15)
			assert_int_equal(image_flush(im), 0);
	}
	assert_true(image_disk_usage(im, &held, &length));
	assert_true(length <= 64 * 65536);
	for (u32 i = 0; i < 3000; i++) {
		assert_int_equal(image_write(im, 0, buf, sizeof(buf)), 0);
		assert_int_equal(image_discard(im, 0, sizeof(buf)), 0);
	}
	assert_true(image_disk_usage(im, &held, &length));
	assert_true(length <= (64ull << 20) + 64 * 65536);
	for (u32 i = 0; i < 1000; i++)
		assert_int_equal(image_write(im, 12345 * 512, buf, 512), 0);
	u64 before = length;
	assert_true(image_disk_usage(im, &held, &length));
	assert_true(length <= before + 2 * 65536);
	image_close(im);
}

static void test_repair(void **state)
{
	struct scratch *t = *state;
	struct image_check c = { 0 }, fix = { .repair_leaks = true, .repair_all = true };
	NEED_QEMU();
	if (disk_model_command(t->out, sizeof(t->out), "cd %s && qemu-img create -q -f qcow2 -o lazy_refcounts=on disk.qcow2 64M && "
			       "qemu-io -c 'write -P 5 0 3M' -c 'write -P 6 40M 1M' -c abort disk.qcow2; true", t->dir))
		fail_msg("%s", t->out);
	struct image *im = open_disk(t, &(struct image_options){ .for_repair = true });
	assert_int_equal(image_check(im, &c), 0);
	image_close(im);
	/* Dirty: put right by opening. */
	im = open_disk(t, &(struct image_options){ 0 });
	assert_int_equal(image_check(im, &c), 0);
	assert_int_equal(c.corruptions | c.leaks | c.errors, 0);
	image_close(im);
	qemu_img(t, "check disk.qcow2");
	/* The counts are gone. */
	patch(t, 65536, 8, 0);
	im = open_disk(t, &(struct image_options){ .for_repair = true });
	assert_int_equal(image_check(im, &c), 0);
	assert_true(c.corruptions > 60);
	assert_int_equal(image_check(im, &fix), 0);
	assert_int_equal(fix.corruptions | fix.leaks, 0);
	assert_true(fix.corruptions_fixed > 60);
	image_close(im);
	qemu_img(t, "check disk.qcow2");
	exercise(t, 1, 40, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_geometries, setup, teardown), cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chains, setup, teardown), cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_snapshots, setup, teardown), cmocka_unit_test_setup_teardown(test_resize, setup, teardown),
		cmocka_unit_test_setup_teardown(test_growth, setup, teardown), cmocka_unit_test_setup_teardown(test_repair, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
