/*
 * tty.c - raw mode and the Ctrl-A commands.
 *
 * A process has one standard input, and a signal handler gets no argument: so this file keeps the saved mode in the one
 * file-scope variable of the user interface. Output processing stays on, for the program's own messages.
 */
#include "ui/tty.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct {
	struct termios before;
	volatile sig_atomic_t raw;
	const char *volatile sends;
} terminal;

void tty_enter(void)
{
	if (terminal.raw || !isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &terminal.before))
		return;
	struct termios t = terminal.before;
	cfmakeraw(&t);
	t.c_oflag |= OPOST;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	terminal.raw = 1;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &t))
		terminal.raw = 0;
}

void tty_leave(void)
{
	int keep = errno;
	const char *text = terminal.sends;
	terminal.sends = NULL;
	if (text && write(STDOUT_FILENO, text, strlen(text)) < 0)
		keep = errno;
	if (terminal.raw) {
		terminal.raw = 0;
		while (tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before) && errno == EINTR)
			;
	}
	errno = keep;
}

void tty_leave_sends(const char *text)
{
	terminal.sends = text;
}

static void crashed(int sig)
{
	tty_leave();
	pthread_kill(pthread_self(), sig);	/* SA_RESETHAND: pending until we return, then with the default action */
}

void tty_catch_crashes(void)
{
	static const int fatal[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU };
	struct sigaction sa = { .sa_handler = crashed, .sa_flags = (int)SA_RESETHAND | SA_ONSTACK };
	sigemptyset(&sa.sa_mask);
	for (u32 i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &sa, NULL);
	atexit(tty_leave);
}

enum { CTRL_A = 1 };

static void command(struct tty_keys *k, u8 key)
{
	switch (key) {
	case 'x': case 'X':
		k->leave(k->arg);
		break;
	case 'h': case 'H': case '?':
		k->say(k->arg, "\nCtrl-A X  leave the machine at once\nCtrl-A C  prompt, and back to the guest\nCtrl-A H  this help\n"
			"Ctrl-A Ctrl-A  send Ctrl-A to the guest\n");
		break;
	case 'c': case 'C':
		if (k->in_prompt)
			k->say(k->arg, "\n");
		else if (k->prompt_open)
			k->prompt_open(k->arg);
		else
			k->say(k->arg, "\nThis Ringfence was built without libjansson: it has no prompt.\n");
		k->in_prompt = !k->in_prompt && k->prompt_open;
		break;
	default:
		break;
	}
}

size_t tty_keys(struct tty_keys *k, u8 *buf, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (!k->prefix && buf[i] == CTRL_A) {
			k->prefix = true;
		} else if (k->prefix && buf[i] != CTRL_A) {
			k->prefix = false;
			command(k, buf[i]);
		} else {
			k->prefix = false;
			if (k->in_prompt)
				k->in_prompt = k->prompt_typed(k->arg, buf + i, 1);
			else
				buf[n++] = buf[i];
		}
	}
	return n;
}
