/*
 * imgtool.c - 'ringfence image': its words and options, named as qemu-img names them where they mean the same.
 */
#include "ui/imgtool.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "images/format.h"
#include "ui/cli.h"
#include "ui/commands.h"
#include "ui/json.h"

#define ON(verb) (1u << IMGTOOL_VERB_##verb)
#define LONG_ONLY 256

static const struct { const char *name, *synopsis, *what; int (*run)(struct imgtool_args *a); } verbs[] = {
#define VERB(name, synopsis, what) { #name, synopsis, what, imgtool_##name },
#include "ui/imgtool.def"
#undef VERB
};
static const struct { char letter; const char *name, *arg, *help; u32 verbs; } rows[] = {
#define OPTION(id, letter, name, arg, verbs, help) { letter, name, arg, help, verbs },
#include "ui/imgtool.def"
#undef OPTION
};

int imgtool_fails(const struct imgtool_args *a)
{
	fprintf(stderr, "ringfence: %s\n", a->err);
	return IMGTOOL_FAILED;
}

int imgtool_says(struct imgtool_args *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(a->err, sizeof(a->err), fmt, ap);
	va_end(ap);
	return imgtool_fails(a);
}

static int usage(struct imgtool_args *a, const char *verb)
{
	fprintf(stderr, "ringfence: %s\nTry 'ringfence image%s%s --help'.\n", a->err, verb ? " " : "", verb ? verb : "");
	return IMGTOOL_FAILED;
}

bool imgtool_take_size(struct imgtool_args *a, enum imgtool_option o, u64 otherwise, u64 *bytes)
{
	*bytes = otherwise;
	if (!a->value[o] || image_parse_size(a->value[o], bytes))
		return true;
	imgtool_says(a, "--%s: '%.60s' is no size; examples: 512M, 2G, 65536", rows[o].name, a->value[o]);
	return false;
}

bool imgtool_wants_json(struct imgtool_args *a, bool *json)
{
	const char *how = a->value[IMGTOOL_OPT_OUTPUT];
	*json = a->value[IMGTOOL_OPT_JSON] || (how && !strcmp(how, "json"));
	if (how && strcmp(how, "json") && strcmp(how, "human"))
		imgtool_says(a, "--output: '%.40s' is neither human nor json", how);
	else if (*json && !js_available())
		imgtool_says(a, "--json: this build of Ringfence has no JSON (libjansson was missing)");
	else
		return true;
	return false;
}

struct image_options imgtool_options_of(const struct imgtool_args *a, bool readonly)
{
	return (struct image_options){
		.readonly = readonly, .format = a->value[IMGTOOL_OPT_FORMAT], .allow_backing = a->value[IMGTOOL_OPT_ALLOW] != NULL,
		.no_lock = readonly && a->value[IMGTOOL_OPT_SHARE],
	};
}

static void show(void *arg, u64 done, u64 total)
{
	struct imgtool_args *a = arg;
	int now = total ? (int)(done * 1000.0 / total) : 1000;
	if (now == a->shown)
		return;
	a->shown = now;
	printf("    (%d.%d0/100%%)\r", now / 10, now % 10);
	fflush(stdout);
}

struct image_progress imgtool_progress_of(struct imgtool_args *a)
{
	a->shown = -1;
	return (struct image_progress){ .tell = a->value[IMGTOOL_OPT_PROGRESS] ? show : NULL, .arg = a };
}

void imgtool_progress_end(const struct imgtool_args *a)
{
	if (a->value[IMGTOOL_OPT_PROGRESS])
		printf("    (100.00/100%%)\n");
}

const char *imgtool_human(u64 bytes, char text[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double n = (double)bytes;
	u32 unit = 0;
	while (n >= 999.5 && unit + 1 < ARRAY_SIZE(units))
		n /= 1024, unit++;
	snprintf(text, 32, "%.3g %s", n, units[unit]);
	return text;
}

/* --- words ------------------------------------------------------------------------------------------------------------- */

static void help(void)
{
	printf("Usage: ringfence image VERB [OPTION]... FILE...\n\nMakes, shows, copies and repairs disk images. Verbs:\n");
	for (u32 i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-8s %s\n", verbs[i].name, verbs[i].what);
	printf("\nFormats:");
	for (u32 i = 0; image_format_name(i); i++)
		printf(" %s%s", image_format_name(i), image_format_creates(i) ? "" : " (cannot be made)");
	printf("\n'ringfence image VERB --help' tells the options of a verb.\n");
}

static void help_verb(enum imgtool_verb v)
{
	char left[40];
	printf("Usage: ringfence image %s [OPTION]... %s\n\n%c%s. Options:\n", verbs[v].name, verbs[v].synopsis,
		verbs[v].what[0] - 'a' + 'A', verbs[v].what + 1);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(rows[i].verbs & 1u << v))
			continue;
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", rows[i].letter ? '-' : ' ', rows[i].letter ? rows[i].letter : ' ',
			rows[i].letter ? "," : " ", rows[i].name, rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
		printf("  %-26s %s\n", left, rows[i].help);
	}
}

/* A second -o joins the first, as in qemu-img. */
static bool take(struct imgtool_args *a, u32 row, const char *value)
{
	if (row == IMGTOOL_OPT_OPTIONS && a->value[row]) {
		size_t n = strlen(a->value[row]) + strlen(value) + 2;
		char *both = malloc(n);
		if (!both)
			return false;
		snprintf(both, n, "%s,%s", a->value[row], value);
		free((char *)a->value[row]);
		a->value[row] = both;
		return true;
	}
	a->value[row] = row == IMGTOOL_OPT_OPTIONS ? strdup(value) : value;
	return a->value[row] != NULL;
}

/* The size of 'resize', which may begin with '-', is not getopt's, and comes last. */
static bool is_size(const struct imgtool_args *a, int argc, char **argv)
{
	return a->verb == IMGTOOL_VERB_resize && argc > 2 && *argv[argc - 1] == '-' && argv[argc - 1][1] >= '0' && argv[argc - 1][1] <= '9';
}

static bool parse(struct imgtool_args *a, int argc, char **argv)
{
	bool size = is_size(a, argc, argv);
	struct option words[ARRAY_SIZE(rows) + 1] = { 0 };
	char letters[3 * ARRAY_SIZE(rows) + 2] = ":";
	u32 n = 0, at = 1;
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(rows[i].verbs & 1u << a->verb))
			continue;
		words[n++] = (struct option){ rows[i].name, rows[i].arg ? required_argument : no_argument, NULL, LONG_ONLY + (int)i };
		if (rows[i].letter)
			letters[at++] = rows[i].letter;
		if (rows[i].letter && rows[i].arg)
			letters[at++] = ':';
	}
	opterr = 0;
	optind = 0;
	for (int c; (c = getopt_long(argc - size, argv, letters, words, NULL)) != -1;) {
		u32 row = c >= LONG_ONLY ? (u32)c - LONG_ONLY : 0;
		if (c == '?' || c == ':') {
			snprintf(a->err, sizeof(a->err), c == ':' ? "option '%.60s' needs a value" : "there is no option '%.60s' here",
				argv[optind - 1]);
			return false;
		}
		while (c < LONG_ONLY && (rows[row].letter != c || !(rows[row].verbs & 1u << a->verb)))
			row++;
		if (!take(a, row, rows[row].arg ? optarg : "")) {
			snprintf(a->err, sizeof(a->err), "out of memory");
			return false;
		}
	}
	a->file = argv + optind;
	a->files = argc - optind;
	return true;
}

static bool right_number(struct imgtool_args *a)
{
	enum imgtool_verb v = a->verb;
	int least = v == IMGTOOL_VERB_convert || v == IMGTOOL_VERB_resize ? 2 : 1, most = v == IMGTOOL_VERB_create ? 2 : least;
	if (a->files >= least && a->files <= most)
		return true;
	snprintf(a->err, sizeof(a->err), "%s", !a->files ? "which image?" : a->files < least ?
		(v == IMGTOOL_VERB_resize ? "to which size?" : "into which file?") : "too many words");
	return false;
}

int cmd_image(int argc, char **argv)
{
	struct imgtool_args a = { 0 };
	static const char *const names[] = {
#define VERB(name, synopsis, what) #name,
#include "ui/imgtool.def"
#undef VERB
	};
	if (argc && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
		help();
		return IMGTOOL_OK;
	}
	while (argc && a.verb < IMGTOOL_VERBS && strcmp(argv[0], names[a.verb]))
		a.verb++;
	if (!argc || a.verb == IMGTOOL_VERBS) {
		const char *nearest = argc ? cli_nearest(argv[0], names, ARRAY_SIZE(names)) : NULL;
		snprintf(a.err, sizeof(a.err), argc ? "image: there is no verb '%.60s'%s%s%s" : "image: what is to be done?", argc ? argv[0] : "",
			nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
		return usage(&a, NULL);
	}
	int status;
	if (!parse(&a, argc, argv))
		status = usage(&a, names[a.verb]);
	else if (a.value[IMGTOOL_OPT_HELP])
		help_verb(a.verb), status = IMGTOOL_OK;
	else if (!right_number(&a))
		status = usage(&a, names[a.verb]);
	else
		status = verbs[a.verb].run(&a);
	free((char *)a.value[IMGTOOL_OPT_OPTIONS]);
	return status;
}
