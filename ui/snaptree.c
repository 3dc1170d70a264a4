/*
 * snaptree.c - reads, draws and changes the tree of a machine's snapshots.
 */
#define _GNU_SOURCE
#include "ui/snaptree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "monitor/snap_file.h"
#include "ui/cli.h"
#include "ui/files.h"
#include "ui/rundir.h"

#define META_MAX 4096u
#define NEW ".new-"
#define STATES "states"		/* no snapshot may have this name */

/* --- reading --- */

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%.*s", (int)size - 1, from);
}

static void take_meta(struct snap *s, const char *key, const char *value)
{
	if (!strcmp(key, "parent"))
		copy(s->parent, sizeof(s->parent), value);
	else if (!strcmp(key, "state"))
		copy(s->state, sizeof(s->state), value);
	else if (!strcmp(key, "description"))
		copy(s->description, sizeof(s->description), value);
	else if (!strcmp(key, "time"))
		s->time = strtoll(value, NULL, 10);
}

static bool read_meta(struct snap *s, const char *dir, const char *name, char *err, size_t errsize)
{
	char path[PATH_MAX], *save = NULL;
	size_t len;
	*s = (struct snap){ 0 };
	copy(s->name, sizeof(s->name), name);
	snprintf(path, sizeof(path), "%.3500s/snapshots/%s/meta", dir, name);
	char *text = file_read(path, META_MAX, &len, err, errsize);
	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save)) {
		char *equals = strstr(l, " = ");
		if (!equals || *l == '#')
			continue;
		*equals = 0;
		take_meta(s, l, equals + 3);
	}
	free(text);
	if (!text)
		return false;
	if (!s->state[0] || (strlen(s->state) == 8 && strspn(s->state, "0123456789abcdef") == 8))
		return true;
	snprintf(err, errsize, "%.400s: state is no name of a state", path);
	return false;
}

static int is_snap(const struct dirent *e)
{
	return rundir_name_valid(e->d_name) && strcmp(e->d_name, STATES);
}

static int by_time(const void *a, const void *b)
{
	const struct snap *x = a, *y = b;
	return x->time != y->time ? (x->time < y->time ? -1 : 1) : strverscmp(x->name, y->name);
}

bool snaptree_load(struct snaptree *t, const char *dir, char *err, size_t errsize)
{
	char path[PATH_MAX];
	struct dirent **found = NULL;
	*t = (struct snaptree){ 0 };
	snprintf(path, sizeof(path), "%.3500s/snapshots", dir);
	int n = scandir(path, &found, is_snap, NULL);
	if (n < 0 && errno == ENOENT)
		return true;
	bool ok = n >= 0 && (t->snap = calloc((size_t)n + 1, sizeof(*t->snap)));
	if (!ok)
		snprintf(err, errsize, "%.400s: %s", path, strerror(errno));
	for (int i = 0; i < n; i++) {
		ok = ok && read_meta(&t->snap[t->count], dir, found[i]->d_name, err, errsize);
		t->count += ok;
		free(found[i]);
	}
	free(found);
	if (!ok) {
		snaptree_free(t);
		return false;
	}
	qsort(t->snap, t->count, sizeof(*t->snap), by_time);
	return true;
}

void snaptree_free(struct snaptree *t)
{
	free(t->snap);
	*t = (struct snaptree){ 0 };
}

const struct snap *snaptree_find(const struct snaptree *t, const char *name)
{
	for (u32 i = 0; i < t->count; i++)
		if (!strcmp(t->snap[i].name, name))
			return &t->snap[i];
	return NULL;
}

void snaptree_unknown(const struct snaptree *t, const char *name, char *err, size_t errsize)
{
	const char **names = calloc(t->count + 1, sizeof(*names));
	for (u32 i = 0; names && i < t->count; i++)
		names[i] = t->snap[i].name;
	const char *nearest = names ? cli_nearest(name, names, t->count) : NULL;
	snprintf(err, errsize, "there is no snapshot '%.60s'%s%s%s", name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
		nearest ? "'?" : "");
	free(names);
}

bool snaptree_conf(const char *dir, const char *name, struct conf *c, char *err, size_t errsize)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%.3500s/snapshots/%s", dir, name);
	return conf_load(c, path, err, errsize);
}

/* --- drawing --- */

static void print_one(const struct snap *s, FILE *out)
{
	char when[40] = "";
	time_t at = (time_t)s->time;
	struct tm tm;
	if (localtime_r(&at, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(out, "%s  %s%s%s%s\n", s->name, when, s->state[0] ? "" : "  (disks only)", s->description[0] ? "  " : "", s->description);
}

static bool is_child(const struct snaptree *t, const struct snap *s, const char *parent)
{
	return *parent ? !strcmp(s->parent, parent) : !snaptree_find(t, s->parent);
}

/* `bars` is what stands left of a line of this depth. Who is its own ancestor is reached from no root, so this ends. */
static void print_below(const struct snaptree *t, const char *parent, const char *here, const char *bars, u32 depth, FILE *out)
{
	u32 left = here && !strcmp(here, parent);
	for (u32 i = 0; i < t->count; i++)
		left += is_child(t, &t->snap[i], parent);
	for (u32 i = 0; i < t->count && depth < 200; i++) {
		const struct snap *s = &t->snap[i];
		if (!is_child(t, s, parent))
			continue;
		char below[1000];
		fprintf(out, "%s%s", bars, left > 1 ? "|- " : "`- ");
		print_one(s, out);
		snprintf(below, sizeof(below), "%s%s", bars, left > 1 ? "|  " : "   ");
		print_below(t, s->name, here, below, depth + 1, out);
		left--;
	}
	if (here && !strcmp(here, parent))
		fprintf(out, "%s`- you are here\n", bars);
}

void snaptree_print(const struct snaptree *t, const char *here, FILE *out)
{
	if (here && !snaptree_find(t, here))
		here = "";
	print_below(t, "", here, "", 0, out);
}

/* --- changing --- */

bool snaptree_name(const struct snaptree *t, char name[64], char *err, size_t errsize)
{
	time_t now = time(NULL);
	struct tm tm;
	bool made = !*name;
	if (made && localtime_r(&now, &tm))
		strftime(name, 64, "snap-%Y%m%d-%H%M%S", &tm);
	for (u32 n = 2; made && snaptree_find(t, name) && n < 100; n++)
		sprintf(name + strlen("snap-YYYYMMDD-HHMMSS"), "-%u", n);
	if (!rundir_name_valid(name) || !strcmp(name, STATES))
		snprintf(err, errsize, "'%.60s' is no name for a snapshot", name);
	else if (snaptree_find(t, name))
		snprintf(err, errsize, "there is a snapshot '%s' already", name);
	else
		return true;
	return false;
}

bool snaptree_state_path(const char *dir, const char *state, char *path, size_t size, char *err, size_t errsize)
{
	snprintf(path, size, "%.3500s/snapshots/" STATES, dir);
	if (!folder_make(path, err, errsize))
		return false;
	snprintf(path, size, "%.3500s/snapshots/" STATES "/%s", dir, state);
	return true;
}

static bool write_meta(const char *folder, const struct snap *s, char *err, size_t errsize)
{
	char path[PATH_MAX], text[META_MAX];
	snprintf(path, sizeof(path), "%.3800s/meta", folder);
	int n = snprintf(text, sizeof(text), "parent = %s\ntime = %lld\nstate = %s\ndescription = %s\n", s->parent, (long long)s->time, s->state,
		s->description);
	return file_replace(path, text, (size_t)n, err, errsize);
}

bool snaptree_add(const char *dir, const struct snap *s, const struct conf *c, char *err, size_t errsize)
{
	char all[PATH_MAX], beside[PATH_MAX], path[PATH_MAX];
	snprintf(all, sizeof(all), "%.3500s/snapshots", dir);
	snprintf(beside, sizeof(beside), "%.3700s/" NEW "%s", all, s->name);
	snprintf(path, sizeof(path), "%.3700s/%s", all, s->name);
	if (!folder_remove(beside, err, errsize) || !folder_make(beside, err, errsize) || !conf_save(c, beside, err, errsize) ||
	    !write_meta(beside, s, err, errsize))
		return false;
	if (!rename(beside, path))
		return folder_sync(all, err, errsize) && folder_sync(dir, err, errsize);
	snprintf(err, errsize, "%.400s: %s", path, strerror(errno));
	return false;
}

/* Its children become its parent's. */
static bool remove_snap(const char *dir, const struct snaptree *t, const struct snap *s, char *err, size_t errsize)
{
	char all[PATH_MAX], beside[PATH_MAX], path[PATH_MAX];
	for (u32 i = 0; i < t->count; i++) {
		struct snap child = t->snap[i];
		if (strcmp(child.parent, s->name))
			continue;
		copy(child.parent, sizeof(child.parent), s->parent);
		snprintf(path, sizeof(path), "%.3500s/snapshots/%s", dir, child.name);
		if (!write_meta(path, &child, err, errsize))
			return false;
	}
	snprintf(all, sizeof(all), "%.3500s/snapshots", dir);
	snprintf(beside, sizeof(beside), "%.3700s/" NEW "%s", all, s->name);
	snprintf(path, sizeof(path), "%.3700s/%s", all, s->name);
	if (!folder_remove(beside, err, errsize))
		return false;
	if (!rename(path, beside))
		return folder_sync(all, err, errsize) && folder_remove(beside, err, errsize);
	snprintf(err, errsize, "%.400s: %s", path, strerror(errno));
	return false;
}

bool snaptree_forget(struct machine_dir *m, const char *name, char *err, size_t errsize)
{
	struct snaptree t;
	const char *here = conf_get(&m->conf, "snapshot");
	if (!snaptree_load(&t, m->path, err, errsize))
		return false;
	const struct snap *s = snaptree_find(&t, name);
	bool ok = s;
	if (!s)
		snaptree_unknown(&t, name, err, errsize);
	else if (here && !strcmp(here, name))
		ok = machdir_set(m, "snapshot", s->parent[0] ? s->parent : NULL, err, errsize);
	ok = ok && remove_snap(m->path, &t, s, err, errsize);
	snaptree_free(&t);
	return ok;
}

/* --- what nobody needs --- */

static bool is_needed(const char *state, const char *const *needed, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (!strcmp(needed[i], state))
			return true;
	return false;
}

/* The file's name of a state's parent, of malloc; NULL: none. *broken: it cannot be read. */
static char *parent_of(const char *dir, const char *state, bool *broken)
{
	char path[PATH_MAX], err[400], *name = NULL;
	struct blob b = { 0 };
	snprintf(path, sizeof(path), "%.3500s/snapshots/" STATES "/%s", dir, state);
	struct snap_file *f = snap_open(path, err, sizeof(err));
	*broken |= !f;
	if (f && f->has_parent) {
		if (snap_load(f, SNAP_PRNT, 1, &b, err, sizeof(err)))
			name = strndup((const char *)b.data, b.len);
		*broken |= !name;
	}
	blob_free(&b);
	if (f)
		snap_close(f);
	return name;
}

static int any_entry(const struct dirent *e)
{
	return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

/* Those that snapshots have, and what these stand on. False: not known, so nothing is removed. */
static bool find_needed(const char *dir, const struct snaptree *t, const char *resume, char **needed, u32 *count, u32 most)
{
	bool broken = false;
	for (u32 i = 0; i < t->count && *count < most; i++)
		if (t->snap[i].state[0])
			needed[(*count)++] = strdup(t->snap[i].state);
	if (resume && *count < most)
		needed[(*count)++] = strdup(resume);
	for (u32 i = 0; i < *count && !broken; i++) {
		char *parent = needed[i] ? parent_of(dir, needed[i], &broken) : NULL;
		const char *slash = parent ? strrchr(parent, '/') : NULL;
		if (parent && !is_needed(slash ? slash + 1 : parent, (const char *const *)needed, *count)) {
			if (*count == most)
				broken = true;
			else
				needed[(*count)++] = strdup(slash ? slash + 1 : parent);
		}
		free(parent);
		broken |= !needed[i];
	}
	return !broken;
}

static void remove_entries(const char *path, int (*which)(const struct dirent *e), const char *const *kept, u32 count)
{
	char file[PATH_MAX], err[500];
	struct dirent **found = NULL;
	int n = scandir(path, &found, which, NULL);
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%.3500s/%s", path, found[i]->d_name);
		if (!is_needed(found[i]->d_name, kept, count) && !folder_remove(file, err, sizeof(err)))
			fprintf(stderr, "ringfence: %s\n", err);
		free(found[i]);
	}
	free(found);
}

static int is_new(const struct dirent *e)
{
	return !strncmp(e->d_name, NEW, strlen(NEW));
}

void snaptree_sweep(const char *dir, const char *resume)
{
	char path[PATH_MAX], err[500], **needed;
	struct snaptree t;
	u32 count = 0, most;
	snprintf(path, sizeof(path), "%.3500s/snapshots", dir);
	remove_entries(path, is_new, NULL, 0);
	if (!snaptree_load(&t, dir, err, sizeof(err)))
		return;
	most = 4096;
	needed = calloc(most, sizeof(*needed));
	snprintf(path, sizeof(path), "%.3500s/snapshots/" STATES, dir);
	if (needed && find_needed(dir, &t, resume, needed, &count, most))
		remove_entries(path, any_entry, (const char *const *)needed, count);
	for (u32 i = 0; i < count; i++)
		free(needed[i]);
	free(needed);
	snaptree_free(&t);
}
