/* disk.c - see disk.h. */
#include "tests/fuzz/lib/disk.h"
#include "images/bytes.h"
#include "images/hostio.h"
#include "images/image.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536u
#define STEPS 12
#define SEED_MAX (4u << 20)

static const struct image_options reading = { .readonly = true }, writing = { 0 }, repairing = { .for_repair = true };

/* Nothing is made durable: a case that takes milliseconds is a hundred that were not tried. */
static int no_sync(const struct hostio *io, int fd) { return 0; }
static struct hostio unsynced;		/* host_posix but for that */

static struct image *open_again(struct fuzz *f, const struct image_options *how, const char *format, const char *path, char *err,
	size_t errsize)
{
	struct image_options opt = *how;
	opt.format = format;
	opt.io = &unsynced;
	struct image *im = image_open(path, &opt, err, errsize);
	if (!im && !err[0])
		fuzz_fail(f, "refused without a sentence");
	if (im && (!image_size(im) || image_size(im) & 511))
		fuzz_fail(f, "a disk of %llu bytes", (unsigned long long)image_size(im));
	return im;
}

static struct image *open_case(struct fuzz *f, const struct image_options *how, const char *format, const char *path)
{
	char err[600] = "";
	return open_again(f, how, format, path, err, sizeof(err));
}

/* Somewhere on the disk, near its ends more often. */
static u64 place(struct fuzz *f, const struct image *im, u64 *len)
{
	u64 size = image_size(im), at;
	*len = 1 + fuzz_random(f, size < PIECE ? size : PIECE);
	switch (fuzz_random(f, 4)) {
	case 0:  at = 0; break;
	case 1:  at = size - *len; break;
	case 2:  at = fuzz_random(f, size - *len + 1); break;
	default: at = fuzz_random(f, (size - *len < 1 << 20 ? size - *len : 1 << 20) + 1); break;
	}
	return at;
}

static void ignore_fact(void *arg, const struct image_fact *fact) { }
static void ignore_sentence(void *arg, const char *sentence) { }
static void ignore_snapshot(void *arg, const struct image_snapshot *s) { }

static void look_at(struct fuzz *f, const char *format, const char *path)
{
	static u8 buf[PIECE];
	struct image_extent e;
	struct image_check c = { .say = ignore_sentence };
	struct image *im = open_case(f, &reading, format, path);
	u64 len, at = 0;
	if (!im) {
		f->refused++;
		return;
	}
	f->accepted++;
	image_info(im, ignore_fact, NULL);
	image_snapshots(im, ignore_snapshot, NULL);
	for (u32 i = 0; i < 64 && at < image_size(im); i++, at += e.len)
		if (image_map(im, at, image_size(im) - at, &e) || !e.len || e.len > image_size(im) - at)
			break;
	for (u32 i = 0; i < STEPS; i++) {
		at = place(f, im, &len);
		image_read(im, at, buf, len);
	}
	image_check(im, &c);
	image_close(im);
}

/* What was written last must be read, at once and after closing. */
static void write_on(struct fuzz *f, const struct image_options *how, const char *format, const char *path)
{
	static u8 buf[PIECE], back[PIECE];
	struct image *im = open_case(f, how, format, path);
	u64 len = 0, at = 0;
	bool written = false;
	if (!im)
		return;
	for (u32 i = 0; i < STEPS; i++) {
		u64 n, where = place(f, im, &n);
		switch (fuzz_random(f, 6)) {
		case 0: image_flush(im); break;
		case 1: image_discard(im, where, n); written = false; break;
		case 2: image_write_zeroes(im, where, n); written = false; break;
		default:
			at = where, len = n;
			memset(buf, (int)(1 + fuzz_random(f, 255)), len);
			written = !image_write(im, at, buf, len);
			if (written && (image_read(im, at, back, len) || memcmp(buf, back, len)))
				fuzz_fail(f, "what was written is not read back");
		}
	}
	int error = image_flush(im);
	image_close(im);
	char err[600] = "";
	im = open_again(f, how, format, path, err, sizeof(err));
	if (!im && !error)
		fuzz_fail(f, "an image that was written cannot be opened any more: %s", err);
	if (im && !error && written && (image_read(im, at, back, len) || memcmp(buf, back, len)))
		fuzz_fail(f, "what was written is not there after opening again");
	image_close(im);
}

static void repair(struct fuzz *f, const char *format, const char *path)
{
	struct image *im = open_case(f, &repairing, format, path);
	struct image_check c = { .repair_leaks = true, .repair_all = true, .say = ignore_sentence };
	if (!im)
		return;
	image_check(im, &c);
	image_close(im);
}

void fuzz_disk_one(struct fuzz *f, const char *format, const u8 *data, u64 len)
{
	const char *path = fuzz_file(f, "case.img", data, len);
	unsynced = host_posix;
	unsynced.fdatasync = no_sync;
	look_at(f, format, path);
	write_on(f, &writing, format, path);
	if (fuzz_random(f, 2))
		return;
	path = fuzz_file(f, "case.img", data, len);
	repair(f, format, path);
	write_on(f, &writing, format, path);
}

/* --- seeds -------------------------------------------------------------------------------------------------------------- */

static bool read_seed(struct fuzz *f, const char *path, void (*fix)(u8 *data, u64 len))
{
	FILE *in = fopen(path, "rb");
	u8 *buf = malloc(SEED_MAX);
	u64 len = in && buf ? fread(buf, 1, SEED_MAX, in) : 0;
	if (len && fix)
		fix(buf, len);
	if (len && len < SEED_MAX)
		fuzz_seed(f, buf, len);
	if (in)
		fclose(in);
	free(buf);
	return len;
}

/* Some sectors with something in them. */
static void fill(const char *path, const char *format)
{
	char err[600];
	static u8 data[3000];
	struct image_options opt = { .format = format };
	struct image *im = image_open(path, &opt, err, sizeof(err));
	if (!im)
		return;
	memset(data, 0x5a, sizeof(data));
	u64 n = image_size(im) < sizeof(data) ? image_size(im) : sizeof(data);
	image_write(im, 0, data, n);
	image_write(im, (image_size(im) - n) & ~511ull, data, n & ~511ull);
	image_close(im);
}

bool fuzz_disk_seed(struct fuzz *f, const char *format, const char *qemu, const char *options, u64 size, void (*fix)(u8 *data, u64 len))
{
	char path[300], raw[300], command[1600], err[600];
	bool ok;
	snprintf(path, sizeof(path), "%s/seed.img", f->dir);
	snprintf(raw, sizeof(raw), "%s/seed.raw", f->dir);
	if (qemu) {
		snprintf(command, sizeof(command), "printf something >%s && truncate -s %llu %s && qemu-img convert -f raw -O %s %s%s %s %s "
			">/dev/null 2>&1", raw, (unsigned long long)size, raw, qemu, options ? "-o " : "", options ? options : "", raw, path);
		ok = !system(command);
	} else {
		struct image_create how = { .format = format, .size = size, .options = options, .replace = true };
		ok = image_create(path, &how, err, sizeof(err));
		if (ok)
			fill(path, format);
	}
	ok = ok && read_seed(f, path, fix);
	unlink(path);
	unlink(raw);
	return ok;
}
