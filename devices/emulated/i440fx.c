/*
 * i440fx.c - the 82441FX PMC host bridge at PCI 00.0. Datasheet: Intel 290549-001, chapter 3.2.
 */
#include "devices/emulated/i440fx.h"
#include <string.h>

#define PAM0  0x59	/* to 5Fh: attributes of the ROM windows C0000h-FFFFFh */
#define PAM_COUNT 7
#define SMRAM 0x72

static const struct field i440fx_fields[] = {
	FIELD_ARRAY(struct i440fx, func.config, FIELD_U8),
	FIELD_END
};

static void i440fx_reset(void *dev)
{
	struct i440fx *b = dev;
	pci_func_reset(&b->func);
	b->func.config[PCI_COMMAND] = 0x06;		/* memory and bus master are always on */
	b->func.config[PCI_STATUS] = 0x80;
	b->func.config[PCI_STATUS + 1] = 0x02;		/* medium DEVSEL# timing */
	b->func.config[PCI_LATENCY] = 0;
	memset(&b->func.config[PAM0], 0, PAM_COUNT);
	b->func.config[SMRAM] = 0x02;
}

static const struct device_class i440fx_class = {
	.name = "i440fx", .what = "82441FX host bridge", .version = 1, .fields = i440fx_fields, .reset = i440fx_reset,
};

void i440fx_init(struct i440fx *b, struct vm *vm, const char *id)
{
	*b = (struct i440fx){ .dev = { .cls = &i440fx_class, .vm = vm, .id = id } };
	pci_func_init(&b->func, 0x8086, 0x1237, 0x02, 0x060000);
	b->func.writable[PCI_INT_LINE] = 0;		/* the bridge raises no interrupt */
	b->func.writable[PCI_COMMAND + 1] = 0x01;	/* SERR# enable */
	b->func.writable[PCI_LATENCY] = 0xf8;
	b->func.clears[PCI_STATUS + 1] = 0xf0;		/* the bridge's error bits */
	b->func.writable[PAM0] = 0x30;			/* PAM0 has only the half for F0000h */
	for (int i = 1; i < PAM_COUNT; i++)
		b->func.writable[PAM0 + i] = 0x33;
	b->func.writable[SMRAM] = 0x78;
	i440fx_reset(b);
}
