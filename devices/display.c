/*
 * display.c - the frame between the chip that makes the picture and the viewers: its lock, when it is drawn, who is told.
 *
 * `dirty`, the timer and the source belong to the vCPU thread. A drawing is due at once if the last one is DISPLAY_FRAME_NS ago, else
 * when it will be; nobody watching, nothing is drawn until somebody asks by display_update() or attaches.
 */
#include "devices/display.h"
#include "monitor/clock.h"
#include "monitor/event.h"
#include "monitor/vm.h"
#include <pthread.h>
#include <stdlib.h>

struct display {
	struct vm *vm;
	struct display_source source;
	struct timer timer;
	u64 drawn_at;			/* guest ns */
	bool dirty;			/* something visible changed since the last drawing */
	bool all;			/* the next drawing is of everything */
	pthread_mutex_t frame_lock;
	struct display_frame frame;
	pthread_mutex_t viewers_lock;	/* held while viewers are told, so that one that has detached is not called */
	struct display_viewer *viewers;
};

static void draw(struct display *d)
{
	if (!d->dirty || !d->source.draw)
		return;
	pthread_mutex_lock(&d->frame_lock);
	u64 before = d->frame.seq++;
	bool all = d->all;
	d->dirty = d->all = false;
	d->drawn_at = clock_now(d->vm);
	d->source.draw(d->source.chip, d, &d->frame, all);
	bool changed = false;
	for (u32 y = 0; y < d->frame.height && !changed; y++)
		changed = d->frame.line_seq[y] == d->frame.seq;
	if (!changed)
		d->frame.seq = before;
	pthread_mutex_unlock(&d->frame_lock);
	if (!changed)
		return;
	pthread_mutex_lock(&d->viewers_lock);
	for (struct display_viewer *v = d->viewers; v; v = v->next)
		v->changed(v->arg);
	pthread_mutex_unlock(&d->viewers_lock);
}

static void frame_due(void *arg, u64 now)
{
	draw(arg);
}

static bool watched(struct display *d)
{
	return __atomic_load_n(&d->viewers, __ATOMIC_RELAXED);
}

static void schedule(struct display *d)
{
	if (d->dirty && watched(d) && d->timer.deadline == ~0ull) {
		u64 now = clock_now(d->vm), due = d->drawn_at + DISPLAY_FRAME_NS;
		timer_arm(&d->timer, due > now ? due : now);
	}
}

void display_changed(struct display *d)
{
	if (d->dirty)
		return;
	d->dirty = true;
	schedule(d);
}

void display_update(struct display *d)
{
	timer_cancel(&d->timer);
	draw(d);
}

/* On the vCPU thread, for a viewer that came. */
static void viewer_came(void *arg)
{
	schedule(arg);
}

void display_attach(struct display *d, struct display_viewer *v)
{
	pthread_mutex_lock(&d->viewers_lock);
	v->next = d->viewers;
	__atomic_store_n(&d->viewers, v, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&d->viewers_lock);
	event_post(d->vm, viewer_came, d);
}

void display_detach(struct display *d, struct display_viewer *v)
{
	pthread_mutex_lock(&d->viewers_lock);
	struct display_viewer **at = &d->viewers;
	while (*at && *at != v)
		at = &(*at)->next;
	if (*at)
		__atomic_store_n(at, v->next, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&d->viewers_lock);
}

const struct display_frame *display_lock(struct display *d)
{
	pthread_mutex_lock(&d->frame_lock);
	return &d->frame;
}

void display_unlock(struct display *d)
{
	pthread_mutex_unlock(&d->frame_lock);
}

/* --- inside draw() --- */

bool display_size(struct display_frame *f, u32 width, u32 height)
{
	if (width > DISPLAY_MAX_WIDTH)
		width = DISPLAY_MAX_WIDTH;
	if (height > DISPLAY_MAX_HEIGHT)
		height = DISPLAY_MAX_HEIGHT;
	if (f->width == width && f->height == height)
		return false;
	f->width = width;
	f->height = height;
	for (u32 y = 0; y < height; y++)
		display_line_changed(f, y);
	return true;
}

void display_line_changed(struct display_frame *f, u32 line)
{
	f->line_seq[line] = f->seq;
}

/* --- life --- */

void display_source(struct display *d, const struct display_source *source)
{
	d->source = *source;
	d->all = true;
	display_changed(d);
}

/* The pixels' pages cost nothing until a frame of that size is drawn. */
struct display *display_init(struct vm *vm)
{
	struct display *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->frame.pixels = calloc((size_t)DISPLAY_MAX_WIDTH * DISPLAY_MAX_HEIGHT, sizeof(u32));
	if (!d->frame.pixels) {
		free(d);
		return NULL;
	}
	d->vm = vm;
	d->frame.cursor = -1;
	pthread_mutex_init(&d->frame_lock, NULL);
	pthread_mutex_init(&d->viewers_lock, NULL);
	timer_init(vm, &d->timer, frame_due, d);
	return d;
}

void display_fini(struct display *d)
{
	if (!d)
		return;
	timer_cancel(&d->timer);
	pthread_mutex_destroy(&d->frame_lock);
	pthread_mutex_destroy(&d->viewers_lock);
	free(d->frame.pixels);
	free(d);
}
