/*
 * control_client.c - the other end of the control socket: lines out, lines in, with patience that ends.
 */
#include "ui/control_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ui/json.h"
#include "ui/rundir.h"

#define ANSWER_MAX_BYTES (8u << 20)

static bool fail(char *err, size_t errsize, const char *sentence)
{
	snprintf(err, errsize, "%s", sentence);
	return false;
}

/* A line without its newline, zero-terminated, valid until the next call; NULL with a sentence in err. */
static char *read_line(struct control_client *c, char *err, size_t errsize)
{
	memmove(c->buf, c->buf + c->used, c->len - c->used);
	c->len -= c->used;
	c->used = 0;
	for (;;) {
		char *nl = memchr(c->buf, '\n', c->len);
		if (nl) {
			*nl = 0;
			c->used = (size_t)(nl - c->buf) + 1;
			return c->buf;
		}
		if (c->len == c->size) {
			char *more = c->size < ANSWER_MAX_BYTES ? realloc(c->buf, c->size * 2) : NULL;
			if (!more) {
				fail(err, errsize, "the answer is too long");
				return NULL;
			}
			c->buf = more;
			c->size *= 2;
		}
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		int ready = poll(&p, 1, c->patience_ms);
		ssize_t n = ready > 0 ? recv(c->fd, c->buf + c->len, c->size - c->len, 0) : -1;
		if (n > 0) {
			c->len += (size_t)n;
		} else if (n == 0 || ready == 0 || errno != EINTR) {
			fail(err, errsize, ready == 0 ? "the machine does not answer" : "the machine has gone");
			return NULL;
		}
	}
}

bool control_client_open(struct control_client *c, const char *name, int patience_ms, char *err, size_t errsize)
{
	char path[200];
	*c = (struct control_client){ .fd = -1, .patience_ms = patience_ms, .size = 4096 };
	if (!js_available())
		return fail(err, errsize, "this Ringfence was built without libjansson: it has no control socket");
	if (!rundir_socket(name, path, sizeof(path), err, errsize))
		return false;
	c->fd = rundir_connect(path);
	if (c->fd < 0) {
		bool none = errno == ENOENT || errno == ECONNREFUSED;
		if (none && !strchr(name, '/'))
			snprintf(err, errsize, "no machine named '%.60s' runs; 'ringfence list' shows those that do", name);
		else
			snprintf(err, errsize, "%.150s: %s", path, strerror(errno));
		return false;
	}
	c->buf = malloc(c->size);
	if (c->buf && read_line(c, err, errsize))
		return true;
	if (!c->buf)
		fail(err, errsize, "out of memory");
	control_client_close(c);
	return false;
}

void control_client_close(struct control_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	c->fd = -1;
	c->buf = NULL;
}

static bool send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return true;
}

struct json *control_client_ask(struct control_client *c, const char *command, struct json *args, char *err, size_t errsize)
{
	struct json *request = js_object(), *result = NULL;
	js_put(request, "execute", js_text(command));
	if (args)
		js_put(request, "arguments", args);
	char *text = js_write(request), *line;
	bool sent = text && send_all(c->fd, text, strlen(text)) && send_all(c->fd, "\n", 1);
	js_free(request);
	free(text);
	if (!sent) {
		fail(err, errsize, "the machine has gone");
		return NULL;
	}
	while (!result && (line = read_line(c, err, errsize))) {
		struct json *answer = js_read(line, strlen(line), err, errsize);
		const struct json *error = js_get(answer, "error");
		const char *desc = js_string(js_get(error, "desc"));
		if (js_get(answer, "return"))
			result = js_copy(js_get(answer, "return"));
		else if (error)
			snprintf(err, errsize, "%s", desc ? desc : "the machine refuses");
		bool other = answer && !js_get(answer, "return") && !error;	/* an event */
		js_free(answer);
		if (!other)
			break;
	}
	return result;
}
