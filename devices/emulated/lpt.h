/*
 * lpt.h - the PC's parallel port with a printer that takes what it is sent.
 */
#ifndef RF_LPT_H
#define RF_LPT_H
#include "devices/device.h"
#include "monitor/clock.h"

struct chardev;
struct lpt {
	struct device dev;
	u8 data, control;	/* control: bits 4-0 as written */
	bool busy;		/* a byte waits for room in the back end, or for its acknowledge */
	bool full;		/* the byte in `byte` was not taken yet */
	u8 byte;
	struct timer ack;	/* end of the acknowledge pulse */
	struct line irq;
	struct chardev *chr;	/* NULL: nothing connected, the printer is off */
};

void lpt_init(struct lpt *l, struct vm *vm, const char *id, struct chardev *chr);
/* offset: 0 data, 1 status, 2 control */
u8   lpt_read(struct lpt *l, u32 offset);
void lpt_write(struct lpt *l, u32 offset, u8 value);
#endif
