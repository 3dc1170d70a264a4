/*
 * i440fx.h - the 82441FX host bridge: what is RAM and what is the bus's between 640 KiB and 1 MiB.
 */
#ifndef RF_I440FX_H
#define RF_I440FX_H
#include "devices/device.h"
#include "devices/pci.h"

struct i440fx {
	struct device dev;
	struct pci_func func;
};

void i440fx_init(struct i440fx *b, struct vm *vm, const char *id);
#endif
