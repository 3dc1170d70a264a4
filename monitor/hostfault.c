/*
 * hostfault.c - signal handlers of the vCPU thread. See hostfault.h.
 *
 * A signal handler has no argument of its own, so which translator the thread runs is kept in a thread-local pointer, and the
 * handlers of before in a table that is filled once: the only file-scope data of the monitor.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "monitor/hostfault.h"
#include "monitor/lib/types.h"
#include "translator/translator.h"

static const int signals[] = { SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP };

static __thread struct translator *running;
static __thread void *alt_stack;
static __thread bool (*touched_fn)(void *arg, const void *addr);
static __thread void *touched_arg;
static struct sigaction before[NSIG];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_signal(int sig, siginfo_t *info, void *ucontext)
{
	if (sig == SIGSEGV && touched_fn && info->si_code == SEGV_ACCERR && touched_fn(touched_arg, info->si_addr))
		return;
	if (running && tr_recover(running, ucontext))
		return;
	sigaction(sig, &before[sig], NULL);	/* not ours: it happens again, to the handler of before */
	if (info->si_code <= 0)			/* or it was sent to us */
		raise(sig);
}

static void install(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	for (unsigned k = 0; k < ARRAY_SIZE(signals); k++)
		sigaction(signals[k], &sa, &before[signals[k]]);
}

void hostfault_enter(struct translator *tr)
{
	stack_t st = { .ss_size = 64 * 1024 };

	alt_stack = st.ss_sp = malloc(st.ss_size);
	bug_on(!alt_stack, "out of memory for a signal stack");
	sigaltstack(&st, NULL);
	running = tr;
	pthread_once(&once, install);
}

void hostfault_leave(void)
{
	stack_t off = { .ss_flags = SS_DISABLE };

	running = NULL;
	sigaltstack(&off, NULL);
	free(alt_stack);
}

void hostfault_memory(bool (*touched)(void *arg, const void *addr), void *arg)
{
	struct sigaction now;

	if (touched)
		pthread_once(&once, install);
	if (touched && !sigaction(SIGSEGV, NULL, &now) && now.sa_sigaction != on_signal)	/* somebody else has come after us */
		install();
	touched_fn = touched;
	touched_arg = arg;
}
