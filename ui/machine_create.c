/*
 * machine_create.c - 'ringfence create' and 'clone': new machines from files, settings, or another machine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/image.h"
#include "images/sniff.h"
#include "ui/cli.h"
#include "ui/commands.h"
#include "ui/files.h"
#include "ui/machdir.h"
#include "ui/machine.h"
#include "ui/say.h"

#define SENTENCE 900

static void help_create(void)
{
	printf("Usage: ringfence create NAME [FILE]... [KEY=VALUE]... [--size SIZE] [--in-place]\n\n"
		"Makes the machine NAME, which 'ringfence run NAME' starts. What a FILE is (floppy, CD or disk image, kernel) is found by\n"
		"looking at it; the machine gets copies, but of CDs, which are used where they are.\n\n"
		"  --size SIZE     an empty hard disk of this size: 8G, 500M\n"
		"  --in-place      do not copy: the machine writes to the FILEs themselves\n"
		"  KEY=VALUE, --KEY VALUE\n"
		"                  a line of " CONF_FILE_NAME "; 'ringfence set --help' lists them\n");
}

struct create {
	struct machine_dir m;
	const char *name, *size;
	bool in_place;
	char err[SENTENCE];
};

/* A relative value on the command line is relative to where the user is; in the file it would be to the machine's folder. */
static bool set_from_user(struct create *c, const char *key, const char *value)
{
	char full[PATH_MAX], made[CONF_VALUE_MAX + 1], numbered[24];
	struct conf_line l = { .value = value };
	const char *options;
	if (conf_has_numbers(key)) {
		if (!conf_free_key(&c->m.conf, key, numbered)) {
			snprintf(c->err, sizeof(c->err), "%s: there is no room for another one", key);
			return false;
		}
		key = numbered;
	}
	if (!conf_key_valid(key, c->err, sizeof(c->err)))
		return false;
	if (conf_get(&c->m.conf, key)) {
		snprintf(c->err, sizeof(c->err), "%s is said twice", key);
		return false;
	}
	snprintf(l.key, sizeof(l.key), "%s", key);
	if (conf_drive_file(&l, ".", full, sizeof(full), &options)) {
		char *real = realpath(full, NULL);
		if (!real || !conf_drive_value(real, options, made, sizeof(made))) {
			snprintf(c->err, sizeof(c->err), "%s: %.400s: %s", key, full, real ? "the name is too long" : strerror(errno));
			free(real);
			return false;
		}
		free(real);
		value = made;
	} else if (!strcmp(key, "kernel") || !strcmp(key, "initrd") || (!strcmp(key, "firmware") && strcmp(value, "seabios"))) {
		char *real = realpath(value, NULL);
		if (real) {
			snprintf(made, sizeof(made), "%s", real);
			value = made;
		}
		free(real);
	}
	return conf_set(&c->m.conf, key, value, c->err, sizeof(c->err));
}

/* Raw images keep their format by name: a guest's bytes must not choose it. An overlay is not copied without what is below. */
static bool look_at_disk(struct create *c, const char *path, char options[64])
{
	struct image_options opt = { .readonly = true, .no_backing = true };
	struct image *im = image_open(path, &opt, c->err, sizeof(c->err));
	if (!im)
		return false;
	const char *backing = image_backing_name(im);
	snprintf(options, 64, ",format=%s", image_format_of(im));
	if (backing && !c->in_place)
		snprintf(c->err, sizeof(c->err), "%.300s: is an overlay of %.300s; --in-place uses both where they are", path, backing);
	image_close(im);
	return !backing || c->in_place;
}

/* Into the folder under a name of its own, or where it is. */
static bool add_file(struct create *c, const char *path, const char *name, const char *key, const char *suffix, bool copy)
{
	char numbered[24], options[64] = "", to[PATH_MAX], value[CONF_VALUE_MAX + 1], file[64];
	bool drive = conf_has_numbers(key);
	if (drive && !conf_free_key(&c->m.conf, key, numbered)) {
		snprintf(c->err, sizeof(c->err), "%.300s: there is no room for another %s", path, key);
		return false;
	}
	if (!strcmp(key, "disk") && !look_at_disk(c, path, options))
		return false;
	const char *ext = strcmp(options, ",format=raw") && *options ? options + 8 : suffix;
	if (!strcmp(key, "floppy"))
		snprintf(options, sizeof(options), access(path, W_OK) ? ",readonly" : "");
	snprintf(file, sizeof(file), drive ? "%s%c.%s" : "%s", name, drive ? numbered[strlen(numbered) - 1] : 0, ext);
	snprintf(to, sizeof(to), "%s/%s", c->m.path, file);
	char *real = copy ? NULL : realpath(path, NULL);
	bool ok = copy ? file_copy(path, to, c->err, sizeof(c->err)) : real != NULL;
	if (!ok && !copy)
		snprintf(c->err, sizeof(c->err), "%.300s: %s", path, strerror(errno));
	const char *at = copy ? file : real;
	if (ok && drive && !conf_drive_value(at, options, value, sizeof(value))) {
		snprintf(c->err, sizeof(c->err), "%.300s: the name is too long", path);
		ok = false;
	}
	ok = ok && conf_set(&c->m.conf, drive ? numbered : key, drive ? value : at, c->err, sizeof(c->err));
	free(real);
	return ok;
}

static bool add_by_look(struct create *c, const char *path)
{
	bool copy = !c->in_place;
	switch (image_sniff(path, NULL, c->err, sizeof(c->err))) {
	case IMAGE_FLOPPY:    return add_file(c, path, "floppy", "floppy", "img", copy);
	case IMAGE_CDROM:     return add_file(c, path, "cdrom", "cdrom", "iso", false);
	case IMAGE_DISK:      return add_file(c, path, "disk", "disk", "img", copy);
	case IMAGE_LINUX:
	case IMAGE_MULTIBOOT: return add_file(c, path, "kernel", "kernel", "", copy);
	case IMAGE_ERROR:     return false;
	default:
		snprintf(c->err, sizeof(c->err), "%.200s: this is no kernel and no floppy, CD or disk image that is known; "
			"disk=FILE, cdrom=FILE or floppy=FILE says what it is", path);
		return false;
	}
}

static bool add_empty(struct create *c)
{
	char key[24], path[PATH_MAX], file[40], value[80];
	struct image_create how = { .format = "qcow2" };
	if (!cli_parse_size(c->size, &how.size) || !how.size || how.size >= 1ull << 60) {
		snprintf(c->err, sizeof(c->err), "--size: '%.40s' is no size; examples: 8G, 500M", c->size);
		return false;
	}
	if (!conf_free_key(&c->m.conf, "disk", key)) {
		snprintf(c->err, sizeof(c->err), "--size: there is no room for another disk");
		return false;
	}
	snprintf(file, sizeof(file), "disk%c.qcow2", key[5]);
	snprintf(value, sizeof(value), "%s,format=qcow2", file);
	snprintf(path, sizeof(path), "%s/%s", c->m.path, file);
	return image_create(path, &how, c->err, sizeof(c->err)) && conf_set(&c->m.conf, key, value, c->err, sizeof(c->err));
}

/* The options' values; what is no option is left in words[]: FILEs, key=value. -1: wrong usage. */
static int take_options(struct create *c, int argc, char **argv, const char **words, const char **settings)
{
	int n = 0, s = 0;
	for (int i = 0; i < argc; i++) {
		char *w = argv[i], *equals = strchr(w, '=');
		if (!strcmp(w, "--in-place")) {
			c->in_place = true;
			continue;
		}
		if (*w != '-') {
			if (!c->name)
				c->name = w;
			else
				words[n++] = w;
			continue;
		}
		if (!equals && i + 1 == argc) {
			snprintf(c->err, sizeof(c->err), "%.60s is no option, or needs a value", w);
			return -1;
		}
		const char *value = equals ? equals + 1 : argv[++i];
		if (equals)
			*equals = 0;
		if (!strcmp(w, "--size")) {
			c->size = value;
			continue;
		}
		settings[s++] = !strcmp(w, "-m") ? "memory" : w + strspn(w, "-");
		settings[s++] = value;
	}
	return s;
}

static bool is_setting(const char *word)
{
	const char *equals = strchr(word, '='), *slash = strchr(word, '/');
	return equals && !(slash && slash < equals);
}

static bool fill(struct create *c, const char **words, const char **settings, int count)
{
	static const char head[] = "# A machine of Ringfence. 'man ringfence' has the keys; 'ringfence set' changes them and keeps comments.\n";
	if (!conf_parse(&c->m.conf, CONF_FILE_NAME, head, strlen(head), c->err, sizeof(c->err)))
		return false;
	for (int i = 0; i < count; i += 2)
		if (!set_from_user(c, settings[i], settings[i + 1]))
			return false;
	for (int i = 0; words[i]; i++) {
		char key[40];
		if (!is_setting(words[i]))
			continue;
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(words[i], "="), words[i]);
		if (!set_from_user(c, key, strchr(words[i], '=') + 1))
			return false;
	}
	for (int i = 0; words[i]; i++)
		if (!is_setting(words[i]) && !add_by_look(c, words[i]))
			return false;
	return !c->size || add_empty(c);
}

int cmd_create(int argc, char **argv)
{
	struct create c = { .m.lock = -1 };
	const char **words = calloc((size_t)argc + 1, sizeof(*words)), **settings = calloc(2 * (size_t)argc + 1, sizeof(*settings));
	int status = STATUS_ERROR;
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			help_create();
			free(words);
			free(settings);
			return STATUS_OK;
		}
	int count = words && settings ? take_options(&c, argc, argv, words, settings) : -1;
	if (count >= 0 && !c.name)
		snprintf(c.err, sizeof(c.err), "which name shall the machine have?");
	if (count < 0 || !c.name)
		status = say_usage(c.err, "ringfence create");
	else if (machdir_begin(&c.m, c.name, c.err, sizeof(c.err)) && fill(&c, words, settings, count) &&
		 machdir_finish(&c.m, c.err, sizeof(c.err)))
		status = STATUS_OK;
	else
		say_failed(c.err);
	machdir_close(&c.m);
	free(words);
	free(settings);
	return status;
}
