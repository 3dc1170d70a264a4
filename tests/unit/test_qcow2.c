/*
 * test_qcow2.c - qcow2 images of every geometry, made by us and by qemu-img, under random operations; refusals; chains; snapshots;
 * sizes; repair. Judges: an array in memory, qemu-img check and qemu-img compare.
 */
/* objs: images/all monitor/lib/all tests/unit/disk_model.o */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_geometries, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
