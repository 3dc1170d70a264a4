/*
 * test_qcow2_cut.c - qcow2 images after power cuts and kills at every kind of host operation, and under a host that refuses.
 */
/* objs: images/all monitor/lib/all tests/unit/disk_model.o tests/unit/cut.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tests/unit/cut.h"
#include "tests/unit/disk_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scratch { char dir[64]; };

static int setup(void **state)
{
	struct scratch *t = calloc(1, sizeof(*t));
	strcpy(t->dir, "/tmp/test_qcow2_cutXXXXXX");
	*state = t;
	return mkdtemp(t->dir) ? 0 : -1;
}

static int teardown(void **state)
{
	struct scratch *t = *state;
	char out[100];
	disk_model_command(out, sizeof(out), "rm -rf %s", t->dir);
	free(t);
	return 0;
}

static void make_backing(const struct scratch *t, u64 size)
{
	char path[100];
	snprintf(path, sizeof(path), "%s/base", t->dir);
	FILE *f = fopen(path, "w");
	for (u64 i = 0; i < size; i++)
		putc((int)(i * 7 + i / 512) & 255, f);
	fclose(f);
}

/* A disk with an internal snapshot that shares everything with it. */
static void make_with_snapshot(const char *path)
{
	char out[1000];
	if (disk_model_command(out, sizeof(out), "qemu-img create -q -f qcow2 -o cluster_size=4096 %s 2M && "
			       "qemu-io -f qcow2 -c 'write -P 1 0 700k' -c 'write -P 2 1M 300k' %s && qemu-img snapshot -c one %s && "
			       "qemu-io -f qcow2 -c 'write -P 3 64k 90k' %s && qemu-img snapshot -c two %s", path, path, path, path, path))
		fail_msg("%s", out);
}

static void make_compressed(const char *path)
{
	char out[1000];
	if (disk_model_command(out, sizeof(out), "qemu-img create -q -f raw %s.raw 2M && qemu-io -f raw -c 'write -P 1 0 1400k' %s.raw && "
			       "qemu-img convert -c -O qcow2 -o cluster_size=8k %s.raw %s", path, path, path, path))
		fail_msg("%s", out);
}

static const struct cut_case cases[] = {
	{ .options = "cluster_size=65536", .size = 6 << 20 },
	{ .options = "cluster_size=512", .size = 2 << 20 },
	{ .options = "cluster_size=512,refcount_bits=64", .size = 2 << 20 },
	{ .options = "cluster_size=4096,refcount_bits=1", .size = 3 << 20, .backing = "base" },
	{ .options = "cluster_size=4096,compat=0.10", .size = 2 << 20, .backing = "base" },
	{ .options = "snapshots", .size = 2 << 20, .make = make_with_snapshot },
	{ .options = "compressed", .size = 2 << 20, .make = make_compressed },
};

static void each(struct scratch *t, void (*run)(const struct cut_case *c))
{
	if (!disk_model_have_qemu()) {
		print_message("qemu-img is missing\n");
		skip();
	}
	make_backing(t, 1 << 20);
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cut_case c = cases[i];
		c.format = "qcow2";
		c.dir = t->dir;
		c.name = "disk";
		c.ops = 150;
		c.seed = i + 1;
		run(&c);
	}
}

static void run_cuts(const struct cut_case *c)
{
	struct cut_case one = *c;
	one.cuts = cut_count(45, 800);
	one.ops = cut_count(c->ops, 600);
	cut_run(&one);
}

static void run_refusals(const struct cut_case *c)
{
	static const u32 every[] = { 2, 3, 5, 7, 11, 20, 37, 80 };
	for (u32 i = 0; i < ARRAY_SIZE(every); i++)
		cut_refuse(c, every[i]);
}

static void test_cuts(void **state) { each(*state, run_cuts); }
static void test_refusals(void **state) { each(*state, run_refusals); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cuts, setup, teardown), cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
