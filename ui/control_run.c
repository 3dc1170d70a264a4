/*
 * control_run.c - the thread for the host's files, and the way from step to step.
 *
 * One thread, started when it is first needed, does one step after the other. `lock` guards the queue.
 */
#define _GNU_SOURCE	/* pthread_timedjoin_np */
#include "ui/control_run.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "monitor/event.h"
#include "ui/control_cmds.h"
#include "ui/json.h"

struct control_runner {
	struct vm *vm;
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_t thread;
	bool started, quit;
	struct control_call *first;
};

static void carry_on(struct control_call *c);

static void *host_main(void *arg)
{
	struct control_runner *r = arg;
	pthread_mutex_lock(&r->lock);
	while (!r->quit) {
		struct control_call *c = r->first;
		if (!c) {
			pthread_cond_wait(&r->work, &r->lock);
			continue;
		}
		r->first = c->queued;
		pthread_mutex_unlock(&r->lock);
		carry_on(c);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static bool queue(struct control_runner *r, struct control_call *c)
{
	struct control_call **end = &r->first;
	pthread_mutex_lock(&r->lock);
	if (!r->started && !r->quit)
		r->started = !pthread_create(&r->thread, NULL, host_main, r);
	bool ok = r->started;
	while (*end)
		end = &(*end)->queued;
	c->queued = NULL;
	if (ok)
		*end = c;
	pthread_cond_signal(&r->work);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

static void vcpu_step(void *arg)
{
	carry_on(arg);
}

static bool hand_over(struct control_call *c)
{
	return c->on_host ? queue(c->runner, c) : event_post(c->vm, vcpu_step, c);
}

static void carry_on(struct control_call *c)
{
	bool (*step)(struct control_call *c) = c->step;
	c->step = NULL;
	bool ok = step(c);
	if (ok && c->step) {
		if (hand_over(c))
			return;
		snprintf(c->err, sizeof(c->err), "out of memory");
		ok = false;
	}
	c->done(c, ok, c->done_arg);
}

bool control_run(struct control_runner *r, struct control_call *c, const struct control_verb *verb,
		 void (*done)(struct control_call *c, bool ok, void *arg), void *arg)
{
	c->vm = r->vm;
	c->runner = r;
	c->step = verb->fn;
	c->on_host = false;
	c->done = done;
	c->done_arg = arg;
	return hand_over(c);
}

void control_call_fini(struct control_call *c)
{
	js_free(c->result);
	if (c->kept)
		c->drop(c->kept);
	c->result = NULL;
	c->kept = NULL;
}

struct control_runner *control_runner_init(struct vm *vm)
{
	struct control_runner *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->vm = vm;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->work, NULL);
	return r;
}

bool control_runner_stop(struct control_runner *r, int patience_s)
{
	struct timespec until;
	if (!r)
		return true;
	pthread_mutex_lock(&r->lock);
	r->quit = true;
	pthread_cond_signal(&r->work);
	pthread_mutex_unlock(&r->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += patience_s;
	if (r->started)
		return !pthread_timedjoin_np(r->thread, NULL, &until);
	return true;
}

void control_runner_fini(struct control_runner *r)
{
	if (!r)
		return;
	pthread_cond_destroy(&r->work);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
