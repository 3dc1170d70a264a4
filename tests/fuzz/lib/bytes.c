/*
 * bytes.c - see bytes.h.
 *
 * The case under way is known to the signal handlers through one file-scope pointer: a crash, a hang (SIGALRM) or a sanitizer's report
 * says how to run that case again and keeps its input.
 */
#define _GNU_SOURCE
#include "tests/fuzz/lib/bytes.h"
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SEED_MAX     (64ull << 20)
#define WARM_UP      100
#define CHANGES_MAX  8
#define ALIKE        16		/* every so manieth case is a seed as it is */

/* For handlers. */
static struct fuzz *running;
static const u8 *input;
static u64 input_len;

/* --- what is told of a case that failed; from signal handlers --- */

static void keep_input(void)
{
	char path[200], line[500];
	const struct fuzz *f = running;
	if (!f || !input)
		return;
	snprintf(path, sizeof(path), "/tmp/fuzz-%s-%llu-%llu", f->t->name, (unsigned long long)f->seed, (unsigned long long)f->number);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool kept = fd >= 0 && write(fd, input, input_len) == (ssize_t)input_len;
	if (fd >= 0)
		close(fd);
	int n = snprintf(line, sizeof(line), "fuzz_%s: case %llu failed; again: -s %llu -c %llu%s%s\n", f->t->name,
			 (unsigned long long)f->number, (unsigned long long)f->seed, (unsigned long long)f->number,
			 kept ? ", or -r " : "", kept ? path : "");
	if (write(2, line, (size_t)n) < 0)
		_exit(3);
	input = NULL;
}

static void on_signal(int sig)
{
	static const char hang[] = "it takes too long\n";
	if (sig == SIGALRM && write(2, hang, sizeof(hang) - 1) < 0)
		_exit(3);
	keep_input();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* The sanitizers have this. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* Asan keeps freed memory back, 256 MiB by default, which would look like growth. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "quarantine_size_mb=16"; }

static void watch_for_failures(void)
{
	static const int signals[] = { SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	bool sanitized = __sanitizer_set_death_callback;
	for (u32 i = 0; i < ARRAY_SIZE(signals); i++)
		if (i < 2 || !sanitized)	/* asan tells more about the others */
			signal(signals[i], on_signal);
	if (sanitized)
		__sanitizer_set_death_callback(keep_input);
}

void fuzz_fail(struct fuzz *f, const char *why, ...)
{
	va_list ap;
	fprintf(stderr, "fuzz_%s: ", f->t->name);
	va_start(ap, why);
	vfprintf(stderr, why, ap);
	va_end(ap);
	fputc('\n', stderr);
	keep_input();
	exit(1);
}

/* --- inputs --- */

u64 fuzz_random(struct fuzz *f, u64 below)
{
	f->rng ^= f->rng << 13;
	f->rng ^= f->rng >> 7;
	f->rng ^= f->rng << 17;
	u64 n = f->rng * 0x2545f4914f6cdd1dull;
	return below ? (n >> 11) % below : n;
}

void fuzz_seed(struct fuzz *f, const void *data, u64 len)
{
	u8 *copy = malloc(len);
	if (!copy || f->seed_count == FUZZ_SEEDS)
		fuzz_fail(f, "too many seeds");
	memcpy(copy, data, len);
	f->seeds[f->seed_count].data = copy;
	f->seeds[f->seed_count++].len = len;
}

void fuzz_seed_text(struct fuzz *f, const char *text)
{
	fuzz_seed(f, text, strlen(text));
}

static u8 *read_file(const char *path, u64 *len)
{
	FILE *in = fopen(path, "rb");
	u8 *data = in ? malloc(SEED_MAX) : NULL;
	*len = data ? fread(data, 1, SEED_MAX, in) : 0;
	if (in)
		fclose(in);
	return data;
}

bool fuzz_seed_file(struct fuzz *f, const char *path)
{
	u64 len;
	u8 *data = read_file(path, &len);
	if (len)
		fuzz_seed(f, data, len);
	free(data);
	return len;
}

int fuzz_fd(const u8 *data, u64 len)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	return fd;
}

const char *fuzz_file(struct fuzz *f, const char *name, const u8 *data, u64 len)
{
	static char path[300];
	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	unlink(path);	/* cheaper than to cut it: ext4 writes such a file out at once */
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		fuzz_fail(f, "%s cannot be written", path);
	close(fd);
	return path;
}

/* --- changes --- */

static u64 edge(struct fuzz *f)
{
	static const u64 edges[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 4095, 0x10000, 0x100000, 0x7fffffff, 0x80000000, 0xffffffff,
		0xfffff000, 0xfffffffe, 1ull << 32, 1ull << 62, 1ull << 63, ~0ull, ~0ull >> 1, ~0ull << 9, ~0ull << 16 };
	return fuzz_random(f, 3) ? edges[fuzz_random(f, ARRAY_SIZE(edges))] : fuzz_random(f, 0) >> fuzz_random(f, 64);
}

/* A number of 1, 2, 4 or 8 bytes, of either byte order, mostly aligned. */
static void put_number(struct fuzz *f, u8 *data, u64 len, u64 at)
{
	u32 size = 1u << fuzz_random(f, 4);
	u64 n = edge(f);
	if (fuzz_random(f, 8))
		at &= ~(u64)(size - 1);
	bool big = fuzz_random(f, 2);
	for (u32 i = 0; i < size && at + i < len; i++)
		data[at + i] = (u8)(n >> 8 * (big ? size - 1 - i : i));
}

static void put_word(struct fuzz *f, u8 *data, u64 len, u64 at)
{
	u32 count = 0;
	while (f->t->words[count])
		count++;
	const char *word = f->t->words[fuzz_random(f, count)];
	u64 n = strlen(word);
	if (n > len - at)
		n = len - at;
	if (fuzz_random(f, 2))		/* what was there moves on; its end is lost */
		memmove(data + at + n, data + at, len - at - n);
	memcpy(data + at, word, n);
}

/* A piece of it, or of another seed, once more, or out of it. */
static void copy_piece(struct fuzz *f, u8 *data, u64 len, u64 at)
{
	u32 k = (u32)fuzz_random(f, f->seed_count);
	bool other = fuzz_random(f, 3) == 0;
	const u8 *from = other ? f->seeds[k].data : data;
	u64 room = other ? f->seeds[k].len : len;
	u64 start = fuzz_random(f, room), n = 1 + fuzz_random(f, 1ull << fuzz_random(f, 12));
	if (n > room - start)
		n = room - start;
	if (n > len - at)
		n = len - at;
	memmove(data + at, from + start, n);
}

static void change(struct fuzz *f, u8 *data, u64 len)
{
	u64 near = f->t->hot && f->t->hot < len && fuzz_random(f, 4) ? f->t->hot : len, at = fuzz_random(f, near);
	switch (fuzz_random(f, f->t->words ? 10 : 7)) {
	case 0: data[at] = (u8)fuzz_random(f, 256); break;
	case 1: data[at] ^= (u8)(1u << fuzz_random(f, 8)); break;
	case 2: data[at] += fuzz_random(f, 2) ? 1 : 255; break;
	case 3: case 4: put_number(f, data, len, at); break;
	case 5: put_number(f, data, len, at & ~3ull); break;
	case 6: copy_piece(f, data, len, at); break;
	default: put_word(f, data, len, at);
	}
}

/* The case's input, of malloc. */
static u8 *make_input(struct fuzz *f, u64 *len)
{
	const u32 k = (u32)fuzz_random(f, f->seed_count);
	u64 old = f->seeds[k].len;
	*len = old;
	if (fuzz_random(f, 8) == 0)
		*len = 1 + fuzz_random(f, old);
	else if (f->t->max_len > old && fuzz_random(f, 3) == 0)
		*len = old + fuzz_random(f, 1 + ((f->t->max_len - old) >> fuzz_random(f, 14)));
	u8 *data = malloc(*len);
	if (!data)
		fuzz_fail(f, "out of memory");
	for (u64 done = 0; done < *len; done += old)	/* what grows repeats itself */
		memcpy(data + done, f->seeds[k].data, *len - done < old ? *len - done : old);
	for (u64 n = fuzz_random(f, ALIKE) ? 1 + fuzz_random(f, CHANGES_MAX) : 0; n; n--)
		change(f, data, *len);
	if (f->t->mend)
		f->t->mend(f, data, *len);
	return data;
}

/* --- the run --- */

static void case_rng(struct fuzz *f)
{
	u64 x = f->seed * 0x9e3779b97f4a7c15ull + f->number * 0xbf58476d1ce4e5b9ull + 0x94d049bb133111ebull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	f->rng = x ^ x >> 31 ? x ^ x >> 31 : 1;
}

/* Takes the data. */
static void run_input(struct fuzz *f, u8 *data, u64 len)
{
	u8 *copy = malloc(len);		/* of what it was before the target changed it */
	if (copy)
		memcpy(copy, data, len);
	input = copy;
	input_len = len;
	alarm(f->t->hang_seconds ? f->t->hang_seconds : 20);
	f->t->one(f, data, len);
	alarm(0);
	input = NULL;
	free(copy);
	free(data);
}

static void run_case(struct fuzz *f)
{
	u64 len;
	case_rng(f);
	u8 *data = make_input(f, &len);
	run_input(f, data, len);
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

static void run_many(struct fuzz *f, u64 cases, double limit)
{
	double start = seconds();
	long before = 0, growth = f->t->growth_kib ? f->t->growth_kib : 192l << 10;
	for (f->number = 0; f->number < cases && seconds() - start < limit; f->number++) {
		run_case(f);
		if (f->number == WARM_UP)
			before = memory_kib();
		if (f->number % 64 == 0 && before && memory_kib() - before > growth)
			fuzz_fail(f, "memory grew by more than %ld KiB", growth);
	}
	printf("fuzz_%s: %llu cases, seed %llu, %.1f s, %ld KiB more memory", f->t->name, (unsigned long long)f->number,
	       (unsigned long long)f->seed, seconds() - start, before ? memory_kib() - before : 0);
	if (f->accepted || f->refused)
		printf(", %llu accepted, %llu refused", (unsigned long long)f->accepted, (unsigned long long)f->refused);
	printf("\n");
}

static bool run_file(struct fuzz *f, const char *path)
{
	u64 len;
	u8 *data = read_file(path, &len), *exact = len ? malloc(len) : NULL;
	if (exact)
		memcpy(exact, data, len);
	free(data);
	case_rng(f);
	if (exact)
		run_input(f, exact, len);
	return exact;
}

static int usage(const struct fuzz_bytes *t)
{
	fprintf(stderr, "usage: fuzz_%s [-n CASES] [-t SECONDS] [-s SEED] [-c CASE | -r INPUT] [SEED-FILE...]\n", t->name);
	return 2;
}

int fuzz_bytes_main(int argc, char **argv, const struct fuzz_bytes *t)
{
	static struct fuzz f;
	char dir[] = "/tmp/ringfence-fuzz-XXXXXX";
	const char *again = NULL;
	u64 cases = ~0ull, only = ~0ull;
	double limit = 10;
	int status = 0;
	f = (struct fuzz){ .t = t, .seed = 1 };
	for (int o; (o = getopt(argc, argv, "n:t:s:c:r:")) != -1;) {
		switch (o) {
		case 'n': cases = strtoull(optarg, NULL, 0); limit = 1e9; break;
		case 't': limit = strtod(optarg, NULL); break;
		case 's': f.seed = strtoull(optarg, NULL, 0); break;
		case 'c': only = strtoull(optarg, NULL, 0); break;
		case 'r': again = optarg; break;
		default: return usage(t);
		}
	}
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	f.dir = dir;
	running = &f;
	t->seeds(&f);
	for (; optind < argc; optind++)
		if (!fuzz_seed_file(&f, argv[optind]))
			fuzz_fail(&f, "%s cannot be read, or is empty", argv[optind]);
	watch_for_failures();
	if (again) {
		status = !run_file(&f, again);
	} else if (only != ~0ull) {
		f.number = only;
		run_case(&f);
	} else {
		run_many(&f, cases, limit);
	}
	if (t->end)
		t->end(&f);
	for (u32 i = 0; i < f.seed_count; i++)
		free(f.seeds[i].data);
	char command[sizeof(dir) + 10];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 1 : status;
}
