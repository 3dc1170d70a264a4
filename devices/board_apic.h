/*
 * board_apic.h - the APICs and the HPET of the PC, and how interrupts come to the CPU with and without them.
 */
#ifndef RF_BOARD_APIC_H
#define RF_BOARD_APIC_H
#include "devices/emulated/hpet.h"
#include "devices/emulated/ioapic.h"
#include "devices/emulated/lapic.h"

struct pic;
struct board_apic {
	struct lapic lapic;
	struct ioapic ioapic;
	struct hpet hpet;
	bool present;		/* this CPU model has a local APIC */
	u64 lapic_at;		/* where its registers answer; 0: nowhere */
	/* The CPU took the interrupt of this input of the I/O APIC. */
	void (*taken)(void *arg, int pin);
	void *taken_arg;
};

/* False when the bus refuses. hpet.irq, hpet.legacy and taken are the caller's to set. */
bool board_apic_init(struct board_apic *a, struct vm *vm);
void board_apic_reset(struct board_apic *a);
/* The 8259's output. */
void board_apic_intr(struct board_apic *a, bool level);
/* An ISA interrupt input, 0 to 15; the PIT's is input 2 of the I/O APIC. */
void board_apic_irq(struct board_apic *a, int irq, bool level);
/* Does the interrupt of an unmasked input wait for the CPU? -1: the input is masked there. */
int  board_apic_waits(const struct board_apic *a, int pin);
#endif
