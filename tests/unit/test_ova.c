/*
 * test_ova.c - appliances: what a descriptor says, the manifest, and archives that want more than they may.
 */
/* objs: images/ova.o images/ovf.o images/digest.o images/hostio.o monitor/lib/bug.o */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "images/ova.h"
#include "tests/unit/ova_seed.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_OVA
static char err[512];

static struct ovf *parse(const char *xml) { return ovf_parse(xml, strlen(xml), "x.ovf", err, sizeof(err)); }

static void test_descriptor(void **state)
{
	struct ovf *o = parse(descriptor);
	assert_non_null(o);
	assert_string_equal(o->name, "An old system");
	assert_string_equal(o->os, "Other_x");
	assert_int_equal(o->memory, 256 << 20);
	assert_int_equal(o->cpus, 2);
	assert_int_equal(o->nics, 1);
	assert_int_equal(o->disks, 2);
	assert_true(o->disk[0].capacity == 8ull << 30 && o->disk[0].file == 0);
	assert_true(o->disk[1].capacity == 1 << 20 && o->disk[1].file == -1);
	assert_int_equal(o->drives, 3);		/* by controller and address, not by their order */
	assert_true(o->drive[0].kind == OVF_HARD_DISK && o->drive[0].disk == 0);
	assert_true(o->drive[1].kind == OVF_CDROM && o->drive[1].file == 1);
	assert_true(o->drive[2].kind == OVF_HARD_DISK && o->drive[2].disk == 1 && o->drive[2].controller == 1);
	assert_int_equal(o->notes, 2);
	assert_non_null(strstr(o->note[0], "SCSI"));
	assert_non_null(strstr(o->note[1], "sound"));
	ovf_free(o);
}

/* The descriptor with one piece of it replaced. */
static char *with(const char *old, const char *new)
{
	char *at = strstr(descriptor, old), *text;
	assert_non_null(at);
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - descriptor), descriptor, new, at + strlen(old)) > 0);
	return text;
}

static void test_bad_descriptors(void **state)
{
	static const struct { const char *old, *new, *says; } bad[] = {
		{ "</Envelope>", "", "no well-formed XML" },
		{ "<?xml version=\"1.0\"?>", "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>", "document type declaration" },
		{ "<?xml version=\"1.0\"?>", "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">", "document type declaration" },
		{ "disk1.vmdk", "../disk1.vmdk", "outside of its own folder" },
		{ "disk1.vmdk", "/etc/passwd", "outside of its own folder" },
		{ "disk1.vmdk", "http://host/disk1.vmdk", "outside of its own folder" },
		{ "ovf:size=\"9\"", "ovf:size=\"-9\"", "no number as the size" },
		{ "ovf:size=\"9\"", "ovf:size=\"9\" ovf:chunkSize=\"4\"", "in chunks" },
		{ "ovf:capacity=\"8\"", "ovf:capacity=\"99999999999999999999\"", "no capacity" },
		{ "byte * 2^30", "byte * 2^99", "no capacity" },
		{ "byte * 2^30", "elephants", "no capacity" },
		{ "fileRef=\"file1\"", "fileRef=\"file7\"", "no File for the disk" },
		{ "/disk/vmdisk1<", "/disk/vmdisk9<", "disk that is not there" },
		{ "/file/file2", "/file/", "file that is not there" },
		{ ">/disk/vmdisk1<", "><", "without a disk" },
		{ ">256<", ">much<", "no size of the memory" },
		{ ">2<", ">2<", NULL },
		{ "<VirtualSystem ovf:id=\"old\">", "<Other>", "no well-formed XML" },
		{ "<VirtualHardwareSection>", "<VirtualHardwareSection><Item><rasd:ResourceType>3</rasd:ResourceType></Item>", "number of processors" },
	};
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		char *text = with(bad[i].old, bad[i].new);
		struct ovf *o = parse(text);
		if (!bad[i].says)
			assert_non_null(o);
		else if (o || !strstr(err, bad[i].says))
			fail_msg("'%s' for '%s': %s", bad[i].new, bad[i].old, o ? "taken" : err);
		ovf_free(o);
		free(text);
	}
	assert_null(parse("<Envelope/>"));
	assert_non_null(strstr(err, "describes no machine"));
	assert_null(parse(""));
}

/* --- archives: a writer of ustar members, which writes what it is told --- */

static char folder[64], path[128];
static FILE *tar;

static void tar_begin(void)
{
	tar = fopen(path, "wb");
	assert_non_null(tar);
}

static void tar_add(const char *name, char type, const void *data, size_t len, size_t claimed)
{
	char h[512] = { 0 };
	unsigned sum = 0;
	strncpy(h, name, 100);
	strcpy(h + 100, "0000644");
	strcpy(h + 108, "0000000");
	strcpy(h + 116, "0000000");
	snprintf(h + 124, 12, "%011lo", (unsigned long)claimed);
	strcpy(h + 136, "00000000000");
	memset(h + 148, ' ', 8);
	h[156] = type;
	if (type != '0')
		strcpy(h + 157, "/etc/passwd");
	memcpy(h + 257, "ustar\00000", 8);
	for (int i = 0; i < 512; i++)
		sum += (u8)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	fwrite(h, 1, 512, tar);
	fwrite(data, 1, len, tar);
	for (; len % 512; len++)
		fputc(0, tar);
}

static void tar_end(void)
{
	char zero[1024] = { 0 };
	fwrite(zero, 1, sizeof(zero), tar);
	fclose(tar);
}


static char *hex_of(enum digest_kind kind, const void *data, size_t len)
{
	static char hex[2 * DIGEST_MAX + 1];
	u8 out[DIGEST_MAX];
	struct digest *d = digest_new(kind);
	digest_add(d, data, len);
	digest_end(d, out);
	for (u32 i = 0; i < digest_bytes(kind); i++)
		snprintf(hex + 2 * i, 3, "%02x", out[i]);
	return hex;
}

static void test_digests(void **state)
{
	assert_string_equal(hex_of(DIGEST_SHA1, "abc", 3), "a9993e364706816aba3e25717850c26c9cd0d89d");	/* FIPS 180-4's examples */
	assert_string_equal(hex_of(DIGEST_SHA256, "abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(digest_kind("sha512", 6), DIGEST_SHA512);
	assert_int_equal(digest_kind("SHA", 3), DIGEST_NONE);
	assert_int_equal(digest_kind("", 0), DIGEST_NONE);
}

static int entries(void)
{
	DIR *d = opendir(folder);
	int n = -2;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int setup(void **state)
{
	strcpy(folder, "/tmp/ringfence-ova-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s.ova", folder);
	return 0;
}

static int teardown(void **state)
{
	char command[256];
	snprintf(command, sizeof(command), "rm -r '%s' '%s'", folder, path);
	return system(command);
}

static const char disk[] = "the disk\n", cd[] = "the cd\n";

static void good(const char *manifest_digest)
{
	char mf[512];
	tar_begin();
	tar_add("x.ovf", '0', descriptor, strlen(descriptor), strlen(descriptor));
	snprintf(mf, sizeof(mf), "SHA256(disk1.vmdk)= %s\r\nSHA1 (cd.iso) = %s\n", manifest_digest, hex_of(DIGEST_SHA1, cd, strlen(cd)));
	tar_add("x.mf", '0', mf, strlen(mf), strlen(mf));
	tar_add("disk1.vmdk", '0', disk, strlen(disk), strlen(disk));
	tar_add("cd.iso", '0', cd, strlen(cd), strlen(cd));
	tar_add("leaflet.txt", '0', cd, strlen(cd), strlen(cd));
	tar_end();
}

static void test_archive(void **state)
{
	char hex[65], text[32] = { 0 };
	strcpy(hex, hex_of(DIGEST_SHA256, disk, strlen(disk)));
	good(hex);
	struct ova *a = ova_open(path, err, sizeof(err));
	if (!a)
		fail_msg("%s", err);
	assert_true(ova_has_manifest(a));
	assert_true(ova_unpack(a, folder, NULL, NULL, err, sizeof(err)));
	char *name = ova_file_path(a, 0, folder);
	FILE *f = fopen(name, "rb");
	assert_non_null(f);
	assert_int_equal(fread(text, 1, sizeof(text), f), strlen(disk));
	assert_string_equal(text, disk);
	fclose(f);
	free(name);
	assert_int_equal(entries(), 2);		/* what nobody refers to stays in the archive */
	assert_false(ova_unpack(a, folder, NULL, NULL, err, sizeof(err)));	/* nothing is overwritten */
	assert_int_equal(entries(), 2);
	ova_close(a);
}

static void test_changed(void **state)
{
	char hex[65];
	strcpy(hex, hex_of(DIGEST_SHA256, cd, strlen(cd)));
	good(hex);
	struct ova *a = ova_open(path, err, sizeof(err));
	assert_non_null(a);
	assert_false(ova_unpack(a, folder, NULL, NULL, err, sizeof(err)));
	assert_non_null(strstr(err, "another digest for 'disk1.vmdk'"));
	assert_int_equal(entries(), 0);
	ova_close(a);
}

static void refused(const char *says)
{
	struct ova *a = ova_open(path, err, sizeof(err));
	if (a || !strstr(err, says))
		fail_msg("not '%s': %s", says, a ? "taken" : err);
}

static void test_hostile(void **state)
{
	static const struct { const char *name; char type; const char *says; } bad[] = {
		{ "../disk1.vmdk", '0', "no plain file name" }, { "/tmp/disk1.vmdk", '0', "no plain file name" },
		{ ".profile", '0', "no plain file name" }, { "a/disk1.vmdk", '0', "no plain file name" },
		{ "disk1.vmdk", '2', "no ordinary file" }, { "disk1.vmdk", '1', "no ordinary file" }, { "disk1.vmdk", '5', "no ordinary file" },
		{ "disk1.vmdk", '3', "no ordinary file" }, { "x.ovf", '0', "two members of one name" },
	};
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		tar_begin();
		tar_add("x.ovf", '0', descriptor, strlen(descriptor), strlen(descriptor));
		tar_add(bad[i].name, bad[i].type, "", 0, 0);
		tar_end();
		refused(bad[i].says);
	}
	tar_begin();
	tar_add("x.ovf", '0', descriptor, strlen(descriptor), strlen(descriptor));
	tar_end();
	refused("lacks a file that its descriptor refers to: 'disk1.vmdk'");
	tar_begin();
	tar_add("disk1.vmdk", '0', disk, strlen(disk), 1ul << 32);
	tar_end();
	refused("larger than the archive");
	tar_begin();
	tar_add("disk1.vmdk", '0', disk, strlen(disk), strlen(disk));
	tar_end();
	refused("no descriptor");
	tar_begin();
	for (int i = 0; i < 300; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%d", i);
		tar_add(name, '0', "", 0, 0);
	}
	tar_end();
	refused("too many files");
}

/* Cut anywhere it is refused, at once or when its contents are read, and leaves nothing. */
static void test_truncated(void **state)
{
	char hex[65];
	struct stat st;
	strcpy(hex, hex_of(DIGEST_SHA256, disk, strlen(disk)));
	good(hex);
	assert_int_equal(stat(path, &st), 0);
	for (off_t len = st.st_size - 1024 - 512 - 1; len >= 0; len -= 97) {
		assert_int_equal(truncate(path, len), 0);
		struct ova *a = ova_open(path, err, sizeof(err));
		if (a)
			assert_false(ova_unpack(a, folder, NULL, NULL, err, sizeof(err)));
		assert_int_equal(entries(), 0);
		ova_close(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptor), cmocka_unit_test(test_bad_descriptors), cmocka_unit_test(test_digests),
		cmocka_unit_test_setup_teardown(test_archive, setup, teardown), cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown), cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void test_nothing(void **state)
{
	printf("built without libarchive, libxml2 and nettle: no appliances\n");
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
