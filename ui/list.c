/*
 * list.c - 'ringfence list': this user's machines; the running ones are asked over their sockets.
 */
#define _GNU_SOURCE	/* strverscmp */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ui/cli.h"
#include "ui/commands.h"
#include "ui/control_client.h"
#include "ui/json.h"
#include "ui/machdir.h"
#include "ui/rundir.h"

#define PATIENCE_MS 2000

static int is_socket(const struct dirent *e)
{
	size_t len = strlen(e->d_name);
	return len > 5 && !strcmp(e->d_name + len - 5, ".sock");
}

static void print_row(const char *name, const struct json *status)
{
	s64 pid = 0, memory = 0, since = 0;
	char started[40] = "", mib[24];
	js_integer(js_get(status, "pid"), &pid);
	js_integer(js_get(status, "memory"), &memory);
	js_integer(js_get(status, "since"), &since);
	time_t t = (time_t)since;
	struct tm tm;
	if (localtime_r(&t, &tm))
		strftime(started, sizeof(started), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(mib, sizeof(mib), "%lldM", (long long)(memory >> 20));
	printf("%-20s %-10s %8lld %7s  %s\n", name, js_string(js_get(status, "status")), (long long)pid, mib, started);
}

/* A socket that nobody listens on was left by a machine that was killed: it is no news. True: it is running, and was printed. */
static bool ask(const char *name)
{
	struct control_client c;
	char err[300];
	if (!control_client_open(&c, name, PATIENCE_MS, err, sizeof(err))) {
		if (errno == ECONNREFUSED || errno == ENOENT)
			return false;
		printf("%-20s %s\n", name, err);
		return true;
	}
	struct json *status = control_client_ask(&c, "query-status", NULL, err, sizeof(err));
	control_client_close(&c);
	if (js_string(js_get(status, "status")))
		print_row(name, status);
	else
		printf("%-20s %s\n", name, err);
	js_free(status);
	return true;
}

/* A machine with a folder that does not listen: it is off, or runs under another name. */
static void print_stored(const char *name)
{
	struct machine_dir m;
	char err[900];
	if (machdir_look(&m, name, err, sizeof(err))) {
		const char *memory = conf_get(&m.conf, "memory"), *about = conf_get(&m.conf, "description");
		u64 bytes = 512ull << 20;
		char mib[24];
		if (memory)
			cli_parse_size(memory, &bytes);
		snprintf(mib, sizeof(mib), "%lluM", (unsigned long long)(bytes >> 20));
		printf("%-20s %-10s %8s %7s  %s\n", name, machdir_in_use(name) ? "in use" : "stopped", "-", mib, about ? about : "");
	} else {
		printf("%-20s %s\n", name, err);
	}
	machdir_close(&m);
}

struct names {
	char **name;
	u32 count;
};

static void names_add(struct names *n, const char *name)
{
	for (u32 i = 0; i < n->count; i++)
		if (!strcmp(n->name[i], name))
			return;
	char **more = realloc(n->name, (n->count + 1) * sizeof(*more)), *copy = strdup(name);
	if (more)
		n->name = more;
	if (more && copy)
		n->name[n->count++] = copy;
	else
		free(copy);
}

/* Without the suffix; guest-10 comes behind guest-9. */
static int by_name(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

static bool add_running(struct names *n, char *err, size_t errsize)
{
	char dir[200];
	struct dirent **found = NULL;
	if (!rundir_path(dir, sizeof(dir), err, errsize))
		return false;
	int count = scandir(dir, &found, is_socket, NULL);
	if (count < 0 && errno != ENOENT) {
		snprintf(err, errsize, "%s: %s", dir, strerror(errno));
		return false;
	}
	for (int i = 0; i < count; i++) {
		found[i]->d_name[strlen(found[i]->d_name) - 5] = 0;
		names_add(n, found[i]->d_name);
		free(found[i]);
	}
	free(found);
	return true;
}

int cmd_list(int argc, char **argv)
{
	char err[300];
	struct names names = { 0 };
	switch (cli_parse_plain(argc, argv, err, sizeof(err))) {
	case CLI_HELP:
		printf("Usage: ringfence list\n\nShows this user's machines, those that run and those that 'ringfence create' made: name, state,\n"
			"process, memory, since when it runs or what it is for.\n");
		return 0;
	case CLI_VERSION:
		return cli_print_version();
	case CLI_ERROR:
		fprintf(stderr, "ringfence: %s\nTry 'ringfence list --help'.\n", err);
		return 2;
	case CLI_OK:
		break;
	}
	if (!add_running(&names, err, sizeof(err))) {
		fprintf(stderr, "ringfence: %s\n", err);
		return 1;
	}
	char **stored = machdir_names();
	for (char **s = stored; s && *s; s++)
		names_add(&names, *s);
	machdir_names_free(stored);
	if (names.count) {
		printf("%-20s %-10s %8s %7s  %s\n", "NAME", "STATE", "PID", "MEMORY", "SINCE");
		qsort(names.name, names.count, sizeof(*names.name), by_name);
	}
	for (u32 i = 0; i < names.count; i++) {
		if (!ask(names.name[i]) && machdir_exists(names.name[i]))
			print_stored(names.name[i]);
		free(names.name[i]);
	}
	free(names.name);
	return 0;
}
