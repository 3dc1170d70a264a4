/*
 * fuzz_loader.c - 'make fuzz T=loader': kernels and modules with bytes changed, cut or grown, against the loader's promise.
 *
 * Whatever the file: loader_plan() either makes a plan whose pieces all lie in guest RAM, inside the file or what the plan
 * itself allocated, with an entry point in a piece; or says one sentence. Every byte of every accepted piece is read, so
 * that M=asan sees a wrong range. Deterministic for a given seed.
 *
 *     fuzz_loader [-n ITERATIONS] [-t SECONDS] [-s SEED] [FILE...]      files are further seeds (real kernels)
 */
/* objs: all */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "monitor/loader_plan.h"

#define SEEDS_MAX 16
struct seed { u8 *data; u64 len; };
struct fuzz {
	u64 rng;
	struct seed seed[SEEDS_MAX];
	u32 seeds;
	u64 accepted, refused, checksum;
};

static u64 rnd(struct fuzz *f, u64 below)
{
	f->rng ^= f->rng << 13;
	f->rng ^= f->rng >> 7;
	f->rng ^= f->rng << 17;
	return below ? f->rng % below : 0;
}

static void seed_add(struct fuzz *f, const u8 *data, u64 len)
{
	u8 *copy = malloc(len);
	if (!copy || f->seeds == SEEDS_MAX)
		abort();
	memcpy(copy, data, len);
	f->seed[f->seeds++] = (struct seed){ copy, len };
}

static void seed_linux(struct fuzz *f, u32 version)
{
	static u8 image[16384];
	memset(image, 0x90, sizeof(image));
	memset(image + 0x1f1, 0, 0x100);
	image[0x1f1] = 3;
	put32(image + 0x1f4, (sizeof(image) - 2048) / 16);
	put16(image + 0x1fe, 0xaa55);
	image[0x201] = 0x6a;
	memcpy(image + 0x202, "HdrS", 4);
	put16(image + 0x206, version);
	image[0x211] = 1;
	put32(image + 0x214, 0x100000);
	put32(image + 0x22c, 0x7fffffff);
	put32(image + 0x230, 0x100000);
	image[0x234] = 1;
	put32(image + 0x238, 2047);
	put64(image + 0x258, 0x100000);
	put32(image + 0x260, 0x200000);
	seed_add(f, image, sizeof(image));
}

static void seed_elf(struct fuzz *f)
{
	static u8 image[8192];
	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	put16(image + 16, 2);
	put16(image + 18, 3);
	put32(image + 24, 0x100010);
	put32(image + 28, 52);
	put16(image + 42, 32);
	put16(image + 44, 3);
	for (u32 i = 0; i < 3; i++) {
		u8 *ph = image + 52 + i * 32;
		put32(ph, 1);
		put32(ph + 4, 0x1000);
		put32(ph + 8, 0x100000 + i * 0x10000);
		put32(ph + 12, 0x100000 + i * 0x10000);
		put32(ph + 16, 0x1000);
		put32(ph + 20, 0x8000);
	}
	put32(image + 512, 0x1badb002);
	put32(image + 516, 3);
	put32(image + 520, -(0x1badb002u + 3));
	seed_add(f, image, sizeof(image));
}

static void seed_raw(struct fuzz *f)
{
	static const u32 header[] = { 0x1badb002, 0x10000, -(0x1badb002u + 0x10000), 0x200020, 0x200000, 0x200800, 0x201000, 0x200040 };
	static u8 image[4096];
	for (u32 i = 0; i < ARRAY_SIZE(header); i++)
		put32(image + 64 + i * 4, header[i]);
	seed_add(f, image, sizeof(image));
}

static bool seed_file(struct fuzz *f, const char *path)
{
	FILE *in = fopen(path, "rb");
	u8 *buf = malloc(16 << 20);
	u64 len = in && buf ? fread(buf, 1, 16 << 20, in) : 0;
	if (len)
		seed_add(f, buf, len);
	if (in)
		fclose(in);
	free(buf);
	return len;
}

/* One change: most fall on the headers; values are those that off-by-one and overflow mistakes like. */
static void mutate(struct fuzz *f, u8 *data, u64 len)
{
	static const u32 edges[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffff000, 0x100000,
		 0xfffff, 0x9fc00, 0xa0000, 0xffff, 4095, 0x8000000, 0x7ffffff };
	u64 near = rnd(f, 4) ? 0x300 : len;
	if (near > len)
		near = len;
	u64 at = rnd(f, near);
	switch (rnd(f, 5)) {
	case 0: data[at] = (u8)rnd(f, 256); break;
	case 1: data[at] ^= (u8)(1u << rnd(f, 8)); break;
	case 2: data[at]++; break;
	default:
		at &= ~3ull;
		if (at + 4 <= len)
			put32(data + at, rnd(f, 3) ? edges[rnd(f, ARRAY_SIZE(edges))] : (u32)rnd(f, ~0ull));
		break;
	}
}

/* Changed headers with a wrong checksum are all refused for the same reason: mostly mend it. */
static void mend_multiboot(struct fuzz *f, u8 *data, u64 len)
{
	for (u64 at = 0; at + 12 <= len && at < 8192; at += 4)
		if (get32(data + at) == 0x1badb002 && rnd(f, 8))
			put32(data + at + 8, 0u - 0x1badb002u - get32(data + at + 4));
}

static void die(struct fuzz *f, const char *why)
{
	fprintf(stderr, "fuzz_loader: %s\n", why);
	abort();
}

static void check_plan(struct fuzz *f, const struct load_plan *p, const struct load_file *file, u32 files)
{
	bool entry = false;
	u32 eip = p->real_seg ? p->real_seg * 16u + 0x200 : p->eip;
	for (u32 i = 0; i < p->count; i++) {
		const struct load_piece *x = &p->piece[i];
		bool inside = x->owned == x->data;
		for (u32 k = 0; k < files && !inside; k++)
			inside = x->data >= file[k].data && x->len <= file[k].len && (u64)(x->data - file[k].data) <= file[k].len - x->len;
		if (!inside || x->len > x->size)
			die(f, "a piece is outside of its file");
		if (!plan_in_ram(p, x->gpa, x->size))
			die(f, "a piece is outside of guest memory");
		for (u64 b = 0; b < x->len; b += x->len > 65536 ? 4096 : 1)
			f->checksum += x->data[b];
		entry |= eip >= x->gpa && eip - x->gpa < x->size;
	}
	if (!entry)
		die(f, "the entry point is in no piece");
}

static void one(struct fuzz *f)
{
	static const u64 sizes[] = { 1, 2, 8, 64, 128, 512, 3584 };
	const struct seed *s = &f->seed[rnd(f, f->seeds)];
	u64 len = rnd(f, 8) ? s->len : rnd(f, s->len) + 1;
	u8 *data = malloc(len);
	if (!data)
		abort();
	memcpy(data, s->data, len);
	for (u64 n = rnd(f, 6); n; n--)
		mutate(f, data, len);
	mend_multiboot(f, data, len);
	struct load_file file[4] = { { .name = "kernel", .data = data, .len = len } };
	static const u8 module[5000];
	u32 mods = (u32)rnd(f, 4);
	for (u32 i = 0; i < mods; i++)
		file[1 + i] = (struct load_file){ .name = "module", .args = rnd(f, 2) ? "with arguments" : NULL, .data = module,
			.len = 1 + rnd(f, sizeof(module) - 1) };
	char err[400] = "";
	struct load_plan p = { .ram_size = sizes[rnd(f, ARRAY_SIZE(sizes))] << 20, .err = err, .errsize = sizeof(err),
		.behind_firmware = rnd(f, 2) };
	if (loader_plan(&p, &file[0], &file[1], mods, "console=ttyS0")) {
		f->accepted++;
		check_plan(f, &p, file, 1 + mods);
	} else {
		f->refused++;
		if (!err[0] || strchr(err, '\n'))
			die(f, "a refusal is not one sentence");
	}
	plan_fini(&p);
	free(data);
}

int main(int argc, char **argv)
{
	u64 iterations = 200000, seed = 1;
	double seconds = 60;
	struct fuzz f = { 0 };
	for (int o; (o = getopt(argc, argv, "n:t:s:")) != -1;) {
		switch (o) {
		case 'n': iterations = strtoull(optarg, NULL, 0); break;
		case 't': seconds = strtod(optarg, NULL); break;
		case 's': seed = strtoull(optarg, NULL, 0); break;
		default: fprintf(stderr, "usage: fuzz_loader [-n ITERATIONS] [-t SECONDS] [-s SEED] [FILE...]\n"); return 2;
		}
	}
	for (u32 version = 0x200; version <= 0x20f; version += 5)
		seed_linux(&f, version);
	seed_elf(&f);
	seed_raw(&f);
	for (; optind < argc && f.seeds < SEEDS_MAX; optind++) {
		if (!seed_file(&f, argv[optind])) {
			fprintf(stderr, "fuzz_loader: cannot read %s\n", argv[optind]);
			return 1;
		}
	}
	printf("fuzz_loader: seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	f.rng = seed * 0x9e3779b97f4a7c15ull | 1;
	struct timespec t0, t;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	u64 n = 0;
	do {
		for (u32 k = 0; k < 100 && n < iterations; k++, n++)
			one(&f);
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while (n < iterations && (double)(t.tv_sec - t0.tv_sec) < seconds);
	printf("fuzz_loader: %llu files, %llu accepted, %llu refused\n", (unsigned long long)n,
		(unsigned long long)f.accepted, (unsigned long long)f.refused);
	for (u32 i = 0; i < f.seeds; i++)
		free(f.seed[i].data);
	return 0;
}
