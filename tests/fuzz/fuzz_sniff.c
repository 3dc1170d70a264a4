/*
 * fuzz_sniff.c - 'make fuzz T=sniff': what 'ringfence run FILE' finds out about a file, whatever is in it. The answer must be a kind, or
 * an error with a sentence, and the same twice.
 */
/* objs: tests/fuzz/lib/bytes.o images/all monitor/lib/all */
#include "images/sniff.h"
#include "tests/fuzz/lib/bytes.h"
#include <stdlib.h>
#include <string.h>

static void boot_sector(u8 *p)
{
	memcpy(p, "\xeb\x3c\x90MSDOS5.0", 11);
	p[510] = 0x55;
	p[511] = 0xaa;
}

static void seeds(struct fuzz *f)
{
	static u8 image[80 << 10];
	boot_sector(image);
	fuzz_seed(f, image, 512);
	memcpy(image + 446, "\x80\1\1\0\x83\xfe\xff\xff\x3f\0\0\0\0\x10\0\0", 16);
	fuzz_seed(f, image, 1536);
	memcpy(image + 512, "EFI PART", 8);
	fuzz_seed(f, image, 4096);
	for (u32 i = 16; i < 20; i++)
		memcpy(image + i * 2048 + 1, "CD001\1", 6);
	image[16 * 2048] = 1;
	memcpy(image + 17 * 2048 + 7, "EL TORITO SPECIFICATION", 23);
	image[18 * 2048] = 0xff;
	fuzz_seed(f, image, sizeof(image));
	memset(image, 0, sizeof(image));
	boot_sector(image);
	memcpy(image + 0x202, "HdrS", 4);
	fuzz_seed(f, image, 2048);
	memset(image, 0, sizeof(image));
	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	memcpy(image + 64, "\2\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4", 12);
	fuzz_seed(f, image, 9000);
	fuzz_seed(f, image + 4, 8300);
	memset(image, 0, sizeof(image));
	image[1080] = 0x53;
	image[1081] = 0xef;
	fuzz_seed(f, image, 8192);
}

static void one(struct fuzz *f, u8 *data, u64 len)
{
	struct image_look look, twice;
	char err[200] = "";
	const char *path = fuzz_file(f, "image", data, len);
	enum image_kind kind = image_sniff(path, &look, err, sizeof(err));
	if (kind == IMAGE_ERROR && !err[0])
		fuzz_fail(f, "an error without a sentence");
	if (kind != image_sniff(path, &twice, err, sizeof(err)) || look.bootable != twice.bootable || look.hybrid != twice.hybrid)
		fuzz_fail(f, "another answer the second time");
	if (kind != IMAGE_ERROR && look.size != len)
		fuzz_fail(f, "the size is wrong");
	kind > IMAGE_UNKNOWN ? f->accepted++ : f->refused++;
}

int main(int argc, char **argv)
{
	static const char *const words[] = { "CD001", "EL TORITO SPECIFICATION", "EFI PART", "HdrS", "\x7f" "ELF", "QFI\xfb", "KDMV", "conectix",
		"# Disk DescriptorFile", "Bochs Virtual HD Image", "\x55\xaa", "NTFS", "XFSB", NULL };
	static const struct fuzz_bytes target = { .name = "sniff", .seeds = seeds, .one = one, .words = words, .hot = 1100, .max_len = 200 << 10 };
	return fuzz_bytes_main(argc, argv, &target);
}
