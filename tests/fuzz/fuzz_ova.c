/*
 * fuzz_ova.c - 'make fuzz T=ova': descriptors and archives with bytes changed, moved, doubled and left out. Nothing may lie outside of
 * the folder that an archive is unpacked into, nor stay behind when it is refused.
 */
/* objs: tests/fuzz/lib/bytes.o images/ova.o images/ovf.o images/digest.o images/hostio.o monitor/lib/bug.o */
#define _GNU_SOURCE
#include "images/ova.h"
#include "tests/fuzz/lib/bytes.h"
#include "tests/unit/ova_seed.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_OVA
static size_t member(u8 *to, const char *name, const void *data, size_t len)
{
	char *h = (char *)to;
	unsigned sum = 0;
	memset(h, 0, 512);
	strcpy(h, name);
	snprintf(h + 124, 12, "%011lo", (unsigned long)len);
	memset(h + 148, ' ', 8);
	h[156] = '0';
	memcpy(h + 257, "ustar\00000", 8);
	for (int i = 0; i < 512; i++)
		sum += to[i];
	snprintf(h + 148, 8, "%06o", sum);
	memcpy(to + 512, data, len);
	memset(to + 512 + len, 0, -len & 511);
	return 512 + ((len + 511) & ~(size_t)511);
}

/* A descriptor by itself, and an archive. */
static void seeds(struct fuzz *f)
{
	static const char manifest[] = "SHA1(disk1.vmdk)= da39a3ee5e6b4b0d3255bfef95601890afd80709\nSHA256(cd.iso)= "
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
	static u8 tar[64 << 10];
	size_t at = member(tar, "x.ovf", descriptor, sizeof(descriptor) - 1);
	at += member(tar + at, "x.mf", manifest, sizeof(manifest) - 1);
	at += member(tar + at, "disk1.vmdk", "", 0);
	at += member(tar + at, "cd.iso", "", 0);
	fuzz_seed(f, tar, at + 1024);
	fuzz_seed_text(f, descriptor);
}

/* Headers of a tar archive where they are in the seed have their sums made right, or little is reached behind them. */
static void mend(struct fuzz *f, u8 *data, u64 len)
{
	for (u64 at = 0; at + 512 <= len; at += 512) {
		u8 *h = data + at;
		char sum_is[9];
		unsigned sum = 8 * ' ';
		if (memcmp(h + 257, "ustar", 5))
			continue;
		for (int i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : h[i];
		snprintf(sum_is, sizeof(sum_is), "%06o", sum & 0777777);
		memcpy(h + 148, sum_is, 8);
	}
}

/* Empties the folder; false: there is something that no member can be called. */
static bool sweep(const char *dir)
{
	DIR *d = opendir(dir);
	bool ok = true;
	for (struct dirent *e; (e = readdir(d));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		ok &= ovf_plain_name(e->d_name);
		unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	return ok;
}

static void one(struct fuzz *f, u8 *data, u64 len)
{
	char err[512], folder[300];
	struct ovf *o = ovf_parse((const char *)data, len, "x.ovf", err, sizeof(err));
	ovf_free(o);
	snprintf(folder, sizeof(folder), "%s/unpacked", f->dir);
	mkdir(folder, 0700);
	struct ova *a = ova_open(fuzz_file(f, "x.ova", data, len), err, sizeof(err));
	*(o || a ? &f->accepted : &f->refused) += 1;
	if (a && !ova_unpack(a, folder, NULL, NULL, err, sizeof(err)) && rmdir(folder))
		fuzz_fail(f, "what was unpacked stays behind: %s", err);
	ova_close(a);
	mkdir(folder, 0700);
	if (!sweep(folder))
		fuzz_fail(f, "a file has a name that no member may have");
	rmdir(folder);
}

int main(int argc, char **argv)
{
	static const char *const words[] = { "<Item>", "</Item>", "&lt;", "/disk/vmdisk1", "<!DOCTYPE a [", "]>", "9999999999999999999",
		"byte * 2^60", "../", "<![CDATA[", "\"", "SHA256(disk1.vmdk)= 00", "ovf:id=\"file1\" ", NULL };
	static const struct fuzz_bytes target = { .name = "ova", .seeds = seeds, .one = one, .mend = mend, .words = words,
		.max_len = 64 << 10, .growth_kib = 512 << 10 /* asan keeps what was freed for a while */ };
	return fuzz_bytes_main(argc, argv, &target);
}
#else
int main(void)
{
	fprintf(stderr, "built without libarchive, libxml2 and nettle: no appliances\n");
	return 77;
}
#endif
