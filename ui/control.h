/*
 * control.h - the control socket: JSON lines in QMP's shape, for 'ringfence ctl' and programs.
 *
 * Served by the event thread; commands run on the vCPU thread. Lives between event_init() and event_fini().
 */
#ifndef RF_CONTROL_H
#define RF_CONTROL_H
#include "monitor/lib/types.h"

struct vm;
struct control;
struct control_runner;

/*
 * Makes NAME.sock in the user's folder (rundir.h). When a machine of that name runs, NAME-2, NAME-3... are taken, unless `name_given`: then
 * that is an error. Sets vm->name. NULL with a sentence in err.
 */
struct control *control_init(struct vm *vm, struct control_runner *runner, const char *name, bool name_given, char *err, size_t errsize);
/* After control_runner_stop(), before event_fini(): tells clients of the end and removes the socket. NULL is fine. */
void control_fini(struct control *c);
#endif
