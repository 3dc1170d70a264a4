/*
 * snap_int.h - shared by snapshot.c, snap_save.c and snap_restore.c only.
 */
#ifndef RF_SNAP_INT_H
#define RF_SNAP_INT_H
#include "monitor/snap_pages.h"
#include "monitor/snapshot.h"

struct snap_job;
struct snap_lazy;
/* vCPU thread's, but what the job says is others'. */
struct snapshots {
	struct vm *vm;
	struct snap_job *job;		/* is being written; NULL: none */
	struct snap_lazy *lazy;		/* RAM that is still being read; NULL: all is there */
	char *base;			/* clean pages are as this snapshot has them; NULL: there is none */
	u8 base_id[SNAP_ID];
	u32 depth;			/* snapshots that base builds on, and itself */
	struct snapshot_stats stats;
};
struct snapshots *snapshots_of(struct vm *vm);	/* NULL: out of memory */
/* The base is this from now on; NULL: none. */
void snap_set_base(struct snapshots *s, const char *path, const u8 id[SNAP_ID], u32 depth);
double snap_now_ms(void);
#define SNAP_THREADS_MAX 8u
u32  snap_threads(void);	/* as many as this host has processors */

/* snap_save.c: the vCPU thread takes note of the end of a job; `wait`: waits for it. */
void snap_settle(struct snapshots *s, bool wait);
void snap_first_write(void *snapshots, u32 page);	/* for mmu_clean_all() */
/*
 * snap_lazy.c: reads the wanted pages of RAM (a byte each) from the chain when they are needed, and in the background; takes both over.
 * False: the host cannot do that, nothing has happened.
 */
bool snap_lazy_begin(struct snapshots *s, struct snap_chain *chain, u8 **wanted);
bool snap_absent(const struct snapshots *s, u64 page);	/* is still to be read: it is as the base has it, and nobody may look */
/* Waits until all is there, or, not `all`, gives up; then `left` (may be NULL) gets a 1 for each page that was not read. False: pages
 * were lost, which the machine has been paused for. */
bool snap_lazy_end(struct snapshots *s, bool all, u8 *left);
/* snap_restore.c */
struct snap_target { const char *name; u8 *host; u64 bytes; u8 *wanted; /* a byte a page; not 0: to be read */ };
#endif
