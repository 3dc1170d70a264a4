/*
 * fuzz_loader.c - 'make fuzz T=loader': kernels and modules with bytes changed, cut or grown, against the loader's promise.
 *
 * Whatever the file: loader_plan() either makes a plan whose pieces all lie in guest RAM, inside the file or what the plan
 * itself allocated, with an entry point in a piece; or says one sentence. Every byte of every accepted piece is read, so
 * that M=asan sees a wrong range. Files of the command line (real kernels) are further seeds.
 */
/* objs: tests/fuzz/lib/bytes.o all */
#include "monitor/loader_plan.h"
#include "tests/fuzz/lib/bytes.h"
#include <string.h>

static u64 checksum;

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
	fuzz_seed(f, image, sizeof(image));
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
	fuzz_seed(f, image, sizeof(image));
}

static void seed_raw(struct fuzz *f)
{
	static const u32 header[] = { 0x1badb002, 0x10000, -(0x1badb002u + 0x10000), 0x200020, 0x200000, 0x200800, 0x201000, 0x200040 };
	static u8 image[4096];
	for (u32 i = 0; i < ARRAY_SIZE(header); i++)
		put32(image + 64 + i * 4, header[i]);
	fuzz_seed(f, image, sizeof(image));
}

/* Changed headers with a wrong checksum are all refused for the same reason: mostly mend it. */
static void mend_multiboot(struct fuzz *f, u8 *data, u64 len)
{
	for (u64 at = 0; at + 12 <= len && at < 8192; at += 4)
		if (get32(data + at) == 0x1badb002 && fuzz_random(f, 8))
			put32(data + at + 8, 0u - 0x1badb002u - get32(data + at + 4));
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
			fuzz_fail(f, "a piece is outside of its file");
		if (!plan_in_ram(p, x->gpa, x->size))
			fuzz_fail(f, "a piece is outside of guest memory");
		for (u64 b = 0; b < x->len; b += x->len > 65536 ? 4096 : 1)
			checksum += x->data[b];
		entry |= eip >= x->gpa && eip - x->gpa < x->size;
	}
	if (!entry)
		fuzz_fail(f, "the entry point is in no piece");
}

static void one(struct fuzz *f, u8 *data, u64 len)
{
	static const u64 sizes[] = { 1, 2, 8, 64, 128, 512, 3584 };
	struct load_file file[4] = { { .name = "kernel", .data = data, .len = len } };
	static const u8 module[5000];
	u32 mods = (u32)fuzz_random(f, 4);
	for (u32 i = 0; i < mods; i++)
		file[1 + i] = (struct load_file){ .name = "module", .args = fuzz_random(f, 2) ? "with arguments" : NULL, .data = module,
			.len = 1 + fuzz_random(f, sizeof(module) - 1) };
	char err[400] = "";
	struct load_plan p = { .ram_size = sizes[fuzz_random(f, ARRAY_SIZE(sizes))] << 20, .err = err, .errsize = sizeof(err),
		.behind_firmware = fuzz_random(f, 2) };
	if (loader_plan(&p, &file[0], &file[1], mods, "console=ttyS0")) {
		f->accepted++;
		check_plan(f, &p, file, 1 + mods);
	} else {
		f->refused++;
		if (!err[0] || strchr(err, '\n'))
			fuzz_fail(f, "a refusal is not one sentence");
	}
	plan_fini(&p);
}

static void seeds(struct fuzz *f)
{
	for (u32 version = 0x200; version <= 0x20f; version += 5)
		seed_linux(f, version);
	seed_elf(f);
	seed_raw(f);
}

int main(int argc, char **argv)
{
	static const struct fuzz_bytes target = { .name = "loader", .seeds = seeds, .one = one, .mend = mend_multiboot, .hot = 0x300 };
	return fuzz_bytes_main(argc, argv, &target);
}
