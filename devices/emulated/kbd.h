/*
 * kbd.h - a 102-key keyboard with a PS/2 plug.
 */
#ifndef RF_KBD_H
#define RF_KBD_H
#include "devices/ps2.h"
#include "monitor/clock.h"

#define KBD_SET3_CODES 0x90

struct kbd {
	struct device dev;
	struct ps2_port port;
	u8 command;		/* the command that expects its argument; 0: none */
	u8 leds, rate, set;	/* rate: bits 6-5 delay, 4-0 rate; set: 1 to 3 */
	bool scanning;
	u8 type[KBD_SET3_CODES];	/* of set 3's keys: enum in kbd.c */
	struct ps2_queue replies;	/* go before codes */
	struct ps2_queue codes;
	u8 last;		/* sent last, for RESEND */
	u8 down[32];		/* bit per HID usage */
	u8 repeats;		/* HID usage of the key that repeats; 0: none */
	struct timer repeat;
	void (*leds_changed)(void *arg, u8 leds);	/* bit 0 scroll, 1 num, 2 caps lock; may be NULL */
	void *leds_arg;
};

void kbd_init(struct kbd *k, struct vm *vm, const char *id);
/* A key (HID usage page 07h) goes down or up. */
void kbd_key(struct kbd *k, u8 usage, bool down);
/* All codes and answers were taken. */
bool kbd_idle(const struct kbd *k);
#endif
