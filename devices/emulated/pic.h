/*
 * pic.h - the pair of 8259A interrupt controllers of a PC/AT, with the edge/level registers (ELCR) of PCI chip sets.
 *
 * Inputs are numbered as a PC person does: 0 to 7 on the master, 8 to 15 on the slave; the slave's INT goes to input 2 inside.
 */
#ifndef RF_PIC_H
#define RF_PIC_H
#include "devices/device.h"

struct pic_chip {
	u8 level;	/* the input pins as they are */
	u8 irr, isr, imr;
	u8 elcr;	/* inputs that are level-triggered */
	u8 icw[5];	/* ICW1 to ICW4 as written (icw[0] unused) */
	u8 init_step;	/* the ICW expected next at offset 1: 0 (none), 2, 3, 4 */
	u8 lowest;	/* the input of lowest priority */
	bool read_isr, poll, special_mask, rotate_aeoi;
};

struct pic {
	struct device dev;
	struct pic_chip chip[2];	/* master, slave */
	struct line intr;		/* to the CPU */
	void (*taken)(void *arg, int irq);	/* the CPU has acknowledged input irq; may be NULL */
	void *taken_arg;
};

enum pic_irq_state { PIC_IDLE, PIC_PENDING, PIC_MASKED /* pending, but masked */ };

void pic_init(struct pic *p, struct vm *vm, const char *id);
/* The input lines; level true = asserted. */
void pic_set_irq(void *pic, int irq, bool level);
/* The two INTA cycles: the vector. */
int pic_ack(struct pic *p);
enum pic_irq_state pic_irq_state(const struct pic *p, int irq);

/* chip 0 master, 1 slave; offset 0 or 1 */
u8   pic_read(struct pic *p, int chip, u32 offset);
void pic_write(struct pic *p, int chip, u32 offset, u8 value);
u8   pic_read_elcr(const struct pic *p, int chip);
void pic_write_elcr(struct pic *p, int chip, u8 value);
#endif
