/*
 * pic.c - the 8259A pair. Datasheet: Intel 8259A (231468-003); ELCR: 82371FB (PIIX), 2.5.6.
 *
 * Invariant: after each entry pic_update() has run, so the slave's INT is on the master's input 2 and the CPU's INTR line is what
 * the registers say. IRR holds edges that were seen and not yet acknowledged; inputs set in ELCR follow their pin instead.
 */
#include "devices/emulated/pic.h"

#define CASCADE 2	/* the master's input that the slave feeds */
#define SPURIOUS 7

/* ICW1 */
#define ICW1_ICW4  0x01
#define ICW1_SINGLE 0x02
#define ICW1_LTIM  0x08
#define ICW1_INIT  0x10
/* ICW4 */
#define ICW4_AEOI  0x02
#define ICW4_SFNM  0x10
/* OCW3 */
#define OCW3_RIS   0x01
#define OCW3_RR    0x02
#define OCW3_POLL  0x04
#define OCW3_SMM   0x20
#define OCW3_ESMM  0x40

static const struct field pic_fields[] = {
#define CHIP(n) \
	FIELD(struct pic, chip[n].level, FIELD_U8), FIELD(struct pic, chip[n].irr, FIELD_U8), \
	FIELD(struct pic, chip[n].isr, FIELD_U8), FIELD(struct pic, chip[n].imr, FIELD_U8), \
	FIELD(struct pic, chip[n].elcr, FIELD_U8), FIELD_ARRAY(struct pic, chip[n].icw, FIELD_U8), \
	FIELD(struct pic, chip[n].init_step, FIELD_U8), FIELD(struct pic, chip[n].lowest, FIELD_U8), \
	FIELD(struct pic, chip[n].read_isr, FIELD_BOOL), FIELD(struct pic, chip[n].poll, FIELD_BOOL), \
	FIELD(struct pic, chip[n].special_mask, FIELD_BOOL), FIELD(struct pic, chip[n].rotate_aeoi, FIELD_BOOL)
	CHIP(0),
	CHIP(1),
#undef CHIP
	FIELD_END
};

static bool aeoi(const struct pic_chip *c)
{
	return c->icw[4] & ICW4_AEOI;
}

static bool level_triggered(const struct pic_chip *c, int input)
{
	return (c->icw[1] & ICW1_LTIM) || (c->elcr >> input & 1);
}

/* Inputs by priority: rank 0 is the highest, the one after `lowest`. */
static int input_of_rank(const struct pic_chip *c, int rank)
{
	return (c->lowest + 1 + rank) & 7;
}

static int rank_of_first(const struct pic_chip *c, u8 inputs)
{
	for (int rank = 0; rank < 8; rank++)
		if (inputs >> input_of_rank(c, rank) & 1)
			return rank;
	return 8;
}

/*
 * The input to be serviced next, or -1. An in-service input blocks itself and all lower ones, except: in special mask mode a masked
 * in-service input blocks nothing but itself; in special fully nested mode the slave may interrupt its own servicing.
 */
static int highest_request(const struct pic_chip *c, bool master)
{
	u8 blocking = c->isr;
	int rank = rank_of_first(c, (u8)(c->irr & ~c->imr));
	if (rank == 8)
		return -1;
	if (c->special_mask) {
		rank = rank_of_first(c, (u8)(c->irr & ~c->imr & ~c->isr));
		blocking &= (u8)~c->imr;
	}
	int input = input_of_rank(c, rank), limit = rank_of_first(c, blocking);
	if (master && input == CASCADE && (c->icw[4] & ICW4_SFNM))
		limit++;
	return rank < limit && rank < 8 ? input : -1;
}

static void set_input(struct pic_chip *c, int input, bool level)
{
	u8 bit = (u8)(1 << input);
	if (level_triggered(c, input))
		c->irr = (u8)(level ? c->irr | bit : c->irr & ~bit);
	else if (level && !(c->level & bit))
		c->irr |= bit;
	else if (!level)	/* the edge is forgotten when the pin falls before INTA: a spurious interrupt follows */
		c->irr &= (u8)~bit;
	c->level = (u8)(level ? c->level | bit : c->level & ~bit);
}

static void pic_update(struct pic *p)
{
	set_input(&p->chip[0], CASCADE, highest_request(&p->chip[1], false) >= 0);
	line_set(&p->intr, highest_request(&p->chip[0], true) >= 0);
}

void pic_set_irq(void *pic, int irq, bool level)
{
	struct pic *p = pic;
	if (irq == CASCADE)
		return;
	set_input(&p->chip[irq >> 3], irq & 7, level);
	pic_update(p);
}

enum pic_irq_state pic_irq_state(const struct pic *p, int irq)
{
	const struct pic_chip *c = &p->chip[irq >> 3];
	u8 bit = (u8)(1 << (irq & 7));
	if (!(c->irr & bit))
		return PIC_IDLE;
	bool masked = (c->imr & bit) || (irq >= 8 && (p->chip[0].imr & 1 << CASCADE));
	return masked ? PIC_MASKED : PIC_PENDING;
}

/* Moves a request into service, as the first INTA cycle does. */
static void service(struct pic_chip *c, int input)
{
	u8 bit = (u8)(1 << input);
	if (!level_triggered(c, input))
		c->irr &= (u8)~bit;
	if (!aeoi(c))
		c->isr |= bit;
	else if (c->rotate_aeoi)
		c->lowest = (u8)input;
}

/* One chip's acknowledge; 7 without a bit in ISR if the request has gone (8259A, "spurious"). */
static int acknowledge(struct pic *p, int chip)
{
	struct pic_chip *c = &p->chip[chip];
	int input = highest_request(c, chip == 0);
	if (input < 0)
		return SPURIOUS;
	service(c, input);
	if (p->taken && !(chip == 0 && input == CASCADE))
		p->taken(p->taken_arg, chip * 8 + input);
	return input;
}

int pic_ack(struct pic *p)
{
	int chip = 0, input = acknowledge(p, 0);
	if (input == CASCADE) {
		chip = 1;
		input = acknowledge(p, 1);
	}
	pic_update(p);
	return (p->chip[chip].icw[2] & 0xf8) | input;
}

/* --- registers --- */

static void end_of_interrupt(struct pic_chip *c, u8 value)
{
	bool rotate = value & 0x80, specific = value & 0x40;
	int input = value & 7;
	if (!specific) {
		/* In special mask mode a non-specific EOI does not clear masked in-service bits. */
		u8 candidates = (u8)(c->special_mask ? c->isr & ~c->imr : c->isr);
		int rank = rank_of_first(c, candidates);
		if (rank == 8)
			return;
		input = input_of_rank(c, rank);
	}
	c->isr &= (u8)~(1 << input);
	if (rotate)
		c->lowest = (u8)input;
}

static void write_ocw2(struct pic_chip *c, u8 value)
{
	switch (value >> 5) {
	case 0: c->rotate_aeoi = false; break;
	case 4: c->rotate_aeoi = true; break;
	case 2: break;					/* no operation */
	case 6: c->lowest = value & 7; break;		/* set priority */
	default: end_of_interrupt(c, value); break;	/* 1, 3, 5, 7 */
	}
}

static void write_ocw3(struct pic_chip *c, u8 value)
{
	if (value & OCW3_POLL)
		c->poll = true;
	else if (value & OCW3_RR)
		c->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		c->special_mask = value & OCW3_SMM;
}

/* ICW1 clears the edge detectors, the mask, special mask mode and the read selection; a request must rise again. */
static void write_icw1(struct pic_chip *c, u8 value)
{
	c->icw[1] = value;
	c->icw[4] = 0;
	c->irr = c->isr = c->imr = 0;
	c->lowest = 7;
	c->special_mask = c->read_isr = c->poll = c->rotate_aeoi = false;
	c->init_step = 2;
	for (int i = 0; i < 8; i++)
		if (level_triggered(c, i))
			c->irr |= (u8)(c->level & 1 << i);
}

static void write_offset1(struct pic_chip *c, u8 value)
{
	int step = c->init_step;
	if (!step) {
		c->imr = value;
		return;
	}
	c->icw[step] = value;
	if (step == 2 && !(c->icw[1] & ICW1_SINGLE))
		c->init_step = 3;
	else if (step <= 3 && (c->icw[1] & ICW1_ICW4))
		c->init_step = 4;
	else
		c->init_step = 0;
}

void pic_write(struct pic *p, int chip, u32 offset, u8 value)
{
	struct pic_chip *c = &p->chip[chip];
	if (offset)
		write_offset1(c, value);
	else if (value & ICW1_INIT)
		write_icw1(c, value);
	else if (value & 0x08)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
	pic_update(p);
}

/* A read after the poll command acts as an INTA: bit 7 = there was a request, bits 2-0 = which. */
static u8 read_poll(struct pic *p, int chip)
{
	struct pic_chip *c = &p->chip[chip];
	c->poll = false;
	bool request = highest_request(c, chip == 0) >= 0;
	int input = acknowledge(p, chip);
	pic_update(p);
	return request ? (u8)(0x80 | input) : 0;
}

u8 pic_read(struct pic *p, int chip, u32 offset)
{
	struct pic_chip *c = &p->chip[chip];
	if (c->poll)
		return read_poll(p, chip);
	if (offset)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

/* Inputs 0, 1, 2, 8 and 13 are always edge-triggered (PIIX, ELCR1 and ELCR2). */
void pic_write_elcr(struct pic *p, int chip, u8 value)
{
	p->chip[chip].elcr = value & (chip ? 0xde : 0xf8);
	pic_update(p);
}

u8 pic_read_elcr(const struct pic *p, int chip)
{
	return p->chip[chip].elcr;
}

static void pic_reset(void *dev)
{
	struct pic *p = dev;
	for (int i = 0; i < 2; i++)	/* the pins are others' and stay */
		p->chip[i] = (struct pic_chip){ .level = p->chip[i].level, .lowest = 7, .imr = 0xff };
	pic_update(p);
}

static void pic_loaded(void *dev)
{
	struct pic *p = dev;
	for (int i = 0; i < 2; i++)
		if (p->chip[i].init_step == 1 || p->chip[i].init_step > 4)
			p->chip[i].init_step = 0;
	pic_update(p);
}

static const struct device_class pic_class = {
	.name = "pic", .what = "8259A interrupt controllers", .version = 1,
	.fields = pic_fields, .reset = pic_reset, .loaded = pic_loaded,
};

void pic_init(struct pic *p, struct vm *vm, const char *id)
{
	*p = (struct pic){ .dev = { .cls = &pic_class, .vm = vm, .id = id } };
	pic_reset(p);
}
