/*
 * control_args.c - the table of control.def, and the arguments that its rows describe.
 */
#include "ui/cli.h"
#include "ui/control_cmds.h"
#include "ui/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL(fn, name, args, help) bool control_##fn(struct control_call *c);
#include "ui/control.def"
#undef CONTROL

static const struct control_verb verbs[] = {
#define CONTROL(fn, name, args, help) { name, args, help, control_##fn },
#include "ui/control.def"
#undef CONTROL
};
static const char *const names[] = {
#define CONTROL(fn, name, args, help) name,
#include "ui/control.def"
#undef CONTROL
};

struct arg {
	char name[24];
	bool optional, number, rest;
};

/* Takes the next argument's description from *spec; false at the end. */
static bool next_arg(const char **spec, struct arg *a)
{
	const char *s = *spec + strspn(*spec, " ");
	size_t len = strcspn(s, " "), n = 0;
	*a = (struct arg){ .optional = *s == '[' };
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '#')
			a->number = true;
		else if (s[i] == '.')
			a->rest = true;
		else if (s[i] != '[' && s[i] != ']' && n < sizeof(a->name) - 1)
			a->name[n++] = s[i];
	}
	*spec = s + len;
	return len > 0;
}

static bool known_arg(const struct control_verb *verb, const char *key)
{
	const char *spec = verb->args;
	for (struct arg a; next_arg(&spec, &a);)
		if (!strcmp(a.name, key))
			return true;
	return false;
}

const struct control_verb *control_verb(u32 i)
{
	return i < ARRAY_SIZE(verbs) ? &verbs[i] : NULL;
}

const struct control_verb *control_find(const char *name)
{
	for (u32 i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

const char *control_nearest(const char *name)
{
	return cli_nearest(name, names, ARRAY_SIZE(names));
}

bool control_check(const struct control_verb *verb, const struct json *args, char *err, size_t errsize)
{
	const char *spec = verb->args, *key;
	s64 n;
	if (args && !js_is_object(args)) {
		snprintf(err, errsize, "%s: arguments is no object", verb->name);
		return false;
	}
	for (size_t i = 0; (key = js_key(args, i)); i++)
		if (!known_arg(verb, key)) {
			snprintf(err, errsize, "%s has no argument '%.40s'", verb->name, key);
			return false;
		}
	for (struct arg a; next_arg(&spec, &a);) {
		const struct json *v = js_get(args, a.name);
		const char *wrong = !v ? (a.optional ? NULL : "is missing") : a.number ? (js_integer(v, &n) ? NULL : "is no number") :
				    js_string(v) ? NULL : "is no text";
		if (wrong) {
			snprintf(err, errsize, "%s: %s %s", verb->name, a.name, wrong);
			return false;
		}
	}
	return true;
}

static char *join(int count, char *const *words)
{
	size_t len = 1;
	for (int i = 0; i < count; i++)
		len += strlen(words[i]) + 1;
	char *text = calloc(1, len);
	for (int i = 0; text && i < count; i++) {
		strcat(text, words[i]);
		if (i + 1 < count)
			strcat(text, " ");
	}
	return text;
}

struct json *control_words(const struct control_verb *verb, int count, char *const *words, char *err, size_t errsize)
{
	struct json *args = js_object();
	const char *spec = verb->args;
	int i = 0;
	for (struct arg a; i < count && next_arg(&spec, &a); i++) {
		char *rest = a.rest ? join(count - i, words + i) : NULL;
		js_put(args, a.name, js_text(rest ? rest : words[i]));
		free(rest);
		if (a.rest)
			i = count - 1;
	}
	if (i < count)
		snprintf(err, errsize, "%s: '%.60s' is too much", verb->name, words[i]);
	if (i == count && control_check(verb, args, err, errsize))
		return args;
	js_free(args);
	return NULL;
}

void control_usage(const struct control_verb *verb, char *buf, size_t size)
{
	const char *spec = verb->args;
	int n = snprintf(buf, size, "%s", verb->name);
	for (struct arg a; next_arg(&spec, &a) && (size_t)n < size;) {
		for (char *p = a.name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		n += snprintf(buf + n, size - (size_t)n, " %s%s%s%s", a.optional ? "[" : "", a.name, a.rest ? "..." : "", a.optional ? "]" : "");
	}
}

const char *control_arg(const struct control_call *c, const char *name)
{
	return js_string(js_get(c->args, name));
}

bool control_arg_number(const struct control_call *c, const char *name, s64 *n)
{
	return js_integer(js_get(c->args, name), n);
}
