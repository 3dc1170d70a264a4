/*
 * list.c - 'ringfence list': this user's running machines, each asked over its socket.
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
#include "ui/rundir.h"

#define PATIENCE_MS 2000

static int is_socket(const struct dirent *e)
{
	size_t len = strlen(e->d_name);
	return len > 5 && !strcmp(e->d_name + len - 5, ".sock");
}

/* Without the suffix; guest-10 comes behind guest-9. */
static int by_name(const void *a, const void *b)
{
	const struct dirent *const *x = a, *const *y = b;
	return strverscmp((*x)->d_name, (*y)->d_name);
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

/* A socket that nobody listens on was left by a machine that was killed: it is no news. */
static void ask(const char *name)
{
	struct control_client c;
	char err[300];
	if (!control_client_open(&c, name, PATIENCE_MS, err, sizeof(err))) {
		if (errno != ECONNREFUSED && errno != ENOENT)
			printf("%-20s %s\n", name, err);
		return;
	}
	struct json *status = control_client_ask(&c, "query-status", NULL, err, sizeof(err));
	control_client_close(&c);
	if (js_string(js_get(status, "status")))
		print_row(name, status);
	else
		printf("%-20s %s\n", name, err);
	js_free(status);
}

int cmd_list(int argc, char **argv)
{
	char dir[200], err[200];
	struct dirent **found = NULL;
	switch (cli_parse_plain(argc, argv, err, sizeof(err))) {
	case CLI_HELP:
		printf("Usage: ringfence list\n\nShows this user's running machines: name, state, process, memory, since when.\n");
		return 0;
	case CLI_VERSION:
		return cli_print_version();
	case CLI_ERROR:
		fprintf(stderr, "ringfence: %s\nTry 'ringfence list --help'.\n", err);
		return 2;
	case CLI_OK:
		break;
	}
	if (!rundir_path(dir, sizeof(dir), err, sizeof(err))) {
		fprintf(stderr, "ringfence: %s\n", err);
		return 1;
	}
	int n = scandir(dir, &found, is_socket, NULL);
	if (n < 0 && errno != ENOENT) {
		fprintf(stderr, "ringfence: %s: %s\n", dir, strerror(errno));
		return 1;
	}
	if (n > 0)
		printf("%-20s %-10s %8s %7s  %s\n", "NAME", "STATE", "PID", "MEMORY", "SINCE");
	for (int i = 0; i < n; i++)
		found[i]->d_name[strlen(found[i]->d_name) - 5] = 0;
	if (n > 0)
		qsort(found, (size_t)n, sizeof(*found), by_name);
	for (int i = 0; i < n; i++) {
		ask(found[i]->d_name);
		free(found[i]);
	}
	free(found);
	return 0;
}
