/*
 * i440fx.h - the 82441FX host bridge, as registers: PAM and SMRAM are stored and steer nothing yet.
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
