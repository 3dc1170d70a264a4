/*
 * machine_run.c - 'ringfence run NAME': the words for 'ringfence run' from the machine's folder, which stays locked while it runs.
 */
#include "ui/machine_run.h"

#include <stdlib.h>
#include <string.h>

#include "ui/rundir.h"
#include "ui/snapops.h"

static bool make_words(struct machine_words *w, int *argc, char ***argv)
{
	char **own = *argv + 1, **all;
	int owned = *argc - 1, n = 0;
	w->conf_words = conf_words(&w->m.conf, w->m.path, owned, own, &w->conf_count);
	all = w->conf_words ? calloc((size_t)(w->conf_count + owned) + 3, sizeof(*all)) : NULL;
	if (!all)
		return false;
	snprintf(w->name, sizeof(w->name), "--name=%s", w->m.name);
	for (int i = 0; i < owned; i++)
		w->named |= !strncmp(own[i], "--name", 6);
	if (!w->named)
		all[n++] = w->name;
	for (int i = 0; i < w->conf_count; i++)
		all[n++] = w->conf_words[i];
	for (int i = 0; i < owned; i++)
		all[n++] = own[i];
	w->all = all;
	*argv = all;
	*argc = n;
	return true;
}

bool machine_words_begin(struct machine_words *w, int *argc, char ***argv, char *err, size_t errsize)
{
	*w = (struct machine_words){ .m.lock = -1 };
	if (!*argc || !rundir_name_valid(**argv) || !machdir_exists(**argv))
		return true;
	if (!machdir_open(&w->m, **argv, err, errsize) || !conf_check(&w->m.conf, w->m.path, err, errsize))
		return false;
	snap_clean(&w->m);
	if (make_words(w, argc, argv))
		return true;
	snprintf(err, errsize, "out of memory");
	return false;
}

void machine_words_end(struct machine_words *w)
{
	conf_words_free(w->conf_words, w->conf_count);
	free(w->all);
	machdir_close(&w->m);
}

bool machine_is_suspended(const char *name, char *err, size_t errsize)
{
	struct machine_dir m;
	bool ok = machdir_look(&m, name, err, errsize);
	if (ok && !conf_get(&m.conf, "resume")) {
		snprintf(err, errsize, "machine '%.60s' was not suspended; 'ringfence run %.60s' starts it", name, name);
		ok = false;
	}
	machdir_close(&m);
	return ok;
}
