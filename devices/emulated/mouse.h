/*
 * mouse.h - a PS/2 mouse with a wheel and five buttons (IntelliMouse Explorer).
 */
#ifndef RF_MOUSE_H
#define RF_MOUSE_H
#include "devices/ps2.h"
#include "monitor/clock.h"

struct mouse {
	struct device dev;
	struct ps2_port port;
	u8 command;		/* the command that expects its argument; 0: none */
	u8 id;			/* 0 PS/2, 3 with wheel, 4 with five buttons: also packet's form */
	u8 knock[2];		/* the sample rates set before, by which drivers ask for a wheel */
	u8 resolution, rate;	/* rate: samples a second */
	bool scaling, remote, wrap, enabled;
	u8 buttons, sent_buttons;
	u32 dx, dy, dz;		/* signed counts since the last packet, down and right positive */
	struct ps2_queue out;
	u8 last, bad;		/* bad: the last byte from the host was refused */
	struct timer sample;	/* armed: until then no further packet */
};

void mouse_init(struct mouse *m, struct vm *vm, const char *id);
/* Counts, dy and dz grow downwards; buttons as in devices/input.h. */
void mouse_move(struct mouse *m, int dx, int dy, int dz, u8 buttons);
#endif
