/*
 * cli.c - parses the command line. Owns nothing; everything it knows of options is in options.def and commands.def.
 */
#define _GNU_SOURCE	/* strptime() */
#include "ui/cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "monitor/mem.h"
#include "monitor/vm.h"
#include "ui/front.h"
#include "ui/rundir.h"

enum option_id {
#define OPTION(id, letter, name, arg, help) OPT_##id,
#include "ui/options.def"
#undef OPTION
	OPT_MAX
};
struct option_row {
	const char *name, *arg, *help;
	char letter;
};
static const struct option_row options[] = {
#define OPTION(id, letter, name, arg, help) { name, arg, help, letter },
#include "ui/options.def"
#undef OPTION
};
static const char *const option_names[] = {
#define OPTION(id, letter, name, arg, help) name,
#include "ui/options.def"
#undef OPTION
};

struct parser {
	struct cli_run *run;
	char *err;
	size_t errsize;
};

static bool usage_error(struct parser *ps, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool usage_error(struct parser *ps, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(ps->err, ps->errsize, fmt, ap);
	va_end(ap);
	return false;
}

bool cli_parse_size(const char *text, u64 *bytes)
{
	char *end;
	if (!isdigit((unsigned char)*text))
		return false;
	u64 n = strtoull(text, &end, 10), unit = 1ull << 20;
	if (*end) {
		static const char units[] = "KMGT";
		const char *u = strchr(units, toupper((unsigned char)*end));
		if (!u || end[1 + (strcmp(end + 1, "iB") == 0 ? 2 : 0)])
			return false;
		unit = 1024ull << 10 * (u - units);
	}
	*bytes = n > ~0ull / unit ? ~0ull : n * unit;
	return true;
}

/* Edit distance, for words of up to 31 characters. */
static u32 distance(const char *a, const char *b)
{
	u32 row[32], la = (u32)strlen(a), lb = (u32)strlen(b);
	if (la > 31 || lb > 31)
		return 99;
	for (u32 j = 0; j <= lb; j++)
		row[j] = j;
	for (u32 i = 1; i <= la; i++) {
		u32 diagonal = row[0];
		row[0] = i;
		for (u32 j = 1; j <= lb; j++) {
			u32 best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[lb];
}

const char *cli_nearest(const char *wrong, const char *const *words, u32 count)
{
	const char *found = NULL;
	u32 best = (u32)strlen(wrong) / 3 + 2;	/* farther than that is no misspelling */
	for (u32 i = 0; i < count; i++) {
		u32 d = distance(wrong, words[i]);
		if (d < best) {
			best = d;
			found = words[i];
		}
	}
	return found;
}

/* --- values --- */

static bool take_memory(struct parser *ps, const char *v)
{
	u64 n;
	if (!cli_parse_size(v, &n))
		return usage_error(ps, "-m: '%s' is no size; examples: 512M, 2G", v);
	if (n < MEM_MIN_BYTES || n > MEM_MAX_BYTES)
		return usage_error(ps, "-m: %s is out of range: a guest has %lluM to %lluM", v, MEM_MIN_BYTES >> 20, MEM_MAX_BYTES >> 20);
	ps->run->ram_size = n & ~(u64)PAGE_MASK;
	return true;
}

/* What --serial and --debugcon accept; opening it is the character device's business. */
static bool check_where(struct parser *ps, const char *option, const char *v)
{
	if (!strcmp(v, "stdio") || !strcmp(v, "pty") || !strcmp(v, "none") ||
	    (!strncmp(v, "file:", 5) && v[5]) || (!strncmp(v, "unix:", 5) && v[5]))
		return true;
	return usage_error(ps, "--%s: '%s' is not one of stdio, file:F, pty, unix:F, none", option, v);
}

/* base=utc, base=localtime or base= a date, with or without a time of day. */
static bool take_rtc(struct parser *ps, const char *v)
{
	struct tm date = { 0 }, wanted;
	time_t now = time(NULL);
	const char *base = v + 5;
	ps->run->rtc_given = strcmp(v, "base=utc") != 0;
	if (!ps->run->rtc_given)
		return true;
	if (!strcmp(v, "base=localtime") && localtime_r(&now, &date)) {
		ps->run->rtc_date = now + date.tm_gmtoff;
		return true;
	}
	const char *end = strncmp(v, "base=", 5) ? NULL : strptime(base, "%Y-%m-%d", &date);
	if (end && *end == 'T')
		end = strptime(end + 1, "%H:%M:%S", &date);
	wanted = date;
	if (!end || *end || date.tm_year < 0 || date.tm_year > 199)
		return usage_error(ps, "--rtc: it is base=utc, base=localtime or base=YYYY-MM-DD[THH:MM:SS] from 1900 to 2099, not '%.40s'", v);
	ps->run->rtc_date = timegm(&date);
	if (date.tm_mday != wanted.tm_mday)
		return usage_error(ps, "--rtc: there is no such day: '%.40s'", v);
	return true;
}

static bool take_serial(struct parser *ps, const char *v)
{
	if (ps->run->serials == CLI_SERIALS)
		return usage_error(ps, "--serial: a PC has at most %d serial ports", CLI_SERIALS);
	ps->run->serial[ps->run->serials++] = v;
	return check_where(ps, "serial", v);
}

static bool take_engine(struct parser *ps, const char *v)
{
	if (!strcmp(v, "auto") || !strcmp(v, "translate"))
		return true;
	return usage_error(ps, "--engine: '%s' is not one of auto, translate", v);
}

static bool take_port(struct parser *ps, const char *v)
{
	char *end;
	unsigned long n = strtoul(v, &end, 0);
	if (!isdigit((unsigned char)*v) || *end || n > 0xffff)
		return usage_error(ps, "--debug-exit: '%s' is no I/O port; example: 0xf4", v);
	ps->run->debug_exit = (int)n;
	return true;
}

/* tc, or tc:LO-HI in hexadecimal. */
static bool take_dump(struct parser *ps, const char *v)
{
	struct cli_run *run = ps->run;
	run->dump = true;
	run->dump_lo = 0;
	run->dump_hi = ~0ull;
	if (!strcmp(v, "tc"))
		return true;
	char *end = NULL;
	if (!strncmp(v, "tc:", 3) && isxdigit((unsigned char)v[3])) {
		run->dump_lo = run->dump_hi = strtoull(v + 3, &end, 16);
		if (*end == '-' && isxdigit((unsigned char)end[1]))
			run->dump_hi = strtoull(end + 1, &end, 16);
	}
	if (!end || *end || run->dump_lo > run->dump_hi)
		return usage_error(ps, "--dump: '%s' is neither tc nor tc:LO-HI with two addresses", v);
	return true;
}

static bool take_check(struct parser *ps, const char *v)
{
	while (true) {
		size_t len = strcspn(v, ",");
		if (len == 7 && !memcmp(v, "recover", len))
			ps->run->check_recover = true;
		else if (len == 5 && !memcmp(v, "links", len))
			ps->run->check_links = true;
		else
			return usage_error(ps, "--check: '%.*s' is not one of recover, links", (int)len, v);
		if (!v[len])
			return true;
		v += len + 1;
	}
}

static bool take_trace(struct parser *ps, const char *v)
{
	char why[160];
	if (vm_trace_parse(v, &ps->run->trace, why, sizeof(why)))
		return true;
	return usage_error(ps, "%s", why);
}

static bool take_name(struct parser *ps, const char *v)
{
	ps->run->name = v;
	ps->run->name_given = true;
	return rundir_name_valid(v) || usage_error(ps, "--name: '%.60s' is no name: up to %d printable characters without a slash, "
		"and no dot or dash in front", v, RUNDIR_NAME_MAX);
}

static bool take_clock(struct parser *ps, const char *v)
{
	ps->run->clock_host = !strcmp(v, "host");
	return ps->run->clock_host || !strcmp(v, "frozen") || usage_error(ps, "--clock: '%s' is not frozen or host", v);
}

static bool take_display(struct parser *ps, const char *v)
{
	ps->run->display = v;
	return !strcmp(v, "sdl") || !strcmp(v, "text") || !strcmp(v, "none") ||
	       usage_error(ps, "--display: '%s' is not one of sdl, text, none", v);
}

/* A window where there is a desktop, else the text screen in the terminal, unless something else has the terminal. A kernel that starts
 * without firmware is talked to over its serial port. */
static const char *default_display(const struct cli_run *run)
{
	bool serial = run->serials || strstr(run->append, "console=ttyS") || (run->debugcon && !strcmp(run->debugcon, "stdio"));
#ifdef HAVE_SDL
	const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
	bool desktop = (x && *x) || (wayland && *wayland);
	if (desktop && (!run->kernel || run->firmware))
		return "sdl";
#endif
	if (!serial && !run->trace && (!run->kernel || run->firmware) && text_possible())
		return "text";
	return "none";
}

static bool take(struct parser *ps, enum option_id id, const char *v)
{
	struct cli_run *run = ps->run;
	switch (id) {
	case OPT_KERNEL:     run->kernel = v; return true;
	case OPT_FIRMWARE:   run->firmware = v; return true;
	case OPT_INITRD:     run->initrd = v; return true;
	case OPT_APPEND:     run->append = v; return true;
	case OPT_CPU:        run->cpu = v; return true;
	case OPT_NAME:       return take_name(ps, v);
	case OPT_NO_REBOOT:  run->no_reboot = true; return true;
	case OPT_MEMORY:     return take_memory(ps, v);
	case OPT_SERIAL:     return take_serial(ps, v);
	case OPT_ENGINE:     return take_engine(ps, v);
	case OPT_TRACE:      return take_trace(ps, v);
	case OPT_DUMP:       return take_dump(ps, v);
	case OPT_STATS:      run->stats = true; return true;
	case OPT_CHECK:      return take_check(ps, v);
	case OPT_DEBUG_EXIT: return take_port(ps, v);
	case OPT_DEBUGCON:   run->debugcon = v; return check_where(ps, "debugcon", v);
	case OPT_DISK:       return cli_take_drive(run, "disk", BOARD_DISK, v, ps->err, ps->errsize);
	case OPT_CDROM:      return cli_take_drive(run, "cdrom", BOARD_CDROM, v, ps->err, ps->errsize);
	case OPT_FLOPPY:     return cli_take_drive(run, "floppy", BOARD_FLOPPY, v, ps->err, ps->errsize);
	case OPT_BOOT:       return cli_take_boot(run, v, ps->err, ps->errsize);
	case OPT_RTC:        return take_rtc(ps, v);
	case OPT_RESTORE:    run->restore = v; return true;
	case OPT_CLOCK:      return take_clock(ps, v);
	case OPT_PARALLEL:   run->parallel = v; return check_where(ps, "parallel", v);
	case OPT_DISPLAY:    return take_display(ps, v);
	default:             return true;
	}
}

/* --- words --- */

static bool unknown_option(struct parser *ps, const char *word, size_t len)
{
	char name[40];
	snprintf(name, sizeof(name), "%.*s", (int)len, word + 2);
	const char *nearest = word[1] == '-' ? cli_nearest(name, option_names, ARRAY_SIZE(option_names)) : NULL;
	if (nearest)
		return usage_error(ps, "unknown option --%s; did you mean --%s?", name, nearest);
	return usage_error(ps, "unknown option %.40s; 'ringfence run --help' lists them", word);
}

/* Finds the option that a word names: --name, --name=value, -x, -xvalue. *value is what is joined to it, or NULL. */
static const struct option_row *find_option(const char *word, const char **value, size_t *name_len)
{
	*value = NULL;
	bool is_long = word[1] == '-';
	*name_len = is_long ? strcspn(word + 2, "=") : 0;
	for (u32 i = 0; i < OPT_MAX; i++) {
		const struct option_row *o = &options[i];
		if (is_long && strlen(o->name) == *name_len && !memcmp(o->name, word + 2, *name_len)) {
			*value = word[2 + *name_len] ? word + 3 + *name_len : NULL;
			return o;
		}
		if (!is_long && o->letter && word[1] == o->letter && (o->arg || !word[2])) {
			*value = word[2] ? word + 2 : NULL;
			return o;
		}
	}
	return NULL;
}

static bool take_file(struct parser *ps, const char *word)
{
	if (ps->run->files == CLI_FILES)
		return usage_error(ps, "'%.60s' is one file too many: a PC has room for %d", word, CLI_FILES);
	ps->run->file[ps->run->files++] = word;
	return true;
}

static bool may_repeat(u32 id)
{
	return id == OPT_SERIAL || id == OPT_TRACE || id == OPT_CHECK || id == OPT_DISK || id == OPT_CDROM || id == OPT_FLOPPY;
}

static bool parse_words(struct parser *ps, int argc, char **argv, enum cli_result *early)
{
	u32 seen = 0;
	for (int i = 0; i < argc; i++) {
		const char *value;
		size_t name_len;
		if (argv[i][0] != '-') {
			if (!take_file(ps, argv[i]))
				return false;
			continue;
		}
		const struct option_row *o = find_option(argv[i], &value, &name_len);
		if (!o)
			return unknown_option(ps, argv[i], name_len);
		u32 id = (u32)(o - options);
		if (id == OPT_HELP || id == OPT_VERSION) {
			*early = id == OPT_HELP ? CLI_HELP : CLI_VERSION;
			return true;
		}
		if (value && !o->arg)
			return usage_error(ps, "--%s takes no value", o->name);
		if (o->arg && !value && ++i == argc)
			return usage_error(ps, "--%s needs a value: %s", o->name, o->arg);
		if (seen >> id & 1 && !may_repeat(id))
			return usage_error(ps, "--%s is given twice", o->name);
		seen |= 1u << id;
		if (!take(ps, (enum option_id)id, value ? value : o->arg ? argv[i] : NULL))
			return false;
	}
	return true;
}
_Static_assert(OPT_MAX <= 32, "seen is one word");

static u32 count_stdio(const struct cli_run *run)
{
	u32 n = run->debugcon && !strcmp(run->debugcon, "stdio");
	for (u32 i = 0; i < run->serials; i++)
		n += !strcmp(run->serial[i], "stdio");
	return n;
}

static bool check_what_runs(struct parser *ps)
{
	const struct cli_run *run = ps->run;
	if (!run->kernel && !run->files && (run->initrd || run->append[0]))
		return usage_error(ps, "--initrd and --append go with --kernel, which is missing");
	return true;
}

enum cli_result cli_parse_run(int argc, char **argv, struct cli_run *run, char *err, size_t errsize)
{
	return cli_parse_saved(0, NULL, argc, argv, run, err, errsize);
}

enum cli_result cli_parse_saved(u32 count, char **saved, int argc, char **argv, struct cli_run *run, char *err, size_t errsize)
{
	struct parser ps = { run, err, errsize };
	enum cli_result early = CLI_OK;
	*run = (struct cli_run){ .append = "", .cpu = "host", .name = "guest", .ram_size = 512ull << 20, .debug_exit = -1 };
	if (!parse_words(&ps, (int)count, saved, &early))
		return CLI_ERROR;
	u32 serials = run->serials;
	run->serials = 0;	/* all of them are said anew, or none */
	if (!parse_words(&ps, argc, argv, &early))
		return CLI_ERROR;
	if (!run->serials)
		run->serials = serials;
	if (early != CLI_OK)
		return early;
	if (!check_what_runs(&ps))
		return CLI_ERROR;
	if (!run->display)
		run->display = default_display(run);
	/* The text display has the terminal. */
	if (!run->serials && strcmp(run->display, "text") && !(run->debugcon && !strcmp(run->debugcon, "stdio")))
		run->serial[run->serials++] = "stdio";
	if (!strcmp(run->display, "text") && count_stdio(run)) {
		usage_error(&ps, "--display text has the terminal: no --serial, --parallel or --debugcon can be stdio");
		return CLI_ERROR;
	}
	if (count_stdio(run) > 1) {
		usage_error(&ps, "stdio is given to more than one of --serial and --debugcon");
		return CLI_ERROR;
	}
	return CLI_OK;
}

enum cli_result cli_parse_plain(int argc, char **argv, char *err, size_t errsize)
{
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return CLI_HELP;
		if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "-V"))
			return CLI_VERSION;
		snprintf(err, errsize, "unknown option '%.60s'", argv[i]);
		return CLI_ERROR;
	}
	return CLI_OK;
}

/* --- help --- */

int cli_print_version(void)
{
	printf("ringfence %s\n", RF_VERSION);
	return 0;
}

void cli_help(FILE *out)
{
	static const struct { const char *name, *synopsis, *what; } commands[] = {
#define COMMAND(name, synopsis, what) { #name, synopsis, what },
#include "ui/commands.def"
#undef COMMAND
	};
	fprintf(out, "Ringfence runs x86 operating systems in an ordinary process.\n\n");
	for (u32 i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  ringfence %s %s\n        %s\n", commands[i].name, commands[i].synopsis, commands[i].what);
	fprintf(out, "\n--help and --version work everywhere; the manual is ringfence(1).\n");
}

void cli_help_run(FILE *out)
{
	fprintf(out, "Usage: ringfence run [FILE]... [OPTION]...\n\n"
		"What a FILE is (floppy, CD or disk image, kernel) is found by looking at it. The firmware starts a kernel that is\n"
		"among them, or else boots from what is named first.\n\n");
	for (u32 i = 0; i < OPT_MAX; i++) {
		const struct option_row *o = &options[i];
		char left[60], letter[8] = "    ";
		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		fprintf(out, "  %-24s %s\n", left, o->help);
	}
	fprintf(out, "\nIn the terminal: Ctrl-A X leaves, Ctrl-A H helps, Ctrl-A Ctrl-A sends Ctrl-A.\n"
		"Exit status: 0 the guest powered off or halted for good, or the user left; 1 the host or a file is at fault;\n"
		"2 wrong usage; with --debug-exit also what the guest says.\n");
}
