/*
 * lapic.h - the local APIC of the one processor (SDM vol. 3, chapter 11; xAPIC mode only).
 */
#ifndef RF_LAPIC_H
#define RF_LAPIC_H
#include "devices/device.h"
#include "monitor/clock.h"

#define LAPIC_BASE_ENABLE 0x800u	/* IA32_APIC_BASE: global enable; the address is in bits 12 and up */
#define LAPIC_BYTES 0x400u		/* the registers, of a page of 4 KiB */
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };
/* Delivery modes of LVT entries, ICR and I/O APIC */
enum apic_mode { APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_NMI = 4, APIC_INIT, APIC_STARTUP, APIC_EXTINT };

struct apic_message {
	u8 dest, vector;
	bool logical, level;
	enum apic_mode mode;
};

struct lapic {
	struct device dev;
	struct line intr;	/* to the CPU */
	void (*nmi)(void *arg);
	void (*init)(void *arg);
	void (*eoi)(void *arg, u8 vector);	/* to the I/O APIC: a level-triggered interrupt is done */
	void (*taken)(void *arg, u8 vector);	/* the CPU took this vector */
	void *arg;
	u64 hz;			/* of the timer before it is divided */
	bool has_deadline;	/* the timer's TSC-deadline mode */
	u32 version;

	bool on;		/* IA32_APIC_BASE's enable bit */
	u8 lint;		/* bit n: LINTn is high */
	u32 id, tpr, ldr, dfr, svr, icr[2], esr, errors;
	u32 lvt[LVTS];
	u32 isr[8], tmr[8], irr[8];
	u32 initial, divide;
	u64 start;		/* tick at which the count was loaded */
	u64 due;		/* tick of the next interrupt; ~0: none */
	u64 deadline;		/* TSC; 0: none */
	struct timer timer;
};

void lapic_init(struct lapic *l, struct vm *vm, const char *id, u64 hz, bool has_deadline, u32 version);
/* IA32_APIC_BASE was written: all is reset when the APIC goes off. */
void lapic_enable(struct lapic *l, bool on);
/* Inputs: 0 is the 8259's INTR, 1 is NMI. */
void lapic_set_lint(struct lapic *l, int n, bool level);
/* From the I/O APIC. Is it for this processor? */
bool lapic_deliver(struct lapic *l, const struct apic_message *m);
/* The CPU takes an interrupt: its vector; -1: it is the 8259's. */
int  lapic_ack(struct lapic *l);
/* Does this vector wait for the CPU? */
bool lapic_pending(const struct lapic *l, u8 vector);
/* Registers by offset in the page. */
u32  lapic_read(struct lapic *l, u32 offset, int size);
void lapic_write(struct lapic *l, u32 offset, u32 value, int size);
/* IA32_TSC_DEADLINE */
u64  lapic_deadline(const struct lapic *l);
void lapic_set_deadline(struct lapic *l, u64 tsc);

/* --- lapic_timer.c, called by lapic.c --- */
void lapic_timer_init(struct lapic *l);
void lapic_timer_reset(struct lapic *l);
u32  lapic_timer_count(const struct lapic *l);
void lapic_timer_set_initial(struct lapic *l, u32 value);
void lapic_timer_set_divide(struct lapic *l, u32 value);
void lapic_timer_set_lvt(struct lapic *l, u32 value);
void lapic_timer_taken(struct lapic *l);	/* the CPU took the timer's vector */
/* lapic.c: the LVT entry's interrupt. */
void lapic_local(struct lapic *l, enum lapic_lvt n);
#define LVT_MASKED 0x10000u
#endif
