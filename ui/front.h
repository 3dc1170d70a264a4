/*
 * front.h - a front end: who shows the machine and takes keys and mouse (a window, the terminal).
 *
 * run() has the main thread, as window systems want it. When it returns before stop() was called the display has gone away; the
 * machine goes on without.
 */
#ifndef RF_FRONT_H
#define RF_FRONT_H
#include "monitor/lib/types.h"

struct vm;
struct tty_keys;
struct front {
	void (*run)(void *arg);			/* main thread: until stop() */
	void (*stop)(void *arg);		/* any thread */
	void (*signal)(void *arg, int sig);	/* any thread; SIGTSTP (we are about to stop), SIGCONT, SIGWINCH; may be NULL */
	void (*close)(void *arg);		/* main thread, after the machine has ended, before it is taken apart */
	void *arg;
};

/* What a user can do to the machine from a window; any thread. NULL: this machine cannot. False with a sentence in err. */
struct front_actions {
	bool (*power_button)(struct vm *vm, char *err, size_t errsize);
	bool (*eject)(struct vm *vm, char *err, size_t errsize);			/* the first drive with a medium in it */
	bool (*insert)(struct vm *vm, const char *path, char *err, size_t errsize);	/* into the drive for this kind of file */
};

/* Each takes a machine whose display and input are there. False with a sentence in err: no such display, or built without it. */
bool sdl_open(struct front *f, struct vm *vm, const struct front_actions *actions, char *err, size_t errsize);
/* Are standard input and output a terminal that can show the text display? */
bool text_possible(void);
/* keys: where what is typed for Ringfence itself goes; it has a prompt or not. */
bool text_open(struct front *f, struct vm *vm, struct tty_keys *keys, char *err, size_t errsize);
#endif
