/*
 * pit.h - the 8254 interval timer, and port 61h (system control port B), which gates its channel 2.
 */
#ifndef RF_PIT_H
#define RF_PIT_H
#include "devices/audio.h"
#include "devices/device.h"
#include "monitor/clock.h"

#define PIT_HZ 1193182ull

/* What became of the interrupt that the last tick raised. */
enum pit_tick_state { PIT_TICK_TAKEN, PIT_TICK_WAITING, PIT_TICK_MASKED };

struct pit_channel {
	u8 control;		/* access, mode, BCD: bits 5-0 of the control word */
	bool gate;
	bool loaded;		/* a whole count was written since the control word */
	bool triggered;		/* modes 1 and 5: a gate edge has started the count */
	bool reload;		/* next_period takes over: modes 1 and 5 at the next trigger, 2 and 3 at tick reload_at */
	bool low_written;	/* access LSB/MSB: the low byte is in `low`, the high byte is expected */
	bool high_next;		/* reading: the high byte is next */
	bool status_latched;
	u8 latched;		/* bytes of `latch` still to be read: 0, 1 or 2 */
	u8 low, status;
	u16 latch;
	u32 period;		/* the count as a number, 1 to 65536 (10000 in BCD) */
	u32 next_period;
	u64 reload_at, next_start;
	u64 start;		/* the clock tick at which the count was loaded; elapsed ticks while the gate has stopped it */
	bool stopped;		/* modes 0 and 4, by a low gate or a half-written count */
};

struct pit {
	struct device dev;
	struct pit_channel ch[3];
	struct line irq;	/* channel 0's OUT */
	/* Periodic ticks that the guest was too slow to take are caught up; NULL: never waits. */
	enum pit_tick_state (*tick_state)(void *arg);
	void *tick_arg;
	void (*speaker)(void *arg, const struct audio_wave *w);	/* what the speaker does from now on; NULL: nobody hears it */
	void *speaker_arg;
	u64 due;		/* the clock tick of channel 0's next rising edge to be delivered; ~0: none */
	struct timer timer;
	u8 port61;		/* bits 3-0: parity and channel enables as written, speaker data, gate 2 */
};

void pit_init(struct pit *p, struct vm *vm, const char *id);
u8   pit_read(struct pit *p, u32 offset);
void pit_write(struct pit *p, u32 offset, u8 value);
u8   pit_read_port61(struct pit *p);
void pit_write_port61(struct pit *p, u8 value);
/* The board says so when the CPU has acknowledged channel 0's interrupt. */
void pit_tick_taken(struct pit *p);
#endif
