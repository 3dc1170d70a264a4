/*
 * conf.c - machine.conf in memory: reads, checks and changes its lines. A value is right when 'ringfence run' would take it.
 */
#define _GNU_SOURCE
#include "ui/conf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cpuid.h"
#include "ui/cli.h"
#include "ui/conf_kind.h"
#include "ui/rundir.h"

static const char *const names[] = {
#define CONF(name, option, count, kind, help) name,
#include "ui/conf.def"
#undef CONF
};
static const struct conf_key keys[] = {
#define CONF(name, option, count, kind, help) { name, option, count, CONF_##kind, help },
#include "ui/conf.def"
#undef CONF
};

const struct conf_key *conf_find(const char *word)
{
	size_t len = strcspn(word, ".");
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i].name) == len && !memcmp(keys[i].name, word, len))
			return &keys[i];
	return NULL;
}

bool conf_key_valid(const char *word, char *err, size_t errsize)
{
	const struct conf_key *k = conf_find(word);
	char base[40];
	snprintf(base, sizeof(base), "%.*s", (int)strcspn(word, "."), word);
	const char *dot = strchr(word, '.'), *nearest = cli_nearest(base, names, ARRAY_SIZE(names));
	if (!k && nearest)
		snprintf(err, errsize, "unknown key '%.40s'; did you mean '%s%s'?", word, nearest, conf_find(nearest)->count > 1 ? ".0" : "");
	else if (!k)
		snprintf(err, errsize, "unknown key '%.40s'; 'ringfence set --help' lists them", word);
	else if (k->count == 1 && dot)
		snprintf(err, errsize, "there is one %s: '%s', not '%.40s'", k->name, k->name, word);
	else if (k->count > 1 && (!dot || !isdigit((unsigned char)dot[1]) || dot[2] || dot[1] - '0' >= k->count))
		snprintf(err, errsize, "'%.40s': there are %s.0 to %s.%d", word, k->name, k->name, k->count - 1);
	else
		return true;
	return false;
}

bool conf_has_numbers(const char *name)
{
	const struct conf_key *k = conf_find(name);
	return k && k->count > 1 && !strchr(name, '.');
}

/* --- values --- */

static bool bad(const char *key, const char *value, const char *what, char *err, size_t errsize)
{
	snprintf(err, errsize, "%s: '%.60s' %s", key, value, what);
	return false;
}

/* Asks the parser of the command line, whose sentence begins with the option's name. */
static bool try_option(const struct conf_key *k, const char *key, const char *value, char *err, size_t errsize)
{
	char word[CONF_VALUE_MAX + 40], why[400];
	char *words[] = { word, strcmp(k->option, "kernel") ? "--kernel=k" : "--no-reboot" };
	struct cli_run *run = malloc(sizeof(*run));
	if (!run) {
		snprintf(err, errsize, "out of memory");
		return false;
	}
	snprintf(word, sizeof(word), "--%s=%s", k->option, value);
	bool ok = cli_parse_run(2, words, run, why, sizeof(why)) == CLI_OK;
	free(run);
	if (ok)
		return true;
	char *text = *why == '-' && strstr(why, ": ") ? strstr(why, ": ") + 2 : why;
	snprintf(err, errsize, "%s: %s", key, text);
	return false;
}

static bool check_value(const struct conf_key *k, const char *key, const char *value, char *err, size_t errsize)
{
	size_t len = strlen(value);
	if (!len)
		return bad(key, value, "is no value; without the line the machine has what 'ringfence run' has without the option", err, errsize);
	if (len > CONF_VALUE_MAX)
		return bad(key, value, "... is too long a value", err, errsize);
	for (const char *p = value; *p; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return bad(key, value, "has a control character in it", err, errsize);
	if (k->kind == CONF_SWITCH)
		return !strcmp(value, "on") || !strcmp(value, "off") || bad(key, value, "is not one of on, off", err, errsize);
	if (k->kind == CONF_SNAPSHOT || k->kind == CONF_STATE)
		return rundir_name_valid(value) || bad(key, value, "is no name of a snapshot", err, errsize);
	if (k->kind == CONF_DRIVE && strstr(value, ",unit="))
		return bad(key, value, "says a unit, which the number in the key says", err, errsize);
	if (k->kind == CONF_CPU) {
		const struct cpu_model *model = cpu_model_find(value);
		if (!model)
			return bad(key, value, "is no model; 'ringfence run --cpu help' lists them", err, errsize);
		cpu_model_free(model);
	}
	return !k->option || try_option(k, key, value, err, errsize);
}

bool conf_drive_file(const struct conf_line *l, const char *dir, char *path, size_t size, const char **options)
{
	const struct conf_key *k = l->value ? conf_find(l->key) : NULL;
	size_t n = 0;
	if (!k || k->kind != CONF_DRIVE)
		return false;
	const char *v = l->value;
	if (*v != '/' && (size_t)snprintf(path, size, "%s/", dir) < size)
		n = strlen(path);
	size_t start = n;
	for (; *v && (*v != ',' || v[1] == ','); v++) {
		v += *v == ',';
		if (n + 2 > size)
			return false;
		path[n++] = *v;
	}
	path[n] = 0;
	*options = v;
	return n > start && strcmp(path + start, "none");
}

bool conf_drive_value(const char *file, const char *options, char *value, size_t size)
{
	size_t n = 0;
	for (; *file; file++) {
		if (n + 3 > size)
			return false;
		if (*file == ',')
			value[n++] = ',';
		value[n++] = *file;
	}
	return (size_t)snprintf(value + n, size - n, "%s", options) < size - n;
}

/* --- lines --- */

static char *trim(char *text)
{
	text += strspn(text, " \t");
	for (size_t n = strlen(text); n && strchr(" \t\r", text[n - 1]); n--)
		text[n - 1] = 0;
	return text;
}

static bool conf_add(struct conf *c, const char *text, size_t len)
{
	struct conf_line *more = realloc(c->line, (c->lines + 1) * sizeof(*more));
	if (!more)
		return false;
	c->line = more;
	more[c->lines] = (struct conf_line){ .text = malloc(2 * (len + 1)) };	/* the second half is for the value */
	if (!more[c->lines].text)
		return false;
	memcpy(more[c->lines].text, text, len);
	more[c->lines].text[len] = 0;
	c->lines++;
	return true;
}

/* Finds key and value in the text of a line. */
static bool read_line(struct conf *c, struct conf_line *l, char *err, size_t errsize)
{
	size_t len = strlen(l->text);
	char *copy = l->text + len + 1;
	memcpy(copy, l->text, len + 1);
	char *key = trim(copy), *equals = strchr(key, '=');
	if (!*key || *key == '#')
		return true;
	if (!equals) {
		snprintf(err, errsize, "'%.60s' is not of the form key = value", key);
		return false;
	}
	*equals = 0;
	char *value = trim(equals + 1);
	key = trim(key);
	if (!conf_key_valid(key, err, errsize))
		return false;
	if (conf_get(c, key)) {
		snprintf(err, errsize, "%s is said twice", key);
		return false;
	}
	if (!check_value(conf_find(key), key, value, err, errsize))
		return false;
	snprintf(l->key, sizeof(l->key), "%s", key);
	l->value = value;
	return true;
}

static bool add_line(struct conf *c, const char *text, size_t len, char *err, size_t errsize)
{
	if (memchr(text, 0, len)) {
		snprintf(err, errsize, "there is a NUL in it: this is no text");
		return false;
	}
	if (conf_add(c, text, len))
		return read_line(c, &c->line[c->lines - 1], err, errsize);
	snprintf(err, errsize, "out of memory");
	return false;
}

bool conf_parse(struct conf *c, const char *name, const char *text, size_t len, char *err, size_t errsize)
{
	char why[500];
	*c = (struct conf){ 0 };
	if (len > CONF_MAX_BYTES) {
		snprintf(err, errsize, "%s: is longer than %u KiB", name, CONF_MAX_BYTES >> 10);
		return false;
	}
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;
		if (!add_line(c, text + at, n, why, sizeof(why))) {
			u32 number = 1;
			for (size_t i = 0; i < at; i++)
				number += text[i] == '\n';
			snprintf(err, errsize, "%s:%u: %s", name, number, why);
			conf_free(c);
			return false;
		}
		at += n + 1;
	}
	return true;
}

void conf_free(struct conf *c)
{
	for (u32 i = 0; i < c->lines; i++)
		free(c->line[i].text);
	free(c->line);
	*c = (struct conf){ 0 };
}

char *conf_text(const struct conf *c, size_t *len)
{
	char *buf = NULL;
	FILE *out = open_memstream(&buf, len);
	if (!out)
		return NULL;
	for (u32 i = 0; i < c->lines; i++)
		fprintf(out, "%s\n", c->line[i].text);
	if (!fclose(out))
		return buf;
	free(buf);
	return NULL;
}

static struct conf_line *find_line(const struct conf *c, const char *key)
{
	for (u32 i = 0; i < c->lines; i++)
		if (c->line[i].value && !strcmp(c->line[i].key, key))
			return &c->line[i];
	return NULL;
}

const char *conf_get(const struct conf *c, const char *key)
{
	const struct conf_line *l = find_line(c, key);
	return l ? l->value : NULL;
}

bool conf_free_key(const struct conf *c, const char *name, char key[24])
{
	const struct conf_key *k = conf_find(name);
	bool ide = k && (!strcmp(k->name, "disk") || !strcmp(k->name, "cdrom"));
	if (!k || k->count == 1)
		return false;
	for (int i = 0; i < k->count; i++) {
		char disk[24], cdrom[24];
		snprintf(key, 24, "%s.%d", k->name, i);
		snprintf(disk, sizeof(disk), "disk.%d", i);
		snprintf(cdrom, sizeof(cdrom), "cdrom.%d", i);
		if (!conf_get(c, key) && !(ide && (conf_get(c, disk) || conf_get(c, cdrom))))
			return true;
	}
	return false;
}

bool conf_set(struct conf *c, const char *key, const char *value, char *err, size_t errsize)
{
	if (!conf_key_valid(key, err, errsize))
		return false;
	struct conf_line *l = find_line(c, key);
	if (!value) {
		if (l) {
			free(l->text);
			memmove(l, l + 1, (size_t)(c->line + c->lines - (l + 1)) * sizeof(*l));
			c->lines--;
		}
		return true;
	}
	if (!check_value(conf_find(key), key, value, err, errsize))
		return false;
	struct conf_line made = { 0 };
	struct conf one = { 0 };
	char *text = NULL;
	/* A line of its own first: what is there stays if memory is short. */
	bool ok = !strchr(value, '\n') && asprintf(&text, "%s = %s", key, value) > 0 && conf_add(&one, text, strlen(text)) &&
		  read_line(&one, &one.line[0], err, errsize);
	free(text);
	if (ok && !l) {
		ok = conf_add(c, "", 0);
		l = ok ? &c->line[c->lines - 1] : NULL;
	}
	if (!ok) {
		snprintf(err, errsize, "%s: out of memory", key);
		conf_free(&one);
		return false;
	}
	made = one.line[0];
	free(one.line);
	free(l->text);
	*l = made;
	return true;
}

void conf_print_keys(FILE *out)
{
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++) {
		char name[40];
		snprintf(name, sizeof(name), keys[i].count > 1 ? "%s.0..%d" : "%s", keys[i].name, keys[i].count - 1);
		fprintf(out, "  %-14s %s\n", name, keys[i].help);
	}
}
