/*
 * fuzz_bochs.c - 'make fuzz T=bochs': damaged and hostile images of Bochs, read, written and repaired.
 */
/* objs: tests/fuzz/lib/bytes.o tests/fuzz/lib/disk.o images/all monitor/lib/all */
#include "images/bytes.h"
#include "tests/fuzz/lib/disk.h"

/* Extents of 4 KiB with a bitmap that is not all ones. */
static void seeds(struct fuzz *f)
{
	u8 small[512 + 512 + 3 * 4608] = { 0 };
	memcpy(small, "Bochs Virtual HD Image", 22);
	memcpy(small + 32, "Redolog", 7);
	memcpy(small + 48, "Growing", 7);
	put_le32(small + 64, 0x00020000);
	put_le32(small + 68, 512);
	put_le32(small + 72, 128);
	put_le32(small + 76, 1);
	put_le32(small + 80, 4096);
	put_le64(small + 88, 100 * 4096);
	memset(small + 512, 0xff, 512);
	for (u32 i = 0; i < 3; i++) {
		put_le32(small + 512 + i * 8, i);
		small[1024 + i * 4608] = (u8)(0xff >> i);
	}
	fuzz_seed(f, small, sizeof(small));
	put_le32(small + 64, 0x00010000);
	put_le64(small + 84, 100 * 4096);
	fuzz_seed(f, small, sizeof(small));
}

static void one(struct fuzz *f, u8 *data, u64 len) { fuzz_disk_one(f, "bochs", data, len); }

int main(int argc, char **argv)
{
	static const struct fuzz_bytes target = { .name = "bochs", .seeds = seeds, .one = one, .hot = 1100, .max_len = 40000,
		.growth_kib = 600 << 10 };
	return fuzz_bytes_main(argc, argv, &target);
}
