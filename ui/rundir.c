/*
 * rundir.c - the folder of the control sockets. It and what is in it are the user's alone (mode 0700); a folder that is not is refused,
 * because in /tmp anybody may make one.
 */
#include "ui/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool rundir_path(char *buf, size_t size, char *err, size_t errsize)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	int n = base && *base == '/' ? snprintf(buf, size, "%s/ringfence", base) : snprintf(buf, size, "/tmp/ringfence-%u", (unsigned)getuid());
	/* "/NAME.sock" follows */
	if ((size_t)n < size && (size_t)n + RUNDIR_NAME_MAX + 7 <= sizeof(((struct sockaddr_un *)0)->sun_path))
		return true;
	snprintf(err, errsize, "XDG_RUNTIME_DIR is too long for a Unix socket's name: %.100s", base);
	return false;
}

static int fail(char *err, size_t errsize, const char *path, const char *why)
{
	snprintf(err, errsize, "%s: %s", path, why);
	return -1;
}

int rundir_open(char *err, size_t errsize)
{
	char path[200];
	struct stat st;
	if (!rundir_path(path, sizeof(path), err, errsize))
		return -1;
	if (mkdir(path, 0700) && errno != EEXIST)
		return fail(err, errsize, path, strerror(errno));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		fail(err, errsize, path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (st.st_uid != getuid() || st.st_mode & 077) {
		close(fd);
		return fail(err, errsize, path, "is not this user's alone (mode 0700)");
	}
	return fd;
}

bool rundir_socket(const char *name, char *buf, size_t size, char *err, size_t errsize)
{
	char dir[200];
	if (strchr(name, '/')) {
		if ((size_t)snprintf(buf, size, "%s", name) < size)
			return true;
		snprintf(err, errsize, "%.60s...: the name is too long for a Unix socket", name);
		return false;
	}
	if (!rundir_name_valid(name)) {
		snprintf(err, errsize, "'%.60s' is no machine's name", name);
		return false;
	}
	if (!rundir_path(dir, sizeof(dir), err, errsize))
		return false;
	snprintf(buf, size, "%s/%s.sock", dir, name);
	return true;
}

int rundir_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int e = errno;
		close(fd);
		errno = e;
		fd = -1;
	}
	return fd;
}

bool rundir_name_valid(const char *name)
{
	if (!*name || *name == '.' || *name == '-' || strlen(name) > RUNDIR_NAME_MAX)
		return false;
	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		if (*p < ' ' || *p == '/' || *p == 0x7f)
			return false;
	return true;
}
