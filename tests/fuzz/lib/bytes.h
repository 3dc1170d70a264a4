/*
 * bytes.h - the driver of fuzzers whose input is bytes: a file, lines, a command line. tests/fuzz/README.md says how to add one.
 *
 * A case is a seed of the target's, changed at random. It depends on the run's seed and the case's number alone, so that a case can be
 * run again by these two. What crashed, hung or used up memory is also kept as a file.
 */
#ifndef RF_FUZZ_BYTES_H
#define RF_FUZZ_BYTES_H
#include "monitor/lib/types.h"

#define FUZZ_SEEDS 64

struct fuzz {
	const struct fuzz_bytes *t;
	u64 rng, seed, number;		/* number: of the case, from 0 */
	struct { u8 *data; u64 len; } seeds[FUZZ_SEEDS];
	u32 seed_count;
	const char *dir;		/* an empty folder for the target's files; removed at the end */
	u64 accepted, refused;		/* the target counts, if it likes: shown at the end */
};

struct fuzz_bytes {
	const char *name;
	/* Calls fuzz_seed(). Files of the command line are seeds as well. */
	void (*seeds)(struct fuzz *f);
	/* One case. `data` is of malloc with just `len` bytes (1 at least), so that asan sees what reads behind it. May change it. */
	void (*one)(struct fuzz *f, u8 *data, u64 len);
	/* After the changes: makes checksums right and such, or little is reached behind them. May be NULL. */
	void (*mend)(struct fuzz *f, u8 *data, u64 len);
	void (*end)(struct fuzz *f);		/* at the end of the run; may be NULL */
	const char *const *words;		/* are written into inputs now and then; ends with NULL. May be NULL. */
	u32 hot;		/* most changes fall on so many bytes at the start; 0: on all alike */
	u64 max_len;		/* inputs grow up to this; 0: they do not grow */
	u32 hang_seconds;	/* no case may take longer; 0: 20 */
	u32 growth_kib;		/* more memory may not be used after the first hundred cases; 0: 192 MiB */
};

/* main() of a fuzzer. An exit status. */
int fuzz_bytes_main(int argc, char **argv, const struct fuzz_bytes *t);

u64  fuzz_random(struct fuzz *f, u64 below);	/* 0 to below - 1; below 0: all 64 bits */
void fuzz_seed(struct fuzz *f, const void *data, u64 len);
void fuzz_seed_text(struct fuzz *f, const char *text);
bool fuzz_seed_file(struct fuzz *f, const char *path);
/* A file without a name (memfd) that holds the bytes: for what opens images by descriptor. The caller closes it. */
int  fuzz_fd(const u8 *data, u64 len);
/* Writes the bytes to NAME in f->dir; the path lives until the next call. */
const char *fuzz_file(struct fuzz *f, const char *name, const u8 *data, u64 len);
/* What must not be: says so, keeps the input, ends the program. */
void fuzz_fail(struct fuzz *f, const char *why, ...) __attribute__((format(printf, 2, 3), noreturn));
#endif
