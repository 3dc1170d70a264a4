/*
 * fuzz_vmdk.c - 'make fuzz T=vmdk': damaged and hostile VMware disks, read, written and repaired: descriptors, tables, compressed grains.
 */
/* objs: tests/fuzz/lib/bytes.o tests/fuzz/lib/disk.o images/all monitor/lib/all */
#define _GNU_SOURCE
#include "images/bytes.h"
#include "images/vmdk.h"
#include "tests/fuzz/lib/disk.h"

/* The content ID is random. */
static void fix(u8 *data, u64 len)
{
	u8 *at = memmem(data, len, "\nCID=", 5);
	for (u8 *p = at ? at + 5 : NULL; p && *p != '\n'; p++)
		*p = '7';
}

/* Grains of 4 KiB and tables of 8, so that an input has several of each. */
static void small(struct fuzz *f, u32 flags)
{
	u8 data[16384 + 4 * 4096] = { 0 };
	put_le32(data, VMDK_MAGIC);
	put_le32(data + S_VERSION, 1);
	put_le32(data + S_FLAGS, flags);
	put_le64(data + S_CAPACITY, 30 * 8);
	put_le64(data + S_GRAIN, 8);
	put_le64(data + S_DESCRIPTOR, 1);
	put_le64(data + S_DESCRIPTOR_SIZE, 2);
	put_le32(data + S_TABLE_ENTRIES, 8);
	put_le64(data + S_REDUNDANT, 3);
	put_le64(data + S_DIRECTORY, 4);
	put_le64(data + S_OVERHEAD, 32);
	memcpy(data + S_NEWLINES, "\n \r\n", 4);
	strcpy((char *)data + 512, "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n\n"
		"RW 240 SPARSE \"case.img\"\n\nddb.adapterType = \"ide\"\nddb.geometry.cylinders = \"1\"\n");
	for (u32 t = 0; t < 4; t++) {
		put_le32(data + 3 * 512 + t * 4, 5 + t);
		put_le32(data + 4 * 512 + t * 4, 9 + t);
		for (u32 copy = 5; copy <= 9; copy += 4)
			put_le32(data + (copy + t) * 512 + t * 4, 32 + t * 8);
	}
	put_le32(data + 5 * 512 + 4, 1);
	put_le32(data + 9 * 512 + 4, 1);
	fuzz_seed(f, data, sizeof(data));
}

static void seeds(struct fuzz *f)
{
	static const char *const options[] = { "subformat=streamOptimized", "subformat=monolithicSparse" };
	small(f, VMDK_NEWLINE_TEST | VMDK_HAS_REDUNDANT);
	small(f, VMDK_NEWLINE_TEST | VMDK_HAS_REDUNDANT | VMDK_ZEROED_GRAINS);
	for (u32 i = 0; i < ARRAY_SIZE(options); i++)
		fuzz_disk_seed(f, "vmdk", "vmdk", options[i], 70000, fix);
	fuzz_seed_text(f, "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"custom\"\n"
		"RW 1 FLAT \"case.img\" 0\nRW 10 ZERO\nRDONLY 2 FLAT \"case.img\" 1\nRW 240 SPARSE \"case.img\"\nRW 1 VMFS \"/etc/passwd\"\n");
	fuzz_seed_text(f, "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=12345678\nparentFileNameHint=\"case.img\"\n"
		"createType=\"monolithicFlat\"\nRW 3 ZERO\n");
}

static void one(struct fuzz *f, u8 *data, u64 len) { fuzz_disk_one(f, "vmdk", data, len); }

int main(int argc, char **argv)
{
	static const char *const words[] = { "RW 240 SPARSE \"case.img\"\n", "RW 1 FLAT \"case.img\" 0\n", "RW 9 ZERO\n", "parentCID=12345678\n",
		"parentFileNameHint=\"case.img\"\n", "CID=", "createType=\"twoGbMaxExtentSparse\"\n", "\"../../x\"", "KDMV", NULL };
	static const struct fuzz_bytes target = { .name = "vmdk", .seeds = seeds, .one = one, .words = words, .hot = 8192, .max_len = 200000,
		.growth_kib = 600 << 10 };
	return fuzz_bytes_main(argc, argv, &target);
}
