/*
 * piix3.c - the 82371SB (PIIX3), function 0: the PCI to ISA bridge. Datasheet: Intel 290550-002, chapter 2.2.
 *
 * Of the bridge itself only the interrupt router acts: registers 60h to 63h name the ISA input that each PIRQ pulls (2.2.7). The others,
 * timings, chip selects and DMA widths, are stored. The chips behind it have files of their own.
 */
#include "devices/emulated/piix3.h"

#define PIRQRC      0x60	/* to 63h */
#define PIRQ_OFF    0x80
#define PIRQ_NUMBER 0x0f
#define ROUTABLE    0xdef8u	/* IRQ 3 to 7, 9 to 12, 14, 15; the others are reserved */

static const struct field piix3_fields[] = {
	FIELD_ARRAY(struct piix3, func.config, FIELD_U8),
	FIELD(struct piix3, pirq, FIELD_U8),
	FIELD_END
};

/* What is stored: register, value after reset, bits that can be written. */
static const struct { u8 reg, reset, writable; } regs[] = {
	{ 0x4c, 0x4d, 0xff },				/* IORT: I/O recovery time */
	{ 0x4e, 0x03, 0xff }, { 0x4f, 0x00, 0x01 },	/* XBCS: X-bus chip selects */
	{ 0x60, 0x80, 0x8f }, { 0x61, 0x80, 0x8f }, { 0x62, 0x80, 0x8f }, { 0x63, 0x80, 0x8f },	/* PIRQRC */
	{ 0x69, 0x02, 0xfa },				/* TOM: top of memory */
	{ 0x6a, 0x00, 0x88 }, { 0x6b, 0x00, 0x80 },	/* MSTAT */
	{ 0x70, 0x80, 0xef },				/* MBIRQ0 */
	{ 0x76, 0x0c, 0x8f }, { 0x77, 0x0c, 0x8f },	/* MBDMA */
	{ 0x78, 0x02, 0xff }, { 0x79, 0x00, 0xff },	/* PCSC: programmable chip select */
	{ 0x80, 0x00, 0x7f },				/* APICBASE */
	{ 0x82, 0x00, 0x0f },				/* DLC: deterministic latency */
	{ 0xa0, 0x08, 0x1f }, { 0xa2, 0x00, 0xff }, { 0xa3, 0x00, 0x01 },	/* SMICNTL, SMIEN */
	{ 0xa4, 0x00, 0xff }, { 0xa5, 0x00, 0xff }, { 0xa6, 0x00, 0xff }, { 0xa7, 0x00, 0xff },	/* SEE */
	{ 0xa8, 0x0f, 0xff }, { 0xac, 0x00, 0xff }, { 0xae, 0x00, 0xff },	/* FTMR, CTLTMR, CTHTMR */
};

static void update(struct piix3 *p)
{
	u32 high = 0;
	for (int n = 0; n < PIIX3_PIRQS; n++) {
		u8 route = p->func.config[PIRQRC + n];
		if ((p->pirq >> n & 1) && !(route & PIRQ_OFF))
			high |= 1u << (route & PIRQ_NUMBER);
	}
	for (int i = 0; i < 16; i++)
		line_set(&p->irq[i], (high & ROUTABLE) >> i & 1);
}

void piix3_set_pirq(void *piix3, int n, bool level)
{
	struct piix3 *p = piix3;
	u8 bit = (u8)(1 << (n & (PIIX3_PIRQS - 1)));
	p->pirq = level ? p->pirq | bit : p->pirq & (u8)~bit;
	update(p);
}

static void written(struct pci_func *f, u32 first, int size)
{
	if (first + (u32)size > PIRQRC && first < PIRQRC + PIIX3_PIRQS)
		update(container_of(f, struct piix3, func));
}

static void piix3_reset(void *dev)
{
	struct piix3 *p = dev;
	pci_func_reset(&p->func);
	p->func.config[PCI_COMMAND] = 0x07;		/* always on */
	p->func.config[PCI_STATUS + 1] = 0x02;		/* medium DEVSEL# timing */
	for (u32 i = 0; i < ARRAY_SIZE(regs); i++)
		p->func.config[regs[i].reg] = regs[i].reset;
	update(p);
}

static void piix3_loaded(void *dev)
{
	update(dev);
}

static const struct device_class piix3_class = {
	.name = "piix3", .what = "PIIX3 ISA bridge", .version = 1, .fields = piix3_fields, .reset = piix3_reset, .loaded = piix3_loaded,
};

void piix3_init(struct piix3 *p, struct vm *vm, const char *id)
{
	*p = (struct piix3){ .dev = { .cls = &piix3_class, .vm = vm, .id = id }, .func = { .name = "piix3", .written = written } };
	pci_func_init(&p->func, 0x8086, 0x7000, 0x00, 0x060100);
	p->func.writable[PCI_INT_LINE] = 0;
	p->func.writable[PCI_COMMAND] = 0x08;		/* special cycle enable */
	p->func.writable[PCI_COMMAND + 1] = 0x01;	/* SERR# enable */
	p->func.clears[PCI_STATUS + 1] = 0x78;
	for (u32 i = 0; i < ARRAY_SIZE(regs); i++)
		p->func.writable[regs[i].reg] = regs[i].writable;
	piix3_reset(p);
}
