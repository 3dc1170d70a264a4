/*
 * machine.h - a machine as the command line describes it: built, run on its threads, taken apart. Main thread.
 */
#ifndef RF_MACHINE_H
#define RF_MACHINE_H
#include <pthread.h>

#include "monitor/vm.h"
#include "ui/cli.h"
#include "ui/front.h"
#include "ui/tty.h"

struct control;
struct control_runner;
struct cpu_model;
struct loader;
struct prompt;
enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_USAGE = 2 };

struct machine {
	struct vm vm;
	const struct cli_run *opt;
	struct loader *loader;
	struct front front;	/* who shows the machine; all NULL: nobody */
	struct control *control;	/* NULL: no socket */
	struct control_runner *runner;
	struct prompt *prompt;	/* NULL: none */
	struct tty_keys keys;
	pthread_t vcpu_thread;
	char *conf;		/* the options, for snapshots */
	int ended;		/* eventfd: the vCPU thread is done */
	int signals;		/* signalfd */
	int killed_by;		/* a signal that asked us to leave, or 0 */
	bool has_mem, has_bus, has_clock, has_events, has_board;
	char err[512];
};

/* Those signals that we wait for; before the first thread starts, so every thread has them blocked. False: errno says why. */
bool machine_block_signals(struct machine *m);
/* False with a sentence in m->err; what was built until then is for machine_fini(). */
bool machine_init(struct machine *m, const struct cpu_model *model);
/* Until guest or user end it. False with a sentence in m->err: it did not start. */
bool machine_run(struct machine *m);
/* Exit status of a machine that has run; says on stderr what went wrong. */
int  machine_status(const struct machine *m);
void machine_fini(struct machine *m);
#endif
