/*
 * fuzz_dev.c - 'make fuzz T=dev:NAME': a chip against a guest that does anything. Random accesses to its registers and memory
 * of all sizes, random time, resets, state from outside; no crash, no hang, no unbounded memory. Run it with M=asan and M=ubsan.
 *
 *     fuzz_dev NAME|all [-n ACCESSES] [-t SECONDS] [-s SEED]       'fuzz_dev list' tells the names
 *
 * To add a chip: in a file of tests/fuzz/dev/, a `struct target` with its spaces (registers or memory, by offset), its objects in the
 * list below. Chips that read and write the guest's memory find GUEST_BYTES of it, full of random bytes.
 */
/* objs: tests/fuzz/dev/video.o tests/fuzz/dev/storage.o tests/fuzz/dev/legacy.o tests/fuzz/dev/time.o
 * devices/emulated/vga.o devices/emulated/vga_edid.o devices/emulated/vga_regs.o devices/emulated/vga_mem.o devices/emulated/vga_time.o
 * devices/emulated/vga_draw.o devices/emulated/vga_text.o devices/emulated/vbe.o devices/emulated/vbe_draw.o
 * devices/emulated/vga_direct.o devices/display.o devices/emulated/ide.o devices/emulated/ide_ata.o
 * devices/emulated/ide_atapi.o devices/emulated/ide_mmc.o devices/emulated/ide_identify.o devices/emulated/ide_dma.o
 * devices/emulated/kbd.o devices/emulated/mouse.o devices/emulated/i8042.o devices/emulated/dma.o devices/emulated/floppy.o
 * devices/emulated/floppy_data.o devices/emulated/floppy_media.o
 * devices/emulated/fw_cfg.o devices/emulated/i440fx.o devices/emulated/piix3.o
 * devices/emulated/uart.o devices/emulated/lpt.o devices/emulated/pic.o devices/emulated/pit.o devices/emulated/rtc.o
 * devices/emulated/piix4_pm.o devices/emulated/lapic.o devices/emulated/lapic_timer.o devices/emulated/ioapic.o devices/emulated/hpet.o
 * devices/pci.o devices/device.o tests/unit/fake_vm.o tests/unit/fake_disk.o monitor/trace.o monitor/lib/bug.o */
#include "monitor/bus.h"
#include "monitor/event.h"
#include "monitor/mem.h"
#include "tests/fuzz/dev/target.h"
#include "tests/unit/fake_vm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS 20		/* no batch of accesses may take as long */
#define BATCH       20000
#define GROWTH_MAX_KIB (192l << 10)

static const struct target *const groups[] = { video_targets, storage_targets, legacy_targets, time_targets };

/* --- what chips need of the machine --- */

u8 guest[GUEST_BYTES];
static struct { void (*fn)(void *arg); void *arg; } posted[64];
static u32 posts;

bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg)
{
	if (posts == ARRAY_SIZE(posted))
		return false;
	posted[posts].fn = fn;
	posted[posts++].arg = arg;
	return true;
}

void mem_read(struct vm *vm, gpa_t gpa, void *buf, u64 len)
{
	for (u64 i = 0; i < len; i++)
		((u8 *)buf)[i] = gpa + i < GUEST_BYTES ? guest[gpa + i] : 0xff;
}

void mem_write(struct vm *vm, gpa_t gpa, const void *buf, u64 len)
{
	for (u64 i = 0; i < len; i++)
		if (gpa + i < GUEST_BYTES)
			guest[gpa + i] = ((const u8 *)buf)[i];
}

static void run_posted(void)
{
	for (u32 i = 0; i < posts; i++)
		posted[i].fn(posted[i].arg);
	posts = 0;
}

/* --- driver --- */

struct fuzz {
	const struct target *t;
	struct vm *vm;
	struct device *dev;
	u64 rng, accesses;
	u32 weights;
};

static u32 rnd(struct fuzz *f, u32 below)
{
	f->rng ^= f->rng << 13;
	f->rng ^= f->rng >> 7;
	f->rng ^= f->rng << 17;
	return below ? (u32)(f->rng >> 20) % below : (u32)(f->rng >> 20);
}

static const struct space *pick_space(struct fuzz *f)
{
	u32 n = rnd(f, f->weights), i = 0;
	while (n >= f->t->space[i].weight)
		n -= f->t->space[i++].weight;
	return &f->t->space[i];
}

static u32 pick_value(struct fuzz *f)
{
	static const u32 edges[] = { 0, 1, 0xff, 0x80, 0x7f, 0xffff, 0x8000, 0xffffffff, 0x80000000 };
	return rnd(f, 4) ? rnd(f, 0) >> rnd(f, 25) : edges[rnd(f, ARRAY_SIZE(edges))];
}

/* Accesses within one space, aligned or not; they do not go over its end (the bus splits them). */
static void access_once(struct fuzz *f)
{
	const struct space *s = pick_space(f);
	int size = 1 << rnd(f, 3);
	if (size > s->max)
		size = s->max;
	u32 offset = rnd(f, s->size);
	if (offset + (u32)size > s->size)
		size = 1;
	if (rnd(f, 3))
		s->write(f->dev, offset, pick_value(f), size);
	else
		s->read(f->dev, offset, size);
	f->accesses++;
}

/* A snapshot file may say anything. */
static void state_from_outside(struct fuzz *f)
{
	for (const struct field *field = f->dev->cls->fields; field->name; field++)
		if (field->kind != FIELD_TIMER && !rnd(f, 4))
			field_put(f->dev, field, rnd(f, field->count), rnd(f, 0));
	if (f->dev->cls->loaded)
		f->dev->cls->loaded(f->dev);
}

static void batch(struct fuzz *f)
{
	alarm(HANG_SECONDS);
	for (int i = 0; i < BATCH; i++) {
		access_once(f);
		u32 event = rnd(f, 4096);
		if (event < 64)
			fake_advance(f->vm, rnd(f, 4) ? rnd(f, 100000) : rnd(f, 40000000));
		if (event >= 64 && event < 128)
			run_posted();
		if (event >= 128 && event < 256 && f->t->now_and_then)
			f->t->now_and_then(f->dev, rnd(f, 0));
		if (event == 4094)
			state_from_outside(f);
		if (event == 4095 && f->dev->cls->reset)
			f->dev->cls->reset(f->dev);
	}
	alarm(0);
}

static long memory_kib(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static int run(const struct target *t, u64 limit, double time_limit, u64 seed)
{
	struct fuzz f = { .t = t, .rng = seed * 0x9e3779b97f4a7c15ull | 1, .vm = fake_vm_new() };
	double start = seconds();
	for (u32 i = 0; i < SPACES; i++)
		f.weights += t->space[i].weight;
	for (u32 i = 0; i < GUEST_BYTES; i++)
		guest[i] = (u8)rnd(&f, 256);
	f.dev = t->new(f.vm);
	batch(&f);
	long before = memory_kib();
	while (f.accesses < limit && seconds() - start < time_limit)
		batch(&f);
	long grown = memory_kib() - before;
	t->free(f.dev);
	fake_vm_free(f.vm);
	printf("%s: %llu accesses, seed %llu, %.1f s, %ld KiB more memory\n", t->name, (unsigned long long)f.accesses,
	       (unsigned long long)seed, seconds() - start, grown);
	if (grown > GROWTH_MAX_KIB) {
		printf("%s: memory grew by more than %ld KiB\n", t->name, GROWTH_MAX_KIB);
		return 1;
	}
	return 0;
}

static int list(FILE *to)
{
	for (u32 g = 0; g < ARRAY_SIZE(groups); g++)
		for (const struct target *t = groups[g]; t->name; t++)
			fprintf(to, "%s ", t->name);
	fprintf(to, "all\n");
	return to == stderr ? 2 : 0;
}

/* -1: there is no such chip. */
static int run_named(const char *name, u64 limit, double time_limit, u64 seed)
{
	bool all = !strcmp(name, "all");
	int status = -1;
	for (u32 g = 0; g < ARRAY_SIZE(groups); g++)
		for (const struct target *t = groups[g]; t->name; t++)
			if (all || !strcmp(name, t->name)) {
				int r = run(t, limit, time_limit, seed);
				status = status > r ? status : r;
			}
	return status;
}

int main(int argc, char **argv)
{
	u64 limit = ~0ull, seed = 1;
	double time_limit = 10;
	int c;
	if (argc > 1 && !strcmp(argv[1], "list"))
		return list(stdout);
	while ((c = getopt(argc, argv, "n:t:s:")) != -1) {
		if (c == 'n') {
			limit = strtoull(optarg, NULL, 0);
			time_limit = 1e9;
		} else if (c == 't') {
			time_limit = strtod(optarg, NULL);
		} else if (c == 's') {
			seed = strtoull(optarg, NULL, 0);
		} else {
			return 2;
		}
	}
	int status = optind < argc ? run_named(argv[optind], limit, time_limit, seed) : -1;
	if (status >= 0)
		return status;
	fprintf(stderr, "usage: fuzz_dev NAME [-n ACCESSES] [-t SECONDS] [-s SEED]; names: ");
	return list(stderr);
}
