/*
 * debugcon.h - port E9h: every byte written goes to the host, for firmware and test programs (Bochs' port E9 hack).
 */
#ifndef RF_DEBUGCON_H
#define RF_DEBUGCON_H
#include "devices/device.h"

#define DEBUGCON_WAITING 4096

struct chardev;
struct debugcon {
	struct device dev;
	struct chardev *chr;
	u8 waiting[DEBUGCON_WAITING];	/* what the back end has no room for */
	u16 count;
};

void debugcon_init(struct debugcon *d, struct vm *vm, const char *id, struct chardev *chr);
u8   debugcon_read(struct debugcon *d);		/* E9h: a guest can tell that the port is there */
void debugcon_write(struct debugcon *d, u8 value);
#endif
