/*
 * json.h - JSON values (RFC 8259): reading, building, writing, and printing for people. A value that was put into another is its.
 *
 * Every function takes NULL for a value: building ends in NULL when memory is short, js_write() then too.
 */
#ifndef RF_JSON_H
#define RF_JSON_H
#include <stdio.h>
#include "monitor/lib/types.h"

struct json;

/* Does this build know JSON (libjansson)? Without it all values are NULL. */
bool js_available(void);
/* One value of len bytes. NULL with a sentence in err. */
struct json *js_read(const char *text, size_t len, char *err, size_t errsize);
/* On one line, without a newline; to be freed. */
char *js_write(const struct json *j);
/* A text as it is, members as "name: value", lists a line or a paragraph an element. */
void js_print(const struct json *j, FILE *out);
void js_free(struct json *j);
struct json *js_copy(const struct json *j);	/* deep */

struct json *js_object(void);
struct json *js_array(void);
struct json *js_text(const char *text);		/* what is no UTF-8 becomes '?' */
struct json *js_number(s64 n);
struct json *js_bool(bool b);
void js_put(struct json *object, const char *key, struct json *value);
void js_append(struct json *array, struct json *value);

const struct json *js_get(const struct json *object, const char *key);	/* NULL: none, or no object */
const struct json *js_at(const struct json *array, size_t i);
size_t js_count(const struct json *j);			/* elements or members */
const char *js_key(const struct json *object, size_t i);	/* NULL: no such member */
const char *js_string(const struct json *j);		/* NULL: no text */
bool js_is_object(const struct json *j);
bool js_is_array(const struct json *j);
bool js_integer(const struct json *j, s64 *n);		/* an integer, or a text that is one (decimal, 0x) */
#endif
