/*
 * main.c - the commands: from the command line to what is done and back to an exit status.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "monitor/cpuid.h"
#include "monitor/snapshot.h"
#include "monitor/vcpu.h"
#include "ui/cli.h"
#include "ui/commands.h"
#include "ui/machine.h"
#include "ui/machine_run.h"
#include "ui/probe.h"
#include "ui/say.h"
#include "ui/tty.h"

/* So that who started us sees what ended us. */
static void die_by(int sig)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	signal(sig, SIG_DFL);
	kill(getpid(), sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void print_model(const char *name, const char *what, void *arg)
{
	printf("%-12s %s\n", name, what);
}

static void print_stats(const struct tr_stats *st)
{
#define STAT(name, what) fprintf(stderr, "%14llu  %s\n", (unsigned long long)st->name, what);
#include "translator/stats.def"
#undef STAT
}

static int run_machine(struct machine *m, struct cli_run *opt)
{
	int status = STATUS_ERROR;
	if (!strcmp(opt->cpu, "help")) {
		cpu_model_names(print_model, NULL);
		return STATUS_OK;
	}
	const struct cpu_model *model = cpu_model_find(opt->cpu);
	if (!model) {
		snprintf(m->err, sizeof(m->err), "--cpu: there is no model '%.40s'; '--cpu help' lists them", opt->cpu);
		return say_usage(m->err, "ringfence run");
	}
	if (!cli_look_at_files(opt, m->err, sizeof(m->err))) {
		fprintf(stderr, "ringfence: %s\n", m->err);
		return STATUS_ERROR;
	}
	for (u32 i = 0; i < opt->drives && opt->throwaway; i++) {
		struct cli_drive *d = &opt->drive[i];
		d->drive.throwaway = true;
		d->drive.readonly &= d->option || d->drive.kind == BOARD_CDROM;	/* not because the file may not be written */
	}
	if (!cli_place_drives(opt, m->err, sizeof(m->err)))
		return say_usage(m->err, "ringfence run");
	tty_catch_crashes();
	if (!machine_block_signals(m))
		snprintf(m->err, sizeof(m->err), "cannot watch for signals: %s", strerror(errno));
	else if (machine_init(m, model) && machine_run(m))
		status = machine_status(m);
	if (m->err[0])
		fprintf(stderr, "ringfence: %s\n", m->err);
	if (opt->dump && m->vm.vcpu && !m->err[0])
		tr_dump(m->vm.vcpu->tr, stdout, opt->dump_lo, opt->dump_hi);
	if (opt->stats && m->vm.vcpu && !m->err[0])
		print_stats(tr_stats(m->vm.vcpu->tr));
	machine_fini(m);
	cpu_model_free(model);
	return status;
}

/* Without a word about what runs, the snapshot's own machine is made again. */
static bool parse_restored(int argc, char **argv, struct cli_run *opt, char **saved, char *err, size_t errsize)
{
	char *words[CLI_SAVED_WORDS];
	if (!opt->restore || opt->kernel || opt->files || opt->drives)
		return true;
	*saved = snapshot_conf(opt->restore, err, errsize);
	return *saved && cli_parse_saved(cli_saved_words(*saved, words, CLI_SAVED_WORDS), words, argc, argv, opt, err, errsize) == CLI_OK;
}

static int run_words(struct machine_dir *kept, bool throwaway, int argc, char **argv)
{
	struct cli_run opt;
	struct machine m = { .opt = &opt, .ended = -1, .signals = -1 };
	int status = STATUS_ERROR;
	switch (cli_parse_run(argc, argv, &opt, m.err, sizeof(m.err))) {
	case CLI_HELP:    cli_help_run(stdout); return STATUS_OK;
	case CLI_VERSION: return cli_print_version();
	case CLI_ERROR:   return say_usage(m.err, "ringfence run");
	case CLI_OK:      break;
	}
	char *saved = NULL;
	if (!parse_restored(argc, argv, &opt, &saved, m.err, sizeof(m.err))) {
		fprintf(stderr, "ringfence: %s\n", m.err);
		free(saved);
		return STATUS_ERROR;
	}
	opt.kept = throwaway ? NULL : kept;
	opt.throwaway = throwaway;
	status = run_machine(&m, &opt);
	free(saved);
	if (m.killed_by)
		die_by(m.killed_by);
	return status;
}

static int run(bool throwaway, int argc, char **argv)
{
	struct machine_words words;
	char err[900];
	int status = STATUS_ERROR;
	if (machine_words_begin(&words, &argc, &argv, err, sizeof(err)))
		status = run_words(words.m.lock < 0 ? NULL : &words.m, throwaway, argc, argv);
	else
		fprintf(stderr, "ringfence: %s\n", err);
	machine_words_end(&words);
	return status;
}

int cmd_run(int argc, char **argv)
{
	return run(false, argc, argv);
}

int cmd_try(int argc, char **argv)
{
	return run(true, argc, argv);
}

int cmd_resume(int argc, char **argv)
{
	char err[900];
	if (argc && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
		printf("Usage: ringfence resume NAME [OPTION]...\n\nGoes on where 'ringfence suspend' left a machine; options as for run.\n");
		return STATUS_OK;
	}
	if (!argc || *argv[0] == '-')
		return say_usage("which machine is to go on?", "ringfence resume");
	if (machine_is_suspended(argv[0], err, sizeof(err)))
		return cmd_run(argc, argv);
	fprintf(stderr, "ringfence: %s\n", err);
	return STATUS_ERROR;
}

int cmd_probe(int argc, char **argv)
{
	char err[160];
	switch (cli_parse_plain(argc, argv, err, sizeof(err))) {
	case CLI_HELP:
		printf("Usage: ringfence probe\n\nSays what this host allows, and what that means for Ringfence.\n"
			"Exit status: 0 Ringfence runs here, 1 something is missing.\n");
		return STATUS_OK;
	case CLI_VERSION: return cli_print_version();
	case CLI_ERROR:   return say_usage(err, "ringfence probe");
	case CLI_OK:      break;
	}
	return probe_host(stdout) ? STATUS_ERROR : STATUS_OK;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int (*fn)(int argc, char **argv); } commands[] = {
#define COMMAND(name, synopsis, what) { #name, cmd_##name },
#include "ui/commands.def"
#undef COMMAND
	};
	static const char *const names[] = {
#define COMMAND(name, synopsis, what) #name,
#include "ui/commands.def"
#undef COMMAND
	};
	char err[200];
	if (argc < 2)
		return say_usage("what is to be done? For example: ringfence run FILE", "ringfence");
	for (u32 i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		int status = commands[i].fn(argc - 2, argv + 2);
		if (fflush(stdout) || ferror(stdout)) {
			fprintf(stderr, "ringfence: cannot write to standard output: %s\n", strerror(errno));
			return status ? status : STATUS_ERROR;
		}
		return status;
	}
	switch (cli_parse_plain(1, argv + 1, err, sizeof(err))) {
	case CLI_HELP:    cli_help(stdout); return STATUS_OK;
	case CLI_VERSION: return cli_print_version();
	default:          break;
	}
	const char *nearest = cli_nearest(argv[1], names, ARRAY_SIZE(names));
	snprintf(err, sizeof(err), "there is no command '%.60s'%s%s%s", argv[1], nearest ? "; did you mean '" : "", nearest ? nearest : "",
		nearest ? "'?" : "");
	return say_usage(err, "ringfence");
}
