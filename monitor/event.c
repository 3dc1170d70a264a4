/*
 * event.c - the event thread: one poll() on the watched files, an eventfd, and a timerfd for the next timer's deadline.
 *
 * What crosses threads, and how:
 *  - `deadline` and `alarm` are under `deadline_lock`. The vCPU thread arms the timerfd itself, which wakes nobody, and only to make it
 *    earlier: one that goes off too early is armed anew by the event thread. A due deadline is taken (it becomes ~0) and turns into one
 *    vcpu_kick(); the vCPU thread runs the timers and sets the next one.
 *  - watches and the list of posted calls are under `lock`. `ready` runs without the lock; `calling` names the watch whose `ready`
 *    is running, so that event_unwatch() can wait for its end. Dead watches are freed by the event thread only, between polls.
 *
 * The loop must never block elsewhere than in poll(): a late kick is a late timer interrupt.
 */
#define _GNU_SOURCE
#include "monitor/event.h"
#include "monitor/clock.h"
#include "monitor/lib/thread.h"
#include "monitor/vcpu.h"
#include "monitor/vm.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NEVER (~0ull)
#define NAP_NS 300000	/* the alarm stands so far behind the end of a sleep: an idle guest handles its tick and sleeps again meanwhile */
enum { FD_WAKE, FD_TIMER, FIXED_FDS };	/* places in event_loop.fds */

struct watch {
	int fd;
	short mask;		/* 0: not polled at all, not even for hang-up */
	bool dead;
	void (*ready)(void *arg, short revents);
	void *arg;
	struct watch *next;
};

struct post {
	void (*fn)(void *arg);
	void *arg;
	struct post *next;
};

struct event_loop {
	struct vm *vm;
	pthread_t thread;
	int wakefd;
	_Atomic bool quit;
	_Atomic bool wake_pending;	/* wakefd was written and not yet read */

	pthread_mutex_t deadline_lock;
	u64 deadline;			/* guest ns, or NEVER */
	u64 alarm;			/* when the timerfd goes off: guest ns, or NEVER; not after `deadline`, if there is one */
	int timerfd;

	pthread_mutex_t lock;
	pthread_cond_t called;		/* `calling` changed */
	struct watch *watches, *calling;
	struct post *posts, **posts_end;
	_Atomic bool posted;		/* posts is not empty: spares event_run_posted() the lock */

	struct pollfd *fds;		/* event thread's own: fds[FIXED_FDS + i] belongs to polled[i] */
	struct watch **polled;
	size_t capacity;
};

static void wake(struct event_loop *l)
{
	u64 one = 1;
	if (!atomic_exchange(&l->wake_pending, true) && write(l->wakefd, &one, sizeof(one)) < 0)
		bug_on(errno != EAGAIN, "eventfd: %s", strerror(errno));
}

/* --- the event thread --- */

/* Room for `count` watches beside the fixed ones. When memory is short the newest watches wait for it. */
static void reserve(struct event_loop *l, size_t count)
{
	if (count <= l->capacity)
		return;
	struct pollfd *fds = realloc(l->fds, (count + FIXED_FDS) * sizeof(*fds));
	if (fds)
		l->fds = fds;
	struct watch **polled = realloc(l->polled, count * sizeof(*polled));
	if (polled)
		l->polled = polled;
	if (fds && polled)
		l->capacity = count;
}

/* Frees dead watches and lists the live ones in l->fds; returns how many. With the lock held. */
static size_t collect(struct event_loop *l)
{
	size_t count = 0, n = 0;
	for (struct watch **p = &l->watches, *w; (w = *p);) {
		if (w->dead) {
			*p = w->next;
			free(w);
		} else {
			count++;
			p = &w->next;
		}
	}
	reserve(l, count);
	for (struct watch *w = l->watches; w && n < l->capacity; w = w->next) {
		if (!w->mask)
			continue;
		l->fds[FIXED_FDS + n] = (struct pollfd){ .fd = w->fd, .events = w->mask };
		l->polled[n++] = w;
	}
	return n;
}

static void call_ready(struct event_loop *l, size_t n)
{
	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < n; i++) {
		struct watch *w = l->polled[i];
		short revents = l->fds[FIXED_FDS + i].revents;
		if (!revents || w->dead || !w->mask)
			continue;
		l->calling = w;
		pthread_mutex_unlock(&l->lock);
		w->ready(w->arg, revents);
		pthread_mutex_lock(&l->lock);
		l->calling = NULL;
		pthread_cond_broadcast(&l->called);
	}
	pthread_mutex_unlock(&l->lock);
}

/* With deadline_lock held. */
static void arm(struct event_loop *l, u64 alarm)
{
	u64 now = clock_now(l->vm), ns = alarm > now ? alarm - now : 1;
	struct itimerspec t = { .it_value = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) } };
	l->alarm = alarm;
	bug_on(timerfd_settime(l->timerfd, 0, &t, NULL), "timerfd: %s", strerror(errno));
}

/* Kicks the vCPU if the deadline has come; guest time may stand still, then it has not. */
static void timer_fired(struct event_loop *l)
{
	u64 count;
	if (read(l->timerfd, &count, sizeof(count)) < 0)
		bug_on(errno != EAGAIN, "timerfd: %s", strerror(errno));	/* EAGAIN: set anew meanwhile */
	pthread_mutex_lock(&l->deadline_lock);
	bool due = l->deadline != NEVER && clock_now(l->vm) >= l->deadline;
	l->alarm = NEVER;
	if (due)
		l->deadline = NEVER;
	else if (l->deadline != NEVER)
		arm(l, l->deadline);
	pthread_mutex_unlock(&l->deadline_lock);
	if (due)
		vcpu_kick(l->vm->vcpu);
}

static void woken(struct event_loop *l)
{
	u64 count;
	if (read(l->wakefd, &count, sizeof(count)) < 0)
		bug_on(errno != EAGAIN, "eventfd: %s", strerror(errno));
	l->wake_pending = false;	/* after the read: a wake() between them needs no write, we look at everything next */
}

static void *event_thread(void *arg)
{
	struct event_loop *l = arg;
	while (!l->quit) {
		pthread_mutex_lock(&l->lock);
		size_t n = collect(l);
		pthread_mutex_unlock(&l->lock);
		int r = poll(l->fds, FIXED_FDS + n, -1);
		bug_on(r < 0 && errno != EINTR && errno != ENOMEM, "poll: %s", strerror(errno));
		if (r <= 0)
			continue;
		if (l->fds[FD_TIMER].revents)
			timer_fired(l);
		if (l->fds[FD_WAKE].revents)
			woken(l);
		call_ready(l, n);
	}
	return NULL;
}

/* --- for everybody --- */

static void loop_free(struct event_loop *l)
{
	if (l->wakefd >= 0)
		close(l->wakefd);
	if (l->timerfd >= 0)
		close(l->timerfd);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->deadline_lock);
	pthread_cond_destroy(&l->called);
	free(l->fds);
	free(l->polled);
	free(l);
}

bool event_init(struct vm *vm, char *err, size_t errsize)
{
	struct event_loop *l = calloc(1, sizeof(*l));
	if (!l || !(l->fds = calloc(FIXED_FDS, sizeof(*l->fds)))) {
		free(l);
		snprintf(err, errsize, "out of memory for the event loop");
		return false;
	}
	*l = (struct event_loop){ .vm = vm, .fds = l->fds, .deadline = NEVER, .alarm = NEVER, .posts_end = &l->posts };
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->deadline_lock, NULL);
	pthread_cond_init(&l->called, NULL);
	l->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	l->fds[FD_WAKE] = (struct pollfd){ .fd = l->wakefd, .events = POLLIN };
	l->fds[FD_TIMER] = (struct pollfd){ .fd = l->timerfd, .events = POLLIN };
	int e = l->wakefd < 0 || l->timerfd < 0 ? errno : thread_start(&l->thread, event_thread, l, NULL);
	if (e) {
		snprintf(err, errsize, "cannot start the event thread: %s", strerror(e));
		loop_free(l);
		return false;
	}
	vm->events = l;
	return true;
}

void event_fini(struct vm *vm)
{
	struct event_loop *l = vm->events;
	if (!l)
		return;
	l->quit = true;
	wake(l);
	pthread_join(l->thread, NULL);
	for (struct watch *w = l->watches, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	for (struct post *p = l->posts, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	loop_free(l);
	vm->events = NULL;
}

struct watch *event_watch(struct vm *vm, int fd, short poll_events, void (*ready)(void *arg, short revents), void *arg)
{
	struct event_loop *l = vm->events;
	struct watch *w = malloc(sizeof(*w));
	if (!w)
		return NULL;
	pthread_mutex_lock(&l->lock);
	*w = (struct watch){ .fd = fd, .mask = poll_events, .ready = ready, .arg = arg, .next = l->watches };
	l->watches = w;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	return w;
}

void event_unwatch(struct vm *vm, struct watch *w)
{
	struct event_loop *l = vm->events;
	if (!w || !l)	/* event_fini() ends all watches */
		return;
	pthread_mutex_lock(&l->lock);
	w->dead = true;
	if (!pthread_equal(pthread_self(), l->thread))
		while (l->calling == w)
			pthread_cond_wait(&l->called, &l->lock);
	pthread_mutex_unlock(&l->lock);
	wake(l);
}

void event_set_mask(struct vm *vm, struct watch *w, short poll_events)
{
	struct event_loop *l = vm->events;
	pthread_mutex_lock(&l->lock);
	bool changed = w->mask != poll_events;
	w->mask = poll_events;
	pthread_mutex_unlock(&l->lock);
	if (changed && !pthread_equal(pthread_self(), l->thread))
		wake(l);
}

bool event_post(struct vm *vm, void (*fn)(void *arg), void *arg)
{
	struct event_loop *l = vm->events;
	struct post *p = malloc(sizeof(*p));
	if (!p)
		return false;
	*p = (struct post){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&l->lock);
	*l->posts_end = p;
	l->posts_end = &p->next;
	l->posted = true;
	pthread_mutex_unlock(&l->lock);
	if (vm->vcpu)
		vcpu_kick(vm->vcpu);
	return true;
}

void event_run_posted(struct vm *vm)
{
	struct event_loop *l = vm->events;
	if (!l->posted)
		return;
	pthread_mutex_lock(&l->lock);
	struct post *p = l->posts;
	l->posts = NULL;
	l->posts_end = &l->posts;
	l->posted = false;
	pthread_mutex_unlock(&l->lock);
	while (p) {
		struct post *next = p->next;
		p->fn(p->arg);
		free(p);
		p = next;
	}
}

void event_set_deadline(struct vm *vm, u64 deadline)
{
	struct event_loop *l = vm->events;
	pthread_mutex_lock(&l->deadline_lock);
	l->deadline = deadline;
	if (deadline < l->alarm)
		arm(l, deadline);
	pthread_mutex_unlock(&l->deadline_lock);
}

void event_nap(struct vm *vm, u64 until)
{
	struct event_loop *l = vm->events;
	pthread_mutex_lock(&l->deadline_lock);
	l->deadline = NEVER;
	if (until != NEVER && l->alarm <= until)
		arm(l, until + NAP_NS);
	pthread_mutex_unlock(&l->deadline_lock);
}
