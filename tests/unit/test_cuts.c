/*
 * test_cuts.c - images of every format that is written, cut off at any host operation: a kill, a loss of power, a full disk.
 *
 * Whatever the point: the image opens, its check and qemu-img's find nothing wrong, every sector that was flushed has what was flushed or
 * what was written later, and qemu-img reads the same disk as we do. After an operation that failed once, the same call does the rest.
 * A few hundred points a format; with RINGFENCE_LONG=1 five thousand. usage: test_cuts [FORMAT [POINTS [SEED]]]
 */
/* objs: images/all monitor/lib/all tests/unit/cut_io.o */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "images/bytes.h"
#include "images/image.h"
#include "tests/unit/cut_io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512u
#define REQUESTS 30
#define LONGEST 160u		/* sectors of a request */

static const struct variant { const char *name, *format, *qemu, *options; u32 sectors; bool qemu_checks; } variants[] = {
	{ "vdi", "vdi", "vdi", NULL, 4 * 2048 + 3, true },
	{ "vhd", "vhd", "vpc", NULL, 7 * 2048 + 5, false },
	{ "vhd-fixed", "vhd", "vpc", "subformat=fixed", 2048, false },
	{ "vmdk", "vmdk", "vmdk", NULL, 3 * 2048 + 7, true },
	{ "vmdk-zeroed", "vmdk", "vmdk", "zeroed_grain=on", 2 * 2048, true },
	{ "vmdk-split", "vmdk", "vmdk", "subformat=twoGbMaxExtentSparse", 2048, true },
	{ "bochs", "bochs", "bochs", NULL, 7 * 2048, false },
};

/* Which generations of a sector may be found: those from the flushed one on. Generation 0 and zero writes are zeroes. */
struct sector { u32 flushed, latest; bool zero_flushed, zero_since, zero_latest; };
struct trial {
	const struct variant *v;
	char dir[40], image[64], raw[64], err[400];
	struct sector *sector;
	u32 generation;
	u64 rng, cuts;
	u8 *buf, *disk;
	u32 look_each;		/* qemu-img is asked each so many points */
};

static u32 rnd(struct trial *t, u32 below)
{
	t->rng ^= t->rng << 13;
	t->rng ^= t->rng >> 7;
	t->rng ^= t->rng << 17;
	return (u32)(t->rng % below);
}

static void remove_files(struct trial *t)
{
	DIR *d = opendir(t->dir);
	for (struct dirent *e; (e = readdir(d));) {
		char path[400];
		snprintf(path, sizeof(path), "%s/%s", t->dir, e->d_name);
		if (e->d_name[0] != '.')
			unlink(path);
	}
	closedir(d);
}

static struct image *open_image(struct trial *t, const struct hostio *io)
{
	struct image_options opt = { .format = t->v->format, .io = io };
	return image_open(t->image, &opt, t->err, sizeof(t->err));
}

static void make_image(struct trial *t)
{
	struct image_create how = { .format = t->v->format, .size = (u64)t->v->sectors * SECTOR, .options = t->v->options };
	remove_files(t);
	if (!image_create(t->image, &how, t->err, sizeof(t->err)))
		fail_msg("%s", t->err);
	memset(t->sector, 0, t->v->sectors * sizeof(*t->sector));
	for (u32 s = 0; s < t->v->sectors; s++)
		t->sector[s].zero_flushed = t->sector[s].zero_latest = true;
	t->generation = 0;
}

static void stamp(u8 *p, u32 sector, u32 generation)
{
	for (u32 i = 0; i < SECTOR; i += 8) {
		put_le32(p + i, sector ^ 0x5a5a0000);
		put_le32(p + i + 4, generation);
	}
}

static void noted(struct trial *t, u32 first, u32 n, bool zero)
{
	for (u32 s = first; s < first + n; s++) {
		struct sector *x = &t->sector[s];
		x->latest = zero ? x->latest : t->generation;
		x->zero_since |= zero;
		x->zero_latest = zero;
	}
}

static void flushed(struct trial *t)
{
	for (u32 s = 0; s < t->v->sectors; s++) {
		struct sector *x = &t->sector[s];
		x->flushed = x->zero_latest ? x->flushed : x->latest;
		x->zero_flushed = x->zero_latest;
		x->zero_since = false;
		if (x->zero_latest)
			x->flushed = x->latest + 1;	/* nothing older may come back */
	}
}

/* One request. What it may leave is noted before it is made. Discards count as zeroes or as what was there: only of zeroes. */
static int request(struct trial *t, struct image *im, u32 kind, u32 first, u32 n)
{
	if (kind < 6) {
		t->generation++;
		noted(t, first, n, false);
		for (u32 i = 0; i < n; i++)
			stamp(t->buf + i * SECTOR, first + i, t->generation);
		return image_write(im, (u64)first * SECTOR, t->buf, (u64)n * SECTOR);
	}
	if (kind == 6) {
		noted(t, first, n, true);
		return image_write_zeroes(im, (u64)first * SECTOR, (u64)n * SECTOR);
	}
	int error = image_flush(im);
	if (!error)
		flushed(t);
	return error;
}

/* Requests until one fails; with `again` each that fails is made once more, and must then succeed. */
static void work(struct trial *t, struct image *im, bool again)
{
	for (u32 i = 0; i < REQUESTS; i++) {
		u32 kind = rnd(t, 9), n = 1 + rnd(t, LONGEST), first;
		n = n < t->v->sectors ? n : t->v->sectors;
		first = rnd(t, t->v->sectors - n + 1);
		int error = request(t, im, kind, first, n);
		if (error && !again)
			return;
		if (error && request(t, im, kind, first, n))
			fail_msg("%s: after an error the same call fails again", t->v->name);
	}
}

static bool good_sector(const struct trial *t, u32 s)
{
	const u8 *p = t->disk + (u64)s * SECTOR;
	const struct sector *x = &t->sector[s];
	u8 whole[SECTOR] = { 0 };
	u32 generation = le32(p + 4);
	if (!memcmp(p, whole, SECTOR))
		return x->zero_flushed || x->zero_since;
	stamp(whole, s, generation);
	return !memcmp(p, whole, SECTOR) && generation >= x->flushed && generation <= x->latest;
}

static void sh(struct trial *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void sh(struct trial *t, const char *fmt, ...)
{
	char command[600], whole[800];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "%s >%s/out 2>&1 || { cat %s/out >&2; false; }", command, t->dir, t->dir);
	if (system(whole))
		fail_msg("%s, point %llu: %s", t->v->name, (unsigned long long)t->cuts, command);
}

/* The image as it is found afterwards. */
static void examine(struct trial *t, enum cut_mode mode)
{
	bool look = t->look_each && t->cuts % t->look_each == 0;
	if (look && t->v->qemu_checks && mode == CUT_KILL)
		sh(t, "qemu-img check -f %s %s", t->v->qemu, t->image);
	struct image *im = open_image(t, NULL);
	if (!im)
		fail_msg("%s, point %llu: %s", t->v->name, (unsigned long long)t->cuts, t->err);
	struct image_check c = { 0 };
	int error = image_check(im, &c);
	if ((error && error != ENOTSUP) || c.corruptions || c.errors)
		fail_msg("%s, point %llu: the check finds damage", t->v->name, (unsigned long long)t->cuts);
	assert_int_equal(image_read(im, 0, t->disk, (u64)t->v->sectors * SECTOR), 0);
	for (u32 s = 0; s < t->v->sectors; s++)
		if (!good_sector(t, s))
			fail_msg("%s, point %llu: sector %u has %08x of generation %u, not %u to %u%s", t->v->name, (unsigned long long)t->cuts, s,
				le32(t->disk + (u64)s * SECTOR), le32(t->disk + (u64)s * SECTOR + 4), t->sector[s].flushed,
				t->sector[s].latest, t->sector[s].zero_flushed || t->sector[s].zero_since ? " or zeroes" : "");
	/* It can be written on. */
	stamp(t->buf, 1, 0xffffff);
	memcpy(t->disk + SECTOR, t->buf, SECTOR);
	assert_int_equal(image_write(im, SECTOR, t->buf, SECTOR), 0);
	assert_int_equal(image_flush(im), 0);
	image_close(im);
	if (!look)
		return;
	int fd = open(t->raw, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, t->disk, (u64)t->v->sectors * SECTOR), (ssize_t)((u64)t->v->sectors * SECTOR));
	close(fd);
	if (t->v->qemu_checks)
		sh(t, "qemu-img check -f %s %s", t->v->qemu, t->image);
	sh(t, "qemu-img compare -f raw -F %s %s %s", t->v->qemu, t->raw, t->image);
}

/* The same requests for the same seed. Returns the number of operations. */
static u64 run(struct trial *t, enum cut_mode mode, u64 at, u64 seed)
{
	struct cut_io c;
	t->rng = seed * 0x2545f4914f6cdd1d + 88172645463325252ull;
	make_image(t);
	cut_io_init(&c, mode, at, seed + at);
	struct image *im = open_image(t, &c.io);
	if (im) {
		work(t, im, mode == CUT_FAIL);
		image_close(im);
	} else if (!c.failed) {
		fail_msg("%s", t->err);
	}
	cut_io_settle(&c);
	u64 count = c.count;
	cut_io_free(&c);
	if (mode != CUT_NEVER)
		examine(t, mode);
	return count;
}

static void try_variant(struct trial *t, u64 points, u64 seed)
{
	static const enum cut_mode modes[] = { CUT_KILL, CUT_POWER, CUT_FAIL };
	u64 done = 0;
	t->sector = calloc(t->v->sectors, sizeof(*t->sector));
	t->disk = malloc((u64)t->v->sectors * SECTOR);
	for (u64 round = 0; done < points; round++) {
		u64 operations = run(t, CUT_NEVER, 0, seed + round);
		u64 step = points < 1000 && operations > 24 ? operations / 24 : 1;
		for (u64 at = 1 + round % step; at <= operations && done < points; at += step)
			for (u32 m = 0; m < ARRAY_SIZE(modes); m++, done++, t->cuts++)
				run(t, modes[m], at, seed + round);
	}
	free(t->sector);
	free(t->disk);
}

static struct trial *trial_new(void)
{
	struct trial *t = calloc(1, sizeof(*t));
	strcpy(t->dir, access("/dev/shm", W_OK) ? "/tmp/cutsXXXXXX" : "/dev/shm/cutsXXXXXX");
	if (!mkdtemp(t->dir))
		abort();
	snprintf(t->image, sizeof(t->image), "%s/disk.img", t->dir);
	snprintf(t->raw, sizeof(t->raw), "%s/raw", t->dir);
	t->buf = malloc(LONGEST * SECTOR);
	if (!system("qemu-img --version >/dev/null 2>&1"))
		t->look_each = 1;
	else
		print_message("qemu-img is missing: only our own check looks at the images\n");
	return t;
}

static void trial_free(struct trial *t)
{
	remove_files(t);
	rmdir(t->dir);
	free(t->buf);
	free(t);
}

static void test_cuts(void **state)
{
	struct trial *t = trial_new();
	u64 points = getenv("RINGFENCE_LONG") ? 5000 : 200;
	t->look_each *= getenv("RINGFENCE_LONG") ? 1 : 10;
	for (u32 i = 0; i < ARRAY_SIZE(variants); i++) {
		t->v = &variants[i];
		t->cuts = 0;
		try_variant(t, points, 1);
	}
	trial_free(t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cuts) };
	if (argc < 2)
		return cmocka_run_group_tests(tests, NULL, NULL);
	struct trial *t = trial_new();
	for (u32 i = 0; i < ARRAY_SIZE(variants); i++) {
		t->v = &variants[i];
		t->cuts = 0;
		if (!strcmp(argv[1], t->v->name))
			try_variant(t, argc > 2 ? strtoull(argv[2], NULL, 0) : 5000, argc > 3 ? strtoull(argv[3], NULL, 0) : 1);
	}
	trial_free(t);
	return 0;
}
