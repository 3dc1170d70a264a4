/*
 * fuzz_ova.c - 'make fuzz T=ova': descriptors and archives with bytes changed, moved, doubled and left out. No crash, no hang, no file
 * outside of the folder or left behind, no unbounded memory. Run it with M=asan and M=ubsan.
 *
 *     fuzz_ova [-t SECONDS] [-s SEED]
 */
/* objs: images/ova.o images/ovf.o images/digest.o images/hostio.o monitor/lib/bug.o */
#define _GNU_SOURCE
#include "images/ova.h"
#include "tests/unit/ova_seed.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_OVA
#define ROOM         (64u << 10)
#define HANG_SECONDS 20
#define GROWTH_MAX_KIB (512l << 10)	/* asan keeps what was freed for a while */

static u64 rng;
static char folder[] = "/tmp/ringfence-fuzz-ova-XXXXXX", err[512];

static u32 rnd(u32 below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (u32)(rng >> 20) % below;
}

static size_t mutate(u8 *text, size_t len)
{
	static const char *const words[] = { "<Item>", "</Item>", "&lt;", "/disk/vmdisk1", "<!DOCTYPE a [", "]>", "9999999999999999999",
		"byte * 2^60", "../", "<![CDATA[", "\"", "SHA256(disk1.vmdk)= 00", "ovf:id=\"file1\" " };
	for (u32 n = 1 + rnd(6); n && len > 64; n--) {
		u32 at = rnd((u32)len), piece = 1 + rnd(rnd(2) ? 8 : 400), to = rnd((u32)len);
		const char *word = words[rnd(ARRAY_SIZE(words))];
		switch (rnd(5)) {
		case 0: text[at] = (u8)rnd(256); break;
		case 1: text[at] ^= (u8)(1 << rnd(8)); break;
		case 2:		/* left out */
			piece = at + piece > len ? (u32)len - at : piece;
			memmove(text + at, text + at + piece, len - at - piece);
			len -= piece;
			break;
		case 3:		/* doubled, or moved over something */
			piece = (at > to ? at : to) + piece > len ? 1 : piece;
			memmove(text + to, text + at, piece);
			break;
		case 4:
			if (len + strlen(word) > ROOM)
				break;
			memmove(text + at + strlen(word), text + at, len - at);
			memcpy(text + at, word, strlen(word));
			len += strlen(word);
			break;
		}
	}
	return len;
}

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

/* A whole archive, changed only in the descriptor or the manifest, where the sums of headers still hold, or anywhere. */
static size_t archive(u8 *to)
{
	static const char manifest[] = "SHA1(disk1.vmdk)= da39a3ee5e6b4b0d3255bfef95601890afd80709\nSHA256(cd.iso)= "
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
	static u8 text[ROOM];
	bool inside = rnd(2);
	size_t len = sizeof(descriptor) - 1, at;
	memcpy(text, descriptor, len);
	at = member(to, "x.ovf", text, inside && rnd(2) ? mutate(text, len) : len);
	len = sizeof(manifest) - 1;
	memcpy(text, manifest, len);
	at += member(to + at, "x.mf", text, inside ? mutate(text, len) : len);
	at += member(to + at, "disk1.vmdk", "", 0);
	at += member(to + at, "cd.iso", "", 0);
	memset(to + at, 0, 1024);
	return inside ? at + 1024 : mutate(to, at + 1024);
}

/* Empties the folder; false: there is something that no member can be called. */
static bool sweep(void)
{
	DIR *d = opendir(folder);
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

static bool try_archive(u8 *bytes)
{
	char name[32];
	int fd = memfd_create("ova", MFD_CLOEXEC);
	size_t len = archive(bytes);
	bug_on(fd < 0 || write(fd, bytes, len) != (ssize_t)len, "no file in memory");
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	struct ova *a = ova_open(name, err, sizeof(err));
	bool ok = true;
	if (a && !ova_unpack(a, folder, NULL, NULL, err, sizeof(err)))
		ok = !rmdir(folder) && !mkdir(folder, 0700);
	ova_close(a);
	close(fd);
	return sweep() && ok;
}

static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static long memory_kib(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

int main(int argc, char **argv)
{
	static u8 bytes[4 * ROOM];
	double limit = 10, start = seconds();
	u64 seed = 1, count = 0, taken = 0;
	int c;
	while ((c = getopt(argc, argv, "t:s:")) != -1) {
		if (c == 't')
			limit = strtod(optarg, NULL);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	rng = seed * 0x9e3779b97f4a7c15ull | 1;
	bug_on(!mkdtemp(folder), "no folder in /tmp");
	long before = 0;
	for (; seconds() - start < limit; count++) {
		alarm(HANG_SECONDS);
		memcpy(bytes, descriptor, sizeof(descriptor));
		struct ovf *o = ovf_parse((char *)bytes, mutate(bytes, sizeof(descriptor) - 1), "x.ovf", err, sizeof(err));
		taken += o != NULL;
		ovf_free(o);
		if (count % 8 == 0 && !try_archive(bytes)) {
			printf("seed %llu, case %llu: something was left or lies where it must not\n", (unsigned long long)seed, (unsigned long long)count);
			return 1;
		}
		if (count == 1000)
			before = memory_kib();
	}
	rmdir(folder);
	printf("ova: %llu cases, %llu of them taken, seed %llu, %ld KiB more memory\n", (unsigned long long)count, (unsigned long long)taken,
	       (unsigned long long)seed, count > 1000 ? memory_kib() - before : 0);
	return count > 1000 && memory_kib() - before > GROWTH_MAX_KIB;
}
#else
int main(void)
{
	fprintf(stderr, "built without libarchive, libxml2 and nettle: no appliances\n");
	return 77;
}
#endif
