/*
 * cut_io.h - host files that can be cut off at any operation: a kill, a loss of power, or one operation that fails once.
 *
 * A struct cut_io is a struct hostio over real files in one folder. It counts the operations that change a file; from operation `at` on
 * nothing reaches the files any more (CUT_KILL, CUT_POWER), or operation `at` alone fails (CUT_FAIL). After a loss of power
 * cut_io_settle() makes the files what a disk could hold then: what was synced is there, and of everything later any part, in sectors.
 */
#ifndef RF_CUT_IO_H
#define RF_CUT_IO_H
#include "images/hostio.h"

enum cut_mode { CUT_NEVER, CUT_KILL, CUT_POWER, CUT_FAIL };
#define CUT_FILES 8
#define CUT_FDS 64

struct cut_op { u64 at, len; u8 *data; enum { CUT_WRITE, CUT_SIZE, CUT_ZERO } kind; struct cut_op *next; };
struct cut_file {
	char path[200];
	u8 *durable;		/* what a sync has made safe */
	u64 durable_size;
	bool exists_durably;
	struct cut_op *first, **last;	/* since then */
};
struct cut_io {
	struct hostio io;	/* first: hooks find the rest by it */
	enum cut_mode mode;
	u64 at, count;
	int error;		/* CUT_FAIL: what the operation gives */
	u64 rng;
	bool dead, failed;
	struct cut_file file[CUT_FILES];
	u32 files;
	struct { int fd; struct cut_file *file; } open[CUT_FDS];
};
void cut_io_init(struct cut_io *c, enum cut_mode mode, u64 at, u64 seed);
/* The files are now what is found after the cut. */
void cut_io_settle(struct cut_io *c);
void cut_io_free(struct cut_io *c);
#endif
