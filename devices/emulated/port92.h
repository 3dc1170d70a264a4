/*
 * port92.h - system control port A: fast A20 and fast reset.
 */
#ifndef RF_PORT92_H
#define RF_PORT92_H
#include "devices/device.h"

struct port92 {
	struct device dev;
	u8 value;
	struct line a20;
	void (*cpu_reset)(void *arg);
	void *cpu_reset_arg;
};

void port92_init(struct port92 *p, struct vm *vm, const char *id);
u8   port92_read(struct port92 *p);
void port92_write(struct port92 *p, u8 value);
/* A20 was switched elsewhere (the keyboard controller): bit 1 shows it. */
void port92_set_a20(struct port92 *p, bool on);
#endif
