/*
 * piix3.h - the ISA bridge of the PIIX3: routes the PCI bus's interrupts to ISA inputs.
 */
#ifndef RF_PIIX3_H
#define RF_PIIX3_H
#include "devices/device.h"
#include "devices/pci.h"

#define PIIX3_PIRQS 4

struct piix3 {
	struct device dev;
	struct pci_func func;
	u8 pirq;		/* bit n: PIRQ n (0 is A) is asserted */
	struct line irq[16];	/* to the interrupt controllers; only 3-7, 9-12, 14 and 15 are used */
};

void piix3_init(struct piix3 *p, struct vm *vm, const char *id);
/* PIRQA# to PIRQD#; level true: asserted. A line's set function. */
void piix3_set_pirq(void *piix3, int n, bool level);
#endif
