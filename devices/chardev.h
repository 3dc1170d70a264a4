/*
 * chardev.h - where a serial port's bytes go to and come from on the host.
 *
 * The vCPU thread only touches two bounded queues; the event thread does the host I/O. When a reader is slow the output queue fills and
 * chardev_write() takes less, so nothing is lost; with nobody connected (pty, unix) output is dropped, as on an open cable.
 */
#ifndef RF_CHARDEV_H
#define RF_CHARDEV_H
#include "monitor/lib/types.h"

struct vm;
struct chardev;

/* `stdio`: what is typed passes through `filter` (event thread; in place, returns what is left for the guest), which may be NULL. */
struct chardev_stdio {
	size_t (*filter)(void *arg, u8 *buf, size_t n);
	void *arg;
};

/*
 * spec: "stdio", "file:F" (created or truncated), "pty" (its name goes to stderr), "unix:F" (listens; one client at a time) or "none".
 * stdio may be NULL. NULL with a sentence in err; NULL with an empty err for "none".
 */
struct chardev *chardev_open(struct vm *vm, const char *spec, const struct chardev_stdio *stdio, char *err, size_t errsize);
/* After the vCPU thread has stopped (the event thread may have ended too): sends what is queued, for at most
 * a second, and removes what was created on the host. */
void chardev_close(struct chardev *c);

/* The vCPU thread's side. `event` runs on the vCPU thread when input has come or room for output has. */
void   chardev_attach(struct chardev *c, void (*event)(void *arg), void *arg);
size_t chardev_write(struct chardev *c, const void *buf, size_t n);	/* bytes taken */
size_t chardev_read(struct chardev *c, void *buf, size_t n);		/* bytes there were */
#endif
