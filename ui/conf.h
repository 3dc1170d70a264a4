/*
 * conf.h - a machine's machine.conf: "key = value" lines, empty lines and comments that begin with '#'. The keys are in conf.def.
 *
 * A struct conf keeps every line as it was, so that a change of one key leaves comments and order alone. Main thread.
 */
#ifndef RF_CONF_H
#define RF_CONF_H
#include <stdio.h>
#include "monitor/lib/types.h"

#define CONF_FILE_NAME "machine.conf"
#define CONF_MAX_BYTES (64u << 10)
#define CONF_VALUE_MAX 4096u	/* bytes of a value */

struct conf_line {
	char *text;		/* the whole line, without its end */
	const char *value;	/* in text; NULL: no key stands here */
	char key[24];		/* "disk.0" */
};
struct conf {
	struct conf_line *line;
	u32 lines;
};

/* `text` need not end in a NUL. False with "NAME:LINE: what is wrong" in err; `c` is empty then. */
bool conf_parse(struct conf *c, const char *name, const char *text, size_t len, char *err, size_t errsize);
void conf_free(struct conf *c);
/* What the file is to hold, of malloc; NULL: out of memory. */
char *conf_text(const struct conf *c, size_t *len);
const char *conf_get(const struct conf *c, const char *key);	/* NULL: not said */
/* `value` NULL: the line goes. Keeps the other lines. False with a sentence in err, and nothing was changed. */
bool conf_set(struct conf *c, const char *key, const char *value, char *err, size_t errsize);
/* Is that a key's name, "disk.0" or "memory"? False with a sentence in err. */
bool conf_key_valid(const char *key, char *err, size_t errsize);
/* The next number that `name` ("disk") has free, as a key; false: they are all in use, or it is no key with numbers. */
bool conf_free_key(const struct conf *c, const char *name, char key[24]);
bool conf_has_numbers(const char *name);
/* Copies the file's name of a disk.N, cdrom.N or floppy.N, made whole with the machine's folder; false: it names none. *options: what
 * follows the name in the value, "" or ",readonly". */
bool conf_drive_file(const struct conf_line *l, const char *dir, char *path, size_t size, const char **options);
/* The key and its value as a value for another file; "," in the name is doubled. False: too long. */
bool conf_drive_value(const char *file, const char *options, char *value, size_t size);
void conf_print_keys(FILE *out);

/* conf_file.c: `dir` is the machine's folder. False with a sentence in err. */
bool conf_load(struct conf *c, const char *dir, char *err, size_t errsize);
/* Whole or not at all, and durable. */
bool conf_save(const struct conf *c, const char *dir, char *err, size_t errsize);

/* conf_words.c: the words for cli_parse_run(), of malloc each and all; *count of them. What the user's words say otherwise is left out.
 * NULL: out of memory. */
char **conf_words(const struct conf *c, const char *dir, int argc, char **argv, int *count);
void conf_words_free(char **words, int count);
/* Do the lines go together (two drives in one place...)? False with a sentence in err. */
bool conf_check(const struct conf *c, const char *dir, char *err, size_t errsize);
#endif
