/*
 * snapshot.h - the whole machine at one moment as a file, and back.
 *
 * Taking is live: the guest stands still while chips and processor are saved and the write tables are emptied, then memory goes out by
 * threads; a page that the guest is about to write is copied first. A snapshot holds what was written since the one that was taken or
 * restored last, its parent, unless it is to stand alone. docs/snapshots.md tells it to people, docs/formats.md has the file.
 */
#ifndef RF_SNAPSHOT_H
#define RF_SNAPSHOT_H
#include "monitor/snap_file.h"

struct vm;

struct snapshot_take {
	const char *path;	/* is replaced when the new one is whole */
	const char *conf;	/* kept in the file as it is, for who makes the machine again; NULL: none */
	bool alone;		/* without a parent */
	/* The guest stands still and no request is at any drive: disks can be switched here. False, with a sentence, gives up. May be NULL. */
	bool (*stopped)(void *arg, char *err, size_t errsize);
	/* It is durable (error NULL) or there is none. vCPU thread, or who calls snapshot_fini(). May be NULL. */
	void (*done)(void *arg, const char *error);
	void *arg;
};
/*
 * vCPU thread, from a posted call (event_post()); also while the machine is paused. When it returns the guest may go on; `done` will be
 * called. False with a sentence in err: nothing was begun, `done` is not called.
 */
bool snapshot_take(struct vm *vm, const struct snapshot_take *how, char *err, size_t errsize);

enum snapshot_clock {
	SNAPSHOT_FROZEN,	/* the guest's date goes on from where it was */
	SNAPSHOT_HOST,		/* the real-time clock gets the host's date (UTC) */
};
/*
 * Makes the machine what it was. vCPU thread, from a posted call, or before vcpu_run(). Waits for a snapshot that is still being
 * written. False with a sentence in err: nothing was changed, but when the file turns out to be damaged in the middle of reading memory:
 * then the machine has been stopped (VM_ERROR). RAM is read when it is needed and in the background, so the files must stay until then; if
 * they turn out to be damaged the machine is paused.
 */
bool snapshot_restore(struct vm *vm, const char *path, enum snapshot_clock clock, char *err, size_t errsize);

/* The last operation, for people; all times in ms. */
struct snapshot_stats {
	bool busy;		/* memory is still being written */
	double stop, write;	/* of taking: how long the guest stood still, and until durable */
	double restore;
	u64 pages, bytes;	/* pages that were stored or read; bytes of the file */
};
void snapshot_stats(const struct vm *vm, struct snapshot_stats *st);
/* The vCPU thread, when the guest will not run any more: memory that was not yet read is given up. */
void snapshot_vcpu_ended(struct vm *vm);
/* After the vCPU thread's end, while memory is there: waits for what is being written. */
void snapshot_fini(struct vm *vm);

/* Without a machine. The conf that was given; NULL with a sentence in err. */
char *snapshot_conf(const char *path, char *err, size_t errsize);
#endif
