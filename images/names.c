/*
 * names.c - words around images: "name=value" lists, sizes, and the paths that an image's header may name.
 */
#include "images/format.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void copy(char *to, size_t room, const char *from, size_t n)
{
	n = n < room ? n : room - 1;
	memcpy(to, from, n);
	to[n] = 0;
}

bool image_option_next(const char **at, char name[32], char value[256])
{
	const char *p = *at ? *at : "";
	while (*p == ',')
		p++;
	if (!*p)
		return false;
	size_t n = strcspn(p, ","), key = strcspn(p, "=,");
	copy(name, 32, p, key);
	if (key < n)
		copy(value, 256, p + key + 1, n - key - 1);
	else
		strcpy(value, "on");
	*at = p + n;
	return true;
}

bool image_parse_size(const char *text, u64 *bytes)
{
	static const char units[] = "kmgtp";
	char *end;
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	u32 shift = 0;
	if (*end) {
		const char *unit = strchr(units, *end | 0x20);
		if (!unit && (*end | 0x20) != 'b')
			return false;
		shift = unit ? 10 * (u32)(unit - units + 1) : 0;
		if (end[1] && strcasecmp(end + 1, "iB") && strcasecmp(end + 1, "B"))
			return false;
	}
	if (errno || (shift && n >> (64 - shift)))
		return false;
	*bytes = n << shift;
	return true;
}

bool image_parse_bool(const char *text, bool *yes)
{
	*yes = !strcmp(text, "on") || !strcmp(text, "true") || !strcmp(text, "yes");
	return *yes || !strcmp(text, "off") || !strcmp(text, "false") || !strcmp(text, "no");
}

static bool leaves_folder(const char *name)
{
	if (*name == '/')
		return true;
	for (const char *p = name; *p; p += strcspn(p, "/"), p += *p == '/')
		if (!strncmp(p, "..", 2) && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

char *image_beside(const struct image *im, const char *name, bool anywhere, char *err, size_t errsize)
{
	const char *slash = im->nameless ? NULL : strrchr(im->path, '/');
	int folder = slash && *name != '/' ? (int)(slash - im->path + 1) : 0;
	char *path = NULL;
	if (!*name || strlen(name) > 4000)
		snprintf(err, errsize, "%s: names a file whose name is %s", im->path, *name ? "too long" : "empty");
	else if (!strncmp(name, "json:", 5) || strstr(name, "://"))
		snprintf(err, errsize, "%s: names '%.200s', which is not a file", im->path, name);
	else if (!anywhere && leaves_folder(name))
		snprintf(err, errsize, "%s: names the file '%.200s' outside its folder; if that is meant, allow-backing says so", im->path, name);
	else if (!(path = malloc((size_t)folder + strlen(name) + 1)))
		snprintf(err, errsize, "%s: out of memory", im->path);
	else
		sprintf(path, "%.*s%s", folder, im->path, name);
	return path;
}
