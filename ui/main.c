/*
 * main.c - the composition root: from the command line to a running machine and back to an exit status.
 *
 * The only place that knows all parts. The main thread puts the machine together, waits for signals and for the vCPU
 * thread's end, and takes it apart again in reverse order. Signals that ask us to leave are blocked in all threads and
 * read from a descriptor, so that leaving happens in ordinary code.
 */
#define _GNU_SOURCE	/* pthread_setname_np */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "config.h"
#include "devices/board_pc.h"
#include "devices/display.h"
#include "monitor/bus.h"
#include "monitor/clock.h"
#include "monitor/cpuid.h"
#include "monitor/event.h"
#include "monitor/loader.h"
#include "monitor/mem.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include "ui/cli.h"
#include "ui/probe.h"
#include "ui/tty.h"

enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_USAGE = 2 };
#define VCPU_STACK_BYTES (8u << 20)	/* callouts nest, and Zydis is not shy of stack */
#define LEAVE_PATIENCE_MS 5000
#define DEFAULT_FIRMWARE RF_FIRMWARE_DIR "/bios-256k.bin"	/* SeaBIOS */

struct machine {
	struct vm vm;
	const struct cli_run *opt;
	struct loader *loader;
	struct tty_keys keys;
	pthread_t vcpu_thread;
	int ended;		/* eventfd: the vCPU thread is done */
	int signals;		/* signalfd */
	int killed_by;		/* a signal that asked us to leave, or 0 */
	bool has_mem, has_bus, has_clock, has_events, has_board;
	char err[512];
};

static int usage(const char *sentence, const char *help)
{
	fprintf(stderr, "ringfence: %s\nTry '%s --help'.\n", sentence, help);
	return STATUS_USAGE;
}

static int print_version(void)
{
	printf("ringfence %s\n", RF_VERSION);
	return STATUS_OK;
}

/* --- putting together, taking apart --- */

static void user_leaves(void *arg)
{
	vm_request_stop(arg, VM_QUIT);
}

static void user_hears(void *arg, const char *text)
{
	fputs(text, stderr);
}

static size_t user_typed(void *arg, u8 *buf, size_t len)
{
	return tty_keys(arg, buf, len);
}

static bool uses_stdio(const struct cli_run *opt)
{
	bool yes = opt->debugcon && !strcmp(opt->debugcon, "stdio");
	for (u32 i = 0; i < opt->serials; i++)
		yes |= !strcmp(opt->serial[i], "stdio");
	return yes;
}

/* The machine's firmware; NULL: a kernel starts without any. */
static const char *firmware_path(const struct cli_run *opt)
{
	if (opt->firmware && strcmp(opt->firmware, "seabios"))
		return opt->firmware;
	return opt->firmware || !opt->kernel ? DEFAULT_FIRMWARE : NULL;
}

static bool board_build(struct machine *m)
{
	u8 boot_rom[LOADER_ROM_BYTES];
	struct board_options b = {
		.debugcon = m->opt->debugcon,
		.debug_exit = m->opt->debug_exit,
		.parallel = m->opt->parallel,
		.boot_order = m->opt->boot_order[0] ? m->opt->boot_order : NULL,
		.boot_menu = m->opt->boot_menu,
		.stdin_filter = user_typed,
		.stdin_arg = &m->keys,
	};
	memcpy(b.serial, m->opt->serial, sizeof(m->opt->serial));
	if (m->opt->kernel && firmware_path(m->opt)) {
		loader_boot_rom(boot_rom, BOARD_START_PORT);
		b.boot_rom = boot_rom;
		b.boot_rom_size = sizeof(boot_rom);
	}
	memcpy(b.ide, m->opt->ide, sizeof(m->opt->ide));
	memcpy(b.floppy, m->opt->floppy, sizeof(m->opt->floppy));
	m->has_board = board_init(&m->vm, &b, m->err, sizeof(m->err));
	return m->has_board;
}

/* False with a sentence in m->err; what was built until then is for machine_fini(). */
static bool machine_init(struct machine *m, const struct cpu_model *model)
{
	const struct cli_run *opt = m->opt;
	struct loader_options files = { firmware_path(opt), opt->kernel, opt->initrd, opt->append, opt->ram_size };
	struct tr_options tr = { .check_recover = opt->check_recover, .check_links = opt->check_links,
				 .trace = opt->trace & TRACE_TC ? stderr : NULL };
	const char *why = "out of memory";
	struct vm *vm = &m->vm;

	m->loader = loader_open(&files, m->err, sizeof(m->err));
	if (!m->loader)
		return false;
	*vm = (struct vm){ .name = opt->name, .no_reboot = opt->no_reboot, .trace = opt->trace,
			   .halt_waits = firmware_path(opt) != NULL };
	m->keys = (struct tty_keys){ .leave = user_leaves, .say = user_hears, .arg = vm };
	m->has_mem = mem_init(vm, opt->ram_size, m->err, sizeof(m->err));
	if (!m->has_mem)
		return false;
	m->has_bus = bus_init(vm);
	m->has_clock = m->has_bus && clock_init(vm);
	if (!m->has_clock) {
		snprintf(m->err, sizeof(m->err), "out of memory");
		return false;
	}
	m->has_events = event_init(vm, m->err, sizeof(m->err));
	if (!m->has_events)
		return false;
	vm->vcpu = vcpu_init(vm, model, &tr, &why);
	if (!vm->vcpu) {
		snprintf(m->err, sizeof(m->err), "%s", why);
		return false;
	}
	vm->display = display_init(vm);
	if (!vm->display) {
		snprintf(m->err, sizeof(m->err), "out of memory for the picture");
		return false;
	}
	if (!board_build(m))
		return false;
	vm->reset_hook = loader_load;
	vm->start_hook = loader_start_kernel;
	vm->reset_arg = m->loader;
	return true;
}

static void machine_fini(struct machine *m)
{
	struct vm *vm = &m->vm;
	if (m->has_board)
		board_stop(vm);
	if (m->has_events)
		event_fini(vm);		/* after it nobody posts to the others */
	if (m->has_board)
		board_fini(vm);
	display_fini(vm->display);
	if (vm->vcpu)
		vcpu_fini(vm->vcpu);
	if (m->has_clock)
		clock_fini(vm);
	if (m->has_bus)
		bus_fini(vm);
	if (m->has_mem)
		mem_fini(vm);
	if (m->loader)
		loader_close(m->loader);
}

/* --- running --- */

static void *vcpu_main(void *arg)
{
	struct machine *m = arg;
	struct vm *vm = &m->vm;
	u64 one = 1;
	vcpu_reset(vm->vcpu);
	if (vm->board_reset)
		vm->board_reset(vm);
	loader_load(vm, m->loader);
	vcpu_run(vm->vcpu);
	while (write(m->ended, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

/* Those signals that we wait for; blocked from before the first thread on, so every thread has them blocked. */
static bool signals_block(struct machine *m)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	signal(SIGPIPE, SIG_IGN);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		return false;
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	m->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return m->signals >= 0 && m->ended >= 0;
}

static void signal_taken(struct machine *m, int sig)
{
	switch (sig) {
	case SIGTSTP:
		tty_leave();
		kill(getpid(), SIGSTOP);
		break;
	case SIGCONT:
		if (uses_stdio(m->opt) && m->vm.stop == VM_RUNNING)
			tty_enter();
		break;
	default:
		m->killed_by = sig;
		vm_request_stop(&m->vm, VM_QUIT);
		break;
	}
}

/* Until the vCPU thread is done. A second request to leave, or a vCPU that does not hear the first, ends us at once. */
static void machine_wait(struct machine *m)
{
	struct pollfd fds[2] = { { .fd = m->ended, .events = POLLIN }, { .fd = m->signals, .events = POLLIN } };
	struct signalfd_siginfo info;
	while (!(fds[0].revents & POLLIN)) {
		int n = poll(fds, 2, m->killed_by ? LEAVE_PATIENCE_MS : -1);
		if (n == 0) {
			tty_leave();
			fprintf(stderr, "ringfence: the machine does not stop; leaving it\n");
			_exit(STATUS_ERROR);
		}
		while (n > 0 && read(m->signals, &info, sizeof(info)) == sizeof(info))
			signal_taken(m, (int)info.ssi_signo);
	}
}

static bool machine_run(struct machine *m)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK_BYTES);
	int failed = pthread_create(&m->vcpu_thread, &attr, vcpu_main, m);
	pthread_attr_destroy(&attr);
	if (failed) {
		snprintf(m->err, sizeof(m->err), "cannot start a thread: %s", strerror(failed));
		return false;
	}
	pthread_setname_np(m->vcpu_thread, "vcpu");
	if (uses_stdio(m->opt))
		tty_enter();
	machine_wait(m);
	pthread_join(m->vcpu_thread, NULL);
	tty_leave();
	return true;
}

static int machine_status(const struct machine *m)
{
	const struct vm *vm = &m->vm;
	if (vm->stop == VM_ERROR) {
		fprintf(stderr, "ringfence: %s\n", vm->error);
		return STATUS_ERROR;
	}
	return vm->stop == VM_DEBUG_EXIT ? vm->exit_status : STATUS_OK;
}

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

static int cmd_run(int argc, char **argv)
{
	struct cli_run opt;
	struct machine m = { .opt = &opt, .ended = -1, .signals = -1 };
	int status = STATUS_ERROR;
	switch (cli_parse_run(argc, argv, &opt, m.err, sizeof(m.err))) {
	case CLI_HELP:    cli_help_run(stdout); return STATUS_OK;
	case CLI_VERSION: return print_version();
	case CLI_ERROR:   return usage(m.err, "ringfence run");
	case CLI_OK:      break;
	}
	if (!strcmp(opt.cpu, "help")) {
		cpu_model_names(print_model, NULL);
		return STATUS_OK;
	}
	const struct cpu_model *model = cpu_model_find(opt.cpu);
	if (!model) {
		snprintf(m.err, sizeof(m.err), "--cpu: there is no model '%.40s'; '--cpu help' lists them", opt.cpu);
		return usage(m.err, "ringfence run");
	}
	if (!cli_look_at_files(&opt, m.err, sizeof(m.err))) {
		fprintf(stderr, "ringfence: %s\n", m.err);
		return STATUS_ERROR;
	}
	if (!cli_place_drives(&opt, m.err, sizeof(m.err)))
		return usage(m.err, "ringfence run");
	tty_catch_crashes();
	if (!signals_block(&m))
		snprintf(m.err, sizeof(m.err), "cannot watch for signals: %s", strerror(errno));
	else if (machine_init(&m, model) && machine_run(&m))
		status = machine_status(&m);
	if (m.err[0])
		fprintf(stderr, "ringfence: %s\n", m.err);
	if (opt.dump && m.vm.vcpu && !m.err[0])
		tr_dump(m.vm.vcpu->tr, stdout, opt.dump_lo, opt.dump_hi);
	if (opt.stats && m.vm.vcpu && !m.err[0])
		print_stats(tr_stats(m.vm.vcpu->tr));
	machine_fini(&m);
	cpu_model_free(model);
	if (m.killed_by)
		die_by(m.killed_by);
	return status;
}

static int cmd_probe(int argc, char **argv)
{
	char err[160];
	switch (cli_parse_plain(argc, argv, err, sizeof(err))) {
	case CLI_HELP:
		printf("Usage: ringfence probe\n\nSays what this host allows, and what that means for Ringfence.\n"
			"Exit status: 0 Ringfence runs here, 1 something is missing.\n");
		return STATUS_OK;
	case CLI_VERSION: return print_version();
	case CLI_ERROR:   return usage(err, "ringfence probe");
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
		return usage("what is to be done? For example: ringfence run FILE", "ringfence");
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
	case CLI_VERSION: return print_version();
	default:          break;
	}
	const char *nearest = cli_nearest(argv[1], names, ARRAY_SIZE(names));
	snprintf(err, sizeof(err), "there is no command '%.60s'%s%s%s", argv[1], nearest ? "; did you mean '" : "", nearest ? nearest : "",
		nearest ? "'?" : "");
	return usage(err, "ringfence");
}
