/*
 * hostfault.h - the host signals that translated code can cause: SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP on the vCPU thread.
 *
 * Those that stem from a guest instruction become guest exceptions; all others go on to the handlers that were there before.
 */
#ifndef RF_HOSTFAULT_H
#define RF_HOSTFAULT_H
#include "monitor/lib/types.h"

struct translator;
/* The calling thread runs this translator's code from now on. / No longer. */
void hostfault_enter(struct translator *tr);
void hostfault_leave(void);
/* The calling thread may touch memory that is not accessible yet: `touched` makes it so, and the access happens again. It returns false for
 * an address that is none of its business. NULL: no longer. */
void hostfault_memory(bool (*touched)(void *arg, const void *addr), void *arg);
#endif
