/*
 * event.h - the event thread: waits for host file descriptors and the next timer, and hands what happened to the vCPU thread.
 *
 * A watcher's `ready` runs on the event thread and must not touch chips. event_post() queues a call for the vCPU thread, which
 * runs it at a block boundary (vcpu_kick() is done by the loop).
 */
#ifndef RF_EVENT_H
#define RF_EVENT_H
#include "monitor/lib/types.h"

struct vm;
struct watch;
bool event_init(struct vm *vm, char *err, size_t errsize);	/* starts the thread */
void event_fini(struct vm *vm);					/* stops it */
struct watch *event_watch(struct vm *vm, int fd, short poll_events, void (*ready)(void *arg, short revents), void *arg);
void event_unwatch(struct vm *vm, struct watch *w);		/* when it returns `ready` is not running and will not run */
void event_set_mask(struct vm *vm, struct watch *w, short poll_events);
/* Any thread: run fn(arg) on the vCPU thread. Order is kept. False only when out of memory. */
bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg);
void event_run_posted(struct vm *vm);				/* vCPU thread */
/* vCPU thread, after timers changed: the loop's next wake-up (guest ns). */
void event_set_deadline(struct vm *vm, u64 deadline);
/* vCPU thread, before it sleeps until then (guest ns) and wakes itself: no deadline, and the loop need not wake up for an old one. */
void event_nap(struct vm *vm, u64 until);
#endif
