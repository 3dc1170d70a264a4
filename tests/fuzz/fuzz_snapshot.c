/*
 * fuzz_snapshot.c - 'make fuzz T=snapshot': snapshot files that somebody has changed, restored in a whole machine, which then runs on.
 *
 * Some changes hit any byte; checksums notice those. Others are made inside an unpacked section, the directory or the header, and the
 * checksums made right again, so that what is behind them is reached: registers, chips' fields, the index of pages. Whatever the file: it
 * is refused with a sentence, or the machine goes on (and may well crash, as a PC does with such contents).
 *
 *     fuzz_snapshot [-n ITERATIONS] [-t SECONDS] [-s SEED]
 */
/* objs: all */
#include <pthread.h>
#include <time.h>
#include "monitor/lib/zio.h"
#include "monitor/snap_pages.h"
#include "tests/unit/snap_rig.h"

#define RUN_US 2000
enum { HEADER = 72, ENTRY = 40, AT_SECTIONS = 12, AT_SIZE = 16, AT_DIRECTORY = 24, AT_DIRECTORY_CRC = 64, AT_CRC = 68 };

struct fuzz {
	u64 rng;
	char folder[64], base[96], child[96], bad[96];
	u8 *file;
	size_t len;
	u64 refused, restored;
	struct rig rig;
};

static u64 rnd(struct fuzz *f, u64 below)
{
	f->rng ^= f->rng << 13;
	f->rng ^= f->rng >> 7;
	f->rng ^= f->rng << 17;
	return below ? f->rng % below : f->rng;
}

static void die(const char *what)
{
	fprintf(stderr, "fuzz_snapshot: %s\n", what);
	abort();
}

static u64 number(const u8 *at, u32 bytes)
{
	u64 v = 0;
	memcpy(&v, at, bytes);
	return v;
}

static void mutate(struct fuzz *f, u8 *data, size_t len)
{
	for (u64 n = 1 + rnd(f, 4); n && len; n--) {
		size_t at = rnd(f, rnd(f, 2) ? len : len < 4096 ? len : 4096);
		static const u64 odd[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000u, 0xffffffffu, ~0ull, 1ull << 63 };
		u64 v = rnd(f, 2) ? odd[rnd(f, ARRAY_SIZE(odd))] : rnd(f, 0);
		u32 bytes = 1u << rnd(f, 4);
		if (rnd(f, 3))
			memcpy(data + at, &v, bytes < len - at ? bytes : len - at);
		else
			data[at] ^= (u8)(1u << rnd(f, 8));
	}
}

static void mend(u8 *file, size_t len)
{
	u64 directory = number(file + AT_DIRECTORY, 8), sections = number(file + AT_SECTIONS, 4);
	u32 crc;
	memcpy(file + AT_SIZE, &(u64){ len }, 8);
	if (directory < len && sections * ENTRY <= len - directory) {
		crc = zio_crc(0, file + directory, sections * ENTRY);
		memcpy(file + AT_DIRECTORY_CRC, &crc, 4);
	}
	crc = zio_crc(0, file, AT_CRC);
	memcpy(file + AT_CRC, &crc, 4);
}

/* Replaces one section by a changed one at the end of the file. */
static size_t change_section(struct fuzz *f, u8 *file, size_t len, size_t room)
{
	u64 directory = number(file + AT_DIRECTORY, 8), sections = number(file + AT_SECTIONS, 4);
	u8 *e = file + directory + rnd(f, sections) * ENTRY;
	size_t raw = number(e + 24, 8), packed = number(e + 16, 8);
	u8 *data = malloc(raw + 64);
	if (zio_unpack(ZIO_ZLIB, file + number(e + 8, 8), packed, data, raw) != raw)
		die("the section cannot be unpacked");
	mutate(f, data, raw);
	if (!rnd(f, 8))
		raw = rnd(f, raw + 1);
	packed = zio_pack(ZIO_ZLIB, 1, data, raw, file + len, room - len);
	free(data);
	if (packed == ZIO_BAD)
		die("no room");
	u32 crc = zio_crc(0, file + len, packed);
	memcpy(e + 8, &(u64){ len }, 8);
	memcpy(e + 16, &(u64){ packed }, 8);
	memcpy(e + 24, &(u64){ raw }, 8);
	memcpy(e + 32, &crc, 4);
	return len + packed;
}

static void *stopper(void *arg)
{
	usleep(RUN_US);
	vm_request_stop(arg, VM_QUIT);
	return NULL;
}

/* As it is, or reset: whatever it runs into. */
static void run_on(struct rig *r)
{
	pthread_t t;
	r->vm.stop = VM_RUNNING;
	vm_continue(&r->vm);
	if (pthread_create(&t, NULL, stopper, &r->vm))
		die("no thread");
	vcpu_run(r->vm.vcpu);
	pthread_join(t, NULL);
	r->vm.stop = VM_RUNNING;
}

static void one(struct fuzz *f)
{
	size_t room = f->len + (8u << 20), len = f->len;
	u8 *file = malloc(room);
	u64 kind = rnd(f, 8);
	memcpy(file, f->file, f->len);
	if (kind == 0)
		mutate(f, file, len);
	else if (kind == 1)
		mutate(f, file + number(file + AT_DIRECTORY, 8), ENTRY * 6);
	else if (kind == 2)
		mutate(f, file, HEADER - 8);
	else
		len = change_section(f, file, len, room);
	if (kind)
		mend(file, len);
	if (!rnd(f, 50))
		len = rnd(f, len);
	FILE *out = fopen(f->bad, "wb");
	if (!out || fwrite(file, 1, len, out) != len || fclose(out))
		die("cannot write");
	free(file);
	f->rig.err[0] = 0;
	if (snapshot_restore(&f->rig.vm, f->bad, rnd(f, 2) ? SNAPSHOT_HOST : SNAPSHOT_FROZEN, f->rig.err, sizeof(f->rig.err))) {
		f->restored++;
		run_on(&f->rig);
	} else {
		f->refused++;
		if (!f->rig.err[0])
			die("refused without a sentence");
		f->rig.vm.stop = VM_RUNNING;
	}
	if (!rnd(f, 10) && !snapshot_restore(&f->rig.vm, f->child, SNAPSHOT_FROZEN, f->rig.err, sizeof(f->rig.err)))
		die(f->rig.err);
}

static void begin(struct fuzz *f)
{
	const char *tmp = getenv("TEST_TMP");
	snprintf(f->folder, sizeof(f->folder), "%.40s/fuzz-snap-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	if (!mkdtemp(f->folder) || !rig_up(&f->rig, RIG_RAM, "host"))
		die("cannot begin");
	snprintf(f->base, sizeof(f->base), "%s/base", f->folder);
	snprintf(f->child, sizeof(f->child), "%s/child", f->folder);
	snprintf(f->bad, sizeof(f->bad), "%s/bad", f->folder);
	for (u32 i = 0; i < 64; i++)
		mem_write(&f->rig.vm, i * 0x11000, &i, 4);
	if (!rig_take(&f->rig, f->base, true))
		die(f->rig.err);
	for (u32 i = 0; i < 64; i++)
		mem_write(&f->rig.vm, i * 0x7000, "changed", 7);
	if (!rig_take(&f->rig, f->child, false))
		die(f->rig.err);
	FILE *in = fopen(f->child, "rb");
	f->file = malloc(8u << 20);
	f->len = in ? fread(f->file, 1, 8u << 20, in) : 0;
	if (!f->len)
		die("cannot read the seed");
	fclose(in);
}

int main(int argc, char **argv)
{
	struct fuzz *f = calloc(1, sizeof(*f));
	u64 iterations = 0;
	time_t seconds = 20, start = time(NULL);
	int c;
	f->rng = 88172645463325252ull;
	while ((c = getopt(argc, argv, "n:t:s:")) != -1)
		switch (c) {
		case 'n': iterations = strtoull(optarg, NULL, 0); break;
		case 't': seconds = atol(optarg); break;
		case 's': f->rng = strtoull(optarg, NULL, 0) * 2654435761u + 1; break;
		default: return 2;
		}
	begin(f);
	for (u64 i = 0; iterations ? i < iterations : time(NULL) - start < seconds; i++)
		one(f);
	printf("fuzz snapshot: %llu restored, %llu refused\n", (unsigned long long)f->restored, (unsigned long long)f->refused);
	rig_down(&f->rig);
	unlink(f->base), unlink(f->child), unlink(f->bad), rmdir(f->folder);
	free(f->file);
	free(f);
	return 0;
}
