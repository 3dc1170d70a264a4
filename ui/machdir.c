/*
 * machdir.c - the folder of machines. A machine appears, changes its name and goes by one rename(), so nobody ever sees half of one.
 */
#define _GNU_SOURCE	/* OFD locks, renameat2() */
#include "ui/machdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ui/cli.h"
#include "ui/files.h"
#include "ui/rundir.h"

#define NEW ".new-"
#define GONE ".gone-"
#define YOUNG_S 10		/* a folder without a lock may be one that is just being made */

bool machdir_base(char *buf, size_t size, char *err, size_t errsize)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int n = -1;
	if (data && *data == '/')
		n = snprintf(buf, size, "%s/ringfence", data);
	else if (home && *home == '/')
		n = snprintf(buf, size, "%s/.local/share/ringfence", home);
	if (n > 0 && n < PATH_MAX - 512 && (size_t)n < size)
		return true;
	snprintf(err, errsize, n < 0 ? "there is no folder for machines: neither XDG_DATA_HOME nor HOME is set" :
		"the folder for machines has too long a name: XDG_DATA_HOME or HOME");
	return false;
}

bool machdir_path(const char *name, char *buf, size_t size, char *err, size_t errsize)
{
	char base[PATH_MAX];
	if (!rundir_name_valid(name)) {
		snprintf(err, errsize, "'%.60s' is no name for a machine: up to %d printable characters without a slash, and no dot or dash in front",
			name, RUNDIR_NAME_MAX);
		return false;
	}
	if (!machdir_base(base, sizeof(base), err, errsize))
		return false;
	return (size_t)snprintf(buf, size, "%s/%s", base, name) < size;
}

bool machdir_exists(const char *name)
{
	char path[PATH_MAX], file[PATH_MAX + 20], err[200];
	struct stat st;
	if (!machdir_path(name, path, sizeof(path), err, sizeof(err)))
		return false;
	snprintf(file, sizeof(file), "%s/" CONF_FILE_NAME, path);
	return !stat(file, &st);
}

/* --- all of them --- */

static int is_machine(const struct dirent *e)
{
	return e->d_name[0] != '.' && machdir_exists(e->d_name);
}

char **machdir_names(void)
{
	char base[PATH_MAX], err[200];
	struct dirent **found = NULL;
	int n = machdir_base(base, sizeof(base), err, sizeof(err)) ? scandir(base, &found, is_machine, versionsort) : 0;
	char **names = n > 0 ? calloc((size_t)n + 1, sizeof(*names)) : NULL;
	for (int i = 0; i < n; i++) {
		if (names)
			names[i] = strdup(found[i]->d_name);
		free(found[i]);
	}
	free(found);
	return names;
}

void machdir_names_free(char **names)
{
	for (char **n = names; n && *n; n++)
		free(*n);
	free(names);
}

void machdir_unknown(const char *name, char *err, size_t errsize)
{
	char **names = machdir_names();
	u32 count = 0;
	while (names && names[count])
		count++;
	const char *nearest = names ? cli_nearest(name, (const char *const *)names, count) : NULL;
	snprintf(err, errsize, "there is no machine '%.60s'%s%s%s", name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
		nearest ? "'?" : "");
	machdir_names_free(names);
}

/* --- locks --- */

/* -1 with errno: EAGAIN when somebody has it. */
static int lock_folder(const char *path, bool make)
{
	char file[PATH_MAX];
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	snprintf(file, sizeof(file), "%s/lock", path);
	int fd = open(file, O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &fl)) {
		int e = errno;
		close(fd);
		errno = e == EACCES ? EAGAIN : e;
		fd = -1;
	}
	return fd;
}

int machdir_lock(const char *name, char *err, size_t errsize)
{
	char path[PATH_MAX];
	if (!machdir_path(name, path, sizeof(path), err, errsize))
		return -1;
	if (!machdir_exists(name)) {
		machdir_unknown(name, err, errsize);
		return -1;
	}
	int fd = lock_folder(path, true);
	if (fd < 0 && errno == EAGAIN)
		snprintf(err, errsize, "machine '%s' is in use: it runs, or another command works on it", name);
	else if (fd < 0)
		snprintf(err, errsize, "%s/lock: %s", path, strerror(errno));
	return fd;
}

bool machdir_in_use(const char *name)
{
	char path[PATH_MAX], err[200];
	if (!machdir_path(name, path, sizeof(path), err, sizeof(err)))
		return false;
	int fd = lock_folder(path, false);
	bool used = fd < 0 && errno == EAGAIN;
	if (fd >= 0)
		close(fd);
	return used;
}

/* --- one of them --- */

bool machdir_look(struct machine_dir *m, const char *name, char *err, size_t errsize)
{
	*m = (struct machine_dir){ .lock = -1 };
	if (!machdir_path(name, m->path, sizeof(m->path), err, errsize))
		return false;
	if (!machdir_exists(name)) {
		machdir_unknown(name, err, errsize);
		return false;
	}
	snprintf(m->name, sizeof(m->name), "%s", name);
	return conf_load(&m->conf, m->path, err, errsize);
}

bool machdir_open(struct machine_dir *m, const char *name, char *err, size_t errsize)
{
	int lock = machdir_lock(name, err, errsize);
	bool ok = machdir_look(m, name, err, lock < 0 ? 0 : errsize) && lock >= 0;
	m->lock = lock;
	if (!ok)
		machdir_close(m);
	return ok;
}

static bool name_is_free(const char *name, char *err, size_t errsize)
{
	char path[PATH_MAX];
	struct stat st;
	if (!machdir_path(name, path, sizeof(path), err, errsize))
		return false;
	if (lstat(path, &st))
		return true;
	snprintf(err, errsize, machdir_exists(name) ? "there is a machine '%s' already" :
		"there is something else in the place of machine '%s'", name);
	return false;
}

static bool fails(const char *path, char *err, size_t errsize)
{
	snprintf(err, errsize, "%s: %s", path, strerror(errno));
	return false;
}

bool machdir_begin(struct machine_dir *m, const char *name, char *err, size_t errsize)
{
	char base[PATH_MAX];
	*m = (struct machine_dir){ .lock = -1 };
	machdir_sweep();
	if (!name_is_free(name, err, errsize) || !machdir_base(base, sizeof(base), err, errsize) || !folder_make(base, err, errsize))
		return false;
	snprintf(m->path, sizeof(m->path), "%.3000s/" NEW "%s.%d", base, name, (int)getpid());
	if (mkdir(m->path, 0700))
		return fails(m->path, err, errsize);
	m->lock = lock_folder(m->path, true);
	if (m->lock < 0) {
		fails(m->path, err, errsize);
		rmdir(m->path);
		return false;
	}
	snprintf(m->name, sizeof(m->name), "%s", name);
	return true;
}

static bool is_new(const struct machine_dir *m)
{
	const char *slash = strrchr(m->path, '/');
	return slash && !strncmp(slash + 1, NEW, strlen(NEW));
}

/* Never over something that is there. */
static bool move(struct machine_dir *m, const char *to, char *err, size_t errsize)
{
	char path[PATH_MAX], base[PATH_MAX];
	if (!machdir_base(base, sizeof(base), err, errsize))
		return false;
	snprintf(path, sizeof(path), "%.3000s/%s", base, to);
	if (renameat2(AT_FDCWD, m->path, AT_FDCWD, path, RENAME_NOREPLACE)) {
		if (errno != EINVAL)	/* file systems without that flag; the lock and the look before have to do */
			return fails(path, err, errsize);
		if (rename(m->path, path))
			return fails(path, err, errsize);
	}
	snprintf(m->path, sizeof(m->path), "%.*s", (int)sizeof(m->path) - 1, path);
	return folder_sync(base, err, errsize);
}

bool machdir_finish(struct machine_dir *m, char *err, size_t errsize)
{
	return conf_check(&m->conf, m->path, err, errsize) && conf_save(&m->conf, m->path, err, errsize) && name_is_free(m->name, err, errsize) &&
	       move(m, m->name, err, errsize);
}

void machdir_close(struct machine_dir *m)
{
	char err[200];
	if (m->lock >= 0 && is_new(m))
		folder_remove(m->path, err, sizeof(err));
	if (m->lock >= 0)
		close(m->lock);
	conf_free(&m->conf);
	m->lock = -1;
}

bool machdir_rename(struct machine_dir *m, const char *to, char *err, size_t errsize)
{
	return name_is_free(to, err, errsize) && move(m, to, err, errsize);
}

bool machdir_set(struct machine_dir *m, const char *key, const char *value, char *err, size_t errsize)
{
	return conf_set(&m->conf, key, value, err, errsize) && conf_save(&m->conf, m->path, err, errsize);
}

bool machdir_delete(struct machine_dir *m, char *err, size_t errsize)
{
	char gone[100];
	snprintf(gone, sizeof(gone), GONE "%s.%d", m->name, (int)getpid());
	return move(m, gone, err, errsize) && folder_remove(m->path, err, errsize);
}

static int is_leftover(const struct dirent *e)
{
	return !strncmp(e->d_name, NEW, strlen(NEW)) || !strncmp(e->d_name, GONE, strlen(GONE));
}

static void sweep_one(const char *base, const char *name)
{
	char path[PATH_MAX], err[500];
	struct stat st;
	snprintf(path, sizeof(path), "%.3000s/%s", base, name);
	int lock = lock_folder(path, false);
	if (lock < 0 && (errno != ENOENT || lstat(path, &st) || (!strncmp(name, NEW, strlen(NEW)) && time(NULL) - st.st_mtime < YOUNG_S)))
		return;
	if (folder_remove(path, err, sizeof(err)))
		fprintf(stderr, "ringfence: removed %s, which a command that was killed has left\n", path);
	if (lock >= 0)
		close(lock);
}

void machdir_sweep(void)
{
	char base[PATH_MAX], err[200];
	struct dirent **found = NULL;
	int n = machdir_base(base, sizeof(base), err, sizeof(err)) ? scandir(base, &found, is_leftover, alphasort) : 0;
	for (int i = 0; i < n; i++) {
		sweep_one(base, found[i]->d_name);
		free(found[i]);
	}
	free(found);
}
