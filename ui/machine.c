/*
 * machine.c - puts a machine together, runs it and takes it apart in reverse order.
 *
 * Signals that ask us to leave are blocked in all threads and read from a descriptor, so that leaving happens in ordinary code.
 */
#define _GNU_SOURCE	/* pthread_setname_np */
#include "ui/machine.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "config.h"
#include "devices/audio.h"
#include "devices/board_pc.h"
#include "devices/display.h"
#include "devices/input.h"
#include "monitor/bus.h"
#include "monitor/clock.h"
#include "monitor/event.h"
#include "monitor/loader.h"
#include "monitor/mem.h"
#include "monitor/snapshot.h"
#include "monitor/vcpu.h"
#include "ui/control.h"
#include "ui/control_cmds.h"
#include "ui/control_run.h"
#include "ui/front.h"
#include "ui/media.h"
#include "ui/json.h"
#include "ui/prompt.h"
#include "ui/snapops.h"

#define VCPU_STACK_BYTES (8u << 20)	/* callouts nest, and Zydis is not shy of stack */
#define LEAVE_PATIENCE_MS 5000
#define DEFAULT_FIRMWARE RF_FIRMWARE_DIR "/bios-256k.bin"	/* SeaBIOS */

static void user_leaves(void *arg)
{
	struct machine *m = arg;
	vm_request_stop(&m->vm, VM_QUIT);
}

static void user_opens_prompt(void *arg)
{
	struct machine *m = arg;
	prompt_open(m->prompt);
}

static bool user_prompts(void *arg, const u8 *keys, size_t n)
{
	struct machine *m = arg;
	return prompt_typed(m->prompt, keys, n);
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
		.no_firmware = !firmware_path(m->opt),
		.parallel = m->opt->parallel,
		.rtc_given = m->opt->rtc_given,
		.rtc_date = m->opt->rtc_date,
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

static void say_paused(void *arg)
{
	struct vm *vm = arg;
	if (vm->pause_kind != VM_PAUSE_USER)
		fprintf(stderr, "\nringfence: paused: %s; 'ringfence ctl %s cont' tries again\n", vm->pause_why, vm->name);
}

/* A machine runs without a control socket too, unless a name was asked for that it cannot have. */
static bool control_build(struct machine *m)
{
	if (strcmp(m->opt->display, "text"))	/* that shows it itself */
		vm_on(&m->vm, VM_PAUSED, say_paused, &m->vm);
	if (!js_available())
		return true;
	m->control = control_init(&m->vm, m->runner, m->opt->name, m->opt->name_given, m->err, sizeof(m->err));
	if (m->control || m->opt->name_given)
		return m->control;
	fprintf(stderr, "ringfence: no control socket: %s\n", m->err);
	m->err[0] = 0;
	return true;
}

static bool open_front(struct machine *m)
{
	static const struct front_actions actions = { media_power_button, media_eject, media_insert };
	if (!strcmp(m->opt->display, "sdl"))
		return sdl_open(&m->front, &m->vm, &actions, m->err, sizeof(m->err));
	return strcmp(m->opt->display, "text") || text_open(&m->front, &m->vm, &m->keys, m->err, sizeof(m->err));
}

bool machine_init(struct machine *m, const struct cpu_model *model)
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
	vm->conf = m->conf = cli_saved(opt);
	vm->kept = opt->kept;
	m->runner = control_runner_init(vm);
	if (!m->runner) {
		snprintf(m->err, sizeof(m->err), "out of memory");
		return false;
	}
	m->prompt = js_available() ? prompt_init(m->runner) : NULL;
	m->keys = (struct tty_keys){ .leave = user_leaves, .say = user_hears, .prompt_typed = user_prompts, .arg = m };
	m->keys.prompt_open = m->prompt ? user_opens_prompt : NULL;
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
	vm->input = input_init(vm);
	if (!vm->input) {
		snprintf(m->err, sizeof(m->err), "out of memory for keyboard and mouse");
		return false;
	}
	vm->audio = strcmp(opt->display, "sdl") ? NULL : audio_init(vm);	/* without it the machine is silent */
	if (!board_build(m))
		return false;
	if (!open_front(m))
		return false;
	vm->reset_hook = loader_load;
	vm->start_hook = loader_start_kernel;
	vm->reset_arg = m->loader;
	return control_build(m);
}

void machine_fini(struct machine *m)
{
	struct vm *vm = &m->vm;
	if (m->front.close)
		m->front.close(m->front.arg);
	snapshot_fini(vm);
	if (m->has_board)
		board_stop(vm);
	if (!control_runner_stop(m->runner, LEAVE_PATIENCE_MS / 1000)) {
		fprintf(stderr, "ringfence: the host does not answer a command that opens or writes a file; leaving it\n");
		_exit(STATUS_ERROR);
	}
	control_fini(m->control);
	free(m->conf);
	if (m->has_events)
		event_fini(vm);		/* after it nobody posts to the others */
	prompt_fini(m->prompt);
	control_runner_fini(m->runner);
	input_fini(vm->input);		/* these two cancel timers, so the chips' must not be gone yet */
	display_fini(vm->display);
	if (m->has_board)
		board_fini(vm);
	audio_fini(vm->audio);
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

static bool restored(struct machine *m)
{
	struct vm *vm = &m->vm;
	enum snapshot_clock clock = m->opt->clock_host ? SNAPSHOT_HOST : SNAPSHOT_FROZEN;
	char err[sizeof(vm->error)];
	/* Once the guest goes on, its disks are not those of that memory any more: never twice. */
	if (!m->opt->restore || (snapshot_restore(vm, m->opt->restore, clock, err, sizeof(err)) &&
				 (!vm->kept || snap_resumed(vm->kept, err, sizeof(err)))))
		return true;
	snprintf(vm->error, sizeof(vm->error), "%s", err);
	vm_request_stop(vm, VM_ERROR);
	return false;
}

static void *vcpu_main(void *arg)
{
	struct machine *m = arg;
	struct vm *vm = &m->vm;
	u64 one = 1;
	vcpu_reset(vm->vcpu);
	if (vm->board_reset)
		vm->board_reset(vm);
	loader_load(vm, m->loader);
	if (restored(m))
		vcpu_run(vm->vcpu);
	snapshot_vcpu_ended(vm);
	while (write(m->ended, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

bool machine_block_signals(struct machine *m)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	sigaddset(&set, SIGWINCH);
	signal(SIGPIPE, SIG_IGN);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		return false;
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	m->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return m->signals >= 0 && m->ended >= 0;
}

static void front_signal(struct machine *m, int sig)
{
	if (m->front.signal)
		m->front.signal(m->front.arg, sig);
}

static void signal_taken(struct machine *m, int sig)
{
	switch (sig) {
	case SIGTSTP:
		front_signal(m, sig);
		tty_leave();
		kill(getpid(), SIGSTOP);
		break;
	case SIGCONT:
		if (uses_stdio(m->opt) && m->vm.stop == VM_RUNNING)
			tty_enter();
		front_signal(m, sig);
		break;
	case SIGWINCH:
		front_signal(m, sig);
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

static void *wait_main(void *arg)
{
	struct machine *m = arg;
	machine_wait(m);
	m->front.stop(m->front.arg);
	return NULL;
}

/* A front end has the main thread, as window systems want it, and another one waits for signals and the end. */
static void run_front(struct machine *m)
{
	pthread_t waiter;
	if (pthread_create(&waiter, NULL, wait_main, m)) {
		machine_wait(m);
		return;
	}
	m->front.run(m->front.arg);
	pthread_join(waiter, NULL);
}

bool machine_run(struct machine *m)
{
	pthread_attr_t attr;
	if (uses_stdio(m->opt))
		tty_enter();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK_BYTES);
	int failed = pthread_create(&m->vcpu_thread, &attr, vcpu_main, m);
	pthread_attr_destroy(&attr);
	if (failed) {
		tty_leave();
		snprintf(m->err, sizeof(m->err), "cannot start a thread: %s", strerror(failed));
		return false;
	}
	pthread_setname_np(m->vcpu_thread, "vcpu");
	if (m->front.run)
		run_front(m);
	else
		machine_wait(m);
	pthread_join(m->vcpu_thread, NULL);
	tty_leave();
	return true;
}

int machine_status(const struct machine *m)
{
	const struct vm *vm = &m->vm;
	if (vm->stop == VM_ERROR) {
		fprintf(stderr, "ringfence: %s\n", vm->error);
		return STATUS_ERROR;
	}
	return vm->stop == VM_DEBUG_EXIT ? vm->exit_status : STATUS_OK;
}
