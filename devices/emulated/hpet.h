/*
 * hpet.h - the high precision event timer (IA-PC HPET specification 1.0a): a 64-bit counter of 100 MHz and three comparators.
 */
#ifndef RF_HPET_H
#define RF_HPET_H
#include "devices/device.h"
#include "monitor/clock.h"

#define HPET_TIMERS 3
#define HPET_PINS   24
#define HPET_BYTES  0x400u

struct hpet;
struct hpet_timer {
	u64 config;		/* the bits that a guest can write */
	u64 comparator, period;
	u64 due;		/* count of the next match as a 64-bit number; ~0: none */
	struct timer timer;
	struct hpet *hpet;
};

struct hpet {
	struct device dev;
	struct line irq[HPET_PINS];	/* of the I/O APIC; in legacy mode 0 and 8 are the ISA interrupts */
	struct line legacy;		/* timers 0 and 1 replace the PIT's and the RTC's interrupts */
	/* Does the interrupt that was raised on this pin still wait? Then a periodic tick does, too. May be NULL. */
	bool (*waiting)(void *arg, int pin);
	void *waiting_arg;
	u64 config, status;
	u64 offset;			/* the counter is guest time / 10 ns + offset, or, standing still, offset */
	struct hpet_timer t[HPET_TIMERS];
};

void hpet_init(struct hpet *h, struct vm *vm, const char *id);
u32  hpet_read(struct hpet *h, u32 offset, int size);
void hpet_write(struct hpet *h, u32 offset, u32 value, int size);
#endif
