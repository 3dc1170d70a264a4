/*
 * snap_off.c - snapshots of a machine that is off: its disks, its settings, and the memory of a suspended one.
 */
#include "ui/snapops.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ui/layers.h"

static bool conf_copy(struct conf *to, const struct conf *from, char *err, size_t errsize)
{
	size_t len;
	char *text = conf_text(from, &len);
	bool ok = text && conf_parse(to, CONF_FILE_NAME, text, len, err, errsize);
	if (!text) {
		snprintf(err, errsize, "out of memory");
		*to = (struct conf){ 0 };
	}
	free(text);
	return ok;
}

/* Durable: m->conf becomes `next`, which is used up. */
static bool conf_become(struct machine_dir *m, struct conf *next, char *err, size_t errsize)
{
	if (!conf_save(next, m->path, err, errsize)) {
		conf_free(next);
		return false;
	}
	conf_free(&m->conf);
	m->conf = *next;
	return true;
}

bool snap_pick(const struct machine_dir *m, const char *want, char name[64], char *err, size_t errsize)
{
	struct snaptree t;
	const char *here = conf_get(&m->conf, "snapshot");
	if (!*want && !here) {
		snprintf(err, errsize, "machine '%s' has no snapshot to go back to", m->name);
		return false;
	}
	if (!snaptree_load(&t, m->path, err, errsize))
		return false;
	snprintf(name, 64, "%.63s", *want ? want : here);
	bool ok = snaptree_find(&t, name);
	if (!ok)
		snaptree_unknown(&t, name, err, errsize);
	snaptree_free(&t);
	return ok;
}

static bool prepare(struct machine_dir *m, struct snap *s, const char *name, const char *description, char *err, size_t errsize)
{
	struct snaptree t;
	const char *here = conf_get(&m->conf, "snapshot"), *state = conf_get(&m->conf, "resume");
	*s = (struct snap){ .time = time(NULL) };
	snprintf(s->name, sizeof(s->name), "%.63s", name);
	snprintf(s->parent, sizeof(s->parent), "%.63s", here ? here : "");
	snprintf(s->state, sizeof(s->state), "%.15s", state ? state : "");
	snprintf(s->description, sizeof(s->description), "%.199s", description ? description : "");
	for (char *p = s->description; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	if (!snaptree_load(&t, m->path, err, errsize))
		return false;
	bool ok = snaptree_name(&t, s->name, err, errsize);
	snaptree_free(&t);
	return ok;
}

bool snap_take_off(struct machine_dir *m, char name[64], const char *description, char *err, size_t errsize)
{
	struct conf next = { 0 }, then = { 0 };
	struct layers l = { 0 };
	struct snap s;
	if (!prepare(m, &s, name, description, err, errsize) || !conf_copy(&then, &m->conf, err, errsize) ||
	    !layers_make(&l, &m->conf, m->path, err, errsize)) {
		conf_free(&then);
		return false;
	}
	bool ok = conf_copy(&next, &m->conf, err, errsize) && layers_use(&l, &next, err, errsize);
	if (!ok)
		conf_free(&next);
	ok = ok && conf_become(m, &next, err, errsize);
	if (!ok)
		layers_unmake(&l);
	ok = ok && snaptree_add(m->path, &s, &then, err, errsize) && machdir_set(m, "snapshot", s.name, err, errsize);
	conf_free(&then);
	snprintf(name, 64, "%s", s.name);
	return ok;
}

bool snap_restore_off(struct machine_dir *m, const char *name, char *err, size_t errsize)
{
	struct conf then = { 0 };
	struct layers l = { 0 };
	struct snaptree t;
	char state[16] = "";
	if (!snaptree_load(&t, m->path, err, errsize))
		return false;
	const struct snap *s = snaptree_find(&t, name);
	if (s)
		snprintf(state, sizeof(state), "%s", s->state);
	else
		snaptree_unknown(&t, name, err, errsize);
	bool ok = s && snaptree_conf(m->path, name, &then, err, errsize);
	snaptree_free(&t);
	ok = ok && layers_make(&l, &then, m->path, err, errsize);
	bool made = ok;
	ok = ok && layers_use(&l, &then, err, errsize) && conf_set(&then, "snapshot", name, err, errsize) &&
	     conf_set(&then, "resume", state[0] ? state : NULL, err, errsize);
	if (ok)
		ok = conf_become(m, &then, err, errsize);
	else
		conf_free(&then);
	if (!ok && made)
		layers_unmake(&l);
	if (ok)
		snap_clean(m);
	return ok;
}

bool snap_delete_off(struct machine_dir *m, const char *name, char *err, size_t errsize)
{
	if (!snaptree_forget(m, name, err, errsize))
		return false;
	snaptree_sweep(m->path, conf_get(&m->conf, "resume"));
	return layers_tidy(&m->conf, m->path, err, errsize);
}

void snap_clean(struct machine_dir *m)
{
	char err[900];
	snaptree_sweep(m->path, conf_get(&m->conf, "resume"));
	if (!layers_sweep(&m->conf, m->path, err, sizeof(err)))
		fprintf(stderr, "ringfence: %s\n", err);
}

bool snap_resumed(struct machine_dir *m, char *err, size_t errsize)
{
	return !conf_get(&m->conf, "resume") || machdir_set(m, "resume", NULL, err, errsize);
}
