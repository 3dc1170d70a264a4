/*
 * json.c - JSON by libjansson; the one file that knows it.
 */
#include "ui/json.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_JANSSON
#include <jansson.h>

static json_t *in(const struct json *j) { return (json_t *)j; }
static struct json *out_of(json_t *j) { return (struct json *)j; }

bool js_available(void) { return true; }

struct json *js_read(const char *text, size_t len, char *err, size_t errsize)
{
	json_error_t e;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (!j)
		snprintf(err, errsize, "%.150s", e.text);
	return out_of(j);
}

char *js_write(const struct json *j)
{
	return j ? json_dumps(in(j), JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

void js_free(struct json *j) { json_decref(in(j)); }
struct json *js_copy(const struct json *j) { return out_of(json_deep_copy(in(j))); }
struct json *js_object(void) { return out_of(json_object()); }
struct json *js_array(void) { return out_of(json_array()); }
struct json *js_number(s64 n) { return out_of(json_integer(n)); }
struct json *js_bool(bool b) { return out_of(json_boolean(b)); }

struct json *js_text(const char *text)
{
	json_t *j = json_string(text);
	char *plain = j ? NULL : strdup(text);
	if (!plain)
		return out_of(j);
	for (char *p = plain; *p; p++)
		if (*p & 0x80)
			*p = '?';
	j = json_string(plain);
	free(plain);
	return out_of(j);
}

void js_put(struct json *object, const char *key, struct json *value)
{
	json_object_set_new(in(object), key, in(value));
}

void js_append(struct json *array, struct json *value)
{
	json_array_append_new(in(array), in(value));
}

const struct json *js_get(const struct json *object, const char *key) { return out_of(json_object_get(in(object), key)); }
const struct json *js_at(const struct json *array, size_t i) { return out_of(json_array_get(in(array), i)); }

size_t js_count(const struct json *j)
{
	return json_is_array(in(j)) ? json_array_size(in(j)) : json_object_size(in(j));
}

const char *js_key(const struct json *object, size_t i)
{
	void *at = json_object_iter(in(object));
	while (at && i--)
		at = json_object_iter_next(in(object), at);
	return at ? json_object_iter_key(at) : NULL;
}

const char *js_string(const struct json *j) { return json_string_value(in(j)); }
bool js_is_object(const struct json *j) { return json_is_object(in(j)); }
bool js_is_array(const struct json *j) { return json_is_array(in(j)); }

bool js_integer(const struct json *j, s64 *n)
{
	const char *text = js_string(j);
	char *end;
	if (json_is_integer(in(j))) {
		*n = json_integer_value(in(j));
		return true;
	}
	if (!text || !*text)
		return false;
	*n = (s64)strtoull(text, &end, 0);
	return !*end;
}
#else
bool js_available(void) { return false; }
struct json *js_read(const char *text, size_t len, char *err, size_t errsize) { return NULL; }
char *js_write(const struct json *j) { return NULL; }
void js_free(struct json *j) { }
struct json *js_copy(const struct json *j) { return NULL; }
struct json *js_object(void) { return NULL; }
struct json *js_array(void) { return NULL; }
struct json *js_text(const char *text) { return NULL; }
struct json *js_number(s64 n) { return NULL; }
struct json *js_bool(bool b) { return NULL; }
void js_put(struct json *object, const char *key, struct json *value) { }
void js_append(struct json *array, struct json *value) { }
const struct json *js_get(const struct json *object, const char *key) { return NULL; }
const struct json *js_at(const struct json *array, size_t i) { return NULL; }
size_t js_count(const struct json *j) { return 0; }
const char *js_key(const struct json *object, size_t i) { return NULL; }
const char *js_string(const struct json *j) { return NULL; }
bool js_is_object(const struct json *j) { return false; }
bool js_is_array(const struct json *j) { return false; }
bool js_integer(const struct json *j, s64 *n) { return false; }
#endif

/* --- for people --- */

static void print_scalar(const struct json *j, FILE *out)
{
	char *text = js_string(j) ? NULL : js_write(j);
	fputs(js_string(j) ? js_string(j) : text ? text : "", out);
	free(text);
}

static void print_members(const struct json *j, FILE *out)
{
	const char *key;
	for (size_t i = 0; (key = js_key(j, i)); i++) {
		fprintf(out, "%s: ", key);
		print_scalar(js_get(j, key), out);
		fputc('\n', out);
	}
}

void js_print(const struct json *j, FILE *out)
{
	if (js_is_object(j)) {
		print_members(j, out);
	} else if (js_is_array(j)) {
		for (size_t i = 0; i < js_count(j); i++) {
			if (i && js_is_object(js_at(j, i)))
				fputc('\n', out);
			js_print(js_at(j, i), out);
		}
	} else if (j) {
		const char *text = js_string(j);
		print_scalar(j, out);
		if (!text || (*text && text[strlen(text) - 1] != '\n'))
			fputc('\n', out);
	}
}
