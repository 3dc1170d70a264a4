/*
 * snap_int.h - shared by snapshot.c, snap_save.c and snap_restore.c only.
 */
#ifndef RF_SNAP_INT_H
#define RF_SNAP_INT_H
#include "monitor/snap_pages.h"
#include "monitor/snapshot.h"

struct snap_job;
/* vCPU thread's, but what the job says is others'. */
struct snapshots {
	struct vm *vm;
	struct snap_job *job;		/* is being written; NULL: none */
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
/* snap_restore.c: reads all pages for which `wanted` (a byte each by region) is not 0; NULL: all that are not zero, into fresh memory. */
struct snap_target { const char *name; u8 *host; u64 bytes; u8 *wanted; };
bool snap_read_pages(const struct snap_chain *c, const struct snap_target *t, u32 targets, u64 *pages, char *err, size_t errsize);
#endif
