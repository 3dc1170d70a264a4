/*
 * dma.h - the PC's pair of 8237A DMA controllers with their page registers.
 */
#ifndef RF_DMA_H
#define RF_DMA_H
#include "devices/device.h"

#define DMA_CHANNELS 8

struct dma_channel {
	u16 base_address, base_count, address, count;	/* in units of the channel: bytes, from 4 on words */
	u8 mode;					/* bits 7-2 of the mode register */
};
struct dma {
	struct device dev;
	struct dma_channel ch[DMA_CHANNELS];
	u8 command[2], done[2], request[2], mask[2];	/* done: channels at terminal count since the status was read */
	bool high_byte[2];				/* the byte pointer flip-flop */
	u8 page[16];					/* ports 80h-8Fh */
	struct { void (*ready)(void *arg); void *arg; } client[DMA_CHANNELS];
};

void dma_init(struct dma *d, struct vm *vm, const char *id);
/* n: controller 0 or 1; offset: register 0 to 15 (controller 1 sits on even ports: the board halves). */
u8   dma_read(struct dma *d, int n, u32 offset);
void dma_write(struct dma *d, int n, u32 offset, u8 value);
u8   dma_read_page(struct dma *d, u32 offset);
void dma_write_page(struct dma *d, u32 offset, u8 value);
/* As struct isadma says. */
u32  dma_transfer(void *dma, int channel, bool to_memory, void *buf, u32 len, bool *tc);
void dma_on_ready(void *dma, int channel, void (*ready)(void *arg), void *arg);
#endif
