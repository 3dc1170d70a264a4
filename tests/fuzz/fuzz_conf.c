/*
 * fuzz_conf.c - 'make fuzz T=conf': machine.conf files with bytes changed, cut and repeated, against the parser's promise.
 *
 * Whatever the text: it is refused with one sentence that begins with "f:LINE: " (or "f: "), or accepted; then writing it and reading it
 * again gives the same keys, each value is accepted by conf_set(), and words for 'ringfence run' can be made. Deterministic for a seed.
 *
 *     fuzz_conf [-n ITERATIONS] [-t SECONDS] [-s SEED]
 */
/* objs: all */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ui/conf.h"

#define TEXT_MAX 6000u
struct fuzz {
	u64 rng, accepted, refused;
	char text[TEXT_MAX + 1];
	size_t len;
};

static const char *const lines[] = {
	"# comment", "", "memory = 64M", "memory=4096K", "cpu = 486", "cpu = host", "disk.0 = a.img,format=raw", "disk.1 = b,,c,readonly",
	"cdrom.2 = /x/y.iso", "cdrom.3 = none", "floppy.0 = f.img", "floppy.1 = none,readonly", "boot = order=cda,menu=on", "firmware = seabios",
	"kernel = vmlinuz", "initrd = a b c,d e", "append = console=ttyS0 root=/dev/sda", "display = none", "serial.0 = stdio",
	"serial.3 = file:log", "parallel = unix:sock", "debugcon = none", "rtc = base=2026-02-28T12:00:00", "no-reboot = on",
	"description = what it is", "snapshot = snap-20260101-000000",
};

static u64 rnd(struct fuzz *f, u64 below)
{
	f->rng ^= f->rng << 13;
	f->rng ^= f->rng >> 7;
	f->rng ^= f->rng << 17;
	return below ? f->rng % below : 0;
}

static void die(struct fuzz *f, const char *what, const char *err)
{
	fprintf(stderr, "fuzz_conf: %s: %s\n--- text\n", what, err);
	fwrite(f->text, 1, f->len, stderr);
	abort();
}

static void put(struct fuzz *f, const char *s, size_t n)
{
	if (f->len + n > TEXT_MAX)
		n = TEXT_MAX - f->len;
	memcpy(f->text + f->len, s, n);
	f->len += n;
}

static void make_text(struct fuzz *f)
{
	static const char pieces[] = "=,.#\n\r\t \0-:/0123456789kMGunit=readonly,format=raw,menu=on\033\x7f\xff%s%n";
	f->len = 0;
	for (u64 n = rnd(f, 8); n; n--) {
		const char *l = lines[rnd(f, ARRAY_SIZE(lines))];
		put(f, l, strlen(l));
		put(f, "\n", 1);
	}
	if (rnd(f, 3) == 0)
		return;
	for (u64 n = rnd(f, 6); n; n--) {
		u64 at = rnd(f, f->len);
		switch (rnd(f, 5)) {
		case 0:
			if (f->len)
				f->text[at] = (char)rnd(f, 256);
			break;
		case 1:
			if (f->len)
				f->text[at] = pieces[rnd(f, sizeof(pieces) - 1)];
			break;
		case 2:
			f->len = at;
			break;
		case 3: {
			u64 from = rnd(f, sizeof(pieces) - 1);
			put(f, pieces + from, rnd(f, sizeof(pieces) - from));
			break;
		}
		default:
			for (u64 k = rnd(f, 5000) * (rnd(f, 40) == 0); k; k--)
				put(f, "x,", 1 + (k & 1));
			break;
		}
	}
}

static void check_accepted(struct fuzz *f, struct conf *c)
{
	char err[600] = "";
	struct conf back;
	size_t len;
	int count = 0;
	char *text = conf_text(c, &len);
	if (!text || !conf_parse(&back, "f", text, len, err, sizeof(err)))
		die(f, "what was written is not read", err);
	for (u32 i = 0; i < c->lines; i++) {
		const char *v = c->line[i].value, *b = v ? conf_get(&back, c->line[i].key) : NULL;
		if (v && (!b || strcmp(v, b)))
			die(f, "another value comes back", c->line[i].key);
		if (v && !conf_set(&back, c->line[i].key, v, err, sizeof(err)))
			die(f, "a value of the file cannot be set", err);
	}
	char **words = conf_words(c, "/dir", 0, NULL, &count);
	if (!words)
		die(f, "no words", "");
	conf_words_free(words, count);
	if (!conf_check(c, "/dir", err, sizeof(err)) && strncmp(err, "/dir/machine.conf: ", 19))
		die(f, "the check does not name the file", err);
	conf_free(&back);
	free(text);
}

static void one(struct fuzz *f)
{
	char err[600] = "";
	struct conf c;
	make_text(f);
	char *exact = malloc(f->len ? f->len : 1);	/* so that M=asan sees a read behind it */
	if (!exact)
		abort();
	memcpy(exact, f->text, f->len);
	if (conf_parse(&c, "f", exact, f->len, err, sizeof(err))) {
		f->accepted++;
		check_accepted(f, &c);
	} else {
		f->refused++;
		if (strncmp(err, "f:", 2) || strchr(err, '\n') || strlen(err) < 10)
			die(f, "a refusal is not one sentence", err);
	}
	conf_free(&c);
	free(exact);
}

int main(int argc, char **argv)
{
	u64 iterations = 200000, seed = 1, n = 0;
	double seconds = 60;
	static struct fuzz f;
	struct timespec t0, t;
	for (int o; (o = getopt(argc, argv, "n:t:s:")) != -1;) {
		switch (o) {
		case 'n': iterations = strtoull(optarg, NULL, 0); break;
		case 't': seconds = strtod(optarg, NULL); break;
		case 's': seed = strtoull(optarg, NULL, 0); break;
		default: fprintf(stderr, "usage: fuzz_conf [-n ITERATIONS] [-t SECONDS] [-s SEED]\n"); return 2;
		}
	}
	f.rng = seed * 0x9e3779b97f4a7c15ull | 1;
	printf("fuzz_conf: seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	do {
		for (u32 k = 0; k < 100 && n < iterations; k++, n++)
			one(&f);
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while (n < iterations && (double)(t.tv_sec - t0.tv_sec) < seconds);
	printf("fuzz_conf: %llu files, %llu accepted, %llu refused\n", (unsigned long long)n, (unsigned long long)f.accepted,
		(unsigned long long)f.refused);
	return 0;
}
