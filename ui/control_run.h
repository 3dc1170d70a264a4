/*
 * control_run.h - carries a verb out: its steps on the vCPU thread, those that wait for the host's files on a thread of their own.
 */
#ifndef RF_CONTROL_RUN_H
#define RF_CONTROL_RUN_H
#include "monitor/lib/types.h"

struct vm;
struct control_call;
struct control_verb;
struct control_runner;

struct control_runner *control_runner_init(struct vm *vm);	/* NULL: out of memory */
/* After the vCPU thread's end, before event_fini() and before calls are freed: no step runs any more, and none will. NULL is fine.
 * False: a step still waits for the host after `patience_s` seconds; only the process's end helps. */
bool control_runner_stop(struct control_runner *r, int patience_s);
void control_runner_fini(struct control_runner *r);	/* when nobody calls control_run() any more */
/*
 * Any thread. `c` has its arguments and stays where it is until done() is called, on the thread of the last step; never when the machine
 * ends before. Who owns it then calls control_call_fini(). False when out of memory: nothing happens.
 */
bool control_run(struct control_runner *r, struct control_call *c, const struct control_verb *verb,
		 void (*done)(struct control_call *c, bool ok, void *arg), void *arg);
/* Frees the result and what was left between two steps; not the arguments. */
void control_call_fini(struct control_call *c);
#endif
