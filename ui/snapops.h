/*
 * snapops.h - taking, restoring and deleting snapshots: of a machine that is off (snap_off.c) and of the one that runs here (snap_live.c).
 * False with a sentence in err.
 */
#ifndef RF_SNAPOPS_H
#define RF_SNAPOPS_H
#include "ui/snaptree.h"

struct vm;

/* The machine is off, and locked by the caller. `name` "": one is made, and comes back. Of a suspended machine its memory is kept too. */
bool snap_take_off(struct machine_dir *m, char name[64], const char *description, char *err, size_t errsize);
/* Settings and disks as they were; if memory was kept, the next start goes on from there. What changed since is lost. */
bool snap_restore_off(struct machine_dir *m, const char *name, char *err, size_t errsize);
bool snap_delete_off(struct machine_dir *m, const char *name, char *err, size_t errsize);
/* Before a start: removes what a kill has left. */
void snap_clean(struct machine_dir *m);

/* vCPU thread, of a machine with vm->kept. Returns when the guest may go on; whether all became durable is in vm->snapshot_error when
 * snapshot_stats() says that it is not busy any more. */
bool snap_take_live(struct vm *vm, char name[64], const char *description, char *err, size_t errsize);
bool snap_restore_live(struct vm *vm, const char *name, char *err, size_t errsize);
bool snap_delete_live(struct vm *vm, const char *name, char *err, size_t errsize);
/* Keeps the memory for the next start, then leaves. */
bool snap_suspend_live(struct vm *vm, char *err, size_t errsize);
/* The machine has gone on from its memory: the next start does not. */
bool snap_resumed(struct machine_dir *m, char *err, size_t errsize);
/* Of `want`, "" for the latest on this branch, the name; false: there is none. */
bool snap_pick(const struct machine_dir *m, const char *want, char name[64], char *err, size_t errsize);
#endif
