/*
 * control.c - the control socket's server: naming, clients, lines, events.
 *
 * `lock` guards all clients. A client has at most one command on its way to the vCPU thread (`call`); until that is answered nothing more
 * is read from it, so neither side's memory grows. Only the event thread closes clients: who else wants to sets `closing` and wakes it.
 * Lock order: control, then the event loop's.
 */
#define _GNU_SOURCE
#include "ui/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "monitor/event.h"
#include "monitor/vm.h"
#include "ui/control_cmds.h"
#include "ui/control_run.h"
#include "ui/json.h"
#include "ui/rundir.h"

#define LINE_MAX_BYTES 65536u
#define OUT_MAX_BYTES  (1u << 20)	/* a client that reads less than we have to tell is sent away */
#define OUT_PAUSE_BYTES 65536u	/* a client has to read so far before more of its commands are taken */
#define CLIENTS_MAX    64
#define SAME_NAMES     1000

struct call;
struct client {
	struct control *control;
	struct client *next;
	int fd;
	struct watch *watch;
	struct call *call;
	char *out;
	size_t out_len, in_len;
	bool skipping;		/* the line was too long: up to its end all is ignored */
	bool waits_to_read;	/* has lines in `in` that are not taken before it reads */
	bool eof, closing;
	char in[LINE_MAX_BYTES];
};

struct call {
	struct client *client;	/* NULL: it has left */
	struct control *control;
	struct call *next;
	struct json *request;
	struct control_call cc;
};

struct control {
	struct vm *vm;
	struct control_runner *runner;
	int fd, dir;
	struct watch *watch;
	pthread_mutex_t lock;
	struct client *clients;
	struct call *calls;
	u32 count;
	bool ending;		/* control_fini() closes the clients from now on */
	char name[RUNDIR_NAME_MAX + 1], path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* --- to the client; with the lock held --- */

static bool takes_lines(const struct client *c)
{
	return !c->call && !c->closing && c->out_len < OUT_PAUSE_BYTES;
}

static void update_mask(struct client *c)
{
	short mask = c->closing || c->out_len || c->waits_to_read ? POLLOUT : 0;
	if (takes_lines(c) && !c->eof)
		mask |= POLLIN;
	if (c->eof && !c->call && !c->out_len && !c->waits_to_read) {
		c->closing = true;
		mask = POLLOUT;
	}
	event_set_mask(c->control->vm, c->watch, mask);
}

static void flush(struct client *c)
{
	while (c->out_len && !c->closing) {
		ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			c->closing = !(n < 0 && errno == EAGAIN);
			break;
		}
		c->out_len -= (size_t)n;
		memmove(c->out, c->out + n, c->out_len);
	}
}

/* Takes the value. */
static void tell(struct client *c, struct json *j)
{
	char *line = js_write(j);
	size_t len = line ? strlen(line) : 0;
	char *out = line && c->out_len + len + 1 <= OUT_MAX_BYTES ? realloc(c->out, c->out_len + len + 1) : NULL;
	js_free(j);
	if (out) {
		c->out = out;
		memcpy(out + c->out_len, line, len);
		out[c->out_len + len] = '\n';
		c->out_len += len + 1;
		flush(c);
	} else {
		c->closing = true;
	}
	free(line);
	update_mask(c);
}

/* Takes the result; NULL is an empty object. */
static void tell_result(struct client *c, const struct json *request, struct json *result)
{
	struct json *j = js_object();
	const struct json *id = js_get(request, "id");
	js_put(j, "return", result ? result : js_object());
	if (id)
		js_put(j, "id", js_copy(id));
	tell(c, j);
}

static void tell_error(struct client *c, const struct json *request, const char *class, const char *desc)
{
	struct json *j = js_object(), *e = js_object();
	const struct json *id = js_get(request, "id");
	js_put(e, "class", js_text(class));
	js_put(e, "desc", js_text(desc));
	js_put(j, "error", e);
	if (id)
		js_put(j, "id", js_copy(id));
	tell(c, j);
}

static struct json *greeting(void)
{
	struct json *j = js_object(), *qmp = js_object(), *version = js_object();
	js_put(version, "package", js_text("ringfence"));
	js_put(version, "version", js_text(RF_VERSION));
	js_put(qmp, "version", version);
	js_put(qmp, "capabilities", js_array());
	js_put(j, "QMP", qmp);
	return j;
}

/* --- commands --- */

static void pump(struct client *c);

static void call_free(struct control *k, struct call *call)
{
	struct call **p = &k->calls;
	while (*p != call)
		p = &(*p)->next;
	*p = call->next;
	control_call_fini(&call->cc);
	js_free(call->request);
	free(call);
}

static void call_done(struct control_call *cc, bool ok, void *arg)
{
	struct call *call = arg;
	struct control *k = call->control;
	pthread_mutex_lock(&k->lock);
	struct client *c = call->client;
	if (c) {
		c->call = NULL;
		if (ok)
			tell_result(c, call->request, cc->result);
		else
			tell_error(c, call->request, "GenericError", cc->err);
		if (ok)
			cc->result = NULL;
		pump(c);
	}
	call_free(k, call);
	pthread_mutex_unlock(&k->lock);
}

/* Takes the request. */
static void execute(struct client *c, struct json *request, const struct control_verb *verb)
{
	struct control *k = c->control;
	struct call *call = malloc(sizeof(*call));
	if (call) {
		*call = (struct call){ .client = c, .control = k, .request = request, .next = k->calls };
		call->cc.args = js_get(request, "arguments");
		k->calls = call;
		c->call = call;
		if (control_run(k->runner, &call->cc, verb, call_done, call))
			return;
		c->call = NULL;
		k->calls = call->next;
		free(call);
	}
	tell_error(c, request, "GenericError", "out of memory");
	js_free(request);
}

static void take_line(struct client *c, const char *line, size_t len)
{
	char err[300], why[200] = "";
	if (strspn(line, " \t\r\n") >= len)
		return;
	struct json *request = js_read(line, len, why, sizeof(why));
	const struct json *name = js_get(request, "execute");
	const struct control_verb *verb = js_string(name) ? control_find(js_string(name)) : NULL;
	const char *class = "GenericError";
	if (!request)
		snprintf(err, sizeof(err), "this is no JSON: %s", why);
	else if (!js_string(name))
		snprintf(err, sizeof(err), "a command is an object with a text 'execute'");
	else if (!verb) {
		const char *nearest = control_nearest(js_string(name));
		class = "CommandNotFound";
		snprintf(err, sizeof(err), "there is no command '%.60s'%s%s%s", js_string(name), nearest ? "; did you mean '" : "",
			 nearest ? nearest : "", nearest ? "'?" : "");
	} else if (control_check(verb, js_get(request, "arguments"), err, sizeof(err))) {
		execute(c, request, verb);
		return;
	}
	tell_error(c, request, class, err);
	js_free(request);
}

/* Takes lines until one is under way, none is complete, or the client has to read first. */
static void pump(struct client *c)
{
	char *nl;
	while (takes_lines(c) && (nl = memchr(c->in, '\n', c->in_len))) {
		size_t len = (size_t)(nl - c->in);
		*nl = 0;
		if (!c->skipping)
			take_line(c, c->in, len);
		c->skipping = false;
		c->in_len -= len + 1;
		memmove(c->in, nl + 1, c->in_len);
	}
	if (takes_lines(c) && c->in_len == LINE_MAX_BYTES) {
		if (!c->skipping)
			tell_error(c, NULL, "GenericError", "the line is longer than 64 KiB");
		c->skipping = true;
		c->in_len = 0;
	}
	/* Whoever sends what is left, an event's teller perhaps: client_ready() comes back here. */
	c->waits_to_read = !c->call && !takes_lines(c) && c->in_len;
	update_mask(c);
}

/* --- clients; the event thread --- */

static void client_close(struct client *c)
{
	struct control *k = c->control;
	struct client **p = &k->clients;
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	k->count--;
	if (c->call)
		c->call->client = NULL;
	event_unwatch(k->vm, c->watch);
	close(c->fd);
	free(c->out);
	free(c);
}

static void client_ready(void *arg, short revents)
{
	struct client *c = arg;
	struct control *k = c->control;
	pthread_mutex_lock(&k->lock);
	if (k->ending) {
		event_set_mask(k->vm, c->watch, 0);
		pthread_mutex_unlock(&k->lock);
		return;
	}
	if (revents & POLLOUT)
		flush(c);
	if (revents & POLLIN && takes_lines(c) && c->in_len < LINE_MAX_BYTES) {
		ssize_t n = recv(c->fd, c->in + c->in_len, LINE_MAX_BYTES - c->in_len, MSG_DONTWAIT);
		if (n > 0)
			c->in_len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			c->eof = true;
	} else if (revents & (POLLHUP | POLLERR | POLLNVAL)) {
		c->closing = true;
	}
	if (!c->closing)
		pump(c);
	if (c->closing)
		client_close(c);
	pthread_mutex_unlock(&k->lock);
}

static void client_waits(void *arg, short revents)
{
	struct control *k = arg;
	int fd = accept4(k->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c = fd >= 0 ? malloc(sizeof(*c)) : NULL;
	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->control = k;
	c->fd = fd;
	c->call = NULL;
	c->out = NULL;
	c->out_len = c->in_len = 0;
	c->skipping = c->waits_to_read = c->eof = c->closing = false;
	pthread_mutex_lock(&k->lock);
	c->watch = k->count < CLIENTS_MAX ? event_watch(k->vm, fd, 0, client_ready, c) : NULL;
	if (c->watch) {
		c->next = k->clients;
		k->clients = c;
		k->count++;
		tell(c, greeting());
	} else {
		close(fd);
		free(c);
	}
	pthread_mutex_unlock(&k->lock);
}

/* --- events --- */

/* Takes the data, which may be NULL. */
static void announce(struct control *k, const char *event, struct json *data)
{
	struct json *j = js_object(), *stamp = js_object();
	struct timeval now;
	gettimeofday(&now, NULL);
	js_put(stamp, "seconds", js_number(now.tv_sec));
	js_put(stamp, "microseconds", js_number(now.tv_usec));
	js_put(j, "event", js_text(event));
	js_put(j, "timestamp", stamp);
	if (data)
		js_put(j, "data", data);
	pthread_mutex_lock(&k->lock);
	for (struct client *c = k->clients; c; c = c->next)
		if (!c->closing)
			tell(c, js_copy(j));
	pthread_mutex_unlock(&k->lock);
	js_free(j);
}

static void on_pause(void *arg)
{
	struct control *k = arg;
	if (k->vm->pause_kind != VM_PAUSE_USER) {
		struct json *data = js_object();
		js_put(data, "nospace", js_bool(k->vm->pause_kind == VM_PAUSE_NO_SPACE));
		js_put(data, "reason", js_text(k->vm->pause_why));
		announce(k, "BLOCK_IO_ERROR", data);
	}
	announce(k, "STOP", NULL);
}

static void on_continue(void *arg) { announce(arg, "RESUME", NULL); }
static void on_reset(void *arg) { announce(arg, "RESET", NULL); }
static void on_power_button(void *arg) { announce(arg, "POWERDOWN", NULL); }

/* --- beginning, end --- */

/* 1: listening; 0: another machine has that name; -1: a sentence is in err. */
static int listen_as(struct control *k, const char *name, char *err, size_t errsize)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	if (!rundir_socket(name, addr.sun_path, sizeof(addr.sun_path), err, errsize))
		return -1;
	k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The socket's file gets the mode that the socket has when it is bound. */
	int bad = k->fd < 0 || fchmod(k->fd, 0600) || bind(k->fd, (struct sockaddr *)&addr, sizeof(addr));
	if (bad && errno == EADDRINUSE) {
		int other = rundir_connect(addr.sun_path);
		bool stale = other < 0 && errno == ECONNREFUSED;
		if (other >= 0)
			close(other);
		if (!stale) {
			close(k->fd);
			k->fd = -1;
			return 0;
		}
		unlink(addr.sun_path);
		bad = bind(k->fd, (struct sockaddr *)&addr, sizeof(addr));
	}
	if (bad || listen(k->fd, 16)) {
		snprintf(err, errsize, "%s: %s", addr.sun_path, strerror(errno));
		return -1;
	}
	snprintf(k->name, sizeof(k->name), "%s", name);
	memcpy(k->path, addr.sun_path, sizeof(k->path));
	return 1;
}

/* The folder is locked meanwhile: of two machines that find the same stale socket only one may remove it. */
static bool listen_somewhere(struct control *k, const char *name, bool name_given, char *err, size_t errsize)
{
	char other[RUNDIR_NAME_MAX + 1];
	int got = 0;
	for (int i = 1; i < SAME_NAMES && !got; i++) {
		if (i > 1 && name_given) {
			snprintf(err, errsize, "--name: a machine named '%s' is running already", name);
			return false;
		}
		snprintf(other, sizeof(other), i > 1 ? "%.*s-%d" : "%.*s", i > 1 ? RUNDIR_NAME_MAX - 5 : RUNDIR_NAME_MAX, name, i);
		got = listen_as(k, other, err, errsize);
	}
	if (!got)
		snprintf(err, errsize, "there are too many machines named '%s'", name);
	return got > 0;
}

/* The user's folder, locked. It may be removed between opening and locking, by the machine that was the last in it. */
static int lock_folder(char *err, size_t errsize)
{
	for (;;) {
		struct stat st;
		int fd = rundir_open(err, errsize);
		if (fd < 0 || (!flock(fd, LOCK_EX) && !fstat(fd, &st) && st.st_nlink))
			return fd;
		close(fd);
	}
}

struct control *control_init(struct vm *vm, struct control_runner *runner, const char *name, bool name_given, char *err, size_t errsize)
{
	struct control *k = calloc(1, sizeof(*k));
	if (!k) {
		snprintf(err, errsize, "out of memory");
		return NULL;
	}
	*k = (struct control){ .vm = vm, .runner = runner, .fd = -1 };
	pthread_mutex_init(&k->lock, NULL);
	k->dir = lock_folder(err, errsize);
	if (k->dir >= 0 && listen_somewhere(k, name, name_given, err, errsize)) {
		flock(k->dir, LOCK_UN);
		k->watch = event_watch(vm, k->fd, POLLIN, client_waits, k);
		snprintf(err, errsize, "out of memory");
	}
	if (!k->watch) {
		control_fini(k);
		return NULL;
	}
	err[0] = 0;
	vm->name = k->name;
	vm_on(vm, VM_PAUSED, on_pause, k);
	vm_on_continue(vm, on_continue, k);
	vm_on(vm, VM_RESET, on_reset, k);
	vm_on(vm, VM_POWER_BUTTON, on_power_button, k);
	return k;
}

void control_fini(struct control *k)
{
	if (!k)
		return;
	if (k->path[0]) {
		char dir[200], err[100];
		flock(k->dir, LOCK_EX);
		unlink(k->path);
		if (rundir_path(dir, sizeof(dir), err, sizeof(err)))
			rmdir(dir);	/* if this was the last one */
	}
	event_unwatch(k->vm, k->watch);
	if (k->watch) {
		struct json *data = js_object();
		js_put(data, "guest", js_bool(k->vm->stop != VM_QUIT && k->vm->stop != VM_ERROR));
		announce(k, "SHUTDOWN", data);
	}
	pthread_mutex_lock(&k->lock);
	k->ending = true;
	pthread_mutex_unlock(&k->lock);
	while (k->clients)	/* not under the lock: unwatching waits for client_ready() */
		client_close(k->clients);
	while (k->calls)
		call_free(k, k->calls);
	if (k->fd >= 0)
		close(k->fd);
	if (k->dir >= 0)
		close(k->dir);
	pthread_mutex_destroy(&k->lock);
	free(k);
}
