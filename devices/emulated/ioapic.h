/*
 * ioapic.h - the 82093AA I/O APIC: 24 inputs, each with a redirection entry.
 */
#ifndef RF_IOAPIC_H
#define RF_IOAPIC_H
#include "devices/device.h"

#define IOAPIC_PINS  24
#define IOAPIC_BYTES 0x20u

struct ioapic_message { u8 dest, vector, mode; bool logical, level; };	/* mode: as in the entry */

struct ioapic {
	struct device dev;
	/* To the local APICs. False: nobody was addressed. */
	bool (*deliver)(void *arg, const struct ioapic_message *m);
	void *deliver_arg;
	u32 select, id;
	u32 level;			/* bit n: input n is high */
	u64 entry[IOAPIC_PINS];
};

void ioapic_init(struct ioapic *a, struct vm *vm, const char *id);
void ioapic_set_irq(struct ioapic *a, int pin, bool level);
/* A local APIC is done with a level-triggered interrupt. */
void ioapic_eoi(struct ioapic *a, u8 vector);
/* The vector that the pin raises, or -1: masked, or of a mode without one. */
int  ioapic_vector(const struct ioapic *a, int pin);
/* Offset 0: register select, 10h: window. Only 32-bit accesses are defined; others act on the low bits. */
u32  ioapic_read(struct ioapic *a, u32 offset, int size);
void ioapic_write(struct ioapic *a, u32 offset, u32 value, int size);
#endif
