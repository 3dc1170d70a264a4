/*
 * cut.h - power cuts, kills and refusals, for every image format that is written: a workload's host operations are recorded once, then
 * the files as they would be after a cut at each of them are built and judged.
 *
 * A cut keeps what was made durable (fdatasync). Of later writes each is whole, lost, or torn in pieces of 512 bytes. Judged is: our
 * image_check() and qemu-img check find no damage (leaks are allowed), and each sector has what it had at the last flush that
 * returned, or what was written there since. After that the image is written on, and must be whole again.
 */
#ifndef RF_TEST_CUT_H
#define RF_TEST_CUT_H
#include "monitor/lib/types.h"

struct cut_case {
	const char *format;
	const char *options;		/* for image_create(); NULL: none */
	const char *dir, *name;		/* the image is dir/name; with `make` NULL it is created */
	void (*make)(const char *path);	/* makes the image another way */
	const char *backing;		/* a raw file beside it; NULL: none */
	u64 size;			/* of the disk; small: it is judged many times */
	u32 ops;			/* of the workload */
	u32 cuts;
	u64 seed;
	bool no_qemu;			/* qemu-img cannot check this format */
};
/* Fails the test with the seed and the number of the cut. */
void cut_run(const struct cut_case *c);
/* Lets each n-th host operation fail (EIO, ENOSPC, short, out of memory); each call is tried again until it is done. */
void cut_refuse(const struct cut_case *c, u32 every);
/* `few`, or in make check-long `many`. */
u32  cut_count(u32 few, u32 many);
#endif
