/*
 * media.c - changes media and presses the power button for a window. Owns nothing but what is on its way to the vCPU thread.
 */
#include "ui/media.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/blockdev.h"
#include "devices/board_pc.h"
#include "images/image.h"
#include "images/sniff.h"
#include "monitor/event.h"
#include "monitor/vm.h"

struct insertion {
	struct vm *vm;
	struct image *im;
	const char *in;		/* what the drive's name has in it */
};

static void press(void *arg)
{
	board_power_button(arg);
	vm_happened(arg, VM_POWER_BUTTON);
}

bool media_power_button(struct vm *vm, char *err, size_t errsize)
{
	return event_post(vm, press, vm);
}

static struct blockdev *find_drive(struct vm *vm, const char *in, bool with_medium)
{
	for (u32 i = 0; i < BOARD_DRIVES; i++) {
		struct blockdev *b = board_blockdev(vm, i);
		if (b && blockdev_removable(b) && (!in || strstr(blockdev_id(b), in)) && (!with_medium || blockdev_present(b)))
			return b;
	}
	return NULL;
}

static void eject(void *arg)
{
	struct blockdev *b = find_drive(arg, NULL, true);
	if (!b)
		fprintf(stderr, "ringfence: there is no medium to eject\n");
	else if (blockdev_locked(b))
		fprintf(stderr, "ringfence: the guest holds the medium in %s\n", blockdev_id(b));
	else
		blockdev_change(b, NULL);
}

bool media_eject(struct vm *vm, char *err, size_t errsize)
{
	return event_post(vm, eject, vm);
}

static void insert(void *arg)
{
	struct insertion *i = arg;
	struct blockdev *b = find_drive(i->vm, i->in, false);
	if (b) {
		blockdev_change(b, i->im);
	} else {
		fprintf(stderr, "ringfence: the machine has no drive for this file\n");
		image_close(i->im);
	}
	free(i);
}

bool media_insert(struct vm *vm, const char *path, char *err, size_t errsize)
{
	enum image_kind kind = image_sniff(path, NULL, err, errsize);
	if (kind == IMAGE_ERROR)
		return false;
	if (kind != IMAGE_CDROM && kind != IMAGE_FLOPPY) {
		snprintf(err, errsize, "%s is neither a CD's nor a floppy's image", path);
		return false;
	}
	struct image_options how = { .readonly = kind == IMAGE_CDROM || access(path, W_OK) };
	struct image *im = image_open(path, &how, err, errsize);
	struct insertion *i = im ? malloc(sizeof(*i)) : NULL;
	if (i) {
		*i = (struct insertion){ .vm = vm, .im = im, .in = kind == IMAGE_CDROM ? "-cd" : "floppy" };
		if (event_post(vm, insert, i))
			return true;
	}
	if (im) {
		snprintf(err, errsize, "out of memory");
		image_close(im);
		free(i);
	}
	return false;
}
