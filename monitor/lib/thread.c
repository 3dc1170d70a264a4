/*
 * thread.c - starting threads.
 */
#define _GNU_SOURCE
#include "monitor/lib/thread.h"
#include <signal.h>

int thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg, const char *name)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int e = pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!e && name)
		pthread_setname_np(*thread, name);
	return e;
}
