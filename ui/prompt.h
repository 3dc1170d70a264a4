/*
 * prompt.h - the prompt in the terminal, behind Ctrl-A C: the verbs of control.def, typed.
 *
 * prompt_typed() takes the keys on the event thread; a verb runs on other threads (control_run.h), and what is typed meanwhile waits. The
 * guest goes on, and what it writes to the terminal appears in between; 'stop' gives peace.
 */
#ifndef RF_PROMPT_H
#define RF_PROMPT_H
#include "monitor/lib/types.h"

struct prompt;
struct control_runner;
struct prompt *prompt_init(struct control_runner *runner);	/* NULL: out of memory */
void prompt_fini(struct prompt *p);		/* after event_fini(); NULL is fine */
void prompt_open(struct prompt *p);		/* shows itself */
/* False when the user has left the prompt with these keys (Ctrl-D, exit). */
bool prompt_typed(struct prompt *p, const u8 *keys, size_t n);
#endif
