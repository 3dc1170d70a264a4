/*
 * control_cmds.h - what can be asked of a running machine, whoever asks: control.def as a table, its arguments, its functions.
 */
#ifndef RF_CONTROL_CMDS_H
#define RF_CONTROL_CMDS_H
#include "monitor/vm.h"

struct json;

struct control_call {
	struct vm *vm;
	const struct json *args;	/* an object, checked; may be NULL */
	struct json *result;		/* the function's; NULL: nothing to tell */
	char err[300];			/* a sentence when it failed */

	/* For the next step: see control_then(). */
	void *kept;
	void (*drop)(void *kept);	/* when there is no next step after all */
	bool (*step)(struct control_call *c);
	bool on_host;

	/* control_run.c's */
	struct control_runner *runner;
	void (*done)(struct control_call *c, bool ok, void *arg);
	void *done_arg;
	struct control_call *queued;
};
struct control_verb {
	const char *name, *args, *help;
	bool (*fn)(struct control_call *c);
};

const struct control_verb *control_verb(u32 i);		/* NULL behind the last */
const struct control_verb *control_find(const char *name);	/* NULL: none */
/* The nearest name, or NULL. */
const char *control_nearest(const char *name);
/* Are these the arguments that the verb takes? False with a sentence in err. */
bool control_check(const struct control_verb *verb, const struct json *args, char *err, size_t errsize);
/* Arguments from the words of a command line, to be freed; NULL with a sentence in err. */
struct json *control_words(const struct control_verb *verb, int count, char *const *words, char *err, size_t errsize);
/* "screendump FILENAME" */
void control_usage(const struct control_verb *verb, char *buf, size_t size);

/*
 * A verb's function runs on the vCPU thread and must not wait for the host. It returns control_then() to go on in another function: on the
 * thread for the host's files, and from there on the vCPU thread again.
 */
enum control_where { CONTROL_ON_VCPU, CONTROL_ON_HOST };
bool control_then(struct control_call *c, enum control_where where, bool (*step)(struct control_call *c));	/* true */

/* Of a checked call. NULL: the optional argument is not there. */
const char *control_arg(const struct control_call *c, const char *name);
bool control_arg_number(const struct control_call *c, const char *name, s64 *n);

/* What query-status calls a machine that is paused for this. */
const char *control_pause_name(enum vm_pause_kind kind);
#endif
