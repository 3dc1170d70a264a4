/*
 * machine_change.c - 'ringfence show', 'set', 'rename', 'delete' and the full 'clone': what is done with machines that there are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/image.h"
#include "ui/cli.h"
#include "ui/commands.h"
#include "ui/files.h"
#include "ui/machdir.h"
#include "ui/machine.h"
#include "ui/say.h"

#define SENTENCE 900

/* Words without options of their own: how many there may be. -1: go on; else an exit status. */
static int plain_words(const char *command, int argc, char **argv, int least, int most, const char *help)
{
	char err[200];
	int options = 0;
	for (int i = 0; i < argc; i++) {
		if (argv[i][0] != '-')
			continue;
		options++;
		switch (cli_parse_plain(1, argv + i, err, sizeof(err))) {
		case CLI_HELP:    fputs(help, stdout); return STATUS_OK;
		case CLI_VERSION: return cli_print_version();
		case CLI_ERROR:   return say_usage(err, command);
		case CLI_OK:      break;
		}
	}
	if (argc < least || argc > most)
		return say_usage(argc < least ? "a word is missing" : "that is a word too many", command);
	return -1;
}

/* --- show --- */

static void print_size(const char *label, u64 bytes)
{
	static const char units[] = "KMGT";
	double n = (double)bytes / 1024;
	int u = 0;
	while (n >= 1024 && units[u + 1]) {
		n /= 1024;
		u++;
	}
	printf("%s%.*f %ciB", label, n < 10 ? 1 : 0, n, units[u]);
}

static void print_drive(const struct conf_line *l, const char *dir)
{
	char path[PATH_MAX], err[SENTENCE];
	const char *options;
	struct image_options opt = { .readonly = true, .no_lock = true, .no_backing = true };
	if (!conf_drive_file(l, dir, path, sizeof(path), &options))
		return;
	struct image *im = image_open(path, &opt, err, sizeof(err));
	u64 held, length;
	if (!im) {
		printf("  # %s\n", err);
		return;
	}
	printf("  # %s, ", image_format_of(im));
	print_size("", image_size(im));
	if (image_disk_usage(im, &held, &length))
		print_size(", holds ", held);
	if (image_backing_name(im))
		printf(", on %s", image_backing_name(im));
	printf("\n");
	image_close(im);
}

static int show(const struct machine_dir *m, const char *key)
{
	char err[SENTENCE];
	if (key) {
		if (!conf_key_valid(key, err, sizeof(err)))
			return say_failed(err);
		if (conf_get(&m->conf, key))
			printf("%s\n", conf_get(&m->conf, key));
		return conf_get(&m->conf, key) ? STATUS_OK : STATUS_ERROR;
	}
	printf("# machine %s, %s, ", m->name, machdir_in_use(m->name) ? "in use" : "stopped");
	print_size("", folder_usage(m->path));
	printf(" in %s\n", m->path);
	for (u32 i = 0; i < m->conf.lines; i++) {
		const struct conf_line *l = &m->conf.line[i];
		if (!l->value)
			continue;
		printf("%s = %s\n", l->key, l->value);
		print_drive(l, m->path);
	}
	return STATUS_OK;
}

int cmd_show(int argc, char **argv)
{
	static const char help[] = "Usage: ringfence show NAME [KEY]\n\n"
		"Shows a machine's settings, and what its drives are; with KEY that value alone.\n"
		"Exit status: 1 if there is no such machine, or KEY is not set.\n";
	struct machine_dir m;
	char err[SENTENCE];
	int status = plain_words("ringfence show", argc, argv, 1, 2, help);
	if (status >= 0)
		return status;
	status = machdir_look(&m, argv[0], err, sizeof(err)) ? show(&m, argv[1]) : say_failed(err);
	machdir_close(&m);
	return status;
}

/* --- set --- */

static bool set_words(struct machine_dir *m, int argc, char **argv, char *err, size_t errsize)
{
	for (int i = 0; i < argc; i++) {
		char *equals = strchr(argv[i], '=');
		if (!equals) {
			snprintf(err, errsize, "'%.60s' is not of the form KEY=VALUE", argv[i]);
			return false;
		}
		*equals = 0;
		if (!strcmp(argv[i], "snapshot")) {
			snprintf(err, errsize, "snapshot is kept by 'ringfence snapshot'");
			return false;
		}
		if (!conf_set(&m->conf, argv[i], equals[1] ? equals + 1 : NULL, err, errsize))
			return false;
	}
	return conf_check(&m->conf, m->path, err, errsize) && conf_save(&m->conf, m->path, err, errsize);
}

int cmd_set(int argc, char **argv)
{
	struct machine_dir m;
	char err[SENTENCE];
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			printf("Usage: ringfence set NAME KEY=VALUE...\n\nChanges a machine's settings; KEY= takes one away. All are changed, or none.\n"
				"Names of files are relative to the machine's folder.\n\n");
			conf_print_keys(stdout);
			return STATUS_OK;
		}
	if (argc < 2)
		return say_usage("a machine's name and KEY=VALUE are needed", "ringfence set");
	bool ok = machdir_open(&m, argv[0], err, sizeof(err)) && set_words(&m, argc - 1, argv + 1, err, sizeof(err));
	machdir_close(&m);
	return ok ? STATUS_OK : say_failed(err);
}

/* --- rename, delete --- */

int cmd_rename(int argc, char **argv)
{
	static const char help[] = "Usage: ringfence rename NAME NEW-NAME\n\nGives a machine that does not run another name.\n";
	struct machine_dir m;
	char err[SENTENCE];
	int status = plain_words("ringfence rename", argc, argv, 2, 2, help);
	if (status >= 0)
		return status;
	bool ok = machdir_open(&m, argv[0], err, sizeof(err)) && machdir_rename(&m, argv[1], err, sizeof(err));
	machdir_close(&m);
	return ok ? STATUS_OK : say_failed(err);
}

static bool user_agrees(const struct machine_dir *m)
{
	char answer[20];
	printf("Delete machine '%s' (", m->name);
	print_size("", folder_usage(m->path));
	printf(") with its disks and snapshots? [y/N] ");
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

int cmd_delete(int argc, char **argv)
{
	static const char help[] = "Usage: ringfence delete NAME [--yes]\n\n"
		"Removes a machine that does not run, with its disks and snapshots, after a question.\n";
	struct machine_dir m;
	char err[SENTENCE];
	bool yes = false;
	int n = 0;
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--yes") || !strcmp(argv[i], "-y"))
			yes = true;
		else
			argv[n++] = argv[i];
	}
	int status = plain_words("ringfence delete", n, argv, 1, 1, help);
	if (status >= 0)
		return status;
	machdir_sweep();
	if (!yes && !isatty(STDIN_FILENO))
		return say_usage("nobody is there to be asked: --yes deletes without a question", "ringfence delete");
	bool ok = machdir_open(&m, argv[0], err, sizeof(err));
	if (ok && !yes && !user_agrees(&m)) {
		machdir_close(&m);
		return say_failed("it is kept");
	}
	ok = ok && machdir_delete(&m, err, sizeof(err));
	machdir_close(&m);
	return ok ? STATUS_OK : say_failed(err);
}

/* --- clone --- */

/* Everything in the folder but what belongs to its being this machine now. */
static bool copy_folder(const char *from, const char *to, char *err, size_t errsize)
{
	char *paths[] = { (char *)from, NULL }, path[PATH_MAX];
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	bool ok = tree;
	for (const FTSENT *e; ok && (e = fts_read(tree));) {
		const char *name = e->fts_path + strlen(from);
		if (!strcmp(name, "/lock") || !strcmp(name, "/" CONF_FILE_NAME))
			continue;
		snprintf(path, sizeof(path), "%.2000s%.2000s", to, name);
		if (e->fts_info == FTS_D && mkdir(path, 0700) && errno != EEXIST) {
			snprintf(err, errsize, "%.400s: %s", path, strerror(errno));
			ok = false;
		} else if (e->fts_info == FTS_DP) {
			ok = folder_sync(path, err, errsize);
		} else if (e->fts_info == FTS_F) {
			ok = file_copy(e->fts_path, path, err, errsize);
		} else if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR || e->fts_info == FTS_NS) {
			snprintf(err, errsize, "%.400s: %s", e->fts_path, strerror(e->fts_errno));
			ok = false;
		}	/* sockets and what else a run leaves are not copied */
	}
	if (tree)
		fts_close(tree);
	return ok;
}

static bool copy_conf(struct machine_dir *to, const struct machine_dir *from, char *err, size_t errsize)
{
	size_t len;
	char *text = conf_text(&from->conf, &len);
	bool ok = text && conf_parse(&to->conf, from->path, text, len, err, errsize);
	if (!text)
		snprintf(err, errsize, "out of memory");
	free(text);
	return ok;
}

int cmd_clone(int argc, char **argv)
{
	static const char help[] = "Usage: ringfence clone NAME NEW-NAME\n\n"
		"Makes a copy of a machine that does not run, with its disks and snapshots. Where the file system can share blocks, that takes\n"
		"no time and no room. Files outside the machine's folder are used by both.\n";
	struct machine_dir from = { .lock = -1 }, to = { .lock = -1 };
	char err[SENTENCE];
	int status = plain_words("ringfence clone", argc, argv, 2, 2, help);
	if (status >= 0)
		return status;
	bool ok = machdir_open(&from, argv[0], err, sizeof(err)) && machdir_begin(&to, argv[1], err, sizeof(err)) &&
		  copy_folder(from.path, to.path, err, sizeof(err)) && copy_conf(&to, &from, err, sizeof(err)) &&
		  machdir_finish(&to, err, sizeof(err));
	machdir_close(&to);
	machdir_close(&from);
	return ok ? STATUS_OK : say_failed(err);
}
