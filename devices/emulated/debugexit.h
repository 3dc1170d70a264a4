/*
 * debugexit.h - a port that ends the machine with a status of the guest's choice, for test programs (as QEMU's isa-debug-exit).
 */
#ifndef RF_DEBUGEXIT_H
#define RF_DEBUGEXIT_H
#include "devices/device.h"

struct debugexit {
	struct device dev;
};

void debugexit_init(struct debugexit *d, struct vm *vm, const char *id);
/* Exit status (value << 1) | 1, of which the host keeps eight bits. */
void debugexit_write(struct debugexit *d, u32 value);
#endif
