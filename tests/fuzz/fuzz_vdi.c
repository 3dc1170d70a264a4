/*
 * fuzz_vdi.c - 'make fuzz T=vdi': damaged and hostile VirtualBox images, read, written and repaired.
 */
/* objs: tests/fuzz/lib/bytes.o tests/fuzz/lib/disk.o images/all monitor/lib/all */
#include "images/bytes.h"
#include "tests/fuzz/lib/disk.h"

/* UUIDs are random. */
static void fix(u8 *data, u64 len)
{
	memset(data + 0x188, 0x11, 32);
}

/* Blocks of 4 KiB right behind the map, or inputs would be megabytes long. */
static void fix_small(u8 *data, u64 len)
{
	fix(data, len);
	put_le32(data + 0x158, 1024);
	put_le32(data + 0x178, 4096);
	put_le64(data + 0x170, le32(data + 0x180) * 4096ull);
}

static void seeds(struct fuzz *f)
{
	u8 small[1024 + 4 * 4096] = { 0 };
	static const char *const options[] = { NULL, "static=on" };
	for (u32 i = 0; i < ARRAY_SIZE(options); i++)
		fuzz_disk_seed(f, "vdi", "vdi", options[i], 1 << 20, fix);
	memcpy(small, "<<< Oracle VM VirtualBox Disk Image >>>\n", 40);
	put_le32(small + 0x40, 0xbeda107f);
	put_le32(small + 0x44, 0x00010001);
	put_le32(small + 0x48, 0x190);
	put_le32(small + 0x4c, 1);
	put_le32(small + 0x154, 512);
	put_le32(small + 0x168, 512);
	put_le32(small + 0x180, 16);
	put_le32(small + 0x184, 4);
	for (u32 i = 0; i < 16; i++)
		put_le32(small + 512 + i * 4, i % 4 ? 0xffffffff : 3 - i / 4);
	fix_small(small, sizeof(small));
	fuzz_seed(f, small, sizeof(small));
	put_le32(small + 512, 0xfffffffe);
	put_le32(small + 0x184, 3);
	fuzz_seed(f, small, sizeof(small));
}

static void one(struct fuzz *f, u8 *data, u64 len) { fuzz_disk_one(f, "vdi", data, len); }

int main(int argc, char **argv)
{
	static const struct fuzz_bytes target = { .name = "vdi", .seeds = seeds, .one = one, .hot = 600, .max_len = 40000,
		.growth_kib = 600 << 10 };
	return fuzz_bytes_main(argc, argv, &target);
}
