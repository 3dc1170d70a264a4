/*
 * machdir.h - this user's machines: each a folder $XDG_DATA_HOME/ringfence/NAME (or ~/.local/share/ringfence/NAME) with machine.conf,
 * disks and snapshots. False and -1 come with a sentence in err.
 *
 * Whoever changes a machine's folder, or runs the machine, holds its lock. Folders whose name begins with a dot are being made or removed.
 */
#ifndef RF_MACHDIR_H
#define RF_MACHDIR_H
#include <limits.h>
#include "ui/conf.h"

bool machdir_base(char *buf, size_t size, char *err, size_t errsize);
/* Of that machine, whether or not it is there. False: `name` is no name of a machine. */
bool machdir_path(const char *name, char *buf, size_t size, char *err, size_t errsize);
bool machdir_exists(const char *name);
/* "is no machine's name", with the nearest one that there is. */
void machdir_unknown(const char *name, char *err, size_t errsize);
/* The names, sorted, NULL behind the last; to be freed with machdir_names_free(). NULL: none. */
char **machdir_names(void);
void machdir_names_free(char **names);

/* A descriptor that holds the lock until it is closed; -1: it is no machine, or in use. */
int machdir_lock(const char *name, char *err, size_t errsize);
bool machdir_in_use(const char *name);

/* A machine that is being changed or made. */
struct machine_dir {
	char name[64];
	char path[PATH_MAX - 256];	/* the folder; of a new one under a name that nobody sees */
	struct conf conf;
	int lock;
};
/* Locks it and reads machine.conf. */
bool machdir_open(struct machine_dir *m, const char *name, char *err, size_t errsize);
/* The same without a lock: to look. */
bool machdir_look(struct machine_dir *m, const char *name, char *err, size_t errsize);
/* An empty, locked folder that becomes the machine with machdir_finish(). */
bool machdir_begin(struct machine_dir *m, const char *name, char *err, size_t errsize);
/* Writes machine.conf and gives the folder its name: from then on the machine is there, whole. */
bool machdir_finish(struct machine_dir *m, char *err, size_t errsize);
/* Frees; a new one that was not finished is removed. */
void machdir_close(struct machine_dir *m);
bool machdir_rename(struct machine_dir *m, const char *to, char *err, size_t errsize);
/* One setting, durable when it returns true; NULL: it goes. Is not checked against the others. */
bool machdir_set(struct machine_dir *m, const char *key, const char *value, char *err, size_t errsize);
/* At once for everybody else, then what is in it. */
bool machdir_delete(struct machine_dir *m, char *err, size_t errsize);
/* Removes what commands that were killed have left. */
void machdir_sweep(void);
#endif
