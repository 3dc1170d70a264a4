/*
 * ctl.c - 'ringfence ctl': one command to a running machine, its answer for people or, with --json, for programs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/commands.h"
#include "ui/control_client.h"
#include "ui/control_cmds.h"
#include "ui/json.h"
#include "ui/say.h"

#define PATIENCE_MS 30000

static void help(void)
{
	const struct control_verb *v;
	char usage[100];
	printf("Usage: ringfence ctl [--json] NAME|SOCKET VERB [ARGUMENT]...\n\n"
		"Asks something of a running machine: of this user's machine NAME ('ringfence list'), or over a socket.\n\n");
	for (u32 i = 0; (v = control_verb(i)); i++) {
		control_usage(v, usage, sizeof(usage));
		printf("  %-28s %s\n", usage, v->help);
	}
	printf("\n--json prints the answer as JSON. Exit status: 0 done; 1 the machine refuses or is not there; 2 wrong usage.\n");
}

static void verb_help(const struct control_verb *v)
{
	char usage[100];
	control_usage(v, usage, sizeof(usage));
	printf("Usage: ringfence ctl [--json] NAME|SOCKET %s\n\n%s\n", usage, v->help);
}

static int wrong(const char *sentence)
{
	return say_usage(sentence, "ringfence ctl");
}

static int print(struct json *answer, bool as_json)
{
	if (as_json) {
		char *text = js_write(answer);
		printf("%s\n", text ? text : "");
		free(text);
	} else {
		js_print(answer, stdout);
	}
	js_free(answer);
	return 0;
}

static int ask(const char *name, const struct control_verb *verb, struct json *args, bool as_json)
{
	struct control_client c;
	struct json *answer = NULL;
	char err[400] = "";
	if (control_client_open(&c, name, PATIENCE_MS, err, sizeof(err))) {
		answer = control_client_ask(&c, verb->name, args, err, sizeof(err));
		control_client_close(&c);
	} else {
		js_free(args);
	}
	if (answer)
		return print(answer, as_json);
	fprintf(stderr, "ringfence: %.60s: %s\n", name, err);
	return 1;
}

int cmd_ctl(int argc, char **argv)
{
	const struct control_verb *verb = NULL;
	char err[300];
	bool as_json = argc && !strcmp(argv[0], "--json");
	argc -= as_json;
	argv += as_json;
	for (int i = 0; i < argc && i < 3; i++) {	/* behind the verb all is its own, but for --help alone */
		if (strcmp(argv[i], "--help") && strcmp(argv[i], "-h"))
			continue;
		const struct control_verb *of = i ? control_find(argv[i - 1]) : NULL;
		if (of)
			verb_help(of);
		else
			help();
		return 0;
	}
	if (argc < 2 || argv[0][0] == '-')
		return wrong("ctl needs a machine and a verb; for example: ringfence ctl guest query-status");
	verb = control_find(argv[1]);
	if (!verb) {
		const char *nearest = control_nearest(argv[1]);
		snprintf(err, sizeof(err), "ctl: there is no verb '%.60s'%s%s%s", argv[1], nearest ? "; did you mean '" : "",
			 nearest ? nearest : "", nearest ? "'?" : "");
		return wrong(err);
	}
	struct json *args = control_words(verb, argc - 2, argv + 2, err, sizeof(err));
	if (!args && js_available())
		return wrong(err);
	return ask(argv[0], verb, args, as_json);
}
