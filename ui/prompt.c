/*
 * prompt.c - a line editor fed key by key, and what it does with a line.
 *
 * Not libedit, which sets the terminal's mode itself and waits for keys on its own: docs/decisions/0011. `lock` guards all; what is
 * printed goes to standard error.
 */
#define _GNU_SOURCE	/* asprintf */
#include "ui/prompt.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui/control_cmds.h"
#include "ui/control_run.h"
#include "ui/json.h"

#define PROMPT "(ringfence) "
enum { LINE_MAX_CHARS = 400, HISTORY = 32, WAITING_MAX = 1024, WORDS_MAX = 64 };
enum { CTRL_A = 1, CTRL_B, CTRL_C, CTRL_D, CTRL_E, CTRL_F, CTRL_H = 8, TAB, NEWLINE, CTRL_K, CTRL_L, ENTER, CTRL_N, CTRL_P = 16,
	CTRL_U = 21, CTRL_W = 23, ESC = 27, DEL = 127 };

struct prompt {
	struct control_runner *runner;
	pthread_mutex_t lock;
	bool plain;		/* the output is no terminal: nothing is echoed */
	bool open, busy;
	char line[LINE_MAX_CHARS + 1];
	int len, at;
	char *history[HISTORY];	/* [0] is the newest */
	int shown;		/* which of them is in the line, -1: none */
	int escape;		/* of an escape sequence: 1 behind ESC, 2 behind ESC [ */
	u8 waiting[WAITING_MAX];	/* typed while a verb ran */
	size_t waiting_len;
	struct control_call call;	/* of the verb that runs */
	struct json *args;		/* its arguments */
};

/* --- the line --- */

static void redraw(struct prompt *p)
{
	if (p->plain || !p->open || p->busy)
		return;
	fprintf(stderr, "\r\033[K" PROMPT "%s", p->line);
	if (p->at < p->len)
		fprintf(stderr, "\033[%dD", p->len - p->at);
}

static void set_line(struct prompt *p, const char *text)
{
	snprintf(p->line, sizeof(p->line), "%s", text);
	p->len = p->at = (int)strlen(p->line);
}

static void cut(struct prompt *p, int from, int to)
{
	memmove(p->line + from, p->line + to, (size_t)(p->len - to) + 1);
	p->len -= to - from;
	p->at = from;
}

static void insert(struct prompt *p, const char *text, int n)
{
	if (p->len + n > LINE_MAX_CHARS)
		return;
	memmove(p->line + p->at + n, p->line + p->at, (size_t)(p->len - p->at) + 1);
	memcpy(p->line + p->at, text, (size_t)n);
	p->len += n;
	p->at += n;
}

static void recall(struct prompt *p, int which)
{
	if (which >= HISTORY || (which >= 0 && !p->history[which]) || which < -1)
		return;
	p->shown = which;
	set_line(p, which < 0 ? "" : p->history[which]);
}

static void remember(struct prompt *p)
{
	char *copy = p->len && (!p->history[0] || strcmp(p->history[0], p->line)) ? strdup(p->line) : NULL;
	p->shown = -1;
	if (!copy)
		return;
	free(p->history[HISTORY - 1]);
	memmove(p->history + 1, p->history, (HISTORY - 1) * sizeof(*p->history));
	p->history[0] = copy;
}

/* The verb's name as far as it is certain. */
static void complete(struct prompt *p)
{
	const struct control_verb *v, *first = NULL;
	size_t common = 0;
	for (u32 i = 0; (v = control_verb(i)); i++) {
		if (strncmp(v->name, p->line, (size_t)p->len) || p->at < p->len)
			continue;
		size_t n = 0;
		while (first && n < common && first->name[n] == v->name[n])
			n++;
		common = first ? n : strlen(v->name);
		first = v;
	}
	if (first && common > (size_t)p->len)
		insert(p, first->name + p->len, (int)common - p->len);
}

static void move(struct prompt *p, int to)
{
	p->at = to < 0 ? 0 : to > p->len ? p->len : to;
}

static void edit(struct prompt *p, u8 key)
{
	int word = p->at;
	switch (key) {
	case CTRL_A: move(p, 0); break;
	case CTRL_B: move(p, p->at - 1); break;
	case CTRL_E: move(p, p->len); break;
	case CTRL_F: move(p, p->at + 1); break;
	case CTRL_C: set_line(p, ""); break;
	case CTRL_D:
		if (p->at < p->len)
			cut(p, p->at, p->at + 1);
		break;
	case CTRL_H: case DEL:
		if (p->at)
			cut(p, p->at - 1, p->at);
		break;
	case CTRL_K: cut(p, p->at, p->len); break;
	case CTRL_U: cut(p, 0, p->at); break;
	case CTRL_W:
		while (word && p->line[word - 1] == ' ')
			word--;
		while (word && p->line[word - 1] != ' ')
			word--;
		cut(p, word, p->at);
		break;
	case CTRL_P: recall(p, p->shown + 1); break;
	case CTRL_N: recall(p, p->shown - 1); break;
	case TAB: complete(p); break;
	default:
		if (key >= ' ')
			insert(p, (const char *)&key, 1);
		break;
	}
}

/* ESC [ LETTER: arrows, Home, End; ESC [ 3 ~: Delete. */
static void escape(struct prompt *p, u8 key)
{
	static const struct { u8 key, as; } keys[] = {
		{ 'A', CTRL_P }, { 'B', CTRL_N }, { 'C', CTRL_F }, { 'D', CTRL_B }, { 'H', CTRL_A }, { 'F', CTRL_E }, { '3', CTRL_D },
	};
	if (p->escape == 1) {
		p->escape = key == '[' || key == 'O' ? 2 : 0;
		return;
	}
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].key == key)
			edit(p, keys[i].as == CTRL_D && p->at == p->len ? 0 : keys[i].as);
	if (key >= '@')		/* a letter or ~ ends it */
		p->escape = 0;
}

/* --- what a line says --- */

static void feed(struct prompt *p, const u8 *keys, size_t n);

static void help(const char *of)
{
	const struct control_verb *v, *one = of ? control_find(of) : NULL;
	char usage[100];
	for (u32 i = 0; (v = control_verb(i)); i++) {
		if (one && v != one)
			continue;
		control_usage(v, usage, sizeof(usage));
		fprintf(stderr, "  %-32s %s\n", usage, v->help);
	}
	if (!one)
		fprintf(stderr, "  %-32s %s\n  %-32s %s\n", "help [VERB]", "this list", "exit (Ctrl-D, Ctrl-A C)", "back to the guest");
}

static void verb_done(struct control_call *c, bool ok, void *arg)
{
	struct prompt *p = arg;
	u8 waiting[WAITING_MAX];
	pthread_mutex_lock(&p->lock);
	if (ok)
		js_print(c->result, stderr);
	else
		fprintf(stderr, "%s\n", c->err);
	control_call_fini(c);
	js_free(p->args);
	p->args = NULL;
	p->busy = false;
	redraw(p);
	size_t n = p->waiting_len;
	memcpy(waiting, p->waiting, n);
	p->waiting_len = 0;
	feed(p, waiting, n);
	pthread_mutex_unlock(&p->lock);
}

static void start_verb(struct prompt *p, int count, char **words)
{
	char err[300];
	const struct control_verb *verb = control_find(words[0]);
	if (!verb) {
		const char *nearest = control_nearest(words[0]);
		fprintf(stderr, "there is no verb '%.60s'%s%s%s; 'help' lists them\n", words[0], nearest ? "; did you mean '" : "",
			nearest ? nearest : "", nearest ? "'?" : "");
		return;
	}
	struct json *args = control_words(verb, count - 1, words + 1, err, sizeof(err));
	if (!args) {
		fprintf(stderr, "%s\n", err);
		return;
	}
	p->call = (struct control_call){ .args = args };
	p->args = args;
	p->busy = true;		/* before it runs */
	if (control_run(p->runner, &p->call, verb, verb_done, p))
		return;
	p->busy = false;
	fputs("out of memory\n", stderr);
	js_free(args);
	p->args = NULL;
}

static void take_line(struct prompt *p)
{
	char text[LINE_MAX_CHARS + 1], *words[WORDS_MAX], *save = NULL;
	int count = 0;
	remember(p);
	strcpy(text, p->line);
	set_line(p, "");
	if (!p->plain)
		fputc('\n', stderr);
	for (char *w = strtok_r(text, " \t", &save); w && count < WORDS_MAX; w = strtok_r(NULL, " \t", &save))
		words[count++] = w;
	if (!count)
		return;
	if (!strcmp(words[0], "help") || !strcmp(words[0], "?"))
		help(count > 1 ? words[1] : NULL);
	else if (!strcmp(words[0], "exit"))
		p->open = false;
	else
		start_verb(p, count, words);
}

static void take_key(struct prompt *p, u8 key)
{
	if (p->escape)
		escape(p, key);
	else if (key == ESC)
		p->escape = 1;
	else if (key == ENTER || key == NEWLINE)
		take_line(p);
	else if (key == CTRL_D && !p->len)
		p->open = false;
	else
		edit(p, key);
}

/* With the lock held. What is typed behind the end of the prompt is dropped. */
static void feed(struct prompt *p, const u8 *keys, size_t n)
{
	for (size_t i = 0; i < n && p->open; i++) {
		if (!p->busy)
			take_key(p, keys[i]);
		else if (p->waiting_len < WAITING_MAX)
			p->waiting[p->waiting_len++] = keys[i];
	}
	if (!p->open && !p->plain)
		fputs("\r\n", stderr);
	redraw(p);
}

/* --- from outside --- */

struct prompt *prompt_init(struct control_runner *runner)
{
	struct prompt *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->runner = runner;
	p->shown = -1;
	p->plain = !isatty(STDERR_FILENO);
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void prompt_fini(struct prompt *p)
{
	if (!p)
		return;
	for (int i = 0; i < HISTORY; i++)
		free(p->history[i]);
	control_call_fini(&p->call);
	js_free(p->args);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void prompt_open(struct prompt *p)
{
	pthread_mutex_lock(&p->lock);
	p->open = true;
	fputs("\nThe guest does not hear you now; 'help' helps, Ctrl-A C goes back.\n", stderr);
	redraw(p);
	pthread_mutex_unlock(&p->lock);
}

bool prompt_typed(struct prompt *p, const u8 *keys, size_t n)
{
	pthread_mutex_lock(&p->lock);
	feed(p, keys, n);
	bool open = p->open;
	pthread_mutex_unlock(&p->lock);
	return open;
}
