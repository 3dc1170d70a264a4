/*
 * tty.h - the terminal that the user sits at: raw while the guest has it, as it was at every other moment.
 *
 * Raw mode holds only between tty_enter() and tty_leave(), and only if standard input is a terminal and we are its
 * foreground job. The functions may be called at any time, in any order and from signal handlers.
 */
#ifndef RF_TTY_H
#define RF_TTY_H
#include "monitor/lib/types.h"

void tty_enter(void);
/* Async-signal-safe: the engine's handler of fatal signals calls it as well. */
void tty_leave(void);
/* What tty_leave() sends to the terminal, once, besides: a full-screen display's way back. NULL: nothing. Not copied. */
void tty_leave_sends(const char *text);
/* Fatal signals (SIGSEGV, SIGABRT ...) put the terminal back and then do what they did before. To be called before the
 * engine installs its handlers, which pass on what is not theirs. */
void tty_catch_crashes(void);

/* What the user types goes through this: Ctrl-A begins a command to Ringfence. Zero-initialise. */
struct tty_keys {
	bool prefix;				/* Ctrl-A was the last key */
	bool in_prompt;				/* keys go to the prompt */
	void (*leave)(void *arg);		/* Ctrl-A X */
	void (*prompt_open)(void *arg);		/* Ctrl-A C; NULL: there is no prompt */
	bool (*prompt_typed)(void *arg, const u8 *keys, size_t n);	/* false: the user has left it */
	void (*say)(void *arg, const char *text);	/* a message to the user */
	void *arg;
};
/* Takes the commands out of buf, in place; returns how many bytes are left for the guest (at most len): none while the prompt
 * is open. */
size_t tty_keys(struct tty_keys *k, u8 *buf, size_t len);
#endif
