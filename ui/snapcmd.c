/*
 * snapcmd.c - 'ringfence snapshot', 'undo' and 'suspend': on a machine's folder when it is off, over its socket when it runs.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ui/cli.h"
#include "ui/commands.h"
#include "ui/control_client.h"
#include "ui/json.h"
#include "ui/machine.h"
#include "ui/say.h"
#include "ui/snapops.h"

#define SENTENCE 900
#define PATIENCE_MS 60000

static void help(void)
{
	printf("Usage: ringfence snapshot take [NAME] [--description TEXT] [--machine M]\n"
		"       ringfence snapshot list [--machine M]\n"
		"       ringfence snapshot restore NAME [--machine M]\n"
		"       ringfence snapshot delete NAME [--machine M]\n"
		"       ringfence undo [--machine M]                 back to the last snapshot\n"
		"       ringfence suspend [--machine M]              keep the memory, leave; 'run' or 'resume' goes on\n"
		"       ringfence resume M [OPTION]...\n\n"
		"Snapshots of a running machine hold memory, chips and disks; of one that is off, disks and settings.\n"
		"Without --machine it is the only machine that runs, or the only one that there is.\n");
}

struct snap_words {
	const char *verb, *name, *machine, *description;
	char err[SENTENCE];
};

static const char *option_value(const char *word, const char *option, int argc, char **argv, int *i)
{
	size_t len = strlen(option);
	if (strncmp(word, option, len))
		return NULL;
	if (word[len] == '=')
		return word + len + 1;
	return word[len] || *i + 1 >= argc ? NULL : argv[++*i];
}

/* The rest is the name; one at most. */
static bool take_words(struct snap_words *w, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i], *v;
		if ((v = option_value(word, "--machine", argc, argv, &i))) {
			w->machine = v;
		} else if ((v = option_value(word, "--description", argc, argv, &i))) {
			w->description = v;
		} else if (*word == '-') {
			snprintf(w->err, sizeof(w->err), "%.60s is no option, or needs a value", word);
			return false;
		} else if (w->name) {
			snprintf(w->err, sizeof(w->err), "'%.60s' is a word too many", word);
			return false;
		} else {
			w->name = word;
		}
	}
	return true;
}

/* The only one that runs, or else the only one. */
static bool find_machine(struct snap_words *w, char name[64])
{
	char **names = machdir_names();
	u32 count = 0, running = 0;
	*name = 0;
	for (char **n = names; n && *n; n++, count++) {
		bool runs = machdir_in_use(*n);
		if (runs || (!running && !count))
			snprintf(name, 64, "%s", *n);
		running += runs;
	}
	machdir_names_free(names);
	if (running == 1 || (!running && count == 1))
		return true;
	snprintf(w->err, sizeof(w->err), count ? "which machine is meant? --machine M says it; 'ringfence list' shows them" :
		"there is no machine; 'ringfence create' makes one");
	return false;
}

/* --- over the socket --- */

/* Until memory is on disk; false with what went wrong. */
static bool wait_for_end(struct control_client *c, char *err, size_t errsize)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	while (true) {
		struct json *st = control_client_ask(c, "query-snapshot", NULL, err, errsize);
		s64 writing = 0;
		if (!st)
			return false;
		char *text = js_write(js_get(st, "writing"));
		writing = text && !strcmp(text, "true");
		free(text);
		const char *error = js_string(js_get(st, "error"));
		if (!writing) {
			if (error)
				snprintf(err, errsize, "%s", error);
			bool ok = !error;
			js_free(st);
			return ok;
		}
		js_free(st);
		nanosleep(&pause, NULL);
	}
}

static bool ask(struct snap_words *w, const char *machine)
{
	char verb[40];
	struct control_client c;
	struct json *args = js_object();
	bool taking = !strcmp(w->verb, "take");
	snprintf(verb, sizeof(verb), "%s%s", !strcmp(w->verb, "undo") || !strcmp(w->verb, "suspend") ? "" : "snapshot-", w->verb);
	if (w->name)
		js_put(args, "name", js_text(w->name));
	if (w->description)
		js_put(args, "description", js_text(w->description));
	if (!control_client_open(&c, machine, PATIENCE_MS, w->err, sizeof(w->err))) {
		js_free(args);
		return false;
	}
	struct json *answer = control_client_ask(&c, verb, args, w->err, sizeof(w->err));
	bool ok = answer && (!taking || wait_for_end(&c, w->err, sizeof(w->err)));
	if (ok && taking && js_string(js_get(answer, "name")))
		printf("%s\n", js_string(js_get(answer, "name")));
	js_free(answer);
	control_client_close(&c);
	return ok;
}

/* --- in the folder --- */

static bool list(struct snap_words *w, const char *machine)
{
	struct machine_dir m;
	struct snaptree t = { 0 };
	bool ok = machdir_look(&m, machine, w->err, sizeof(w->err)) && snaptree_load(&t, m.path, w->err, sizeof(w->err));
	if (ok && t.count)
		snaptree_print(&t, conf_get(&m.conf, "snapshot"), stdout);
	snaptree_free(&t);
	machdir_close(&m);
	return ok;
}

static bool do_off(struct snap_words *w, const char *machine)
{
	struct machine_dir m;
	char name[64];
	snprintf(name, sizeof(name), "%.63s", w->name ? w->name : "");
	bool ok = machdir_open(&m, machine, w->err, sizeof(w->err));
	if (!ok)
		return false;
	snap_clean(&m);
	if (!strcmp(w->verb, "take")) {
		ok = snap_take_off(&m, name, w->description, w->err, sizeof(w->err));
		if (ok)
			printf("%s\n", name);
	} else if (!strcmp(w->verb, "delete")) {
		ok = snap_delete_off(&m, name, w->err, sizeof(w->err));
	} else if (!strcmp(w->verb, "suspend")) {
		snprintf(w->err, sizeof(w->err), "machine '%s' does not run", machine);
		ok = false;
	} else {
		ok = snap_pick(&m, w->name ? w->name : "", name, w->err, sizeof(w->err)) && snap_restore_off(&m, name, w->err, sizeof(w->err));
	}
	machdir_close(&m);
	return ok;
}

static int run(struct snap_words *w)
{
	char only[64];
	const char *machine = w->machine;
	if (!machine && !find_machine(w, only))
		return say_failed(w->err);
	if (!machine)
		machine = only;
	bool ok = !strcmp(w->verb, "list") ? list(w, machine) : machdir_in_use(machine) ? ask(w, machine) : do_off(w, machine);
	return ok ? STATUS_OK : say_failed(w->err);
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

int cmd_snapshot(int argc, char **argv)
{
	static const char *const verbs[] = { "take", "list", "restore", "delete" };
	struct snap_words w = { 0 };
	if (wants_help(argc, argv)) {
		help();
		return STATUS_OK;
	}
	if (!argc)
		return say_usage("what is to be done? take, list, restore or delete", "ringfence snapshot");
	for (u32 i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[0], verbs[i]))
			w.verb = verbs[i];
	if (!w.verb) {
		const char *nearest = cli_nearest(argv[0], verbs, ARRAY_SIZE(verbs));
		snprintf(w.err, sizeof(w.err), "snapshot has no verb '%.40s'%s%s%s", argv[0], nearest ? "; did you mean '" : "",
			nearest ? nearest : "", nearest ? "'?" : "");
		return say_usage(w.err, "ringfence snapshot");
	}
	if (!take_words(&w, argc - 1, argv + 1))
		return say_usage(w.err, "ringfence snapshot");
	bool needs = !strcmp(w.verb, "restore") || !strcmp(w.verb, "delete"), takes = needs || !strcmp(w.verb, "take");
	if (needs && !w.name)
		return say_usage("which snapshot? 'ringfence snapshot list' shows them", "ringfence snapshot");
	if (w.name && !takes)
		return say_usage("list takes no name; --machine M says of which machine", "ringfence snapshot");
	if (w.description && strcmp(w.verb, "take"))
		return say_usage("--description goes with take", "ringfence snapshot");
	return run(&w);
}

/* A word is the machine here. */
static int machine_verb(const char *verb, int argc, char **argv)
{
	struct snap_words w = { .verb = verb };
	if (wants_help(argc, argv)) {
		help();
		return STATUS_OK;
	}
	if (!take_words(&w, argc, argv))
		return say_usage(w.err, "ringfence snapshot");
	if (w.name && w.machine)
		return say_usage("one machine at a time", "ringfence snapshot");
	if (w.name)
		w.machine = w.name;
	w.name = NULL;
	return run(&w);
}

int cmd_undo(int argc, char **argv)
{
	return machine_verb("undo", argc, argv);
}

int cmd_suspend(int argc, char **argv)
{
	return machine_verb("suspend", argc, argv);
}
