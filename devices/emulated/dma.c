/*
 * dma.c - the two 8237A DMA controllers and the page registers. Datasheet: Intel 8237A (231466-005); page registers: IBM PC/AT
 * Technical Reference.
 *
 * A chip brings its bytes when it has them (dma_transfer), so the bus modes (single, block, demand) differ in nothing that a guest sees,
 * but cascade, which never transfers. An address wraps within its 64 K units: the page register is a latch beside the controller.
 * Memory-to-memory transfers do not work on a PC (channel 0 has no page of its own for the second address) and are not here.
 * Channels 0-3 do not ask whether channel 4, their way to the CPU, is unmasked: a kernel that was loaded without a BIOS leaves it be.
 */
#include "devices/emulated/dma.h"
#include "monitor/mem.h"
#include <string.h>

#define CMD_DISABLE   0x04
#define MODE_WRITE    0x04	/* to memory */
#define MODE_READ     0x08	/* from memory */
#define MODE_TYPE     0x0c
#define MODE_AUTOINIT 0x10
#define MODE_DECREMENT 0x20
#define MODE_CASCADE  0xc0

static const struct field dma_fields[] = {
#define CHANNEL(n) \
	FIELD(struct dma, ch[n].base_address, FIELD_U16), FIELD(struct dma, ch[n].base_count, FIELD_U16), \
	FIELD(struct dma, ch[n].address, FIELD_U16), FIELD(struct dma, ch[n].count, FIELD_U16), FIELD(struct dma, ch[n].mode, FIELD_U8)
	CHANNEL(0), CHANNEL(1), CHANNEL(2), CHANNEL(3), CHANNEL(4), CHANNEL(5), CHANNEL(6), CHANNEL(7),
#undef CHANNEL
	FIELD_ARRAY(struct dma, command, FIELD_U8),
	FIELD_ARRAY(struct dma, done, FIELD_U8),
	FIELD_ARRAY(struct dma, request, FIELD_U8),
	FIELD_ARRAY(struct dma, mask, FIELD_U8),
	FIELD_ARRAY(struct dma, high_byte, FIELD_BOOL),
	FIELD_ARRAY(struct dma, page, FIELD_U8),
	FIELD_END
};

/* The page register of each channel is at a port of its own choosing (PC/AT Technical Reference). */
static const u8 page_of[DMA_CHANNELS] = { 0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa };

static bool can_transfer(const struct dma *d, int channel)
{
	int n = channel >> 2;
	return !(d->mask[n] >> (channel & 3) & 1) && !(d->command[n] & CMD_DISABLE) &&
	       (d->ch[channel].mode & MODE_CASCADE) != MODE_CASCADE;
}

static u32 address_of(const struct dma *d, int channel, u16 address)
{
	u32 page = d->page[page_of[channel]];
	return channel < 4 ? page << 16 | address : (page & 0xfe) << 16 | (u32)address << 1;
}

static void move(struct dma *d, int channel, u16 address, bool to_memory, u8 *buf, u32 len)
{
	u32 gpa = address_of(d, channel, address);
	if (to_memory)
		mem_write(d->dev.vm, gpa, buf, len);
	else
		mem_read(d->dev.vm, gpa, buf, len);
}

/* After the last unit: the count stands at FFFFh, or everything begins anew. */
static void terminal_count(struct dma *d, int channel)
{
	struct dma_channel *c = &d->ch[channel];
	u8 bit = (u8)(1 << (channel & 3));
	d->done[channel >> 2] |= bit;
	d->request[channel >> 2] &= (u8)~bit;
	if (c->mode & MODE_AUTOINIT) {
		c->address = c->base_address;
		c->count = c->base_count;
	} else {
		d->mask[channel >> 2] |= bit;
	}
}

u32 dma_transfer(void *dma, int channel, bool to_memory, void *buf, u32 len, bool *tc)
{
	struct dma *d = dma;
	struct dma_channel *c = &d->ch[channel & 7];
	u32 shift = channel >= 4, units = len >> shift, moved = 0;
	if (!can_transfer(d, channel))
		return 0;
	bool moves = (c->mode & MODE_TYPE) == (to_memory ? MODE_WRITE : MODE_READ);
	bool down = c->mode & MODE_DECREMENT;
	if (!to_memory && !moves)
		memset(buf, 0xff, len);		/* nobody drives the bus */
	while (moved < units) {
		u32 n = down ? 1 : 0x10000u - c->address, left = c->count + 1u;
		n = n < left ? n : left;
		n = n < units - moved ? n : units - moved;
		if (moves)
			move(d, channel, c->address, to_memory, (u8 *)buf + (moved << shift), n << shift);
		c->address = (u16)(down ? c->address - n : c->address + n);
		c->count = (u16)(c->count - n);
		moved += n;
		if (n == left) {
			terminal_count(d, channel);
			*tc = true;
			break;
		}
	}
	return moved << shift;
}

void dma_on_ready(void *dma, int channel, void (*ready)(void *arg), void *arg)
{
	struct dma *d = dma;
	d->client[channel & 7].ready = ready;
	d->client[channel & 7].arg = arg;
}

static void tell_clients(struct dma *d, int n)
{
	for (int i = n * 4; i < n * 4 + 4; i++)
		if (d->client[i].ready && can_transfer(d, i))
			d->client[i].ready(d->client[i].arg);
}

/* --- registers --- */

static void put_byte(struct dma *d, int n, u16 *base, u16 *current, u8 value)
{
	*base = (u16)(d->high_byte[n] ? (*base & 0xff) | value << 8 : (*base & 0xff00) | value);
	*current = (u16)(d->high_byte[n] ? (*current & 0xff) | value << 8 : (*current & 0xff00) | value);
	d->high_byte[n] = !d->high_byte[n];
}

static u8 get_byte(struct dma *d, int n, u16 current)
{
	bool high = d->high_byte[n];
	d->high_byte[n] = !high;
	return (u8)(high ? current >> 8 : current);
}

u8 dma_read(struct dma *d, int n, u32 offset)
{
	struct dma_channel *c = &d->ch[n * 4 + (offset >> 1 & 3)];
	u8 value;
	if (offset < 8)
		return get_byte(d, n, offset & 1 ? c->count : c->address);
	switch (offset) {
	case 8:		/* status: reading clears the terminal counts */
		value = (u8)(d->request[n] << 4 | d->done[n]);
		d->done[n] = 0;
		return value;
	case 15:	/* the mask, as the chip sets that followed let one read it */
		return d->mask[n] | 0xf0;
	}
	return 0;	/* 13: the temporary register, of memory-to-memory transfers only */
}

static void master_clear(struct dma *d, int n)
{
	d->command[n] = d->done[n] = d->request[n] = 0;
	d->high_byte[n] = false;
	d->mask[n] = 0xf;
}

static void set_bit(u8 *reg, u8 value)
{
	u8 bit = (u8)(1 << (value & 3));
	*reg = (u8)(value & 4 ? *reg | bit : *reg & ~bit);
}

void dma_write(struct dma *d, int n, u32 offset, u8 value)
{
	struct dma_channel *c = &d->ch[n * 4 + (offset >> 1 & 3)];
	if (offset < 8) {
		if (offset & 1)
			put_byte(d, n, &c->base_count, &c->count, value);
		else
			put_byte(d, n, &c->base_address, &c->address, value);
		return;
	}
	switch (offset) {
	case 8: d->command[n] = value; break;
	case 9: set_bit(&d->request[n], value); break;
	case 10: set_bit(&d->mask[n], value); break;
	case 11: d->ch[n * 4 + (value & 3)].mode = value & 0xfc; break;
	case 12: d->high_byte[n] = false; break;
	case 13: master_clear(d, n); break;
	case 14: d->mask[n] = 0; break;
	case 15: d->mask[n] = value & 0xf; break;
	}
	tell_clients(d, n);
}

u8 dma_read_page(struct dma *d, u32 offset)
{
	return d->page[offset & 15];
}

void dma_write_page(struct dma *d, u32 offset, u8 value)
{
	d->page[offset & 15] = value;
}

static void dma_reset(void *dev)
{
	struct dma *d = dev;
	memset(d->page, 0, sizeof(d->page));
	for (int i = 0; i < DMA_CHANNELS; i++)
		d->ch[i] = (struct dma_channel){ 0 };
	master_clear(d, 0);
	master_clear(d, 1);
}

static const struct device_class dma_class = {
	.name = "dma", .what = "pair of 8237A DMA controllers", .version = 1, .fields = dma_fields, .reset = dma_reset,
};

void dma_init(struct dma *d, struct vm *vm, const char *id)
{
	*d = (struct dma){ .dev = { .cls = &dma_class, .vm = vm, .id = id } };
	dma_reset(d);
}
