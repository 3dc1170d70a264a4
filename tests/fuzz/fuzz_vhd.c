/*
 * fuzz_vhd.c - 'make fuzz T=vhd': damaged and hostile VHD images, read, written and repaired. Checksums are mostly put right.
 */
/* objs: tests/fuzz/lib/bytes.o tests/fuzz/lib/disk.o images/all monitor/lib/all */
#include "images/bytes.h"
#include "images/vhd.h"
#include "tests/fuzz/lib/disk.h"

static void sum(u8 *p, u32 len, u32 at) { put_be32(p + at, vhd_checksum(p, len, at)); }

static void sums(u8 *data, u64 len)
{
	if (len < 2048)
		return;
	sum(data + len - VHD_FOOTER_BYTES, VHD_FOOTER_BYTES, F_CHECKSUM);
	if (memcmp(data, "conectix", 8))
		return;
	sum(data, VHD_FOOTER_BYTES, F_CHECKSUM);
	u64 at = be64(data + F_HEADER_AT);
	if (at <= len - VHD_HEADER_BYTES)
		sum(data + at, VHD_HEADER_BYTES, H_CHECKSUM);
}

static void mend(struct fuzz *f, u8 *data, u64 len)
{
	if (fuzz_random(f, 8))
		sums(data, len);
}

/* Time and UUID change. */
static void fix(u8 *data, u64 len)
{
	for (u32 i = 0; i < 2; i++) {
		u8 *footer = i ? data + len - VHD_FOOTER_BYTES : data;
		if (!memcmp(footer, "conectix", 8)) {
			put_be32(footer + F_TIME, 0);
			memset(footer + F_UUID, 0x11, 16);
		}
	}
	sums(data, len);
}

/* Blocks of 4 KiB: an input has several. */
static void small(struct fuzz *f)
{
	u8 data[512 + 1024 + 512 + 3 * 4608 + 512] = { 0 };
	u8 *h = data + 512, *footer = data + sizeof(data) - 512;
	memcpy(data, "conectix", 8);
	put_be32(data + F_FEATURES, 2);
	put_be32(data + F_VERSION, 0x10000);
	put_be64(data + F_HEADER_AT, 512);
	put_be32(data + F_TYPE, VHD_DYNAMIC);
	put_be64(data + F_SIZE, 100 * 4096);
	memcpy(h, "cxsparse", 8);
	put_be64(h + H_NEXT, ~0ull);
	put_be64(h + H_TABLE_AT, 1536);
	put_be32(h + H_VERSION, 0x10000);
	put_be32(h + H_ENTRIES, 100);
	put_be32(h + H_BLOCK_SIZE, 4096);
	memset(data + 1536, 0xff, 512);
	for (u32 i = 0; i < 3; i++) {
		put_be32(data + 1536 + i * 8, 4 + i * 9);
		data[2048 + i * 4608] = (u8)(0xff << i);
	}
	memcpy(footer, data, 512);
	sums(data, sizeof(data));
	fuzz_seed(f, data, sizeof(data));
}

static void seeds(struct fuzz *f)
{
	small(f);
	fuzz_disk_seed(f, "vhd", "vpc", "subformat=fixed,force_size=on", 8192, fix);
	fuzz_disk_seed(f, "vhd", "vpc", "force_size=on", 65536, fix);
	fuzz_disk_seed(f, "vhd", NULL, "subformat=fixed", 4096, fix);
}

static void one(struct fuzz *f, u8 *data, u64 len) { fuzz_disk_one(f, "vhd", data, len); }

int main(int argc, char **argv)
{
	static const struct fuzz_bytes target = { .name = "vhd", .seeds = seeds, .one = one, .mend = mend, .hot = 2100, .max_len = 40000,
		.growth_kib = 600 << 10 };
	return fuzz_bytes_main(argc, argv, &target);
}
