/*
 * conf_words.c - from machine.conf to the command line of 'ringfence run': file names get the machine's folder in front.
 */
#define _GNU_SOURCE
#include "ui/conf.h"

#include <stdlib.h>
#include <string.h>

#include "ui/cli.h"
#include "ui/conf_kind.h"

/* Does the user say this option? -m is --memory. */
static bool user_says(const char *option, int argc, char **argv)
{
	size_t len = strlen(option);
	for (int i = 0; i < argc; i++) {
		if (!strcmp(option, "memory") && !strncmp(argv[i], "-m", 2))
			return true;
		if (!strncmp(argv[i], "--", 2) && !strncmp(argv[i] + 2, option, len) && (!argv[i][2 + len] || argv[i][2 + len] == '='))
			return true;
	}
	return false;
}

/* A name in an option's value: inside the folder if it is relative; a comma is doubled where `doubled`. */
static void put_path(FILE *out, const char *dir, const char *name, size_t len, bool doubled)
{
	if (*name != '/') {
		for (const char *p = dir; *p; p++)
			fprintf(out, *p == ',' && doubled ? ",," : "%c", *p);
		fputc('/', out);
	}
	fprintf(out, "%.*s", (int)len, name);
}

static void put_modules(FILE *out, const char *dir, const char *v)
{
	while (true) {
		size_t len = strcspn(v, ",");
		put_path(out, dir, v, len, false);
		if (!v[len])
			return;
		fputc(',', out);
		v += len + 1;
	}
}

static void put_value(FILE *out, const struct conf_key *k, const char *key, const char *dir, const char *v)
{
	size_t prefix = strncmp(v, "file:", 5) && strncmp(v, "unix:", 5) ? 0 : 5;
	switch (k->kind) {
	case CONF_DRIVE:
		if (!strncmp(v, "none", 4) && (!v[4] || v[4] == ','))
			fputs(v, out);
		else
			put_path(out, dir, v, strlen(v), true);
		fprintf(out, ",unit=%c", key[strlen(key) - 1]);
		break;
	case CONF_WHERE:
		fprintf(out, "%.*s", (int)prefix, v);
		if (prefix)
			put_path(out, dir, v + prefix, strlen(v + prefix), false);
		else
			fputs(v, out);
		break;
	case CONF_MODULES:
		put_modules(out, dir, v);
		break;
	case CONF_STATE:
		put_path(out, dir, "snapshots/states/", 17, false);
		fputs(v, out);
		break;
	case CONF_FIRMWARE:
	case CONF_FILE:
		if (k->kind == CONF_FIRMWARE && !strcmp(v, "seabios"))
			fputs(v, out);
		else
			put_path(out, dir, v, strlen(v), false);
		break;
	default:
		fputs(v, out);
		break;
	}
}

static char *make_word(const struct conf_key *k, const struct conf_line *l, const char *dir)
{
	char *word = NULL;
	size_t size;
	FILE *out = open_memstream(&word, &size);
	if (!out)
		return NULL;
	fprintf(out, "--%s", k->option);
	if (k->kind != CONF_SWITCH) {
		fputc('=', out);
		put_value(out, k, l->key, dir, l->value);
	}
	if (!fclose(out))
		return word;
	free(word);
	return NULL;
}

static int last_serial(const struct conf *c)
{
	char key[24];
	for (int i = CLI_SERIALS - 1; i >= 0; i--) {
		snprintf(key, sizeof(key), "serial.%d", i);
		if (conf_get(c, key))
			return i;
	}
	return -1;
}

/* Ports are numbered by their order on the command line, so a gap is said too. */
static bool put_serials(const struct conf *c, const char *dir, char **words, int *n)
{
	for (int i = 0, last = last_serial(c); i <= last; i++) {
		struct conf_line l = { 0 };
		snprintf(l.key, sizeof(l.key), "serial.%d", i);
		const char *v = conf_get(c, l.key);
		l.value = v ? v : "none";
		words[*n] = make_word(conf_find("serial"), &l, dir);
		if (!words[(*n)++])
			return false;
	}
	return true;
}

char **conf_words(const struct conf *c, const char *dir, int argc, char **argv, int *count)
{
	char **words = calloc(c->lines + CLI_SERIALS + 1, sizeof(*words));
	bool ok = words && (user_says("serial", argc, argv) || put_serials(c, dir, words, count));
	for (u32 i = 0; i < c->lines && ok; i++) {
		const struct conf_line *l = &c->line[i];
		const struct conf_key *k = l->value ? conf_find(l->key) : NULL;
		/* Drives of the command line come to those of the machine; a value takes the place of the machine's. */
		if (!k || !k->option || !strcmp(k->name, "serial") || (k->count == 1 && user_says(k->option, argc, argv)) ||
		    (k->kind == CONF_SWITCH && strcmp(l->value, "on")))
			continue;
		words[*count] = make_word(k, l, dir);
		ok = words[(*count)++];
	}
	if (ok)
		return words;
	conf_words_free(words, *count);
	return NULL;
}

void conf_words_free(char **words, int count)
{
	for (int i = 0; i < count && words; i++)
		free(words[i]);
	free(words);
}

bool conf_check(const struct conf *c, const char *dir, char *err, size_t errsize)
{
	int count = 0;
	char **words = conf_words(c, dir, 0, NULL, &count), why[400] = "out of memory";
	struct cli_run *run = malloc(sizeof(*run));
	bool ok = words && run && cli_parse_run(count, words, run, why, sizeof(why)) == CLI_OK && cli_place_drives(run, why, sizeof(why));
	if (!ok)
		snprintf(err, errsize, "%s/" CONF_FILE_NAME ": %s", dir, why);
	conf_words_free(words, count);
	free(run);
	return ok;
}
