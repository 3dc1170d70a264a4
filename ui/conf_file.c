/*
 * conf_file.c - machine.conf on disk. A new one is written beside the old one, made durable, and takes its name: after a kill or a power
 * cut one of the two is there.
 */
#define _GNU_SOURCE
#include "ui/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui/files.h"

bool conf_load(struct conf *c, const char *dir, char *err, size_t errsize)
{
	char path[PATH_MAX], *text;
	size_t len;
	*c = (struct conf){ 0 };
	snprintf(path, sizeof(path), "%s/" CONF_FILE_NAME, dir);
	text = file_read(path, CONF_MAX_BYTES, &len, err, errsize);
	bool ok = text && conf_parse(c, path, text, len, err, errsize);
	free(text);
	return ok;
}

bool conf_save(const struct conf *c, const char *dir, char *err, size_t errsize)
{
	char path[PATH_MAX];
	size_t len;
	char *text = conf_text(c, &len);
	if (!text) {
		snprintf(err, errsize, "out of memory");
		return false;
	}
	snprintf(path, sizeof(path), "%s/" CONF_FILE_NAME, dir);
	bool ok = file_replace(path, text, len, err, errsize);
	free(text);
	return ok;
}
