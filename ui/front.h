/*
 * front.h - a front end: who shows the machine and takes keys and mouse (a window, the terminal).
 *
 * run() has the main thread, as window systems want it. When it returns before stop() was called the display has gone away; the
 * machine goes on without.
 */
#ifndef RF_FRONT_H
#define RF_FRONT_H

struct front {
	void (*run)(void *arg);			/* main thread: until stop() */
	void (*stop)(void *arg);		/* any thread */
	void (*signal)(void *arg, int sig);	/* any thread; SIGTSTP (we are about to stop), SIGCONT, SIGWINCH; may be NULL */
	void *arg;
};
#endif
