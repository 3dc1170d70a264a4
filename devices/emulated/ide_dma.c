/*
 * ide_dma.c - the PIIX3's IDE function: configuration space and the bus master. Source: Intel 290550-002, 2.3 and 2.7; SFF-8038i.
 *
 * A PRD table is a list of 8-byte entries: address, byte count (0: 64 KiB), bit 63: the last one. When the table ends before the
 * drive is done, the master goes inactive and the drive waits for ever, until software resets it: as the datasheet has it.
 *
 * The IDE timing registers are stored; the ports answer whether they say so or not, since a kernel that is started without a
 * BIOS finds nobody having switched them on.
 */
#include "devices/emulated/ide_int.h"
#include "monitor/bus.h"
#include "monitor/mem.h"
#include <string.h>

#define PRD_LAST 0x80000000u
enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4, BM_PORTS = 8 };
enum { IDETIM = 0x40, SIDETIM = 0x44 };

/* --- the engine --- */

void ide_dma_reset(struct ide_channel *c)
{
	c->bm_command = 0;
	c->bm_status = 0;
	c->bm_table = 0;
	c->prd_next = c->prd_at = c->prd_left = 0;
	c->prd_last = false;
}

static void rewind_table(struct ide_channel *c)
{
	c->prd_next = c->bm_table;
	c->prd_left = 0;
	c->prd_last = false;
}

static bool started(const struct ide_channel *c)
{
	return (c->bm_command & BM_START) && (c->bm_status & BM_ACTIVE) && c->func && pci_func_master(c->func);
}

static bool next_prd(struct ide_channel *c)
{
	u8 entry[8];
	u32 count;
	if (c->prd_last)
		return false;
	mem_read(c->dev.vm, c->prd_next, entry, sizeof(entry));
	memcpy(&c->prd_at, entry, 4);
	memcpy(&count, entry + 4, 4);
	c->prd_at &= ~1u;
	c->prd_left = count & 0xfffe ? count & 0xfffe : 0x10000;
	c->prd_last = count & PRD_LAST;
	/* A table does not cross 64 KiB (SFF-8038i, 1.2): the counter wraps there. */
	c->prd_next = (c->prd_next & 0xffff0000) | ((c->prd_next + 8) & 0xffff);
	return true;
}

void ide_dma_run(struct ide_channel *c)
{
	bool in = c->phase == IDE_DMA_IN;
	if ((!in && c->phase != IDE_DMA_OUT) || !started(c) || in != !!(c->bm_command & BM_TO_MEMORY))
		return;
	while (c->pos < c->filled) {
		if (!c->prd_left && !next_prd(c)) {
			c->bm_status &= (u8)~BM_ACTIVE;
			return;
		}
		u32 n = c->filled - c->pos;
		n = n < c->prd_left ? n : c->prd_left;
		if (in)
			mem_write(c->dev.vm, c->prd_at, c->data + c->pos, n);
		else
			mem_read(c->dev.vm, c->prd_at, c->data + c->pos, n);
		c->pos += n;
		c->prd_at += n;
		c->prd_left -= n;
	}
	if (!c->prd_left && c->prd_last)
		c->bm_status &= (u8)~BM_ACTIVE;
	ide_buffer_done(c);
}

/* --- its registers --- */

static void write_command(struct ide_channel *c, u8 value)
{
	u8 old = c->bm_command;
	c->bm_command = value & (BM_START | BM_TO_MEMORY);
	if (value & ~old & BM_START) {
		c->bm_status |= BM_ACTIVE;
		rewind_table(c);
		ide_dma_run(c);
	} else if (!(value & BM_START)) {
		c->bm_status &= (u8)~BM_ACTIVE;
	}
}

static void write_status(struct ide_channel *c, u8 value)
{
	c->bm_status &= (u8)~(value & (BM_ERROR | BM_INT));
	c->bm_status = (u8)((c->bm_status & ~BM_CAPABLE) | (value & BM_CAPABLE));
}

static u8 read_byte(struct ide_channel *c, u32 offset)
{
	if (offset >= BM_TABLE)
		return (u8)(c->bm_table >> 8 * (offset - BM_TABLE));
	return offset == BM_COMMAND ? c->bm_command : offset == BM_STATUS ? c->bm_status : 0;
}

static void write_byte(struct ide_channel *c, u32 offset, u8 value)
{
	if (offset >= BM_TABLE) {
		u32 shift = 8 * (offset - BM_TABLE);
		c->bm_table = ((c->bm_table & ~(0xffu << shift)) | (u32)value << shift) & ~3u;
	} else if (offset == BM_COMMAND) {
		write_command(c, value);
	} else if (offset == BM_STATUS) {
		write_status(c, value);
	}
}

u32 piix_ide_read(struct piix_ide *p, u32 offset, int size)
{
	u32 value = 0;
	for (u32 i = 0; i < (u32)size; i++)
		value |= (u32)read_byte(p->channel[(offset + i) / BM_PORTS & 1], (offset + i) % BM_PORTS) << 8 * i;
	return value;
}

void piix_ide_write(struct piix_ide *p, u32 offset, u32 value, int size)
{
	for (u32 i = 0; i < (u32)size; i++)
		write_byte(p->channel[(offset + i) / BM_PORTS & 1], (offset + i) % BM_PORTS, (u8)(value >> 8 * i));
}

/* --- configuration space --- */

static u32 bar_read(void *dev, u32 offset, int size)
{
	return piix_ide_read(dev, offset, size);
}

static void bar_write(void *dev, u32 offset, u32 value, int size)
{
	piix_ide_write(dev, offset, value, size);
}

static const struct bus_ops bar_ops = { bar_read, bar_write, 4 };

/* The function may master the bus now: a channel that was started before goes on. */
static void written(struct pci_func *f, u32 first, int size)
{
	struct piix_ide *p = container_of(f, struct piix_ide, func);
	if (first <= PCI_COMMAND && first + (u32)size > PCI_COMMAND)
		for (int i = 0; i < 2; i++)
			ide_dma_run(p->channel[i]);
}

static const struct field piix_ide_fields[] = {
	FIELD_ARRAY(struct piix_ide, func.config, FIELD_U8),
	FIELD_END
};

static void piix_ide_reset(void *dev)
{
	struct piix_ide *p = dev;
	pci_func_reset(&p->func);
	memset(&p->func.config[IDETIM], 0, SIDETIM + 1 - IDETIM);
	/* Both channels decode, as a BIOS leaves them: drivers of kernels that are started without one look here. */
	p->func.config[IDETIM + 1] = p->func.config[IDETIM + 3] = 0x80;
}

static void piix_ide_loaded(void *dev)
{
	struct piix_ide *p = dev;
	pci_func_loaded(&p->func);
}

static const struct device_class piix_ide_class = {
	.name = "piix_ide", .what = "PIIX3 IDE function", .version = 1, .fields = piix_ide_fields, .reset = piix_ide_reset,
	.loaded = piix_ide_loaded,
};

void piix_ide_init(struct piix_ide *p, struct vm *vm, const char *id, struct ide_channel *primary, struct ide_channel *secondary)
{
	*p = (struct piix_ide){ .dev = { .cls = &piix_ide_class, .vm = vm, .id = id }, .channel = { primary, secondary } };
	pci_func_init(&p->func, 0x8086, 0x7010, 0x00, 0x010180);
	p->func.name = "piix_ide";
	p->func.config[PCI_STATUS] = 0x80;
	p->func.config[PCI_STATUS + 1] = 0x02;
	ide_put16(&p->func.config[PCI_SUBSYSTEM], 0x1af4);
	ide_put16(&p->func.config[PCI_SUBSYSTEM + 2], 0x1100);
	p->func.writable[PCI_COMMAND] |= PCI_COMMAND_MASTER;
	p->func.writable[PCI_LATENCY] = 0xf0;
	memset(&p->func.writable[IDETIM], 0xff, SIDETIM + 1 - IDETIM);
	pci_func_bar(&p->func, 4, 16, 1);
	pci_func_bar_ops(&p->func, 4, &bar_ops, p);
	p->func.written = written;
	primary->func = secondary->func = &p->func;
	piix_ide_reset(p);
}
