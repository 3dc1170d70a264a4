/*
 * debugcon.c - the debug console. The port cannot make a guest wait, so beyond the back end's queue and our own output is lost.
 */
#include "devices/emulated/debugcon.h"
#include "devices/chardev.h"
#include <string.h>

static const struct field debugcon_fields[] = {
	FIELD_ARRAY(struct debugcon, waiting, FIELD_U8),
	FIELD(struct debugcon, count, FIELD_U16),
	FIELD_END
};

static void send_waiting(void *arg)
{
	struct debugcon *d = arg;
	size_t n = d->count ? chardev_write(d->chr, d->waiting, d->count) : 0;
	memmove(d->waiting, d->waiting + n, d->count - n);
	d->count -= (u16)n;
}

u8 debugcon_read(struct debugcon *d)
{
	return 0xe9;
}

void debugcon_write(struct debugcon *d, u8 value)
{
	if (!d->chr)
		return;
	if (d->count < sizeof(d->waiting))
		d->waiting[d->count++] = value;
	send_waiting(d);
}

static void debugcon_reset(void *dev)
{
}

static void debugcon_loaded(void *dev)
{
	struct debugcon *d = dev;
	if (d->count > sizeof(d->waiting))
		d->count = sizeof(d->waiting);
}

static const struct device_class debugcon_class = {
	.name = "debugcon", .what = "debug console port", .version = 1,
	.fields = debugcon_fields, .reset = debugcon_reset, .loaded = debugcon_loaded,
};

void debugcon_init(struct debugcon *d, struct vm *vm, const char *id, struct chardev *chr)
{
	*d = (struct debugcon){ .dev = { .cls = &debugcon_class, .vm = vm, .id = id }, .chr = chr };
	if (chr)
		chardev_attach(chr, send_waiting, d);
}
