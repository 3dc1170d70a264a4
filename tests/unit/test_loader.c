/* test_loader.c - kernels made on the spot: where each byte goes, what the kernel is told, and what is said of bad files. */
/* objs: all */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/loader.h"
#include "monitor/loader_plan.h"

#define MIB (1ull << 20)
static u8 image[65536];

static const struct load_piece *piece_at(const struct load_plan *p, u64 gpa)
{
	for (u32 i = 0; i < p->count; i++)
		if (gpa >= p->piece[i].gpa && gpa < p->piece[i].gpa + p->piece[i].size)
			return &p->piece[i];
	fail_msg("nothing is loaded at 0x%llx", (unsigned long long)gpa);
	return NULL;
}

static const u8 *at(const struct load_plan *p, u64 gpa)
{
	const struct load_piece *piece = piece_at(p, gpa);
	return piece->data + (gpa - piece->gpa);
}

/* A bzImage of protocol 2.15 with 3 KiB of code behind 2 KiB of setup: 5120 bytes. */
static struct load_file make_linux(void)
{
	memset(image, 0, sizeof(image));
	image[0x1f1] = 3;
	put32(image + 0x1f4, 3072 / 16);
	put16(image + 0x1fe, 0xaa55);
	image[0x201] = 0x6a;
	memcpy(image + 0x202, "HdrS", 4);
	put16(image + 0x206, 0x20f);
	image[0x211] = 1;
	put32(image + 0x214, 0x100000);
	put32(image + 0x22c, 0x7fffffff);
	put32(image + 0x230, 0x1000000);
	image[0x234] = 1;
	put32(image + 0x238, 2047);
	put64(image + 0x258, 0x1000000);
	put32(image + 0x260, 0x800000);
	put64(image + 0x250, 0x1234);
	memset(image + 2048, 0x90, 3072);
	return (struct load_file){ .name = "vmlinuz", .data = image, .len = 5120 };
}

/* An ELF file with a Multiboot header, one segment at 1 MiB: 64 bytes in the file from offset 128, 8192 in memory. */
static struct load_file make_elf(void)
{
	memset(image, 0, sizeof(image));
	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	put16(image + 16, 2);
	put16(image + 18, 3);
	put32(image + 24, 0xc0100010);		/* a virtual entry point */
	put32(image + 28, 52);
	put16(image + 42, 32);
	put16(image + 44, 1);
	put32(image + 52, 1);
	put32(image + 56, 128);
	put32(image + 60, 0xc0100000);
	put32(image + 64, 0x100000);
	put32(image + 68, 64);
	put32(image + 72, 8192);
	put32(image + 128, 0x1badb002);
	put32(image + 132, 3);
	put32(image + 136, -(0x1badb002u + 3));
	return (struct load_file){ .name = "k.elf", .data = image, .len = 192 };
}

static struct load_file make_raw(void)
{
	memset(image, 0, sizeof(image));
	u8 *h = image + 64;
	put32(h, 0x1badb002);
	put32(h + 4, 0x10000);
	put32(h + 8, -(0x1badb002u + 0x10000));
	put32(h + 12, 0x200020);		/* header address */
	put32(h + 16, 0x200000);		/* load address: file offset 32 */
	put32(h + 20, 0x200080);		/* end of data */
	put32(h + 24, 0x201000);		/* end of bss */
	put32(h + 28, 0x200040);		/* entry */
	return (struct load_file){ .name = "k.raw", .data = image, .len = 256 };
}

static bool plan(struct load_plan *p, char err[400], struct load_file k, u64 ram, const struct load_file *mod, u32 mods, const char *append)
{
	*p = (struct load_plan){ .ram_size = ram, .err = err, .errsize = 400 };
	err[0] = 0;
	return loader_plan(p, &k, mod, mods, append);
}

static void expect_error(struct load_file k, u64 ram, const char *says)
{
	struct load_plan p;
	char err[400];
	assert_false(plan(&p, err, k, ram, NULL, 0, ""));
	if (!strstr(err, says) || !strstr(err, k.name))
		fail_msg("said '%s', not '%s'", err, says);
	plan_fini(&p);
}

static void test_linux(void **state)
{
	struct load_plan p;
	char err[400];
	static u8 disk[10000] = { 1, 2, 3 };
	struct load_file initrd = { .name = "initrd", .data = disk, .len = sizeof(disk) };
	assert_true(plan(&p, err, make_linux(), 128 * MIB, &initrd, 1, "console=ttyS0"));
	assert_int_equal(p.eip, 0x100000);
	assert_int_equal(*at(&p, p.eip), 0x90);
	const u8 *bp = at(&p, p.esi);
	u64 initrd_at = get32(bp + 0x218);
	assert_int_equal(initrd_at, 128 * MIB - 12288);			/* the highest page border */
	assert_int_equal(get32(bp + 0x21c), sizeof(disk));
	assert_ptr_equal(at(&p, initrd_at), disk);
	assert_string_equal((const char *)at(&p, get32(bp + 0x228)), "console=ttyS0");
	assert_memory_equal(bp + 0x202, "HdrS", 4);
	assert_int_equal(bp[0x210], 0xff);
	assert_int_equal(get64(bp + 0x250), 0);				/* setup_data of a file is not believed */
	assert_int_equal(bp[7], 0);					/* no screen: no columns */
	u64 ram = 0;
	assert_int_equal(bp[0x1e8], 4);
	for (int i = 0; i < bp[0x1e8]; i++)
		ram += get32(bp + 0x2d0 + i * 20 + 16) == E820_RAM ? get64(bp + 0x2d0 + i * 20 + 8) : 0;
	assert_int_equal(ram, 127 * MIB + LOW_RAM_END);
	assert_int_equal(get64(at(&p, p.gdt + 0x10)), 0x00cf9b000000ffffull);
	assert_int_equal(get64(at(&p, p.gdt + 0x18)), 0x00cf93000000ffffull);
	plan_fini(&p);
}

static void test_linux_initrd_limit(void **state)
{
	struct load_plan p;
	char err[400];
	static u8 disk[4096];
	struct load_file initrd = { .name = "initrd", .data = disk, .len = sizeof(disk) }, k = make_linux();
	put32(image + 0x22c, 0x1ffffff);
	assert_true(plan(&p, err, k, 1024 * MIB, &initrd, 1, ""));
	assert_int_equal(get32(at(&p, p.esi) + 0x218), 0x2000000 - 4096);
	plan_fini(&p);
	put32(image + 0x22c, 0x17fffff);				/* the kernel itself needs memory up to there */
	assert_false(plan(&p, err, k, 1024 * MIB, &initrd, 1, ""));
	assert_non_null(strstr(err, "does not fit beside the kernel"));
	plan_fini(&p);
}

static void test_linux_bad(void **state)
{
	struct load_file k = make_linux();
	expect_error(k, 16 * MIB, "needs at least 24 MiB");
	k.len = 0x300;
	expect_error(k, 128 * MIB, "truncated in its header");
	k.len = 2048;
	expect_error(k, 128 * MIB, "truncated");
	k.len = 4000;
	expect_error(k, 128 * MIB, "truncated: 4000 bytes of 5120");
	k = make_linux();
	image[0x211] = 0;
	expect_error(k, 128 * MIB, "zImage");
	k = make_linux();
	image[0x236] = 1;
	expect_error(k, 128 * MIB, "64-bit");
	k = make_linux();
	put32(image + 0x214, 0x1000);
	expect_error(k, 128 * MIB, "below 1 MiB");
	k = make_linux();
	put32(image + 0x214, 0xfffffff0);
	expect_error(k, 128 * MIB, "never is memory");
	k = make_linux();
	put32(image + 0x230, 3);
	expect_error(k, 128 * MIB, "no power of two");
	k = make_linux();
	put64(image + 0x258, ~0ull - 100);
	expect_error(k, 128 * MIB, "never is memory");
	struct load_plan p;
	char err[400], *longer = calloc(1, 3000);
	memset(longer, 'x', 2500);
	assert_false(plan(&p, err, make_linux(), 128 * MIB, NULL, 0, longer));
	assert_non_null(strstr(err, "at most 2047"));
	plan_fini(&p);
	free(longer);
}

static void test_multiboot_elf(void **state)
{
	struct load_plan p;
	char err[400];
	static u8 m1[5000] = { 7 }, m2[10] = { 8 };
	struct load_file mods[] = { { .name = "one", .args = "a b", .data = m1, .len = sizeof(m1) },
		{ .name = "two", .data = m2, .len = sizeof(m2) } };
	assert_true(plan(&p, err, make_elf(), 16 * MIB, mods, 2, "x=y"));
	assert_int_equal(p.eip, 0x100010);				/* translated to where it was loaded */
	assert_int_equal(p.eax, 0x2badb002);
	assert_int_equal(piece_at(&p, 0x100000)->size, 8192);
	assert_int_equal(piece_at(&p, 0x100000)->len, 64);
	const u8 *mbi = at(&p, p.ebx);
	assert_int_equal(get32(mbi), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(get32(mbi + 4), 639);
	assert_int_equal(get32(mbi + 8), 15 * 1024);
	assert_string_equal((const char *)at(&p, get32(mbi + 16)), "k.elf x=y");
	assert_int_equal(get32(mbi + 20), 2);
	const u8 *mod = at(&p, get32(mbi + 24));
	assert_int_equal(get32(mod) & 4095, 0);
	assert_true(get32(mod) >= 0x102000);
	assert_ptr_equal(at(&p, get32(mod)), m1);
	assert_int_equal(get32(mod + 4) - get32(mod), sizeof(m1));
	assert_string_equal((const char *)at(&p, get32(mod + 8)), "one a b");
	assert_ptr_equal(at(&p, get32(mod + 16)), m2);
	assert_string_equal((const char *)at(&p, get32(mod + 24)), "two");
	assert_int_equal(get32(at(&p, get32(mbi + 48))), 20);
	assert_int_equal(get32(mbi + 44), 4 * 24);
	plan_fini(&p);
}

static void test_multiboot_raw(void **state)
{
	struct load_plan p;
	char err[400];
	assert_true(plan(&p, err, make_raw(), 16 * MIB, NULL, 0, ""));
	assert_int_equal(p.eip, 0x200040);
	assert_ptr_equal(at(&p, 0x200000), image + 32);
	assert_int_equal(piece_at(&p, 0x200000)->len, 0x80);
	assert_int_equal(piece_at(&p, 0x200000)->size, 0x1000);
	plan_fini(&p);
	struct load_file k = make_raw();
	put32(image + 64 + 20, 0);					/* to the end of the file */
	put32(image + 64 + 24, 0);					/* no bss */
	assert_true(plan(&p, err, k, 16 * MIB, NULL, 0, ""));
	assert_int_equal(piece_at(&p, 0x200000)->size, 224);
	plan_fini(&p);
}

static void test_multiboot_bad(void **state)
{
	struct load_file k = make_elf();
	expect_error(k, 1 * MIB, "not all memory");
	put32(image + 64, 0x9f000);					/* into the hole below 1 MiB */
	expect_error(k, 16 * MIB, "not all memory");
	k = make_elf();
	put32(image + 68, 0x10000);
	expect_error(k, 16 * MIB, "larger in the file");
	k = make_elf();
	put32(image + 56, 0xfffffff0);
	expect_error(k, 16 * MIB, "truncated");
	k = make_elf();
	put16(image + 44, 0xffff);
	expect_error(k, 16 * MIB, "bad program headers");
	k = make_elf();
	put32(image + 24, 0x5000);
	expect_error(k, 16 * MIB, "entry point");
	k = make_elf();
	image[4] = 2;
	expect_error(k, 16 * MIB, "64-bit ELF");
	k = make_elf();
	put32(image + 132, 0x103);
	put32(image + 136, -(0x1badb002u + 0x103));
	expect_error(k, 16 * MIB, "requires features");
	k = make_raw();
	put32(image + 64 + 16, 0x1fff00);				/* before the file's begin */
	expect_error(k, 16 * MIB, "does not match");
	k = make_raw();
	put32(image + 64 + 20, 0x300000);
	expect_error(k, 16 * MIB, "truncated");
	k = make_raw();
	put32(image + 64 + 20, 0x100000);
	expect_error(k, 16 * MIB, "wrong order");
	k = make_raw();
	put32(image + 64 + 24, 0xffffffff);
	expect_error(k, 16 * MIB, "not all memory");
}

static void test_no_kernel(void **state)
{
	struct load_file k = { .name = "f", .data = image, .len = 4096 };
	memset(image, 0, sizeof(image));
	expect_error(k, 16 * MIB, "neither a Linux kernel");
	k.len = 1;
	expect_error(k, 16 * MIB, "neither a Linux kernel");
	k.len = 4096;
	memcpy(image, "\x1f\x8b", 2);
	expect_error(k, 16 * MIB, "gzip");
	memcpy(image, "\x7f" "ELF", 4);
	expect_error(k, 16 * MIB, "without a Multiboot header");
	memset(image, 0, 4);
	put32(image + 64, 0xe85250d6);
	expect_error(k, 16 * MIB, "Multiboot 2");
}

static void test_open(void **state)
{
	char err[400], path[] = "/tmp/test_loader.XXXXXX";
	struct load_file k = make_elf();
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, k.data, k.len) == (ssize_t)k.len);
	close(fd);
	char mods[200];
	snprintf(mods, sizeof(mods), "%s first,%s", path, path);
	struct loader_options opt = { .kernel = path, .initrd = mods, .append = NULL, .ram_size = 16 * MIB };
	struct loader *l = loader_open(&opt, err, sizeof(err));
	assert_non_null(l);
	assert_string_equal(loader_kind(l), "Multiboot kernel (ELF)");
	loader_close(l);
	opt.initrd = "/nonexistent";
	assert_null(loader_open(&opt, err, sizeof(err)));
	assert_non_null(strstr(err, "/nonexistent: No such file"));
	opt.initrd = ",x";
	assert_null(loader_open(&opt, err, sizeof(err)));
	assert_non_null(strstr(err, "file name is empty"));
	opt.kernel = "/tmp";
	assert_null(loader_open(&opt, err, sizeof(err)));
	assert_string_equal(err, "/tmp: is a directory");
	opt.kernel = "/dev/zero";
	assert_null(loader_open(&opt, err, sizeof(err)));
	assert_non_null(strstr(err, "larger than 16 MiB"));
	opt.kernel = "/dev/null";
	assert_null(loader_open(&opt, err, sizeof(err)));
	assert_non_null(strstr(err, "is empty"));
	unlink(path);
}

static void test_firmware(void **state)
{
	char err[400], path[] = "/tmp/test_loader.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, image, 65536) == 65536);
	struct loader_options opt = { .firmware = path, .ram_size = MIB };
	struct loader *l = loader_open(&opt, err, sizeof(err));
	assert_non_null(l);
	assert_string_equal(loader_kind(l), "firmware of 64 KiB");
	loader_close(l);
	assert_int_equal(ftruncate(fd, 65535), 0);
	close(fd);
	assert_null(loader_open(&opt, err, sizeof(err)));
	assert_non_null(strstr(err, "is no ROM image: its size, 65535 bytes"));
	unlink(path);
}

/* Behind firmware: the 16-bit protocol. The setup code keeps its bytes but for the header's fields, and what the BIOS uses stays free. */
static void test_linux_behind_firmware(void **state)
{
	char err[400];
	struct load_plan p = { .ram_size = 64 * MIB, .err = err, .errsize = sizeof(err), .behind_firmware = true };
	static const u8 module[5000] = "initrd";
	struct load_file k = make_linux(), initrd = { .name = "initrd", .data = module, .len = sizeof(module) };
	put16(image + 0x224, 0x1111);
	image[700] = 0x77;
	put32(image + 0x214, 0);	/* iPXE's */
	assert_true(loader_plan(&p, &k, &initrd, 1, "console=tty0"));
	assert_int_equal(p.real_seg, 0x1000);
	assert_int_equal(at(&p, 0x10000 + 700)[0], 0x77);
	assert_int_equal(at(&p, 0x10000 + 0x211)[0], 0x81);		/* loaded high, the heap may be used */
	assert_int_equal(get16(at(&p, 0x10000 + 0x224)), p.real_sp - 0x200);
	u32 text = get32(at(&p, 0x10000 + 0x228)), rd = get32(at(&p, 0x10000 + 0x218));
	assert_true(text >= 0x10000u + p.real_sp && text < EBDA_FIRST);
	assert_string_equal((const char *)at(&p, text), "console=tty0");
	assert_int_equal(get32(at(&p, 0x10000 + 0x21c)), 5000);
	assert_memory_equal(at(&p, rd), "initrd", 6);
	assert_true(rd >= 0x1800000 && rd + 5000 <= 64 * MIB);		/* clear of where the kernel runs */
	assert_int_equal(at(&p, 0x100000)[0], 0x90);
	for (u32 i = 0; i < p.count; i++)
		assert_true(p.piece[i].gpa >= 0x10000 && (p.piece[i].gpa >= HIGH_RAM || p.piece[i].gpa + p.piece[i].size <= EBDA_FIRST));
	plan_fini(&p);

	image[0x211] = 0;	/* a zImage: code at 10000h, setup at 90000h */
	p = (struct load_plan){ .ram_size = 64 * MIB, .err = err, .errsize = sizeof(err), .behind_firmware = true };
	assert_true(loader_plan(&p, &k, NULL, 0, ""));
	assert_int_equal(p.real_seg, 0x9000);
	assert_int_equal(at(&p, 0x10000)[0], 0x90);
	plan_fini(&p);
	p = (struct load_plan){ .ram_size = 64 * MIB, .err = err, .errsize = sizeof(err) };
	assert_false(loader_plan(&p, &k, NULL, 0, ""));
	assert_non_null(strstr(err, "zImage"));
	plan_fini(&p);
}

/* What a BIOS looks at: signatures, lengths, checksums, the boot entry, which writes to the port and goes no further. */
static void test_boot_rom(void **state)
{
	u8 rom[LOADER_ROM_BYTES], sum = 0;
	loader_boot_rom(rom, 0x1234);
	for (u32 i = 0; i < sizeof(rom); i++)
		sum = (u8)(sum + rom[i]);
	assert_int_equal(sum, 0);
	assert_int_equal(get16(rom), 0xaa55);
	assert_int_equal(rom[2] * 512, sizeof(rom));
	const u8 *pnp = rom + get16(rom + 0x1a);
	assert_memory_equal(pnp, "$PnP", 4);
	for (u32 i = sum = 0; i < pnp[5] * 16u; i++)
		sum = (u8)(sum + pnp[i]);
	assert_int_equal(sum, 0);
	const u8 *bev = rom + get16(pnp + 0x1a);
	assert_memory_equal(bev, "\xfa\xba\x34\x12\xee\xeb\xfe", 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linux), cmocka_unit_test(test_linux_initrd_limit), cmocka_unit_test(test_linux_bad),
		cmocka_unit_test(test_linux_behind_firmware), cmocka_unit_test(test_boot_rom),
		cmocka_unit_test(test_multiboot_elf), cmocka_unit_test(test_multiboot_raw), cmocka_unit_test(test_multiboot_bad),
		cmocka_unit_test(test_no_kernel), cmocka_unit_test(test_open), cmocka_unit_test(test_firmware),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
