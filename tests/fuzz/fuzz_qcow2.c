/*
 * fuzz_qcow2.c - 'make fuzz T=qcow2': images that qemu-img made, changed anywhere, opened, checked, used and repaired. Nothing may crash,
 * hang or need more memory than the file has reason for; what is refused is refused with a sentence; a repair that says that it
 * left nothing has left nothing; what was just written is read back, unless the tables were damaged to begin with.
 */
/* objs: tests/fuzz/lib/bytes.o images/all monitor/lib/all */
#include "images/image.h"
#include "tests/fuzz/lib/bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE_TRIED (1u << 20)	/* requests fall in the first MiB, and now and then anywhere */

static void seed(struct fuzz *f, const char *options, const char *then)
{
	char line[600], path[200];
	snprintf(path, sizeof(path), "%s/seed", f->dir);
	snprintf(line, sizeof(line), "cd %s && qemu-img create -q -f qcow2 -o %s seed 1M && "
		 "qemu-io -f qcow2 -c 'write -P 1 0 30k' -c 'write -P 2 200k 9k' -c 'write -z 100k 20k' seed >/dev/null && %s", f->dir, options, then);
	if (system(line) || !fuzz_seed_file(f, path)) {
		fprintf(stderr, "fuzz qcow2: qemu-img or qemu-io is missing, or does not do: %s\n", line);
		exit(1);
	}
	unlink(path);
}

static void seeds(struct fuzz *f)
{
	seed(f, "cluster_size=512", "true");
	seed(f, "cluster_size=512,compat=0.10", "qemu-img snapshot -c one seed && qemu-io -f qcow2 -c 'write -P 3 4k 9k' seed >/dev/null");
	seed(f, "cluster_size=512,refcount_bits=1", "true");
	seed(f, "cluster_size=1k,refcount_bits=64,lazy_refcounts=on", "true");
	seed(f, "cluster_size=4k", "qemu-img snapshot -c one seed && qemu-io -f qcow2 -c 'write -P 3 4k 9k' seed >/dev/null");
	seed(f, "cluster_size=2k", "qemu-img convert -c -O qcow2 -o cluster_size=2k seed packed && mv packed seed");
	seed(f, "cluster_size=512", "qemu-img bitmap --add seed some");
	seed(f, "cluster_size=4k,refcount_bits=8", "qemu-img create -q -f raw base 1M && qemu-img rebase -u -b base -F raw seed");
	seed(f, "cluster_size=64k", "true");
}

static u64 place(struct fuzz *f, const struct image *im)
{
	u64 size = image_size(im), near = size < SIZE_TRIED ? size : SIZE_TRIED;
	return fuzz_random(f, fuzz_random(f, 8) ? near : size) & ~511ull;
}

static u64 length(struct fuzz *f, const struct image *im, u64 at)
{
	u64 n = (1 + fuzz_random(f, 64)) * 512;
	return n < image_size(im) - at ? n : image_size(im) - at;
}

static void nothing(void *arg, const struct image_fact *fact) { ++*(u32 *)arg; }
static void no_snapshot(void *arg, const struct image_snapshot *s) { *(u32 *)arg += (u32)strlen(s->name) + (u32)strlen(s->id); }
static void heard(void *arg, const char *sentence) { *(u32 *)arg += (u32)strlen(sentence); }

static void look(struct fuzz *f, struct image *im)
{
	static u8 buf[32768];
	u32 count = 0;
	struct image_extent e;
	image_info(im, nothing, &count);
	image_snapshots(im, no_snapshot, &count);
	for (u32 i = 0; i < 50; i++) {
		u64 at = place(f, im), n = length(f, im, at);
		image_read(im, at, buf, n);
		if (!image_map(im, at, n, &e) && (!e.len || e.len > n))
			fuzz_fail(f, "an extent of %llu bytes", (unsigned long long)e.len);
	}
}

static void change(struct fuzz *f, struct image *im)
{
	static u8 buf[32768];
	char err[300];
	u64 at = place(f, im), n = length(f, im, at), g = image_granularity(im);
	memset(buf, (int)fuzz_random(f, 256), n);
	switch (fuzz_random(f, 12)) {
	case 0: image_write_zeroes(im, at, n); break;
	case 1: image_discard(im, at, n); break;
	case 2: image_flush(im); break;
	case 3:
		at = at / g * g;
		if (g <= sizeof(buf))
			image_write_compressed(im, at, buf, g < image_size(im) - at ? g : image_size(im) - at);
		break;
	case 4:
		if (!fuzz_random(f, 4))
			image_resize(im, image_size(im) / 512 * 512 + 512 * fuzz_random(f, 3000), err, sizeof(err));
		break;
	case 5:
		if (!fuzz_random(f, 4))
			image_set_backing(im, fuzz_random(f, 2) ? "other" : NULL, "raw", err, sizeof(err));
		break;
	default: image_write(im, at, buf, n);
	}
}

static struct image *try(struct fuzz *f, const u8 *data, u64 len, const struct image_options *opt)
{
	char err[300] = "";
	struct image *im = image_open_fd(fuzz_fd(data, len), "case", opt, err, sizeof(err));
	if (!im && !*err)
		fuzz_fail(f, "refused without a sentence");
	return im;
}

static void read_back(struct fuzz *f, struct image *im)
{
	u8 in[4096], out[4096];
	u64 at = place(f, im), n = image_size(im) - at < sizeof(in) ? image_size(im) - at : sizeof(in);
	memset(in, 0x5a, sizeof(in));
	if (!image_write(im, at, in, n) && !image_read(im, at, out, n) && memcmp(in, out, n))
		fuzz_fail(f, "what was written at %#llx is not read", (unsigned long long)at);
}

static void repair(struct fuzz *f, const u8 *data, u64 len)
{
	u32 heard_bytes = 0;
	struct image *im = try(f, data, len, &(struct image_options){ .format = "qcow2", .no_backing = true, .for_repair = true });
	struct image_check fix = { .repair_leaks = true, .repair_all = true, .say = heard, .arg = &heard_bytes }, c = { 0 };
	if (!im)
		return;
	if (!image_check(im, &fix) && !fix.corruptions && !fix.leaks && !fix.errors) {
		if (image_check(im, &c) || c.corruptions || c.leaks || c.errors)
			fuzz_fail(f, "after repair: %llu damages, %llu leaks, %llu errors", (unsigned long long)c.corruptions,
				  (unsigned long long)c.leaks, (unsigned long long)c.errors);
		for (u32 i = 0; i < 30; i++)
			change(f, im);
		/* Two entries for one cluster are repaired to a count of 2; once one is written over, the other has the wrong flag. */
		if (!fix.corruptions_fixed && !image_flush(im) && !image_check(im, &c) && (c.corruptions || c.leaks || c.errors))
			fuzz_fail(f, "repaired and used: %llu damages, %llu leaks, %llu errors", (unsigned long long)c.corruptions,
				  (unsigned long long)c.leaks, (unsigned long long)c.errors);
	}
	image_close(im);
}

static void one(struct fuzz *f, u8 *data, u64 len)
{
	struct image_options ro = { .readonly = true, .format = "qcow2", .snapshot = fuzz_random(f, 4) ? NULL : "one" };
	struct image *im = try(f, data, len, &ro);
	if (im) {
		look(f, im);
		image_close(im);
	}
	im = try(f, data, len, &(struct image_options){ .format = "qcow2", .no_backing = true });
	if (im) {
		f->accepted++;
		read_back(f, im);
		for (u32 i = 0; i < 60; i++)
			change(f, im);
		look(f, im);
		image_close(im);
	} else {
		f->refused++;
	}
	repair(f, data, len);
}

int main(int argc, char **argv)
{
	static const struct fuzz_bytes target = { .name = "qcow2", .seeds = seeds, .one = one, .hot = 4096 };
	return fuzz_bytes_main(argc, argv, &target);
}
