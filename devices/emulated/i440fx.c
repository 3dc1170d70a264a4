/*
 * i440fx.c - the 82441FX PMC host bridge at PCI 00.0. Datasheet: Intel 290549-001, chapter 3.2.
 *
 * The PAM registers have a half byte for each of 13 segments below 1 MiB: bit 0 sends its reads to RAM, bit 1 its writes (3.2.18).
 * The SMRAM register can open the RAM under the VGA window (3.2.20); as no processor here has a system management mode, that is
 * all it can do.
 */
#include "devices/emulated/i440fx.h"
#include "monitor/mem.h"
#include <string.h>

#define PAM0  0x59	/* to 5Fh: attributes of the ROM windows C0000h-FFFFFh */
#define PAM_COUNT 7
#define PAM_WAYS  3
#define SMRAM 0x72
#define SMRAM_OPEN 0x40	/* D_OPEN */
#define SMRAM_LOCK 0x10	/* D_LCK */
#define SMRAM_ON   0x08	/* G_SMRAME */
#define SMRAM_BITS 0x78
#define VGA_WINDOW 0xa0000u
#define VGA_BYTES  0x20000u

static const struct field i440fx_fields[] = {
	FIELD_ARRAY(struct i440fx, func.config, FIELD_U8),
	FIELD_END
};

static void update(struct i440fx *b)
{
	struct vm *vm = b->dev.vm;
	const u8 *pam = &b->func.config[PAM0], smram = b->func.config[SMRAM];
	bool open = (smram & SMRAM_ON) && (smram & SMRAM_OPEN);
	mem_shadow(vm, 0xf0000, 0x10000, pam[0] >> 4 & PAM_WAYS);
	for (u32 n = 0; n < 12; n++)
		mem_shadow(vm, 0xc0000 + n * 0x4000, 0x4000, pam[1 + n / 2] >> n % 2 * 4 & PAM_WAYS);
	mem_shadow(vm, VGA_WINDOW, VGA_BYTES, open ? MEM_SHADOW_READ | MEM_SHADOW_WRITE : MEM_SHADOW_NONE);
}

static void written(struct pci_func *f, u32 first, int size)
{
	struct i440fx *b = container_of(f, struct i440fx, func);
	if (f->config[SMRAM] & SMRAM_LOCK) {	/* until the next reset */
		f->config[SMRAM] &= (u8)~SMRAM_OPEN;
		f->writable[SMRAM] = 0;
	}
	if (first + (u32)size > PAM0 && first <= SMRAM)
		update(b);
}

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
	b->func.writable[SMRAM] = SMRAM_BITS;
	update(b);
}

static void i440fx_loaded(void *dev)
{
	struct i440fx *b = dev;
	b->func.writable[SMRAM] = b->func.config[SMRAM] & SMRAM_LOCK ? 0 : SMRAM_BITS;
	update(b);
}

static const struct device_class i440fx_class = {
	.name = "i440fx", .what = "82441FX host bridge", .version = 1, .fields = i440fx_fields, .reset = i440fx_reset,
	.loaded = i440fx_loaded,
};

void i440fx_init(struct i440fx *b, struct vm *vm, const char *id)
{
	*b = (struct i440fx){ .dev = { .cls = &i440fx_class, .vm = vm, .id = id }, .func = { .written = written } };
	pci_func_init(&b->func, 0x8086, 0x1237, 0x02, 0x060000);
	b->func.writable[PCI_INT_LINE] = 0;		/* the bridge raises no interrupt */
	b->func.writable[PCI_COMMAND + 1] = 0x01;	/* SERR# enable */
	b->func.writable[PCI_LATENCY] = 0xf8;
	b->func.clears[PCI_STATUS + 1] = 0xf0;		/* the bridge's error bits */
	b->func.writable[PAM0] = 0x30;			/* PAM0 has only the half for F0000h */
	for (int i = 1; i < PAM_COUNT; i++)
		b->func.writable[PAM0 + i] = 0x33;
	i440fx_reset(b);
}
