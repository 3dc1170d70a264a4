/*
 * blockdev.c - one worker thread for each drive takes requests from a queue, does the host's I/O and hands them back.
 *
 * The worker does one request after the other, so order holds whether they overlap or not, a flush is a barrier by nature, and the
 * image sees one thread. The chip keeps as many in flight as it likes: the queue is a list through the requests themselves.
 *
 * A write, discard or flush that the host refuses stays at the head of the queue with `stalled` set: nothing passes it. The machine
 * is paused then, and the worker tries again when it goes on.
 *
 * Some formats keep their tables in memory until a flush, and some guests (DOS) never flush: what would be lost with this process is
 * flushed when the guest has been quiet for a moment, or was not quiet for long.
 *
 * `lock` guards the queues and flags. The image belongs to the worker while `working`, else to the vCPU thread.
 */
#define _GNU_SOURCE
#include "devices/blockdev.h"
#include "images/image.h"
#include "monitor/event.h"
#include "monitor/lib/thread.h"
#include "monitor/vm.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUIET_SECONDS 1
#define BUSY_SECONDS  5

struct queue { struct blk_req *head, **end; };

struct blockdev {
	struct vm *vm;
	const char *id;
	struct image *image;
	void (*changed)(void *arg);
	void *changed_arg;
	struct blk_stats stats;		/* vCPU thread, as the next one */
	bool locked;

	pthread_t thread;
	bool running;			/* the thread is there: owner's */
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct queue todo, finished;
	bool working, stalled, quit;
	bool posted;			/* deliver() is on its way to the vCPU thread */
	time_t unsettled;		/* worker's: since when something waits for a flush, CLOCK_MONOTONIC seconds; 0: nothing does */
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->end = &q->head;
}

static void queue_put(struct queue *q, struct blk_req *req)
{
	req->next = NULL;
	*q->end = req;
	q->end = &req->next;
}

static struct blk_req *queue_take(struct queue *q)
{
	struct blk_req *req = q->head;
	q->head = req->next;
	if (!q->head)
		q->end = &q->head;
	return req;
}

/* --- the worker --- */

static struct timespec now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t;
}

static int do_request(struct blockdev *b, const struct blk_req *req)
{
	switch (req->op) {
	case BLK_READ: return image_read(b->image, req->offset, req->buf, req->len);
	case BLK_WRITE: return image_write(b->image, req->offset, req->buf, req->len);
	case BLK_FLUSH: return image_flush(b->image);
	case BLK_DISCARD: return image_discard(b->image, req->offset, req->len);
	}
	return EINVAL;
}

static int perform(struct blockdev *b, const struct blk_req *req)
{
	if (!b->image)
		return ENOMEDIUM;
	int error = do_request(b, req);
	if (req->op == BLK_READ || error || !image_write_back(b->image))
		return error;
	time_t second = now().tv_sec + 1;	/* never 0 */
	if (req->op == BLK_FLUSH)
		b->unsettled = 0;
	else if (!b->unsettled)
		b->unsettled = second;
	else if (second - b->unsettled >= BUSY_SECONDS && !image_flush(b->image))
		b->unsettled = 0;
	return 0;
}

/* With the lock held. Keeps it while flushing, as the medium must not change meanwhile. What is refused now, the guest's flush tells. */
static void wait_for_work(struct blockdev *b)
{
	while ((!b->todo.head || b->stalled) && !b->quit) {
		struct timespec end = now();
		end.tv_sec += QUIET_SECONDS;
		if (!b->unsettled || b->stalled)
			pthread_cond_wait(&b->work, &b->lock);
		else if (pthread_cond_clockwait(&b->work, &b->lock, CLOCK_MONOTONIC, &end) == ETIMEDOUT && !b->todo.head && !b->quit) {
			if (b->image)
				image_flush(b->image);
			b->unsettled = 0;
		}
	}
}

/* The host's refusal, not the chip's fault: worth another try. */
static bool host_refused(const struct blk_req *req, int error)
{
	return error && req->op != BLK_READ && error != EINVAL && error != EROFS && error != ENOMEDIUM;
}

static void deliver(void *arg);

/* With the lock held. */
static void finish(struct blockdev *b, struct blk_req *req, int error)
{
	req->error = error;
	queue_put(&b->finished, req);
	if (b->posted || b->quit)
		return;
	b->posted = true;
	while (!event_post(b->vm, deliver, b))	/* out of memory: the request must not be lost */
		usleep(1000);
}

/* With the lock held: the machine cannot go on before `stalled` is set. */
static void pause_machine(struct blockdev *b, const struct blk_req *req, int error)
{
	char why[200];
	snprintf(why, sizeof(why), "%.100s: cannot %s: %s", image_path(b->image), req->op == BLK_FLUSH ? "be made durable" : "be written",
		 strerror(error));
	if (b->quit) {
		fprintf(stderr, "ringfence: %s; what the guest wrote last is lost\n", why);
		return;
	}
	vm_pause(b->vm, error == ENOSPC || error == EDQUOT || error == EFBIG ? VM_PAUSE_NO_SPACE : VM_PAUSE_IO_ERROR, why);
}

static void *worker(void *arg)
{
	struct blockdev *b = arg;
	pthread_mutex_lock(&b->lock);
	for (;;) {
		wait_for_work(b);
		struct blk_req *req = b->todo.head;
		if (!req)
			break;
		b->working = true;
		pthread_mutex_unlock(&b->lock);
		int error = perform(b, req);
		pthread_mutex_lock(&b->lock);
		b->working = false;
		if (host_refused(req, error)) {
			pause_machine(b, req, error);
			b->stalled = !b->quit;
			if (b->stalled) {
				pthread_cond_broadcast(&b->idle);
				continue;
			}
		}
		finish(b, queue_take(&b->todo), error);
		pthread_cond_broadcast(&b->idle);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* --- the vCPU thread --- */

static void count(struct blockdev *b, const struct blk_req *req)
{
	struct blk_stats *s = &b->stats;
	switch (req->op) {
	case BLK_READ: s->reads++; s->read_bytes += req->len; break;
	case BLK_WRITE: s->writes++; s->write_bytes += req->len; break;
	case BLK_FLUSH: s->flushes++; break;
	case BLK_DISCARD: break;
	}
}

static void deliver(void *arg)
{
	struct blockdev *b = arg;
	pthread_mutex_lock(&b->lock);
	struct queue done = b->finished;
	queue_init(&b->finished);
	b->posted = false;
	pthread_mutex_unlock(&b->lock);
	for (struct blk_req *req = done.head, *next; req; req = next) {
		next = req->next;
		if (!req->error)
			count(b, req);
		req->done(req, req->error);
	}
}

void blockdev_submit(struct blockdev *b, struct blk_req *req)
{
	pthread_mutex_lock(&b->lock);
	queue_put(&b->todo, req);
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
}

/* The machine goes on. */
static void retry(void *arg)
{
	struct blockdev *b = arg;
	pthread_mutex_lock(&b->lock);
	b->stalled = false;
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
}

/* A stalled queue is given up: who takes the medium out has been told that it cannot be written. */
static void drain(struct blockdev *b)
{
	pthread_mutex_lock(&b->lock);
	while (b->working || (b->todo.head && !b->stalled))
		pthread_cond_wait(&b->idle, &b->lock);
	while (b->todo.head)
		finish(b, queue_take(&b->todo), ENOMEDIUM);
	b->stalled = false;
	pthread_mutex_unlock(&b->lock);
}

bool blockdev_settle(struct blockdev *b, bool *busy)
{
	pthread_mutex_lock(&b->lock);
	while (b->working || (b->todo.head && !b->stalled))
		pthread_cond_wait(&b->idle, &b->lock);
	bool stalled = b->stalled, done = b->finished.head;
	pthread_mutex_unlock(&b->lock);
	if (done)
		deliver(b);
	*busy |= done;
	return !stalled;
}

void blockdev_give_up(struct blockdev *b)
{
	bool busy = true;
	while (busy) {
		busy = false;
		drain(b);
		blockdev_settle(b, &busy);
	}
}

static void close_image(struct blockdev *b)
{
	int error = b->image ? image_flush(b->image) : 0;
	if (error)
		fprintf(stderr, "ringfence: %s: cannot be made durable: %s\n", image_path(b->image), strerror(error));
	image_close(b->image);
	b->image = NULL;
}

void blockdev_change(struct blockdev *b, struct image *im)
{
	drain(b);
	close_image(b);
	b->image = im;
	if (b->changed)
		b->changed(b->changed_arg);
}

void blockdev_swap(struct blockdev *b, struct image *im)
{
	pthread_mutex_lock(&b->lock);	/* the worker reads the pointer without it, but only with a request, which the queue orders */
	b->image = im;
	pthread_mutex_unlock(&b->lock);
}

struct image *blockdev_image(const struct blockdev *b) { return b->image; }

void blockdev_on_change(struct blockdev *b, void (*changed)(void *arg), void *arg)
{
	b->changed = changed;
	b->changed_arg = arg;
}

/* --- life --- */

static bool start_worker(struct blockdev *b)
{
	b->running = !thread_start(&b->thread, worker, b, "disk");
	return b->running;
}

struct blockdev *blockdev_init(struct vm *vm, const char *id, struct image *im)
{
	struct blockdev *b = calloc(1, sizeof(*b));
	if (!b) {
		image_close(im);
		return NULL;
	}
	*b = (struct blockdev){ .vm = vm, .id = id, .image = im };
	queue_init(&b->todo);
	queue_init(&b->finished);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->work, NULL);
	pthread_cond_init(&b->idle, NULL);
	if (start_worker(b)) {
		vm_on_continue(vm, retry, b);
		return b;
	}
	blockdev_fini(b);
	return NULL;
}

void blockdev_stop(struct blockdev *b)
{
	if (!b || !b->running)
		return;
	pthread_mutex_lock(&b->lock);
	b->quit = true;
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	b->running = false;
}

void blockdev_fini(struct blockdev *b)
{
	if (!b)
		return;
	blockdev_stop(b);
	close_image(b);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->work);
	pthread_cond_destroy(&b->idle);
	free(b);
}

bool blockdev_removable(const struct blockdev *b) { return b->changed != NULL; }
void blockdev_set_locked(struct blockdev *b, bool locked) { b->locked = locked; }
bool blockdev_locked(const struct blockdev *b) { return b->locked; }
bool blockdev_present(const struct blockdev *b) { return b->image != NULL; }
bool blockdev_readonly(const struct blockdev *b) { return b->image && image_readonly(b->image); }
u64 blockdev_size(const struct blockdev *b) { return b->image ? image_size(b->image) : 0; }
const char *blockdev_id(const struct blockdev *b) { return b->id; }
void blockdev_stats(const struct blockdev *b, struct blk_stats *out) { *out = b->stats; }
