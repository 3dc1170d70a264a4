/*
 * layers.h - the layers of a machine's disks: each drive's image in machine.conf is the top of a chain of overlays, and snapshots name
 * layers further down. A layer that a snapshot names is never written again.
 */
#ifndef RF_LAYERS_H
#define RF_LAYERS_H
#include "ui/machdir.h"

#define LAYERS_MAX 8u	/* drives that can be written: IDE and floppy */

/* One drive that gets a new layer. */
struct layer {
	char key[24];			/* "disk.0" */
	char below[PATH_MAX];		/* path of what is frozen */
	char path[PATH_MAX];		/* of the new overlay on it */
	char format[16];		/* of what is below */
};
struct layers {
	struct layer layer[LAYERS_MAX];
	u32 count;
};
/* Makes new overlays on what `conf` (of a machine in `dir`) has in its drives; nothing uses them yet. False with a sentence in err. */
bool layers_make(struct layers *l, const struct conf *conf, const char *dir, char *err, size_t errsize);
void layers_unmake(struct layers *l);	/* removes them again */
/* Has the drives' lines of `conf` say them. */
bool layers_use(const struct layers *l, struct conf *conf, char *err, size_t errsize);
/* Removes overlays in `dir` that neither `conf` nor a snapshot stands on, and joins those that nobody names with the one that stands on
 * them. The machine must not run. Says in err what went wrong; no content is ever lost. */
bool layers_tidy(const struct conf *conf, const char *dir, char *err, size_t errsize);
/* While the machine runs: only the first half. */
bool layers_sweep(const struct conf *conf, const char *dir, char *err, size_t errsize);
/* A random name of 8 hexadecimal digits. */
void layers_id(char id[9]);
#endif
