/*
 * chardev.c - the serial back ends: terminal, file, pseudo-terminal, Unix socket.
 *
 * `lock` guards the queues, `connected`, `fd` and `watch`; host calls that may take time run on the event thread, never under it by
 * the vCPU thread. Lock order: chardev, then the event loop's. Invariant: the watch's mask says what can be done now (update_mask).
 */
#define _GNU_SOURCE
#include "devices/chardev.h"
#include "monitor/event.h"
#include "monitor/vm.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define OUT_SIZE 65536u		/* powers of two */
#define IN_SIZE  4096u
#define CLOSE_MS 1000

enum chardev_kind { CHR_STDIO, CHR_FILE, CHR_PTY, CHR_UNIX };

struct queue {
	u8 *data;
	u32 size, head, count;
};

struct chardev {
	struct vm *vm;
	enum chardev_kind kind;
	struct chardev_stdio stdio;
	void (*event)(void *arg);
	void *event_arg;

	pthread_mutex_t lock;
	struct queue out, in;
	bool connected;		/* somebody takes what we send */
	bool writer_waits;	/* chardev_write() took less than it was given */
	bool typed_out;		/* stdio: end of input */
	bool event_posted;
	int fd;			/* file, pty master, client, standard output; -1 */
	struct watch *watch;	/* of fd */
	int side_fd;		/* unix: the listening socket; pty: inotify on the slave; stdio: standard input; -1 */
	struct watch *side_watch;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];	/* unix: the socket to be removed */
	u8 out_data[OUT_SIZE], in_data[IN_SIZE];
};

/* --- queues --- */

static size_t queue_put(struct queue *q, const u8 *buf, size_t n)
{
	size_t room = q->size - q->count;
	n = n < room ? n : room;
	for (size_t i = 0; i < n; i++)
		q->data[(q->head + q->count + i) & (q->size - 1)] = buf[i];
	q->count += (u32)n;
	return n;
}

/* The longest run of queued bytes that lies in one piece. */
static size_t queue_run(const struct queue *q)
{
	return q->count < q->size - q->head ? q->count : q->size - q->head;
}

static void queue_drop(struct queue *q, size_t n)
{
	q->head = (q->head + (u32)n) & (q->size - 1);
	q->count -= (u32)n;
}

/* --- common --- */

static void run_event(void *arg)
{
	struct chardev *c = arg;
	pthread_mutex_lock(&c->lock);
	c->event_posted = false;
	pthread_mutex_unlock(&c->lock);
	if (c->event)
		c->event(c->event_arg);
}

static void post_event(struct chardev *c)
{
	if (!c->event_posted)
		c->event_posted = event_post(c->vm, run_event, c);
}

static void update_mask(struct chardev *c)
{
	short mask = 0;
	if (c->kind == CHR_STDIO && c->side_watch)
		event_set_mask(c->vm, c->side_watch, c->in.count < c->in.size && !c->typed_out ? POLLIN : 0);
	if (!c->watch)
		return;
	if (c->connected && c->out.count)
		mask |= POLLOUT;
	if (c->connected && (c->kind == CHR_PTY || c->kind == CHR_UNIX) && c->in.count < c->in.size)
		mask |= POLLIN;
	event_set_mask(c->vm, c->watch, mask);
}

static void disconnect(struct chardev *c)
{
	c->connected = false;
	queue_drop(&c->out, c->out.count);
	if (c->kind == CHR_UNIX) {
		event_unwatch(c->vm, c->watch);
		c->watch = NULL;
		close(c->fd);
		c->fd = -1;
		event_set_mask(c->vm, c->side_watch, POLLIN);
	}
	if (c->writer_waits)
		post_event(c);
}

static ssize_t host_write(struct chardev *c, const void *buf, size_t n)
{
	ssize_t sent = send(c->fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent >= 0 || errno != ENOTSOCK)
		return sent;
	return write(c->fd, buf, n < PIPE_BUF ? n : PIPE_BUF);	/* what a pipe that polls writable takes at once */
}

/* Sends until the queue is empty or the host takes no more. False when the other side is gone. */
static bool send_queued(struct chardev *c)
{
	while (c->out.count) {
		ssize_t n = host_write(c, c->out.data + c->out.head, queue_run(&c->out));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			return false;
		queue_drop(&c->out, (size_t)n);
	}
	if (c->writer_waits && c->out.count < c->out.size / 2)
		post_event(c);
	return true;
}

static bool receive_some(struct chardev *c)
{
	u8 buf[512];
	size_t room = c->in.size - c->in.count;
	int fd = c->kind == CHR_STDIO ? c->side_fd : c->fd;
	ssize_t n = read(fd, buf, room < sizeof(buf) ? room : sizeof(buf));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return room == 0;
	size_t left = c->stdio.filter ? c->stdio.filter(c->stdio.arg, buf, (size_t)n) : (size_t)n;
	if (queue_put(&c->in, buf, left))
		post_event(c);
	return true;
}

/* A file that takes no more (a full disk) or a terminal that is gone must not stop the guest: from then on output is dropped. */
static void fd_ready(void *arg, short revents)
{
	struct chardev *c = arg;
	bool ok = true;
	pthread_mutex_lock(&c->lock);
	if (c->connected) {
		if (revents & POLLOUT)
			ok = send_queued(c);
		if (ok && (revents & POLLIN))
			ok = receive_some(c);
		else if (ok && (revents & (POLLHUP | POLLERR | POLLNVAL)))
			ok = false;
		if (!ok)
			disconnect(c);
		update_mask(c);
	}
	pthread_mutex_unlock(&c->lock);
}

/* --- the vCPU's side --- */

void chardev_attach(struct chardev *c, void (*event)(void *arg), void *arg)
{
	c->event = event;
	c->event_arg = arg;
}

size_t chardev_write(struct chardev *c, const void *buf, size_t n)
{
	pthread_mutex_lock(&c->lock);
	size_t taken = n;
	if (c->connected) {
		bool was_empty = c->out.count == 0;
		taken = queue_put(&c->out, buf, n);
		c->writer_waits = taken < n;
		if (was_empty)
			update_mask(c);
	}
	pthread_mutex_unlock(&c->lock);
	return taken;
}

size_t chardev_read(struct chardev *c, void *buf, size_t n)
{
	pthread_mutex_lock(&c->lock);
	bool was_full = c->in.count == c->in.size;
	size_t got = 0;
	while (got < n && c->in.count) {
		((u8 *)buf)[got++] = c->in.data[c->in.head];
		queue_drop(&c->in, 1);
	}
	if (was_full && got)
		update_mask(c);
	pthread_mutex_unlock(&c->lock);
	return got;
}

/* --- opening --- */

static bool fail(char *err, size_t errsize, const char *what, const char *name, const char *why)
{
	snprintf(err, errsize, "%s %s: %s", what, name, why);
	return false;
}

static bool start_watch(struct chardev *c, char *err, size_t errsize)
{
	c->watch = event_watch(c->vm, c->fd, 0, fd_ready, c);
	return c->watch || fail(err, errsize, "serial port", "", "out of memory");
}

static void stdin_ready(void *arg, short revents)
{
	struct chardev *c = arg;
	pthread_mutex_lock(&c->lock);
	if (!receive_some(c))
		c->typed_out = true;
	update_mask(c);
	pthread_mutex_unlock(&c->lock);
}

/*
 * O_NONBLOCK belongs to the open file that we share with the shell and its other children, so a terminal or pipe is opened once more.
 * A regular file keeps its place and never blocks; where opening is refused, small writes after POLLOUT have to do.
 */
static int open_stdout(void)
{
	struct stat st;
	int fd = -1;
	if (!fstat(STDOUT_FILENO, &st) && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
}

static bool open_stdio(struct chardev *c, const struct chardev_stdio *stdio, char *err, size_t errsize)
{
	if (stdio)
		c->stdio = *stdio;
	c->fd = open_stdout();
	if (c->fd < 0)
		return fail(err, errsize, "serial port", "stdio", "standard output is closed");
	c->connected = true;
	if (!start_watch(c, err, errsize))
		return false;
	c->side_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (c->side_fd < 0)	/* closed: nobody will type */
		return true;
	c->side_watch = event_watch(c->vm, c->side_fd, 0, stdin_ready, c);
	update_mask(c);
	return c->side_watch || fail(err, errsize, "serial port", "stdio", "out of memory");
}

static bool open_file(struct chardev *c, const char *path, char *err, size_t errsize)
{
	/* Non-blocking matters for FIFOs and terminals named as a file; a FIFO without a reader is an error (ENXIO). */
	c->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	if (c->fd < 0)
		return fail(err, errsize, "serial port: cannot write to", path, strerror(errno));
	c->connected = true;
	return start_watch(c, err, errsize);
}

/* Somebody opened the slave. If he is gone already the next poll says so. */
static void pty_opened(void *arg, short revents)
{
	struct chardev *c = arg;
	char events[512];
	while (read(c->side_fd, events, sizeof(events)) > 0)
		continue;
	pthread_mutex_lock(&c->lock);
	c->connected = true;
	update_mask(c);
	pthread_mutex_unlock(&c->lock);
}

static bool open_pty(struct chardev *c, char *err, size_t errsize)
{
	char name[64];
	struct termios t;
	c->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (c->fd < 0 || grantpt(c->fd) || unlockpt(c->fd) || ptsname_r(c->fd, name, sizeof(name)))
		return fail(err, errsize, "serial port", "pty", strerror(errno));
	/* Raw, or the line discipline would echo the guest's output as its input. */
	if (!tcgetattr(c->fd, &t)) {
		cfmakeraw(&t);
		tcsetattr(c->fd, TCSANOW, &t);
	}
	/* A master whose slave was opened and closed once reports hang-up until somebody opens it. */
	int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave >= 0)
		close(slave);
	c->side_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (c->side_fd < 0 || inotify_add_watch(c->side_fd, name, IN_OPEN) < 0)
		return fail(err, errsize, "serial port: cannot watch", name, strerror(errno));
	if (!start_watch(c, err, errsize))
		return false;
	c->side_watch = event_watch(c->vm, c->side_fd, POLLIN, pty_opened, c);
	if (!c->side_watch)
		return fail(err, errsize, "serial port", "pty", "out of memory");
	fprintf(stderr, "ringfence: serial port on %s\n", name);
	return true;
}

/* One client at a time: until it leaves, others wait in the backlog. */
static void client_waits(void *arg, short revents)
{
	struct chardev *c = arg;
	char err[100];
	int fd = accept4(c->side_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	pthread_mutex_lock(&c->lock);
	c->fd = fd;
	if (start_watch(c, err, sizeof(err))) {
		c->connected = true;
		event_set_mask(c->vm, c->side_watch, 0);
		update_mask(c);
	} else {
		close(fd);
		c->fd = -1;
	}
	pthread_mutex_unlock(&c->lock);
}

/* A socket that nobody listens on was left by a killed process: it may go. Anything else stays. */
static bool clear_path(const struct sockaddr_un *addr, char *err, size_t errsize)
{
	struct stat st;
	if (lstat(addr->sun_path, &st))
		return true;
	if (!S_ISSOCK(st.st_mode))
		return fail(err, errsize, "serial port: will not replace", addr->sun_path, "it exists and is no socket");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) && errno == ECONNREFUSED;
	if (fd >= 0)
		close(fd);
	if (!refused)
		return fail(err, errsize, "serial port: will not replace", addr->sun_path, "another process listens there");
	unlink(addr->sun_path);
	return true;
}

static bool open_unix(struct chardev *c, const char *path, char *err, size_t errsize)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(addr.sun_path))
		return fail(err, errsize, "serial port: cannot listen on", path, "the name is too long for a Unix socket");
	strcpy(addr.sun_path, path);
	if (!clear_path(&addr, err, errsize))
		return false;
	c->side_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->side_fd < 0 || bind(c->side_fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fail(err, errsize, "serial port: cannot listen on", path, strerror(errno));
	strcpy(c->path, path);
	if (listen(c->side_fd, 1))
		return fail(err, errsize, "serial port: cannot listen on", path, strerror(errno));
	c->side_watch = event_watch(c->vm, c->side_fd, POLLIN, client_waits, c);
	return c->side_watch || fail(err, errsize, "serial port", path, "out of memory");
}

static bool open_spec(struct chardev *c, const char *spec, const struct chardev_stdio *stdio, char *err, size_t errsize)
{
	if (!strcmp(spec, "stdio")) {
		c->kind = CHR_STDIO;
		return open_stdio(c, stdio, err, errsize);
	}
	if (!strncmp(spec, "file:", 5) && spec[5]) {
		c->kind = CHR_FILE;
		return open_file(c, spec + 5, err, errsize);
	}
	if (!strcmp(spec, "pty")) {
		c->kind = CHR_PTY;
		return open_pty(c, err, errsize);
	}
	if (!strncmp(spec, "unix:", 5) && spec[5]) {
		c->kind = CHR_UNIX;
		return open_unix(c, spec + 5, err, errsize);
	}
	return fail(err, errsize, "serial port", spec, "unknown; there are stdio, file:FILE, pty, unix:FILE and none");
}

struct chardev *chardev_open(struct vm *vm, const char *spec, const struct chardev_stdio *stdio, char *err, size_t errsize)
{
	err[0] = 0;
	if (!strcmp(spec, "none"))
		return NULL;
	struct chardev *c = calloc(1, sizeof(*c));
	if (!c) {
		fail(err, errsize, "serial port", spec, "out of memory");
		return NULL;
	}
	c->vm = vm;
	c->fd = c->side_fd = -1;
	c->out = (struct queue){ .data = c->out_data, .size = OUT_SIZE };
	c->in = (struct queue){ .data = c->in_data, .size = IN_SIZE };
	pthread_mutex_init(&c->lock, NULL);
	if (!open_spec(c, spec, stdio, err, errsize)) {
		chardev_close(c);
		return NULL;
	}
	return c;
}

static u64 monotonic_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

void chardev_close(struct chardev *c)
{
	if (!c)
		return;
	event_unwatch(c->vm, c->side_watch);
	event_unwatch(c->vm, c->watch);
	c->writer_waits = false;	/* nobody is left to be told of room */
	u64 end = monotonic_ms() + CLOSE_MS;
	while (c->connected && c->out.count && send_queued(c) && c->out.count) {
		struct pollfd p = { .fd = c->fd, .events = POLLOUT };
		u64 now = monotonic_ms();
		if (now >= end || poll(&p, 1, (int)(end - now)) < 0)
			break;
	}
	if (c->fd >= 0)
		close(c->fd);
	if (c->side_fd >= 0)
		close(c->side_fd);
	if (c->path[0])
		unlink(c->path);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
