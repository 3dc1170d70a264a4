/*
 * snaptree.h - the snapshots of a machine: a tree of folders snapshots/NAME, each with
 *
 *     meta            parent, time, state, description: lines "key = value"
 *     machine.conf    as it was; its drives are the layers that are frozen
 *
 * The memory of those that were taken while the machine ran is in snapshots/states/ID, which may need that of its ancestors. A snapshot
 * appears and goes by one rename().
 */
#ifndef RF_SNAPTREE_H
#define RF_SNAPTREE_H
#include <stdio.h>
#include "ui/machdir.h"

struct snap {
	char name[64], parent[64];	/* parent "": none */
	char state[16];			/* "": disks only */
	char description[200];
	s64 time;			/* seconds since 1970 */
};
struct snaptree {
	struct snap *snap;		/* by time */
	u32 count;
};
bool snaptree_load(struct snaptree *t, const char *dir, char *err, size_t errsize);
void snaptree_free(struct snaptree *t);
const struct snap *snaptree_find(const struct snaptree *t, const char *name);	/* NULL: none */
/* "there is no snapshot", with the nearest name. */
void snaptree_unknown(const struct snaptree *t, const char *name, char *err, size_t errsize);
/* With "you are here" below `here`; NULL: nowhere. */
void snaptree_print(const struct snaptree *t, const char *here, FILE *out);
/* The machine's settings then. */
bool snaptree_conf(const char *dir, const char *name, struct conf *c, char *err, size_t errsize);
bool snaptree_add(const char *dir, const struct snap *s, const struct conf *c, char *err, size_t errsize);
/* The snapshot goes, its children become its parent's, and so does the machine if it is there. The files of disks and memory stay:
 * layers_tidy() and snaptree_sweep(). */
bool snaptree_forget(struct machine_dir *m, const char *name, char *err, size_t errsize);
/* Removes memory that no snapshot, and not `resume` (may be NULL), needs, and what is left of a kill; the machine must not run. */
void snaptree_sweep(const char *dir, const char *resume);
/* Is this name free and fine? "" becomes snap-YYYYMMDD-HHMMSS. */
bool snaptree_name(const struct snaptree *t, char name[64], char *err, size_t errsize);
/* The path of a snapshot's memory; makes the folder. */
bool snaptree_state_path(const char *dir, const char *state, char *path, size_t size, char *err, size_t errsize);
#endif
